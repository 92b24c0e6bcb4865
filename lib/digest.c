/* libsodium's door for everything that is not encryption: new generations and hashes. Called by the daemon and by
 * the client's key.c and spool.c. */
#include "lib/digest.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "lib/err.h"

int digest_init(void)
{
	/* 1 means somebody did it before. sodium_init leaves no errno. */
	if (sodium_init() < 0) {
		errno = ENOSYS;
		return SC_ESYS;
	}
	return 0;
}

void digest_generation(struct gen *out)
{
	do
		randombytes_buf(out->b, sizeof(out->b));
	while (gen_is_none(out));
}

void digest_keyed(const uint8_t key[16], const void *p, size_t n, uint8_t out[16])
{
	if (crypto_generichash(out, 16, p, n, key, 16) < 0)
		BUG("16 bytes is a size BLAKE2b has, of a key as of a digest");
}

/* The state wants 64-byte alignment, which malloc does not promise. */
struct digest {
	crypto_generichash_state state;
};

static void start(crypto_generichash_state *s)
{
	if (crypto_generichash_init(s, NULL, 0, SC_DIGEST_SIZE) < 0)
		BUG("16 bytes is a size BLAKE2b has");
}

static void add_part(crypto_generichash_state *s, const void *p, size_t n)
{
	uint8_t head[8];

	for (size_t i = 0; i < sizeof(head); i++)
		head[i] = (uint8_t)((uint64_t)n >> (8 * i));
	crypto_generichash_update(s, head, sizeof(head));
	if (n > 0)
		crypto_generichash_update(s, p, n);
}

void digest_key(const void *bucket, size_t bucket_len, const void *key, size_t key_len, uint8_t out[16])
{
	crypto_generichash_state s;

	start(&s);
	add_part(&s, bucket, bucket_len);
	add_part(&s, key, key_len);
	crypto_generichash_final(&s, out, SC_DIGEST_SIZE);
}

struct digest *digest_new(void)
{
	struct digest *d;

	_Static_assert(sizeof(*d) % _Alignof(struct digest) == 0, "aligned_alloc wants a multiple");
	d = aligned_alloc(_Alignof(struct digest), sizeof(*d));
	if (d)
		start(&d->state);
	return d;
}

void digest_free(struct digest *d)
{
	free(d);
}

void digest_add(struct digest *d, const void *p, size_t n)
{
	if (n > 0)
		crypto_generichash_update(&d->state, p, n);
}

void digest_add_field(struct digest *d, const void *p, size_t n)
{
	add_part(&d->state, p, n);
}

void digest_get(struct digest *d, uint8_t out[SC_DIGEST_SIZE])
{
	crypto_generichash_final(&d->state, out, SC_DIGEST_SIZE);
}

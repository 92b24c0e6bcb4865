/* libsodium's door for everything that is not encryption: new generations and the hash of a key. Called by the daemon. */
#include "lib/digest.h"

#include <errno.h>
#include <sodium.h>

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

/* The length in front of each part keeps ("a", "bc") and ("ab", "c") apart. */
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

	if (crypto_generichash_init(&s, NULL, 0, 16) < 0)
		BUG("16 bytes is a size BLAKE2b has");
	add_part(&s, bucket, bucket_len);
	add_part(&s, key, key_len);
	crypto_generichash_final(&s, out, 16);
}

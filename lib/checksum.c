/* XXH3-128 as a running sum. Called by the writer while bytes are in its cache, by whoever verifies an object,
 * and by hashes.c.
 * The library's header is compiled in here and nowhere else. */
#include "lib/checksum.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* The state wants 64-byte alignment, which malloc does not promise. */
struct checksum {
	XXH3_state_t state;
};

struct checksum *checksum_new(void)
{
	struct checksum *c;

	_Static_assert(sizeof(*c) % _Alignof(struct checksum) == 0, "aligned_alloc wants a multiple");
	c = aligned_alloc(_Alignof(struct checksum), sizeof(*c));
	if (!c)
		return NULL;
	/* Parts of the state are never written by a reset; a copy of it should still have one content. */
	memset(c, 0, sizeof(*c));
	XXH3_128bits_reset(&c->state);
	return c;
}

void checksum_free(struct checksum *c)
{
	free(c);
}

void checksum_add(struct checksum *c, const void *bytes, size_t n)
{
	if (n > 0)
		XXH3_128bits_update(&c->state, bytes, n);
}

static void write_down(XXH128_hash_t sum, uint8_t out[SC_SUM_SIZE])
{
	XXH128_canonical_t canonical;

	_Static_assert(sizeof(canonical) == SC_SUM_SIZE, "one size of sum");
	XXH128_canonicalFromHash(&canonical, sum);
	memcpy(out, &canonical, SC_SUM_SIZE);
}

void checksum_get(const struct checksum *c, uint8_t out[SC_SUM_SIZE])
{
	write_down(XXH3_128bits_digest(&c->state), out);
}

void checksum_of(const void *bytes, size_t n, uint8_t out[SC_SUM_SIZE])
{
	write_down(XXH3_128bits(bytes, n), out);
}

/* Where libsodium's random bytes and BLAKE2b come in. Used by the daemon, and by the client for keys made from what is declared. */
#ifndef SC_DIGEST_H
#define SC_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "lib/gen.h"

/* Once before the others; SC_ESYS when the system has no randomness. */
int digest_init(void);

/* A new generation; never "none". */
void digest_generation(struct gen *out);

/* 16 bytes of BLAKE2b over length-prefixed bucket and key: the page says with it whose page it is. */
void digest_key(const void *bucket, size_t bucket_len, const void *key, size_t key_len, uint8_t out[16]);

/* 16 bytes of BLAKE2b under a key of 16: tells nobody who has not the key what was hashed. */
void digest_keyed(const uint8_t key[16], const void *p, size_t n, uint8_t out[16]);

/* 16 bytes of BLAKE2b (no key, no salt) as they come. */
#define SC_DIGEST_SIZE 16

struct digest; /* 384 bytes, aligned; owned by the caller of digest_new */

struct digest *digest_new(void); /* NULL: no memory */
void digest_free(struct digest *d);
void digest_add(struct digest *d, const void *p, size_t n);
/* The same with the length in front, as u64 little-endian: keeps ("a", "bc") and ("ab", "c") apart. */
void digest_add_field(struct digest *d, const void *p, size_t n);
/* Once, as the last. */
void digest_get(struct digest *d, uint8_t out[SC_DIGEST_SIZE]);

#endif

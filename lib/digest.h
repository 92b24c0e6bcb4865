/* Where libsodium's random bytes and BLAKE2b come in. Used by the daemon; a client that only reads never links it. */
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

#endif

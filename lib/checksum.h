/* XXH3-128 of an object's bytes, while they pass, and of what stands in `hashes`. Guards against rot and torn writes, not against an attacker. */
#ifndef SC_CHECKSUM_H
#define SC_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#define SC_SUM_SIZE 16

struct checksum; /* about 600 bytes, aligned; owned by the caller of checksum_new */

struct checksum *checksum_new(void); /* NULL: no memory */
void checksum_free(struct checksum *c);
void checksum_add(struct checksum *c, const void *bytes, size_t n);
void checksum_get(const struct checksum *c, uint8_t out[SC_SUM_SIZE]); /* big-endian, canonical; may be called early */

/* Of all of it at once. */
void checksum_of(const void *bytes, size_t n, uint8_t out[SC_SUM_SIZE]);

#endif

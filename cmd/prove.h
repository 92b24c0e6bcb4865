/* Whether an object's bytes are those that were stored: read once, held against their sum. Called by get.c for an entry that is not
 * to be used before, and by verify.c. Changes nothing and says nothing. */
#ifndef SC_PROVE_H
#define SC_PROVE_H

#include <stdint.h>

#include "lib/checksum.h"

/* After each piece, if not NULL. */
typedef void (*prove_step)(uint64_t bytes);

/* SC_ECORRUPT: they are others, or fewer · SC_ESYS: they cannot be read · SC_ENOMEM. */
int prove_object(int fd, uint64_t len, const uint8_t sum[SC_SUM_SIZE], prove_step step);

#endif

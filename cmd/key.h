/* Keys made from what a caller declares: KEY becomes `KEY#<32 hex>`, the same on every machine for the same declarations, in
 * whatever order they were made.
 *
 * Hashed is, with BLAKE2b of 16 bytes (no key, no salt), a row of fields, each with its length in front as u64 little-endian:
 *
 *   "sc-key-1"                     the version of this rule
 *   kind, name, value              for each declaration: in bytewise order of kind, name, value; the same one only once
 *
 *   kind      name     value
 *   "stdin"   empty    16 bytes: BLAKE2b of all of stdin, plain, without a length */
#ifndef SC_KEY_H
#define SC_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/digest.h"

/* What is put behind KEY: '#' and the hash in hex. */
#define KEY_SUFFIX (1 + 2 * SC_DIGEST_SIZE)

struct declaration {
	const char *kind, *name; /* the caller's, as long as the key is being made */
	uint8_t value[SC_DIGEST_SIZE];
};

/* Zero-initialised is empty. */
struct key {
	struct declaration *list; /* owned */
	size_t n;
};

/* SC_ENOMEM. */
int key_declare(struct key *k, const char *kind, const char *name, const uint8_t value[SC_DIGEST_SIZE]);

/* KEY#hex, or KEY alone when nothing was declared; NULL: no memory. The caller's to free; the declarations are gone. */
char *key_make(struct key *k, const char *word);

/* To stdout: a terminal gets it escaped, a pipe as it is. */
void key_print(struct bytes key);

#endif

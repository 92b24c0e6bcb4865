/* Keys made from what a caller declares: KEY becomes `KEY#<32 hex>`, the same on every machine for the same declarations, in
 * whatever order they were made. `run` has no KEY: there `run:` and CMD's last part (behind the last '/', 255 bytes at most) stands in
 * its place.
 *
 * Hashed is, with BLAKE2b of 16 bytes (no key, no salt; `b2sum -l 128`), a row of fields, each with its length in front as u64
 * little-endian:
 *
 *   "sc-key-1"                     the version of this rule
 *   kind, name, value              for each declaration: in bytewise order of kind, name, value; the same one only once
 *
 * A value is 16 bytes, the same BLAKE2b of what stands here, plain and without a length in front of it:
 *
 *   option    kind      name           value: the hash of
 *   (run)     "arg"     empty          CMD and each ARG, in their order; here each with its length in front
 *   (run)     "cwd"     empty          the current directory, as `pwd -P` says it; not with --no-cwd
 *   --file    "file"    PATH as given  a regular file's bytes
 *             "dir"     PATH as given  what is below a directory: three fields for each name, in cmd/content.h
 *   --mtime   "mtime"   PATH as given  when it was changed, as `stat -L -c %.9Y` says it: "1700000000.123456789"
 *   --env     "env"     NAME           "=" and the variable's value; of one that is not set nothing, not even the "="
 *   --stdin   "stdin"   empty          all of stdin */
#ifndef SC_KEY_H
#define SC_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/digest.h"

/* What is put behind KEY: '#' and the hash in hex. */
#define KEY_SUFFIX (1 + 2 * SC_DIGEST_SIZE)

/* Of CMD's last part: as long as a file's name may be. */
#define KEY_NAME_MAX 255

struct declaration {
	const char *kind, *name; /* the caller's, as long as the key is being made */
	uint8_t value[SC_DIGEST_SIZE];
};

/* Zero-initialised is empty. */
struct key {
	struct declaration *list; /* owned */
	size_t n;
};

/* A NULL value is to be filled in before key_make. SC_ENOMEM. */
int key_declare(struct key *k, const char *kind, const char *name, const uint8_t value[SC_DIGEST_SIZE]);

/* Values: of n bytes; of words, which end with NULL. SC_ENOMEM. */
int key_hash(const void *p, size_t n, uint8_t value[SC_DIGEST_SIZE]);
int key_hash_words(char *const *words, uint8_t value[SC_DIGEST_SIZE]);

/* What stands in KEY's place for run: "run:…". Static. */
const char *key_of_command(const char *cmd);

/* KEY#hex, or KEY alone when nothing was declared; NULL: no memory. The caller's to free; the declarations are gone. */
char *key_make(struct key *k, const char *word);

/* To stdout: a terminal gets it escaped, a pipe as it is. */
void key_print(struct bytes key);

#endif

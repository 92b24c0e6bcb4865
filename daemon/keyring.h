/* The master keys: what objects and names are sealed with. Those of `key-file`, else one that is made at the start and dies with the daemon
 * (ephemeral). The first seals, all of them open. They lie in memory that is locked and not dumped, from the daemon's start to its end, and
 * are given to nobody: a writer and a reader get those of their streams; what the index and flights/ say of a key's name is sealed and opened
 * here.
 *
 * A key that is configured and cannot be had is a daemon that does not start: it would store in the clear what was to be sealed. */
#ifndef SC_KEYRING_H
#define SC_KEYRING_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/seal.h"

struct daemon;
struct keyring;

/* By which key something is sealed: of which kind it is, and its fingerprint. Goes into rows and files; all zero: it is clear. */
#define SC_SEALED_BY 9
enum sealed_kind { SEALED_NOT = 0, SEALED_BY_FILE = 1, SEALED_BY_EPHEMERAL = 2 };
struct sealed_by {
	uint8_t b[SC_SEALED_BY];
};
static inline bool is_sealed(const struct sealed_by *by)
{
	return by->b[0] != SEALED_NOT;
}

/* Once, when config has been read and digest_init called. Not 0: the daemon must not start, and `why` says why, with the line that mends it. SC_ENOENT,
 * SC_EUNSAFE, SC_EINVAL, SC_ESYS: of a file · SC_EBUSY: two are the same key · SC_ETOOBIG: too many · SC_ENOMEM. */
int keyring_open(struct daemon *d, char *why, size_t size);
void keyring_close(struct daemon *d);

/* From here on there is something to be kept from who may look into this process: it is not dumped, nor traced but by root. */
void keyring_guard(struct daemon *d);

/* ---- what the keys are good for; from any thread ---- */

unsigned keyring_count(const struct keyring *r); /* at least 1 */

/* What the i-th is called. The one that seals is the first. */
const struct sealed_by *keyring_at(const struct keyring *r, unsigned i);

/* It is here. */
bool keyring_has(const struct keyring *r, const struct sealed_by *by);

/* All others: SC_ENOENT: this key is not here. */

/* The keys of a generation's two streams, by enum stream. */
int keyring_streams(const struct keyring *r, const struct sealed_by *by, const struct gen *g, struct seal_key keys[2]);

/* By what a name of a bucket (a key's, a tag's) is found that is not said. */
int keyring_hash(const struct keyring *r, const struct sealed_by *by, struct bytes bucket, struct bytes name,
		 uint8_t out[SC_SEAL_HASH]);

/* As seal_box and seal_box_open. */
int keyring_box(const struct keyring *r, const struct sealed_by *by, const struct gen *g, struct bytes plain, uint8_t *out,
		size_t *n);
int keyring_unbox(const struct keyring *r, const struct sealed_by *by, const struct gen *g, struct bytes sealed, uint8_t *out,
		  size_t *n);

#endif

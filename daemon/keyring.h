/* The master keys: what sealed objects are sealed with. Those of `key-file`, else
 * none. The first seals, all of them open. They lie in memory that is locked and not dumped, from the daemon's start to its end, and
 * are given to nobody: a writer and a reader get those of their streams.
 *
 * A key that is configured and cannot be had is a daemon that does not start: it would store in the clear what was to be sealed. */
#ifndef SC_KEYRING_H
#define SC_KEYRING_H

#include <stddef.h>

struct daemon;
struct keyring;

/* Once, when config has been read and digest_init called. Not 0: the daemon must not start, and `why` says why, with the line that mends it. SC_ENOENT,
 * SC_EUNSAFE, SC_EINVAL, SC_ESYS: of a file · SC_EBUSY: two are the same key · SC_ETOOBIG: too many · SC_ENOMEM. */
int keyring_open(struct daemon *d, char *why, size_t size);
void keyring_close(struct daemon *d);

#endif

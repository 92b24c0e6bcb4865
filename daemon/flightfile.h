/* flights/<generation>: what outlives the daemon of a run in progress. The file is locked as long as somebody who could finish
 * the run lives; two marks in it can be set later. lib/FORMAT.md has its bytes. */
#ifndef SC_FLIGHTFILE_H
#define SC_FLIGHTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/keyring.h"
#include "lib/gen.h"
#include "lib/limits.h"
#include "lib/proto.h"

struct flightfile {
	struct gen gen;
	char bucket[SC_BUCKET_MAX + 1];
	uint8_t key[SC_KEY_MAX];
	size_t key_len;
	uint64_t order;
	uint64_t ttl_ms, stale_ms, keep_ms;
	uint64_t created_wall_ms;
	bool doomed; /* not to be committed */
	bool finish; /* not to be stopped when nobody reads */
	bool renewal;
	char tags[SC_TAGS_SIZE + 1];
	uint8_t command[SC_COMMAND_SIZE]; /* cmdline.h */
	struct sealed_by sealed;	  /* its objects, and this file, are */
	bool lease;			  /* `sc hold`'s, no run; ttl_ms is its -t, and */
	bool held;			  /* … its VALUE is whole */
};

/* Makes the file and, on a description of its own, the lock that goes to the writer. *lock_fd is the caller's. SC_ESYS: nothing is
 * left of it, *lock_fd is -1 (so with SC_ENOENT: the key it is to be sealed under is not here); EEXIST: the name was taken, what lies there is left alone. */
int flightfile_create(int dir_fd, const struct keyring *ring, const struct flightfile *f, int *lock_fd);

/* Sets a mark. Errors are reported but change nothing else: the daemon's own memory has the mark too. SC_ENOENT · SC_EUNSAFE ·
 * SC_ESYS. */
int flightfile_mark(int dir_fd, const struct gen *g, enum flight_mark mark);

/* Reads one by name; *locked says whether somebody lives who could finish the run. SC_ENOENT · SC_EUNSAFE · SC_ECORRUPT,
 * also of one that was sealed under a key that is not here · SC_ESYS. */
int flightfile_read(int dir_fd, const struct keyring *ring, const char *name, struct flightfile *f, bool *locked);

/* Whether somebody still holds the lock; false if the file is gone, true in doubt. */
bool flightfile_is_locked(int dir_fd, const struct gen *g);

/* Whether there is one, whatever it is; true in doubt. */
bool flightfile_is_there(int dir_fd, const struct gen *g);

/* One that is not there is no error. */
int flightfile_unlink(int dir_fd, const struct gen *g);

/* Calls each() for every name in flights/ that is a generation; others are not ours and are left alone. SC_EUNSAFE:
 * flights/ is a link or no directory · SC_ESYS. */
int flightfile_scan(int dir_fd, void (*each)(void *arg, const char *name), void *arg);

#endif

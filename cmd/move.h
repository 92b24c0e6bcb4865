/* The FILE of `put --move`: taken into the cache, and away from where it was, without a copy where that is safe.
 *
 *   open ──▶ link ──▶ (asked, summed, committed, synced) ──▶ end: FILE's name goes; the object is its only one
 *     │        └──▶ undo: FILE is as it was
 *     └──▶ (copied, committed, synced) ──▶ end
 *
 * A rename before the commit would lose FILE with a killed writer, whose objects are removed; one after it would be served before
 * it is there. So the object is a second link of FILE until the commit, and only then, and when the disk has all of it, FILE's name is
 * removed: whoever dies when, and be it the machine, there is FILE, or the entry, or both.
 *
 * Linked is only a FILE that nobody else can change: ours, with this one name, and closed to writing by a lease, which tells if
 * somebody opens it after all; its mode becomes 0600. Copied, and then removed, is one of another owner or with more names, where leases
 * or links cannot be had, and on another file system. Refused is one that somebody has open for writing (what he still has to say
 * would be lost), a symbolic link (which of the two is meant?), what is no regular file, and what could not be removed afterwards. */
#ifndef SC_MOVE_H
#define SC_MOVE_H

#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "lib/gen.h"

struct move {
	int fd;	    /* FILE, for reading, at its beginning */
	int dir_fd; /* where it is */
	char base[256];
	struct stat st; /* as it was */
	bool leased;	/* nobody has it open for writing, and who opens it so is noticed */
	bool linked;	/* it is the object of `gen` */
	struct gen gen;
};

/* Set when somebody opens a leased FILE for writing. */
extern volatile sig_atomic_t move_disturbed;

/* At most once in a process. NULL, or why it cannot be taken: nothing has changed. */
const char *move_open(struct move *m, const char *file);

/* Makes FILE the object of a new generation, if that is safe. False: it must be copied; nothing has changed. */
bool move_link(struct move *m, int cache_fd);

/* It is not kept. With a cache directory: nor is it the object of a run that somebody else would remove. */
void move_undo(struct move *m, int cache_fd);

/* It is kept, also by the disk: removes FILE's name. NULL, or why that is still there. */
const char *move_end(struct move *m);

#endif

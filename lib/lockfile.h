/* `lock` in the cache directory: who is its daemon, who may start one, and whether the daemon's loop still turns. Locks belong
 * to open file descriptions, so the kernel frees them when their holder dies, however it dies. lib/FORMAT.md has its bytes. */
#ifndef SC_LOCKFILE_H
#define SC_LOCKFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/limits.h"

struct lockfile {
	int fd;			 /* owned; -1 when not open */
	void *page;		 /* the daemon's mapping of it, or NULL */
	_Atomic uint64_t *pulse; /* the daemon's mapping of the loop counter; NULL for others */
};

/* Opens or makes it (0600). SC_EUNSAFE: a link of either kind, not a file, not ours · SC_ESYS. */
int lockfile_open(struct lockfile *l, int dir_fd);
/* To be looked at only, and never made. SC_ENOENT besides. */
int lockfile_look(struct lockfile *l, int dir_fd);
void lockfile_close(struct lockfile *l); /* lets go of what it holds */

/* The daemon's lock, for life. Waits up to wait_ms for one that is just going. Maps the loop counter. SC_EBUSY: another daemon
 * lives · SC_ESYS. */
int lockfile_hold(struct lockfile *l, uint64_t wait_ms);
void lockfile_step(struct lockfile *l); /* one turn of the loop */

/* The loop counter, for who wonders whether a silent daemon is hung. False: cannot be read. */
bool lockfile_pulse(const struct lockfile *l, uint64_t *pulse);

/* The lock under which a daemon is started: whoever gets it looks first whether there is one by now. Waits for others, at most
 * twice SC_START_MS. SC_ETIME, SC_ESYS. */
int lockfile_begin_start(struct lockfile *l);
void lockfile_end_start(struct lockfile *l);

/* Under the start lock. After SC_CRASHES_MAX starts that failed within SC_CRASH_WINDOW_MS none is tried before the window is
 * over. `boot_ms`: of clock_now. A client notes each start as failed; the daemon notes that it has not, when it has answered for the
 * first time. */
bool lockfile_may_start(const struct lockfile *l, uint64_t boot_ms);
void lockfile_note_start(struct lockfile *l, uint64_t boot_ms, bool failed);

/* The daemon's last words, from a signal handler: only stores into the mapping. The first ones stay. */
void lockfile_note_death(struct lockfile *l, const char *words);
/* What the last daemon that died of a fault left. False: nothing. Any bytes, as whatever is in a file. */
bool lockfile_death(const struct lockfile *l, char words[SC_LAST_WORDS]);
void lockfile_forget_death(struct lockfile *l); /* the daemon's, once they are in the log */

/* The mark of a disk that has lost something: said once by the kernel to whoever syncs, with or without a daemon, and obeyed by the next
 * one if this one cannot. By any user of the file; visible to a daemon at once. False: it could not be written. */
bool lockfile_doubt(struct lockfile *l);
/* The daemon's. 0: there is no mark; else which one, for lockfile_trust. No system call. */
uint64_t lockfile_doubts(const struct lockfile *l);
/* It has been obeyed; one that has come since stays. */
void lockfile_trust(struct lockfile *l, uint64_t doubts);

/* How many starts in a row have failed within the window, or not answered anybody yet. */
unsigned lockfile_failed_starts(const struct lockfile *l, uint64_t boot_ms);

#endif

/* Which directory is the cache, and is it fit to be trusted. The only reader of SC_DIR, HOME and the XDG variables. Opened
 * once; everything else is relative to dir_fd. */
#ifndef SC_PATHS_H
#define SC_PATHS_H

#include <stdbool.h>

#include "lib/limits.h"

struct place {
	char path[SC_PATH_MAX]; /* absolute, for messages and for the daemon's command line */
	int dir_fd;		/* owned; -1 when not open */
	bool looks;		/* opened without `create` */
	char why[512];		/* after a failure: one sentence, with the command that mends it where there is one */
};

/* Chooses SC_DIR, else XDG_CACHE_HOME/sc, else HOME/.cache/sc, else /tmp/sc-<uid>; where the default lies on a network file
 * system /var/tmp/sc-<uid>. A default that cannot be made is passed over for the next; one that is unsafe is not, and SC_DIR
 * never. The environment is not looked at in a set-uid process; a HOME or XDG_CACHE_HOME that is not there or not ours is
 * passed over.
 * If `create`: makes the directory 0700 (and parents below an existing HOME, and XDG_CACHE_HOME itself), and sets one of ours that is
 * merely readable to 0700. Else changes nothing.
 * SC_ENOENT (not there and not create) · SC_EUNSAFE (a symlink, not ours, writable by others, or on a network file system
 * without `network-fs = on` in its config; `why` has the line that mends it) · SC_ESYS (`why` names path and reason). On
 * success dir_fd is open, O_CLOEXEC. */
int place_open(struct place *p, int create);

/* The same checks for a path given outright: what the daemon does with its argument. */
int place_open_at(struct place *p, const char *path, int create);

/* The file system it lies on, for people: "ext4", "NFS", or its number in hex. *network: one on which locks, mmap and unlinked
 * files may not do what they do on a local disk. */
void place_file_system(const struct place *p, char name[16], bool *network);

/* Whether fd lies on a file system that is known to be a local disk's: only this machine changes what is on it, and its times are of
 * this machine's clock. False in doubt. */
bool place_is_local(int fd);
void place_close(struct place *p);

/* Whether its path still leads to the directory that was opened. What cannot be looked at now may be there as ever. */
bool place_is_there(const struct place *p);

/* Where `config` lies if not in the cache directory: XDG_CONFIG_HOME/sc/config, else HOME/.config/sc/config. SC_ENOENT: the
 * environment names neither, or is not to be looked at. Whether the file is there is not asked. */
int place_config(char out[SC_PATH_MAX]);

#endif

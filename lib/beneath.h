/* Names inside the cache directory, without following a link at any step of the way: one planted there would lead us out of it.
 * A kernel without openat2 looks at the last step only. */
#ifndef SC_BENEATH_H
#define SC_BENEATH_H

#include <sys/types.h>

/* As openat with O_CLOEXEC; -1 and errno. ELOOP: a link was in the way. */
int beneath_open(int dir_fd, const char *name, int flags, mode_t mode);

/* As unlinkat for "directory/name": 0, also if there is none; -1 and errno. */
int beneath_unlink(int dir_fd, const char *name);

#endif

/* Room on a disk that others have filled, for an index that cannot be opened without some: its WAL, its shared memory, the first row of
 * a boot. While it is closed nothing else could make any, and so no daemon would start, no hit be served and nothing be removed. */
#ifndef SC_ROOM_H
#define SC_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/log.h"

/* Unlinks objects that were filled longest ago, until about so many bytes are free, and some inodes. Those of runs in progress stay, and
 * those with a second name, which would free nothing. Their rows, which nobody can ask or take away yet, are misses from now on and go like
 * all of those. Looks at a bounded number. Leaves errno alone. False: there was nothing to be had. */
bool room_make(int dir_fd, struct log *log, uint64_t bytes);

#endif

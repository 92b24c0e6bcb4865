/* Copies an entry into sealed files of memory, to be handed to the daemon. It is read as its reader has read it, so what lies in memory is
 * what was printed, in the clear also where the objects are not. Called by get_hit.c when all is printed. */
#ifndef SC_LOAD_H
#define SC_LOAD_H

#include <stddef.h>

#include "cmd/source.h"

struct msg;

/* hit: HIT, for lengths and sums. fds: stdout's, and stderr's if it has any; the caller's. SC_ECORRUPT: the bytes are others, or fewer ·
 * SC_ESYS: they cannot be read, or there is no memory · SC_ENOMEM. From here on this process ignores SIGXFSZ: a limit on files is one on
 * files of memory, too, and no reason to die when all is printed. */
int load_entry(const struct source *from, const struct msg *hit, int fds[2], size_t *n);

#endif

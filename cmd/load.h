/* Copies an entry into sealed files of memory, to be handed to the daemon. It is held against its sums or, where it is sealed, opened, and lies in
 * memory in the clear. Called by get_hit.c when all is printed. */
#ifndef SC_LOAD_H
#define SC_LOAD_H

#include <stddef.h>

struct msg;

/* hit: HIT, for lengths, sums and keys; objects: what came with it. fds: stdout's, and stderr's if it has any; the caller's. SC_ECORRUPT: the bytes
 * are others, or fewer · SC_ESYS: they cannot be read, or there is no memory · SC_ENOMEM. From here on this process ignores SIGXFSZ: a limit
 * on files is one on files of memory, too, and no reason to die when all is printed. */
int load_entry(const struct msg *hit, const int *objects, size_t nobjects, int fds[2], size_t *n);

#endif

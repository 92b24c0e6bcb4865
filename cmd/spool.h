/* Bytes that are kept aside in a file without a name: our stdin, read to its end before anything else; what a command prints
 * that may turn out not to be wanted. Gone with the last descriptor, however we end. */
#ifndef SC_SPOOL_H
#define SC_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "lib/digest.h"

/* A new one, open for reading and writing: in the directory dir_fd (-1: none), else in $TMPDIR, /tmp or /var/tmp. The descriptor
 * is close-on-exec; SC_ESYS: nowhere. */
int spool_make(int dir_fd, int *fd);

/* Reads our stdin to its end; a closed one is empty. Appends it to the spool (-1: kept nowhere) and hashes it. SC_ESYS,
 * SC_ENOMEM; *reading says whether it was stdin that could not be read. */
int spool_take_stdin(int fd, uint8_t hash[SC_DIGEST_SIZE], int *reading);

/* All n bytes at its end. SC_ESYS. */
int spool_append(int fd, const void *bytes, size_t n);

/* A description of its own, at the beginning, for reading; close-on-exec. -1 and errno. */
int spool_reopen(int fd);

#endif

/* The file that holds one stream of one generation: objects/ab/<generation>.out and .err. Grows in the open by one writer,
 * is read by many, is only ever appended to and unlinked: its pages may lie in somebody's pipe. Files are 0600 whatever the
 * umask, opened O_NOFOLLOW, and must be regular, ours, and not writable by others. */
#ifndef SC_OBJECT_H
#define SC_OBJECT_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/gen.h"

enum stream { STREAM_OUT = 0, STREAM_ERR = 1 };

#define SC_OBJECT_NAME 48

/* "objects/ab/<32 hex>.out", relative to the cache directory. */
void object_name(const struct gen *g, enum stream s, char out[SC_OBJECT_NAME]);

/* A new empty file, open for appending; makes its directories. *fd is close-on-exec. SC_EBUSY: the name is taken · SC_ESYS. */
int object_create(int dir_fd, const struct gen *g, enum stream s, int *fd);

/* The file `name` of at_dir becomes this object, whole, and keeps its own name until somebody takes that away; makes directories.
 * A link at the end of the name is not followed. SC_EBUSY: the name is taken · SC_ESYS: EXDEV on another file system, EPERM where it
 * cannot be done … */
int object_link(int dir_fd, const struct gen *g, enum stream s, int at_dir, const char *name);

/* Anew, read-only, and so that reading leaves no trace in it. *size: bytes now. SC_ENOENT · SC_EUNSAFE: a link, a FIFO, not
 * ours … · SC_ESYS. */
int object_open(int dir_fd, const struct gen *g, enum stream s, int *fd, uint64_t *size);

/* Whether it is there and could be opened, without doing so. The same results. */
int object_look(int dir_fd, const struct gen *g, enum stream s, uint64_t *size);

/* Whether it has a second name, through which anybody may have changed it unseen. True in doubt. */
int object_is_linked(int fd);

/* SC_ECORRUPT unless both descriptors are the same file, on the same device. */
int object_same(int fd_a, int fd_b);

/* All n bytes at the end of the file, whatever short writes and interrupts there are. SC_ESYS: some of it may be there. */
int object_append(int fd, const void *bytes, size_t n);

/* Both streams; one that is not there is no error. SC_ESYS. */
int object_unlink(int dir_fd, const struct gen *g);

/* The directories of objects, counted from 0: objects/00 … ff. NULL: missing, a link, or not to be opened. */
#define SC_OBJECT_DIRS 256
DIR *object_opendir(int dir_fd, unsigned number);

/* Whether a name in one of them is of our pattern: "<32 hex>.out" or ".err", where its first two digits say. */
bool object_is_name(unsigned number, const char *name, struct gen *g);

/* The error stream is a row of records: u64 position in the output, u32 length, both little-endian, and that many bytes.
 * A record is to be printed when exactly `position` bytes of output have been. */
#define SC_RECORD_HEAD 12

struct record {
	uint64_t position; /* never less than the one before */
	uint32_t length;   /* 1 … SC_RECORD_MAX */
};

void record_encode(const struct record *r, uint8_t out[SC_RECORD_HEAD]);
int record_decode(struct record *r, const uint8_t in[SC_RECORD_HEAD]); /* SC_ECORRUPT: a length out of bounds */

#endif

/* Bytes that are kept aside in a file without a name: our stdin, read to its end before anything else; what a command prints
 * that may turn out not to be wanted; what a run prints that is stored nowhere, until we may print it. Gone with the last descriptor,
 * however we end.
 *
 * Clear, or sealed: then the file has frames (FORMAT.md) under a key that is made for this spool alone, lies in the memory of this process
 * and those it forks, and goes with them: no byte of what was put in ever stands in a file. A sealed one is read from the beginning to
 * the end, once by each process. */
#ifndef SC_SPOOL_H
#define SC_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/digest.h"

struct sealed_reader;
struct sealed_writer;

/* Whoever makes one releases it, or ends. A fork has a copy of all of it. */
struct spool {
	int fd;			      /* -1: there is none */
	uint64_t size;		      /* how many bytes were put into it: plain ones, also where it is sealed */
	struct sealed_writer *writer; /* of a sealed one: until it has ended … */
	struct sealed_reader *reader; /* … and as long as nobody has taken it away. NULL: it is clear */
};
#define SPOOL_NONE       \
	{                \
		.fd = -1 \
	}

bool spool_is_made(const struct spool *s);
bool spool_is_sealed(const struct spool *s);

/* A new one: in the directory dir_fd (-1: none), else in $TMPDIR, /tmp or /var/tmp. The descriptor is open for reading and writing and
 * close-on-exec. SC_ESYS: nowhere, or no memory or randomness for its key; then there is none. */
int spool_make(struct spool *s, int dir_fd, bool sealed);

/* There is none any more, and of its key nothing is left in this process. Again, or of none: nothing. */
void spool_release(struct spool *s);

/* All n bytes at its end. SC_ESYS: nothing more may be put in. */
int spool_append(struct spool *s, const void *bytes, size_t n);

/* Nothing more will be put in, and nothing more can be; of a clear one its size is now what stands in the file, whoever wrote it.
 * SC_ESYS. */
int spool_end(struct spool *s);

/* At least one and at most n of the bytes at a position: *got. SC_ECORRUPT: none were put in there, or they are not there any more as they
 * were · SC_ESYS (EINTR: a signal came first). */
int spool_read(const struct spool *s, uint64_t at, void *bytes, size_t n, size_t *got);

/* Reads our stdin to its end; a closed one is empty. Appends it to the spool (to none: it is kept nowhere), ends that, and hashes it. SC_ESYS,
 * SC_ENOMEM; *reading says whether it was stdin that could not be read. */
int spool_take_stdin(struct spool *s, uint8_t hash[SC_DIGEST_SIZE], int *reading);

/* Of a clear one: a description of its own, at the beginning, for reading; close-on-exec. -1 and errno. */
int spool_reopen(const struct spool *s);

/* All n bytes at the end of any file, which need not be a spool: over the limit on a file's size is an error here, and no signal. SC_ESYS. */
int spool_append_file(int fd, const void *bytes, size_t n);

#endif

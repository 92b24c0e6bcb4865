/* A sealed stream as a file that grows: the head, then frames, each appended whole by the one writer and read whole by each reader
 * (FORMAT.md). What is in it is counted in bytes of plaintext, so that nothing outside of capture.c and source.c knows the difference; how long
 * the file is only the writer knows.
 *
 * A reader goes from the beginning to the end, once. It gives out nothing of a frame before all of it is verified, and never looks at what
 * lies behind the frame it needs as more than a guess: a writer may be at it. */
#ifndef SC_SEALED_H
#define SC_SEALED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/gen.h"
#include "lib/object.h"
#include "lib/seal.h"

struct checksum;

/* The keys of a generation's two streams, by enum stream: what a writer and a reader are given. */
#define SC_SEALED_KEYS 2

/* Those that came with a message, into keys; this process is not looked into any more. False: none came, the objects are clear. */
bool sealed_keys(struct bytes from, struct seal_key keys[SC_SEALED_KEYS]);

/* ---- writing ---- */

struct sealed_writer;

/* NULL: no memory. Keys are copied, and wiped when it is freed. */
struct sealed_writer *sealed_writer_new(const struct gen *g, enum stream s, const struct seal_key *key);
void sealed_writer_free(struct sealed_writer *w);

/* n bytes, in frames as few as may be, behind what was written; what goes to the file is added to `sum` (NULL: to none). *size: how long the file is then. SC_ESYS:
 * some of it may be there, behind what counts; nothing may be written after that. */
int sealed_write(struct sealed_writer *w, int fd, const void *plain, size_t n, struct checksum *sum, uint64_t *size);

/* How much longer n more bytes make the file, at most. */
uint64_t sealed_growth(const struct sealed_writer *w, size_t n);

/* The final frame: what was written is all of it. The same results. */
int sealed_end(struct sealed_writer *w, int fd, struct checksum *sum, uint64_t *size);

/* All of a stream at once, as a file of which seal_size tells: *n bytes of plaintext, and then of what is returned, which is the caller's to free. NULL:
 * no memory. */
uint8_t *sealed_whole(const struct gen *g, enum stream s, const struct seal_key *key, const void *plain, size_t *n);

/* ---- reading ---- */

struct sealed_reader;

struct sealed_reader *sealed_reader_new(const struct gen *g, enum stream s, const struct seal_key *key);
void sealed_reader_free(struct sealed_reader *r);

/* At least one and at most n of the bytes of plaintext at a position, which is never before one that was read. SC_ECORRUPT: what lies there
 * is not what was sealed, or is not there · SC_ESYS. */
int sealed_read(struct sealed_reader *r, int fd, uint64_t at, void *bytes, size_t n, size_t *got);

/* Of a finished one, all of which has been read: 0 if it ends here, at so many bytes of plaintext. SC_ECORRUPT · SC_ESYS. */
int sealed_is_whole(struct sealed_reader *r, int fd, uint64_t len);

#endif

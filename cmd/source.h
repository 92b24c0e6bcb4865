/* Where the bytes of a run lie for a reader: in its objects; of a streaming-only run those behind the objects' ends in the page's ring,
 * as long as the writer waits for us; and, if nothing may be printed before the run has succeeded, in a spool of our own.
 *
 *   0 ───── object ───── spill ───── ring (or spool) ───── length
 *
 * Objects may be sealed, and so is a spool then. Positions and lengths are of what the command printed either way. */
#ifndef SC_SOURCE_H
#define SC_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/spool.h"
#include "lib/object.h"

struct gen;
struct page;
struct page_view;
struct seal_key;
struct sealed_reader;

struct source {
	int fd[2];			 /* the objects, the caller's; the error stream's -1: there is none */
	struct sealed_reader *sealed[2]; /* owned; NULL: the object is clear */
	struct page *page;		 /* of a streaming-only run, the caller's; else NULL */
	uint64_t spill[2];
	struct spool spool[2];
	uint64_t spooled[2]; /* … needed behind this position; SC_FOREVER: nowhere, all of it is in the objects */
};

void source_init(struct source *s, int out_fd, int err_fd);
void source_release(struct source *s);

/* A spool that has ended instead of objects, all of it stdout; its descriptor stays the caller's, what opens it becomes ours. */
void source_init_spool(struct source *s, struct spool *spool);

/* The objects are sealed, as streams of this generation under these keys (by enum stream): read from the beginning, each byte once. SC_ENOMEM. */
int source_unseal(struct source *s, const struct gen *g, const struct seal_key *keys);
bool source_is_sealed(const struct source *s);

/* Of a finished one, when all of a stream has been read, so many bytes: 0 if that is all there was. Of a clear one it always is. SC_ECORRUPT · SC_ESYS. */
int source_is_whole(const struct source *s, enum stream stream, uint64_t len);

/* All of a finished stream, read from its beginning to its end: 0, or as source_is_whole. Nothing of it can be read afterwards. */
int source_prove(const struct source *s, enum stream stream, uint64_t len);

/* The run is streaming-only from v->out_spill and v->err_spill on. Again: nothing. */
void source_spill(struct source *s, struct page *page, const struct page_view *v);

/* Of the n bytes of a stream at a position, how many lie in its object as they are, one after the other from there. */
uint64_t source_in_object(const struct source *s, enum stream stream, uint64_t at, uint64_t n);

/* Whether the writer did not wait for us any longer: of what lies behind these positions something is gone. */
bool source_is_overtaken(const struct source *s, uint64_t out_pos, uint64_t err_pos);

/* At least one and at most n of the next bytes: *got. SC_ECORRUPT: there are none · SC_ENOENT: the writer did not wait for us any
 * longer · SC_ESYS (EINTR: a signal came first). */
int source_read(const struct source *s, enum stream stream, uint64_t at, void *bytes, size_t n, size_t *got);

/* Takes what has come through the ring into the spool, so that the writer need not wait for us. As source_read; SC_ESYS also when there
 * is no room for it. */
int source_keep(struct source *s, uint64_t out_len, uint64_t err_len);

#endif

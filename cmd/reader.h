/* 5 READ: copies an object to our own stdout (or what -o puts in its place) and stderr, and is the only way there. Reads up to a
 * length it is told and never takes an end of file for the end; does not know who writes, or whether anybody still does. */
#ifndef SC_READER_H
#define SC_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/source.h"

struct again;

enum read_method { READ_UNDECIDED, READ_SPLICE, READ_SENDFILE, READ_RANGE, READ_COPY };

struct reader {
	struct source from;
	int to_fd;		   /* where stdout goes; 1 */
	bool to_ours;		   /* a file that nobody else has open, written from its beginning */
	uint64_t out_pos, err_pos; /* how far they have been printed; err_pos counts whole records, with their heads */
	uint64_t err_bytes;	   /* printed to stderr */
	enum read_method method;
	struct record record; /* the next one, if has_record */
	int has_record;
	int error;	     /* errno of the write or read that failed */
	bool mute;	     /* stdout cannot be written: pass its bytes over, print only stderr */
	uint64_t printed;    /* bytes of stdout that really went out */
	struct again *again; /* not NULL: a second run, of which we have printed so much of the first */
	bool held;	     /* nothing is printed yet */
	bool skip;	     /* stdout is not wanted, or there already */
};

enum read_result {
	READ_ALL = 0,	    /* everything up to the given lengths is printed */
	READ_MORE,	    /* a piece is printed and there is more: call again */
	READ_INTERRUPTED,   /* a signal came first */
	READ_STDOUT_CLOSED, /* nobody reads our stdout any more */
	READ_CANNOT_WRITE,  /* `error` */
	READ_CANNOT_READ,   /* `error`; 0: the object is shorter than its length, or contradicts itself */
	READ_DIFFERS,	    /* a second run that is not like the first */
	READ_OVERTAKEN,	    /* a streaming-only run did not wait for us any longer */
};

/* The descriptors stay the caller's. */
void reader_init(struct reader *r, int out_fd, int err_fd);
void reader_release(struct reader *r);

/* As source_init_spool. */
void reader_init_spool(struct reader *r, struct spool *spool);

/* The objects are sealed under these keys (by enum stream). SC_ENOMEM. */
int reader_unseal(struct reader *r, const struct gen *g, const struct seal_key *keys);

/* What is read is a second run: nothing is printed until it has come to where we are. `again` stays the caller's. */
void reader_go_on(struct reader *r, struct again *again);

/* Stdout goes elsewhere. */
void reader_redirect(struct reader *r, int to_fd, bool to_ours);

/* Of a finished object before anything is printed: into a file of ours all of it at once, where that costs nothing (a reflink), or
 * room for it. Whatever comes of it, reader_advance does the rest. */
void reader_prepare(struct reader *r, uint64_t out_len);

/* The run has become streaming-only: what lies behind the objects' ends is read from the ring. The page stays the caller's, and must
 * outlive the reader. */
void reader_spill(struct reader *r, struct page *page, const struct page_view *v);

/* How far this reader has got, of what there is according to the lengths: what the writer waits for. One that is held keeps nobody
 * waiting: what is in the objects will still be there. */
void reader_position(const struct reader *r, uint64_t out_len, uint64_t err_len, uint64_t *out_pos, uint64_t *err_pos);

/* Until this is called a reader that is `held` prints nothing. Not succeeded: only its stderr. */
void reader_let_go(struct reader *r, bool succeeded);

/* After READ_CANNOT_WRITE: the rest of stdout is passed over without a word, stderr goes on. */
void reader_mute(struct reader *r);

/* Prints what is there between what has been printed and these lengths, each record of the error stream where it belongs. Blocks
 * as long as stdout does, but comes back after each piece, so that a follower's position moves with its bytes. */
enum read_result reader_advance(struct reader *r, uint64_t out_len, uint64_t err_len);

/* The same of a finished object, to its end. */
enum read_result reader_print(struct reader *r, uint64_t out_len, uint64_t err_len);

/* When a run has ended and all of it has been read: a second run that printed less than the first is READ_DIFFERS. */
enum read_result reader_finish(struct reader *r);

#endif

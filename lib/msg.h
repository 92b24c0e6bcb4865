/* One message in memory, and its way into a frame and out of one. There is one struct for all messages: a field has the same
 * name, kind and bound wherever it occurs, and msg.c's tables say which message carries which, in which order. */
#ifndef SC_MSG_H
#define SC_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/checksum.h"
#include "lib/gen.h"
#include "lib/proto.h"

struct msg {
	enum msg_type type;

	uint64_t version, flags, reason, outcome, kind;
	struct bytes build, bucket, key, text;
	struct bytes tags;	       /* lib/tags.h */
	struct bytes command;	       /* ASK: a digest of the command line; RECORD: keyed once more; empty: not known */
	struct bytes shown;	       /* the command's words, a NUL behind each; cut off at SC_SHOWN_MAX */
	struct bytes chain;	       /* generations the sender runs inside of, 16 bytes each */
	struct gen gen;		       /* the run it is about */
	uint64_t order;		       /* its order number */
	uint64_t ttl;		       /* ms it may live; SC_FOREVER; SC_TTL_UNSET in ASK: the daemon's default */
	uint64_t accept;	       /* ASK: oldest acceptable age in ms */
	uint64_t stale;		       /* ms it may be served beyond that while it is renewed; SC_TTL_UNSET as with ttl */
	uint64_t keep;		       /* ms a failure may be kept, and served; SC_TTL_UNSET as with ttl */
	uint64_t age;		       /* ms since it finished (HIT) or began (FOLLOW) */
	uint64_t estimate;	       /* ms the last run of this key took; SC_FOREVER: not known */
	uint64_t exit, signal;	       /* of the command; signal 0: it exited */
	uint64_t out_len, err_len;     /* bytes of the two streams; ROW, GROWN: of their objects */
	uint64_t out_size, err_size;   /* DONE: bytes of the objects, more than of the streams where sealed */
	struct bytes keys;	       /* of the two streams, SC_KEYS_SIZE bytes; empty: they are clear */
	struct bytes sealed;	       /* SEALED_RECORD: by which key, and what it says */
	struct bytes out_sum, err_sum; /* XXH3-128 of the objects, 16 bytes */
	uint64_t slot;		       /* the reader slot to try first */
	uint64_t lag_least, lag_most;  /* FLIGHT: bytes its fastest and slowest reader are behind; SC_FOREVER: none */
	uint64_t count;		       /* how many (readers, flights, removed …) */
	uint64_t pid, leader;	       /* for people to read; nothing is ever signalled by it */
	uint64_t error;		       /* an errno */
	uint64_t created;	       /* Unix ms, for people to read */
	uint64_t uptime, entries, conns, bytes;
	uint64_t hits; /* ENTRY: how often it was served */
	uint64_t row;  /* where among the rows of the index */
	uint64_t bad;  /* REPORT: entries that were given out and found bad */
};

#define SC_TTL_UNSET (UINT64_MAX - 1)

/* Appends length and array: a whole frame. Fields over their bound are a BUG. SC_ENOMEM, SC_ETOOBIG. */
int msg_encode(struct buf *out, const struct msg *m);

/* frame: the array without the length. Byte fields point into it. Fields behind the last known one are ignored. SC_EPROTO:
 * unknown type, missing field, wrong kind, out of bounds. Who sent it is for the caller to judge: msg_senders. */
int msg_decode(struct msg *m, const void *frame, size_t n);

/* How many descriptors may come with a message: the least and the most. Which of them it is, the message itself says:
 * HIT by err_len, REGISTER by pid (not zero: one more). */
void msg_fds(enum msg_type type, unsigned *least, unsigned *most);
unsigned msg_fd_count(const struct msg *m);
unsigned msg_senders(enum msg_type type); /* SENDER_* bits; 0 for an unknown type */
const char *msg_name(enum msg_type type); /* "ASK"; "?" for an unknown type */

/* Is it a bucket's name: 1 to SC_BUCKET_MAX of a-z 0-9 . _ - */
bool msg_is_bucket(struct bytes name);

/* The table as text, one message a line, "ASK 10 client bucket key flags …": what the test holds PROTOCOL.md against. */
const char *msg_describe(size_t i, char *out, size_t size); /* NULL past the end */

#endif

/* What has become of a key, said once where it happens, and passed to those who keep account: stats.c counts it, watch.c tells those who
 * watch, history.c remembers it. Nobody else is called by those places, so that a run or an entry has one story. */
#ifndef SC_EVENT_H
#define SC_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/gen.h"
#include "lib/proto.h"

struct daemon;
struct gone;

struct event {
	enum event_kind kind;
	struct bytes bucket, key;
	struct gen gen; /* of the run or the entry; HOLD, RELEASE: of the lease */
	uint64_t order;
	uint32_t exit, signal;	   /* COMMIT, FAIL */
	uint64_t out_len, err_len; /* bytes of its output, as far as they are known: COMMIT, FAIL, END, and entries that go */
	uint64_t ttl_ms;	   /* COMMIT; else SC_FOREVER */
	uint64_t reason;	   /* END: enum unkept; REMOVE: REMOVED_* */
	unsigned flags;		   /* EVENT_* */
	int error;
	bool sealed; /* its key is not to be written down in the clear */
};

/* It has happened, a moment ago: what it is about has left the tables, or is in them. The bytes are the caller's. Changes nothing that
 * the caller could be in the middle of. */
void event_tell(struct daemon *d, const struct event *e);

/* The index's (index_on_gone): an entry has gone. arg: the daemon. A kept failure that goes is no event, and is not counted: its key is as
 * it was for all who do not ask for failures. */
void event_gone(void *arg, const struct gone *g);

#endif

/* What became of recent keys: of each the last thing that happened to its run or its entry, and why the last question was a miss. For
 * `explain`, and so that the next miss can say why it is one. New pages of it lie in memory, and go to the index in batches: a killed daemon
 * forgets the last ones, and nothing else. */
#ifndef SC_HISTORY_H
#define SC_HISTORY_H

#include <stdbool.h>

#include "lib/buf.h"
#include "lib/proto.h"

struct conn;
struct daemon;
struct event;
struct msg;
struct cause;

int history_open(struct daemon *d); /* SC_ENOMEM */
/* What is in memory goes to the index: before that closes. */
void history_save(struct daemon *d);
/* Behind the index's end. */
void history_close(struct daemon *d);

/* event.c's. */
void history_note(struct daemon *d, const struct event *e);

/* A question about this key was a miss, a moment ago. CAUSE_NEVER: there was nothing, which is explained by what became of the last one, if
 * that is known. sealed: the key is not to be written down in the clear; nor is one of which that has been said before. */
void history_missed(struct daemon *d, struct bytes bucket, struct bytes key, bool sealed, struct cause why);

/* What there is was given, a moment ago, to somebody who asked with another command than that which made it. */
void history_other(struct daemon *d, struct bytes bucket, struct bytes key, bool sealed);

/* Of an errno that kept a run from being stored. */
enum cause_kind history_of_errno(int error);

/* The answer to EXPLAIN, all of it. */
void history_explain(struct conn *c, const struct msg *m);

#endif

/* A key that somebody runs, holds or waits for: its flights, its lease, a line of peers that are asked again whenever something about it has
 * changed, those that may lead a lost run again, and what is remembered of its last runs for a while. Lives as long as it has any of
 * them. */
#ifndef SC_DAEMON_KEY_H
#define SC_DAEMON_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/table.h"
#include "lib/buf.h"

struct conn;
struct daemon;
struct flight;
struct lease;

/* What is remembered. */
enum memo {
	MEMO_UNKEPT, /* what a run of it printed could not be stored, because of an errno: for SC_UNKEPT_MS, of SC_UNKEPT_MAX keys */
	MEMO_QUIET, /* its entry's renewal has failed: for SC_QUIET_MS, of SC_QUIET_MAX keys */
	MEMOS
};

struct key {
	struct lease *lease;	/* whose it is to say what the key is; NULL: nobody's */
	struct flight *flights; /* doomed ones too */
	struct conn *waiters;	/* first come first */
	unsigned heirs;		/* peers that have lost a run of it, can lead, and have not asked again yet */
	struct {
		uint64_t until_ms; /* of clock_run_ms; 0: nothing is remembered */
		int error;	   /* the errno of it, or 1 */
		struct key *next, *prev;
	} memo[MEMOS];
	size_t id_len;
	UT_hash_handle hh;
	uint8_t id[]; /* bucket, NUL, key */
};

struct key *key_find(struct daemon *d, struct bytes bucket, struct bytes key); /* NULL: nobody runs it or waits for it */
struct key *key_get(struct daemon *d, struct bytes bucket, struct bytes key);  /* made if it is not there; NULL: no memory */
void key_drop_if_unused(struct daemon *d, struct key *k);

/* Puts a peer at the end of the line. SC_ENOMEM. */
int key_wait(struct daemon *d, struct conn *c, struct bytes bucket, struct bytes key);
/* Takes it out, if it is in one. */
void key_leave(struct conn *c);

/* A peer that has just lost a run of this key; nothing if it cannot lead. It is none any more when it has asked again, has left or
 * is gone: key_drop_heir, after its answer. When the last one is none, the waiters are asked again. */
void key_add_heir(struct key *k, struct conn *c);
void key_drop_heir(struct conn *c);

/* Asks every waiter again (answer_again), in their order; each takes itself out of the line and perhaps back in at its end. The
 * key goes if nothing is left of it. */
void key_changed(struct daemon *d, struct key *k);

/* error: what is remembered, not 0. The oldest keys are forgotten when there are too many. */
void key_remember(struct daemon *d, struct key *k, enum memo what, int error, uint64_t now_ms);
int key_recall(const struct key *k, enum memo what, uint64_t now_ms); /* that error; 0: nothing is known */
/* The ids of all keys of the bucket (n 0: of every one) that begin so, one behind the other, each behind its length (a size_t).
 * SC_ENOMEM. */
int keys_beginning(struct daemon *d, struct bytes bucket, struct bytes prefix, struct buf *ids);

/* It may be tried anew. */
void key_forget(struct daemon *d, struct bytes bucket, struct bytes key, enum memo what);

/* Of all keys: the daemon goes. */
void keys_forget_all(struct daemon *d);

#endif

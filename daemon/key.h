/* A key that somebody runs or waits for: its flights, a line of peers that are asked again whenever something about it has
 * changed, those that may lead a lost run again, and whether what it prints could not be stored a moment ago. Lives as long as
 * it has any of them. */
#ifndef SC_DAEMON_KEY_H
#define SC_DAEMON_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/table.h"
#include "lib/buf.h"

struct conn;
struct daemon;
struct flight;

struct key {
	struct flight *flights;	  /* doomed ones too */
	struct conn *waiters;	  /* first come first */
	unsigned heirs;		  /* peers that have lost a run of it, can lead, and have not asked again yet */
	uint64_t unkept_until_ms; /* of clock_run_ms; 0: its last run could be stored, as far as one knows */
	int unkept_error;	  /* … or could not, because of this errno */
	struct key *unkept_next, *unkept_prev;
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

/* What a run of it prints could not be stored: known for SC_UNKEPT_MS, of the last SC_UNKEPT_MAX keys. */
void key_set_unkept(struct daemon *d, struct key *k, int error, uint64_t now_ms);
int key_unkept(const struct key *k, uint64_t now_ms); /* that errno; 0: nothing is known against it */
/* The ids of all keys of the bucket that begin so, one behind the other, each behind its length (a size_t). SC_ENOMEM. */
int keys_beginning(struct daemon *d, struct bytes bucket, struct bytes prefix, struct buf *ids);

/* It may be tried anew. */
void key_forget_unkept(struct daemon *d, struct bytes bucket, struct bytes key);

/* All of them: the daemon goes. */
void keys_forget_unkept(struct daemon *d);

#endif

/* One peer: frames in, a bounded queue of frames and descriptors out, and what it takes part in. The file conn.c owns the
 * socket and both queues; dispatch.c and flight.c read and set the fields below. Closed in two phases: conn_close takes it out
 * of everything at once, its memory goes when the loop has let go of it. */
#ifndef SC_CONN_H
#define SC_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/decide.h"
#include "daemon/index.h"
#include "daemon/keyring.h"
#include "lib/limits.h"
#include "lib/msg.h"

struct daemon;
struct flight;

/* How far a peer has got: a column of the dispatch table. */
enum conn_state {
	CONN_NEW = 1,	     /* nothing but HELLO may come */
	CONN_READY = 2,	     /* a client that may ask */
	CONN_WAITING = 4,    /* asked, was told to wait */
	CONN_READING = 8,    /* follows or replays */
	CONN_WRITING = 16,   /* a writer: the flight's own connection */
	CONN_LISTING = 32,   /* rows are on their way to it */
	CONN_STOPPING = 64,  /* asked the daemon to stop */
	CONN_HOLDING = 128,  /* holds a key, or begins to */
	CONN_WATCHING = 256, /* is told of events */
};

/* What an ASK said, kept while it is unanswered. */
struct ask {
	struct question q;
	char bucket[SC_BUCKET_MAX + 1];
	uint8_t key[SC_KEY_MAX];
	size_t key_len;
	uint64_t ttl_ms, stale_ms, keep_ms; /* of what it may lead; resolved */
	uint64_t estimate_ms;		    /* how long the last run took; SC_FOREVER: not known */
	bool finish, detached;
	char tags[SC_TAGS_SIZE + 1];	  /* the same */
	uint8_t command[SC_COMMAND_SIZE]; /* cmdline.h */
	struct sealed_by sealed;	  /* what it makes is to be; none: it need not */
	bool given;			  /* the object is there already, as that of … */
	struct gen gen;			  /* … this generation */
	bool early;			  /* waits only because readers from before us may still come back */
	struct gen chain[SC_CHAIN_MAX];
	size_t nchain;
};

/* Where a listing has got to. */
struct listing {
	char bucket[SC_BUCKET_MAX + 1];
	uint8_t prefix[SC_KEY_MAX];
	size_t prefix_len;
	struct cursor at;     /* among entries */
	bool flights;	      /* of flights, not of entries; when there are no more … */
	bool leases;	      /* … of leases */
	bool stats;	      /* of buckets' counters: then `bucket` is the last one that was sent */
	uint64_t after_order; /* … then this is where */
	uint64_t sent;
};

struct conn {
	struct daemon *d;
	enum conn_state state;
	struct conn *next, *prev; /* in daemon.conns */

	struct ask *ask;		    /* owned; while CONN_WAITING */
	struct conn *wait_next, *wait_prev; /* in the key's line of waiters */
	struct key *waits_for;

	bool can_lead;	     /* it has a command, its last question said */
	struct key *heir_of; /* the key of a run it has lost, until it asks again */

	struct flight *reads; /* the flight this peer is a reader of */
	bool began;	      /* … and that it was told to lead */
	struct conn *reads_next, *reads_prev;

	struct gen holds; /* the generation it was given to read: it is not evicted meanwhile */

	struct hot_row *hot;  /* hot.c's: what it was given of memory, … */
	struct hot_row *load; /* … and what it was asked to put there */

	struct flight *leads; /* the flight this peer writes */
	struct lease *lease;  /* what this peer holds */
	bool blameless;	      /* closed because we could not hear it */

	struct listing *listing; /* owned; while CONN_LISTING */
	struct chore *chore;	 /* chore.c's; while the index is at it */
	struct watcher *watch;	 /* watch.c's; while CONN_WATCHING */

	/* nesting.c's: what this peer is inside of, known once it was told anything but a hit */
	struct gen *chain; /* owned */
	size_t nchain;
	pid_t session; /* 0: not known */

	uint64_t opened_ms; /* clock_run_ms() */
	pid_t pid;	    /* for the log and for people */

	struct wire *wire; /* conn.c's own half */
};

/* Takes fd (non-blocking from here on). NULL: no memory, fd closed. */
struct conn *conn_open(struct daemon *d, int fd, enum conn_state state);

/* Puts a message into the queue; it leaves at the end of this turn of the loop. Takes the descriptors in every case. A peer
 * with more than SC_QUEUE_MAX waiting is closed. */
void conn_send(struct conn *c, const struct msg *m, const int *fds, size_t nfds);

/* True when nothing waits to be sent. */
bool conn_is_drained(const struct conn *c);

/* Reads what is there and dispatches it: what the loop does when the socket is readable, for a peer just accepted. */
void conn_pump(struct conn *c);

/* Sends what this turn has queued, everywhere. */
void conn_flush_all(struct daemon *d);

/* First phase of the end: told to dispatch_gone, taken out of the loop, socket shut. `why` goes to the log if it is a fault. */
void conn_close(struct conn *c, const char *why);

/* The same, after what is queued has been sent, as far as the socket takes it at once. */
void conn_close_told(struct conn *c);

#endif

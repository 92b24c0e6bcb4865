/* What belongs to one daemon: one cache directory, one lock, one loop. Made by main.c, handed to every module; nothing else
 * is shared between them. */
#ifndef SC_DAEMON_H
#define SC_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/config.h"
#include "lib/log.h"
#include "lib/paths.h"

struct uv_loop_s;
struct conn;
struct distrusted;
struct evict;
struct flights;
struct history;
struct hot;
struct index;
struct key;
struct keyring;
struct leases;
struct listener;
struct lockfile;
struct stats;
struct ticker;
struct upkeep;
struct watchers;

struct daemon {
	struct place place;
	struct config config;
	struct log *log;
	struct index *index;
	struct flights *flights;
	struct leases *leases;
	struct evict *evict;
	struct stats *stats;
	struct watchers *watchers;
	struct history *history;
	struct hot *hot;	 /* NULL: nothing is kept in memory */
	struct keyring *keyring; /* master keys */
	struct key *keys;	 /* those that are run, waited for, or remembered … */
	struct memos {
		struct key *first; /* … for this, oldest first */
		unsigned n;
	} memos[2]; /* MEMOS */
	struct uv_loop_s *loop;
	struct lockfile *lock;
	struct listener *listener;
	struct upkeep *upkeep;
	struct distrusted *distrusted; /* entries found bad that the index has not removed yet */
	unsigned ndistrusted;
	uint64_t nbad; /* entries found bad since our start */
	uint8_t boot_id[16];
	uint64_t order;	     /* the highest order number given to a run */
	uint64_t started_ms; /* clock_now().boot_ms */

	struct conn *conns; /* every open connection */
	unsigned nconns;
	struct conn *dirty; /* those with something to send this turn */

	struct ticker *idle;	 /* runs while there is neither a connection nor a flight */
	struct ticker *expiry;	 /* the next row's end of life */
	struct ticker *greeting; /* the next handshake's bound */
	struct ticker *pulse;	 /* steps the loop while somebody waits for an answer, so that it can tell us from a hung one */
	unsigned nwaiting;	 /* answers that somebody waits for */
	unsigned drain;		 /* marked flights that still go on … */
	bool draining;		 /* … and when none is left, stop */
	bool visited;		 /* somebody has connected */
	bool expiring;		 /* the index is at it */
	bool stopping;		 /* connections end because we go: the flights behind them do not */
};

/* The next moment at which nothing is left to do, or something has changed that decides about it: looks at conns, flights and
 * drain, and arms or stops the idle ticker. */
void daemon_reckon(struct daemon *d);

/* Ends the loop as after SIGTERM: listener closed, index synced, socket unlinked, lock released. Flights go on. */
void daemon_stop(struct daemon *d, const char *why);

/* Somebody waits for an answer that nothing may move the loop for a long time for: from owe to paid it steps by itself, or it would
 * be taken for hung. */
void daemon_owe(struct daemon *d);
void daemon_paid(struct daemon *d);

/* Counts one step of work for who wonders whether we hang: at each turn of the loop, and within one at each message, answer and
 * ended run, because on a slow disk a turn with hundreds of them takes longer than anybody's patience. */
void daemon_step(struct daemon *d);

/* Arms the expiry ticker for the row that ends first. */
void daemon_arm_expiry(struct daemon *d);

#endif

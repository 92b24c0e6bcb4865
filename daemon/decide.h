/* What an ASK is answered with: the question, what is known of its key, and nothing else. Pure: no clock, no table, no
 * message. The callers gather `known` and carry out the verdict. */
#ifndef SC_DECIDE_H
#define SC_DECIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/proto.h"

struct question {
	bool has_command;   /* may be told to lead */
	bool refresh;	    /* only a run that began after the question */
	bool finished;	    /* never follow */
	bool wait;	    /* without a command: wait for the key to begin to exist */
	bool put;	    /* it has the result itself and only wants to lead */
	bool if_absent;	    /* … and only where there is nothing yet */
	bool lost;	    /* it has just lost a run of this key */
	uint64_t order;	    /* the highest order number given out when it was asked */
	uint64_t accept_ms; /* the oldest entry it takes; 0: none at all */
	uint64_t stale_ms;  /* how much older it may be while it is renewed */
	uint64_t keep_ms;   /* the oldest kept failure it takes; 0: none */
	bool hold;	    /* it wants to hold the key; `wait`: when nobody else does any more */
	bool renew;	    /* it was given a stale entry and has a command: leads its renewal if nobody else does */
};

/* The run newcomers would join: the newest of the key that is not doomed. */
enum run {
	RUN_NONE,
	RUN_AWAITED,  /* known from its file; its writer has not registered with this daemon yet */
	RUN_GOING,    /* running, or being committed: its page tells when it ends */
	RUN_STOPPING, /* its command is being stopped */
};

/* Of a key that somebody holds. */
enum held {
	HELD_NOT,
	HELD_BEGUN, /* its VALUE is not whole yet */
	HELD_THERE,
};

struct known {
	enum held held;
	bool has_entry;	 /* an entry with a known age, not from the future */
	uint64_t age_ms; /* of that entry */
	uint64_t ttl_ms; /* its own */
	uint64_t stale_ms;
	bool has_failure; /* a kept one with a known age; looked for only if the entry is not fresh and failures are taken */
	uint64_t failure_age_ms, failure_ttl_ms;
	bool quiet; /* the entry's renewal has failed a moment ago */
	enum run run;
	uint64_t run_order;
	unsigned runs; /* of this key, the doomed ones too */
	unsigned live; /* … without them */
	int unkept;    /* errno: what a run of it prints could not be stored a moment ago. 0: as far as one knows it can */
	bool heirs;    /* somebody may be about to lead a lost run of it again */
	bool nested;   /* the asker would wait for itself */
};

enum verdict_kind {
	VERDICT_HIT,
	VERDICT_STALE,
	VERDICT_FAILURE,
	VERDICT_FOLLOW,
	VERDICT_LEAD,
	VERDICT_WAIT,
	VERDICT_MISS,
	VERDICT_NESTED,
	VERDICT_ALONE,
	VERDICT_EXISTS,
	VERDICT_HELD,  /* somebody holds it, and what is asked for cannot be beside that */
	VERDICT_VALUE, /* … and this is what is asked for */
	VERDICT_HOLD
};

struct verdict {
	enum verdict_kind kind;
	enum wait_reason reason; /* of VERDICT_WAIT */
	bool renew;		 /* of VERDICT_STALE: it has to be renewed, and the asker can */
	bool by_entry;		 /* of VERDICT_EXISTS: because of the entry alone */
};

/* Whether the entry may be given to this asker, leaving runs aside. */
bool decide_is_fresh(const struct question *q, const struct known *k);

struct verdict decide(const struct question *q, const struct known *k);

#endif

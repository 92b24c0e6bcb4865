/* The two queues between the loop and the index thread: what is to be done, and what has been. Knows nothing of SQLite and
 * nothing of what a job means; daemon/index.c alone uses it. Order is kept in both directions.
 *
 *   put ──▶ todo ──▶ take … answer ──▶ done ──▶ collect      loop │ thread │ loop */
#ifndef SC_JOBS_H
#define SC_JOBS_H

#include <pthread.h>
#include <stdbool.h>

#include "daemon/index.h"
#include "lib/buf.h"

enum job_kind {
	JOB_COMMIT,
	JOB_REMOVE,
	JOB_DROP,
	JOB_CLEAR,
	JOB_TOUCH,
	JOB_EXPIRE,
	JOB_DISCARD,
	JOB_VISIT,
	JOB_PROVE,
	JOB_EVICT,
	JOB_RENEW,
	JOB_WALK,
	JOB_DOUBT,
	JOB_SYNC,
	JOB_REMEMBER,
	JOB_FORGET
};

/* Of a commit: what it replaces, and the failure it ends, by whatever keys they are sealed. */
#define JOB_COMMIT_ROOM (2 * (SC_KEYS_MAX + 1))

struct dead {
	int64_t id; /* its row, while it has one */
	struct gen gen;
};

struct job {
	struct job *next;
	enum job_kind kind;
	index_done done; /* may be NULL */
	void *arg;

	/* commit: all of it; remove: bucket and key; touch: those, and ttl_ms; drop, prove: those, failed and gen; discard: gen */
	struct entry e;
	uint64_t max_order;
	struct now now;
	struct visit *visits; /* owned */
	size_t nvisits;
	struct buf pasts;	 /* owned */
	struct eviction *ev;	 /* borrowed */
	struct clearing *cl;	 /* borrowed */
	const char *why;	 /* renew; static */
	unsigned epoch;		 /* renew: of the index that was found corrupt */
	struct walk_order *walk; /* walk: borrowed */

	int status, err; /* err: errno of SC_ESYS */
	uint64_t changed;
	struct buf gone;      /* owned; rows that went: index_row.c packs and tells */
	unsigned ndead, room; /* generations whose objects go; room: how many `dead` has */
	struct dead dead[];
};

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t todo_cond, done_cond;
	struct job *todo, **todo_end, *done, **done_end;
	unsigned pending; /* put and not yet answered */
	bool stopping;
	int event_fd; /* readable while `done` may hold something */
};

/* A job with room for so many dead generations, all else zero. NULL: no memory. */
struct job *job_new(enum job_kind kind, unsigned room, index_done done, void *arg);

void job_free(struct job *j);

int jobs_init(struct jobs *q); /* SC_ESYS */
void jobs_release(struct jobs *q);

void jobs_put(struct jobs *q, struct job *j); /* takes j */

/* The thread's side: sleeps until there are jobs, gives up to `most` of them, linked by next; NULL after jobs_stop. */
struct job *jobs_take(struct jobs *q, unsigned most);
void jobs_answer(struct jobs *q, struct job *j); /* hands j back */
void jobs_stop(struct jobs *q);

/* The loop's side: what has been answered, linked by next, the caller's from then on. */
struct job *jobs_collect(struct jobs *q);
/* Sleeps until something has been answered; false: nothing has and nothing is pending. */
bool jobs_wait(struct jobs *q);

#endif

/* The clock of the walk and of the look at ourselves. Called by main.c; its steps are the index thread's. */
#include "daemon/upkeep.h"

#include <stdlib.h>

#include "daemon/daemon.h"
#include "daemon/index.h"
#include "daemon/listener.h"
#include "daemon/ticker.h"
#include "daemon/trust.h"
#include "daemon/walk.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/limits.h"

/* A file of our pattern that nothing names is left alone for so long after its last change. */
#define GRACE_MS (60 * 1000)
/* The first walk: when what was left behind before our start is that old. */
#define FIRST_MS (GRACE_MS + 5000)
#define DAILY_MS (24 * 60 * 60 * 1000)
/* Between two steps, of 5 ms at most: others have work for the index and the disk. */
#define PAUSE_MS 5
/* Between two looks at ourselves. What the kernel tells us of (listener.c) is noticed at once; a mount over us it does not. */
#define LOOK_MS 10000
#define LOOK_OFTEN_MS 1000

struct request {
	bool only_look;
	upkeep_walked done; /* NULL: there is none */
	void *arg;
};

struct upkeep {
	struct daemon *d;
	struct ticker *look, *walk;
	struct walk_order order;
	struct request waits, has; /* somebody's walk: behind the one under way · under way */
	unsigned epoch;		   /* of the index, when the last walk began */
	uint64_t due_ms;	   /* of clock_run_ms: the next one that nobody has asked for */
	bool index_gone;	   /* at the last look */
	bool walking, stopped;
	bool stepping; /* the index has a step to do */
	bool at_once;  /* what nothing names is in the clear, and was left by nobody but us */
};

static void step(struct upkeep *u);

static uint64_t after(uint64_t ms)
{
	return FAULT("walk") ? 0 : ms;
}

static void begin(struct upkeep *u)
{
	u->has = u->waits;
	u->waits = (struct request){0};
	u->order = (struct walk_order){.only_look = u->has.done && u->has.only_look,
				       .now_wall_ms = clock_now().wall_ms,
				       .grace_ms = after(u->at_once ? 0 : GRACE_MS)};
	u->walking = true;
	/* The next one's time may come before the first step is done, and would have the index take another step of this one behind
	 * its end. */
	ticker_stop(u->walk);
	if (!u->order.only_look) {
		u->epoch = index_epoch(u->d->index);
		u->due_ms = clock_run_ms() + DAILY_MS;
		u->at_once = false;
	}
	KILLPOINT("walk_begun");
	step(u);
}

/* Whoever asked is told, and the next one is appointed. */
static void end(struct upkeep *u, int status)
{
	const struct walk_order *o = &u->order;
	struct request has = u->has;
	uint64_t now = clock_run_ms();

	if (status && !o->only_look)
		u->due_ms = now + GRACE_MS;
	u->has = (struct request){0};
	u->walking = false;
	log_event(u->d->log, "walk", "rows=%llu bad-rows=%llu files=%llu orphans=%llu bytes=%llu%s why=\"%s\"",
		  (unsigned long long)o->rows, (unsigned long long)o->bad_rows, (unsigned long long)o->files,
		  (unsigned long long)o->orphans, (unsigned long long)o->orphan_bytes, o->only_look ? " only-looked" : "",
		  status ? sc_strerror(status) : "");
	KILLPOINT("walk_over");
	if (!u->stopped)
		ticker_start(u->walk, u->due_ms > now ? u->due_ms - now : 0);
	if (has.done)
		has.done(has.arg, status, o);
	if (u->waits.done && !u->stopped)
		begin(u);
}

static void on_step(void *arg, int status, uint64_t changed)
{
	struct upkeep *u = arg;

	(void)changed;
	u->stepping = false;
	if (status || u->order.over || u->stopped)
		end(u, status || u->order.over ? status : SC_EEOF);
	else
		ticker_start(u->walk, PAUSE_MS);
}

static void step(struct upkeep *u)
{
	int rc = index_walk(u->d->index, &u->order, on_step, u);

	u->stepping = rc == 0;
	if (rc)
		end(u, rc);
}

static void on_walk(struct daemon *d, void *arg)
{
	struct upkeep *u = arg;

	(void)d;
	if (u->walking)
		step(u);
	else
		begin(u);
}

static void on_look(struct daemon *d, void *arg)
{
	struct upkeep *u = arg;
	bool gone;

	ticker_start(u->look, listener_watches(d->listener) && !FAULT("walk") ? LOOK_MS : LOOK_OFTEN_MS);
	listener_check(d->listener);
	trust_look(d);
	gone = !index_is_there(d->index);
	/* Not at the first look: somebody may just be removing the directory, and be in need of an empty one. */
	if (gone && u->index_gone)
		index_renew(d->index);
	u->index_gone = gone;
	/* All that was in the old one is an orphan now. */
	if (index_epoch(d->index) != u->epoch && !u->walking)
		begin(u);
}

int upkeep_start(struct daemon *d)
{
	struct upkeep *u = calloc(1, sizeof *u);
	uint64_t first;

	if (!u)
		return SC_ENOMEM;
	d->upkeep = u;
	u->d = d;
	u->look = ticker_new(d, on_look, u);
	u->walk = ticker_new(d, on_walk, u);
	if (!u->look || !u->walk)
		return SC_ENOMEM;
	u->epoch = index_epoch(d->index);
	u->at_once = index_has_left_orphans(d->index);
	first = u->at_once ? 0 : after(FIRST_MS);
	u->due_ms = clock_run_ms() + first;
	ticker_start(u->look, FAULT("walk") ? LOOK_OFTEN_MS : LOOK_MS);
	ticker_start(u->walk, first);
	return 0;
}

void upkeep_stop(struct upkeep *u)
{
	if (!u)
		return;
	u->stopped = true;
	ticker_free(u->look);
	ticker_free(u->walk);
	u->look = u->walk = NULL;
	if (u->walking && !u->stepping)
		end(u, SC_EEOF);
	if (u->waits.done)
		u->waits.done(u->waits.arg, SC_EEOF, &u->order);
	u->waits = (struct request){0};
}

void upkeep_free(struct upkeep *u)
{
	free(u);
}

int upkeep_walk(struct upkeep *u, bool only_look, upkeep_walked done, void *arg)
{
	if (u->waits.done)
		return SC_EBUSY;
	u->waits = (struct request){only_look, done, arg};
	if (!u->walking)
		begin(u);
	return 0;
}

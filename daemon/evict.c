/* Keeps the cache within its limits. A scope is all entries or those of one bucket that `config` has a section for; those in which
 * something has grown are due. Runs count with what they have told, and with what they may write before they tell again.
 *
 * Who reads what is handed to each batch as a snapshot: the thread shares nothing with the loop, and a reader that comes after it
 * was taken finishes from its descriptors. */
#include "daemon/evict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/flight.h"
#include "daemon/table.h"
#include "daemon/ticker.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"

/* Twice as many as are ever taken, so that a free one is near. */
#define VISITS ((size_t)2 * SC_VISITS_MAX)

struct evict {
	struct visit visits[VISITS]; /* not yet told; each at or behind its id's place, id 0: free */
	size_t nvisits;
	uint64_t told_ms; /* when they were told for the last time; 0: never */
	struct ticker *tell;

	struct eviction batch;
	bool busy;    /* it is under way */
	bool working; /* the scope was above a limit */
	bool waiting; /* nothing could go, and some of that is being read */
	int scope;    /* that is at work: an index in config.buckets, ALL, or NONE */
	bool all_due, bucket_due[SC_BUCKETS_MAX];

	bool grown; /* something has, since the file system was measured */
	struct ticker *measure;
	uint64_t fs_size, fs_free, measured_ms; /* 0: never */
};

#define ALL (-1)
#define NONE (-2)

/* ---- visits ---- */

void evict_tell(struct daemon *d)
{
	struct evict *e = d->evict;
	size_t n = 0;

	ticker_stop(e->tell);
	if (!e->nvisits)
		return;
	for (size_t i = 0; i < VISITS; i++)
		if (e->visits[i].id)
			e->visits[n++] = e->visits[i];
	KILLPOINT("before_visits");
	index_visit(d->index, e->visits, n, NULL, NULL); /* without memory they are not counted */
	memset(e->visits, 0, sizeof e->visits);
	e->nvisits = 0;
	e->told_ms = clock_run_ms();
}

static void on_tell(struct daemon *d, void *arg)
{
	(void)arg;
	evict_tell(d);
}

/* They are as many as there may be: told soon. */
static void tell_soon(struct evict *e)
{
	uint64_t passed = clock_run_ms() - e->told_ms;

	ticker_start(e->tell, e->told_ms && passed < SC_VISITS_PAUSE_MS ? SC_VISITS_PAUSE_MS - passed : 0);
}

void evict_visited(struct daemon *d, const struct entry *entry)
{
	struct evict *e = d->evict;
	size_t i = (size_t)entry->id % VISITS;
	struct visit *v;

	while (e->visits[i].id && e->visits[i].id != entry->id)
		i = (i + 1) % VISITS;
	v = &e->visits[i];
	if (v->id == 0 && e->nvisits == SC_VISITS_MAX)
		return;
	e->nvisits += v->id == 0;
	/* A row's id may have gone to another generation meanwhile. */
	if (v->id == 0 || !gen_equal(&v->gen, &entry->gen))
		*v = (struct visit){entry->id, entry->gen, 0};
	v->hits += v->hits < UINT32_MAX;
	if (!ticker_is_running(e->tell))
		ticker_start(e->tell, SC_VISITS_MS);
	if (e->nvisits == SC_VISITS_MAX && v->hits == 1)
		tell_soon(e);
}

uint32_t evict_untold(const struct daemon *d, const struct entry *entry)
{
	const struct evict *e = d->evict;
	size_t i = (size_t)entry->id % VISITS;

	while (e->visits[i].id && e->visits[i].id != entry->id)
		i = (i + 1) % VISITS;
	return e->visits[i].id && gen_equal(&e->visits[i].gen, &entry->gen) ? e->visits[i].hits : 0;
}

/* ---- who reads ---- */

static int list_readers(struct daemon *d, struct eviction *b)
{
	struct conn *c;

	b->nread = 0;
	if (d->nconns == 0)
		return 0;
	b->read = malloc(d->nconns * sizeof *b->read);
	if (!b->read)
		return SC_ENOMEM;
	for (c = d->conns; c; c = c->next)
		if (!gen_is_none(&c->holds))
			b->read[b->nread++] = c->holds;
	qsort(b->read, b->nread, sizeof *b->read, gen_compare);
	return 0;
}

/* ---- how much is to go ---- */

/* How far something is above its limit less a little; once at it, it is brought down to that. */
static uint64_t above(const struct evict *e, uint64_t used, uint64_t limit)
{
	uint64_t low = limit - limit / SC_EVICT_PART;

	return used > (e->working ? low : limit) ? used - low : 0;
}

/* The same for what is to stay free. */
static uint64_t missing(const struct evict *e, const struct config *c, uint64_t ahead)
{
	uint64_t least = e->fs_size ? config_min_free(c, e->fs_size) : 0, high;

	if (least == 0)
		return 0;
	least += ahead;
	high = least + least / SC_EVICT_PART;
	return e->fs_free < (e->working ? high : least) ? high - e->fs_free : 0;
}

static const char *bucket_of(const struct daemon *d, int scope)
{
	return scope == ALL ? NULL : d->config.buckets[scope].name;
}

/* What is to go of the scope. False: nothing. */
static bool reckon(struct daemon *d, int scope, uint64_t *entries, uint64_t *bytes)
{
	const char *bucket = bucket_of(d, scope);
	const struct limits *l = bucket ? &d->config.buckets[scope].limits : &d->config.limits;
	struct usage u = flights_usage(d, bucket);
	struct total t = index_total(d->index);
	uint64_t free_bytes;

	*entries = *bytes = 0;
	if (bucket && index_bucket_total(d->index, bytes_of(bucket), &t))
		return false;
	*entries = above(d->evict, t.entries, l->max_files);
	*bytes = above(d->evict, t.bytes + u.bytes + u.ahead, l->max_size);
	free_bytes = bucket ? 0 : missing(d->evict, &d->config, u.ahead);
	if (*bytes < free_bytes)
		*bytes = free_bytes;
	return *entries || *bytes;
}

/* Whether the file system's free space is to be asked for. If it is too early for that, it will be: the last of many that grow in
 * a moment must not go unseen. */
static bool must_measure(struct daemon *d)
{
	struct evict *e = d->evict;
	uint64_t passed = clock_run_ms() - e->measured_ms;

	if (d->config.limits.min_free == 0 || !e->grown)
		return false;
	if (e->measured_ms && passed < SC_MEASURE_MS) {
		if (!ticker_is_running(e->measure))
			ticker_start(e->measure, SC_MEASURE_MS - passed);
		return false;
	}
	return true;
}

/* ---- batches ---- */

static void go_on(struct daemon *d);

static void note_no_room(struct daemon *d)
{
	struct flight *f = flights_largest(d, bucket_of(d, d->evict->scope));

	if (f)
		flight_stop_growing(f);
	d->evict->waiting |= d->evict->batch.nread > 0;
}

/* Nothing more to do in it, or not now: the next growth asks again. */
static void finish(struct evict *e)
{
	if (e->scope == ALL)
		e->all_due = false;
	else
		e->bucket_due[e->scope] = false;
	e->scope = NONE;
	e->working = false;
}

static void on_evicted(void *arg, int status, uint64_t changed)
{
	struct daemon *d = arg;
	struct evict *e = d->evict;
	struct eviction *b = &e->batch;

	e->busy = false;
	b->passed = b->passed_now;
	free(b->read);
	b->read = NULL;
	e->fs_size = b->fs_size;
	e->fs_free = b->fs_free;
	e->measured_ms = clock_run_ms();
	if (status)
		log_event(d->log, "evict-failed", "why=\"%s\"", sc_strerror(status));
	else if (changed)
		log_event(d->log, "evict", "bucket=%s rows=%llu bytes=%llu", *b->bucket ? b->bucket : "*",
			  (unsigned long long)changed, (unsigned long long)b->gone_bytes);
	if (!status && b->stuck)
		note_no_room(d);
	if (status || b->stuck)
		finish(e);
	go_on(d);
}

/* Visits are told before the first batch and not before each: what is asked for all the time would be spared each time, and
 * nothing ever go. */
static void begin(struct daemon *d, int scope)
{
	struct evict *e = d->evict;
	const char *bucket = bucket_of(d, scope);

	e->scope = scope;
	e->working = false;
	e->batch.passed = 0;
	snprintf(e->batch.bucket, sizeof e->batch.bucket, "%s", bucket ? bucket : "");
	evict_tell(d);
}

static void start_batch(struct daemon *d)
{
	struct evict *e = d->evict;
	struct eviction *b = &e->batch;

	KILLPOINT("before_evict");
	e->grown = false;
	if (list_readers(d, b) == 0)
		e->busy = index_evict(d->index, b, on_evicted, d) == 0;
	if (e->busy)
		return;
	free(b->read);
	b->read = NULL;
	finish(e);
}

/* One step of a scope that is due. It is not any more if there is nothing left to do. */
static void step(struct daemon *d, int scope)
{
	struct evict *e = d->evict;
	struct eviction *b = &e->batch;

	if (e->scope != scope)
		begin(d, scope);
	e->working = reckon(d, scope, &b->entries, &b->bytes);
	if (e->working || (scope == ALL && must_measure(d)))
		start_batch(d);
	else
		finish(e);
}

static void go_on(struct daemon *d)
{
	struct evict *e = d->evict;

	if (d->stopping)
		return;
	for (unsigned i = 0; i < d->config.nbuckets && !e->busy; i++)
		while (e->bucket_due[i] && !e->busy)
			step(d, (int)i);
	while (e->all_due && !e->busy)
		step(d, ALL);
}

void evict_look(struct daemon *d, const char *bucket)
{
	struct evict *e = d->evict;

	e->all_due = e->grown = true;
	for (unsigned i = 0; i < d->config.nbuckets; i++)
		if (!bucket || strcmp(d->config.buckets[i].name, bucket) == 0)
			e->bucket_due[i] = true;
	if (!e->busy)
		go_on(d);
}

static void on_measure(struct daemon *d, void *arg)
{
	struct evict *e = d->evict;

	(void)arg;
	e->all_due = true;
	if (!e->busy)
		go_on(d);
}

void evict_let_go(struct conn *c)
{
	struct evict *e = c->d->evict;

	if (gen_is_none(&c->holds))
		return;
	c->holds = (struct gen){0};
	if (!e->waiting)
		return;
	e->waiting = false;
	evict_look(c->d, NULL);
}

/* ---- life ---- */

int evict_open(struct daemon *d)
{
	struct evict *e = calloc(1, sizeof *e);

	if (!e)
		return SC_ENOMEM;
	d->evict = e;
	e->scope = NONE;
	e->tell = ticker_new(d, on_tell, NULL);
	e->measure = ticker_new(d, on_measure, NULL);
	return e->tell && e->measure ? 0 : SC_ENOMEM;
}

void evict_close(struct daemon *d)
{
	struct evict *e = d->evict;

	ticker_free(e->tell);
	ticker_free(e->measure);
	free(e);
	d->evict = NULL;
}

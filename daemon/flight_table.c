/* All flights: finding and listing them, and a new daemon's first look at what goes on, with what it does about those that do not
 * come back. Called by answer.c, dispatch.c and main.c. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "daemon/answer.h"
#include "daemon/flight_parts.h"
#include "daemon/flightfile.h"
#include "daemon/index.h"
#include "daemon/lease.h"
#include "daemon/nesting.h"
#include "daemon/stats.h"
#include "daemon/ticker.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"

/* How often the locks of awaited flights are looked at: nobody tells when such a writer dies. */
#define AWAITED_CHECK_MS 250

/* ---- the tables ---- */

struct flight *flight_find(struct daemon *d, const struct gen *g)
{
	struct flight *f;

	HASH_FIND(hh, d->flights->by_gen, g, sizeof *g, f);
	return f;
}

const struct gen *flight_gen(const struct flight *f)
{
	return &f->gen;
}

bool flight_is_awaited(const struct flight *f)
{
	return f->state == FLIGHT_AWAITED;
}

unsigned flights_count(const struct daemon *d)
{
	return d->flights->count;
}

void flights_known(struct daemon *d, struct bytes bucket, struct bytes key, struct known *k, struct flight **run)
{
	static const enum run meaning[] = {
		[FLIGHT_AWAITED] = RUN_AWAITED,	 [FLIGHT_RUNNING] = RUN_GOING,	[FLIGHT_STOPPING] = RUN_STOPPING,
		[FLIGHT_COMMITTING] = RUN_GOING, [FLIGHT_DYING] = RUN_STOPPING, [FLIGHT_SETTLED] = RUN_NONE,
	};
	struct key *at = key_find(d, bucket, key);
	struct flight *f;

	*run = NULL;
	k->run = RUN_NONE;
	k->runs = k->live = 0;
	/* Those that came to a daemon before us come back by and by. */
	k->heirs = flights_are_early(d);
	if (!at)
		return;
	k->heirs |= at->heirs > 0;
	k->unkept = key_recall(at, MEMO_UNKEPT, clock_run_ms());
	k->quiet = key_recall(at, MEMO_QUIET, clock_run_ms());
	DL_FOREACH (at->flights, f) {
		k->runs++;
		k->live += !f->doomed;
		if (f->doomed || f->streaming || (*run && (*run)->order > f->order))
			continue;
		*run = f;
		k->run = meaning[f->state];
		k->run_order = f->order;
	}
}

/* Who was told to lead it, if that one still reads; 0: nobody. */
static pid_t leader_of(const struct flight *f)
{
	const struct conn *c = f->readers;

	while (c && !c->began)
		c = c->reads_next;
	return c && c->pid > 0 ? c->pid : 0;
}

static void give_row(const struct flight *f, flight_row each, void *arg)
{
	struct msg m = {.type = MSG_FLIGHT,
			.bucket = flight_bucket(f),
			.key = flight_key(f),
			.gen = f->gen,
			.order = f->order,
			.age = flight_age(f),
			.count = f->nreaders,
			.pid = (uint64_t)nesting_pid(f->pidfd),
			.leader = (uint64_t)leader_of(f),
			.flags = (uint64_t)f->state,
			.lag_least = SC_FOREVER,
			.lag_most = SC_FOREVER,
			.shown = {f->shown.data, f->shown.len}};
	uint64_t slowest, fastest, written;
	struct page_view v = {0};

	if (f->page) {
		/* Before the lengths, so that nobody is ahead of them. */
		bool read = page_span(f->page, &slowest, &fastest);

		page_view(f->page, &v);
		written = v.out_len + v.err_len;
		if (read) {
			m.lag_least = written > fastest ? written - fastest : 0;
			m.lag_most = written > slowest ? written - slowest : 0;
		}
	}
	m.out_len = v.out_len;
	m.err_len = v.err_len;
	each(arg, &m);
}

unsigned flights_list(struct daemon *d, struct bytes bucket, uint64_t after, unsigned limit, flight_row each, void *arg)
{
	struct flight *f, *next;
	unsigned n = 0;

	/* The table keeps the order of insertion, which is that of the order numbers (flights_open sorts what it finds). */
	HASH_ITER (hh, d->flights->by_gen, f, next) {
		if (n == limit)
			break;
		if (f->order <= after || f->state == FLIGHT_SETTLED || strlen(f->bucket) != bucket.n ||
		    memcmp(f->bucket, bucket.p, bucket.n) != 0)
			continue;
		give_row(f, each, arg);
		n++;
	}
	return n;
}

/* ---- what they take ---- */

static bool is_of(const struct flight *f, const char *bucket)
{
	return f->state != FLIGHT_SETTLED && (!bucket || strcmp(f->bucket, bucket) == 0);
}

/* How much may come before it says so; 0: it is too small to have said anything, or has reached its limit. */
static uint64_t ahead_of(const struct flight *f)
{
	uint64_t has = f->out_size + f->err_size;

	if (has == 0 || has >= f->limit || (f->state != FLIGHT_RUNNING && f->state != FLIGHT_STOPPING))
		return 0;
	return f->limit - has < SC_GROWN_STEP ? f->limit - has : SC_GROWN_STEP;
}

struct usage flights_usage(const struct daemon *d, const char *bucket)
{
	struct usage u = {0};

	for (const struct flight *f = d->flights->by_gen; f; f = f->hh.next) {
		if (!is_of(f, bucket))
			continue;
		u.bytes += entry_bytes(f->out_size, f->err_size);
		u.ahead += ahead_of(f);
	}
	return u;
}

unsigned flights_in(const struct daemon *d, const char *bucket)
{
	unsigned n = 0;

	for (const struct flight *f = d->flights->by_gen; f; f = f->hh.next)
		n += is_of(f, bucket);
	return n;
}

struct flight *flights_largest(const struct daemon *d, const char *bucket)
{
	struct flight *largest = NULL;

	for (struct flight *f = d->flights->by_gen; f; f = f->hh.next)
		if (is_of(f, bucket) && ahead_of(f) &&
		    (!largest || f->out_size + f->err_size > largest->out_size + largest->err_size))
			largest = f;
	return largest;
}

unsigned flights_mark_drain(struct daemon *d)
{
	struct flight *f, *next;
	unsigned n = 0;

	HASH_ITER (hh, d->flights->by_gen, f, next) {
		if (f->state == FLIGHT_SETTLED)
			continue;
		f->drain = true;
		n++;
	}
	return n;
}

/* ---- a new daemon's first look, and what it does about those that do not come back ---- */

void flight_await(struct flight *f, const char *why)
{
	flight_let_go(f);
	flight_set_state(f, FLIGHT_AWAITED, why);
	f->awaited_since_ms = clock_run_ms();
	f->d->flights->awaited++;
	if (!ticker_is_running(f->d->flights->check))
		ticker_start(f->d->flights->check, AWAITED_CHECK_MS);
}

static void adopt(struct daemon *d, const struct flightfile *file)
{
	struct flight *f = flight_new(d, file);

	if (!f)
		return; /* no memory: its file stays for the next daemon */
	stats_count(d, flight_bucket(f), TALLY_LEADS, 0);
	flight_await(f, "found");
	KILLPOINT("flight_found");
}

static bool is_committed(struct daemon *d, const struct flightfile *file)
{
	struct bytes bucket = bytes_of(file->bucket), key = {file->key, file->key_len};
	struct entry e;

	return index_find_gen(d->index, bucket, key, &file->gen, &e) == 0;
}

struct look {
	struct daemon *d;
	bool found; /* a run that somebody may have read */
	int rc;
};

static void on_found(void *arg, const char *name)
{
	struct look *look = arg;
	struct daemon *d = look->d;
	struct flightfile file;
	bool locked = false;
	int rc = flightfile_read(d->place.dir_fd, d->keyring, name, &file, &locked);

	if (rc == SC_ESYS)
		look->rc = rc; /* a living run that we do not know of would be run a second time */
	if (rc == SC_EUNSAFE || rc == SC_ENOENT || rc == SC_ESYS)
		return; /* not proved ours: left alone */
	if (rc) {
		/* Torn at its birth: nobody was told to lead yet, or the writer ends uncommitted. */
		if (!locked && gen_parse(name, SC_GEN_HEX - 1, &file.gen) == 0)
			flight_discard(d, &file.gen);
		return;
	}
	if (file.order > d->order)
		d->order = file.order;
	if (file.lease) {
		lease_found(d, &file, locked);
	} else if (is_committed(d, &file)) {
		/* The index is first in the order of ending: this is a leftover, whoever still holds it. */
		KILLPOINT("leftover_found");
		flightfile_unlink(d->place.dir_fd, &file.gen);
	} else if (locked) {
		look->found = true;
		adopt(d, &file);
	} else {
		KILLPOINT("lost_found");
		look->found = true;
		log_event(d->log, "lost", "gen=%s", name);
		event_tell(d, &(struct event){.kind = EVENT_LOST,
					      .bucket = bytes_of(file.bucket),
					      .key = {file.key, file.key_len},
					      .gen = file.gen,
					      .order = file.order,
					      .ttl_ms = SC_FOREVER,
					      .sealed = is_sealed(&file.sealed)});
		flight_discard(d, &file.gen);
	}
}

/* An awaited flight whose writer is gone, or has been waited for long enough. */
static struct flight *find_overdue(struct daemon *d, uint64_t now, bool *gone)
{
	struct flight *f, *next;

	HASH_ITER (hh, d->flights->by_gen, f, next) {
		if (f->state != FLIGHT_AWAITED)
			continue;
		*gone = !flightfile_is_locked(d->place.dir_fd, &f->gen);
		if (*gone || (!f->doomed && now - f->awaited_since_ms >= SC_REGISTER_MS))
			return f;
	}
	return NULL;
}

static void on_check(struct daemon *d, void *arg)
{
	struct flight *f;
	bool gone;

	(void)arg;
	/* One at a time, from the beginning: what it sets off may take others out of the table. */
	while ((f = find_overdue(d, clock_run_ms(), &gone))) {
		KILLPOINT("awaited_overdue");
		if (gone) {
			flight_end_unfinished(f, PAGE_LOST, "lost while no daemon lived");
		} else {
			flight_doom(f);
			key_changed(d, f->key);
		}
	}
	if (d->flights->awaited)
		ticker_start(d->flights->check, AWAITED_CHECK_MS);
}

static void on_census(struct daemon *d, void *arg)
{
	struct flight *f, *next;

	(void)arg;
	HASH_ITER (hh, d->flights->by_gen, f, next)
		flight_tell_lonely(f);
}

static struct conn *find_early(struct daemon *d)
{
	struct conn *c = d->conns;

	while (c && !(c->waits_for && c->ask->early))
		c = c->next;
	return c;
}

static void on_not_early(struct daemon *d, void *arg)
{
	struct conn *c;

	(void)arg;
	DL_FOREACH (d->conns, c)
		if (c->waits_for)
			c->ask->early |= c->ask->q.lost;
	/* Each once, for some wait on; from the beginning after each, for what an answer sets off may take others out of the list. */
	while ((c = find_early(d))) {
		c->ask->early = false;
		answer_again(c);
	}
}

bool flights_are_early(const struct daemon *d)
{
	return ticker_is_running(d->flights->early);
}

static int by_order(const struct flight *a, const struct flight *b)
{
	return a->order < b->order ? -1 : a->order > b->order;
}

int flights_open(struct daemon *d)
{
	struct flights *fs = calloc(1, sizeof *fs);
	struct look look = {.d = d};
	int rc;

	if (!fs)
		return SC_ENOMEM;
	d->flights = fs;
	fs->check = ticker_new(d, on_check, NULL);
	fs->census = ticker_new(d, on_census, NULL);
	fs->early = ticker_new(d, on_not_early, NULL);
	fs->dying = ticker_new(d, flights_on_dying, NULL);
	if (!fs->check || !fs->census || !fs->early || !fs->dying)
		return SC_ENOMEM;
	rc = flightfile_scan(d->place.dir_fd, on_found, &look);
	if (rc || look.rc)
		return rc ? rc : look.rc;
	HASH_SORT(fs->by_gen, by_order);
	if (look.found)
		ticker_start(fs->early, 2 * SC_PAGE_WAIT_MS);
	return 0;
}

void flights_close(struct daemon *d)
{
	struct flights *fs = d->flights;
	struct flight *f, *next;

	HASH_ITER (hh, fs->by_gen, f, next) {
		struct key *k = f->key;

		if (k)
			flight_take_out(f);
		flight_free(f);
		if (k)
			key_drop_if_unused(d, k);
	}
	ticker_free(fs->check);
	ticker_free(fs->census);
	ticker_free(fs->dying);
	ticker_free(fs->early);
	free(fs);
	d->flights = NULL;
}

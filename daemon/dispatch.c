/* Who may say what, when, and what it does. Called by conn.c with whole, decoded messages. Handlers are a few lines: what takes
 * more belongs to answer.c, flight.c or index.c. */
#include "daemon/dispatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/answer.h"
#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/evict.h"
#include "daemon/flight.h"
#include "daemon/history.h"
#include "daemon/index.h"
#include "daemon/key.h"
#include "daemon/lease.h"
#include "daemon/nesting.h"
#include "daemon/stats.h"
#include "daemon/ticker.h"
#include "daemon/trust.h"
#include "daemon/upkeep.h"
#include "daemon/walk.h"
#include "daemon/watch.h"
#include "lib/build.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"

/* Rows put into a queue at once: with the longest keys they stay well under SC_QUEUE_MAX. */
#define ROWS 32
/* … and buckets. */
#define BUCKETS 8

/* A REMOVE, CLEAR, TOUCH or SYNC the index is at. Outlives its peer: then c is NULL and nobody is answered. */
struct chore {
	struct daemon *d;
	struct conn *c;
	unsigned runs; /* doomed before it */

	/* a CLEAR's */
	struct clearing *clearing;
	uint64_t rows; /* gone */
	uint8_t name[SC_BUCKET_MAX + SC_KEY_MAX + SC_TAGS_SIZE];
};

/* A WALK that goes on. The same. */
struct stroll {
	struct daemon *d;
	struct conn *c;
};

typedef void (*handler)(struct conn *c, const struct msg *m, int *fds, size_t nfds);

/* ---- both ---- */

static void on_hello(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct msg answer = {.type = MSG_HELLO, .version = sc_proto_version, .build = bytes_of(sc_build)};
	struct msg no = {.type = MSG_REFUSE, .reason = REFUSE_VERSION};

	(void)fds, (void)nfds;
	KILLPOINT("hello");
	BUG_ON(FAULT("abort_on_hello"));
	c->state = CONN_READY;
	conn_send(c, &answer, NULL, 0);
	if (m->version == sc_proto_version)
		return;
	conn_send(c, &no, NULL, 0);
	if (m->flags & HELLO_LOOKS) {
		conn_close_told(c);
		return;
	}
	log_event(c->d->log, "skew", "ours=%u theirs=%llu", (unsigned)sc_proto_version, (unsigned long long)m->version);
	/* The older of two makes room; the newer one's client starts the next daemon. */
	if (m->version > sc_proto_version)
		daemon_stop(c->d, "a newer client came");
	/* What it has sent behind HELLO must not be obeyed: a run it registers would be ended again with the connection. */
	conn_close_told(c);
}

/* ---- clients ---- */

static void on_ask(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	(void)fds, (void)nfds;
	answer_ask(c, m);
}

static void on_hold(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	(void)fds, (void)nfds;
	answer_hold(c, m);
}

static void on_attach(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	(void)fds, (void)nfds;
	answer_attach(c, m);
}

static void on_leave(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct msg answer = {.type = MSG_LEFT, .gen = m->gen};
	bool stopping;

	(void)fds, (void)nfds;
	if ((m->flags & LEAVE_UNLESS_LAST) && flight_is_last(c)) {
		answer.flags = LEFT_STAYED;
		conn_send(c, &answer, NULL, 0);
		return;
	}
	answer.count = flight_leave(c, (unsigned)m->signal, &stopping);
	key_drop_heir(c);
	KILLPOINT("reader_left");
	answer.flags = stopping ? LEFT_STOPPING : 0;
	conn_send(c, &answer, NULL, 0);
}

static struct chore *begin_chore(struct conn *c)
{
	struct chore *r = c->chore ? NULL : calloc(1, sizeof *r);

	if (!r) {
		conn_close(c, c->chore ? "another question before this one was answered" : "no memory");
		return NULL;
	}
	r->d = c->d;
	r->c = c;
	c->chore = r;
	daemon_owe(c->d);
	return r;
}

static void free_chore(struct chore *r)
{
	if (r->c)
		r->c->chore = NULL;
	daemon_paid(r->d);
	free(r->clearing);
	free(r);
}

static void end_chore(struct chore *r, int status, uint64_t count)
{
	struct msg ok = {.type = MSG_OK, .count = count};
	struct msg no = {.type = MSG_REFUSE,
			 .reason = REFUSE_STORE,
			 .error = status == SC_ESYS ? (uint64_t)errno : 0,
			 .text = bytes_of(sc_strerror(status))};

	if (r->c)
		conn_send(r->c, status ? &no : &ok, NULL, 0);
	free_chore(r);
}

static void on_removed(void *arg, int status, uint64_t changed)
{
	struct chore *r = arg;

	KILLPOINT("row_removed");
	end_chore(r, status, changed + r->runs);
}

/* What somebody holds goes when that one lets go, and not before. */
static bool refuse_held(struct conn *c, const struct lease *l)
{
	char who[128];
	struct msg no = {.type = MSG_REFUSE, .reason = REFUSE_HELD};

	if (!l)
		return false;
	no.text = bytes_of(lease_describe(l, who));
	conn_send(c, &no, NULL, 0);
	return true;
}

static void on_remove(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct chore *r;

	(void)fds, (void)nfds;
	if (refuse_held(c, lease_look(c->d, m->bucket, m->key)))
		return;
	r = begin_chore(c);
	if (!r)
		return;
	/* Before those who wait are asked again. */
	key_forget(c->d, m->bucket, m->key, MEMO_UNKEPT);
	/* Runs first: one that commits while the index removes must find itself doomed. */
	r->runs = flights_doom(c->d, m->bucket, m->key);
	KILLPOINT("runs_doomed");
	if (index_remove(c->d->index, m->bucket, m->key, UINT64_MAX, on_removed, r)) {
		free_chore(r);
		conn_close(c, "no memory");
	}
}

static void on_cleared(void *arg, int status, uint64_t changed);

/* Whoever has left is promised nothing, and a daemon that goes lets the next one be asked. */
static void go_on_clearing(struct chore *r, int status)
{
	if (!status && !r->clearing->over && r->c && !r->d->stopping) {
		status = index_clear(r->d->index, r->clearing, on_cleared, r);
		if (!status)
			return;
	}
	if (!status && !r->clearing->over)
		free_chore(r);
	else
		end_chore(r, status, r->rows + r->runs);
}

static void on_cleared(void *arg, int status, uint64_t changed)
{
	struct chore *r = arg;

	KILLPOINT("batch_gone");
	r->rows += changed;
	go_on_clearing(r, status);
}

/* All that is asked about goes, or nothing. What is held has no tag: it has no entry, and is no run. */
static const struct lease *find_obstacle(struct daemon *d, const struct msg *m)
{
	static const struct bytes any = {NULL, 0};

	if (m->flags & CLEAR_EVERY)
		return lease_look_prefix(d, any, any);
	return m->tags.n ? NULL : lease_look_prefix(d, m->bucket, m->text);
}

static int doom_runs(struct daemon *d, const struct clearing *cl, unsigned *n)
{
	if (cl->every)
		return flights_doom_all(d, (struct bytes){NULL, 0}, cl->prefix, n);
	if (cl->tag.n)
		return flights_doom_tagged(d, cl->bucket, cl->tag, n);
	return flights_doom_all(d, cl->bucket, cl->prefix, n);
}

static void on_clear(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct clearing *cl;
	struct chore *r;

	(void)fds, (void)nfds;
	if (refuse_held(c, find_obstacle(c->d, m)))
		return;
	r = begin_chore(c);
	if (!r)
		return;
	cl = r->clearing = calloc(1, sizeof *cl);
	if (!cl) {
		free_chore(r);
		conn_close(c, "no memory");
		return;
	}
	/* What is begun from here on is not asked about: else whoever makes new ones all the time would keep us here. */
	cl->max_order = c->d->order;
	memcpy(r->name, m->bucket.p, m->bucket.n);
	if (m->text.n)
		memcpy(r->name + m->bucket.n, m->text.p, m->text.n);
	cl->bucket = (struct bytes){r->name, m->bucket.n};
	cl->prefix = (struct bytes){r->name + m->bucket.n, m->text.n};
	if (m->tags.n)
		memcpy(r->name + m->bucket.n + m->text.n, m->tags.p, m->tags.n);
	cl->tag = (struct bytes){r->name + m->bucket.n + m->text.n, m->tags.n};
	cl->every = m->flags & CLEAR_EVERY;
	/* Runs first: one that commits while the index removes must find itself doomed. */
	if (doom_runs(c->d, cl, &r->runs)) {
		free_chore(r);
		conn_close(c, "no memory");
		return;
	}
	KILLPOINT("all_runs_doomed");
	go_on_clearing(r, 0);
}

static void on_touched(void *arg, int status, uint64_t changed)
{
	struct chore *r = arg;

	KILLPOINT("row_touched");
	/* Its life may be over sooner than it was. */
	daemon_arm_expiry(r->d);
	end_chore(r, status, changed);
}

/* What a `get` would not be given is not there: nobody brings back what has expired. */
static void on_touch(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct chore *r = begin_chore(c);
	struct now now = clock_now();
	struct entry e;
	uint64_t age;
	int rc;

	(void)fds, (void)nfds;
	if (!r)
		return;
	rc = index_find(c->d->index, m->bucket, m->key, false, &e);
	if (rc == SC_ENOENT || rc == SC_ECORRUPT ||
	    (rc == 0 && (trust_is_bad(c->d, &e.gen) || !entry_age(&e, c->d->boot_id, &now, &age) || age > e.ttl_ms)))
		end_chore(r, 0, 0);
	else if (rc)
		end_chore(r, rc, 0);
	else if (index_touch(c->d->index, m->bucket, m->key, m->ttl, &now, on_touched, r)) {
		free_chore(r);
		conn_close(c, "no memory");
	}
}

static void on_synced(void *arg, int status, uint64_t changed)
{
	struct chore *r = arg;

	(void)changed;
	if (status == SC_ESYS)
		trust_nothing(r->d);
	end_chore(r, status, index_count(r->d->index));
}

static void on_sync(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct chore *r = begin_chore(c);

	(void)m, (void)fds, (void)nfds;
	if (r && index_sync(c->d->index, on_synced, r)) {
		free_chore(r);
		conn_close(c, "no memory");
	}
}

static void start_listing(struct conn *c, struct bytes bucket, struct bytes prefix, bool flights)
{
	struct listing *l = calloc(1, sizeof *l);

	if (!l) {
		conn_close(c, "no memory");
		return;
	}
	memcpy(l->bucket, bucket.p, bucket.n);
	if (prefix.n)
		memcpy(l->prefix, prefix.p, prefix.n);
	l->prefix_len = prefix.n;
	l->flights = flights;
	free(c->listing);
	c->listing = l;
	c->state = CONN_LISTING;
	dispatch_drained(c);
}

static void on_list(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	(void)fds, (void)nfds;
	if (m->text.n > SC_KEY_MAX) {
		conn_close(c, "prefix too long");
		return;
	}
	start_listing(c, m->bucket, m->text, false);
}

static void send_tag(void *arg, struct bytes tag)
{
	struct msg m = {.type = MSG_TAG, .tags = tag};

	conn_send(arg, &m, NULL, 0);
}

/* All at once: so few of them fit a queue. */
static void on_tags(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct msg end = {.type = MSG_END}, no = {.type = MSG_REFUSE, .reason = REFUSE_STORE};
	int n = index_list_tags(c->d->index, m->bucket, m->text, SC_TAGS_OFFERED, send_tag, c);

	(void)fds, (void)nfds;
	if (n < 0) {
		no.error = n == SC_ESYS ? (uint64_t)errno : 0;
		no.text = bytes_of(sc_strerror(n));
	} else {
		end.count = (uint64_t)n;
	}
	conn_send(c, n < 0 ? &no : &end, NULL, 0);
}

static void on_flights(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	(void)fds, (void)nfds;
	start_listing(c, m->bucket, (struct bytes){NULL, 0}, true);
}

static void send_tally(void *arg, const struct msg *m)
{
	conn_send(arg, m, NULL, 0);
}

static void on_stats(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct listing *l = calloc(1, sizeof *l);

	(void)m, (void)fds, (void)nfds;
	if (!l) {
		conn_close(c, "no memory");
		return;
	}
	l->stats = true;
	c->listing = l;
	c->state = CONN_LISTING;
	/* The queue is not empty now; the rest follows when it is. */
	stats_cache(c->d, send_tally, c);
}

static void on_explain(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	(void)fds, (void)nfds;
	history_explain(c, m);
}

static void on_watch(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct msg ok = {.type = MSG_OK}, no = {.type = MSG_REFUSE, .reason = REFUSE_BUSY};
	int rc = watch_start(c, m);

	(void)fds, (void)nfds;
	/* What there is to tell follows when this is on its way. */
	conn_send(c, rc ? &no : &ok, NULL, 0);
}

static void on_status(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct daemon *d = c->d;
	struct msg answer = {.type = MSG_REPORT,
			     .version = sc_proto_version,
			     .build = bytes_of(sc_build),
			     .pid = (uint64_t)getpid(),
			     .uptime = clock_now().boot_ms - d->started_ms,
			     .entries = index_count(d->index),
			     .count = flights_count(d),
			     .conns = d->nconns,
			     .bad = d->nbad};

	(void)m, (void)fds, (void)nfds;
	conn_send(c, &answer, NULL, 0);
}

static void on_stop(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct daemon *d = c->d;
	struct msg answer = {.type = MSG_OK, .count = flights_count(d)};

	(void)fds, (void)nfds;
	KILLPOINT("stop_taken");
	c->state = CONN_STOPPING;
	if (nesting_locate(c, (const struct gen *)m->chain.p, m->chain.n / SC_GEN_SIZE)) {
		conn_close(c, "no memory");
		return;
	}
	/* Who is inside of a run would wait for itself. */
	if ((m->flags & STOP_NOW) || answer.count == 0 || nesting_is_inside(c)) {
		conn_send(c, &answer, NULL, 0);
		daemon_stop(d, "asked to");
		return;
	}
	/* Those that go on now are waited for; what begins meanwhile registers with the next daemon. */
	answer.type = MSG_WAIT;
	answer.reason = WAIT_DRAINING;
	d->drain = flights_mark_drain(d);
	d->draining = true;
	daemon_owe(d); /* for the rest of our life */
	conn_send(c, &answer, NULL, 0);
}

static void on_proved(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	(void)fds, (void)nfds;
	trust_proved(c, m);
}

static void on_next(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	(void)fds, (void)nfds;
	c->state = CONN_READING; /* the bytes of one row may take it long */
	answer_next(c, m);
}

static void on_walked(void *arg, int status, const struct walk_order *found)
{
	struct stroll *s = arg;
	struct msg ok = {.type = MSG_OK, .count = found->orphans};
	struct msg no = {.type = MSG_REFUSE, .reason = REFUSE_STORE, .text = bytes_of(sc_strerror(status))};

	if (s->c) {
		s->c->stroll = NULL;
		conn_send(s->c, status ? &no : &ok, NULL, 0);
	}
	daemon_paid(s->d);
	free(s);
}

static void on_walk(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct msg busy = {.type = MSG_REFUSE, .reason = REFUSE_BUSY};
	struct stroll *s = c->stroll ? NULL : calloc(1, sizeof *s);

	(void)fds, (void)nfds;
	if (!s) {
		conn_close(c, c->stroll ? "a second WALK before the first was answered" : "no memory");
		return;
	}
	*s = (struct stroll){c->d, c};
	c->state = CONN_READING;
	c->stroll = s;
	daemon_owe(c->d);
	if (upkeep_walk(c->d->upkeep, m->flags & WALK_ONLY_LOOK, on_walked, s)) {
		c->stroll = NULL;
		daemon_paid(c->d);
		free(s);
		conn_send(c, &busy, NULL, 0);
	}
}

/* ---- writers ---- */

static bool speaks_of_its_run(struct conn *c, const struct msg *m)
{
	if (c->leads && gen_equal(&m->gen, flight_gen(c->leads)))
		return true;
	conn_close(c, "speaks of a run it does not lead");
	return false;
}

static void on_register(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct msg settled = {.type = MSG_SETTLED, .gen = m->gen}, no = {.type = MSG_REFUSE, .reason = REFUSE_STORE};
	struct flight *f = flight_find(c->d, &m->gen);
	struct entry e;

	if (f && flight_is_awaited(f)) {
		int rc = flight_register(f, c, m, fds, nfds);

		/* Told, not only cut off: it ends for its readers, and asks no more. */
		if (rc) {
			log_event(c->d->log, "register-refused", "pid=%d why=\"%s\"", (int)c->pid, sc_strerror(rc));
			conn_send(c, &no, NULL, 0);
		}
		return;
	}
	if (f) {
		conn_close(c, "registers a run that has a writer");
		return;
	}
	/* Its DONE may have been the last thing the daemon before us did. */
	c->state = CONN_WRITING;
	settled.flags = SETTLED_COMMITTED;
	if (index_find_gen(c->d->index, m->bucket, m->key, &m->gen, &e) == 0)
		conn_send(c, &settled, NULL, 0);
	else
		conn_send(c, &no, NULL, 0);
}

static void on_started(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	(void)nfds;
	if (!speaks_of_its_run(c, m))
		return;
	flight_started(c->leads, fds[0], m);
	KILLPOINT("started_taken");
	fds[0] = -1;
}

static void on_done(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	(void)fds, (void)nfds;
	if (speaks_of_its_run(c, m))
		flight_done(c->leads, m);
}

static void on_may_stop(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	(void)fds, (void)nfds;
	if (speaks_of_its_run(c, m))
		flight_may_stop(c->leads);
}

static void on_streaming(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	(void)fds, (void)nfds;
	if (speaks_of_its_run(c, m))
		flight_streaming(c->leads, (int)m->error);
}

static void on_grown(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	(void)fds, (void)nfds;
	if (speaks_of_its_run(c, m))
		flight_grown(c->leads, m->out_len, m->err_len);
}

/* ---- holders ---- */

static void on_holding(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	(void)nfds;
	lease_holding(c, m, fds[0]);
	fds[0] = -1;
}

static void on_release(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	(void)fds, (void)nfds;
	lease_release(c, m);
}

static const struct {
	enum msg_type type;
	unsigned states; /* in which it may come */
	handler handle;
} table[] = {
	{MSG_HELLO, CONN_NEW, on_hello},
	{MSG_ASK, CONN_READY | CONN_READING, on_ask},
	{MSG_ATTACH, CONN_READY | CONN_READING, on_attach},
	{MSG_LEAVE, CONN_READING, on_leave},
	{MSG_REMOVE, CONN_READY, on_remove},
	{MSG_CLEAR, CONN_READY, on_clear},
	{MSG_TOUCH, CONN_READY, on_touch},
	{MSG_LIST, CONN_READY, on_list},
	{MSG_TAGS, CONN_READY, on_tags},
	{MSG_FLIGHTS, CONN_READY, on_flights},
	{MSG_STATUS, CONN_READY, on_status},
	{MSG_STATS, CONN_READY, on_stats},
	{MSG_WATCH, CONN_READY, on_watch},
	{MSG_EXPLAIN, CONN_READY, on_explain},
	{MSG_STOP, CONN_READY, on_stop},
	{MSG_PROVED, CONN_READY | CONN_READING, on_proved},
	{MSG_NEXT, CONN_READY | CONN_READING, on_next},
	{MSG_WALK, CONN_READY | CONN_READING, on_walk},
	{MSG_SYNC, CONN_READY, on_sync},
	{MSG_HOLD, CONN_READY, on_hold},
	{MSG_HOLDING, CONN_READY | CONN_HOLDING, on_holding},
	{MSG_RELEASE, CONN_HOLDING, on_release},
	{MSG_REGISTER, CONN_READY, on_register},
	{MSG_STARTED, CONN_WRITING, on_started},
	{MSG_DONE, CONN_WRITING, on_done},
	{MSG_MAY_STOP, CONN_WRITING, on_may_stop},
	{MSG_STREAMING, CONN_WRITING, on_streaming},
	{MSG_GROWN, CONN_WRITING, on_grown},
};

void dispatch(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	size_t i = 0, n = sizeof table / sizeof *table;

	while (i < n && table[i].type != m->type)
		i++;
	if (i < n && (table[i].states & (unsigned)c->state))
		table[i].handle(c, m, fds, nfds);
	else
		conn_close(c, "out of order");
	/* What a handler kept it has replaced by -1. */
	for (size_t k = 0; k < nfds; k++)
		if (fds[k] >= 0)
			close(fds[k]);
}

/* ---- rows ---- */

static int send_entry(void *arg, const struct entry *e)
{
	struct conn *c = arg;
	struct listing *l = c->listing;
	struct now now = clock_now();
	struct msg m = {.type = MSG_ENTRY,
			.bucket = bytes_of(e->bucket),
			.key = {e->key, e->key_len},
			.gen = e->gen,
			.exit = e->exit,
			.signal = e->signal,
			.out_len = e->out_len,
			.err_len = e->err_len,
			.ttl = e->ttl_ms,
			.created = e->created_wall_ms,
			.stale = e->stale_ms,
			.estimate = e->took_ms,
			.hits = e->hits + evict_untold(c->d, e),
			.tags = bytes_of(e->tags)};

	memcpy(l->after, e->key, e->key_len);
	l->after_len = e->key_len;
	/* Over, and only waiting for the timer to take it away. */
	if (!entry_age(e, c->d->boot_id, &now, &m.age) || m.age > e->ttl_ms)
		return 0;
	l->sent++;
	conn_send(c, &m, NULL, 0);
	return c->listing != l; /* without memory it is closed, and its listing gone */
}

static void send_flight(void *arg, const struct msg *m)
{
	struct conn *c = arg;

	if (!c->listing)
		return; /* the same */
	c->listing->after_order = m->order;
	c->listing->sent++;
	conn_send(c, m, NULL, 0);
}

/* A bucket is some twenty messages. */
static int next_buckets(struct conn *c, struct listing *l)
{
	int n, rc = 1;

	for (n = 0; n < BUCKETS && rc > 0; n += rc) {
		rc = stats_next(c->d, l->bucket, send_tally, c);
		if (c->listing != l)
			return 0;
		l->sent += rc > 0;
	}
	return rc < 0 ? rc : n == BUCKETS ? ROWS : n;
}

/* A row that cannot be sent takes *l with it. */
static int next_rows(struct conn *c, struct listing *l)
{
	const struct listing was = *l;
	struct bytes bucket = bytes_of(was.bucket), prefix = {was.prefix, was.prefix_len}, after = {was.after, was.after_len};

	if (was.stats)
		return next_buckets(c, l);
	if (was.flights)
		return (int)flights_list(c->d, bucket, was.after_order, ROWS, send_flight, c);
	if (!was.begun)
		after = (struct bytes){NULL, 0};
	l->begun = true;
	return index_list(c->d->index, bucket, prefix, after, ROWS, send_entry, c);
}

void dispatch_drained(struct conn *c)
{
	struct listing *l = c->listing;
	struct msg end = {.type = MSG_END}, no = {.type = MSG_REFUSE, .reason = REFUSE_STORE};
	int n;

	if (c->state == CONN_WATCHING) {
		watch_drained(c);
		return;
	}
	do {
		n = next_rows(c, l);
		if (c->listing != l || (n == ROWS && !conn_is_drained(c)))
			return;
		/* Rows that were all over, perhaps a million: none is on its way. */
		daemon_step(c->d);
	} while (n == ROWS);
	if (n < 0) {
		no.error = n == SC_ESYS ? (uint64_t)errno : 0;
		no.text = bytes_of(sc_strerror(n));
	}
	end.count = l->sent;
	c->listing = NULL;
	free(l);
	c->state = CONN_READY;
	conn_send(c, n < 0 ? &no : &end, NULL, 0);
}

void dispatch_gone(struct conn *c)
{
	bool stopping;

	watch_stop(c);
	key_leave(c);
	nesting_forget(c);
	free(c->ask);
	c->ask = NULL;
	free(c->listing);
	c->listing = NULL;
	if (c->chore)
		c->chore->c = NULL;
	if (c->stroll)
		c->stroll->c = NULL;
	if (c->reads)
		flight_leave(c, 0, &stopping);
	key_drop_heir(c);
	if (c->leads)
		flight_writer_gone(c);
	if (c->lease)
		lease_holder_gone(c);
	evict_let_go(c);
}

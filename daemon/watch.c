/* The ring of events, and how far each watcher has come in it. Called by event.c (what has happened), dispatch.c and conn.c (a watcher
 * comes, reads, goes) and the loop. Never waits for anybody, never looks into the index but for --initial. */
#include "daemon/watch.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/event.h"
#include "daemon/flight.h"
#include "daemon/index.h"
#include "daemon/lease.h"
#include "lib/clock.h"
#include "lib/err.h"

/* Events, or rows, put into a queue at once: with the longest keys they stay well under SC_QUEUE_MAX. */
#define ROWS 16

struct note {
	struct event e; /* its bytes are behind it */
	uint64_t created_ms;
	size_t size;
	uint8_t bytes[];
};

/* A run that went on, or a lease that was held, when a watch began. */
struct going {
	enum event_kind kind; /* START, HOLD */
	uint64_t order;
	struct gen gen;
	uint64_t created_ms;
	size_t key_len; /* its key is behind it, in a buf */
};

struct watcher {
	struct conn *c;
	struct watcher *next, *prev;
	char bucket[SC_BUCKET_MAX + 1];
	uint8_t prefix[SC_KEY_MAX];
	size_t prefix_len;
	uint64_t at;	 /* the number of the event it has not had yet */
	uint64_t missed; /* … and of how many before that one it has not been told */

	/* --initial */
	bool lists;
	uint64_t order;	 /* the highest one when it began */
	struct buf runs; /* those that went on then, oldest first; behind them the leases */
	size_t told;	 /* bytes of it that were sent */
	uint64_t *orders;
	size_t norders;
	struct cursor entry; /* among the entries */
	unsigned sent;	     /* in this step */
};

struct watchers {
	struct watcher *list;
	unsigned n;
	struct note *ring[SC_EVENTS_MAX];
	uint64_t first, end; /* numbers of the oldest event there is, and of the next one */
	size_t bytes;
	bool news;
};

int watch_open(struct daemon *d)
{
	d->watchers = calloc(1, sizeof *d->watchers);
	return d->watchers ? 0 : SC_ENOMEM;
}

unsigned watch_count(const struct daemon *d)
{
	return d->watchers->n;
}

/* ---- the ring ---- */

static bool wants(const struct watcher *w, struct bytes bucket, struct bytes key)
{
	return strlen(w->bucket) == bucket.n && memcmp(w->bucket, bucket.p, bucket.n) == 0 && key.n >= w->prefix_len &&
	       memcmp(w->prefix, key.p, w->prefix_len) == 0;
}

static struct note **slot(struct watchers *ws, uint64_t number)
{
	return &ws->ring[number % SC_EVENTS_MAX];
}

/* The oldest goes; who has not had it has missed it. */
static void drop_first(struct watchers *ws)
{
	struct note **n = slot(ws, ws->first);
	struct watcher *w;

	DL_FOREACH (ws->list, w) {
		if (w->at > ws->first)
			continue;
		w->missed += wants(w, (*n)->e.bucket, (*n)->e.key);
		w->at = ws->first + 1;
	}
	ws->bytes -= (*n)->size;
	free(*n);
	*n = NULL;
	ws->first++;
}

void watch_close(struct daemon *d)
{
	struct watchers *ws = d->watchers;

	if (!ws)
		return;
	while (ws->first < ws->end)
		drop_first(ws);
	free(ws);
	d->watchers = NULL;
}

void watch_note(struct daemon *d, const struct event *e)
{
	struct watchers *ws = d->watchers;
	size_t size = sizeof(struct note) + e->bucket.n + e->key.n;
	struct watcher *w;
	struct note *n;

	if (!ws->n)
		return;
	ws->news = true;
	while (ws->first < ws->end && (ws->end - ws->first == SC_EVENTS_MAX || ws->bytes + size > SC_EVENTS_BYTES))
		drop_first(ws);
	n = malloc(size);
	if (!n) {
		DL_FOREACH (ws->list, w)
			w->missed += wants(w, e->bucket, e->key);
		return;
	}
	n->e = *e;
	n->created_ms = clock_now().wall_ms;
	n->size = size;
	memcpy(n->bytes, e->bucket.p, e->bucket.n);
	memcpy(n->bytes + e->bucket.n, e->key.p, e->key.n);
	n->e.bucket.p = n->bytes;
	n->e.key.p = n->bytes + e->bucket.n;
	ws->bytes += size;
	*slot(ws, ws->end++) = n;
}

/* ---- telling ---- */

/* False: without memory c is closed, and w gone. */
static bool send_event(struct watcher *w, const struct event *e, uint64_t created_ms)
{
	struct conn *c = w->c;
	struct msg m = {.type = MSG_EVENT,
			.kind = e->kind,
			.bucket = e->bucket,
			.key = e->key,
			.gen = e->gen,
			.order = e->order,
			.created = created_ms,
			.exit = e->exit,
			.signal = e->signal,
			.out_len = e->out_len,
			.err_len = e->err_len,
			.ttl = e->ttl_ms,
			.reason = e->reason,
			.error = (uint64_t)e->error,
			.flags = e->flags};

	w->sent++;
	conn_send(c, &m, NULL, 0);
	return c->watch == w;
}

static bool send_events(struct watcher *w)
{
	struct watchers *ws = w->c->d->watchers;
	struct msg m = {.type = MSG_MISSED, .count = w->missed};
	struct conn *c = w->c;

	if (w->missed) {
		w->missed = 0;
		w->sent++;
		conn_send(c, &m, NULL, 0);
		if (c->watch != w)
			return false;
	}
	while (w->at < ws->end && w->sent < ROWS) {
		const struct note *n = *slot(ws, w->at++);

		if (wants(w, n->e.bucket, n->e.key) && !send_event(w, &n->e, n->created_ms))
			return false;
	}
	return true;
}

/* ---- --initial ---- */

static void note_going(struct watcher *w, struct going g, struct bytes bucket, struct bytes key, uint64_t age_ms)
{
	if (!wants(w, bucket, key))
		return;
	g.created_ms = clock_now().wall_ms;
	g.created_ms -= age_ms < g.created_ms ? age_ms : g.created_ms;
	g.key_len = key.n;
	/* Half of one is none. */
	if (buf_reserve(&w->runs, sizeof g + key.n) == 0) {
		buf_append(&w->runs, &g, sizeof g);
		buf_append(&w->runs, key.p, key.n);
	} else {
		w->missed++;
	}
}

static void note_run(void *arg, const struct msg *m)
{
	struct watcher *w = arg;

	w->orders[w->norders++] = m->order;
	note_going(w, (struct going){.kind = EVENT_START, .order = m->order, .gen = m->gen}, m->bucket, m->key, m->age);
}

static void note_lease(void *arg, const struct event *e, uint64_t age_ms)
{
	note_going(arg, (struct going){.kind = e->kind, .order = e->order, .gen = e->gen}, e->bucket, e->key, age_ms);
}

static bool send_runs(struct watcher *w)
{
	struct going g;

	while (w->told < w->runs.len && w->sent < ROWS) {
		const uint8_t *p = w->runs.data + w->told;
		struct event e = {.bucket = bytes_of(w->bucket), .ttl_ms = SC_FOREVER, .flags = EVENT_INITIAL};

		memcpy(&g, p, sizeof g);
		e.kind = g.kind;
		e.key = (struct bytes){p + sizeof g, g.key_len};
		e.gen = g.gen;
		e.order = g.order;
		w->told += sizeof g + g.key_len;
		if (!send_event(w, &e, g.created_ms))
			return false;
	}
	return true;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* What came since the watch began is told as an event. */
static int send_entry(void *arg, const struct entry *e)
{
	struct watcher *w = arg;
	struct now now = clock_now();
	uint64_t age;

	if (e->order > w->order || (w->norders && bsearch(&e->order, w->orders, w->norders, sizeof e->order, by_number)))
		return 0;
	/* Over, and only waiting for the timer to take it away. */
	if (!entry_age(e, w->c->d->boot_id, &now, &age) || age > e->ttl_ms)
		return 0;
	return !send_event(w,
			   &(struct event){.kind = EVENT_COMMIT,
					   .bucket = bytes_of(e->bucket),
					   .key = {e->key, e->key_len},
					   .gen = e->gen,
					   .order = e->order,
					   .exit = e->exit,
					   .signal = e->signal,
					   .out_len = e->out_len,
					   .err_len = e->err_len,
					   .ttl_ms = e->ttl_ms,
					   .flags = EVENT_INITIAL},
			   e->created_wall_ms);
}

static void end_listing(struct watcher *w)
{
	w->lists = false;
	buf_release(&w->runs);
	w->told = 0;
	free(w->orders);
	w->orders = NULL;
	w->norders = 0;
}

static bool send_initial(struct watcher *w)
{
	struct bytes prefix = {w->prefix, w->prefix_len};
	struct cursor at = w->entry;
	struct conn *c = w->c;
	int n = 0;

	while (n >= 0 && !at.over && w->sent < ROWS) {
		n = index_list(c->d->index, bytes_of(w->bucket), prefix, &at, ROWS, send_entry, w);
		if (c->watch != w)
			return false;
		w->entry = at;
		/* Perhaps a million that are over: none is on its way. */
		daemon_step(c->d);
	}
	if (n < 0) {
		struct msg no = {.type = MSG_REFUSE, .reason = REFUSE_STORE, .text = bytes_of(sc_strerror(n))};

		conn_send(c, &no, NULL, 0);
		conn_close_told(c);
		return false;
	}
	if (at.over)
		end_listing(w);
	return true;
}

/* ---- a watcher ---- */

int watch_start(struct conn *c, const struct msg *m)
{
	struct watchers *ws = c->d->watchers;
	struct watcher *w;

	if (ws->n == SC_WATCHERS_MAX)
		return SC_EBUSY;
	w = calloc(1, sizeof *w);
	if (!w)
		return SC_ENOMEM;
	w->c = c;
	memcpy(w->bucket, m->bucket.p, m->bucket.n);
	if (m->text.n)
		memcpy(w->prefix, m->text.p, m->text.n);
	w->prefix_len = m->text.n;
	w->at = ws->end;
	buf_init(&w->runs, SIZE_MAX);
	if (m->flags & WATCH_INITIAL) {
		w->lists = true;
		w->order = c->d->order;
		w->orders = calloc(flights_count(c->d) + 1, sizeof *w->orders);
		if (!w->orders) {
			free(w);
			return SC_ENOMEM;
		}
		flights_list(c->d, m->bucket, 0, UINT_MAX, note_run, w);
		leases_list(c->d, note_lease, w);
	}
	DL_APPEND(ws->list, w);
	ws->n++;
	c->watch = w;
	c->state = CONN_WATCHING;
	return 0;
}

void watch_stop(struct conn *c)
{
	struct watchers *ws = c->d->watchers;
	struct watcher *w = c->watch;

	if (!w)
		return;
	c->watch = NULL;
	DL_DELETE(ws->list, w);
	ws->n--;
	end_listing(w);
	free(w);
	while (!ws->n && ws->first < ws->end)
		drop_first(ws);
}

void watch_drained(struct conn *c)
{
	struct watcher *w = c->watch;

	w->sent = 0;
	/* First those that went on: what ends must have been told to be there. */
	if (!send_runs(w) || w->told < w->runs.len)
		return;
	if (send_events(w) && w->lists)
		send_initial(w);
}

void watch_turn(struct daemon *d)
{
	struct watcher *w, *next;

	if (!d->watchers->news)
		return;
	d->watchers->news = false;
	DL_FOREACH_SAFE (d->watchers->list, w, next)
		if (conn_is_drained(w->c))
			watch_drained(w->c);
}

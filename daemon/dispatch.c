/* Who may say what, when, and what it does. Called by conn.c with whole, decoded messages. Handlers are a few lines: what takes
 * more belongs to answer.c, flight.c or index.c. */
#include "daemon/dispatch.h"

#include <stdlib.h>
#include <unistd.h>

#include "daemon/answer.h"
#include "daemon/chore.h"
#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/evict.h"
#include "daemon/flight.h"
#include "daemon/history.h"
#include "daemon/hot.h"
#include "daemon/index.h"
#include "daemon/key.h"
#include "daemon/lease.h"
#include "daemon/listing.h"
#include "daemon/nesting.h"
#include "daemon/trust.h"
#include "daemon/watch.h"
#include "lib/build.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"

/* ---- both ---- */

static void on_hello(struct conn *c, const struct msg *m)
{
	struct msg answer = {.type = MSG_HELLO, .version = sc_proto_version, .build = bytes_of(sc_build)};
	struct msg no = {.type = MSG_REFUSE, .reason = REFUSE_VERSION};

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

static void on_ask(struct conn *c, const struct msg *m)
{
	answer_ask(c, m);
}

static void on_hold(struct conn *c, const struct msg *m)
{
	answer_hold(c, m);
}

static void on_attach(struct conn *c, const struct msg *m)
{
	answer_attach(c, m);
}

static void on_leave(struct conn *c, const struct msg *m)
{
	struct msg answer = {.type = MSG_LEFT, .gen = m->gen};
	bool stopping, doomed;

	if ((m->flags & LEAVE_UNLESS_LAST) && flight_is_last(c)) {
		answer.flags = LEFT_STAYED;
		conn_send(c, &answer, NULL, 0);
		return;
	}
	doomed = c->reads && flight_is_doomed(c->reads);
	answer.count = flight_leave(c, (unsigned)m->signal, &stopping);
	key_drop_heir(c);
	KILLPOINT("reader_left");
	answer.flags = (stopping ? LEFT_STOPPING : 0u) | (doomed ? LEFT_DOOMED : 0u);
	conn_send(c, &answer, NULL, 0);
}

static void on_explain(struct conn *c, const struct msg *m)
{
	history_explain(c, m);
}

static void on_watch(struct conn *c, const struct msg *m)
{
	struct msg ok = {.type = MSG_OK}, no = {.type = MSG_REFUSE, .reason = REFUSE_BUSY};
	int rc = watch_start(c, m);

	/* What there is to tell follows when this is on its way. */
	conn_send(c, rc ? &no : &ok, NULL, 0);
}

static void on_status(struct conn *c, const struct msg *m)
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

	(void)m;
	conn_send(c, &answer, NULL, 0);
}

static void on_stop(struct conn *c, const struct msg *m)
{
	struct daemon *d = c->d;
	struct msg answer = {.type = MSG_OK, .count = flights_count(d)};

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

static void on_proved(struct conn *c, const struct msg *m)
{
	trust_proved(c, m);
}

static void on_next(struct conn *c, const struct msg *m)
{
	c->state = CONN_READING; /* the bytes of one row may take it long */
	answer_next(c, m);
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

static void on_done(struct conn *c, const struct msg *m)
{
	if (speaks_of_its_run(c, m))
		flight_done(c->leads, m);
}

static void on_may_stop(struct conn *c, const struct msg *m)
{
	if (speaks_of_its_run(c, m))
		flight_may_stop(c->leads);
}

static void on_streaming(struct conn *c, const struct msg *m)
{
	if (speaks_of_its_run(c, m))
		flight_streaming(c->leads, (int)m->error);
}

static void on_grown(struct conn *c, const struct msg *m)
{
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

static void on_release(struct conn *c, const struct msg *m)
{
	lease_release(c, m);
}

static const struct {
	enum msg_type type;
	unsigned states; /* in which it may come */
	void (*handle)(struct conn *c, const struct msg *m);
	void (*take)(struct conn *c, const struct msg *m, int *fds, size_t nfds); /* instead, where descriptors come with it */
} table[] = {
	{MSG_HELLO, CONN_NEW, on_hello},
	{MSG_ASK, CONN_READY | CONN_READING, on_ask},
	{MSG_ATTACH, CONN_READY | CONN_READING, on_attach},
	{MSG_LEAVE, CONN_READING, on_leave},
	{MSG_REMOVE, CONN_READY, chore_remove},
	{MSG_CLEAR, CONN_READY, chore_clear},
	{MSG_TOUCH, CONN_READY, chore_touch},
	{MSG_LIST, CONN_READY, listing_entries},
	{MSG_TAGS, CONN_READY, listing_tags},
	{MSG_FLIGHTS, CONN_READY, listing_flights},
	{MSG_STATUS, CONN_READY, on_status},
	{MSG_STATS, CONN_READY, listing_stats},
	{MSG_SEALERS, CONN_READY, listing_sealers},
	{MSG_WATCH, CONN_READY, on_watch},
	{MSG_EXPLAIN, CONN_READY, on_explain},
	{MSG_STOP, CONN_READY, on_stop},
	{MSG_PROVED, CONN_READY | CONN_READING, on_proved},
	{MSG_LOADED, CONN_READY | CONN_READING, NULL, hot_loaded},
	{MSG_NEXT, CONN_READY | CONN_READING, on_next},
	{MSG_WALK, CONN_READY | CONN_READING, chore_walk},
	{MSG_SYNC, CONN_READY, chore_sync},
	{MSG_HOLD, CONN_READY, on_hold},
	{MSG_HOLDING, CONN_READY | CONN_HOLDING, NULL, on_holding},
	{MSG_RELEASE, CONN_HOLDING, on_release},
	{MSG_REGISTER, CONN_READY, NULL, on_register},
	{MSG_STARTED, CONN_WRITING, NULL, on_started},
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
	if (i == n || !(table[i].states & (unsigned)c->state))
		conn_close(c, "out of order");
	else if (table[i].take)
		table[i].take(c, m, fds, nfds);
	else
		table[i].handle(c, m);
	/* What a handler kept it has replaced by -1. */
	for (size_t k = 0; k < nfds; k++)
		if (fds[k] >= 0)
			close(fds[k]);
}

void dispatch_drained(struct conn *c)
{
	if (c->state == CONN_WATCHING)
		watch_drained(c);
	else
		listing_drained(c);
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
	chore_leave(c);
	if (c->reads)
		flight_leave(c, 0, &stopping);
	key_drop_heir(c);
	if (c->leads)
		flight_writer_gone(c);
	if (c->lease)
		lease_holder_gone(c);
	evict_let_go(c);
	hot_let_go(c);
}

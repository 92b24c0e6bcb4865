/* Rows on their way to somebody: entries, runs, buckets' figures. As many as fit a queue, and the next ones when that is empty, so that a
 * listing of a million holds nobody up and takes no more memory than a short one. Called by dispatch.c. */
#include "daemon/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/evict.h"
#include "daemon/flight.h"
#include "daemon/hot.h"
#include "daemon/index.h"
#include "daemon/lease.h"
#include "daemon/stats.h"
#include "lib/clock.h"
#include "lib/err.h"

/* Rows put into a queue at once: with the longest keys they stay well under SC_QUEUE_MAX. */
#define ROWS 32
/* … and buckets. */
#define BUCKETS 8
/* … and master keys. */
#define SEALERS 64

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
	listing_drained(c);
}

void listing_entries(struct conn *c, const struct msg *m)
{
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
void listing_tags(struct conn *c, const struct msg *m)
{
	struct msg end = {.type = MSG_END}, no = {.type = MSG_REFUSE, .reason = REFUSE_STORE};
	int n = index_list_tags(c->d->index, m->bucket, m->text, SC_TAGS_OFFERED, send_tag, c);

	if (n < 0) {
		no.error = n == SC_ESYS ? (uint64_t)errno : 0;
		no.text = bytes_of(sc_strerror(n));
	} else {
		end.count = (uint64_t)n;
	}
	conn_send(c, n < 0 ? &no : &end, NULL, 0);
}

void listing_sealers(struct conn *c, const struct msg *m)
{
	struct msg end = {.type = MSG_END}, row = {.type = MSG_SEALER};
	struct sealed_by at = {{0}};

	(void)m;
	while (end.count < SEALERS && index_sealed_next(c->d->index, &at, &at, &row.count) == 0) {
		row.sealed = (struct bytes){at.b, sizeof at.b};
		row.flags = keyring_has(c->d->keyring, &at) ? SEALER_HERE : 0u;
		conn_send(c, &row, NULL, 0);
		end.count++;
	}
	conn_send(c, &end, NULL, 0);
}

void listing_flights(struct conn *c, const struct msg *m)
{
	start_listing(c, m->bucket, (struct bytes){NULL, 0}, true);
}

static void send_tally(void *arg, const struct msg *m)
{
	conn_send(arg, m, NULL, 0);
}

struct msg listing_row(const struct daemon *d, const struct entry *e)
{
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
			.hits = e->hits + evict_untold(d, e),
			.tags = bytes_of(e->tags),
			.shown = {e->shown, e->shown_len},
			.flags = (hot_has(d, e) ? ENTRY_MEMORY : 0u) | (is_sealed(&e->sealed) ? ENTRY_SEALED : 0u)};

	if (!entry_age(e, d->boot_id, &now, &m.age))
		m.age = SC_FOREVER;
	return m;
}

static int send_entry(void *arg, const struct entry *e)
{
	struct conn *c = arg;
	struct listing *l = c->listing;
	struct msg m = listing_row(c->d, e);

	/* Over, and only waiting for the timer to take it away; or of the future. */
	if (m.age == SC_FOREVER || m.age > e->ttl_ms)
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

/* A bucket is some two dozen messages. */
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

/* Behind the runs, in the same order. */
static int next_leases(struct conn *c, struct listing *l)
{
	struct bytes bucket = bytes_of(l->bucket);
	const struct lease *lease;
	struct msg m;
	int n;

	for (n = 0; n < ROWS && (lease = leases_next(c->d, bucket, l->after_order)) != NULL; n++) {
		m = lease_row(lease);
		send_flight(c, &m);
		if (c->listing != l)
			break;
	}
	return n;
}

static int next_flights(struct conn *c, struct listing *l)
{
	int n = l->leases ? 0 : (int)flights_list(c->d, bytes_of(l->bucket), l->after_order, ROWS, send_flight, c);

	if (c->listing != l || n == ROWS)
		return n;
	if (!l->leases)
		l->after_order = 0;
	l->leases = true;
	/* Both at once might not fit the queue. */
	return n ? ROWS : next_leases(c, l);
}

/* A row that cannot be sent takes *l with it. Perhaps none was given, and yet there are more. */
static int next_entries(struct conn *c, struct listing *l)
{
	struct listing was = *l;
	int n = index_list(c->d->index, bytes_of(was.bucket), (struct bytes){was.prefix, was.prefix_len}, &was.at, ROWS,
			   send_entry, c);

	if (c->listing != l)
		return 0;
	l->at = was.at;
	return n < 0 ? n : was.at.over ? 0 : ROWS;
}

/* ROWS: there may be more. */
static int next_rows(struct conn *c, struct listing *l)
{
	if (l->stats)
		return next_buckets(c, l);
	if (l->flights)
		return next_flights(c, l);
	return next_entries(c, l);
}

void listing_stats(struct conn *c, const struct msg *m)
{
	struct listing *l = calloc(1, sizeof *l);

	(void)m;
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

void listing_drained(struct conn *c)
{
	struct listing *l = c->listing;
	struct msg end = {.type = MSG_END}, no = {.type = MSG_REFUSE, .reason = REFUSE_STORE};
	int n;

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

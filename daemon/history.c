/* The last words about keys. Called by event.c and answer.c (what has happened) and dispatch.c (who asks). Never scans: the oldest rows go
 * by their numbers, in the index's own time. */
#include "daemon/history.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/event.h"
#include "daemon/flight.h"
#include "daemon/index.h"
#include "daemon/lease.h"
#include "daemon/listing.h"
#include "daemon/table.h"
#include "daemon/ticker.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"

/* One key that the index has not been told of. */
struct page_of_key {
	struct past past;
	UT_hash_handle hh;
	size_t bucket_len, key_len;
	uint8_t id[]; /* bucket, NUL, key */
};

struct history {
	struct page_of_key *fresh, *saving; /* saving: the index is at it */
	size_t bytes;			    /* of the fresh ones */
	struct ticker *save;
};

static void on_save(struct daemon *d, void *arg)
{
	(void)arg;
	history_save(d);
}

int history_open(struct daemon *d)
{
	struct history *h = calloc(1, sizeof *h);

	if (!h)
		return SC_ENOMEM;
	d->history = h;
	h->save = ticker_new(d, on_save, NULL);
	return h->save ? 0 : SC_ENOMEM;
}

static void drop_all(struct page_of_key **table)
{
	struct page_of_key *p = *table, *next;

	HASH_CLEAR(hh, *table); /* the table alone: they hang together without it */
	for (; p; p = next) {
		next = p->hh.next;
		free(p);
	}
}

void history_close(struct daemon *d)
{
	struct history *h = d->history;

	if (!h)
		return;
	drop_all(&h->fresh);
	drop_all(&h->saving);
	ticker_free(h->save);
	free(h);
	d->history = NULL;
}

/* ---- to the index ---- */

static void on_saved(void *arg, int status, uint64_t changed)
{
	struct daemon *d = arg;

	(void)changed;
	if (status)
		log_event(d->log, "history-lost", "why=\"%s\"", sc_strerror(status));
	drop_all(&d->history->saving);
	if (d->history->fresh && (d->stopping || d->history->bytes > SC_HISTORY_BYTES / 2))
		history_save(d);
	else if (d->history->fresh)
		ticker_start(d->history->save, SC_HISTORY_MS);
}

void history_save(struct daemon *d)
{
	struct history *h = d->history;
	struct page_of_key *p;
	struct buf rows;
	int rc = 0;

	if (h->saving || !h->fresh)
		return;
	ticker_stop(h->save);
	buf_init(&rows, SIZE_MAX);
	for (p = h->fresh; p && !rc; p = p->hh.next)
		rc = index_pack_past(&rows, &p->past, (struct bytes){p->id, p->bucket_len},
				     (struct bytes){p->id + p->bucket_len + 1, p->key_len});
	h->saving = h->fresh;
	h->fresh = NULL;
	h->bytes = 0;
	KILLPOINT("before_history");
	if (!rc)
		rc = index_remember(d->index, &rows, on_saved, d);
	buf_release(&rows);
	if (rc)
		drop_all(&h->saving);
}

/* ---- one key ---- */

static size_t make_id(struct bytes bucket, struct bytes key, uint8_t id[SC_BUCKET_MAX + 1 + SC_KEY_MAX])
{
	memcpy(id, bucket.p, bucket.n);
	id[bucket.n] = '\0';
	memcpy(id + bucket.n + 1, key.p, key.n);
	return bucket.n + 1 + key.n;
}

/* What is known, wherever it lies. */
static struct past recall(struct daemon *d, struct bytes bucket, struct bytes key)
{
	uint8_t id[SC_BUCKET_MAX + 1 + SC_KEY_MAX];
	size_t n = make_id(bucket, key, id);
	struct page_of_key *p;
	struct past past = {0};

	HASH_FIND(hh, d->history->fresh, id, n, p);
	if (!p)
		HASH_FIND(hh, d->history->saving, id, n, p);
	if (p)
		return p->past;
	if (index_recall(d->index, bucket, key, &past))
		past = (struct past){0};
	return past;
}

/* The page to write on, with what is known so far. Once sealed it is sealed for as long as it is known. NULL: no room. */
static struct past *turn_to(struct daemon *d, struct bytes bucket, struct bytes key, bool sealed)
{
	struct history *h = d->history;
	uint8_t id[SC_BUCKET_MAX + 1 + SC_KEY_MAX];
	size_t n = make_id(bucket, key, id);
	struct page_of_key *p;

	HASH_FIND(hh, h->fresh, id, n, p);
	if (p) {
		p->past.sealed |= sealed;
		return &p->past;
	}
	/* The index does not keep up: what is new now is not known later. */
	p = h->bytes + sizeof *p + n <= SC_HISTORY_BYTES ? calloc(1, sizeof *p + n) : NULL;
	if (!p)
		return NULL;
	p->past = recall(d, bucket, key);
	p->past.sealed |= sealed;
	p->bucket_len = bucket.n;
	p->key_len = key.n;
	memcpy(p->id, id, n);
	HASH_ADD_KEYPTR(hh, h->fresh, p->id, n, p);
	if (!p->hh.tbl) {
		free(p);
		return NULL;
	}
	h->bytes += sizeof *p + n;
	if (h->bytes > SC_HISTORY_BYTES / 2 && !h->saving)
		ticker_start(h->save, 0);
	else if (!ticker_is_running(h->save))
		ticker_start(h->save, SC_HISTORY_MS);
	return &p->past;
}

enum cause_kind history_of_errno(int error)
{
	return error == EFBIG ? CAUSE_TOO_LARGE : error == ENOSPC || error == EDQUOT ? CAUSE_DISK_FULL : CAUSE_UNSTORED;
}

static enum cause_kind cause_of(const struct event *e)
{
	switch (e->kind) {
	case EVENT_FAIL:
		return CAUSE_FAILED;
	case EVENT_CANCEL:
		return e->reason == CANCEL_PUT ? CAUSE_GIVEN_UP : CAUSE_CANCELLED;
	case EVENT_LOST:
		return CAUSE_LOST;
	case EVENT_EXPIRE:
		return CAUSE_EXPIRED;
	case EVENT_EVICT:
		return CAUSE_EVICTED;
	case EVENT_REMOVE:
		return e->reason == REMOVED_DAMAGED ? CAUSE_UNREADABLE : CAUSE_REMOVED;
	case EVENT_END:
		return e->reason == UNKEPT_STORE    ? history_of_errno(e->error)
		       : e->reason == UNKEPT_TTL    ? CAUSE_UNKEPT
		       : e->reason == UNKEPT_DOOMED ? CAUSE_DOOMED
						    : CAUSE_NONE;
	case EVENT_START:
	case EVENT_COMMIT:
	case EVENT_HOLD:
	case EVENT_RELEASE:
		break;
	}
	return CAUSE_NONE;
}

void history_note(struct daemon *d, const struct event *e)
{
	enum cause_kind kind = cause_of(e);
	struct past *past;

	/* A run that begins says nothing yet; a lease has no story. That a newer one was there already is none either. */
	if (kind == CAUSE_NONE && e->kind != EVENT_COMMIT)
		return;
	past = turn_to(d, e->bucket, e->key, e->sealed);
	if (!past)
		return;
	past->fate = (struct cause){.kind = kind, .exit = e->exit, .signal = e->signal, .error = e->error};
	past->fate.when_ms = clock_now().wall_ms;
	if (e->kind == EVENT_COMMIT)
		past->other_ms = 0;
}

void history_missed(struct daemon *d, struct bytes bucket, struct bytes key, bool sealed, struct cause why)
{
	struct past *past = turn_to(d, bucket, key, sealed);

	if (!past)
		return;
	past->missed_ms = clock_now().wall_ms;
	if (why.when_ms == 0)
		why.when_ms = past->missed_ms;
	past->miss = why.kind == CAUSE_NEVER && past->fate.kind != CAUSE_NONE ? past->fate : why;
}

void history_other(struct daemon *d, struct bytes bucket, struct bytes key, bool sealed)
{
	struct past *past = turn_to(d, bucket, key, sealed);

	if (past)
		past->other_ms = clock_now().wall_ms;
}

/* ---- explain ---- */

static void send_entry(struct conn *c, const struct msg *q, bool failed)
{
	struct entry e;
	struct msg m;

	if (index_find(c->d->index, q->bucket, q->key, failed, &e))
		return;
	m = listing_row(c->d, &e);
	conn_send(c, &m, NULL, 0);
}

struct asked {
	struct conn *c;
	struct bytes key;
};

static void send_run(void *arg, const struct msg *m)
{
	const struct asked *a = arg;

	if (m->key.n == a->key.n && memcmp(m->key.p, a->key.p, a->key.n) == 0)
		conn_send(a->c, m, NULL, 0);
}

static void send_cause(struct conn *c, const struct cause *why, unsigned flags, uint64_t asked_ms)
{
	uint64_t now = clock_now().wall_ms;
	struct msg m = {.type = MSG_CAUSE,
			.kind = why->kind,
			.created = why->when_ms,
			.age = now > asked_ms ? now - asked_ms : 0,
			.exit = why->exit,
			.signal = why->signal,
			.error = (uint64_t)why->error,
			.flags = flags};

	if (why->kind != CAUSE_NONE)
		conn_send(c, &m, NULL, 0);
}

void history_explain(struct conn *c, const struct msg *m)
{
	struct past past = recall(c->d, m->bucket, m->key);
	struct cause other = {.kind = past.other_ms ? CAUSE_COMMAND : CAUSE_NONE, .when_ms = past.other_ms};
	const struct lease *lease = lease_look(c->d, m->bucket, m->key);
	struct asked a = {c, m->key};
	struct msg end = {.type = MSG_END};

	send_entry(c, m, false);
	send_entry(c, m, true);
	flights_list(c->d, m->bucket, 0, UINT_MAX, send_run, &a);
	if (lease) {
		struct msg row = lease_row(lease);

		conn_send(c, &row, NULL, 0);
	}
	send_cause(c, &past.fate, 0, past.fate.when_ms);
	send_cause(c, &past.miss, CAUSE_OF_MISS, past.missed_ms);
	send_cause(c, &other, CAUSE_OF_HIT, other.when_ms);
	conn_send(c, &end, NULL, 0);
}

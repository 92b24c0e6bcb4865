/* What the index or the walk is asked to do for somebody, who is answered when it is done. Called by dispatch.c. */
#include "daemon/chore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/flight.h"
#include "daemon/index.h"
#include "daemon/key.h"
#include "daemon/lease.h"
#include "daemon/trust.h"
#include "daemon/upkeep.h"
#include "daemon/walk.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"

/* Outlives its peer: then c is NULL and nobody is answered. */
struct chore {
	struct daemon *d;
	struct conn *c;
	unsigned runs; /* doomed before it */

	/* a CLEAR's */
	struct clearing *clearing;
	uint64_t rows; /* gone */
	uint8_t name[SC_BUCKET_MAX + SC_KEY_MAX + SC_TAGS_SIZE];
};

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

/* Nothing was begun of it. */
static void give_up(struct chore *r)
{
	struct conn *c = r->c;

	free_chore(r);
	conn_close(c, "no memory");
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

void chore_remove(struct conn *c, const struct msg *m)
{
	struct chore *r;

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
	if (index_remove(c->d->index, m->bucket, m->key, UINT64_MAX, on_removed, r))
		give_up(r);
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

void chore_clear(struct conn *c, const struct msg *m)
{
	struct clearing *cl;
	struct chore *r;

	if (refuse_held(c, find_obstacle(c->d, m)))
		return;
	r = begin_chore(c);
	if (!r)
		return;
	cl = r->clearing = calloc(1, sizeof *cl);
	if (!cl) {
		give_up(r);
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
		give_up(r);
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
void chore_touch(struct conn *c, const struct msg *m)
{
	struct chore *r = begin_chore(c);
	struct now now = clock_now();
	struct entry e;
	uint64_t age;
	int rc;

	if (!r)
		return;
	rc = index_find(c->d->index, m->bucket, m->key, false, &e);
	if (rc == SC_ENOENT || rc == SC_ECORRUPT ||
	    (rc == 0 && (trust_is_bad(c->d, &e.gen) || !entry_age(&e, c->d->boot_id, &now, &age) || age > e.ttl_ms)))
		end_chore(r, 0, 0);
	else if (rc)
		end_chore(r, rc, 0);
	else if (index_touch(c->d->index, m->bucket, m->key, m->ttl, &now, on_touched, r))
		give_up(r);
}

static void on_synced(void *arg, int status, uint64_t changed)
{
	struct chore *r = arg;

	(void)changed;
	if (status == SC_ESYS)
		trust_nothing(r->d);
	end_chore(r, status, index_count(r->d->index));
}

void chore_sync(struct conn *c, const struct msg *m)
{
	struct chore *r = begin_chore(c);

	(void)m;
	if (r && index_sync(c->d->index, on_synced, r))
		give_up(r);
}

static void on_walked(void *arg, int status, const struct walk_order *found)
{
	end_chore(arg, status, found->orphans);
}

void chore_walk(struct conn *c, const struct msg *m)
{
	struct msg busy = {.type = MSG_REFUSE, .reason = REFUSE_BUSY};
	struct chore *r = begin_chore(c);

	if (!r)
		return;
	c->state = CONN_READING;
	if (upkeep_walk(c->d->upkeep, m->flags & WALK_ONLY_LOOK, on_walked, r)) {
		free_chore(r);
		conn_send(c, &busy, NULL, 0);
	}
}

void chore_leave(struct conn *c)
{
	if (c->chore)
		c->chore->c = NULL;
}

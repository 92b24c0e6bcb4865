/* From an ASK to HIT, FOLLOW, LEAD, WAIT, MISS or REFUSE. Called by dispatch.c (a question) and flight.c (its key has changed).
 * Decides nothing itself: decide.c does. */
#include "daemon/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/cmdline.h"
#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/evict.h"
#include "daemon/flight.h"
#include "daemon/history.h"
#include "daemon/hot.h"
#include "daemon/index.h"
#include "daemon/key.h"
#include "daemon/lease.h"
#include "daemon/nesting.h"
#include "daemon/stats.h"
#include "daemon/trust.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/object.h"

static void say_miss(struct conn *c)
{
	struct msg m = {.type = MSG_MISS};

	c->state = CONN_READY;
	conn_send(c, &m, NULL, 0);
}

static void say_refused(struct conn *c, enum refusal reason, int error, const char *text)
{
	struct msg m = {.type = MSG_REFUSE, .reason = reason, .error = (uint64_t)error, .text = bytes_of(text)};

	c->state = CONN_READY;
	conn_send(c, &m, NULL, 0);
}

static void say_wait(struct conn *c, const struct ask *ask, enum wait_reason reason)
{
	struct bytes bucket = bytes_of(ask->bucket), key = {ask->key, ask->key_len};
	struct msg m = {.type = MSG_WAIT, .reason = reason};

	if (!c->ask) {
		c->ask = malloc(sizeof *ask);
		if (c->ask)
			*c->ask = *ask;
	}
	if (!c->ask || key_wait(c->d, c, bucket, key)) {
		free(c->ask);
		c->ask = NULL;
		say_refused(c, REFUSE_BUSY, ENOMEM, "");
		return;
	}
	c->state = CONN_WAITING;
	conn_send(c, &m, NULL, 0);
}

static int open_whole(int dir_fd, const struct entry *e, enum stream stream, uint64_t want, int *fd)
{
	uint64_t size;
	int rc = object_open(dir_fd, &e->gen, stream, fd, &size);

	if (rc == 0 && size != want) {
		close(*fd);
		*fd = -1;
		rc = SC_ECORRUPT;
	}
	return rc;
}

/* The entry's objects, as many as it has. SC_ENOENT, SC_EUNSAFE, SC_ECORRUPT: there are none as the row says · SC_ESYS: not to be
 * had now, which proves nothing about them. */
static int open_entry(int dir_fd, const struct entry *e, int fds[2], size_t *n)
{
	int rc = open_whole(dir_fd, e, STREAM_OUT, e->out_size, &fds[0]);

	*n = rc ? 0 : 1;
	if (rc || e->err_len == 0)
		return rc;
	rc = open_whole(dir_fd, e, STREAM_ERR, e->err_size, &fds[1]);
	if (rc)
		close(fds[0]);
	*n = rc ? 0 : 2;
	return rc;
}

/* How its bytes are given out. What is sealed proves itself, frame by frame. Who verifies them has not been told yet that they are worth
 * keeping, and who is given a stale entry will not find it here for long. */
static unsigned hit_flags(struct conn *c, const struct entry *e, unsigned flags, const int *fds, size_t n)
{
	if (flags & HIT_MEMORY) {
		hot_served(c, e);
		stats_count(c->d, bytes_of(e->bucket), TALLY_MEMORY_HITS, 1);
		stats_count(c->d, bytes_of(e->bucket), TALLY_BYTES_MEMORY, e->out_len + e->err_len);
	} else if (!is_sealed(&e->sealed) && trust_wants_proof(c->d, e, fds, n)) {
		flags |= HIT_VERIFY;
	} else if (!(flags & HIT_STALE) && hot_ask(c, e)) {
		flags |= HIT_LOAD;
	}
	return flags;
}

/* flags: HIT_MEMORY if these descriptors are of memory. */
static void say_hit(struct conn *c, const struct entry *e, uint64_t age_ms, unsigned flags, const int *fds, size_t n)
{
	struct msg m = {.type = MSG_HIT,
			.gen = e->gen,
			.order = e->order,
			.exit = e->exit,
			.signal = e->signal,
			.out_len = e->out_len,
			.err_len = e->err_len,
			.age = age_ms,
			.ttl = e->ttl_ms,
			.created = e->created_wall_ms,
			.flags = hit_flags(c, e, flags, fds, n),
			.out_sum = {e->out_sum, SC_SUM_SIZE},
			.err_sum = {e->err_sum, SC_SUM_SIZE}};
	struct seal_key keys[2];

	if (is_sealed(&e->sealed) && !(flags & HIT_MEMORY)) {
		/* It was looked for before it was decided; and without keys it would be given out as it lies. */
		BUG_ON(keyring_streams(c->d->keyring, &e->sealed, &e->gen, keys) != 0);
		m.keys = (struct bytes){keys[0].b, sizeof keys};
	}
	c->state = CONN_READING;
	c->holds = e->gen;
	evict_visited(c->d, e);
	stats_count(c->d, bytes_of(e->bucket), TALLY_BYTES_SERVED, e->out_len + e->err_len);
	conn_send(c, &m, fds, n);
}

static void forget_entry(struct conn *c, const struct entry *e)
{
	char hex[SC_GEN_HEX];

	gen_format(&e->gen, hex);
	log_event(c->d->log, "entry-unusable", "gen=%s why=\"object missing or of another size\"", hex);
	index_drop(c->d->index, e, NULL, NULL);
}

/* The store cannot do it: who has a command runs it directly. */
static void refuse_store(struct conn *c, const struct ask *ask, int rc)
{
	int error = rc == SC_ESYS ? errno : rc == SC_ENOMEM ? ENOMEM : 0;

	if (ask->q.has_command && !ask->q.put)
		stats_count(c->d, bytes_of(ask->bucket), TALLY_BYPASSES, 1);
	say_refused(c, REFUSE_STORE, error, sc_strerror(rc));
}

static void lead(struct conn *c, const struct ask *ask)
{
	int rc = flight_begin(c, ask);

	if (rc == 0)
		return;
	log_event(c->d->log, "no-flight", "why=\"%s\"", sc_strerror(rc));
	refuse_store(c, ask, rc);
	/* Others may have filled the disk: what is asked for next shall find room. */
	evict_look(c->d, ask->bucket);
}

/* The key alone decides; but who asks with another command may have meant another key. */
static void note_other(struct conn *c, const struct ask *ask)
{
	history_other(c->d, bytes_of(ask->bucket), (struct bytes){ask->key, ask->key_len}, is_sealed(&ask->sealed));
}

static void follow(struct conn *c, const struct ask *ask, struct flight *f)
{
	int rc = flight_join(f, c, ask);

	if (rc)
		refuse_store(c, ask, rc);
	else if (flight_is_of_other(f, ask->command))
		note_other(c, ask);
}

static void hold(struct conn *c, const struct ask *ask)
{
	int rc = lease_begin(c, ask);

	if (rc)
		refuse_store(c, ask, rc);
}

static void give_value(struct conn *c, const struct ask *ask, const struct lease *l)
{
	int rc = lease_give(l, c);

	if (rc)
		refuse_store(c, ask, rc);
}

/* What lies there in the clear is none to who wants it sealed; if nothing may lie in the clear, nor to anybody else. */
static bool is_clear(struct conn *c, const struct ask *ask, const struct entry *e)
{
	char hex[SC_GEN_HEX];

	if (is_sealed(&e->sealed) || !is_sealed(&ask->sealed))
		return false;
	if (!c->d->config.encrypt)
		return true;
	gen_format(&e->gen, hex);
	log_event(c->d->log, "entry-unusable", "gen=%s why=\"in the clear\"", hex);
	index_drop(c->d->index, e, NULL, NULL);
	return true;
}

static bool find(struct conn *c, const struct ask *ask, bool failed, struct entry *e)
{
	struct bytes bucket = bytes_of(ask->bucket), key = {ask->key, ask->key_len};

	if (index_find(c->d->index, bucket, key, failed, e) != 0 || trust_is_bad(c->d, &e->gen) || is_clear(c, ask, e))
		return false;
	/* What cannot be opened is not there: never is it given out as it lies. */
	return !is_sealed(&e->sealed) || keyring_has(c->d->keyring, &e->sealed);
}

static void look_up(struct conn *c, struct ask *ask, struct entry *e, struct known *k)
{
	struct now now = clock_now();
	bool found = find(c, ask, false, e);

	/* Too old to be served, it still says how long the run took. */
	ask->estimate_ms = found ? e->took_ms : SC_FOREVER;
	k->has_entry = found && entry_age(e, c->d->boot_id, &now, &k->age_ms);
	k->ttl_ms = k->has_entry ? e->ttl_ms : 0;
	k->stale_ms = k->has_entry ? e->stale_ms : 0;
}

/* Only where it may matter: a hit looks into the index once. */
static void look_up_failure(struct conn *c, const struct ask *ask, struct entry *e, struct known *k)
{
	struct now now = clock_now();

	if (ask->q.keep_ms == 0 || decide_is_fresh(&ask->q, k) || !find(c, ask, true, e))
		return;
	k->has_failure = entry_age(e, c->d->boot_id, &now, &k->failure_age_ms);
	k->failure_ttl_ms = e->ttl_ms;
}

static bool is_hit(const struct verdict *v)
{
	return v->kind == VERDICT_HIT || v->kind == VERDICT_STALE || v->kind == VERDICT_FAILURE;
}

/* Whoever is given nothing, and waits for nobody, is in nobody's way. */
static bool may_wait(const struct verdict *v)
{
	return !is_hit(v) && v->kind != VERDICT_MISS && v->kind != VERDICT_ALONE && v->kind != VERDICT_EXISTS &&
	       v->kind != VERDICT_HELD && v->kind != VERDICT_VALUE;
}

/* Only a row whose objects are there is an entry. */
static bool wants_entry(const struct verdict *v)
{
	return is_hit(v) || (v->kind == VERDICT_EXISTS && v->by_entry);
}

/* Opens what was decided for, *e. A hit by its row but not by its file is looked past: decided again, until it is none or one of those
 * there are is good. 0, or SC_ESYS: it is not to be had now. *flags: HIT_MEMORY if it is had from there. */
static int open_hit(struct conn *c, const struct ask *ask, struct known *k, struct entry *good, struct entry *failure,
		    struct verdict *v, struct entry **e, int fds[2], size_t *n, unsigned *flags)
{
	int rc = 0;

	while (wants_entry(v)) {
		BUG_ON(v->kind == VERDICT_FAILURE ? !k->has_failure : !k->has_entry);
		*e = v->kind == VERDICT_FAILURE ? failure : good;
		if (hot_take(c->d, *e, fds, n)) {
			*flags |= HIT_MEMORY;
			return 0;
		}
		rc = open_entry(c->d->place.dir_fd, *e, fds, n);
		if (rc == 0 || rc == SC_ESYS)
			return rc;
		forget_entry(c, *e);
		if (v->kind == VERDICT_FAILURE)
			k->has_failure = false;
		else
			k->has_entry = false;
		*v = decide(&ask->q, k);
	}
	return 0;
}

/* What waits is counted when it no longer does, a run when it has begun. A renewal is not a question of its own: who asks for it has been
 * answered; a holder asks for nothing that is made. */
static void count(struct conn *c, const struct ask *ask, enum verdict_kind kind)
{
	static const struct {
		bool counts;
		enum tally as;
	} kinds[] = {
		[VERDICT_HIT] = {true, TALLY_HITS},
		[VERDICT_STALE] = {true, TALLY_STALE},
		[VERDICT_FAILURE] = {true, TALLY_FAILURES},
		[VERDICT_FOLLOW] = {true, TALLY_FOLLOWS},
		[VERDICT_LEAD] = {false, 0},
		[VERDICT_WAIT] = {false, 0},
		[VERDICT_MISS] = {true, TALLY_MISSES},
		[VERDICT_NESTED] = {true, TALLY_BYPASSES},
		[VERDICT_ALONE] = {true, TALLY_BYPASSES},
		[VERDICT_EXISTS] = {false, 0},
		[VERDICT_HELD] = {false, 0},
		[VERDICT_VALUE] = {true, TALLY_HITS},
		[VERDICT_HOLD] = {false, 0},
	};

	if (kinds[kind].counts && !ask->q.renew && !ask->q.hold)
		stats_count(c->d, bytes_of(ask->bucket), kinds[kind].as, 1);
}

/* Why neither an entry nor somebody's run was the answer. e: of the entry that was looked up; unreadable: it was one, by its row. */
static struct cause cause_of_miss(const struct ask *ask, const struct known *k, const struct verdict *v, const struct entry *e,
				  bool unreadable)
{
	struct cause why = {.kind = CAUSE_NEVER};

	if (v->kind == VERDICT_NESTED) {
		why.kind = CAUSE_NESTED;
	} else if (v->kind == VERDICT_ALONE) {
		why.kind = history_of_errno(k->unkept);
		why.error = k->unkept;
	} else if (unreadable) {
		why.kind = CAUSE_UNREADABLE;
	} else if (ask->q.refresh) {
		why.kind = CAUSE_REFRESHED;
	} else if (k->has_entry && k->age_ms > k->ttl_ms) {
		why.kind = CAUSE_EXPIRED;
		why.when_ms = e->created_wall_ms + k->ttl_ms;
	} else if (k->has_entry) {
		why.kind = CAUSE_OLD;
		why.when_ms = e->created_wall_ms;
	}
	return why;
}

/* What puts something in the place of whatever is there asks for nothing; nor is a renewal a question of its own. */
static void note_miss(struct conn *c, const struct ask *ask, const struct cause *why, enum verdict_kind kind)
{
	struct bytes bucket = bytes_of(ask->bucket), key = {ask->key, ask->key_len};

	if (kind != VERDICT_LEAD && kind != VERDICT_MISS && kind != VERDICT_ALONE && kind != VERDICT_NESTED)
		return;
	if (!ask->q.put && !ask->q.renew && !ask->q.lost && !ask->q.hold)
		history_missed(c->d, bucket, key, is_sealed(&ask->sealed), *why);
}

/* Says what is no hit. run and lease: those of the key, where the verdict is about one. */
static void say_verdict(struct conn *c, struct ask *ask, const struct known *k, struct verdict v, struct flight *run,
			struct lease *lease)
{
	char who[128];

	switch (v.kind) {
	case VERDICT_HIT:
	case VERDICT_STALE:
	case VERDICT_FAILURE:
		BUG("a hit without an entry");
	case VERDICT_FOLLOW:
		follow(c, ask, run);
		break;
	case VERDICT_LEAD:
		lead(c, ask);
		break;
	case VERDICT_WAIT:
		say_wait(c, ask, v.reason);
		break;
	case VERDICT_MISS:
		say_miss(c);
		break;
	case VERDICT_NESTED:
		say_refused(c, REFUSE_NESTED, 0, "");
		break;
	case VERDICT_EXISTS:
		say_refused(c, REFUSE_EXISTS, 0, "");
		break;
	case VERDICT_HELD:
		say_refused(c, REFUSE_HELD, 0, lease_describe(lease, who));
		break;
	case VERDICT_VALUE:
		give_value(c, ask, lease);
		break;
	case VERDICT_HOLD:
		hold(c, ask);
		break;
	case VERDICT_ALONE:
		say_refused(c, REFUSE_UNKEPT, k->unkept, "");
		break;
	}
}

static void answer(struct conn *c, struct ask *ask)
{
	struct bytes bucket = bytes_of(ask->bucket), key = {ask->key, ask->key_len};
	struct lease *lease = lease_find(c->d, bucket, key);
	struct flight *run = NULL;
	struct known k = {.held = !lease ? HELD_NOT : lease_is_there(lease) ? HELD_THERE : HELD_BEGUN};
	int fds[2], rc;
	size_t nfds = 0;
	struct verdict v;
	struct entry good, failure = {.failed = true}, *e = NULL;
	bool by_row, other;
	struct cause why;
	unsigned flags = 0;

	/* Who is inside of what holds it would wait for itself. */
	k.nested = ask->q.hold && lease && lease_is_among(lease, ask->chain, ask->nchain);
	look_up(c, ask, &good, &k);
	look_up_failure(c, ask, &failure, &k);
	flights_known(c->d, bucket, key, &k, &run);
	v = decide(&ask->q, &k);
	KILLPOINT("ask_decided");
	by_row = is_hit(&v);
	rc = open_hit(c, ask, &k, &good, &failure, &v, &e, fds, &nfds, &flags);
	if (is_hit(&v) && rc) {
		refuse_store(c, ask, rc);
		return;
	}
	if (is_hit(&v)) {
		other = cmdline_differs(e->command, ask->command);
		count(c, ask, v.kind);
		if (other)
			note_other(c, ask);
		say_hit(c, e, v.kind == VERDICT_FAILURE ? k.failure_age_ms : k.age_ms,
			flags | (v.kind == VERDICT_STALE ? HIT_STALE : 0u) | (v.renew ? HIT_RENEW : 0u) |
				(other ? HIT_OTHER : 0u),
			fds, nfds);
		return;
	}
	/* Of an entry that is in the way its being there is all that matters. */
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
	if (may_wait(&v)) {
		if (nesting_locate(c, ask->chain, ask->nchain)) {
			say_refused(c, REFUSE_BUSY, ENOMEM, "");
			return;
		}
		/* Who begins a run of a key that has none waits for nobody. */
		ask->early = v.kind == VERDICT_FOLLOW && flights_are_early(c->d) && nesting_is_inside(c);
		if (ask->early)
			k.run = RUN_AWAITED;
		if (!ask->q.hold)
			k.nested = (v.kind != VERDICT_LEAD || k.run != RUN_NONE) && nesting_by_key(c, bucket, key, &ask->q);
		v = decide(&ask->q, &k);
	}
	count(c, ask, v.kind);
	why = cause_of_miss(ask, &k, &v, &good, by_row);
	note_miss(c, ask, &why, v.kind);
	say_verdict(c, ask, &k, v, run, lease);
}

void answer_ask(struct conn *c, const struct msg *m)
{
	struct ask ask = {.key_len = m->key.n,
			  .finish = m->flags & (ASK_FINISH | ASK_DETACHED | ASK_RENEW),
			  .detached = m->flags & (ASK_DETACHED | ASK_RENEW),
			  .given = (m->flags & ASK_PUT) && (m->flags & ASK_GIVEN) && !gen_is_none(&m->gen),
			  .gen = m->gen,
			  .nchain = m->chain.n / SC_GEN_SIZE};
	bool stopping;

	/* It asks again: it reads nothing now, but what is to be renewed. */
	flight_leave(c, 0, &stopping);
	if (!(m->flags & ASK_RENEW)) {
		evict_let_go(c);
		hot_let_go(c);
	}
	ask.q = (struct question){.has_command = m->flags & ASK_COMMAND,
				  .refresh = m->flags & ASK_REFRESH,
				  .finished = m->flags & ASK_FINISHED,
				  .wait = m->flags & ASK_WAIT,
				  .put = m->flags & ASK_PUT,
				  .if_absent = m->flags & ASK_IF_ABSENT,
				  .lost = !ask.given && !gen_is_none(&m->gen),
				  .renew = m->flags & ASK_RENEW,
				  .order = c->d->order,
				  .accept_ms = m->accept};
	memcpy(ask.bucket, m->bucket.p, m->bucket.n);
	memcpy(ask.key, m->key.p, m->key.n);
	index_key_command(c->d->index, m->command, ask.command);
	if (m->tags.n)
		memcpy(ask.tags, m->tags.p, m->tags.n);
	if (m->chain.n)
		memcpy(ask.chain, m->chain.p, m->chain.n);
	ask.ttl_ms = m->ttl == SC_TTL_UNSET ? config_ttl(&c->d->config, ask.bucket) : m->ttl;
	ask.stale_ms = m->stale == SC_TTL_UNSET ? config_stale(&c->d->config, ask.bucket) : m->stale;
	ask.keep_ms = m->keep == SC_TTL_UNSET ? config_keep_failures(&c->d->config, ask.bucket) : m->keep;
	ask.finish |= config_finish(&c->d->config, ask.bucket);
	if ((m->flags & ASK_SEALED) || c->d->config.encrypt)
		ask.sealed = *keyring_at(c->d->keyring, 0);
	/* Who makes it in the background does so in time: when it is too old, not when it is too old to be served. */
	ask.q.stale_ms = ask.detached && !ask.q.renew ? 0 : ask.stale_ms;
	ask.q.keep_ms = ask.keep_ms;
	c->can_lead = ask.q.has_command;
	answer(c, &ask);
	/* Only now: if it was told to lead, those who waited for that are its followers. */
	key_drop_heir(c);
}

void answer_hold(struct conn *c, const struct msg *m)
{
	struct ask ask = {.key_len = m->key.n,
			  .ttl_ms = m->ttl,
			  .nchain = m->chain.n / SC_GEN_SIZE,
			  .q = {.hold = true, .wait = m->flags & HOLD_WAIT, .order = c->d->order}};

	memcpy(ask.bucket, m->bucket.p, m->bucket.n);
	memcpy(ask.key, m->key.p, m->key.n);
	if (m->chain.n)
		memcpy(ask.chain, m->chain.p, m->chain.n);
	if (c->d->config.encrypt)
		ask.sealed = *keyring_at(c->d->keyring, 0);
	answer(c, &ask);
}

void answer_again(struct conn *c)
{
	struct ask *ask = c->ask;

	key_leave(c);
	c->ask = NULL;
	answer(c, ask);
	free(ask);
}

static bool say_ended(struct conn *c, const struct msg *q)
{
	struct msg m = {.type = MSG_ENDED, .gen = q->gen, .outcome = OUTCOME_ENDED};
	struct entry e;

	if (index_find_gen(c->d->index, q->bucket, q->key, &q->gen, &e) != 0)
		return false;
	m.exit = e.exit;
	m.signal = e.signal;
	m.out_len = e.out_len;
	m.err_len = e.err_len;
	c->holds = e.gen;
	conn_send(c, &m, NULL, 0);
	return true;
}

void answer_attach(struct conn *c, const struct msg *m)
{
	struct flight *f = flight_find(c->d, &m->gen);
	struct msg answer_msg = {.type = f ? MSG_OK : MSG_LOST, .gen = m->gen};
	struct key *k;
	bool stopping;

	KILLPOINT("attach_taken");
	flight_leave(c, 0, &stopping);
	evict_let_go(c);
	hot_let_go(c);
	c->can_lead = m->flags & ATTACH_COMMAND;
	if (nesting_locate(c, (const struct gen *)m->chain.p, m->chain.n / SC_GEN_SIZE)) {
		say_refused(c, REFUSE_BUSY, ENOMEM, "");
		return;
	}
	if (f) {
		flight_attach(f, c);
		/* Those that wait have printed nothing: rather them. */
		if (nesting_by_run(c, f))
			nesting_ask_again(c->d);
		if (c->reads && nesting_by_run(c, c->reads)) {
			flight_leave(c, 0, &stopping);
			say_refused(c, REFUSE_NESTED, 0, "");
			return;
		}
		conn_send(c, &answer_msg, NULL, 0);
		return;
	}
	c->state = CONN_READING;
	if (say_ended(c, m))
		return;
	k = key_get(c->d, m->bucket, m->key);
	if (k) {
		key_add_heir(k, c);
		key_drop_if_unused(c->d, k);
	}
	conn_send(c, &answer_msg, NULL, 0);
}

void answer_next(struct conn *c, const struct msg *q)
{
	struct daemon *d = c->d;
	struct msg m = {.type = MSG_END, .count = index_count(d->index)};
	struct gen failed = {{0}};
	int fds[2], rc;
	size_t nfds = 0;
	struct entry e;

	/* Looked for twice if its objects are not as it says: it may have gone just now, and they with it. */
	do {
		e.id = (int64_t)q->row;
		/* Perhaps a million that nobody has the key of: none is on its way. */
		while ((rc = index_next(d->index, e.id, &e)) == SC_EAGAIN)
			daemon_step(d);
		if (rc)
			break;
		rc = open_entry(d->place.dir_fd, &e, fds, &nfds);
		if (!rc || gen_equal(&failed, &e.gen))
			m.type = rc ? MSG_FLAW : MSG_ROW;
		failed = e.gen;
	} while (m.type == MSG_END);
	if (m.type == MSG_END && rc != SC_ENOENT) {
		say_refused(c, REFUSE_STORE, rc == SC_ESYS ? errno : 0, sc_strerror(rc));
		return;
	}
	if (m.type != MSG_END) {
		m.row = (uint64_t)e.id;
		m.bucket = bytes_of(e.bucket);
		m.key = (struct bytes){e.key, e.key_len};
		m.gen = e.gen;
		m.out_len = e.out_size;
		m.err_len = e.err_size;
		m.out_sum = (struct bytes){e.out_sum, SC_SUM_SIZE};
		m.err_sum = (struct bytes){e.err_sum, SC_SUM_SIZE};
		m.error = rc == SC_ESYS ? (uint64_t)errno : 0;
		m.reason = rc == SC_ENOENT     ? FLAW_MISSING
			   : rc == SC_ECORRUPT ? FLAW_SIZE
			   : rc == SC_EUNSAFE  ? FLAW_UNSAFE
					       : FLAW_UNREADABLE;
	}
	conn_send(c, &m, fds, m.type == MSG_ROW ? nfds : 0);
}

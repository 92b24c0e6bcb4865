/* The promises of DESIGN and FAULTS about runs: at most one that newcomers join, never more than two at once, exactly one leads,
 * nobody waits for ever, whole bytes of one run, nothing doomed or removed is kept or served, out of the tables before anybody
 * is woken. Looks into the daemon's tables only to see what is in them. */
#include "tests/sim/check.h"

#include <string.h>
#include <utlist.h>

#include "daemon/flight_parts.h"

/* What a killed command's kernel may keep longer is waited for no more. */
#define KILLED_MS 2000

/* ---- what is true of a run ---- */

bool check_can_be_finished(const struct model *r)
{
	return r->writer ? r->writer->proc.alive : run_is_locked(r);
}

/* Its writer has not come back to this daemon in time. */
static bool is_overdue(const struct model *r)
{
	uint64_t since = r->registered_life != life.proc.number ? life.born : r->unheard_at;

	return since && sim.now - since >= SC_REGISTER_MS;
}

/* The index has the row, perhaps, and the file may be gone, but this daemon has not heard of it yet: to it the run goes on. */
static bool is_committing(const struct model *r)
{
	return r->commit_asked && !r->commit_answered && r->commit_life == life.proc.number;
}

/* What a daemon said last before it died may never have left it; if the file is still there, the run is taken up again. */
static bool is_settled(const struct model *r)
{
	return r->settled_life == life.proc.number ||
	       ((r->settled_life || r->commit_epoch || (sim.faults && r->done_life)) && !r->file && !is_committing(r));
}

/* This daemon knows that only those see all of it who read it already. */
static bool is_streaming(const struct model *r)
{
	return r->streaming_life == life.proc.number;
}

int check_unkept(const struct key_model *k)
{
	return k->unkept_life == life.proc.number && sim.now < k->unkept_until ? k->unkept : 0;
}

static bool goes_on(const struct model *r)
{
	return r->led && run_is_locked(r) && r->state == PAGE_RUNNING && !is_settled(r) && !r->mark_doomed && !r->removing &&
	       !r->removed && !r->superseded && !r->disowned;
}

/* Whoever asks for its key now has to join it or to wait for it: a second run beside it would be one too many. */
static bool is_in_the_way(const struct model *r)
{
	return goes_on(r) && !is_streaming(r);
}

static uint64_t age_of_row(const struct key_model *k)
{
	return k->has_row ? life.d.started_ms + sim.now - life.born - k->row.created_boot_ms : 0;
}

static bool is_unexpired(const struct key_model *k)
{
	const struct model *r = k->row_run;

	return k->has_row && r->object[0] && (!k->row.err_len || r->object[1]) && k->row.ttl_ms &&
	       age_of_row(k) <= k->row.ttl_ms;
}

bool check_is_fresh(const struct client *c)
{
	return is_unexpired(c->key) && c->accept && age_of_row(c->key) <= c->accept;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

bool check_is_stale(const struct client *c)
{
	const struct key_model *k = c->key;
	uint64_t age = k->has_row ? life.d.started_ms + sim.now - life.born - k->row.created_boot_ms : 0;
	uint64_t ttl = least(k->row.ttl_ms, c->accept);

	/* That its objects are there is seen when they are opened; who renews does not open them again. */
	return k->has_row && ttl && age > ttl && !c->detached && age - ttl <= least(k->row.stale_ms, c->stale);
}

static bool is_quiet(const struct key_model *k)
{
	return k->quiet_life == life.proc.number && sim.now < k->quiet_until;
}

/* A renewal has come to nothing, and not because somebody wanted a newer one, or none. */
static void note_not_renewed(struct model *r)
{
	if (!r->renewal || r->mark_doomed || r->removing || r->removed || r->superseded || r->overdue)
		return;
	r->key->quiet_until = sim.now + SC_QUIET_MS;
	r->key->quiet_life = life.proc.number;
}

struct model *check_in_the_way(const struct key_model *k, unsigned from)
{
	for (unsigned i = world.nruns; i > from; i--)
		if (world.runs[i - 1]->key == k && is_in_the_way(world.runs[i - 1]))
			return world.runs[i - 1];
	return NULL;
}

bool check_is_known(const struct model *r)
{
	struct key *k;
	struct flight *f;

	for (k = life.proc.alive ? life.d.keys : NULL; k; k = k->hh.next)
		DL_FOREACH (k->flights, f)
			if (gen_equal(&f->gen, &r->gen))
				return true;
	return false;
}

/* ---- birth, marks, files ---- */

void check_born(struct model *r)
{
	if (r->order <= world.index_order)
		sim_fail("run %u has order %llu, the index had %llu", r->number, (unsigned long long)r->order,
			 (unsigned long long)world.index_order);
	for (unsigned i = 0; i < world.nruns; i++) {
		struct model *o = world.runs[i];

		if (o != r && o->file && !o->torn && run_is_locked(o) && o->order >= r->order)
			sim_fail("run %u has order %llu, the older run %u has %llu", r->number, (unsigned long long)r->order,
				 o->number, (unsigned long long)o->order);
	}
}

void check_doomed(struct model *r)
{
	if (r->removing || r->removed)
		return;
	for (unsigned i = r->number; i < world.nruns; i++)
		if (world.runs[i]->key == r->key && world.runs[i]->leader)
			return; /* a newer one is led */
	for (unsigned i = r->number; i < world.nruns; i++)
		if (world.runs[i]->key == r->key && world.runs[i]->lease) {
			r->removed = true; /* by whoever holds the key, or began to */
			return;
		}
	if (!is_overdue(r))
		sim_fail("run %u is doomed for no reason", r->number);
	r->overdue = true;
}

void check_unlink(struct model *r)
{
	if (r->key && r->key->has_row && r->key->row_run == r)
		sim_fail("the objects of run %u go, but it is the entry", r->number);
}

void check_page_end(struct model *r, enum page_state state, bool by_daemon)
{
	if (by_daemon && (state == PAGE_LOST || state == PAGE_CANCELLED))
		conns_inherit(r);
	if (by_daemon && state != PAGE_COMPLETE)
		note_not_renewed(r);
	if (by_daemon && check_can_be_finished(r))
		sim_fail("the daemon ends the page of run %u, whose writer lives", r->number);
	if (by_daemon && check_is_known(r))
		sim_fail("the page of run %u is ended, but whoever asks again meets the run", r->number);
	if (r->state != PAGE_RUNNING)
		return;
	if ((state == PAGE_COMPLETE || state == PAGE_FAILED) && !r->done)
		sim_fail("run %u is ended as complete or failed, but DONE was never said", r->number);
	if (state == PAGE_COMPLETE && (r->out_len != r->len[0] || r->err_len != r->len[1]))
		sim_fail("run %u is complete, but not all of it was published", r->number);
}

/* ---- commits ---- */

void check_commit_asked(struct model *r, const struct entry *e)
{
	if (r->spilled)
		sim_fail("run %u is to be committed, but not all of it is stored", r->number);
	if (!r->done || !r->good)
		sim_fail("run %u is to be committed, but has not ended well", r->number);
	if (r->removed || r->removing)
		sim_fail("run %u is to be committed, but was removed", r->number);
	if ((r->superseded && !r->settled_life) || r->mark_doomed)
		sim_fail("run %u is to be committed, but is doomed", r->number);
	if (r->ttl_ms == 0)
		sim_fail("run %u is to be committed, but not to be kept", r->number);
	if (e->took_ms != sim.now - r->born)
		sim_fail("run %u is said to have taken %llu ms", r->number, (unsigned long long)e->took_ms);
	if (e->order != r->order || e->out_len != r->len[0] || e->err_len != r->len[1] || e->exit || e->signal)
		sim_fail("the row of run %u is not of run %u", r->number, r->number);
	if (r->commit_epoch == world.index_epoch || (r->commit_asked && r->commit_life == life.proc.number))
		sim_fail("run %u is to be committed a second time", r->number);
	r->commit_life = life.proc.number;
}

void check_commit(struct model *r)
{
	if (r->gone)
		sim_fail("run %u becomes the entry after it was removed", r->number);
	if (r->commit_epoch == world.index_epoch)
		sim_fail("run %u becomes the entry a second time", r->number);
	if (r->key->has_row && r->key->row.order >= r->order)
		sim_fail("run %u replaces a newer one", r->number);
}

static void forget_unkept(struct key_model *k)
{
	k->unkept = 0;
}

void check_kept(struct key_model *k)
{
	forget_unkept(k);
	k->quiet_until = 0;
}

/* ---- what the daemon hears and says ---- */

static void heard_streaming(struct model *r, int error)
{
	/* As of a run that is known: its writer says nothing more behind DONE. */
	r->streaming_life = r->key->unkept_life = life.proc.number;
	r->key->unkept = error;
	r->key->unkept_until = sim.now + SC_UNKEPT_MS;
}

void check_heard(struct endpoint *e, const struct msg *m)
{
	struct client *c = e->client;
	struct model *r;

	if (m->type == MSG_ASK || m->type == MSG_ATTACH) {
		e->counted = NULL;
		e->can_lead = m->flags & ASK_COMMAND; /* as ATTACH_COMMAND */
	}
	e->asked = m->type == MSG_ATTACH ? run_of(&m->gen) : NULL;
	if (m->type == MSG_ASK && c) {
		c->runs_at_ask = world.nruns;
		c->renews = m->flags & ASK_RENEW;
	} else if (m->type == MSG_REMOVE && c) {
		c->runs_at_remove = world.nruns;
		c->unkept = c->key->unkept;
		forget_unkept(c->key);
		for (unsigned i = 0; i < world.nruns; i++)
			if (world.runs[i]->key == c->key)
				world.runs[i]->removing = true;
	} else if (m->type == MSG_DONE && (r = run_of(&m->gen))) {
		r->done_life = life.proc.number;
		/* It may have had no time to say so before. */
		if (m->error && e->run == r && !is_streaming(r))
			heard_streaming(r, (int)m->error);
	} else if (m->type == MSG_HOLDING && (r = run_of(&m->gen))) {
		r->pidfd_life = life.proc.number;
	} else if (m->type == MSG_LEAVE) {
		e->heir = NULL;
	} else if (m->type == MSG_STARTED && e->run && gen_equal(&e->run->gen, &m->gen)) {
		e->run->pidfd_life = life.proc.number;
	} else if (m->type == MSG_STREAMING && e->run && gen_equal(&e->run->gen, &m->gen)) {
		heard_streaming(e->run, (int)m->error);
	} else if (m->type == MSG_REGISTER && e->run && gen_equal(&e->run->gen, &m->gen)) {
		e->run->pidfd_offered = m->pid;
		e->run->streaming_offered = m->flags & REGISTER_STREAMING;
		/* It has not heard that it is to stop, nor will it. */
		if (!(m->flags & REGISTER_STOPPING))
			e->run->stop_life = 0;
	}
}

void check_unheard(struct model *r)
{
	trace("run %u: its writer cannot be heard", r->number);
	r->unheard_at = sim.now;
	/* Nobody else has its descriptor: the kernel sees to it. */
	if (r->orphaned && r->pidfd_life != life.proc.number)
		command_kill(r, 9);
}

static unsigned runs_at_once(const struct key_model *k)
{
	unsigned n = 0;

	for (unsigned i = 0; i < world.nruns; i++) {
		const struct model *r = world.runs[i];

		n += r->key == k && r->led && check_can_be_finished(r) && !r->done && !r->removed && !r->removing &&
		     !r->disowned && !r->overdue && !r->streaming_life;
	}
	return n;
}

/* A lost run's command may write into what the next run reads; only beside a doomed one somebody leads at once. */
static void check_all_dead(const struct client *c)
{
	for (unsigned i = 0; i < world.nruns; i++) {
		const struct model *o = world.runs[i];

		if (o->lease || o->key != c->key || !o->command_alive || o->writer->proc.alive ||
		    o->pidfd_life != life.proc.number || o->mark_doomed || o->removing || o->removed || o->superseded ||
		    o->disowned || is_streaming(o) || (o->killed_at && sim.now - o->killed_at >= KILLED_MS))
			continue;
		sim_fail("client %u leads while the command of the lost run %u is alive", c->proc.number, o->number);
	}
}

static void check_estimate(const struct client *c, const struct msg *m)
{
	if (m->estimate != (c->key->has_row ? c->key->row.took_ms : SC_FOREVER))
		sim_fail("client %u is told that the last run took %llu ms", c->proc.number, (unsigned long long)m->estimate);
}

static void check_renewal(const struct client *c)
{
	if (!check_is_stale(c))
		sim_fail("client %u is to renew what is not stale", c->proc.number);
	if (check_in_the_way(c->key, 0))
		sim_fail("client %u is to renew what is being made", c->proc.number);
	if (is_quiet(c->key))
		sim_fail("client %u is to renew what a moment ago could not be renewed", c->proc.number);
}

/* ---- keys that are held ---- */

/* This daemon has promised it, and nothing that it has heard of ends it. A holder that has been away for as long as its -t is none. */
static struct model *lease_of(const struct key_model *k)
{
	for (unsigned i = 0; i < world.nruns; i++) {
		struct model *r = world.runs[i];

		if (r->lease && r->key == k && r->holder && r->held_life == life.proc.number && !r->let_go &&
		    r->ttl_ms == SC_FOREVER && (r->holder->proc.alive || r->command_alive))
			return r;
	}
	return NULL;
}

/* In the daemon's tables. */
static bool is_known_lease(const struct key_model *k)
{
	const struct key *at = key_find(&life.d, bytes_of("default"), bytes_of(k->name));

	return at && at->lease;
}

static void check_not_held(const struct key_model *k, const char *what)
{
	const struct model *r = lease_of(k);

	if (r)
		sim_fail("%s, but key %s is held by holder %u", what, k->name, r->holder->proc.number);
}

static void said_held(struct model *r)
{
	check_not_held(r->key, "somebody is told HELD");
	if (r->key->has_row)
		sim_fail("holder of lease %u is told HELD, but there is an entry", r->number);
	/* What was made before is never served again. */
	for (unsigned i = 0; i + 1 < r->number; i++)
		if (world.runs[i]->key == r->key)
			world.runs[i]->gone = true;
}

static void said_to_holder(struct endpoint *e, const struct msg *m)
{
	struct model *r = e->lease;

	if (m->type != MSG_OK)
		return;
	if (e->oks++) {
		r->let_go = true;
		return;
	}
	if (r->let_go)
		sim_fail("lease %u was let go, and is held again", r->number);
	r->held_life = life.proc.number;
}

static void said_value(const struct client *c, const struct model *r, const struct msg *m)
{
	if (r->key != c->key || c->refresh || c->put)
		sim_fail("client %u is given lease %u, which is not for it", c->proc.number, r->number);
	if (!r->done || m->out_len != r->len[0])
		sim_fail("client %u is given lease %u, whose VALUE is not whole", c->proc.number, r->number);
	if (r->let_go || (r->held_life != life.proc.number && !run_is_locked(r) && !r->command_alive))
		sim_fail("client %u is given lease %u, which was let go", c->proc.number, r->number);
}

void check_holds(const struct model *r)
{
	if (r->ttl_ms != SC_FOREVER)
		return; /* it may have been stopped until its lease was another's, and learns of that next */
	for (unsigned i = 0; i < world.nruns; i++) {
		const struct model *o = world.runs[i];

		/* One that no daemon could see: its death is on its way. */
		if (o == r || !o->lease || o->key != r->key || !o->begun || !o->command_alive || o->ttl_ms != SC_FOREVER ||
		    o->pidfd_life != life.proc.number)
			continue;
		sim_fail("the command of lease %u begins, but that of lease %u is alive", r->number, o->number);
	}
	if (!r->held_life)
		sim_fail("the command of lease %u begins, but nobody has said that it is held", r->number);
}

static void said_lead(struct client *c, struct model *r, const struct msg *m)
{
	struct model *o = check_in_the_way(c->key, c->refresh ? c->runs_at_ask : 0);
	bool renews = c->renews, detached = c->detached || renews;

	check_not_held(c->key, "a client is to lead");
	if (renews)
		check_renewal(c);
	if (renews != r->renewal)
		sim_fail("client %u leads run %u, which is %s renewal", c->proc.number, r->number, r->renewal ? "a" : "no");
	if (!c->command)
		sim_fail("client %u is to lead and has no command", c->proc.number);
	if (o && o != r && (!c->put || c->if_absent))
		sim_fail("client %u leads run %u beside run %u, which it could have joined", c->proc.number, r->number,
			 o->number);
	if (!c->refresh && !c->put && check_is_fresh(c))
		sim_fail("client %u leads run %u, but run %u is a fresh entry", c->proc.number, r->number,
			 c->key->row_run->number);
	if (c->if_absent && is_unexpired(c->key))
		sim_fail("client %u puts run %u although there is the entry", c->proc.number, r->number);
	if (check_unkept(c->key) && !c->put)
		sim_fail("client %u leads run %u for others, but a moment ago one could not be stored", c->proc.number,
			 r->number);
	if (runs_at_once(c->key) >= 2)
		sim_fail("client %u leads a third run %u of its key", c->proc.number, r->number);
	if (!c->refresh && !c->put)
		check_all_dead(c);
	check_estimate(c, m);
	if (detached && r->window != SC_FOREVER)
		sim_fail("run %u is detached, but waits for its readers", r->number);
	r->leader = c;
	r->registered_life = life.proc.number;
	r->to_finish = c->finish || detached;
	c->told_at = sim.now;
}

static void said_follow(struct client *c, struct model *r, const struct msg *m)
{
	check_not_held(c->key, "a client is to follow");
	if (c->put)
		sim_fail("client %u has a result of its own, but follows run %u", c->proc.number, r->number);
	if (is_streaming(r))
		sim_fail("client %u follows run %u, which is no more to be had from its beginning", c->proc.number, r->number);
	if (r->unheard_at || r->registered_life != life.proc.number)
		sim_fail("client %u follows run %u, whose writer cannot be heard", c->proc.number, r->number);
	if (m->age != sim.now - r->born)
		sim_fail("client %u is told that run %u is %llu ms old", c->proc.number, r->number, (unsigned long long)m->age);
	check_estimate(c, m);
	if (c->finished)
		sim_fail("client %u takes only what is finished, but follows run %u", c->proc.number, r->number);
	if (r->key != c->key)
		sim_fail("client %u follows run %u of another key", c->proc.number, r->number);
	if (r->state != PAGE_RUNNING || is_settled(r))
		sim_fail("client %u follows run %u, which has ended", c->proc.number, r->number);
	if (gen_equal(&c->gen, &r->gen))
		sim_fail("client %u lost run %u, asked again, and follows it", c->proc.number, r->number);
	/* Superseded after it was settled, and taken up again: its file knows nothing of it. */
	if (r->removed || r->removing || (r->superseded && !r->settled_life) || r->mark_doomed)
		sim_fail("client %u follows run %u, which is doomed", c->proc.number, r->number);
	if (r->stop_life == life.proc.number)
		sim_fail("client %u follows run %u, which is being stopped", c->proc.number, r->number);
	if (c->refresh && r->number <= c->runs_at_ask)
		sim_fail("client %u wants a newer run, but follows run %u", c->proc.number, r->number);
	for (size_t i = 0; i < c->nchain; i++)
		if (gen_equal(&c->chain[i], &r->gen))
			sim_fail("client %u follows run %u, inside of which it is", c->proc.number, r->number);
	r->to_finish |= c->finish || c->detached;
	c->told_at = sim.now;
}

/* Somebody has to renew it: this one, if nothing is known that keeps it from that. */
static void said_stale(const struct client *c, const struct model *r, const struct msg *m)
{
	const struct key *k = key_find(&life.d, bytes_of("default"), bytes_of(c->key->name));

	if (!check_is_stale(c))
		sim_fail("client %u is given run %u as stale, which it is not, or too old", c->proc.number, r->number);
	if (!(m->flags & HIT_RENEW) && c->command && !(k && k->flights) && !check_unkept(c->key) &&
	    !key_recall(k, MEMO_QUIET, clock_run_ms()))
		sim_fail("client %u is given the stale run %u, and nobody renews it", c->proc.number, r->number);
}

static void said_hit(struct client *c, struct model *r, const struct msg *m)
{
	if (r->lease) {
		said_value(c, r, m);
		return;
	}
	check_not_held(c->key, "a client is given an entry");
	if (!r->done || m->out_len != r->len[0] || m->err_len != r->len[1] || r->key != c->key)
		sim_fail("client %u is given run %u, which is not what the row says", c->proc.number, r->number);
	if (r->gone)
		sim_fail("client %u is given run %u, which was removed", c->proc.number, r->number);
	if (c->refresh || c->put)
		sim_fail("client %u wants a newer run, but is given run %u", c->proc.number, r->number);
	if (m->flags & HIT_RENEW)
		check_renewal(c);
	if (m->flags & HIT_STALE)
		said_stale(c, r, m);
	else if (!check_is_fresh(c) || (m->flags & HIT_RENEW))
		sim_fail("client %u is given run %u, which is too old", c->proc.number, r->number);
}

static void said_miss(const struct client *c)
{
	struct model *o = check_in_the_way(c->key, 0), *l = lease_of(c->key);

	if (l && !c->renews)
		sim_fail("client %u is told MISS, but its key is held", c->proc.number);
	/* Somebody begins to hold it: what was there goes, and nothing is finished. */
	if (c->renews || (c->finished && is_known_lease(c->key)))
		return;
	if (c->command || c->wait)
		sim_fail("client %u is told MISS", c->proc.number);
	if (check_is_fresh(c) || (o && !c->finished))
		sim_fail("client %u is told MISS, but there is something", c->proc.number);
	if (c->lost_once && conns_heirs(c->key, true))
		sim_fail("client %u has lost its run and is told MISS, but somebody can lead it again", c->proc.number);
	if (c->lost_once && life.found && sim.now - life.born < 2 * SC_PAGE_WAIT_MS)
		sim_fail("client %u has lost its run and is told MISS by a daemon that cannot know", c->proc.number);
}

static void said_wait(const struct client *c, const struct msg *m)
{
	if (c->errand == GET && c->command && !c->put && m->reason == WAIT_REFRESHING && check_unkept(c->key))
		sim_fail("client %u waits for a run of its own, but is to be alone with it", c->proc.number);
	if (c->errand == GET && m->reason == WAIT_HEIRS && !conns_heirs(c->key, false) && !flights_are_early(&life.d))
		sim_fail("client %u waits for somebody who leads its run again, but nobody is expected to", c->proc.number);
}

/* To a REMOVE: from now on nothing that was begun before it is ever served. */
static void said_ok(const struct client *c)
{
	const struct model *l = lease_of(c->key);

	/* One that began after the question is not asked about. */
	if (l && l->number <= c->runs_at_remove)
		check_not_held(c->key, "a key is removed");
	for (unsigned i = 0; i < c->runs_at_remove; i++)
		if (world.runs[i]->key == c->key)
			world.runs[i]->gone = true;
}

static void said_settled(struct model *r, const struct msg *m)
{
	if (check_is_known(r))
		sim_fail("the writer of run %u is told SETTLED, but whoever asks meets the run", r->number);
	if ((m->flags & SETTLED_COMMITTED) && (!r->committed || r->file))
		sim_fail("the writer of run %u is told it is kept, which is not so", r->number);
	if (!(m->flags & SETTLED_COMMITTED) && r->committed && r->commit_life == life.proc.number)
		sim_fail("the writer of run %u is told it is not kept, but it is", r->number);
	if (!r->done)
		sim_fail("the writer of run %u is told SETTLED before DONE", r->number);
	if ((m->flags & SETTLED_OVERTAKEN) && r->ttl_ms && !r->mark_doomed && !sim.faults &&
	    !(r->key->has_row && r->key->row.order > r->order))
		sim_fail("the writer of run %u is told that a newer one came, which is not so", r->number);
	if (!m->flags && r->good && !sim.faults && !r->writer->stopping && r->stop_life != life.proc.number)
		sim_fail("the writer of run %u is told that it could not be kept", r->number);
	r->settled_life = life.proc.number;
	if (!r->good || !r->ttl_ms || !m->flags)
		note_not_renewed(r);
	if (m->flags && r->spilled)
		sim_fail("the writer of run %u is told that all is well, but not all of it is stored", r->number);
	if (r->writer->stopping)
		conns_inherit(r);
}

/* To ATTACH. */
static void said_lost(const struct client *c, const struct model *r)
{
	if (c->key->has_row && c->key->row_run == r)
		sim_fail("client %u is told run %u is lost, but it is the entry", c->proc.number, r->number);
	if (goes_on(r))
		sim_fail("client %u is told run %u is lost, but it goes on", c->proc.number, r->number);
}

static void said_left(struct endpoint *e, const struct msg *m)
{
	const struct model *r = e->counted;
	unsigned others = r ? conns_reading(r) - 1 : 0;

	if (r && check_is_known(r) && m->count != (m->flags & LEFT_STAYED ? 0 : others))
		sim_fail("a reader of run %u is told of %u others, there are %u", r->number, (unsigned)m->count, others);
	if (!(m->flags & LEFT_STAYED))
		e->counted = NULL;
}

static void said_alone(const struct client *c, const struct msg *m)
{
	if (!check_unkept(c->key) || (int)m->error != check_unkept(c->key))
		sim_fail("client %u is to run alone, but nothing is known against its key", c->proc.number);
	if (!c->command || c->put)
		sim_fail("client %u is to run alone what it has not", c->proc.number);
	if (check_in_the_way(c->key, c->refresh ? c->runs_at_ask : 0) || (!c->refresh && check_is_fresh(c)))
		sim_fail("client %u is to run alone, but there is something for it", c->proc.number);
}

/* To a put that was only to be if there is nothing. */
static void said_exists(const struct client *c)
{
	bool there = is_unexpired(c->key) || is_known_lease(c->key);

	for (unsigned i = 0; i < world.nruns; i++) {
		const struct model *r = world.runs[i];

		there |= r->key == c->key && check_is_known(r) && !r->mark_doomed && !r->removing && !r->removed;
	}
	if (!c->if_absent || !there)
		sim_fail("client %u is told that its key exists, and it does not", c->proc.number);
}

/* A REMOVE that was refused has changed nothing. */
static void not_removed(const struct client *c)
{
	c->key->unkept = c->unkept;
	for (unsigned i = 0; i < world.nruns; i++)
		if (world.runs[i]->key == c->key)
			world.runs[i]->removing = false;
}

static void said_refuse(struct endpoint *e, const struct msg *m)
{
	const struct client *c = e->client;
	const struct model *r = e->run;

	if (c && m->reason == REFUSE_UNKEPT) {
		said_alone(c, m);
		return;
	}
	if (c && m->reason == REFUSE_HELD) {
		if (!is_known_lease(c->key))
			sim_fail("client %u is told that its key is held, and nobody does", c->proc.number);
		if (c->errand == RM)
			not_removed(c);
		return;
	}
	if (c && m->reason == REFUSE_EXISTS) {
		said_exists(c);
		return;
	}

	if (c && m->reason == REFUSE_NESTED && !c->nchain && !c->inside)
		sim_fail("client %u is told it asks inside its own run", c->proc.number);
	/* Until all have come back, those who wait go first. */
	if (e->asked && m->reason == REFUSE_NESTED && sim.chains && sim.now - life.born < 2 * SC_PAGE_WAIT_MS &&
	    !sim.late_percent && !sim.paused && !sim.deaf_permille)
		sim_fail("client %u may read run %u no more, but could have gone before others", c->proc.number,
			 e->asked->number);
	if (c && m->reason != REFUSE_NESTED && !sim.faults)
		sim_fail("client %u is refused, and nothing has failed", c->proc.number);
	if (r && r->key->has_row && r->key->row_run == r)
		sim_fail("the writer of run %u is refused, but its run is the entry", r->number);
	e->run = NULL; /* what it says from now on is about nothing */
}

static void said_registered(struct model *r)
{
	r->registered_life = life.proc.number;
	r->unheard_at = 0;
	if (r->pidfd_offered)
		r->pidfd_life = life.proc.number;
	if (r->streaming_offered)
		heard_streaming(r, r->spilled);
}

static void said_stop(struct model *r)
{
	if (conns_reading(r))
		sim_fail("run %u is to be stopped, but %u clients read it", r->number, conns_reading(r));
	if (r->to_finish)
		sim_fail("run %u is to be stopped, but somebody wants it finished", r->number);
	r->stop_life = life.proc.number;
}

static void said_to_client(struct endpoint *e, struct model *r, const struct msg *m)
{
	struct client *c = e->client;

	if (m->type == MSG_LEAD)
		said_lead(c, r, m);
	else if (m->type == MSG_FOLLOW)
		said_follow(c, r, m);
	else if (m->type == MSG_HIT)
		said_hit(c, r, m);
	else if (m->type == MSG_MISS)
		said_miss(c);
	else if (m->type == MSG_WAIT)
		said_wait(c, m);
	else if (m->type == MSG_OK && c->errand == RM)
		said_ok(c);
	else if (m->type == MSG_LOST)
		said_lost(c, r);
}

/* Who asks again, or leaves, leads the lost run no more when it has its answer. */
static void note_heir(struct endpoint *e, const struct model *r, const struct msg *m)
{
	if (m->type == MSG_LOST)
		e->heir = e->can_lead ? r->key : NULL;
	else if (!(m->type == MSG_LEFT && (m->flags & LEFT_STAYED)))
		e->heir = NULL;
}

void check_said(struct endpoint *e, const struct msg *m)
{
	struct model *r = run_of(&m->gen);

	note_heir(e, r, m);

	if (m->type == MSG_LEAD || m->type == MSG_FOLLOW)
		e->counted = e->client && e->client->renews ? NULL : r; /* who renews reads what it was given */
	else if (m->type == MSG_OK && e->asked)
		e->counted = e->asked;
	else if (m->type == MSG_LOST || m->type == MSG_ENDED)
		e->counted = NULL;
	if (e->lease)
		said_to_holder(e, m);
	else if (m->type == MSG_HELD)
		said_held(r);
	else if (m->type == MSG_REFUSE)
		said_refuse(e, m);
	else if (m->type == MSG_LEFT)
		said_left(e, m);
	else if (e->client)
		said_to_client(e, r, m);
	else if (m->type == MSG_SETTLED)
		said_settled(r, m);
	else if (m->type == MSG_REGISTERED)
		said_registered(r);
	else if (m->type == MSG_VERDICT && (m->flags & VERDICT_STOP))
		said_stop(r);
}

/* LEAD counts from when it cannot be taken back: older runs of the key are nobody's any more. */
void check_counts(struct model *r)
{
	if (r->led)
		return;
	r->led = true;
	for (unsigned i = 0; i + 1 < r->number; i++)
		if (world.runs[i]->key == r->key)
			world.runs[i]->superseded = true;
}

void check_led(struct client *c, struct model *r)
{
	if (r->leader && r->leader != c)
		sim_fail("client %u has LEAD for run %u, which is another's", c->proc.number, r->number);
	r->leader = c;
	check_counts(r);
}

/* What must hold of readers, of the daemon's tables after each of its turns, and of everything at rest. */
#include <string.h>
#include <utlist.h>

#include "daemon/flight_parts.h"
#include "daemon/lease.h"
#include "lib/clock.h"
#include "tests/sim/check.h"

/* ---- readers ---- */

void check_stop(struct writer *w)
{
	if (w->put)
		return;
	if (w->run->to_finish)
		sim_fail("run %u is stopped, but is to be finished", w->run->number);
	for (unsigned i = 0; i < nclients; i++)
		if (client_reads(clients[i], w->run) && clients[i]->slot_since < w->looked)
			sim_fail("run %u is stopped, but client %u reads it", w->run->number, clients[i]->proc.number);
}

/* Nobody reads: within this its writer is asked, looks, and stops it, also one that has just come back. */
#define UNREAD_MS 4000

void check_command(struct writer *w)
{
	struct model *r = w->run;

	/* Its file says that it is to be finished before anybody is told that it will be. */
	if (r->slots || conns_reading(r) || r->to_finish || r->mark_finish || sim.late_percent || sim.resting || life.paused ||
	    !life.listening || w->proc.paused_until > r->read_at || !r->read_at || life.born > r->read_at) {
		r->read_at = sim.now;
		return;
	}
	if (!w->stopping && sim.now - r->read_at > UNREAD_MS + w->slow)
		sim_fail("run %u goes on, but nobody has read it for %llu ms", r->number,
			 (unsigned long long)(sim.now - r->read_at));
}

void check_told_end(const struct client *c)
{
	const struct model *r = c->run;

	/* One that joined before, but was too slow to take a slot, may have been overlooked by a daemon that is gone. */
	if (r->state == PAGE_CANCELLED && r->stopped_at && c->told_at > r->stopped_at && !r->writer->put)
		sim_fail("run %u was stopped, but client %u reads it", r->number, c->proc.number);
}

void check_client(struct client *c)
{
	const struct model *r = c->run;

	if (c->printed_of && (c->printed > c->printed_of->len[0] || c->err_printed > c->printed_of->len[1]))
		sim_fail("client %u printed more than there is", c->proc.number);
	if (c->ending != END_STATUS)
		return;
	if (c->first && !run_begins_alike(c->first, r, c->first_len))
		sim_fail("client %u ends well, but its first %llu bytes were of run %u, not of run %u", c->proc.number,
			 (unsigned long long)c->first_len, c->first->number, r->number);
	if (!r->done || c->printed != r->len[0] || c->err_printed != r->len[1])
		sim_fail("client %u ends well after %llu of %llu bytes of run %u", c->proc.number,
			 (unsigned long long)c->printed, (unsigned long long)r->len[0], r->number);
	if (c->exit != (r->writer ? r->writer->exit : 0) || c->exit_signal != (r->writer ? r->writer->signal : 0))
		sim_fail("client %u ends with a status that is not that of run %u", c->proc.number, r->number);
}

/* ---- the daemon ---- */

static const struct key_model *model_of(const struct key *k)
{
	size_t bucket = strlen((const char *)k->id) + 1;

	return key_model_of((struct bytes){k->id + bucket, k->id_len - bucket});
}

static void check_key(const struct key *k)
{
	const struct key_model *m = model_of(k);

	if (!k->flights && !k->lease && !k->waiters && !k->heirs && !k->memo[MEMO_UNKEPT].until_ms &&
	    !k->memo[MEMO_QUIET].until_ms)
		sim_fail("a key that nobody runs, waits for or has lost is left in the table");
	if (key_recall(k, MEMO_UNKEPT, clock_run_ms()) != check_unkept(m))
		sim_fail("of key %s it is known that it could not be stored (%d), which is so no more (%d)", m->name,
			 key_recall(k, MEMO_UNKEPT, clock_run_ms()), check_unkept(m));
}

static void check_unkept_line(void)
{
	const struct key *last = NULL, *k;
	unsigned in_line = 0, marked = 0;

	DL_FOREACH2(life.d.memos[MEMO_UNKEPT].first, k, memo[MEMO_UNKEPT].next)
	{
		if (last && k->memo[MEMO_UNKEPT].until_ms < last->memo[MEMO_UNKEPT].until_ms)
			sim_fail("the keys that could not be stored are in disorder");
		last = k;
		in_line++;
	}
	for (k = life.d.keys; k; k = k->hh.next)
		marked += k->memo[MEMO_UNKEPT].until_ms != 0;
	if (in_line != marked || in_line != life.d.memos[MEMO_UNKEPT].n)
		sim_fail("%u keys could not be stored, %u are in the line, %u counted", marked, in_line,
			 life.d.memos[MEMO_UNKEPT].n);
}

static void check_tables(void)
{
	struct key *k;
	struct flight *f;

	for (k = life.d.keys; k; k = k->hh.next) {
		const struct flight *joinable = NULL;

		DL_FOREACH (k->flights, f) {
			/* One that an older daemon has settled is only waited for until its writer has gone, or settled again;
			 * one whose writer is dead, until the last descriptor of its lock is closed. */
			if (f->doomed || f->streaming || run_of(&f->gen)->settled_life ||
			    !check_can_be_finished(run_of(&f->gen)))
				continue;
			if (joinable)
				sim_fail("runs %u and %u of one key can both be joined", run_of(&joinable->gen)->number,
					 run_of(&f->gen)->number);
			joinable = f;
		}
		check_key(k);
	}
	check_unkept_line();
}

static uint64_t awaited_since(const struct flight *f)
{
	uint64_t since = run_of(&f->gen)->unheard_at;

	return since > life.born ? since : life.born;
}

/* What is left of a lost run's group when its command is dead, zombies of it, is waited for no longer than this. */
#define GROUP_MS 50

static bool dies_too_long(const struct flight *f)
{
	const struct model *r = run_of(&f->gen);
	uint64_t since = sim.now - r->died_at, patience = GROUP_MS + 20 + 4 * sim.quick_ms;

	return f->state == FLIGHT_DYING && !r->command_alive && since > patience &&
	       clock_run_ms() - f->dying_since_ms > patience && !sim.late_percent && !life.paused;
}

/* Who waits has to: asked again, it would be told the same. A row that the index has just written is told of in a moment. */
static void check_waiters(void)
{
	for (struct conn *c = life.d.conns; c; c = c->next) {
		struct known k = {0};
		struct flight *run;
		struct verdict v;

		if (!c->waits_for || (c->ask->early && flights_are_early(&life.d)))
			continue;
		if (c->waits_for->lease)
			k.held = lease_is_there(c->waits_for->lease) ? HELD_THERE : HELD_BEGUN;
		flights_known(&life.d, bytes_of(c->ask->bucket), (struct bytes){c->ask->key, c->ask->key_len}, &k, &run);
		v = decide(&c->ask->q, &k);
		if (v.kind != VERDICT_WAIT)
			sim_fail("conn %d waits, but nothing is in its way", (int)c->pid);
		if (v.reason == WAIT_STOPPING && dies_too_long(run))
			sim_fail("conn %d still waits for the lost run %u, whose command is dead", (int)c->pid,
				 run_of(&run->gen)->number);
		if (v.reason == WAIT_REGISTERING && !sim.late_percent && !life.paused &&
		    sim.now - awaited_since(run) > SC_REGISTER_MS + 400 + 4 * sim.quick_ms)
			sim_fail("conn %d still waits for run %u to be known again", (int)c->pid, run_of(&run->gen)->number);
	}
}

void check_turn(bool died)
{
	for (unsigned i = 0; i < world.nruns; i++) {
		struct model *r = world.runs[i];

		if (r->removing && (!died || r->mark_doomed))
			r->removed = true;
		r->removing = false;
		if (!died && r->leader)
			check_counts(r);
		else if (!r->led)
			r->leader = NULL; /* unless LEAD is out, which its client will say */
	}
	if (!died && life.proc.alive)
		check_tables();
	if (!died && life.listening && !life.stop_wanted)
		check_waiters();
}

void check_daemon_stopped(void)
{
	if (memory_blocks())
		sim_fail("daemon %u left %u pieces of memory when it stopped", life.proc.number, memory_blocks());
	if (fds_open())
		sim_fail("daemon %u left %u descriptors open when it stopped", life.proc.number, fds_open());
}

void check_daemon_gone(void)
{
	if (memory_blocks() || fds_open())
		sim_fail("the simulator has not taken everything from a daemon that is dead");
}

/* ---- at rest ---- */

static bool may_wait(const struct client *c)
{
	return c->errand == GET && !c->command && c->wait && c->wait_ms == SC_FOREVER && c->state == ASKING &&
	       c->session.waits && !check_is_fresh(c) && !check_in_the_way(c->key, 0);
}

void check_rest(void)
{
	for (unsigned i = 0; i < nclients; i++)
		if (clients[i]->proc.alive && !may_wait(clients[i]))
			sim_fail("nothing moves any more, but %s is left", client_describe(clients[i]));
	for (unsigned i = 0; i < nholders; i++)
		if (holders[i]->proc.alive)
			sim_fail("nothing moves any more, but holder %u is left", holders[i]->proc.number);
	for (unsigned i = 0; i < nwriters; i++)
		if (writers[i]->proc.alive)
			sim_fail("nothing moves any more, but the writer of run %u is left", writers[i]->run->number);
}

void check_empty(void)
{
	const struct daemon *d = &life.d;

	if (!life.listening)
		sim_fail("no daemon at rest");
	if (d->flights->by_gen || d->flights->count || d->flights->awaited)
		sim_fail("runs are left in the daemon's tables");
	if (leases_count(d))
		sim_fail("leases are left in the daemon's tables");
	for (const struct key *k = d->keys; k; k = k->hh.next)
		if (k->flights || k->waiters || k->heirs)
			sim_fail("somebody runs, waits for or has lost key %s, and there is nobody", model_of(k)->name);
	if (d->conns || d->nconns)
		sim_fail("%u connections are left", d->nconns);
	if (d->nwaiting || (d->drain && d->draining))
		sim_fail("the daemon owes %u answers to nobody", d->nwaiting);
	if (fds_open())
		sim_fail("the daemon has %u descriptors open at rest", fds_open());
	for (unsigned i = 0; i < world.nruns; i++) {
		const struct model *r = world.runs[i];

		if (r->file)
			sim_fail("the file of run %u is left", r->number);
		if (!world.orphans && r->object[0] && !(r->key->has_row && r->key->row_run == r))
			sim_fail("the objects of run %u are left", r->number);
		if (r->command_alive)
			sim_fail("the command of run %u is left", r->number);
		if (r->slots)
			sim_fail("a slot of run %u is left", r->number);
	}
}

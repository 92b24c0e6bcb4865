/* The command of a run: what it prints, whom it asks and waits for, how it ends; of a put, where the bytes come from. */
#include <errno.h>

#include "tests/sim/check.h"
#include "tests/sim/driver.h"
#include "tests/sim/people.h"

void command_publish(struct writer *w)
{
	struct model *r = w->run;

	alarm_clear(&w->publish);
	if (r->out_len == r->len[0] && r->err_len == r->len[1])
		return;
	r->out_len = r->len[0];
	r->err_len = r->len[1];
	r->word++;
	client_woken(r);
}

static void on_publish(void *arg)
{
	command_publish(arg);
}

void command_died(struct writer *w, uint32_t signal)
{
	if (!w->proc.alive || w->exited)
		return;
	alarm_clear(&w->work);
	w->exited = true;
	w->signal = signal;
	writer_turn_in(w, late());
}

/* Who its command waits for has ended. */
void command_child_gone(struct writer *w, const struct client *c)
{
	if (w->child != c)
		return;
	w->child = NULL;
	w->run->read_at = 0; /* who read meanwhile was not looked at */
	if (w->proc.alive && !w->exited)
		alarm_set(&w->work, late());
}

static void ask_inside(struct writer *w)
{
	w->child = driver_client_inside(w->run);
	if (w->child)
		client_start(w->child);
}

/* Where its output cannot be stored any more: the rest goes to those who read it already. */
static void spill(struct writer *w)
{
	static const int errors[] = {ENOSPC, EDQUOT, EFBIG, EIO};

	w->run->spilled = errors[rnd(4)];
	w->run->spilled_at = sim.now;
	trace("run %u: what it prints cannot be stored", w->run->number);
	if (chance(80))
		writer_tell_spilled(w); /* else in its next turn: it may have ended by then */
}

static void print_piece(struct writer *w)
{
	w->chunks--;
	if (!w->run->spilled && !sim.resting && rnd(1000) < sim.full_permille)
		spill(w);
	w->run->len[chance(20)] += 1 + rnd(9);
	alarm_set(&w->publish, late());
}

/* One thing the command does: prints, asks and waits for the answer, or ends. */
static void on_work(void *arg)
{
	struct writer *w = arg;
	struct model *r = w->run;
	uint64_t pause = proc_pause(&w->proc);

	if (pause) {
		alarm_set(&w->work, pause + late());
		return;
	}
	if ((!w->put && !r->command_alive) || w->child || w->exited)
		return;
	check_command(w);
	if (w->chunks == 0) {
		trace("run %u: the command ends with %u", r->number, w->exit);
		r->command_alive = false;
		w->exited = true;
		writer_turn_in(w, late());
		return;
	}
	print_piece(w);
	if (w->exited)
		return;
	alarm_set(&w->work, sim.resting ? rnd(50) : rnd(w->pace + 1));
	if (!w->put && r->command_alive && !r->dying)
		ask_inside(w);
}

/* What gives it its bytes is to be heard no more. */
void command_cancel(struct writer *w)
{
	if (!w->put || w->state > RUNNING || w->exited)
		return;
	trace("run %u: its put gets a signal", w->run->number);
	writer_begin_stop(w, 0);
}

void command_prepare(struct writer *w, const struct client *c)
{
	struct model *r = w->run;

	w->chunks = (unsigned)rnd(chance(80) ? 4 : 40);
	w->pace = chance(70) ? sim.quick_ms * 3 : 200 + rnd(w->chunks > 4 ? 1000 : 4000);
	w->put = c->put;
	w->exit = !w->put && chance(20) ? 1 + (uint32_t)rnd(3) : 0;
	w->stubborn = chance(20);
	r->foreground = c->foreground && !c->renewal;
	r->session = r->foreground ? c->proc.session : COMMAND_PID + (pid_t)r->number;
	/* When there are too many the outermost is forgotten. */
	for (size_t i = c->nchain == SC_CHAIN_MAX; i < c->nchain; i++)
		r->chain[r->nchain++] = c->chain[i];
	r->chain[r->nchain++] = r->gen;
	alarm_init(&w->work, on_work, w);
	alarm_init(&w->publish, on_publish, w);
}

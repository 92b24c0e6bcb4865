/* A writer from fork to exit with the command it runs, as cmd/writer.c; of a put, without one. */
#include "lib/build.h"
#include "lib/err.h"
#include "tests/sim/check.h"
#include "tests/sim/people.h"

#define LONELY_MS 200
#define ALONE_MS 1000
#define LAST_WORDS_MS 500
#define SIG_TERM 15
#define SIG_KILL 9
#define POLLS 400

struct writer *writers[RUNS_MAX];
unsigned nwriters;

static void turn(struct writer *w);
static void report(struct writer *w);

void writer_turn_in(struct writer *w, uint64_t ms)
{
	alarm_set(&w->turn, ms);
}

/* The client may still have a descriptor of it. */
static void hang_up(struct writer *w)
{
	if (w->sock)
		endpoint_deaf(w->sock->end);
	desc_drop(&w->sock);
}

static void gone(struct writer *w)
{
	alarm_clear(&w->turn);
	alarm_clear(&w->work);
	alarm_clear(&w->publish);
	w->state = DEAD;
	w->proc.alive = false;
	hang_up(w);
	desc_drop(&w->lock);
	desc_drop(&w->out);
	desc_drop(&w->err);
	desc_drop(&w->page);
	desc_drop(&w->pidfd);
}

void writer_kill(struct writer *w)
{
	/* What it has said is heard before its end; a daemon that could not hear it may have the descriptor all the same. */
	bool known = life.listening && w->state >= RUNNING &&
		     ((w->sock && !w->sock->end->peer->closed && w->registered &&
		       w->run->registered_life == life.proc.number) ||
		      w->run->pidfd_life == life.proc.number);

	if (!w->proc.alive)
		return;
	trace("writer of run %u is killed", w->run->number);
	world.orphans = true;
	gone(w);
	/* PDEATHSIG, which a command can lose; then the daemon must see to it, if it knows the command. */
	if (known && chance(50))
		w->run->orphaned = true;
	else
		command_kill(w->run, SIG_KILL);
}

/* ---- the daemon ---- */

static void lose_daemon(struct writer *w)
{
	hang_up(w);
	w->next_try = w->registered ? sim.now + w->slow : sim.now + SC_RECONNECT_MS;
	w->registered = false;
	w->asked = false;
	w->look = sim.now + ALONE_MS;
	w->empty_once = false;
}

static void tell(struct writer *w, const struct msg *m, struct desc **fds, size_t nfds)
{
	if (w->sock) {
		trace("writer of run %u says %s", w->run->number, msg_name(m->type));
		endpoint_send(w->sock->end, m, fds, nfds);
		return;
	}
	for (size_t i = 0; i < nfds; i++)
		desc_drop(&fds[i]);
}

void writer_begin_stop(struct writer *w, unsigned signal)
{
	if (w->stopping)
		return;
	check_stop(w);
	w->stopping = true;
	w->run->stopped_at = sim.now;
	if (w->put) {
		w->exited = true; /* no more of it */
		alarm_clear(&w->work);
		writer_turn_in(w, late());
		return;
	}
	w->kill = sim.now + SC_GRACE_MS;
	if (!w->stubborn)
		command_kill(w->run, signal ? signal : SIG_TERM);
}

static void on_verdict(struct writer *w, const struct msg *m)
{
	w->asked = false;
	w->lonely = false;
	if (m->flags & VERDICT_STOP)
		writer_begin_stop(w, (unsigned)m->signal);
}

static void publish_end(struct writer *w)
{
	w->state = PUBLISHING;
	writer_turn_in(w, late());
}

static void on_message(struct writer *w, const struct msg *m)
{
	switch (m->type) {
	case MSG_REGISTERED:
		w->registered = true;
		break;
	case MSG_LONELY:
		w->lonely = true;
		w->reader_signal = (unsigned)m->signal;
		w->look = 0;
		break;
	case MSG_VERDICT:
		on_verdict(w, m);
		break;
	case MSG_SETTLED:
		if (w->state != REPORTING && w->state != RUNNING)
			sim_fail("the writer of run %u was told SETTLED before it said DONE", w->run->number);
		if (w->state == REPORTING)
			publish_end(w);
		return;
	case MSG_REFUSE:
		w->disowned = true;
		w->run->disowned = true;
		/* No daemon ever learns its session now: who is inside of it by that alone may wait for itself. */
		if (w->child && !w->child->nchain)
			client_kill(w->child);
		lose_daemon(w);
		if (w->state == REPORTING)
			publish_end(w);
		else if (w->state == RUNNING)
			writer_turn_in(w, 0);
		return;
	default:
		break;
	}
	if (w->state == RUNNING)
		writer_turn_in(w, 0);
}

static void hear_daemon(void *arg, const struct msg *m, struct desc **fds, size_t nfds)
{
	struct writer *w = arg;

	(void)fds, (void)nfds;
	if (m && m->type == MSG_HELLO)
		return;
	trace("writer of run %u hears %s", w->run->number, m ? msg_name(m->type) : "the end");
	if (m) {
		on_message(w, m);
		return;
	}
	lose_daemon(w);
	if (w->state == REPORTING) {
		w->tries++;
		w->state = CONNECTING;
	}
	if (w->state == RUNNING || w->state == CONNECTING)
		writer_turn_in(w, late());
}

static void send_register(struct writer *w)
{
	struct msg m = {.type = MSG_REGISTER,
			.gen = w->run->gen,
			.bucket = bytes_of("default"),
			.key = bytes_of(w->run->key->name),
			.flags = (w->stopping ? REGISTER_STOPPING : 0u) | (w->run->spilled ? REGISTER_STREAMING : 0u) |
				 (w->run->foreground ? STARTED_FOREGROUND : 0u)};
	struct desc *fds[4] = {desc_hold(w->page), desc_hold(w->out), desc_hold(w->err)};
	size_t n = 3;

	if (!w->exited && w->pidfd) {
		m.pid = 1000 + w->run->number;
		fds[n++] = desc_hold(w->pidfd);
	}
	tell(w, &m, fds, n);
}

static void find_daemon(struct writer *w)
{
	if (w->sock || w->disowned)
		return;
	w->next_try = sim.now + SC_RECONNECT_MS;
	w->sock = session_connect();
	if (!w->sock)
		return;
	w->sock->end->run = w->run;
	endpoint_listen(w->sock->end, &w->proc, hear_daemon, w);
	send_register(w);
}

void writer_tell_spilled(struct writer *w)
{
	struct msg m = {.type = MSG_STREAMING, .gen = w->run->gen, .error = (uint64_t)w->run->spilled};

	if (!w->run->spilled || w->told_spilled || !w->registered)
		return;
	w->told_spilled = true;
	tell(w, &m, NULL, 0);
}

/* ---- does anybody read? ---- */

static void look_for_readers(struct writer *w)
{
	struct msg m = {.type = MSG_MAY_STOP, .gen = w->run->gen};
	bool alone = !w->sock;

	if (w->put || w->stopping || w->asked || sim.now < w->look || (!alone && !w->lonely))
		return;
	w->look = sim.now + (alone ? ALONE_MS : LONELY_MS);
	if (w->run->slots) {
		w->empty_once = false;
		return;
	}
	w->looked = sim.now;
	if (!alone) {
		w->asked = true;
		tell(w, &m, NULL, 0);
	} else if (w->empty_once && !w->run->mark_finish) {
		writer_begin_stop(w, w->reader_signal);
	}
	w->empty_once = true;
}

/* ---- the command ---- */

static void spawn(struct writer *w)
{
	struct model *r = w->run;
	struct msg m = {
		.type = MSG_STARTED, .gen = r->gen, .pid = 1000 + r->number, .flags = r->foreground ? STARTED_FOREGROUND : 0};
	struct desc *fd;

	w->state = RUNNING;
	alarm_set(&w->work, rnd(w->pace + 1));
	writer_turn_in(w, 0);
	if (w->put)
		return;
	if (mishap(10)) {
		writer_kill(w); /* to die here tells the daemon all there is */
		return;
	}
	trace("run %u: the command starts", r->number);
	r->command_begun = r->command_alive = true;
	w->pidfd = desc_new(DESC_PIDFD, r);
	fd = desc_hold(w->pidfd);
	tell(w, &m, &fd, 1);
}

/* ---- the end ---- */

static void say_done(struct writer *w)
{
	static const uint8_t sum[SC_SUM_SIZE];
	struct model *r = w->run;
	struct msg m = {.type = MSG_DONE,
			.gen = r->gen,
			.outcome = w->stopping ? OUTCOME_CANCELLED : OUTCOME_ENDED,
			.exit = w->exit,
			.signal = w->signal,
			.out_len = r->len[0],
			.err_len = r->len[1],
			.out_size = r->len[0],
			.err_size = r->len[1],
			.out_sum = {sum, sizeof sum},
			.err_sum = {sum, sizeof sum},
			.error = (uint64_t)r->spilled};

	r->done = true;
	r->good = m.outcome == OUTCOME_ENDED && !w->exit && !w->signal && !r->spilled;
	tell(w, &m, NULL, 0);
	if (chance(10))
		tell(w, &m, NULL, 0); /* saying it again changes nothing */
}

static void report(struct writer *w)
{
	w->state = CONNECTING;
	if (w->tries >= 3 || w->disowned) {
		publish_end(w);
		return;
	}
	find_daemon(w);
	if (!w->sock && ++w->polls > POLLS) {
		publish_end(w);
	} else if (!w->sock) {
		daemon_want();
		writer_turn_in(w, 1 + late());
	} else {
		say_done(w);
		w->state = REPORTING;
	}
}

static void end(struct writer *w)
{
	struct model *r = w->run;
	enum page_state state = w->stopping ? PAGE_CANCELLED : w->exit || w->signal ? PAGE_FAILED : PAGE_COMPLETE;

	r->done = true;
	check_page_end(r, state, false);
	if (r->state == PAGE_RUNNING) {
		trace("writer of run %u publishes %d", r->number, (int)state);
		r->state = state;
		r->exit = w->exit;
		r->signal = w->signal;
	}
	r->word++;
	client_woken(r);
	w->state = EXITING;
	writer_turn_in(w, late());
}

static void run_on(struct writer *w)
{
	uint64_t next = UINT64_MAX;

	if (!w->sock && sim.now >= w->next_try)
		find_daemon(w);
	writer_tell_spilled(w);
	look_for_readers(w);
	if (w->stopping && !w->killed && sim.now >= w->kill) {
		w->killed = true;
		command_kill(w->run, SIG_KILL);
	}
	if (w->exited) {
		command_publish(w);
		report(w);
		return;
	}
	if (w->stopping && !w->killed)
		next = w->kill;
	else if (w->lonely || !w->sock)
		next = w->look;
	if (!w->sock && !w->disowned && w->next_try < next)
		next = w->next_try;
	if (next != UINT64_MAX)
		writer_turn_in(w, next > sim.now ? next - sim.now : 1);
}

static void turn(struct writer *w)
{
	switch (w->state) {
	case SPAWNING:
		spawn(w);
		break;
	case RUNNING:
		run_on(w);
		break;
	case CONNECTING:
		report(w);
		break;
	case PUBLISHING:
		end(w);
		break;
	case EXITING:
		gone(w);
		break;
	case REPORTING:
	case DEAD:
		break;
	}
}

static void on_turn(void *arg)
{
	struct writer *w = arg;
	uint64_t pause = proc_pause(&w->proc);

	if (pause)
		writer_turn_in(w, pause + late());
	else
		turn(w);
}

/* ---- birth ---- */

void writer_fork(struct model *r, struct client *c, struct desc *fds[LEAD_FDS])
{
	struct writer *w = sim_alloc(sizeof *w);

	writers[nwriters++] = w;
	w->proc = (struct proc){.what = "writer", .number = r->number, .alive = true};
	w->run = r;
	r->writer = w;
	w->sock = desc_hold(fds[LEAD_SOCKET]);
	w->lock = desc_hold(fds[LEAD_LOCK]);
	w->out = desc_hold(fds[LEAD_OUT_WRITE]);
	w->err = desc_hold(fds[LEAD_ERR_WRITE]);
	w->page = desc_hold(fds[LEAD_PAGE]);
	w->registered = true;
	command_prepare(w, c);
	w->slow = chance(10) ? rnd(8000) : rnd(10);
	trace("client %u forks the writer of run %u", c->proc.number, r->number);
	alarm_init(&w->turn, on_turn, w);
	w->sock->end->run = r;
	endpoint_listen(w->sock->end, &w->proc, hear_daemon, w);
	writer_turn_in(w, late());
}

/* A client from its question to its exit status, as cmd/get.c, and as cmd/put.c up to its writing. */
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "tests/sim/check.h"
#include "tests/sim/people.h"

struct client *clients[CLIENTS_MAX];
unsigned nclients;

static void turn(struct client *c);

/* ---- birth and end ---- */

static void on_alarm(void *arg)
{
	struct client *c = arg;
	uint64_t pause = proc_pause(&c->proc);

	if (pause)
		alarm_set(&c->alarm, pause + late());
	else
		turn(c);
}

void client_leave_slot(struct client *c)
{
	if (c->slot)
		c->run->slots--;
	c->slot = false;
}

static void drop_fds(struct client *c)
{
	for (size_t i = 0; i < SC_FDS_MAX; i++)
		desc_drop(&c->fds[i]);
}

/* Everything the kernel takes back from a process that is gone. */
static void go(struct client *c, enum ending e)
{
	alarm_clear(&c->alarm);
	session_close(&c->session);
	client_leave_slot(c);
	drop_fds(c);
	c->ending = e;
	c->state = GONE;
	c->proc.alive = false;
	if (c->inside)
		command_child_gone(c->inside->writer, c);
	check_client(c);
}

void client_end(struct client *c, enum ending e)
{
	static const char *const names[] = {"?",      "status",	       "miss",		 "bypass", "incomplete", "failed",
					    "waited", "by its signal", "stdout is gone", "killed", "done"};

	trace("client %u ends: %s (%llu bytes of run %u)", c->proc.number, names[e], (unsigned long long)c->printed,
	      c->printed_of ? c->printed_of->number : 0);
	go(c, e);
}

void client_kill(struct client *c)
{
	if (!c->proc.alive)
		return;
	trace("client %u is killed", c->proc.number);
	go(c, END_KILLED);
}

const char *client_describe(const struct client *c)
{
	static char text[240];
	static const char *const errands[] = {"get", "rm", "list", "stop"};
	static const char *const states[] = {"asking",	  "renewing",	"joining",
					     "following", "attaching",	"asking whether it is needed",
					     "leaving",	  "seeing off", "gone"};

	snprintf(text, sizeof text, "client %u (%s %s%s%s%s%s%s%s%s, ttl %lld, inside of %u, chain %zu, session %d, %s)",
		 c->proc.number,
		 c->if_absent  ? "put --if-absent"
		 : c->put      ? "put"
		 : c->detached ? "warm"
			       : errands[c->errand],
		 c->key->name, c->command ? " -- C" : "", c->refresh ? " --refresh" : "", c->finish ? " --finish" : "",
		 c->finished ? " --wait 0" : "", c->wait ? " --wait" : "", c->strict ? " --strict" : "",
		 c->foreground ? " --foreground" : "", (long long)c->ttl, c->inside ? c->inside->number : 0, c->nchain,
		 (int)c->proc.session, states[c->state]);
	return text;
}

/* ---- the question ---- */

void client_look_in(struct client *c, uint64_t ms)
{
	c->woken = false;
	alarm_set(&c->alarm, ms);
}

struct bytes client_chain(const struct client *c)
{
	return (struct bytes){c->chain[0].b, c->nchain * SC_GEN_SIZE};
}

static struct msg question(const struct client *c)
{
	return (struct msg){.type = MSG_ASK,
			    .bucket = bytes_of("default"),
			    .key = bytes_of(c->key->name),
			    .flags = (c->command ? ASK_COMMAND : 0u) | (c->refresh ? ASK_REFRESH : 0u) |
				     (c->finish ? ASK_FINISH : 0u) | (c->finished ? ASK_FINISHED : 0u) |
				     (c->wait ? ASK_WAIT : 0u) | (c->detached ? ASK_DETACHED : 0u) | (c->put ? ASK_PUT : 0u) |
				     (c->if_absent ? ASK_IF_ABSENT : 0u),
			    .ttl = c->ttl,
			    .accept = c->accept,
			    .stale = c->stale,
			    .chain = client_chain(c),
			    .gen = c->gen};
}

static void ask(struct client *c)
{
	struct msg q = question(c);

	c->state = ASKING;
	c->asked = sim.now;
	c->run = NULL;
	if (!c->command && c->wait && c->wait_ms != SC_FOREVER)
		alarm_set(&c->alarm, c->wait_ms);
	session_ask(&c->session, START, &q);
}

static bool has_printed(const struct client *c)
{
	return c->printed || c->err_printed;
}

void client_bypass(struct client *c)
{
	client_end(c, has_printed(c) ? END_INCOMPLETE : c->command && !c->strict && !c->put ? END_BYPASS : END_FAILED);
}

/* ---- the answers ---- */

/* What r has so far is held against what was printed of the run that was lost. */
static bool is_like_the_first(const struct client *c, const struct model *r, uint64_t out_len)
{
	return !c->first || c->first == r || run_begins_alike(c->first, r, out_len < c->first_len ? out_len : c->first_len);
}

/* One reader's bytes are of one run, or of two that begin alike. */
void client_print(struct client *c, struct model *r, uint64_t out_len, uint64_t err_len)
{
	if (r->len[0] < out_len || r->len[1] < err_len)
		sim_fail("client %u is to read %llu bytes of run %u, which has %llu", c->proc.number,
			 (unsigned long long)out_len, r->number, (unsigned long long)r->len[0]);
	if (c->mute || (c->stdout_full && c->printed < out_len)) {
		c->stdout_full = true;
		return;
	}
	if (c->printed_of && c->printed_of != r && has_printed(c) && c->first != c->printed_of)
		sim_fail("client %u printed bytes of run %u and of run %u", c->proc.number, c->printed_of->number, r->number);
	c->differs = !is_like_the_first(c, r, out_len);
	/* Not yet as far as the first one was: nothing new. */
	if (c->differs || (c->first && out_len < c->first_len))
		return;
	c->printed_of = r;
	c->printed = out_len;
	c->err_printed = err_len;
}

/* All of r is printed: it has ended. */
void client_finish(struct client *c, const struct model *r)
{
	if (c->stdout_full)
		client_end(c, END_STDOUT);
	else
		client_end(c, c->differs || (c->first && r->len[0] < c->first_len) ? END_INCOMPLETE : END_STATUS);
}

static void print_hit(struct client *c)
{
	if (c->stdout_closed) {
		client_end(c, END_STDOUT);
		return;
	}
	client_print(c, c->run, c->run->len[0], c->run->len[1]);
	client_finish(c, c->run);
}

static void ask_to_renew(struct client *c)
{
	struct msg q = question(c);

	q.flags |= ASK_RENEW;
	q.gen = (struct gen){{0}};
	c->state = RENEWING;
	session_ask(&c->session, START, &q);
}

static void on_hit(struct client *c, const struct msg *m, struct desc **fds)
{
	struct model *r = run_of(&m->gen);

	if (fds[0]->run != r || fds[0]->stream != 0)
		sim_fail("the descriptor of HIT is not of its generation");
	c->run = r;
	if (c->detached) {
		client_end(c, END_DONE);
		return;
	}
	c->exit = (uint32_t)m->exit;
	c->exit_signal = (uint32_t)m->signal;
	if (m->flags & HIT_RENEW)
		ask_to_renew(c);
	else
		print_hit(c);
}

static void take_fds(struct client *c, const struct msg *m, struct desc **fds, size_t nfds)
{
	struct model *r = run_of(&m->gen);
	static const enum desc_kind kinds[] = {DESC_OBJECT, DESC_OBJECT, DESC_PAGE, DESC_OBJECT,
					       DESC_OBJECT, DESC_SOCKET, DESC_LOCK};

	for (size_t i = 0; i < nfds; i++) {
		if (fds[i]->kind != kinds[i] || (fds[i]->run && fds[i]->run != r))
			sim_fail("descriptor %zu of %s is another", i, msg_name(m->type));
		c->fds[i] = fds[i];
		fds[i] = NULL;
	}
}

/* Whatever came of that. */
static void on_renewal(struct client *c, const struct msg *m, struct desc **fds, size_t nfds)
{
	if (m && m->type != MSG_LEAD && m->type != MSG_MISS && m->type != MSG_REFUSE)
		sim_fail("client %u asked to renew and was told %s", c->proc.number, msg_name(m->type));
	if (!m || m->type != MSG_LEAD) {
		print_hit(c);
		return;
	}
	take_fds(c, m, fds, nfds);
	c->renewal = run_of(&m->gen);
	check_led(c, c->renewal);
	client_look_in(c, late());
}

static void renew(struct client *c)
{
	if (!mishap(20))
		writer_fork(c->renewal, c, c->fds);
	drop_fds(c);
	print_hit(c);
}

static void on_run(struct client *c, const struct msg *m, struct desc **fds, size_t nfds)
{
	struct model *r = run_of(&m->gen);

	take_fds(c, m, fds, nfds);
	c->run = r;
	c->gen = m->gen;
	c->leads = m->type == MSG_LEAD;
	c->state = JOINING;
	if (c->leads)
		check_led(c, r);
	client_look_in(c, late());
}

void client_on_lost(struct client *c)
{
	/* There is nothing left to hold a second run against. */
	if (c->run->spilled && has_printed(c)) {
		client_end(c, END_INCOMPLETE);
		return;
	}
	if (c->strict || (c->lost_once && (has_printed(c) || !c->command))) {
		client_end(c, has_printed(c) ? END_INCOMPLETE : END_FAILED);
		return;
	}
	if (c->lost_once) {
		client_bypass(c);
		return;
	}
	trace("client %u has lost run %u after %llu bytes and asks again", c->proc.number, c->run->number,
	      (unsigned long long)c->printed);
	c->lost_once = true;
	if (has_printed(c)) {
		c->first = c->printed_of;
		c->first_len = c->printed;
	}
	client_leave_slot(c);
	drop_fds(c);
	ask(c);
}

static void on_told(void *arg, int rc, const struct msg *m, struct desc **fds, size_t nfds)
{
	struct client *c = arg;

	trace("client %u hears %s", c->proc.number, m ? msg_name(m->type) : "nothing any more");
	if (c->state == RENEWING) {
		on_renewal(c, rc ? NULL : m, fds, nfds);
	} else if (c->state == ATTACHING) {
		client_on_attached(c, m);
	} else if (c->state == LEAVING || c->state == NEEDED) {
		client_on_left(c, m);
	} else if (c->errand != GET) {
		if (!m || !(m->type == MSG_ENTRY || m->type == MSG_FLIGHT || m->type == MSG_WAIT))
			client_end(c, rc && c->errand != STOP ? END_FAILED : END_DONE);
	} else if (rc) {
		client_bypass(c);
	} else if (m->type == MSG_WAIT) {
		return;
	} else if (m->type == MSG_HIT) {
		on_hit(c, m, fds);
	} else if (m->type == MSG_FOLLOW || m->type == MSG_LEAD) {
		on_run(c, m, fds, nfds);
	} else if (m->type == MSG_MISS) {
		client_end(c, has_printed(c) ? END_INCOMPLETE : END_MISS);
	} else if (m->type == MSG_REFUSE && m->reason == REFUSE_EXISTS) {
		client_end(c, END_MISS);
	} else if (m->type == MSG_REFUSE) {
		client_bypass(c);
	} else {
		sim_fail("client %u was told %s", c->proc.number, msg_name(m->type));
	}
}

static void turn(struct client *c)
{
	if (c->state == ASKING)
		client_end(c, END_WAITED);
	else if (c->state == RENEWING)
		renew(c);
	else
		client_read(c);
}

/* ---- from outside ---- */

bool client_reads(const struct client *c, const struct model *r)
{
	return c->proc.alive && c->run == r && c->slot;
}

void client_woken(struct model *r)
{
	for (unsigned i = 0; i < nclients; i++) {
		struct client *c = clients[i];

		if (!c->proc.alive || c->run != r || c->woken || (c->state != FOLLOWING && c->state != SEEING_OFF) ||
		    chance(sim.lost_wakes))
			continue;
		c->woken = true;
		alarm_set(&c->alarm, late());
	}
}

void client_poll(struct client *c)
{
	if (c->state != FOLLOWING)
		return;
	c->woken = true;
	alarm_set(&c->alarm, late());
}

/* Before it follows, a signal kills as it would anybody. */
void client_signal(struct client *c, unsigned signal)
{
	if (c->state == ASKING || c->state == RENEWING || c->state == JOINING || c->state == LEAVING ||
	    c->state == SEEING_OFF) {
		client_kill(c);
		return;
	}
	trace("client %u gets signal %u", c->proc.number, signal);
	c->signal = signal;
	client_poll(c);
}

struct client *client_new(enum errand errand, struct key_model *k)
{
	struct client *c = sim_alloc(sizeof *c);

	if (nclients == CLIENTS_MAX)
		sim_fail("%d clients in one scenario", CLIENTS_MAX);
	clients[nclients++] = c;
	c->proc = (struct proc){.what = "client", .number = nclients, .alive = true};
	c->errand = errand;
	c->key = k;
	c->ttl = SC_TTL_UNSET;
	c->accept = c->wait_ms = SC_FOREVER;
	alarm_init(&c->alarm, on_alarm, c);
	session_init(&c->session, &c->proc, c, on_told, c);
	return c;
}

void client_start(struct client *c)
{
	struct msg q = {.bucket = bytes_of("default"), .key = bytes_of(c->key->name)};

	trace("%s starts", client_describe(c));
	switch (c->errand) {
	case GET:
		ask(c);
		return;
	case RM:
		q.type = MSG_REMOVE;
		break;
	case LIST:
		q.type = chance(50) ? MSG_LIST : chance(50) ? MSG_FLIGHTS : MSG_STATUS;
		break;
	case STOP:
		q.type = MSG_STOP;
		q.flags = c->now ? STOP_NOW : 0;
		break;
	}
	session_ask(&c->session, START, &q);
}

/* A client from its question to its exit status, as cmd/get.c and cmd/follow.c. */
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "tests/sim/check.h"
#include "tests/sim/people.h"

#define QUIET_MS (2 * SC_PAGE_WAIT_MS)
#define SEE_OFF_MS (SC_GRACE_MS + 2000)

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

static void leave_slot(struct client *c)
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
	leave_slot(c);
	drop_fds(c);
	c->ending = e;
	c->state = GONE;
	c->proc.alive = false;
	check_client(c);
}

static void end(struct client *c, enum ending e)
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
	static char text[160];
	static const char *const errands[] = {"get", "rm", "list", "stop"};
	static const char *const states[] = {"asking",	"joining",    "following", "attaching", "asking whether it is needed",
					     "leaving", "seeing off", "gone"};

	snprintf(text, sizeof text, "client %u (%s %s%s%s%s%s%s%s%s, ttl %lld, %s)", c->proc.number, errands[c->errand],
		 c->key->name, c->command ? " -- C" : "", c->refresh ? " --refresh" : "", c->finish ? " --finish" : "",
		 c->finished ? " --wait 0" : "", c->wait ? " --wait" : "", c->strict ? " --strict" : "",
		 c->nested ? " nested" : "", (long long)c->ttl, states[c->state]);
	return text;
}

/* ---- the question ---- */

static void ask(struct client *c)
{
	struct msg q = {.type = MSG_ASK,
			.bucket = bytes_of("default"),
			.key = bytes_of(c->key->name),
			.flags = (c->command ? ASK_COMMAND : 0u) | (c->refresh ? ASK_REFRESH : 0u) |
				 (c->finish ? ASK_FINISH : 0u) | (c->finished ? ASK_FINISHED : 0u) | (c->wait ? ASK_WAIT : 0u),
			.ttl = c->ttl,
			.accept = c->accept,
			.chain = {c->chain.b, c->nested ? SC_GEN_SIZE : 0},
			.gen = c->gen};

	c->state = ASKING;
	c->asked = sim.now;
	c->run = NULL;
	if (!c->command && c->wait && c->wait_ms != SC_FOREVER)
		alarm_set(&c->alarm, c->wait_ms);
	session_ask(&c->session, START, &q);
}

static void bypass(struct client *c)
{
	end(c, c->command && !c->strict ? END_BYPASS : END_FAILED);
}

static void ask_page(struct client *c, uint64_t ms)
{
	c->woken = false;
	alarm_set(&c->alarm, ms);
}

/* ---- the answers ---- */

/* One reader's bytes are of one run. */
static void print(struct client *c, struct model *r, uint64_t out_len, uint64_t err_len)
{
	if (r->len[0] < out_len || r->len[1] < err_len)
		sim_fail("client %u is to read %llu bytes of run %u, which has %llu", c->proc.number,
			 (unsigned long long)out_len, r->number, (unsigned long long)r->len[0]);
	if (c->mute || (c->stdout_full && c->printed < out_len)) {
		c->stdout_full = true;
		return;
	}
	if ((out_len || err_len) && c->printed_of && c->printed_of != r && (c->printed || c->err_printed))
		sim_fail("client %u printed bytes of run %u and of run %u", c->proc.number, c->printed_of->number, r->number);
	c->printed_of = r;
	c->printed = out_len;
	c->err_printed = err_len;
}

static void on_hit(struct client *c, const struct msg *m, struct desc **fds)
{
	struct model *r = run_of(&m->gen);

	if (fds[0]->run != r || fds[0]->stream != 0)
		sim_fail("the descriptor of HIT is not of its generation");
	c->run = r;
	if (c->stdout_closed) {
		end(c, END_STDOUT);
		return;
	}
	print(c, r, m->out_len, m->err_len);
	c->exit = (uint32_t)m->exit;
	c->exit_signal = (uint32_t)m->signal;
	end(c, c->stdout_full ? END_STDOUT : END_STATUS);
}

static void on_run(struct client *c, const struct msg *m, struct desc **fds, size_t nfds)
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
	c->run = r;
	c->gen = m->gen;
	c->leads = m->type == MSG_LEAD;
	c->state = JOINING;
	if (c->leads)
		check_led(c, r);
	ask_page(c, late());
}

static void on_lost(struct client *c)
{
	if (c->printed || c->err_printed) {
		end(c, END_INCOMPLETE);
	} else if (c->strict) {
		end(c, END_FAILED);
	} else if (c->lost_once) {
		bypass(c);
	} else {
		trace("client %u has lost run %u and asks again", c->proc.number, c->run->number);
		c->lost_once = true;
		leave_slot(c);
		drop_fds(c);
		ask(c);
	}
}

static void on_left(struct client *c, const struct msg *m)
{
	if (c->state == LEAVING) {
		if (m && (m->flags & LEFT_STOPPING)) {
			c->state = SEEING_OFF;
			c->until = sim.now + SEE_OFF_MS;
			ask_page(c, late());
		} else {
			end(c, END_SIGNAL);
		}
	} else if (!(m && (m->flags & LEFT_STAYED)) && c->run->state == PAGE_RUNNING) {
		end(c, END_STDOUT);
	} else {
		c->state = FOLLOWING;
		ask_page(c, late());
	}
}

static void on_attached(struct client *c, const struct msg *m)
{
	c->state = FOLLOWING;
	if (m && m->type == MSG_LOST && c->run->state == PAGE_RUNNING) {
		on_lost(c);
	} else if (m && m->type == MSG_ENDED) {
		print(c, c->run, m->out_len, m->err_len);
		c->exit = (uint32_t)m->exit;
		c->exit_signal = (uint32_t)m->signal;
		end(c, c->mute || c->stdout_full ? END_STDOUT : END_STATUS);
	} else {
		ask_page(c, late());
	}
}

static void on_told(void *arg, int rc, const struct msg *m, struct desc **fds, size_t nfds)
{
	struct client *c = arg;

	trace("client %u hears %s", c->proc.number, m ? msg_name(m->type) : "nothing any more");
	if (c->state == ATTACHING) {
		on_attached(c, m);
	} else if (c->state == LEAVING || c->state == NEEDED) {
		on_left(c, m);
	} else if (c->errand != GET) {
		if (!m || !(m->type == MSG_ENTRY || m->type == MSG_FLIGHT || m->type == MSG_WAIT))
			end(c, rc && c->errand != STOP ? END_FAILED : END_DONE);
	} else if (rc) {
		bypass(c);
	} else if (m->type == MSG_WAIT) {
		return;
	} else if (m->type == MSG_HIT) {
		on_hit(c, m, fds);
	} else if (m->type == MSG_FOLLOW || m->type == MSG_LEAD) {
		on_run(c, m, fds, nfds);
	} else if (m->type == MSG_MISS) {
		end(c, END_MISS);
	} else if (m->type == MSG_REFUSE) {
		bypass(c);
	} else {
		sim_fail("client %u was told %s", c->proc.number, msg_name(m->type));
	}
}

/* ---- reading ---- */

static void take_slot(struct client *c)
{
	c->slot = true;
	c->slot_since = sim.now;
	c->run->slots++;
	c->moved = sim.now;
	c->seen = c->orphaned = 0;
	c->state = FOLLOWING;
}

static void join(struct client *c)
{
	if (c->leads) {
		c->leads = false;
		if (fault(20)) {
			bypass(c); /* fork refused */
			return;
		}
		writer_fork(c->run, c, c->fds);
		/* The writer's descriptors are closed here a little later. */
		ask_page(c, late());
		return;
	}
	for (size_t i = LEAD_OUT_WRITE; i < SC_FDS_MAX; i++)
		desc_drop(&c->fds[i]);
	take_slot(c);
	ask_page(c, late());
}

static void leave(struct client *c)
{
	struct msg q = {.type = MSG_LEAVE, .gen = c->gen, .signal = c->signal};

	leave_slot(c);
	c->state = LEAVING;
	alarm_set(&c->alarm, SC_SILENCE_MS);
	if (!session_ask_on(&c->session, &q))
		end(c, END_SIGNAL);
}

static void ask_needed(struct client *c)
{
	struct msg q = {.type = MSG_LEAVE, .gen = c->gen, .flags = LEAVE_UNLESS_LAST};

	c->mute = true;
	c->state = NEEDED;
	alarm_set(&c->alarm, SC_SILENCE_MS);
	if (!session_ask_on(&c->session, &q))
		on_left(c, NULL);
}

static void on_page_end(struct client *c)
{
	const struct model *r = c->run;

	c->exit = r->exit;
	c->exit_signal = r->signal;
	if (c->mute || c->stdout_full)
		end(c, END_STDOUT);
	else if (r->state == PAGE_LOST)
		on_lost(c);
	else
		end(c, r->state == PAGE_CANCELLED ? END_INCOMPLETE : END_STATUS);
}

static void sleep_on_page(struct client *c)
{
	c->sleeps = true;
	ask_page(c, c->wait_ms < SC_PAGE_WAIT_MS ? c->wait_ms : SC_PAGE_WAIT_MS);
}

static void look_after_daemon(struct client *c)
{
	struct msg q = {.type = MSG_ATTACH, .bucket = bytes_of("default"), .key = bytes_of(c->key->name), .gen = c->gen};

	if (c->session.sock && endpoint_is_readable(c->session.sock->end))
		session_close(&c->session);
	if (c->session.sock) {
		c->orphaned = 0;
		sleep_on_page(c);
		return;
	}
	if (!c->orphaned)
		c->orphaned = sim.now;
	c->state = ATTACHING;
	session_ask(&c->session, sim.now - c->orphaned >= QUIET_MS ? START : LOOK, &q);
}

static void follow(struct client *c)
{
	struct model *r = c->run;
	bool timeout = c->sleeps && !c->woken && c->seen == r->word;

	c->sleeps = false;

	if (c->stdout_closed && (timeout || c->printed < r->out_len)) {
		end(c, END_STDOUT);
		return;
	}
	print(c, r, r->out_len, r->err_len);
	if (c->seen != r->word)
		c->moved = sim.now;
	c->seen = r->word;
	if (c->signal)
		leave(c);
	else if (c->stdout_full && !c->mute)
		ask_needed(c);
	else if (r->state != PAGE_RUNNING)
		on_page_end(c);
	else if (c->wait_ms != SC_FOREVER && sim.now - c->moved >= c->wait_ms)
		end(c, END_WAITED);
	else if (timeout && c->mute)
		ask_needed(c);
	else if (timeout)
		look_after_daemon(c);
	else
		sleep_on_page(c);
}

static void turn(struct client *c)
{
	switch (c->state) {
	case ASKING:
		end(c, END_WAITED);
		break;
	case JOINING:
		join(c);
		break;
	case FOLLOWING:
		follow(c);
		break;
	case SEEING_OFF:
		if (c->run->state != PAGE_RUNNING || sim.now >= c->until)
			end(c, END_SIGNAL);
		else
			ask_page(c, SC_PAGE_WAIT_MS);
		break;
	case LEAVING:
	case NEEDED:
		/* Nobody answered in time. */
		session_stop(&c->session);
		on_left(c, NULL);
		break;
	case ATTACHING:
	case GONE:
		break;
	}
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
	if (c->state == ASKING || c->state == JOINING || c->state == LEAVING || c->state == SEEING_OFF) {
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

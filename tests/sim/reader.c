/* Following a run, as cmd/follow.c: from FOLLOW or LEAD in a client's hands to the end of the page, or of the client. */
#include "tests/sim/check.h"
#include "tests/sim/people.h"

#define QUIET_MS (2 * SC_PAGE_WAIT_MS)
#define SEE_OFF_MS (SC_GRACE_MS + 2000)

/* Who comes when the ring has gone on without it, or was away for too long. */
static bool is_overtaken(struct client *c)
{
	const struct model *r = c->run;
	bool late_comer = c->slot_since > r->spilled_at, away = c->proc.paused_until > r->spilled_at + SC_STUCK_MS;

	if (!r->spilled || c->looked_at_ring || !(late_comer || away))
		return false;
	c->looked_at_ring = true;
	return chance(50);
}

static void take_slot(struct client *c)
{
	c->slot = true;
	c->slot_since = sim.now;
	c->run->slots++;
	c->moved = c->looked = sim.now;
	c->seen = c->orphaned = 0;
	c->state = FOLLOWING;
}

static void join(struct client *c)
{
	if (c->leads) {
		c->leads = false;
		if (mishap(20)) {
			client_bypass(c); /* fork refused */
			return;
		}
		writer_fork(c->run, c, c->fds);
		if (c->detached || c->put) {
			client_end(c, END_DONE); /* of a put: it is the writer from here on */
			return;
		}
		/* The writer's descriptors are closed here a little later. */
		client_look_in(c, late());
		return;
	}
	if (c->detached) {
		client_end(c, END_DONE); /* it is on its way */
		return;
	}
	for (size_t i = LEAD_OUT_WRITE; i < SC_FDS_MAX; i++)
		desc_drop(&c->fds[i]);
	take_slot(c);
	client_look_in(c, late());
}

void client_on_left(struct client *c, const struct msg *m)
{
	if (c->state == LEAVING) {
		if (m && m->type == MSG_LEFT && (m->flags & LEFT_STOPPING)) {
			c->state = SEEING_OFF;
			c->until = sim.now + SEE_OFF_MS;
			client_look_in(c, late());
		} else {
			client_end(c, END_SIGNAL);
		}
	} else if (!(m && m->type == MSG_LEFT && (m->flags & LEFT_STAYED)) && c->run->state == PAGE_RUNNING) {
		client_end(c, END_STDOUT);
	} else {
		c->state = FOLLOWING;
		client_look_in(c, late());
	}
}

void client_on_attached(struct client *c, const struct msg *m)
{
	bool running = c->run->state == PAGE_RUNNING;

	c->state = FOLLOWING;
	if (!m)
		session_close(&c->session);
	if (m && m->type == MSG_LOST && running) {
		client_on_lost(c);
	} else if (m && m->type == MSG_REFUSE && m->reason == REFUSE_NESTED && running) {
		client_bypass(c);
	} else if (m && m->type == MSG_ENDED) {
		client_print(c, c->run, m->out_len, m->err_len);
		c->exit = (uint32_t)m->exit;
		c->exit_signal = (uint32_t)m->signal;
		if (c->mute)
			client_end(c, END_STDOUT);
		else
			client_finish(c, c->run);
	} else {
		client_look_in(c, late());
	}
}

static void leave(struct client *c)
{
	struct msg q = {.type = MSG_LEAVE, .gen = c->gen, .signal = c->signal};

	client_leave_slot(c);
	c->state = LEAVING;
	alarm_set(&c->alarm, SC_SILENCE_MS);
	if (!session_ask_on(&c->session, &q))
		client_end(c, END_SIGNAL);
}

static void ask_needed(struct client *c)
{
	struct msg q = {.type = MSG_LEAVE, .gen = c->gen, .flags = LEAVE_UNLESS_LAST};

	c->mute = true;
	c->state = NEEDED;
	alarm_set(&c->alarm, SC_SILENCE_MS);
	if (!session_ask_on(&c->session, &q))
		client_on_left(c, NULL);
}

static void on_page_end(struct client *c)
{
	const struct model *r = c->run;

	c->exit = r->exit;
	c->exit_signal = r->signal;
	check_told_end(c);
	if (c->mute || c->stdout_full)
		client_end(c, END_STDOUT);
	else if (r->state == PAGE_LOST || r->state == PAGE_CANCELLED)
		client_on_lost(c);
	else
		client_finish(c, r);
}

static void sleep_on_page(struct client *c)
{
	c->sleeps = true;
	client_look_in(c, c->wait_ms < SC_PAGE_WAIT_MS ? c->wait_ms : SC_PAGE_WAIT_MS);
}

static void look_after_daemon(struct client *c)
{
	struct msg q = {.type = MSG_ATTACH,
			.bucket = bytes_of("default"),
			.key = bytes_of(c->key->name),
			.gen = c->gen,
			.flags = c->command && !c->strict ? ATTACH_COMMAND : 0,
			.chain = client_chain(c)};
	bool lost;

	if (session_is_there(&c->session, &lost)) {
		c->orphaned = 0;
		if (lost && c->run->state == PAGE_RUNNING)
			client_on_lost(c);
		else
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
	bool timeout = c->sleeps && ((!c->woken && c->seen == r->word) || sim.now - c->looked >= SC_PAGE_WAIT_MS);

	c->sleeps = false;
	if (timeout)
		c->looked = sim.now;
	if (c->stdout_closed && (timeout || c->printed < r->out_len)) {
		client_end(c, END_STDOUT);
		return;
	}
	if (is_overtaken(c)) {
		client_bypass(c);
		return;
	}
	client_print(c, r, r->out_len, r->err_len);
	if (c->seen != r->word)
		c->moved = sim.now;
	c->seen = r->word;
	if (c->signal)
		leave(c);
	else if (c->differs)
		client_end(c, END_INCOMPLETE);
	else if (c->stdout_full && !c->mute)
		ask_needed(c);
	else if (r->state != PAGE_RUNNING)
		on_page_end(c);
	else if (c->wait_ms != SC_FOREVER && sim.now - c->moved >= c->wait_ms)
		client_end(c, END_WAITED);
	else if (timeout && c->mute)
		ask_needed(c);
	else if (timeout)
		look_after_daemon(c);
	else
		sleep_on_page(c);
}

void client_read(struct client *c)
{
	switch (c->state) {
	case JOINING:
		join(c);
		break;
	case FOLLOWING:
		follow(c);
		break;
	case SEEING_OFF:
		if (c->run->state != PAGE_RUNNING || sim.now >= c->until)
			client_end(c, END_SIGNAL);
		else
			client_look_in(c, SC_PAGE_WAIT_MS);
		break;
	case LEAVING:
	case NEEDED:
		/* Nobody answered in time. */
		session_stop(&c->session);
		client_on_left(c, NULL);
		break;
	case ASKING:
	case RENEWING:
	case ATTACHING:
	case GONE:
		break;
	}
}

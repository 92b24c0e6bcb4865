/* Who holds a key while a command of his runs, as cmd/hold.c, and the command. */
#include "tests/sim/check.h"
#include "tests/sim/people.h"

#include <string.h>

#define TRIES 4
#define RECONNECT_MS 200

struct holder *holders[HOLDERS_MAX];
unsigned nholders;

/* What the kernel takes back, in any order. */
static void go(struct holder *h, const char *how)
{
	trace("holder %u ends: %s", h->proc.number, how);
	h->proc.alive = false;
	h->state = LEFT;
	alarm_clear(&h->alarm);
	alarm_clear(&h->over);
	session_close(&h->session);
	if (h->sock)
		endpoint_deaf(h->sock->end);
	desc_drop(&h->sock);
	desc_drop(&h->lock);
	desc_drop(&h->pidfd);
}

static void end(struct holder *h, const char *how)
{
	/* PDEATHSIG. */
	if (h->lease && h->lease->command_alive)
		command_kill(h->lease, 9);
	go(h, how);
}

void holder_kill(struct holder *h)
{
	if (h->proc.alive)
		end(h, "killed");
}

static void look_in(struct holder *h, uint64_t ms)
{
	alarm_set(&h->alarm, ms);
}

static void on_heard(void *arg, const struct msg *m, struct desc **fds, size_t nfds);

static void take_socket(struct holder *h, struct desc *sock)
{
	h->sock = sock;
	h->oks = 0;
	sock->end->lease = h->lease;
	endpoint_listen(sock->end, &h->proc, on_heard, h);
}

static void tell(struct holder *h)
{
	struct msg m = {.type = MSG_HOLDING, .gen = h->lease->gen};
	struct desc *fd = desc_hold(h->pidfd);

	trace("holder %u says HOLDING", h->proc.number);
	endpoint_send(h->sock->end, &m, &fd, 1);
}

/* A daemon that follows the one that has gone; only who has not begun yet starts it. */
static void find_daemon(struct holder *h)
{
	struct desc *sock = session_connect();

	if (sock) {
		take_socket(h, sock);
		tell(h);
		return;
	}
	if (h->state == CONFIRMING && ++h->tries > 10 * TRIES) {
		end(h, "no daemon");
		return;
	}
	if (h->state == CONFIRMING)
		daemon_want();
	look_in(h, h->state == CONFIRMING ? 1 + late() : RECONNECT_MS + late());
}

static void release(struct holder *h)
{
	struct msg m = {.type = MSG_RELEASE, .gen = h->lease->gen};

	h->state = RELEASING;
	h->lease->command_alive = false;
	if (!h->sock) {
		end(h, "let go without a daemon");
		return;
	}
	trace("holder %u says RELEASE", h->proc.number);
	endpoint_send(h->sock->end, &m, NULL, 0);
}

static void on_ok(struct holder *h)
{
	if (h->oks++) {
		end(h, "let go");
	} else if (h->state == CONFIRMING) {
		h->state = HOLDING;
		check_holds(h->lease);
		h->lease->begun = true;
		alarm_set(&h->over, h->lasts);
	}
}

static void on_heard(void *arg, const struct msg *m, struct desc **fds, size_t nfds)
{
	struct holder *h = arg;

	(void)fds, (void)nfds;
	trace("holder %u hears %s", h->proc.number, m ? msg_name(m->type) : "the end");
	if (m && m->type == MSG_HELLO)
		return;
	if (m && m->type == MSG_OK) {
		on_ok(h);
	} else if (m) {
		/* Its -t was over, or it was never confirmed to the daemon before. */
		if (h->lease->begun && h->lease->ttl_ms == SC_FOREVER && h->state != RELEASING)
			sim_fail("holder %u is refused, but has not been away for too long", h->proc.number);
		end(h, "lost");
	} else if (h->state == RELEASING) {
		end(h, "let go, and the daemon with it");
	} else {
		endpoint_deaf(h->sock->end);
		desc_drop(&h->sock);
		look_in(h, late());
	}
}

static void on_told(void *arg, int rc, const struct msg *m, struct desc **fds, size_t nfds)
{
	struct holder *h = arg;

	if (rc || m->type == MSG_REFUSE) {
		if (!rc && m->reason != REFUSE_HELD && !sim.faults)
			sim_fail("holder %u is refused, and nothing has failed", h->proc.number);
		end(h, "not to be held");
		return;
	}
	if (m->type == MSG_WAIT)
		return;
	if (m->type != MSG_HELD || nfds != 2 || fds[0]->kind != DESC_OBJECT || fds[1]->kind != DESC_LOCK)
		sim_fail("holder %u was told %s", h->proc.number, msg_name(m->type));
	trace("holder %u is told HELD", h->proc.number);
	h->lease = run_of(&m->gen);
	h->lease->holder = h;
	h->lock = fds[1];
	fds[1] = NULL;
	h->state = WRITING;
	look_in(h, late());
}

static void write_value(struct holder *h)
{
	struct desc *sock = h->session.sock;

	h->lease->len[0] = 3;
	h->lease->done = true;
	h->lease->command_alive = true;
	h->pidfd = desc_new(DESC_PIDFD, h->lease);
	h->state = CONFIRMING;
	h->session.sock = NULL;
	session_close(&h->session);
	take_socket(h, sock);
	tell(h);
}

static void on_alarm(void *arg)
{
	struct holder *h = arg;
	uint64_t pause = proc_pause(&h->proc);

	if (pause)
		look_in(h, pause + late());
	else if (h->state == WRITING)
		write_value(h);
	else if (!h->sock && (h->state == CONFIRMING || h->state == HOLDING))
		find_daemon(h);
}

static void on_over(void *arg)
{
	struct holder *h = arg;
	uint64_t pause = proc_pause(&h->proc);

	if (pause)
		alarm_set(&h->over, pause + late());
	else
		release(h);
}

void holder_start(struct key_model *k)
{
	struct holder *h;
	struct msg q = {.type = MSG_HOLD, .bucket = bytes_of("default"), .key = bytes_of(k->name)};

	if (nholders == HOLDERS_MAX)
		return;
	h = holders[nholders++] = sim_alloc(sizeof *h);
	h->proc = (struct proc){.what = "holder", .number = nholders, .alive = true};
	h->key = k;
	h->wait = chance(60);
	h->ttl = chance(70) ? SC_FOREVER : 1 + rnd(3000);
	h->lasts = chance(50) ? rnd(50) : rnd(5000);
	alarm_init(&h->alarm, on_alarm, h);
	alarm_init(&h->over, on_over, h);
	session_init(&h->session, &h->proc, NULL, on_told, h);
	q.flags = h->wait ? HOLD_WAIT : 0;
	q.ttl = h->ttl;
	trace("holder %u wants key %s%s", h->proc.number, k->name, h->wait ? ", and waits for it" : "");
	session_ask(&h->session, START, &q);
}

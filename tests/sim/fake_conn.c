/* conn.h in memory: what a peer sends arrives when its socket's turn comes, what is sent to it leaves at the end of the
 * daemon's turn, and what the turn did not get to leaves never. */
#include "daemon/conn.h"

#include <stdlib.h>
#include <utlist.h>

#include "daemon/dispatch.h"
#include "daemon/flight.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "tests/sim/check.h"
#include "tests/sim/world.h"

/* Of the scenario, not of the daemon: the descriptors in it are given back when the daemon dies. */
struct wire {
	struct wire *next; /* of this life */
	struct conn *conn;
	struct desc *desc;
	struct endpoint *end;
	struct parcel *out, **last;
	bool closing, dirty;
};

/* Connected, and not accepted yet. */
struct pending {
	struct pending *next;
	struct desc *desc; /* NULL: accepted */
	struct alarm alarm;
};

static struct wire *wires;
static struct conn *buried; /* closed in this turn: their memory goes after it */
static struct pending *backlog;

/* ---- in ---- */

struct arrival {
	struct conn *c;
	const struct msg *m;
	struct desc **fds;
	size_t nfds;
};

static void on_arrival(void *arg)
{
	struct arrival *a = arg;
	struct conn *c = a->c;
	struct wire *w = c->wire;
	int fds[SC_FDS_MAX];

	if (!a->m) {
		conn_close(c, NULL);
		return;
	}
	for (size_t i = 0; i < a->nfds; i++) {
		fds[i] = fd_install(a->fds[i]);
		a->fds[i] = NULL;
	}
	check_heard(w->end->peer, a->m);
	dispatch(c, a->m, fds, a->nfds);
	/* Often the next one has come as well, and is done before anything is sent. */
	if (!w->closing && chance(30))
		endpoint_next(w->end);
}

static void on_deaf(void *arg)
{
	struct conn *c = arg;

	c->blameless = true;
	conn_close(c, "read error");
}

static bool is_deaf(const struct conn *c)
{
	/* After DONE a writer says nothing that could not be read. */
	if (sim.resting || (c->leads && run_of(flight_gen(c->leads))->done_life == life.proc.number))
		return false;
	return rnd(1000) < sim.deaf_permille;
}

/* No descriptor or no memory to be had for what has come. */
static void deafen(struct conn *c)
{
	if (c->leads)
		check_unheard(run_of(flight_gen(c->leads)));
	if (life.in_turn)
		on_deaf(c);
	else
		daemon_turn(on_deaf, c);
}

static void hear_peer(void *arg, const struct msg *m, struct desc **fds, size_t nfds)
{
	struct arrival a = {arg, m, fds, nfds};

	trace("daemon hears %s of conn %d", m ? msg_name(m->type) : "the end", (int)a.c->pid);
	if (m && is_deaf(a.c)) {
		deafen(a.c);
		return;
	}
	if (life.in_turn)
		on_arrival(&a);
	else
		daemon_turn(on_arrival, &a);
}

static void on_accept(void *arg)
{
	conn_open(&life.d, fd_install(arg), CONN_NEW);
}

static void on_turn_to_accept(void *arg)
{
	struct pending *p = arg;
	uint64_t pause = proc_pause(&life.proc);
	struct desc *d = p->desc;

	if (pause) {
		alarm_set(&p->alarm, pause + late());
		return;
	}
	p->desc = NULL;
	daemon_turn(on_accept, d);
}

struct desc *daemon_connect(void)
{
	struct pending *p;
	struct desc *pair[2];

	if (!life.listening)
		return NULL;
	sockets_new(pair);
	p = sim_alloc(sizeof *p);
	p->desc = pair[1];
	p->next = backlog;
	backlog = p;
	alarm_init(&p->alarm, on_turn_to_accept, p);
	alarm_set(&p->alarm, late());
	return pair[0];
}

/* ---- conn.h ---- */

struct conn *conn_open(struct daemon *d, int fd, enum conn_state state)
{
	struct desc *desc = fd_take(fd);
	struct conn *c;
	struct wire *w;

	if (mishap(5)) {
		desc_drop(&desc);
		return NULL;
	}
	c = calloc(1, sizeof *c);
	w = sim_alloc(sizeof *w);
	*w = (struct wire){.next = wires, .conn = c, .desc = desc, .end = desc->end};
	w->last = &w->out;
	wires = w;
	c->d = d;
	c->state = state;
	c->wire = w;
	c->opened_ms = clock_run_ms();
	c->pid = (pid_t)++life.nconns;
	DL_APPEND(d->conns, c);
	d->nconns++;
	daemon_reckon(d);
	endpoint_listen(w->end, &life.proc, hear_peer, c);
	return c;
}

void conn_send(struct conn *c, const struct msg *m, const int *fds, size_t nfds)
{
	struct desc *desc[SC_FDS_MAX];
	struct wire *w = c->wire;
	struct parcel *p;

	daemon_point();
	for (size_t i = 0; i < nfds; i++)
		desc[i] = fd_take(fds[i]);
	p = parcel_new(m, desc, nfds);
	trace("daemon says %s to conn %d", msg_name(m->type), (int)c->pid);
	if (w->closing) {
		parcel_drop(p);
		return;
	}
	check_said(w->end->peer, m);
	*w->last = p;
	w->last = &p->next;
	w->dirty = true;
}

bool conn_is_drained(const struct conn *c)
{
	return !c->wire->out;
}

void conn_pump(struct conn *c)
{
	(void)c; /* arrivals have their own time here */
}

static void drop_queue(struct wire *w)
{
	for (struct parcel *p = w->out, *next; p; p = next) {
		next = p->next;
		parcel_drop(p);
	}
	w->out = NULL;
	w->last = &w->out;
}

static void flush(struct wire *w)
{
	for (struct parcel *p = w->out, *next; p; p = next) {
		next = p->next;
		w->out = next;
		endpoint_post(w->end, p);
		daemon_point();
	}
	w->last = &w->out;
	w->dirty = false;
	if (w->conn->state == CONN_LISTING && !life.d.stopping)
		dispatch_drained(w->conn);
}

void conn_flush_all(struct daemon *d)
{
	bool again = true;

	(void)d;
	while (again) {
		again = false;
		for (struct wire *w = wires; w; w = w->next) {
			if (w->closing || !w->dirty)
				continue;
			flush(w);
			again = true;
		}
	}
}

void conn_close(struct conn *c, const char *why)
{
	struct daemon *d = c->d;
	struct wire *w = c->wire;

	if (w->closing)
		return;
	w->closing = true;
	trace("daemon closes conn %d%s%s", (int)c->pid, why ? ": " : "", why ? why : "");
	DL_DELETE(d->conns, c);
	d->nconns--;
	dispatch_gone(c);
	drop_queue(w);
	daemon_point();
	desc_drop(&w->desc);
	c->next = buried;
	buried = c;
	daemon_reckon(d);
}

void conn_close_told(struct conn *c)
{
	flush(c->wire);
	conn_close(c, NULL);
}

/* ---- the end of a turn, of a life ---- */

void conns_bury(void)
{
	struct wire **at = &wires;

	while (*at) {
		if ((*at)->closing)
			*at = (*at)->next;
		else
			at = &(*at)->next;
	}
	while (buried) {
		struct conn *c = buried;

		buried = c->next;
		free(c);
	}
}

void conns_die(void)
{
	for (struct wire *w = wires; w; w = w->next) {
		drop_queue(w);
		desc_drop(&w->desc);
	}
	for (; backlog; backlog = backlog->next) {
		alarm_clear(&backlog->alarm);
		desc_drop(&backlog->desc);
	}
	conns_forget();
}

/* Callers and writers that are nobody's children have each a session of their own, which tells nothing. */
pid_t session_of_peer(pid_t pid)
{
	for (const struct wire *w = wires; w; w = w->next)
		if (w->conn->pid == pid && !w->closing && w->end->peer->proc && w->end->peer->proc->alive)
			return w->end->peer->proc->session;
	return 0;
}

unsigned conns_reading(const struct model *r)
{
	unsigned n = 0;

	for (const struct wire *w = wires; w; w = w->next)
		n += !w->closing && w->end->peer->counted == r;
	return n;
}

void conns_inherit(const struct model *r)
{
	for (const struct wire *w = wires; w; w = w->next)
		if (!w->closing && w->end->peer->counted == r && w->end->peer->can_lead)
			w->end->peer->heir = r->key;
}

unsigned conns_heirs(const struct key_model *k, bool here)
{
	unsigned n = 0;

	for (const struct wire *w = wires; w; w = w->next)
		n += !w->closing && !(here && w->end->peer->closed) && w->end->peer->heir == k;
	return n;
}

void conns_forget(void)
{
	wires = NULL;
	buried = NULL;
	backlog = NULL;
}

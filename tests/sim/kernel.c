/* Processes, descriptors, sockets. A message is encoded when it is sent and decoded when it is heard, so what is sent is always one
 * that may be. */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "tests/sim/world.h"

#define FD_FIRST 1000
#define FDS_MAX 1024
#define FRAME_HEAD 4

static struct desc *fds[FDS_MAX];
static unsigned nfds_open;
static struct buf scratch;

uint64_t proc_pause(const struct proc *p)
{
	return p->paused_until > sim.now && !sim.resting ? p->paused_until - sim.now : 0;
}

/* ---- sockets ---- */

static void drop_all(struct desc **d, size_t n)
{
	for (size_t i = 0; i < n; i++)
		desc_drop(&d[i]);
}

static void arm(struct endpoint *e)
{
	if (e->hear && !e->closed && !e->alarm.pos && !e->told_end && (e->first || e->peer->closed))
		alarm_set(&e->alarm, late());
}

static struct parcel *take_parcel(struct endpoint *e)
{
	struct parcel *p = e->first;

	if (p && !(e->first = p->next))
		e->last = &e->first;
	return p;
}

static void tell(struct endpoint *e, struct parcel *p)
{
	struct msg m;

	if (msg_decode(&m, p->bytes + FRAME_HEAD, p->n - FRAME_HEAD))
		sim_fail("a message that was sent cannot be read");
	if (msg_fd_count(&m) != p->nfds)
		sim_fail("%s came with %zu descriptors", msg_name(m.type), p->nfds);
	e->hear(e->arg, &m, p->fds, p->nfds);
	drop_all(p->fds, p->nfds);
}

static void on_arrival(void *arg)
{
	struct endpoint *e = arg;
	uint64_t pause = proc_pause(e->proc);
	struct parcel *p;

	if (pause) {
		alarm_set(&e->alarm, pause + late());
		return;
	}
	p = take_parcel(e);
	if (!p && e->peer->closed && !e->told_end) {
		e->told_end = true;
		e->hear(e->arg, NULL, NULL, 0);
		return;
	}
	arm(e);
	if (p)
		tell(e, p);
}

bool endpoint_next(struct endpoint *e)
{
	struct parcel *p = e->closed || !e->hear ? NULL : take_parcel(e);

	if (p)
		tell(e, p);
	return p;
}

static struct desc *endpoint_new(void)
{
	struct desc *d = desc_new(DESC_SOCKET, NULL);

	d->end = sim_alloc(sizeof *d->end);
	d->end->last = &d->end->first;
	alarm_init(&d->end->alarm, on_arrival, d->end);
	return d;
}

void sockets_new(struct desc *pair[2])
{
	pair[0] = endpoint_new();
	pair[1] = endpoint_new();
	pair[0]->end->peer = pair[1]->end;
	pair[1]->end->peer = pair[0]->end;
}

void endpoint_listen(struct endpoint *e, struct proc *p, hear_fn hear, void *arg)
{
	e->proc = p;
	e->hear = hear;
	e->arg = arg;
	arm(e);
}

void endpoint_deaf(struct endpoint *e)
{
	e->hear = NULL;
	alarm_clear(&e->alarm);
}

bool endpoint_is_readable(const struct endpoint *e)
{
	return e->first || e->peer->closed;
}

enum msg_type endpoint_peek(const struct endpoint *e)
{
	struct msg m;

	if (!e->first || msg_decode(&m, e->first->bytes + FRAME_HEAD, e->first->n - FRAME_HEAD))
		return 0;
	return m.type;
}

void endpoint_skip(struct endpoint *e)
{
	parcel_drop(take_parcel(e));
}

struct parcel *parcel_new(const struct msg *m, struct desc **d, size_t n)
{
	bool in_turn = life.in_turn;
	struct parcel *p;

	life.in_turn = false; /* what encoding needs is not the daemon's memory */
	if (!scratch.max)
		buf_init(&scratch, 2 * SC_FRAME_MAX);
	scratch.len = 0;
	if (msg_encode(&scratch, m))
		sim_fail("%s cannot be encoded", msg_name(m->type));
	life.in_turn = in_turn;
	p = sim_alloc(sizeof *p + scratch.len);
	p->n = scratch.len;
	memcpy(p->bytes, scratch.data, p->n);
	p->nfds = n;
	for (size_t i = 0; i < n; i++) {
		p->fds[i] = d[i];
		d[i] = NULL;
	}
	return p;
}

void parcel_drop(struct parcel *p)
{
	drop_all(p->fds, p->nfds);
}

bool endpoint_post(struct endpoint *e, struct parcel *p)
{
	if (e->peer->closed) {
		parcel_drop(p);
		return false;
	}
	p->next = NULL;
	*e->peer->last = p;
	e->peer->last = &p->next;
	arm(e->peer);
	return true;
}

bool endpoint_send(struct endpoint *e, const struct msg *m, struct desc **d, size_t n)
{
	return endpoint_post(e, parcel_new(m, d, n));
}

static void endpoint_close(struct endpoint *e)
{
	struct parcel *p;

	e->closed = true;
	alarm_clear(&e->alarm);
	while ((p = take_parcel(e)))
		parcel_drop(p);
	arm(e->peer);
}

/* ---- descriptors ---- */

struct desc *desc_new(enum desc_kind kind, struct model *r)
{
	struct desc *d = sim_alloc(sizeof *d);

	*d = (struct desc){.kind = kind, .refs = 1, .run = r};
	return d;
}

struct desc *desc_hold(struct desc *d)
{
	d->refs++;
	return d;
}

void desc_drop(struct desc **at)
{
	struct desc *d = *at;

	*at = NULL;
	if (!d || --d->refs)
		return;
	if (d->kind == DESC_SOCKET)
		endpoint_close(d->end);
}

int fd_install(struct desc *d)
{
	unsigned i = 0;

	while (i < FDS_MAX && fds[i])
		i++;
	if (i == FDS_MAX)
		sim_fail("the daemon has %d open descriptors", FDS_MAX);
	fds[i] = d;
	nfds_open++;
	return FD_FIRST + (int)i;
}

static struct desc **slot_of(int fd)
{
	if (fd < FD_FIRST || fd >= FD_FIRST + FDS_MAX || !fds[fd - FD_FIRST])
		sim_fail("the daemon uses descriptor %d, which is not open", fd);
	return &fds[fd - FD_FIRST];
}

struct desc *fd_take(int fd)
{
	struct desc **at = slot_of(fd), *d = *at;

	*at = NULL;
	nfds_open--;
	return d;
}

struct desc *fd_any(int fd)
{
	return *slot_of(fd);
}

struct desc *fd_look(int fd, enum desc_kind kind)
{
	struct desc *d = *slot_of(fd);

	if (d->kind != kind)
		sim_fail("the daemon uses a descriptor of kind %d where one of kind %d is meant", (int)d->kind, (int)kind);
	return d;
}

unsigned fds_open(void)
{
	return nfds_open;
}

void fds_close_all(void)
{
	for (unsigned i = 0; i < FDS_MAX; i++)
		desc_drop(&fds[i]);
	nfds_open = 0;
}

void fds_forget(void)
{
	memset(fds, 0, sizeof fds);
	nfds_open = 0;
}

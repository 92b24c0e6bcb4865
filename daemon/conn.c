/* The socket of a peer, in the loop. Called by listener.c (a new peer), flight.c (the two ends of a flight's socketpair) and
 * whoever answers. Never looks into a message: dispatch.c does. */
#include "daemon/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>
#include <uv.h>

#include "daemon/daemon.h"
#include "daemon/dispatch.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/killpoint.h"
#include "lib/sock.h"

/* How long a descriptor the kernel would not pass on (too many of them in flight) waits before it is tried again. */
#define RETRY_MS 5
/* A thousand callers at once are through in a second or two; who cannot be given descriptors for so long asks again, and then does
 * better without. */
#define RETRIES_MS 3000

/* A parcel that has so many bytes takes no further frame. */
#define PARCEL_BYTES 4096

/* Frames that leave together; their descriptors go with the first byte. */
struct parcel {
	struct parcel *next, *prev;
	struct buf bytes;
	size_t sent;
	int fds[SC_FDS_MAX];
	size_t nfds;
};

struct wire {
	struct conn *conn;
	uv_poll_t poll;
	uv_timer_t retry;
	unsigned handles; /* still known to the loop */
	int fd;
	struct frames in;
	struct parcel *out;
	size_t queued;	     /* bytes in `out` */
	bool blocked;	     /* the socket took no more; the loop tells when it does */
	uint64_t retried_ms; /* since when the kernel would not pass descriptors on; 0: it does */
	bool closing;
	bool dirty;
	struct conn *next_dirty;
};

static void close_fds(const int *fds, size_t nfds)
{
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
}

static void parcel_free(struct wire *w, struct parcel *p)
{
	DL_DELETE(w->out, p);
	close_fds(p->fds, p->nfds);
	buf_release(&p->bytes);
	free(p);
}

static void drop_queue(struct wire *w)
{
	while (w->out)
		parcel_free(w, w->out);
	w->queued = 0;
}

static void on_poll(uv_poll_t *poll, int status, int events);
static void on_retry(uv_timer_t *timer);

static void set_blocked(struct wire *w, bool blocked)
{
	if (w->blocked == blocked)
		return;
	w->blocked = blocked;
	uv_poll_start(&w->poll, UV_READABLE | (blocked ? UV_WRITABLE : 0), on_poll);
}

/* Sends until the queue is empty or the kernel has had enough. */
static void flush(struct conn *c)
{
	struct wire *w = c->wire;

	while (w->out && !w->closing) {
		struct parcel *p = w->out;
		ssize_t n = sock_send(w->fd, p->bytes.data + p->sent, p->bytes.len - p->sent, p->fds, p->sent ? 0 : p->nfds);

		if (n == SC_EAGAIN && errno == EAGAIN) {
			set_blocked(w, true);
			return;
		}
		if (n == SC_EAGAIN) {
			/* Not the socket's fault, so its becoming writable would not tell: try again by time. */
			set_blocked(w, false);
			if (!w->retried_ms)
				w->retried_ms = clock_run_ms();
			if (clock_run_ms() - w->retried_ms >= RETRIES_MS) {
				conn_close(c, "cannot be given descriptors");
				return;
			}
			uv_timer_start(&w->retry, on_retry, RETRY_MS, 0);
			return;
		}
		if (n < 0) {
			/* What it sent before it went is still to be read; the end of file will close it. */
			drop_queue(w);
			break;
		}
		w->retried_ms = 0;
		p->sent += (size_t)n;
		w->queued -= (size_t)n;
		if (p->sent == p->bytes.len)
			parcel_free(w, p);
	}
	if (w->closing)
		return;
	set_blocked(w, false);
	if (!w->out && (c->state & (CONN_LISTING | CONN_WATCHING)) && !c->d->stopping)
		dispatch_drained(c);
}

static void make_dirty(struct conn *c)
{
	if (c->wire->dirty)
		return;
	c->wire->dirty = true;
	KILLPOINT("answer_queued");
	c->wire->next_dirty = c->d->dirty;
	c->d->dirty = c;
}

void conn_flush_all(struct daemon *d)
{
	while (d->dirty) {
		struct conn *c = d->dirty;

		d->dirty = c->wire->next_dirty;
		c->wire->dirty = false;
		flush(c);
	}
}

static void on_retry(uv_timer_t *timer)
{
	make_dirty(((struct wire *)timer->data)->conn);
}

void conn_pump(struct conn *c)
{
	struct wire *w = c->wire;

	while (!w->closing) {
		struct msg m;
		int fds[SC_FDS_MAX];
		size_t nfds = 0;
		int rc = frames_next(&w->in, &m, fds, &nfds);

		if (rc == 0) {
			dispatch(c, &m, fds, nfds);
			daemon_step(c->d);
			continue;
		}
		if (rc != SC_EAGAIN) {
			c->blameless = rc != SC_EPROTO;
			conn_close(c, rc == SC_EPROTO ? "bad frame" : "no memory");
			return;
		}
		rc = frames_fill(&w->in, w->fd);
		if (rc == SC_EAGAIN || (rc == SC_ESYS && errno == EINTR))
			return;
		if (rc) {
			c->blameless = rc == SC_ESYS || rc == SC_ENOMEM;
			conn_close(c, rc == SC_EEOF ? NULL : rc == SC_EPROTO ? "too many descriptors" : "read error");
			return;
		}
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct wire *w = poll->data;

	if (status < 0) {
		conn_close(w->conn, "poll error");
		return;
	}
	if (events & UV_WRITABLE)
		flush(w->conn);
	if (events & UV_READABLE)
		conn_pump(w->conn);
}

struct conn *conn_open(struct daemon *d, int fd, enum conn_state state)
{
	struct conn *c = calloc(1, sizeof *c);
	struct wire *w = calloc(1, sizeof *w);

	if (!c || !w || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || uv_poll_init(d->loop, &w->poll, fd) < 0) {
		free(c);
		free(w);
		close(fd);
		return NULL;
	}
	uv_timer_init(d->loop, &w->retry);
	w->poll.data = w;
	w->retry.data = w;
	w->handles = 2;
	w->fd = fd;
	w->conn = c;
	frames_init(&w->in);
	c->wire = w;
	c->d = d;
	c->state = state;
	c->opened_ms = clock_run_ms();
	DL_APPEND(d->conns, c);
	d->nconns++;
	uv_poll_start(&w->poll, UV_READABLE, on_poll);
	return c;
}

/* The parcel a message may still go into: not begun, without descriptors of its own if the message has some, because those of
 * one parcel are one row, and short, so that descriptors do not arrive long before their message. */
static struct parcel *open_parcel(struct wire *w, size_t nfds)
{
	struct parcel *p = w->out ? w->out->prev : NULL;

	if (p && p->sent == 0 && (p->nfds == 0 || nfds == 0) && p->bytes.len < PARCEL_BYTES)
		return p;
	p = calloc(1, sizeof *p);
	if (p) {
		buf_init(&p->bytes, SC_QUEUE_MAX + SC_FRAME_MAX + 4);
		DL_APPEND(w->out, p); /* NOLINT: a list that is not empty has a last element */
	}
	return p;
}

void conn_send(struct conn *c, const struct msg *m, const int *fds, size_t nfds)
{
	struct wire *w = c->wire;
	struct parcel *p;
	size_t before;

	if (w->closing) {
		close_fds(fds, nfds);
		return;
	}
	p = open_parcel(w, nfds);
	before = p ? p->bytes.len : 0;
	if (!p || msg_encode(&p->bytes, m) != 0) {
		close_fds(fds, nfds);
		conn_close(c, "no memory");
		return;
	}
	w->queued += p->bytes.len - before;
	for (size_t i = 0; i < nfds; i++)
		p->fds[i] = fds[i];
	if (nfds)
		p->nfds = nfds;
	make_dirty(c);
	if (w->queued > SC_QUEUE_MAX)
		conn_close(c, "does not read");
}

bool conn_is_drained(const struct conn *c)
{
	return !c->wire->out;
}

static void on_closed(uv_handle_t *h)
{
	struct wire *w = h->data;

	if (--w->handles > 0)
		return;
	close(w->fd);
	free(w->conn);
	free(w);
}

void conn_close(struct conn *c, const char *why)
{
	struct daemon *d = c->d;
	struct wire *w = c->wire;

	if (w->closing)
		return;
	w->closing = true;
	if (why)
		log_event(d->log, "dropped", "pid=%d why=\"%s\"", (int)c->pid, why);
	if (w->dirty) {
		struct conn **at = &d->dirty;

		while (*at != c)
			at = &(*at)->wire->next_dirty;
		*at = w->next_dirty;
	}
	DL_DELETE(d->conns, c);
	d->nconns--;
	dispatch_gone(c);
	drop_queue(w);
	frames_release(&w->in);
	uv_close((uv_handle_t *)&w->poll, on_closed);
	uv_close((uv_handle_t *)&w->retry, on_closed);
	daemon_reckon(d);
}

void conn_close_told(struct conn *c)
{
	flush(c);
	conn_close(c, NULL);
}

/* Timers and signals of the loop. Called by whoever needs a delay; never decides anything. */
#include "daemon/ticker.h"

#include <signal.h>
#include <stdlib.h>
#include <uv.h>

#include "daemon/daemon.h"

struct ticker {
	uv_timer_t timer;
	struct daemon *d;
	on_tick cb;
	void *arg;
};

struct signals {
	uv_signal_t term, interrupt;
	unsigned open;
};

static void on_timer(uv_timer_t *timer)
{
	struct ticker *t = timer->data;

	t->cb(t->d, t->arg);
}

struct ticker *ticker_new(struct daemon *d, on_tick cb, void *arg)
{
	struct ticker *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	uv_timer_init(d->loop, &t->timer);
	t->timer.data = t;
	t->d = d;
	t->cb = cb;
	t->arg = arg;
	return t;
}

void ticker_start(struct ticker *t, uint64_t ms)
{
	uv_timer_start(&t->timer, on_timer, ms, 0);
}

void ticker_stop(struct ticker *t)
{
	uv_timer_stop(&t->timer);
}

bool ticker_is_running(const struct ticker *t)
{
	return uv_is_active((const uv_handle_t *)&t->timer);
}

static void on_timer_closed(uv_handle_t *h)
{
	free(h->data);
}

void ticker_free(struct ticker *t)
{
	if (t)
		uv_close((uv_handle_t *)&t->timer, on_timer_closed);
}

static void on_signal(uv_signal_t *s, int number)
{
	struct daemon *d = uv_handle_get_data((uv_handle_t *)s);

	daemon_stop(d, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

struct signals *signals_start(struct daemon *d)
{
	struct signals *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	uv_signal_init(d->loop, &s->term);
	uv_signal_init(d->loop, &s->interrupt);
	s->term.data = d;
	s->interrupt.data = d;
	s->open = 2;
	uv_signal_start(&s->term, on_signal, SIGTERM);
	uv_signal_start(&s->interrupt, on_signal, SIGINT);
	return s;
}

static void on_signals_closed(uv_handle_t *h)
{
	struct signals *s = uv_handle_get_data(h);

	if (--s->open == 0)
		free(s);
}

void signals_stop(struct signals *s)
{
	if (!s)
		return;
	/* The daemon they spoke to is going; from here on they lead to their own memory. */
	s->term.data = s;
	s->interrupt.data = s;
	uv_close((uv_handle_t *)&s->term, on_signals_closed);
	uv_close((uv_handle_t *)&s->interrupt, on_signals_closed);
}

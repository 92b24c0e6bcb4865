/* The life of a daemon: what main.c does, and the small modules around it (ticker, clock, log). A daemon can be killed at every
 * step by which it touches the world; what it had in memory is then forgotten, what it had done stays done. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/conn.h"
#include "daemon/evict.h"
#include "daemon/flight.h"
#include "daemon/history.h"
#include "daemon/key.h"
#include "daemon/lease.h"
#include "daemon/stats.h"
#include "daemon/ticker.h"
#include "daemon/upkeep.h"
#include "daemon/watch.h"
#include "lib/build.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/lockfile.h"
#include "tests/sim/check.h"
#include "tests/sim/world.h"

#define TICKERS 16
/* More steps than any turn of so few peers needs. */
#define FUSE 20000
#define BOOT_MS 1000000
#define WALL_MS 1700000000000

struct life life;

struct ticker {
	bool used;
	struct daemon *d;
	on_tick cb;
	void *arg;
	struct alarm alarm;
};

static struct ticker tickers[TICKERS];

/* ---- turns ---- */

void daemon_point(void)
{
	if (!life.in_turn)
		return;
	if (++life.fuse > FUSE)
		sim_fail("the daemon goes round in circles");
	if (life.die_in && --life.die_in == 0)
		longjmp(life.turn, 1);
}

static void forget_all(void)
{
	life.in_turn = false;
	life.proc.alive = life.listening = life.stop_wanted = false;
	life.die_in = 0;
	alarm_clear(&life.start);
	for (struct ticker *t = tickers; t < tickers + TICKERS; t++) {
		alarm_clear(&t->alarm);
		t->used = false;
	}
}

static void die(const char *how)
{
	trace("daemon %u is %s", life.proc.number, how);
	forget_all();
	world.orphans = true;
	index_die();
	conns_die();
	fds_close_all();
	memory_forget();
	orphans_die();
	check_daemon_gone();
}

static void finish(void *arg);

void daemon_turn(void (*fn)(void *arg), void *arg)
{
	life.in_turn = true;
	life.fuse = 0;
	if (setjmp(life.turn)) {
		life.in_turn = false;
		check_turn(true);
		die("killed in the middle of something");
		return;
	}
	fn(arg);
	if (life.listening)
		conn_flush_all(&life.d);
	conns_bury();
	life.in_turn = false;
	check_turn(false);
	if (life.stop_wanted)
		daemon_turn(finish, NULL);
}

/* ---- main.c ---- */

static void start(void *arg)
{
	static struct lockfile lock = {.fd = -1}; /* of which nobody doubts */
	struct daemon *d = &life.d;

	(void)arg;
	memset(d, 0, sizeof *d);
	d->lock = &lock;
	d->place.dir_fd = -1;
	config_init(&d->config);
	d->config.idle_exit_ms = SC_FOREVER;
	d->config.limits = (struct limits){.max_size = SC_FOREVER, .max_files = SC_FOREVER, .max_entry = SC_FOREVER};
	d->started_ms = clock_now().boot_ms;
	d->index = index_new();
	d->order = index_order(d->index);
	if (stats_open(d) || watch_open(d) || history_open(d) || leases_open(d) || flights_open(d) || evict_open(d))
		life.stop_wanted = true;
	else
		life.listening = true;
}

static void on_start(void *arg)
{
	(void)arg;
	life.proc = (struct proc){.what = "daemon", .number = life.proc.number + 1, .alive = true};
	life.born = sim.now;
	life.found = false;
	trace("daemon %u starts", life.proc.number);
	daemon_turn(start, NULL);
}

void daemon_want(void)
{
	if (!life.proc.alive && !life.start.pos)
		alarm_set(&life.start, 1 + late());
}

void daemon_kill(void)
{
	if (life.proc.alive)
		die("killed");
}

void daemon_quit(void)
{
	if (!life.proc.alive)
		return;
	life.stop_wanted = false;
	daemon_turn(finish, NULL);
}

static void finish(void *arg)
{
	struct daemon *d = &life.d;
	struct conn *c, *next;

	(void)arg;
	trace("daemon %u stops", life.proc.number);
	life.stop_wanted = false;
	d->stopping = true;
	index_close(d->index);
	conn_flush_all(d);
	life.listening = false;
	for (c = d->conns; c; c = next) {
		next = c->next;
		conn_close(c, NULL);
	}
	flights_close(d);
	leases_close(d);
	keys_forget_all(d);
	evict_close(d);
	stats_close(d);
	watch_close(d);
	history_close(d);
	conns_bury();
	forget_all();
	conns_die(); /* only those not accepted are left */
	orphans_die();
	check_daemon_stopped();
}

void daemon_begin(void)
{
	memory_forget();
	conns_forget();
	fds_forget();
	index_forget();
	memset(&life, 0, sizeof life);
	memset(tickers, 0, sizeof tickers);
	alarm_init(&life.start, on_start, NULL);
}

void daemon_reckon(struct daemon *d)
{
	if (d->stopping || !d->draining || d->drain)
		return;
	d->draining = false;
	daemon_stop(d, "its flights have ended");
}

void daemon_stop(struct daemon *d, const char *why)
{
	(void)d;
	trace("daemon %u is to stop: %s", life.proc.number, why);
	life.stop_wanted = true;
}

void daemon_owe(struct daemon *d)
{
	d->nwaiting++;
}

void daemon_paid(struct daemon *d)
{
	if (d->nwaiting-- == 0)
		sim_fail("the daemon has paid more answers than it owed");
}

void daemon_step(struct daemon *d)
{
	(void)d;
	daemon_point();
}

void daemon_arm_expiry(struct daemon *d)
{
	(void)d;
}

int upkeep_walk(struct upkeep *u, bool only_look, upkeep_walked done, void *arg)
{
	(void)u, (void)only_look, (void)done, (void)arg;
	return SC_EBUSY;
}

/* ---- ticker, clock, log ---- */

static void ring(void *arg)
{
	struct ticker *t = arg;

	t->cb(t->d, t->arg);
}

static void on_ring(void *arg)
{
	struct ticker *t = arg;
	uint64_t pause = proc_pause(&life.proc);

	if (pause)
		alarm_set(&t->alarm, pause + late());
	else
		daemon_turn(ring, t);
}

struct ticker *ticker_new(struct daemon *d, on_tick cb, void *arg)
{
	struct ticker *t = tickers;

	while (t->used)
		if (++t == tickers + TICKERS)
			sim_fail("the daemon has more than %d tickers", TICKERS);
	*t = (struct ticker){.used = true, .d = d, .cb = cb, .arg = arg};
	alarm_init(&t->alarm, on_ring, t);
	return t;
}

void ticker_start(struct ticker *t, uint64_t ms)
{
	alarm_set(&t->alarm, ms + late());
}

void ticker_stop(struct ticker *t)
{
	alarm_clear(&t->alarm);
}

bool ticker_is_running(const struct ticker *t)
{
	return t->alarm.pos;
}

void ticker_free(struct ticker *t)
{
	if (!t)
		return;
	alarm_clear(&t->alarm);
	t->used = false;
}

struct now clock_now(void)
{
	return (struct now){.boot_ms = BOOT_MS + sim.now, .wall_ms = WALL_MS + sim.now};
}

uint64_t clock_run_ms(void)
{
	return BOOT_MS + sim.now;
}

void log_event(struct log *l, const char *event, const char *fmt, ...)
{
	char text[160];
	va_list args;

	(void)l;
	daemon_point();
	if (!sim.tracing)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	trace("log: %s %s", event, text);
}

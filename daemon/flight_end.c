/* The end of a run: with its writer's word (committed, failed, not to be kept) or without (lost, cancelled). In this order: what
 * is left of the command is dead; the index has the row, and the flight's file is gone; the flight is out of the tables; only
 * then the page says so and waiters are asked again, so that nobody who is woken meets a run that is over. Called by dispatch.c
 * (what a writer says, its end) and flight_table.c (those that do not come back). */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utlist.h>

#include "daemon/evict.h"
#include "daemon/flight_parts.h"
#include "daemon/flightfile.h"
#include "daemon/hot.h"
#include "daemon/index.h"
#include "daemon/ticker.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/object.h"

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1UL << 2)
#endif

/* How often a command that was killed is looked at, and for how long: what the kernel keeps longer (in a broken disk's sleep)
 * prints nothing any more. */
#define DYING_CHECK_MS 2
#define DYING_MS 2000
/* The rest of its group was killed with it and needs no longer than this; what can be seen of it then are zombies that nobody
 * waits for. */
#define DYING_GROUP_MS 10

struct key *flight_take_out(struct flight *f)
{
	struct key *k = f->key;

	DL_DELETE(k->flights, f);
	f->key = NULL;
	f->d->flights->count--;
	if (f->drain)
		f->d->drain--;
	f->drain = false;
	return k;
}

void flight_discard(struct daemon *d, const struct gen *g)
{
	/* No memory: the objects stay for the walk, but nobody waits for a dead run. */
	if (index_discard(d->index, g, NULL, NULL))
		flightfile_unlink(d->place.dir_fd, g);
}

/* ---- without its writer's word ---- */

/* Of a run without an end: who read it and can lead may ask again in a moment; those that cannot wait for that. */
static void name_heirs(struct flight *f)
{
	if (f->end == PAGE_COMPLETE || f->end == PAGE_FAILED)
		return;
	for (struct conn *c = f->readers; c; c = c->reads_next)
		key_add_heir(f->key, c);
}

/* The entry that was to be renewed stays as it is, and is served; not everybody who is served starts the next try. One
 * that is not to be kept has renewed nothing, however well it ended. */
static void note_renewal(struct flight *f, bool renewed)
{
	if (f->renewal && !renewed && !f->doomed)
		key_remember(f->d, f->key, MEMO_QUIET, 1, clock_run_ms());
}

/* Readers of a run that was awaited: its page would have come with its writer, so this is the only way to tell them. */
static void tell_readers(struct flight *f)
{
	struct msg m = {.type = MSG_LOST, .gen = f->gen};

	for (struct conn *c = f->readers; c; c = c->reads_next)
		conn_send(c, &m, NULL, 0);
}

static void end_unfinished(struct flight *f)
{
	struct daemon *d = f->d;
	struct key *k;

	name_heirs(f);
	note_renewal(f, false);
	flight_set_state(f, FLIGHT_SETTLED, f->end == PAGE_LOST ? "lost" : "cancelled");
	k = flight_take_out(f);
	flight_tell(f, f->end == PAGE_LOST ? EVENT_LOST : EVENT_CANCEL, 0, 0);
	flight_close_objects(f);
	flight_discard(d, &f->gen);
	KILLPOINT("before_lost");
	if (f->page)
		page_end(f->page, f->end, 0, 0);
	else
		tell_readers(f);
	KILLPOINT("lost_published");
	flight_free(f);
	key_changed(d, k);
	daemon_reckon(d);
	daemon_step(d);
}

/* The command's whole group, through the descriptor its writer gave us; never by number. An old kernel signals the command
 * alone; and where the group is its caller's, it is all there is to signal. */
static long signal_command(const struct flight *f, int sig)
{
	long rc = syscall(SYS_pidfd_send_signal, f->pidfd, sig, NULL, f->foreground ? 0 : PIDFD_SIGNAL_PROCESS_GROUP);

	if (rc < 0 && errno == EINVAL)
		rc = syscall(SYS_pidfd_send_signal, f->pidfd, sig, NULL, 0);
	return rc;
}

static bool is_dead(const struct flight *f, uint64_t now)
{
	struct pollfd p = {.fd = f->pidfd, .events = POLLIN};
	uint64_t passed = now - f->dying_since_ms;

	if (f->pidfd < 0 || passed >= DYING_MS)
		return true;
	if (signal_command(f, 0) < 0 && errno == ESRCH)
		return true;
	return passed >= DYING_GROUP_MS && poll(&p, 1, 0) > 0;
}

void flight_end_unfinished(struct flight *f, enum page_state end, const char *why)
{
	f->end = end;
	f->dying_since_ms = clock_run_ms();
	if (f->pidfd >= 0)
		signal_command(f, SIGKILL);
	KILLPOINT("command_killed");
	if (is_dead(f, f->dying_since_ms)) {
		end_unfinished(f);
		return;
	}
	flight_set_state(f, FLIGHT_DYING, why);
	ticker_start(f->d->flights->dying, DYING_CHECK_MS);
}

static struct flight *find_dead(struct daemon *d, uint64_t now, bool *dying)
{
	struct flight *f, *next;

	*dying = false;
	HASH_ITER (hh, d->flights->by_gen, f, next) {
		if (f->state != FLIGHT_DYING)
			continue;
		if (is_dead(f, now))
			return f;
		*dying = true;
	}
	return NULL;
}

void flights_on_dying(struct daemon *d, void *arg)
{
	struct flight *f;
	bool dying;

	(void)arg;
	/* One at a time, from the beginning: what an end sets off may take others out of the table. */
	while ((f = find_dead(d, clock_run_ms(), &dying)))
		end_unfinished(f);
	if (dying)
		ticker_start(d->flights->dying, DYING_CHECK_MS);
}

/* ---- with it ---- */

static void tell_end(struct flight *f, bool committed, enum unkept unkept)
{
	/* Not to be kept for no reason of its own: it ended well in the moment in which it was being stopped. */
	if (f->end == PAGE_CANCELLED || (f->end == PAGE_COMPLETE && !committed && !unkept))
		flight_tell(f, EVENT_CANCEL, f->given_up ? CANCEL_PUT : 0u, 0);
	else if (f->end == PAGE_FAILED)
		flight_tell(f, EVENT_FAIL, 0, committed ? EVENT_KEPT : 0u);
	else if (committed)
		flight_tell(f, EVENT_COMMIT, 0, 0);
	else
		flight_tell(f, EVENT_END, unkept, 0);
}

/* The run has its result and, where it was kept, its row, and its file has gone: out of the tables, then the answer. */
static void settle(struct flight *f, unsigned how, enum unkept unkept, const char *why)
{
	struct daemon *d = f->d;
	struct msg m = {.type = MSG_SETTLED, .gen = f->gen, .flags = how};
	struct key *k;

	name_heirs(f);
	note_renewal(f, f->end == PAGE_COMPLETE && f->ttl_ms > 0 && how != 0);
	flight_set_state(f, FLIGHT_SETTLED, why);
	k = flight_take_out(f);
	tell_end(f, how & SETTLED_COMMITTED, unkept);
	KILLPOINT("before_settle");
	if (!(how & SETTLED_COMMITTED))
		flight_discard(d, &f->gen);
	KILLPOINT("flight_settled");
	if (f->writer) {
		conn_send(f->writer, &m, NULL, 0);
	} else {
		page_end(f->page, f->end, f->exit, f->signal);
		flight_free(f);
	}
	key_changed(d, k);
	daemon_reckon(d);
	daemon_step(d);
}

static bool has_size(int fd, uint64_t len)
{
	off_t size = lseek(fd, 0, SEEK_END);

	return size >= 0 && (uint64_t)size == len;
}

static bool is_whole(const struct flight *f, const struct msg *m)
{
	return has_size(f->out_fd, m->out_size) && has_size(f->err_fd, m->err_size);
}

/* The command has ended well, and yet there will be no entry: who began it tells a person why. */
static void settle_unkept(struct flight *f, int error, const char *why)
{
	f->error = error > 0 ? error : EIO;
	page_set_unkept(f->page, f->error);
	settle(f, 0, UNKEPT_STORE, why);
}

/* Whatever failed before: this did not. */
static void note_kept(struct flight *f)
{
	key_forget(f->d, flight_bucket(f), flight_key(f), MEMO_UNKEPT);
	if (f->end == PAGE_COMPLETE)
		key_forget(f->d, flight_bucket(f), flight_key(f), MEMO_QUIET);
}

static void on_committed(void *arg, int status, uint64_t changed)
{
	struct flight *f = arg;
	struct daemon *d = f->d; /* settling may free the flight */
	char bucket[sizeof f->bucket];
	int error = errno;

	if (status)
		log_event(d->log, "commit-failed", "why=\"%s\"", sc_strerror(status));
	else
		note_kept(f);
	if (!status && changed)
		hot_replaced(d, flight_bucket(f), flight_key(f), f->end == PAGE_FAILED, &f->gen);
	memcpy(bucket, f->bucket, sizeof bucket);
	if (status)
		settle_unkept(f, status == SC_ESYS ? error : status == SC_ENOMEM ? ENOMEM : EIO, "commit failed");
	else if (changed)
		settle(f, SETTLED_COMMITTED, 0, "committed");
	else
		settle(f, SETTLED_OVERTAKEN, UNKEPT_NEWER, "a newer one is there");
	daemon_arm_expiry(d);
	evict_look(d, bucket);
}

static int commit(struct flight *f, const struct msg *m)
{
	struct now now = clock_now();
	struct entry e = {.gen = f->gen,
			  .key_len = f->key_len,
			  .order = f->order,
			  .failed = f->end == PAGE_FAILED,
			  .exit = f->exit,
			  .signal = f->signal,
			  .out_len = m->out_len,
			  .err_len = m->err_len,
			  .out_size = m->out_size,
			  .err_size = m->err_size,
			  .sealed = f->sealed,
			  .created_wall_ms = now.wall_ms,
			  .created_boot_ms = now.boot_ms,
			  .ttl_ms = f->end == PAGE_FAILED ? f->keep_ms : f->ttl_ms,
			  .stale_ms = f->end == PAGE_FAILED ? 0 : f->stale_ms,
			  .took_ms = flight_age(f),
			  .shown_len = f->shown.len};

	memcpy(e.bucket, f->bucket, sizeof e.bucket);
	memcpy(e.tags, f->tags, sizeof e.tags);
	memcpy(e.command, f->command, sizeof e.command);
	if (f->shown.len)
		memcpy(e.shown, f->shown.data, f->shown.len);
	memcpy(e.key, f->key_bytes, f->key_len);
	memcpy(e.out_sum, m->out_sum.p, SC_SUM_SIZE);
	memcpy(e.err_sum, m->err_sum.p, SC_SUM_SIZE);
	memcpy(e.boot_id, f->d->boot_id, sizeof e.boot_id);
	KILLPOINT("before_commit_queued");
	return index_commit(f->d->index, &e, on_committed, f);
}

/* A failure may be kept, but not that there was no command to run. */
static bool is_to_be_kept(const struct flight *f)
{
	if (f->end == PAGE_COMPLETE)
		return f->ttl_ms > 0;
	return f->end == PAGE_FAILED && f->keep_ms > 0 && (f->signal || (f->exit != 126 && f->exit != 127));
}

void flight_done(struct flight *f, const struct msg *m)
{
	bool good = m->outcome == OUTCOME_ENDED && m->exit == 0 && m->signal == 0, whole;

	if (f->state == FLIGHT_COMMITTING || f->state == FLIGHT_SETTLED)
		return; /* said twice: the answer is under way */
	KILLPOINT("done_taken");
	whole = is_whole(f, m);
	flight_close_objects(f);
	f->end_out = m->out_len;
	f->end_err = m->err_len;
	f->exit = (uint32_t)m->exit;
	f->signal = (uint32_t)m->signal;
	f->given_up = m->outcome == OUTCOME_GIVEN_UP;
	f->end = m->outcome == OUTCOME_CANCELLED || f->given_up ? PAGE_CANCELLED : good ? PAGE_COMPLETE : PAGE_FAILED;
	/* It may have ended before it could say so: the next one would share what cannot be kept. */
	if (m->error && !f->streaming) {
		flight_become_streaming(f, (int)m->error);
		evict_look(f->d, f->bucket);
	}
	if (f->state == FLIGHT_STOPPING || f->end == PAGE_CANCELLED || (!good && !is_to_be_kept(f))) {
		settle(f, 0, 0, good ? "nobody reads" : "failed");
	} else if (f->streaming) {
		settle(f, 0, UNKEPT_STORE, "could not be stored");
	} else if (f->doomed || !is_to_be_kept(f)) {
		settle(f, SETTLED_OVERTAKEN, f->doomed ? UNKEPT_DOOMED : UNKEPT_TTL, f->doomed ? "doomed" : "not to be kept");
	} else if (!whole) {
		settle_unkept(f, EIO, "object and report differ");
	} else {
		flight_set_state(f, FLIGHT_COMMITTING, good ? "ended well" : "failed, to be kept");
		if (commit(f, m))
			settle_unkept(f, ENOMEM, "no memory");
	}
}

/* We could not hear a writer that lives, so it shall say again what it has to say. */
static bool may_come_back(const struct flight *f, const struct conn *c)
{
	return c->blameless && (f->state == FLIGHT_RUNNING || f->state == FLIGHT_STOPPING) &&
	       flightfile_is_locked(f->d->place.dir_fd, &f->gen);
}

void flight_writer_gone(struct conn *c)
{
	struct flight *f = c->leads;

	c->leads = NULL;
	f->writer = NULL;
	if (f->d->stopping)
		return; /* it goes on, and registers with the next daemon */
	if (may_come_back(f, c)) {
		flight_await(f, "not to be heard");
		return;
	}
	switch (f->state) {
	case FLIGHT_AWAITED:
	case FLIGHT_DYING:
		BUG("a writer of a flight that has none");
	case FLIGHT_RUNNING:
		flight_end_unfinished(f, PAGE_LOST, "lost");
		break;
	case FLIGHT_STOPPING:
		flight_end_unfinished(f, PAGE_CANCELLED, "cancelled");
		break;
	case FLIGHT_COMMITTING:
		break; /* the index answers; then we publish */
	case FLIGHT_SETTLED:
		page_end(f->page, f->end, f->exit, f->signal);
		flight_free(f);
		break;
	}
}

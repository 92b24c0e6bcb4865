/* The life of a run, from LEAD to the writer's last word. Called by answer.c (join), dispatch.c (what peers say) and the other
 * files of a flight. Never looks into an object and never signals by number. */
#include "daemon/flight_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utlist.h>

#include "daemon/flightfile.h"
#include "daemon/index.h"
#include "daemon/ticker.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/object.h"

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1UL << 2)
#endif

static const char *const state_names[] = {
	[FLIGHT_AWAITED] = "awaited",	    [FLIGHT_RUNNING] = "running", [FLIGHT_STOPPING] = "stopping",
	[FLIGHT_COMMITTING] = "committing", [FLIGHT_SETTLED] = "settled",
};

/* ---- states ---- */

void flight_set_state(struct flight *f, enum flight_state to, const char *why)
{
	struct flights *fs = f->d->flights;
	char hex[SC_GEN_HEX];

	gen_format(&f->gen, hex);
	log_event(f->d->log, "flight", "gen=%s from=%s to=%s why=\"%s\"", hex, state_names[f->state], state_names[to], why);
	if (f->state == FLIGHT_AWAITED && to != FLIGHT_AWAITED)
		fs->awaited--;
	f->state = to;
}

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

static void close_if_open(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void flight_free(struct flight *f)
{
	struct conn *c, *next;

	DL_FOREACH_SAFE2(f->readers, c, next, reads_next)
	{
		DL_DELETE2(f->readers, c, reads_prev, reads_next);
		c->reads = NULL;
	}
	if (f->writer)
		f->writer->leads = NULL;
	HASH_DEL(f->d->flights->by_gen, f);
	page_free(f->page);
	close_if_open(&f->pidfd);
	close_if_open(&f->out_fd);
	close_if_open(&f->err_fd);
	free(f);
}

struct flight *flight_new(struct daemon *d, const struct flightfile *file)
{
	struct flight *f = calloc(1, sizeof *f + file->key_len);
	struct bytes bucket = bytes_of(file->bucket), key = {file->key, file->key_len};

	if (!f)
		return NULL;
	f->key = key_get(d, bucket, key);
	if (!f->key) {
		free(f);
		return NULL;
	}
	f->d = d;
	f->gen = file->gen;
	f->order = file->order;
	memcpy(f->bucket, file->bucket, sizeof f->bucket);
	f->key_len = file->key_len;
	memcpy(f->key_bytes, file->key, file->key_len);
	f->doomed = file->doomed;
	f->finish = file->finish;
	f->ttl_ms = file->ttl_ms;
	f->created_wall_ms = file->created_wall_ms;
	f->out_fd = f->err_fd = f->pidfd = -1;
	DL_APPEND(f->key->flights, f);
	HASH_ADD(hh, d->flights->by_gen, gen, sizeof f->gen, f);
	d->flights->count++;
	return f;
}

/* The command's whole group, through the descriptor its writer gave us; never by number. An old kernel signals the command
 * alone. */
static void kill_command(struct flight *f)
{
	if (f->pidfd < 0)
		return;
	if (syscall(SYS_pidfd_send_signal, f->pidfd, SIGKILL, NULL, PIDFD_SIGNAL_PROCESS_GROUP) < 0 && errno == EINVAL)
		syscall(SYS_pidfd_send_signal, f->pidfd, SIGKILL, NULL, 0);
}

struct discarded {
	struct daemon *d;
	struct gen gen;
};

static void on_discarded(void *arg, int status, uint64_t changed)
{
	struct discarded *x = arg;

	(void)status, (void)changed;
	flightfile_unlink(x->d->place.dir_fd, &x->gen);
	free(x);
}

void flight_discard(struct daemon *d, const struct gen *g)
{
	struct discarded *x = malloc(sizeof *x);

	if (x) {
		*x = (struct discarded){d, *g};
		if (index_discard(d->index, g, on_discarded, x) == 0)
			return;
	}
	/* No memory: the objects stay for the walk, but nobody waits for a dead run. */
	free(x);
	flightfile_unlink(d->place.dir_fd, g);
}

/* Those that came back to a run whose page has not: they ask once more, and hear that it is lost. */
static void send_readers_away(struct flight *f)
{
	for (struct conn *c = f->readers, *next; c; c = next) {
		next = c->reads_next;
		conn_close(c, NULL);
	}
}

void flight_end_unfinished(struct flight *f, enum page_state end, const char *why)
{
	struct daemon *d = f->d;
	struct key *k;

	kill_command(f);
	flight_set_state(f, FLIGHT_SETTLED, why);
	k = flight_take_out(f);
	flight_discard(d, &f->gen);
	if (f->page)
		page_end(f->page, end, 0, 0);
	else
		send_readers_away(f);
	flight_free(f);
	key_changed(d, k);
	daemon_reckon(d);
}

/* The run has its result and, where it was kept, its row: out of the tables, file away, then the answer. */
static void settle(struct flight *f, bool committed, const char *why)
{
	struct daemon *d = f->d;
	struct msg m = {.type = MSG_SETTLED, .gen = f->gen, .flags = committed};
	struct key *k;

	flight_set_state(f, FLIGHT_SETTLED, why);
	k = flight_take_out(f);
	if (committed)
		flightfile_unlink(d->place.dir_fd, &f->gen);
	else
		flight_discard(d, &f->gen);
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

/* ---- joining, leaving ---- */

int flight_dup_fd(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

void flight_add_reader(struct flight *f, struct conn *c)
{
	DL_APPEND2(f->readers, c, reads_prev, reads_next);
	f->nreaders++;
	f->told_lonely = false;
	c->reads = f;
	c->state = CONN_READING;
}

void flight_tell_lonely(struct flight *f)
{
	struct msg m = {.type = MSG_LONELY, .gen = f->gen, .signal = f->leave_signal};

	if (f->nreaders || f->finish || f->told_lonely || f->state != FLIGHT_RUNNING || !f->writer)
		return;
	f->told_lonely = true;
	conn_send(f->writer, &m, NULL, 0);
	/* It may be asleep on the page, waiting for a reader. */
	page_poke(f->page);
}

static void mark_finish(struct flight *f)
{
	if (f->finish)
		return;
	f->finish = true;
	flightfile_mark(f->d->place.dir_fd, &f->gen, MARK_FINISH);
}

int flight_join(struct flight *f, struct conn *c, bool finish)
{
	struct msg m = {.type = MSG_FOLLOW, .gen = f->gen, .order = f->order};
	int fds[3] = {-1, -1, -1}, rc;
	uint64_t size, now = clock_now().wall_ms;

	rc = object_open(f->d->place.dir_fd, &f->gen, STREAM_OUT, &fds[0], &size);
	if (rc == 0)
		rc = object_open(f->d->place.dir_fd, &f->gen, STREAM_ERR, &fds[1], &size);
	if (rc == 0) {
		fds[2] = flight_dup_fd(page_fd(f->page));
		rc = fds[2] < 0 ? SC_ESYS : 0;
	}
	if (rc) {
		for (int i = 0; i < 3; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		return rc;
	}
	if (finish)
		mark_finish(f);
	flight_add_reader(f, c);
	m.slot = f->next_slot++ % SC_SLOTS;
	m.age = now > f->created_wall_ms ? now - f->created_wall_ms : 0;
	conn_send(c, &m, fds, 3);
	return 0;
}

void flight_attach(struct flight *f, struct conn *c)
{
	flight_add_reader(f, c);
}

unsigned flight_leave(struct conn *c, unsigned signal, bool *stopping)
{
	struct flight *f = c->reads;

	*stopping = false;
	if (!f)
		return 0;
	DL_DELETE2(f->readers, c, reads_prev, reads_next);
	c->reads = NULL;
	f->nreaders--;
	if (f->nreaders)
		return f->nreaders;
	if (f->d->stopping)
		return 0;
	f->leave_signal = signal;
	*stopping = !f->finish && (f->state == FLIGHT_RUNNING || f->state == FLIGHT_STOPPING);
	flight_tell_lonely(f);
	return 0;
}

bool flight_is_last(const struct conn *c)
{
	return c->reads && c->reads->nreaders == 1 && !c->reads->finish;
}

void flight_doom(struct flight *f)
{
	if (f->doomed)
		return;
	f->doomed = true;
	flightfile_mark(f->d->place.dir_fd, &f->gen, MARK_DOOMED);
}

unsigned flights_doom(struct daemon *d, struct bytes bucket, struct bytes key)
{
	struct key *k = key_find(d, bucket, key);
	struct flight *f;
	unsigned n = 0;

	if (!k)
		return 0;
	DL_FOREACH (k->flights, f) {
		n += !f->doomed;
		flight_doom(f);
	}
	key_changed(d, k);
	return n;
}

/* ---- what a writer says ---- */

static int prove_object(struct flight *f, enum stream s, int theirs, int *ours)
{
	uint64_t size;
	int rc = object_open(f->d->place.dir_fd, &f->gen, s, ours, &size);

	return rc ? rc : object_same(*ours, theirs);
}

int flight_register(struct flight *f, struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct msg answer = {.type = MSG_REGISTERED, .gen = f->gen, .flags = f->finish};
	int rc = page_map(&f->page, fds[0], &f->gen);

	fds[0] = -1;
	if (rc == 0)
		rc = prove_object(f, STREAM_OUT, fds[1], &f->out_fd);
	if (rc == 0)
		rc = prove_object(f, STREAM_ERR, fds[2], &f->err_fd);
	if (rc) {
		page_free(f->page);
		f->page = NULL;
		close_if_open(&f->out_fd);
		close_if_open(&f->err_fd);
		return rc;
	}
	if (nfds > 3) {
		f->pidfd = fds[3];
		f->pid = m->pid;
		fds[3] = -1;
	}
	f->writer = c;
	c->leads = f;
	c->state = CONN_WRITING;
	flight_set_state(f, m->flags & REGISTER_STOPPING ? FLIGHT_STOPPING : FLIGHT_RUNNING, "registered");
	conn_send(c, &answer, NULL, 0);
	/* Its readers come back within the bound of their sleep; then it is told if none did. */
	ticker_start(f->d->flights->census, 2 * SC_PAGE_WAIT_MS);
	if (f->key)
		key_changed(f->d, f->key);
	return 0;
}

void flight_started(struct flight *f, int pidfd, uint64_t pid)
{
	close_if_open(&f->pidfd);
	f->pidfd = pidfd;
	f->pid = pid;
}

static bool is_whole(int fd, uint64_t len)
{
	off_t size = lseek(fd, 0, SEEK_END);

	return size >= 0 && (uint64_t)size == len;
}

static void on_committed(void *arg, int status, uint64_t changed)
{
	struct flight *f = arg;
	struct daemon *d = f->d; /* settling may free the flight */

	if (status)
		log_event(d->log, "commit-failed", "why=\"%s\"", sc_strerror(status));
	settle(f, status == 0 && changed, status ? "commit failed" : changed ? "committed" : "a newer one is there");
	daemon_arm_expiry(d);
}

static int commit(struct flight *f, const struct msg *m)
{
	struct now now = clock_now();
	struct entry e = {.gen = f->gen,
			  .key_len = f->key_len,
			  .order = f->order,
			  .exit = f->exit,
			  .signal = f->signal,
			  .out_len = m->out_len,
			  .err_len = m->err_len,
			  .created_wall_ms = now.wall_ms,
			  .created_boot_ms = now.boot_ms,
			  .ttl_ms = f->ttl_ms};

	memcpy(e.bucket, f->bucket, sizeof e.bucket);
	memcpy(e.key, f->key_bytes, f->key_len);
	memcpy(e.out_sum, m->out_sum.p, SC_SUM_SIZE);
	memcpy(e.err_sum, m->err_sum.p, SC_SUM_SIZE);
	memcpy(e.boot_id, f->d->boot_id, sizeof e.boot_id);
	return index_commit(f->d->index, &e, on_committed, f);
}

void flight_done(struct flight *f, const struct msg *m)
{
	bool good = m->outcome == OUTCOME_ENDED && m->exit == 0 && m->signal == 0;

	if (f->state == FLIGHT_COMMITTING || f->state == FLIGHT_SETTLED)
		return; /* said twice: the answer is under way */
	f->exit = (uint32_t)m->exit;
	f->signal = (uint32_t)m->signal;
	f->end = m->outcome == OUTCOME_CANCELLED ? PAGE_CANCELLED
		 : m->outcome == OUTCOME_BROKEN	 ? PAGE_LOST
		 : good				 ? PAGE_COMPLETE
						 : PAGE_FAILED;
	if (!good || f->state == FLIGHT_STOPPING) {
		settle(f, false, m->outcome == OUTCOME_BROKEN ? "could not be stored" : good ? "nobody reads" : "failed");
	} else if (f->doomed || f->ttl_ms == 0) {
		settle(f, false, f->doomed ? "doomed" : "not to be kept");
	} else if (!is_whole(f->out_fd, m->out_len) || !is_whole(f->err_fd, m->err_len)) {
		settle(f, false, "object and report differ");
	} else {
		flight_set_state(f, FLIGHT_COMMITTING, "ended well");
		if (commit(f, m))
			settle(f, false, "no memory");
	}
}

void flight_may_stop(struct flight *f)
{
	bool stop = f->state == FLIGHT_RUNNING && f->nreaders == 0 && !f->finish;
	struct msg m = {.type = MSG_VERDICT, .gen = f->gen, .flags = stop, .signal = f->leave_signal};

	f->told_lonely = false;
	if (stop)
		flight_set_state(f, FLIGHT_STOPPING, "nobody reads");
	conn_send(f->writer, &m, NULL, 0);
}

void flight_writer_gone(struct conn *c)
{
	struct flight *f = c->leads;

	c->leads = NULL;
	f->writer = NULL;
	if (f->d->stopping)
		return; /* it goes on, and registers with the next daemon */
	switch (f->state) {
	case FLIGHT_AWAITED:
		BUG("a writer of an awaited flight");
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

/* The life of a run, from LEAD to the writer's last word. Called by answer.c (join), dispatch.c (what peers say) and the other
 * files of a flight. Never looks into an object and never signals by number. */
#include "daemon/cmdline.h"
#include "daemon/flight_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utlist.h>

#include "daemon/evict.h"
#include "daemon/flightfile.h"
#include "daemon/index.h"
#include "daemon/nesting.h"
#include "daemon/ticker.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/object.h"
#include "lib/tags.h"

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1UL << 2)
#endif

static const char *const state_names[] = {
	[FLIGHT_AWAITED] = "awaited",	    [FLIGHT_RUNNING] = "running", [FLIGHT_STOPPING] = "stopping",
	[FLIGHT_COMMITTING] = "committing", [FLIGHT_DYING] = "dying",	  [FLIGHT_SETTLED] = "settled",
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

void flight_tell(struct flight *f, enum event_kind kind, unsigned reason, unsigned flags)
{
	struct event e = {.kind = kind,
			  .bucket = flight_bucket(f),
			  .key = flight_key(f),
			  .gen = f->gen,
			  .order = f->order,
			  .exit = f->exit,
			  .signal = f->signal,
			  .out_len = f->end_out,
			  .err_len = f->end_err,
			  .ttl_ms = kind == EVENT_COMMIT ? f->ttl_ms : SC_FOREVER,
			  .reason = reason,
			  .flags = flags,
			  .error = f->error,
			  .sealed = is_sealed(&f->sealed)};

	event_tell(f->d, &e);
}

static void close_if_open(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void flight_close_objects(struct flight *f)
{
	close_if_open(&f->out_fd);
	close_if_open(&f->err_fd);
}

void flight_let_go(struct flight *f)
{
	page_free(f->page);
	f->page = NULL;
	flight_close_objects(f);
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
	nesting_unlearn(f);
	flight_let_go(f);
	close_if_open(&f->pidfd);
	buf_release(&f->shown);
	free(f);
}

struct flight *flight_new(struct daemon *d, const struct flightfile *file)
{
	struct flight *f = calloc(1, sizeof *f + file->key_len);
	struct bytes bucket = bytes_of(file->bucket), key = {file->key, file->key_len};
	struct now now = clock_now();
	uint64_t age = now.wall_ms > file->created_wall_ms ? now.wall_ms - file->created_wall_ms : 0;

	if (!f)
		return NULL;
	f->key = key_get(d, bucket, key);
	if (f->key) {
		f->gen = file->gen;
		HASH_ADD(hh, d->flights->by_gen, gen, sizeof f->gen, f);
		if (!f->hh.tbl)
			key_drop_if_unused(d, f->key);
	}
	if (!f->key || !f->hh.tbl) {
		free(f);
		return NULL;
	}
	f->d = d;
	f->order = file->order;
	memcpy(f->bucket, file->bucket, sizeof f->bucket);
	memcpy(f->tags, file->tags, sizeof f->tags);
	memcpy(f->command, file->command, sizeof f->command);
	f->sealed = file->sealed;
	buf_init(&f->shown, SC_SHOWN_MAX);
	f->key_len = file->key_len;
	memcpy(f->key_bytes, file->key, file->key_len);
	f->doomed = file->doomed;
	f->finish = file->finish;
	f->renewal = file->renewal;
	f->ttl_ms = file->ttl_ms;
	f->stale_ms = file->stale_ms;
	f->keep_ms = file->keep_ms;
	f->limit = SC_FOREVER;
	f->created_wall_ms = file->created_wall_ms;
	f->began_ms = now.boot_ms > age ? now.boot_ms - age : 0;
	f->out_fd = f->err_fd = f->pidfd = -1;
	DL_APPEND(f->key->flights, f);
	d->flights->count++;
	return f;
}

uint64_t flight_age(const struct flight *f)
{
	return clock_now().boot_ms - f->began_ms;
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
	c->holds = f->gen;
	c->began = false;
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
	page_poke_writer(f->page);
}

static void mark_finish(struct flight *f)
{
	if (f->finish)
		return;
	f->finish = true;
	flightfile_mark(f->d->place.dir_fd, &f->gen, MARK_FINISH);
}

bool flight_is_doomed(const struct flight *f)
{
	return f->doomed;
}

bool flight_is_of_other(const struct flight *f, const uint8_t command[SC_COMMAND_SIZE])
{
	return cmdline_differs(f->command, command);
}

int flight_keys(const struct flight *f, struct seal_key room[2], struct bytes *keys)
{
	int rc = is_sealed(&f->sealed) ? keyring_streams(f->d->keyring, &f->sealed, &f->gen, room) : 0;

	*keys = is_sealed(&f->sealed) && !rc ? (struct bytes){room[0].b, SC_KEYS_SIZE} : (struct bytes){NULL, 0};
	return rc;
}

int flight_join(struct flight *f, struct conn *c, const struct ask *ask)
{
	struct msg m = {.type = MSG_FOLLOW,
			.gen = f->gen,
			.order = f->order,
			.estimate = ask->estimate_ms,
			.flags = flight_is_of_other(f, ask->command) ? FOLLOW_OTHER : 0u};
	int fds[3] = {-1, -1, -1}, rc;
	struct seal_key keys[2];
	uint64_t size;

	rc = flight_keys(f, keys, &m.keys);
	if (rc == 0)
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
	if (ask->finish)
		mark_finish(f);
	flight_add_reader(f, c);
	m.slot = f->next_slot++ % SC_SLOTS;
	m.age = flight_age(f);
	KILLPOINT("before_follow");
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

int flights_doom_all(struct daemon *d, struct bytes bucket, struct bytes prefix, unsigned *n)
{
	struct buf ids;
	size_t len;
	int rc;

	*n = 0;
	buf_init(&ids, SIZE_MAX);
	/* By name: what those who wait are answered takes keys out of the table, and brings others. */
	rc = keys_beginning(d, bucket, prefix, &ids);
	for (size_t at = 0; !rc && at < ids.len; at += sizeof len + len) {
		struct bytes in, key;

		memcpy(&len, ids.data + at, sizeof len);
		in = bytes_of((const char *)ids.data + at + sizeof len);
		key.p = in.p + in.n + 1;
		key.n = len - in.n - 1;
		/* Before those who wait are asked again. */
		key_forget(d, in, key, MEMO_UNKEPT);
		*n += flights_doom(d, in, key);
	}
	buf_release(&ids);
	return rc;
}

int flights_doom_tagged(struct daemon *d, struct bytes bucket, struct bytes tag, unsigned *n)
{
	struct flight *f, *next;
	struct buf gens;
	int rc = 0;

	*n = 0;
	buf_init(&gens, SIZE_MAX);
	HASH_ITER (hh, d->flights->by_gen, f, next)
		if (!rc && f->state != FLIGHT_SETTLED && strlen(f->bucket) == bucket.n &&
		    memcmp(f->bucket, bucket.p, bucket.n) == 0 && tags_has(bytes_of(f->tags), tag))
			rc = buf_append(&gens, &f->gen, sizeof f->gen);
	/* By name: what those who wait are answered takes flights out of the table, and brings others. */
	for (size_t at = 0; !rc && at < gens.len; at += sizeof f->gen) {
		f = flight_find(d, (const struct gen *)(const void *)(gens.data + at));
		if (!f || f->state == FLIGHT_SETTLED)
			continue;
		*n += !f->doomed;
		flight_doom(f);
		key_changed(d, f->key);
	}
	buf_release(&gens);
	return rc;
}

/* ---- what a writer says ---- */

static int prove_object(struct flight *f, enum stream s, int theirs, int *ours)
{
	uint64_t size;
	int rc = object_open(f->d->place.dir_fd, &f->gen, s, ours, &size);

	return rc ? rc : object_same(*ours, theirs);
}

void flight_become_streaming(struct flight *f, int error)
{
	char why[128];

	f->streaming = true;
	f->error = error;
	KILLPOINT("streaming_taken");
	snprintf(why, sizeof why, "streaming only: %s", strerror(error));
	flight_set_state(f, f->state, why);
	key_remember(f->d, f->key, MEMO_UNKEPT, error, clock_run_ms());
}

/* For people: without memory they are not told. */
static void show(struct flight *f, struct bytes words)
{
	f->shown.len = 0;
	if (words.n && config_show_commands(&f->d->config, f->bucket))
		buf_append(&f->shown, words.p, words.n);
}

static uint64_t size_of(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);

	return size < 0 ? 0 : (uint64_t)size;
}

int flight_register(struct flight *f, struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct msg answer = {.type = MSG_REGISTERED, .gen = f->gen, .flags = f->finish};
	int rc = page_map(&f->page, fds[0], &f->gen);
	struct daemon *d = f->d; /* what follows may end the flight */
	pid_t session;

	fds[0] = -1;
	if (rc == 0)
		rc = prove_object(f, STREAM_OUT, fds[1], &f->out_fd);
	if (rc == 0)
		rc = prove_object(f, STREAM_ERR, fds[2], &f->err_fd);
	if (rc) {
		flight_let_go(f);
		return rc;
	}
	if (nfds > 3) {
		close_if_open(&f->pidfd);
		f->pidfd = fds[3];
		fds[3] = -1;
		page_tell_command(f->page, nesting_pid(f->pidfd));
	}
	show(f, m->shown);
	f->foreground = m->flags & STARTED_FOREGROUND;
	session = f->foreground ? 0 : nesting_learn(f);
	f->writer = c;
	c->leads = f;
	c->state = CONN_WRITING;
	flight_set_state(f, m->flags & REGISTER_STOPPING ? FLIGHT_STOPPING : FLIGHT_RUNNING, "registered");
	flight_set_limit(f, config_max_entry(&d->config, f->bucket), EFBIG);
	flight_grown(f, size_of(f->out_fd), size_of(f->err_fd));
	KILLPOINT("run_registered");
	conn_send(c, &answer, NULL, 0);
	if (m->flags & REGISTER_STREAMING)
		flight_become_streaming(f, page_unkept(f->page));
	/* Its readers come back within the bound of their sleep; then it is told if none did. */
	ticker_start(f->d->flights->census, 2 * SC_PAGE_WAIT_MS);
	if (f->key)
		key_changed(f->d, f->key);
	nesting_recheck(d, session);
	return 0;
}

void flight_started(struct flight *f, int pidfd, const struct msg *m)
{
	close_if_open(&f->pidfd);
	f->pidfd = pidfd;
	page_tell_command(f->page, nesting_pid(pidfd));
	show(f, m->shown);
	/* In the caller's own session others live that are not inside of the run. */
	f->foreground = m->flags & STARTED_FOREGROUND;
	if (!f->foreground)
		nesting_recheck(f->d, nesting_learn(f));
}

void flight_streaming(struct flight *f, int error)
{
	if (f->state == FLIGHT_COMMITTING || f->state == FLIGHT_SETTLED)
		return; /* it has said that it is whole, or that it is over */
	flight_become_streaming(f, error);
	evict_look(f->d, f->bucket); /* it may be that others have filled the disk */
	key_changed(f->d, f->key);
}

void flight_may_stop(struct flight *f)
{
	bool stop = f->state == FLIGHT_RUNNING && f->nreaders == 0 && !f->finish;
	struct msg m = {.type = MSG_VERDICT, .gen = f->gen, .flags = stop, .signal = f->leave_signal};

	KILLPOINT("may_stop_taken");
	f->told_lonely = false;
	if (stop)
		flight_set_state(f, FLIGHT_STOPPING, "nobody reads");
	conn_send(f->writer, &m, NULL, 0);
}

/* ---- limits ---- */

void flight_grown(struct flight *f, uint64_t out_size, uint64_t err_size)
{
	if ((f->state != FLIGHT_RUNNING && f->state != FLIGHT_STOPPING) || entry_bytes(out_size, err_size) < SC_GROWN_STEP)
		return;
	f->out_size = out_size;
	f->err_size = err_size;
	evict_look(f->d, f->bucket);
}

void flight_set_limit(struct flight *f, uint64_t bytes, int error)
{
	f->limit = bytes;
	if (f->page)
		page_set_limit(f->page, bytes, error);
}

void flight_stop_growing(struct flight *f)
{
	char hex[SC_GEN_HEX];

	flight_set_limit(f, f->out_size + f->err_size, ENOSPC);
	gen_format(&f->gen, hex);
	log_event(f->d->log, "no-room", "gen=%s bytes=%llu", hex, (unsigned long long)f->limit);
}

/* Runs, from LEAD to the writer's last word. Called by answer.c (begin, join), dispatch.c (what peers say) and main.c (start,
 * stop). Never looks into an object and never signals by number. */
#include "daemon/flight.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#include "daemon/answer.h"
#include "daemon/flightfile.h"
#include "daemon/index.h"
#include "daemon/ticker.h"
#include "lib/clock.h"
#include "lib/digest.h"
#include "lib/err.h"
#include "lib/object.h"
#include "lib/page.h"

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1UL << 2)
#endif

/* How often the locks of awaited flights are looked at: nobody tells when such a writer dies. */
#define AWAITED_CHECK_MS 250

struct key {
	struct flight *flights; /* doomed ones too */
	struct conn *waiters;	/* first come first */
	size_t id_len;
	UT_hash_handle hh;
	uint8_t id[]; /* bucket, NUL, key */
};

struct flight {
	struct daemon *d;
	struct gen gen;
	uint64_t order;
	char bucket[SC_BUCKET_MAX + 1];
	struct key *key;	    /* NULL once settled */
	struct flight *next, *prev; /* in key->flights */
	enum flight_state state;
	bool doomed, finish;
	bool drain;	  /* counted in daemon.drain */
	bool told_lonely; /* the writer was asked whether anybody reads */
	uint64_t ttl_ms;
	uint64_t created_wall_ms;
	uint64_t awaited_since_ms;
	struct page *page;  /* NULL while awaited */
	int out_fd, err_fd; /* read-only, from birth or registration: to prove what is committed */
	int pidfd;	    /* of the command; -1 before it started */
	uint64_t pid;	    /* for people */
	struct conn *writer;
	struct conn *readers;
	unsigned nreaders;
	unsigned leave_signal; /* what took the last reader away */
	uint32_t next_slot;
	enum page_state end; /* how it ended, once it did */
	uint32_t exit, signal;
	bool committed;
	UT_hash_handle hh; /* by generation */
	size_t key_len;
	uint8_t key_bytes[];
};

struct flights {
	struct flight *by_gen; /* every one, settled ones too */
	struct key *keys;
	unsigned count; /* not settled */
	unsigned awaited;
	struct ticker *check;  /* while some are awaited */
	struct ticker *census; /* after registrations: whose readers have all gone? */
};

static const char *const state_names[] = {
	[FLIGHT_AWAITED] = "awaited",	    [FLIGHT_RUNNING] = "running", [FLIGHT_STOPPING] = "stopping",
	[FLIGHT_COMMITTING] = "committing", [FLIGHT_SETTLED] = "settled",
};

/* ---- keys ---- */

static size_t key_id(struct bytes bucket, struct bytes key, uint8_t id[SC_BUCKET_MAX + 1 + SC_KEY_MAX])
{
	memcpy(id, bucket.p, bucket.n);
	id[bucket.n] = '\0';
	memcpy(id + bucket.n + 1, key.p, key.n);
	return bucket.n + 1 + key.n;
}

static struct key *key_find(struct flights *fs, struct bytes bucket, struct bytes key)
{
	uint8_t id[SC_BUCKET_MAX + 1 + SC_KEY_MAX];
	size_t n = key_id(bucket, key, id);
	struct key *k;

	HASH_FIND(hh, fs->keys, id, n, k);
	return k;
}

static struct key *key_get(struct flights *fs, struct bytes bucket, struct bytes key)
{
	uint8_t id[SC_BUCKET_MAX + 1 + SC_KEY_MAX];
	size_t n = key_id(bucket, key, id);
	struct key *k = key_find(fs, bucket, key);

	if (k)
		return k;
	k = calloc(1, sizeof *k + n);
	if (!k)
		return NULL;
	k->id_len = n;
	memcpy(k->id, id, n);
	HASH_ADD(hh, fs->keys, id, n, k);
	return k;
}

static void key_drop_if_unused(struct flights *fs, struct key *k)
{
	if (k->flights || k->waiters)
		return;
	HASH_DEL(fs->keys, k);
	free(k);
}

int key_wait(struct daemon *d, struct conn *c, struct bytes bucket, struct bytes key)
{
	struct key *k = key_get(d->flights, bucket, key);

	if (!k)
		return SC_ENOMEM;
	DL_APPEND2(k->waiters, c, wait_prev, wait_next);
	c->waits_for = k;
	if (d->nwaiting++ == 0)
		ticker_start(d->pulse, SC_SILENCE_MS / 4);
	return 0;
}

void key_leave(struct conn *c)
{
	struct key *k = c->waits_for;
	struct daemon *d = c->d;

	if (!k)
		return;
	DL_DELETE2(k->waiters, c, wait_prev, wait_next);
	c->waits_for = NULL;
	if (--d->nwaiting == 0)
		ticker_stop(d->pulse);
	key_drop_if_unused(d->flights, k);
}

/* Asks every waiter of the key again, in their order; each takes itself out of the line and perhaps back in at its end. The key
 * goes if nothing is left of it. */
static void key_changed(struct daemon *d, struct key *k)
{
	uint8_t id[SC_BUCKET_MAX + 1 + SC_KEY_MAX];
	struct bytes bucket, key;
	struct conn *c;
	unsigned n = 0;

	/* An answer may drop the key: it is found by name again after each. */
	memcpy(id, k->id, k->id_len);
	bucket = bytes_of((char *)id);
	key = (struct bytes){id + bucket.n + 1, k->id_len - bucket.n - 1};
	DL_COUNT2(k->waiters, c, n, wait_next);
	for (; n > 0 && k && k->waiters; n--) {
		answer_again(k->waiters);
		k = key_find(d->flights, bucket, key);
	}
	if (k)
		key_drop_if_unused(d->flights, k);
}

static struct bytes flight_bucket(const struct flight *f)
{
	return bytes_of(f->bucket);
}

static struct bytes flight_key(const struct flight *f)
{
	return (struct bytes){f->key_bytes, f->key_len};
}

/* ---- states ---- */

static void set_state(struct flight *f, enum flight_state to, const char *why)
{
	struct flights *fs = f->d->flights;
	char hex[SC_GEN_HEX];

	gen_format(&f->gen, hex);
	log_event(f->d->log, "flight", "gen=%s from=%s to=%s why=\"%s\"", hex, state_names[f->state], state_names[to], why);
	if (f->state == FLIGHT_AWAITED && to != FLIGHT_AWAITED)
		fs->awaited--;
	f->state = to;
}

/* Out of the tables, so that whoever asks from now on no longer meets it. Its waiters are asked again by the caller, when
 * everything else about the end is done. */
static struct key *take_out(struct flight *f)
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

static void flight_free(struct flight *f)
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
	if (f->pidfd >= 0)
		close(f->pidfd);
	if (f->out_fd >= 0)
		close(f->out_fd);
	if (f->err_fd >= 0)
		close(f->err_fd);
	free(f);
}

static struct flight *flight_new(struct daemon *d, const struct flightfile *file)
{
	struct flight *f = calloc(1, sizeof *f + file->key_len);
	struct bytes bucket = bytes_of(file->bucket), key = {file->key, file->key_len};

	if (!f)
		return NULL;
	f->key = key_get(d->flights, bucket, key);
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

/* A run that ends without its writer's word. */
static void end_unfinished(struct flight *f, enum page_state end, const char *why)
{
	struct daemon *d = f->d;
	struct key *k;

	kill_command(f);
	set_state(f, FLIGHT_SETTLED, why);
	k = take_out(f);
	flightfile_unlink(d->place.dir_fd, &f->gen);
	index_discard(d->index, &f->gen, NULL, NULL);
	if (f->page)
		page_end(f->page, end, 0, 0);
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

	f->committed = committed;
	set_state(f, FLIGHT_SETTLED, why);
	k = take_out(f);
	flightfile_unlink(d->place.dir_fd, &f->gen);
	if (!committed)
		index_discard(d->index, &f->gen, NULL, NULL);
	if (f->writer) {
		conn_send(f->writer, &m, NULL, 0);
	} else {
		page_end(f->page, f->end, f->exit, f->signal);
		flight_free(f);
	}
	key_changed(d, k);
	daemon_reckon(d);
}

/* ---- beginning, joining, leaving ---- */

static int dup_fd(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static void add_reader(struct flight *f, struct conn *c)
{
	DL_APPEND2(f->readers, c, reads_prev, reads_next);
	f->nreaders++;
	f->told_lonely = false;
	c->reads = f;
	c->state = CONN_READING;
}

static void tell_lonely(struct flight *f)
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

static int make_objects(struct flight *f, int fds[LEAD_FDS])
{
	int dir = f->d->place.dir_fd, rc;
	uint64_t size;

	rc = object_create(dir, &f->gen, STREAM_OUT, &fds[LEAD_OUT_WRITE]);
	if (rc == 0)
		rc = object_create(dir, &f->gen, STREAM_ERR, &fds[LEAD_ERR_WRITE]);
	if (rc == 0)
		rc = object_open(dir, &f->gen, STREAM_OUT, &fds[LEAD_OUT], &size);
	if (rc == 0)
		rc = object_open(dir, &f->gen, STREAM_ERR, &fds[LEAD_ERR], &size);
	if (rc)
		return rc;
	f->out_fd = dup_fd(fds[LEAD_OUT]);
	f->err_fd = dup_fd(fds[LEAD_ERR]);
	return f->out_fd < 0 || f->err_fd < 0 ? SC_ESYS : 0;
}

static int make_page(struct flight *f, int fds[LEAD_FDS])
{
	uint8_t hash[16];
	int rc;

	digest_key(f->bucket, strlen(f->bucket), f->key_bytes, f->key_len, hash);
	rc = page_create(&f->page, &f->gen, hash, f->order);
	if (rc)
		return rc;
	fds[LEAD_PAGE] = dup_fd(page_fd(f->page));
	return fds[LEAD_PAGE] < 0 ? SC_ESYS : 0;
}

static int make_writer(struct flight *f, int fds[LEAD_FDS])
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return SC_ESYS;
	fds[LEAD_SOCKET] = pair[1];
	f->writer = conn_open(f->d, pair[0], CONN_WRITING);
	if (!f->writer)
		return SC_ENOMEM;
	f->writer->leads = f;
	return 0;
}

/* What begins and fails leaves nothing behind. */
static void abandon(struct flight *f, const int fds[LEAD_FDS])
{
	struct daemon *d = f->d;
	int saved = errno;
	struct key *k;

	for (int i = 0; i < LEAD_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	k = take_out(f);
	flightfile_unlink(d->place.dir_fd, &f->gen);
	object_unlink(d->place.dir_fd, &f->gen);
	if (f->writer) {
		struct conn *w = f->writer;

		w->leads = NULL;
		f->writer = NULL;
		conn_close(w, NULL);
	}
	flight_free(f);
	key_drop_if_unused(d->flights, k);
	errno = saved;
}

int flight_begin(struct conn *c, const struct ask *ask)
{
	struct daemon *d = c->d;
	struct flightfile file = {.order = ++d->order, .ttl_ms = ask->ttl_ms, .finish = ask->finish};
	int fds[LEAD_FDS] = {-1, -1, -1, -1, -1, -1, -1}, rc;
	struct msg m = {.type = MSG_LEAD};
	struct flight *f;

	digest_generation(&file.gen);
	memcpy(file.bucket, ask->bucket, sizeof file.bucket);
	memcpy(file.key, ask->key, ask->key_len);
	file.key_len = ask->key_len;
	file.created_wall_ms = clock_now().wall_ms;
	f = flight_new(d, &file);
	if (!f)
		return SC_ENOMEM;
	f->state = FLIGHT_RUNNING;
	/* The file first: should we die now, the next daemon finds by it what else there is to remove. */
	rc = flightfile_create(d->place.dir_fd, &file, &fds[LEAD_LOCK]);
	if (rc == 0)
		rc = make_objects(f, fds);
	if (rc == 0)
		rc = make_page(f, fds);
	if (rc == 0)
		rc = make_writer(f, fds);
	if (rc) {
		abandon(f, fds);
		return rc;
	}
	set_state(f, FLIGHT_RUNNING, "lead");
	add_reader(f, c);
	m.gen = f->gen;
	m.order = f->order;
	m.ttl = f->ttl_ms;
	m.slot = f->next_slot++;
	conn_send(c, &m, fds, LEAD_FDS);
	/* A refresher leads while an older run goes on, or somebody leads beside a removed one: nobody joins the old one now. */
	for (struct flight *old = f->key->flights; old; old = old->next)
		if (old != f)
			flight_doom(old);
	/* Those that waited for the key to begin to exist, or for the next run. */
	key_changed(d, f->key);
	return 0;
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
		fds[2] = dup_fd(page_fd(f->page));
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
	add_reader(f, c);
	m.slot = f->next_slot++ % SC_SLOTS;
	m.age = now > f->created_wall_ms ? now - f->created_wall_ms : 0;
	conn_send(c, &m, fds, 3);
	return 0;
}

void flight_attach(struct flight *f, struct conn *c)
{
	add_reader(f, c);
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
	tell_lonely(f);
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
	struct key *k = key_find(d->flights, bucket, key);
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
	set_state(f, FLIGHT_RUNNING, "registered");
	conn_send(c, &answer, NULL, 0);
	/* Its readers come back within the bound of their sleep; then it is told if none did. */
	ticker_start(f->d->flights->census, 2 * SC_PAGE_WAIT_MS);
	if (f->key)
		key_changed(f->d, f->key);
	return 0;
}

void flight_started(struct flight *f, int pidfd, uint64_t pid)
{
	if (f->pidfd >= 0)
		close(f->pidfd);
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

	if (status)
		log_event(f->d->log, "commit-failed", "why=\"%s\"", sc_strerror(status));
	settle(f, status == 0 && changed, status ? "commit failed" : changed ? "committed" : "a newer one is there");
	daemon_arm_expiry(f->d);
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
		set_state(f, FLIGHT_COMMITTING, "ended well");
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
		set_state(f, FLIGHT_STOPPING, "nobody reads");
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
		end_unfinished(f, PAGE_LOST, "lost");
		break;
	case FLIGHT_STOPPING:
		end_unfinished(f, PAGE_CANCELLED, "cancelled");
		break;
	case FLIGHT_COMMITTING:
		break; /* the index answers; then we publish */
	case FLIGHT_SETTLED:
		page_end(f->page, f->end, f->exit, f->signal);
		flight_free(f);
		break;
	}
}

/* ---- the tables ---- */

struct flight *flight_find(struct daemon *d, const struct gen *g)
{
	struct flight *f;

	HASH_FIND(hh, d->flights->by_gen, g, sizeof *g, f);
	return f;
}

const struct gen *flight_gen(const struct flight *f)
{
	return &f->gen;
}

bool flight_is_awaited(const struct flight *f)
{
	return f->state == FLIGHT_AWAITED;
}

unsigned flights_count(const struct daemon *d)
{
	return d->flights->count;
}

void flights_known(struct daemon *d, struct bytes bucket, struct bytes key, const struct gen *chain, size_t nchain,
		   struct known *k, struct flight **run)
{
	static const enum run meaning[] = {
		[FLIGHT_AWAITED] = RUN_AWAITED,	 [FLIGHT_RUNNING] = RUN_GOING, [FLIGHT_STOPPING] = RUN_STOPPING,
		[FLIGHT_COMMITTING] = RUN_GOING, [FLIGHT_SETTLED] = RUN_NONE,
	};
	struct key *at = key_find(d->flights, bucket, key);
	struct flight *f;

	*run = NULL;
	k->run = RUN_NONE;
	k->runs = 0;
	k->nested = false;
	if (!at)
		return;
	DL_FOREACH (at->flights, f) {
		k->runs++;
		for (size_t i = 0; i < nchain; i++)
			k->nested |= gen_equal(&chain[i], &f->gen);
		if (f->doomed || (*run && (*run)->order > f->order))
			continue;
		*run = f;
		k->run = meaning[f->state];
		k->run_order = f->order;
	}
}

unsigned flights_list(struct daemon *d, struct bytes bucket, uint64_t after, unsigned limit, flight_row each, void *arg)
{
	uint64_t now = clock_now().wall_ms;
	struct flight *f, *next;
	unsigned n = 0;

	/* The table keeps the order of insertion, which is that of the order numbers (flights_open sorts what it finds). */
	HASH_ITER (hh, d->flights->by_gen, f, next) {
		struct page_view v = {0};
		struct msg m = {
			.type = MSG_FLIGHT, .bucket = flight_bucket(f), .key = flight_key(f), .gen = f->gen, .order = f->order};

		if (n == limit)
			break;
		if (f->order <= after || f->state == FLIGHT_SETTLED || strlen(f->bucket) != bucket.n ||
		    memcmp(f->bucket, bucket.p, bucket.n) != 0)
			continue;
		if (f->page)
			page_view(f->page, &v);
		m.age = now > f->created_wall_ms ? now - f->created_wall_ms : 0;
		m.out_len = v.out_len;
		m.err_len = v.err_len;
		m.count = f->nreaders;
		m.pid = f->pid;
		m.flags = (uint64_t)f->state;
		each(arg, &m);
		n++;
	}
	return n;
}

unsigned flights_mark_drain(struct daemon *d)
{
	struct flight *f, *next;
	unsigned n = 0;

	HASH_ITER (hh, d->flights->by_gen, f, next) {
		if (f->state == FLIGHT_SETTLED)
			continue;
		f->drain = true;
		n++;
	}
	return n;
}

/* ---- a new daemon's first look, and what it does about those that do not come back ---- */

static void adopt(struct daemon *d, const struct flightfile *file)
{
	struct flight *f = flight_new(d, file);

	if (!f)
		return; /* no memory: its file stays for the next daemon */
	f->state = FLIGHT_AWAITED;
	f->awaited_since_ms = clock_boot_ms();
	d->flights->awaited++;
	set_state(f, FLIGHT_AWAITED, "found");
}

static bool is_committed(struct daemon *d, const struct flightfile *file)
{
	struct bytes bucket = bytes_of(file->bucket), key = {file->key, file->key_len};
	struct entry e;

	return index_find(d->index, bucket, key, &e) == 0 && gen_equal(&e.gen, &file->gen);
}

static void on_found(void *arg, const char *name)
{
	struct daemon *d = arg;
	struct flightfile file;
	bool locked = false;
	int rc = flightfile_read(d->place.dir_fd, name, &file, &locked);

	if (rc == SC_EUNSAFE || rc == SC_ENOENT || rc == SC_ESYS)
		return; /* not proved ours, or not to be read now: left alone */
	if (rc) {
		/* Torn at its birth: nobody was told to lead yet, or the writer ends uncommitted. */
		if (!locked && gen_parse(name, SC_GEN_HEX - 1, &file.gen) == 0) {
			flightfile_unlink(d->place.dir_fd, &file.gen);
			index_discard(d->index, &file.gen, NULL, NULL);
		}
		return;
	}
	if (file.order > d->order)
		d->order = file.order;
	if (is_committed(d, &file)) {
		/* The index is first in the order of ending: this is a leftover, whoever still holds it. */
		flightfile_unlink(d->place.dir_fd, &file.gen);
	} else if (locked) {
		adopt(d, &file);
	} else {
		log_event(d->log, "lost", "gen=%s", name);
		flightfile_unlink(d->place.dir_fd, &file.gen);
		index_discard(d->index, &file.gen, NULL, NULL);
	}
}

static void on_check(struct daemon *d, void *arg)
{
	uint64_t now = clock_boot_ms();
	struct flights *fs = d->flights;
	struct flight *f, *next;

	(void)arg;
	HASH_ITER (hh, fs->by_gen, f, next) {
		if (f->state != FLIGHT_AWAITED)
			continue;
		if (!flightfile_is_locked(d->place.dir_fd, &f->gen)) {
			end_unfinished(f, PAGE_LOST, "lost while no daemon lived");
			/* Others may have gone with it; the next tick looks at the rest. */
			break;
		}
		if (!f->doomed && now - f->awaited_since_ms >= SC_REGISTER_MS) {
			flight_doom(f);
			key_changed(d, f->key);
			break;
		}
	}
	if (fs->awaited)
		ticker_start(fs->check, AWAITED_CHECK_MS);
}

static void on_census(struct daemon *d, void *arg)
{
	struct flight *f, *next;

	(void)arg;
	HASH_ITER (hh, d->flights->by_gen, f, next)
		tell_lonely(f);
}

static int by_order(const struct flight *a, const struct flight *b)
{
	return a->order < b->order ? -1 : a->order > b->order;
}

int flights_open(struct daemon *d)
{
	struct flights *fs = calloc(1, sizeof *fs);
	int rc;

	if (!fs)
		return SC_ENOMEM;
	d->flights = fs;
	fs->check = ticker_new(d, on_check, NULL);
	fs->census = ticker_new(d, on_census, NULL);
	if (!fs->check || !fs->census)
		return SC_ENOMEM;
	rc = flightfile_scan(d->place.dir_fd, on_found, d);
	if (rc)
		return rc;
	HASH_SORT(fs->by_gen, by_order);
	if (fs->awaited)
		ticker_start(fs->check, AWAITED_CHECK_MS);
	return 0;
}

void flights_close(struct daemon *d)
{
	struct flights *fs = d->flights;
	struct flight *f, *next;

	HASH_ITER (hh, fs->by_gen, f, next) {
		struct key *k = f->key;

		if (k)
			take_out(f);
		flight_free(f);
		if (k)
			key_drop_if_unused(fs, k);
	}
	ticker_free(fs->check);
	ticker_free(fs->census);
	free(fs);
	d->flights = NULL;
}

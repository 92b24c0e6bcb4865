/* Leases of a daemon. Called by answer.c (who asks for a key), chore.c (who removes one), dispatch.c (what a holder says, its end), watch.c
 * (--initial), flight_table.c (what lies in flights/) and main.c. Decides nothing about who may have a key: decide.c does. */
#include "daemon/lease.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/flight.h"
#include "daemon/flightfile.h"
#include "daemon/index.h"
#include "daemon/key.h"
#include "daemon/nesting.h"
#include "daemon/ticker.h"
#include "lib/checksum.h"
#include "lib/clock.h"
#include "lib/digest.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/killpoint.h"
#include "lib/object.h"

/* How often the locks of awaited leases are looked at: nobody tells when such a holder dies. Who asks looks by himself. */
#define AWAITED_CHECK_MS 250
/* How often a command that was killed is looked at: mostly it is dead at once. One that the kernel keeps, or that we may not kill, is
 * waited for all the same, but not as closely. */
#define ENDING_CHECK_MS 2
#define ENDING_SLOW_MS 250
#define ENDING_SOON_MS 2000

enum lease_state { LEASE_BEGUN, LEASE_HELD, LEASE_AWAITED, LEASE_ENDING, LEASE_GONE };

static const char *const state_names[] = {
	[LEASE_BEGUN] = "begun",   [LEASE_HELD] = "held", [LEASE_AWAITED] = "awaited",
	[LEASE_ENDING] = "ending", [LEASE_GONE] = "gone",
};

/* What HELD carries. */
enum { VALUE_WRITE, LOCK, HELD_FDS };

struct lease {
	struct daemon *d;
	struct gen gen;
	struct sealed_by sealed;
	uint64_t order, ttl_ms;
	uint64_t created_wall_ms;
	uint64_t began_ms; /* the same moment by CLOCK_BOOTTIME */
	uint64_t since_ms; /* it is awaited, or ending */
	enum lease_state state;
	bool there;	     /* VALUE is whole */
	bool clearing;	     /* the index is at what was made of the key before */
	struct conn *holder; /* NULL: awaited or ending, or it has left before it was told HELD */
	pid_t pid;	     /* the holder's, for people; 0: not known */
	int pidfd;	     /* of its command; -1: none runs, or it is not known */
	int fds[HELD_FDS];   /* until HELD takes them */
	char bucket[SC_BUCKET_MAX + 1];
	struct key *key;
	UT_hash_handle hh; /* by generation */
	size_t key_len;
	uint8_t key_bytes[];
};

struct leases {
	struct lease *by_gen;
	unsigned awaited, ending;
	struct ticker *check, *dying; /* while some are awaited, or ending */
};

/* ---- states ---- */

static void set_state(struct lease *l, enum lease_state to, const char *why)
{
	struct leases *ls = l->d->leases;
	char hex[SC_GEN_HEX];

	gen_format(&l->gen, hex);
	log_event(l->d->log, "lease", "gen=%s from=%s to=%s why=\"%s\"", hex, state_names[l->state], state_names[to], why);
	ls->awaited -= l->state == LEASE_AWAITED;
	ls->ending -= l->state == LEASE_ENDING;
	ls->awaited += to == LEASE_AWAITED;
	ls->ending += to == LEASE_ENDING;
	l->state = to;
	l->since_ms = clock_run_ms();
	if (to == LEASE_AWAITED && !ticker_is_running(ls->check))
		ticker_start(ls->check, AWAITED_CHECK_MS);
	if (to == LEASE_ENDING)
		ticker_start(ls->dying, ENDING_CHECK_MS);
}

static void close_if_open(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void unbind(struct lease *l)
{
	if (l->holder)
		l->holder->lease = NULL;
	l->holder = NULL;
}

static void lease_free(struct lease *l)
{
	unbind(l);
	HASH_DEL(l->d->leases->by_gen, l);
	l->key->lease = NULL;
	close_if_open(&l->pidfd);
	for (int i = 0; i < HELD_FDS; i++)
		close_if_open(&l->fds[i]);
	free(l);
}

static struct lease *lease_new(struct daemon *d, const struct flightfile *file)
{
	struct lease *l = calloc(1, sizeof *l + file->key_len);
	struct bytes bucket = bytes_of(file->bucket), key = {file->key, file->key_len};
	struct now now = clock_now();
	uint64_t age = now.wall_ms > file->created_wall_ms ? now.wall_ms - file->created_wall_ms : 0;

	if (!l)
		return NULL;
	l->key = key_get(d, bucket, key);
	if (l->key) {
		l->gen = file->gen;
		HASH_ADD(hh, d->leases->by_gen, gen, sizeof l->gen, l);
		if (!l->hh.tbl)
			key_drop_if_unused(d, l->key);
	}
	if (!l->key || !l->hh.tbl) {
		free(l);
		return NULL;
	}
	BUG_ON(l->key->lease);
	l->key->lease = l;
	l->d = d;
	l->sealed = file->sealed;
	l->order = file->order;
	l->ttl_ms = file->ttl_ms;
	l->created_wall_ms = file->created_wall_ms;
	l->began_ms = now.boot_ms > age ? now.boot_ms - age : 0;
	l->there = file->held;
	l->pidfd = l->fds[VALUE_WRITE] = l->fds[LOCK] = -1;
	memcpy(l->bucket, file->bucket, sizeof l->bucket);
	memcpy(l->key_bytes, file->key, file->key_len);
	l->key_len = file->key_len;
	return l;
}

/* The file last, behind the objects it tells of. Without memory they stay for the walk. */
static void discard(struct daemon *d, const struct gen *g)
{
	if (index_discard(d->index, g, NULL, NULL))
		flightfile_unlink(d->place.dir_fd, g);
}

static struct event event_of(const struct lease *l, enum event_kind kind)
{
	return (struct event){.kind = kind,
			      .bucket = bytes_of(l->bucket),
			      .key = {l->key_bytes, l->key_len},
			      .gen = l->gen,
			      .order = l->order,
			      .ttl_ms = SC_FOREVER,
			      .sealed = is_sealed(&l->sealed)};
}

/* Out of the tables, so that whoever is asked again because of it does not meet it. */
static void end(struct lease *l, const char *why)
{
	struct daemon *d = l->d;
	struct event e = event_of(l, EVENT_RELEASE);
	struct gen gen = l->gen;
	struct key *k = l->key;

	set_state(l, LEASE_GONE, why);
	if (l->there)
		event_tell(d, &e);
	/* Its holder may have the lock still, and the next daemon must not believe in it. */
	flightfile_mark(d->place.dir_fd, &gen, MARK_DOOMED);
	lease_free(l);
	discard(d, &gen);
	KILLPOINT("lease_gone");
	key_changed(d, k);
	daemon_reckon(d);
}

static bool is_dead(const struct lease *l)
{
	struct pollfd p = {.fd = l->pidfd, .events = POLLIN};

	return l->pidfd < 0 || poll(&p, 1, 0) > 0;
}

/* Nobody holds it any more; but the key must not be free before its command is dead. Of that we may know only if it began while we
 * lived: else its holder's death has killed it. */
static void give_up(struct lease *l, const char *why)
{
	if (l->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, l->pidfd, SIGKILL, NULL, 0);
	if (is_dead(l))
		end(l, why);
	else
		set_state(l, LEASE_ENDING, why);
}

/* ---- the table ---- */

static const char *why_over(const struct lease *l)
{
	if (l->state == LEASE_ENDING && is_dead(l))
		return "its command is dead";
	if (l->state != LEASE_AWAITED)
		return NULL;
	if (!flightfile_is_locked(l->d->place.dir_fd, &l->gen))
		return "its holder is gone";
	if (clock_run_ms() - l->since_ms >= l->ttl_ms)
		return "its holder has not come back in time";
	return NULL;
}

static void on_check(struct daemon *d, void *arg)
{
	struct lease *l, *next;
	const char *why;

	(void)arg;
	/* From the beginning after each: what an end sets off may take others out of the table. */
	do {
		why = NULL;
		HASH_ITER (hh, d->leases->by_gen, l, next) {
			why = why_over(l);
			if (why)
				break;
		}
		if (why)
			give_up(l, why);
	} while (why);
	if (d->leases->awaited)
		ticker_start(d->leases->check, AWAITED_CHECK_MS);
}

static void on_dying(struct daemon *d, void *arg)
{
	uint64_t pause = ENDING_SLOW_MS;
	struct lease *l, *next, *dead;

	(void)arg;
	do {
		dead = NULL;
		HASH_ITER (hh, d->leases->by_gen, l, next) {
			if (l->state != LEASE_ENDING)
				continue;
			if (is_dead(l))
				dead = l;
			if (clock_run_ms() - l->since_ms < ENDING_SOON_MS)
				pause = ENDING_CHECK_MS;
		}
		if (dead)
			end(dead, "its command is dead");
	} while (dead);
	if (d->leases->ending)
		ticker_start(d->leases->dying, pause);
}

int leases_open(struct daemon *d)
{
	struct leases *ls = calloc(1, sizeof *ls);

	if (!ls)
		return SC_ENOMEM;
	d->leases = ls;
	ls->check = ticker_new(d, on_check, NULL);
	ls->dying = ticker_new(d, on_dying, NULL);
	return ls->check && ls->dying ? 0 : SC_ENOMEM;
}

void leases_close(struct daemon *d)
{
	struct leases *ls = d->leases;
	struct lease *l, *next;

	HASH_ITER (hh, ls->by_gen, l, next) {
		struct key *k = l->key;

		lease_free(l);
		key_drop_if_unused(d, k);
	}
	ticker_free(ls->check);
	ticker_free(ls->dying);
	free(ls);
	d->leases = NULL;
}

unsigned leases_count(const struct daemon *d)
{
	return HASH_COUNT(d->leases->by_gen);
}

void lease_found(struct daemon *d, const struct flightfile *file, bool locked)
{
	struct bytes bucket = bytes_of(file->bucket), key = {file->key, file->key_len};
	struct key *k = key_find(d, bucket, key);
	struct lease *l;

	KILLPOINT("lease_found");
	/* Two of a key there cannot be: of the older one the file was marked before the newer one was begun. */
	if (!locked || file->doomed || file->ttl_ms == 0 || (k && k->lease)) {
		discard(d, &file->gen);
		return;
	}
	l = lease_new(d, file);
	if (l) /* without memory its file stays for the next daemon */
		set_state(l, LEASE_AWAITED, "found");
}

struct lease *lease_find(struct daemon *d, struct bytes bucket, struct bytes key)
{
	struct key *k = key_find(d, bucket, key);
	const char *why = k && k->lease ? why_over(k->lease) : NULL;

	if (!why)
		return k ? k->lease : NULL;
	give_up(k->lease, why);
	/* Whoever was asked again because of that may hold it by now. */
	k = key_find(d, bucket, key);
	return k ? k->lease : NULL;
}

const struct lease *lease_look(struct daemon *d, struct bytes bucket, struct bytes key)
{
	struct key *k = key_find(d, bucket, key);

	return k && k->lease && !why_over(k->lease) ? k->lease : NULL;
}

const struct lease *lease_look_prefix(struct daemon *d, struct bytes bucket, struct bytes prefix)
{
	struct lease *l, *next;

	HASH_ITER (hh, d->leases->by_gen, l, next)
		if (!why_over(l) &&
		    (bucket.n == 0 || (strlen(l->bucket) == bucket.n && memcmp(l->bucket, bucket.p, bucket.n) == 0)) &&
		    l->key_len >= prefix.n && (prefix.n == 0 || memcmp(l->key_bytes, prefix.p, prefix.n) == 0))
			return l;
	return NULL;
}

bool lease_is_there(const struct lease *l)
{
	return l->there;
}

bool lease_is_among(const struct lease *l, const struct gen *chain, size_t n)
{
	while (n > 0)
		if (gen_equal(&chain[--n], &l->gen))
			return true;
	return false;
}

void leases_list(struct daemon *d, void (*each)(void *arg, const struct event *e, uint64_t age_ms), void *arg)
{
	uint64_t now_ms = clock_now().boot_ms;
	struct lease *l, *next;

	HASH_ITER (hh, d->leases->by_gen, l, next) {
		struct event e = event_of(l, EVENT_HOLD);

		if (l->there)
			each(arg, &e, now_ms - l->began_ms);
	}
}

struct msg lease_row(const struct lease *l)
{
	return (struct msg){.type = MSG_FLIGHT,
			    .bucket = bytes_of(l->bucket),
			    .key = {l->key_bytes, l->key_len},
			    .gen = l->gen,
			    .order = l->order,
			    .age = clock_now().boot_ms - l->began_ms,
			    .pid = (uint64_t)nesting_pid(l->pidfd),
			    .leader = (uint64_t)l->pid,
			    .flags = FLIGHT_IS_LEASE,
			    .lag_least = SC_FOREVER,
			    .lag_most = SC_FOREVER};
}

const struct lease *leases_next(const struct daemon *d, struct bytes bucket, uint64_t after)
{
	const struct lease *least = NULL;

	for (const struct lease *l = d->leases->by_gen; l; l = l->hh.next)
		if (l->order > after && (!least || l->order < least->order) && strlen(l->bucket) == bucket.n &&
		    memcmp(l->bucket, bucket.p, bucket.n) == 0)
			least = l;
	return least;
}

char *lease_describe(const struct lease *l, char out[128])
{
	char age[32];

	human_format_duration(clock_now().boot_ms - l->began_ms, age);
	if (l->pid > 0)
		snprintf(out, 128, "pid %d, for %s", (int)l->pid, age);
	else
		snprintf(out, 128, "a process of the daemon before, for %s", age);
	return out;
}

/* ---- a holder's life ---- */

static void say_held(struct lease *l)
{
	struct msg m = {.type = MSG_HELD, .gen = l->gen, .order = l->order};
	int fds[HELD_FDS] = {l->fds[VALUE_WRITE], l->fds[LOCK]};
	struct seal_key keys[2];

	if (is_sealed(&l->sealed)) {
		/* Its record was sealed by it, or opened. */
		BUG_ON(keyring_streams(l->d->keyring, &l->sealed, &l->gen, keys) != 0);
		m.keys = (struct bytes){keys[0].b, sizeof keys};
	}

	/* The lock is the holder's alone from here on. */
	l->fds[VALUE_WRITE] = l->fds[LOCK] = -1;
	l->holder->state = CONN_HOLDING;
	conn_send(l->holder, &m, fds, HELD_FDS);
}

static void on_cleared(void *arg, int status, uint64_t changed)
{
	struct lease *l = arg;
	struct daemon *d = l->d;
	struct msg no = {.type = MSG_REFUSE,
			 .reason = REFUSE_STORE,
			 .error = status == SC_ESYS ? (uint64_t)errno : 0,
			 .text = bytes_of(sc_strerror(status))};

	(void)changed;
	KILLPOINT("lease_cleared");
	l->clearing = false;
	daemon_paid(d);
	if (l->holder && !status) {
		say_held(l);
		return;
	}
	if (l->holder) {
		l->holder->state = CONN_READY;
		conn_send(l->holder, &no, NULL, 0);
	}
	if (!d->stopping)
		end(l, status ? "what was there could not be removed" : "its holder is gone");
}

static int make_files(struct lease *l, const struct flightfile *file)
{
	int rc = flightfile_create(l->d->place.dir_fd, l->d->keyring, file, &l->fds[LOCK]);

	return rc ? rc : object_create(l->d->place.dir_fd, &l->gen, STREAM_OUT, &l->fds[VALUE_WRITE]);
}

/* What begins and fails leaves nothing. */
static int abandon(struct lease *l, int rc)
{
	struct daemon *d = l->d;
	struct gen gen = l->gen;
	struct key *k = l->key;
	int saved = errno;

	lease_free(l);
	object_unlink(d->place.dir_fd, &gen);
	flightfile_unlink(d->place.dir_fd, &gen);
	key_drop_if_unused(d, k);
	errno = saved;
	return rc;
}

int lease_begin(struct conn *c, const struct ask *ask)
{
	struct daemon *d = c->d;
	struct flightfile file = {.order = ++d->order, .ttl_ms = ask->ttl_ms, .lease = true, .key_len = ask->key_len};
	struct bytes bucket = bytes_of(ask->bucket), key = {ask->key, ask->key_len};
	struct lease *l;
	int rc;

	digest_generation(&file.gen);
	memcpy(file.bucket, ask->bucket, sizeof file.bucket);
	memcpy(file.key, ask->key, ask->key_len);
	file.sealed = ask->sealed;
	file.created_wall_ms = clock_now().wall_ms;
	l = lease_new(d, &file);
	if (!l)
		return SC_ENOMEM;
	rc = make_files(l, &file);
	if (rc)
		return abandon(l, rc);
	if (index_remove(d->index, bucket, key, UINT64_MAX, on_cleared, l))
		return abandon(l, SC_ENOMEM);
	l->clearing = true;
	daemon_owe(d);
	l->holder = c;
	l->pid = c->pid;
	c->lease = l;
	c->state = CONN_WAITING;
	set_state(l, LEASE_BEGUN, "asked for");
	/* What commits from now on finds itself doomed; whoever waited for it waits for us. */
	flights_doom(d, bucket, key);
	KILLPOINT("lease_begun");
	return 0;
}

int lease_give(const struct lease *l, struct conn *c)
{
	static const uint8_t no_sum[SC_SUM_SIZE];
	struct msg m = {.type = MSG_HIT,
			.gen = l->gen,
			.order = l->order,
			.age = clock_now().boot_ms - l->began_ms,
			.ttl = SC_FOREVER,
			.created = l->created_wall_ms,
			.out_sum = {no_sum, sizeof no_sum},
			.err_sum = {no_sum, sizeof no_sum}};
	struct seal_key keys[2];
	uint64_t size;
	int fd, rc = object_open(l->d->place.dir_fd, &l->gen, STREAM_OUT, &fd, &size);

	if (rc)
		return rc;
	m.out_len = size;
	if (is_sealed(&l->sealed)) {
		rc = keyring_streams(l->d->keyring, &l->sealed, &l->gen, keys);
		if (rc || seal_plain_size(size, &m.out_len)) {
			close(fd);
			return rc ? rc : SC_ECORRUPT;
		}
		m.keys = (struct bytes){keys[0].b, sizeof keys};
	}
	c->state = CONN_READING;
	conn_send(c, &m, &fd, 1);
	return 0;
}

static struct lease *find_gen(struct daemon *d, const struct gen *g)
{
	struct lease *l;

	HASH_FIND(hh, d->leases->by_gen, g, sizeof *g, l);
	return l;
}

void lease_holding(struct conn *c, const struct msg *m, int pidfd)
{
	struct msg ok = {.type = MSG_OK}, no = {.type = MSG_REFUSE, .reason = REFUSE_STORE};
	struct lease *l = find_gen(c->d, &m->gen);
	const char *why = l ? why_over(l) : NULL;

	/* Too late, and yet its command must be dead before the key is free. */
	if (why) {
		close_if_open(&l->pidfd);
		l->pidfd = pidfd;
		pidfd = -1;
		give_up(l, why);
	}
	/* Its own, or one that waits for whoever holds it: only he has been told the generation. */
	if (!l || why || (l->holder != c && l->state != LEASE_AWAITED) || (c->lease && c->lease != l) || l->clearing) {
		close_if_open(&pidfd);
		log_event(c->d->log, "holder-refused", "pid=%d", (int)c->pid);
		conn_send(c, &no, NULL, 0);
		return;
	}
	close_if_open(&l->pidfd);
	l->pidfd = pidfd;
	l->holder = c;
	l->pid = c->pid;
	c->lease = l;
	c->state = CONN_HOLDING;
	set_state(l, LEASE_HELD, l->state == LEASE_AWAITED ? "its holder is back" : "VALUE is whole");
	if (!l->there)
		flightfile_mark(c->d->place.dir_fd, &l->gen, MARK_HELD);
	KILLPOINT("lease_held");
	conn_send(c, &ok, NULL, 0);
	if (!l->there) {
		struct event e = event_of(l, EVENT_HOLD);

		l->there = true;
		event_tell(c->d, &e);
		key_changed(c->d, l->key);
	}
}

void lease_release(struct conn *c, const struct msg *m)
{
	struct msg ok = {.type = MSG_OK};

	if (!c->lease || !gen_equal(&c->lease->gen, &m->gen) || c->lease->clearing) {
		conn_close(c, "lets go of what it does not hold");
		return;
	}
	c->state = CONN_READY;
	end(c->lease, "let go");
	conn_send(c, &ok, NULL, 0);
}

/* We could not hear a holder that lives, so it shall say again what it has to say. */
static bool may_come_back(const struct lease *l, const struct conn *c)
{
	return c->blameless && l->state == LEASE_HELD && flightfile_is_locked(l->d->place.dir_fd, &l->gen);
}

void lease_holder_gone(struct conn *c)
{
	struct lease *l = c->lease;

	unbind(l);
	if (l->d->stopping || l->clearing)
		return; /* it registers with the next daemon; or the index answers, and then it ends */
	if (may_come_back(l, c)) {
		set_state(l, LEASE_AWAITED, "not to be heard");
		return;
	}
	KILLPOINT("lease_holder_gone");
	give_up(l, "its holder is gone");
}

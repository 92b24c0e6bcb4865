/* Client and writer speak to the daemon through this. Never prints: `why` and `mend` are for the caller to say. */
#include "cmd/session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/progress.h"
#include "cmd/signals.h"
#include "cmd/spawn.h"
#include "lib/build.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/sock.h"

/* A daemon that cuts us off is asked again so often, with pauses that grow up to a second in all. Each that follows one that died
 * has as many of its own; that so many die in a row is nobody's bad luck any more. */
#define RETRIES 4
#define TRIES 20
/* Until then an answer needs no second look at whether the daemon lives. */
#define PATIENCE_MS 100

static int fail(struct session *s, int rc, const char *why, const char *mend)
{
	snprintf(s->why, sizeof s->why, "%s", why);
	s->mend = mend;
	return rc;
}

int session_find(struct session *s, enum session_how how)
{
	int rc = place_open(&s->place, how == SESSION_START);

	if (rc)
		fail(s, rc, s->place.why, NULL);
	return rc;
}

static int open_lock(struct session *s)
{
	int rc = 0;

	if (s->lock.fd < 0)
		rc = s->looks ? lockfile_look(&s->lock, s->place.dir_fd) : lockfile_open(&s->lock, s->place.dir_fd);

	if (rc) {
		snprintf(s->why, sizeof s->why, "%s/lock: %s", s->place.path, sc_strerror(rc));
		s->mend = rc == SC_EUNSAFE ? "remove it, " SC_BIN " makes a new one" : NULL;
	}
	return rc;
}

static int connect_once(struct session *s)
{
	int rc = sock_connect(s->place.dir_fd, "sock", &s->fd);

	if (rc == 0) {
		frames_init(&s->in);
		s->greeted = false;
	} else {
		s->fd = -1;
	}
	return rc;
}

/* Under the start lock, and only if nobody was faster. */
static int start(struct session *s)
{
	char why[1024] = "";
	int rc = lockfile_begin_start(&s->lock);

	if (rc)
		return fail(s, rc, "another client has been starting the daemon for too long", NULL);
	KILLPOINT("start_locked");
	rc = connect_once(s);
	if (rc != SC_ENOENT)
		goto out;
	if (!lockfile_may_start(&s->lock, clock_now().boot_ms)) {
		rc = fail(s, SC_EEOF, "the daemon died at its start several times within a minute",
			  "see scd.log in the cache directory");
		goto out;
	}
	KILLPOINT("before_daemon_start");
	/* It is told a path. Started for another directory than ours it would be of no use to us. */
	if (!place_is_there(&s->place)) {
		rc = fail(s, SC_EUNSAFE, "the cache directory was removed or replaced", NULL);
		goto out;
	}
	rc = spawn_daemon(s->place.path, why, sizeof why);
	KILLPOINT("daemon_started");
	/* Every one counts as a failure until the daemon has answered somebody: it may die of the first question. Not when there
	 * was no process to be had, or too few descriptors: that says nothing about the daemon. */
	if (rc != SC_ESYS)
		lockfile_note_start(&s->lock, clock_now().boot_ms, true);
	if (rc == 0) {
		rc = connect_once(s);
	} else {
		snprintf(s->why, sizeof s->why, "the daemon did not start: %s",
			 rc == SC_EEOF || rc == SC_EBUSY ? why : sc_strerror(rc));
		s->mend = NULL;
	}
out:
	lockfile_end_start(&s->lock);
	return rc;
}

int session_open(struct session *s, enum session_how how)
{
	int rc = 0;

	s->why[0] = '\0';
	s->mend = NULL;
	s->looks = how == SESSION_LOOK;
	if (s->place.dir_fd < 0)
		rc = session_find(s, how);
	if (rc)
		return rc;
	rc = connect_once(s);
	if (rc == SC_ENOENT && how == SESSION_START) {
		rc = open_lock(s);
		if (rc == 0)
			rc = start(s);
	}
	if (rc == 0 || s->why[0])
		return rc;
	if (rc == SC_ENOENT)
		return fail(s, rc, "no daemon is running", NULL);
	if (rc == SC_EPEER)
		return fail(s, rc, "the daemon's socket belongs to another user", NULL);
	if (rc == SC_ETIME)
		return fail(s, rc, "daemon not answering", NULL);
	snprintf(s->why, sizeof s->why, "%s/sock: %s", s->place.path,
		 rc == SC_EUNSAFE ? "something that is not a socket lies there (remove it)" : sc_strerror(rc));
	return rc;
}

void session_adopt(struct session *s, int fd)
{
	frames_init(&s->in);
	s->fd = fd;
	s->greeted = true;
}

void session_close(struct session *s)
{
	if (s->fd < 0)
		return;
	frames_release(&s->in);
	close(s->fd);
	s->fd = -1;
	s->why[0] = '\0';
}

void session_release(struct session *s)
{
	session_close(s);
	lockfile_close(&s->lock);
	place_close(&s->place);
}

int session_say(struct session *s, const struct msg *m, const int *fds, size_t nfds)
{
	struct msg hello = {.type = MSG_HELLO,
			    .version = sc_proto_version,
			    .build = bytes_of(sc_build),
			    .flags = s->looks ? HELLO_LOOKS : 0u};
	size_t sent = 0;
	struct buf b;
	int rc = 0;

	buf_init(&b, 2 * (SC_FRAME_MAX + 4));
	if (!s->greeted)
		rc = msg_encode(&b, &hello);
	if (rc == 0)
		rc = msg_encode(&b, m);
	s->greeted = true;
	while (rc == 0 && sent < b.len) {
		ssize_t n = sock_send(s->fd, b.data + sent, b.len - sent, fds, sent ? 0 : nfds);

		if (n > 0)
			sent += (size_t)n;
		else if (n == SC_EAGAIN || (n == SC_ESYS && errno == EINTR))
			poll(&(struct pollfd){.fd = s->fd, .events = POLLOUT}, 1, 1);
		else
			rc = (int)n;
	}
	buf_release(&b);
	return rc;
}

/* A daemon that does not listen to us cannot be asked to stop. */
static const char *how_to_end(struct session *s)
{
	pid_t pid = 0;

	if (sock_check_peer(s->fd, NULL, &pid) || pid <= 0)
		return NULL;
	snprintf(s->mend_text, sizeof s->mend_text, "kill -9 %ld loses nothing", (long)pid);
	return s->mend_text;
}

/* Waits for the socket to be readable. A daemon that says nothing is hung only if its loop stands still, too. */
static int await(struct session *s, uint64_t wait_ms)
{
	uint64_t start_ms = clock_run_ms(), looked_ms = 0, before = 0, pulse;
	bool looked = false;

	for (;;) {
		uint64_t passed = clock_run_ms() - start_ms, pause = looked ? SC_SILENCE_MS / 8 : PATIENCE_MS, now;
		uint64_t left = wait_ms > passed ? wait_ms - passed : 0;
		struct pollfd p = {.fd = s->fd, .events = POLLIN};
		int n = poll(&p, 1, (int)(left < pause ? left : pause));

		if (n > 0)
			return 0;
		if (n < 0)
			return SC_ESYS;
		if (left <= pause && wait_ms != SC_FOREVER)
			return SC_EAGAIN;
		progress_tick();
		if (open_lock(s) || !lockfile_pulse(&s->lock, &pulse))
			pulse = before; /* not to be read: as if it stood still */
		now = clock_run_ms();
		if (!looked || pulse != before) {
			looked = true;
			looked_ms = now;
			before = pulse;
		} else if (now - looked_ms >= SC_SILENCE_MS - PATIENCE_MS) {
			return fail(s, SC_ETIME, "daemon not answering", how_to_end(s));
		}
	}
}

int session_hear(struct session *s, struct msg *m, int fds[SC_FDS_MAX], size_t *nfds, uint64_t wait_ms)
{
	for (;;) {
		int rc = frames_next(&s->in, m, fds, nfds);

		if (rc == SC_EAGAIN) {
			rc = await(s, wait_ms);
			if (rc == 0)
				rc = frames_fill(&s->in, s->fd);
			if (rc == 0)
				continue;
		}
		if (rc == SC_EEOF)
			return fail(s, rc, "the daemon went away", NULL);
		if (rc == SC_EPROTO)
			return fail(s, rc, "the daemon speaks in a way we do not understand", SC_BIN " daemon restart");
		if (rc)
			return rc;
		if (m->type != MSG_HELLO)
			return 0;
		s->version = m->version;
		snprintf(s->build, sizeof s->build, "%.*s", (int)m->build.n, (const char *)m->build.p);
	}
}

/* The older of the two makes room: a daemon at once, so that we may start ours; we by not asking again. Who only looks, neither. */
static int refused_version(struct session *s)
{
	if (s->version > sc_proto_version)
		return fail(s, SC_EPROTO, "the daemon is of a newer version than this " SC_BIN, NULL);
	if (s->looks)
		return fail(s, SC_EPROTO, "the daemon is of an older version than this " SC_BIN, SC_BIN " daemon restart");
	return fail(s, SC_EEOF, "the daemon is of another version", SC_BIN " daemon restart");
}

static bool may_ask_again(const struct session *s, int rc)
{
	return rc == SC_EEOF && s->fd >= 0;
}

static bool is_another(const struct session *s, pid_t *met)
{
	pid_t pid = 0;
	bool another;

	if (sock_check_peer(s->fd, NULL, &pid))
		return false;
	another = pid != *met;
	*met = pid;
	return another;
}

static void pause_before(int try)
{
	int ms = (try < RETRIES ? try : RETRIES - 1) * 40 + (int)(clock_run_ms() + (uint64_t)getpid()) % 40;

	nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000L}, NULL);
}

int session_ask(struct session *s, enum session_how how, const struct msg *q, struct msg *m, int fds[SC_FDS_MAX], size_t *nfds,
		uint64_t wait_ms)
{
	int rc = SC_EEOF, asked = 0;
	pid_t met = 0;

	for (int i = 0; i < TRIES && asked < RETRIES; i++) {
		if (i > 0) {
			pause_before(i);
			session_close(s);
		}
		/* The connection there is says who asks: one that has just lost a run is expected to. */
		rc = s->fd >= 0 ? 0 : session_open(s, how);
		/* It was idle, and went between "ready" and our connection, or was killed before. */
		if ((rc == SC_ENOENT || rc == SC_EBUSY) && how == SESSION_START)
			continue;
		if (rc)
			return rc;
		asked = is_another(s, &met) ? 1 : asked + 1;
		rc = session_say(s, q, NULL, 0);
		KILLPOINT("question_sent");
		/* Also when the send failed: what it said before it went is still there. */
		if (rc == 0 || rc == SC_EEOF)
			do {
				rc = session_hear(s, m, fds, nfds, wait_ms);
			} while (rc == SC_ESYS && errno == EINTR && !signals_pending());
		if (rc == 0 && m->type == MSG_REFUSE && m->reason == REFUSE_VERSION)
			rc = refused_version(s);
		if (!may_ask_again(s, rc))
			break;
	}
	return rc;
}

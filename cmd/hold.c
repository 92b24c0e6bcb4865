/* `sc hold`: KEY exists, with VALUE, while CMD runs. The daemon gives us a lease; CMD is born waiting, the daemon gets a descriptor of it and
 * answers that KEY is held, and only then it is let go. From then on a daemon that goes is followed by the next one, which is told the
 * same. When CMD has ended the lease is given back before we end, so that whoever comes behind us finds nothing. Never without the
 * lease: where it cannot be had CMD is not run, and if it is lost CMD is ended. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/request.h"
#include "cmd/sealed.h"
#include "cmd/session.h"
#include "cmd/signals.h"
#include "cmd/spawn.h"
#include "cmd/spool.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/killpoint.h"
#include "lib/object.h"

enum { TTL, WAIT, BUCKET, QUIET, OPTIONS };

const struct option_row hold_options[] = {
	[TTL] = {'t', "ttl", "DUR",
		 "a daemon that follows one that died believes for DUR that we are still there (default 10s)"},
	[WAIT] = {'w', "wait", "DUR", "while somebody else holds KEY wait so long, then exit 124 (default: at once)"},
	[BUCKET] = {'b', "bucket", "NAME", BUCKET_HELP},
	[QUIET] = {'q', "quiet", NULL, "no messages of " SC_BIN "'s own"},
	[OPTIONS] = {0},
};

/* A daemon that dies of our lease is not followed by more than so many. */
#define TRIES 4

struct hold {
	struct request req; /* key, bucket, ttl, wait, and what we are inside of */
	const char *value;  /* NULL: none */
	struct session session;
	struct gen gen;
	bool sealed;			      /* VALUE is to be, … */
	struct seal_key keys[SC_SEALED_KEYS]; /* … under these */
	int lock_fd;			      /* as long as it is open the lease is ours */
	struct beside cmd;
	unsigned owed; /* answers that are still to come */
	uint64_t next_try_ms;
	bool lost; /* CMD is being ended for it */
	uint64_t kill_ms;
};

/* ---- the command line ---- */

static bool check(const struct options *o)
{
	if (o->nwords > 2)
		return options_error(o, "one KEY and one VALUE: CMD begins behind --") == 0;
	if (!o->cmd)
		return options_error(o, "hold without a command: it is held while CMD runs (say -- CMD)") == 0;
	if (!o->cmd[0])
		return options_error(o, "there is no command after --") == 0;
	if (!o->cmd[0][0])
		return options_error(o, "the command after -- is an empty word") == 0;
	return true;
}

static bool parse(struct hold *h, const struct command *self, int argc, char **argv)
{
	const struct option_row *row;
	unsigned long long ms;
	struct options o;

	options_start(&o, self, argc, argv);
	if (!request_begin(&h->req, &o))
		return false;
	/* SC_TTL is about what is stored, which this is not. */
	h->req.ttl_ms = SC_LEASE_MS;
	while ((row = options_next(&o))) {
		if (row - hold_options == QUIET)
			h->req.quiet = true;
		else if (row - hold_options == BUCKET)
			h->req.bucket = o.value;
		else if (!options_duration(&o, row, &ms))
			return false;
		else if (row - hold_options == TTL)
			h->req.ttl_ms = ms;
		else
			h->req.wait_ms = ms;
	}
	if (options_failed(&o) || !request_take_key(&h->req, &o, SC_KEY_MAX) || !check(&o) ||
	    !request_read_bucket(&h->req.bucket, &o, h->req.bucket))
		return false;
	h->value = o.nwords > 1 ? o.words[1] : NULL;
	h->req.cmd = o.cmd;
	return true;
}

static void say(const struct hold *h, const char *why, const char *mend)
{
	if (!h->req.quiet)
		complain(h->req.key, why, mend);
}

static int fail(const struct hold *h, const char *why, const char *mend)
{
	say(h, why, mend);
	return EXIT_FAILED;
}

/* ---- the lease ---- */

/* WAITs passed over; a daemon that goes meanwhile is followed by the next. SC_EAGAIN: --wait is over. */
static int hear_answer(struct hold *h, bool wait, struct msg *m, int *fds, size_t *nfds)
{
	uint64_t now = clock_run_ms(), until = now + h->req.wait_ms < now ? SC_FOREVER : now + h->req.wait_ms;
	struct msg q = {.type = MSG_HOLD,
			.bucket = bytes_of(h->req.bucket),
			.key = bytes_of(h->req.key),
			.flags = wait ? HOLD_WAIT : 0,
			.ttl = h->req.ttl_ms,
			.chain = request_inside(&h->req)};
	int rc = session_ask(&h->session, SESSION_START, &q, m, fds, nfds, SC_FOREVER);

	while (rc == 0 && m->type == MSG_WAIT) {
		do {
			now = clock_run_ms();
			rc = session_hear(&h->session, m, fds, nfds,
					  until == SC_FOREVER ? SC_FOREVER
					  : until > now	      ? until - now
							      : 0);
		} while (rc == SC_ESYS && errno == EINTR);
		if (rc == SC_EEOF)
			rc = session_ask(&h->session, SESSION_START, &q, m, fds, nfds, SC_FOREVER);
	}
	return rc;
}

static int refused(const struct hold *h, const struct msg *m)
{
	char why[320], text[256];

	human_escape(m->text.p, m->text.n, text, sizeof text);
	if (m->type == MSG_REFUSE && m->reason == REFUSE_HELD) {
		snprintf(why, sizeof why, "is held by %s", text);
		say(h, why, h->req.wait_ms ? NULL : "--wait DUR waits for it");
		return EXIT_WAITED;
	}
	if (m->type == MSG_REFUSE && m->reason == REFUSE_NESTED)
		return fail(h, "is held by what we are inside of", NULL);
	snprintf(why, sizeof why, "cannot be held: %s", m->error ? strerror((int)m->error) : text);
	return fail(h, why, m->error == ENOSPC ? "free some space" : NULL);
}

/* 0: it is ours, and VALUE is to be written to *value_fd. Else the status to end with. */
static int take(struct hold *h, int *value_fd)
{
	int fds[SC_FDS_MAX], rc;
	size_t nfds = 0;
	struct msg m;

	rc = hear_answer(h, h->req.wait_ms > 0, &m, fds, &nfds);
	if (rc == SC_EAGAIN) {
		/* Once more, to be told who it is; or it has become free just now. */
		session_close(&h->session);
		rc = hear_answer(h, false, &m, fds, &nfds);
	}
	if (rc)
		return fail(h, h->session.why[0] ? h->session.why : sc_strerror(rc), h->session.mend);
	if (m.type != MSG_HELD)
		return refused(h, &m);
	KILLPOINT("hold_told");
	h->gen = m.gen;
	h->sealed = sealed_keys(m.keys, h->keys);
	*value_fd = fds[0];
	h->lock_fd = fds[1];
	return 0;
}

/* As echo would: whoever reads it by lines finds one. */
static int write_value(const struct hold *h, int fd)
{
	size_t n = h->value ? strlen(h->value) + 1 : 0;
	uint8_t *line = malloc(n + 1), *bytes = line;
	int rc = 0, saved;

	if (line && h->value)
		snprintf((char *)line, n + 1, "%s\n", h->value);
	if (line && h->sealed)
		bytes = sealed_whole(&h->gen, STREAM_OUT, &h->keys[STREAM_OUT], line, &n);
	rc = bytes ? spool_append_file(fd, bytes, n) : SC_ENOMEM;
	saved = rc == SC_ENOMEM ? ENOMEM : errno;
	if (bytes != line)
		free(bytes);
	free(line);
	close(fd);
	errno = saved;
	KILLPOINT("value_written");
	return rc;
}

static void tell(struct hold *h)
{
	struct msg m = {.type = MSG_HOLDING, .gen = h->gen};

	/* What the daemon said before it went is read behind this, as is its end. */
	session_say(&h->session, &m, &h->cmd.pidfd, 1);
	h->owed = 1;
	KILLPOINT("holding_told");
}

/* Says that VALUE is whole, and hears that KEY is held. 0, or an error with session.why. */
static int confirm(struct hold *h)
{
	int fds[SC_FDS_MAX], rc = 0;
	size_t nfds = 0;
	struct msg m = {.type = 0};

	for (int try = 0; try < TRIES; try++) {
		if (h->session.fd < 0)
			rc = session_open(&h->session, SESSION_START);
		if (rc == 0) {
			tell(h);
			do {
				rc = session_hear(&h->session, &m, fds, &nfds, SC_FOREVER);
			} while (rc == SC_ESYS && errno == EINTR);
		}
		if (rc == 0) {
			h->owed = 0;
			return m.type == MSG_OK ? 0 : SC_EBUSY;
		}
		if (rc != SC_EEOF && rc != SC_ENOENT && rc != SC_EBUSY)
			return rc;
		session_close(&h->session);
		nanosleep(&(struct timespec){.tv_nsec = (try + 1) * 40 * 1000000L}, NULL);
		rc = 0;
	}
	return SC_EEOF;
}

/* ---- while CMD runs ---- */

static void lose(struct hold *h)
{
	if (h->lost)
		return;
	h->lost = true;
	say(h, "is not ours any more, so the command is ended", NULL);
	spawn_signal(&h->cmd, SIGTERM);
	spawn_signal(&h->cmd, SIGCONT); /* a stopped one cannot obey */
	h->kill_ms = clock_run_ms() + SC_GRACE_MS;
}

static void lose_daemon(struct hold *h)
{
	session_close(&h->session);
	KILLPOINT("holder_alone");
	/* At once, but for one that had not taken us: it would be asked in a circle. */
	h->next_try_ms = h->owed ? clock_run_ms() + SC_RECONNECT_MS : 0;
	h->owed = 0;
}

static void listen_to_daemon(struct hold *h)
{
	int fds[SC_FDS_MAX], rc;
	size_t nfds;
	struct msg m;

	while (h->session.fd >= 0) {
		rc = session_hear(&h->session, &m, fds, &nfds, 0);
		if (rc == SC_EAGAIN || (rc == SC_ESYS && errno == EINTR))
			return;
		for (size_t i = 0; rc == 0 && i < nfds; i++)
			close(fds[i]);
		if (rc) {
			lose_daemon(h);
		} else if (m.type == MSG_OK) {
			h->owed = 0;
		} else if (m.type == MSG_REFUSE) {
			h->owed = 0;
			session_close(&h->session);
			lose(h);
		}
	}
}

static void find_daemon(struct hold *h)
{
	h->next_try_ms = clock_run_ms() + SC_RECONNECT_MS;
	if (session_open(&h->session, SESSION_JOIN) == 0)
		tell(h);
	else if (!place_is_there(&h->session.place))
		lose(h); /* whoever asks for KEY from now on asks in another directory */
}

static int pause_ms(const struct hold *h, uint64_t now)
{
	uint64_t at = SC_FOREVER;

	if (h->session.fd < 0 && !h->lost)
		at = h->next_try_ms;
	if (h->lost && h->kill_ms < at)
		at = h->kill_ms;
	return at == SC_FOREVER ? -1 : at > now ? (int)(at - now) : 0;
}

static void run_to_its_end(struct hold *h, struct ended *how)
{
	enum { CMD, SIGNALS, DAEMON, N };

	for (;;) {
		struct pollfd p[N] = {[CMD] = {.fd = h->cmd.pidfd, .events = POLLIN},
				      [SIGNALS] = {.fd = h->cmd.signal_fd, .events = POLLIN},
				      [DAEMON] = {.fd = h->session.fd, .events = POLLIN}};
		uint64_t now = clock_run_ms();

		if (poll(p, N, pause_ms(h, now)) > 0) {
			if (p[SIGNALS].revents)
				spawn_pass_on(&h->cmd, how);
			if (p[CMD].revents)
				return;
			if (p[DAEMON].revents)
				listen_to_daemon(h);
		}
		now = clock_run_ms();
		if (h->session.fd < 0 && !h->lost && now >= h->next_try_ms)
			find_daemon(h);
		if (h->lost && now >= h->kill_ms) {
			spawn_signal(&h->cmd, SIGKILL);
			h->kill_ms = SC_FOREVER;
		}
	}
}

/* When it is answered nobody finds KEY any more. Without a daemon our lock is all there is of it. */
static void release(struct hold *h)
{
	struct msg q = {.type = MSG_RELEASE, .gen = h->gen}, m;
	int fds[SC_FDS_MAX], rc = 0;
	size_t nfds;

	KILLPOINT("command_over");
	if (h->session.fd >= 0 && !h->lost) {
		session_say(&h->session, &q, NULL, 0);
		h->owed++;
	}
	KILLPOINT("release_sent");
	while (h->session.fd >= 0 && h->owed && rc == 0) {
		rc = session_hear(&h->session, &m, fds, &nfds, SC_FOREVER);
		if (rc == SC_ESYS && errno == EINTR)
			rc = 0;
		else if (rc == 0)
			h->owed--;
	}
	close(h->lock_fd);
	session_release(&h->session);
}

static int end(const struct hold *h, const struct ended *how)
{
	char why[64];

	if (h->lost)
		return EXIT_FAILED;
	if (how->signal && how->signal == how->caught)
		signals_die(how->signal);
	if (how->signal) {
		snprintf(why, sizeof why, "command killed by signal %d", how->signal);
		say(h, why, NULL);
	}
	return how->signal ? 128 + how->signal : how->exit;
}

/* Never let go: it ends without having begun. */
static int give_up(struct hold *h, const char *why)
{
	struct ended how = {.exit = 0};

	spawn_signal(&h->cmd, SIGKILL);
	spawn_end(&h->cmd, &how);
	close(h->lock_fd);
	return fail(h, why, NULL);
}

int run_hold(const struct command *self, int argc, char **argv)
{
	static struct hold h = {.session = SESSION_INIT, .lock_fd = -1};
	struct ended how = {.exit = 0};
	char why[SC_PATH_MAX + 640];
	int value_fd, rc;

	if (!parse(&h, self, argc, argv))
		return EXIT_FAILED;
	rc = take(&h, &value_fd);
	if (rc)
		return rc;
	if (write_value(&h, value_fd)) {
		snprintf(why, sizeof why, "cannot be held: %s", strerror(errno));
		return fail(&h, why, errno == ENOSPC ? "free some space" : NULL);
	}
	if (spawn_beside(&h.cmd, h.req.cmd, request_chain(&h.req, &h.gen)))
		return fail(&h, strerror(errno), NULL);
	KILLPOINT("hold_forked");
	rc = confirm(&h);
	if (rc) {
		snprintf(why, sizeof why, "cannot be held: %s",
			 h.session.why[0] ? h.session.why : "the daemon does not know us any more");
		return give_up(&h, why);
	}
	KILLPOINT("before_let_go");
	spawn_let_go(&h.cmd);
	run_to_its_end(&h, &how);
	spawn_wait(&h.cmd, &how);
	release(&h);
	spawn_end(&h.cmd, &how);
	return end(&h, &how);
}

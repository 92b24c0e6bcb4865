/* `sc daemon …`: the daemon's life, by hand. Nothing needs it: clients start one, and it goes by itself. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/request.h"
#include "cmd/session.h"
#include "cmd/spawn.h"
#include "cmd/talk.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/sock.h"

enum { NOW, OPTIONS };

const struct option_row daemon_options[] = {
	[NOW] = {0, "now", NULL, "stop: do not wait for runs to end; they go on and register with the next daemon"},
	[OPTIONS] = {0},
};

static int daemon_start(void)
{
	struct session s = SESSION_INIT;
	struct msg q = {.type = MSG_STATUS}, m;
	int rc = talk_ask(&s, SESSION_START, "daemon", &q, &m);

	session_release(&s);
	return rc ? EXIT_FAILED : 0;
}

static int daemon_status(void)
{
	struct session s = SESSION_INIT;
	struct msg q = {.type = MSG_STATUS}, m;
	int rc = talk_ask(&s, SESSION_LOOK, "daemon", &q, &m);
	char up[32], bad[64] = "";

	if (rc == 0 && m.bad)
		snprintf(bad, sizeof bad, " (%llu found damaged)", (unsigned long long)m.bad);
	if (rc == SC_ENOENT)
		puts("not running");
	else if (rc == 0)
		printf("running, pid %llu, build %.*s, up %s, %llu entr%s%s, %llu run%s in progress, in %s\n",
		       (unsigned long long)m.pid, (int)m.build.n, (const char *)m.build.p, human_format_duration(m.uptime, up),
		       (unsigned long long)m.entries, m.entries == 1 ? "y" : "ies", bad, (unsigned long long)m.count,
		       m.count == 1 ? "" : "s", s.place.path);
	session_release(&s);
	return rc == 0 ? 0 : rc == SC_ENOENT ? EXIT_NO_KEY : EXIT_FAILED;
}

/* A wait that is shorter than this is not worth a word: nor is that of who is inside of a run, which the daemon may learn only now. */
#define SHORT_MS 300

/* Returns when the daemon is gone, not only deaf: the end of its process, known from who is at the other end of our connection. runs: so many
 * have to end before that. */
static int await_gone(struct session *s, uint64_t runs)
{
	uint64_t patience = runs ? SHORT_MS : SC_FOREVER;
	int fds[SC_FDS_MAX], rc, pidfd = -1;
	struct msg m;
	size_t nfds;
	pid_t pid;

	/* In another pid namespace it has no number here; then the end of the connection must do. */
	if (sock_check_peer(s->fd, NULL, &pid) == 0 && pid > 0)
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	do {
		rc = session_hear(s, &m, fds, &nfds, patience);
		if (rc == SC_EAGAIN) {
			fprintf(stderr, "%s: daemon: waiting for %llu run%s to end (--now does not)\n", SC_BIN,
				(unsigned long long)runs, runs == 1 ? "" : "s");
			patience = SC_FOREVER;
		}
	} while (rc == 0 || rc == SC_EAGAIN || (rc == SC_ESYS && errno == EINTR));
	/* It has left its loop, whose counter stands still while the index is being closed. */
	if (rc == SC_ETIME && pidfd >= 0 && poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, SC_START_MS) > 0)
		rc = SC_EEOF;
	while (rc == SC_EEOF && pidfd >= 0 && poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, -1) < 0)
		;
	if (pidfd >= 0)
		close(pidfd);
	if (rc == SC_EEOF)
		return 0;
	complain("daemon", s->why[0] ? s->why : sc_strerror(rc), NULL);
	return EXIT_FAILED;
}

static int daemon_stop_it(bool now)
{
	struct session s = SESSION_INIT;
	struct gen chain[SC_CHAIN_MAX];
	size_t nchain = request_read_chain(chain);
	struct msg q = {.type = MSG_STOP,
			.flags = now ? STOP_NOW : 0u,
			.chain = {(const uint8_t *)chain, nchain * sizeof *chain}},
		   m;
	int rc = talk_ask(&s, SESSION_JOIN, "daemon", &q, &m), status = EXIT_FAILED;

	if (rc == SC_ENOENT)
		status = 0; /* none runs, which is what was asked for */
	if (rc == 0)
		status = await_gone(&s, m.type == MSG_WAIT ? m.count : 0);
	session_release(&s);
	return status;
}

static int daemon_run(void)
{
	struct session s = SESSION_INIT;

	if (session_find(&s, SESSION_START) == 0) {
		spawn_become_daemon(s.place.path);
		complain("daemon", "scd was not found", NULL);
	} else {
		complain("daemon", s.why, NULL);
	}
	return EXIT_FAILED;
}

int run_daemon(const struct command *self, int argc, char **argv)
{
	static const char *const words[] = {"start", "stop", "restart", "status", "run", NULL};
	struct options o;
	char shown[128];
	const char *near;
	bool now = false;

	options_start(&o, self, argc, argv);
	while (options_next(&o))
		now = true;
	if (options_failed(&o))
		return EXIT_USAGE;
	if (o.nwords != 1)
		return options_error(&o, "say one of start, stop, restart, status, run");
	if (now && strcmp(o.words[0], "stop") != 0 && strcmp(o.words[0], "restart") != 0)
		return options_error(&o, "--now goes with stop and restart");
	if (strcmp(o.words[0], "start") == 0)
		return daemon_start();
	if (strcmp(o.words[0], "stop") == 0)
		return daemon_stop_it(now);
	if (strcmp(o.words[0], "restart") == 0)
		return daemon_stop_it(now) || daemon_start() ? EXIT_FAILED : 0;
	if (strcmp(o.words[0], "status") == 0)
		return daemon_status();
	if (strcmp(o.words[0], "run") == 0)
		return daemon_run();
	near = human_nearest(o.words[0], words);
	human_escape(o.words[0], strlen(o.words[0]), shown, sizeof shown);
	return near ? options_error(&o, "'%s' is not known, did you mean '%s'?", shown, near)
		    : options_error(&o, "'%s' is not known: start, stop, restart, status, run", shown);
}

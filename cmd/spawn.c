/* The daemon, and descriptors 0 to 2. Called by main.c, session.c, admin.c and doctor.c. Nothing here waits but for a daemon to be ready. */
#include "cmd/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/spawn_parts.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/limits.h"
void spawn_fill_low_fds(void)
{
	/* The wrong way round on purpose: a write to what was closed fails, and close-on-exec closes it for the command. */
	static const int mode[3] = {O_WRONLY, O_RDONLY, O_RDWR};

	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", mode[fd] | O_CLOEXEC) != fd)
			_exit(EXIT_FAILED);
}

/* ---- the daemon ---- */

int spawn_find_daemon(char path[SC_PATH_MAX])
{
	static const char *const places[] = {"scd", "../libexec/" SC_BIN "/scd"};
	ssize_t n = readlink("/proc/self/exe", path, SC_PATH_MAX - 64);
	char *slash;

	if (n <= 0)
		return SC_ENOENT;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return SC_ENOENT;
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		snprintf(slash + 1, 64, "%s", places[i]);
		if (access(path, X_OK) == 0)
			return 0;
	}
	return SC_ENOENT;
}

/* A secret in somebody's environment does not belong into a process that outlives them. */
static char **daemon_environment(void)
{
	static const char *const allowed[] = {"SC_DIR=",
					      "HOME=",
					      "PATH=",
					      "LANG=",
					      "TZ=",
					      "XDG_",
					      "LISTEN_",
					      "NOTIFY_SOCKET=",
					      "CREDENTIALS_DIRECTORY=",
#ifdef SC_TEST_BUILD
					      "SC_KILLAT=",
					      "SC_FAULT=",
					      "ASAN_OPTIONS=",
					      "UBSAN_OPTIONS=",
#endif
					      NULL};
	static char *env[64];
	size_t n = 0;

	for (char **e = environ; *e && n < 63; e++)
		for (const char *const *a = allowed; *a; a++)
			if (strncmp(*e, *a, strlen(*a)) == 0) {
				env[n++] = *e;
				break;
			}
	env[n] = NULL;
	return env;
}

void spawn_reset_signals(void)
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void exec_daemon(const char *path, const char *dir, int ready_fd)
{
	char *const argv[] = {(char *)(uintptr_t) "scd", (char *)(uintptr_t) "--ready-fd=3", (char *)(uintptr_t)dir, NULL};
	int null_fd = open("/dev/null", O_RDWR);

	spawn_reset_signals();
	KILLPOINT("before_daemon_exec");
	for (int fd = 0; fd < 3; fd++)
		dup2(null_fd, fd);
	dup2(ready_fd, 3);
	close_range(4, ~0U, 0);
	setsid();
	if (chdir("/") == 0)
		execve(path, argv, daemon_environment());
	_exit(EXIT_NOT_FOUND);
}

/* Reads what the daemon says until it closes its end: "ready", or why not. */
static int await_ready(int fd, char *why, size_t size)
{
	uint64_t until = clock_run_ms() + SC_START_MS;
	size_t n = 0;

	for (;;) {
		uint64_t now = clock_run_ms();
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t r;

		if (now >= until)
			return SC_ETIME;
		if (poll(&p, 1, (int)(until - now)) <= 0)
			continue;
		r = read(fd, why + n, size - 1 - n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	why[n] = '\0';
	if (strcmp(why, "ready") == 0)
		return 0;
	if (n > 0)
		return SC_EEOF;
	snprintf(why, size, "it died without a word");
	return SC_EBUSY;
}

int spawn_daemon(const char *dir, char *why, size_t size)
{
	char path[SC_PATH_MAX];
	struct rlimit files;
	int pipe_fd[2], rc;
	pid_t pid;

	if (spawn_find_daemon(path)) {
		snprintf(why, size, "there is no scd beside %s, nor in ../libexec/%s", SC_BIN, SC_BIN);
		return SC_EEOF;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max < SC_DAEMON_FDS) {
		errno = EMFILE;
		return SC_ESYS;
	}
	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return SC_ESYS;
	pid = fork();
	if (pid == 0) {
		/* Twice, so that it is nobody's child: whoever waits for all of theirs must not wait for it. */
		pid = fork();
		if (pid == 0)
			exec_daemon(path, dir, pipe_fd[1]);
		_exit(pid < 0);
	}
	KILLPOINT("daemon_forked");
	close(pipe_fd[1]);
	if (pid < 0) {
		rc = SC_ESYS;
	} else {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		rc = await_ready(pipe_fd[0], why, size);
	}
	close(pipe_fd[0]);
	return rc;
}

int spawn_ask_build(const char *path, char build[SC_BUILD_MAX + 1])
{
	char *const argv[] = {(char *)(uintptr_t) "scd", (char *)(uintptr_t) "--version", NULL};
	char said[SC_BUILD_MAX + 8];
	int pipe_fd[2], rc;
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return SC_ESYS;
	pid = fork();
	if (pid == 0) {
		spawn_reset_signals();
		dup2(pipe_fd[1], STDOUT_FILENO);
		close_range(3, ~0U, 0);
		execve(path, argv, daemon_environment());
		_exit(EXIT_NOT_FOUND);
	}
	close(pipe_fd[1]);
	rc = pid < 0 ? SC_ESYS : await_ready(pipe_fd[0], said, sizeof said);
	close(pipe_fd[0]);
	if (pid < 0)
		return rc;
	if (rc == SC_ETIME)
		kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (rc == SC_ETIME || strncmp(said, "scd ", 4) != 0)
		return rc == SC_ETIME ? rc : SC_EPROTO;
	snprintf(build, SC_BUILD_MAX + 1, "%.*s", (int)strcspn(said + 4, "\n"), said + 4);
	return 0;
}

void spawn_become_daemon(const char *dir)
{
	char path[SC_PATH_MAX];
	char *const argv[] = {(char *)(uintptr_t) "scd", (char *)(uintptr_t)dir, NULL};

	if (spawn_find_daemon(path) == 0)
		execve(path, argv, daemon_environment());
}

/* ---- pipes ---- */

void spawn_close_pair(int fd[2])
{
	for (int i = 0; i < 2; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

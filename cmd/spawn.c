/* Forks and execs. Called by session.c (the daemon), writer.c (the command) and get.c (bypass). Nothing here waits but for a
 * daemon to be ready. */
#include "cmd/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/command.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/limits.h"

/* 64 KiB is a pipe's default; a command that prints a lot should not be woken for each of them. */
#define PIPE_SIZE (256 * 1024)

void spawn_fill_low_fds(void)
{
	/* The wrong way round on purpose: a write to what was closed fails, and close-on-exec closes it for the command. */
	static const int mode[3] = {O_WRONLY, O_RDONLY, O_RDWR};

	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", mode[fd] | O_CLOEXEC) != fd)
			_exit(EXIT_FAILED);
}

/* ---- the daemon ---- */

/* Beside ourselves, else in the libexec of the prefix we are installed in; never through PATH, which is the caller's. */
static int find_daemon(char path[SC_PATH_MAX])
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
	static const char *const allowed[] = {
		"SC_DIR=",    "HOME=",	   "PATH=",	    "LANG=",	      "TZ=", "XDG_", "LISTEN_", "NOTIFY_SOCKET=",
#ifdef SC_TEST_BUILD
		"SC_KILLAT=", "SC_FAULT=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=",
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

static void reset_signals(void)
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

	reset_signals();
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
	uint64_t until = clock_boot_ms() + SC_START_MS;
	size_t n = 0;

	for (;;) {
		uint64_t now = clock_boot_ms();
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
	if (n == 0)
		snprintf(why, size, "it died without a word");
	return SC_EEOF;
}

int spawn_daemon(const char *dir, char *why, size_t size)
{
	char path[SC_PATH_MAX];
	struct rlimit files;
	int pipe_fd[2], rc;
	pid_t pid;

	if (find_daemon(path)) {
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

void spawn_become_daemon(const char *dir)
{
	char path[SC_PATH_MAX];
	char *const argv[] = {(char *)(uintptr_t) "scd", (char *)(uintptr_t)dir, NULL};

	if (find_daemon(path) == 0)
		execve(path, argv, daemon_environment());
}

/* ---- the command ---- */

int spawn_explain(const char *name, int error, char *text, size_t size)
{
	char shown[512];
	bool shellish = strpbrk(name, " \t|&;<>$*?'\"`") != NULL;

	human_escape(name, strlen(name), shown, sizeof shown);
	if (error == ENOENT)
		snprintf(text, size, "%s: %s: command not found%s\n", SC_BIN, shown,
			 shellish ? " (no shell is involved: say sh -c '…')" : "");
	else
		snprintf(text, size, "%s: %s: cannot be executed: %s\n", SC_BIN, shown, strerror(error));
	return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

static void stdin_from_null(void)
{
	int fd;

	/* First, so that there is room for it however few descriptors we may have. */
	close(0);
	fd = open("/dev/null", O_RDONLY);
	if (fd > 0) {
		dup2(fd, 0);
		close(fd);
	}
}

int spawn_become(char *const argv[])
{
	char text[1024];
	int error, status;

	stdin_from_null();
	execvp(argv[0], argv);
	error = errno;
	status = spawn_explain(argv[0], error, text, sizeof text);
	fputs(text, stderr);
	return status;
}

static void child_becomes(char *const argv[], const char *chain, int out_fd, int err_fd, int error_fd, pid_t parent)
{
	int error;

	setpgid(0, 0);
	/* A writer that is killed takes its command with it. If it died before this call, nobody would. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILED);
	stdin_from_null();
	dup2(out_fd, 1);
	if (err_fd >= 0)
		dup2(err_fd, 2);
	setenv("SC_FLIGHTS", chain, 1);
	execvp(argv[0], argv);
	error = errno;
	while (write(error_fd, &error, sizeof error) < 0 && errno == EINTR)
		;
	_exit(EXIT_NOT_FOUND);
}

static int make_pipe(int fd[2])
{
	if (pipe2(fd, O_CLOEXEC) < 0)
		return SC_ESYS;
	fcntl(fd[0], F_SETPIPE_SZ, PIPE_SIZE); /* refused where the user's pipes are many: then it stays small */
	return 0;
}

static void close_pair(int fd[2])
{
	for (int i = 0; i < 2; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

int spawn_command(struct child *c, char *const argv[], const char *chain, bool inherit_stderr, bool child_ignored)
{
	int out[2] = {-1, -1}, err[2] = {-1, -1}, error[2] = {-1, -1}, room = -1, saved;
	pid_t parent = getpid();
	ssize_t n;

	*c = (struct child){.pid = -1, .pidfd = -1, .out_fd = -1, .err_fd = -1};
	if (make_pipe(out) || (!inherit_stderr && make_pipe(err)) || pipe2(error, O_CLOEXEC) < 0)
		goto fail;
	/* For the pidfd: without one the end of a command that runs would not be noticed. */
	room = fcntl(out[0], F_DUPFD_CLOEXEC, 0);
	if (room < 0)
		goto fail;
	c->pid = fork();
	if (c->pid == 0 && child_ignored)
		signal(SIGCHLD, SIG_IGN);
	if (c->pid == 0)
		child_becomes(argv, chain, out[1], err[1], error[1], parent);
	if (c->pid < 0)
		goto fail;
	setpgid(c->pid, c->pid); /* both sides do it: whoever comes first */
	close(room);
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	close(error[1]);
	do {
		n = read(error[0], &c->exec_error, sizeof c->exec_error);
	} while (n < 0 && errno == EINTR);
	if (n != sizeof c->exec_error)
		c->exec_error = 0;
	close(error[0]);
	close(out[1]);
	if (err[1] >= 0)
		close(err[1]);
	c->out_fd = out[0];
	c->err_fd = err[0];
	return 0;
fail:
	saved = errno;
	if (room >= 0)
		close(room);
	close_pair(out);
	close_pair(err);
	close_pair(error);
	errno = saved;
	return SC_ESYS;
}

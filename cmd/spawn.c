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
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/spool.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/killpoint.h"
#include "lib/limits.h"
#include "lib/seal.h"

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
	static const char *const allowed[] = {
		"SC_DIR=",    "HOME=",	   "PATH=",	    "LANG=",	      "TZ=", "XDG_", "LISTEN_", "NOTIFY_SOCKET=", "CREDENTIALS_DIRECTORY=",
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
		reset_signals();
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

static int make_pipe(int fd[2])
{
	if (pipe2(fd, O_CLOEXEC) < 0)
		return SC_ESYS;
	fcntl(fd[0], F_SETPIPE_SZ, PIPE_SIZE); /* refused where the user's pipes are many: then it stays small */
	return 0;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void spawn_keep_only(int from, int *keep, size_t n)
{
	qsort(keep, n, sizeof *keep, by_number);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < from)
			continue;
		if (keep[i] > from)
			close_range((unsigned)from, (unsigned)keep[i] - 1, 0);
		from = keep[i] + 1;
	}
	close_range((unsigned)from, ~0U, 0);
}

/* ---- its stdin, out of a sealed spool ---- */

struct feeder {
	const struct spool *from;
	int to_fd;	  /* the pipe's */
	int pidfd;	  /* of the command */
	bool leads_group; /* it has a process group of its own, and dies with all of that */
};

/* What is left of a spool that cannot be opened. The end of a pipe looks like the end of the input, so before that comes whoever reads is
 * killed; who cannot be (he has become somebody else) waits for more, as we do for his end. */
static _Noreturn void give_up(const struct feeder *f)
{
	struct pollfd p = {.fd = f->to_fd};
	unsigned whom = f->leads_group ? PIDFD_SIGNAL_PROCESS_GROUP : 0;
	long rc = syscall(SYS_pidfd_send_signal, f->pidfd, SIGKILL, NULL, whom);

	/* A kernel that cannot signal a group by descriptor. */
	if (rc < 0 && errno == EINVAL)
		rc = syscall(SYS_pidfd_send_signal, f->pidfd, SIGKILL, NULL, 0);
	while (rc < 0 && poll(&p, 1, -1) != 1)
		;
	_exit(EXIT_FAILED);
}

/* Nobody reads any more: SIGPIPE ends us, also out of a write that waits for room. */
static _Noreturn void feed(const struct feeder *f)
{
	static uint8_t bytes[SC_SEAL_PLAIN_MAX];
	size_t got = 0, given;

	for (uint64_t at = 0; at < f->from->size; at += got) {
		if (spool_read(f->from, at, bytes, sizeof bytes, &got))
			give_up(f);
		for (given = 0; given < got;) {
			ssize_t n = write(f->to_fd, bytes + given, got - given);

			if (n < 0 && errno != EINTR)
				_exit(EXIT_FAILED);
			given += n < 0 ? 0 : (size_t)n;
		}
	}
	_exit(0);
}

/* When the one in the middle has ended nothing of the caller's is left in the feeder: no descriptor that would keep his pipes open, no
 * session whose Ctrl-C or end would reach it, no directory. */
static _Noreturn void fork_feeder(const struct feeder *f)
{
	int keep[] = {f->from->fd, f->to_fd, f->pidfd};
	pid_t pid;

	setsid();
	reset_signals();
	spawn_keep_only(0, keep, sizeof keep / sizeof *keep);
	sc_no_core();
	sc_keep_secret();
	pid = chdir("/") < 0 ? -1 : fork();
	if (pid == 0)
		feed(f);
	_exit(pid < 0 ? EXIT_FAILED : 0);
}

/* The pipe that the feeder fills, for reading. -1 and errno. */
static int start_feeder(const struct spool *from, bool leads_group)
{
	struct sigaction plain = {.sa_handler = SIG_DFL}, was;
	struct feeder f = {.from = from, .leads_group = leads_group};
	int pipe_fd[2], status = -1, saved;
	pid_t pid;

	if (make_pipe(pipe_fd))
		return -1;
	f.to_fd = pipe_fd[1];
	f.pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0); /* what we are about to become */
	sigaction(SIGCHLD, &plain, &was);		     /* ignored, it would take the exit status away */
	/* Twice, so that it is nobody's child: the command has none that it has not made. */
	pid = fork();
	if (pid == 0)
		fork_feeder(&f);
	saved = pid < 0 ? errno : EAGAIN;
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	sigaction(SIGCHLD, &was, NULL); /* by which one that was held back is forgotten */
	close(pipe_fd[1]);
	if (f.pidfd >= 0)
		close(f.pidfd);
	if (status == 0)
		return pipe_fd[0];
	close(pipe_fd[0]);
	errno = saved;
	return -1;
}

/* A spool in its place or, without one, nothing. False: errno; never run a command on less than its input. */
static bool set_stdin(const struct spool *input, bool leads_group)
{
	bool given = input && spool_is_made(input);
	int fd;

	/* First, so that there is room for it however few descriptors we may have. */
	close(0);
	if (!given)
		fd = open("/dev/null", O_RDONLY);
	else if (spool_is_sealed(input))
		fd = start_feeder(input, leads_group);
	else
		fd = spool_reopen(input);
	if (fd > 0) {
		dup2(fd, 0);
		close(fd);
	} else if (fd == 0) {
		fcntl(0, F_SETFD, 0);
	}
	return fd >= 0 || !given;
}

int spawn_become(char *const argv[], const struct spool *input)
{
	char text[1024];
	int error, status;

	if (set_stdin(input, false))
		execvp(argv[0], argv);
	error = errno;
	status = spawn_explain(argv[0], error, text, sizeof text);
	fputs(text, stderr);
	return status;
}

/* ---- the command of a run ---- */

/* Our ends of these are the command's stdout and stderr; the last one tells why it could not be executed. */
struct ends {
	int out_fd, err_fd, error_fd;
	pid_t parent;
};

/* A make that waits for tokens of a jobserver that is not there any more would wait for ever. */
static void forget_jobserver(void)
{
	const char *flags = getenv("MAKEFLAGS");
	char *kept, *p;

	if (!flags || !strstr(flags, "--jobserver"))
		return;
	p = kept = calloc(1, strlen(flags) + 1);
	while (kept && *flags) {
		size_t n = strcspn(flags, " ");

		if (strncmp(flags, "--jobserver", 11) != 0)
			p = mempcpy(p, flags, n + (flags[n] == ' '));
		flags += n + (flags[n] == ' ');
	}
	setenv("MAKEFLAGS", kept ? kept : "", 1);
	free(kept);
}

void spawn_no_stdout(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		dup2(fd, 1);
}

static void child_becomes(const struct spawn *s, const struct ends *e)
{
	int error;

	if (!s->foreground)
		setpgid(0, 0);
	/* A writer that is killed takes its command with it. If it died before this call, nobody would. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != e->parent)
		_exit(EXIT_FAILED);
	s->announce(s->arg, (int)syscall(SYS_pidfd_open, getpid(), 0));
	if (set_stdin(s->input, !s->foreground)) {
		dup2(e->out_fd, 1);
		if (e->err_fd >= 0)
			dup2(e->err_fd, 2);
		if (s->detached) {
			forget_jobserver();
			close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
		}
		setenv("SC_FLIGHTS", s->chain, 1);
		sigprocmask(SIG_SETMASK, s->mask, NULL);
		execvp(s->argv[0], s->argv);
	}
	error = errno;
	while (write(e->error_fd, &error, sizeof error) < 0 && errno == EINTR)
		;
	_exit(EXIT_NOT_FOUND);
}

static void close_pair(int fd[2])
{
	for (int i = 0; i < 2; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

int spawn_command(struct child *c, const struct spawn *s)
{
	int out[2] = {-1, -1}, err[2] = {-1, -1}, error[2] = {-1, -1}, room = -1, saved;
	struct ends ends = {.parent = getpid()};
	ssize_t n;

	*c = (struct child){.pid = -1, .pidfd = -1, .out_fd = -1, .err_fd = -1};
	if (make_pipe(out) || (!s->inherit_stderr && make_pipe(err)) || pipe2(error, O_CLOEXEC) < 0)
		goto fail;
	/* For the pidfd: without one the end of a command that runs would not be noticed. */
	room = fcntl(out[0], F_DUPFD_CLOEXEC, 0);
	if (room < 0)
		goto fail;
	KILLPOINT("pipes_made");
	ends.out_fd = out[1];
	ends.err_fd = err[1];
	ends.error_fd = error[1];
	c->pid = fork();
	if (c->pid == 0 && s->child_ignored)
		signal(SIGCHLD, SIG_IGN);
	if (c->pid == 0)
		child_becomes(s, &ends);
	if (c->pid < 0)
		goto fail;
	KILLPOINT("command_forked");
	if (!s->foreground)
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

/* ---- the command without a cache, waited for ---- */

/* What is ignored stays ignored: it is neither caught nor passed on. */
static void waited_signals(sigset_t *set)
{
	static const int ours[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
	struct sigaction was;

	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		if (sigaction(ours[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN)
			sigaddset(set, ours[i]);
}

static void tell_end(int status, struct ended *how)
{
	how->exit = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	how->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void wait_and_pass_on(pid_t pid, const sigset_t *set, struct ended *how)
{
	siginfo_t info;
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		int sig = sigwaitinfo(set, &info);

		if (sig < 0 || sig == SIGCHLD)
			continue;
		if (!how->caught)
			how->caught = sig;
		/* Not the terminal's: that has told the whole group. */
		if (info.si_code <= 0)
			kill(pid, sig);
	}
	tell_end(status, how);
}

/* From here on what would end us is held back, until let_signals. */
static void hold_signals(struct beside *b, sigset_t *set)
{
	struct sigaction plain = {.sa_handler = SIG_DFL};

	*b = (struct beside){.pid = -1, .pidfd = -1, .signal_fd = -1, .gate_fd = -1};
	waited_signals(set);
	sigaction(SIGCHLD, &plain, &b->child_was); /* ignored, it would take the exit status away */
	sigprocmask(SIG_BLOCK, set, &b->mask_was);
}

static void let_signals(const struct beside *b)
{
	sigprocmask(SIG_SETMASK, &b->mask_was, NULL);
	sigaction(SIGCHLD, &b->child_was, NULL);
}

static void fork_command(struct beside *b, char *const argv[], const struct spool *input, int out_fd)
{
	pid_t parent = getpid();

	b->pid = fork();
	if (b->pid != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	let_signals(b);
	if (getppid() != parent || dup2(out_fd, 1) < 0)
		_exit(EXIT_FAILED);
	_exit(spawn_become(argv, input));
}

int spawn_and_wait(char *const argv[], const struct spool *input, int out_fd, struct ended *how)
{
	struct beside b;
	sigset_t set;
	int saved;

	*how = (struct ended){.exit = 0};
	hold_signals(&b, &set);
	fork_command(&b, argv, input, out_fd);
	saved = errno;
	if (b.pid > 0)
		wait_and_pass_on(b.pid, &set, how);
	let_signals(&b);
	errno = saved;
	return b.pid < 0 ? SC_ESYS : 0;
}

/* 0: there may be more · SC_EAGAIN: not now · SC_EEOF · SC_ESYS: it could not be kept. */
static int take_piece(int from_fd, struct spool *to)
{
	static uint8_t bytes[SC_SEAL_PLAIN_MAX];
	ssize_t n = read(from_fd, bytes, sizeof bytes);
	int rc, saved;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? SC_EAGAIN : SC_ESYS;
	if (n == 0)
		return SC_EEOF;
	rc = spool_append(to, bytes, (size_t)n);
	saved = errno;
	explicit_bzero(bytes, (size_t)n);
	errno = saved;
	return rc;
}

/* Until it has ended and its stdout, too, which others may hold: as with $(…). Those are not waited for behind a signal. What cannot be
 * kept closes its stdout: it had better know. Returns why, or 0. */
static int pump_and_pass_on(struct beside *b, int *from_fd, struct spool *to, struct ended *how)
{
	int status, rc = 0, error = 0;

	while (b->pid > 0 || (*from_fd >= 0 && !how->caught)) {
		struct pollfd p[] = {{.fd = *from_fd, .events = POLLIN}, {.fd = b->signal_fd, .events = POLLIN}};

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents)
			spawn_pass_on(b, how);
		if (p[1].revents && b->pid > 0 && waitpid(b->pid, &status, WNOHANG) == b->pid) {
			tell_end(status, how);
			b->pid = -1; /* the number may be anybody's now */
		}
		do {
			rc = *from_fd >= 0 ? take_piece(*from_fd, to) : SC_EAGAIN;
		} while (rc == 0 && b->pid < 0);
		if (rc == SC_ESYS)
			error = errno;
		if (rc == SC_ESYS || rc == SC_EEOF) {
			close(*from_fd);
			*from_fd = -1;
		}
	}
	return error;
}

static int fork_and_pump(char *const argv[], const struct spool *input, int pipe_fd[2], struct spool *to, struct ended *how)
{
	int error = 0;
	struct beside b;
	sigset_t set;

	hold_signals(&b, &set);
	b.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (b.signal_fd >= 0)
		fork_command(&b, argv, input, pipe_fd[1]);
	if (b.pid < 0)
		error = errno;
	close(pipe_fd[1]);
	pipe_fd[1] = -1;
	if (b.pid > 0)
		error = pump_and_pass_on(&b, &pipe_fd[0], to, how);
	if (b.signal_fd >= 0)
		close(b.signal_fd);
	let_signals(&b);
	return error;
}

int spawn_into(char *const argv[], const struct spool *input, struct spool *out, struct ended *how)
{
	int pipe_fd[2], error;

	if (!spool_is_sealed(out))
		return spawn_and_wait(argv, input, out->fd, how);
	*how = (struct ended){.exit = 0};
	if (make_pipe(pipe_fd))
		return SC_ESYS;
	fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK);
	error = fork_and_pump(argv, input, pipe_fd, out, how);
	close_pair(pipe_fd);
	errno = error;
	return error ? SC_ESYS : 0;
}

/* ---- the command of a hold ---- */

static void beside_becomes(const struct beside *b, char *const argv[], const char *chain, int gate_fd, pid_t parent)
{
	char text[1024], go;
	int status;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The end of the gate without a word: it is not to be. */
	if (getppid() != parent || read(gate_fd, &go, 1) != 1)
		_exit(EXIT_FAILED);
	sigaction(SIGCHLD, &b->child_was, NULL);
	sigprocmask(SIG_SETMASK, &b->mask_was, NULL);
	setenv("SC_FLIGHTS", chain, 1);
	execvp(argv[0], argv);
	status = spawn_explain(argv[0], errno, text, sizeof text);
	fputs(text, stderr);
	_exit(status);
}

int spawn_beside(struct beside *b, char *const argv[], const char *chain)
{
	struct sigaction plain = {.sa_handler = SIG_DFL};
	struct ended how = {.exit = 0};
	pid_t parent = getpid();
	int gate[2], saved;
	sigset_t set;

	*b = (struct beside){.pid = -1, .pidfd = -1, .signal_fd = -1, .gate_fd = -1};
	if (pipe2(gate, O_CLOEXEC) < 0)
		return SC_ESYS;
	waited_signals(&set);
	sigaction(SIGCHLD, &plain, &b->child_was); /* ignored, it would take the exit status away */
	sigprocmask(SIG_BLOCK, &set, &b->mask_was);
	b->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	b->pid = b->signal_fd < 0 ? -1 : fork();
	if (b->pid == 0) {
		close(gate[1]);
		beside_becomes(b, argv, chain, gate[0], parent);
	}
	saved = errno;
	close(gate[0]);
	b->gate_fd = gate[1];
	if (b->pid > 0) {
		b->pidfd = (int)syscall(SYS_pidfd_open, b->pid, 0);
		saved = errno;
	}
	if (b->pidfd >= 0)
		return 0;
	if (b->pid > 0)
		kill(b->pid, SIGKILL);
	spawn_end(b, &how);
	errno = saved;
	return SC_ESYS;
}

void spawn_let_go(struct beside *b)
{
	while (write(b->gate_fd, "", 1) < 0 && errno == EINTR)
		;
	close(b->gate_fd);
	b->gate_fd = -1;
}

void spawn_pass_on(struct beside *b, struct ended *how)
{
	struct signalfd_siginfo info;

	while (read(b->signal_fd, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGCHLD)
			continue;
		if (!how->caught)
			how->caught = (int)info.ssi_signo;
		/* Not the terminal's: that has told the whole group. */
		if (info.ssi_code <= 0)
			spawn_signal(b, (int)info.ssi_signo);
	}
}

void spawn_signal(const struct beside *b, int sig)
{
	if (b->pid > 0)
		kill(b->pid, sig);
}

void spawn_wait(struct beside *b, struct ended *how)
{
	int status = 0;

	if (b->pid <= 0)
		return;
	while (waitpid(b->pid, &status, 0) < 0 && errno == EINTR)
		;
	b->pid = -1; /* the number may be anybody's now */
	tell_end(status, how);
}

void spawn_end(struct beside *b, struct ended *how)
{
	int fds[] = {b->pidfd, b->signal_fd, b->gate_fd};

	spawn_wait(b, how);
	if (b->signal_fd >= 0)
		spawn_pass_on(b, how);
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	b->pidfd = b->signal_fd = b->gate_fd = -1;
	sigprocmask(SIG_SETMASK, &b->mask_was, NULL);
	sigaction(SIGCHLD, &b->child_was, NULL);
}

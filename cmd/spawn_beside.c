/* Commands that are waited for: without a cache, and those of a hold. Called by get_end.c and hold.c. */
#include "cmd/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/spawn_parts.h"
#include "cmd/spool.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/seal.h"

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
	if (spawn_pipe(pipe_fd))
		return SC_ESYS;
	fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK);
	error = fork_and_pump(argv, input, pipe_fd, out, how);
	spawn_close_pair(pipe_fd);
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

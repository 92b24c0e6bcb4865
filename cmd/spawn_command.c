/* The command: of a run, or in our place. Called by writer.c and get_end.c. Waits for nothing. */
#include "cmd/spawn.h"

#include <errno.h>
#include <fcntl.h>
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
#include "cmd/spawn_parts.h"
#include "cmd/spool.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/killpoint.h"

/* 64 KiB is a pipe's default; a command that prints a lot should not be woken for each of them. */
#define PIPE_SIZE (256 * 1024)

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

int spawn_pipe(int fd[2])
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
		fd = spawn_feeder(input, leads_group);
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

int spawn_command(struct child *c, const struct spawn *s)
{
	int out[2] = {-1, -1}, err[2] = {-1, -1}, error[2] = {-1, -1}, room = -1, saved;
	struct ends ends = {.parent = getpid()};
	ssize_t n;

	*c = (struct child){.pid = -1, .pidfd = -1, .out_fd = -1, .err_fd = -1};
	if (spawn_pipe(out) || (!s->inherit_stderr && spawn_pipe(err)) || pipe2(error, O_CLOEXEC) < 0)
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
	spawn_close_pair(out);
	spawn_close_pair(err);
	spawn_close_pair(error);
	errno = saved;
	return SC_ESYS;
}

/* Who fills a command's stdin out of a sealed spool. Called by spawn_command.c alone. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/spawn.h"
#include "cmd/spawn_parts.h"
#include "cmd/spool.h"
#include "lib/err.h"
#include "lib/seal.h"

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
	spawn_reset_signals();
	spawn_keep_only(0, keep, sizeof keep / sizeof *keep);
	sc_no_core();
	sc_keep_secret();
	pid = chdir("/") < 0 ? -1 : fork();
	if (pid == 0)
		feed(f);
	_exit(pid < 0 ? EXIT_FAILED : 0);
}

/* The pipe that the feeder fills, for reading. -1 and errno. */
int spawn_feeder(const struct spool *from, bool leads_group)
{
	struct sigaction plain = {.sa_handler = SIG_DFL}, was;
	struct feeder f = {.from = from, .leads_group = leads_group};
	int pipe_fd[2], status = -1, saved;
	pid_t pid;

	if (spawn_pipe(pipe_fd))
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

/* Other processes with the same page: the readers of a writer, or the writer of a reader. Record locks are a process's, so who is to
 * hold one of its own must be one of its own. Children never assert: they end with a status. */
#ifndef SC_TESTS_PEER_H
#define SC_TESTS_PEER_H

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/page.h"

struct peer {
	pid_t pid;
	int fd; /* a byte in each direction is a step */
};

typedef void (*life)(struct page *p, int fd, unsigned arg);

static inline bool step(int fd)
{
	return write(fd, "", 1) == 1;
}

static inline bool await(int fd)
{
	char c;

	return read(fd, &c, 1) == 1;
}

/* The page is inherited, as the writer inherits the leader's. */
static inline struct peer start(struct page *p, life live, unsigned arg)
{
	int pair[2];
	struct peer peer;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	peer.pid = fork();
	assert_true(peer.pid >= 0);
	if (peer.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		live(p, pair[1], arg);
		_exit(0);
	}
	close(pair[1]);
	peer.fd = pair[0];
	return peer;
}

/* Its exit status, or 128 + n. */
static inline int end_of(const struct peer *peer)
{
	int status;

	assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
	close(peer->fd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline void kill_off(const struct peer *peer)
{
	assert_int_equal(kill(peer->pid, SIGKILL), 0);
	assert_int_equal(end_of(peer), 128 + SIGKILL);
}

/* Asleep, or gone already. */
static inline bool is_still(pid_t pid)
{
	char path[32], text[512];
	const char *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	n = read(fd, text, sizeof text - 1);
	close(fd);
	assert_true(n > 0);
	text[n] = '\0';
	p = strrchr(text, ')');
	return p && p[1] == ' ' && (p[2] == 'S' || p[2] == 'Z');
}

#endif

/* Unix sockets by hand. Called by cmd/session.c (connect), daemon/listener.c (listen) and frame.c (bytes and descriptors).
 * Never follows a link to a socket, never removes what is not a socket of ours, never keeps a descriptor nobody asked for. */
#include "lib/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/limits.h"

/* Closes without losing the errno that the caller is about to report. */
static void close_quietly(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

/* ---- names of any length ---- */

typedef int (*name_call)(int fd, const struct sockaddr *addr, socklen_t len);

/* 0, or -1 with errno. */
static int call_with_path(name_call call, int fd, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t n = strlen(path);

	if (n >= sizeof addr.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(addr.sun_path, path, n + 1);
	return call(fd, (const struct sockaddr *)&addr, sizeof addr);
}

/* The way without /proc. For a moment the whole process is in dir_fd. It goes there only after it has shown that it can come
 * back: to be left in the wrong directory would be worse than to fail. */
static int call_in_directory(name_call call, int fd, int dir_fd, const char *name)
{
	int here_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int rc = -1;

	if (here_fd < 0)
		return -1;
	if (fchdir(here_fd) == 0 && fchdir(dir_fd) == 0) {
		int saved;

		rc = call_with_path(call, fd, name);
		saved = errno;
		if (fchdir(here_fd) < 0)
			rc = -1;
		else
			errno = saved;
	}
	close_quietly(here_fd);
	return rc;
}

/* connect or bind. 0, or -1 with errno. */
static int call_with_name(name_call call, int fd, int dir_fd, const char *name)
{
	char path[SC_SUN_PATH];
	int n = snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir_fd, name);

	if (n < 0 || (size_t)n >= sizeof path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (call_with_path(call, fd, path) == 0)
		return 0;
	/* No /proc, or one that is not for us, says the same as a name that is not there: ask once more to know. */
	if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
		return -1;
	return call_in_directory(call, fd, dir_fd, name);
}

/* ---- connect ---- */

static int set_send_timeout(int fd, uint64_t ms)
{
	struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv) < 0 ? SC_ESYS : 0;
}

/* Waits for room in the backlog: bounded, whatever signals come meanwhile. */
static int connect_in_time(int fd, int dir_fd, const char *name)
{
	uint64_t start = clock_run_ms(), gone = 0;
	int rc = 0;

	do {
		if (set_send_timeout(fd, SC_SILENCE_MS - gone))
			return SC_ESYS;
		rc = call_with_name(connect, fd, dir_fd, name);
		gone = clock_run_ms() - start;
	} while (rc < 0 && errno == EINTR && gone < SC_SILENCE_MS);

	if (rc == 0)
		return set_send_timeout(fd, 0);
	switch (errno) {
	case ENOENT:
	case ECONNREFUSED:
		return SC_ENOENT;
	case EAGAIN:
	case EINTR:
		return SC_ETIME;
	case ENOTSOCK:
	case EPROTOTYPE:
		return SC_EUNSAFE;
	default:
		return SC_ESYS;
	}
}

int sock_connect(int dir_fd, const char *name, int *fd)
{
	struct stat st;
	int rc;

	*fd = -1;
	/* Looked at first, because connect follows links and calls everything that is no socket "refused". */
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? SC_ENOENT : SC_ESYS;
	if (!S_ISSOCK(st.st_mode))
		return SC_EUNSAFE;

	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*fd < 0)
		return SC_ESYS;
	rc = connect_in_time(*fd, dir_fd, name);
	if (rc == 0)
		rc = sock_check_peer(*fd, NULL, NULL);
	if (rc) {
		close_quietly(*fd);
		*fd = -1;
	}
	return rc;
}

int sock_check_peer(int fd, uid_t *uid, pid_t *pid)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return SC_ESYS;
	if (uid)
		*uid = peer.uid;
	if (pid)
		*pid = peer.pid;
	return peer.uid == geteuid() ? 0 : SC_EPEER;
}

/* ---- listen ---- */

/* Removes a dead socket of ours. Everything else stays where it is. */
static int clear_name(int dir_fd, const char *name)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : SC_ESYS;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return SC_EUNSAFE;
	if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
		return SC_ESYS;
	return 0;
}

/* 0600 from birth: the name takes the mode of the unbound socket, less the umask, also where the directory has a default
 * ACL. Looked at afterwards, because not every kernel that runs Linux programs does so. */
static int bind_private(int fd, int dir_fd, const char *name)
{
	struct stat st;
	mode_t mask;
	int rc;

	if (fchmod(fd, 0600) < 0)
		return SC_ESYS;
	mask = umask(0177);
	rc = call_with_name(bind, fd, dir_fd, name);
	umask(mask);
	if (rc < 0)
		return SC_ESYS;
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return SC_ESYS;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return SC_EUNSAFE;
	if ((st.st_mode & 0777) != 0600 && fchmodat(dir_fd, name, 0600, AT_SYMLINK_NOFOLLOW) < 0)
		return SC_ESYS;
	return 0;
}

int sock_listen(int dir_fd, const char *name, int *fd)
{
	int rc;

	*fd = -1;
	rc = clear_name(dir_fd, name);
	if (rc)
		return rc;
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return SC_ESYS;
	rc = bind_private(*fd, dir_fd, name);
	if (rc == 0 && listen(*fd, SC_BACKLOG) < 0)
		rc = SC_ESYS;
	/* A name left behind by a failure here is a stale socket: the next one removes it. */
	if (rc) {
		close_quietly(*fd);
		*fd = -1;
	}
	return rc;
}

/* ---- bytes and descriptors ---- */

union control {
	char bytes[CMSG_SPACE(sizeof(int) * SC_FDS_QUEUED_MAX)];
	struct cmsghdr align;
};

ssize_t sock_send(int fd, const void *bytes, size_t n, const int *fds, size_t nfds)
{
	union control control;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t rc;

	BUG_ON(n == 0 || nfds > SC_FDS_QUEUED_MAX);
	if (nfds > 0) {
		struct cmsghdr *cmsg;

		memset(&control, 0, sizeof control);
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * nfds);
	}
	rc = sendmsg(fd, &msg, MSG_NOSIGNAL);
	if (rc >= 0)
		return rc;
	switch (errno) {
	case EAGAIN:
	case ETOOMANYREFS: /* too many descriptors of this user are on their way, here or elsewhere */
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return SC_EAGAIN;
	case EPIPE:
	case ECONNRESET:
		return SC_EEOF;
	default:
		return SC_ESYS;
	}
}

/* All descriptors of one recvmsg into `out`, which has room for as many as the control buffer can bring. */
static size_t take_fds(struct msghdr *msg, int out[SC_FDS_QUEUED_MAX])
{
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		BUG_ON(n > SC_FDS_QUEUED_MAX - count);
		memcpy(out + count, CMSG_DATA(c), n * sizeof(int));
		count += n;
	}
	return count;
}

ssize_t sock_recv(int fd, void *bytes, size_t n, int *fds, size_t *nfds)
{
	union control control;
	struct iovec iov = {.iov_base = bytes, .iov_len = n};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	int got[SC_FDS_QUEUED_MAX];
	size_t room = *nfds, count;
	ssize_t rc;

	BUG_ON(n == 0);
	*nfds = 0;
	rc = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	if (rc < 0)
		return errno == EAGAIN ? SC_EAGAIN : errno == ECONNRESET ? SC_EEOF : SC_ESYS;

	count = take_fds(&msg, got);
	if (count > room || (msg.msg_flags & MSG_CTRUNC)) {
		for (size_t i = 0; i < count; i++)
			close(got[i]);
		if (count == SC_FDS_QUEUED_MAX || count > room)
			return SC_EPROTO;
		/* Cut short although there was room: our own table of descriptors is full. Not the peer's fault. */
		errno = EMFILE;
		return SC_ESYS;
	}
	if (rc == 0) {
		for (size_t i = 0; i < count; i++)
			close(got[i]);
		return SC_EEOF;
	}
	if (count)
		memcpy(fds, got, count * sizeof(int));
	*nfds = count;
	return rc;
}

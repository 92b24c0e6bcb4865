/* Files without a name. Called by get_key.c and get_end.c. */
#include "cmd/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/progress.h"
#include "lib/err.h"
#include "lib/limits.h"
#include "lib/object.h"

/* Small enough to be hashed while it is in the cache. */
#define CHUNK (256 * 1024)

/* A file system without O_TMPFILE: one with a name, for a moment. */
static int make_named(const char *dir)
{
	char path[SC_PATH_MAX];
	int fd;

	if (snprintf(path, sizeof path, "%s/sc-XXXXXX", dir) >= (int)sizeof path)
		return -1;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static void on_limit(int sig)
{
	(void)sig;
}

/* Over the limit on a file's size: an error like a full disk, not a signal. It is caught, not ignored: a command would inherit that. */
static void catch_limit(bool on)
{
	static struct sigaction was;
	struct sigaction act = {.sa_handler = on_limit, .sa_flags = SA_RESTART};

	if (on)
		sigaction(SIGXFSZ, &act, &was);
	else
		sigaction(SIGXFSZ, &was, NULL);
}

/* Found out now, before anything runs: a disk that has no room for one byte. Takes fd. */
static int check_room(int fd)
{
	bool room;

	if (fd < 0)
		return -1;
	catch_limit(true);
	room = pwrite(fd, "", 1, 0) == 1 && ftruncate(fd, 0) == 0;
	catch_limit(false);
	if (room)
		return fd;
	close(fd);
	return -1;
}

int spool_make(int dir_fd, int *fd)
{
	const char *places[] = {secure_getenv("TMPDIR"), "/tmp", "/var/tmp"};
	int flags = O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC;

	*fd = dir_fd >= 0 ? check_room(openat(dir_fd, ".", flags, 0600)) : -1;
	for (size_t i = 0; *fd < 0 && i < sizeof places / sizeof *places; i++) {
		if (!places[i] || !*places[i])
			continue;
		*fd = check_room(open(places[i], flags, 0600));
		if (*fd < 0)
			*fd = check_room(make_named(places[i]));
	}
	return *fd < 0 ? SC_ESYS : 0;
}

/* As read, but a descriptor somebody made non-blocking is waited for, and one that was closed is at its end. */
static ssize_t read_stdin(unsigned char *p, size_t n)
{
	for (;;) {
		ssize_t got = read(0, p, n);

		if (got >= 0)
			return got;
		if (errno == EBADF)
			return 0;
		if (errno == EAGAIN)
			poll(&(struct pollfd){.fd = 0, .events = POLLIN}, 1, -1);
		else if (errno != EINTR)
			return -1;
	}
}

int spool_take_stdin(int fd, uint8_t hash[SC_DIGEST_SIZE], int *reading)
{
	static unsigned char chunk[CHUNK];
	uint64_t taken = 0;
	struct digest *d;
	ssize_t n = 1;
	int rc = 0;

	*reading = 0;
	d = digest_new();
	if (!d)
		return SC_ENOMEM;
	catch_limit(true);
	while (rc == 0 && n > 0) {
		n = read_stdin(chunk, sizeof chunk);
		if (n < 0) {
			*reading = 1;
			rc = SC_ESYS;
		} else if (n > 0) {
			digest_add(d, chunk, (size_t)n);
			progress_step(taken += (uint64_t)n);
			rc = fd < 0 ? 0 : object_append(fd, chunk, (size_t)n);
		}
	}
	catch_limit(false);
	digest_get(d, hash);
	digest_free(d);
	return rc;
}

int spool_append(int fd, const void *bytes, size_t n)
{
	int rc;

	catch_limit(true);
	rc = object_append(fd, bytes, n);
	catch_limit(false);
	return rc;
}

int spool_reopen(int fd)
{
	char path[32];
	int own;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	own = open(path, O_RDONLY | O_CLOEXEC);
	if (own >= 0)
		return own;
	/* Without /proc: one position for both, which only matters to two commands at once, and a run follows the other's end. */
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own >= 0 && lseek(own, 0, SEEK_SET) != 0) {
		int saved = errno;

		close(own);
		errno = saved;
		return -1;
	}
	return own;
}

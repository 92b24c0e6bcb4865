/* Files without a name. Called by get_key.c and get_end.c, by source.c, and by spawn_command.c and spawn_feed.c, which give them to commands. */
#include "cmd/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/progress.h"
#include "cmd/sealed.h"
#include "lib/err.h"
#include "lib/limits.h"
#include "lib/object.h"

/* Small enough to be hashed while it is in the cache. */
#define CHUNK (256 * 1024)

bool spool_is_made(const struct spool *s)
{
	return s->fd >= 0;
}

bool spool_is_sealed(const struct spool *s)
{
	return s->reader;
}

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

static int make_file(int dir_fd)
{
	const char *places[] = {secure_getenv("TMPDIR"), "/tmp", "/var/tmp"};
	int flags = O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC;
	int fd = dir_fd >= 0 ? check_room(openat(dir_fd, ".", flags, 0600)) : -1;

	for (size_t i = 0; fd < 0 && i < sizeof places / sizeof *places; i++) {
		if (!places[i] || !*places[i])
			continue;
		fd = check_room(open(places[i], flags, 0600));
		if (fd < 0)
			fd = check_room(make_named(places[i]));
	}
	return fd;
}

/* A key that seals this one stream needs no generation to tell it from others. */
static int seal(struct spool *s)
{
	static const struct gen none;
	struct seal_key key;

	if (digest_init())
		return SC_ESYS;
	seal_key_new(&key);
	s->writer = sealed_writer_new(&none, STREAM_OUT, &key);
	s->reader = sealed_reader_new(&none, STREAM_OUT, &key);
	seal_key_wipe(&key);
	if (s->writer && s->reader)
		return 0;
	errno = ENOMEM;
	return SC_ESYS;
}

int spool_make(struct spool *s, int dir_fd, bool sealed)
{
	int saved;

	*s = (struct spool){.fd = make_file(dir_fd)};
	if (s->fd >= 0 && (!sealed || seal(s) == 0))
		return 0;
	saved = errno;
	spool_release(s);
	errno = saved;
	return SC_ESYS;
}

static void end_sealing(struct spool *s)
{
	sealed_writer_free(s->writer);
	s->writer = NULL;
}

void spool_release(struct spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	end_sealing(s);
	sealed_reader_free(s->reader);
	*s = (struct spool)SPOOL_NONE;
}

int spool_append_file(int fd, const void *bytes, size_t n)
{
	int rc;

	catch_limit(true);
	rc = object_append(fd, bytes, n);
	catch_limit(false);
	return rc;
}

static int append_sealed(struct spool *s, const void *bytes, size_t n)
{
	uint64_t file_size;
	int rc;

	BUG_ON(!s->writer);
	catch_limit(true);
	rc = sealed_write(s->writer, s->fd, bytes, n, NULL, &file_size);
	catch_limit(false);
	return rc;
}

int spool_append(struct spool *s, const void *bytes, size_t n)
{
	int rc = spool_is_sealed(s) ? append_sealed(s, bytes, n) : spool_append_file(s->fd, bytes, n);

	if (rc == 0)
		s->size += n;
	return rc;
}

static int end_sealed(struct spool *s)
{
	uint64_t file_size;
	int rc;

	BUG_ON(!s->writer);
	catch_limit(true);
	rc = sealed_end(s->writer, s->fd, NULL, &file_size);
	catch_limit(false);
	end_sealing(s);
	return rc;
}

int spool_end(struct spool *s)
{
	struct stat st;

	if (spool_is_sealed(s))
		return end_sealed(s);
	if (fstat(s->fd, &st) < 0)
		return SC_ESYS;
	s->size = (uint64_t)st.st_size;
	return 0;
}

static int read_clear(int fd, uint64_t at, void *bytes, size_t n, size_t *got)
{
	ssize_t k = pread(fd, bytes, n, (off_t)at);

	if (k < 0)
		return SC_ESYS;
	*got = (size_t)k;
	return k == 0 ? SC_ECORRUPT : 0;
}

int spool_read(const struct spool *s, uint64_t at, void *bytes, size_t n, size_t *got)
{
	if (at >= s->size)
		return SC_ECORRUPT;
	if (n > s->size - at)
		n = (size_t)(s->size - at);
	return spool_is_sealed(s) ? sealed_read(s->reader, s->fd, at, bytes, n, got) : read_clear(s->fd, at, bytes, n, got);
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

static int take_chunks(struct spool *s, struct digest *d, unsigned char chunk[CHUNK], int *reading)
{
	uint64_t taken = 0;
	ssize_t n = 1;
	int rc = 0;

	while (rc == 0 && n > 0) {
		n = read_stdin(chunk, CHUNK);
		if (n < 0) {
			*reading = 1;
			rc = SC_ESYS;
		} else if (n > 0) {
			digest_add(d, chunk, (size_t)n);
			progress_step(taken += (uint64_t)n);
			rc = spool_is_made(s) ? spool_append(s, chunk, (size_t)n) : 0;
		}
	}
	return rc;
}

int spool_take_stdin(struct spool *s, uint8_t hash[SC_DIGEST_SIZE], int *reading)
{
	static unsigned char chunk[CHUNK];
	struct digest *d = digest_new();
	int rc, saved;

	*reading = 0;
	if (!d)
		return SC_ENOMEM;
	rc = take_chunks(s, d, chunk, reading);
	saved = errno;
	/* We may live as long as the run does. */
	if (spool_is_sealed(s))
		explicit_bzero(chunk, sizeof chunk);
	errno = saved;
	if (rc == 0 && spool_is_made(s))
		rc = spool_end(s);
	digest_get(d, hash);
	digest_free(d);
	return rc;
}

int spool_reopen(const struct spool *s)
{
	char path[32];
	int own;

	BUG_ON(spool_is_sealed(s));
	snprintf(path, sizeof path, "/proc/self/fd/%d", s->fd);
	own = open(path, O_RDONLY | O_CLOEXEC);
	if (own >= 0)
		return own;
	/* Without /proc: one position for both, which only matters to two commands at once, and a run follows the other's end. */
	own = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
	if (own >= 0 && lseek(own, 0, SEEK_SET) != 0) {
		int saved = errno;

		close(own);
		errno = saved;
		return -1;
	}
	return own;
}

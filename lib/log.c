/* The log. Called for every change of state, by any thread of a process; several processes may append to one file.
 * Never blocks on more than one write, never reports a failure to its caller, never touches errno. */
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/limits.h"

/* A line is cut here: room for an escaped key of ordinary length, and still one write. */
#define TEXT_MAX 4096
#define LINE_MAX_BYTES (2 * TEXT_MAX)
/* Kept free at the end of a line for what is said of the lines that were dropped. */
#define TAIL_MAX 64

struct log {
	pthread_mutex_t lock;
	char *name;	 /* owned; NULL: stderr */
	int dir_fd;	 /* owned; -1 with stderr */
	int fd;		 /* owned but for stderr; -1: could not be opened, tried again in the next second */
	uint64_t size;	 /* of the file, as far as we know */
	uint64_t second; /* the one that `lines` counts in */
	unsigned lines;
	uint64_t dropped; /* since the last line that went through */
	bool torn;	  /* the last write stopped inside a line */
};

/* What lies there may have been put there by somebody else: a link, a FIFO (O_NONBLOCK, or open would wait), another's. */
static void open_file(struct log *l)
{
	struct stat st;
	int fd;

	fd = openat(l->dir_fd, l->name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink > 1) {
		close(fd);
		return;
	}
	l->fd = fd;
	l->size = st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

struct log *log_open(int dir_fd, const char *name)
{
	struct log *l;

	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->dir_fd = -1;
	l->fd = -1;
	pthread_mutex_init(&l->lock, NULL);
	if (!name) {
		l->fd = STDERR_FILENO;
		return l;
	}
	l->name = strdup(name);
	if (!l->name) {
		log_close(l);
		return NULL;
	}
	l->dir_fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
	open_file(l);
	return l;
}

void log_close(struct log *l)
{
	if (!l)
		return;
	if (l->name && l->fd >= 0)
		close(l->fd);
	if (l->dir_fd >= 0)
		close(l->dir_fd);
	pthread_mutex_destroy(&l->lock);
	free(l->name);
	free(l);
}

/* Moves the full file to `name`.1 and begins a new one. Another process may have done it first; then what lies under the
 * name is not our file any more and only needs to be opened. */
static void rotate(struct log *l)
{
	char old[256];
	struct stat ours, there;
	int n;

	n = snprintf(old, sizeof(old), "%s.1", l->name);
	if (n < 0 || (size_t)n >= sizeof(old))
		return;
	if (fstat(l->fd, &ours) == 0 && fstatat(l->dir_fd, l->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    ours.st_dev == there.st_dev && ours.st_ino == there.st_ino) {
		if (renameat(l->dir_fd, l->name, l->dir_fd, old) < 0) {
			/* Going on would let it grow without a bound. */
			if (ftruncate(l->fd, 0) == 0)
				l->size = 0;
			return;
		}
	}
	close(l->fd);
	l->fd = -1;
	open_file(l);
}

/* "2026-01-31T12:00:00.000Z pid=123 event=word "; its length. UTC, because a machine's zone may change under a daemon. */
static size_t put_head(char *out, size_t size, uint64_t wall_ms, const char *event)
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;
	int n;

	if (!gmtime_r(&seconds, &tm))
		memset(&tm, 0, sizeof(tm));
	n = snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ pid=%ld event=%s ", tm.tm_year + 1900, tm.tm_mon + 1,
		     tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(wall_ms % 1000), (long)getpid(), event);
	if (n < 0)
		return 0;
	return (size_t)n < size ? (size_t)n : size - 1;
}

/* Control bytes as \xHH: a newline in a value would forge a line, an escape would act on the terminal that shows the log. */
static size_t put_text(char *out, size_t size, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (size - n < 4)
			break;
		if (c >= 0x20 && c != 0x7f) {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = digits[c >> 4];
		out[n++] = digits[c & 15];
	}
	return n;
}

/* One write, so that lines of several processes do not mix. False: the line is not there, or not all of it. */
static bool write_line(struct log *l, const char *line, size_t n)
{
	ssize_t w;

	do
		w = write(l->fd, line, n);
	while (w < 0 && errno == EINTR);
	if (w > 0)
		l->size += (uint64_t)w;
	if (w == (ssize_t)n) {
		l->torn = false;
		return true;
	}
	if (w > 0)
		l->torn = true;
	return false;
}

/* False: this second has had its lines, or there is nothing to write to. */
static bool admit(struct log *l, uint64_t boot_ms)
{
	uint64_t second = boot_ms / 1000;

	if (second != l->second) {
		l->second = second;
		l->lines = 0;
		if (l->name && l->fd < 0)
			open_file(l);
	}
	if (l->fd < 0 || l->lines >= SC_LOG_RATE)
		return false;
	l->lines++;
	return true;
}

void log_event(struct log *l, const char *event, const char *fmt, ...)
{
	struct now now;
	char text[TEXT_MAX];
	char line[LINE_MAX_BYTES];
	size_t n = 0;
	va_list ap;
	int saved = errno;

	if (!l)
		return;
	now = clock_now();
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);

	pthread_mutex_lock(&l->lock);
	if (l->name && l->fd >= 0 && l->size >= SC_LOG_MAX)
		rotate(l);
	if (!admit(l, now.boot_ms)) {
		l->dropped++;
		goto out;
	}
	if (l->torn)
		line[n++] = '\n';
	n += put_head(line + n, sizeof(line) - n - TAIL_MAX, now.wall_ms, event);
	n += put_text(line + n, sizeof(line) - n - TAIL_MAX, text);
	if (l->dropped > 0)
		n += (size_t)snprintf(line + n, TAIL_MAX - 1, " dropped=%llu", (unsigned long long)l->dropped);
	while (n > 0 && line[n - 1] == ' ')
		n--;
	line[n++] = '\n';
	if (write_line(l, line, n))
		l->dropped = 0;
	else
		l->dropped++;
out:
	pthread_mutex_unlock(&l->lock);
	errno = saved;
}

/* The lock file's three uses, each on a byte or field of its own. Called by the daemon (holds, steps) and by clients (start,
 * pulse). */
#include "lib/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/err.h"

/* Locked bytes. */
enum { BYTE_LIFE = 0, BYTE_START = 1 };
/* Fields. */
enum { AT_PULSE = 0, AT_CRASHES = 64, AT_DOUBTS = 80, AT_DEATH = 128, LOCK_SIZE = 4096 };

/* Between two tries: at first, and at most, so that hundreds who wait leave some of the machine to the one they wait for. */
#define POLL_MS 5
#define POLL_MAX_MS 20

struct crashes {
	uint64_t count;
	uint64_t first_ms; /* CLOCK_BOOTTIME of the first one in the window */
};

static int open_as(struct lockfile *l, int dir_fd, int flags)
{
	struct stat st;

	l->pulse = NULL;
	l->page = NULL;
	l->fd = openat(dir_fd, "lock", flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (l->fd < 0)
		return errno == ELOOP || errno == EISDIR || errno == ENXIO ? SC_EUNSAFE : SC_ESYS;
	if (fstat(l->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink > 1) {
		lockfile_close(l);
		return SC_EUNSAFE;
	}
	return 0;
}

int lockfile_open(struct lockfile *l, int dir_fd)
{
	return open_as(l, dir_fd, O_RDWR | O_CREAT);
}

int lockfile_look(struct lockfile *l, int dir_fd)
{
	int rc = open_as(l, dir_fd, O_RDONLY);

	return rc == SC_ESYS && errno == ENOENT ? SC_ENOENT : rc;
}

void lockfile_close(struct lockfile *l)
{
	if (l->page)
		munmap(l->page, LOCK_SIZE);
	l->page = NULL;
	if (l->fd >= 0)
		close(l->fd);
	l->pulse = NULL;
	l->fd = -1;
}

static int try_lock(int fd, int byte)
{
	struct flock k = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	if (fcntl(fd, F_OFD_SETLK, &k) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? SC_EBUSY : SC_ESYS;
}

/* Tries again and again: a blocking wait for a lock has no bound, and a timer signal would be the caller's affair. */
static int wait_lock(int fd, int byte, uint64_t wait_ms)
{
	uint64_t until = clock_run_ms() + wait_ms;
	long pause_ms = POLL_MS;
	int rc;

	while ((rc = try_lock(fd, byte)) == SC_EBUSY && clock_run_ms() < until) {
		struct timespec pause = {.tv_nsec = pause_ms * 1000000L};

		nanosleep(&pause, NULL);
		if (pause_ms < POLL_MAX_MS)
			pause_ms++;
	}
	return rc;
}

int lockfile_hold(struct lockfile *l, uint64_t wait_ms)
{
	struct stat st;
	void *at;
	int rc = wait_lock(l->fd, BYTE_LIFE, wait_ms);

	if (rc)
		return rc;
	if (fstat(l->fd, &st) < 0)
		return SC_ESYS;
	/* Not only as long: a hole that a full disk cannot fill is a SIGBUS at the first step. */
	if (st.st_size < LOCK_SIZE && (errno = posix_fallocate(l->fd, 0, LOCK_SIZE)))
		return SC_ESYS;
	at = mmap(NULL, LOCK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);
	if (at == MAP_FAILED)
		return SC_ESYS;
	l->page = at;
	l->pulse = (_Atomic uint64_t *)(void *)((char *)at + AT_PULSE);
	return 0;
}

void lockfile_step(struct lockfile *l)
{
	atomic_fetch_add_explicit(l->pulse, 1, memory_order_relaxed);
}

bool lockfile_pulse(const struct lockfile *l, uint64_t *pulse)
{
	/* Read, not mapped: a file cut short by somebody would be a SIGBUS in a mapping. */
	return pread(l->fd, pulse, sizeof *pulse, AT_PULSE) == sizeof *pulse;
}

int lockfile_begin_start(struct lockfile *l)
{
	/* Longer than the one who holds it waits for the daemon. */
	int rc = wait_lock(l->fd, BYTE_START, 2 * SC_START_MS);

	return rc == SC_EBUSY ? SC_ETIME : rc;
}

void lockfile_end_start(struct lockfile *l)
{
	struct flock k = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = BYTE_START, .l_len = 1};

	fcntl(l->fd, F_OFD_SETLK, &k);
}

static struct crashes read_crashes(const struct lockfile *l, uint64_t boot_ms)
{
	struct crashes c;

	/* From another boot, or a window that is over: begin anew. */
	if (pread(l->fd, &c, sizeof c, AT_CRASHES) != sizeof c || c.first_ms > boot_ms ||
	    boot_ms - c.first_ms > SC_CRASH_WINDOW_MS)
		memset(&c, 0, sizeof c);
	return c;
}

void lockfile_note_death(struct lockfile *l, const char *words)
{
	volatile char *to = l->page ? (char *)l->page + AT_DEATH : NULL;

	if (!to || *to)
		return;
	for (size_t i = 0; i < SC_LAST_WORDS - 1 && words[i]; i++)
		to[i] = words[i];
}

bool lockfile_death(const struct lockfile *l, char words[SC_LAST_WORDS])
{
	ssize_t n = pread(l->fd, words, SC_LAST_WORDS - 1, AT_DEATH);

	words[n > 0 ? n : 0] = '\0';
	return *words != '\0';
}

void lockfile_forget_death(struct lockfile *l)
{
	memset((char *)l->page + AT_DEATH, 0, SC_LAST_WORDS);
}

bool lockfile_doubt(struct lockfile *l)
{
	uint64_t doubts = 0;

	if (pread(l->fd, &doubts, sizeof doubts, AT_DOUBTS) < 0)
		doubts = 0;
	if (++doubts == 0)
		doubts = 1;
	return pwrite(l->fd, &doubts, sizeof doubts, AT_DOUBTS) == sizeof doubts;
}

static _Atomic uint64_t *doubts_of(const struct lockfile *l)
{
	return (_Atomic uint64_t *)(void *)((char *)l->page + AT_DOUBTS);
}

uint64_t lockfile_doubts(const struct lockfile *l)
{
	return l->page ? atomic_load(doubts_of(l)) : 0;
}

void lockfile_trust(struct lockfile *l, uint64_t doubts)
{
	if (l->page)
		atomic_compare_exchange_strong(doubts_of(l), &doubts, 0);
}

unsigned lockfile_failed_starts(const struct lockfile *l, uint64_t boot_ms)
{
	uint64_t count = read_crashes(l, boot_ms).count;

	return count < UINT_MAX ? (unsigned)count : UINT_MAX;
}

bool lockfile_may_start(const struct lockfile *l, uint64_t boot_ms)
{
	return read_crashes(l, boot_ms).count < SC_CRASHES_MAX;
}

void lockfile_note_start(struct lockfile *l, uint64_t boot_ms, bool failed)
{
	struct crashes c = read_crashes(l, boot_ms);

	if (!failed && c.count == 0)
		return;
	if (!failed)
		memset(&c, 0, sizeof c);
	else if (c.count++ == 0)
		c.first_ms = boot_ms;
	if (pwrite(l->fd, &c, sizeof c, AT_CRASHES) < 0)
		return; /* a full disk: then every start is tried, which is only slower */
}

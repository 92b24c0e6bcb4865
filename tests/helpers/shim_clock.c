/* Preloaded: clocks that the test sets while we run. As when a machine has slept, CLOCK_MONOTONIC knows nothing of it unless it is
 * told so.
 *
 * SHIM_CLOCK=FILE   three numbers of 20 digits and a space each, which the test overwrites in place: what is added to CLOCK_BOOTTIME, to the
 *                   wall clock and to CLOCK_MONOTONIC, in ms
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define FIELD 21

static const char *shifts;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("SHIM_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, 3 * FIELD, PROT_READ, MAP_SHARED, fd, 0);

	if (at != MAP_FAILED)
		shifts = at;
	if (fd >= 0)
		close(fd);
}

static void shift(struct timespec *t, int field)
{
	long long ms = shifts ? strtoll(shifts + (size_t)field * FIELD, NULL, 10) : 0, ns = t->tv_nsec + ms % 1000 * 1000000;

	t->tv_sec += ms / 1000 + ns / 1000000000;
	t->tv_nsec = ns % 1000000000;
	if (t->tv_nsec < 0) {
		t->tv_nsec += 1000000000;
		t->tv_sec--;
	}
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);

	if (rc == 0 && id == CLOCK_BOOTTIME)
		shift(t, 0);
	if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		shift(t, 1);
	if (rc == 0 && (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE))
		shift(t, 2);
	return rc;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	*tv = (struct timeval){t.tv_sec, t.tv_nsec / 1000};
	return 0;
}

time_t time(time_t *out)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}

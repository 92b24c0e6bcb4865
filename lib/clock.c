/* The only reader of clocks and of the boot id. Called at the edge of each process; what decides gets the result. */
#include "lib/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/killpoint.h"

struct span {
	int64_t s, ns; /* ns: 0 to 999999999 */
};

static uint64_t read_ms(clockid_t id, struct span less)
{
	struct timespec t;
	int64_t s, ns;

	if (clock_gettime(id, &t) < 0)
		BUG("a clock that every Linux since 2.6.39 has is missing");
	s = t.tv_sec - less.s;
	ns = t.tv_nsec - less.ns;
	if (ns < 0) {
		ns += 1000000000;
		s--;
	}
	/* A machine set to before 1970: nothing here can be negative. */
	return s < 0 ? 0 : (uint64_t)s * 1000 + (uint64_t)ns / 1000000;
}

/* "boottime SECONDS NANOSECONDS": what a time namespace adds to the machine's clock. */
static struct span read_offset(void)
{
	struct span offset = {0};
	char text[256], *at;
	ssize_t n;
	int fd = open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return offset;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, "boottime");
	if (at) {
		offset.s = strtoll(at + strlen("boottime"), &at, 10);
		offset.ns = strtoll(at, NULL, 10);
	}
	return offset;
}

static struct span boot_offset;

static void find_offset(void)
{
	struct timespec t;

	boot_offset = read_offset();
	/* Another boot has just begun. */
	if (FAULT("boot") && clock_gettime(CLOCK_BOOTTIME, &t) == 0)
		boot_offset = (struct span){t.tv_sec, t.tv_nsec};
}

struct now clock_now(void)
{
	/* It cannot change: who enters a namespace is a new process. */
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_offset);
	return (struct now){.boot_ms = read_ms(CLOCK_BOOTTIME, boot_offset),
			    .wall_ms = read_ms(CLOCK_REALTIME, (struct span){0})};
}

uint64_t clock_run_ms(void)
{
	return read_ms(CLOCK_MONOTONIC, (struct span){0});
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

void clock_boot_id(uint8_t out[16])
{
	char text[64];
	uint8_t id[16] = {0};
	size_t digits = 0;
	ssize_t n;
	int fd;

	memset(out, 0, 16);
	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text));
	close(fd);

	for (ssize_t i = 0; i < n && digits < 32; i++) {
		int d = digit(text[i]);

		if (d < 0)
			continue;
		id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | d);
		digits++;
	}
	/* Half an id would make two boots look alike. */
	if (digits == 32)
		memcpy(out, id, 16);
	if (FAULT("boot"))
		out[0] ^= 0xff;
}

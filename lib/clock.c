/* The only reader of clocks and of the boot id. Called at the edge of each process; what decides gets the result. */
#include "lib/clock.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/err.h"

static int64_t read_ns(clockid_t id)
{
	struct timespec t;

	if (clock_gettime(id, &t) < 0)
		BUG("a clock that every Linux since 2.6.39 has is missing");
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A machine set to before 1970: nothing here can be negative. */
static uint64_t ms_of(int64_t ns)
{
	return ns < 0 ? 0 : (uint64_t)ns / 1000000;
}

/* "boottime SECONDS NANOSECONDS": what a time namespace adds to the machine's clock. */
static int64_t read_offset(void)
{
	char text[256], *at;
	ssize_t n = -1;
	int64_t s;
	int fd;

	fd = open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof text - 1);
		close(fd);
	}
	if (n <= 0)
		return 0;
	text[n] = '\0';
	at = strstr(text, "boottime");
	if (!at)
		return 0;
	s = strtoll(at + strlen("boottime"), &at, 10);
	return s * 1000000000 + strtoll(at, NULL, 10);
}

/* It cannot change: who enters a namespace is a new process. Two threads may both find it out. */
static int64_t boot_offset(void)
{
	static _Atomic int64_t offset;
	static _Atomic bool known;

	if (!known) {
		offset = read_offset();
		known = true;
	}
	return offset;
}

struct now clock_now(void)
{
	return (struct now){.boot_ms = ms_of(read_ns(CLOCK_BOOTTIME) - boot_offset()),
			    .wall_ms = ms_of(read_ns(CLOCK_REALTIME))};
}

uint64_t clock_boot_ms(void)
{
	return ms_of(read_ns(CLOCK_BOOTTIME));
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
}

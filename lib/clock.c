/* The only reader of clocks and of the boot id. Called at the edge of each process; what decides gets the result. */
#include "lib/clock.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/killpoint.h"

static uint64_t read_ms(clockid_t id)
{
	struct timespec t;

	if (clock_gettime(id, &t) < 0)
		BUG("a clock that every Linux since 2.6.39 has is missing");
	/* A machine set to before 1970: nothing here can be negative. */
	if (t.tv_sec < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct now clock_now(void)
{
	return (struct now){.boot_ms = read_ms(CLOCK_BOOTTIME), .wall_ms = read_ms(CLOCK_REALTIME)};
}

uint64_t clock_boot_ms(void)
{
	return read_ms(CLOCK_BOOTTIME);
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

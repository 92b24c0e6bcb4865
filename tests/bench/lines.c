/* How long a line is on its way.
 *
 *   lines say FIFO N USEC   prints a line, waits for a byte from FIFO, then prints N lines of 64 bytes, one every USEC
 *                           microseconds, each with the time at which it was written
 *   lines hear FIFO         reads them from stdin: at the first, sends the byte; prints the delays of the others in nanoseconds,
 *                           median and 99th percentile: "P50 P99" */
#include "tests/bench/bench.h"

enum { LINE = 64, LINES_MAX = 100000 };

static void say_line(uint64_t number)
{
	char line[LINE + 1];

	snprintf(line, sizeof line, "%20ju %20ju %21s\n", (uintmax_t)number, (uintmax_t)now_ns(), "");
	if (write(1, line, LINE) != LINE)
		die("stdout");
}

static void say(int fifo, uint64_t n, uint64_t pause_ns)
{
	uint64_t at;
	char byte;

	say_line(0);
	if (read(fifo, &byte, 1) != 1)
		die("fifo");
	at = now_ns();
	for (uint64_t i = 1; i <= n; i++) {
		struct timespec until;

		at += pause_ns;
		until = (struct timespec){.tv_sec = (time_t)(at / 1000000000U), .tv_nsec = (long)(at % 1000000000U)};
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
			;
		say_line(i);
	}
}

static void hear(int fifo)
{
	static uint64_t delays[LINES_MAX];
	char text[1024 * LINE];
	size_t have = 0, n = 0;
	ssize_t got;

	while ((got = read(0, text + have, sizeof text - have)) > 0) {
		uint64_t now = now_ns();

		have += (size_t)got;
		for (; have >= LINE; have -= LINE, memmove(text, text + LINE, have)) {
			char *end;
			uint64_t number = strtoull(text, &end, 10), written = strtoull(end, NULL, 10);

			if (number == 0 && write(fifo, "g", 1) != 1)
				die("fifo");
			if (number > 0 && n < LINES_MAX)
				delays[n++] = now - written;
		}
	}
	if (n == 0)
		die("no lines");
	printf("%ju %ju\n", (uintmax_t)percentile(delays, n, 50), (uintmax_t)percentile(delays, n, 99));
}

int main(int argc, char **argv)
{
	int fifo;

	if (argc < 3 || (argc != 5 && strcmp(argv[1], "say") == 0)) {
		fprintf(stderr, "usage: lines say FIFO N USEC | lines hear FIFO\n");
		return 99;
	}
	fifo = open(argv[2], O_RDWR | O_CLOEXEC);
	if (fifo < 0)
		die(argv[2]);
	if (strcmp(argv[1], "say") == 0)
		say(fifo, strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10) * 1000);
	else
		hear(fifo);
	return 0;
}

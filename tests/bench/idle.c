/* idle SECONDS PID…: the processor time that these processes take together in that long, in nanoseconds. */
#include "tests/bench/bench.h"

static uint64_t cpu_ns(char **pids)
{
	uint64_t sum = 0;

	for (; *pids; pids++) {
		char path[64];
		uintmax_t ns;
		FILE *f;

		snprintf(path, sizeof path, "/proc/%s/schedstat", *pids);
		f = fopen(path, "re");
		if (!f || fscanf(f, "%ju", &ns) != 1)
			die(path);
		fclose(f);
		sum += ns;
	}
	return sum;
}

int main(int argc, char **argv)
{
	struct timespec ts = {0};
	uint64_t before;

	if (argc < 3) {
		fprintf(stderr, "usage: idle SECONDS PID...\n");
		return 99;
	}
	ts.tv_sec = (time_t)strtol(argv[1], NULL, 10);
	before = cpu_ns(argv + 2);
	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
	printf("%ju\n", (uintmax_t)(cpu_ns(argv + 2) - before));
	return 0;
}

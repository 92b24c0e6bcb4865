/* mix SEED KEYS HITS SC DIR DIR: asks two caches for the same keys, k0 … by Zipf's law, one process of SC after the other and the caches
 * taking turns, stdout a pipe that is read here: "MEAN MEAN P99 P99" in nanoseconds, of the last half: in the first both get used to it. */
#include "tests/bench/bench.h"

enum { KEYS_MAX = 100000 };

static uint64_t state;
static double weight[KEYS_MAX];
static char *buffer;

static double draw(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (double)((z ^ (z >> 31)) >> 11) / (double)(1ULL << 53);
}

/* weight[i]: how likely one of the first i + 1 is. */
static void weigh(unsigned keys)
{
	double sum = 0;

	for (unsigned i = 0; i < keys; i++)
		weight[i] = sum += 1.0 / (i + 1);
	for (unsigned i = 0; i < keys; i++)
		weight[i] /= sum;
}

static unsigned draw_key(unsigned keys)
{
	double at = draw();
	unsigned low = 0, high = keys - 1;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (weight[mid] < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static uint64_t timed(char *sc, char *dir, char *key)
{
	char *argv[] = {sc, "get", "--strict", key, NULL};
	uint64_t begin = now_ns();
	int fds[2];
	pid_t pid;

	setenv("SC_DIR", dir, 1);
	if (pipe2(fds, O_CLOEXEC) < 0)
		die("stdout");
	pid = start(argv, fds[1], -1);
	close(fds[1]);
	drain(fds[0], buffer);
	expect_success(pid, key);
	begin = now_ns() - begin;
	close(fds[0]);
	return begin;
}

int main(int argc, char **argv)
{
	unsigned keys, hits;
	uint64_t *times[2], sum[2] = {0};
	size_t n = 0;

	if (argc != 7)
		die("usage: mix SEED KEYS HITS SC DIR DIR");
	state = strtoull(argv[1], NULL, 10);
	keys = (unsigned)strtoul(argv[2], NULL, 10);
	hits = (unsigned)strtoul(argv[3], NULL, 10);
	if (keys == 0 || keys > KEYS_MAX || hits < 2)
		die("KEYS, HITS");
	buffer = malloc(READ_SIZE);
	times[0] = calloc(hits, sizeof **times);
	times[1] = calloc(hits, sizeof **times);
	if (!buffer || !times[0] || !times[1])
		die("memory");
	weigh(keys);
	for (unsigned i = 0; i < hits; i++) {
		char key[32];

		snprintf(key, sizeof key, "k%u", draw_key(keys));
		for (unsigned turn = 0; turn < 2; turn++) {
			unsigned side = (i + turn) % 2;
			uint64_t took = timed(argv[4], argv[5 + side], key);

			if (i >= hits / 2) {
				times[side][n] = took;
				sum[side] += took;
			}
		}
		n += i >= hits / 2;
	}
	printf("%llu %llu %llu %llu\n", (unsigned long long)(sum[0] / n), (unsigned long long)(sum[1] / n),
	       (unsigned long long)percentile(times[0], n, 99), (unsigned long long)percentile(times[1], n, 99));
	return 0;
}

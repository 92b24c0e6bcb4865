/* torrent SEED       prints what this seed says, in the pieces it says: up to some hundred thousand bytes to stdout, of any value, mostly
 *                    around the sizes of buffers and frames, and lines to stderr between them, with a pause now and then
 * torrent -b SEED    the same bytes of stdout, at once and without stderr
 * torrent -r SEED    copies stdin to stdout as slowly, and in as small or large pieces, as this seed says
 * A pause is how slow it is; nobody waits for it to pass. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/seeded.h"

static uint8_t bytes[200000];

static void put(int fd, const uint8_t *p, size_t n)
{
	ssize_t w;

	for (; n > 0; p += w, n -= (size_t)w)
		if ((w = write(fd, p, n)) <= 0)
			exit(97);
}

static void nap(uint64_t *s)
{
	if (chance(s) % 8 == 0)
		nanosleep(&(struct timespec){.tv_nsec = (long)(chance(s) % 2000000)}, NULL);
}

static size_t size_of(uint64_t *s)
{
	static const size_t edges[] = {1, 4096, 65536, 131072};

	switch (chance(s) % 4) {
	case 0:
		return chance(s) % 100;
	case 1:
		return edges[chance(s) % 4] - 1 + chance(s) % 3;
	default:
		return chance(s) % 20000;
	}
}

static void pour(uint64_t seed, int plain)
{
	uint64_t s = seed * 2 + 1, at = 0;
	int pieces = (int)(chance(&s) % 12);
	char line[64];

	for (int i = 0; i < pieces; i++) {
		size_t n = size_of(&s);

		fill(bytes, n, seed, at);
		put(1, bytes, n);
		at += n;
		if (chance(&s) % 3 == 0 && !plain) {
			snprintf(line, sizeof line, "after %llu\n", (unsigned long long)at);
			put(2, (uint8_t *)line, strlen(line));
		}
		if (!plain) {
			uint64_t own = s;

			nap(&own);
		}
	}
}

static void sip(uint64_t seed)
{
	uint64_t s = seed * 2 + 1;
	ssize_t n;

	while ((n = read(0, bytes, 1 + chance(&s) % (chance(&s) % 2 ? 1000 : sizeof bytes))) > 0) {
		put(1, bytes, (size_t)n);
		nap(&s);
	}
	if (n < 0)
		exit(97);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[1] : "";

	if (argc < 2)
		return 96;
	if (strcmp(mode, "-r") == 0)
		sip(strtoull(argv[2], NULL, 10));
	else
		pour(strtoull(argv[argc - 1], NULL, 10), strcmp(mode, "-b") == 0);
	return 0;
}

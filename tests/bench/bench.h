/* What the measuring programs share: the clock, percentiles, and starting a program. Both sides of every comparison are started
 * by the same call here. */
#ifndef SC_BENCH_H
#define SC_BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What a reader takes at once, the same on both sides. */
#define READ_SIZE (1 << 20)

static inline _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(99);
}

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static inline int bench_by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The value below which `percent` of them lie. Sorts them. */
static inline uint64_t percentile(uint64_t *values, size_t n, unsigned percent)
{
	qsort(values, n, sizeof *values, bench_by_size);
	return values[(n - 1) * percent / 100];
}

/* "12", "3K", "1M", "5G". */
static inline uint64_t parse_size(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	switch (*end) {
	case 'K':
		return n << 10;
	case 'M':
		return n << 20;
	case 'G':
		return n << 30;
	default:
		return n;
	}
}

/* vfork and exec, as a shell that is written for speed would. out_fd and err_fd become 1 and 2; -1: as ours. */
static inline pid_t start(char *const argv[], int out_fd, int err_fd)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (out_fd >= 0)
		posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
	if (err_fd >= 0)
		posix_spawn_file_actions_adddup2(&actions, err_fd, 2);
	errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	if (errno)
		die(argv[0]);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

static inline void expect_success(pid_t pid, const char *name)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid");
	if (status != 0) {
		fprintf(stderr, "bench: %s ended with wait status %#x\n", name, (unsigned)status);
		exit(99);
	}
}

/* Reads to the end of file and drops it all. */
static inline uint64_t drain(int fd, char *buffer)
{
	uint64_t total = 0;

	for (;;) {
		ssize_t n = read(fd, buffer, READ_SIZE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die("read");
		if (n == 0)
			return total;
		total += (uint64_t)n;
	}
}

/* READ_SIZE bytes that are there, not only promised. */
static inline char *touched_buffer(void)
{
	char *buffer = aligned_alloc(4096, READ_SIZE);

	if (!buffer)
		die("memory");
	memset(buffer, 1, READ_SIZE);
	return buffer;
}

#endif

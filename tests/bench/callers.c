/* callers [-g FIFO] N FILE CMD…: starts CMD N times, as fast as one process can, without waiting for any; -g: then lets the
 * command behind them go with a byte. When all have ended, prints the time from the first start in nanoseconds. Each has a pipe of
 * its own for stdout, large enough for FILE, which is what each must have printed. */
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/bench/bench.h"

/* What fits into a pipe of which nobody reads. */
#define SIZE_MAX_ANSWER 4096

struct caller {
	pid_t pid;
	int fd;
};

static size_t read_file(int fd, char *to, const char *what)
{
	size_t n = 0;
	ssize_t got;

	while ((got = read(fd, to + n, SIZE_MAX_ANSWER + 1 - n)) > 0)
		n += (size_t)got;
	if (got < 0 || n > SIZE_MAX_ANSWER)
		die(what);
	close(fd);
	return n;
}

int main(int argc, char **argv)
{
	char want[SIZE_MAX_ANSWER + 1], have[SIZE_MAX_ANSWER + 1];
	int c, n, fifo = -1;
	struct caller *callers;
	struct rlimit files;
	uint64_t begin, took;
	size_t size;

	while ((c = getopt(argc, argv, "+g:")) != -1) {
		if (c != 'g')
			return 99;
		fifo = open(optarg, O_RDWR | O_CLOEXEC);
		if (fifo < 0)
			die(optarg);
	}
	if (argc - optind < 3) {
		fprintf(stderr, "usage: callers [-g FIFO] N FILE CMD...\n");
		return 99;
	}
	n = (int)strtol(argv[optind], NULL, 10);
	callers = calloc((size_t)n, sizeof *callers);
	if (n < 1 || !callers)
		die("arguments");
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	argv += optind;
	begin = now_ns();
	for (int i = 0; i < n; i++) {
		int fds[2];

		if (pipe2(fds, O_CLOEXEC) < 0)
			die("pipe");
		callers[i] = (struct caller){.pid = start(argv + 2, fds[1], -1), .fd = fds[0]};
		close(fds[1]);
	}
	if (fifo >= 0 && write(fifo, "g", 1) != 1)
		die("fifo");
	for (int i = 0; i < n; i++)
		expect_success(callers[i].pid, argv[2]);
	took = now_ns() - begin;
	size = read_file(open(argv[1], O_RDONLY | O_CLOEXEC), want, argv[1]);
	for (int i = 0; i < n; i++)
		if (read_file(callers[i].fd, have, "pipe") != size || memcmp(want, have, size) != 0) {
			fprintf(stderr, "callers: number %d printed something else\n", i);
			return 99;
		}
	printf("%ju\n", (uintmax_t)took);
	return 0;
}

/* stream [-c FILE] [-r] [-g FIFO] SIZE: the cached command of the measurements. Writes SIZE bytes in blocks of 1 MiB, each of
 * them different, as fast as they are taken.
 *
 *   -c FILE   appends a line first: the runs can be counted
 *   -r        says "ready" on stderr first
 *   -g FIFO   then waits for a byte from there */
#include "tests/bench/bench.h"

static void append_line(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0 || write(fd, "run\n", 4) != 4 || close(fd) < 0)
		die(path);
}

static void await_byte(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char byte;

	if (fd < 0 || read(fd, &byte, 1) != 1 || close(fd) < 0)
		die(path);
}

int main(int argc, char **argv)
{
	static uint64_t block[(1 << 20) / sizeof(uint64_t)];
	const char *fifo = NULL;
	uint64_t size, at = 0;
	int c, ready = 0;

	while ((c = getopt(argc, argv, "c:rg:")) != -1)
		switch (c) {
		case 'c':
			append_line(optarg);
			break;
		case 'r':
			ready = 1;
			break;
		case 'g':
			fifo = optarg;
			break;
		default:
			return 99;
		}
	if (optind != argc - 1) {
		fprintf(stderr, "usage: stream [-c FILE] [-r] [-g FIFO] SIZE\n");
		return 99;
	}
	size = parse_size(argv[optind]);
	for (size_t i = 0; i < sizeof block / sizeof *block; i++)
		block[i] = i * 0x9e3779b97f4a7c15U;
	if (ready && write(2, "ready\n", 6) != 6)
		die("stderr");
	if (fifo)
		await_byte(fifo);
	while (at < size) {
		size_t n = size - at < sizeof block ? (size_t)(size - at) : sizeof block, done = 0;

		block[0] = at;
		while (done < n) {
			ssize_t did = write(1, (char *)block + done, n - done);

			if (did < 0 && errno != EINTR)
				die("stdout");
			done += did > 0 ? (size_t)did : 0;
		}
		at += n;
	}
	return 0;
}

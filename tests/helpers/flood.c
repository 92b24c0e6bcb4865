/* flood [-e] [-s OFFSET] N: N bytes of the pattern to stdout (-e: to stderr), from OFFSET on, as fast as they are taken. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/helpers/pattern.h"

int main(int argc, char **argv)
{
	static uint8_t block[1 << 20];
	uint64_t offset = 0, left;
	int fd = 1, c;

	while ((c = getopt(argc, argv, "es:")) != -1)
		switch (c) {
		case 'e':
			fd = 2;
			break;
		case 's':
			offset = pattern_size(optarg);
			break;
		default:
			return 99;
		}
	if (optind != argc - 1) {
		fprintf(stderr, "usage: flood [-e] [-s OFFSET] N\n");
		return 99;
	}
	for (left = pattern_size(argv[optind]); left > 0;) {
		size_t n = left < sizeof(block) ? (size_t)left : sizeof(block), done = 0;

		pattern_fill(block, n, offset);
		while (done < n) {
			ssize_t did = write(fd, block + done, n - done);

			if (did < 0 && errno == EINTR)
				continue;
			if (did < 0) {
				perror("flood");
				return 98;
			}
			done += (size_t)did;
		}
		offset += n;
		left -= n;
	}
	return 0;
}

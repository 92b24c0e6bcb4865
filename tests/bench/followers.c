/* followers N null|pipe FIFO CMD…: starts CMD (a `sc get` whose command is `stream -r -g FIFO`) once to lead, its stdout to
 * /dev/null, then N times more to follow. When all of them have shown "ready" the command is let go, and the time until all have
 * ended is printed in nanoseconds. With `pipe` each follower prints into a pipe with a reader of its own that drops it. */
#include "tests/bench/bench.h"

enum { FOLLOWERS_MAX = 256 };

/* Until "ready" has come so often. Nothing else is expected there. */
static void await_ready(int fd, int times)
{
	char line[6];

	for (int i = 0; i < times; i++) {
		ssize_t n = read(fd, line, sizeof line); /* each was written at once, so it is read at once */

		if (n != sizeof line || memcmp(line, "ready\n", sizeof line) != 0) {
			fprintf(stderr, "followers: not \"ready\" but: %.*s\n", n > 0 ? (int)n : 0, line);
			exit(99);
		}
	}
}

static pid_t start_reader(int fd)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		drain(fd, touched_buffer());
		_exit(0);
	}
	close(fd);
	return pid;
}

int main(int argc, char **argv)
{
	pid_t pids[2 * FOLLOWERS_MAX + 1];
	int n, piped, fifo, null, ready[2], count = 0;
	uint64_t begin;

	if (argc < 5) {
		fprintf(stderr, "usage: followers N null|pipe FIFO CMD...\n");
		return 99;
	}
	n = (int)strtol(argv[1], NULL, 10);
	piped = strcmp(argv[2], "pipe") == 0;
	fifo = open(argv[3], O_RDWR | O_CLOEXEC); /* both ways, so that nobody waits for the other to open it */
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (n < 1 || n > FOLLOWERS_MAX || fifo < 0 || null < 0 || pipe2(ready, O_CLOEXEC) < 0)
		die("arguments");
	argv += 4;
	pids[count++] = start(argv, null, ready[1]);
	await_ready(ready[0], 1);
	for (int i = 0; i < n; i++) {
		int out[2];

		if (!piped) {
			pids[count++] = start(argv, null, ready[1]);
			continue;
		}
		if (pipe2(out, O_CLOEXEC) < 0)
			die("pipe");
		pids[count++] = start(argv, out[1], ready[1]);
		close(out[1]);
		pids[count++] = start_reader(out[0]);
	}
	await_ready(ready[0], n);
	begin = now_ns();
	if (write(fifo, "g", 1) != 1)
		die("fifo");
	while (count > 0)
		expect_success(pids[--count], argv[0]);
	printf("%ju\n", (uintmax_t)(now_ns() - begin));
	return 0;
}

/* How long until a run whose writer has died says something again.
 *
 *   takeover ROUNDS DIR SC     runs `SC get KEY -- takeover say DIR/KEY FIFO` that often: the command's first run says nothing, its
 *                              writer is killed, the second run prints a byte. Prints the medians in nanoseconds of the time from
 *                              the kill to that byte, and of a miss of the same command to its byte: "TAKEOVER MISS"
 *   takeover say MARK FIFO     the command: prints a byte if MARK is there, else makes it, writes its parent's pid to FIFO, and stays */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/bench/bench.h"

enum { ROUNDS_MAX = 1000 };

static int say(const char *mark, const char *fifo)
{
	int fd = open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	pid_t parent = getppid();

	if (fd < 0)
		return write(1, "x", 1) != 1;
	fd = open(fifo, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, &parent, sizeof parent) != sizeof parent)
		die(fifo);
	for (;;)
		pause();
}

static int ask(const char *sc, const char *key, const char *self, const char *mark, const char *fifo, pid_t *pid)
{
	const char *argv[] = {sc, "get", key, "--", self, "say", mark, fifo, NULL};
	int out[2];

	if (pipe2(out, O_CLOEXEC) < 0)
		die("pipe");
	*pid = start((char *const *)(uintptr_t)argv, out[1], 2);
	close(out[1]);
	return out[0];
}

/* From `from` on to the first byte and the end. */
static uint64_t await(int out_fd, pid_t pid, uint64_t from)
{
	uint64_t took;
	int status;
	char byte;

	if (read(out_fd, &byte, 1) != 1)
		die("no byte came");
	took = now_ns() - from;
	close(out_fd);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		die("the run failed");
	return took;
}

int main(int argc, char **argv)
{
	static uint64_t lost[ROUNDS_MAX], miss[ROUNDS_MAX];
	char fifo[4096], mark[4200], key[64];
	int fifo_fd, rounds;
	pid_t pid, writer;

	if (argc == 4 && strcmp(argv[1], "say") == 0)
		return say(argv[2], argv[3]);
	rounds = argc == 4 ? atoi(argv[1]) : 0;
	if (rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: takeover ROUNDS DIR SC\n");
		return 99;
	}
	snprintf(fifo, sizeof fifo, "%s/writers", argv[2]);
	if (mkfifo(fifo, 0600) < 0)
		die(fifo);
	fifo_fd = open(fifo, O_RDWR | O_CLOEXEC);
	for (int i = 0; i < rounds; i++) {
		uint64_t from;
		int out_fd;

		snprintf(mark, sizeof mark, "%s/mark%d", argv[2], i);
		snprintf(key, sizeof key, "lost%d", i);
		out_fd = ask(argv[3], key, argv[0], mark, fifo, &pid);
		if (read(fifo_fd, &writer, sizeof writer) != sizeof writer)
			die(fifo);
		from = now_ns();
		kill(writer, SIGKILL);
		lost[i] = await(out_fd, pid, from);
		/* The mark is there: this one speaks at once. */
		snprintf(key, sizeof key, "miss%d", i);
		from = now_ns();
		out_fd = ask(argv[3], key, argv[0], mark, fifo, &pid);
		miss[i] = await(out_fd, pid, from);
	}
	printf("%ju %ju\n", (uintmax_t)percentile(lost, (size_t)rounds, 50), (uintmax_t)percentile(miss, (size_t)rounds, 50));
	return 0;
}

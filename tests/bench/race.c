/* race [-n RUNS] [-w WARM] [-2] [-p] [-a CMD] [-b CMD] A… ::: B…: runs two commands in turn, the first of a pair being the second of
 * the next, and prints the median time of each in nanoseconds: "A B". From before the start to after the end.
 *
 *   -p        stdout is a pipe that is read here, READ_SIZE at a time, and dropped; both must print as much. Else /dev/null
 *   -w WARM   so many pairs first that do not count (1)
 *   -2        right before each run that counts, one of the same that does not. A virtual machine may give free memory back to its
 *             host and get it again slowly; this way the memory is still warm, and that is not what is measured
 *   -a -b     a shell command after each run of A, of B, not timed
 *   {}        in an argument or such a command: a number that never comes twice */
#include "tests/bench/bench.h"

enum { MAX_ARGS = 64 };

struct side {
	char **argv;
	const char *after;
	uint64_t *times;
	uint64_t bytes;
};

static int piped;
static int twice;
static char *buffer;

static char *substitute(const char *text, unsigned number)
{
	const char *at = strstr(text, "{}");
	char *out;

	if (asprintf(&out, "%.*s", at ? (int)(at - text) : -1, text) < 0)
		die("memory");
	if (at) {
		free(out);
		if (asprintf(&out, "%.*s%d-%u%s", (int)(at - text), text, (int)getpid(), number, at + 2) < 0)
			die("memory");
	}
	return out;
}

static uint64_t timed(struct side *s, char **argv)
{
	int fds[2] = {-1, -1};
	uint64_t begin, end, bytes = 0;
	pid_t pid;

	if (piped ? pipe2(fds, O_CLOEXEC) < 0 : (fds[1] = open("/dev/null", O_WRONLY | O_CLOEXEC)) < 0)
		die("stdout");
	begin = now_ns();
	pid = start(argv, fds[1], -1);
	close(fds[1]);
	if (piped)
		bytes = drain(fds[0], buffer);
	expect_success(pid, argv[0]);
	end = now_ns();
	if (piped)
		close(fds[0]);
	s->bytes = bytes;
	return end - begin;
}

static void run(struct side *s, unsigned number, int slot)
{
	char *argv[MAX_ARGS];
	uint64_t took;
	int n = 0;

	for (; s->argv[n] && n < MAX_ARGS - 1; n++)
		argv[n] = substitute(s->argv[n], number);
	argv[n] = NULL;
	took = timed(s, argv);
	if (slot >= 0)
		s->times[slot] = took;
	while (n > 0)
		free(argv[--n]);
	if (s->after) {
		char *line = substitute(s->after, number);
		char shell[] = "sh", dash_c[] = "-c";

		expect_success(start((char *[]){shell, dash_c, line, NULL}, -1, -1), s->after);
		free(line);
	}
}

int main(int argc, char **argv)
{
	struct side side[2] = {0};
	int runs = 10, warm = 1, c, i;
	unsigned number = 0;

	while ((c = getopt(argc, argv, "+n:w:2pa:b:")) != -1)
		switch (c) {
		case 'n':
			runs = (int)strtol(optarg, NULL, 10);
			break;
		case 'w':
			warm = (int)strtol(optarg, NULL, 10);
			break;
		case '2':
			twice = 1;
			break;
		case 'p':
			piped = 1;
			break;
		case 'a':
			side[0].after = optarg;
			break;
		case 'b':
			side[1].after = optarg;
			break;
		default:
			return 99;
		}
	side[0].argv = argv + optind;
	for (i = optind; i < argc && strcmp(argv[i], ":::") != 0; i++)
		;
	if (i == optind || i >= argc - 1 || runs < 1) {
		fprintf(stderr, "usage: race [-n RUNS] [-w WARM] [-2] [-p] [-a CMD] [-b CMD] A... ::: B...\n");
		return 99;
	}
	argv[i] = NULL;
	side[1].argv = argv + i + 1;
	buffer = touched_buffer();
	for (i = 0; i < 2; i++)
		if (!(side[i].times = calloc((size_t)runs, sizeof(uint64_t))))
			die("memory");
	for (i = -warm; i < runs; i++)
		for (int k = 0; k < 2; k++) {
			struct side *s = &side[(i ^ k) & 1];

			if (twice)
				run(s, number++, -1);
			run(s, number++, i);
		}
	if (side[0].bytes != side[1].bytes) {
		fprintf(stderr, "race: %s printed %ju bytes, %s %ju\n", side[0].argv[0], (uintmax_t)side[0].bytes,
			side[1].argv[0], (uintmax_t)side[1].bytes);
		return 99;
	}
	printf("%ju %ju\n", (uintmax_t)percentile(side[0].times, (size_t)runs, 50),
	       (uintmax_t)percentile(side[1].times, (size_t)runs, 50));
	return 0;
}

/* pieces [-n FILE] [-g FILE] [-q] [-s STATUS]: a command that prints four lines to stdout and four to stderr, in turn; each is read
 * by whoever is at the other end before the next is written. Appends its pid as a line to the file of -n. With -g it waits until
 * that file exists, behind the first two lines or, with -q, in front of them. Ends with STATUS (0). That nobody reads any more
 * does not end it. If it is run by sc, and the run before it still lives after two seconds, FILE.twice is made. */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void say(int fd, const char *what, int n)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "%s, piece %d of 4\n", what, n), left;

	if (write(fd, line, (size_t)len) != len)
		return;
	while (ioctl(fd, FIONREAD, &left) == 0 && left > 0)
		nap();
}

/* A minute at most: nobody may be left who would make the file. */
static void await_file(const char *go)
{
	for (int i = 0; go && access(go, F_OK) != 0; i++) {
		if (i > 60000)
			exit(97);
		nap();
	}
}

/* The lock lives as long as we do. */
static void count_run(const char *file)
{
	int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	char twice[4096];

	if (fd < 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0) {
		perror(file);
		exit(99);
	}
	for (int i = 0; getenv("SC_FLIGHTS") && flock(fd, LOCK_EX | LOCK_NB) != 0; i++) {
		if (i == 2000) {
			snprintf(twice, sizeof(twice), "%s.twice", file);
			close(open(twice, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
			return;
		}
		nap();
	}
}

int main(int argc, char **argv)
{
	const char *count = NULL, *go = NULL;
	bool first = false;
	int c, status = 0;

	while ((c = getopt(argc, argv, "n:g:qs:")) != -1)
		switch (c) {
		case 'n':
			count = optarg;
			break;
		case 'g':
			go = optarg;
			break;
		case 'q':
			first = true;
			break;
		case 's':
			status = (int)strtol(optarg, NULL, 10);
			break;
		default:
			return 99;
		}
	signal(SIGPIPE, SIG_IGN);
	if (count)
		count_run(count);
	for (int n = 1; n <= 4; n++) {
		if (n == (first ? 1 : 2))
			await_file(go);
		say(1, "stdout", n);
		say(2, "stderr", n);
	}
	return status;
}

/* gate DIR [NAME]: the cached command of the tests, stepped by them. It appends its pid to DIR/runs, then does what the lines
 * say that are written to the FIFO DIR/NAME (DIR/gate), one after the other, and appends each line to DIR/NAME.acks
 * (DIR/acks) when it is done; so a test knows that a step has happened and never has to wait for time to pass.
 *
 *   out TEXT · outn TEXT · err TEXT · errn TEXT    text to stdout or stderr, with and without newline
 *   fill N · fillerr N                             N more bytes of the pattern (see flood)
 *   nul N                                          N NUL bytes to stdout
 *   exit N                                         acknowledged before
 *   kill SIG                                       itself, with the signal's default restored; acknowledged before
 *   close out|err
 *   trap SIG · ignore SIG                          trap: each arrival is one line in DIR/signals
 *   fork NAME                                      a child in the same group, holding the same descriptors: a gate NAME
 *   where                                          what stdin is, to stdout
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/helpers/pattern.h"

static const char *dir;
static int signals_fd = -1;

static void die(const char *what)
{
	fprintf(stderr, "gate: %s: %s\n", what, strerror(errno));
	_exit(99);
}

static int signal_number(const char *name)
{
	char *end;
	long n = strtol(name, &end, 10);

	if (*end == '\0' && n > 0)
		return (int)n;
	for (int i = 1; i < NSIG; i++) {
		const char *abbrev = sigabbrev_np(i);

		if (abbrev && strcmp(abbrev, name) == 0)
			return i;
	}
	errno = EINVAL;
	die(name);
	return 0;
}

static void on_signal(int n)
{
	const char *name = sigabbrev_np(n);
	char line[16] = "?\n";
	int saved = errno;

	if (name) {
		size_t len = strlen(name);

		memcpy(line, name, len);
		line[len] = '\n';
		line[len + 1] = '\0';
	}
	if (write(signals_fd, line, strlen(line)) < 0)
		_exit(98);
	errno = saved;
}

static void write_all(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n > 0) {
		ssize_t did = write(fd, p, n);

		if (did < 0 && errno == EINTR)
			continue;
		if (did < 0)
			die("write");
		p += did;
		n -= (size_t)did;
	}
}

static void fill(int fd, uint64_t n, uint64_t *offset)
{
	static uint8_t block[1 << 16];

	while (n > 0) {
		size_t now = n < sizeof(block) ? (size_t)n : sizeof(block);

		pattern_fill(block, now, *offset);
		write_all(fd, block, now);
		*offset += now;
		n -= now;
	}
}

static void nul(uint64_t n)
{
	static const uint8_t block[1 << 16];

	while (n > 0) {
		size_t now = n < sizeof(block) ? (size_t)n : sizeof(block);

		write_all(1, block, now);
		n -= now;
	}
}

static int open_in_dir(const char *name, int flags)
{
	char path[2 * PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags | O_CLOEXEC, 0666);
	if (fd < 0)
		die(path);
	return fd;
}

/* Out of the way of whoever counts small descriptors. */
static int move_up(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, 100);

	if (up < 0)
		return fd;
	close(fd);
	return up;
}

static void steps(const char *name, bool first);

static void step(char *line)
{
	static uint64_t out_offset, err_offset;
	char *arg = strchr(line, ' ');
	struct sigaction sa = {.sa_handler = on_signal};

	if (arg)
		*arg++ = '\0';
	else
		arg = line + strlen(line);

	if (strcmp(line, "out") == 0 || strcmp(line, "err") == 0) {
		size_t n = strlen(arg);

		arg[n] = '\n'; /* in one write, so that a reader never sees half a line */
		write_all(line[0] == 'o' ? 1 : 2, arg, n + 1);
	} else if (strcmp(line, "outn") == 0) {
		write_all(1, arg, strlen(arg));
	} else if (strcmp(line, "errn") == 0) {
		write_all(2, arg, strlen(arg));
	} else if (strcmp(line, "fill") == 0) {
		fill(1, pattern_size(arg), &out_offset);
	} else if (strcmp(line, "fillerr") == 0) {
		fill(2, pattern_size(arg), &err_offset);
	} else if (strcmp(line, "nul") == 0) {
		nul(pattern_size(arg));
	} else if (strcmp(line, "close") == 0) {
		close(strcmp(arg, "out") == 0 ? 1 : 2);
	} else if (strcmp(line, "trap") == 0) {
		sigaction(signal_number(arg), &sa, NULL);
	} else if (strcmp(line, "ignore") == 0) {
		signal(signal_number(arg), SIG_IGN);
	} else if (strcmp(line, "fork") == 0) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0)
			steps(arg, false);
	} else if (strcmp(line, "where") == 0) {
		char link[PATH_MAX];
		ssize_t n = readlink("/proc/self/fd/0", link, sizeof(link) - 1);

		write_all(1, n < 0 ? "closed" : link, n < 0 ? 6 : (size_t)n);
		write_all(1, "\n", 1);
	} else {
		errno = EINVAL;
		die(line);
	}
}

/* For ever, or until a step ends the process. The run is counted when it can be stepped. */
static void steps(const char *name, bool first)
{
	char acks[PATH_MAX], fifo[2 * PATH_MAX], line[8192], copy[8192];
	int in, ack;

	snprintf(fifo, sizeof(fifo), "%s/%s", dir, name);
	if (mkfifo(fifo, 0666) != 0 && errno != EEXIST)
		die(fifo);
	snprintf(acks, sizeof(acks), "%s%s", strcmp(name, "gate") == 0 ? "" : name,
		 strcmp(name, "gate") == 0 ? "acks" : ".acks");
	ack = move_up(open_in_dir(acks, O_WRONLY | O_APPEND | O_CREAT));
	in = move_up(open_in_dir(name, O_RDWR)); /* so that it never ends */

	if (first) {
		int fd = open_in_dir("runs", O_WRONLY | O_APPEND | O_CREAT);

		snprintf(line, sizeof(line), "%ld\n", (long)getpid());
		write_all(fd, line, strlen(line));
		close(fd);
	}
	for (;;) {
		size_t n = 0;
		ssize_t got;

		while (n < sizeof(line) - 2) {
			got = read(in, line + n, 1);
			if (got < 0 && errno == EINTR)
				continue;
			if (got <= 0)
				die("read");
			if (line[n] == '\n')
				break;
			n++;
		}
		line[n] = '\0';
		memcpy(copy, line, n);
		copy[n] = '\n';
		if (strncmp(line, "exit ", 5) == 0) {
			write_all(ack, copy, n + 1);
			_exit((int)strtol(line + 5, NULL, 10));
		}
		if (strncmp(line, "kill ", 5) == 0) {
			int sig = signal_number(line + 5);
			sigset_t set;

			write_all(ack, copy, n + 1);
			signal(sig, SIG_DFL);
			sigemptyset(&set);
			sigaddset(&set, sig);
			sigprocmask(SIG_UNBLOCK, &set, NULL);
			kill(getpid(), sig);
			continue;
		}
		step(line);
		write_all(ack, copy, n + 1);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: gate DIR [NAME]\n");
		return 99;
	}
	dir = argv[1];
	signals_fd = move_up(open_in_dir("signals", O_WRONLY | O_APPEND | O_CREAT));
	steps(argc == 3 ? argv[2] : "gate", true);
}

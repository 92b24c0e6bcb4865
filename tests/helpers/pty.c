/* pty CONTROL CMD [ARG…]: a terminal with one foreground job in its own session. What the terminal shows goes to stdout (with
 * \r\n as \n). Lines written to the FIFO CONTROL are done one after the other and appended to CONTROL.acks:
 *
 *   key C       one byte as from the keyboard: ^C ^Z ^D ^\ or a letter
 *   type TEXT   TEXT and Return
 *   keys TEXT   TEXT alone
 *   signal SIG  to the job's first process
 *   close       the terminal goes away
 *
 * Ends with the job's status; 128+n, and a line "pty: killed by signal n" on stderr, if signal n ended it. With "-" as CONTROL
 * nothing is read. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int master_fd = -1;
static pid_t job;

static void die(const char *what)
{
	fprintf(stderr, "pty: %s: %s\n", what, strerror(errno));
	exit(99);
}

static int signal_number(const char *name)
{
	for (int i = 1; i < NSIG; i++) {
		const char *abbrev = sigabbrev_np(i);

		if (abbrev && strcmp(abbrev, name) == 0)
			return i;
	}
	return (int)strtol(name, NULL, 10);
}

static void type(const char *bytes, size_t n)
{
	if (master_fd >= 0 && write(master_fd, bytes, n) != (ssize_t)n)
		die("write");
}

static void obey(char *line)
{
	char *arg = strchr(line, ' ');

	if (arg)
		*arg++ = '\0';
	else
		arg = line + strlen(line);
	if (strcmp(line, "key") == 0) {
		char c = arg[0] == '^' && arg[1] ? (char)(arg[1] & 0x1f) : arg[0];

		type(&c, 1);
	} else if (strcmp(line, "type") == 0) {
		type(arg, strlen(arg));
		type("\r", 1);
	} else if (strcmp(line, "keys") == 0) {
		type(arg, strlen(arg));
	} else if (strcmp(line, "signal") == 0) {
		kill(job, signal_number(arg));
	} else if (strcmp(line, "close") == 0) {
		close(master_fd);
		master_fd = -1;
	} else {
		errno = EINVAL;
		die(line);
	}
}

/* Whole lines only; what is left waits for its end. */
static void control(int fd, int ack)
{
	static char line[4096];
	static size_t n;
	char c;

	while (read(fd, &c, 1) == 1) {
		if (c != '\n') {
			if (n < sizeof(line) - 2)
				line[n++] = c;
			continue;
		}
		line[n] = '\0';
		n = 0;
		obey(line);
		if (write(ack, "done\n", 5) != 5)
			die("acks");
	}
}

/* 0 when the terminal has nothing more to show. */
static int show(void)
{
	char from[4096], to[4096];
	size_t kept = 0;
	ssize_t n = read(master_fd, from, sizeof(from));

	if (n <= 0)
		return n < 0 && errno == EINTR;
	for (ssize_t i = 0; i < n; i++)
		if (from[i] != '\r')
			to[kept++] = from[i];
	if (write(1, to, kept) != (ssize_t)kept)
		die("stdout");
	return 1;
}

static void run(char **argv)
{
	const char *name = ptsname(master_fd);
	int fd;

	setsid();
	fd = open(name, O_RDWR);
	if (fd < 0 || ioctl(fd, TIOCSCTTY, 0) != 0)
		die("terminal");
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
	signal(SIGINT, SIG_DFL); /* a shell's background job has them ignored */
	signal(SIGQUIT, SIG_DFL);
	execvp(argv[0], argv);
	die(argv[0]);
}

int main(int argc, char **argv)
{
	int control_fd = -1, ack_fd = -1, status;
	char acks[PATH_MAX];

	if (argc < 3) {
		fprintf(stderr, "usage: pty CONTROL|- CMD [ARG…]\n");
		return 99;
	}
	if (strcmp(argv[1], "-") != 0) {
		if (mkfifo(argv[1], 0666) != 0 && errno != EEXIST)
			die(argv[1]);
		snprintf(acks, sizeof(acks), "%s.acks", argv[1]);
		control_fd = open(argv[1], O_RDWR | O_NONBLOCK | O_CLOEXEC);
		ack_fd = open(acks, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
		if (control_fd < 0 || ack_fd < 0)
			die(argv[1]);
	}
	master_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master_fd < 0 || grantpt(master_fd) != 0 || unlockpt(master_fd) != 0)
		die("/dev/ptmx");
	job = fork();
	if (job < 0)
		die("fork");
	if (job == 0)
		run(argv + 2);

	for (;;) {
		struct pollfd p[] = {{.fd = master_fd, .events = POLLIN}, {.fd = control_fd, .events = POLLIN}};
		pid_t gone;

		if (poll(p, 2, 20) < 0 && errno != EINTR)
			die("poll");
		if (p[1].revents & POLLIN)
			control(control_fd, ack_fd);
		if (master_fd >= 0 && (p[0].revents & POLLIN)) {
			show();
			continue; /* everything it shows before we ask whether it has ended */
		}
		gone = waitpid(job, &status, WNOHANG);
		if (gone == job)
			break;
	}
	while (master_fd >= 0) {
		struct pollfd p = {.fd = master_fd, .events = POLLIN};

		if (poll(&p, 1, 0) <= 0 || !(p.revents & POLLIN) || !show())
			break;
	}
	if (WIFSIGNALED(status)) {
		fprintf(stderr, "pty: killed by signal %d\n", WTERMSIG(status));
		return 128 + WTERMSIG(status);
	}
	return WEXITSTATUS(status);
}

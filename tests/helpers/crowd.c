/* crowd N DIR CMD [ARG…]: N copies of a command at the same moment. "{}" in an ARG is the copy's number, 0 … N-1. Its stdout
 * goes to DIR/NUMBER.out, its stderr to DIR/NUMBER.err, stdin is /dev/null. All are forked first and begin together. When all have
 * ended: one line "STATUS COUNT" for each exit status there was (128+n for a signal), lowest first. DIR/begun says that they are being let
 * go: it is there a moment before, since behind so many we might not come to it for long. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void open_as(const char *dir, int i, const char *suffix, int as)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%d.%s", dir, i, suffix);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (fd < 0 || dup2(fd, as) < 0)
		die(path);
	if (fd != as)
		close(fd);
}

static char *substitute(const char *arg, int i)
{
	const char *at = strstr(arg, "{}");
	char *out;

	if (!at)
		return strdup(arg);
	if (asprintf(&out, "%.*s%d%s", (int)(at - arg), arg, i, at + 2) < 0)
		die("memory");
	return out;
}

int main(int argc, char **argv)
{
	static int counts[512];
	char path[PATH_MAX];
	int go[2], n, fd, status;

	if (argc < 4) {
		fprintf(stderr, "usage: crowd N DIR CMD [ARG…]\n");
		return 99;
	}
	n = (int)strtol(argv[1], NULL, 10);
	if (pipe2(go, O_CLOEXEC) != 0)
		die("pipe");
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			char c;

			close(go[1]);
			for (int k = 3; k < argc; k++)
				argv[k] = substitute(argv[k], i);
			fd = open("/dev/null", O_RDONLY);
			if (fd < 0 || dup2(fd, 0) < 0)
				die("/dev/null");
			if (fd != 0)
				close(fd);
			open_as(argv[2], i, "out", 1);
			open_as(argv[2], i, "err", 2);
			if (read(go[0], &c, 1) < 0) /* ends when the last is forked */
				die("read");
			execvp(argv[3], argv + 3);
			die(argv[3]);
		}
	}
	snprintf(path, sizeof(path), "%s/begun", argv[2]);
	fd = open(path, O_WRONLY | O_CREAT, 0666);
	if (fd < 0)
		die(path);
	close(fd);
	close(go[0]);
	close(go[1]);
	for (int i = 0; i < n; i++) {
		if (wait(&status) < 0)
			die("wait");
		counts[WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status)]++;
	}
	for (int i = 0; i < 512; i++)
		if (counts[i])
			printf("%d %d\n", i, counts[i]);
	return 0;
}

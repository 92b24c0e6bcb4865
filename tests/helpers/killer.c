/* killer N CMD [ARG…]: N times in a row: starts the command, waits for the first byte of its stdout, kills it with SIGKILL.
 * Ends with 0 if every one of them had printed something and died of that signal. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int n, bad = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: killer N CMD [ARG…]\n");
		return 99;
	}
	n = (int)strtol(argv[1], NULL, 10);
	for (int i = 0; i < n; i++) {
		int p[2], status;
		char c;
		ssize_t got;
		pid_t pid;

		if (pipe2(p, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
			perror("killer");
			return 99;
		}
		if (pid == 0) {
			dup2(p[1], 1);
			execvp(argv[2], argv + 2);
			_exit(99);
		}
		close(p[1]);
		got = read(p[0], &c, 1);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		close(p[0]);
		if (got != 1 || !WIFSIGNALED(status))
			bad++;
	}
	if (bad)
		fprintf(stderr, "killer: %d of %d ended before they were killed\n", bad, n);
	return bad != 0;
}

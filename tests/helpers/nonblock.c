/* nonblock CMD [ARG…]: runs the command with a non-blocking pipe as stdout and copies what comes to ours. Ends with its status;
 * with 97 if the pipe is no longer non-blocking afterwards. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static char block[65536];
	int p[2], status;
	ssize_t n, did;
	pid_t pid;

	if (argc < 2 || pipe2(p, O_CLOEXEC) != 0 || fcntl(p[1], F_SETFL, O_WRONLY | O_NONBLOCK) != 0 || (pid = fork()) < 0)
		return 99;
	if (pid == 0) {
		dup2(p[1], 1);
		execvp(argv[1], argv + 1);
		_exit(98);
	}
	if (waitpid(pid, &status, WNOHANG) != 0)
		return 99;
	for (int open = 1; open;) {
		/* Our own copy of the write end shows the flags, and is closed when the command has ended. */
		pid_t gone = waitpid(pid, &status, WNOHANG);

		if (gone == pid) {
			if (!(fcntl(p[1], F_GETFL) & O_NONBLOCK))
				return 97;
			close(p[1]);
			open = 0;
			fcntl(p[0], F_SETFL, O_RDONLY);
		} else {
			fcntl(p[0], F_SETFL, O_RDONLY | O_NONBLOCK);
		}
		while ((n = read(p[0], block, sizeof(block))) > 0)
			for (ssize_t at = 0; at < n; at += did) {
				did = write(1, block + at, (size_t)(n - at));
				if (did < 0)
					return 99;
			}
		if (open)
			usleep(1000); /* so that the pipe fills again and again */
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

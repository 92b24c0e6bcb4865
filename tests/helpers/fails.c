/* fails [-o TEXT] [-e TEXT] [-n FILE] [-k SIGNAL] [STATUS]: a command that ends at once. Prints TEXT (with a newline) to stdout
 * and to stderr, appends its pid as a line to FILE, and ends with STATUS (0) or of the signal. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *out = NULL, *err = NULL, *file = NULL;
	int sig = 0, c;

	while ((c = getopt(argc, argv, "o:e:n:k:")) != -1)
		switch (c) {
		case 'o':
			out = optarg;
			break;
		case 'e':
			err = optarg;
			break;
		case 'n':
			file = optarg;
			break;
		case 'k':
			sig = (int)strtol(optarg, NULL, 10);
			break;
		default:
			return 99;
		}
	if (file) {
		int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);

		if (fd < 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0) {
			perror(file);
			return 99;
		}
		close(fd);
	}
	if (out)
		printf("%s\n", out);
	fflush(stdout);
	if (err)
		fprintf(stderr, "%s\n", err);
	if (sig) {
		struct rlimit none = {0, 0};
		sigset_t set;

		setrlimit(RLIMIT_CORE, &none);
		signal(sig, SIG_DFL);
		sigemptyset(&set);
		sigaddset(&set, sig);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		kill(getpid(), sig);
		return 99;
	}
	return optind < argc ? (int)strtol(argv[optind], NULL, 10) : 0;
}

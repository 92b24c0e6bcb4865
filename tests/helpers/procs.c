/* procs on PATH       every process with PATH (or something below it) on its command line, in its environment, as its working
 *                     directory or as its program: one line "PID COMMAND LINE". Not this one, nor its ancestors.
 * procs end PATH      the same, and SIGKILL for each
 * procs daemon DIR    the pids of the `scd` processes that have DIR as an argument
 * procs child PID     the pids of its children
 * What has exited and is not yet waited for counts as gone. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char text[4 << 20];

static size_t slurp(pid_t pid, const char *name)
{
	char path[64];
	size_t n = 0;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while (n < sizeof(text) - 1 && (got = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	close(fd);
	text[n] = '\0';
	return n;
}

/* State letter and parent; false if it is gone. */
static bool parent_of(pid_t pid, char *state, pid_t *parent)
{
	const char *after;

	if (slurp(pid, "stat") == 0 || !(after = strrchr(text, ')')) || strlen(after) < 5)
		return false;
	*state = after[2];
	*parent = (pid_t)strtol(after + 4, NULL, 10);
	return true;
}

static bool contains(size_t n, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i + len <= n; i++)
		if (memcmp(text + i, path, len) == 0 && !isalnum((unsigned char)text[i + len]) && text[i + len] != '_' &&
		    text[i + len] != '-' && text[i + len] != '.')
			return true;
	return false;
}

static bool link_contains(pid_t pid, const char *name, const char *path)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%ld/%s", (long)pid, name);
	n = readlink(link, text, PATH_MAX);
	if (n < 0)
		return false;
	text[n] = '\0';
	return contains((size_t)n, path);
}

static void print_process(pid_t pid)
{
	size_t n = slurp(pid, "cmdline");

	for (size_t i = 0; i + 1 < n; i++)
		if (text[i] == '\0' || (unsigned char)text[i] < ' ')
			text[i] = ' ';
	printf("%ld %.300s\n", (long)pid, text);
}

static bool is_daemon_of(pid_t pid, const char *dir)
{
	size_t n = slurp(pid, "cmdline"), first = strlen(text);
	const char *base = strrchr(text, '/');

	if (n == 0 || strcmp(base ? base + 1 : text, "scd") != 0)
		return false;
	for (size_t i = first + 1; i < n; i += strlen(text + i) + 1)
		if (strcmp(text + i, dir) == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	pid_t ancestors[256], parent;
	size_t nancestors = 0;
	struct dirent *e;
	char state;
	DIR *d = opendir("/proc");

	if (argc != 3 || !d) {
		fprintf(stderr, "usage: procs on|end|daemon|child WHAT\n");
		return 99;
	}
	for (pid_t pid = getpid(); pid > 0 && nancestors < 256; pid = parent) {
		ancestors[nancestors++] = pid;
		if (!parent_of(pid, &state, &parent))
			break;
	}
	while ((e = readdir(d))) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
		bool own = false;

		if (pid <= 0 || !parent_of(pid, &state, &parent) || state == 'Z' || state == 'X')
			continue;
		if (strcmp(argv[1], "child") == 0) {
			if (parent == strtol(argv[2], NULL, 10))
				printf("%ld\n", (long)pid);
			continue;
		}
		if (strcmp(argv[1], "daemon") == 0) {
			if (is_daemon_of(pid, argv[2]))
				printf("%ld\n", (long)pid);
			continue;
		}
		for (size_t i = 0; i < nancestors; i++)
			own |= ancestors[i] == pid;
		if (own || !(contains(slurp(pid, "cmdline"), argv[2]) || contains(slurp(pid, "environ"), argv[2]) ||
			     link_contains(pid, "cwd", argv[2]) || link_contains(pid, "exe", argv[2])))
			continue;
		print_process(pid);
		if (strcmp(argv[1], "end") == 0)
			kill(pid, SIGKILL);
	}
	closedir(d);
	return 0;
}

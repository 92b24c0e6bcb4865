/* What goes wrong in test builds. */
#include "lib/killpoint.h"

#ifdef SC_TEST_BUILD
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static bool note(const char *file, const char *name, int how)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC | how, 0600);

	if (fd < 0)
		return false;
	dprintf(fd, "%s %ld\n", name, (long)getpid());
	close(fd);
	return true;
}

static void pass(const char *name, const char *at, atomic_long *passed, int sig)
{
	size_t n = at ? strcspn(at, ":") : 0;
	bool each = n == 1 && *at == '*';
	long count = 1;
	char *file = NULL;

	if (!at || (!each && (strlen(name) != n || strncmp(at, name, n) != 0)))
		return;
	if (at[n])
		count = strtol(at + n + 1, &file, 10);
	file = file && *file == ':' ? file + 1 : NULL;
	if (each) {
		(void)(file && note(file, name, O_APPEND));
	} else if (atomic_fetch_add(passed, 1) + 1 == count && (!file || note(file, name, O_EXCL))) {
		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
		kill(getpid(), sig);
	}
}

bool fault(const char *name)
{
	const char *asked = getenv("SC_FAULT");

	return asked && strcmp(asked, name) == 0;
}

void disk_work(const char *what)
{
	const char *at = getenv("SC_STUCK"), *file;
	size_t n = strlen(what);
	int fd;

	if (!at || strncmp(at, what, n) != 0 || at[n] != ':')
		return;
	file = at + n + 1;
	fd = open(file, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return;
	dprintf(fd, "%s\n", what);
	close(fd);
	while (access(file, F_OK) == 0)
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

void killpoint(const char *name)
{
	static atomic_long kills, stops;

	pass(name, getenv("SC_KILLAT"), &kills, SIGKILL);
	pass(name, getenv("SC_STOPAT"), &stops, SIGSTOP);
}
#endif

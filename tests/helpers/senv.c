/* senv [NAME…]: what this process inherited, one fact a line, sorted where the kernel does not order it: working directory,
 * umask, signals blocked and ignored, limits, and the environment without the variables NAME. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int is_named(const char *variable, char **names)
{
	size_t n = strcspn(variable, "=");

	for (; *names; names++)
		if (strlen(*names) == n && strncmp(*names, variable, n) == 0)
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	char cwd[4096], line[256];
	size_t count = 0;
	FILE *f = fopen("/proc/self/status", "r");
	mode_t mask = umask(0);

	(void)argc;
	printf("cwd %s\n", getcwd(cwd, sizeof(cwd)) ? cwd : "?");
	printf("umask %04o\n", (unsigned)mask);
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "SigBlk", 6) == 0 || strncmp(line, "SigIgn", 6) == 0)
			printf("%s", line);
	if (f)
		fclose(f);
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit r;

		if (getrlimit((__rlimit_resource_t)i, &r) == 0)
			printf("limit %d %llu %llu\n", i, (unsigned long long)r.rlim_cur, (unsigned long long)r.rlim_max);
	}
	while (environ[count])
		count++;
	qsort(environ, count, sizeof(*environ), by_text);
	for (size_t i = 0; i < count; i++)
		if (!is_named(environ[i], argv + 1))
			printf("env %s\n", environ[i]);
	return 0;
}

/* Reads the daemon's log for doctor: one pass over its lines, which anybody may have garbled. Only looks. */
#include "cmd/logged.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/limits.h"

/* Longer lines, which the daemon does not write, are cut. */
#define LINE_MAX_BYTES 16384

/* A line is of the first kind whose mark it has; the reason is in it, behind why= or error=. */
static const struct {
	const char *mark;
	enum trouble trouble;
} marks[] = {
	{" why=\"streaming only: ", LOGGED_STREAMING},
	{" event=no-flight ", LOGGED_BEGIN},
	{" event=commit-failed ", LOGGED_COMMIT},
	{" event=index-failed ", LOGGED_INDEX},
	{" event=checkpoint-failed ", LOGGED_INDEX},
	{" event=doubt-failed ", LOGGED_INDEX},
	{" event=measure-failed ", LOGGED_INDEX},
	{" event=sync-failed ", LOGGED_SYNC},
	{" event=unlink-failed ", LOGGED_REMOVE},
	{" event=evict-failed ", LOGGED_REMOVE},
	{" event=expiry-failed ", LOGGED_REMOVE},
	{" event=bad-row-stays ", LOGGED_REMOVE},
	{" event=entry-bad ", LOGGED_BYTES},
	{" event=turned-away ", LOGGED_FULL},
	{" event=crashed ", LOGGED_CRASH},
	{" event=no-start ", LOGGED_NO_START},
	{" event=index-bad ", LOGGED_ASIDE},
};

/* "2026-01-31T12:00:00.000Z …" in ms since 1970; 0: it is none. */
static uint64_t time_of(const char *line)
{
	struct tm tm = {0};
	const char *rest = strptime(line, "%Y-%m-%dT%H:%M:%S", &tm);
	time_t t = rest && *rest == '.' ? timegm(&tm) : -1;

	return t > 0 ? (uint64_t)t * 1000 : 0;
}

static void read_why(const char *line, char out[512])
{
	static const char *const names[] = {" why=\"streaming only: ", " why=\"", " error=\"", " error="};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *at = strstr(line, names[i]);
		size_t n;

		if (!at)
			continue;
		at += strlen(names[i]);
		/* To the end of the line, where these stand: a reason may have quotes of its own. */
		n = strcspn(at, "\n");
		if (n && at[n - 1] == '"')
			n--;
		snprintf(out, 512, "%.*s", (int)n, at);
		return;
	}
	*out = '\0';
}

static void take(const char *line, uint64_t since_ms, struct logged out[TROUBLES])
{
	uint64_t at = time_of(line);
	struct logged *l = NULL;

	for (size_t i = 0; at && !l && i < sizeof marks / sizeof marks[0]; i++)
		if (strstr(line, marks[i].mark))
			l = &out[marks[i].trouble];
	if (!l || (at < since_ms && l - out < LOGGED_NO_START))
		return;
	/* What is too large to be kept is not the disk's fault. */
	if (l == &out[LOGGED_STREAMING] && strstr(line, strerror(EFBIG)))
		return;
	l->times++;
	l->last_ms = at;
	read_why(line, l->why);
}

static void read_file(int dir_fd, const char *name, uint64_t since_ms, struct logged out[TROUBLES])
{
	static char line[LINE_MAX_BYTES];
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint64_t left = 2 * (uint64_t)SC_LOG_MAX; /* whoever planted a larger one need not be read to its end */
	struct stat st;
	FILE *f = NULL;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid())
		f = fdopen(fd, "r");
	if (!f) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while (left > sizeof line && fgets(line, sizeof line, f)) {
		left -= strlen(line);
		take(line, since_ms, out);
	}
	fclose(f);
}

void logged_read(int dir_fd, uint64_t since_ms, struct logged out[TROUBLES])
{
	memset(out, 0, TROUBLES * sizeof *out);
	read_file(dir_fd, "scd.log.1", since_ms, out);
	read_file(dir_fd, "scd.log", since_ms, out);
}

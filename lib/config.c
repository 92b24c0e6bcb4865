/* Finds `config`, trusts it or not, and reads it by libinih, line by line: what is wrong with one line is said with its number,
 * and costs that line only. Called by the daemon at its start, and by paths.c for a directory on a network file system.
 * Never writes, never prints. */
#include "lib/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/human.h"
#include "lib/limits.h"
#include "lib/paths.h"

/* More than this of a file is not read: nothing we know is so long. */
#define FILE_MAX (64 * 1024)

struct reading {
	struct config *c;
	config_complaint complain;
	void *arg;
	const char *name;
	FILE *file;
	int line;    /* the one in work, from 1 */
	size_t left; /* bytes that may still be read */
};

static void say(const struct reading *r, int line, const char *why)
{
	if (r->complain)
		r->complain(r->arg, r->name, line, why);
}

/* ---- what may stand in it ---- */

static bool set_duration(void *field, const char *text)
{
	return human_parse_duration(text, field) == 0;
}

static bool set_size_or_none(void *field, const char *text)
{
	uint64_t *size = field;

	if (strcmp(text, "none") == 0)
		*size = SC_FOREVER;
	return strcmp(text, "none") == 0 || human_parse_size(text, size) == 0;
}

static bool set_switch(void *field, const char *text)
{
	static const char *const words[] = {"off", "on", "no", "yes", "false", "true"};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(text, words[i]) == 0) {
			*(bool *)field = i % 2 == 1;
			return true;
		}
	return false;
}

static const struct {
	const char *name;
	size_t offset;
	bool (*set)(void *field, const char *text);
	const char *wants;
} settings[] = {
	{"idle-exit", offsetof(struct config, idle_exit_ms), set_duration, "a duration, such as 10m"},
	{"ttl", offsetof(struct config, ttl_ms), set_duration, "a duration, such as 1h"},
	{"window", offsetof(struct config, window), set_size_or_none, "a size, such as 16M, or none"},
	{"network-fs", offsetof(struct config, network_fs), set_switch, "on or off"},
};

#define SETTINGS (sizeof settings / sizeof settings[0])

void config_init(struct config *c)
{
	*c = (struct config){.idle_exit_ms = SC_IDLE_EXIT_MS, .ttl_ms = SC_TTL_DEFAULT_MS, .window = SC_WINDOW};
}

/* Always 1: for libinih nothing is an error but a line it cannot take apart. */
static int on_setting(void *arg, const char *section, const char *name, const char *value)
{
	const struct reading *r = arg;
	char why[512], text[160];

	if (*section) {
		snprintf(why, sizeof why, "there is no section [%s]",
			 human_escape(section, strlen(section), text, sizeof text));
		say(r, r->line, why);
		return 1;
	}
	for (size_t i = 0; i < SETTINGS; i++) {
		if (strcmp(name, settings[i].name) != 0)
			continue;
		if (!settings[i].set((char *)r->c + settings[i].offset, value)) {
			human_escape(value, strlen(value), text, sizeof text);
			snprintf(why, sizeof why, "%s = %s: not %s", name, text, settings[i].wants);
			say(r, r->line, why);
		}
		return 1;
	}
	snprintf(why, sizeof why, "there is no setting \"%s\"", human_escape(name, strlen(name), text, sizeof text));
	say(r, r->line, why);
	return 1;
}

/* One whole line per call, so that r->line is right; what libinih could not take is made an empty one. Leading blanks go: to
 * libinih they would make the line a second value of the setting above. */
static char *next_line(char *out, int size, void *arg)
{
	struct reading *r = arg;
	const char *why = NULL;
	int n = 0, c;

	while ((c = r->left > 0 ? getc(r->file) : EOF) != EOF) {
		r->left--;
		if (c == '\n')
			break;
		if (c == '\0')
			why = "has a NUL byte";
		else if (n >= size - 3) /* room for "\n" and NUL, and libinih sees that the line is not full */
			why = why ? why : "is too long";
		else if (n > 0 || (c != ' ' && c != '\t'))
			out[n++] = (char)c;
	}
	if (c == EOF && n == 0 && !why)
		return NULL;
	r->line++;
	if (why) {
		say(r, r->line, why);
		n = 0;
	}
	out[n++] = '\n';
	out[n] = '\0';
	return out;
}

/* ---- which file ---- */

static int check(const struct reading *r, int fd)
{
	char why[128];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return SC_ESYS;
	if (!S_ISREG(st.st_mode)) {
		say(r, 0, "is not a regular file, so it is not read");
		return SC_EUNSAFE;
	}
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		snprintf(why, sizeof why, "belongs to uid %u, so it is not read", (unsigned)st.st_uid);
		say(r, 0, why);
		return SC_EUNSAFE;
	}
	if (st.st_mode & 022) {
		say(r, 0, "is writable by others, so it is not read (chmod go-w)");
		return SC_EUNSAFE;
	}
	return 0;
}

/* Takes fd. */
static int read_from(struct reading *r, int fd)
{
	int bad, rc = check(r, fd);

	r->file = rc ? NULL : fdopen(fd, "r");
	if (!r->file) {
		int e = errno;

		close(fd);
		errno = e;
		return rc ? rc : SC_ESYS;
	}
	r->left = FILE_MAX;
	bad = ini_parse_stream(next_line, r, on_setting, r);
	if (bad > 0)
		say(r, bad, "is neither \"setting = value\" nor a comment");
	if (ferror(r->file)) {
		say(r, 0, "cannot be read");
		errno = EIO;
		rc = SC_ESYS;
	} else if (bad == -2) {
		rc = SC_ENOMEM;
	} else if (r->left == 0) {
		say(r, 0, "is longer than 64K, the rest is not read");
	}
	fclose(r->file);
	return rc;
}

/* O_NONBLOCK: a FIFO must not be waited for. It has no effect on a regular file. */
int config_read(struct config *c, int dir_fd, config_complaint complain, void *arg)
{
	struct reading r = {.c = c, .complain = complain, .arg = arg, .name = "config"};
	char path[SC_PATH_MAX];
	int fd = openat(dir_fd, "config", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 && errno == ELOOP) {
		say(&r, 0, "is a symbolic link, so it is not read");
		return SC_EUNSAFE;
	}
	/* In somebody's home a link is nothing unusual: the file it leads to is looked at. */
	if (fd < 0 && errno == ENOENT) {
		if (place_config(path))
			return SC_ENOENT;
		r.name = path;
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
			return SC_ENOENT;
	}
	if (fd < 0) {
		int e = errno;

		say(&r, 0, strerror(e));
		errno = e;
		return SC_ESYS;
	}
	return read_from(&r, fd);
}

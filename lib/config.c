/* Reads `config`. Called by the daemon at its start; never stops it. */
#include "lib/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/human.h"
#include "lib/limits.h"

struct reading {
	struct config *config;
	const char *file;
	config_complaint complain;
	void *arg;
	int line; /* of what the handler is given: the library tells it only of errors */
};

void config_init(struct config *c)
{
	c->idle_exit_ms = SC_IDLE_EXIT_MS;
	c->ttl_ms = SC_TTL_DEFAULT_MS;
}

static int on_value(void *user, const char *section, const char *name, const char *value)
{
	struct reading *r = user;
	const struct {
		const char *name;
		uint64_t *ms;
	} durations[] = {{"idle-exit", &r->config->idle_exit_ms}, {"ttl", &r->config->ttl_ms}};
	char why[256];

	if (*section) {
		snprintf(why, sizeof why, "section [%.60s] is not known", section);
		r->complain(r->arg, r->file, r->line, why);
		return 1;
	}
	for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
		uint64_t ms;

		if (strcmp(name, durations[i].name) != 0)
			continue;
		if (human_parse_duration(value, &ms) == 0) {
			*durations[i].ms = ms;
			return 1;
		}
		snprintf(why, sizeof why, "%s: '%.60s' is no duration", name, value);
		r->complain(r->arg, r->file, r->line, why);
		return 1;
	}
	snprintf(why, sizeof why, "'%.60s' is not known", name);
	r->complain(r->arg, r->file, r->line, why);
	return 1;
}

/* The library's reader, which lets us count lines. */
static char *next_line(char *str, int num, void *stream)
{
	struct {
		FILE *f;
		struct reading *r;
	} *s = stream;
	char *line = fgets(str, num, s->f);

	if (line)
		s->r->line++;
	return line;
}

static int read_file(struct reading *r, int fd)
{
	struct stat st;
	struct {
		FILE *f;
		struct reading *r;
	} stream = {.r = r};
	int bad;

	/* Whoever may write it may make the daemon do as they like. */
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 022)) {
		r->complain(r->arg, r->file, 0, "is not a file of ours that only we can write: not read");
		close(fd);
		return 0;
	}
	stream.f = fdopen(fd, "r");
	if (!stream.f) {
		close(fd);
		return SC_ESYS;
	}
	bad = ini_parse_stream(next_line, &stream, on_value, r);
	fclose(stream.f);
	if (bad > 0)
		r->complain(r->arg, r->file, bad, "is not `name = value`");
	return bad < 0 ? SC_ENOMEM : 0;
}

static int open_user_config(char path[SC_PATH_MAX])
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (xdg && *xdg == '/')
		snprintf(path, SC_PATH_MAX, "%s/sc/config", xdg);
	else if (home && *home == '/')
		snprintf(path, SC_PATH_MAX, "%s/.config/sc/config", home);
	else
		return errno = ENOENT, -1;
	return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

int config_read(struct config *c, int dir_fd, config_complaint complain, void *arg)
{
	char path[SC_PATH_MAX] = "config";
	struct reading r = {.config = c, .file = path, .complain = complain, .arg = arg};
	int fd = openat(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		fd = open_user_config(path);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? SC_ENOENT : SC_ESYS;
	return read_file(&r, fd);
}

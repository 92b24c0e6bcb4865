/* `sc config`, and what doctor asks about settings. Reads what the daemon would read; the daemon is asked only since when it runs. */
#include "cmd/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/row.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/human.h"

enum { JSON, OPTIONS };

const struct option_row config_options[] = {
	[JSON] = {0, "json", NULL, "one object a line: name, bucket, value, origin, file, line, variable"},
	[OPTIONS] = {0},
};

/* ---- what holds ---- */

/* NULL if unset or empty, which is the same everywhere. */
static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

void settings_find(struct settings *set)
{
	*set = (struct settings){.s = SESSION_INIT};
	set->place_rc = session_find(&set->s, SESSION_LOOK);
	config_init(&set->config);
}

void settings_read(struct settings *set, config_complaint said, void *arg)
{
	set->config_rc = config_read(&set->config, set->s.place.dir_fd, said, arg);
}

void settings_release(struct settings *set)
{
	session_release(&set->s);
}

const char *settings_path(const struct settings *set, const char *file, char out[SC_PATH_MAX + 16])
{
	bool ours = *file && *file != '/';

	snprintf(out, SC_PATH_MAX + 16, "%s%s%s", ours ? set->s.place.path : "", ours ? "/" : "", file);
	return out;
}

const char *settings_dir_variable(const struct settings *set)
{
	static const char *const bases[] = {"XDG_CACHE_HOME", "HOME"};

	/* As place_open: not looked at where it is somebody else's than the euid's. */
	if (secure_getenv("SC_DIR") && variable("SC_DIR"))
		return "SC_DIR";
	for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
		const char *base = secure_getenv(bases[i]);

		if (base && *base && strncmp(set->s.place.path, base, strlen(base)) == 0)
			return bases[i];
	}
	return NULL;
}

bool settings_space(const struct settings *set, uint64_t *bytes, uint64_t *bytes_free)
{
	struct statvfs fs;

	if (set->s.place.dir_fd < 0 || fstatvfs(set->s.place.dir_fd, &fs) < 0 || fs.f_blocks == 0)
		return false;
	*bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
	*bytes_free = (uint64_t)fs.f_bavail * fs.f_frsize;
	return true;
}

int settings_ask_daemon(struct settings *set, struct msg *m)
{
	struct msg q = {.type = MSG_STATUS};
	int fds[SC_FDS_MAX], rc;
	size_t nfds = 0;

	if (set->place_rc)
		return set->place_rc;
	rc = session_ask(&set->s, SESSION_LOOK, &q, m, fds, &nfds, SC_FOREVER);
	for (size_t i = 0; rc == 0 && i < nfds; i++)
		close(fds[i]);
	return rc;
}

bool settings_are_newer(const struct settings *set, const struct msg *status)
{
	char path[SC_PATH_MAX + 16];
	struct stat st;

	if (!*set->config.file || stat(settings_path(set, set->config.file, path), &st) < 0)
		return false;
	return (uint64_t)st.st_mtim.tv_sec * 1000 + (uint64_t)st.st_mtim.tv_nsec / 1000000 >
	       clock_now().wall_ms - status->uptime;
}

/* ---- one value ---- */

/* A value and where it comes from: a variable of the environment, else a line of the file, else neither. */
struct item {
	const char *bucket; /* NULL: of none */
	struct setting_value v;
	const char *text; /* instead of v's value */
	const char *variable;
};

struct show {
	const struct settings *set;
	bool json, measures; /* measures: nothing is printed, only the widths are found */
	int name_width, value_width;
};

/* So that what is printed can be put into `config` and means the same. */
static char *exactly(const struct setting_value *v, char out[32])
{
	uint64_t again;

	if (v->kind == SETTING_SWITCH) {
		snprintf(out, 32, "%s", v->value ? "on" : "off");
	} else if (v->kind == SETTING_DURATION) {
		human_format_duration(v->value, out);
		if (human_parse_duration(out, &again) != 0 || again != v->value)
			snprintf(out, 32, "%llums", (unsigned long long)v->value);
	} else if (v->value == SC_FOREVER || v->kind == SETTING_PATHS) {
		snprintf(out, 32, "none");
	} else if (v->kind == SETTING_COUNT) {
		snprintf(out, 32, "%llu", (unsigned long long)v->value);
	} else {
		human_format_exact_size(v->value, out);
	}
	return out;
}

static json_t *json_of(const struct item *r)
{
	if (r->text)
		return row_text(r->text);
	switch (r->v.kind) {
	case SETTING_DURATION:
		return row_seconds(r->v.value);
	case SETTING_SWITCH:
		return json_boolean(r->v.value);
	case SETTING_PATHS:
		return json_null();
	case SETTING_SIZE:
	case SETTING_COUNT:
		break;
	}
	return row_number(r->v.value);
}

static void print_json(const struct item *r, const char *path)
{
	json_t *o = json_object();
	bool from_file = !r->variable && r->v.line > 0;

	json_object_set_new(o, "name", row_text(r->v.name));
	json_object_set_new(o, "bucket", row_text(r->bucket));
	json_object_set_new(o, "value", json_of(r));
	json_object_set_new(o, "origin", row_text(r->variable ? "environment" : from_file ? "file" : "default"));
	json_object_set_new(o, "file", row_text(from_file ? path : NULL));
	json_object_set_new(o, "line", from_file ? json_integer(r->v.line) : json_null());
	json_object_set_new(o, "variable", row_text(r->variable));
	row_print(o);
}

static void print_text(struct show *sh, const struct item *r, const char *path)
{
	char name[128], value[32], shown[2 * SC_PATH_MAX], origin[2 * SC_PATH_MAX + 32];
	int n;

	n = snprintf(name, sizeof name, "%s%s%s%s", r->bucket ? "bucket." : "", r->bucket ? r->bucket : "",
		     r->bucket ? "." : "", r->v.name);
	if (r->text)
		human_escape(r->text, strlen(r->text), shown, sizeof shown);
	else
		snprintf(shown, sizeof shown, "%s", exactly(&r->v, value));
	if (sh->measures) {
		sh->name_width = n > sh->name_width ? n : sh->name_width;
		n = (int)strlen(shown);
		/* A path may be as long as it likes: its origin then stands for itself. */
		sh->value_width = !r->text && n > sh->value_width ? n : sh->value_width;
		return;
	}
	human_escape(path, strlen(path), origin, sizeof origin - 32);
	n = (int)strlen(origin);
	snprintf(origin + n, sizeof origin - (size_t)n, ":%d", r->v.line);
	printf("%-*s  %-*s  %s\n", sh->name_width, name, sh->value_width, shown,
	       r->variable     ? r->variable
	       : r->v.line > 0 ? origin
			       : "default");
}

static void show(struct show *sh, const struct item *r)
{
	char path[SC_PATH_MAX + 16];

	settings_path(sh->set, sh->set->config.file, path);
	if (!sh->json)
		print_text(sh, r, path);
	else if (!sh->measures)
		print_json(r, path);
}

/* ---- all values ---- */

static void show_dir(struct show *sh)
{
	const char *from = settings_dir_variable(sh->set);

	/* HOME alone is what the default is made of. */
	show(sh, &(struct item){.v = {.name = "dir"},
				.text = sh->set->s.place.path,
				.variable = from && strcmp(from, "HOME") != 0 ? from : NULL});
}

static void show_bucket(struct show *sh)
{
	const char *name = variable("SC_BUCKET");
	bool good = name && msg_is_bucket(bytes_of(name));

	show(sh,
	     &(struct item){.v = {.name = "bucket"}, .text = good ? name : "default", .variable = good ? "SC_BUCKET" : NULL});
}

static void show_switch(struct show *sh, const char *name, const char *from)
{
	const char *value = variable(from);
	bool on = value && strcmp(value, "1") == 0;

	show(sh, &(struct item){.v = {.name = name, .kind = SETTING_SWITCH, .value = on}, .variable = on ? from : NULL});
}

static void show_of(struct show *sh, const struct config_bucket *b)
{
	const struct config *c = &sh->set->config;
	const char *ttl = variable("SC_TTL");
	uint64_t bytes, unused, ms;

	for (int i = 0; i < SETTINGS; i++) {
		struct item r = {.bucket = b ? b->name : NULL};

		if (!config_get(c, b, (enum setting)i, &r.v))
			continue;
		if (i == SET_TTL && ttl && human_parse_duration(ttl, &ms) == 0) {
			r.v.value = ms;
			r.variable = "SC_TTL";
		}
		/* What it comes to, which is what one wants to know. */
		if (i == SET_MIN_FREE && r.v.value == SC_MIN_FREE_AUTO) {
			if (settings_space(sh->set, &bytes, &unused))
				r.v.value = config_min_free(c, bytes);
			else if (!sh->json)
				r.text = "auto";
		}
		if (i == SET_KEY_FILE && c->credential)
			r.variable = "CREDENTIALS_DIRECTORY";
		r.text = r.v.text ? r.v.text : r.text;
		if (i == SET_MIN_FREE && r.v.value == 0)
			r.v.value = SC_FOREVER; /* here, too, "none" is a word and null */
		show(sh, &r);
	}
}

static void show_all(struct show *sh)
{
	show_dir(sh);
	show_of(sh, NULL);
	show_bucket(sh);
	show_switch(sh, "strict", "SC_STRICT");
	show_switch(sh, "disable", "SC_DISABLE");
	for (unsigned i = 0; i < sh->set->config.nbuckets; i++)
		show_of(sh, &sh->set->config.buckets[i]);
}

/* ---- what is wrong ---- */

/* Kept until the values are out. */
struct complaints {
	const struct settings *set;
	struct complaint {
		char *what, *why;
	} * list;
	size_t n;
};

static void keep(void *arg, const char *file, int line, const char *why)
{
	struct complaints *c = arg;
	struct complaint *list = realloc(c->list, (c->n + 1) * sizeof *list), *one;
	char path[SC_PATH_MAX + 16];

	if (!list)
		return;
	c->list = list;
	one = &list[c->n];
	settings_path(c->set, file, path);
	if ((line ? asprintf(&one->what, "%s:%d", path, line) : asprintf(&one->what, "%s", path)) < 0)
		return;
	one->why = strdup(why);
	if (one->why)
		c->n++;
	else
		free(one->what);
}

static void say_all(struct complaints *c)
{
	for (size_t i = 0; i < c->n; i++) {
		complain(c->list[i].what, c->list[i].why, NULL);
		free(c->list[i].what);
		free(c->list[i].why);
	}
	free(c->list);
}

static void check_environment(void)
{
	const char *ttl = variable("SC_TTL"), *bucket = variable("SC_BUCKET");
	uint64_t ms;

	if (bucket && !msg_is_bucket(bytes_of(bucket)))
		complain("SC_BUCKET", "is no name of a bucket, so whatever takes KEY refuses to run",
			 "say 1 to 64 of a-z 0-9 . _ -");
	if (ttl && human_parse_duration(ttl, &ms) != 0)
		complain("SC_TTL", "is no duration, so get, warm and put refuse to run", "say 90s, 1h30m, 2d or forever");
}

int run_config(const struct command *self, int argc, char **argv)
{
	static struct settings set;
	struct show sh = {.set = &set, .measures = true};
	struct complaints complaints = {.set = &set};
	struct options o;
	struct msg m;
	int status;

	options_start(&o, self, argc, argv);
	while (options_next(&o))
		sh.json = true;
	if (options_failed(&o))
		return EXIT_USAGE;
	if (o.nwords)
		return options_error(&o, "takes no words");

	settings_find(&set);
	settings_read(&set, keep, &complaints);
	show_all(&sh);
	sh.measures = false;
	show_all(&sh);
	status = end_output("config");
	say_all(&complaints);
	check_environment();
	if (set.place_rc && set.place_rc != SC_ENOENT) {
		complain("config", set.s.why, NULL);
		status = status ? status : EXIT_FAILED;
	} else if (set.config_rc && set.config_rc != SC_ENOENT) {
		status = status ? status : EXIT_FAILED;
	} else if (settings_ask_daemon(&set, &m) == 0 && settings_are_newer(&set, &m)) {
		complain("config", "it was changed after the daemon had started, which still obeys what it read then",
			 SC_BIN " daemon restart");
	}
	settings_release(&set);
	return status;
}

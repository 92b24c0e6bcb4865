/* Finds `config`, trusts it or not, and reads it by libinih, line by line: what is wrong with one line is said with its number,
 * and costs that line only. Called by the daemon at its start, and by paths.c for a directory on a network file system.
 * Never writes, never prints. */
#include "lib/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/human.h"
#include "lib/limits.h"
#include "lib/msg.h"
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
	bool given, ended;
	struct config_bucket *bucket; /* whose section it is in; NULL: none's */
	bool skip;		      /* a section that cannot be read */
};

static void say(const struct reading *r, int line, const char *why)
{
	if (r->complain)
		r->complain(r->arg, r->name, line, why);
}

static void __attribute__((format(printf, 3, 4))) sayf(const struct reading *r, int line, const char *fmt, ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	say(r, line, why);
}

/* ---- what may stand in it ---- */

static const char *set_duration(void *field, const char *text)
{
	return human_parse_duration(text, field) == 0 ? NULL : "not a duration, such as 10m or forever";
}

#define NO_LIMIT " (none: no limit)"

/* What a parser made of a limit's text, into the field. Zero is nobody's wish; `zero` says what it would do. */
static const char *set_limit(uint64_t *field, const char *text, int rc, uint64_t value, const char *zero, const char *wants)
{
	bool none = strcmp(text, "none") == 0;

	if (!none && rc)
		return rc == SC_ETOOBIG ? "too large" NO_LIMIT : wants;
	if (!none && value == 0)
		return zero;
	*field = none ? SC_FOREVER : value;
	return NULL;
}

static const char *set_bytes(uint64_t *field, const char *text, const char *zero)
{
	uint64_t value = 0;
	int rc = human_parse_size(text, &value);

	return set_limit(field, text, rc, value, zero, "not a size, such as 16M, or none");
}

static const char *set_size(void *field, const char *text)
{
	return set_bytes(field, text, "0 would keep nothing" NO_LIMIT);
}

static const char *set_window(void *field, const char *text)
{
	return set_bytes(field, text, "0 would never go on" NO_LIMIT);
}

/* Here 0 is somebody's wish, and no limit nobody's: what is not in memory is on the disk. */
static const char *set_memory(void *field, const char *text)
{
	uint64_t value;
	int rc = human_parse_size(text, &value);

	if (rc == 0)
		*(uint64_t *)field = value;
	return rc == SC_ETOOBIG ? "too large" : rc ? "not a size, such as 64M, or 0 for none of it" : NULL;
}

static const char *set_count(void *field, const char *text)
{
	uint64_t value = 0;
	int rc = human_parse_number(text, 0, INT64_MAX, &value);

	return set_limit(field, text, rc, value, "0 would keep nothing" NO_LIMIT, "not a number, such as 10000, or none");
}

/* Here "none" is 0: nothing has to stay free. */
static const char *set_min_free(void *field, const char *text)
{
	uint64_t value = SC_MIN_FREE_AUTO;
	const char *why = strcmp(text, "auto") == 0 ? NULL : set_bytes(&value, text, "0 is said as none");

	if (!why)
		*(uint64_t *)field = value == SC_FOREVER ? 0 : value;
	return why;
}

static const char *set_switch(void *field, const char *text)
{
	static const char *const words[] = {"off", "on", "no", "yes", "false", "true"};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(text, words[i]) == 0) {
			*(bool *)field = i % 2 == 1;
			return NULL;
		}
	return "not on or off";
}

/* Whoever has written something here wants no clear text. */
static const char *set_encrypt(void *field, const char *text)
{
	const char *why = set_switch(field, text);

	if (why)
		*(bool *)field = true;
	return why ? "is neither on nor off, so it is on" : NULL;
}

/* From whichever directory it is looked at, it is the same. */
static const char *set_paths(void *field, const char *text)
{
	char path[SC_PATH_MAX];

	if (strcmp(text, "none") == 0)
		text = "";
	for (const char *rest = text; config_next_key_file(&rest, path);)
		if (path[0] != '/')
			return "not an absolute path, or several with a colon between two";
	snprintf(field, SC_PATH_MAX, "%s", text);
	return NULL;
}

/* `set` changes the field or says why not. */
static const struct setting_row {
	const char *name;
	enum setting_kind kind;
	const char *(*set)(void *field, const char *text);
	size_t at;
	bool of_bucket;
	size_t at_bucket;
} settings[SETTINGS] = {
#define AT(field) offsetof(struct config, field)
#define AND_OF_BUCKET(field) true, offsetof(struct config_bucket, field)
	[SET_TTL] = {"ttl", SETTING_DURATION, set_duration, AT(ttl_ms), AND_OF_BUCKET(ttl_ms)},
	[SET_STALE] = {"stale", SETTING_DURATION, set_duration, AT(stale_ms), AND_OF_BUCKET(stale_ms)},
	[SET_KEEP_FAILURES] = {"keep-failures", SETTING_DURATION, set_duration, AT(keep_ms), AND_OF_BUCKET(keep_ms)},
	[SET_FINISH] = {"finish", SETTING_SWITCH, set_switch, AT(finish), AND_OF_BUCKET(finish)},
	[SET_SHOW_COMMANDS] = {"show-commands", SETTING_SWITCH, set_switch, AT(show_commands), AND_OF_BUCKET(show_commands)},
	[SET_MAX_SIZE] = {"max-size", SETTING_SIZE, set_size, AT(limits.max_size), AND_OF_BUCKET(limits.max_size)},
	[SET_MAX_FILES] = {"max-files", SETTING_COUNT, set_count, AT(limits.max_files), AND_OF_BUCKET(limits.max_files)},
	[SET_MAX_ENTRY] = {"max-entry", SETTING_SIZE, set_size, AT(limits.max_entry), AND_OF_BUCKET(limits.max_entry)},
	[SET_MIN_FREE] = {"min-free", SETTING_SIZE, set_min_free, AT(limits.min_free)},
	[SET_MEMORY] = {"memory", SETTING_SIZE, set_memory, AT(memory)},
	[SET_WINDOW] = {"window", SETTING_SIZE, set_window, AT(window)},
	[SET_IDLE_EXIT] = {"idle-exit", SETTING_DURATION, set_duration, AT(idle_exit_ms)},
	[SET_NETWORK_FS] = {"network-fs", SETTING_SWITCH, set_switch, AT(network_fs)},
	[SET_ENCRYPT] = {"encrypt", SETTING_SWITCH, set_encrypt, AT(encrypt)},
	[SET_KEY_FILE] = {"key-file", SETTING_PATHS, set_paths, AT(key_file)},
#undef AT
#undef AND_OF_BUCKET
};

void config_init(struct config *c)
{
	memset(c, 0, sizeof *c);
	c->idle_exit_ms = SC_IDLE_EXIT_MS;
	c->ttl_ms = SC_TTL_DEFAULT_MS;
	c->window = SC_WINDOW;
	c->memory = SC_MEMORY;
	c->limits = (struct limits){SC_MAX_SIZE, SC_MAX_FILES, SC_MIN_FREE_AUTO, SC_FOREVER};
}

/* ---- what holds ---- */

bool config_next_key_file(const char **rest, char path[SC_PATH_MAX])
{
	size_t n = strcspn(*rest, ":");

	if (!**rest)
		return false;
	snprintf(path, SC_PATH_MAX, "%.*s", (int)n, *rest);
	*rest += n + ((*rest)[n] == ':');
	return true;
}

const struct config_bucket *config_bucket(const struct config *c, const char *bucket)
{
	for (unsigned i = 0; i < c->nbuckets; i++)
		if (strcmp(c->buckets[i].name, bucket) == 0)
			return &c->buckets[i];
	return NULL;
}

uint64_t config_ttl(const struct config *c, const char *bucket)
{
	const struct config_bucket *b = config_bucket(c, bucket);

	return b ? b->ttl_ms : c->ttl_ms;
}

uint64_t config_stale(const struct config *c, const char *bucket)
{
	const struct config_bucket *b = config_bucket(c, bucket);

	return b ? b->stale_ms : c->stale_ms;
}

uint64_t config_keep_failures(const struct config *c, const char *bucket)
{
	const struct config_bucket *b = config_bucket(c, bucket);

	return b ? b->keep_ms : c->keep_ms;
}

bool config_finish(const struct config *c, const char *bucket)
{
	const struct config_bucket *b = config_bucket(c, bucket);

	return b ? b->finish : c->finish;
}

bool config_show_commands(const struct config *c, const char *bucket)
{
	const struct config_bucket *b = config_bucket(c, bucket);

	return b ? b->show_commands : c->show_commands;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t config_max_entry(const struct config *c, const char *bucket)
{
	const struct config_bucket *b = config_bucket(c, bucket);
	uint64_t most = b ? least(b->limits.max_entry, b->limits.max_size) : c->limits.max_entry;

	return least(most, c->limits.max_size);
}

uint64_t config_min_free(const struct config *c, uint64_t fs_bytes)
{
	return c->limits.min_free == SC_MIN_FREE_AUTO ? least(SC_MIN_FREE, fs_bytes / SC_MIN_FREE_PART) : c->limits.min_free;
}

bool config_get(const struct config *c, const struct config_bucket *b, enum setting which, struct setting_value *v)
{
	const struct setting_row *s = &settings[which];
	const char *field = b ? (const char *)b + s->at_bucket : (const char *)c + s->at;

	if (b && !s->of_bucket)
		return false;
	*v = (struct setting_value){.name = s->name, .kind = s->kind, .line = b ? b->line[which] : c->line[which]};
	if (s->kind == SETTING_PATHS)
		v->text = *field ? field : NULL;
	else
		v->value = s->kind == SETTING_SWITCH ? *(const bool *)field : *(const uint64_t *)(const void *)field;
	return true;
}

/* ---- line by line ---- */

static const struct setting_row *find_setting(const char *name)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if (strcmp(name, settings[i].name) == 0)
			return &settings[i];
	return NULL;
}

/* Always 1: for libinih nothing is an error but a line it cannot take apart. The section it names is cut at 49 bytes, so it is
 * not looked at. */
static int on_setting(void *arg, const char *section, const char *name, const char *value)
{
	const struct reading *r = arg;
	const struct setting_row *s = find_setting(name);
	const char *why;
	char text[160];

	(void)section;
	if (!s) {
		sayf(r, r->line, "there is no setting \"%s\"", human_escape(name, strlen(name), text, sizeof text));
		return 1;
	}
	if (r->bucket && !s->of_bucket) {
		sayf(r, r->line, "%s is of the whole cache, not of a bucket (it belongs above the first section)", name);
		return 1;
	}
	why = s->set(r->bucket ? (char *)r->bucket + s->at_bucket : (char *)r->c + s->at, value);
	if (why)
		sayf(r, r->line, "%s = %s: %s", name, human_escape(value, strlen(value), text, sizeof text), why);
	else
		(r->bucket ? r->bucket->line : r->c->line)[s - settings] = r->line;
	return 1;
}

/* NULL: there is no room for it. What the section does not name becomes the cache's later, when that is known. */
static struct config_bucket *find_or_add_bucket(struct config *c, const char *name, size_t n)
{
	struct config_bucket *b;

	for (unsigned i = 0; i < c->nbuckets; i++)
		if (strlen(c->buckets[i].name) == n && memcmp(c->buckets[i].name, name, n) == 0)
			return &c->buckets[i];
	if (c->nbuckets == SC_BUCKETS_MAX)
		return NULL;
	b = &c->buckets[c->nbuckets++];
	memcpy(b->name, name, n);
	b->limits = (struct limits){SC_FOREVER, SC_FOREVER, 0, SC_FOREVER};
	return b;
}

static const char blanks[] = " \t\r\v\f";

/* The ']' of "[…]", if nothing but a comment stands behind it. */
static const char *section_end(const char *line)
{
	const char *end = strchr(line, ']'), *behind = end ? end + 1 + strspn(end + 1, blanks) : "?";

	return *behind == '\0' || *behind == ';' || *behind == '#' ? end : NULL;
}

/* The NAME of "[bucket NAME]", empty if it is not there; NULL: a section of another kind. */
static const char *section_name(const char *line, const char *end, size_t *n)
{
	static const char kind[] = "bucket";
	const char *name = line + 1 + strspn(line + 1, blanks);

	if (strncmp(name, kind, strlen(kind)) != 0)
		return NULL;
	name += strlen(kind);
	if (name < end && !strchr(blanks, *name))
		return NULL;
	name += strspn(name, blanks);
	for (*n = (size_t)(end - name); *n > 0 && strchr(blanks, name[*n - 1]);)
		--*n;
	return name;
}

/* A line that begins with '['. Whatever is wrong with it: what follows is not meant for the section before, and not read. */
static void begin_section(struct reading *r, const char *line)
{
	const char *end = section_end(line), *name;
	char text[160];
	size_t n = 0;

	r->skip = true;
	if (!end) {
		say(r, r->line, "is not \"[bucket NAME]\" (what follows is not read)");
		return;
	}
	human_escape(line, (size_t)(end - line) + 1, text, sizeof text);
	name = section_name(line, end, &n);
	if (!name) {
		sayf(r, r->line, "there is no section %s (what follows is not read)", text);
	} else if (!msg_is_bucket((struct bytes){(const uint8_t *)name, n})) {
		sayf(r, r->line, "%s names no bucket, 1 to %d of a-z 0-9 . _ - (what follows is not read)", text,
		     SC_BUCKET_MAX);
	} else {
		r->bucket = find_or_add_bucket(r->c, name, n);
		r->skip = !r->bucket;
		if (r->skip)
			sayf(r, r->line, "%s is one too many, %d buckets may have a section (what follows is not read)", text,
			     SC_BUCKETS_MAX);
	}
}

/* One line without its leading blanks, which would make it a second value of the setting above, and without a mark of its
 * byte order; both would hide a '[' from us that libinih sees. NULL, or why it cannot be taken. */
static const char *read_line(struct reading *r, char *out, int size)
{
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
		else if (n > 0 || !strchr(blanks, c))
			out[n++] = (char)c;
		if (n == 3 && memcmp(out, "\xef\xbb\xbf", 3) == 0)
			n = 0;
	}
	out[n] = '\0';
	/* Nobody minds what a comment is like. */
	if (out[0] == '#' || out[0] == ';') {
		out[0] = '\0';
		why = NULL;
	}
	r->line++;
	r->ended = c == EOF;
	/* A value that is cut may be a good one, and another. */
	if (ferror(r->file))
		why = "cannot be read";
	else if (r->ended && r->left == 0)
		why = "is the last of 64K, the rest is not read";
	return why;
}

/* For libinih, which is given one line at a time, and so says of each whether it is bad. */
static char *next_line(char *out, int size, void *arg)
{
	struct reading *r = arg;
	const char *why;

	if (r->given)
		return NULL;
	r->given = true;
	why = read_line(r, out, size);
	if (why)
		say(r, r->line, why);
	/* Also one that is too long may have begun another section. */
	if (out[0] == '[')
		begin_section(r, why ? "[" : out);
	if (why || out[0] == '[' || r->skip)
		out[0] = '\0';
	memcpy(out + strlen(out), "\n", 2);
	return out;
}

/* 0 or SC_ENOMEM. */
static int read_lines(struct reading *r)
{
	int bad = 0;

	while (!r->ended && bad != -2) {
		r->given = false;
		bad = ini_parse_stream(next_line, r, on_setting, r);
		if (bad > 0)
			say(r, r->line, "is neither \"setting = value\" nor a comment");
	}
	return bad == -2 ? SC_ENOMEM : 0;
}

/* ---- as a whole ---- */

/* A limit that another one makes impossible to reach is a mistake in one of the two lines; the narrower stays. */
static void check_against(const struct reading *r, uint64_t *value, int *line, enum setting what, uint64_t most, const char *of)
{
	char is[32], may[32];

	if (*line == 0 || *value == SC_FOREVER || *value <= most)
		return;
	if (settings[what].kind == SETTING_COUNT) {
		snprintf(is, sizeof is, "%llu", (unsigned long long)*value);
		snprintf(may, sizeof may, "%llu", (unsigned long long)most);
	} else {
		human_format_exact_size(*value, is);
		human_format_exact_size(most, may);
	}
	sayf(r, *line, "%s = %s: larger than %s, %s", settings[what].name, is, of, may);
	*value = SC_FOREVER;
	*line = 0;
}

static void check_bucket(const struct reading *r, struct config_bucket *b)
{
	const struct config *c = r->c;
	struct limits *l = &b->limits;

	check_against(r, &l->max_size, &b->line[SET_MAX_SIZE], SET_MAX_SIZE, c->limits.max_size, "max-size of the cache");
	check_against(r, &l->max_files, &b->line[SET_MAX_FILES], SET_MAX_FILES, c->limits.max_files, "max-files of the cache");
	check_against(r, &l->max_entry, &b->line[SET_MAX_ENTRY], SET_MAX_ENTRY, l->max_size, "max-size of the bucket");
	check_against(r, &l->max_entry, &b->line[SET_MAX_ENTRY], SET_MAX_ENTRY, c->limits.max_size, "max-size of the cache");
	if (b->line[SET_MAX_ENTRY] == 0) {
		l->max_entry = c->limits.max_entry;
		b->line[SET_MAX_ENTRY] = c->line[SET_MAX_ENTRY];
	}
	if (b->line[SET_TTL] == 0)
		b->ttl_ms = c->ttl_ms;
	if (b->line[SET_STALE] == 0)
		b->stale_ms = c->stale_ms;
	if (b->line[SET_KEEP_FAILURES] == 0)
		b->keep_ms = c->keep_ms;
	if (b->line[SET_FINISH] == 0)
		b->finish = c->finish;
	if (b->line[SET_SHOW_COMMANDS] == 0)
		b->show_commands = c->show_commands;
	for (int i = SET_TTL; i <= SET_SHOW_COMMANDS; i++)
		if (b->line[i] == 0)
			b->line[i] = c->line[i];
}

static void check_limits(const struct reading *r)
{
	struct config *c = r->c;

	check_against(r, &c->limits.max_entry, &c->line[SET_MAX_ENTRY], SET_MAX_ENTRY, c->limits.max_size, "max-size");
	for (unsigned i = 0; i < c->nbuckets; i++)
		check_bucket(r, &c->buckets[i]);
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
	int rc = check(r, fd);

	r->file = rc ? NULL : fdopen(fd, "r");
	if (!r->file) {
		int e = errno;

		close(fd);
		errno = e;
		return rc ? rc : SC_ESYS;
	}
	r->left = FILE_MAX + 1;
	rc = read_lines(r);
	if (ferror(r->file)) {
		errno = EIO;
		rc = SC_ESYS;
	}
	check_limits(r);
	fclose(r->file);
	return rc;
}

/* O_NONBLOCK: a FIFO must not be waited for. It has no effect on a regular file. */
static int find_and_read(struct config *c, int dir_fd, config_complaint complain, void *arg)
{
	struct reading r = {.c = c, .complain = complain, .arg = arg, .name = c->file};
	int fd = -1, e = ENOENT;

	snprintf(c->file, sizeof c->file, "config");
	if (dir_fd >= 0) {
		fd = openat(dir_fd, "config", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		e = errno;
	}
	if (fd < 0 && e == ELOOP) {
		say(&r, 0, "is a symbolic link, so it is not read");
		return SC_EUNSAFE;
	}
	/* In somebody's home a link is nothing unusual: the file it leads to is looked at. */
	if (fd < 0 && e == ENOENT) {
		if (place_config(c->file) == 0) {
			fd = open(c->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
			e = errno;
		}
		if (fd < 0 && (e == ENOENT || e == ENOTDIR)) {
			c->file[0] = '\0';
			return SC_ENOENT;
		}
	}
	if (fd < 0) {
		say(&r, 0, strerror(e));
		errno = e;
		return SC_ESYS;
	}
	return read_from(&r, fd);
}

/* What systemd (LoadCredential=sc.key:…) lays there for a service. */
static void take_credential(struct config *c)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[SC_PATH_MAX];

	if (c->line[SET_KEY_FILE] || !dir || dir[0] != '/' || strchr(dir, ':') ||
	    snprintf(path, sizeof path, "%s/sc.key", dir) >= (int)sizeof path || access(path, F_OK) < 0)
		return;
	memcpy(c->key_file, path, sizeof path);
	c->credential = true;
}

int config_read(struct config *c, int dir_fd, config_complaint complain, void *arg)
{
	int rc = find_and_read(c, dir_fd, complain, arg), e = errno;

	take_credential(c);
	errno = e;
	return rc;
}

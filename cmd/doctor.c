/* `sc doctor`: a table of checks, each of which says in a line or more what it found: `ok|warning|problem: what: why (what to do)`.
 * Only looks: nothing is made or mended, no daemon started. A new check is a function and its row. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/doctor_parts.h"
#include "cmd/options.h"
#include "cmd/row.h"
#include "cmd/spawn.h"
#include "lib/build.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/sock.h"

/* Fewer descriptors than this and callers are turned away on a day that is only busy. */
#define FDS_WANTED 1024
/* Fewer processes than this, and callers on a busy day have to do without a run of their own: each takes two, and its command. */
#define PROCESSES_WANTED 256
/* What the log says of longer ago is over. */
#define RECENT_MS (24 * 60 * 60 * 1000ULL)
/* A clock outside of 2020 to 2100 was not set. */
#define CLOCK_LEAST_MS 1577836800000ULL
#define CLOCK_MOST_MS 4102444800000ULL

enum { JSON, OPTIONS };

const struct option_row doctor_options[] = {
	[JSON] = {0, "json", NULL, "one object a line: level, check, text, mend, file, line"},
	[OPTIONS] = {0},
};

static void report(struct doctor *d, const struct finding *f)
{
	static const char *const levels[] = {"ok", "warning", "problem"};
	char text[4 * SC_PATH_MAX];
	json_t *o;

	d->problems += f->level == PROBLEM;
	if (!d->json) {
		printf("%s: %s: %s%s%s%s\n", levels[f->level], d->check,
		       human_escape(f->text, strlen(f->text), text, sizeof text), f->mend ? " (" : "", f->mend ? f->mend : "",
		       f->mend ? ")" : "");
		return;
	}
	o = json_object();
	json_object_set_new(o, "level", row_text(levels[f->level]));
	json_object_set_new(o, "check", row_text(d->check));
	json_object_set_new(o, "text", row_text(f->text));
	json_object_set_new(o, "mend", row_text(f->mend));
	json_object_set_new(o, "file", row_text(f->file));
	json_object_set_new(o, "line", f->line ? json_integer(f->line) : json_null());
	row_print(o);
}

void doctor_found(struct doctor *d, enum level level, const char *mend, const char *fmt, ...)
{
	char text[2 * SC_PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	report(d, &(struct finding){.level = level, .text = text, .mend = mend});
}

/* ---- the checks ---- */

static void check_program(struct doctor *d)
{
	char path[SC_PATH_MAX], build[SC_BUILD_MAX + 1];

	if (spawn_find_daemon(path))
		doctor_found(d, PROBLEM, "install both", "there is no scd beside %s, nor in ../libexec/%s", SC_BIN, SC_BIN);
	else if (spawn_ask_build(path, build))
		doctor_found(d, PROBLEM, "install both", "%s does not say of which build it is", path);
	else if (strcmp(build, sc_build) != 0)
		doctor_found(d, WARNING, "install both", "%s is of build %s, this " SC_BIN " is %s", path, build, sc_build);
	else
		doctor_found(d, OK, NULL, "%s %s, daemon %s", SC_BIN, sc_build, path);
}

/* Not made yet. The first one who needs it makes it, with its parents if those are below a HOME. */
static void check_parent(struct doctor *d)
{
	const char *home = getenv("HOME"), *path = d->set.s.place.path;
	char parent[SC_PATH_MAX], *slash;
	size_t n = home ? strlen(home) : 0;

	snprintf(parent, sizeof parent, "%s", path);
	slash = strrchr(parent, '/');
	if (slash && slash != parent)
		*slash = '\0';
	else
		snprintf(parent, sizeof parent, "/");
	if (faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) == 0 ||
	    (errno == ENOENT && n > 1 && strncmp(path, home, n) == 0 && path[n] == '/'))
		doctor_found(d, OK, NULL, "%s is not there yet; it is made when it is needed", path);
	else
		doctor_found(d, PROBLEM, "make it, or set SC_DIR to another place", "%s cannot be made: %s: %s", path, parent,
			     strerror(errno));
}

static void check_directory(struct doctor *d)
{
	const struct place *p = &d->set.s.place;
	char fs[16], other[64];
	const char *from = settings_dir_variable(&d->set);
	struct stat st;
	bool network;

	if (d->set.place_rc == SC_ENOENT) {
		check_parent(d);
		return;
	}
	if (d->set.place_rc) {
		doctor_found(d, PROBLEM, NULL, "%s", p->why);
		return;
	}
	place_file_system(p, fs, &network);
	if (fstat(p->dir_fd, &st) < 0)
		return;
	if ((st.st_mode & 0777) != 0700)
		doctor_found(d, WARNING, "the next caller sets it to 0700", "%s is %s (mode %04o)", p->path,
			     (st.st_mode & 0700) == 0700 ? "readable by others" : "not open to us",
			     (unsigned)st.st_mode & 0777);
	/* faccessat knows of file systems that are read-only. */
	if ((st.st_mode & 0700) == 0700 && faccessat(p->dir_fd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		doctor_found(d, PROBLEM, "set SC_DIR to another place", "%s cannot be written into: %s", p->path,
			     strerror(errno));
		return;
	}
	d->there = true;
	logged_read(p->dir_fd, clock_now().wall_ms - RECENT_MS, d->log);
	if (network)
		doctor_found(d, WARNING, "set SC_DIR to a local place",
			     "%s is on %s, where locks and shared memory may not do what they do on a local disk", p->path, fs);
	else
		doctor_found(d, OK, NULL, "%s%s%s: ours, mode %04o, on %s", p->path, from ? ", by " : "", from ? from : "",
			     (unsigned)st.st_mode & 0777, fs);
	if (from)
		return;
	snprintf(other, sizeof other, "/var/tmp/sc-%u", (unsigned)geteuid());
	if (strcmp(p->path, other) == 0)
		doctor_found(d, WARNING, "set SC_DIR to say where",
			     "%s is used because the usual place is on a network file system", p->path);
	snprintf(other, sizeof other, "/tmp/sc-%u", (unsigned)geteuid());
	if (strcmp(p->path, other) == 0)
		doctor_found(d, WARNING, "set SC_DIR to say where",
			     "%s is used because there is no HOME that is ours and writable", p->path);
}

static void on_complaint(void *arg, const char *file, int line, const char *why)
{
	struct doctor *d = arg;
	char path[SC_PATH_MAX + 16], text[2 * SC_PATH_MAX], at[16] = "";
	size_t n = strlen(why);

	d->bad_lines++;
	settings_path(&d->set, file, path);
	if (line)
		snprintf(at, sizeof at, ":%d", line);
	snprintf(text, sizeof text, "%s%s: %s", path, at, why);
	report(d, &(struct finding){.level = PROBLEM,
				    .text = text,
				    .mend = n && why[n - 1] == ')' ? NULL : "correct it, then " SC_BIN " daemon restart",
				    .file = path,
				    .line = line});
}

static void check_config(struct doctor *d)
{
	const struct config *c = &d->set.config;
	char path[SC_PATH_MAX + 16], other[SC_PATH_MAX];

	settings_read(&d->set, on_complaint, d);
	if (d->bad_lines)
		return;
	if (*c->file)
		doctor_found(d, OK, NULL, "%s", settings_path(&d->set, c->file, path));
	else if (place_config(other) == 0)
		doctor_found(d, OK, NULL, "none, neither in %s nor at %s; all settings are the defaults", d->set.s.place.path,
			     other);
	else
		doctor_found(d, OK, NULL, "none in %s; all settings are the defaults", d->set.s.place.path);
}

static void check_space(struct doctor *d)
{
	uint64_t bytes, bytes_free, least;
	char is[32], want[32], inodes[40] = "";
	struct statvfs fs;

	if (!d->there || !settings_space(&d->set, &bytes, &bytes_free))
		return;
	least = config_min_free(&d->set.config, bytes);
	human_format_size(bytes_free, is);
	human_format_size(least, want);
	if (least == 0)
		snprintf(want, sizeof want, "none");
	/* Not every file system has a number of inodes. */
	if (fstatvfs(d->set.s.place.dir_fd, &fs) == 0 && fs.f_files > 0)
		snprintf(inodes, sizeof inodes, ", %llu inodes", (unsigned long long)fs.f_favail);
	if (bytes_free < least)
		doctor_found(d, PROBLEM, "make room, or set min-free", "%s free, less than min-free, %s: nothing new is kept",
			     is, want);
	else
		doctor_found(d, OK, NULL, "%s free%s, min-free is %s", is, inodes, want);
	if (*inodes && fs.f_favail == 0)
		doctor_found(d, PROBLEM, "remove files", "the file system has no inode left: nothing new is kept");
}

static const char *number(rlim_t n, char out[32])
{
	if (n == RLIM_INFINITY)
		snprintf(out, 32, "unlimited");
	else
		snprintf(out, 32, "%llu", (unsigned long long)n);
	return out;
}

static void check_limits(struct doctor *d)
{
	struct rlimit files, processes;
	char least[32], most[32];

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	if (files.rlim_max < SC_DAEMON_FDS)
		doctor_found(d, PROBLEM, "raise the hard limit of ulimit -n",
			     "%llu descriptors are allowed, too few to start a daemon, which needs %d",
			     (unsigned long long)files.rlim_max, SC_DAEMON_FDS);
	else if (files.rlim_max < FDS_WANTED)
		doctor_found(
			d, WARNING, "raise the hard limit of ulimit -n",
			"%llu descriptors are allowed to a daemon that is started from here; a caller takes one, a run ten",
			(unsigned long long)files.rlim_max);
	else
		doctor_found(d, OK, NULL, "%s descriptors, of which a caller here may have %s", number(files.rlim_max, most),
			     number(files.rlim_cur, least));
	if (getrlimit(RLIMIT_NPROC, &processes) < 0)
		return;
	doctor_found(d, processes.rlim_cur < PROCESSES_WANTED ? WARNING : OK,
		     processes.rlim_cur < PROCESSES_WANTED ? "raise ulimit -u" : NULL, "%s processes of one user",
		     number(processes.rlim_cur, most));
}

/* An older daemon makes room for the next caller; a newer one stays, and whoever asks it is refused. */
static void other_version(struct doctor *d)
{
	const struct session *s = &d->set.s;
	bool newer = s->version > sc_proto_version;
	pid_t pid = 0;

	d->answers = true;
	sock_check_peer(s->fd, NULL, &pid);
	doctor_found(d, newer ? PROBLEM : WARNING, newer ? "install the newer " SC_BIN : SC_BIN " daemon restart",
		     "pid %ld is of %s version, build %s; this " SC_BIN " is %s", (long)pid, newer ? "a newer" : "an older",
		     s->build, sc_build);
}

static void check_daemon(struct doctor *d)
{
	struct settings *set = &d->set;
	struct msg m;
	char up[32];
	int rc;

	if (!d->there)
		return;
	rc = settings_ask_daemon(set, &m);
	if (rc == SC_ENOENT) {
		doctor_found(d, OK, NULL, "none is running; the next caller starts one");
		return;
	}
	if (rc == SC_EPROTO && set->s.version && set->s.version != sc_proto_version) {
		other_version(d);
		return;
	}
	if (rc) {
		doctor_found(d, PROBLEM, set->s.mend, "%s", set->s.why[0] ? set->s.why : sc_strerror(rc));
		return;
	}
	d->answers = true;
	if (m.build.n != strlen(sc_build) || memcmp(m.build.p, sc_build, m.build.n) != 0)
		doctor_found(d, WARNING, SC_BIN " daemon restart", "pid %llu is of build %.*s, this %s is %s",
			     (unsigned long long)m.pid, (int)m.build.n, (const char *)m.build.p, SC_BIN, sc_build);
	else
		doctor_found(d, OK, NULL, "pid %llu, build %s, up %s", (unsigned long long)m.pid, sc_build,
			     human_format_duration(m.uptime, up));
	if (settings_are_newer(set, &m))
		doctor_found(d, WARNING, SC_BIN " daemon restart",
			     "config was changed after it had started; it obeys what it read then");
}

/* A daemon that has answered cannot have failed. */
static void check_starts(struct doctor *d)
{
	struct lockfile lock = {.fd = -1};
	char left[SC_LAST_WORDS];
	const char *why = d->log[LOGGED_NO_START].why;
	unsigned failed;
	int rc;

	if (!d->there || d->answers)
		return;
	rc = lockfile_look(&lock, d->set.s.place.dir_fd);
	if (rc == SC_ENOENT)
		return;
	if (rc) {
		doctor_found(d, PROBLEM, rc == SC_EUNSAFE ? "remove it, " SC_BIN " makes a new one" : NULL, "%s/lock: %s",
			     d->set.s.place.path, sc_strerror(rc));
		return;
	}
	failed = lockfile_failed_starts(&lock, clock_now().boot_ms);
	if (lockfile_death(&lock, left))
		why = left;
	lockfile_close(&lock);
	if (failed == 0) {
		if (*left)
			doctor_found(d, WARNING, "see scd.log there", "the last daemon died of a fault of its own: %s", left);
		return;
	}
	doctor_found(d, PROBLEM, "see scd.log there", "%u start%s of a daemon failed within the last minute%s%s%s", failed,
		     failed == 1 ? "" : "s", failed >= SC_CRASHES_MAX ? ", so none is tried before it is over" : "",
		     *why ? ": " : "", why);
}

/* What has happened, not what is: that the other checks see. So none of these is a problem. */
static void check_errors(struct doctor *d)
{
	static const char *const what[LOGGED_NO_START] = {
		[LOGGED_STREAMING] = "the disk did not take what a run printed",
		[LOGGED_BEGIN] = "a run could not be begun",
		[LOGGED_COMMIT] = "an entry could not be stored",
		[LOGGED_INDEX] = "the index could not be written",
		[LOGGED_SYNC] = "what was written did not reach the disk",
		[LOGGED_REMOVE] = "what had to go could not be removed",
		[LOGGED_BYTES] = "an entry was damaged",
		[LOGGED_FULL] = "callers were turned away",
		[LOGGED_CRASH] = "a daemon died of a fault of its own",
	};
	uint64_t now = clock_now().wall_ms;
	char ago[32], often[64];

	for (int i = 0; d->there && i < LOGGED_NO_START; i++) {
		const struct logged *l = &d->log[i];

		if (!l->times)
			continue;
		*often = '\0';
		if (l->times > 1)
			snprintf(often, sizeof often, "%u times in a day, the last ", l->times);
		doctor_found(d, WARNING, "see scd.log there", "%s: %s, %s%s ago", what[i], l->why, often,
			     human_format_duration(now > l->last_ms ? (now - l->last_ms) / 1000 * 1000 : 0, ago));
	}
}

static void check_index(struct doctor *d)
{
	int fd = d->there ? openat(d->set.s.place.dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	unsigned long long bytes = 0;
	const char *why = d->log[LOGGED_ASIDE].why;
	unsigned files = 0;
	struct dirent *e;
	struct stat st;
	char size[32];

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir)) != NULL) {
		if (strncmp(e->d_name, "index.db.bad-", 13) != 0 || fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		files++;
		bytes += (unsigned long long)st.st_size;
	}
	closedir(dir);
	if (files)
		doctor_found(d, WARNING, "look at them, or remove them",
			     "%s/index.db.bad-*: %u file%s, %s, of an index that was bad and was put aside%s%s",
			     d->set.s.place.path, files, files == 1 ? "" : "s", human_format_size(bytes, size),
			     *why ? ": " : "", why);
}

/* Both are only needed to tell how old an entry of another boot is. */
static void check_clock(struct doctor *d)
{
	static const uint8_t none[16];
	uint64_t wall = clock_now().wall_ms;
	uint8_t boot[16];

	clock_boot_id(boot);
	if (wall < CLOCK_LEAST_MS || wall > CLOCK_MOST_MS)
		doctor_found(d, PROBLEM, "set it",
			     "the machine's clock cannot be right: what is stored now is not served after the next boot");
	else if (memcmp(boot, none, sizeof none) == 0)
		doctor_found(d, WARNING, "mount /proc",
			     "/proc/sys/kernel/random/boot_id cannot be read, so boots are not told apart");
	else
		doctor_found(d, OK, NULL, "set, and this boot has a name");
}

/* In this order: a check may rest on what one before it has found. */
static const struct check {
	const char *name;
	void (*run)(struct doctor *d);
} checks[] = {
	{"program", check_program}, {"directory", check_directory}, {"config", check_config},	 {"space", check_space},
	{"limits", check_limits},   {"daemon", check_daemon},	    {"starts", check_starts},	 {"index", check_index},
	{"errors", check_errors},   {"clock", check_clock},	    {"keys", doctor_check_keys}, {"swap", doctor_check_swap},
};

int run_doctor(const struct command *self, int argc, char **argv)
{
	static struct doctor d;
	struct options o;
	int status;

	options_start(&o, self, argc, argv);
	while (options_next(&o))
		d.json = true;
	if (options_failed(&o))
		return EXIT_USAGE;
	if (o.nwords)
		return options_error(&o, "takes no words");
	settings_find(&d.set);
	for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
		d.check = checks[i].name;
		checks[i].run(&d);
	}
	settings_release(&d.set);
	status = end_output("doctor");
	return status ? status : d.problems ? EXIT_PROBLEM : 0;
}

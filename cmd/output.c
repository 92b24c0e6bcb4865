/* -o. Called by get.c. The only file that makes and renames names that are the caller's; only move.c, too, removes one. */
#include "cmd/output.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/limits.h"

/* As many links as the kernel follows. */
#define LINKS_MAX 40
#define TRIES 100
#define SUFFIX ".sc-XXXXXX"

/* ---- a temporary goes with us ---- */

static struct output *pending;
static pid_t owner;

/* What a write may bring (a closed pipe behind stderr, the limit on a file's size) is an error to the writing call, nothing to
 * die of. Children inherit the handler until they exec: theirs it is not. */
static void on_signal(int sig)
{
	if (sig == SIGPIPE || sig == SIGXFSZ)
		return;
	if (pending && getpid() == owner)
		unlinkat(pending->dir_fd, pending->name, 0);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void watch_signals(struct output *o)
{
	static const int deadly[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGPIPE,   SIGXFSZ,
				     SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU, SIGVTALRM, SIGPROF};
	struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, was;

	pending = o;
	owner = getpid();
	for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
		if (sigaction(deadly[i], NULL, &was) == 0 && was.sa_handler == SIG_DFL)
			sigaction(deadly[i], &act, NULL);
}

/* ---- which file is meant ---- */

static bool fail(struct output *o, const char *why)
{
	o->why = why;
	if (o->dir_fd >= 0)
		close(o->dir_fd);
	o->dir_fd = -1;
	return false;
}

int output_enter(int at_fd, char *path, char base[256])
{
	char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path, *dir = slash == path ? "/" : slash ? path : ".";

	if (!*name || strlen(name) >= 256) {
		errno = *name ? ENAMETOOLONG : EISDIR;
		return -1;
	}
	memcpy(base, name, strlen(name) + 1);
	if (slash)
		*slash = '\0';
	return openat(at_fd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* The directory is opened relative to the one the path was found in, which is closed. False: errno. */
static bool enter_directory(struct output *o, char *path)
{
	int at = o->dir_fd;

	o->dir_fd = output_enter(at >= 0 ? at : AT_FDCWD, path, o->base);
	if (at >= 0) {
		int saved = errno;

		close(at);
		errno = saved;
	}
	return o->dir_fd >= 0;
}

static bool is_in_proc(const struct output *o)
{
	struct statfs fs;

	return fstatfs(o->dir_fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* Follows links to the name that is to be replaced. What lies in /proc is no name of a file. False: errno. */
static bool find_name(struct output *o, const char *file)
{
	char path[SC_PATH_MAX];
	ssize_t n = (ssize_t)strlen(file);

	if (n >= SC_PATH_MAX) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(path, file, (size_t)n + 1);
	for (int links = 0; links < LINKS_MAX; links++) {
		if (!enter_directory(o, path))
			return false;
		n = is_in_proc(o) ? -1 : readlinkat(o->dir_fd, o->base, path, sizeof path - 1);
		if (n < 0)
			return true;
		path[n] = '\0';
	}
	errno = ELOOP;
	return false;
}

/* ---- in place ---- */

/* /dev/stdout, /dev/fd/N: that very descriptor, with its position and O_APPEND, also where opening it anew is refused. -1: none
 * of ours. */
static int own_descriptor(const struct output *o)
{
	struct stat ours, dir;
	char *end;
	long n = strtol(o->base, &end, 10);

	if (*end || n < 0 || n > 1 << 20 || stat("/proc/self/fd", &ours) < 0 || fstat(o->dir_fd, &dir) < 0 ||
	    ours.st_dev != dir.st_dev || ours.st_ino != dir.st_ino)
		return -1;
	return fcntl((int)n, F_DUPFD_CLOEXEC, 3);
}

static bool open_in_place(struct output *o, const char *file)
{
	int fd = is_in_proc(o) ? own_descriptor(o) : -1;

	if (fd < 0)
		fd = open(file, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return fail(o, strerror(errno));
	fail(o, NULL); /* its directory is not needed */
	o->fd = fd;
	if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return fail(o, strerror(EBADF));
	return true;
}

/* ---- a temporary ---- */

static bool make_temporary(struct output *o, mode_t mode)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	int keep = (int)(sizeof o->name - sizeof "." SUFFIX); /* of a name as long as may be, not its end */
	unsigned char random[6];

	for (int i = 0; i < TRIES; i++) {
		char *x = o->name + snprintf(o->name, sizeof o->name, ".%.*s%s", keep, o->base, SUFFIX) - sizeof random;

		if (getrandom(random, sizeof random, 0) != sizeof random)
			break;
		for (size_t k = 0; k < sizeof random; k++)
			x[k] = letters[random[k] % 32];
		o->fd = openat(o->dir_fd, o->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
		if (o->fd >= 0)
			return true;
		if (errno != EEXIST)
			break;
	}
	o->name[0] = '\0';
	o->fd = 1;
	return false;
}

/* No signal comes between the name and the one who would remove it. */
static bool make_watched(struct output *o, mode_t mode)
{
	sigset_t all, was;
	int saved;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &was);
	o->temporary = make_temporary(o, mode);
	saved = errno;
	if (o->temporary)
		watch_signals(o);
	sigprocmask(SIG_SETMASK, &was, NULL);
	errno = saved;
	return o->temporary;
}

const char *output_pinned(int dir_fd, const char *base)
{
	struct statx x;
	struct stat dir;

	if (statx(dir_fd, base, AT_SYMLINK_NOFOLLOW, STATX_UID, &x) < 0 || fstat(dir_fd, &dir) < 0)
		return strerror(errno);
	if (x.stx_attributes & STATX_ATTR_MOUNT_ROOT)
		return "something is mounted there";
	if (x.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND))
		return strerror(EPERM);
	if ((dir.st_mode & S_ISVTX) && geteuid() != 0 && x.stx_uid != geteuid() && dir.st_uid != geteuid())
		return strerror(EPERM);
	return NULL;
}

/* Why FILE, which exists, could not be replaced when the time has come; NULL: nothing is known. */
static const char *obstacle(const struct output *o)
{
	if (faccessat(o->dir_fd, o->base, W_OK, AT_EACCESS) < 0)
		return strerror(errno);
	return output_pinned(o->dir_fd, o->base);
}

/* old: what is there now, or NULL. The kernel knows best what is left of 0666; but no byte of what replaces a file that others
 * may not read is theirs to read meanwhile. */
static bool open_temporary(struct output *o, const struct stat *old)
{
	const char *why = old ? obstacle(o) : NULL;

	if (why)
		return fail(o, why);
	if (!make_watched(o, old ? 0600 : 0666))
		return fail(o, strerror(errno));
	if (old && fchmod(o->fd, old->st_mode & 0777) < 0) {
		why = strerror(errno);
		output_abandon(o);
		o->why = why;
		return false;
	}
	return true;
}

/* ---- the door ---- */

void output_init(struct output *o)
{
	*o = (struct output){.fd = 1, .dir_fd = -1};
}

bool output_open(struct output *o, const char *file)
{
	struct stat st;
	bool there = stat(file, &st) == 0;

	if (there && S_ISDIR(st.st_mode))
		return fail(o, strerror(EISDIR));
	if (!there && errno != ENOENT)
		return fail(o, strerror(errno));
	if (!find_name(o, file))
		return fail(o, strerror(errno));
	if (there && (!S_ISREG(st.st_mode) || is_in_proc(o)))
		return open_in_place(o, file);
	return open_temporary(o, there ? &st : NULL);
}

bool output_restart(struct output *o)
{
	return o->temporary && ftruncate(o->fd, 0) == 0 && lseek(o->fd, 0, SEEK_SET) == 0;
}

bool output_commit(struct output *o)
{
	if (!o->temporary)
		return true;
	/* Now, not when its last byte came. A file system that reports a write's failure at the end does so here. */
	if (futimens(o->fd, NULL) < 0 || close(o->fd) < 0 || renameat(o->dir_fd, o->name, o->dir_fd, o->base) < 0) {
		o->why = strerror(errno);
		output_abandon(o);
		return false;
	}
	pending = NULL;
	o->temporary = false;
	o->name[0] = '\0';
	return true;
}

void output_abandon(struct output *o)
{
	if (!o->temporary)
		return;
	unlinkat(o->dir_fd, o->name, 0);
	pending = NULL;
	o->temporary = false;
	o->name[0] = '\0';
	close(o->dir_fd);
	o->dir_fd = -1;
}

/* Chooses, makes and checks the cache directory. Called once by every client, so the good case is four system calls: look at
 * HOME, open, fstat, fstatfs. Opens first and judges what it has opened; makes only what was not there. Never makes HOME,
 * never removes anything, and of what it did not make changes nothing but a mode that lets others read, and not even that for
 * one who only looks. */
#include "lib/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/config.h"
#include "lib/err.h"

/* Besides the results of lib/err.h, inside this file only. */
enum { NEXT = 1, NETWORK = 2 };

/* ---- what is said ---- */

#define SHOWN 240

/* A path as one may type it: quoted for the shell where that is needed, control bytes as '?', the front of a long one cut. */
static const char *shown(const char *path, char out[SHOWN])
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:,@%";
	bool quote = path[strspn(path, plain)] != '\0';
	size_t room = SHOWN - sizeof "'...'", need = 0, n = 0;
	const char *p = path + strlen(path);

	/* From its end as much as there is room for; a quote takes four. */
	while (p > path && need + (p[-1] == '\'' ? 4 : 1) <= room)
		need += *--p == '\'' ? 4 : 1;
	if (quote)
		out[n++] = '\'';
	if (p > path) {
		memcpy(out + n, "...", 3);
		n += 3;
	}
	for (; *p; p++) {
		if (*p == '\'') {
			memcpy(out + n, "'\\''", 4);
			n += 4;
		} else {
			out[n++] = (unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p;
		}
	}
	if (quote)
		out[n++] = '\'';
	out[n] = '\0';
	return out;
}

/* Leaves errno alone. */
static int __attribute__((format(printf, 3, 4))) because(struct place *p, int rc, const char *fmt, ...)
{
	int e = errno;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->why, sizeof p->why, fmt, ap);
	va_end(ap);
	errno = e;
	return rc;
}

/* ---- the environment ---- */

/* Not looked at where it is somebody else's than the euid's. Empty is unset. */
static const char *env(const char *name)
{
	const char *value = secure_getenv(name);

	return value && *value ? value : NULL;
}

/* Relative ones are to be ignored, says the XDG specification. */
static const char *env_dir(const char *name)
{
	const char *value = env(name);

	return value && *value == '/' ? value : NULL;
}

static bool is_our_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

int place_config(char out[SC_PATH_MAX])
{
	const char *base = env_dir("XDG_CONFIG_HOME"), *tail = "sc/config";
	int n;

	if (!base) {
		base = env_dir("HOME");
		tail = ".config/sc/config";
	}
	if (!base)
		return SC_ENOENT;
	n = snprintf(out, SC_PATH_MAX, "%s/%s", base, tail);
	return n < SC_PATH_MAX ? 0 : SC_ENOENT;
}

/* ---- one directory ---- */

/* Network: locks, mmap and unlinked files may not do what they do on a local disk. virtiofs says it is FUSE. */
static const struct file_system {
	uint32_t type;
	bool is_network;
	const char *name;
} file_systems[] = {
	{0x00006969, true, "NFS"},	  {0xff534d42, true, "CIFS"},	{0x0000517b, true, "SMB"},
	{0xfe534d42, true, "SMB2"},	  {0x65735546, true, "FUSE"},	{0x01021997, true, "9p"},
	{0x00c36400, true, "Ceph"},	  {0x5346414f, true, "AFS"},	{0x6b414653, true, "kAFS"},
	{0x73757245, true, "Coda"},	  {0x0bd00bd0, true, "Lustre"}, {0x0000ef53, false, "ext4"},
	{0x58465342, false, "XFS"},	  {0x9123683e, false, "Btrfs"}, {0x01021994, false, "tmpfs"},
	{0x794c7630, false, "overlayfs"}, {0x2fc12fc1, false, "ZFS"},	{0xf2f52010, false, "F2FS"},
	{0xca451a4e, false, "bcachefs"},
};

static const struct file_system *file_system(const struct statfs *fs)
{
	for (size_t i = 0; i < sizeof file_systems / sizeof file_systems[0]; i++)
		if ((uint32_t)fs->f_type == file_systems[i].type)
			return &file_systems[i];
	return NULL;
}

static bool is_network(const struct statfs *fs)
{
	const struct file_system *known = file_system(fs);

	return known && known->is_network;
}

void place_file_system(const struct place *p, char name[16], bool *network)
{
	const struct file_system *known;
	struct statfs fs = {0};

	if (fstatfs(p->dir_fd, &fs) < 0)
		fs.f_type = 0;
	known = file_system(&fs);
	*network = known && known->is_network;
	if (known)
		snprintf(name, 16, "%s", known->name);
	else
		snprintf(name, 16, "0x%x", (unsigned)fs.f_type);
}

bool place_is_local(int fd)
{
	const struct file_system *known;
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	known = file_system(&fs);
	return known && !known->is_network;
}

/* Why it could not be opened. NEXT: not for anything it is itself. */
static int explain(struct place *p)
{
	char path[SHOWN];
	struct stat st;
	int e = errno;

	shown(p->path, path);
	if (e == ENOENT)
		return because(p, SC_ENOENT, "%s is not there", path);
	if (e == EMFILE || e == ENFILE || e == ENOMEM || lstat(p->path, &st) < 0) {
		errno = e;
		return because(p, e == EMFILE || e == ENFILE || e == ENOMEM ? SC_ESYS : NEXT, "cannot open %s: %s", path,
			       strerror(e));
	}
	errno = e;
	if (S_ISLNK(st.st_mode))
		return because(p, SC_EUNSAFE, "%s is a symbolic link (remove it, or set SC_DIR to where it points)", path);
	if (!S_ISDIR(st.st_mode))
		return because(p, SC_EUNSAFE, "%s is not a directory (remove it, or set SC_DIR to another place)", path);
	if (st.st_uid != geteuid())
		return because(p, SC_EUNSAFE,
			       "%s belongs to uid %u (mode %04o), not to us (remove it, or set SC_DIR to another place)", path,
			       (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
	return because(p, SC_EUNSAFE, "cannot open %s: %s (chmod 0700 %s)", path, strerror(e), path);
}

/* Is what we have opened fit to be trusted? */
static int check(struct place *p, int fd, bool made)
{
	char path[SHOWN];
	struct statfs fs;
	struct stat st;

	shown(p->path, path);
	if (fstat(fd, &st) < 0)
		return because(p, SC_ESYS, "cannot look at %s: %s", path, strerror(errno));
	if (st.st_uid != geteuid())
		return because(p, SC_EUNSAFE,
			       "%s belongs to uid %u (mode %04o), not to us (remove it, or set SC_DIR to another place)", path,
			       (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
	if (!made && (st.st_mode & 022))
		return because(p, SC_EUNSAFE, "%s is writable by others (mode %04o) (chmod go-w %s)", path,
			       (unsigned)st.st_mode & 07777, path);
	/* One we made may have a set-group-id bit of its parent's. */
	if (!p->looks && (made ? st.st_mode & 07777 : st.st_mode & 0777) != 0700 && fchmod(fd, 0700) < 0)
		return because(p, SC_ESYS, "cannot make %s private: %s", path, strerror(errno));
	if (fstatfs(fd, &fs) < 0)
		return because(p, SC_ESYS, "cannot look at %s: %s", path, strerror(errno));
	return is_network(&fs) ? NETWORK : 0;
}

/* Opens p->path and checks it. On success, and with NETWORK, p->dir_fd is open. */
static int open_dir(struct place *p, bool made)
{
	int fd = open(p->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return explain(p);
	rc = check(p, fd, made);
	if (rc < 0) {
		int e = errno;

		close(fd);
		errno = e;
		return rc;
	}
	p->dir_fd = fd;
	return rc;
}

/* The umask is set rather than the mode mended afterwards: there is then no moment at which others could get in, and none at
 * which we ourselves could not. */
static int make_one(const char *path)
{
	mode_t old = umask(077);
	int rc = mkdir(path, 0700);
	int e = errno;

	umask(old);
	errno = e;
	return rc;
}

/* p->path and those of its parents that lie below the first `base` bytes of it. *made: by us, the last one. */
static int make_dirs(struct place *p, size_t base, bool *made)
{
	char *slash;

	*made = make_one(p->path) == 0;
	if (*made || errno == EEXIST)
		return 0;
	if (errno != ENOENT || base == 0)
		return SC_ESYS;
	for (slash = p->path + base; (slash = strchr(slash + 1, '/')) != NULL;) {
		int rc;

		*slash = '\0';
		rc = make_one(p->path);
		*slash = '/';
		if (rc < 0 && errno != EEXIST)
			return SC_ESYS;
	}
	*made = make_one(p->path) == 0;
	return *made || errno == EEXIST ? 0 : SC_ESYS;
}

static int make_and_open(struct place *p, size_t base)
{
	char path[SHOWN];
	bool made;

	if (make_dirs(p, base, &made)) {
		shown(p->path, path);
		if (errno == ENOENT)
			return because(p, SC_ESYS, "cannot make %s: its parent is not there (mkdir -p %s)", path, path);
		return because(p, SC_ESYS, "cannot make %s: %s (set SC_DIR to another place)", path, strerror(errno));
	}
	return open_dir(p, made);
}

/* ---- the defaults ---- */

static void forget(struct place *p)
{
	place_close(p);
	p->why[0] = '\0';
}

/* A default below `base`, which must be there and ours. NEXT: cannot be had. NETWORK: do not want it. */
static int try_below(struct place *p, const char *base, const char *tail, int create)
{
	size_t len;
	char *slash;
	struct statfs fs;
	int rc;

	if (!base || !is_our_dir(base) || snprintf(p->path, sizeof p->path, "%s%s", base, tail) >= (int)sizeof p->path)
		return NEXT;
	rc = open_dir(p, false);
	if (rc != SC_ENOENT)
		return rc;
	/* Could it be made? Asked of the nearest parent there is, before anything is left on a network file system; also of one
	 * who makes nothing, so that everybody means the same place. */
	len = strlen(base);
	slash = strrchr(p->path, '/');
	*slash = '\0';
	rc = statfs(p->path, &fs);
	if (rc < 0 && errno == ENOENT && (size_t)(slash - p->path) > len) {
		char *up = strrchr(p->path, '/');

		*up = '\0';
		rc = statfs(p->path, &fs);
		if (rc == 0)
			rc = faccessat(AT_FDCWD, p->path, W_OK | X_OK, AT_EACCESS);
		*up = '/';
	} else if (rc == 0) {
		rc = faccessat(AT_FDCWD, p->path, W_OK | X_OK, AT_EACCESS);
	}
	*slash = '/';
	if (rc < 0)
		return NEXT;
	if (is_network(&fs))
		return NETWORK;
	if (!create)
		return SC_ENOENT;
	rc = make_and_open(p, len);
	return rc == SC_ESYS || rc == SC_ENOENT ? NEXT : rc;
}

/* One that is named outright, or the last that is left. */
static int take(struct place *p, size_t base, int create)
{
	struct config c;
	char path[SHOWN];
	int rc = open_dir(p, false);

	if (rc == SC_ENOENT && create)
		rc = make_and_open(p, base);
	if (rc == NEXT)
		rc = SC_ESYS;
	if (rc != NETWORK)
		return rc;
	config_init(&c);
	config_read(&c, p->dir_fd, NULL, NULL);
	if (c.network_fs)
		return 0;
	place_close(p);
	shown(p->path, path);
	return because(p, SC_EUNSAFE,
		       "%s is on a network file system (set SC_DIR to a local place, or put network-fs = on into %s/config)",
		       path, path);
}

/* The specification has a missing base directory made by whoever needs it first; only in a directory of ours, and only it. */
static void make_xdg_base(const char *base)
{
	char parent[SC_PATH_MAX];
	char *slash;

	if (!base || access(base, F_OK) == 0 || snprintf(parent, sizeof parent, "%s", base) >= (int)sizeof parent)
		return;
	slash = strrchr(parent, '/');
	if (slash == parent)
		return;
	*slash = '\0';
	if (is_our_dir(parent))
		mkdir(base, 0700);
}

static int place_default(struct place *p, int create)
{
	const char *xdg = env_dir("XDG_CACHE_HOME");
	int rc;

	if (create)
		make_xdg_base(xdg);
	rc = try_below(p, xdg, "/sc", create);

	if (rc == NEXT) {
		forget(p);
		rc = try_below(p, env_dir("HOME"), "/.cache/sc", create);
	}
	if (rc == NEXT) {
		forget(p);
		snprintf(p->path, sizeof p->path, "/tmp/sc-%u", (unsigned)geteuid());
		rc = open_dir(p, false);
		if (rc == SC_ENOENT && create)
			rc = make_and_open(p, 0);
		if (rc == NEXT)
			rc = SC_ESYS;
	}
	if (rc == NETWORK) {
		forget(p);
		snprintf(p->path, sizeof p->path, "/var/tmp/sc-%u", (unsigned)geteuid());
		rc = take(p, 0, create);
	}
	return rc;
}

/* ---- the doors ---- */

static void begin(struct place *p, int create)
{
	p->looks = !create;
	p->path[0] = '\0';
	p->why[0] = '\0';
	p->dir_fd = -1;
}

/* Absolute, and without a tail of "/" or "/.": behind one of those O_NOFOLLOW would follow. */
static int make_absolute(struct place *p, const char *path)
{
	size_t len = 0, n;

	if (*path != '/') {
		if (!getcwd(p->path, sizeof p->path))
			return because(p, SC_ESYS, "cannot tell the current directory: %s (set SC_DIR to an absolute path)",
				       strerror(errno));
		len = strlen(p->path);
		if (len > 1 && len < sizeof p->path - 1)
			p->path[len++] = '/';
	}
	n = strlen(path);
	if (n >= sizeof p->path - len) {
		errno = ENAMETOOLONG;
		return because(p, SC_ESYS, "the path of SC_DIR is too long (set it to a shorter one)");
	}
	memcpy(p->path + len, path, n + 1);
	for (len += n; len > 1; len--) {
		if (p->path[len - 1] == '.' && p->path[len - 2] == '/')
			continue;
		if (p->path[len - 1] != '/')
			break;
	}
	p->path[len] = '\0';
	return 0;
}

int place_open_at(struct place *p, const char *path, int create)
{
	const char *home;
	size_t base = 0;
	int rc;

	begin(p, create);
	rc = make_absolute(p, path);
	if (rc)
		return rc;
	/* Missing parents are made below a HOME of ours only: elsewhere one that is missing may be a disk not yet mounted. */
	home = create ? env_dir("HOME") : NULL;
	if (home) {
		size_t n = strlen(home);

		while (n > 1 && home[n - 1] == '/')
			n--;
		if (strncmp(p->path, home, n) == 0 && p->path[n] == '/')
			base = n;
	}
	rc = take(p, 0, 0);
	if (rc == SC_ENOENT && create)
		rc = take(p, base && is_our_dir(home) ? base : 0, create);
	return rc;
}

int place_open(struct place *p, int create)
{
	const char *dir = env("SC_DIR");

	if (dir)
		return place_open_at(p, dir, create);
	begin(p, create);
	return place_default(p, create);
}

void place_close(struct place *p)
{
	if (p->dir_fd >= 0)
		close(p->dir_fd);
	p->dir_fd = -1;
}

bool place_is_there(const struct place *p)
{
	struct stat named, opened;

	if (fstat(p->dir_fd, &opened) < 0)
		return true;
	if (lstat(p->path, &named) < 0)
		return errno != ENOENT && errno != ENOTDIR && errno != ELOOP;
	return named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

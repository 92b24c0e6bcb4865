/* Finds the cache directory and opens it, once. Called by client, writer and daemon; never touches what is inside. */
#include "lib/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lib/err.h"

/* Magic numbers the header lacks. */
#define CIFS_SUPER 0xFF534D42
#define SMB2_SUPER 0xFE534D42
#define FUSE_SUPER 0x65735546
#define CEPH_SUPER 0x00C36400

static int fail(struct place *p, int rc, const char *fmt, const char *more)
{
	int saved = errno;

	snprintf(p->why, sizeof p->why, fmt, p->path, more);
	errno = saved;
	return rc;
}

static int is_network(int fd)
{
	static const unsigned types[] = {NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, CIFS_SUPER, SMB2_SUPER,    FUSE_SUPER,
					 V9FS_MAGIC,	  CEPH_SUPER,	   AFS_SUPER_MAGIC};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return 0;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if ((unsigned)fs.f_type == types[i])
			return 1;
	return 0;
}

/* Parents are made only where `from` says: never a HOME that does not exist. */
static int make_parents(const char *path, size_t from)
{
	char dir[SC_PATH_MAX];

	for (size_t i = from; path[i]; i++) {
		if (path[i] != '/' || i == 0)
			continue;
		memcpy(dir, path, i);
		dir[i] = '\0';
		if (mkdir(dir, 0700) < 0 && errno != EEXIST)
			return SC_ESYS;
	}
	return 0;
}

static int check(struct place *p, int fd)
{
	struct stat st;
	char more[128];

	if (fstat(fd, &st) < 0)
		return fail(p, SC_ESYS, "%s: %s", strerror(errno));
	if (st.st_uid != geteuid()) {
		snprintf(more, sizeof more, "belongs to uid %u, not to us (remove it, or set SC_DIR)", (unsigned)st.st_uid);
		return fail(p, SC_EUNSAFE, "%s %s", more);
	}
	if (st.st_mode & 022)
		return fail(p, SC_EUNSAFE, "%s is writable by others (chmod go-w %s)", p->path);
	if ((st.st_mode & 0777) != 0700 && fchmod(fd, 0700) < 0)
		return fail(p, SC_ESYS, "%s: %s", strerror(errno));
	return 0;
}

/* Opens p->path; the parents from offset `from` on may be made. */
static int open_path(struct place *p, int create, size_t from)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, fd = open(p->path, flags), rc;

	p->why[0] = '\0';
	if (fd < 0 && errno == ENOENT && create) {
		if (make_parents(p->path, from) == 0 && (mkdir(p->path, 0700) == 0 || errno == EEXIST))
			fd = open(p->path, flags);
		/* Whatever the umask, whatever the parent's set-gid bit. */
		if (fd >= 0)
			fchmod(fd, 0700);
	}
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP)) {
		struct stat st;

		if (lstat(p->path, &st) == 0)
			return fail(p, SC_EUNSAFE, "%s is %s, not a directory of ours (remove it, or set SC_DIR)",
				    S_ISLNK(st.st_mode) ? "a symbolic link" : "not a directory");
		return fail(p, SC_ESYS, "%s: %s", strerror(ENOTDIR));
	}
	if (fd < 0)
		return fail(p, errno == ENOENT && !create ? SC_ENOENT : SC_ESYS, "%s cannot be opened or made: %s", strerror(errno));
	rc = check(p, fd);
	if (rc) {
		int saved = errno;

		close(fd);
		errno = saved;
		return rc;
	}
	p->dir_fd = fd;
	return 0;
}

int place_open_at(struct place *p, const char *path, int create)
{
	size_t n;

	p->dir_fd = -1;
	p->path[0] = '\0';
	if (path[0] != '/') {
		if (!getcwd(p->path, sizeof p->path - 1))
			return fail(p, SC_ESYS, "%s%s", strerror(errno));
		strcat(p->path, "/");
	}
	n = strlen(p->path);
	if (n + strlen(path) >= sizeof p->path)
		return errno = ENAMETOOLONG, fail(p, SC_ESYS, "%s… %s", "the path is too long");
	strcpy(p->path + n, path);
	/* A final slash would make open follow a link. */
	for (n = strlen(p->path); n > 1 && p->path[n - 1] == '/'; n--)
		p->path[n - 1] = '\0';
	return open_path(p, create, 1);
}

/* A default place below a directory that must exist and be ours. SC_EAGAIN: pass it over. */
static int try_below(struct place *p, const char *base, const char *below, int create)
{
	struct stat st;
	int rc;

	if (!base || base[0] != '/' || strlen(base) + strlen(below) + 2 > sizeof p->path)
		return SC_EAGAIN;
	snprintf(p->path, sizeof p->path, "%s%s", base, below);
	rc = open_path(p, 0, 0);
	if (rc == SC_ENOENT && create) {
		/* Not in somebody else's home: sudo leaves HOME as it was, and root's files would lie there. */
		if (stat(base, &st) < 0 || st.st_uid != geteuid())
			return SC_EAGAIN;
		rc = open_path(p, 1, strlen(base) + 1);
	}
	if (rc == SC_ESYS || (rc == SC_ENOENT && create))
		return SC_EAGAIN;
	if (rc == 0 && is_network(p->dir_fd)) {
		place_close(p);
		return SC_ETOOBIG;
	}
	return rc;
}

static int try_fixed(struct place *p, const char *parent, int create)
{
	snprintf(p->path, sizeof p->path, "%s/sc-%u", parent, (unsigned)geteuid());
	return open_path(p, create, strlen(parent) + 1);
}

int place_open(struct place *p, int create)
{
	int secure = getauxval(AT_SECURE) != 0, rc;
	const char *dir = secure ? NULL : getenv("SC_DIR"), *xdg = secure ? NULL : getenv("XDG_CACHE_HOME"),
		   *home = secure ? NULL : getenv("HOME");

	p->dir_fd = -1;
	if (dir && *dir) {
		rc = place_open_at(p, dir, create);
		if (rc == 0 && is_network(p->dir_fd)) {
			place_close(p);
			return fail(p, SC_EUNSAFE, "%s lies on a network file system (say network-fs = on in %s/config, or choose another)",
				    p->path);
		}
		return rc;
	}
	rc = xdg && *xdg ? try_below(p, xdg, "/sc", create) : SC_EAGAIN;
	if (rc == SC_EAGAIN && !(xdg && *xdg))
		rc = try_below(p, home, "/.cache/sc", create);
	if (rc == SC_ETOOBIG)
		return try_fixed(p, "/var/tmp", create);
	return rc == SC_EAGAIN ? try_fixed(p, "/tmp", create) : rc;
}

void place_close(struct place *p)
{
	if (p->dir_fd >= 0)
		close(p->dir_fd);
	p->dir_fd = -1;
}

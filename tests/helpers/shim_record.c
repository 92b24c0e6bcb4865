/* Preloaded: records what is done to the files of one directory, in order, for `replay` (crash_states.bats).
 *
 * SHIM_RECORD=FILE         what is appended to, by all processes; one entry a call that succeeded, a line and perhaps bytes
 * SHIM_RECORD_DIR=PATH     absolute and without links; what is done elsewhere is not recorded
 * SHIM_RECORD_CLONE=1      reflinks in it work: they are made by copying. Else no file system has them, so that all records are alike
 *
 *   mkdir INO PATH · create INO PATH · socket 0 PATH · link FROM TO · rename FROM TO · unlink PATH     PATH is relative to the directory
 *   write INO OFFSET LENGTH and so many bytes and a newline · truncate INO LENGTH
 *   sync INO (file or directory) · syncfs
 *
 * An entry is written behind its call and before the call returns: what one process tells another comes after what it tells of.
 * Of two calls at the same time either may come first, as on the disk. What goes through a mapping is not seen: SQLite's -shm,
 * which means nothing to the next boot, and the counter in `lock`. A file that gets a name in the directory and has none there ends
 * the process: its bytes are not known. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* The C library's own, whatever else is preloaded. */
#define NEXT(name, ...)                                             \
	({                                                          \
		static __typeof__(&name) next_;                     \
		if (!next_)                                         \
			*(void **)&next_ = dlsym(RTLD_NEXT, #name); \
		next_(__VA_ARGS__);                                 \
	})

static const char *directory(void)
{
	static const char *dir;

	if (!dir)
		dir = getenv("SHIM_RECORD_DIR") ?: "";
	return dir;
}

static const char *record(void)
{
	static const char *file;

	if (!file)
		file = getenv("SHIM_RECORD") ?: "";
	return file;
}

/* Before anybody clears the environment. */
__attribute__((constructor)) static void begin(void)
{
	directory();
	record();
}

/* What lies below the directory; NULL: it does not lie there. */
static const char *below(const char *path)
{
	size_t n = strlen(directory());

	if (n == 0 || strncmp(path, directory(), n) != 0)
		return NULL;
	return path[n] == '/' ? path + n + 1 : path[n] == '\0' ? path + n : NULL;
}

/* Where a descriptor points to; the path of a file that was unlinked says so at its end, and is used for nothing. */
static const char *path_of(int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_MAX - 1);
	if (n < 0)
		return NULL;
	path[n] = '\0';
	return below(path);
}

/* The same for a name: its directory is asked for, the name itself may be gone or not there yet. */
static const char *path_at(int dir_fd, const char *name, char path[PATH_MAX])
{
	char parent[PATH_MAX], joined[PATH_MAX + 64];
	const char *slash;

	if (name[0] == '/')
		snprintf(joined, sizeof joined, "%s", name);
	else if (dir_fd == AT_FDCWD)
		snprintf(joined, sizeof joined, "./%s", name);
	else
		snprintf(joined, sizeof joined, "/proc/self/fd/%d/%s", dir_fd, name);
	slash = strrchr(joined, '/');
	name = slash + 1;
	joined[slash - joined] = '\0';
	if (!realpath(joined[0] ? joined : "/", parent) || !below(parent))
		return NULL;
	snprintf(path, PATH_MAX, "%.*s/%.255s", PATH_MAX - 300, parent, name);
	return below(path);
}

static unsigned long long inode(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

/* One write, so that those of several processes do not mix. The file is opened each time: ours would be closed with all others. */
__attribute__((format(printf, 3, 4))) static void note(const void *bytes, size_t n, const char *fmt, ...)
{
	int saved = errno, fd = NEXT(open, record(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	char line[PATH_MAX * 2 + 64];
	struct iovec v[3] = {{line, 0}, {(void *)(uintptr_t)bytes, n}, {(void *)(uintptr_t) "\n", n ? 1 : 0}};
	va_list ap;

	va_start(ap, fmt);
	v[0].iov_len = (size_t)vsnprintf(line, sizeof line - 1, fmt, ap);
	va_end(ap);
	line[v[0].iov_len++] = '\n';
	if (fd < 0 || NEXT(writev, fd, v, 3) != (ssize_t)(v[0].iov_len + n + (n ? 1 : 0)))
		abort();
	close(fd);
	errno = saved;
}

/* ---- names ---- */

static bool is_there(int dir_fd, const char *name)
{
	struct stat st;
	int saved = errno;
	bool yes = fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;

	errno = saved;
	return yes;
}

static void opened(int fd, int flags, bool was_there)
{
	char path[PATH_MAX];
	const char *name;

	if (fd < 0 || (flags & O_TMPFILE) == O_TMPFILE || !(flags & (O_CREAT | O_TRUNC)) || !(name = path_of(fd, path)))
		return;
	if (!was_there)
		note(NULL, 0, "create %llu %s", inode(fd), name);
	else if (flags & O_TRUNC)
		note(NULL, 0, "truncate %llu 0", inode(fd));
}

static int open_it(int dir_fd, const char *name, int flags, mode_t mode)
{
	bool was_there = !(flags & O_CREAT) || is_there(dir_fd, name);
	int fd = NEXT(openat, dir_fd, name, flags, mode);

	opened(fd, flags, was_there);
	return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define OPEN(name)                                           \
	int name(const char *path, int flags, ...)           \
	{                                                    \
		va_list ap;                                  \
		mode_t mode;                                 \
		va_start(ap, flags);                         \
		mode = mode_of(flags, ap);                   \
		va_end(ap);                                  \
		return open_it(AT_FDCWD, path, flags, mode); \
	}
#define OPENAT(name)                                           \
	int name(int dir_fd, const char *path, int flags, ...) \
	{                                                      \
		va_list ap;                                    \
		mode_t mode;                                   \
		va_start(ap, flags);                           \
		mode = mode_of(flags, ap);                     \
		va_end(ap);                                    \
		return open_it(dir_fd, path, flags, mode);     \
	}
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

long syscall(long nr, ...)
{
	bool opens = nr == SYS_openat2, was_there = true;
	const struct open_how *how;
	va_list ap;
	long a[6], rc;

	va_start(ap, nr);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	how = opens ? (const struct open_how *)a[2] : NULL;
	if (opens && (how->flags & O_CREAT))
		was_there = is_there((int)a[0], (const char *)a[1]);
	rc = NEXT(syscall, nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (opens)
		opened((int)rc, (int)how->flags, was_there);
	return rc;
}

int mkdirat(int dir_fd, const char *name, mode_t mode)
{
	int rc = NEXT(mkdirat, dir_fd, name, mode);
	char path[PATH_MAX];
	const char *p;
	struct stat st;

	if (rc == 0 && (p = path_at(dir_fd, name, path)) && fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		note(NULL, 0, "mkdir %llu %s", (unsigned long long)st.st_ino, p);
	return rc;
}

int mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

int unlinkat(int dir_fd, const char *name, int flags)
{
	int rc = NEXT(unlinkat, dir_fd, name, flags);
	char path[PATH_MAX];
	const char *p;

	if (rc == 0 && (p = path_at(dir_fd, name, path)))
		note(NULL, 0, "unlink %s", p);
	return rc;
}

int unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	int rc = NEXT(renameat2, from_fd, from, to_fd, to, flags);
	char a[PATH_MAX], b[PATH_MAX];
	const char *p, *q;

	if (rc < 0)
		return rc;
	p = path_at(from_fd, from, a);
	q = path_at(to_fd, to, b);
	if (p && q)
		note(NULL, 0, "rename %s %s", p, q);
	else if (p)
		note(NULL, 0, "unlink %s", p);
	else if (q)
		abort();
	return rc;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	return renameat2(from_fd, from, to_fd, to, 0);
}

int rename(const char *from, const char *to)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	int rc = NEXT(linkat, from_fd, from, to_fd, to, flags);
	char a[PATH_MAX], b[PATH_MAX];
	const char *p, *q;

	if (rc < 0)
		return rc;
	p = path_at(from_fd, from, a);
	q = path_at(to_fd, to, b);
	if (p && q)
		note(NULL, 0, "link %s %s", p, q);
	else if (q)
		abort();
	return rc;
}

int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int bind(int fd, const struct sockaddr *a, socklen_t n)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)a;
	int rc = NEXT(bind, fd, a, n);
	char path[PATH_MAX];
	const char *p;

	if (rc == 0 && a->sa_family == AF_UNIX && un->sun_path[0] && (p = path_at(AT_FDCWD, un->sun_path, path)))
		note(NULL, 0, "socket 0 %s", p);
	return rc;
}

/* ---- bytes ---- */

static void written(int fd, const void *bytes, ssize_t n, off_t at)
{
	char path[PATH_MAX];

	if (n > 0 && path_of(fd, path))
		note(bytes, (size_t)n, "write %llu %lld %zd", inode(fd), (long long)at, n);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
	ssize_t rc = NEXT(write, fd, bytes, n);
	char path[PATH_MAX];

	/* Where it went, with O_APPEND too. */
	if (rc > 0 && path_of(fd, path))
		written(fd, bytes, rc, lseek(fd, 0, SEEK_CUR) - rc);
	return rc;
}

ssize_t writev(int fd, const struct iovec *v, int count)
{
	char path[PATH_MAX];

	if (count > 0 && path_of(fd, path))
		return write(fd, v[0].iov_base, v[0].iov_len); /* short, which is allowed */
	return NEXT(writev, fd, v, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
	ssize_t rc = NEXT(pwrite, fd, bytes, n, at);

	written(fd, bytes, rc, at);
	return rc;
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at)
{
	return pwrite(fd, bytes, n, at);
}

/* What came into a file of ours without passing through us. Its descriptor may be for writing only. */
static void copied(int fd, size_t n, off_t at)
{
	char link[64], path[PATH_MAX], *bytes;
	int again_fd;

	if (n == 0 || !path_of(fd, path))
		return;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	again_fd = NEXT(open, link, O_RDONLY | O_CLOEXEC);
	bytes = malloc(n);
	if (again_fd < 0 || !bytes || pread(again_fd, bytes, n, at) != (ssize_t)n)
		abort();
	written(fd, bytes, (ssize_t)n, at);
	free(bytes);
	close(again_fd);
}

ssize_t copy_file_range(int from_fd, off_t *from, int to_fd, off_t *to, size_t n, unsigned flags)
{
	off_t at = to ? *to : lseek(to_fd, 0, SEEK_CUR);
	ssize_t rc = NEXT(copy_file_range, from_fd, from, to_fd, to, n, flags);
	int saved = errno;

	if (rc > 0)
		copied(to_fd, (size_t)rc, at);
	errno = saved;
	return rc;
}

static int clone_by_hand(int to_fd, int from_fd)
{
	char block[65536];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(from_fd, block, sizeof block, at)) > 0) {
		if (NEXT(pwrite, to_fd, block, (size_t)n, at) != n)
			return -1;
		at += n;
	}
	copied(to_fd, (size_t)at, 0);
	return n < 0 ? -1 : 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	char path[PATH_MAX];
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request != FICLONE || !path_of(fd, path))
		return NEXT(ioctl, fd, request, arg);
	if (getenv("SHIM_RECORD_CLONE"))
		return clone_by_hand(fd, (int)(intptr_t)arg);
	errno = EOPNOTSUPP;
	return -1;
}

int ftruncate(int fd, off_t n)
{
	int rc = NEXT(ftruncate, fd, n);
	char path[PATH_MAX];

	if (rc == 0 && path_of(fd, path))
		note(NULL, 0, "truncate %llu %lld", inode(fd), (long long)n);
	return rc;
}

int ftruncate64(int fd, off_t n)
{
	return ftruncate(fd, n);
}

static void synced(int fd, int rc)
{
	char path[PATH_MAX];

	if (rc == 0 && path_of(fd, path))
		note(NULL, 0, "sync %llu", inode(fd));
}

int fsync(int fd)
{
	int rc = NEXT(fsync, fd);

	synced(fd, rc);
	return rc;
}

int fdatasync(int fd)
{
	int rc = NEXT(fdatasync, fd);

	synced(fd, rc);
	return rc;
}

int syncfs(int fd)
{
	int rc = NEXT(syncfs, fd);
	char path[PATH_MAX];

	if (rc == 0 && path_of(fd, path))
		note(NULL, 0, "syncfs");
	return rc;
}

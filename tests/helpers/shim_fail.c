/* Preloaded: makes calls fail as if the machine had no more of what they need.
 *
 * SHIM_MEMORY=FILE   three 32-bit numbers, which the test may change while we run: in how many calls from now one for memory fails
 *                    (0: none does) · if not 0, all after it fail too, until the test says otherwise · calls so far
 * SHIM_FORK=N[+]     the Nth fork fails (with +: and all after it), counted from the process that was started on through its
 *                    children
 * SHIM_FILESYSTEM=PATH:TYPE
 *                    what lies on PATH and below is on a file system of this type (statfs's f_type, hexadecimal)
 * SHIM_NO_TMPFILE=1  no file system has files without a name
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

struct control {
	_Atomic uint32_t left, stay, calls;
};

static struct control *control;
static long forks;

/* dlsym itself may want memory before we know where it is to be had. */
static char first[8192];
static size_t first_used;

static void *(*next_malloc)(size_t);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static void (*next_free)(void *);

static void *from_first(size_t n)
{
	void *p = first + first_used;

	first_used += (n + 15) & ~(size_t)15;
	return first_used <= sizeof first ? p : NULL;
}

static bool is_first(const void *p)
{
	return (const char *)p >= first && (const char *)p < first + sizeof first;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("SHIM_MEMORY");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *at = MAP_FAILED;

	if (fd >= 0)
		at = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at != MAP_FAILED)
		control = at;
	if (fd >= 0)
		close(fd);
}

static void find(void)
{
	static bool finding;

	if (finding)
		return;
	finding = true;
	*(void **)&next_calloc = dlsym(RTLD_NEXT, "calloc");
	*(void **)&next_realloc = dlsym(RTLD_NEXT, "realloc");
	*(void **)&next_free = dlsym(RTLD_NEXT, "free");
	*(void **)&next_malloc = dlsym(RTLD_NEXT, "malloc");
}

static bool fails(void)
{
	uint32_t left;

	if (!control)
		return false;
	atomic_fetch_add(&control->calls, 1);
	left = atomic_load(&control->left);
	while (left > 1)
		if (atomic_compare_exchange_weak(&control->left, &left, left - 1))
			return false;
	if (left == 0)
		return false;
	if (!atomic_load(&control->stay))
		atomic_store(&control->left, 0);
	errno = ENOMEM;
	return true;
}

void *malloc(size_t n)
{
	if (!next_malloc)
		find();
	if (!next_malloc)
		return from_first(n);
	return fails() ? NULL : next_malloc(n);
}

void *calloc(size_t count, size_t n)
{
	if (!next_malloc)
		find();
	if (!next_malloc)
		return from_first(count * n); /* zero, as it was never used */
	return fails() ? NULL : next_calloc(count, n);
}

void *realloc(void *p, size_t n)
{
	if (!next_malloc)
		find();
	if (!next_malloc || is_first(p)) {
		void *to = malloc(n);

		if (to && p)
			memcpy(to, p, n); /* reads too far, but only in `first` */
		return to;
	}
	return fails() ? NULL : next_realloc(p, n);
}

void free(void *p)
{
	if (p && !is_first(p) && next_free)
		next_free(p);
}

pid_t fork(void)
{
	static pid_t (*next_fork)(void);
	const char *text = getenv("SHIM_FORK");
	char *end;
	long at = text ? strtol(text, &end, 10) : 0;

	if (!next_fork)
		*(void **)&next_fork = dlsym(RTLD_NEXT, "fork");
	forks++;
	if (at > 0 && (forks == at || (forks > at && *end == '+'))) {
		errno = EAGAIN;
		return -1;
	}
	return next_fork();
}

/* Of a path of n bytes. */
static void pretend(const char *path, size_t n, struct statfs *fs)
{
	const char *text = getenv("SHIM_FILESYSTEM"), *type = text ? strrchr(text, ':') : NULL;

	if (type && n >= (size_t)(type - text) && memcmp(path, text, (size_t)(type - text)) == 0)
		fs->f_type = (__typeof__(fs->f_type))strtoul(type + 1, NULL, 16);
}

int fstatfs(int fd, struct statfs *fs)
{
	static int (*next_fstatfs)(int, struct statfs *);
	char link[64], path[4096];
	ssize_t n;
	int rc;

	if (!next_fstatfs)
		*(void **)&next_fstatfs = dlsym(RTLD_NEXT, "fstatfs");
	rc = next_fstatfs(fd, fs);
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = rc == 0 ? readlink(link, path, sizeof path) : -1;
	if (n > 0)
		pretend(path, (size_t)n, fs);
	return rc;
}

int statfs(const char *path, struct statfs *fs)
{
	static int (*next_statfs)(const char *, struct statfs *);
	int rc;

	if (!next_statfs)
		*(void **)&next_statfs = dlsym(RTLD_NEXT, "statfs");
	rc = next_statfs(path, fs);
	if (rc == 0)
		pretend(path, strlen(path), fs);
	return rc;
}

static int open_it(int dir_fd, const char *path, int flags, mode_t mode)
{
	static int (*next_openat)(int, const char *, int, ...);

	if (!next_openat)
		*(void **)&next_openat = dlsym(RTLD_NEXT, "openat");
	if ((flags & O_TMPFILE) == O_TMPFILE && getenv("SHIM_NO_TMPFILE")) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return next_openat(dir_fd, path, flags, mode);
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

/* Files and trees, read to be hashed. Called by get_key.c. Reads what a caller names, as the caller; never waits for a FIFO, never
 * follows a link but PATH itself, never writes. */
#include "cmd/content.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/progress.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/limits.h"

/* Small enough to be hashed while it is in the cache. */
#define CHUNK (256 * 1024)
/* The names of one directory, and a relative path: more than any file system is asked for. */
#define NAMES_MAX (1024 * 1024 * 1024)
#define RELATIVE_MAX (1024 * 1024)

static int walk(struct content *c, struct digest *d, int fd, unsigned depth);

/* SC_ESYS, with a path. */
static int because(struct content *c, const char *why)
{
	char root[256], below[512];

	human_escape(c->root, strlen(c->root), root, sizeof root);
	human_escape(c->path.data, c->path.len, below, sizeof below);
	snprintf(c->why, sizeof c->why, "%s%s%s: %s", root, c->path.len ? "/" : "", below, why);
	return SC_ESYS;
}

/* What was there a moment ago may be gone, or something else: then all of it is looked at again. */
static int failed(struct content *c, bool below)
{
	if (below && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return SC_EAGAIN;
	return because(c, strerror(errno));
}

/* ---- a file ---- */

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int read_all(struct content *c, int fd, struct digest *d, uint64_t *size)
{
	static unsigned char chunk[CHUNK];

	for (*size = 0;;) {
		ssize_t n = read(fd, chunk, sizeof chunk);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return because(c, strerror(errno));
		if (n == 0)
			return 0;
		digest_add(d, chunk, (size_t)n);
		*size += (uint64_t)n;
		c->bytes += (uint64_t)n;
		progress_step(c->bytes);
	}
}

static int read_and_hash(struct content *c, int fd, const struct stat *seen, uint8_t hash[SC_DIGEST_SIZE])
{
	uint64_t now_ms = clock_now().wall_ms, size = 0;
	struct stat before, after;
	struct digest *d;
	int rc;

	if (fstat(fd, &before) < 0)
		return because(c, strerror(errno));
	if (!S_ISREG(before.st_mode) || before.st_dev != seen->st_dev || before.st_ino != seen->st_ino)
		return SC_EAGAIN;
	d = digest_new();
	if (!d)
		return SC_ENOMEM;
	rc = read_all(c, fd, d, &size);
	digest_get(d, hash);
	digest_free(d);
	if (rc)
		return rc;
	if (fstat(fd, &after) < 0)
		return because(c, strerror(errno));
	if (!is_same(&before, &after))
		return SC_EAGAIN;
	/* Where the sizes differ the file is none that is stored somewhere: its content may change without a sign. */
	if (size == (uint64_t)before.st_size)
		hashes_keep(c->hashes, fd, &before, now_ms, hash);
	return 0;
}

/* `seen` is what a stat has just said. O_NONBLOCK: by now it may be a FIFO. */
static int hash_file(struct content *c, int dir_fd, const char *name, int flags, const struct stat *seen,
		     uint8_t hash[SC_DIGEST_SIZE])
{
	int fd, rc;

	if (hashes_find(c->hashes, seen, hash)) {
		progress_tick();
		return 0;
	}
	fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags);
	if (fd < 0)
		return failed(c, flags != 0);
	rc = read_and_hash(c, fd, seen, hash);
	close(fd);
	return rc;
}

/* ---- a tree ---- */

static char letter(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return 'f';
	case S_IFDIR:
		return 'd';
	case S_IFLNK:
		return 'l';
	case S_IFIFO:
		return 'p';
	case S_IFSOCK:
		return 's';
	case S_IFBLK:
		return 'b';
	default:
		return 'c';
	}
}

static int add_value(struct content *c, struct digest *d, int dir_fd, const char *name, const struct stat *st)
{
	uint8_t hash[SC_DIGEST_SIZE];
	char target[SC_PATH_MAX];
	ssize_t n;
	int rc;

	if (S_ISREG(st->st_mode)) {
		rc = hash_file(c, dir_fd, name, O_NOFOLLOW, st, hash);
		if (rc == 0)
			digest_add_field(d, hash, sizeof hash);
		return rc;
	}
	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(dir_fd, name, target, sizeof target);
		if (n < 0)
			return errno == EINVAL ? SC_EAGAIN : failed(c, true);
		digest_add_field(d, target, (size_t)n);
		return 0;
	}
	digest_add_field(d, "", 0);
	return 0;
}

/* The three fields of what stands in this directory under this name. */
static int add_entry(struct content *c, struct digest *d, int dir_fd, const char *name)
{
	char what[8] = "l";
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(c, true);
	if (!S_ISLNK(st.st_mode))
		snprintf(what, sizeof what, "%c%04o", letter(st.st_mode), (unsigned)st.st_mode & 07777);
	digest_add_field(d, c->path.data, c->path.len);
	digest_add_field(d, what, strlen(what));
	return add_value(c, d, dir_fd, name, &st);
}

static int descend(struct content *c, struct digest *d, int dir_fd, const char *name, unsigned depth)
{
	int fd, rc;

	if (depth == SC_DEPTH_MAX)
		return because(c, "too many directories in each other");
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return failed(c, true);
	rc = walk(c, d, fd, depth);
	close(fd);
	return rc;
}

static bool is_directory(int dir_fd, const struct dirent *e)
{
	struct stat st;

	if (e->d_type != DT_UNKNOWN)
		return e->d_type == DT_DIR;
	return fstatat(dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* Each name once as it is, and a directory's once more as "name/": where what is below it belongs. */
static int add_names(struct buf *names, int dir_fd, const struct dirent *e)
{
	size_t n = strlen(e->d_name);
	int rc;

	if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
		return 0;
	rc = buf_append(names, e->d_name, n + 1);
	if (rc == 0 && is_directory(dir_fd, e)) {
		rc = buf_append(names, e->d_name, n);
		if (rc == 0)
			rc = buf_append(names, "/", 2);
	}
	return rc;
}

static int read_names(struct content *c, int fd, struct buf *names)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3), rc = 0;
	DIR *dir = own >= 0 ? fdopendir(own) : NULL;
	struct dirent *e;

	if (!dir) {
		rc = failed(c, true);
		if (own >= 0)
			close(own);
		return rc;
	}
	while (rc == 0) {
		errno = 0;
		e = readdir(dir);
		if (!e && errno)
			rc = because(c, strerror(errno));
		if (!e)
			break;
		rc = add_names(names, fd, e);
	}
	closedir(dir);
	return rc;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in order. *list is the caller's to free, and points into names; NULL: there are none. */
static int sort_names(struct buf *names, char ***list, size_t *count)
{
	char *p = (char *)names->data;
	size_t n = 0;

	for (size_t i = 0; i < names->len; i++)
		n += !names->data[i];
	*list = NULL;
	*count = n;
	if (n == 0)
		return 0;
	*list = malloc(n * sizeof **list);
	if (!*list)
		return SC_ENOMEM;
	for (size_t i = 0; i < n; i++, p += strlen(p) + 1)
		(*list)[i] = p;
	qsort(*list, n, sizeof **list, by_bytes);
	return 0;
}

static int add_named(struct content *c, struct digest *d, int fd, char *name, unsigned depth)
{
	size_t before = c->path.len, n = strlen(name);
	bool below = n > 0 && name[n - 1] == '/';
	int rc;

	if (below)
		name[n - 1] = '\0';
	rc = before ? buf_append(&c->path, "/", 1) : 0;
	if (rc == 0)
		rc = buf_append(&c->path, name, strlen(name));
	if (rc == 0)
		rc = below ? descend(c, d, fd, name, depth + 1) : add_entry(c, d, fd, name);
	c->path.len = before;
	return rc;
}

/* A name that comes or goes meanwhile changes the directory's own times. */
static int walk(struct content *c, struct digest *d, int fd, unsigned depth)
{
	struct stat before, after;
	struct buf names;
	char **list = NULL;
	size_t n = 0;
	int rc;

	if (fstat(fd, &before) < 0)
		return because(c, strerror(errno));
	buf_init(&names, NAMES_MAX);
	rc = read_names(c, fd, &names);
	if (rc == 0)
		rc = sort_names(&names, &list, &n);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = add_named(c, d, fd, list[i], depth);
	if (rc == 0 && (fstat(fd, &after) < 0 || !is_same(&before, &after)))
		rc = SC_EAGAIN;
	free(list);
	buf_release(&names);
	return rc;
}

static int hash_tree(struct content *c, const char *path, uint8_t hash[SC_DIGEST_SIZE])
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;
	struct digest *d;

	if (fd < 0)
		return failed(c, false);
	d = digest_new();
	rc = d ? walk(c, d, fd, 0) : SC_ENOMEM;
	if (d)
		digest_get(d, hash);
	digest_free(d);
	close(fd);
	return rc;
}

/* ---- PATH ---- */

static int hash_once(struct content *c, const char *path, bool *directory, uint8_t hash[SC_DIGEST_SIZE])
{
	struct stat st;

	if (stat(path, &st) < 0)
		return failed(c, false);
	*directory = S_ISDIR(st.st_mode);
	if (*directory)
		return hash_tree(c, path, hash);
	if (S_ISREG(st.st_mode))
		return hash_file(c, AT_FDCWD, path, 0, &st, hash);
	return because(c, "neither a file nor a directory");
}

int content_hash(struct content *c, const char *path, bool *directory, uint8_t hash[SC_DIGEST_SIZE])
{
	int rc = SC_EAGAIN;

	c->root = path;
	buf_init(&c->path, RELATIVE_MAX);
	for (int i = 0; rc == SC_EAGAIN && i < SC_HASH_TRIES; i++)
		rc = hash_once(c, path, directory, hash);
	if (rc == SC_EAGAIN)
		because(c, "it is being changed while it is read");
	else if (rc && rc != SC_ESYS)
		because(c, sc_strerror(rc));
	buf_release(&c->path);
	return rc;
}

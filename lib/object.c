/* Objects: names, birth, growth, opening anew with every check, and the records of the error stream. Called by the daemon
 * (makes, opens, unlinks), the writer (appends) and a put that gives a FILE away (links). Never truncates, never overwrites. */
#include "lib/object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/beneath.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/limits.h"

static const char *const suffix[] = {[STREAM_OUT] = "out", [STREAM_ERR] = "err"};

void object_name(const struct gen *g, enum stream s, char out[SC_OBJECT_NAME])
{
	char hex[SC_GEN_HEX];

	gen_format(g, hex);
	snprintf(out, SC_OBJECT_NAME, "objects/%.2s/%s.%s", hex, hex, suffix[s]);
}

static int make_parents(int dir_fd, const char *name)
{
	char last[3] = {name[sizeof "objects/" - 1], name[sizeof "objects/"], '\0'};
	int fd, rc = 0;

	if (mkdirat(dir_fd, "objects", 0700) < 0 && errno != EEXIST)
		return SC_ESYS;
	fd = beneath_open(dir_fd, "objects", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return SC_ESYS;
	if (mkdirat(fd, last, 0700) < 0 && errno != EEXIST)
		rc = SC_ESYS;
	close(fd);
	return rc;
}

int object_create(int dir_fd, const struct gen *g, enum stream s, int *fd)
{
	char name[SC_OBJECT_NAME];
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_EXCL;

	object_name(g, s, name);
	*fd = beneath_open(dir_fd, name, flags, 0600);
	if (*fd < 0 && errno == ENOENT) {
		if (make_parents(dir_fd, name))
			return SC_ESYS;
		*fd = beneath_open(dir_fd, name, flags, 0600);
	}
	if (*fd < 0)
		return errno == EEXIST ? SC_EBUSY : SC_ESYS;
	return 0;
}

int object_link(int dir_fd, const struct gen *g, enum stream s, int at_dir, const char *name)
{
	char object[SC_OBJECT_NAME], *base;
	int fd, rc, saved;

	object_name(g, s, object);
	if (make_parents(dir_fd, object))
		return SC_ESYS;
	base = strrchr(object, '/');
	*base++ = '\0';
	fd = beneath_open(dir_fd, object, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return SC_ESYS;
	rc = linkat(at_dir, name, fd, base, 0);
	saved = errno;
	close(fd);
	errno = saved;
	return rc == 0 ? 0 : errno == EEXIST ? SC_EBUSY : SC_ESYS;
}

static bool is_ours(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid() && !(st->st_mode & 022);
}

static int open_checked(int dir_fd, const struct gen *g, enum stream s, int flags, int *fd, uint64_t *size)
{
	char name[SC_OBJECT_NAME];
	struct stat st;
	int f;

	object_name(g, s, name);
	/* By its name first: to open a planted device may do something. */
	if (!(flags & O_PATH) && fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !is_ours(&st))
		return SC_EUNSAFE;
	f = beneath_open(dir_fd, name, flags, 0);
	if (f < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return SC_ENOENT;
		/* EPERM: O_NOATIME, and the file is somebody else's. */
		return errno == ELOOP || errno == ENXIO || errno == EPERM ? SC_EUNSAFE : SC_ESYS;
	}
	if (fstat(f, &st) < 0 || !is_ours(&st)) {
		close(f);
		return SC_EUNSAFE;
	}
	*fd = f;
	*size = (uint64_t)st.st_size;
	return 0;
}

int object_open(int dir_fd, const struct gen *g, enum stream s, int *fd, uint64_t *size)
{
	/* O_NONBLOCK: a planted FIFO must not be waited for. It has no effect on a regular file. O_NOATIME: reading is not to write to
	 * the disk, nor to wait for a journal that is busy with what is being unlinked. */
	return open_checked(dir_fd, g, s, O_RDONLY | O_NONBLOCK | O_NOATIME, fd, size);
}

int object_look(int dir_fd, const struct gen *g, enum stream s, uint64_t *size)
{
	int fd, rc = open_checked(dir_fd, g, s, O_PATH | O_NOFOLLOW, &fd, size);

	if (rc == 0)
		close(fd);
	return rc;
}

int object_is_linked(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || st.st_nlink > 1;
}

int object_same(int fd_a, int fd_b)
{
	struct stat a, b;

	if (fstat(fd_a, &a) < 0 || fstat(fd_b, &b) < 0)
		return SC_ESYS;
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino ? 0 : SC_ECORRUPT;
}

int object_append(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0) {
			if (errno == EINTR)
				continue;
			return SC_ESYS;
		}
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

int object_unlink(int dir_fd, const struct gen *g)
{
	int rc = 0, saved = errno;

	for (enum stream s = STREAM_OUT; s <= STREAM_ERR; s++) {
		char name[SC_OBJECT_NAME];

		object_name(g, s, name);
		KILLPOINT("before_object_unlink");
		if (beneath_unlink(dir_fd, name) < 0 && errno != ENOTDIR) {
			saved = errno;
			rc = SC_ESYS;
		}
	}
	errno = saved;
	return rc;
}

DIR *object_opendir(int dir_fd, unsigned number)
{
	char name[16];
	DIR *dir;
	int fd;

	snprintf(name, sizeof name, "objects/%02x", number & 0xff);
	fd = beneath_open(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
	if (fd < 0)
		return NULL;
	dir = fdopendir(fd);
	if (!dir)
		close(fd);
	return dir;
}

bool object_is_name(unsigned number, const char *name, struct gen *g)
{
	char hex[3];

	snprintf(hex, sizeof hex, "%02x", number & 0xff);
	return strlen(name) == SC_GEN_HEX - 1 + 4 && memcmp(name, hex, 2) == 0 && gen_parse(name, SC_GEN_HEX - 1, g) == 0 &&
	       (strcmp(name + SC_GEN_HEX - 1, ".out") == 0 || strcmp(name + SC_GEN_HEX - 1, ".err") == 0);
}

static void put_le(uint8_t *p, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(const uint8_t *p, int n)
{
	uint64_t v = 0;

	for (int i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

void record_encode(const struct record *r, uint8_t out[SC_RECORD_HEAD])
{
	put_le(out, r->position, 8);
	put_le(out + 8, r->length, 4);
}

int record_decode(struct record *r, const uint8_t in[SC_RECORD_HEAD])
{
	r->position = get_le(in, 8);
	r->length = (uint32_t)get_le(in + 8, 4);
	return r->length >= 1 && r->length <= SC_RECORD_MAX ? 0 : SC_ECORRUPT;
}

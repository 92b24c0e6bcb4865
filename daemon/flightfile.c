/* The files of flights/. Called by flight.c alone. Never decides what a file means. */
#include "daemon/flightfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/cmdline.h"
#include "lib/beneath.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/msg.h"
#include "lib/object.h"

#define MAGIC "scflight"
#define HEAD 16
#define LENGTH 4 /* before the record */
#define NAME_MAX_ (sizeof "flights/" + SC_GEN_HEX)

static void name_of(const struct gen *g, char out[NAME_MAX_])
{
	char hex[SC_GEN_HEX];

	gen_format(g, hex);
	snprintf(out, NAME_MAX_, "flights/%s", hex);
}

/* Takes the place of what it says in the clear. */
static int seal(struct buf *b, const struct keyring *ring, const struct flightfile *f, struct bytes record)
{
	uint8_t sealed[SC_SEALED_MAX];
	struct msg m = {.type = MSG_SEALED_RECORD, .gen = f->gen};
	size_t n;
	int rc;

	BUG_ON(record.n + SC_SEALED_BY + SC_SEAL_BOX_OVERHEAD > sizeof sealed);
	memcpy(sealed, f->sealed.b, SC_SEALED_BY);
	rc = keyring_box(ring, &f->sealed, &f->gen, record, sealed + SC_SEALED_BY, &n);
	m.sealed = (struct bytes){sealed, SC_SEALED_BY + n};
	return rc ? rc : msg_encode(b, &m);
}

static int encode(struct buf *b, const struct keyring *ring, const struct flightfile *f)
{
	struct msg m = {.type = MSG_RECORD,
			.bucket = bytes_of(f->bucket),
			.key = {f->key, f->key_len},
			.gen = f->gen,
			.order = f->order,
			.kind = f->lease ? KIND_LEASE : KIND_RUN,
			.flags = f->renewal ? RECORD_RENEWAL : 0u,
			.ttl = f->ttl_ms,
			.stale = f->stale_ms,
			.keep = f->keep_ms,
			.created = f->created_wall_ms,
			.tags = bytes_of(f->tags),
			.command = cmdline_bytes(f->command)};
	uint8_t head[HEAD] = MAGIC;
	struct buf record;
	int rc;

	head[MARK_DOOMED] = f->doomed;
	head[MARK_FINISH] = f->finish;
	head[MARK_HELD] = f->held;
	rc = buf_append(b, head, sizeof head);
	if (rc || !is_sealed(&f->sealed))
		return rc ? rc : msg_encode(b, &m);
	buf_init(&record, SC_FRAME_MAX);
	rc = msg_encode(&record, &m);
	if (rc == 0)
		rc = seal(b, ring, f, (struct bytes){record.data + LENGTH, record.len - LENGTH});
	buf_release(&record);
	return rc;
}

static int write_new(int dir_fd, const char *name, const struct buf *b)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL;
	int fd = beneath_open(dir_fd, name, flags, 0600), rc, saved;

	if (fd < 0 && errno == ENOENT && (mkdirat(dir_fd, "flights", 0700) == 0 || errno == EEXIST))
		fd = beneath_open(dir_fd, name, flags, 0600);
	if (fd < 0)
		return SC_ESYS;
	KILLPOINT("flight_file_opened");
	rc = object_append(fd, b->data, b->len);
	saved = errno;
	close(fd);
	if (rc)
		beneath_unlink(dir_fd, name);
	errno = saved;
	return rc;
}

static struct flock whole_file(void)
{
	return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

int flightfile_create(int dir_fd, const struct keyring *ring, const struct flightfile *f, int *lock_fd)
{
	struct flock l = whole_file();
	char name[NAME_MAX_];
	int rc, saved, fd;
	struct buf b;

	*lock_fd = -1;
	name_of(&f->gen, name);
	buf_init(&b, SC_FRAME_MAX);
	rc = encode(&b, ring, f);
	if (rc == 0)
		rc = write_new(dir_fd, name, &b);
	buf_release(&b);
	if (rc)
		return rc;
	KILLPOINT("flight_file_written");
	/* A description of its own: the lock belongs to it, and travels with it into the writer. */
	fd = beneath_open(dir_fd, name, O_RDWR, 0);
	if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &l) == 0) {
		*lock_fd = fd;
		return 0;
	}
	saved = errno;
	if (fd >= 0)
		close(fd);
	beneath_unlink(dir_fd, name);
	errno = saved;
	return SC_ESYS;
}

static bool is_locked(int fd)
{
	struct flock l = whole_file();

	/* In doubt it lives: a run taken for dead would be run a second time beside the first. */
	return fcntl(fd, F_OFD_GETLK, &l) < 0 || l.l_type != F_UNLCK;
}

/* Regular, ours, and nobody else may write it; a FIFO is not waited for. */
static int open_checked(int dir_fd, const char *name, int *fd)
{
	struct stat st;

	*fd = beneath_open(dir_fd, name, O_RDWR | O_NONBLOCK, 0);
	if (*fd < 0)
		return errno == ENOENT ? SC_ENOENT : errno == ELOOP || errno == EISDIR || errno == ENXIO ? SC_EUNSAFE : SC_ESYS;
	if (fstat(*fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022)) {
		close(*fd);
		return SC_EUNSAFE;
	}
	return 0;
}

int flightfile_mark(int dir_fd, const struct gen *g, enum flight_mark mark)
{
	char name[NAME_MAX_];
	int fd, rc;

	name_of(g, name);
	rc = open_checked(dir_fd, name, &fd);
	if (rc)
		return rc;
	KILLPOINT("before_mark");
	rc = pwrite(fd, "\1", 1, mark) == 1 ? 0 : SC_ESYS;
	close(fd);
	return rc;
}

/* The record in what was sealed, into room. */
static int unseal(const struct keyring *ring, struct flightfile *f, struct msg *m, uint8_t room[SC_SEALED_MAX])
{
	struct bytes box = {m->sealed.p + SC_SEALED_BY, m->sealed.n - SC_SEALED_BY};
	size_t n;

	if (m->sealed.n < SC_SEALED_BY || !ring)
		return SC_ECORRUPT;
	memcpy(f->sealed.b, m->sealed.p, SC_SEALED_BY);
	if (keyring_unbox(ring, &f->sealed, &m->gen, box, room, &n) != 0)
		return SC_ECORRUPT;
	return msg_decode(m, room, n) == 0 && m->type == MSG_RECORD ? 0 : SC_ECORRUPT;
}

static int decode(struct flightfile *f, const struct keyring *ring, const uint8_t *p, size_t n)
{
	uint8_t room[SC_SEALED_MAX];
	struct msg m;
	uint32_t len;

	if (n < HEAD + LENGTH || memcmp(p, MAGIC, 8) != 0)
		return SC_ECORRUPT;
	len = (uint32_t)p[HEAD] | (uint32_t)p[HEAD + 1] << 8 | (uint32_t)p[HEAD + 2] << 16 | (uint32_t)p[HEAD + 3] << 24;
	if (len != n - HEAD - LENGTH || msg_decode(&m, p + HEAD + LENGTH, len) != 0)
		return SC_ECORRUPT;
	f->sealed = (struct sealed_by){{0}};
	if (m.type == MSG_SEALED_RECORD ? unseal(ring, f, &m, room) != 0 : m.type != MSG_RECORD)
		return SC_ECORRUPT;
	f->gen = m.gen;
	memcpy(f->bucket, m.bucket.p, m.bucket.n);
	f->bucket[m.bucket.n] = '\0';
	memcpy(f->key, m.key.p, m.key.n);
	f->key_len = m.key.n;
	f->order = m.order;
	f->lease = m.kind == KIND_LEASE;
	f->renewal = m.flags & RECORD_RENEWAL;
	f->ttl_ms = m.ttl;
	f->stale_ms = m.stale;
	f->keep_ms = m.keep;
	f->created_wall_ms = m.created;
	if (m.tags.n)
		memcpy(f->tags, m.tags.p, m.tags.n);
	f->tags[m.tags.n] = '\0';
	cmdline_read(f->command, m.command);
	f->doomed = p[MARK_DOOMED] != 0;
	f->finish = p[MARK_FINISH] != 0;
	f->held = p[MARK_HELD] != 0;
	return 0;
}

int flightfile_read(int dir_fd, const struct keyring *ring, const char *name, struct flightfile *f, bool *locked)
{
	uint8_t bytes[HEAD + LENGTH + SC_SEALED_MAX + 512];
	char path[NAME_MAX_], hex[SC_GEN_HEX];
	ssize_t n;
	int fd, rc;

	snprintf(path, sizeof path, "flights/%.32s", name);
	rc = open_checked(dir_fd, path, &fd);
	if (rc)
		return rc;
	/* The lock first: it outlives a file whose contents were damaged. */
	*locked = is_locked(fd);
	n = pread(fd, bytes, sizeof bytes, 0);
	close(fd);
	if (n < 0)
		return SC_ESYS;
	rc = decode(f, ring, bytes, (size_t)n);
	if (rc)
		return rc;
	gen_format(&f->gen, hex);
	return strcmp(hex, name) == 0 ? 0 : SC_ECORRUPT;
}

bool flightfile_is_locked(int dir_fd, const struct gen *g)
{
	char name[NAME_MAX_];
	bool locked;
	int fd, rc;

	name_of(g, name);
	rc = open_checked(dir_fd, name, &fd);
	if (rc)
		return rc != SC_ENOENT; /* no descriptor to be had proves nothing */
	locked = is_locked(fd);
	close(fd);
	return locked;
}

bool flightfile_is_there(int dir_fd, const struct gen *g)
{
	char name[NAME_MAX_];
	struct stat st;

	name_of(g, name);
	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

int flightfile_unlink(int dir_fd, const struct gen *g)
{
	char name[NAME_MAX_];

	name_of(g, name);
	return beneath_unlink(dir_fd, name) < 0 ? SC_ESYS : 0;
}

int flightfile_scan(int dir_fd, void (*each)(void *arg, const char *name), void *arg)
{
	int fd = openat(dir_fd, "flights", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *e;
	struct gen g;
	DIR *dir;
	int rc;

	if (fd < 0)
		return errno == ENOENT ? 0 : errno == ENOTDIR || errno == ELOOP ? SC_EUNSAFE : SC_ESYS;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return SC_ESYS;
	}
	while (errno = 0, (e = readdir(dir)))
		if (gen_parse(e->d_name, strlen(e->d_name), &g) == 0)
			each(arg, e->d_name);
	rc = errno ? SC_ESYS : 0;
	closedir(dir);
	return rc;
}

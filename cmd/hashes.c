/* The one door to `hashes`. Called by content.c. Pages of it are read when they are needed, by pread: a mapping of a file that is cut
 * off by somebody else would kill us. */
#include "cmd/hashes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/beneath.h"
#include "lib/checksum.h"
#include "lib/limits.h"
#include "lib/paths.h"

#define NAME "hashes"
/* Part of each slot's sum: a slot of another version is none. */
#define VERSION "sc-hashes-1"

#define PAGE 4096
#define PAGES (SC_HASHES_SIZE / PAGE)
/* So many inodes in a row share a page: files that were made together are found together, with few reads; and far fewer than a page
 * has room for, so that it is seldom full. */
#define NEIGHBOURS 16

struct slot {
	uint64_t check; /* the first 8 bytes of XXH3-128 of VERSION, padded to 16, and what follows */
	uint64_t dev, ino;
	int64_t size, mtime_ns, ctime_ns;
	uint8_t hash[SC_DIGEST_SIZE];
};
_Static_assert(sizeof(struct slot) == 64, "no slot lies across a page's end");

#define SLOTS (PAGE / sizeof(struct slot))

struct hashes {
	int dir_fd; /* borrowed */
	int fd;	    /* owned; -1 */
	bool keep, looked;
	bool has_local; /* local_dev is on a local disk */
	uint64_t local_dev;
	struct slot *pages[PAGES]; /* owned; NULL: not read yet */
};

struct hashes *hashes_open(int dir_fd, bool keep)
{
	struct hashes *h = dir_fd >= 0 ? calloc(1, sizeof *h) : NULL;

	if (h)
		*h = (struct hashes){.dir_fd = dir_fd, .fd = -1, .keep = keep};
	return h;
}

void hashes_close(struct hashes *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < PAGES; i++)
		free(h->pages[i]);
	if (h->fd >= 0)
		close(h->fd);
	free(h);
}

/* Writing past the limit on a file's size would be a signal. */
static bool may_grow(void)
{
	struct rlimit most;

	return getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur >= SC_HASHES_SIZE;
}

/* What lies there may have been put there by somebody else: a link, a FIFO (O_NONBLOCK, or open would wait), another's. */
static bool look(struct hashes *h)
{
	int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	struct stat st;

	if (h->looked)
		return h->fd >= 0;
	h->looked = true;
	h->keep = h->keep && may_grow();
	h->fd = beneath_open(h->dir_fd, NAME, flags | (h->keep ? O_RDWR | O_CREAT : O_RDONLY), h->keep ? 0600 : 0);
	if (h->fd < 0)
		return false;
	if (fstat(h->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink > 1 || (st.st_mode & 022)) {
		close(h->fd);
		h->fd = -1;
		return false;
	}
	/* Somebody's umask is no reason to forget everything. */
	if (h->keep && (st.st_mode & 0777) != 0600)
		fchmod(h->fd, 0600);
	return true;
}

/* ---- slots ---- */

static uint64_t sum(const struct slot *s)
{
	uint8_t all[16 + sizeof *s] = VERSION, out[SC_SUM_SIZE];
	uint64_t check;

	memcpy(all + 16, (const uint8_t *)s + sizeof s->check, sizeof *s - sizeof s->check);
	checksum_of(all, 16 + sizeof *s - sizeof s->check, out);
	memcpy(&check, out, sizeof check);
	return check;
}

/* False: a time that has no room. Nobody has such files. */
static bool put_time(const struct timespec *t, int64_t *ns)
{
	*ns = 0;
	return !__builtin_mul_overflow((int64_t)t->tv_sec, INT64_C(1000000000), ns) &&
	       !__builtin_add_overflow(*ns, (int64_t)t->tv_nsec, ns);
}

/* All of it but its hash and sum. */
static bool describe(const struct stat *st, struct slot *s)
{
	*s = (struct slot){.dev = st->st_dev, .ino = st->st_ino, .size = st->st_size};
	return put_time(&st->st_mtim, &s->mtime_ns) && put_time(&st->st_ctim, &s->ctime_ns);
}

static bool is_of(const struct slot *s, const struct slot *file)
{
	return s->dev == file->dev && s->ino == file->ino;
}

static bool is_unchanged(const struct slot *s, const struct slot *file)
{
	return s->size == file->size && s->mtime_ns == file->mtime_ns && s->ctime_ns == file->ctime_ns;
}

/* ---- pages ---- */

/* The two pages in which a file may stand: where one is full, the other one seldom is. */
static void choose(const struct slot *file, size_t nr[2])
{
	uint64_t what[2] = {file->dev, file->ino / NEIGHBOURS};
	uint8_t out[SC_SUM_SIZE];
	uint32_t n[2];

	checksum_of(what, sizeof what, out);
	memcpy(n, out, sizeof n);
	nr[0] = n[0] % PAGES;
	nr[1] = n[1] % PAGES;
}

/* As it was when we first read it; what is behind the end of the file is zeros. NULL: no memory. */
static struct slot *read_page(struct hashes *h, size_t nr)
{
	struct slot *page = h->pages[nr];

	if (page)
		return page;
	page = calloc(SLOTS, sizeof *page);
	if (!page)
		return NULL;
	if (pread(h->fd, page, PAGE, (off_t)(nr * PAGE)) < 0)
		memset(page, 0, PAGE);
	h->pages[nr] = page;
	return page;
}

/* The slot that is about this file, if its sum is right; NULL. */
static struct slot *find(struct hashes *h, const size_t nr[2], const struct slot *file, size_t *at)
{
	for (size_t i = 0; i < 2; i++) {
		struct slot *page = read_page(h, nr[i]);

		for (size_t j = 0; page && j < SLOTS; j++)
			if (is_of(&page[j], file) && page[j].check == sum(&page[j])) {
				*at = nr[i] * SLOTS + j;
				return &page[j];
			}
	}
	return NULL;
}

bool hashes_find(struct hashes *h, const struct stat *st, uint8_t hash[SC_DIGEST_SIZE])
{
	struct slot file, *s;
	size_t nr[2], at;

	if (!h || !look(h) || !describe(st, &file))
		return false;
	choose(&file, nr);
	s = find(h, nr, &file, &at);
	if (!s || !is_unchanged(s, &file))
		return false;
	memcpy(hash, s->hash, SC_DIGEST_SIZE);
	return true;
}

/* In the first page while it is half empty: what stands there costs one read to find. Then in the one with more room. NULL: both are
 * full. */
static struct slot *find_free(struct hashes *h, const size_t nr[2], size_t *at)
{
	struct slot *best = NULL;
	size_t most = 0;

	for (size_t i = 0; i < 2 && most < SLOTS / 2; i++) {
		struct slot *page = read_page(h, nr[i]), *last = NULL;
		size_t room = 0;

		for (size_t j = 0; page && j < SLOTS; j++)
			if (page[j].check == 0 || page[j].check != sum(&page[j])) {
				last = &page[j];
				room++;
			}
		if (room > most) {
			best = last;
			most = room;
			*at = nr[i] * SLOTS + (size_t)(last - page);
		}
	}
	return best;
}

/* Any of them: in turn, each would be pushed out just before it is asked for again. The hash is as good as a die. */
static struct slot *find_victim(struct hashes *h, const size_t nr[2], const struct slot *file, size_t *at)
{
	size_t page = nr[file->hash[0] & 1], slot = file->hash[1] % SLOTS;

	*at = page * SLOTS + slot;
	return h->pages[page] ? h->pages[page] + slot : NULL;
}

static bool is_young(const struct slot *file, uint64_t now_ms)
{
	int64_t latest = file->mtime_ns > file->ctime_ns ? file->mtime_ns : file->ctime_ns;

	return latest >= ((int64_t)now_ms - SC_YOUNG_MS) * 1000000;
}

/* Most files of a run lie on one disk. */
static bool is_local(struct hashes *h, int fd, const struct stat *st)
{
	if (h->has_local && h->local_dev == st->st_dev)
		return true;
	if (!place_is_local(fd))
		return false;
	h->has_local = true;
	h->local_dev = st->st_dev;
	return true;
}

void hashes_keep(struct hashes *h, int fd, const struct stat *st, uint64_t now_ms, const uint8_t hash[SC_DIGEST_SIZE])
{
	struct slot file, *s;
	size_t nr[2], at = 0;

	if (!h || !look(h) || !h->keep || !describe(st, &file) || is_young(&file, now_ms) || !is_local(h, fd, st))
		return;
	memcpy(file.hash, hash, SC_DIGEST_SIZE);
	file.check = sum(&file);
	choose(&file, nr);
	s = find(h, nr, &file, &at);
	if (!s)
		s = find_free(h, nr, &at);
	if (!s)
		s = find_victim(h, nr, &file, &at);
	if (!s)
		return;
	*s = file;
	/* A disk without room stays so for a while. */
	if (pwrite(h->fd, s, sizeof *s, (off_t)(at * sizeof *s)) != (ssize_t)sizeof *s)
		h->keep = false;
}

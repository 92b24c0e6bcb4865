/* The oldest objects, by their own times: the index that knows better is what room is needed for. Called by whoever opens the index,
 * with the lock of the cache held. Never looks into a file. */
#include "daemon/room.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/flightfile.h"
#include "lib/err.h"
#include "lib/object.h"

/* Names that are looked at: somebody waits for the daemon to start, and a million take seconds. */
#define LOOK_MAX 4096
/* Entries that go at once; the smallest take 4 KiB of the disk each. */
#define TAKE_MAX 64
/* … and at least, for where inodes are what is missing: each has two, and the index and the socket need three. */
#define TAKE_MIN 2

struct object {
	struct gen gen;
	struct timespec changed;
	uint64_t bytes;
};

/* The oldest of those that were seen, in order. */
struct oldest {
	struct object of[TAKE_MAX];
	unsigned n, looked;
};

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static void add(struct oldest *o, const struct object *x)
{
	unsigned at = o->n;

	while (at > 0 && is_before(&x->changed, &o->of[at - 1].changed))
		at--;
	if (at == TAKE_MAX)
		return;
	o->n += o->n < TAKE_MAX;
	memmove(&o->of[at + 1], &o->of[at], (o->n - at - 1) * sizeof o->of[0]);
	o->of[at] = *x;
}

static void look_at(struct oldest *o, int dir_fd, DIR *dir, unsigned number, const char *name)
{
	struct object x;
	struct stat st;

	if (!object_is_name(number, name, &x.gen) || strcmp(name + SC_GEN_HEX - 1, ".out") != 0)
		return;
	o->looked++;
	if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    st.st_nlink != 1 || flightfile_is_there(dir_fd, &x.gen))
		return;
	x.changed = st.st_mtim;
	x.bytes = (uint64_t)st.st_blocks * 512;
	add(o, &x);
}

static void look(struct oldest *o, int dir_fd)
{
	for (unsigned number = 0; number < SC_OBJECT_DIRS && o->looked < LOOK_MAX; number++) {
		DIR *dir = object_opendir(dir_fd, number);
		struct dirent *e;

		if (!dir)
			continue;
		while (o->looked < LOOK_MAX && (e = readdir(dir)))
			look_at(o, dir_fd, dir, number, e->d_name);
		closedir(dir);
	}
}

bool room_make(int dir_fd, struct log *log, uint64_t bytes)
{
	struct oldest o = {.n = 0};
	unsigned taken = 0;
	uint64_t freed = 0;
	int saved = errno;

	look(&o, dir_fd);
	for (unsigned i = 0; i < o.n && (freed < bytes || taken < TAKE_MIN); i++) {
		if (object_unlink(dir_fd, &o.of[i].gen))
			continue;
		freed += o.of[i].bytes;
		taken++;
	}
	if (taken)
		log_event(log, "full", "unlinked-for-the-index=%u bytes=%llu", taken, (unsigned long long)freed);
	errno = saved;
	return taken > 0;
}

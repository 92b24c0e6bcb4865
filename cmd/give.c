/* Kernel-side copies into an object. Called by capture.c for the FILE of a put. The only one, besides object_append, that makes an
 * object longer; never moves what is there. */
#include "cmd/give.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/killpoint.h"

/* One copy_file_range: between two of them followers see what has come, and the daemon and signals are heard. */
#define STEP (1024 * 1024)

void give_init(struct gift *g, int again_fd)
{
	*g = (struct gift){.way = GIVE_CLONE, .again_fd = again_fd};
}

int give_init_linked(struct gift *g, int again_fd, volatile sig_atomic_t *disturbed)
{
	struct stat st;

	if (fstat(again_fd, &st) < 0)
		return SC_ESYS;
	*g = (struct gift){.way = GIVE_LINKED, .again_fd = again_fd, .there = (uint64_t)st.st_size, .disturbed = disturbed};
	return 0;
}

/* The kernel copies into no descriptor that appends. Only the writer has this description in use, and it says where. */
static bool set_placed(struct gift *g, int object_fd, bool on)
{
	int flags;

	if (g->placed == on)
		return true;
	flags = fcntl(object_fd, F_GETFL);
	if (flags < 0 || fcntl(object_fd, F_SETFL, on ? flags & ~O_APPEND : flags | O_APPEND) < 0)
		return false;
	g->placed = on;
	return true;
}

/* What failed in the middle may have left bytes that nobody vouches for, and an object is never shortened. */
static bool is_untouched(const struct gift *g)
{
	struct stat st;
	int saved = errno;

	if (fstat(g->again_fd, &st) < 0)
		return false;
	errno = saved;
	return (uint64_t)st.st_size == g->there;
}

/* All of FILE as it is at this moment, if that is not too much. What it gets later is found by reading on. */
static bool clone_all(struct gift *g, int object_fd, int file_fd, uint64_t limit)
{
	struct stat st;

	g->way = GIVE_RANGE;
	if (fstat(file_fd, &st) < 0 || (uint64_t)st.st_size > limit)
		return true;
	if (ioctl(object_fd, FICLONE, file_fd) < 0)
		return is_untouched(g);
	if (fstat(g->again_fd, &st) < 0 || lseek(file_fd, st.st_size, SEEK_SET) < 0)
		return false;
	g->there = (uint64_t)st.st_size;
	g->way = GIVE_NO_MORE;
	return true;
}

/* Where it says that there is nothing more, or why it cannot, a read says so again, or better; what is over the limit is read, too. */
static bool copy_range(struct gift *g, int object_fd, int file_fd, uint64_t limit)
{
	uint64_t room = limit > g->there ? limit - g->there : 0;
	off_t at = (off_t)g->there;
	ssize_t n = room ? copy_file_range(file_fd, NULL, object_fd, &at, room < STEP ? (size_t)room : STEP, 0) : 0;

	if (n > 0) {
		g->there += (uint64_t)n;
		return true;
	}
	if (n < 0 && errno == EINTR)
		return true;
	g->way = GIVE_NO_MORE;
	return is_untouched(g);
}

static bool make_longer(struct gift *g, int object_fd, int file_fd, uint64_t limit)
{
	bool good = true;

	while (good && g->taken == g->there && g->way != GIVE_NO_MORE) {
		if (g->way == GIVE_LINKED) {
			good = lseek(file_fd, (off_t)g->there, SEEK_SET) >= 0;
			g->way = GIVE_NO_MORE;
		} else if (!set_placed(g, object_fd, true)) {
			g->way = GIVE_NO_MORE;
		} else {
			good = g->way == GIVE_CLONE ? clone_all(g, object_fd, file_fd, limit)
						    : copy_range(g, object_fd, file_fd, limit);
		}
	}
	return good;
}

ssize_t give_some(struct gift *g, int object_fd, int file_fd, uint64_t limit, void *bytes, size_t n)
{
	ssize_t got;

	if (!make_longer(g, object_fd, file_fd, limit))
		return -1;
	if (g->disturbed && *g->disturbed) {
		errno = ETXTBSY;
		return -1;
	}
	if (g->taken == g->there)
		return set_placed(g, object_fd, false) ? 0 : -1;
	KILLPOINT("bytes_given");
	do {
		got = pread(g->again_fd, bytes, n < g->there - g->taken ? n : (size_t)(g->there - g->taken), (off_t)g->taken);
	} while (got < 0 && errno == EINTR);
	if (got == 0)
		errno = EIO; /* somebody has made it shorter */
	if (got <= 0)
		return -1;
	g->taken += (uint64_t)got;
	return got;
}

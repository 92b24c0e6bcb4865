/* FILE's way into the cache by link and unlink. Called by put.c. */
#include "cmd/move.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "cmd/output.h"
#include "lib/digest.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/limits.h"
#include "lib/object.h"

volatile sig_atomic_t move_disturbed;
static int leased_fd = -1;

/* Whoever wants to write to it waits for us in open: at once let go of it, and tell. */
static void on_broken(int sig)
{
	int saved = errno;

	(void)sig;
	move_disturbed = 1;
	fcntl(leased_fd, F_SETLEASE, F_UNLCK);
	errno = saved;
}

/* EAGAIN: somebody has it open for writing. Other failures: it cannot be told. */
static bool lease(struct move *m)
{
	struct sigaction act = {.sa_handler = on_broken, .sa_flags = SA_RESTART};

	leased_fd = m->fd;
	sigaction(SIGIO, &act, NULL);
	errno = 0;
	m->leased = fcntl(m->fd, F_SETLEASE, F_RDLCK) == 0;
	return m->leased || errno != EAGAIN;
}

static const char *fail(struct move *m, const char *why)
{
	if (m->fd >= 0)
		close(m->fd);
	if (m->dir_fd >= 0)
		close(m->dir_fd);
	m->fd = m->dir_fd = -1;
	return why;
}

const char *move_open(struct move *m, const char *file)
{
	char path[SC_PATH_MAX];
	const char *pinned;

	*m = (struct move){.fd = -1, .dir_fd = -1};
	if (strlen(file) >= sizeof path)
		return strerror(ENAMETOOLONG);
	memcpy(path, file, strlen(file) + 1);
	m->dir_fd = output_enter(AT_FDCWD, path, m->base);
	if (m->dir_fd < 0)
		return strerror(errno);
	/* O_NONBLOCK: a FIFO is not waited for. It means nothing to a regular file. */
	m->fd = openat(m->dir_fd, m->base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (m->fd < 0)
		return fail(m, errno == ELOOP ? "is a symbolic link" : strerror(errno));
	if (fstat(m->fd, &m->st) < 0)
		return fail(m, strerror(errno));
	if (!S_ISREG(m->st.st_mode))
		return fail(m, S_ISDIR(m->st.st_mode) ? strerror(EISDIR) : "is not a regular file");
	pinned = faccessat(m->dir_fd, ".", W_OK | X_OK, AT_EACCESS) < 0 ? strerror(errno) : output_pinned(m->dir_fd, m->base);
	if (pinned)
		return fail(m, pinned);
	if (!lease(m))
		return fail(m, "is open for writing");
	return NULL;
}

/* Whether this name still means the FILE we have open. */
static bool is_it(const struct move *m)
{
	struct stat st;

	return fstatat(m->dir_fd, m->base, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == m->st.st_dev &&
	       st.st_ino == m->st.st_ino;
}

bool move_link(struct move *m, int cache_fd)
{
	uint64_t size;
	int fd = -1;

	if (!m->leased || m->st.st_nlink != 1 || m->st.st_uid != geteuid())
		return false;
	digest_init(); /* fails for want of randomness, which it then waits for */
	digest_generation(&m->gen);
	if (object_link(cache_fd, &m->gen, STREAM_OUT, m->dir_fd, m->base))
		return false;
	KILLPOINT("file_linked");
	m->linked = true;
	/* Readers take no object that others may write to. And the name may have come to mean another file. */
	if (fchmod(m->fd, 0600) == 0 && object_open(cache_fd, &m->gen, STREAM_OUT, &fd, &size) == 0 &&
	    object_same(fd, m->fd) == 0) {
		close(fd);
		return true;
	}
	if (fd >= 0)
		close(fd);
	move_undo(m, cache_fd);
	return false;
}

void move_undo(struct move *m, int cache_fd)
{
	if (!m->linked)
		return;
	m->linked = false;
	if (cache_fd >= 0)
		object_unlink(cache_fd, &m->gen);
	fchmod(m->fd, m->st.st_mode & 07777);
}

const char *move_end(struct move *m)
{
	KILLPOINT("before_file_goes");
	/* With two names it is looked at by whoever is given it, so what the other one writes does no harm to the entry. */
	if (move_disturbed)
		return "somebody opened it for writing";
	/* Another file has taken its name: not ours to remove, and FILE is gone. */
	if (is_it(m) && unlinkat(m->dir_fd, m->base, 0) < 0 && errno != ENOENT)
		return strerror(errno);
	KILLPOINT("file_gone");
	return NULL;
}

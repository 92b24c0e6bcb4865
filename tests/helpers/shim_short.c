/* Preloaded: calls that the kernel may cut short or interrupt are, all the time.
 *
 * SHIM_SHORT=SEED   what moves bytes moves any number of those it was given, one at least
 * SHIM_EINTR=SEED   what may be interrupted is, every other time, before anything is moved (not a sync: nobody who calls one has a
 *                   signal handler that could run)
 *
 * Never the same thread twice in a row, so that whoever tries again gets somewhere. Programs that are executed are left in peace. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The C library's own, whatever else is preloaded. */
#define NEXT(name, ...)                                             \
	({                                                          \
		static __typeof__(&name) next_;                     \
		if (!next_)                                         \
			*(void **)&next_ = dlsym(RTLD_NEXT, #name); \
		next_(__VA_ARGS__);                                 \
	})

static bool shortens, interrupts;
static uint64_t seed;
static _Thread_local uint64_t state;
static _Thread_local bool interrupted;

__attribute__((constructor)) static void begin(void)
{
	const char *s = getenv("SHIM_SHORT"), *e = getenv("SHIM_EINTR");

	shortens = s != NULL;
	interrupts = e != NULL;
	seed = strtoull(s ? s : e ? e : "0", NULL, 10);
	unsetenv("LD_PRELOAD");
}

static uint32_t chance(size_t n)
{
	if (state == 0)
		state = seed * 2654435761u + (uint64_t)getpid() * 40503u + 1;
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((state >> 33) % n);
}

/* Files, pipes and sockets; an eventfd takes its eight bytes or none. */
static size_t some(int fd, size_t n)
{
	struct stat st;

	if (!shortens || n <= 1 || fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
		return n;
	return 1 + chance(n);
}

/* A thread that takes no signals is not interrupted. */
static bool is_deaf(void)
{
	sigset_t mask;

	return pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0 && sigismember(&mask, SIGTERM);
}

static bool interrupt(void)
{
	if (!interrupts || interrupted || is_deaf() || chance(2)) {
		interrupted = false;
		return false;
	}
	interrupted = true;
	errno = EINTR;
	return true;
}

ssize_t read(int fd, void *p, size_t n)
{
	return interrupt() ? -1 : NEXT(read, fd, p, some(fd, n));
}

ssize_t write(int fd, const void *p, size_t n)
{
	return interrupt() ? -1 : NEXT(write, fd, p, some(fd, n));
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
	return interrupt() ? -1 : NEXT(pread, fd, p, some(fd, n), at);
}

ssize_t pread64(int fd, void *p, size_t n, off_t at)
{
	return pread(fd, p, n, at);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	return interrupt() ? -1 : NEXT(pwrite, fd, p, some(fd, n), at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return pwrite(fd, p, n, at);
}

ssize_t splice(int from, loff_t *from_at, int to, loff_t *to_at, size_t n, unsigned flags)
{
	return interrupt() ? -1 : NEXT(splice, from, from_at, to, to_at, some(from, n), flags);
}

ssize_t sendfile(int to, int from, off_t *at, size_t n)
{
	return interrupt() ? -1 : NEXT(sendfile, to, from, at, some(from, n));
}

ssize_t copy_file_range(int from, loff_t *from_at, int to, loff_t *to_at, size_t n, unsigned flags)
{
	return interrupt() ? -1 : NEXT(copy_file_range, from, from_at, to, to_at, some(from, n), flags);
}

int poll(struct pollfd *p, nfds_t n, int ms)
{
	return interrupt() ? -1 : NEXT(poll, p, n, ms);
}

pid_t waitpid(pid_t pid, int *status, int options)
{
	return interrupt() ? -1 : NEXT(waitpid, pid, status, options);
}

int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	return interrupt() ? -1 : NEXT(waitid, type, id, info, options);
}

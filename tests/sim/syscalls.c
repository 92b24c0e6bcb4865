/* The system calls and the memory of the daemon's code: linked with --wrap, so that they reach the simulator's kernel. Processes
 * have numbers here: a connection's peer that of its connection, a command COMMAND_PID and its run's. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/err.h"
#include "tests/sim/world.h"

/* For old kernels, too, which do not have it. */
#define GROUP (1UL << 2)

int __real_close(int fd);
int __wrap_close(int fd);
int __real_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...);
off_t __wrap_lseek(int fd, off_t at, int whence);
int __wrap_socketpair(int domain, int type, int protocol, int pair[2]);
long __wrap_syscall(long number, ...);
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
ssize_t __real_read(int fd, void *p, size_t n);
ssize_t __wrap_read(int fd, void *p, size_t n);
int __real_poll(struct pollfd *p, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *p, nfds_t n, int timeout);
pid_t __real_getsid(pid_t pid);
pid_t __wrap_getsid(pid_t pid);
void __wrap_sc_bug(const char *file, int line, const char *what);
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);
void __real_free(void *p);
void __wrap_free(void *p);
void killpoint(const char *name);
bool fault(const char *name);
void disk_work(const char *what);

int __wrap_close(int fd)
{
	struct desc *d;

	if (!life.in_turn)
		return __real_close(fd);
	d = fd_take(fd);
	desc_drop(&d);
	return 0;
}

int __wrap_fcntl(int fd, int cmd, ...)
{
	if (cmd != F_DUPFD_CLOEXEC)
		sim_fail("fcntl %d is not simulated", cmd);
	if (mishap(5)) {
		errno = EMFILE;
		return -1;
	}
	return fd_install(desc_hold(fd_any(fd)));
}

off_t __wrap_lseek(int fd, off_t at, int whence)
{
	struct desc *d = fd_look(fd, DESC_OBJECT);

	if (at || whence != SEEK_END)
		sim_fail("lseek is simulated to the end only");
	return (off_t)d->run->len[d->stream];
}

int __wrap_socketpair(int domain, int type, int protocol, int pair[2])
{
	struct desc *d[2];

	(void)domain, (void)type, (void)protocol;
	if (mishap(5)) {
		errno = EMFILE;
		return -1;
	}
	sockets_new(d);
	pair[0] = fd_install(d[0]);
	pair[1] = fd_install(d[1]);
	return 0;
}

long __wrap_syscall(long number, ...)
{
	unsigned long flags;
	struct model *r;
	va_list args;
	int signal;

	if (number != SYS_pidfd_send_signal)
		sim_fail("system call %ld is not simulated", number);
	va_start(args, number);
	r = fd_look(va_arg(args, int), DESC_PIDFD)->run;
	signal = va_arg(args, int);
	va_arg(args, void *);
	flags = va_arg(args, unsigned long);
	va_end(args);
	if (flags && r->foreground)
		sim_fail("the group of run %u, which is its caller's, is to be signalled", r->number);
	if (flags && sim.old_kernel) {
		errno = EINVAL;
		return -1;
	}
	if (!r->command_alive && (!flags || sim.now >= r->zombies_until)) {
		errno = ESRCH;
		return -1;
	}
	daemon_point();
	if (signal)
		command_kill(r, (uint32_t)signal);
	return 0;
}

/* Of a pidfd: readable when the command itself is dead, whatever is left of its group. */
int __wrap_poll(struct pollfd *p, nfds_t n, int timeout)
{
	if (!life.in_turn)
		return __real_poll(p, n, timeout);
	if (n != 1 || timeout != 0)
		sim_fail("poll is simulated for one pidfd only");
	p->revents = fd_look(p->fd, DESC_PIDFD)->run->command_alive ? 0 : POLLIN;
	return p->revents != 0;
}

/* ---- numbers of processes ---- */

int __wrap_open(const char *path, int flags, ...)
{
	struct desc *d;
	va_list args;
	mode_t mode;
	int fd;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (!life.in_turn)
		return __real_open(path, flags, mode);
	if (sscanf(path, "/proc/self/fdinfo/%d", &fd) != 1)
		sim_fail("open of %s is not simulated", path);
	/* Never refused: of a session that is not known a deadlock is not found. */
	d = desc_new(DESC_FDINFO, fd_look(fd, DESC_PIDFD)->run);
	return fd_install(d);
}

ssize_t __wrap_read(int fd, void *p, size_t n)
{
	const struct model *r;

	if (!life.in_turn)
		return __real_read(fd, p, n);
	r = fd_look(fd, DESC_FDINFO)->run;
	return snprintf(p, n, "pos:\t0\nPid:\t%d\nNSpid:\t0\n", r->command_alive ? COMMAND_PID + (int)r->number : -1);
}

pid_t __wrap_getsid(pid_t pid)
{
	pid_t session;

	if (!life.in_turn)
		return __real_getsid(pid);
	session = pid > COMMAND_PID ? session_of_command((unsigned)(pid - COMMAND_PID)) : session_of_peer(pid);
	if (!session)
		errno = ESRCH;
	return session ? session : -1;
}

void __wrap_sc_bug(const char *file, int line, const char *what)
{
	sim_fail("BUG %s:%d: %s", file, line, what);
}

void killpoint(const char *name)
{
	(void)name;
}

/* Nothing is to go wrong but what the dice say. */
bool fault(const char *name)
{
	(void)name;
	return false;
}

void disk_work(const char *what)
{
	(void)what;
}

/* ---- memory ---- */

#define OF_DAEMON UINT64_C(0x5ca1ab1e0ddba115)
#define OF_OTHERS UINT64_C(0x5ca1ab1e5eaf00d5)

struct block {
	struct block *next, *prev;
	uint64_t owner;
	size_t n;
};

static struct block of_daemon = {.next = &of_daemon, .prev = &of_daemon};
static unsigned nblocks;

void *__wrap_malloc(size_t n)
{
	struct block *b = __real_malloc(sizeof *b + n);

	if (!b)
		abort();
	b->n = n;
	b->owner = life.in_turn ? OF_DAEMON : OF_OTHERS;
	if (life.in_turn) {
		b->next = of_daemon.next;
		b->prev = &of_daemon;
		b->next->prev = b->prev->next = b;
		nblocks++;
	}
	return b + 1;
}

void *__wrap_calloc(size_t count, size_t n)
{
	void *p = __wrap_malloc(count * n);

	return memset(p, 0, count * n);
}

static struct block *block_of(void *p)
{
	struct block *b = (struct block *)p - 1;

	if (b->owner != OF_DAEMON && b->owner != OF_OTHERS)
		sim_fail("free of what is not allocated");
	return b;
}

void __wrap_free(void *p)
{
	struct block *b = p ? block_of(p) : NULL;

	if (!b)
		return;
	if (b->owner == OF_DAEMON) {
		b->next->prev = b->prev;
		b->prev->next = b->next;
		nblocks--;
		memset(p, 0xdb, b->n); /* whoever still looks at it sees nonsense */
	}
	b->owner = 0;
	__real_free(b);
}

void *__wrap_realloc(void *p, size_t n)
{
	void *q = __wrap_malloc(n);
	size_t old = p ? block_of(p)->n : 0;

	if (old)
		memcpy(q, p, old < n ? old : n);
	__wrap_free(p);
	return q;
}

void memory_forget(void)
{
	while (of_daemon.next != &of_daemon)
		__wrap_free(of_daemon.next + 1);
}

unsigned memory_blocks(void)
{
	return nblocks;
}

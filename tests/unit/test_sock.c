/* The promises of lib/sock.h. Two calls of the C library are replaced here, to stand for a peer of another uid and for a system
 * without /proc. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/err.h"
#include "lib/limits.h"
#include "lib/sock.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* ---- what is replaced ---- */

static bool as_another_user, without_proc;

uid_t geteuid(void)
{
	return (uid_t)syscall(SYS_geteuid) + as_another_user;
}

static int named(long number, int fd, const struct sockaddr *addr, socklen_t len)
{
	const struct sockaddr_un *un = (const void *)addr;

	if (without_proc && strncmp(un->sun_path, "/proc/", 6) == 0) {
		errno = ENOENT;
		return -1;
	}
	return (int)syscall(number, fd, addr, len);
}

int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	return named(SYS_connect, fd, addr.__sockaddr__, len);
}

int bind(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	return named(SYS_bind, fd, addr.__sockaddr__, len);
}

/* ---- a directory for each test ---- */

struct place {
	char path[64];
	int fd;
	unsigned fds;
};

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof *p);

	if (!p)
		return -1;
	p->fds = open_fds();
	snprintf(p->path, sizeof p->path, "/tmp/test_sock.XXXXXX");
	if (!mkdtemp(p->path))
		return -1;
	p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = p;
	return p->fd < 0 ? -1 : 0;
}

static void empty(int dir_fd)
{
	DIR *d = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *e;

	while ((e = readdir(d))) {
		int fd;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || unlinkat(dir_fd, e->d_name, 0) == 0)
			continue;
		fd = openat(dir_fd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		empty(fd);
		close(fd);
		unlinkat(dir_fd, e->d_name, AT_REMOVEDIR);
	}
	closedir(d);
}

static int clear_place(void **state)
{
	struct place *p = *state;
	unsigned fds;
	int rc;

	as_another_user = without_proc = false;
	empty(p->fd);
	close(p->fd);
	rc = rmdir(p->path);
	fds = open_fds();
	if (fds != p->fds)
		print_error("%u descriptors were open before, %u are now\n", p->fds, fds);
	rc |= fds != p->fds;
	free(p);
	return rc;
}

static int accepted(int listen_fd)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Listens, connects, and says a byte in each direction. */
static void assert_talks(int dir_fd, const char *name)
{
	int listen_fd, a, b;
	size_t nfds = 0;
	char c;

	assert_int_equal(sock_listen(dir_fd, name, &listen_fd), 0);
	assert_int_equal(sock_connect(dir_fd, name, &a), 0);
	b = accepted(listen_fd);
	assert_int_equal(sock_check_peer(b, NULL, NULL), 0);
	assert_int_equal(sock_send(a, "x", 1, NULL, 0), 1);
	assert_int_equal(sock_recv(b, &c, 1, NULL, &nfds), 1);
	assert_int_equal(c, 'x');
	assert_int_equal(sock_send(b, "y", 1, NULL, 0), 1);
	assert_int_equal(sock_recv(a, &c, 1, NULL, &nfds), 1);
	assert_int_equal(c, 'y');
	close(a);
	close(b);
	close(listen_fd);
}

/* ---- names ---- */

static void connects_and_says_who_it_is(void **state)
{
	struct place *p = *state;
	int listen_fd, a, b;
	struct timeval tv;
	socklen_t len = sizeof tv;
	uid_t uid = 77;
	pid_t pid = 0;

	assert_talks(p->fd, "sock");
	assert_int_equal(sock_listen(p->fd, "sock", &listen_fd), 0);
	assert_int_equal(sock_connect(p->fd, "sock", &a), 0);
	b = accepted(listen_fd);
	assert_int_equal(sock_check_peer(b, &uid, &pid), 0);
	assert_int_equal(uid, getuid());
	assert_int_equal(pid, getpid());

	/* Blocking without a bound from here on, and not passed on to a command. */
	assert_int_equal(getsockopt(a, SOL_SOCKET, SO_SNDTIMEO, &tv, &len), 0);
	assert_true(tv.tv_sec == 0 && tv.tv_usec == 0);
	assert_int_equal(fcntl(a, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(a, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(listen_fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(fcntl(listen_fd, F_GETFD), FD_CLOEXEC);
	close(a);
	close(b);
	close(listen_fd);
}

/* P15 */
static void a_path_of_two_hundred_characters_works(void **state)
{
	struct place *p = *state;
	char long_name[201], here[PATH_MAX], now[PATH_MAX];
	int fd;

	memset(long_name, 'd', 200);
	long_name[200] = '\0';
	assert_int_equal(mkdirat(p->fd, long_name, 0700), 0);
	fd = openat(p->fd, long_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_talks(fd, "sock");

	without_proc = true;
	assert_non_null(getcwd(here, sizeof here));
	assert_talks(fd, "sock");
	assert_non_null(getcwd(now, sizeof now));
	assert_string_equal(here, now);
	close(fd);
}

static void without_proc_nothing_else_changes(void **state)
{
	struct place *p = *state;
	int fd = 7;

	without_proc = true;
	assert_int_equal(sock_connect(p->fd, "sock", &fd), SC_ENOENT);
	assert_int_equal(fd, -1);
	assert_talks(p->fd, "sock");
	assert_int_equal(sock_connect(p->fd, "sock", &fd), SC_ENOENT); /* stale */
	assert_talks(p->fd, "sock");
}

static void a_name_that_cannot_fit_is_an_error(void **state)
{
	struct place *p = *state;
	char name[200];
	int fd;

	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	assert_int_equal(sock_listen(p->fd, name, &fd), SC_ESYS);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(fd, -1);
}

/* P13 */
static void nobody_there_or_a_stale_socket_is_enoent(void **state)
{
	struct place *p = *state;
	int fd = 7;

	assert_int_equal(sock_connect(p->fd, "sock", &fd), SC_ENOENT);
	assert_int_equal(fd, -1);
	assert_int_equal(sock_listen(p->fd, "sock", &fd), 0);
	close(fd);
	assert_int_equal(sock_connect(p->fd, "sock", &fd), SC_ENOENT);
	assert_int_equal(fd, -1);
	/* A client removes nothing; who listens next does. */
	assert_int_equal(faccessat(p->fd, "sock", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	assert_talks(p->fd, "sock");
}

static void assert_left_alone(const struct place *p, const char *what)
{
	struct stat before, after;
	int fd = 7;

	assert_int_equal(fstatat(p->fd, "sock", &before, AT_SYMLINK_NOFOLLOW), 0);
	if (sock_connect(p->fd, "sock", &fd) != SC_EUNSAFE || fd != -1)
		fail_msg("connecting to a planted %s", what);
	fd = 7;
	if (sock_listen(p->fd, "sock", &fd) != SC_EUNSAFE || fd != -1)
		fail_msg("listening over a planted %s", what);
	assert_int_equal(fstatat(p->fd, "sock", &after, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(before.st_ino == after.st_ino && before.st_mode == after.st_mode);
}

/* P14 */
static void what_is_planted_at_the_name_is_never_touched(void **state)
{
	struct place *p = *state;
	int fd;

	fd = openat(p->fd, "sock", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_left_alone(p, "file");
	empty(p->fd);

	assert_int_equal(mkdirat(p->fd, "sock", 0700), 0);
	assert_left_alone(p, "directory");
	empty(p->fd);

	assert_int_equal(mkfifoat(p->fd, "sock", 0600), 0);
	assert_left_alone(p, "FIFO");
	empty(p->fd);

	assert_int_equal(symlinkat("nowhere", p->fd, "sock"), 0);
	assert_left_alone(p, "dangling link");
	empty(p->fd);

	/* Also where somebody of ours listens behind it. */
	assert_int_equal(sock_listen(p->fd, "other", &fd), 0);
	assert_int_equal(symlinkat("other", p->fd, "sock"), 0);
	assert_left_alone(p, "link to a live socket");
	close(fd);
}

static void a_socket_of_somebody_else_is_not_removed(void **state)
{
	struct place *p = *state;
	int fd, other;

	assert_int_equal(sock_listen(p->fd, "sock", &fd), 0);
	as_another_user = true;
	assert_int_equal(sock_listen(p->fd, "sock", &other), SC_EUNSAFE);
	assert_int_equal(other, -1);
	as_another_user = false;
	assert_int_equal(sock_connect(p->fd, "sock", &other), 0);
	close(other);
	close(fd);
}

/* P17, S01 */
static void a_peer_of_another_uid_is_refused(void **state)
{
	struct place *p = *state;
	int fd, client, server;
	uid_t uid = 77;

	assert_int_equal(sock_listen(p->fd, "sock", &fd), 0);
	assert_int_equal(sock_connect(p->fd, "sock", &client), 0);
	server = accepted(fd);
	as_another_user = true;
	assert_int_equal(sock_check_peer(server, &uid, NULL), SC_EPEER);
	assert_int_equal(uid, getuid());
	close(client);
	assert_int_equal(sock_connect(p->fd, "sock", &client), SC_EPEER);
	assert_int_equal(client, -1);
	close(server);
	close(fd);
}

static void the_socket_is_ours_alone_whatever_the_umask(void **state)
{
	static const mode_t masks[] = {0, 022, 077, 0777};
	struct place *p = *state;
	struct stat st;

	for (size_t i = 0; i < COUNT(masks); i++) {
		mode_t old = umask(masks[i]);
		int fd, rc = sock_listen(p->fd, "sock", &fd);

		assert_int_equal(umask(old), masks[i]);
		assert_int_equal(rc, 0);
		assert_int_equal(fstatat(p->fd, "sock", &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		close(fd);
	}
}

/* The bound itself is what is tested, so this one does take it. */
static void a_full_backlog_is_waited_for_but_not_for_ever(void **state)
{
	struct place *p = *state;
	struct timespec a, b;
	int fd, fds[8], n = 0, rc = 0;
	int64_t ms;

	assert_int_equal(sock_listen(p->fd, "sock", &fd), 0);
	assert_int_equal(listen(fd, 0), 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	do {
		a = b;
		rc = sock_connect(p->fd, "sock", &fds[n]);
		clock_gettime(CLOCK_MONOTONIC, &b);
	} while (rc == 0 && ++n < (int)COUNT(fds));
	ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	assert_int_equal(rc, SC_ETIME);
	assert_true(n > 0);
	assert_true(ms >= SC_SILENCE_MS - 100);
	while (n > 0)
		close(fds[--n]);
	close(fd);
}

/* ---- bytes and descriptors ---- */

static void make_pair(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

static void descriptors_arrive_in_order_and_closed_on_exec(void **state)
{
	int pair[2], pipes[2], got[4];
	size_t nfds = COUNT(got);
	char c;

	(void)state;
	make_pair(pair);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(sock_send(pair[0], "abc", 3, pipes, 2), 3);
	assert_int_equal(sock_recv(pair[1], &c, 1, got, &nfds), 1);
	assert_int_equal(nfds, 2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fcntl(got[i], F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(got[1], "z", 1), 1);
	assert_int_equal(read(got[0], &c, 1), 1);
	assert_int_equal(c, 'z');
	/* They came with the first byte; the rest has none. */
	nfds = 1;
	assert_int_equal(sock_recv(pair[1], (char[2]){0}, 2, got + 2, &nfds), 2);
	assert_int_equal(nfds, 0);
	for (int i = 0; i < 2; i++) {
		close(got[i]);
		close(pipes[i]);
		close(pair[i]);
	}
}

static void more_descriptors_than_room_are_all_closed(void **state)
{
	int pair[2], fds[SC_FDS_QUEUED_MAX], got[SC_FDS_QUEUED_MAX];
	char c;

	(void)state;
	for (size_t i = 0; i < COUNT(fds); i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (size_t room = 0; room <= COUNT(got); room++) {
		size_t nfds = room;
		unsigned before = open_fds();

		make_pair(pair);
		assert_int_equal(sock_send(pair[0], "a", 1, fds, COUNT(fds)), 1);
		if (room < COUNT(fds)) {
			assert_int_equal(sock_recv(pair[1], &c, 1, got, &nfds), SC_EPROTO);
			assert_int_equal(nfds, 0);
		} else {
			assert_int_equal(sock_recv(pair[1], &c, 1, got, &nfds), 1);
			assert_int_equal(nfds, COUNT(fds));
		}
		for (size_t i = 0; i < nfds; i++)
			close(got[i]);
		close(pair[0]);
		close(pair[1]);
		assert_int_equal(open_fds(), before);
	}
	for (size_t i = 0; i < COUNT(fds); i++)
		close(fds[i]);
}

static void with_no_descriptor_left_it_is_our_fault_and_none_leaks(void **state)
{
	struct rlimit old, low;
	int pair[2], fd = open("/dev/null", O_RDONLY | O_CLOEXEC), fds[3], got[8];
	size_t nfds = COUNT(got);
	unsigned before;
	ssize_t rc;
	char c;

	(void)state;
	make_pair(pair);
	for (size_t i = 0; i < COUNT(fds); i++)
		fds[i] = fd;
	assert_int_equal(sock_send(pair[0], "a", 1, fds, COUNT(fds)), 1);
	before = open_fds();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	/* One more than the highest we have: room for one of three. */
	low = old;
	low.rlim_cur = (rlim_t)(pair[0] > pair[1] ? pair[0] : pair[1]) + 2;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	rc = sock_recv(pair[1], &c, 1, got, &nfds);
	low.rlim_cur = (rlim_t)errno;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(rc, SC_ESYS);
	assert_int_equal(low.rlim_cur, EMFILE);
	assert_int_equal(nfds, 0);
	assert_int_equal(open_fds(), before);
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

static void what_was_said_before_the_end_is_still_heard(void **state)
{
	int pair[2];
	char got[8];
	size_t nfds = 0;

	(void)state;
	make_pair(pair);
	assert_int_equal(sock_send(pair[0], "last", 4, NULL, 0), 4);
	/* Unread bytes of ours make its close a reset, which must not swallow what it said. */
	assert_int_equal(sock_send(pair[1], "unread", 6, NULL, 0), 6);
	close(pair[0]);
	assert_int_equal(sock_send(pair[1], "x", 1, NULL, 0), SC_EEOF);
	assert_int_equal(sock_recv(pair[1], got, sizeof got, NULL, &nfds), 4);
	assert_memory_equal(got, "last", 4);
	assert_int_equal(sock_recv(pair[1], got, sizeof got, NULL, &nfds), SC_EEOF);
	assert_int_equal(sock_recv(pair[1], got, sizeof got, NULL, &nfds), SC_EEOF);
	close(pair[1]);
}

static void full_or_empty_is_not_now(void **state)
{
	static const char block[65536];
	int pair[2];
	size_t nfds = 0;
	ssize_t rc;
	char c;

	(void)state;
	make_pair(pair);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fcntl(pair[i], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(sock_recv(pair[1], &c, 1, NULL, &nfds), SC_EAGAIN);
	do
		rc = sock_send(pair[0], block, sizeof block, NULL, 0);
	while (rc > 0);
	assert_int_equal(rc, SC_EAGAIN);
	assert_int_equal(errno, EAGAIN);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_place, clear_place)
	const struct CMUnitTest tests[] = {
		TEST(connects_and_says_who_it_is),
		TEST(a_path_of_two_hundred_characters_works),
		TEST(without_proc_nothing_else_changes),
		TEST(a_name_that_cannot_fit_is_an_error),
		TEST(nobody_there_or_a_stale_socket_is_enoent),
		TEST(what_is_planted_at_the_name_is_never_touched),
		TEST(a_socket_of_somebody_else_is_not_removed),
		TEST(a_peer_of_another_uid_is_refused),
		TEST(the_socket_is_ours_alone_whatever_the_umask),
		TEST(a_full_backlog_is_waited_for_but_not_for_ever),
		TEST(descriptors_arrive_in_order_and_closed_on_exec),
		TEST(more_descriptors_than_room_are_all_closed),
		TEST(with_no_descriptor_left_it_is_our_fault_and_none_leaks),
		TEST(what_was_said_before_the_end_is_still_heard),
		TEST(full_or_empty_is_not_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

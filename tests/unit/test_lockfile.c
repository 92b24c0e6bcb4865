/* The promises of lib/lockfile.h, across processes. The clock is replaced here, and with it the pauses between two looks at a
 * lock: time passes as the test says, so that the longest waits are over at once. Children never assert: they end with a
 * status. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/limits.h"
#include "lib/lockfile.h"

/* ---- what is replaced ---- */

static bool as_another_user;
static bool in_real_time;
static uint64_t time_ms = 1000;

uid_t geteuid(void)
{
	return (uid_t)syscall(SYS_geteuid) + as_another_user;
}

uint64_t clock_run_ms(void)
{
	struct timespec t;

	if (!in_real_time)
		return time_ms;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int nanosleep(const struct timespec *t, struct timespec *left)
{
	if (in_real_time)
		return clock_nanosleep(CLOCK_MONOTONIC, 0, t, left);
	/* At least a little, or a wait would never end. */
	time_ms += (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_nsec / 1000000 + (t->tv_nsec == 0);
	return 0;
}

/* ---- a directory for each test ---- */

struct dir {
	char path[96];
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

static int make_dir(void **state)
{
	const char *base = getenv("TMPDIR");
	struct dir *d = calloc(1, sizeof *d);

	if (!d)
		return -1;
	d->fds = open_fds();
	snprintf(d->path, sizeof d->path, "%s/lock.XXXXXX", base && strlen(base) < 64 ? base : "/tmp");
	if (!mkdtemp(d->path))
		return -1;
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	in_real_time = as_another_user = false;
	time_ms = 1000;
	*state = d;
	return d->fd < 0 ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st;
	(void)kind;
	(void)f;
	return remove(path);
}

static int remove_dir(void **state)
{
	struct dir *d = *state;
	unsigned fds;
	int rc;

	close(d->fd);
	rc = nftw(d->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	fds = open_fds();
	if (fds != d->fds)
		print_error("%u descriptors were open before, %u are now\n", d->fds, fds);
	rc |= fds != d->fds;
	free(d);
	return rc;
}

static struct lockfile open_lock(const struct dir *d)
{
	struct lockfile l = {.fd = -1};

	assert_int_equal(lockfile_open(&l, d->fd), 0);
	assert_true(l.fd >= 0);
	return l;
}

/* ---- other processes ---- */

struct peer {
	pid_t pid;
	int fd; /* a byte in each direction is a step */
};

typedef int (*life)(struct lockfile *l, int fd);

static bool step(int fd)
{
	return write(fd, "", 1) == 1;
}

static bool await(int fd)
{
	char c;

	return read(fd, &c, 1) == 1;
}

static struct peer start(const struct dir *d, life live)
{
	int pair[2];
	struct peer peer;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	peer.pid = fork();
	assert_true(peer.pid >= 0);
	if (peer.pid == 0) {
		struct lockfile l;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		_exit(lockfile_open(&l, d->fd) ? 99 : live(&l, pair[1]));
	}
	close(pair[1]);
	peer.fd = pair[0];
	return peer;
}

/* Its exit status, or 128 + n. */
static int end_of(const struct peer *peer)
{
	int status;

	assert_int_equal(waitpid(peer->pid, &status, 0), peer->pid);
	close(peer->fd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void kill_off(const struct peer *peer)
{
	assert_int_equal(kill(peer->pid, SIGKILL), 0);
	assert_int_equal(end_of(peer), 128 + SIGKILL);
}

/* A daemon: turns its loop once for each step it is told. */
static int hold(struct lockfile *l, int fd)
{
	if (lockfile_hold(l, 0))
		return 1;
	do {
		if (!step(fd) || !await(fd))
			return 2;
		lockfile_step(l);
	} while (true);
}

static struct peer start_holder(const struct dir *d)
{
	struct peer peer = start(d, hold);

	assert_true(await(peer.fd));
	return peer;
}

static void turn(const struct peer *daemon)
{
	assert_true(step(daemon->fd) && await(daemon->fd));
}

/* A client that starts a daemon, and never comes to an end of it. */
static int begin_start(struct lockfile *l, int fd)
{
	if (lockfile_begin_start(l))
		return 1;
	step(fd);
	await(fd);
	lockfile_end_start(l);
	step(fd);
	await(fd);
	return 0;
}

/* ---- the file ---- */

static void the_lock_is_made_for_its_owner_only_whatever_the_umask(void **state)
{
	struct dir *d = *state;
	mode_t mask = umask(0);
	struct lockfile l = open_lock(d);
	struct stat st;

	umask(mask);
	assert_int_equal(fstatat(d->fd, "lock", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fcntl(l.fd, F_GETFD), FD_CLOEXEC);
	assert_null(l.pulse);
	lockfile_close(&l);
	assert_int_equal(l.fd, -1);
	lockfile_close(&l);
}

static void plant_link(const struct dir *d)
{
	assert_int_equal(symlinkat("elsewhere", d->fd, "lock"), 0);
}

static void plant_fifo(const struct dir *d)
{
	assert_int_equal(mkfifoat(d->fd, "lock", 0600), 0);
}

static void plant_directory(const struct dir *d)
{
	assert_int_equal(mkdirat(d->fd, "lock", 0700), 0);
}

static void plant_socket(const struct dir *d)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(un.sun_path, sizeof un.sun_path, "/proc/self/fd/%d/lock", d->fd);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
	close(fd);
}

static void plant_somebody_elses(const struct dir *d)
{
	int fd = openat(d->fd, "lock", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
	as_another_user = true;
}

static void what_is_not_a_file_of_ours_is_refused(void **state)
{
	static void (*const plants[])(const struct dir *) = {plant_link, plant_fifo, plant_directory, plant_socket,
							     plant_somebody_elses};
	struct dir *d = *state;
	struct stat st;

	for (size_t i = 0; i < COUNT(plants); i++) {
		struct lockfile l;
		int rc;

		plants[i](d);
		rc = lockfile_open(&l, d->fd);
		as_another_user = false;
		if (unlinkat(d->fd, "lock", 0) < 0)
			assert_int_equal(unlinkat(d->fd, "lock", AT_REMOVEDIR), 0);
		if (rc != SC_EUNSAFE)
			fail_msg("plant %zu: %s", i, sc_strerror(rc));
		assert_int_equal(l.fd, -1);
	}
	assert_int_equal(fstatat(d->fd, "elsewhere", &st, AT_SYMLINK_NOFOLLOW), -1);
}

/* S05 */
static void what_has_another_name_too_is_not_written(void **state)
{
	struct dir *d = *state;
	struct lockfile l;
	char c[64] = "";
	struct stat st;
	int fd = openat(d->fd, "elsewhere", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "somebody's bytes", 16), 16);
	assert_int_equal(linkat(d->fd, "elsewhere", d->fd, "lock", 0), 0);
	if (lockfile_open(&l, d->fd) == 0) {
		if (lockfile_hold(&l, 0) == 0)
			lockfile_step(&l);
		lockfile_note_start(&l, time_ms, true);
		lockfile_close(&l);
	}
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(pread(fd, c, sizeof c, 0) >= 0);
	close(fd);
	assert_int_equal(st.st_size, 16);
	assert_memory_equal(c, "somebody's bytes", 16);
}

/* ---- the daemon's lock ---- */

static void two_never_hold_it(void **state)
{
	struct dir *d = *state;
	struct peer daemon = start_holder(d), second;
	struct lockfile l = open_lock(d), same = open_lock(d);

	assert_int_equal(lockfile_hold(&l, 0), SC_EBUSY);
	assert_null(l.pulse);
	second = start(d, hold);
	assert_int_equal(end_of(&second), 1);
	kill_off(&daemon);
	/* Nor do two descriptions of one process. */
	assert_int_equal(lockfile_hold(&l, 0), 0);
	assert_int_equal(lockfile_hold(&same, 0), SC_EBUSY);
	lockfile_close(&same);
	lockfile_close(&l);
}

static void a_holder_killed_with_kill_9_lets_go_at_once(void **state)
{
	struct dir *d = *state;

	for (unsigned i = 0; i < 10; i++) {
		struct peer daemon = start_holder(d);
		struct lockfile l = open_lock(d);

		assert_int_equal(lockfile_hold(&l, 0), SC_EBUSY);
		kill_off(&daemon);
		assert_int_equal(lockfile_hold(&l, 0), 0);
		lockfile_close(&l);
	}
}

static void to_close_is_to_let_go(void **state)
{
	struct dir *d = *state;
	struct lockfile a = open_lock(d), b = open_lock(d);

	assert_int_equal(lockfile_hold(&a, 0), 0);
	assert_non_null(a.pulse);
	assert_int_equal(lockfile_hold(&b, 0), SC_EBUSY);
	lockfile_close(&a);
	assert_null(a.pulse);
	assert_int_equal(lockfile_hold(&b, 0), 0);
	lockfile_close(&b);
}

static void who_waits_for_the_lock_waits_as_long_as_it_says(void **state)
{
	struct dir *d = *state;
	struct peer daemon = start_holder(d);
	struct lockfile l = open_lock(d);
	uint64_t before = time_ms;

	assert_int_equal(lockfile_hold(&l, SC_LOCK_WAIT_MS), SC_EBUSY);
	assert_in_range(time_ms - before, SC_LOCK_WAIT_MS, SC_LOCK_WAIT_MS + 100);
	kill_off(&daemon);
	lockfile_close(&l);
}

static int hold_when_free(struct lockfile *l, int fd)
{
	in_real_time = true;
	step(fd);
	return lockfile_hold(l, 60000) ? 1 : 0;
}

static void who_waits_for_the_lock_gets_it_when_its_holder_goes(void **state)
{
	struct dir *d = *state;
	struct peer daemon = start_holder(d), next = start(d, hold_when_free);

	assert_true(await(next.fd));
	kill_off(&daemon);
	assert_int_equal(end_of(&next), 0);
}

/* ---- the pulse ---- */

static void every_process_sees_the_loop_turn(void **state)
{
	struct dir *d = *state;
	struct lockfile l = open_lock(d);
	struct peer daemon;
	uint64_t before, now;

	/* Nobody has ever been here. */
	assert_false(lockfile_pulse(&l, &now));
	daemon = start_holder(d);
	assert_true(lockfile_pulse(&l, &before));
	for (unsigned i = 1; i <= 100; i++) {
		turn(&daemon);
		assert_true(lockfile_pulse(&l, &now));
		assert_int_equal(now, before + i);
	}
	/* It stands still as soon as nobody turns it, and the next daemon goes on from there. */
	kill_off(&daemon);
	assert_true(lockfile_pulse(&l, &now));
	assert_int_equal(now, before + 100);
	daemon = start_holder(d);
	turn(&daemon);
	assert_true(lockfile_pulse(&l, &now));
	assert_int_equal(now, before + 101);
	kill_off(&daemon);
	lockfile_close(&l);
}

static void a_file_cut_short_has_no_pulse(void **state)
{
	struct dir *d = *state;
	struct lockfile l = open_lock(d);
	uint64_t pulse;

	for (off_t size = 0; size < 8; size++) {
		assert_int_equal(ftruncate(l.fd, size), 0);
		assert_false(lockfile_pulse(&l, &pulse));
	}
	/* Whoever holds it next makes it whole. */
	assert_int_equal(lockfile_hold(&l, 0), 0);
	lockfile_step(&l);
	assert_true(lockfile_pulse(&l, &pulse));
	lockfile_close(&l);
}

/* ---- the start lock ---- */

static void one_starts_at_a_time(void **state)
{
	struct dir *d = *state;
	struct peer starter = start(d, begin_start);
	struct lockfile l = open_lock(d);
	uint64_t before = time_ms;

	assert_true(await(starter.fd));
	assert_int_equal(lockfile_begin_start(&l), SC_ETIME);
	assert_in_range(time_ms - before, 2 * SC_START_MS, 2 * SC_START_MS + 100);
	/* It lets go, and lives on. */
	assert_true(step(starter.fd) && await(starter.fd));
	assert_int_equal(lockfile_begin_start(&l), 0);
	lockfile_end_start(&l);
	kill_off(&starter);
	lockfile_close(&l);
}

/* G04 */
static void a_starter_killed_with_kill_9_makes_room_at_once(void **state)
{
	struct dir *d = *state;
	struct peer starter = start(d, begin_start);
	struct lockfile l = open_lock(d);
	uint64_t before = time_ms;

	assert_true(await(starter.fd));
	kill_off(&starter);
	assert_int_equal(lockfile_begin_start(&l), 0);
	assert_int_equal(time_ms, before);
	lockfile_close(&l);
}

static void the_start_lock_and_the_daemons_are_not_in_each_others_way(void **state)
{
	struct dir *d = *state;
	struct peer daemon, starter = start(d, begin_start);
	struct lockfile l = open_lock(d);

	assert_true(await(starter.fd));
	/* Begun under somebody's start lock, and still there when that is over. */
	daemon = start_holder(d);
	kill_off(&starter);
	assert_int_equal(lockfile_begin_start(&l), 0);
	assert_int_equal(lockfile_hold(&l, 0), SC_EBUSY);
	/* To end a start is not to let go of more. */
	lockfile_end_start(&l);
	kill_off(&daemon);
	assert_int_equal(lockfile_hold(&l, 0), 0);
	assert_int_equal(lockfile_begin_start(&l), 0);
	lockfile_end_start(&l);
	daemon = start(d, hold);
	assert_int_equal(end_of(&daemon), 1);
	lockfile_close(&l);
}

/* ---- crashes ---- */

static void who_only_looks_makes_nothing_and_sees_what_was_noted(void **state)
{
	struct dir *d = *state;
	struct lockfile l, looks;

	assert_int_equal(lockfile_look(&looks, d->fd), SC_ENOENT);
	assert_int_equal(faccessat(d->fd, "lock", F_OK, 0), -1);
	l = open_lock(d);
	lockfile_note_start(&l, 1000, true);
	assert_int_equal(lockfile_look(&looks, d->fd), 0);
	assert_int_equal(lockfile_failed_starts(&looks, 1000), 1);
	lockfile_close(&looks);
	lockfile_close(&l);
}

static void after_three_failed_starts_none_is_tried_before_the_window_is_over(void **state)
{
	struct dir *d = *state;
	struct lockfile l = open_lock(d);
	const uint64_t first = 500000;

	assert_true(lockfile_may_start(&l, first));
	for (unsigned i = 0; i < SC_CRASHES_MAX; i++) {
		assert_true(lockfile_may_start(&l, first + i * 1000));
		assert_int_equal(lockfile_failed_starts(&l, first + i * 1000), i);
		lockfile_note_start(&l, first + i * 1000, true);
	}
	assert_false(lockfile_may_start(&l, first + 2000));
	assert_int_equal(lockfile_failed_starts(&l, first + 2000), SC_CRASHES_MAX);
	assert_int_equal(lockfile_failed_starts(&l, first + SC_CRASH_WINDOW_MS + 1), 0);
	assert_false(lockfile_may_start(&l, first + SC_CRASH_WINDOW_MS - 1));
	assert_true(lockfile_may_start(&l, first + SC_CRASH_WINDOW_MS + 1));
	/* Then they count from one again. */
	for (unsigned i = 0; i < SC_CRASHES_MAX; i++) {
		uint64_t now = first + SC_CRASH_WINDOW_MS + 1 + i;

		assert_true(lockfile_may_start(&l, now));
		lockfile_note_start(&l, now, true);
	}
	assert_false(lockfile_may_start(&l, first + SC_CRASH_WINDOW_MS + 100));
	lockfile_close(&l);
}

static void failures_far_apart_stop_nobody(void **state)
{
	struct dir *d = *state;
	struct lockfile l = open_lock(d);
	uint64_t now = 1;

	for (unsigned i = 0; i < 20; i++) {
		assert_true(lockfile_may_start(&l, now));
		lockfile_note_start(&l, now, true);
		now += SC_CRASH_WINDOW_MS / 2 + 1;
	}
	lockfile_close(&l);
}

static void a_success_forgives_all_failures(void **state)
{
	struct dir *d = *state;
	struct lockfile l = open_lock(d);

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 1; i < SC_CRASHES_MAX; i++)
			lockfile_note_start(&l, 1000, true);
		assert_true(lockfile_may_start(&l, 1000));
		lockfile_note_start(&l, 1000, false);
	}
	for (unsigned i = 0; i < SC_CRASHES_MAX; i++)
		lockfile_note_start(&l, 1000, true);
	assert_false(lockfile_may_start(&l, 1000));
	/* Somebody who was under way already. */
	lockfile_note_start(&l, 1000, false);
	assert_true(lockfile_may_start(&l, 1000));
	lockfile_close(&l);
}

static int fail_thrice(struct lockfile *l, int fd)
{
	(void)fd;
	for (unsigned i = 0; i < SC_CRASHES_MAX; i++)
		lockfile_note_start(l, 1000, true);
	return 0;
}

static void failures_are_counted_over_all_clients(void **state)
{
	struct dir *d = *state;
	struct peer client = start(d, fail_thrice);
	struct lockfile l;

	assert_int_equal(end_of(&client), 0);
	l = open_lock(d);
	assert_false(lockfile_may_start(&l, 1000));
	lockfile_close(&l);
}

static void failures_of_another_boot_do_not_count(void **state)
{
	struct dir *d = *state;
	struct lockfile l = open_lock(d);

	for (unsigned i = 0; i < SC_CRASHES_MAX; i++)
		lockfile_note_start(&l, 1000000, true);
	assert_true(lockfile_may_start(&l, 999999));
	lockfile_note_start(&l, 5, true);
	assert_true(lockfile_may_start(&l, 5));
	lockfile_close(&l);
}

static void the_counting_of_failures_does_not_touch_the_pulse(void **state)
{
	struct dir *d = *state;
	struct peer daemon = start_holder(d);
	struct lockfile l = open_lock(d);
	uint64_t before, now;

	turn(&daemon);
	assert_true(lockfile_pulse(&l, &before));
	for (unsigned i = 0; i < SC_CRASHES_MAX; i++)
		lockfile_note_start(&l, 1000, true);
	assert_true(lockfile_pulse(&l, &now));
	assert_int_equal(now, before);
	turn(&daemon);
	assert_false(lockfile_may_start(&l, 1000));
	kill_off(&daemon);
	lockfile_close(&l);
}

/* Whatever lies there, a daemon is kept from starting for one window at most. */
static void a_damaged_file_costs_a_window_at_most(void **state)
{
	struct dir *d = *state;
	struct lockfile l = open_lock(d);
	unsigned char bytes[4096];

	for (unsigned fill = 0; fill < 256; fill++) {
		const uint64_t first = 0x0101010101010101ULL * fill;

		memset(bytes, (int)fill, sizeof bytes);
		assert_int_equal(pwrite(l.fd, bytes, sizeof bytes, 0), sizeof bytes);
		/* A window that begins in the future is one of another boot. */
		assert_true(first == 0 || lockfile_may_start(&l, first - 1));
		if (first < UINT64_MAX - SC_CRASH_WINDOW_MS)
			assert_true(lockfile_may_start(&l, first + SC_CRASH_WINDOW_MS + 1));
		lockfile_note_start(&l, first, false);
		assert_true(lockfile_may_start(&l, first));
	}
	lockfile_close(&l);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_lock_is_made_for_its_owner_only_whatever_the_umask),
		TEST(what_is_not_a_file_of_ours_is_refused),
		TEST(what_has_another_name_too_is_not_written),
		TEST(two_never_hold_it),
		TEST(a_holder_killed_with_kill_9_lets_go_at_once),
		TEST(to_close_is_to_let_go),
		TEST(who_waits_for_the_lock_waits_as_long_as_it_says),
		TEST(who_waits_for_the_lock_gets_it_when_its_holder_goes),
		TEST(every_process_sees_the_loop_turn),
		TEST(a_file_cut_short_has_no_pulse),
		TEST(one_starts_at_a_time),
		TEST(a_starter_killed_with_kill_9_makes_room_at_once),
		TEST(the_start_lock_and_the_daemons_are_not_in_each_others_way),
		TEST(who_only_looks_makes_nothing_and_sees_what_was_noted),
		TEST(after_three_failed_starts_none_is_tried_before_the_window_is_over),
		TEST(failures_far_apart_stop_nobody),
		TEST(a_success_forgives_all_failures),
		TEST(failures_are_counted_over_all_clients),
		TEST(failures_of_another_boot_do_not_count),
		TEST(the_counting_of_failures_does_not_touch_the_pulse),
		TEST(a_damaged_file_costs_a_window_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

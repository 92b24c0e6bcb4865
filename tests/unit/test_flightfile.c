/* The promises of daemon/flightfile.h, across processes. Calls of the C library are replaced here: `fcntl`, to refuse a lock,
 * `write`, for a disk that is full, and `geteuid`, to stand for a file of somebody else. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/flightfile.h"
#include "lib/err.h"

#define HEX "abcdef01000000000000000000000000"
#define FILE_NAME "flights/" HEX

/* ---- what is replaced ---- */

static bool as_another_user, no_locks, disk_is_full;

uid_t geteuid(void)
{
	return (uid_t)syscall(SYS_geteuid) + as_another_user;
}

int fcntl(int fd, int cmd, ...)
{
	static int (*real)(int, int, ...);
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (no_locks && cmd == F_OFD_SETLK) {
		errno = ENOLCK;
		return -1;
	}
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fcntl");
	return real(fd, cmd, arg);
}

ssize_t write(int fd, const void *p, size_t n)
{
	if (disk_is_full) {
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_write, fd, p, n);
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
	snprintf(d->path, sizeof d->path, "%s/flight.XXXXXX", base && strlen(base) < 64 ? base : "/tmp");
	if (!mkdtemp(d->path))
		return -1;
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	as_another_user = no_locks = disk_is_full = false;
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

	as_another_user = no_locks = disk_is_full = false;
	close(d->fd);
	rc = nftw(d->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	fds = open_fds();
	if (fds != d->fds)
		print_error("%u descriptors were open before, %u are now\n", d->fds, fds);
	rc |= fds != d->fds;
	free(d);
	return rc;
}

static struct flightfile example(void)
{
	return (struct flightfile){.gen = {{0xab, 0xcd, 0xef, 1}},
				   .bucket = "default",
				   .key = "k\xff\n/../x",
				   .key_len = 8,
				   .order = 1ULL << 40,
				   .ttl_ms = 3600000,
				   .stale_ms = 7200000,
				   .tags = "a,b",
				   .command = {1, 2, 0, 255},
				   .created_wall_ms = 1700000000000};
}

/* *lock_fd: as flightfile_create gives it. */
static struct flightfile create(const struct dir *d, int *lock_fd)
{
	struct flightfile f = example();

	*lock_fd = -1;
	assert_int_equal(flightfile_create(d->fd, NULL, &f, lock_fd), 0);
	assert_true(*lock_fd >= 0);
	return f;
}

static int read_back(const struct dir *d, struct flightfile *f, bool *locked)
{
	return flightfile_read(d->fd, NULL, HEX, f, locked);
}

static void assert_same(const struct flightfile *a, const struct flightfile *b)
{
	assert_true(gen_equal(&a->gen, &b->gen));
	assert_string_equal(a->bucket, b->bucket);
	assert_int_equal(a->key_len, b->key_len);
	assert_memory_equal(a->key, b->key, a->key_len);
	assert_int_equal(a->order, b->order);
	assert_int_equal(a->ttl_ms, b->ttl_ms);
	assert_int_equal(a->stale_ms, b->stale_ms);
	assert_string_equal(a->tags, b->tags);
	assert_memory_equal(a->command, b->command, SC_COMMAND_SIZE);
	assert_int_equal(a->keep_ms, b->keep_ms);
	assert_int_equal(a->renewal, b->renewal);
	assert_int_equal(a->created_wall_ms, b->created_wall_ms);
	assert_int_equal(a->doomed, b->doomed);
	assert_int_equal(a->finish, b->finish);
}

static bool is_there(const struct dir *d, const char *name)
{
	struct stat st;

	return fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The whole file; its length. */
static size_t load(const struct dir *d, const char *name, unsigned char *bytes, size_t size)
{
	int fd = openat(d->fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, bytes, size);
	assert_true(n >= 0);
	close(fd);
	return (size_t)n;
}

static void store(const struct dir *d, const char *name, const void *bytes, size_t n)
{
	int fd = openat(d->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}

/* ---- what is in it ---- */

static void a_flight_survives_being_written(void **state)
{
	struct dir *d = *state;
	struct flightfile rows[4], back;
	bool locked;

	for (size_t i = 0; i < COUNT(rows); i++)
		rows[i] = example();
	rows[1].key_len = 1;
	rows[1].order = rows[1].ttl_ms = rows[1].created_wall_ms = 0;
	rows[1].finish = true;
	rows[1].renewal = true;
	rows[1].stale_ms = 0;
	rows[1].tags[0] = '\0';
	memset(rows[1].command, 0, SC_COMMAND_SIZE);
	rows[1].keep_ms = 90000;
	strcpy(rows[1].bucket, "b");
	memset(rows[2].key, 0xff, rows[2].key_len = SC_KEY_MAX);
	memset(rows[2].bucket, 'z', SC_BUCKET_MAX);
	memset(rows[2].tags, '~', SC_TAGS_SIZE);
	rows[2].order = SC_ORDER_MAX;
	rows[2].created_wall_ms = UINT64_MAX;
	rows[2].ttl_ms = SC_FOREVER;
	rows[2].stale_ms = rows[2].keep_ms = SC_FOREVER;
	rows[2].doomed = true;
	rows[3].doomed = rows[3].finish = true;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int lock_fd = -1;

		assert_int_equal(flightfile_create(d->fd, NULL, &rows[i], &lock_fd), 0);
		memset(&back, 0x55, sizeof back);
		assert_int_equal(read_back(d, &back, &locked), 0);
		assert_same(&rows[i], &back);
		close(lock_fd);
		assert_int_equal(flightfile_unlink(d->fd, &rows[i].gen), 0);
	}
}

static void the_file_is_0600_and_its_directory_0700_whatever_the_umask(void **state)
{
	struct dir *d = *state;
	mode_t mask = umask(0);
	struct stat st;
	int lock_fd;

	create(d, &lock_fd);
	umask(mask);
	assert_int_equal(fstat(lock_fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fstatat(d->fd, "flights", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(fcntl(lock_fd, F_GETFD), FD_CLOEXEC);
	close(lock_fd);
}

static void a_flight_that_cannot_be_made_leaves_nothing(void **state)
{
	static bool *const faults[] = {&disk_is_full, &no_locks};
	static const int reasons[] = {ENOSPC, ENOLCK};
	struct dir *d = *state;
	struct flightfile f = example();

	for (size_t i = 0; i < COUNT(faults); i++) {
		int lock_fd = -1, rc, saved;

		*faults[i] = true;
		rc = flightfile_create(d->fd, NULL, &f, &lock_fd);
		saved = errno;
		*faults[i] = false;
		assert_int_equal(rc, SC_ESYS);
		assert_int_equal(saved, reasons[i]);
		assert_false(is_there(d, FILE_NAME));
		/* Not a number that was a descriptor for a moment: whoever cleans up would close somebody else's. */
		assert_int_equal(lock_fd, -1);
	}
}

static void a_name_that_is_taken_is_left_alone(void **state)
{
	struct dir *d = *state;
	struct flightfile f, back;
	int lock_fd, second = -1, rc, why;
	bool locked = false, there;

	f = create(d, &lock_fd);
	rc = flightfile_create(d->fd, NULL, &f, &second);
	why = errno;
	there = read_back(d, &back, &locked) == 0;
	close(lock_fd);
	assert_int_equal(rc, SC_ESYS);
	assert_int_equal(why, EEXIST);
	assert_true(there && locked);
}

/* ---- the lock ---- */

static void assert_locked(const struct dir *d, bool expected)
{
	struct flightfile f = example(), back;
	bool locked = !expected;

	assert_int_equal(read_back(d, &back, &locked), 0);
	assert_int_equal(locked, expected);
	assert_int_equal(flightfile_is_locked(d->fd, &f.gen), expected);
}

static void a_flight_is_locked_as_long_as_its_descriptor_lives(void **state)
{
	struct dir *d = *state;
	int lock_fd, copy;

	create(d, &lock_fd);
	assert_locked(d, true);
	/* To have looked is not to have let go. */
	assert_locked(d, true);
	copy = fcntl(lock_fd, F_DUPFD_CLOEXEC, 0);
	close(lock_fd);
	assert_locked(d, true);
	close(copy);
	assert_locked(d, false);
}

/* Says that it lives, and lives until it is told or killed. */
static pid_t start_writer(int lock_fd, int *fd)
{
	int pair[2];
	pid_t pid;
	char c;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		c = fcntl(lock_fd, F_GETFD) >= 0;
		if (write(pair[1], &c, 1) == 1 && read(pair[1], &c, 1) == 1)
			_exit(0);
		_exit(1);
	}
	close(pair[1]);
	*fd = pair[0];
	assert_int_equal(read(*fd, &c, 1), 1);
	assert_int_equal(c, 1);
	return pid;
}

static int end_of(pid_t pid, int fd)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(fd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void the_lock_goes_over_to_the_writer_and_ends_with_it(void **state)
{
	struct dir *d = *state;

	for (unsigned i = 0; i < 10; i++) {
		int lock_fd, fd;
		struct flightfile f = create(d, &lock_fd);
		pid_t writer = start_writer(lock_fd, &fd);

		/* The daemon and the client close theirs. */
		close(lock_fd);
		assert_locked(d, true);
		assert_int_equal(kill(writer, SIGKILL), 0);
		assert_int_equal(end_of(writer, fd), 128 + SIGKILL);
		assert_locked(d, false);
		assert_int_equal(flightfile_unlink(d->fd, &f.gen), 0);
	}
}

static void the_lock_lives_while_one_of_two_that_could_finish_lives(void **state)
{
	struct dir *d = *state;
	int lock_fd, client_fd, writer_fd;
	pid_t client, writer;

	create(d, &lock_fd);
	client = start_writer(lock_fd, &client_fd);
	writer = start_writer(lock_fd, &writer_fd);
	close(lock_fd);
	assert_int_equal(kill(client, SIGKILL), 0);
	assert_int_equal(end_of(client, client_fd), 128 + SIGKILL);
	assert_locked(d, true);
	assert_int_equal(write(writer_fd, "", 1), 1);
	assert_int_equal(end_of(writer, writer_fd), 0);
	assert_locked(d, false);
}

static void a_flight_that_is_gone_is_not_locked(void **state)
{
	struct dir *d = *state;
	struct flightfile f = example();
	bool locked;
	int lock_fd;

	assert_false(flightfile_is_locked(d->fd, &f.gen));
	assert_int_equal(read_back(d, &f, &locked), SC_ENOENT);
	create(d, &lock_fd);
	assert_int_equal(flightfile_unlink(d->fd, &f.gen), 0);
	assert_false(flightfile_is_locked(d->fd, &f.gen));
	assert_int_equal(read_back(d, &f, &locked), SC_ENOENT);
	/* Gone is gone, once or twice. */
	assert_int_equal(flightfile_unlink(d->fd, &f.gen), 0);
	close(lock_fd);
}

/* C01: taken for dead, a living run would be run a second time beside the first. */
static void in_doubt_a_flight_is_locked(void **state)
{
	struct dir *d = *state;
	struct rlimit old, none;
	struct flightfile f;
	bool locked;
	int lock_fd;

	f = create(d, &lock_fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	locked = flightfile_is_locked(d->fd, &f.gen);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(lock_fd);
	assert_true(locked);
}

/* ---- marks ---- */

static void a_mark_survives_and_is_only_itself(void **state)
{
	static const enum flight_mark marks[] = {MARK_DOOMED, MARK_FINISH};
	struct dir *d = *state;

	for (size_t i = 0; i < COUNT(marks); i++) {
		unsigned char before[256], after[256];
		struct flightfile f, back;
		bool locked;
		size_t n;
		int lock_fd;

		f = create(d, &lock_fd);
		n = load(d, FILE_NAME, before, sizeof before);
		assert_int_equal(flightfile_mark(d->fd, &f.gen, marks[i]), 0);
		/* The writer reads it through its lock, at its place. */
		before[marks[i]] = 1;
		assert_int_equal(load(d, FILE_NAME, after, sizeof after), n);
		assert_memory_equal(before, after, n);
		assert_int_equal(pread(lock_fd, after, 1, marks[i]), 1);
		assert_int_equal(after[0], 1);
		/* Again is the same, and it outlives who set it and who held the lock. */
		assert_int_equal(flightfile_mark(d->fd, &f.gen, marks[i]), 0);
		close(lock_fd);
		assert_int_equal(read_back(d, &back, &locked), 0);
		f.doomed = marks[i] == MARK_DOOMED;
		f.finish = marks[i] == MARK_FINISH;
		assert_same(&f, &back);
		assert_int_equal(flightfile_unlink(d->fd, &f.gen), 0);
	}
}

static void a_mark_makes_no_file(void **state)
{
	struct dir *d = *state;
	struct flightfile f = example();

	assert_int_equal(flightfile_mark(d->fd, &f.gen, MARK_DOOMED), SC_ENOENT);
	assert_int_equal(mkdirat(d->fd, "flights", 0700), 0);
	assert_int_equal(flightfile_mark(d->fd, &f.gen, MARK_DOOMED), SC_ENOENT);
	assert_false(is_there(d, FILE_NAME));
}

/* ---- what is not a flight ---- */

static void a_file_torn_anywhere_is_corrupt(void **state)
{
	struct dir *d = *state;
	unsigned char bytes[256];
	struct flightfile f;
	bool locked;
	size_t n;
	int lock_fd;

	create(d, &lock_fd);
	n = load(d, FILE_NAME, bytes, sizeof bytes);
	assert_in_range(n, 32, sizeof bytes - 1);
	for (size_t len = 0; len < n; len++) {
		store(d, FILE_NAME, bytes, len);
		locked = false;
		assert_int_equal(read_back(d, &f, &locked), SC_ECORRUPT);
		/* Whether somebody lives who could finish it is known all the same. */
		assert_true(locked);
	}
	close(lock_fd);
	store(d, FILE_NAME, bytes, n / 2);
	assert_int_equal(read_back(d, &f, &locked), SC_ECORRUPT);
	assert_false(locked);
	bytes[n] = 0;
	store(d, FILE_NAME, bytes, n + 1);
	assert_int_equal(read_back(d, &f, &locked), SC_ECORRUPT);
	store(d, FILE_NAME, bytes, n);
	assert_int_equal(read_back(d, &f, &locked), 0);
}

/* D03 */
static void zeros_after_power_loss_are_corrupt(void **state)
{
	struct dir *d = *state;
	unsigned char bytes[8192] = {0};
	struct flightfile f;
	bool locked;
	size_t n;
	int lock_fd;

	create(d, &lock_fd);
	close(lock_fd);
	n = load(d, FILE_NAME, bytes, sizeof bytes);
	for (size_t from = 0; from < n; from++) {
		unsigned char torn[256] = {0};

		memcpy(torn, bytes, from);
		store(d, FILE_NAME, torn, n);
		assert_int_equal(read_back(d, &f, &locked), SC_ECORRUPT);
	}
	memset(bytes, 0, sizeof bytes);
	store(d, FILE_NAME, bytes, sizeof bytes);
	assert_int_equal(read_back(d, &f, &locked), SC_ECORRUPT);
}

/* A changed byte may be another key or another time, but never more than a flight may be, nor another generation. */
static void a_changed_byte_is_corrupt_or_within_bounds(void **state)
{
	struct dir *d = *state;
	unsigned char bytes[256];
	struct flightfile whole;
	size_t n;
	int lock_fd;

	whole = create(d, &lock_fd);
	close(lock_fd);
	n = load(d, FILE_NAME, bytes, sizeof bytes);
	for (size_t i = 0; i < n; i++)
		for (unsigned v = 1; v < 256; v *= 2) {
			struct flightfile f = {0};
			bool locked;
			int rc;

			bytes[i] ^= (unsigned char)v;
			store(d, FILE_NAME, bytes, n);
			rc = read_back(d, &f, &locked);
			bytes[i] ^= (unsigned char)v;
			assert_true(rc == 0 || rc == SC_ECORRUPT);
			if (rc)
				continue;
			assert_true(i >= 8);
			assert_in_range(f.key_len, 1, SC_KEY_MAX);
			assert_in_range(strlen(f.bucket), 1, SC_BUCKET_MAX);
			assert_true(gen_equal(&f.gen, &whole.gen));
		}
}

static void a_flight_under_another_name_is_corrupt(void **state)
{
	static const char other[] = "abcdef02000000000000000000000000";
	struct dir *d = *state;
	struct flightfile f;
	bool locked;
	int lock_fd;

	create(d, &lock_fd);
	assert_int_equal(linkat(d->fd, FILE_NAME, d->fd, "flights/abcdef02000000000000000000000000", 0), 0);
	assert_int_equal(flightfile_read(d->fd, NULL, other, &f, &locked), SC_ECORRUPT);
	close(lock_fd);
}

static void plant_link(const struct dir *d)
{
	store(d, "elsewhere", "scflight and what follows, not ours", 35);
	assert_int_equal(symlinkat("../elsewhere", d->fd, FILE_NAME), 0);
}

static void plant_fifo(const struct dir *d)
{
	assert_int_equal(mkfifoat(d->fd, FILE_NAME, 0600), 0);
}

static void plant_directory(const struct dir *d)
{
	assert_int_equal(mkdirat(d->fd, FILE_NAME, 0700), 0);
}

static void plant_socket(const struct dir *d)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(un.sun_path, sizeof un.sun_path, "/proc/self/fd/%d/%s", d->fd, FILE_NAME);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
	close(fd);
}

static void plant_writable_by_others(const struct dir *d)
{
	store(d, FILE_NAME, "", 0);
	assert_int_equal(fchmodat(d->fd, FILE_NAME, 0622, 0), 0);
}

static void plant_somebody_elses(const struct dir *d)
{
	store(d, FILE_NAME, "", 0);
	as_another_user = true;
}

static void (*const plants[])(const struct dir *) = {
	plant_link, plant_fifo, plant_directory, plant_socket, plant_writable_by_others, plant_somebody_elses};

static void unplant(const struct dir *d)
{
	as_another_user = false;
	if (unlinkat(d->fd, FILE_NAME, 0) < 0)
		assert_int_equal(unlinkat(d->fd, FILE_NAME, AT_REMOVEDIR), 0);
}

/* S05, S06 */
static void what_is_not_a_private_file_of_ours_is_unsafe(void **state)
{
	struct dir *d = *state;

	assert_int_equal(mkdirat(d->fd, "flights", 0700), 0);
	for (size_t i = 0; i < COUNT(plants); i++) {
		struct flightfile f;
		bool locked;
		int rc;

		plants[i](d);
		rc = read_back(d, &f, &locked);
		unplant(d);
		if (rc != SC_EUNSAFE)
			fail_msg("plant %zu: %s", i, sc_strerror(rc));
	}
}

/* S06: opened for writing, a FIFO that nobody reads would hold the daemon for ever. */
static void no_mark_is_set_on_what_is_not_a_private_file_of_ours(void **state)
{
	struct dir *d = *state;

	assert_int_equal(mkdirat(d->fd, "flights", 0700), 0);
	for (size_t i = 0; i < COUNT(plants); i++) {
		struct flightfile f = example();
		struct pollfd p = {.events = POLLIN};
		int ends[2];
		bool hangs;
		char rc = 0;
		pid_t pid;

		plants[i](d);
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			rc = (char)flightfile_mark(d->fd, &f.gen, MARK_DOOMED);
			_exit(write(ends[1], &rc, 1) != 1);
		}
		close(ends[1]);
		p.fd = ends[0];
		hangs = poll(&p, 1, 10000) == 0;
		kill(pid, SIGKILL);
		end_of(pid, -1);
		if (!hangs && read(ends[0], &rc, 1) != 1)
			rc = 0;
		close(ends[0]);
		unplant(d);
		if (hangs || rc == 0)
			fail_msg("plant %zu: %s", i, hangs ? "hangs" : "was written");
	}
	assert_true(is_there(d, "elsewhere"));
}

/* ---- the directory ---- */

struct seen {
	unsigned calls;
	char names[8][40];
};

static void note(void *arg, const char *name)
{
	struct seen *s = arg;

	assert_true(s->calls < COUNT(s->names));
	snprintf(s->names[s->calls++], sizeof s->names[0], "%s", name);
}

static bool was_seen(const struct seen *s, const char *name)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->calls; i++)
		n += strcmp(s->names[i], name) == 0;
	assert_in_range(n, 0, 1);
	return n;
}

static void a_scan_finds_generations_and_nothing_else(void **state)
{
	static const char *const foreign[] = {
		"README",
		".hidden",
		"abcdef0100000000000000000000000",
		"abcdef0100000000000000000000000000",
		"ABCDEF01000000000000000000000000",
		"abcdef0100000000000000000000000g",
		"abcdef01000000000000000000000000.tmp",
		"abcdef01000000000000000000000000~",
		" bcdef01000000000000000000000000",
		"lost+found",
	};
	static const char empty[] = "00000000000000000000000000000001", dir_name[] = "ffffffffffffffffffffffffffffffff";
	struct dir *d = *state;
	struct seen s = {0};
	char name[64];
	int lock_fd;

	/* Before the first flight there is not even a directory. */
	assert_int_equal(flightfile_scan(d->fd, note, &s), 0);
	create(d, &lock_fd);
	close(lock_fd);
	for (size_t i = 0; i < COUNT(foreign); i++) {
		snprintf(name, sizeof name, "flights/%s", foreign[i]);
		store(d, name, "x", 1);
	}
	/* By its name; what it is, the reader judges. */
	snprintf(name, sizeof name, "flights/%s", empty);
	store(d, name, "", 0);
	snprintf(name, sizeof name, "flights/%s", dir_name);
	assert_int_equal(mkdirat(d->fd, name, 0700), 0);
	assert_int_equal(flightfile_scan(d->fd, note, &s), 0);
	assert_int_equal(s.calls, 3);
	assert_true(was_seen(&s, HEX) && was_seen(&s, empty) && was_seen(&s, dir_name));
	for (size_t i = 0; i < COUNT(foreign); i++) {
		snprintf(name, sizeof name, "flights/%s", foreign[i]);
		assert_true(is_there(d, name));
	}
}

static int removing_fd;

static void remove_it(void *arg, const char *name)
{
	struct gen g;

	note(arg, name);
	assert_int_equal(gen_parse(name, strlen(name), &g), 0);
	assert_int_equal(flightfile_unlink(removing_fd, &g), 0);
}

static void what_is_removed_during_a_scan_hides_nothing_else(void **state)
{
	struct dir *d = *state;
	struct seen s = {0};

	removing_fd = d->fd;
	for (unsigned char i = 0; i < COUNT(s.names); i++) {
		struct flightfile f = example();
		int lock_fd;

		f.gen.b[15] = i;
		assert_int_equal(flightfile_create(d->fd, NULL, &f, &lock_fd), 0);
		close(lock_fd);
	}
	assert_int_equal(flightfile_scan(d->fd, remove_it, &s), 0);
	assert_int_equal(s.calls, COUNT(s.names));
	assert_int_equal(unlinkat(d->fd, "flights", AT_REMOVEDIR), 0);
}

/* I7, S05: nothing outside the cache directory is read, made or removed. */
static void flights_as_a_link_is_not_followed(void **state)
{
	struct dir *d = *state;
	struct flightfile f = example();
	struct seen s = {0};
	int lock_fd = -1;
	bool locked;

	assert_int_equal(mkdirat(d->fd, "elsewhere", 0700), 0);
	assert_int_equal(symlinkat("elsewhere", d->fd, "flights"), 0);
	assert_int_equal(flightfile_scan(d->fd, note, &s), SC_EUNSAFE);
	assert_int_equal(s.calls, 0);
	if (flightfile_create(d->fd, NULL, &f, &lock_fd) == 0)
		close(lock_fd);
	assert_false(is_there(d, "elsewhere/" HEX));
	store(d, "elsewhere/" HEX, "x", 1);
	assert_int_not_equal(read_back(d, &f, &locked), SC_ECORRUPT);
	assert_int_not_equal(flightfile_mark(d->fd, &f.gen, MARK_DOOMED), 0);
	flightfile_unlink(d->fd, &f.gen);
	assert_true(is_there(d, "elsewhere/" HEX));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_flight_survives_being_written),
		TEST(the_file_is_0600_and_its_directory_0700_whatever_the_umask),
		TEST(a_flight_that_cannot_be_made_leaves_nothing),
		TEST(a_name_that_is_taken_is_left_alone),
		TEST(a_flight_is_locked_as_long_as_its_descriptor_lives),
		TEST(the_lock_goes_over_to_the_writer_and_ends_with_it),
		TEST(the_lock_lives_while_one_of_two_that_could_finish_lives),
		TEST(a_flight_that_is_gone_is_not_locked),
		TEST(in_doubt_a_flight_is_locked),
		TEST(a_mark_survives_and_is_only_itself),
		TEST(a_mark_makes_no_file),
		TEST(a_file_torn_anywhere_is_corrupt),
		TEST(zeros_after_power_loss_are_corrupt),
		TEST(a_changed_byte_is_corrupt_or_within_bounds),
		TEST(a_flight_under_another_name_is_corrupt),
		TEST(what_is_not_a_private_file_of_ours_is_unsafe),
		TEST(no_mark_is_set_on_what_is_not_a_private_file_of_ours),
		TEST(a_scan_finds_generations_and_nothing_else),
		TEST(what_is_removed_during_a_scan_hides_nothing_else),
		TEST(flights_as_a_link_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

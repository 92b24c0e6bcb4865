/* The promises of lib/object.h. Two calls of the C library are replaced here: `write`, to be short, interrupted or refused, and
 * `geteuid`, to stand for a file of somebody else. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/gen.h"
#include "lib/limits.h"
#include "lib/object.h"

static const struct gen GEN = {{0xab, 0xcd, 0xef, 1}}, OTHER = {{0xab, 0xcd, 0xef, 2}};
#define OUT "objects/ab/abcdef01000000000000000000000000.out"
#define ERR "objects/ab/abcdef01000000000000000000000000.err"

/* ---- what is replaced ---- */

static bool as_another_user;
static size_t most;	    /* of one write; 0: no bound */
static unsigned interrupts; /* every so many writes is interrupted; 0: none */
static int room = -1;	    /* bytes until the disk is full; -1: it never is */
static unsigned writes;

uid_t geteuid(void)
{
	return (uid_t)syscall(SYS_geteuid) + as_another_user;
}

ssize_t write(int fd, const void *p, size_t n)
{
	if (interrupts && ++writes % interrupts == 0) {
		errno = EINTR;
		return -1;
	}
	if (room == 0) {
		errno = ENOSPC;
		return -1;
	}
	if (most && n > most)
		n = most;
	if (room > 0) {
		if (n > (size_t)room)
			n = (size_t)room;
		room -= (int)n;
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
	snprintf(d->path, sizeof d->path, "%s/object.XXXXXX", base && strlen(base) < 64 ? base : "/tmp");
	if (!mkdtemp(d->path))
		return -1;
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	as_another_user = false;
	most = interrupts = 0;
	room = -1;
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

	as_another_user = false;
	close(d->fd);
	rc = nftw(d->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	fds = open_fds();
	if (fds != d->fds)
		print_error("%u descriptors were open before, %u are now\n", d->fds, fds);
	rc |= fds != d->fds;
	free(d);
	return rc;
}

static mode_t mode_of(const struct dir *d, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_mode & 0777;
}

static bool is_there(const struct dir *d, const char *name)
{
	struct stat st;

	return fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void make_file(const struct dir *d, const char *name, const char *text)
{
	int fd = openat(d->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void make_dirs(const struct dir *d)
{
	assert_int_equal(mkdirat(d->fd, "objects", 0700), 0);
	assert_int_equal(mkdirat(d->fd, "objects/ab", 0700), 0);
}

static int create(const struct dir *d, enum stream s)
{
	int fd = -1;

	assert_int_equal(object_create(d->fd, &GEN, s, &fd), 0);
	assert_true(fd >= 0);
	return fd;
}

static void assert_holds(const struct dir *d, const char *name, const void *bytes, size_t n)
{
	int fd = openat(d->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char *got = malloc(n + 1);

	assert_true(fd >= 0);
	assert_non_null(got);
	assert_int_equal(read(fd, got, n + 1), n);
	assert_memory_equal(got, bytes, n);
	free(got);
	close(fd);
}

/* ---- names and birth ---- */

static void a_name_is_made_of_the_generation_alone(void **state)
{
	char name[SC_OBJECT_NAME];

	(void)state;
	object_name(&GEN, STREAM_OUT, name);
	assert_string_equal(name, OUT);
	object_name(&GEN, STREAM_ERR, name);
	assert_string_equal(name, ERR);
}

static void an_object_is_born_empty_with_its_directories(void **state)
{
	struct dir *d = *state;
	int fd = create(d, STREAM_OUT);

	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND), O_WRONLY | O_APPEND);
	assert_true(is_there(d, OUT));
	assert_false(is_there(d, ERR));
	close(fd);
	close(create(d, STREAM_ERR));
	assert_true(is_there(d, ERR));
}

static void files_are_0600_and_directories_0700_whatever_the_umask(void **state)
{
	static const mode_t masks[] = {0, 022, 077};
	struct dir *d = *state;

	for (size_t i = 0; i < COUNT(masks); i++) {
		mode_t old = umask(masks[i]);
		int fd = create(d, STREAM_OUT);

		umask(old);
		assert_int_equal(mode_of(d, OUT), 0600);
		assert_int_equal(mode_of(d, "objects"), 0700);
		assert_int_equal(mode_of(d, "objects/ab"), 0700);
		close(fd);
		assert_int_equal(object_unlink(d->fd, &GEN), 0);
		assert_int_equal(unlinkat(d->fd, "objects/ab", AT_REMOVEDIR), 0);
		assert_int_equal(unlinkat(d->fd, "objects", AT_REMOVEDIR), 0);
	}
}

static void a_name_is_never_used_twice(void **state)
{
	struct dir *d = *state;
	int fd;

	make_dirs(d);
	make_file(d, OUT, "first");
	assert_int_equal(object_create(d->fd, &GEN, STREAM_OUT, &fd), SC_EBUSY);
	assert_holds(d, OUT, "first", 5);
	/* Neither what a link leads to … */
	make_file(d, "victim", "mine");
	assert_int_equal(symlinkat("../../victim", d->fd, ERR), 0);
	assert_int_equal(object_create(d->fd, &GEN, STREAM_ERR, &fd), SC_EBUSY);
	assert_holds(d, "victim", "mine", 4);
	/* … nor what it would lead to … */
	assert_int_equal(unlinkat(d->fd, ERR, 0), 0);
	assert_int_equal(symlinkat("../../nothing", d->fd, ERR), 0);
	assert_int_equal(object_create(d->fd, &GEN, STREAM_ERR, &fd), SC_EBUSY);
	assert_false(is_there(d, "nothing"));
	/* … nor a FIFO, which would have to be waited for. */
	assert_int_equal(unlinkat(d->fd, ERR, 0), 0);
	assert_int_equal(mkfifoat(d->fd, ERR, 0600), 0);
	assert_int_equal(object_create(d->fd, &GEN, STREAM_ERR, &fd), SC_EBUSY);
}

static void a_directory_that_cannot_be_made_is_an_error_with_its_reason(void **state)
{
	struct dir *d = *state;
	int fd;

	make_file(d, "objects", "");
	errno = 0;
	assert_int_equal(object_create(d->fd, &GEN, STREAM_OUT, &fd), SC_ESYS);
	assert_int_equal(errno, ENOTDIR);
}

/* ---- growth ---- */

static void every_byte_arrives_whatever_short_writes_and_interrupts_there_are(void **state)
{
	enum { SIZE = 1 << 20 };
	static const size_t shorts[] = {1, 7, 4096, 65537, 0};
	struct dir *d = *state;
	unsigned char *bytes = malloc(SIZE);

	assert_non_null(bytes);
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (unsigned char)(i * 2654435761U >> 13);
	for (size_t i = 0; i < COUNT(shorts); i++) {
		size_t n = shorts[i] == 1 ? 10000 : SIZE;
		int fd = create(d, STREAM_OUT);

		most = shorts[i];
		interrupts = 3;
		assert_int_equal(object_append(fd, bytes, n / 2), 0);
		assert_int_equal(object_append(fd, bytes, 0), 0);
		assert_int_equal(object_append(fd, bytes + n / 2, n - n / 2), 0);
		most = interrupts = 0;
		close(fd);
		assert_holds(d, OUT, bytes, n);
		assert_int_equal(object_unlink(d->fd, &GEN), 0);
	}
	free(bytes);
}

static void what_is_appended_stands_at_the_end_whoever_wrote_before(void **state)
{
	struct dir *d = *state;
	int a = create(d, STREAM_OUT), b = openat(d->fd, OUT, O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_int_equal(object_append(a, "one ", 4), 0);
	assert_int_equal(object_append(b, "two ", 4), 0);
	assert_int_equal(lseek(a, 0, SEEK_SET), 0);
	assert_int_equal(object_append(a, "three", 5), 0);
	assert_holds(d, OUT, "one two three", 13);
	close(a);
	close(b);
}

static void a_disk_that_fills_up_is_said_with_its_reason(void **state)
{
	struct dir *d = *state;
	int fd = create(d, STREAM_OUT);

	room = 6;
	assert_int_equal(object_append(fd, "0123456789", 10), SC_ESYS);
	assert_int_equal(errno, ENOSPC);
	room = -1;
	close(fd);
	assert_holds(d, OUT, "012345", 6);
}

/* ---- opening anew ---- */

/* A day before it was written, so that even `relatime` would say that it was read. */
static void reading_an_object_does_not_change_it(void **state)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
	struct dir *d = *state;
	struct stat st;
	uint64_t size;
	char byte;
	int fd;

	assert_int_equal(object_create(d->fd, &GEN, STREAM_OUT, &fd), 0);
	assert_int_equal(object_append(fd, "x", 1), 0);
	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= 86400;
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
	assert_int_equal(object_open(d->fd, &GEN, STREAM_OUT, &fd, &size), 0);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_atim.tv_sec, times[0].tv_sec);
	close(fd);
}

static void an_object_is_opened_anew_at_its_beginning(void **state)
{
	struct dir *d = *state;
	int w = create(d, STREAM_OUT), a = -1, b = -1;
	uint64_t size = 99;
	char c[8];

	assert_int_equal(object_open(d->fd, &GEN, STREAM_OUT, &a, &size), 0);
	assert_int_equal(size, 0);
	assert_int_equal(object_append(w, "bytes", 5), 0);
	assert_int_equal(object_open(d->fd, &GEN, STREAM_OUT, &b, &size), 0);
	assert_int_equal(size, 5);
	/* Offsets are each one's own, and nobody who reads can write. */
	assert_int_equal(read(a, c, sizeof c), 5);
	assert_int_equal(read(b, c, sizeof c), 5);
	assert_int_equal(fcntl(a, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(fcntl(a, F_GETFD), FD_CLOEXEC);
	close(w);
	close(a);
	close(b);
}

static void an_object_that_is_not_there_is_none(void **state)
{
	struct dir *d = *state;
	uint64_t size;
	int fd;

	assert_int_equal(object_open(d->fd, &GEN, STREAM_OUT, &fd, &size), SC_ENOENT);
	make_dirs(d);
	assert_int_equal(object_open(d->fd, &GEN, STREAM_OUT, &fd, &size), SC_ENOENT);
	close(create(d, STREAM_OUT));
	assert_int_equal(object_open(d->fd, &GEN, STREAM_ERR, &fd, &size), SC_ENOENT);
	assert_int_equal(object_open(d->fd, &OTHER, STREAM_OUT, &fd, &size), SC_ENOENT);
}

static void plant_link(const struct dir *d)
{
	make_file(d, "elsewhere", "not ours to give");
	assert_int_equal(symlinkat("../../elsewhere", d->fd, OUT), 0);
}

static void plant_link_to_nothing(const struct dir *d)
{
	assert_int_equal(symlinkat("nothing", d->fd, OUT), 0);
}

static void plant_fifo(const struct dir *d)
{
	assert_int_equal(mkfifoat(d->fd, OUT, 0600), 0);
}

static void plant_directory(const struct dir *d)
{
	assert_int_equal(mkdirat(d->fd, OUT, 0700), 0);
}

static void plant_socket(const struct dir *d)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	/* The name is too long beside a long TMPDIR: through the directory's descriptor. */
	snprintf(un.sun_path, sizeof un.sun_path, "/proc/self/fd/%d/%s", d->fd, OUT);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
	close(fd);
}

static void plant_writable_by_group(const struct dir *d)
{
	make_file(d, OUT, "");
	assert_int_equal(fchmodat(d->fd, OUT, 0620, 0), 0);
}

static void plant_writable_by_others(const struct dir *d)
{
	make_file(d, OUT, "");
	assert_int_equal(fchmodat(d->fd, OUT, 0602, 0), 0);
}

static void plant_somebody_elses(const struct dir *d)
{
	make_file(d, OUT, "");
	as_another_user = true;
}

/* S05, S06: none of them is opened, and none is waited for (a FIFO without a writer would be, for ever). */
static void what_is_not_a_private_file_of_ours_is_not_opened(void **state)
{
	static void (*const plants[])(const struct dir *) = {
		plant_link,
		plant_link_to_nothing,
		plant_fifo,
		plant_directory,
		plant_socket,
		plant_writable_by_group,
		plant_writable_by_others,
		plant_somebody_elses,
	};
	struct dir *d = *state;

	make_dirs(d);
	for (size_t i = 0; i < COUNT(plants); i++) {
		uint64_t size;
		int fd = -1, rc;

		plants[i](d);
		rc = object_open(d->fd, &GEN, STREAM_OUT, &fd, &size);
		as_another_user = false;
		if (unlinkat(d->fd, OUT, 0) < 0)
			assert_int_equal(unlinkat(d->fd, OUT, AT_REMOVEDIR), 0);
		if (rc != SC_EUNSAFE)
			fail_msg("plant %zu: %s", i, sc_strerror(rc));
		assert_int_equal(fd, -1);
	}
}

static void make_elsewhere(const struct dir *d)
{
	assert_int_equal(mkdirat(d->fd, "elsewhere", 0700), 0);
	assert_int_equal(mkdirat(d->fd, "elsewhere/ab", 0700), 0);
	make_file(d, "elsewhere/ab/abcdef01000000000000000000000000.out", "not ours");
}

static void assert_stays_inside(const struct dir *d)
{
	int fd = -1, opened, created;
	uint64_t size;

	opened = object_open(d->fd, &GEN, STREAM_OUT, &fd, &size);
	if (opened == 0)
		close(fd);
	created = object_create(d->fd, &OTHER, STREAM_OUT, &fd);
	if (created == 0)
		close(fd);
	object_unlink(d->fd, &GEN);
	assert_int_equal(opened, SC_EUNSAFE);
	assert_int_not_equal(created, 0);
	assert_false(is_there(d, "elsewhere/ab/abcdef02000000000000000000000000.out"));
	assert_true(is_there(d, "elsewhere/ab/abcdef01000000000000000000000000.out"));
}

/* I7, S05: nothing outside the cache directory is read, made or removed. */
static void objects_as_a_link_is_not_followed(void **state)
{
	struct dir *d = *state;

	make_elsewhere(d);
	assert_int_equal(symlinkat("elsewhere", d->fd, "objects"), 0);
	assert_stays_inside(d);
}

static void a_directory_of_objects_as_a_link_is_not_followed(void **state)
{
	struct dir *d = *state;

	make_elsewhere(d);
	assert_int_equal(mkdirat(d->fd, "objects", 0700), 0);
	assert_int_equal(symlinkat("../elsewhere/ab", d->fd, "objects/ab"), 0);
	assert_stays_inside(d);
}

static void two_descriptors_of_one_file_are_the_same_and_others_are_not(void **state)
{
	struct dir *d = *state;
	int out = create(d, STREAM_OUT), err = create(d, STREAM_ERR), again;
	uint64_t size;

	assert_int_equal(object_open(d->fd, &GEN, STREAM_OUT, &again, &size), 0);
	assert_int_equal(object_same(out, again), 0);
	assert_int_equal(object_same(out, err), SC_ECORRUPT);
	/* A file that has taken the name is not the file that had it. */
	assert_int_equal(unlinkat(d->fd, OUT, 0), 0);
	make_file(d, OUT, "");
	close(again);
	assert_int_equal(object_open(d->fd, &GEN, STREAM_OUT, &again, &size), 0);
	assert_int_equal(object_same(out, again), SC_ECORRUPT);
	assert_int_equal(object_same(out, -1), SC_ESYS);
	close(out);
	close(err);
	close(again);
}

/* ---- the end ---- */

static void both_streams_go_and_what_is_not_there_is_no_error(void **state)
{
	struct dir *d = *state;

	assert_int_equal(object_unlink(d->fd, &GEN), 0);
	close(create(d, STREAM_OUT));
	close(create(d, STREAM_ERR));
	assert_int_equal(object_unlink(d->fd, &GEN), 0);
	assert_false(is_there(d, OUT));
	assert_false(is_there(d, ERR));
	close(create(d, STREAM_ERR));
	assert_int_equal(object_unlink(d->fd, &GEN), 0);
	assert_false(is_there(d, ERR));
}

static void only_its_own_generation_goes(void **state)
{
	struct dir *d = *state;

	close(create(d, STREAM_OUT));
	assert_int_equal(object_unlink(d->fd, &OTHER), 0);
	assert_true(is_there(d, OUT));
}

static void one_stream_that_cannot_go_does_not_keep_the_other_and_is_said(void **state)
{
	struct dir *d = *state;

	make_dirs(d);
	plant_directory(d);
	close(create(d, STREAM_ERR));
	assert_int_equal(object_unlink(d->fd, &GEN), SC_ESYS);
	assert_int_equal(errno, EISDIR);
	assert_false(is_there(d, ERR));
	/* Its reason, not what came after it. */
	assert_int_equal(object_unlink(d->fd, &GEN), SC_ESYS);
	assert_int_equal(errno, EISDIR);
}

/* D17, G10 */
static void who_has_it_open_reads_it_to_the_end(void **state)
{
	struct dir *d = *state;
	int w = create(d, STREAM_OUT), r;
	uint64_t size;
	char c[8];

	assert_int_equal(object_append(w, "abc", 3), 0);
	assert_int_equal(object_open(d->fd, &GEN, STREAM_OUT, &r, &size), 0);
	assert_int_equal(object_unlink(d->fd, &GEN), 0);
	assert_int_equal(object_append(w, "def", 3), 0);
	assert_int_equal(pread(r, c, sizeof c, 0), 6);
	assert_memory_equal(c, "abcdef", 6);
	close(w);
	close(r);
}

/* ---- records ---- */

static void a_record_survives_being_written(void **state)
{
	static const struct record rows[] = {
		{0, 1}, {1, 2}, {255, 256}, {1ULL << 40, 4095}, {UINT64_MAX, SC_RECORD_MAX},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t bytes[SC_RECORD_HEAD];
		struct record back = {0};

		record_encode(&rows[i], bytes);
		assert_int_equal(record_decode(&back, bytes), 0);
		assert_int_equal(back.position, rows[i].position);
		assert_int_equal(back.length, rows[i].length);
	}
}

static void a_record_looks_the_same_on_every_machine(void **state)
{
	static const uint8_t expected[SC_RECORD_HEAD] = {8, 7, 6, 5, 4, 3, 2, 1, 0x34, 0x12, 0, 0};
	const struct record r = {0x0102030405060708, 0x1234};
	uint8_t bytes[SC_RECORD_HEAD];

	(void)state;
	record_encode(&r, bytes);
	assert_memory_equal(bytes, expected, sizeof bytes);
}

static void a_record_without_bytes_or_with_too_many_is_corrupt(void **state)
{
	static const uint32_t lengths[] = {0, SC_RECORD_MAX + 1, 1U << 31, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < COUNT(lengths); i++) {
		const struct record r = {0, lengths[i]};
		uint8_t bytes[SC_RECORD_HEAD];
		struct record back;

		record_encode(&r, bytes);
		assert_int_equal(record_decode(&back, bytes), SC_ECORRUPT);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_made_of_the_generation_alone),
		TEST(an_object_is_born_empty_with_its_directories),
		TEST(files_are_0600_and_directories_0700_whatever_the_umask),
		TEST(a_name_is_never_used_twice),
		TEST(a_directory_that_cannot_be_made_is_an_error_with_its_reason),
		TEST(every_byte_arrives_whatever_short_writes_and_interrupts_there_are),
		TEST(what_is_appended_stands_at_the_end_whoever_wrote_before),
		TEST(a_disk_that_fills_up_is_said_with_its_reason),
		TEST(reading_an_object_does_not_change_it),
		TEST(an_object_is_opened_anew_at_its_beginning),
		TEST(an_object_that_is_not_there_is_none),
		TEST(what_is_not_a_private_file_of_ours_is_not_opened),
		TEST(objects_as_a_link_is_not_followed),
		TEST(a_directory_of_objects_as_a_link_is_not_followed),
		TEST(two_descriptors_of_one_file_are_the_same_and_others_are_not),
		TEST(both_streams_go_and_what_is_not_there_is_no_error),
		TEST(only_its_own_generation_goes),
		TEST(one_stream_that_cannot_go_does_not_keep_the_other_and_is_said),
		TEST(who_has_it_open_reads_it_to_the_end),
		cmocka_unit_test(a_record_survives_being_written),
		cmocka_unit_test(a_record_looks_the_same_on_every_machine),
		cmocka_unit_test(a_record_without_bytes_or_with_too_many_is_corrupt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What is remembered of files, and what is not: whatever stands in `hashes`, no file gets another one's hash. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/hashes.h"
#include "lib/limits.h"

#define SLOT 64
#define OLD_S 1000000
/* The time at which all these files are looked at. */
#define NOW_MS ((uint64_t)(OLD_S + 10) * 1000)

static char dir[64];
static int dir_fd = -1, file_fd = -1; /* the cache directory; a file on a local disk */

static int begin(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/hashes-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	file_fd = openat(dir_fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return dir_fd < 0 || file_fd < 0 ? -1 : 0;
}

static int end(void **state)
{
	(void)state;
	close(file_fd);
	unlinkat(dir_fd, "hashes", 0);
	unlinkat(dir_fd, "hashes", AT_REMOVEDIR);
	unlinkat(dir_fd, "other", 0);
	unlinkat(dir_fd, "file", 0);
	close(dir_fd);
	return rmdir(dir);
}

/* The nth file: all on one device. */
static struct stat file(uint64_t n)
{
	struct stat st = {.st_ino = n, .st_size = (off_t)n + 7, .st_mtim = {OLD_S, 5}, .st_ctim = {OLD_S, (long)(n % 1000)}};
	struct stat real;

	assert_int_equal(fstat(file_fd, &real), 0);
	st.st_dev = real.st_dev;
	return st;
}

static void hash_of(const struct stat *st, uint8_t hash[SC_DIGEST_SIZE])
{
	memset(hash, 0, SC_DIGEST_SIZE);
	memcpy(hash, &st->st_ino, sizeof st->st_ino);
	hash[SC_DIGEST_SIZE - 1] = (uint8_t)st->st_size;
}

static void keep(struct hashes *h, const struct stat *st, uint64_t now_ms)
{
	uint8_t hash[SC_DIGEST_SIZE];

	hash_of(st, hash);
	hashes_keep(h, file_fd, st, now_ms, hash);
}

/* Found, and then it is the right one. */
static bool finds(struct hashes *h, const struct stat *st)
{
	uint8_t want[SC_DIGEST_SIZE], got[SC_DIGEST_SIZE];

	if (!hashes_find(h, st, got))
		return false;
	hash_of(st, want);
	assert_memory_equal(got, want, sizeof got);
	return true;
}

/* By a client that starts now. */
static bool is_remembered(const struct stat *st)
{
	struct hashes *h = hashes_open(dir_fd, false);
	bool found = finds(h, st);

	hashes_close(h);
	return found;
}

static void remember(const struct stat *st, uint64_t now_ms)
{
	struct hashes *h = hashes_open(dir_fd, true);

	keep(h, st, now_ms);
	hashes_close(h);
}

static int open_hashes(int flags)
{
	int fd = openat(dir_fd, "hashes", flags | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

/* ---- */

static void the_next_client_knows_it(void **state)
{
	struct stat st = file(1);

	(void)state;
	assert_false(is_remembered(&st));
	remember(&st, NOW_MS);
	assert_true(is_remembered(&st));
}

static void any_change_of_the_five_is_noticed(void **state)
{
	struct stat st = file(1), other;

	(void)state;
	remember(&st, NOW_MS);
	other = st, other.st_dev++;
	assert_false(is_remembered(&other));
	other = st, other.st_ino++;
	assert_false(is_remembered(&other));
	other = st, other.st_size++;
	assert_false(is_remembered(&other));
	other = st, other.st_mtim.tv_nsec++;
	assert_false(is_remembered(&other));
	other = st, other.st_mtim.tv_sec--;
	assert_false(is_remembered(&other));
	other = st, other.st_ctim.tv_nsec++;
	assert_false(is_remembered(&other));
	other = st, other.st_ctim.tv_sec--;
	assert_false(is_remembered(&other));
	assert_true(is_remembered(&st));
}

static void what_has_changed_takes_the_place_of_what_it_was(void **state)
{
	struct stat st = file(1), now = st;
	uint8_t slot[SLOT], none[SLOT] = {0};
	size_t used = 0;
	int fd;

	(void)state;
	remember(&st, NOW_MS);
	now.st_size++;
	remember(&now, NOW_MS);
	assert_false(is_remembered(&st));
	assert_true(is_remembered(&now));
	fd = open_hashes(O_RDONLY);
	while (read(fd, slot, SLOT) == SLOT)
		used += memcmp(slot, none, SLOT) != 0;
	close(fd);
	assert_int_equal(used, 1);
}

static void young_and_future_files_are_not_remembered(void **state)
{
	struct stat st = file(1);

	(void)state;
	remember(&st, (uint64_t)OLD_S * 1000);
	assert_false(is_remembered(&st));
	remember(&st, (uint64_t)OLD_S * 1000 + SC_YOUNG_MS);
	assert_false(is_remembered(&st));
	st.st_mtim.tv_sec = OLD_S + 3600;
	remember(&st, NOW_MS);
	assert_false(is_remembered(&st));
	st.st_mtim.tv_sec = -5;
	st.st_ctim.tv_sec = OLD_S + 9;
	remember(&st, NOW_MS);
	assert_false(is_remembered(&st));
	st.st_ctim.tv_sec = OLD_S;
	remember(&st, (uint64_t)OLD_S * 1000 + SC_YOUNG_MS + 1);
	assert_true(is_remembered(&st));
	st.st_mtim.tv_sec = INT64_MAX / 2;
	remember(&st, NOW_MS);
	assert_false(is_remembered(&st));
}

static void a_file_that_is_on_no_local_disk_is_not_remembered(void **state)
{
	int proc_fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	struct hashes *h = hashes_open(dir_fd, true);
	uint8_t hash[SC_DIGEST_SIZE] = {1};
	struct stat st = file(1);

	(void)state;
	st.st_dev++;
	hashes_keep(h, proc_fd, &st, NOW_MS, hash);
	hashes_close(h);
	close(proc_fd);
	assert_false(is_remembered(&st));
}

static void without_a_directory_or_leave_to_write_nothing_is(void **state)
{
	struct stat st = file(1);
	struct hashes *h = hashes_open(-1, true);

	(void)state;
	keep(h, &st, NOW_MS);
	assert_false(finds(h, &st));
	hashes_close(h);
	h = hashes_open(dir_fd, false);
	keep(h, &st, NOW_MS);
	assert_false(finds(h, &st));
	hashes_close(h);
	assert_int_equal(faccessat(dir_fd, "hashes", F_OK, 0), -1);
	remember(&st, NOW_MS);
	h = hashes_open(dir_fd, false);
	st.st_size++;
	keep(h, &st, NOW_MS);
	hashes_close(h);
	assert_false(is_remembered(&st));
}

static void hundred_thousand_are_remembered_within_the_bound(void **state)
{
	struct hashes *h = hashes_open(dir_fd, true);
	struct stat size;
	size_t found = 0;

	(void)state;
	for (uint64_t n = 1; n <= 100000; n++) {
		struct stat st = file(n);

		keep(h, &st, NOW_MS);
	}
	hashes_close(h);
	h = hashes_open(dir_fd, false);
	for (uint64_t n = 1; n <= 100000; n++) {
		struct stat st = file(n);

		found += finds(h, &st);
	}
	hashes_close(h);
	assert_int_equal(found, 100000);
	assert_int_equal(fstatat(dir_fd, "hashes", &size, 0), 0);
	assert_true(size.st_size <= SC_HASHES_SIZE);
	assert_int_equal(size.st_mode & 07777, 0600);
}

static void more_than_there_is_room_for_push_others_out(void **state)
{
	struct hashes *h = hashes_open(dir_fd, true);
	struct stat st, size;
	size_t found = 0;

	(void)state;
	for (uint64_t n = 1; n <= 290000; n++) {
		st = file(n);
		keep(h, &st, NOW_MS);
	}
	assert_true(finds(h, &st));
	hashes_close(h);
	h = hashes_open(dir_fd, false);
	for (uint64_t n = 1; n <= 290000; n++) {
		st = file(n);
		found += finds(h, &st);
	}
	hashes_close(h);
	assert_int_equal(fstatat(dir_fd, "hashes", &size, 0), 0);
	assert_int_equal(size.st_size, SC_HASHES_SIZE);
	assert_in_range(found, SC_HASHES_SIZE / SLOT * 9 / 10, SC_HASHES_SIZE / SLOT);
}

/* Each bit of a slot in turn. */
static void what_is_damaged_is_not_there(void **state)
{
	struct stat st = file(1), size;
	uint8_t slot[SLOT];
	off_t at;
	int fd;

	(void)state;
	remember(&st, NOW_MS);
	fd = open_hashes(O_RDWR);
	assert_int_equal(fstat(fd, &size), 0);
	at = size.st_size - SLOT; /* the only one there is */
	assert_int_equal(pread(fd, slot, SLOT, at), SLOT);
	for (size_t bit = 0; bit < SLOT * 8; bit++) {
		slot[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(pwrite(fd, slot, SLOT, at), SLOT);
		assert_false(is_remembered(&st));
		slot[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* Torn: as far as it was written, for each length, over nothing and over another one. */
	for (size_t n = 0; n < SLOT; n++) {
		uint8_t torn[SLOT] = {0};

		memcpy(torn, slot, n);
		assert_int_equal(pwrite(fd, torn, SLOT, at), SLOT);
		assert_false(is_remembered(&st));
	}
	/* Cut off, and whole again when it has been hashed once more. */
	assert_int_equal(pwrite(fd, slot, SLOT, at), SLOT);
	assert_true(is_remembered(&st));
	assert_int_equal(ftruncate(fd, at + SLOT - 1), 0);
	assert_false(is_remembered(&st));
	remember(&st, NOW_MS);
	assert_true(is_remembered(&st));
	close(fd);
}

static void among_garbage_there_is_room(void **state)
{
	uint32_t *noise = malloc(SC_HASHES_SIZE), seed = 1;
	struct stat st;
	int fd = open_hashes(O_RDWR | O_CREAT);

	(void)state;
	assert_non_null(noise);
	for (size_t i = 0; i < SC_HASHES_SIZE / 4; i++)
		noise[i] = seed = seed * 1664525 + 1013904223;
	assert_int_equal(write(fd, noise, SC_HASHES_SIZE), SC_HASHES_SIZE);
	free(noise);
	close(fd);
	for (uint64_t n = 1; n <= 100; n++) {
		st = file(n);
		assert_false(is_remembered(&st));
		remember(&st, NOW_MS);
	}
	for (uint64_t n = 1; n <= 100; n++) {
		st = file(n);
		assert_true(is_remembered(&st));
	}
}

static void what_is_no_file_of_ours_is_left_alone(void **state)
{
	struct stat st = file(1), size;

	(void)state;
	assert_int_equal(symlinkat("other", dir_fd, "hashes"), 0);
	remember(&st, NOW_MS);
	assert_int_equal(faccessat(dir_fd, "other", F_OK, 0), -1);
	unlinkat(dir_fd, "hashes", 0);

	assert_int_equal(mkfifoat(dir_fd, "hashes", 0600), 0);
	remember(&st, NOW_MS);
	assert_false(is_remembered(&st));
	unlinkat(dir_fd, "hashes", 0);

	close(openat(dir_fd, "other", O_RDWR | O_CREAT, 0600));
	assert_int_equal(linkat(dir_fd, "other", dir_fd, "hashes", 0), 0);
	remember(&st, NOW_MS);
	assert_int_equal(fstatat(dir_fd, "other", &size, 0), 0);
	assert_int_equal(size.st_size, 0);
	unlinkat(dir_fd, "other", 0);

	assert_int_equal(fchmodat(dir_fd, "hashes", 0620, 0), 0);
	remember(&st, NOW_MS);
	assert_false(is_remembered(&st));
	assert_int_equal(fchmodat(dir_fd, "hashes", 0644, 0), 0);
	remember(&st, NOW_MS);
	assert_true(is_remembered(&st));
	assert_int_equal(fstatat(dir_fd, "hashes", &size, 0), 0);
	assert_int_equal(size.st_mode & 0777, 0600);
}

/* Children write and read the same few files, whose hash says of which state they are; some are killed while they do. */
static void many_at_once_never_read_a_wrong_one(void **state)
{
	pid_t pid[8];

	(void)state;
	for (int i = 0; i < 8; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			uint8_t want[SC_DIGEST_SIZE], got[SC_DIGEST_SIZE];

			for (int round = 0; i < 4 ? round < 300 : true; round++) {
				struct hashes *h = hashes_open(dir_fd, true);

				for (uint64_t n = 1; n <= 40; n++) {
					struct stat st = file(n);

					st.st_size += round % 3;
					hash_of(&st, want);
					if (hashes_find(h, &st, got) && memcmp(got, want, sizeof got) != 0)
						_exit(1);
					keep(h, &st, NOW_MS);
				}
				hashes_close(h);
			}
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++) {
		int status = -1;

		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
		kill(pid[i + 4], SIGKILL);
		assert_int_equal(waitpid(pid[i + 4], &status, 0), pid[i + 4]);
		assert_true(WIFSIGNALED(status));
	}
	for (uint64_t n = 1; n <= 40; n++)
		for (int more = 0; more < 3; more++) {
			struct stat st = file(n);

			st.st_size += more;
			is_remembered(&st);
		}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(the_next_client_knows_it),
		TEST(any_change_of_the_five_is_noticed),
		TEST(what_has_changed_takes_the_place_of_what_it_was),
		TEST(young_and_future_files_are_not_remembered),
		TEST(a_file_that_is_on_no_local_disk_is_not_remembered),
		TEST(without_a_directory_or_leave_to_write_nothing_is),
		TEST(hundred_thousand_are_remembered_within_the_bound),
		TEST(more_than_there_is_room_for_push_others_out),
		TEST(what_is_damaged_is_not_there),
		TEST(among_garbage_there_is_room),
		TEST(what_is_no_file_of_ours_is_left_alone),
		TEST(many_at_once_never_read_a_wrong_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

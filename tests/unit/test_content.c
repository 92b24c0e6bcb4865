/* Files and trees that change while they are read. read() is replaced: before its nth call on the file that is watched the test
 * changes something. What the hashes are made of is for cli/keys.bats. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/content.h"
#include "lib/err.h"
#include "lib/limits.h"

static char dir[64], path[128];

/* ---- what is replaced ---- */

static void (*meddle)(void);
static int before_call, calls; /* on a file of the directory's disk; 0: before each */
static dev_t disk;

ssize_t read(int fd, void *p, size_t n)
{
	struct stat st;

	if (meddle && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_dev == disk) {
		calls++;
		if (!before_call || calls == before_call)
			meddle();
	}
	return syscall(SYS_read, fd, p, n);
}

/* ---- a directory for each test ---- */

static void make(const char *name, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof full, "%s/%s", dir, name);
	f = fopen(full, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int begin(void **state)
{
	struct stat st;

	(void)state;
	meddle = NULL;
	before_call = calls = 0;
	snprintf(dir, sizeof dir, "/tmp/content-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/a", dir);
	make("a", "one");
	assert_int_equal(stat(path, &st), 0);
	disk = st.st_dev;
	return 0;
}

static int take_away(const char *name, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(name);
}

static int end(void **state)
{
	(void)state;
	return nftw(dir, take_away, 16, FTW_DEPTH | FTW_PHYS);
}

static int hash(const char *what, uint8_t out[SC_DIGEST_SIZE], char why[1024])
{
	struct content c = {.hashes = NULL};
	bool is_directory;
	int rc = content_hash(&c, what, &is_directory, out);

	if (why)
		memcpy(why, c.why, 1024);
	return rc;
}

/* ---- */

static int touched;

static void touch(void)
{
	struct timespec t[2] = {{0, UTIME_OMIT}, {++touched, 0}};

	utimensat(AT_FDCWD, path, t, 0);
}

static void rewrite(void)
{
	make("a", "two");
}

static void replace(void)
{
	make("b", "new");
	rename("b", path);
}

static void add_name(void)
{
	char name[32];

	snprintf(name, sizeof name, "new%d", ++touched);
	make(name, "");
}

static void take_b(void)
{
	char full[128];

	snprintf(full, sizeof full, "%s/b", dir);
	unlink(full);
}

static void b_becomes_a_fifo(void)
{
	char full[128];

	snprintf(full, sizeof full, "%s/b", dir);
	unlink(full);
	mkfifo(full, 0600);
}

static void a_file_that_never_holds_still_has_no_hash(void **state)
{
	uint8_t got[SC_DIGEST_SIZE];
	char why[1024];

	(void)state;
	meddle = touch;
	assert_int_equal(hash(path, got, why), SC_EAGAIN);
	assert_non_null(strstr(why, "/a: it is being changed while it is read"));
	/* Its content and its end, each time. */
	assert_int_equal(calls, 2 * SC_HASH_TRIES);
}

static void one_that_was_changed_once_is_read_again(void **state)
{
	uint8_t got[SC_DIGEST_SIZE], want[SC_DIGEST_SIZE];

	(void)state;
	for (before_call = 1; before_call <= 2; before_call++) {
		meddle = NULL;
		make("a", "one");
		calls = 0;
		meddle = rewrite;
		assert_int_equal(hash(path, got, NULL), 0);
		assert_true(calls > 2);
		meddle = NULL;
		assert_int_equal(hash(path, want, NULL), 0);
		assert_memory_equal(got, want, sizeof got);
	}
}

/* Opened before it was replaced: what was read is what stood under the name then. */
static void a_file_put_in_its_place_does_not_mix_with_it(void **state)
{
	uint8_t got[SC_DIGEST_SIZE], old[SC_DIGEST_SIZE], new[SC_DIGEST_SIZE];

	(void)state;
	assert_int_equal(hash(path, old, NULL), 0);
	meddle = replace;
	before_call = 1;
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(hash(path, got, NULL), 0);
	meddle = NULL;
	assert_int_equal(hash(path, new, NULL), 0);
	assert_memory_not_equal(old, new, sizeof new);
	assert_true(memcmp(got, old, sizeof got) == 0 || memcmp(got, new, sizeof got) == 0);
	assert_int_equal(chdir("/"), 0);
}

static void a_tree_is_read_again_when_a_name_comes_goes_or_is_something_else(void **state)
{
	static void (*const all[])(void) = {add_name, take_b, b_becomes_a_fifo};
	uint8_t got[SC_DIGEST_SIZE], want[SC_DIGEST_SIZE];
	char full[128];

	(void)state;
	snprintf(full, sizeof full, "%s/b", dir);
	for (size_t i = 0; i < COUNT(all); i++) {
		meddle = NULL;
		unlink(full);
		make("b", "there");
		calls = 0;
		before_call = 1;
		meddle = all[i];
		assert_int_equal(hash(dir, got, NULL), 0);
		assert_true(calls > 2);
		meddle = NULL;
		assert_int_equal(hash(dir, want, NULL), 0);
		assert_memory_equal(got, want, sizeof got);
	}
	meddle = add_name;
	before_call = 0;
	assert_int_equal(hash(dir, got, NULL), SC_EAGAIN);
}

static void what_is_too_deep_is_said_and_not_walked(void **state)
{
	uint8_t got[SC_DIGEST_SIZE];
	char why[1024];
	int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), next;

	(void)state;
	for (int i = 0; i <= SC_DEPTH_MAX; i++) {
		assert_int_equal(mkdirat(at, "d", 0700), 0);
		next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = next;
	}
	close(at);
	assert_int_equal(hash(dir, got, why), SC_ESYS);
	assert_non_null(strstr(why, "too many"));
}

/* /proc says 0 for the size of files that have content. */
static void a_file_without_a_size_is_read_all_the_same(void **state)
{
	uint8_t got[SC_DIGEST_SIZE], empty[SC_DIGEST_SIZE];

	(void)state;
	make("a", "");
	assert_int_equal(hash(path, empty, NULL), 0);
	assert_int_equal(hash("/proc/version", got, NULL), 0);
	assert_memory_not_equal(got, empty, sizeof got);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_file_that_never_holds_still_has_no_hash),
		TEST(one_that_was_changed_once_is_read_again),
		TEST(a_file_put_in_its_place_does_not_mix_with_it),
		TEST(a_tree_is_read_again_when_a_name_comes_goes_or_is_something_else),
		TEST(what_is_too_deep_is_said_and_not_walked),
		TEST(a_file_without_a_size_is_read_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

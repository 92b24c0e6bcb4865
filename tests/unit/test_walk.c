/* The walk, by its promises, as the index thread carries it out. Each test has a directory of its own, removed at the end; none
 * waits for time to pass: where the grace is not what is tested, there is none. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/flightfile.h"
#include "daemon/index.h"
#include "daemon/walk.h"
#include "lib/err.h"
#include "lib/object.h"
#include "tests/unit/store.h"

static struct walk_order order; /* this test's */

static int set_up_walk(void **state)
{
	int rc = set_up(state);

	open_index(*state);
	/* Everything was made before this. */
	order = (struct walk_order){.now_wall_ms = clock_now().wall_ms + 24 * 3600 * 1000};
	return rc;
}

static int step(struct room *r)
{
	struct said s = {0};

	assert_int_equal(index_walk(r->ix, &order, on_done, &s), 0);
	await(r, &s, 1);
	return s.status;
}

/* From here to its end: how many steps that took. */
static unsigned walk(struct room *r)
{
	unsigned n = 0;

	while (!order.over) {
		assert_int_equal(step(r), 0);
		n++;
	}
	return n;
}

static struct gen make_gen(uint64_t n)
{
	struct gen g = {{0}};

	/* Spread over the directories, as random ones are. */
	for (unsigned i = 0; i < 8; i++)
		g.b[i] = (uint8_t)((n * UINT64_C(0x9e3779b97f4a7c15)) >> (8 * i));
	memcpy(g.b + 8, &n, sizeof n);
	return g;
}

static void make_object(struct room *r, const struct gen *g, enum stream s, size_t size)
{
	static const char bytes[64];
	int fd;

	assert_int_equal(object_create(r->dir_fd, g, s, &fd), 0);
	assert_int_equal(object_append(fd, bytes, size), 0);
	close(fd);
}

static void make_objects(struct room *r, const struct gen *g)
{
	make_object(r, g, STREAM_OUT, 6);
	make_object(r, g, STREAM_ERR, 13);
}

static bool has(struct room *r, const struct gen *g, enum stream s)
{
	char name[SC_OBJECT_NAME];
	struct stat st;

	object_name(g, s, name);
	return fstatat(r->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void commit(struct room *r, uint64_t n)
{
	struct entry e = {.bucket = "default",
			  .gen = make_gen(n),
			  .order = n,
			  .out_len = 6,
			  .err_len = 13,
			  .out_size = 6,
			  .err_size = 13,
			  .ttl_ms = SC_FOREVER};
	struct said s = {0};

	e.key_len = (size_t)snprintf((char *)e.key, sizeof e.key, "%llu", (unsigned long long)n);
	memcpy(e.boot_id, BOOT, sizeof BOOT);
	assert_int_equal(index_commit(r->ix, &e, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.status, 0);
}

static void make_entry(struct room *r, uint64_t n)
{
	struct gen g = make_gen(n);

	make_objects(r, &g);
	commit(r, n);
}

static bool has_row(struct room *r, uint64_t n)
{
	static const char bucket[] = "default";
	struct entry e;
	char key[32];

	snprintf(key, sizeof key, "%llu", (unsigned long long)n);
	return index_find(r->ix, bytes_of(bucket), bytes_of(key), false, &e) == 0;
}

static void make_flight(struct room *r, const struct gen *g)
{
	struct flightfile f = {.gen = *g, .bucket = "default", .key = "k", .key_len = 1, .order = 1};
	int lock_fd;

	assert_int_equal(flightfile_create(r->dir_fd, NULL, &f, &lock_fd), 0);
	close(lock_fd);
}

/* ---- orphans ---- */

static void orphans_go_and_the_objects_of_rows_stay(void **state)
{
	struct room *r = *state;
	struct gen a = make_gen(1), b = make_gen(2), c = make_gen(3), d = make_gen(4);

	make_entry(r, 1);
	make_objects(r, &b);
	make_object(r, &c, STREAM_OUT, 6);
	make_object(r, &d, STREAM_ERR, 13);
	walk(r);
	assert_true(has(r, &a, STREAM_OUT) && has(r, &a, STREAM_ERR));
	assert_false(has(r, &b, STREAM_OUT) || has(r, &b, STREAM_ERR));
	assert_false(has(r, &c, STREAM_OUT));
	assert_false(has(r, &d, STREAM_ERR));
	assert_true(has_row(r, 1));
	assert_int_equal(order.rows, 1);
	assert_int_equal(order.files, 6);
	assert_int_equal(order.orphans, 4);
	assert_int_equal(order.orphan_bytes, 38);
	assert_int_equal(order.bad_rows, 0);
}

/* G11 */
static void the_objects_of_a_flight_stay_whoever_holds_its_lock(void **state)
{
	struct room *r = *state;
	struct gen a = make_gen(1);

	make_flight(r, &a);
	make_objects(r, &a);
	walk(r);
	assert_true(has(r, &a, STREAM_OUT) && has(r, &a, STREAM_ERR));
	assert_int_equal(order.orphans, 0);
}

/* G11 */
static void what_is_committed_while_it_walks_stays(void **state)
{
	struct room *r = *state;

	for (uint64_t n = 1; n <= 600; n++)
		make_entry(r, n);
	/* Once at the beginning, once among the objects: their flights' files are gone when their rows are there. Far more than
	 * were foreseen. */
	assert_int_equal(step(r), 0);
	assert_false(order.over);
	for (uint64_t n = 601; n <= 1500; n++)
		make_entry(r, n);
	while (order.files == 0)
		assert_int_equal(step(r), 0);
	assert_false(order.over);
	for (uint64_t n = 1501; n <= 3000; n++)
		make_entry(r, n);
	walk(r);
	assert_int_equal(order.orphans, 0);
	for (uint64_t n = 1; n <= 3000; n++) {
		struct gen g = make_gen(n);

		assert_true(has(r, &g, STREAM_OUT) && has(r, &g, STREAM_ERR) && has_row(r, n));
	}
}

static void what_has_changed_within_the_grace_stays(void **state)
{
	struct room *r = *state;
	struct gen a = make_gen(1);

	make_objects(r, &a);
	order.grace_ms = 48 * 3600 * 1000;
	walk(r);
	assert_true(has(r, &a, STREAM_OUT) && has(r, &a, STREAM_ERR));
	/* A clock that was set back: nothing is older than anything. */
	order = (struct walk_order){.now_wall_ms = 1};
	walk(r);
	assert_true(has(r, &a, STREAM_OUT));
	assert_int_equal(order.orphans, 0);
}

static void touch(struct room *r, const char *name)
{
	int fd = openat(r->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static bool there(struct room *r, const char *name)
{
	struct stat st;

	return fstatat(r->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

#define HEX "abcdefabcdefabcdefabcdefabcdef01"

/* S05, S06 */
static void names_that_are_not_ours_links_and_all_but_files_stay(void **state)
{
	static const char *const foreign[] = {
		"objects/notes",
		"objects/ab/notes",
		"objects/ab/" HEX,
		"objects/ab/" HEX ".txt",
		"objects/ab/" HEX ".out~",
		"objects/ab/." HEX ".out",
		"objects/ab/ABCDEFABCDEFABCDEFABCDEFABCDEF01.out",
		"objects/ab/" HEX "00.out",
		"objects/cd/" HEX ".out",
		"objects/AB/" HEX ".out",
		"objects/abc/" HEX ".out",
		"objects/" HEX ".out",
	};
	static const char target[] = "behind/efcdefabcdefabcdefabcdefabcdef01.out";
	static const char *const strange[] = {"objects/ab/abcdefabcdefabcdefabcdefabcdef02.out",
					      "objects/ab/abcdefabcdefabcdefabcdefabcdef03.err",
					      "objects/ab/abcdefabcdefabcdefabcdefabcdef04.out"};
	static const char *const dirs[] = {"objects", "objects/ab", "objects/cd", "objects/AB", "objects/abc", "behind"};
	struct room *r = *state;
	size_t n = sizeof foreign / sizeof *foreign;

	for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
		assert_int_equal(mkdirat(r->dir_fd, dirs[i], 0700), 0);
	for (size_t i = 0; i < n; i++)
		touch(r, foreign[i]);
	touch(r, target);
	assert_int_equal(symlinkat("../behind", r->dir_fd, "objects/ef"), 0);
	assert_int_equal(symlinkat("../../behind/efcdefabcdefabcdefabcdefabcdef01.out", r->dir_fd, strange[0]), 0);
	assert_int_equal(mkfifoat(r->dir_fd, strange[1], 0600), 0);
	assert_int_equal(mkdirat(r->dir_fd, strange[2], 0700), 0);
	assert_int_equal(mkfifoat(r->dir_fd, "objects/00", 0600), 0);
	touch(r, "objects/01");
	touch(r, "objects/ab/abcdefabcdefabcdefabcdefabcdef05.out");
	walk(r);
	assert_false(there(r, "objects/ab/abcdefabcdefabcdefabcdefabcdef05.out"));
	assert_int_equal(order.orphans, 1);
	for (size_t i = 0; i < n; i++)
		assert_true(there(r, foreign[i]));
	for (size_t i = 0; i < 3; i++)
		assert_true(there(r, strange[i]));
	assert_true(there(r, target) && there(r, "objects/00") && there(r, "objects/01") && there(r, "objects/ef"));
}

static void where_there_are_no_objects_there_is_nothing_to_do(void **state)
{
	struct room *r = *state;

	walk(r);
	assert_int_equal(order.files, 0);
}

/* ---- rows ---- */

static void rows_whose_objects_are_not_as_they_say_go(void **state)
{
	struct room *r = *state;
	char name[SC_OBJECT_NAME];
	struct gen g;

	for (uint64_t n = 1; n <= 9; n++)
		make_entry(r, n);
	for (uint64_t n = 1; n <= 8; n++) {
		int fd;

		g = make_gen(n);
		object_name(&g, n == 3 || n == 4 ? STREAM_ERR : STREAM_OUT, name);
		fd = openat(r->dir_fd, name, O_WRONLY | O_APPEND | O_CLOEXEC);
		if (n == 1)
			assert_int_equal(ftruncate(fd, 5), 0);
		else if (n == 2)
			assert_int_equal(write(fd, "x", 1), 1);
		else if (n == 4)
			assert_int_equal(ftruncate(fd, 0), 0);
		else if (n == 5)
			assert_int_equal(fchmod(fd, 0622), 0);
		else
			assert_int_equal(unlinkat(r->dir_fd, name, 0), 0);
		if (n == 6)
			assert_int_equal(mkfifoat(r->dir_fd, name, 0600), 0);
		if (n == 7)
			assert_int_equal(symlinkat("/etc/passwd", r->dir_fd, name), 0);
		close(fd);
	}
	walk(r);
	assert_int_equal(order.bad_rows, 8);
	assert_int_equal(index_count(r->ix), 1);
	assert_true(has_row(r, 9));
	for (uint64_t n = 1; n <= 8; n++) {
		assert_false(has_row(r, n));
		g = make_gen(n);
		assert_false(has(r, &g, STREAM_ERR));
	}
	g = make_gen(9);
	assert_true(has(r, &g, STREAM_OUT) && has(r, &g, STREAM_ERR));
}

static void an_empty_error_stream_needs_no_file(void **state)
{
	struct room *r = *state;
	struct entry e = {
		.bucket = "default", .key = "k", .key_len = 1, .gen = make_gen(1), .order = 1, .out_len = 6, .out_size = 6};
	struct said s = {0};

	make_object(r, &e.gen, STREAM_OUT, 6);
	assert_int_equal(index_commit(r->ix, &e, on_done, &s), 0);
	await(r, &s, 1);
	walk(r);
	assert_int_equal(order.bad_rows, 0);
	assert_int_equal(index_count(r->ix), 1);
}

static void rows_that_cannot_be_looked_at_now_stay(void **state)
{
	struct room *r = *state;
	struct rlimit was, few;

	make_entry(r, 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	few = was;
	few.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	walk(r);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_int_equal(order.rows, 1);
	assert_int_equal(order.bad_rows, 0);
	assert_true(has_row(r, 1));
}

static void only_to_look_changes_nothing(void **state)
{
	struct room *r = *state;
	struct gen a = make_gen(1), b = make_gen(2);
	char name[SC_OBJECT_NAME];

	make_entry(r, 1);
	object_name(&a, STREAM_OUT, name);
	assert_int_equal(unlinkat(r->dir_fd, name, 0), 0);
	make_objects(r, &b);
	order.only_look = true;
	walk(r);
	assert_int_equal(order.bad_rows, 1);
	assert_int_equal(order.orphans, 2); /* what a bad row names is not one */
	assert_true(has_row(r, 1));
	assert_true(has(r, &a, STREAM_ERR) && has(r, &b, STREAM_OUT) && has(r, &b, STREAM_ERR));
}

/* ---- steps ---- */

static void a_step_is_bounded(void **state)
{
	struct room *r = *state;
	uint64_t rows = 0, files = 0;

	for (uint64_t n = 1; n <= 700; n++) {
		struct gen g = make_gen(10000 + n);

		make_entry(r, n);
		make_objects(r, &g);
	}
	while (!order.over) {
		assert_int_equal(step(r), 0);
		assert_in_range(order.rows - rows, 0, 256);
		assert_in_range(order.files - files, 0, 256);
		rows = order.rows;
		files = order.files;
	}
	assert_int_equal(rows, 700);
	assert_int_equal(files, 2800);
	assert_int_equal(order.orphans, 1400);
	assert_int_equal(index_count(r->ix), 700);
}

static void one_that_was_not_ended_goes_with_the_index_and_the_next_begins_anew(void **state)
{
	struct room *r = *state;
	struct gen a = make_gen(5000);

	for (uint64_t n = 1; n <= 600; n++)
		make_entry(r, n);
	make_objects(r, &a);
	assert_int_equal(step(r), 0);
	index_close(r->ix);
	assert_true(has(r, &a, STREAM_OUT));
	order = (struct walk_order){.now_wall_ms = order.now_wall_ms};
	assert_int_equal(index_open(&r->ix, r->dir_fd, BOOT, NULL, false, r->log), 0);
	walk(r);
	assert_int_equal(order.rows, 600);
	assert_int_equal(order.orphans, 2);
	assert_int_equal(index_count(r->ix), 600);
}

static void in_an_index_begun_anew_meanwhile_nothing_new_goes(void **state)
{
	struct room *r = *state;

	for (uint64_t n = 1; n <= 600; n++)
		make_entry(r, n);
	assert_int_equal(step(r), 0);
	assert_int_equal(unlinkat(r->dir_fd, "index.db", 0), 0);
	assert_false(index_is_there(r->ix));
	index_renew(r->ix);
	for (uint64_t n = 1001; n <= 1010; n++)
		make_entry(r, n);
	walk(r);
	assert_int_equal(index_count(r->ix), 10);
	for (uint64_t n = 1001; n <= 1010; n++) {
		struct gen g = make_gen(n);

		assert_true(has(r, &g, STREAM_OUT) && has(r, &g, STREAM_ERR) && has_row(r, n));
	}
	/* What is left of the old one the next walk takes. */
	order = (struct walk_order){.now_wall_ms = order.now_wall_ms + 60000};
	walk(r);
	assert_int_equal(order.files - order.orphans, 20);
	assert_int_equal(index_count(r->ix), 10);
}

static void however_many_rows_an_altered_index_promises_it_comes_to_an_end(void **state)
{
	static const uint64_t said[] = {UINT64_MAX, INT64_MAX, UINT64_C(1) << 62, UINT64_C(1) << 40};
	struct room *r = *state;
	struct gen g = make_gen(1);

	for (size_t i = 0; i < COUNT(said); i++) {
		struct walk *w = walk_new(r->dir_fd, r->log, said[i], &order);

		assert_non_null(w);
		make_object(r, &g, STREAM_OUT, 6);
		while (walk_objects(w))
			;
		assert_false(has(r, &g, STREAM_OUT));
		walk_free(w);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up_walk, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(orphans_go_and_the_objects_of_rows_stay),
		T(the_objects_of_a_flight_stay_whoever_holds_its_lock),
		T(what_is_committed_while_it_walks_stays),
		T(what_has_changed_within_the_grace_stays),
		T(names_that_are_not_ours_links_and_all_but_files_stay),
		T(where_there_are_no_objects_there_is_nothing_to_do),
		T(rows_whose_objects_are_not_as_they_say_go),
		T(an_empty_error_stream_needs_no_file),
		T(rows_that_cannot_be_looked_at_now_stay),
		T(only_to_look_changes_nothing),
		T(a_step_is_bounded),
		T(one_that_was_not_ended_goes_with_the_index_and_the_next_begins_anew),
		T(in_an_index_begun_anew_meanwhile_nothing_new_goes),
		T(however_many_rows_an_altered_index_promises_it_comes_to_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

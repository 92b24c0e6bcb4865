/* The index, by its promises. Each test has a directory of its own, removed at the end; none waits for time to pass. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/flightfile.h"
#include "daemon/index.h"
#include "daemon/sql.h"
#include "daemon/walk.h"
#include "lib/err.h"
#include "lib/msg.h"
#include "lib/object.h"
#include "tests/unit/store.h"

static const uint8_t OTHER[16] = {2}, UNKNOWN[16];
static const struct now NOW = {.boot_ms = 1000000, .wall_ms = 5000000000};
static const char DEFAULT[] = "default";

static void close_index(struct room *r)
{
	index_close(r->ix);
	r->ix = NULL;
}

static struct gen make_gen(uint64_t n)
{
	struct gen g = {{0xab}};

	memcpy(g.b + 8, &n, sizeof n);
	return g;
}

static struct bytes view(const void *p, size_t n)
{
	return (struct bytes){p, n};
}

static struct entry make_entry(const char *key, uint64_t order)
{
	struct entry e = {.bucket = "default",
			  .key_len = strlen(key),
			  .gen = make_gen(order),
			  .order = order,
			  .exit = 3,
			  .signal = 9,
			  .out_len = 1ULL << 40,
			  .err_len = 12,
			  .out_size = 1ULL << 40,
			  .err_size = 12,
			  .out_sum = {1, 2, 3},
			  .err_sum = {4, 5, 6},
			  .created_wall_ms = NOW.wall_ms,
			  .created_boot_ms = NOW.boot_ms,
			  .ttl_ms = 1000,
			  .stale_ms = 500,
			  .took_ms = 4321,
			  .command = {9, 0, 8},
			  .shown = "make\0all",
			  .shown_len = 9};

	memcpy(e.key, key, e.key_len);
	memcpy(e.boot_id, BOOT, sizeof e.boot_id);
	return e;
}

static uint64_t commit(struct room *r, const struct entry *e)
{
	struct said s = {0};

	assert_int_equal(index_commit(r->ix, e, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.status, 0);
	return s.changed;
}

static uint64_t drop(struct room *r, const char *key, uint64_t max_order)
{
	struct said s = {0};

	assert_int_equal(index_remove(r->ix, bytes_of(DEFAULT), bytes_of(key), max_order, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.status, 0);
	return s.changed;
}

static uint64_t expire(struct room *r, struct now now, unsigned limit)
{
	struct said s = {0};

	assert_int_equal(index_expire(r->ix, &now, limit, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.status, 0);
	return s.changed;
}

static int find(struct room *r, const char *key, struct entry *e)
{
	return index_find(r->ix, bytes_of(DEFAULT), bytes_of(key), false, e);
}

static uint64_t order_of(struct room *r, const char *key)
{
	struct entry e;

	assert_int_equal(find(r, key, &e), 0);
	return e.order;
}

static void make_objects(struct room *r, const struct gen *g)
{
	for (enum stream s = STREAM_OUT; s <= STREAM_ERR; s++) {
		int fd;

		assert_int_equal(object_create(r->dir_fd, g, s, &fd), 0);
		close(fd);
	}
}

static bool has_objects(struct room *r, const struct gen *g)
{
	unsigned n = 0;

	for (enum stream s = STREAM_OUT; s <= STREAM_ERR; s++) {
		char name[SC_OBJECT_NAME];

		object_name(g, s, name);
		n += faccessat(r->dir_fd, name, F_OK, 0) == 0;
	}
	assert_true(n == 0 || n == 2);
	return n == 2;
}

/* Everything asked for before this is done, unlinking included: one thread does it all in order. */
static void settle(struct room *r)
{
	struct said s = {0};
	struct gen g = make_gen(UINT64_MAX);

	assert_int_equal(index_discard(r->ix, &g, on_done, &s), 0);
	await(r, &s, 1);
}

static bool there(struct room *r, const char *name)
{
	struct stat st;

	return fstatat(r->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool logged(struct room *r, const char *word)
{
	static char text[65536];
	int fd = openat(r->dir_fd, "log", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof text - 1);

	assert_true(n >= 0);
	close(fd);
	text[n] = '\0';
	return strstr(text, word) != NULL;
}

/* ---- rows ---- */

static void what_is_committed_is_found_as_it_was(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("key", 7), got;

	open_index(r);
	assert_int_equal(find(r, "key", &got), SC_ENOENT);
	assert_int_equal(commit(r, &e), 1);
	memset(&got, 0xff, sizeof got);
	assert_int_equal(find(r, "key", &got), 0);
	assert_string_equal(got.bucket, "default");
	assert_int_equal(got.key_len, 3);
	assert_memory_equal(got.key, "key", 3);
	assert_true(gen_equal(&got.gen, &e.gen));
	assert_int_equal(got.order, 7);
	assert_int_equal(got.exit, 3);
	assert_int_equal(got.signal, 9);
	assert_int_equal(got.out_len, e.out_len);
	assert_int_equal(got.err_len, e.err_len);
	assert_memory_equal(got.out_sum, e.out_sum, SC_SUM_SIZE);
	assert_memory_equal(got.err_sum, e.err_sum, SC_SUM_SIZE);
	assert_int_equal(got.created_wall_ms, e.created_wall_ms);
	assert_int_equal(got.created_boot_ms, e.created_boot_ms);
	assert_memory_equal(got.boot_id, BOOT, 16);
	assert_int_equal(got.ttl_ms, 1000);
	assert_int_equal(got.stale_ms, 500);
	assert_int_equal(got.took_ms, 4321);
	assert_memory_equal(got.command, e.command, SC_COMMAND_SIZE);
	assert_int_equal(got.shown_len, 9);
	assert_memory_equal(got.shown, "make\0all", 9);
	assert_int_equal(index_count(r->ix), 1);
	assert_int_equal(index_order(r->ix), 7);
}

static void a_command_that_is_not_known_comes_back_as_that(void **state)
{
	static const uint8_t none[SC_COMMAND_SIZE];
	struct room *r = *state;
	struct entry e = make_entry("key", 1), got;

	open_index(r);
	memset(e.command, 0, sizeof e.command);
	e.shown_len = 0;
	commit(r, &e);
	memset(&got, 0xff, sizeof got);
	assert_int_equal(find(r, "key", &got), 0);
	assert_memory_equal(got.command, none, SC_COMMAND_SIZE);
	assert_int_equal(got.shown_len, 0);
}

/* S13: who has a copy of an index finds no command out by hashing guesses. */
static void commands_are_told_apart_by_a_secret_of_the_index(void **state)
{
	static const uint8_t one[SC_COMMAND_SIZE] = {1}, two[SC_COMMAND_SIZE] = {2}, none[SC_COMMAND_SIZE];
	uint8_t a[SC_COMMAND_SIZE], b[SC_COMMAND_SIZE], c[SC_COMMAND_SIZE];
	struct room *r = *state;

	open_index(r);
	index_key_command(r->ix, view(one, sizeof one), a);
	index_key_command(r->ix, view(two, sizeof two), b);
	index_key_command(r->ix, view(one, 0), c);
	assert_memory_not_equal(a, b, sizeof a);
	assert_memory_not_equal(a, one, sizeof a);
	assert_memory_equal(c, none, sizeof c);
	close_index(r);
	open_index(r); /* by the next daemon */
	index_key_command(r->ix, view(one, sizeof one), c);
	assert_memory_equal(a, c, sizeof a);
	close_index(r);
	assert_int_equal(unlinkat(r->dir_fd, "index.db", 0), 0);
	open_index(r); /* another index */
	index_key_command(r->ix, view(one, sizeof one), c);
	assert_memory_not_equal(a, c, sizeof a);
}

static void forever_and_huge_times_come_back(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("forever", 1), got;

	open_index(r);
	e.ttl_ms = SC_FOREVER;
	e.stale_ms = SC_FOREVER;
	commit(r, &e);
	assert_int_equal(find(r, "forever", &got), 0);
	assert_true(got.ttl_ms == SC_FOREVER && got.stale_ms == SC_FOREVER);

	e = make_entry("huge", 2);
	e.ttl_ms = SC_FOREVER - 1;
	e.stale_ms = SC_FOREVER - 1;
	commit(r, &e);
	assert_int_equal(find(r, "huge", &got), 0);
	assert_true(got.ttl_ms >= INT64_MAX && got.ttl_ms < SC_FOREVER);
	assert_true(index_next_expiry(r->ix, &NOW) == SC_FOREVER);
}

static void keys_are_bytes_of_every_length_and_buckets_are_apart(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("", 1), got;

	open_index(r);
	e.key_len = SC_KEY_MAX;
	memset(e.key, 0xff, e.key_len);
	commit(r, &e);
	e.order = 2;
	e.gen = make_gen(2);
	e.key_len = SC_KEY_MAX - 1;
	commit(r, &e);
	assert_int_equal(index_find(r->ix, bytes_of(DEFAULT), view(e.key, SC_KEY_MAX), false, &got), 0);
	assert_int_equal(got.order, 1);
	assert_int_equal(index_find(r->ix, bytes_of(DEFAULT), view(e.key, SC_KEY_MAX - 1), false, &got), 0);
	assert_int_equal(got.order, 2);
	assert_int_equal(index_find(r->ix, bytes_of(DEFAULT), view(e.key, SC_KEY_MAX - 2), false, &got), SC_ENOENT);
	assert_int_equal(index_find(r->ix, bytes_of(DEFAULT), view(NULL, 0), false, &got), SC_ENOENT);
	assert_int_equal(index_find(r->ix, bytes_of("other"), view(e.key, SC_KEY_MAX), false, &got), SC_ENOENT);
	strcpy(e.bucket, "other");
	e.order = 3;
	commit(r, &e);
	assert_int_equal(index_count(r->ix), 3);
}

static void a_newer_run_replaces_an_older_one(void **state)
{
	struct room *r = *state;
	struct entry a = make_entry("key", 1), b = make_entry("key", 2);

	open_index(r);
	assert_int_equal(commit(r, &a), 1);
	assert_int_equal(commit(r, &b), 1);
	assert_int_equal(order_of(r, "key"), 2);
	assert_int_equal(index_count(r->ix), 1);
}

static void an_older_run_never_replaces_a_newer_one(void **state)
{
	struct room *r = *state;
	struct entry a = make_entry("key", 1), b = make_entry("key", 2);

	open_index(r);
	make_objects(r, &a.gen);
	make_objects(r, &b.gen);
	assert_int_equal(commit(r, &b), 1);
	assert_int_equal(commit(r, &a), 0);
	settle(r);
	assert_int_equal(order_of(r, "key"), 2);
	assert_int_equal(index_count(r->ix), 1);
	assert_int_equal(index_order(r->ix), 2);
	assert_false(has_objects(r, &a.gen));
	assert_true(has_objects(r, &b.gen));
}

static void objects_of_a_replaced_generation_go(void **state)
{
	struct room *r = *state;
	struct entry a = make_entry("key", 1), b = make_entry("key", 2);

	open_index(r);
	make_objects(r, &a.gen);
	make_objects(r, &b.gen);
	commit(r, &a);
	settle(r);
	assert_true(has_objects(r, &a.gen));
	commit(r, &b);
	settle(r);
	assert_false(has_objects(r, &a.gen));
	assert_true(has_objects(r, &b.gen));
}

static void a_commit_said_twice_keeps_its_objects(void **state)
{
	struct room *r = *state;
	struct entry a = make_entry("key", 1);

	open_index(r);
	make_objects(r, &a.gen);
	assert_int_equal(commit(r, &a), 1);
	assert_int_equal(commit(r, &a), 1);
	settle(r);
	assert_true(has_objects(r, &a.gen));
	assert_int_equal(index_count(r->ix), 1);
}

static void objects_of_a_run_never_committed_go(void **state)
{
	struct room *r = *state;
	struct gen g = make_gen(1);
	struct said s = {0};

	open_index(r);
	make_objects(r, &g);
	assert_int_equal(index_discard(r->ix, &g, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.status, 0);
	assert_false(has_objects(r, &g));
	assert_int_equal(index_discard(r->ix, &g, NULL, NULL), 0);
}

static void make_flight(struct room *r, const struct gen *g)
{
	struct flightfile f = {.gen = *g, .bucket = "default", .key = "k", .key_len = 1};
	int lock_fd;

	assert_int_equal(flightfile_create(r->dir_fd, NULL, &f, &lock_fd), 0);
	close(lock_fd);
}

static void who_is_told_of_an_entry_does_not_find_its_run_any_more(void **state)
{
	struct room *r = *state;
	struct entry a = make_entry("key", 5);

	open_index(r);
	make_objects(r, &a.gen);
	make_flight(r, &a.gen);
	assert_int_equal(commit(r, &a), 1);
	assert_false(flightfile_is_there(r->dir_fd, &a.gen));
	assert_true(has_objects(r, &a.gen));
}

static void the_file_of_a_run_that_is_not_kept_goes_with_what_it_tells_of(void **state)
{
	struct room *r = *state;
	struct entry a = make_entry("key", 5), older = make_entry("key", 3);
	struct said s = {0};

	open_index(r);
	make_objects(r, &a.gen);
	assert_int_equal(commit(r, &a), 1);
	make_objects(r, &older.gen);
	make_flight(r, &older.gen);
	assert_int_equal(commit(r, &older), 0);
	assert_true(flightfile_is_there(r->dir_fd, &older.gen));
	assert_int_equal(index_discard(r->ix, &older.gen, on_done, &s), 0);
	await(r, &s, 1);
	assert_false(has_objects(r, &older.gen));
	assert_false(flightfile_is_there(r->dir_fd, &older.gen));
}

static void remove_takes_row_and_objects_up_to_an_order(void **state)
{
	struct room *r = *state;
	struct entry a = make_entry("key", 5), got;

	open_index(r);
	make_objects(r, &a.gen);
	commit(r, &a);
	assert_int_equal(drop(r, "key", 4), 0);
	assert_int_equal(drop(r, "none", UINT64_MAX), 0);
	assert_true(has_objects(r, &a.gen));
	assert_int_equal(drop(r, "key", 5), 1);
	assert_false(has_objects(r, &a.gen));
	assert_int_equal(find(r, "key", &got), SC_ENOENT);
	assert_int_equal(index_count(r->ix), 0);
	assert_int_equal(index_order(r->ix), 5);
	assert_int_equal(drop(r, "key", UINT64_MAX), 0);
}

static uint64_t clear_batch(struct room *r, struct clearing *cl)
{
	struct said s = {0};

	assert_int_equal(index_clear(r->ix, cl, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.status, 0);
	return s.changed;
}

static void clear_takes_what_begins_so_in_batches_up_to_an_order(void **state)
{
	struct room *r = *state;
	struct clearing cl = {.bucket = bytes_of(DEFAULT), .prefix = bytes_of("k/"), .max_order = 600};
	struct entry e, got;
	char key[32];

	open_index(r);
	for (unsigned i = 1; i <= 605; i++) {
		snprintf(key, sizeof key, "k/%04u", i);
		e = make_entry(key, i);
		if (i == 300 || i == 601)
			make_objects(r, &e.gen);
		commit(r, &e);
	}
	e = make_entry("k", 606);
	commit(r, &e);
	e = make_entry("k0", 607);
	commit(r, &e);
	assert_int_equal(clear_batch(r, &cl), 256);
	assert_false(cl.over);
	/* What is put behind its back is newer than the question. */
	e = make_entry("k/0001", 608);
	commit(r, &e);
	assert_int_equal(clear_batch(r, &cl), 256);
	assert_false(cl.over);
	assert_int_equal(clear_batch(r, &cl), 88);
	assert_true(cl.over);
	assert_int_equal(index_count(r->ix), 8);
	e.gen = make_gen(300);
	assert_false(has_objects(r, &e.gen));
	e.gen = make_gen(601);
	assert_true(has_objects(r, &e.gen));
	assert_int_equal(find(r, "k/0600", &got), SC_ENOENT);
	assert_int_equal(find(r, "k/0001", &got), 0);
	assert_int_equal(find(r, "k/0601", &got), 0);
	assert_int_equal(find(r, "k", &got), 0);
	assert_int_equal(find(r, "k0", &got), 0);
}

/* ---- ages ---- */

static void age_is_told_by_the_right_clock(void **state)
{
	static const struct {
		const uint8_t *made_in, *now_in;
		uint64_t created_boot, created_wall, boot, wall;
		bool known;
		uint64_t age;
	} rows[] = {
		{BOOT, BOOT, 100, 9000, 100, 9000, true, 0},
		{BOOT, BOOT, 100, 9000, 350, 9250, true, 250},
		{BOOT, BOOT, 100, 9000, 350, 1, true, 250},	    /* wall clock set back */
		{BOOT, BOOT, 100, 9000, 350, 999999999, true, 250}, /* wall clock set ahead */
		{BOOT, BOOT, 351, 9000, 350, 9999, false, 0},	    /* made in the future of this boot */
		{OTHER, BOOT, 100, 9000, 50, 9250, true, 250},	    /* after a reboot */
		{OTHER, BOOT, 100, 9000, 5000, 9250, true,
		 5000}, /* wall clock set back, not so far: at least as old as this boot */
		{OTHER, BOOT, 100, 9000, 5000, 9000, true, 5000},
		{OTHER, BOOT, 100, 9000, 5000, 8999, false, 0}, /* wall clock set back over a reboot */
		{OTHER, BOOT, 100, UINT64_MAX, 5000, 8999, false, 0},
		{OTHER, BOOT, 100, 0, 5000, UINT64_MAX, true, UINT64_MAX},
		{UNKNOWN, UNKNOWN, 100, 9000, 350, 9100, true, 250}, /* boots are not told apart: the older of both */
		{UNKNOWN, UNKNOWN, 100, 9000, 350, 9900, true, 900},
		{UNKNOWN, UNKNOWN, 100, 9000, 350, 8999, false, 0},
		{UNKNOWN, UNKNOWN, 351, 9000, 350, 9900, false, 0},
		{UNKNOWN, BOOT, 100, 9000, 5000, 9100, true, 100}, /* one of them is: it may be the same */
		{OTHER, UNKNOWN, 6000, 9000, 5000, 9100, true, 100},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct entry e = {.created_boot_ms = rows[i].created_boot, .created_wall_ms = rows[i].created_wall};
		struct now now = {.boot_ms = rows[i].boot, .wall_ms = rows[i].wall};
		uint64_t age = 0;

		memcpy(e.boot_id, rows[i].made_in, 16);
		assert_int_equal(entry_age(&e, rows[i].now_in, &now, &age), rows[i].known);
		assert_true(!rows[i].known || age == rows[i].age);
	}
}

static struct now later(uint64_t boot_ms, int64_t wall_ms)
{
	return (struct now){.boot_ms = NOW.boot_ms + boot_ms, .wall_ms = NOW.wall_ms + (uint64_t)wall_ms};
}

static void expiry_begins_when_ttl_and_stale_are_over(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("key", 1), f = make_entry("for ever", 2), got;
	struct now now = later(1500, 1500);

	open_index(r);
	assert_true(index_next_expiry(r->ix, &NOW) == SC_FOREVER);
	make_objects(r, &e.gen);
	commit(r, &e);
	f.ttl_ms = SC_FOREVER;
	commit(r, &f);
	assert_int_equal(index_next_expiry(r->ix, &NOW), 1501);
	assert_int_equal(index_next_expiry(r->ix, &now), 1);
	assert_int_equal(expire(r, now, 100), 0);
	now = later(1501, -4000000);
	assert_int_equal(index_next_expiry(r->ix, &now), 0);
	assert_int_equal(expire(r, now, 0), 0);
	assert_int_equal(expire(r, now, 100), 1);
	assert_false(has_objects(r, &e.gen));
	assert_int_equal(find(r, "key", &got), SC_ENOENT);
	assert_int_equal(find(r, "for ever", &got), 0);
	assert_true(index_next_expiry(r->ix, &now) == SC_FOREVER);
	assert_int_equal(index_count(r->ix), 1);
}

static void rows_of_another_boot_expire_by_the_wall_clock(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("key", 1), got;
	const struct now booted = {.boot_ms = 0, .wall_ms = NOW.wall_ms};
	struct now now = booted;

	now.wall_ms += 1500;
	open_index(r);
	memcpy(e.boot_id, OTHER, 16);
	e.created_boot_ms = 77777777777; /* means nothing here */
	commit(r, &e);
	assert_int_equal(index_next_expiry(r->ix, &booted), 1501);
	assert_int_equal(index_next_expiry(r->ix, &now), 1);
	assert_int_equal(expire(r, now, 100), 0);
	now.wall_ms++;
	assert_int_equal(index_next_expiry(r->ix, &now), 0);
	assert_int_equal(expire(r, now, 100), 1);
	assert_int_equal(find(r, "key", &got), SC_ENOENT);

	/* However little the wall clock says: it is at least as old as this boot. */
	e.order = 2;
	commit(r, &e);
	now = booted;
	now.boot_ms = 1500;
	assert_int_equal(index_next_expiry(r->ix, &now), 1);
	now.boot_ms = 1501;
	assert_int_equal(expire(r, now, 100), 1);

	/* Made in the future: it cannot be told how old it is. */
	e.order = 3;
	e.created_wall_ms = NOW.wall_ms + 1;
	commit(r, &e);
	assert_int_equal(index_next_expiry(r->ix, &booted), 0);
	assert_int_equal(expire(r, booted, 100), 1);

	e.order = 4;
	e.ttl_ms = SC_FOREVER;
	commit(r, &e);
	assert_true(index_next_expiry(r->ix, &booted) == SC_FOREVER);
	assert_int_equal(expire(r, later(0, 4000000000), 100), 0);
	assert_int_equal(find(r, "key", &got), 0);
	assert_memory_equal(got.boot_id, OTHER, 16);
}

static void expiry_goes_in_batches(void **state)
{
	struct room *r = *state;
	struct said s = {0};

	open_index(r);
	for (unsigned i = 0; i < 25; i++) {
		char key[16];

		snprintf(key, sizeof key, "%u", i);
		struct entry e = make_entry(key, i + 1);

		if (i % 2)
			memcpy(e.boot_id, OTHER, 16);
		assert_int_equal(index_commit(r->ix, &e, on_done, &s), 0);
	}
	await(r, &s, 25);
	assert_int_equal(expire(r, later(5000, 5000), 10), 10);
	assert_int_equal(expire(r, later(5000, 5000), 10), 10);
	assert_int_equal(expire(r, later(5000, 5000), 10), 5);
	assert_int_equal(expire(r, later(5000, 5000), 10), 0);
	assert_int_equal(index_count(r->ix), 0);
}

/* ---- lists ---- */

struct listing {
	char text[4096];
	uint8_t last[SC_KEY_MAX];
	size_t last_len;
	unsigned stop_at, n;
};

static int on_row(void *arg, const struct entry *e)
{
	struct listing *l = arg;

	for (size_t i = 0; i < e->key_len; i++)
		snprintf(l->text + strlen(l->text), sizeof l->text - strlen(l->text), "%02x", e->key[i]);
	strcat(l->text, " ");
	memcpy(l->last, e->key, e->key_len);
	l->last_len = e->key_len;
	return ++l->n == l->stop_at;
}

static void commit_keys(struct room *r)
{
	static const char *const keys[] = {"b",	 "\xff",	 "a",	  "\xff\xff", "a\xff", "a\xff\xff",
					   "ab", "\xff\xff\x01", "a\x01", "b\x7f"};
	struct said s = {0};

	for (size_t i = 0; i < COUNT(keys); i++) {
		struct entry e = make_entry(keys[i], i + 1);

		assert_int_equal(index_commit(r->ix, &e, on_done, &s), 0);
	}
	await(r, &s, 10);
}

static void check_list(struct room *r, struct bytes prefix, struct bytes after, unsigned limit, const char *expected)
{
	struct listing l = {0};
	struct cursor at = {0};
	unsigned spaces = 0;

	for (const char *p = expected; *p; p++)
		spaces += *p == ' ';
	memcpy(at.after, after.p ? after.p : at.after, after.n);
	at.after_len = after.n;
	assert_int_equal(index_list(r->ix, bytes_of(DEFAULT), prefix, &at, limit, on_row, &l), spaces);
	assert_string_equal(l.text, expected);
}

static void keys_are_listed_bytewise_by_prefix(void **state)
{
	struct room *r = *state;
	struct bytes none = {0};

	open_index(r);
	commit_keys(r);
	check_list(r, none, none, 100, "61 6101 6162 61ff 61ffff 62 627f ff ffff ffff01 ");
	check_list(r, bytes_of("a"), none, 100, "61 6101 6162 61ff 61ffff ");
	check_list(r, bytes_of("a\xff"), none, 100, "61ff 61ffff ");
	check_list(r, bytes_of("\xff"), none, 100, "ff ffff ffff01 ");
	check_list(r, bytes_of("\xff\xff"), none, 100, "ffff ffff01 ");
	check_list(r, bytes_of("\xff\xff\xff"), none, 100, "");
	check_list(r, bytes_of("c"), none, 100, "");
	check_list(r, none, none, 3, "61 6101 6162 ");
	check_list(r, none, none, 0, "");
}

static void a_list_goes_on_after_a_key(void **state)
{
	struct room *r = *state;
	struct bytes none = {0};
	struct listing l = {0};
	uint8_t long_key[SC_KEY_MAX + 1] = {0};
	struct cursor at = {0};
	int n;

	open_index(r);
	commit_keys(r);
	check_list(r, none, bytes_of("a"), 100, "6101 6162 61ff 61ffff 62 627f ff ffff ffff01 ");
	check_list(r, bytes_of("a"), bytes_of("a\xff"), 100, "61ffff ");
	check_list(r, bytes_of("b"), bytes_of("a"), 100, "62 627f ");
	check_list(r, bytes_of("a"), bytes_of("b"), 100, "");
	check_list(r, none, bytes_of("zz"), 2, "ff ffff ");
	check_list(r, none, bytes_of("\xff\xff\x01"), 100, "");
	/* By pages of three. */
	while (!at.over && (n = index_list(r->ix, bytes_of(DEFAULT), none, &at, 3, on_row, &l)) >= 0)
		assert_true(n <= 3);
	assert_true(at.over);
	assert_string_equal(l.text, "61 6101 6162 61ff 61ffff 62 627f ff ffff ffff01 ");
	/* Until it is told to stop. */
	l = (struct listing){.stop_at = 2};
	at = (struct cursor){0};
	assert_int_equal(index_list(r->ix, bytes_of(DEFAULT), none, &at, 100, on_row, &l), 2);
	assert_false(at.over);
	l = (struct listing){0};
	assert_int_equal(index_list(r->ix, bytes_of(DEFAULT), none, &at, 100, on_row, &l), 8);
	assert_string_equal(l.text, "6162 61ff 61ffff 62 627f ff ffff ffff01 ");
	assert_true(at.over);
	at = (struct cursor){0};
	assert_int_equal(index_list(r->ix, bytes_of(DEFAULT), view(long_key, sizeof long_key), &at, 1, on_row, &l), 0);
	assert_true(at.over);
	at = (struct cursor){0};
	assert_int_equal(index_list(r->ix, bytes_of("nobody"), none, &at, 1, on_row, &l), 0);
	assert_true(at.over);
}

/* ---- restarts ---- */

static void a_restart_keeps_everything(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("key", 41), other = make_entry("other boot", 42), got;
	struct stat st;

	open_index(r);
	commit(r, &e);
	memcpy(other.boot_id, OTHER, 16);
	commit(r, &other);
	drop(r, "other boot", UINT64_MAX);
	close_index(r);
	assert_false(there(r, "index.db-wal"));
	open_index(r);
	assert_int_equal(index_count(r->ix), 1);
	assert_int_equal(index_order(r->ix), 42);
	assert_int_equal(order_of(r, "key"), 41);
	assert_int_equal(find(r, "other boot", &got), SC_ENOENT);
	assert_false(there(r, "index.db.bad-1"));
	assert_int_equal(fstatat(r->dir_fd, "index.db", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void the_files_are_0600_whatever_the_umask(void **state)
{
	static const char *const names[] = {"index.db", "index.db-wal", "index.db-shm"};
	struct room *r = *state;
	mode_t masks[] = {0, 0277}, old = umask(0);

	for (size_t m = 0; m < 2; m++) {
		struct entry e = make_entry("key", 1);

		umask(masks[m]);
		open_index(r);
		commit(r, &e);
		umask(old);
		for (size_t i = 0; i < 3; i++) {
			struct stat st;

			assert_int_equal(fstatat(r->dir_fd, names[i], &st, AT_SYMLINK_NOFOLLOW), 0);
			assert_int_equal(st.st_mode & 07777, 0600);
		}
		close_index(r);
		assert_int_equal(unlinkat(r->dir_fd, "index.db", 0), 0);
	}
}

struct victim {
	unsigned left;
};

static void on_last_die(void *arg, int status, uint64_t changed)
{
	struct victim *v = arg;

	if (status || !changed)
		_exit(9);
	if (--v->left == 0)
		raise(SIGKILL);
}

static void what_was_answered_survives_kill_9(void **state)
{
	struct room *r = *state;
	struct entry got;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct victim v = {.left = 300};

		if (index_open(&r->ix, r->dir_fd, BOOT, NULL, false, NULL))
			_exit(8);
		for (unsigned i = 0; i < 300; i++) {
			char key[16];

			snprintf(key, sizeof key, "%u", i);
			struct entry e = make_entry(key, i + 1);

			if (index_commit(r->ix, &e, on_last_die, &v))
				_exit(7);
		}
		for (;;) {
			struct pollfd p = {.fd = index_fd(r->ix), .events = POLLIN};

			poll(&p, 1, -1);
			index_collect(r->ix);
		}
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	open_index(r);
	assert_int_equal(index_count(r->ix), 300);
	assert_int_equal(index_order(r->ix), 300);
	for (unsigned i = 0; i < 300; i++) {
		char key[16];

		snprintf(key, sizeof key, "%u", i);
		assert_int_equal(find(r, key, &got), 0);
	}
	assert_false(there(r, "index.db.bad-1"));
}

static void closing_finishes_every_job(void **state)
{
	struct room *r = *state;
	struct said s = {0};

	open_index(r);
	for (unsigned i = 0; i < 500; i++) {
		char key[16];

		snprintf(key, sizeof key, "%u", i);
		struct entry e = make_entry(key, i + 1);

		assert_int_equal(index_commit(r->ix, &e, on_done, &s), 0);
	}
	close_index(r);
	assert_int_equal(s.calls, 500);
	assert_int_equal(s.total, 500);
	open_index(r);
	assert_int_equal(index_count(r->ix), 500);
}

static void on_ask_more(void *arg, int status, uint64_t changed)
{
	struct room *r = arg;
	struct entry e = make_entry("second", 2);

	assert_int_equal(status, 0);
	assert_int_equal(changed, 1);
	assert_int_equal(index_commit(r->ix, &e, NULL, NULL), 0);
}

static void closing_finishes_what_a_callback_asks_for(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("first", 1), got;

	open_index(r);
	assert_int_equal(index_commit(r->ix, &e, on_ask_more, r), 0);
	close_index(r);
	open_index(r);
	assert_int_equal(find(r, "second", &got), 0);
}

static void callbacks_come_in_order(void **state)
{
	struct room *r = *state;
	struct said s[3] = {{0}};
	struct entry e = make_entry("key", 1);

	open_index(r);
	assert_int_equal(index_commit(r->ix, &e, on_done, &s[0]), 0);
	assert_int_equal(index_remove(r->ix, bytes_of(DEFAULT), bytes_of("key"), 1, on_done, &s[1]), 0);
	e.order = 2;
	assert_int_equal(index_commit(r->ix, &e, on_done, &s[2]), 0);
	await(r, &s[2], 1);
	assert_int_equal(s[0].calls, 1);
	assert_int_equal(s[1].calls, 1);
	assert_int_equal(s[1].changed, 1);
	assert_int_equal(s[2].changed, 1);
	assert_int_equal(order_of(r, "key"), 2);
}

/* ---- bad files ---- */

static void write_file(struct room *r, const char *name, const void *p, size_t n)
{
	int fd = openat(r->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	close(fd);
}

static void alter(struct room *r, const char *sql)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/index.db", r->path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* Opens what lies there: it must have been moved to bad-1, and a fresh one must work. */
static void check_fresh(struct room *r)
{
	struct entry e = make_entry("key", 1);

	open_index(r);
	assert_int_equal(index_count(r->ix), 0);
	assert_int_equal(index_order(r->ix), 0);
	assert_int_equal(commit(r, &e), 1);
	assert_int_equal(order_of(r, "key"), 1);
	assert_true(there(r, "index.db.bad-1"));
	assert_true(logged(r, "index-bad"));
	close_index(r);
	open_index(r);
	assert_int_equal(order_of(r, "key"), 1);
	assert_false(there(r, "index.db.bad-2"));
}

static void fill(struct room *r, unsigned n)
{
	struct said s = {0};

	for (unsigned i = 0; i < n; i++) {
		char key[16];

		snprintf(key, sizeof key, "%08u", i);
		struct entry e = make_entry(key, i + 1);

		assert_int_equal(index_commit(r->ix, &e, on_done, &s), 0);
		if (i % 1000 == 0)
			index_collect(r->ix);
	}
	await(r, &s, n);
	assert_int_equal(s.total, n);
}

static void garbage_is_moved_aside(void **state)
{
	struct room *r = *state;
	char garbage[8192];

	memset(garbage, 0x5a, sizeof garbage);
	write_file(r, "index.db", garbage, sizeof garbage);
	write_file(r, "index.db-wal", garbage, sizeof garbage);
	write_file(r, "index.db-shm", garbage, sizeof garbage);
	check_fresh(r);
	assert_true(there(r, "index.db.bad-1-wal"));
	assert_true(there(r, "index.db.bad-1-shm"));
}

static void a_truncated_file_is_moved_aside(void **state)
{
	struct room *r = *state;
	int fd;

	open_index(r);
	fill(r, 2000);
	close_index(r);
	fd = openat(r->dir_fd, "index.db", O_RDWR | O_CLOEXEC);
	assert_int_equal(ftruncate(fd, 40000), 0);
	close(fd);
	check_fresh(r);
}

static void an_empty_file_becomes_an_index(void **state)
{
	struct room *r = *state;

	write_file(r, "index.db", "", 0);
	write_file(r, "index.db-wal", "left over", 9);
	open_index(r);
	assert_int_equal(index_count(r->ix), 0);
	assert_false(there(r, "index.db.bad-1"));
}

static void a_newer_index_is_moved_aside(void **state)
{
	struct room *r = *state;

	open_index(r);
	close_index(r);
	alter(r, "PRAGMA user_version = 7");
	check_fresh(r);
}

static void an_older_index_is_moved_aside(void **state)
{
	struct room *r = *state;

	open_index(r);
	close_index(r);
	alter(r, "PRAGMA user_version = 4");
	check_fresh(r);
}

static void a_foreign_database_is_moved_aside_as_it_was(void **state)
{
	struct room *r = *state;
	char path[128];
	sqlite3_stmt *st;
	sqlite3 *db;

	alter(r, "CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')");
	check_fresh(r);
	snprintf(path, sizeof path, "%s/index.db.bad-1", r->path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT name FROM recipes", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(st, 0), "soup");
	sqlite3_finalize(st);
	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(st, 0), "delete");
	sqlite3_finalize(st);
	sqlite3_close(db);
}

static void an_index_without_its_tables_is_moved_aside(void **state)
{
	struct room *r = *state;

	open_index(r);
	close_index(r);
	alter(r, "DROP TABLE entry");
	check_fresh(r);
}

static void an_index_without_its_counters_is_moved_aside(void **state)
{
	struct room *r = *state;

	open_index(r);
	close_index(r);
	alter(r, "DELETE FROM meta");
	check_fresh(r);
}

static void a_link_in_the_place_of_the_index_is_moved_aside(void **state)
{
	struct room *r = *state;

	open_index(r);
	fill(r, 1);
	close_index(r);
	assert_int_equal(renameat(r->dir_fd, "index.db", r->dir_fd, "elsewhere"), 0);
	assert_int_equal(symlinkat("elsewhere", r->dir_fd, "index.db"), 0);
	check_fresh(r);
	close_index(r);
	/* With a second name. */
	assert_int_equal(linkat(r->dir_fd, "index.db", r->dir_fd, "second", 0), 0);
	open_index(r);
	assert_int_equal(index_count(r->ix), 0);
	assert_true(there(r, "index.db.bad-2"));
	close_index(r);
	/* Writable by others. */
	assert_int_equal(fchmodat(r->dir_fd, "index.db", 0666, 0), 0);
	open_index(r);
	assert_true(there(r, "index.db.bad-3"));
	close_index(r);
	/* A directory. */
	assert_int_equal(unlinkat(r->dir_fd, "index.db", 0), 0);
	assert_int_equal(mkdirat(r->dir_fd, "index.db", 0700), 0);
	open_index(r);
	assert_true(there(r, "index.db.bad-4"));
}

static void bad_files_do_not_pile_up(void **state)
{
	struct room *r = *state;

	for (unsigned i = 0; i < 12; i++) {
		write_file(r, "index.db", "not a database at all, whatever its name may say", 48);
		open_index(r);
		close_index(r);
	}
	assert_true(there(r, "index.db.bad-8"));
	assert_false(there(r, "index.db.bad-9"));
}

/* By a process of its own: one that closed the file here would drop the locks SQLite holds on it. */
static void spoil(struct room *r)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		static char garbage[4096];
		int fd = openat(r->dir_fd, "index.db", O_WRONLY | O_CLOEXEC);
		struct stat st;

		memset(garbage, 0xa5, sizeof garbage);
		if (fd < 0 || fstat(fd, &st) < 0)
			_exit(1);
		for (off_t at = 4096; at < st.st_size; at += 4096)
			if (pwrite(fd, garbage, sizeof garbage, at) != sizeof garbage)
				_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void rot_found_by_a_lookup_costs_the_entries_but_not_the_daemon(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("key", 2001), got;

	open_index(r);
	fill(r, 2000);
	close_index(r);
	open_index(r);
	spoil(r);
	assert_int_equal(find(r, "00001000", &got), SC_ECORRUPT);
	assert_int_not_equal(find(r, "00001000", &got),
			     0); /* of the bad file, of the fresh one, or of one that is just being made */
	settle(r);
	assert_int_equal(find(r, "00001000", &got), SC_ENOENT);
	assert_int_equal(index_count(r->ix), 0);
	assert_int_equal(index_order(r->ix), 2000);
	assert_int_equal(commit(r, &e), 1);
	assert_int_equal(order_of(r, "key"), 2001);
	assert_true(there(r, "index.db.bad-1"));
	assert_false(there(r, "index.db.bad-2"));
	close_index(r);
	assert_true(logged(r, "index-bad"));
	open_index(r);
	assert_int_equal(order_of(r, "key"), 2001);
	assert_int_equal(index_order(r->ix), 2001);
}

static void rot_found_by_a_commit_does_not_lose_the_commit(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("00001000", 2001), got;

	open_index(r);
	fill(r, 2000);
	close_index(r);
	open_index(r);
	spoil(r);
	assert_int_equal(commit(r, &e), 1);
	assert_int_equal(order_of(r, "00001000"), 2001);
	assert_int_equal(find(r, "00000999", &got), SC_ENOENT);
	assert_int_equal(index_count(r->ix), 1);
	assert_true(there(r, "index.db.bad-1"));
}

static void look(struct index *ix)
{
	if (!index_is_there(ix))
		index_renew(ix);
}

static void an_index_removed_or_replaced_while_it_is_open_is_begun_anew(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("key", 2001), got;

	open_index(r);
	fill(r, 2000);
	look(r->ix);
	settle(r);
	assert_int_equal(index_count(r->ix), 2000);
	for (int way = 0; way < 2; way++) {
		unsigned epoch = index_epoch(r->ix);

		assert_int_equal(unlinkat(r->dir_fd, "index.db", 0), 0);
		if (way == 1)
			write_file(r, "index.db", "something else", 14);
		look(r->ix);
		look(r->ix);
		settle(r);
		assert_int_equal(index_epoch(r->ix), epoch + 1);
		look(r->ix);
		settle(r);
		assert_int_equal(index_epoch(r->ix), epoch + 1);
		assert_int_equal(find(r, "00001000", &got), SC_ENOENT);
		assert_int_equal(index_count(r->ix), 0);
		e.order++;
		assert_int_equal(commit(r, &e), 1);
	}
	close_index(r);
	assert_true(logged(r, "removed or replaced"));
	open_index(r);
	assert_int_equal(order_of(r, "key"), e.order);
}

static bool disk_is_broken;
static ssize_t (*real_pread)(int, void *, size_t, off_t);

static ssize_t pread_of_a_broken_disk(int fd, void *to, size_t n, off_t at)
{
	if (!disk_is_broken)
		return real_pread(fd, to, n, at);
	errno = EIO;
	return -1;
}

static void break_reads(void)
{
	static const char *const names[] = {"pread64", "pread"};
	sqlite3_vfs *vfs = sqlite3_vfs_find("unix");

	for (unsigned i = 0; i < 2 && !real_pread; i++) {
		real_pread = (ssize_t(*)(int, void *, size_t, off_t))vfs->xGetSystemCall(vfs, names[i]);
		if (real_pread)
			vfs->xSetSystemCall(vfs, names[i], (sqlite3_syscall_ptr)pread_of_a_broken_disk);
	}
	assert_non_null(real_pread);
	disk_is_broken = true;
}

/* B06, B07: a disk that refuses to read proves nothing about what is on it. */
static void a_disk_that_cannot_be_read_does_not_cost_the_index(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("00001000", 2001), got;
	struct said s = {0};

	open_index(r);
	fill(r, 2000);
	close_index(r);
	open_index(r);
	break_reads();
	assert_int_equal(find(r, "00001000", &got), SC_ESYS);
	assert_int_equal(index_commit(r->ix, &e, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.status, SC_ESYS);
	assert_int_equal(s.err, EIO);
	disk_is_broken = false;
	assert_int_equal(find(r, "00001000", &got), 0);
	assert_int_equal(index_count(r->ix), 2000);
	close_index(r);
	break_reads();
	assert_int_equal(index_open(&r->ix, r->dir_fd, BOOT, NULL, false, r->log), SC_ESYS);
	disk_is_broken = false;
	open_index(r);
	assert_int_equal(index_count(r->ix), 2000);
	assert_false(there(r, "index.db.bad-1"));
}

/* ---- trouble ---- */

static void a_bad_job_fails_alone(void **state)
{
	struct room *r = *state;
	struct said good = {0}, bad = {0};

	open_index(r);
	for (unsigned i = 0; i < 100; i++) {
		char key[16];

		snprintf(key, sizeof key, "%u", i);
		struct entry e = make_entry(key, i + 1);

		if (i % 10 == 5)
			e.key_len = 0; /* against the schema */
		assert_int_equal(index_commit(r->ix, &e, on_done, i % 10 == 5 ? &bad : &good), 0);
		assert_true(good.status == 0);
	}
	await(r, &good, 90);
	await(r, &bad, 10);
	assert_int_equal(good.total, 90);
	assert_int_equal(bad.status, SC_ESYS);
	assert_int_equal(bad.err, EINVAL);
	assert_int_equal(bad.total, 0);
	assert_int_equal(index_count(r->ix), 90);
}

/* All are of entries without objects. Those before it keep the thread busy, so that the bad one comes in the walk's group. */
static void a_walk_beside_a_bad_job_misses_no_row(void **state)
{
	struct room *r = *state;
	struct walk_order order = {.grace_ms = SC_FOREVER};
	struct said good = {0}, bad = {0}, step = {0};
	struct entry e = make_entry("bad", 1);
	unsigned steps = 1;

	open_index(r);
	for (unsigned i = 0; i < 200; i++) {
		char key[16];

		snprintf(key, sizeof key, "%u", i);
		e = make_entry(key, i + 1);
		assert_int_equal(index_commit(r->ix, &e, on_done, &good), 0);
	}
	assert_int_equal(index_walk(r->ix, &order, on_done, &step), 0);
	e.key_len = 0; /* against the schema */
	assert_int_equal(index_commit(r->ix, &e, on_done, &bad), 0);
	await(r, &good, 200);
	await(r, &bad, 1);
	await(r, &step, 1);
	while (!order.over) {
		assert_int_equal(index_walk(r->ix, &order, on_done, &step), 0);
		await(r, &step, ++steps);
		assert_int_equal(step.status, 0);
	}
	assert_int_equal(bad.err, EINVAL);
	assert_int_equal(index_count(r->ix), 0);
	assert_int_equal(order.rows, 200);
	assert_int_equal(order.bad_rows, 200);
}

/* What a newer run has replaced belongs to nobody for a moment, and goes by itself: no walk counts it. Those before it keep the thread
 * busy, so that both come in one group. */
static void a_walk_behind_a_commit_does_not_meet_what_that_replaced(void **state)
{
	struct room *r = *state;

	open_index(r);
	for (uint64_t round = 1; round <= 10; round++) {
		struct walk_order order = {.only_look = true, .now_wall_ms = INT64_MAX};
		struct said good = {0}, step = {0};
		struct entry filler = make_entry("filler", 1000 * round + 1), e = make_entry("key", 1000 * round);
		unsigned steps = 1;

		filler.out_len = filler.err_len = filler.out_size = filler.err_size = e.out_size = e.out_len = e.err_size =
			e.err_len = 0;
		e.gen.b[0] = 1; /* a walk tells them by their first bytes */
		make_objects(r, &e.gen);
		commit(r, &e);
		settle(r);
		e = make_entry("key", 1000 * round + 500);
		e.out_size = e.out_len = e.err_size = e.err_len = 0;
		e.gen.b[0] = 2;
		make_objects(r, &e.gen);
		for (unsigned i = 0; i < 40; i++, filler.gen = make_gen(++filler.order))
			assert_int_equal(index_commit(r->ix, &filler, on_done, &good), 0);
		assert_int_equal(index_commit(r->ix, &e, on_done, &good), 0);
		assert_int_equal(index_walk(r->ix, &order, on_done, &step), 0);
		await(r, &good, 41);
		await(r, &step, 1);
		while (!order.over) {
			assert_int_equal(index_walk(r->ix, &order, on_done, &step), 0);
			await(r, &step, ++steps);
		}
		assert_int_equal(step.status, 0);
		assert_int_equal(order.orphans, 0);
		assert_true(has_objects(r, &e.gen));
	}
	settle(r);
}

static void a_full_disk_fails_the_jobs_and_nothing_else(void **state)
{
	struct room *r = *state;
	struct rlimit old, small;
	struct said s = {0};
	struct entry e = make_entry("before", 1), big = make_entry("", 2), got;

	open_index(r);
	make_objects(r, &e.gen);
	commit(r, &e);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){.rlim_cur = 4096, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	big.key_len = SC_KEY_MAX;
	memset(big.key, 'x', SC_KEY_MAX);
	assert_int_equal(index_commit(r->ix, &big, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(s.status, SC_ESYS);
	assert_int_equal(s.err, EFBIG);
	assert_int_equal(order_of(r, "before"), 1);
	assert_true(has_objects(r, &e.gen));
	assert_int_equal(index_find(r->ix, bytes_of(DEFAULT), view(big.key, SC_KEY_MAX), false, &got), SC_ENOENT);
	assert_int_equal(index_count(r->ix), 1);
	assert_int_equal(commit(r, &big), 1);
	assert_int_equal(index_count(r->ix), 2);
}

static void a_directory_that_is_gone_is_an_error(void **state)
{
	struct room *r = *state;
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/gone", r->path);
	assert_int_equal(mkdir(path, 0700), 0);
	fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(index_open(&r->ix, fd, BOOT, NULL, false, NULL), SC_ESYS);
	assert_int_equal(errno, ENOENT);
	close(fd);
}

static void a_renamed_directory_is_still_ours(void **state)
{
	struct room *r = *state;
	char from[128], to[128];
	struct entry e = make_entry("key", 1);
	int fd;

	snprintf(from, sizeof from, "%s/from", r->path);
	snprintf(to, sizeof to, "%s/to", r->path);
	assert_int_equal(mkdir(from, 0700), 0);
	fd = open(from, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(symlink("/nonexistent", from), 0);
	assert_int_equal(index_open(&r->ix, fd, BOOT, NULL, false, NULL), 0);
	assert_int_equal(commit(r, &e), 1);
	assert_int_equal(order_of(r, "key"), 1);
	strcat(to, "/index.db");
	assert_int_equal(access(to, F_OK), 0);
	close_index(r);
	close(fd);
}

/* 40 directories of 100 letters: longer than SQLite's own 512 and any sun_path. */
static void a_long_path_is_no_trouble(void **state)
{
	struct room *r = *state;
	char name[101];
	int fd = dup(r->dir_fd);
	struct entry e = make_entry("key", 1);

	memset(name, 'd', 100);
	name[100] = '\0';
	for (int i = 0; i < 35; i++) {
		int next;

		assert_int_equal(mkdirat(fd, name, 0700), 0);
		next = openat(fd, name, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	assert_int_equal(index_open(&r->ix, fd, BOOT, NULL, false, NULL), 0);
	assert_int_equal(commit(r, &e), 1);
	assert_int_equal(order_of(r, "key"), 1);
	close_index(r);
	close(fd);
}

static void boots_without_entries_are_forgotten(void **state)
{
	struct room *r = *state;
	uint8_t boot[16] = {0};
	struct entry e = make_entry("for ever", 1);
	char path[128];
	sqlite3_stmt *st;
	sqlite3 *db;

	e.ttl_ms = SC_FOREVER;
	for (uint8_t i = 1; i <= 5; i++) {
		boot[0] = i;
		assert_int_equal(index_open(&r->ix, r->dir_fd, boot, NULL, false, NULL), 0);
		memcpy(e.boot_id, boot, 16);
		if (i == 2)
			commit(r, &e);
		close_index(r);
	}
	snprintf(path, sizeof path, "%s/index.db", r->path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM boots", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(st, 0), 2);
	sqlite3_finalize(st);
	sqlite3_close(db);
}

/* ---- what limits and trust go by ---- */

static sqlite3 *look_inside(struct room *r)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/index.db", r->path);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	return db;
}

static int64_t ask(struct room *r, const char *sql)
{
	sqlite3 *db = look_inside(r);
	sqlite3_stmt *st;
	int64_t n;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

/* The totals kept are those a recount finds, in the file and in memory. */
static void check_totals(struct room *r)
{
	struct total t = index_total(r->ix);

	assert_int_equal(t.entries, ask(r, "SELECT count(*) FROM entry"));
	assert_int_equal(t.bytes, ask(r, "SELECT coalesce(sum(bytes), 0) FROM entry"));
	assert_int_equal(t.entries, ask(r, "SELECT entries FROM meta"));
	assert_int_equal(t.bytes, ask(r, "SELECT bytes FROM meta"));
	assert_int_equal(ask(r, "SELECT count(*) FROM (SELECT name, entries, bytes FROM buckets EXCEPT"
				" SELECT bucket, count(*), sum(bytes) FROM entry GROUP BY bucket)"),
			 0);
	assert_int_equal(ask(r, "SELECT count(*) FROM tag WHERE entry NOT IN (SELECT id FROM entry)"), 0);
	assert_int_equal(ask(r, "SELECT count(*) FROM buckets"), ask(r, "SELECT count(DISTINCT bucket) FROM entry"));
}

static uint64_t evict(struct room *r, struct eviction *ev)
{
	struct said s = {0};

	assert_int_equal(index_evict(r->ix, ev, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.status, 0);
	ev->passed = ev->passed_now;
	return s.changed;
}

static void bytes_are_counted_in_whole_blocks(void **state)
{
	(void)state;
	assert_int_equal(entry_bytes(0, 0), 0);
	assert_int_equal(entry_bytes(1, 0), 4096);
	assert_int_equal(entry_bytes(4096, 4097), 3 * 4096);
	assert_true(entry_bytes(UINT64_MAX, UINT64_MAX) < UINT64_C(1) << 52);
}

static void totals_are_those_of_a_recount(void **state)
{
	static const char *const buckets[] = {"default", "a", "b"};
	struct room *r = *state;
	const char *given = getenv("SC_TEST_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)clock_now().wall_ms;
	struct total t;

	print_message("SC_TEST_SEED=%u\n", seed);
	open_index(r);
	for (unsigned i = 1; i <= 400; i++) {
		unsigned what = (unsigned)rand_r(&seed) % 10;
		char key[16];

		snprintf(key, sizeof key, "%u", (unsigned)rand_r(&seed) % 20);
		if (what < 7) {
			struct entry e = make_entry(key, i);

			strcpy(e.bucket, buckets[rand_r(&seed) % 3]);
			e.out_size = e.out_len = (uint64_t)rand_r(&seed) % 20000;
			e.err_size = e.err_len = (uint64_t)rand_r(&seed) % 5000;
			e.created_boot_ms += i;
			commit(r, &e);
		} else if (what < 8) {
			drop(r, key, SC_FOREVER);
		} else if (what < 9) {
			struct eviction ev = {.entries = (uint64_t)rand_r(&seed) % 3, .bytes = (uint64_t)rand_r(&seed) % 10000};

			strcpy(ev.bucket, i % 2 ? "a" : "");
			evict(r, &ev);
		} else {
			expire(r, later(1500 + i / 2, 0), 5);
		}
		if (i % 20 == 0)
			check_totals(r);
	}
	t = index_total(r->ix);
	close_index(r);
	open_index(r);
	assert_int_equal(index_total(r->ix).entries, t.entries);
	assert_int_equal(index_total(r->ix).bytes, t.bytes);
	expire(r, later(1 << 20, 0), 1024);
	check_totals(r);
	assert_int_equal(index_total(r->ix).bytes, 0);
}

/* Each as a line: how, key, order. */
struct told {
	char text[512];
	struct gen gen;
	uint64_t out_len, err_len;
};

static void note(void *arg, const struct gone *g)
{
	static const char *const how[] = {
		[ROW_REMOVED] = "removed", [ROW_DAMAGED] = "damaged", [ROW_EXPIRED] = "expired", [ROW_EVICTED] = "evicted"};
	struct told *t = arg;
	size_t n = strlen(t->text);

	snprintf(t->text + n, sizeof t->text - n, "%s %.*s/%.*s %llu%s\n", how[g->how], (int)g->bucket.n,
		 (const char *)g->bucket.p, (int)g->key.n, (const char *)g->key.p, (unsigned long long)g->order,
		 g->failed ? " failed" : "");
	t->gen = g->gen;
	t->out_len = g->out_len;
	t->err_len = g->err_len;
}

static void whatever_goes_is_told_with_how_but_not_what_is_replaced(void **state)
{
	struct room *r = *state;
	struct eviction ev = {.entries = 1};
	struct entry a = make_entry("a", 1), b = make_entry("b", 2), c = make_entry("c", 3), d = make_entry("d", 4);
	struct entry f = make_entry("f", 5), newer = make_entry("b", 6), last = make_entry("z", 7);
	struct now later = {.boot_ms = NOW.boot_ms + 2000, .wall_ms = NOW.wall_ms + 2000};
	struct told t = {""};
	struct said s = {0};

	open_index(r);
	f.failed = true;
	last.ttl_ms = SC_FOREVER;
	index_on_gone(r->ix, note, &t);
	commit(r, &a);
	commit(r, &b);
	commit(r, &c);
	commit(r, &d);
	commit(r, &f);
	commit(r, &newer);
	assert_string_equal(t.text, "");
	assert_int_equal(drop(r, "b", UINT64_MAX), 1);
	assert_string_equal(t.text, "removed default/b 6\n");
	assert_memory_equal(&t.gen, &newer.gen, sizeof t.gen);
	assert_int_equal(t.out_len, newer.out_len);
	assert_int_equal(t.err_len, newer.err_len);
	assert_int_equal(drop(r, "b", UINT64_MAX), 0);
	assert_int_equal(index_drop(r->ix, &c, on_done, &s), 0);
	await(r, &s, 1);
	evict(r, &ev);
	commit(r, &last);
	assert_int_equal(expire(r, later, 16), 2);
	assert_string_equal(t.text, "removed default/b 6\ndamaged default/c 3\nevicted default/a 1\n"
				    "expired default/d 4\nexpired default/f 5 failed\n");
}

static void remember(struct room *r, const struct past *p, const char *bucket, const char *key)
{
	struct said s = {0};
	struct buf rows;

	buf_init(&rows, SIZE_MAX);
	assert_int_equal(index_pack_past(&rows, p, bytes_of(bucket), bytes_of(key)), 0);
	assert_int_equal(index_remember(r->ix, &rows, on_done, &s), 0);
	buf_release(&rows);
	await(r, &s, 1);
	assert_int_equal(s.status, 0);
}

static int recall(struct room *r, const char *bucket, const char *key, struct past *p)
{
	*p = (struct past){0};
	return index_recall(r->ix, bytes_of(bucket), bytes_of(key), p);
}

static void a_past_is_recalled_as_it_was_told_last_by_the_next_one_too(void **state)
{
	struct room *r = *state;
	struct past p = {.fate = {CAUSE_FAILED, 3, 0, 0, 5000000001},
			 .miss = {CAUSE_DISK_FULL, 0, 15, ENOSPC, 5000000002},
			 .missed_ms = 5000000003},
		    got;

	open_index(r);
	assert_int_equal(recall(r, "default", "k", &got), SC_ENOENT);
	remember(r, &(struct past){.fate = {.kind = CAUSE_LOST}}, "default", "k");
	remember(r, &p, "default", "k");
	remember(r, &(struct past){.fate = {.kind = CAUSE_EVICTED}}, "other", "k");
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(recall(r, "default", "k", &got), 0);
		assert_memory_equal(&got, &p, sizeof p);
		assert_int_equal(recall(r, "other", "k", &got), 0);
		assert_int_equal(got.fate.kind, CAUSE_EVICTED);
		assert_int_equal(recall(r, "default", "kk", &got), SC_ENOENT);
		close_index(r);
		open_index(r);
	}
}

static void of_pasts_the_last_ones_are_kept(void **state)
{
	struct room *r = *state;
	struct past p = {.fate = {.kind = CAUSE_LOST}}, got;
	struct said s = {0};
	struct buf rows;
	char key[32];

	open_index(r);
	remember(r, &p, "default", "first");
	buf_init(&rows, SIZE_MAX);
	for (int i = 1; i <= SC_HISTORY_MAX; i++) {
		snprintf(key, sizeof key, "k%d", i);
		assert_int_equal(index_pack_past(&rows, &p, bytes_of(DEFAULT), bytes_of(key)), 0);
	}
	assert_int_equal(index_remember(r->ix, &rows, on_done, &s), 0);
	buf_release(&rows);
	await(r, &s, 1);
	assert_int_equal(recall(r, DEFAULT, "first", &got), SC_ENOENT);
	assert_int_equal(recall(r, DEFAULT, "k1", &got), 0);
	/* Told of again, it is young. */
	remember(r, &p, DEFAULT, "k1");
	remember(r, &p, DEFAULT, "one more");
	assert_int_equal(recall(r, DEFAULT, "k1", &got), 0);
	assert_int_equal(recall(r, DEFAULT, "k2", &got), SC_ENOENT);
	assert_int_equal(recall(r, DEFAULT, key, &got), 0);
}

static void buckets_are_named_one_after_the_other(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("k", 1);
	char name[SC_BUCKET_MAX + 1] = "";
	struct total t;

	open_index(r);
	assert_int_equal(index_next_bucket(r->ix, bytes_of(""), name, &t), SC_ENOENT);
	for (const char *const *b = (const char *const[]){"b", "a.b", "a", NULL}; *b; b++) {
		strcpy(e.bucket, *b);
		e.gen = make_gen(++e.order);
		commit(r, &e);
	}
	for (const char *const *b = (const char *const[]){"a", "a.b", "b", NULL}; *b; b++) {
		assert_int_equal(index_next_bucket(r->ix, bytes_of(name), name, &t), 0);
		assert_string_equal(name, *b);
		assert_int_equal(t.entries, 1);
		assert_int_equal(t.bytes, entry_bytes(e.out_len, e.err_len));
	}
	assert_int_equal(index_next_bucket(r->ix, bytes_of(name), name, &t), SC_ENOENT);
}

static void a_bucket_has_totals_of_its_own(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("key", 1);
	struct total t;

	open_index(r);
	assert_int_equal(index_bucket_total(r->ix, bytes_of("other"), &t), 0);
	assert_true(t.entries == 0 && t.bytes == 0);
	e.out_size = e.out_len = 5000;
	e.err_size = e.err_len = 0;
	commit(r, &e);
	e = make_entry("key", 2);
	strcpy(e.bucket, "other");
	e.out_size = e.out_len = 100;
	e.err_size = e.err_len = 1;
	commit(r, &e);
	assert_int_equal(index_bucket_total(r->ix, bytes_of("other"), &t), 0);
	assert_true(t.entries == 1 && t.bytes == 8192);
	assert_int_equal(index_bucket_total(r->ix, bytes_of(DEFAULT), &t), 0);
	assert_true(t.entries == 1 && t.bytes == 8192);
	assert_true(index_total(r->ix).entries == 2 && index_total(r->ix).bytes == 16384);
}

static void a_rolled_back_transaction_leaves_the_totals(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("key", 1);
	struct said s = {0};

	open_index(r);
	commit(r, &e);
	e = make_entry("", 2); /* against the schema */
	assert_int_equal(index_commit(r->ix, &e, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.status, SC_ESYS);
	check_totals(r);
}

static void visit(struct room *r, const struct visit *v, size_t n)
{
	struct said s = {0};

	assert_int_equal(index_visit(r->ix, v, n, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.status, 0);
}

static void visits_are_counted_for_the_generation_they_were_of(void **state)
{
	struct room *r = *state;
	struct entry a = make_entry("a", 1), b = make_entry("b", 2), got;
	struct visit v[3];

	open_index(r);
	commit(r, &a);
	commit(r, &b);
	assert_int_equal(ask(r, "SELECT sum(visited) FROM entry"), 0);
	assert_int_equal(find(r, "a", &got), 0);
	assert_int_equal(got.hits, 0);
	v[0] = (struct visit){got.id, got.gen, 3};
	v[1] = (struct visit){got.id + 1000, got.gen, 1};
	assert_int_equal(find(r, "b", &got), 0);
	v[2] = (struct visit){got.id, a.gen, 1}; /* of an entry that had this row before */
	visit(r, v, 3);
	visit(r, v, 1);
	assert_int_equal(find(r, "a", &got), 0);
	assert_int_equal(got.hits, 6);
	assert_int_equal(find(r, "b", &got), 0);
	assert_int_equal(got.hits, 0);
	assert_int_equal(ask(r, "SELECT sum(visited) FROM entry"), 1);
	check_totals(r);
}

static void a_replaced_entry_keeps_its_place_and_counts_as_visited(void **state)
{
	struct room *r = *state;
	struct entry a = make_entry("a", 1), b = make_entry("b", 2), got;
	struct visit v = {.hits = 5};

	open_index(r);
	commit(r, &a);
	commit(r, &b);
	assert_int_equal(find(r, "a", &got), 0);
	v.id = got.id;
	v.gen = got.gen;
	visit(r, &v, 1);
	a = make_entry("a", 3);
	commit(r, &a);
	assert_int_equal(find(r, "a", &got), 0);
	assert_int_equal(got.id, v.id);
	assert_int_equal(got.hits, 0);
	assert_int_equal(ask(r, "SELECT visited FROM entry WHERE id = (SELECT min(id) FROM entry)"), 1);
	assert_int_equal(ask(r, "SELECT visited FROM entry WHERE id = (SELECT max(id) FROM entry)"), 0);
}

static uint64_t prove(struct room *r, const struct entry *e, const struct gen *g)
{
	struct entry of_gen = *e;
	struct said s = {0};

	of_gen.gen = *g;
	assert_int_equal(index_prove(r->ix, &of_gen, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.status, 0);
	return s.changed;
}

static void commit_abc(struct room *r)
{
	static const char *const keys[] = {"a", "b", "c", "d"};

	for (unsigned i = 0; i < COUNT(keys); i++) {
		struct entry e = make_entry(keys[i], i + 1);

		e.out_size = e.out_len = 100;
		e.err_size = e.err_len = 0;
		if (i == 1)
			strcpy(e.bucket, "other");
		make_objects(r, &e.gen);
		commit(r, &e);
	}
}

static void what_is_evicted_goes_with_its_objects(void **state)
{
	struct room *r = *state;
	struct eviction ev = {.entries = 1, .bytes = 8192};
	struct gen a = make_gen(1), b = make_gen(2), c = make_gen(3);

	open_index(r);
	commit_abc(r);
	assert_int_equal(evict(r, &ev), 2);
	assert_int_equal(ev.gone_bytes, 8192);
	assert_false(ev.stuck);
	assert_true(ev.fs_size > 0 && ev.fs_free <= ev.fs_size);
	assert_false(has_objects(r, &a) || has_objects(r, &b));
	assert_true(has_objects(r, &c));
	assert_int_equal(index_count(r->ix), 2);
	check_totals(r);
}

static void a_bucket_is_evicted_by_its_own_hand(void **state)
{
	struct room *r = *state;
	struct eviction ev = {.bucket = "other", .entries = 5}, all = {.entries = 1};
	struct gen a = make_gen(1), b = make_gen(2);

	open_index(r);
	commit_abc(r);
	assert_int_equal(evict(r, &ev), 1);
	assert_true(ev.stuck);
	assert_true(has_objects(r, &a));
	assert_false(has_objects(r, &b));
	assert_int_equal(evict(r, &all), 1);
	assert_false(has_objects(r, &a));
	strcpy(ev.bucket, "none");
	assert_int_equal(evict(r, &ev), 0);
	assert_true(ev.stuck);
}

static void what_is_read_is_passed_over(void **state)
{
	struct room *r = *state;
	struct gen read[] = {make_gen(1), make_gen(3)}, d = make_gen(4);
	struct eviction ev = {.entries = 9, .read = read, .nread = 2};
	uint64_t gone = 0;

	open_index(r);
	commit_abc(r);
	while (!ev.stuck)
		gone += evict(r, &ev);
	/* The newest stays too, because room is made for it. */
	assert_int_equal(gone, 1);
	assert_true(has_objects(r, &read[0]) && has_objects(r, &read[1]) && has_objects(r, &d));
}

static void the_hand_keeps_its_place(void **state)
{
	struct room *r = *state;
	struct eviction ev = {.entries = 1};
	struct gen c = make_gen(3);
	struct entry got;
	struct visit v = {.hits = 1};

	open_index(r);
	commit_abc(r);
	assert_int_equal(find(r, "a", &got), 0);
	v.id = got.id;
	v.gen = got.gen;
	visit(r, &v, 1);
	assert_int_equal(evict(r, &ev), 1); /* spares a, takes b */
	close_index(r);
	open_index(r);
	assert_int_equal(evict(r, &ev), 1);
	assert_false(has_objects(r, &c));
	assert_int_equal(find(r, "a", &got), 0);
	assert_int_equal(evict(r, &ev), 1);
	assert_int_equal(find(r, "a", &got), SC_ENOENT);
}

static void totals_that_were_altered_do_not_keep_an_eviction_going(void **state)
{
	struct room *r = *state;
	struct eviction ev = {.entries = 3};

	open_index(r);
	commit_abc(r);
	close_index(r);
	alter(r, "UPDATE meta SET entries = 1000, hand = 1 << 40");
	open_index(r);
	for (unsigned batches = 0; !ev.stuck; batches++) {
		evict(r, &ev);
		assert_true(batches < 10);
	}
	/* It is not known to be alone. */
	assert_int_equal(ask(r, "SELECT count(*) FROM entry"), 1);
}

static void an_eviction_goes_in_batches(void **state)
{
	struct room *r = *state;
	struct eviction ev = {.entries = 1000};
	unsigned batches = 0;

	open_index(r);
	fill(r, 1500);
	while (ev.entries > 0) {
		uint64_t gone = evict(r, &ev);

		assert_true(gone > 0 && gone <= 64);
		ev.entries -= gone;
		batches++;
	}
	assert_true(batches >= 1000 / 64);
	assert_int_equal(index_count(r->ix), 500);
	check_totals(r);
}

static void an_entry_is_proved_in_the_boot_that_wrote_or_compared_it(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("key", 1), got;
	struct gen other = make_gen(99);

	e.ttl_ms = SC_FOREVER;
	open_index(r);
	commit(r, &e);
	assert_int_equal(find(r, "key", &got), 0);
	assert_true(got.proved);
	close_index(r);

	assert_int_equal(index_open(&r->ix, r->dir_fd, OTHER, NULL, false, r->log), 0);
	assert_int_equal(find(r, "key", &got), 0);
	assert_false(got.proved);
	assert_int_equal(prove(r, &e, &other), 0);
	assert_int_equal(find(r, "key", &got), 0);
	assert_false(got.proved);
	assert_int_equal(prove(r, &e, &e.gen), 1);
	assert_int_equal(find(r, "key", &got), 0);
	assert_true(got.proved);
	assert_memory_equal(got.boot_id, BOOT, 16); /* its age is still told by the boot that made it */
	close_index(r);

	/* Not for good: that boot is over, too. */
	open_index(r);
	assert_int_equal(find(r, "key", &got), 0);
	assert_false(got.proved);
}

/* D03: after a power loss it may be full of zeros. */
static void where_boots_are_not_told_apart_nothing_counts_as_proved(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("key", 1), got;

	e.ttl_ms = SC_FOREVER;
	memcpy(e.boot_id, UNKNOWN, sizeof e.boot_id);
	assert_int_equal(index_open(&r->ix, r->dir_fd, UNKNOWN, NULL, false, r->log), 0);
	commit(r, &e);
	assert_int_equal(find(r, "key", &got), 0);
	assert_false(got.proved);
	assert_int_equal(prove(r, &e, &e.gen), 1);
	assert_int_equal(find(r, "key", &got), 0);
	assert_false(got.proved);
}

/* ---- kept failures: a second row of a key ---- */

static struct entry make_failure(const char *key, uint64_t order)
{
	struct entry e = make_entry(key, order);

	e.failed = true;
	e.stale_ms = 0;
	return e;
}

static uint64_t failure_of(struct room *r, const char *key) /* its order; 0: none */
{
	struct entry e;
	int rc = index_find(r->ix, bytes_of(DEFAULT), bytes_of(key), true, &e);

	assert_true(rc == 0 || rc == SC_ENOENT);
	assert_true(rc || e.failed);
	return rc ? 0 : e.order;
}

static uint64_t good_of(struct room *r, const char *key)
{
	struct entry e;
	int rc = find(r, key, &e);

	assert_true(rc == 0 || rc == SC_ENOENT);
	assert_true(rc || !e.failed);
	return rc ? 0 : e.order;
}

static void commit_with_objects(struct room *r, const struct entry *e)
{
	make_objects(r, &e->gen);
	commit(r, e);
}

/* Exactly these generations have their objects. */
static void assert_objects(struct room *r, unsigned most, unsigned bits)
{
	settle(r);
	for (unsigned n = 1; n <= most; n++) {
		struct gen g = make_gen(n);

		if (has_objects(r, &g) != ((bits >> n) & 1))
			fail_msg("the objects of %u are %s", n, (bits >> n) & 1 ? "gone" : "there");
	}
}

/* In every order of commits of a good one and a failure of two runs each: what stands at the end depends on the order numbers only. */
static void a_failure_stands_beside_what_is_good_and_ends_with_a_newer_success(void **state)
{
	static const struct {
		bool failed[3]; /* of the commits, in turn … */
		uint64_t order[3];
		uint64_t good, failure; /* … what stands then */
		unsigned objects;
	} rows[] = {
		{{false, true, false}, {1, 2, 3}, 3, 0, 1U << 3},	    /* replaced, and ended */
		{{false, true, true}, {1, 2, 3}, 1, 3, 1U << 1 | 1U << 3},  /* a newer failure */
		{{false, true, true}, {1, 3, 2}, 1, 3, 1U << 1 | 1U << 3},  /* an older one comes too late */
		{{true, false, true}, {1, 2, 3}, 2, 3, 1U << 2 | 1U << 3},  /* it fails again */
		{{false, true, true}, {3, 1, 2}, 3, 0, 1U << 3},	    /* never beside a newer success */
		{{true, false, false}, {3, 1, 2}, 2, 3, 1U << 2 | 1U << 3}, /* older successes do not end it */
		{{true, true, false}, {1, 2, 3}, 3, 0, 1U << 3},	    /* … newer do */
		{{false, false, true}, {2, 1, 3}, 2, 3, 1U << 2 | 1U << 3},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct room *r;
		void *s;

		(void)state;
		assert_int_equal(set_up(&s), 0);
		r = s;
		open_index(r);
		for (unsigned n = 0; n < 3; n++) {
			struct entry e = rows[i].failed[n] ? make_failure("key", rows[i].order[n])
							   : make_entry("key", rows[i].order[n]);

			commit_with_objects(r, &e);
		}
		if (good_of(r, "key") != rows[i].good || failure_of(r, "key") != rows[i].failure)
			fail_msg("row %zu: good %llu, failure %llu", i, (unsigned long long)good_of(r, "key"),
				 (unsigned long long)failure_of(r, "key"));
		assert_objects(r, 3, rows[i].objects);
		assert_int_equal(index_count(r->ix), (rows[i].good != 0) + (rows[i].failure != 0));
		check_totals(r);
		tear_down(&s);
	}
}

static void a_failure_said_twice_keeps_its_objects_and_what_is_good(void **state)
{
	struct room *r = *state;
	struct entry good = make_entry("key", 1), bad = make_failure("key", 2), got;

	open_index(r);
	commit_with_objects(r, &good);
	commit_with_objects(r, &bad);
	assert_int_equal(commit(r, &bad), 1);
	assert_objects(r, 2, 1U << 1 | 1U << 2);
	assert_int_equal(index_find_gen(r->ix, bytes_of(DEFAULT), bytes_of("key"), &good.gen, &got), 0);
	assert_false(got.failed);
	assert_int_equal(index_find_gen(r->ix, bytes_of(DEFAULT), bytes_of("key"), &bad.gen, &got), 0);
	assert_true(got.failed);
	assert_int_equal(got.exit, 3);
	bad.gen = make_gen(77);
	assert_int_equal(index_find_gen(r->ix, bytes_of(DEFAULT), bytes_of("key"), &bad.gen, &got), SC_ENOENT);
	close_index(r);
	open_index(r);
	assert_int_equal(good_of(r, "key"), 1);
	assert_int_equal(failure_of(r, "key"), 2);
}

static uint64_t drop_row(struct room *r, const struct entry *e)
{
	struct said s = {0};

	assert_int_equal(index_drop(r->ix, e, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.status, 0);
	return s.changed;
}

static void dropped_and_proved_is_one_row_of_a_key_not_the_other(void **state)
{
	struct room *r = *state;
	struct entry good = make_entry("key", 1), bad = make_failure("key", 2), got;

	good.ttl_ms = bad.ttl_ms = SC_FOREVER;
	open_index(r);
	commit_with_objects(r, &good);
	commit_with_objects(r, &bad);
	close_index(r);
	assert_int_equal(index_open(&r->ix, r->dir_fd, OTHER, NULL, false, r->log), 0);
	assert_int_equal(prove(r, &bad, &good.gen), 0);
	assert_int_equal(prove(r, &bad, &bad.gen), 1);
	assert_int_equal(find(r, "key", &got), 0);
	assert_false(got.proved);
	assert_int_equal(index_find(r->ix, bytes_of(DEFAULT), bytes_of("key"), true, &got), 0);
	assert_true(got.proved);
	got.gen = make_gen(77);
	assert_int_equal(drop_row(r, &got), 0);
	assert_int_equal(drop_row(r, &bad), 1);
	assert_int_equal(drop_row(r, &bad), 0);
	assert_int_equal(good_of(r, "key"), 1);
	assert_objects(r, 2, 1U << 1);
	assert_int_equal(drop_row(r, &good), 1);
	assert_objects(r, 2, 0);
	check_totals(r);
}

static void remove_takes_both_rows_up_to_an_order(void **state)
{
	struct room *r = *state;
	struct entry good = make_entry("key", 1), bad = make_failure("key", 2);

	open_index(r);
	commit_with_objects(r, &good);
	commit_with_objects(r, &bad);
	assert_int_equal(drop(r, "key", 1), 1);
	assert_int_equal(failure_of(r, "key"), 2);
	assert_objects(r, 2, 1U << 2);
	commit_with_objects(r, &good); /* older than the failure: both stand */
	assert_int_equal(drop(r, "key", 2), 2);
	assert_objects(r, 2, 0);
	assert_int_equal(index_count(r->ix), 0);
	check_totals(r);
}

/* A batch that ends between both rows of a key: the next one begins behind the key. */
static void clear_takes_both_rows_of_the_key_a_batch_ends_with(void **state)
{
	struct room *r = *state;
	char key[32];

	open_index(r);
	for (unsigned shift = 0; shift < 2; shift++) {
		struct clearing cl = {.bucket = bytes_of(DEFAULT), .prefix = bytes_of("k"), .max_order = UINT64_MAX};
		uint64_t n = 0, batches = 0;
		struct said s = {0};

		/* 300 keys of two rows, after `shift` of one: rows 256 and 257 are of one key, or are not. */
		for (unsigned i = 0; i < 300 + shift; i++) {
			struct entry good, bad;

			snprintf(key, sizeof key, "k%04u", i);
			good = make_entry(key, 2 * i + 1);
			bad = make_failure(key, 2 * i + 2);
			assert_int_equal(index_commit(r->ix, &good, on_done, &s), 0);
			if (i >= shift)
				assert_int_equal(index_commit(r->ix, &bad, on_done, &s), 0);
		}
		await(r, &s, 600 + shift);
		assert_int_equal(index_count(r->ix), 600 + shift);
		while (!cl.over) {
			n += clear_batch(r, &cl);
			batches++;
		}
		assert_int_equal(n, 600 + shift);
		assert_true(batches >= 3);
		assert_int_equal(index_count(r->ix), 0);
		check_totals(r);
	}
}

static void clear_of_everything_takes_every_bucket_up_to_an_order(void **state)
{
	struct room *r = *state;
	struct clearing cl = {.every = true, .max_order = 600};
	struct entry e, got;
	char key[32];

	open_index(r);
	for (unsigned i = 1; i <= 605; i++) {
		snprintf(key, sizeof key, "%u", i);
		e = i % 3 ? make_entry(key, i) : make_failure(key, i);
		snprintf(e.bucket, sizeof e.bucket, "b%u", i % 7);
		if (i == 300 || i == 601)
			make_objects(r, &e.gen);
		commit(r, &e);
	}
	assert_int_equal(clear_batch(r, &cl), 256);
	assert_false(cl.over);
	/* What is put behind its back is newer than the question, also in the place of what was not looked at yet. */
	e = make_entry("599", 606);
	snprintf(e.bucket, sizeof e.bucket, "b%u", 599 % 7);
	commit(r, &e);
	assert_int_equal(clear_batch(r, &cl), 256);
	assert_false(cl.over);
	assert_int_equal(clear_batch(r, &cl), 87);
	assert_true(cl.over);
	assert_int_equal(index_count(r->ix), 6);
	e.gen = make_gen(300);
	assert_false(has_objects(r, &e.gen));
	e.gen = make_gen(601);
	assert_true(has_objects(r, &e.gen));
	assert_int_equal(index_find(r->ix, bytes_of("b4"), bytes_of("599"), false, &got), 0);
	check_totals(r);
}

static uint64_t touch(struct room *r, const char *key, uint64_t ttl_ms, struct now now)
{
	struct said s = {0};

	assert_int_equal(index_touch(r->ix, bytes_of(DEFAULT), bytes_of(key), ttl_ms, &now, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.status, 0);
	return s.changed;
}

struct tags_seen {
	char text[4096];
};

static void on_tag(void *arg, struct bytes tag)
{
	struct tags_seen *t = arg;
	size_t n = strlen(t->text);

	snprintf(t->text + n, sizeof t->text - n, "%.*s ", (int)tag.n, (const char *)tag.p);
}

static int list_tags(struct room *r, const char *prefix, unsigned limit, struct tags_seen *t)
{
	*t = (struct tags_seen){{0}};
	return index_list_tags(r->ix, bytes_of(DEFAULT), bytes_of(prefix), limit, on_tag, t);
}

static struct entry make_tagged(const char *key, uint64_t order, const char *tags)
{
	struct entry e = make_entry(key, order);

	snprintf(e.tags, sizeof e.tags, "%s", tags);
	return e;
}

static int64_t tag_rows(struct room *r)
{
	return ask(r, "SELECT count(*) FROM tag");
}

static void tags_come_and_go_with_their_entry(void **state)
{
	struct room *r = *state;
	struct entry a = make_tagged("a", 1, "b,red,redder"), b = make_tagged("b", 2, "red"), bad = make_failure("b", 3), got;
	struct entry elsewhere = make_tagged("a", 4, "other");
	struct tags_seen t;

	open_index(r);
	strcpy(bad.tags, "broken,red");
	strcpy(elsewhere.bucket, "elsewhere");
	commit(r, &a);
	commit(r, &b);
	commit(r, &bad);
	commit(r, &elsewhere);
	assert_int_equal(find(r, "a", &got), 0);
	assert_string_equal(got.tags, "b,red,redder");
	assert_int_equal(list_tags(r, "", 10, &t), 4);
	assert_string_equal(t.text, "b broken red redder ");
	assert_int_equal(list_tags(r, "red", 10, &t), 2);
	assert_int_equal(list_tags(r, "redder", 10, &t), 1);
	assert_int_equal(list_tags(r, "reddest", 10, &t), 0);
	assert_int_equal(list_tags(r, "", 2, &t), 2);
	assert_string_equal(t.text, "b broken ");
	/* What takes its place has its own, also under the same number of the row. */
	a = make_tagged("a", 5, "new");
	commit(r, &a);
	assert_int_equal(list_tags(r, "", 10, &t), 3);
	assert_string_equal(t.text, "broken new red ");
	assert_int_equal(tag_rows(r), 5);
	/* What is good ends the failure, and its tags. */
	b = make_entry("b", 6);
	commit(r, &b);
	assert_int_equal(list_tags(r, "", 10, &t), 1);
	assert_int_equal(drop(r, "a", UINT64_MAX), 1);
	assert_int_equal(list_tags(r, "", 10, &t), 0);
	assert_int_equal(tag_rows(r), 1);
	assert_int_equal(touch(r, "b", 10, later(0, 0)), 1);
	assert_int_equal(expire(r, later(2000, 2000), 10), 2);
	assert_int_equal(tag_rows(r), 0);
	check_totals(r);
}

static void clear_of_a_tag_takes_those_of_its_bucket_in_batches_up_to_an_order(void **state)
{
	struct room *r = *state;
	struct clearing cl = {.bucket = bytes_of(DEFAULT), .tag = bytes_of("x"), .max_order = 600};
	struct entry e, got;
	char key[32];

	open_index(r);
	for (unsigned i = 1; i <= 605; i++) {
		snprintf(key, sizeof key, "%u", i);
		e = i % 3 ? make_entry(key, i) : make_failure(key, i);
		strcpy(e.tags, i % 2 ? "w,x" : "x,y");
		if (i == 300 || i == 601)
			make_objects(r, &e.gen);
		commit(r, &e);
	}
	e = make_tagged("xx", 0, "xx");
	commit(r, &e);
	e = make_tagged("1", 0, "x");
	strcpy(e.bucket, "elsewhere");
	commit(r, &e);
	e = make_entry("untagged", 0);
	commit(r, &e);
	assert_int_equal(clear_batch(r, &cl), 256);
	assert_false(cl.over);
	e = make_tagged("599", 606, "x");
	commit(r, &e);
	assert_int_equal(clear_batch(r, &cl), 256);
	assert_int_equal(clear_batch(r, &cl), 87);
	assert_true(cl.over);
	assert_int_equal(index_count(r->ix), 6 + 3);
	e.gen = make_gen(300);
	assert_false(has_objects(r, &e.gen));
	e.gen = make_gen(601);
	assert_true(has_objects(r, &e.gen));
	assert_int_equal(find(r, "599", &got), 0);
	assert_int_equal(find(r, "untagged", &got), 0);
	assert_int_equal(find(r, "xx", &got), 0);
	check_totals(r);
}

static void touch_moves_what_is_good_into_this_boot_and_its_end_with_it(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("key", 1), bad = make_failure("bad", 2), got;

	open_index(r);
	memcpy(e.boot_id, OTHER, sizeof e.boot_id);
	e.ttl_ms = 5000;
	e.stale_ms = 700;
	commit(r, &e);
	commit(r, &bad);
	assert_int_equal(touch(r, "none", 1000, later(10, 10)), 0);
	assert_int_equal(touch(r, "bad", 1000, later(10, 10)), 0);
	assert_int_equal(touch(r, "key", SC_TTL_UNSET, later(20000, 90000)), 1);
	assert_int_equal(find(r, "key", &got), 0);
	assert_memory_equal(got.boot_id, BOOT, sizeof got.boot_id);
	assert_int_equal(got.created_boot_ms, NOW.boot_ms + 20000);
	assert_int_equal(got.created_wall_ms, NOW.wall_ms + 90000);
	assert_int_equal(got.ttl_ms, 5000);
	assert_int_equal(got.stale_ms, 700);
	assert_true(gen_equal(&got.gen, &e.gen));
	assert_int_equal(expire(r, later(25700, 90000), 10), 1); /* of bad */
	assert_int_equal(find(r, "key", &got), 0);
	assert_int_equal(touch(r, "key", SC_FOREVER, later(25700, 90000)), 1);
	assert_int_equal(expire(r, later(1ULL << 60, 90000), 10), 0);
	assert_int_equal(touch(r, "key", 300, later(30000, 90000)), 1);
	assert_int_equal(expire(r, later(31000, 90000), 10), 0);
	assert_int_equal(expire(r, later(31001, 90000), 10), 1);
	check_totals(r);
}

static void failures_are_not_listed_expire_by_themselves_and_are_evicted_like_others(void **state)
{
	struct room *r = *state;
	struct entry good = make_entry("key", 1), bad = make_failure("key", 2), bad2 = make_failure("only", 3);
	struct eviction ev = {.entries = 2};
	struct listing l = {.stop_at = 99};
	struct cursor at = {0};

	open_index(r);
	good.ttl_ms = 5000;
	commit_with_objects(r, &good);
	commit_with_objects(r, &bad);
	commit_with_objects(r, &bad2);
	assert_int_equal(index_list(r->ix, bytes_of(DEFAULT), bytes_of(""), &at, 10, on_row, &l), 1);
	assert_string_equal(l.text, "6b6579 ");
	/* Its life is that of the failure, which has no grace. */
	assert_int_equal(expire(r, later(1000, 1000), 10), 0);
	assert_int_equal(expire(r, later(1001, 1001), 10), 2);
	assert_int_equal(good_of(r, "key"), 1);
	assert_objects(r, 3, 1U << 1);
	bad.ttl_ms = 5000;
	commit_with_objects(r, &bad);
	assert_int_equal(evict(r, &ev), 2);
	assert_objects(r, 3, 0);
	check_totals(r);
}

static void a_boots_number_is_never_used_twice(void **state)
{
	struct room *r = *state;
	struct entry e = make_entry("key", 1), got;
	uint8_t boot[16] = {0};

	e.ttl_ms = SC_FOREVER;
	open_index(r);
	commit(r, &e);
	close_index(r);
	/* Compared in a boot that leaves no entry, and is forgotten. */
	boot[0] = 7;
	assert_int_equal(index_open(&r->ix, r->dir_fd, boot, NULL, false, r->log), 0);
	assert_int_equal(prove(r, &e, &e.gen), 1);
	close_index(r);
	for (uint8_t i = 8; i < 12; i++) {
		boot[0] = i;
		assert_int_equal(index_open(&r->ix, r->dir_fd, boot, NULL, false, r->log), 0);
		assert_int_equal(find(r, "key", &got), 0);
		assert_false(got.proved);
		close_index(r);
	}
}

/* ---- size ---- */

struct count {
	unsigned n;
	uint8_t last[16];
};

static int on_count(void *arg, const struct entry *e)
{
	struct count *c = arg;

	assert_int_equal(e->key_len, 8);
	assert_true(c->n == 0 || memcmp(c->last, e->key, 8) < 0);
	memcpy(c->last, e->key, 8);
	c->n++;
	return 0;
}

static void ten_thousand_entries_come_and_go(void **state)
{
	struct room *r = *state;
	struct count c = {0};
	struct cursor at = {0};
	struct entry got;
	struct stat st;
	uint64_t gone = 0;
	int n;

	open_index(r);
	fill(r, 10000);
	assert_int_equal(index_count(r->ix), 10000);
	for (unsigned i = 0; i < 10000; i += 7) {
		char key[16];

		snprintf(key, sizeof key, "%08u", i);
		assert_int_equal(find(r, key, &got), 0);
		assert_int_equal(got.order, i + 1);
	}
	while (!at.over && (n = index_list(r->ix, bytes_of(DEFAULT), view(NULL, 0), &at, 1000, on_count, &c)) >= 0)
		;
	assert_true(at.over);
	assert_int_equal(c.n, 10000);
	settle(r);
	/* The thread checkpoints: the WAL stays near its bound. */
	assert_int_equal(fstatat(r->dir_fd, "index.db-wal", &st, 0), 0);
	assert_true(st.st_size < 16 << 20);
	while ((n = (int)expire(r, later(5000, 5000), 2000)) > 0)
		gone += (uint64_t)n;
	assert_int_equal(gone, 10000);
	assert_int_equal(index_count(r->ix), 0);
}

static void only_the_few_boots_are_ever_scanned(void **state)
{
	static const char *const texts[] = {
#define X(name, who, text) text,
		SQL_STATEMENTS(X)
#undef X
	};
	static const char *const names[] = {
#define X(name, who, text) #name,
		SQL_STATEMENTS(X)
#undef X
	};
	struct room *r = *state;
	char path[128];
	sqlite3 *db;

	open_index(r);
	snprintf(path, sizeof path, "%s/index.db", r->path);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	for (size_t i = 0; i < COUNT(texts); i++) {
		char sql[2048];
		sqlite3_stmt *st;

		if (strlen(texts[i]) < 20) /* BEGIN and the like have no plan */
			continue;
		snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", texts[i]);
		assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
		while (sqlite3_step(st) == SQLITE_ROW) {
			const char *detail = (const char *)sqlite3_column_text(st, 3);
			bool scan = strstr(detail, "SCAN") && strcmp(detail, "SCAN CONSTANT ROW") != 0;

			if ((scan && strncmp(detail, "SCAN boots", 10) != 0) || strstr(detail, "TEMP B-TREE"))
				fail_msg("%s: %s", names[i], detail);
			if (scan && strcmp(names[i], "OTHER_BOOTS") != 0 && strcmp(names[i], "DROP_BOOTS") != 0)
				fail_msg("%s: %s", names[i], detail);
		}
		sqlite3_finalize(st);
	}
	sqlite3_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_committed_is_found_as_it_was),
		T(a_command_that_is_not_known_comes_back_as_that),
		T(commands_are_told_apart_by_a_secret_of_the_index),
		T(forever_and_huge_times_come_back),
		T(keys_are_bytes_of_every_length_and_buckets_are_apart),
		T(a_newer_run_replaces_an_older_one),
		T(an_older_run_never_replaces_a_newer_one),
		T(objects_of_a_replaced_generation_go),
		T(a_commit_said_twice_keeps_its_objects),
		T(objects_of_a_run_never_committed_go),
		T(who_is_told_of_an_entry_does_not_find_its_run_any_more),
		T(the_file_of_a_run_that_is_not_kept_goes_with_what_it_tells_of),
		T(remove_takes_row_and_objects_up_to_an_order),
		T(clear_takes_what_begins_so_in_batches_up_to_an_order),
		T(clear_of_everything_takes_every_bucket_up_to_an_order),
		T(touch_moves_what_is_good_into_this_boot_and_its_end_with_it),
		T(tags_come_and_go_with_their_entry),
		T(clear_of_a_tag_takes_those_of_its_bucket_in_batches_up_to_an_order),
		cmocka_unit_test(age_is_told_by_the_right_clock),
		T(expiry_begins_when_ttl_and_stale_are_over),
		T(rows_of_another_boot_expire_by_the_wall_clock),
		T(expiry_goes_in_batches),
		T(keys_are_listed_bytewise_by_prefix),
		T(a_list_goes_on_after_a_key),
		T(a_restart_keeps_everything),
		T(the_files_are_0600_whatever_the_umask),
		T(what_was_answered_survives_kill_9),
		T(closing_finishes_every_job),
		T(closing_finishes_what_a_callback_asks_for),
		T(callbacks_come_in_order),
		T(garbage_is_moved_aside),
		T(a_truncated_file_is_moved_aside),
		T(an_empty_file_becomes_an_index),
		T(a_newer_index_is_moved_aside),
		T(an_older_index_is_moved_aside),
		T(a_foreign_database_is_moved_aside_as_it_was),
		T(an_index_without_its_tables_is_moved_aside),
		T(an_index_without_its_counters_is_moved_aside),
		T(a_link_in_the_place_of_the_index_is_moved_aside),
		T(bad_files_do_not_pile_up),
		T(rot_found_by_a_lookup_costs_the_entries_but_not_the_daemon),
		T(rot_found_by_a_commit_does_not_lose_the_commit),
		T(an_index_removed_or_replaced_while_it_is_open_is_begun_anew),
		T(a_disk_that_cannot_be_read_does_not_cost_the_index),
		T(a_bad_job_fails_alone),
		T(a_walk_beside_a_bad_job_misses_no_row),
		T(a_walk_behind_a_commit_does_not_meet_what_that_replaced),
		T(a_full_disk_fails_the_jobs_and_nothing_else),
		T(a_directory_that_is_gone_is_an_error),
		T(a_renamed_directory_is_still_ours),
		T(a_long_path_is_no_trouble),
		T(boots_without_entries_are_forgotten),
		cmocka_unit_test(bytes_are_counted_in_whole_blocks),
		T(totals_are_those_of_a_recount),
		T(whatever_goes_is_told_with_how_but_not_what_is_replaced),
		T(a_past_is_recalled_as_it_was_told_last_by_the_next_one_too),
		T(of_pasts_the_last_ones_are_kept),
		T(buckets_are_named_one_after_the_other),
		T(a_bucket_has_totals_of_its_own),
		T(a_rolled_back_transaction_leaves_the_totals),
		T(visits_are_counted_for_the_generation_they_were_of),
		T(a_replaced_entry_keeps_its_place_and_counts_as_visited),
		T(what_is_evicted_goes_with_its_objects),
		T(a_bucket_is_evicted_by_its_own_hand),
		T(what_is_read_is_passed_over),
		T(the_hand_keeps_its_place),
		T(totals_that_were_altered_do_not_keep_an_eviction_going),
		T(an_eviction_goes_in_batches),
		T(an_entry_is_proved_in_the_boot_that_wrote_or_compared_it),
		T(where_boots_are_not_told_apart_nothing_counts_as_proved),
		cmocka_unit_test(a_failure_stands_beside_what_is_good_and_ends_with_a_newer_success),
		T(a_failure_said_twice_keeps_its_objects_and_what_is_good),
		T(dropped_and_proved_is_one_row_of_a_key_not_the_other),
		T(remove_takes_both_rows_up_to_an_order),
		T(clear_takes_both_rows_of_the_key_a_batch_ends_with),
		T(failures_are_not_listed_expire_by_themselves_and_are_evicted_like_others),
		T(a_boots_number_is_never_used_twice),
		T(ten_thousand_entries_come_and_go),
		T(only_the_few_boots_are_ever_scanned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Names of sealed entries in the index: by its promises. Each test has a directory of its own, with key files A, B and C in it. Whatever is
 * named by a user in here begins with SECRET, and is looked for in all that lies there of the index. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/index.h"
#include "daemon/sql.h"
#include "lib/digest.h"
#include "lib/err.h"
#include "lib/object.h"
#include "tests/unit/store.h"

#define SECRET "canary"

static const struct now NOW = {.boot_ms = 1000000, .wall_ms = 5000000000};
static const char DEFAULT[] = "default";

/* What the ring belongs to. */
static struct daemon d;

static void make_key(struct room *r, char name)
{
	char path[2] = {name, '\0'}, digits[65];
	int fd = openat(r->dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	memset(digits, 'a' + name - 'A', 64);
	assert_int_equal(write(fd, digits, 64), 64);
	close(fd);
}

static void shut(struct room *r)
{
	index_close(r->ix);
	r->ix = NULL;
	keyring_close(&d);
}

/* A daemon begins that has these keys, a letter each: "" is one of its own. */
static void start(struct room *r, const char *keys, bool encrypt)
{
	char why[256];

	shut(r);
	d = (struct daemon){.log = r->log};
	for (const char *k = keys; *k; k++)
		snprintf(d.config.key_file + strlen(d.config.key_file), 128, "%s%s/%c", k == keys ? "" : ":", r->path, *k);
	d.config.encrypt = encrypt;
	assert_int_equal(keyring_open(&d, why, sizeof why), 0);
	assert_int_equal(index_open(&r->ix, r->dir_fd, BOOT, d.keyring, encrypt, r->log), 0);
}

static int set_up_keys(void **state)
{
	int rc = set_up(state);

	for (char k = 'A'; k <= 'C'; k++)
		make_key(*state, k);
	return rc;
}

static int tear_down_keys(void **state)
{
	shut(*state);
	return tear_down(state);
}

/* ---- entries ---- */

static struct gen make_gen(uint64_t n)
{
	struct gen g = {{0xab}};

	memcpy(g.b + 8, &n, sizeof n);
	return g;
}

/* sealed: by which of the ring's keys; -1: clear. */
static struct entry make_entry(const char *key, uint64_t order, int sealed)
{
	struct entry e = {.bucket = "default",
			  .key_len = strlen(key),
			  .gen = make_gen(order),
			  .order = order,
			  .out_len = 5000,
			  .err_len = 12,
			  .out_size = 5100,
			  .err_size = 60,
			  .created_wall_ms = NOW.wall_ms,
			  .created_boot_ms = NOW.boot_ms,
			  .ttl_ms = 1000,
			  .stale_ms = 500,
			  .command = SECRET,
			  .shown = SECRET "\0all",
			  .shown_len = sizeof SECRET + 4};

	memcpy(e.key, key, e.key_len);
	memcpy(e.boot_id, BOOT, sizeof e.boot_id);
	if (sealed >= 0)
		e.sealed = *keyring_at(d.keyring, (unsigned)sealed);
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

static void put(struct room *r, const char *key, uint64_t order, int sealed, const char *tags)
{
	struct entry e = make_entry(key, order, sealed);

	strcpy(e.tags, tags);
	assert_int_equal(commit(r, &e), 1);
}

static int find(struct room *r, const char *key, struct entry *e)
{
	return index_find(r->ix, bytes_of(DEFAULT), bytes_of(key), false, e);
}

static uint64_t drop(struct room *r, const char *key)
{
	struct said s = {0};

	assert_int_equal(index_remove(r->ix, bytes_of(DEFAULT), bytes_of(key), UINT64_MAX, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.status, 0);
	return s.changed;
}

static uint64_t clear(struct room *r, const char *bucket, const char *prefix, const char *tag, uint64_t max_order)
{
	struct clearing cl = {
		.bucket = bytes_of(bucket), .prefix = bytes_of(prefix), .tag = bytes_of(tag), .max_order = max_order};
	struct said s = {0};

	for (unsigned calls = 1; !cl.over; calls++) {
		assert_int_equal(index_clear(r->ix, &cl, on_done, &s), 0);
		await(r, &s, calls);
		assert_int_equal(s.status, 0);
		assert_true(s.changed <= 257);
		assert_true(calls < 100);
	}
	return s.total;
}

static void make_objects(struct room *r, uint64_t order)
{
	struct gen g = make_gen(order);

	for (enum stream s = STREAM_OUT; s <= STREAM_ERR; s++) {
		int fd;

		assert_int_equal(object_create(r->dir_fd, &g, s, &fd), 0);
		close(fd);
	}
}

static bool has_objects(struct room *r, uint64_t order)
{
	struct gen g = make_gen(order);
	char name[SC_OBJECT_NAME];

	object_name(&g, STREAM_OUT, name);
	return faccessat(r->dir_fd, name, F_OK, 0) == 0;
}

/* Everything asked for before this is done. */
static void settle(struct room *r)
{
	struct said s = {0};
	struct gen g = make_gen(UINT64_MAX);

	assert_int_equal(index_discard(r->ix, &g, on_done, &s), 0);
	await(r, &s, 1);
}

static bool file_has(struct room *r, const char *name, const char *word)
{
	int fd = openat(r->dir_fd, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text;
	bool has;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	text = malloc((size_t)st.st_size + 1);
	assert_non_null(text);
	assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
	close(fd);
	has = memmem(text, (size_t)st.st_size, word, strlen(word)) != NULL;
	free(text);
	return has;
}

/* In all that lies there of an index. */
static bool is_told(struct room *r, const char *word)
{
	DIR *dir = opendir(r->path);
	struct dirent *e;
	bool has = false;

	assert_non_null(dir);
	while ((e = readdir(dir)))
		if (strncmp(e->d_name, "index.db", 8) == 0)
			has |= file_has(r, e->d_name, word);
	closedir(dir);
	return has;
}

static bool there(struct room *r, const char *name)
{
	return faccessat(r->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void alter(struct room *r, const char *sql)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/index.db", r->path);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* ---- rows ---- */

static void check_same(const struct entry *got, const struct entry *e)
{
	assert_string_equal(got->bucket, e->bucket);
	assert_int_equal(got->key_len, e->key_len);
	assert_memory_equal(got->key, e->key, e->key_len);
	assert_true(gen_equal(&got->gen, &e->gen));
	assert_memory_equal(&got->sealed, &e->sealed, sizeof e->sealed);
	assert_int_equal(got->out_size, e->out_size);
	assert_string_equal(got->tags, e->tags);
	assert_memory_equal(got->command, e->command, SC_COMMAND_SIZE);
	assert_int_equal(got->shown_len, e->shown_len);
	assert_memory_equal(got->shown, e->shown, e->shown_len);
}

static int on_one(void *arg, const struct entry *e)
{
	memcpy(arg, e, sizeof *e);
	return 0;
}

static void what_is_sealed_comes_back_as_it_was(void **state)
{
	struct room *r = *state;
	struct cursor at = {0};
	struct entry e, got;

	start(r, "A", false);
	e = make_entry(SECRET "/key", 7, 0);
	strcpy(e.tags, SECRET "-one," SECRET "-two");
	commit(r, &e);
	for (int again = 0; again < 2; again++) {
		memset(&got, 0xff, sizeof got);
		assert_int_equal(find(r, SECRET "/key", &got), 0);
		check_same(&got, &e);
		memset(&got, 0xff, sizeof got);
		assert_int_equal(index_next(r->ix, 0, &got), 0);
		check_same(&got, &e);
		at = (struct cursor){0};
		memset(&got, 0xff, sizeof got);
		assert_int_equal(index_list(r->ix, bytes_of(DEFAULT), bytes_of(SECRET), &at, 10, on_one, &got), 1);
		check_same(&got, &e);
		assert_int_equal(find(r, SECRET "/other", &got), SC_ENOENT);
		assert_int_equal(index_find_gen(r->ix, bytes_of(DEFAULT), bytes_of(SECRET "/key"), &e.gen, &got), 0);
		start(r, "A", again); /* by the next daemon */
	}
}

static void the_largest_names_there_are_fit(void **state)
{
	struct room *r = *state;
	struct entry e, got;

	start(r, "A", true);
	e = make_entry("", 1, 0);
	e.key_len = SC_KEY_MAX;
	memset(e.key, 0xff, e.key_len);
	memset(e.shown, 'x', sizeof e.shown);
	e.shown_len = sizeof e.shown;
	for (int i = 0; i < SC_TAGS_MAX; i++) {
		memset(e.tags + i * (SC_TAG_MAX + 1), 'a' + i, SC_TAG_MAX);
		e.tags[(i + 1) * (SC_TAG_MAX + 1) - 1] = i + 1 < SC_TAGS_MAX ? ',' : '\0';
	}
	assert_int_equal(commit(r, &e), 1);
	assert_int_equal(index_find(r->ix, bytes_of(DEFAULT), (struct bytes){e.key, e.key_len}, false, &got), 0);
	check_same(&got, &e);
}

static void on_gone_nothing(void *arg, const struct gone *g)
{
	(void)arg, (void)g;
}

/* All that can be done with entries, and after each the files. */
static void nothing_that_is_sealed_lies_there_in_the_clear(void **state)
{
	struct past past = {.fate = {.kind = CAUSE_FAILED, .exit = 3}, .miss = {.kind = CAUSE_NEVER}};
	struct eviction ev = {.entries = 5};
	struct room *r = *state;
	struct said s = {0};
	struct entry e, got;
	struct visit v;
	struct buf rows;
	char key[SC_KEY_MAX];

	start(r, "AB", true);
	index_on_gone(r->ix, on_gone_nothing, NULL);
	for (unsigned i = 1; i <= 60; i++) {
		snprintf(key, sizeof key, SECRET "/%u/%0*u", i % 6, i % 2 ? 3000 : 3, i);
		e = make_entry(key, i, i % 5 == 0);
		e.failed = i % 7 == 0;
		strcpy(e.tags, i % 2 ? SECRET "-odd," SECRET "-tag" : SECRET "-even");
		commit(r, &e);
	}
	assert_false(is_told(r, SECRET));
	put(r, SECRET "/again", 61, 1, SECRET "-tag");
	put(r, SECRET "/again", 62, 0, SECRET "-tag");
	assert_int_equal(drop(r, SECRET "/again"), 1);
	put(r, SECRET "/touched", 63, 0, "");
	assert_int_equal(index_touch(r->ix, bytes_of(DEFAULT), bytes_of(SECRET "/touched"), 5000, &NOW, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.changed, 1);
	assert_int_equal(find(r, SECRET "/touched", &got), 0);
	v = (struct visit){got.id, got.gen, 3};
	assert_int_equal(index_visit(r->ix, &v, 1, on_done, &s), 0);
	assert_int_equal(index_prove(r->ix, &got, on_done, &s), 0);
	await(r, &s, 3);
	assert_int_equal(index_drop(r->ix, &got, on_done, &s), 0);
	await(r, &s, 4);
	assert_int_equal(s.changed, 1);
	assert_int_equal(clear(r, DEFAULT, SECRET "/1", "", UINT64_MAX), 10);
	assert_int_equal(clear(r, DEFAULT, "", SECRET "-even", UINT64_MAX), 30);
	assert_int_equal(index_evict(r->ix, &ev, on_done, &s), 0);
	await(r, &s, 5);
	assert_int_equal(s.changed, 5);
	buf_init(&rows, SIZE_MAX);
	for (unsigned i = 0; i < 50; i++) {
		snprintf(key, sizeof key, SECRET "/%u", i);
		assert_int_equal(index_pack_past(&rows, &past, bytes_of(DEFAULT), bytes_of(key)), 0);
	}
	assert_int_equal(index_remember(r->ix, &rows, on_done, &s), 0);
	buf_release(&rows);
	await(r, &s, 6);
	assert_int_equal(index_expire(r->ix, &(struct now){NOW.boot_ms + 10000, NOW.wall_ms + 10000}, 3, on_done, &s), 0);
	await(r, &s, 7);
	assert_int_equal(s.changed, 3);
	assert_int_equal(index_sync(r->ix, on_done, &s), 0);
	await(r, &s, 8);
	assert_int_equal(s.status, 0);
	assert_true(index_count(r->ix) > 0);
	assert_false(is_told(r, SECRET));
	/* What is looked for would be found. */
	assert_true(is_told(r, "default"));
	start(r, "AB", true);
	assert_false(is_told(r, SECRET));
	start(r, "A", false);
	put(r, SECRET "/clear", 99, -1, "");
	assert_true(is_told(r, SECRET "/clear"));
}

/* Whatever stood there, the last one stands there alone, and what it replaced has lost its objects. */
static void a_key_has_one_row_however_it_is_called(void **state)
{
	struct room *r = *state;
	struct entry e, got;
	uint64_t order = 0;

	for (int failed = 0; failed <= 1; failed++)
		for (int first = -1; first <= 2; first++)
			for (int second = -1; second <= 2; second++) {
				char key[32];

				snprintf(key, sizeof key, "key%d", first * 4 + second);
				start(r, "ABC", false);
				e = make_entry(key, ++order, first);
				e.failed = failed;
				make_objects(r, order);
				commit(r, &e);
				e = make_entry(key, ++order, second);
				make_objects(r, order);
				commit(r, &e);
				settle(r);
				assert_int_equal(index_count(r->ix), 1);
				assert_false(has_objects(r, order - 1));
				assert_true(has_objects(r, order));
				assert_int_equal(find(r, key, &got), 0);
				check_same(&got, &e);
				/* An older one does not come back by another name, nor a failure of one. */
				got = make_entry(key, order - 1, first);
				assert_int_equal(commit(r, &got), 0);
				got.failed = true;
				assert_int_equal(commit(r, &got), 0);
				assert_int_equal(index_count(r->ix), 1);
				/* A later failure stands beside it, and is found. */
				got = make_entry(key, ++order, first);
				got.failed = true;
				assert_int_equal(commit(r, &got), 1);
				assert_int_equal(index_find(r->ix, bytes_of(DEFAULT), bytes_of(key), true, &got), 0);
				assert_int_equal(got.order, order);
				assert_int_equal(drop(r, key), 2);
				assert_int_equal(find(r, key, &got), SC_ENOENT);
				assert_int_equal(index_count(r->ix), 0);
			}
}

static void a_key_that_reads_like_a_hash_is_another(void **state)
{
	uint8_t hash[SC_SEAL_HASH];
	struct room *r = *state;
	struct entry e, got;

	start(r, "A", false);
	put(r, "key", 1, 0, "");
	assert_int_equal(keyring_hash(d.keyring, keyring_at(d.keyring, 0), bytes_of(DEFAULT), bytes_of("key"), hash), 0);
	assert_int_equal(index_find(r->ix, bytes_of(DEFAULT), (struct bytes){hash, sizeof hash}, false, &got), SC_ENOENT);
	e = make_entry("", 2, -1);
	memcpy(e.key, hash, sizeof hash);
	e.key_len = sizeof hash;
	assert_int_equal(commit(r, &e), 1);
	assert_int_equal(index_count(r->ix), 2);
	assert_int_equal(find(r, "key", &got), 0);
	assert_int_equal(got.order, 1);
	assert_int_equal(index_find(r->ix, bytes_of(DEFAULT), (struct bytes){hash, sizeof hash}, false, &got), 0);
	assert_int_equal(got.order, 2);
	put(r, "key", 3, 0, "");
	assert_int_equal(index_count(r->ix), 2);
}

/* ---- lists ---- */

struct listed {
	unsigned n;
	char key[800][24];
	bool sealed[800];
};

static int on_listed(void *arg, const struct entry *e)
{
	struct listed *l = arg;

	assert_true(l->n < COUNT(l->key));
	snprintf(l->key[l->n], sizeof l->key[0], "%.*s", (int)e->key_len, (const char *)e->key);
	l->sealed[l->n++] = is_sealed(&e->sealed);
	return 0;
}

/* Returns how often it was asked. */
static unsigned list(struct room *r, const char *bucket, const char *prefix, unsigned limit, struct listed *l)
{
	struct cursor at = {0};
	unsigned asked = 0;

	l->n = 0;
	while (!at.over) {
		unsigned before = l->n;
		int n = index_list(r->ix, bytes_of(bucket), bytes_of(prefix), &at, limit, on_listed, l);

		assert_true(n >= 0 && (unsigned)n <= limit);
		assert_int_equal(l->n - before, n);
		assert_true(++asked < 10000);
	}
	return asked;
}

/* ---- keys that are not here ---- */

struct told {
	unsigned n, sealed;
	char keys[256];
};

static void on_gone(void *arg, const struct gone *g)
{
	struct told *t = arg;

	t->n++;
	t->sealed += g->sealed;
	snprintf(t->keys + strlen(t->keys), sizeof t->keys - strlen(t->keys), "%.*s ", (int)g->key.n, (const char *)g->key.p);
}

static void no_tag(void *arg, struct bytes tag)
{
	(void)arg;
	fail_msg("a tag: %.*s", (int)tag.n, (const char *)tag.p);
}

static int no_row(void *arg, const struct entry *e)
{
	(void)arg;
	fail_msg("a row: %.*s", (int)e->key_len, (const char *)e->key);
	return 0;
}

static void check_nothing_of(struct room *r, const char *key)
{
	struct cursor at = {0};
	struct entry got;

	assert_int_equal(find(r, key, &got), SC_ENOENT);
	assert_int_equal(index_next(r->ix, 0, &got), SC_ENOENT);
	while (!at.over)
		assert_int_equal(index_list(r->ix, bytes_of(DEFAULT), bytes_of(""), &at, 10, no_row, NULL), 0);
	assert_int_equal(index_list_tags(r->ix, bytes_of(DEFAULT), bytes_of(""), 10, no_tag, NULL), 0);
	assert_int_equal(drop(r, key), 0);
	assert_int_equal(clear(r, DEFAULT, "k", "", UINT64_MAX), 0);
	assert_int_equal(clear(r, DEFAULT, "", "tag", UINT64_MAX), 0);
	assert_int_equal(index_count(r->ix), 1);
	assert_false(file_has(r, "log", "index-bad"));
}

static void what_has_no_key_here_is_no_entry_and_waits_for_it(void **state)
{
	struct room *r = *state;
	struct total t;
	struct entry e, got;

	start(r, "A", false);
	e = make_entry("key", 1, 0);
	strcpy(e.tags, "tag");
	commit(r, &e);
	start(r, "B", false);
	check_nothing_of(r, "key");
	assert_int_equal(index_bucket_total(r->ix, bytes_of(DEFAULT), &t), 0);
	assert_int_equal(t.entries, 1);
	start(r, "", false);
	check_nothing_of(r, "key");
	start(r, "BA", false);
	assert_int_equal(find(r, "key", &got), 0);
	check_same(&got, &e);
	shut(r);
	open_index(r); /* without a ring */
	check_nothing_of(r, "key");
	e = make_entry("other", 2, -1);
	e.sealed.b[0] = SEALED_BY_FILE;
	{
		struct said s = {0};

		assert_int_equal(index_commit(r->ix, &e, on_done, &s), 0);
		await(r, &s, 1);
		assert_int_equal(s.status, SC_ENOENT);
	}
}

static void what_has_no_key_here_expires_is_evicted_and_goes_with_its_bucket_silently(void **state)
{
	struct eviction ev = {.entries = 1};
	struct room *r = *state;
	struct told t = {0};
	struct said s = {0};

	start(r, "A", false);
	for (unsigned i = 1; i <= 3; i++) {
		char key[8];

		snprintf(key, sizeof key, "key%u", i);
		make_objects(r, i);
		put(r, key, i, 0, "tag");
	}
	start(r, "B", false);
	index_on_gone(r->ix, on_gone, &t);
	assert_int_equal(index_evict(r->ix, &ev, on_done, &s), 0);
	await(r, &s, 1);
	assert_int_equal(s.changed, 1);
	assert_int_equal(index_expire(r->ix, &(struct now){NOW.boot_ms + 2000, NOW.wall_ms + 2000}, 1, on_done, &s), 0);
	await(r, &s, 2);
	assert_int_equal(s.changed, 1);
	assert_int_equal(index_count(r->ix), 1);
	assert_int_equal(clear(r, DEFAULT, "", "", UINT64_MAX), 1);
	assert_int_equal(index_count(r->ix), 0);
	for (unsigned i = 1; i <= 3; i++)
		assert_false(has_objects(r, i));
	assert_int_equal(t.n, 0);
}

/* B could not know of A's row, nor take its place. */
static void of_two_rows_of_a_key_the_later_one_counts_in_whatever_order_the_keys_are(void **state)
{
	static const char *const rings[] = {"AB", "BA", "CAB", "CBA"};
	struct room *r = *state;
	struct entry got;

	start(r, "A", false);
	put(r, "key", 1, 0, "");
	start(r, "B", false);
	put(r, "key", 2, 0, "");
	assert_int_equal(index_count(r->ix), 2);
	for (size_t i = 0; i < COUNT(rings); i++) {
		start(r, rings[i], false);
		assert_int_equal(find(r, "key", &got), 0);
		assert_int_equal(got.order, 2);
	}
	put(r, "key", 3, 0, "");
	assert_int_equal(index_count(r->ix), 1);
	start(r, "A", false);
	put(r, "both", 4, 0, "");
	start(r, "B", false);
	put(r, "both", 5, 0, "");
	start(r, "CBA", false);
	assert_int_equal(drop(r, "both"), 2);
	assert_int_equal(index_count(r->ix), 1);
}

static void what_was_altered_is_no_entry_and_not_anothers(void **state)
{
	static const char *const how[] = {
		"UPDATE entry SET name = zeroblob(length(name))",
		"UPDATE entry SET name = zeroblob(3)",
		"CREATE TEMP TABLE k AS SELECT id, name FROM entry;"
		"UPDATE entry SET name = (SELECT k.name FROM k WHERE k.id = 3 - entry.id)",
		"UPDATE entry SET key = randomblob(32)",
		"CREATE TEMP TABLE k AS SELECT id, key FROM entry; UPDATE entry SET key = randomblob(32);"
		"UPDATE entry SET key = (SELECT k.key FROM k WHERE k.id = 3 - entry.id)",
	};
	static struct listed l;
	struct room *r = *state;
	struct entry got;

	for (size_t i = 0; i < COUNT(how); i++) {
		start(r, "A", false);
		put(r, "one", 2 * i + 1, 0, "");
		put(r, "two", 2 * i + 2, 0, "");
		shut(r);
		alter(r, how[i]);
		start(r, "A", false);
		assert_int_equal(find(r, "one", &got), SC_ENOENT);
		assert_int_equal(find(r, "two", &got), SC_ENOENT);
		/* A box that opens says whose it is, wherever it lies. */
		assert_int_equal(list(r, DEFAULT, "", 9, &l), 1);
		assert_int_equal(l.n, i < 3 ? 0 : 2);
		assert_int_equal(index_next(r->ix, 0, &got), i < 3 ? SC_ENOENT : 0);
		settle(r);
		assert_false(file_has(r, "log", "index-bad"));
		assert_int_equal(clear(r, DEFAULT, "", "", UINT64_MAX), 2);
	}
}

static void a_million_rows_without_a_key_do_not_hold_up_who_asks_for_the_next(void **state)
{
	struct room *r = *state;
	struct said s = {0};
	struct entry e, got;
	unsigned n = 5000, asked = 1;
	char key[16];
	int rc;

	start(r, "A", false);
	for (unsigned i = 1; i <= n; i++) {
		snprintf(key, sizeof key, "key%u", i);
		e = make_entry(key, i, 0);
		assert_int_equal(index_commit(r->ix, &e, on_done, &s), 0);
	}
	e = make_entry("clear", n + 1, -1);
	assert_int_equal(index_commit(r->ix, &e, on_done, &s), 0);
	await(r, &s, n + 1);
	start(r, "B", false);
	got.id = 0;
	while ((rc = index_next(r->ix, got.id, &got)) == SC_EAGAIN)
		asked++;
	assert_int_equal(rc, 0);
	assert_int_equal(got.order, n + 1);
	assert_int_equal(asked, 2);
	assert_int_equal(index_next(r->ix, got.id, &got), SC_ENOENT);
}

/* ---- mixes ---- */

static int by_key(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void check_listed(struct room *r, const char *prefix, unsigned limit, const char *expected)
{
	static struct listed l;
	char text[512] = "";
	bool clear_yet = false;

	list(r, DEFAULT, prefix, limit, &l);
	for (unsigned i = 0; i < l.n; i++) {
		assert_false(clear_yet && l.sealed[i]);
		assert_true(l.sealed[i] || !clear_yet || strcmp(l.key[i - 1], l.key[i]) < 0);
		clear_yet = !l.sealed[i];
	}
	qsort(l.key, l.n, sizeof l.key[0], by_key);
	for (unsigned i = 0; i < l.n; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s ", l.key[i]);
	assert_string_equal(text, expected);
}

static void a_mix_is_listed_each_once_by_prefix_the_clear_ones_in_order_behind_the_others(void **state)
{
	static const char *const keys[] = {"b", "a", "ab", "a/1", "a/2", "c/1", "a/3", "abc", "d", "a/4", "ca", "e"};
	struct room *r = *state;
	struct entry e;

	start(r, "AB", false);
	for (unsigned i = 0; i < COUNT(keys); i++)
		put(r, keys[i], i + 1, (int)(i % 3) - 1, "");
	e = make_entry("a/other", 90, 0);
	strcpy(e.bucket, "other");
	commit(r, &e);
	e = make_entry("a/failed", 91, 0);
	e.failed = true;
	commit(r, &e);
	for (unsigned limit = 1; limit < 14; limit++) {
		check_listed(r, "", limit, "a a/1 a/2 a/3 a/4 ab abc b c/1 ca d e ");
		check_listed(r, "a", limit, "a a/1 a/2 a/3 a/4 ab abc ");
		check_listed(r, "a/", limit, "a/1 a/2 a/3 a/4 ");
		check_listed(r, "a/4", limit, "a/4 ");
		check_listed(r, "z", limit, "");
	}
	start(r, "B", false); /* A's are not there */
	check_listed(r, "", 5, "a/1 a/3 a/4 ab b c/1 d e ");
}

static void a_list_looks_at_so_many_rows_at_once_and_no_more(void **state)
{
	static struct listed l;
	struct room *r = *state;
	struct said s = {0};
	struct entry e;
	char key[24];

	start(r, "A", false);
	for (unsigned i = 1; i <= 1000; i++) {
		snprintf(key, sizeof key, "%s/%u", i == 500 ? "here" : "there", i);
		e = make_entry(key, i, 0);
		assert_int_equal(index_commit(r->ix, &e, on_done, &s), 0);
	}
	await(r, &s, 1000);
	assert_true(list(r, DEFAULT, "here", 32, &l) >= 4);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.key[0], "here/500");
	/* In a bucket beside it nobody passes over them. */
	put(r, "mine", 2000, -1, "");
	assert_int_equal(list(r, "other", "", 32, &l), 1);
}

/* ---- tags ---- */

static void on_tag(void *arg, struct bytes tag)
{
	char *text = arg;

	snprintf(text + strlen(text), 256 - strlen(text), "%.*s ", (int)tag.n, (const char *)tag.p);
}

static void check_tags(struct room *r, const char *prefix, unsigned limit, const char *expected)
{
	char text[256] = "";
	int n = 0;

	for (const char *p = expected; *p; p++)
		n += *p == ' ';
	assert_int_equal(index_list_tags(r->ix, bytes_of(DEFAULT), bytes_of(prefix), limit, on_tag, text), n);
	assert_string_equal(text, expected);
}

static void tags_of_all_are_listed_each_once_in_order(void **state)
{
	struct room *r = *state;

	start(r, "AB", false);
	check_tags(r, "", 9, "");
	put(r, "1", 1, -1, "!,b,c,zz,~");
	put(r, "2", 2, 0, "a,b,bb,d");
	put(r, "3", 3, 1, "b,d,e,za");
	put(r, "4", 4, 0, "b");
	check_tags(r, "", 99, "! a b bb c d e za zz ~ ");
	check_tags(r, "", 4, "! a b bb ");
	check_tags(r, "", 0, "");
	check_tags(r, "b", 9, "b bb ");
	check_tags(r, "z", 9, "za zz ");
	check_tags(r, "x", 9, "");
	check_tags(r, "~", 9, "~ ");
	check_tags(r, " ", 9, "");
	drop(r, "2");
	check_tags(r, "", 99, "! b c d e za zz ~ ");
	drop(r, "1");
	check_tags(r, "", 99, "b d e za ");
	start(r, "B", false);
	check_tags(r, "", 99, "b d e za ");
	start(r, "A", false);
	check_tags(r, "", 99, "b ");
}

static void what_is_cleared_goes_however_it_is_called_and_is_told_by_its_key(void **state)
{
	static const struct {
		const char *prefix, *tag;
		uint64_t max_order;
		const char *left, *gone;
		unsigned sealed;
	} rows[] = {
		{"a/", "", 99, "b/1 b/2 b/3 ", "a/2 a/3 a/1 ", 2},
		{"a/", "", 3, "a/2 a/3 b/1 b/2 b/3 ", "a/1 ", 0},
		{"a/3", "", 99, "a/1 a/2 b/1 b/2 b/3 ", "a/3 ", 1},
		{"", "even", 99, "a/1 a/3 b/1 b/3 ", NULL, 2},
		{"", "odd", 99, "a/2 b/2 ", NULL, 3},
		{"", "none", 99, "a/1 a/2 a/3 b/1 b/2 b/3 ", "", 0},
		{"", "", 99, "", NULL, 4},
		{"", "", 2, "a/2 a/3 b/2 b/3 ", "a/1 b/1 ", 1},
		{"z", "", 99, "a/1 a/2 a/3 b/1 b/2 b/3 ", "", 0},
	};
	struct room *r = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct told t = {0};

		start(r, "AB", false);
		clear(r, DEFAULT, "", "", UINT64_MAX);
		index_on_gone(r->ix, on_gone, &t);
		put(r, "a/1", 1, -1, "odd");
		put(r, "b/1", 2, 0, "odd");
		put(r, "a/2", 4, 0, "even");
		put(r, "b/2", 5, 1, "even");
		put(r, "a/3", 6, 1, "odd");
		put(r, "b/3", 7, -1, "odd");
		if (i == 4)
			put(r, "b/3", 8, 0, "odd");
		t = (struct told){0};
		clear(r, DEFAULT, rows[i].prefix, rows[i].tag, rows[i].max_order);
		check_listed(r, "", 3, rows[i].left);
		assert_int_equal(t.sealed, rows[i].sealed);
		if (rows[i].gone)
			assert_string_equal(t.keys, rows[i].gone);
	}
}

static void a_clearing_goes_in_batches_among_sealed_ones_too(void **state)
{
	static struct listed l;
	struct room *r = *state;
	struct said s = {0};
	struct entry e;
	char key[24];

	for (int by_tag = 0; by_tag <= 1; by_tag++) {
		start(r, "A", false);
		s = (struct said){0};
		for (unsigned i = 1; i <= 700; i++) {
			snprintf(key, sizeof key, "%s/%u", i % 10 ? "goes" : "stays", i);
			e = make_entry(key, 1000 * (unsigned)by_tag + i, 0);
			strcpy(e.tags, i % 10 ? "goes" : "stays");
			assert_int_equal(index_commit(r->ix, &e, on_done, &s), 0);
			/* Both rows of a key belong to one batch. */
			e.failed = true;
			e.gen = make_gen(e.order + 5000);
			e.order += 5000;
			assert_int_equal(index_commit(r->ix, &e, on_done, &s), 0);
		}
		await(r, &s, 1400);
		assert_int_equal(clear(r, DEFAULT, by_tag ? "" : "goes", by_tag ? "goes" : "", UINT64_MAX), 1260);
		list(r, DEFAULT, "", 100, &l);
		assert_int_equal(l.n, 70);
		assert_int_equal(index_count(r->ix), 140);
		assert_int_equal(clear(r, DEFAULT, "", "", UINT64_MAX), 140);
	}
}

/* ---- history ---- */

static void remember(struct room *r, const char *key, unsigned exit, bool sealed)
{
	struct past p = {.fate = {.kind = CAUSE_FAILED, .exit = exit, .when_ms = 7}, .sealed = sealed};
	struct said s = {0};
	struct buf rows;

	buf_init(&rows, SIZE_MAX);
	assert_int_equal(index_pack_past(&rows, &p, bytes_of(DEFAULT), bytes_of(key)), 0);
	assert_int_equal(index_remember(r->ix, &rows, on_done, &s), 0);
	buf_release(&rows);
	await(r, &s, 1);
	assert_int_equal(s.status, 0);
}

static void check_past(struct room *r, const char *key, int exit, bool sealed)
{
	struct past p = {0};

	assert_int_equal(index_recall(r->ix, bytes_of(DEFAULT), bytes_of(key), &p), exit < 0 ? SC_ENOENT : 0);
	assert_int_equal(p.fate.exit, exit < 0 ? 0 : exit);
	assert_int_equal(p.sealed, sealed);
}

static void a_past_is_recalled_by_whatever_key_it_was_told_under_and_the_last_one_counts(void **state)
{
	struct room *r = *state;

	start(r, "A", false);
	remember(r, SECRET "/sealed", 1, true);
	assert_false(is_told(r, SECRET));
	check_past(r, SECRET "/sealed", 1, true);
	check_past(r, SECRET "/other", -1, false);
	remember(r, "clear", 2, false);
	assert_true(is_told(r, "clear"));
	check_past(r, "clear", 2, false);
	remember(r, "clear", 3, true);
	check_past(r, "clear", 3, true);
	start(r, "BA", false);
	check_past(r, SECRET "/sealed", 1, true);
	remember(r, SECRET "/sealed", 4, true);
	check_past(r, SECRET "/sealed", 4, true);
	start(r, "AB", false);
	check_past(r, SECRET "/sealed", 4, true);
	start(r, "C", false);
	check_past(r, SECRET "/sealed", -1, false);
	check_past(r, "clear", 2, false);
	start(r, "A", true);
	remember(r, SECRET "/all", 5, false);
	check_past(r, SECRET "/all", 5, true);
	assert_false(is_told(r, SECRET));
}

/* ---- encrypt ---- */

static void leave_clear(struct room *r)
{
	start(r, "A", false);
	put(r, SECRET "/clear", 41, -1, SECRET "-tag");
	put(r, SECRET "/sealed", 42, 0, "");
	shut(r);
}

static void leave_wal(struct room *r)
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		start(r, "A", false);
		put(r, SECRET "/clear", 42, -1, SECRET "-tag");
		_exit(there(r, "index.db-wal") && file_has(r, "index.db-wal", SECRET) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(is_told(r, SECRET));
}

static void leave_older(struct room *r)
{
	leave_clear(r);
	alter(r, "PRAGMA user_version = 5");
}

static void spill(struct room *r, const char *name)
{
	int fd = openat(r->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(write(fd, SECRET, strlen(SECRET)), strlen(SECRET));
	close(fd);
}

static void leave_garbage(struct room *r)
{
	spill(r, "index.db");
}

static void leave_bad(struct room *r)
{
	leave_clear(r);
	spill(r, "index.db.bad-1");
	spill(r, "index.db.bad-8-wal");
}

/* Somebody died between the database and the rest. */
static void leave_rest(struct room *r)
{
	spill(r, "index.db-wal");
	spill(r, "index.db-journal");
	spill(r, "index.db.bad-3-journal");
}

/* … or before the fresh one had its tables. */
static void leave_empty(struct room *r)
{
	int fd = openat(r->dir_fd, "index.db", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
	spill(r, "index.db.bad-1");
}

static void where_everything_is_sealed_no_clear_name_of_before_is_left(void **state)
{
	static const struct {
		void (*leave)(struct room *r);
		uint64_t order;
	} rows[] = {{leave_clear, 42}, {leave_wal, 42}, {leave_older, 0}, {leave_garbage, 0},
		    {leave_bad, 42},   {leave_rest, 0}, {leave_empty, 0}};
	struct room *r = *state;
	struct entry got;

	for (size_t i = 0; i < COUNT(rows); i++) {
		rows[i].leave(r);
		assert_true(is_told(r, SECRET));
		start(r, "A", true);
		assert_true(index_has_left_orphans(r->ix));
		assert_int_equal(index_order(r->ix), rows[i].order);
		assert_int_equal(index_count(r->ix), 0);
		assert_false(is_told(r, SECRET));
		assert_false(there(r, "index.db.bad-1"));
		put(r, SECRET "/new", 50, 0, SECRET "-tag");
		assert_false(is_told(r, SECRET));
		/* The next one has nothing to remove. */
		start(r, "A", true);
		assert_false(index_has_left_orphans(r->ix));
		assert_int_equal(find(r, SECRET "/new", &got), 0);
		shut(r);
		assert_int_equal(unlinkat(r->dir_fd, "index.db", 0), 0);
	}
	assert_true(file_has(r, "log", "index-removed"));
	assert_false(file_has(r, "log", "index-bad"));
}

static void a_new_cache_has_nothing_to_remove_and_one_that_was_not_sealed_meanwhile_has(void **state)
{
	struct room *r = *state;
	struct entry got;

	start(r, "A", true);
	assert_false(index_has_left_orphans(r->ix));
	assert_false(file_has(r, "log", "index-removed"));
	put(r, "key", 1, 0, "");
	start(r, "A", false);
	assert_int_equal(find(r, "key", &got), 0);
	start(r, "A", true);
	assert_true(index_has_left_orphans(r->ix));
	assert_int_equal(find(r, "key", &got), SC_ENOENT);
	assert_int_equal(index_order(r->ix), 1);
}

/* What was found bad is moved aside for people, as ever, where there was no clear name in it. */
static void a_sealed_index_that_goes_bad_is_kept(void **state)
{
	struct room *r = *state;

	start(r, "A", true);
	put(r, "key", 5, 0, "");
	index_renew(r->ix);
	settle(r);
	assert_true(there(r, "index.db.bad-1"));
	assert_int_equal(index_count(r->ix), 0);
	assert_int_equal(index_order(r->ix), 5);
	start(r, "A", true);
	assert_false(index_has_left_orphans(r->ix));
	assert_true(there(r, "index.db.bad-1"));
}

/* ---- who has sealed what ---- */

static void check_sealers(struct room *r, unsigned kinds, unsigned n, uint64_t sum)
{
	struct sealed_by by = {{0}};
	uint64_t count, total = 0;
	unsigned found = 0;
	int rc;

	while ((rc = index_sealed_next(r->ix, &by, &by, &count)) == 0) {
		assert_true(kinds & 1u << by.b[0]);
		total += count;
		found++;
	}
	assert_int_equal(rc, SC_ENOENT);
	assert_int_equal(found, n);
	assert_int_equal(total, sum);
}

static void it_is_known_how_many_are_sealed_by_which_key(void **state)
{
	const unsigned file = 1u << SEALED_BY_FILE;
	struct room *r = *state;

	start(r, "AB", false);
	check_sealers(r, 0, 0, 0);
	put(r, "1", 1, -1, "");
	check_sealers(r, 0, 0, 0);
	put(r, "2", 2, 0, "");
	put(r, "3", 3, 0, "");
	put(r, "4", 4, 1, "");
	check_sealers(r, file, 2, 3);
	put(r, "2", 5, 1, "");
	check_sealers(r, file, 2, 3);
	put(r, "3", 6, -1, "");
	check_sealers(r, file, 1, 2);
	start(r, "C", false); /* also of those who are not here */
	check_sealers(r, file, 1, 2);
	clear(r, DEFAULT, "", "", UINT64_MAX);
	check_sealers(r, file, 0, 0);
}

static void a_daemon_knows_whether_something_dies_with_it(void **state)
{
	struct room *r = *state;
	struct said s = {0};

	start(r, "", false);
	assert_false(index_has_ephemeral(r->ix));
	put(r, "clear", 1, -1, "");
	assert_false(index_has_ephemeral(r->ix));
	put(r, "sealed", 2, 0, "");
	assert_true(index_has_ephemeral(r->ix));
	assert_int_equal(index_expire(r->ix, &(struct now){NOW.boot_ms + 2000, NOW.wall_ms + 2000}, 9, on_done, &s), 0);
	await(r, &s, 1);
	assert_false(index_has_ephemeral(r->ix));
	start(r, "A", false);
	put(r, "file", 3, 0, "");
	assert_false(index_has_ephemeral(r->ix));
}

static void what_was_sealed_by_a_key_that_has_died_goes_by_itself(void **state)
{
	struct room *r = *state;
	struct told t = {0};
	struct said s = {0};
	struct entry e, got;
	char key[24];

	start(r, "A", false);
	put(r, "file", 1, 0, "");
	start(r, "", false);
	for (unsigned i = 2; i <= 700; i++) {
		snprintf(key, sizeof key, "key%u", i);
		e = make_entry(key, i, 0);
		strcpy(e.tags, "tag");
		assert_int_equal(index_commit(r->ix, &e, on_done, &s), 0);
	}
	await(r, &s, 699);
	make_objects(r, 2);
	make_objects(r, 700);
	assert_int_equal(find(r, "key700", &got), 0);
	start(r, "", false);
	index_on_gone(r->ix, on_gone, &t);
	put(r, "mine", 1000, 0, ""); /* it can be used meanwhile */
	for (unsigned i = 0; i < 9; i++)
		settle(r);
	assert_int_equal(index_count(r->ix), 2);
	assert_false(has_objects(r, 2));
	assert_false(has_objects(r, 700));
	assert_int_equal(t.n, 0);
	assert_int_equal(find(r, "mine", &got), 0);
	check_sealers(r, 1u << SEALED_BY_FILE | 1u << SEALED_BY_EPHEMERAL, 2, 2);
	start(r, "A", false);
	settle(r);
	assert_int_equal(find(r, "file", &got), 0);
	assert_int_equal(index_count(r->ix), 1);
	/* One that stops at once leaves the rest to the next. */
	shut(r);
}

/* ---- plans ---- */

static void names_are_looked_up_by_the_index_that_is_for_them(void **state)
{
	static const char *const texts[] = {
#define X(name, who, text) text,
		SQL_STATEMENTS(X)
#undef X
	};
	static const struct {
		enum sql_statement s;
		const char *by;
	} wanted[] = {
		{SQL_FIND, "INDEX entry_clear (bucket=? AND key=? AND failed=?)"},
		{SQL_FIND_SEALED, "INDEX entry_sealed (sealed=? AND bucket=? AND key=? AND failed=?)"},
		{SQL_STANDING, "INDEX entry_clear (bucket=? AND key=? AND failed=?)"},
		{SQL_STANDING_SEALED, "INDEX entry_sealed (sealed=? AND bucket=? AND key=? AND failed=?)"},
		{SQL_LIST, "INDEX entry_clear (bucket=? AND key>? AND key<?)"},
		{SQL_LIST_SEALED, "INDEX entry_sealed (sealed=? AND bucket=? AND key>? AND key<?)"},
		{SQL_RANGE, "INDEX entry_clear (bucket=? AND key>? AND key<?)"},
		{SQL_RANGE_SEALED, "INDEX entry_sealed (sealed=? AND bucket=? AND key>? AND key<?)"},
		{SQL_OF_SEALER, "INDEX entry_sealed (sealed=?)"},
		{SQL_NEXT_TAG, "PRIMARY KEY (bucket=? AND tag>?)"},
		{SQL_NEXT_SEALED_TAG, "PRIMARY KEY (bucket=? AND tag>? AND tag<?)"},
		{SQL_SEALER, "PRIMARY KEY (sealed>?)"},
		{SQL_PAST, "(bucket=? AND key=? AND sealed=?)"},
		{SQL_FROM_IN, "INDEX entry_bucket (bucket=? AND rowid>?)"},
	};
	struct room *r = *state;
	char path[128];
	sqlite3 *db;

	start(r, "A", false);
	snprintf(path, sizeof path, "%s/index.db", r->path);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	for (size_t i = 0; i < COUNT(wanted); i++) {
		char sql[2048], plan[512] = "";
		sqlite3_stmt *st;

		snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", texts[wanted[i].s]);
		assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
		while (sqlite3_step(st) == SQLITE_ROW)
			snprintf(plan + strlen(plan), sizeof plan - strlen(plan), "%s; ",
				 (const char *)sqlite3_column_text(st, 3));
		sqlite3_finalize(st);
		if (!strstr(plan, wanted[i].by))
			fail_msg("%s: %s", texts[wanted[i].s], plan);
	}
	sqlite3_close(db);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up_keys, tear_down_keys)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_sealed_comes_back_as_it_was),
		T(the_largest_names_there_are_fit),
		T(nothing_that_is_sealed_lies_there_in_the_clear),
		T(a_key_has_one_row_however_it_is_called),
		T(a_key_that_reads_like_a_hash_is_another),
		T(what_has_no_key_here_is_no_entry_and_waits_for_it),
		T(what_has_no_key_here_expires_is_evicted_and_goes_with_its_bucket_silently),
		T(of_two_rows_of_a_key_the_later_one_counts_in_whatever_order_the_keys_are),
		T(what_was_altered_is_no_entry_and_not_anothers),
		T(a_million_rows_without_a_key_do_not_hold_up_who_asks_for_the_next),
		T(a_mix_is_listed_each_once_by_prefix_the_clear_ones_in_order_behind_the_others),
		T(a_list_looks_at_so_many_rows_at_once_and_no_more),
		T(tags_of_all_are_listed_each_once_in_order),
		T(what_is_cleared_goes_however_it_is_called_and_is_told_by_its_key),
		T(a_clearing_goes_in_batches_among_sealed_ones_too),
		T(a_past_is_recalled_by_whatever_key_it_was_told_under_and_the_last_one_counts),
		T(where_everything_is_sealed_no_clear_name_of_before_is_left),
		T(a_new_cache_has_nothing_to_remove_and_one_that_was_not_sealed_meanwhile_has),
		T(a_sealed_index_that_goes_bad_is_kept),
		T(it_is_known_how_many_are_sealed_by_which_key),
		T(a_daemon_knows_whether_something_dies_with_it),
		T(what_was_sealed_by_a_key_that_has_died_goes_by_itself),
		T(names_are_looked_up_by_the_index_that_is_for_them),
	};

	if (digest_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* cmd/source and what reader.c does with it: where the bytes of a streaming-only run are found, that what is printed is always what was
 * written, and that nobody prints the beginning of what it cannot finish. The test is the writer. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmd/reader.h"
#include "cmd/sealed.h"
#include "cmd/source.h"
#include "lib/err.h"
#include "lib/gen.h"
#include "lib/limits.h"
#include "lib/page.h"
#include "tests/unit/seeded.h"

static const struct gen GEN = {{0xab, 1, 2, 3}};
static const uint8_t KEY_HASH[16] = {9};

/* Where the objects end. What lies behind that in the files is not of the run. */
#define OUT_AT 100003ULL
#define RECORD 5000

struct stage {
	struct page *page;
	int fd[2], to_fd; /* the objects; where a reader prints to */
	struct page_view v;
	uint64_t len[2];
	bool spilled;
};

/* ---- the writer ---- */

static void put(struct stage *t, enum stream s, const void *bytes, size_t n)
{
	if (t->spilled)
		page_ring_put(t->page, s, bytes, n);
	else
		assert_int_equal(write(t->fd[s], bytes, n), n);
	t->len[s] += n;
	page_publish(t->page, t->len[STREAM_OUT], t->len[STREAM_ERR]);
	page_view(t->page, &t->v);
}

static void print(struct stage *t, size_t n)
{
	uint8_t *bytes = malloc(n);

	assert_non_null(bytes);
	fill(bytes, n, 1, t->len[STREAM_OUT]);
	put(t, STREAM_OUT, bytes, n);
	free(bytes);
}

static void complain(struct stage *t)
{
	uint8_t bytes[SC_RECORD_HEAD + RECORD];
	const struct record r = {.position = t->len[STREAM_OUT], .length = RECORD};

	record_encode(&r, bytes);
	fill(bytes + SC_RECORD_HEAD, RECORD, 2, t->len[STREAM_ERR]);
	put(t, STREAM_ERR, bytes, sizeof bytes);
}

static void spill(struct stage *t)
{
	static const char torn[] = "a part of what did not fit";

	t->spilled = true;
	assert_int_equal(write(t->fd[STREAM_OUT], torn, sizeof torn), sizeof torn);
	assert_int_equal(write(t->fd[STREAM_ERR], torn, sizeof torn), sizeof torn);
	page_spill(t->page, t->len[STREAM_OUT], t->len[STREAM_ERR], ENOSPC);
	page_view(t->page, &t->v);
}

/* More than the ring holds. */
static void go_round(struct stage *t)
{
	for (unsigned i = 0; i < 5; i++)
		print(t, SC_RING_SIZE / 4);
}

static int set_stage(void **state)
{
	struct stage *t = calloc(1, sizeof *t);

	if (!t || page_create(&t->page, &GEN, KEY_HASH, 42, SC_FOREVER))
		return -1;
	*state = t;
	for (enum stream s = STREAM_OUT; s <= STREAM_ERR; s++)
		t->fd[s] = memfd_create("object", MFD_CLOEXEC);
	t->to_fd = memfd_create("stdout", MFD_CLOEXEC);
	page_view(t->page, &t->v);
	return t->fd[0] < 0 || t->fd[1] < 0 || t->to_fd < 0 ? -1 : 0;
}

static int clear_stage(void **state)
{
	struct stage *t = *state;

	page_free(t->page);
	close(t->fd[0]);
	close(t->fd[1]);
	close(t->to_fd);
	free(t);
	return 0;
}

/* ---- a reader, whose stderr is the test's own but for a while ---- */

static void begin(struct stage *t, struct reader *r)
{
	reader_init(r, t->fd[STREAM_OUT], t->fd[STREAM_ERR]);
	reader_redirect(r, t->to_fd, false);
}

static enum read_result advance(struct stage *t, struct reader *r)
{
	static int null_fd = -1;
	int was = fcntl(2, F_DUPFD_CLOEXEC, 3);
	enum read_result rc;

	if (null_fd < 0)
		null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_true(was >= 0 && null_fd >= 0);
	assert_int_equal(dup2(null_fd, 2), 2);
	reader_spill(r, t->page, &t->v);
	rc = reader_advance(r, t->v.out_len, t->v.err_len);
	assert_int_equal(dup2(was, 2), 2);
	close(was);
	return rc;
}

static enum read_result advance_all(struct stage *t, struct reader *r)
{
	enum read_result rc;

	do {
		rc = advance(t, r);
	} while (rc == READ_MORE);
	return rc;
}

static void assert_printed(struct stage *t, uint64_t n)
{
	uint8_t *got = malloc(n + 1), *meant = malloc(n + 1);

	assert_non_null(got);
	assert_non_null(meant);
	assert_int_equal(pread(t->to_fd, got, n + 1, 0), n);
	fill(meant, n, 1, 0);
	assert_memory_equal(got, meant, n);
	free(got);
	free(meant);
}

/* ---- where bytes are ---- */

static void before_a_spill_everything_is_in_the_objects(void **state)
{
	struct stage *t = *state;
	uint8_t bytes[100];
	struct source s;
	size_t got;

	print(t, OUT_AT);
	source_init(&s, t->fd[STREAM_OUT], -1);
	source_spill(&s, t->page, &t->v);
	assert_null(s.page);
	assert_int_equal(source_in_object(&s, STREAM_OUT, 7, OUT_AT), OUT_AT);
	assert_int_equal(source_read(&s, STREAM_OUT, 7, bytes, sizeof bytes, &got), 0);
	assert_int_equal(got, sizeof bytes);
	assert_false(source_is_overtaken(&s, 0, 0));
	/* There is nothing to keep, and nothing to keep it in is made. */
	assert_int_equal(source_keep(&s, t->v.out_len, t->v.err_len), 0);
	assert_false(spool_is_made(&s.spool[STREAM_OUT]));
	assert_int_equal(source_read(&s, STREAM_OUT, OUT_AT, bytes, sizeof bytes, &got), SC_ECORRUPT);
	source_release(&s);
}

static void the_object_ends_where_the_ring_begins_whatever_lies_behind(void **state)
{
	struct stage *t = *state;
	uint8_t bytes[100], meant[100];
	struct source s;
	size_t got;

	print(t, OUT_AT);
	spill(t);
	print(t, 1000);
	source_init(&s, t->fd[STREAM_OUT], t->fd[STREAM_ERR]);
	source_spill(&s, t->page, &t->v);
	assert_int_equal(source_in_object(&s, STREAM_OUT, OUT_AT - 30, 100), 30);
	assert_int_equal(source_in_object(&s, STREAM_OUT, OUT_AT, 100), 0);
	assert_int_equal(source_in_object(&s, STREAM_ERR, 0, 100), 0);
	assert_int_equal(source_read(&s, STREAM_OUT, OUT_AT - 30, bytes, sizeof bytes, &got), 0);
	assert_int_equal(got, 30);
	assert_int_equal(source_read(&s, STREAM_OUT, OUT_AT, bytes, sizeof bytes, &got), 0);
	assert_int_equal(got, 100);
	fill(meant, sizeof meant, 1, OUT_AT);
	assert_memory_equal(bytes, meant, sizeof meant);
	source_release(&s);
}

static void what_was_kept_is_there_when_the_ring_has_gone_on(void **state)
{
	struct stage *t = *state;
	uint8_t bytes[1000], meant[1000];
	uint64_t kept;
	struct source s;
	size_t got;

	print(t, OUT_AT);
	spill(t);
	source_init(&s, t->fd[STREAM_OUT], t->fd[STREAM_ERR]);
	for (unsigned i = 0; i < 20; i++) {
		print(t, 300000);
		complain(t);
		source_spill(&s, t->page, &t->v);
		assert_int_equal(source_keep(&s, t->v.out_len, t->v.err_len), 0);
		assert_false(source_is_overtaken(&s, 0, 0));
	}
	kept = t->v.out_len;
	print(t, 500);
	for (uint64_t at = OUT_AT; at < t->v.out_len; at += got) {
		assert_int_equal(source_read(&s, STREAM_OUT, at, bytes, at % 2 ? 999 : 501, &got), 0);
		got = got < t->v.out_len - at ? got : t->v.out_len - at;
		fill(meant, got, 1, at);
		assert_memory_equal(bytes, meant, got);
	}
	/* What has come since then is lost with the next round. */
	go_round(t);
	assert_true(source_is_overtaken(&s, 0, 0));
	assert_int_equal(source_read(&s, STREAM_OUT, OUT_AT, bytes, sizeof bytes, &got), 0);
	assert_int_equal(source_read(&s, STREAM_OUT, kept, bytes, sizeof bytes, &got), SC_ENOENT);
	assert_int_equal(source_keep(&s, t->v.out_len, t->v.err_len), SC_ENOENT);
	source_release(&s);
}

/* ---- what is sealed ---- */

/* What is written to a page of its own, and read as if its objects, in which nothing stands, were of that kind. */
static void keep_lines(struct stage *t, struct source *s, bool sealed)
{
	static const char line[] = "the canary that must not be seen";
	const struct seal_key keys[SC_SEALED_KEYS] = {{{1}}, {{2}}};

	spill(t);
	source_init(s, t->fd[STREAM_OUT], t->fd[STREAM_ERR]);
	if (sealed)
		assert_int_equal(source_unseal(s, &GEN, keys), 0);
	source_spill(s, t->page, &t->v);
	for (unsigned i = 0; i < 100000; i++) {
		for (enum stream n = STREAM_OUT; n <= STREAM_ERR; n++)
			put(t, n, line, sizeof line);
		if (i % 1000 == 0)
			assert_int_equal(source_keep(s, t->v.out_len, t->v.err_len), 0);
	}
	assert_int_equal(source_keep(s, t->v.out_len, t->v.err_len), 0);
}

static bool has_canary(int fd)
{
	static char bytes[8 << 20];
	ssize_t n = pread(fd, bytes, sizeof bytes, 0);

	assert_true(n > 3000000);
	return memmem(bytes, (size_t)n, "canary", 6);
}

static void a_spool_is_sealed_exactly_when_the_objects_are(void **state)
{
	struct stage *t = *state;
	struct source s;

	for (int sealed = 0; sealed < 2; sealed++) {
		char bytes[33];
		size_t got;

		assert_int_equal(clear_stage(state) || set_stage(state), 0);
		t = *state;
		keep_lines(t, &s, sealed);
		for (enum stream n = STREAM_OUT; n <= STREAM_ERR; n++) {
			assert_int_equal(has_canary(s.spool[n].fd), !sealed);
			for (uint64_t at = 0; at < t->len[n]; at += got) {
				assert_int_equal(source_read(&s, n, at, bytes, sizeof bytes - at % sizeof bytes, &got), 0);
				assert_memory_equal(bytes, &"the canary that must not be seen"[at % sizeof bytes], got);
			}
		}
		assert_false(source_is_overtaken(&s, 0, 0));
		source_release(&s);
	}
}

/* ---- reading along ---- */

static void a_reader_prints_object_and_ring_as_one(void **state)
{
	struct stage *t = *state;
	struct reader r;

	begin(t, &r);
	for (unsigned i = 0; i < 30; i++) {
		if (i == 5)
			spill(t);
		print(t, 20011);
		complain(t);
		print(t, 300000);
		assert_int_equal(advance_all(t, &r), READ_ALL);
		assert_int_equal(r.out_pos, t->v.out_len);
		assert_int_equal(r.err_pos, t->v.err_len);
	}
	assert_printed(t, t->v.out_len);
	assert_int_equal(r.err_bytes, 30 * RECORD);
	reader_release(&r);
}

/* What the writer waits for is our position: it moves with our bytes, also where they are taken slowly. */
static void it_comes_back_after_each_small_piece_and_each_record(void **state)
{
	struct stage *t = *state;
	uint64_t seen, before;
	struct reader r;

	begin(t, &r);
	print(t, OUT_AT);
	spill(t);
	for (unsigned i = 0; i < 5; i++)
		complain(t);
	print(t, 1 << 20);
	for (enum read_result rc = READ_MORE; rc == READ_MORE;) {
		before = r.out_pos + r.err_pos;
		rc = advance(t, &r);
		seen = r.out_pos + r.err_pos;
		assert_true(seen - before <= 16384 ||
			    (r.out_pos == OUT_AT && seen - before <= 16384 + SC_RECORD_HEAD + RECORD));
	}
	assert_int_equal(r.out_pos, t->v.out_len);
	reader_release(&r);
}

static void who_comes_when_the_ring_has_gone_on_prints_nothing(void **state)
{
	struct stage *t = *state;
	struct reader r;

	begin(t, &r);
	print(t, OUT_AT);
	spill(t);
	go_round(t);
	assert_int_equal(advance_all(t, &r), READ_OVERTAKEN);
	assert_int_equal(r.printed, 0);
	assert_printed(t, 0);
	reader_release(&r);
}

static void who_is_overtaken_has_printed_only_good_bytes(void **state)
{
	struct stage *t = *state;
	struct reader r;

	begin(t, &r);
	print(t, OUT_AT);
	spill(t);
	print(t, 1000);
	assert_int_equal(advance_all(t, &r), READ_ALL);
	go_round(t);
	assert_int_equal(advance_all(t, &r), READ_OVERTAKEN);
	assert_int_equal(r.printed, OUT_AT + 1000);
	assert_printed(t, OUT_AT + 1000);
	reader_release(&r);
}

/* --atomic: of an ordinary run, too. */
static void a_held_reader_prints_all_of_it_in_the_end(void **state)
{
	struct stage *t = *state;
	uint64_t out_pos, err_pos;
	struct reader r;

	begin(t, &r);
	r.held = true;
	print(t, OUT_AT);
	complain(t);
	assert_int_equal(advance_all(t, &r), READ_ALL);
	spill(t);
	for (unsigned i = 0; i < 20; i++) {
		print(t, 300000);
		complain(t);
		assert_int_equal(advance_all(t, &r), READ_ALL);
		reader_position(&r, t->v.out_len, t->v.err_len, &out_pos, &err_pos);
		assert_int_equal(out_pos, t->v.out_len);
		assert_int_equal(err_pos, t->v.err_len);
	}
	assert_printed(t, 0);
	reader_let_go(&r, true);
	assert_int_equal(advance_all(t, &r), READ_ALL);
	assert_printed(t, t->v.out_len);
	assert_int_equal(r.err_bytes, 21 * RECORD);
	reader_release(&r);
}

static void a_held_reader_of_a_failure_shows_only_its_stderr(void **state)
{
	struct stage *t = *state;
	struct reader r;

	begin(t, &r);
	r.held = true;
	spill(t);
	for (unsigned i = 0; i < 20; i++) {
		print(t, 300000);
		complain(t);
		assert_int_equal(advance_all(t, &r), READ_ALL);
	}
	reader_let_go(&r, false);
	assert_int_equal(advance_all(t, &r), READ_ALL);
	assert_printed(t, 0);
	assert_int_equal(r.err_bytes, 20 * RECORD);
	reader_release(&r);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_stage, clear_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(before_a_spill_everything_is_in_the_objects),
		TEST(the_object_ends_where_the_ring_begins_whatever_lies_behind),
		TEST(what_was_kept_is_there_when_the_ring_has_gone_on),
		TEST(a_spool_is_sealed_exactly_when_the_objects_are),
		TEST(a_reader_prints_object_and_ring_as_one),
		TEST(it_comes_back_after_each_small_piece_and_each_record),
		TEST(who_comes_when_the_ring_has_gone_on_prints_nothing),
		TEST(who_is_overtaken_has_printed_only_good_bytes),
		TEST(a_held_reader_prints_all_of_it_in_the_end),
		TEST(a_held_reader_of_a_failure_shows_only_its_stderr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

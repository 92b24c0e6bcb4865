/* Sealed objects: what cmd/capture writes and cmd/reader prints, while it grows and when it is finished, and what is printed of one that
 * somebody has been at: whole frames of what was printed, from the beginning, and never a byte of anything else. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/capture.h"
#include "cmd/reader.h"
#include "cmd/sealed.h"
#include "lib/digest.h"
#include "lib/err.h"
#include "lib/limits.h"
#include "lib/page.h"
#include "tests/unit/seeded.h"

static const struct gen GEN = {{0xab, 1, 2, 3}};
static const uint8_t KEY_HASH[16] = {9};

struct stage {
	struct page *page;
	struct capture capture;
	struct seal_key keys[2];
	int fd[2], out[2], err[2]; /* the objects; the command's pipes */
	int to_fd;		   /* where a reader prints to */
	uint64_t sent, said;
};

static int set_stage(void **state)
{
	struct stage *t = calloc(1, sizeof *t);
	struct seal_key master;

	if (!t || digest_init() || page_create(&t->page, &GEN, KEY_HASH, 42, SC_FOREVER) || pipe2(t->out, O_CLOEXEC) ||
	    pipe2(t->err, O_CLOEXEC))
		return -1;
	*state = t;
	for (int i = 0; i < 2; i++)
		t->fd[i] = memfd_create("object", MFD_CLOEXEC);
	t->to_fd = memfd_create("stdout", MFD_CLOEXEC);
	fcntl(t->out[1], F_SETPIPE_SZ, 1 << 20);
	seal_key_new(&master);
	for (int i = 0; i < 2; i++)
		seal_key_derive(&master, &GEN, (enum stream)i, &t->keys[i]);
	return capture_init(&t->capture, t->page, t->fd[0], t->fd[1]) || capture_seal(&t->capture, &GEN, t->keys);
}

static int clear_stage(void **state)
{
	struct stage *t = *state;

	capture_release(&t->capture);
	page_free(t->page);
	for (int i = 0; i < 2; i++) {
		close(t->fd[i]);
		close(t->out[i]);
		close(t->err[i]);
	}
	close(t->to_fd);
	free(t);
	return 0;
}

/* ---- the command ---- */

static void print(struct stage *t, size_t n)
{
	static uint8_t bytes[1 << 20];
	uint64_t before = t->capture.out_len;
	int error;

	fill(bytes, n, 1, t->sent);
	assert_int_equal(write(t->out[1], bytes, n), n);
	t->sent += n;
	while (t->capture.out_len < before + n)
		assert_true(capture_out(&t->capture, t->out[0], &error));
	capture_publish(&t->capture);
}

static void complain(struct stage *t, size_t n)
{
	uint8_t bytes[4096];

	fill(bytes, n, 2, t->said);
	assert_int_equal(write(t->err[1], bytes, n), n);
	t->said += n;
	assert_true(capture_err(&t->capture, t->err[0]));
	capture_publish(&t->capture);
}

static uint64_t size_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_size;
}

/* ---- a reader, whose stderr is the test's own but for a while ---- */

static void begin(struct stage *t, struct reader *r)
{
	reader_init(r, t->fd[STREAM_OUT], t->fd[STREAM_ERR]);
	assert_int_equal(reader_unseal(r, &GEN, t->keys), 0);
	reader_redirect(r, t->to_fd, false);
	assert_int_equal(ftruncate(t->to_fd, 0), 0);
	assert_int_equal(lseek(t->to_fd, 0, SEEK_SET), 0);
}

static enum read_result quietly(struct stage *t, struct reader *r, uint64_t out_len, uint64_t err_len, bool finished)
{
	static int null_fd = -1;
	int was = fcntl(2, F_DUPFD_CLOEXEC, 3);
	struct page_view v;
	enum read_result rc;

	if (null_fd < 0)
		null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_true(was >= 0 && null_fd >= 0);
	assert_int_equal(dup2(null_fd, 2), 2);
	page_view(t->page, &v);
	reader_spill(r, t->page, &v);
	if (finished)
		rc = reader_print(r, out_len, err_len);
	else
		do {
			rc = reader_advance(r, out_len, err_len);
		} while (rc == READ_MORE);
	assert_int_equal(dup2(was, 2), 2);
	close(was);
	return rc;
}

static enum read_result follow(struct stage *t, struct reader *r)
{
	struct page_view v;

	page_view(t->page, &v);
	return quietly(t, r, v.out_len, v.err_len, false);
}

static enum read_result replay(struct stage *t, struct reader *r)
{
	return quietly(t, r, t->capture.out_len, t->capture.err_len, true);
}

/* What was printed to stdout is the first n bytes of what the command printed. */
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

/* ---- while it grows ---- */

static void a_follower_prints_what_was_published_and_no_more(void **state)
{
	struct stage *t = *state;
	uint64_t s = first_seed() | 1;
	struct reader r;

	print_message("SC_TEST_SEED=%llu\n", (unsigned long long)s);
	begin(t, &r);
	for (int i = 0; i < 200; i++) {
		uint64_t kind = chance(&s) % 4;

		if (kind == 0)
			complain(t, 1 + chance(&s) % 4000);
		else
			print(t, 1 + chance(&s) % (kind == 1 ? 300000 : kind == 2 ? 5000 : 3));
		if (chance(&s) % 3 == 0)
			continue;
		assert_int_equal(follow(t, &r), READ_ALL);
		assert_int_equal(r.out_pos, t->capture.out_len);
		assert_int_equal(r.err_pos, t->capture.err_len);
	}
	assert_int_equal(follow(t, &r), READ_ALL);
	assert_printed(t, t->sent);
	assert_int_equal(r.err_bytes, t->said);
	reader_release(&r);
	/* And whoever comes later. */
	capture_end(&t->capture);
	assert_int_equal(t->capture.spilled, 0);
	begin(t, &r);
	assert_int_equal(replay(t, &r), READ_ALL);
	assert_printed(t, t->sent);
	assert_int_equal(r.err_bytes, t->said);
	reader_release(&r);
}

/* D13: byte by byte the next frame appears behind what was published; at some moments the file has its length, but not its bytes yet. */
static void a_frame_that_is_being_written_is_not_looked_at_before_it_is_whole(void **state)
{
	struct stage *t = *state;
	struct reader r;
	uint8_t frame[4096], zeros[4096] = {0};
	uint64_t was;
	size_t n;

	print(t, 1000);
	was = size_of(t->fd[0]);
	print(t, 777);
	n = (size_t)(size_of(t->fd[0]) - was);
	assert_true(n <= sizeof frame);
	assert_int_equal(pread(t->fd[0], frame, n, (off_t)was), n);
	for (size_t there = 0; there <= n; there++) {
		begin(t, &r);
		assert_int_equal(ftruncate(t->fd[0], (off_t)was), 0);
		assert_int_equal(pwrite(t->fd[0], zeros, there, (off_t)was), there);
		assert_int_equal(quietly(t, &r, 1000, 0, false), READ_ALL);
		assert_printed(t, 1000);
		assert_int_equal(pwrite(t->fd[0], frame, n, (off_t)was), n);
		assert_int_equal(quietly(t, &r, 1777, 0, false), READ_ALL);
		assert_printed(t, 1777);
		reader_release(&r);
	}
}

static void no_byte_of_plaintext_is_in_the_files(void **state)
{
	static const char canary[] = "canary-7f3a-canary-7f3a";
	struct stage *t = *state;
	int error;

	assert_int_equal(write(t->out[1], canary, sizeof canary), sizeof canary);
	assert_true(capture_out(&t->capture, t->out[0], &error));
	capture_text(&t->capture, canary);
	capture_end(&t->capture);
	for (int i = 0; i < 2; i++) {
		uint8_t bytes[256];
		size_t n = (size_t)size_of(t->fd[i]);

		assert_int_equal(pread(t->fd[i], bytes, sizeof bytes, 0), n);
		assert_null(memmem(bytes, n, "canary", 6));
		assert_int_equal(t->capture.size[i], n);
	}
}

static void its_sums_are_of_what_lies_in_the_files(void **state)
{
	struct stage *t = *state;
	struct checksum *c;
	uint8_t bytes[70000], meant[SC_SUM_SIZE], got[SC_SUM_SIZE];

	print(t, 66000);
	complain(t, 100);
	capture_end(&t->capture);
	for (int i = 0; i < 2; i++) {
		c = checksum_new();
		assert_non_null(c);
		checksum_add(c, bytes, (size_t)pread(t->fd[i], bytes, sizeof bytes, 0));
		checksum_get(c, meant);
		checksum_free(c);
		checksum_get(i ? t->capture.err_sum : t->capture.out_sum, got);
		assert_memory_equal(got, meant, sizeof got);
	}
}

/* ---- finished, and little or nothing in it ---- */

static void an_empty_output_is_a_head_and_a_final_frame(void **state)
{
	struct stage *t = *state;
	struct reader r;

	capture_end(&t->capture);
	assert_int_equal(size_of(t->fd[0]), SC_SEAL_HEAD + SC_SEAL_OVERHEAD);
	assert_int_equal(size_of(t->fd[1]), 0);
	begin(t, &r);
	assert_int_equal(replay(t, &r), READ_ALL);
	assert_printed(t, 0);
	reader_release(&r);
	/* Without it nobody knows that there was nothing. */
	assert_int_equal(ftruncate(t->fd[0], 0), 0);
	begin(t, &r);
	assert_int_equal(replay(t, &r), READ_CANNOT_READ);
	reader_release(&r);
}

static void a_wrong_length_of_a_finished_one_is_found_out(void **state)
{
	struct stage *t = *state;
	struct reader r;

	print(t, 100);
	print(t, 100);
	complain(t, 50);
	capture_end(&t->capture);
	for (uint64_t less = 0; less <= 200; less += 50) {
		begin(t, &r);
		assert_int_equal(quietly(t, &r, 200 - less, t->capture.err_len, true), less ? READ_CANNOT_READ : READ_ALL);
		reader_release(&r);
	}
	begin(t, &r);
	assert_int_equal(quietly(t, &r, 201, t->capture.err_len, true), READ_CANNOT_READ);
	reader_release(&r);
	begin(t, &r);
	assert_int_equal(source_is_whole(&r.from, STREAM_OUT, 201), SC_ECORRUPT);
	assert_int_equal(source_is_whole(&r.from, STREAM_OUT, 200), 0);
	reader_release(&r);
}

/* ---- D01, D02, D04: somebody has been at it ---- */

#define PIECES 4
#define PIECE 20

/* Of a small one: its bytes, and where its frames begin, the final one included. */
struct small {
	uint8_t bytes[512];
	size_t n, at[PIECES + 2];
};

static struct small make_small(struct stage *t)
{
	struct small s = {.at = {SC_SEAL_HEAD}};

	for (int i = 0; i < PIECES; i++) {
		print(t, PIECE);
		s.at[i + 1] = (size_t)size_of(t->fd[0]);
	}
	capture_end(&t->capture);
	s.n = (size_t)size_of(t->fd[0]);
	s.at[PIECES + 1] = s.n;
	assert_int_equal(pread(t->fd[0], s.bytes, sizeof s.bytes, 0), s.n);
	return s;
}

/* Of these bytes in the place of the object so many pieces are printed, and it is said that they are not all. */
static void assert_refused(struct stage *t, const uint8_t *bytes, size_t n, size_t pieces)
{
	struct reader r;

	assert_int_equal(ftruncate(t->fd[0], 0), 0);
	assert_int_equal(pwrite(t->fd[0], bytes, n, 0), n);
	begin(t, &r);
	assert_int_equal(replay(t, &r), READ_CANNOT_READ);
	assert_int_equal(r.error, 0);
	assert_printed(t, pieces * PIECE);
	reader_release(&r);
}

/* In which frame a byte lies; the head counts for the first. */
static size_t frame_of(const struct small *s, size_t at)
{
	size_t i = 0;

	while (at >= s->at[i + 1])
		i++;
	return i;
}

static void any_bit_that_is_flipped_ends_it_before_its_frame(void **state)
{
	struct small s = make_small(*state);

	for (size_t at = 0; at < s.n; at++)
		for (int bit = 0; bit < 8; bit++) {
			s.bytes[at] ^= (uint8_t)(1 << bit);
			assert_refused(*state, s.bytes, s.n, frame_of(&s, at));
			s.bytes[at] ^= (uint8_t)(1 << bit);
		}
}

static void cut_off_anywhere_it_is_not_all(void **state)
{
	struct small s = make_small(*state);

	for (size_t n = 0; n < s.n; n++)
		assert_refused(*state, s.bytes, n, frame_of(&s, n));
}

static void junk_behind_the_end_is_found_out(void **state)
{
	struct small s = make_small(*state);

	for (size_t more = 1; more < 100; more++)
		assert_refused(*state, s.bytes, s.n + more, PIECES);
}

static void frames_that_change_places_or_come_twice_end_it(void **state)
{
	struct small s = make_small(*state);
	size_t n = s.at[1] - s.at[0]; /* all but the final one are as long */

	for (size_t i = 0; i < PIECES; i++)
		for (size_t k = 0; k < PIECES; k++) {
			uint8_t other[sizeof s.bytes];

			if (i == k)
				continue;
			memcpy(other, s.bytes, s.n);
			memcpy(other + s.at[i], s.bytes + s.at[k], n);
			assert_refused(*state, other, s.n, i);
			memcpy(other + s.at[k], s.bytes + s.at[i], n);
			assert_refused(*state, other, s.n, i < k ? i : k);
		}
}

static void another_stream_generation_or_key_gives_nothing(void **state)
{
	struct stage *t = *state;
	struct small s = make_small(t);
	const struct gen another = {{0xab, 1, 2, 4}};
	struct seal_key swapped[2] = {t->keys[1], t->keys[0]}, fresh[2];
	struct reader r;

	seal_key_new(&fresh[0]);
	seal_key_new(&fresh[1]);
	for (int i = 0; i < 3; i++) {
		begin(t, &r);
		source_release(&r.from);
		assert_int_equal(reader_unseal(&r, i == 0 ? &another : &GEN, i == 1 ? swapped : i == 2 ? fresh : t->keys), 0);
		assert_int_equal(replay(t, &r), READ_CANNOT_READ);
		assert_printed(t, 0);
		reader_release(&r);
	}
	assert_true(s.n > 0);
}

/* ---- what does not fit ---- */

static void what_does_not_fit_goes_through_the_ring_in_the_clear_and_nowhere_else(void **state)
{
	struct stage *t = *state;
	struct page_view v;
	struct reader r;

	page_set_limit(t->page, 5000, EFBIG);
	begin(t, &r);
	print(t, 3000);
	complain(t, 1000);
	assert_int_equal(t->capture.spilled, 0);
	assert_int_equal(follow(t, &r), READ_ALL);
	/* As plaintext it would fit. */
	print(t, (size_t)(5000 - size_of(t->fd[0]) - size_of(t->fd[1])));
	assert_int_equal(t->capture.spilled, EFBIG);
	assert_true(size_of(t->fd[0]) + size_of(t->fd[1]) <= 5000);
	print(t, 100000);
	complain(t, 10);
	page_view(t->page, &v);
	assert_int_equal(v.out_spill, 3000);
	assert_int_equal(follow(t, &r), READ_ALL);
	assert_printed(t, t->sent);
	assert_int_equal(r.err_bytes, t->said);
	reader_release(&r);
	assert_true(size_of(t->fd[0]) + size_of(t->fd[1]) <= 5000);
}

/* A frame of which only a part is there does not count. */
static void a_disk_that_takes_a_part_of_a_frame(void **state)
{
	struct stage *t = *state;
	struct rlimit was;
	struct reader r;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	signal(SIGXFSZ, SIG_IGN);
	begin(t, &r);
	print(t, 5000);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){7000, was.rlim_max}), 0);
	print(t, 5000);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(t->capture.spilled, EFBIG);
	assert_int_equal(size_of(t->fd[0]), 7000);
	print(t, 10);
	assert_int_equal(follow(t, &r), READ_ALL);
	assert_printed(t, 10010);
	reader_release(&r);
}

/* Only the end does not fit: all of it was printed, and it is not to be kept. */
static void without_room_for_its_end_it_is_not_to_be_kept(void **state)
{
	struct stage *t = *state;
	struct rlimit was;
	struct reader r;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	signal(SIGXFSZ, SIG_IGN);
	begin(t, &r);
	print(t, 5000);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){size_of(t->fd[0]) + 1, was.rlim_max}), 0);
	capture_end(&t->capture);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(t->capture.spilled, EFBIG);
	assert_int_equal(page_unkept(t->page), EFBIG);
	assert_int_equal(follow(t, &r), READ_ALL);
	assert_printed(t, 5000);
	reader_release(&r);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_stage, clear_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_follower_prints_what_was_published_and_no_more),
		TEST(a_frame_that_is_being_written_is_not_looked_at_before_it_is_whole),
		TEST(no_byte_of_plaintext_is_in_the_files),
		TEST(its_sums_are_of_what_lies_in_the_files),
		TEST(an_empty_output_is_a_head_and_a_final_frame),
		TEST(a_wrong_length_of_a_finished_one_is_found_out),
		TEST(any_bit_that_is_flipped_ends_it_before_its_frame),
		TEST(cut_off_anywhere_it_is_not_all),
		TEST(junk_behind_the_end_is_found_out),
		TEST(frames_that_change_places_or_come_twice_end_it),
		TEST(another_stream_generation_or_key_gives_nothing),
		TEST(what_does_not_fit_goes_through_the_ring_in_the_clear_and_nowhere_else),
		TEST(a_disk_that_takes_a_part_of_a_frame),
		TEST(without_room_for_its_end_it_is_not_to_be_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* cmd/capture: where the bytes of a command go when its objects take no more of them, and what is read, and when not. The test is the
 * command; nobody reads. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/capture.h"
#include "cmd/give.h"
#include "lib/err.h"
#include "lib/gen.h"
#include "lib/limits.h"
#include "lib/object.h"
#include "lib/page.h"
#include "tests/unit/peer.h"
#include "tests/unit/seeded.h"

static const struct gen GEN = {{0xab, 1, 2, 3}};
static const uint8_t KEY_HASH[16] = {9};

struct stage {
	struct page *page;
	struct capture capture;
	int fd[2], out[2], err[2]; /* the objects; the command's pipes */
	uint64_t sent;
};

static int set_stage(void **state)
{
	struct stage *t = calloc(1, sizeof *t);

	if (!t || page_create(&t->page, &GEN, KEY_HASH, 42, SC_FOREVER) || pipe2(t->out, O_CLOEXEC) || pipe2(t->err, O_CLOEXEC))
		return -1;
	*state = t;
	for (int i = 0; i < 2; i++)
		t->fd[i] = memfd_create("object", MFD_CLOEXEC);
	fcntl(t->out[1], F_SETPIPE_SZ, 1 << 20);
	return capture_init(&t->capture, t->page, t->fd[0], t->fd[1]);
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
	free(t);
	return 0;
}

static void say(struct stage *t, size_t n)
{
	static uint8_t bytes[1 << 20];

	fill(bytes, n, 1, t->sent);
	assert_int_equal(write(t->out[1], bytes, n), n);
	t->sent += n;
}

/* One read of stdout. */
static bool pump(struct stage *t)
{
	int error;
	bool more = capture_out(&t->capture, t->out[0], &error);

	assert_int_equal(error, 0);
	return more;
}

static uint64_t size_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_size;
}

static void assert_in_ring(struct stage *t, uint64_t at, size_t n)
{
	uint8_t *got = malloc(n), *meant = malloc(n);

	assert_non_null(got);
	assert_non_null(meant);
	assert_int_equal(page_ring_get(t->page, STREAM_OUT, at, got, n), 0);
	fill(meant, n, 1, at);
	assert_memory_equal(got, meant, n);
	free(got);
	free(meant);
}

static void what_fits_goes_into_the_objects(void **state)
{
	struct stage *t = *state;
	struct page_view v;

	say(t, 5000);
	assert_true(pump(t));
	capture_text(&t->capture, "hello\n");
	capture_publish(&t->capture);
	page_view(t->page, &v);
	assert_int_equal(v.out_len, 5000);
	assert_int_equal(v.err_len, SC_RECORD_HEAD + 6);
	assert_true(v.out_spill == SC_FOREVER);
	assert_int_equal(t->capture.spilled, 0);
	assert_int_equal(size_of(t->fd[0]), 5000);
}

static void what_is_over_the_limit_goes_through_the_ring_and_so_does_all_that_follows(void **state)
{
	struct stage *t = *state;
	struct page_view v;

	page_set_limit(t->page, 5000, EFBIG);
	say(t, 4999);
	assert_true(pump(t));
	assert_int_equal(t->capture.spilled, 0);
	/* One byte is left, and one stream counts for the other. */
	capture_text(&t->capture, "hello\n");
	assert_int_equal(t->capture.spilled, EFBIG);
	say(t, 1);
	assert_false(capture_must_wait(&t->capture));
	assert_true(pump(t));
	capture_publish(&t->capture);
	page_view(t->page, &v);
	assert_int_equal(v.out_len, 5000);
	assert_int_equal(v.out_spill, 4999);
	assert_int_equal(v.err_spill, 0);
	assert_int_equal(v.err_len, SC_RECORD_HEAD + 6);
	assert_int_equal(page_unkept(t->page), EFBIG);
	assert_int_equal(size_of(t->fd[0]), 4999);
	assert_int_equal(size_of(t->fd[1]), 0);
	assert_in_ring(t, 4999, 1);
}

/* A part of a piece may be in the object: it does not count. */
static void a_disk_that_takes_only_a_part_ends_the_object_before_the_piece(void **state)
{
	const struct rlimit small = {.rlim_cur = 7000, .rlim_max = RLIM_INFINITY};
	struct stage *t = *state;
	struct rlimit was;
	struct page_view v;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	signal(SIGXFSZ, SIG_IGN);
	say(t, 5000);
	assert_true(pump(t));
	say(t, 5000);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){small.rlim_cur, was.rlim_max}), 0);
	assert_true(pump(t));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(t->capture.spilled, EFBIG);
	page_view(t->page, &v);
	assert_int_equal(v.out_spill, 5000);
	assert_true(size_of(t->fd[0]) >= 5000);
	assert_in_ring(t, 5000, 5000);
	/* There is room again: too late. */
	say(t, 10);
	assert_false(capture_must_wait(&t->capture));
	assert_true(pump(t));
	assert_true(size_of(t->fd[0]) <= 7000);
	assert_in_ring(t, 5000, 5010);
}

static void keep_a_slot(struct page *p, int fd, unsigned pipe_end)
{
	close((int)pipe_end); /* it is not the command */
	if (page_take_slot(p, 0))
		_exit(1);
	step(fd);
	await(fd);
}

/* Nothing but the end of a pipe is taken for it, and a run that is being stopped is read on: its command may have last words. */
static void without_room_what_comes_is_no_end(void **state)
{
	struct stage *t = *state;
	struct peer slow;

	page_set_limit(t->page, 0, EFBIG);
	slow = start(t->page, keep_a_slot, (unsigned)t->out[1]);
	assert_true(await(slow.fd));
	do {
		say(t, 200000);
		assert_true(pump(t));
	} while (!capture_must_wait(&t->capture));
	assert_int_equal(t->capture.room, 0);
	assert_int_equal(t->capture.out_len, t->sent);
	say(t, 100);
	assert_true(pump(t));
	assert_int_equal(t->capture.out_len, t->sent);
	close(t->out[1]);
	t->out[1] = -1;
	assert_false(pump(t));
	kill_off(&slow);
}

/* --linger: what is there when it is over is still read, and not more, however much there is room for. */
static void of_the_rest_nothing_is_lost_and_nothing_more_is_read(void **state)
{
	struct stage *t = *state;

	say(t, 600000);
	capture_only_rest(&t->capture, t->out[0], -1);
	say(t, 5);
	while (pump(t))
		;
	assert_int_equal(t->capture.out_len, 600000);
	assert_int_equal(t->capture.err_rest, 0);
	assert_int_equal(t->capture.out_rest, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_stage, clear_stage)

/* There is a place to read on from, and no way to get there: what is read instead would be other bytes. */
static void a_file_whose_rest_cannot_be_found_is_the_end(void **state)
{
	struct stage *t = *state;
	struct gift gift = {.way = GIVE_NO_MORE, .again_fd = t->fd[1], .there = 100}; /* of which not one can be read again */
	struct page_view v;
	int error, there = 0;

	t->capture.gift = &gift;
	say(t, 10);
	assert_false(capture_out(&t->capture, t->out[0], &error));
	assert_int_equal(error, ESPIPE);
	assert_int_equal(t->capture.out_len, 0);
	assert_int_equal(ioctl(t->out[0], FIONREAD, &there), 0);
	assert_int_equal(there, 10);
	page_view(t->page, &v);
	assert_int_equal(v.out_len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_fits_goes_into_the_objects),
		TEST(what_is_over_the_limit_goes_through_the_ring_and_so_does_all_that_follows),
		TEST(a_disk_that_takes_only_a_part_ends_the_object_before_the_piece),
		TEST(without_room_what_comes_is_no_end),
		TEST(of_the_rest_nothing_is_lost_and_nothing_more_is_read),
		TEST(a_file_whose_rest_cannot_be_found_is_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

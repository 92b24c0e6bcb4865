/* The promises of lib/page.h about a run that is streaming-only: what goes through the ring comes out of it, nobody who keeps to the
 * pace is overtaken, and who is waited for, how long, and who is not. Readers are processes of their own, moved about by the test,
 * which is the writer. Time is what the test says it is; whether one has slept can be seen (sleep.h). */
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "lib/err.h"
#include "lib/gen.h"
#include "lib/limits.h"
#include "tests/unit/peer.h"
#include "tests/unit/seeded.h"
#include "tests/unit/sleep.h"

static const struct gen GEN = {{0xab, 1, 2, 3}};
static const uint8_t KEY_HASH[16] = {9};

/* Where the objects end: in the middle of something. */
#define OUT_AT 1000003ULL
#define ERR_AT 70001ULL
/* One look of the writer after the other. */
#define LOOK SC_PAGE_WAIT_MS

/* ---- a streaming-only run ---- */

struct ring {
	struct page *page;
	uint64_t put[2];
	uint64_t size[2]; /* of the streams' parts */
	uint64_t now;
};

static void put(struct ring *r, enum stream s, uint64_t n)
{
	static uint8_t bytes[SC_RING_SIZE];

	fill(bytes, n, s, r->put[s]);
	page_ring_put(r->page, s, bytes, n);
	r->put[s] += n;
}

static uint64_t room(struct ring *r)
{
	return page_ring_room(r->page, r->now);
}

static void assert_got(const struct page *p, enum stream s, uint64_t at, size_t n)
{
	uint8_t *got = malloc(n), *meant = malloc(n);

	assert_non_null(got);
	assert_non_null(meant);
	assert_int_equal(page_ring_get(p, s, at, got, n), 0);
	fill(meant, n, s, at);
	assert_memory_equal(got, meant, n);
	free(got);
	free(meant);
}

static int get(const struct ring *r, enum stream s, uint64_t at, size_t n)
{
	static uint8_t bytes[SC_RING_SIZE];

	return page_ring_get(r->page, s, at, bytes, n);
}

static int make_ring(void **state)
{
	struct ring *r = calloc(1, sizeof *r);

	if (!r || page_create(&r->page, &GEN, KEY_HASH, 42, SC_FOREVER))
		return -1;
	*state = r;
	r->now = 1000000;
	r->put[STREAM_OUT] = OUT_AT;
	r->put[STREAM_ERR] = ERR_AT;
	page_spill(r->page, OUT_AT, ERR_AT, ENOSPC);
	/* With nobody to wait for there is room for all that the ring holds. */
	r->size[STREAM_OUT] = room(r);
	r->size[STREAM_ERR] = SC_RING_SIZE - r->size[STREAM_OUT];
	return 0;
}

static int free_ring(void **state)
{
	struct ring *r = *state;

	page_free(r->page);
	free(r);
	return 0;
}

/* ---- readers ---- */

struct place {
	uint64_t out, err;
};

/* Goes where it is told to, and stays. */
static void read_along(struct page *p, int fd, unsigned hint)
{
	struct place to;

	if (page_take_slot(p, hint))
		_exit(1);
	do {
		step(fd);
		if (read(fd, &to, sizeof to) != sizeof to)
			_exit(0);
		page_set_position(p, to.out, to.err);
	} while (true);
}

static struct peer reader(struct ring *r)
{
	struct peer peer = start(r->page, read_along, 3);

	assert_true(await(peer.fd));
	return peer;
}

static void move(const struct peer *peer, uint64_t out, uint64_t err)
{
	const struct place to = {out, err};

	assert_int_equal(write(peer->fd, &to, sizeof to), sizeof to);
	assert_true(await(peer->fd));
}

/* It has read everything. */
static void catch_up(const struct ring *r, const struct peer *peer)
{
	move(peer, r->put[STREAM_OUT], r->put[STREAM_ERR]);
}

/* As much of stdout as fits. */
static void fill_up(struct ring *r)
{
	for (uint64_t n = room(r); n; n = room(r))
		put(r, STREAM_OUT, n);
}

/* The writer waits so long, looking as often as it does. */
static uint64_t wait_for_room(struct ring *r, uint64_t ms)
{
	for (uint64_t until = r->now + ms; r->now < until;) {
		r->now += until - r->now < LOOK ? until - r->now : LOOK;
		if (room(r))
			return room(r);
	}
	return 0;
}

/* ---- spill ---- */

static void nothing_is_spilled_at_birth_and_nothing_limited(void **state)
{
	struct page_view v;
	struct page *p;

	(void)state;
	assert_int_equal(page_create(&p, &GEN, KEY_HASH, 1, SC_FOREVER), 0);
	page_view(p, &v);
	assert_true(v.out_spill == SC_FOREVER);
	assert_true(v.err_spill == SC_FOREVER);
	assert_int_equal(page_unkept(p), 0);
	assert_true(page_limit(p) == SC_FOREVER);
	page_free(p);
}

static void everybody_sees_where_the_objects_end_and_why(void **state)
{
	struct ring *r = *state;
	struct page *other;
	struct page_view v;

	assert_int_equal(page_map(&other, fcntl(page_fd(r->page), F_DUPFD_CLOEXEC, 0), &GEN), 0);
	page_view(other, &v);
	assert_int_equal(v.out_spill, OUT_AT);
	assert_int_equal(v.err_spill, ERR_AT);
	assert_int_equal(page_unkept(other), ENOSPC);
	page_set_limit(other, 12345, EDQUOT);
	assert_int_equal(page_limit(r->page), 12345);
	assert_int_equal(page_limit_error(r->page), EDQUOT);
	page_free(other);
}

struct watcher {
	struct page *page;
	_Atomic bool ready;
	bool half; /* it has seen where one stream ends and not the other */
};

static void *watch(void *arg)
{
	struct watcher *w = arg;
	struct page_view v;

	do {
		page_view(w->page, &v);
		atomic_store(&w->ready, true);
	} while (v.out_spill == SC_FOREVER);
	w->half = v.err_spill != ERR_AT || page_unkept(w->page) != ENOSPC;
	return NULL;
}

/* A reader looks once, and keeps what it has seen. */
static void who_sees_that_the_output_is_spilled_sees_all_of_the_spill(void **state)
{
	unsigned halves = 0;

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		struct watcher w = {.ready = false};
		pthread_t thread;

		assert_int_equal(page_create(&w.page, &GEN, KEY_HASH, 1, SC_FOREVER), 0);
		assert_int_equal(pthread_create(&thread, NULL, watch, &w), 0);
		while (!atomic_load(&w.ready))
			sched_yield();
		page_spill(w.page, OUT_AT, ERR_AT, ENOSPC);
		pthread_join(thread, NULL);
		halves += w.half;
		page_free(w.page);
	}
	assert_int_equal(halves, 0);
}

/* ---- bytes ---- */

static void what_is_put_comes_out_at_its_place_round_and_round(void **state)
{
	static const uint64_t pieces[] = {1, 7, 4096, 65537, 262144, 12 + 65536, 500009};
	struct ring *r = *state;

	assert_int_equal(r->size[STREAM_OUT] + r->size[STREAM_ERR], SC_RING_SIZE);
	for (enum stream s = STREAM_OUT; s <= STREAM_ERR; s++)
		for (unsigned i = 0; r->put[s] < 4 * SC_RING_SIZE; i++) {
			uint64_t at = r->put[s], n = pieces[i % COUNT(pieces)];

			put(r, s, n);
			assert_got(r->page, s, at, n);
		}
	/* All that a part holds, at once, wherever it begins; and the other stream is as it was. */
	for (enum stream s = STREAM_OUT; s <= STREAM_ERR; s++) {
		assert_got(r->page, s, r->put[s] - r->size[s], r->size[s]);
		put(r, s, r->size[s]);
		assert_got(r->page, s, r->put[s] - r->size[s], r->size[s]);
	}
	assert_got(r->page, STREAM_OUT, r->put[STREAM_OUT] - r->size[STREAM_OUT], r->size[STREAM_OUT]);
}

static void who_asks_for_what_is_overwritten_is_told_so(void **state)
{
	struct ring *r = *state;

	for (enum stream s = STREAM_OUT; s <= STREAM_ERR; s++) {
		uint64_t first = r->put[s];

		put(r, s, r->size[s]);
		assert_int_equal(get(r, s, first, 1), 0);
		put(r, s, 1);
		assert_int_equal(get(r, s, first, 1), SC_ENOENT);
		assert_int_equal(get(r, s, first, r->size[s]), SC_ENOENT);
		assert_int_equal(get(r, s, first + 1, r->size[s]), 0);
		/* Whether something is lost can be asked without wanting any of it. */
		assert_int_equal(get(r, s, first, 0), SC_ENOENT);
		assert_int_equal(get(r, s, first + 1, 0), 0);
		assert_int_equal(get(r, s, r->put[s], 0), 0);
		/* More than there can be. */
		assert_int_equal(get(r, s, first + 1, r->size[s] + 1), SC_ENOENT);
	}
}

/* ---- whom one waits for ---- */

static void with_nobody_to_wait_for_nothing_waits(void **state)
{
	struct ring *r = *state;

	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(room(r), r->size[STREAM_OUT]);
		put(r, STREAM_OUT, r->size[STREAM_OUT]);
		put(r, STREAM_ERR, r->size[STREAM_ERR]);
	}
}

static void one_who_still_reads_the_object_stands_at_the_rings_beginning(void **state)
{
	struct ring *r = *state;
	struct peer a = reader(r);
	uint64_t n = r->size[STREAM_OUT];

	assert_int_equal(room(r), n);
	put(r, STREAM_OUT, n / 3);
	assert_int_equal(room(r), n - n / 3);
	/* On its way there it changes nothing … */
	move(&a, OUT_AT - 1, ERR_AT);
	assert_int_equal(room(r), n - n / 3);
	fill_up(r);
	assert_int_equal(room(r), 0);
	assert_int_equal(get(r, STREAM_OUT, OUT_AT, n - n / 3), 0);
	move(&a, OUT_AT, ERR_AT);
	assert_int_equal(room(r), 0);
	/* … and from there on everything. */
	catch_up(r, &a);
	assert_int_equal(room(r), n);
	kill_off(&a);
}

/* A piece that fits, never one more than that; and the writer does not go on at each little step. */
static void room_is_what_the_slowest_has_left_behind(void **state)
{
	struct ring *r = *state;
	struct peer slow = reader(r), fast = reader(r);
	uint64_t at = OUT_AT;

	for (unsigned i = 0; i < 17; i++) {
		fill_up(r);
		catch_up(r, &fast);
		assert_int_equal(room(r), 0);
		/* Nothing the slow one has not read is lost. */
		assert_got(r->page, STREAM_OUT, at, r->put[STREAM_OUT] - at);
		at += 400000;
		move(&slow, at, r->put[STREAM_ERR]);
		assert_true(room(r) <= at + r->size[STREAM_OUT] - r->put[STREAM_OUT]);
	}
	/* The slow one went round more than once. */
	assert_true(at - OUT_AT > 2 * r->size[STREAM_OUT]);
	catch_up(r, &slow);
	assert_int_equal(room(r), r->size[STREAM_OUT]);
	kill_off(&slow);
	kill_off(&fast);
}

static void the_error_stream_is_waited_for_as_well_and_a_record_always_fits(void **state)
{
	struct ring *r = *state;
	struct peer a = reader(r);
	uint64_t first = r->put[STREAM_ERR];

	while (room(r))
		put(r, STREAM_ERR, SC_RECORD_HEAD + SC_RECORD_MAX);
	assert_true(r->put[STREAM_ERR] - first <= r->size[STREAM_ERR]);
	assert_got(r->page, STREAM_ERR, first, r->put[STREAM_ERR] - first);
	move(&a, OUT_AT, r->put[STREAM_ERR]);
	assert_int_equal(room(r), r->size[STREAM_OUT]);
	kill_off(&a);
}

static void the_dead_and_those_who_have_left_are_waited_for_no_more(void **state)
{
	struct ring *r = *state;
	struct peer dead = reader(r), gone = reader(r), late;

	fill_up(r);
	catch_up(r, &gone);
	assert_int_equal(room(r), 0);
	kill_off(&dead);
	assert_int_equal(room(r), r->size[STREAM_OUT]);
	fill_up(r); /* gone is in the way now */
	assert_int_equal(room(r), 0);
	close(gone.fd);
	gone.fd = -1;
	assert_int_equal(waitpid(gone.pid, NULL, 0), gone.pid);
	assert_int_equal(room(r), r->size[STREAM_OUT]);
	/* Who comes when the beginning is gone has nothing to wait for, and is nobody's pace. */
	late = reader(r);
	assert_int_equal(room(r), r->size[STREAM_OUT]);
	assert_int_equal(get(r, STREAM_OUT, OUT_AT, 1), SC_ENOENT);
	kill_off(&late);
}

static void a_position_is_believed_only_as_far_as_there_is_something(void **state)
{
	struct ring *r = *state;
	struct peer liar = reader(r), honest = reader(r);

	move(&liar, UINT64_MAX, UINT64_MAX / 2);
	assert_int_equal(room(r), r->size[STREAM_OUT]);
	fill_up(r);
	assert_int_equal(room(r), 0);
	assert_got(r->page, STREAM_OUT, OUT_AT, r->put[STREAM_OUT] - OUT_AT);
	catch_up(r, &honest);
	assert_int_equal(room(r), r->size[STREAM_OUT]);
	kill_off(&liar);
	kill_off(&honest);
}

/* ---- one that is stuck ---- */

static void a_stuck_reader_is_left_behind_when_another_has_waited_long_enough(void **state)
{
	struct ring *r = *state;
	struct peer stuck = reader(r), waits = reader(r);

	fill_up(r);
	catch_up(r, &waits);
	assert_int_equal(room(r), 0);
	assert_int_equal(wait_for_room(r, SC_STUCK_MS - 1), 0);
	/* Until then it has lost nothing. */
	assert_got(r->page, STREAM_OUT, OUT_AT, r->put[STREAM_OUT] - OUT_AT);
	assert_int_equal(wait_for_room(r, 1), r->size[STREAM_OUT]);
	/* It is behind, but not yet overtaken: if it moves now, it is one of those again. */
	move(&stuck, OUT_AT + 1, ERR_AT);
	assert_int_equal(room(r), 0);
	assert_int_equal(wait_for_room(r, SC_STUCK_MS), r->size[STREAM_OUT]);
	put(r, STREAM_OUT, r->size[STREAM_OUT]);
	assert_int_equal(get(r, STREAM_OUT, OUT_AT + 1, 1), SC_ENOENT);
	/* The other one has not. */
	assert_int_equal(room(r), 0);
	catch_up(r, &waits);
	/* Overtaken in one stream it has lost the other, too. */
	assert_int_equal(room(r), r->size[STREAM_OUT]);
	put(r, STREAM_ERR, r->size[STREAM_ERR] - 1);
	catch_up(r, &waits);
	assert_int_equal(room(r), r->size[STREAM_OUT]);
	kill_off(&stuck);
	kill_off(&waits);
}

static void one_that_moves_however_slowly_is_waited_for(void **state)
{
	struct ring *r = *state;
	struct peer slow = reader(r), waits = reader(r);
	uint64_t at = OUT_AT;

	put(r, STREAM_ERR, 100);
	fill_up(r);
	catch_up(r, &waits);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(wait_for_room(r, SC_STUCK_MS - 1), 0);
		/* In either stream, and before the ring as well. */
		move(&slow, i % 2 ? ++at : at, ERR_AT + i / 2);
		assert_int_equal(room(r), 0);
	}
	move(&slow, 17, 0);
	assert_int_equal(wait_for_room(r, SC_STUCK_MS - 1), 0);
	move(&slow, 18, 0);
	assert_int_equal(wait_for_room(r, SC_STUCK_MS - 1), 0);
	kill_off(&slow);
	kill_off(&waits);
}

/* A pager overnight. */
static void while_nobody_else_waits_it_may_be_stuck_for_ever(void **state)
{
	struct ring *r = *state;
	struct peer stuck = reader(r), too = reader(r), dead = reader(r);

	fill_up(r);
	/* One that has almost everything still has something to do. */
	catch_up(r, &too);
	put(r, STREAM_ERR, 1);
	catch_up(r, &dead);
	kill_off(&dead);
	assert_int_equal(wait_for_room(r, 3600 * 1000), 0);
	assert_got(r->page, STREAM_OUT, OUT_AT, r->put[STREAM_OUT] - OUT_AT);
	kill_off(&too);
	assert_int_equal(wait_for_room(r, 3600 * 1000), 0);
	kill_off(&stuck);
}

/* Nobody could move in it, so it says nothing about anybody. */
static void time_in_which_the_writer_did_not_look_does_not_count(void **state)
{
	struct ring *r = *state;
	struct peer stuck = reader(r), waits = reader(r);

	fill_up(r);
	catch_up(r, &waits);
	assert_int_equal(wait_for_room(r, SC_STUCK_MS - 1), 0);
	r->now += 8 * 3600 * 1000; /* asleep, the whole machine */
	assert_int_equal(room(r), 0);
	assert_int_equal(wait_for_room(r, SC_STUCK_MS - 1), 0);
	assert_int_equal(wait_for_room(r, 1), r->size[STREAM_OUT]);
	kill_off(&stuck);
	kill_off(&waits);
}

static void who_takes_the_slot_of_a_stuck_one_begins_anew(void **state)
{
	struct ring *r = *state;
	struct peer stuck = reader(r), waits = reader(r), next;

	fill_up(r);
	catch_up(r, &waits);
	assert_int_equal(wait_for_room(r, SC_STUCK_MS - 1), 0);
	kill_off(&stuck);
	/* At the same place. */
	next = reader(r);
	assert_int_equal(room(r), 0);
	assert_int_equal(wait_for_room(r, SC_STUCK_MS - 1), 0);
	assert_int_equal(wait_for_room(r, 1), r->size[STREAM_OUT]);
	kill_off(&next);
	kill_off(&waits);
}

/* ---- sleep ---- */

static void with_room_nobody_sleeps_and_without_never_longer_than_the_bound(void **state)
{
	struct ring *r = *state;
	struct peer a = reader(r);

	nobody_sleeps = true;
	sleeps = 0;
	page_wait_room(r->page, SC_FOREVER);
	assert_int_equal(sleeps, 0);
	fill_up(r);
	page_wait_room(r->page, SC_FOREVER);
	assert_int_equal(sleeps, 1);
	assert_true(last_sleep.tv_sec * 1000 + last_sleep.tv_nsec / 1000000 <= SC_PAGE_WAIT_MS);
	page_wait_room(r->page, 30);
	assert_int_equal(sleeps, 2);
	assert_int_equal(last_sleep.tv_nsec, 30 * 1000000);
	nobody_sleeps = false;
	kill_off(&a);
}

#define TIMED_OUT 77

static void wait_once(struct page *p, int fd, unsigned arg)
{
	(void)arg;
	slept = -1;
	step(fd);
	page_wait_room(p, SC_PAGE_WAIT_MS);
	_exit(slept == 0 ? 0 : TIMED_OUT);
}

static void poke(struct ring *r, const struct peer *a)
{
	(void)a;
	page_poke_writer(r->page);
}

static void step_on(struct ring *r, const struct peer *a)
{
	static uint64_t steps;

	(void)r;
	move(a, OUT_AT + ++steps, ERR_AT);
}

/* A machine so busy that we are not heard within the bound of a sleep is no fault: tried again. */
static void assert_wakes(struct ring *r, void (*wake)(struct ring *r, const struct peer *a))
{
	struct peer a = reader(r);
	int status = TIMED_OUT;

	fill_up(r);
	for (int tries = 0; tries < 20 && status == TIMED_OUT; tries++) {
		struct peer writer = start(r->page, wait_once, 0);

		assert_true(await(writer.fd));
		while (!is_still(writer.pid))
			sched_yield();
		wake(r, &a);
		status = end_of(&writer);
	}
	assert_int_equal(status, 0);
	kill_off(&a);
}

static void a_sleeping_writer_is_woken_by_a_poke(void **state)
{
	assert_wakes(*state, poke);
}

static void a_sleeping_writer_is_woken_by_any_step_of_a_reader(void **state)
{
	assert_wakes(*state, step_on);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_ring, free_ring)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_spilled_at_birth_and_nothing_limited),
		TEST(everybody_sees_where_the_objects_end_and_why),
		cmocka_unit_test(who_sees_that_the_output_is_spilled_sees_all_of_the_spill),
		TEST(what_is_put_comes_out_at_its_place_round_and_round),
		TEST(who_asks_for_what_is_overwritten_is_told_so),
		TEST(with_nobody_to_wait_for_nothing_waits),
		TEST(one_who_still_reads_the_object_stands_at_the_rings_beginning),
		TEST(room_is_what_the_slowest_has_left_behind),
		TEST(the_error_stream_is_waited_for_as_well_and_a_record_always_fits),
		TEST(the_dead_and_those_who_have_left_are_waited_for_no_more),
		TEST(a_position_is_believed_only_as_far_as_there_is_something),
		TEST(a_stuck_reader_is_left_behind_when_another_has_waited_long_enough),
		TEST(one_that_moves_however_slowly_is_waited_for),
		TEST(while_nobody_else_waits_it_may_be_stuck_for_ever),
		TEST(time_in_which_the_writer_did_not_look_does_not_count),
		TEST(who_takes_the_slot_of_a_stuck_one_begins_anew),
		TEST(with_room_nobody_sleeps_and_without_never_longer_than_the_bound),
		TEST(a_sleeping_writer_is_woken_by_a_poke),
		TEST(a_sleeping_writer_is_woken_by_any_step_of_a_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

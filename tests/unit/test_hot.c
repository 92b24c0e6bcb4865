/* daemon/hot: who is asked to load, what of what they bring is taken, what goes for it, and that it never takes more than it may. Peers
 * and time are the test's own; the files of memory are the kernel's. And daemon/admit: loads that do not pay become rare. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/admit.h"
#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/evict.h"
#include "daemon/hot.h"
#include "daemon/stats.h"
#include "lib/clock.h"
#include "lib/memfd.h"
#include "lib/msg.h"

/* ---- what it stands on ---- */

static uint64_t now_ms, untold;
static unsigned closed, counted;

uint64_t clock_run_ms(void)
{
	return now_ms;
}

uint32_t evict_untold(const struct daemon *d, const struct entry *e)
{
	(void)d, (void)e;
	return (uint32_t)untold;
}

void stats_count(struct daemon *d, struct bytes bucket, enum tally what, uint64_t n)
{
	(void)d, (void)n;
	assert_int_equal(what, TALLY_LOADS);
	assert_int_equal(bucket.n, 7);
	counted++;
}

void conn_close(struct conn *c, const char *why)
{
	assert_non_null(why);
	closed++;
	hot_let_go(c);
}

/* ---- a tier ---- */

#define PAGE 4096
#define ROW (PAGE + SC_HOT_ROW) /* what a small entry takes */

static struct daemon d;
static int fds_before;

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void open_tier(uint64_t memory)
{
	memset(&d, 0, sizeof d);
	d.config.memory = memory;
	now_ms = 1000;
	untold = 0;
	closed = counted = 0;
	fds_before = count_fds();
	assert_int_equal(hot_open(&d), 0);
}

static void close_tier(void)
{
	hot_close(&d);
	assert_int_equal(count_fds(), fds_before);
}

static struct entry entry_of(unsigned key, unsigned generation, uint64_t out_len, uint64_t err_len)
{
	struct entry e = {.bucket = "default", .out_len = out_len, .err_len = err_len, .hits = 1};

	e.key_len = (size_t)snprintf((char *)e.key, sizeof e.key, "key%u", key);
	memcpy(e.gen.b, &key, sizeof key);
	e.gen.b[15] = (uint8_t)(generation + 1);
	return e;
}

static int memory_of(uint64_t size, int seals)
{
	int fd;

	assert_int_equal(memfd_new("test", &fd), 0);
	assert_int_equal(memfd_resize(fd, size), 0);
	assert_int_equal(memfd_seal(fd, seals), 0);
	return fd;
}

static struct msg loaded_of(const struct entry *e)
{
	return (struct msg){.type = MSG_LOADED, .gen = e->gen, .out_len = e->out_len, .err_len = e->err_len};
}

static void give(struct conn *c, const struct msg *m, int out_fd, int err_fd)
{
	int fds[2] = {out_fd, err_fd};

	hot_loaded(c, m, fds, err_fd < 0 ? 1 : 2);
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void bring(struct conn *c, const struct entry *e)
{
	struct msg m = loaded_of(e);

	give(c, &m, memory_of(e->out_len, MEMFD_FINAL), e->err_len ? memory_of(e->err_len, MEMFD_FINAL) : -1);
}

static struct conn conn_new(void)
{
	return (struct conn){.d = &d};
}

/* Asked, perhaps not at once, loaded, gone. */
static void load(const struct entry *e)
{
	struct conn c = conn_new();

	for (unsigned i = 0; i < SC_LOAD_EVERY_MAX && !hot_ask(&c, e); i++)
		;
	bring(&c, e);
	hot_let_go(&c);
}

/* Served from memory, to a peer that stays. */
static bool serve(struct conn *c, const struct entry *e)
{
	size_t n;
	int fds[2];

	if (!hot_take(&d, e, fds, &n))
		return false;
	assert_int_equal(n, e->err_len ? 2 : 1);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(memfd_check(fds[i], MEMFD_FINAL, i ? e->err_len : e->out_len), 0);
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		close(fds[i]);
	}
	hot_served(c, e);
	return true;
}

static bool visit(const struct entry *e)
{
	struct conn c = conn_new();
	bool there = serve(&c, e);

	hot_let_go(&c);
	return there;
}

/* ---- who is asked ---- */

static void one_is_asked_from_the_second_hit_on(void **state)
{
	struct entry e = entry_of(1, 0, 10, 0);
	struct conn a = {.d = &d}, b = {.d = &d};

	(void)state;
	open_tier(1 << 20);
	e.hits = 0;
	assert_false(hot_ask(&a, &e));
	untold = 1; /* the index has not heard of it yet */
	assert_true(hot_ask(&a, &e));
	assert_false(hot_ask(&b, &e));
	assert_false(hot_has(&d, &e));
	bring(&a, &e);
	assert_true(hot_has(&d, &e));
	assert_int_equal(counted, 1);
	assert_false(hot_ask(&b, &e));
	assert_true(visit(&e));
	assert_int_equal(closed, 0);
	close_tier();
}

static void the_next_one_is_asked_when_that_one_is_gone_or_takes_too_long(void **state)
{
	struct entry e = entry_of(1, 0, 10, 20);
	struct conn a = {.d = &d}, b = {.d = &d}, c = {.d = &d};

	(void)state;
	open_tier(1 << 20);
	assert_true(hot_ask(&a, &e));
	hot_let_go(&a);
	assert_true(hot_ask(&b, &e));
	now_ms += SC_LOAD_MS - 1;
	assert_false(hot_ask(&c, &e));
	now_ms += 1;
	assert_true(hot_ask(&c, &e));
	/* The slow one is faster after all. */
	bring(&b, &e);
	assert_true(visit(&e));
	bring(&c, &e);
	assert_int_equal(counted, 1);
	assert_int_equal(closed, 0);
	assert_int_equal(hot_total(&d).entries, 1);
	assert_int_equal(hot_total(&d).bytes, 2 * PAGE + SC_HOT_ROW);
	close_tier();
}

static void when_the_slow_one_is_gone_the_one_behind_it_is_still_waited_for(void **state)
{
	struct entry e = entry_of(1, 0, 10, 0);
	struct conn a = {.d = &d}, b = {.d = &d}, c = {.d = &d};

	(void)state;
	open_tier(1 << 20);
	assert_true(hot_ask(&a, &e));
	now_ms += SC_LOAD_MS;
	assert_true(hot_ask(&b, &e));
	hot_let_go(&a);
	assert_false(hot_ask(&c, &e));
	bring(&b, &e);
	assert_true(visit(&e));
	close_tier();
}

static void when_the_last_one_is_gone_the_next_is_asked_at_once_though_a_slow_one_may_still_come(void **state)
{
	struct entry e = entry_of(1, 0, 10, 0);
	struct conn a = {.d = &d}, b = {.d = &d}, c = {.d = &d};

	(void)state;
	open_tier(1 << 20);
	assert_true(hot_ask(&a, &e));
	now_ms += SC_LOAD_MS;
	assert_true(hot_ask(&b, &e));
	hot_let_go(&b);
	assert_true(hot_ask(&c, &e));
	bring(&a, &e);
	assert_true(visit(&e));
	hot_let_go(&c);
	assert_true(visit(&e));
	close_tier();
}

static void without_memory_nobody_is_asked(void **state)
{
	struct entry e = entry_of(1, 0, 10, 0);
	struct conn a = {.d = &d};
	struct msg m = loaded_of(&e);

	(void)state;
	open_tier(0);
	assert_false(hot_ask(&a, &e));
	assert_false(visit(&e));
	give(&a, &m, memory_of(10, MEMFD_FINAL), -1);
	assert_int_equal(closed, 1);
	hot_drop(&d, bytes_of("default"), bytes_of("key1"), false, &e.gen);
	hot_replaced(&d, bytes_of("default"), bytes_of("key1"), false, &e.gen);
	assert_int_equal(hot_total(&d).bytes, 0);
	close_tier();
}

/* ---- what is taken ---- */

static void what_is_not_as_it_was_asked_for_is_not_taken(void **state)
{
	struct entry e = entry_of(1, 0, 10, 20);
	struct conn a = {.d = &d};
	unsigned n = 0;
	int seals[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_SEAL};

	(void)state;
	open_tier(1 << 20);
	for (size_t i = 0; i < 2 * COUNT(seals) + 8; i++) {
		struct msg m = loaded_of(&e);
		int out = MEMFD_FINAL, err = MEMFD_FINAL, pipes[2] = {-1, -1}, fd = -1;
		uint64_t out_size = 10, err_size = 20;

		if (i < COUNT(seals))
			out &= ~seals[i];
		else if (i < 2 * COUNT(seals))
			err &= ~seals[i - COUNT(seals)];
		else if (i == 2 * COUNT(seals))
			m.gen.b[3] ^= 1;
		else if (i == 2 * COUNT(seals) + 1)
			m.out_len = out_size = 11;
		else if (i == 2 * COUNT(seals) + 2)
			m.err_len = err_size = 4000;
		else if (i == 2 * COUNT(seals) + 3)
			out_size = 9;
		else if (i == 2 * COUNT(seals) + 4)
			err_size = 21;
		else if (i == 2 * COUNT(seals) + 5)
			assert_int_equal(pipe(pipes), 0);
		else if (i == 2 * COUNT(seals) + 6)
			fd = open("/proc/self/exe", O_RDONLY);
		else
			fd = open("/dev/zero", O_RDONLY);
		if (pipes[0] >= 0)
			fd = pipes[0];
		assert_true(hot_ask(&a, &e));
		give(&a, &m, fd >= 0 ? fd : memory_of(out_size, out), memory_of(err_size, err));
		assert_int_equal(closed, ++n);
		assert_null(a.load);
		assert_false(hot_has(&d, &e));
		if (pipes[1] >= 0)
			close(pipes[1]);
	}
	assert_int_equal(counted, 0);
	bring(&a, &e); /* not asked */
	assert_int_equal(closed, n + 1);
	assert_true(hot_ask(&a, &e));
	bring(&a, &e);
	bring(&a, &e); /* twice */
	assert_int_equal(closed, n + 2);
	assert_true(visit(&e));
	close_tier();
}

static void an_empty_stream_and_an_empty_entry_are_entries(void **state)
{
	struct entry nothing = entry_of(1, 0, 0, 0), silent = entry_of(2, 0, 0, 30);

	(void)state;
	open_tier(1 << 20);
	load(&nothing);
	load(&silent);
	assert_true(visit(&nothing) && visit(&silent));
	assert_int_equal(hot_total(&d).bytes, 2 * SC_HOT_ROW + PAGE);
	close_tier();
}

/* ---- rows that go ---- */

static void what_is_dropped_or_replaced_is_not_there_and_not_taken_any_more(void **state)
{
	struct entry e = entry_of(1, 0, 10, 0), newer = entry_of(1, 1, 10, 0), failure = entry_of(1, 2, 10, 0);
	struct conn a = {.d = &d};

	(void)state;
	open_tier(1 << 20);
	failure.failed = true;
	load(&e);
	load(&failure);
	hot_drop(&d, bytes_of("default"), bytes_of("key1"), false, &newer.gen);
	hot_drop(&d, bytes_of("default"), bytes_of("key1"), true, &e.gen);
	hot_drop(&d, bytes_of("other"), bytes_of("key1"), false, &e.gen);
	hot_replaced(&d, bytes_of("default"), bytes_of("key1"), false, &e.gen);
	assert_true(visit(&e));
	assert_false(visit(&failure)); /* what is good has come */
	load(&failure);
	hot_replaced(&d, bytes_of("default"), bytes_of("key1"), true, &newer.gen);
	assert_false(visit(&failure));
	assert_true(visit(&e));
	/* Nobody has said so, but its row is of another generation. */
	assert_false(visit(&newer));
	assert_false(visit(&e));
	assert_int_equal(hot_total(&d).entries, 0);
	/* It went while it was being loaded. */
	assert_true(hot_ask(&a, &newer));
	hot_drop(&d, bytes_of("default"), bytes_of("key1"), false, &newer.gen);
	bring(&a, &newer);
	assert_false(visit(&newer));
	assert_int_equal(closed, 0);
	assert_int_equal(hot_total(&d).bytes, 0);
	close_tier();
}

static void what_is_read_is_counted_until_its_last_reader_is_gone(void **state)
{
	struct entry e = entry_of(1, 0, 10, 0), newer = entry_of(1, 1, 10, 0), other = entry_of(2, 0, 10, 0);
	struct conn a = {.d = &d}, b = {.d = &d}, c = {.d = &d};

	(void)state;
	open_tier(2 * ROW);
	load(&e);
	assert_true(serve(&a, &e) && serve(&b, &e));
	hot_drop(&d, bytes_of("default"), bytes_of("key1"), false, &e.gen);
	assert_false(hot_has(&d, &e));
	assert_int_equal(hot_total(&d).bytes, ROW);
	load(&newer);
	assert_true(serve(&c, &newer));
	assert_int_equal(hot_total(&d).bytes, 2 * ROW);
	/* All of it is read: none is loaded that could not come. */
	{
		struct conn x = conn_new();

		assert_false(hot_ask(&x, &other));
		hot_let_go(&a);
		assert_false(hot_ask(&x, &other));
		hot_let_go(&b);
		assert_int_equal(hot_total(&d).bytes, ROW);
		assert_true(hot_ask(&x, &other));
		bring(&x, &other);
		assert_true(visit(&other));
		hot_let_go(&x);
	}
	assert_true(visit(&newer));
	hot_let_go(&c);
	close_tier();
}

static void what_was_asked_for_when_there_was_room_does_not_come_when_there_is_none(void **state)
{
	struct entry e = entry_of(1, 0, 10, 0), other = entry_of(2, 0, 10, 0);
	struct conn a = {.d = &d}, b = {.d = &d}, c = {.d = &d};

	(void)state;
	open_tier(ROW);
	assert_true(hot_ask(&a, &e));
	assert_true(hot_ask(&b, &other));
	bring(&a, &e);
	assert_true(serve(&c, &e));
	bring(&b, &other);
	assert_false(hot_has(&d, &other));
	assert_int_equal(hot_total(&d).bytes, ROW);
	assert_int_equal(counted, 1);
	hot_let_go(&c);
	close_tier();
}

/* ---- what goes ---- */

static void what_is_too_large_never_comes(void **state)
{
	struct entry large = entry_of(1, 0, 3 * PAGE + 1, 0), exact = entry_of(2, 0, 3 * PAGE, 0),
		     absurd = entry_of(3, 0, UINT64_MAX, 5);
	struct conn c = {.d = &d};

	(void)state;
	open_tier(3 * PAGE + SC_HOT_ROW);
	assert_false(hot_ask(&c, &large));
	assert_false(hot_ask(&c, &absurd));
	load(&exact);
	assert_true(visit(&exact));
	close_tier();
}

static void what_is_asked_for_stays_and_what_is_not_goes(void **state)
{
	struct entry e[8];

	(void)state;
	open_tier(4 * ROW);
	for (unsigned i = 0; i < 8; i++)
		e[i] = entry_of(i, 0, 100, 0);
	for (unsigned i = 0; i < 4; i++)
		load(&e[i]);
	assert_true(visit(&e[1]) && visit(&e[3]));
	load(&e[4]);
	load(&e[5]);
	assert_true(hot_has(&d, &e[1]) && hot_has(&d, &e[3]));
	assert_false(hot_has(&d, &e[0]) || hot_has(&d, &e[2]));
	assert_int_equal(hot_total(&d).entries, 4);
	assert_int_equal(hot_total(&d).bytes, 4 * ROW);
	close_tier();
}

static void what_is_read_is_passed_over_by_the_hand(void **state)
{
	struct entry e[4];
	struct conn c = {.d = &d};

	(void)state;
	open_tier(3 * ROW);
	for (unsigned i = 0; i < 4; i++)
		e[i] = entry_of(i, 0, 100, 0);
	for (unsigned i = 0; i < 3; i++)
		load(&e[i]);
	/* The hand comes by at all of them, and once more: by then the oldest has not been visited for a round. */
	assert_true(serve(&c, &e[0]));
	assert_true(visit(&e[1]) && visit(&e[2]));
	load(&e[3]);
	assert_true(hot_has(&d, &e[0]));
	assert_false(hot_has(&d, &e[1]));
	assert_int_equal(hot_total(&d).entries, 3);
	hot_let_go(&c);
	close_tier();
}

static void the_hand_goes_on_behind_what_is_removed_under_it(void **state)
{
	struct entry e[6];

	(void)state;
	open_tier(4 * ROW);
	for (unsigned i = 0; i < 6; i++)
		e[i] = entry_of(i, 0, 100, 0);
	for (unsigned i = 0; i < 5; i++)
		load(&e[i]); /* 0 goes; the hand is at 1 */
	assert_false(hot_has(&d, &e[0]));
	hot_drop(&d, bytes_of("default"), bytes_of("key1"), false, &e[1].gen);
	load(&e[0]); /* there is room */
	assert_true(visit(&e[3]));
	load(&e[5]); /* 2 goes */
	assert_false(hot_has(&d, &e[2]));
	load(&e[1]); /* 3 is spared, 4 goes */
	assert_true(hot_has(&d, &e[3]) && hot_has(&d, &e[0]) && hot_has(&d, &e[5]) && hot_has(&d, &e[1]));
	close_tier();
}

static void one_large_one_may_cost_many_small_ones(void **state)
{
	struct entry e, large = entry_of(99, 0, 7 * PAGE, PAGE);

	(void)state;
	open_tier(10 * ROW);
	for (unsigned i = 0; i < 10; i++) {
		e = entry_of(i, 0, 1, 0);
		load(&e);
	}
	load(&large);
	assert_true(hot_has(&d, &large));
	assert_true(hot_total(&d).bytes <= 10 * ROW);
	assert_int_equal(hot_total(&d).entries, 6);
	close_tier();
}

static void memory_is_taken_by_the_page(void **state)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	(void)state;
	assert_true(memfd_pages(0) == 0 && memfd_pages(1) == page && memfd_pages(page) == page);
	assert_true(memfd_pages(page + 1) == 2 * page && memfd_pages(UINT64_MAX - page + 1) == UINT64_MAX - page + 1);
	assert_true(memfd_pages(UINT64_MAX - page + 2) == UINT64_MAX && memfd_pages(UINT64_MAX) == UINT64_MAX);
}

/* ---- anything ---- */

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31)) % below;
}

#define PEERS 12
#define KEYS 9

static void whatever_happens_it_never_takes_more_than_it_may(void **state)
{
	const char *given = getenv("SC_TEST_SEED");
	struct conn peers[PEERS];
	struct entry asked[PEERS];
	unsigned generation[KEYS] = {0}, memory_hits = 0;
	const uint64_t most = 12 * ROW;

	(void)state;
	random_state = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	print_message("SC_TEST_SEED=%llu\n", (unsigned long long)random_state);
	open_tier(most);
	for (unsigned i = 0; i < PEERS; i++)
		peers[i] = conn_new();
	for (unsigned i = 0; i < 20000; i++) {
		unsigned p = (unsigned)draw(PEERS), k = (unsigned)draw(KEYS);
		struct entry e = entry_of(k, generation[k] % 200, k * 5000, k % 3 ? 0 : k * 100);
		struct conn *c = &peers[p];

		now_ms += draw(300);
		switch (draw(8)) {
		case 0:
		case 1:
		case 2: /* a hit */
			hot_let_go(c);
			if (serve(c, &e))
				memory_hits++;
			else if (hot_ask(c, &e))
				asked[p] = e;
			break;
		case 3:
		case 4:
			if (c->load)
				bring(c, &asked[p]);
			break;
		case 5:
			hot_let_go(c);
			break;
		case 6:
			if (draw(4) == 0)
				hot_drop(&d, bytes_of(e.bucket), (struct bytes){e.key, e.key_len}, false, &e.gen);
			break;
		case 7:
			if (draw(4) == 0) {
				generation[k]++;
				e = entry_of(k, generation[k] % 200, k * 5000, k % 3 ? 0 : k * 100);
				if (draw(2))
					hot_replaced(&d, bytes_of(e.bucket), (struct bytes){e.key, e.key_len}, false, &e.gen);
			}
			break;
		}
		assert_true(hot_total(&d).bytes <= most);
		assert_int_equal(closed, 0);
	}
	assert_true(memory_hits > 500);
	for (unsigned i = 0; i < PEERS; i++)
		hot_let_go(&peers[i]);
	for (unsigned k = 0; k < KEYS; k++) {
		struct entry e = entry_of(k, generation[k] % 200, 0, 0), none = entry_of(k, 250, 0, 0);

		hot_replaced(&d, bytes_of(e.bucket), (struct bytes){e.key, e.key_len}, false, &none.gen);
	}
	assert_int_equal(hot_total(&d).bytes, 0);
	assert_int_equal(hot_total(&d).entries, 0);
	close_tier();
}

/* ---- whether it pays ---- */

static void the_share_is_halved_in_vain_and_doubled_when_useful(void **state)
{
	struct admit a = {0};
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_true(admit_one(&a));
	admit_useful(&a);
	assert_true(admit_one(&a));
	admit_in_vain(&a);
	admit_in_vain(&a);
	for (unsigned i = 0; i < 100; i++)
		n += admit_one(&a);
	assert_int_equal(n, 25);
	for (unsigned i = 0; i < 100; i++)
		admit_in_vain(&a);
	n = 0;
	for (unsigned i = 0; i < 10 * SC_LOAD_EVERY_MAX; i++)
		n += admit_one(&a);
	assert_int_equal(n, 10);
	for (unsigned i = 0; i < 100; i++)
		admit_useful(&a);
	assert_true(admit_one(&a) && admit_one(&a));
}

/* Hits of so many keys, each a row of memory, of which there are 16; of 1000 hits, *loads copied and so many came from memory. */
static unsigned play(unsigned keys, bool scan, unsigned hits, unsigned *loads)
{
	unsigned from_memory = 0;

	counted = 0;
	for (unsigned i = 0; i < hits; i++) {
		unsigned k = scan ? i % keys : (unsigned)draw(1 + draw(1 + draw(keys)));
		struct entry e = entry_of(k, 0, 100, 0);
		struct conn c = conn_new();

		if (serve(&c, &e))
			from_memory++;
		else if (hot_ask(&c, &e))
			bring(&c, &e);
		hot_let_go(&c);
	}
	*loads = counted * 1000 / hits;
	return from_memory * 1000 / hits;
}

static void with_more_in_use_than_fits_few_copies_are_made_in_vain(void **state)
{
	unsigned loads, hits;

	(void)state;
	random_state = 1;
	open_tier(16 * ROW);
	/* All of them in turn, four times as many as fit. */
	play(64, true, 2000, &loads);
	hits = play(64, true, 20000, &loads);
	print_message("scan: %u of 1000 from memory, %u loads\n", hits, loads);
	assert_true(loads <= 40);
	/* Then some more often than others: those are soon there. */
	play(64, false, 2000, &loads);
	hits = play(64, false, 20000, &loads);
	print_message("skewed: %u of 1000 from memory, %u loads\n", hits, loads);
	assert_true(hits >= 600);
	/* Fewer than fit: all. */
	play(16, true, 4000, &loads);
	hits = play(16, true, 1000, &loads);
	print_message("fitting: %u of 1000 from memory, %u loads\n", hits, loads);
	assert_int_equal(hits, 1000);
	close_tier();
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
		T(one_is_asked_from_the_second_hit_on),
		T(the_next_one_is_asked_when_that_one_is_gone_or_takes_too_long),
		T(when_the_slow_one_is_gone_the_one_behind_it_is_still_waited_for),
		T(when_the_last_one_is_gone_the_next_is_asked_at_once_though_a_slow_one_may_still_come),
		T(without_memory_nobody_is_asked),
		T(what_is_read_is_passed_over_by_the_hand),
		T(the_hand_goes_on_behind_what_is_removed_under_it),
		T(what_is_not_as_it_was_asked_for_is_not_taken),
		T(an_empty_stream_and_an_empty_entry_are_entries),
		T(what_is_dropped_or_replaced_is_not_there_and_not_taken_any_more),
		T(what_is_read_is_counted_until_its_last_reader_is_gone),
		T(what_was_asked_for_when_there_was_room_does_not_come_when_there_is_none),
		T(what_is_too_large_never_comes),
		T(what_is_asked_for_stays_and_what_is_not_goes),
		T(one_large_one_may_cost_many_small_ones),
		T(memory_is_taken_by_the_page),
		T(whatever_happens_it_never_takes_more_than_it_may),
		T(the_share_is_halved_in_vain_and_doubled_when_useful),
		T(with_more_in_use_than_fits_few_copies_are_made_in_vain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

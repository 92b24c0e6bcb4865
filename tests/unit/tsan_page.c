/* One writer and several readers of a page as threads, under ThreadSanitizer, over a real object. Half of the readers share the
 * writer's mapping: they look at memory that the writer filled with nothing but the page between them, so that an order missing
 * in page.c is a race that is reported. The others map the page anew, as readers do.
 *
 * SC_TEST_SEED repeats a run. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/gen.h"
#include "lib/limits.h"
#include "lib/object.h"
#include "lib/page.h"
#include "tests/unit/seeded.h"

enum { READERS = 6, ROUNDS = 8, OUT_MAX = 1 << 20, RECORDS = 300, RECORD_BYTES = 700 };

static const struct gen GEN = {{0xab, 7}};
static const uint8_t KEY_HASH[16] = {1};

/* ---- one run ---- */

struct run {
	uint64_t seed;
	int dir_fd;
	struct page *page;
	_Atomic unsigned asleep; /* readers that have read everything and are about to sleep */
	/* Written by the writer before it publishes, read by others only as far as is published. No lock, no atomics. */
	uint8_t *out;
	struct record records[RECORDS];
	uint64_t out_len, err_len; /* all of it */
	unsigned nrecords;
};

struct reader {
	struct run *run;
	unsigned number;
	bool shares; /* the writer's mapping */
	struct page *page;
	int out_fd, err_fd;
	uint64_t seed, out_pos, err_pos, position;
	unsigned nrecords;
	unsigned waits, timeouts, lost;
	const char *wrong;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void publish(struct run *r, uint64_t *s, uint64_t out_len, uint64_t err_len)
{
	/* Now and then only when everybody sleeps, as far as they get to it soon: it is their waking up that is looked at. */
	if (chance(s) % 4 == 0)
		for (uint64_t until = now_us() + 5000; atomic_load(&r->asleep) < READERS && now_us() < until;)
			sched_yield();
	page_publish(r->page, out_len, err_len);
	if (chance(s) % 16 == 0)
		page_poke(r->page);
}

static uint64_t append_out(struct run *r, int fd, uint64_t *s, uint64_t at)
{
	size_t n = 1 + chance(s) % (chance(s) % 4 ? 300 : 30000);

	if (n > OUT_MAX - at)
		n = OUT_MAX - at;
	fill(r->out + at, n, r->seed, at);
	return object_append(fd, r->out + at, n) ? UINT64_MAX : n;
}

static uint64_t append_err(struct run *r, int fd, uint64_t *s, uint64_t out_len, uint64_t at)
{
	struct record *rec = &r->records[r->nrecords];
	uint8_t bytes[SC_RECORD_HEAD + RECORD_BYTES];

	*rec = (struct record){.position = out_len, .length = 1 + (uint32_t)(chance(s) % RECORD_BYTES)};
	record_encode(rec, bytes);
	fill(bytes + SC_RECORD_HEAD, rec->length, ~r->seed, at);
	if (object_append(fd, bytes, SC_RECORD_HEAD + rec->length))
		return UINT64_MAX;
	r->nrecords++;
	return SC_RECORD_HEAD + rec->length;
}

struct writer {
	struct run *run;
	int out_fd, err_fd;
	bool failed;
};

static void *write_all(void *arg)
{
	struct writer *w = arg;
	struct run *r = w->run;
	uint64_t s = r->seed, out_len = 0, err_len = 0;

	while (out_len < OUT_MAX && !w->failed) {
		bool err = r->nrecords < RECORDS && chance(&s) % 3 == 0;
		uint64_t n = err ? append_err(r, w->err_fd, &s, out_len, err_len) : append_out(r, w->out_fd, &s, out_len);

		if (n == UINT64_MAX)
			w->failed = true;
		else if (err)
			err_len += n;
		else
			out_len += n;
		if (!w->failed && chance(&s) % 3)
			publish(r, &s, out_len, err_len);
	}
	r->out_len = out_len;
	r->err_len = err_len;
	if (!w->failed)
		page_publish(r->page, out_len, err_len);
	page_end(r->page, PAGE_FAILED, 42, 0);
	return NULL;
}

static bool pread_all(int fd, uint8_t *p, size_t n, uint64_t at)
{
	while (n > 0) {
		ssize_t got = pread(fd, p, n, (off_t)at);

		if (got <= 0)
			return false;
		p += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return true;
}

static const char *read_out(struct reader *me, uint64_t to)
{
	uint8_t bytes[4096];

	while (me->out_pos < to) {
		size_t n = 1 + chance(&me->seed) % sizeof bytes;

		if (n > to - me->out_pos)
			n = to - me->out_pos;
		if (!pread_all(me->out_fd, bytes, n, me->out_pos))
			return "the object is shorter than what was published";
		if (me->shares && memcmp(bytes, me->run->out + me->out_pos, n) != 0)
			return "other bytes than the writer's";
		for (size_t i = 0; i < n; i++)
			if (bytes[i] != byte_at(me->run->seed, me->out_pos + i))
				return "other bytes than were written";
		me->out_pos += n;
	}
	return NULL;
}

static const char *read_err(struct reader *me, const struct page_view *v)
{
	uint8_t head[SC_RECORD_HEAD], bytes[RECORD_BYTES];
	struct record rec;

	while (me->err_pos < v->err_len) {
		if (!pread_all(me->err_fd, head, sizeof head, me->err_pos))
			return "the error stream is shorter than what was published";
		if (record_decode(&rec, head) || rec.length > RECORD_BYTES ||
		    me->err_pos + SC_RECORD_HEAD + rec.length > v->err_len)
			return "what was published ends inside a record";
		if (rec.position < me->position || rec.position > v->out_len)
			return "a record points past the output that was published";
		if (me->shares && memcmp(&rec.position, &me->run->records[me->nrecords].position, sizeof rec.position) != 0)
			return "another record than the writer's";
		if (!pread_all(me->err_fd, bytes, rec.length, me->err_pos + SC_RECORD_HEAD))
			return "the error stream is shorter than its record";
		for (uint32_t i = 0; i < rec.length; i++)
			if (bytes[i] != byte_at(~me->run->seed, me->err_pos + i))
				return "other bytes on the error stream than were written";
		me->position = rec.position;
		me->nrecords++;
		me->err_pos += SC_RECORD_HEAD + rec.length;
	}
	return NULL;
}

static const char *read_up_to(struct reader *me, const struct page_view *v)
{
	const char *wrong = NULL;

	if (v->out_len < me->out_pos || v->err_len < me->err_pos)
		wrong = "a length went down";
	if (!wrong)
		wrong = read_err(me, v);
	if (!wrong)
		wrong = read_out(me, v->out_len);
	if (!wrong && !me->shares)
		page_set_position(me->page, me->out_pos, me->err_pos);
	return wrong;
}

static void sleep_on(struct reader *me, const struct page_view *v)
{
	struct page_view now;
	bool timed_out;

	atomic_fetch_add(&me->run->asleep, 1);
	timed_out = page_wait(me->page, v, SC_PAGE_WAIT_MS);
	atomic_fetch_sub(&me->run->asleep, 1);
	me->waits++;
	if (!timed_out)
		return;
	/* A writer that was not given a processor for so long is no fault; one that has moved on without waking us is. */
	me->timeouts++;
	page_view(me->page, &now);
	me->lost += now.word != v->word || now.state != v->state || now.out_len != v->out_len || now.err_len != v->err_len;
}

static void *read_all(void *arg)
{
	struct reader *me = arg;
	struct page_view v;

	for (;;) {
		page_view(me->page, &v);
		me->wrong = read_up_to(me, &v);
		if (me->wrong || v.state != PAGE_RUNNING)
			break;
		if (chance(&me->seed) % 8)
			sleep_on(me, &v);
	}
	if (!me->wrong && (v.state != PAGE_FAILED || v.exit != 42 || v.signal != 0))
		me->wrong = "another end than the writer's";
	/* Counted among the sleepers from here on, so that the writer's waits end early. */
	atomic_fetch_add(&me->run->asleep, 1);
	return NULL;
}

/* ---- the rounds ---- */

static char dir_path[96];

static int make_dir(void **state)
{
	const char *base = getenv("TMPDIR");

	snprintf(dir_path, sizeof dir_path, "%s/page.XXXXXX", base && strlen(base) < 64 ? base : "/tmp");
	*state = mkdtemp(dir_path);
	return *state ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st;
	(void)kind;
	(void)f;
	return remove(path);
}

static int remove_dir(void **state)
{
	return nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void open_reader(struct reader *me, struct run *r, unsigned number)
{
	uint64_t size;

	*me = (struct reader){.run = r, .number = number, .shares = number % 2, .seed = r->seed + number};
	assert_int_equal(object_open(r->dir_fd, &GEN, STREAM_OUT, &me->out_fd, &size), 0);
	assert_int_equal(object_open(r->dir_fd, &GEN, STREAM_ERR, &me->err_fd, &size), 0);
	me->page = r->page;
	if (me->shares)
		return;
	assert_int_equal(page_map(&me->page, fcntl(page_fd(r->page), F_DUPFD_CLOEXEC, 0), &GEN), 0);
	/* Locks are a process's, so all of these get the same one. */
	assert_int_equal(page_take_slot(me->page, 5), 0);
}

static void close_reader(struct reader *me)
{
	close(me->out_fd);
	close(me->err_fd);
	if (!me->shares)
		page_free(me->page);
}

static void judge(const struct reader *me)
{
	if (me->wrong)
		fail_msg("reader %u at %llu/%llu: %s", me->number, (unsigned long long)me->out_pos,
			 (unsigned long long)me->err_pos, me->wrong);
	assert_int_equal(me->out_pos, me->run->out_len);
	assert_int_equal(me->err_pos, me->run->err_len);
	assert_int_equal(me->nrecords, me->run->nrecords);
	assert_int_equal(me->lost, 0);
}

static void play(uint64_t seed, int dir_fd, unsigned *waits, unsigned *timeouts)
{
	struct run *r = calloc(1, sizeof *r);
	struct writer w = {.run = r};
	struct reader readers[READERS];
	pthread_t writer, threads[READERS];

	assert_non_null(r);
	r->seed = seed ? seed : 1;
	r->dir_fd = dir_fd;
	r->out = calloc(1, OUT_MAX);
	assert_non_null(r->out);
	assert_int_equal(page_create(&r->page, &GEN, KEY_HASH, 1, SC_FOREVER), 0);
	assert_int_equal(object_create(dir_fd, &GEN, STREAM_OUT, &w.out_fd), 0);
	assert_int_equal(object_create(dir_fd, &GEN, STREAM_ERR, &w.err_fd), 0);
	for (unsigned i = 0; i < READERS; i++)
		open_reader(&readers[i], r, i);
	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_all, &w), 0);
	pthread_join(writer, NULL);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	assert_false(w.failed);
	for (unsigned i = 0; i < READERS; i++) {
		judge(&readers[i]);
		*waits += readers[i].waits;
		*timeouts += readers[i].timeouts;
		close_reader(&readers[i]);
	}
	close(w.out_fd);
	close(w.err_fd);
	assert_int_equal(object_unlink(dir_fd, &GEN), 0);
	page_free(r->page);
	free(r->out);
	free(r);
}

static void readers_get_every_byte_in_order_and_sleep_through_nothing(void **state)
{
	uint64_t seed = first_seed();
	unsigned waits = 0, timeouts = 0;
	int dir_fd = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(dir_fd >= 0);
	print_message("# SC_TEST_SEED=%llu\n", (unsigned long long)seed);
	for (unsigned i = 0; i < ROUNDS; i++)
		play(seed + i, dir_fd, &waits, &timeouts);
	print_message("# %u sleeps, %u of them to the end\n", waits, timeouts);
	/* Else it has shown nothing. */
	assert_true(waits > ROUNDS * READERS);
	close(dir_fd);
}

/* ---- the one transition ---- */

struct racer {
	struct page *page;
	enum page_state state;
	bool won;
	struct page_view seen;
};

static void *race(void *arg)
{
	struct racer *me = arg;

	me->won = page_end(me->page, me->state, (uint32_t)me->state, 0);
	page_view(me->page, &me->seen);
	return NULL;
}

static void of_all_who_end_a_run_one_does_and_everybody_sees_which(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 50; round++) {
		struct racer racers[4];
		pthread_t threads[COUNT(racers)];
		unsigned winners = 0;
		struct page *p;

		assert_int_equal(page_create(&p, &GEN, KEY_HASH, 1, SC_FOREVER), 0);
		for (unsigned i = 0; i < COUNT(racers); i++) {
			racers[i] = (struct racer){.page = p, .state = PAGE_COMPLETE + i};
			assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
		}
		for (unsigned i = 0; i < COUNT(racers); i++) {
			pthread_join(threads[i], NULL);
			winners += racers[i].won;
		}
		assert_int_equal(winners, 1);
		for (unsigned i = 0; i < COUNT(racers); i++) {
			assert_int_equal(racers[i].seen.state, racers[0].seen.state);
			assert_int_equal(racers[i].seen.exit, racers[i].seen.state);
			assert_true(!racers[i].won || racers[i].seen.state == racers[i].state);
		}
		page_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(readers_get_every_byte_in_order_and_sleep_through_nothing, make_dir,
						remove_dir),
		cmocka_unit_test(of_all_who_end_a_run_one_does_and_everybody_sees_which),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

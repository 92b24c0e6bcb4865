/* A streaming-only run as threads, under ThreadSanitizer: one writer, and readers who come from the object into the ring and go round it
 * at paces of their own. All of them look at one mapping, so that a byte which is overwritten while somebody who is waited for
 * still reads it, or read before it was published, is a race that is reported.
 *
 * Record locks are a process's, and the threads of one would all be the same reader: who holds a slot is kept here instead of in the
 * kernel (fcntl is replaced for that). SC_TEST_SEED repeats a run. */
#include "tests/unit/unit.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/object.h"
#include "lib/page_parts.h"
#include "tests/unit/seeded.h"

enum { READERS = 5, ROUNDS = 3, RECORD_BYTES = 60000 };
/* The ring several times over. */
#define OUT_MAX (24ULL << 20)
/* What stands for the object of the error stream has room for so much. */
#define ERR_MAX (4ULL << 20)

static const struct gen GEN = {{0xab, 7}};
static const uint8_t KEY_HASH[16] = {1};

/* ---- slots of threads ---- */

static _Atomic bool taken[SC_SLOTS];

int fcntl(int fd, int cmd, ...)
{
	static int (*_Atomic real)(int, int, void *);
	struct flock *l;
	bool was = false;
	va_list ap;

	va_start(ap, cmd);
	l = va_arg(ap, struct flock *);
	va_end(ap);
	if (cmd == F_GETLK) {
		if (!atomic_load(&taken[l->l_start]))
			l->l_type = F_UNLCK;
		return 0;
	}
	if (cmd == F_SETLK && l->l_type == F_WRLCK) {
		if (atomic_compare_exchange_strong(&taken[l->l_start], &was, true))
			return 0;
		errno = EAGAIN;
		return -1;
	}
	if (!real)
		atomic_store(&real, (int (*)(int, int, void *))(uintptr_t)dlsym(RTLD_NEXT, "fcntl"));
	return real(fd, cmd, l);
}

/* page_leave_slot would leave those of all. */
static void leave(struct page *p)
{
	atomic_store(&taken[p->slot], false);
	p->slot = NO_SLOT;
}

/* ---- one run ---- */

struct run {
	uint64_t seed, out_spill;
	struct page *page;
	_Atomic unsigned joined;
	/* What stands for the objects: written before it is published, read only as far as is published. */
	uint8_t *object[2];
	uint64_t len[2];
	unsigned waits; /* the writer's, for room */
};

struct reader {
	struct run *run;
	unsigned number;
	struct page page; /* the writer's mapping, but a slot of its own */
	uint64_t seed, pos[2], position;
	uint64_t leaves_at; /* it has had enough at this length */
	const char *wrong;
};

/* ---- the writer ---- */

static void put(struct run *r, enum stream s, const uint8_t *bytes, size_t n)
{
	if (r->page->head->spill[s] == SC_FOREVER)
		memcpy(r->object[s] + r->len[s], bytes, n);
	else
		page_ring_put(r->page, s, bytes, n);
	r->len[s] += n;
}

static void put_out(struct run *r, uint64_t *s, uint64_t most)
{
	static uint8_t bytes[256 * 1024];
	size_t n = 1 + chance(s) % (chance(s) % 4 ? 5000 : sizeof bytes);

	n = n < most ? n : most;
	fill(bytes, n, r->seed, r->len[STREAM_OUT]);
	put(r, STREAM_OUT, bytes, n);
}

static void put_err(struct run *r, uint64_t *s)
{
	static uint8_t bytes[SC_RECORD_HEAD + RECORD_BYTES];
	struct record rec = {.position = r->len[STREAM_OUT],
			     .length = 1 + (uint32_t)(chance(s) % (chance(s) % 8 ? 100 : RECORD_BYTES))};

	record_encode(&rec, bytes);
	fill(bytes + SC_RECORD_HEAD, rec.length, ~r->seed, r->len[STREAM_ERR]);
	put(r, STREAM_ERR, bytes, SC_RECORD_HEAD + rec.length);
}

static void *write_all(void *arg)
{
	struct run *r = arg;
	uint64_t s = r->seed;
	bool spilled = false;

	while (atomic_load(&r->joined) < READERS)
		sched_yield();
	while (r->len[STREAM_OUT] < OUT_MAX) {
		uint64_t room = spilled ? page_ring_room(r->page, clock_run_ms()) : r->out_spill - r->len[STREAM_OUT];

		if (spilled && room == 0) {
			page_publish(r->page, r->len[STREAM_OUT], r->len[STREAM_ERR]);
			page_wait_room(r->page, SC_PAGE_WAIT_MS);
			r->waits++;
			continue;
		}
		put_out(r, &s, room);
		if (chance(&s) % 4 == 0 && (spilled || r->len[STREAM_ERR] + SC_RECORD_HEAD + RECORD_BYTES < ERR_MAX))
			put_err(r, &s);
		if (!spilled && r->len[STREAM_OUT] == r->out_spill) {
			spilled = true;
			page_spill(r->page, r->len[STREAM_OUT], r->len[STREAM_ERR], ENOSPC);
		}
		if (chance(&s) % 3)
			page_publish(r->page, r->len[STREAM_OUT], r->len[STREAM_ERR]);
	}
	page_publish(r->page, r->len[STREAM_OUT], r->len[STREAM_ERR]);
	page_end(r->page, PAGE_COMPLETE, 0, 0);
	return NULL;
}

/* ---- the readers ---- */

static const char *fetch(struct reader *me, const struct page_view *v, enum stream s, uint64_t at, uint8_t *p, size_t n)
{
	uint64_t spill = s == STREAM_OUT ? v->out_spill : v->err_spill;
	size_t first = at < spill ? (size_t)(spill - at < n ? spill - at : n) : 0;

	memcpy(p, me->run->object[s] + at, first);
	if (first < n && page_ring_get(&me->page, s, at + first, p + first, n - first))
		return "overtaken, though it was waited for";
	return NULL;
}

static const char *read_out(struct reader *me, const struct page_view *v, uint8_t *bytes, size_t max)
{
	uint64_t at = me->pos[STREAM_OUT];
	size_t n = 1 + chance(&me->seed) % max;
	const char *wrong;

	n = n < v->out_len - at ? n : v->out_len - at;
	wrong = fetch(me, v, STREAM_OUT, at, bytes, n);
	for (size_t i = 0; i < n && !wrong; i++)
		if (bytes[i] != byte_at(me->run->seed, at + i))
			wrong = "other bytes than were written";
	me->pos[STREAM_OUT] += n;
	return wrong;
}

static const char *read_err(struct reader *me, const struct page_view *v, uint8_t *bytes)
{
	uint64_t at = me->pos[STREAM_ERR];
	struct record rec;
	const char *wrong = fetch(me, v, STREAM_ERR, at, bytes, SC_RECORD_HEAD);

	if (wrong)
		return wrong;
	if (record_decode(&rec, bytes) || at + SC_RECORD_HEAD + rec.length > v->err_len || rec.position < me->position ||
	    rec.position > v->out_len)
		return "no record where one was published";
	me->position = rec.position;
	wrong = fetch(me, v, STREAM_ERR, at + SC_RECORD_HEAD, bytes, rec.length);
	for (size_t i = 0; i < rec.length && !wrong; i++)
		if (bytes[i] != byte_at(~me->run->seed, at + i))
			wrong = "other bytes on the error stream than were written";
	me->pos[STREAM_ERR] += SC_RECORD_HEAD + rec.length;
	return wrong;
}

static void *read_all(void *arg)
{
	struct reader *me = arg;
	uint8_t *bytes = malloc(1 << 18);
	struct page_view v;

	if (!bytes || page_take_slot(&me->page, 7))
		me->wrong = "no slot";
	atomic_fetch_add(&me->run->joined, 1);
	while (!me->wrong && me->pos[STREAM_OUT] < me->leaves_at) {
		page_view(&me->page, &v);
		if (me->pos[STREAM_ERR] < v.err_len)
			me->wrong = read_err(me, &v, bytes);
		else if (me->pos[STREAM_OUT] < v.out_len)
			me->wrong = read_out(me, &v, bytes, me->number == 0 ? 3000 : 1 << 18);
		else if (v.state != PAGE_RUNNING)
			break;
		else
			page_wait(&me->page, &v, SC_PAGE_WAIT_MS);
		page_set_position(&me->page, me->pos[STREAM_OUT], me->pos[STREAM_ERR]);
	}
	if (me->page.slot != NO_SLOT)
		leave(&me->page);
	free(bytes);
	return NULL;
}

/* ---- the rounds ---- */

static void judge(const struct reader *me)
{
	if (me->wrong)
		fail_msg("reader %u at %llu/%llu: %s", me->number, (unsigned long long)me->pos[STREAM_OUT],
			 (unsigned long long)me->pos[STREAM_ERR], me->wrong);
	if (me->leaves_at != SC_FOREVER)
		return;
	assert_int_equal(me->pos[STREAM_OUT], me->run->len[STREAM_OUT]);
	assert_int_equal(me->pos[STREAM_ERR], me->run->len[STREAM_ERR]);
}

static unsigned play(uint64_t seed)
{
	struct run *r = calloc(1, sizeof *r);
	struct reader readers[READERS];
	pthread_t writer, threads[READERS];
	uint64_t s = seed ? seed : 1;
	unsigned waits;

	assert_non_null(r);
	r->seed = s;
	r->out_spill = chance(&s) % 4 ? 1 + chance(&s) % (1 << 20) : 1;
	r->object[STREAM_OUT] = malloc(r->out_spill);
	r->object[STREAM_ERR] = malloc(ERR_MAX);
	assert_non_null(r->object[STREAM_OUT]);
	assert_non_null(r->object[STREAM_ERR]);
	assert_int_equal(page_create(&r->page, &GEN, KEY_HASH, 1, SC_FOREVER), 0);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){.run = r, .number = i, .page = *r->page, .seed = s + i, .leaves_at = SC_FOREVER};
		if (i == READERS - 1)
			readers[i].leaves_at = chance(&s) % OUT_MAX; /* in the middle of it */
		assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
	}
	assert_int_equal(pthread_create(&writer, NULL, write_all, r), 0);
	pthread_join(writer, NULL);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < READERS; i++)
		judge(&readers[i]);
	waits = r->waits;
	page_free(r->page);
	free(r->object[STREAM_OUT]);
	free(r->object[STREAM_ERR]);
	free(r);
	return waits;
}

static void who_keeps_to_the_pace_gets_every_byte_and_is_never_overtaken(void **state)
{
	uint64_t seed = first_seed();
	unsigned waits = 0;

	(void)state;
	print_message("# SC_TEST_SEED=%llu\n", (unsigned long long)seed);
	for (unsigned i = 0; i < ROUNDS; i++)
		waits += play(seed + i);
	print_message("# the writer has waited %u times\n", waits);
	/* Else it has shown nothing. */
	assert_true(waits > ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_keeps_to_the_pace_gets_every_byte_and_is_never_overtaken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

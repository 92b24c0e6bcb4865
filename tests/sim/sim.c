/* Time, chance, record, memory, failure. */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALARMS 4096
#define LINES 20000
#define LINE 200
#define ROOM (16u << 20)

struct sim sim;

static struct alarm *heap[ALARMS + 1];
static unsigned nheap;
static char (*lines)[LINE];
static uint64_t nlines;
static _Alignas(16) unsigned char *room;
static size_t used;

/* ---- chance ---- */

static uint64_t next_random(void)
{
	uint64_t z = (sim.random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t rnd(uint64_t n)
{
	return n ? next_random() % n : 0;
}

bool chance(unsigned percent)
{
	return rnd(100) < percent;
}

bool mishap(unsigned permille)
{
	return sim.faults && !sim.resting && rnd(1000) < permille;
}

uint64_t late(void)
{
	if (sim.late_percent && !sim.resting && chance(sim.late_percent))
		return rnd(sim.late_ms);
	return rnd(sim.quick_ms + 1);
}

/* ---- time ---- */

static bool before(const struct alarm *a, const struct alarm *b)
{
	return a->at != b->at ? a->at < b->at : a->tie < b->tie;
}

static void put(unsigned pos, struct alarm *a)
{
	heap[pos] = a;
	a->pos = pos;
}

static void rise(unsigned pos, struct alarm *a)
{
	while (pos > 1 && before(a, heap[pos / 2])) {
		put(pos, heap[pos / 2]);
		pos /= 2;
	}
	put(pos, a);
}

static void sink(unsigned pos, struct alarm *a)
{
	while (2 * pos <= nheap) {
		unsigned child = 2 * pos;

		if (child < nheap && before(heap[child + 1], heap[child]))
			child++;
		if (!before(heap[child], a))
			break;
		put(pos, heap[child]);
		pos = child;
	}
	put(pos, a);
}

void alarm_init(struct alarm *a, void (*fire)(void *arg), void *arg)
{
	*a = (struct alarm){.fire = fire, .arg = arg};
}

void alarm_clear(struct alarm *a)
{
	unsigned pos = a->pos;
	struct alarm *last;

	if (!pos)
		return;
	a->pos = 0;
	last = heap[nheap--];
	if (last == a)
		return;
	if (pos > 1 && before(last, heap[pos / 2]))
		rise(pos, last);
	else
		sink(pos, last);
}

void alarm_set(struct alarm *a, uint64_t ms)
{
	alarm_clear(a);
	if (nheap == ALARMS)
		sim_fail("the simulator has too many alarms");
	a->at = sim.now + ms;
	a->tie = next_random();
	rise(++nheap, a);
}

uint64_t sim_next(void)
{
	return nheap ? heap[1]->at : UINT64_MAX;
}

bool sim_step(void)
{
	struct alarm *a;

	if (!nheap)
		return false;
	a = heap[1];
	alarm_clear(a);
	sim.now = a->at;
	sim.steps++;
	a->fire(a->arg);
	return true;
}

/* ---- memory ---- */

void *sim_alloc(size_t n)
{
	void *p = room + used;

	n = (n + 15) & ~(size_t)15;
	if (n > ROOM - used)
		sim_fail("the simulator has no room for more in one scenario");
	used += n;
	return memset(p, 0, n);
}

void sim_begin(uint64_t seed)
{
	bool tracing = sim.tracing;
	uint64_t steps = sim.steps;
	jmp_buf *out = sim.out;

	if (!room)
		room = malloc(ROOM);
	if (tracing && !lines)
		lines = malloc(sizeof *lines * LINES);
	if (!room || (tracing && !lines))
		abort();
	nheap = 0;
	used = 0;
	nlines = 0;
	sim = (struct sim){.random = seed, .tracing = tracing, .steps = steps, .out = out};
}

/* ---- the record ---- */

static void keep(const char *fmt, va_list args)
{
	char *line = lines[nlines++ % LINES];
	int n = snprintf(line, LINE, "%8llu  ", (unsigned long long)sim.now);

	vsnprintf(line + n, LINE - (size_t)n, fmt, args);
}

void trace(const char *fmt, ...)
{
	va_list args;

	if (!sim.tracing)
		return;
	va_start(args, fmt);
	keep(fmt, args);
	va_end(args);
}

void trace_print(unsigned last)
{
	uint64_t from = nlines > last ? nlines - last : 0;

	if (nlines > LINES && from < nlines - LINES)
		from = nlines - LINES;
	for (; from < nlines; from++)
		fprintf(stderr, "%s\n", lines[from % LINES]);
}

void sim_fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(sim.failure, sizeof sim.failure, fmt, args);
	va_end(args);
	trace("!!! %s", sim.failure);
	longjmp(*sim.out, 1);
}

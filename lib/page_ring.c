/* The ring of a page: what a run prints after its objects could not grow any more. Called by the writer (capture.c) and the readers
 * (reader.c). Each stream has its part; the byte at position n of a stream lies at n modulo the length of that part, so that
 * positions, lengths and records mean what they mean in the objects.
 *
 * Order. The writer raises `put`, then (after a full fence) overwrites, then publishes as ever. A reader copies, then (after a fence)
 * looks at `put`: if what it copied may have been overwritten, it was overtaken and the copy is worth nothing. Who keeps to the pace
 * is never overtaken: the writer overwrites what every reader's position has passed, and positions move after the copy. */
#include <errno.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/page_parts.h"

#define ERR_SIZE (1024 * 1024ULL)
#define OUT_SIZE (SC_RING_SIZE - ERR_SIZE)
/* The writer goes on when so much has become free: not at every step of a reader. */
#define OUT_ENOUGH (512 * 1024ULL)
#define ERR_ENOUGH (512 * 1024ULL)
_Static_assert(ERR_ENOUGH > SC_RECORD_HEAD + SC_RECORD_MAX, "a record goes in whole");

static uint64_t size_of(enum stream s)
{
	return s == STREAM_OUT ? OUT_SIZE : ERR_SIZE;
}

static unsigned char *part(const struct page *p, enum stream s)
{
	unsigned char *ring = (unsigned char *)p->head + HEAD_SIZE + SLOTS_SIZE;

	return s == STREAM_OUT ? ring : ring + OUT_SIZE;
}

void page_ring_init(struct page *p)
{
	atomic_store(&p->head->spill[STREAM_OUT], SC_FOREVER);
	atomic_store(&p->head->spill[STREAM_ERR], SC_FOREVER);
}

void page_set_limit(struct page *p, uint64_t bytes, int error)
{
	/* First: whoever passes the limit asks why then. */
	atomic_store(&p->head->limit_error, (uint32_t)error);
	atomic_store(&p->head->limit, bytes);
}

int page_limit_error(const struct page *p)
{
	return (int)atomic_load(&p->head->limit_error);
}

uint64_t page_limit(const struct page *p)
{
	return atomic_load_explicit(&p->head->limit, memory_order_relaxed);
}

/* ---- the writer ---- */

void page_spill(struct page *p, uint64_t out_at, uint64_t err_at, int error)
{
	struct head *h = p->head;

	page_set_unkept(p, error);
	atomic_store(&h->put[STREAM_OUT], out_at);
	atomic_store(&h->put[STREAM_ERR], err_at);
	/* By the output's a reader knows that there is a spill, and looks at it first: last. */
	atomic_store(&h->spill[STREAM_ERR], err_at);
	atomic_store(&h->spill[STREAM_OUT], out_at);
}

void page_set_unkept(struct page *p, int error)
{
	atomic_store(&p->head->unkept, (uint32_t)error);
}

int page_unkept(const struct page *p)
{
	return (int)atomic_load(&p->head->unkept);
}

void page_ring_put(struct page *p, enum stream s, const void *bytes, size_t n)
{
	struct head *h = p->head;
	uint64_t at = atomic_load_explicit(&h->put[s], memory_order_relaxed), size = size_of(s), from = at % size;
	size_t first = n < size - from ? n : (size_t)(size - from);

	BUG_ON(n > size);
	atomic_store_explicit(&h->put[s], at + n, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	memcpy(part(p, s) + from, bytes, first);
	memcpy(part(p, s), (const char *)bytes + first, n - first);
}

/* How many bytes more fit behind a reader; SC_FOREVER: it was overtaken, and is nobody's pace. One that still reads the object
 * stands, for the ring, at its beginning. */
static uint64_t room_behind(const struct page *p, const struct slot *slot, enum stream s)
{
	const struct head *h = p->head;
	uint64_t put = atomic_load_explicit(&h->put[s], memory_order_relaxed);
	uint64_t spill = atomic_load_explicit(&h->spill[s], memory_order_relaxed);
	uint64_t at = atomic_load_explicit(s == STREAM_OUT ? &slot->out_pos : &slot->err_pos, memory_order_acquire);

	if (at < spill)
		at = spill;
	if (at > put)
		at = put; /* nobody is trusted to have read what is not there */
	return put - at > size_of(s) ? SC_FOREVER : size_of(s) - (put - at);
}

struct room {
	uint64_t out, err;
};

static struct room room_of(const struct page *p, const struct slot *slot)
{
	struct room r = {room_behind(p, slot, STREAM_OUT), room_behind(p, slot, STREAM_ERR)};

	/* Overtaken in one it has lost the other. */
	if (r.out == SC_FOREVER || r.err == SC_FOREVER)
		r.out = r.err = SC_FOREVER;
	return r;
}

static bool is_enough(struct room r)
{
	return r.out >= OUT_ENOUGH && r.err >= ERR_ENOUGH;
}

/* Somebody has read everything and waits for more. */
static bool somebody_waits(const struct page *p, uint32_t but)
{
	for (uint32_t i = 0; i < page_high(p); i++) {
		struct room r = room_of(p, slot_at(p, i));

		if (i != but && r.out == OUT_SIZE && r.err == ERR_SIZE && page_slot_is_taken(p, i))
			return true;
	}
	return false;
}

/* One that is in the way and has been for too long while others wait. */
static bool is_stuck(const struct page *p, uint32_t n, uint64_t now_ms)
{
	struct slot *slot = slot_at(p, n);
	uint64_t at = atomic_load(&slot->out_pos) + atomic_load(&slot->err_pos), since = atomic_load(&slot->stuck_since_ms);

	if (slot->stuck_at != at || since < p->back_ms || since == 0) {
		slot->stuck_at = at;
		since = now_ms;
		atomic_store(&slot->stuck_since_ms, since);
	}
	return now_ms - since >= SC_STUCK_MS && somebody_waits(p, n);
}

/* Time in which we did not look, stopped or the machine asleep, may have been nobody else's either. */
static void note_look(struct page *p, uint64_t now_ms)
{
	if (now_ms - p->looked_ms > 2 * SC_PAGE_WAIT_MS)
		p->back_ms = now_ms;
	p->looked_ms = now_ms;
}

uint64_t page_ring_room(struct page *p, uint64_t now_ms)
{
	struct room least = {OUT_SIZE, ERR_SIZE};

	note_look(p, now_ms);
	for (uint32_t i = 0; i < page_high(p); i++) {
		struct room r = room_of(p, slot_at(p, i));

		/* Whether it lives costs a system call: only those in the way are asked. */
		if (!is_enough(r) && (!page_slot_is_taken(p, i) || is_stuck(p, i, now_ms)))
			continue;
		least.out = r.out < least.out ? r.out : least.out;
		least.err = r.err < least.err ? r.err : least.err;
	}
	return is_enough(least) ? least.out : 0;
}

void page_wait_room(struct page *p, uint64_t timeout_ms)
{
	struct head *h = p->head;
	uint32_t seen = atomic_load(&h->readers_word);

	atomic_store_explicit(&h->wanted, 1, memory_order_relaxed); /* any step of anybody */
	atomic_thread_fence(memory_order_seq_cst);
	if (page_ring_room(p, clock_run_ms()) == 0)
		page_sleep_on(&h->readers_word, seen, timeout_ms);
	atomic_store_explicit(&h->wanted, 0, memory_order_relaxed);
}

/* ---- a reader ---- */

int page_ring_get(const struct page *p, enum stream s, uint64_t at, void *bytes, size_t n)
{
	const struct head *h = p->head;
	uint64_t size = size_of(s), from = at % size;
	size_t first = n < size - from ? n : (size_t)(size - from);

	if (n > size)
		return SC_ENOENT;
	memcpy(bytes, part(p, s) + from, first);
	memcpy((char *)bytes + first, part(p, s), n - first);
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load_explicit(&h->put[s], memory_order_relaxed) - at > size ? SC_ENOENT : 0;
}

/* What the files of the page share: page.c (its life, its lengths, its slots) and page_ring.c (the way round a disk that fails). Nobody
 * else includes this, but a test whose threads share one mapping. */
#ifndef SC_PAGE_PARTS_H
#define SC_PAGE_PARTS_H

#include <stdatomic.h>

#include "lib/page.h"

#define LINE 64
#define MAGIC "scpage2"

/* One reader's progress; a cache line each, so that readers do not slow each other. */
struct slot {
	_Alignas(LINE) _Atomic uint64_t out_pos;
	_Atomic uint64_t err_pos;
	/* the writer's notes of one that is in its way: where it was, since when */
	uint64_t stuck_at;
	_Atomic uint64_t stuck_since_ms; /* 0: it was not; whoever takes the slot begins anew */
};

/* What is constant, what the writer stores at each step, and what readers store lie on lines of their own. */
struct head {
	char magic[8];
	uint32_t size;
	uint32_t slots;
	struct gen gen;
	uint8_t key_hash[16];
	uint64_t order;
	uint64_t window;
	_Atomic uint64_t limit; /* bytes of both objects */
	_Atomic uint32_t limit_error;

	_Alignas(LINE) _Atomic uint32_t word;
	_Atomic uint32_t end; /* state, exit and signal in one word, so that they change together; 0 is running */
	_Atomic uint64_t out_len;
	_Atomic uint64_t err_len;
	_Atomic uint64_t
		command; /* its process namespace's number (lower half) and its own, as one so that they belong together */

	_Alignas(LINE) _Atomic uint32_t high; /* one more than the highest slot ever taken */
	_Atomic uint32_t readers_word;
	_Atomic uint64_t wanted; /* the position a sleeping writer waits for; 0: it does not */

	/* Of each stream: where the ring takes over from the object (SC_FOREVER: nowhere), and the end of what the writer has put into
	 * the ring or is about to: what lies further back than a ring's length is overwritten. */
	_Alignas(LINE) _Atomic uint64_t spill[2];
	_Atomic uint64_t put[2];
	_Atomic uint32_t unkept; /* an errno */
};

#define HEAD_SIZE 4096
#define SLOTS_SIZE (SC_SLOTS * sizeof(struct slot))
#define PAGE_SIZE_ALL (HEAD_SIZE + SLOTS_SIZE + SC_RING_SIZE)

_Static_assert(sizeof(struct head) <= HEAD_SIZE, "the head fits its page");
_Static_assert(sizeof(struct slot) == LINE, "a slot is a cache line");
_Static_assert(sizeof(_Atomic uint32_t) == 4 && sizeof(_Atomic uint64_t) == 8, "atomics are plain words");

#define NO_SLOT UINT32_MAX
/* The byte whose lock is the writer's, behind those of the readers. */
#define WRITERS (SC_SLOTS + 1)

struct page {
	struct head *head;
	int fd;
	uint32_t slot; /* what this process holds: a number, SC_SLOTS for the shared place, or NO_SLOT */
	/* Of a writer that waits for room: when it last looked for it, and when it last came to do so after a break. */
	uint64_t looked_ms, back_ms;
};

static inline struct slot *slot_at(const struct page *p, uint32_t i)
{
	return (struct slot *)(void *)((char *)p->head + HEAD_SIZE) + i;
}

/* One more than the highest slot ever taken, whatever stands in the page. */
static inline uint32_t page_high(const struct page *p)
{
	uint32_t high = atomic_load(&p->head->high);

	return high < SC_SLOTS ? high : SC_SLOTS;
}

/* ---- page.c ---- */

/* Whether another process holds it. In doubt nobody does: the pace of one who is not there would hold the writer for ever. */
bool page_slot_is_taken(const struct page *p, uint32_t n);

/* True: the time was over. */
bool page_sleep_on(_Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ms);

/* The ring takes over nowhere. */
void page_ring_init(struct page *p);

#endif

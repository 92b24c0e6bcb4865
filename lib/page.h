/* The shared memory of a flight: how far the object has grown, who reads where, how the run ended. One writer, many
 * readers, and the daemon that made it. A memfd sealed against shrinking, growing and further seals; whoever maps one
 * checks that first. Nothing in it is trusted further than its bounds.
 *
 * What its objects cannot take (a full disk) goes through a ring in it, from a position of each stream on: streaming-only.
 *
 *   running ──▶ complete | failed | cancelled | lost        once, by compare-and-swap
 *
 * Order. The writer appends to the files, stores out_len, then err_len (release), then bumps the word (seq_cst) and wakes.
 * A reader loads the word, then the state, then err_len, then out_len (acquire), reads up to them, and sleeps only while the
 * word is what it loaded first. So no growth is slept through, a record of the error stream never points past the output a
 * reader can see, and lengths loaded after a final state are final.
 * The other way round: a reader stores its position, then (after a full fence) looks whether the writer waits for so much; the
 * writer says for what it waits, then (after a full fence) looks at the positions, and sleeps only while the readers' word is what it
 * loaded before. Of the two one sees the other, so no progress of a reader is slept through either. */
#ifndef SC_PAGE_H
#define SC_PAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/gen.h"
#include "lib/limits.h"
#include "lib/object.h"

enum page_state { PAGE_RUNNING = 0, PAGE_COMPLETE = 1, PAGE_FAILED = 2, PAGE_CANCELLED = 3, PAGE_LOST = 4 };

struct page;

/* What a reader sees at one moment. */
struct page_view {
	uint32_t word; /* to be given to page_wait */
	enum page_state state;
	uint64_t out_len, err_len;
	uint32_t exit, signal;	       /* meaningful when state is complete or failed */
	uint64_t out_spill, err_spill; /* what lies behind is in the ring, not in the objects; SC_FOREVER: nothing */
};

/* Makes the memory and its descriptor. `window`: bytes the writer may be ahead of the fastest reader, SC_FOREVER for any number.
 * SC_ESYS, SC_ENOMEM. */
int page_create(struct page **p, const struct gen *g, const uint8_t key_hash[16], uint64_t order, uint64_t window);

/* Maps one that was handed over. Takes fd in every case (also on failure it is closed). SC_ECORRUPT: not a page of this
 * generation, wrong size, seals missing · SC_ESYS · SC_ENOMEM. */
int page_map(struct page **p, int fd, const struct gen *g);

/* Unmaps and closes: gives up every slot this process holds in it. NULL is allowed. */
void page_free(struct page *p);

int page_fd(const struct page *p); /* borrowed; a process that closes any descriptor of the memfd loses its slot */
uint64_t page_order(const struct page *p);

/* ---- the writer ---- */

/* Publishes the lengths and wakes who sleeps. Lengths never go down. */
void page_publish(struct page *p, uint64_t out_len, uint64_t err_len);

/* The one transition. Puts exit and signal there first. False: it had ended already, nothing changed. Wakes everybody. */
bool page_end(struct page *p, enum page_state state, uint32_t exit, uint32_t signal);

/* This process is the writer from here on: a lock says so for as long as it lives. SC_ESYS. */
int page_hold(struct page *p);

/* True if any process but this one holds a slot (or the shared place for those without one). */
bool page_has_readers(const struct page *p);

uint64_t page_window(const struct page *p);

/* The position (of both streams together) of the fastest reader among those other processes that hold a slot; slots whose lock is
 * free do not count, whatever stands in them. False: nobody has one. */
bool page_fastest(const struct page *p, uint64_t *position);

/* The positions of the slowest and the fastest of them, in one pass with a system call for each slot that was ever taken: for people,
 * not for a writer in a hurry. False: nobody has one. */
bool page_span(const struct page *p, uint64_t *slowest, uint64_t *fastest);

/* Sleeps until the fastest reader has come to `position`, page_poke_writer, a signal, or timeout_ms (bounded by SC_PAGE_WAIT_MS).
 * Returns at once if nobody holds a slot. The caller looks again. */
void page_wait_readers(struct page *p, uint64_t position, uint64_t timeout_ms);

/* How large the objects may become, both together; SC_FOREVER (at birth): as they like. The daemon's to set, at any time; the writer
 * looks before each append. `error`: the errno of one that would pass it. */
void page_set_limit(struct page *p, uint64_t bytes, int error);
uint64_t page_limit(const struct page *p);
int page_limit_error(const struct page *p);

/* Streaming-only: the objects cannot grow behind these lengths, because of that errno; the rest goes through the ring, once and for all.
 * Before anything of it is published. */
void page_spill(struct page *p, uint64_t out_at, uint64_t err_at, int error);

/* The next n bytes of a stream, no more than there is room for. */
void page_ring_put(struct page *p, enum stream s, const void *bytes, size_t n);

/* How many bytes of output fit without overtaking a reader; a record of the error stream does as well. 0: wait. The slowest reader that
 * lives sets the pace; but one that has not moved for SC_STUCK_MS while another has read everything is overtaken, and those
 * without a slot are not looked after. */
uint64_t page_ring_room(struct page *p, uint64_t now_ms);

/* Sleeps until a reader has moved, page_poke_writer, a signal, or timeout_ms (bounded by SC_PAGE_WAIT_MS). Returns at once if there is
 * room. The caller looks again. */
void page_wait_room(struct page *p, uint64_t timeout_ms);

/* ---- a reader ---- */

/* Copies n bytes that have been published behind the stream's spill. SC_ENOENT: they are gone, the writer has overtaken us. */
int page_ring_get(const struct page *p, enum stream s, uint64_t at, void *bytes, size_t n);

/* Takes the first free slot from `hint`, or the shared place. Always succeeds unless locking itself fails: SC_ESYS. */
int page_take_slot(struct page *p, uint32_t hint);
void page_leave_slot(struct page *p);

/* Whether the writer lives. In doubt it does. */
bool page_has_writer(const struct page *p);

/* How far this reader has printed, in its slot. Wakes a writer that waits for so much. */
void page_set_position(struct page *p, uint64_t out_pos, uint64_t err_pos);

void page_view(const struct page *p, struct page_view *v);

/* Sleeps until the word is no longer v->word, at most timeout_ms, or a signal came. SC_PAGE_WAIT_MS or more is until the next full
 * second of CLOCK_MONOTONIC, which is the same for all that wait. True: the time was over. */
bool page_wait(struct page *p, const struct page_view *v, uint64_t timeout_ms);

/* ---- anybody ---- */

/* What keeps the output from being kept, although the command ends well: the errno of page_spill, or of a commit that failed, which the
 * daemon says before anybody is told of the end. 0: nothing is known to. */
void page_set_unkept(struct page *p, int error);
int page_unkept(const struct page *p);

/* The command's process, for people to read, as it is called in the process namespace of who tells; 0: it is not known, or who asks
 * lives in another namespace. */
void page_tell_command(struct page *p, pid_t pid);
pid_t page_command(const struct page *p);

/* Wakes every reader without publishing anything: for whoever has just sent a message to one of them. */
void page_poke(struct page *p);
/* The same for the writer. */
void page_poke_writer(struct page *p);

#endif

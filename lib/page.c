/* The page of a flight: layout, seals, the one transition, slots by record lock, and the order of loads and stores.
 * Called by the daemon (makes it, ends it for a writer that is gone), the writer and the readers. Never blocks but in
 * page_wait, and there with a bound. */
#include "lib/page.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/memfd.h"
#include "lib/page_parts.h"

static uint32_t end_pack(enum page_state state, uint32_t exit, uint32_t signal)
{
	return (uint32_t)state | (exit & 0xff) << 8 | (signal & 0xff) << 16;
}

static int map(struct page **out, int fd)
{
	struct page *p = calloc(1, sizeof *p);
	void *at;

	if (!p) {
		close(fd);
		return SC_ENOMEM;
	}
	at = mmap(NULL, PAGE_SIZE_ALL, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		int saved = errno;

		close(fd);
		free(p);
		errno = saved;
		return SC_ESYS;
	}
	p->head = at;
	p->fd = fd;
	p->slot = NO_SLOT;
	*out = p;
	return 0;
}

int page_create(struct page **out, const struct gen *g, const uint8_t key_hash[16], uint64_t order, uint64_t window)
{
	struct head *h;
	int fd, rc;

	if (memfd_new("sc-page", &fd))
		return SC_ESYS;
	if (memfd_resize(fd, PAGE_SIZE_ALL) || memfd_seal(fd, MEMFD_FIXED)) {
		rc = errno;
		close(fd);
		errno = rc;
		return SC_ESYS;
	}
	rc = map(out, fd);
	if (rc)
		return rc;
	h = (*out)->head;
	memcpy(h->magic, MAGIC, sizeof h->magic);
	h->size = PAGE_SIZE_ALL;
	h->slots = SC_SLOTS;
	h->gen = *g;
	memcpy(h->key_hash, key_hash, sizeof h->key_hash);
	h->order = order;
	h->window = window;
	page_set_limit(*out, SC_FOREVER, EFBIG);
	page_ring_init(*out);
	return 0;
}

int page_map(struct page **out, int fd, const struct gen *g)
{
	const struct head *h;
	int rc = memfd_check(fd, MEMFD_FIXED, PAGE_SIZE_ALL);

	if (rc) {
		close(fd);
		return rc;
	}
	rc = map(out, fd);
	if (rc)
		return rc;
	h = (*out)->head;
	if (memcmp(h->magic, MAGIC, sizeof h->magic) != 0 || h->size != PAGE_SIZE_ALL || h->slots != SC_SLOTS ||
	    !gen_equal(&h->gen, g)) {
		page_free(*out);
		*out = NULL;
		return SC_ECORRUPT;
	}
	return 0;
}

void page_free(struct page *p)
{
	if (!p)
		return;
	munmap(p->head, PAGE_SIZE_ALL);
	close(p->fd);
	free(p);
}

int page_fd(const struct page *p)
{
	return p->fd;
}

uint64_t page_order(const struct page *p)
{
	return p->head->order;
}

uint64_t page_window(const struct page *p)
{
	return p->head->window;
}

/* seq_cst: who goes to sleep after this sees the new number, who slept before is woken. The kernel compares the word again
 * under its own lock, so there is no gap between the two. */
static void bump(_Atomic uint32_t *word)
{
	atomic_fetch_add(word, 1);
	if (FAULT("drop_wakes"))
		return;
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* All that wait for nothing in particular look around in the same moment of each second: the processor wakes for them once. */
static uint64_t to_next_look(void)
{
	return SC_PAGE_WAIT_MS - clock_run_ms() % SC_PAGE_WAIT_MS;
}

bool page_sleep_on(_Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ms)
{
	struct timespec ts;

	if (timeout_ms >= SC_PAGE_WAIT_MS)
		timeout_ms = to_next_look();
	ts.tv_sec = (time_t)(timeout_ms / 1000);
	ts.tv_nsec = (long)(timeout_ms % 1000) * 1000000;
	return syscall(SYS_futex, word, FUTEX_WAIT, seen, &ts, NULL, 0) < 0 && errno == ETIMEDOUT;
}

void page_poke(struct page *p)
{
	bump(&p->head->word);
}

void page_poke_writer(struct page *p)
{
	bump(&p->head->readers_word);
}

void page_publish(struct page *p, uint64_t out_len, uint64_t err_len)
{
	/* Output first: a reader that sees a record of the error stream must see the output it stands behind. */
	atomic_store_explicit(&p->head->out_len, out_len, memory_order_release);
	atomic_store_explicit(&p->head->err_len, err_len, memory_order_release);
	page_poke(p);
}

bool page_end(struct page *p, enum page_state state, uint32_t exit, uint32_t signal)
{
	uint32_t running = 0;
	bool ended = atomic_compare_exchange_strong(&p->head->end, &running, end_pack(state, exit, signal));

	page_poke(p);
	return ended;
}

static struct flock slot_lock(short type, uint32_t first, uint32_t count)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = first, .l_len = count};
}

int page_hold(struct page *p)
{
	struct flock l = slot_lock(F_WRLCK, WRITERS, 1);

	return fcntl(p->fd, F_SETLK, &l) < 0 ? SC_ESYS : 0;
}

bool page_has_writer(const struct page *p)
{
	struct flock l = slot_lock(F_WRLCK, WRITERS, 1);

	return fcntl(p->fd, F_GETLK, &l) < 0 || l.l_type != F_UNLCK;
}

bool page_has_readers(const struct page *p)
{
	struct flock l = slot_lock(F_WRLCK, 0, SC_SLOTS + 1);

	/* When in doubt somebody reads: a run that goes on too long is better than one killed under a reader. */
	return fcntl(p->fd, F_GETLK, &l) < 0 || l.l_type != F_UNLCK;
}

static void raise_high(struct page *p, uint32_t high)
{
	uint32_t seen = atomic_load(&p->head->high);

	while (seen < high && !atomic_compare_exchange_weak(&p->head->high, &seen, high))
		;
}

int page_take_slot(struct page *p, uint32_t hint)
{
	for (uint32_t i = 0; i < SC_SLOTS; i++) {
		uint32_t n = (hint + i) % SC_SLOTS;
		struct flock l = slot_lock(F_WRLCK, n, 1);

		if (fcntl(p->fd, F_SETLK, &l) == 0) {
			atomic_store(&slot_at(p, n)->out_pos, 0);
			atomic_store(&slot_at(p, n)->err_pos, 0);
			atomic_store(&slot_at(p, n)->stuck_since_ms, 0);
			raise_high(p, n + 1);
			p->slot = n;
			return 0;
		}
		if (errno != EAGAIN && errno != EACCES)
			return SC_ESYS;
	}
	/* All taken: be counted as a reader, not for the pace. */
	struct flock l = slot_lock(F_RDLCK, SC_SLOTS, 1);

	if (fcntl(p->fd, F_SETLK, &l) < 0)
		return SC_ESYS;
	p->slot = SC_SLOTS;
	return 0;
}

void page_leave_slot(struct page *p)
{
	struct flock l = slot_lock(F_UNLCK, 0, SC_SLOTS + 1);

	fcntl(p->fd, F_SETLK, &l);
	p->slot = NO_SLOT;
}

static uint64_t position_of(const struct slot *s)
{
	return atomic_load_explicit(&s->out_pos, memory_order_acquire) +
	       atomic_load_explicit(&s->err_pos, memory_order_acquire);
}

void page_set_position(struct page *p, uint64_t out_pos, uint64_t err_pos)
{
	uint64_t wanted;

	if (p->slot >= SC_SLOTS)
		return;
	atomic_store_explicit(&slot_at(p, p->slot)->out_pos, out_pos, memory_order_release);
	atomic_store_explicit(&slot_at(p, p->slot)->err_pos, err_pos, memory_order_release);
	/* Against the one in page_wait_readers: either we see that it waits, or it sees our position. */
	atomic_thread_fence(memory_order_seq_cst);
	wanted = atomic_load_explicit(&p->head->wanted, memory_order_relaxed);
	if (wanted && out_pos + err_pos >= wanted)
		page_poke_writer(p);
}

bool page_slot_is_taken(const struct page *p, uint32_t n)
{
	struct flock l = slot_lock(F_WRLCK, n, 1);

	return fcntl(p->fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

bool page_fastest(const struct page *p, uint64_t *position)
{
	uint32_t high = page_high(p), before = SC_SLOTS;
	uint64_t bound = UINT64_MAX;

	/* From the furthest down, each asked for its lock, which costs a system call: most often the first one lives. */
	for (uint32_t tried = 0; tried < high; tried++) {
		uint32_t best = SC_SLOTS;
		uint64_t best_position = 0;

		for (uint32_t i = 0; i < high; i++) {
			uint64_t at = position_of(slot_at(p, i));

			if (at > bound || (at == bound && i >= before))
				continue;
			if (best == SC_SLOTS || at >= best_position) {
				best = i;
				best_position = at;
			}
		}
		if (best == SC_SLOTS)
			return false;
		if (page_slot_is_taken(p, best)) {
			*position = best_position;
			return true;
		}
		bound = best_position;
		before = best;
	}
	return false;
}

bool page_span(const struct page *p, uint64_t *slowest, uint64_t *fastest)
{
	bool any = false;

	for (uint32_t i = 0; i < page_high(p); i++) {
		uint64_t at = position_of(slot_at(p, i));

		if (!page_slot_is_taken(p, i))
			continue;
		if (!any || at < *slowest)
			*slowest = at;
		if (!any || at > *fastest)
			*fastest = at;
		any = true;
	}
	return any;
}

void page_wait_readers(struct page *p, uint64_t position, uint64_t timeout_ms)
{
	struct head *h = p->head;
	uint32_t seen = atomic_load(&h->readers_word);
	uint64_t fastest;

	atomic_store_explicit(&h->wanted, position ? position : 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (page_fastest(p, &fastest) && fastest < position)
		page_sleep_on(&h->readers_word, seen, timeout_ms);
	atomic_store_explicit(&h->wanted, 0, memory_order_relaxed);
}

static uint32_t process_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 ? (uint32_t)st.st_ino : 0;
}

void page_tell_command(struct page *p, pid_t pid)
{
	atomic_store(&p->head->command, (uint64_t)process_namespace() << 32 | (uint32_t)pid);
}

pid_t page_command(const struct page *p)
{
	uint64_t told = atomic_load(&p->head->command);

	return told >> 32 && told >> 32 == process_namespace() ? (pid_t)(told & INT32_MAX) : 0;
}

void page_view(const struct page *p, struct page_view *v)
{
	uint32_t end;

	v->word = atomic_load(&p->head->word);
	end = atomic_load(&p->head->end);
	v->state = (enum page_state)(end & 0xff);
	v->exit = end >> 8 & 0xff;
	v->signal = end >> 16 & 0xff;
	v->err_len = atomic_load_explicit(&p->head->err_len, memory_order_acquire);
	v->out_len = atomic_load_explicit(&p->head->out_len, memory_order_acquire);
	v->out_spill = atomic_load(&p->head->spill[STREAM_OUT]);
	v->err_spill = atomic_load(&p->head->spill[STREAM_ERR]);
}

bool page_wait(struct page *p, const struct page_view *v, uint64_t timeout_ms)
{
	return page_sleep_on(&p->head->word, v->word, timeout_ms);
}

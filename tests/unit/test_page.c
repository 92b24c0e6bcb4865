/* The promises of lib/page.h, across threads and processes. How long the page would sleep can be seen without sleeping (sleep.h). Children never assert: they end with a status. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/gen.h"
#include "lib/limits.h"
#include "lib/page.h"
#include "tests/unit/peer.h"
#include "tests/unit/sleep.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static const struct gen GEN = {{0xab, 1, 2, 3}}, OTHER = {{0xab, 1, 2, 4}};
static const uint8_t KEY_HASH[16] = {9};

/* ---- one page for each test ---- */

struct room {
	struct page *page;
	unsigned fds;
};

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int make_page(void **state)
{
	struct room *r = calloc(1, sizeof *r);

	if (!r)
		return -1;
	r->fds = open_fds();
	*state = r;
	return page_create(&r->page, &GEN, KEY_HASH, 42, SC_FOREVER);
}

static int free_page(void **state)
{
	struct room *r = *state;
	unsigned fds;
	int rc;

	page_free(r->page);
	fds = open_fds();
	rc = fds != r->fds;
	if (rc)
		print_error("%u descriptors were open before, %u are now\n", r->fds, fds);
	free(r);
	return rc;
}

static struct page *map_again(const struct page *p)
{
	struct page *other = NULL;
	int fd = fcntl(page_fd(p), F_DUPFD_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(page_map(&other, fd, &GEN), 0);
	assert_int_equal(page_fd(other), fd);
	return other;
}

/* ---- other processes ---- */

/* Who holds a byte of the memfd; 0: nobody but perhaps we. */
static pid_t holder(const struct page *p, unsigned byte)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	assert_int_equal(fcntl(page_fd(p), F_GETLK, &l), 0);
	return l.l_type == F_UNLCK ? 0 : l.l_pid;
}

/* ---- birth, seals, mapping ---- */

static void a_new_page_is_running_and_empty(void **state)
{
	struct room *r = *state;
	struct page_view v;

	page_view(r->page, &v);
	assert_int_equal(v.state, PAGE_RUNNING);
	assert_int_equal(v.out_len, 0);
	assert_int_equal(v.err_len, 0);
	assert_int_equal(page_order(r->page), 42);
	assert_false(page_has_readers(r->page));
	assert_int_equal(fcntl(page_fd(r->page), F_GETFD), FD_CLOEXEC);
	page_free(NULL);
}

static void a_page_cannot_shrink_or_grow_or_be_sealed_further(void **state)
{
	struct room *r = *state;
	int fd = page_fd(r->page);
	struct stat st;
	char c = 1;

	assert_int_equal(fcntl(fd, F_GET_SEALS) & SEALS, SEALS);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(ftruncate(fd, st.st_size - 1), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, st.st_size + 1), -1);
	assert_int_equal(errno, EPERM);
	assert_true(pwrite(fd, &c, 1, st.st_size) < 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_size >= SC_SLOTS * 64 + SC_RING_SIZE);
}

static void what_is_published_is_seen_through_another_mapping(void **state)
{
	struct room *r = *state;
	struct page *other = map_again(r->page);
	struct page_view v;

	assert_int_equal(page_order(other), 42);
	page_publish(r->page, 1ULL << 40, 12);
	page_view(other, &v);
	assert_int_equal(v.out_len, 1ULL << 40);
	assert_int_equal(v.err_len, 12);
	assert_true(page_end(other, PAGE_LOST, 0, 0));
	page_view(r->page, &v);
	assert_int_equal(v.state, PAGE_LOST);
	page_free(other);
}

/* A memfd that begins like the page, but for one byte, a size and its seals. */
static int counterfeit(const struct page *p, off_t size, int seals, int changed)
{
	int fd = memfd_create("counterfeit", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	unsigned char head[4096];

	assert_true(fd >= 0);
	assert_int_equal(pread(page_fd(p), head, sizeof head, 0), sizeof head);
	if (changed >= 0)
		head[changed] ^= 1;
	assert_int_equal(pwrite(fd, head, sizeof head, 0), sizeof head);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static off_t size_of(const struct page *p)
{
	struct stat st;

	assert_int_equal(fstat(page_fd(p), &st), 0);
	return st.st_size;
}

static void assert_refused(int fd, const struct gen *g)
{
	struct page *p = NULL;

	assert_int_equal(page_map(&p, fd, g), SC_ECORRUPT);
	assert_null(p);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(errno, EBADF);
}

static void a_page_whose_seals_are_missing_is_refused_and_closed(void **state)
{
	static const int lacking[] = {0, F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_GROW | F_SEAL_SEAL, F_SEAL_SHRINK | F_SEAL_SEAL};
	struct room *r = *state;
	struct page *good;

	for (size_t i = 0; i < COUNT(lacking); i++)
		assert_refused(counterfeit(r->page, size_of(r->page), lacking[i], -1), &GEN);
	/* It is the seals that made the difference. */
	assert_int_equal(page_map(&good, counterfeit(r->page, size_of(r->page), SEALS, -1), &GEN), 0);
	page_free(good);
}

static void a_page_of_another_size_is_refused_and_closed(void **state)
{
	struct room *r = *state;
	off_t size = size_of(r->page);
	const off_t sizes[] = {0, 1, 4096, size - 4096, size - 1, size + 1, size + 4096, 1LL << 40};

	for (size_t i = 0; i < COUNT(sizes); i++)
		assert_refused(counterfeit(r->page, sizes[i], SEALS, -1), &GEN);
}

static void a_page_of_another_generation_is_refused_and_closed(void **state)
{
	struct room *r = *state;
	int fd = fcntl(page_fd(r->page), F_DUPFD_CLOEXEC, 0);

	assert_refused(fd, &OTHER);
	/* Magic, size, slots, generation: no bit of them may differ. */
	for (int i = 0; i < 32; i++)
		assert_refused(counterfeit(r->page, size_of(r->page), SEALS, i), &GEN);
}

static void what_is_no_memfd_is_refused_and_closed(void **state)
{
	struct room *r = *state;
	int ends[2], fd;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_refused(ends[0], &GEN);
	close(ends[1]);
	assert_refused(open("/dev/null", O_RDWR | O_CLOEXEC), &GEN);
	assert_refused(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), &GEN);
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_refused(fd, &GEN);
	assert_refused(-1, &GEN);
	assert_int_equal(page_order(r->page), 42);
}

/* ---- lengths ---- */

#define STEPS 200000U

/* Both numbers are always the same, so that one from an earlier step than the other shows. */
static void publish_steps(struct page *p, int fd, unsigned arg)
{
	(void)arg;
	if (!await(fd))
		_exit(1);
	for (uint64_t i = 1; i <= STEPS; i++)
		page_publish(p, i, i);
	page_end(p, PAGE_COMPLETE, 0, 0);
}

static void lengths_are_only_ever_seen_in_order(void **state)
{
	struct room *r = *state;
	struct peer w = start(r->page, publish_steps, 0);
	uint64_t out = 0, err = 0;
	struct page_view v;

	assert_true(step(w.fd));
	do {
		page_view(r->page, &v);
		/* A record of the error stream never points past the output a reader can see, and nothing shrinks. */
		assert_true(v.err_len <= v.out_len);
		assert_true(v.out_len >= out && v.err_len >= err);
		out = v.out_len;
		err = v.err_len;
	} while (v.state == PAGE_RUNNING);
	/* What is loaded together with a final state is final. */
	assert_int_equal(v.out_len, STEPS);
	assert_int_equal(v.err_len, STEPS);
	assert_int_equal(end_of(&w), 0);
}

/* ---- the one transition ---- */

static const struct {
	enum page_state state;
	uint32_t exit, signal;
} ends[] = {
	{PAGE_COMPLETE, 0, 0}, {PAGE_FAILED, 255, 0}, {PAGE_FAILED, 0, 9},  {PAGE_CANCELLED, 0, 15},
	{PAGE_LOST, 0, 0},     {PAGE_FAILED, 1, 0},   {PAGE_FAILED, 0, 64}, {PAGE_FAILED, 128, 0},
};

static void assert_ended_as(const struct page *p, size_t i)
{
	struct page_view v;

	page_view(p, &v);
	assert_int_equal(v.state, ends[i].state);
	assert_int_equal(v.exit, ends[i].exit);
	assert_int_equal(v.signal, ends[i].signal);
}

static void exit_and_signal_arrive_with_the_state(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(ends); i++) {
		struct page *p;

		assert_int_equal(page_create(&p, &GEN, KEY_HASH, 1, SC_FOREVER), 0);
		assert_true(page_end(p, ends[i].state, ends[i].exit, ends[i].signal));
		assert_ended_as(p, i);
		page_free(p);
	}
}

static void a_state_changes_only_once(void **state)
{
	struct room *r = *state;

	assert_true(page_end(r->page, PAGE_FAILED, 255, 0));
	for (size_t i = 0; i < COUNT(ends); i++)
		assert_false(page_end(r->page, ends[i].state, ends[i].exit, ends[i].signal));
	page_publish(r->page, 1, 1);
	page_poke(r->page);
	assert_ended_as(r->page, 1);
}

enum { PAGES = 256, RACES = 30 };

struct racer {
	struct page **pages;
	_Atomic unsigned *ready; /* how many stand at the start */
	size_t end;		 /* of `ends` */
	bool won[PAGES];
};

/* Through all the pages in the same order: whoever is ahead has to fetch each from memory and is caught up with, so that the two
 * come to most of them at the same moment. */
static void *race(void *arg)
{
	struct racer *me = arg;

	atomic_fetch_add(me->ready, 1);
	for (unsigned spins = 1; atomic_load(me->ready) < 2; spins++)
		if (spins % 1000 == 0)
			sched_yield();
	for (unsigned i = 0; i < PAGES; i++)
		me->won[i] = page_end(me->pages[i], ends[me->end].state, ends[me->end].exit, ends[me->end].signal);
	return NULL;
}

static void of_two_threads_at_the_same_moment_exactly_one_ends_a_run(void **state)
{
	(void)state;
	for (unsigned n = 0; n < RACES; n++) {
		struct page *pages[PAGES];
		_Atomic unsigned ready = 0;
		struct racer a = {.pages = pages, .ready = &ready, .end = 1}, b = {.pages = pages, .ready = &ready, .end = 2};
		pthread_t thread;

		for (unsigned i = 0; i < PAGES; i++)
			assert_int_equal(page_create(&pages[i], &GEN, KEY_HASH, 1, SC_FOREVER), 0);
		assert_int_equal(pthread_create(&thread, NULL, race, &b), 0);
		race(&a);
		pthread_join(thread, NULL);
		for (unsigned i = 0; i < PAGES; i++) {
			assert_int_equal(a.won[i] + b.won[i], 1);
			assert_ended_as(pages[i], a.won[i] ? a.end : b.end);
			page_free(pages[i]);
		}
	}
}

static _Atomic unsigned *line_up; /* shared by all processes: who stands at the line */

static void race_to_end(struct page *p, int fd, unsigned i)
{
	(void)fd;
	atomic_fetch_sub(line_up, 1);
	while (atomic_load(line_up))
		sched_yield();
	_exit(page_end(p, ends[i].state, ends[i].exit, ends[i].signal));
}

static void of_several_processes_exactly_one_ends_a_run(void **state)
{
	(void)state;
	line_up = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(line_up, MAP_FAILED);
	for (unsigned round = 0; round < 20; round++) {
		struct peer peers[4];
		unsigned winners = 0;
		struct page *p;

		assert_int_equal(page_create(&p, &GEN, KEY_HASH, 1, SC_FOREVER), 0);
		atomic_store(line_up, COUNT(peers));
		for (unsigned i = 0; i < COUNT(peers); i++)
			peers[i] = start(p, race_to_end, i);
		for (unsigned i = 0; i < COUNT(peers); i++) {
			int won = end_of(&peers[i]);

			assert_in_range(won, 0, 1);
			winners += (unsigned)won;
			if (won)
				assert_ended_as(p, i);
		}
		assert_int_equal(winners, 1);
		page_free(p);
	}
	munmap((void *)(uintptr_t)line_up, 4096);
}

/* ---- slots ---- */

/* Takes one, and keeps it until told. */
static void keep_a_slot(struct page *p, int fd, unsigned hint)
{
	if (page_take_slot(p, hint))
		_exit(1);
	page_set_position(p, hint, hint);
	step(fd);
	await(fd);
}

static struct peer start_reader(struct page *p, unsigned hint)
{
	struct peer peer = start(p, keep_a_slot, hint);

	assert_true(await(peer.fd));
	return peer;
}

static void each_process_gets_a_slot_of_its_own(void **state)
{
	struct room *r = *state;
	struct peer peers[20];

	/* All of them want the same one: first come first, the others take the next free. */
	for (unsigned i = 0; i < COUNT(peers); i++) {
		peers[i] = start_reader(r->page, 7);
		assert_int_equal(holder(r->page, 7 + i), peers[i].pid);
	}
	for (unsigned byte = 0; byte <= SC_SLOTS; byte++)
		if (byte < 7 || byte >= 7 + COUNT(peers))
			assert_int_equal(holder(r->page, byte), 0);
	for (unsigned i = 0; i < COUNT(peers); i++) {
		assert_true(step(peers[i].fd));
		assert_int_equal(end_of(&peers[i]), 0);
	}
	assert_false(page_has_readers(r->page));
}

static void the_search_for_a_slot_begins_anew_at_the_end(void **state)
{
	struct room *r = *state;
	struct peer a = start_reader(r->page, SC_SLOTS - 1), b = start_reader(r->page, SC_SLOTS - 1),
		    c = start_reader(r->page, UINT32_MAX);

	assert_int_equal(holder(r->page, SC_SLOTS - 1), a.pid);
	assert_int_equal(holder(r->page, 0), b.pid);
	assert_int_equal(holder(r->page, 1), c.pid);
	kill_off(&a);
	kill_off(&b);
	kill_off(&c);
}

static void a_reader_killed_with_kill_9_frees_its_slot_at_once(void **state)
{
	struct room *r = *state;

	for (unsigned i = 0; i < 10; i++) {
		struct peer peer = start_reader(r->page, 3);

		assert_int_equal(holder(r->page, 3), peer.pid);
		assert_true(page_has_readers(r->page));
		kill_off(&peer);
		assert_int_equal(holder(r->page, 3), 0);
		assert_false(page_has_readers(r->page));
	}
}

/* All slots but one, as so many readers would. */
static void keep_all_but(struct page *p, int fd, unsigned one)
{
	struct flock low = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = one};
	struct flock high = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = one + 1, .l_len = SC_SLOTS - one - 1};

	/* A length of 0 would mean: to the end. */
	if (low.l_len && fcntl(page_fd(p), F_SETLK, &low) < 0)
		_exit(1);
	if (high.l_len && fcntl(page_fd(p), F_SETLK, &high) < 0)
		_exit(1);
	step(fd);
	await(fd);
}

static void with_one_slot_free_it_is_found_from_anywhere(void **state)
{
	static const unsigned free_ones[] = {0, 1, 2000, SC_SLOTS - 1};
	struct room *r = *state;

	for (size_t i = 0; i < COUNT(free_ones); i++) {
		struct peer crowd = start(r->page, keep_all_but, free_ones[i]), one;

		assert_true(await(crowd.fd));
		one = start_reader(r->page, 2001);
		assert_int_equal(holder(r->page, free_ones[i]), one.pid);
		assert_int_equal(holder(r->page, SC_SLOTS), 0);
		kill_off(&one);
		kill_off(&crowd);
	}
}

static void keep_all(struct page *p, int fd, unsigned arg)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = SC_SLOTS};

	(void)arg;
	if (fcntl(page_fd(p), F_SETLK, &all) < 0)
		_exit(1);
	step(fd);
	await(fd);
}

static void with_no_slot_free_any_number_share_a_place_and_count(void **state)
{
	struct room *r = *state;
	struct peer crowd = start(r->page, keep_all, 0), a, b;

	assert_true(await(crowd.fd));
	a = start_reader(r->page, 5);
	b = start_reader(r->page, 6);
	assert_true(holder(r->page, SC_SLOTS) == a.pid || holder(r->page, SC_SLOTS) == b.pid);
	kill_off(&crowd);
	assert_true(page_has_readers(r->page));
	kill_off(&a);
	assert_int_equal(holder(r->page, SC_SLOTS), b.pid);
	assert_true(page_has_readers(r->page));
	kill_off(&b);
	assert_false(page_has_readers(r->page));
}

static void one_process_has_one_slot_however_often_it_asks(void **state)
{
	struct room *r = *state;
	struct peer peer;

	assert_int_equal(page_take_slot(r->page, 9), 0);
	assert_int_equal(page_take_slot(r->page, 9), 0);
	page_leave_slot(r->page);
	peer = start_reader(r->page, 9);
	assert_int_equal(holder(r->page, 9), peer.pid);
	kill_off(&peer);
}

static void ask_for_readers(struct page *p, int fd, unsigned arg)
{
	(void)arg;
	while (step(fd) && await(fd))
		if (!step(fd) || write(fd, page_has_readers(p) ? "y" : "n", 1) != 1 || !await(fd))
			_exit(1);
}

/* What a writer would be told: has anybody but me a slot? */
static bool others_read(const struct peer *writer)
{
	char c = 0;

	assert_true(await(writer->fd) && step(writer->fd) && await(writer->fd));
	assert_int_equal(read(writer->fd, &c, 1), 1);
	assert_true(step(writer->fd));
	return c == 'y';
}

static void readers_are_all_who_hold_a_slot_but_oneself(void **state)
{
	struct room *r = *state;
	struct peer writer = start(r->page, ask_for_readers, 0), other;
	struct page *again;

	assert_false(others_read(&writer));
	assert_int_equal(page_take_slot(r->page, 0), 0);
	assert_true(others_read(&writer));
	assert_false(page_has_readers(r->page));
	other = start_reader(r->page, 0);
	assert_true(page_has_readers(r->page));
	kill_off(&other);
	assert_false(page_has_readers(r->page));
	page_leave_slot(r->page);
	assert_false(others_read(&writer));
	/* To free a page is to leave. */
	again = map_again(r->page);
	assert_int_equal(page_take_slot(again, 1), 0);
	assert_true(others_read(&writer));
	page_free(again);
	assert_false(others_read(&writer));
	kill_off(&writer);
}

/* Positions are the hints: each reader sets both streams to its own. */
static void the_span_is_from_the_slowest_to_the_fastest_of_those_that_live(void **state)
{
	struct room *r = *state;
	uint64_t slowest = 7, fastest = 7;
	struct peer a, b, c;

	assert_false(page_span(r->page, &slowest, &fastest));
	a = start_reader(r->page, 10);
	assert_true(page_span(r->page, &slowest, &fastest));
	assert_int_equal(slowest, 20);
	assert_int_equal(fastest, 20);
	b = start_reader(r->page, 300);
	c = start_reader(r->page, 4);
	assert_true(page_span(r->page, &slowest, &fastest));
	assert_int_equal(slowest, 8);
	assert_int_equal(fastest, 600);
	/* What stands in a slot that nobody holds any more, or in one's own, does not count. */
	kill_off(&b);
	kill_off(&c);
	assert_int_equal(page_take_slot(r->page, 1), 0);
	page_set_position(r->page, 1, 0);
	assert_true(page_span(r->page, &slowest, &fastest));
	assert_int_equal(slowest, 20);
	assert_int_equal(fastest, 20);
	kill_off(&a);
	assert_false(page_span(r->page, &slowest, &fastest));
}

static void the_command_is_told_to_those_of_the_same_process_namespace(void **state)
{
	struct room *r = *state;
	struct page *other = map_again(r->page);

	assert_int_equal(page_command(other), 0);
	page_tell_command(r->page, 4711);
	assert_int_equal(page_command(other), 4711);
	page_tell_command(r->page, 0);
	assert_int_equal(page_command(other), 0);
	page_free(other);
}

static void a_position_is_nobodys_but_its_slots(void **state)
{
	struct room *r = *state;
	struct page_view before, after;

	/* Without a slot there is nowhere to put it. */
	page_publish(r->page, 5, 3);
	page_view(r->page, &before);
	page_set_position(r->page, UINT64_MAX, UINT64_MAX);
	assert_int_equal(page_take_slot(r->page, SC_SLOTS - 1), 0);
	page_set_position(r->page, UINT64_MAX, UINT64_MAX);
	page_leave_slot(r->page);
	page_set_position(r->page, UINT64_MAX, UINT64_MAX);
	page_view(r->page, &after);
	assert_memory_equal(&before, &after, sizeof before);
}

/* ---- sleep ---- */

static void a_sleep_does_not_begin_when_the_word_has_moved(void **state)
{
	struct room *r = *state;
	struct page_view v;

	page_view(r->page, &v);
	page_publish(r->page, 1, 0);
	assert_false(page_wait(r->page, &v, SC_PAGE_WAIT_MS));
	page_view(r->page, &v);
	page_poke(r->page);
	assert_false(page_wait(r->page, &v, SC_PAGE_WAIT_MS));
	page_view(r->page, &v);
	assert_true(page_end(r->page, PAGE_LOST, 0, 0));
	assert_false(page_wait(r->page, &v, SC_PAGE_WAIT_MS));
	/* Also one that came too late wakes, because whoever asked for it may have sent a message with it. */
	page_view(r->page, &v);
	assert_false(page_end(r->page, PAGE_LOST, 0, 0));
	assert_false(page_wait(r->page, &v, SC_PAGE_WAIT_MS));
}

static void a_sleep_is_never_longer_than_the_bound(void **state)
{
	static const struct {
		uint64_t asked, slept;
	} rows[] = {
		{0, 0},
		{1, 1},
		{999, 999},
		{SC_PAGE_WAIT_MS, SC_PAGE_WAIT_MS},
		{SC_PAGE_WAIT_MS + 1, SC_PAGE_WAIT_MS},
		{1ULL << 32, SC_PAGE_WAIT_MS},
		{SC_FOREVER, SC_PAGE_WAIT_MS},
	};
	struct room *r = *state;
	struct page_view v;

	page_view(r->page, &v);
	nobody_sleeps = true;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_true(page_wait(r->page, &v, rows[i].asked));
		uint64_t ms = (uint64_t)last_sleep.tv_sec * 1000 + (uint64_t)last_sleep.tv_nsec / 1000000, end;
		struct timespec now;

		assert_in_range(last_sleep.tv_nsec, 0, 999999999);
		if (rows[i].slept < SC_PAGE_WAIT_MS) {
			assert_int_equal(ms, rows[i].slept);
			continue;
		}
		/* To the next full second, as everybody: 100 ms are for a test that is held up here. */
		assert_in_range(ms, 1, SC_PAGE_WAIT_MS);
		clock_gettime(CLOCK_BOOTTIME, &now);
		end = (uint64_t)now.tv_nsec / 1000000 + ms;
		assert_true((end + 1) % 1000 <= 100 || now.tv_nsec < 100000000);
	}
	nobody_sleeps = false;
	/* And truly ends. */
	assert_true(page_wait(r->page, &v, 1));
}

#define TIMED_OUT 77

static void sleep_once(struct page *p, int fd, unsigned arg)
{
	struct page_view v;

	(void)arg;
	page_view(p, &v);
	step(fd);
	if (page_wait(p, &v, SC_PAGE_WAIT_MS))
		_exit(TIMED_OUT);
}

static void wake_by_publish(struct page *p)
{
	page_publish(p, 1, 1);
}

static void wake_by_end(struct page *p)
{
	page_end(p, PAGE_COMPLETE, 0, 0);
}

/* A machine so busy that we are not heard within the bound of a sleep is no fault: tried again. */
static void assert_wakes(struct page *p, void (*wake)(struct page *))
{
	int status = TIMED_OUT;

	for (int tries = 0; tries < 5 && status == TIMED_OUT; tries++) {
		struct peer sleepers[3];

		for (size_t i = 0; i < COUNT(sleepers); i++) {
			sleepers[i] = start(p, sleep_once, 0);
			assert_true(await(sleepers[i].fd));
		}
		for (size_t i = 0; i < COUNT(sleepers); i++)
			while (!is_still(sleepers[i].pid))
				sched_yield();
		wake(p);
		status = 0;
		for (size_t i = 0; i < COUNT(sleepers); i++)
			status |= end_of(&sleepers[i]);
	}
	assert_int_equal(status, 0);
}

static void everybody_asleep_is_woken_by_growth(void **state)
{
	assert_wakes(((struct room *)*state)->page, wake_by_publish);
}

static void everybody_asleep_is_woken_by_a_poke(void **state)
{
	assert_wakes(((struct room *)*state)->page, page_poke);
}

static void everybody_asleep_is_woken_by_the_end(void **state)
{
	assert_wakes(((struct room *)*state)->page, wake_by_end);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void a_signal_ends_a_sleep(void **state)
{
	const struct itimerval often = {.it_value = {.tv_usec = 1000}, .it_interval = {.tv_usec = 1000}}, off = {0};
	struct sigaction act = {.sa_handler = on_alarm}, old;
	struct room *r = *state;
	struct page_view v;

	page_view(r->page, &v);
	assert_int_equal(sigaction(SIGALRM, &act, &old), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	assert_false(page_wait(r->page, &v, SC_PAGE_WAIT_MS));
	assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_page, free_page)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_page_is_running_and_empty),
		TEST(a_page_cannot_shrink_or_grow_or_be_sealed_further),
		TEST(what_is_published_is_seen_through_another_mapping),
		TEST(a_page_whose_seals_are_missing_is_refused_and_closed),
		TEST(a_page_of_another_size_is_refused_and_closed),
		TEST(a_page_of_another_generation_is_refused_and_closed),
		TEST(what_is_no_memfd_is_refused_and_closed),
		TEST(lengths_are_only_ever_seen_in_order),
		TEST(exit_and_signal_arrive_with_the_state),
		TEST(a_state_changes_only_once),
		TEST(of_two_threads_at_the_same_moment_exactly_one_ends_a_run),
		TEST(of_several_processes_exactly_one_ends_a_run),
		TEST(each_process_gets_a_slot_of_its_own),
		TEST(the_search_for_a_slot_begins_anew_at_the_end),
		TEST(a_reader_killed_with_kill_9_frees_its_slot_at_once),
		TEST(with_one_slot_free_it_is_found_from_anywhere),
		TEST(with_no_slot_free_any_number_share_a_place_and_count),
		TEST(one_process_has_one_slot_however_often_it_asks),
		TEST(readers_are_all_who_hold_a_slot_but_oneself),
		TEST(the_span_is_from_the_slowest_to_the_fastest_of_those_that_live),
		TEST(the_command_is_told_to_those_of_the_same_process_namespace),
		TEST(a_position_is_nobodys_but_its_slots),
		TEST(a_sleep_does_not_begin_when_the_word_has_moved),
		TEST(a_sleep_is_never_longer_than_the_bound),
		TEST(everybody_asleep_is_woken_by_growth),
		TEST(everybody_asleep_is_woken_by_a_poke),
		TEST(everybody_asleep_is_woken_by_the_end),
		TEST(a_signal_ends_a_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

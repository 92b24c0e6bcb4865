/* SIEVE as a choice: against the list of its paper, and by what must hold whatever is visited, read and needed. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/sieve.h"

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31)) % below;
}

static int seed(void **state)
{
	const char *given = getenv("SC_TEST_SEED");

	(void)state;
	random_state = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	print_message("SC_TEST_SEED=%llu\n", (unsigned long long)random_state);
	return 0;
}

/* ---- a cache in a row: the oldest first, ids ascending ---- */

#define ROWS_MAX 64

struct cache {
	struct sieve_row rows[ROWS_MAX];
	unsigned n;
	int64_t hand, last_id;
	uint64_t passed;
};

static void add(struct cache *c, uint64_t bytes)
{
	c->rows[c->n++] = (struct sieve_row){.id = ++c->last_id, .bytes = bytes};
}

static void drop(struct cache *c, unsigned i)
{
	memmove(&c->rows[i], &c->rows[i + 1], (c->n - i - 1) * sizeof *c->rows);
	c->n--;
}

static unsigned at_hand(const struct cache *c, int64_t hand)
{
	unsigned i = 0;

	while (i < c->n && c->rows[i].id < hand)
		i++;
	return i;
}

struct took {
	unsigned rows;
	uint64_t bytes;
	bool stuck;
	int64_t last;
};

/* As the index does it, in batches of so many looks. */
static struct took evict(struct cache *c, uint64_t entries, uint64_t bytes, unsigned looks)
{
	struct took t = {0};
	unsigned total = 0;

	c->passed = 0;
	for (;;) {
		struct sieve s = {.hand = c->hand,
				  .newest = c->n ? c->rows[c->n - 1].id : 0,
				  .rows = c->n,
				  .passed = c->passed,
				  .entries = entries,
				  .bytes = bytes};
		unsigned i = at_hand(c, s.hand), left = looks;

		while (i < c->n && left > 0 && sieve_goes_on(&s)) {
			struct sieve_row *r = &c->rows[i];
			bool visited = r->visited, read = r->read;

			left--;
			/* Each row is looked at twice at most before something goes. */
			assert_true(total++ <= (t.rows + 1) * (2 * ROWS_MAX + 2));
			switch (sieve_choose(&s, r)) {
			case SIEVE_PASS:
				i++;
				break;
			case SIEVE_SPARE:
				assert_true(visited && !read);
				r->visited = false;
				i++;
				break;
			case SIEVE_TAKE:
				assert_false(visited || read);
				t.rows++;
				t.bytes += r->bytes;
				t.last = r->id;
				drop(c, i);
				break;
			}
		}
		sieve_rest(&s, i < c->n ? c->rows[i].id : 0);
		c->hand = s.hand;
		c->passed = s.passed;
		entries = s.entries;
		bytes = s.bytes;
		t.stuck = sieve_is_stuck(&s);
		if (t.stuck || !(entries || bytes))
			return t;
	}
}

/* ---- the paper's: a list with the newest at its head ---- */

struct node {
	int64_t id;
	bool visited;
	struct node *newer, *older;
};

struct list {
	struct node *head, *tail, *hand;
};

static void list_add(struct list *l, int64_t id)
{
	struct node *n = calloc(1, sizeof *n);

	assert_non_null(n);
	n->id = id;
	n->older = l->head;
	if (l->head)
		l->head->newer = n;
	else
		l->tail = n;
	l->head = n;
}

static int64_t list_evict(struct list *l)
{
	struct node *n = l->hand ? l->hand : l->tail;
	int64_t id;

	while (n->visited) {
		n->visited = false;
		n = n->newer ? n->newer : l->tail;
	}
	l->hand = n->newer;
	*(n->newer ? &n->newer->older : &l->head) = n->older;
	*(n->older ? &n->older->newer : &l->tail) = n->newer;
	id = n->id;
	free(n);
	return id;
}

static void it_takes_what_the_paper_takes(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		unsigned room = 2 + (unsigned)draw(ROWS_MAX - 3), visits = (unsigned)draw(4);
		struct cache c = {0};
		struct list l = {0};

		for (unsigned step = 0; step < 300; step++) {
			for (unsigned v = 0; v < visits && c.n > 0; v++) {
				unsigned i = (unsigned)draw(c.n);
				struct node *n = l.head;

				c.rows[i].visited = true;
				while (n->id != c.rows[i].id)
					n = n->older;
				n->visited = true;
			}
			if (c.n < room) {
				add(&c, 1);
				list_add(&l, c.last_id);
				continue;
			}
			/* The paper makes room first; we when it is there. */
			int64_t gone = list_evict(&l);

			list_add(&l, c.last_id + 1);
			add(&c, 1);
			assert_int_equal(evict(&c, 1, 0, 1 + (unsigned)draw(8)).last, gone);
		}
		while (l.head) {
			struct node *n = l.head;

			l.head = n->older;
			free(n);
		}
	}
}

/* ---- whatever comes ---- */

static void enough_goes_or_nothing_can(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 5000; round++) {
		uint64_t entries = draw(6), bytes = draw(300), free_rows = 0, held = 0;
		struct cache c = {0};
		struct took t;

		for (uint64_t n = draw(ROWS_MAX); n > 0; n--) {
			add(&c, draw(100));
			c.rows[c.n - 1].visited = draw(2);
			c.rows[c.n - 1].read = draw(4) == 0;
		}
		c.hand = (int64_t)draw((uint64_t)c.last_id + 3);
		t = evict(&c, entries, bytes, 1 + (unsigned)draw(2 * ROWS_MAX));
		for (unsigned i = 0; i < c.n; i++) {
			held += c.rows[i].read;
			free_rows += !c.rows[i].read;
		}
		if (t.stuck)
			assert_true(free_rows == 0 || (free_rows == 1 && !c.rows[c.n - 1].read && held > 0));
		else
			assert_true(t.rows >= entries && t.bytes >= bytes);
	}
}

static void not_more_goes_than_is_needed(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		uint64_t entries = draw(10);
		struct cache c = {0};

		for (unsigned n = 0; n < 40; n++)
			add(&c, 10);
		assert_int_equal(evict(&c, entries, 0, ROWS_MAX).rows, entries);
		c = (struct cache){0};
		for (unsigned n = 0; n < 40; n++)
			add(&c, 10);
		assert_int_equal(evict(&c, 0, entries * 10, ROWS_MAX).rows, entries);
	}
}

static void the_newest_goes_when_it_is_alone(void **state)
{
	struct cache c = {0};

	(void)state;
	add(&c, 10);
	add(&c, 10);
	c.hand = 2;
	assert_int_equal(evict(&c, 1, 0, 8).last, 1);
	assert_int_equal(evict(&c, 1, 0, 8).last, 2);
	assert_true(evict(&c, 1, 0, 8).stuck);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_takes_what_the_paper_takes),
		cmocka_unit_test(enough_goes_or_nothing_can),
		cmocka_unit_test(not_more_goes_than_is_needed),
		cmocka_unit_test(the_newest_goes_when_it_is_alone),
	};

	return cmocka_run_group_tests(tests, seed, NULL);
}

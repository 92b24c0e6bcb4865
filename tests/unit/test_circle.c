/* daemon/circle: whether somebody who waits would wait for itself, held against a search that cannot be wrong on every small
 * graph. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "daemon/circle.h"

struct pair {
	unsigned from, to;
};

static bool ask(unsigned nodes, const struct pair *pairs, size_t n, unsigned starts, unsigned goals)
{
	struct circle g;
	bool yes;

	assert_int_equal(circle_init(&g, nodes), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(circle_add(&g, pairs[i].from, pairs[i].to), 0);
	for (unsigned i = 0; i < nodes; i++)
		g.marks[i] = (uint8_t)((starts >> i & 1 ? CIRCLE_START : 0) | (goals >> i & 1 ? CIRCLE_GOAL : 0));
	yes = circle_closes(&g);
	circle_release(&g);
	return yes;
}

static void nothing_waits_in_an_empty_graph(void **state)
{
	(void)state;
	assert_false(ask(0, NULL, 0, 0, 0));
	assert_false(ask(3, NULL, 0, 7, 0));
	assert_false(ask(3, NULL, 0, 0, 7));
}

static void a_run_asked_for_from_inside_is_a_circle_without_any_edge(void **state)
{
	(void)state;
	assert_true(ask(1, NULL, 0, 1, 1));
	assert_false(ask(2, NULL, 0, 1, 2));
}

static void edges_lead_one_way(void **state)
{
	static const struct pair ring[] = {{0, 1}, {1, 2}};

	(void)state;
	assert_true(ask(3, ring, 2, 1, 4));
	assert_false(ask(3, ring, 2, 4, 1));
}

static void rings_that_do_not_hold_the_goal_end(void **state)
{
	static const struct pair ring[] = {{0, 1}, {1, 2}, {2, 0}, {1, 1}, {0, 1}};

	(void)state;
	assert_false(ask(4, ring, 5, 1, 8));
	assert_true(ask(4, ring, 5, 1, 4));
}

/* All graphs of three nodes, each with every choice of starts and goals. */
static void every_small_graph_is_answered_as_by_closure(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 1u << 9; bits++) {
		struct pair pairs[9];
		unsigned reach[3] = {1, 2, 4};
		size_t n = 0;

		for (unsigned e = 0; e < 9; e++)
			if (bits >> e & 1)
				pairs[n++] = (struct pair){e / 3, e % 3};
		for (int round = 0; round < 3; round++)
			for (size_t i = 0; i < n; i++)
				reach[pairs[i].from] |= reach[pairs[i].to];
		for (unsigned starts = 0; starts < 8; starts++)
			for (unsigned goals = 0; goals < 8; goals++) {
				bool want = false;

				for (unsigned i = 0; i < 3; i++)
					want |= (starts >> i & 1) && (reach[i] & goals);
				assert_int_equal(ask(3, pairs, n, starts, goals), want);
			}
	}
}

static void a_long_way_and_many_edges(void **state)
{
	enum { N = 20000 };
	struct circle g;

	(void)state;
	for (int broken = 0; broken < 2; broken++) {
		assert_int_equal(circle_init(&g, N), 0);
		for (unsigned i = 0; i + 1 < N; i++)
			if (!broken || i != N / 2)
				assert_int_equal(circle_add(&g, i, i + 1), 0);
		for (unsigned i = 0; i < N; i++)
			assert_int_equal(circle_add(&g, i, i / 2), 0);
		g.marks[0] = CIRCLE_START;
		g.marks[N - 1] = CIRCLE_GOAL;
		assert_int_equal(circle_closes(&g), !broken);
		circle_release(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_waits_in_an_empty_graph),
		cmocka_unit_test(a_run_asked_for_from_inside_is_a_circle_without_any_edge),
		cmocka_unit_test(edges_lead_one_way),
		cmocka_unit_test(rings_that_do_not_hold_the_goal_end),
		cmocka_unit_test(every_small_graph_is_answered_as_by_closure),
		cmocka_unit_test(a_long_way_and_many_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

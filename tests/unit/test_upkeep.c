/* The clock of the walk, by its promises. Tickers, index and listener are the test's own: it says when a ticker is over and when the
 * index has done a step, so that they can come in any order. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "daemon/daemon.h"
#include "daemon/index.h"
#include "daemon/listener.h"
#include "daemon/ticker.h"
#include "daemon/trust.h"
#include "daemon/upkeep.h"
#include "daemon/walk.h"
#include "lib/err.h"

/* ---- what it stands on ---- */

struct ticker {
	struct daemon *d;
	on_tick cb;
	void *arg;
	bool running;
	uint64_t ms;
};

/* Upkeep makes two, the one for looks first. */
enum which { LOOK, WALK };
static struct ticker *tickers[2];

struct ticker *ticker_new(struct daemon *d, on_tick cb, void *arg)
{
	enum which w = tickers[LOOK] ? WALK : LOOK;

	tickers[w] = calloc(1, sizeof *tickers[w]);
	assert_non_null(tickers[w]);
	*tickers[w] = (struct ticker){d, cb, arg, false, 0};
	return tickers[w];
}

void ticker_start(struct ticker *t, uint64_t ms)
{
	t->ms = ms;
	t->running = true;
}

void ticker_stop(struct ticker *t)
{
	t->running = false;
}

void ticker_free(struct ticker *t)
{
	free(t);
}

void trust_look(struct daemon *d)
{
	(void)d;
}

void listener_check(struct listener *l)
{
	(void)l;
}

bool listener_watches(const struct listener *l)
{
	(void)l;
	return true;
}

void log_event(struct log *l, const char *event, const char *fmt, ...)
{
	(void)l, (void)event, (void)fmt;
}

static unsigned epoch, steps; /* steps: those the index has to do */
static struct walk_order *order;
static index_done step_done;
static void *step_arg;
static bool left_orphans;

bool index_has_left_orphans(struct index *ix)
{
	(void)ix;
	return left_orphans;
}

bool index_is_there(struct index *ix)
{
	(void)ix;
	return true;
}

void index_renew(struct index *ix)
{
	(void)ix;
}

unsigned index_epoch(struct index *ix)
{
	(void)ix;
	return epoch;
}

int index_walk(struct index *ix, struct walk_order *o, index_done done, void *arg)
{
	(void)ix;
	steps++;
	order = o;
	step_done = done;
	step_arg = arg;
	return 0;
}

/* The index has done a step: the last one, or not. */
static void answer(bool over)
{
	assert_int_equal(steps, 1);
	steps = 0;
	order->over = over;
	step_done(step_arg, 0, 0);
}

/* False: it was stopped. */
static bool fire(enum which w)
{
	struct ticker *t = tickers[w];

	if (!t->running)
		return false;
	t->running = false;
	t->cb(t->d, t->arg);
	return true;
}

struct told {
	unsigned calls;
	int status;
};

static void on_walked(void *arg, int status, const struct walk_order *found)
{
	struct told *t = arg;

	(void)found;
	t->calls++;
	t->status = status;
}

/* ---- the tests ---- */

static int set_up(void **state)
{
	static struct daemon d;

	d = (struct daemon){0};
	tickers[LOOK] = tickers[WALK] = NULL;
	epoch = 1;
	steps = 0;
	assert_int_equal(upkeep_start(&d), 0);
	*state = &d;
	return 0;
}

/* … behind an index that had names in the clear. */
static int set_up_behind_clear(void **state)
{
	int rc;

	left_orphans = true;
	rc = set_up(state);
	left_orphans = false;
	return rc;
}

static int tear_down(void **state)
{
	struct daemon *d = *state;

	upkeep_stop(d->upkeep);
	upkeep_free(d->upkeep);
	return 0;
}

static void a_walk_goes_on_step_by_step_until_it_is_over(void **state)
{
	(void)state;
	assert_true(fire(WALK));
	for (int i = 0; i < 3; i++) {
		answer(false);
		assert_int_equal(steps, 0);
		assert_true(fire(WALK));
	}
	answer(true);
	assert_true(fire(WALK)); /* a day later */
	answer(true);
}

/* The index would be told to walk on in a walk that is over. */
static void the_daily_walk_does_not_come_into_the_first_step_of_one_that_was_asked_for(void **state)
{
	struct daemon *d = *state;
	struct told told = {0};

	assert_int_equal(upkeep_walk(d->upkeep, true, on_walked, &told), 0);
	fire(WALK);
	assert_int_equal(steps, 1);
	answer(true);
	assert_int_equal(told.calls, 1);
	assert_int_equal(told.status, 0);
	assert_true(fire(WALK)); /* its time comes all the same */
	answer(true);
}

static void the_daily_walk_does_not_come_into_the_first_step_of_one_after_a_new_index(void **state)
{
	(void)state;
	epoch++;
	assert_true(fire(LOOK));
	fire(WALK);
	assert_int_equal(steps, 1);
	answer(true);
	assert_true(fire(WALK));
	answer(true);
}

static void who_asks_while_one_goes_on_has_the_next_and_a_third_is_told_so(void **state)
{
	struct daemon *d = *state;
	struct told first = {0}, second = {0}, third = {0};

	assert_int_equal(upkeep_walk(d->upkeep, true, on_walked, &first), 0);
	assert_int_equal(upkeep_walk(d->upkeep, true, on_walked, &second), 0);
	assert_int_equal(upkeep_walk(d->upkeep, true, on_walked, &third), SC_EBUSY);
	answer(true);
	assert_int_equal(first.calls, 1);
	assert_int_equal(second.calls, 0);
	fire(WALK);
	answer(true);
	assert_int_equal(second.calls, 1);
	assert_int_equal(third.calls, 0);
}

static void what_an_index_in_the_clear_has_left_goes_at_once_and_the_rest_has_its_grace(void **state)
{
	(void)state;
	assert_int_equal(tickers[WALK]->ms, 0);
	assert_true(fire(WALK));
	assert_int_equal(order->grace_ms, 0);
	answer(true);
	assert_true(fire(WALK)); /* a day later */
	assert_true(order->grace_ms > 0);
	answer(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_walk_goes_on_step_by_step_until_it_is_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_daily_walk_does_not_come_into_the_first_step_of_one_that_was_asked_for,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_daily_walk_does_not_come_into_the_first_step_of_one_after_a_new_index,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_asks_while_one_goes_on_has_the_next_and_a_third_is_told_so, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_an_index_in_the_clear_has_left_goes_at_once_and_the_rest_has_its_grace,
						set_up_behind_clear, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

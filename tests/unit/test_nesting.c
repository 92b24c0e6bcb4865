/* daemon/nesting: who would wait for itself is asked again, and what happens when that does not help. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "daemon/answer.h"
#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/flight_parts.h"
#include "daemon/nesting.h"

#define PEERS 3

/* A run, the key it is of, and peers inside of it that wait for that key. */
static struct {
	struct daemon d;
	struct flights flights;
	struct key key;
	struct flight run;
	struct conn peers[PEERS];
	struct ask asks[PEERS];
	unsigned asked, closed;
	bool helps; /* to be asked again */
} t;

static const struct gen GEN = {{0xab, 1, 2, 3}};

/* ---- what nesting.c calls ---- */

void answer_again(struct conn *c)
{
	t.asked++;
	if (t.helps)
		c->waits_for = NULL;
}

void conn_close(struct conn *c, const char *why)
{
	(void)c, (void)why;
	t.closed++;
}

void daemon_stop(struct daemon *d, const char *why)
{
	(void)d, (void)why;
}

struct flight *flight_find(struct daemon *d, const struct gen *g)
{
	(void)d;
	return memcmp(g, &GEN, sizeof *g) == 0 ? &t.run : NULL;
}

struct key *key_find(struct daemon *d, struct bytes bucket, struct bytes key)
{
	(void)d, (void)bucket, (void)key;
	return &t.key;
}

/* ---- the stage ---- */

static int set_stage(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	t.d.flights = &t.flights;
	t.run.d = &t.d;
	t.run.gen = GEN;
	t.run.state = FLIGHT_RUNNING;
	HASH_ADD(hh, t.flights.by_gen, gen, sizeof t.run.gen, &t.run);
	DL_APPEND(t.key.flights, &t.run);
	for (int i = 0; i < PEERS; i++) {
		struct conn *c = &t.peers[i];

		c->d = &t.d;
		c->state = CONN_WAITING;
		c->ask = &t.asks[i];
		c->waits_for = &t.key;
		DL_APPEND(t.d.conns, c);
		t.d.nconns++;
	}
	alarm(60); /* a search without an end is red, too */
	return 0;
}

static int clear_stage(void **state)
{
	(void)state;
	for (int i = 0; i < PEERS; i++)
		nesting_forget(&t.peers[i]);
	HASH_CLEAR(hh, t.flights.by_gen);
	alarm(0);
	return 0;
}

static void nobody_is_asked_who_is_inside_of_nothing(void **state)
{
	(void)state;
	nesting_ask_again(&t.d);
	assert_int_equal(t.asked, 0);
}

static void each_who_would_wait_for_itself_is_asked_once(void **state)
{
	(void)state;
	t.helps = true;
	for (int i = 1; i < PEERS; i++)
		assert_int_equal(nesting_locate(&t.peers[i], &GEN, 1), 0);
	nesting_ask_again(&t.d);
	assert_int_equal(t.asked, PEERS - 1);
	assert_non_null(t.peers[0].waits_for);
	assert_int_equal(t.closed, 0);
}

/* decide() and the search for circles might not be of one mind: then the caller waits, and the daemon serves all others. */
static void who_is_asked_again_and_waits_all_the_same_does_not_keep_the_daemon(void **state)
{
	(void)state;
	for (int i = 0; i < PEERS; i++)
		assert_int_equal(nesting_locate(&t.peers[i], &GEN, 1), 0);
	nesting_ask_again(&t.d);
	assert_in_range(t.asked, 1, 2 * PEERS + 1);
	t.asked = 0;
	for (int i = 0; i < PEERS; i++)
		t.peers[i].session = 4711;
	nesting_recheck(&t.d, 4711);
	assert_in_range(t.asked, 1, 2 * PEERS + 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_stage, clear_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_is_asked_who_is_inside_of_nothing),
		TEST(each_who_would_wait_for_itself_is_asked_once),
		TEST(who_is_asked_again_and_waits_all_the_same_does_not_keep_the_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

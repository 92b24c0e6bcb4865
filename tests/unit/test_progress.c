/* What the waiting line says, and how wide it is. When it is there and goes is for cli/waiting.bats. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "cmd/progress.h"
#include "lib/limits.h"

static const struct progress_facts RUN = {
	.pid = 4711, .age_ms = 12345, .estimate_ms = SC_FOREVER, .bytes = 3500 * 1024, .rate = 1126 * 1024};

static void expect(const char *want, const char *key, const struct progress_facts *f, unsigned columns)
{
	char got[640];

	assert_string_equal(progress_format(got, sizeof got, key, f, columns), want);
}

static void a_run_of_ones_own_says_since_when_how_much_and_how_fast(void **state)
{
	struct progress_facts f = RUN;

	(void)state;
	expect("sc: build: running for 12s (pid 4711), 3.4M, 1.1M/s", "build", &f, 200);
	f.pid = 0;
	expect("sc: build: running for 12s, 3.4M, 1.1M/s", "build", &f, 200);
	f.bytes = f.rate = 0;
	f.silent_ms = 12345;
	expect("sc: build: running for 12s, no output yet", "build", &f, 200);
}

static void what_is_left_away_first_is_the_pid(void **state)
{
	struct progress_facts f = RUN;

	(void)state;
	expect("sc: build: running for 12s (pid 4711), 3.4M, 1.1M/s", "build", &f, 51);
	expect("sc: build: running for 12s, 3.4M, 1.1M/s", "build", &f, 50);
	expect("sc: build: running for 12s, 3.4M, 1.1M", "build", &f, 38);
}

static void a_run_of_anothers_says_so(void **state)
{
	struct progress_facts f = RUN;

	(void)state;
	f.others = true;
	expect("sc: build: run by another caller for 12s (pid 4711), 3.4M, 1.1M/s", "build", &f, 200);
}

static void what_is_waited_for_may_come_in_bytes(void **state)
{
	struct progress_facts f = {.waiting = "stdin to end", .age_ms = 3000, .bytes = 3500 * 1024, .rate = 1126 * 1024};

	(void)state;
	expect("sc: k: waiting for stdin to end, 3s, 3.4M, 1.1M/s", "k", &f, 200);
	f.bytes = 0;
	expect("sc: k: waiting for stdin to end, 3s", "k", &f, 200);
}

static void silence_takes_the_place_of_the_rate(void **state)
{
	struct progress_facts f = RUN;

	(void)state;
	f.silent_ms = 2000;
	expect("sc: build: running for 12s (pid 4711), 3.4M, nothing for 2s", "build", &f, 200);
	f.silent_ms = 1999;
	expect("sc: build: running for 12s (pid 4711), 3.4M, 1.1M/s", "build", &f, 200);
}

static void the_last_run_tells_how_long_still(void **state)
{
	struct progress_facts f = RUN;

	(void)state;
	f.age_ms = 10000;
	f.estimate_ms = 50000;
	expect("sc: build: running for 10s (pid 4711), 3.4M, 1.1M/s, about 40s left", "build", &f, 200);
	f.age_ms = 49999;
	expect("sc: build: running for 49s (pid 4711), 3.4M, 1.1M/s, about 1s left", "build", &f, 200);
	f.age_ms = 50000;
	expect("sc: build: running for 50s (pid 4711), 3.4M, 1.1M/s, longer than last time (50s)", "build", &f, 200);
}

static void what_is_waited_for_is_named(void **state)
{
	struct progress_facts f = {.waiting = "the next run", .age_ms = 61000};

	(void)state;
	expect("sc: build: waiting for the next run, 1m1s", "build", &f, 200);
}

static void a_key_is_escaped_and_shortened(void **state)
{
	struct progress_facts f = {.waiting = "x", .age_ms = 1000};

	(void)state;
	expect("sc: a\\x1b[31m\\nb: waiting for x, 1s", "a\33[31m\nb", &f, 200);
	expect("sc: 1234567890123456789012345678901234567890: waiting for x, 1s", "1234567890123456789012345678901234567890",
	       &f, 200);
	expect("sc: 1234567890123456789012345678901234567...: waiting for x, 1s", "12345678901234567890123456789012345678901",
	       &f, 200);
	/* Characters that may be two wide each. */
	expect("sc: éééééééééééééééééé...: waiting for x, 1s", "éééééééééééééééééééééé", &f, 200);
}

static unsigned width(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += (unsigned char)*text < 0x80 ? 1 : (unsigned char)*text >= 0xc0 ? 2 : 0;
	return n;
}

static void it_is_never_wider_than_the_terminal_and_ends_at_a_whole_character(void **state)
{
	struct progress_facts f = RUN;
	char got[640];
	unsigned whole;

	(void)state;
	f.estimate_ms = 1;
	f.pid = 0;
	whole = width(progress_format(got, sizeof got, "kéy", &f, 1000));
	for (unsigned columns = 0; columns < 100; columns++) {
		progress_format(got, sizeof got, "kéy", &f, columns);
		assert_true(width(got) <= columns);
		assert_true(width(got) + 1 >= columns || width(got) == whole);
		assert_true((unsigned char)got[0] < 0x80);
		if (strlen(got) > 0)
			assert_int_not_equal((unsigned char)got[strlen(got) - 1], 0xc3);
	}
	expect("", "key", &f, 0);
	expect("s", "key", &f, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_of_ones_own_says_since_when_how_much_and_how_fast),
		cmocka_unit_test(what_is_left_away_first_is_the_pid),
		cmocka_unit_test(a_run_of_anothers_says_so),
		cmocka_unit_test(what_is_waited_for_may_come_in_bytes),
		cmocka_unit_test(silence_takes_the_place_of_the_rate),
		cmocka_unit_test(the_last_run_tells_how_long_still),
		cmocka_unit_test(what_is_waited_for_is_named),
		cmocka_unit_test(a_key_is_escaped_and_shortened),
		cmocka_unit_test(it_is_never_wider_than_the_terminal_and_ends_at_a_whole_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

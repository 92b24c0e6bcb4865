/* The daemon's decisions in simulated flights: many short scenarios, each from a seed of its own.
 *
 *   SIM_SEED=n   this one scenario, with everything that happened in it
 *   SOAK=1       fifty times as many */
#include "tests/unit/unit.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/driver.h"
#include "tests/sim/sim.h"

#define STEPS 20000000
#define SHOWN 60

static uint64_t seed_now;

/* The daemon's code, or the simulator, has crashed: the scenario once more, with a record. */
static void on_crash(int number)
{
	char text[32], name[] = "flights", *const argv[] = {name, NULL};
	sigset_t none;

	fprintf(stderr, "SIM_SEED=%llu: signal %d\n", (unsigned long long)seed_now, number);
	if (sim.tracing) {
		trace_print(SHOWN);
		_exit(1);
	}
	snprintf(text, sizeof text, "%llu", (unsigned long long)seed_now);
	setenv("SIM_SEED", text, 1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv("/proc/self/exe", argv);
	_exit(1);
}

/* A sanitizer has had enough. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void on_death(void)
{
	fprintf(stderr, "SIM_SEED=%llu\n", (unsigned long long)seed_now);
	if (sim.tracing)
		trace_print(SHOWN);
}

static bool passes(uint64_t seed)
{
	jmp_buf out;

	seed_now = seed;
	sim.out = &out;
	if (setjmp(out))
		return false;
	driver_run(seed);
	return true;
}

/* The same once more, with a record: a scenario is what its seed makes it. */
static void show(uint64_t seed)
{
	const char *given = getenv("SIM_SEED");
	bool alone = given && *given, passed;

	sim.tracing = true;
	passed = passes(seed);
	sim.tracing = false;
	trace_print(alone ? UINT_MAX : SHOWN);
	if (passed) {
		fprintf(stderr, "SIM_SEED=%llu: nothing is wrong\n", (unsigned long long)seed);
		if (alone)
			return;
	}
	fprintf(stderr, "%s\nafter %llu steps in all; SIM_SEED=%llu shows this scenario\n", sim.failure,
		(unsigned long long)sim.steps, (unsigned long long)seed);
	fail();
}

static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value && strcmp(value, "1") == 0;
}

/* What once found something: a caller inside of a run that cannot be stored, who waits for its key, was asked again for ever. They mean
 * this as long as the driver makes of a seed what it made then. */
static const uint64_t found[] = {1795263231075389};

static void flights_keep_their_promises(void **state)
{
	const char *given = getenv("SIM_SEED");
	uint64_t steps = STEPS, seed, n = 0;

	(void)state;
	if (is_set("SOAK"))
		steps *= 50;
	if (is_set("SAN"))
		steps /= 5;
	signal(SIGSEGV, on_crash); /* cmocka's own would not say which scenario it was */
	signal(SIGABRT, on_crash);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(on_death);
	if (given && *given) {
		seed = strtoull(given, NULL, 10);
		show(seed);
		return;
	}
	for (size_t i = 0; i < sizeof found / sizeof *found; i++)
		if (!passes(found[i]))
			show(found[i]);
	seed = (uint64_t)time(NULL) * 1000000;
	fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
	for (; sim.steps < steps; seed++, n++)
		if (!passes(seed))
			show(seed);
	fprintf(stderr, "%llu scenarios, %llu steps\n", (unsigned long long)n, (unsigned long long)sim.steps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flights_keep_their_promises),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

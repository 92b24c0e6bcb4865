/* The growing array of bytes and its bound. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/err.h"

static void what_was_appended_is_there_in_order(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100000);
	for (unsigned i = 0; i < 10000; i++) {
		uint8_t bytes[3] = {(uint8_t)i, (uint8_t)(i >> 8), 7};

		assert_int_equal(buf_append(&b, bytes, 3), 0);
	}
	assert_int_equal(b.len, 30000);
	for (unsigned i = 0; i < 10000; i++) {
		assert_int_equal(b.data[3 * i], (uint8_t)i);
		assert_int_equal(b.data[3 * i + 1], i >> 8);
		assert_int_equal(b.data[3 * i + 2], 7);
	}
	buf_release(&b);
	assert_null(b.data);
	assert_int_equal(b.len, 0);
	buf_release(&b);
}

static void a_buffer_never_grows_past_its_bound(void **state)
{
	static const uint8_t bytes[2000];
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(buf_append(&b, bytes, 1001), SC_ETOOBIG);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_append(&b, bytes, 600), 0);
	assert_int_equal(buf_append(&b, bytes, 401), SC_ETOOBIG);
	assert_int_equal(b.len, 600);
	assert_int_equal(buf_append(&b, bytes, 400), 0);
	assert_int_equal(b.len, 1000);
	assert_int_equal(b.cap, 1000);
	assert_int_equal(buf_append(&b, bytes, 1), SC_ETOOBIG);
	assert_int_equal(buf_append(&b, bytes, 0), 0);
	buf_release(&b);
}

static void a_length_near_the_end_of_the_numbers_does_not_wrap(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(buf_append(&b, "x", 1), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), SC_ETOOBIG);
	assert_int_equal(buf_reserve(&b, SIZE_MAX - 1), SC_ETOOBIG);
	assert_int_equal(b.len, 1);
	buf_release(&b);
}

static void memory_that_is_not_there_is_an_error_and_nothing_is_lost(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, SIZE_MAX);
	assert_int_equal(buf_append(&b, "kept", 4), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX / 2), SC_ENOMEM);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "kept", 4);
	buf_release(&b);
}

static void nothing_can_be_appended_from_nowhere(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_int_equal(b.len, 0);
	buf_consume(&b, 0);
	buf_release(&b);
}

static void room_that_was_reserved_is_not_in_use(void **state)
{
	struct buf b;
	uint8_t *data;

	(void)state;
	buf_init(&b, 10000);
	assert_int_equal(buf_append(&b, "ab", 2), 0);
	assert_int_equal(buf_reserve(&b, 5000), 0);
	assert_int_equal(b.len, 2);
	assert_true(b.cap >= 5002);
	data = b.data;
	memset(b.data + b.len, 1, 5000);
	b.len += 5000;
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_ptr_equal(b.data, data);
	buf_release(&b);
}

static void what_is_consumed_goes_from_the_front(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(buf_append(&b, "abcdef", 6), 0);
	buf_consume(&b, 2);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "cdef", 4);
	buf_consume(&b, 4);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_append(&b, "xy", 2), 0);
	assert_memory_equal(b.data, "xy", 2);
	buf_release(&b);
}

static void consume_too_much(void)
{
	struct buf b;

	buf_init(&b, 100);
	buf_consume(&b, 1);
}

static void use_without_bound(void)
{
	struct buf b = {0};

	buf_append(&b, "a", 1);
}

static void init_without_bound(void)
{
	struct buf b;

	buf_init(&b, 0);
}

static void misuse_stops_the_program_at_once(void **state)
{
	static void (*const misuses[])(void) = {consume_too_much, use_without_bound, init_without_bound};

	(void)state;
	for (size_t i = 0; i < COUNT(misuses); i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			/* cmocka catches SIGABRT and would report a failed test out of the child. */
			signal(SIGABRT, SIG_DFL);
			close(STDERR_FILENO);
			misuses[i]();
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
	}
}

static void a_view_of_a_text_is_without_its_end(void **state)
{
	(void)state;
	assert_int_equal(bytes_of("abc").n, 3);
	assert_memory_equal(bytes_of("abc").p, "abc", 3);
	assert_int_equal(bytes_of("").n, 0);
	assert_int_equal(bytes_of(NULL).n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_appended_is_there_in_order),
		cmocka_unit_test(a_buffer_never_grows_past_its_bound),
		cmocka_unit_test(a_length_near_the_end_of_the_numbers_does_not_wrap),
		cmocka_unit_test(memory_that_is_not_there_is_an_error_and_nothing_is_lost),
		cmocka_unit_test(nothing_can_be_appended_from_nowhere),
		cmocka_unit_test(room_that_was_reserved_is_not_in_use),
		cmocka_unit_test(what_is_consumed_goes_from_the_front),
		cmocka_unit_test(misuse_stops_the_program_at_once),
		cmocka_unit_test(a_view_of_a_text_is_without_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

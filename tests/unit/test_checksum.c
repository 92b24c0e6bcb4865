/* The running sum of an object's bytes. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/checksum.h"

static void sum(const void *bytes, size_t n, uint8_t out[SC_SUM_SIZE])
{
	struct checksum *c = checksum_new();

	assert_non_null(c);
	checksum_add(c, bytes, n);
	checksum_get(c, out);
	checksum_free(c);
}

static void the_sum_is_the_one_that_xxhsum_prints(void **state)
{
	/* printf '' | xxhsum -H2, printf abc | xxhsum -H2 */
	static const uint8_t of_nothing[SC_SUM_SIZE] = {0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47, 0x98, 0xd8,
							0x60, 0x01, 0xc3, 0x24, 0x46, 0x8d, 0x49, 0x7f};
	static const uint8_t of_abc[SC_SUM_SIZE] = {0x06, 0xb0, 0x5a, 0xb6, 0x73, 0x3a, 0x61, 0x85,
						    0x78, 0xaf, 0x5f, 0x94, 0x89, 0x2f, 0x39, 0x50};
	uint8_t out[SC_SUM_SIZE];

	(void)state;
	sum("", 0, out);
	assert_memory_equal(out, of_nothing, SC_SUM_SIZE);
	sum("abc", 3, out);
	assert_memory_equal(out, of_abc, SC_SUM_SIZE);
}

static void the_sum_does_not_depend_on_how_the_bytes_were_cut(void **state)
{
	enum { SIZE = 100000 };
	uint8_t *bytes = malloc(SIZE);
	uint8_t whole[SC_SUM_SIZE], out[SC_SUM_SIZE];

	(void)state;
	assert_non_null(bytes);
	for (unsigned i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	sum(bytes, SIZE, whole);
	for (size_t step = 1; step < SIZE; step = step * 3 + 1) {
		struct checksum *c = checksum_new();

		assert_non_null(c);
		for (size_t at = 0; at < SIZE; at += step)
			checksum_add(c, bytes + at, step < SIZE - at ? step : SIZE - at);
		checksum_add(c, NULL, 0);
		checksum_get(c, out);
		assert_memory_equal(out, whole, SC_SUM_SIZE);
		checksum_free(c);
	}
	bytes[SIZE / 2] ^= 1;
	sum(bytes, SIZE, out);
	assert_memory_not_equal(out, whole, SC_SUM_SIZE);
	free(bytes);
}

static void a_sum_may_be_asked_for_before_the_end(void **state)
{
	struct checksum *c = checksum_new();
	uint8_t early[SC_SUM_SIZE], late[SC_SUM_SIZE], expected[SC_SUM_SIZE];

	(void)state;
	assert_non_null(c);
	checksum_add(c, "ab", 2);
	checksum_get(c, early);
	sum("ab", 2, expected);
	assert_memory_equal(early, expected, SC_SUM_SIZE);
	checksum_add(c, "cd", 2);
	checksum_get(c, late);
	sum("abcd", 4, expected);
	assert_memory_equal(late, expected, SC_SUM_SIZE);
	checksum_free(c);
	checksum_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sum_is_the_one_that_xxhsum_prints),
		cmocka_unit_test(the_sum_does_not_depend_on_how_the_bytes_were_cut),
		cmocka_unit_test(a_sum_may_be_asked_for_before_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Generations: printed, parsed, made. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/digest.h"
#include "lib/err.h"
#include "lib/gen.h"

static const char text[] = "00112233445566778899aabbccddeeff";

static void a_generation_survives_being_printed(void **state)
{
	struct gen g, back;
	char out[SC_GEN_HEX];

	(void)state;
	assert_int_equal(gen_parse(text, 32, &g), 0);
	assert_int_equal(g.b[0], 0x00);
	assert_int_equal(g.b[1], 0x11);
	assert_int_equal(g.b[15], 0xff);
	gen_format(&g, out);
	assert_string_equal(out, text);
	assert_int_equal(gen_parse(out, strlen(out), &back), 0);
	assert_true(gen_equal(&g, &back));
}

static void only_32_lower_case_hex_digits_are_a_generation(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} rows[] = {
		{"", 0},
		{text, 31},
		{text, 33},
		{"00112233445566778899aabbccddeeff0", 33},
		{"00112233445566778899AABBCCDDEEFF", 32},
		{"00112233445566778899aabbccddeefg", 32},
		{"g0112233445566778899aabbccddeeff", 32},
		{"-0112233445566778899aabbccddeeff", 32},
		{"0x112233445566778899aabbccddeeff", 32},
		{" 0112233445566778899aabbccddeeff", 32},
		{"../../../../../../../etc/passwd\0", 32},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct gen g = {.b = {42}};

		if (gen_parse(rows[i].text, rows[i].len, &g) != SC_EINVAL)
			fail_msg("\"%s\" was taken", rows[i].text);
		assert_int_equal(g.b[0], 42);
	}
}

static void all_zero_is_none_and_nothing_else_is(void **state)
{
	struct gen g = {0};

	(void)state;
	assert_true(gen_is_none(&g));
	for (size_t i = 0; i < SC_GEN_SIZE; i++) {
		g = (struct gen){0};
		g.b[i] = 1;
		assert_false(gen_is_none(&g));
	}
}

static void a_new_generation_is_like_no_other(void **state)
{
	struct gen made[64];

	(void)state;
	assert_int_equal(digest_init(), 0);
	assert_int_equal(digest_init(), 0);
	for (size_t i = 0; i < COUNT(made); i++) {
		digest_generation(&made[i]);
		assert_false(gen_is_none(&made[i]));
		for (size_t j = 0; j < i; j++)
			assert_false(gen_equal(&made[i], &made[j]));
	}
}

static void the_hash_of_a_key_tells_bucket_and_key_apart(void **state)
{
	uint8_t a[16], b[16];

	(void)state;
	assert_int_equal(digest_init(), 0);
	digest_key("a", 1, "bc", 2, a);
	digest_key("a", 1, "bc", 2, b);
	assert_memory_equal(a, b, 16);
	digest_key("ab", 2, "c", 1, b);
	assert_memory_not_equal(a, b, 16);
	digest_key("", 0, "abc", 3, b);
	assert_memory_not_equal(a, b, 16);
	digest_key("a", 1, "bc\0", 3, b);
	assert_memory_not_equal(a, b, 16);
	digest_key(NULL, 0, NULL, 0, b);
	assert_memory_not_equal(a, b, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_generation_survives_being_printed),
		cmocka_unit_test(only_32_lower_case_hex_digits_are_a_generation),
		cmocka_unit_test(all_zero_is_none_and_nothing_else_is),
		cmocka_unit_test(a_new_generation_is_like_no_other),
		cmocka_unit_test(the_hash_of_a_key_tells_bucket_and_key_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

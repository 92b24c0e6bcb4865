/* Sets of tags: sorted, each once, bounded; and what a peer may send in the place of one. */
#include "lib/tags.h"

#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "tests/unit/unit.h"

static void what_is_a_tag(void **state)
{
	char longest[SC_TAG_MAX + 2];

	(void)state;
	assert_true(tags_is_tag("a"));
	assert_true(tags_is_tag("-x=Y/z:1@2~!"));
	assert_false(tags_is_tag(""));
	for (int c = 1; c < 256; c++) {
		char text[] = {'x', (char)c, 0};

		assert_int_equal(tags_is_tag(text), c > ' ' && c < 127 && c != ',');
	}
	memset(longest, 'x', sizeof longest);
	longest[SC_TAG_MAX] = 0;
	assert_true(tags_is_tag(longest));
	longest[SC_TAG_MAX] = 'x';
	longest[SC_TAG_MAX + 1] = 0;
	assert_false(tags_is_tag(longest));
}

static void a_set_is_sorted_and_has_each_once_in_whatever_order_they_come(void **state)
{
	static const char *const words[] = {"b", "a", "ab", "-", "z", "b", "A", "a", "z"};
	size_t n = sizeof words / sizeof *words;

	(void)state;
	for (size_t from = 0; from < n; from++) {
		char set[SC_TAGS_SIZE + 1] = "";

		for (size_t i = 0; i < n; i++)
			assert_int_equal(tags_add(set, words[(from + i) % n]), 0);
		assert_string_equal(set, "-,A,a,ab,b,z");
	}
}

static void the_largest_set_fits_and_takes_no_more(void **state)
{
	char set[SC_TAGS_SIZE + 1] = "", tag[SC_TAG_MAX + 1], first[SC_TAG_MAX + 1];

	(void)state;
	for (int i = 0; i < SC_TAGS_MAX; i++) {
		snprintf(tag, sizeof tag, "%0*d", SC_TAG_MAX, i * 7 % SC_TAGS_MAX);
		if (i == 0)
			memcpy(first, tag, sizeof first);
		assert_int_equal(tags_add(set, tag), 0);
	}
	assert_int_equal(strlen(set), SC_TAGS_SIZE);
	assert_int_equal(tags_add(set, "x"), SC_ETOOBIG);
	assert_int_equal(tags_add(set, first), 0);
	assert_int_equal(strlen(set), SC_TAGS_SIZE);
}

static void taking_apart_passes_over_what_is_empty(void **state)
{
	struct bytes rest = bytes_of(",,a,,bc,"), tag;

	(void)state;
	assert_true(tags_next(&rest, &tag));
	assert_int_equal(tag.n, 1);
	assert_true(tags_next(&rest, &tag));
	assert_memory_equal(tag.p, "bc", 2);
	assert_false(tags_next(&rest, &tag));
	rest = bytes_of("");
	assert_false(tags_next(&rest, &tag));
	assert_true(tags_has(bytes_of("a,bc"), bytes_of("bc")));
	assert_false(tags_has(bytes_of("a,bc"), bytes_of("b")));
	assert_false(tags_has(bytes_of("a,bc"), bytes_of("a,bc")));
	assert_false(tags_has(bytes_of(""), bytes_of("a")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_a_tag),
		cmocka_unit_test(a_set_is_sorted_and_has_each_once_in_whatever_order_they_come),
		cmocka_unit_test(the_largest_set_fits_and_takes_no_more),
		cmocka_unit_test(taking_apart_passes_over_what_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

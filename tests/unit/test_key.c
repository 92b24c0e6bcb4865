/* Keys from declarations: what they depend on, and on what not. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/key.h"

struct made {
	const char *kind, *name;
	uint8_t value;
};

/* KEY "k" with up to three of them, in this order. Static. */
static const char *make(const struct made *m, size_t n)
{
	static char text[4][64];
	static int next;
	struct key k = {.n = 0};
	char *made;

	for (size_t i = 0; i < n; i++) {
		uint8_t value[SC_DIGEST_SIZE] = {m[i].value};

		assert_int_equal(key_declare(&k, m[i].kind, m[i].name, value), 0);
	}
	made = key_make(&k, "k");
	assert_non_null(made);
	assert_int_equal(k.n, 0);
	next = (next + 1) % 4;
	assert_true(strlen(made) < sizeof text[0]);
	memcpy(text[next], made, strlen(made) + 1);
	free(made);
	return text[next];
}

static void without_declarations_it_is_the_key_alone(void **state)
{
	(void)state;
	assert_string_equal(make(NULL, 0), "k");
}

/* By python3: blake2b(digest_size=16) of the fields "sc-key-1", "stdin", "", and sixteen bytes 01 00 … 00. */
static void it_is_the_same_on_every_machine(void **state)
{
	(void)state;
	assert_string_equal(make((struct made[]){{"stdin", "", 1}}, 1), "k#b22e4a6ca8fb96c9584a65672d027cbc");
}

static void neither_order_nor_repetition_matters(void **state)
{
	const char *one = make((struct made[]){{"file", "a", 1}, {"file", "b", 2}, {"env", "a", 3}}, 3);
	const char *two = make((struct made[]){{"env", "a", 3}, {"file", "b", 2}, {"file", "a", 1}}, 3);

	(void)state;
	assert_string_equal(one, two);
	assert_string_equal(make((struct made[]){{"file", "a", 1}, {"file", "a", 1}}, 2),
			    make((struct made[]){{"file", "a", 1}}, 1));
}

static void kind_name_and_value_are_told_apart(void **state)
{
	static const struct made all[] = {{"ab", "c", 1}, {"a", "bc", 1}, {"abc", "", 1}, {"", "abc", 1}, {"ab", "c", 2}};

	(void)state;
	for (size_t i = 0; i < 5; i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(make(&all[i], 1), make(&all[j], 1));
	assert_string_not_equal(make(all, 2), make(all, 1));
}

/* By python3, as above, with the fields "arg", "", blake2b of the fields "cc" "-c", and "cwd", "", blake2b of "/tmp". */
static void words_count_in_their_order(void **state)
{
	char cc[] = "cc", c[] = "-c", both[] = "cc-c";
	char *ab[] = {cc, c, NULL}, *ba[] = {c, cc, NULL}, *joined[] = {both, NULL};
	uint8_t one[SC_DIGEST_SIZE], two[SC_DIGEST_SIZE];
	struct key k = {.n = 0};
	char *made;

	(void)state;
	assert_int_equal(key_hash_words(ab, one), 0);
	assert_int_equal(key_hash_words(ba, two), 0);
	assert_memory_not_equal(one, two, sizeof one);
	assert_int_equal(key_hash_words(joined, two), 0);
	assert_memory_not_equal(one, two, sizeof one);
	assert_int_equal(key_hash("/tmp", 4, two), 0);
	assert_int_equal(key_declare(&k, "cwd", "", two), 0);
	assert_int_equal(key_declare(&k, "arg", "", one), 0);
	made = key_make(&k, "run:cc");
	assert_string_equal(made, "run:cc#f6ad078a7822252955eb5365047c935b");
	free(made);
}

static void in_keys_place_stands_what_is_run(void **state)
{
	static const struct {
		const char *cmd, *word;
	} all[] = {
		{"cc", "run:cc"}, {"/usr/bin/cc", "run:cc"}, {"./a b", "run:a b"}, {"dir/", "run:"}, {"\xff\n", "run:\xff\n"}};
	char longest[300];

	(void)state;
	for (size_t i = 0; i < COUNT(all); i++) {
		assert_string_equal(key_of_command(all[i].cmd), all[i].word);
	}
	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = 0;
	assert_int_equal(strlen(key_of_command(longest)), 4 + KEY_NAME_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_declarations_it_is_the_key_alone),
		cmocka_unit_test(it_is_the_same_on_every_machine),
		cmocka_unit_test(neither_order_nor_repetition_matters),
		cmocka_unit_test(kind_name_and_value_are_told_apart),
		cmocka_unit_test(words_count_in_their_order),
		cmocka_unit_test(in_keys_place_stands_what_is_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

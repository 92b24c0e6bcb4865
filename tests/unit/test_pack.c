/* The promises of lib/pack.h: what is an array of ours, and that nothing else costs memory or time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "lib/err.h"
#include "lib/pack.h"

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN 0
#endif

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void assert_refused(const void *frame, size_t n)
{
	struct value out[SC_FIELDS_MAX];
	size_t count;

	assert_int_equal(pack_check(frame, n), SC_EPROTO);
	assert_int_equal(pack_decode(frame, n, out, &count), SC_EPROTO);
	assert_int_equal(count, 0);
}

/* Memory the process may still take, in bytes above what it has. The sanitizers need theirs and look for themselves. */
static void limit_memory(rlim_t more, struct rlimit *old)
{
	struct rlimit now;
	unsigned long pages;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	assert_int_equal(getrlimit(RLIMIT_AS, old), 0);
	now = *old;
	now.rlim_cur = pages * 4096 + more;
	if (!UNDER_ASAN)
		assert_int_equal(setrlimit(RLIMIT_AS, &now), 0);
}

static void numbers_of_every_width_survive(void **state)
{
	static const uint64_t edges[] = {
		0,	   1, 127, 128, 255, 256, UINT16_MAX, UINT16_MAX + 1, UINT32_MAX, UINT32_MAX + 1ULL, UINT64_MAX - 1,
		UINT64_MAX};
	struct value in[COUNT(edges)], out[SC_FIELDS_MAX];
	struct buf b;
	size_t count;

	(void)state;
	buf_init(&b, SC_FRAME_MAX);
	for (size_t i = 0; i < COUNT(edges); i++)
		in[i] = (struct value){.kind = VALUE_UINT, .u = edges[i]};
	assert_int_equal(pack_encode(&b, in, COUNT(edges)), 0);
	assert_int_equal(pack_decode(b.data, b.len, out, &count), 0);
	assert_int_equal(count, COUNT(edges));
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(out[i].kind, VALUE_UINT);
		assert_true(out[i].u == edges[i]);
	}
	buf_release(&b);
}

static void byte_strings_of_every_width_survive(void **state)
{
	static const size_t sizes[] = {0, 1, 31, 32, 255, 256, 4096, 60000};
	static uint8_t body[60000];
	struct value out[SC_FIELDS_MAX];
	size_t count;

	(void)state;
	for (size_t i = 0; i < sizeof body; i++)
		body[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < COUNT(sizes); i++) {
		struct value in = {.kind = VALUE_BYTES, .bytes = {sizes[i] ? body : NULL, sizes[i]}};
		struct buf b;

		buf_init(&b, SC_FRAME_MAX);
		assert_int_equal(pack_encode(&b, &in, 1), 0);
		assert_int_equal(pack_decode(b.data, b.len, out, &count), 0);
		assert_int_equal(count, 1);
		assert_int_equal(out[0].kind, VALUE_BYTES);
		assert_int_equal(out[0].bytes.n, sizes[i]);
		assert_memory_equal(out[0].bytes.p, body, sizes[i]);
		/* Into the frame, not a copy. */
		assert_true(out[0].bytes.p + out[0].bytes.n == b.data + b.len);
		buf_release(&b);
	}
}

static void text_is_taken_for_bytes(void **state)
{
	static const uint8_t frame[] = {0x94, 0xa2, 'h', 'i',  0xd9, 2, 'h', 'i', 0xda, 0,
					2,    'h',  'i', 0xdb, 0,    0, 0,   2,	  'h',	'i'};
	struct value out[SC_FIELDS_MAX];
	size_t count;

	(void)state;
	assert_int_equal(pack_decode(frame, sizeof frame, out, &count), 0);
	assert_int_equal(count, 4);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(out[i].kind, VALUE_BYTES);
		assert_int_equal(out[i].bytes.n, 2);
		assert_memory_equal(out[i].bytes.p, "hi", 2);
	}
}

static void kinds_of_a_newer_peer_are_passed_over(void **state)
{
	static const struct {
		uint8_t bytes[24];
		size_t n;
	} others[] = {
		{{0xc0}, 1},	/* nil */
		{{0xc2}, 1},	/* false */
		{{0xc3}, 1},	/* true */
		{{0xff}, 1},	/* -1 */
		{{0xe0}, 1},	/* -32 */
		{{0xd0, 1}, 2}, /* int8 … int64 */
		{{0xd1, 1, 1}, 3},
		{{0xd2, 1, 1, 1, 1}, 5},
		{{0xd3, 1, 1, 1, 1, 1, 1, 1, 1}, 9},
		{{0xca, 1, 1, 1, 1}, 5}, /* float, double */
		{{0xcb, 1, 1, 1, 1, 1, 1, 1, 1}, 9},
		{{0xd4, 9, 1}, 3}, /* fixext 1 … 16 */
		{{0xd5, 9, 1, 1}, 4},
		{{0xd6, 9, 1, 1, 1, 1}, 6},
		{{0xd7, 9, 1, 1, 1, 1, 1, 1, 1, 1}, 10},
		{{0xd8, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 18},
		{{0xc7, 1, 9, 1}, 4}, /* ext8 … ext32 */
		{{0xc8, 0, 1, 9, 1}, 5},
		{{0xc9, 0, 0, 0, 1, 9, 1}, 7},
		{{0xc7, 0, 9}, 3},
		{{0x80}, 1}, /* maps */
		{{0x81, 1, 2}, 3},
		{{0xde, 0, 1, 1, 2}, 5},
		{{0xdf, 0, 0, 0, 1, 1, 2}, 7},
		{{0x90}, 1}, /* arrays */
		{{0x92, 0x91, 1, 2}, 4},
		{{0xdc, 0, 1, 1}, 4},
		{{0xdd, 0, 0, 0, 1, 1}, 6},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(others); i++) {
		uint8_t frame[32] = {0x93, 7};
		struct value out[SC_FIELDS_MAX];
		size_t n = 2 + others[i].n, count;

		memcpy(frame + 2, others[i].bytes, others[i].n);
		frame[n++] = 9;
		assert_int_equal(pack_decode(frame, n, out, &count), 0);
		assert_int_equal(count, 3);
		assert_int_equal(out[0].kind, VALUE_UINT);
		assert_int_equal(out[1].kind, VALUE_OTHER);
		assert_int_equal(out[1].bytes.n, 0);
		assert_int_equal(out[2].kind, VALUE_UINT);
		assert_int_equal(out[2].u, 9);
		for (size_t cut = 0; cut < n; cut++)
			assert_refused(frame, cut);
	}
}

static void what_is_not_one_array_is_refused(void **state)
{
	static const uint8_t number[] = {1}, text[] = {0xa1, 'x'}, map[] = {0x81, 1, 2}, two[] = {0x91, 1, 0x91, 1},
			     behind[] = {0x91, 1, 0}, never[] = {0x91, 0xc1}, empty[] = {0x90};
	struct value out[SC_FIELDS_MAX];
	size_t count = 7;

	(void)state;
	assert_refused(number, 0);
	assert_refused(number, sizeof number);
	assert_refused(text, sizeof text);
	assert_refused(map, sizeof map);
	assert_refused(two, sizeof two);
	assert_refused(behind, sizeof behind);
	assert_refused(never, sizeof never);
	assert_int_equal(pack_decode(empty, sizeof empty, out, &count), 0);
	assert_int_equal(count, 0);
}

static void too_many_fields_are_refused(void **state)
{
	uint8_t frame[3 + SC_FIELDS_MAX + 1] = {0xdc, 0, SC_FIELDS_MAX};
	struct value out[SC_FIELDS_MAX];
	size_t count;

	(void)state;
	assert_int_equal(pack_decode(frame, 3 + SC_FIELDS_MAX, out, &count), 0);
	assert_int_equal(count, SC_FIELDS_MAX);
	frame[2]++;
	assert_refused(frame, sizeof frame);
}

/* P04 */
static void five_bytes_cannot_make_us_allocate(void **state)
{
	static const uint8_t firsts[] = {0xdc, 0xdd, 0xde, 0xdf, 0xd9, 0xda, 0xdb, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9};
	struct rlimit old;

	(void)state;
	limit_memory(1024 * 1024, &old);
	for (size_t i = 0; i < COUNT(firsts); i++) {
		uint8_t bare[] = {firsts[i], 0xff, 0xff, 0xff, 0xff};
		uint8_t inside[] = {0x91, firsts[i], 0xff, 0xff, 0xff, 0xff};
		uint8_t most[] = {0x92, firsts[i], 0x7f, 0xff, 0xff, 0xff, 1};

		assert_refused(bare, sizeof bare);
		assert_refused(inside, sizeof inside);
		assert_refused(most, sizeof most);
	}
	setrlimit(RLIMIT_AS, &old);
}

/* P05 */
static void nesting_is_refused_before_it_hurts(void **state)
{
	static const uint8_t openers[] = {0x91, 0x81, 0xdc, 0xdd};
	size_t size = 100 * 1000;
	uint8_t *bomb = malloc(size);
	struct rlimit old;

	(void)state;
	assert_non_null(bomb);
	limit_memory(1024 * 1024, &old);
	for (size_t i = 0; i < COUNT(openers); i++) {
		memset(bomb, openers[i], size);
		assert_refused(bomb, size);
		bomb[0] = 0x91;
		assert_refused(bomb, size);
	}
	setrlimit(RLIMIT_AS, &old);
	free(bomb);
}

static void eight_levels_are_looked_through_and_no_more(void **state)
{
	uint8_t frame[SC_NESTING_MAX + 2];

	(void)state;
	memset(frame, 0x91, sizeof frame);
	frame[SC_NESTING_MAX] = 1;
	assert_int_equal(pack_check(frame, SC_NESTING_MAX + 1), 0);
	/* An empty one counts too. */
	frame[SC_NESTING_MAX] = 0x90;
	assert_refused(frame, SC_NESTING_MAX + 1);
	frame[SC_NESTING_MAX] = 0x91;
	frame[SC_NESTING_MAX + 1] = 1;
	assert_refused(frame, SC_NESTING_MAX + 2);
	/* Side by side is not within each other. */
	memset(frame, 0x90, sizeof frame);
	frame[0] = 0x99;
	assert_int_equal(pack_check(frame, 10), 0);
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
	struct value in[] = {{.kind = VALUE_UINT, .u = 1}, {.kind = VALUE_BYTES, .bytes = {(const uint8_t *)"0123456789", 10}}};
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(buf_append(&b, "ab", 2), 0);
	assert_int_equal(pack_encode(&b, in, 2), SC_ETOOBIG);
	assert_int_equal(b.len, 2);
	assert_memory_equal(b.data, "ab", 2);
	assert_int_equal(pack_encode(&b, in, 1), 0);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_every_width_survive),
		cmocka_unit_test(byte_strings_of_every_width_survive),
		cmocka_unit_test(text_is_taken_for_bytes),
		cmocka_unit_test(kinds_of_a_newer_peer_are_passed_over),
		cmocka_unit_test(what_is_not_one_array_is_refused),
		cmocka_unit_test(too_many_fields_are_refused),
		cmocka_unit_test(five_bytes_cannot_make_us_allocate),
		cmocka_unit_test(nesting_is_refused_before_it_hurts),
		cmocka_unit_test(eight_levels_are_looked_through_and_no_more),
		cmocka_unit_test(a_full_buffer_is_left_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What people type and what they see: durations, sizes, numbers, escapes, suggestions. */
#include "tests/unit/unit.h"

#include <string.h>

#include "lib/err.h"
#include "lib/human.h"
#include "lib/limits.h"

#define S 1000ULL
#define M (60 * S)
#define H (60 * M)
#define D (24 * H)

static void a_duration_is_read_as_it_is_written(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} rows[] = {
		{"0", 0},
		{"0s", 0},
		{"0.0", 0},
		{"90", 90 * S},
		{"0.5", 500},
		{".5", 500},
		{"007", 7 * S},
		{"90s", 90 * S},
		{"500ms", 500},
		{"1h30m", H + 30 * M},
		{"1.5h", H + 30 * M},
		{"2d", 2 * D},
		{"1d2h3m4s5ms", D + 2 * H + 3 * M + 4 * S + 5},
		{"1m5ms", M + 5},
		{"0.25d", 6 * H},
		{"forever", SC_FOREVER},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t ms = 12345;

		if (human_parse_duration(rows[i].text, &ms) != 0)
			fail_msg("\"%s\" was refused", rows[i].text);
		if (ms != rows[i].ms)
			fail_msg("\"%s\" was read as %llu ms", rows[i].text, (unsigned long long)ms);
	}
}

static void P12_what_is_not_a_duration_is_refused_and_changes_nothing(void **state)
{
	static const char *const rows[] = {
		"",	"-1",	    "-0",      "+1",	   " 1",	"1 ",	"1h ",	    "s",    ".",     "1.",   "1.s",
		"1..5", "1.5.5",    "nan",     "NaN",	   "inf",	"-inf", "1e3",	    "0x10", "1,5",   "1H",   "1S",
		"1min", "1hour",    "1w",      "1y",	   "1us",	"1ns",	"1m1h",	    "1s1s", "1ms1s", "1h30", "1h-30m",
		"1hm",	"forever1", "Forever", "forever ", "1sforever", "1\n",	"\xd9\xa1", "1--",  "90 s",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t ms = 12345;

		if (human_parse_duration(rows[i], &ms) != SC_EINVAL)
			fail_msg("\"%s\" was read as %llu ms", rows[i], (unsigned long long)ms);
		assert_int_equal(ms, 12345);
	}
}

static void T06_a_duration_too_large_saturates(void **state)
{
	static const char *const rows[] = {
		"9223372036854775807",
		"9223372036854775808",
		"18446744073709551615",
		"18446744073709551616",
		"18446744073709551615ms",
		"99999999999999999999999999999999999999d",
		"99999999999999999999.99999999999999999999d99999999999999999999ms",
		"213503982334.6d",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t ms = 0;

		assert_int_equal(human_parse_duration(rows[i], &ms), 0);
		if (ms != SC_DURATION_MAX)
			fail_msg("\"%s\" was read as %llu ms", rows[i], (unsigned long long)ms);
	}
	/* What saturated is not "forever", and can still be added up in a signed column. */
	assert_true(SC_DURATION_MAX < SC_FOREVER - 1);
	assert_true(SC_DURATION_MAX * 2 + 100 * 365 * D < INT64_MAX);
}

static void T06_a_longer_text_is_never_a_shorter_duration(void **state)
{
	char text[40];
	uint64_t last = 0;

	(void)state;
	memset(text, 0, sizeof(text));
	for (size_t i = 0; i < 30; i++) {
		uint64_t ms = 0;

		text[i] = '9';
		assert_int_equal(human_parse_duration(text, &ms), 0);
		assert_true(ms >= last);
		last = ms;
	}
	assert_true(last == SC_DURATION_MAX);
}

static void T06_a_positive_duration_is_never_read_as_zero(void **state)
{
	static const char *const rows[] = {
		"0.001", "0.0001", "0.0000000001", "0.00000000000000000000000001", "0.1ms", "0.00000000000000000000001d",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t ms = 0;

		assert_int_equal(human_parse_duration(rows[i], &ms), 0);
		if (ms != 1)
			fail_msg("\"%s\" was read as %llu ms", rows[i], (unsigned long long)ms);
	}
}

static void a_duration_is_shown_in_its_two_largest_units(void **state)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} rows[] = {
		{0, "0s"},
		{1, "1ms"},
		{850, "850ms"},
		{999, "999ms"},
		{S, "1s"},
		{12 * S + 345, "12s"},
		{59 * S + 999, "59s"},
		{M, "1m"},
		{90 * S, "1m30s"},
		{H, "1h"},
		{H + 59 * S, "1h"},
		{2 * H + 5 * M, "2h5m"},
		{D, "1d"},
		{3 * D + 4 * H + 59 * M, "3d4h"},
		{365 * D, "365d"},
		{SC_DURATION_MAX, "26687997791d19h"},
		{SC_FOREVER - 1, "213503982334d14h"},
		{SC_FOREVER, "forever"},
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_string_equal(human_format_duration(rows[i].ms, out), rows[i].text);
}

static void a_duration_that_was_shown_can_be_typed(void **state)
{
	static const uint64_t rows[] = {0, 1, 999, S, 59 * S, M, 90 * S, H, 2 * H + 5 * M, 3 * D + 4 * H, SC_FOREVER};
	char out[32];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t ms = 12345;

		assert_int_equal(human_parse_duration(human_format_duration(rows[i], out), &ms), 0);
		assert_true(ms == rows[i]);
	}
}

static void a_size_is_read_as_coreutils_read_it(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint64_t bytes;
	} rows[] = {
		{"0", 0, 0},
		{"512", 0, 512},
		{"1K", 0, 1024},
		{"1k", 0, 1024},
		{"1KiB", 0, 1024},
		{"1KB", 0, 1000},
		{"1kB", 0, 1000},
		{"20M", 0, 20ULL << 20},
		{"3MB", 0, 3000000},
		{"10G", 0, 10ULL << 30},
		{"10GB", 0, 10000000000},
		{"2T", 0, 2ULL << 40},
		{"2TB", 0, 2000000000000},
		{"9223372036854775807", 0, INT64_MAX},
		{"9223372036854775808", SC_ETOOBIG, 0},
		{"99999999999999999999999", SC_ETOOBIG, 0},
		{"8388608T", SC_ETOOBIG, 0},
		{"8388607T", 0, 8388607ULL << 40},
		{"18446744073709551616K", SC_ETOOBIG, 0},
		{"", SC_EINVAL, 0},
		{"-1", SC_EINVAL, 0},
		{"+1", SC_EINVAL, 0},
		{" 1", SC_EINVAL, 0},
		{"1 K", SC_EINVAL, 0},
		{"K", SC_EINVAL, 0},
		{"1.5K", SC_EINVAL, 0},
		{"1X", SC_EINVAL, 0},
		{"1B", SC_EINVAL, 0},
		{"1m", SC_EINVAL, 0},
		{"1Kb", SC_EINVAL, 0},
		{"1KK", SC_EINVAL, 0},
		{"1KBB", SC_EINVAL, 0},
		{"0x10", SC_EINVAL, 0},
		{"nan", SC_EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t bytes = 12345;
		int err = human_parse_size(rows[i].text, &bytes);

		if (err != rows[i].err || bytes != (err ? 12345 : rows[i].bytes))
			fail_msg("\"%s\": %d, %llu", rows[i].text, err, (unsigned long long)bytes);
	}
}

static void a_size_is_shown_with_its_leading_digits(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{0, "0"},
		{512, "512"},
		{1023, "1023"},
		{1024, "1.0K"},
		{1536, "1.5K"},
		{10188, "9.9K"},
		{10239, "10K"},
		{10240, "10K"},
		{20ULL << 20, "20M"},
		{1048063, "1023K"},
		{1048064, "1.0M"},
		{1048575, "1.0M"},
		{1ULL << 30, "1.0G"},
		{(1ULL << 40) - 1, "1.0T"},
		{INT64_MAX, "8.0E"},
		{UINT64_MAX, "16E"},
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_string_equal(human_format_size(rows[i].bytes, out), rows[i].text);
}

static void a_size_is_shown_exactly_and_can_be_typed_again(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{0, "0"},
		{1, "1"},
		{1023, "1023"},
		{1024, "1K"},
		{1536, "1536"},
		{2560, "2560"},
		{20ULL << 20, "20M"},
		{(20ULL << 20) + 1, "20971521"},
		{10ULL << 30, "10G"},
		{3ULL << 50, "3072T"},
		{INT64_MAX, "9223372036854775807"},
	};
	uint64_t again;
	char out[32];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_string_equal(human_format_exact_size(rows[i].bytes, out), rows[i].text);
		assert_int_equal(human_parse_size(out, &again), 0);
		assert_true(again == rows[i].bytes);
	}
}

static void P12_a_number_out_of_its_range_is_refused(void **state)
{
	static const struct {
		const char *text;
		uint64_t min, max;
		int err;
		uint64_t value;
	} rows[] = {
		{"0", 0, 10, 0, 0},
		{"10", 0, 10, 0, 10},
		{"11", 0, 10, SC_ETOOBIG, 0},
		{"2", 3, 10, SC_EINVAL, 0},
		{"3", 3, 10, 0, 3},
		{"007", 0, 10, 0, 7},
		{"18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX},
		{"18446744073709551616", 0, UINT64_MAX, SC_ETOOBIG, 0},
		{"28446744073709551616", 0, UINT64_MAX, SC_ETOOBIG, 0},
		{"28446744073709551616x", 0, UINT64_MAX, SC_EINVAL, 0},
		{"", 0, 10, SC_EINVAL, 0},
		{"-1", 0, 10, SC_EINVAL, 0},
		{"-0", 0, 10, SC_EINVAL, 0},
		{"+1", 0, 10, SC_EINVAL, 0},
		{" 1", 0, 10, SC_EINVAL, 0},
		{"1 ", 0, 10, SC_EINVAL, 0},
		{"1.0", 0, 10, SC_EINVAL, 0},
		{"1e0", 0, 10, SC_EINVAL, 0},
		{"0x1", 0, 10, SC_EINVAL, 0},
		{"nan", 0, 10, SC_EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t value = 12345;
		int err = human_parse_number(rows[i].text, rows[i].min, rows[i].max, &value);

		if (err != rows[i].err || value != (err ? 12345 : rows[i].value))
			fail_msg("\"%s\": %d, %llu", rows[i].text, err, (unsigned long long)value);
	}
}

static void a_key_is_shown_so_that_it_cannot_act_on_a_terminal(void **state)
{
	static const struct {
		const char *bytes, *shown;
	} rows[] = {
		{"", ""},
		{"plain key: a/b#c", "plain key: a/b#c"},
		{"a\nb\tc\\d", "a\\nb\\tc\\\\d"},
		{"\r\a\x1b[31m", "\\x0d\\x07\\x1b[31m"},
		{"\x7f", "\\x7f"},
		{"gr\xc3\xbc\xc3\x9f \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80",
		 "gr\xc3\xbc\xc3\x9f \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80"},
		/* a byte of Latin-1, an overlong slash, a surrogate, over 10FFFF, one that is cut off */
		{"\xfc", "\\xfc"},
		{"\xc0\xaf", "\\xc0\\xaf"},
		{"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"},
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
		{"\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80"},
		{"\xe6\x97", "\\xe6\\x97"},
		{"\xe6\x97z", "\\xe6\\x97z"},
		{"\x80z", "\\x80z"},
		/* C1's CSI, the override of direction, the zero-width space, the byte order mark */
		{"\xc2\x9b"
		 "31m",
		 "\\xc2\\x9b31m"},
		{"\xe2\x80\xae", "\\xe2\\x80\\xae"},
		{"\xe2\x80\x8b", "\\xe2\\x80\\x8b"},
		{"\xef\xbb\xbf", "\\xef\\xbb\\xbf"},
	};
	char out[128];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_string_equal(human_escape(rows[i].bytes, strlen(rows[i].bytes), out, sizeof(out)), rows[i].shown);
	assert_string_equal(human_escape("a\0b", 3, out, sizeof(out)), "a\\x00b");
}

static void a_key_that_is_too_long_is_cut_at_a_whole_character(void **state)
{
	static const char key[] = "ab\xe6\x97\xa5\n\x1bz";
	static const struct {
		size_t size;
		const char *shown;
	} rows[] = {
		{1, ""},
		{2, "a"},
		{3, "ab"},
		{4, "ab"},
		{5, "ab"},
		{6, "ab\xe6\x97\xa5"},
		{7, "ab\xe6\x97\xa5"},
		{8, "ab\xe6\x97\xa5\\n"},
		{11, "ab\xe6\x97\xa5\\n"},
		{12, "ab\xe6\x97\xa5\\n\\x1b"},
		{13, "ab\xe6\x97\xa5\\n\\x1bz"},
	};
	char out[16];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		memset(out, '!', sizeof(out));
		assert_string_equal(human_escape(key, sizeof(key) - 1, out, rows[i].size), rows[i].shown);
		assert_int_equal(out[rows[i].size], '!');
	}
}

static void every_byte_can_be_shown(void **state)
{
	uint8_t key[256];
	char out[4 * 256 + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	human_escape(key, sizeof(key), out, sizeof(out));
	for (const char *p = out; *p; p++)
		assert_true(*p >= 0x20 && *p < 0x7f);
	assert_non_null(strstr(out, "ABCDEFGHIJ"));
}

static const char *const verbs[] = {
	"get",	  "run",     "warm",  "put",	 "hold",      "rm",	  "touch",	 "ls",
	"ps",	  "explain", "watch", "stats",	 "sync",      "verify",	  "doctor",	 "config",
	"keygen", "daemon",  "help",  "version", "--refresh", "--finish", "--status-fd", NULL,
};

static void P13_a_slip_is_answered_with_the_nearest_word(void **state)
{
	static const struct {
		const char *word, *nearest;
	} rows[] = {
		{"gte", "get"},
		{"gett", "get"},
		{"gt", "get"},
		{"set", "get"},
		{"l", "ls"},
		{"stat", "stats"},
		{"sttas", "stats"},
		{"deamon", "daemon"},
		{"versoin", "version"},
		{"exlpian", "explain"},
		{"--refesh", "--refresh"},
		{"--status_fd", "--status-fd"},
		{"get", "get"},
		{"zzz", NULL},
		{"x", NULL},
		{"", NULL},
		{"frobnicate", NULL},
		{"--frobnicate", NULL},
		{"a-word-that-is-far-longer-than-any-verb-or-option-could-ever-be", NULL},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *nearest = human_nearest(rows[i].word, verbs);

		if (nearest != rows[i].nearest && (!nearest || !rows[i].nearest || strcmp(nearest, rows[i].nearest) != 0))
			fail_msg("\"%s\": %s", rows[i].word, nearest ? nearest : "(none)");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_duration_is_read_as_it_is_written),
		cmocka_unit_test(P12_what_is_not_a_duration_is_refused_and_changes_nothing),
		cmocka_unit_test(T06_a_duration_too_large_saturates),
		cmocka_unit_test(T06_a_longer_text_is_never_a_shorter_duration),
		cmocka_unit_test(T06_a_positive_duration_is_never_read_as_zero),
		cmocka_unit_test(a_duration_is_shown_in_its_two_largest_units),
		cmocka_unit_test(a_duration_that_was_shown_can_be_typed),
		cmocka_unit_test(a_size_is_read_as_coreutils_read_it),
		cmocka_unit_test(a_size_is_shown_with_its_leading_digits),
		cmocka_unit_test(a_size_is_shown_exactly_and_can_be_typed_again),
		cmocka_unit_test(P12_a_number_out_of_its_range_is_refused),
		cmocka_unit_test(a_key_is_shown_so_that_it_cannot_act_on_a_terminal),
		cmocka_unit_test(a_key_that_is_too_long_is_cut_at_a_whole_character),
		cmocka_unit_test(every_byte_can_be_shown),
		cmocka_unit_test(P13_a_slip_is_answered_with_the_nearest_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* daemon/key: what is known of keys whose output could not be stored: for how long, of how many, and that nothing is left of it. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/answer.h"
#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/key.h"
#include "lib/limits.h"

/* ---- what key.c calls, and nobody here needs ---- */

void answer_again(struct conn *c)
{
	key_leave(c);
}

void daemon_owe(struct daemon *d)
{
	d->nwaiting++;
}

void daemon_paid(struct daemon *d)
{
	d->nwaiting--;
}

void daemon_step(struct daemon *d)
{
	(void)d;
}

/* ---- keys by number ---- */

static const struct bytes BUCKET = {(const uint8_t *)"default", 7};

static struct bytes name(unsigned n)
{
	static char text[16];

	snprintf(text, sizeof text, "%u", n);
	return bytes_of(text);
}

static struct key *set(struct daemon *d, unsigned n, int error, uint64_t now)
{
	struct key *k = key_get(d, BUCKET, name(n));

	assert_non_null(k);
	key_remember(d, k, MEMO_UNKEPT, error, now);
	return k;
}

static int known(struct daemon *d, unsigned n, uint64_t now)
{
	return key_recall(key_find(d, BUCKET, name(n)), MEMO_UNKEPT, now);
}

/* The line is what is marked in the table, in the order in which it ends, and nothing is marked twice. */
static void assert_sound(struct daemon *d, unsigned n)
{
	uint64_t last = 0;
	unsigned in_line = 0;

	for (struct key *k = d->memos[MEMO_UNKEPT].first; k; k = k->memo[MEMO_UNKEPT].next, in_line++) {
		assert_true(k->memo[MEMO_UNKEPT].until_ms >= last);
		last = k->memo[MEMO_UNKEPT].until_ms;
	}
	assert_int_equal(in_line, n);
	assert_int_equal(d->memos[MEMO_UNKEPT].n, n);
	assert_int_equal(HASH_COUNT(d->keys), n);
}

static void assert_empty(struct daemon *d)
{
	assert_null(d->memos[MEMO_UNKEPT].first);
	assert_null(d->keys);
	assert_int_equal(d->memos[MEMO_UNKEPT].n, 0);
}

/* ---- ---- */

static void it_is_known_for_a_minute_and_not_a_millisecond_longer(void **state)
{
	struct daemon d = {0};

	(void)state;
	assert_int_equal(key_recall(NULL, MEMO_UNKEPT, 0), 0);
	assert_int_equal(known(&d, 1, 0), 0);
	set(&d, 1, ENOSPC, 1000);
	assert_int_equal(known(&d, 1, 1000), ENOSPC);
	assert_int_equal(known(&d, 1, 1000 + SC_UNKEPT_MS - 1), ENOSPC);
	assert_int_equal(known(&d, 1, 1000 + SC_UNKEPT_MS), 0);
	assert_int_equal(known(&d, 2, 1000), 0);
	keys_forget_all(&d);
	assert_empty(&d);
}

static void heard_again_it_counts_from_then_and_for_the_new_reason(void **state)
{
	struct daemon d = {0};

	(void)state;
	set(&d, 1, ENOSPC, 1000);
	set(&d, 2, EIO, 2000);
	set(&d, 1, EFBIG, 3000);
	assert_sound(&d, 2);
	assert_int_equal(known(&d, 1, 3000 + SC_UNKEPT_MS - 1), EFBIG);
	assert_int_equal(known(&d, 2, 3000 + SC_UNKEPT_MS - 1), 0);
	/* The only one there is, too. */
	key_forget(&d, BUCKET, name(2), MEMO_UNKEPT);
	set(&d, 1, EIO, 4000);
	assert_sound(&d, 1);
	keys_forget_all(&d);
	assert_empty(&d);
}

static void a_reason_that_is_none_is_still_one(void **state)
{
	static const int odd[] = {0, -1, -28};
	struct daemon d = {0};

	(void)state;
	for (size_t i = 0; i < COUNT(odd); i++) {
		set(&d, 1, odd[i], 1000);
		assert_int_equal(known(&d, 1, 1000), EIO);
	}
	keys_forget_all(&d);
	assert_empty(&d);
}

static void what_is_over_leaves_the_table_when_the_next_one_comes(void **state)
{
	struct daemon d = {0};

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		set(&d, i, ENOSPC, 1000 + i);
	/* The first five are over. */
	set(&d, 99, ENOSPC, 1004 + SC_UNKEPT_MS);
	assert_sound(&d, 6);
	assert_null(key_find(&d, BUCKET, name(4)));
	assert_non_null(key_find(&d, BUCKET, name(5)));
	keys_forget_all(&d);
	assert_empty(&d);
}

static void of_too_many_the_oldest_are_forgotten(void **state)
{
	struct daemon d = {0};

	(void)state;
	for (unsigned i = 0; i < SC_UNKEPT_MAX + 10; i++) {
		set(&d, i, ENOSPC, 1000 + i);
		assert_true(d.memos[MEMO_UNKEPT].n <= SC_UNKEPT_MAX);
	}
	assert_sound(&d, SC_UNKEPT_MAX);
	for (unsigned i = 0; i < SC_UNKEPT_MAX + 10; i++)
		assert_int_equal(known(&d, i, 2000 + SC_UNKEPT_MAX), i < 10 ? 0 : ENOSPC);
	/* Heard again, the oldest is the youngest. */
	set(&d, 10, ENOSPC, 3000);
	set(&d, 5000, ENOSPC, 3000);
	assert_sound(&d, SC_UNKEPT_MAX);
	assert_int_equal(known(&d, 10, 3000), ENOSPC);
	assert_int_equal(known(&d, 11, 3000), 0);
	keys_forget_all(&d);
	assert_empty(&d);
}

static void forgotten_it_is_out_of_the_table(void **state)
{
	struct daemon d = {0};

	(void)state;
	key_forget(&d, BUCKET, name(1), MEMO_UNKEPT);
	for (unsigned i = 0; i < 3; i++)
		set(&d, i, ENOSPC, 1000);
	key_forget(&d, BUCKET, name(1), MEMO_UNKEPT);
	assert_sound(&d, 2);
	assert_int_equal(known(&d, 1, 1000), 0);
	key_forget(&d, BUCKET, name(1), MEMO_UNKEPT);
	key_forget(&d, BUCKET, name(0), MEMO_UNKEPT);
	key_forget(&d, BUCKET, name(2), MEMO_UNKEPT);
	assert_empty(&d);
}

static void the_same_name_in_another_bucket_is_another_key(void **state)
{
	struct daemon d = {0};

	(void)state;
	set(&d, 1, ENOSPC, 1000);
	assert_null(key_find(&d, bytes_of("other"), name(1)));
	key_forget(&d, bytes_of("other"), name(1), MEMO_UNKEPT);
	assert_int_equal(known(&d, 1, 1000), ENOSPC);
	keys_forget_all(&d);
	assert_empty(&d);
}

static bool is_among(const struct buf *ids, const char *id, size_t n)
{
	size_t len;

	for (size_t at = 0; at < ids->len; at += sizeof len + len) {
		memcpy(&len, ids->data + at, sizeof len);
		if (len == n && memcmp(ids->data + at + sizeof len, id, n) == 0)
			return true;
	}
	return false;
}

static void those_that_begin_so_are_found_by_bytes_and_in_their_bucket(void **state)
{
	struct daemon d = {0};
	struct buf ids;

	(void)state;
	buf_init(&ids, SIZE_MAX);
	assert_int_equal(keys_beginning(&d, BUCKET, name(1), &ids), 0);
	assert_int_equal(ids.len, 0);
	set(&d, 1, EIO, 1000);
	set(&d, 12, EIO, 1000);
	set(&d, 21, EIO, 1000);
	assert_int_equal(keys_beginning(&d, bytes_of("defaul"), name(1), &ids), 0);
	assert_int_equal(keys_beginning(&d, bytes_of("other"), name(1), &ids), 0);
	assert_int_equal(keys_beginning(&d, BUCKET, name(123), &ids), 0);
	assert_int_equal(ids.len, 0);
	assert_int_equal(keys_beginning(&d, BUCKET, name(1), &ids), 0);
	assert_true(is_among(&ids, "default\0001", 9));
	assert_true(is_among(&ids, "default\00012", 10));
	assert_int_equal(ids.len, 2 * sizeof(size_t) + 9 + 10);
	assert_int_equal(keys_beginning(&d, BUCKET, (struct bytes){0}, &ids), 0);
	assert_true(is_among(&ids, "default\00021", 10));
	buf_release(&ids);
	keys_forget_all(&d);
	assert_empty(&d);
}

/* A key has four reasons to be there, and goes with the last. */
static void a_key_that_somebody_waits_for_stays_without_the_mark(void **state)
{
	struct daemon d = {0};
	struct conn c = {.d = &d, .can_lead = true};
	struct key *k;

	(void)state;
	k = set(&d, 1, ENOSPC, 1000);
	assert_int_equal(key_wait(&d, &c, BUCKET, name(1)), 0);
	key_forget(&d, BUCKET, name(1), MEMO_UNKEPT);
	assert_ptr_equal(key_find(&d, BUCKET, name(1)), k);
	set(&d, 1, ENOSPC, 1000);
	key_leave(&c);
	assert_ptr_equal(key_find(&d, BUCKET, name(1)), k);
	key_add_heir(k, &c);
	key_forget(&d, BUCKET, name(1), MEMO_UNKEPT);
	assert_ptr_equal(key_find(&d, BUCKET, name(1)), k);
	key_drop_heir(&c);
	assert_empty(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_known_for_a_minute_and_not_a_millisecond_longer),
		cmocka_unit_test(heard_again_it_counts_from_then_and_for_the_new_reason),
		cmocka_unit_test(a_reason_that_is_none_is_still_one),
		cmocka_unit_test(those_that_begin_so_are_found_by_bytes_and_in_their_bucket),
		cmocka_unit_test(what_is_over_leaves_the_table_when_the_next_one_comes),
		cmocka_unit_test(of_too_many_the_oldest_are_forgotten),
		cmocka_unit_test(forgotten_it_is_out_of_the_table),
		cmocka_unit_test(the_same_name_in_another_bucket_is_another_key),
		cmocka_unit_test(a_key_that_somebody_waits_for_stays_without_the_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

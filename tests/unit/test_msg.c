/* The promises of lib/msg.h, and that lib/PROTOCOL.md says what the tables say. Run from the top of the tree. The bounds are
 * written down a second time here: a bound that moves by accident is found. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/err.h"
#include "lib/msg.h"
#include "lib/pack.h"

#define HEADER 4
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

enum kind { UINT, GEN, BYTES };

static const struct known_field {
	const char *name;
	enum kind kind;
	size_t at;
	uint64_t least, most; /* of the number or of the length */
} known_fields[] = {
	{"version", UINT, offsetof(struct msg, version), 0, UINT32_MAX},
	{"build", BYTES, offsetof(struct msg, build), 0, 64},
	{"bucket", BYTES, offsetof(struct msg, bucket), 1, 64},
	{"key", BYTES, offsetof(struct msg, key), 1, 4096},
	{"text", BYTES, offsetof(struct msg, text), 0, 4096},
	{"tags", BYTES, offsetof(struct msg, tags), 0, 16 * 65 - 1},
	{"chain", BYTES, offsetof(struct msg, chain), 0, 64 * 16},
	{"gen", GEN, offsetof(struct msg, gen), 16, 16},
	{"flags", UINT, offsetof(struct msg, flags), 0, UINT32_MAX},
	{"reason", UINT, offsetof(struct msg, reason), 0, UINT64_MAX},
	{"outcome", UINT, offsetof(struct msg, outcome), 0, UINT64_MAX},
	{"kind", UINT, offsetof(struct msg, kind), 0, UINT64_MAX},
	{"order", UINT, offsetof(struct msg, order), 0, SC_ORDER_MAX},
	{"ttl", UINT, offsetof(struct msg, ttl), 0, UINT64_MAX},
	{"accept", UINT, offsetof(struct msg, accept), 0, UINT64_MAX},
	{"stale", UINT, offsetof(struct msg, stale), 0, UINT64_MAX},
	{"keep", UINT, offsetof(struct msg, keep), 0, UINT64_MAX},
	{"age", UINT, offsetof(struct msg, age), 0, UINT64_MAX},
	{"estimate", UINT, offsetof(struct msg, estimate), 0, UINT64_MAX},
	{"exit", UINT, offsetof(struct msg, exit), 0, 255},
	{"signal", UINT, offsetof(struct msg, signal), 0, 64},
	{"out_len", UINT, offsetof(struct msg, out_len), 0, UINT64_MAX},
	{"err_len", UINT, offsetof(struct msg, err_len), 0, UINT64_MAX},
	{"out_size", UINT, offsetof(struct msg, out_size), 0, UINT64_MAX},
	{"err_size", UINT, offsetof(struct msg, err_size), 0, UINT64_MAX},
	{"keys", BYTES, offsetof(struct msg, keys), 0, 64},
	{"sealed", BYTES, offsetof(struct msg, sealed), 0, 8192},
	{"out_sum", BYTES, offsetof(struct msg, out_sum), 16, 16},
	{"err_sum", BYTES, offsetof(struct msg, err_sum), 16, 16},
	{"slot", UINT, offsetof(struct msg, slot), 0, 4095},
	{"count", UINT, offsetof(struct msg, count), 0, UINT64_MAX},
	{"lag_least", UINT, offsetof(struct msg, lag_least), 0, UINT64_MAX},
	{"lag_most", UINT, offsetof(struct msg, lag_most), 0, UINT64_MAX},
	{"command", BYTES, offsetof(struct msg, command), 0, 16},
	{"shown", BYTES, offsetof(struct msg, shown), 0, 1024},
	{"pid", UINT, offsetof(struct msg, pid), 0, INT32_MAX},
	{"leader", UINT, offsetof(struct msg, leader), 0, INT32_MAX},
	{"error", UINT, offsetof(struct msg, error), 0, 4095},
	{"created", UINT, offsetof(struct msg, created), 0, UINT64_MAX},
	{"uptime", UINT, offsetof(struct msg, uptime), 0, UINT64_MAX},
	{"entries", UINT, offsetof(struct msg, entries), 0, UINT64_MAX},
	{"conns", UINT, offsetof(struct msg, conns), 0, UINT64_MAX},
	{"hits", UINT, offsetof(struct msg, hits), 0, UINT64_MAX},
	{"row", UINT, offsetof(struct msg, row), 0, INT64_MAX},
	{"bad", UINT, offsetof(struct msg, bad), 0, UINT64_MAX},
};

/* One row of msg.c's table, read back from its text. */
struct shape {
	enum msg_type type;
	const struct known_field *fields[16];
	size_t count;
};

static const struct known_field *known_field(const char *name)
{
	for (size_t i = 0; i < COUNT(known_fields); i++)
		if (strcmp(known_fields[i].name, name) == 0)
			return &known_fields[i];
	fail_msg("a field unknown to this test: %s", name);
	return NULL;
}

static bool shape_of(size_t i, struct shape *s)
{
	char line[512], *word, *rest = NULL;
	size_t n = 0;

	if (!msg_describe(i, line, sizeof line))
		return false;
	memset(s, 0, sizeof *s);
	for (word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest), n++) {
		if (n == 1)
			s->type = (enum msg_type)atoi(word);
		if (n > 2)
			s->fields[s->count++] = known_field(word);
	}
	return true;
}

/* Bytes that every rule allows: a bucket's, no NUL, and as long as asked for. */
static uint8_t filler[8193];

static struct value value_of(const struct known_field *f, uint64_t measure)
{
	if (f->kind == UINT)
		return (struct value){.kind = VALUE_UINT, .u = measure};
	return (struct value){.kind = VALUE_BYTES, .bytes = {filler, (size_t)measure}};
}

static void set(struct msg *m, const struct known_field *f, uint64_t measure)
{
	void *at = (char *)m + f->at;

	switch (f->kind) {
	case UINT:
		*(uint64_t *)at = measure;
		break;
	case GEN:
		memset(at, measure ? 0xff : 0, SC_GEN_SIZE);
		break;
	case BYTES:
		*(struct bytes *)at = (struct bytes){measure ? filler : NULL, (size_t)measure};
		break;
	}
}

static void assert_same(const struct msg *a, const struct msg *b, const struct known_field *f)
{
	const void *p = (const char *)a + f->at, *q = (const char *)b + f->at;
	const struct bytes *x = p, *y = q;

	switch (f->kind) {
	case UINT:
		assert_true(*(const uint64_t *)p == *(const uint64_t *)q);
		break;
	case GEN:
		assert_memory_equal(p, q, SC_GEN_SIZE);
		break;
	case BYTES:
		assert_int_equal(x->n, y->n);
		if (x->n)
			assert_memory_equal(x->p, y->p, x->n);
		break;
	}
}

static void assert_survives(const struct msg *m, const struct shape *s)
{
	struct msg got;
	struct buf b;
	size_t len;

	buf_init(&b, HEADER + SC_FRAME_MAX);
	assert_int_equal(msg_encode(&b, m), 0);
	len = (size_t)b.data[0] | (size_t)b.data[1] << 8 | (size_t)b.data[2] << 16 | (size_t)b.data[3] << 24;
	assert_int_equal(len, b.len - HEADER);
	assert_int_equal(msg_decode(&got, b.data + HEADER, len), 0);
	assert_int_equal(got.type, m->type);
	for (size_t i = 0; i < s->count; i++)
		assert_same(m, &got, s->fields[i]);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(msg_decode(&got, b.data + HEADER, cut), SC_EPROTO);
	buf_release(&b);
}

static void every_message_survives_its_extremes(void **state)
{
	struct shape s;

	(void)state;
	for (size_t i = 0; shape_of(i, &s); i++) {
		struct msg least = {.type = s.type}, most = {.type = s.type};

		for (size_t f = 0; f < s.count; f++) {
			set(&least, s.fields[f], s.fields[f]->least);
			set(&most, s.fields[f], s.fields[f]->most);
		}
		/* "None" is a generation too. */
		memset(&least.gen, 0, sizeof least.gen);
		assert_survives(&least, &s);
		assert_survives(&most, &s);
	}
}

static void fields_a_message_does_not_carry_are_empty(void **state)
{
	struct msg m = {.type = MSG_MISS, .reason = 3, .count = 9}, got;
	struct buf b;

	(void)state;
	buf_init(&b, 1024);
	memset(&got, 0x55, sizeof got);
	assert_int_equal(msg_encode(&b, &m), 0);
	assert_int_equal(msg_decode(&got, b.data + HEADER, b.len - HEADER), 0);
	m.count = 0;
	assert_memory_equal(&m, &got, sizeof m);
	buf_release(&b);
}

/* The array of a message by hand, so that it can be wrong. */
static size_t proper(const struct shape *s, struct value values[SC_FIELDS_MAX])
{
	size_t n = 0;

	values[n++] = (struct value){.kind = VALUE_UINT, .u = s->type};
	for (size_t i = 0; i < s->count; i++)
		values[n++] = value_of(s->fields[i], s->fields[i]->least);
	return n;
}

static int decode(const struct value *values, size_t n)
{
	struct msg m;
	struct buf b;
	int rc;

	buf_init(&b, SC_FRAME_MAX);
	assert_int_equal(pack_encode(&b, values, n), 0);
	rc = msg_decode(&m, b.data, b.len);
	buf_release(&b);
	return rc;
}

static void values_out_of_bounds_are_refused(void **state)
{
	struct value v[SC_FIELDS_MAX];
	struct shape s;

	(void)state;
	for (size_t i = 0; shape_of(i, &s); i++) {
		size_t n = proper(&s, v);

		for (size_t f = 0; f < s.count; f++) {
			const struct known_field *k = s.fields[f];
			struct value good = v[1 + f];

			assert_int_equal(decode(v, n), 0);
			if (k->most < UINT64_MAX) {
				v[1 + f] = value_of(k, k->most + 1);
				assert_int_equal(decode(v, n), SC_EPROTO);
			}
			if (k->least > 0) {
				v[1 + f] = value_of(k, k->least - 1);
				assert_int_equal(decode(v, n), SC_EPROTO);
			}
			if (k->kind == UINT && k->most < UINT64_MAX) {
				v[1 + f] = value_of(k, UINT64_MAX);
				assert_int_equal(decode(v, n), SC_EPROTO);
			}
			v[1 + f] = good;
		}
	}
}

static void wrong_kinds_are_refused(void **state)
{
	static const uint8_t sixteen[16];
	struct value v[SC_FIELDS_MAX];
	struct shape s;

	(void)state;
	for (size_t i = 0; shape_of(i, &s); i++) {
		size_t n = proper(&s, v);

		for (size_t f = 0; f <= s.count; f++) {
			struct value good = v[f];

			v[f] = (struct value){.kind = VALUE_OTHER};
			assert_int_equal(decode(v, n), SC_EPROTO);
			if (good.kind == VALUE_UINT)
				v[f] = (struct value){.kind = VALUE_BYTES, .bytes = {sixteen, 16}};
			else
				v[f] = (struct value){.kind = VALUE_UINT, .u = 16};
			assert_int_equal(decode(v, n), SC_EPROTO);
			v[f] = good;
		}
	}
}

static void missing_fields_are_refused_and_more_are_ignored(void **state)
{
	struct value v[SC_FIELDS_MAX];
	struct shape s;

	(void)state;
	for (size_t i = 0; shape_of(i, &s); i++) {
		size_t n = proper(&s, v);

		for (size_t less = 0; less < n; less++)
			assert_int_equal(decode(v, less), SC_EPROTO);
		v[n] = (struct value){.kind = VALUE_OTHER};
		v[n + 1] = (struct value){.kind = VALUE_UINT, .u = UINT64_MAX};
		v[n + 2] = (struct value){.kind = VALUE_BYTES, .bytes = {filler, sizeof filler}};
		for (size_t more = 0; more <= 3; more++)
			assert_int_equal(decode(v, n + more), 0);
	}
}

static void unknown_types_are_refused(void **state)
{
	struct shape s;
	bool known[300] = {false};
	struct value v = {.kind = VALUE_UINT};

	(void)state;
	for (size_t i = 0; shape_of(i, &s); i++)
		known[s.type] = true;
	for (v.u = 0; v.u < COUNT(known); v.u++) {
		if (known[v.u])
			continue;
		assert_int_equal(decode(&v, 1), SC_EPROTO);
		assert_int_equal(msg_senders((enum msg_type)v.u), SENDER_NONE);
		assert_string_equal(msg_name((enum msg_type)v.u), "?");
	}
	/* Not cut to 32 bits: this one ends in STATUS. */
	v.u = (1ULL << 32) + MSG_STATUS;
	assert_int_equal(decode(&v, 1), SC_EPROTO);
}

static int decode_tagged(struct bytes bucket, struct bytes key, struct bytes chain, struct bytes tags)
{
	static const uint8_t gen[16];
	struct value v[] = {
		{.kind = VALUE_UINT, .u = MSG_ASK},	 {.kind = VALUE_BYTES, .bytes = bucket},
		{.kind = VALUE_BYTES, .bytes = key},	 {.kind = VALUE_UINT},
		{.kind = VALUE_UINT, .u = SC_TTL_UNSET}, {.kind = VALUE_UINT, .u = SC_FOREVER},
		{.kind = VALUE_BYTES, .bytes = chain},	 {.kind = VALUE_BYTES, .bytes = {gen, 16}},
		{.kind = VALUE_UINT, .u = SC_TTL_UNSET}, {.kind = VALUE_UINT, .u = SC_TTL_UNSET},
		{.kind = VALUE_BYTES, .bytes = tags},	 {.kind = VALUE_BYTES},
	};

	return decode(v, COUNT(v));
}

static int decode_question(struct bytes bucket, struct bytes key, struct bytes chain)
{
	return decode_tagged(bucket, key, chain, bytes_of(""));
}

static void bad_tags_are_refused(void **state)
{
	struct bytes ok = bytes_of("a"), none = {NULL, 0};

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		uint8_t text[] = {'x', (uint8_t)c};

		assert_int_equal(decode_tagged(ok, ok, none, (struct bytes){text, 2}), c > 32 && c < 127 ? 0 : SC_EPROTO);
	}
}

static void bad_bucket_key_or_chain_is_refused(void **state)
{
	struct bytes ok = bytes_of("a"), none = {NULL, 0};

	(void)state;
	assert_int_equal(decode_question(ok, ok, none), 0);
	for (unsigned c = 0; c < 256; c++) {
		uint8_t at_end[] = {'x', (uint8_t)c};
		struct bytes b = {at_end, 2};
		bool fits = c && strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", (int)c);

		assert_int_equal(decode_question(b, ok, none), fits ? 0 : SC_EPROTO);
		assert_int_equal(decode_question(ok, b, none), c ? 0 : SC_EPROTO);
	}
	for (size_t n = 0; n <= SC_CHAIN_MAX * SC_GEN_SIZE; n++)
		assert_int_equal(decode_question(ok, ok, (struct bytes){filler, n}), n % SC_GEN_SIZE ? SC_EPROTO : 0);
}

/* Ends the process that tries it: a bound we break ourselves is a bug of ours, and never reaches the wire. */
static void what_we_break_ourselves_is_a_bug(void **state)
{
	static const struct msg broken[] = {
		{.type = (enum msg_type)5},
		{.type = MSG_FLIGHTS},
		{.type = MSG_FLIGHTS, .bucket = {(const uint8_t *)"A", 1}},
		{.type = MSG_LEAVE, .signal = 65},
		{.type = MSG_FOLLOW, .slot = SC_SLOTS},
		{.type = MSG_LIST, .bucket = {(const uint8_t *)"a", 1}, .text = {filler, 4097}},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(broken); i++) {
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (pid == 0) {
			struct buf b;

			signal(SIGABRT, SIG_DFL);
			close(2);
			buf_init(&b, 1 << 20);
			msg_encode(&b, &broken[i]);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

static void a_full_buffer_is_left_as_it_was(void **state)
{
	struct msg m = {.type = MSG_STATUS};
	struct buf b;

	(void)state;
	buf_init(&b, 15);
	for (int i = 0; i < 2; i++)
		assert_int_equal(msg_encode(&b, &m), 0);
	assert_int_equal(b.len, 12);
	assert_int_equal(msg_encode(&b, &m), SC_ETOOBIG);
	assert_int_equal(b.len, 12);
	buf_release(&b);
}

static void descriptors_are_as_many_as_the_message_says(void **state)
{
	static const struct {
		enum msg_type type;
		unsigned least, most;
	} expected[] = {{MSG_HIT, 1, 2},     {MSG_ROW, 1, 2},  {MSG_FOLLOW, 3, 3},  {MSG_LEAD, 7, 7},  {MSG_REGISTER, 3, 4},
			{MSG_STARTED, 1, 1}, {MSG_HELD, 2, 2}, {MSG_HOLDING, 1, 1}, {MSG_LOADED, 1, 2}};
	struct msg m = {.type = MSG_HIT};
	struct shape s;

	(void)state;
	for (size_t i = 0; shape_of(i, &s); i++) {
		unsigned least = 9, most = 9, want_least = 0, want_most = 0;

		for (size_t k = 0; k < COUNT(expected); k++)
			if (expected[k].type == s.type) {
				want_least = expected[k].least;
				want_most = expected[k].most;
			}
		msg_fds(s.type, &least, &most);
		assert_int_equal(least, want_least);
		assert_int_equal(most, want_most);
		assert_true(most <= SC_FDS_MAX);
	}
	assert_int_equal(msg_fd_count(&m), 1);
	m.err_len = UINT64_MAX;
	assert_int_equal(msg_fd_count(&m), 2);
	m = (struct msg){.type = MSG_REGISTER};
	assert_int_equal(msg_fd_count(&m), 3);
	m.pid = 1;
	assert_int_equal(msg_fd_count(&m), 4);
	m.type = MSG_STARTED;
	assert_int_equal(msg_fd_count(&m), 1);
}

/* ---- the document ---- */

static char *read_document(void)
{
	char *text = calloc(1, 1 << 20);
	FILE *f = fopen("lib/PROTOCOL.md", "r");
	size_t n;

	if (!f)
		fail_msg("lib/PROTOCOL.md cannot be opened from here: run from the top of the tree");
	assert_non_null(text);
	n = fread(text, 1, (1 << 20) - 1, f);
	assert_true(n > 0 && n < (1 << 20) - 1);
	fclose(f);
	return text;
}

/* Indented, and alone on its line. */
static bool has_line(const char *text, const char *line)
{
	char whole[600];

	snprintf(whole, sizeof whole, "\n    %s\n", line);
	return strstr(text, whole) != NULL;
}

/* "    NAME number …" */
static bool looks_like_message(const char *line)
{
	size_t name;

	if (strncmp(line, "    ", 4) != 0)
		return false;
	line += 4;
	name = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
	return name > 1 && line[name] == ' ' && strspn(line + name + 1, "0123456789") > 0;
}

static void the_document_names_each_message_with_its_fields(void **state)
{
	char *text = read_document(), *rest = NULL, line[512];
	size_t in_table = 0, in_text = 0;

	(void)state;
	while (msg_describe(in_table, line, sizeof line)) {
		if (!has_line(text, line))
			fail_msg("lib/PROTOCOL.md lacks the line: %s", line);
		in_table++;
	}
	assert_true(in_table > 30);
	for (char *l = strtok_r(text, "\n", &rest); l; l = strtok_r(NULL, "\n", &rest))
		in_text += looks_like_message(l);
	assert_int_equal(in_text, in_table);
	free(text);
}

static void the_document_counts_descriptors_as_we_do(void **state)
{
	char *text = read_document(), want[64];
	struct shape s;

	(void)state;
	for (size_t i = 0; shape_of(i, &s); i++) {
		unsigned least, most;

		msg_fds(s.type, &least, &most);
		snprintf(want, sizeof want, "\n| %s | %u", msg_name(s.type), least);
		if (most > least)
			snprintf(want, sizeof want, "\n| %s | %u or %u", msg_name(s.type), least, most);
		if (most > 0 && !strstr(text, want))
			fail_msg("lib/PROTOCOL.md lacks the row: %s", want + 1);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_survives_its_extremes),
		cmocka_unit_test(fields_a_message_does_not_carry_are_empty),
		cmocka_unit_test(values_out_of_bounds_are_refused),
		cmocka_unit_test(wrong_kinds_are_refused),
		cmocka_unit_test(missing_fields_are_refused_and_more_are_ignored),
		cmocka_unit_test(unknown_types_are_refused),
		cmocka_unit_test(bad_bucket_key_or_chain_is_refused),
		cmocka_unit_test(bad_tags_are_refused),
		cmocka_unit_test(what_we_break_ourselves_is_a_bug),
		cmocka_unit_test(a_full_buffer_is_left_as_it_was),
		cmocka_unit_test(descriptors_are_as_many_as_the_message_says),
		cmocka_unit_test(the_document_names_each_message_with_its_fields),
		cmocka_unit_test(the_document_counts_descriptors_as_we_do),
	};

	memset(filler, 'x', sizeof filler);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

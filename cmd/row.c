/* Rows of JSON. Called by every verb that has --json, and by status.c. */
#include "cmd/row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/human.h"
#include "lib/limits.h"
#include "lib/msg.h"
#include "lib/tags.h"

json_t *row_text(const char *text)
{
	char shown[4 * SC_PATH_MAX];
	json_t *j;

	if (!text)
		return json_null();
	j = json_string(text);
	return j ? j : json_string(human_escape(text, strlen(text), shown, sizeof shown));
}

json_t *row_seconds(uint64_t ms)
{
	return ms >= SC_FOREVER - 1 ? json_null() : json_real((double)ms / 1000);
}

json_t *row_number(uint64_t n)
{
	return n >= SC_FOREVER - 1 ? json_null() : json_integer((json_int_t)n);
}

static json_t *base64(struct bytes b)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *out = malloc(b.n / 3 * 4 + 5), *p = out;
	json_t *j;

	if (!out)
		return NULL;
	for (size_t i = 0; i < b.n; i += 3) {
		unsigned v = (unsigned)b.p[i] << 16 | (i + 1 < b.n ? (unsigned)b.p[i + 1] << 8 : 0) |
			     (i + 2 < b.n ? b.p[i + 2] : 0);

		*p++ = digits[v >> 18];
		*p++ = digits[v >> 12 & 63];
		*p++ = i + 1 < b.n ? digits[v >> 6 & 63] : '=';
		*p++ = i + 2 < b.n ? digits[v & 63] : '=';
	}
	j = json_stringn(out, (size_t)(p - out));
	free(out);
	return j;
}

void row_set_key(json_t *row, struct bytes key)
{
	json_t *exact = json_stringn((const char *)key.p, key.n);

	/* Not UTF-8: then the bytes, and no guess. */
	json_object_set_new(row, "key", exact ? exact : json_null());
	if (!exact)
		json_object_set_new(row, "key_b64", base64(key));
}

static void add_generation(json_t *row, const struct msg *m)
{
	char hex[SC_GEN_HEX];

	gen_format(&m->gen, hex);
	json_object_set_new(row, "generation", row_text(hex));
}

void row_add_entry(json_t *row, const struct msg *m)
{
	struct bytes rest = m->tags, tag;
	json_t *tags = json_array();

	while (tags_next(&rest, &tag))
		json_array_append_new(tags, json_stringn((const char *)tag.p, tag.n));
	add_generation(row, m);
	json_object_set_new(row, "exit", m->signal ? json_null() : row_number(m->exit));
	json_object_set_new(row, "signal", m->signal ? row_number(m->signal) : json_null());
	json_object_set_new(row, "bytes", row_number(m->out_len));
	json_object_set_new(row, "stderr_bytes", row_number(m->err_len));
	json_object_set_new(row, "created", row_seconds(m->created));
	json_object_set_new(row, "age", row_seconds(m->age));
	json_object_set_new(row, "ttl", row_seconds(m->ttl));
	json_object_set_new(row, "stale", row_seconds(m->stale));
	json_object_set_new(row, "took", row_seconds(m->estimate));
	json_object_set_new(row, "hits", row_number(m->hits));
	json_object_set_new(row, "tags", tags);
}

const char *row_state(const struct msg *m)
{
	static const char *const states[] = {"awaited", "running", "stopping", "committing", "dying"};

	return m->flags < sizeof states / sizeof *states ? states[m->flags] : "other";
}

static json_t *json_pid(uint64_t pid)
{
	return pid ? row_number(pid) : json_null();
}

void row_add_run(json_t *row, const struct msg *m)
{
	add_generation(row, m);
	json_object_set_new(row, "state", row_text(row_state(m)));
	json_object_set_new(row, "age", row_seconds(m->age));
	json_object_set_new(row, "bytes", row_number(m->out_len));
	json_object_set_new(row, "stderr_bytes", row_number(m->err_len));
	json_object_set_new(row, "readers", row_number(m->count));
	json_object_set_new(row, "lag_least", row_number(m->lag_least));
	json_object_set_new(row, "lag_most", row_number(m->lag_most));
	json_object_set_new(row, "leader", json_pid(m->leader));
	json_object_set_new(row, "pid", json_pid(m->pid));
}

static char *make_line(json_t *row, size_t flags)
{
	char *line = json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(15) | flags), *longer;
	size_t n = line ? strlen(line) : 0;

	json_decref(row);
	longer = line ? realloc(line, n + 2) : NULL;
	if (!longer) {
		free(line);
		return NULL;
	}
	memcpy(longer + n, "\n", 2);
	return longer;
}

char *row_line(json_t *row)
{
	return make_line(row, 0);
}

void row_print(json_t *row)
{
	/* Control characters beyond ASCII are plain text to JSON, and orders to a terminal. */
	char *line = make_line(row, isatty(1) ? JSON_ENSURE_ASCII : 0);

	if (line)
		fputs(line, stdout);
	free(line);
}

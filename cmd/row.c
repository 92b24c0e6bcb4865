/* Rows of JSON. Called by every verb that has --json, and by status.c. */
#include "cmd/row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/quote.h"
#include "lib/buf.h"
#include "lib/err.h"
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

/* The words of `shown`, one after the other, the last one perhaps cut off: NULs are behind each of those that are not. */
static bool next_word(struct bytes *rest, char word[SC_SHOWN_MAX + 1])
{
	const uint8_t *end = rest->n ? memchr(rest->p, '\0', rest->n) : NULL;
	size_t n = end ? (size_t)(end - rest->p) : rest->n;

	if (rest->n == 0)
		return false;
	memcpy(word, rest->p, n);
	word[n] = '\0';
	rest->p += n + (end != NULL);
	rest->n -= n + (end != NULL);
	return true;
}

/* Between quotes where it can be: easier to read than a backslash in front of each byte. */
static int add_word(struct buf *b, const char *word)
{
	size_t at = b->len, n = strlen(word);

	if (!quote_add(b, QUOTE_NONE, true, word))
		return SC_ENOMEM;
	if ((n && b->len - at == n) || !quote_is_printable(word) || strchr(word, '\''))
		return 0;
	b->len = at;
	if (buf_append(b, "'", 1) || buf_append(b, word, n))
		return SC_ENOMEM;
	return buf_append(b, "'", 1);
}

char *row_command(struct bytes shown)
{
	bool cut = shown.n && shown.p[shown.n - 1];
	char word[SC_SHOWN_MAX + 1], *text = NULL;
	struct bytes rest = shown;
	struct buf b;
	int rc = 0;

	buf_init(&b, SIZE_MAX);
	while (rc == 0 && next_word(&rest, word)) {
		if (b.len)
			rc = buf_append(&b, " ", 1);
		if (rc == 0)
			rc = add_word(&b, word);
	}
	if (rc == 0 && cut)
		rc = buf_append(&b, "...", 3);
	if (rc == 0 && b.len)
		text = strndup((const char *)b.data, b.len);
	buf_release(&b);
	return text;
}

/* The words; null: not known. */
static json_t *json_command(struct bytes shown)
{
	json_t *words = shown.n ? json_array() : json_null();
	char word[SC_SHOWN_MAX + 1];

	while (next_word(&shown, word))
		json_array_append_new(words, row_text(word));
	return words;
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
	json_object_set_new(row, "command", json_command(m->shown));
	json_object_set_new(row, "memory", json_boolean(m->flags & ENTRY_MEMORY));
	json_object_set_new(row, "sealed", json_boolean(m->flags & ENTRY_SEALED));
}

const char *row_state(const struct msg *m)
{
	static const char *const states[] = {"awaited", "running", "stopping", "committing", "dying"};

	if (m->flags == FLIGHT_IS_LEASE)
		return "held";
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
	json_object_set_new(row, "command", json_command(m->shown));
}

#define DEL '\x7f'

/* Each DEL of the text as JSON can say it; for others they are plain text, too. Takes text, NULL: no memory. */
static char *escape_del(char *text)
{
	static const char said[] = "\\u007f";
	size_t n = 0, k = 0;
	char *longer;

	for (const char *p = text; *p; p++)
		n += *p == DEL;
	longer = n ? malloc(strlen(text) + n * (sizeof said - 2) + 1) : text;
	if (n && longer) {
		for (const char *p = text; *p; p++)
			if (*p == DEL) {
				memcpy(longer + k, said, sizeof said - 1);
				k += sizeof said - 1;
			} else {
				longer[k++] = *p;
			}
		longer[k] = '\0';
	}
	if (n)
		free(text);
	return longer;
}

char *row_line(json_t *row, int fd)
{
	bool terminal = isatty(fd);
	char *line = json_dumps(row, JSON_COMPACT | JSON_REAL_PRECISION(15) | (terminal ? JSON_ENSURE_ASCII : 0u)), *longer;
	size_t n;

	json_decref(row);
	line = line && terminal ? escape_del(line) : line;
	n = line ? strlen(line) : 0;
	longer = line ? realloc(line, n + 2) : NULL;
	if (!longer) {
		free(line);
		return NULL;
	}
	memcpy(longer + n, "\n", 2);
	return longer;
}

void row_print(json_t *row)
{
	char *line = row_line(row, 1);

	if (line)
		fputs(line, stdout);
	free(line);
}

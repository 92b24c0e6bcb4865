/* Rows of JSON. Called by every verb that has --json, and by status.c. */
#include "cmd/row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/human.h"
#include "lib/limits.h"

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

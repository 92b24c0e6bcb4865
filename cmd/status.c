/* The status line. Called by get.c at each of its ends. */
#include "cmd/status.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/limits.h"

void status_init(struct status *s)
{
	*s = (struct status){.fd = -1, .age_ms = SC_FOREVER, .ttl_ms = SC_FOREVER};
}

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *seconds_or_null(uint64_t ms)
{
	return ms >= SC_FOREVER - 1 ? json_null() : json_real((double)ms / 1000);
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

static void set_key(json_t *o, struct bytes key)
{
	json_t *exact = json_stringn((const char *)key.p, key.n);

	/* Not UTF-8: then the bytes, and no guess. */
	json_object_set_new(o, "key", exact ? exact : json_null());
	if (!exact)
		json_object_set_new(o, "key_b64", base64(key));
}

void status_write(struct status *s)
{
	char hex[SC_GEN_HEX], *line;
	size_t sent = 0, n;
	json_t *o;

	if (s->fd < 0)
		return;
	o = json_object();
	gen_format(&s->gen, hex);
	json_object_set_new(o, "source", text_or_null(s->source));
	set_key(o, s->key);
	json_object_set_new(o, "bucket", text_or_null(s->bucket));
	json_object_set_new(o, "generation", gen_is_none(&s->gen) ? json_null() : json_string(hex));
	json_object_set_new(o, "exit", s->ended && !s->signal ? json_integer(s->exit) : json_null());
	json_object_set_new(o, "signal", s->ended && s->signal ? json_integer(s->signal) : json_null());
	json_object_set_new(o, "bytes", json_integer((json_int_t)s->bytes));
	json_object_set_new(o, "stderr_bytes", json_integer((json_int_t)s->stderr_bytes));
	json_object_set_new(o, "age", seconds_or_null(s->age_ms));
	json_object_set_new(o, "ttl", seconds_or_null(s->ttl_ms));
	json_object_set_new(o, "complete", json_boolean(s->complete));
	json_object_set_new(o, "error", text_or_null(s->error));
	json_object_set_new(o, "reason", text_or_null(s->reason));
	line = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(12));
	json_decref(o);
	if (!line)
		return;
	n = strlen(line);
	line[n] = '\n'; /* in place of the final NUL */
	while (sent < n + 1) {
		ssize_t w = write(s->fd, line + sent, n + 1 - sent);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			break;
		sent += (size_t)w;
	}
	free(line);
	s->fd = -1;
}

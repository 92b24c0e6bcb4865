/* The status line. Called by get.c at each of its ends. */
#include "cmd/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/row.h"
#include "lib/limits.h"

void status_init(struct status *s)
{
	*s = (struct status){.fd = -1, .age_ms = SC_FOREVER, .ttl_ms = SC_FOREVER};
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
	json_object_set_new(o, "source", row_text(s->source));
	row_set_key(o, s->key);
	json_object_set_new(o, "bucket", row_text(s->bucket));
	json_object_set_new(o, "generation", gen_is_none(&s->gen) ? json_null() : json_string(hex));
	json_object_set_new(o, "exit", s->ended && !s->signal ? json_integer(s->exit) : json_null());
	json_object_set_new(o, "signal", s->ended && s->signal ? json_integer(s->signal) : json_null());
	json_object_set_new(o, "bytes", json_integer((json_int_t)s->bytes));
	json_object_set_new(o, "stderr_bytes", json_integer((json_int_t)s->stderr_bytes));
	json_object_set_new(o, "age", row_seconds(s->age_ms));
	json_object_set_new(o, "ttl", row_seconds(s->ttl_ms));
	json_object_set_new(o, "complete", json_boolean(s->complete));
	json_object_set_new(o, "error", row_text(s->error));
	json_object_set_new(o, "reason", row_text(s->reason));
	line = row_line(o, s->fd);
	if (!line)
		return;
	n = strlen(line);
	while (sent < n) {
		ssize_t w = write(s->fd, line + sent, n - sent);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			break;
		sent += (size_t)w;
	}
	free(line);
	s->fd = -1;
}

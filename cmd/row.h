/* `--json`: one object a line, by the same rules in every verb. Durations are seconds, sizes bytes; forever, none and unknown are
 * null; fields are only ever added. Also the line of --status-fd. */
#ifndef SC_ROW_H
#define SC_ROW_H

#include <jansson.h>
#include <stdint.h>

#include "lib/buf.h"

struct msg;

/* Values. What is no UTF-8 comes escaped, as on a terminal; NULL is null. */
json_t *row_text(const char *text);
json_t *row_seconds(uint64_t ms);
json_t *row_number(uint64_t n);

/* "key", and where that is not exact null and "key_b64". */
void row_set_key(json_t *row, struct bytes key);

/* What every verb says of an entry (of an ENTRY) and of a run (of a FLIGHT). */
void row_add_entry(json_t *row, const struct msg *m);
void row_add_run(json_t *row, const struct msg *m);
/* How a command line of a message is typed ("shown"), for people; NULL: it is not known, or there is no memory. The caller's to free. */
char *row_command(struct bytes shown);
/* The run's state in a word; "held": it is none, but what `hold` has. */
const char *row_state(const struct msg *m);

/* The object as a line for fd, its end of line included; the caller's to free. A terminal gets no control character: those beyond ASCII are
 * plain text to JSON, and orders to it. Takes the row. NULL: no memory. */
char *row_line(json_t *row, int fd);

/* The same to stdout; a terminal gets ASCII alone. */
void row_print(json_t *row);

#endif

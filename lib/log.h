/* One `key=value` line per event, to one descriptor. Never fails anybody: a line that cannot be written is dropped and
 * counted. At most SC_LOG_RATE lines a second; what was dropped is said in the next line that goes through. */
#ifndef SC_LOG_H
#define SC_LOG_H

#include <stdint.h>

struct log;

/* Appends to `name` in `dir_fd` (0600, O_NOFOLLOW, regular and ours), or only to stderr when name is NULL. NULL: no memory. */
struct log *log_open(int dir_fd, const char *name);
void log_close(struct log *l);

/* event is one word; fmt makes "key=value key=value". Time and pid are put in front. Control bytes become \xHH, so that a
 * line stays one line. Rotates to `name`.1 at SC_LOG_MAX. */
void log_event(struct log *l, const char *event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif

/* --status-fd: one line of JSON that says where the bytes came from and how it ended. */
#ifndef SC_STATUS_H
#define SC_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/gen.h"

struct status {
	int fd;		    /* -1: not asked for. Close-on-exec: the command does not get it */
	const char *source; /* hit run follow stale bypass miss; NULL: it came to nothing */
	struct bytes key;
	const char *bucket;
	struct gen gen;
	bool ended; /* exit and signal are known */
	uint32_t exit, signal;
	uint64_t bytes, stderr_bytes;
	uint64_t age_ms, ttl_ms; /* SC_FOREVER: null */
	bool complete;		 /* all of the run's output was printed */
	const char *error;	 /* NULL: none */
	const char *reason;	 /* why it was no hit, or why it was bypassed; NULL: nothing to say */
};

void status_init(struct status *s);

/* Writes the line, once. What cannot be written is nobody's failure. */
void status_write(struct status *s);

#endif

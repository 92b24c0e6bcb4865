/* From a command's pipes into the objects of its run: reads, sums, appends, publishes on the page, and keeps to the pace of the
 * readers. Knows no process and no daemon; nothing but this appends to an object or publishes its growth. */
#ifndef SC_CAPTURE_H
#define SC_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/checksum.h"

struct gift;
struct page;

struct capture {
	struct page *page;
	int out_fd, err_fd; /* the objects, for appending */
	struct checksum *out_sum, *err_sum;
	uint64_t out_len, err_len;
	uint64_t unpublished; /* bytes */
	uint64_t published_ms;
	uint64_t ahead_from; /* more bytes than this may be too far ahead of the readers: look */
	bool out_full;	     /* its pipe has been enlarged */
	struct gift *gift;   /* stdout is a FILE whose bytes need not pass through us; NULL (any more): they do */
	int broken;	     /* errno of an append that failed; what comes after it is read and dropped. 0: none */
};

/* SC_ENOMEM. Page and descriptors stay the caller's. */
int capture_init(struct capture *c, struct page *page, int out_fd, int err_fd);

/* One read of what the command prints. False: there is no more. A read that fails is the end, and *error its errno. */
bool capture_out(struct capture *c, int fd, int *error);
bool capture_err(struct capture *c, int fd);

/* What is there now, of either stream, and no more. */
void capture_rest(struct capture *c, int out_fd, int err_fd);

/* A line of ours, as if the command had printed it to stderr. */
void capture_text(struct capture *c, const char *text);

/* Publishes what is there, if anything is new; or only when it is time to, because each publishing wakes every reader. */
void capture_publish(struct capture *c);
void capture_publish_if_due(struct capture *c);

/* Whether this is more than a window ahead of the fastest reader: then *resume is where that reader must have come to. Nobody is
 * waited for who does not live, nor where nobody reads. */
bool capture_is_ahead(struct capture *c, uint64_t *resume);

#endif

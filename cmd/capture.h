/* From a command's pipes into the objects of its run: reads, sums, appends, publishes on the page, and keeps to the pace of the
 * readers. When the objects cannot grow any more (disk full, quota, a limit on their size), what comes goes through the page's ring
 * to those who read, and is kept nowhere: the run is streaming-only from there. Knows no process and no daemon; nothing but this appends to an object or publishes its growth. */
#ifndef SC_CAPTURE_H
#define SC_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/checksum.h"

struct gen;
struct gift;
struct page;
struct seal_key;
struct sealed_writer;

struct capture {
	struct page *page;
	int out_fd, err_fd; /* the objects, for appending */
	struct checksum *out_sum, *err_sum;
	uint64_t out_len, err_len;	 /* what the command printed, and the records of it */
	uint64_t size[2];		 /* of the objects, by enum stream */
	struct sealed_writer *sealed[2]; /* owned; NULL: they are clear */
	uint64_t unpublished;		 /* bytes */
	uint64_t published_ms;
	uint64_t ahead_from;	     /* more bytes than this may be too far ahead of the readers: look */
	uint64_t resume;	     /* … and sleep until the fastest has come here */
	uint64_t room;		     /* in the ring, for one read of stdout */
	uint64_t out_rest, err_rest; /* so many bytes are still to be read; SC_FOREVER: to the end */
	bool out_full;		     /* its pipe has been enlarged */
	struct gift *gift;	     /* stdout is a FILE whose bytes need not pass through us; NULL (any more): they do */
	int spilled; /* errno of what kept the objects from growing: the rest goes through the page's ring. 0: they grow */
};

/* SC_ENOMEM. Page and descriptors stay the caller's. */
int capture_init(struct capture *c, struct page *page, int out_fd, int err_fd);
void capture_release(struct capture *c);

/* Before the first byte: the objects are to be sealed, under these keys of the generation (by enum stream). A FILE is read then, like a pipe. SC_ENOMEM. */
int capture_seal(struct capture *c, const struct gen *g, const struct seal_key *keys);

/* There will be no more: sealed objects are ended. `spilled` says if they could not be. */
void capture_end(struct capture *c);

/* One read of what the command prints. False: there is no more. A read that fails is the end, and *error its errno. */
bool capture_out(struct capture *c, int fd, int *error);
bool capture_err(struct capture *c, int fd);

/* What is in the pipes now, of either stream (-1: none), and no more: its end is theirs. Nothing in one: nothing is to be read any more,
 * which is for the caller to see to (out_rest, err_rest 0). */
void capture_only_rest(struct capture *c, int out_fd, int err_fd);

/* A line of ours, as if the command had printed it to stderr. */
void capture_text(struct capture *c, const char *text);

/* Publishes what is there, if anything is new; or only when it is time to, because each publishing wakes every reader. */
void capture_publish(struct capture *c);
void capture_publish_if_due(struct capture *c);

/* Whether nothing may be read now: this is more than a window ahead of the fastest reader, or the ring has no room for the slowest.
 * Nobody is waited for who does not live, nor where nobody reads. */
bool capture_must_wait(struct capture *c);

/* After capture_must_wait said so: sleeps until that may have changed, at most timeout_ms (bounded by SC_PAGE_WAIT_MS). */
void capture_wait(struct capture *c, uint64_t timeout_ms);

#endif

/* A growing array of bytes with a bound. Owner of its memory; zero-initialised is empty and unbounded use is a BUG. */
#ifndef SC_BUF_H
#define SC_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data; /* owned; NULL while empty */
	size_t len;    /* bytes in use */
	size_t cap;    /* bytes allocated */
	size_t max;    /* never grows past this; 0 is not allowed */
};

/* A view of bytes somebody else owns. */
struct bytes {
	const uint8_t *p;
	size_t n;
};

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);

/* SC_ETOOBIG over the bound, SC_ENOMEM; then nothing was added. */
int buf_append(struct buf *b, const void *p, size_t n);

/* Makes room for n more bytes behind len, without using them. Same errors. */
int buf_reserve(struct buf *b, size_t n);

/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);

struct bytes bytes_of(const char *text);

#endif

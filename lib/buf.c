/* The growing array. Called by whoever collects bytes of unknown number; its bound is the caller's, and is checked before
 * anything is allocated. Never shrinks its memory but in buf_release. */
#include "lib/buf.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

/* Most buffers hold one short frame; growing from less would only cost calls. */
#define FIRST_CAP 256

void buf_init(struct buf *b, size_t max)
{
	BUG_ON(max == 0);
	*b = (struct buf){.max = max};
}

void buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

int buf_reserve(struct buf *b, size_t n)
{
	size_t need, cap;
	uint8_t *data;

	BUG_ON(b->max == 0);
	BUG_ON(b->len > b->max);
	/* By subtraction, since len + n may wrap. */
	if (n > b->max - b->len)
		return SC_ETOOBIG;
	need = b->len + n;
	if (need <= b->cap)
		return 0;

	cap = b->cap > FIRST_CAP ? b->cap : FIRST_CAP;
	while (cap < need && cap <= SIZE_MAX / 2)
		cap *= 2;
	if (cap < need || cap > b->max)
		cap = b->max;

	data = realloc(b->data, cap);
	if (!data)
		return SC_ENOMEM;
	b->data = data;
	b->cap = cap;
	return 0;
}

int buf_append(struct buf *b, const void *p, size_t n)
{
	int err;

	err = buf_reserve(b, n);
	if (err || n == 0) /* with nothing to add p may be NULL, which memcpy must not see */
		return err;
	memcpy(b->data + b->len, p, n);
	b->len += n;
	return 0;
}

void buf_consume(struct buf *b, size_t n)
{
	BUG_ON(n > b->len);
	if (n == 0)
		return;
	b->len -= n;
	if (b->len > 0)
		memmove(b->data, b->data + n, b->len);
}

struct bytes bytes_of(const char *text)
{
	return (struct bytes){.p = (const uint8_t *)text, .n = text ? strlen(text) : 0};
}

/* The door to msgpack. One flat array in, one out. A frame is decoded by a bounded walk of our own (nothing allocated, nothing
 * recursive) and never by the library, which from five bytes would allocate eight gigabytes; the library only encodes. */
#ifndef SC_PACK_H
#define SC_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/limits.h"

enum value_kind { VALUE_OTHER, VALUE_UINT, VALUE_BYTES };

struct value {
	enum value_kind kind; /* VALUE_OTHER: nil, negative, float, nested …: a field of a newer peer */
	uint64_t u;
	struct bytes bytes; /* points into the frame */
};

/* Exactly one array of at most SC_FIELDS_MAX values that ends where the frame ends, nested at most SC_NESTING_MAX deep, every
 * length within the frame. SC_EPROTO otherwise. */
int pack_check(const void *frame, size_t n);

/* The same, with the values. *count: how many. SC_EPROTO. */
int pack_decode(const void *frame, size_t n, struct value out[SC_FIELDS_MAX], size_t *count);

/* Appends one array to `out`. The errors of buf_append. */
int pack_encode(struct buf *out, const struct value *values, size_t count);

#endif

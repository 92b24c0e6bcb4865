/* The door to msgpack. Called by msg.c. Encodes with the library; decodes by its own walk, which is also the check: one pass,
 * no allocation, no recursion, and nothing a frame says about itself is believed further than the frame is long. */
#include "lib/pack.h"

#include <msgpack.h>
#include <stdbool.h>

#include "lib/err.h"

/* ---- out ---- */

struct sink {
	struct buf *buf;
	int err;
};

static int sink_write(void *data, const char *bytes, size_t n)
{
	struct sink *s = data;

	if (s->err == 0 && n > 0)
		s->err = buf_append(s->buf, bytes, n);
	return s->err;
}

int pack_encode(struct buf *out, const struct value *values, size_t count)
{
	struct sink sink = {.buf = out};
	size_t before = out->len;
	msgpack_packer pk;

	BUG_ON(count > SC_FIELDS_MAX);
	msgpack_packer_init(&pk, &sink, sink_write);
	msgpack_pack_array(&pk, count);
	for (size_t i = 0; i < count; i++) {
		const struct value *v = &values[i];

		switch (v->kind) {
		case VALUE_UINT:
			msgpack_pack_uint64(&pk, v->u);
			break;
		case VALUE_BYTES:
			msgpack_pack_bin(&pk, v->bytes.n);
			msgpack_pack_bin_body(&pk, v->bytes.p, v->bytes.n);
			break;
		case VALUE_OTHER:
			msgpack_pack_nil(&pk);
			break;
		}
	}
	if (sink.err)
		out->len = before;
	return sink.err;
}

/* ---- in ---- */

/* What one value consists of, as its first bytes say. */
struct head {
	enum value_kind kind;
	uint64_t u;	   /* VALUE_UINT */
	uint64_t body;	   /* bytes behind the head that belong to it */
	uint64_t children; /* values behind the head that belong to it */
	bool nests;	   /* an array or a map, even if it is empty */
	bool is_array;
};

struct cursor {
	const uint8_t *p;
	size_t left;
};

static bool take_number(struct cursor *c, size_t width, uint64_t *out)
{
	uint64_t u = 0;

	if (c->left < width)
		return false;
	for (size_t i = 0; i < width; i++)
		u = u << 8 | c->p[i];
	c->p += width;
	c->left -= width;
	*out = u;
	return true;
}

static bool take_length(struct cursor *c, size_t width, enum value_kind kind, struct head *h)
{
	h->kind = kind;
	return take_number(c, width, &h->body);
}

static bool take_children(struct cursor *c, size_t width, uint64_t each, struct head *h)
{
	uint64_t n;

	if (!take_number(c, width, &n))
		return false;
	h->nests = true;
	h->is_array = each == 1;
	h->children = n * each;
	return true;
}

/* The heads of 0xc0 to 0xdf: what follows the first byte depends on it one by one. */
static bool take_long_head(struct cursor *c, uint8_t first, struct head *h)
{
	switch (first) {
	case 0xc0: /* nil */
	case 0xc2: /* false */
	case 0xc3: /* true */
		return true;
	case 0xc4: /* bin */
	case 0xc5:
	case 0xc6:
		return take_length(c, (size_t)1 << (first - 0xc4), VALUE_BYTES, h);
	case 0xc7: /* ext: a byte of type in front of the body */
	case 0xc8:
	case 0xc9:
		if (!take_length(c, (size_t)1 << (first - 0xc7), VALUE_OTHER, h))
			return false;
		h->body++;
		return true;
	case 0xca: /* float */
		h->body = 4;
		return true;
	case 0xcb:
		h->body = 8;
		return true;
	case 0xcc: /* unsigned */
	case 0xcd:
	case 0xce:
	case 0xcf:
		h->kind = VALUE_UINT;
		return take_number(c, (size_t)1 << (first - 0xcc), &h->u);
	case 0xd0: /* signed */
	case 0xd1:
	case 0xd2:
	case 0xd3:
		h->body = 1ULL << (first - 0xd0);
		return true;
	case 0xd4: /* fixext */
	case 0xd5:
	case 0xd6:
	case 0xd7:
	case 0xd8:
		h->body = (1ULL << (first - 0xd4)) + 1;
		return true;
	case 0xd9: /* str */
	case 0xda:
	case 0xdb:
		return take_length(c, (size_t)1 << (first - 0xd9), VALUE_BYTES, h);
	case 0xdc: /* array */
	case 0xdd:
		return take_children(c, (size_t)2 << (first - 0xdc), 1, h);
	case 0xde: /* map: two values an entry */
	case 0xdf:
		return take_children(c, (size_t)2 << (first - 0xde), 2, h);
	default: /* 0xc1, which means nothing */
		return false;
	}
}

static bool take_head(struct cursor *c, struct head *h)
{
	uint8_t first;

	*h = (struct head){.kind = VALUE_OTHER};
	if (c->left == 0)
		return false;
	first = *c->p++;
	c->left--;
	if (first < 0x80) {
		h->kind = VALUE_UINT;
		h->u = first;
	} else if (first < 0x90) {
		h->nests = true;
		h->children = 2 * (first & 0x0fu);
	} else if (first < 0xa0) {
		h->nests = true;
		h->is_array = true;
		h->children = first & 0x0fu;
	} else if (first < 0xc0) {
		h->kind = VALUE_BYTES;
		h->body = first & 0x1fu;
	} else if (first < 0xe0) {
		if (!take_long_head(c, first, h))
			return false;
	} /* else a small negative number, which is no field of ours */
	/* Every value is a byte at least, so a number of children that cannot be in the frame is refused unseen. */
	return h->body <= c->left && h->children <= c->left;
}

/* The one walk. The row of open arrays is as deep as a frame may be, so what is deeper is refused where it opens. */
static int walk(const void *frame, size_t n, struct value *out, size_t *count)
{
	struct cursor c = {.p = frame, .left = n};
	uint64_t open[SC_NESTING_MAX]; /* values still to come of each array or map we are inside of */
	size_t depth = 1, taken = 0;
	struct head h;

	if (!take_head(&c, &h) || !h.is_array || h.children > SC_FIELDS_MAX)
		return SC_EPROTO;
	open[0] = h.children;
	while (depth > 0) {
		if (open[depth - 1] == 0) {
			depth--;
			continue;
		}
		open[depth - 1]--;
		if (!take_head(&c, &h))
			return SC_EPROTO;
		if (depth == 1) {
			if (out)
				out[taken] = (struct value){
					.kind = h.kind,
					.u = h.u,
					.bytes = {.p = c.p, .n = h.kind == VALUE_BYTES ? (size_t)h.body : 0},
				};
			taken++;
		}
		c.p += h.body;
		c.left -= h.body;
		if (!h.nests)
			continue;
		if (depth == SC_NESTING_MAX)
			return SC_EPROTO;
		open[depth++] = h.children;
	}
	if (c.left > 0)
		return SC_EPROTO;
	*count = taken;
	return 0;
}

int pack_check(const void *frame, size_t n)
{
	size_t count;

	return walk(frame, n, NULL, &count);
}

int pack_decode(const void *frame, size_t n, struct value out[SC_FIELDS_MAX], size_t *count)
{
	*count = 0;
	return walk(frame, n, out, count);
}

/* What the fuzzers share: their input as a recipe, and what is done to bytes by one. */
#ifndef SC_FUZZ_H
#define SC_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void expect(int ok)
{
	if (!ok)
		abort();
}

/* Bytes of the recipe; zeros when it is over. */
struct recipe {
	const uint8_t *p;
	size_t n;
};

static inline unsigned take(struct recipe *r)
{
	if (r->n == 0)
		return 0;
	r->n--;
	return *r->p++;
}

static inline size_t take_below(struct recipe *r, size_t bound)
{
	size_t v = 0;

	for (size_t left = bound - 1; left > 0; left >>= 8)
		v = v << 8 | take(r);
	return v % bound;
}

/* The next of the recipe as they are. Returns how many: n, or as many as there are. */
static inline size_t take_bytes(struct recipe *r, uint8_t *out, size_t n)
{
	n = n < r->n ? n : r->n;
	if (n)
		memcpy(out, r->p, n);
	r->p += n;
	r->n -= n;
	return n;
}

/* Bytes set, cut away, cut out, exchanged, repeated there or at the end. Returns how many there are then: at most `room`. */
static inline size_t change(uint8_t *bytes, size_t n, size_t room, struct recipe *r)
{
	for (unsigned times = take(r) % 8; times > 0 && n > 1; times--) {
		size_t a = take_below(r, n), b = take_below(r, n), from = a < b ? a : b, some = a < b ? b - a : a - b;
		uint8_t was = bytes[a];

		switch (take(r) % 6) {
		case 0:
			bytes[a] = (uint8_t)take(r);
			break;
		case 1:
			n = a;
			break;
		case 2:
			memmove(bytes + from, bytes + from + some, n - from - some);
			n -= some;
			break;
		case 3:
			bytes[a] = bytes[b];
			bytes[b] = was;
			break;
		case 4:
			some = some + 1 < room - n ? some + 1 : room - n;
			memmove(bytes + n, bytes + from, some);
			n += some;
			break;
		default:
			some = some < room - n ? some : room - n;
			memmove(bytes + from + some, bytes + from, n - from);
			n += some;
		}
	}
	return n;
}

#endif

/* Generations as values: compare, print, parse. Makes none (digest.c does, it has the randomness) and opens no file. */
#include "lib/gen.h"

#include <string.h>

#include "lib/err.h"

bool gen_is_none(const struct gen *g)
{
	static const struct gen none;

	return gen_equal(g, &none);
}

bool gen_equal(const struct gen *a, const struct gen *b)
{
	return memcmp(a->b, b->b, SC_GEN_SIZE) == 0;
}

int gen_compare(const void *a, const void *b)
{
	return memcmp(a, b, SC_GEN_SIZE);
}

void gen_format(const struct gen *g, char out[SC_GEN_HEX])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < SC_GEN_SIZE; i++) {
		out[2 * i] = digits[g->b[i] >> 4];
		out[2 * i + 1] = digits[g->b[i] & 15];
	}
	out[2 * SC_GEN_SIZE] = '\0';
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int gen_parse(const char *text, unsigned long len, struct gen *out)
{
	struct gen g;

	if (len != 2 * SC_GEN_SIZE)
		return SC_EINVAL;
	for (size_t i = 0; i < SC_GEN_SIZE; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return SC_EINVAL;
		g.b[i] = (uint8_t)(high << 4 | low);
	}
	*out = g;
	return 0;
}

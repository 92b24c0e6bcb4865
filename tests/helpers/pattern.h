/* The bytes of `flood` and of `gate`'s fill: a function of their offset alone, so that a gap, a repeat or a swap is seen. */
#ifndef SC_TESTS_PATTERN_H
#define SC_TESTS_PATTERN_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline uint64_t pattern_word(uint64_t i)
{
	uint64_t z = (i + 1) * 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline void pattern_fill(uint8_t *to, size_t n, uint64_t offset)
{
	size_t i = 0;

	for (; i < n && (offset + i) % 8 != 0; i++)
		to[i] = (uint8_t)(pattern_word((offset + i) / 8) >> ((offset + i) % 8 * 8));
	for (; n - i >= 8; i += 8) {
		uint64_t w = pattern_word((offset + i) / 8);

		memcpy(to + i, &w, 8);
	}
	for (; i < n; i++)
		to[i] = (uint8_t)(pattern_word((offset + i) / 8) >> ((offset + i) % 8 * 8));
}

/* "12", "3K", "1M", "5G". */
static inline uint64_t pattern_size(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	switch (*end) {
	case 'K':
		return n << 10;
	case 'M':
		return n << 20;
	case 'G':
		return n << 30;
	default:
		return n;
	}
}

#endif

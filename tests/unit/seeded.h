/* Chance from a seed (SC_TEST_SEED repeats a run), and bytes that can be told from their place alone. */
#ifndef SC_TESTS_SEEDED_H
#define SC_TESTS_SEEDED_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t chance(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static inline uint8_t byte_at(uint64_t seed, uint64_t at)
{
	uint64_t x = (at + seed) * 0x9e3779b97f4a7c15;

	return (uint8_t)(x >> 56);
}

static inline void fill(uint8_t *p, size_t n, uint64_t seed, uint64_t at)
{
	for (size_t i = 0; i < n; i++)
		p[i] = byte_at(seed, at + i);
}

static inline uint64_t first_seed(void)
{
	const char *text = getenv("SC_TEST_SEED");
	struct timespec t;

	if (text)
		return strtoull(text, NULL, 10);
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000003 + (uint64_t)t.tv_nsec;
}

#endif

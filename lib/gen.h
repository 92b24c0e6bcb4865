/* A generation: 128 random bits that name one flight for ever and then its entry. All zero means "none". */
#ifndef SC_GEN_H
#define SC_GEN_H

#include <stdbool.h>
#include <stdint.h>

#define SC_GEN_SIZE 16
#define SC_GEN_HEX (2 * SC_GEN_SIZE + 1)

struct gen {
	uint8_t b[SC_GEN_SIZE];
};

bool gen_is_none(const struct gen *g);
int gen_compare(const void *a, const void *b); /* of two struct gen, for qsort and bsearch */
bool gen_equal(const struct gen *a, const struct gen *b);

/* Lower-case hex and a final NUL. */
void gen_format(const struct gen *g, char out[SC_GEN_HEX]);

/* Exactly 32 lower-case hex digits; `len` excludes any NUL. SC_EINVAL for anything else. */
int gen_parse(const char *text, unsigned long len, struct gen *out);

#endif

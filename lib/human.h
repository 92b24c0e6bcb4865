/* Durations, sizes, and text for a terminal: what people type and what they see. Pure. */
#ifndef SC_HUMAN_H
#define SC_HUMAN_H

#include <stddef.h>
#include <stdint.h>

/* "1h30m" "90s" "500ms" "1.5h" "2d" "forever", bare numbers are seconds ("90", "0.5"). Units d h m s ms, largest first,
 * each at most once. Too large saturates to SC_DURATION_MAX. SC_EINVAL: empty, negative, NaN, unknown unit, trailing text. */
int human_parse_duration(const char *text, uint64_t *ms);

/* Plain bytes or K M G T (1024) and KB MB GB TB (1000), as coreutils. SC_EINVAL, or SC_ETOOBIG over 2^63-1. */
int human_parse_size(const char *text, uint64_t *bytes);

/* A whole number in [min, max] and nothing behind it. SC_EINVAL or SC_ETOOBIG. */
int human_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value);

/* "850ms" "12s" "1m30s" "2h5m" "3d4h" "forever"; always fits 32 bytes. Returns out. */
char *human_format_duration(uint64_t ms, char out[32]);

/* "0" "512" "1.5K" "20M"; always fits 32 bytes. Returns out. */
char *human_format_size(uint64_t bytes, char out[32]);

/* As human_parse_size takes it, and exactly so many: "16M" "1500"; always fits 32 bytes. Returns out. */
char *human_format_exact_size(uint64_t bytes, char out[32]);

/* A key as it may be shown on a terminal: control bytes, ESC, invalid UTF-8 and backslash as \n \t \\ \xHH; everything
 * printable stays. Cuts at a whole character when `size` is too small. Returns out. */
char *human_escape(const void *bytes, size_t n, char *out, size_t size);

/* Which of `names` (ends with NULL) is nearest to `word` by edit distance, if near enough to suggest; else NULL. */
const char *human_nearest(const char *word, const char *const *names);

#endif

/* What people type (durations, sizes, numbers, words) and what they see. Pure: no locale, no environment, no allocation.
 * Called by cmd/ for the command line and by config.c. No strtod: it takes hex, "inf", "nan" and the locale's comma. */
#include "lib/human.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "lib/limits.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* a * b, and a + b, held at UINT64_MAX. */
static uint64_t times(uint64_t a, uint64_t b)
{
	uint64_t r;

	return __builtin_mul_overflow(a, b, &r) ? UINT64_MAX : r;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
	uint64_t r;

	return __builtin_add_overflow(a, b, &r) ? UINT64_MAX : r;
}

static uint64_t read_whole(const char **p)
{
	uint64_t v = 0;

	while (is_digit(**p))
		v = plus(times(v, 10), (uint64_t)(*(*p)++ - '0'));
	return v;
}

/* ---- durations ---- */

static const struct unit {
	const char *name;
	uint64_t ms;
} units[] = {
	{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};
#define UNITS (sizeof(units) / sizeof(units[0]))
#define UNIT_SECOND 3

/* A number such as "90", "1.5" or ".5". The fraction is kept to nine digits (a day needs eight to be exact to 1 ms); any
 * non-zero digit behind them still counts, so that nothing positive reads as 0. */
struct number {
	uint64_t whole;
	uint64_t billionths;
	bool more;
};

static int read_number(const char **p, struct number *n)
{
	bool any = is_digit(**p);
	unsigned digits = 0;

	*n = (struct number){.whole = read_whole(p)};
	if (**p != '.')
		return any ? 0 : SC_EINVAL;
	(*p)++;
	if (!is_digit(**p))
		return SC_EINVAL;
	for (; is_digit(**p); (*p)++) {
		if (digits < 9) {
			n->billionths = n->billionths * 10 + (uint64_t)(**p - '0');
			digits++;
		} else if (**p != '0') {
			n->more = true;
		}
	}
	for (; digits < 9; digits++)
		n->billionths *= 10;
	return 0;
}

/* The letters that follow; UNITS if they are no unit. */
static size_t read_unit(const char **p)
{
	size_t len = 0;

	while ((*p)[len] >= 'a' && (*p)[len] <= 'z')
		len++;
	for (size_t i = 0; i < UNITS; i++) {
		if (strlen(units[i].name) == len && memcmp(units[i].name, *p, len) == 0) {
			*p += len;
			return i;
		}
	}
	return UNITS;
}

/* Rounded up to whole milliseconds: a life of 0 means something else than a very short one. */
static uint64_t to_ms(const struct number *n, uint64_t unit_ms)
{
	uint64_t part = n->billionths * unit_ms; /* < 10^9 * 86400000: fits */
	uint64_t ms = part / 1000000000;

	if (part % 1000000000 != 0 || n->more)
		ms++;
	return plus(times(n->whole, unit_ms), ms);
}

int human_parse_duration(const char *text, uint64_t *ms)
{
	const char *p = text;
	uint64_t total = 0;
	size_t next = 0; /* the largest unit still allowed */

	if (strcmp(text, "forever") == 0) {
		*ms = SC_FOREVER;
		return 0;
	}
	do {
		struct number n;
		size_t u;

		if (read_number(&p, &n))
			return SC_EINVAL;
		if (*p == '\0') {
			/* Seconds, but only alone: "1h30" could be minutes or seconds. */
			if (next != 0)
				return SC_EINVAL;
			u = UNIT_SECOND;
		} else {
			u = read_unit(&p);
		}
		if (u == UNITS || u < next)
			return SC_EINVAL;
		total = plus(total, to_ms(&n, units[u].ms));
		next = u + 1;
	} while (*p != '\0');

	*ms = total < SC_DURATION_MAX ? total : SC_DURATION_MAX;
	return 0;
}

char *human_format_duration(uint64_t ms, char out[32])
{
	if (ms == SC_FOREVER) {
		snprintf(out, 32, "forever");
		return out;
	}
	if (ms == 0) {
		snprintf(out, 32, "0s");
		return out;
	}
	/* The largest unit, and the next smaller one if it is not 0; milliseconds only below a second. */
	for (size_t i = 0; i < UNITS; i++) {
		uint64_t count = ms / units[i].ms;
		unsigned rest;

		if (count == 0)
			continue;
		rest = i < UNIT_SECOND ? (unsigned)(ms % units[i].ms / units[i + 1].ms) : 0;
		if (rest > 0)
			snprintf(out, 32, "%llu%s%u%s", (unsigned long long)count, units[i].name, rest, units[i + 1].name);
		else
			snprintf(out, 32, "%llu%s", (unsigned long long)count, units[i].name);
		break;
	}
	return out;
}

/* ---- sizes and numbers ---- */

int human_parse_size(const char *text, uint64_t *bytes)
{
	static const char prefixes[] = "KMGT";
	const char *p = text;
	uint64_t v, factor = 1, base;
	const char *prefix;

	if (!is_digit(*p))
		return SC_EINVAL;
	v = read_whole(&p);
	if (*p != '\0') {
		prefix = strchr(prefixes, *p == 'k' ? 'K' : *p);
		if (!prefix)
			return SC_EINVAL;
		p++;
		if (strcmp(p, "") == 0 || strcmp(p, "iB") == 0)
			base = 1024;
		else if (strcmp(p, "B") == 0)
			base = 1000;
		else
			return SC_EINVAL;
		for (const char *c = prefixes; c <= prefix; c++)
			factor *= base;
	}
	v = times(v, factor);
	if (v > INT64_MAX)
		return SC_ETOOBIG;
	*bytes = v;
	return 0;
}

int human_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	const char *p = text;
	uint64_t v = 0;

	if (!is_digit(*p))
		return SC_EINVAL;
	for (; is_digit(*p); p++) {
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v)) {
			p += strspn(p, "0123456789");
			return *p == '\0' ? SC_ETOOBIG : SC_EINVAL;
		}
	}
	if (*p != '\0' || v < min)
		return SC_EINVAL;
	if (v > max)
		return SC_ETOOBIG;
	*value = v;
	return 0;
}

char *human_format_exact_size(uint64_t bytes, char out[32])
{
	static const char prefixes[] = "KMGT";
	size_t i = 0;

	while (bytes > 0 && bytes % 1024 == 0 && i < strlen(prefixes)) {
		bytes /= 1024;
		i++;
	}
	snprintf(out, 32, "%llu%.*s", (unsigned long long)bytes, i > 0, i > 0 ? &prefixes[i - 1] : "");
	return out;
}

char *human_format_size(uint64_t bytes, char out[32])
{
	static const char prefixes[] = "KMGTPE";
	unsigned shift = 10;
	uint64_t unit, tenths;

	if (bytes < 1024) {
		snprintf(out, 32, "%u", (unsigned)bytes);
		return out;
	}
	/* Up to the unit in which it rounds to less than 1024: 1048575 bytes are 1.0M, not 1024K. */
	for (;; shift += 10) {
		unit = 1ULL << shift;
		if (shift == 60 || bytes / unit < 1023 || (bytes / unit == 1023 && bytes % unit < unit / 2))
			break;
	}
	/* Split, because ten times the whole may not fit. */
	tenths = bytes / unit * 10 + (bytes % unit / 2 * 10 + unit / 4) / (unit / 2);
	if (tenths < 100)
		snprintf(out, 32, "%u.%u%c", (unsigned)(tenths / 10), (unsigned)(tenths % 10), prefixes[shift / 10 - 1]);
	else
		snprintf(out, 32, "%u%c", (unsigned)(bytes / unit + (bytes % unit >= unit / 2)), prefixes[shift / 10 - 1]);
	return out;
}

/* ---- text for a terminal ---- */

/* Code points that are valid and yet not to be shown: they move the cursor, hide, or turn the direction of what follows,
 * so that one key could look like another. The joiners of scripts and emoji (200C, 200D) stay. */
static const struct range {
	uint32_t first, last;
} hidden[] = {
	{0x0000, 0x001f}, {0x007f, 0x009f}, {0x061c, 0x061c}, {0x200b, 0x200b}, {0x200e, 0x200f},   {0x2028, 0x202e},
	{0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xfffe, 0xffff}, {0xe0000, 0xe0fff},
};

static bool is_shown(uint32_t c)
{
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		if (c >= hidden[i].first && c <= hidden[i].last)
			return false;
	}
	return true;
}

/* The length of the UTF-8 character at p, and which one it is; 0 if there is none (overlong, surrogate, cut off …). */
static size_t read_utf8(const uint8_t *p, size_t n, uint32_t *c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len;
	uint32_t v;

	if (p[0] < 0x80) {
		*c = p[0];
		return 1;
	}
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		len = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		len = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (len > n)
		return 0;
	v = p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (p[i] & 0x3fu);
	}
	if (v < least[len] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
		return 0;
	*c = v;
	return len;
}

/* One byte as an escape; its length. */
static size_t escape_byte(uint8_t b, char piece[5])
{
	static const char digits[] = "0123456789abcdef";

	piece[0] = '\\';
	switch (b) {
	case '\n':
		piece[1] = 'n';
		return 2;
	case '\t':
		piece[1] = 't';
		return 2;
	case '\\':
		piece[1] = '\\';
		return 2;
	default:
		piece[1] = 'x';
		piece[2] = digits[b >> 4];
		piece[3] = digits[b & 15];
		return 4;
	}
}

char *human_escape(const void *bytes, size_t n, char *out, size_t size)
{
	const uint8_t *p = bytes;
	size_t used = 0;

	BUG_ON(size == 0);
	while (n > 0) {
		char piece[5];
		uint32_t c = 0;
		size_t len = read_utf8(p, n, &c);
		size_t piece_len;

		if (len > 0 && c != '\\' && is_shown(c)) {
			memcpy(piece, p, len);
			piece_len = len;
		} else {
			len = 1;
			piece_len = escape_byte(*p, piece);
		}
		if (piece_len >= size - used)
			break;
		memcpy(out + used, piece, piece_len);
		used += piece_len;
		p += len;
		n -= len;
	}
	out[used] = '\0';
	return out;
}

/* ---- suggestions ---- */

/* No verb and no option is longer; a longer word resembles none of them. */
#define WORD_MAX 32

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Insert, delete, replace, and swap of two neighbours (the commonest slip) cost one each. */
static unsigned edit_distance(const char *a, size_t n, const char *b, size_t m)
{
	unsigned row[3][WORD_MAX + 1];
	unsigned *before = row[0], *last = row[1], *now = row[2], *spare;

	for (size_t j = 0; j <= m; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned d = last[j - 1] + (a[i - 1] != b[j - 1]);

			d = least(d, least(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = least(d, before[j - 2] + 1);
			now[j] = d;
		}
		spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[m];
}

const char *human_nearest(const char *word, const char *const *names)
{
	size_t n = strlen(word);
	const char *best = NULL;
	unsigned best_distance = 0;

	if (n == 0 || n > WORD_MAX)
		return NULL;
	for (; *names; names++) {
		size_t m = strlen(*names);
		size_t longer = n > m ? n : m;
		unsigned d, allowed;

		if (m == 0 || m > WORD_MAX)
			continue;
		/* A third of the word may be wrong, but never all of it. */
		allowed = longer < 3 ? 1 : (unsigned)(longer / 3);
		d = edit_distance(word, n, *names, m);
		if (d <= allowed && d < longer && (!best || d < best_distance)) {
			best = *names;
			best_distance = d;
		}
	}
	return best;
}

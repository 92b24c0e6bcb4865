/* The quotes that bash and zsh have in common. Called by complete.c. Pure. */
#include "cmd/quote.h"

#include <stdlib.h>
#include <string.h>

#include "lib/human.h"

/* ---- what has been typed ---- */

static int hex_value(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* One escape of $'…' behind its backslash: those that we write. False: another one. */
static bool read_escape(const char **p, char *out)
{
	static const char from[] = "ntr\\'\"e", to[] = "\n\t\r\\'\"\033";
	const char *at = **p ? strchr(from, **p) : NULL;
	int value = 0, digits = 0;

	if (at) {
		*out = to[at - from];
		(*p)++;
		return true;
	}
	if (**p != 'x')
		return false;
	for ((*p)++; digits < 2 && hex_value(**p) >= 0; digits++)
		value = value * 16 + hex_value(*(*p)++);
	*out = (char)value;
	return digits > 0 && value != 0;
}

/* From behind $' to behind its end. */
static bool read_dollar(const char **p, char **out)
{
	while (**p && **p != '\'') {
		char c = *(*p)++;

		if (c == '\\' && !read_escape(p, &c))
			return false;
		*(*out)++ = c;
	}
	return *(*p)++ == '\'';
}

bool quote_read(const char *raw, char *plain, enum quote *open)
{
	enum quote in = QUOTE_NONE;

	/* A home directory, or what zsh makes of a command's name. */
	if (*raw == '~' || *raw == '=')
		return false;
	while (*raw) {
		char c = *raw++;

		if (in == QUOTE_SINGLE) {
			if (c == '\'')
				in = QUOTE_NONE;
			else
				*plain++ = c;
		} else if (c == '`') {
			return false;
		} else if (in == QUOTE_NONE && c == '$' && *raw == '\'') {
			raw++;
			if (!read_dollar(&raw, &plain))
				return false;
		} else if (c == '$') {
			return false;
		} else if (c == '"') {
			in = in == QUOTE_NONE ? QUOTE_DOUBLE : QUOTE_NONE;
		} else if (c == '\'' && in == QUOTE_NONE) {
			in = QUOTE_SINGLE;
		} else if (c != '\\' || (in == QUOTE_DOUBLE && !(*raw && strchr("\"$`\\", *raw)))) {
			*plain++ = c;
		} else if (*raw) {
			*plain++ = *raw++;
		} else {
			in = QUOTE_BACKSLASH;
		}
	}
	*plain = '\0';
	*open = in;
	return true;
}

/* ---- what is to be typed ---- */

static bool add(struct buf *out, const char *text, size_t n)
{
	return buf_append(out, text, n) == 0;
}

/* Only what is neither the shell's, nor a digit in disguise of something else, nor a glob. */
static bool is_safe(char c, bool first)
{
	if ((unsigned char)c >= 0x80 || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
		return true;
	return strchr("_-./:@%+,", c) || (c == '=' && !first);
}

static bool add_bare(struct buf *out, bool first, const char *text)
{
	bool ok = true;

	for (; ok && *text; text++, first = false)
		ok = (is_safe(*text, first) || add(out, "\\", 1)) && add(out, text, 1);
	return ok;
}

static bool add_within(struct buf *out, enum quote in, const char *text)
{
	bool ok = true;

	for (; ok && *text; text++) {
		if (in == QUOTE_SINGLE && *text == '\'')
			ok = add(out, "'\\''", 4);
		else if (in == QUOTE_DOUBLE && *text == '!')
			return false; /* history, which no backslash keeps away without staying there itself */
		else
			ok = (in == QUOTE_SINGLE || !strchr("\"$`\\", *text) || add(out, "\\", 1)) && add(out, text, 1);
	}
	return ok;
}

/* As on a terminal; printable: only backslashes differ. The caller's to free; NULL: no memory. */
static char *escaped(const char *text, bool *printable)
{
	size_t n = strlen(text), slashes = 0;
	char *shown = malloc(4 * n + 1);

	if (!shown)
		return NULL;
	human_escape(text, n, shown, 4 * n + 1);
	for (const char *p = text; (p = strchr(p, '\\')); p++)
		slashes++;
	*printable = strlen(shown) == n + slashes;
	return shown;
}

bool quote_is_printable(const char *text)
{
	bool printable = false;

	free(escaped(text, &printable));
	return printable;
}

bool quote_add(struct buf *out, enum quote open, bool first, const char *text)
{
	bool printable = false, ok;
	char *shown = escaped(text, &printable);

	if (!shown)
		return false;
	if (!printable && open != QUOTE_NONE) {
		ok = false;
	} else if (!printable) {
		/* What human_escape writes, $'…' reads. */
		ok = add(out, "$'", 2);
		for (const char *p = shown; ok && *p; p++)
			ok = (*p != '\'' || add(out, "\\", 1)) && add(out, p, 1);
		ok = ok && add(out, "'", 1);
	} else if (open == QUOTE_NONE) {
		ok = add_bare(out, first, text);
	} else if (open == QUOTE_BACKSLASH) {
		/* The backslash is there, and what comes next is itself, whatever it is. */
		ok = *text && add(out, text, 1) && add_bare(out, false, text + 1);
	} else {
		ok = add_within(out, open, text);
	}
	free(shown);
	return ok;
}

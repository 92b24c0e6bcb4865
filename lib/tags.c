/* Sets of tags, as one text. Called by the client, which makes them, and by the daemon, which takes them apart. */
#include "lib/tags.h"

#include <string.h>

#include "lib/err.h"

bool tags_is_tag(const char *text)
{
	size_t n = 0;

	for (; text[n]; n++)
		if (text[n] <= ' ' || text[n] > '~' || text[n] == ',')
			return false;
	return n > 0 && n <= SC_TAG_MAX;
}

bool tags_next(struct bytes *rest, struct bytes *tag)
{
	const uint8_t *comma;

	while (rest->n > 0) {
		comma = memchr(rest->p, ',', rest->n);
		*tag = (struct bytes){rest->p, comma ? (size_t)(comma - rest->p) : rest->n};
		rest->p += tag->n + (comma != NULL);
		rest->n -= tag->n + (comma != NULL);
		if (tag->n > 0)
			return true;
	}
	return false;
}

bool tags_has(struct bytes set, struct bytes tag)
{
	struct bytes one;

	while (tags_next(&set, &one))
		if (one.n == tag.n && memcmp(one.p, tag.p, tag.n) == 0)
			return true;
	return false;
}

static int compare(struct bytes a, struct bytes b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

int tags_add(char set[SC_TAGS_SIZE + 1], const char *tag)
{
	struct bytes rest = bytes_of(set), new = bytes_of(tag), one;
	size_t at = 0, n = strlen(set), count = 0;

	while (tags_next(&rest, &one)) {
		int c = compare(one, new);

		if (c == 0)
			return 0;
		if (c < 0)
			at = (size_t)(one.p - (const uint8_t *)set) + one.n;
		count++;
	}
	if (count == SC_TAGS_MAX)
		return SC_ETOOBIG;
	if (n == 0) {
		memcpy(set, tag, new.n + 1);
		return 0;
	}
	/* In front of the first one with a comma behind it, else behind one with a comma before it. */
	memmove(set + at + new.n + 1, set + at, n - at + 1);
	set[at ? at : new.n] = ',';
	memcpy(set + (at ? at + 1 : 0), tag, new.n);
	return 0;
}

/* Tags: words that entries have in common, to be removed by them. A set of them is one text, with each tag once, in bytewise order, and a
 * comma between two. Pure. */
#ifndef SC_TAGS_H
#define SC_TAGS_H

#include <stdbool.h>

#include "lib/buf.h"
#include "lib/limits.h"

/* 1 to SC_TAG_MAX printable characters of ASCII, no space and no comma: nothing a terminal, a list or a shell's word would mind. */
bool tags_is_tag(const char *text);

/* Adds a tag (tags_is_tag) to the set, in which it may be already. SC_ETOOBIG: SC_TAGS_MAX are in it. */
int tags_add(char set[SC_TAGS_SIZE + 1], const char *tag);

/* The next tag of a set; *rest begins as the set and becomes what is behind it. False: there is none. What a peer sent as a set may be
 * none: empty ones are passed over. */
bool tags_next(struct bytes *rest, struct bytes *tag);

bool tags_has(struct bytes set, struct bytes tag);

#endif

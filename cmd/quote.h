/* Words as bash and zsh have them on their command line: what one that is still being typed means, and how it goes on. Nothing is ever
 * expanded. */
#ifndef SC_QUOTE_H
#define SC_QUOTE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"

/* What the next byte of a word would stand in. */
enum quote { QUOTE_NONE, QUOTE_BACKSLASH, QUOTE_SINGLE, QUOTE_DOUBLE };

/* What `raw` means so far, into plain (as many bytes as raw and a NUL are enough), and what is open at its end. False: only the shell
 * knows, because something would be expanded, or it ends within $'…'. */
bool quote_read(const char *raw, char *plain, enum quote *open);

/* Appends `text` as it has to be typed behind a word that ends so; `first`: nothing stands before it. Printable whatever text is: a
 * control byte, and what is no UTF-8, becomes $'\xHH'. False: it cannot be said within these quotes. */
bool quote_add(struct buf *out, enum quote open, bool first, const char *text);

/* Nothing in it but what a terminal shows as it is. */
bool quote_is_printable(const char *text);

#endif

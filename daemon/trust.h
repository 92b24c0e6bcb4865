/* Which entries may be given out as they are, which only to be verified first, and which not any more. Bytes that were written in
 * another boot have been on a disk without us; bytes with a second name may have been changed through it. Their reader compares
 * them with their sums before it prints one, and says what came of it (PROVED).
 *
 * What somebody found bad is given to nobody from that moment on, although its row goes only when the index comes to it, or,
 * while that cannot be written, not at all. */
#ifndef SC_TRUST_H
#define SC_TRUST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/gen.h"

struct conn;
struct daemon;
struct distrusted;
struct entry;
struct msg;

/* Whether a reader has to verify the entry whose objects these are. */
bool trust_wants_proof(const struct daemon *d, const struct entry *e, const int *fds, size_t nfds);

/* The disk has lost something of what it took: every entry has to be verified, from now on, until it has been. */
void trust_nothing(struct daemon *d);
/* The same if somebody has left word of it that nobody has obeyed yet. */
void trust_open(struct daemon *d);

/* Found bad before. */
bool trust_is_bad(const struct daemon *d, const struct gen *g);

/* A reader has compared: bad entries are logged and counted, and their rows go. */
void trust_proved(struct conn *c, const struct msg *m);

/* Now and then: rows that could not be removed are tried again, and those that have gone by another way are forgotten. Some at a time. */
void trust_look(struct daemon *d);

void trust_close(struct daemon *d); /* after index_close */

#endif

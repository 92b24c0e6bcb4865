/* Listings: what LIST, FLIGHTS, STATS and TAGS are answered with, row by row, then END; REFUSE if the index fails in the middle. A row that
 * cannot be sent closes the connection. */
#ifndef SC_LISTING_H
#define SC_LISTING_H

#include "lib/msg.h"

struct conn;
struct daemon;
struct entry;

void listing_entries(struct conn *c, const struct msg *m);
void listing_flights(struct conn *c, const struct msg *m);
/* SEALERS: all at once, so few are told. */
void listing_sealers(struct conn *c, const struct msg *m);
void listing_stats(struct conn *c, const struct msg *m);
/* At once: there are few. */
void listing_tags(struct conn *c, const struct msg *m);

/* The ENTRY about it, whose bytes are e's; `age` SC_FOREVER: it is of the future. */
struct msg listing_row(const struct daemon *d, const struct entry *e);

/* The queue of one that is listed to is empty: the next rows. */
void listing_drained(struct conn *c);

#endif

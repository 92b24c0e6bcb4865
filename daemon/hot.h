/* The memory tier: entries that are asked for again lie in sealed files of memory, and are handed out from there: nothing is opened, read
 * from a disk, or (sealed ones) decrypted. The daemon neither fills such a file nor looks into one. A reader of the objects that would
 * have liked to find them in memory is asked to put them there when it has printed them (HIT with HIT_LOAD), and hands over what it has
 * made (LOADED), which is taken if the kernel vouches for its size and that nobody will ever change it.
 *
 *   (nothing) ── hot_ask ──▶ asked for ── hot_loaded ──▶ in memory ── hot_drop, hot_replaced, no room ──▶ leaving ──▶ (nothing)
 *                                └── all who were asked are gone ──▶ (nothing)                  its last reader is gone ┘
 *
 * One at a time is asked for an entry: the next one when that one is gone, or has taken too long; the first to come back counts.
 * What takes memory is counted until its last reader's connection ends, whatever has become of its row, and what is read is not thrown
 * out: so the sum of all never exceeds `memory`. Which goes for another one is SIEVE's choice (sieve.h), whether one is to come at all
 * that of admit.h. Called by answer.c, dispatch.c (peers), event.c, flight_end.c, trust.c (rows that go), listing.c and stats.c.
 *
 * With `memory = 0` there is no tier: everything here does nothing. */
#ifndef SC_HOT_H
#define SC_HOT_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/index.h"

struct conn;
struct daemon;
struct msg;

int hot_open(struct daemon *d); /* SC_ENOMEM */
/* After the last connection. */
void hot_close(struct daemon *d);

/* The entry's bytes as they lie in memory: descriptors of as many streams as it has, the caller's. False: they do not lie there, or no
 * descriptor is to be had. */
bool hot_take(struct daemon *d, const struct entry *e, int fds[2], size_t *n);

/* c is being given what hot_take gave just now: it reads the entry's memory until hot_let_go. */
void hot_served(struct conn *c, const struct entry *e);

/* c is being given the objects. True: it is to load them. */
bool hot_ask(struct conn *c, const struct entry *e);

/* LOADED. Descriptors that are kept are replaced by -1. */
void hot_loaded(struct conn *c, const struct msg *m, int *fds, size_t nfds);

/* It reads no memory any more, and will load nothing. */
void hot_let_go(struct conn *c);

/* The row of this generation goes, or its bytes are not to be trusted. */
void hot_drop(struct daemon *d, struct bytes bucket, struct bytes key, bool failed, const struct gen *g);

/* This generation is a row of its key now: others of the key are none any more. failed: it took a kept failure's place alone. */
void hot_replaced(struct daemon *d, struct bytes bucket, struct bytes key, bool failed, const struct gen *g);

bool hot_has(const struct daemon *d, const struct entry *e);

/* How many are in memory, and what they take of it, leaving ones included. */
struct total hot_total(const struct daemon *d);

#endif

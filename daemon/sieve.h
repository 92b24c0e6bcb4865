/* SIEVE: which entries go when room is needed. They stand in the order in which they first came; a hand goes from the oldest to
 * the newest, and begins again. What was visited since it last came by it spares, this once; what was not it takes. Visits move
 * nothing, so a hit costs no more than a bit, and a scan of things asked for once goes through without driving out the rest.
 *
 * Pure: no index, no clock, no memory of its own. Driven by index_evict.c over rows, by the bench and the tests over lists. */
#ifndef SC_SIEVE_H
#define SC_SIEVE_H

#include <stdbool.h>
#include <stdint.h>

enum sieve_choice {
	SIEVE_PASS,  /* stays, and nothing is known of it by that */
	SIEVE_SPARE, /* stays, and its bit is to be cleared */
	SIEVE_TAKE,
};

struct sieve_row {
	int64_t id; /* places in the order */
	uint64_t bytes;
	bool visited;
	bool read; /* by somebody, now: taking it would free nothing, and it is not what nobody wants */
};

struct sieve {
	int64_t hand;		 /* the id it looks at next, or the first behind it; 0: the oldest */
	int64_t newest;		 /* the highest id: it is what room is made for, so it goes only when it is alone */
	uint64_t rows;		 /* how many there are */
	uint64_t passed;	 /* one after the other without another choice: with all of them, nothing can go */
	uint64_t entries, bytes; /* still to go */
};

/* Something is still to go, and may yet be found. */
bool sieve_goes_on(const struct sieve *s);
/* Something is still to go, but nothing can. */
bool sieve_is_stuck(const struct sieve *s);

/* What becomes of the row at the hand, which moves on behind it. */
enum sieve_choice sieve_choose(struct sieve *s, const struct sieve_row *row);

/* The first row behind the hand is this one; 0: there is none. At the end the hand begins again, and it does not wait at the newest:
 * what comes next would be looked at before all that is older. */
void sieve_rest(struct sieve *s, int64_t next);

#endif

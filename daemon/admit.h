/* Which of those who could put an entry into memory is to do it. A copy pays when its entry is asked for once more before it has to go
 * again; with more in use than fits, each hit would copy its entry for nothing. So as often as one goes for room that was in vain, the
 * share of them that is asked to is halved; as often as one turns out useful (its first answer from memory), it is doubled. What is
 * asked for often is among the few that are asked all the same, and it is the one that is useful: the share comes back by itself.
 *
 * Pure: no clock, no chance. */
#ifndef SC_ADMIT_H
#define SC_ADMIT_H

#include <stdbool.h>

struct admit {
	unsigned every;	 /* one in so many is asked to: 1 … SC_LOAD_EVERY_MAX, always a power of two; 0 counts as 1 */
	unsigned passed; /* who was not, since the last one that was */
};

/* Another one could. True: it is to. */
bool admit_one(struct admit *a);

void admit_useful(struct admit *a);
void admit_in_vain(struct admit *a);

#endif

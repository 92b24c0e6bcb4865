/* What the daemon does by the clock and unasked, to stay what it takes itself for: the walk over its objects, and a look at itself
 * from outside. Decides when, never what: walk.h and listener.h say that.
 *
 * The walk begins when what a death just before our start left behind is as old as the grace, again each day, and when the
 * index had to be begun anew. One goes on at a time, a step of the index thread after the other with pauses in between. */
#ifndef SC_UPKEEP_H
#define SC_UPKEEP_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct upkeep;
struct walk_order;

int upkeep_start(struct daemon *d); /* sets d->upkeep; SC_ENOMEM */
void upkeep_stop(struct upkeep *u); /* NULL is allowed; no callback comes any more, but from index_close */
void upkeep_free(struct upkeep *u); /* after index_close, which may still have called */

/* A walk of its own for somebody who asked, from its beginning, when those before it are over; changes nothing if `only_look`. */
typedef void (*upkeep_walked)(void *arg, int status, const struct walk_order *found);
int upkeep_walk(struct upkeep *u, bool only_look, upkeep_walked done, void *arg); /* SC_ENOMEM · SC_EBUSY: another one waits */

#endif

/* The limits of the cache and of its buckets, and the room that is made within them: when to evict, how much, and what is spared
 * because somebody reads it. Which entries go is SIEVE's choice (sieve.h), made and carried out in the index thread in small
 * batches; nothing here waits for a disk or walks the index.
 *
 * Looked at when something has grown: a commit, a run's GROWN, the start; and when something could not. One batch is under way at a time; when it is done, the
 * next one is asked for, until everything is below its limit or nothing can go. Then the largest run is told to grow no more. */
#ifndef SC_EVICT_H
#define SC_EVICT_H

#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/index.h"

int evict_open(struct daemon *d); /* SC_ENOMEM */
/* After the index is closed: a batch may be under way until then. */
void evict_close(struct daemon *d);

/* Something of the bucket has grown, or could not (NULL: of any of them). Does nothing while no limit is passed. */
void evict_look(struct daemon *d, const char *bucket);

/* The entry was served. Told to the index by and by; at once by evict_tell. */
void evict_visited(struct daemon *d, const struct entry *e);
void evict_tell(struct daemon *d);
/* How often it was served and the index was not yet told so. */
uint32_t evict_untold(const struct daemon *d, const struct entry *e);

/* What c was given to read it reads no more. */
void evict_let_go(struct conn *c);

#endif

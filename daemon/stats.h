/* How often what has happened since the daemon began, by bucket, and what there is now. Counting is a step through a short sorted
 * list: no clock, no disk, no memory but at the first word of a bucket. Called by event.c and answer.c; read by listing.c. */
#ifndef SC_STATS_H
#define SC_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/limits.h"
#include "lib/proto.h"

struct daemon;
struct msg;

int stats_open(struct daemon *d); /* SC_ENOMEM */
void stats_close(struct daemon *d);

/* n more. Behind SC_TALLIED_MAX buckets, or without memory for one more, among those of all others. n may be 0: the bucket is there
 * from then on. */
void stats_count(struct daemon *d, struct bytes bucket, enum tally what, uint64_t n);

/* What stands in one bucket, or in the whole cache. */
typedef void (*stats_row)(void *arg, const struct msg *m);

/* Gives the TALLYs of the cache, then those of the others (if there are any): what comes before the first bucket. */
void stats_cache(struct daemon *d, stats_row each, void *arg);

/* The bucket that comes behind `after` (of size SC_BUCKET_MAX + 1; empty: the first), bytewise, whose name it becomes; its TALLYs. 1:
 * given · 0: there is none · SC_ECORRUPT, SC_ESYS of the index. */
int stats_next(struct daemon *d, char *after, stats_row each, void *arg);

#endif

/* Counters by bucket. The list of buckets only grows while the daemon lives, and has its bound: a name comes from whoever asks. */
#include "daemon/stats.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"
#include "daemon/flight.h"
#include "daemon/hot.h"
#include "daemon/index.h"
#include "daemon/watch.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/msg.h"

struct counts {
	char bucket[SC_BUCKET_MAX + 1];
	uint64_t n[TALLIES];
};

struct stats {
	struct counts *list; /* owned, by name */
	size_t n, room;
	struct counts others;
	bool has_others;
	uint64_t started_wall_ms;
};

int stats_open(struct daemon *d)
{
	d->stats = calloc(1, sizeof *d->stats);
	if (!d->stats)
		return SC_ENOMEM;
	d->stats->started_wall_ms = clock_now().wall_ms;
	return 0;
}

void stats_close(struct daemon *d)
{
	struct stats *s = d->stats;

	if (!s)
		return;
	free(s->list);
	free(s);
	d->stats = NULL;
}

/* Where the bucket stands, or would. */
static size_t place_of(const struct stats *s, struct bytes bucket, bool *there)
{
	size_t low = 0, high = s->n;

	*there = false;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const char *name = s->list[mid].bucket;
		size_t n = strlen(name);
		int c = memcmp(name, bucket.p, n < bucket.n ? n : bucket.n);

		if (c == 0 && n == bucket.n) {
			*there = true;
			return mid;
		}
		if (c < 0 || (c == 0 && n < bucket.n))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* A place for one more bucket. NULL: there is none. */
static struct counts *add(struct stats *s, size_t at, struct bytes bucket)
{
	struct counts *c;

	if (s->n == SC_TALLIED_MAX)
		return NULL;
	if (s->n == s->room) {
		size_t room = s->room ? 2 * s->room : 8;
		struct counts *list = realloc(s->list, room * sizeof *list);

		if (!list)
			return NULL;
		s->list = list;
		s->room = room;
	}
	c = s->list + at;
	memmove(c + 1, c, (s->n - at) * sizeof *c);
	*c = (struct counts){0};
	memcpy(c->bucket, bucket.p, bucket.n);
	s->n++;
	return c;
}

void stats_count(struct daemon *d, struct bytes bucket, enum tally what, uint64_t n)
{
	struct stats *s = d->stats;
	struct counts *c;
	bool there;
	size_t at = place_of(s, bucket, &there);

	c = there ? &s->list[at] : add(s, at, bucket);
	if (!c) {
		c = &s->others;
		s->has_others = true;
	}
	c->n[what] += n;
}

/* ---- what is told ---- */

static void give(stats_row each, void *arg, const char *bucket, unsigned flags, unsigned kind, uint64_t count)
{
	struct msg m = {.type = MSG_TALLY, .bucket = bytes_of(bucket), .kind = kind, .count = count, .flags = flags};

	each(arg, &m);
}

static void give_counts(stats_row each, void *arg, const char *bucket, unsigned flags, const uint64_t *n)
{
	for (unsigned i = 0; i < TALLIES; i++)
		give(each, arg, bucket, flags, i, n[i]);
}

static void add_counts(uint64_t *sum, const struct counts *c)
{
	for (unsigned i = 0; i < TALLIES; i++)
		sum[i] += c->n[i];
}

void stats_cache(struct daemon *d, stats_row each, void *arg)
{
	const struct limits *l = &d->config.limits;
	const struct stats *s = d->stats;
	struct total t = index_total(d->index), hot = hot_total(d);
	uint64_t sum[TALLIES] = {0};
	const struct {
		unsigned kind;
		uint64_t count;
	} now[] = {
		{TALLY_ENTRIES, t.entries},
		{TALLY_BYTES, t.bytes},
		{TALLY_RUNS, flights_count(d)},
		{TALLY_CONNS, d->nconns},
		{TALLY_WATCHERS, watch_count(d)},
		{TALLY_BAD, d->nbad},
		{TALLY_UPTIME, clock_now().boot_ms - d->started_ms},
		{TALLY_STARTED, s->started_wall_ms},
		{TALLY_MAX_BYTES, l->max_size},
		{TALLY_MAX_ENTRIES, l->max_files},
		{TALLY_MEMORY_ENTRIES, hot.entries},
		{TALLY_MEMORY_BYTES, hot.bytes},
		{TALLY_MAX_MEMORY_BYTES, d->config.memory},
	};

	for (size_t i = 0; i < s->n; i++)
		add_counts(sum, &s->list[i]);
	add_counts(sum, &s->others);
	for (size_t i = 0; i < sizeof now / sizeof *now; i++)
		give(each, arg, "-", TALLY_CACHE, now[i].kind, now[i].count);
	give_counts(each, arg, "-", TALLY_CACHE, sum);
	if (s->has_others)
		give_counts(each, arg, "-", TALLY_OTHERS, s->others.n);
}

/* Of the two lists, that of the counters and that of the index, the name that comes next. */
int stats_next(struct daemon *d, char *after, stats_row each, void *arg)
{
	static const uint64_t none[TALLIES];
	const struct stats *s = d->stats;
	char indexed[SC_BUCKET_MAX + 1] = "";
	struct total t = {0};
	bool there;
	size_t at = place_of(s, bytes_of(after), &there);
	const struct counts *c;
	int rc = index_next_bucket(d->index, bytes_of(after), indexed, &t);

	if (rc && rc != SC_ENOENT)
		return rc;
	at += there;
	c = at < s->n ? &s->list[at] : NULL;
	if (rc && !c)
		return 0;
	if (c && !rc && strcmp(c->bucket, indexed) > 0)
		c = NULL;
	else if (c && (rc || strcmp(c->bucket, indexed) < 0))
		t = (struct total){0};
	memcpy(after, c ? c->bucket : indexed, sizeof indexed);
	give(each, arg, after, 0, TALLY_ENTRIES, t.entries);
	give(each, arg, after, 0, TALLY_BYTES, t.bytes);
	give(each, arg, after, 0, TALLY_RUNS, flights_in(d, after));
	give_counts(each, arg, after, 0, c ? c->n : none);
	return 1;
}

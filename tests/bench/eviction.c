/* eviction SEED zipf|scan PERCENT: how many of a trace's requests a cache would answer that holds so many percent of the keys, if
 * it evicted by the daemon's SIEVE, by LRU and by FIFO: "SIEVE LRU FIFO", in hits of 100000 requests. The trace is drawn from the
 * seed: a million requests of 100000 keys by Zipf's law; `scan` puts a run of keys that never come back between them, again and
 * again, a third of all. */
#include "tests/bench/bench.h"

#include <stdbool.h>

#include "daemon/sieve.h"

enum { KEYS = 100000, REQUESTS = 1000000, SCAN_EVERY = 10000, SCAN_KEYS = 5000 };

/* Keys are small numbers: the item of a key is at its place in `items`. */
struct item {
	struct item *older, *newer;
	int64_t id;
	bool in, visited;
};

struct cache {
	struct item *oldest, *newest, *hand;
	uint64_t n, room;
	int64_t last_id;
	int64_t sieve_hand;
	struct item items[];
};

static uint64_t state;

static double draw(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (double)((z ^ (z >> 31)) >> 11) / (double)(1ULL << 53);
}

static void append(struct cache *c, struct item *i)
{
	i->older = c->newest;
	i->newer = NULL;
	*(c->newest ? &c->newest->newer : &c->oldest) = i;
	c->newest = i;
	i->in = true;
	c->n++;
}

static void take(struct cache *c, struct item *i)
{
	*(i->older ? &i->older->newer : &c->oldest) = i->newer;
	*(i->newer ? &i->newer->older : &c->newest) = i->older;
	i->in = false;
	c->n--;
}

/* ---- the three ---- */

static void hit_sieve(struct cache *c, struct item *i)
{
	(void)c;
	i->visited = true;
}

static void hit_lru(struct cache *c, struct item *i)
{
	take(c, i);
	append(c, i);
}

static void hit_fifo(struct cache *c, struct item *i)
{
	(void)c, (void)i;
}

static void evict_sieve(struct cache *c)
{
	struct sieve s = {.hand = c->sieve_hand, .newest = c->newest->id, .rows = c->n, .entries = 1};
	struct item *at = s.hand && c->hand ? c->hand : c->oldest;

	while (sieve_goes_on(&s)) {
		struct sieve_row row = {.id = at->id, .bytes = 1, .visited = at->visited};
		struct item *next = at->newer;

		switch (sieve_choose(&s, &row)) {
		case SIEVE_PASS:
			break;
		case SIEVE_SPARE:
			at->visited = false;
			break;
		case SIEVE_TAKE:
			take(c, at);
			break;
		}
		sieve_rest(&s, next ? next->id : 0);
		at = s.hand ? next : c->oldest;
	}
	c->hand = at;
	c->sieve_hand = s.hand;
}

static void evict_oldest(struct cache *c)
{
	take(c, c->oldest);
}

static const struct {
	void (*hit)(struct cache *c, struct item *i);
	void (*evict)(struct cache *c);
} policies[] = {{hit_sieve, evict_sieve}, {hit_lru, evict_oldest}, {hit_fifo, evict_oldest}};

/* ---- the trace ---- */

static uint32_t *draw_trace(bool scans, size_t *n, uint32_t *nkeys)
{
	double *sums = malloc(KEYS * sizeof *sums), sum = 0;
	size_t most = REQUESTS + (size_t)REQUESTS / SCAN_EVERY * SCAN_KEYS;
	uint32_t *trace = malloc(most * sizeof *trace);

	if (!sums || !trace)
		die("memory");
	for (unsigned k = 0; k < KEYS; k++)
		sums[k] = sum += 1.0 / (k + 1);
	*n = 0;
	*nkeys = KEYS;
	for (unsigned r = 1; r <= REQUESTS; r++) {
		double x = draw() * sum;
		uint32_t low = 0, high = KEYS - 1;

		while (low < high) {
			uint32_t middle = (low + high) / 2;

			if (sums[middle] < x)
				low = middle + 1;
			else
				high = middle;
		}
		trace[(*n)++] = low;
		for (unsigned k = 0; scans && r % SCAN_EVERY == 0 && k < SCAN_KEYS; k++)
			trace[(*n)++] = (*nkeys)++;
	}
	free(sums);
	return trace;
}

static uint64_t count_hits(unsigned policy, const uint32_t *trace, size_t n, uint32_t nkeys, uint64_t room)
{
	struct cache *c = calloc(1, sizeof *c + nkeys * sizeof c->items[0]);
	uint64_t hits = 0;

	if (!c)
		die("memory");
	for (size_t r = 0; r < n; r++) {
		struct item *i = &c->items[trace[r]];

		if (i->in) {
			hits++;
			policies[policy].hit(c, i);
			continue;
		}
		i->id = ++c->last_id;
		i->visited = false;
		append(c, i);
		if (c->n > room)
			policies[policy].evict(c);
	}
	free(c);
	return hits;
}

int main(int argc, char **argv)
{
	bool scans = argc == 4 && strcmp(argv[2], "scan") == 0;
	uint32_t *trace, nkeys;
	uint64_t room;
	size_t n;

	if (argc != 4 || (!scans && strcmp(argv[2], "zipf") != 0)) {
		fprintf(stderr, "usage: eviction SEED zipf|scan PERCENT\n");
		return 99;
	}
	state = strtoull(argv[1], NULL, 0);
	room = (uint64_t)(KEYS * strtod(argv[3], NULL) / 100);
	trace = draw_trace(scans, &n, &nkeys);
	for (unsigned p = 0; p < 3; p++)
		printf("%ju%c", (uintmax_t)(count_hits(p, trace, n, nkeys, room) * 100000 / n), p < 2 ? ' ' : '\n');
	free(trace);
	return 0;
}

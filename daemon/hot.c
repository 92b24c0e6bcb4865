/* The memory tier. A row here is a row of the index, known by its key, of one generation; it is freed when it is in no table, in no memory,
 * and no connection points to it. */
#include "daemon/hot.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <utlist.h>

#include "daemon/admit.h"
#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/evict.h"
#include "daemon/sieve.h"
#include "daemon/stats.h"
#include "daemon/table.h"
#include "lib/checksum.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/memfd.h"

struct hot_row {
	UT_hash_handle hh;
	uint8_t id[SC_SUM_SIZE]; /* of bucket, key and kind; in the table while `listed` */
	bool listed;		 /* as far as we know the index has it */
	struct gen gen;
	uint64_t out_len, err_len;
	char bucket[SC_BUCKET_MAX + 1];

	unsigned loaders;	 /* connections that were asked to load it and have not answered, … */
	const struct conn *last; /* … the one that is waited for, or NULL … */
	uint64_t asked_ms;	 /* … since then */

	bool there; /* in memory: all below counts only then */
	int fds[2];
	unsigned nfds;
	uint64_t bytes; /* counted for it */
	unsigned readers;
	bool visited; /* since the hand was here */
	bool served;  /* ever */
	int64_t place;
	struct hot_row *prev, *next; /* in hot.rows, while it is listed, too */
};

struct hot {
	struct hot_row *table;
	struct hot_row *rows; /* in memory, in the order in which they came */
	struct hot_row *hand; /* NULL: the oldest */
	uint64_t nrows;
	int64_t last_place;
	struct admit admit;

	struct total used; /* by all that are in memory */
	unsigned nfds;
	uint64_t kept_bytes; /* of that, by those that cannot go now, because they are read */
	unsigned kept_fds;
	uint64_t max_bytes;
	unsigned max_fds;
};

/* ---- what is known ---- */

/* Whoever finds two keys of one id has them drive each other out of memory, and no more: it is the generation that decides. */
static void make_id(struct bytes bucket, struct bytes key, bool failed, uint8_t id[SC_SUM_SIZE])
{
	uint8_t text[SC_BUCKET_MAX + 2 + SC_KEY_MAX];

	memcpy(text, bucket.p, bucket.n);
	text[bucket.n] = '\0';
	text[bucket.n + 1] = failed;
	memcpy(text + bucket.n + 2, key.p, key.n);
	checksum_of(text, bucket.n + 2 + key.n, id);
}

static struct hot_row *find(const struct hot *h, struct bytes bucket, struct bytes key, bool failed, uint8_t id[SC_SUM_SIZE])
{
	struct hot_row *r;

	make_id(bucket, key, failed, id);
	HASH_FIND(hh, h->table, id, SC_SUM_SIZE, r);
	return r;
}

static struct hot_row *find_entry(const struct hot *h, const struct entry *e, uint8_t id[SC_SUM_SIZE])
{
	return find(h, bytes_of(e->bucket), (struct bytes){e->key, e->key_len}, e->failed, id);
}

bool hot_has(const struct daemon *d, const struct entry *e)
{
	uint8_t id[SC_SUM_SIZE];
	const struct hot_row *r = d->hot ? find_entry(d->hot, e, id) : NULL;

	return r && r->there && gen_equal(&r->gen, &e->gen);
}

struct total hot_total(const struct daemon *d)
{
	return d->hot ? d->hot->used : (struct total){0};
}

/* ---- rows that go ---- */

/* Frees of it what nobody needs any more: its memory, its place in the table, itself. */
static void settle(struct hot *h, struct hot_row *r)
{
	if (r->there && !r->listed && r->readers == 0) {
		for (unsigned i = 0; i < r->nfds; i++)
			close(r->fds[i]);
		h->used.entries--;
		h->used.bytes -= r->bytes;
		h->nfds -= r->nfds;
		r->there = false;
	}
	if (r->listed && !r->there && r->loaders == 0) {
		HASH_DEL(h->table, r);
		r->listed = false;
	}
	if (!r->listed && !r->there && r->loaders == 0)
		free(r);
}

static void take_out(struct hot *h, struct hot_row *r)
{
	HASH_DEL(h->table, r);
	r->listed = false;
	if (r->there) {
		if (h->hand == r)
			h->hand = r->next;
		DL_DELETE(h->rows, r);
		h->nrows--;
	}
	settle(h, r);
}

void hot_drop(struct daemon *d, struct bytes bucket, struct bytes key, bool failed, const struct gen *g)
{
	uint8_t id[SC_SUM_SIZE];
	struct hot_row *r = d->hot ? find(d->hot, bucket, key, failed, id) : NULL;

	if (r && gen_equal(&r->gen, g))
		take_out(d->hot, r);
}

void hot_replaced(struct daemon *d, struct bytes bucket, struct bytes key, bool failed, const struct gen *g)
{
	uint8_t id[SC_SUM_SIZE];

	/* What is good ends a kept failure, not the other way round. */
	for (int kind = failed; d->hot && kind <= 1; kind++) {
		struct hot_row *r = find(d->hot, bucket, key, kind, id);

		if (r && !gen_equal(&r->gen, g))
			take_out(d->hot, r);
	}
}

/* ---- readers ---- */

bool hot_take(struct daemon *d, const struct entry *e, int fds[2], size_t *n)
{
	uint8_t id[SC_SUM_SIZE];
	struct hot_row *r = d->hot ? find_entry(d->hot, e, id) : NULL;

	/* Its row has another generation by now: found out here at the latest. */
	if (r && !gen_equal(&r->gen, &e->gen)) {
		take_out(d->hot, r);
		return false;
	}
	if (!r || !r->there)
		return false;
	/* One offset for all of them: readers say where they read. */
	for (*n = 0; *n < r->nfds; ++*n) {
		fds[*n] = fcntl(r->fds[*n], F_DUPFD_CLOEXEC, 0);
		if (fds[*n] < 0) {
			while (*n > 0)
				close(fds[--*n]);
			return false;
		}
	}
	return true;
}

void hot_served(struct conn *c, const struct entry *e)
{
	struct hot *h = c->d->hot;
	uint8_t id[SC_SUM_SIZE];
	struct hot_row *r = find_entry(h, e, id);

	BUG_ON(!r || !r->there);
	hot_let_go(c);
	c->hot = r;
	if (r->readers++ == 0) {
		h->kept_bytes += r->bytes;
		h->kept_fds += r->nfds;
	}
	r->visited = true;
	if (!r->served)
		admit_useful(&h->admit);
	r->served = true;
}

static void leave_load(struct conn *c)
{
	struct hot_row *r = c->load;

	c->load = NULL;
	r->loaders--;
	if (r->last == c)
		r->last = NULL;
}

void hot_let_go(struct conn *c)
{
	struct hot *h = c->d->hot;
	struct hot_row *r = c->hot;

	if (r) {
		c->hot = NULL;
		if (--r->readers == 0) {
			h->kept_bytes -= r->bytes;
			h->kept_fds -= r->nfds;
		}
		settle(h, r);
	}
	r = c->load;
	if (r) {
		leave_load(c);
		settle(h, r);
	}
}

/* ---- loading ---- */

static uint64_t cost(uint64_t out_len, uint64_t err_len)
{
	uint64_t out = memfd_pages(out_len), err = memfd_pages(err_len), sum = out + err;

	return sum < out || sum > UINT64_MAX - SC_HOT_ROW ? UINT64_MAX : sum + SC_HOT_ROW;
}

/* There is room, or can be made. */
static bool fits(const struct hot *h, uint64_t bytes, unsigned nfds)
{
	return bytes <= h->max_bytes - h->kept_bytes && nfds <= h->max_fds - h->kept_fds;
}

/* Nothing has to go for it. */
static bool is_free(const struct hot *h, uint64_t bytes, unsigned nfds)
{
	return bytes <= h->max_bytes - h->used.bytes && nfds <= h->max_fds - h->nfds;
}

static bool is_asked_for(const struct hot_row *r, uint64_t now)
{
	return r->last && now - r->asked_ms < SC_LOAD_MS;
}

static struct hot_row *add(struct hot *h, const struct entry *e, const uint8_t id[SC_SUM_SIZE])
{
	struct hot_row *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	memcpy(r->id, id, sizeof r->id);
	memcpy(r->bucket, e->bucket, sizeof r->bucket);
	r->gen = e->gen;
	r->out_len = e->out_len;
	r->err_len = e->err_len;
	HASH_ADD(hh, h->table, id, sizeof r->id, r);
	if (!r->hh.tbl) {
		free(r);
		return NULL;
	}
	r->listed = true;
	return r;
}

bool hot_ask(struct conn *c, const struct entry *e)
{
	struct hot *h = c->d->hot;
	uint64_t now = clock_run_ms();
	uint8_t id[SC_SUM_SIZE];
	struct hot_row *r;

	/* Of what is asked for once nobody has anything. */
	if (!h || c->load || e->hits + evict_untold(c->d, e) == 0)
		return false;
	r = find_entry(h, e, id);
	if (r && (!gen_equal(&r->gen, &e->gen) || r->there || is_asked_for(r, now)))
		return false;
	if (!fits(h, cost(e->out_len, e->err_len), e->err_len ? 2 : 1))
		return false;
	if (!is_free(h, cost(e->out_len, e->err_len), e->err_len ? 2 : 1) && !admit_one(&h->admit))
		return false;
	if (!r)
		r = add(h, e, id);
	if (!r)
		return false;
	r->loaders++;
	r->last = c;
	r->asked_ms = now;
	c->load = r;
	return true;
}

/* Something goes until all is within its bounds; `newest` came just now. There is enough that can go. */
static void make_room(struct hot *h, const struct hot_row *newest)
{
	struct sieve s = {.hand = h->hand ? h->hand->place : 0, .newest = newest->place, .rows = h->nrows};

	while (h->used.bytes > h->max_bytes || h->nfds > h->max_fds) {
		s.bytes = h->used.bytes > h->max_bytes ? h->used.bytes - h->max_bytes : 0;
		s.entries = s.bytes == 0;
		while (sieve_goes_on(&s)) {
			struct hot_row *r = h->hand ? h->hand : h->rows;
			struct sieve_row row = {r->place, r->bytes, r->visited, r->readers > 0};
			enum sieve_choice choice = sieve_choose(&s, &row);

			h->hand = r->next;
			if (choice == SIEVE_SPARE)
				r->visited = false;
			if (choice == SIEVE_TAKE && !r->served)
				admit_in_vain(&h->admit);
			if (choice == SIEVE_TAKE)
				take_out(h, r);
			sieve_rest(&s, h->hand ? h->hand->place : 0);
			if (s.hand == 0)
				h->hand = NULL;
		}
		BUG_ON(sieve_is_stuck(&s));
	}
}

static void put_in(struct hot *h, struct hot_row *r, int *fds, size_t nfds)
{
	r->there = true;
	r->bytes = cost(r->out_len, r->err_len);
	r->nfds = (unsigned)nfds;
	for (size_t i = 0; i < nfds; i++) {
		r->fds[i] = fds[i];
		fds[i] = -1;
	}
	r->place = ++h->last_place;
	DL_APPEND(h->rows, r);
	h->nrows++;
	h->used.entries++;
	h->used.bytes += r->bytes;
	h->nfds += r->nfds;
	make_room(h, r);
}

static bool is_good(const struct hot_row *r, const struct msg *m, const int *fds)
{
	if (!gen_equal(&m->gen, &r->gen) || m->out_len != r->out_len || m->err_len != r->err_len)
		return false;
	if (memfd_check(fds[0], MEMFD_FINAL, r->out_len))
		return false;
	return r->err_len == 0 || memfd_check(fds[1], MEMFD_FINAL, r->err_len) == 0;
}

void hot_loaded(struct conn *c, const struct msg *m, int *fds, size_t nfds)
{
	struct hot_row *r = c->load;

	if (!r) {
		conn_close(c, "loads what it was not asked to");
		return;
	}
	KILLPOINT("loaded_taken");
	if (!is_good(r, m, fds)) {
		conn_close(c, "has loaded something else");
		return;
	}
	leave_load(c);
	/* Its row may have gone meanwhile, somebody may have been faster, and what there is may be read now. */
	if (r->listed && !r->there && fits(c->d->hot, cost(r->out_len, r->err_len), (unsigned)nfds)) {
		put_in(c->d->hot, r, fds, nfds);
		stats_count(c->d, bytes_of(r->bucket), TALLY_LOADS, 1);
	}
	settle(c->d->hot, r);
}

/* ---- life ---- */

int hot_open(struct daemon *d)
{
	struct rlimit limit = {.rlim_cur = SC_DAEMON_FDS};
	struct hot *h;

	if (d->config.memory == 0)
		return 0;
	h = calloc(1, sizeof *h);
	if (!h)
		return SC_ENOMEM;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur /= SC_HOT_FDS_PART;
	h->max_fds = limit.rlim_cur < SC_HOT_FDS_MAX ? (unsigned)limit.rlim_cur : SC_HOT_FDS_MAX;
	h->max_bytes = d->config.memory;
	d->hot = h;
	return 0;
}

void hot_close(struct daemon *d)
{
	struct hot *h = d->hot;
	struct hot_row *r, *next;

	if (!h)
		return;
	HASH_CLEAR(hh, h->table); /* the table alone: they hang together without it */
	DL_FOREACH_SAFE (h->rows, r, next) {
		r->listed = false;
		settle(h, r);
	}
	BUG_ON(h->used.entries);
	free(h);
	d->hot = NULL;
}

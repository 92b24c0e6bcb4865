/* One batch of an eviction, in the index thread's transaction: SIEVE over the rows from where the hand is, those of one bucket or
 * all of them. Looks at so many rows at most and takes so many, because commits wait behind it; whoever asked asks again.
 * Decides nothing itself: sieve.c does. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "daemon/index_parts.h"
#include "daemon/sieve.h"
#include "lib/err.h"
#include "lib/killpoint.h"

/* Rows read by one batch. */
#define LOOK_MAX 256

struct found {
	struct sieve_row row;
	struct gen gen;
};

static bool is_read(const struct eviction *ev, const struct gen *g)
{
	return ev->nread > 0 && bsearch(g, ev->read, ev->nread, sizeof *g, gen_compare);
}

/* Where the hand is, how many rows there are and which is the newest. A bucket without rows has none of that. */
static int find_hand(struct sql *q, const struct eviction *ev, struct sieve *s)
{
	enum sql_statement st = *ev->bucket ? SQL_BUCKET_HAND : SQL_HAND;
	int rc;

	if (*ev->bucket)
		sql_bind_name(q, st, 1, bytes_of(ev->bucket));
	rc = sql_step(q, st);
	if (rc <= 0)
		return rc < 0 || *ev->bucket ? rc : SC_ECORRUPT;
	s->hand = sql_number(q, st, 0);
	s->rows = sql_u64(q, st, 1);
	s->newest = sql_number(q, st, 2);
	sql_done(q, st);
	return 0;
}

static int put_hand(struct sql *q, const struct eviction *ev, int64_t hand)
{
	enum sql_statement st = *ev->bucket ? SQL_PUT_BUCKET_HAND : SQL_PUT_HAND;

	sql_bind_number(q, st, 1, hand);
	if (*ev->bucket)
		sql_bind_name(q, st, 2, bytes_of(ev->bucket));
	return sql_run(q, st);
}

/* The rows from the hand on: all before any is changed, because a statement that is still open must not meet its own changes. */
static int find_rows(struct sql *q, const struct eviction *ev, int64_t hand, struct found *f, unsigned *n)
{
	enum sql_statement st = *ev->bucket ? SQL_FROM_HAND_IN : SQL_FROM_HAND;
	int rc;

	*n = 0;
	sql_bind_number(q, st, 1, hand);
	sql_bind_u64(q, st, 2, LOOK_MAX);
	if (*ev->bucket)
		sql_bind_name(q, st, 3, bytes_of(ev->bucket));
	while ((rc = sql_step(q, st)) > 0) {
		f->row.id = sql_number(q, st, 0);
		f->row.visited = sql_number(q, st, 1) != 0;
		f->row.bytes = sql_u64(q, st, 2);
		if (!sql_exact(q, st, 3, f->gen.b, sizeof f->gen.b)) {
			sql_done(q, st);
			return SC_ECORRUPT;
		}
		f->row.read = is_read(ev, &f->gen);
		f++;
		++*n;
	}
	return rc;
}

static int spare(struct sql *q, int64_t id)
{
	sql_bind_number(q, SQL_SPARE, 1, id);
	return sql_run(q, SQL_SPARE);
}

/* *whole: all rows there are were looked at, and passed over. */
static int choose(struct index *ix, struct job *j, struct sieve *s, bool *whole)
{
	struct found found[LOOK_MAX];
	struct sql *q = ix->writer;
	struct eviction *ev = j->ev;
	unsigned n, i, passed = 0;
	bool first = s->hand == 0;
	int rc = find_rows(q, ev, s->hand, found, &n);

	for (i = 0; i < n && !rc && sieve_goes_on(s) && j->ndead < j->room; i++) {
		const struct found *f = &found[i];

		switch (sieve_choose(s, &f->row)) {
		case SIEVE_PASS:
			passed++;
			break;
		case SIEVE_SPARE:
			rc = spare(q, f->row.id);
			break;
		case SIEVE_TAKE:
			rc = index_take_row(ix, j, f->row.id, ROW_EVICTED);
			index_doom(j, f->row.id, &f->gen);
			ev->gone_bytes += f->row.bytes;
			break;
		}
	}
	if (i < n || n < LOOK_MAX)
		sieve_rest(s, i < n ? found[i].row.id : 0);
	*whole = first && n < LOOK_MAX && passed == n;
	return rc;
}

int index_do_evict(struct index *ix, struct job *j)
{
	struct eviction *ev = j->ev;
	struct sieve s = {.passed = ev->passed, .entries = ev->entries, .bytes = ev->bytes};
	bool whole = false;
	int rc = find_hand(ix->writer, ev, &s);

	/* From the beginning also if the group is done a second time. */
	ev->gone_bytes = 0;
	if (!rc && sieve_goes_on(&s)) {
		int64_t hand = s.hand;

		rc = choose(ix, j, &s, &whole);
		KILLPOINT("evict_chosen");
		if (!rc && s.hand != hand)
			rc = put_hand(ix->writer, ev, s.hand);
	}
	ev->passed_now = s.passed;
	/* Also if an altered file says that there are more: that would never end. */
	ev->stuck = sieve_is_stuck(&s) || whole;
	j->changed = j->ndead;
	return rc;
}

void index_measure(struct index *ix, struct eviction *ev)
{
	struct statvfs fs;

	ev->fs_size = ev->fs_free = 0;
	if (fstatvfs(ix->dir_fd, &fs) < 0) {
		log_event(ix->log, "measure-failed", "error=\"%s\"", strerror(errno));
		return;
	}
	ev->fs_size = (uint64_t)fs.f_blocks * fs.f_frsize;
	ev->fs_free = (uint64_t)fs.f_bavail * fs.f_frsize;
}

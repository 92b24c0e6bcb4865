/* The index thread: takes jobs, does several in one transaction, answers them, unlinks the objects of rows that are gone, and
 * checkpoints. The only one that writes to index.db while the daemon runs. Never judges what may be served, never gives up: a
 * job that cannot be done is answered with its error, and the next one is taken. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/flightfile.h"
#include "daemon/index_parts.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/msg.h"
#include "lib/object.h"
#include "lib/tags.h"

/* Jobs of one transaction: the answer to the first waits for the last. */
#define GROUP_MAX 256
/* Checkpoint when the WAL has so many pages of 4 KiB: 4 MiB. */
#define WAL_PAGES 1024

void index_doom(struct job *j, int64_t id, const struct gen *g)
{
	BUG_ON(j->ndead == j->room);
	j->dead[j->ndead++] = (struct dead){id, *g};
}

int index_delete_row(struct sql *q, int64_t id)
{
	sql_bind_number(q, SQL_DELETE, 1, id);
	return sql_run(q, SQL_DELETE);
}

/* What one row was, behind the job: this, its bucket and its key. */
struct gone_head {
	enum row_end how;
	bool failed;
	struct gen gen;
	uint64_t order, out_len, err_len;
	size_t bucket_len, key_len;
};

static int note_gone(struct job *j, const struct gone_head *h, struct bytes bucket, struct bytes key)
{
	int rc = buf_append(&j->gone, h, sizeof *h);

	if (!rc)
		rc = buf_append(&j->gone, bucket.p, bucket.n);
	return rc ? rc : buf_append(&j->gone, key.p, key.n);
}

/* Without memory for what is to be told the row stays. */
int index_take_row(struct index *ix, struct job *j, int64_t id, enum row_end how)
{
	struct gone_head h = {.how = how};
	struct sql *q = ix->writer;
	struct bytes bucket, key;
	int rc;

	sql_bind_number(q, SQL_TAKE, 1, id);
	rc = sql_step(q, SQL_TAKE);
	if (rc <= 0)
		return rc;
	bucket = sql_bytes(q, SQL_TAKE, 0);
	key = sql_bytes(q, SQL_TAKE, 1);
	rc = 0;
	/* What no lookup would give out nobody has heard of. */
	if (bucket.n <= SC_BUCKET_MAX && key.n <= SC_KEY_MAX && sql_exact(q, SQL_TAKE, 2, h.gen.b, sizeof h.gen.b)) {
		h.order = sql_u64(q, SQL_TAKE, 3);
		h.failed = sql_number(q, SQL_TAKE, 4) != 0;
		h.out_len = sql_u64(q, SQL_TAKE, 5);
		h.err_len = sql_u64(q, SQL_TAKE, 6);
		h.bucket_len = bucket.n;
		h.key_len = key.n;
		rc = note_gone(j, &h, bucket, key);
	}
	sql_done(q, SQL_TAKE);
	return rc;
}

void index_tell_gone(struct index *ix, const struct job *j)
{
	const uint8_t *p = j->gone.data;
	struct gone_head h;

	for (size_t at = 0; at < j->gone.len; at += sizeof h + h.bucket_len + h.key_len) {
		memcpy(&h, p + at, sizeof h);
		ix->gone(ix->gone_arg, &(struct gone){.how = h.how,
						      .failed = h.failed,
						      .gen = h.gen,
						      .order = h.order,
						      .out_len = h.out_len,
						      .err_len = h.err_len,
						      .bucket = {p + at + sizeof h, h.bucket_len},
						      .key = {p + at + sizeof h + h.bucket_len, h.key_len}});
	}
}

/* ---- one job ---- */

/* A row of the key; id 0: there is none. */
struct standing {
	int64_t id;
	uint64_t order;
	struct gen gen;
};

static int find_standing(struct sql *q, struct bytes bucket, struct bytes key, bool failed, struct standing *s)
{
	int rc;

	*s = (struct standing){0};
	sql_bind_name(q, SQL_STANDING, 1, bucket);
	sql_bind_blob(q, SQL_STANDING, 2, key.p, key.n);
	sql_bind_number(q, SQL_STANDING, 3, failed);
	rc = sql_step(q, SQL_STANDING);
	if (rc <= 0)
		return rc;
	s->id = sql_number(q, SQL_STANDING, 0);
	s->order = sql_u64(q, SQL_STANDING, 1);
	rc = sql_exact(q, SQL_STANDING, 2, s->gen.b, sizeof s->gen.b) ? 0 : SC_ECORRUPT;
	sql_done(q, SQL_STANDING);
	return rc;
}

static int find_row_of(struct sql *q, const struct entry *e, bool failed, struct standing *s)
{
	return find_standing(q, bytes_of(e->bucket), (struct bytes){e->key, e->key_len}, failed, s);
}

/* Its last moment, by CLOCK_BOOTTIME of its boot. SC_FOREVER: none. */
static uint64_t end_of(const struct entry *e)
{
	uint64_t life = index_life(e), end = e->created_boot_ms + life;

	return life == SC_FOREVER || end < life || end > INT64_MAX ? SC_FOREVER : end;
}

/* Whose key was asked for again counts as visited. */
static int put_row(struct sql *q, const struct entry *e, int64_t boot, bool visited)
{
	struct bytes tags = bytes_of(e->tags), tag;
	int rc;

	sql_bind_name(q, SQL_PUT, 2, bytes_of(e->bucket));
	sql_bind_blob(q, SQL_PUT, 3, e->key, e->key_len);
	sql_bind_blob(q, SQL_PUT, 4, e->gen.b, sizeof e->gen.b);
	sql_bind_u64(q, SQL_PUT, 5, e->order);
	sql_bind_u64(q, SQL_PUT, 6, e->exit);
	sql_bind_u64(q, SQL_PUT, 7, e->signal);
	sql_bind_u64(q, SQL_PUT, 8, e->out_len);
	sql_bind_u64(q, SQL_PUT, 9, e->err_len);
	sql_bind_blob(q, SQL_PUT, 10, e->out_sum, sizeof e->out_sum);
	sql_bind_blob(q, SQL_PUT, 11, e->err_sum, sizeof e->err_sum);
	sql_bind_u64(q, SQL_PUT, 12, e->created_wall_ms);
	sql_bind_u64(q, SQL_PUT, 13, e->created_boot_ms);
	sql_bind_number(q, SQL_PUT, 14, boot);
	sql_bind_time(q, SQL_PUT, 15, e->ttl_ms);
	sql_bind_time(q, SQL_PUT, 16, e->stale_ms);
	sql_bind_time(q, SQL_PUT, 17, end_of(e));
	sql_bind_u64(q, SQL_PUT, 18, e->took_ms);
	sql_bind_u64(q, SQL_PUT, 19, entry_bytes(e->out_len, e->err_len));
	sql_bind_number(q, SQL_PUT, 20, visited);
	sql_bind_number(q, SQL_PUT, 21, e->failed);
	sql_bind_name(q, SQL_PUT, 22, bytes_of(e->tags));
	rc = sql_run(q, SQL_PUT);
	while (!rc && tags_next(&tags, &tag)) {
		sql_bind_name(q, SQL_TAG, 1, bytes_of(e->bucket));
		sql_bind_name(q, SQL_TAG, 2, tag);
		rc = sql_run(q, SQL_TAG);
	}
	return rc;
}

/* Keeps the row's place in SIEVE's order. */
static int replace_row(struct sql *q, int64_t id, const struct entry *e, int64_t boot)
{
	int rc = index_delete_row(q, id);

	sql_bind_number(q, SQL_PUT, 1, id);
	return rc ? rc : put_row(q, e, boot, true);
}

static int add_row(struct sql *q, const struct entry *e, int64_t boot)
{
	sql_bind_null(q, SQL_PUT, 1);
	return put_row(q, e, boot, false);
}

static int do_commit(struct index *ix, struct job *j, uint64_t *highest)
{
	struct sql *q = ix->writer;
	struct standing row, other;
	int64_t boot = ix->boot;
	bool again;
	int rc = find_row_of(q, &j->e, j->e.failed, &row);

	if (!rc)
		rc = find_row_of(q, &j->e, !j->e.failed, &other);
	if (rc)
		return rc;
	/* Said twice (a writer asks again after our crash): its objects are the row's, whatever else is true. */
	again = row.id && gen_equal(&row.gen, &j->e.gen);
	if ((row.id && row.order > j->e.order) || (j->e.failed && other.id && other.order > j->e.order)) {
		if (!again)
			index_doom(j, 0, &j->e.gen);
		return 0;
	}
	if (memcmp(j->e.boot_id, ix->boot_id, sizeof ix->boot_id) != 0 && (rc = index_find_boot(ix, j->e.boot_id, &boot)))
		return rc;
	rc = row.id ? replace_row(q, row.id, &j->e, boot) : add_row(q, &j->e, boot);
	/* It works again. */
	if (!rc && !j->e.failed && other.id && other.order < j->e.order) {
		index_doom(j, 0, &other.gen);
		rc = index_delete_row(q, other.id);
	}
	if (rc)
		return rc;
	if (ix->walk)
		walk_note(ix->walk, &j->e.gen);
	if (row.id && !again)
		index_doom(j, 0, &row.gen);
	if (*highest < j->e.order)
		*highest = j->e.order;
	j->changed = 1;
	return 0;
}

static int do_remove(struct index *ix, struct job *j)
{
	struct standing row;
	int rc = 0;

	for (int failed = 0; failed <= 1 && !rc; failed++) {
		rc = find_row_of(ix->writer, &j->e, failed, &row);
		if (rc || !row.id || row.order > j->max_order)
			continue;
		index_doom(j, row.id, &row.gen);
		j->changed++;
		rc = index_take_row(ix, j, row.id, ROW_REMOVED);
	}
	return rc;
}

static int do_touch(struct index *ix, struct job *j)
{
	struct sql *q = ix->writer;
	struct entry e = {.created_boot_ms = j->now.boot_ms, .ttl_ms = j->e.ttl_ms};
	int rc;

	sql_bind_name(q, SQL_LIFE, 1, bytes_of(j->e.bucket));
	sql_bind_blob(q, SQL_LIFE, 2, j->e.key, j->e.key_len);
	rc = sql_step(q, SQL_LIFE);
	if (rc <= 0)
		return rc;
	e.id = sql_number(q, SQL_LIFE, 0);
	if (e.ttl_ms == SC_TTL_UNSET)
		e.ttl_ms = sql_time(q, SQL_LIFE, 1);
	e.stale_ms = sql_time(q, SQL_LIFE, 2);
	sql_done(q, SQL_LIFE);
	sql_bind_number(q, SQL_TOUCH, 1, e.id);
	sql_bind_u64(q, SQL_TOUCH, 2, j->now.wall_ms);
	sql_bind_u64(q, SQL_TOUCH, 3, j->now.boot_ms);
	sql_bind_number(q, SQL_TOUCH, 4, ix->boot);
	sql_bind_time(q, SQL_TOUCH, 5, e.ttl_ms);
	sql_bind_time(q, SQL_TOUCH, 6, end_of(&e));
	j->changed = 1;
	return sql_run(q, SQL_TOUCH);
}

/* 1: j->e is still the row, whose id is *id. */
static int still_stands(struct index *ix, const struct job *j, int64_t *id)
{
	struct standing row;
	int rc = find_row_of(ix->writer, &j->e, j->e.failed, &row);

	*id = row.id;
	return rc ? rc : row.id && gen_equal(&row.gen, &j->e.gen);
}

static int do_drop(struct index *ix, struct job *j)
{
	int64_t id;
	int rc = still_stands(ix, j, &id);

	if (rc <= 0)
		return rc;
	index_doom(j, id, &j->e.gen);
	j->changed = 1;
	return index_take_row(ix, j, id, ROW_DAMAGED);
}

/* The next rows of the range. */
static int find_range(struct sql *q, struct job *j)
{
	struct clearing *cl = j->cl;
	unsigned looked = 0, most = j->room - 1;
	bool failed = false;
	struct standing row;
	struct bytes key;
	struct gen g;
	int rc;

	sql_bind_name(q, SQL_RANGE, 1, cl->bucket);
	sql_bind_blob(q, SQL_RANGE, 2, cl->low, cl->low_len);
	sql_bind_blob(q, SQL_RANGE, 3, cl->high, cl->high_len);
	sql_bind_u64(q, SQL_RANGE, 4, most);
	while ((rc = sql_step(q, SQL_RANGE)) > 0) {
		key = sql_bytes(q, SQL_RANGE, 3);
		if (!sql_exact(q, SQL_RANGE, 2, g.b, sizeof g.b) || key.n < 1 || key.n > SC_KEY_MAX) {
			rc = SC_ECORRUPT;
			break;
		}
		memcpy(cl->last, key.p, key.n);
		cl->last_len = key.n;
		looked++;
		failed = sql_number(q, SQL_RANGE, 4);
		if (sql_u64(q, SQL_RANGE, 1) <= cl->max_order)
			index_doom(j, sql_number(q, SQL_RANGE, 0), &g);
	}
	sql_done(q, SQL_RANGE);
	/* The next batch begins behind this key: its failure, which stands next, belongs to this one. */
	if (!rc && looked == most && !failed) {
		rc = find_standing(q, cl->bucket, (struct bytes){cl->last, cl->last_len}, true, &row);
		if (!rc && row.id && row.order <= cl->max_order)
			index_doom(j, row.id, &row.gen);
	}
	cl->over = looked < most;
	return rc;
}

/* The next rows of all, or of those that have the tag. */
static int find_rows(struct sql *q, struct job *j, enum sql_statement s)
{
	struct clearing *cl = j->cl;
	unsigned looked = 0, most = j->room - 1;
	struct gen g;
	int rc;

	sql_bind_number(q, s, 1, cl->last_id);
	sql_bind_u64(q, s, 2, most);
	if (s == SQL_TAGGED) {
		sql_bind_name(q, s, 3, cl->bucket);
		sql_bind_name(q, s, 4, cl->tag);
	}
	while ((rc = sql_step(q, s)) > 0) {
		if (!sql_exact(q, s, 2, g.b, sizeof g.b)) {
			rc = SC_ECORRUPT;
			break;
		}
		cl->last_id = sql_number(q, s, 0);
		looked++;
		if (sql_u64(q, s, 1) <= cl->max_order)
			index_doom(j, cl->last_id, &g);
	}
	sql_done(q, s);
	cl->over = looked < most;
	return rc;
}

/* All are found before any goes, because a statement that is still open must not meet its own changes. Those that stay are looked at
 * once: what was looked at last is behind them. A batch whose transaction fails is done anew. */
static int do_clear(struct index *ix, struct job *j)
{
	struct sql *q = ix->writer;
	int rc;

	j->cl->last_id = j->cl->from_id;
	if (j->cl->every)
		rc = find_rows(q, j, SQL_FROM);
	else if (j->cl->tag.n)
		rc = find_rows(q, j, SQL_TAGGED);
	else
		rc = find_range(q, j);
	for (unsigned i = 0; i < j->ndead && !rc; i++)
		rc = index_take_row(ix, j, j->dead[i].id, ROW_REMOVED);
	j->changed = j->ndead;
	KILLPOINT("batch_cleared");
	return rc;
}

/* A row that has gone is passed over. One whose id was given to another generation, too. */
static int do_visit(struct index *ix, struct job *j)
{
	struct sql *q = ix->writer;
	int rc = 0;

	for (size_t i = 0; i < j->nvisits && !rc; i++) {
		const struct visit *v = &j->visits[i];

		sql_bind_number(q, SQL_VISIT, 1, v->id);
		sql_bind_blob(q, SQL_VISIT, 2, v->gen.b, sizeof v->gen.b);
		sql_bind_number(q, SQL_VISIT, 3, v->hits);
		rc = sql_run(q, SQL_VISIT);
	}
	return rc;
}

/* In front of its bucket and its key. */
struct past_head {
	struct past past;
	size_t bucket_len, key_len;
};

int index_pack_past(struct buf *rows, const struct past *p, struct bytes bucket, struct bytes key)
{
	struct past_head h = {*p, bucket.n, key.n};
	int rc = buf_reserve(rows, sizeof h + bucket.n + key.n);

	if (rc)
		return rc;
	buf_append(rows, &h, sizeof h);
	buf_append(rows, bucket.p, bucket.n);
	return buf_append(rows, key.p, key.n);
}

static void bind_cause(struct sql *q, int i, const struct cause *c)
{
	sql_bind_u64(q, SQL_PUT_PAST, i, c->kind);
	sql_bind_u64(q, SQL_PUT_PAST, i + 1, c->exit);
	sql_bind_u64(q, SQL_PUT_PAST, i + 2, c->signal);
	sql_bind_number(q, SQL_PUT_PAST, i + 3, c->error);
	sql_bind_u64(q, SQL_PUT_PAST, i + 4, c->when_ms);
}

static int do_remember(struct index *ix, struct job *j)
{
	struct sql *q = ix->writer;
	struct past_head h;
	int rc = 0;

	for (size_t at = 0; at < j->pasts.len && !rc; at += sizeof h + h.bucket_len + h.key_len) {
		const uint8_t *p = j->pasts.data + at;

		memcpy(&h, p, sizeof h);
		sql_bind_name(q, SQL_PUT_PAST, 1, (struct bytes){p + sizeof h, h.bucket_len});
		sql_bind_blob(q, SQL_PUT_PAST, 2, p + sizeof h + h.bucket_len, h.key_len);
		bind_cause(q, 3, &h.past.fate);
		bind_cause(q, 8, &h.past.miss);
		sql_bind_u64(q, SQL_PUT_PAST, 13, h.past.missed_ms);
		rc = sql_run(q, SQL_PUT_PAST);
	}
	if (rc)
		return rc;
	sql_bind_number(q, SQL_DROP_PASTS, 1, SC_HISTORY_MAX);
	return sql_run(q, SQL_DROP_PASTS);
}

static int do_prove(struct index *ix, struct job *j)
{
	int64_t id;
	int rc = still_stands(ix, j, &id);

	if (rc <= 0)
		return rc;
	sql_bind_number(ix->writer, SQL_PROVE, 1, id);
	sql_bind_number(ix->writer, SQL_PROVE, 2, ix->boot);
	j->changed = 1;
	return sql_run(ix->writer, SQL_PROVE);
}

/* The rows of our boot whose end is past. */
static int find_ended(struct index *ix, struct job *j)
{
	struct sql *q = ix->writer;
	struct gen g;
	int rc;

	sql_bind_number(q, SQL_ENDED, 1, ix->boot);
	sql_bind_u64(q, SQL_ENDED, 2, j->now.boot_ms);
	sql_bind_u64(q, SQL_ENDED, 3, j->room);
	while ((rc = sql_step(q, SQL_ENDED)) > 0) {
		if (!sql_exact(q, SQL_ENDED, 1, g.b, sizeof g.b)) {
			sql_done(q, SQL_ENDED);
			return SC_ECORRUPT;
		}
		index_doom(j, sql_number(q, SQL_ENDED, 0), &g);
	}
	return rc;
}

/* The rows of another boot that are over, among its first ones. Within a boot the order of ends by BOOTTIME is that by the
 * wall clock, unless it was set while they were made; what hides behind living rows waits, and is a miss all the same. */
static int find_over(struct index *ix, struct job *j, int64_t boot, const uint8_t boot_id[16])
{
	struct sql *q = ix->writer;
	struct entry *e = &j->e; /* this kind of job has no other use for it */
	uint64_t age;
	struct gen g;
	int rc;

	memcpy(e->boot_id, boot_id, sizeof e->boot_id);
	sql_bind_number(q, SQL_OF_BOOT, 1, boot);
	sql_bind_u64(q, SQL_OF_BOOT, 2, j->room - j->ndead);
	while ((rc = sql_step(q, SQL_OF_BOOT)) > 0) {
		index_read_times(q, e);
		if (entry_age(e, ix->boot_id, &j->now, &age) && age <= index_life(e))
			continue;
		if (!sql_exact(q, SQL_OF_BOOT, 1, g.b, sizeof g.b)) {
			sql_done(q, SQL_OF_BOOT);
			return SC_ECORRUPT;
		}
		index_doom(j, sql_number(q, SQL_OF_BOOT, 0), &g);
	}
	return rc;
}

static int do_expire(struct index *ix, struct job *j)
{
	struct sql *q = ix->writer;
	uint8_t boot_id[16];
	int rc = find_ended(ix, j);

	sql_bind_number(q, SQL_OTHER_BOOTS, 1, ix->boot);
	while (!rc && j->ndead < j->room && (rc = sql_step(q, SQL_OTHER_BOOTS)) > 0) {
		rc = SC_ECORRUPT;
		if (sql_exact(q, SQL_OTHER_BOOTS, 1, boot_id, sizeof boot_id))
			rc = find_over(ix, j, sql_number(q, SQL_OTHER_BOOTS, 0), boot_id);
	}
	sql_done(q, SQL_OTHER_BOOTS);
	for (unsigned i = 0; i < j->ndead && !rc; i++)
		rc = index_take_row(ix, j, j->dead[i].id, ROW_EXPIRED);
	j->changed = j->ndead;
	return rc;
}

/* A step among the rows; one among the objects is of files only. */
static int do_walk(struct index *ix, struct job *j)
{
	struct sql *q = ix->writer;
	bool go_on = true;
	struct gen g;
	int rc = 0;

	if (!ix->walk) {
		ix->walk = walk_new(ix->dir_fd, ix->log, ix->count, j->walk);
		ix->walked = (struct walked){.row = 0};
	}
	if (!ix->walk)
		return SC_ENOMEM;
	if (ix->walked.row < 0)
		return 0;
	j->walk->rows = ix->walked.rows;
	j->walk->bad_rows = ix->walked.bad_rows;
	ix->walking = ix->walked;
	walk_step(ix->walk);
	sql_bind_number(q, SQL_ROWS, 1, ix->walking.row);
	sql_bind_u64(q, SQL_ROWS, 2, j->room);
	while (go_on && (rc = sql_step(q, SQL_ROWS)) > 0) {
		if (!sql_exact(q, SQL_ROWS, 1, g.b, sizeof g.b)) {
			rc = SC_ECORRUPT;
			break;
		}
		ix->walking.row = sql_number(q, SQL_ROWS, 0);
		if (!walk_row(ix->walk, &g, sql_u64(q, SQL_ROWS, 2), sql_u64(q, SQL_ROWS, 3)))
			index_doom(j, ix->walking.row, &g);
		go_on = walk_may_go_on(ix->walk);
	}
	sql_done(q, SQL_ROWS);
	if (rc < 0)
		return rc;
	if (go_on)
		ix->walking.row = -1; /* there are no more */
	ix->walking.rows = j->walk->rows;
	ix->walking.bad_rows = j->walk->bad_rows;
	if (j->walk->only_look)
		j->ndead = 0;
	for (unsigned i = 0; i < j->ndead; i++) {
		rc = index_take_row(ix, j, j->dead[i].id, ROW_DAMAGED);
		if (rc)
			return rc;
	}
	return 0;
}

/* *highest: raised to the order number of what was committed. */
static int do_job(struct index *ix, struct job *j, uint64_t *highest)
{
	j->changed = 0;
	j->ndead = 0;
	j->gone.len = 0;
	switch (j->kind) {
	case JOB_COMMIT:
		return do_commit(ix, j, highest);
	case JOB_REMOVE:
		return do_remove(ix, j);
	case JOB_DROP:
		return do_drop(ix, j);
	case JOB_CLEAR:
		return do_clear(ix, j);
	case JOB_TOUCH:
		return do_touch(ix, j);
	case JOB_EXPIRE:
		return do_expire(ix, j);
	case JOB_DISCARD: /* are of files only */
	case JOB_SYNC:
		return 0;
	case JOB_WALK:
		return do_walk(ix, j);
	case JOB_VISIT:
		return do_visit(ix, j);
	case JOB_PROVE:
		return do_prove(ix, j);
	case JOB_REMEMBER:
		return do_remember(ix, j);
	case JOB_EVICT:
		return index_do_evict(ix, j);
	case JOB_DOUBT:
		return sql_exec(ix->writer, "UPDATE entry SET proved = 0");
	case JOB_RENEW:
		if (j->epoch != ix->epoch)
			return 0;
		snprintf(ix->why, sizeof ix->why, "%s", j->why);
		return SC_ECORRUPT;
	}
	BUG("no such job");
}

/* ---- a group of jobs ---- */

/* The first n jobs in one transaction: all of them, or nothing. */
static int transact(struct index *ix, struct job *j, unsigned n)
{
	uint64_t highest = 0;
	struct meta meta;
	int rc = ix->writer ? 0 : index_open_writer(ix, false);

	if (rc)
		return rc;
	ix->walking = ix->walked;
	rc = sql_run(ix->writer, SQL_BEGIN);
	KILLPOINT("transaction_begun");
	for (; n > 0 && !rc; n--, j = j->next)
		rc = do_job(ix, j, &highest);
	if (!rc && highest) {
		sql_bind_u64(ix->writer, SQL_ORDER, 1, highest);
		rc = sql_run(ix->writer, SQL_ORDER);
	}
	if (!rc)
		rc = index_read_meta(ix, &meta);
	KILLPOINT("before_commit");
	if (!rc)
		rc = sql_run(ix->writer, SQL_COMMIT);
	KILLPOINT("committed");
	if (rc) {
		sql_rollback(ix->writer);
		return rc;
	}
	index_tell_meta(ix, &meta);
	ix->walked = ix->walking;
	return 0;
}

/* A corrupt file costs the entries it had, not the jobs. */
static int transact_anew(struct index *ix, struct job *j, unsigned n)
{
	int rc = transact(ix, j, n);

	if (rc != SC_ECORRUPT)
		return rc;
	rc = index_open_writer(ix, true);
	return rc ? rc : transact(ix, j, n);
}

static void log_unlinked(struct index *ix, const struct gen *g, int rc)
{
	char hex[SC_GEN_HEX];

	if (!rc)
		return;
	gen_format(g, hex);
	log_event(ix->log, "unlink-failed", "gen=%s error=%s", hex, sc_strerror(rc));
}

static int unlink_objects(struct index *ix, const struct gen *g)
{
	int rc;

	DISK_WORK("unlink");
	rc = object_unlink(ix->dir_fd, g);
	log_unlinked(ix, g, rc);
	return rc;
}

/* The run is over: behind its row, or behind what there was of its objects. A file that stays is a leftover, which the next daemon
 * knows for one. */
static void unlink_flight(struct index *ix, const struct gen *g)
{
	DISK_WORK("flight");
	KILLPOINT("before_flight_unlink");
	log_unlinked(ix, g, flightfile_unlink(ix->dir_fd, g));
	KILLPOINT("flight_unlinked");
}

/* One call for all objects there are, instead of one each for those nobody has kept count of since the last time; the WAL goes with
 * them, and then into the index, so that whoever opens it next finds nothing to recover. */
static int sync_all(struct index *ix)
{
	int rc = 0;

	DISK_WORK("sync");
	KILLPOINT("before_sync");
	if (syncfs(ix->dir_fd) < 0)
		rc = SC_ESYS;
	KILLPOINT("objects_synced");
	if (!rc && !ix->writer)
		rc = index_open_writer(ix, false);
	if (!rc)
		rc = sql_checkpoint(ix->writer);
	KILLPOINT("index_synced");
	if (rc)
		log_event(ix->log, "sync-failed", "error=%s", sc_strerror(rc));
	return rc;
}

/* A walk that met an error is over: what it has noted may not be all. */
static void go_on_walking(struct index *ix, struct job *j)
{
	if (!j->status && ix->walked.row < 0)
		j->walk->over = !walk_objects(ix->walk);
	if (j->status || j->walk->over) {
		walk_free(ix->walk);
		ix->walk = NULL;
	}
}

/* Objects whose rows commits of this group have replaced. */
struct replaced {
	struct gen gens[GROUP_MAX * JOB_COMMIT_ROOM];
	unsigned n;
};

static void unlink_replaced(struct index *ix, struct replaced *old)
{
	for (unsigned i = 0; i < old->n; i++) {
		KILLPOINT("before_older_unlinked");
		unlink_objects(ix, &old->gens[i]);
	}
	old->n = 0;
}

/* In order. Commits are answered before the older objects go, because somebody's prompt waits for them and a large file takes
 * its time, but after the run's own file has gone: who is told of the entry must not find the run. Everything else is answered after, and
 * a walk meets no older objects. A job that failed has changed no row, so nothing goes. */
static void answer(struct index *ix, struct job *first)
{
	struct replaced old;

	old.n = 0;

	for (struct job *j = first, *next; j; j = next) {
		next = j->next;
		if (j->kind == JOB_COMMIT && !j->status && j->changed)
			unlink_flight(ix, &j->e.gen);
		if (j->kind == JOB_DISCARD) {
			j->status = unlink_objects(ix, &j->e.gen);
			j->err = j->status ? errno : 0;
			unlink_flight(ix, &j->e.gen);
		} else if (j->kind == JOB_SYNC) {
			j->status = sync_all(ix);
			j->err = j->status == SC_ESYS ? errno : 0;
		} else if (j->kind == JOB_COMMIT && !j->status) {
			for (unsigned i = 0; i < j->ndead; i++)
				old.gens[old.n++] = j->dead[i].gen;
		} else if (!j->status) {
			for (unsigned i = 0; i < j->ndead; i++)
				unlink_objects(ix, &j->dead[i].gen);
		}
		if (j->kind == JOB_WALK) {
			unlink_replaced(ix, &old);
			DISK_WORK("walk");
			go_on_walking(ix, j);
		}
		if (j->kind == JOB_EVICT) {
			KILLPOINT("evicted_unlinked");
			index_measure(ix, j->ev);
		}
		jobs_answer(&ix->jobs, j);
	}
	KILLPOINT("jobs_answered");
	unlink_replaced(ix, &old);
}

/* No transaction is needed for it. */
static bool is_of_files(const struct index *ix, const struct job *j)
{
	return j->kind == JOB_DISCARD || j->kind == JOB_SYNC || (j->kind == JOB_WALK && ix->walk && ix->walked.row < 0);
}

/* On a full disk there is no room for taking a row away either, and the cache could never give way. What would go behind the row goes
 * before it then: a row without objects is a miss. */
static int give_way(struct index *ix, struct job *j)
{
	log_event(ix->log, "full", "unlinked-first=%u", j->ndead);
	for (unsigned i = 0; i < j->ndead; i++)
		unlink_objects(ix, &j->dead[i].gen);
	return transact_anew(ix, j, 1);
}

/* A job by itself. */
static int do_alone(struct index *ix, struct job *j)
{
	bool only_takes = j->kind == JOB_REMOVE || j->kind == JOB_CLEAR || j->kind == JOB_EXPIRE || j->kind == JOB_EVICT;
	int rc;

	j->ndead = 0; /* what a group that has failed meant to take */
	rc = transact_anew(ix, j, 1);
	return index_wants_room(rc) && only_takes && j->ndead ? give_way(ix, j) : rc;
}

/* A group that fails is tried again one by one, so that a bad job fails alone. */
static void work(struct index *ix, struct job *group)
{
	unsigned n = 0, rows = 0;
	int rc = 0;

	for (struct job *j = group; j; j = j->next) {
		n++;
		rows += !is_of_files(ix, j);
	}
	if (rows) {
		DISK_WORK("transaction");
		rc = transact_anew(ix, group, n);
	}
	for (struct job *j = group; j; j = j->next) {
		j->status = rc && (n > 1 || index_wants_room(rc)) ? do_alone(ix, j) : rc;
		j->err = j->status == SC_ESYS ? errno : 0;
	}
	if (rc)
		log_event(ix->log, "index-failed", "jobs=%u error=%s", n, sc_strerror(rc));
	answer(ix, group);
}

/* After the answers, because it syncs. What a reader is in the way of is copied another time. */
static void checkpoint(struct index *ix)
{
	int rc;

	if (!ix->writer || sql_wal_pages(ix->writer) < (FAULT("small_wal") ? 16 : WAL_PAGES))
		return;
	DISK_WORK("checkpoint");
	rc = sql_checkpoint(ix->writer);
	if (rc && !(rc == SC_ESYS && errno == EBUSY))
		log_event(ix->log, "checkpoint-failed", "error=%s", sc_strerror(rc));
}

static void *index_thread(void *arg)
{
	struct index *ix = arg;
	struct job *group;

	while ((group = jobs_take(&ix->jobs, GROUP_MAX))) {
		work(ix, group);
		checkpoint(ix);
	}
	return NULL;
}

int index_start_thread(struct index *ix)
{
	sigset_t all, old;
	int rc;

	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&ix->thread, NULL, index_thread, ix);
	if (!rc)
		pthread_setname_np(ix->thread, "index");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = rc;
	return rc ? SC_ESYS : 0;
}

/* What a job does to one row, or to those it names, in the transaction of its group: commit, remove, touch, drop, prove, visits, and what is
 * remembered of keys. Takes rows away for all others. Called by the index thread alone; unlinks nothing, answers nobody: what is to go behind
 * the transaction is noted in the job. */
#include <string.h>

#include "daemon/cmdline.h"
#include "daemon/index_parts.h"
#include "lib/err.h"
#include "lib/msg.h"
#include "lib/tags.h"

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

int index_find_standing(struct sql *q, struct bytes bucket, struct bytes key, bool failed, struct standing *s)
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
	return index_find_standing(q, bytes_of(e->bucket), (struct bytes){e->key, e->key_len}, failed, s);
}

/* Its last moment, by CLOCK_BOOTTIME of its boot. SC_FOREVER: none. */
static uint64_t end_of(const struct entry *e)
{
	uint64_t life = index_life(e), end = e->created_boot_ms + life;

	return life == SC_FOREVER || end < life || end > INT64_MAX ? SC_FOREVER : end;
}

static void bind_or_null(struct sql *q, enum sql_statement s, int i, struct bytes b)
{
	if (b.n)
		sql_bind_blob(q, s, i, b.p, b.n);
	else
		sql_bind_null(q, s, i);
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
	sql_bind_u64(q, SQL_PUT, 19, entry_bytes(e->out_size, e->err_size));
	sql_bind_number(q, SQL_PUT, 20, visited);
	sql_bind_number(q, SQL_PUT, 21, e->failed);
	sql_bind_name(q, SQL_PUT, 22, bytes_of(e->tags));
	bind_or_null(q, SQL_PUT, 23, cmdline_bytes(e->command));
	bind_or_null(q, SQL_PUT, 24, (struct bytes){e->shown, e->shown_len});
	sql_bind_u64(q, SQL_PUT, 25, e->out_size);
	sql_bind_u64(q, SQL_PUT, 26, e->err_size);
	bind_or_null(q, SQL_PUT, 27, (struct bytes){e->sealed.b, is_sealed(&e->sealed) ? sizeof e->sealed : 0});
	bind_or_null(q, SQL_PUT, 28, (struct bytes){NULL, 0});
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

int index_do_commit(struct index *ix, struct job *j, uint64_t *highest)
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

int index_do_remove(struct index *ix, struct job *j)
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

int index_do_touch(struct index *ix, struct job *j)
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

int index_do_drop(struct index *ix, struct job *j)
{
	int64_t id;
	int rc = still_stands(ix, j, &id);

	if (rc <= 0)
		return rc;
	index_doom(j, id, &j->e.gen);
	j->changed = 1;
	return index_take_row(ix, j, id, ROW_DAMAGED);
}

/* A row that has gone is passed over. One whose id was given to another generation, too. */
int index_do_visit(struct index *ix, struct job *j)
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

int index_do_remember(struct index *ix, struct job *j)
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
		sql_bind_u64(q, SQL_PUT_PAST, 14, h.past.other_ms);
		rc = sql_run(q, SQL_PUT_PAST);
	}
	if (rc)
		return rc;
	sql_bind_number(q, SQL_DROP_PASTS, 1, SC_HISTORY_MAX);
	return sql_run(q, SQL_DROP_PASTS);
}

int index_do_prove(struct index *ix, struct job *j)
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

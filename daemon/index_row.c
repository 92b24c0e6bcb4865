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
	bool failed, sealed;
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

/* The key of the row that SQL_TAKE took, by which it was asked for; e: room. False: nobody asks for it. */
static bool read_taken(struct index *ix, const struct gen *g, struct entry *e, bool *sealed, struct bytes *key)
{
	struct sql *q = ix->writer;
	struct sealed_by by;

	*key = sql_bytes(q, SQL_TAKE, 1);
	if (index_read_by(q, SQL_TAKE, 7, &by) != 0)
		return false;
	*sealed = is_sealed(&by);
	if (!*sealed)
		return key->n <= SC_KEY_MAX;
	if (index_unbox_names(ix, &by, g, sql_bytes(q, SQL_TAKE, 8), e) != 0)
		return false;
	*key = (struct bytes){e->key, e->key_len};
	return true;
}

/* Without memory for what is to be told the row stays. */
int index_take_row(struct index *ix, struct job *j, int64_t id, enum row_end how)
{
	struct gone_head h = {.how = how};
	struct sql *q = ix->writer;
	struct bytes bucket, key;
	struct entry e;
	int rc;

	sql_bind_number(q, SQL_TAKE, 1, id);
	rc = sql_step(q, SQL_TAKE);
	if (rc <= 0)
		return rc;
	bucket = sql_bytes(q, SQL_TAKE, 0);
	rc = 0;
	/* What no lookup would give out nobody has heard of. */
	if (bucket.n <= SC_BUCKET_MAX && sql_exact(q, SQL_TAKE, 2, h.gen.b, sizeof h.gen.b) &&
	    read_taken(ix, &h.gen, &e, &h.sealed, &key)) {
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
						      .sealed = h.sealed,
						      .gen = h.gen,
						      .order = h.order,
						      .out_len = h.out_len,
						      .err_len = h.err_len,
						      .bucket = {p + at + sizeof h, h.bucket_len},
						      .key = {p + at + sizeof h + h.bucket_len, h.key_len}});
	}
}

int index_find_standing(struct sql *q, struct bytes bucket, const struct key_name *name, bool failed, struct standing *s)
{
	enum sql_statement st = index_bind_by(q, SQL_STANDING, SQL_STANDING_SEALED, 4, &name->by);
	int rc;

	*s = (struct standing){0};
	sql_bind_name(q, st, 1, bucket);
	sql_bind_blob(q, st, 2, name->key.p, name->key.n);
	sql_bind_number(q, st, 3, failed);
	rc = sql_step(q, st);
	if (rc <= 0)
		return rc;
	s->id = sql_number(q, st, 0);
	s->order = sql_u64(q, st, 1);
	rc = sql_exact(q, st, 2, s->gen.b, sizeof s->gen.b) ? 0 : SC_ECORRUPT;
	sql_done(q, st);
	return rc;
}

/* All rows of a key, successes or failures, however it is called. More than one only where one was written while the key of another was
 * not here. */
struct rows {
	struct standing row[NAMINGS_MAX];
	unsigned n;
};

static int find_rows_of(struct index *ix, const struct entry *e, bool failed, struct rows *rows)
{
	struct bytes bucket = bytes_of(e->bucket), key = {e->key, e->key_len};
	struct key_name name;
	struct sealed_by by;
	int rc = 0;

	rows->n = 0;
	for (unsigned i = 0; i < index_namings(ix) && !rc; i++) {
		if (!index_naming_is_used(ix, i))
			continue;
		index_name_by(ix, i, &by);
		rc = index_name_key(ix, &by, bucket, key, &name);
		if (!rc)
			rc = index_find_standing(ix->writer, bucket, &name, failed, &rows->row[rows->n]);
		rows->n += !rc && rows->row[rows->n].id;
	}
	return rc;
}

/* The one that is the key's. id 0: there is none. */
static struct standing newest(const struct rows *rows)
{
	struct standing s = {0};

	for (unsigned i = 0; i < rows->n; i++)
		if (!s.id || rows->row[i].order > s.order)
			s = rows->row[i];
	return s;
}

static const struct standing *find_gen_in(const struct rows *rows, const struct gen *g)
{
	for (unsigned i = 0; i < rows->n; i++)
		if (gen_equal(&rows->row[i].gen, g))
			return &rows->row[i];
	return NULL;
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

/* The tags of the row that was just put. */
static int put_tags(struct index *ix, const struct entry *e)
{
	struct bytes tags = bytes_of(e->tags), tag;
	struct sql *q = ix->writer;
	char name[SC_TAG_NAME + 1];
	uint8_t box[SC_TAG_BOX];
	size_t n = 0;
	int rc = 0;

	while (!rc && tags_next(&tags, &tag)) {
		rc = index_name_tag(ix, &e->sealed, bytes_of(e->bucket), tag, name);
		if (!rc && is_sealed(&e->sealed))
			rc = index_box_tag(ix, e, tag, box, &n);
		if (rc)
			break;
		sql_bind_name(q, SQL_TAG, 1, bytes_of(e->bucket));
		sql_bind_name(q, SQL_TAG, 2, bytes_of(name));
		bind_or_null(q, SQL_TAG, 3, (struct bytes){box, n});
		rc = sql_run(q, SQL_TAG);
	}
	return rc;
}

/* id 0: a new one. Whose key was asked for again counts as visited, and keeps its place in SIEVE's order. */
static int put_row(struct index *ix, int64_t id, const struct entry *e, const struct names *names, int64_t boot)
{
	bool clear = !is_sealed(&e->sealed);
	struct sql *q = ix->writer;
	int rc;

	if (id)
		sql_bind_number(q, SQL_PUT, 1, id);
	else
		sql_bind_null(q, SQL_PUT, 1);
	sql_bind_name(q, SQL_PUT, 2, bytes_of(e->bucket));
	sql_bind_blob(q, SQL_PUT, 3, names->key.key.p, names->key.key.n);
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
	sql_bind_number(q, SQL_PUT, 20, id != 0);
	sql_bind_number(q, SQL_PUT, 21, e->failed);
	sql_bind_name(q, SQL_PUT, 22, bytes_of(names->tags));
	bind_or_null(q, SQL_PUT, 23, clear ? cmdline_bytes(e->command) : (struct bytes){NULL, 0});
	bind_or_null(q, SQL_PUT, 24, (struct bytes){e->shown, clear ? e->shown_len : 0});
	sql_bind_u64(q, SQL_PUT, 25, e->out_size);
	sql_bind_u64(q, SQL_PUT, 26, e->err_size);
	bind_or_null(q, SQL_PUT, 27, (struct bytes){e->sealed.b, clear ? 0 : sizeof e->sealed});
	bind_or_null(q, SQL_PUT, 28, (struct bytes){names->box, names->box_len});
	rc = sql_run(q, SQL_PUT);
	return rc ? rc : put_tags(ix, e);
}

/* Those of a lower order than the entry that comes. Their objects go, unless they are its own. */
static int end_rows(struct index *ix, struct job *j, const struct rows *rows)
{
	int rc = 0;

	for (unsigned i = 0; i < rows->n && !rc; i++) {
		const struct standing *s = &rows->row[i];

		if (s->order > j->e.order)
			continue;
		if (!gen_equal(&s->gen, &j->e.gen))
			index_doom(j, 0, &s->gen);
		rc = index_delete_row(ix->writer, s->id);
	}
	return rc;
}

static int replace(struct index *ix, struct job *j, const struct rows *same, const struct rows *other)
{
	int64_t boot = ix->boot;
	struct names names;
	int rc = index_name_entry(ix, &j->e, &names);

	if (!rc && memcmp(j->e.boot_id, ix->boot_id, sizeof ix->boot_id) != 0)
		rc = index_find_boot(ix, j->e.boot_id, &boot);
	if (!rc)
		rc = end_rows(ix, j, same);
	if (!rc)
		rc = put_row(ix, newest(same).id, &j->e, &names, boot);
	/* It works again. */
	if (!rc && !j->e.failed)
		rc = end_rows(ix, j, other);
	if (!rc)
		index_use_naming(ix, &j->e.sealed);
	return rc;
}

int index_do_commit(struct index *ix, struct job *j, uint64_t *highest)
{
	struct rows same, other;
	struct standing row, rival;
	int rc = find_rows_of(ix, &j->e, j->e.failed, &same);

	if (!rc)
		rc = find_rows_of(ix, &j->e, !j->e.failed, &other);
	if (rc)
		return rc;
	row = newest(&same);
	rival = newest(&other);
	if ((row.id && row.order > j->e.order) || (j->e.failed && rival.id && rival.order > j->e.order)) {
		/* Said twice (a writer asks again after our crash): its objects are the row's, whatever else is true. */
		if (!find_gen_in(&same, &j->e.gen))
			index_doom(j, 0, &j->e.gen);
		return 0;
	}
	rc = replace(ix, j, &same, &other);
	if (rc)
		return rc;
	if (ix->walk)
		walk_note(ix->walk, &j->e.gen);
	if (*highest < j->e.order)
		*highest = j->e.order;
	j->changed = 1;
	return 0;
}

int index_do_remove(struct index *ix, struct job *j)
{
	struct rows rows;
	int rc = 0;

	for (int failed = 0; failed <= 1 && !rc; failed++) {
		rc = find_rows_of(ix, &j->e, failed, &rows);
		for (unsigned i = 0; i < rows.n && !rc; i++) {
			if (rows.row[i].order > j->max_order)
				continue;
			index_doom(j, rows.row[i].id, &rows.row[i].gen);
			j->changed++;
			rc = index_take_row(ix, j, rows.row[i].id, ROW_REMOVED);
		}
	}
	return rc;
}

int index_do_touch(struct index *ix, struct job *j)
{
	struct sql *q = ix->writer;
	struct entry e = {.created_boot_ms = j->now.boot_ms, .ttl_ms = j->e.ttl_ms};
	struct rows rows;
	int rc = find_rows_of(ix, &j->e, false, &rows);

	e.id = newest(&rows).id;
	if (rc || !e.id)
		return rc;
	sql_bind_number(q, SQL_LIFE, 1, e.id);
	rc = sql_step(q, SQL_LIFE);
	if (rc <= 0)
		return rc;
	if (e.ttl_ms == SC_TTL_UNSET)
		e.ttl_ms = sql_time(q, SQL_LIFE, 0);
	e.stale_ms = sql_time(q, SQL_LIFE, 1);
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

/* 1: j->e is still a row of its key, whose id is *id. */
static int still_stands(struct index *ix, const struct job *j, int64_t *id)
{
	const struct standing *s;
	struct rows rows;
	int rc = find_rows_of(ix, &j->e, j->e.failed, &rows);

	*id = 0;
	if (rc)
		return rc;
	s = find_gen_in(&rows, &j->e.gen);
	if (s)
		*id = s->id;
	return s != NULL;
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

static int put_past(struct index *ix, const struct past *p, struct bytes bucket, struct bytes key)
{
	struct sql *q = ix->writer;
	struct key_name name;
	struct sealed_by by = {{0}};
	int rc;

	if (ix->ring && (p->sealed || ix->encrypt))
		by = *keyring_at(ix->ring, 0);
	rc = index_name_key(ix, &by, bucket, key, &name);
	if (rc)
		return rc;
	sql_bind_name(q, SQL_PUT_PAST, 1, bucket);
	sql_bind_blob(q, SQL_PUT_PAST, 2, name.key.p, name.key.n);
	bind_cause(q, 3, &p->fate);
	bind_cause(q, 8, &p->miss);
	sql_bind_u64(q, SQL_PUT_PAST, 13, p->missed_ms);
	sql_bind_u64(q, SQL_PUT_PAST, 14, p->other_ms);
	sql_bind_number(q, SQL_PUT_PAST, 15, is_sealed(&by));
	return sql_run(q, SQL_PUT_PAST);
}

int index_do_remember(struct index *ix, struct job *j)
{
	struct past_head h;
	int rc = 0;

	for (size_t at = 0; at < j->pasts.len && !rc; at += sizeof h + h.bucket_len + h.key_len) {
		const uint8_t *p = j->pasts.data + at;

		memcpy(&h, p, sizeof h);
		rc = put_past(ix, &h.past, (struct bytes){p + sizeof h, h.bucket_len},
			      (struct bytes){p + sizeof h + h.bucket_len, h.key_len});
	}
	if (rc)
		return rc;
	sql_bind_number(ix->writer, SQL_DROP_PASTS, 1, SC_HISTORY_MAX);
	return sql_run(ix->writer, SQL_DROP_PASTS);
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

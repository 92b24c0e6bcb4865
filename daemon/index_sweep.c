/* Jobs that pass over many rows, a batch at a time, each in the transaction of its group: clear, expire, forget, and the walk's steps among the rows
 * (walk.h). What they find goes as index_row.c takes it. Called by the index thread alone. */
#include <string.h>

#include "daemon/index_parts.h"
#include "lib/err.h"
#include "lib/killpoint.h"

/* Of a row of the range: whether it is one of those that are to go. What cannot be opened nobody can have asked about. */
static bool begins_so(struct index *ix, enum sql_statement s, const struct sealed_by *by, const struct gen *g,
		      struct bytes prefix)
{
	struct entry e;

	if (!is_sealed(by))
		return true;
	return index_unbox_names(ix, by, g, sql_bytes(ix->writer, s, 5), &e) == 0 && e.key_len >= prefix.n &&
	       memcmp(e.key, prefix.p, prefix.n) == 0;
}

/* Where the rows of one naming begin and end: of hashes all are looked at. */
static enum sql_statement bind_range(struct index *ix, struct clearing *cl, const struct sealed_by *by)
{
	struct sql *q = ix->writer;
	enum sql_statement s = index_bind_by(q, SQL_RANGE, SQL_RANGE_SEALED, 5, by);
	struct bytes prefix = is_sealed(by) ? (struct bytes){NULL, 0} : cl->prefix;
	struct bytes last = {cl->from_len ? cl->from : NULL, cl->from_len};

	sql_bind_name(q, s, 1, cl->bucket);
	cl->low_len = index_first_key(prefix, last, cl->low).n;
	cl->high_len = index_end_key(prefix, cl->high).n;
	sql_bind_blob(q, s, 2, cl->low, cl->low_len);
	sql_bind_blob(q, s, 3, cl->high, cl->high_len);
	return s;
}

/* The next rows of the range. *looked: how many. */
static int find_range(struct index *ix, struct job *j, const struct sealed_by *by, unsigned *looked)
{
	struct clearing *cl = j->cl;
	struct sql *q = ix->writer;
	enum sql_statement s = bind_range(ix, cl, by);
	struct key_name name = {.by = *by};
	bool failed = false, goes = false;
	struct standing row;
	struct bytes key;
	struct gen g;
	int rc;

	sql_bind_u64(q, s, 4, j->room - 1);
	while ((rc = sql_step(q, s)) > 0) {
		key = sql_bytes(q, s, 3);
		if (!sql_exact(q, s, 2, g.b, sizeof g.b) || key.n < 1 || key.n > SC_KEY_MAX) {
			rc = SC_ECORRUPT;
			break;
		}
		memcpy(cl->last, key.p, key.n);
		cl->last_len = key.n;
		++*looked;
		failed = sql_number(q, s, 4);
		goes = begins_so(ix, s, by, &g, cl->prefix);
		if (goes && sql_u64(q, s, 1) <= cl->max_order)
			index_doom(j, sql_number(q, s, 0), &g);
	}
	sql_done(q, s);
	/* The next batch begins behind this key: its failure, which stands next, belongs to this one. */
	if (!rc && *looked == j->room - 1 && !failed && goes) {
		name.key = (struct bytes){cl->last, cl->last_len};
		rc = index_find_standing(q, cl->bucket, &name, true, &row);
		if (!rc && row.id && row.order <= cl->max_order)
			index_doom(j, row.id, &row.gen);
	}
	return rc;
}

/* The next rows of all, of those of a bucket, or of those in it that have the tag, as it is called. */
static int find_rows(struct sql *q, struct job *j, enum sql_statement s, const char *tag, unsigned *looked)
{
	struct clearing *cl = j->cl;
	struct gen g;
	int rc;

	sql_bind_number(q, s, 1, cl->last_id);
	sql_bind_u64(q, s, 2, j->room - 1);
	if (s != SQL_FROM)
		sql_bind_name(q, s, 3, cl->bucket);
	if (s == SQL_TAGGED)
		sql_bind_name(q, s, 4, bytes_of(tag));
	while ((rc = sql_step(q, s)) > 0) {
		if (!sql_exact(q, s, 2, g.b, sizeof g.b)) {
			rc = SC_ECORRUPT;
			break;
		}
		cl->last_id = sql_number(q, s, 0);
		++*looked;
		if (sql_u64(q, s, 1) <= cl->max_order)
			index_doom(j, cl->last_id, &g);
	}
	sql_done(q, s);
	return rc;
}

/* The next rows that are called in one way; then comes the next way. */
static int find_named(struct index *ix, struct job *j, unsigned *looked)
{
	struct clearing *cl = j->cl;
	char tag[SC_TAG_NAME + 1];
	struct sealed_by by;
	int rc = 0;

	while (cl->naming < index_namings(ix) && !index_naming_is_used(ix, cl->naming))
		cl->naming++;
	if (cl->naming >= index_namings(ix))
		return 0;
	index_name_by(ix, cl->naming, &by);
	if (!cl->tag.n)
		return find_range(ix, j, &by, looked);
	rc = index_name_tag(ix, &by, cl->bucket, cl->tag, tag);
	return rc ? rc : find_rows(ix->writer, j, SQL_TAGGED, tag, looked);
}

/* From the beginning also if it is done a second time. */
static int find_cleared(struct index *ix, struct job *j)
{
	struct clearing *cl = j->cl;
	bool whole = cl->every || (!cl->tag.n && !cl->prefix.n);
	unsigned looked = 0;
	int rc;

	cl->last_id = cl->from_id;
	cl->naming = cl->from_naming;
	cl->last_len = index_copy_bytes(cl->last, (struct bytes){cl->from, cl->from_len}).n;
	rc = whole ? find_rows(ix->writer, j, cl->every ? SQL_FROM : SQL_FROM_IN, NULL, &looked) : find_named(ix, j, &looked);
	cl->over = false;
	if (rc || looked == j->room - 1)
		return rc;
	cl->naming++;
	cl->last_id = 0;
	cl->last_len = 0;
	cl->over = whole || cl->naming >= index_namings(ix);
	return 0;
}

/* All are found before any goes, because a statement that is still open must not meet its own changes. Those that stay are looked at
 * once: what was looked at last is behind them. A batch whose transaction fails is done anew. */
int index_do_clear(struct index *ix, struct job *j)
{
	int rc = find_cleared(ix, j);

	for (unsigned i = 0; i < j->ndead && !rc; i++)
		rc = index_take_row(ix, j, j->dead[i].id, ROW_REMOVED);
	j->changed = j->ndead;
	KILLPOINT("batch_cleared");
	return rc;
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

int index_do_expire(struct index *ix, struct job *j)
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

/* Rows that nobody can ever open: the next batch. */
int index_do_forget(struct index *ix, struct job *j)
{
	struct sealed_by by = {{0}};
	struct sql *q = ix->writer;
	uint64_t count;
	struct gen g;
	int rc;

	while ((rc = index_next_sealer(q, &by, &by, &count)) == 0 && !index_is_lost(ix, &by))
		;
	if (rc)
		return rc == SC_ENOENT ? 0 : rc;
	sql_bind_blob(q, SQL_OF_SEALER, 1, by.b, sizeof by.b);
	sql_bind_u64(q, SQL_OF_SEALER, 2, j->room);
	while ((rc = sql_step(q, SQL_OF_SEALER)) > 0) {
		if (!sql_exact(q, SQL_OF_SEALER, 1, g.b, sizeof g.b)) {
			rc = SC_ECORRUPT;
			break;
		}
		index_doom(j, sql_number(q, SQL_OF_SEALER, 0), &g);
	}
	sql_done(q, SQL_OF_SEALER);
	for (unsigned i = 0; i < j->ndead && !rc; i++)
		rc = index_delete_row(q, j->dead[i].id);
	j->changed = j->ndead;
	return rc;
}

/* A step among the rows; one among the objects is of files only. */
int index_do_walk(struct index *ix, struct job *j)
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

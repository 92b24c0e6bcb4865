/* Jobs that pass over many rows, a batch at a time, each in the transaction of its group: clear, expire, and the walk's steps among the rows
 * (walk.h). What they find goes as index_row.c takes it. Called by the index thread alone. */
#include <string.h>

#include "daemon/index_parts.h"
#include "lib/err.h"
#include "lib/killpoint.h"

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
		rc = index_find_standing(q, cl->bucket, (struct bytes){cl->last, cl->last_len}, true, &row);
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
int index_do_clear(struct index *ix, struct job *j)
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

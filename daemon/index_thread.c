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
#include "lib/object.h"

/* Jobs of one transaction: the answer to the first waits for the last. */
#define GROUP_MAX 256
/* Checkpoint when the WAL has so many pages of 4 KiB: 4 MiB. */
#define WAL_PAGES 1024

/* *highest: raised to the order number of what was committed. */
static int do_job(struct index *ix, struct job *j, uint64_t *highest)
{
	j->changed = 0;
	j->ndead = 0;
	j->gone.len = 0;
	switch (j->kind) {
	case JOB_COMMIT:
		return index_do_commit(ix, j, highest);
	case JOB_REMOVE:
		return index_do_remove(ix, j);
	case JOB_DROP:
		return index_do_drop(ix, j);
	case JOB_CLEAR:
		return index_do_clear(ix, j);
	case JOB_TOUCH:
		return index_do_touch(ix, j);
	case JOB_EXPIRE:
		return index_do_expire(ix, j);
	case JOB_DISCARD: /* are of files only */
	case JOB_SYNC:
		return 0;
	case JOB_WALK:
		return index_do_walk(ix, j);
	case JOB_VISIT:
		return index_do_visit(ix, j);
	case JOB_PROVE:
		return index_do_prove(ix, j);
	case JOB_REMEMBER:
		return index_do_remember(ix, j);
	case JOB_FORGET:
		return index_do_forget(ix, j);
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
	bool only_takes = j->kind == JOB_REMOVE || j->kind == JOB_CLEAR || j->kind == JOB_EXPIRE || j->kind == JOB_EVICT ||
			  j->kind == JOB_FORGET;
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

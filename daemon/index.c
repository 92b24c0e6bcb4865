/* The loop's side of the index: its life, and putting jobs to the thread; index_read.c looks up. Called by the loop's thread only.
 *
 * A file found corrupt while running: whoever finds it says so, the thread moves it aside, begins a fresh one and steps
 * `epoch`; the loop's connection follows at its next use. */
#include "daemon/index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/index_parts.h"
#include "lib/err.h"

/* Rows of one expiry: the loop's other jobs wait behind it. */
#define EXPIRE_MAX 1024
/* … and of one batch of an eviction: objects that go for their size may be large, and each takes its time to unlink. */
#define EVICT_MAX 64
/* … of one of a clearing: others' commits wait for the transaction and for the objects to be unlinked. */
#define CLEAR_MAX 256

/* ---- life ---- */

/* What nobody can ever open goes, batch by batch: a daemon that finds a million of it starts all the same. What is left when it stops the
 * next one removes. */
static void forget(struct index *ix);

static void on_forgotten(void *arg, int status, uint64_t changed)
{
	struct index *ix = arg;

	if (!status && changed)
		forget(ix);
}

static void forget(struct index *ix)
{
	struct job *j = ix->closing ? NULL : job_new(JOB_FORGET, CLEAR_MAX, on_forgotten, ix);

	if (j)
		jobs_put(&ix->jobs, j);
}

int index_open(struct index **out, int dir_fd, const uint8_t boot_id[16], const struct keyring *ring, bool encrypt,
	       struct log *log)
{
	struct index *ix = calloc(1, sizeof *ix);
	int rc;

	if (!ix)
		return SC_ENOMEM;
	ix->dir_fd = dir_fd;
	ix->log = log;
	ix->ring = ring;
	ix->encrypt = encrypt;
	memcpy(ix->boot_id, boot_id, sizeof ix->boot_id);
	rc = jobs_init(&ix->jobs);
	if (rc) {
		free(ix);
		return rc;
	}
	rc = index_locate(ix);
	if (!rc)
		rc = index_open_writer(ix, false);
	if (!rc)
		rc = index_start_thread(ix);
	if (rc) {
		int e = errno;

		sql_close(ix->writer);
		jobs_release(&ix->jobs);
		free(ix);
		errno = e;
		return rc;
	}
	if (ix->left_ephemeral)
		forget(ix);
	*out = ix;
	return 0;
}

bool index_has_left_orphans(struct index *ix)
{
	return ix->left_orphans;
}

void index_close(struct index *ix)
{
	if (!ix)
		return;
	ix->closing = true;
	/* A callback may ask for more. */
	while (jobs_wait(&ix->jobs))
		index_collect(ix);
	jobs_stop(&ix->jobs);
	pthread_join(ix->thread, NULL);
	/* The writer last: the last one leaves a file without a WAL. */
	sql_close(ix->reader);
	sql_close(ix->writer);
	jobs_release(&ix->jobs);
	walk_free(ix->walk);
	free(ix);
}

uint64_t index_order(struct index *ix)
{
	return ix->order;
}

uint64_t index_count(struct index *ix)
{
	return ix->count;
}

struct total index_total(struct index *ix)
{
	return (struct total){.entries = ix->count, .bytes = ix->bytes};
}

/* ---- jobs ---- */

void index_on_gone(struct index *ix, index_gone each, void *arg)
{
	ix->gone = each;
	ix->gone_arg = arg;
}

/* A job about one row. NULL: no memory. */
static struct job *new_row_job(enum job_kind kind, unsigned room, const struct entry *e, index_done done, void *arg)
{
	struct job *j = job_new(kind, room, done, arg);

	if (j)
		j->e = *e;
	return j;
}

int index_commit(struct index *ix, const struct entry *e, index_done done, void *arg)
{
	struct job *j = new_row_job(JOB_COMMIT, JOB_COMMIT_ROOM, e, done, arg);

	if (!j)
		return SC_ENOMEM;
	jobs_put(&ix->jobs, j);
	return 0;
}

/* A job about one key. NULL: no memory. */
static struct job *new_key_job(enum job_kind kind, unsigned room, struct bytes bucket, struct bytes key, index_done done,
			       void *arg)
{
	struct job *j;

	BUG_ON(bucket.n > SC_BUCKET_MAX || key.n > SC_KEY_MAX);
	j = job_new(kind, room, done, arg);
	if (!j)
		return NULL;
	index_copy_bytes((uint8_t *)j->e.bucket, bucket);
	j->e.key_len = index_copy_bytes(j->e.key, key).n;
	return j;
}

int index_remove(struct index *ix, struct bytes bucket, struct bytes key, uint64_t max_order, index_done done, void *arg)
{
	struct job *j = new_key_job(JOB_REMOVE, JOB_COMMIT_ROOM, bucket, key, done, arg);

	if (!j)
		return SC_ENOMEM;
	j->max_order = max_order;
	jobs_put(&ix->jobs, j);
	return 0;
}

int index_touch(struct index *ix, struct bytes bucket, struct bytes key, uint64_t ttl_ms, const struct now *now,
		index_done done, void *arg)
{
	struct job *j = new_key_job(JOB_TOUCH, 0, bucket, key, done, arg);

	if (!j)
		return SC_ENOMEM;
	j->e.ttl_ms = ttl_ms;
	j->now = *now;
	jobs_put(&ix->jobs, j);
	return 0;
}

int index_drop(struct index *ix, const struct entry *e, index_done done, void *arg)
{
	struct job *j = new_row_job(JOB_DROP, 1, e, done, arg);

	if (!j)
		return SC_ENOMEM;
	jobs_put(&ix->jobs, j);
	return 0;
}

int index_clear(struct index *ix, struct clearing *cl, index_done done, void *arg)
{
	struct job *j;

	BUG_ON(cl->bucket.n > SC_BUCKET_MAX || cl->prefix.n > SC_KEY_MAX);
	j = job_new(JOB_CLEAR, CLEAR_MAX + 1, done, arg);
	if (!j)
		return SC_ENOMEM;
	cl->from_id = cl->last_id;
	cl->from_naming = cl->naming;
	cl->from_len = index_copy_bytes(cl->from, (struct bytes){cl->last, cl->last_len}).n;
	j->cl = cl;
	jobs_put(&ix->jobs, j);
	return 0;
}

int index_expire(struct index *ix, const struct now *now, unsigned limit, index_done done, void *arg)
{
	struct job *j = job_new(JOB_EXPIRE, limit < EXPIRE_MAX ? limit : EXPIRE_MAX, done, arg);

	if (!j)
		return SC_ENOMEM;
	j->now = *now;
	jobs_put(&ix->jobs, j);
	return 0;
}

int index_discard(struct index *ix, const struct gen *g, index_done done, void *arg)
{
	struct job *j = job_new(JOB_DISCARD, 0, done, arg);

	if (!j)
		return SC_ENOMEM;
	j->e.gen = *g;
	jobs_put(&ix->jobs, j);
	return 0;
}

int index_sync(struct index *ix, index_done done, void *arg)
{
	struct job *j = job_new(JOB_SYNC, 0, done, arg);

	if (!j)
		return SC_ENOMEM;
	jobs_put(&ix->jobs, j);
	return 0;
}

int index_doubt(struct index *ix, index_done done, void *arg)
{
	struct job *j = job_new(JOB_DOUBT, 0, done, arg);

	if (!j)
		return SC_ENOMEM;
	jobs_put(&ix->jobs, j);
	return 0;
}

int index_walk(struct index *ix, struct walk_order *order, index_done done, void *arg)
{
	struct job *j = job_new(JOB_WALK, WALK_ROWS, done, arg);

	if (!j)
		return SC_ENOMEM;
	j->walk = order;
	jobs_put(&ix->jobs, j);
	return 0;
}

int index_visit(struct index *ix, const struct visit *v, size_t n, index_done done, void *arg)
{
	struct job *j = job_new(JOB_VISIT, 0, done, arg);

	if (!j)
		return SC_ENOMEM;
	j->visits = malloc(n * sizeof *v);
	if (!j->visits) {
		job_free(j);
		return SC_ENOMEM;
	}
	memcpy(j->visits, v, n * sizeof *v);
	j->nvisits = n;
	jobs_put(&ix->jobs, j);
	return 0;
}

unsigned index_epoch(struct index *ix)
{
	return ix->epoch;
}

bool index_is_there(struct index *ix)
{
	struct stat st;

	if (fstatat(ix->dir_fd, "index.db", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno != ENOENT;
	return st.st_ino == ix->inode && st.st_dev == ix->device;
}

void index_renew(struct index *ix)
{
	index_tell_bad(ix, ix->epoch, "removed or replaced");
}

int index_evict(struct index *ix, struct eviction *ev, index_done done, void *arg)
{
	struct job *j = job_new(JOB_EVICT, EVICT_MAX, done, arg);

	if (!j)
		return SC_ENOMEM;
	j->ev = ev;
	jobs_put(&ix->jobs, j);
	return 0;
}

int index_prove(struct index *ix, const struct entry *e, index_done done, void *arg)
{
	struct job *j = new_row_job(JOB_PROVE, 0, e, done, arg);

	if (!j)
		return SC_ENOMEM;
	jobs_put(&ix->jobs, j);
	return 0;
}

int index_fd(const struct index *ix)
{
	return ix->jobs.event_fd;
}

void index_collect(struct index *ix)
{
	for (struct job *j = jobs_collect(&ix->jobs), *next; j; j = next) {
		next = j->next;
		if (!j->status && ix->gone)
			index_tell_gone(ix, j);
		if (j->done) {
			errno = j->err;
			j->done(j->arg, j->status, j->changed);
		}
		job_free(j);
	}
}

int index_remember(struct index *ix, const struct buf *rows, index_done done, void *arg)
{
	struct job *j = job_new(JOB_REMEMBER, 0, done, arg);

	if (!j || buf_append(&j->pasts, rows->data, rows->len)) {
		if (j)
			job_free(j);
		return SC_ENOMEM;
	}
	jobs_put(&ix->jobs, j);
	return 0;
}

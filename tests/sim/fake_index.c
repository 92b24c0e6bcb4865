/* index.h with rows in memory. A job is carried out by "the thread" some time after it was given, and answered some time after
 * that; either fails where the machine may. The rules of index.h are kept here, because the daemon relies on them: a row is
 * not replaced by one of a lower order, jobs keep their order. */
#include "daemon/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/object.h"
#include "tests/sim/check.h"
#include "tests/sim/world.h"

enum job_kind { JOB_COMMIT, JOB_REMOVE, JOB_DISCARD };

struct job {
	struct job *next;
	enum job_kind kind;
	struct key_model *key;
	struct model *run;
	struct entry *e;
	uint64_t max_order;
	index_done done;
	void *arg;
	int status;
	uint64_t changed;
};

struct queue {
	struct job *first, **last;
};

struct index {
	struct queue todo, done;
	struct job *half; /* in the index, or without its objects, but the run's file is still there */
	struct alarm work, collect;
};

/* One at a time, like the daemon. */
static struct index ix;

static void add(struct queue *q, struct job *j)
{
	j->next = NULL;
	*q->last = j;
	q->last = &j->next;
}

static struct job *take(struct queue *q)
{
	struct job *j = q->first;

	if (j && !(q->first = j->next))
		q->last = &q->first;
	return j;
}

/* ---- the thread ---- */

static void drop_row(struct key_model *k)
{
	struct model *r = k->row_run;

	k->has_row = false;
	k->row_run = NULL;
	object_unlink(-1, &r->gen);
}

static void do_commit(struct job *j)
{
	struct key_model *k = j->key;

	/* Or somebody has restored a newer one. */
	if ((k->has_row && k->row.order > j->e->order) || mishap(30)) {
		object_unlink(-1, &j->run->gen);
		return;
	}
	check_commit(j->run);
	if (k->has_row && k->row_run != j->run)
		drop_row(k);
	k->has_row = true;
	k->row = *j->e;
	k->row_run = j->run;
	if (world.index_order < k->row.order)
		world.index_order = k->row.order;
	j->run->committed = true;
	j->run->commit_epoch = world.index_epoch;
	j->changed = 1;
}

static void do_job(struct job *j)
{
	j->changed = 0;
	j->status = j->kind != JOB_DISCARD && mishap(100) ? SC_ESYS : 0;
	if (j->status) {
		errno = ENOSPC;
	} else if (j->kind == JOB_COMMIT) {
		do_commit(j);
	} else if (j->kind == JOB_DISCARD) {
		object_unlink(-1, &j->run->gen);
	} else if (j->key->has_row && j->key->row.order <= j->max_order) {
		drop_row(j->key);
		j->changed = 1;
	}
	trace("index: %s%s%u: status %d, changed %llu",
	      j->kind == JOB_COMMIT    ? "commit"
	      : j->kind == JOB_DISCARD ? "discard"
				       : "remove",
	      j->run ? " of run " : " ", j->run ? j->run->number : 0, j->status, (unsigned long long)j->changed);
}

static void finish_job(struct job *j)
{
	if (j->kind == JOB_DISCARD || (j->kind == JOB_COMMIT && j->status == 0 && j->changed))
		flight_file_goes(j->run);
	add(&ix.done, j);
}

static void finish_half(void)
{
	struct job *j = ix.half;

	ix.half = NULL;
	if (j)
		finish_job(j);
}

static void answer(struct job *j)
{
	if (j->kind == JOB_COMMIT) {
		j->run->commit_answered = true;
		j->run->committed = j->status == 0 && j->changed;
		if (j->status == 0)
			check_kept(j->run->key);
	}
	if (j->done)
		j->done(j->arg, j->status, j->changed);
}

static void collect(void *arg)
{
	struct job *j;

	(void)arg;
	while ((j = take(&ix.done))) {
		daemon_point();
		answer(j);
	}
}

static void on_collect(void *arg)
{
	uint64_t pause = proc_pause(&life.proc);

	if (pause)
		alarm_set(&ix.collect, pause + late());
	else
		daemon_turn(collect, arg);
}

static void on_work(void *arg)
{
	struct job *j;

	(void)arg;
	finish_half();
	while ((j = take(&ix.todo))) {
		do_job(j);
		ix.half = j;
		if (chance(20))
			break;
		finish_half();
		if (chance(50))
			break;
	}
	if (ix.todo.first || ix.half)
		alarm_set(&ix.work, late());
	if (ix.done.first && !ix.collect.pos)
		alarm_set(&ix.collect, late());
}

struct index *index_new(void)
{
	index_die();
	alarm_init(&ix.work, on_work, NULL);
	alarm_init(&ix.collect, on_collect, NULL);
	return &ix;
}

void index_die(void)
{
	alarm_clear(&ix.work);
	alarm_clear(&ix.collect);
	/* What objects its jobs were about, nobody knows any more. */
	if (ix.todo.first)
		world.orphans = true;
	ix.todo = (struct queue){NULL, &ix.todo.first};
	ix.done = (struct queue){NULL, &ix.done.first};
	ix.half = NULL;
}

void index_forget(void)
{
	memset(&ix, 0, sizeof ix);
}

void index_lose(void)
{
	trace("the index is lost");
	world.index_epoch++;
	world.index_order = 0;
	world.orphans = true;
	for (unsigned i = 0; i < world.nkeys; i++)
		world.keys[i].has_row = false;
}

/* ---- the loop's side ---- */

bool entry_age(const struct entry *e, const uint8_t boot_id[16], const struct now *now, uint64_t *age_ms)
{
	(void)boot_id;
	if (e->created_boot_ms > now->boot_ms)
		return false;
	*age_ms = now->boot_ms - e->created_boot_ms;
	return true;
}

uint64_t entry_bytes(uint64_t out_len, uint64_t err_len)
{
	return (out_len + 4095) / 4096 * 4096 + (err_len + 4095) / 4096 * 4096;
}

void index_close(struct index *index)
{
	struct job *j;

	(void)index;
	while (ix.half || ix.todo.first || ix.done.first) {
		daemon_point();
		finish_half();
		while ((j = take(&ix.todo))) {
			do_job(j);
			finish_job(j);
		}
		collect(NULL);
	}
	index_die();
}

uint64_t index_order(struct index *index)
{
	(void)index;
	return world.index_order;
}

uint64_t index_count(struct index *index)
{
	uint64_t n = 0;

	(void)index;
	for (unsigned i = 0; i < world.nkeys; i++)
		n += world.keys[i].has_row;
	return n;
}

/* There are no limits here, so nobody asks for more. */
struct total index_total(struct index *index)
{
	return (struct total){.entries = index_count(index)};
}

int index_bucket_total(struct index *index, struct bytes bucket, struct total *t)
{
	(void)bucket;
	*t = index_total(index);
	return 0;
}

/* No command of the simulated ones has a digest. */
void index_key_command(struct index *index, struct bytes digest, uint8_t command[SC_COMMAND_SIZE])
{
	(void)index;
	(void)digest;
	memset(command, 0, SC_COMMAND_SIZE);
}

int index_recall(struct index *index, struct bytes bucket, struct bytes key, struct past *p)
{
	(void)index, (void)bucket, (void)key, (void)p;
	return SC_ENOENT;
}

int index_pack_past(struct buf *rows, const struct past *p, struct bytes bucket, struct bytes key)
{
	(void)rows, (void)p, (void)bucket, (void)key;
	return 0;
}

int index_remember(struct index *index, const struct buf *rows, index_done done, void *arg)
{
	(void)index, (void)rows, (void)done, (void)arg;
	return SC_ENOMEM;
}

int index_next_bucket(struct index *index, struct bytes after, char name[SC_BUCKET_MAX + 1], struct total *t)
{
	(void)index, (void)after, (void)name, (void)t;
	return SC_ENOENT;
}

int index_visit(struct index *index, const struct visit *v, size_t n, index_done done, void *arg)
{
	(void)index, (void)v, (void)n, (void)done, (void)arg;
	return 0;
}

int index_evict(struct index *index, struct eviction *ev, index_done done, void *arg)
{
	(void)index, (void)ev, (void)done, (void)arg;
	sim_fail("an eviction without a limit");
}

int index_find(struct index *index, struct bytes bucket, struct bytes key, bool failed, struct entry *out)
{
	struct key_model *k = key_model_of(key);

	(void)index, (void)bucket;
	daemon_point();
	if (!k->has_row || failed)
		return SC_ENOENT;
	*out = k->row;
	return 0;
}

int index_find_gen(struct index *index, struct bytes bucket, struct bytes key, const struct gen *g, struct entry *out)
{
	int rc = index_find(index, bucket, key, false, out);

	return rc ? rc : gen_equal(&out->gen, g) ? 0 : SC_ENOENT;
}

int index_list(struct index *index, struct bytes bucket, struct bytes prefix, struct cursor *at, unsigned limit, index_row each,
	       void *arg)
{
	int n = 0;

	(void)index, (void)bucket, (void)prefix, (void)limit;
	for (unsigned i = 0; i < world.nkeys; i++) {
		struct key_model *k = &world.keys[i];

		if (!k->has_row || (at->after_len && memcmp(k->name, at->after, 1) <= 0))
			continue;
		n++;
		at->after[0] = (uint8_t)k->name[0];
		at->after_len = 1;
		if (each(arg, &k->row))
			return n;
	}
	at->over = true;
	return n;
}

static int put(struct job *j)
{
	add(&ix.todo, j);
	if (!ix.work.pos)
		alarm_set(&ix.work, late());
	return 0;
}

static struct job *job_new(enum job_kind kind, index_done done, void *arg)
{
	struct job *j = sim_alloc(sizeof *j);

	daemon_point();
	*j = (struct job){.kind = kind, .done = done, .arg = arg};
	return j;
}

int index_commit(struct index *index, const struct entry *e, index_done done, void *arg)
{
	struct job *j;

	(void)index;
	if (mishap(5))
		return SC_ENOMEM;
	j = job_new(JOB_COMMIT, done, arg);
	j->run = run_of(&e->gen);
	j->key = j->run->key;
	check_commit_asked(j->run, e);
	j->run->commit_asked = true;
	j->run->commit_answered = false;
	j->e = sim_alloc(sizeof *j->e);
	*j->e = *e;
	return put(j);
}

int index_remove(struct index *index, struct bytes bucket, struct bytes key, uint64_t max_order, index_done done, void *arg)
{
	struct job *j;

	(void)index, (void)bucket;
	if (mishap(5))
		return SC_ENOMEM;
	j = job_new(JOB_REMOVE, done, arg);
	j->key = key_model_of(key);
	j->max_order = max_order;
	return put(j);
}

int index_drop(struct index *index, const struct entry *e, index_done done, void *arg)
{
	return index_remove(index, bytes_of(e->bucket), (struct bytes){e->key, e->key_len}, e->order, done, arg);
}

int index_clear(struct index *index, struct clearing *cl, index_done done, void *arg)
{
	(void)index, (void)cl, (void)done, (void)arg;
	sim_fail("a CLEAR, which no client of this world says");
}

int index_list_tags(struct index *index, struct bytes bucket, struct bytes prefix, unsigned limit, index_tag each, void *arg)
{
	(void)index, (void)bucket, (void)prefix, (void)limit, (void)each, (void)arg;
	sim_fail("a TAGS, which no client of this world says");
}

int index_touch(struct index *index, struct bytes bucket, struct bytes key, uint64_t ttl_ms, const struct now *now,
		index_done done, void *arg)
{
	(void)index, (void)bucket, (void)key, (void)ttl_ms, (void)now, (void)done, (void)arg;
	sim_fail("a TOUCH, which no client of this world says");
}

int index_sync(struct index *index, index_done done, void *arg)
{
	(void)index, (void)done, (void)arg;
	sim_fail("a SYNC, which changes nothing that could be looked at here");
}

int index_doubt(struct index *index, index_done done, void *arg)
{
	(void)index, (void)done, (void)arg;
	sim_fail("a doubt, for which nobody has a reason here");
}

int index_discard(struct index *index, const struct gen *g, index_done done, void *arg)
{
	struct job *j;

	(void)index;
	if (mishap(5)) {
		world.orphans = true;
		return SC_ENOMEM;
	}
	j = job_new(JOB_DISCARD, done, arg);
	j->run = run_of(g);
	return put(j);
}

/* Nobody of the simulator's verifies, or checks them all. */
int index_prove(struct index *index, const struct entry *e, index_done done, void *arg)
{
	(void)index, (void)e, (void)done, (void)arg;
	return 0;
}

int index_next(struct index *index, int64_t id, struct entry *out)
{
	(void)index, (void)id, (void)out;
	return SC_ENOENT;
}

int index_sealed_next(struct index *index, const struct sealed_by *after, struct sealed_by *by, uint64_t *count)
{
	(void)index;
	(void)after;
	(void)by;
	(void)count;
	return SC_ENOENT;
}

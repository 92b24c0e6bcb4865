/* Proofs, and the list of what was found bad and is still in the index. Called by answer.c and dispatch.c. Never reads an object. */
#include "daemon/trust.h"

#include <stdlib.h>
#include <utlist.h>

#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/hot.h"
#include "daemon/index.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/lockfile.h"
#include "lib/object.h"

/* Rows found bad that the index has not removed. It takes a disk that cannot be written to for so many. */
#define DISTRUSTED_MAX 4096
/* … that are looked at in one turn of the loop. */
#define LOOK_MAX 64

struct distrusted {
	struct distrusted *next, *prev;
	struct daemon *d;
	struct gen gen;
	int64_t id; /* its row, as long as that is of `gen` */
	bool going; /* the index has been asked to remove it */
	bool said;  /* that it stays */
};

bool trust_wants_proof(const struct daemon *d, const struct entry *e, const int *fds, size_t nfds)
{
	if (lockfile_doubts(d->lock))
		return true;
	for (size_t i = 0; i < nfds; i++)
		if (object_is_linked(fds[i]))
			return true;
	return !e->proved;
}

struct doubt {
	struct daemon *d;
	uint64_t doubts;
};

/* Until the rows say it the mark does; where they cannot be written, to the next daemon, too. */
static void on_doubted(void *arg, int status, uint64_t changed)
{
	struct doubt *x = arg;

	(void)changed;
	if (status)
		log_event(x->d->log, "doubt-failed", "why=\"%s\"", sc_strerror(status));
	else
		lockfile_trust(x->d->lock, x->doubts);
	free(x);
}

void trust_open(struct daemon *d)
{
	uint64_t doubts = lockfile_doubts(d->lock);
	struct doubt *x = doubts ? malloc(sizeof *x) : NULL;

	if (!x)
		return;
	*x = (struct doubt){d, doubts};
	log_event(d->log, "doubt", "why=\"the disk has lost something\"");
	if (index_doubt(d->index, on_doubted, x))
		free(x);
}

void trust_nothing(struct daemon *d)
{
	lockfile_doubt(d->lock);
	trust_open(d);
}

static struct distrusted *find(const struct daemon *d, const struct gen *g)
{
	struct distrusted *x = d->distrusted;

	while (x && !gen_equal(&x->gen, g))
		x = x->next;
	return x;
}

bool trust_is_bad(const struct daemon *d, const struct gen *g)
{
	return find(d, g) != NULL;
}

static void drop(struct distrusted *x)
{
	DL_DELETE(x->d->distrusted, x);
	x->d->ndistrusted--;
	free(x);
}

static void on_removed(void *arg, int status, uint64_t changed)
{
	struct distrusted *x = arg;

	(void)changed;
	x->going = false;
	KILLPOINT("bad_row_removed");
	if (!status) {
		drop(x);
		return;
	}
	if (!x->said)
		log_event(x->d->log, "bad-row-stays", "why=\"%s\"", sc_strerror(status));
	x->said = true;
}

static void distrust(struct daemon *d, const struct entry *e)
{
	struct distrusted *x = d->ndistrusted < DISTRUSTED_MAX ? malloc(sizeof *x) : NULL;

	if (!x) {
		index_drop(d->index, e, NULL, NULL);
		return;
	}
	*x = (struct distrusted){.d = d, .gen = e->gen, .id = e->id};
	DL_APPEND(d->distrusted, x);
	d->ndistrusted++;
	/* No memory for a job: it stays in the list, like one that cannot be removed. */
	x->going = index_drop(d->index, e, on_removed, x) == 0;
}

/* False: it has gone, by whatever way. */
static bool look_at(struct distrusted *x)
{
	struct entry e;
	int rc = index_next(x->d->index, x->id - 1, &e);

	if (rc == SC_ENOENT || (rc == 0 && !gen_equal(&e.gen, &x->gen)))
		return false;
	if (rc == 0)
		x->going = index_drop(x->d->index, &e, on_removed, x) == 0;
	return true;
}

void trust_look(struct daemon *d)
{
	unsigned n = d->ndistrusted < LOOK_MAX ? d->ndistrusted : LOOK_MAX;

	for (; n > 0; n--) {
		struct distrusted *x = d->distrusted;

		/* Behind the others: they are looked at the next time. */
		DL_DELETE(d->distrusted, x);
		if (x->going || look_at(x)) {
			DL_APPEND(d->distrusted, x);
		} else {
			d->ndistrusted--;
			free(x);
		}
	}
}

void trust_proved(struct conn *c, const struct msg *m)
{
	struct daemon *d = c->d;
	char hex[SC_GEN_HEX];
	struct entry e;

	if (index_find_gen(d->index, m->bucket, m->key, &m->gen, &e) != 0 || trust_is_bad(d, &e.gen))
		return; /* replaced or removed meanwhile, or somebody was faster */
	KILLPOINT("proof_taken");
	if (!(m->flags & PROVED_BAD)) {
		index_prove(d->index, &e, NULL, NULL);
		return;
	}
	gen_format(&e.gen, hex);
	log_event(d->log, "entry-bad", "gen=%s pid=%d why=\"its bytes are not those that were stored, or cannot be read\"", hex,
		  (int)c->pid);
	d->nbad++;
	/* What lies there was compared, and is right; but its entry is none any more. */
	hot_drop(d, bytes_of(e.bucket), (struct bytes){e.key, e.key_len}, e.failed, &e.gen);
	distrust(d, &e);
}

void trust_close(struct daemon *d)
{
	struct distrusted *x, *next;

	DL_FOREACH_SAFE (d->distrusted, x, next)
		free(x);
	d->distrusted = NULL;
	d->ndistrusted = 0;
}

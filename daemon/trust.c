/* Proofs, and the list of what was found bad and is still in the index. Called by answer.c and dispatch.c. Never reads an object. */
#include "daemon/trust.h"

#include <stdlib.h>
#include <utlist.h>

#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/index.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/lockfile.h"
#include "lib/object.h"

/* Rows found bad that the index has not removed. It takes a disk that cannot be written to for so many. */
#define DISTRUSTED_MAX 4096

struct distrusted {
	struct distrusted *next, *prev;
	struct daemon *d;
	struct gen gen;
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
	KILLPOINT("bad_row_removed");
	if (status)
		log_event(x->d->log, "bad-row-stays", "why=\"%s\"", sc_strerror(status));
	else
		drop(x);
}

static void distrust(struct daemon *d, const struct entry *e)
{
	struct bytes bucket = bytes_of(e->bucket), key = {e->key, e->key_len};
	struct distrusted *x = d->ndistrusted < DISTRUSTED_MAX ? malloc(sizeof *x) : NULL;

	if (!x) {
		index_remove(d->index, bucket, key, e->order, NULL, NULL);
		return;
	}
	x->d = d;
	x->gen = e->gen;
	DL_APPEND(d->distrusted, x);
	d->ndistrusted++;
	/* No memory for a job: it stays in the list. */
	index_remove(d->index, bucket, key, e->order, on_removed, x);
}

void trust_proved(struct conn *c, const struct msg *m)
{
	struct daemon *d = c->d;
	char hex[SC_GEN_HEX];
	struct entry e;

	if (index_find(d->index, m->bucket, m->key, &e) != 0 || !gen_equal(&e.gen, &m->gen) || trust_is_bad(d, &e.gen))
		return; /* replaced or removed meanwhile, or somebody was faster */
	KILLPOINT("proof_taken");
	if (!(m->flags & PROVED_BAD)) {
		index_prove(d->index, m->bucket, m->key, &m->gen, NULL, NULL);
		return;
	}
	gen_format(&e.gen, hex);
	log_event(d->log, "entry-bad", "gen=%s pid=%d why=\"its bytes are not those that were stored, or cannot be read\"", hex,
		  (int)c->pid);
	d->nbad++;
	distrust(d, &e);
}

void trust_close(struct daemon *d)
{
	struct distrusted *x, *next;

	DL_FOREACH_SAFE (d->distrusted, x, next)
		free(x);
	d->distrusted = NULL;
}

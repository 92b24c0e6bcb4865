/* The table of keys. Called by answer.c (who waits) and flight*.c (what changes). Decides nothing. */
#include "daemon/key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "daemon/answer.h"
#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "lib/err.h"
#include "lib/limits.h"

static size_t key_id(struct bytes bucket, struct bytes key, uint8_t id[SC_BUCKET_MAX + 1 + SC_KEY_MAX])
{
	memcpy(id, bucket.p, bucket.n);
	id[bucket.n] = '\0';
	if (key.n)
		memcpy(id + bucket.n + 1, key.p, key.n);
	return bucket.n + 1 + key.n;
}

struct key *key_find(struct daemon *d, struct bytes bucket, struct bytes key)
{
	uint8_t id[SC_BUCKET_MAX + 1 + SC_KEY_MAX];
	size_t n = key_id(bucket, key, id);
	struct key *k;

	HASH_FIND(hh, d->keys, id, n, k);
	return k;
}

struct key *key_get(struct daemon *d, struct bytes bucket, struct bytes key)
{
	uint8_t id[SC_BUCKET_MAX + 1 + SC_KEY_MAX];
	size_t n = key_id(bucket, key, id);
	struct key *k = key_find(d, bucket, key);

	if (k)
		return k;
	k = calloc(1, sizeof *k + n);
	if (!k)
		return NULL;
	k->id_len = n;
	memcpy(k->id, id, n);
	HASH_ADD(hh, d->keys, id, n, k);
	if (!k->hh.tbl) {
		free(k);
		return NULL;
	}
	return k;
}

void key_drop_if_unused(struct daemon *d, struct key *k)
{
	if (k->flights || k->lease || k->waiters || k->heirs)
		return;
	for (unsigned what = 0; what < MEMOS; what++)
		if (k->memo[what].until_ms)
			return;
	BUG_ON(!d->keys);
	HASH_DEL(d->keys, k);
	free(k);
}

int key_wait(struct daemon *d, struct conn *c, struct bytes bucket, struct bytes key)
{
	struct key *k = key_get(d, bucket, key);

	if (!k)
		return SC_ENOMEM;
	DL_APPEND2(k->waiters, c, wait_prev, wait_next);
	c->waits_for = k;
	daemon_owe(d);
	return 0;
}

void key_leave(struct conn *c)
{
	struct key *k = c->waits_for;
	struct daemon *d = c->d;

	if (!k)
		return;
	DL_DELETE2(k->waiters, c, wait_prev, wait_next);
	c->waits_for = NULL;
	daemon_paid(d);
	key_drop_if_unused(d, k);
}

void key_add_heir(struct key *k, struct conn *c)
{
	if (!c->can_lead || c->heir_of)
		return;
	c->heir_of = k;
	k->heirs++;
}

void key_drop_heir(struct conn *c)
{
	struct key *k = c->heir_of;

	if (!k)
		return;
	c->heir_of = NULL;
	if (--k->heirs == 0)
		key_changed(c->d, k);
}

void key_changed(struct daemon *d, struct key *k)
{
	uint8_t id[SC_BUCKET_MAX + 1 + SC_KEY_MAX];
	struct bytes bucket, key;
	struct conn *c;
	unsigned n = 0;

	if (d->stopping) {
		key_drop_if_unused(d, k);
		return; /* they ask the next daemon */
	}
	/* An answer may drop the key: it is found by name again after each. */
	memcpy(id, k->id, k->id_len);
	bucket = bytes_of((char *)id);
	key = (struct bytes){id + bucket.n + 1, k->id_len - bucket.n - 1};
	DL_COUNT2(k->waiters, c, n, wait_next);
	for (; n > 0 && k && k->waiters; n--) {
		answer_again(k->waiters);
		daemon_step(d);
		k = key_find(d, bucket, key);
	}
	if (k)
		key_drop_if_unused(d, k);
}

int keys_beginning(struct daemon *d, struct bytes bucket, struct bytes prefix, struct buf *ids)
{
	uint8_t id[SC_BUCKET_MAX + 1 + SC_KEY_MAX];
	size_t n = bucket.n ? key_id(bucket, prefix, id) : 0;
	struct key *k, *next;
	int rc = 0;

	HASH_ITER (hh, d->keys, k, next) {
		if (rc || k->id_len < n || memcmp(k->id, id, n) != 0)
			continue;
		rc = buf_append(ids, &k->id_len, sizeof k->id_len);
		if (!rc)
			rc = buf_append(ids, k->id, k->id_len);
	}
	return rc ? SC_ENOMEM : 0;
}

static const struct {
	uint64_t ms;
	unsigned most;
} memos[MEMOS] = {[MEMO_UNKEPT] = {SC_UNKEPT_MS, SC_UNKEPT_MAX}, [MEMO_QUIET] = {SC_QUIET_MS, SC_QUIET_MAX}};

static void forget(struct daemon *d, struct key *k, enum memo what)
{
	DL_DELETE2(d->memos[what].first, k, memo[what].prev, memo[what].next);
	d->memos[what].n--;
	k->memo[what].until_ms = 0;
}

void key_remember(struct daemon *d, struct key *k, enum memo what, int error, uint64_t now_ms)
{
	struct memos *m = &d->memos[what];

	if (k->memo[what].until_ms)
		forget(d, k, what);
	k->memo[what].until_ms = now_ms + memos[what].ms;
	k->memo[what].error = error > 0 ? error : EIO;
	DL_APPEND2(m->first, k, memo[what].prev, memo[what].next);
	m->n++;
	while (m->first != k && (m->n > memos[what].most || m->first->memo[what].until_ms <= now_ms)) {
		struct key *oldest = m->first;

		forget(d, oldest, what);
		key_drop_if_unused(d, oldest);
	}
}

int key_recall(const struct key *k, enum memo what, uint64_t now_ms)
{
	return k && now_ms < k->memo[what].until_ms ? k->memo[what].error : 0;
}

void key_forget(struct daemon *d, struct bytes bucket, struct bytes key, enum memo what)
{
	struct key *k = key_find(d, bucket, key);

	if (!k || !k->memo[what].until_ms)
		return;
	forget(d, k, what);
	key_drop_if_unused(d, k);
}

void keys_forget_all(struct daemon *d)
{
	for (unsigned what = 0; what < MEMOS; what++)
		while (d->memos[what].first) {
			struct key *k = d->memos[what].first;

			forget(d, k, what);
			key_drop_if_unused(d, k);
		}
}

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
	if (k->flights || k->waiters || k->heirs || k->unkept_until_ms)
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
	size_t n = key_id(bucket, prefix, id);
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

static void forget_unkept(struct daemon *d, struct key *k)
{
	DL_DELETE2(d->unkept, k, unkept_prev, unkept_next);
	d->nunkept--;
	k->unkept_until_ms = 0;
	key_drop_if_unused(d, k);
}

void key_set_unkept(struct daemon *d, struct key *k, int error, uint64_t now_ms)
{
	if (k->unkept_until_ms) {
		DL_DELETE2(d->unkept, k, unkept_prev, unkept_next);
		d->nunkept--;
	}
	k->unkept_until_ms = now_ms + SC_UNKEPT_MS;
	k->unkept_error = error > 0 ? error : EIO;
	DL_APPEND2(d->unkept, k, unkept_prev, unkept_next);
	d->nunkept++;
	while (d->unkept != k && (d->nunkept > SC_UNKEPT_MAX || d->unkept->unkept_until_ms <= now_ms))
		forget_unkept(d, d->unkept);
}

int key_unkept(const struct key *k, uint64_t now_ms)
{
	return k && now_ms < k->unkept_until_ms ? k->unkept_error : 0;
}

void key_forget_unkept(struct daemon *d, struct bytes bucket, struct bytes key)
{
	struct key *k = key_find(d, bucket, key);

	if (k && k->unkept_until_ms)
		forget_unkept(d, k);
}

void keys_forget_unkept(struct daemon *d)
{
	while (d->unkept)
		forget_unkept(d, d->unkept);
}

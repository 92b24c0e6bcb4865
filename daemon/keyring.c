/* Called by main.c (its life); flights, leases and answers take streams' keys, the index and flightfile.c names. The only file of the daemon
 * that sees a master key. */
#include "daemon/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"
#include "lib/err.h"
#include "lib/keyfile.h"

/* What one master key is used as. */
enum use { USE_MASTER, USE_LOOKUP, USE_NAMES, USES };

struct keyring {
	struct seal_key *keys; /* owned: USES for each of SC_KEYS_MAX */
	unsigned n;
	bool guarded;
	struct sealed_by by[SC_KEYS_MAX];
};

static int refuse(const char *path, enum keyfile_fault fault, int rc, char *why, size_t size)
{
	const char *text = keyfile_fault_text(fault);
	char mend[SC_PATH_MAX + 32];

	keyfile_mend(fault, path, mend, sizeof mend);
	snprintf(why, size, "key-file: %s: %s%s%s%s", path, text, *mend ? " (" : "", mend, *mend ? ")" : "");
	return rc;
}

static struct seal_key *key_of(const struct keyring *r, unsigned i, enum use use)
{
	return &r->keys[i * USES + use];
}

/* The master key lies where the next one goes. */
static void name_key(struct keyring *r, enum sealed_kind kind, char fingerprint[SC_SEAL_FINGERPRINT])
{
	const struct seal_key *master = key_of(r, r->n, USE_MASTER);
	unsigned byte;

	seal_key_derive_for(master, "sc lookup", key_of(r, r->n, USE_LOOKUP));
	seal_key_derive_for(master, "sc names", key_of(r, r->n, USE_NAMES));
	seal_key_fingerprint(master, fingerprint);
	r->by[r->n].b[0] = (uint8_t)kind;
	for (size_t i = 0; i + 1 < SC_SEALED_BY; i++) {
		sscanf(fingerprint + 2 * i, "%2x", &byte);
		r->by[r->n].b[i + 1] = (uint8_t)byte;
	}
}

/* One that is there already would never be used: whoever has named it meant another. */
static int find_twin(const struct daemon *d, const char *path, char *why, size_t size)
{
	const struct keyring *r = d->keyring;
	const char *rest = d->config.key_file;
	char twin[SC_PATH_MAX];

	for (unsigned i = 0; i < r->n; i++) {
		config_next_key_file(&rest, twin);
		if (memcmp(&r->by[i], &r->by[r->n], sizeof r->by[i]) == 0) {
			snprintf(why, size, "key-file: %s: the same key as %s", path, twin);
			return SC_EBUSY;
		}
	}
	return 0;
}

static int add(struct daemon *d, const char *path, char *why, size_t size)
{
	struct keyring *r = d->keyring;
	char fingerprint[SC_SEAL_FINGERPRINT];
	enum keyfile_fault fault;
	int rc;

	if (r->n == SC_KEYS_MAX) {
		snprintf(why, size, "key-file: %d keys are the most", SC_KEYS_MAX);
		return SC_ETOOBIG;
	}
	rc = keyfile_read(path, d->config.credential, key_of(r, r->n, USE_MASTER), &fault);
	if (rc)
		return refuse(path, fault, rc, why, size);
	name_key(r, SEALED_BY_FILE, fingerprint);
	rc = find_twin(d, path, why, size);
	if (rc)
		return rc;
	log_event(d->log, "key", "fingerprint=%s seals=%d", fingerprint, r->n == 0);
	r->n++;
	return 0;
}

int keyring_open(struct daemon *d, char *why, size_t size)
{
	const char *rest = d->config.key_file;
	char path[SC_PATH_MAX], fingerprint[SC_SEAL_FINGERPRINT];
	struct keyring *r;
	bool locked;
	int rc = 0;

	snprintf(why, size, "no memory");
	r = d->keyring = calloc(1, sizeof *r);
	if (!r)
		return SC_ENOMEM;
	r->keys = seal_keys_new((size_t)SC_KEYS_MAX * USES, &locked);
	if (!r->keys)
		return SC_ENOMEM;
	if (!locked && (*rest || d->config.encrypt))
		log_event(d->log, "key-unlocked", "why=\"memory cannot be locked: keys may come to lie in swap\"");
	while (rc == 0 && config_next_key_file(&rest, path))
		rc = add(d, path, why, size);
	if (rc == 0 && r->n == 0) {
		seal_key_new(key_of(r, 0, USE_MASTER));
		name_key(r, SEALED_BY_EPHEMERAL, fingerprint);
		r->n++;
	}
	if (rc == 0 && (*d->config.key_file || d->config.encrypt))
		keyring_guard(d);
	return rc;
}

void keyring_close(struct daemon *d)
{
	if (!d->keyring)
		return;
	seal_keys_free(d->keyring->keys);
	free(d->keyring);
	d->keyring = NULL;
}

void keyring_guard(struct daemon *d)
{
	if (!d->keyring->guarded)
		sc_keep_secret();
	d->keyring->guarded = true;
}

/* ---- what the keys are good for ---- */

unsigned keyring_count(const struct keyring *r)
{
	return r->n;
}

const struct sealed_by *keyring_at(const struct keyring *r, unsigned i)
{
	BUG_ON(i >= r->n);
	return &r->by[i];
}

/* NULL: it is not here. */
static const struct seal_key *find(const struct keyring *r, const struct sealed_by *by, enum use use)
{
	for (unsigned i = 0; i < r->n; i++)
		if (memcmp(&r->by[i], by, sizeof *by) == 0)
			return key_of(r, i, use);
	return NULL;
}

bool keyring_has(const struct keyring *r, const struct sealed_by *by)
{
	return find(r, by, USE_MASTER) != NULL;
}

int keyring_streams(const struct keyring *r, const struct sealed_by *by, const struct gen *g, struct seal_key keys[2])
{
	const struct seal_key *master = find(r, by, USE_MASTER);

	if (!master)
		return SC_ENOENT;
	seal_key_derive(master, g, STREAM_OUT, &keys[STREAM_OUT]);
	seal_key_derive(master, g, STREAM_ERR, &keys[STREAM_ERR]);
	return 0;
}

int keyring_hash(const struct keyring *r, const struct sealed_by *by, struct bytes bucket, struct bytes name,
		 uint8_t out[SC_SEAL_HASH])
{
	const struct seal_key *key = find(r, by, USE_LOOKUP);

	if (!key)
		return SC_ENOENT;
	seal_hash(key, bucket, name, out);
	return 0;
}

int keyring_box(const struct keyring *r, const struct sealed_by *by, const struct gen *g, struct bytes plain, uint8_t *out,
		size_t *n)
{
	const struct seal_key *key = find(r, by, USE_NAMES);

	if (!key)
		return SC_ENOENT;
	*n = seal_box(key, g, plain, out);
	return 0;
}

int keyring_unbox(const struct keyring *r, const struct sealed_by *by, const struct gen *g, struct bytes sealed, uint8_t *out,
		  size_t *n)
{
	const struct seal_key *key = find(r, by, USE_NAMES);

	return key ? seal_box_open(key, g, sealed, out, n) : SC_ENOENT;
}

/* Called by main.c. The only file of the daemon that sees a master key. */
#include "daemon/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"
#include "lib/err.h"
#include "lib/keyfile.h"

struct keyring {
	struct seal_key *keys; /* owned: SC_KEYS_MAX */
	size_t n;
	char fingerprints[SC_KEYS_MAX][SC_SEAL_FINGERPRINT];
	char paths[SC_KEYS_MAX][SC_PATH_MAX];
};

static int refuse(const char *path, enum keyfile_fault fault, int rc, char *why, size_t size)
{
	const char *text = keyfile_fault_text(fault);
	char mend[SC_PATH_MAX + 32];

	keyfile_mend(fault, path, mend, sizeof mend);
	snprintf(why, size, "key-file: %s: %s%s%s%s", path, text, *mend ? " (" : "", mend, *mend ? ")" : "");
	return rc;
}

/* One that is there already would never be used: whoever has named it meant another. */
static int find_twin(const struct keyring *r, char *why, size_t size)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->fingerprints[i], r->fingerprints[r->n]) == 0) {
			snprintf(why, size, "key-file: %s: the same key as %s", r->paths[r->n], r->paths[i]);
			return SC_EBUSY;
		}
	return 0;
}

static int add(struct daemon *d, const char *path, char *why, size_t size)
{
	struct keyring *r = d->keyring;
	enum keyfile_fault fault;
	int rc;

	if (r->n == SC_KEYS_MAX) {
		snprintf(why, size, "key-file: %d keys are the most", SC_KEYS_MAX);
		return SC_ETOOBIG;
	}
	rc = keyfile_read(path, &r->keys[r->n], &fault);
	if (rc)
		return refuse(path, fault, rc, why, size);
	snprintf(r->paths[r->n], SC_PATH_MAX, "%s", path);
	seal_key_fingerprint(&r->keys[r->n], r->fingerprints[r->n]);
	rc = find_twin(r, why, size);
	if (rc)
		return rc;
	log_event(d->log, "key", "fingerprint=%s seals=%d", r->fingerprints[r->n], r->n == 0);
	r->n++;
	return 0;
}

int keyring_open(struct daemon *d, char *why, size_t size)
{
	const char *rest = d->config.key_file;
	char path[SC_PATH_MAX];
	struct keyring *r;
	bool locked;
	int rc = 0;

	if (!*rest)
		return 0;
	snprintf(why, size, "no memory");
	r = d->keyring = calloc(1, sizeof *r);
	if (!r)
		return SC_ENOMEM;
	r->keys = seal_keys_new(SC_KEYS_MAX, &locked);
	if (!r->keys)
		return SC_ENOMEM;
	if (!locked)
		log_event(d->log, "key-unlocked", "why=\"memory cannot be locked: keys may come to lie in swap\"");
	while (rc == 0 && config_next_key_file(&rest, path))
		rc = add(d, path, why, size);
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

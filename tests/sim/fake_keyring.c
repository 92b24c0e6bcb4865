/* There are no master keys here: nothing of a scenario is sealed, so nobody may ask for one. What sealing changes is where bytes lie and what
 * they are called, which the simulator leaves out for all runs alike. */
#include "daemon/keyring.h"

#include "lib/err.h"

const struct sealed_by *keyring_at(const struct keyring *r, unsigned i)
{
	(void)r;
	(void)i;
	BUG("a key that seals");
}

int keyring_streams(const struct keyring *r, const struct sealed_by *by, const struct gen *g, struct seal_key keys[2])
{
	(void)r;
	(void)by;
	(void)g;
	(void)keys;
	BUG("keys of a sealed stream");
}

void keyring_guard(struct daemon *d)
{
	(void)d;
	BUG("a key to be guarded");
}

bool keyring_has(const struct keyring *r, const struct sealed_by *by)
{
	(void)r;
	(void)by;
	return false;
}

/* keyring.h where nothing is sealed. */
#include "daemon/keyring.h"

#include "tests/sim/check.h"
#include "tests/sim/world.h"

const struct sealed_by *keyring_at(const struct keyring *r, unsigned i)
{
	(void)r, (void)i;
	sim_fail("a key, which nobody needs here");
}

int keyring_streams(const struct keyring *r, const struct sealed_by *by, const struct gen *g, struct seal_key keys[2])
{
	(void)r, (void)by, (void)g, (void)keys;
	sim_fail("keys of a stream that is not sealed");
}

void keyring_guard(struct daemon *d)
{
	(void)d;
	sim_fail("a sealed run, which no client of this world asks for");
}

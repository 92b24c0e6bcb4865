/* The share. Called by hot.c, and by the tests over traces. */
#include "daemon/admit.h"

#include "lib/limits.h"

_Static_assert((SC_LOAD_EVERY_MAX & (SC_LOAD_EVERY_MAX - 1)) == 0, "halving comes back to 1");

bool admit_one(struct admit *a)
{
	if (++a->passed < a->every)
		return false;
	a->passed = 0;
	return true;
}

void admit_useful(struct admit *a)
{
	if (a->every > 1)
		a->every /= 2;
}

void admit_in_vain(struct admit *a)
{
	if (a->every < SC_LOAD_EVERY_MAX)
		a->every = a->every ? 2 * a->every : 2;
}

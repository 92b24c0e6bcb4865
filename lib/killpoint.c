/* SC_KILLAT of test builds. */
#include "lib/killpoint.h"

#ifdef SC_TEST_BUILD
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void killpoint(const char *name)
{
	static long passed;
	const char *at = getenv("SC_KILLAT");
	size_t n = strlen(name);

	if (!at || strncmp(at, name, n) != 0 || (at[n] != ':' && at[n] != '\0'))
		return;
	if (++passed == (at[n] ? strtol(at + n + 1, NULL, 10) : 1))
		kill(getpid(), SIGKILL);
}
#endif

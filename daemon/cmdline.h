/* Which command line an entry or a run is of: 16 bytes that say no more than whether two are the same (index_key_command). All zero: there
 * was none, or it is not known. */
#ifndef SC_CMDLINE_H
#define SC_CMDLINE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/limits.h"

static inline bool cmdline_is_known(const uint8_t c[SC_COMMAND_SIZE])
{
	static const uint8_t none[SC_COMMAND_SIZE];

	return memcmp(c, none, sizeof none) != 0;
}

/* Both are known, and two. */
static inline bool cmdline_differs(const uint8_t a[SC_COMMAND_SIZE], const uint8_t b[SC_COMMAND_SIZE])
{
	return cmdline_is_known(a) && cmdline_is_known(b) && memcmp(a, b, SC_COMMAND_SIZE) != 0;
}

/* As it is kept: nothing where it is not known. Points into c. */
static inline struct bytes cmdline_bytes(const uint8_t c[SC_COMMAND_SIZE])
{
	return (struct bytes){c, cmdline_is_known(c) ? SC_COMMAND_SIZE : 0};
}

/* What is of another length is not known. */
static inline void cmdline_read(uint8_t c[SC_COMMAND_SIZE], struct bytes kept)
{
	if (kept.n == SC_COMMAND_SIZE)
		memcpy(c, kept.p, SC_COMMAND_SIZE);
	else
		memset(c, 0, SC_COMMAND_SIZE);
}

#endif

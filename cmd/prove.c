/* One pass over an object. */
#include "cmd/prove.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"

/* Small enough to be summed while it is in the processor's cache. */
#define PIECE (128 * 1024)

static int add_all(struct checksum *c, int fd, uint64_t len, prove_step step)
{
	static unsigned char bytes[PIECE];

	for (uint64_t at = 0; at < len;) {
		ssize_t n = pread(fd, bytes, len - at < PIECE ? len - at : PIECE, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? SC_ESYS : SC_ECORRUPT;
		checksum_add(c, bytes, (size_t)n);
		at += (uint64_t)n;
		if (step)
			step((uint64_t)n);
	}
	return 0;
}

int prove_object(int fd, uint64_t len, const uint8_t sum[SC_SUM_SIZE], prove_step step)
{
	struct checksum *c = checksum_new();
	uint8_t got[SC_SUM_SIZE];
	int rc;

	if (!c)
		return SC_ENOMEM;
	rc = add_all(c, fd, len, step);
	checksum_get(c, got);
	checksum_free(c);
	if (rc == 0 && memcmp(got, sum, sizeof got) != 0)
		rc = SC_ECORRUPT;
	return rc;
}

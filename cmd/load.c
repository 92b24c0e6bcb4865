/* One copy of each stream, summed on the way. */
#include "cmd/load.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cmd/sealed.h"
#include "cmd/source.h"
#include "lib/checksum.h"
#include "lib/err.h"
#include "lib/memfd.h"
#include "lib/msg.h"

/* Small enough to be summed and written while it is in the processor's cache. */
#define PIECE (128 * 1024)

/* By read and write: pages that are lent (splice) could not be sealed. */
static int copy(const struct source *from, enum stream stream, uint64_t len, int fd, struct checksum *sum)
{
	static unsigned char bytes[PIECE];

	for (uint64_t at = 0; at < len;) {
		size_t got = 0, n = len - at < PIECE ? len - at : PIECE;
		int rc = source_read(from, stream, at, bytes, n, &got);

		if (rc == SC_ESYS && errno == EINTR)
			continue;
		if (!rc)
			rc = object_append(fd, bytes, got);
		if (rc)
			return rc;
		checksum_add(sum, bytes, got);
		at += got;
	}
	return 0;
}

static int load_stream(const struct source *from, enum stream stream, uint64_t len, struct bytes want, int *fd)
{
	struct checksum *sum = checksum_new();
	uint8_t got[SC_SUM_SIZE];
	int rc = sum ? memfd_new("sc-entry", fd) : SC_ENOMEM;

	if (rc) {
		checksum_free(sum);
		return rc;
	}
	rc = copy(from, stream, len, *fd, sum);
	checksum_get(sum, got);
	checksum_free(sum);
	if (!rc && source_is_sealed(from))
		rc = source_is_whole(from, stream, len); /* its sums are those of what lies on the disk */
	else if (!rc && memcmp(got, want.p, sizeof got) != 0)
		rc = SC_ECORRUPT;
	if (!rc)
		rc = memfd_seal(*fd, MEMFD_FINAL);
	if (rc)
		close(*fd);
	return rc;
}

static int load_streams(const struct source *from, const struct msg *hit, int fds[2], size_t *n)
{
	int rc = load_stream(from, STREAM_OUT, hit->out_len, hit->out_sum, &fds[0]);

	*n = rc ? 0 : 1;
	if (rc || hit->err_len == 0)
		return rc;
	rc = load_stream(from, STREAM_ERR, hit->err_len, hit->err_sum, &fds[1]);
	if (rc)
		close(fds[0]);
	*n = rc ? 0 : 2;
	return rc;
}

int load_entry(const struct msg *hit, const int *objects, size_t nobjects, int fds[2], size_t *n)
{
	struct seal_key keys[SC_SEALED_KEYS];
	struct source from;
	int rc = 0;

	*n = 0;
	signal(SIGXFSZ, SIG_IGN);
	source_init(&from, objects[0], nobjects > 1 ? objects[1] : -1);
	if (sealed_keys(hit->keys, keys))
		rc = source_unseal(&from, &hit->gen, keys);
	if (rc == 0)
		rc = load_streams(&from, hit, fds, n);
	source_release(&from);
	return rc;
}

/* Holds a second run against the first. Called by reader.c. Prints nothing. */
#include "cmd/again.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/object.h"

/* One comparison. */
#define PIECE (16 * 1024)

int again_init(struct again *a, int out_fd, int err_fd, uint64_t out_len, uint64_t err_end)
{
	*a = (struct again){.out_fd = fcntl(out_fd, F_DUPFD_CLOEXEC, 3), .out_len = out_len, .err_end = err_end};
	a->err_fd = fcntl(err_fd, F_DUPFD_CLOEXEC, 3);
	if (a->out_fd >= 0 && a->err_fd >= 0)
		return 0;
	again_release(a);
	return SC_ESYS;
}

void again_release(struct again *a)
{
	if (a->out_fd >= 0)
		close(a->out_fd);
	if (a->err_fd >= 0)
		close(a->err_fd);
	a->out_fd = a->err_fd = -1;
}

static int read_exactly(int fd, void *p, size_t n, uint64_t at)
{
	size_t got = 0;

	while (got < n) {
		ssize_t k = pread(fd, (char *)p + got, n - got, (off_t)(at + got));

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return SC_ESYS;
		if (k == 0)
			return SC_ECORRUPT;
		got += (size_t)k;
	}
	return 0;
}

int again_match_out(struct again *a, const unsigned char *bytes, size_t n, uint64_t at)
{
	unsigned char ours[PIECE];

	while (n > 0) {
		size_t k = n < sizeof ours ? n : sizeof ours;
		int rc = read_exactly(a->out_fd, ours, k, at);

		if (rc == 0 && memcmp(ours, bytes, k) != 0)
			rc = SC_ECORRUPT;
		if (rc)
			return rc;
		bytes += k;
		at += k;
		n -= k;
	}
	return 0;
}

/* The record of the first run that err_at stands at; records without a byte are passed over. */
static bool next_record(struct again *a, struct record *r)
{
	uint8_t head[SC_RECORD_HEAD];

	while (!a->err_differs && a->err_at < a->err_end) {
		if (read_exactly(a->err_fd, head, sizeof head, a->err_at) || record_decode(r, head)) {
			a->err_differs = true; /* not to be read any more: then nothing is known to be the same */
			return false;
		}
		if (a->err_in < r->length)
			return true;
		a->err_at += SC_RECORD_HEAD + r->length;
		a->err_in = 0;
	}
	return false;
}

size_t again_match_err(struct again *a, const unsigned char *bytes, size_t n)
{
	unsigned char ours[PIECE];
	struct record r;
	size_t same = 0;

	while (same < n && next_record(a, &r)) {
		size_t k = n - same < sizeof ours ? n - same : sizeof ours;

		if (k > r.length - a->err_in)
			k = r.length - a->err_in;
		if (read_exactly(a->err_fd, ours, k, a->err_at + SC_RECORD_HEAD + a->err_in) ||
		    memcmp(ours, bytes + same, k) != 0)
			a->err_differs = true;
		else
			same += k;
		a->err_in += (uint32_t)k;
	}
	return same;
}

bool again_err_is_over(struct again *a)
{
	struct record r;

	return !next_record(a, &r);
}

/* Cuts what a stream socket brings into messages, each with its descriptors. Called by cmd/session.c, cmd/writer.c and
 * daemon/conn.c. Never judges who sent a message or whether it is its turn. */
#include "lib/frame.h"

#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/sock.h"

#define HEADER 4

/* The room of one read. The longest question (key, bucket, chain) fits, and with it every usual one. */
#define READ_SIZE 8192

/* Behind a frame that is not whole, one more read always fits. */
#define IN_MAX (HEADER + SC_FRAME_MAX + READ_SIZE)

void frames_init(struct frames *f)
{
	memset(f, 0, sizeof *f);
	buf_init(&f->in, IN_MAX);
}

void frames_release(struct frames *f)
{
	for (size_t i = 0; i < f->nfds; i++)
		close(f->fds[i]);
	f->nfds = 0;
	f->taken = 0;
	buf_release(&f->in);
}

int frames_fill(struct frames *f, int fd)
{
	size_t nfds = SC_FDS_QUEUED_MAX - f->nfds;
	ssize_t n;
	int rc;

	buf_consume(&f->in, f->taken);
	f->taken = 0;
	rc = buf_reserve(&f->in, READ_SIZE);
	if (rc)
		return rc;
	n = sock_recv(fd, f->in.data + f->in.len, READ_SIZE, f->fds + f->nfds, &nfds);
	if (n < 0)
		return (int)n;
	f->in.len += (size_t)n;
	f->nfds += nfds;
	f->cut = n == READ_SIZE;
	return 0;
}

/* Descriptors are there, but nothing that could ask for them, now or behind a read that was too short for all. */
static bool has_strays(const struct frames *f, size_t nfds)
{
	return nfds > 0 && f->taken == f->in.len && !f->cut;
}

int frames_next(struct frames *f, struct msg *m, int fds[SC_FDS_MAX], size_t *nfds)
{
	size_t have = f->in.len - f->taken, len, claimed;
	const uint8_t *p;
	int rc;

	*nfds = 0;
	if (have < HEADER)
		return has_strays(f, f->nfds) ? SC_EPROTO : SC_EAGAIN;
	p = f->in.data + f->taken;
	len = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
	if (len == 0 || len > SC_FRAME_MAX)
		return SC_EPROTO;
	if (have - HEADER < len)
		return SC_EAGAIN;
	rc = msg_decode(m, p + HEADER, len);
	if (rc)
		return rc;
	claimed = msg_fd_count(m);
	if (claimed > f->nfds)
		return SC_EPROTO;
	f->taken += HEADER + len;
	if (has_strays(f, f->nfds - claimed))
		return SC_EPROTO;

	memcpy(fds, f->fds, claimed * sizeof(int));
	f->nfds -= claimed;
	memmove(f->fds, f->fds + claimed, f->nfds * sizeof(int));
	*nfds = claimed;
	return 0;
}

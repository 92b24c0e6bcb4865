/* Bytes and descriptors of one stream socket, cut into messages. The same on both sides. Owns what it has received until
 * the caller takes it.
 *
 * The rule of descriptors. They come with bytes, the kernel says only with which read, and several messages may be in one
 * read. So they are one queue, in the order of the messages; each message takes from the front as many as it says
 * (msg_fd_count). They may come early, with a message in front of theirs, never late. When the last whole message has been
 * taken and nothing of another one is there, the queue must be empty: what is left was not asked for. */
#ifndef SC_FRAME_H
#define SC_FRAME_H

#include <stdbool.h>

#include "lib/buf.h"
#include "lib/limits.h"
#include "lib/msg.h"

struct frames {
	struct buf in;
	size_t taken;		    /* the front of `in` that is done with */
	int fds[SC_FDS_QUEUED_MAX]; /* received, oldest first, not yet taken */
	size_t nfds;
	bool cut; /* the last read was as long as its room: there may be more of what came */
};

void frames_init(struct frames *f);
void frames_release(struct frames *f); /* closes what was not taken */

/* One recvmsg behind what is there; memory grows with what has come, not with what a length promises. To be called when
 * frames_next says SC_EAGAIN. 0, SC_ENOMEM, or the errors of sock_recv. */
int frames_fill(struct frames *f, int fd);

/* The next whole message, if there is one: its byte fields are valid until the next call of any function here. fds gets its
 * descriptors (SC_FDS_MAX of them at most), the caller's from then on. SC_EAGAIN: not whole yet. SC_EPROTO: too long, not
 * decodable, or fewer or more descriptors than such a message carries; the connection must be closed. */
int frames_next(struct frames *f, struct msg *m, int fds[SC_FDS_MAX], size_t *nfds);

#endif

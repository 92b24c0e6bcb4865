/* What a peer can say, for libFuzzer: the bytes as one array for msg_decode, and as a stream with descriptors, in pieces, for
 * frames_next. Whatever comes of it, nothing may be left open, and what was decoded must encode to the same message.
 *
 *   clang -std=gnu11 -D_GNU_SOURCE -DSC_BIN='"sc"' -I. -g -O1 -fsanitize=fuzzer,address,undefined -o fuzz_frame \
 *       tests/fuzz/fuzz_frame.c lib/{frame,msg,pack,sock,buf,err,clock}.c -lmsgpackc */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/frame.h"
#include "lib/sock.h"

#define HEADER 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int ok)
{
	if (!ok)
		abort();
}

static int highest_free_fd(void)
{
	int fd = fcntl(0, F_DUPFD_CLOEXEC, 3);

	close(fd);
	return fd;
}

/* What was taken from a frame, said again and taken again, says the same. */
static void check_message(const struct msg *m)
{
	struct buf once, twice;
	struct msg again;

	buf_init(&once, HEADER + SC_FRAME_MAX);
	buf_init(&twice, HEADER + SC_FRAME_MAX);
	expect(m->key.n <= SC_KEY_MAX && m->bucket.n <= SC_BUCKET_MAX && m->slot < SC_SLOTS && m->exit < 256);
	expect(msg_encode(&once, m) == 0);
	expect(msg_decode(&again, once.data + HEADER, once.len - HEADER) == 0);
	expect(again.type == m->type && msg_fd_count(&again) == msg_fd_count(m));
	expect(msg_encode(&twice, &again) == 0);
	expect(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
	buf_release(&once);
	buf_release(&twice);
}

static void as_one_array(const uint8_t *data, size_t size)
{
	struct msg m;
	int rc = msg_decode(&m, data, size);

	expect(rc == 0 || rc == SC_EPROTO);
	if (rc == 0)
		check_message(&m);
}

static int take_all(struct frames *f)
{
	int fds[SC_FDS_MAX], rc;
	struct msg m;
	size_t nfds;

	while ((rc = frames_next(f, &m, fds, &nfds)) == 0) {
		expect(nfds == msg_fd_count(&m));
		for (size_t i = 0; i < nfds; i++) {
			expect(fcntl(fds[i], F_GETFD) == FD_CLOEXEC);
			close(fds[i]);
		}
		check_message(&m);
	}
	return rc;
}

/* The first byte says how long the pieces are, the second how many descriptors come with each. */
static void as_stream(const uint8_t *data, size_t size)
{
	size_t piece = (size_t)(data[0] + 1) * 16, each = data[1] % 9, at = 2;
	int fds[8] = {0}, pair[2], rc = SC_EAGAIN;
	struct frames f;

	expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	frames_init(&f);
	while (at < size && rc == SC_EAGAIN) {
		size_t n = size - at < piece ? size - at : piece;
		ssize_t sent = sock_send(pair[0], data + at, n, fds, each);

		expect(sent > 0);
		at += (size_t)sent;
		while (rc == SC_EAGAIN && (rc = frames_fill(&f, pair[1])) == 0)
			rc = take_all(&f);
		if (rc == SC_EAGAIN)
			continue;
		expect(rc == SC_EPROTO);
	}
	frames_release(&f);
	close(pair[0]);
	close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int before = highest_free_fd();

	as_one_array(data, size);
	if (size > 2)
		as_stream(data, size);
	expect(highest_free_fd() == before);
	return 0;
}

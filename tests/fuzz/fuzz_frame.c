/* What a socket can bring, for libFuzzer: by a recipe a stream of frames, good ones and others, is sent in pieces, with descriptors as the
 * messages ask for them or not, and read by frames_fill and frames_next. Whatever comes of it: the messages are those that stand in the
 * stream, in their order, up to the first that is none, however the pieces lie; descriptors come in the order in which they were sent, close
 * on exec; and none stays open. What is in a message is fuzz_msg's. */
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/frame.h"
#include "lib/sock.h"
#include "tests/fuzz/message.h"

#define FRAMES_MAX 16
#define STREAM_MAX (FRAMES_MAX * 8192)
/* A length that is not its own makes one frame into many: too many for us to look at. */
#define MEANT_MAX 256
#define PIECES_MAX 256
/* frame.c's */
#define READ_SIZE 8192

/* With each piece so many descriptors; or with the first byte of each frame as many as its message asks for; or of as many frames as ask
 * for no more than one message may. */
#define AS_ASKED 9
#define EARLY 10

/* They tell each other apart by their size. */
#define FDS 16
static int numbered[FDS];

struct stream {
	uint8_t bytes[STREAM_MAX + SC_FRAME_MAX];
	size_t n;
};

/* What is to be read of it: the messages, and whether they end with something that is none. */
struct meant {
	struct msg m[MEANT_MAX];
	size_t at[MEANT_MAX + 1]; /* where the frame of each begins; behind the last one */
	size_t n;
	bool bad;
};

/* The lowest that is free: what is opened next, and what is not closed again, is not far behind it. */
static int lowest_free_fd(void)
{
	int fd = fcntl(0, F_DUPFD_CLOEXEC, 3);

	close(fd);
	return fd;
}

static bool is_all_closed(int from)
{
	for (int fd = from; fd < from + 2 + SC_FDS_QUEUED_MAX + SC_FDS_MAX; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return false;
	return true;
}

/* ---- what is sent ---- */

static void set_length(uint8_t *at, size_t n)
{
	for (int i = 0; i < HEADER; i++)
		at[i] = (uint8_t)(n >> 8 * i);
}

/* A frame that ends where a read of so many bytes from the beginning would, if there is one. */
static void end_at_read(struct msg *m, size_t at)
{
	struct buf frame;
	size_t rest, left = READ_SIZE - at % READ_SIZE;

	m->type = MSG_REMOVE;
	m->key = (struct bytes){m->key.p, 256};
	buf_init(&frame, HEADER + SC_FRAME_MAX);
	expect(msg_encode(&frame, m) == 0);
	rest = frame.len - m->key.n;
	buf_release(&frame);
	if (left > rest + 256)
		m->key.n = left - rest < SC_KEY_MAX ? left - rest : SC_KEY_MAX;
}

static void add_frame(struct stream *s, struct recipe *r)
{
	uint8_t *at = s->bytes + s->n, *array = at + HEADER;
	unsigned kind = take(r) % 6;
	struct buf frame;
	struct msg m;
	size_t n;

	if (kind == 0) {
		n = take_bytes(r, array, take(r));
		set_length(at, n);
	} else {
		take_message(r, &m);
		if (kind == 3)
			end_at_read(&m, s->n);
		buf_init(&frame, HEADER + SC_FRAME_MAX);
		expect(msg_encode(&frame, &m) == 0);
		memcpy(at, frame.data, frame.len);
		n = frame.len - HEADER;
		buf_release(&frame);
		if (kind == 1) {
			n = change(array, n, 8000, r);
			set_length(at, n);
		}
		if (kind == 2) /* a length that is not its own */
			set_length(at, take_below(r, SC_FRAME_MAX + 1000));
	}
	s->n += HEADER + n;
}

static void make(struct stream *s, struct recipe *r)
{
	s->n = 0;
	for (unsigned i = take(r) % FRAMES_MAX; i > 0; i--)
		add_frame(s, r);
	/* Something behind the last one that is not whole. */
	s->n -= take(r) % 8 == 7 && s->n > 0;
}

/* By the lengths alone. */
static void cut(struct meant *w, const struct stream *s)
{
	size_t at = 0;

	w->n = 0;
	w->bad = false;
	while (s->n - at >= HEADER && w->n < MEANT_MAX) {
		const uint8_t *p = s->bytes + at;
		size_t n = p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;

		if (n > 0 && n <= SC_FRAME_MAX && s->n - at - HEADER < n)
			break;
		w->bad = n == 0 || n > SC_FRAME_MAX || msg_decode(&w->m[w->n], p + HEADER, n) != 0;
		if (w->bad)
			break;
		w->at[w->n++] = at;
		at += HEADER + n;
	}
	w->at[w->n] = at;
}

/* ---- what is read ---- */

struct reading {
	struct frames frames;
	const struct meant *meant;
	size_t n; /* messages that came */
	unsigned fds;
};

static int take_all(struct reading *g)
{
	int fds[SC_FDS_MAX], rc;
	struct msg m;
	size_t nfds;

	while ((rc = frames_next(&g->frames, &m, fds, &nfds)) == 0) {
		expect(g->n < g->meant->n);
		expect_same(&m, &g->meant->m[g->n++]);
		expect(nfds == msg_fd_count(&m));
		for (size_t i = 0; i < nfds; i++) {
			struct stat st;

			expect(fstat(fds[i], &st) == 0 && st.st_size == g->fds++ % FDS);
			expect(fcntl(fds[i], F_GETFD) == FD_CLOEXEC);
			close(fds[i]);
		}
	}
	expect(nfds == 0);
	return rc;
}

static int read_all(struct reading *g, int fd)
{
	int rc;

	do {
		rc = frames_fill(&g->frames, fd);
		if (rc == SC_EAGAIN)
			return rc;
		if (rc == 0)
			rc = take_all(g);
	} while (rc == SC_EAGAIN);
	expect(rc == SC_EPROTO);
	return rc;
}

/* Where the piece that begins here ends, and how many descriptors go with it. */
static size_t piece_at(const struct meant *w, size_t at, size_t end, size_t each, size_t *nfds)
{
	*nfds = each < AS_ASKED ? each : 0;
	for (size_t i = 0; i < w->n && each >= AS_ASKED; i++) {
		size_t fds = msg_fd_count(&w->m[i]);

		if (w->at[i] < at)
			continue;
		if (w->at[i] >= end)
			break;
		if (w->at[i] > at && (each == AS_ASKED || *nfds + fds > SC_FDS_MAX))
			return w->at[i];
		*nfds += fds;
	}
	return end;
}

static int play(const struct stream *s, struct reading *g, int pair[2], size_t each, struct recipe *r)
{
	size_t piece = 1 + s->n / PIECES_MAX + take_below(r, 16384), at = 0, nfds;
	unsigned sent = 0;
	int rc = SC_EAGAIN;

	while (at < s->n && rc == SC_EAGAIN) {
		size_t end = piece_at(g->meant, at, s->n - at < piece ? s->n : at + piece, each, &nfds);
		int fds[SC_FDS_QUEUED_MAX];
		ssize_t did;

		for (size_t i = 0; i < nfds; i++)
			fds[i] = numbered[(sent + i) % FDS];
		did = sock_send(pair[0], s->bytes + at, end - at, fds, nfds);
		expect(did == (ssize_t)(end - at) || did == SC_EAGAIN);
		if (did > 0) {
			at = end;
			sent += (unsigned)nfds;
		}
		/* Several pieces may lie in the socket. */
		if (did == SC_EAGAIN || take(r) % 2 == 0)
			rc = read_all(g, pair[1]);
	}
	return rc == SC_EAGAIN ? read_all(g, pair[1]) : rc;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	for (int i = 0; i < FDS; i++) {
		numbered[i] = memfd_create("fuzz", MFD_CLOEXEC);
		expect(numbered[i] >= 0 && ftruncate(numbered[i], i) == 0);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct stream s;
	static struct meant w;
	int before = lowest_free_fd(), pair[2], rc;
	struct reading g = {.meant = &w};
	struct recipe r = {data, size};
	size_t each = take(&r) % (EARLY + 1), unasked = 0;

	make(&s, &r);
	cut(&w, &s);
	if (w.n == MEANT_MAX)
		return 0;
	expect(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	frames_init(&g.frames);
	rc = play(&s, &g, pair, each, &r);
	/* Where descriptors do not decide, it is known how it ends. */
	while (unasked < w.n && (each >= AS_ASKED || msg_fd_count(&w.m[unasked]) == 0))
		unasked++;
	if (each >= AS_ASKED || each == 0) {
		expect(g.n == unasked);
		expect((rc == SC_EPROTO) == (w.bad || unasked < w.n));
	}
	frames_release(&g.frames);
	close(pair[0]);
	close(pair[1]);
	expect(is_all_closed(before));
	return 0;
}

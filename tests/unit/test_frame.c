/* The promises of lib/frame.h: the same messages with the same descriptors, however the bytes arrive; and from a peer that does
 * not keep to it, an end of the connection and nothing else. SC_TEST_SEED repeats a random run. */
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/err.h"
#include "lib/frame.h"
#include "lib/pack.h"
#include "lib/sock.h"

#define HEADER 4
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31)) % below;
}

static void seed(const char *what)
{
	const char *given = getenv("SC_TEST_SEED");

	random_state = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
	print_message("%s: SC_TEST_SEED=%llu\n", what, (unsigned long long)random_state);
}

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Every test ends with as many descriptors as it began with. */
static unsigned fds_before;

static int count_before(void **state)
{
	(void)state;
	fds_before = open_fds();
	return 0;
}

static int count_after(void **state)
{
	(void)state;
	if (open_fds() == fds_before)
		return 0;
	print_error("%u descriptors were open before, %u are now\n", fds_before, open_fds());
	return -1;
}

/* ---- two ends ---- */

struct ends {
	int theirs; /* blocking */
	int ours;   /* not */
	struct frames f;
};

static void ends_open(struct ends *e)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	e->theirs = pair[0];
	e->ours = pair[1];
	assert_int_equal(fcntl(e->ours, F_SETFL, O_NONBLOCK), 0);
	frames_init(&e->f);
}

static void ends_close(struct ends *e)
{
	frames_release(&e->f);
	if (e->theirs >= 0)
		close(e->theirs);
	close(e->ours);
}

static void say(struct ends *e, const void *p, size_t n, const int *fds, size_t nfds)
{
	assert_int_equal(sock_send(e->theirs, p, n, fds, nfds), (ssize_t)n);
}

/* ---- a conversation: messages of all shapes, some with descriptors that tell where they belong ---- */

struct line {
	struct msg m;
	size_t at, len; /* of its frame in the stream */
	size_t nfds;
	ino_t inodes[SC_FDS_MAX];
	int fds[SC_FDS_MAX];
};

struct talk {
	struct buf stream;
	struct line lines[16];
	size_t count;
};

static void talk_add(struct talk *t, struct msg m)
{
	static const uint8_t sum[SC_SUM_SIZE];
	struct line *l = &t->lines[t->count++];

	if (m.type == MSG_HIT)
		m.out_sum = m.err_sum = (struct bytes){sum, sizeof sum};
	l->m = m;
	l->at = t->stream.len;
	assert_int_equal(msg_encode(&t->stream, &m), 0);
	l->len = t->stream.len - l->at;
	l->nfds = msg_fd_count(&m);
	for (size_t i = 0; i < l->nfds; i++) {
		struct stat st;

		l->fds[i] = memfd_create("test", MFD_CLOEXEC);
		assert_true(l->fds[i] >= 0);
		assert_int_equal(fstat(l->fds[i], &st), 0);
		l->inodes[i] = st.st_ino;
	}
}

static void talk_open(struct talk *t)
{
	static uint8_t key[SC_KEY_MAX];
	struct bytes bucket = bytes_of("default");

	memset(key, 'k', sizeof key);
	memset(t, 0, sizeof *t);
	buf_init(&t->stream, 1 << 20);
	talk_add(t, (struct msg){.type = MSG_HELLO, .version = 1, .build = bytes_of("test")});
	talk_add(t, (struct msg){.type = MSG_HIT, .out_len = 1, .err_len = 1});
	talk_add(t, (struct msg){.type = MSG_HIT, .out_len = 7});
	talk_add(t, (struct msg){.type = MSG_STATUS});
	talk_add(t, (struct msg){.type = MSG_LEAD, .order = 9, .slot = 3});
	talk_add(t, (struct msg){.type = MSG_LOST, .gen = {{1, 2, 3}}});
	talk_add(t, (struct msg){.type = MSG_REGISTER, .bucket = bucket, .key = {key, 1}, .pid = 77});
	talk_add(t, (struct msg){.type = MSG_REGISTER, .bucket = bucket, .key = {key, 1}});
	talk_add(t, (struct msg){.type = MSG_STARTED, .pid = 78});
	talk_add(t, (struct msg){.type = MSG_ENTRY, .bucket = bucket, .key = {key, 300}});
	talk_add(t, (struct msg){.type = MSG_END, .count = 1});
}

static void talk_close(struct talk *t)
{
	for (size_t i = 0; i < t->count; i++)
		for (size_t k = 0; k < t->lines[i].nfds; k++)
			close(t->lines[i].fds[k]);
	buf_release(&t->stream);
}

/* Takes what is whole and holds it against the lines from *next on. The last result. */
static int hear(struct ends *e, const struct talk *t, size_t *next)
{
	for (;;) {
		int fds[SC_FDS_MAX], rc;
		size_t nfds = 99;
		struct msg m;
		const struct line *l = &t->lines[*next];

		rc = frames_next(&e->f, &m, fds, &nfds);
		if (rc) {
			assert_int_equal(nfds, 0);
			return rc;
		}
		assert_true(*next < t->count);
		assert_int_equal(m.type, l->m.type);
		assert_true(m.out_len == l->m.out_len && m.order == l->m.order && m.pid == l->m.pid);
		assert_int_equal(m.key.n, l->m.key.n);
		if (m.key.n)
			assert_memory_equal(m.key.p, l->m.key.p, m.key.n);
		assert_int_equal(nfds, l->nfds);
		for (size_t i = 0; i < nfds; i++) {
			struct stat st;

			assert_int_equal(fstat(fds[i], &st), 0);
			assert_true(st.st_ino == l->inodes[i]);
			assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
			close(fds[i]);
		}
		(*next)++;
	}
}

static int hear_all(struct ends *e, const struct talk *t, size_t *next)
{
	int rc;

	do
		rc = hear(e, t, next);
	while (rc == SC_EAGAIN && (rc = frames_fill(&e->f, e->ours)) == 0);
	return rc;
}

/* Sends what of line i lies in [from, to) of the stream, its descriptors with its first byte. */
static void say_part(struct ends *e, const struct talk *t, size_t from, size_t to)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct line *l = &t->lines[i];
		size_t a = l->at > from ? l->at : from, b = l->at + l->len < to ? l->at + l->len : to;

		if (a < b)
			say(e, t->stream.data + a, b - a, l->fds, a == l->at ? l->nfds : 0);
	}
}

static void all_that_is_said_is_heard(void **state)
{
	struct talk t;
	struct ends e;
	size_t next = 0;

	(void)state;
	talk_open(&t);
	ends_open(&e);
	say_part(&e, &t, 0, t.stream.len);
	assert_int_equal(hear_all(&e, &t, &next), SC_EAGAIN);
	assert_int_equal(next, t.count);
	ends_close(&e);
	talk_close(&t);
}

static void split_at_any_byte_it_is_the_same(void **state)
{
	struct talk t;

	(void)state;
	talk_open(&t);
	for (size_t cut = 1; cut < t.stream.len; cut++) {
		struct ends e;
		size_t next = 0;

		ends_open(&e);
		say_part(&e, &t, 0, cut);
		assert_int_equal(hear_all(&e, &t, &next), SC_EAGAIN);
		say_part(&e, &t, cut, t.stream.len);
		assert_int_equal(hear_all(&e, &t, &next), SC_EAGAIN);
		assert_int_equal(next, t.count);
		ends_close(&e);
	}
	talk_close(&t);
}

static void byte_by_byte_it_is_the_same(void **state)
{
	struct talk t;
	struct ends e;
	size_t next = 0;

	(void)state;
	talk_open(&t);
	ends_open(&e);
	for (size_t i = 0; i < t.stream.len; i++) {
		say_part(&e, &t, i, i + 1);
		assert_int_equal(hear_all(&e, &t, &next), SC_EAGAIN);
	}
	assert_int_equal(next, t.count);
	ends_close(&e);
	talk_close(&t);
}

static void in_random_pieces_it_is_the_same(void **state)
{
	struct talk t;

	(void)state;
	seed("pieces");
	talk_open(&t);
	for (int round = 0; round < 300; round++) {
		struct ends e;
		size_t next = 0, at = 0;

		ends_open(&e);
		while (at < t.stream.len) {
			size_t n = 1 + draw(draw(2) ? 20 : 400);

			if (n > t.stream.len - at)
				n = t.stream.len - at;
			say_part(&e, &t, at, at + n);
			at += n;
			if (draw(2))
				assert_int_equal(hear_all(&e, &t, &next), SC_EAGAIN);
		}
		assert_int_equal(hear_all(&e, &t, &next), SC_EAGAIN);
		assert_int_equal(next, t.count);
		ends_close(&e);
	}
	talk_close(&t);
}

/* HELLO and the answer leave together; the answer's descriptors come with HELLO's first byte. */
static void descriptors_may_come_with_a_message_in_front(void **state)
{
	struct talk t = {0};
	struct ends e;
	size_t next = 0;

	(void)state;
	buf_init(&t.stream, 1 << 16);
	talk_add(&t, (struct msg){.type = MSG_HELLO, .version = 1});
	talk_add(&t, (struct msg){.type = MSG_HIT, .err_len = 5});
	talk_add(&t, (struct msg){.type = MSG_END});
	ends_open(&e);
	say(&e, t.stream.data, t.stream.len, t.lines[1].fds, t.lines[1].nfds);
	assert_int_equal(hear_all(&e, &t, &next), SC_EAGAIN);
	assert_int_equal(next, t.count);
	ends_close(&e);
	talk_close(&t);
}

/* A read that ends exactly between the two, because its room did, is no reason to take the descriptors for strays. */
static void a_read_that_was_too_short_is_not_held_against_the_peer(void **state)
{
	struct talk t = {0};
	struct msg filler = {.type = MSG_REFUSE};
	static uint8_t text[4096];
	struct ends e;
	size_t next = 0;

	(void)state;
	/* Frames of 8192 bytes in all, then one with a descriptor, all in one message of the socket. */
	buf_init(&t.stream, 1 << 16);
	filler.text = (struct bytes){text, 4080};
	talk_add(&t, filler);
	filler.text.n = 8192 - t.stream.len - (t.stream.len - 4080);
	talk_add(&t, filler);
	assert_int_equal(t.stream.len, 8192);
	talk_add(&t, (struct msg){.type = MSG_STARTED});
	ends_open(&e);
	say(&e, t.stream.data, t.stream.len, t.lines[2].fds, 1);
	assert_int_equal(hear_all(&e, &t, &next), SC_EAGAIN);
	assert_int_equal(next, t.count);
	ends_close(&e);
	talk_close(&t);
}

/* P02 */
static void cut_at_any_byte_nothing_is_left(void **state)
{
	struct talk t;

	(void)state;
	talk_open(&t);
	for (size_t cut = 0; cut <= t.stream.len; cut++) {
		struct ends e;
		size_t next = 0, whole = 0;
		unsigned before = open_fds();

		ends_open(&e);
		say_part(&e, &t, 0, cut);
		close(e.theirs);
		e.theirs = -1;
		assert_int_equal(hear_all(&e, &t, &next), SC_EEOF);
		while (whole < t.count && t.lines[whole].at + t.lines[whole].len <= cut)
			whole++;
		assert_int_equal(next, whole);
		ends_close(&e);
		assert_int_equal(open_fds(), before);
	}
	talk_close(&t);
}

/* ---- peers that break the rules ---- */

/* What comes of it, and that nothing of it is left. */
static int tried(const void *p, size_t n, size_t nfds)
{
	int fds[SC_FDS_QUEUED_MAX], got[SC_FDS_MAX], rc;
	unsigned before = open_fds();
	size_t ngot;
	struct ends e;
	struct msg m;

	ends_open(&e);
	for (size_t i = 0; i < nfds; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	say(&e, p, n, fds, nfds);
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
	rc = frames_fill(&e.f, e.ours);
	while (rc == 0) {
		rc = frames_next(&e.f, &m, got, &ngot);
		for (size_t i = 0; i < ngot; i++)
			close(got[i]);
	}
	ends_close(&e);
	assert_int_equal(open_fds(), before);
	return rc;
}

static int tried_msg(const struct msg *m, size_t nfds)
{
	struct buf b;
	int rc;

	buf_init(&b, 1 << 17);
	assert_int_equal(msg_encode(&b, m), 0);
	rc = tried(b.data, b.len, nfds);
	buf_release(&b);
	return rc;
}

/* P16 */
static void unasked_descriptors_are_closed(void **state)
{
	static const uint8_t half[] = {9, 0, 0, 0, 0x91};

	(void)state;
	for (size_t n = 1; n <= SC_FDS_QUEUED_MAX; n++)
		assert_int_equal(tried_msg(&(struct msg){.type = MSG_HELLO}, n), SC_EPROTO);
	/* Behind half a message they wait for its end, and go with the connection. */
	assert_int_equal(tried(half, sizeof half, 3), SC_EAGAIN);
	/* In front of another message that does not want them either. */
	{
		struct buf b;

		buf_init(&b, 1 << 16);
		assert_int_equal(msg_encode(&b, &(struct msg){.type = MSG_HELLO}), 0);
		assert_int_equal(msg_encode(&b, &(struct msg){.type = MSG_STATUS}), 0);
		assert_int_equal(tried(b.data, b.len, 2), SC_EPROTO);
		buf_release(&b);
	}
}

static void a_message_with_strays_is_not_acted_on(void **state)
{
	struct ends e;
	struct buf b;
	struct msg m;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), fds[SC_FDS_MAX];
	size_t nfds;

	(void)state;
	ends_open(&e);
	buf_init(&b, 1024);
	assert_int_equal(msg_encode(&b, &(struct msg){.type = MSG_STATUS}), 0);
	say(&e, b.data, b.len, &fd, 1);
	assert_int_equal(frames_fill(&e.f, e.ours), 0);
	assert_int_equal(frames_next(&e.f, &m, fds, &nfds), SC_EPROTO);
	/* And it stays so. */
	assert_int_equal(frames_next(&e.f, &m, fds, &nfds), SC_EPROTO);
	ends_close(&e);
	buf_release(&b);
	close(fd);
}

static void a_hundred_times_a_hundred_descriptors_leave_nothing(void **state)
{
	int fds[100];
	union {
		char bytes[CMSG_SPACE(sizeof fds)];
		struct cmsghdr align;
	} control;

	(void)state;
	for (size_t i = 0; i < COUNT(fds); i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < 100; i++) {
		struct iovec iov = {.iov_base = (char[]){0}, .iov_len = 1};
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
		unsigned before = open_fds();
		struct cmsghdr *c;
		struct ends e;

		memset(&control, 0, sizeof control);
		ends_open(&e);
		c = &control.align;
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof fds);
		memcpy(CMSG_DATA(c), fds, sizeof fds);
		assert_int_equal(sendmsg(e.theirs, &msg, 0), 1);
		assert_int_equal(frames_fill(&e.f, e.ours), SC_EPROTO);
		assert_int_equal(open_fds(), before + 2);
		ends_close(&e);
	}
	for (size_t i = 0; i < COUNT(fds); i++)
		close(fds[i]);
}

/* Each send brings few; together they are more than a connection may have waiting. */
static void descriptors_cannot_pile_up(void **state)
{
	static const uint8_t start[] = {200, 0, 0, 0}, more[] = {0};
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), rc = 0, sent = 0;
	int fds[] = {fd, fd, fd};
	struct ends e;

	(void)state;
	ends_open(&e);
	say(&e, start, sizeof start, NULL, 0);
	assert_int_equal(frames_fill(&e.f, e.ours), 0);
	while (rc == 0 && sent < 100) {
		say(&e, more, sizeof more, fds, COUNT(fds));
		sent += (int)COUNT(fds);
		rc = frames_fill(&e.f, e.ours);
	}
	assert_int_equal(rc, SC_EPROTO);
	assert_true(sent <= SC_FDS_QUEUED_MAX + (int)COUNT(fds));
	ends_close(&e);
	close(fd);
}

static void fewer_or_more_descriptors_than_said_are_refused(void **state)
{
	struct bytes a = bytes_of("a"), sum = bytes_of("sixteen bytes...");
	const struct {
		struct msg m;
		size_t right;
	} cases[] = {
		{{.type = MSG_HIT, .out_sum = sum, .err_sum = sum}, 1},
		{{.type = MSG_HIT, .err_len = 1, .out_sum = sum, .err_sum = sum}, 2},
		{{.type = MSG_FOLLOW}, 3},
		{{.type = MSG_LEAD}, 7},
		{{.type = MSG_REGISTER, .bucket = a, .key = a}, 3},
		{{.type = MSG_REGISTER, .bucket = a, .key = a, .pid = 2}, 4},
		{{.type = MSG_STARTED}, 1},
		{{.type = MSG_STATUS}, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		for (size_t n = 0; n <= SC_FDS_QUEUED_MAX; n++)
			assert_int_equal(tried_msg(&cases[i].m, n), n == cases[i].right ? SC_EAGAIN : SC_EPROTO);
	/* Also with another message behind, which does not make up for it. */
	for (size_t i = 0; i < COUNT(cases); i++)
		for (size_t n = 0; n <= cases[i].right; n++) {
			struct buf b;

			buf_init(&b, 1 << 17);
			assert_int_equal(msg_encode(&b, &cases[i].m), 0);
			assert_int_equal(msg_encode(&b, &(struct msg){.type = MSG_STATUS}), 0);
			assert_int_equal(tried(b.data, b.len, n), n == cases[i].right ? SC_EAGAIN : SC_EPROTO);
			buf_release(&b);
		}
}

/* P03 */
static void bad_lengths_are_refused_before_memory_is_taken(void **state)
{
	static const uint32_t lengths[] = {0, SC_FRAME_MAX + 1, 1 << 24, INT32_MAX, 0x80000000u, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < COUNT(lengths); i++) {
		uint32_t l = lengths[i];
		uint8_t head[] = {(uint8_t)l, (uint8_t)(l >> 8), (uint8_t)(l >> 16), (uint8_t)(l >> 24)};
		struct ends e;
		struct msg m;
		int fds[SC_FDS_MAX];
		size_t nfds;

		ends_open(&e);
		say(&e, head, sizeof head, NULL, 0);
		assert_int_equal(frames_fill(&e.f, e.ours), 0);
		assert_int_equal(frames_next(&e.f, &m, fds, &nfds), SC_EPROTO);
		assert_true(e.f.in.cap <= 16 * 1024);
		ends_close(&e);
	}
}

static void a_long_frame_takes_memory_only_as_it_comes(void **state)
{
	struct value values[] = {
		{.kind = VALUE_UINT, .u = MSG_STATUS},
		{.kind = VALUE_BYTES},
	};
	static uint8_t body[SC_FRAME_MAX];
	uint8_t head[HEADER] = {0, 0, 1, 0};
	struct talk t = {.count = 1, .lines = {{.m = {.type = MSG_STATUS}}}};
	struct buf b;
	struct ends e;
	size_t next = 0;

	(void)state;
	/* A field of a newer peer that makes the frame exactly as long as it may be. */
	values[1].bytes = (struct bytes){body, SC_FRAME_MAX - 2 - 3};
	buf_init(&b, 1 << 17);
	assert_int_equal(buf_append(&b, head, HEADER), 0);
	assert_int_equal(pack_encode(&b, values, COUNT(values)), 0);
	assert_int_equal(b.len, HEADER + SC_FRAME_MAX);
	ends_open(&e);
	for (size_t at = 0; at < b.len; at += 1000) {
		say(&e, b.data + at, b.len - at < 1000 ? b.len - at : 1000, NULL, 0);
		assert_int_equal(hear_all(&e, &t, &next), SC_EAGAIN);
		assert_true(e.f.in.cap <= 2 * (at + 1000 + 8192));
		assert_true(e.f.in.cap <= HEADER + SC_FRAME_MAX + 8192);
	}
	assert_int_equal(next, 1);
	/* The connection goes on. */
	next = 0;
	say(&e, (uint8_t[]){2, 0, 0, 0, 0x91, MSG_STATUS}, 6, NULL, 0);
	assert_int_equal(hear_all(&e, &t, &next), SC_EAGAIN);
	assert_int_equal(next, 1);
	ends_close(&e);
	buf_release(&b);
}

/* ---- P01 ---- */

/* Valid frames to begin from, so that chance gets behind the first checks. */
static size_t seeds_of(uint8_t seeds[][600], size_t lens[])
{
	struct talk t;
	size_t n;

	talk_open(&t);
	for (n = 0; n < t.count; n++) {
		lens[n] = t.lines[n].len - HEADER;
		assert_true(lens[n] <= 600);
		memcpy(seeds[n], t.stream.data + t.lines[n].at + HEADER, lens[n]);
	}
	talk_close(&t);
	return n;
}

static size_t random_frame(uint8_t out[600], uint8_t seeds[][600], const size_t lens[], size_t nseeds)
{
	size_t n, i;

	if (draw(2)) {
		n = 1 + draw(64);
		for (i = 0; i < n; i++)
			out[i] = (uint8_t)draw(256);
		/* Most of them say that they are an array, or nothing inside is ever looked at. */
		if (draw(4))
			out[0] = (uint8_t)(0x90 | draw(16));
		return n;
	}
	i = draw(nseeds);
	n = lens[i];
	memcpy(out, seeds[i], n);
	for (uint64_t k = 1 + draw(3); k > 0; k--)
		out[draw(n)] = (uint8_t)draw(256);
	return draw(8) ? n : draw(n + 1);
}

static void a_million_random_frames_do_nothing(void **state)
{
	static uint8_t seeds[16][600], frame[600];
	size_t lens[16], nseeds, good = 0, before;

	(void)state;
	seed("frames");
	nseeds = seeds_of(seeds, lens);
	/* The allocator keeps one of each size at hand, and counts them as ours. */
	for (size_t n = 1; n <= sizeof frame; n++) {
		volatile uint8_t *one = malloc(n);

		one[0] = 0; /* so that the compiler does not do without it */
		free((void *)(uintptr_t)one);
	}
	before = mallinfo2().uordblks;
	for (int i = 0; i < 1000 * 1000; i++) {
		size_t n = random_frame(frame, seeds, lens, nseeds);
		/* On the heap and exact under a sanitizer, so that it sees one byte too far. */
		uint8_t *exact = malloc(n ? n : 1);
		struct msg m;
		int rc;

		memcpy(exact, frame, n);
		rc = msg_decode(&m, exact, n);
		assert_true(rc == 0 || rc == SC_EPROTO);
		if (rc == 0) {
			good++;
			assert_true(m.key.n <= SC_KEY_MAX && m.bucket.n <= SC_BUCKET_MAX && m.slot < SC_SLOTS);
		}
		free(exact);
	}
	assert_true(mallinfo2().uordblks <= before + 4096);
	print_message("%zu of them were messages\n", good);
	assert_true(good > 1000); /* else this test looks at nothing */
}

static void random_streams_end_the_connection_and_nothing_else(void **state)
{
	static uint8_t seeds[16][600], frame[HEADER + 600];
	size_t lens[16], nseeds;

	(void)state;
	seed("streams");
	nseeds = seeds_of(seeds, lens);
	for (int i = 0; i < 5000; i++) {
		size_t n = random_frame(frame + HEADER, seeds, lens, nseeds), nfds = draw(3) ? 0 : draw(SC_FDS_QUEUED_MAX + 1);
		int rc;

		frame[0] = (uint8_t)n;
		frame[1] = (uint8_t)(n >> 8);
		frame[2] = frame[3] = 0;
		rc = tried(frame, HEADER + n, nfds);
		assert_true(rc == SC_EPROTO || rc == SC_EAGAIN);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, count_before, count_after)
	const struct CMUnitTest tests[] = {
		TEST(all_that_is_said_is_heard),
		TEST(split_at_any_byte_it_is_the_same),
		TEST(byte_by_byte_it_is_the_same),
		TEST(in_random_pieces_it_is_the_same),
		TEST(descriptors_may_come_with_a_message_in_front),
		TEST(a_read_that_was_too_short_is_not_held_against_the_peer),
		TEST(cut_at_any_byte_nothing_is_left),
		TEST(unasked_descriptors_are_closed),
		TEST(a_message_with_strays_is_not_acted_on),
		TEST(a_hundred_times_a_hundred_descriptors_leave_nothing),
		TEST(descriptors_cannot_pile_up),
		TEST(fewer_or_more_descriptors_than_said_are_refused),
		TEST(bad_lengths_are_refused_before_memory_is_taken),
		TEST(a_long_frame_takes_memory_only_as_it_comes),
		TEST(a_million_random_frames_do_nothing),
		TEST(random_streams_end_the_connection_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

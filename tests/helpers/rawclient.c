/* rawclient SOCKET MODE [ARG…]: a peer that does not keep to the protocol. A frame is a u32 little-endian length and that many
 * bytes of msgpack; HELLO is [1, 1, build, 0].
 *
 *   hello              says HELLO and waits for the answer: "answered", or "closed"
 *   bytes              sends stdin as it is, then waits: "closed" if the daemon ends the connection within 20 s, else "open"
 *   after-hello        the same, behind a HELLO
 *   nest N             HELLO, then a frame of N times 0x91
 *   header N           HELLO, then the length N and 1000 bytes
 *   amplify            for each of array32, map32, str32, bin32, ext32: a connection that says "four billion of them" in five
 *                      bytes before HELLO, and one that says it behind; "N closed, N open"
 *   cut                HELLO, LIST and a few more, one connection for every byte after which they can be cut off
 *   random N SEED      N frames of random bytes; a new connection whenever one is closed; "N frames, N connections"
 *   orders N SEED      N well-formed messages of known types with random fields in random order, in pieces, half of the
 *                      connections beginning without HELLO; the same report
 *   idle N             N connections that say nothing. "open N" at once, "closed N" when the daemon has ended all (within 60 s)
 *   deaf HEX           HELLO, then this frame again and again, never reading: "closed after N bytes", or "open after …"
 *   plant              leaves a socket file nobody listens at
 *   sit                listens there and takes every connection, but never says anything
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/proto.h"

#define PATIENCE_MS 20000

static const char *path;
static const uint8_t hello[] = {6, 0, 0, 0, 0x94, 1, SC_PROTO_VERSION, 0xc4, 0, 0};

static void die(const char *what)
{
	fprintf(stderr, "rawclient: %s: %s\n", what, strerror(errno));
	exit(99);
}

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return below ? z % below : z;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int dial(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(a.sun_path))
		die("socket");
	memcpy(a.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die(path);
	return fd;
}

/* False: the peer is gone. What it says meanwhile is read and forgotten, so that neither side waits for the other. */
static bool say(int fd, const uint8_t *bytes, size_t n)
{
	int64_t until = now_ms() + PATIENCE_MS;

	while (n > 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
		uint8_t sink[65536];
		ssize_t did;

		if (now_ms() > until)
			return false;
		poll(&p, 1, 100);
		if (p.revents & (POLLIN | POLLHUP)) {
			did = recv(fd, sink, sizeof(sink), MSG_DONTWAIT);
			if (did == 0 || (did < 0 && errno != EAGAIN && errno != EINTR))
				return false;
		}
		did = send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (did < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (did > 0) {
			bytes += did;
			n -= (size_t)did;
		}
	}
	return true;
}

/* True if the daemon ends the connection in time. */
static bool is_closed(int fd, int patience_ms)
{
	int64_t until = now_ms() + patience_ms;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = until - now_ms();
		uint8_t sink[65536];
		ssize_t n;

		if (left < 0 || (poll(&p, 1, (int)left) == 0))
			return false;
		n = recv(fd, sink, sizeof(sink), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return true;
	}
}

static void report(int fd)
{
	puts(is_closed(fd, PATIENCE_MS) ? "closed" : "open");
}

static void put_length(uint8_t *to, uint32_t n)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(n >> (8 * i));
}

static void do_hello(void)
{
	int fd = dial();
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint8_t head[5];

	if (!say(fd, hello, sizeof(hello)) || poll(&p, 1, PATIENCE_MS) <= 0 || recv(fd, head, 5, MSG_WAITALL) != 5)
		puts("closed");
	else
		puts("answered");
}

static void do_bytes(bool greet)
{
	static uint8_t bytes[8 << 20];
	size_t n = fread(bytes, 1, sizeof(bytes), stdin);
	int fd = dial();

	if (greet)
		say(fd, hello, sizeof(hello));
	say(fd, bytes, n);
	report(fd);
}

static void do_nest(uint32_t n)
{
	uint8_t *frame = malloc(n + 4);
	int fd = dial();

	if (!frame)
		die("memory");
	put_length(frame, n);
	memset(frame + 4, 0x91, n);
	say(fd, hello, sizeof(hello));
	say(fd, frame, n + 4);
	report(fd);
	free(frame);
}

static void do_header(uint32_t n)
{
	uint8_t frame[1004] = {0};
	int fd = dial();

	put_length(frame, n);
	say(fd, hello, sizeof(hello));
	say(fd, frame, sizeof(frame));
	report(fd);
}

static void do_amplify(void)
{
	static const uint8_t heads[] = {0xdd, 0xdf, 0xdb, 0xc6, 0xc9};
	int closed = 0, open = 0;

	for (size_t i = 0; i < 4 * sizeof(heads); i++) {
		uint8_t frame[11] = {5, 0, 0, 0}, *body = frame + 4;
		size_t n = 9;
		int fd = dial();

		if (i & 2) { /* as the second field of a message */
			frame[0] = 7;
			*body++ = 0x92;
			*body++ = 14;
			n = 11;
		}
		body[0] = heads[i / 4];
		memset(body + 1, 0xff, 4);
		if (i & 1)
			say(fd, hello, sizeof(hello));
		say(fd, frame, n);
		if (is_closed(fd, PATIENCE_MS))
			closed++;
		else
			open++;
		close(fd);
	}
	printf("%d closed, %d open\n", closed, open);
}

static void do_cut(void)
{
	/* HELLO · LIST with one field too few or as it should be, STATUS, FLIGHTS, and the beginning of a long frame */
	static const uint8_t more[] = {5, 0, 0, 0, 0x93, 14, 0xc4, 0, 0xc0, 2, 0, 0, 0, 0x91, 16,
				       2, 0, 0, 0, 0x91, 15, 0,	   1, 0,    0, 1, 2, 3, 4};
	uint8_t all[sizeof(hello) + sizeof(more)];
	int connections = 0;

	memcpy(all, hello, sizeof(hello));
	memcpy(all + sizeof(hello), more, sizeof(more));
	for (size_t n = 0; n <= sizeof(all); n++) {
		int fd = dial();

		say(fd, all, n);
		close(fd);
		connections++;
	}
	printf("%d connections\n", connections);
}

static void do_random(long frames)
{
	static uint8_t frame[4 + 70000];
	long connections = 0;
	int fd = -1;

	for (long i = 0; i < frames; i++) {
		uint32_t n = (uint32_t)(draw(50) == 0 ? draw(70000) : draw(64)), told = n;

		if (fd < 0) {
			fd = dial();
			connections++;
			if (draw(4) && !say(fd, hello, sizeof(hello))) {
				close(fd);
				fd = -1;
				continue;
			}
		}
		if (draw(20) == 0)
			told = (uint32_t)draw(0);
		put_length(frame, told);
		for (uint32_t k = 0; k < n; k++)
			frame[4 + k] = (uint8_t)draw(256);
		if (n > 1 && draw(2)) { /* something that begins like a message */
			frame[4] = (uint8_t)(0x90 + draw(16));
			frame[5] = (uint8_t)draw(100);
			frame[5] += frame[5] == 1 || frame[5] == 17; /* a newer HELLO and STOP would be obeyed */
		}
		/* A refused frame ends the connection, but we may have sent several before we hear of it. */
		if (!say(fd, frame, n + 4) || draw(8) == 0) {
			close(fd);
			fd = -1;
		}
	}
	if (fd >= 0)
		close(fd);
	printf("%ld frames, %ld connections\n", frames, connections);
}

static size_t random_value(uint8_t *to)
{
	size_t n = 0, len;
	uint64_t u;

	switch (draw(10)) {
	case 0:
		to[n++] = (uint8_t)draw(128);
		return n;
	case 1:
		to[n++] = 0xcc, to[n++] = (uint8_t)draw(256);
		return n;
	case 2:
		to[n++] = 0xcf;
		u = draw(4) ? draw(0) : UINT64_MAX;
		for (int i = 0; i < 8; i++)
			to[n++] = (uint8_t)(u >> (8 * (7 - i)));
		return n;
	case 3:
		to[n++] = 0xc0;
		return n;
	case 4:
		to[n++] = (uint8_t)(0xe0 + draw(32));
		return n;
	case 5:
		to[n++] = 0xcb; /* NaN */
		to[n++] = 0x7f, to[n++] = 0xf8;
		memset(to + n, 0, 6);
		return n + 6;
	case 6:
		to[n++] = 0xd3; /* -2^63 */
		to[n++] = 0x80;
		memset(to + n, 0, 7);
		return n + 7;
	case 7:
		len = 16;
		break;
	case 8:
		len = draw(2) ? 0 : 7;
		break;
	default:
		len = draw(100);
		break;
	}
	to[n++] = 0xc4;
	to[n++] = (uint8_t)len;
	for (size_t i = 0; i < len; i++)
		to[n++] = (uint8_t)(len == 7 ? 'd' : draw(256));
	if (len == 7)
		memcpy(to + n - 7, "default", 7);
	return n;
}

static void do_orders(long messages)
{
	/* All but what would be obeyed: STOP, and the HELLO of a newer version. */
	/* Neither STOP nor a HELLO of another version, which end the daemon rightly. */
	static const uint8_t types[] = {10, 11, 12, 13, 14, 15, 16, 16, 22, 30, 31, 32, 33, 34, 35, 36, 37, 38,
					39, 40, 41, 42, 43, 60, 61, 62, 63, 70, 71, 72, 73, 90, 99, 0,	127};
	long connections = 0;
	int fd = -1;

	for (long i = 0; i < messages; i++) {
		uint8_t frame[4096];
		size_t fields = draw(14), n = 4, at = 0;

		if (fd < 0) {
			fd = dial();
			connections++;
			if (draw(2))
				say(fd, hello, sizeof(hello));
		}
		frame[n++] = (uint8_t)(0x91 + fields);
		frame[n++] = types[draw(sizeof(types))];
		if (frame[5] == 1 && fields > 0) {
			frame[n++] = 1;
			fields--;
		}
		for (size_t k = 0; k < fields; k++)
			n += random_value(frame + n);
		put_length(frame, (uint32_t)(n - 4));
		while (at < n) {
			size_t piece = draw(3) ? n - at : 1 + draw(n - at);

			if (!say(fd, frame + at, piece))
				break;
			at += piece;
		}
		if (at < n || draw(12) == 0) {
			close(fd);
			fd = -1;
		}
	}
	if (fd >= 0)
		close(fd);
	printf("%ld messages, %ld connections\n", messages, connections);
}

static void do_idle(long n)
{
	struct rlimit limit;
	int *fds = calloc((size_t)n, sizeof(*fds));
	int64_t until;
	long closed = 0;

	if (!fds)
		die("memory");
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (long i = 0; i < n; i++)
		fds[i] = dial();
	printf("open %ld\n", n);
	fflush(stdout);
	until = now_ms() + 60000;
	for (long i = 0; i < n; i++) {
		int64_t left = until - now_ms();

		closed += is_closed(fds[i], left > 0 ? (int)left : 0);
	}
	printf("closed %ld\n", closed);
	free(fds);
}

static void do_deaf(const char *hex)
{
	uint8_t frame[4096];
	size_t n = 4, at = 0;
	int64_t until = now_ms() + PATIENCE_MS;
	uint64_t sent = 0;
	int fd = dial();

	for (; hex[0] && hex[1] && n < sizeof(frame); hex += 2) {
		char two[3] = {hex[0], hex[1], 0};

		frame[n++] = (uint8_t)strtoul(two, NULL, 16);
	}
	put_length(frame, (uint32_t)(n - 4));
	if (send(fd, hello, sizeof(hello), MSG_NOSIGNAL) != (ssize_t)sizeof(hello))
		die("send");
	while (now_ms() < until && sent < (64u << 20)) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		ssize_t did;

		poll(&p, 1, 100);
		did = send(fd, frame + at, n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (did < 0 && errno != EAGAIN && errno != EINTR) {
			printf("closed after %llu bytes\n", (unsigned long long)sent);
			return;
		}
		if (did > 0) {
			at = (at + (size_t)did) % n;
			sent += (uint64_t)did;
		}
	}
	printf("open after %llu bytes\n", (unsigned long long)sent);
}

static int do_plant(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(a.sun_path))
		die("socket");
	memcpy(a.sun_path, path, strlen(path) + 1);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, 100) != 0)
		die(path);
	return fd;
}

static void do_sit(void)
{
	int fd = do_plant();

	puts("sitting");
	fflush(stdout);
	while (accept(fd, NULL, NULL) >= 0)
		;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[2] : "";
	long n = argc > 3 ? strtol(argv[3], NULL, 10) : 0;

	if (argc < 3) {
		fprintf(stderr, "usage: rawclient SOCKET MODE [ARG…]\n");
		return 99;
	}
	path = argv[1];
	random_state = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
	signal(SIGPIPE, SIG_IGN);
	if (strcmp(mode, "hello") == 0)
		do_hello();
	else if (strcmp(mode, "bytes") == 0 || strcmp(mode, "after-hello") == 0)
		do_bytes(mode[0] == 'a');
	else if (strcmp(mode, "nest") == 0)
		do_nest((uint32_t)n);
	else if (strcmp(mode, "header") == 0)
		do_header((uint32_t)n);
	else if (strcmp(mode, "amplify") == 0)
		do_amplify();
	else if (strcmp(mode, "cut") == 0)
		do_cut();
	else if (strcmp(mode, "random") == 0)
		do_random(n);
	else if (strcmp(mode, "orders") == 0)
		do_orders(n);
	else if (strcmp(mode, "idle") == 0)
		do_idle(n);
	else if (strcmp(mode, "deaf") == 0)
		do_deaf(argc > 3 ? argv[3] : "9110");
	else if (strcmp(mode, "plant") == 0)
		close(do_plant());
	else if (strcmp(mode, "sit") == 0)
		do_sit();
	else
		return 99;
	return 0;
}

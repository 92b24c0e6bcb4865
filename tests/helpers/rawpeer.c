/* rawpeer DIR WORD…: a peer that speaks well-formed messages, but not those it should. The words are done one after the other:
 *
 *   dial                  a connection through DIR/sock, past HELLO (its answer is heard and forgotten)
 *   lead KEY              dial, and ASK with a command; from then on on the run's own connection, as its writer
 *   extra                 from now on every message, HELLO too, has fields behind those that are known, of all kinds
 *   child                 a process in a group of its own, which waits to be killed: "child PID"
 *   end-child             kills it
 *   status                these send the message of that name. GEN is 32 hex digits or "own", the run's of `lead`. STARTED says
 *   ask KEY               PID but brings a descriptor of the child, REGISTER brings three of a file that is none of the run's
 *   done GEN
 *   may-stop GEN
 *   started GEN PID
 *   register KEY GEN
 *   grown GEN SIZE        so much stdout by now
 *   hear                  the next message: "NAME flags=N reason=N"; "closed"; "silent" after 20 s
 *   loaded KIND           LOADED, of the last HIT that was heard: `good`, or a file of memory that is `open` (no seals), `writable` (one is
 *                         missing), `short`, `long`, `false` (other bytes), or is a `file` or a `pipe`; or the message is of `another` run, has
 *                         other `lengths`, or `three` descriptors
 *   try                   what can be done to the descriptors of the last HIT: a line for each, "seals write grow cut punch map unseal exec"
 *                         and what came of it, an errno each
 *   strays N M            N connections with M descriptors nobody asked for: with HELLO, behind it, or with half a frame; waits for
 *                         each to be closed: "N closed"
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
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/build.h"
#include "lib/frame.h"
#include "lib/human.h"
#include "lib/sock.h"

#define PATIENCE_MS 20000
#define STRAYS_MAX 250

static int dir_fd, fd = -1, child_fd = -1;
static pid_t child;
static struct frames in;
static struct gen own;
static bool extra;
static struct msg hit;
static int hit_fds[2] = {-1, -1};

static void die(const char *what)
{
	fprintf(stderr, "rawpeer: %s: %s\n", what, strerror(errno));
	exit(99);
}

/* nil, a negative number, a float, an array with a map in it, an extension, a string. */
static void append_unknown(struct buf *b)
{
	static const uint8_t unknown[] = {0xc0, 0xff, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0,    0,   0,	 0x92, 1,
					  0x81, 1,    0xc2, 0xc7, 2,	5, 1, 2, 0xa3, 'n', 'e', 'w'};
	static const uint8_t room[2];
	uint8_t count = b->data[4] & 0x0f;
	size_t n;

	if ((b->data[4] & 0xf0) != 0x90 || buf_append(b, unknown, sizeof unknown) || buf_append(b, room, sizeof room))
		die("extra");
	memmove(b->data + 7, b->data + 5, b->len - 7);
	b->data[4] = 0xdc;
	b->data[5] = 0;
	b->data[6] = (uint8_t)(count + 6);
	n = b->len - 4;
	for (int i = 0; i < 4; i++)
		b->data[i] = (uint8_t)(n >> 8 * i);
}

static void say(const struct msg *m, const int *fds, size_t nfds)
{
	struct buf b;

	buf_init(&b, SC_FRAME_MAX);
	if (msg_encode(&b, m))
		die("encode");
	if (extra)
		append_unknown(&b);
	/* Whoever hears next learns that the peer is gone. */
	(void)sock_send(fd, b.data, b.len, fds, nfds);
	buf_release(&b);
}

/* False: the connection has ended. */
static bool next(struct msg *m, int fds[SC_FDS_MAX])
{
	size_t nfds;
	int rc;

	while ((rc = frames_next(&in, m, fds, &nfds)) != 0) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (rc > 0 || poll(&p, 1, PATIENCE_MS) == 0) {
			puts("silent");
			exit(1);
		}
		if (frames_fill(&in, fd))
			return false;
	}
	return true;
}

static void dial(void)
{
	struct msg hello = {.type = MSG_HELLO, .version = sc_proto_version, .build = bytes_of("raw")}, m;
	int fds[SC_FDS_MAX];

	if (sock_connect(dir_fd, "sock", &fd))
		die("connect");
	frames_init(&in);
	say(&hello, NULL, 0);
	if (!next(&m, fds) || m.type != MSG_HELLO)
		die("HELLO");
}

static void ask(const char *key)
{
	struct msg q = {.type = MSG_ASK,
			.bucket = bytes_of("default"),
			.key = bytes_of(key),
			.flags = ASK_COMMAND,
			.ttl = SC_TTL_UNSET,
			.accept = SC_FOREVER};

	say(&q, NULL, 0);
}

static void lead(const char *key)
{
	int fds[SC_FDS_MAX];
	struct msg m;

	dial();
	ask(key);
	if (!next(&m, fds) || m.type != MSG_LEAD)
		die("LEAD");
	own = m.gen;
	fd = fds[LEAD_SOCKET]; /* the asker's own stays open: it is a reader */
	frames_init(&in);
	puts("LEAD");
}

static void hear(void)
{
	int fds[SC_FDS_MAX];
	struct msg m;

	if (!next(&m, fds)) {
		puts("closed");
		return;
	}
	if (m.type == MSG_HIT) {
		hit = m;
		hit_fds[0] = fds[0];
		hit_fds[1] = m.err_len ? fds[1] : -1;
	}
	printf("%s flags=%llu reason=%llu\n", msg_name(m.type), (unsigned long long)m.flags, (unsigned long long)m.reason);
}

/* ---- memory ---- */

static int make_memory(int from, uint64_t size, int seals)
{
	int to = memfd_create("loaded", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	off_t at = 0;

	if (to < 0 || ftruncate(to, (off_t)size) < 0)
		die("memfd");
	while (from >= 0 && (uint64_t)at < size) {
		char bytes[4096];
		ssize_t n = pread(from, bytes, sizeof bytes < size - (uint64_t)at ? sizeof bytes : size - (uint64_t)at, at);

		if (n <= 0 || pwrite(to, bytes, (size_t)n, at) != n)
			break;
		at += n;
	}
	if (fcntl(to, F_ADD_SEALS, seals) < 0)
		die("seals");
	return to;
}

static int make_stream(int from, uint64_t size, const char *kind)
{
	const int all = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int pipes[2];

	if (strcmp(kind, "file") == 0)
		return from;
	if (strcmp(kind, "pipe") == 0)
		return pipe2(pipes, O_CLOEXEC) < 0 ? -1 : pipes[0];
	if (strcmp(kind, "open") == 0)
		return make_memory(from, size, 0);
	if (strcmp(kind, "writable") == 0)
		return make_memory(from, size, all & ~F_SEAL_WRITE);
	if (strcmp(kind, "short") == 0)
		return make_memory(from, size - 1, all);
	if (strcmp(kind, "long") == 0)
		return make_memory(from, size + 1, all);
	return make_memory(strcmp(kind, "false") == 0 ? -1 : from, size, all);
}

static void send_loaded(const char *kind)
{
	struct msg m = {.type = MSG_LOADED, .gen = hit.gen, .out_len = hit.out_len, .err_len = hit.err_len};
	int fds[3];

	fds[0] = make_stream(hit_fds[0], hit.out_len, kind);
	fds[1] = hit.err_len ? make_stream(hit_fds[1], hit.err_len, kind) : fds[0];
	fds[2] = fds[0];
	if (strcmp(kind, "another") == 0)
		m.gen.b[0] ^= 1;
	if (strcmp(kind, "lengths") == 0)
		m.out_len++;
	say(&m, fds, strcmp(kind, "three") == 0 ? 3 : hit.err_len ? 2 : 1);
}

static const char *came(long rc)
{
	return rc < 0 ? strerrorname_np(errno) : "done";
}

static void try_all(int memory)
{
	void *at;

	printf("seals=%#x", (unsigned)fcntl(memory, F_GET_SEALS));
	printf(" write=%s", came(pwrite(memory, "x", 1, 0)));
	printf(" grow=%s", came(ftruncate(memory, 1 << 20)));
	printf(" cut=%s", came(ftruncate(memory, 0)));
	printf(" punch=%s", came(fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1)));
	at = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	printf(" map=%s", came(at == MAP_FAILED ? -1 : 0));
	printf(" unseal=%s", came(fcntl(memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE)));
	printf(" exec=%s\n", came(fchmod(memory, 0777)));
}

static void make_child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		setpgid(0, 0);
		close_range(0, ~0U, 0); /* whoever reads what we print does not wait for it */
		for (;;)
			pause();
	}
	setpgid(pid, pid);
	child = pid;
	child_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	printf("child %ld\n", (long)pid);
}

static void send_done(struct gen g)
{
	static const uint8_t sum[SC_SUM_SIZE];
	struct msg m = {.type = MSG_DONE,
			.gen = g,
			.outcome = OUTCOME_ENDED,
			.out_sum = {sum, sizeof sum},
			.err_sum = {sum, sizeof sum}};

	say(&m, NULL, 0);
}

static void send_register(const char *key, struct gen g)
{
	int own_fd = memfd_create("none of yours", MFD_CLOEXEC), fds[3] = {own_fd, own_fd, own_fd};
	struct msg m = {.type = MSG_REGISTER, .gen = g, .bucket = bytes_of("default"), .key = bytes_of(key)};

	say(&m, fds, 3);
	close(own_fd);
}

static bool wait_closed(void)
{
	char sink[4096];
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (poll(&p, 1, PATIENCE_MS) > 0)
		if (recv(fd, sink, sizeof sink, 0) <= 0)
			return true;
	return false;
}

static void stray(int way, int n)
{
	static const uint8_t bytes[] = {6, 0, 0, 0, 0x94, 1, SC_PROTO_VERSION, 0xc4, 0, 0, 2, 0, 0, 0, 0x91, 16, 2, 0, 0};
	static const size_t cuts[3][2] = {{0, 10}, {10, 16}, {16, 19}}; /* HELLO · STATUS · the beginning of another */
	union {
		char bytes[CMSG_SPACE(sizeof(int) * STRAYS_MAX)];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)(bytes + cuts[way][0]), cuts[way][1] - cuts[way][0]};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	if (!c)
		die("control");
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
	for (int i = 0; i < n; i++)
		memcpy(CMSG_DATA(c) + sizeof(int) * (size_t)i, &dir_fd, sizeof dir_fd);
	if (way > 0 && send(fd, bytes, cuts[way][0], MSG_NOSIGNAL) < 0)
		die("send");
	if (sendmsg(fd, &m, MSG_NOSIGNAL) < 0)
		die("sendmsg");
}

static void strays(int connections, int n)
{
	int closed = 0;

	if (n < 1 || n > STRAYS_MAX)
		die("strays");
	for (int i = 0; i < connections; i++) {
		if (sock_connect(dir_fd, "sock", &fd))
			die("connect");
		stray(i % 3, n);
		closed += wait_closed();
		close(fd);
	}
	printf("%d closed\n", closed);
}

static struct gen gen_of(const char *text)
{
	struct gen g = own;

	if (strcmp(text, "own") != 0 && gen_parse(text, strlen(text), &g))
		die(text);
	return g;
}

static const char *arg(char ***word)
{
	if (!(*word)[1])
		die("a word is missing");
	return *++*word;
}

static void obey(char ***word)
{
	const char *w = **word;
	struct msg m = {0};

	if (strcmp(w, "dial") == 0) {
		dial();
	} else if (strcmp(w, "lead") == 0) {
		lead(arg(word));
	} else if (strcmp(w, "extra") == 0) {
		extra = true;
	} else if (strcmp(w, "child") == 0) {
		make_child();
	} else if (strcmp(w, "end-child") == 0) {
		kill(child, SIGKILL);
	} else if (strcmp(w, "hear") == 0) {
		hear();
	} else if (strcmp(w, "status") == 0) {
		m.type = MSG_STATUS;
		say(&m, NULL, 0);
	} else if (strcmp(w, "ask") == 0) {
		ask(arg(word));
	} else if (strcmp(w, "done") == 0) {
		send_done(gen_of(arg(word)));
	} else if (strcmp(w, "may-stop") == 0) {
		m = (struct msg){.type = MSG_MAY_STOP, .gen = gen_of(arg(word))};
		say(&m, NULL, 0);
	} else if (strcmp(w, "started") == 0) {
		/* It lives in the test's session, which says nothing about the run. */
		m = (struct msg){.type = MSG_STARTED, .gen = gen_of(arg(word)), .flags = STARTED_FOREGROUND};
		m.pid = strtoull(arg(word), NULL, 10);
		say(&m, &child_fd, 1);
	} else if (strcmp(w, "grown") == 0) {
		m = (struct msg){.type = MSG_GROWN, .gen = gen_of(arg(word))};
		if (human_parse_size(arg(word), &m.out_len))
			die("no size");
		say(&m, NULL, 0);
	} else if (strcmp(w, "register") == 0) {
		const char *key = arg(word);

		send_register(key, gen_of(arg(word)));
	} else if (strcmp(w, "loaded") == 0) {
		send_loaded(arg(word));
	} else if (strcmp(w, "try") == 0) {
		for (int i = 0; i < 2; i++)
			if (hit_fds[i] >= 0)
				try_all(hit_fds[i]);
	} else if (strcmp(w, "strays") == 0) {
		int n = (int)strtol(arg(word), NULL, 10);

		strays(n, (int)strtol(arg(word), NULL, 10));
	} else {
		errno = EINVAL;
		die(w);
	}
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: rawpeer DIR WORD…\n");
		return 99;
	}
	dir_fd = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		die(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (char **word = argv + 2; *word; word++)
		obey(&word);
	return 0;
}

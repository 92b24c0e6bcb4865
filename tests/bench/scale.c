/* A cache of many entries. Speaks the daemon's protocol itself, so that no process is made for an entry or a hit: what is measured is
 * the daemon. A key is PREFIX and a number below N.
 *
 *   scale build DIR PREFIX N MS|@MS    puts N of them, of 100 bytes each, kept for so long, or all until this moment of CLOCK_BOOTTIME.
 *                                      Prints the nanoseconds that took
 *   scale hits DIR PREFIX N DIR PREFIX N
 *                                      asks for random keys of the one cache and of the other, taking turns: medians, then the
 *                                      99th percentiles of the times: "ONE OTHER ONE OTHER"
 *   scale until DIR PREFIX N FILE      makes FILE, and asks until it has gone: "MEDIAN P99 P99.9 SLOWEST COUNT"
 *   scale gone DIR N                   waits until there are no more than N
 *   scale walk DIR                     how long a walk takes that only looks
 *
 * A hit is the question, the answer, and 100 bytes read from the descriptor that came with it. All that are asked for were asked for
 * once before. */
#include "tests/bench/bench.h"

#include <stdbool.h>

#include "lib/checksum.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/msg.h"
#include "lib/page.h"
#include "lib/sock.h"

/* LINES: who builds at once. Their commits share transactions. SOME: keys that are asked for, spread over all there are. They are so few
 * that their files and their pages of the index stay in memory, on a machine too that soon reclaims what nobody reads: a hit that waits
 * for its disk says nothing of us. They are more than the daemon's own cache of the index holds. */
enum { ENTRY_SIZE = 100, TURN = 100, TURNS = 200, LINES = 4, SOME = 4096 };

static uint64_t state;

static uint64_t draw(uint64_t below)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31)) % below;
}

/* ---- a connection ---- */

struct line {
	int fd;
	struct frames in;
};

static void say(struct line *l, const struct msg *m)
{
	struct buf b;
	size_t sent = 0;

	buf_init(&b, SC_FRAME_MAX);
	if (msg_encode(&b, m))
		die("a message");
	while (sent < b.len) {
		ssize_t n = sock_send(l->fd, b.data + sent, b.len - sent, NULL, 0);

		if (n < 0)
			die("the daemon");
		sent += (size_t)n;
	}
	buf_release(&b);
}

static void hear(struct line *l, struct msg *m, int fds[SC_FDS_MAX], size_t *nfds)
{
	int rc;

	while ((rc = frames_next(&l->in, m, fds, nfds)) == SC_EAGAIN)
		if (frames_fill(&l->in, l->fd))
			die("the daemon went");
	if (rc)
		die("what the daemon says");
}

static void adopt(struct line *l, int fd)
{
	l->fd = fd;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	frames_init(&l->in);
}

static void hang_up(struct line *l)
{
	frames_release(&l->in);
	close(l->fd);
}

static void dial(struct line *l, const char *dir)
{
	struct msg hello = {.type = MSG_HELLO, .version = SC_PROTO_VERSION, .build = bytes_of("")}, m;
	int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd, fds[SC_FDS_MAX];
	size_t nfds;

	if (dir_fd < 0 || sock_connect(dir_fd, "sock", &fd))
		die(dir);
	close(dir_fd);
	adopt(l, fd);
	say(l, &hello);
	hear(l, &m, fds, &nfds);
}

static struct msg question(char key[64], const char *prefix, uint64_t number)
{
	snprintf(key, 64, "%s%08llu", prefix, (unsigned long long)number);
	return (struct msg){.type = MSG_ASK,
			    .bucket = bytes_of("default"),
			    .key = bytes_of(key),
			    .ttl = SC_TTL_UNSET,
			    .accept = SC_FOREVER};
}

/* ---- entries ---- */

static void sum_up(const char *bytes, size_t n, uint8_t sum[SC_SUM_SIZE])
{
	struct checksum *c = checksum_new();

	if (!c)
		die("memory");
	if (n)
		checksum_add(c, bytes, n);
	checksum_get(c, sum);
	checksum_free(c);
}

/* A run in this process, as a put: its page is mapped and ended like a writer's. */
static void put(struct line *l, const char *prefix, uint64_t number, uint64_t ttl_ms)
{
	int fds[SC_FDS_MAX], flight_fds[SC_FDS_MAX];
	char key[64], bytes[ENTRY_SIZE + 1];
	uint8_t sums[2][SC_SUM_SIZE];
	struct line flight;
	struct page *page;
	struct msg m, q = question(key, prefix, number);
	size_t nfds, none;
	struct gen g;

	q.flags = ASK_COMMAND | ASK_PUT | ASK_DETACHED;
	q.ttl = ttl_ms;
	say(l, &q);
	hear(l, &m, fds, &nfds);
	if (m.type != MSG_LEAD)
		die("no LEAD");
	g = m.gen;
	if (page_map(&page, fds[LEAD_PAGE], &g))
		die("page");
	fds[LEAD_PAGE] = -1;
	snprintf(bytes, sizeof bytes, "%-*s\n", ENTRY_SIZE - 1, key);
	if (write(fds[LEAD_OUT_WRITE], bytes, ENTRY_SIZE) != ENTRY_SIZE)
		die("write");
	page_publish(page, ENTRY_SIZE, 0);
	sum_up(bytes, ENTRY_SIZE, sums[0]);
	sum_up(NULL, 0, sums[1]);
	adopt(&flight, fds[LEAD_SOCKET]);
	fds[LEAD_SOCKET] = -1;
	say(&flight, &(struct msg){.type = MSG_DONE,
				   .gen = g,
				   .outcome = OUTCOME_ENDED,
				   .out_len = ENTRY_SIZE,
				   .out_size = ENTRY_SIZE,
				   .out_sum = {sums[0], SC_SUM_SIZE},
				   .err_sum = {sums[1], SC_SUM_SIZE}});
	do {
		hear(&flight, &m, flight_fds, &none);
	} while (m.type != MSG_SETTLED);
	if (!(m.flags & SETTLED_COMMITTED))
		die("not committed");
	page_end(page, PAGE_COMPLETE, 0, 0);
	hang_up(&flight);
	page_free(page);
	for (size_t i = 0; i < nfds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static uint64_t left_until(uint64_t boot_ms)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return boot_ms - (uint64_t)t.tv_sec * 1000 - (uint64_t)t.tv_nsec / 1000000;
}

static void build(const char *dir, const char *prefix, uint64_t n, const char *life)
{
	uint64_t begun = now_ns(), ms = strtoull(life + (life[0] == '@'), NULL, 10);
	pid_t pids[LINES];

	for (unsigned i = 0; i < LINES; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			die("fork");
		if (pids[i] == 0) {
			struct line l;

			dial(&l, dir);
			for (uint64_t k = i; k < n; k += LINES)
				put(&l, prefix, k, life[0] == '@' ? left_until(ms) : ms);
			exit(0);
		}
	}
	for (int i = 0; i < LINES; i++)
		expect_success(pids[i], "a builder");
	printf("%llu\n", (unsigned long long)(now_ns() - begun));
}

/* ---- hits ---- */

struct cache {
	const char *dir, *prefix;
	struct line line;
	uint64_t keys[SOME];
};

static uint64_t hit(struct cache *c, uint64_t number)
{
	int fds[SC_FDS_MAX];
	char key[64], bytes[ENTRY_SIZE + 1];
	struct msg q = question(key, c->prefix, number), m;
	uint64_t begun = now_ns();
	size_t nfds;

	say(&c->line, &q);
	hear(&c->line, &m, fds, &nfds);
	if (m.type != MSG_HIT || nfds != 1 || read(fds[0], bytes, sizeof bytes) != ENTRY_SIZE)
		die("no hit");
	close(fds[0]);
	return now_ns() - begun;
}

static void open_cache(struct cache *c, char **argv)
{
	uint64_t n = strtoull(argv[2], NULL, 10);

	c->dir = argv[0];
	c->prefix = argv[1];
	dial(&c->line, c->dir);
	for (size_t i = 0; i < SOME; i++)
		hit(c, c->keys[i] = draw(n));
}

static uint64_t any_hit(struct cache *c)
{
	return hit(c, c->keys[draw(SOME)]);
}

static void hits(struct cache c[2])
{
	static uint64_t took[2][TURNS * TURN];

	for (int turn = -2; turn < TURNS; turn++) /* the first two warm up */
		for (int side = 0; side < 2; side++)
			for (int i = 0; i < TURN; i++) {
				uint64_t ns = any_hit(&c[side]);

				if (turn >= 0)
					took[side][turn * TURN + i] = ns;
			}
	for (unsigned percent = 50; percent <= 99; percent += 49)
		for (int side = 0; side < 2; side++)
			printf("%llu ", (unsigned long long)percentile(took[side], (size_t)TURNS * TURN, percent));
	putchar('\n');
}

static uint64_t permille(uint64_t *took, size_t n, size_t part)
{
	return took[(n - 1) * part / 1000]; /* sorted: percentile() has done that */
}

static void until(struct cache *c, const char *file)
{
	enum { MOST = 1 << 23 };
	uint64_t *took = malloc(MOST * sizeof *took);
	size_t n = 0;

	if (!took)
		die("memory");
	close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	while (n < MOST && (n < TURN || n % TURN != 0 || access(file, F_OK) == 0))
		took[n++] = any_hit(c);
	if (n == 0)
		die("no time for a hit");
	percentile(took, n, 50);
	for (size_t i = 0; i < 4; i++)
		printf("%llu ", (unsigned long long)permille(took, n, (size_t[]){500, 990, 999, 1000}[i]));
	printf("%zu\n", n);
	free(took);
}

/* A connection for each question: the daemon closes one on which nothing is going on. */
static uint64_t entries(const char *dir)
{
	int fds[SC_FDS_MAX];
	struct line l;
	struct msg m;
	size_t nfds;

	dial(&l, dir);
	say(&l, &(struct msg){.type = MSG_STATUS});
	hear(&l, &m, fds, &nfds);
	if (m.type != MSG_REPORT)
		die("no REPORT");
	hang_up(&l);
	return m.entries;
}

static void gone(const char *dir, uint64_t n)
{
	while (entries(dir) > n)
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

static void walk(const char *dir)
{
	uint64_t begun = now_ns();
	int fds[SC_FDS_MAX];
	struct line l;
	struct msg m;
	size_t nfds;

	dial(&l, dir);
	say(&l, &(struct msg){.type = MSG_WALK, .flags = WALK_ONLY_LOOK});
	hear(&l, &m, fds, &nfds);
	if (m.type != MSG_OK)
		die("the walk");
	printf("%llu\n", (unsigned long long)(now_ns() - begun));
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	state = now_ns();
	if (strcmp(what, "build") == 0 && argc == 6) {
		build(argv[2], argv[3], strtoull(argv[4], NULL, 10), argv[5]);
	} else if (strcmp(what, "hits") == 0 && argc == 8) {
		static struct cache both[2];

		open_cache(&both[0], argv + 2);
		open_cache(&both[1], argv + 5);
		hits(both);
	} else if (strcmp(what, "until") == 0 && argc == 6) {
		static struct cache c;

		open_cache(&c, argv + 2);
		until(&c, argv[5]);
	} else if (strcmp(what, "gone") == 0 && argc == 4) {
		gone(argv[2], strtoull(argv[3], NULL, 10));
	} else if (strcmp(what, "walk") == 0) {
		walk(argv[2]);
	} else {
		fprintf(stderr, "usage: scale build|hits|until|gone|walk DIR …\n");
		return 99;
	}
	return 0;
}

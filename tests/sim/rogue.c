/* Peers that say what may not be said, or not now, or about a run that is none of theirs: P10 and P11 of FAULTS. Nothing of it
 * may change anything for anybody else. */
#include "lib/err.h"
#include "tests/sim/people.h"

struct rogue {
	struct proc proc;
	struct desc *sock;
	struct alarm alarm;
	unsigned words;
};

static const enum msg_type words[] = {MSG_HELLO,   MSG_ASK,    MSG_ATTACH,   MSG_LEAVE,	   MSG_LIST,
				      MSG_FLIGHTS, MSG_STATUS, MSG_REGISTER, MSG_REGISTER, MSG_STARTED,
				      MSG_DONE,	   MSG_DONE,   MSG_MAY_STOP, MSG_LEAD,	   MSG_STREAMING};

static struct model *some_run(void)
{
	return world.runs[rnd(world.nruns)];
}

static struct desc *wrong(enum desc_kind kind)
{
	return desc_new(kind, some_run());
}

/* What it says, with as many descriptors as belong to it, which are of some other run. */
static void say(struct endpoint *e, enum msg_type type, const struct model *r)
{
	static const uint8_t sum[SC_SUM_SIZE];
	static const unsigned flags[] = {0, ASK_FINISHED, ASK_WAIT};
	struct msg m = {.type = type,
			.version = SC_PROTO_VERSION,
			.gen = r->gen,
			.bucket = bytes_of("default"),
			.key = bytes_of(world.keys[rnd(world.nkeys)].name),
			.outcome = OUTCOME_ENDED,
			.out_sum = {sum, sizeof sum},
			.err_sum = {sum, sizeof sum},
			.accept = SC_FOREVER,
			.error = 5};
	struct desc *fds[SC_FDS_MAX] = {NULL};
	size_t n = 0;

	if (type == MSG_ASK)
		m.flags = flags[rnd(3)];
	if (type == MSG_REGISTER && world.nruns > 1) {
		/* Of its own run it would be believed. */
		struct model *other = r == world.runs[0] ? world.runs[1] : world.runs[0];

		fds[n++] = desc_new(DESC_PAGE, other);
		fds[n++] = wrong(DESC_OBJECT);
		fds[n++] = wrong(DESC_OBJECT);
	} else if (type == MSG_REGISTER) {
		return;
	}
	if (type == MSG_STARTED)
		fds[n++] = wrong(DESC_PIDFD);
	while (type == MSG_LEAD && n < msg_fd_count(&m))
		fds[n++] = wrong(DESC_OBJECT);
	endpoint_send(e, &m, fds, n);
}

static void on_word(void *arg, const struct msg *m, struct desc **fds, size_t nfds)
{
	(void)arg, (void)m, (void)fds, (void)nfds;
}

static void on_alarm(void *arg)
{
	struct rogue *r = arg;

	if (r->words-- == 0) {
		desc_drop(&r->sock);
		return;
	}
	say(r->sock->end, words[rnd(sizeof words / sizeof *words)], some_run());
	alarm_set(&r->alarm, late());
}

void rogue_start(void)
{
	struct rogue *r;
	struct desc *sock = world.nruns ? session_connect() : NULL;

	if (!sock)
		return;
	trace("a rogue comes");
	r = sim_alloc(sizeof *r);
	r->proc = (struct proc){.what = "rogue", .alive = true};
	r->sock = sock;
	r->words = 1 + (unsigned)rnd(4);
	endpoint_listen(sock->end, &r->proc, on_word, r);
	alarm_init(&r->alarm, on_alarm, r);
	alarm_set(&r->alarm, late());
}

/* A writer that takes itself for another one, and is seen no more. */
void rogue_writer(struct writer *w)
{
	static const enum msg_type says[] = {MSG_DONE, MSG_DONE, MSG_MAY_STOP, MSG_STARTED, MSG_GROWN, MSG_STREAMING};
	struct model *r = some_run();

	if (!w->sock || r == w->run || w->state > RUNNING)
		return;
	trace("the writer of run %u speaks of run %u", w->run->number, r->number);
	say(w->sock->end, says[rnd(sizeof says / sizeof *says)], r);
	writer_kill(w);
}

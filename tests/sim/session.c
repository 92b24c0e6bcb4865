/* One question, one answer, as cmd/session.c: on the connection there is, else connects, starting the daemon if it may, and says HELLO
 * first; asks again when the daemon goes just then, four times. */
#include "lib/build.h"
#include "lib/err.h"
#include "tests/sim/people.h"

#define RETRIES 4
/* A daemon that has not come up after so many looks does not start. */
#define POLLS 400

static void try(struct session *s);

static void on_alarm(void *arg)
{
	struct session *s = arg;
	uint64_t pause = proc_pause(s->proc);

	if (pause)
		alarm_set(&s->alarm, pause + late());
	else
		try(s);
}

void session_init(struct session *s, struct proc *p, struct client *c, told_fn told, void *arg)
{
	*s = (struct session){.proc = p, .client = c, .told = told, .arg = arg};
	alarm_init(&s->alarm, on_alarm, s);
}

void session_stop(struct session *s)
{
	alarm_clear(&s->alarm);
	if (s->sock)
		endpoint_deaf(s->sock->end);
}

void session_close(struct session *s)
{
	session_stop(s);
	s->waits = false;
	desc_drop(&s->sock);
}

static void again(struct session *s)
{
	session_close(s);
	if (s->single || ++s->tries == RETRIES)
		s->told(s->arg, SC_EEOF, NULL, NULL, 0);
	else
		alarm_set(&s->alarm, s->tries * 40 + rnd(40));
}

static void on_message(void *arg, const struct msg *m, struct desc **fds, size_t nfds)
{
	struct session *s = arg;

	if (m && m->type == MSG_HELLO)
		return;
	/* Was on its way when we asked: the page had said it before. */
	if (m && m->type == MSG_LOST && s->q.type == MSG_ASK)
		return;
	if (!m && s->waits) {
		/* A new daemon knows nothing of our question. */
		session_close(s);
		s->tries = 0;
		alarm_set(&s->alarm, 0);
		return;
	}
	if (!m) {
		again(s);
		return;
	}
	/* To STOP the end of the connection is the answer. */
	s->waits = m->type == MSG_WAIT && m->reason != WAIT_DRAINING;
	s->single = m->type == MSG_WAIT && m->reason == WAIT_DRAINING;
	if (m->type != MSG_WAIT && m->type != MSG_ENTRY && m->type != MSG_FLIGHT)
		session_stop(s);
	s->told(s->arg, 0, m, fds, nfds);
}

struct desc *session_connect(void)
{
	struct msg hello = {.type = MSG_HELLO, .version = SC_PROTO_VERSION, .build = bytes_of(sc_build)};
	struct desc *sock = daemon_connect();

	if (sock)
		endpoint_send(sock->end, &hello, NULL, 0);
	return sock;
}

static void try(struct session *s)
{
	if (s->sock) {
		/* The connection there is says who asks: one that has just lost a run is expected to. */
		endpoint_send(s->sock->end, &s->q, NULL, 0);
		endpoint_listen(s->sock->end, s->proc, on_message, s);
		return;
	}
	s->sock = session_connect();
	if (!s->sock && s->how == LOOK) {
		s->told(s->arg, SC_ENOENT, NULL, NULL, 0);
	} else if (!s->sock && ++s->polls > POLLS) {
		s->told(s->arg, SC_EEOF, NULL, NULL, 0);
	} else if (!s->sock) {
		daemon_want();
		alarm_set(&s->alarm, 1 + late());
	} else {
		s->sock->end->client = s->client;
		endpoint_listen(s->sock->end, s->proc, on_message, s);
		endpoint_send(s->sock->end, &s->q, NULL, 0);
	}
}

void session_ask(struct session *s, enum how how, const struct msg *q)
{
	s->how = how;
	s->q = *q;
	s->tries = s->polls = 0;
	s->single = s->waits = false;
	try(s);
}

bool session_is_there(struct session *s, bool *lost)
{
	enum msg_type type;

	*lost = false;
	if (!s->sock)
		return false;
	type = endpoint_peek(s->sock->end);
	if (!type && !endpoint_is_readable(s->sock->end))
		return true;
	*lost = type == MSG_LOST;
	if (*lost)
		endpoint_skip(s->sock->end);
	else
		session_close(s);
	return *lost;
}

bool session_ask_on(struct session *s, const struct msg *q)
{
	if (!s->sock)
		return false;
	s->single = true;
	s->waits = false;
	endpoint_send(s->sock->end, q, NULL, 0);
	endpoint_listen(s->sock->end, s->proc, on_message, s);
	return true;
}

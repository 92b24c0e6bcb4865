/* The writer's talk with the daemon: its flight's own connection, and when that is gone the next daemon's. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/writer_parts.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/page.h"

/* How often a run that may have no readers looks again. */
#define LONELY_MS 200
/* Without a daemon nobody says that readers have gone: two looks in a row, this far apart, must find none. */
#define ALONE_MS 1000

static void lose_daemon(struct writer *w)
{
	KILLPOINT("daemon_lost");
	session_close(&w->session);
	/* At once, but for one that had not taken us: it would be asked in a circle. */
	w->next_try_ms = w->registered ? 0 : clock_run_ms() + SC_RECONNECT_MS;
	w->registered = false;
	w->told_bytes = 0; /* the next daemon knows nothing of it */
	w->asked = false;
	w->look_ms = clock_run_ms() + ALONE_MS;
	w->empty_once = false;
}

static void tell(struct writer *w, const struct msg *m, const int *fds, size_t nfds)
{
	/* What the daemon said before it went is read by the loop, which then sees the end of file. */
	if (w->session.fd >= 0)
		session_say(&w->session, m, fds, nfds);
}

/* In the child that is about to be the command: whatever becomes of its writer, the daemon can kill it from here on. */
void writer_tell_started(void *arg, int pidfd)
{
	struct writer *w = arg;
	struct msg m = {.type = MSG_STARTED,
			.gen = w->run->gen,
			.pid = (uint64_t)getpid(),
			.flags = w->run->foreground ? STARTED_FOREGROUND : 0,
			.shown = w->run->shown};

	if (pidfd >= 0)
		tell(w, &m, &pidfd, 1);
	KILLPOINT("started_told");
}

static void send_register(struct writer *w)
{
	struct msg m = {.type = MSG_REGISTER,
			.gen = w->run->gen,
			.bucket = w->run->bucket,
			.key = w->run->key,
			.flags = (w->run->foreground ? STARTED_FOREGROUND : 0u) | (w->stopping ? REGISTER_STOPPING : 0u) |
				 (w->capture.spilled ? REGISTER_STREAMING : 0u),
			.shown = w->run->shown};
	int fds[4] = {page_fd(w->run->page), w->run->out_fd, w->run->err_fd, w->child.pidfd};
	size_t n = 3;

	if (!w->reaped && w->child.pidfd >= 0) {
		m.pid = (uint64_t)w->child.pid;
		n = 4;
	}
	tell(w, &m, fds, n);
	KILLPOINT("register_sent");
}

void writer_find_daemon(struct writer *w, enum session_how how)
{
	if (w->session.fd >= 0 || w->disowned)
		return;
	w->next_try_ms = clock_run_ms() + SC_RECONNECT_MS;
	KILLPOINT("before_reconnect");
	if (session_open(&w->session, how) == 0)
		send_register(w);
}

static void on_verdict(struct writer *w, const struct msg *m)
{
	KILLPOINT("verdict_heard");
	w->asked = false;
	w->lonely = false;
	if (m->flags & VERDICT_STOP)
		writer_begin_stop(w, (unsigned)m->signal);
}

static void on_message(struct writer *w, const struct msg *m)
{
	switch (m->type) {
	case MSG_REGISTERED:
		w->registered = true;
		KILLPOINT("registered_heard");
		break;
	case MSG_LONELY:
		w->lonely = true;
		w->reader_signal = (unsigned)m->signal;
		w->look_ms = 0;
		break;
	case MSG_VERDICT:
		on_verdict(w, m);
		break;
	case MSG_SETTLED:
		w->settled = true;
		w->settled_how = m->flags;
		break;
	case MSG_REFUSE:
		/* Doomed while nobody knew of us, or of a version we do not speak: the readers still get it all. */
		w->disowned = true;
		lose_daemon(w);
		break;
	default:
		break; /* of a newer daemon */
	}
}

void writer_listen(struct writer *w)
{
	struct msg m;
	int fds[SC_FDS_MAX];
	size_t nfds;

	while (w->session.fd >= 0) {
		int rc = session_hear(&w->session, &m, fds, &nfds, 0);

		if (rc == SC_EAGAIN || (rc == SC_ESYS && errno == EINTR))
			return;
		if (rc) {
			lose_daemon(w);
			return;
		}
		for (size_t i = 0; i < nfds; i++)
			close(fds[i]);
		on_message(w, &m);
	}
}

static void tell_spilled(struct writer *w)
{
	struct msg m = {.type = MSG_STREAMING, .gen = w->run->gen, .error = (uint64_t)w->capture.spilled};

	if (w->told_spilled)
		return;
	w->told_spilled = true;
	tell(w, &m, NULL, 0);
	KILLPOINT("spilled_told");
}

void writer_tell_growth(struct writer *w)
{
	uint64_t bytes = w->capture.size[STREAM_OUT] + w->capture.size[STREAM_ERR];
	struct msg m = {.type = MSG_GROWN,
			.gen = w->run->gen,
			.out_len = w->capture.size[STREAM_OUT],
			.err_len = w->capture.size[STREAM_ERR]};

	if (!w->registered)
		return;
	if (w->capture.spilled) {
		tell_spilled(w);
	} else if (bytes - w->told_bytes >= SC_GROWN_STEP) {
		w->told_bytes = bytes;
		tell(w, &m, NULL, 0);
		KILLPOINT("growth_told");
	}
}

/* ---- does anybody read? ---- */

/* The mark in our own flight's file: a caller that came later may have given --finish. */
static bool is_to_finish(const struct writer *w)
{
	char mark = 0;

	return pread(w->run->lock_fd, &mark, 1, MARK_FINISH) == 1 && mark;
}

/* With a daemon: it says that no connection does; then, if no slot is taken either, it is asked, for somebody may just have
 * come. Without one, two looks in a row. */
void writer_look_for_readers(struct writer *w, uint64_t now)
{
	struct msg m = {.type = MSG_MAY_STOP, .gen = w->run->gen};
	bool alone = w->session.fd < 0;

	if (w->stopping || w->asked || now < w->look_ms || (!alone && !w->lonely))
		return;
	w->look_ms = now + (alone ? ALONE_MS : LONELY_MS);
	if (page_has_readers(w->run->page)) {
		w->empty_once = false;
		return;
	}
	if (!alone) {
		w->asked = true;
		tell(w, &m, NULL, 0);
		KILLPOINT("may_stop_asked");
	} else if (w->empty_once && !is_to_finish(w)) {
		writer_begin_stop(w, w->reader_signal);
	}
	w->empty_once = true;
}

/* ---- the end ---- */

static void say_done(struct writer *w)
{
	uint8_t out_sum[SC_SUM_SIZE], err_sum[SC_SUM_SIZE];
	struct msg m = {.type = MSG_DONE,
			.gen = w->run->gen,
			.outcome = !w->stopping	  ? OUTCOME_ENDED
				   : w->run->argv ? OUTCOME_CANCELLED
						  : OUTCOME_GIVEN_UP,
			.exit = w->exit,
			.signal = w->signal,
			.out_len = w->capture.out_len,
			.err_len = w->capture.err_len,
			.out_size = w->capture.size[STREAM_OUT],
			.err_size = w->capture.size[STREAM_ERR],
			.out_sum = {out_sum, sizeof out_sum},
			.err_sum = {err_sum, sizeof err_sum},
			.error = (uint64_t)w->capture.spilled};

	checksum_get(w->capture.out_sum, out_sum);
	checksum_get(w->capture.err_sum, err_sum);
	tell(w, &m, NULL, 0);
}

void writer_report(struct writer *w)
{
	for (int tries = 0; tries < 3 && !w->disowned && !w->settled; tries++) {
		struct msg m = {.type = 0};
		int fds[SC_FDS_MAX], rc;
		size_t nfds;

		writer_find_daemon(w, SESSION_START);
		if (w->session.fd < 0)
			return;
		KILLPOINT("before_done");
		say_done(w);
		KILLPOINT("done_sent");
		do {
			rc = session_hear(&w->session, &m, fds, &nfds, SC_FOREVER);
			if (rc == 0)
				on_message(w, &m);
		} while ((rc == 0 && !w->settled && !w->disowned) || (rc == SC_ESYS && errno == EINTR));
		KILLPOINT("done_answered");
		if (rc == 0 || rc == SC_ETIME)
			return;
		lose_daemon(w);
	}
}

/* The loop of a reader of a growing object. Called by get.c, for the leader as for everybody else. Prints nothing but the
 * object. */
#include "cmd/follow.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "cmd/progress.h"
#include "cmd/signals.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/page.h"

/* Without a daemon for so long, one is started to ask what became of the run. */
#define QUIET_MS (2 * SC_PAGE_WAIT_MS)
/* A run that ends with us is seen off: its command's grace and a little. */
#define SEE_OFF_MS (SC_GRACE_MS + 2000)

struct watch {
	uint64_t moved_ms;    /* when something last came, or following began */
	uint64_t seen;	      /* bytes that had come, and those that were printed, by then */
	uint64_t orphaned_ms; /* when the daemon was found gone; 0: it is there */
	uint64_t looked_ms;   /* when everybody was last looked after */
};

/* ---- the daemon ---- */

/* True: it is there, as far as one can see without asking. *lost: it says that the run is. */
static bool daemon_is_there(struct session *s, bool *lost)
{
	int fds[SC_FDS_MAX], rc;
	size_t nfds = 0;
	struct msg m;

	*lost = false;
	if (s->fd < 0)
		return false;
	rc = session_hear(s, &m, fds, &nfds, 0);
	if (rc == SC_EAGAIN || (rc == SC_ESYS && errno == EINTR))
		return true;
	*lost = rc == 0 && m.type == MSG_LOST;
	if (*lost)
		return true;
	for (size_t i = 0; rc == 0 && i < nfds; i++)
		close(fds[i]);
	session_close(s);
	return false;
}

/* Asks the next daemon about the run. FOLLOW_LOST: nobody can finish it. FOLLOW_NESTED: it does not let us wait. Else go on; if it
 * has ended well meanwhile, *ended is set and v says how. */
static enum follow_result attach(struct follow *f, enum session_how how, bool *ended, struct page_view *v)
{
	struct msg q = {.type = MSG_ATTACH,
			.bucket = f->bucket,
			.key = f->key,
			.gen = f->gen,
			.flags = f->can_lead,
			.chain = f->chain},
		   m;
	int fds[SC_FDS_MAX];
	size_t nfds = 0;
	int rc = session_ask(f->session, how, &q, &m, fds, &nfds, SC_FOREVER);

	KILLPOINT("attach_answered");
	if (rc) {
		session_close(f->session);
		/* It is tried again; but where no daemon can be had, or none that speaks to us, nobody else tells that the writer is dead. */
		return page_has_writer(f->page) ? FOLLOW_ENDED : FOLLOW_LOST;
	}
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
	if (m.type == MSG_LOST)
		return FOLLOW_LOST;
	if (m.type == MSG_REFUSE && m.reason == REFUSE_NESTED)
		return FOLLOW_NESTED;
	if (m.type == MSG_ENDED) {
		*ended = true;
		*v = (struct page_view){.state = PAGE_COMPLETE,
					.out_len = m.out_len,
					.err_len = m.err_len,
					.out_spill = SC_FOREVER, /* what is in the index is whole */
					.err_spill = SC_FOREVER,
					.exit = (uint32_t)m.exit,
					.signal = (uint32_t)m.signal};
	}
	return FOLLOW_ENDED;
}

static enum follow_result look_after_daemon(struct follow *f, struct watch *w, bool *ended, struct page_view *v)
{
	uint64_t now = clock_run_ms();
	bool lost;

	if (daemon_is_there(f->session, &lost)) {
		w->orphaned_ms = 0;
		return lost ? FOLLOW_LOST : FOLLOW_ENDED;
	}
	if (!w->orphaned_ms)
		w->orphaned_ms = now;
	/* The writer would publish its end by itself; only its death needs somebody to tell. */
	return attach(f, now - w->orphaned_ms >= QUIET_MS ? SESSION_START : SESSION_JOIN, ended, v);
}

/* ---- leaving ---- */

static void see_off(struct follow *f)
{
	uint64_t until = clock_run_ms() + SEE_OFF_MS;
	int count = signals_count();
	struct page_view v;

	for (page_view(f->page, &v); v.state == PAGE_RUNNING && signals_count() == count && clock_run_ms() < until;
	     page_view(f->page, &v))
		page_wait(f->page, &v, SC_PAGE_WAIT_MS);
}

/* False: nobody answered. */
static bool say_leave(struct follow *f, uint64_t signal, uint64_t flags, struct msg *m)
{
	struct msg q = {.type = MSG_LEAVE, .gen = f->gen, .signal = signal, .flags = flags};
	int fds[SC_FDS_MAX], rc;
	size_t nfds;

	if (f->session->fd < 0 || session_say(f->session, &q, NULL, 0))
		return false;
	do {
		rc = session_hear(f->session, m, fds, &nfds, SC_SILENCE_MS);
	} while (rc == SC_ESYS && errno == EINTR && signals_count() < 2);
	return rc == 0 && m->type == MSG_LEFT;
}

/* Whether the run would be stopped without us; if not, we have left it. */
static bool is_needed(struct follow *f)
{
	struct msg m;

	return say_leave(f, 0, LEAVE_UNLESS_LAST, &m) && (m.flags & LEFT_STAYED);
}

static bool is_running(const struct follow *f)
{
	struct page_view v;

	page_view(f->page, &v);
	return v.state == PAGE_RUNNING;
}

static enum follow_result leave(struct follow *f)
{
	struct msg m;

	progress_stop();
	KILLPOINT("before_leave");
	f->signal = (uint32_t)signals_pending();
	/* The slot first: the writer looks for one that is taken before it stops the command. */
	page_leave_slot(f->page);
	KILLPOINT("slot_left");
	/* A command at our terminal has been told; twice would be more than without us. */
	if (!say_leave(f, f->foreground && signals_were_for_group() ? SIGCONT : f->signal, 0, &m))
		return FOLLOW_SIGNAL;
	KILLPOINT("left");
	f->left = true;
	f->others = m.count;
	f->stopping = (m.flags & LEFT_STOPPING) != 0;
	f->doomed = (m.flags & LEFT_DOOMED) != 0;
	if (f->stopping)
		see_off(f);
	return FOLLOW_SIGNAL;
}

/* ---- the loop ---- */

static enum follow_result result_of(struct follow *f, enum read_result rc)
{
	switch (rc) {
	case READ_STDOUT_CLOSED:
		return FOLLOW_STDOUT_CLOSED;
	case READ_CANNOT_WRITE:
		return FOLLOW_CANNOT_WRITE;
	case READ_CANNOT_READ:
		return FOLLOW_CANNOT_READ;
	case READ_DIFFERS:
		return FOLLOW_DIFFERS;
	case READ_OVERTAKEN:
		return FOLLOW_OVERTAKEN;
	case READ_INTERRUPTED:
		return leave(f);
	case READ_ALL:
	case READ_MORE:
		break;
	}
	return FOLLOW_ENDED;
}

static enum follow_result result_of_end(struct follow *f, const struct page_view *v)
{
	f->exit = v->exit;
	f->signal = v->signal;
	if (f->reader.mute)
		return FOLLOW_CANNOT_WRITE;
	if (v->state == PAGE_CANCELLED || v->state == PAGE_LOST)
		return v->state == PAGE_LOST ? FOLLOW_LOST : FOLLOW_CANCELLED;
	return result_of(f, reader_finish(&f->reader));
}

/* `| head` that has had enough is noticed although there is nothing to write. */
static bool stdout_is_closed(const struct follow *f)
{
	struct pollfd p = {.fd = f->reader.to_fd, .events = 0};

	return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

static void note_progress(struct follow *f, struct watch *w, const struct page_view *v)
{
	/* Printed ones too: a reader that was held up, and the writer with it, has not waited for the command. */
	uint64_t seen = v->out_len + v->err_len + f->reader.out_pos + f->reader.err_pos, out_pos, err_pos;

	reader_position(&f->reader, v->out_len, v->err_len, &out_pos, &err_pos);
	page_set_position(f->page, out_pos, err_pos);
	progress_step(v->out_len + v->err_len);
	if (seen == w->seen)
		return;
	w->seen = seen;
	w->moved_ms = clock_run_ms();
	KILLPOINT("piece_printed");
}

/* Prints what there is; a held reader's all at once, when it is known how the run has ended. */
static enum read_result advance(struct follow *f, const struct page_view *v)
{
	reader_spill(&f->reader, f->page, v);
	f->unkept = page_unkept(f->page);
	if (v->state == PAGE_COMPLETE || v->state == PAGE_FAILED)
		reader_let_go(&f->reader, v->exit == 0 && v->signal == 0);
	else if (v->state == PAGE_CANCELLED)
		reader_let_go(&f->reader, false);
	return reader_advance(&f->reader, v->out_len, v->err_len);
}

static uint64_t time_to_sleep(const struct follow *f, const struct watch *w)
{
	uint64_t silent = clock_run_ms() - w->moved_ms;

	if (f->wait_ms == SC_FOREVER)
		return SC_PAGE_WAIT_MS;
	return silent >= f->wait_ms ? 0 : f->wait_ms - silent;
}

enum follow_result follow_run(struct follow *f)
{
	struct watch w = {.moved_ms = clock_run_ms(), .looked_ms = clock_run_ms()};
	bool ended = false;

	signals_catch();
	progress_run(f->joined, f->age_ms, f->estimate_ms, f->page);
	for (;;) {
		enum read_result rc = READ_ALL;
		enum follow_result fr;
		struct page_view v;
		uint64_t sleep_ms;

		page_view(f->page, &v);
		rc = advance(f, &v);
		if (signals_pending())
			return leave(f);
		if (rc == READ_CANNOT_WRITE && !f->reader.mute) {
			/* Our full disk is no reason to lose the run for those who come later: if we are its last reader, stay. */
			reader_mute(&f->reader);
			if (!is_needed(f) && is_running(f))
				return FOLLOW_CANNOT_WRITE;
			continue; /* its stderr up to the end is still to come */
		}
		if (rc != READ_ALL && rc != READ_MORE)
			return result_of(f, rc);
		note_progress(f, &w, &v);
		if (rc == READ_MORE)
			continue;
		if (v.state != PAGE_RUNNING)
			return result_of_end(f, &v);
		sleep_ms = time_to_sleep(f, &w);
		if (sleep_ms == 0)
			return FOLLOW_SILENT;
		/* Nothing for a while, or a run that never pauses: does everybody still live? The next daemon must know who reads. */
		if (!page_wait(f->page, &v, sleep_ms) && clock_run_ms() - w.looked_ms < SC_PAGE_WAIT_MS)
			continue;
		w.looked_ms = clock_run_ms();
		if (f->reader.mute && !is_needed(f) && is_running(f))
			return FOLLOW_CANNOT_WRITE;
		if (!f->reader.mute && stdout_is_closed(f))
			return FOLLOW_STDOUT_CLOSED;
		fr = look_after_daemon(f, &w, &ended, &v);
		if (fr == FOLLOW_LOST || fr == FOLLOW_NESTED) {
			/* The writer's last word may have come after we looked. */
			page_view(f->page, &v);
			if (v.state == PAGE_RUNNING)
				return fr;
		}
		if (ended) {
			do {
				rc = advance(f, &v);
			} while (rc == READ_MORE);
			return rc ? result_of(f, rc) : result_of_end(f, &v);
		}
	}
}

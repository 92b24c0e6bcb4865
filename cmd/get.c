/* 1 ASK: `sc get`, `sc run` and `sc warm`. Asks the daemon, then replays, follows, or starts the writer and follows; runs the command
 * directly where there is no cache to be had. Reads top to bottom: one question, one answer, one exit status. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/follow.h"
#include "cmd/get_parts.h"
#include "cmd/key.h"
#include "cmd/progress.h"
#include "cmd/sealed.h"
#include "cmd/signals.h"
#include "cmd/spawn.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/killpoint.h"
#include "lib/page.h"

/* ---- what the daemon says ---- */

bool get_start_reader(struct get *g, struct reader *r, const struct msg *m, int out_fd, int err_fd)
{
	struct seal_key keys[SC_SEALED_KEYS];
	bool ready = true;

	reader_init(r, out_fd, err_fd);
	reader_redirect(r, g->output.fd, g->output.temporary);
	r->held = g->req.atomic;
	r->err_bytes = g->status.stderr_bytes;
	if (g->again.out_fd >= 0)
		reader_go_on(r, &g->again);
	if (sealed_keys(m->keys, keys))
		ready = reader_unseal(r, &m->gen, keys) == 0;
	return ready;
}

/* SIGINT and the like: the run goes on if others read it; then we die as the caller expects. */
static int leave(struct get *g, const struct follow *f)
{
	char why[96];

	if (f->others)
		snprintf(why, sizeof why, "still running for %llu other%s", (unsigned long long)f->others,
			 f->others == 1 ? "" : "s");
	else
		snprintf(why, sizeof why, "still running, %sto be kept", f->doomed ? "not " : "");
	if (f->left && !f->stopping)
		get_say(g, why, NULL);
	get_interrupted(g, (int)f->signal);
}

/* The run ended without its end. -1: ask again, once; what we have printed is kept for the second run to be held against. Else
 * the exit status. */
static int on_lost(struct get *g, const struct follow *f, const char *why)
{
	uint64_t printed = f->reader.out_pos;
	char shown[128];

	g->gen = f->gen;
	/* What lies in a temporary nobody has seen. */
	if (g->req.atomic || output_restart(&g->output))
		g->status.bytes = printed = 0;
	/* There is nothing left to hold a second run against, or it would have to be opened again for that. */
	if ((f->reader.from.page || g->sealed) && get_has_printed(g))
		return get_incomplete(g, why);
	if (g->req.strict || (g->lost_once && (get_has_printed(g) || !g->req.cmd)))
		return get_has_printed(g) ? get_incomplete(g, why) : get_fail(g, why, NULL);
	if (g->lost_once)
		return get_bypass(g, why, NULL);
	g->lost_once = true;
	if (get_has_printed(g)) {
		if (again_init(&g->again, f->reader.from.fd[STREAM_OUT], f->reader.from.fd[STREAM_ERR], printed,
			       f->reader.err_pos))
			return get_incomplete(g, why);
		human_escape(g->req.key, strlen(g->req.key), shown, sizeof shown);
		snprintf(g->notice, sizeof g->notice, "%s: %s: the command runs a second time and says something else:\n",
			 SC_BIN, shown);
		g->again.notice = g->req.quiet ? NULL : g->notice;
	}
	KILLPOINT("run_lost");
	get_verbose(g, why, "; asking again");
	return -1;
}

/* What kept a run's output from being stored, and what a person can do about it. */
static const char *why_unkept(int error, const char **mend)
{
	*mend = error == ENOSPC ? "free some space, or see max-size" : error == EFBIG ? "see max-entry, ulimit -f" : NULL;
	return error == EFBIG ? "too large" : strerror(error);
}

static void warn_unkept(const struct get *g, int error)
{
	const char *mend, *because = why_unkept(error, &mend);
	char why[256];

	snprintf(why, sizeof why, "not kept: %s", because);
	get_say(g, why, mend);
}

static int nested(struct get *g)
{
	return get_bypass(g, "its run waits for us", NULL);
}

static int follow(struct get *g, struct page *page, const struct msg *m, int out_fd, int err_fd)
{
	struct follow f = {.session = &g->session,
			   .page = page,
			   .gen = m->gen,
			   .bucket = bytes_of(g->req.bucket),
			   .key = bytes_of(g->req.key),
			   .chain = request_inside(&g->req),
			   .can_lead = g->req.cmd && !g->req.strict,
			   .foreground = g->foreground,
			   .wait_ms = g->req.wait_given ? g->req.wait_ms : SC_FOREVER,
			   .joined = m->type == MSG_FOLLOW,
			   .age_ms = m->age,
			   .estimate_ms = m->estimate};
	enum follow_result rc;

	g->status.gen = m->gen;
	g->sealed = m->keys.n > 0;
	if (!get_start_reader(g, &f.reader, m, out_fd, err_fd))
		return get_bypass(g, sc_strerror(SC_ENOMEM), NULL);
	rc = follow_run(&f);
	progress_stop();
	KILLPOINT("run_followed");
	g->status.bytes = f.reader.printed;
	g->status.stderr_bytes = f.reader.err_bytes;
	reader_release(&f.reader);
	/* Who runs the command itself from here on, and waits for it, is nobody's reader. */
	page_leave_slot(page);
	switch (rc) {
	case FOLLOW_ENDED:
		/* One of those who read it says so: who began it. */
		if (f.unkept && !f.joined)
			warn_unkept(g, f.unkept);
		return get_command_status(g, f.exit, f.signal);
	case FOLLOW_CANCELLED:
		return on_lost(g, &f, "the run was stopped");
	case FOLLOW_LOST:
		return on_lost(g, &f, "the process that ran the command died");
	case FOLLOW_NESTED:
		return nested(g);
	case FOLLOW_SIGNAL:
		return leave(g, &f);
	case FOLLOW_SILENT:
		get_say(g, "nothing came within --wait", NULL);
		return get_finish(g, EXIT_WAITED, "nothing came within --wait");
	case FOLLOW_STDOUT_CLOSED:
		return get_not_printed(g, &f.reader, READ_STDOUT_CLOSED);
	case FOLLOW_CANNOT_WRITE:
		return get_not_printed(g, &f.reader, READ_CANNOT_WRITE);
	case FOLLOW_CANNOT_READ:
		return get_not_printed(g, &f.reader, READ_CANNOT_READ);
	case FOLLOW_DIFFERS:
		return get_not_printed(g, &f.reader, READ_DIFFERS);
	case FOLLOW_OVERTAKEN:
		return get_not_printed(g, &f.reader, READ_OVERTAKEN);
	}
	return EXIT_FAILED;
}

static int lead(struct get *g, const struct msg *m, const int *fds, size_t nfds)
{
	struct page *page = get_join_page(m, fds, nfds);
	int status;

	KILLPOINT("lead_granted");
	if (g->req.inherit_stderr || g->req.foreground)
		progress_forbid();
	g->status.source = "run";
	g->status.ttl_ms = m->ttl;
	g->status.reason = g->req.refresh ? "refresh" : "no entry";
	get_verbose(g, "running the command", "");
	if (!page)
		return get_bypass(g, "the daemon's page is not usable", NULL);
	if (get_start_writer(g, m, fds, page, g->req.warm))
		return get_bypass(g, strerror(errno), NULL);
	KILLPOINT("writer_forked");
	if (g->req.warm) {
		page_free(page);
		return get_finish(g, 0, NULL);
	}
	if (page_take_slot(page, (uint32_t)m->slot))
		get_verbose(g, "no slot on the page: ", strerror(errno));
	KILLPOINT("leader_slot_taken");
	g->foreground = g->req.foreground;
	status = follow(g, page, m, fds[LEAD_OUT], fds[LEAD_ERR]);
	page_free(page);
	close(fds[LEAD_OUT]);
	close(fds[LEAD_ERR]);
	return status;
}

static int join(struct get *g, const struct msg *m, const int *fds, size_t nfds)
{
	struct page *page = get_join_page(m, fds, nfds);
	int status;

	g->status.source = "follow";
	g->status.reason = "in flight";
	g->status.age_ms = m->age;
	if (!page)
		return get_bypass(g, "the daemon's page is not usable", NULL);
	if (g->req.warm) { /* it is on its way */
		page_free(page);
		return get_finish(g, 0, NULL);
	}
	if (page_take_slot(page, (uint32_t)m->slot))
		get_verbose(g, "no slot on the page: ", strerror(errno));
	KILLPOINT("follower_slot_taken");
	g->foreground = false;
	get_verbose(g, "following a run that is going on",
		    m->flags & FOLLOW_OTHER ? ", of another command; the key alone decides" : "");
	status = follow(g, page, m, fds[LEAD_OUT], fds[LEAD_ERR]);
	page_free(page);
	close(fds[LEAD_OUT]);
	close(fds[LEAD_ERR]);
	return status;
}

static int missed(struct get *g)
{
	if (get_has_printed(g))
		return get_incomplete(g, "the process that ran the command died, and nobody is left who can run it again");
	g->status.source = "miss";
	g->status.reason = "no such key";
	get_verbose(g, "no such key", "");
	return get_finish(g, EXIT_NO_KEY, NULL);
}

static int refused(struct get *g, const struct msg *m)
{
	char why[320], text[256];

	const char *mend;

	if (m->reason == REFUSE_NESTED)
		return nested(g);
	if (m->reason == REFUSE_UNKEPT) {
		snprintf(why, sizeof why, "not shared, a moment ago it could not be kept: %s",
			 why_unkept((int)m->error, &mend));
		return get_bypass(g, why, mend);
	}
	if (m->reason == REFUSE_HELD) {
		snprintf(why, sizeof why, "is held by %s", human_escape(m->text.p, m->text.n, text, sizeof text));
		return get_bypass(g, why, NULL);
	}
	snprintf(why, sizeof why, "the cache cannot take it: %s",
		 m->error ? strerror((int)m->error) : human_escape(m->text.p, m->text.n, text, sizeof text));
	return get_bypass(g, why, m->error == ENOSPC ? "free some space" : NULL);
}

/* ---- the question ---- */

static const char *reason_to_wait(const struct msg *m)
{
	switch (m->reason) {
	case WAIT_STOPPING:
		return "a run that is being stopped";
	case WAIT_REGISTERING:
		return "a run to be known again";
	case WAIT_REFRESHING:
		return "the next run";
	case WAIT_HEIRS:
		return "somebody who can run the command again";
	case WAIT_HELD:
		return "whoever begins to hold the key";
	default:
		return "the key to begin to exist";
	}
}

static uint64_t time_left(uint64_t until)
{
	uint64_t now = clock_run_ms();

	return until == SC_FOREVER ? SC_FOREVER : until > now ? until - now : 0;
}

/* The answer that says what to do; WAITs passed over. 0 or as session_hear. */
static int hear_answer(struct get *g, struct msg *m, int *fds, size_t *nfds)
{
	uint64_t until = g->req.wait_given ? clock_run_ms() + g->req.wait_ms : SC_FOREVER;
	struct msg q = request_question(&g->req, &g->gen);
	int rc = session_ask(&g->session, SESSION_START, &q, m, fds, nfds, SC_FOREVER);

	get_obey_signals(g);
	if (until < g->req.wait_ms)
		until = SC_FOREVER;
	/* LOST was on its way when we asked: the page had said it before. */
	while (rc == 0 && (m->type == MSG_WAIT || m->type == MSG_LOST)) {
		if (m->type == MSG_WAIT) {
			get_verbose(g, "waiting for ", reason_to_wait(m));
			progress_wait(reason_to_wait(m));
		}
		do {
			rc = session_hear(&g->session, m, fds, nfds, time_left(until));
			get_obey_signals(g);
		} while (rc == SC_ESYS && errno == EINTR);
		if (rc != SC_EEOF)
			continue;
		/* A new daemon knows nothing of our question. No line meanwhile: what a signal does about it would interrupt. */
		progress_stop();
		rc = session_ask(&g->session, SESSION_START, &q, m, fds, nfds, SC_FOREVER);
	}
	return rc;
}

static int ask(struct get *g)
{
	struct msg m;
	int fds[SC_FDS_MAX], rc;
	size_t nfds = 0;

	KILLPOINT("before_ask");
	rc = hear_answer(g, &m, fds, &nfds);
	progress_stop();
	KILLPOINT("answer_heard");
	if (rc == SC_EAGAIN) {
		get_say(g, "nothing came within --wait", NULL);
		return get_finish(g, EXIT_WAITED, "nothing came within --wait");
	}
	if (rc)
		return get_bypass(g, g->session.why[0] ? g->session.why : sc_strerror(rc), g->session.mend);
	switch (m.type) {
	case MSG_HIT:
		rc = get_replay(g, &m, fds, nfds);
		for (size_t i = 0; i < nfds; i++)
			close(fds[i]);
		return rc;
	case MSG_FOLLOW:
		return join(g, &m, fds, nfds);
	case MSG_LEAD:
		return lead(g, &m, fds, nfds);
	case MSG_MISS:
		return missed(g);
	case MSG_REFUSE:
		return refused(g, &m);
	default:
		return get_bypass(g, "the daemon's answer makes no sense", SC_BIN " daemon restart");
	}
}

/* ---- before the question ---- */

static int print_key(const struct get *g)
{
	key_print(bytes_of(g->req.key));
	putchar('\n');
	return end_output(g->req.key);
}

static int run(struct get *g, const struct command *self, int argc, char **argv)
{
	const char *disabled = getenv("SC_DISABLE");
	bool is_disabled = disabled && strcmp(disabled, "1") == 0;
	int status;

	KILLPOINT("cli_start");
	if (!request_parse(&g->req, self, argc, argv))
		return EXIT_FAILED;
	status_init(&g->status);
	output_init(&g->output);
	g->status.fd = g->req.status_fd;
	g->status.key = bytes_of(g->req.key);
	g->status.bucket = g->req.bucket;
	if (g->req.output && !output_open(&g->output, g->req.output))
		return get_cannot_write(g, g->output.why);
	if (!g->req.quiet && !g->req.warm)
		progress_allow(g->req.key, g->output.fd);
	status = get_make_key(g, is_disabled);
	if (status >= 0)
		return status;
	if (g->req.print_key)
		return print_key(g);
	if (is_disabled)
		return g->req.cmd ? get_bypass(g, NULL, NULL) : missed(g);
	do {
		status = ask(g);
	} while (status < 0);
	return status;
}

static struct get the_get = {.session = SESSION_INIT, .spool = SPOOL_NONE, .again = {.out_fd = -1, .err_fd = -1}};

int run_get(const struct command *self, int argc, char **argv)
{
	return run(&the_get, self, argc, argv);
}

/* The same; what is different about its key is in request.c and get_key.c. */
int run_run(const struct command *self, int argc, char **argv)
{
	return run(&the_get, self, argc, argv);
}

/* The same up to where there would be something to print. */
int run_warm(const struct command *self, int argc, char **argv)
{
	return run(&the_get, self, argc, argv);
}

/* 1 ASK: `sc get` and `sc warm`. Asks the daemon, then replays, follows, or starts the writer and follows; runs the command directly where
 * there is no cache to be had. Reads top to bottom: one question, one answer, one exit status. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/again.h"
#include "cmd/command.h"
#include "cmd/follow.h"
#include "cmd/key.h"
#include "cmd/output.h"
#include "cmd/progress.h"
#include "cmd/request.h"
#include "cmd/session.h"
#include "cmd/signals.h"
#include "cmd/spawn.h"
#include "cmd/spool.h"
#include "cmd/status.h"
#include "cmd/writer.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/killpoint.h"
#include "lib/page.h"

struct get {
	struct request req;
	struct session session;
	struct status status;
	struct output output;
	int spool_fd;	/* what our stdin was; -1: it was not read, or only for the key */
	struct gen gen; /* of the run we read, or have just lost */
	bool lost_once;
	struct again again; /* what we printed of a run that was lost; out_fd -1: nothing */
	char notice[256];
};

/* ---- ends ---- */

static void say(const struct get *g, const char *why, const char *mend)
{
	if (!g->req.quiet)
		complain(g->req.key, why, mend);
}

static void verbose(const struct get *g, const char *what, const char *more)
{
	if (g->req.verbose && !g->req.quiet)
		complainf(g->req.key, "%s%s", what, more);
}

static int finish(struct get *g, int status, const char *error)
{
	output_abandon(&g->output);
	g->status.error = error;
	status_write(&g->status);
	return status;
}

static int fail(struct get *g, const char *why, const char *mend)
{
	say(g, why, mend);
	return finish(g, EXIT_FAILED, why);
}

/* Where our stdout goes. */
static int cannot_write(struct get *g, const char *why)
{
	char text[512], shown[256];

	if (g->req.output)
		human_escape(g->req.output, strlen(g->req.output), shown, sizeof shown);
	snprintf(text, sizeof text, "%s: %s", g->req.output ? shown : "write error", why);
	return fail(g, text, NULL);
}

/* The command's own status, as a shell would tell it. */
static int command_status(struct get *g, uint32_t code, uint32_t sig)
{
	char why[64];

	g->status.ended = true;
	g->status.exit = code;
	g->status.signal = sig;
	if (code == 0 && sig == 0 && !output_commit(&g->output))
		return cannot_write(g, g->output.why);
	g->status.complete = true;
	if (sig) {
		snprintf(why, sizeof why, "command killed by signal %u", sig);
		say(g, why, NULL);
	}
	return finish(g, sig ? 128 + (int)sig : (int)code, NULL);
}

static bool has_printed(const struct get *g)
{
	return g->status.bytes || g->status.stderr_bytes;
}

/* Good bytes are out, the rest will not come. */
static int incomplete(struct get *g, const char *why)
{
	char text[256];

	snprintf(text, sizeof text, "%s: output is incomplete after %llu good bytes", why, (unsigned long long)g->status.bytes);
	return fail(g, text, NULL);
}

static int stdout_failed(struct get *g, const struct reader *r, enum read_result rc);

/* What a command has printed into a spool. */
static enum read_result print_spool(struct reader *r, int fd)
{
	struct stat st;

	reader_init(r, fd, -1);
	if (fstat(fd, &st) < 0)
		return READ_CANNOT_READ;
	return reader_print(r, (uint64_t)st.st_size, 0);
}

/* Nothing of it may be seen before it has succeeded: somebody must be there then. */
static int bypass_and_wait(struct get *g)
{
	struct reader r = {.printed = 0};
	enum read_result rc = READ_ALL;
	int fd = g->output.fd;
	struct ended how;

	g->status.reason = strdup(g->status.reason); /* the session's words go with it */
	session_release(&g->session);		     /* to the daemon we are gone */
	if (g->req.atomic && spool_make(-1, &fd))
		return fail(g, "no room to keep the output of CMD until it has ended", NULL);
	if (spawn_and_wait(g->req.cmd, g->spool_fd, fd, &how))
		return fail(g, strerror(errno), NULL);
	if (g->req.atomic && how.exit == 0 && how.signal == 0)
		rc = print_spool(&r, fd);
	if (rc)
		return stdout_failed(g, &r, rc);
	g->status.bytes = r.printed;
	if (how.signal && how.signal == how.caught) {
		finish(g, 128 + how.signal, "interrupted");
		signals_die(how.signal);
	}
	return command_status(g, (uint32_t)how.exit, (uint32_t)how.signal);
}

/* Never worse than not using sc: the command itself, in our place. */
static int bypass(struct get *g, const char *why, const char *mend)
{
	char text[SC_PATH_MAX + 768];

	if (has_printed(g))
		return incomplete(g, why);
	if (!g->req.cmd || g->req.strict)
		return fail(g, why, mend);
	if (why) {
		snprintf(text, sizeof text, "%s%s%s", mend ? mend : "", mend ? "; " : "", "running the command directly");
		say(g, why, text);
	}
	g->status.source = "bypass";
	g->status.reason = why ? why : "disabled";
	if (g->req.atomic || g->output.temporary)
		return bypass_and_wait(g);
	status_write(&g->status);
	if (g->output.fd != 1)
		dup2(g->output.fd, 1);
	if (g->req.warm)
		spawn_no_stdout();
	return spawn_become(g->req.cmd, g->spool_fd);
}

static int stdout_failed(struct get *g, const struct reader *r, enum read_result rc)
{
	g->status.bytes = r->printed;
	g->status.stderr_bytes = r->err_bytes;
	if (rc == READ_STDOUT_CLOSED)
		return finish(g, EXIT_PIPE, "stdout was closed");
	if (rc == READ_DIFFERS)
		return incomplete(g, "the process that ran the command died, and a second run printed something else");
	if (rc == READ_CANNOT_READ)
		return incomplete(g, r->error ? strerror(r->error) : "the object is damaged");
	return cannot_write(g, strerror(r->error));
}

/* ---- what the daemon says ---- */

static void start_reader(struct get *g, struct reader *r, int out_fd, int err_fd)
{
	reader_init(r, out_fd, err_fd);
	reader_redirect(r, g->output.fd, g->output.temporary);
	r->held = g->req.atomic;
	r->err_bytes = g->status.stderr_bytes;
	if (g->again.out_fd >= 0)
		reader_go_on(r, &g->again);
}

static int replay(struct get *g, const struct msg *m, const int *fds, size_t nfds)
{
	char age[32];
	struct reader r;
	enum read_result rc;

	g->status.source = "hit";
	g->status.gen = m->gen;
	g->status.age_ms = m->age;
	g->status.ttl_ms = m->ttl;
	KILLPOINT("hit_granted");
	if (g->req.warm)
		return finish(g, 0, NULL);
	start_reader(g, &r, fds[0], nfds > 1 ? fds[1] : -1);
	reader_let_go(&r, m->exit == 0 && m->signal == 0);
	reader_prepare(&r, m->out_len);
	verbose(g, "hit, made this long ago: ", human_format_duration(m->age, age));
	rc = reader_print(&r, m->out_len, m->err_len);
	if (rc)
		return stdout_failed(g, &r, rc);
	KILLPOINT("hit_printed");
	g->status.bytes = r.printed;
	g->status.stderr_bytes = r.err_bytes;
	return command_status(g, (uint32_t)m->exit, (uint32_t)m->signal);
}

/* SIGINT and the like: the run goes on if others read it; then we die as the caller expects. */
static int leave(struct get *g, const struct follow *f)
{
	char why[96];

	if (f->others)
		snprintf(why, sizeof why, "still running for %llu other%s", (unsigned long long)f->others,
			 f->others == 1 ? "" : "s");
	else
		snprintf(why, sizeof why, "still running, to be kept");
	if (f->left && !f->stopping)
		say(g, why, NULL);
	finish(g, 128 + (int)f->signal, "interrupted");
	signals_die((int)f->signal);
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
	if (g->req.strict || (g->lost_once && (has_printed(g) || !g->req.cmd)))
		return has_printed(g) ? incomplete(g, why) : fail(g, why, NULL);
	if (g->lost_once)
		return bypass(g, why, NULL);
	g->lost_once = true;
	if (has_printed(g)) {
		if (again_init(&g->again, f->reader.out_fd, f->reader.err_fd, printed, f->reader.err_pos))
			return incomplete(g, why);
		human_escape(g->req.key, strlen(g->req.key), shown, sizeof shown);
		snprintf(g->notice, sizeof g->notice, "%s: %s: the command runs a second time and says something else:\n",
			 SC_BIN, shown);
		g->again.notice = g->req.quiet ? NULL : g->notice;
	}
	KILLPOINT("run_lost");
	verbose(g, why, "; asking again");
	return -1;
}

static int nested(struct get *g)
{
	return bypass(g, "its run waits for us", NULL);
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
			   .wait_ms = g->req.wait_given ? g->req.wait_ms : SC_FOREVER,
			   .joined = m->type == MSG_FOLLOW,
			   .age_ms = m->age,
			   .estimate_ms = m->estimate};
	enum follow_result rc;

	g->status.gen = m->gen;
	start_reader(g, &f.reader, out_fd, err_fd);
	rc = follow_run(&f);
	progress_stop();
	KILLPOINT("run_followed");
	g->status.bytes = f.reader.printed;
	g->status.stderr_bytes = f.reader.err_bytes;
	switch (rc) {
	case FOLLOW_ENDED:
		return command_status(g, f.exit, f.signal);
	case FOLLOW_CANCELLED:
		return on_lost(g, &f, "the run was stopped");
	case FOLLOW_LOST:
		return on_lost(g, &f, "the process that ran the command died");
	case FOLLOW_NESTED:
		return nested(g);
	case FOLLOW_SIGNAL:
		return leave(g, &f);
	case FOLLOW_SILENT:
		say(g, "nothing came within --wait", NULL);
		return finish(g, EXIT_WAITED, "nothing came within --wait");
	case FOLLOW_STDOUT_CLOSED:
		return stdout_failed(g, &f.reader, READ_STDOUT_CLOSED);
	case FOLLOW_CANNOT_WRITE:
		return stdout_failed(g, &f.reader, READ_CANNOT_WRITE);
	case FOLLOW_CANNOT_READ:
		return stdout_failed(g, &f.reader, READ_CANNOT_READ);
	case FOLLOW_DIFFERS:
		return stdout_failed(g, &f.reader, READ_DIFFERS);
	}
	return EXIT_FAILED;
}

/* Maps the page and takes a slot. NULL: it is not what the daemon said, or there is no memory. */
static struct page *join_page(const struct msg *m, const int *fds, size_t nfds)
{
	struct page *page;

	if (page_map(&page, fds[LEAD_PAGE], &m->gen) == 0)
		return page;
	/* The flight's own descriptors among them: who holds them is taken for its writer. */
	for (size_t i = 0; i < nfds; i++)
		if (i != LEAD_PAGE)
			close(fds[i]);
	return NULL;
}

static int lead(struct get *g, const struct msg *m, const int *fds, size_t nfds)
{
	struct page *page = join_page(m, fds, nfds);
	struct run run = {.place = &g->session.place,
			  .gen = m->gen,
			  .bucket = bytes_of(g->req.bucket),
			  .key = bytes_of(g->req.key),
			  .page = page,
			  .out_fd = fds[LEAD_OUT_WRITE],
			  .err_fd = fds[LEAD_ERR_WRITE],
			  .socket_fd = fds[LEAD_SOCKET],
			  .lock_fd = fds[LEAD_LOCK],
			  .argv = g->req.cmd,
			  .stdin_fd = g->spool_fd,
			  .inherit_stderr = g->req.inherit_stderr,
			  .foreground = g->req.foreground,
			  .detached = g->req.warm,
			  .linger_ms = g->req.linger_ms};
	int status;

	KILLPOINT("lead_granted");
	if (g->req.inherit_stderr)
		progress_forbid();
	g->status.source = "run";
	g->status.ttl_ms = m->ttl;
	g->status.reason = g->req.refresh ? "refresh" : "no entry";
	verbose(g, "running the command", "");
	if (!page)
		return bypass(g, "the daemon's page is not usable", NULL);
	run.chain = request_chain(&g->req, &m->gen);
	if (writer_start(&run))
		return bypass(g, strerror(errno), NULL);
	KILLPOINT("writer_forked");
	if (g->req.warm)
		return finish(g, 0, NULL);
	if (page_take_slot(page, (uint32_t)m->slot))
		verbose(g, "no slot on the page: ", strerror(errno));
	KILLPOINT("leader_slot_taken");
	status = follow(g, page, m, fds[LEAD_OUT], fds[LEAD_ERR]);
	page_free(page);
	close(fds[LEAD_OUT]);
	close(fds[LEAD_ERR]);
	return status;
}

static int join(struct get *g, const struct msg *m, const int *fds, size_t nfds)
{
	struct page *page = join_page(m, fds, nfds);
	int status;

	g->status.source = "follow";
	g->status.reason = "in flight";
	g->status.age_ms = m->age;
	if (!page)
		return bypass(g, "the daemon's page is not usable", NULL);
	if (g->req.warm)
		return finish(g, 0, NULL); /* it is on its way */
	if (page_take_slot(page, (uint32_t)m->slot))
		verbose(g, "no slot on the page: ", strerror(errno));
	KILLPOINT("follower_slot_taken");
	verbose(g, "following a run that is going on", "");
	status = follow(g, page, m, fds[LEAD_OUT], fds[LEAD_ERR]);
	page_free(page);
	close(fds[LEAD_OUT]);
	close(fds[LEAD_ERR]);
	return status;
}

static int missed(struct get *g)
{
	if (has_printed(g))
		return incomplete(g, "the process that ran the command died, and nobody is left who can run it again");
	g->status.source = "miss";
	g->status.reason = "no such key";
	return finish(g, EXIT_NO_KEY, NULL);
}

static int refused(struct get *g, const struct msg *m)
{
	char why[320], text[256];

	if (m->reason == REFUSE_NESTED)
		return nested(g);
	snprintf(why, sizeof why, "the cache cannot take it: %s",
		 m->error ? strerror((int)m->error) : human_escape(m->text.p, m->text.n, text, sizeof text));
	return bypass(g, why, m->error == ENOSPC ? "free some space" : NULL);
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
	default:
		return "the key to begin to exist";
	}
}

static uint64_t time_left(uint64_t until)
{
	uint64_t now = clock_boot_ms();

	return until == SC_FOREVER ? SC_FOREVER : until > now ? until - now : 0;
}

/* The answer that says what to do; WAITs passed over. 0 or as session_hear. */
static int hear_answer(struct get *g, struct msg *m, int *fds, size_t *nfds)
{
	uint64_t until = g->req.wait_given ? clock_boot_ms() + g->req.wait_ms : SC_FOREVER;
	struct msg q = request_question(&g->req, &g->gen);
	int rc = session_ask(&g->session, SESSION_START, &q, m, fds, nfds, SC_FOREVER);

	if (until < g->req.wait_ms)
		until = SC_FOREVER;
	/* LOST was on its way when we asked: the page had said it before. */
	while (rc == 0 && (m->type == MSG_WAIT || m->type == MSG_LOST)) {
		if (m->type == MSG_WAIT) {
			verbose(g, "waiting for ", reason_to_wait(m));
			progress_wait(reason_to_wait(m));
		}
		do {
			rc = session_hear(&g->session, m, fds, nfds, time_left(until));
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
		say(g, "nothing came within --wait", NULL);
		return finish(g, EXIT_WAITED, "nothing came within --wait");
	}
	if (rc)
		return bypass(g, g->session.why[0] ? g->session.why : sc_strerror(rc), g->session.mend);
	switch (m.type) {
	case MSG_HIT:
		return replay(g, &m, fds, nfds);
	case MSG_FOLLOW:
		return join(g, &m, fds, nfds);
	case MSG_LEAD:
		return lead(g, &m, fds, nfds);
	case MSG_MISS:
		return missed(g);
	case MSG_REFUSE:
		return refused(g, &m);
	default:
		return bypass(g, "the daemon's answer makes no sense", SC_BIN " daemon restart");
	}
}

/* ---- before the question ---- */

/* Reads our stdin, and makes the key that includes it. False: why has been said. */
static bool take_stdin(struct get *g, bool disabled)
{
	uint8_t hash[SC_DIGEST_SIZE];
	struct key key = {.n = 0};
	int rc = 0, reading = 0;
	const char *text = NULL;

	/* Whether there is a cache directory is asked again, with the question. */
	if (g->req.cmd && !g->req.print_key) {
		if (!disabled)
			session_find(&g->session, SESSION_START);
		rc = spool_make(g->session.place.dir_fd, &g->spool_fd);
	}
	if (rc == 0)
		rc = spool_take_stdin(g->spool_fd, hash, &reading);
	if (rc == 0)
		rc = key_declare(&key, "stdin", "", hash);
	if (rc == 0)
		text = key_make(&key, g->req.key);
	if (text) {
		g->req.key = text;
		return true;
	}
	say(g, reading ? "stdin cannot be read" : "no room to keep stdin", sc_strerror(rc ? rc : SC_ENOMEM));
	finish(g, EXIT_FAILED, "stdin");
	return false;
}

static int print_key(const struct get *g)
{
	key_print(bytes_of(g->req.key));
	putchar('\n');
	if (fflush(stdout) == 0)
		return 0;
	if (errno == EPIPE)
		return EXIT_PIPE;
	complainf(g->req.key, "write error: %s", strerror(errno));
	return EXIT_FAILED;
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
	if (g->req.output && !g->req.print_key && !output_open(&g->output, g->req.output))
		return cannot_write(g, g->output.why);
	if (g->req.takes_stdin && !take_stdin(g, is_disabled))
		return EXIT_FAILED;
	g->status.key = bytes_of(g->req.key);
	if (g->req.print_key)
		return print_key(g);
	if (!g->req.quiet)
		progress_allow(g->req.key, g->output.fd);
	if (is_disabled)
		return g->req.cmd ? bypass(g, NULL, NULL) : missed(g);
	do {
		status = ask(g);
	} while (status < 0);
	return status;
}

static struct get the_get = {.session = SESSION_INIT, .spool_fd = -1, .again = {.out_fd = -1, .err_fd = -1}};

int run_get(const struct command *self, int argc, char **argv)
{
	return run(&the_get, self, argc, argv);
}

/* The same up to where there would be something to print. */
int run_warm(const struct command *self, int argc, char **argv)
{
	return run(&the_get, self, argc, argv);
}

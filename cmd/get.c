/* 1 ASK: `sc get`. Asks the daemon, then replays, follows, or starts the writer and follows; runs the command directly where
 * there is no cache to be had. Reads top to bottom: one question, one answer, one exit status. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/follow.h"
#include "cmd/options.h"
#include "cmd/session.h"
#include "cmd/signals.h"
#include "cmd/spawn.h"
#include "cmd/status.h"
#include "cmd/writer.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/killpoint.h"
#include "lib/page.h"

enum { TTL, REFRESH, FINISH, STDERR, WAIT, STRICT, STATUS_FD, QUIET, VERBOSE, OPTIONS };

const struct option_row get_options[] = {
	[TTL] = {'t', "ttl", "DUR", "keep what CMD makes for DUR (default 1h), and take nothing older"},
	[REFRESH] = {'r', "refresh", NULL, "run CMD anew; others keep getting the entry there is until it has ended"},
	[FINISH] = {0, "finish", NULL, "let the run end, and keep its result, although nobody reads any more"},
	[STDERR] = {0, "stderr", "replay|inherit",
		    "CMD's stderr goes to every caller (replay), or only to the first (inherit)"},
	[WAIT] = {'w', "wait", "DUR",
		  "exit 124 after DUR without a byte; without CMD, wait so long for KEY (0: only what is finished)"},
	[STRICT] = {0, "strict", NULL, "the one shared run or nothing: exit 125 where CMD would be run directly"},
	[STATUS_FD] = {0, "status-fd", "N", "write one line of JSON about the result to descriptor N"},
	[QUIET] = {'q', "quiet", NULL, "no messages of sc's own"},
	[VERBOSE] = {'v', "verbose", NULL, "say where the bytes came from"},
	[OPTIONS] = {0},
};

struct get {
	const char *key;
	char **cmd; /* NULL: only look */
	const char *bucket;
	uint64_t ttl_ms, accept_ms; /* how long it may be kept, how old it may be */
	uint64_t wait_ms;
	bool wait_given;
	bool refresh, finish, inherit_stderr, strict, quiet, verbose;

	struct session session;
	struct status status;
	struct gen gen; /* of the run we read, or have just lost */
	bool lost_once;
	struct gen chain[SC_CHAIN_MAX]; /* runs we are inside of */
	size_t nchain;
};

/* ---- the command line ---- */

static bool set_stderr(struct get *g, const struct options *o)
{
	if (strcmp(o->value, "replay") == 0)
		g->inherit_stderr = false;
	else if (strcmp(o->value, "inherit") == 0)
		g->inherit_stderr = true;
	else
		return options_error(o, "--stderr takes replay or inherit") == 0;
	return true;
}

static bool set_status_fd(struct get *g, const struct options *o)
{
	uint64_t fd;

	if (human_parse_number(o->value, 0, 1 << 20, &fd) != 0)
		return options_error(o, "--status-fd takes a descriptor's number") == 0;
	if (fcntl((int)fd, F_GETFD) < 0)
		return options_error(o, "--status-fd %d is not open", (int)fd) == 0;
	g->status.fd = (int)fd;
	return true;
}

static bool set_option(struct get *g, const struct options *o, const struct option_row *row)
{
	unsigned long long ms = 0;

	switch (row - get_options) {
	case TTL:
		if (!options_duration(o, row, &ms))
			return false;
		g->ttl_ms = g->accept_ms = ms;
		return true;
	case WAIT:
		g->wait_given = options_duration(o, row, &ms);
		g->wait_ms = ms;
		return g->wait_given;
	case REFRESH:
		g->refresh = true;
		return true;
	case FINISH:
		g->finish = true;
		return true;
	case STDERR:
		return set_stderr(g, o);
	case STRICT:
		g->strict = true;
		return true;
	case STATUS_FD:
		return set_status_fd(g, o);
	case QUIET:
		g->quiet = true;
		return true;
	case VERBOSE:
		g->verbose = true;
		return true;
	}
	return false;
}

/* What the environment sets and an option overrides. */
static bool read_environment(struct get *g, const struct options *o)
{
	const char *ttl = getenv("SC_TTL"), *strict = getenv("SC_STRICT"), *chain = getenv("SC_FLIGHTS");

	if (ttl && *ttl && human_parse_duration(ttl, &g->ttl_ms) != 0)
		return options_error(o, "SC_TTL is no duration (say 90s, 1h30m, 2d or forever)") == 0;
	g->strict = strict && strcmp(strict, "1") == 0;
	/* Ours to write, anybody's to spoil: what is no generation is passed over. */
	while (chain && *chain && g->nchain < SC_CHAIN_MAX) {
		size_t n = strcspn(chain, ",");

		if (gen_parse(chain, n, &g->chain[g->nchain]) == 0)
			g->nchain++;
		chain += n + (chain[n] == ',');
	}
	return true;
}

static bool check(const struct get *g, const struct options *o)
{
	size_t n = o->nwords ? strlen(o->words[0]) : 0;
	char shown[128];

	if (o->nwords == 0)
		return options_error(o, "KEY is missing") == 0;
	if (o->nwords > 1)
		return options_error(o, "'%s' after KEY is too much: CMD begins behind --",
				     human_escape(o->words[1], strlen(o->words[1]), shown, sizeof shown)) == 0;
	if (n == 0)
		return options_error(o, "KEY is empty") == 0;
	if (n > SC_KEY_MAX)
		return options_error(o, "KEY has %zu bytes, %d are the most", n, SC_KEY_MAX) == 0;
	if (o->cmd && !o->cmd[0])
		return options_error(o, "there is no command after --") == 0;
	if (o->cmd && !o->cmd[0][0])
		return options_error(o, "the command after -- is an empty word") == 0;
	if (g->refresh && !o->cmd)
		return options_error(o, "--refresh without a command has nothing to run") == 0;
	if (g->finish && !o->cmd)
		return options_error(o, "--finish without a command has nothing to run") == 0;
	if (g->wait_given && g->wait_ms == 0 && o->cmd)
		return options_error(o, "--wait 0 takes only what is finished, but a command is given") == 0;
	return true;
}

static bool parse(struct get *g, const struct command *self, int argc, char **argv)
{
	const struct option_row *row;
	struct options o;

	options_start(&o, self, argc, argv);
	if (!read_environment(g, &o))
		return false;
	while ((row = options_next(&o)))
		if (!set_option(g, &o, row))
			return false;
	if (options_failed(&o) || !check(g, &o))
		return false;
	g->key = o.words[0];
	g->cmd = o.cmd;
	g->status.key = bytes_of(g->key);
	g->status.bucket = g->bucket;
	if (g->status.fd >= 0)
		fcntl(g->status.fd, F_SETFD, FD_CLOEXEC);
	return true;
}

/* ---- ends ---- */

static void say(const struct get *g, const char *why, const char *mend)
{
	if (!g->quiet)
		complain(g->key, why, mend);
}

static void verbose(const struct get *g, const char *what, const char *more)
{
	if (g->verbose && !g->quiet)
		complainf(g->key, "%s%s", what, more);
}

static int finish(struct get *g, int status, const char *error)
{
	g->status.error = error;
	status_write(&g->status);
	return status;
}

static int fail(struct get *g, const char *why, const char *mend)
{
	say(g, why, mend);
	return finish(g, EXIT_FAILED, why);
}

/* The command's own status, as a shell would tell it. */
static int command_status(struct get *g, uint32_t code, uint32_t sig)
{
	char why[64];

	g->status.ended = g->status.complete = true;
	g->status.exit = code;
	g->status.signal = sig;
	if (sig) {
		snprintf(why, sizeof why, "command killed by signal %u", sig);
		say(g, why, NULL);
	}
	return finish(g, sig ? 128 + (int)sig : (int)code, NULL);
}

/* Never worse than not using sc: the command itself, in our place. */
static int bypass(struct get *g, const char *why, const char *mend)
{
	char text[SC_PATH_MAX + 768];

	if (!g->cmd || g->strict)
		return fail(g, why, mend);
	if (why) {
		snprintf(text, sizeof text, "%s%s%s", mend ? mend : "", mend ? "; " : "", "running the command directly");
		say(g, why, text);
	}
	g->status.source = "bypass";
	g->status.reason = why ? why : "disabled";
	status_write(&g->status);
	return spawn_become(g->cmd);
}

/* Good bytes are out, the rest will not come. */
static int incomplete(struct get *g, const char *why)
{
	char text[256];

	snprintf(text, sizeof text, "%s: output is incomplete after %llu good bytes", why, (unsigned long long)g->status.bytes);
	return fail(g, text, NULL);
}

static int stdout_failed(struct get *g, const struct reader *r, enum read_result rc)
{
	char why[128];

	g->status.bytes = r->printed;
	g->status.stderr_bytes = r->err_bytes;
	if (rc == READ_STDOUT_CLOSED)
		return finish(g, EXIT_PIPE, "stdout was closed");
	if (rc == READ_CANNOT_READ)
		return incomplete(g, r->error ? strerror(r->error) : "the object is damaged");
	snprintf(why, sizeof why, "write error: %s", strerror(r->error));
	return fail(g, why, NULL);
}

/* ---- what the daemon says ---- */

static int replay(struct get *g, const struct msg *m, const int *fds, size_t nfds)
{
	char age[32];
	struct reader r;
	enum read_result rc;

	g->status.source = "hit";
	g->status.gen = m->gen;
	g->status.age_ms = m->age;
	g->status.ttl_ms = m->ttl;
	reader_init(&r, fds[0], nfds > 1 ? fds[1] : -1);
	verbose(g, "hit, made this long ago: ", human_format_duration(m->age, age));
	do {
		rc = reader_advance(&r, m->out_len, m->err_len);
	} while (rc == READ_INTERRUPTED);
	if (rc)
		return stdout_failed(g, &r, rc);
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

/* Asking again for a run that was lost before we printed a byte of it; -1. Else the exit status. */
static int on_lost(struct get *g, const struct follow *f)
{
	g->gen = f->gen;
	if (g->status.bytes || g->status.stderr_bytes)
		return incomplete(g, "the process that ran the command died");
	if (g->strict)
		return fail(g, "the process that ran the command died", NULL);
	if (g->lost_once)
		return bypass(g, "the process that ran the command died, twice", NULL);
	g->lost_once = true;
	verbose(g, "the process that ran the command died; asking again", "");
	return -1;
}

static int nested(struct get *g)
{
	static const char why[] = "its run waits for us";

	return g->status.bytes || g->status.stderr_bytes ? incomplete(g, why) : bypass(g, why, NULL);
}

static struct bytes chain_of(const struct get *g)
{
	return (struct bytes){(const uint8_t *)g->chain, g->nchain * SC_GEN_SIZE};
}

static int follow(struct get *g, struct page *page, const struct msg *m, int out_fd, int err_fd)
{
	struct follow f = {.session = &g->session,
			   .page = page,
			   .gen = m->gen,
			   .bucket = bytes_of(g->bucket),
			   .key = bytes_of(g->key),
			   .chain = chain_of(g),
			   .wait_ms = g->wait_given ? g->wait_ms : SC_FOREVER};
	enum follow_result rc;

	g->status.gen = m->gen;
	reader_init(&f.reader, out_fd, err_fd);
	rc = follow_run(&f);
	g->status.bytes = f.reader.printed;
	g->status.stderr_bytes = f.reader.err_bytes;
	switch (rc) {
	case FOLLOW_ENDED:
		return command_status(g, f.exit, f.signal);
	case FOLLOW_CANCELLED:
		return incomplete(g, "the run was stopped");
	case FOLLOW_LOST:
		return on_lost(g, &f);
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
	}
	return EXIT_FAILED;
}

/* Maps the page and takes a slot. NULL: it is not what the daemon said, or there is no memory. */
static struct page *join_page(int fd, const struct msg *m)
{
	struct page *page;

	if (page_map(&page, fd, &m->gen))
		return NULL;
	return page;
}

static char *chain_text(const struct get *g, const struct gen *own)
{
	static char text[(SC_CHAIN_MAX + 1) * SC_GEN_HEX];
	char *p = text;

	/* The innermost last; when there are too many the outermost is forgotten. */
	for (size_t i = g->nchain == SC_CHAIN_MAX; i < g->nchain; i++) {
		gen_format(&g->chain[i], p);
		p += SC_GEN_HEX;
		p[-1] = ',';
	}
	gen_format(own, p);
	return text;
}

static int lead(struct get *g, const struct msg *m, const int *fds)
{
	struct page *page = join_page(fds[LEAD_PAGE], m);
	struct run run = {.place = &g->session.place,
			  .gen = m->gen,
			  .bucket = bytes_of(g->bucket),
			  .key = bytes_of(g->key),
			  .page = page,
			  .out_fd = fds[LEAD_OUT_WRITE],
			  .err_fd = fds[LEAD_ERR_WRITE],
			  .socket_fd = fds[LEAD_SOCKET],
			  .lock_fd = fds[LEAD_LOCK],
			  .argv = g->cmd,
			  .inherit_stderr = g->inherit_stderr};
	int status;

	KILLPOINT("lead_granted");
	g->status.source = "run";
	g->status.ttl_ms = m->ttl;
	g->status.reason = g->refresh ? "refresh" : "no entry";
	verbose(g, "running the command", "");
	if (!page)
		return bypass(g, "the daemon's page is not usable", NULL);
	run.chain = chain_text(g, &m->gen);
	if (writer_start(&run))
		return bypass(g, strerror(errno), NULL);
	if (page_take_slot(page, (uint32_t)m->slot))
		verbose(g, "no slot on the page: ", strerror(errno));
	status = follow(g, page, m, fds[LEAD_OUT], fds[LEAD_ERR]);
	page_free(page);
	close(fds[LEAD_OUT]);
	close(fds[LEAD_ERR]);
	return status;
}

static int join(struct get *g, const struct msg *m, const int *fds)
{
	struct page *page = join_page(fds[LEAD_PAGE], m);
	int status;

	g->status.source = "follow";
	g->status.reason = "in flight";
	g->status.age_ms = m->age;
	if (!page)
		return bypass(g, "the daemon's page is not usable", NULL);
	if (page_take_slot(page, (uint32_t)m->slot))
		verbose(g, "no slot on the page: ", strerror(errno));
	verbose(g, "following a run that is going on", "");
	status = follow(g, page, m, fds[LEAD_OUT], fds[LEAD_ERR]);
	page_free(page);
	close(fds[LEAD_OUT]);
	close(fds[LEAD_ERR]);
	return status;
}

static int missed(struct get *g)
{
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

static struct msg question(const struct get *g)
{
	return (struct msg){.type = MSG_ASK,
			    .bucket = bytes_of(g->bucket),
			    .key = bytes_of(g->key),
			    .flags = (g->cmd ? ASK_COMMAND : 0u) | (g->refresh ? ASK_REFRESH : 0u) |
				     (g->finish ? ASK_FINISH : 0u) |
				     (!g->cmd && g->wait_given && g->wait_ms == 0 ? ASK_FINISHED : 0u) |
				     (!g->cmd && g->wait_given && g->wait_ms > 0 ? ASK_WAIT : 0u),
			    .ttl = g->ttl_ms,
			    .accept = g->accept_ms,
			    .chain = chain_of(g),
			    .gen = g->gen};
}

/* The answer that says what to do; WAITs passed over. 0 or as session_hear. */
static int hear_answer(struct get *g, struct msg *m, int *fds, size_t *nfds)
{
	uint64_t until = g->wait_given ? clock_boot_ms() + g->wait_ms : SC_FOREVER;
	struct msg q = question(g);
	int rc = session_ask(&g->session, SESSION_START, &q, m, fds, nfds, SC_FOREVER);

	if (until < g->wait_ms)
		until = SC_FOREVER;
	while (rc == 0 && m->type == MSG_WAIT) {
		uint64_t now = clock_boot_ms(), left = until == SC_FOREVER ? SC_FOREVER : until > now ? until - now : 0;

		verbose(g, "waiting for ",
			m->reason == WAIT_STOPPING	? "a run that is being stopped"
			: m->reason == WAIT_REGISTERING ? "a run to be known again"
			: m->reason == WAIT_REFRESHING	? "the next run"
							: "the key to begin to exist");
		do {
			rc = session_hear(&g->session, m, fds, nfds, left);
		} while (rc == SC_ESYS && errno == EINTR);
		/* A new daemon knows nothing of our question. */
		if (rc == SC_EEOF)
			rc = session_ask(&g->session, SESSION_START, &q, m, fds, nfds, SC_FOREVER);
	}
	return rc;
}

static int ask(struct get *g)
{
	struct msg m;
	int fds[SC_FDS_MAX], rc;
	size_t nfds = 0;

	rc = hear_answer(g, &m, fds, &nfds);
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
		return join(g, &m, fds);
	case MSG_LEAD:
		return lead(g, &m, fds);
	case MSG_MISS:
		return missed(g);
	case MSG_REFUSE:
		return refused(g, &m);
	default:
		return bypass(g, "the daemon's answer makes no sense", SC_BIN " daemon restart");
	}
}

int run_get(const struct command *self, int argc, char **argv)
{
	static struct get g = {.session = SESSION_INIT, .ttl_ms = SC_TTL_UNSET, .accept_ms = SC_FOREVER, .bucket = "default"};
	const char *disabled = getenv("SC_DISABLE");
	int status;

	KILLPOINT("cli_start");
	status_init(&g.status);
	if (!parse(&g, self, argc, argv))
		return EXIT_FAILED;
	if (disabled && strcmp(disabled, "1") == 0)
		return g.cmd ? bypass(&g, NULL, NULL) : missed(&g);
	do {
		status = ask(&g);
	} while (status < 0);
	return status;
}

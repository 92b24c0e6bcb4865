/* `sc put`: a run without a command. What FILE or stdin has to give is captured like a command's output, in this process, and
 * readers follow it while it arrives. Its end commits it; a signal does not. Where it cannot be stored, stdin is read to its end all
 * the same, so that whoever gives it is not told of a closed pipe. A FILE's bytes need not pass through us (give.h), nor be copied
 * if it is to go (move.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/give.h"
#include "cmd/move.h"
#include "cmd/options.h"
#include "cmd/request.h"
#include "cmd/sealed.h"
#include "cmd/session.h"
#include "cmd/signals.h"
#include "cmd/writer.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/object.h"
#include "lib/page.h"

enum { TTL, IF_ABSENT, MOVE, SEALED, TAG, BUCKET, QUIET, OPTIONS };

const struct option_row put_options[] = {
	[TTL] = {'t', "ttl", "DUR", "keep it for DUR (default 1h)"},
	[IF_ABSENT] = {0, "if-absent", NULL,
		       "only if there is neither an entry nor a run of KEY, else exit 1; of many callers one stores"},
	[MOVE] = {0, "move", NULL, "FILE goes into the cache, where that is possible without a copy, and is gone afterwards"},
	[SEALED] = {0, "sealed", NULL, SEALED_HELP},
	[TAG] = {0, "tag", "T", TAG_HELP},
	[BUCKET] = {'b', "bucket", "NAME", BUCKET_HELP},
	[QUIET] = {'q', "quiet", NULL, "no messages of " SC_BIN "'s own"},
	[OPTIONS] = {0},
};

struct put {
	struct request req; /* key, bucket, ttl and what we are inside of */
	const char *file;   /* NULL: stdin */
	struct session session;
	int source_fd;
	bool if_absent;
	bool moves;
	struct move move; /* then this is FILE */
};

static bool parse(struct put *p, const struct command *self, int argc, char **argv)
{
	const struct option_row *row;
	unsigned long long ms;
	struct options o;

	options_start(&o, self, argc, argv);
	if (!request_begin(&p->req, &o))
		return false;
	while ((row = options_next(&o))) {
		if (row - put_options == QUIET)
			p->req.quiet = true;
		else if (row - put_options == MOVE)
			p->moves = true;
		else if (row - put_options == SEALED)
			p->req.sealed = true;
		else if (row - put_options == IF_ABSENT)
			p->if_absent = true;
		else if (row - put_options == BUCKET)
			p->req.bucket = o.value;
		else if (row - put_options == TAG) {
			if (!request_add_tag(&p->req, &o))
				return false;
		} else if (options_duration(&o, row, &ms))
			p->req.ttl_ms = ms;
		else
			return false;
	}
	if (options_failed(&o))
		return false;
	if (o.nwords > 2)
		return options_error(&o, "one KEY and one FILE at most") == 0;
	if (!request_take_key(&p->req, &o, SC_KEY_MAX) || !request_read_bucket(&p->req.bucket, &o, p->req.bucket))
		return false;
	/* "-" is what everybody calls it; a file of that name is "./-". */
	p->file = o.nwords > 1 && strcmp(o.words[1], "-") != 0 ? o.words[1] : NULL;
	if (p->moves && !p->file)
		return options_error(&o, "--move goes with a FILE") == 0;
	if (p->moves && p->req.ttl_ms == 0)
		return options_error(&o, "--move and --ttl 0: FILE would be lost") == 0;
	return true;
}

static int fail(const struct put *p, const char *why, const char *mend)
{
	if (!p->req.quiet)
		complain(p->req.key, why, mend);
	return EXIT_FAILED;
}

static int fail_source(const struct put *p, const char *why)
{
	char text[SC_PATH_MAX + 64], shown[SC_PATH_MAX];

	snprintf(text, sizeof text, "%s: %s", p->file ? human_escape(p->file, strlen(p->file), shown, sizeof shown) : "stdin",
		 why);
	return fail(p, text, NULL);
}

/* Nothing is asked for before what is to be stored can be read. */
static int open_source(struct put *p)
{
	struct stat st;
	int error = 0;

	p->source_fd = p->file ? open(p->file, O_RDONLY | O_CLOEXEC) : fcntl(0, F_DUPFD_CLOEXEC, 3);
	if (p->source_fd < 0 || fstat(p->source_fd, &st) < 0)
		error = errno;
	else if (S_ISDIR(st.st_mode))
		error = EISDIR;
	else if ((fcntl(p->source_fd, F_GETFL) & O_ACCMODE) == O_WRONLY)
		error = EBADF; /* so is a stdin that was closed */
	return error ? fail_source(p, strerror(error)) : 0;
}

static int open_moved(struct put *p)
{
	const char *why = move_open(&p->move, p->file);

	p->source_fd = p->move.fd;
	return why ? fail_source(p, why) : 0;
}

/* Whoever gives it to us may count on being heard. */
static void hear_out(const struct put *p)
{
	static char buffer[64 * 1024];
	ssize_t n;

	if (!p->file)
		do {
			n = read(p->source_fd, buffer, sizeof buffer);
		} while (n > 0 || (n < 0 && errno == EINTR));
}

static int cannot_store(const struct put *p, const char *why, const char *mend)
{
	hear_out(p);
	return fail(p, why, mend);
}

/* The disk may learn that FILE's name is gone before it learns of the entry, and a loss of power would take both. */
static const char *make_durable(struct put *p, char *text, size_t n)
{
	struct msg q = {.type = MSG_SYNC}, m;
	int fds[SC_FDS_MAX], rc;
	size_t nfds = 0;

	rc = session_ask(&p->session, SESSION_START, &q, &m, fds, &nfds, SC_FOREVER);
	if (rc && signals_pending())
		signals_die(signals_pending());
	if (rc)
		return p->session.why[0] ? p->session.why : sc_strerror(rc);
	if (m.type == MSG_OK)
		return NULL;
	return m.error ? strerror((int)m.error) : human_escape(m.text.p, m.text.n, text, n);
}

/* The entry is there; now FILE goes. */
static int end_move(struct put *p)
{
	char text[SC_PATH_MAX + 640], shown[256];
	const char *why;

	if (!p->moves)
		return 0;
	why = make_durable(p, shown, sizeof shown);
	if (!why)
		why = move_end(&p->move);
	if (!why)
		return 0;
	snprintf(text, sizeof text, "is stored, but FILE stays: %s", why);
	return fail(p, text, NULL);
}

static int end(struct put *p, enum put_end how, int error)
{
	char why[128];

	if (how == PUT_KEPT)
		return end_move(p);
	if (p->moves)
		move_undo(&p->move, -1);
	switch (how) {
	case PUT_OVERTAKEN:
		return p->moves ? fail(p, "something newer was stored, or it was removed, or is not to be kept: FILE stays",
				       NULL)
				: 0;
	case PUT_INTERRUPTED:
		signals_die(signals_pending());
	case PUT_CANNOT_READ:
		snprintf(why, sizeof why, "cannot be read to its end, so nothing is stored: %s", strerror(error));
		return fail(p, why, NULL);
	default:
		break;
	}
	if (error == ETXTBSY && p->moves)
		return fail(p, "somebody opened FILE for writing, so nothing is stored", NULL);
	snprintf(why, sizeof why, "could not be stored%s%s", error ? ": " : "", error ? strerror(error) : "");
	return cannot_store(p, why, error == ENOSPC ? "free some space" : NULL);
}

/* False: it is read. */
static bool make_gift(const struct put *p, int again_fd, struct gift *g)
{
	struct stat st;

	if (p->moves && p->move.linked)
		return give_init_linked(g, again_fd, &move_disturbed) == 0;
	give_init(g, again_fd);
	return p->file && fstat(p->source_fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int store(struct put *p, const struct msg *m, const int *fds)
{
	struct run run = {.place = &p->session.place,
			  .gen = m->gen,
			  .bucket = bytes_of(p->req.bucket),
			  .key = bytes_of(p->req.key),
			  .out_fd = fds[LEAD_OUT_WRITE],
			  .err_fd = fds[LEAD_ERR_WRITE],
			  .socket_fd = fds[LEAD_SOCKET],
			  .lock_fd = fds[LEAD_LOCK],
			  .linger_ms = SC_FOREVER};
	struct seal_key keys[SC_SEALED_KEYS];
	struct gift gift;
	enum put_end how;
	bool gives;
	int error;

	if (page_map(&run.page, fds[LEAD_PAGE], &m->gen)) {
		if (p->moves)
			move_undo(&p->move, -1);
		return cannot_store(p, "the daemon's page is not usable", NULL);
	}
	if (sealed_keys(m->keys, keys))
		run.keys = keys;
	gives = !run.keys && make_gift(p, fds[LEAD_OUT], &gift);
	/* We do not read what we write, but for its sum. */
	if (!gives)
		close(fds[LEAD_OUT]);
	close(fds[LEAD_ERR]);
	session_close(&p->session);
	how = writer_put(&run, p->source_fd, gives ? &gift : NULL, &error);
	page_free(run.page);
	return end(p, how, error);
}

/* WAITs passed over; a daemon that goes meanwhile is followed by the next. */
static int hear_answer(struct put *p, const struct msg *q, struct msg *m, int *fds, size_t *nfds)
{
	int rc = session_ask(&p->session, SESSION_START, q, m, fds, nfds, SC_FOREVER);

	while (rc == 0 && m->type == MSG_WAIT) {
		rc = session_hear(&p->session, m, fds, nfds, SC_FOREVER);
		if (rc == SC_EEOF)
			rc = session_ask(&p->session, SESSION_START, q, m, fds, nfds, SC_FOREVER);
	}
	return rc;
}

static int refused(const struct put *p, const struct msg *m)
{
	char why[320], text[256];

	if (m->type == MSG_REFUSE && m->reason == REFUSE_EXISTS) {
		hear_out(p);
		return EXIT_EXISTS;
	}
	if (m->type == MSG_REFUSE && m->reason == REFUSE_NESTED)
		return cannot_store(p, "two runs of it wait for us", NULL);
	if (m->type == MSG_REFUSE && m->reason == REFUSE_HELD) {
		snprintf(why, sizeof why, "is held by %s", human_escape(m->text.p, m->text.n, text, sizeof text));
		return cannot_store(p, why, NULL);
	}
	snprintf(why, sizeof why, "the cache cannot take it: %s",
		 m->error ? strerror((int)m->error) : human_escape(m->text.p, m->text.n, text, sizeof text));
	return cannot_store(p, why, m->error == ENOSPC ? "free some space" : NULL);
}

/* With FILE as the object, if that is possible: the answer to that, or SC_ENOENT: ask as for a copy. */
static int ask_with_file(struct put *p, struct msg *q, struct msg *m, int *fds, size_t *nfds)
{
	struct msg given = *q;
	int rc;

	if (session_open(&p->session, SESSION_START))
		return SC_ENOENT;
	/* From here on there is something to be undone. */
	signals_catch();
	if (!move_link(&p->move, p->session.place.dir_fd))
		return SC_ENOENT;
	given.flags |= ASK_GIVEN;
	given.gen = p->move.gen;
	rc = hear_answer(p, &given, m, fds, nfds);
	if (rc == 0 && m->type == MSG_LEAD && gen_equal(&m->gen, &p->move.gen))
		return 0;
	move_undo(&p->move, p->session.place.dir_fd);
	if (signals_pending())
		signals_die(signals_pending());
	return rc == 0 && m->type == MSG_REFUSE && m->reason == REFUSE_STORE ? SC_ENOENT : rc;
}

int run_put(const struct command *self, int argc, char **argv)
{
	static struct put p = {.session = SESSION_INIT, .source_fd = -1};
	int fds[SC_FDS_MAX], rc;
	size_t nfds = 0;
	struct msg q, m;

	if (!parse(&p, self, argc, argv))
		return EXIT_USAGE;
	rc = p.moves ? open_moved(&p) : open_source(&p);
	if (rc)
		return rc;
	q = request_question(&p.req, &(struct gen){{0}});
	q.flags |= ASK_COMMAND | ASK_PUT | ASK_DETACHED | (p.if_absent ? ASK_IF_ABSENT : 0u);
	/* Its bytes cannot stay as they are where they are to be sealed. */
	rc = p.moves && !p.req.sealed ? ask_with_file(&p, &q, &m, fds, &nfds) : SC_ENOENT;
	if (rc == SC_ENOENT)
		rc = hear_answer(&p, &q, &m, fds, &nfds);
	if (rc && signals_pending())
		signals_die(signals_pending());
	if (rc)
		return cannot_store(&p, p.session.why[0] ? p.session.why : sc_strerror(rc), p.session.mend);
	return m.type == MSG_LEAD ? store(&p, &m, fds) : refused(&p, &m);
}

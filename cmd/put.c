/* `sc put`: a run without a command. What FILE or stdin has to give is captured like a command's output, in this process, and
 * readers follow it while it arrives. Its end commits it; a signal does not. Where it cannot be stored, stdin is read to its end all
 * the same, so that whoever gives it is not told of a closed pipe. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/request.h"
#include "cmd/session.h"
#include "cmd/signals.h"
#include "cmd/writer.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/page.h"

enum { TTL, QUIET, OPTIONS };

const struct option_row put_options[] = {
	[TTL] = {'t', "ttl", "DUR", "keep it for DUR (default 1h)"},
	[QUIET] = {'q', "quiet", NULL, "no messages of sc's own"},
	[OPTIONS] = {0},
};

struct put {
	struct request req; /* key, bucket, ttl and what we are inside of */
	const char *file;   /* NULL: stdin */
	struct session session;
	int source_fd;
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
		else if (options_duration(&o, row, &ms))
			p->req.ttl_ms = ms;
		else
			return false;
	}
	if (options_failed(&o))
		return false;
	if (o.nwords > 2)
		return options_error(&o, "one KEY and one FILE at most") == 0;
	if (!request_take_key(&p->req, &o, SC_KEY_MAX))
		return false;
	p->file = o.nwords > 1 ? o.words[1] : NULL;
	return true;
}

static int fail(const struct put *p, const char *why, const char *mend)
{
	if (!p->req.quiet)
		complain(p->req.key, why, mend);
	return EXIT_FAILED;
}

/* Nothing is asked for before what is to be stored can be read. */
static int open_source(struct put *p)
{
	struct stat st;
	char why[SC_PATH_MAX + 64], shown[SC_PATH_MAX];
	int error = 0;

	p->source_fd = p->file ? open(p->file, O_RDONLY | O_CLOEXEC) : fcntl(0, F_DUPFD_CLOEXEC, 3);
	if (p->source_fd < 0 || fstat(p->source_fd, &st) < 0)
		error = errno;
	else if (S_ISDIR(st.st_mode))
		error = EISDIR;
	else if ((fcntl(p->source_fd, F_GETFL) & O_ACCMODE) == O_WRONLY)
		error = EBADF; /* so is a stdin that was closed */
	if (error == 0)
		return 0;
	snprintf(why, sizeof why, "%s: %s", p->file ? human_escape(p->file, strlen(p->file), shown, sizeof shown) : "stdin",
		 strerror(error));
	return fail(p, why, NULL);
}

/* Whoever gives it to us may count on being heard. */
static int cannot_store(const struct put *p, const char *why, const char *mend)
{
	static char buffer[64 * 1024];
	ssize_t n;

	if (!p->file)
		do {
			n = read(p->source_fd, buffer, sizeof buffer);
		} while (n > 0 || (n < 0 && errno == EINTR));
	return fail(p, why, mend);
}

static int end(const struct put *p, enum put_end how, int error)
{
	char why[128];

	switch (how) {
	case PUT_KEPT:
		return 0;
	case PUT_INTERRUPTED:
		signals_die(signals_pending());
	case PUT_CANNOT_READ:
		snprintf(why, sizeof why, "cannot be read to its end, so nothing is stored: %s", strerror(error));
		return fail(p, why, NULL);
	case PUT_NOT_KEPT:
		break;
	}
	snprintf(why, sizeof why, "could not be stored%s%s", error ? ": " : "", error ? strerror(error) : "");
	return cannot_store(p, why, error == ENOSPC ? "free some space" : NULL);
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
	enum put_end how;
	int error;

	if (page_map(&run.page, fds[LEAD_PAGE], &m->gen))
		return cannot_store(p, "the daemon's page is not usable", NULL);
	/* We do not read what we write. */
	close(fds[LEAD_OUT]);
	close(fds[LEAD_ERR]);
	session_close(&p->session);
	how = writer_put(&run, p->source_fd, &error);
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

	if (m->type == MSG_REFUSE && m->reason == REFUSE_NESTED)
		return cannot_store(p, "two runs of it wait for us", NULL);
	snprintf(why, sizeof why, "the cache cannot take it: %s",
		 m->error ? strerror((int)m->error) : human_escape(m->text.p, m->text.n, text, sizeof text));
	return cannot_store(p, why, m->error == ENOSPC ? "free some space" : NULL);
}

int run_put(const struct command *self, int argc, char **argv)
{
	static struct put p = {.session = SESSION_INIT, .source_fd = -1};
	int fds[SC_FDS_MAX], rc;
	size_t nfds = 0;
	struct msg q, m;

	if (!parse(&p, self, argc, argv))
		return EXIT_USAGE;
	rc = open_source(&p);
	if (rc)
		return rc;
	q = request_question(&p.req, &(struct gen){{0}});
	q.flags |= ASK_COMMAND | ASK_PUT | ASK_DETACHED;
	rc = hear_answer(&p, &q, &m, fds, &nfds);
	if (rc)
		return cannot_store(&p, p.session.why[0] ? p.session.why : sc_strerror(rc), p.session.mend);
	return m.type == MSG_LEAD ? store(&p, &m, fds) : refused(&p, &m);
}

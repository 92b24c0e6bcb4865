/* `sc verify`: every entry of the index, its objects read and held against their sums, one after the other; then the files that no
 * entry names. Nothing counts as used by it. Without --repair it changes nothing; with it what is bad goes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/key.h"
#include "cmd/options.h"
#include "cmd/progress.h"
#include "cmd/prove.h"
#include "cmd/talk.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/killpoint.h"

enum { REPAIR, OPTIONS };

const struct option_row verify_options[] = {
	[REPAIR] = {0, "repair", NULL, "what is bad goes: entries, and files that belong to none"},
	[OPTIONS] = {0},
};

struct verify {
	struct session session;
	bool repair;
	uint64_t total, entries, bad;
};

/* What a person sees meanwhile. */
static char shown[128];
static uint64_t bytes_read;
static const struct verify *the_verify;

static void show(uint64_t bytes)
{
	const struct verify *v = the_verify;
	char size[32];

	bytes_read += bytes;
	snprintf(shown, sizeof shown, "the entries to be checked, %llu of %llu, %s", (unsigned long long)v->entries,
		 (unsigned long long)(v->total > v->entries ? v->total : v->entries), human_format_size(bytes_read, size));
	progress_wait(shown);
	progress_tick();
}

static void report(struct verify *v, const struct msg *m, const char *what, const char *why)
{
	v->bad++;
	progress_make_way(1, '\n');
	key_print(m->key);
	if (m->bucket.n != 7 || memcmp(m->bucket.p, "default", 7) != 0)
		printf(" (in %.*s)", (int)m->bucket.n, (const char *)m->bucket.p);
	printf(": %s%s%s\n", what, why, v->repair ? ": removed" : "");
	fflush(stdout);
}

static const char *flaw_text(const struct msg *m)
{
	switch (m->reason) {
	case FLAW_MISSING:
		return "its file is missing";
	case FLAW_SIZE:
		return "its file has another size";
	case FLAW_UNSAFE:
		return "its file is a link, no file, not ours or writable by others";
	default:
		return "its file cannot be opened: ";
	}
}

/* Its row goes, if it is still of that generation. Not answered: from now on nobody is given it. */
static int remove_it(struct verify *v, const struct msg *m)
{
	struct msg bad = {.type = MSG_PROVED, .bucket = m->bucket, .key = m->key, .gen = m->gen, .flags = PROVED_BAD};

	return v->repair ? session_say(&v->session, &bad, NULL, 0) : 0;
}

static int check_row(struct verify *v, const struct msg *m, const int *fds, size_t nfds)
{
	int rc = prove_object(fds[0], m->out_len, m->out_sum.p, show);

	if (rc == 0 && nfds > 1)
		rc = prove_object(fds[1], m->err_len, m->err_sum.p, show);
	if (rc == 0 || rc == SC_ENOMEM)
		return rc;
	report(v, m, rc == SC_ESYS ? "its bytes cannot be read: " : "its bytes are not those that were stored",
	       rc == SC_ESYS ? strerror(errno) : "");
	return remove_it(v, m);
}

static int check_flaw(struct verify *v, const struct msg *m)
{
	bool proved = m->reason != FLAW_UNREADABLE, repair = v->repair;

	v->repair &= proved;
	report(v, m, flaw_text(m), proved ? "" : strerror((int)m->error));
	v->repair = repair;
	return proved ? remove_it(v, m) : 0;
}

static int check_entries(struct verify *v)
{
	struct msg q = {.type = MSG_NEXT}, m;
	int fds[SC_FDS_MAX], rc;
	size_t nfds = 0;

	for (;;) {
		rc = session_ask(&v->session, SESSION_START, &q, &m, fds, &nfds, SC_FOREVER);
		KILLPOINT("row_heard");
		if (rc)
			return rc;
		if (m.type != MSG_ROW && m.type != MSG_FLAW)
			break;
		q.row = m.row;
		v->entries++;
		rc = m.type == MSG_ROW ? check_row(v, &m, fds, nfds) : check_flaw(v, &m);
		for (size_t i = 0; i < nfds; i++)
			close(fds[i]);
		if (rc && rc != SC_EEOF)
			return rc;
		show(0);
	}
	return m.type == MSG_END ? 0 : SC_EPROTO;
}

static int check_files(struct verify *v)
{
	struct msg q = {.type = MSG_WALK, .flags = v->repair ? 0u : WALK_ONLY_LOOK}, m;
	char text[256];

	snprintf(shown, sizeof shown, "the files to be held against the index");
	if (talk_ask(&v->session, SESSION_START, "verify", &q, &m))
		return EXIT_FAILED;
	if (m.type != MSG_OK) {
		complainf("verify", "the files could not be looked at: %s",
			  m.reason == REFUSE_BUSY ? "somebody else has it done"
						  : human_escape(m.text.p, m.text.n, text, sizeof text));
		return EXIT_FAILED;
	}
	if (m.count) {
		v->bad++;
		progress_make_way(1, '\n');
		printf("%llu file%s belong%s to no entry%s\n", (unsigned long long)m.count, m.count == 1 ? "" : "s",
		       m.count == 1 ? "s" : "", v->repair ? ": removed" : "");
	}
	return 0;
}

static int verify(struct verify *v)
{
	struct msg q = {.type = MSG_STATUS}, m;
	int rc;

	if (talk_ask(&v->session, SESSION_START, "verify", &q, &m))
		return EXIT_FAILED;
	v->total = m.entries;
	show(0);
	rc = check_entries(v);
	if (rc) {
		complain("verify", v->session.why[0] ? v->session.why : sc_strerror(rc), v->session.mend);
		return EXIT_FAILED;
	}
	rc = check_files(v);
	progress_stop();
	if (rc == 0 && fflush(stdout) != 0 && errno != EPIPE) {
		complainf("verify", "write error: %s", strerror(errno));
		return EXIT_FAILED;
	}
	return rc ? rc : v->bad > 0;
}

int run_verify(const struct command *self, int argc, char **argv)
{
	static struct verify v = {.session = SESSION_INIT};
	struct options o;
	int status;

	options_start(&o, self, argc, argv);
	while (options_next(&o))
		v.repair = true;
	if (options_failed(&o))
		return EXIT_USAGE;
	if (o.nwords)
		return options_error(&o, "takes no words");
	the_verify = &v;
	progress_allow("verify", 1);
	status = verify(&v);
	progress_stop();
	session_release(&v.session);
	return status;
}

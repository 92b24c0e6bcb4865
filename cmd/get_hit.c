/* A hit: a finished entry is printed, compared first if its bytes have not been looked at for long, and put into memory for those who
 * come next if the daemon would like to have it there. Called by get.c. */
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/get_parts.h"
#include "cmd/load.h"
#include "cmd/progress.h"
#include "cmd/prove.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/killpoint.h"

/* So many bad entries one after the other are no accident any more. */
#define BAD_MAX 16

static void say_proved(struct get *g, const struct msg *m, unsigned flags)
{
	struct msg proof = {.type = MSG_PROVED,
			    .bucket = bytes_of(g->req.bucket),
			    .key = bytes_of(g->req.key),
			    .gen = m->gen,
			    .flags = flags};

	/* A daemon that does not hear it has the next reader do it again. */
	session_say(&g->session, &proof, NULL, 0);
	KILLPOINT("proof_sent");
}

/* Nothing of the entry has been printed, and nothing will be. -1: ask again, for the daemon gives it to nobody any more; else the
 * exit status. */
static int found_bad(struct get *g, const struct msg *m)
{
	say_proved(g, m, PROVED_BAD);
	if (++g->bad == BAD_MAX)
		return get_bypass(g, "one damaged entry after the other", SC_BIN " verify --repair");
	get_verbose(g, "the entry is damaged", "; asking again");
	return -1;
}

static void tick(uint64_t bytes)
{
	(void)bytes;
	progress_tick();
}

/* 0, SC_ECORRUPT, SC_ESYS or SC_ENOMEM. */
static int verify(struct get *g, const struct msg *m, const int *fds, size_t nfds)
{
	int rc;

	progress_wait("the entry's bytes to be checked");
	rc = prove_object(fds[0], m->out_len, m->out_sum.p, tick);
	if (rc == 0 && nfds > 1)
		rc = prove_object(fds[1], m->err_len, m->err_sum.p, tick);
	progress_stop();
	KILLPOINT("hit_verified");
	if (rc == 0)
		say_proved(g, m, 0);
	return rc;
}

/* When nobody waits for us any more but for our end. */
static void load(struct get *g, const struct msg *m, const struct reader *r)
{
	struct msg loaded = {.type = MSG_LOADED, .gen = m->gen, .out_len = m->out_len, .err_len = m->err_len};
	int fds[2];
	size_t n;

	if (load_entry(&r->from, m, fds, &n))
		return;
	KILLPOINT("before_loaded");
	session_say(&g->session, &loaded, fds, n);
	KILLPOINT("loaded_sent");
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

int get_replay(struct get *g, const struct msg *m, const int *fds, size_t nfds)
{
	uint64_t before = g->again.out_fd >= 0 ? g->again.out_len : 0;
	char age[32];
	struct reader r;
	enum read_result rc;
	int status;

	g->status.source = m->flags & HIT_STALE ? "stale" : "hit";
	g->status.gen = m->gen;
	g->status.age_ms = m->age;
	g->status.ttl_ms = m->ttl;
	KILLPOINT("hit_granted");
	if (g->req.warm)
		return get_finish(g, 0, NULL);
	if (m->flags & HIT_VERIFY) {
		int proved = verify(g, m, fds, nfds);

		if (proved == SC_ENOMEM)
			return get_bypass(g, "no memory to check an entry with", NULL);
		if (proved)
			return found_bad(g, m);
	}
	/* First: whoever prints may be stopped at it, and the next one comes to a new entry. */
	if (m->flags & HIT_RENEW)
		get_start_renewal(g);
	get_start_reader(g, &r, fds[0], nfds > 1 ? fds[1] : -1);
	reader_let_go(&r, m->exit == 0 && m->signal == 0);
	reader_prepare(&r, m->out_len);
	get_verbose(g,
		    m->flags & HIT_STALE ? "too old, but good enough by --stale, made this long ago: "
					 : "hit, made this long ago: ",
		    human_format_duration(m->age, age));
	if (m->flags & HIT_MEMORY)
		get_verbose(g, "it comes from memory", "");
	if (m->flags & HIT_OTHER)
		get_verbose(g, "another command made it", "; the key alone decides");
	rc = reader_print(&r, m->out_len, m->err_len);
	/* What lies in a temporary nobody has seen. */
	if (rc == READ_CANNOT_READ && r.err_bytes == g->status.stderr_bytes &&
	    (r.printed == before || output_restart(&g->output)))
		return found_bad(g, m);
	if (rc)
		return get_not_printed(g, &r, rc);
	KILLPOINT("hit_printed");
	g->status.bytes = r.printed;
	g->status.stderr_bytes = r.err_bytes;
	status = get_command_status(g, (uint32_t)m->exit, (uint32_t)m->signal);
	if (m->flags & HIT_LOAD)
		load(g, m, &r);
	return status;
}

/* A hit: a finished entry is printed, compared first if its bytes have not been looked at for long, and put into memory for those who
 * come next if the daemon would like to have it there. Called by get.c. */
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/get_parts.h"
#include "cmd/load.h"
#include "cmd/progress.h"
#include "cmd/prove.h"
#include "cmd/sealed.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/killpoint.h"

/* So many bad entries one after the other are no accident any more. */
#define BAD_MAX 16
/* Of either stream: a frame, which is in memory by then. */
#define SMALL SC_SEAL_PLAIN_MAX

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

/* What is sealed proves itself while it is read. But where it costs next to nothing we know how it ends before we begin. */
static bool is_small_and_sealed(const struct msg *m)
{
	return m->keys.n && m->out_len <= SMALL && m->err_len <= SMALL;
}

/* 0, SC_ECORRUPT, SC_ESYS or SC_ENOMEM. */
static int verify_sealed(const struct msg *m, const int *fds, size_t nfds)
{
	struct seal_key keys[SC_SEALED_KEYS];
	struct source from;
	int rc;

	source_init(&from, fds[0], nfds > 1 ? fds[1] : -1);
	rc = sealed_keys(m->keys, keys) ? source_unseal(&from, &m->gen, keys) : SC_ECORRUPT;
	if (rc == 0)
		rc = source_prove(&from, STREAM_OUT, m->out_len);
	if (rc == 0)
		rc = source_prove(&from, STREAM_ERR, m->err_len);
	source_release(&from);
	return rc;
}

/* 0, SC_ECORRUPT, SC_ESYS or SC_ENOMEM. */
static int verify(struct get *g, const struct msg *m, const int *fds, size_t nfds)
{
	int rc;

	if (m->keys.n)
		return verify_sealed(m, fds, nfds);
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
static void load(struct get *g, const struct msg *m, const int *objects, size_t nobjects)
{
	struct msg loaded = {.type = MSG_LOADED, .gen = m->gen, .out_len = m->out_len, .err_len = m->err_len};
	int fds[2];
	size_t n;

	if (load_entry(m, objects, nobjects, fds, &n))
		return;
	KILLPOINT("before_loaded");
	session_say(&g->session, &loaded, fds, n);
	KILLPOINT("loaded_sent");
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

int get_replay(struct get *g, const struct msg *hit, const int *fds, size_t nfds)
{
	struct seal_key keys[SC_SEALED_KEYS];
	struct msg own = *hit, *m = &own;
	uint64_t before = g->again.out_fd >= 0 ? g->again.out_len : 0;
	char age[32];
	struct reader r;
	enum read_result rc;
	int status;

	/* Whatever else is said in this session takes the place of what came. */
	if (sealed_keys(hit->keys, keys))
		own.keys.p = keys[0].b;
	g->status.source = m->flags & HIT_STALE ? "stale" : "hit";
	g->status.gen = m->gen;
	g->status.age_ms = m->age;
	g->status.ttl_ms = m->ttl;
	KILLPOINT("hit_granted");
	if (g->req.warm)
		return get_finish(g, 0, NULL);
	if ((m->flags & HIT_VERIFY) || is_small_and_sealed(m)) {
		int proved = verify(g, m, fds, nfds);

		if (proved == SC_ENOMEM)
			return get_bypass(g, "no memory to check an entry with", NULL);
		if (proved)
			return found_bad(g, m);
	}
	/* First: whoever prints may be stopped at it, and the next one comes to a new entry. */
	if (m->flags & HIT_RENEW)
		get_start_renewal(g);
	if (!get_start_reader(g, &r, m, fds[0], nfds > 1 ? fds[1] : -1))
		return get_bypass(g, sc_strerror(SC_ENOMEM), NULL);
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
	reader_release(&r);
	if (rc == READ_CANNOT_READ && r.err_bytes == g->status.stderr_bytes &&
	    (r.printed == before || output_restart(&g->output)))
		return found_bad(g, m);
	/* Of one that is sealed we are the first to know. */
	if (rc == READ_CANNOT_READ && r.error == 0)
		say_proved(g, m, PROVED_BAD);
	if (rc)
		return get_not_printed(g, &r, rc);
	KILLPOINT("hit_printed");
	g->status.bytes = r.printed;
	g->status.stderr_bytes = r.err_bytes;
	status = get_command_status(g, (uint32_t)m->exit, (uint32_t)m->signal);
	if (m->flags & HIT_LOAD)
		load(g, m, fds, nfds);
	return status;
}

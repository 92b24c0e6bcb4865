/* How a get ends: with the command's status, with ours, or as the command itself. Called by get.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/get_parts.h"
#include "cmd/signals.h"
#include "cmd/spawn.h"
#include "cmd/spool.h"
#include "lib/human.h"

void get_say(const struct get *g, const char *why, const char *mend)
{
	if (!g->req.quiet)
		complain(g->req.key, why, mend);
}

void get_verbose(const struct get *g, const char *what, const char *more)
{
	if (g->req.verbose && !g->req.quiet)
		complainf(g->req.key, "%s%s", what, more);
}

int get_finish(struct get *g, int status, const char *error)
{
	output_abandon(&g->output);
	g->status.error = error;
	status_write(&g->status);
	return status;
}

_Noreturn void get_interrupted(struct get *g, int sig)
{
	get_finish(g, 128 + sig, "interrupted");
	signals_die(sig);
}

void get_obey_signals(struct get *g)
{
	if (signals_pending())
		get_interrupted(g, signals_pending());
}

int get_fail(struct get *g, const char *why, const char *mend)
{
	get_say(g, why, mend);
	return get_finish(g, EXIT_FAILED, why);
}

int get_cannot_write(struct get *g, const char *why)
{
	char text[512], shown[256];

	if (g->req.output)
		human_escape(g->req.output, strlen(g->req.output), shown, sizeof shown);
	snprintf(text, sizeof text, "%s: %s", g->req.output ? shown : "write error", why);
	return get_fail(g, text, NULL);
}

int get_command_status(struct get *g, uint32_t code, uint32_t sig)
{
	char why[64];

	g->status.ended = true;
	g->status.exit = code;
	g->status.signal = sig;
	if (code == 0 && sig == 0 && !output_commit(&g->output))
		return get_cannot_write(g, g->output.why);
	g->status.complete = true;
	if (sig) {
		snprintf(why, sizeof why, "command killed by signal %u", sig);
		get_say(g, why, NULL);
	}
	return get_finish(g, sig ? 128 + (int)sig : (int)code, NULL);
}

bool get_has_printed(const struct get *g)
{
	return g->status.bytes || g->status.stderr_bytes;
}

int get_incomplete(struct get *g, const char *why)
{
	char text[256];

	snprintf(text, sizeof text, "%s: output is incomplete after %llu good bytes", why, (unsigned long long)g->status.bytes);
	return get_fail(g, text, NULL);
}

/* What a command has printed into a spool. */
static enum read_result print_spool(struct reader *r, struct spool *s)
{
	if (spool_end(s)) {
		r->error = errno;
		return READ_CANNOT_READ;
	}
	reader_init_spool(r, s);
	return reader_print(r, s->size, 0);
}

static int run_and_print(struct get *g, struct spool *kept, struct reader *r)
{
	enum read_result rc = READ_ALL;
	struct ended how;
	int failed;

	if (g->req.atomic)
		failed = spawn_into(g->req.cmd, &g->spool, kept, &how);
	else
		failed = spawn_and_wait(g->req.cmd, &g->spool, g->output.fd, &how);
	if (failed)
		return get_fail(g, strerror(errno), NULL);
	if (g->req.atomic && how.exit == 0 && how.signal == 0)
		rc = print_spool(r, kept);
	if (rc)
		return get_not_printed(g, r, rc);
	g->status.bytes = r->printed;
	if (how.signal && how.signal == how.caught)
		get_interrupted(g, how.signal);
	return get_command_status(g, (uint32_t)how.exit, (uint32_t)how.signal);
}

/* Nothing of it may be seen before it has succeeded: somebody must be there then. */
static int bypass_and_wait(struct get *g)
{
	struct spool kept = SPOOL_NONE;
	struct reader r;
	int status;

	g->status.reason = strdup(g->status.reason); /* the session's words go with it */
	session_release(&g->session);		     /* to the daemon we are gone */
	if (g->req.atomic && spool_make(&kept, -1, get_seals_spools(g)))
		return get_fail(g, "no room to keep the output of CMD until it has ended", NULL);
	reader_init(&r, -1, -1);
	status = run_and_print(g, &kept, &r);
	reader_release(&r);
	spool_release(&kept);
	return status;
}

/* Never worse than not using sc: the command itself, in our place. */
int get_bypass(struct get *g, const char *why, const char *mend)
{
	char text[SC_PATH_MAX + 768];

	if (get_has_printed(g))
		return get_incomplete(g, why);
	if (!g->req.cmd || g->req.strict)
		return get_fail(g, why ? why : "there is no cache: SC_DISABLE is 1", mend);
	if (why) {
		snprintf(text, sizeof text, "%s%s%s", mend ? mend : "", mend ? "; " : "", "running the command directly");
		get_say(g, why, text);
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
	return spawn_become(g->req.cmd, &g->spool);
}

int get_not_printed(struct get *g, const struct reader *r, enum read_result rc)
{
	g->status.bytes = r->printed;
	g->status.stderr_bytes = r->err_bytes;
	if (rc == READ_INTERRUPTED)
		get_interrupted(g, signals_pending());
	if (rc == READ_STDOUT_CLOSED)
		return get_finish(g, EXIT_PIPE, "stdout was closed");
	if (rc == READ_DIFFERS)
		return get_incomplete(g, "the run was lost, and a second one printed something else");
	if (rc == READ_OVERTAKEN)
		return get_bypass(g, "too slow for a run that could not be stored", NULL);
	if (rc == READ_CANNOT_READ)
		return get_incomplete(g, r->error ? strerror(r->error) : "the object is damaged");
	return get_cannot_write(g, strerror(r->error));
}

/* What the key is made of: each declaration gets its value here. Called by get.c, before the question. Knows the rule of key.h, and
 * nothing of answers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/content.h"
#include "cmd/get_parts.h"
#include "cmd/progress.h"
#include "cmd/spool.h"
#include "lib/config.h"
#include "lib/err.h"
#include "lib/human.h"

struct making {
	struct get *g;
	bool disabled, is_open;
	struct content content;
	bool is_changing; /* a tree that does not hold still: there is no key that would be right */
	char why[1280];	  /* … and why; or why it has failed */
};

/* SC_ESYS, with why. */
static int because(struct making *m, const char *option, const char *why)
{
	snprintf(m->why, sizeof m->why, "%s%s%s", option, *option ? " " : "", why);
	return SC_ESYS;
}

static int because_path(struct making *m, const char *option, const char *path)
{
	int saved = errno;
	char shown[512], why[640];

	human_escape(path, strlen(path), shown, sizeof shown);
	snprintf(why, sizeof why, "%s: %s", shown, strerror(saved));
	return because(m, option, why);
}

/* ---- one declaration ---- */

/* Where there is no cache directory yet, --print-key makes none; without a cache nothing is written there. */
static void open_hashes(struct making *m)
{
	bool may_make = !m->disabled && !m->g->req.print_key;

	if (m->is_open)
		return;
	/* Whether there is one is asked again, with the question. */
	session_find(&m->g->session, may_make ? SESSION_START : SESSION_LOOK);
	m->is_open = true;
	m->content.hashes = hashes_open(m->g->session.place.dir_fd, !m->disabled);
}

static int of_content(struct making *m, struct declaration *d)
{
	bool is_directory = false;
	int rc;

	open_hashes(m);
	rc = content_hash(&m->content, d->name, &is_directory, d->value);
	if (is_directory)
		d->kind = "dir";
	if (rc)
		because(m, "--file", m->content.why);
	m->is_changing |= rc == SC_EAGAIN;
	return rc == SC_EAGAIN ? 0 : rc;
}

static int of_mtime(struct making *m, struct declaration *d)
{
	struct stat st;
	char text[48];
	int n;

	if (stat(d->name, &st) < 0)
		return because_path(m, "--mtime", d->name);
	n = snprintf(text, sizeof text, "%lld.%09ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	return key_hash(text, (size_t)n, d->value);
}

static int of_variable(struct declaration *d)
{
	const char *value = getenv(d->name);
	char *text;
	int rc;

	if (!value)
		return key_hash("", 0, d->value);
	if (asprintf(&text, "=%s", value) < 0)
		return SC_ENOMEM;
	rc = key_hash(text, strlen(text), d->value);
	free(text);
	return rc;
}

static int of_directory(struct making *m, struct declaration *d)
{
	char *path = getcwd(NULL, 0);
	int rc;

	if (!path) {
		snprintf(m->why, sizeof m->why, "cannot tell the current directory: %s (see --no-cwd)", strerror(errno));
		return SC_ESYS;
	}
	rc = key_hash(path, strlen(path), d->value);
	free(path);
	return rc;
}

/* The daemon would tell only when it is asked, which is too late. In doubt: sealed. */
bool get_seals_spools(const struct get *g)
{
	static struct config config;
	int rc;

	if (g->req.sealed)
		return true;
	config_init(&config);
	rc = config_read(&config, g->session.place.dir_fd, NULL, NULL);
	return config.encrypt || (rc && rc != SC_ENOENT);
}

/* Reads it to its end. Kept, where a command is to get it. */
static int of_stdin(struct making *m, struct declaration *d)
{
	struct get *g = m->g;
	int rc = 0, reading = 0;

	if (g->req.cmd && !g->req.print_key) {
		if (!m->disabled)
			session_find(&g->session, SESSION_START);
		rc = spool_make(&g->spool, g->session.place.dir_fd, get_seals_spools(g));
	}
	/* Who types it needs the line. */
	if (!isatty(0))
		progress_wait("stdin to end");
	if (rc == 0)
		rc = spool_take_stdin(&g->spool, d->value, &reading);
	progress_stop();
	if (rc) {
		snprintf(m->why, sizeof m->why, "%s: %s", reading ? "stdin cannot be read" : "no room to keep stdin",
			 sc_strerror(rc));
		return SC_ESYS;
	}
	return 0;
}

static int fill_in(struct making *m, struct declaration *d)
{
	if (strcmp(d->kind, "file") == 0)
		return of_content(m, d);
	if (strcmp(d->kind, "mtime") == 0)
		return of_mtime(m, d);
	if (strcmp(d->kind, "env") == 0)
		return of_variable(d);
	if (strcmp(d->kind, "cwd") == 0)
		return of_directory(m, d);
	if (strcmp(d->kind, "arg") == 0)
		return key_hash_words(m->g->req.cmd, d->value);
	return 0;
}

/* stdin last: it can be read once only, and by then all the others are known to be there. */
static int fill_in_all(struct making *m)
{
	struct key *k = &m->g->req.declared;
	int rc = 0;

	progress_wait("what the key is made of to be read");
	for (size_t i = 0; rc == 0 && i < k->n; i++)
		rc = fill_in(m, &k->list[i]);
	progress_stop();
	for (size_t i = 0; rc == 0 && i < k->n; i++)
		if (strcmp(k->list[i].kind, "stdin") == 0)
			rc = of_stdin(m, &k->list[i]);
	return rc;
}

int get_make_key(struct get *g, bool disabled)
{
	static struct making m;
	const char *text;
	int rc;

	if (g->req.declared.n == 0)
		return -1;
	m = (struct making){.g = g, .disabled = disabled};
	digest_init(); /* fails for want of randomness, which no hash needs; done, it is faster */
	rc = fill_in_all(&m);
	hashes_close(m.content.hashes);
	if (rc)
		return get_fail(g, rc == SC_ESYS ? m.why : sc_strerror(rc), NULL);
	if (m.is_changing)
		return g->req.print_key ? get_fail(g, m.why, NULL) : get_bypass(g, m.why, NULL);
	text = key_make(&g->req.declared, g->req.key);
	if (!text)
		return get_fail(g, sc_strerror(SC_ENOMEM), NULL);
	g->req.key = text;
	g->status.key = bytes_of(text);
	if (!g->req.quiet && !g->req.warm)
		progress_allow(text, g->output.fd);
	return -1;
}

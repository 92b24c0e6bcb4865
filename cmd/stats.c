/* `sc stats`: what the daemon has counted, of the whole cache and of each bucket: for people, as JSON, or as OpenMetrics. The table of
 * figures is the only place that names them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/row.h"
#include "cmd/talk.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/limits.h"

enum { JSON, OPENMETRICS, OPTIONS };

const struct option_row stats_options[] = {
	[JSON] = {0, "json", NULL, "one object a line: the cache's, then each bucket's"},
	[OPENMETRICS] = {0, "openmetrics", NULL, "for Prometheus, also by the textfile collector of its node exporter"},
	[OPTIONS] = {0},
};

enum unit { PLAIN, BYTES, MS };

struct figure {
	unsigned kind;	  /* enum tally */
	const char *name; /* in JSON; and behind sc_ in OpenMetrics, where those of MS end in _seconds */
	const char *help;
	enum unit unit;
	bool counter; /* else it may go down */
	bool cache;   /* of the whole cache alone */
};

static const struct figure figures[] = {
	{TALLY_ENTRIES, "entries", "finished entries", PLAIN, false, false},
	{TALLY_BYTES, "bytes", "what they take of the disk", BYTES, false, false},
	{TALLY_RUNS, "runs", "runs in progress", PLAIN, false, false},
	{TALLY_HITS, "hits", "answers by an entry that was fresh", PLAIN, true, false},
	{TALLY_STALE, "stale_hits", "answers by an entry that was too old but for --stale", PLAIN, true, false},
	{TALLY_FAILURES, "failure_hits", "answers by a failure that was kept", PLAIN, true, false},
	{TALLY_FOLLOWS, "follows", "answers by a run that somebody else had begun", PLAIN, true, false},
	{TALLY_LEADS, "leads", "runs that were begun", PLAIN, true, false},
	{TALLY_MISSES, "misses", "answers by nothing, to who had no command", PLAIN, true, false},
	{TALLY_BYPASSES, "bypasses", "answers that the command is to be run directly", PLAIN, true, false},
	{TALLY_COMMITS, "commits", "runs that were kept", PLAIN, true, false},
	{TALLY_FAILS, "failures", "runs that failed", PLAIN, true, false},
	{TALLY_CANCELS, "cancels", "runs that were stopped because nobody read them", PLAIN, true, false},
	{TALLY_LOST, "lost", "runs whose writer was lost", PLAIN, true, false},
	{TALLY_UNKEPT, "unkept", "runs that ended well and were not kept", PLAIN, true, false},
	{TALLY_REMOVED, "removed", "entries that were removed, or found damaged", PLAIN, true, false},
	{TALLY_EXPIRED, "expired", "entries whose time was over", PLAIN, true, false},
	{TALLY_EVICTED, "evicted", "entries that went to make room", PLAIN, true, false},
	{TALLY_BYTES_SERVED, "served_bytes", "bytes of the entries that were answers", BYTES, true, false},
	{TALLY_BYTES_STORED, "stored_bytes", "bytes of the runs that were kept", BYTES, true, false},
	{TALLY_MEMORY_HITS, "memory_hits", "answers by an entry that lay in memory", PLAIN, true, false},
	{TALLY_BYTES_MEMORY, "memory_served_bytes", "bytes of the answers by an entry that lay in memory", BYTES, true, false},
	{TALLY_LOADS, "loads", "entries that were put into memory", PLAIN, true, false},
	{TALLY_CONNS, "connections", "open connections", PLAIN, false, true},
	{TALLY_WATCHERS, "watchers", "open connections of those who watch", PLAIN, false, true},
	{TALLY_BAD, "damaged", "entries that were found damaged", PLAIN, true, true},
	{TALLY_UPTIME, "uptime", "how long the daemon has been running", MS, false, true},
	{TALLY_STARTED, "started", "when it was started, in Unix time", MS, false, true},
	{TALLY_MAX_BYTES, "max_bytes", "what all entries may take of the disk", BYTES, false, true},
	{TALLY_MAX_ENTRIES, "max_entries", "how many entries there may be", PLAIN, false, true},
	{TALLY_MEMORY_ENTRIES, "memory_entries", "entries that lie in memory", PLAIN, false, true},
	{TALLY_MEMORY_BYTES, "memory_bytes", "what the entries in memory take of it", BYTES, false, true},
	{TALLY_MAX_MEMORY_BYTES, "max_memory_bytes", "what the entries in memory may take of it", BYTES, false, true},
};

#define FIGURES (sizeof figures / sizeof *figures)

enum scope { CACHE, OTHERS, BUCKET };

/* What is known of the cache, or of one bucket. */
struct tallies {
	enum scope scope;
	char bucket[SC_BUCKET_MAX + 1];
	uint64_t n[FIGURES];
	bool has[FIGURES]; /* a daemon of another build may know less */
};

struct gathered {
	struct tallies *list;
	size_t n, room;
};

/* ---- what is heard ---- */

static enum scope scope_of(const struct msg *m)
{
	return m->flags & TALLY_CACHE ? CACHE : m->flags & TALLY_OTHERS ? OTHERS : BUCKET;
}

static bool is_of(const struct tallies *t, const struct msg *m)
{
	if (t->scope != scope_of(m))
		return false;
	return t->scope != BUCKET || (strlen(t->bucket) == m->bucket.n && memcmp(t->bucket, m->bucket.p, m->bucket.n) == 0);
}

/* Those of one bucket come in a row. */
static bool gather(struct gathered *g, const struct msg *m)
{
	struct tallies *t = g->n ? &g->list[g->n - 1] : NULL;

	if (!t || !is_of(t, m)) {
		if (g->n == g->room) {
			size_t room = g->room ? 2 * g->room : 16;
			struct tallies *list = realloc(g->list, room * sizeof *list);

			if (!list)
				return false;
			g->list = list;
			g->room = room;
		}
		t = &g->list[g->n++];
		*t = (struct tallies){.scope = scope_of(m)};
		if (t->scope == BUCKET)
			memcpy(t->bucket, m->bucket.p, m->bucket.n);
	}
	for (size_t i = 0; i < FIGURES; i++) {
		if (figures[i].kind != m->kind)
			continue;
		t->n[i] = m->count;
		t->has[i] = true;
	}
	return true;
}

static int ask(struct gathered *g)
{
	struct session s = SESSION_INIT;
	struct msg q = {.type = MSG_STATS}, m;
	char text[256];
	int rc = talk_ask(&s, SESSION_START, "stats", &q, &m);

	while (rc == 0 && m.type == MSG_TALLY) {
		if (!gather(g, &m)) {
			complain("stats", "no memory", NULL);
			rc = SC_ENOMEM;
		} else {
			rc = talk_next(&s, "stats", &m);
		}
	}
	if (rc == 0 && m.type != MSG_END) {
		complainf("stats", "is not complete: %s", human_escape(m.text.p, m.text.n, text, sizeof text));
		rc = SC_EPROTO;
	}
	session_release(&s);
	return rc;
}

/* ---- JSON ---- */

static void print_json(const struct tallies *t)
{
	json_t *o = json_object();

	json_object_set_new(o, "scope", json_string(t->scope == CACHE ? "cache" : "bucket"));
	json_object_set_new(o, "bucket", t->scope == BUCKET ? row_text(t->bucket) : json_null());
	for (size_t i = 0; i < FIGURES; i++) {
		if (figures[i].cache && t->scope != CACHE)
			continue;
		json_object_set_new(o, figures[i].name,
				    !t->has[i]		    ? json_null()
				    : figures[i].unit == MS ? row_seconds(t->n[i])
							    : row_number(t->n[i]));
	}
	row_print(o);
}

/* ---- OpenMetrics ---- */

/* Whole numbers as they are, so that nothing is lost in them. */
static void print_value(const struct figure *f, uint64_t n)
{
	if (n >= SC_FOREVER - 1)
		puts("+Inf");
	else if (f->unit == MS)
		printf("%llu.%03llu\n", (unsigned long long)(n / 1000), (unsigned long long)(n % 1000));
	else
		printf("%llu\n", (unsigned long long)n);
}

/* A family, whose samples must stand together. Valid as OpenMetrics 1.0 and as Prometheus's text format 0.0.4: without timestamps, and
 * what the one takes for `# UNIT` and `# EOF` are comments to the other. A bucket's name needs no escape. */
static void print_family(const struct gathered *g, size_t i)
{
	const struct figure *f = &figures[i];
	const char *seconds = f->unit == MS ? "_seconds" : "";
	bool any = false;

	for (size_t k = 0; k < g->n; k++) {
		const struct tallies *t = &g->list[k];

		if (!t->has[i] || (t->scope == CACHE) != f->cache)
			continue;
		if (!any) {
			printf("# HELP sc_%s%s %s\n", f->name, seconds, f->help);
			printf("# TYPE sc_%s%s %s\n", f->name, seconds, f->counter ? "counter" : "gauge");
			if (f->unit == MS)
				printf("# UNIT sc_%s_seconds seconds\n", f->name);
		}
		any = true;
		printf("sc_%s%s%s", f->name, seconds, f->counter ? "_total" : "");
		if (t->scope != CACHE)
			printf("{bucket=\"%s\"}", t->scope == BUCKET ? t->bucket : "+others");
		putchar(' ');
		print_value(f, t->n[i]);
	}
}

static void print_openmetrics(const struct gathered *g)
{
	for (size_t i = 0; i < FIGURES; i++)
		print_family(g, i);
	puts("# EOF");
}

/* ---- for people ---- */

static char *put(const struct figure *f, uint64_t n, char out[32])
{
	if (f->kind == TALLY_STARTED)
		return NULL;
	if (f->unit == MS)
		return human_format_duration(n, out);
	if (n >= SC_FOREVER - 1)
		snprintf(out, 32, "none");
	else if (f->unit == BYTES)
		human_format_size(n, out);
	else
		snprintf(out, 32, "%llu", (unsigned long long)n);
	return out;
}

static void print_people(const struct tallies *t)
{
	char text[32];

	if (t->scope == CACHE)
		puts("cache:");
	else
		printf("bucket %s:\n", t->scope == BUCKET ? t->bucket : "(others)");
	for (size_t i = 0; i < FIGURES; i++)
		if (t->has[i] && put(&figures[i], t->n[i], text))
			printf("  %-19s %10s  %s\n", figures[i].name, text, figures[i].help);
}

int run_stats(const struct command *self, int argc, char **argv)
{
	bool json = false, openmetrics = false;
	const struct option_row *row;
	struct gathered g = {0};
	struct options o;
	int status = EXIT_FAILED;

	options_start(&o, self, argc, argv);
	while ((row = options_next(&o))) {
		json |= row == &stats_options[JSON];
		openmetrics |= row == &stats_options[OPENMETRICS];
	}
	if (options_failed(&o))
		return EXIT_USAGE;
	if (o.nwords)
		return options_error(&o, "takes no words");
	if (json && openmetrics)
		return options_error(&o, "either --json or --openmetrics, not both");
	if (ask(&g) == 0) {
		for (size_t i = 0; i < g.n && !openmetrics; i++) {
			if (json)
				print_json(&g.list[i]);
			else
				print_people(&g.list[i]);
		}
		if (openmetrics)
			print_openmetrics(&g);
		status = end_output("stats");
	}
	free(g.list);
	return status;
}

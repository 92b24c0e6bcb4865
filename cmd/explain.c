/* `sc explain`: what is known of one key: its entry, its runs, what became of the last one, and why the last question was a miss. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/command.h"
#include "cmd/key.h"
#include "cmd/options.h"
#include "cmd/request.h"
#include "cmd/row.h"
#include "cmd/talk.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/limits.h"

enum { JSON, BUCKET, OPTIONS };

const struct option_row explain_options[] = {
	[JSON] = {0, "json", NULL, "as one object: key, bucket, entry, failure, runs, last, miss, other_command"},
	[BUCKET] = {'b', "bucket", "NAME", BUCKET_HELP},
	[OPTIONS] = {0},
};

struct explanation {
	struct bytes key;
	const char *bucket;
	bool json, has_entry;
	json_t *row, *runs; /* of --json */
};

/* ---- causes ---- */

/* A word for programs, a sentence for people; in this the second may be a format of one number. */
static const struct {
	const char *word, *text;
} causes[] = {
	[CAUSE_NEVER] = {"never", "nothing was known of it: never seen, or long forgotten"},
	[CAUSE_EXPIRED] = {"expired", "the entry's time was over"},
	[CAUSE_OLD] = {"old", "the entry was older than was asked for (--ttl)"},
	[CAUSE_REFRESHED] = {"refreshed", "a new one was asked for (--refresh)"},
	[CAUSE_FAILED] = {"failed", "the run failed"},
	[CAUSE_CANCELLED] = {"cancelled",
			     "the run was stopped when its last reader left (--finish lets such a run end and be kept)"},
	[CAUSE_LOST] = {"lost", "the process that ran it was killed"},
	[CAUSE_UNKEPT] = {"unkept", "it was not to be kept (--ttl 0)"},
	[CAUSE_TOO_LARGE] = {"too-large", "it was larger than an entry may be (max-entry, max-size, or a limit on files)"},
	[CAUSE_DISK_FULL] = {"disk-full", "there was no room on the disk"},
	[CAUSE_UNSTORED] = {"unstored", "it could not be stored"},
	[CAUSE_EVICTED] = {"evicted", "the entry went to make room (max-size, max-files, min-free)"},
	[CAUSE_REMOVED] = {"removed", "it was removed"},
	[CAUSE_UNREADABLE] = {"unreadable", "the entry's files were missing or damaged"},
	[CAUSE_NESTED] = {"bypassed", "its own command asked for it, and was run directly"},
	[CAUSE_DOOMED] = {"removed", "while it ran it was removed, or a newer one asked for (--refresh)"},
	[CAUSE_GIVEN_UP] = {"given-up", "it was put, and the put ended before its input did"},
	[CAUSE_COMMAND] = {"command", "who asked would have made it with another command (the key alone decides)"},
};

static bool is_known(const struct msg *m)
{
	return m->kind < sizeof causes / sizeof *causes && causes[m->kind].word;
}

static void print_cause(const struct msg *m)
{
	bool miss = m->flags & CAUSE_OF_MISS;
	time_t seconds = (time_t)(m->created / 1000);
	char ago[32], when[64] = "";
	struct tm tm;

	printf("%s: %s ago: %s",
	       miss			 ? "last miss"
	       : m->flags & CAUSE_OF_HIT ? "made by another command"
					 : "last run or entry",
	       human_format_duration(m->age, ago),
	       is_known(m) ? causes[m->kind].text : "for a reason this " SC_BIN " does not know");
	if (m->kind == CAUSE_FAILED)
		printf(", with %s %llu", m->signal ? "signal" : "status",
		       (unsigned long long)(m->signal ? m->signal : m->exit));
	if (m->error && m->kind != CAUSE_TOO_LARGE)
		printf(": %s", strerror((int)m->error));
	/* Of what had been so for a while when it was asked for. */
	if (miss && m->kind != CAUSE_NEVER && m->kind != CAUSE_REFRESHED && m->kind != CAUSE_NESTED &&
	    gmtime_r(&seconds, &tm) && strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm))
		printf(" (%s %s)", m->kind == CAUSE_OLD ? "made" : "at", when);
	putchar('\n');
}

static json_t *json_of_cause(const struct msg *m)
{
	bool failed = m->kind == CAUSE_FAILED;
	json_t *o = json_object();

	json_object_set_new(o, "cause", json_string(is_known(m) ? causes[m->kind].word : "other"));
	json_object_set_new(o, "time", row_seconds(m->created));
	json_object_set_new(o, "age", row_seconds(m->age));
	json_object_set_new(o, "exit", failed && !m->signal ? row_number(m->exit) : json_null());
	json_object_set_new(o, "signal", failed && m->signal ? row_number(m->signal) : json_null());
	json_object_set_new(o, "error", row_text(m->error ? strerrorname_np((int)m->error) : NULL));
	return o;
}

/* ---- entries and runs ---- */

static void print_command(const struct msg *m)
{
	char *text = row_command(m->shown);

	if (text)
		printf("  made by: %s\n", text);
	free(text);
}

static bool is_failure(const struct msg *m)
{
	return m->exit || m->signal;
}

static void print_entry(const struct msg *m)
{
	char size[32], age[32], left[32], took[32], hex[SC_GEN_HEX], how[64];
	bool over = m->age == SC_FOREVER || m->age > m->ttl;

	gen_format(&m->gen, hex);
	snprintf(how, sizeof how, "%s %llu", m->signal ? "signal" : "status",
		 (unsigned long long)(m->signal ? m->signal : m->exit));
	human_format_size(m->out_len + m->err_len, size);
	printf("%s: %s, %s, made %s ago, took %s, served %llu time%s, %s%sgeneration %s, ",
	       is_failure(m) ? "kept failure" : "entry", size, how,
	       m->age == SC_FOREVER ? "?" : human_format_duration(m->age, age), human_format_duration(m->estimate, took),
	       (unsigned long long)m->hits, m->hits == 1 ? "" : "s", m->flags & ENTRY_MEMORY ? "in memory, " : "",
	       m->flags & ENTRY_SEALED ? "sealed, " : "", hex);
	if (!over)
		printf("good for %s\n", m->ttl == SC_FOREVER ? "ever" : human_format_duration(m->ttl - m->age, left));
	else if (m->age == SC_FOREVER)
		puts("of the future, so not served");
	else
		printf("its time was over %s ago\n", human_format_duration(m->age - m->ttl, left));
	print_command(m);
}

static json_t *json_of_entry(const struct msg *m)
{
	json_t *o = json_object();

	row_add_entry(o, m);
	json_object_set_new(o, "fresh", json_boolean(m->age != SC_FOREVER && m->age <= m->ttl));
	return o;
}

static void print_run(const struct msg *m)
{
	char age[32], size[32], hex[SC_GEN_HEX];

	gen_format(&m->gen, hex);
	if (m->flags == FLIGHT_IS_LEASE) {
		printf("held: for %s, by ", human_format_duration(m->age, age));
		printf(m->leader ? "pid %llu" : "a process of the daemon before", (unsigned long long)m->leader);
		printf(", generation %s\n", hex);
		return;
	}
	printf("run: %s for %s, %s so far, %llu reader%s, generation %s\n", row_state(m), human_format_duration(m->age, age),
	       human_format_size(m->out_len + m->err_len, size), (unsigned long long)m->count, m->count == 1 ? "" : "s", hex);
	print_command(m);
}

static json_t *json_of_run(const struct msg *m)
{
	json_t *o = json_object();

	row_add_run(o, m);
	return o;
}

/* ---- all of it ---- */

static void begin(struct explanation *x)
{
	static const char *const fields[] = {"entry", "failure", "runs", "last", "miss", "other_command"};

	if (!x->json) {
		fputs("key: ", stdout);
		key_print(x->key);
		putchar('\n');
		return;
	}
	x->row = json_object();
	row_set_key(x->row, x->key);
	json_object_set_new(x->row, "bucket", row_text(x->bucket));
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		json_object_set_new(x->row, fields[i], json_null());
	x->runs = json_array();
	json_object_set_new(x->row, "runs", x->runs);
}

static const char *name_of_cause(const struct msg *m)
{
	return m->flags & CAUSE_OF_MISS ? "miss" : m->flags & CAUSE_OF_HIT ? "other_command" : "last";
}

static void add(struct explanation *x, const struct msg *m)
{
	bool failure = m->type == MSG_ENTRY && is_failure(m);

	/* The entry comes first, if there is one. */
	if (!x->json && !x->has_entry && (m->type != MSG_ENTRY || failure))
		puts("entry: none");
	x->has_entry = true;
	if (x->json && m->type == MSG_ENTRY)
		json_object_set_new(x->row, failure ? "failure" : "entry", json_of_entry(m));
	else if (x->json && m->type == MSG_FLIGHT)
		json_array_append_new(x->runs, json_of_run(m));
	else if (x->json && m->type == MSG_CAUSE)
		json_object_set_new(x->row, name_of_cause(m), json_of_cause(m));
	else if (m->type == MSG_ENTRY)
		print_entry(m);
	else if (m->type == MSG_FLIGHT)
		print_run(m);
	else if (m->type == MSG_CAUSE)
		print_cause(m);
}

static int explain(struct session *s, struct explanation *x)
{
	struct msg q = {.type = MSG_EXPLAIN, .bucket = bytes_of(x->bucket), .key = x->key}, m;
	char text[256];
	int rc = talk_ask(s, SESSION_START, "explain", &q, &m);

	if (rc)
		return EXIT_FAILED;
	begin(x);
	while (rc == 0 && (m.type == MSG_ENTRY || m.type == MSG_FLIGHT || m.type == MSG_CAUSE)) {
		add(x, &m);
		rc = talk_next(s, "explain", &m);
	}
	if (rc == 0 && m.type == MSG_END)
		add(x, &m);
	if (x->json)
		row_print(x->row);
	if (rc == 0 && m.type != MSG_END) {
		complainf("explain", "is not complete: %s", human_escape(m.text.p, m.text.n, text, sizeof text));
		rc = SC_EPROTO;
	}
	return rc ? EXIT_FAILED : end_output("explain");
}

int run_explain(const struct command *self, int argc, char **argv)
{
	struct explanation x = {0};
	struct session s = SESSION_INIT;
	const struct option_row *row;
	struct options o;
	int status;

	options_start(&o, self, argc, argv);
	while ((row = options_next(&o)))
		if (row == &explain_options[BUCKET])
			x.bucket = o.value;
		else
			x.json = true;
	if (options_failed(&o))
		return EXIT_USAGE;
	if (o.nwords != 1)
		return options_error(&o, "say one KEY");
	if (!options_key(&o, o.words[0]))
		return EXIT_USAGE;
	if (!request_read_bucket(&x.bucket, &o, x.bucket))
		return EXIT_USAGE;
	x.key = bytes_of(o.words[0]);
	status = explain(&s, &x);
	session_release(&s);
	return status;
}

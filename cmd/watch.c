/* `sc watch`: a line for each thing that happens, as it happens. It never begins anew by itself: what a daemon that has gone did not tell is
 * not known, and a stream with a hole in it must not look whole. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/key.h"
#include "cmd/options.h"
#include "cmd/request.h"
#include "cmd/row.h"
#include "cmd/talk.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/limits.h"

/* How often it is looked whether somebody still reads us, while nothing happens. */
#define LOOK_MS 1000

enum { INITIAL, COUNT, WAIT, JSON, BUCKET, OPTIONS };

const struct option_row watch_options[] = {
	[INITIAL] = {'i', "initial", NULL, "first what there is: runs as start, leases as hold, entries as commit"},
	[COUNT] = {'n', "count", "N", "end after N lines, with 0"},
	[WAIT] = {'w', "wait", "DUR", "end with 124 when nothing has happened for so long"},
	[JSON] = {0, "json", NULL, "one object a line: event, time, bucket, key, generation, ..."},
	[BUCKET] = {'b', "bucket", "NAME", BUCKET_HELP},
	[OPTIONS] = {0},
};

struct watch {
	bool json;
	uint64_t left;	  /* lines; SC_FOREVER: no end */
	uint64_t wait_ms; /* SC_FOREVER: the same */
	const char *bucket;
};

/* ---- one line ---- */

static const char *name_of(const struct msg *m)
{
	static const char *const names[] = {
		[EVENT_START] = "start", [EVENT_COMMIT] = "commit", [EVENT_FAIL] = "fail",	[EVENT_CANCEL] = "cancel",
		[EVENT_LOST] = "lost",	 [EVENT_END] = "end",	    [EVENT_REMOVE] = "remove",	[EVENT_EXPIRE] = "expire",
		[EVENT_EVICT] = "evict", [EVENT_HOLD] = "hold",	    [EVENT_RELEASE] = "release"};

	if (m->type == MSG_MISSED)
		return "missed";
	return m->kind < sizeof names / sizeof *names && names[m->kind] ? names[m->kind] : "other";
}

/* NULL: nothing is to be said. */
static const char *reason_of(const struct msg *m)
{
	static const char *const unkept[] = {
		[UNKEPT_DOOMED] = "removed", [UNKEPT_TTL] = "ttl", [UNKEPT_STORE] = "store", [UNKEPT_NEWER] = "newer"};

	if (m->kind == EVENT_END)
		return m->reason < sizeof unkept / sizeof *unkept ? unkept[m->reason] : NULL;
	if (m->kind == EVENT_CANCEL)
		return m->reason == CANCEL_PUT ? "put" : NULL;
	return m->kind == EVENT_REMOVE && m->reason == REMOVED_DAMAGED ? "damaged" : NULL;
}

/* How long the output is, is known of what has ended by itself, and of entries. */
static bool has_size(const struct msg *m)
{
	return m->type == MSG_EVENT && (m->kind == EVENT_COMMIT || m->kind == EVENT_FAIL || m->kind == EVENT_END ||
					m->kind == EVENT_REMOVE || m->kind == EVENT_EXPIRE || m->kind == EVENT_EVICT);
}

static const char *detail_of(const struct msg *m, char out[64])
{
	const char *reason = reason_of(m);

	if (m->type == MSG_MISSED)
		snprintf(out, 64, "%llu", (unsigned long long)m->count);
	else if (m->kind == EVENT_FAIL)
		snprintf(out, 64, "%s=%llu", m->signal ? "signal" : "exit",
			 (unsigned long long)(m->signal ? m->signal : m->exit));
	else if (reason)
		snprintf(out, 64, "%s", reason);
	else if (has_size(m))
		human_format_size(m->out_len + m->err_len, out);
	else
		snprintf(out, 64, "-");
	return out;
}

static void print_people(const struct msg *m, uint64_t when_ms)
{
	char hex[SC_GEN_HEX] = "-", detail[64], day[32];
	time_t seconds = (time_t)(when_ms / 1000);
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || !strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm))
		snprintf(day, sizeof day, "-");
	if (m->type == MSG_EVENT)
		gen_format(&m->gen, hex);
	printf("%s.%03uZ  %-7s  %-8.8s  %-8s  ", day, (unsigned)(when_ms % 1000), name_of(m), hex, detail_of(m, detail));
	if (m->type == MSG_EVENT)
		key_print(m->key);
	else
		putchar('-');
	putchar('\n');
}

static json_t *number_if(bool there, uint64_t n)
{
	return there ? row_number(n) : json_null();
}

static void print_json(const struct watch *w, const struct msg *m, uint64_t when_ms)
{
	bool event = m->type == MSG_EVENT, ended = event && (m->kind == EVENT_COMMIT || m->kind == EVENT_FAIL);
	char hex[SC_GEN_HEX] = "";
	json_t *o = json_object();

	if (event)
		gen_format(&m->gen, hex);
	json_object_set_new(o, "event", json_string(name_of(m)));
	json_object_set_new(o, "time", row_seconds(when_ms));
	json_object_set_new(o, "bucket", row_text(w->bucket));
	if (event)
		row_set_key(o, m->key);
	else
		json_object_set_new(o, "key", json_null());
	json_object_set_new(o, "generation", event ? json_string(hex) : json_null());
	json_object_set_new(o, "initial", json_boolean(event && (m->flags & EVENT_INITIAL)));
	json_object_set_new(o, "exit", number_if(ended && !m->signal, m->exit));
	json_object_set_new(o, "signal", number_if(ended && m->signal, m->signal));
	json_object_set_new(o, "bytes", number_if(has_size(m), m->out_len));
	json_object_set_new(o, "stderr_bytes", number_if(has_size(m), m->err_len));
	json_object_set_new(o, "ttl", event && m->kind == EVENT_COMMIT ? row_seconds(m->ttl) : json_null());
	json_object_set_new(o, "kept", event && m->kind == EVENT_FAIL ? json_boolean(m->flags & EVENT_KEPT) : json_null());
	json_object_set_new(o, "reason", row_text(event ? reason_of(m) : NULL));
	json_object_set_new(o, "error", row_text(event && m->error ? strerrorname_np((int)m->error) : NULL));
	json_object_set_new(o, "missed", event ? json_null() : row_number(m->count));
	row_print(o);
}

/* ---- the stream ---- */

/* Whoever reads us may leave while nothing happens. */
static bool is_read(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO};

	return poll(&p, 1, 0) <= 0 || !(p.revents & (POLLERR | POLLNVAL));
}

/* The next message, in at most wait_ms without one. SC_EAGAIN: that is over, or nobody reads us. */
static int hear(struct session *s, struct msg *m, uint64_t wait_ms)
{
	uint64_t since = clock_run_ms(), passed = 0;
	int fds[SC_FDS_MAX], rc;
	size_t nfds = 0;

	do {
		uint64_t left = wait_ms == SC_FOREVER ? LOOK_MS : wait_ms - passed;

		rc = session_hear(s, m, fds, &nfds, left < LOOK_MS ? left : LOOK_MS);
		if (rc == SC_ESYS && errno == EINTR)
			rc = SC_EAGAIN;
		passed = clock_run_ms() - since;
	} while (rc == SC_EAGAIN && passed < wait_ms && is_read());
	return rc;
}

static int follow(struct session *s, struct watch *w)
{
	char text[256];
	struct msg m;
	int rc, status;

	while (w->left > 0) {
		rc = hear(s, &m, w->wait_ms);
		if (rc == SC_EAGAIN)
			return is_read() ? EXIT_WAITED : EXIT_PIPE;
		if (rc) {
			complain("watch", s->why[0] ? s->why : sc_strerror(rc), "what happens from here on is not known");
			return EXIT_FAILED;
		}
		if (m.type != MSG_EVENT && m.type != MSG_MISSED) {
			complainf("watch", "is not complete: %s", human_escape(m.text.p, m.text.n, text, sizeof text));
			return EXIT_FAILED;
		}
		if (w->json)
			print_json(w, &m, m.type == MSG_EVENT ? m.created : clock_now().wall_ms);
		else
			print_people(&m, m.type == MSG_EVENT ? m.created : clock_now().wall_ms);
		/* Each at once: somebody waits for it. */
		status = end_output("watch");
		if (status)
			return status;
		if (w->left != SC_FOREVER)
			w->left--;
	}
	return 0;
}

static int start(struct session *s, const struct msg *q)
{
	struct msg m;

	if (talk_ask(s, SESSION_START, "watch", q, &m))
		return EXIT_FAILED;
	if (m.type == MSG_OK)
		return 0;
	complain("watch", "so many watch already that the daemon takes no more", NULL);
	return EXIT_FAILED;
}

int run_watch(const struct command *self, int argc, char **argv)
{
	struct watch w = {.left = SC_FOREVER, .wait_ms = SC_FOREVER};
	struct session s = SESSION_INIT;
	struct msg q = {.type = MSG_WATCH};
	unsigned long long ms;
	const struct option_row *row;
	struct options o;
	char shown[128];
	int status;

	options_start(&o, self, argc, argv);
	while ((row = options_next(&o))) {
		if (row == &watch_options[INITIAL])
			q.flags |= WATCH_INITIAL;
		if (row == &watch_options[JSON])
			w.json = true;
		if (row == &watch_options[BUCKET])
			w.bucket = o.value;
		if (row == &watch_options[COUNT] && human_parse_number(o.value, 1, SC_FOREVER - 1, &w.left) != 0)
			return options_error(&o, "--count: '%s' is no number from 1 on",
					     human_escape(o.value, strlen(o.value), shown, sizeof shown));
		if (row == &watch_options[BUCKET])
			w.bucket = o.value;
		if (row == &watch_options[WAIT]) {
			if (!options_duration(&o, row, &ms))
				return EXIT_USAGE;
			w.wait_ms = ms;
		}
	}
	if (options_failed(&o))
		return EXIT_USAGE;
	if (o.nwords > 1)
		return options_error(&o, "one PREFIX at most");
	if (o.nwords && strlen(o.words[0]) > SC_KEY_MAX)
		return options_error(&o, "PREFIX is longer than any key");
	if (!request_read_bucket(&w.bucket, &o, w.bucket))
		return EXIT_USAGE;
	q.bucket = bytes_of(w.bucket);
	q.text = bytes_of(o.nwords ? o.words[0] : "");
	status = start(&s, &q);
	if (status == 0)
		status = follow(&s, &w);
	session_release(&s);
	return status;
}

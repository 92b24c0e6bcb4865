/* `sc ls` and `sc ps`: rows as they come, nothing gathered. */
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/key.h"
#include "cmd/options.h"
#include "cmd/request.h"
#include "cmd/talk.h"
#include "lib/err.h"
#include "lib/human.h"

const struct option_row ls_options[] = {{'b', "bucket", "NAME", BUCKET_HELP}, {0}};
const struct option_row ps_options[] = {{'b', "bucket", "NAME", BUCKET_HELP}, {0}};

static int each_row(struct session *s, const char *verb, const struct msg *q, enum session_how how,
		    void (*print)(const struct msg *m))
{
	char text[256];
	struct msg m;
	int rc = talk_ask(s, how, verb, q, &m);

	if (rc == SC_ENOENT && how != SESSION_START)
		return 0; /* no daemon, no flights */
	while (rc == 0 && (m.type == MSG_ENTRY || m.type == MSG_FLIGHT)) {
		print(&m);
		rc = talk_next(s, verb, &m);
	}
	if (rc == 0 && m.type != MSG_END) {
		fflush(stdout);
		complainf(verb, "is not complete: %s", human_escape(m.text.p, m.text.n, text, sizeof text));
		rc = SC_EPROTO;
	}
	session_release(s);
	if (rc)
		return EXIT_FAILED;
	return end_output(verb);
}

static void print_entry(const struct msg *m)
{
	key_print(m->key);
	putchar('\n');
}

int run_ls(const struct command *self, int argc, char **argv)
{
	struct session s = SESSION_INIT;
	struct msg q = {.type = MSG_LIST};
	struct options o;
	const char *bucket = NULL;

	options_start(&o, self, argc, argv);
	while (options_next(&o))
		bucket = o.value;
	if (options_failed(&o))
		return EXIT_USAGE;
	if (o.nwords > 1)
		return options_error(&o, "one PREFIX at most");
	if (o.nwords && strlen(o.words[0]) > SC_KEY_MAX)
		return options_error(&o, "PREFIX is longer than any key");
	if (!request_read_bucket(&bucket, &o, bucket))
		return EXIT_USAGE;
	q.bucket = bytes_of(bucket);
	q.text = bytes_of(o.nwords ? o.words[0] : "");
	return each_row(&s, "ls", &q, SESSION_START, print_entry);
}

/* A number of bytes, or "-" if there is none. */
static char *put_size(uint64_t bytes, char out[32])
{
	if (bytes == SC_FOREVER)
		snprintf(out, 32, "-");
	else
		human_format_size(bytes, out);
	return out;
}

static char *put_lag(const struct msg *m, char out[80])
{
	char least[32], most[32];

	if (m->lag_least == m->lag_most)
		snprintf(out, 80, "%s", put_size(m->lag_least, least));
	else
		snprintf(out, 80, "%s..%s", put_size(m->lag_least, least), put_size(m->lag_most, most));
	return out;
}

static char *put_pid(uint64_t pid, char out[32])
{
	snprintf(out, 32, pid ? "%llu" : "-", (unsigned long long)pid);
	return out;
}

/* As many words in each row, the key behind them: for awk as for people. */
static void print_flight(const struct msg *m)
{
	static const char *const states[] = {"awaited", "running", "stopping", "committing", "dying"};
	const char *state = m->flags < sizeof states / sizeof *states ? states[m->flags] : "?";
	char age[32], size[32], rate[32], lag[80], leader[32], pid[32], hex[SC_GEN_HEX];
	uint64_t bytes = m->out_len + m->err_len;

	gen_format(&m->gen, hex);
	human_format_size(m->age ? (uint64_t)((double)bytes * 1000 / (double)m->age) : bytes, rate);
	printf("%.8s  %-10s  %6s  %6s  %6s/s  %3llu reader%s  lag %-11s  leader %-7s  pid %-7s  ", hex, state,
	       human_format_duration(m->age, age), human_format_size(bytes, size), rate, (unsigned long long)m->count,
	       m->count == 1 ? " " : "s", put_lag(m, lag), put_pid(m->leader, leader), put_pid(m->pid, pid));
	key_print(m->key);
	putchar('\n');
}

int run_ps(const struct command *self, int argc, char **argv)
{
	struct session s = SESSION_INIT;
	struct msg q = {.type = MSG_FLIGHTS};
	struct options o;
	const char *bucket = NULL;

	options_start(&o, self, argc, argv);
	while (options_next(&o))
		bucket = o.value;
	if (options_failed(&o))
		return EXIT_USAGE;
	if (o.nwords)
		return options_error(&o, "takes no words");
	if (!request_read_bucket(&bucket, &o, bucket))
		return EXIT_USAGE;
	q.bucket = bytes_of(bucket);
	return each_row(&s, "ps", &q, SESSION_LOOK, print_flight);
}

/* `sc ps`: the runs in progress, as they come. Starts no daemon: without one there are none that anybody could join. */
#include <stdio.h>

#include "cmd/command.h"
#include "cmd/key.h"
#include "cmd/options.h"
#include "cmd/request.h"
#include "cmd/row.h"
#include "cmd/talk.h"
#include "lib/human.h"

enum { JSON, BUCKET, OPTIONS };

const struct option_row ps_options[] = {
	[JSON] = {0, "json", NULL, "one object a line, with all that is known of the run"},
	[BUCKET] = {'b', "bucket", "NAME", BUCKET_HELP},
	[OPTIONS] = {0},
};

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
static void print_flight(void *arg, const struct msg *m)
{
	char age[32], size[32], rate[32], lag[80], leader[32], pid[32], hex[SC_GEN_HEX];
	uint64_t bytes = m->out_len + m->err_len;

	(void)arg;
	gen_format(&m->gen, hex);
	human_format_size(m->age ? (uint64_t)((double)bytes * 1000 / (double)m->age) : bytes, rate);
	printf("%.8s  %-10s  %6s  %6s  %6s/s  %3llu reader%s  lag %-11s  leader %-7s  pid %-7s  ", hex, row_state(m),
	       human_format_duration(m->age, age), human_format_size(bytes, size), rate, (unsigned long long)m->count,
	       m->count == 1 ? " " : "s", put_lag(m, lag), put_pid(m->leader, leader), put_pid(m->pid, pid));
	key_print(m->key);
	putchar('\n');
}

static void print_json(void *arg, const struct msg *m)
{
	json_t *o = json_object();
	char bucket[SC_BUCKET_MAX + 1];

	(void)arg;
	snprintf(bucket, sizeof bucket, "%.*s", (int)m->bucket.n, (const char *)m->bucket.p);
	row_set_key(o, m->key);
	json_object_set_new(o, "bucket", row_text(bucket));
	row_add_run(o, m);
	row_print(o);
}

int run_ps(const struct command *self, int argc, char **argv)
{
	struct session s = SESSION_INIT;
	struct msg q = {.type = MSG_FLIGHTS};
	struct options o;
	const struct option_row *row;
	const char *bucket = NULL;
	bool json = false;
	int status;

	options_start(&o, self, argc, argv);
	while ((row = options_next(&o)))
		if (row == &ps_options[JSON])
			json = true;
		else
			bucket = o.value;
	if (options_failed(&o))
		return EXIT_USAGE;
	if (o.nwords)
		return options_error(&o, "takes no words");
	if (!request_read_bucket(&bucket, &o, bucket))
		return EXIT_USAGE;
	q.bucket = bytes_of(bucket);
	status = talk_rows(&s, SESSION_LOOK, "ps", &q, json ? print_json : print_flight, NULL);
	return status ? status : end_output("ps");
}

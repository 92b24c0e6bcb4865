/* `sc touch`: a finished entry is as good as if it had been made just now. */
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/request.h"
#include "cmd/talk.h"
#include "lib/human.h"

enum { TTL, BUCKET, OPTIONS };

const struct option_row touch_options[] = {
	[TTL] = {'t', "ttl", "DUR", "and lives for DUR from now on, instead of as long as it was to live"},
	[BUCKET] = {'b', "bucket", "NAME", BUCKET_HELP},
	[OPTIONS] = {0},
};

static int touch(struct session *s, const char *bucket, const char *key, uint64_t ttl_ms)
{
	struct msg q = {.type = MSG_TOUCH, .bucket = bytes_of(bucket), .key = bytes_of(key), .ttl = ttl_ms}, m;
	char text[256];

	if (talk_ask(s, SESSION_START, key, &q, &m))
		return EXIT_FAILED;
	if (m.type == MSG_OK && m.count)
		return 0;
	if (m.type == MSG_OK) {
		complain(key, "no such key", NULL);
		return EXIT_NO_KEY;
	}
	complainf(key, "could not be touched: %s", human_escape(m.text.p, m.text.n, text, sizeof text));
	return EXIT_FAILED;
}

static int parse(struct options *o, const char **bucket, uint64_t *ttl_ms)
{
	const struct option_row *row;
	unsigned long long ms;

	while ((row = options_next(o)))
		if (row == &touch_options[BUCKET])
			*bucket = o->value;
		else if (options_duration(o, row, &ms))
			*ttl_ms = ms;
		else
			return EXIT_USAGE;
	if (options_failed(o))
		return EXIT_USAGE;
	if (*ttl_ms == 0)
		return options_error(o, "--ttl 0 would be the end of it: say rm");
	if (o->nwords == 0)
		return options_error(o, "KEY is missing");
	for (int i = 0; i < o->nwords; i++)
		if (!options_key(o, o->words[i]))
			return EXIT_USAGE;
	return request_read_bucket(bucket, o, *bucket) ? 0 : EXIT_USAGE;
}

int run_touch(const struct command *self, int argc, char **argv)
{
	struct session s = SESSION_INIT;
	uint64_t ttl_ms = SC_TTL_UNSET;
	const char *bucket = NULL;
	struct options o;
	int status;

	options_start(&o, self, argc, argv);
	status = parse(&o, &bucket, &ttl_ms);
	if (status)
		return status;
	/* One that is not there keeps none of the others from being touched. */
	for (int i = 0; i < o.nwords && status != EXIT_FAILED; i++) {
		int one = touch(&s, bucket, o.words[i], ttl_ms);

		if (one)
			status = one;
	}
	session_release(&s);
	return status;
}

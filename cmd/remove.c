/* `sc rm`: 0 when afterwards nothing asked for can be served, whether or not anything was there. */
#include <string.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/request.h"
#include "cmd/talk.h"
#include "lib/human.h"

enum { PREFIX, BUCKET, OPTIONS };

const struct option_row rm_options[] = {
	[PREFIX] = {0, "prefix", "P", "every key that begins with P"},
	[BUCKET] = {'b', "bucket", "NAME", BUCKET_HELP},
	[OPTIONS] = {0},
};

static int ask(struct session *s, const char *what, const struct msg *q)
{
	struct msg m;
	char text[256];

	/* With nothing there to remove there is no need of a daemon, but only it can promise that nothing is. */
	if (talk_ask(s, SESSION_START, what, q, &m))
		return EXIT_FAILED;
	if (m.type == MSG_OK)
		return 0;
	complainf(what, "could not be removed: %s", human_escape(m.text.p, m.text.n, text, sizeof text));
	return EXIT_FAILED;
}

static int remove_one(struct session *s, const char *bucket, const char *key)
{
	struct msg q = {.type = MSG_REMOVE, .bucket = bytes_of(bucket), .key = bytes_of(key)};

	return ask(s, key, &q);
}

/* A question of its own, not REMOVE with something added: a daemon that does not know it must not say OK. */
static int remove_all(struct session *s, const char *bucket, const char *prefix)
{
	struct msg q = {.type = MSG_CLEAR, .bucket = bytes_of(bucket), .text = bytes_of(prefix)};

	return ask(s, prefix, &q);
}

static int check_prefix(const struct options *o, const char *prefix)
{
	if (o->nwords > 0)
		return options_error(o, "either KEYs or --prefix, not both");
	if (!*prefix)
		return options_error(o, "--prefix: P is empty, that would be every key");
	if (strlen(prefix) > SC_KEY_MAX)
		return options_error(o, "--prefix: P has %zu bytes, %d are the most", strlen(prefix), SC_KEY_MAX);
	return 0;
}

int run_rm(const struct command *self, int argc, char **argv)
{
	struct session s = SESSION_INIT;
	struct options o;
	const char *bucket = NULL, *prefix = NULL;
	const struct option_row *row;
	int status = 0;

	options_start(&o, self, argc, argv);
	while ((row = options_next(&o))) {
		if (row == &rm_options[BUCKET])
			bucket = o.value;
		else if (prefix)
			return options_error(&o, "--prefix: one at a time");
		else
			prefix = o.value;
	}
	if (options_failed(&o))
		return EXIT_USAGE;
	if (prefix && (status = check_prefix(&o, prefix)))
		return status;
	if (!prefix && o.nwords == 0)
		return options_error(&o, "KEY is missing");
	if (!request_read_bucket(&bucket, &o, bucket))
		return EXIT_USAGE;
	for (int i = 0; i < o.nwords; i++) {
		size_t n = strlen(o.words[i]);

		if (n == 0)
			return options_error(&o, "KEY is empty");
		if (n > SC_KEY_MAX)
			return options_error(&o, "KEY has %zu bytes, %d are the most", n, SC_KEY_MAX);
	}
	if (prefix)
		status = remove_all(&s, bucket, prefix);
	for (int i = 0; i < o.nwords && status == 0; i++)
		status = remove_one(&s, bucket, o.words[i]);
	session_release(&s);
	return status;
}

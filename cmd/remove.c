/* `sc rm`: 0 when afterwards nothing asked for can be served, whether or not anything was there. */
#include <string.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/request.h"
#include "cmd/talk.h"
#include "lib/human.h"

const struct option_row rm_options[] = {{0}};

static int remove_one(struct session *s, const char *bucket, const char *key)
{
	struct msg q = {.type = MSG_REMOVE, .bucket = bytes_of(bucket), .key = bytes_of(key)}, m;
	char text[256];

	/* With nothing there to remove there is no need of a daemon, but only it can promise that nothing is. */
	if (talk_ask(s, SESSION_START, key, &q, &m))
		return EXIT_FAILED;
	if (m.type == MSG_OK)
		return 0;
	complainf(key, "could not be removed: %s", human_escape(m.text.p, m.text.n, text, sizeof text));
	return EXIT_FAILED;
}

int run_rm(const struct command *self, int argc, char **argv)
{
	struct session s = SESSION_INIT;
	struct options o;
	const char *bucket;
	int status = 0;

	options_start(&o, self, argc, argv);
	while (options_next(&o))
		;
	if (options_failed(&o))
		return EXIT_USAGE;
	if (o.nwords == 0)
		return options_error(&o, "KEY is missing");
	if (!request_read_bucket(&bucket, &o))
		return EXIT_USAGE;
	for (int i = 0; i < o.nwords; i++) {
		size_t n = strlen(o.words[i]);

		if (n == 0)
			return options_error(&o, "KEY is empty");
		if (n > SC_KEY_MAX)
			return options_error(&o, "KEY has %zu bytes, %d are the most", n, SC_KEY_MAX);
	}
	for (int i = 0; i < o.nwords && status == 0; i++)
		status = remove_one(&s, bucket, o.words[i]);
	session_release(&s);
	return status;
}

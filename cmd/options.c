/* Parsing by the table of a verb. Called by each verb; writes to stderr only. getopt_long would accept abbreviations and does
 * not tell the `--` that ends options from the one that begins CMD. */
#include "cmd/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/progress.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/limits.h"
#include "lib/tags.h"

#define FAILED (-1)

void complainf(const char *what, const char *fmt, ...)
{
	char why[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	complain(what, why, NULL);
}

void complain(const char *what, const char *why, const char *mend)
{
	char line[8192], shown[4600];
	int n;

	progress_make_way(2, '\n');
	/* One write, so that lines of many clients at one terminal do not mix. */
	human_escape(what, strlen(what), shown, sizeof shown);
	n = snprintf(line, sizeof line, "%s: %s: %s%s%s%s\n", SC_BIN, shown, why, mend ? " (" : "", mend ? mend : "",
		     mend ? ")" : "");
	if (n > 0)
		fwrite(line, 1, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1, stderr);
}

int end_output(const char *what)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	if (errno == EPIPE)
		return EXIT_PIPE;
	complainf(what, "write error: %s", strerror(errno));
	return EXIT_FAILED;
}

int options_status(const struct options *o)
{
	return o->command->runs_command ? EXIT_FAILED : EXIT_USAGE;
}

int options_error(const struct options *o, const char *fmt, ...)
{
	char why[1024], mend[64];
	va_list ap;

	if (o->silent)
		return options_status(o);
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	snprintf(mend, sizeof mend, "see '%s help %s'", SC_BIN, o->command->name);
	complain(o->command->name, why, mend);
	return options_status(o);
}

int options_words(struct options *o, const struct command *command, int argc, char **argv, int most, const char *otherwise)
{
	options_start(o, command, argc, argv);
	while (options_next(o))
		;
	if (options_failed(o))
		return options_status(o);
	return o->nwords > most ? options_error(o, "%s", otherwise) : 0;
}

void options_start(struct options *o, const struct command *command, int argc, char **argv)
{
	*o = (struct options){.command = command, .argc = argc, .argv = argv, .at = 1, .words = argv + 1};
}

bool options_failed(const struct options *o)
{
	return o->at == FAILED;
}

static const struct option_row *fail(struct options *o)
{
	o->failed_at = o->at;
	o->at = FAILED;
	return NULL;
}

static const struct option_row *unknown(struct options *o, const char *word, size_t n)
{
	const char *names[64], *near;
	char typed[64], shown[256];
	size_t count = 0;

	for (const struct option_row *r = o->command->options; r && r->name && count < 63; r++)
		names[count++] = r->name;
	names[count] = NULL;
	snprintf(typed, sizeof typed, "%.*s", (int)n, word);
	human_escape(word, n, shown, sizeof shown);
	near = human_nearest(typed, names);
	if (near)
		options_error(o, "unknown option '--%s', did you mean '--%s'?", shown, near);
	else
		options_error(o, "unknown option '--%s'", shown);
	return fail(o);
}

static const struct option_row *long_option(struct options *o, const char *word)
{
	const char *eq = strchr(word, '=');
	size_t n = eq ? (size_t)(eq - word) : strlen(word);
	const struct option_row *r = o->command->options;

	while (r && r->name && (strlen(r->name) != n || memcmp(r->name, word, n) != 0))
		r++;
	if (!r || !r->name)
		return unknown(o, word, n);
	if (!r->value && eq) {
		options_error(o, "option '--%s' takes no value", r->name);
		return fail(o);
	}
	if (!r->value)
		return r;
	if (!eq && o->at >= o->argc) {
		o->wanting = r;
		options_error(o, "option '--%s' wants a value: %s", r->name, r->value);
		return fail(o);
	}
	o->value = eq ? eq + 1 : o->argv[o->at++];
	return r;
}

static const struct option_row *short_option(struct options *o)
{
	const struct option_row *r = o->command->options;
	char letter = *o->more++;

	while (r && r->name && r->letter != letter)
		r++;
	if (!r || !r->name) {
		char shown[16];

		options_error(o, "unknown option '-%s'", human_escape(&letter, 1, shown, sizeof shown));
		return fail(o);
	}
	if (!r->value)
		return r;
	if (*o->more) {
		o->value = o->more;
	} else if (o->at < o->argc) {
		o->value = o->argv[o->at++];
	} else {
		o->wanting = r;
		options_error(o, "option '-%c' wants a value: %s", r->letter, r->value);
		return fail(o);
	}
	o->more = NULL;
	return r;
}

/* A `--`: the first one before any word only ends the options; of a verb that runs a command the next one begins it, unless that is
 * what the first word does. */
static bool on_dashes(struct options *o)
{
	if (!o->command->runs_command || o->command->words_are_cmd || (!o->ended && o->nwords == 0)) {
		if (o->ended)
			return false;
		o->ended = true;
		return true;
	}
	o->cmd = o->argv + o->at;
	o->at = o->argc;
	return true;
}

const struct option_row *options_next(struct options *o)
{
	if (options_failed(o))
		return NULL;
	if (o->more && *o->more)
		return short_option(o);
	while (o->at < o->argc) {
		char *word = o->argv[o->at++];

		if (strcmp(word, "--") == 0 && on_dashes(o))
			continue;
		if (!o->ended && word[0] == '-' && word[1] == '-')
			return long_option(o, word + 2);
		if (!o->ended && word[0] == '-' && word[1]) {
			o->more = word + 1;
			return short_option(o);
		}
		if (o->command->words_are_cmd) {
			o->cmd = o->argv + o->at - 1;
			o->at = o->argc;
			return NULL;
		}
		/* Words are gathered at the front: what stood there has been read. */
		o->words[o->nwords++] = word;
	}
	return NULL;
}

static bool is_help(const char *word)
{
	return strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0;
}

bool options_want_help(const struct command *command, int argc, char **argv)
{
	struct options o;
	char **copy;
	bool wanted = false;
	int i = 1;

	while (i < argc && !is_help(argv[i]))
		i++;
	/* Of a question that has none of them nothing is read twice. */
	copy = i < argc ? calloc((size_t)argc + 1, sizeof *copy) : NULL;
	if (!copy)
		return false;
	memcpy(copy, argv, (size_t)argc * sizeof *copy); /* which is reordered */
	options_start(&o, command, argc, copy);
	o.silent = true;
	while (options_next(&o))
		;
	/* No verb has such a row, so it is where the reading ended, just behind it. */
	if (options_failed(&o) && !o.wanting)
		wanted = is_help(argv[o.failed_at - 1]);
	free(copy);
	return wanted;
}

bool options_key(const struct options *o, const char *key)
{
	size_t n = strlen(key);

	if (n == 0)
		return options_error(o, "KEY is empty") == 0;
	if (n > SC_KEY_MAX)
		return options_error(o, "KEY has %zu bytes, %d are the most", n, SC_KEY_MAX) == 0;
	return true;
}

bool options_tag(const struct options *o, const char *tag)
{
	char shown[128];

	if (tags_is_tag(tag))
		return true;
	return options_error(o, "--tag: '%s' is no tag (say 1 to %d characters of ASCII without space and comma)",
			     human_escape(tag, strlen(tag), shown, sizeof shown), SC_TAG_MAX) == 0;
}

bool options_duration(const struct options *o, const struct option_row *row, unsigned long long *ms)
{
	uint64_t v;
	char shown[128];

	if (human_parse_duration(o->value, &v) == 0) {
		*ms = v;
		return true;
	}
	options_error(o, "--%s: '%s' is no duration (say 90s, 1h30m, 2d or forever)", row->name,
		      human_escape(o->value, strlen(o->value), shown, sizeof shown));
	return false;
}

/* The command line of get, run and warm. Called by get.c. Prints usage errors and nothing else. */
#include "cmd/request.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/options.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/proto.h"
#include "lib/tags.h"

enum {
	NO_CWD, /* of run alone: get_options begins behind it */
	TTL,
	STALE,
	REFRESH,
	KEEP_FAILURES,
	FINISH,
	LINGER,
	FOREGROUND,
	STDERR,
	OUTPUT,
	ATOMIC,
	FILE_CONTENT,
	MTIME,
	ENV,
	STDIN,
	PRINT_KEY,
	SEALED,
	TAG,
	BUCKET,
	WAIT,
	STRICT,
	STATUS_FD,
	QUIET,
	VERBOSE,
	OPTIONS
};

const struct option_row run_options[] = {
	[NO_CWD] = {0, "no-cwd", NULL, "the key is the same in every directory"},
	[TTL] = {'t', "ttl", "DUR", "keep what CMD makes for DUR (default 1h), and take nothing older"},
	[STALE] = {0, "stale", "DUR", "take an entry up to DUR too old at once, and have it made anew in the background"},
	[KEEP_FAILURES] = {0, "keep-failures", "DUR", "keep a failure of CMD for DUR, and take one that was kept"},
	[REFRESH] = {'r', "refresh", NULL, "run CMD anew; others keep getting the entry there is until it has ended"},
	[FINISH] = {0, "finish", NULL, "let the run end, and keep its result, although nobody reads any more"},
	[LINGER] = {0, "linger", "DUR",
		    "end the run DUR after CMD has, also if something it started still holds its stdout or stderr"},
	[FOREGROUND] = {0, "foreground", NULL,
			"leave CMD at our terminal, in our process group; when it is stopped, only CMD is", true},
	[STDERR] = {0, "stderr", "replay|inherit", "CMD's stderr goes to every caller (replay), or only to the first (inherit)",
		    true},
	[OUTPUT] = {'o', "output", "FILE", "print into FILE; a regular one is replaced, as a whole, when the run has succeeded",
		    true},
	[ATOMIC] = {0, "atomic", NULL, "print nothing until the run has succeeded; if it fails, only its stderr", true},
	[FILE_CONTENT] = {0, "file", "PATH",
			  "part of the key: PATH's content; of a directory the names, modes and contents below it"},
	[MTIME] = {0, "mtime", "PATH", "part of the key: when PATH was changed"},
	[ENV] = {0, "env", "NAME", "part of the key: the variable's value, or that it is not set"},
	[STDIN] = {0, "stdin", NULL, "part of the key: stdin, which is read to its end first, and which CMD gets"},
	[PRINT_KEY] = {0, "print-key", NULL, "print the key that is asked for, and run nothing"},
	[SEALED] = {0, "sealed", NULL, SEALED_HELP},
	[TAG] = {0, "tag", "T", TAG_HELP},
	[BUCKET] = {'b', "bucket", "NAME", BUCKET_HELP},
	[WAIT] = {'w', "wait", "DUR",
		  "exit 124 after DUR without a byte; without CMD, wait so long for KEY (0: only what is finished)", true},
	[STRICT] = {0, "strict", NULL, "the one shared run or nothing: exit 125 where CMD would be run directly"},
	[STATUS_FD] = {0, "status-fd", "N", "write one line of JSON about the result to descriptor N"},
	[QUIET] = {'q', "quiet", NULL, "no messages of " SC_BIN "'s own"},
	[VERBOSE] = {'v', "verbose", NULL, "say where the bytes came from"},
	[OPTIONS] = {0},
};

/* ---- the command line ---- */

static bool set_stderr(struct request *r, const struct options *o)
{
	if (strcmp(o->value, "replay") == 0)
		r->inherit_stderr = false;
	else if (strcmp(o->value, "inherit") == 0)
		r->inherit_stderr = true;
	else
		return options_error(o, "--stderr takes replay or inherit") == 0;
	return true;
}

static bool set_status_fd(struct request *r, const struct options *o)
{
	uint64_t fd;

	if (human_parse_number(o->value, 0, 1 << 20, &fd) != 0)
		return options_error(o, "--status-fd takes a descriptor's number") == 0;
	if (fcntl((int)fd, F_GETFD) < 0)
		return options_error(o, "--status-fd %d is not open", (int)fd) == 0;
	r->status_fd = (int)fd;
	return true;
}

static bool set_output(struct request *r, const struct options *o)
{
	if (!*o->value)
		return options_error(o, "--output: FILE is empty") == 0;
	r->output = o->value;
	return true;
}

/* Values come later: a command line that is wrong costs no look at a file. */
static bool declare(struct request *r, const struct options *o, const char *kind, const char *name)
{
	int rc = key_declare(&r->declared, kind, name, NULL);

	return rc == 0 || options_error(o, "%s", sc_strerror(rc)) == 0;
}

static bool declare_path(struct request *r, const struct options *o, const char *kind)
{
	if (!*o->value)
		return options_error(o, "--%s: PATH is empty", kind) == 0;
	return declare(r, o, kind, o->value);
}

static bool declare_variable(struct request *r, const struct options *o)
{
	char shown[128];

	if (!*o->value)
		return options_error(o, "--env: NAME is empty") == 0;
	if (strchr(o->value, '='))
		return options_error(o, "--env takes a variable's name, and no value: '%s'",
				     human_escape(o->value, strlen(o->value), shown, sizeof shown)) == 0;
	return declare(r, o, "env", o->value);
}

bool request_add_tag(struct request *r, const struct options *o)
{
	if (!options_tag(o, o->value))
		return false;
	return tags_add(r->tags, o->value) == 0 || options_error(o, "--tag: %d are the most", SC_TAGS_MAX) == 0;
}

static bool set_option(struct request *r, const struct options *o, const struct option_row *row)
{
	unsigned long long ms = 0;

	switch (row - run_options) {
	case NO_CWD:
		r->no_cwd = true;
		return true;
	case FILE_CONTENT:
		return declare_path(r, o, "file");
	case MTIME:
		return declare_path(r, o, "mtime");
	case ENV:
		return declare_variable(r, o);
	case TTL:
		if (!options_duration(o, row, &ms))
			return false;
		r->ttl_ms = r->accept_ms = ms;
		return true;
	case WAIT:
		r->wait_given = options_duration(o, row, &ms);
		r->wait_ms = ms;
		return r->wait_given;
	case STALE:
		r->stale_given = options_duration(o, row, &ms);
		r->stale_ms = ms;
		return r->stale_given;
	case KEEP_FAILURES:
		if (!options_duration(o, row, &ms))
			return false;
		r->keep_ms = ms;
		return true;
	case REFRESH:
		r->refresh = true;
		return true;
	case FINISH:
		r->finish = true;
		return true;
	case LINGER:
		if (!options_duration(o, row, &ms))
			return false;
		r->linger_ms = ms;
		return true;
	case FOREGROUND:
		r->foreground = true;
		return true;
	case STDERR:
		return set_stderr(r, o);
	case OUTPUT:
		return set_output(r, o);
	case ATOMIC:
		r->atomic = true;
		return true;
	case STDIN:
		if (r->takes_stdin)
			return true;
		r->takes_stdin = true;
		return declare(r, o, "stdin", "");
	case PRINT_KEY:
		r->print_key = true;
		return true;
	case SEALED:
		r->sealed = true;
		return true;
	case TAG:
		return request_add_tag(r, o);
	case BUCKET:
		r->bucket = o->value;
		return true;
	case STRICT:
		r->strict = true;
		return true;
	case STATUS_FD:
		return set_status_fd(r, o);
	case QUIET:
		r->quiet = true;
		return true;
	case VERBOSE:
		r->verbose = true;
		return true;
	}
	return false;
}

size_t request_read_chain(struct gen chain[SC_CHAIN_MAX])
{
	const char *text = getenv("SC_FLIGHTS");
	size_t count = 0;

	/* Ours to write, anybody's to spoil: what is no generation is passed over. */
	while (text && *text && count < SC_CHAIN_MAX) {
		size_t n = strcspn(text, ",");

		if (gen_parse(text, n, &chain[count]) == 0)
			count++;
		text += n + (text[n] == ',');
	}
	return count;
}

bool request_read_bucket(const char **bucket, const struct options *o, const char *given)
{
	const char *name = getenv("SC_BUCKET");
	char shown[4 * SC_BUCKET_MAX + 32];

	*bucket = given ? given : name && *name ? name : "default";
	if (msg_is_bucket(bytes_of(*bucket)))
		return true;
	return options_error(o, "%s: '%s' is no name of a bucket (say 1 to %d of a-z 0-9 . _ -)",
			     given ? "--bucket" : "SC_BUCKET", human_escape(*bucket, strlen(*bucket), shown, sizeof shown),
			     SC_BUCKET_MAX) == 0;
}

/* What the environment sets and an option overrides. */
static bool read_environment(struct request *r, const struct options *o)
{
	const char *ttl = getenv("SC_TTL"), *strict = getenv("SC_STRICT");

	if (ttl && *ttl && human_parse_duration(ttl, &r->ttl_ms) != 0)
		return options_error(o, "SC_TTL is no duration (say 90s, 1h30m, 2d or forever)") == 0;
	r->strict = strict && strcmp(strict, "1") == 0;
	r->nchain = request_read_chain(r->chain);
	return true;
}

/* It prints nothing and does not stay. */
static bool check_warm(const struct request *r, const struct options *o)
{
	const char *bad = r->foreground	      ? "--foreground"
			  : r->atomic	      ? "--atomic"
			  : r->output	      ? "--output"
			  : r->wait_given     ? "--wait"
			  : r->inherit_stderr ? "--stderr=inherit"
					      : NULL;

	if (!o->cmd)
		return options_error(o, "warm without a command has nothing to run") == 0;
	if (bad)
		return options_error(o, "warm runs CMD in the background: it takes no %s", bad) == 0;
	return true;
}

/* The options of get, run and warm that contradict each other are all here and in check_warm; the manual and README.md list those of all verbs. */
static bool check(const struct request *r, const struct options *o)
{
	char shown[128];

	if (o->command->words_are_cmd && !o->cmd)
		return options_error(o, "CMD is missing") == 0;
	if (o->nwords > 1)
		return options_error(o, "'%s' after KEY is too much: CMD begins behind --",
				     human_escape(o->words[1], strlen(o->words[1]), shown, sizeof shown)) == 0;
	if (o->cmd && !o->cmd[0])
		return options_error(o, "there is no command after --") == 0;
	if (o->cmd && !o->cmd[0][0])
		return options_error(o, o->command->words_are_cmd ? "CMD is an empty word"
								  : "the command after -- is an empty word") == 0;
	if (r->refresh && !o->cmd)
		return options_error(o, "--refresh without a command has nothing to run") == 0;
	if (r->stale_given && !o->cmd)
		return options_error(o, "--stale without a command has nothing to run") == 0;
	if (r->finish && !o->cmd)
		return options_error(o, "--finish without a command has nothing to run") == 0;
	if (r->atomic && r->output)
		return options_error(o, "--atomic and --output: one of them, FILE is replaced only on success anyway") == 0;
	if (r->print_key && r->output)
		return options_error(o, "--print-key and --output: one of them, nothing that could go into FILE is made") == 0;
	if (r->wait_given && r->wait_ms == 0 && o->cmd)
		return options_error(o, "--wait 0 takes only what is finished, but a command is given") == 0;
	return !r->warm || check_warm(r, o);
}

bool request_begin(struct request *r, const struct options *o)
{
	*r = (struct request){.ttl_ms = SC_TTL_UNSET,
			      .stale_ms = SC_TTL_UNSET,
			      .keep_ms = SC_TTL_UNSET,
			      .accept_ms = SC_FOREVER,
			      .linger_ms = SC_FOREVER,
			      .status_fd = -1};
	return read_environment(r, o);
}

bool request_take_key(struct request *r, const struct options *o, size_t most)
{
	size_t n = o->nwords ? strlen(o->words[0]) : 0;

	if (o->nwords == 0)
		return options_error(o, "KEY is missing") == 0;
	if (n == 0)
		return options_error(o, "KEY is empty") == 0;
	if (n > most)
		return options_error(o, "KEY has %zu bytes, %zu are the most", n, most) == 0;
	r->key = o->words[0];
	return true;
}

/* KEY, or what stands in its place. */
static bool take_key(struct request *r, const struct options *o)
{
	if (!o->command->words_are_cmd)
		return request_take_key(r, o, SC_KEY_MAX - (r->declared.n ? KEY_SUFFIX : 0));
	r->key = key_of_command(o->cmd[0]);
	if (key_declare(&r->declared, "arg", "", NULL) || (!r->no_cwd && key_declare(&r->declared, "cwd", "", NULL)))
		return options_error(o, "%s", sc_strerror(SC_ENOMEM)) == 0;
	return true;
}

bool request_parse(struct request *r, const struct command *self, int argc, char **argv)
{
	const struct option_row *row;
	struct options o;

	options_start(&o, self, argc, argv);
	if (!request_begin(r, &o))
		return false;
	r->warm = self->run == run_warm;
	while ((row = options_next(&o)))
		if (!set_option(r, &o, row))
			return false;
	if (options_failed(&o) || !check(r, &o) || !take_key(r, &o) || !request_read_bucket(&r->bucket, &o, r->bucket))
		return false;
	r->cmd = o.cmd;
	if (r->cmd && key_hash_words(r->cmd, r->command))
		return options_error(&o, "%s", sc_strerror(SC_ENOMEM)) == 0;
	/* Who types the input sits at the terminal, and the command may ask for more there. */
	r->foreground |= r->takes_stdin && !r->warm && isatty(0);
	if (r->status_fd >= 0)
		fcntl(r->status_fd, F_SETFD, FD_CLOEXEC);
	return true;
}

/* ---- what it means to the daemon and to the command ---- */

struct bytes request_inside(const struct request *r)
{
	return (struct bytes){(const uint8_t *)r->chain, r->nchain * SC_GEN_SIZE};
}

struct msg request_question(const struct request *r, const struct gen *lost)
{
	return (struct msg){.type = MSG_ASK,
			    .bucket = bytes_of(r->bucket),
			    .key = bytes_of(r->key),
			    .flags = (r->cmd ? ASK_COMMAND : 0u) | (r->refresh ? ASK_REFRESH : 0u) |
				     (r->sealed ? ASK_SEALED : 0u) | (r->finish || r->warm ? ASK_FINISH : 0u) |
				     (r->warm ? ASK_DETACHED : 0u) |
				     (!r->cmd && r->wait_given && r->wait_ms == 0 ? ASK_FINISHED : 0u) |
				     (!r->cmd && r->wait_given && r->wait_ms > 0 ? ASK_WAIT : 0u),
			    .ttl = r->ttl_ms,
			    .accept = r->accept_ms,
			    .stale = r->stale_ms,
			    .keep = r->keep_ms,
			    .tags = bytes_of(r->tags),
			    .command = {r->command, r->cmd ? sizeof r->command : 0},
			    .chain = request_inside(r),
			    .gen = *lost};
}

char *request_chain(const struct request *r, const struct gen *own)
{
	static char text[(SC_CHAIN_MAX + 1) * SC_GEN_HEX];
	char *p = text;

	/* When there are too many the outermost is forgotten. */
	for (size_t i = r->nchain == SC_CHAIN_MAX; i < r->nchain; i++) {
		gen_format(&r->chain[i], p);
		p += SC_GEN_HEX;
		p[-1] = ',';
	}
	gen_format(own, p);
	return text;
}

/* `sc complete SHELL WORD…`: what may stand in the place of the last WORD, for the scripts in completions/, which know nothing of
 * verbs and options. Verbs, options and what they take come from the table; keys and buckets from a daemon that runs. Starts none, changes
 * nothing, complains of nothing: somebody is typing.
 *
 * The first line says what follows:
 *
 *   words       a candidate a line: as it has to be typed (bash and zsh) or means (fish), a tab, and what it is
 *   files N     names of files; in the WORD they begin at byte N
 *   command N   a command line, of which WORD N (from 0) is the name
 *
 * Of bash and zsh WORDs come as they were typed, quotes and all, and each candidate begins with all of the last one. Of fish they come as
 * what they mean. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/quote.h"
#include "cmd/session.h"
#include "lib/config.h"
#include "lib/err.h"
#include "lib/human.h"

/* More are no help to anybody. */
#define KEYS_MAX 500
/* Nobody waits longer for a list: a daemon that has not answered by then has nothing to offer. */
#define PATIENCE_MS 500

struct completion {
	bool fish;
	const char *raw;	     /* the last WORD */
	char *word;		     /* … and what it means */
	enum quote open;	     /* … and what is open at its end */
	size_t at;		     /* where in `word` begins what is completed: behind the = of --option=VALUE */
	const char *bucket;	     /* of keys */
	bool began;		     /* the first line is out */
	unsigned keys;		     /* offered */
	const struct config *config; /* once its buckets have been */
};

/* ---- candidates ---- */

static void begin(struct completion *c)
{
	if (!c->began)
		puts("words");
	c->began = true;
}

/* If it begins with what is there. */
static void offer(struct completion *c, const char *text, const char *what)
{
	const char *typed = c->word + c->at;
	size_t n = strlen(typed);
	struct buf line;

	if (strncmp(text, typed, n) != 0)
		return;
	buf_init(&line, 8 * (strlen(c->raw) + strlen(text)) + 16);
	if (c->fish) {
		/* Its own quoting knows more; but a line is a candidate to it, and what comes behind a tab is what that is. */
		if (quote_is_printable(text) && buf_append(&line, c->word, c->at) == 0 &&
		    buf_append(&line, text, strlen(text)) == 0)
			goto print;
	} else if (buf_append(&line, c->raw, strlen(c->raw)) == 0 &&
		   (!text[n] || quote_add(&line, c->open, !*c->raw, text + n))) {
		goto print;
	}
	buf_release(&line);
	return;
print:
	begin(c);
	printf("%.*s\t%s\n", (int)line.len, (const char *)line.data, what);
	buf_release(&line);
}

static void offer_verbs(struct completion *c)
{
	for (const struct command *v = commands; v->name; v++)
		if (!v->hidden)
			offer(c, v->name, v->summary);
}

/* `one|two|three`. */
static void offer_set(struct completion *c, const char *set)
{
	char one[64];

	while (*set) {
		size_t n = strcspn(set, "|");

		snprintf(one, sizeof one, "%.*s", (int)n, set);
		offer(c, one, "");
		set += n + (set[n] == '|');
	}
}

static void offer_options(struct completion *c, const struct command *v)
{
	char text[64];

	for (const struct option_row *r = v->options; r && r->name; r++) {
		if (!command_offers(v, r))
			continue;
		snprintf(text, sizeof text, "--%s", r->name);
		offer(c, text, r->help);
		snprintf(text, sizeof text, "-%c", r->letter);
		if (r->letter && !c->word[1])
			offer(c, text, r->help);
	}
	offer(c, "--help", "how it is used");
}

/* Names of variables. */
static void offer_environment(struct completion *c)
{
	char name[256];

	for (char **p = environ; *p; p++) {
		size_t n = strcspn(*p, "=");

		if (n && n < sizeof name) {
			snprintf(name, sizeof name, "%.*s", (int)n, *p);
			offer(c, name, "");
		}
	}
}

/* ---- from a daemon that runs ---- */

/* Puts the question and hands the rows of its answer over, one by one, until `each` has enough. */
static void ask(struct completion *c, const struct msg *q, bool (*each)(struct completion *c, const struct msg *m))
{
	struct session s = SESSION_INIT;
	int fds[SC_FDS_MAX], rc;
	size_t nfds = 0;
	struct msg m;

	rc = session_ask(&s, SESSION_LOOK, q, &m, fds, &nfds, PATIENCE_MS);
	while (rc == 0 && (m.type == MSG_ENTRY || m.type == MSG_FLIGHT || m.type == MSG_TAG || m.type == MSG_TALLY) &&
	       each(c, &m))
		rc = session_hear(&s, &m, fds, &nfds, PATIENCE_MS);
	session_release(&s);
}

static void offer_key(struct completion *c, struct bytes key, const char *what)
{
	char text[SC_KEY_MAX + 1];

	snprintf(text, sizeof text, "%.*s", (int)key.n, (const char *)key.p);
	/* After a -- too: who wants that one knows how to say it. */
	if (text[0] != '-')
		offer(c, text, what);
}

static bool each_entry(struct completion *c, const struct msg *m)
{
	char more[SC_KEY_MAX + 4];

	if (++c->keys <= KEYS_MAX) {
		offer_key(c, m->key, "");
		return true;
	}
	/* That there are others is seen, and keeps the shell from typing what only those shown have in common. */
	snprintf(more, sizeof more, "%s...", c->word + c->at);
	offer(c, more, "and more");
	return false;
}

static bool each_flight(struct completion *c, const struct msg *m)
{
	offer_key(c, m->key, m->flags == FLIGHT_IS_LEASE ? "held" : "running");
	return true;
}

static void offer_keys(struct completion *c)
{
	struct msg runs = {.type = MSG_FLIGHTS}, entries = {.type = MSG_LIST};

	if (!msg_is_bucket(bytes_of(c->bucket)) || strlen(c->word + c->at) > SC_KEY_MAX)
		return;
	runs.bucket = entries.bucket = bytes_of(c->bucket);
	entries.text = bytes_of(c->word + c->at);
	ask(c, &runs, each_flight);
	ask(c, &entries, each_entry);
}

static bool each_tag(struct completion *c, const struct msg *m)
{
	char text[SC_TAGS_SIZE + 1];

	snprintf(text, sizeof text, "%.*s", (int)m->tags.n, (const char *)m->tags.p);
	offer(c, text, "");
	return true;
}

static void offer_tags(struct completion *c)
{
	struct msg q = {.type = MSG_TAGS};

	if (!msg_is_bucket(bytes_of(c->bucket)) || strlen(c->word + c->at) > SC_TAG_MAX)
		return;
	q.bucket = bytes_of(c->bucket);
	q.text = bytes_of(c->word + c->at);
	ask(c, &q, each_tag);
}

/* Figures come bucket by bucket: one of each has this kind. */
static bool each_bucket(struct completion *c, const struct msg *m)
{
	char name[SC_BUCKET_MAX + 1];

	if (m->kind != TALLY_ENTRIES || m->flags)
		return true;
	snprintf(name, sizeof name, "%.*s", (int)m->bucket.n, (const char *)m->bucket.p);
	if (strcmp(name, "default") != 0 && !config_bucket(c->config, name))
		offer(c, name, "");
	return true;
}

static void offer_buckets(struct completion *c)
{
	static struct config config;
	struct msg q = {.type = MSG_STATS};
	struct session s = SESSION_INIT;

	offer(c, "default", "");
	config_init(&config);
	session_find(&s, SESSION_LOOK);
	config_read(&config, s.place.dir_fd, NULL, NULL);
	for (unsigned i = 0; i < config.nbuckets; i++)
		offer(c, config.buckets[i].name, "of config");
	session_release(&s);
	c->config = &config;
	ask(c, &q, each_bucket);
}

static void offer_files(struct completion *c)
{
	/* In `-oFILE` no shell would find where the name begins. */
	if (!c->began && (c->at == 0 || strncmp(c->raw, "--", 2) == 0))
		printf("files %zu\n", c->at ? (size_t)(strchr(c->raw, '=') + 1 - c->raw) : 0);
	c->began = true;
}

/* ---- what stands where ---- */

/* What is called so in the table: an option by its own name, where what its value is called does not say enough. */
static const struct source {
	const char *of;
	void (*offer)(struct completion *c);
} sources[] = {
	{"bucket", offer_buckets}, {"env", offer_environment}, {"prefix", offer_keys}, {"tag", offer_tags},
	{"BUCKET", offer_buckets}, {"FILE", offer_files},      {"KEY", offer_keys},    {"PATH", offer_files},
	{"PREFIX", offer_keys},	   {"VERB", offer_verbs},
};

static bool offer_from(struct completion *c, const char *name)
{
	for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
		if (strcmp(sources[i].of, name) == 0) {
			sources[i].offer(c);
			return true;
		}
	return false;
}

static void offer_value(struct completion *c, const struct option_row *r, size_t at)
{
	c->at = at;
	if (strchr(r->value, '|'))
		offer_set(c, r->value);
	else if (!offer_from(c, r->name))
		offer_from(c, r->value);
}

/* The nth word (from 0) of a synopsis such as "[--] CMD", "KEY... | --all", "KEY [-- CMD [ARG...]]": its bare name, or "--" if now CMD
 * begins. What may be given more than once goes on for ever. */
static const char *word_of(const char *synopsis, int n, char out[64])
{
	for (;;) {
		size_t length = strcspn(synopsis, " ");
		const char *from = synopsis + strspn(synopsis, "[");
		size_t bare = strcspn(from, " ]."), dots = strspn(from + bare, "]");

		snprintf(out, 64, "%.*s", (int)bare, from);
		if (!*out || *out == '|' || (*out == '-' && strncmp(synopsis, "[--]", 4) != 0))
			return strcmp(out, "--") == 0 ? out : NULL;
		if (strcmp(out, "--") != 0 && (n-- == 0 || strncmp(from + bare + dots, "...", 3) == 0))
			return out;
		synopsis += length;
		synopsis += strspn(synopsis, " ");
	}
}

static void complete_word(struct completion *c, const struct options *o, int index)
{
	char name[64];
	const char *what = word_of(o->command->words, o->nwords, name);

	if (!what)
		return;
	if (strcmp(what, "CMD") == 0)
		printf("command %d\n", index);
	else if (strcmp(what, "--") == 0)
		offer(c, "--", "CMD begins");
	else if (strchr(what, '|'))
		offer_set(c, what);
	else
		offer_from(c, what);
}

/* `-x`, `-xVALUE`, `--option`, `--option=VALUE`. */
static void complete_option(struct completion *c, const struct command *v)
{
	const char *eq = strncmp(c->word, "--", 2) == 0 ? strchr(c->word, '=') : NULL;
	const struct option_row *r;

	for (r = v->options; eq && r && r->name; r++)
		if (r->value && strlen(r->name) == (size_t)(eq - c->word - 2) &&
		    strncmp(r->name, c->word + 2, strlen(r->name)) == 0)
			offer_value(c, r, (size_t)(eq + 1 - c->word));
	if (!eq && c->word[1] && c->word[1] != '-') {
		/* Behind the first letter that takes a value comes that. */
		for (size_t i = 1; c->word[i]; i++)
			for (r = v->options; r && r->name; r++)
				if (r->letter == c->word[i] && r->value) {
					offer_value(c, r, i + 1);
					return;
				}
	}
	if (!eq)
		offer_options(c, v);
}

static void complete(struct completion *c, int n, char **words)
{
	const struct command *v = n ? command_find(words[0]) : NULL;
	const struct option_row *r;
	char **copy;
	struct options o;

	if (n == 0) {
		offer_verbs(c);
		if (*c->word == '-') {
			offer(c, "--help", "how it is used");
			offer(c, "--version", "print the version");
		}
		return;
	}
	copy = calloc((size_t)n + 1, sizeof *copy);
	if (!v || !copy)
		goto out;
	memcpy(copy, words, (size_t)n * sizeof *copy); /* which is reordered */
	options_start(&o, v, n, copy);
	o.silent = true;
	while ((r = options_next(&o)))
		if (strcmp(r->name, "bucket") == 0)
			c->bucket = o.value;
	if (o.cmd)
		printf("command %d\n", (int)(o.cmd - copy));
	else if (o.wanting)
		offer_value(c, o.wanting, 0);
	else if (!options_failed(&o) && !o.ended && *c->word == '-')
		complete_option(c, v);
	else if (!options_failed(&o))
		complete_word(c, &o, n);
out:
	free(copy);
}

/* The words as they are meant. What only the shell knows stays as it is. */
static char *meaning(const char *raw, enum quote *open)
{
	char *plain = malloc(strlen(raw) + 1);

	if (plain && !quote_read(raw, plain, open)) {
		free(plain);
		plain = NULL;
	}
	return plain;
}

int run_complete(const struct command *self, int argc, char **argv)
{
	struct options o = {.command = self};
	struct completion c = {.bucket = getenv("SC_BUCKET")};
	enum quote open;

	if (argc < 3 || isatty(1))
		return options_error(&o, "is asked by the scripts that complete words in bash, zsh and fish");
	c.fish = strcmp(argv[1], "fish") == 0;
	c.raw = argv[argc - 1];
	if (!c.bucket || !*c.bucket)
		c.bucket = "default";
	for (int i = 2; i < argc; i++) {
		char *plain = c.fish ? strdup(argv[i]) : meaning(argv[i], i < argc - 1 ? &open : &c.open);

		if (i == argc - 1)
			c.word = plain;
		else if (plain)
			argv[i] = plain;
	}
	if (c.word)
		complete(&c, argc - 3, argv + 2);
	free(c.word);
	return end_output("complete");
}

/* `sc rm`: 0 when afterwards nothing asked for can be served, whether or not anything was there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/request.h"
#include "cmd/talk.h"
#include "lib/human.h"
#include "lib/tags.h"

enum { PREFIX, TAG, ALL, NUL, BUCKET, OPTIONS };

const struct option_row rm_options[] = {
	[PREFIX] = {0, "prefix", "P", "every key that begins with P"},
	[TAG] = {0, "tag", "T", "every key whose entry or run has the tag T; of more than one, any of them"},
	[ALL] = {0, "all", NULL, "every key of the bucket; with --bucket '*' of every bucket"},
	[NUL] = {'0', "null", NULL, "the keys that stdin names, each with a NUL behind it"},
	[BUCKET] = {'b', "bucket", "NAME", BUCKET_HELP},
	[OPTIONS] = {0},
};

struct remove {
	const char *bucket, *prefix;
	char tags[SC_TAGS_SIZE + 1];
	bool all, null;
	bool every; /* bucket */
	struct session s;
};

/* what: was asked for; of many keys one may be held. */
static int ask(struct remove *r, const char *what, const struct msg *q)
{
	struct msg m;
	char text[256];

	/* With nothing there to remove there is no need of a daemon, but only it can promise that nothing is. */
	if (talk_ask(&r->s, SESSION_START, what, q, &m))
		return EXIT_FAILED;
	if (m.type == MSG_OK)
		return 0;
	human_escape(m.text.p, m.text.n, text, sizeof text);
	if (m.type == MSG_REFUSE && m.reason == REFUSE_HELD) {
		complainf(what, q->type == MSG_CLEAR ? "nothing is removed, a key of it is held by %s" : "is held by %s", text);
		return EXIT_FAILED;
	}
	complainf(what, "could not be removed: %s", text);
	return EXIT_FAILED;
}

static int remove_one(struct remove *r, const char *key)
{
	struct msg q = {.type = MSG_REMOVE, .bucket = bytes_of(r->bucket), .key = bytes_of(key)};

	return ask(r, key, &q);
}

static int remove_tagged(struct remove *r)
{
	struct msg q = {.type = MSG_CLEAR, .bucket = bytes_of(r->bucket)};
	struct bytes rest = bytes_of(r->tags);
	char what[SC_TAG_MAX + 1];
	int status = 0;

	while (status == 0 && tags_next(&rest, &q.tags)) {
		snprintf(what, sizeof what, "%.*s", (int)q.tags.n, (const char *)q.tags.p);
		status = ask(r, what, &q);
	}
	return status;
}

/* A question of its own, not REMOVE with something added: a daemon that does not know it must not say OK. */
static int remove_all(struct remove *r)
{
	struct msg q = {.type = MSG_CLEAR, .bucket = bytes_of(r->bucket), .flags = r->every ? CLEAR_EVERY : 0u};

	q.text = bytes_of(r->prefix ? r->prefix : "");
	return ask(r, r->prefix ? r->prefix : "--all", &q);
}

/* One by one as they come, so that a list may be longer than memory, or still be on its way. The last one may lack its NUL. */
static int remove_listed(struct remove *r, const struct options *o)
{
	char *key = NULL;
	size_t room = 0;
	int status = 0;

	while (status == 0 && getdelim(&key, &room, '\0', stdin) > 0)
		status = options_key(o, key) ? remove_one(r, key) : EXIT_USAGE;
	if (status == 0 && ferror(stdin)) {
		complainf("rm", "cannot read stdin: %s", strerror(errno));
		status = EXIT_FAILED;
	}
	free(key);
	return status;
}

static int check_prefix(const struct options *o, const char *prefix)
{
	if (!*prefix)
		return options_error(o, "--prefix: P is empty, that would be every key: say --all");
	if (strlen(prefix) > SC_KEY_MAX)
		return options_error(o, "--prefix: P has %zu bytes, %d are the most", strlen(prefix), SC_KEY_MAX);
	return 0;
}

static int check(struct remove *r, const struct options *o)
{
	int status = 0, selectors = (o->nwords > 0) + (r->prefix != NULL) + (*r->tags != 0) + r->all + r->null;

	if (selectors > 1)
		return options_error(o, "KEYs, --prefix, --tag, --all and --null: one of them");
	if (selectors == 0)
		return options_error(o, "KEY is missing");
	if (r->prefix)
		status = check_prefix(o, r->prefix);
	if (status)
		return status;
	for (int i = 0; i < o->nwords; i++)
		if (!options_key(o, o->words[i]))
			return EXIT_USAGE;
	/* Only here, and only as it was typed: there is no bucket of that name. */
	r->every = r->bucket && strcmp(r->bucket, "*") == 0;
	if (r->every && !r->all)
		return options_error(o, "--bucket '*' is every bucket, and goes with --all alone");
	if (r->every)
		r->bucket = "default";
	return request_read_bucket(&r->bucket, o, r->bucket) ? 0 : EXIT_USAGE;
}

int run_rm(const struct command *self, int argc, char **argv)
{
	struct remove r = {.s = SESSION_INIT};
	const struct option_row *row;
	struct options o;
	int status;

	options_start(&o, self, argc, argv);
	while ((row = options_next(&o)))
		switch (row - rm_options) {
		case PREFIX:
			if (r.prefix)
				return options_error(&o, "--prefix: one at a time");
			r.prefix = o.value;
			break;
		case TAG:
			if (!options_tag(&o, o.value))
				return EXIT_USAGE;
			if (tags_add(r.tags, o.value))
				return options_error(&o, "--tag: %d are the most", SC_TAGS_MAX);
			break;
		case ALL:
			r.all = true;
			break;
		case NUL:
			r.null = true;
			break;
		case BUCKET:
			r.bucket = o.value;
			break;
		}
	if (options_failed(&o))
		return EXIT_USAGE;
	status = check(&r, &o);
	if (status)
		return status;
	if (r.prefix || r.all)
		status = remove_all(&r);
	else if (*r.tags)
		status = remove_tagged(&r);
	else if (r.null)
		status = remove_listed(&r, &o);
	for (int i = 0; i < o.nwords && status == 0; i++)
		status = remove_one(&r, o.words[i]);
	session_release(&r.s);
	return status;
}

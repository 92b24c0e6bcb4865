/* `sc ls`: finished entries. Rows are printed as they come, and gathered only to be sorted: as the frames they came in, which are as
 * small as rows get. Sealed ones come before all others and in no order: they are gathered, and printed among those. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/key.h"
#include "cmd/options.h"
#include "cmd/request.h"
#include "cmd/row.h"
#include "cmd/talk.h"
#include "lib/err.h"
#include "lib/human.h"

enum { LONG, NUL, SORT, JSON, BUCKET, OPTIONS };

const struct option_row ls_options[] = {
	[LONG] = {'l', "long", NULL, "with size, age, how long it will live still, how often it was served, tags"},
	[NUL] = {'0', "null", NULL, "a NUL behind each key, instead of the end of a line"},
	[SORT] = {0, "sort", "key|age|size|hits", "by key (bytewise), or the youngest, largest, or most served first"},
	[JSON] = {0, "json", NULL, "one object a line, with all that is known of the entry"},
	[BUCKET] = {'b', "bucket", "NAME", BUCKET_HELP},
	[OPTIONS] = {0},
};

/* ---- one entry ---- */

static void print_key(const struct msg *m)
{
	key_print(m->key);
	putchar('\n');
}

static void print_null(const struct msg *m)
{
	key_print(m->key);
	putchar('\0');
}

/* As many words in each row, the key behind them: for awk as for people. */
static void print_long(const struct msg *m)
{
	char size[32], age[32], left[32];
	uint64_t life = m->ttl == SC_FOREVER ? SC_FOREVER : m->ttl - m->age;

	printf("%6s  %6s old  %7s left  %4llu hit%s  %-7.*s  ", human_format_size(m->out_len + m->err_len, size),
	       human_format_duration(m->age, age), human_format_duration(life, left), (unsigned long long)m->hits,
	       m->hits == 1 ? " " : "s", m->tags.n ? (int)m->tags.n : 1, m->tags.n ? (const char *)m->tags.p : "-");
	print_key(m);
}

static void print_json(const struct msg *m)
{
	json_t *o = json_object();
	char bucket[SC_BUCKET_MAX + 1];

	snprintf(bucket, sizeof bucket, "%.*s", (int)m->bucket.n, (const char *)m->bucket.p);
	row_set_key(o, m->key);
	json_object_set_new(o, "bucket", row_text(bucket));
	row_add_entry(o, m);
	row_print(o);
}

/* ---- all of them ---- */

static uint64_t by_age(const struct msg *m)
{
	return m->age;
}

static uint64_t by_size(const struct msg *m)
{
	return UINT64_MAX - (m->out_len + m->err_len);
}

static uint64_t by_hits(const struct msg *m)
{
	return UINT64_MAX - m->hits;
}

static const struct order {
	const char *name;
	uint64_t (*value)(const struct msg *m); /* the least comes first; NULL: as they come */
} orders[] = {{"key", NULL}, {"age", by_age}, {"size", by_size}, {"hits", by_hits}};

struct spot {
	uint64_t value;
	size_t at; /* of its frame */
	size_t key, key_len;
};

struct list {
	void (*print)(const struct msg *m);
	uint64_t (*value)(const struct msg *m);
	struct buf frames, spots; /* what is to be sorted: frames as on the wire, and a spot for each */
	bool sorted;
	size_t printed; /* how many of the spots */
	int rc;
};

static int compare_keys(struct bytes a, struct bytes b)
{
	int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

static struct bytes key_of(const struct list *l, const struct spot *p)
{
	return (struct bytes){l->frames.data + p->key, p->key_len};
}

static int compare(const void *a, const void *b, void *arg)
{
	const struct spot *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return compare_keys(key_of(arg, x), key_of(arg, y));
}

static int read_frame(const struct list *l, size_t at, struct msg *m)
{
	const uint8_t *p = l->frames.data + at;

	return msg_decode(m, p + 4, p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24);
}

static void gather(struct list *l, const struct msg *m)
{
	struct spot p = {.value = l->value ? l->value(m) : 0, .at = l->frames.len, .key_len = m->key.n};
	struct msg copy;

	if (l->rc == 0)
		l->rc = msg_encode(&l->frames, m);
	if (l->rc == 0)
		l->rc = read_frame(l, p.at, &copy);
	if (l->rc)
		return;
	p.key = (size_t)(copy.key.p - l->frames.data);
	l->rc = buf_append(&l->spots, &p, sizeof p);
}

/* Those that were gathered, in order; NULL: all that are left, else those whose keys come before this one. */
static void print_gathered(struct list *l, const struct bytes *before)
{
	struct spot *spots = (struct spot *)(void *)l->spots.data;
	size_t n = l->spots.len / sizeof *spots;
	struct msg m;

	if (n && !l->sorted)
		qsort_r(spots, n, sizeof *spots, compare, l);
	l->sorted = true;
	for (; l->printed < n && !l->rc; l->printed++) {
		if (before && compare_keys(key_of(l, &spots[l->printed]), *before) > 0)
			return;
		l->rc = read_frame(l, spots[l->printed].at, &m);
		if (!l->rc)
			l->print(&m);
	}
}

static void on_entry(void *arg, const struct msg *m)
{
	struct list *l = arg;

	if (l->value || (m->flags & ENTRY_SEALED)) {
		gather(l, m);
		return;
	}
	print_gathered(l, &m->key);
	l->print(m);
}

static bool set_order(struct list *l, const struct options *o)
{
	for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
		if (strcmp(o->value, orders[i].name) == 0) {
			l->value = orders[i].value;
			return true;
		}
	return options_error(o, "--sort takes key, age, size or hits") == 0;
}

static bool set_form(struct list *l, const struct options *o, void (*print)(const struct msg *m))
{
	if (l->print != print_key && l->print != print)
		return options_error(o, "--long, --null and --json: one of them") == 0;
	l->print = print;
	return true;
}

static bool parse(struct list *l, struct options *o, const char **bucket)
{
	const struct option_row *row;
	bool good = true;

	while (good && (row = options_next(o)))
		switch (row - ls_options) {
		case LONG:
			good = set_form(l, o, print_long);
			break;
		case NUL:
			good = set_form(l, o, print_null);
			break;
		case JSON:
			good = set_form(l, o, print_json);
			break;
		case SORT:
			good = set_order(l, o);
			break;
		case BUCKET:
			*bucket = o->value;
			break;
		}
	if (!good || options_failed(o))
		return false;
	if (o->nwords > 1)
		return options_error(o, "one PREFIX at most") == 0;
	if (o->nwords && strlen(o->words[0]) > SC_KEY_MAX)
		return options_error(o, "PREFIX is longer than any key") == 0;
	return request_read_bucket(bucket, o, *bucket);
}

int run_ls(const struct command *self, int argc, char **argv)
{
	struct session s = SESSION_INIT;
	struct msg q = {.type = MSG_LIST};
	struct list l = {.print = print_key};
	const char *bucket = NULL;
	struct options o;
	int status;

	options_start(&o, self, argc, argv);
	if (!parse(&l, &o, &bucket))
		return EXIT_USAGE;
	buf_init(&l.frames, SIZE_MAX);
	buf_init(&l.spots, SIZE_MAX);
	q.bucket = bytes_of(bucket);
	q.text = bytes_of(o.nwords ? o.words[0] : "");
	status = talk_rows(&s, SESSION_START, "ls", &q, on_entry, &l);
	print_gathered(&l, NULL);
	if (l.rc) {
		complain("ls", sc_strerror(l.rc), NULL);
		status = EXIT_FAILED;
	}
	buf_release(&l.frames);
	buf_release(&l.spots);
	return status ? status : end_output("ls");
}

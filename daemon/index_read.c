/* How old and how large an entry is; lookups, lists and what is over next: the loop's, on a connection of its own that only reads and never waits. Never scans on the way of a
 * lookup, never gives out a row it has not checked. A file found corrupt is said so to the thread (index.c), and the connection follows
 * to the next one at its next use. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/cmdline.h"
#include "daemon/index_parts.h"
#include "lib/digest.h"
#include "lib/err.h"
#include "lib/msg.h"
#include "lib/tags.h"

/* What a file takes of the disk. More than all of ours together ever are: sums of it stay within what SQLite can hold. */
#define BLOCK 4096
#define BYTES_MAX (UINT64_C(1) << 50)
/* When to look again if it cannot be told: "never" would end all expiry, "now" would spin. */
#define LOOK_AGAIN_MS 60000
/* Rows that are looked at by one call, where many of them may be passed over: opening one takes 5 us. */
#define LOOK_MAX 256
/* … and which are only passed over because nobody has their key. */
#define PASS_MAX 4096

/* ---- ages ---- */

static bool is_told(const uint8_t boot_id[16])
{
	static const uint8_t unknown[16];

	return memcmp(boot_id, unknown, sizeof unknown) != 0;
}

bool entry_age(const struct entry *e, const uint8_t boot_id[16], const struct now *now, uint64_t *age_ms)
{
	bool same = memcmp(e->boot_id, boot_id, sizeof e->boot_id) == 0;
	bool told = is_told(e->boot_id) && is_told(boot_id);
	uint64_t least = 0; /* it is at least so old, whatever the wall clock says */

	if (same && e->created_boot_ms > now->boot_ms)
		return false;
	if (same)
		least = now->boot_ms - e->created_boot_ms;
	else if (told)
		least = now->boot_ms;
	*age_ms = least;
	if (same && told)
		return true;
	if (e->created_wall_ms > now->wall_ms)
		return false;
	if (*age_ms < now->wall_ms - e->created_wall_ms)
		*age_ms = now->wall_ms - e->created_wall_ms;
	return true;
}

uint64_t entry_bytes(uint64_t out_size, uint64_t err_size)
{
	uint64_t out = out_size < BYTES_MAX ? out_size : BYTES_MAX, err = err_size < BYTES_MAX ? err_size : BYTES_MAX;

	return (out + BLOCK - 1) / BLOCK * BLOCK + (err + BLOCK - 1) / BLOCK * BLOCK;
}

uint64_t index_life(const struct entry *e)
{
	return e->ttl_ms > SC_FOREVER - e->stale_ms ? SC_FOREVER : e->ttl_ms + e->stale_ms;
}

void index_read_times(struct sql *q, struct entry *e)
{
	e->created_wall_ms = sql_u64(q, SQL_OF_BOOT, 2);
	e->created_boot_ms = sql_u64(q, SQL_OF_BOOT, 3);
	e->ttl_ms = sql_time(q, SQL_OF_BOOT, 4);
	e->stale_ms = sql_time(q, SQL_OF_BOOT, 5);
}

/* ---- lookups ---- */

static int get_secret(struct index *ix)
{
	int rc = sql_step(ix->reader, SQL_GET_SECRET);

	if (rc <= 0)
		return rc ? rc : SC_ECORRUPT;
	rc = sql_exact(ix->reader, SQL_GET_SECRET, 0, ix->secret, sizeof ix->secret) ? 0 : SC_ECORRUPT;
	sql_done(ix->reader, SQL_GET_SECRET);
	return rc;
}

/* The connection for lookups, to the file of this epoch. */
static int ready_reader(struct index *ix)
{
	unsigned epoch = ix->epoch;
	int rc;

	if (ix->reader && (ix->reader_epoch == epoch || ix->listing))
		return 0;
	sql_close(ix->reader);
	ix->reader = NULL;
	rc = sql_open(&ix->reader, ix->file, SQL_READ);
	if (!rc)
		rc = sql_prepare(ix->reader);
	if (!rc)
		rc = index_get_boot(ix->reader, ix->boot_id, &ix->reader_boot);
	if (!rc)
		rc = get_secret(ix);
	if (rc) {
		sql_close(ix->reader);
		ix->reader = NULL;
	}
	ix->reader_epoch = epoch;
	return rc;
}

void index_tell_bad(struct index *ix, unsigned epoch, const char *why)
{
	struct job *j;

	if (ix->told_epoch == epoch || !(j = job_new(JOB_RENEW, 0, NULL, NULL)))
		return;
	ix->told_epoch = epoch;
	j->epoch = epoch;
	j->why = why;
	jobs_put(&ix->jobs, j);
}

static void tell_corrupt(struct index *ix)
{
	index_tell_bad(ix, ix->reader_epoch, "");
}

/* What its user has named, of a row of SQL_COLUMNS that is in the clear. */
static int read_clear_names(struct sql *q, enum sql_statement s, struct entry *e)
{
	struct bytes key = sql_bytes(q, s, 1), tags = sql_bytes(q, s, 20), command = sql_bytes(q, s, 21);
	struct bytes shown = sql_bytes(q, s, 22);

	if (key.n < 1 || key.n > SC_KEY_MAX || tags.n > SC_TAGS_SIZE || shown.n > SC_SHOWN_MAX)
		return SC_ECORRUPT;
	e->key_len = index_copy_bytes(e->key, key).n;
	index_copy_bytes((uint8_t *)e->tags, tags);
	e->tags[tags.n] = '\0';
	cmdline_read(e->command, command);
	e->shown_len = index_copy_bytes(e->shown, shown).n;
	return 0;
}

/* A row of SQL_COLUMNS. The schema checks what is written, but the file may have been altered since. SC_ENOENT: it is sealed, and cannot be
 * opened. Of that e->id is good. */
static int read_entry(struct index *ix, enum sql_statement s, struct entry *e)
{
	struct sql *q = ix->reader;
	struct bytes bucket = sql_bytes(q, s, 0);
	int rc;

	e->id = sql_number(q, s, 16);
	if (bucket.n > SC_BUCKET_MAX || index_read_by(q, s, 25, &e->sealed) != 0)
		return SC_ECORRUPT;
	index_copy_bytes((uint8_t *)e->bucket, bucket);
	e->bucket[bucket.n] = '\0';
	if (!sql_exact(q, s, 2, e->gen.b, sizeof e->gen.b) || !sql_exact(q, s, 8, e->out_sum, SC_SUM_SIZE) ||
	    !sql_exact(q, s, 9, e->err_sum, SC_SUM_SIZE) || !sql_exact(q, s, 12, e->boot_id, sizeof e->boot_id))
		return SC_ECORRUPT;
	rc = is_sealed(&e->sealed) ? index_unbox_names(ix, &e->sealed, &e->gen, sql_bytes(q, s, 26), e)
				   : read_clear_names(q, s, e);
	if (rc)
		return rc;
	e->order = sql_u64(q, s, 3);
	e->exit = (uint32_t)sql_u64(q, s, 4);
	e->signal = (uint32_t)sql_u64(q, s, 5);
	e->out_len = sql_u64(q, s, 6);
	e->err_len = sql_u64(q, s, 7);
	e->out_size = sql_u64(q, s, 23);
	e->err_size = sql_u64(q, s, 24);
	e->created_wall_ms = sql_u64(q, s, 10);
	e->created_boot_ms = sql_u64(q, s, 11);
	e->ttl_ms = sql_time(q, s, 13);
	e->stale_ms = sql_time(q, s, 14);
	e->took_ms = sql_u64(q, s, 15);
	e->hits = sql_u64(q, s, 17);
	/* Of a boot that cannot be told from another nobody knows whether it is over. */
	e->proved = sql_number(q, s, 18) == ix->reader_boot && is_told(ix->boot_id);
	e->failed = sql_number(q, s, 19);
	return 0;
}

/* By one of its names. */
static int find_named(struct index *ix, struct bytes bucket, struct bytes key, const struct sealed_by *by, bool failed,
		      struct entry *out)
{
	struct sql *q = ix->reader;
	enum sql_statement s = index_bind_by(q, SQL_FIND, SQL_FIND_SEALED, 4, by);
	struct key_name name;
	int rc = index_name_key(ix, by, bucket, key, &name);

	if (rc)
		return rc;
	sql_bind_name(q, s, 1, bucket);
	sql_bind_blob(q, s, 2, name.key.p, name.key.n);
	sql_bind_number(q, s, 3, failed);
	rc = sql_step(q, s);
	if (rc <= 0)
		return rc ? rc : SC_ENOENT;
	rc = read_entry(ix, s, out);
	sql_done(q, s);
	/* Somebody without the key can put a box beside another hash. */
	if (!rc && (out->key_len != key.n || memcmp(out->key, key.p, key.n) != 0))
		rc = SC_ENOENT;
	return rc;
}

/* The first that is there is the key's row; but where there may be two of them it is the later one. */
static int find(struct index *ix, struct bytes bucket, struct bytes key, bool failed, struct entry *out)
{
	int rc = ready_reader(ix), found = SC_ENOENT;
	struct entry other, *e = out;
	struct sealed_by by;

	for (unsigned turn = 0; turn < index_namings(ix) && !rc; turn++) {
		unsigned naming = index_naming_of_turn(ix, turn);

		if (!index_naming_is_used(ix, naming))
			continue;
		index_name_by(ix, naming, &by);
		rc = find_named(ix, bucket, key, &by, failed, e);
		if (rc == 0 && !index_has_old_keys(ix))
			return 0;
		if (rc == 0 && e == &other && other.order > out->order)
			*out = other;
		if (rc == 0) {
			found = 0;
			e = &other;
		}
		if (rc == SC_ENOENT)
			rc = 0;
	}
	return rc ? rc : found;
}

int index_find(struct index *ix, struct bytes bucket, struct bytes key, bool failed, struct entry *out)
{
	int rc = find(ix, bucket, key, failed, out);

	if (rc == SC_ECORRUPT)
		tell_corrupt(ix);
	return rc;
}

void index_key_command(struct index *ix, struct bytes digest, uint8_t command[SC_COMMAND_SIZE])
{
	if (digest.n == SC_COMMAND_SIZE && ready_reader(ix) == 0)
		digest_keyed(ix->secret, digest.p, digest.n, command);
	else
		memset(command, 0, SC_COMMAND_SIZE);
}

int index_find_gen(struct index *ix, struct bytes bucket, struct bytes key, const struct gen *g, struct entry *out)
{
	for (int failed = 0; failed <= 1; failed++) {
		int rc = index_find(ix, bucket, key, failed, out);

		if (rc == 0 && gen_equal(&out->gen, g))
			return 0;
		if (rc && rc != SC_ENOENT)
			return rc;
	}
	return SC_ENOENT;
}

static int bucket_total(struct index *ix, struct bytes bucket, struct total *t)
{
	int rc = ready_reader(ix);

	if (rc)
		return rc;
	sql_bind_name(ix->reader, SQL_BUCKET, 1, bucket);
	rc = sql_step(ix->reader, SQL_BUCKET);
	if (rc <= 0)
		return rc;
	t->entries = sql_u64(ix->reader, SQL_BUCKET, 0);
	t->bytes = sql_u64(ix->reader, SQL_BUCKET, 1);
	sql_done(ix->reader, SQL_BUCKET);
	return 0;
}

int index_bucket_total(struct index *ix, struct bytes bucket, struct total *t)
{
	int rc;

	*t = (struct total){0};
	rc = bucket_total(ix, bucket, t);
	if (rc == SC_ECORRUPT)
		tell_corrupt(ix);
	return rc;
}

static void read_cause(struct sql *q, int i, struct cause *c)
{
	c->kind = (enum cause_kind)sql_u64(q, SQL_PAST, i);
	c->exit = (uint32_t)sql_u64(q, SQL_PAST, i + 1) & 255;
	c->signal = (uint32_t)sql_u64(q, SQL_PAST, i + 2) & 63;
	c->error = (int)sql_number(q, SQL_PAST, i + 3) & 4095;
	c->when_ms = sql_u64(q, SQL_PAST, i + 4);
}

/* What is known of a key by one of its names, if that is from later than *seq. */
static int recall_named(struct index *ix, struct bytes bucket, const struct key_name *name, int64_t *seq, struct past *p)
{
	struct sql *q = ix->reader;
	int rc;

	sql_bind_name(q, SQL_PAST, 1, bucket);
	sql_bind_blob(q, SQL_PAST, 2, name->key.p, name->key.n);
	sql_bind_number(q, SQL_PAST, 3, is_sealed(&name->by));
	rc = sql_step(q, SQL_PAST);
	if (rc > 0 && sql_number(q, SQL_PAST, 12) > *seq) {
		*seq = sql_number(q, SQL_PAST, 12);
		read_cause(q, 0, &p->fate);
		read_cause(q, 5, &p->miss);
		p->missed_ms = sql_u64(q, SQL_PAST, 10);
		p->other_ms = sql_u64(q, SQL_PAST, 11);
		p->sealed = is_sealed(&name->by);
	}
	sql_done(q, SQL_PAST);
	return rc < 0 ? rc : 0;
}

/* Under all keys there are: what is told under one that seals no more stays until it is forgotten. */
static int recall(struct index *ix, struct bytes bucket, struct bytes key, struct past *p)
{
	int rc = ready_reader(ix);
	struct key_name name;
	struct sealed_by by;
	int64_t seq = 0;

	for (unsigned i = 0; i < index_namings(ix) && !rc; i++) {
		index_name_by(ix, i, &by);
		rc = index_name_key(ix, &by, bucket, key, &name);
		if (!rc)
			rc = recall_named(ix, bucket, &name, &seq, p);
	}
	return rc ? rc : seq ? 0 : SC_ENOENT;
}

int index_recall(struct index *ix, struct bytes bucket, struct bytes key, struct past *p)
{
	int rc = recall(ix, bucket, key, p);

	if (rc == SC_ECORRUPT)
		tell_corrupt(ix);
	return rc;
}

static int next_bucket(struct index *ix, struct bytes after, char *name, struct total *t)
{
	int rc = ready_reader(ix);
	struct bytes b;

	if (rc)
		return rc;
	sql_bind_name(ix->reader, SQL_NEXT_BUCKET, 1, after);
	rc = sql_step(ix->reader, SQL_NEXT_BUCKET);
	if (rc <= 0)
		return rc ? rc : SC_ENOENT;
	b = sql_bytes(ix->reader, SQL_NEXT_BUCKET, 0);
	rc = SC_ECORRUPT;
	if (msg_is_bucket(b)) {
		memcpy(name, b.p, b.n);
		name[b.n] = '\0';
		t->entries = sql_u64(ix->reader, SQL_NEXT_BUCKET, 1);
		t->bytes = sql_u64(ix->reader, SQL_NEXT_BUCKET, 2);
		rc = 0;
	}
	sql_done(ix->reader, SQL_NEXT_BUCKET);
	return rc;
}

int index_next_bucket(struct index *ix, struct bytes after, char name[SC_BUCKET_MAX + 1], struct total *t)
{
	int rc = next_bucket(ix, after, name, t);

	if (rc == SC_ECORRUPT)
		tell_corrupt(ix);
	return rc;
}

static int next(struct index *ix, int64_t id, struct entry *out)
{
	unsigned passed = 0;
	bool found = false;
	int rc = ready_reader(ix);

	if (rc)
		return rc;
	sql_bind_number(ix->reader, SQL_NEXT, 1, id);
	sql_bind_u64(ix->reader, SQL_NEXT, 2, PASS_MAX);
	while (!found && (rc = sql_step(ix->reader, SQL_NEXT)) > 0) {
		rc = read_entry(ix, SQL_NEXT, out);
		found = rc != SC_ENOENT;
		passed++;
	}
	sql_done(ix->reader, SQL_NEXT);
	if (found || rc < 0)
		return rc;
	return passed == PASS_MAX ? SC_EAGAIN : SC_ENOENT;
}

int index_next(struct index *ix, int64_t id, struct entry *out)
{
	int rc = next(ix, id, out);

	if (rc == SC_ECORRUPT)
		tell_corrupt(ix);
	return rc;
}

static int sealed_next(struct index *ix, const struct sealed_by *after, struct sealed_by *by, uint64_t *count)
{
	int rc = ready_reader(ix);

	return rc ? rc : index_next_sealer(ix->reader, after, by, count);
}

int index_sealed_next(struct index *ix, const struct sealed_by *after, struct sealed_by *by, uint64_t *count)
{
	int rc = sealed_next(ix, after, by, count);

	if (rc == SC_ECORRUPT)
		tell_corrupt(ix);
	return rc;
}

bool index_has_ephemeral(struct index *ix)
{
	struct sealed_by by = {{SEALED_BY_EPHEMERAL}};
	uint64_t count;

	while (index_sealed_next(ix, &by, &by, &count) == 0)
		if (by.b[0] == SEALED_BY_EPHEMERAL && !index_is_lost(ix, &by))
			return true;
	return false;
}

static int compare(struct bytes a, struct bytes b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

struct bytes index_copy_bytes(uint8_t *to, struct bytes from)
{
	if (from.n)
		memcpy(to, from.p, from.n);
	return (struct bytes){to, from.n};
}

struct bytes index_first_key(struct bytes prefix, struct bytes after, uint8_t room[SC_KEY_MAX + 1])
{
	struct bytes low;

	if (!after.p || compare(after, prefix) < 0)
		return index_copy_bytes(room, prefix);
	low = index_copy_bytes(room, after);
	room[low.n++] = 0;
	return low;
}

struct bytes index_end_key(struct bytes prefix, uint8_t room[SC_KEY_MAX + 1])
{
	struct bytes high = index_copy_bytes(room, prefix);

	while (high.n > 0 && room[high.n - 1] == 0xff)
		high.n--;
	if (high.n > 0) {
		room[high.n - 1]++;
	} else {
		memset(room, 0xff, SC_KEY_MAX + 1);
		high.n = SC_KEY_MAX + 1;
	}
	return high;
}

/* A list of one naming: where it begins and ends, and what of it is to be given. */
struct list {
	struct sealed_by by;
	struct bytes bucket, prefix;
	unsigned limit;
	index_row each;
	void *arg;
	unsigned looked, given;
	bool stopped;
};

/* Of hashes all are looked at. */
static enum sql_statement bind_list(struct index *ix, const struct list *l, const struct cursor *at,
				    uint8_t low[SC_KEY_MAX + 1], uint8_t high[SC_KEY_MAX + 1])
{
	struct sql *q = ix->reader;
	enum sql_statement s = index_bind_by(q, SQL_LIST, SQL_LIST_SEALED, 5, &l->by);
	struct bytes prefix = is_sealed(&l->by) ? (struct bytes){NULL, 0} : l->prefix;
	struct bytes from = index_first_key(prefix, (struct bytes){at->after_len ? at->after : NULL, at->after_len}, low);
	struct bytes end = index_end_key(prefix, high);

	sql_bind_name(q, s, 1, l->bucket);
	sql_bind_blob(q, s, 2, from.p, from.n);
	sql_bind_blob(q, s, 3, end.p, end.n);
	sql_bind_u64(q, s, 4, LOOK_MAX);
	return s;
}

/* The row that was stepped to. */
static int list_row(struct index *ix, enum sql_statement s, struct list *l, struct cursor *at)
{
	struct bytes name = sql_bytes(ix->reader, s, 1);
	struct entry e;
	int rc;

	if (name.n < 1 || name.n > sizeof at->after)
		return SC_ECORRUPT;
	at->after_len = index_copy_bytes(at->after, name).n;
	l->looked++;
	rc = read_entry(ix, s, &e);
	if (rc)
		return rc == SC_ENOENT ? 0 : rc;
	if (e.key_len < l->prefix.n || (l->prefix.n && memcmp(e.key, l->prefix.p, l->prefix.n) != 0))
		return 0;
	l->given++;
	l->stopped = l->each(l->arg, &e) != 0;
	return 0;
}

/* The next ones of this naming; behind them the next naming. */
static int list_named(struct index *ix, struct list *l, struct cursor *at)
{
	uint8_t low[SC_KEY_MAX + 1], high[SC_KEY_MAX + 1];
	enum sql_statement s = bind_list(ix, l, at, low, high);
	bool more = true;
	int rc = 0;

	ix->listing = true;
	while (!rc && l->given < l->limit && !l->stopped && (more = (rc = sql_step(ix->reader, s)) > 0))
		rc = list_row(ix, s, l, at);
	sql_done(ix->reader, s);
	ix->listing = false;
	if (rc < 0)
		return rc;
	if (!more && l->looked < LOOK_MAX) {
		at->naming++;
		at->after_len = 0;
	}
	return 0;
}

int index_list(struct index *ix, struct bytes bucket, struct bytes prefix, struct cursor *at, unsigned limit, index_row each,
	       void *arg)
{
	struct list l = {.bucket = bucket, .prefix = prefix, .limit = limit, .each = each, .arg = arg};
	int rc;

	BUG_ON(ix->listing);
	rc = ready_reader(ix);
	while (!rc && !at->over && l.given < limit && !l.stopped && l.looked < LOOK_MAX) {
		while (at->naming < index_namings(ix) && !index_naming_is_used(ix, at->naming))
			at->naming++;
		at->over = at->naming >= index_namings(ix) || prefix.n > SC_KEY_MAX;
		if (at->over)
			break;
		index_name_by(ix, at->naming, &l.by);
		rc = list_named(ix, &l, at);
	}
	if (rc == SC_ECORRUPT)
		tell_corrupt(ix);
	return rc < 0 ? rc : (int)l.given;
}

/* The next tag from `low` on, which then is that. 1; 0: there is none. */
static int next_tag(struct index *ix, struct bytes bucket, char low[SC_TAGS_SIZE + 2])
{
	struct bytes tag;
	int rc;

	sql_bind_name(ix->reader, SQL_NEXT_TAG, 1, bucket);
	sql_bind_name(ix->reader, SQL_NEXT_TAG, 2, bytes_of(low));
	rc = sql_step(ix->reader, SQL_NEXT_TAG);
	if (rc <= 0)
		return rc;
	tag = sql_bytes(ix->reader, SQL_NEXT_TAG, 0);
	rc = tag.n < 1 || tag.n > SC_TAGS_SIZE ? SC_ECORRUPT : 1;
	if (rc > 0) {
		memcpy(low, tag.p, tag.n);
		low[tag.n] = '\0';
	}
	sql_done(ix->reader, SQL_NEXT_TAG);
	return rc;
}

static bool begins_with(const char *text, struct bytes prefix)
{
	return strlen(text) >= prefix.n && (!prefix.n || memcmp(text, prefix.p, prefix.n) == 0);
}

/* No tag and no hash has a byte as small as this one, so behind it comes the next one, and not the same of another entry. */
static void step_behind(char *tag)
{
	size_t n = strlen(tag);

	tag[n] = ' ';
	tag[n + 1] = '\0';
}

/* Tags of sealed entries, opened. */
struct tags {
	unsigned n;
	char tag[SC_SEALED_TAGS_MAX][SC_TAG_MAX + 1];
};

/* The next from `low` on, which then is what it is called; behind the others in *tags, if it can be opened and begins so. 1; 0: there is
 * none. */
static int next_sealed_tag(struct index *ix, struct bytes bucket, char low[SC_TAG_NAME + 2], struct bytes prefix,
			   struct tags *tags)
{
	char *tag = tags->tag[tags->n];
	struct sealed_by by;
	struct bytes name;
	struct gen g;
	int rc;

	sql_bind_name(ix->reader, SQL_NEXT_SEALED_TAG, 1, bucket);
	sql_bind_name(ix->reader, SQL_NEXT_SEALED_TAG, 2, bytes_of(low));
	rc = sql_step(ix->reader, SQL_NEXT_SEALED_TAG);
	if (rc <= 0)
		return rc;
	name = sql_bytes(ix->reader, SQL_NEXT_SEALED_TAG, 0);
	rc = SC_ECORRUPT;
	if (name.n == SC_TAG_NAME && sql_exact(ix->reader, SQL_NEXT_SEALED_TAG, 2, g.b, sizeof g.b) &&
	    index_read_by(ix->reader, SQL_NEXT_SEALED_TAG, 3, &by) == 0) {
		memcpy(low, name.p, name.n);
		low[name.n] = '\0';
		tags->n += index_unbox_tag(ix, &by, &g, sql_bytes(ix->reader, SQL_NEXT_SEALED_TAG, 1), tag) == 0 &&
			   begins_with(tag, prefix);
		rc = 1;
	}
	sql_done(ix->reader, SQL_NEXT_SEALED_TAG);
	return rc;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Sorted. By different keys the same tag has different hashes. */
static int open_tags(struct index *ix, struct bytes bucket, struct bytes prefix, struct tags *tags)
{
	char low[SC_TAG_NAME + 2] = " ";
	int rc = 1;

	tags->n = 0;
	for (unsigned looked = 0; looked < SC_SEALED_TAGS_MAX && rc > 0; looked++) {
		rc = next_sealed_tag(ix, bucket, low, prefix, tags);
		if (rc > 0)
			step_behind(low);
	}
	qsort(tags->tag, tags->n, sizeof tags->tag[0], by_text);
	return rc < 0 ? rc : 0;
}

/* Those in the clear as they are read, and those that were opened, each once. */
static int merge_tags(struct index *ix, struct bytes bucket, struct bytes prefix, const struct tags *tags, unsigned limit,
		      index_tag each, void *arg)
{
	char low[SC_TAGS_SIZE + 2] = "!";
	unsigned given = 0, at = 0;
	bool more = true;
	int rc = 0;

	if (prefix.n) {
		memcpy(low, prefix.p, prefix.n);
		low[prefix.n] = '\0';
	}
	while (given < limit) {
		const char *next = at < tags->n ? tags->tag[at] : NULL;

		/* `low` is one that was read, or where the next is looked for. */
		rc = more ? next_tag(ix, bucket, low) : 0;
		more = rc > 0 && begins_with(low, prefix);
		if (rc < 0 || (!more && !next))
			break;
		if (!next || (more && strcmp(low, next) <= 0))
			next = low;
		each(arg, bytes_of(next));
		given++;
		while (at < tags->n && strcmp(tags->tag[at], next) <= 0)
			at++;
		if (next == low)
			step_behind(low);
	}
	return rc < 0 ? rc : (int)given;
}

int index_list_tags(struct index *ix, struct bytes bucket, struct bytes prefix, unsigned limit, index_tag each, void *arg)
{
	struct tags *tags;
	int rc = ready_reader(ix);

	/* No tag begins with what those of sealed entries are marked by. */
	if (rc || prefix.n > SC_TAG_MAX || (prefix.n && *prefix.p <= ' '))
		return rc;
	tags = malloc(sizeof *tags);
	if (!tags)
		return SC_ENOMEM;
	rc = open_tags(ix, bucket, prefix, tags);
	if (!rc)
		rc = merge_tags(ix, bucket, prefix, tags, limit, each, arg);
	if (rc == SC_ECORRUPT)
		tell_corrupt(ix);
	free(tags);
	return rc;
}

/* In how many ms the first row of another boot is over, if that is sooner than *left. */
static int other_end(struct index *ix, int64_t boot, const uint8_t boot_id[16], const struct now *now, uint64_t *left)
{
	struct sql *q = ix->reader;
	struct entry e;
	uint64_t age, life;
	int rc;

	sql_bind_number(q, SQL_OF_BOOT, 1, boot);
	sql_bind_u64(q, SQL_OF_BOOT, 2, 1);
	rc = sql_step(q, SQL_OF_BOOT);
	if (rc <= 0)
		return rc;
	memcpy(e.boot_id, boot_id, sizeof e.boot_id);
	index_read_times(q, &e);
	sql_done(q, SQL_OF_BOOT);
	life = index_life(&e);
	if (!entry_age(&e, ix->boot_id, now, &age) || age > life)
		*left = 0;
	else if (*left > life - age + 1)
		*left = life - age + 1;
	return 0;
}

static int next_end(struct index *ix, const struct now *now, uint64_t *left)
{
	struct sql *q;
	uint8_t boot_id[16];
	int rc = ready_reader(ix);

	if (rc)
		return rc;
	q = ix->reader;
	sql_bind_number(q, SQL_FIRST_END, 1, ix->reader_boot);
	rc = sql_step(q, SQL_FIRST_END);
	if (rc < 0)
		return rc;
	if (rc > 0) {
		uint64_t end = sql_u64(q, SQL_FIRST_END, 0);

		*left = end < now->boot_ms ? 0 : end - now->boot_ms + 1;
		sql_done(q, SQL_FIRST_END);
	}
	rc = 0;
	sql_bind_number(q, SQL_OTHER_BOOTS, 1, ix->reader_boot);
	while (!rc && *left > 0 && (rc = sql_step(q, SQL_OTHER_BOOTS)) > 0) {
		rc = SC_ECORRUPT;
		if (sql_exact(q, SQL_OTHER_BOOTS, 1, boot_id, sizeof boot_id))
			rc = other_end(ix, sql_number(q, SQL_OTHER_BOOTS, 0), boot_id, now, left);
	}
	sql_done(q, SQL_OTHER_BOOTS);
	return rc;
}

uint64_t index_next_expiry(struct index *ix, const struct now *now)
{
	uint64_t left = SC_FOREVER;
	int rc = next_end(ix, now, &left);

	if (rc == SC_ECORRUPT)
		tell_corrupt(ix);
	return rc ? LOOK_AGAIN_MS : left;
}

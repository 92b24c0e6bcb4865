/* How old and how large an entry is; lookups, lists and what is over next: the loop's, on a connection of its own that only reads and never waits. Never scans on the way of a
 * lookup, never gives out a row it has not checked. A file found corrupt is said so to the thread (index.c), and the connection follows
 * to the next one at its next use. */
#include <errno.h>
#include <string.h>

#include "daemon/cmdline.h"
#include "daemon/index_parts.h"
#include "lib/digest.h"
#include "lib/err.h"
#include "lib/msg.h"

/* What a file takes of the disk. More than all of ours together ever are: sums of it stay within what SQLite can hold. */
#define BLOCK 4096
#define BYTES_MAX (UINT64_C(1) << 50)
/* When to look again if it cannot be told: "never" would end all expiry, "now" would spin. */
#define LOOK_AGAIN_MS 60000

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

/* A row of SQL_COLUMNS. The schema checks what is written, but the file may have been altered since. */
static int read_entry(struct index *ix, enum sql_statement s, struct entry *e)
{
	struct sql *q = ix->reader;
	struct bytes bucket = sql_bytes(q, s, 0), key = sql_bytes(q, s, 1), tags = sql_bytes(q, s, 20);
	struct bytes command = sql_bytes(q, s, 21), shown = sql_bytes(q, s, 22);

	if (bucket.n > SC_BUCKET_MAX || key.n < 1 || key.n > SC_KEY_MAX || tags.n > SC_TAGS_SIZE || shown.n > SC_SHOWN_MAX)
		return SC_ECORRUPT;
	cmdline_read(e->command, command);
	if (shown.n)
		memcpy(e->shown, shown.p, shown.n);
	e->shown_len = shown.n;
	if (tags.n)
		memcpy(e->tags, tags.p, tags.n);
	e->tags[tags.n] = '\0';
	if (bucket.n)
		memcpy(e->bucket, bucket.p, bucket.n);
	e->bucket[bucket.n] = '\0';
	memcpy(e->key, key.p, key.n);
	e->key_len = key.n;
	if (!sql_exact(q, s, 2, e->gen.b, sizeof e->gen.b) || !sql_exact(q, s, 8, e->out_sum, SC_SUM_SIZE) ||
	    !sql_exact(q, s, 9, e->err_sum, SC_SUM_SIZE) || !sql_exact(q, s, 12, e->boot_id, sizeof e->boot_id))
		return SC_ECORRUPT;
	e->order = sql_u64(q, s, 3);
	e->exit = (uint32_t)sql_u64(q, s, 4);
	e->signal = (uint32_t)sql_u64(q, s, 5);
	e->out_len = sql_u64(q, s, 6);
	e->err_len = sql_u64(q, s, 7);
	e->out_size = sql_u64(q, s, 23);
	e->err_size = sql_u64(q, s, 24);
	e->sealed = (struct sealed_by){{0}};
	if (sql_bytes(q, s, 25).n && !sql_exact(q, s, 25, &e->sealed, sizeof e->sealed))
		return SC_ECORRUPT;
	e->created_wall_ms = sql_u64(q, s, 10);
	e->created_boot_ms = sql_u64(q, s, 11);
	e->ttl_ms = sql_time(q, s, 13);
	e->stale_ms = sql_time(q, s, 14);
	e->took_ms = sql_u64(q, s, 15);
	e->id = sql_number(q, s, 16);
	e->hits = sql_u64(q, s, 17);
	/* Of a boot that cannot be told from another nobody knows whether it is over. */
	e->proved = sql_number(q, s, 18) == ix->reader_boot && is_told(ix->boot_id);
	e->failed = sql_number(q, s, 19);
	return 0;
}

static int find(struct index *ix, struct bytes bucket, struct bytes key, bool failed, struct entry *out)
{
	int rc = ready_reader(ix);

	if (rc)
		return rc;
	sql_bind_name(ix->reader, SQL_FIND, 1, bucket);
	sql_bind_blob(ix->reader, SQL_FIND, 2, key.p, key.n);
	sql_bind_number(ix->reader, SQL_FIND, 3, failed);
	rc = sql_step(ix->reader, SQL_FIND);
	if (rc <= 0)
		return rc ? rc : SC_ENOENT;
	rc = read_entry(ix, SQL_FIND, out);
	sql_done(ix->reader, SQL_FIND);
	return rc;
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

static int recall(struct index *ix, struct bytes bucket, struct bytes key, struct past *p)
{
	int rc = ready_reader(ix);

	if (rc)
		return rc;
	sql_bind_name(ix->reader, SQL_PAST, 1, bucket);
	sql_bind_blob(ix->reader, SQL_PAST, 2, key.p, key.n);
	rc = sql_step(ix->reader, SQL_PAST);
	if (rc <= 0)
		return rc ? rc : SC_ENOENT;
	read_cause(ix->reader, 0, &p->fate);
	read_cause(ix->reader, 5, &p->miss);
	p->missed_ms = sql_u64(ix->reader, SQL_PAST, 10);
	p->other_ms = sql_u64(ix->reader, SQL_PAST, 11);
	sql_done(ix->reader, SQL_PAST);
	return 0;
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

int index_next(struct index *ix, int64_t id, struct entry *out)
{
	int rc = ready_reader(ix);

	if (!rc) {
		sql_bind_number(ix->reader, SQL_NEXT, 1, id);
		rc = sql_step(ix->reader, SQL_NEXT);
		if (rc <= 0)
			rc = rc ? rc : SC_ENOENT;
		else
			rc = read_entry(ix, SQL_NEXT, out);
		sql_done(ix->reader, SQL_NEXT);
	}
	if (rc == SC_ECORRUPT)
		tell_corrupt(ix);
	return rc;
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

int index_list(struct index *ix, struct bytes bucket, struct bytes prefix, struct bytes after, unsigned limit, index_row each,
	       void *arg)
{
	uint8_t low_room[SC_KEY_MAX + 1], high_room[SC_KEY_MAX + 1];
	struct bytes low, high;
	struct entry e;
	int rc, given = 0;

	BUG_ON(ix->listing);
	if (prefix.n > SC_KEY_MAX)
		return 0;
	if (after.n > SC_KEY_MAX)
		return SC_ETOOBIG;
	rc = ready_reader(ix);
	if (!rc) {
		low = index_first_key(prefix, after, low_room);
		high = index_end_key(prefix, high_room);
		sql_bind_name(ix->reader, SQL_LIST, 1, bucket);
		sql_bind_blob(ix->reader, SQL_LIST, 2, low.p, low.n);
		sql_bind_blob(ix->reader, SQL_LIST, 3, high.p, high.n);
		sql_bind_u64(ix->reader, SQL_LIST, 4, limit);
		ix->listing = true;
		while ((rc = sql_step(ix->reader, SQL_LIST)) > 0) {
			rc = read_entry(ix, SQL_LIST, &e);
			if (rc)
				break;
			given++;
			if (each(arg, &e))
				break;
		}
		sql_done(ix->reader, SQL_LIST);
		ix->listing = false;
	}
	if (rc == SC_ECORRUPT)
		tell_corrupt(ix);
	return rc < 0 ? rc : given;
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

int index_list_tags(struct index *ix, struct bytes bucket, struct bytes prefix, unsigned limit, index_tag each, void *arg)
{
	char low[SC_TAGS_SIZE + 2];
	unsigned given = 0;
	int rc = ready_reader(ix);

	if (prefix.n > SC_TAGS_SIZE)
		return 0;
	if (prefix.n)
		memcpy(low, prefix.p, prefix.n);
	low[prefix.n] = '\0';
	while (!rc && given < limit && (rc = next_tag(ix, bucket, low)) > 0) {
		size_t n = strlen(low);

		rc = 0;
		if (n < prefix.n || memcmp(low, prefix.p, prefix.n) != 0)
			break;
		each(arg, (struct bytes){(uint8_t *)low, n});
		given++;
		/* No tag has a byte as small as this one, so behind it comes the next one, and not the same of another entry. */
		low[n] = ' ';
		low[n + 1] = '\0';
	}
	if (rc == SC_ECORRUPT)
		tell_corrupt(ix);
	return rc < 0 ? rc : (int)given;
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

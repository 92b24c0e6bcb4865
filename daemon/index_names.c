/* What keys and tags are called in the file: by themselves, or, where an entry is sealed, by hashes, with all that its user has named in a
 * box beside them. Called by the index's other files, from both threads: changes nothing but what it is given. */
#include <stdio.h>
#include <string.h>

#include "daemon/cmdline.h"
#include "daemon/index_parts.h"
#include "lib/err.h"
#include "lib/pack.h"
#include "lib/tags.h"

/* ---- namings ---- */

static unsigned ring_count(const struct index *ix)
{
	return ix->ring ? keyring_count(ix->ring) : 0;
}

unsigned index_namings(const struct index *ix)
{
	return ring_count(ix) + 1;
}

/* The clear one is the last, so that a list of many is in order where it can be. */
static bool is_clear_one(const struct index *ix, unsigned naming)
{
	return naming == ring_count(ix);
}

bool index_naming_is_used(const struct index *ix, unsigned naming)
{
	return naming == 0 || is_clear_one(ix, naming) || (ix->old_keys & 1u << naming);
}

void index_use_naming(struct index *ix, const struct sealed_by *by)
{
	for (unsigned i = 0; i < ring_count(ix); i++)
		if (memcmp(keyring_at(ix->ring, i), by, sizeof *by) == 0)
			ix->old_keys |= 1u << i;
}

bool index_has_old_keys(const struct index *ix)
{
	return ix->old_keys & ~1u;
}

unsigned index_naming_of_turn(const struct index *ix, unsigned turn)
{
	unsigned n = index_namings(ix);

	return ix->encrypt ? turn : (turn + n - 1) % n;
}

void index_name_by(const struct index *ix, unsigned naming, struct sealed_by *by)
{
	static const struct sealed_by clear;

	*by = is_clear_one(ix, naming) ? clear : *keyring_at(ix->ring, naming);
}

int index_name_key(const struct index *ix, const struct sealed_by *by, struct bytes bucket, struct bytes key,
		   struct key_name *name)
{
	name->by = *by;
	name->key = key;
	if (!is_sealed(by))
		return 0;
	if (!ix->ring)
		return SC_ENOENT;
	name->key = (struct bytes){name->hash, sizeof name->hash};
	return keyring_hash(ix->ring, by, bucket, key, name->hash);
}

int index_name_tag(const struct index *ix, const struct sealed_by *by, struct bytes bucket, struct bytes tag,
		   char name[SC_TAG_NAME + 1])
{
	uint8_t hash[SC_SEAL_HASH];
	int rc;

	if (!is_sealed(by)) {
		snprintf(name, SC_TAG_NAME + 1, "%.*s", (int)tag.n, (const char *)tag.p);
		return 0;
	}
	rc = ix->ring ? keyring_hash(ix->ring, by, bucket, tag, hash) : SC_ENOENT;
	if (rc)
		return rc;
	name[0] = ' ';
	for (size_t i = 0; i < sizeof hash; i++)
		snprintf(name + 1 + 2 * i, 3, "%02x", hash[i]);
	return 0;
}

/* ---- boxes ---- */

/* key, tags, command, shown: no more of them is ever taken away, and what comes is put behind. */
enum { KEY, TAGS, COMMAND, SHOWN, NAMES };

static struct value value_of(struct bytes b)
{
	return (struct value){.kind = VALUE_BYTES, .bytes = b};
}

int index_box_names(const struct index *ix, const struct entry *e, uint8_t box[SC_SEALED_MAX], size_t *n)
{
	struct value v[NAMES];
	struct buf b;
	int rc;

	v[KEY] = value_of((struct bytes){e->key, e->key_len});
	v[TAGS] = value_of(bytes_of(e->tags));
	v[COMMAND] = value_of(cmdline_bytes(e->command));
	v[SHOWN] = value_of((struct bytes){e->shown, e->shown_len});
	buf_init(&b, SC_SEALED_MAX - SC_SEAL_BOX_OVERHEAD);
	rc = pack_encode(&b, v, NAMES);
	if (!rc)
		rc = ix->ring ? keyring_box(ix->ring, &e->sealed, &e->gen, (struct bytes){b.data, b.len}, box, n) : SC_ENOENT;
	buf_release(&b);
	return rc;
}

/* Of what was in the box, which is as it was put there: but perhaps not by this version. */
static bool read_names(struct entry *e, const struct value v[SC_FIELDS_MAX], size_t n)
{
	struct bytes key, tags, shown;

	for (size_t i = 0; i < NAMES; i++)
		if (i >= n || v[i].kind != VALUE_BYTES)
			return false;
	key = v[KEY].bytes, tags = v[TAGS].bytes, shown = v[SHOWN].bytes;
	if (key.n < 1 || key.n > sizeof e->key || tags.n >= sizeof e->tags || shown.n > sizeof e->shown)
		return false;
	e->key_len = index_copy_bytes(e->key, key).n;
	index_copy_bytes((uint8_t *)e->tags, tags);
	e->tags[tags.n] = '\0';
	cmdline_read(e->command, v[COMMAND].bytes);
	e->shown_len = index_copy_bytes(e->shown, shown).n;
	return true;
}

int index_unbox_names(const struct index *ix, const struct sealed_by *by, const struct gen *g, struct bytes box,
		      struct entry *e)
{
	struct value v[SC_FIELDS_MAX];
	uint8_t plain[SC_SEALED_MAX];
	size_t n, count;

	if (!ix->ring || box.n > sizeof plain || keyring_unbox(ix->ring, by, g, box, plain, &n) != 0 ||
	    pack_decode(plain, n, v, &count) != 0 || !read_names(e, v, count))
		return SC_ENOENT;
	return 0;
}

int index_box_tag(const struct index *ix, const struct entry *e, struct bytes tag, uint8_t box[SC_TAG_BOX], size_t *n)
{
	BUG_ON(tag.n > SC_TAG_MAX);
	return ix->ring ? keyring_box(ix->ring, &e->sealed, &e->gen, tag, box, n) : SC_ENOENT;
}

int index_unbox_tag(const struct index *ix, const struct sealed_by *by, const struct gen *g, struct bytes box,
		    char tag[SC_TAG_MAX + 1])
{
	uint8_t plain[SC_TAG_MAX + 1];
	size_t n;

	if (!ix->ring || box.n > SC_TAG_BOX || keyring_unbox(ix->ring, by, g, box, plain, &n) != 0)
		return SC_ENOENT;
	plain[n] = '\0';
	memcpy(tag, plain, n + 1);
	return tags_is_tag(tag) ? 0 : SC_ENOENT;
}

/* ---- a row's columns ---- */

static int name_tags(const struct index *ix, const struct entry *e, char tags[SC_TAGS_SIZE + 1])
{
	struct bytes rest = bytes_of(e->tags), tag;
	char name[SC_TAG_NAME + 1];
	int rc = 0;

	tags[0] = '\0';
	while (!rc && tags_next(&rest, &tag)) {
		rc = index_name_tag(ix, &e->sealed, bytes_of(e->bucket), tag, name);
		if (!rc)
			rc = tags_add(tags, name + 1);
	}
	return rc;
}

int index_name_entry(const struct index *ix, const struct entry *e, struct names *n)
{
	int rc = index_name_key(ix, &e->sealed, bytes_of(e->bucket), (struct bytes){e->key, e->key_len}, &n->key);

	n->box_len = 0;
	if (rc)
		return rc;
	if (is_sealed(&e->sealed)) {
		rc = name_tags(ix, e, n->tags);
		return rc ? rc : index_box_names(ix, e, n->box, &n->box_len);
	}
	memcpy(n->tags, e->tags, sizeof n->tags);
	return 0;
}

int index_read_by(struct sql *q, enum sql_statement s, int i, struct sealed_by *by)
{
	struct bytes b = sql_bytes(q, s, i);

	*by = (struct sealed_by){{0}};
	if (b.n == 0)
		return 0;
	return sql_exact(q, s, i, by->b, sizeof by->b) && is_sealed(by) ? 0 : SC_ECORRUPT;
}

enum sql_statement index_bind_by(struct sql *q, enum sql_statement clear, enum sql_statement sealed, int i,
				 const struct sealed_by *by)
{
	if (!is_sealed(by))
		return clear;
	sql_bind_blob(q, sealed, i, by->b, sizeof by->b);
	return sealed;
}

/* ---- keys that something is sealed by ---- */

int index_next_sealer(struct sql *q, const struct sealed_by *after, struct sealed_by *by, uint64_t *count)
{
	int rc;

	sql_bind_blob(q, SQL_SEALER, 1, after->b, sizeof after->b);
	rc = sql_step(q, SQL_SEALER);
	if (rc <= 0)
		return rc ? rc : SC_ENOENT;
	rc = sql_exact(q, SQL_SEALER, 0, by->b, sizeof by->b) ? 0 : SC_ECORRUPT;
	*count = sql_u64(q, SQL_SEALER, 1);
	sql_done(q, SQL_SEALER);
	return rc;
}

bool index_is_lost(const struct index *ix, const struct sealed_by *by)
{
	return by->b[0] == SEALED_BY_EPHEMERAL && !(ix->ring && keyring_has(ix->ring, by));
}

/* Two tables, and the code that reads them: what a field is, and which message carries which fields in which order. Called by
 * whoever speaks the protocol; flight files use it too (RECORD). Adding a field: one row in FIELDS, its name at the end of a
 * message's list, and the same in PROTOCOL.md. */
#include "lib/msg.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "lib/limits.h"
#include "lib/pack.h"

enum field_kind { FIELD_UINT, FIELD_GEN, FIELD_BYTES };

/* What bytes must be beyond their length. */
enum bytes_rule { RULE_NONE, RULE_BUCKET, RULE_NO_NUL, RULE_GENS, RULE_GRAPH };

/* name, kind, least, most (of the number, or of the length), rule */
#define FIELDS(F)                                              \
	F(version, UINT, 0, UINT32_MAX, NONE)                  \
	F(build, BYTES, 0, SC_BUILD_MAX, NONE)                 \
	F(bucket, BYTES, 1, SC_BUCKET_MAX, BUCKET)             \
	F(key, BYTES, 1, SC_KEY_MAX, NO_NUL)                   \
	F(text, BYTES, 0, 4096, NONE)                          \
	F(tags, BYTES, 0, SC_TAGS_SIZE, GRAPH)                 \
	F(command, BYTES, 0, SC_COMMAND_SIZE, NONE)            \
	F(shown, BYTES, 0, SC_SHOWN_MAX, NONE)                 \
	F(chain, BYTES, 0, (SC_CHAIN_MAX * SC_GEN_SIZE), GENS) \
	F(gen, GEN, SC_GEN_SIZE, SC_GEN_SIZE, NONE)            \
	F(flags, UINT, 0, UINT32_MAX, NONE)                    \
	F(reason, UINT, 0, UINT64_MAX, NONE)                   \
	F(outcome, UINT, 0, UINT64_MAX, NONE)                  \
	F(kind, UINT, 0, UINT64_MAX, NONE)                     \
	F(order, UINT, 0, SC_ORDER_MAX, NONE)                  \
	F(ttl, UINT, 0, UINT64_MAX, NONE)                      \
	F(accept, UINT, 0, UINT64_MAX, NONE)                   \
	F(stale, UINT, 0, UINT64_MAX, NONE)                    \
	F(keep, UINT, 0, UINT64_MAX, NONE)                     \
	F(age, UINT, 0, UINT64_MAX, NONE)                      \
	F(estimate, UINT, 0, UINT64_MAX, NONE)                 \
	F(exit, UINT, 0, 255, NONE)                            \
	F(signal, UINT, 0, 64, NONE)                           \
	F(out_len, UINT, 0, UINT64_MAX, NONE)                  \
	F(err_len, UINT, 0, UINT64_MAX, NONE)                  \
	F(out_size, UINT, 0, UINT64_MAX, NONE)                 \
	F(err_size, UINT, 0, UINT64_MAX, NONE)                 \
	F(keys, BYTES, 0, SC_KEYS_SIZE, NONE)                  \
	F(sealed, BYTES, 0, SC_SEALED_MAX, NONE)               \
	F(out_sum, BYTES, SC_SUM_SIZE, SC_SUM_SIZE, NONE)      \
	F(err_sum, BYTES, SC_SUM_SIZE, SC_SUM_SIZE, NONE)      \
	F(slot, UINT, 0, SC_SLOTS - 1, NONE)                   \
	F(count, UINT, 0, UINT64_MAX, NONE)                    \
	F(lag_least, UINT, 0, UINT64_MAX, NONE)                \
	F(lag_most, UINT, 0, UINT64_MAX, NONE)                 \
	F(pid, UINT, 0, INT32_MAX, NONE)                       \
	F(leader, UINT, 0, INT32_MAX, NONE)                    \
	F(error, UINT, 0, 4095, NONE)                          \
	F(created, UINT, 0, UINT64_MAX, NONE)                  \
	F(uptime, UINT, 0, UINT64_MAX, NONE)                   \
	F(entries, UINT, 0, UINT64_MAX, NONE)                  \
	F(conns, UINT, 0, UINT64_MAX, NONE)                    \
	F(hits, UINT, 0, UINT64_MAX, NONE)                     \
	F(row, UINT, 0, INT64_MAX, NONE)                       \
	F(bad, UINT, 0, UINT64_MAX, NONE)

enum field {
	F_end, /* so that a list of fields ends by itself */
#define AS_ENUM(name, kind, least, most, rule) F_##name,
	FIELDS(AS_ENUM)
#undef AS_ENUM
};

struct field_row {
	const char *name;
	enum field_kind kind;
	enum bytes_rule rule;
	size_t at; /* in struct msg */
	uint64_t least, most;
};

static const struct field_row fields[] = {
#define AS_ROW(name, kind, least, most, rule) \
	[F_##name] = {#name, FIELD_##kind, RULE_##rule, offsetof(struct msg, name), least, most},
	FIELDS(AS_ROW)
#undef AS_ROW
};

#define ROW_FIELDS 16

struct row {
	enum msg_type type;
	const char *name;
	unsigned senders;
	unsigned fds;	     /* how many descriptors come with it */
	enum field one_more; /* … and one more if this field is not zero */
	uint8_t fields[ROW_FIELDS + 1];
};

#define ANYBODY (SENDER_CLIENT | SENDER_WRITER | SENDER_DAEMON)

/* clang-format off */
static const struct row rows[] = {
	{MSG_HELLO, "HELLO", ANYBODY, 0, 0, {F_version, F_build, F_flags}},

	{MSG_ASK, "ASK", SENDER_CLIENT, 0, 0, 
	 {F_bucket, F_key, F_flags, F_ttl, F_accept, F_chain, F_gen, F_stale, F_keep, F_tags, F_command}},
	{MSG_ATTACH, "ATTACH", SENDER_CLIENT, 0, 0, {F_bucket, F_key, F_gen, F_flags, F_chain}},
	{MSG_LEAVE, "LEAVE", SENDER_CLIENT, 0, 0, {F_gen, F_signal, F_flags}},
	{MSG_REMOVE, "REMOVE", SENDER_CLIENT, 0, 0, {F_bucket, F_key}},
	{MSG_LIST, "LIST", SENDER_CLIENT, 0, 0, {F_bucket, F_text}},
	{MSG_FLIGHTS, "FLIGHTS", SENDER_CLIENT, 0, 0, {F_bucket}},
	{MSG_STATUS, "STATUS", SENDER_CLIENT, 0, 0, {0}},
	{MSG_STOP, "STOP", SENDER_CLIENT, 0, 0, {F_flags, F_chain}},
	{MSG_PROVED, "PROVED", SENDER_CLIENT, 0, 0, {F_bucket, F_key, F_gen, F_flags}},
	{MSG_NEXT, "NEXT", SENDER_CLIENT, 0, 0, {F_row}},
	{MSG_WALK, "WALK", SENDER_CLIENT, 0, 0, {F_flags}},
	{MSG_SYNC, "SYNC", SENDER_CLIENT, 0, 0, {0}},
	{MSG_CLEAR, "CLEAR", SENDER_CLIENT, 0, 0, {F_bucket, F_text, F_flags, F_tags}},
	{MSG_TOUCH, "TOUCH", SENDER_CLIENT, 0, 0, {F_bucket, F_key, F_ttl}},
	{MSG_TAGS, "TAGS", SENDER_CLIENT, 0, 0, {F_bucket, F_text}},
	{MSG_HOLD, "HOLD", SENDER_CLIENT, 0, 0, {F_bucket, F_key, F_flags, F_ttl, F_chain}},
	{MSG_RELEASE, "RELEASE", SENDER_CLIENT, 0, 0, {F_gen}},
	{MSG_STATS, "STATS", SENDER_CLIENT, 0, 0, {0}},
	{MSG_WATCH, "WATCH", SENDER_CLIENT, 0, 0, {F_bucket, F_text, F_flags}},
	{MSG_EXPLAIN, "EXPLAIN", SENDER_CLIENT, 0, 0, {F_bucket, F_key}},

	{MSG_HIT, "HIT", SENDER_DAEMON, 1, F_err_len,
	 {F_gen, F_order, F_exit, F_signal, F_out_len, F_err_len, F_age, F_ttl, F_created, F_flags, F_out_sum, F_err_sum,
	  F_keys}},
	{MSG_FOLLOW, "FOLLOW", SENDER_DAEMON, 3, 0, {F_gen, F_order, F_slot, F_age, F_estimate, F_flags, F_keys}},
	{MSG_LEAD, "LEAD", SENDER_DAEMON, 7, 0, {F_gen, F_order, F_slot, F_ttl, F_estimate, F_flags, F_keys}},
	{MSG_WAIT, "WAIT", SENDER_DAEMON, 0, 0, {F_reason, F_count, F_gen}},
	{MSG_MISS, "MISS", SENDER_DAEMON, 0, 0, {F_reason}},
	{MSG_REFUSE, "REFUSE", SENDER_DAEMON, 0, 0, {F_reason, F_error, F_text}},
	{MSG_LEFT, "LEFT", SENDER_DAEMON, 0, 0, {F_gen, F_count, F_flags}},
	{MSG_ENDED, "ENDED", SENDER_DAEMON, 0, 0, {F_gen, F_outcome, F_exit, F_signal, F_out_len, F_err_len}},
	{MSG_LOST, "LOST", SENDER_DAEMON, 0, 0, {F_gen}},
	{MSG_OK, "OK", SENDER_DAEMON, 0, 0, {F_count}},
	{MSG_ENTRY, "ENTRY", SENDER_DAEMON, 0, 0,
	 {F_bucket, F_key, F_gen, F_exit, F_signal, F_out_len, F_err_len, F_age, F_ttl, F_created, F_stale, F_estimate,
	  F_hits, F_tags, F_shown, F_flags}},
	{MSG_FLIGHT, "FLIGHT", SENDER_DAEMON, 0, 0,
	 {F_bucket, F_key, F_gen, F_order, F_age, F_out_len, F_err_len, F_count, F_pid, F_flags, F_leader,
	  F_lag_least, F_lag_most, F_shown}},
	{MSG_END, "END", SENDER_DAEMON, 0, 0, {F_count}},
	{MSG_REPORT, "REPORT", SENDER_DAEMON, 0, 0, {F_version, F_build, F_pid, F_uptime, F_entries, F_count, F_conns, F_bad}},
	{MSG_ROW, "ROW", SENDER_DAEMON, 1, F_err_len,
	 {F_row, F_bucket, F_key, F_gen, F_out_len, F_err_len, F_out_sum, F_err_sum}},
	{MSG_FLAW, "FLAW", SENDER_DAEMON, 0, 0, {F_row, F_bucket, F_key, F_gen, F_reason, F_error}},
	{MSG_TAG, "TAG", SENDER_DAEMON, 0, 0, {F_tags}},
	{MSG_HELD, "HELD", SENDER_DAEMON, 2, 0, {F_gen, F_order, F_keys}},
	{MSG_TALLY, "TALLY", SENDER_DAEMON, 0, 0, {F_bucket, F_kind, F_count, F_flags}},
	{MSG_EVENT, "EVENT", SENDER_DAEMON, 0, 0,
	 {F_kind, F_bucket, F_key, F_gen, F_order, F_created, F_exit, F_signal, F_out_len, F_err_len, F_ttl, F_reason, F_error,
	  F_flags}},
	{MSG_MISSED, "MISSED", SENDER_DAEMON, 0, 0, {F_count}},
	{MSG_CAUSE, "CAUSE", SENDER_DAEMON, 0, 0, {F_kind, F_created, F_age, F_exit, F_signal, F_error, F_flags}},

	{MSG_SEALER, "SEALER", SENDER_DAEMON, 0, 0, {F_sealed, F_count, F_flags}},
	{MSG_SEALERS, "SEALERS", SENDER_CLIENT, 0, 0, {0}},

	{MSG_REGISTER, "REGISTER", SENDER_WRITER, 3, F_pid, {F_bucket, F_key, F_gen, F_pid, F_flags, F_shown}},
	{MSG_STARTED, "STARTED", SENDER_WRITER, 1, 0, {F_gen, F_pid, F_flags, F_shown}},
	{MSG_DONE, "DONE", SENDER_WRITER, 0, 0,
	 {F_gen, F_outcome, F_exit, F_signal, F_out_len, F_err_len, F_out_sum, F_err_sum, F_error,
	  F_out_size, F_err_size}},
	{MSG_MAY_STOP, "MAY_STOP", SENDER_WRITER, 0, 0, {F_gen}},
	{MSG_GROWN, "GROWN", SENDER_WRITER, 0, 0, {F_gen, F_out_len, F_err_len}},
	{MSG_STREAMING, "STREAMING", SENDER_WRITER, 0, 0, {F_gen, F_error}},
	{MSG_HOLDING, "HOLDING", SENDER_WRITER, 1, 0, {F_gen}},

	{MSG_REGISTERED, "REGISTERED", SENDER_DAEMON, 0, 0, {F_gen, F_flags}},
	{MSG_LONELY, "LONELY", SENDER_DAEMON, 0, 0, {F_gen, F_signal}},
	{MSG_VERDICT, "VERDICT", SENDER_DAEMON, 0, 0, {F_gen, F_flags, F_signal}},
	{MSG_SETTLED, "SETTLED", SENDER_DAEMON, 0, 0, {F_gen, F_flags}},

	{MSG_LOADED, "LOADED", SENDER_CLIENT, 1, F_err_len, {F_gen, F_out_len, F_err_len}},

	{MSG_RECORD, "RECORD", SENDER_NONE, 0, 0,
	 {F_bucket, F_key, F_gen, F_order, F_kind, F_flags, F_ttl, F_stale, F_keep, F_created, F_command, F_tags}},
	{MSG_SEALED_RECORD, "SEALED_RECORD", SENDER_NONE, 0, 0, {F_gen, F_sealed}},
};
/* clang-format on */

#define NROWS (sizeof rows / sizeof rows[0])

static const struct row *find_row(uint64_t type)
{
	for (size_t i = 0; i < NROWS; i++)
		if (rows[i].type == type)
			return &rows[i];
	return NULL;
}

/* ---- one field ---- */

static void *field_of(struct msg *m, const struct field_row *f)
{
	return (char *)m + f->at;
}

static const void *const_field_of(const struct msg *m, const struct field_row *f)
{
	return (const char *)m + f->at;
}

static bool is_bucket_byte(uint8_t b)
{
	return (b >= 'a' && b <= 'z') || (b >= '0' && b <= '9') || b == '.' || b == '_' || b == '-';
}

bool msg_is_bucket(struct bytes name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!is_bucket_byte(name.p[i]))
			return false;
	return name.n > 0 && name.n <= SC_BUCKET_MAX;
}

static bool is_graph(struct bytes text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] <= ' ' || text.p[i] > '~')
			return false;
	return true;
}

static bool follows_rule(struct bytes b, enum bytes_rule rule)
{
	switch (rule) {
	case RULE_NONE:
		return true;
	case RULE_BUCKET:
		return msg_is_bucket(b);
	case RULE_NO_NUL:
		return memchr(b.p, 0, b.n) == NULL;
	case RULE_GENS:
		return b.n % SC_GEN_SIZE == 0;
	case RULE_GRAPH:
		return is_graph(b);
	}
	return false;
}

/* Kind, range and rule: the same on the way out (ours: a BUG) and on the way in (theirs: SC_EPROTO). */
static bool is_within(const struct field_row *f, const struct value *v)
{
	uint64_t measure = f->kind == FIELD_UINT ? v->u : v->bytes.n;

	if (v->kind != (f->kind == FIELD_UINT ? VALUE_UINT : VALUE_BYTES))
		return false;
	if (measure < f->least || measure > f->most)
		return false;
	return f->kind == FIELD_UINT || follows_rule(v->bytes, f->rule);
}

static struct value get_field(const struct msg *m, const struct field_row *f)
{
	const void *at = const_field_of(m, f);

	switch (f->kind) {
	case FIELD_UINT:
		return (struct value){.kind = VALUE_UINT, .u = *(const uint64_t *)at};
	case FIELD_GEN:
		return (struct value){.kind = VALUE_BYTES, .bytes = {((const struct gen *)at)->b, SC_GEN_SIZE}};
	case FIELD_BYTES:
		return (struct value){.kind = VALUE_BYTES, .bytes = *(const struct bytes *)at};
	}
	BUG("a kind of field nobody knows");
}

static void set_field(struct msg *m, const struct field_row *f, const struct value *v)
{
	void *at = field_of(m, f);

	switch (f->kind) {
	case FIELD_UINT:
		*(uint64_t *)at = v->u;
		break;
	case FIELD_GEN:
		memcpy(((struct gen *)at)->b, v->bytes.p, SC_GEN_SIZE);
		break;
	case FIELD_BYTES:
		*(struct bytes *)at = v->bytes;
		break;
	}
}

/* ---- a message ---- */

int msg_encode(struct buf *out, const struct msg *m)
{
	static const uint8_t no_length[4];
	struct value values[1 + ROW_FIELDS];
	const struct row *row = find_row(m->type);
	size_t before = out->len, count = 0, len;
	int rc;

	BUG_ON(!row);
	values[count++] = (struct value){.kind = VALUE_UINT, .u = m->type};
	for (size_t i = 0; row->fields[i]; i++) {
		const struct field_row *f = &fields[row->fields[i]];

		values[count] = get_field(m, f);
		BUG_ON(!is_within(f, &values[count]));
		count++;
	}
	rc = buf_append(out, no_length, sizeof no_length);
	if (rc == 0)
		rc = pack_encode(out, values, count);
	len = out->len - before - sizeof no_length;
	if (rc == 0 && len > SC_FRAME_MAX)
		rc = SC_ETOOBIG;
	if (rc) {
		out->len = before;
		return rc;
	}
	for (size_t i = 0; i < sizeof no_length; i++)
		out->data[before + i] = (uint8_t)(len >> 8 * i);
	return 0;
}

int msg_decode(struct msg *m, const void *frame, size_t n)
{
	struct value values[SC_FIELDS_MAX];
	const struct row *row;
	size_t count;
	int rc = pack_decode(frame, n, values, &count);

	memset(m, 0, sizeof *m);
	if (rc)
		return rc;
	if (count == 0 || values[0].kind != VALUE_UINT)
		return SC_EPROTO;
	row = find_row(values[0].u);
	if (!row)
		return SC_EPROTO;
	m->type = row->type;
	for (size_t i = 0; row->fields[i]; i++) {
		const struct field_row *f = &fields[row->fields[i]];

		if (i + 1 >= count || !is_within(f, &values[i + 1]))
			return SC_EPROTO;
		set_field(m, f, &values[i + 1]);
	}
	return 0;
}

/* ---- what the tables say ---- */

void msg_fds(enum msg_type type, unsigned *least, unsigned *most)
{
	const struct row *row = find_row(type);

	*least = row ? row->fds : 0;
	*most = row ? row->fds + (row->one_more != F_end) : 0;
}

unsigned msg_fd_count(const struct msg *m)
{
	const struct row *row = find_row(m->type);

	if (!row)
		return 0;
	if (row->one_more == F_end)
		return row->fds;
	return row->fds + (*(const uint64_t *)const_field_of(m, &fields[row->one_more]) != 0);
}

unsigned msg_senders(enum msg_type type)
{
	const struct row *row = find_row(type);

	return row ? row->senders : SENDER_NONE;
}

const char *msg_name(enum msg_type type)
{
	const struct row *row = find_row(type);

	return row ? row->name : "?";
}

const char *msg_describe(size_t i, char *out, size_t size)
{
	static const struct {
		unsigned bit;
		const char *name;
	} senders[] = {{SENDER_CLIENT, "client"}, {SENDER_WRITER, "writer"}, {SENDER_DAEMON, "daemon"}};
	const struct row *row;
	size_t len;

	if (i >= NROWS || size == 0)
		return NULL;
	row = &rows[i];
	len = (size_t)snprintf(out, size, "%s %d ", row->name, (int)row->type);
	if (!row->senders && len < size)
		len += (size_t)snprintf(out + len, size - len, "nobody");
	for (size_t s = 0, n = 0; s < sizeof senders / sizeof senders[0] && len < size; s++)
		if (row->senders & senders[s].bit)
			len += (size_t)snprintf(out + len, size - len, "%s%s", n++ ? "," : "", senders[s].name);
	for (size_t f = 0; row->fields[f] && len < size; f++)
		len += (size_t)snprintf(out + len, size - len, " %s", fields[row->fields[f]].name);
	return out;
}

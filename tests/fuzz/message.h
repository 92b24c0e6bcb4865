/* Messages by a recipe, and the same message twice. */
#ifndef SC_FUZZ_MESSAGE_H
#define SC_FUZZ_MESSAGE_H

#include "lib/buf.h"
#include "lib/limits.h"
#include "lib/msg.h"
#include "tests/fuzz/fuzz.h"

#define HEADER 4

/* A number of any magnitude. */
static inline uint64_t take_number(struct recipe *r, uint64_t most)
{
	uint64_t v = take(r);

	v <<= take(r) % 57;
	return v < most ? v : most;
}

/* Letters: what every rule for bytes allows. */
static inline struct bytes take_letters(struct recipe *r, size_t least, size_t most)
{
	static uint8_t letters[SC_FRAME_MAX];
	size_t n = least + (most > least ? take_below(r, most - least + 1) : 0);

	if (!letters[0])
		memset(letters, 'a', sizeof letters);
	return (struct bytes){letters, n};
}

/* One that can be encoded, of any type there is. Some numbers are always 0: they are like those that are not. */
static inline void take_message(struct recipe *r, struct msg *m)
{
	static enum msg_type types[256];
	static size_t ntypes;
	size_t some = 1 + take(r) % 40;

	for (unsigned i = ntypes ? 256 : 0; i < 256; i++)
		if (strcmp(msg_name((enum msg_type)i), "?") != 0)
			types[ntypes++] = (enum msg_type)i;
	/* One after the other: in an initialiser their order would be the compiler's. */
	memset(m, 0, sizeof *m);
	m->type = types[take(r) % ntypes];
	m->bucket = take_letters(r, 1, some < SC_BUCKET_MAX ? some : SC_BUCKET_MAX);
	m->key = take_letters(r, 1, take(r) % 16 ? some : SC_KEY_MAX);
	m->flags = take_number(r, UINT32_MAX);
	m->pid = take_number(r, INT32_MAX);
	m->err_len = take_number(r, UINT64_MAX);
	m->out_len = take_number(r, UINT64_MAX);
	m->text = take_letters(r, 0, some);
	m->build = take_letters(r, 0, 8);
	m->tags = take_letters(r, 0, some);
	m->command = take_letters(r, 0, SC_COMMAND_SIZE);
	m->shown = take_letters(r, 0, some);
	m->chain = take_letters(r, 0, SC_CHAIN_MAX);
	m->out_sum = take_letters(r, SC_SUM_SIZE, SC_SUM_SIZE);
	m->err_sum = take_letters(r, SC_SUM_SIZE, SC_SUM_SIZE);
	m->version = take_number(r, UINT32_MAX);
	m->order = take_number(r, SC_ORDER_MAX);
	m->slot = take_number(r, SC_SLOTS - 1);
	m->exit = take_number(r, 255);
	m->signal = take_number(r, 64);
	m->leader = take_number(r, INT32_MAX);
	m->error = take_number(r, 4095);
	m->row = take_number(r, INT64_MAX);
	m->ttl = take_number(r, UINT64_MAX);
	m->reason = take_number(r, UINT64_MAX);
	m->outcome = take_number(r, UINT64_MAX);
	m->kind = take_number(r, UINT64_MAX);
	m->count = take_number(r, UINT64_MAX);
	m->chain.n *= SC_GEN_SIZE;
}

/* What one says of a message, the other says too. */
static inline void expect_same(const struct msg *a, const struct msg *b)
{
	struct buf x, y;

	buf_init(&x, HEADER + SC_FRAME_MAX);
	buf_init(&y, HEADER + SC_FRAME_MAX);
	expect(msg_encode(&x, a) == 0 && msg_encode(&y, b) == 0);
	expect(a->type == b->type && msg_fd_count(a) == msg_fd_count(b));
	expect(x.len == y.len && memcmp(x.data, y.data, x.len) == 0);
	buf_release(&x);
	buf_release(&y);
}

#endif

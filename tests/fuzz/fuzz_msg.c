/* What a peer can say, for libFuzzer: the bytes as one array for msg_decode; and as a recipe, by which a message is made, encoded, changed and
 * decoded. Whatever comes of it is refused, or is within the bounds of its fields and says the same when it is said again. */
#include "lib/err.h"
#include "tests/fuzz/message.h"

/* What was taken from a frame, said again and taken again, says the same. */
static void check_message(const struct msg *m)
{
	struct msg again;
	struct buf once;

	expect(m->key.n <= SC_KEY_MAX && m->bucket.n <= SC_BUCKET_MAX && m->slot < SC_SLOTS && m->exit < 256);
	expect(msg_fd_count(m) <= SC_FDS_MAX && m->chain.n % SC_GEN_SIZE == 0);
	expect(m->bucket.n == 0 || msg_is_bucket(m->bucket));
	expect(m->key.n == 0 || !memchr(m->key.p, 0, m->key.n));
	for (size_t i = 0; i < m->tags.n; i++)
		expect(m->tags.p[i] > ' ' && m->tags.p[i] <= '~');
	buf_init(&once, HEADER + SC_FRAME_MAX);
	expect(msg_encode(&once, m) == 0);
	expect(msg_decode(&again, once.data + HEADER, once.len - HEADER) == 0);
	expect_same(m, &again);
	buf_release(&once);
}

/* In memory of its own, so that a sanitizer sees a byte too far. */
static int decode(struct msg *m, uint8_t **own, const uint8_t *data, size_t size)
{
	int rc;

	*own = malloc(size + (size == 0));
	expect(*own != NULL);
	if (size)
		memcpy(*own, data, size);
	rc = msg_decode(m, *own, size);
	expect(rc == 0 || rc == SC_EPROTO);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t bytes[2 * SC_FRAME_MAX];
	struct recipe r = {data, size};
	struct msg made, m;
	struct buf frame;
	uint8_t *own;
	size_t n, was;

	if (decode(&m, &own, data, size) == 0)
		check_message(&m);
	free(own);

	take_message(&r, &made);
	buf_init(&frame, HEADER + SC_FRAME_MAX);
	expect(msg_encode(&frame, &made) == 0);
	was = frame.len - HEADER;
	memcpy(bytes, frame.data + HEADER, was);
	n = change(bytes, was, sizeof bytes, &r);
	if (decode(&m, &own, bytes, n) == 0)
		check_message(&m);
	else
		expect(n != was || memcmp(bytes, frame.data + HEADER, n) != 0);
	if (n == was && memcmp(bytes, frame.data + HEADER, n) == 0)
		expect_same(&made, &m);
	free(own);

	/* Of an array that says that it has one field less, no part is a message. */
	memcpy(bytes, frame.data + HEADER, was);
	bytes[bytes[0] == 0xdc ? 2 : 0]--;
	expect(decode(&m, &own, bytes, 1 + take_below(&r, was)) != 0);
	free(own);
	buf_release(&frame);
	return 0;
}

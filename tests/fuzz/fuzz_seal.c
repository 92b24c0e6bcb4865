/* What may lie where a sealed stream should, for libFuzzer: the bytes as a stream, of which no frame may be taken for good; and as a recipe,
 * by which a stream is sealed, changed, and opened in pieces. Whatever comes of it, what was opened is a beginning of what was sealed, and
 * final only if it is all of it and nothing was changed.
 *
 *   make build/fuzz/fuzz_seal && build/fuzz/fuzz_seal -max_len=4096 */
#include "lib/digest.h"
#include "lib/err.h"
#include "lib/seal.h"
#include "tests/fuzz/fuzz.h"

#define PLAIN_MAX 4096
#define FRAMES_MAX 16
#define SEALED_MAX (2 * (SC_SEAL_HEAD + PLAIN_MAX + FRAMES_MAX * SC_SEAL_OVERHEAD))

static const struct seal_key key = {"a key"};
/* The fuzzer learns what it sees compared, whole sealed streams among them: bytes that come from it are opened as of another one. */
static const struct gen gen = {"a generation"}, other = {"another"};

struct sealed {
	uint8_t plain[PLAIN_MAX], bytes[SEALED_MAX], was[SEALED_MAX];
	size_t plain_n, n, was_n;
};

static void make(struct sealed *s, struct recipe *r)
{
	unsigned frames = 1 + take(r) % (FRAMES_MAX - 1);
	struct sealer sealer;

	sealer_begin(&sealer, &key, &gen, STREAM_OUT, s->bytes);
	s->plain_n = 0;
	s->n = SC_SEAL_HEAD;
	for (unsigned i = 0; i < frames; i++) {
		int final = i == frames - 1;
		size_t n = take_below(r, PLAIN_MAX / FRAMES_MAX);

		n += n == 0 && !final;
		memset(s->plain + s->plain_n, (int)i, n);
		s->n += sealer_frame(&sealer, s->plain + s->plain_n, n, final, s->bytes + s->n);
		s->plain_n += n;
	}
	s->was_n = s->n;
	memcpy(s->was, s->bytes, s->n);
}

/* How many bytes were opened; *final likewise. */
static size_t open_in_pieces(const struct gen *g, const uint8_t *bytes, size_t n, size_t piece, uint8_t plain[SEALED_MAX],
			     int *final)
{
	size_t from = SC_SEAL_HEAD, there = SC_SEAL_HEAD, opened = 0, plain_n, used;
	struct opener o;
	int rc;

	*final = 0;
	if (n < SC_SEAL_HEAD)
		return 0;
	opener_begin(&o, &key, g, STREAM_OUT, bytes);
	do {
		/* Memory of its own, so that a sanitizer sees a byte too far on either side. */
		uint8_t *in = malloc(there - from), *out = malloc(there - from);

		expect(in && out);
		memcpy(in, bytes + from, there - from);
		rc = opener_frame(&o, in, there - from, out, &plain_n, &used);
		expect(rc == 0 || rc == SC_EAGAIN || rc == SC_ECORRUPT);
		expect(rc == 0 || plain_n == 0);
		expect(rc != SC_EAGAIN || (used > there - from && used <= SC_SEAL_FRAME_MAX));
		expect(opened + plain_n <= SEALED_MAX);
		memcpy(plain + opened, out, plain_n);
		opened += plain_n;
		free(in);
		free(out);
		if (rc == 0)
			from += used;
		if (rc == SC_EAGAIN || (rc == 0 && used == 0)) {
			if (there == n)
				break;
			there = n - there < piece ? n : there + piece;
		}
	} while (rc != SC_ECORRUPT);
	if (rc == SC_ECORRUPT) /* and what comes then does not make it good */
		expect(opener_frame(&o, bytes + from, 0, plain + opened, &plain_n, &used) == SC_ECORRUPT);
	*final = opener_is_final(&o);
	expect(*final == (rc == 0));
	opener_wipe(&o);
	return opened;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return digest_init();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t plain[SEALED_MAX];
	static struct sealed s;
	struct recipe r = {data, size};
	size_t n;
	int final;

	if (size > SEALED_MAX)
		return 0;
	expect(open_in_pieces(&other, data, size, size + 1, plain, &final) == 0 && !final);
	make(&s, &r);
	s.n = change(s.bytes, s.n, SEALED_MAX, &r);
	n = open_in_pieces(&gen, s.bytes, s.n, 1 + take_below(&r, 1000), plain, &final);
	expect(n <= s.plain_n && memcmp(plain, s.plain, n) == 0);
	expect(final == (s.n == s.was_n && memcmp(s.bytes, s.was, s.n) == 0));
	expect(!final || n == s.plain_n);
	return 0;
}

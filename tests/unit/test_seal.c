/* The promises of lib/seal.h: what was sealed comes back, in whatever pieces; and of whatever else lies there, a verified beginning
 * and a refusal. Everything that can be done to a small stream is done to it. FAULTS D01, D02, D04. SC_TEST_SEED repeats a run.
 *
 * libsodium itself is here too, for frames that only who has the key could make, and as a second opinion on the layout. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/digest.h"
#include "lib/err.h"
#include "lib/seal.h"
#include "tests/unit/seeded.h"

#define MIB (1024 * 1024)
#define UNTOUCHED 0xa5

static const struct seal_key master = {"the master key of these tests"};
static const struct gen one = {"generation one"}, two = {"generation two"};

/* ---- streams in memory ---- */

#define FRAMES_MAX 8

/* Where its frames are: at[i] to at[i + 1]. The head is at[-1], so to speak. */
struct sealed {
	uint8_t bytes[1024];
	size_t n, at[FRAMES_MAX + 1], frames;
};

/* Each text a frame, the last one final. */
static void seal_as(struct sealed *to, const struct seal_key *of, const struct gen *g, enum stream stream,
		    const char *const *texts)
{
	struct seal_key key;
	struct sealer s;

	seal_key_derive(of, g, stream, &key);
	sealer_begin(&s, &key, g, stream, to->bytes);
	to->n = SC_SEAL_HEAD;
	to->frames = 0;
	for (size_t i = 0; texts[i]; i++) {
		to->at[to->frames++] = to->n;
		to->n += sealer_frame(&s, (const uint8_t *)texts[i], strlen(texts[i]), !texts[i + 1], to->bytes + to->n);
	}
	to->at[to->frames] = to->n;
	sealer_wipe(&s);
}

static const char *const words[] = {"one", "second", "and the third", "4", NULL};
#define WORDS "onesecondand the third4"
static const size_t ends[] = {0, 3, 9, 22, 23}; /* of whole frames in WORDS */

static void seal_words(struct sealed *to)
{
	seal_as(to, &master, &one, STREAM_OUT, words);
}

/* What an opener made of some bytes. */
struct seen {
	char plain[1024];
	size_t n, frames;
	int end; /* SC_EAGAIN, SC_ECORRUPT, or 0: final and nothing behind it */
	bool final;
};

/* As a reader of generation `one` does: as much as there is, `step` bytes more at a time. Checks what an opener promises at each call. */
static void open_in_steps(struct seen *to, const uint8_t *bytes, size_t n, size_t step)
{
	size_t from = SC_SEAL_HEAD, there = SC_SEAL_HEAD, plain_n, used;
	struct seal_key key;
	struct opener o;

	memset(to, 0, sizeof *to);
	to->end = SC_EAGAIN;
	if (n < SC_SEAL_HEAD)
		return;
	seal_key_derive(&master, &one, STREAM_OUT, &key);
	opener_begin(&o, &key, &one, STREAM_OUT, bytes);
	for (;;) {
		uint8_t plain[1024];

		memset(plain, UNTOUCHED, sizeof plain);
		to->end = opener_frame(&o, bytes + from, there - from, plain, &plain_n, &used);
		for (size_t i = plain_n; i < sizeof plain; i++)
			assert_int_equal(plain[i], UNTOUCHED);
		memcpy(to->plain + to->n, plain, plain_n);
		to->n += plain_n;
		if (to->end == SC_EAGAIN) {
			assert_true(used > there - from);
			assert_false(opener_is_final(&o));
			if (there == n)
				break;
			there = n - there < step ? n : there + step;
			continue;
		}
		from += used;
		if (to->end == SC_ECORRUPT || (used == 0 && there == n))
			break;
		to->frames += used > 0;
		there += used == 0; /* there is something behind the final frame */
	}
	to->final = opener_is_final(&o);
	/* Whatever it was, it stays. */
	assert_int_equal(opener_frame(&o, bytes, 0, NULL, &plain_n, &used), to->end);
	assert_int_equal(opener_is_final(&o), to->final);
	assert_int_equal(to->final, to->end == 0);
	opener_wipe(&o);
}

static void open_all(struct seen *to, const uint8_t *bytes, size_t n)
{
	open_in_steps(to, bytes, n, n + 1);
}

/* Of the stream of `words`: its first frames and no more, and never that this is all. */
static void is_beginning(const struct seen *got, size_t frames, int end)
{
	assert_int_equal(got->frames, frames);
	assert_int_equal(got->n, ends[frames]);
	assert_memory_equal(got->plain, WORDS, got->n);
	assert_int_equal(got->end, end);
	assert_false(got->final);
}

static void is_refused_behind(const uint8_t *bytes, size_t n, size_t frames)
{
	struct seen got;

	open_all(&got, bytes, n);
	is_beginning(&got, frames, SC_ECORRUPT);
}

static void is_incomplete_behind(const uint8_t *bytes, size_t n, size_t frames)
{
	struct seen got;

	open_all(&got, bytes, n);
	is_beginning(&got, frames, SC_EAGAIN);
}

static void is_whole(const uint8_t *bytes, size_t n)
{
	struct seen got;

	for (size_t step = 1; step <= n; step++) {
		open_in_steps(&got, bytes, n, step);
		assert_int_equal(got.end, 0);
		assert_int_equal(got.frames, 4);
		assert_int_equal(got.n, strlen(WORDS));
		assert_memory_equal(got.plain, WORDS, got.n);
	}
}

/* A stream put together from frames of others. */
static void add(uint8_t *to, size_t *n, const struct sealed *from, size_t frame)
{
	size_t size = from->at[frame + 1] - from->at[frame];

	memcpy(to + *n, from->bytes + from->at[frame], size);
	*n += size;
}

/* ---- there and back ---- */

static void round_trip(size_t n, uint64_t *chances)
{
	uint64_t seed = chance(chances);
	uint8_t *plain = malloc(n + 1), *back = malloc(n + SC_SEAL_PLAIN_MAX), *bytes = malloc(2 * n + 4096);
	size_t at = 0, size = SC_SEAL_HEAD, from = SC_SEAL_HEAD, there = SC_SEAL_HEAD, plain_n, used;
	struct seal_key key;
	struct sealer s;
	struct opener o;
	int rc;

	assert_true(plain && back && bytes);
	fill(plain, n, seed, 0);
	seal_key_derive(&master, &two, STREAM_ERR, &key);
	sealer_begin(&s, &key, &two, STREAM_ERR, bytes);
	do {
		size_t piece = 1 + chance(chances) % (chance(chances) % 4 ? SC_SEAL_PLAIN_MAX : 4000);

		if (chance(chances) % 4 == 0)
			piece = SC_SEAL_PLAIN_MAX;
		piece = piece < n - at ? piece : n - at;
		/* The last one may be empty, and is by itself when there is nothing at all. */
		size += sealer_frame(&s, plain + at, piece, at + piece == n && (piece == 0 || chance(chances) % 2),
				     bytes + size);
		at += piece;
	} while (!s.final);
	opener_begin(&o, &key, &two, STREAM_ERR, bytes);
	at = 0;
	while ((rc = opener_frame(&o, bytes + from, there - from, back + at, &plain_n, &used)) != 0 || !opener_is_final(&o)) {
		at += plain_n;
		from += rc == 0 ? used : 0;
		assert_true(rc == 0 || (rc == SC_EAGAIN && there < size));
		if (rc == SC_EAGAIN)
			there += chance(chances) % (size - there < 100000 ? size - there : 100000) + 1;
	}
	assert_int_equal(at + plain_n, n);
	assert_int_equal(from + used, size);
	assert_memory_equal(plain, back, n);
	free(plain);
	free(back);
	free(bytes);
}

static void what_was_sealed_comes_back_in_whatever_pieces(void **state)
{
	static const size_t sizes[] = {0, 1, 65535, 65536, 65537, MIB};
	uint64_t chances = first_seed() | 1;

	(void)state;
	print_message("SC_TEST_SEED=%llu\n", (unsigned long long)chances);
	for (size_t i = 0; i < COUNT(sizes); i++)
		for (int times = 0; times < 20; times++)
			round_trip(sizes[i], &chances);
}

static void a_frame_may_be_full(void **state)
{
	static uint8_t plain[SC_SEAL_PLAIN_MAX], back[SC_SEAL_PLAIN_MAX], frame[SC_SEAL_FRAME_MAX];
	uint8_t head[SC_SEAL_HEAD];
	size_t plain_n, used;
	struct sealer s;
	struct opener o;

	(void)state;
	fill(plain, sizeof plain, 1, 0);
	for (int final = 0; final < 2; final++) {
		sealer_begin(&s, &master, &one, STREAM_OUT, head);
		assert_int_equal(sealer_frame(&s, plain, sizeof plain, final, frame), sizeof frame);
		opener_begin(&o, &master, &one, STREAM_OUT, head);
		assert_int_equal(opener_frame(&o, frame, sizeof frame - 1, back, &plain_n, &used), SC_EAGAIN);
		assert_int_equal(used, sizeof frame);
		assert_int_equal(opener_frame(&o, frame, sizeof frame, back, &plain_n, &used), 0);
		assert_int_equal(plain_n, sizeof plain);
		assert_memory_equal(plain, back, sizeof plain);
		assert_int_equal(opener_is_final(&o), final);
	}
}

static void a_stream_is_opened_the_same_however_few_bytes_come_at_a_time(void **state)
{
	struct sealed w;

	(void)state;
	seal_words(&w);
	is_whole(w.bytes, w.n);
}

static void what_an_opener_needs_is_said_to_the_byte(void **state)
{
	size_t plain_n, used;
	uint8_t plain[64];
	struct seal_key key;
	struct sealed w;
	struct opener o;

	(void)state;
	seal_words(&w);
	seal_key_derive(&master, &one, STREAM_OUT, &key);
	opener_begin(&o, &key, &one, STREAM_OUT, w.bytes);
	for (size_t n = 0; n < w.at[1] - w.at[0]; n++) {
		assert_int_equal(opener_frame(&o, w.bytes + SC_SEAL_HEAD, n, plain, &plain_n, &used), SC_EAGAIN);
		assert_int_equal(used, n < SC_SEAL_LENGTH ? SC_SEAL_LENGTH : SC_SEAL_OVERHEAD + strlen(words[0]));
		assert_int_equal(plain_n, 0);
	}
	assert_int_equal(opener_frame(&o, w.bytes + SC_SEAL_HEAD, w.n - SC_SEAL_HEAD, plain, &plain_n, &used), 0);
	assert_int_equal(used, w.at[1] - w.at[0]);
	assert_int_equal(plain_n, strlen(words[0]));
}

static void the_same_sealed_twice_has_nothing_in_common(void **state)
{
	struct sealed a, b;

	(void)state;
	seal_words(&a);
	seal_words(&b);
	assert_int_equal(a.n, b.n);
	assert_memory_not_equal(a.bytes, b.bytes, SC_SEAL_HEAD);
	for (size_t i = 0; i < a.frames; i++)
		assert_memory_not_equal(a.bytes + a.at[i] + SC_SEAL_LENGTH, b.bytes + b.at[i] + SC_SEAL_LENGTH, 17);
}

/* ---- the layout ---- */

static void sizes_there_and_back(void **state)
{
	static const struct {
		uint64_t plain, sealed;
	} rows[] = {
		{0, 45},
		{1, 46},
		{65535, 65580},
		{65536, 65581},
		{65537, 65603},
		{131072, 131138},
		{131073, 131160},
		{MIB, MIB + 24 + 16 * 21},
		{MIB + 1, MIB + 24 + 16 * 21 + 22},
	};
	uint64_t plain, last = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(seal_size(rows[i].plain), rows[i].sealed);
	/* Every size up to three frames: the right one, or that there is none. */
	for (uint64_t size = 0, next = 0; size < SC_SEAL_HEAD + 3 * SC_SEAL_FRAME_MAX; size++) {
		bool is_one = size == seal_size(next);

		assert_int_equal(seal_plain_size(size, &plain), is_one ? 0 : SC_EINVAL);
		if (is_one) {
			assert_int_equal(plain, next);
			last = next++;
		}
	}
	assert_int_equal(last, 3 * SC_SEAL_PLAIN_MAX - 1);
	assert_int_equal(seal_size(UINT64_MAX), UINT64_MAX);
}

static void what_is_sealed_is_as_large_as_seal_size_says(void **state)
{
	static uint8_t plain[3 * SC_SEAL_PLAIN_MAX], out[SC_SEAL_FRAME_MAX];
	static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 131072, 131073, sizeof plain};

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		size_t n = sizes[i], at = 0, size = SC_SEAL_HEAD;
		struct sealer s;

		sealer_begin(&s, &master, &one, STREAM_OUT, out);
		do {
			size_t piece = n - at < SC_SEAL_PLAIN_MAX ? n - at : SC_SEAL_PLAIN_MAX;

			size += sealer_frame(&s, plain + at, piece, at + piece == n, out);
			at += piece;
		} while (at < n);
		assert_int_equal(size, seal_size(n));
	}
}

static void from_hex(uint8_t *to, size_t n, const char *hex)
{
	assert_int_equal(sodium_hex2bin(to, n, hex, strlen(hex), NULL, NULL, NULL), 0);
}

/* Made by another program, after FORMAT.md: Python's BLAKE2b, and ChaCha20 and Poly1305 by hand. */
static void the_layout_is_what_it_was(void **state)
{
	static const char hex[] =
		"808182838485868788898a8b8c8d8e8f9091929394959697"
		"37000000ce7b996f34197aea387e602cec39836c86c65037b57f035206d8ceb0f513a8d3b297faa0157441023b9751"
		"a2f171ffdf3fdd37a7bded89"
		"14000000dbd7d1e5407428bc194007bb0931f273c3b38193"
		"19000000c6b31c5e0daf2332d3f87e0f44d37fce8dc6d797db1706b8bd";
	static const char *const texts[] = {"the first frame, of more than 16 bytes", "and", "the last"};
	uint8_t bytes[sizeof hex / 2], plain[64], want[SC_SEAL_KEY];
	size_t at = SC_SEAL_HEAD, plain_n, used;
	char fingerprint[SC_SEAL_FINGERPRINT];
	struct seal_key m, key;
	struct opener o;
	struct gen g;

	(void)state;
	for (uint8_t i = 0; i < sizeof m.b; i++)
		m.b[i] = i;
	for (uint8_t i = 0; i < sizeof g.b; i++)
		g.b[i] = 0x40 + i;
	from_hex(bytes, sizeof bytes, hex);
	from_hex(want, sizeof want, "6dc0764ff182fa4091c58a91541fcf5b19aae159bd0538e998ee25a4e6fe4e57");
	seal_key_derive(&m, &g, STREAM_ERR, &key);
	assert_memory_equal(key.b, want, sizeof want);
	seal_key_fingerprint(&m, fingerprint);
	assert_string_equal(fingerprint, "864ccb1fc1d36d1f");
	opener_begin(&o, &key, &g, STREAM_ERR, bytes);
	for (size_t i = 0; i < COUNT(texts); i++, at += used) {
		assert_int_equal(opener_frame(&o, bytes + at, sizeof bytes - at, plain, &plain_n, &used), 0);
		assert_int_equal(plain_n, strlen(texts[i]));
		assert_memory_equal(plain, texts[i], plain_n);
		assert_int_equal(opener_is_final(&o), i == COUNT(texts) - 1);
	}
	assert_int_equal(at, sizeof bytes);
}

static void keys_differ_by_master_generation_and_stream_and_so_do_fingerprints(void **state)
{
	char prints[4][SC_SEAL_FINGERPRINT], again[SC_SEAL_FINGERPRINT];
	struct seal_key keys[5], other = master;

	(void)state;
	other.b[SC_SEAL_KEY - 1] ^= 1;
	seal_key_derive(&master, &one, STREAM_OUT, &keys[0]);
	seal_key_derive(&master, &one, STREAM_ERR, &keys[1]);
	seal_key_derive(&master, &two, STREAM_OUT, &keys[2]);
	seal_key_derive(&other, &one, STREAM_OUT, &keys[3]);
	keys[4] = master;
	for (size_t i = 0; i < COUNT(keys); i++)
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(keys[i].b, keys[k].b, SC_SEAL_KEY);
	for (size_t i = 0; i < COUNT(prints); i++) {
		seal_key_fingerprint(&keys[i + 1], prints[i]);
		assert_int_equal(strspn(prints[i], "0123456789abcdef"), 16);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(prints[i], prints[k]);
	}
	seal_key_fingerprint(&master, again);
	assert_string_equal(again, prints[3]);
}

static void new_keys_are_new_and_wiped_ones_are_gone(void **state)
{
	static const struct seal_key none;
	struct seal_key a, b;

	(void)state;
	seal_key_new(&a);
	seal_key_new(&b);
	assert_memory_not_equal(a.b, b.b, sizeof a.b);
	seal_key_wipe(&a);
	assert_memory_equal(&a, &none, sizeof a);
}

/* ---- D01 ---- */

static void D01_any_bit_flipped_is_refused_in_its_frame_and_never_printed(void **state)
{
	struct sealed w;

	(void)state;
	seal_words(&w);
	for (size_t bit = 0; bit < 8 * w.n; bit++) {
		size_t frame = 0, at = bit / 8, rest;
		uint64_t length = 0;

		while (at >= w.at[frame + 1])
			frame++;
		rest = w.n - w.at[frame] - SC_SEAL_LENGTH;
		w.bytes[at] ^= (uint8_t)(1 << bit % 8);
		for (int i = 3; i >= 0; i--)
			length = length << 8 | w.bytes[w.at[frame] + (size_t)i];
		/* A length that could be one and reaches beyond the end: the rest of it may be on its way. */
		if (length > rest && length <= SC_SEAL_PLAIN_MAX + 17)
			is_incomplete_behind(w.bytes, w.n, frame);
		else
			is_refused_behind(w.bytes, w.n, frame);
		w.bytes[at] ^= (uint8_t)(1 << bit % 8);
	}
	is_whole(w.bytes, w.n);
}

static void D01_a_length_no_frame_can_have_is_refused_before_it_is_waited_for(void **state)
{
	static const uint32_t lengths[] = {0, 1, 16, SC_SEAL_PLAIN_MAX + 18, 1u << 24, 1u << 31, UINT32_MAX};
	struct sealed w;

	(void)state;
	seal_words(&w);
	for (size_t i = 0; i < COUNT(lengths); i++) {
		uint8_t *length = w.bytes + w.at[2];

		for (int k = 0; k < 4; k++)
			length[k] = (uint8_t)(lengths[i] >> (8 * k));
		is_refused_behind(w.bytes, w.at[2] + SC_SEAL_LENGTH, 2);
	}
}

static void D01_zeros_and_noise_are_no_stream(void **state)
{
	uint64_t chances = first_seed() | 1;
	struct sealed w;
	uint8_t bytes[300];

	(void)state;
	print_message("SC_TEST_SEED=%llu\n", (unsigned long long)chances);
	memset(bytes, 0, sizeof bytes);
	is_refused_behind(bytes, sizeof bytes, 0);
	for (int times = 0; times < 10000; times++) {
		fill(bytes, sizeof bytes, chance(&chances), 0);
		/* A length that is one, most of the time; else one that is none, or it would be waited for. */
		bytes[SC_SEAL_HEAD + 3] |= 1;
		if (times % 8)
			memcpy(bytes + SC_SEAL_HEAD, (uint8_t[]){(uint8_t)(17 + chance(&chances) % 200), 0, 0, 0}, 4);
		is_refused_behind(bytes, sizeof bytes, 0);
	}
	/* From some frame on: what a file has that was not written before the power went. */
	seal_words(&w);
	for (size_t frame = 0; frame < w.frames; frame++) {
		seal_words(&w);
		memset(w.bytes + w.at[frame], 0, w.n - w.at[frame]);
		is_refused_behind(w.bytes, w.n, frame);
	}
}

/* ---- D02 ---- */

static void D02_cut_off_anywhere_it_is_incomplete_and_never_final(void **state)
{
	struct seen got;
	struct sealed w;

	(void)state;
	seal_words(&w);
	for (size_t n = 0; n < w.n; n++) {
		size_t frames = 0;

		while (frames < w.frames && w.at[frames + 1] <= n)
			frames++;
		for (size_t step = 1; step < 40; step += 7) {
			open_in_steps(&got, w.bytes, n, step);
			is_beginning(&got, frames, SC_EAGAIN);
		}
	}
}

static void D02_junk_behind_the_final_frame_is_refused(void **state)
{
	struct seen got;
	struct sealed w;
	size_t n;

	(void)state;
	seal_words(&w);
	for (int c = 0; c < 256; c++) {
		w.bytes[w.n] = (uint8_t)c;
		is_refused_behind(w.bytes, w.n + 1, 4);
		open_in_steps(&got, w.bytes, w.n + 1, 1);
		is_beginning(&got, 4, SC_ECORRUPT);
	}
	/* The whole stream once more, with and without its head, and each frame of it. */
	memcpy(w.bytes + w.n, w.bytes, w.n);
	is_refused_behind(w.bytes, 2 * w.n, 4);
	memcpy(w.bytes + w.n, w.bytes + SC_SEAL_HEAD, w.n - SC_SEAL_HEAD);
	is_refused_behind(w.bytes, 2 * w.n - SC_SEAL_HEAD, 4);
	for (size_t frame = 0; frame < w.frames; frame++) {
		n = w.n;
		add(w.bytes, &n, &w, frame);
		is_refused_behind(w.bytes, n, 4);
	}
}

/* ---- D04 ---- */

static void D04_frames_out_of_their_place_are_refused(void **state)
{
	uint8_t bytes[1024];
	struct sealed w;

	(void)state;
	seal_words(&w);
	memcpy(bytes, w.bytes, SC_SEAL_HEAD);
	for (size_t a = 0; a < w.frames; a++) {
		size_t n = SC_SEAL_HEAD;

		/* Twice. */
		for (size_t i = 0; i < w.frames; i++)
			for (int times = 0; times <= (i == a); times++)
				add(bytes, &n, &w, i);
		is_refused_behind(bytes, n, a + 1);
		/* Not at all. Without the last one there is nothing wrong yet, but there is no end. */
		n = SC_SEAL_HEAD;
		for (size_t i = 0; i < w.frames; i++)
			if (i != a)
				add(bytes, &n, &w, i);
		if (a < w.frames - 1)
			is_refused_behind(bytes, n, a);
		else
			is_incomplete_behind(bytes, n, a);
		/* Two of them exchanged. */
		for (size_t b = a + 1; b < w.frames; b++) {
			n = SC_SEAL_HEAD;
			for (size_t i = 0; i < w.frames; i++)
				add(bytes, &n, &w, i == a ? b : i == b ? a : i);
			is_refused_behind(bytes, n, a);
		}
	}
}

/* Streams that are none of this one's: whole in its place, each frame in the place of one, and its head before this one's frames. */
static void D04_another_generation_stream_or_key_is_refused(void **state)
{
	struct seal_key other = master;
	struct sealed w, others[4];
	uint8_t bytes[1024];

	(void)state;
	other.b[0] ^= 1;
	seal_words(&w);
	seal_as(&others[0], &master, &two, STREAM_OUT, words);
	seal_as(&others[1], &master, &one, STREAM_ERR, words);
	seal_as(&others[2], &other, &one, STREAM_OUT, words);
	seal_words(&others[3]); /* the same, sealed once more */
	for (size_t k = 0; k < COUNT(others); k++) {
		if (k < 3)
			is_refused_behind(others[k].bytes, others[k].n, 0);
		else
			is_whole(others[k].bytes, others[k].n);
		memcpy(bytes, w.bytes, w.n);
		memcpy(bytes, others[k].bytes, SC_SEAL_HEAD);
		is_refused_behind(bytes, w.n, 0);
		for (size_t place = 0; place < w.frames; place++)
			for (size_t frame = 0; frame < w.frames; frame++) {
				size_t n = w.at[place];

				memcpy(bytes, w.bytes, n);
				add(bytes, &n, &others[k], frame);
				memcpy(bytes + n, w.bytes + w.at[place + 1], w.n - w.at[place + 1]);
				is_refused_behind(bytes, n + w.n - w.at[place + 1], place);
			}
	}
}

/* What is bound is bound twice: the stream's own key under another name does not open it either. */
static void D04_the_right_key_for_another_generation_or_stream_is_refused(void **state)
{
	static const struct {
		const struct gen *g;
		enum stream stream;
		int rc;
	} rows[] = {{&one, STREAM_OUT, 0}, {&one, STREAM_ERR, SC_ECORRUPT}, {&two, STREAM_OUT, SC_ECORRUPT}};
	size_t plain_n, used;
	uint8_t plain[64];
	struct seal_key key;
	struct sealed w;
	struct opener o;

	(void)state;
	seal_words(&w);
	seal_key_derive(&master, &one, STREAM_OUT, &key);
	for (size_t i = 0; i < COUNT(rows); i++) {
		opener_begin(&o, &key, rows[i].g, rows[i].stream, w.bytes);
		assert_int_equal(opener_frame(&o, w.bytes + SC_SEAL_HEAD, w.n - SC_SEAL_HEAD, plain, &plain_n, &used),
				 rows[i].rc);
	}
}

/* ---- by one who has the key ---- */

/* One frame by libsodium itself, and what the opener says of it. */
static int opened_as(const char *text, uint8_t tag, bool bound, bool length)
{
	crypto_secretstream_xchacha20poly1305_state s;
	uint8_t head[SC_SEAL_HEAD], frame[64], what[24] = "sc1", plain[64];
	size_t n = strlen(text), plain_n, used;
	struct seal_key key;
	struct opener o;

	memcpy(what + 3, one.b, sizeof one.b);
	what[19] = STREAM_OUT;
	frame[0] = what[20] = (uint8_t)(n + 17);
	frame[1] = frame[2] = frame[3] = 0;
	seal_key_derive(&master, &one, STREAM_OUT, &key);
	crypto_secretstream_xchacha20poly1305_init_push(&s, head, key.b);
	crypto_secretstream_xchacha20poly1305_push(&s, frame + 4, NULL, (const uint8_t *)text, n, bound ? what : what + 20,
						   (bound ? 20 : 0) + (length ? 4 : 0), tag);
	opener_begin(&o, &key, &one, STREAM_OUT, head);
	return opener_frame(&o, frame, n + 21, plain, &plain_n, &used);
}

static void only_frames_that_a_sealer_makes_are_good(void **state)
{
	(void)state;
	assert_int_equal(opened_as("x", crypto_secretstream_xchacha20poly1305_TAG_MESSAGE, true, true), 0);
	assert_int_equal(opened_as("x", crypto_secretstream_xchacha20poly1305_TAG_FINAL, true, true), 0);
	assert_int_equal(opened_as("", crypto_secretstream_xchacha20poly1305_TAG_FINAL, true, true), 0);
	assert_int_equal(opened_as("", crypto_secretstream_xchacha20poly1305_TAG_MESSAGE, true, true), SC_ECORRUPT);
	assert_int_equal(opened_as("x", crypto_secretstream_xchacha20poly1305_TAG_PUSH, true, true), SC_ECORRUPT);
	assert_int_equal(opened_as("x", crypto_secretstream_xchacha20poly1305_TAG_REKEY, true, true), SC_ECORRUPT);
	assert_int_equal(opened_as("x", 4, true, true), SC_ECORRUPT);
	assert_int_equal(opened_as("x", crypto_secretstream_xchacha20poly1305_TAG_FINAL, false, true), SC_ECORRUPT);
	assert_int_equal(opened_as("x", crypto_secretstream_xchacha20poly1305_TAG_FINAL, true, false), SC_ECORRUPT);
}

/* ---- misuse ---- */

static void aborts(size_t n, bool final, bool wiped, bool behind_final)
{
	static uint8_t plain[SC_SEAL_PLAIN_MAX + 1], out[2 * SC_SEAL_FRAME_MAX];
	uint8_t head[SC_SEAL_HEAD];
	struct sealer s;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		sealer_begin(&s, &master, &one, STREAM_OUT, head);
		close(2);
		if (wiped)
			sealer_wipe(&s);
		if (behind_final)
			sealer_frame(&s, plain, 1, true, out);
		sealer_frame(&s, plain, n, final, out);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void a_sealer_takes_nothing_that_could_not_be_opened(void **state)
{
	(void)state;
	aborts(0, false, false, false);
	aborts(SC_SEAL_PLAIN_MAX + 1, false, false, false);
	aborts(1, true, false, true);
	aborts(1, false, true, false);
}

static void wiped_ones_open_and_keep_nothing(void **state)
{
	static const uint8_t none[SC_SEAL_STATE];
	struct sealer s;
	size_t plain_n, used;
	uint8_t plain[64];
	struct seal_key key;
	struct sealed w;
	struct opener o;

	(void)state;
	seal_words(&w);
	seal_key_derive(&master, &one, STREAM_OUT, &key);
	opener_begin(&o, &key, &one, STREAM_OUT, w.bytes);
	opener_wipe(&o);
	assert_memory_equal(o.state, none, sizeof none);
	assert_int_equal(opener_frame(&o, w.bytes + SC_SEAL_HEAD, w.n - SC_SEAL_HEAD, plain, &plain_n, &used), SC_ECORRUPT);
	assert_false(opener_is_final(&o));
	sealer_begin(&s, &key, &one, STREAM_OUT, w.bytes);
	sealer_wipe(&s);
	assert_memory_equal(s.state, none, sizeof none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_sealed_comes_back_in_whatever_pieces),
		cmocka_unit_test(a_frame_may_be_full),
		cmocka_unit_test(a_stream_is_opened_the_same_however_few_bytes_come_at_a_time),
		cmocka_unit_test(what_an_opener_needs_is_said_to_the_byte),
		cmocka_unit_test(the_same_sealed_twice_has_nothing_in_common),
		cmocka_unit_test(sizes_there_and_back),
		cmocka_unit_test(what_is_sealed_is_as_large_as_seal_size_says),
		cmocka_unit_test(the_layout_is_what_it_was),
		cmocka_unit_test(keys_differ_by_master_generation_and_stream_and_so_do_fingerprints),
		cmocka_unit_test(new_keys_are_new_and_wiped_ones_are_gone),
		cmocka_unit_test(D01_any_bit_flipped_is_refused_in_its_frame_and_never_printed),
		cmocka_unit_test(D01_a_length_no_frame_can_have_is_refused_before_it_is_waited_for),
		cmocka_unit_test(D01_zeros_and_noise_are_no_stream),
		cmocka_unit_test(D02_cut_off_anywhere_it_is_incomplete_and_never_final),
		cmocka_unit_test(D02_junk_behind_the_final_frame_is_refused),
		cmocka_unit_test(D04_frames_out_of_their_place_are_refused),
		cmocka_unit_test(D04_another_generation_stream_or_key_is_refused),
		cmocka_unit_test(D04_the_right_key_for_another_generation_or_stream_is_refused),
		cmocka_unit_test(only_frames_that_a_sealer_makes_are_good),
		cmocka_unit_test(a_sealer_takes_nothing_that_could_not_be_opened),
		cmocka_unit_test(wiped_ones_open_and_keep_nothing),
	};

	if (digest_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

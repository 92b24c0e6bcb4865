/* What may lie in the file of a sealed object, for libFuzzer: by a recipe one is written frame by frame and followed meanwhile, with what
 * may be seen of a frame that is being written behind it; then bytes of the file are changed, and it is read on, and from the beginning. Whatever
 * comes of it: before anything is changed all of it is read, and then what is read is exactly the frames before the first byte that is not
 * what was written, and it is whole only if that is all of it. Where fuzz_seal has small frames in memory of their own, here they are
 * as large as they get, and what reads them keeps what it has read. */
#include <sodium.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmd/sealed.h"
#include "cmd/source.h"
#include "lib/checksum.h"
#include "lib/digest.h"
#include "lib/err.h"
#include "tests/fuzz/fuzz.h"

#define FRAMES_MAX 64
#define PLAIN_MAX ((size_t)1 << 19)
#define SEALED_MAX (PLAIN_MAX + SC_SEAL_HEAD + FRAMES_MAX * SC_SEAL_OVERHEAD)
/* Changed, it may be longer. */
#define FILE_MAX (SEALED_MAX + SC_SEAL_FRAME_MAX)

static const struct seal_key keys[2] = {{"a key"}, {"another key"}};
static const struct gen gen = {"a generation"};

static struct {
	uint8_t plain[PLAIN_MAX]; /* the same of every one; how much of it was written: */
	size_t plain_n;
	uint8_t was[SEALED_MAX]; /* what the writer has made … */
	size_t was_n;
	int was_fd;
	uint8_t bytes[FILE_MAX]; /* … and what stands in its place */
	size_t n;
	int fd;
} file;

static struct checksum *sum;

/* ---- the same heads every time, so that the same recipe is the same file ---- */

static uint32_t state;

static uint32_t next_random(void)
{
	return state = state * 1664525 + 1013904223;
}

static void fill_random(void *p, size_t n)
{
	for (uint8_t *b = p; n > 0; n--)
		*b++ = (uint8_t)(next_random() >> 24);
}

static const char *name_random(void)
{
	return "the same every time";
}

static randombytes_implementation no_random = {.implementation_name = name_random, .random = next_random, .buf = fill_random};

/* ---- the writer ---- */

/* A byte, or a size about which something changes, or any. */
static size_t take_size(struct recipe *r)
{
	unsigned kind = take(r);

	if (kind < 128)
		return 1 + kind;
	if (kind < 192)
		return (size_t)(1 + kind % 5) * SC_SEAL_PLAIN_MAX - 8 + (kind >> 2) % 16;
	return 1 + take_below(r, 3 * SC_SEAL_PLAIN_MAX);
}

static void show(size_t from, size_t n)
{
	expect(pwrite(file.fd, file.was + from, n, (off_t)from) == (ssize_t)n);
}

/* In the file of the writer alone. Returns where it begins. */
static size_t append(struct sealed_writer *w, size_t n, bool end)
{
	size_t from = file.was_n;
	uint64_t most = sealed_growth(w, n), size;

	if (end)
		expect(sealed_end(w, file.was_fd, sum, &size) == 0);
	else
		expect(sealed_write(w, file.was_fd, file.plain + file.plain_n, n, sum, &size) == 0);
	expect(size > from && size <= SEALED_MAX && (end || size - from <= most));
	file.was_n = (size_t)size;
	file.plain_n += n;
	expect(pread(file.was_fd, file.was + from, file.was_n - from, (off_t)from) == (ssize_t)(file.was_n - from));
	return from;
}

/* ---- a reader ---- */

struct follower {
	struct source from;
	size_t pos, skipped; /* of what was passed over nothing is known */
	int rc;
};

static void begin(struct follower *f)
{
	f->pos = f->skipped = 0;
	f->rc = 0;
	source_init(&f->from, file.fd, -1);
	expect(source_unseal(&f->from, &gen, keys) == 0);
}

static void end(struct follower *f)
{
	source_release(&f->from);
}

/* Some of what is there, up to a position. */
static void follow(struct follower *f, size_t until, struct recipe *r)
{
	static uint8_t bytes[SC_SEAL_PLAIN_MAX + 16];
	size_t most = take(r) % 2 ? 1 + take_below(r, sizeof bytes) : sizeof bytes;

	if (take(r) % 16 == 15 && until > f->pos) {
		size_t n = take_below(r, until - f->pos);

		f->pos += n;
		f->skipped += n;
	}
	while (f->pos < until && f->rc == 0) {
		size_t n = until - f->pos < most ? until - f->pos : most, got;
		/* Memory of its own, so that a sanitizer sees a byte too far: not always, it takes time. */
		uint8_t *own = n < 4096 ? malloc(n) : bytes;

		expect(own != NULL);
		f->rc = source_read(&f->from, STREAM_OUT, f->pos, own, n, &got);
		expect(f->rc == 0 || f->rc == SC_ECORRUPT);
		if (f->rc == 0) {
			expect(got > 0 && got <= n);
			expect(memcmp(own, file.plain + f->pos, got) == 0);
			f->pos += got;
		}
		if (own != bytes)
			free(own);
		if (most < 64 && n > 8 * most) /* byte by byte, but not for ever */
			most *= 2;
	}
}

/* ---- the scene ---- */

/* A frame appears: at some moment there are zeros, at some moment a part of it. Who reads what was there before sees nothing of that. */
static void write_slowly(struct sealed_writer *w, struct follower *f, size_t n, bool last, struct recipe *r)
{
	size_t there = file.plain_n, from = append(w, n, last), more = file.was_n - from;
	static const uint8_t zeros[4096];
	unsigned how = take(r);

	if (how & 1)
		expect(pwrite(file.fd, zeros, more < sizeof zeros ? more : sizeof zeros, (off_t)from) > 0);
	if (how & 2)
		follow(f, there, r);
	if (how & 4)
		show(from, take_below(r, more));
	if (how & 8)
		follow(f, there, r);
	show(from, more);
}

static void write_all(struct follower *f, struct recipe *r)
{
	struct sealed_writer *w = sealed_writer_new(&gen, STREAM_OUT, &keys[STREAM_OUT]);

	expect(w != NULL);
	for (unsigned times = take(r) % 12; times > 0; times--) {
		size_t n = take_size(r);

		if (n > PLAIN_MAX - file.plain_n)
			break;
		write_slowly(w, f, n, false, r);
		if (take(r) % 2)
			follow(f, file.plain_n, r);
		expect(f->rc == 0);
	}
	write_slowly(w, f, 0, true, r);
	sealed_writer_free(w);
}

/* Where the frame behind the one at `at` begins. */
static size_t next_frame(size_t at)
{
	const uint8_t *p = file.was + at;

	return at + SC_SEAL_LENGTH + (p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24);
}

/* How many bytes of plaintext are in the frames before a byte of the file. */
static size_t plain_before(size_t changed)
{
	size_t plain = 0;

	for (size_t at = SC_SEAL_HEAD, next; at < file.was_n && (next = next_frame(at)) <= changed; at = next)
		plain += next - at - SC_SEAL_OVERHEAD;
	return plain;
}

static size_t first_change(void)
{
	size_t at = 0;

	while (at < file.n && at < file.was_n && file.bytes[at] == file.was[at])
		at++;
	return at;
}

/* Whole frames left out, repeated, in each other's place; the file cut off between two. */
static size_t change_frames(struct recipe *r)
{
	size_t at[4 * FRAMES_MAX], n = 0, frames = 0, most = sizeof at / sizeof *at;

	for (size_t from = SC_SEAL_HEAD; from < file.was_n && frames < most; from = next_frame(from))
		at[frames++] = from;
	for (unsigned times = take(r) % 4; times > 0 && frames > 1; times--) {
		size_t a = take_below(r, frames), b = take_below(r, frames), was = at[a];

		switch (take(r) % 4) {
		case 0:
			memmove(at + a, at + a + 1, (frames - a - 1) * sizeof *at);
			frames--;
			break;
		case 1:
			if (frames == most)
				break;
			memmove(at + b + 1, at + b, (frames - b) * sizeof *at);
			at[b] = was;
			frames++;
			break;
		case 2:
			at[a] = at[b];
			at[b] = was;
			break;
		default:
			frames = a;
		}
	}
	memcpy(file.bytes, file.was, n = SC_SEAL_HEAD);
	for (size_t i = 0; i < frames; i++) {
		size_t k = next_frame(at[i]) - at[i];

		if (k > FILE_MAX - n)
			break;
		memcpy(file.bytes + n, file.was + at[i], k);
		n += k;
	}
	return n;
}

static void change_file(struct recipe *r)
{
	file.n = change(file.bytes, change_frames(r), FILE_MAX, r);
	expect(ftruncate(file.fd, 0) == 0 && pwrite(file.fd, file.bytes, file.n, 0) == (ssize_t)file.n);
}

static void read_from_the_beginning(struct recipe *r)
{
	size_t changed = first_change(), there = plain_before(changed);
	bool same = changed == file.n && file.n == file.was_n;
	struct follower f;
	uint64_t len;

	begin(&f);
	while (f.pos < file.plain_n && f.rc == 0)
		follow(&f, file.plain_n, r);
	expect(f.rc == 0 ? f.pos == there : there < file.plain_n);
	expect(f.skipped || f.pos == there);
	if (f.rc == 0)
		expect((source_is_whole(&f.from, STREAM_OUT, f.pos) == 0) == same);
	end(&f);

	/* And of a length that is not its own nothing is whole. */
	begin(&f);
	len = file.plain_n + take(r) % 3 - 1;
	expect((source_is_whole(&f.from, STREAM_OUT, len) == 0) == (same && len == file.plain_n));
	end(&f);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	expect(randombytes_set_implementation(&no_random) == 0 && digest_init() == 0);
	sum = checksum_new();
	file.was_fd = memfd_create("was", MFD_CLOEXEC);
	file.fd = memfd_create("file", MFD_CLOEXEC);
	expect(sum && file.was_fd >= 0 && file.fd >= 0);
	fill_random(file.plain, sizeof file.plain);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct recipe r = {data, size};
	struct follower f;

	state = 1;
	file.plain_n = file.was_n = 0;
	expect(ftruncate(file.was_fd, 0) == 0 && lseek(file.was_fd, 0, SEEK_SET) == 0 && ftruncate(file.fd, 0) == 0);
	begin(&f);
	write_all(&f, &r);
	if (take(&r) % 4 == 0) {
		follow(&f, file.plain_n, &r);
		expect(f.rc == 0 && f.pos == file.plain_n);
		expect(source_is_whole(&f.from, STREAM_OUT, file.plain_n) == 0);
	}
	change_file(&r);
	follow(&f, file.plain_n, &r);
	end(&f);
	read_from_the_beginning(&r);
	return 0;
}

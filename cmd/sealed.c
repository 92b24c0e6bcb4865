/* Called by capture.c, which writes, and source.c, which reads. Knows no page, no ring and no daemon. */
#include "cmd/sealed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/checksum.h"
#include "lib/digest.h"
#include "lib/err.h"

/* Frames of one append: as many as one read of the command's stdout may fill. */
#define FRAMES 4

bool sealed_keys(struct bytes from, struct seal_key keys[SC_SEALED_KEYS])
{
	if (from.n != SC_KEYS_SIZE)
		return false;
	digest_init(); /* fails for want of randomness, which no reader needs; done, the fast half of libsodium is used */
	memcpy(keys, from.p, SC_KEYS_SIZE);
	sc_keep_secret();
	return true;
}

/* ---- writing ---- */

struct sealed_writer {
	struct sealer sealer;
	uint64_t size; /* of the file */
	size_t n;      /* bytes that wait to be appended */
	uint8_t head[SC_SEAL_HEAD];
	uint8_t bytes[SC_SEAL_HEAD + FRAMES * SC_SEAL_FRAME_MAX];
};

struct sealed_writer *sealed_writer_new(const struct gen *g, enum stream s, const struct seal_key *key)
{
	struct sealed_writer *w = malloc(sizeof *w);

	if (!w)
		return NULL;
	w->size = w->n = 0;
	sealer_begin(&w->sealer, key, g, s, w->head);
	return w;
}

void sealed_writer_free(struct sealed_writer *w)
{
	if (!w)
		return;
	sealer_wipe(&w->sealer);
	free(w);
}

static int append(struct sealed_writer *w, int fd, struct checksum *sum)
{
	int rc = object_append(fd, w->bytes, w->n);

	if (rc == 0) {
		if (sum)
			checksum_add(sum, w->bytes, w->n);
		w->size += w->n;
	}
	w->n = 0;
	return rc;
}

/* The head goes with the first frame: a stream in which nothing ever stood is an empty file. */
static void add_head(struct sealed_writer *w)
{
	if (w->size || w->n)
		return;
	memcpy(w->bytes, w->head, SC_SEAL_HEAD);
	w->n = SC_SEAL_HEAD;
}

int sealed_write(struct sealed_writer *w, int fd, const void *plain, size_t n, struct checksum *sum, uint64_t *size)
{
	const uint8_t *p = plain;
	int rc = 0;

	while (n > 0 && rc == 0) {
		add_head(w);
		for (int i = 0; i < FRAMES && n > 0; i++) {
			size_t k = n < SC_SEAL_PLAIN_MAX ? n : SC_SEAL_PLAIN_MAX;

			w->n += sealer_frame(&w->sealer, p, k, false, w->bytes + w->n);
			p += k;
			n -= k;
		}
		rc = append(w, fd, sum);
	}
	*size = w->size;
	return rc;
}

uint64_t sealed_growth(const struct sealed_writer *w, size_t n)
{
	return seal_size(n) - (w->size ? SC_SEAL_HEAD : 0);
}

int sealed_end(struct sealed_writer *w, int fd, struct checksum *sum, uint64_t *size)
{
	int rc;

	add_head(w);
	w->n += sealer_frame(&w->sealer, NULL, 0, true, w->bytes + w->n);
	rc = append(w, fd, sum);
	*size = w->size;
	return rc;
}

uint8_t *sealed_whole(const struct gen *g, enum stream s, const struct seal_key *key, const void *plain, size_t *n)
{
	size_t at = SC_SEAL_HEAD, left = *n, k;
	uint8_t *bytes = malloc((size_t)seal_size(*n));
	const uint8_t *p = plain;
	struct sealer sealer;

	if (!bytes)
		return NULL;
	sealer_begin(&sealer, key, g, s, bytes);
	do {
		k = left < SC_SEAL_PLAIN_MAX ? left : SC_SEAL_PLAIN_MAX;
		left -= k;
		at += sealer_frame(&sealer, p, k, left == 0, bytes + at);
		p += k;
	} while (left > 0);
	sealer_wipe(&sealer);
	*n = at;
	return bytes;
}

/* ---- reading ---- */

struct sealed_reader {
	struct opener opener;
	struct seal_key key;
	struct gen gen;
	enum stream stream;
	bool began;	 /* the head has been taken */
	uint64_t at;	 /* where in the file `raw` begins */
	size_t raw_n;	 /* … how much of it there is … */
	size_t used;	 /* … and how much of that has been opened */
	uint64_t opened; /* bytes of plaintext before `plain` */
	size_t plain_n;
	uint8_t raw[SC_SEAL_HEAD + SC_SEAL_FRAME_MAX];
	uint8_t plain[SC_SEAL_PLAIN_MAX];
};

struct sealed_reader *sealed_reader_new(const struct gen *g, enum stream s, const struct seal_key *key)
{
	struct sealed_reader *r = malloc(sizeof *r);

	if (!r)
		return NULL;
	r->key = *key;
	r->gen = *g;
	r->stream = s;
	r->began = false;
	r->at = r->raw_n = r->used = r->opened = r->plain_n = 0;
	return r;
}

void sealed_reader_free(struct sealed_reader *r)
{
	if (!r)
		return;
	seal_key_wipe(&r->key);
	opener_wipe(&r->opener);
	explicit_bzero(r->plain, sizeof r->plain);
	free(r);
}

/* More of the file behind what there is. SC_ECORRUPT: it ends. */
static int fill(struct sealed_reader *r, int fd)
{
	ssize_t n;

	memmove(r->raw, r->raw + r->used, r->raw_n - r->used);
	r->at += r->used;
	r->raw_n -= r->used;
	r->used = 0;
	do {
		n = pread(fd, r->raw + r->raw_n, sizeof r->raw - r->raw_n, (off_t)(r->at + r->raw_n));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return SC_ESYS;
	r->raw_n += (size_t)n;
	return n == 0 ? SC_ECORRUPT : 0;
}

static int take_head(struct sealed_reader *r, int fd)
{
	while (!r->began) {
		int rc = r->raw_n < SC_SEAL_HEAD ? fill(r, fd) : 0;

		if (rc)
			return rc;
		if (r->raw_n < SC_SEAL_HEAD)
			continue;
		opener_begin(&r->opener, &r->key, &r->gen, r->stream, r->raw);
		seal_key_wipe(&r->key);
		r->used = SC_SEAL_HEAD;
		r->began = true;
	}
	return 0;
}

/* The next frame takes the place of the one before. What was read along with an earlier one may have been read while it was being
 * written: if that is no frame it is read again, before it is judged. */
static int open_frame(struct sealed_reader *r, int fd)
{
	struct opener before = r->opener;
	bool again = r->used > 0;
	size_t n, used;
	int rc;

	while ((rc = opener_frame(&r->opener, r->raw + r->used, r->raw_n - r->used, r->plain, &n, &used)) != 0) {
		if (rc == SC_ECORRUPT && !again)
			break;
		if (rc == SC_ECORRUPT) {
			again = false;
			r->opener = before;
			r->raw_n = r->used;
		}
		rc = fill(r, fd);
		if (rc)
			break;
	}
	if (rc == 0) {
		r->used += used;
		r->opened += r->plain_n;
		r->plain_n = n;
	}
	opener_wipe(&before);
	return rc;
}

static int next_frame(struct sealed_reader *r, int fd)
{
	int rc = take_head(r, fd);

	if (rc)
		return rc;
	return opener_is_final(&r->opener) ? SC_ECORRUPT : open_frame(r, fd);
}

int sealed_read(struct sealed_reader *r, int fd, uint64_t at, void *bytes, size_t n, size_t *got)
{
	size_t from;

	while (at >= r->opened + r->plain_n) {
		int rc = next_frame(r, fd);

		if (rc)
			return rc;
	}
	BUG_ON(at < r->opened);
	from = (size_t)(at - r->opened);
	*got = n < r->plain_n - from ? n : r->plain_n - from;
	memcpy(bytes, r->plain + from, *got);
	return 0;
}

int sealed_is_whole(struct sealed_reader *r, int fd, uint64_t len)
{
	int rc = 0;

	while (rc == 0 && r->opened + r->plain_n <= len && !(r->began && opener_is_final(&r->opener)))
		rc = next_frame(r, fd);
	if (rc)
		return rc;
	if (r->opened + r->plain_n != len || !opener_is_final(&r->opener))
		return SC_ECORRUPT;
	/* Nothing may stand behind the end. */
	rc = r->used < r->raw_n ? 0 : fill(r, fd);
	return rc == 0 ? SC_ECORRUPT : rc == SC_ECORRUPT ? 0 : rc;
}

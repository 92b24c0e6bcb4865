/* Called by reader.c. Prints nothing, waits for nobody. */
#include "cmd/source.h"

#include <errno.h>
#include <unistd.h>

#include "cmd/sealed.h"
#include "cmd/spool.h"
#include "lib/err.h"
#include "lib/limits.h"
#include "lib/page.h"

/* One copy from the ring to the spool. */
#define PIECE (64 * 1024)

void source_init(struct source *s, int out_fd, int err_fd)
{
	*s = (struct source){.fd = {out_fd, err_fd},
			     .spill = {SC_FOREVER, SC_FOREVER},
			     .spool = {SPOOL_NONE, SPOOL_NONE},
			     .spooled = {SC_FOREVER, SC_FOREVER}};
}

void source_init_spool(struct source *s, struct spool *spool)
{
	source_init(s, spool->fd, -1);
	s->sealed[STREAM_OUT] = spool->reader;
	spool->reader = NULL;
}

void source_release(struct source *s)
{
	for (int i = 0; i < 2; i++) {
		spool_release(&s->spool[i]);
		sealed_reader_free(s->sealed[i]);
		s->sealed[i] = NULL;
	}
}

int source_unseal(struct source *s, const struct gen *g, const struct seal_key *keys)
{
	for (int i = 0; i < 2; i++) {
		s->sealed[i] = sealed_reader_new(g, (enum stream)i, &keys[i]);
		if (!s->sealed[i])
			return SC_ENOMEM;
	}
	return 0;
}

bool source_is_sealed(const struct source *s)
{
	return s->sealed[STREAM_OUT];
}

int source_is_whole(const struct source *s, enum stream stream, uint64_t len)
{
	/* An error stream in which nothing ever stood has no end either. */
	if (!s->sealed[stream] || (stream == STREAM_ERR && len == 0))
		return 0;
	return sealed_is_whole(s->sealed[stream], s->fd[stream], len);
}

void source_spill(struct source *s, struct page *page, const struct page_view *v)
{
	if (s->page || v->out_spill == SC_FOREVER)
		return;
	s->page = page;
	s->spill[STREAM_OUT] = s->spooled[STREAM_OUT] = v->out_spill;
	s->spill[STREAM_ERR] = s->spooled[STREAM_ERR] = v->err_spill;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t source_in_object(const struct source *s, enum stream stream, uint64_t at, uint64_t n)
{
	return at < s->spill[stream] && !s->sealed[stream] ? least(n, s->spill[stream] - at) : 0;
}

static bool is_gone(const struct source *s, enum stream stream, uint64_t at)
{
	unsigned char none;

	return page_ring_get(s->page, stream, at > s->spooled[stream] ? at : s->spooled[stream], &none, 0) == SC_ENOENT;
}

bool source_is_overtaken(const struct source *s, uint64_t out_pos, uint64_t err_pos)
{
	return s->page && (is_gone(s, STREAM_OUT, out_pos) || is_gone(s, STREAM_ERR, err_pos));
}

static int read_file(int fd, void *bytes, size_t n, uint64_t at, size_t *got)
{
	ssize_t k = pread(fd, bytes, n, (off_t)at);

	if (k < 0)
		return SC_ESYS;
	*got = (size_t)k;
	return k == 0 ? SC_ECORRUPT : 0;
}

static int read_object(const struct source *s, enum stream stream, void *bytes, size_t n, uint64_t at, size_t *got)
{
	return s->sealed[stream] ? sealed_read(s->sealed[stream], s->fd[stream], at, bytes, n, got)
				 : read_file(s->fd[stream], bytes, n, at, got);
}

int source_read(const struct source *s, enum stream stream, uint64_t at, void *bytes, size_t n, size_t *got)
{
	uint64_t spill = s->spill[stream];

	if (at < spill)
		return read_object(s, stream, bytes, least(n, spill - at), at, got);
	if (at < s->spooled[stream])
		return spool_read(&s->spool[stream], at - spill, bytes, n, got);
	*got = n;
	return page_ring_get(s->page, stream, at, bytes, n);
}

int source_prove(const struct source *s, enum stream stream, uint64_t len)
{
	unsigned char bytes[4096];
	size_t got;
	int rc = 0;

	for (uint64_t at = 0; at < len && rc == 0; at += got) {
		got = 0;
		rc = source_read(s, stream, at, bytes, least(len - at, sizeof bytes), &got);
		if (rc == SC_ESYS && errno == EINTR)
			rc = 0;
	}
	return rc ? rc : source_is_whole(s, stream, len);
}

static int keep_stream(struct source *s, enum stream stream, uint64_t len)
{
	unsigned char bytes[PIECE];
	int rc = 0;

	while (!rc && s->spooled[stream] < len) {
		size_t n = least(len - s->spooled[stream], sizeof bytes);

		/* What the objects may not show no other file may. */
		rc = spool_is_made(&s->spool[stream]) ? 0 : spool_make(&s->spool[stream], -1, source_is_sealed(s));
		if (!rc)
			rc = page_ring_get(s->page, stream, s->spooled[stream], bytes, n);
		if (!rc)
			rc = spool_append(&s->spool[stream], bytes, n);
		if (!rc)
			s->spooled[stream] += n;
	}
	return rc;
}

int source_keep(struct source *s, uint64_t out_len, uint64_t err_len)
{
	int rc;

	if (!s->page)
		return 0; /* what is in the objects stays there */
	rc = keep_stream(s, STREAM_OUT, out_len);
	return rc ? rc : keep_stream(s, STREAM_ERR, err_len);
}

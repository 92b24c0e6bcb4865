/* The bytes of a run. Called by the writer (writer.c). */
#include "cmd/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/give.h"
#include "cmd/sealed.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/object.h"
#include "lib/page.h"

/* One read of the command's stdout: small enough to be hashed while it is in the cache. */
#define CHUNK (256 * 1024)
/* A pipe that was once seen full gets this size. */
#define PIPE_LARGE (1024 * 1024)
/* Publishing wakes every reader, so while the pipe still has more it is put off: until so many bytes have come, or so much time
 * has passed. What is read in so small a piece that the pipe is surely empty is published at once, and everything before a
 * sleep. */
#define PUBLISH_BYTES (4 * 1024 * 1024)
#define PUBLISH_MS 2
#define PUBLISH_AT_ONCE 4096
/* Who was too far ahead goes on when a quarter of the window, but no more than this, is free: not at every step of a reader. */
#define RESUME_BYTES (1024 * 1024)

static unsigned char chunk[CHUNK];
static unsigned char record_bytes[SC_RECORD_HEAD + SC_RECORD_MAX];

int capture_init(struct capture *c, struct page *page, int out_fd, int err_fd)
{
	*c = (struct capture){.page = page, .out_fd = out_fd, .err_fd = err_fd, .out_rest = SC_FOREVER, .err_rest = SC_FOREVER};
	c->out_sum = checksum_new();
	c->err_sum = checksum_new();
	return c->out_sum && c->err_sum ? 0 : SC_ENOMEM;
}

void capture_release(struct capture *c)
{
	checksum_free(c->out_sum);
	checksum_free(c->err_sum);
	c->out_sum = c->err_sum = NULL;
	for (int i = 0; i < 2; i++) {
		sealed_writer_free(c->sealed[i]);
		c->sealed[i] = NULL;
	}
}

int capture_seal(struct capture *c, const struct gen *g, const struct seal_key *keys)
{
	for (int i = 0; i < 2; i++) {
		c->sealed[i] = sealed_writer_new(g, (enum stream)i, &keys[i]);
		if (!c->sealed[i])
			return SC_ENOMEM;
	}
	c->gift = NULL;
	return 0;
}

void capture_publish(struct capture *c)
{
	if (c->unpublished == 0)
		return;
	c->unpublished = 0;
	c->published_ms = clock_run_ms();
	KILLPOINT("before_page_grows");
	page_publish(c->page, c->out_len, c->err_len);
	KILLPOINT("page_grown");
}

void capture_publish_if_due(struct capture *c)
{
	if (c->unpublished >= PUBLISH_BYTES || c->unpublished <= PUBLISH_AT_ONCE ||
	    clock_run_ms() - c->published_ms >= PUBLISH_MS)
		capture_publish(c);
}

/* Where the objects end and the ring begins: behind what has been read so far, of both streams. */
static void spill(struct capture *c, int error)
{
	KILLPOINT("before_spill");
	c->spilled = error;
	c->room = 0;
	page_spill(c->page, c->out_len, c->err_len, error);
	KILLPOINT("spilled");
}

static struct checksum *sum_of(struct capture *c, enum stream s)
{
	return s == STREAM_OUT ? c->out_sum : c->err_sum;
}

static uint64_t growth(const struct capture *c, enum stream s, size_t n)
{
	return c->sealed[s] ? sealed_growth(c->sealed[s], n) : n;
}

/* Into the object. SC_ESYS. */
static int store(struct capture *c, enum stream s, int fd, const void *bytes, size_t n)
{
	int rc;

	if (c->sealed[s])
		return sealed_write(c->sealed[s], fd, bytes, n, sum_of(c, s), &c->size[s]);
	rc = object_append(fd, bytes, n);
	if (rc == 0) {
		checksum_add(sum_of(c, s), bytes, n);
		c->size[s] += n;
	}
	return rc;
}

static void append(struct capture *c, enum stream s, int fd, const void *bytes, size_t n)
{
	if (!c->spilled && c->size[STREAM_OUT] + c->size[STREAM_ERR] + growth(c, s, n) > page_limit(c->page))
		spill(c, page_limit_error(c->page));
	/* A part of it may be there when it fails. It lies behind what the page tells, so nobody sees it. */
	if (!c->spilled && store(c, s, fd, bytes, n))
		spill(c, errno);
	if (c->spilled)
		page_ring_put(c->page, s, bytes, n);
	c->unpublished += n;
}

static void append_out(struct capture *c, size_t n)
{
	KILLPOINT("before_append");
	append(c, STREAM_OUT, c->out_fd, chunk, n);
	KILLPOINT("out_appended");
	c->out_len += n;
}

static void append_record(struct capture *c, size_t n)
{
	struct record r = {.position = c->out_len, .length = (uint32_t)n};

	record_encode(&r, record_bytes);
	n += SC_RECORD_HEAD;
	append(c, STREAM_ERR, c->err_fd, record_bytes, n);
	KILLPOINT("err_appended");
	c->err_len += n;
}

static bool is_transient(ssize_t n)
{
	return n < 0 && (errno == EINTR || errno == EAGAIN);
}

/* False: the rest must be read, be it for the ring; or, *error, it cannot be: not from where it begins. */
static bool take_given(struct capture *c, int fd, int *error)
{
	uint64_t limit = page_limit(c->page);
	ssize_t n = give_some(c->gift, c->out_fd, fd, limit > c->err_len ? limit - c->err_len : 0, chunk, sizeof chunk);

	if (n > 0) {
		checksum_add(c->out_sum, chunk, (size_t)n);
		c->out_len += (size_t)n;
		c->size[STREAM_OUT] += (size_t)n;
		c->unpublished += (size_t)n;
		return true;
	}
	c->gift = NULL;
	if (n < 0) {
		spill(c, errno);
		if (lseek(fd, (off_t)c->out_len, SEEK_SET) < 0)
			*error = errno;
	}
	return false;
}

static size_t least(uint64_t a, uint64_t b, size_t c)
{
	a = a < b ? a : b;
	return a < c ? (size_t)a : c;
}

bool capture_out(struct capture *c, int fd, int *error)
{
	size_t most;
	ssize_t n;

	*error = 0;
	if (c->gift && take_given(c, fd, error))
		return true;
	if (*error)
		return false;
	/* Without room only a run that is being stopped is read on: whoever is in the way of that reads in vain. */
	most = least(c->out_rest, c->spilled && c->room ? c->room : SC_FOREVER, sizeof chunk);
	n = read(fd, chunk, most);
	if (is_transient(n))
		return true;
	if (n <= 0) {
		*error = n < 0 ? errno : 0;
		return false;
	}
	if ((size_t)n == sizeof chunk && !c->out_full) {
		c->out_full = true;
		fcntl(fd, F_SETPIPE_SZ, PIPE_LARGE); /* refused: as it was */
	}
	append_out(c, (size_t)n);
	c->out_rest -= c->out_rest == SC_FOREVER ? 0 : (uint64_t)n;
	return c->out_rest > 0;
}

bool capture_err(struct capture *c, int fd)
{
	ssize_t n = read(fd, record_bytes + SC_RECORD_HEAD, least(c->err_rest, SC_FOREVER, SC_RECORD_MAX));

	if (is_transient(n))
		return true;
	if (n <= 0)
		return false;
	append_record(c, (size_t)n);
	c->err_rest -= c->err_rest == SC_FOREVER ? 0 : (uint64_t)n;
	return c->err_rest > 0;
}

void capture_end(struct capture *c)
{
	int rc = 0;

	if (c->spilled || !c->sealed[STREAM_OUT])
		return;
	rc = sealed_end(c->sealed[STREAM_OUT], c->out_fd, c->out_sum, &c->size[STREAM_OUT]);
	/* Where nothing was said there is nothing to end. */
	if (rc == 0 && c->err_len)
		rc = sealed_end(c->sealed[STREAM_ERR], c->err_fd, c->err_sum, &c->size[STREAM_ERR]);
	if (rc)
		spill(c, errno);
}

static uint64_t what_is_there(int fd)
{
	int there = 0;

	return fd >= 0 && ioctl(fd, FIONREAD, &there) == 0 && there > 0 ? (uint64_t)there : 0;
}

void capture_only_rest(struct capture *c, int out_fd, int err_fd)
{
	c->out_rest = what_is_there(out_fd);
	c->err_rest = what_is_there(err_fd);
}

void capture_text(struct capture *c, const char *text)
{
	size_t n = strnlen(text, SC_RECORD_MAX);

	memcpy(record_bytes + SC_RECORD_HEAD, text, n);
	append_record(c, n);
}

static bool is_ahead(struct capture *c)
{
	uint64_t window = page_window(c->page), total = c->out_len + c->err_len, fastest, step = window / 4;

	if (window == SC_FOREVER || total <= c->ahead_from)
		return false;
	if (!page_fastest(c->page, &fastest))
		fastest = total;
	c->ahead_from = fastest + window;
	if (total <= c->ahead_from)
		return false;
	c->resume = total - window + (step < RESUME_BYTES ? step : RESUME_BYTES);
	return true;
}

bool capture_must_wait(struct capture *c)
{
	/* The ring is smaller than any window worth the name, and its slowest reader no faster than the fastest. */
	if (!c->spilled) /* what is left in the pipes when they are given up is not much more, and somebody waits for the end */
		return c->out_rest == SC_FOREVER && is_ahead(c);
	c->room = page_ring_room(c->page, clock_run_ms());
	return c->room == 0;
}

void capture_wait(struct capture *c, uint64_t timeout_ms)
{
	if (c->spilled)
		page_wait_room(c->page, timeout_ms);
	else
		page_wait_readers(c->page, c->resume, timeout_ms);
}

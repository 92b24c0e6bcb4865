/* The bytes of a run. Called by the writer (writer.c). */
#include "cmd/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/give.h"
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
	*c = (struct capture){.page = page, .out_fd = out_fd, .err_fd = err_fd};
	c->out_sum = checksum_new();
	c->err_sum = checksum_new();
	return c->out_sum && c->err_sum ? 0 : SC_ENOMEM;
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

/* By what stands in the chunk. */
static void out_has_grown(struct capture *c, size_t n)
{
	checksum_add(c->out_sum, chunk, n);
	c->out_len += n;
	c->unpublished += n;
}

static void append_out(struct capture *c, size_t n)
{
	if (c->broken)
		return; /* read and dropped, so that the command can end */
	KILLPOINT("before_append");
	if (object_append(c->out_fd, chunk, n)) {
		c->broken = errno;
		return;
	}
	KILLPOINT("out_appended");
	out_has_grown(c, n);
}

static void append_record(struct capture *c, size_t n)
{
	struct record r = {.position = c->out_len, .length = (uint32_t)n};

	if (c->broken)
		return;
	record_encode(&r, record_bytes);
	if (object_append(c->err_fd, record_bytes, SC_RECORD_HEAD + n)) {
		c->broken = errno;
		return;
	}
	KILLPOINT("err_appended");
	checksum_add(c->err_sum, record_bytes, SC_RECORD_HEAD + n);
	c->err_len += SC_RECORD_HEAD + n;
	c->unpublished += SC_RECORD_HEAD + n;
}

static bool is_transient(ssize_t n)
{
	return n < 0 && (errno == EINTR || errno == EAGAIN);
}

/* False: the rest must be read. */
static bool take_given(struct capture *c, int fd)
{
	ssize_t n = give_some(c->gift, c->out_fd, fd, chunk, sizeof chunk);

	if (n > 0) {
		out_has_grown(c, (size_t)n);
		return true;
	}
	c->gift = NULL;
	if (n < 0)
		c->broken = errno;
	return n < 0;
}

bool capture_out(struct capture *c, int fd, int *error)
{
	ssize_t n;

	*error = 0;
	if (c->gift && take_given(c, fd))
		return true;
	n = read(fd, chunk, sizeof chunk);
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
	return true;
}

bool capture_err(struct capture *c, int fd)
{
	ssize_t n = read(fd, record_bytes + SC_RECORD_HEAD, SC_RECORD_MAX);

	if (is_transient(n))
		return true;
	if (n > 0)
		append_record(c, (size_t)n);
	return n > 0;
}

void capture_rest(struct capture *c, int out_fd, int err_fd)
{
	int there = 0;
	ssize_t n;

	if (out_fd >= 0 && ioctl(out_fd, FIONREAD, &there) == 0)
		for (; there > 0; there -= (int)n) {
			n = read(out_fd, chunk, (size_t)there < sizeof chunk ? (size_t)there : sizeof chunk);
			if (n <= 0)
				break;
			append_out(c, (size_t)n);
		}
	there = 0;
	if (err_fd >= 0 && ioctl(err_fd, FIONREAD, &there) == 0)
		for (; there > 0; there -= (int)n) {
			n = read(err_fd, record_bytes + SC_RECORD_HEAD, there < SC_RECORD_MAX ? (size_t)there : SC_RECORD_MAX);
			if (n <= 0)
				break;
			append_record(c, (size_t)n);
		}
}

void capture_text(struct capture *c, const char *text)
{
	size_t n = strnlen(text, SC_RECORD_MAX);

	memcpy(record_bytes + SC_RECORD_HEAD, text, n);
	append_record(c, n);
}

bool capture_is_ahead(struct capture *c, uint64_t *resume)
{
	uint64_t window = page_window(c->page), total = c->out_len + c->err_len, fastest, step = window / 4;

	if (window == SC_FOREVER || total <= c->ahead_from)
		return false;
	if (!page_fastest(c->page, &fastest))
		fastest = total;
	c->ahead_from = fastest + window;
	if (total <= c->ahead_from)
		return false;
	*resume = total - window + (step < RESUME_BYTES ? step : RESUME_BYTES);
	return true;
}

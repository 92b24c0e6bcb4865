/* The one way to a person's terminal. Called by get.c for a finished object and by follow.c for a growing one. */
#include "cmd/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cmd/again.h"
#include "cmd/progress.h"
#include "cmd/signals.h"
#include "lib/err.h"

/* One copy. Larger ones leave the cache before they are written. */
#define COPY_SIZE (128 * 1024)
/* A pipe is made so large only when as much is to go at once: the user's allowance for large pipes is small. */
#define PIPE_LARGE (1024 * 1024)
/* A file of ours gets its room in one piece if it is larger than this. */
#define FILE_LARGE (1024 * 1024)

/* A kernel-side copy that need not wait could go on for long; so much is one piece. */
#define STEP (1024 * 1024)
/* A writer that waits for us must see us move, however slowly our bytes are taken. */
#define STEP_PACED (16 * 1024)

static unsigned char buffer[COPY_SIZE];

void reader_init(struct reader *r, int out_fd, int err_fd)
{
	*r = (struct reader){.to_fd = 1};
	source_init(&r->from, out_fd, err_fd);
}

void reader_init_spool(struct reader *r, struct spool *spool)
{
	reader_init(r, -1, -1);
	source_init_spool(&r->from, spool);
}

void reader_release(struct reader *r)
{
	source_release(&r->from);
}

int reader_unseal(struct reader *r, const struct gen *g, const struct seal_key *keys)
{
	return source_unseal(&r->from, g, keys);
}

void reader_spill(struct reader *r, struct page *page, const struct page_view *v)
{
	source_spill(&r->from, page, v);
}

void reader_position(const struct reader *r, uint64_t out_len, uint64_t err_len, uint64_t *out_pos, uint64_t *err_pos)
{
	*out_pos = r->held ? out_len : r->out_pos;
	*err_pos = r->held ? err_len : r->err_pos;
}

void reader_redirect(struct reader *r, int to_fd, bool to_ours)
{
	r->to_fd = to_fd;
	r->to_ours = to_ours;
}

void reader_prepare(struct reader *r, uint64_t out_len)
{
	struct stat st;

	if (!r->to_ours || out_len == 0 || source_is_sealed(&r->from) || fstat(r->from.fd[STREAM_OUT], &st) < 0 ||
	    (uint64_t)st.st_size != out_len)
		return;
	if (ioctl(r->to_fd, FICLONE, r->from.fd[STREAM_OUT]) == 0) {
		r->skip = true;
		r->printed = out_len;
	} else if (out_len > FILE_LARGE) {
		fallocate(r->to_fd, 0, 0, (off_t)out_len); /* refused: slower; a full disk is noticed soon enough */
	}
}

void reader_let_go(struct reader *r, bool succeeded)
{
	if (r->held && !succeeded)
		r->skip = true;
	r->held = false;
}

void reader_mute(struct reader *r)
{
	r->mute = true;
}

void reader_go_on(struct reader *r, struct again *again)
{
	r->again = again;
	r->printed = again->out_len;
}

/* Kernel-side copies only where they are exact: into a pipe, /dev/null, or a file of ours. Into others they race on a shared
 * offset and lose bytes, and they refuse O_APPEND. */
static void choose_method(struct reader *r, uint64_t at_once)
{
	struct stat st;

	r->method = READ_COPY;
	if (fstat(r->to_fd, &st) < 0)
		return;
	if (S_ISFIFO(st.st_mode)) {
		r->method = READ_SPLICE;
		if (at_once >= PIPE_LARGE)
			fcntl(r->to_fd, F_SETPIPE_SZ, PIPE_LARGE); /* refused: smaller steps */
	} else if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) {
		r->method = READ_SENDFILE;
	} else if (r->to_ours) {
		r->method = READ_RANGE;
	}
}

static enum read_result write_failed(struct reader *r)
{
	if (errno == EINTR)
		return signals_pending() ? READ_INTERRUPTED : READ_ALL;
	if (errno == EPIPE)
		return READ_STDOUT_CLOSED;
	r->error = errno;
	return READ_CANNOT_WRITE;
}

/* A descriptor somebody else made non-blocking: wait for it, and leave its flags, which are not only ours, alone. */
static int wait_writable(int fd)
{
	return poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
}

static enum read_result write_all(struct reader *r, int fd, const unsigned char *p, size_t n, uint64_t *pos)
{
	if (n > 0)
		progress_make_way(fd, p[n - 1]);
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EAGAIN)
			w = wait_writable(fd) < 0 ? -1 : 0;
		if (w < 0 && errno == EINTR && !signals_pending())
			continue; /* stopped and continued */
		if (w < 0)
			return write_failed(r);
		p += w;
		n -= (size_t)w;
		*pos += (uint64_t)w;
	}
	return READ_ALL;
}

static enum read_result cannot_read(struct reader *r, int error)
{
	r->error = error;
	return READ_CANNOT_READ;
}

/* What source_read says, but for 0. */
static enum read_result no_bytes(struct reader *r, int rc)
{
	if (rc == SC_ENOENT)
		return READ_OVERTAKEN;
	if (rc == SC_ESYS && errno == EINTR)
		return READ_ALL;
	return cannot_read(r, rc == SC_ESYS ? errno : 0);
}

static enum read_result copy_some(struct reader *r, uint64_t n)
{
	size_t got, most = r->from.page ? STEP_PACED : sizeof buffer;
	int rc = source_read(&r->from, STREAM_OUT, r->out_pos, buffer, n < most ? n : most, &got);

	return rc ? no_bytes(r, rc) : write_all(r, r->to_fd, buffer, got, &r->out_pos);
}

/* Not for this pair of files: then bytes are copied by hand. So are those that could not be read, to be told from those that
 * could not be written. */
static bool is_refused(int error)
{
	return error == EINVAL || error == ENOSYS || error == EBADF || error == EPERM || error == EXDEV ||
	       error == EOPNOTSUPP || error == EIO;
}

/* One kernel-side step; READ_ALL with nothing moved means: use copies from here on. */
static enum read_result move_some(struct reader *r, uint64_t n)
{
	off_t at = (off_t)r->out_pos;
	size_t step = n < STEP ? n : STEP;
	int fd = r->from.fd[STREAM_OUT];
	ssize_t moved;

	if (r->method == READ_SPLICE)
		moved = splice(fd, &at, r->to_fd, NULL, step, 0);
	else if (r->method == READ_SENDFILE)
		moved = sendfile(r->to_fd, fd, &at, step);
	else
		moved = copy_file_range(fd, &at, r->to_fd, NULL, step, 0);
	if (moved > 0) {
		r->out_pos += (uint64_t)moved;
		return READ_ALL;
	}
	if (moved == 0 && r->method != READ_RANGE)
		return cannot_read(r, 0);
	if (moved < 0 && errno == EAGAIN)
		return wait_writable(r->to_fd) < 0 ? write_failed(r) : READ_ALL;
	/* Some file systems' copies say that there is nothing where a read finds it. */
	if (moved == 0 || is_refused(errno)) {
		r->method = READ_COPY;
		return READ_ALL;
	}
	return write_failed(r);
}

/* What we have printed of the first run is not printed again, only held against it. */
static enum read_result match_some(struct reader *r, uint64_t n)
{
	size_t got;
	int rc = source_read(&r->from, STREAM_OUT, r->out_pos, buffer, n < sizeof buffer ? n : sizeof buffer, &got);

	if (rc)
		return no_bytes(r, rc);
	rc = again_match_out(r->again, buffer, got, r->out_pos);
	if (rc)
		return rc == SC_ECORRUPT ? READ_DIFFERS : cannot_read(r, errno);
	r->out_pos += got;
	return READ_ALL;
}

static enum read_result print_some(struct reader *r, uint64_t n)
{
	if (r->again && r->out_pos < r->again->out_len) {
		uint64_t known = r->again->out_len - r->out_pos;

		return match_some(r, n < known ? n : known);
	}
	if (r->method == READ_UNDECIDED)
		choose_method(r, n);
	/* What lies in memory that is written again is never lent to a pipe. */
	if (r->method == READ_COPY || !source_in_object(&r->from, STREAM_OUT, r->out_pos, n))
		return copy_some(r, n);
	return move_some(r, source_in_object(&r->from, STREAM_OUT, r->out_pos, n));
}

static enum read_result print_out(struct reader *r, uint64_t to)
{
	enum read_result rc;

	if (r->mute || r->skip) {
		r->out_pos = to > r->out_pos ? to : r->out_pos;
		return READ_ALL;
	}
	if (r->out_pos >= to)
		return READ_ALL;
	rc = print_some(r, to - r->out_pos);
	if (r->out_pos > r->printed)
		r->printed = r->out_pos;
	return rc == READ_ALL && r->out_pos < to ? READ_MORE : rc;
}

static enum read_result read_exactly(struct reader *r, void *p, size_t n, uint64_t at)
{
	size_t got, done = 0;

	while (done < n) {
		int rc = source_read(&r->from, STREAM_ERR, at + done, (char *)p + done, n - done, &got);

		if (rc == SC_ESYS && errno == EINTR)
			continue;
		if (rc)
			return no_bytes(r, rc);
		done += got;
	}
	return READ_ALL;
}

static enum read_result find_record(struct reader *r, uint64_t err_len)
{
	uint8_t head[SC_RECORD_HEAD];
	enum read_result rc;

	if (r->has_record || r->err_pos >= err_len)
		return READ_ALL;
	rc = read_exactly(r, head, sizeof head, r->err_pos);
	if (rc)
		return rc;
	/* The index and the page vouch for lengths, not for contents: bound everything. */
	if (record_decode(&r->record, head) || r->record.length > err_len - r->err_pos - SC_RECORD_HEAD ||
	    r->record.position < r->out_pos)
		return cannot_read(r, 0);
	r->has_record = 1;
	return READ_ALL;
}

/* The second run's stderr differs from what was printed of the first: a line that says so, and all of it up to `to`. */
static enum read_result show_whole(struct reader *r, uint64_t to)
{
	const char *notice = r->again->notice;
	uint64_t printed = 0, at = 0;
	uint8_t head[SC_RECORD_HEAD];
	enum read_result rc = READ_ALL;
	struct record record;

	if (notice)
		rc = write_all(r, 2, (const unsigned char *)notice, strlen(notice), &printed);
	while (rc != READ_INTERRUPTED && at < to) {
		rc = read_exactly(r, head, sizeof head, at);
		if (rc == READ_ALL && record_decode(&record, head))
			rc = cannot_read(r, 0);
		if (rc == READ_ALL)
			rc = read_exactly(r, buffer, record.length, at + SC_RECORD_HEAD);
		if (rc)
			return rc;
		rc = write_all(r, 2, buffer, record.length, &r->err_bytes);
		at += SC_RECORD_HEAD + record.length;
	}
	r->again->err_end = r->again->err_at = 0; /* from here on everything is new */
	r->again->err_differs = false;
	return rc == READ_INTERRUPTED ? rc : READ_ALL;
}

static enum read_result print_record(struct reader *r)
{
	uint64_t next = r->err_pos + SC_RECORD_HEAD + r->record.length;
	enum read_result rc = read_exactly(r, buffer, r->record.length, r->err_pos + SC_RECORD_HEAD);
	size_t known;

	if (rc)
		return rc;
	known = r->again ? again_match_err(r->again, buffer, r->record.length) : 0;
	/* What cannot be said on stderr is no reason not to go on, nor is it said twice. */
	r->has_record = 0;
	r->err_pos = next;
	if (r->again && r->again->err_differs)
		return show_whole(r, next);
	rc = write_all(r, 2, buffer + known, r->record.length - known, &r->err_bytes);
	return rc == READ_INTERRUPTED ? rc : READ_ALL;
}

enum read_result reader_finish(struct reader *r)
{
	if (!r->again)
		return READ_ALL;
	if (r->out_pos < r->again->out_len)
		return READ_DIFFERS;
	return again_err_is_over(r->again) ? READ_ALL : show_whole(r, r->err_pos);
}

/* Of a streaming-only run: what is not printed now will not be there later. */
static enum read_result keep(struct reader *r, uint64_t out_len, uint64_t err_len)
{
	int rc = source_keep(&r->from, out_len, err_len);

	return rc == SC_ENOENT ? READ_OVERTAKEN : rc ? cannot_read(r, rc == SC_ESYS ? errno : 0) : READ_ALL;
}

enum read_result reader_advance(struct reader *r, uint64_t out_len, uint64_t err_len)
{
	uint64_t to = out_len;
	enum read_result rc;

	if (r->held)
		return keep(r, out_len, err_len);
	/* At once, and not when we come to what is gone: who has printed nothing yet can still run its own. */
	if (!r->mute && !r->skip && source_is_overtaken(&r->from, r->out_pos, r->err_pos))
		return READ_OVERTAKEN;
	rc = find_record(r, err_len);
	if (rc)
		return rc;
	if (r->has_record && r->record.position < to)
		to = r->record.position;
	rc = print_out(r, to);
	if (rc)
		return rc;
	/* A record that stands behind output we were not told of yet waits for the next call. */
	if (!r->has_record || r->record.position > r->out_pos)
		return READ_ALL;
	rc = print_record(r);
	return rc ? rc : READ_MORE;
}

/* Whoever cut a finished stream off between two frames, or knows a wrong length of it, is found out only here. */
static enum read_result look_for_ends(struct reader *r, uint64_t out_len, uint64_t err_len)
{
	int rc = r->mute || r->skip ? 0 : source_is_whole(&r->from, STREAM_OUT, out_len);

	if (rc == 0)
		rc = source_is_whole(&r->from, STREAM_ERR, err_len);
	return rc ? cannot_read(r, rc == SC_ESYS ? errno : 0) : READ_ALL;
}

enum read_result reader_print(struct reader *r, uint64_t out_len, uint64_t err_len)
{
	enum read_result rc;

	do {
		rc = reader_advance(r, out_len, err_len);
	} while (rc == READ_MORE);
	if (rc == READ_ALL)
		rc = look_for_ends(r, out_len, err_len);
	return rc ? rc : reader_finish(r);
}

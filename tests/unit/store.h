/* A directory with an index in it, for one test; removed at its end. */
#ifndef SC_TESTS_STORE_H
#define SC_TESTS_STORE_H

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/index.h"

static const uint8_t BOOT[16] = {1};

struct room {
	char path[64];
	int dir_fd;
	struct index *ix;
	struct log *log;
};

/* What callbacks have said. */
struct said {
	unsigned calls;
	int status, err;
	uint64_t changed, total;
};

static inline void on_done(void *arg, int status, uint64_t changed)
{
	struct said *s = arg;

	s->err = errno;
	s->calls++;
	s->status = status;
	s->changed = changed;
	s->total += changed;
}

static inline void open_index(struct room *r)
{
	assert_int_equal(index_open(&r->ix, r->dir_fd, BOOT, NULL, false, r->log), 0);
}

/* Without an index yet. */
static inline int set_up(void **state)
{
	struct room *r = calloc(1, sizeof *r);

	assert_non_null(r);
	snprintf(r->path, sizeof r->path, "/tmp/sc-test-store-XXXXXX");
	assert_non_null(mkdtemp(r->path));
	r->dir_fd = open(r->path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	assert_true(r->dir_fd >= 0);
	r->log = log_open(r->dir_fd, "log");
	assert_non_null(r->log);
	*state = r;
	return 0;
}

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st, (void)kind, (void)f;
	return remove(path);
}

static inline int tear_down(void **state)
{
	struct room *r = *state;

	index_close(r->ix);
	log_close(r->log);
	close(r->dir_fd);
	assert_int_equal(nftw(r->path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(r);
	return 0;
}

/* Until `s` has been said to `calls` times. */
static inline void await(struct room *r, const struct said *s, unsigned calls)
{
	while (s->calls < calls) {
		struct pollfd p = {.fd = index_fd(r->ix), .events = POLLIN};

		assert_int_equal(poll(&p, 1, 60000), 1);
		index_collect(r->ix);
	}
}

#endif

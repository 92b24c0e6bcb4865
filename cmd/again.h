/* A second run of a command whose first one was lost after we had printed some of it. What the second run prints is held against
 * what we have printed, byte by byte, and only what comes after it is printed. Stdout decides: where it differs there is no going
 * on. Stderr is for people: where it differs the second run's is shown whole. */
#ifndef SC_AGAIN_H
#define SC_AGAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What was printed of the first run, and how much of it the second one has repeated. */
struct again {
	int out_fd, err_fd; /* the first run's objects, owned; unlinked by now, but they hold what we printed */
	uint64_t out_len;   /* bytes of stdout that we printed */
	uint64_t err_end;   /* the end of the last record of stderr that we printed */
	uint64_t err_at;    /* in the first run's stderr: what has been repeated … */
	uint32_t err_in;    /* … and so many bytes of the record there */
	bool err_differs;
	const char *notice; /* the line that is said before a second run's stderr is shown whole; NULL: none */
};

/* Duplicates both descriptors. SC_ESYS: nothing is held. */
int again_init(struct again *a, int out_fd, int err_fd, uint64_t out_len, uint64_t err_end);
void again_release(struct again *a);

/* Whether n bytes of stdout from `at` on, at + n no more than out_len, are those that we printed. SC_ECORRUPT: they are not ·
 * SC_ESYS. */
int again_match_out(struct again *a, const unsigned char *bytes, size_t n, uint64_t at);

/* How many of the next n bytes of the second run's stderr we have printed already. All of them, until the first run's are used up.
 * One that differs sets err_differs: then what we printed means nothing. */
size_t again_match_err(struct again *a, const unsigned char *bytes, size_t n);

/* False: the first run had printed more to stderr than the second one has by now. */
bool again_err_is_over(struct again *a);

#endif

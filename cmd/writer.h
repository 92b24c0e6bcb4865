/* 3 CAPTURE: runs the command, pumps its output into the object, publishes, reports. A process of its own, forked by the client
 * that was told to lead, in a session of its own: whoever's terminal that client had, its Ctrl-C does not reach the run. It
 * outlives client and daemon; a flight without a daemon goes on and registers with the next one. (The writer of a put is the client
 * itself, and has no command.)
 *
 *   started ──▶ pumping ──▶ ended (command waited for, pipes at end of file) ──▶ DONE, answer ──▶ published
 *                  └──▶ stopping (nobody reads: the reader's signal, SC_GRACE_MS later SIGKILL) ──▲ */
#ifndef SC_WRITER_H
#define SC_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/gen.h"
#include "lib/msg.h"
#include "lib/paths.h"

struct gift;
struct page;
struct seal_key;
struct spool;

struct run {
	const struct place *place; /* of the cache: the next daemon is looked for there */
	struct gen gen;
	struct bytes bucket, key;
	struct page *page;	     /* mapped; the writer shares the client's mapping */
	int out_fd, err_fd;	     /* the objects, for appending */
	const struct seal_key *keys; /* of the two streams, by enum stream, the caller's; NULL: they are clear */
	int socket_fd, lock_fd;	     /* the flight's connection and lock */
	const char *chain;	     /* SC_FLIGHTS for the command: this generation included */
	char *const *argv;
	struct bytes shown;  /* its words, where the daemon keeps them for people to read */
	struct spool *input; /* the command's stdin, the caller's; NULL or none made: /dev/null */
	bool inherit_stderr;
	bool foreground;    /* the command stays in its caller's session and group, and is signalled alone */
	bool detached;	    /* it gets nothing of the caller's but descriptors 0 to 2 */
	uint64_t linger_ms; /* how long its pipes are waited for once it has ended; SC_FOREVER: as long as they are open */
};

/* Forks. In the caller: 0, and the run's own descriptors (out_fd, err_fd, socket_fd, lock_fd) are closed. SC_ESYS: no process to
 * be had; they are closed, too, which tells the daemon. */
int writer_start(struct run *r);

enum put_end {
	PUT_KEPT,	 /* in the index */
	PUT_OVERTAKEN,	 /* not any more: by something newer, a removal; or it was not to be kept. Nothing has failed */
	PUT_NOT_KEPT,	 /* it could not be stored: *error, 0: the daemon would or could not */
	PUT_CANNOT_READ, /* *error; nothing is kept */
	PUT_INTERRUPTED, /* signals_pending(); nothing is kept */
};

/* The writer of a run without a command, in this process: what source_fd has to give, to its end, or until it cannot be
 * stored any more; as far as may be by `gift` (NULL: not at all). The run's own descriptors are used up. */
enum put_end writer_put(struct run *r, int source_fd, struct gift *gift, int *error);

#endif

/* What the files of the writer share: writer.c (its life and its command's) and writer_daemon.c (its talk with the daemon, this one
 * and the next). Nobody else includes this. */
#ifndef SC_WRITER_PARTS_H
#define SC_WRITER_PARTS_H

#include "cmd/capture.h"
#include "cmd/session.h"
#include "cmd/spawn.h"
#include "cmd/writer.h"

struct writer {
	const struct run *run;
	struct child child; /* of a put: no process, and where the bytes come from is its stdout */
	struct capture capture;
	struct session session; /* its fd is the flight's connection */

	bool exited; /* the command has ended; it is not reaped before its group is done with */
	bool reaped;
	uint32_t exit, signal;
	uint64_t linger_ms; /* once exited: when its pipes are no longer waited for; SC_FOREVER: never */
	int read_error;	    /* errno of what kept us from reading to the end; 0: none */

	bool registered;      /* the daemon at the other end knows this run */
	bool disowned;	      /* … or has refused it: finish for the readers, uncommitted */
	bool settled;	      /* the daemon has said its last word, … */
	uint64_t settled_how; /* … SETTLED.flags */
	uint64_t next_try_ms; /* without a daemon: when to look for the next one */

	uint64_t told_bytes; /* how large it knows the objects to be, SC_GROWN_STEP by step */
	bool told_spilled;   /* the daemon knows that the run is streaming-only */

	bool lonely;	 /* told that no connection reads; slots are to be looked at */
	bool asked;	 /* MAY_STOP is out */
	bool empty_once; /* without a daemon: the last look found no slot taken */
	uint64_t look_ms;
	unsigned reader_signal;

	bool stopping, killed;
	uint64_t kill_ms; /* when TERM becomes KILL, then when even open pipes are given up */
};

/* ---- writer.c ---- */

/* The command is to end: `sig` to it now (0: TERM), SIGKILL after SC_GRACE_MS. */
void writer_begin_stop(struct writer *w, unsigned sig);

/* ---- writer_daemon.c ---- */

/* The spawn_announce of a run: in the child that is about to be the command. */
void writer_tell_started(void *arg, int pidfd);

/* Without one: looks for the next daemon (or starts it) and registers. Notes when to look again. */
void writer_find_daemon(struct writer *w, enum session_how how);

/* Takes what the daemon has sent, without waiting. */
void writer_listen(struct writer *w);

/* How large the objects are, if they have grown by a step since it was told: the daemon makes room for the next one. Or, once, that they
 * grow no more: from here on the run is not to be joined. */
void writer_tell_growth(struct writer *w);

/* Whether anybody still reads, as far as it is time to ask; begins the stop if nobody does. */
void writer_look_for_readers(struct writer *w, uint64_t now);

/* Says DONE until somebody has answered: to this daemon, or to the one that follows it. Gives up, uncommitted, if none does. */
void writer_report(struct writer *w);

#endif

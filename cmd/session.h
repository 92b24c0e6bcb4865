/* The talk with the daemon: find it or start it, say HELLO, ask, take answers one by one. Blocking, with the two bounds that
 * keep a caller from waiting for the dead: silence without a step of the daemon's loop, and whatever bound the caller has. */
#ifndef SC_SESSION_H
#define SC_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/frame.h"
#include "lib/lockfile.h"
#include "lib/msg.h"
#include "lib/paths.h"

struct session {
	struct place place;   /* open from the first success of session_find on */
	struct lockfile lock; /* open once it was needed */
	int fd;		      /* -1: no connection */
	struct frames in;
	bool greeted;		      /* our HELLO is out */
	bool looks;		      /* how it was opened: SESSION_LOOK */
	uint64_t version;	      /* of the protocol, as its HELLO said; 0: not heard yet */
	char build[SC_BUILD_MAX + 1]; /* the same */
	char why[SC_PATH_MAX + 512];  /* after a failure: one sentence */
	const char *mend;	      /* … and what to do, or NULL */
	char mend_text[64];
};

#define SESSION_INIT                                                  \
	{                                                             \
		.place = {.dir_fd = -1}, .lock = {.fd = -1}, .fd = -1 \
	}

/* LOOK: only if a daemon lives, and nothing changes by it: a daemon of an older version stays, and is not to be asked anything.
 * JOIN: only if one lives; an older one goes. START: starts one if none does. */
enum session_how { SESSION_LOOK, SESSION_JOIN, SESSION_START };

/* Opens the cache directory (made or set to 0700 if how is SESSION_START). SC_ENOENT: not there, and not made · SC_EUNSAFE, SC_ESYS. */
int session_find(struct session *s, enum session_how how);

/* session_find if need be, then a connection. SC_ENOENT: none lives, and none was started · SC_ETIME, SC_EEOF, SC_EPEER, SC_EUNSAFE,
 * SC_ESYS … with `why`. */
int session_open(struct session *s, enum session_how how);
/* A connection that was handed over, past HELLO: a flight's own. Takes fd. */
void session_adopt(struct session *s, int fd);
void session_close(struct session *s);	 /* the connection alone */
void session_release(struct session *s); /* everything */

/* Sends a message, behind HELLO if it is the first. The descriptors stay the caller's. SC_EEOF, SC_ESYS. */
int session_say(struct session *s, const struct msg *m, const int *fds, size_t nfds);

/* The next message, HELLO passed over. Its bytes are valid until the next call. Descriptors are the caller's. SC_EAGAIN: wait_ms
 * is over (SC_FOREVER: no bound) · SC_ETIME: the daemon hangs · SC_EEOF: it is gone · SC_EPROTO · SC_ESYS with EINTR: a signal. */
int session_hear(struct session *s, struct msg *m, int fds[SC_FDS_MAX], size_t *nfds, uint64_t wait_ms);

/* Asks, on the connection there is or else a new one, and hears the first answer; anew (a few times, with a pause) when the daemon
 * went just then. SC_EPROTO besides: it is of another version, and stays. */
int session_ask(struct session *s, enum session_how how, const struct msg *q, struct msg *m, int fds[SC_FDS_MAX], size_t *nfds,
		uint64_t wait_ms);

#endif

/* What the verbs that only ask have in common: one question, and a message when it could not be put. */
#ifndef SC_TALK_H
#define SC_TALK_H

#include "cmd/session.h"

/* session_ask with a complaint under `what` on failure. 0, or the negative result of session_ask. No descriptors are expected;
 * those that come are closed. */
int talk_ask(struct session *s, enum session_how how, const char *what, const struct msg *q, struct msg *m);

/* The next answer on the same connection. */
int talk_next(struct session *s, const char *what, struct msg *m);

/* Asks for a list and hands over each of its rows, as they come. 0, or EXIT_FAILED, which has been said, and what had come by then was
 * handed over. How SESSION_LOOK: where no daemon lives, there are no rows. Releases the session. */
int talk_rows(struct session *s, enum session_how how, const char *what, const struct msg *q,
	      void (*each)(void *arg, const struct msg *m), void *arg);

#endif

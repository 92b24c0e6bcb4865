/* The table of messages: which a peer may send in which state, and what each one does. The only place that turns a message
 * into a call. */
#ifndef SC_DISPATCH_H
#define SC_DISPATCH_H

#include <stddef.h>

struct conn;
struct msg;

/* Takes the descriptors. A message that may not come now closes the connection. */
void dispatch(struct conn *c, const struct msg *m, int *fds, size_t nfds);

/* A listing's queue, or a watcher's, is empty: the next rows, or events. */
void dispatch_drained(struct conn *c);

/* The peer is gone: takes it out of every table. Called once, by conn_close. */
void dispatch_gone(struct conn *c);

#endif

/* The listening socket in the loop: accepts, checks who it is, hands over. Watches that the socket still lies where clients look
 * for it: a daemon that cannot be found goes (daemon_stop), so that there are never two of one directory. */
#ifndef SC_LISTENER_H
#define SC_LISTENER_H

#include <stdbool.h>

struct daemon;
struct listener;

/* Binds `sock` in the cache directory; the lock must be held. SC_EUNSAFE, SC_ESYS, SC_ENOMEM. */
int listener_open(struct listener **l, struct daemon *d);
void listener_close(struct listener *l); /* accepts no more; NULL is allowed */

/* After listener_close, in the same turn: takes the name away, if it is still our socket's. */
void listener_unlink(struct listener *l);

/* Looks whether path and socket still lead to us; if not, daemon_stop. The kernel has us look when a name goes, if listener_watches;
 * of a mount over the directory, or another one that takes the place of a parent, it says nothing: a slow ticker has to. */
void listener_check(struct listener *l);
bool listener_watches(const struct listener *l);

#endif

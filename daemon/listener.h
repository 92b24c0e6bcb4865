/* The listening socket in the loop: accepts, checks who it is, hands over. Watches that the socket still lies where clients look
 * for it: a daemon that cannot be found goes (daemon_stop), so that there are never two of one directory. */
#ifndef SC_LISTENER_H
#define SC_LISTENER_H

struct daemon;
struct listener;

/* Binds `sock` in the cache directory; the lock must be held. SC_EUNSAFE, SC_ESYS, SC_ENOMEM. */
int listener_open(struct listener **l, struct daemon *d);
void listener_close(struct listener *l); /* accepts no more; NULL is allowed */

#endif

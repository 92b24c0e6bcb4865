/* Those who watch: each is told of every event of its bucket and prefix, in their order, once. What is to be told lies in one ring for all
 * of them, with a bound of its own, and goes to each as far as it reads: a watcher that does not read costs a few events in its queue, holds
 * nobody up, and is told how many it has missed when the ring goes over what it has not had. While nobody watches nothing is noted.
 *
 * --initial, without a gap and without a repeat: every event from the question on is told, so an entry that is listed must have been there
 * before it. That is so if its run is none of those that went on then, and none begun since, which its order number says. */
#ifndef SC_WATCH_H
#define SC_WATCH_H

struct conn;
struct daemon;
struct event;
struct msg;

int watch_open(struct daemon *d); /* SC_ENOMEM */
/* When the connections are closed. */
void watch_close(struct daemon *d);
unsigned watch_count(const struct daemon *d);

/* event.c's. Sends nothing yet: watch_turn does. */
void watch_note(struct daemon *d, const struct event *e);

/* c watches from now on, until its connection ends. SC_EBUSY: so many do already · SC_ENOMEM. */
int watch_start(struct conn *c, const struct msg *m);
void watch_stop(struct conn *c); /* dispatch_gone's; nothing if it does not watch */

/* Once in each turn of the loop: what was noted in it goes to those whose queues are empty. */
void watch_turn(struct daemon *d);
/* c's queue is empty: the next ones. May close it. */
void watch_drained(struct conn *c);

#endif

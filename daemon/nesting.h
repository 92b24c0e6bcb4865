/* Who asks from inside of which run, and whether to let it wait would be waiting for itself.
 *
 * A peer is inside of the runs it names (SC_FLIGHTS) and of the run in whose command's session it lives. Every run that a peer
 * is inside of waits for what that peer reads or waits for. A peer that is inside of nothing closes no circle. */
#ifndef SC_NESTING_H
#define SC_NESTING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/buf.h"
#include "lib/gen.h"

struct conn;
struct daemon;
struct flight;
struct question;

/* Remembers, for as long as the peer is there, what it is inside of: the chain it sent, and its session. SC_ENOMEM. */
int nesting_locate(struct conn *c, const struct gen *chain, size_t nchain);
void nesting_forget(struct conn *c);

bool nesting_is_inside(const struct conn *c); /* of any living run */

/* Whether c, located, would wait for itself if it waited for this key, as it asks about it, or for this run. Without memory to find
 * out: true, a bypass is never wrong. */
bool nesting_by_key(struct conn *c, struct bytes bucket, struct bytes key, const struct question *q);
bool nesting_by_run(struct conn *c, struct flight *f);

/* The session of a run's command, from its pidfd; f is found by it until nesting_unlearn. 0: not to be known. */
pid_t nesting_learn(struct flight *f);
void nesting_unlearn(struct flight *f);

/* A process by a descriptor of it, for people to read. 0: it is over, or has no number in our process namespace. */
pid_t nesting_pid(int pidfd);

/* Peers of that session, which is now known to be a run's, may wait for themselves since before: they are asked again or, as
 * readers, cut off; then they come back and are told. One that waits for us to stop has waited long enough. */
void nesting_recheck(struct daemon *d, pid_t session);

/* Asks those again that wait for a key and by now would wait for themselves. */
void nesting_ask_again(struct daemon *d);

#endif

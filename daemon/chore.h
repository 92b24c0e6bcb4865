/* Chores: a REMOVE, CLEAR, TOUCH, SYNC or WALK that the index is at. A connection has one at a time; its next question before the answer closes
 * it. The answer is OK with how many it was about, or REFUSE. A chore whose peer has gone is done all the same, but for a CLEAR, which ends
 * with the batch it is at; the daemon does not go before it is done. */
#ifndef SC_CHORE_H
#define SC_CHORE_H

struct conn;
struct msg;

/* Runs of the key are doomed, and its entry goes. Refused while somebody holds the key. */
void chore_remove(struct conn *c, const struct msg *m);
/* The same of all that begin so, or have the tag, or of all. What is begun meanwhile is not asked about. */
void chore_clear(struct conn *c, const struct msg *m);
/* An entry that a `get` would be given is young again. */
void chore_touch(struct conn *c, const struct msg *m);
void chore_sync(struct conn *c, const struct msg *m);
/* Refused while somebody else has one done. */
void chore_walk(struct conn *c, const struct msg *m);

/* c is gone: nobody is answered. */
void chore_leave(struct conn *c);

#endif

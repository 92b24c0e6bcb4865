/* 2 DECIDE: gathers what is known of an ASK's key, asks decide(), carries out the verdict. */
#ifndef SC_ANSWER_H
#define SC_ANSWER_H

struct conn;
struct msg;

/* A new question. */
void answer_ask(struct conn *c, const struct msg *m);

/* Somebody wants to hold a key. */
void answer_hold(struct conn *c, const struct msg *m);

/* Something about the key c waits for has changed. */
void answer_again(struct conn *c);

/* A reader whose daemon is gone asks this one about its run. */
void answer_attach(struct conn *c, const struct msg *m);

/* The next row of the index for somebody who checks them all, with descriptors of its objects. It counts for nothing. */
void answer_next(struct conn *c, const struct msg *m);

#endif

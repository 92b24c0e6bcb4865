/* What must never happen, asked at the moments at which it could. Each ends the scenario with sim_fail if it has. */
#ifndef SC_SIM_CHECK_H
#define SC_SIM_CHECK_H

#include "tests/sim/people.h"

/* ---- what is true ---- */

/* Somebody lives who could finish the run. */
bool check_can_be_finished(const struct model *r);
/* The entry of its key is one for this client. */
bool check_is_fresh(const struct client *c);
bool check_is_stale(const struct client *c); /* … and may be served all the same */
/* The newest run of the key, of those numbered above `from`, beside which nobody may lead; NULL. */
struct model *check_in_the_way(const struct key_model *k, unsigned from);
/* errno: this daemon has heard a moment ago that a run of the key could not be stored; 0: as far as it knows it can. */
int check_unkept(const struct key_model *k);
/* LEAD is out: older runs of the key are nobody's any more. */
void check_counts(struct model *r);

/* ---- what must not be ---- */

/* A run's file was written. */
void check_born(struct model *r);
/* A mark is set in it. */
void check_doomed(struct model *r);
/* Its objects go. */
void check_unlink(struct model *r);
/* Somebody ends its page. */
void check_page_end(struct model *r, enum page_state state, bool by_daemon);
/* The daemon asks the index for its row; the index writes it. */
void check_commit_asked(struct model *r, const struct entry *e);
void check_commit(struct model *r);
/* The daemon hears that a row of the key was written. */
void check_kept(struct key_model *k);

/* The daemon hears a message of whoever is at that end. */
void check_heard(struct endpoint *e, const struct msg *m);
/* The daemon says something to whoever is at that end. */
void check_said(struct endpoint *e, const struct msg *m);
/* Whether the daemon's tables have the run. */
bool check_is_known(const struct model *r);
/* The command goes on. */
void check_command(struct writer *w);
/* A client has LEAD in its hands. */
void check_led(struct client *c, struct model *r);
/* The command of a hold begins. */
void check_holds(const struct model *r);
/* A writer begins to stop its command. */
void check_stop(struct writer *w);
/* A client sees that its run has ended. */
void check_told_end(const struct client *c);
/* The daemon cannot read what a run's writer says. */
void check_unheard(struct model *r);
/* A client has ended. */
void check_client(struct client *c);

/* A turn of the daemon is over; or it died in it. */
void check_turn(bool died);
void check_daemon_stopped(void);
void check_daemon_gone(void);

/* Nothing moves any more: who is left waits for what may never come. */
void check_rest(void);
/* … and nobody is left. */
void check_empty(void);

#endif

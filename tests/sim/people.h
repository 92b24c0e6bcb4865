/* Those who talk to the daemon: clients (cmd/get.c, follow.c, remove.c) and writers (cmd/writer.c), step by step as the real ones,
 * each step at a time of its own, and killable between any two. */
#ifndef SC_SIM_PEOPLE_H
#define SC_SIM_PEOPLE_H

#include "tests/sim/world.h"

#define CLIENTS_MAX 128

/* ---- session.c: one question to a daemon, as cmd/session.c asks it ---- */

enum how { LOOK, START };

/* rc: 0 and m, or an error and no m. */
typedef void (*told_fn)(void *arg, int rc, const struct msg *m, struct desc **fds, size_t nfds);

struct session {
	struct proc *proc;
	struct client *client;
	struct desc *sock; /* NULL: not connected */
	enum how how;
	struct msg q;
	unsigned tries, polls;
	bool waits;  /* was told WAIT: when this daemon goes, the next one is asked */
	bool single; /* no second try */
	told_fn told;
	void *arg;
	struct alarm alarm;
};

void session_init(struct session *s, struct proc *p, struct client *c, told_fn told, void *arg);
/* Asks, on the connection there is or a new one. After a WAIT more is told, until something else comes. */
void session_ask(struct session *s, enum how how, const struct msg *q);
/* As far as one can see without asking. *lost: the daemon has said that the run is. */
bool session_is_there(struct session *s, bool *lost);
/* On the connection there is, once. False: there is none. */
bool session_ask_on(struct session *s, const struct msg *q);
/* What still comes is not heard. */
void session_stop(struct session *s);
void session_close(struct session *s);
/* HELLO and whatever `m` is, to a daemon that listens. NULL: none does. */
struct desc *session_connect(void);

/* ---- client.c, reader.c ---- */

enum errand { GET, RM, LIST, STOP };

enum client_state {
	ASKING,	   /* no answer yet, or told to wait */
	RENEWING,  /* was given a stale entry and told to renew it: has asked, or has LEAD in its hands */
	JOINING,   /* has FOLLOW or LEAD in its hands */
	FOLLOWING, /* reads */
	ATTACHING, /* asks the next daemon about its run */
	NEEDED,	   /* its stdout takes no more: asks whether it may go */
	LEAVING,   /* said LEAVE */
	SEEING_OFF,
	GONE,
};

enum ending {
	END_NONE,
	END_STATUS,	/* all bytes, and the command's own status */
	END_MISS,	/* 1 */
	END_BYPASS,	/* ran the command itself */
	END_INCOMPLETE, /* 125 after good bytes */
	END_FAILED,	/* 125 without any */
	END_WAITED,	/* 124 */
	END_SIGNAL,
	END_STDOUT,
	END_KILLED,
	END_DONE, /* of an errand that is no get */
};

struct client {
	struct proc proc;
	enum errand errand;
	struct key_model *key;
	bool command, refresh, finish, finished, wait, strict, now, detached, put, if_absent, foreground;
	uint64_t ttl, accept, stale, wait_ms; /* wait_ms SC_FOREVER: no bound */
	struct gen chain[SC_CHAIN_MAX];
	size_t nchain;
	struct model *inside; /* the run whose command waits for it; NULL: none */

	enum client_state state;
	struct session session;
	struct alarm alarm;
	struct gen gen; /* of the run it reads or has lost */
	bool lost_once;
	uint64_t asked; /* when the question that stands was first put */
	struct model *run, *renewal;
	struct desc *fds[SC_FDS_MAX]; /* of LEAD, until the writer has them */
	bool leads, slot, sleeps, woken;
	uint64_t told_at, slot_since;
	uint64_t moved, looked, orphaned, seen, until;

	unsigned signal;
	bool stdout_closed, stdout_full, mute, looked_at_ring;

	struct model *printed_of;
	uint64_t printed, err_printed;
	struct model *first; /* the lost run it has printed first_len bytes of */
	uint64_t first_len;
	bool differs; /* the second run says something else */
	enum ending ending;
	uint32_t exit, exit_signal;

	/* as the daemon heard it: check.c's */
	unsigned runs_at_ask, runs_at_remove;
	bool renews;
	int unkept; /* … of its key before its REMOVE */
};

extern struct client *clients[CLIENTS_MAX];
extern unsigned nclients;

struct client *client_new(enum errand errand, struct key_model *k);
void client_start(struct client *c);
void client_kill(struct client *c);
void client_signal(struct client *c, unsigned signal);
void client_poll(struct client *c); /* its stdout has changed, or a signal has come */
/* For reader.c, and its for client.c. */
void client_end(struct client *c, enum ending e);
void client_bypass(struct client *c);
void client_on_lost(struct client *c); /* asks again, once */
void client_print(struct client *c, struct model *r, uint64_t out_len, uint64_t err_len);
void client_finish(struct client *c, const struct model *r);
void client_leave_slot(struct client *c);
void client_look_in(struct client *c, uint64_t ms);
struct bytes client_chain(const struct client *c);
void client_read(struct client *c); /* its next step */
void client_on_left(struct client *c, const struct msg *m);
void client_on_attached(struct client *c, const struct msg *m);
const char *client_describe(const struct client *c);
/* Wakes whoever sleeps on the page. */
void client_woken(struct model *r);
bool client_reads(const struct client *c, const struct model *r);

/* ---- holder.c: cmd/hold.c and its command ---- */

#define HOLDERS_MAX 64

enum holder_state { WANTING, WRITING, CONFIRMING, HOLDING, RELEASING, LEFT };

struct holder {
	struct proc proc;
	struct key_model *key;
	bool wait;
	uint64_t ttl, lasts; /* how long its command takes */
	enum holder_state state;
	struct session session; /* until HELD */
	struct alarm alarm, over;
	struct model *lease;
	struct desc *sock, *lock, *pidfd;
	unsigned tries, oks;
};

extern struct holder *holders[HOLDERS_MAX];
extern unsigned nholders;

void holder_start(struct key_model *k);
void holder_kill(struct holder *h);

/* ---- writer.c ---- */

enum writer_state { SPAWNING, RUNNING, CONNECTING, REPORTING, PUBLISHING, EXITING, DEAD };

struct writer {
	struct proc proc;
	struct model *run;
	enum writer_state state;
	struct desc *sock, *lock, *out, *err, *page, *pidfd;
	struct alarm turn, work, publish;
	bool put;	      /* no command: it has the bytes itself */
	struct client *child; /* that its command waits for */

	unsigned chunks; /* the command will print so often … */
	uint32_t exit, signal;
	bool exited;
	uint64_t pace; /* ms between two things the command does */

	bool registered, disowned;
	uint64_t slow; /* how much later it finds a daemon */
	uint64_t next_try;
	bool lonely, asked, empty_once;
	uint64_t look, looked;
	unsigned reader_signal;
	bool stopping, killed, stubborn;
	bool told_spilled; /* the daemon was told that what is printed cannot be stored */
	uint64_t kill, paused;
	unsigned tries, polls;
};

extern struct writer *writers[RUNS_MAX];
extern unsigned nwriters;

/* fds: those of LEAD; the four of the writer are taken. */
void writer_fork(struct model *r, struct client *c, struct desc *fds[LEAD_FDS]);
void writer_kill(struct writer *w);
void writer_turn_in(struct writer *w, uint64_t ms);
void writer_begin_stop(struct writer *w, unsigned signal);
/* Once, to a daemon that knows it. */
void writer_tell_spilled(struct writer *w);

/* ---- command.c ---- */

/* As the client that leads the run would have it. */
void command_prepare(struct writer *w, const struct client *c);
void command_publish(struct writer *w);
void command_died(struct writer *w, uint32_t signal);
void command_cancel(struct writer *w); /* a put that gets a signal */
void command_child_gone(struct writer *w, const struct client *c);

/* ---- rogue.c ---- */

void rogue_start(void);
void rogue_writer(struct writer *w);

#endif

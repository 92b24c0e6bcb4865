/* What the daemon, the clients and the writers share: a kernel (descriptors, sockets, the lock of a flight's file), what lies in
 * the cache directory, the memory of pages, and one daemon at a time. And, of each run and key, what has been promised about
 * it: check.c holds the others against that. */
#ifndef SC_SIM_WORLD_H
#define SC_SIM_WORLD_H

#include "daemon/daemon.h"
#include "daemon/index.h"
#include "lib/msg.h"
#include "lib/page.h"
#include "tests/sim/sim.h"

#define RUNS_MAX 600
#define KEYS_MAX 3

struct client;
struct conn;
struct flightfile;
struct model;
struct writer;

/* ---- kernel.c: processes, descriptors, sockets ---- */

struct proc {
	const char *what;
	unsigned number;
	bool alive;
	uint64_t paused_until; /* SIGSTOP */
	pid_t session;	       /* of a run's command; 0: another, that nobody knows */
};

/* How long it will still be stopped. */
uint64_t proc_pause(const struct proc *p);

enum desc_kind { DESC_OBJECT, DESC_PAGE, DESC_LOCK, DESC_SOCKET, DESC_PIDFD, DESC_FDINFO };

/* An open file description: `refs` descriptors, wherever they are. */
struct desc {
	enum desc_kind kind;
	unsigned refs;
	struct model *run;
	unsigned stream;
	bool writable;
	struct endpoint *end; /* DESC_SOCKET */
};

struct desc *desc_new(enum desc_kind kind, struct model *r); /* one reference, the caller's */
struct desc *desc_hold(struct desc *d);
void desc_drop(struct desc **d); /* NULL is allowed */

/* The daemon's table of descriptors. */
int fd_install(struct desc *d); /* takes the reference; -1 and errno where the machine refuses */
struct desc *fd_take(int fd);	/* out of the table; the reference is the caller's */
struct desc *fd_any(int fd);
struct desc *fd_look(int fd, enum desc_kind kind);
unsigned fds_open(void);
void fds_close_all(void);
void fds_forget(void); /* of a scenario that failed */

typedef void (*hear_fn)(void *arg, const struct msg *m, struct desc **fds, size_t nfds);

/* One message on its way, in the line of its socket or of a sender. */
struct parcel {
	struct parcel *next;
	struct desc *fds[SC_FDS_MAX];
	size_t nfds, n;
	uint8_t bytes[];
};

struct endpoint {
	struct endpoint *peer;
	struct parcel *first, **last;
	bool closed, told_end;
	struct proc *proc; /* whose it is; NULL: nobody reads it */
	hear_fn hear;	   /* m is NULL at the end. What is kept of fds is replaced by NULL */
	void *arg;
	struct client *client;	/* whose question it carries, if it is a client's */
	struct model *run;	/* which run it is about, if it is a writer's */
	struct model *lease;	/* what it holds, if it is a holder's */
	unsigned oks;		/* … and was told: the first is to HOLDING, the next to RELEASE */
	struct model *asked;	/* the run of its ATTACH */
	struct model *counted;	/* the run that the daemon has to count it a reader of */
	bool can_lead;		/* as it has said last */
	struct key_model *heir; /* it has lost a run of this key and has not been answered since */
	struct alarm alarm;
};

/* Two sockets that are connected to each other. */
void sockets_new(struct desc *pair[2]);
/* What arrives is told from now on. */
void endpoint_listen(struct endpoint *e, struct proc *p, hear_fn hear, void *arg);
void endpoint_deaf(struct endpoint *e);
bool endpoint_is_readable(const struct endpoint *e); /* the end is readable, too */
/* What the next message is (0: none has come), and not to hear it. */
enum msg_type endpoint_peek(const struct endpoint *e);
void endpoint_skip(struct endpoint *e);
/* Takes the references. False: the peer is gone. */
bool endpoint_send(struct endpoint *e, const struct msg *m, struct desc **fds, size_t nfds);
/* The same in two steps, for whoever has a queue. */
struct parcel *parcel_new(const struct msg *m, struct desc **fds, size_t nfds);
void parcel_drop(struct parcel *p);
bool endpoint_post(struct endpoint *e, struct parcel *p);
/* The next parcel at once, as one that arrived together with the one before. False: there is none. */
bool endpoint_next(struct endpoint *e);

/* Memory of the daemon: all of it goes with it. */
void memory_forget(void);
unsigned memory_blocks(void);

/* ---- syscalls.c ---- */

#define COMMAND_PID 100000

/* 0: there is no such process. */
pid_t session_of_command(unsigned run); /* fake_store.c */
pid_t session_of_peer(pid_t pid);	/* fake_conn.c */

/* ---- runs and keys ---- */

struct model {
	unsigned number;
	struct gen gen;
	struct key_model *key;
	uint64_t order, ttl_ms, stale_ms, keep_ms, born, created_wall_ms;
	bool renewal;
	struct client *leader; /* whom LEAD was sent to */
	struct writer *writer;

	/* no run: a key that is held, as far as this daemon has promised it */
	bool lease, mark_held;
	struct holder *holder;
	unsigned held_life; /* the last daemon that has said OK to HOLDING */
	bool let_go;	    /* a daemon has said OK to RELEASE */
	bool begun;	    /* its command has become what it is to be */

	/* its file in flights/ */
	bool file, torn, mark_doomed, mark_finish, finish_at_birth;
	struct desc *lock;

	/* its objects */
	bool object[2];
	uint64_t len[2];

	/* its page */
	int spilled; /* errno: what it prints from here on is only in the page's ring */
	uint64_t spilled_at;
	enum page_state state;
	uint32_t exit, signal, word;
	uint64_t out_len, err_len;
	unsigned slots;

	/* its command */
	uint64_t differs_at; /* from here on it prints what no other run does */
	struct gen chain[SC_CHAIN_MAX];
	size_t nchain;
	bool command_begun, command_alive;
	bool orphaned; /* it outlives its writer: only the daemon can end it */
	uint32_t killed_by;
	struct alarm death;
	bool dying;	    /* was sent a signal that ends it */
	uint64_t killed_at; /* by the daemon */
	uint64_t died_at;
	uint64_t zombies_until; /* somebody of its group is not reaped */
	bool foreground;	/* its group and its session are its caller's */
	pid_t session;

	/* what is known and promised */
	unsigned registered_life; /* the last daemon that knew its writer */
	unsigned pidfd_life;	  /* the last daemon that can kill its command */
	bool pidfd_offered;	  /* … that its writer gives to one it registers with */
	uint64_t unheard_at;	  /* when its daemon could not read what its writer said; 0: it can */
	uint64_t window;
	unsigned done_life;	/* the last daemon that heard DONE */
	bool done;		/* DONE was said: the lengths are final */
	bool good;		/* … and it may be kept */
	bool led;		/* LEAD is out: from now on it counts */
	bool to_finish;		/* somebody who joined said --finish */
	uint64_t stopped_at;	/* when its writer began to stop its command; 0: it has not */
	uint64_t read_at;	/* when last somebody read it */
	bool removing, removed; /* a REMOVE is in hand, was carried out */
	bool gone;		/* … and answered: never served any more */
	bool superseded;	/* a newer run of the key was led */
	unsigned stop_life;	/* the last daemon that had its command stopped */
	bool overdue;		/* doomed because its writer did not come back in time */
	bool disowned;		/* its writer was refused */
	bool commit_asked, commit_answered, committed;
	unsigned commit_life;	 /* the last daemon that asked for it */
	unsigned commit_epoch;	 /* of the index, when it became the row */
	unsigned settled_life;	 /* the last daemon that said SETTLED to its writer */
	unsigned streaming_life; /* the last daemon that knew that it is streaming-only */
	bool streaming_offered;	 /* … that its writer says so to one it registers with */
};

struct key_model {
	char name[8];
	bool has_row;
	struct entry row;
	struct model *row_run;

	/* what the last STREAMING was about, as the daemon heard it */
	int unkept; /* errno; 0: none was heard, or it was forgotten */
	uint64_t unkept_until;
	unsigned unkept_life;
	/* a renewal of it has failed, as one could see */
	uint64_t quiet_until;
	unsigned quiet_life;
};

struct world {
	struct model *runs[RUNS_MAX];
	unsigned nruns;
	struct key_model keys[KEYS_MAX];
	unsigned nkeys;
	unsigned index_epoch; /* stepped when the index is lost */
	uint64_t index_order; /* the highest ever committed to it */
	bool orphans;	      /* objects may be left: something died between two steps */
};

extern struct world world;

void world_begin(unsigned nkeys);
/* Whether their first n bytes are the same. */
bool run_begins_alike(const struct model *a, const struct model *b, uint64_t n);
struct model *run_of(const struct gen *g); /* NULL: never born */
struct key_model *key_model_of(struct bytes key);

/* fake_store.c */
void page_wake(struct model *r);
bool run_is_locked(const struct model *r);
void flight_file_goes(struct model *r); /* from flights/ */
void command_kill(struct model *r, uint32_t signal);
/* The daemon that could have ended them is gone: PDEATHSIG does, in time. */
void orphans_die(void);
/* fake_index.c */
void index_lose(void);	 /* the file is deleted */
void index_die(void);	 /* the thread dies with its process */
void index_forget(void); /* of a scenario that failed */
struct index *index_new(void);

/* ---- fake_daemon.c ---- */

struct life {
	struct proc proc; /* number: which daemon it is, from 1 */
	struct daemon d;
	bool listening, stop_wanted;
	bool in_turn;	 /* the daemon's code is running */
	unsigned die_in; /* so many steps into its next doings it is killed; 0: not */
	unsigned fuse;	 /* steps of this turn: too many are a loop without end */
	bool paused;	 /* ever: it may be late */
	unsigned nconns; /* ever accepted */
	bool found;	 /* it has found runs of the daemon before it */
	jmp_buf turn;
	uint64_t born;
	struct alarm start;
};

extern struct life life;

void daemon_begin(void);
/* Starts one a little later, unless there is one or one is on its way. */
void daemon_want(void);
void daemon_kill(void);
void daemon_quit(void); /* as after SIGTERM */
void daemon_turn(void (*fn)(void *arg), void *arg);
/* Where a daemon may be killed: before each thing it does to the world. */
void daemon_point(void);

/* fake_conn.c */
struct desc *daemon_connect(void); /* NULL: nobody listens */
void conns_die(void);
/* How many of the open ones have to be counted as readers of a run. */
unsigned conns_reading(const struct model *r);
/* Its readers who can lead have lost it; how many such there are of a key, those whom the daemon does not know to be gone among
 * them, unless they have to be here. */
void conns_inherit(const struct model *r);
unsigned conns_heirs(const struct key_model *k, bool here);
void conns_forget(void); /* of a scenario that failed */
void conns_bury(void);

#endif

/* The messages between client, writer and daemon: names, numbers, and flags. lib/PROTOCOL.md says what each one means. */
#ifndef SC_PROTO_H
#define SC_PROTO_H

/* Raised when a peer of the older number could misunderstand. Fields are only ever added, so most changes do not. The tests
 * build programs of another one. */
#ifndef SC_PROTO_VERSION
#define SC_PROTO_VERSION 2
#endif

enum msg_type {
	MSG_HELLO = 1, /* both ways, first */

	/* a client's questions */
	MSG_ASK = 10,
	MSG_ATTACH = 11,
	MSG_LEAVE = 12,
	MSG_REMOVE = 13,
	MSG_LIST = 14,
	MSG_FLIGHTS = 15,
	MSG_STATUS = 16,
	MSG_STOP = 17,
	MSG_PROVED = 18,
	MSG_NEXT = 19,
	MSG_WALK = 20,
	MSG_SYNC = 21,
	MSG_CLEAR = 22,
	MSG_TOUCH = 23,
	MSG_TAGS = 24,
	MSG_HOLD = 25,
	MSG_RELEASE = 26,

	/* the daemon's answers */
	MSG_HIT = 30,
	MSG_FOLLOW = 31,
	MSG_LEAD = 32,
	MSG_WAIT = 33,
	MSG_MISS = 34,
	MSG_REFUSE = 35,
	MSG_LEFT = 36,
	MSG_ENDED = 37,
	MSG_LOST = 38,
	MSG_OK = 39,
	MSG_ENTRY = 40,
	MSG_FLIGHT = 41,
	MSG_END = 42,
	MSG_REPORT = 43,
	MSG_ROW = 44,
	MSG_FLAW = 45,
	MSG_TAG = 46,
	MSG_HELD = 48,

	/* a writer speaks */
	MSG_REGISTER = 60,
	MSG_STARTED = 61,
	MSG_DONE = 62,
	MSG_MAY_STOP = 63,
	MSG_GROWN = 64,
	MSG_STREAMING = 65,
	MSG_HOLDING = 66, /* of a lease */

	/* the daemon to a writer */
	MSG_REGISTERED = 70,
	MSG_LONELY = 71,
	MSG_VERDICT = 72,
	MSG_SETTLED = 73,

	/* never sent: what a flight's file says of it */
	MSG_RECORD = 90,
};

/* Who may send a message; a column of the table in msg.c. */
enum msg_sender { SENDER_NONE = 0, SENDER_CLIENT = 1, SENDER_WRITER = 2, SENDER_DAEMON = 4 };

/* HELLO.flags */
enum { HELLO_LOOKS = 1u << 0 }; /* I only look: an older daemon is to stay */

/* ASK.flags */
enum {
	ASK_COMMAND = 1u << 0,	 /* I can run a command: may be answered LEAD */
	ASK_REFRESH = 1u << 1,	 /* only a run begun after this question will do */
	ASK_FINISH = 1u << 2,	 /* let the run end although nobody reads any more */
	ASK_FINISHED = 1u << 3,	 /* only what is finished: never FOLLOW */
	ASK_WAIT = 1u << 4,	 /* without a command: WAIT until the key begins to exist, instead of MISS */
	ASK_DETACHED = 1u << 5,	 /* if I am to lead: nobody is waited for by the run, nor ends it by leaving */
	ASK_PUT = 1u << 6,	 /* what I have is the run: only LEAD will do */
	ASK_GIVEN = 1u << 7,	 /* … and the object of `gen` is it, whole: lead with that */
	ASK_RENEW = 1u << 8,	 /* I have just been given a stale entry: lead, detached, unless somebody renews it by now */
	ASK_IF_ABSENT = 1u << 9, /* with PUT: only if there is neither an unexpired entry nor a run */
};

/* HOLD.flags */
enum { HOLD_WAIT = 1u << 0 }; /* WAIT until nobody else holds it, instead of REFUSE */

/* ATTACH.flags */
enum { ATTACH_COMMAND = 1u << 0 }; /* I can run a command, should the run be lost */

/* LEAVE.signal: what took the reader away; 0 is a closed pipe. LEAVE.flags: */
enum { LEAVE_UNLESS_LAST = 1u << 0 }; /* stay a reader if nobody else is one: LEFT then says so */

/* WAIT.reason */
enum wait_reason {
	WAIT_REGISTERING = 1, /* a run is known but its writer has not yet spoken to this daemon */
	WAIT_STOPPING = 2,    /* the run of this key is being stopped */
	WAIT_REFRESHING = 3,  /* two runs are going on; the next one is shared */
	WAIT_ABSENT = 4,      /* ASK_WAIT: nothing there yet */
	WAIT_DRAINING = 5,    /* STOP: flights are still going on; `count` of them */
	WAIT_HEIRS = 6,	      /* the run was lost; somebody else who read it may lead it again */
	WAIT_HELD = 7,	      /* somebody holds it, or begins to */
};

/* REFUSE.reason */
enum refusal {
	REFUSE_NESTED = 1,  /* the asker would wait for itself */
	REFUSE_STORE = 2,   /* an object, page or flight could not be made; `errno` and `text` say why */
	REFUSE_VERSION = 3, /* we do not speak the same protocol */
	REFUSE_BUSY = 4,    /* too many at once */
	REFUSE_UNKEPT = 5,  /* what it prints could not be stored a moment ago (`errno`): do not share it */
	REFUSE_HELD = 7,    /* somebody holds it: `text` says who */
	REFUSE_EXISTS = 6,  /* ASK_IF_ABSENT: there is an entry or a run */
};

/* How a run ended: DONE.outcome, ENDED.outcome. */
enum outcome {
	OUTCOME_ENDED = 1,     /* the command ended by itself; exit and signal say how */
	OUTCOME_CANCELLED = 2, /* it was stopped because nobody read it */
};

/* The descriptors of LEAD and (the first three) of FOLLOW, in their order. */
enum lead_fd { LEAD_OUT, LEAD_ERR, LEAD_PAGE, LEAD_OUT_WRITE, LEAD_ERR_WRITE, LEAD_SOCKET, LEAD_LOCK, LEAD_FDS };
#define FOLLOW_FDS 3

/* REGISTER.flags */
enum {
	REGISTER_STOPPING = 1u << 1,  /* the command is being stopped: nobody is to join */
	REGISTER_STREAMING = 1u << 2, /* as STREAMING says */
};

/* LEFT.flags, VERDICT.flags, SETTLED.flags */
enum { LEFT_STOPPING = 1u << 0, LEFT_STAYED = 1u << 1 };
enum { VERDICT_STOP = 1u << 0 };
enum { SETTLED_COMMITTED = 1u << 0, SETTLED_OVERTAKEN = 1u << 1 };

/* HIT.flags */
enum {
	HIT_VERIFY = 1u << 0, /* to be compared with its sums before it is used, and PROVED */
	HIT_STALE = 1u << 1,  /* older than its ttl, or than what was asked for, and good enough by `stale` */
	HIT_RENEW = 1u << 2,  /* … and nobody renews it: ASK_RENEW */
};

/* PROVED.flags */
enum { PROVED_BAD = 1u << 0 }; /* its bytes are not those of its sums, or cannot be read */

/* CLEAR.flags */
enum { CLEAR_EVERY = 1u << 0 }; /* of every bucket, every key: `bucket` and `text` say nothing */

/* WALK.flags */
enum { WALK_ONLY_LOOK = 1u << 0 }; /* count, change nothing */

/* FLAW.reason */
enum flaw {
	FLAW_MISSING = 1,    /* an object is not there */
	FLAW_SIZE = 2,	     /* it is longer or shorter than the row says */
	FLAW_UNSAFE = 3,     /* a link, no file, not ours, or writable by others */
	FLAW_UNREADABLE = 4, /* it cannot be opened now: `error`. That proves nothing */
};

/* STARTED.flags, REGISTER.flags */
enum { STARTED_FOREGROUND = 1u << 0 }; /* the command's session is its caller's, not one of its own */

/* STOP.flags */
enum { STOP_NOW = 1u << 0 };

/* Bytes in a flight's file that are set later: where they lie. */
enum flight_mark {
	MARK_DOOMED = 8, /* not to be committed, not to be joined */
	MARK_FINISH = 9, /* not to be stopped when nobody reads */
	MARK_HELD = 10,	 /* of a lease: VALUE is whole */
};

/* RECORD.flags */
enum { RECORD_RENEWAL = 1u << 0 }; /* of an entry that is served meanwhile */

/* RECORD.kind */
enum flight_kind { KIND_RUN = 1, KIND_LEASE = 2 };

#endif

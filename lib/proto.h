/* The messages between client, writer and daemon: names, numbers, and flags. lib/PROTOCOL.md says what each one means. */
#ifndef SC_PROTO_H
#define SC_PROTO_H

/* Raised when a peer of the older number could misunderstand. Fields are only ever added, so most changes do not. The tests
 * build programs of another one. */
#ifndef SC_PROTO_VERSION
#define SC_PROTO_VERSION 4
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
	MSG_STATS = 27,
	MSG_WATCH = 28,
	MSG_EXPLAIN = 29,

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
	MSG_TALLY = 49,
	MSG_EVENT = 50,
	MSG_MISSED = 51,
	MSG_CAUSE = 52,
	MSG_SEALER = 53,

	/* a client's question, too */
	MSG_SEALERS = 55,

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

	/* a client, unasked: behind everything else, so that a number of its own keeps it apart */
	MSG_LOADED = 80,

	/* never sent: what a flight's file says of it */
	MSG_RECORD = 90,
	MSG_SEALED_RECORD = 91, /* … where the run is sealed */
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
	ASK_SEALED = 1u << 10,	 /* what I may lead is to be sealed, and an entry in the clear is none */
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
	OUTCOME_GIVEN_UP = 3,  /* of put: it ended before its input did */
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
enum { LEFT_STOPPING = 1u << 0, LEFT_STAYED = 1u << 1, LEFT_DOOMED = 1u << 2 };
enum { VERDICT_STOP = 1u << 0 };
enum { SETTLED_COMMITTED = 1u << 0, SETTLED_OVERTAKEN = 1u << 1 };

/* HIT.flags */
enum {
	HIT_VERIFY = 1u << 0, /* to be compared with its sums before it is used, and PROVED */
	HIT_STALE = 1u << 1,  /* older than its ttl, or than what was asked for, and good enough by `stale` */
	HIT_RENEW = 1u << 2,  /* … and nobody renews it: ASK_RENEW */
	HIT_OTHER = 1u << 3,  /* another command made it than the one that was asked with */
	HIT_LOAD = 1u << 4,   /* when it is printed, put it into memory for those who come next: LOADED */
	HIT_MEMORY = 1u << 5, /* the descriptors are those of memory, and not to be VERIFYed */
};

/* ENTRY.flags */
enum {
	ENTRY_MEMORY = 1u << 0, /* it lies in memory, too */
	ENTRY_SEALED = 1u << 1,
};

/* SEALER.flags */
enum { SEALER_HERE = 1u << 0 }; /* the daemon has that key: the entries can be opened */

/* FOLLOW.flags */
enum { FOLLOW_OTHER = 1u << 0 }; /* another command makes it than the one that was asked with */

/* LEAD.flags */
enum { LEAD_SHOW = 1u << 0 }; /* the command may be shown: STARTED and REGISTER are to say it */

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

/* WATCH.flags */
enum { WATCH_INITIAL = 1u << 0 }; /* what there is first: runs as START, entries as COMMIT */

/* EVENT.kind: what has become of a key. Numbers are never given anew. */
enum event_kind {
	EVENT_START = 1,   /* a run has begun */
	EVENT_COMMIT = 2,  /* … has ended well, and there is an entry */
	EVENT_FAIL = 3,	   /* … has failed */
	EVENT_CANCEL = 4,  /* … was stopped, because nobody read it */
	EVENT_LOST = 5,	   /* … has lost its writer */
	EVENT_END = 6,	   /* … has ended well, and is not kept: EVENT.reason */
	EVENT_REMOVE = 7,  /* an entry has gone because somebody said so; `reason` 1: because it is damaged */
	EVENT_EXPIRE = 8,  /* … because its time is over */
	EVENT_EVICT = 9,   /* … to make room */
	EVENT_HOLD = 10,   /* a lease was taken */
	EVENT_RELEASE = 11 /* … and is over */
};

/* EVENT.flags */
enum {
	EVENT_INITIAL = 1u << 0, /* it was so when the watch began */
	EVENT_KEPT = 1u << 1,	 /* FAIL: the failure is kept */
};

/* EVENT.reason of END */
enum unkept {
	UNKEPT_DOOMED = 1, /* its key was removed meanwhile, or refreshed */
	UNKEPT_TTL = 2,	   /* by its ttl of 0 it was not to be kept */
	UNKEPT_STORE = 3,  /* it could not be stored: `error` */
	UNKEPT_NEWER = 4,  /* a newer one was there already */
};

/* EVENT.reason of CANCEL */
enum { CANCEL_PUT = 1 }; /* it was a put that ended before its input did */

/* EVENT.reason of REMOVE */
enum { REMOVED_DAMAGED = 1 }; /* its objects were not what they should be */

/* CAUSE.kind: why there was nothing. Kept in the index: numbers are never given anew. */
enum cause_kind {
	CAUSE_NONE = 0,	       /* never sent: nothing is to be said */
	CAUSE_NEVER = 1,       /* nothing is known of the key: never seen, or forgotten */
	CAUSE_EXPIRED = 2,     /* the entry's time was over, at `created` */
	CAUSE_OLD = 3,	       /* it was older than the question wanted it */
	CAUSE_REFRESHED = 4,   /* the question wanted a new one */
	CAUSE_FAILED = 5,      /* the run failed: `exit`, `signal` */
	CAUSE_CANCELLED = 6,   /* … was stopped, because nobody read it */
	CAUSE_LOST = 7,	       /* … lost its writer */
	CAUSE_UNKEPT = 8,      /* … was not to be kept, by its ttl of 0 */
	CAUSE_TOO_LARGE = 9,   /* what it printed was too large */
	CAUSE_DISK_FULL = 10,  /* … found no room on the disk: `error` */
	CAUSE_UNSTORED = 11,   /* … could not be stored for another reason: `error` */
	CAUSE_EVICTED = 12,    /* the entry went to make room */
	CAUSE_REMOVED = 13,    /* … was removed */
	CAUSE_UNREADABLE = 14, /* … was missing, damaged, or not to be read */
	CAUSE_NESTED = 15,     /* the question came from inside of its own run, and its command was run directly */
	CAUSE_COMMAND = 16,    /* none of a miss: what was given had been made by another command */
	CAUSE_GIVEN_UP = 17,   /* the run was a put that ended before its input did */
	CAUSE_DOOMED = 18,     /* … was removed while it went on, or a newer one asked for */
};

/* CAUSE.flags */
enum {
	CAUSE_OF_MISS = 1u << 0, /* of the last question that was a miss, which came `age` ago */
	CAUSE_OF_HIT = 1u << 1,	 /* … of the last one that was given what another command makes or made */
};				 /* neither: what became of the last run or entry */

/* TALLY.flags */
enum {
	TALLY_CACHE = 1u << 0,	/* of the whole cache and its daemon; `bucket` says nothing */
	TALLY_OTHERS = 1u << 1, /* of all buckets that there was no room to count for themselves; the same */
};

/* TALLY.kind. First what is counted by bucket since the daemon began, then what is measured when it is asked for. */
enum tally {
	TALLY_HITS,	    /* questions answered by an entry that was fresh */
	TALLY_STALE,	    /* … by one that was too old but for its grace */
	TALLY_FAILURES,	    /* … by a kept failure */
	TALLY_FOLLOWS,	    /* … by somebody else's run */
	TALLY_LEADS,	    /* … by a run of their own */
	TALLY_MISSES,	    /* … by nothing, to who had no command */
	TALLY_BYPASSES,	    /* … by a refusal: to be run directly */
	TALLY_COMMITS,	    /* runs, by their ends */
	TALLY_FAILS,	    /* … */
	TALLY_CANCELS,	    /* … */
	TALLY_LOST,	    /* … */
	TALLY_UNKEPT,	    /* … that ended well */
	TALLY_REMOVED,	    /* entries that went */
	TALLY_EXPIRED,	    /* … */
	TALLY_EVICTED,	    /* … */
	TALLY_BYTES_SERVED, /* of entries, to those who were answered by them */
	TALLY_BYTES_STORED, /* of runs that were kept */
	TALLY_MEMORY_HITS,  /* answers by an entry whose bytes came from memory */
	TALLY_BYTES_MEMORY, /* … those bytes */
	TALLY_LOADS,	    /* entries that were put there */
	TALLIES,	    /* how many are counted */

	TALLY_ENTRIES = 64, /* finished entries */
	TALLY_BYTES,	    /* what they take of the disk */
	TALLY_RUNS,	    /* in progress */

	TALLY_CONNS = 96,  /* of the cache alone: open connections */
	TALLY_WATCHERS,	   /* … of those that watch */
	TALLY_BAD,	   /* entries found damaged since the daemon began */
	TALLY_UPTIME,	   /* ms */
	TALLY_STARTED,	   /* Unix ms */
	TALLY_MAX_BYTES,   /* the limits; 2^64 - 1: none */
	TALLY_MAX_ENTRIES, /* … */
	TALLY_MEMORY_ENTRIES,
	TALLY_MEMORY_BYTES,	/* what entries in memory take of it */
	TALLY_MAX_MEMORY_BYTES, /* … and may take */
};

/* FLIGHT.flags: those of a run are its enum flight_state (daemon/flight.h) */
enum { FLIGHT_IS_LEASE = 16 };

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

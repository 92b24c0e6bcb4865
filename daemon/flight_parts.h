/* What the files of a flight share: flight.c (its life), flight_begin.c (its birth), flight_end.c, flight_table.c (all of them, and
 * a new daemon's first look), nesting.c (who waits for whom). Nobody else includes this. */
#ifndef SC_FLIGHT_PARTS_H
#define SC_FLIGHT_PARTS_H

#include "daemon/event.h"
#include "daemon/flight.h"
#include "daemon/key.h"
#include "lib/page.h"

struct flight {
	struct daemon *d;
	struct gen gen;
	uint64_t order;
	char bucket[SC_BUCKET_MAX + 1];
	char tags[SC_TAGS_SIZE + 1];
	uint8_t command[SC_COMMAND_SIZE]; /* cmdline.h */
	struct buf shown;		  /* its words, if they may be shown */
	struct key *key;		  /* NULL once settled */
	struct flight *next, *prev;	  /* in key->flights */
	enum flight_state state;
	bool doomed, finish;
	bool given_up;	  /* a put that ended before its input did */
	bool renewal;	  /* of an entry that is served meanwhile */
	bool streaming;	  /* not to be joined, not to be committed: its objects are not all of it */
	bool foreground;  /* its command is in its caller's process group */
	bool drain;	  /* counted in daemon.drain */
	bool told_lonely; /* the writer was asked whether anybody reads */
	struct sealed_by sealed;
	uint64_t ttl_ms, stale_ms, keep_ms; /* as it was asked for; keep: if it fails */
	uint64_t out_size, err_size;	    /* of its objects, as its writer has told: 0 below SC_GROWN_STEP */
	uint64_t limit;			    /* of both together; SC_FOREVER: none */
	uint64_t created_wall_ms;
	uint64_t began_ms; /* the same moment by CLOCK_BOOTTIME */
	uint64_t awaited_since_ms, dying_since_ms;
	struct page *page;  /* NULL while awaited */
	int out_fd, err_fd; /* read-only, from birth or registration until DONE: to prove what is committed */
	int pidfd;	    /* of the command; -1 before it started */
	pid_t session;	    /* nesting.c's: of the command, 0: not known */
	unsigned number;    /* … and a scratch of its search */
	struct conn *writer;
	struct conn *readers;
	unsigned nreaders;
	unsigned leave_signal; /* what took the last reader away */
	uint32_t next_slot;
	enum page_state end; /* how it ended, once it did */
	uint32_t exit, signal;
	uint64_t end_out, end_err;    /* bytes of its streams then */
	int error;		      /* they could not grow, because of this errno; 0: they could */
	UT_hash_handle hh;	      /* by generation */
	UT_hash_handle by_session_hh; /* while session is known */
	size_t key_len;
	uint8_t key_bytes[];
};

struct flights {
	struct flight *by_gen; /* every one, settled ones too */
	struct flight *by_session;
	unsigned count; /* not settled */
	unsigned awaited;
	struct ticker *check;  /* while some are awaited */
	struct ticker *census; /* after registrations: whose readers have all gone? */
	struct ticker *dying;  /* while commands of lost runs are being killed */
	struct ticker *early;  /* until readers from before us have come back */
};

struct flightfile;

static inline struct bytes flight_bucket(const struct flight *f)
{
	return bytes_of(f->bucket);
}

static inline struct bytes flight_key(const struct flight *f)
{
	return (struct bytes){f->key_bytes, f->key_len};
}

/* ---- flight.c ---- */

/* Tells of it: what is known of its end is in it. reason: of EVENT_END. */
void flight_tell(struct flight *f, enum event_kind kind, unsigned reason, unsigned flags);

/* Every change of state, and its line in the log. */
void flight_set_state(struct flight *f, enum flight_state to, const char *why);

/* A flight in the tables, without anything on disk. NULL: no memory. */
struct flight *flight_new(struct daemon *d, const struct flightfile *file);

void flight_free(struct flight *f);

/* What it prints cannot be stored any more, because of this errno: nobody joins it, nor, for a while, the next ones of its key. */
void flight_become_streaming(struct flight *f, int error);

/* ms since LEAD. */
uint64_t flight_age(const struct flight *f);

/* Before its objects may be unlinked: who closes a large file that has no name any more waits until its blocks are free. */
void flight_close_objects(struct flight *f);

/* Page and objects, which its writer brings again when it registers. Its command can still be killed. */
void flight_let_go(struct flight *f);

/* ---- flight_table.c ---- */

/* Its writer is expected to register: with this daemon for the first time, or once more. */
void flight_await(struct flight *f, const char *why);

/* ---- flight_end.c ---- */

/* Out of the tables, so that whoever asks from now on no longer meets it. Its waiters are asked again by the caller (key_changed
 * with the key this returns), when everything else about the end is done. */
struct key *flight_take_out(struct flight *f);

/* Removes what an uncommitted run has on disk, off the loop: the objects first, so that the file tells of them until they are gone. */
void flight_discard(struct daemon *d, const struct gen *g);

/* A run that ends without its writer's word: kills what is left of its command and, when that is dead, publishes `end`. */
void flight_end_unfinished(struct flight *f, enum page_state end, const char *why);
void flights_on_dying(struct daemon *d, void *arg); /* the ticker's */

/* ---- flight.c ---- */

void flight_add_reader(struct flight *f, struct conn *c);
/* Asks the writer whether anybody reads, if no connection does. */
void flight_tell_lonely(struct flight *f);

/* The keys of its streams, into room, as messages carry them; none of one that is clear. SC_ENOENT: the key it is sealed under is not here. */
int flight_keys(const struct flight *f, struct seal_key room[2], struct bytes *keys);

/* A second descriptor of the same description, close-on-exec; -1 and errno. */
int flight_dup_fd(int fd);

#endif

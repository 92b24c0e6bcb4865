/* One run: who writes it, who reads it, how far it is, how it ends. Owns the table of flights
 * and the files of flights/. Every change of a flight's state is made, and logged, in one function.
 *
 *   awaited ──▶ running ──▶ committing ──▶ settled ──▶ (gone)
 *                 │ │ └──────────────────────▲  ▲
 *                 │ └──▶ stopping ───────────┘  │
 *                 │         ▼                   │
 *                 └──────▶ dying ───────────────┘
 *
 *   awaited     found in flights/ by a new daemon, locked, or its writer could not be heard: it has not registered yet
 *   running     its writer's connection is open
 *   stopping    nobody reads it: its command is being stopped; newcomers wait. From awaited, too, if it was when its writer
 *               came back
 *   committing  it ended well; the index has not answered yet
 *   dying       its writer is gone; what is left of its command has been killed and is not dead yet; newcomers wait
 *   settled     out of the tables; its writer has the answer and publishes it
 * From every state it is gone when its writer's connection ends (awaited: when the lock is free), from running and stopping through
 * dying; from running that is a lost run. */
#ifndef SC_FLIGHT_H
#define SC_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/decide.h"
#include "lib/buf.h"
#include "lib/gen.h"

enum flight_state { FLIGHT_AWAITED, FLIGHT_RUNNING, FLIGHT_STOPPING, FLIGHT_COMMITTING, FLIGHT_DYING, FLIGHT_SETTLED };

struct flight;

/* Reads flights/: what is locked is awaited, the rest is removed with its objects. Before the socket accepts. */
int flights_open(struct daemon *d);
/* Forgets all of them; the runs go on and register with the next daemon. */
void flights_close(struct daemon *d);
unsigned flights_count(const struct daemon *d); /* settled ones not counted */

/* What the key's flights mean to somebody who asks; `nested` is not looked at. */
void flights_known(struct daemon *d, struct bytes bucket, struct bytes key, struct known *k, struct flight **run);
struct flight *flight_find(struct daemon *d, const struct gen *g);
const struct gen *flight_gen(const struct flight *f);
bool flight_is_awaited(const struct flight *f);
/* Not to be kept: it was removed, or refreshed. */
bool flight_is_doomed(const struct flight *f);
/* Whether another command makes it (cmdline.h). */
bool flight_is_of_other(const struct flight *f, const uint8_t command[SC_COMMAND_SIZE]);
/* Runs were found going on, and those that read them are still coming back: who waits for whom is not known yet. */
bool flights_are_early(const struct daemon *d);

/* Up to `limit` flights of a bucket with an order above `after`, oldest first. */
typedef void (*flight_row)(void *arg, const struct msg *m);
unsigned flights_list(struct daemon *d, struct bytes bucket, uint64_t after, unsigned limit, flight_row each, void *arg);

/* A new run for what c asked: makes file, objects, page and connection, sends LEAD, and makes c its first reader.
 * SC_ESYS (errno: disk full, no descriptors …), SC_ENOMEM: nothing is left of it. */
int flight_begin(struct conn *c, const struct ask *ask);

/* Sends FOLLOW and makes c a reader. SC_ENOENT, SC_ESYS: nothing was sent. */
int flight_join(struct flight *f, struct conn *c, const struct ask *ask);
/* The same for one that has the descriptors already. */
void flight_attach(struct flight *f, struct conn *c);

/* c reads no more. `signal` is what took it away. Tells the writer if it was the last. Returns how many others there are;
 * *stopping: whether the run will be stopped. */
unsigned flight_leave(struct conn *c, unsigned signal, bool *stopping);

/* Whether the run would be stopped if c left. */
bool flight_is_last(const struct conn *c);

/* Not to be committed, not to be joined any more. */
void flight_doom(struct flight *f);
/* Dooms every flight of the key: how many. */
unsigned flights_doom(struct daemon *d, struct bytes bucket, struct bytes key);

/* The same for every key of the bucket (n 0: of every one, whatever the prefix) that begins so, which may be tried anew from now on
 * (key_forget). SC_ENOMEM: nothing is doomed. */
int flights_doom_all(struct daemon *d, struct bytes bucket, struct bytes prefix, unsigned *n);

/* Dooms every flight of the bucket that has the tag. SC_ENOMEM: none is doomed. */
int flights_doom_tagged(struct daemon *d, struct bytes bucket, struct bytes tag, unsigned *n);

/* ---- what a writer says ---- */
/* An awaited flight's writer is back: checks its page and objects, and makes c the flight's connection. What it keeps of fds it
 * replaces by -1. SC_ECORRUPT, SC_ESYS …: not this flight's. */
int flight_register(struct flight *f, struct conn *c, const struct msg *m, int *fds, size_t nfds);
void flight_started(struct flight *f, int pidfd, const struct msg *m); /* takes pidfd */
void flight_done(struct flight *f, const struct msg *m);
void flight_may_stop(struct flight *f);
/* Its objects cannot grow any more, because of this errno: from here on only those see all of it who read it already. Newcomers run
 * their own, for a while also after its end. */
void flight_streaming(struct flight *f, int error);
/* Its objects have so many bytes: room is made for the next ones. */
void flight_grown(struct flight *f, uint64_t out_size, uint64_t err_size);
void flight_writer_gone(struct conn *c);

/* ---- limits ---- */

/* What the runs of a bucket (NULL: all runs) take of the disk; and what they may take before they say so. */
struct usage {
	uint64_t bytes, ahead;
};
struct usage flights_usage(const struct daemon *d, const char *bucket);
/* How many runs of the bucket go on. */
unsigned flights_in(const struct daemon *d, const char *bucket);
/* The largest of them that may still grow; NULL: none has told that it has. */
struct flight *flights_largest(const struct daemon *d, const char *bucket);
/* The objects of the run, together, may have so many bytes; what comes after is for its readers only, and it is not kept, because of this
 * errno. */
void flight_set_limit(struct flight *f, uint64_t bytes, int error);
/* … as many as it has. */
void flight_stop_growing(struct flight *f);

/* Marks those that go on now for daemon.drain: how many. */
unsigned flights_mark_drain(struct daemon *d);

#endif

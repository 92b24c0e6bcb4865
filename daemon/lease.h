/* Leases: keys that `sc hold` says exist as long as its command runs. Owns the table of them and, in flights/, their files.
 *
 *   begun ──▶ held ──▶ (gone)          begun     its holder was told HELD; VALUE is not whole yet, and who asks for the key waits
 *     │        ▲ │                     held      its holder's connection is open: VALUE is what the key is
 *     │        │ └──▶ ending ──▶ (gone)
 *     │   awaited ─▶ ending / (gone)   awaited   found in flights/, locked: its holder lives and has not spoken to this daemon yet
 *     └──▶ (gone)                      ending    its holder is dead, its command has been killed and is not dead yet
 *
 * Promised: of one key there is one lease at a time, and while there is nobody stores or begins anything of that key, nor removes it.
 * What was made of it before is gone before the holder is told that it holds. A lease ends when its holder says so, or when holder and
 * command are dead, and that is proved by the kernel: the holder's connection, the lock of the file, the command's pidfd. Only of an
 * awaited one time decides: after its -t it is gone, whoever holds the lock. A daemon that goes leaves all as they are. */
#ifndef SC_LEASE_H
#define SC_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/decide.h"
#include "daemon/event.h"
#include "lib/buf.h"
#include "lib/gen.h"

struct ask;
struct conn;
struct daemon;
struct flightfile;
struct key;
struct lease;
struct msg;

/* The table, before flights/ is read. SC_ENOMEM. */
int leases_open(struct daemon *d);
/* Forgets all; their holders register with the next daemon. */
void leases_close(struct daemon *d);
unsigned leases_count(const struct daemon *d);

/* A lease's file, of a new daemon's first look into flights/. */
void lease_found(struct daemon *d, const struct flightfile *file, bool locked);

/* The lease of a key as it is at this moment; one that is over by now ends first, and whoever waits for that is asked again. NULL:
 * nobody holds it. */
struct lease *lease_find(struct daemon *d, struct bytes bucket, struct bytes key);
/* The same, and nothing ends by it; and some lease of the bucket (n 0: of any) whose key begins so. */
const struct lease *lease_look(struct daemon *d, struct bytes bucket, struct bytes key);
const struct lease *lease_look_prefix(struct daemon *d, struct bytes bucket, struct bytes prefix);
/* Whether VALUE can be given. */
bool lease_is_there(const struct lease *l);
/* Whether one of these is it. */
bool lease_is_among(const struct lease *l, const struct gen *chain, size_t n);
/* Each whose VALUE can be given, as its HOLD was told, and ms since it began. What `each` is given is the lease's own. */
void leases_list(struct daemon *d, void (*each)(void *arg, const struct event *e, uint64_t age_ms), void *arg);
/* As FLIGHTS and EXPLAIN tell of it. Points into the lease. */
struct msg lease_row(const struct lease *l);
/* The one of the bucket with the lowest order above `after`. NULL: there is none. */
const struct lease *leases_next(const struct daemon *d, struct bytes bucket, uint64_t after);
/* Who holds it, for people: "pid 4711, for 12s". Returns out. */
char *lease_describe(const struct lease *l, char out[128]);

/* Begins one for what c asked, and says HELD when nothing made of the key before is left. SC_ESYS, SC_ENOMEM: nothing is left of it,
 * nothing was said. */
int lease_begin(struct conn *c, const struct ask *ask);
/* Says HIT, of VALUE. SC_ENOENT, SC_EUNSAFE, SC_ESYS: nothing was said. */
int lease_give(const struct lease *l, struct conn *c);

/* ---- what a holder says ---- */

/* VALUE is whole; here is the command. Also to a daemon that has found the lease. Takes pidfd. */
void lease_holding(struct conn *c, const struct msg *m, int pidfd);
/* The command has ended. */
void lease_release(struct conn *c, const struct msg *m);
/* Its connection has ended, whatever it holds. */
void lease_holder_gone(struct conn *c);

#endif

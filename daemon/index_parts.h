/* What the files of the index share, and nobody else: index.c (its life, and putting jobs) and index_read.c (lookups) are the loop's side;
 * index_file.c opens it and moves it aside; index_thread.c takes the jobs, index_row.c, index_sweep.c and index_evict.c do them. */
#ifndef SC_INDEX_PARTS_H
#define SC_INDEX_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "daemon/index.h"
#include "daemon/jobs.h"
#include "daemon/sql.h"
#include "daemon/walk.h"

/* Rows of one step of the walk. */
#define WALK_ROWS 256

/* Where a walk is among the rows. What it saw in a transaction that is rolled back it has to see again. */
struct walked {
	int64_t row; /* the last one it looked at; -1: it is among the objects */
	uint64_t rows, bad_rows;
};

struct index {
	int dir_fd; /* borrowed */
	struct log *log;
	uint8_t boot_id[16];
	char file[SC_PATH_MAX + 16]; /* a path of index.db for SQLite */

	/* the loop's thread */
	struct sql *reader;
	unsigned reader_epoch, told_epoch;
	int64_t reader_boot; /* boots.id of boot_id in the reader's file */
	uint8_t secret[16];  /* … and what command lines are keyed with in it */
	bool listing;	     /* a statement of the reader is in use */
	index_gone gone;     /* may be NULL */
	void *gone_arg;

	/* the index thread; before it is born and after it has died the loop's */
	struct sql *writer;	       /* NULL: could not be opened anew; the next job tries */
	char why[128];		       /* the file is bad; empty: corrupt */
	struct walk *walk;	       /* NULL: none is under way */
	struct walked walked, walking; /* … and how far it is: by what is committed, and in the transaction under way */

	/* both */
	pthread_t thread;
	struct jobs jobs;
	_Atomic uint64_t order, count, bytes;
	_Atomic uint64_t device, inode; /* of the file of this epoch */
	_Atomic int64_t boot;		/* boots.id of boot_id in the file of this epoch */
	_Atomic unsigned epoch;		/* stepped for each file that is opened; from 1 */
};

/* Where SQLite finds index.db in dir_fd. Before anything else. SC_ESYS. */
int index_locate(struct index *ix);
/* Opens the writing connection anew, makes the file and its tables if need be, sets order, count, boot and epoch. What is
 * there is moved aside if it is bad, or known to be. On a full disk objects make room for it (room.h). SC_ECORRUPT only if that did
 * not help. */
int index_open_writer(struct index *ix, bool bad);
/* Whether it is for want of space on the disk that something failed. */
bool index_wants_room(int rc);
/* The id of a boot: SC_ECORRUPT if it has none. */
int index_get_boot(struct sql *q, const uint8_t boot_id[16], int64_t *id);
/* The same, made if it is new; inside a transaction. */
int index_find_boot(struct index *ix, const uint8_t boot_id[16], int64_t *id);

/* What the file says of all its entries: read by the writer inside a transaction, told when that is committed. */
struct meta {
	uint64_t order;
	struct total total;
};
int index_read_meta(struct index *ix, struct meta *m);
void index_tell_meta(struct index *ix, const struct meta *m);

/* index_read.c, on the loop's thread. Has the thread move a bad file aside: once each. `why` is a literal. */
void index_tell_bad(struct index *ix, unsigned epoch, const char *why);
/* The first key that may come: the prefix, or what follows `after` at once, which is `after` and a zero byte. */
struct bytes index_first_key(struct bytes prefix, struct bytes after, uint8_t room[SC_KEY_MAX + 1]);
/* The first key that may not: the prefix with its last byte raised, and those cut off that cannot be. If that is all of them,
 * no key may not: more 0xff than one can have. */
struct bytes index_end_key(struct bytes prefix, uint8_t room[SC_KEY_MAX + 1]);
struct bytes index_copy_bytes(uint8_t *to, struct bytes from);

/* What index_expire and index_next_expiry go by. */
void index_read_times(struct sql *q, struct entry *e); /* of a row of OF_BOOT */
uint64_t index_life(const struct entry *e);	       /* ttl + stale, or SC_FOREVER */

/* A row and its objects go: in the job's transaction, and behind it. take: … and whoever wants to know of it is told, when the job is
 * done. */
int index_delete_row(struct sql *q, int64_t id);
int index_take_row(struct index *ix, struct job *j, int64_t id, enum row_end how);
void index_doom(struct job *j, int64_t id, const struct gen *g);

/* Tells ix->gone of the rows a job took. On the loop's thread. */
void index_tell_gone(struct index *ix, const struct job *j);

/* A row of the key; id 0: there is none. */
struct standing {
	int64_t id;
	uint64_t order;
	struct gen gen;
};

/* The row of a key, a success or a failure. */
int index_find_standing(struct sql *q, struct bytes bucket, struct bytes key, bool failed, struct standing *s);

/* Jobs, in the thread's transaction. highest: raised to the order number of what was committed. */
int index_do_commit(struct index *ix, struct job *j, uint64_t *highest);
int index_do_remove(struct index *ix, struct job *j);
int index_do_touch(struct index *ix, struct job *j);
int index_do_drop(struct index *ix, struct job *j);
int index_do_prove(struct index *ix, struct job *j);
int index_do_visit(struct index *ix, struct job *j);
int index_do_remember(struct index *ix, struct job *j);
int index_do_clear(struct index *ix, struct job *j);
int index_do_expire(struct index *ix, struct job *j);
int index_do_walk(struct index *ix, struct job *j);
int index_do_evict(struct index *ix, struct job *j);
void index_measure(struct index *ix, struct eviction *ev);

/* Takes jobs until it is told to stop. SC_ESYS. */
int index_start_thread(struct index *ix);

#endif

/* What the files of the index share, and nobody else: index.c (its life, and putting jobs) and index_read.c (lookups) are the loop's side;
 * index_file.c opens it and moves it aside; index_thread.c takes the jobs, index_row.c, index_sweep.c and index_evict.c do them; index_names.c knows
 * what keys and tags are called in it. */
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
	const struct keyring *ring;  /* borrowed; NULL: nothing sealed can be read */
	bool encrypt;

	/* the loop's thread */
	struct sql *reader;
	unsigned reader_epoch, told_epoch;
	int64_t reader_boot; /* boots.id of boot_id in the reader's file */
	uint8_t secret[16];  /* … and what command lines are keyed with in it */
	bool listing;	     /* a statement of the reader is in use */
	index_gone gone;     /* may be NULL */
	void *gone_arg;
	bool closing;

	/* the index thread; before it is born and after it has died the loop's */
	struct sql *writer;	       /* NULL: could not be opened anew; the next job tries */
	char why[128];		       /* the file is bad; empty: corrupt */
	bool names_sealed;	       /* the file has no name in the clear: it may be kept when it is found bad */
	bool left_orphans;	       /* the one before it had, and was removed */
	bool left_ephemeral;	       /* when it was opened it had entries that nobody can open any more */
	struct walk *walk;	       /* NULL: none is under way */
	struct walked walked, walking; /* … and how far it is: by what is committed, and in the transaction under way */

	/* both */
	pthread_t thread;
	struct jobs jobs;
	_Atomic uint64_t order, count, bytes;
	_Atomic uint64_t device, inode; /* of the file of this epoch */
	_Atomic int64_t boot;		/* boots.id of boot_id in the file of this epoch */
	_Atomic unsigned epoch;		/* stepped for each file that is opened; from 1 */
	_Atomic unsigned
		old_keys; /* bits: keys of the ring that something in the file may be sealed by, and which do not seal */
};

/* ---- index_names.c ---- */

/* The ways in which something may be called in the file: one for each key of the ring, the one that seals first, and at last the clear one. */
#define NAMINGS_MAX (SC_KEYS_MAX + 1)
unsigned index_namings(const struct index *ix);
/* False: nothing is called so, and need not be looked for. */
bool index_naming_is_used(const struct index *ix, unsigned naming);
/* From now on something is. */
void index_use_naming(struct index *ix, const struct sealed_by *by);
/* There may be two rows of a key: one that was written while the key of the other was not here. Else one that was found is the only one. */
bool index_has_old_keys(const struct index *ix);
/* The naming to try at this turn: first the one that what is stored now has. */
unsigned index_naming_of_turn(const struct index *ix, unsigned turn);
/* By which key: of the clear one, none. */
void index_name_by(const struct index *ix, unsigned naming, struct sealed_by *by);

/* What a key is called: `key` points to that which was asked about, or to the hash. Not to be copied. */
struct key_name {
	struct sealed_by by;
	struct bytes key;
	uint8_t hash[SC_SEAL_HASH];
};
/* SC_ENOENT: that key is not in the ring. So with all that follow. */
int index_name_key(const struct index *ix, const struct sealed_by *by, struct bytes bucket, struct bytes key,
		   struct key_name *name);

/* What a tag is called in the table of tags: where sealed a space and 64 digits. */
#define SC_TAG_NAME (1 + 2 * SC_SEAL_HASH)
int index_name_tag(const struct index *ix, const struct sealed_by *by, struct bytes bucket, struct bytes tag,
		   char name[SC_TAG_NAME + 1]);

/* A row's columns. */
struct names {
	struct key_name key;
	char tags[SC_TAGS_SIZE + 1];
	uint8_t box[SC_SEALED_MAX];
	size_t box_len; /* 0: it is clear */
};
int index_name_entry(const struct index *ix, const struct entry *e, struct names *n); /* also SC_ENOMEM */

/* key, tags, command and shown, into a box and out of it. SC_ENOENT: also of a box that does not open, or has something else in it. */
int index_box_names(const struct index *ix, const struct entry *e, uint8_t box[SC_SEALED_MAX], size_t *n);
int index_unbox_names(const struct index *ix, const struct sealed_by *by, const struct gen *g, struct bytes box,
		      struct entry *e);
#define SC_TAG_BOX (SC_TAG_MAX + SC_SEAL_BOX_OVERHEAD)
int index_box_tag(const struct index *ix, const struct entry *e, struct bytes tag, uint8_t box[SC_TAG_BOX], size_t *n);
int index_unbox_tag(const struct index *ix, const struct sealed_by *by, const struct gen *g, struct bytes box,
		    char tag[SC_TAG_MAX + 1]);

/* By which key the row of a statement is sealed. SC_ECORRUPT: nothing is called so. */
int index_read_by(struct sql *q, enum sql_statement s, int i, struct sealed_by *by);
/* A statement has two of it: for what is clear, and for what is sealed, with the key as parameter i. */
enum sql_statement index_bind_by(struct sql *q, enum sql_statement clear, enum sql_statement sealed, int i,
				 const struct sealed_by *by);

/* ---- the others ---- */

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

/* The next key that something is sealed by, behind this one. SC_ENOENT: there is none. */
int index_next_sealer(struct sql *q, const struct sealed_by *after, struct sealed_by *by, uint64_t *count);
/* Nobody can ever open what is sealed by it. */
bool index_is_lost(const struct index *ix, const struct sealed_by *by);

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

/* The row of what is called so, a success or a failure. */
int index_find_standing(struct sql *q, struct bytes bucket, const struct key_name *name, bool failed, struct standing *s);

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
int index_do_forget(struct index *ix, struct job *j);
int index_do_walk(struct index *ix, struct job *j);
int index_do_evict(struct index *ix, struct job *j);
void index_measure(struct index *ix, struct eviction *ev);

/* Takes jobs until it is told to stop. SC_ESYS. */
int index_start_thread(struct index *ix);

#endif

/* The SQLite index of finished entries. The only user of sqlite3. Two connections: a read-only one that the loop's thread
 * uses for lookups, and one owned by the index thread, which alone writes, deletes, checkpoints and unlinks, so that the loop
 * never waits for a disk. schema.sql beside this file is the documentation of the tables.
 *
 * Jobs are done in the order they were given. When one is done, index_fd becomes readable and index_collect calls its
 * callback on the caller's thread. */
#ifndef SC_INDEX_H
#define SC_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/keyring.h"
#include "lib/buf.h"
#include "lib/checksum.h"
#include "lib/clock.h"
#include "lib/gen.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/proto.h"

struct index;
struct walk_order;

/* One row. */
struct entry {
	char bucket[SC_BUCKET_MAX + 1];
	uint8_t key[SC_KEY_MAX];
	size_t key_len;
	struct gen gen;
	uint64_t order;
	bool failed; /* a failure that is kept: another row than what is good of the key */
	uint32_t exit, signal;
	uint64_t out_len, err_len;			    /* bytes of the two streams, … */
	uint64_t out_size, err_size;			    /* … of their objects, the same but for sealed ones, … */
	uint8_t out_sum[SC_SUM_SIZE], err_sum[SC_SUM_SIZE]; /* … and of these */
	struct sealed_by sealed;
	uint64_t created_wall_ms; /* when it finished */
	uint64_t created_boot_ms; /* the same moment by CLOCK_BOOTTIME, meaningful in its boot only */
	uint8_t boot_id[16];
	uint64_t ttl_ms, stale_ms;	  /* SC_FOREVER: no end */
	uint64_t took_ms;		  /* from LEAD to DONE */
	char tags[SC_TAGS_SIZE + 1];	  /* lib/tags.h */
	uint8_t command[SC_COMMAND_SIZE]; /* index_key_command */
	uint8_t shown[SC_SHOWN_MAX];	  /* the command's words, a NUL behind each, cut off; … */
	size_t shown_len;		  /* 0: not to be shown */

	/* the index's: not looked at by index_commit */
	int64_t id;    /* its row */
	uint64_t hits; /* how often it was served, as far as index_visit has said */
	bool proved; /* its bytes were written, or compared with their sums, in this boot; never, where boots cannot be told apart */
};

/* How often an entry was served since this was last told. */
struct visit {
	int64_t id; /* entry.id … */
	struct gen gen;
	uint32_t hits;
};

/* One batch of an eviction: what is asked, and what came of it. It stays its owner's; the index's while the job is under way. */
struct eviction {
	char bucket[SC_BUCKET_MAX + 1]; /* its rows, by its hand; empty: all, by theirs */
	uint64_t entries, bytes;	/* how many rows and bytes are to go: both */
	uint64_t passed;		/* `passed_now` of the batch before; 0 in the first */
	struct gen *read;		/* generations that are being read, sorted (gen_compare): passed over */
	size_t nread;

	uint64_t gone_bytes; /* of the `changed` rows that went */
	uint64_t passed_now;
	bool stuck;		   /* more was to go, but nothing can */
	uint64_t fs_size, fs_free; /* of the file system, afterwards; 0, 0: not to be had (logged) */
};

/* What is to go with a prefix, with a tag, or altogether, batch by batch. It stays its owner's; the index's while a job is under way. */
struct clearing {
	struct bytes bucket, prefix; /* borrowed, as long as it lasts */
	struct bytes tag;	     /* borrowed; not empty: all entries of the bucket that have it, whatever their keys */
	bool every;		     /* key of every bucket: those two are not looked at */
	uint64_t max_order;	     /* rows of a higher one stay */

	unsigned naming,
		from_naming; /* the index's: which of the names that a key may have there is looked for; … before this batch */
	int64_t last_id, from_id; /* every, tag, all of a bucket: the row that was looked at last; … before this batch */
	bool over;		  /* nothing of it is there any more */
	uint8_t last[SC_KEY_MAX]; /* prefix: the key that was looked at last, as it is called, */
	size_t last_len;	  /* 0: none yet */
	uint8_t from[SC_KEY_MAX]; /* … and before this batch */
	size_t from_len;
	uint8_t low[SC_KEY_MAX + 1];  /* the first key of this batch, */
	uint8_t high[SC_KEY_MAX + 1]; /* … and the first that is none of ours */
	size_t low_len, high_len;
};

struct total {
	uint64_t entries;
	uint64_t bytes; /* as entry_bytes counts */
};

/* Age in ms by DESIGN's rule: BOOTTIME within its boot; across boots the wall clock, which may only shorten a life:
 * made before this boot, it is as old as that. Where boots cannot be told apart, the older of both. False: its age cannot be told
 * (created in the future), so it is stale. Pure. */
bool entry_age(const struct entry *e, const uint8_t boot_id[16], const struct now *now, uint64_t *age_ms);

/* What an entry takes of the disk: both objects in whole blocks. Pure. */
uint64_t entry_bytes(uint64_t out_size, uint64_t err_size);

/* Opens or makes index.db in dir_fd. A corrupt or foreign file, or one of another version, is moved aside with its -wal and -shm
 * (index.db.bad-<n>…) and a fresh one begun; that is logged, not an error. SC_ESYS (disk full, permission …), SC_ENOMEM.
 *
 * ring: by whose keys entries are sealed (entry.sealed) and opened; it outlives the index. NULL: all there will be is clear. What is sealed by a
 * key that is not in it is no entry, wherever one is asked for, and waits for its key; but that which was sealed by a key that died with its
 * daemon is removed.
 *
 * encrypt: nothing is to lie there in the clear. A file in which there may be, or may have been, a name in the clear is not moved aside but
 * removed, with all that was moved aside before, and a fresh one begun. */
int index_open(struct index **ix, int dir_fd, const uint8_t boot_id[16], const struct keyring *ring, bool encrypt,
	       struct log *log);

/* Opening it removed such a file: what lies in objects/ may be in the clear, and is to go at once. */
bool index_has_left_orphans(struct index *ix);

/* Finishes every job, calls their callbacks, closes. */
void index_close(struct index *ix);

/* The highest order number ever committed, or 0. */
uint64_t index_order(struct index *ix);
/* How many entries there are, and what they take; cheap (counters kept by the index). */
uint64_t index_count(struct index *ix);
struct total index_total(struct index *ix);

/* The loop's connection: what is good of the key, or its kept failure. SC_ENOENT, SC_ECORRUPT (logged; treat as a miss). No scan. */
int index_find(struct index *ix, struct bytes bucket, struct bytes key, bool failed, struct entry *out);
/* The same of one generation, whichever of both it is. */
int index_find_gen(struct index *ix, struct bytes bucket, struct bytes key, const struct gen *g, struct entry *out);

/* What is kept of a command line, of which this is the digest: that under a secret of this index, so that nobody finds out by guessing what a
 * copy of the index was made by. All zero: there is none, or nothing to key it with. */
void index_key_command(struct index *ix, struct bytes digest, uint8_t command[SC_COMMAND_SIZE]);

/* The same of one bucket; no scan. SC_ECORRUPT (logged), SC_ESYS. */
int index_bucket_total(struct index *ix, struct bytes bucket, struct total *t);

/* The entry behind a row (entry.id; 0: the first), of whatever bucket and age, in the order of first commits. SC_ENOENT: there are no
 * more · SC_EAGAIN: none among the next rows, of which out->id is the last: ask again from there · SC_ECORRUPT. */
int index_next(struct index *ix, int64_t id, struct entry *out);

/* How far a list has come. All zero: nowhere yet. */
struct cursor {
	unsigned naming; /* the index's, as in struct clearing … */
	uint8_t after[SC_KEY_MAX];
	size_t after_len;
	bool over; /* there are no more */
};

/* The next entries of a bucket whose key begins with prefix, up to `limit`; perhaps none, though there are more: so many rows are looked at
 * and no more. First those that are sealed, in no order; then the others, bytewise by key. each() returning non-zero stops, behind that one.
 * Returns how many were given, or an error. `at` stays until it returns; not so what each() may free. */
typedef int (*index_row)(void *arg, const struct entry *e);
int index_list(struct index *ix, struct bytes bucket, struct bytes prefix, struct cursor *at, unsigned limit, index_row each,
	       void *arg);

/* Up to `limit` tags of a bucket that begin with prefix, in bytewise order, each once: of those that only sealed entries have, some of the
 * first SC_SEALED_TAGS_MAX by their hashes. Returns how many were given, or an error. */
typedef void (*index_tag)(void *arg, struct bytes tag);
int index_list_tags(struct index *ix, struct bytes bucket, struct bytes prefix, unsigned limit, index_tag each, void *arg);

/* The name of the next bucket with entries behind `after`, bytewise, and what it has. SC_ENOENT: there is none · SC_ECORRUPT, SC_ESYS. */
int index_next_bucket(struct index *ix, struct bytes after, char name[SC_BUCKET_MAX + 1], struct total *t);

/* By which keys entries are sealed, and how many by each, behind this one (all zero: from the first). Also by keys that are not in the ring.
 * Cheap. SC_ENOENT: there are no more · SC_ECORRUPT, SC_ESYS. */
int index_sealed_next(struct index *ix, const struct sealed_by *after, struct sealed_by *by, uint64_t *count);
/* There is something that dies with this daemon: an entry that is sealed by a key of the ring that is nowhere else. It counts until it has
 * been removed, which when it is over is soon. Cheap. False also if it cannot be told. */
bool index_has_ephemeral(struct index *ix);

/* Why there was nothing of a key, and what became of it; all zero: nothing is known. */
struct cause {
	enum cause_kind kind;
	uint32_t exit, signal;
	int error;
	uint64_t when_ms; /* Unix time */
};
struct past {
	struct cause fate, miss;
	uint64_t missed_ms; /* Unix time of the miss */
	uint64_t other_ms;  /* … at which what there is was last given to who asked with another command; 0: never */
	bool sealed;	    /* its key is not to be written down in the clear */
};

/* What index_remember was told of a key, last, sealed or not. SC_ENOENT: nothing, or forgotten · SC_ECORRUPT, SC_ESYS. */
int index_recall(struct index *ix, struct bytes bucket, struct bytes key, struct past *p);

/* ---- jobs ---- */

/* A row that went, but for one whose place was taken, and one that could not be opened, of which nobody knows the key. Told with the job that
 * took it, before the job's own callback. The bytes are valid until it returns. */
enum row_end { ROW_REMOVED, ROW_DAMAGED, ROW_EXPIRED, ROW_EVICTED };
struct gone {
	enum row_end how;
	bool failed, sealed;
	struct gen gen;
	uint64_t order, out_len, err_len;
	struct bytes bucket, key;
};
typedef void (*index_gone)(void *arg, const struct gone *g);
void index_on_gone(struct index *ix, index_gone each, void *arg);

/* status: 0 or an error. `changed`: commit: 1 if the entry is now the key's row, 0 if a row of a higher order stood there;
 * prove: 1 if the row is still there, else 0; remove, clear, expire and evict: how many rows went; touch: 1, or 0. */
typedef void (*index_done)(void *arg, int status, uint64_t changed);

/* Puts the entry in place of an older one of its key, however that is sealed; a failure in place of an older failure, then unlinks its run's file in flights/;
 * the older one's objects are unlinked afterwards, and so are those of a failure before what is good. One that does not become a row,
 * because a newer one of either kind stands there, has its own objects unlinked, and its run's file stays for index_discard. The entry is
 * copied. SC_ENOMEM: not queued, no callback. status SC_ENOENT: the key it is to be sealed by is not in the ring. */
int index_commit(struct index *ix, const struct entry *e, index_done done, void *arg);

/* Removes the key's rows whose order is at most `max_order`, and their objects. */
int index_remove(struct index *ix, struct bytes bucket, struct bytes key, uint64_t max_order, index_done done, void *arg);

/* What is good of the key is from `now` on as if it had finished just then, and lives as long as it was to, or ttl_ms (SC_TTL_UNSET: the
 * former). `changed` 0: there is none. */
int index_touch(struct index *ix, struct bytes bucket, struct bytes key, uint64_t ttl_ms, const struct now *now,
		index_done done, void *arg);

/* Removes that row, if it is still of this generation, and its objects. */
int index_drop(struct index *ix, const struct entry *e, index_done done, void *arg);

/* Removes some of the rows, with their objects, and looks at no other key's. Asked again until it is `over`. */
int index_clear(struct index *ix, struct clearing *cl, index_done done, void *arg);

/* Removes up to `limit` rows whose ttl + stale is over, and their objects. */
int index_expire(struct index *ix, const struct now *now, unsigned limit, index_done done, void *arg);

/* Unlinks the objects of a generation that was never committed, and then its run's file in flights/, which tells of them until they are
 * gone. done may be NULL. */
int index_discard(struct index *ix, const struct gen *g, index_done done, void *arg);

/* What was committed before is on the disk when it is done: rows, objects, and the directories that hold them. SC_ESYS, EIO: some
 * of what was written since the last one, by whomever on this file system, is lost. */
int index_sync(struct index *ix, index_done done, void *arg);

/* These pasts, packed one behind the other, are what is known of their keys from now on; those of the keys that were told of longest ago
 * go, so that SC_HISTORY_MAX are left. They are copied. */
int index_pack_past(struct buf *rows, const struct past *p, struct bytes bucket, struct bytes key); /* SC_ENOMEM */
int index_remember(struct index *ix, const struct buf *rows, index_done done, void *arg);

/* The entries were served: they are not the next to be evicted. Those that are no longer there are passed over. The visits are
 * copied. */
int index_visit(struct index *ix, const struct visit *v, size_t n, index_done done, void *arg);

/* Evicts some of what is to go, with its objects, and measures the file system; nothing may be to go. Asked again with what is
 * still to go, until that is nothing or `stuck`. */
int index_evict(struct index *ix, struct eviction *ev, index_done done, void *arg);

/* The entry's bytes have been compared with their sums and are right: `proved` is true until the next boot. Nothing happens if the
 * row is of another generation by now. */
int index_prove(struct index *ix, const struct entry *e, index_done done, void *arg);

/* Nothing is known any more of the bytes of any entry: `proved` is false of all. */
int index_doubt(struct index *ix, index_done done, void *arg);

/* One step of a walk (walk.h): the first one if none is under way. `order` stays until the callback of the step after which it is
 * over (order->over), or has failed (status), or the index is closed. */
int index_walk(struct index *ix, struct walk_order *order, index_done done, void *arg);

/* In how many ms the next row's life is over: 0 if one is over already, SC_FOREVER if none ever is. */
uint64_t index_next_expiry(struct index *ix, const struct now *now);

/* Whether index.db is still the file that is open. Cheap. */
bool index_is_there(struct index *ix);
/* Begins it anew, like one found corrupt: it was removed or replaced. */
void index_renew(struct index *ix);
/* Stepped for each file that is begun or opened. */
unsigned index_epoch(struct index *ix);

int index_fd(const struct index *ix); /* borrowed; readable when index_collect has something to do */
void index_collect(struct index *ix);

#endif

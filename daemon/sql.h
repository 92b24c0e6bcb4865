/* One connection to index.db, and every statement that is ever said to it. The only door to SQLite: it turns its results into
 * ours, its integers into unsigned ones, and says nothing about what a row means. Used by the index's files only. A
 * connection belongs to one thread at a time. */
#ifndef SC_SQL_H
#define SC_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

/* Which connections prepare a statement. */
enum sql_who { SQL_READ = 1, SQL_WRITE = 2 };

#define SQL_COLUMNS                                                                                                   \
	"e.bucket, e.key, e.gen, e.ord, e.exit, e.signal, e.out_len, e.err_len, e.out_sum, e.err_sum,"                \
	" e.created_wall_ms, e.created_boot_ms, b.boot_id, e.ttl_ms, e.stale_ms, e.took_ms, e.id, e.hits, e.proved, " \
	"e.failed, e.tags, e.command, e.shown, e.out_size, e.err_size, e.sealed, e.name"

/* Name, connections, text. The test asks SQLite for the plan of each: only `boots` may be scanned. CROSS JOIN keeps the order
 * as written. */
#define SQL_STATEMENTS(X)                                                                                                      \
	/* lookups */                                                                                                          \
	X(FIND, SQL_READ,                                                                                                      \
	  "SELECT " SQL_COLUMNS " FROM entry AS e CROSS JOIN boots AS b WHERE e.bucket = ?1 AND e.key = ?2"                    \
	  " AND e.failed = ?3 AND e.sealed IS NULL AND b.id = e.boot")                                                         \
	X(FIND_SEALED, SQL_READ,                                                                                               \
	  "SELECT " SQL_COLUMNS " FROM entry AS e CROSS JOIN boots AS b WHERE e.bucket = ?1 AND e.key = ?2"                    \
	  " AND e.failed = ?3 AND e.sealed = ?4 AND b.id = e.boot")                                                            \
	X(LIST, SQL_READ,                                                                                                      \
	  "SELECT " SQL_COLUMNS " FROM entry AS e CROSS JOIN boots AS b WHERE e.bucket = ?1 AND e.key >= ?2"                   \
	  " AND e.key < ?3 AND e.failed = 0 AND e.sealed IS NULL AND b.id = e.boot ORDER BY e.key LIMIT ?4")                   \
	X(LIST_SEALED, SQL_READ,                                                                                               \
	  "SELECT " SQL_COLUMNS " FROM entry AS e CROSS JOIN boots AS b WHERE e.bucket = ?1 AND e.key >= ?2"                   \
	  " AND e.key < ?3 AND e.failed = 0 AND e.sealed = ?5 AND b.id = e.boot ORDER BY e.key LIMIT ?4")                      \
	X(NEXT, SQL_READ,                                                                                                      \
	  "SELECT " SQL_COLUMNS " FROM entry AS e CROSS JOIN boots AS b WHERE e.id > ?1 AND b.id = e.boot"                     \
	  " ORDER BY e.id LIMIT ?2")                                                                                           \
	X(NEXT_TAG, SQL_READ, "SELECT tag FROM tag WHERE bucket = ?1 AND tag >= ?2 ORDER BY tag LIMIT 1")                      \
	X(NEXT_SEALED_TAG, SQL_READ,                                                                                           \
	  "SELECT t.tag, t.name, e.gen, e.sealed FROM tag AS t CROSS JOIN entry AS e WHERE t.bucket = ?1 AND t.tag >= ?2"      \
	  " AND t.tag < '!' AND e.id = t.entry ORDER BY t.tag LIMIT 1")                                                        \
	X(SEALER, SQL_READ | SQL_WRITE, "SELECT sealed, entries FROM sealers WHERE sealed > ?1 ORDER BY sealed LIMIT 1")       \
	X(FIRST_END, SQL_READ, "SELECT purge_boot FROM entry WHERE boot = ?1 AND purge_boot >= 0 ORDER BY purge_boot LIMIT 1") \
	X(BUCKET, SQL_READ, "SELECT entries, bytes FROM buckets WHERE name = ?1")                                              \
	X(NEXT_BUCKET, SQL_READ, "SELECT name, entries, bytes FROM buckets WHERE name > ?1 ORDER BY name LIMIT 1")             \
	X(PAST, SQL_READ,                                                                                                      \
	  "SELECT fate, fate_exit, fate_signal, fate_error, fate_ms, miss, miss_exit, miss_signal, miss_error, miss_ms,"       \
	  " missed_ms, other_ms, seq FROM history WHERE bucket = ?1 AND key = ?2 AND sealed = ?3")                             \
	X(OTHER_BOOTS, SQL_READ | SQL_WRITE, "SELECT id, boot_id FROM boots WHERE id <> ?1")                                   \
	X(OF_BOOT, SQL_READ | SQL_WRITE,                                                                                       \
	  "SELECT id, gen, created_wall_ms, created_boot_ms, ttl_ms, stale_ms FROM entry"                                      \
	  " WHERE boot = ?1 AND purge_boot >= 0 ORDER BY purge_boot LIMIT ?2")                                                 \
	/* the walk */                                                                                                         \
	X(ROWS, SQL_WRITE, "SELECT id, gen, out_size, err_size FROM entry WHERE id > ?1 ORDER BY id LIMIT ?2")                 \
	/* changes */                                                                                                          \
	X(STANDING, SQL_WRITE,                                                                                                 \
	  "SELECT id, ord, gen FROM entry WHERE bucket = ?1 AND key = ?2 AND failed = ?3 AND sealed IS NULL")                  \
	X(STANDING_SEALED, SQL_WRITE,                                                                                          \
	  "SELECT id, ord, gen FROM entry WHERE bucket = ?1 AND key = ?2 AND failed = ?3 AND sealed = ?4")                     \
	X(RANGE, SQL_WRITE,                                                                                                    \
	  "SELECT id, ord, gen, key, failed, name FROM entry WHERE bucket = ?1 AND key >= ?2 AND key < ?3"                     \
	  " AND sealed IS NULL ORDER BY key, failed LIMIT ?4")                                                                 \
	X(RANGE_SEALED, SQL_WRITE,                                                                                             \
	  "SELECT id, ord, gen, key, failed, name FROM entry WHERE bucket = ?1 AND key >= ?2 AND key < ?3"                     \
	  " AND sealed = ?5 ORDER BY key, failed LIMIT ?4")                                                                    \
	X(OF_SEALER, SQL_WRITE, "SELECT id, gen FROM entry WHERE sealed = ?1 LIMIT ?2")                                        \
	X(LIFE, SQL_WRITE, "SELECT ttl_ms, stale_ms FROM entry WHERE id = ?1")                                                 \
	X(TOUCH, SQL_WRITE,                                                                                                    \
	  "UPDATE entry SET visited = 1, created_wall_ms = ?2, created_boot_ms = ?3, boot = ?4, ttl_ms = ?5, purge_boot = ?6"  \
	  " WHERE id = ?1")                                                                                                    \
	X(TAGGED, SQL_WRITE,                                                                                                   \
	  "SELECT e.id, e.ord, e.gen FROM tag AS t CROSS JOIN entry AS e WHERE t.bucket = ?3 AND t.tag = ?4 AND t.entry > ?1"  \
	  " AND e.id = t.entry ORDER BY t.entry LIMIT ?2")                                                                     \
	/* of the entry that was just put */                                                                                   \
	X(TAG, SQL_WRITE, "INSERT OR IGNORE INTO tag VALUES (?1, ?2, last_insert_rowid(), ?3)")                                \
	X(FROM, SQL_WRITE, "SELECT id, ord, gen FROM entry WHERE id > ?1 ORDER BY id LIMIT ?2")                                \
	X(FROM_IN, SQL_WRITE, "SELECT id, ord, gen FROM entry WHERE bucket = ?3 AND id > ?1 ORDER BY id LIMIT ?2")             \
	X(PUT, SQL_WRITE,                                                                                                      \
	  "INSERT INTO entry (id, bucket, key, gen, ord, exit, signal, out_len, err_len, out_sum, err_sum,"                    \
	  " created_wall_ms, created_boot_ms, boot, ttl_ms, stale_ms, purge_boot, took_ms, bytes, proved, visited, hits, "     \
	  "failed, tags, command, shown, out_size, err_size, sealed, name)"                                                    \
	  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?14, ?20, 0, ?21, "  \
	  "?22, ?23, ?24, ?25, ?26, ?27, ?28)")                                                                                \
	X(DELETE, SQL_WRITE, "DELETE FROM entry WHERE id = ?1")                                                                \
	X(TAKE, SQL_WRITE,                                                                                                     \
	  "DELETE FROM entry WHERE id = ?1 RETURNING bucket, key, gen, ord, failed, out_len, err_len, sealed, name")           \
	X(ENDED, SQL_WRITE, "SELECT id, gen FROM entry WHERE boot = ?1 AND purge_boot < ?2 ORDER BY purge_boot LIMIT ?3")      \
	X(ADD_BOOT, SQL_WRITE, "INSERT OR IGNORE INTO boots (boot_id) VALUES (?1)")                                            \
	X(VISIT, SQL_WRITE, "UPDATE entry SET visited = 1, hits = hits + ?3 WHERE id = ?1 AND gen = ?2")                       \
	X(PUT_PAST, SQL_WRITE,                                                                                                 \
	  "INSERT OR REPLACE INTO history (bucket, key, fate, fate_exit, fate_signal, fate_error, fate_ms, miss, miss_exit,"   \
	  " miss_signal, miss_error, miss_ms, missed_ms, other_ms, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "  \
	  "?11, ?12, ?13, ?14, ?15)")                                                                                          \
	X(DROP_PASTS, SQL_WRITE, "DELETE FROM history WHERE seq <= (SELECT max(seq) FROM history) - ?1")                       \
	/* eviction */                                                                                                         \
	X(HAND, SQL_WRITE, "SELECT hand, entries, (SELECT max(id) FROM entry) FROM meta WHERE id = 1")                         \
	X(BUCKET_HAND, SQL_WRITE,                                                                                              \
	  "SELECT hand, entries, (SELECT max(id) FROM entry WHERE bucket = ?1) FROM buckets WHERE name = ?1")                  \
	X(PUT_HAND, SQL_WRITE, "UPDATE meta SET hand = ?1 WHERE id = 1")                                                       \
	X(PUT_BUCKET_HAND, SQL_WRITE, "UPDATE buckets SET hand = ?1 WHERE name = ?2")                                          \
	X(FROM_HAND, SQL_WRITE, "SELECT id, visited, bytes, gen FROM entry WHERE id >= ?1 ORDER BY id LIMIT ?2")               \
	X(FROM_HAND_IN, SQL_WRITE,                                                                                             \
	  "SELECT id, visited, bytes, gen FROM entry WHERE bucket = ?3 AND id >= ?1 ORDER BY id LIMIT ?2")                     \
	X(SPARE, SQL_WRITE, "UPDATE entry SET visited = 0 WHERE id = ?1")                                                      \
	X(PROVE, SQL_WRITE, "UPDATE entry SET proved = ?2 WHERE id = ?1")                                                      \
	X(GET_BOOT, SQL_READ | SQL_WRITE, "SELECT id FROM boots WHERE boot_id = ?1")                                           \
	X(GET_SECRET, SQL_READ, "SELECT secret FROM meta WHERE id = 1")                                                        \
	X(ORDER, SQL_WRITE, "UPDATE meta SET ord = max(ord, ?1), secret = coalesce(secret, ?2) WHERE id = 1")                  \
	X(ENCRYPT, SQL_WRITE, "UPDATE meta SET encrypt = ?1 WHERE id = 1")                                                     \
	X(BEGIN, SQL_WRITE, "BEGIN IMMEDIATE")                                                                                 \
	X(COMMIT, SQL_WRITE, "COMMIT")                                                                                         \
	X(ROLLBACK, SQL_WRITE, "ROLLBACK")                                                                                     \
	/* the opening */                                                                                                      \
	X(DROP_BOOTS, SQL_WRITE,                                                                                               \
	  "DELETE FROM boots WHERE id <> ?1 AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.boot = boots.id)")                 \
	X(META, SQL_WRITE, "SELECT ord, entries, bytes FROM meta WHERE id = 1")

enum sql_statement {
#define X(name, who, text) SQL_##name,
	SQL_STATEMENTS(X)
#undef X
		SQL_COUNT
};

struct sql;

/* Opens a file that is there. `path` is taken as it is, links in it are followed, but not at its end; it must outlive the
 * connection. Never waits for a lock when reading. All functions: SC_ECORRUPT (not a database, or a broken one) · SC_ESYS ·
 * SC_ENOMEM. */
int sql_open(struct sql **out, const char *path, enum sql_who who);
/* Only now, because before this the tables may have to be made. SC_ECORRUPT if they are not those we know. */
int sql_prepare(struct sql *q);
/* The last writer to close leaves a file without a WAL. NULL is allowed; leaves errno alone. */
void sql_close(struct sql *q);
/* Closes a bad one without touching the files, so that they can be looked at, WAL and all. Otherwise the same. */
void sql_abandon(struct sql *q);

/* Writers of a fresh or identified file, outside a transaction. SC_ESYS (ENOTSUP): this file system cannot. */
int sql_use_wal(struct sql *q);

/* Unprepared text, for the opening and what hardly ever happens: any number of statements; one number. */
int sql_exec(struct sql *q, const char *text);
int sql_ask(struct sql *q, const char *text, int64_t *value);

/* Parameters, counted from 1. Bytes must stay until the statement is over. */
void sql_bind_number(struct sql *q, enum sql_statement s, int i, int64_t v);
void sql_bind_u64(struct sql *q, enum sql_statement s, int i, uint64_t v);   /* at most 2^63 - 1: larger is cut */
void sql_bind_time(struct sql *q, enum sql_statement s, int i, uint64_t ms); /* SC_FOREVER is NULL */
void sql_bind_blob(struct sql *q, enum sql_statement s, int i, const void *p, size_t n);
void sql_bind_name(struct sql *q, enum sql_statement s, int i, struct bytes name); /* as text */
void sql_bind_null(struct sql *q, enum sql_statement s, int i);

/* 1: a row, to be read before the next step. 0: no more. Or an error. After 0 and errors the statement is over. */
int sql_step(struct sql *q, enum sql_statement s);
/* Ends a statement that was not stepped to its end. Always allowed; leaves errno alone. */
void sql_done(struct sql *q, enum sql_statement s);
/* For statements that give no row. */
int sql_run(struct sql *q, enum sql_statement s);
/* Undoes an open transaction, if there is one; leaves errno alone. */
void sql_rollback(struct sql *q);

/* Columns, counted from 0. Bytes are valid until the next step. */
int64_t sql_number(struct sql *q, enum sql_statement s, int i);
uint64_t sql_u64(struct sql *q, enum sql_statement s, int i);  /* negative: 0 */
uint64_t sql_time(struct sql *q, enum sql_statement s, int i); /* NULL: SC_FOREVER */
struct bytes sql_bytes(struct sql *q, enum sql_statement s, int i);
bool sql_exact(struct sql *q, enum sql_statement s, int i, void *out, size_t n); /* false: not n bytes */

/* How long the WAL was after the last commit, in pages of 4 KiB; 0 after a checkpoint was tried. */
int sql_wal_pages(const struct sql *q);
/* Copies of it what it can without waiting for a reader. Syncs. */
int sql_checkpoint(struct sql *q);

#endif

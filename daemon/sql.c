/* The door to SQLite. Statements are prepared once and kept; a parameter is never copied; nothing is cached but by SQLite.
 * Never retries and never logs: that is the index's business. */
#include "daemon/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/limits.h"

/* How long the writing connection waits for somebody's sqlite3 shell. */
#define BUSY_MS 2000

static const struct {
	int who;
	const char *text;
} statements[] = {
#define X(name, who, text) {who, text},
	SQL_STATEMENTS(X)
#undef X
};

struct sql {
	sqlite3 *db;
	enum sql_who who;
	int wal_pages;
	sqlite3_stmt *stmt[SQL_COUNT];
};

/* SQLite keeps the errno of a failed write only sometimes (not that of a COMMIT): whoever wants it clears errno before. */
static int code_of(sqlite3 *db, int rc)
{
	int sys = db ? sqlite3_system_errno(db) : 0;

	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return SC_ECORRUPT;
	case SQLITE_NOMEM:
		return SC_ENOMEM;
	case SQLITE_FULL:
		errno = ENOSPC;
		return SC_ESYS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		errno = EBUSY;
		return SC_ESYS;
	case SQLITE_READONLY:
		errno = EROFS;
		return SC_ESYS;
	case SQLITE_CONSTRAINT: /* a row that breaks a rule of schema.sql */
		errno = EINVAL;
		return SC_ESYS;
	case SQLITE_IOERR:
		if (rc == SQLITE_IOERR_NOMEM)
			return SC_ENOMEM;
		break;
	}
	if (sys || !errno)
		errno = sys ? sys : EIO;
	return SC_ESYS;
}

/* ---- opening ---- */

/* SQLite wants a path and would resolve every link of it, to 512 bytes at most. This file system of ours is its own one, but
 * takes a path as it is, so that one below /proc/self/fd/N stays in the directory that was checked. The file itself SQLite
 * opens O_NOFOLLOW in any case. */
static int path_as_it_is(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	(void)vfs;
	return snprintf(out, (size_t)size, "%s", name) < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

/* A read that the disk refuses (EIO) SQLite takes for a sign of corruption, and says so. It is none: the file is kept, and what
 * could not be read now is not known now. So each open file has a table of methods of its own behind it, with another read. */
static sqlite3_vfs *theirs;
static int (*_Atomic their_read)(sqlite3_file *, void *, int, sqlite3_int64);

static int read_as_it_is(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
	int rc = their_read(file, to, n, at);

	return rc == SQLITE_IOERR_CORRUPTFS ? SQLITE_IOERR_READ : rc;
}

static int open_as_theirs(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out_flags)
{
	sqlite3_io_methods *methods = (sqlite3_io_methods *)((char *)file + theirs->szOsFile);
	int rc = theirs->xOpen(vfs, name, file, flags, out_flags);

	if (!file->pMethods)
		return rc;
	*methods = *file->pMethods;
	their_read = methods->xRead; /* the same for all of theirs */
	methods->xRead = read_as_it_is;
	file->pMethods = methods;
	return rc;
}

/* A lookup is not to change the file it reads: that would wait for the file system's journal, on the loop. EPERM: the file is somebody
 * else's. */
static int open_untouched(const char *path, int flags, int mode)
{
	int fd = open(path, flags | O_NOATIME, mode);

	return fd < 0 && errno == EPERM ? open(path, flags, mode) : fd;
}

static int register_vfs(void)
{
	static sqlite3_vfs vfs;
	int rc;

	if (sqlite3_vfs_find("sc"))
		return 0;
	theirs = sqlite3_vfs_find("unix");
	if (!theirs)
		return SC_ENOMEM;
	rc = theirs->xSetSystemCall(theirs, "open", (sqlite3_syscall_ptr)open_untouched);
	if (rc)
		return code_of(NULL, rc);
	vfs = *theirs;
	vfs.pNext = NULL;
	vfs.zName = "sc";
	vfs.mxPathname = SC_PATH_MAX + 16;
	vfs.xFullPathname = path_as_it_is;
	vfs.xOpen = open_as_theirs;
	vfs.szOsFile = theirs->szOsFile + (int)sizeof(sqlite3_io_methods);
	return code_of(NULL, sqlite3_vfs_register(&vfs, 0));
}

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct sql *q = arg;

	(void)db;
	(void)name;
	q->wal_pages = pages;
	return SQLITE_OK;
}

/* No mmap: a file cut short by somebody else would be a SIGBUS instead of an error, and its pages would count as ours. */
static const char pragmas[] = "PRAGMA mmap_size = 0; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;"
			      "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = OFF";
/* A lookup reads a leaf of the index by key and one of the table: 40 bytes of the one and 200 of the other for each entry. 16 MiB hold
 * half of the first for a million, or all that is asked for again of a few thousand entries, also where the machine reclaims its own
 * cache of files; and with what a walk over a million notes, another 16, the daemon stays below 64. They are taken as they are used, and
 * are read anew after each change of the file, so more of it would seldom be full. */
static const char reader_pragmas[] = "PRAGMA query_only = ON; PRAGMA cache_size = -16384";
static const char writer_pragmas[] =
	"PRAGMA synchronous = NORMAL; PRAGMA secure_delete = FAST; PRAGMA journal_size_limit = 8388608";

static int set_up(struct sql *q)
{
	int rc;

	sqlite3_db_config(q->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_busy_timeout(q->db, q->who == SQL_READ ? 0 : BUSY_MS);
	rc = sql_exec(q, pragmas);
	if (!rc)
		rc = sql_exec(q, q->who == SQL_READ ? reader_pragmas : writer_pragmas);
	/* In the place of SQLite's own checkpoint, which would stand before the answer to whoever commits. */
	if (q->who == SQL_WRITE)
		sqlite3_wal_hook(q->db, on_wal, q);
	return rc;
}

int sql_open(struct sql **out, const char *path, enum sql_who who)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	struct sql *q = calloc(1, sizeof *q);
	int rc;

	if (!q)
		return SC_ENOMEM;
	q->who = who;
	flags |= who == SQL_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	rc = register_vfs();
	if (!rc)
		rc = code_of(NULL, sqlite3_open_v2(path, &q->db, flags, "sc"));
	if (!rc)
		rc = set_up(q);
	if (rc) {
		sql_abandon(q);
		return rc;
	}
	*out = q;
	return 0;
}

int sql_prepare(struct sql *q)
{
	for (int s = 0; s < SQL_COUNT; s++) {
		int rc;

		if (!(statements[s].who & (int)q->who))
			continue;
		rc = sqlite3_prepare_v3(q->db, statements[s].text, -1, SQLITE_PREPARE_PERSISTENT, &q->stmt[s], NULL);
		/* No such table or column: the file says it is ours and is not. */
		if ((rc & 0xff) == SQLITE_ERROR)
			return SC_ECORRUPT;
		if (rc)
			return code_of(q->db, rc);
	}
	return 0;
}

void sql_close(struct sql *q)
{
	int e = errno;

	if (!q)
		return;
	for (int s = 0; s < SQL_COUNT; s++)
		sqlite3_finalize(q->stmt[s]);
	sqlite3_close(q->db);
	free(q);
	errno = e;
}

/* SQLite refuses by answering with another mode. */
int sql_use_wal(struct sql *q)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(q->db, "PRAGMA journal_mode = WAL", -1, &st, NULL);
	const char *mode = NULL;

	if (!rc && (rc = sqlite3_step(st)) == SQLITE_ROW)
		mode = (const char *)sqlite3_column_text(st, 0);
	rc = code_of(q->db, rc);
	if (!rc && (!mode || strcmp(mode, "wal") != 0)) {
		errno = ENOTSUP;
		rc = SC_ESYS;
	}
	int e = errno;
	sqlite3_finalize(st);
	errno = e;
	return rc;
}

void sql_abandon(struct sql *q)
{
	if (q && q->db)
		sqlite3_db_config(q->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sql_close(q);
}

int sql_exec(struct sql *q, const char *text)
{
	return code_of(q->db, sqlite3_exec(q->db, text, NULL, NULL, NULL));
}

int sql_ask(struct sql *q, const char *text, int64_t *value)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(q->db, text, -1, &st, NULL);

	if (!rc && (rc = sqlite3_step(st)) == SQLITE_ROW)
		*value = sqlite3_column_int64(st, 0);
	rc = code_of(q->db, rc);
	sqlite3_finalize(st);
	return rc;
}

/* ---- parameters: none of these can fail, because nothing is copied ---- */

void sql_bind_number(struct sql *q, enum sql_statement s, int i, int64_t v)
{
	sqlite3_bind_int64(q->stmt[s], i, v);
}

void sql_bind_u64(struct sql *q, enum sql_statement s, int i, uint64_t v)
{
	sqlite3_bind_int64(q->stmt[s], i, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

void sql_bind_time(struct sql *q, enum sql_statement s, int i, uint64_t ms)
{
	if (ms == SC_FOREVER)
		sqlite3_bind_null(q->stmt[s], i);
	else
		sql_bind_u64(q, s, i, ms);
}

/* A NULL pointer would make NULL of what is an empty blob. */
void sql_bind_blob(struct sql *q, enum sql_statement s, int i, const void *p, size_t n)
{
	sqlite3_bind_blob64(q->stmt[s], i, n ? p : "", n, SQLITE_STATIC);
}

void sql_bind_name(struct sql *q, enum sql_statement s, int i, struct bytes name)
{
	sqlite3_bind_text64(q->stmt[s], i, name.n ? (const char *)name.p : "", name.n, SQLITE_STATIC, SQLITE_UTF8);
}

void sql_bind_null(struct sql *q, enum sql_statement s, int i)
{
	sqlite3_bind_null(q->stmt[s], i);
}

/* ---- rows ---- */

int sql_step(struct sql *q, enum sql_statement s)
{
	int rc;

	errno = 0;
	rc = sqlite3_step(q->stmt[s]);
	if (rc == SQLITE_ROW)
		return 1;
	rc = code_of(q->db, rc);
	sql_done(q, s);
	return rc;
}

void sql_done(struct sql *q, enum sql_statement s)
{
	int e = errno;

	sqlite3_reset(q->stmt[s]);
	errno = e;
}

int sql_run(struct sql *q, enum sql_statement s)
{
	int rc = sql_step(q, s);

	BUG_ON(rc > 0);
	return rc;
}

void sql_rollback(struct sql *q)
{
	int e = errno;

	if (!sqlite3_get_autocommit(q->db))
		sql_run(q, SQL_ROLLBACK);
	errno = e;
}

int64_t sql_number(struct sql *q, enum sql_statement s, int i)
{
	return sqlite3_column_int64(q->stmt[s], i);
}

uint64_t sql_u64(struct sql *q, enum sql_statement s, int i)
{
	int64_t v = sqlite3_column_int64(q->stmt[s], i);

	return v < 0 ? 0 : (uint64_t)v;
}

uint64_t sql_time(struct sql *q, enum sql_statement s, int i)
{
	return sqlite3_column_type(q->stmt[s], i) == SQLITE_NULL ? SC_FOREVER : sql_u64(q, s, i);
}

struct bytes sql_bytes(struct sql *q, enum sql_statement s, int i)
{
	const void *p = sqlite3_column_blob(q->stmt[s], i); /* before its length is asked for, as SQLite demands */

	return (struct bytes){p, p ? (size_t)sqlite3_column_bytes(q->stmt[s], i) : 0};
}

bool sql_exact(struct sql *q, enum sql_statement s, int i, void *out, size_t n)
{
	struct bytes b = sql_bytes(q, s, i);

	if (b.n != n)
		return false;
	memcpy(out, b.p, n);
	return true;
}

int sql_wal_pages(const struct sql *q)
{
	return q->wal_pages;
}

int sql_checkpoint(struct sql *q)
{
	q->wal_pages = 0;
	return code_of(q->db, sqlite3_wal_checkpoint_v2(q->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
}

/* index.db as a file: where SQLite finds it, whether it is ours, a fresh one, and moving a bad one aside. Called at the opening
 * and, when a file was found corrupt, by the index thread. Never opens the file itself beside SQLite, never scans it, and deletes nothing that
 * was in it, but where it holds names in the clear that are to be nowhere. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/index_parts.h"
#include "daemon/room.h"
#include "lib/digest.h"
#include "lib/err.h"

#define APPLICATION_ID 0x53436978 /* as schema.sql says */
#define VERSION 6

/* Corrupt files that are kept for people to look at; later ones take the last one's place. */
#define BAD_MAX 8

/* What an opening needs of a disk is 32 KiB of shared memory and a few pages of WAL; more where others take it meanwhile, and where the
 * WAL a killed daemon left must go into the file first: four times as much each time, 4 MiB at last. */
#define ROOM_BYTES (64 * 1024)
#define ROOM_ROUNDS 4

static const char schema[] =
#include "gen/schema.inc"
	;

/* /proc/self/fd/N, so that we stay in the directory that was checked, also when it is renamed. Without /proc its path is asked
 * for by going there: we are back before anybody could notice, because the daemon uses no relative path. */
int index_locate(struct index *ix)
{
	struct stat dir, there;
	char path[SC_PATH_MAX];
	int back = -1, rc = SC_ESYS;

	if (fstat(ix->dir_fd, &dir) < 0)
		return SC_ESYS;
	snprintf(path, sizeof path, "/proc/self/fd/%d", ix->dir_fd);
	if (stat(path, &there) == 0 && there.st_dev == dir.st_dev && there.st_ino == dir.st_ino) {
		rc = 0;
		goto out;
	}
	back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (back < 0 || fchdir(ix->dir_fd) < 0)
		goto out;
	if (getcwd(path, sizeof path))
		rc = 0;
	if (fchdir(back) < 0)
		rc = SC_ESYS;
out:
	if (back >= 0)
		close(back);
	if (!rc)
		snprintf(ix->file, sizeof ix->file, "%s/index.db", path);
	return rc;
}

/* Is it ours? Asked before anything is changed in it. *fresh: nobody's, it has nothing yet. */
static int identify(struct index *ix, bool *fresh)
{
	int64_t application = 0, version = 0, tables = 0;
	int rc = sql_ask(ix->writer, "PRAGMA application_id", &application);

	if (!rc)
		rc = sql_ask(ix->writer, "PRAGMA user_version", &version);
	if (!rc)
		rc = sql_ask(ix->writer, "SELECT EXISTS (SELECT 1 FROM sqlite_schema)", &tables);
	if (rc)
		return rc;
	*fresh = application == 0 && version == 0 && !tables;
	if (*fresh || (application == APPLICATION_ID && version == VERSION))
		return 0;
	snprintf(ix->why, sizeof ix->why, "application %lld, version %lld", (long long)application, (long long)version);
	return SC_ECORRUPT;
}

/* encrypt: said at once, so that one that is begun and not opened is not taken for one in the clear. */
static int make_tables(struct sql *q, bool encrypt)
{
	int rc = sql_exec(q, "BEGIN IMMEDIATE");

	if (!rc)
		rc = sql_exec(q, schema);
	if (!rc && encrypt)
		rc = sql_exec(q, "UPDATE meta SET encrypt = 1");
	if (!rc)
		rc = sql_exec(q, "COMMIT");
	return rc;
}

int index_get_boot(struct sql *q, const uint8_t boot_id[16], int64_t *id)
{
	int rc;

	sql_bind_blob(q, SQL_GET_BOOT, 1, boot_id, 16);
	rc = sql_step(q, SQL_GET_BOOT);
	if (rc <= 0)
		return rc ? rc : SC_ECORRUPT;
	*id = sql_number(q, SQL_GET_BOOT, 0);
	sql_done(q, SQL_GET_BOOT);
	return 0;
}

int index_find_boot(struct index *ix, const uint8_t boot_id[16], int64_t *id)
{
	int rc;

	sql_bind_blob(ix->writer, SQL_ADD_BOOT, 1, boot_id, 16);
	rc = sql_run(ix->writer, SQL_ADD_BOOT);
	return rc ? rc : index_get_boot(ix->writer, boot_id, id);
}

int index_read_meta(struct index *ix, struct meta *m)
{
	struct sql *q = ix->writer;
	int rc = sql_step(q, SQL_META);

	if (rc <= 0)
		return rc ? rc : SC_ECORRUPT;
	m->order = sql_u64(q, SQL_META, 0);
	m->total.entries = sql_u64(q, SQL_META, 1);
	m->total.bytes = sql_u64(q, SQL_META, 2);
	sql_done(q, SQL_META);
	return 0;
}

void index_tell_meta(struct index *ix, const struct meta *m)
{
	ix->order = m->order;
	ix->count = m->total.entries;
	ix->bytes = m->total.bytes;
}

/* Which keys of the ring something is sealed by, and whether by one that nobody has any more. */
static int look_at_sealers(struct index *ix)
{
	struct sealed_by by = {{0}};
	uint64_t count;
	int rc;

	ix->old_keys = 0;
	ix->left_ephemeral = false;
	while ((rc = index_next_sealer(ix->writer, &by, &by, &count)) == 0) {
		index_use_naming(ix, &by);
		ix->left_ephemeral |= index_is_lost(ix, &by);
	}
	return rc == SC_ENOENT ? 0 : rc;
}

/* Our boot's row, a secret for a new file, and what the index knows by heart. In a file that takes a bad one's place the order goes on where it was. */
static int begin_epoch(struct index *ix)
{
	struct sql *q = ix->writer;
	struct gen secret;
	int64_t boot = 0;
	struct meta m;
	int rc = sql_run(q, SQL_BEGIN);

	if (!rc)
		rc = index_find_boot(ix, ix->boot_id, &boot);
	if (!rc) {
		sql_bind_number(q, SQL_DROP_BOOTS, 1, boot);
		rc = sql_run(q, SQL_DROP_BOOTS);
	}
	if (!rc) {
		digest_generation(&secret);
		sql_bind_u64(q, SQL_ORDER, 1, ix->order);
		sql_bind_blob(q, SQL_ORDER, 2, secret.b, sizeof secret.b);
		rc = sql_run(q, SQL_ORDER);
	}
	if (!rc) {
		sql_bind_number(q, SQL_ENCRYPT, 1, ix->encrypt);
		rc = sql_run(q, SQL_ENCRYPT);
	}
	if (!rc)
		rc = look_at_sealers(ix);
	if (!rc)
		rc = index_read_meta(ix, &m);
	if (!rc)
		rc = sql_run(q, SQL_COMMIT);
	if (rc)
		return rc;
	index_tell_meta(ix, &m);
	ix->names_sealed = ix->encrypt;
	ix->boot = boot;
	ix->epoch++;
	return 0;
}

/* Whether there may be names in the clear in a file that was there already: SC_EAGAIN. Its order goes on in the next. */
static int check_names(struct index *ix, bool fresh)
{
	int64_t columns = 2, order = 0, encrypt = 0;
	int rc = 0;

	if (!fresh)
		rc = sql_ask(ix->writer, "SELECT count(*) FROM pragma_table_info('meta') WHERE name IN ('ord', 'encrypt')",
			     &columns);
	if (!rc && columns != 2)
		return SC_ECORRUPT; /* it says it is ours and is not */
	if (!rc && !fresh)
		rc = sql_ask(ix->writer, "SELECT ord FROM meta WHERE id = 1", &order);
	if (!rc && !fresh)
		rc = sql_ask(ix->writer, "SELECT encrypt FROM meta WHERE id = 1", &encrypt);
	if (rc || encrypt == 1)
		return rc;
	if (order > 0 && ix->order < (uint64_t)order)
		ix->order = (uint64_t)order;
	return SC_EAGAIN;
}

static int begin_writing(struct index *ix, bool made)
{
	bool fresh = false;
	int rc = sql_open(&ix->writer, ix->file, SQL_WRITE);

	if (!rc)
		rc = identify(ix, &fresh);
	if (!rc && ix->encrypt && !made)
		rc = check_names(ix, fresh);
	if (!rc)
		rc = sql_use_wal(ix->writer);
	if (!rc && fresh)
		rc = make_tables(ix->writer, ix->encrypt);
	if (!rc)
		rc = sql_prepare(ix->writer);
	if (!rc)
		rc = begin_epoch(ix);
	return rc;
}

static const char *const parts[] = {"index.db", "index.db-wal", "index.db-shm", "index.db-journal"};
static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
#define PARTS (sizeof parts / sizeof parts[0])

/* By which index_check knows it again. One that was removed in this very moment is unlike any other. */
static void remember_file(struct index *ix)
{
	struct stat st = {0};

	fstatat(ix->dir_fd, "index.db", &st, AT_SYMLINK_NOFOLLOW);
	ix->device = st.st_dev;
	ix->inode = st.st_ino;
}

/* By name and never by descriptor: closing one would drop the locks SQLite holds on the file. */
static int check_files(struct index *ix)
{
	for (size_t i = 0; i < PARTS; i++) {
		struct stat st;

		if (fstatat(ix->dir_fd, parts[i], &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT)
				continue;
			return SC_ESYS;
		}
		if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1 || (st.st_mode & 022)) {
			snprintf(ix->why, sizeof ix->why, "%s: mode %o, uid %u, %u links", parts[i], (unsigned)st.st_mode,
				 (unsigned)st.st_uid, (unsigned)st.st_nlink);
			return SC_ECORRUPT;
		}
	}
	return 0;
}

/* Ours before SQLite sees it, so that it is 0600 whatever the umask; -wal and -shm take over its mode. */
static int make_file(struct index *ix, bool *made)
{
	int fd = openat(ix->dir_fd, "index.db", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int rc = 0;

	*made = fd >= 0;
	if (fd < 0)
		return errno == EEXIST ? 0 : SC_ESYS;
	if (fchmod(fd, 0600) < 0)
		rc = SC_ESYS;
	close(fd);
	return rc;
}

/* The database goes first: what a crash leaves beside an empty new one SQLite throws away, while a database without its WAL
 * would be taken for whole. */
static int move_aside(struct index *ix)
{
	char name[64];
	struct stat st;
	int n;

	for (n = 1; n < BAD_MAX; n++) {
		snprintf(name, sizeof name, "index.db.bad-%d", n);
		if (fstatat(ix->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
			break;
	}
	for (size_t i = 0; i < PARTS; i++) {
		snprintf(name, sizeof name, "index.db.bad-%d%s", n, tails[i]);
		if (renameat(ix->dir_fd, parts[i], ix->dir_fd, name) < 0 && errno != ENOENT)
			return SC_ESYS;
	}
	log_event(ix->log, "index-bad", "kept=index.db.bad-%d why=\"%s\"", n, ix->why[0] ? ix->why : "corrupt");
	ix->why[0] = '\0';
	return 0;
}

/* Something of an old index goes for good. A directory has no names of ours in it. */
static int remove_part(struct index *ix, const char *name)
{
	if (unlinkat(ix->dir_fd, name, 0) == 0) {
		ix->left_orphans = true;
		return 0;
	}
	return errno == ENOENT || errno == EISDIR ? 0 : SC_ESYS;
}

/* What lies beside the database, and all that was ever moved aside: names may be in the clear in it. */
static int remove_rest(struct index *ix)
{
	char name[64];
	int rc = 0;

	for (size_t i = 1; i < PARTS && !rc; i++)
		rc = remove_part(ix, parts[i]);
	for (int n = 1; n <= BAD_MAX; n++)
		for (size_t i = 0; i < PARTS && !rc; i++) {
			snprintf(name, sizeof name, "index.db.bad-%d%s", n, tails[i]);
			rc = remove_part(ix, name);
		}
	return rc;
}

/* The database first, as above. Whoever dies in between finds the rest without it, or removes it again. */
static int remove_old(struct index *ix)
{
	int rc = remove_part(ix, parts[0]);

	if (!rc)
		rc = remove_rest(ix);
	if (!rc)
		log_event(ix->log, "index-removed", "why=\"%s\"", ix->why[0] ? ix->why : "names in the clear");
	ix->why[0] = '\0';
	return rc;
}

/* What is bad is kept for people, unless it may hold what nobody is to read. */
static int put_away(struct index *ix)
{
	struct stat st;
	int rc;

	if (!ix->encrypt || ix->names_sealed)
		return move_aside(ix);
	rc = remove_old(ix);
	if (!rc && fstatat(ix->dir_fd, parts[0], &st, AT_SYMLINK_NOFOLLOW) == 0)
		rc = move_aside(ix); /* a directory */
	return rc;
}

bool index_wants_room(int rc)
{
	return rc == SC_ESYS && (errno == ENOSPC || errno == EDQUOT);
}

static int try_to_open(struct index *ix, bool *bad)
{
	int rc = *bad ? put_away(ix) : check_files(ix);
	bool made = false;

	if (!rc) {
		*bad = false;
		rc = make_file(ix, &made);
	}
	if (!rc && made && ix->encrypt && !ix->names_sealed)
		rc = remove_rest(ix);
	if (!rc)
		remember_file(ix);
	return rc ? rc : begin_writing(ix, made);
}

int index_open_writer(struct index *ix, bool bad)
{
	unsigned tries = 0, rounds = 0;
	int rc;

	for (;;) {
		sql_abandon(ix->writer);
		ix->writer = NULL;
		rc = try_to_open(ix, &bad);
		if (!rc)
			return 0;
		sql_abandon(ix->writer);
		ix->writer = NULL;
		if (index_wants_room(rc) && rounds < ROOM_ROUNDS &&
		    room_make(ix->dir_fd, ix->log, (uint64_t)ROOM_BYTES << 2 * rounds)) {
			rounds++;
			continue;
		}
		if (rc == SC_EAGAIN && (rc = remove_old(ix)) == 0)
			continue;
		if (rc != SC_ECORRUPT || tries++ > 1)
			return rc;
		bad = true;
	}
}

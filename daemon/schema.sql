-- index.db: what is known of finished entries. Written and read by daemon/index.c only; `lock` keeps every other daemon out.
-- The bytes of an entry are not here but in objects/; a row without its object is a miss, an object without a row is rubbish.
--
-- WAL, synchronous=NORMAL: a killed daemon loses nothing, a killed machine at most the last commits, and never the order.
-- Every change of `entry` and the change of `meta` that goes with it are one transaction.
--
-- A file whose application_id or user_version is another is not ours to read: it is moved aside.

PRAGMA application_id = 1396926840; -- "SCix"
PRAGMA user_version = 2;

-- One row. Both are kept here so that opening a million entries counts nothing.
CREATE TABLE meta (
	id      INTEGER PRIMARY KEY CHECK (id = 1),
	ord     INTEGER NOT NULL, -- the highest order number ever committed; never goes down
	entries INTEGER NOT NULL  -- rows of `entry`
) STRICT;
INSERT INTO meta VALUES (1, 0, 0);

-- The boots in which entries were made. Those without entries go at the next opening.
CREATE TABLE boots (
	id      INTEGER PRIMARY KEY,
	boot_id BLOB NOT NULL UNIQUE CHECK (length(boot_id) = 16)
) STRICT;

-- One finished entry. A row of a lower `ord` never takes the place of one of a higher.
CREATE TABLE entry (
	id              INTEGER PRIMARY KEY, -- in order of first commit, and kept over replacement: an eviction can walk it
	bucket          TEXT NOT NULL,
	key             BLOB NOT NULL CHECK (length(key) BETWEEN 1 AND 4096),
	gen             BLOB NOT NULL CHECK (length(gen) = 16), -- names the objects
	ord             INTEGER NOT NULL,
	exit            INTEGER NOT NULL,
	signal          INTEGER NOT NULL, -- 0: it exited
	out_len         INTEGER NOT NULL, -- bytes of the two objects
	err_len         INTEGER NOT NULL,
	out_sum         BLOB NOT NULL CHECK (length(out_sum) = 16), -- XXH3-128 of them
	err_sum         BLOB NOT NULL CHECK (length(err_sum) = 16),
	created_wall_ms INTEGER NOT NULL, -- when it finished, Unix time
	created_boot_ms INTEGER NOT NULL, -- the same moment by CLOCK_BOOTTIME of its boot
	boot            INTEGER NOT NULL, -- boots.id
	ttl_ms          INTEGER,          -- NULL: for ever
	stale_ms        INTEGER,          -- NULL: for ever
	took_ms         INTEGER NOT NULL, -- how long the run took, from LEAD to DONE
	purge_boot      INTEGER,          -- created_boot_ms + ttl_ms + stale_ms: its last moment. NULL: never
	UNIQUE (bucket, key)
) STRICT;

-- Expiry walks this, boot by boot. Not partial: rows that never end keep their boot from being dropped.
CREATE INDEX entry_end ON entry (boot, purge_boot);

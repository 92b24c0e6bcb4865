-- index.db: what is known of finished entries. Written and read by daemon/index.c only; `lock` keeps every other daemon out.
-- The bytes of an entry are not here but in objects/; a row without its object is a miss, an object without a row is rubbish.
--
-- WAL, synchronous=NORMAL: a killed daemon loses nothing, a killed machine at most the last commits, and never the order.
-- Every change of `entry` and the change of the totals that goes with it are one transaction: triggers keep them.
--
-- A file whose application_id or user_version is another is not ours to read: it is moved aside.

PRAGMA application_id = 1396926840; -- "SCix"
PRAGMA user_version = 6;

-- One row. Totals are kept so that opening a million entries, or asking whether a limit is passed, counts nothing.
CREATE TABLE meta (
	id      INTEGER PRIMARY KEY CHECK (id = 1),
	ord     INTEGER NOT NULL, -- the highest order number ever committed; never goes down
	entries INTEGER NOT NULL, -- rows of `entry`
	bytes   INTEGER NOT NULL, -- their sum
	hand    INTEGER NOT NULL, -- SIEVE's, over all entries: the entry.id it looks at next, or the first behind it
	secret  BLOB CHECK (length(secret) = 16), -- what entry.command is keyed with: random, of this file, told to nobody
	encrypt INTEGER NOT NULL -- 1: there has never been a name in the clear in this file; 0: there may have been
) STRICT;
INSERT INTO meta VALUES (1, 0, 0, 0, 0, NULL, 0);

-- The same for each bucket that has an entry. One that empties forgets its hand.
CREATE TABLE buckets (
	name    TEXT PRIMARY KEY,
	entries INTEGER NOT NULL,
	bytes   INTEGER NOT NULL,
	hand    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The boots in which entries were made. Those without entries go at the next opening; an id never comes back (`proved`).
CREATE TABLE boots (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	boot_id BLOB NOT NULL UNIQUE CHECK (length(boot_id) = 16)
) STRICT;

-- How many entries are sealed by which key: its kind, 1 of a file, 2 ephemeral, and its fingerprint. One without entries is not here.
CREATE TABLE sealers (
	sealed  BLOB PRIMARY KEY CHECK (length(sealed) = 9),
	entries INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One finished entry. A row of a lower `ord` never takes the place of one of a higher; a failure never that of what is good, but what is
-- good ends the failures before it. What SIEVE's hand looks at stands before the key,
-- which may be long and then lies on pages of its own.
--
-- Of a sealed one nothing is in the clear that its user has named, but the bucket: key is what keyring_hash makes of it, tags are the hashes
-- of its tags, and name is what keyring_box makes of all of them.
CREATE TABLE entry (
	id              INTEGER PRIMARY KEY, -- in order of first commit, and kept over replacement: SIEVE's hand walks it
	visited         INTEGER NOT NULL, -- SIEVE's bit: asked for since the hand came by. Set late, in batches; so is:
	hits            INTEGER NOT NULL, -- how often this generation was served
	bytes           INTEGER NOT NULL, -- what it takes of the disk: out_size and err_size, each in whole blocks of 4 KiB
	gen             BLOB NOT NULL CHECK (length(gen) = 16), -- names the objects
	bucket          TEXT NOT NULL,
	key             BLOB NOT NULL CHECK (length(key) BETWEEN 1 AND 4096), -- where sealed: 32 bytes, by which it is found
	failed          INTEGER NOT NULL, -- 1: a failure that is kept for those who ask for it, beside what is good
	ord             INTEGER NOT NULL,
	exit            INTEGER NOT NULL,
	signal          INTEGER NOT NULL, -- 0: it exited
	out_len         INTEGER NOT NULL, -- bytes of the two streams
	err_len         INTEGER NOT NULL,
	out_size        INTEGER NOT NULL, -- … of their objects: more where sealed
	err_size        INTEGER NOT NULL,
	out_sum         BLOB NOT NULL CHECK (length(out_sum) = 16), -- XXH3-128 of the objects
	err_sum         BLOB NOT NULL CHECK (length(err_sum) = 16),
	created_wall_ms INTEGER NOT NULL, -- when it finished, Unix time
	created_boot_ms INTEGER NOT NULL, -- the same moment by CLOCK_BOOTTIME of its boot
	boot            INTEGER NOT NULL, -- boots.id
	ttl_ms          INTEGER,          -- NULL: for ever
	stale_ms        INTEGER,          -- NULL: for ever
	took_ms         INTEGER NOT NULL, -- how long the run took, from LEAD to DONE
	proved          INTEGER NOT NULL, -- boots.id of the boot in which its bytes were written, or last compared with their sums
	tags            TEXT NOT NULL,    -- in bytewise order, a comma between two; each is a row of `tag`. Where sealed: 64 hex digits each
	purge_boot      INTEGER,          -- created_boot_ms + ttl_ms + stale_ms: its last moment. NULL: never
	command         BLOB,             -- a hash of the command line under meta.secret, 16 bytes. NULL: there was none, or it is not known
	sealed          BLOB CHECK (length(sealed) = 9), -- by which key, as in sealers. NULL: it is clear
	name            BLOB,             -- where sealed: a box with an array of msgpack: key, tags, command, shown. Those are NULL here or a hash
	shown           BLOB,             -- its words, a NUL behind each, cut off (`show-commands`). NULL: not to be shown
	CHECK ((sealed IS NULL AND name IS NULL) OR (sealed IS NOT NULL AND name IS NOT NULL AND length(key) = 32))
) STRICT;

-- By key. Two of them, so that 32 bytes that are a key are not taken for 32 bytes that are a hash; and so that the clear ones lie beside each
-- other in their order, and those of one sealing key, too.
CREATE UNIQUE INDEX entry_clear ON entry (bucket, key, failed) WHERE sealed IS NULL;
CREATE UNIQUE INDEX entry_sealed ON entry (sealed, bucket, key, failed) WHERE sealed IS NOT NULL;

-- Expiry walks this, boot by boot. Not partial: rows that never end keep their boot from being dropped.
CREATE INDEX entry_end ON entry (boot, purge_boot);

-- A bucket's own hand walks this: an index ends with the row's id.
CREATE INDEX entry_bucket ON entry (bucket);

-- The entries that have a tag: what is removed by one, and which ones there are, is found without a look at any other entry. Rows go with
-- their entry; whoever adds an entry adds them.
CREATE TABLE tag (
	bucket TEXT NOT NULL,
	tag    TEXT NOT NULL,    -- where sealed: a space, which no tag has, so that they stand together before all others, and the hash
	entry  INTEGER NOT NULL, -- entry.id
	name   BLOB,             -- where sealed: a box with the tag, for the entry's generation and by its key
	PRIMARY KEY (bucket, tag, entry)
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_entry ON tag (entry);

-- No statement changes bucket, tags, bytes or sealed of a row: one that takes another's place comes after that has gone.
CREATE TRIGGER entry_comes AFTER INSERT ON entry BEGIN
	UPDATE meta SET entries = entries + 1, bytes = bytes + new.bytes WHERE id = 1;
	INSERT INTO buckets VALUES (new.bucket, 1, new.bytes, 0)
		ON CONFLICT (name) DO UPDATE SET entries = entries + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER entry_goes AFTER DELETE ON entry BEGIN
	UPDATE meta SET entries = entries - 1, bytes = bytes - old.bytes WHERE id = 1;
	UPDATE buckets SET entries = entries - 1, bytes = bytes - old.bytes WHERE name = old.bucket;
	DELETE FROM buckets WHERE name = old.bucket AND entries = 0;
END;
CREATE TRIGGER sealed_comes AFTER INSERT ON entry WHEN new.sealed IS NOT NULL BEGIN
	INSERT INTO sealers VALUES (new.sealed, 1) ON CONFLICT (sealed) DO UPDATE SET entries = entries + 1;
END;
CREATE TRIGGER sealed_goes AFTER DELETE ON entry WHEN old.sealed IS NOT NULL BEGIN
	UPDATE sealers SET entries = entries - 1 WHERE sealed = old.sealed;
	DELETE FROM sealers WHERE sealed = old.sealed AND entries = 0;
END;
CREATE TRIGGER entry_loses_tags AFTER DELETE ON entry WHEN old.tags <> '' BEGIN
	DELETE FROM tag WHERE entry = old.id;
END;

-- What became of recent keys, for `explain`: of each the last thing that happened to its run or entry, and why the last question was a
-- miss. Written late, in batches. Both are numbers of `enum cause_kind`, 0: nothing.
CREATE TABLE history (
	seq         INTEGER PRIMARY KEY, -- in the order in which they were told of; the lowest go
	bucket      TEXT NOT NULL,
	key         BLOB NOT NULL CHECK (length(key) BETWEEN 1 AND 4096), -- where sealed: its hash under the key that seals
	sealed      INTEGER NOT NULL, -- 1: that it is
	fate        INTEGER NOT NULL,
	fate_exit   INTEGER NOT NULL,
	fate_signal INTEGER NOT NULL,
	fate_error  INTEGER NOT NULL, -- errno
	fate_ms     INTEGER NOT NULL, -- Unix time
	miss        INTEGER NOT NULL,
	miss_exit   INTEGER NOT NULL,
	miss_signal INTEGER NOT NULL,
	miss_error  INTEGER NOT NULL,
	miss_ms     INTEGER NOT NULL, -- when it came to be so
	missed_ms   INTEGER NOT NULL, -- when it was asked for
	other_ms    INTEGER NOT NULL, -- when what there is was last given to who asked with another command; 0: never
	UNIQUE (bucket, key, sealed)
) STRICT;

/* Every bound of the project, with its reason. Sizes are bytes, times milliseconds unless the name says otherwise. */
#ifndef SC_LIMITS_H
#define SC_LIMITS_H

/* A key is data, never a path; 4096 lets people use a path or a command line as a key. */
#define SC_KEY_MAX 4096
#define SC_BUCKET_MAX 64
/* Tags of one entry: more are no help to anybody; and the text of so many, with a comma between two. */
#define SC_TAG_MAX 64
#define SC_TAGS_MAX 16
#define SC_TAGS_SIZE (SC_TAGS_MAX * (SC_TAG_MAX + 1) - 1)
/* By how much two command lines are told apart; how much of one is kept for people to read. */
#define SC_COMMAND_SIZE 16
#define SC_SHOWN_MAX 1024
/* What the keys of a generation's two streams are, one behind the other; the most that a sealed record may be. */
#define SC_KEYS_SIZE (2 * 32)
#define SC_SEALED_MAX 8192
/* Tags of a bucket that are offered to whoever types one. */
#define SC_TAGS_OFFERED 500
/* Tags of sealed entries that are opened to find those: 5 us each, on the loop. */
#define SC_SEALED_TAGS_MAX 1024
/* The text that says which build a peer is of. */
#define SC_BUILD_MAX 64
/* Buckets that `config` has a section for: looked through at each question, and more than anybody writes by hand. */
#define SC_BUCKETS_MAX 128

/* One frame of the protocol, header excluded. The largest message is an ASK: a key, a bucket and a chain of flights. */
#define SC_FRAME_MAX (64 * 1024)
/* Fields of one message, and how deep a value from a newer peer may nest before we stop looking at it. */
#define SC_FIELDS_MAX 64
#define SC_NESTING_MAX 8
/* LEAD carries the most descriptors: two objects to read, two to write, the page, the flight's socket, its lock. */
#define SC_FDS_MAX 8
/* Descriptors that may wait on one connection for their frame to be complete. */
#define SC_FDS_QUEUED_MAX 16
/* What the daemon keeps for a peer that does not read, before it drops that peer. */
#define SC_QUEUE_MAX (256 * 1024)
/* SC_FLIGHTS: how many runs may be nested in each other. 16 bytes each. */
#define SC_CHAIN_MAX 64

/* The kernel's default net.core.somaxconn; a larger number is cut to it. */
#define SC_BACKLOG 4096
/* sun_path with its final NUL. Longer paths go through /proc/self/fd. */
#define SC_SUN_PATH 108
/* A cache directory's path: PATH_MAX less what we put behind it. */
#define SC_PATH_MAX 4096

/* A peer that has not said HELLO by then is dropped. */
#define SC_HANDSHAKE_MS 5000
/* A daemon that neither answers nor steps its loop counter for so long is hung. */
#define SC_SILENCE_MS 2000
/* How long a new daemon waits for the writer of a flight it found to register. */
#define SC_REGISTER_MS 3000
/* A writer without a daemon looks for the next one this often; several times within SC_REGISTER_MS. */
#define SC_RECONNECT_MS 200
/* How long the next daemon believes in a holder that lives and does not come to it: as often as it would have come meanwhile, it can
 * only be stopped. */
#define SC_LEASE_MS 10000
/* Between the first signal to a command nobody reads any more, and SIGKILL. */
#define SC_GRACE_MS 5000
/* Longest sleep on a page: a peer may have died between two steps (lost wake-up), so look again. */
#define SC_PAGE_WAIT_MS 1000
/* A daemon that may open fewer than this is not started: it holds some twenty itself, a run takes ten, and one that has to turn
 * everybody away is worse than none. */
#define SC_DAEMON_FDS 64
/* A daemon that crashed this often within the window is not started again before the window is over. */
#define SC_CRASHES_MAX 3
#define SC_CRASH_WINDOW_MS 60000
/* A daemon that has not said "ready" by then is given up on. Only for one that hangs: one that dies is noticed at once, and with a
 * load of fifty on two processors its first steps have taken sixteen seconds. */
#define SC_START_MS 60000
/* How long a starting daemon waits for one that is just going to let go of the lock. */
#define SC_LOCK_WAIT_MS 2000

/* Order numbers count runs; no cache lives to see this one, and one more than it is still a number SQLite can hold. */
#define SC_ORDER_MAX (UINT64_C(1) << 62)

/* Default life of a finished entry, and of a daemon nobody uses. */
#define SC_TTL_DEFAULT_MS (60ULL * 60 * 1000)
#define SC_IDLE_EXIT_MS (10ULL * 60 * 1000)
/* "Unknown" and "for ever", in every field that is a time. */
#define SC_FOREVER UINT64_MAX
/* Longest duration that is not for ever: two of them and a time of day still fit a signed 64-bit column. */
#define SC_DURATION_MAX (1ULL << 61)

/* What the cache may take, if `config` does not say: bytes, entries; and what it leaves of the file system, the smaller of a size
 * and a part (a twentieth). */
#define SC_MAX_SIZE (10ULL * 1024 * 1024 * 1024)
#define SC_MAX_FILES 1000000
#define SC_MIN_FREE (512ULL * 1024 * 1024)
#define SC_MIN_FREE_PART 20

/* What is over a limit is brought below it by this part of the limit: one eviction is then good for many commits, instead of one for
 * each. */
#define SC_EVICT_PART 64
/* A writer tells how far its run has grown in such steps, and room is made for the next one before it is written. Runs below one
 * step are not worth a message: what they take is counted when they are kept. */
#define SC_GROWN_STEP (16ULL * 1024 * 1024)
/* The file system's free space is asked for this often at most, and only when something has grown. */
#define SC_MEASURE_MS 1000
/* Entries served are told to the index so many at once, or after so long: a hit itself writes nothing. What a killed daemon has not
 * told is forgotten. Each may be a page of its own that is written twice, and each batch costs the reader its pages: so the next one
 * goes no sooner than so long after the last, and what finds no room till then is not counted. What is asked for often comes again. */
#define SC_VISITS_MAX 1024
#define SC_VISITS_MS 5000
#define SC_VISITS_PAUSE_MS 2000

/* Buckets that are counted for themselves: 230 bytes each. What comes after is counted together. */
#define SC_TALLIED_MAX 1024

/* What those who watch have not read yet, for all of them together, in events and bytes; and how many they may be. */
#define SC_EVENTS_MAX 4096
#define SC_EVENTS_BYTES (1024 * 1024)
#define SC_WATCHERS_MAX 64

/* What became of a key is known of so many keys; of so many bytes of them at most in memory alone, and for so long. */
#define SC_HISTORY_MAX 4096
#define SC_HISTORY_BYTES (256 * 1024)
#define SC_HISTORY_MS 5000

/* `hashes`: 64 bytes for each file whose content is remembered, 262144 of them at most. */
#define SC_HASHES_SIZE (16 * 1024 * 1024)
/* A file that was changed so short a time ago may be changed again and have the same times: the coarsest of local file systems count
 * whole seconds. */
#define SC_YOUNG_MS 2000
/* A tree that is changed while it is read is read so often, before that is said. */
#define SC_HASH_TRIES 3
/* Directories in each other: each costs a descriptor while we are in it. */
#define SC_DEPTH_MAX 512

/* Reader slots of a page, and the ring that is touched only when the disk fails. */
#define SC_SLOTS 4096
#define SC_RING_SIZE (4 * 1024 * 1024)

/* A key whose output could not be stored is run by everybody for himself for so long; of so many keys it is known. */
#define SC_UNKEPT_MS 60000
#define SC_UNKEPT_MAX 1024

/* An entry whose renewal has failed is not renewed for so long; of so many keys it is known. */
#define SC_QUIET_MS 10000
#define SC_QUIET_MAX 1024

/* A reader of a streaming-only run that has not moved for so long while others wait for it is left behind. */
#define SC_STUCK_MS 10000

/* What entries may take of the machine's memory, if `config` does not say: thousands of small ones, and little beside what the page cache
 * takes by itself. */
#define SC_MEMORY (64ULL * 1024 * 1024)
/* What one in memory takes besides its bytes: the kernel's inode, directory entry and open file of each of its streams, 1.3 KiB in all, and
 * our row. Counted as a page, so that empty ones are not for nothing. */
#define SC_HOT_ROW 4096
/* Of the descriptors a daemon may have this part is for entries in memory, because all else it does needs some, too: each peer one, each run
 * six. And so many at most, that is the small entries of 128 MiB: libuv's table grows with the highest. */
#define SC_HOT_FDS_PART 4
#define SC_HOT_FDS_MAX 16384
/* Whoever was asked to put an entry into memory has come back by then, or somebody else is asked: it prints first, and that may be into a
 * pager. 64 MiB are copied within a tenth of it. */
#define SC_LOAD_MS 2000
/* While loading does not pay, one in so many of those who could is asked to: what it costs the hits is a hundredth, and what is asked for
 * all the time is still soon among them. */
#define SC_LOAD_EVERY_MAX 128

/* How far a run may be ahead of its fastest reader: a reader is never without work, and a command that prints for ever into a pager
 * does not fill the disk. */
#define SC_WINDOW (16 * 1024 * 1024)

/* A record of an error stream carries at most this many bytes; one read of a pipe. */
#define SC_RECORD_MAX (64 * 1024)
/* Master keys of one daemon: the one that seals, and those before it. */
#define SC_KEYS_MAX 16
/* Plaintext of one frame of a sealed stream: nothing of it is given out before all of it is verified, so this much a reader holds. */
#define SC_SEAL_PLAIN_MAX (64 * 1024)

/* The log is begun anew (the old one kept once) at this size, and takes this many lines a second. */
#define SC_LOG_MAX (1024 * 1024)
#define SC_LOG_RATE 200
/* What a daemon that dies of a fault of its own leaves in `lock`: a place in the source and a few words. */
#define SC_LAST_WORDS 256

#endif

/* `config`: what the daemon obeys. Lies in the cache directory, else in XDG_CONFIG_HOME/sc/config. INI, read by libinih:
 * settings of the cache first, then those of single buckets below `[bucket NAME]`. A bad line never stops the daemon: it is
 * reported, what it would have set stays as it was, and the rest is taken. lib/FORMAT.md lists the settings. */
#ifndef SC_CONFIG_H
#define SC_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/limits.h"

/* Of the cache, or of one bucket in it. SC_FOREVER: no limit. */
struct limits {
	uint64_t max_size;  /* `max-size`: bytes of all objects, those of runs in progress too */
	uint64_t max_files; /* `max-files`: entries */
	uint64_t
		min_free; /* `min-free`: bytes of the file system that are left to others; 0 for "none", SC_MIN_FREE_AUTO if not
			     * given (config_min_free). In a bucket 0: only the cache has one */
	uint64_t max_entry; /* `max-entry`: bytes of one entry (config_max_entry) */
};

#define SC_MIN_FREE_AUTO (UINT64_MAX - 1)

/* In the order in which they are shown. */
enum setting {
	SET_TTL,
	SET_STALE,
	SET_KEEP_FAILURES,
	SET_FINISH,
	SET_SHOW_COMMANDS,
	SET_MAX_SIZE,
	SET_MAX_FILES,
	SET_MAX_ENTRY,
	SET_MIN_FREE,
	SET_MEMORY,
	SET_WINDOW,
	SET_IDLE_EXIT,
	SET_NETWORK_FS,
	SET_ENCRYPT,
	SET_KEY_FILE,
	SETTINGS
};

struct config_bucket {
	char name[SC_BUCKET_MAX + 1];
	struct limits limits; /* beside the cache's, which hold as well */
	uint64_t ttl_ms;      /* the cache's where the section names none; so are: */
	uint64_t stale_ms, keep_ms;
	bool finish, show_commands;
	int line[SETTINGS]; /* as below; what is the cache's has the cache's line */
};

struct config {
	uint64_t idle_exit_ms; /* `idle-exit`: SC_IDLE_EXIT_MS if not given; SC_FOREVER for "forever" */
	uint64_t ttl_ms;       /* `ttl`: what a run stores whose caller names none, in a bucket without one (config_ttl) */
	uint64_t stale_ms;  /* `stale`: how long beyond its ttl an entry is served while it is renewed, likewise; default 0 */
	uint64_t keep_ms;   /* `keep-failures`: likewise; default 0 */
	bool finish;	    /* `finish`: a run ends and is kept although nobody reads it any more, likewise; default off */
	bool show_commands; /* `show-commands`: command lines are kept for people to read, likewise; default off */
	uint64_t window;    /* `window`: bytes a run may be ahead of its fastest reader; SC_FOREVER for "none" */
	uint64_t memory;    /* `memory`: bytes of memory that entries may take which are asked for again; 0: none */
	bool network_fs;    /* `network-fs`: the cache directory may lie on a network file system; only paths.c asks */
	bool encrypt;	    /* `encrypt`: everything is sealed; default off, but on where the line cannot be understood */
	bool credential;    /* key_file is not set but lent by the service manager: $CREDENTIALS_DIRECTORY/sc.key */
	char key_file[SC_PATH_MAX]; /* `key-file`: absolute paths of master keys, a colon between two; "" for none */
	struct limits limits;
	char file[SC_PATH_MAX]; /* that was read, "config" for the one in the cache directory; "" for none */
	int line[SETTINGS];	/* of it, where it was set; 0: nowhere, the default stands */
	unsigned nbuckets;
	struct config_bucket buckets[SC_BUCKETS_MAX]; /* in the order of the file, each name once */
};

/* line 0: the file as a whole. */
typedef void (*config_complaint)(void *arg, const char *file, int line, const char *why);

void config_init(struct config *c);

/* SC_ENOENT: neither file is there (defaults stand). SC_ESYS: one is there and cannot be read. SC_EUNSAFE: one is there and not
 * to be trusted (a link in the cache directory, not ours or root's, writable by others), so not read. Only what the file
 * names is changed in c, and a key-file that nobody names is taken from the environment if it lies there. dir_fd -1: there is no such directory yet. complain may be NULL. */
int config_read(struct config *c, int dir_fd, config_complaint complain, void *arg);

/* The section of a bucket; NULL: it has none. */
const struct config_bucket *config_bucket(const struct config *c, const char *bucket);

/* What holds in a bucket, whether it has a section or not. */
uint64_t config_ttl(const struct config *c, const char *bucket);
uint64_t config_stale(const struct config *c, const char *bucket);
uint64_t config_keep_failures(const struct config *c, const char *bucket);
bool config_finish(const struct config *c, const char *bucket);
bool config_show_commands(const struct config *c, const char *bucket);
uint64_t config_max_entry(const struct config *c, const char *bucket); /* the least of max-entry and both max-size */

/* Bytes that must stay free on a file system of this size. */
uint64_t config_min_free(const struct config *c, uint64_t fs_bytes);

/* Takes the next of key_file's paths off *rest, into path. False: there are no more. */
bool config_next_key_file(const char **rest, char path[SC_PATH_MAX]);

/* For who shows them all. */
enum setting_kind { SETTING_DURATION, SETTING_SIZE, SETTING_COUNT, SETTING_SWITCH, SETTING_PATHS };

struct setting_value {
	const char *name;
	enum setting_kind kind;
	uint64_t value;	  /* ms, bytes, a number, 0 or 1; SC_FOREVER: forever, or none */
	const char *text; /* of SETTING_PATHS, in c; NULL: none */
	int line;
};

/* Of the cache (b NULL) or of a bucket. False: buckets have no such setting. */
bool config_get(const struct config *c, const struct config_bucket *b, enum setting which, struct setting_value *v);

#endif

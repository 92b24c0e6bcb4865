/* What holds for a caller here and for the daemon: the cache directory, `config` as a daemon would read it now, the environment.
 * Only looked at: nothing is made, no daemon started. */
#ifndef SC_SETTINGS_H
#define SC_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/session.h"
#include "lib/config.h"

struct settings {
	struct session s; /* its place is open if place_rc is 0 */
	int place_rc; /* of session_find; SC_ENOENT: not made yet. s.place.path and, after any other failure, s.why are set */
	struct config config;
	int config_rc; /* of config_read */
};

/* Looks for the directory; config has its defaults. */
void settings_find(struct settings *set);
/* Reads config. said: for each bad line. */
void settings_read(struct settings *set, config_complaint said, void *arg);
void settings_release(struct settings *set);

/* The file by its whole path; "" for none. complain's file likewise. Returns out. */
const char *settings_path(const struct settings *set, const char *file, char out[SC_PATH_MAX + 16]);

/* The variable of the environment that says where the directory is: SC_DIR, XDG_CACHE_HOME or HOME. NULL: none does. */
const char *settings_dir_variable(const struct settings *set);

/* Size of the cache directory's file system and what is free on it for us. False: not known. */
bool settings_space(const struct settings *set, uint64_t *bytes, uint64_t *bytes_free);

/* Asks the daemon, if one runs, for its STATUS: session_ask's result. */
int settings_ask_daemon(struct settings *set, struct msg *m);

/* Was config written after the daemon of this STATUS started? By the wall clock, so not for a decision. */
bool settings_are_newer(const struct settings *set, const struct msg *status);

#endif

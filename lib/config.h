/* `config`: what the daemon obeys. Lies in the cache directory, else in XDG_CONFIG_HOME/sc/config. INI, read by libinih.
 * A bad line never stops the daemon: it is reported and the rest is taken. */
#ifndef SC_CONFIG_H
#define SC_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

struct config {
	uint64_t idle_exit_ms; /* `idle-exit`: SC_IDLE_EXIT_MS if not given; SC_FOREVER for "forever" */
	uint64_t ttl_ms;       /* `ttl`: what a run stores whose caller names none */
	uint64_t window;       /* `window`: bytes a run may be ahead of its fastest reader; SC_FOREVER for "none" */
	bool network_fs;       /* `network-fs`: the cache directory may lie on a network file system; only paths.c asks */
};

/* line 0: the file as a whole. */
typedef void (*config_complaint)(void *arg, const char *file, int line, const char *why);

void config_init(struct config *c);

/* SC_ENOENT: neither file is there (defaults stand). SC_ESYS: one is there and cannot be read. SC_EUNSAFE: one is there and not
 * to be trusted (a link in the cache directory, not ours or root's, writable by others), so not read. Only what the file
 * names is changed in c. complain may be NULL. */
int config_read(struct config *c, int dir_fd, config_complaint complain, void *arg);

#endif

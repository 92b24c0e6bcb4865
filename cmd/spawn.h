/* The only fork and exec of the project. What each child inherits is decided here and nowhere else. */
#ifndef SC_SPAWN_H
#define SC_SPAWN_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/limits.h"

struct spool;

/* Of kernels older than 6.9 unknown to the headers, and refused with EINVAL. */
#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1UL << 2)
#endif

/* First thing in main: descriptors 0 to 2 that the caller closed are filled, so that no file of ours becomes somebody's stdout.
 * What fills 1 refuses writes, so that a closed stdout is noticed. */
void spawn_fill_low_fds(void);

/* Of the descriptors from `from` on only these n (-1: none), which are sorted by it. */
void spawn_keep_only(int from, int *keep, size_t n);

/* Where scd is: beside ourselves, else in the libexec of the prefix we are installed in; never through PATH, which is the
 * caller's. SC_ENOENT. */
int spawn_find_daemon(char path[SC_PATH_MAX]);

/* Starts scd for a directory, detached from everything of ours: no descriptors, signals, session or environment but the
 * allow-list. Waits until it is ready or has failed, at most SC_START_MS. 0; SC_EEOF: it failed, `why` has its own words ·
 * SC_EBUSY: it was killed, or crashed, before it had any ·
 * SC_ETIME · SC_ESYS. */
int spawn_daemon(const char *dir, char *why, size_t size);

/* Asks the scd of this path, as spawn_find_daemon found it, of which build it is; no daemon is started by it. SC_EPROTO: it does not say
 * · SC_ETIME · SC_ESYS. */
int spawn_ask_build(const char *path, char build[SC_BUILD_MAX + 1]);

/* Becomes scd in the foreground, for `daemon run`. Returns only on failure. */
void spawn_become_daemon(const char *dir);

/* The command of a run, killed with us. */
struct child {
	pid_t pid;
	int pidfd;
	int out_fd, err_fd; /* our ends of its pipes; err_fd -1 when its stderr is the caller's */
	int exec_error;	    /* errno of the exec that failed; 0: it runs */
};

/* What the child itself does last before it becomes the command, with a descriptor of itself (or -1): who has been told by then can
 * kill the command whatever becomes of us. */
typedef void (*spawn_announce)(void *arg, int pidfd);

struct spawn {
	char *const *argv;
	const struct spool *input; /* the command's stdin, as below */
	const char *chain;	   /* what SC_FLIGHTS is to be */
	bool inherit_stderr;
	bool child_ignored; /* the caller's SIGCHLD was ignored, and the command's then is again; ours must not be, or its status is lost */
	bool foreground;      /* it stays in our process group */
	bool detached;	      /* it gets descriptors 0 to 2 only, and no jobserver */
	const sigset_t *mask; /* the command's, the caller's; ours may be another */
	spawn_announce announce;
	void *arg;
};

/* SC_ESYS: no process or pipe to be had. */
int spawn_command(struct child *c, const struct spawn *s);

/* Our stdout, and that of what we become, goes nowhere. */
void spawn_no_stdout(void);

/* What a command has as its stdin is `input`, from its beginning; without one (NULL, or none was made) it is /dev/null.
 *
 * Out of a clear spool it gets a regular file, to seek in. Out of a sealed one it gets a pipe, which a process of ours fills, the feeder:
 * nobody's child, in a session of its own, with no descriptor of anybody's, and gone when all is written or nobody reads any more. What
 * has been damaged meanwhile must not look like a shorter input: the feeder kills the command (that of a run with its whole group)
 * before it lets the pipe end; one that it may not kill, as of another user by now, waits for more in vain. Nothing can be said where the
 * feeder itself is killed: that is the end of the input. */

/* Becomes the command, as if sc were not there: all but its stdin is the caller's. Says why and returns 126 or 127 if it cannot. */
int spawn_become(char *const argv[], const struct spool *input);

/* The same beside us, in our own process group and killed with us, its stdout to out_fd; waited for. SIGINT, SIGTERM, SIGHUP, SIGQUIT
 * and the two of users do not end us meanwhile: what somebody sent to us alone is passed on, what the terminal sends reaches it anyway. SC_ESYS:
 * no process to be had. */
struct ended {
	int exit, signal; /* 0, or of the command */
	int caught;	  /* the first signal that came for us, or 0 */
};
int spawn_and_wait(char *const argv[], const struct spool *input, int out_fd, struct ended *how);

/* The same, its stdout into a spool, which its caller ends. A clear one it gets as it is. Into a sealed one it comes through a pipe, which is
 * read until it is at its end, or the command is and a signal has come for us. SC_ESYS also: what it printed could not be kept. */
int spawn_into(char *const argv[], const struct spool *input, struct spool *out, struct ended *how);

/* A command that keeps all that is ours, also stdin and our process group, and is killed with us. Born waiting: it becomes the command
 * when it is let go. From its birth to spawn_end what would end us (as above) comes by signal_fd. */
struct beside {
	pid_t pid;
	int pidfd;     /* readable when it is dead */
	int signal_fd; /* readable: spawn_pass_on */
	int gate_fd;
	sigset_t mask_was;
	struct sigaction child_was;
};
/* chain: what SC_FLIGHTS is to be. SC_ESYS: nothing is left of it. */
int spawn_beside(struct beside *b, char *const argv[], const char *chain);
void spawn_let_go(struct beside *b);
/* What came is passed on as above; the first of it is how->caught. */
void spawn_pass_on(struct beside *b, struct ended *how);
void spawn_signal(const struct beside *b, int sig);
/* Waits for its death: exit and signal of *how. Once. */
void spawn_wait(struct beside *b, struct ended *how);
/* … and after that, signals are as they were before its birth; what has come meanwhile is in how->caught. */
void spawn_end(struct beside *b, struct ended *how);

/* 126 or 127, and one line that says why. */
int spawn_explain(const char *name, int error, char *text, size_t size);

#endif

/* Where a caller's bytes go: to stdout, to a FILE that is no regular file and is written in place, or to a temporary beside FILE
 * that takes FILE's place when, and only when, all of it is good. The temporary is called .FILE.sc-XXXXXX; whatever ends this
 * process removes it, but for SIGKILL.
 *
 *   open ──▶ commit: FILE is the new one │ abandon: FILE is what it was */
#ifndef SC_OUTPUT_H
#define SC_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

struct output {
	int fd;		 /* to be written to; 1 for stdout */
	bool temporary;	 /* nobody else has it open: kernel-side copies into it are exact, and it may be begun anew */
	int dir_fd;	 /* of a temporary: where it and FILE are */
	char base[256];	 /* FILE's name there, links followed */
	char name[256];	 /* the temporary's; empty: it is not there (any more) */
	const char *why; /* after a failure; errno's words or static ones */
};

/* The directory of a path, opened relative to at_fd, and the name in it; writes into path. -1: errno. */
int output_enter(int at_fd, char *path, char base[256]);

/* Why a name that is there could not be replaced or removed when the time has come; NULL: nothing is known. */
const char *output_pinned(int dir_fd, const char *base);

/* Stdout. */
void output_init(struct output *o);

/* FILE, which is found or a temporary made for it: whatever would keep the bytes from getting there is said now. A FIFO waits for
 * its reader, as in a shell. At most once in a process. False: `why`; nothing is left. */
bool output_open(struct output *o, const char *file);

/* What has been written to a temporary is forgotten, and it is empty again. False: it is not a temporary (nor is anything undone),
 * or cannot be emptied. */
bool output_restart(struct output *o);

/* FILE has these bytes from now on, and this moment as its time. False: `why`; FILE is what it was. */
bool output_commit(struct output *o);

/* Removes a temporary; nothing to do for the others, or after commit. */
void output_abandon(struct output *o);

#endif

/* What scd.log says has gone wrong. It knows of daemons that are gone as well as of the one that runs, and needs none of them. */
#ifndef SC_LOGGED_H
#define SC_LOGGED_H

#include <stdint.h>

/* The last two are of all times the log knows, the others of the time asked for. */
enum trouble {
	LOGGED_STREAMING, /* the disk did not take what a run printed */
	LOGGED_BEGIN,	  /* … nor the files of a run */
	LOGGED_COMMIT,	  /* an entry could not be written down */
	LOGGED_INDEX,	  /* the index could not be written */
	LOGGED_SYNC,	  /* what was written did not reach the disk */
	LOGGED_REMOVE,	  /* what has to go stays */
	LOGGED_BYTES,	  /* an entry's bytes were not what had been stored */
	LOGGED_FULL,	  /* callers were turned away */
	LOGGED_CRASH,	  /* a daemon died of a fault of its own */
	LOGGED_NO_START,  /* a daemon could not start */
	LOGGED_ASIDE,	  /* the index was put aside */
	TROUBLES
};

struct logged {
	unsigned times;
	uint64_t last_ms; /* wall clock */
	char why[512];	  /* of the last one; bytes from the log, not to be shown as they are */
};

/* Reads scd.log.1 and scd.log of the directory. Lines before since_ms count only for the last two. What cannot be read, or is not
 * ours, says nothing. */
void logged_read(int dir_fd, uint64_t since_ms, struct logged out[TROUBLES]);

#endif

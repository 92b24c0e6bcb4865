/* Following a run: the reader's steps, the sleep on the page between them, and everything that can happen meanwhile: the daemon
 * goes, the writer dies, nobody reads our stdout, a signal, silence. */
#ifndef SC_FOLLOW_H
#define SC_FOLLOW_H

#include <stdint.h>

#include "cmd/reader.h"
#include "cmd/session.h"

struct page;

enum follow_result {
	FOLLOW_ENDED = 0, /* all of it is printed; exit and signal say how the command ended */
	FOLLOW_CANCELLED, /* it was stopped because nobody read it */
	FOLLOW_LOST,	  /* its writer died; `reader.out_pos` says how much was printed */
	FOLLOW_NESTED,	  /* the next daemon says that we would wait for ourselves */
	FOLLOW_SIGNAL,	  /* we were told to go: `signal`; leaving has been said */
	FOLLOW_SILENT,	  /* nothing came for wait_ms */
	FOLLOW_STDOUT_CLOSED,
	FOLLOW_CANNOT_WRITE, /* reader.error */
	FOLLOW_CANNOT_READ,  /* reader.error */
	FOLLOW_DIFFERS,	     /* a second run that is not like the first */
	FOLLOW_OVERTAKEN,    /* a streaming-only run did not wait for us any longer */
};

struct follow {
	struct session *session; /* the connection that makes us a reader; replaced when the daemon is */
	struct page *page;
	struct reader reader;
	struct gen gen;
	struct bytes bucket, key;
	bool can_lead;		      /* we have a command, should the run be lost */
	struct bytes chain;	      /* runs we are inside of */
	bool foreground;	      /* the command is in our own process group */
	uint64_t wait_ms;	      /* SC_FOREVER: no bound */
	bool joined;		      /* another caller began it */
	uint64_t age_ms, estimate_ms; /* of the run when we came; what the last one took */
	uint32_t exit, signal;
	int unkept;	 /* errno of what keeps the run from being kept; 0: nothing is known to */
	bool left;	 /* FOLLOW_SIGNAL: the daemon has answered; then the next two mean something */
	uint64_t others; /* who goes on reading */
	bool doomed;	 /* and the run is not to be kept */
	int stopping;	 /* … or whether the run ends with us */
};

enum follow_result follow_run(struct follow *f);

#endif

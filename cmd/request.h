/* What get, run or warm was asked to do: its options, the environment behind them, KEY and CMD. Knows the rules of the command line and
 * nothing of caches. */
#ifndef SC_REQUEST_H
#define SC_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cmd/command.h"
#include "cmd/key.h"
#include "lib/gen.h"
#include "lib/limits.h"
#include "lib/msg.h"

struct options;

struct request {
	const char *key;		  /* before what is declared is in it; of run: what stands in its place */
	char **cmd;			  /* NULL: only look */
	uint8_t command[SC_COMMAND_SIZE]; /* a digest of it, by which the daemon knows it again */
	const char *bucket;		  /* while options are read: as --bucket gives it */
	uint64_t ttl_ms, accept_ms;	  /* how long it may be kept (SC_TTL_UNSET: as the daemon thinks), how old it may be */
	uint64_t stale_ms, keep_ms;	  /* how much older while it is renewed, how long a failure; SC_TTL_UNSET the same */
	uint64_t wait_ms;		  /* if wait_given */
	bool wait_given, stale_given;
	bool refresh, finish, inherit_stderr, strict, quiet, verbose;
	bool no_cwd;	     /* of run */
	bool warm;	     /* in the background, nothing is printed */
	struct key declared; /* what the key is also made of: of what is to be looked at, without a value yet */
	bool foreground;
	uint64_t linger_ms;
	char tags[SC_TAGS_SIZE + 1];	/* of what is made */
	bool atomic;			/* nothing is printed before the run has succeeded */
	bool takes_stdin;		/* our stdin is part of the key, and the command's */
	bool print_key;			/* and do nothing else */
	bool sealed;			/* what is made lies nowhere in the clear */
	const char *output;		/* -o FILE; NULL: stdout */
	int status_fd;			/* -1: none; close-on-exec */
	struct gen chain[SC_CHAIN_MAX]; /* runs we are inside of, the innermost last */
	size_t nchain;
};

/* False: a usage error, said on stderr. */
bool request_parse(struct request *r, const struct command *self, int argc, char **argv);

/* The runs we are inside of, the innermost last, as SC_FLIGHTS names them: how many. */
size_t request_read_chain(struct gen chain[SC_CHAIN_MAX]);

/* The bucket: what --bucket gives (NULL: it was not given), else SC_BUCKET, else "default". False: a usage error, said on stderr. What is not
 * used may be wrong. */
bool request_read_bucket(const char **bucket, const struct options *o, const char *given);

/* The pieces of it that put shares: what holds without an option (of the bucket nothing yet), and the first word as KEY, of at most so many
 * bytes. */
bool request_begin(struct request *r, const struct options *o);
bool request_add_tag(struct request *r, const struct options *o); /* the value of the option just given */
bool request_take_key(struct request *r, const struct options *o, size_t most);

/* The ASK. `lost` is the run we have just lost, or none. Points into r. */
struct msg request_question(const struct request *r, const struct gen *lost);

/* The runs we are inside of, as messages carry them. Points into r. */
struct bytes request_inside(const struct request *r);

/* SC_FLIGHTS for the command of run `own`: the chain with it at the end. Static. */
char *request_chain(const struct request *r, const struct gen *own);

#endif

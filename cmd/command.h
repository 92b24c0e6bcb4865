/* The verbs. One row each in main.c's table, which is the only source of help, completions and manual synopsis. */
#ifndef SC_COMMAND_H
#define SC_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

/* Exit statuses that are ours, not the command's. */
enum {
	EXIT_NO_KEY = 1,
	EXIT_EXISTS = 1,   /* of put --if-absent */
	EXIT_PROBLEM = 1,  /* of doctor: something is to be mended */
	EXIT_USAGE = 2,	   /* of verbs that run no command */
	EXIT_WAITED = 124, /* --wait is over */
	EXIT_FAILED = 125, /* sc failed; a usage error of get */
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
	EXIT_PIPE = 141, /* nobody reads our stdout any more */
};

/* One option of a verb. */
struct option_row {
	char letter;	   /* 0: none */
	const char *name;  /* without the dashes */
	const char *value; /* what its argument is called in help; NULL: takes none */
	const char *help;
	bool not_warm; /* of run, get and warm: warm refuses it, and says why */
};

/* Of every verb that knows keys. */
#define BUCKET_HELP "in the bucket NAME; else in the one SC_BUCKET names, or default"

#define SEALED_HELP "what is made is sealed on the disk; what lies there in the clear is not taken"
#define TAG_HELP "what is made has the tag T, by which rm finds it; may be given up to 16 times"

struct command {
	const char *name;
	const char *summary;		  /* one line */
	const char *words;		  /* the synopsis behind the options: "KEY [-- CMD [ARG…]]" */
	const struct option_row *options; /* ends with a row whose name is NULL; may be NULL */
	bool runs_command;		  /* takes -- CMD; its usage errors are 125 */
	int (*run)(const struct command *self, int argc, char **argv); /* argv[0] is the verb; returns the exit status */
	bool words_are_cmd; /* its first word begins CMD, with or without a `--` before it */
	const char *group;  /* what help calls this verb and those behind it; NULL: goes on with the one before */
	bool hidden;	    /* for programs: neither listed nor completed */
};

extern const struct command commands[]; /* ends with a row whose name is NULL */
/* Whether the verb's help, manual and completions show the option. */
bool command_offers(const struct command *c, const struct option_row *r);
const struct command *command_find(const char *name); /* NULL: no such verb */
int command_unknown(const char *name);		      /* complains, with the nearest one there is; returns the exit status */

int run_get(const struct command *self, int argc, char **argv);
int run_run(const struct command *self, int argc, char **argv);
int run_warm(const struct command *self, int argc, char **argv);
int run_put(const struct command *self, int argc, char **argv);
int run_hold(const struct command *self, int argc, char **argv);
int run_rm(const struct command *self, int argc, char **argv);
int run_touch(const struct command *self, int argc, char **argv);
int run_ls(const struct command *self, int argc, char **argv);
int run_ps(const struct command *self, int argc, char **argv);
int run_stats(const struct command *self, int argc, char **argv);
int run_sync(const struct command *self, int argc, char **argv);
int run_config(const struct command *self, int argc, char **argv);
int run_doctor(const struct command *self, int argc, char **argv);
int run_keygen(const struct command *self, int argc, char **argv);
int run_daemon(const struct command *self, int argc, char **argv);
int run_explain(const struct command *self, int argc, char **argv);
int run_watch(const struct command *self, int argc, char **argv);
int run_verify(const struct command *self, int argc, char **argv);
int run_help(const struct command *self, int argc, char **argv);
int run_version(const struct command *self, int argc, char **argv);
int run_complete(const struct command *self, int argc, char **argv);
int run_table(const struct command *self, int argc, char **argv);

/* Those of get and warm begin behind the first of run's. */
#define get_options (run_options + 1)
extern const struct option_row run_options[], put_options[], hold_options[], rm_options[], touch_options[], ls_options[],
	ps_options[], stats_options[], sync_options[], config_options[], doctor_options[], verify_options[], watch_options[],
	explain_options[], keygen_options[], daemon_options[], version_options[];

/* `sc: what: why (what to do)`, one line on stderr. A NULL mend leaves the parentheses away. */
void complain(const char *what, const char *why, const char *mend);
/* The same with a format for why; no mend. */
void complainf(const char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The last thing a verb does that prints data: flushes stdout. 0; EXIT_PIPE; EXIT_FAILED with a complaint under `what`. */
int end_output(const char *what);

#endif

/* The command line of one verb: options before or after its words, never abbreviated, and the `--` that begins CMD. */
#ifndef SC_OPTIONS_H
#define SC_OPTIONS_H

#include "cmd/command.h"

struct options {
	const struct command *command;
	int argc;
	char **argv;
	int at;		  /* next argument */
	int failed_at;	  /* … when options_failed came true */
	const char *more; /* the rest of a cluster of letters */
	bool ended;	  /* no options from here on */
	char **words;	  /* what is no option, in order; points into argv, which is reordered */
	int nwords;
	char **cmd;	   /* CMD and its arguments, NULL-terminated; NULL: no `--`, or nothing that could be CMD */
	const char *value; /* of the option just given */
	bool silent;	   /* no word of an error; set behind options_start by who only looks what a line means */
	const struct option_row *wanting; /* the option that failed for its value not being there */
};

void options_start(struct options *o, const struct command *command, int argc, char **argv);

/* Whether -h or --help stands where an option may: not as the value of another one, nor in CMD. */
bool options_want_help(const struct command *command, int argc, char **argv);

/* The next option's row; NULL at the end. After an error (already said on stderr) NULL too, and options_failed is true. */
const struct option_row *options_next(struct options *o);
bool options_failed(const struct options *o);

/* All of it, of a verb that has no options, and takes `most` words. 0, or the status to end with: said, `otherwise` of too many words. */
int options_words(struct options *o, const struct command *command, int argc, char **argv, int most, const char *otherwise);

/* A usage error: says it and where to look, returns the verb's status for it. */
int options_error(const struct options *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int options_status(const struct options *o); /* that status alone */

/* Values. Each says what is wrong and returns false. */
bool options_key(const struct options *o, const char *key);
bool options_tag(const struct options *o, const char *tag);
bool options_duration(const struct options *o, const struct option_row *row, unsigned long long *ms);

#endif

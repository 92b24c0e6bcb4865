/* sc: the table of verbs, help from it, and the way to each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/spawn.h"
#include "lib/build.h"
#include "lib/human.h"

const struct command commands[] = {
	{"get", "print KEY's output; on a miss CMD makes it", "KEY [-- CMD [ARG...]]", get_options, true, run_get},
	{"run", "the same, with a key made from CMD, the directory and what is declared", "[--] CMD [ARG...]", run_options,
	 true, run_run, true},
	{"warm", "make it in the background, print nothing", "KEY -- CMD [ARG...]", get_options, true, run_warm},
	{"put", "store FILE, or stdin; readers can follow while it arrives", "KEY [FILE]", put_options, false, run_put},
	{"rm", "remove keys", "KEY... | --prefix P", rm_options, false, run_rm},
	{"ls", "list the keys of finished entries", "[PREFIX]", ls_options, false, run_ls},
	{"ps", "list the runs in progress", "", ps_options, false, run_ps},
	{"sync", "what is stored survives a loss of power from now on", "", sync_options, false, run_sync},
	{"verify", "check every entry's bytes, and what lies in the cache", "", verify_options, false, run_verify},
	{"config", "every setting, its value, and where that comes from", "", config_options, false, run_config},
	{"doctor", "look at everything sc stands on, and say what to mend", "", doctor_options, false, run_doctor},
	{"daemon", "the daemon's life, by hand", "start|stop|restart|status|run", daemon_options, false, run_daemon},
	{"help", "this list, or the options of a verb", "[VERB]", NULL, false, run_help},
	{"version", "print the version", "", NULL, false, run_version},
	{0},
};

static const struct command *find(const char *name)
{
	const struct command *c = commands;

	while (c->name && strcmp(c->name, name) != 0)
		c++;
	return c->name ? c : NULL;
}

static bool has_options(const struct command *c)
{
	return c->options && c->options->name;
}

static void help_verb(const struct command *c)
{
	printf("usage: %s %s%s %s\n\n%s\n", SC_BIN, c->name, has_options(c) ? " [OPTIONS]" : "", c->words, c->summary);
	if (has_options(c))
		puts("\noptions:");
	for (const struct option_row *r = c->options; r && r->name; r++) {
		char left[64];

		snprintf(left, sizeof left, "%s%c%s--%s%s%s", r->letter ? "-" : " ", r->letter ? r->letter : ' ',
			 r->letter ? ", " : "  ", r->name, r->value ? " " : "", r->value ? r->value : "");
		printf("  %-29s %s\n", left, r->help);
	}
	if (c->runs_command)
		printf("\nCMD is run as it stands, without a shell; its exit status is %s's. 124: --wait is over; 125: %s "
		       "failed;\n"
		       "126, 127: CMD cannot be executed, or found; 141: nobody reads stdout any more.\n",
		       SC_BIN, SC_BIN);
}

static void help_all(FILE *to)
{
	fprintf(to, "usage: %s VERB [OPTIONS] ...\n\n", SC_BIN);
	for (const struct command *c = commands; c->name; c++)
		fprintf(to, "  %-8s %-32s %s\n", c->name, c->words, c->summary);
	fprintf(to,
		"\n%s help VERB shows a verb's options. Set SC_DIR to choose the cache directory, SC_DISABLE=1 to do "
		"without.\n",
		SC_BIN);
}

static int unknown(const char *name)
{
	const char *names[32], *near;
	char shown[256], mend[128];
	size_t n = 0;

	for (const struct command *c = commands; c->name; c++)
		names[n++] = c->name;
	names[n] = NULL;
	near = human_nearest(name, names);
	human_escape(name, strlen(name), shown, sizeof shown);
	if (near)
		snprintf(mend, sizeof mend, "did you mean '%s'?", near);
	else
		snprintf(mend, sizeof mend, "see '%s help'", SC_BIN);
	complain(shown, "no such verb", mend);
	return EXIT_USAGE;
}

int run_help(const struct command *self, int argc, char **argv)
{
	const struct command *c;

	if (argc > 2) {
		struct options o = {.command = self};

		return options_error(&o, "one VERB at most");
	}
	if (argc < 2) {
		help_all(stdout);
		return end_output("help");
	}
	c = find(argv[1]);
	if (!c)
		return unknown(argv[1]);
	help_verb(c);
	return end_output("help");
}

int run_version(const struct command *self, int argc, char **argv)
{
	struct options o;
	int status;

	status = options_words(&o, self, argc, argv, 0, "takes no words");
	if (status)
		return status;
	printf("%s %s\n", SC_BIN, sc_build);
	return end_output("version");
}

int main(int argc, char **argv)
{
	const struct command *c;

	spawn_fill_low_fds();
	if (argc < 2) {
		help_all(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)
		argv[1] = (char *)(uintptr_t) "help";
	if (strcmp(argv[1], "-V") == 0 || strcmp(argv[1], "--version") == 0)
		argv[1] = (char *)(uintptr_t) "version";
	c = find(argv[1]);
	if (!c)
		return unknown(argv[1]);
	if (options_want_help(c, argc - 1, argv + 1)) {
		help_verb(c);
		return end_output("help");
	}
	return c->run(c, argc - 1, argv + 1);
}

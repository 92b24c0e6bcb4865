/* sc: the table of verbs, and the way to each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/help.h"
#include "cmd/options.h"
#include "cmd/spawn.h"
#include "lib/human.h"

const struct command commands[] = {
	{"get", "print KEY's output; on a miss CMD makes it", "KEY [-- CMD [ARG...]]", get_options, true, run_get,
	 .group = "make"},
	{"run", "the same; KEY is made of CMD, directory and what is declared", "[--] CMD [ARG...]", run_options, true, run_run,
	 .words_are_cmd = true},
	{"warm", "make it in the background, print nothing", "KEY -- CMD [ARG...]", get_options, true, run_warm},
	{"put", "store FILE, or stdin; readers can follow while it arrives", "KEY [FILE]", put_options, false, run_put},
	{"hold", "KEY exists, and is VALUE, while CMD runs, for one at a time", "KEY [VALUE] -- CMD [ARG...]", hold_options,
	 true, run_hold},
	{"rm", "remove keys", "KEY... | --prefix P | --tag T | --all | --null", rm_options, false, run_rm},
	{"touch", "let finished entries be as if they had been made just now", "KEY...", touch_options, false, run_touch},
	{"ls", "list the keys of finished entries", "[PREFIX]", ls_options, false, run_ls, .group = "look"},
	{"ps", "list the runs in progress, and what is held", "", ps_options, false, run_ps},
	{"explain", "what is known of KEY, and why the last miss was one", "KEY", explain_options, false, run_explain},
	{"watch", "a line for each thing that happens to a key, as it happens", "[PREFIX]", watch_options, false, run_watch},
	{"stats", "what was asked, run, kept and given up, and how much there is", "", stats_options, false, run_stats},
	{"sync", "what is stored survives a loss of power from now on", "", sync_options, false, run_sync, .group = "tend"},
	{"verify", "check every entry's bytes, and what lies in the cache", "", verify_options, false, run_verify},
	{"config", "every setting, its value, and where that comes from", "", config_options, false, run_config},
	{"doctor", "look at everything " SC_BIN " stands on, and say what to mend", "", doctor_options, false, run_doctor},
	{"keygen", "make a master key in a new FILE, and print its fingerprint", "FILE", keygen_options, false, run_keygen},
	{"daemon", "the daemon's life, by hand", "start|stop|restart|status|run", daemon_options, false, run_daemon},
	{"help", "this list, or the options of a verb", "[VERB]", NULL, false, run_help, .group = "ask"},
	{"version", "print the version", "", version_options, false, run_version},
	{"complete", "what may stand where the cursor is", "bash|zsh|fish WORD...", NULL, false, run_complete, .hidden = true},
	{"table", "these rows, for programs", "", NULL, false, run_table, .hidden = true},
	{0},
};

bool command_offers(const struct command *c, const struct option_row *r)
{
	return !(r->not_warm && c->run == run_warm);
}

const struct command *command_find(const char *name)
{
	const struct command *c = commands;

	while (c->name && strcmp(c->name, name) != 0)
		c++;
	return c->name ? c : NULL;
}

int command_unknown(const char *name)
{
	const char *names[32], *near;
	char shown[256], mend[128];
	size_t n = 0;

	for (const struct command *c = commands; c->name && n < sizeof names / sizeof *names - 1; c++)
		if (!c->hidden)
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
	c = command_find(argv[1]);
	if (!c)
		return command_unknown(argv[1]);
	if (!c->hidden && options_want_help(c, argc - 1, argv + 1)) {
		help_verb(c);
		return end_output("help");
	}
	return c->run(c, argc - 1, argv + 1);
}

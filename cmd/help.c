/* What there is to say of the table of verbs: to people, in 80 columns whatever the terminal is, and to the programs that make
 * the manual and hold it, the completions and the tests against the table. ASCII. */
#include "cmd/help.h"

#include <stdio.h>
#include <string.h>

#include "cmd/options.h"
#include "cmd/row.h"
#include "lib/build.h"

#define COLUMNS 80
#define OPTION_COLUMNS 32 /* the options themselves; what they do stands beside them */

static bool has_options(const struct command *c)
{
	return c->options && c->options->name;
}

/* Text into the columns from `indent` on; `at` is where the line stands now. Ends it. */
static void put_wrapped(FILE *to, int at, int indent, const char *text)
{
	while (*text) {
		int n = (int)strcspn(text, " ");

		if (at > indent && at + 1 + n > COLUMNS) {
			fputc('\n', to);
			at = 0;
		}
		if (at < indent)
			at += fprintf(to, "%*s", indent - at, "");
		else if (at > indent)
			at += fprintf(to, " ");
		at += fprintf(to, "%.*s", n, text);
		text += n;
		text += strspn(text, " ");
	}
	fputc('\n', to);
}

static void put_option(const struct option_row *r)
{
	char left[96];
	int at;

	snprintf(left, sizeof left, "%s%c%s--%s%s%s", r->letter ? "-" : " ", r->letter ? r->letter : ' ',
		 r->letter ? ", " : "  ", r->name, r->value ? " " : "", r->value ? r->value : "");
	at = printf("  %-*s", OPTION_COLUMNS - 4, left);
	/* One that reaches into the text's columns has a line of its own. */
	if (at > OPTION_COLUMNS - 2) {
		putchar('\n');
		at = 0;
	}
	put_wrapped(stdout, at, OPTION_COLUMNS, r->help);
}

void help_verb(const struct command *c)
{
	char usage[256];

	snprintf(usage, sizeof usage, "usage: " SC_BIN " %s%s%s%s", c->name, has_options(c) ? " [OPTIONS]" : "",
		 *c->words ? " " : "", c->words);
	put_wrapped(stdout, 0, 0, usage);
	putchar('\n');
	put_wrapped(stdout, 0, 0, c->summary);
	if (has_options(c))
		puts("\noptions:");
	for (const struct option_row *r = c->options; r && r->name; r++)
		if (command_offers(c, r))
			put_option(r);
	if (c->runs_command) {
		putchar('\n');
		put_wrapped(stdout, 0, 0,
			    "CMD is run as it stands, without a shell; its exit status is " SC_BIN "'s. 124: --wait is over; "
			    "125: " SC_BIN " failed; 126, 127: CMD cannot be executed, or found; 141: nobody reads stdout any "
			    "more.");
	}
}

void help_all(FILE *to)
{
	fprintf(to, "usage: %s VERB [OPTIONS] ...\n", SC_BIN);
	for (const struct command *c = commands; c->name; c++)
		if (!c->hidden) {
			int at = fprintf(to, "  %-6s %-8s", c->group ? c->group : "", c->name);

			put_wrapped(to, at, at + 1, c->summary);
		}
	fputc('\n', to);
	put_wrapped(to, 0, 0,
		    SC_BIN " help VERB shows the options of VERB; man " SC_BIN " has all the rest. SC_DIR names another cache "
			   "directory, SC_DISABLE=1 does without one.");
}

int run_help(const struct command *self, int argc, char **argv)
{
	struct options o = {.command = self};
	const struct command *c;

	if (argc > 2)
		return options_error(&o, "one VERB at most");
	if (argc < 2) {
		help_all(stdout);
		return end_output("help");
	}
	c = command_find(argv[1]);
	if (!c)
		return command_unknown(argv[1]);
	help_verb(c);
	return end_output("help");
}

const struct option_row version_options[] = {
	{0, "json", NULL, "as an object: the build, the number of the protocol"},
	{0},
};

static void print_version_json(void)
{
	json_t *o = json_object();

	json_object_set_new(o, "version", row_text(sc_build));
	json_object_set_new(o, "protocol", row_number(sc_proto_version));
	row_print(o);
}

int run_version(const struct command *self, int argc, char **argv)
{
	bool json = false;
	struct options o;

	options_start(&o, self, argc, argv);
	while (options_next(&o))
		json = true;
	if (options_failed(&o))
		return EXIT_USAGE;
	if (o.nwords)
		return options_error(&o, "takes no words");
	if (json)
		print_version_json();
	else
		printf("%s %s\n", SC_BIN, sc_build);
	return end_output("version");
}

int run_table(const struct command *self, int argc, char **argv)
{
	struct options o;
	int status = options_words(&o, self, argc, argv, 0, "takes no words");

	if (status)
		return status;
	for (const struct command *c = commands; c->name; c++) {
		if (c->hidden)
			continue;
		printf("verb\t%s\t%s\t%s\t%s\n", c->name, c->words, c->group ? c->group : "", c->summary);
		for (const struct option_row *r = c->options; r && r->name; r++)
			if (command_offers(c, r))
				printf("option\t%s\t%.1s\t%s\t%s\t%s\n", c->name, &r->letter, r->name, r->value ? r->value : "",
				       r->help);
	}
	return end_output("table");
}

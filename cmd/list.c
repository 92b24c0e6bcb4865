/* `sc ls` and `sc ps`: rows as they come, nothing gathered. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/key.h"
#include "cmd/options.h"
#include "cmd/talk.h"
#include "lib/err.h"
#include "lib/human.h"

const struct option_row ls_options[] = {{0}};
const struct option_row ps_options[] = {{0}};

static int flush_stdout(const char *verb)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	if (errno == EPIPE)
		return EXIT_PIPE;
	complainf(verb, "write error: %s", strerror(errno));
	return EXIT_FAILED;
}

static int each_row(struct session *s, const char *verb, const struct msg *q, enum session_how how,
		    void (*print)(const struct msg *m))
{
	struct msg m;
	int rc = talk_ask(s, how, verb, q, &m);

	if (rc == SC_ENOENT && how == SESSION_LOOK)
		return 0; /* no daemon, no flights */
	while (rc == 0 && (m.type == MSG_ENTRY || m.type == MSG_FLIGHT)) {
		print(&m);
		rc = talk_next(s, verb, &m);
	}
	session_release(s);
	if (rc)
		return EXIT_FAILED;
	return flush_stdout(verb);
}

static void print_entry(const struct msg *m)
{
	key_print(m->key);
	putchar('\n');
}

int run_ls(const struct command *self, int argc, char **argv)
{
	struct session s = SESSION_INIT;
	struct msg q = {.type = MSG_LIST, .bucket = bytes_of("default")};
	struct options o;

	options_start(&o, self, argc, argv);
	while (options_next(&o))
		;
	if (options_failed(&o))
		return EXIT_USAGE;
	if (o.nwords > 1)
		return options_error(&o, "one PREFIX at most");
	if (o.nwords && strlen(o.words[0]) > SC_KEY_MAX)
		return options_error(&o, "PREFIX is longer than any key");
	q.text = bytes_of(o.nwords ? o.words[0] : "");
	return each_row(&s, "ls", &q, SESSION_START, print_entry);
}

static void print_flight(const struct msg *m)
{
	char age[32], size[32], hex[SC_GEN_HEX];

	gen_format(&m->gen, hex);
	printf("%.8s  %6s  %6s  %2llu reader%s  pid %-7llu ", hex, human_format_duration(m->age, age),
	       human_format_size(m->out_len + m->err_len, size), (unsigned long long)m->count, m->count == 1 ? " " : "s",
	       (unsigned long long)m->pid);
	key_print(m->key);
	putchar('\n');
}

int run_ps(const struct command *self, int argc, char **argv)
{
	struct session s = SESSION_INIT;
	struct msg q = {.type = MSG_FLIGHTS, .bucket = bytes_of("default")};
	struct options o;

	options_start(&o, self, argc, argv);
	while (options_next(&o))
		;
	if (options_failed(&o))
		return EXIT_USAGE;
	if (o.nwords)
		return options_error(&o, "takes no words");
	return each_row(&s, "ps", &q, SESSION_LOOK, print_flight);
}

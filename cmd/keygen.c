/* `sc keygen`: a new master key in a file of its own, and its fingerprint. The key itself is never printed. Talks to nobody. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "lib/digest.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/keyfile.h"

const struct option_row keygen_options[] = {{0}};

static int fail(const char *file, int rc)
{
	if (rc == SC_EBUSY)
		complain(file, "exists already", "a key is never overwritten: name another FILE");
	else if (rc == SC_EUNSAFE)
		complain(file, "its file system would let others read it", "name a FILE on another one");
	else
		complain(file, sc_strerror(rc), NULL);
	return EXIT_FAILED;
}

/* A signal that ends us waits until the file is whole or gone. The limit on a file's size is an error like a full disk. */
static int create(const char *file, struct seal_key *key)
{
	sigset_t all, was;
	int rc;

	signal(SIGXFSZ, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &was);
	rc = digest_init();
	if (rc == 0)
		rc = keyfile_create(file, key);
	sigprocmask(SIG_SETMASK, &was, NULL);
	return rc;
}

int run_keygen(const struct command *self, int argc, char **argv)
{
	char shown[4 * SC_PATH_MAX], fingerprint[SC_SEAL_FINGERPRINT];
	struct seal_key key;
	struct options o;
	int rc = options_words(&o, self, argc, argv, 1, "one FILE at a time");

	if (rc)
		return rc;
	if (o.nwords == 0 || !*o.words[0])
		return options_error(&o, "FILE is %s", o.nwords ? "empty" : "missing");
	sc_no_core();
	rc = create(o.words[0], &key);
	if (rc)
		return fail(o.words[0], rc);
	seal_key_fingerprint(&key, fingerprint);
	seal_key_wipe(&key);
	printf("%s: fingerprint %s\n", human_escape(o.words[0], strlen(o.words[0]), shown, sizeof shown), fingerprint);
	return end_output(self->name);
}

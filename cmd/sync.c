/* `sc sync`: on the disk when it returns: every finished entry, its objects, their directories, the index. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/options.h"
#include "cmd/talk.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/lockfile.h"

const struct option_row sync_options[] = {{0}};

static int fail(int error, struct bytes text)
{
	char shown[256];

	if (error == EIO)
		complain("sync", "the disk has lost some of what was written to it (EIO)", "see the kernel's log");
	else
		complain("sync", error ? strerror(error) : human_escape(text.p, text.n, shown, sizeof shown), NULL);
	return EXIT_FAILED;
}

/* Nobody is there whom the kernel's word could be passed on to, and it says it once. */
static int sync_alone(struct session *s)
{
	struct lockfile l;
	int error;

	if (s->place.dir_fd < 0 || syncfs(s->place.dir_fd) == 0)
		return 0;
	error = errno;
	if (lockfile_open(&l, s->place.dir_fd) == 0) {
		if (!lockfile_doubt(&l))
			complainf("sync", "the next daemon cannot be told of it: %s (run " SC_BIN " verify --repair)",
				  strerror(errno));
		lockfile_close(&l);
	}
	return fail(error, bytes_of(""));
}

int run_sync(const struct command *self, int argc, char **argv)
{
	struct session s = SESSION_INIT;
	struct msg q = {.type = MSG_SYNC}, m;
	struct options o;
	int rc, status = EXIT_FAILED;

	rc = options_words(&o, self, argc, argv, 0, "takes no words");
	if (rc)
		return rc;
	rc = talk_ask(&s, SESSION_JOIN, "sync", &q, &m);
	if (rc == 0)
		status = m.type == MSG_OK ? 0 : fail((int)m.error, m.text);
	/* No daemon is needed for it: the next one reads the WAL, which is on the disk like everything else. */
	else if (rc == SC_ENOENT)
		status = sync_alone(&s);
	session_release(&s);
	return status;
}

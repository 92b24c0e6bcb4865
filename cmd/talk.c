/* Questions whose answers are data to print. Called by list.c, remove.c and admin.c. */
#include "cmd/talk.h"

#include <errno.h>
#include <unistd.h>

#include "cmd/command.h"
#include "lib/err.h"

static void close_all(const int *fds, size_t nfds)
{
	for (size_t i = 0; i < nfds; i++)
		close(fds[i]);
}

int talk_ask(struct session *s, enum session_how how, const char *what, const struct msg *q, struct msg *m)
{
	int fds[SC_FDS_MAX];
	size_t nfds = 0;
	int rc = session_ask(s, how, q, m, fds, &nfds, SC_FOREVER);

	if (rc == 0)
		close_all(fds, nfds);
	if (rc && !(rc == SC_ENOENT && how != SESSION_START))
		complain(what, s->why[0] ? s->why : sc_strerror(rc), s->mend);
	return rc;
}

int talk_next(struct session *s, const char *what, struct msg *m)
{
	int fds[SC_FDS_MAX], rc;
	size_t nfds = 0;

	do {
		rc = session_hear(s, m, fds, &nfds, SC_FOREVER);
	} while (rc == SC_ESYS && errno == EINTR);
	if (rc == 0)
		close_all(fds, nfds);
	else
		complain(what, s->why[0] ? s->why : sc_strerror(rc), s->mend);
	return rc;
}

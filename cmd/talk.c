/* Questions whose answers are data to print. Called by the verbs that print what the daemon knows, or have it do something. */
#include "cmd/talk.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/command.h"
#include "lib/err.h"
#include "lib/human.h"

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

int talk_rows(struct session *s, enum session_how how, const char *what, const struct msg *q,
	      void (*each)(void *arg, const struct msg *m), void *arg)
{
	char text[256];
	struct msg m;
	int rc = talk_ask(s, how, what, q, &m);

	if (rc == SC_ENOENT && how != SESSION_START) {
		session_release(s);
		return 0;
	}
	while (rc == 0 && m.type != MSG_END && m.type != MSG_REFUSE) {
		each(arg, &m);
		rc = talk_next(s, what, &m);
	}
	if (rc == 0 && m.type == MSG_REFUSE) {
		fflush(stdout);
		complainf(what, "is not complete: %s", human_escape(m.text.p, m.text.n, text, sizeof text));
		rc = SC_EPROTO;
	}
	session_release(s);
	return rc ? EXIT_FAILED : 0;
}

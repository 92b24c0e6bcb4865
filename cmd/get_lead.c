/* A run that get was told to lead: its page, its writer; and the one that makes a stale entry anew behind its caller's back. Called by
 * get.c alone. Ends nothing, and says something only with -v. */
#include <string.h>
#include <unistd.h>

#include "cmd/get_parts.h"
#include "cmd/sealed.h"
#include "cmd/writer.h"
#include "lib/killpoint.h"
#include "lib/page.h"

struct page *get_join_page(const struct msg *m, const int *fds, size_t nfds)
{
	struct page *page;

	if (page_map(&page, fds[LEAD_PAGE], &m->gen) == 0)
		return page;
	/* The flight's own descriptors among them: who holds them is taken for its writer. */
	for (size_t i = 0; i < nfds; i++)
		if (i != LEAD_PAGE)
			close(fds[i]);
	return NULL;
}

/* As PROTOCOL.md has it. */
static struct bytes join_words(char *const *words, uint8_t room[SC_SHOWN_MAX])
{
	size_t n = 0;

	for (; *words && n < SC_SHOWN_MAX; words++) {
		size_t len = strlen(*words) + 1;

		if (len > SC_SHOWN_MAX - n)
			len = SC_SHOWN_MAX - n;
		memcpy(room + n, *words, len);
		n += len;
	}
	return (struct bytes){room, n};
}

int get_start_writer(struct get *g, const struct msg *m, const int *fds, struct page *page, bool detached)
{
	static uint8_t shown[SC_SHOWN_MAX];
	struct seal_key keys[SC_SEALED_KEYS];
	struct run run = {.place = &g->session.place,
			  .gen = m->gen,
			  .bucket = bytes_of(g->req.bucket),
			  .key = bytes_of(g->req.key),
			  .page = page,
			  .out_fd = fds[LEAD_OUT_WRITE],
			  .err_fd = fds[LEAD_ERR_WRITE],
			  .socket_fd = fds[LEAD_SOCKET],
			  .lock_fd = fds[LEAD_LOCK],
			  .chain = request_chain(&g->req, &m->gen),
			  .argv = g->req.cmd,
			  .shown = m->flags & LEAD_SHOW ? join_words(g->req.cmd, shown) : (struct bytes){NULL, 0},
			  .input = &g->spool,
			  .inherit_stderr = g->req.inherit_stderr && !detached,
			  .foreground = g->req.foreground && !detached,
			  .detached = detached,
			  .linger_ms = g->req.linger_ms};

	if (sealed_keys(m->keys, keys))
		run.keys = keys;
	return writer_start(&run);
}

void get_start_renewal(struct get *g)
{
	struct gen none = {{0}};
	struct msg q = request_question(&g->req, &none), m;
	int fds[SC_FDS_MAX];
	size_t nfds = 0;
	struct page *page;

	q.flags |= ASK_RENEW;
	KILLPOINT("before_renewal");
	if (session_ask(&g->session, SESSION_START, &q, &m, fds, &nfds, SC_FOREVER))
		return;
	if (m.type != MSG_LEAD) {
		for (size_t i = 0; i < nfds; i++)
			close(fds[i]);
		return;
	}
	page = get_join_page(&m, fds, nfds);
	if (!page)
		return;
	get_verbose(g, "running the command in the background", "");
	get_start_writer(g, &m, fds, page, true);
	KILLPOINT("renewal_forked");
	page_free(page);
	close(fds[LEAD_OUT]);
	close(fds[LEAD_ERR]);
}

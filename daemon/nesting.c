/* Gathers who waits for whom, from what the connections are at; nothing of it is kept. Called by answer.c before somebody is told
 * to follow or to wait, and by flight.c when a run's session becomes known. Sessions are compared by the numbers of our own
 * process namespace, and only while a living process holds them. */
#include "daemon/nesting.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "daemon/answer.h"
#include "daemon/circle.h"
#include "daemon/flight_parts.h"
#include "lib/err.h"

/* ---- where somebody is ---- */

static pid_t session_of(pid_t pid)
{
	/* 0 would be ourselves: a peer of another namespace has no number here, nor has a session led from there. */
	pid_t session = pid > 0 ? getsid(pid) : 0;

	return session > 0 ? session : 0;
}

int nesting_locate(struct conn *c, const struct gen *chain, size_t nchain)
{
	nesting_forget(c);
	if (nchain > 0) {
		c->chain = malloc(nchain * sizeof *chain);
		if (!c->chain)
			return SC_ENOMEM;
		memcpy(c->chain, chain, nchain * sizeof *chain);
		c->nchain = nchain;
	}
	c->session = session_of(c->pid);
	return 0;
}

void nesting_forget(struct conn *c)
{
	free(c->chain);
	c->chain = NULL;
	c->nchain = 0;
	c->session = 0;
}

pid_t nesting_pid(int pidfd)
{
	char path[64], text[512];
	const char *at;
	ssize_t n;
	pid_t pid;
	int fd;

	if (pidfd < 0)
		return 0;
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, "\nPid:");
	pid = at ? (pid_t)strtol(at + strlen("\nPid:"), NULL, 10) : 0;
	return pid > 0 ? pid : 0;
}

pid_t nesting_learn(struct flight *f)
{
	nesting_unlearn(f);
	f->session = session_of(nesting_pid(f->pidfd));
	if (f->session)
		HASH_ADD(by_session_hh, f->d->flights->by_session, session, sizeof f->session, f);
	if (f->session && !f->by_session_hh.tbl)
		f->session = 0; /* no memory: as if it were not to be known */
	return f->session;
}

void nesting_unlearn(struct flight *f)
{
	if (f->session)
		HASH_DELETE(by_session_hh, f->d->flights->by_session, f);
	f->session = 0;
}

/* The living runs c is inside of: how many. */
static size_t places(const struct conn *c, struct flight *out[SC_CHAIN_MAX + 1])
{
	struct flight *f = NULL;
	size_t n = 0;

	for (size_t i = 0; i < c->nchain; i++) {
		out[n] = flight_find(c->d, &c->chain[i]);
		n += out[n] && out[n]->state != FLIGHT_SETTLED;
	}
	if (c->session)
		HASH_FIND(by_session_hh, c->d->flights->by_session, &c->session, sizeof c->session, f);
	if (f && f->state != FLIGHT_SETTLED)
		out[n++] = f;
	return n;
}

bool nesting_is_inside(const struct conn *c)
{
	struct flight *in[SC_CHAIN_MAX + 1];

	return places(c, in) > 0;
}

/* ---- who waits for whom ---- */

/* Who may run beside one, but not beside two, waits for doomed runs, too. */
static bool waits_for_all(const struct question *q)
{
	return q->refresh || q->put;
}

/* Whether somebody who waits for a key waits for this run of it. Not for one that cannot be joined: he waits for the next. */
static bool is_waited_for(const struct flight *f, bool all)
{
	return all || !(f->doomed || f->streaming);
}

static int add_edges(struct circle *g, const struct conn *c)
{
	struct flight *in[SC_CHAIN_MAX + 1], *f;
	size_t n = c->reads || c->waits_for ? places(c, in) : 0;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		if (c->reads)
			rc = circle_add(g, in[i]->number, c->reads->number);
		/* Who wants to hold a key waits for whoever does, and for no run of it. */
		if (!c->waits_for || c->ask->q.hold)
			continue;
		DL_FOREACH (c->waits_for->flights, f)
			if (rc == 0 && is_waited_for(f, waits_for_all(&c->ask->q)))
				rc = circle_add(g, in[i]->number, f->number);
	}
	return rc;
}

static int gather(struct daemon *d, struct circle *g)
{
	struct flight *f, *next;
	struct conn *c;
	unsigned n = 0;
	int rc;

	HASH_ITER (hh, d->flights->by_gen, f, next)
		f->number = n++;
	rc = circle_init(g, n);
	DL_FOREACH (d->conns, c)
		if (rc == 0)
			rc = add_edges(g, c);
	return rc;
}

/* Whether c would wait for itself behind one run or (run is NULL) the runs of a key. */
static bool closes(struct conn *c, struct flight *run, const struct key *k, bool all)
{
	struct flight *in[SC_CHAIN_MAX + 1], *f;
	size_t n = places(c, in);
	struct circle g;
	bool yes;

	/* Most callers are inside of nothing, and most keys have no run. */
	if (n == 0 || (!run && (!k || !k->flights)))
		return false;
	yes = gather(c->d, &g) != 0;
	if (!yes) {
		for (size_t i = 0; i < n; i++)
			g.marks[in[i]->number] |= CIRCLE_GOAL;
		if (run)
			g.marks[run->number] |= CIRCLE_START;
		else
			DL_FOREACH (k->flights, f)
				g.marks[f->number] |= is_waited_for(f, all) ? CIRCLE_START : 0;
		yes = circle_closes(&g);
	}
	circle_release(&g);
	return yes;
}

bool nesting_by_key(struct conn *c, struct bytes bucket, struct bytes key, const struct question *q)
{
	return closes(c, NULL, key_find(c->d, bucket, key), waits_for_all(q));
}

bool nesting_by_run(struct conn *c, struct flight *f)
{
	return closes(c, f, NULL, false);
}

/* ---- what was not known before ---- */

/* session 0: of any. */
static struct conn *find_nested(struct daemon *d, pid_t session, bool readers)
{
	struct conn *c;

	DL_FOREACH (d->conns, c) {
		if ((session && c->session != session) || !(c->waits_for || (readers && c->reads)))
			continue;
		if (c->waits_for && c->ask->q.hold)
			continue;
		if (closes(c, c->reads, c->waits_for, c->ask && waits_for_all(&c->ask->q)))
			return c;
	}
	return NULL;
}

/* From the beginning after each: what it sets off may take others out of the list. Bounded: who is asked again and is told to wait all
 * the same must not keep the daemon. */
static void break_circles(struct daemon *d, pid_t session, bool readers)
{
	unsigned most = 2 * d->nconns + 1;
	struct conn *c;

	while (most-- > 0 && (c = find_nested(d, session, readers))) {
		if (c->waits_for)
			answer_again(c);
		else
			conn_close(c, "waits for itself");
	}
}

static bool is_stopped_from_inside(const struct daemon *d, pid_t session)
{
	const struct conn *c;

	DL_FOREACH (d->conns, c)
		if (c->state == CONN_STOPPING && c->session == session)
			return true;
	return false;
}

void nesting_recheck(struct daemon *d, pid_t session)
{
	if (!session || d->stopping)
		return;
	break_circles(d, session, true);
	if (is_stopped_from_inside(d, session))
		daemon_stop(d, "asked to, from inside of a run");
}

void nesting_ask_again(struct daemon *d)
{
	break_circles(d, 0, false);
}

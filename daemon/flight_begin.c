/* The birth of a run: file, objects, page, the writer's connection, LEAD. What begins and fails leaves nothing. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/flight_parts.h"
#include "daemon/flightfile.h"
#include "lib/clock.h"
#include "lib/digest.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/object.h"

/* given: stdout's is there, whole. It is opened for reading in the place of for appending: nothing is added to it, and an open for
 * writing would wait for whoever has given it to let go of his lease. */
static int make_objects(struct flight *f, bool given, int fds[LEAD_FDS])
{
	int dir = f->d->place.dir_fd, rc;
	uint64_t size;

	rc = given ? object_open(dir, &f->gen, STREAM_OUT, &fds[LEAD_OUT_WRITE], &size)
		   : object_create(dir, &f->gen, STREAM_OUT, &fds[LEAD_OUT_WRITE]);
	if (rc == 0 && given && size > config_max_entry(&f->d->config, f->bucket)) {
		errno = EFBIG;
		rc = SC_ESYS;
	}
	KILLPOINT("out_made");
	if (rc == 0)
		rc = object_create(dir, &f->gen, STREAM_ERR, &fds[LEAD_ERR_WRITE]);
	if (rc == 0)
		rc = object_open(dir, &f->gen, STREAM_OUT, &fds[LEAD_OUT], &size);
	if (rc == 0)
		rc = object_open(dir, &f->gen, STREAM_ERR, &fds[LEAD_ERR], &size);
	if (rc)
		return rc;
	f->out_fd = flight_dup_fd(fds[LEAD_OUT]);
	f->err_fd = flight_dup_fd(fds[LEAD_ERR]);
	return f->out_fd < 0 || f->err_fd < 0 ? SC_ESYS : 0;
}

static int make_page(struct flight *f, bool detached, int fds[LEAD_FDS])
{
	uint8_t hash[16];
	int rc;

	digest_key(f->bucket, strlen(f->bucket), f->key_bytes, f->key_len, hash);
	rc = page_create(&f->page, &f->gen, hash, f->order, detached ? SC_FOREVER : f->d->config.window);
	if (rc)
		return rc;
	fds[LEAD_PAGE] = flight_dup_fd(page_fd(f->page));
	return fds[LEAD_PAGE] < 0 ? SC_ESYS : 0;
}

static int make_writer(struct flight *f, int fds[LEAD_FDS])
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return SC_ESYS;
	fds[LEAD_SOCKET] = pair[1];
	f->writer = conn_open(f->d, pair[0], CONN_WRITING);
	if (!f->writer)
		return SC_ENOMEM;
	f->writer->leads = f;
	return 0;
}

/* What begins and fails leaves nothing behind. */
static void abandon(struct flight *f, const int fds[LEAD_FDS])
{
	struct daemon *d = f->d;
	int saved = errno;
	struct key *k;

	for (int i = 0; i < LEAD_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	k = flight_take_out(f);
	object_unlink(d->place.dir_fd, &f->gen);
	flightfile_unlink(d->place.dir_fd, &f->gen);
	if (f->writer) {
		struct conn *w = f->writer;

		w->leads = NULL;
		f->writer = NULL;
		conn_close(w, NULL);
	}
	flight_free(f);
	key_drop_if_unused(d, k);
	errno = saved;
}

int flight_begin(struct conn *c, const struct ask *ask)
{
	struct daemon *d = c->d;
	struct flightfile file = {.order = ++d->order,
				  .ttl_ms = ask->ttl_ms,
				  .stale_ms = ask->stale_ms,
				  .keep_ms = ask->keep_ms,
				  .finish = ask->finish,
				  .renewal = ask->q.renew};
	int fds[LEAD_FDS] = {-1, -1, -1, -1, -1, -1, -1}, rc;
	struct msg m = {.type = MSG_LEAD};
	struct seal_key keys[2];
	struct flight *f;

	if (ask->given && flight_find(d, &ask->gen))
		return SC_EBUSY; /* it has been given already */
	if (ask->given && is_sealed(&ask->sealed))
		return SC_EINVAL; /* it lies there in the clear: to be read, and sealed */
	if (ask->given)
		file.gen = ask->gen;
	else
		digest_generation(&file.gen);
	memcpy(file.bucket, ask->bucket, sizeof file.bucket);
	memcpy(file.tags, ask->tags, sizeof file.tags);
	memcpy(file.command, ask->command, sizeof file.command);
	file.sealed = ask->sealed;
	memcpy(file.key, ask->key, ask->key_len);
	file.key_len = ask->key_len;
	file.created_wall_ms = clock_now().wall_ms;
	f = flight_new(d, &file);
	if (!f)
		return SC_ENOMEM;
	f->state = FLIGHT_RUNNING;
	/* The file first: should we die now, the next daemon finds by it what else there is to remove. */
	rc = flightfile_create(d->place.dir_fd, d->keyring, &file, &fds[LEAD_LOCK]);
	KILLPOINT("flight_locked");
	if (rc == 0)
		rc = flight_keys(f, keys, &m.keys);
	if (rc == 0)
		rc = make_objects(f, ask->given, fds);
	KILLPOINT("objects_made");
	if (rc == 0)
		rc = make_page(f, ask->detached, fds);
	KILLPOINT("page_made");
	if (rc == 0) {
		flight_set_limit(f, config_max_entry(&d->config, f->bucket), EFBIG);
		rc = make_writer(f, fds);
	}
	if (rc) {
		abandon(f, fds);
		return rc;
	}
	flight_set_state(f, FLIGHT_RUNNING, "lead");
	flight_tell(f, EVENT_START, 0, 0);
	/* Who renews goes on reading the entry it was given. */
	if (!ask->q.renew) {
		flight_add_reader(f, c);
		c->began = true;
	}
	if (is_sealed(&f->sealed))
		keyring_guard(d);
	m.gen = f->gen;
	m.order = f->order;
	m.ttl = f->ttl_ms;
	m.estimate = ask->estimate_ms;
	m.flags = config_show_commands(&d->config, f->bucket) ? LEAD_SHOW : 0u;
	m.slot = f->next_slot++;
	KILLPOINT("before_lead");
	conn_send(c, &m, fds, LEAD_FDS);
	/* A refresher leads while an older run goes on, or somebody leads beside a removed one: nobody joins the old one now. */
	for (struct flight *old = f->key->flights; old; old = old->next)
		if (old != f)
			flight_doom(old);
	KILLPOINT("older_doomed");
	/* Those that waited for the key to begin to exist, or for the next run. */
	key_changed(d, f->key);
	return 0;
}

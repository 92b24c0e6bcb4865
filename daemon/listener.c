/* Accepting by hand: the library cuts long socket paths and goes deaf when descriptors run out. */
#include "daemon/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "lib/err.h"
#include "lib/sock.h"

/* Peers taken in one turn, so that those who are here already are answered in between. */
#define ACCEPT_MAX 64

struct listener {
	uv_poll_t poll;
	struct daemon *d;
	int fd;
	int spare_fd; /* given up for a moment when there is no other, to tell the peer "no" instead of nothing */
};

static void turn_away(struct listener *l)
{
	int fd;

	close(l->spare_fd);
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	log_event(l->d->log, "turned-away", "why=\"no descriptor left\"");
}

static void welcome(struct listener *l, int fd)
{
	struct conn *c;
	uid_t uid = 0;
	pid_t pid = 0;

	if (sock_check_peer(fd, &uid, &pid)) {
		log_event(l->d->log, "refused", "uid=%u pid=%d why=\"not our uid\"", (unsigned)uid, (int)pid);
		close(fd);
		return;
	}
	c = conn_open(l->d, fd, CONN_NEW);
	if (!c)
		return;
	c->pid = pid;
	daemon_reckon(l->d);
	/* A client sends its question before it reads: most often it is here already, which saves a turn. */
	conn_pump(c);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct listener *l = poll->data;

	(void)events;
	if (status < 0)
		return;
	for (int i = 0; i < ACCEPT_MAX; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			welcome(l, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE)
			turn_away(l);
		else if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

int listener_open(struct listener **out, struct daemon *d)
{
	struct listener *l = calloc(1, sizeof *l);
	int rc;

	if (!l)
		return SC_ENOMEM;
	rc = sock_listen(d->place.dir_fd, "sock", &l->fd);
	if (rc) {
		free(l);
		return rc;
	}
	l->d = d;
	l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uv_poll_init(d->loop, &l->poll, l->fd);
	l->poll.data = l;
	uv_poll_start(&l->poll, UV_READABLE, on_readable);
	*out = l;
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	struct listener *l = h->data;

	close(l->fd);
	close(l->spare_fd);
	free(l);
}

void listener_close(struct listener *l)
{
	if (l)
		uv_close((uv_handle_t *)&l->poll, on_closed);
}

/* Accepting by hand: the library cuts long socket paths and goes deaf when descriptors run out. */
#include "daemon/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "lib/err.h"
#include "lib/sock.h"

/* Peers taken in one turn, so that those who are here already are answered in between. */
#define ACCEPT_MAX 64
/* How long nobody is taken when not even the spare descriptor can be had again. */
#define PAUSE_MS 20

struct listener {
	uv_poll_t poll;
	uv_timer_t pause;
	uv_poll_t watch;    /* of what happens to names in the cache directory, and to itself */
	int watch_fd;	    /* -1: the kernel would not; then nobody watches */
	struct stat socket; /* of ours, as it was bound */
	bool lost;	    /* said already */
	unsigned handles;
	struct daemon *d;
	int fd;
	int spare_fd; /* given up for a moment when there is no other, to tell the peer "no" instead of nothing */
};

static bool has_spare(struct listener *l)
{
	if (l->spare_fd < 0)
		l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return l->spare_fd >= 0;
}

/* The thread of the index may have taken the descriptor meanwhile: the spare one is lost then until it gives that back. */
static void turn_away(struct listener *l)
{
	int fd;

	close(l->spare_fd);
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	l->spare_fd = -1;
	has_spare(l);
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

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *pause)
{
	struct listener *l = pause->data;

	uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct listener *l = poll->data;

	(void)events;
	if (status < 0)
		return;
	for (int i = 0; i < ACCEPT_MAX; i++) {
		int fd;

		if (!has_spare(l)) {
			/* Neither taken nor turned away: to look again and again would only be busy. */
			uv_poll_stop(&l->poll);
			uv_timer_start(&l->pause, on_pause_over, PAUSE_MS, 0);
			return;
		}
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

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

static bool has_our_socket(const struct listener *l)
{
	struct stat st;

	/* What cannot be looked at now may be there as ever. */
	if (fstatat(l->d->place.dir_fd, "sock", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno != ENOENT;
	return st.st_dev == l->socket.st_dev && st.st_ino == l->socket.st_ino;
}

void listener_check(struct listener *l)
{
	if (!l->lost && !(place_is_there(&l->d->place) && has_our_socket(l))) {
		l->lost = true;
		daemon_stop(l->d, "the cache directory or its socket was removed or replaced");
	}
}

bool listener_watches(const struct listener *l)
{
	return l->watch_fd >= 0;
}

static void on_watch(uv_poll_t *watch, int status, int events)
{
	struct listener *l = watch->data;
	char news[4096];

	(void)events;
	if (status < 0)
		return;
	while (read(l->watch_fd, news, sizeof news) > 0)
		;
	listener_check(l);
}

static void start_watching(struct listener *l)
{
	char path[64];

	l->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	snprintf(path, sizeof path, "/proc/self/fd/%d", l->d->place.dir_fd);
	if (l->watch_fd < 0 ||
	    inotify_add_watch(l->watch_fd, path, IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT) < 0 ||
	    uv_poll_init(l->d->loop, &l->watch, l->watch_fd) < 0) {
		if (l->watch_fd >= 0)
			close(l->watch_fd);
		l->watch_fd = -1;
		return;
	}
	l->watch.data = l;
	l->handles++;
	uv_poll_start(&l->watch, UV_READABLE, on_watch);
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
	l->spare_fd = -1;
	/* With so few descriptors nobody could be answered, or told so. */
	if (!has_spare(l) || fstatat(d->place.dir_fd, "sock", &l->socket, AT_SYMLINK_NOFOLLOW) < 0) {
		close(l->fd);
		free(l);
		return SC_ESYS;
	}
	uv_poll_init(d->loop, &l->poll, l->fd);
	uv_timer_init(d->loop, &l->pause);
	l->poll.data = l;
	l->pause.data = l;
	l->handles = 2;
	uv_poll_start(&l->poll, UV_READABLE, on_readable);
	start_watching(l);
	*out = l;
	return 0;
}

void listener_unlink(struct listener *l)
{
	if (has_our_socket(l))
		unlinkat(l->d->place.dir_fd, "sock", 0);
}

static void on_closed(uv_handle_t *h)
{
	struct listener *l = h->data;

	if (--l->handles > 0)
		return;
	if (l->watch_fd >= 0)
		close(l->watch_fd);
	close(l->fd);
	if (l->spare_fd >= 0)
		close(l->spare_fd);
	free(l);
}

void listener_close(struct listener *l)
{
	if (!l)
		return;
	if (l->watch_fd >= 0)
		uv_close((uv_handle_t *)&l->watch, on_closed);
	uv_close((uv_handle_t *)&l->poll, on_closed);
	uv_close((uv_handle_t *)&l->pause, on_closed);
}

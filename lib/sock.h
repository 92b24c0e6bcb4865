/* Unix sockets by hand: paths of any length, descriptors in both directions, and who is at the other end. Blocking or not as
 * the descriptor is; knows nothing of frames.
 *
 * Names are reached through /proc/self/fd, and where there is no /proc by going into the directory and back; sock_listen also
 * sets the umask for a moment. Both belong to the whole process, so these two are called while it has a single thread. */
#ifndef SC_SOCK_H
#define SC_SOCK_H

#include <stddef.h>
#include <sys/types.h>

/* A blocking stream socket connected to `name` in dir_fd. A full backlog is waited for up to SC_SILENCE_MS. The peer must
 * be of our uid. SC_ENOENT: nobody listens (no socket, or a stale one) · SC_EPEER · SC_ETIME · SC_EUNSAFE: what lies
 * there is not a socket · SC_ESYS. */
int sock_connect(int dir_fd, const char *name, int *fd);

/* A listening, non-blocking socket at `name` in dir_fd, mode 0600. A socket of ours that lies there already is removed first:
 * the caller must hold the lock. SC_EUNSAFE: something else lies there (never removed) · SC_ESYS. */
int sock_listen(int dir_fd, const char *name, int *fd);

/* SC_EPEER unless the peer runs as our effective uid. `uid` and `pid` (either may be NULL) say who it is. */
int sock_check_peer(int fd, uid_t *uid, pid_t *pid);

/* One sendmsg. The descriptors (at most SC_FDS_QUEUED_MAX) go with the first byte and stay the caller's. Returns the bytes
 * taken (> 0), SC_EAGAIN (errno EAGAIN: the socket is full; another, ETOOMANYREFS and the likes: no descriptor can travel
 * just now, try again by time), SC_EEOF (peer gone; what it sent before can still be read), SC_ESYS (EINTR too). */
ssize_t sock_send(int fd, const void *bytes, size_t n, const int *fds, size_t nfds);

/* One recvmsg. *nfds: in, room in fds; out, how many came (close-on-exec, the caller's now). More than there is room for:
 * all of them are closed and SC_EPROTO. Returns bytes (> 0), SC_EEOF, SC_EAGAIN (only if non-blocking), SC_ESYS (EINTR too;
 * EMFILE: we can take no more descriptors, those that came are closed and the bytes are lost). */
ssize_t sock_recv(int fd, void *bytes, size_t n, int *fds, size_t *nfds);

#endif

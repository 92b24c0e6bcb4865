/* The writer of a flight. Called by get.c. Nothing but this file appends to an object or publishes on a page; it neither knows
 * nor asks who reads. */
#include "cmd/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/session.h"
#include "cmd/spawn.h"
#include "lib/checksum.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/object.h"
#include "lib/page.h"

#ifndef PIDFD_SIGNAL_PROCESS_GROUP
#define PIDFD_SIGNAL_PROCESS_GROUP (1UL << 2)
#endif

/* One read of the command's stdout: small enough to be hashed while it is in the cache. */
#define CHUNK (256 * 1024)
/* A pipe that was once seen full gets this size. */
#define PIPE_LARGE (1024 * 1024)
/* Publishing wakes every reader, so while the pipe still has more it is put off: until so many bytes have come, or so much time
 * has passed. What is read in so small a piece that the pipe is surely empty is published at once, and everything before a
 * sleep. */
#define PUBLISH_BYTES (4 * 1024 * 1024)
#define PUBLISH_MS 2
#define PUBLISH_AT_ONCE 4096
/* How often a run that may have no readers looks again. */
#define LONELY_MS 200
/* Without a daemon nobody says that readers have gone: two looks in a row, this far apart, must find none. */
#define ALONE_MS 1000
/* After SIGKILL, pipes that somebody outside the group holds open are not waited for longer than this. */
#define LAST_WORDS_MS 500

struct writer {
	const struct run *run;
	struct child child;
	struct session session; /* its fd is the flight's connection */
	struct checksum *out_sum, *err_sum;
	uint64_t out_len, err_len;
	uint64_t unpublished; /* bytes */
	uint64_t published_ms;
	bool out_full; /* its pipe has been enlarged */
	int broken;    /* errno of a write that failed; 0: none */

	bool exited; /* the command has ended; it is not reaped before its group is done with */
	bool reaped;
	uint32_t exit, signal;

	bool registered;      /* the daemon at the other end knows this run */
	bool disowned;	      /* … or has refused it: finish for the readers, uncommitted */
	uint64_t next_try_ms; /* without a daemon: when to look for the next one */

	bool lonely;	 /* told that no connection reads; slots are to be looked at */
	bool asked;	 /* MAY_STOP is out */
	bool empty_once; /* without a daemon: the last look found no slot taken */
	uint64_t look_ms;
	unsigned reader_signal;

	bool stopping, killed;
	uint64_t kill_ms; /* when TERM becomes KILL, then when even open pipes are given up */
};

static unsigned char chunk[CHUNK];
static unsigned char record_bytes[SC_RECORD_HEAD + SC_RECORD_MAX];

/* ---- the command's group ---- */

/* Through the descriptor, which cannot mean another process; an old kernel by the group's number, which is ours as long as the
 * command has not been reaped. */
static int signal_group(struct writer *w, int sig)
{
	long rc = syscall(SYS_pidfd_send_signal, w->child.pidfd, sig, NULL, PIDFD_SIGNAL_PROCESS_GROUP);

	if (rc < 0 && errno == EINVAL && !w->reaped)
		return kill(-w->child.pid, sig);
	return (int)rc;
}

static void look_at_exit(struct writer *w)
{
	siginfo_t info = {0};

	/* WNOWAIT: as long as it is a zombie its group's number cannot be anybody else's. */
	if (waitid(P_PID, (id_t)w->child.pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
		return;
	w->exited = true;
	if (w->child.exec_error)
		return; /* what ended was our own child, not yet the command */
	if (info.si_code == CLD_EXITED)
		w->exit = (uint32_t)info.si_status & 0xff;
	else
		w->signal = (uint32_t)info.si_status & 0x7f;
}

static void reap(struct writer *w)
{
	if (w->reaped)
		return;
	while (waitpid(w->child.pid, NULL, 0) < 0 && errno == EINTR)
		;
	w->reaped = true;
}

static void begin_stop(struct writer *w, unsigned sig)
{
	if (w->stopping)
		return;
	w->stopping = true;
	w->kill_ms = clock_boot_ms() + SC_GRACE_MS;
	signal_group(w, sig ? (int)sig : SIGTERM);
	signal_group(w, SIGCONT); /* a stopped command cannot obey */
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void kill_when_due(struct writer *w, uint64_t now)
{
	if (!w->stopping || now < w->kill_ms)
		return;
	if (w->killed) {
		/* Somebody who left the group holds the pipes: that is not the run any more. */
		close_end(&w->child.out_fd);
		close_end(&w->child.err_fd);
		w->kill_ms = UINT64_MAX;
		return;
	}
	signal_group(w, SIGKILL);
	w->killed = true;
	w->kill_ms = now + LAST_WORDS_MS;
}

/* ---- bytes ---- */

static void publish(struct writer *w)
{
	if (w->unpublished == 0)
		return;
	w->unpublished = 0;
	w->published_ms = clock_boot_ms();
	page_publish(w->run->page, w->out_len, w->err_len);
}

static void on_broken(struct writer *w)
{
	if (w->broken)
		return;
	w->broken = errno;
	begin_stop(w, SIGTERM);
}

static void pump_out(struct writer *w)
{
	ssize_t n = read(w->child.out_fd, chunk, sizeof chunk);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close_end(&w->child.out_fd);
		return;
	}
	if ((size_t)n == sizeof chunk && !w->out_full) {
		w->out_full = true;
		fcntl(w->child.out_fd, F_SETPIPE_SZ, PIPE_LARGE); /* refused: as it was */
	}
	if (w->broken)
		return; /* read and dropped, so that the command can end */
	if (object_append(w->run->out_fd, chunk, (size_t)n)) {
		on_broken(w);
		return;
	}
	checksum_add(w->out_sum, chunk, (size_t)n);
	w->out_len += (uint64_t)n;
	w->unpublished += (uint64_t)n;
}

static void append_record(struct writer *w, size_t n)
{
	struct record r = {.position = w->out_len, .length = (uint32_t)n};

	if (w->broken)
		return;
	record_encode(&r, record_bytes);
	if (object_append(w->run->err_fd, record_bytes, SC_RECORD_HEAD + n)) {
		on_broken(w);
		return;
	}
	checksum_add(w->err_sum, record_bytes, SC_RECORD_HEAD + n);
	w->err_len += SC_RECORD_HEAD + n;
	w->unpublished += SC_RECORD_HEAD + n;
}

static void pump_err(struct writer *w)
{
	ssize_t n = read(w->child.err_fd, record_bytes + SC_RECORD_HEAD, SC_RECORD_MAX);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		close_end(&w->child.err_fd);
	else
		append_record(w, (size_t)n);
}

/* What kept the command from starting is its stderr: every caller sees it, as from a shell. */
static void record_exec_error(struct writer *w)
{
	char text[1024];

	w->exit = (uint32_t)spawn_explain(w->run->argv[0], w->child.exec_error, text, sizeof text);
	if (w->run->inherit_stderr) {
		if (write(2, text, strlen(text)) < 0)
			return;
	} else {
		memcpy(record_bytes + SC_RECORD_HEAD, text, strlen(text));
		append_record(w, strlen(text));
	}
}

/* ---- the daemon ---- */

static void lose_daemon(struct writer *w)
{
	session_close(&w->session);
	/* At once, but for one that had not taken us: it would be asked in a circle. */
	w->next_try_ms = w->registered ? 0 : clock_boot_ms() + SC_RECONNECT_MS;
	w->registered = false;
	w->asked = false;
	w->look_ms = clock_boot_ms() + ALONE_MS;
	w->empty_once = false;
}

static void tell(struct writer *w, const struct msg *m, const int *fds, size_t nfds)
{
	/* What the daemon said before it went is read by the loop, which then sees the end of file. */
	if (w->session.fd >= 0)
		session_say(&w->session, m, fds, nfds);
}

static void tell_started(struct writer *w)
{
	struct msg m = {.type = MSG_STARTED, .gen = w->run->gen, .pid = (uint64_t)w->child.pid};

	if (w->child.pidfd >= 0)
		tell(w, &m, &w->child.pidfd, 1);
}

static void send_register(struct writer *w)
{
	struct msg m = {.type = MSG_REGISTER,
			.gen = w->run->gen,
			.bucket = w->run->bucket,
			.key = w->run->key,
			.flags = w->stopping && !w->broken ? REGISTER_STOPPING : 0};
	int fds[4] = {page_fd(w->run->page), w->run->out_fd, w->run->err_fd, w->child.pidfd};
	size_t n = 3;

	if (!w->reaped && w->child.pidfd >= 0) {
		m.pid = (uint64_t)w->child.pid;
		n = 4;
	}
	tell(w, &m, fds, n);
}

static void find_daemon(struct writer *w, enum session_how how)
{
	if (w->session.fd >= 0 || w->disowned)
		return;
	w->next_try_ms = clock_boot_ms() + SC_RECONNECT_MS;
	if (session_open(&w->session, how) == 0)
		send_register(w);
}

static void on_verdict(struct writer *w, const struct msg *m)
{
	w->asked = false;
	w->lonely = false;
	if (m->flags & VERDICT_STOP)
		begin_stop(w, (unsigned)m->signal);
}

/* False: the last word has been said, nothing more will come. */
static bool on_message(struct writer *w, const struct msg *m)
{
	switch (m->type) {
	case MSG_REGISTERED:
		w->registered = true;
		break;
	case MSG_LONELY:
		w->lonely = true;
		w->reader_signal = (unsigned)m->signal;
		w->look_ms = 0;
		break;
	case MSG_VERDICT:
		on_verdict(w, m);
		break;
	case MSG_SETTLED:
		return false;
	case MSG_REFUSE:
		/* Doomed while nobody knew of us, or of a version we do not speak: the readers still get it all. */
		w->disowned = true;
		lose_daemon(w);
		break;
	default:
		break; /* of a newer daemon */
	}
	return true;
}

/* Takes what has come, without waiting. False: SETTLED has come. */
static bool listen_to_daemon(struct writer *w)
{
	struct msg m;
	int fds[SC_FDS_MAX];
	size_t nfds;

	while (w->session.fd >= 0) {
		int rc = session_hear(&w->session, &m, fds, &nfds, 0);

		if (rc == SC_EAGAIN || (rc == SC_ESYS && errno == EINTR))
			return true;
		if (rc) {
			lose_daemon(w);
			return true;
		}
		for (size_t i = 0; i < nfds; i++)
			close(fds[i]);
		if (!on_message(w, &m))
			return false;
	}
	return true;
}

/* ---- does anybody read? ---- */

/* The mark in our own flight's file: a caller that came later may have given --finish. */
static bool is_to_finish(const struct writer *w)
{
	char mark = 0;

	return pread(w->run->lock_fd, &mark, 1, MARK_FINISH) == 1 && mark;
}

/* With a daemon: it says that no connection does; then, if no slot is taken either, it is asked, for somebody may just have
 * come. Without one, two looks in a row. */
static void look_for_readers(struct writer *w, uint64_t now)
{
	struct msg m = {.type = MSG_MAY_STOP, .gen = w->run->gen};
	bool alone = w->session.fd < 0;

	if (w->stopping || w->asked || now < w->look_ms || (!alone && !w->lonely))
		return;
	w->look_ms = now + (alone ? ALONE_MS : LONELY_MS);
	if (page_has_readers(w->run->page)) {
		w->empty_once = false;
		return;
	}
	if (!alone) {
		w->asked = true;
		tell(w, &m, NULL, 0);
	} else if (w->empty_once && !is_to_finish(w)) {
		begin_stop(w, w->reader_signal);
	}
	w->empty_once = true;
}

/* ---- the loop ---- */

static bool is_over(const struct writer *w)
{
	return w->exited && w->child.out_fd < 0 && w->child.err_fd < 0;
}

static int time_to_sleep(const struct writer *w, uint64_t now)
{
	uint64_t until = UINT64_MAX;

	if (w->unpublished)
		return 0; /* only looks whether there is more at once; then publishes and sleeps */
	if (w->stopping)
		until = w->kill_ms;
	else if (w->lonely || w->session.fd < 0)
		until = w->look_ms;
	if (w->session.fd < 0 && !w->disowned && w->next_try_ms < until)
		until = w->next_try_ms;
	if (until == UINT64_MAX)
		return -1;
	return until <= now ? 0 : until - now > INT_MAX ? INT_MAX : (int)(until - now);
}

static void turn(struct writer *w)
{
	enum { OUT, ERR, EXIT, DAEMON, N };
	uint64_t now = clock_boot_ms();
	struct pollfd p[N] = {
		[OUT] = {.fd = w->child.out_fd, .events = POLLIN},
		[ERR] = {.fd = w->child.err_fd, .events = POLLIN},
		[EXIT] = {.fd = w->exited ? -1 : w->child.pidfd, .events = POLLIN},
		[DAEMON] = {.fd = w->session.fd, .events = POLLIN},
	};
	int n = poll(p, N, time_to_sleep(w, now));

	if (n == 0)
		publish(w);
	if (n > 0) {
		if (p[OUT].revents)
			pump_out(w);
		if (p[ERR].revents)
			pump_err(w);
		if (w->unpublished >= PUBLISH_BYTES || w->unpublished <= PUBLISH_AT_ONCE ||
		    clock_boot_ms() - w->published_ms >= PUBLISH_MS)
			publish(w);
		if (p[EXIT].revents)
			look_at_exit(w);
		if (p[DAEMON].revents)
			listen_to_daemon(w);
	}
	if (w->session.fd < 0 && clock_boot_ms() >= w->next_try_ms)
		find_daemon(w, SESSION_LOOK);
	now = clock_boot_ms();
	look_for_readers(w, now);
	kill_when_due(w, now);
}

/* ---- the end ---- */

/* Nothing of the command's group outlives a run that was stopped: those that need longer get the rest of their time. */
static void finish_stop(struct writer *w)
{
	if (!w->stopping)
		return;
	/* A kernel that cannot signal a group by descriptor: now, while its number is still ours. */
	if (syscall(SYS_pidfd_send_signal, w->child.pidfd, 0, NULL, PIDFD_SIGNAL_PROCESS_GROUP) < 0 && errno == EINVAL)
		kill(-w->child.pid, SIGKILL);
	reap(w);
	while (!w->killed && signal_group(w, 0) == 0) {
		uint64_t now = clock_boot_ms();

		if (now >= w->kill_ms)
			signal_group(w, SIGKILL), w->killed = true;
		else
			poll(NULL, 0, 20);
	}
}

static void say_done(struct writer *w)
{
	uint8_t out_sum[SC_SUM_SIZE], err_sum[SC_SUM_SIZE];
	struct msg m = {.type = MSG_DONE,
			.gen = w->run->gen,
			.outcome = w->broken	 ? OUTCOME_BROKEN
				   : w->stopping ? OUTCOME_CANCELLED
						 : OUTCOME_ENDED,
			.exit = w->exit,
			.signal = w->signal,
			.out_len = w->out_len,
			.err_len = w->err_len,
			.out_sum = {out_sum, sizeof out_sum},
			.err_sum = {err_sum, sizeof err_sum},
			.error = (uint64_t)w->broken};

	checksum_get(w->out_sum, out_sum);
	checksum_get(w->err_sum, err_sum);
	tell(w, &m, NULL, 0);
}

/* Says DONE until somebody has answered: to this daemon, or to the one that follows it. Publishes uncommitted if none does. */
static void report(struct writer *w)
{
	for (int tries = 0; tries < 3 && !w->disowned; tries++) {
		struct msg m = {.type = 0};
		int fds[SC_FDS_MAX], rc;
		size_t nfds;

		find_daemon(w, SESSION_START);
		if (w->session.fd < 0)
			return;
		KILLPOINT("before_done");
		say_done(w);
		KILLPOINT("done_sent");
		do {
			rc = session_hear(&w->session, &m, fds, &nfds, SC_FOREVER);
		} while ((rc == 0 && on_message(w, &m) && !w->disowned) || (rc == SC_ESYS && errno == EINTR));
		if (rc == 0 || rc == SC_ETIME)
			return;
		lose_daemon(w);
	}
}

static void end(struct writer *w)
{
	bool good = w->exit == 0 && w->signal == 0;

	KILLPOINT("before_publish");
	if (w->broken)
		page_end(w->run->page, PAGE_LOST, 0, 0);
	else if (w->stopping)
		page_end(w->run->page, PAGE_CANCELLED, w->exit, w->signal);
	else
		page_end(w->run->page, good ? PAGE_COMPLETE : PAGE_FAILED, w->exit, w->signal);
}

/* ---- birth ---- */

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* None of the caller's descriptors: a pipe held open here would hang whoever waits for its end. */
static void keep_only(const struct writer *w)
{
	int keep[] = {w->run->out_fd,  w->run->err_fd,	w->session.fd,	w->run->lock_fd,      page_fd(w->run->page),
		      w->child.out_fd, w->child.err_fd, w->child.pidfd, w->run->place->dir_fd};
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), from = 3;
	size_t n = sizeof keep / sizeof *keep;

	for (int fd = 0; fd < 3; fd++)
		dup2(null_fd, fd);
	qsort(keep, n, sizeof *keep, by_number);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < 3)
			continue;
		if (keep[i] > from)
			close_range((unsigned)from, (unsigned)keep[i] - 1, 0);
		if (keep[i] >= from)
			from = keep[i] + 1;
	}
	close_range((unsigned)from, ~0U, 0);
}

static void ignore_signals(void)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGXFSZ, SIGTSTP, SIGTTIN, SIGTTOU, SIGALRM};
	sigset_t none;

	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void write_run(const struct run *run)
{
	static struct writer w = {.session = SESSION_INIT};
	bool child_ignored;

	w.run = run;
	w.session.place = *run->place;
	session_adopt(&w.session, run->socket_fd);
	w.registered = true;
	w.out_sum = checksum_new();
	w.err_sum = checksum_new();
	setsid();
	/* Ignored, as by some callers, it would take the command's exit status away. */
	child_ignored = signal(SIGCHLD, SIG_DFL) == SIG_IGN;
	/* To die here tells the daemon all there is: nobody runs the command. */
	if (!w.out_sum || !w.err_sum || spawn_command(&w.child, run->argv, run->chain, run->inherit_stderr, child_ignored))
		_exit(EXIT_FAILED);
	KILLPOINT("command_started");
	if (w.child.exec_error)
		record_exec_error(&w);
	ignore_signals();
	keep_only(&w);
	if (chdir("/") < 0)
		_exit(EXIT_FAILED);
	tell_started(&w);
	while (!is_over(&w))
		turn(&w);
	publish(&w);
	finish_stop(&w);
	reap(&w);
	report(&w);
	end(&w);
	_exit(0);
}

int writer_start(struct run *r)
{
	pid_t pid = fork();
	int saved = errno;

	if (pid == 0)
		write_run(r);
	close(r->socket_fd);
	close(r->lock_fd);
	close(r->out_fd);
	close(r->err_fd);
	errno = saved;
	return pid < 0 ? SC_ESYS : 0;
}

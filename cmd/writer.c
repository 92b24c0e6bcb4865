/* The writer of a flight: its command's life, the loop, the end. Called by get.c (writer_start) and put.c (writer_put). It neither
 * knows nor asks who reads. */
#include "cmd/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/signals.h"
#include "cmd/spool.h"
#include "cmd/writer_parts.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/object.h"
#include "lib/page.h"

/* After SIGKILL, pipes that somebody outside the group holds open are not waited for longer than this. */
#define LAST_WORDS_MS 500

/* ---- the command's group ---- */

/* Of a run in the foreground the command alone: the group is its caller's. */
static unsigned whom(const struct writer *w)
{
	return w->run->foreground ? 0 : PIDFD_SIGNAL_PROCESS_GROUP;
}

/* Through the descriptor, which cannot mean another process; an old kernel by the group's number, which is ours as long as the
 * command has not been reaped. */
static int signal_group(struct writer *w, int sig)
{
	long rc = syscall(SYS_pidfd_send_signal, w->child.pidfd, sig, NULL, whom(w));

	if (rc < 0 && errno == EINVAL && whom(w) && !w->reaped)
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
	w->linger_ms = clock_run_ms() + w->run->linger_ms;
	if (w->linger_ms < w->run->linger_ms)
		w->linger_ms = SC_FOREVER;
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

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void writer_begin_stop(struct writer *w, unsigned sig)
{
	if (w->stopping)
		return;
	w->stopping = true;
	if (w->child.pid < 0) {
		close_end(&w->child.out_fd); /* of a put: no more of it */
		return;
	}
	w->kill_ms = clock_run_ms() + SC_GRACE_MS;
	signal_group(w, sig ? (int)sig : SIGTERM);
	KILLPOINT("group_signalled");
	signal_group(w, SIGCONT); /* a stopped command cannot obey */
}

static void kill_when_due(struct writer *w, uint64_t now)
{
	if (!w->stopping || w->child.pid < 0 || now < w->kill_ms)
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

/* What kept the command from starting is its stderr: every caller sees it, as from a shell. */
static void record_exec_error(struct writer *w)
{
	char text[1024];

	w->exit = (uint32_t)spawn_explain(w->run->argv[0], w->child.exec_error, text, sizeof text);
	if (!w->run->inherit_stderr)
		capture_text(&w->capture, text);
	else if (write(2, text, strlen(text)) < 0)
		return;
}

/* ---- bytes ---- */

static void pump_out(struct writer *w)
{
	if (capture_out(&w->capture, w->child.out_fd, &w->read_error))
		return;
	close_end(&w->child.out_fd);
	/* Of a put it is not all there is to store. */
	if (w->read_error && w->child.pid < 0)
		writer_begin_stop(w, 0);
}

static void pump_err(struct writer *w)
{
	if (!capture_err(&w->capture, w->child.err_fd))
		close_end(&w->child.err_fd);
}

/* The command has ended, but somebody it has left behind holds its pipes. */
static void stop_lingering(struct writer *w, uint64_t now)
{
	if (!w->exited || w->stopping || now < w->linger_ms)
		return;
	w->linger_ms = SC_FOREVER;
	capture_only_rest(&w->capture, w->child.out_fd, w->child.err_fd);
	if (w->capture.out_rest == 0)
		close_end(&w->child.out_fd);
	if (w->capture.err_rest == 0)
		close_end(&w->child.err_fd);
}

/* ---- the loop ---- */

static bool is_over(const struct writer *w)
{
	return w->exited && w->child.out_fd < 0 && w->child.err_fd < 0;
}

/* For poll, which knows no more than INT_MAX, and -1 for ever; for the page that is long enough. */
static int time_to_sleep(const struct writer *w, uint64_t now)
{
	uint64_t until = UINT64_MAX;

	if (w->capture.unpublished)
		return 0; /* only looks whether there is more at once; then publishes and sleeps */
	if (w->stopping)
		until = w->kill_ms;
	else if (w->lonely || w->session.fd < 0)
		until = w->look_ms;
	if (w->session.fd < 0 && !w->disowned && w->next_try_ms < until)
		until = w->next_try_ms;
	if (w->exited && !w->stopping && w->linger_ms < until)
		until = w->linger_ms;
	if (until == UINT64_MAX)
		return -1;
	return until <= now ? 0 : until - now > INT_MAX ? INT_MAX : (int)(until - now);
}

static void turn(struct writer *w)
{
	enum { OUT, ERR, EXIT, DAEMON, N };
	uint64_t now;
	int timeout = time_to_sleep(w, clock_run_ms()), n;
	bool ahead = !w->stopping && capture_must_wait(&w->capture);
	struct pollfd p[N] = {
		[OUT] = {.fd = ahead ? -1 : w->child.out_fd, .events = POLLIN},
		[ERR] = {.fd = ahead ? -1 : w->child.err_fd, .events = POLLIN},
		[EXIT] = {.fd = w->exited ? -1 : w->child.pidfd, .events = POLLIN},
		[DAEMON] = {.fd = w->session.fd, .events = POLLIN},
	};

	if (ahead) {
		/* Asleep on the page, where readers, and a daemon that has sent something, wake it; all else waits for a second. */
		capture_publish(&w->capture);
		capture_wait(&w->capture, timeout < 0 ? SC_FOREVER : (uint64_t)timeout);
		timeout = 0;
	}
	n = poll(p, N, timeout);
	if (n == 0)
		capture_publish(&w->capture);
	if (n > 0) {
		if (p[OUT].revents)
			pump_out(w);
		if (p[ERR].revents)
			pump_err(w);
		writer_tell_growth(w);
		capture_publish_if_due(&w->capture);
		if (p[EXIT].revents)
			look_at_exit(w);
		if (p[DAEMON].revents)
			writer_listen(w);
	}
	if (w->child.pid < 0 && signals_pending())
		writer_begin_stop(w, 0);
	if (w->session.fd < 0 && clock_run_ms() >= w->next_try_ms)
		writer_find_daemon(w, SESSION_JOIN);
	now = clock_run_ms();
	if (w->child.pid >= 0)
		writer_look_for_readers(w, now);
	kill_when_due(w, now);
	stop_lingering(w, now);
}

/* ---- the end ---- */

/* Nothing of the command's group outlives a run that was stopped: those that need longer get the rest of their time. */
static void finish_stop(struct writer *w)
{
	if (!w->stopping || w->child.pid < 0)
		return;
	/* A kernel that cannot signal a group by descriptor: now, while its number is still ours. */
	if (syscall(SYS_pidfd_send_signal, w->child.pidfd, 0, NULL, whom(w)) < 0 && errno == EINVAL && whom(w))
		kill(-w->child.pid, SIGKILL);
	reap(w);
	while (!w->killed && signal_group(w, 0) == 0) {
		uint64_t now = clock_run_ms();

		if (now >= w->kill_ms)
			signal_group(w, SIGKILL), w->killed = true;
		else
			poll(NULL, 0, 20);
	}
}

static void end(struct writer *w)
{
	bool good = w->exit == 0 && w->signal == 0;

	KILLPOINT("before_publish");
	if (w->stopping)
		page_end(w->run->page, PAGE_CANCELLED, w->exit, w->signal);
	else
		page_end(w->run->page, good ? PAGE_COMPLETE : PAGE_FAILED, w->exit, w->signal);
}

/* ---- birth ---- */

/* None of the caller's descriptors: a pipe held open here would hang whoever waits for its end. */
static void keep_only(const struct writer *w)
{
	int keep[] = {w->run->out_fd,  w->run->err_fd,	w->session.fd,	w->run->lock_fd,      page_fd(w->run->page),
		      w->child.out_fd, w->child.err_fd, w->child.pidfd, w->run->place->dir_fd};
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < 3; fd++)
		dup2(null_fd, fd);
	spawn_keep_only(3, keep, sizeof keep / sizeof *keep);
}

/* Whose mask is full since before it was forked. */
static void ignore_signals(void)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGXFSZ, SIGTSTP, SIGTTIN, SIGTTOU, SIGALRM};
	struct sigaction term;
	sigset_t none;

	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		signal(ignored[i], SIG_IGN);
	/* One that came for the group we were born in is forgotten. */
	sigaction(SIGTERM, NULL, &term);
	signal(SIGTERM, SIG_IGN);
	sigaction(SIGTERM, &term, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int init(struct writer *w, const struct run *run)
{
	int rc;

	*w = (struct writer){.session = SESSION_INIT, .run = run, .linger_ms = SC_FOREVER, .registered = true};
	w->session.place = *run->place;
	session_adopt(&w->session, run->socket_fd);
	page_hold(run->page); /* without it we would be taken for dead only where there is no daemon either */
	rc = capture_init(&w->capture, run->page, run->out_fd, run->err_fd);
	return rc || !run->keys ? rc : capture_seal(&w->capture, &run->gen, run->keys);
}

static void run_to_its_end(struct writer *w)
{
	while (!is_over(w))
		turn(w);
	KILLPOINT("data_ended");
	capture_publish(&w->capture);
	finish_stop(w);
	reap(w);
	if (!w->stopping)
		capture_end(&w->capture);
	KILLPOINT("command_reaped");
	writer_report(w);
	end(w);
	KILLPOINT("end_published");
}

static _Noreturn void write_run(const struct run *run, const sigset_t *mask)
{
	static struct writer w;
	struct spawn spawn = {.argv = run->argv,
			      .input = run->input,
			      .chain = run->chain,
			      .inherit_stderr = run->inherit_stderr,
			      .foreground = run->foreground,
			      .detached = run->detached,
			      .mask = mask,
			      .announce = writer_tell_started,
			      .arg = &w};
	int rc = init(&w, run);

	KILLPOINT("writer_born");
	if (!run->foreground)
		setsid();
	KILLPOINT("session_made");
	/* Ignored, as by some callers, it would take the command's exit status away. */
	spawn.child_ignored = signal(SIGCHLD, SIG_DFL) == SIG_IGN;
	/* To die here tells the daemon all there is: nobody runs the command. */
	if (rc || spawn_command(&w.child, &spawn))
		_exit(EXIT_FAILED);
	/* The command has it, and we need not be able to open it any more. */
	if (run->input)
		spool_release(run->input);
	/* The command stays where its terminal is; we do not. */
	if (run->foreground)
		setsid();
	sc_no_core(); /* the command keeps the caller's limit */
	if (run->keys)
		sc_keep_secret();
	KILLPOINT("command_started");
	if (w.child.exec_error)
		record_exec_error(&w);
	ignore_signals();
	keep_only(&w);
	if (chdir("/") < 0)
		_exit(EXIT_FAILED);
	run_to_its_end(&w);
	_exit(0);
}

int writer_start(struct run *r)
{
	sigset_t all, mask;
	pid_t pid;
	int saved;

	/* What comes for the caller's group before the writer has left it is not meant for the run. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &mask);
	pid = fork();
	saved = errno;
	if (pid == 0)
		write_run(r, &mask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	close(r->socket_fd);
	close(r->lock_fd);
	close(r->out_fd);
	close(r->err_fd);
	errno = saved;
	return pid < 0 ? SC_ESYS : 0;
}

/* ---- without a command ---- */

static enum put_end end_of_put(const struct writer *w)
{
	if (w->read_error)
		return PUT_CANNOT_READ;
	/* What came too late changes nothing. */
	if (w->settled && (w->settled_how & SETTLED_COMMITTED))
		return PUT_KEPT;
	if (w->settled && (w->settled_how & SETTLED_OVERTAKEN))
		return PUT_OVERTAKEN;
	return signals_pending() ? PUT_INTERRUPTED : PUT_NOT_KEPT;
}

enum put_end writer_put(struct run *r, int source_fd, struct gift *gift, int *error)
{
	static struct writer w;
	enum put_end how;

	signal(SIGXFSZ, SIG_IGN);
	signals_catch();
	*error = 0;
	if (init(&w, r))
		return PUT_NOT_KEPT;
	w.capture.gift = gift;
	w.child = (struct child){.pid = -1, .pidfd = -1, .out_fd = fcntl(source_fd, F_DUPFD_CLOEXEC, 3), .err_fd = -1};
	if (w.child.out_fd < 0)
		writer_begin_stop(&w, 0); /* and tells so */
	w.exited = w.reaped = true;
	run_to_its_end(&w);
	how = end_of_put(&w);
	*error = how == PUT_CANNOT_READ ? w.read_error : page_unkept(r->page);
	return how;
}

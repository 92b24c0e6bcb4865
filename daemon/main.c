/* scd: one daemon for one cache directory. Flags, limits, lock, index, flights, socket, "ready", loop, and the way out, which
 * leaves everything as a kill -9 would, only synced. Started by a client, by a person, or by a service manager. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/event.h"
#include "daemon/evict.h"
#include "daemon/flight.h"
#include "daemon/history.h"
#include "daemon/hot.h"
#include "daemon/index.h"
#include "daemon/key.h"
#include "daemon/keyring.h"
#include "daemon/lease.h"
#include "daemon/listener.h"
#include "daemon/stats.h"
#include "daemon/ticker.h"
#include "daemon/trust.h"
#include "daemon/upkeep.h"
#include "daemon/watch.h"
#include "lib/build.h"
#include "lib/clock.h"
#include "lib/digest.h"
#include "lib/err.h"
#include "lib/human.h"
#include "lib/killpoint.h"
#include "lib/lockfile.h"

/* Rows that go in one job of the index: small, so that commits are not held up behind them. */
#define EXPIRE_ROWS 256
/* How often at most the timer looks for rows that are over. */
#define EXPIRE_MIN_MS 200
#define EXPIRE_MAX_MS (60 * 60 * 1000)
/* A daemon that nobody has come to yet does not take itself for idle sooner than this. */
#define FIRST_VISIT_MS 2000
/* Room for several thousand peers, each with a run, costs 64 KiB; that for those numbers that entries in memory may take first, 128. */
#define DESCRIPTORS_FORESEEN 8000

struct main {
	struct daemon d;
	struct lockfile lock;
	uv_loop_t loop;
	uv_poll_t index_poll, room;
	uv_prepare_t turn;
	struct signals *signals;
	int ready_fd;
	bool proved; /* somebody has had an answer, or it goes in peace: this is no daemon that dies of every question */
};

/* To whoever started us: one line that says why not, or "ready". Then it is closed, which ends their wait. */
static void tell_starter(struct main *m, const char *text)
{
	if (m->ready_fd < 0) {
		if (strcmp(text, "ready") != 0)
			fprintf(stderr, "scd: %s\n", text);
		return;
	}
	while (write(m->ready_fd, text, strlen(text)) < 0 && errno == EINTR)
		;
	close(m->ready_fd);
	m->ready_fd = -1;
}

/* ---- what daemon.h promises ---- */

void daemon_stop(struct daemon *d, const char *why)
{
	log_event(d->log, "stop", "why=\"%s\" flights=%u conns=%u", why, flights_count(d), d->nconns);
	uv_stop(d->loop);
}

/* Whoever started us is on the way, perhaps slowly. */
static uint64_t idle_ms(const struct daemon *d)
{
	return d->visited || d->config.idle_exit_ms > FIRST_VISIT_MS ? d->config.idle_exit_ms : FIRST_VISIT_MS;
}

/* By somebody who is there, or because what it keeps would go with it: entries under a key that nobody else has. */
static bool is_needed(const struct daemon *d)
{
	return d->nconns || flights_count(d) || leases_count(d) || index_has_ephemeral(d->index);
}

void daemon_reckon(struct daemon *d)
{
	if (d->stopping)
		return;
	if (d->draining && d->drain == 0) {
		d->draining = false;
		daemon_stop(d, "its flights have ended");
		return;
	}
	d->visited |= d->nconns > 0;
	if (is_needed(d) || d->config.idle_exit_ms == SC_FOREVER)
		ticker_stop(d->idle);
	else if (!ticker_is_running(d->idle))
		ticker_start(d->idle, idle_ms(d));
	if (d->nconns && !ticker_is_running(d->greeting))
		ticker_start(d->greeting, SC_HANDSHAKE_MS);
}

void daemon_owe(struct daemon *d)
{
	if (d->nwaiting++ == 0)
		ticker_start(d->pulse, SC_SILENCE_MS / 4);
}

void daemon_paid(struct daemon *d)
{
	if (--d->nwaiting == 0)
		ticker_stop(d->pulse);
}

void daemon_step(struct daemon *d)
{
	lockfile_step(d->lock);
}

void daemon_arm_expiry(struct daemon *d)
{
	struct now now = clock_now();
	uint64_t ms;

	if (d->expiring || d->stopping)
		return;
	ms = index_next_expiry(d->index, &now);
	if (ms == SC_FOREVER) {
		ticker_stop(d->expiry);
		return;
	}
	/* Not at once although one may be over: a row the index cannot remove must not become a busy loop. */
	ticker_start(d->expiry, ms < EXPIRE_MIN_MS ? EXPIRE_MIN_MS : ms > EXPIRE_MAX_MS ? EXPIRE_MAX_MS : ms);
}

static void expire(struct daemon *d);

/* A batch that came back full has most likely left some: they go at once, and what was given to the index meanwhile goes before them. */
static void on_expired(void *arg, int status, uint64_t changed)
{
	struct daemon *d = arg;

	d->expiring = false;
	if (status)
		log_event(d->log, "expiry-failed", "why=\"%s\"", sc_strerror(status));
	else if (changed)
		log_event(d->log, "expired", "rows=%llu", (unsigned long long)changed);
	if (!status && changed == EXPIRE_ROWS && !d->stopping)
		expire(d);
	if (!d->expiring)
		daemon_arm_expiry(d);
	daemon_reckon(d); /* the last that had to be kept may be gone */
}

static void expire(struct daemon *d)
{
	struct now now = clock_now();

	KILLPOINT("before_expiry");
	d->expiring = index_expire(d->index, &now, EXPIRE_ROWS, on_expired, d) == 0;
}

static void on_expiry(struct daemon *d, void *arg)
{
	(void)arg;
	expire(d);
}

static void on_idle(struct daemon *d, void *arg)
{
	(void)arg;
	if (is_needed(d))
		return;
	daemon_stop(d, "idle");
}

static void on_pulse(struct daemon *d, void *arg)
{
	(void)arg; /* that the loop turned is all there is to it */
	if (d->nwaiting)
		ticker_start(d->pulse, SC_SILENCE_MS / 4);
}

static void on_greeting(struct daemon *d, void *arg)
{
	uint64_t now = clock_run_ms();
	struct conn *c, *next;

	(void)arg;
	for (c = d->conns; c; c = next) {
		next = c->next;
		if ((c->state & (CONN_NEW | CONN_READY)) && !c->chore && now - c->opened_ms >= SC_HANDSHAKE_MS)
			conn_close(c, "said nothing in time");
	}
	if (d->nconns)
		ticker_start(d->greeting, SC_HANDSHAKE_MS);
}

/* ---- the loop ---- */

static void on_index(uv_poll_t *poll, int status, int events)
{
	struct main *m = poll->data;

	(void)status, (void)events;
	index_collect(m->d.index);
}

static void prove(struct main *m)
{
	m->proved = true;
	lockfile_note_start(&m->lock, clock_now().boot_ms, false);
}

static void on_turn(uv_prepare_t *turn)
{
	struct main *m = turn->data;
	bool answers = m->d.dirty != NULL;

	daemon_step(&m->d);
	watch_turn(&m->d);
	conn_flush_all(&m->d);
	KILLPOINT("answers_sent");
	if (answers && !m->proved)
		prove(m);
}

/* ---- a fault of our own ---- */

/* Where the handler finds it. */
static struct lockfile *dying_lock;

/* Leaves a word and dies of the signal all the same. What is done here must be fit for any moment, also one inside of malloc. */
static void on_fault(int sig)
{
	static const struct {
		int sig;
		const char *words;
	} words[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGILL, "SIGILL"}, {SIGFPE, "SIGFPE"}, {SIGSYS, "SIGSYS"}};
	const char *said = *sc_last_words() ? sc_last_words() : "SIGABRT";

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (words[i].sig == sig)
			said = words[i].words;
	lockfile_note_death(dying_lock, said);
	raise(sig);
}

/* Once: whatever goes wrong in the handler ends us as if it were not there. */
static void watch_for_faults(struct lockfile *lock)
{
	static const int sigs[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGABRT};
	struct sigaction a = {.sa_handler = on_fault, .sa_flags = SA_RESETHAND | SA_NODEFER};

	dying_lock = lock;
	for (size_t i = 0; i < sizeof sigs / sizeof sigs[0]; i++)
		sigaction(sigs[i], &a, NULL);
}

/* ---- start ---- */

static void raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* Nothing inherited reaches the loop: a pipe kept open here would hang whoever waits for its end. */
static int drop_inheritance(struct main *m)
{
	sigset_t none;
	int null_fd;

	umask(077);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (m->ready_fd >= 0) {
		if (m->ready_fd != 3 && dup2(m->ready_fd, 3) < 0)
			return SC_ESYS;
		m->ready_fd = 3;
		fcntl(3, F_SETFD, FD_CLOEXEC);
		null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null_fd < 0)
			return SC_ESYS;
		for (int fd = 0; fd < 3; fd++)
			dup2(null_fd, fd);
		close_range(4, ~0U, 0);
	} else {
		close_range(3, ~0U, 0);
	}
	return 0;
}

static void on_complaint(void *arg, const char *file, int line, const char *why)
{
	struct daemon *d = arg;

	log_event(d->log, "config", "file=\"%s\" line=%d why=\"%s\"", file, line, why);
}

static int open_store(struct main *m, char *why, size_t size)
{
	struct daemon *d = &m->d;
	int rc = lockfile_open(&m->lock, d->place.dir_fd);
	char words[SC_LAST_WORDS];

	if (rc == 0)
		rc = lockfile_hold(&m->lock, SC_LOCK_WAIT_MS);
	if (rc) {
		snprintf(why, size, "%s/lock: %s", d->place.path, rc == SC_EBUSY ? "another daemon has it" : sc_strerror(rc));
		return rc;
	}
	KILLPOINT("lock_held");
	watch_for_faults(&m->lock);
	d->log = log_open(d->place.dir_fd, m->ready_fd >= 0 ? "scd.log" : NULL);
	if (!d->log) {
		snprintf(why, size, "no memory");
		return SC_ENOMEM;
	}
	if (lockfile_death(&m->lock, words)) {
		log_event(d->log, "crashed", "why=\"the daemon before: %s\"", words);
		lockfile_forget_death(&m->lock);
	}
	config_init(&d->config);
	config_read(&d->config, d->place.dir_fd, on_complaint, d);
	clock_boot_id(d->boot_id);
	rc = digest_init();
	if (rc == 0) {
		rc = keyring_open(d, why, size);
		if (rc)
			return rc;
	}
	if (rc == 0)
		rc = index_open(&d->index, d->place.dir_fd, d->boot_id, d->keyring, d->config.encrypt, d->log);
	if (rc) {
		snprintf(why, size, "%s/index.db: %s", d->place.path, sc_strerror(rc));
		return rc;
	}
	d->order = index_order(d->index);
	trust_open(d);
	KILLPOINT("index_opened");
	return 0;
}

/* libuv ends the process when it has no memory for the table of a higher descriptor. Grown now, while failing is no harm. */
static void make_room(struct main *m)
{
	int fd = fcntl(index_fd(m->d.index), F_DUPFD_CLOEXEC, DESCRIPTORS_FORESEEN + SC_HOT_FDS_MAX);

	if (fd < 0)
		fd = fcntl(index_fd(m->d.index), F_DUPFD_CLOEXEC, DESCRIPTORS_FORESEEN);
	if (fd < 0)
		return; /* it may not have so many */
	if (uv_poll_init(&m->loop, &m->room, fd) == 0) {
		uv_poll_start(&m->room, UV_READABLE, on_index);
		uv_close((uv_handle_t *)&m->room, NULL);
	}
	close(fd);
}

static int open_loop(struct main *m)
{
	struct daemon *d = &m->d;

	if (uv_loop_init(&m->loop))
		return SC_ENOMEM;
	d->loop = &m->loop;
	d->idle = ticker_new(d, on_idle, NULL);
	d->expiry = ticker_new(d, on_expiry, NULL);
	d->pulse = ticker_new(d, on_pulse, NULL);
	d->greeting = ticker_new(d, on_greeting, NULL);
	m->signals = signals_start(d);
	if (!d->idle || !d->expiry || !d->pulse || !d->greeting || !m->signals || upkeep_start(d))
		return SC_ENOMEM;
	uv_prepare_init(&m->loop, &m->turn);
	m->turn.data = m;
	uv_prepare_start(&m->turn, on_turn);
	uv_poll_init(&m->loop, &m->index_poll, index_fd(d->index));
	m->index_poll.data = m;
	uv_poll_start(&m->index_poll, UV_READABLE, on_index);
	make_room(m);
	return 0;
}

static int start(struct main *m, const char *path, char *why, size_t size)
{
	struct daemon *d = &m->d;
	int rc;

	d->lock = &m->lock;
	d->started_ms = clock_now().boot_ms;
	rc = place_open_at(&d->place, path, 1);
	if (rc) {
		snprintf(why, size, "%s", d->place.why);
		return rc;
	}
	if (chdir("/") < 0)
		return SC_ESYS;
	rc = open_store(m, why, size);
	if (rc)
		return rc;
	rc = open_loop(m);
	if (rc == 0)
		rc = stats_open(d);
	if (rc == 0)
		rc = watch_open(d);
	if (rc == 0)
		rc = history_open(d);
	if (rc == 0)
		index_on_gone(d->index, event_gone, d);
	/* Before anybody is let in: a run that is going on must not be taken for none. */
	if (rc == 0)
		rc = leases_open(d);
	if (rc == 0)
		rc = flights_open(d);
	if (rc == 0)
		rc = evict_open(d);
	if (rc == 0)
		rc = hot_open(d);
	if (rc) {
		snprintf(why, size, "%s: %s", d->place.path, sc_strerror(rc));
		return rc;
	}
	KILLPOINT("flights_read");
	rc = listener_open(&d->listener, d);
	KILLPOINT("listening");
	if (rc)
		snprintf(why, size, "%s/sock: %s", d->place.path,
			 rc == SC_EUNSAFE ? "something that is not a socket lies there (remove it)" : sc_strerror(rc));
	return rc;
}

/* ---- the way out ---- */

static void finish(struct main *m)
{
	struct daemon *d = &m->d;
	struct conn *c, *next;

	KILLPOINT("idle_before_close");
	prove(m);
	d->stopping = true;
	listener_close(d->listener);
	KILLPOINT("listener_closed");
	uv_close((uv_handle_t *)&m->index_poll, NULL);
	upkeep_stop(d->upkeep);
	/* Who asked us to go shall know that we do, however long the index takes to close. */
	conn_flush_all(d);
	evict_tell(d);
	history_save(d);
	index_close(d->index);
	upkeep_free(d->upkeep);
	trust_close(d);
	keyring_close(d);
	KILLPOINT("index_closed");
	conn_flush_all(d);
	/* Under the lock, so it can be nobody else's; but somebody may have put something else there. */
	listener_unlink(d->listener);
	KILLPOINT("sock_unlinked");
	for (c = d->conns; c; c = next) {
		next = c->next;
		conn_close(c, NULL);
	}
	flights_close(d);
	leases_close(d);
	keys_forget_all(d);
	evict_close(d);
	hot_close(d);
	stats_close(d);
	watch_close(d);
	history_close(d);
	ticker_free(d->idle);
	ticker_free(d->expiry);
	ticker_free(d->pulse);
	ticker_free(d->greeting);
	signals_stop(m->signals);
	uv_close((uv_handle_t *)&m->turn, NULL);
	uv_run(&m->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&m->loop) != 0)
		BUG("something is left in the loop");
	log_event(d->log, "gone", "uptime_ms=%llu", (unsigned long long)(clock_now().boot_ms - d->started_ms));
	log_close(d->log);
	KILLPOINT("before_unlock");
	lockfile_close(&m->lock);
	place_close(&d->place);
}

static int usage(FILE *to, int status)
{
	fputs("usage: scd [--ready-fd=N] DIRECTORY\n"
	      "       scd --version\n"
	      "The daemon of one cache directory. Clients start it by themselves; `" SC_BIN
	      " daemon run` runs it in the foreground.\n",
	      to);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"ready-fd", required_argument, NULL, 'r'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	/* What is said of a fault goes into its lock, to the very end. */
	static struct main m = {.ready_fd = -1, .lock = {.fd = -1}};
	char why[SC_PATH_MAX + 256] = "cannot start";
	uint64_t fd;
	int o, rc;

	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (o == 'r') {
			if (human_parse_number(optarg, 0, INT_MAX, &fd) != 0)
				return usage(stderr, 2);
			m.ready_fd = (int)fd;
		} else if (o == 'V') {
			printf("scd %s\n", sc_build);
			return 0;
		} else {
			return o == 'h' ? usage(stdout, 0) : usage(stderr, 2);
		}
	}
	if (optind != argc - 1)
		return usage(stderr, 2);
	m.d.place.dir_fd = -1;
	if (drop_inheritance(&m)) {
		tell_starter(&m, strerror(errno));
		return 1;
	}
	raise_limits();
	sc_no_core();
	rc = start(&m, argv[optind], why, sizeof why);
	if (rc) {
		if (m.d.log)
			log_event(m.d.log, "no-start", "why=\"%s\"", why);
		tell_starter(&m, why);
		return 1;
	}
	log_event(m.d.log, "start", "build=%s flights=%u entries=%llu", sc_build, flights_count(&m.d),
		  (unsigned long long)index_count(m.d.index));
	KILLPOINT("before_ready");
	tell_starter(&m, "ready");
	KILLPOINT("ready_told");
	daemon_arm_expiry(&m.d);
	evict_look(&m.d, NULL);
	daemon_reckon(&m.d);
	uv_run(&m.loop, UV_RUN_DEFAULT);
	finish(&m);
	return 0;
}

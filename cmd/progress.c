/* The waiting line. Called by get.c (what is waited for), follow.c, session.c, content.c and spool.c (time passes), reader.c and options.c (something
 * else is to be printed). Never says anything else than this line, and nothing where nobody could see it. */
#include "cmd/progress.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/human.h"
#include "lib/limits.h"
#include "lib/page.h"

/* Nobody minds a shorter wait. */
#define PATIENCE_MS 2000
/* Between two lines; a little less than the second after which a reader looks around. */
#define REDRAW_MS 990
/* A rate is over the last one to two of these. */
#define STRETCH_MS 3000
#define KEY_COLUMNS 40
#define COLUMNS_UNKNOWN 80

static const char wipe[] = "\r\033[K";

static struct {
	const char *key; /* NULL: not allowed */
	int out_fd;
	bool looked;	  /* at the terminal; then: */
	bool out_is_seen; /* what is printed is on a terminal, too */

	const char *waiting;
	bool is_run;
	struct progress_facts run;
	const struct page *page;
	uint64_t began_ms, moved_ms;
	uint64_t out_ms, err_ms;   /* when something else was last printed */
	bool is_open, err_is_open; /* … without ending its line: anywhere, on stderr */
	uint64_t drawn_ms;
	bool stepped;
	struct {
		uint64_t ms, bytes;
	} sample[2]; /* the beginnings of this stretch and of the one before */
} line;

/* ---- signals, and taking it away ---- */

/* What ends or stops us while the line is there. */
static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
#define CAUGHT (sizeof caught / sizeof *caught)

static struct sigaction before[CAUGHT];
static volatile sig_atomic_t is_shown;

/* A background job, or one beside a program that paints the terminal itself (a pager, an editor, a shell's prompt, a question for a
 * password), leaves it alone; nor does it wait for a terminal that was stopped with ^S. */
static bool may_paint(void)
{
	struct pollfd p = {.fd = 2, .events = POLLOUT};
	struct termios t;

	return tcgetpgrp(2) == getpgrp() && tcgetattr(2, &t) == 0 && (t.c_lflag & ICANON) && (t.c_lflag & ECHO) &&
	       poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

/* What a terminal does not take is no loss. */
static void paint(const char *text, size_t n)
{
	if (write(2, text, n) < 0)
		return;
}

/* Only what a signal's handler may do. */
static void erase(void)
{
	if (!is_shown)
		return;
	is_shown = 0;
	if (may_paint())
		paint(wipe, sizeof wipe - 1);
	for (size_t i = 0; i < CAUGHT; i++)
		if (before[i].sa_handler != SIG_IGN)
			sigaction(caught[i], &before[i], NULL);
}

/* Without the line it is whoever's it was: the default's, -o's, a follower's. It comes as soon as we return. */
static void on_signal(int sig)
{
	int saved = errno;

	erase();
	raise(sig);
	errno = saved;
}

static void catch_signals(void)
{
	struct sigaction act = {.sa_handler = on_signal};

	for (size_t i = 0; i < CAUGHT; i++)
		if (sigaction(caught[i], NULL, &before[i]) < 0 || before[i].sa_handler == SIG_IGN ||
		    sigaction(caught[i], &act, NULL) < 0)
			before[i].sa_handler = SIG_IGN;
}

/* ---- the text ---- */

/* How many bytes of a text fit so many columns, and in how many it is. What is not ASCII may be two wide, also where the locale says
 * nothing about it. */
static size_t fit(const char *text, unsigned columns, unsigned *used)
{
	size_t n = 0;

	*used = 0;
	while (text[n]) {
		size_t len = 1;
		unsigned wide = (unsigned char)text[n] < 0x80 ? 1 : 2;

		while (((unsigned char)text[n + len] & 0xc0) == 0x80)
			len++;
		if (*used + wide > columns)
			break;
		*used += wide;
		n += len;
	}
	return n;
}

static void put_key(char *out, size_t size, const char *key)
{
	char shown[4 * KEY_COLUMNS + 8];
	unsigned used;
	size_t n;

	human_escape(key, strlen(key), shown, sizeof shown);
	n = fit(shown, KEY_COLUMNS, &used);
	if (shown[n])
		snprintf(out, size, "%.*s...", (int)fit(shown, KEY_COLUMNS - 3, &used), shown);
	else
		snprintf(out, size, "%s", shown);
}

/* In whole seconds. */
static char *put_time(uint64_t ms, char out[32])
{
	return human_format_duration(ms / 1000 * 1000, out);
}

static void put_run(char *out, size_t size, const struct progress_facts *f)
{
	char a[32], b[32], pid[32] = "", flow[96], left[64] = "";

	if (f->pid)
		snprintf(pid, sizeof pid, " (pid %ld)", (long)f->pid);
	if (f->bytes == 0)
		snprintf(flow, sizeof flow, "no output yet");
	else if (f->silent_ms >= PATIENCE_MS)
		snprintf(flow, sizeof flow, "%s, nothing for %s", human_format_size(f->bytes, a), put_time(f->silent_ms, b));
	else
		snprintf(flow, sizeof flow, "%s, %s/s", human_format_size(f->bytes, a), human_format_size(f->rate, b));
	if (f->estimate_ms != SC_FOREVER && f->age_ms < f->estimate_ms)
		snprintf(left, sizeof left, ", about %s left", put_time(f->estimate_ms - f->age_ms + 999, a));
	else if (f->estimate_ms != SC_FOREVER)
		snprintf(left, sizeof left, ", longer than last time (%s)", human_format_duration(f->estimate_ms, a));
	snprintf(out, size, "%s for %s%s, %s%s", f->others ? "run by another caller" : "running", put_time(f->age_ms, b), pid,
		 flow, left);
}

char *progress_format(char *out, size_t size, const char *key, const struct progress_facts *f, unsigned columns)
{
	char shown[4 * KEY_COLUMNS + 8], what[320], text[640], age[32], size_text[32], rate[32];
	struct progress_facts without = *f;
	unsigned used;
	size_t n;

	put_key(shown, sizeof shown, key);
	if (f->waiting && f->bytes)
		snprintf(what, sizeof what, "waiting for %s, %s, %s, %s/s", f->waiting, put_time(f->age_ms, age),
			 human_format_size(f->bytes, size_text), human_format_size(f->rate, rate));
	else if (f->waiting)
		snprintf(what, sizeof what, "waiting for %s, %s", f->waiting, put_time(f->age_ms, age));
	else
		put_run(what, sizeof what, f);
	snprintf(text, sizeof text, "%s: %s: %s", SC_BIN, shown, what);
	n = fit(text, columns, &used);
	if (text[n] && f->pid) {
		without.pid = 0;
		return progress_format(out, size, key, &without, columns);
	}
	snprintf(out, size, "%.*s", (int)n, text);
	return out;
}

/* ---- when ---- */

static uint64_t patience(void)
{
#ifdef SC_TEST_BUILD
	const char *ms = getenv("SC_PATIENCE_MS");

	if (ms && *ms)
		return strtoull(ms, NULL, 10);
#endif
	return PATIENCE_MS;
}

/* Not before it is needed: most callers never come so far. False: not one to paint on, for good. */
static bool is_terminal(void)
{
	const char *term = getenv("TERM");

	if (line.looked)
		return true;
	line.looked = true;
	line.out_is_seen = isatty(line.out_fd);
	return isatty(2) && term && *term && strcmp(term, "dumb") != 0;
}

static unsigned columns(void)
{
	struct winsize w;

	return ioctl(2, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : COLUMNS_UNKNOWN;
}

static uint64_t measure_rate(uint64_t now, uint64_t bytes)
{
	uint64_t passed = now - line.sample[0].ms, came = bytes - line.sample[0].bytes;

	if (now - line.sample[1].ms >= STRETCH_MS) {
		line.sample[0] = line.sample[1];
		line.sample[1].ms = now;
		line.sample[1].bytes = bytes;
	}
	return passed ? (uint64_t)((double)came * 1000 / (double)passed) : 0;
}

static void draw(uint64_t now)
{
	struct progress_facts f = line.run;
	char text[640], all[660];
	int n;

	f.waiting = line.waiting;
	f.age_ms = now - line.began_ms;
	f.silent_ms = now - line.moved_ms;
	f.rate = measure_rate(now, f.bytes);
	f.pid = line.page ? page_command(line.page) : 0;
	line.drawn_ms = now;
	/* The last column stays free: where it is written some terminals go on to the next line at once. */
	progress_format(text, sizeof text, line.key, &f, columns() - 1);
	if (!*text || !may_paint())
		return;
	n = snprintf(all, sizeof all, "%s%s", wipe, text);
	if (!is_shown)
		catch_signals();
	is_shown = 1;
	paint(all, (size_t)n);
}

static void draw_if_due(uint64_t now)
{
	if (now - line.err_ms < patience() || now - line.drawn_ms < REDRAW_MS)
		return;
	if (!is_terminal()) {
		line.key = NULL;
		return;
	}
	if (line.out_is_seen && now - line.out_ms < patience())
		return;
	if (!(line.out_is_seen ? line.is_open : line.err_is_open))
		draw(now);
}

/* ---- the door ---- */

void progress_allow(const char *key, int out_fd)
{
	line.key = key;
	line.out_fd = out_fd;
}

void progress_forbid(void)
{
	progress_stop();
	line.key = NULL;
}

static bool begin(const char *waiting, bool is_run)
{
	uint64_t now;

	if (!line.key)
		return false;
	now = clock_run_ms();
	if (!line.err_ms)
		line.err_ms = line.out_ms = now;
	line.waiting = waiting;
	line.is_run = is_run;
	line.began_ms = line.moved_ms = now;
	line.run = (struct progress_facts){.bytes = 0};
	line.stepped = false;
	line.sample[0].ms = line.sample[1].ms = now;
	line.sample[0].bytes = line.sample[1].bytes = 0;
	return true;
}

void progress_wait(const char *what)
{
	/* Told again, it goes on. */
	if (line.waiting != what)
		begin(what, false);
}

void progress_run(bool others, uint64_t age_ms, uint64_t estimate_ms, const struct page *page)
{
	if (!begin(NULL, true))
		return;
	line.run = (struct progress_facts){.others = others, .estimate_ms = estimate_ms};
	line.page = page;
	line.began_ms -= age_ms < line.began_ms ? age_ms : line.began_ms;
}

void progress_step(uint64_t bytes)
{
	uint64_t now;

	if (!line.key || !(line.waiting || line.is_run))
		return;
	now = clock_run_ms();
	if (bytes != line.run.bytes) {
		/* What was there before we came is no rate of ours. */
		if (!line.stepped && line.is_run)
			line.sample[0].bytes = line.sample[1].bytes = bytes;
		line.run.bytes = bytes;
		line.moved_ms = now;
	}
	line.stepped = true;
	draw_if_due(now);
}

void progress_tick(void)
{
	if (line.key && (line.waiting || line.is_run))
		draw_if_due(clock_run_ms());
}

void progress_make_way(int fd, unsigned char last)
{
	if (!line.key || !(line.waiting || line.is_run))
		return;
	if (fd == 2) {
		line.err_ms = clock_run_ms();
		line.err_is_open = last != '\n';
	} else {
		line.out_ms = clock_run_ms();
	}
	line.is_open = last != '\n';
	if (fd == 2 || line.out_is_seen)
		erase();
}

void progress_stop(void)
{
	erase();
	line.waiting = NULL;
	line.is_run = false;
	line.page = NULL;
}

/* The waiting line: what a person sees who has waited for 2 s. One line on stderr, if that is a terminal we may paint on (TERM says
 * so, we are its foreground job, nobody has it raw), written anew once a second at most, and gone before anything else of ours is
 * printed there, when a signal comes, and at the end. There is one terminal, so a process has one of these.
 *
 *   allow ──▶ wait or run ──▶ (step, tick: drawn, erased) ──▶ stop
 *
 * Where it was not allowed, or nothing is waited for, each of these functions does nothing. */
#ifndef SC_PROGRESS_H
#define SC_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct page;

/* Again when KEY has got another name. out_fd is where the bytes of KEY go: while they go to a terminal nobody waits. `key` must stay. */
void progress_allow(const char *key, int out_fd);
/* Somebody else writes to that terminal without asking us. */
void progress_forbid(void);

/* From now on we wait for `what`, a static text · for a run that began age_ms ago, which `others` asked for. The page tells of the
 * command, and must stay until progress_stop. */
void progress_wait(const char *what);
void progress_run(bool others, uint64_t age_ms, uint64_t estimate_ms, const struct page *page);

/* So many bytes by now: of a run, or of what we wait for. Draws the line, if it is time. */
void progress_step(uint64_t bytes);
/* Draws the line, if it is time. */
void progress_tick(void);

/* Something that ends with this byte is about to be printed on that descriptor: the line is gone when this returns, if it would be in
 * the way. It does not come back before the other one is ended: it would wipe it away. */
void progress_make_way(int fd, unsigned char last);
void progress_stop(void);

/* ---- pure ---- */

struct progress_facts {
	const char *waiting; /* for what; NULL: for a run */
	bool others;
	pid_t pid; /* of the command; 0: not known */
	uint64_t age_ms;
	uint64_t estimate_ms; /* how long the last run took; SC_FOREVER: not known */
	uint64_t silent_ms;   /* since the last byte came */
	uint64_t bytes, rate; /* … by now; a second */
};

/* The line, no wider than so many columns: without the pid if that helps, else cut. Returns out. */
char *progress_format(char *out, size_t size, const char *key, const struct progress_facts *f, unsigned columns);

#endif

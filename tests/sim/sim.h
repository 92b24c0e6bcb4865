/* The simulator's ground: time, chance, the record of what happened, memory of one scenario, and failing. Everything else in this
 * directory stands on it. One scenario at a time; the same seed gives the same scenario. */
#ifndef SC_SIM_H
#define SC_SIM_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Something that happens at a time. Lies in what it belongs to, which lives as long as the scenario. */
struct alarm {
	uint64_t at;
	uint64_t tie; /* random: things of one millisecond happen in any order */
	unsigned pos; /* in the heap, from 1; 0: not set */
	void (*fire)(void *arg);
	void *arg;
};

struct sim {
	uint64_t now; /* ms */
	uint64_t random;
	uint64_t steps; /* events of all scenarios */
	bool tracing;
	bool faults;  /* this scenario has a machine that refuses now and then */
	bool paused;  /* somebody ever was: may be late */
	bool resting; /* the driver has stopped: nothing fails any more, and everything comes to its end */
	/* How late things happen: mostly below quick_ms, now and then up to late_ms. */
	unsigned quick_ms, late_ms, late_percent;
	unsigned death_ms;	 /* how long a killed command takes to die; 0: at once */
	unsigned zombie_percent; /* … and how often somebody of its group stays a zombie */
	bool old_kernel;	 /* cannot signal a group by descriptor */
	bool chains;		 /* whoever is inside of a run says so */
	unsigned deaf_permille;	 /* messages the daemon cannot read, and with them the connection */
	unsigned full_permille;	 /* pieces of output that the disk does not take */
	unsigned lost_wakes;	 /* per cent of wake-ups that get lost */
	jmp_buf *out;		 /* where sim_fail goes */
	char failure[512];
};

extern struct sim sim;

void sim_begin(uint64_t seed);
/* The next event. False: there is none. */
bool sim_step(void);
uint64_t sim_next(void); /* when that is; UINT64_MAX: never */

void alarm_init(struct alarm *a, void (*fire)(void *arg), void *arg);
void alarm_set(struct alarm *a, uint64_t ms); /* from now; anew if it is set */
void alarm_clear(struct alarm *a);

uint64_t rnd(uint64_t n); /* 0 … n-1 */
bool chance(unsigned percent);
bool mishap(unsigned permille); /* false where nothing may fail */
uint64_t late(void);		/* ms until somebody gets round to it */

/* Zeroed; until the next sim_begin. */
void *sim_alloc(size_t n);

/* One line of the record, kept only while tracing. */
void trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void trace_print(unsigned last);

/* A promise is broken: ends the scenario. */
_Noreturn void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif

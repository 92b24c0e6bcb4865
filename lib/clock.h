/* The only place that reads a clock. Everything that decides takes `now` as an argument. */
#ifndef SC_CLOCK_H
#define SC_CLOCK_H

#include <stdint.h>

struct now {
	uint64_t boot_ms; /* CLOCK_BOOTTIME: counts suspend, never set back. The machine's, whatever time namespace we are in */
	uint64_t wall_ms; /* CLOCK_REALTIME, since 1970; may jump */
};

/* What may be written down for another process to read. */
struct now clock_now(void);

/* CLOCK_MONOTONIC: how long something takes, and how long somebody is silent. While the machine sleeps nobody is. For this process
 * alone: in another time namespace it is another number. */
uint64_t clock_run_ms(void);

/* /proc/sys/kernel/random/boot_id as 16 bytes; all zero when it cannot be read: then boots are not told apart. */
void clock_boot_id(uint8_t out[16]);

#endif

/* The only place that reads a clock. Everything that decides takes `now` as an argument. */
#ifndef SC_CLOCK_H
#define SC_CLOCK_H

#include <stdint.h>

struct now {
	uint64_t boot_ms; /* CLOCK_BOOTTIME: counts suspend, never set back */
	uint64_t wall_ms; /* CLOCK_REALTIME, since 1970; may jump */
};

struct now clock_now(void);
uint64_t clock_boot_ms(void);

/* /proc/sys/kernel/random/boot_id as 16 bytes; all zero when it cannot be read (then no two boots are told apart). */
void clock_boot_id(uint8_t out[16]);

#endif

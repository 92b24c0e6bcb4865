/* One call of the C library is replaced here: `syscall`, by which a page sleeps, so that it can be seen whether one did, and for how long at
 * most, without sleeping. */
#ifndef SC_TESTS_SLEEP_H
#define SC_TESTS_SLEEP_H

#include "tests/unit/unit.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

static bool nobody_sleeps; /* then what was asked for is kept, and its time is over */
static unsigned sleeps;
static struct timespec last_sleep; /* how long it was to be at most */
static long slept;		   /* what it returned */

long syscall(long number, ...)
{
	static long (*real)(long, ...);
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (size_t i = 0; i < COUNT(a); i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "syscall");
	if (number != SYS_futex || a[1] != FUTEX_WAIT)
		return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	sleeps++;
	memcpy(&last_sleep, (const void *)a[3], sizeof last_sleep);
	if (nobody_sleeps) {
		errno = ETIMEDOUT;
		return -1;
	}
	slept = real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	return slept;
}

#endif

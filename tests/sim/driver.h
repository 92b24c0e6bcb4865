/* One scenario: who comes, what happens to them, and the rest at its end. */
#ifndef SC_SIM_DRIVER_H
#define SC_SIM_DRIVER_H

#include <stdint.h>

/* Goes through sim_fail if a promise is broken. */
void driver_run(uint64_t seed);

#endif

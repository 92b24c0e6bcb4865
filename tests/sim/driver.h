/* One scenario: who comes, what happens to them, and the rest at its end. */
#ifndef SC_SIM_DRIVER_H
#define SC_SIM_DRIVER_H

#include <stdint.h>

struct client;
struct model;

/* Goes through sim_fail if a promise is broken. */
void driver_run(uint64_t seed);

/* Whom the command of a run asks now, if it does: a client that is inside of it. */
struct client *driver_client_inside(struct model *r);

#endif

/* What ends a reader from outside: SIGINT, SIGTERM, SIGHUP, SIGQUIT. Caught only while a run is followed, so that leaving can be
 * said properly; one that the caller ignored stays ignored. */
#ifndef SC_SIGNALS_H
#define SC_SIGNALS_H

#include <stdbool.h>

void signals_catch(void);

/* The first that came, or 0. */
int signals_pending(void);
/* Whether that one came from the terminal, to everybody in our process group. */
bool signals_were_for_group(void);
/* How many came. */
int signals_count(void);

/* Dies of it as if it had never been caught. */
_Noreturn void signals_die(int sig);

#endif

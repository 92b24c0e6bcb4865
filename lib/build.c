/* The one object that changes with every commit. */
#include "lib/build.h"

#ifndef SC_BUILD
#define SC_BUILD "unknown"
#endif

const char sc_build[] = SC_BUILD;

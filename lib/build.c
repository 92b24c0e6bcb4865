/* The one object that changes with every commit, and the one in which the tests' programs of another protocol differ. */
#include "lib/build.h"

#include "lib/proto.h"

#ifndef SC_BUILD
#define SC_BUILD "unknown"
#endif

const char sc_build[] = SC_BUILD;
const uint32_t sc_proto_version = SC_PROTO_VERSION;

/* Which build this is: `git describe` of the tree it was made from, or "unknown". For messages and HELLO, never for a decision; that is
 * what the version of the protocol is for. */
#ifndef SC_BUILD_H
#define SC_BUILD_H

#include <stdint.h>

extern const char sc_build[];

/* The version of the protocol (proto.h): what HELLO says and is judged by. */
extern const uint32_t sc_proto_version;

#endif

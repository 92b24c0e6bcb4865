/* Which build this is: `git describe` of the tree it was made from, or "unknown". For messages and HELLO, never for a decision. */
#ifndef SC_BUILD_H
#define SC_BUILD_H

extern const char sc_build[];

#endif

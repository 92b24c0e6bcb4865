/* Places where test builds can be told to die: SC_KILLAT=name:count kills the process when it comes by `name` for the count-th
 * time. Nothing at all in other builds. */
#ifndef SC_KILLPOINT_H
#define SC_KILLPOINT_H

#ifdef SC_TEST_BUILD
#define KILLPOINT(name) killpoint(name)
void killpoint(const char *name);
#else
#define KILLPOINT(name) ((void)0)
#endif

#endif

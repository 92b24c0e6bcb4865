/* Places where test builds can be told to die; in other builds nothing at all.
 *
 *   SC_KILLAT=NAME:COUNT[:FILE]   the process kills itself with SIGKILL when it comes by NAME for the COUNT-th time (a forked writer
 *                                 goes on counting where its client was). With FILE only one of those that are told so does:
 *                                 who makes that file, with "NAME PID" in it.
 *   SC_KILLAT=*:0:FILE            nobody dies; FILE gets a line for each point that is passed
 *   SC_STOPAT=NAME:COUNT[:FILE]   the same with SIGSTOP, and the process lets itself be traced by anybody of its user
 *   SC_STUCK=WHAT:FILE            the disk does not answer as long as FILE is there: a thread about to wait for it for this
 *                                 (DISK_WORK) appends a line to FILE and waits until FILE is gone
 *
 * One stands around every step that would leave something half done. Names are snake_case, say what has just happened or is
 * about to, and are used once. tests/faults/killpoints.bats finds them in the sources: a new one is tested as soon as it is
 * there, and while none of its scenarios comes by, that test fails. */
#ifndef SC_KILLPOINT_H
#define SC_KILLPOINT_H

#include <stdbool.h>

#ifdef SC_TEST_BUILD
#define KILLPOINT(name) killpoint(name)
#define FAULT(name) fault(name)
#define DISK_WORK(what) disk_work(what)
void killpoint(const char *name);
void disk_work(const char *what);
bool fault(const char *name); /* SC_FAULT is this name: what it says shall go wrong, each time */
#else
#define KILLPOINT(name) ((void)0)
#define FAULT(name) false
#define DISK_WORK(what) ((void)0)
#endif

#endif

/* What the files of spawn share: spawn.c (the daemon), spawn_command.c (the command of a run, or in our place), spawn_feed.c (its stdin out of a
 * sealed spool) and spawn_beside.c (a command that is waited for). Nobody else includes this. */
#ifndef SC_SPAWN_PARTS_H
#define SC_SPAWN_PARTS_H

#include <stdbool.h>

struct spool;

/* As they are in a process of nobody's. */
void spawn_reset_signals(void);

/* Both ends close-on-exec. SC_ESYS. */
int spawn_pipe(int fd[2]);

/* Those of the two that are open. */
void spawn_close_pair(int fd[2]);

/* The pipe that a process of its own fills, for reading; `leads_group`: we become the first of a process group. -1 and errno. */
int spawn_feeder(const struct spool *from, bool leads_group);

#endif

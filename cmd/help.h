/* Help, as text for people. */
#ifndef SC_HELP_H
#define SC_HELP_H

#include <stdio.h>

#include "cmd/command.h"

/* Every verb that people use, on one screen. */
void help_all(FILE *to);

/* One verb with its options, to stdout. */
void help_verb(const struct command *c);

#endif

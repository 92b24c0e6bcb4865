/* Runs that wait for each other, as numbers, and the one question about them: does a way lead from here to there? Pure: knows
 * neither runs nor peers. */
#ifndef SC_CIRCLE_H
#define SC_CIRCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct circle_edge {
	unsigned to, next;
};

struct circle {
	unsigned nodes;		   /* numbered from 0 */
	unsigned *first;	   /* of each node's edges */
	unsigned *todo;		   /* nodes reached, not yet gone on from */
	uint8_t *marks;		   /* CIRCLE_* of each node */
	struct circle_edge *edges; /* the one at 0 is none */
	unsigned count, room;
};

enum { CIRCLE_START = 1u << 0, CIRCLE_GOAL = 1u << 1 };

/* No edges, no marks. SC_ENOMEM: release it all the same. */
int circle_init(struct circle *g, unsigned nodes);
void circle_release(struct circle *g);

/* `from` waits for `to`; said twice it is the same. SC_ENOMEM. */
int circle_add(struct circle *g, unsigned from, unsigned to);

/* Whether a goal is reached from a start; a node that is both is. To be asked once: it uses the marks up. */
bool circle_closes(struct circle *g);

#endif

/* Each node is gone on from at most once and each edge looked at once, so that a search costs what its graph costs to build.
 * Called by nesting.c. */
#include "daemon/circle.h"

#include <stdlib.h>

#include "lib/err.h"

int circle_init(struct circle *g, unsigned nodes)
{
	size_t n = nodes ? nodes : 1;

	*g = (struct circle){.nodes = nodes, .count = 1, .room = 64};
	g->first = calloc(n, sizeof *g->first);
	g->todo = calloc(n, sizeof *g->todo);
	g->marks = calloc(n, sizeof *g->marks);
	g->edges = calloc(g->room, sizeof *g->edges);
	return g->first && g->todo && g->marks && g->edges ? 0 : SC_ENOMEM;
}

void circle_release(struct circle *g)
{
	free(g->first);
	free(g->todo);
	free(g->marks);
	free(g->edges);
	*g = (struct circle){0};
}

int circle_add(struct circle *g, unsigned from, unsigned to)
{
	if (g->count == g->room) {
		struct circle_edge *larger = reallocarray(g->edges, g->room, 2 * sizeof *larger);

		if (!larger)
			return SC_ENOMEM;
		g->edges = larger;
		g->room *= 2;
	}
	g->edges[g->count] = (struct circle_edge){.to = to, .next = g->first[from]};
	g->first[from] = g->count++;
	return 0;
}

bool circle_closes(struct circle *g)
{
	unsigned ntodo = 0;

	for (unsigned i = 0; i < g->nodes; i++)
		if (g->marks[i] & CIRCLE_START)
			g->todo[ntodo++] = i;
	while (ntodo > 0) {
		unsigned at = g->todo[--ntodo];

		if (g->marks[at] & CIRCLE_GOAL)
			return true;
		for (unsigned e = g->first[at]; e; e = g->edges[e].next) {
			unsigned to = g->edges[e].to;

			if (g->marks[to] & CIRCLE_START)
				continue; /* reached before */
			g->marks[to] |= CIRCLE_START;
			g->todo[ntodo++] = to;
		}
	}
	return false;
}

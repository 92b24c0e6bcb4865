/* The walk: what became of objects/ and of the index while nobody looked. First the rows: one whose object is missing, of another
 * size or not ours goes, and of every other the generation is noted. Then the directories: a file of our pattern whose generation
 * neither a row nor a flight's file names, and that has not changed for a grace, is an orphan and is unlinked. Names that are not of
 * our pattern, links, directories and whatever else is no regular file of ours are left alone and are not opened.
 *
 *   rows ──▶ objects ──▶ over        any error: over, and nothing more is unlinked
 *
 * All of it is done by the index thread, a step at a time, each bounded in names and in time: a commit waits behind one step at
 * most, and the loop behind none. That it is this thread is what makes it safe against runs that begin and end meanwhile, whatever
 * the grace:
 *   - A run has its file in flights/ before it has an object, and loses it only after its row is there, or its objects are gone. So
 *     a generation whose object is seen is in flights/ or in the index, and never passes from the one to the other unseen: only
 *     this thread commits, not within a step, and it notes what it commits (walk_note).
 *   - A generation is looked for among the rows first and in flights/ then, in one step: no row can come in between.
 *   - Objects of rows that went are unlinked by this thread, too; names are never used again.
 *   - A daemon that dies takes the walk with it; the next one reads flights/ before it begins another, and removes no flight's file
 *     whose writer lives. One that waits for a writer, or has doomed it, keeps the file.
 * The grace is for what we do not know of: files that somebody restores, or a flight's file that somebody removed. Its clock is the
 * file's own time of change, which a restore does not set back. */
#ifndef SC_WALK_H
#define SC_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/gen.h"
#include "lib/log.h"

/* What is to be done, and what was found. */
struct walk_order {
	bool only_look; /* count, change nothing */
	uint64_t now_wall_ms, grace_ms;

	uint64_t rows, files; /* looked at; files: those of our pattern */
	uint64_t bad_rows;    /* whose objects are not what they say */
	uint64_t orphans, orphan_bytes;
	bool over;
};

struct walk;

/* `rows`: about how many there are, which nobody vouches for. `order` must outlive the walk. NULL: no memory. */
struct walk *walk_new(int dir_fd, struct log *log, uint64_t rows, struct walk_order *order);
void walk_free(struct walk *w); /* NULL is allowed */

/* There is a row of this generation now. No memory: then nothing is taken for an orphan. */
void walk_note(struct walk *w, const struct gen *g);

/* Begins a step; walk_may_go_on says whether there is time for one thing more in it. */
void walk_step(struct walk *w);
bool walk_may_go_on(struct walk *w);

/* A row: whether its objects are as it says, as far as can be told without reading them. False: bad, the caller removes it. */
bool walk_row(struct walk *w, const struct gen *g, uint64_t out_len, uint64_t err_len);

/* Files, for one step. False: there are no more. */
bool walk_objects(struct walk *w);

#endif

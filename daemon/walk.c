/* The rows' generations as a table of their first 64 bits, and one directory of objects/ after the other. Called by the index
 * thread alone. Never reads an object, never looks into the index. */
#include "daemon/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/flightfile.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/killpoint.h"
#include "lib/object.h"

/* A step ends after so many rows, names or directories, or when this time is over: cold inodes of a slow disk take 10 ms each. */
#define STEP_THINGS 256
#define STEP_MS 5

/* Room is made for no more rows at once than this, 64 MiB: how many there are says a file that may have been altered. */
#define FORESEEN_MAX (4 * 1024 * 1024)

struct walk {
	int dir_fd; /* borrowed */
	struct log *log;
	struct walk_order *order;

	/* Open addressing; 0 is an empty place. Two generations that agree in 64 bits would at worst keep an orphan. */
	uint64_t *noted;
	size_t room, used; /* room: a power of two, at least twice `used` */
	bool blind;	   /* there was no memory to note all of them */

	unsigned things; /* in this step */
	uint64_t until_ms;

	unsigned next; /* the directory to open next */
	DIR *dir;      /* the one we are in, or NULL */
	unsigned in;   /* its number */
};

/* ---- rows ---- */

static bool reserve(struct walk *w, size_t room)
{
	uint64_t *old = w->noted;
	size_t n = w->room;

	w->noted = calloc(room, sizeof *w->noted);
	if (!w->noted) {
		w->noted = old;
		return false;
	}
	w->room = room;
	for (size_t i = 0; i < n; i++) {
		size_t at = old[i] & (room - 1);

		if (!old[i])
			continue;
		while (w->noted[at])
			at = (at + 1) & (room - 1);
		w->noted[at] = old[i];
	}
	free(old);
	return true;
}

/* Generations are random, so any of their bits are a hash. */
static uint64_t number_of(const struct gen *g)
{
	uint64_t n;

	memcpy(&n, g->b, sizeof n);
	return n ? n : 1;
}

static size_t place_of(const struct walk *w, uint64_t n)
{
	size_t at = n & (w->room - 1);

	while (w->noted[at] && w->noted[at] != n)
		at = (at + 1) & (w->room - 1);
	return at;
}

static bool is_noted(const struct walk *w, const struct gen *g)
{
	return w->noted[place_of(w, number_of(g))] != 0;
}

struct walk *walk_new(int dir_fd, struct log *log, uint64_t rows, struct walk_order *order)
{
	struct walk *w = calloc(1, sizeof *w);
	size_t room = 1024;

	while (room < 2 * FORESEEN_MAX && room / 2 <= rows)
		room *= 2;
	if (!w || !reserve(w, room)) {
		free(w);
		return NULL;
	}
	w->dir_fd = dir_fd;
	w->log = log;
	w->order = order;
	return w;
}

void walk_free(struct walk *w)
{
	if (!w)
		return;
	if (w->dir)
		closedir(w->dir);
	free(w->noted);
	free(w);
}

void walk_note(struct walk *w, const struct gen *g)
{
	uint64_t n = number_of(g);
	size_t at;

	if (2 * (w->used + 1) > w->room && !reserve(w, 2 * w->room)) {
		w->blind = true;
		return;
	}
	at = place_of(w, n);
	w->used += !w->noted[at];
	w->noted[at] = n;
}

void walk_step(struct walk *w)
{
	w->things = 0;
	w->until_ms = clock_run_ms() + STEP_MS;
}

bool walk_may_go_on(struct walk *w)
{
	return ++w->things < STEP_THINGS && clock_run_ms() < w->until_ms;
}

static bool is_as_said(const struct walk *w, const struct gen *g, enum stream s, uint64_t len)
{
	uint64_t size = 0;
	int rc = object_look(w->dir_fd, g, s, &size);

	/* What cannot be looked at now is not proved bad. */
	return rc == SC_ESYS || (rc == 0 && size == len);
}

bool walk_row(struct walk *w, const struct gen *g, uint64_t out_len, uint64_t err_len)
{
	w->order->rows++;
	if (is_as_said(w, g, STREAM_OUT, out_len) && (err_len == 0 || is_as_said(w, g, STREAM_ERR, err_len))) {
		walk_note(w, g);
		return true;
	}
	w->order->bad_rows++;
	if (w->order->only_look)
		walk_note(w, g);
	return false;
}

/* ---- objects ---- */

static bool is_old(const struct walk *w, const struct stat *st)
{
	uint64_t changed = (uint64_t)st->st_ctim.tv_sec * 1000 + (uint64_t)st->st_ctim.tv_nsec / 1000000;

	/* Of a file from the future nothing can be said. */
	return st->st_ctim.tv_sec >= 0 && changed <= w->order->now_wall_ms &&
	       w->order->now_wall_ms - changed >= w->order->grace_ms;
}

static void look_at(struct walk *w, const char *name)
{
	struct stat st;
	struct gen g;

	if (!object_is_name(w->in, name, &g))
		return;
	w->order->files++;
	/* In this order: see walk.h. */
	if (is_noted(w, &g) || flightfile_is_there(w->dir_fd, &g))
		return;
	if (fstatat(dirfd(w->dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    !is_old(w, &st))
		return;
	KILLPOINT("orphan_found");
	if (!w->order->only_look && unlinkat(dirfd(w->dir), name, 0) < 0) {
		log_event(w->log, "unlink-failed", "file=%s error=\"%s\"", name, strerror(errno));
		return;
	}
	KILLPOINT("orphan_unlinked");
	w->order->orphans++;
	w->order->orphan_bytes += (uint64_t)st.st_size;
}

/* False: it was the last. One that is missing, a link, or not to be opened is passed over. */
static bool open_next(struct walk *w)
{
	if (w->next == SC_OBJECT_DIRS)
		return false;
	w->in = w->next++;
	w->dir = object_opendir(w->dir_fd, w->in);
	return true;
}

bool walk_objects(struct walk *w)
{
	if (w->blind)
		return false;
	walk_step(w);
	do {
		struct dirent *e = w->dir ? readdir(w->dir) : NULL;

		if (e) {
			look_at(w, e->d_name);
			continue;
		}
		if (w->dir)
			closedir(w->dir);
		w->dir = NULL;
		if (!open_next(w))
			return false;
	} while (walk_may_go_on(w));
	return true;
}

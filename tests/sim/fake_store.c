/* The cache directory and the pages: flightfile.h, object.h and page.h as the daemon calls them. Files are lengths, marks and a
 * lock; a page is the memory that clients and writers look at in struct model. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/flightfile.h"
#include "lib/digest.h"
#include "lib/err.h"
#include "lib/object.h"
#include "tests/sim/check.h"
#include "tests/sim/people.h"

struct world world;

/* ---- runs ---- */

void world_begin(unsigned nkeys)
{
	memset(&world, 0, sizeof world);
	world.nkeys = nkeys;
	world.index_epoch = 1;
	for (unsigned i = 0; i < nkeys; i++)
		world.keys[i].name[0] = (char)('a' + i);
}

struct model *run_of(const struct gen *g)
{
	uint32_t n;

	memcpy(&n, g->b, sizeof n);
	if (n == 0 || n > world.nruns)
		return NULL;
	return gen_equal(&world.runs[n - 1]->gen, g) ? world.runs[n - 1] : NULL;
}

struct key_model *key_model_of(struct bytes key)
{
	for (unsigned i = 0; i < world.nkeys; i++)
		if (key.n == strlen(world.keys[i].name) && memcmp(key.p, world.keys[i].name, key.n) == 0)
			return &world.keys[i];
	sim_fail("a key that nobody asked for");
}

bool run_begins_alike(const struct model *a, const struct model *b, uint64_t n)
{
	return a == b || (n <= a->differs_at && n <= b->differs_at);
}

static void on_death(void *arg)
{
	struct model *r = arg;

	r->command_alive = false;
	r->died_at = sim.now;
	r->zombies_until = chance(sim.zombie_percent) ? sim.now + rnd(3000) : 0;
	trace("run %u: the command is dead", r->number);
	if (!r->writer)
		return;
	command_died(r->writer, r->killed_by);
	/* What it has started is in its group, unless it has left it. */
	if (r->writer->child && chance(70))
		client_kill(r->writer->child);
}

int digest_init(void)
{
	return 0;
}

/* Born here: the first thing that happens to a run. */
void digest_generation(struct gen *out)
{
	struct model *r = sim_alloc(sizeof *r);

	if (world.nruns == RUNS_MAX)
		sim_fail("%d runs in one scenario", RUNS_MAX);
	world.runs[world.nruns++] = r;
	r->number = world.nruns;
	memset(r->gen.b, 0x5c, sizeof r->gen.b);
	memcpy(r->gen.b, &r->number, sizeof r->number);
	r->born = sim.now;
	r->differs_at = chance(30) ? rnd(20) : UINT64_MAX;
	r->word = 1;
	alarm_init(&r->death, on_death, r);
	*out = r->gen;
}

void digest_key(const void *bucket, size_t bucket_len, const void *key, size_t key_len, uint8_t out[16])
{
	(void)bucket, (void)bucket_len, (void)key, (void)key_len;
	memset(out, 0, 16);
}

void orphans_die(void)
{
	for (unsigned i = 0; i < world.nruns; i++)
		if (world.runs[i]->orphaned)
			command_kill(world.runs[i], 9);
}

pid_t session_of_command(unsigned run)
{
	const struct model *r = run && run <= world.nruns ? world.runs[run - 1] : NULL;

	return r && r->command_alive ? r->session : 0;
}

bool run_is_locked(const struct model *r)
{
	return r->lock && r->lock->refs > 0;
}

void command_kill(struct model *r, uint32_t signal)
{
	if (!r->command_alive)
		return;
	trace("run %u: signal %u to the command", r->number, signal);
	if (life.in_turn && !r->killed_at)
		r->killed_at = sim.now;
	if (r->dying)
		return;
	r->dying = true;
	r->killed_by = signal;
	if (sim.death_ms)
		alarm_set(&r->death, rnd(sim.death_ms + 1));
	else
		on_death(r);
}

static int refused(int error)
{
	errno = error;
	return SC_ESYS;
}

static struct model *known(const struct gen *g)
{
	struct model *r = run_of(g);

	if (!r)
		sim_fail("a file of a run that was never born");
	return r;
}

/* ---- flights/ ---- */

int flightfile_create(int dir_fd, const struct keyring *ring, const struct flightfile *f, int *lock_fd)
{
	struct model *r = known(&f->gen);

	(void)ring;
	(void)dir_fd;
	*lock_fd = -1;
	if (mishap(5))
		return refused(ENOSPC);
	daemon_point();
	r->key = key_model_of((struct bytes){f->key, f->key_len});
	r->order = f->order;
	r->ttl_ms = f->ttl_ms;
	r->stale_ms = f->stale_ms;
	r->keep_ms = f->keep_ms;
	r->renewal = f->renewal;
	r->created_wall_ms = f->created_wall_ms;
	r->file = r->torn = true;
	daemon_point();
	r->torn = false;
	r->mark_doomed = f->doomed;
	r->mark_finish = f->finish;
	r->lease = f->lease;
	check_born(r);
	daemon_point();
	r->lock = desc_new(DESC_LOCK, r);
	*lock_fd = fd_install(r->lock);
	return 0;
}

int flightfile_mark(int dir_fd, const struct gen *g, enum flight_mark mark)
{
	struct model *r = known(g);

	(void)dir_fd;
	daemon_point();
	if (!r->file)
		return SC_ENOENT;
	trace("run %u: its file is marked %s", r->number,
	      mark == MARK_DOOMED ? "doomed"
	      : mark == MARK_HELD ? "held"
				  : "finish");
	if (mark == MARK_DOOMED && !r->lease)
		check_doomed(r);
	if (mark == MARK_DOOMED)
		r->mark_doomed = true;
	else if (mark == MARK_HELD)
		r->mark_held = true;
	else
		r->mark_finish = true;
	return 0;
}

int flightfile_read(int dir_fd, const struct keyring *ring, const char *name, struct flightfile *f, bool *locked)
{
	struct gen g;
	struct model *r;

	(void)ring;
	(void)dir_fd;
	if (gen_parse(name, strlen(name), &g))
		sim_fail("flightfile_read of %s", name);
	r = known(&g);
	if (!r->file)
		return SC_ENOENT;
	*locked = run_is_locked(r);
	if (r->torn)
		return SC_ECORRUPT;
	*f = (struct flightfile){.gen = r->gen};
	strcpy(f->bucket, "default");
	f->key_len = strlen(r->key->name);
	memcpy(f->key, r->key->name, f->key_len);
	f->order = r->order;
	f->ttl_ms = r->ttl_ms;
	f->stale_ms = r->stale_ms;
	f->keep_ms = r->keep_ms;
	f->renewal = r->renewal;
	f->created_wall_ms = r->created_wall_ms;
	f->doomed = r->mark_doomed;
	f->finish = r->mark_finish;
	f->lease = r->lease;
	f->held = r->mark_held;
	return 0;
}

bool flightfile_is_locked(int dir_fd, const struct gen *g)
{
	struct model *r = known(g);

	(void)dir_fd;
	return r->file && run_is_locked(r);
}

void flight_file_goes(struct model *r)
{
	if (r->file)
		trace("run %u: its file is removed", r->number);
	r->file = false;
}

int flightfile_unlink(int dir_fd, const struct gen *g)
{
	(void)dir_fd;
	daemon_point();
	flight_file_goes(known(g));
	return 0;
}

int flightfile_scan(int dir_fd, void (*each)(void *arg, const char *name), void *arg)
{
	unsigned n = world.nruns, first = (unsigned)rnd(n);
	char name[SC_GEN_HEX];

	(void)dir_fd;
	for (unsigned i = 0; i < n; i++) {
		struct model *r = world.runs[(first + i) % n];

		if (!r->file)
			continue;
		gen_format(&r->gen, name);
		life.found |= !r->torn && !r->lease && !(r->key->has_row && r->key->row_run == r);
		each(arg, name);
	}
	return 0;
}

/* ---- objects/ ---- */

int object_create(int dir_fd, const struct gen *g, enum stream s, int *fd)
{
	struct model *r = known(g);
	struct desc *d;

	(void)dir_fd;
	if (mishap(5))
		return refused(ENOSPC);
	daemon_point();
	if (r->object[s])
		return SC_EBUSY;
	r->object[s] = true;
	d = desc_new(DESC_OBJECT, r);
	d->stream = s;
	d->writable = true;
	*fd = fd_install(d);
	return 0;
}

int object_open(int dir_fd, const struct gen *g, enum stream s, int *fd, uint64_t *size)
{
	struct model *r = known(g);
	struct desc *d;

	(void)dir_fd;
	*fd = -1;
	if (mishap(3))
		return refused(EMFILE);
	if (!r->object[s])
		return SC_ENOENT;
	d = desc_new(DESC_OBJECT, r);
	d->stream = s;
	*fd = fd_install(d);
	*size = r->len[s];
	return 0;
}

int object_is_linked(int fd)
{
	(void)fd;
	return false;
}

int object_same(int fd_a, int fd_b)
{
	struct desc *a = fd_look(fd_a, DESC_OBJECT), *b = fd_look(fd_b, DESC_OBJECT);

	return a->run == b->run && a->stream == b->stream ? 0 : SC_ECORRUPT;
}

int object_unlink(int dir_fd, const struct gen *g)
{
	struct model *r = known(g);

	(void)dir_fd;
	check_unlink(r);
	r->object[STREAM_OUT] = r->object[STREAM_ERR] = false;
	return 0;
}

/* ---- pages ---- */

struct page {
	struct model *run;
	int fd;
};

static struct page *page_new(struct model *r, int fd)
{
	struct page *p = malloc(sizeof *p);

	*p = (struct page){r, fd};
	return p;
}

int page_create(struct page **p, const struct gen *g, const uint8_t key_hash[16], uint64_t order, uint64_t window)
{
	struct model *r = known(g);

	(void)key_hash, (void)order;
	r->window = window;
	if (mishap(5))
		return refused(EMFILE);
	*p = page_new(r, fd_install(desc_new(DESC_PAGE, r)));
	return 0;
}

int page_map(struct page **p, int fd, const struct gen *g)
{
	struct model *r = fd_look(fd, DESC_PAGE)->run;

	if (mishap(5) || !gen_equal(&r->gen, g)) {
		struct desc *d = fd_take(fd);

		desc_drop(&d);
		return SC_ECORRUPT;
	}
	*p = page_new(r, fd);
	return 0;
}

void page_free(struct page *p)
{
	struct desc *d;

	if (!p)
		return;
	d = fd_take(p->fd);
	desc_drop(&d);
	free(p);
}

int page_fd(const struct page *p)
{
	return p->fd;
}

void page_poke(struct page *p)
{
	p->run->word++;
	page_wake(p->run);
}

void page_poke_writer(struct page *p)
{
	(void)p; /* the fake writer sleeps on nothing but its connection */
}

void page_wake(struct model *r)
{
	client_woken(r);
}

bool page_end(struct page *p, enum page_state state, uint32_t exit, uint32_t signal)
{
	daemon_point();
	check_page_end(p->run, state, true);
	if (p->run->state == PAGE_RUNNING) {
		trace("daemon: page of run %u: %d", p->run->number, (int)state);
		p->run->state = state;
		p->run->exit = exit;
		p->run->signal = signal;
	}
	page_poke(p);
	return true;
}

void page_view(const struct page *p, struct page_view *v)
{
	*v = (struct page_view){.word = p->run->word,
				.state = p->run->state,
				.out_len = p->run->out_len,
				.err_len = p->run->err_len,
				.out_spill = SC_FOREVER,
				.err_spill = SC_FOREVER};
}

bool page_span(const struct page *p, uint64_t *slowest, uint64_t *fastest)
{
	*slowest = *fastest = p->run->out_len + p->run->err_len;
	return p->run->slots;
}

void page_tell_command(struct page *p, pid_t pid)
{
	(void)p, (void)pid;
}

void page_set_limit(struct page *p, uint64_t bytes, int error)
{
	(void)p, (void)bytes, (void)error; /* what is too large is a fault like a full disk */
}

int page_unkept(const struct page *p)
{
	return p->run->spilled;
}

void page_set_unkept(struct page *p, int error)
{
	(void)p, (void)error;
}

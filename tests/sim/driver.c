/* The random driver. Each scenario draws how many keys there are, how late things happen, and how likely each kind of event is, so
 * that scenarios differ in kind and not only in detail. */
#include "tests/sim/driver.h"

#include <string.h>

#include "lib/err.h"
#include "tests/sim/check.h"

/* Everything a scenario leaves comes to its end within this. */
#define REST_MS (200 * 1000)
/* Runs inside of runs. */
#define DEPTH 4

enum action {
	JOIN,
	CLIENT_KILL,
	CLIENT_SIGNAL,
	PUT_SIGNAL,
	STDOUT_CLOSED,
	STDOUT_FULL,
	WRITER_KILL,
	COMMAND_KILL,
	DAEMON_KILL,
	DAEMON_KILL_INSIDE,
	DAEMON_QUIT,
	REMOVE,
	LISTING,
	STOP_DAEMON,
	PAUSE,
	PAUSE_DAEMON,
	LOSE_INDEX,
	LOSE_OBJECT,
	ROGUE,
	LULL,
	HOLD,
	HOLDER_KILL,
	NOTHING,
	ACTIONS,
};

static const unsigned usual[ACTIONS] = {
	[JOIN] = 40,	     [CLIENT_KILL] = 3,
	[CLIENT_SIGNAL] = 4, [STDOUT_CLOSED] = 3,
	[STDOUT_FULL] = 1,   [WRITER_KILL] = 4,
	[COMMAND_KILL] = 2,  [DAEMON_KILL] = 2,
	[DAEMON_QUIT] = 1,   [REMOVE] = 5,
	[LISTING] = 1,	     [STOP_DAEMON] = 1,
	[PAUSE] = 3,	     [DAEMON_KILL_INSIDE] = 4,
	[LOSE_INDEX] = 1,    [LOSE_OBJECT] = 1,
	[PAUSE_DAEMON] = 1,  [NOTHING] = 20,
	[ROGUE] = 1,	     [PUT_SIGNAL] = 2,
	[LULL] = 1,	     [HOLD] = 4,
	[HOLDER_KILL] = 3,
};

struct driver {
	unsigned weights[ACTIONS], sum;
	unsigned refresh, finish, command, zero, brief, stale, crowd, put, detached, foreground, nest;
	unsigned people_max;
	uint64_t gap;
};

static struct driver drv;

static struct key_model *some_key(void)
{
	return &world.keys[rnd(world.nkeys)];
}

static struct client *some_client(void)
{
	struct client *c = nclients ? clients[rnd(nclients)] : NULL;

	return c && c->proc.alive ? c : NULL;
}

static struct writer *some_writer(void)
{
	struct writer *w = nwriters ? writers[nwriters - 1 - rnd(nwriters < 4 ? nwriters : 4)] : NULL;

	return w && w->proc.alive ? w : NULL;
}

static void choose_ttl(struct client *c)
{
	if (chance(drv.zero)) {
		c->ttl = c->accept = 0;
		if (drv.stale && chance(50))
			c->accept = SC_FOREVER;
	} else if (chance(drv.brief)) {
		c->ttl = c->accept = 1 + rnd(300);
		if (chance(30))
			c->accept = SC_FOREVER; /* SC_TTL says only what is stored */
	} else if (chance(10)) {
		c->ttl = c->accept = SC_FOREVER;
	}
	if (drv.stale && c->command && chance(drv.stale))
		c->stale = chance(50) ? SC_FOREVER : 1 + rnd(3000);
}

static void choose_kind(struct client *c)
{
	c->put = chance(drv.put);
	c->if_absent = c->put && chance(40);
	c->detached = c->put || chance(drv.detached);
	c->command |= c->detached;
	c->refresh = c->command && !c->put && chance(drv.refresh);
	c->finish = c->command && !c->put && (c->detached || chance(drv.finish));
	c->foreground = !c->detached && chance(drv.foreground);
}

static void join_one(struct key_model *k)
{
	struct client *c = client_new(GET, k);

	c->command = chance(drv.command);
	choose_kind(c);
	c->strict = chance(10);
	choose_ttl(c);
	if (!c->command) {
		c->finished = chance(20);
		c->wait = !c->finished && chance(60);
		if (c->wait && chance(50))
			c->wait_ms = 1 + rnd(3000);
	} else if (chance(5)) {
		c->wait_ms = 1 + rnd(3000);
	}
	/* Of a run that does not wait for it: what a process that has left it still has in its environment. */
	if (nwriters && chance(5))
		c->chain[c->nchain++] = writers[rnd(nwriters)]->run->gen;
	client_start(c);
}

struct client *driver_client_inside(struct model *r)
{
	struct client *c;
	bool known = sim.chains || chance(75); /* by the environment */

	if (sim.resting || nclients >= CLIENTS_MAX - 8 || r->nchain > DEPTH || !chance(drv.nest))
		return NULL;
	c = client_new(GET, some_key());
	c->command = true;
	c->strict = chance(10);
	choose_kind(c);
	choose_ttl(c);
	c->inside = r;
	if (known || !r->session || r->foreground || r->disowned) {
		memcpy(c->chain, r->chain, sizeof c->chain);
		c->nchain = r->nchain;
	}
	if (c->nchain == 0 || chance(85))
		c->proc.session = r->session;
	return c;
}

static unsigned alive(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < nclients; i++)
		n += clients[i]->proc.alive;
	return n;
}

static void join(void)
{
	struct key_model *k = some_key();
	unsigned n = chance(drv.crowd) ? 1 + (unsigned)rnd(drv.people_max) : 1;

	for (n += alive(); n > alive() && alive() < drv.people_max && nclients < CLIENTS_MAX - 8;)
		join_one(k);
}

static void errand(enum errand e)
{
	struct client *c;

	if (nclients >= CLIENTS_MAX - 8)
		return;
	c = client_new(e, some_key());
	c->now = chance(50);
	client_start(c);
}

/* Never shorter than it was: what is put off till then is put off. */
static void pause_until(struct proc *p, uint64_t until)
{
	if (until > p->paused_until)
		p->paused_until = until;
}

static void pause_somebody(void)
{
	uint64_t until = sim.now + (chance(70) ? rnd(200) : rnd(8000));
	struct client *c = some_client();
	struct holder *h = nholders ? holders[rnd(nholders)] : NULL;
	struct writer *w = some_writer();

	sim.paused = true;
	if (h && h->proc.alive && chance(30))
		pause_until(&h->proc, until);
	else if (w && chance(50))
		pause_until(&w->proc, until);
	else if (c)
		pause_until(&c->proc, until);
}

static void disturb_client(enum action a)
{
	struct client *c = some_client();

	if (!c)
		return;
	if (a == CLIENT_KILL)
		client_kill(c);
	else if (a == CLIENT_SIGNAL)
		client_signal(c, chance(50) ? 2 : 15);
	else if (a == STDOUT_CLOSED)
		c->stdout_closed = true;
	else
		c->stdout_full = true;
	client_poll(c);
}

static void disturb_writer(enum action a)
{
	struct writer *w = some_writer();

	if (!w)
		return;
	if (a == WRITER_KILL)
		writer_kill(w);
	else if (a == ROGUE)
		rogue_writer(w);
	else if (a == PUT_SIGNAL)
		command_cancel(w);
	else
		command_kill(w->run, 9);
}

static void disturb_holder(void)
{
	if (nholders)
		holder_kill(holders[rnd(nholders)]);
}

static void lose_object(void)
{
	struct key_model *k = some_key();

	if (!k->has_row || run_is_locked(k->row_run) || check_is_known(k->row_run))
		return;
	trace("the object of run %u is deleted", k->row_run->number);
	k->row_run->object[0] = false;
	world.orphans = true;
}

static void pass(uint64_t ms)
{
	uint64_t until = sim.now + ms;

	while (sim_next() <= until && sim_step())
		;
	if (sim.now < until)
		sim.now = until;
}

static void act(enum action a)
{
	switch (a) {
	case JOIN:
		join();
		break;
	case CLIENT_KILL:
	case CLIENT_SIGNAL:
	case STDOUT_CLOSED:
	case STDOUT_FULL:
		disturb_client(a);
		break;
	case WRITER_KILL:
	case COMMAND_KILL:
	case PUT_SIGNAL:
		disturb_writer(a);
		break;
	case DAEMON_KILL:
		daemon_kill();
		break;
	case DAEMON_KILL_INSIDE:
		if (life.proc.alive || life.start.pos)
			life.die_in = 1 + (unsigned)rnd(30);
		break;
	case DAEMON_QUIT:
		daemon_quit();
		break;
	case REMOVE:
		errand(RM);
		break;
	case LISTING:
		errand(LIST);
		break;
	case STOP_DAEMON:
		errand(STOP);
		break;
	case PAUSE:
		pause_somebody();
		break;
	case PAUSE_DAEMON:
		life.paused = sim.paused = true;
		life.proc.paused_until = sim.now + rnd(1000);
		break;
	case LOSE_INDEX:
		index_lose();
		break;
	case LOSE_OBJECT:
		lose_object();
		break;
	case ROGUE:
		if (chance(70))
			rogue_start();
		else
			disturb_writer(a);
		break;
	case LULL:
		pass(rnd(2 * SC_UNKEPT_MS));
		break;
	case HOLD:
		holder_start(some_key());
		break;
	case HOLDER_KILL:
		disturb_holder();
		break;
	case NOTHING:
	case ACTIONS:
		break;
	}
}

static enum action some_action(void)
{
	uint64_t n = rnd(drv.sum);
	unsigned a = 0;

	for (; n >= drv.weights[a]; a++)
		n -= drv.weights[a];
	return (enum action)a;
}

static void draw_lateness(void)
{
	static const struct {
		unsigned quick, late, percent;
	} kinds[] = {{0, 0, 0}, {2, 0, 0}, {20, 0, 0}, {3, 300, 5}, {3, 1500, 4}, {20, 5000, 3}};
	static const unsigned deaths[] = {0, 0, 3, 40, 300};
	size_t i = rnd(sizeof kinds / sizeof *kinds);

	sim.quick_ms = kinds[i].quick;
	sim.late_ms = kinds[i].late;
	sim.late_percent = kinds[i].percent;
	sim.lost_wakes = chance(30) ? 30 : 0;
	sim.faults = chance(25);
	sim.death_ms = deaths[rnd(sizeof deaths / sizeof *deaths)];
	sim.zombie_percent = chance(40) ? (unsigned)rnd(80) : 0;
	sim.old_kernel = chance(10);
	sim.chains = chance(50);
	sim.full_permille = chance(40) ? 1 + (unsigned)rnd(200) : 0;
	sim.deaf_permille = chance(25) ? (unsigned)rnd(60) : 0;
}

static void draw(void)
{
	static const unsigned gaps[] = {2, 20, 200, 1500};

	memset(&drv, 0, sizeof drv);
	for (unsigned a = 0; a < ACTIONS; a++) {
		unsigned times = (unsigned)rnd(4);

		drv.weights[a] = a == JOIN ? usual[a] : usual[a] * (times == 3 ? 5 : times == 2);
		drv.sum += drv.weights[a];
	}
	drv.gap = gaps[rnd(4)];
	drv.people_max = 1 + (unsigned)rnd(8);
	drv.refresh = chance(50) ? (unsigned)rnd(60) : 0;
	drv.finish = chance(50) ? (unsigned)rnd(40) : 0;
	drv.command = 60 + (unsigned)rnd(41);
	drv.zero = chance(30) ? (unsigned)rnd(60) : 0;
	drv.brief = chance(40) ? (unsigned)rnd(80) : 0;
	drv.crowd = (unsigned)rnd(40);
	drv.put = chance(30) ? (unsigned)rnd(30) : 0;
	drv.detached = chance(30) ? (unsigned)rnd(30) : 0;
	drv.foreground = chance(30) ? (unsigned)rnd(60) : 0;
	drv.nest = chance(40) ? (unsigned)rnd(60) : 0;
	draw_lateness();
}

static void rest(void)
{
	uint64_t until = sim.now + REST_MS;

	trace("---- rest ----");
	sim.resting = true;
	daemon_want();
	while (sim.now < until && sim_step())
		;
	check_rest();
	for (unsigned i = 0; i < nclients; i++)
		client_kill(clients[i]);
	life.die_in = 0;
	daemon_want();
	while (sim.now < until && sim_step())
		;
	check_empty();
	daemon_quit();
}

void driver_run(uint64_t seed)
{
	unsigned n;

	daemon_begin(); /* first: what the last scenario has left is not this one's memory */
	sim_begin(seed);
	nclients = nwriters = nholders = 0;
	draw();
	/* Nothing is drawn for it: the seeds that once found something mean what they meant. */
	drv.stale = seed % 2 ? 0 : (unsigned)(seed / 2 % 100);
	world_begin(1 + (chance(30) ? (unsigned)rnd(KEYS_MAX) : 0));
	n = 5 + (unsigned)rnd(40);
	join();
	for (unsigned i = 0; i < n; i++) {
		pass(rnd(drv.gap + 1));
		act(some_action());
	}
	rest();
}

/* daemon/trust: what was found bad is given to nobody as long as its row stands, and is forgotten when that has gone, by whatever way. The
 * index is one row of the test's own, and answers when the test says so. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "daemon/conn.h"
#include "daemon/daemon.h"
#include "daemon/hot.h"
#include "daemon/index.h"
#include "daemon/trust.h"
#include "lib/err.h"
#include "lib/lockfile.h"

/* ---- the index ---- */

static struct entry row; /* id 0: there is none */
static index_done asked; /* a removal that is to be answered */
static void *asked_arg;
static unsigned removals;
static unsigned cooled; /* how often memory was told to let go of it */

int index_find_gen(struct index *ix, struct bytes bucket, struct bytes key, const struct gen *g, struct entry *out)
{
	(void)ix, (void)bucket, (void)key;
	*out = row;
	return row.id && gen_equal(&row.gen, g) ? 0 : SC_ENOENT;
}

int index_next(struct index *ix, int64_t id, struct entry *out)
{
	(void)ix;
	*out = row;
	return row.id > id ? 0 : SC_ENOENT;
}

void hot_drop(struct daemon *daemon, struct bytes bucket, struct bytes key, bool failed, const struct gen *g)
{
	(void)daemon, (void)bucket, (void)key, (void)failed;
	assert_true(gen_equal(g, &row.gen));
	cooled++;
}

int index_drop(struct index *ix, const struct entry *e, index_done done, void *arg)
{
	(void)ix;
	assert_null(asked);
	assert_true(gen_equal(&e->gen, &row.gen));
	asked = done;
	asked_arg = arg;
	removals++;
	return 0;
}

int index_prove(struct index *ix, const struct entry *e, index_done done, void *arg)
{
	(void)ix, (void)e, (void)done, (void)arg;
	fail();
	return 0;
}

int index_doubt(struct index *ix, index_done done, void *arg)
{
	(void)ix, (void)done, (void)arg;
	fail();
	return 0;
}

static void answer(int status)
{
	index_done done = asked;

	assert_non_null(done);
	asked = NULL;
	if (!status)
		row.id = 0;
	errno = ENOSPC;
	done(asked_arg, status, !status);
}

/* ---- */

static struct lockfile lock = {.fd = -1};

/* A row that was found bad and could not be removed. */
static void begin(struct daemon *d)
{
	struct conn c = {.d = d};
	struct msg bad = {.type = MSG_PROVED, .flags = PROVED_BAD};

	memset(d, 0, sizeof *d);
	d->lock = &lock;
	asked = NULL;
	removals = cooled = 0;
	row = (struct entry){.id = 7, .gen = {{1}}, .order = 3, .key = "k", .key_len = 1, .bucket = "default"};
	bad.gen = row.gen;
	trust_proved(&c, &bad);
	assert_true(trust_is_bad(d, &row.gen));
	trust_look(d); /* its removal is under way: not asked for twice */
	answer(SC_ESYS);
	assert_true(trust_is_bad(d, &row.gen));
	assert_int_equal(removals, 1);
	assert_int_equal(cooled, 1);
}

static void end(struct daemon *d, const struct gen *g)
{
	assert_false(trust_is_bad(d, g));
	assert_null(d->distrusted);
	assert_int_equal(d->ndistrusted, 0);
}

static void a_removal_that_has_failed_is_tried_again(void **state)
{
	struct gen g = {{1}};
	struct daemon d;

	(void)state;
	begin(&d);
	trust_look(&d);
	answer(SC_ESYS);
	assert_true(trust_is_bad(&d, &g));
	trust_look(&d);
	answer(0);
	assert_int_equal(removals, 3);
	end(&d, &g);
}

static void what_has_gone_by_another_way_is_forgotten(void **state)
{
	static const struct entry instead[] = {{.id = 0}, {.id = 7, .gen = {{2}}}, {.id = 9, .gen = {{3}}}};
	struct gen g = {{1}};
	struct daemon d;

	(void)state;
	for (size_t i = 0; i < COUNT(instead); i++) {
		begin(&d);
		row = instead[i];
		trust_look(&d);
		assert_null(asked);
		end(&d, &g);
	}
}

static void what_is_left_goes_with_the_daemon(void **state)
{
	struct daemon d;

	(void)state;
	begin(&d);
	trust_close(&d);
	assert_null(d.distrusted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_removal_that_has_failed_is_tried_again),
		cmocka_unit_test(what_has_gone_by_another_way_is_forgotten),
		cmocka_unit_test(what_is_left_goes_with_the_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

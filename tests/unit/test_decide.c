/* What an ASK is answered with, held against DESIGN's table of freshness and its rows about refresh, removal, nesting and runs that
 * are being stopped: first as a list of rules, each with the sentence it comes from, tried on every combination of what can be
 * known; then as what must never happen, whatever is asked. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/decide.h"
#include "lib/limits.h"

/* ---- every combination ---- */

enum entry_case {
	NO_ENTRY,
	FRESH,
	STALE_BY_ITS_TTL,
	STALE_BY_MY_TTL,
	FRESH_BUT_I_TAKE_NONE,
	STALE_BUT_I_TAKE_NONE,
	GRACE_AFTER_ITS_TTL,
	GRACE_AFTER_MY_TTL,
	ITS_GRACE_IS_OVER,
	MY_GRACE_IS_OVER,
	ENTRY_CASES
};

enum failure_case {
	NO_FAILURE,
	FAILURE,
	FAILURE_NOT_FOR_ME,
	FAILURE_IS_OVER,
	FAILURE_TOO_OLD_BY_KEEP,
	FAILURE_OLD,
	FAILURE_CASES
};

struct facts {
	enum entry_case entry;
	enum failure_case failure;
	enum run run;
	bool newer;	 /* the run began after the question */
	unsigned others; /* runs of the key that nobody joins any more */
	bool command, refresh, finished, wait, nested;
	bool unkept, quiet;
	bool renew; /* the second question, of who was given a stale entry */
};

#define HOUR (60 * 60 * 1000ULL)

static void build(const struct facts *f, struct question *q, struct known *k)
{
	static const struct {
		uint64_t age, ttl, accept, its_grace, my_grace;
	} ages[] = {
		[NO_ENTRY] = {0, 0, SC_FOREVER, 0, SC_FOREVER},
		[FRESH] = {HOUR / 2, HOUR, SC_FOREVER, 0, 0},
		[STALE_BY_ITS_TTL] = {2 * HOUR, HOUR, SC_FOREVER, 0, 0},
		[STALE_BY_MY_TTL] = {HOUR / 2, HOUR, HOUR / 4, 0, 0},
		[FRESH_BUT_I_TAKE_NONE] = {0, HOUR, 0, 0, 0},
		[STALE_BUT_I_TAKE_NONE] = {2 * HOUR, HOUR, 0, SC_FOREVER, SC_FOREVER},
		[GRACE_AFTER_ITS_TTL] = {3 * HOUR, HOUR, SC_FOREVER, 2 * HOUR, SC_FOREVER},
		[GRACE_AFTER_MY_TTL] = {HOUR / 2, HOUR, HOUR / 4, SC_FOREVER, HOUR / 4},
		[ITS_GRACE_IS_OVER] = {3 * HOUR, HOUR, SC_FOREVER, 2 * HOUR - 1, SC_FOREVER},
		[MY_GRACE_IS_OVER] = {3 * HOUR, HOUR, SC_FOREVER, SC_FOREVER, 2 * HOUR - 1},
	};
	static const struct {
		bool there;
		uint64_t age, ttl, keep;
	} failures[] = {
		[NO_FAILURE] = {false, 0, 0, SC_FOREVER},
		[FAILURE] = {true, HOUR / 4, HOUR / 4, HOUR / 4},
		[FAILURE_NOT_FOR_ME] = {true, 0, HOUR, 0},
		[FAILURE_IS_OVER] = {true, HOUR / 4, HOUR / 4 - 1, SC_FOREVER},
		[FAILURE_TOO_OLD_BY_KEEP] = {true, HOUR / 4, HOUR, HOUR / 4 - 1},
		[FAILURE_OLD] = {true, 50 * HOUR, SC_FOREVER, SC_FOREVER},
	};

	*q = (struct question){.has_command = f->command,
			       .refresh = f->refresh,
			       .finished = f->finished,
			       .wait = f->wait,
			       .order = 100,
			       .accept_ms = ages[f->entry].accept,
			       .stale_ms = ages[f->entry].my_grace,
			       .keep_ms = failures[f->failure].keep,
			       .renew = f->renew};
	*k = (struct known){.has_entry = f->entry != NO_ENTRY,
			    .age_ms = ages[f->entry].age,
			    .ttl_ms = ages[f->entry].ttl,
			    .stale_ms = ages[f->entry].its_grace,
			    .has_failure = failures[f->failure].there,
			    .failure_age_ms = failures[f->failure].age,
			    .failure_ttl_ms = failures[f->failure].ttl,
			    .quiet = f->quiet,
			    .run = f->run,
			    .run_order = f->run == RUN_NONE ? 0
					 : f->newer	    ? 101
							    : 100,
			    .runs = f->others + (f->run != RUN_NONE),
			    .nested = f->nested,
			    .unkept = f->unkept ? ENOSPC : 0};
}

typedef void (*check)(const struct facts *f, const struct question *q, const struct known *k, struct verdict v);

static unsigned wrong;

static const char *name_of(enum verdict_kind kind)
{
	static const char *const names[] = {
		[VERDICT_HIT] = "hit",	     [VERDICT_STALE] = "stale",	  [VERDICT_FAILURE] = "failure",
		[VERDICT_FOLLOW] = "follow", [VERDICT_LEAD] = "lead",	  [VERDICT_WAIT] = "wait",
		[VERDICT_MISS] = "miss",     [VERDICT_NESTED] = "nested", [VERDICT_ALONE] = "alone",
		[VERDICT_EXISTS] = "exists", [VERDICT_HELD] = "held",	  [VERDICT_VALUE] = "value",
		[VERDICT_HOLD] = "hold"};

	return names[kind];
}

static void complain(const struct facts *f, struct verdict v, const char *says)
{
	static const char *const entries[] = {
		"none",		  "fresh",	  "stale by its TTL",	       "stale by -t",
		"fresh, -t 0",	  "stale, -t 0",  "in both graces by its TTL", "in both graces by -t",
		"past its grace", "past my grace"};
	static const char *const failures[] = {"none", "good", "there, but not for me", "over", "older than my keep", "old"};
	static const char *const runs[] = {"none", "awaited", "going", "stopping"};

	if (++wrong <= 12)
		print_error("entry %s, failure %s, run %s%s, %u other runs,%s%s%s%s%s%s%s%s: %s%s (reason %d), but: %s\n",
			    entries[f->entry], failures[f->failure], runs[f->run], f->newer ? " (newer than the question)" : "",
			    f->others, f->command ? " command" : "", f->refresh ? " refresh" : "",
			    f->finished ? " finished-only" : "", f->wait ? " wait" : "", f->nested ? " nested" : "",
			    f->unkept ? " unkept" : "", f->quiet ? " quiet" : "", f->renew ? " renewing" : "", name_of(v.kind),
			    v.renew ? " and renew" : "", (int)v.reason, says);
}

static void check_one(const struct facts *f, check each)
{
	struct question q;
	struct known k;

	/* Nobody runs inside a run that is not there; one that is not there is not newer than anything. */
	if (f->run == RUN_NONE && (f->nested || f->newer))
		return;
	build(f, &q, &k);
	each(f, &q, &k, decide(&q, &k));
}

static void check_all(check each)
{
	wrong = 0;
	for (unsigned e = 0; e < ENTRY_CASES; e++)
		for (unsigned failure = 0; failure < FAILURE_CASES; failure++)
			for (unsigned run = RUN_NONE; run <= RUN_STOPPING; run++)
				for (unsigned n = 0; n < 3 * 512; n++) {
					const struct facts f = {.entry = e,
								.failure = failure,
								.run = run,
								.others = n / 512,
								.newer = n & 1,
								.command = n & 2,
								.refresh = n & 4,
								.finished = n & 8,
								.wait = n & 16,
								.nested = n & 32,
								.unkept = n & 64,
								.quiet = n & 128,
								.renew = n & 256};

					check_one(&f, each);
				}
	if (wrong)
		fail_msg("%u combinations", wrong);
}

/* ---- the rules ---- */

#define BIT(n) (1U << (n))
#define ANY_RUN (BIT(RUN_NONE) | A_RUN)
#define A_RUN (BIT(RUN_AWAITED) | BIT(RUN_GOING) | BIT(RUN_STOPPING))
enum { NO = 1, YES = 2, ANY = 3 };
/* How good the entry is: none that I take, or in which time. */
enum { OLD = 1, FINE = 2, GRACE = 4, ANY_ENTRY = 7 };

/* The first that fits counts. */
struct rule {
	unsigned run;
	unsigned entry, command, finished, wait, nested, newer, unkept;
	unsigned least_others;
	enum verdict_kind kind;
	enum wait_reason reason;
	const char *says;
	unsigned failure; /* that I take; 0: whether there is one or not */
};

static unsigned how_good(const struct facts *f)
{
	return f->entry == FRESH ? FINE : f->entry == GRACE_AFTER_ITS_TTL || f->entry == GRACE_AFTER_MY_TTL ? GRACE : OLD;
}

/* One that I take: what I accept of an entry I accept of a failure. */
static bool has_failure(const struct facts *f)
{
	switch (f->entry) {
	case FRESH_BUT_I_TAKE_NONE:
	case STALE_BUT_I_TAKE_NONE:
		return false;
	case STALE_BY_MY_TTL:
	case GRACE_AFTER_MY_TTL:
		return f->failure == FAILURE;
	default:
		return f->failure == FAILURE || f->failure == FAILURE_OLD;
	}
}

static bool fits(const struct rule *r, const struct facts *f)
{
	return (r->run & BIT(f->run)) && (r->entry & how_good(f)) && (r->command & BIT(f->command)) &&
	       (r->finished & BIT(f->finished)) && (r->wait & BIT(f->wait)) && (r->nested & BIT(f->nested)) &&
	       (r->newer & BIT(f->newer)) && (r->unkept & BIT(f->unkept)) && f->others >= r->least_others &&
	       (!r->failure || (r->failure & BIT(has_failure(f))));
}

static void hold_against(const struct rule *rules, size_t n, const struct facts *f, struct verdict v)
{
	size_t i = 0;

	while (i < n && !fits(&rules[i], f))
		i++;
	assert_true(i < n);
	if (v.kind != rules[i].kind || (v.kind == VERDICT_WAIT && v.reason != rules[i].reason))
		complain(f, v, rules[i].says);
}

/* Options that exclude each other: the client refuses them, so only what must never happen is asked of them, below. */
static bool is_contradictory(const struct facts *f)
{
	return f->finished && (f->command || f->wait || f->refresh);
}

/* clang-format off */
static const struct rule plain[] = {
	/* run, entry, command, finished, wait, nested, newer, unkept, others */
	{ANY_RUN, FINE, ANY, ANY, ANY, ANY, ANY, ANY, 0, VERDICT_HIT, 0,
	 "an entry no older than T is a hit, whether or not a run is going on"},
	{ANY_RUN, GRACE, ANY, ANY, ANY, ANY, ANY, ANY, 0, VERDICT_STALE, 0,
	 "T < a <= T+G: serve it at once, also while a run is going on"},
	{ANY_RUN, ANY_ENTRY, ANY, ANY, ANY, ANY, ANY, ANY, 0, VERDICT_FAILURE, 0,
	 "a kept failure is served to callers who give the option too, never instead of a good entry", YES},
	{A_RUN, ANY_ENTRY, ANY, YES, ANY, ANY, ANY, ANY, 0, VERDICT_MISS, 0,
	 "only what is finished: no run is followed or waited for"},
	{A_RUN, ANY_ENTRY, ANY, ANY, ANY, YES, ANY, ANY, 0, VERDICT_NESTED, 0,
	 "who asks inside the run bypasses: never a deadlock"},
	{BIT(RUN_AWAITED), ANY_ENTRY, ANY, ANY, ANY, ANY, ANY, ANY, 0, VERDICT_WAIT, WAIT_REGISTERING,
	 "whoever asks for the key of a living flight waits until its writer has registered"},
	{BIT(RUN_STOPPING), ANY_ENTRY, ANY, ANY, ANY, ANY, ANY, ANY, 0, VERDICT_WAIT, WAIT_STOPPING,
	 "newcomers to a run that is being stopped wait, then start a new one"},
	{BIT(RUN_GOING), ANY_ENTRY, ANY, ANY, ANY, ANY, ANY, ANY, 0, VERDICT_FOLLOW, 0,
	 "a run in progress is fresh enough for everybody but a refresher, -t 0 included"},
	{BIT(RUN_NONE), ANY_ENTRY, YES, ANY, ANY, ANY, ANY, YES, 0, VERDICT_ALONE, 0,
	 "what could not be stored a moment ago everybody runs for himself, at once"},
	{BIT(RUN_NONE), ANY_ENTRY, YES, ANY, ANY, ANY, ANY, ANY, 0, VERDICT_LEAD, 0,
	 "older or none, and a command: lead, whatever removed runs still go on"},
	{BIT(RUN_NONE), ANY_ENTRY, NO, ANY, YES, ANY, ANY, ANY, 0, VERDICT_WAIT, WAIT_ABSENT,
	 "without a command, with --wait: until the key begins to exist"},
	{BIT(RUN_NONE), ANY_ENTRY, NO, ANY, NO, ANY, ANY, ANY, 0, VERDICT_MISS, 0,
	 "without a command: 1, at once"},
};

static const struct rule refresh[] = {
	{A_RUN, ANY_ENTRY, YES, ANY, ANY, YES, ANY, ANY, 0, VERDICT_NESTED, 0,
	 "who asks inside the run bypasses: never a deadlock"},
	{BIT(RUN_GOING), ANY_ENTRY, YES, ANY, ANY, ANY, YES, ANY, 0, VERDICT_FOLLOW, 0,
	 "a run begun after the question is what a refresher wants: it is shared"},
	{BIT(RUN_AWAITED), ANY_ENTRY, YES, ANY, ANY, ANY, YES, ANY, 0, VERDICT_WAIT, WAIT_REGISTERING,
	 "whoever asks for the key of a living flight waits until its writer has registered"},
	{BIT(RUN_STOPPING), ANY_ENTRY, YES, ANY, ANY, ANY, YES, ANY, 0, VERDICT_WAIT, WAIT_STOPPING,
	 "newcomers to a run that is being stopped wait, then start a new one"},
	{ANY_RUN, ANY_ENTRY, YES, ANY, ANY, ANY, ANY, YES, 0, VERDICT_ALONE, 0,
	 "what could not be stored a moment ago everybody runs for himself, and waits for no other run to end"},
	{ANY_RUN, ANY_ENTRY, YES, ANY, ANY, ANY, ANY, ANY, 2, VERDICT_WAIT, WAIT_REFRESHING,
	 "never more than two runs of a key"},
	{A_RUN, ANY_ENTRY, YES, ANY, ANY, ANY, NO, ANY, 1, VERDICT_WAIT, WAIT_REFRESHING,
	 "further refreshers wait, and share the next"},
	{ANY_RUN, ANY_ENTRY, YES, ANY, ANY, ANY, ANY, ANY, 0, VERDICT_LEAD, 0,
	 "--refresh leads a new generation: no entry is good enough, a run from before the question neither"},
};

static const struct rule refresh_without_command[] = {
	{A_RUN, ANY_ENTRY, NO, ANY, ANY, YES, ANY, ANY, 0, VERDICT_NESTED, 0,
	 "who asks inside the run bypasses: never a deadlock"},
	{BIT(RUN_GOING), ANY_ENTRY, NO, ANY, ANY, ANY, YES, ANY, 0, VERDICT_FOLLOW, 0,
	 "a run begun after the question is what a refresher wants: it is shared"},
	{BIT(RUN_AWAITED), ANY_ENTRY, NO, ANY, ANY, ANY, YES, ANY, 0, VERDICT_WAIT, WAIT_REGISTERING,
	 "whoever asks for the key of a living flight waits until its writer has registered"},
	{BIT(RUN_STOPPING), ANY_ENTRY, NO, ANY, ANY, ANY, YES, ANY, 0, VERDICT_WAIT, WAIT_STOPPING,
	 "newcomers to a run that is being stopped wait"},
	{ANY_RUN, ANY_ENTRY, NO, ANY, YES, ANY, ANY, ANY, 0, VERDICT_WAIT, WAIT_ABSENT,
	 "only a run begun after the question will do, and there is none: wait for it"},
	{ANY_RUN, ANY_ENTRY, NO, ANY, NO, ANY, ANY, ANY, 0, VERDICT_MISS, 0,
	 "only a run begun after the question will do, and there is none: 1"},
};
/* clang-format on */

static void check_plain(const struct facts *f, const struct question *q, const struct known *k, struct verdict v)
{
	(void)q;
	(void)k;
	if (!f->refresh && !f->renew && !is_contradictory(f))
		hold_against(plain, COUNT(plain), f, v);
}

static void check_refresh(const struct facts *f, const struct question *q, const struct known *k, struct verdict v)
{
	(void)q;
	(void)k;
	if (f->refresh && f->command && !f->renew && !is_contradictory(f))
		hold_against(refresh, COUNT(refresh), f, v);
}

static void check_refresh_without_command(const struct facts *f, const struct question *q, const struct known *k,
					  struct verdict v)
{
	(void)q;
	(void)k;
	if (f->refresh && !f->command && !f->renew && !is_contradictory(f))
		hold_against(refresh_without_command, COUNT(refresh_without_command), f, v);
}

/* Why a stale entry is not renewed by this caller. NULL: it is to be. */
static const char *reason_against_renewal(const struct facts *f)
{
	if (how_good(f) != GRACE)
		return "what is fresh is not renewed, what is older is made by who wants it";
	if (!f->command)
		return "one detached renewal if there is a CMD";
	if (f->run != RUN_NONE)
		return "exactly one renewal however many ask: a run going on will do, in whatever state";
	if (f->others >= 2)
		return "never more than two runs of a key";
	if (f->quiet)
		return "if a renewal fails, no further one starts for 10 s";
	if (f->unkept)
		return "what could not be stored a moment ago renews nothing";
	if (has_failure(f))
		return "who takes a failure that is kept does not try again while it is";
	return NULL;
}

static void check_stale(const struct facts *f, const struct question *q, const struct known *k, struct verdict v)
{
	const char *against = reason_against_renewal(f);

	(void)q;
	(void)k;
	if (f->refresh || is_contradictory(f) || (f->renew && !f->command))
		return;
	if (!f->renew) {
		if (v.renew == (against != NULL))
			complain(f, v, against ? against : "T < a <= T+G, no run: start one detached renewal");
	} else if (v.kind != (against ? VERDICT_MISS : VERDICT_LEAD) || v.renew) {
		complain(f, v, against ? against : "who was told to renew leads, if nobody was faster");
	}
}

static void a_stale_entry_is_renewed_by_one_and_only_if_it_is_worth_while(void **state)
{
	(void)state;
	check_all(check_stale);
}

static void the_table_of_freshness_holds_for_every_combination(void **state)
{
	(void)state;
	check_all(check_plain);
}

static void a_refresh_starts_one_newer_run_and_shares_the_next(void **state)
{
	(void)state;
	check_all(check_refresh);
}

static void a_refresh_without_a_command_is_given_nothing_from_before_its_question(void **state)
{
	(void)state;
	check_all(check_refresh_without_command);
}

/* ---- what must never happen ---- */

static void check_never(const struct facts *f, const struct question *q, const struct known *k, struct verdict v)
{
	if (v.renew && v.kind != VERDICT_STALE)
		complain(f, v, "only what is stale is renewed");
	if (f->renew && v.kind != VERDICT_LEAD && v.kind != VERDICT_MISS && !f->refresh)
		complain(f, v, "who was served already is given nothing more, and waits for nothing");
	switch (v.kind) {
	case VERDICT_HIT:
		if (!decide_is_fresh(q, k))
			complain(f, v, "a hit is of a fresh entry");
		break;
	case VERDICT_STALE:
		if (!k->has_entry || decide_is_fresh(q, k) || q->stale_ms == 0 || k->stale_ms == 0 || q->accept_ms == 0)
			complain(f, v, "only what is too old, and only to who takes that");
		break;
	case VERDICT_FAILURE:
		if (!k->has_failure || q->keep_ms == 0 || q->accept_ms == 0)
			complain(f, v, "a kept failure is only for who asks for it");
		if (decide_is_fresh(q, k))
			complain(f, v, "a kept failure is never served instead of what is good");
		break;
	case VERDICT_FOLLOW:
		if (f->run != RUN_GOING || f->finished || f->nested)
			complain(f, v,
				 "only a run that is going on is followed, not by who wants a finished one, not from inside");
		break;
	case VERDICT_LEAD:
		if (!f->command)
			complain(f, v, "nobody without a command is told to lead");
		if (!f->refresh && f->run != RUN_NONE)
			complain(f, v, "one command, one run: nobody leads beside a run that could be joined");
		if ((f->refresh || f->renew) && k->runs >= 2)
			complain(f, v, "never more than two runs of a key");
		if (f->unkept)
			complain(f, v, "nobody leads what others would wait for and could not have");
		break;
	case VERDICT_WAIT:
		if (v.reason < WAIT_REGISTERING || v.reason > WAIT_ABSENT)
			complain(f, v, "who waits is told why");
		if (f->command && v.reason == WAIT_ABSENT)
			complain(f, v, "who can lead does not wait for somebody else to");
		if ((v.reason == WAIT_REGISTERING || v.reason == WAIT_STOPPING) && f->nested)
			complain(f, v, "who waits for a run inside of it waits for ever");
		if (v.reason == WAIT_REFRESHING && f->unkept)
			complain(f, v, "who is to run alone waits for no other run to end");
		break;
	case VERDICT_MISS:
		if (f->command && !f->finished && !f->renew)
			complain(f, v, "who has a command gets its output");
		break;
	case VERDICT_NESTED:
		if (!f->nested)
			complain(f, v, "only who runs inside a run is told so");
		break;
	case VERDICT_EXISTS:
		complain(f, v, "only who would put something else is told that there is something");
		break;
	case VERDICT_HELD:
	case VERDICT_VALUE:
	case VERDICT_HOLD:
		complain(f, v, "nobody holds it, nor wants to");
		break;
	case VERDICT_ALONE:
		if (!f->unkept)
			complain(f, v, "nothing is known against the key");
		if (!f->command)
			complain(f, v, "nobody without a command is told to run it");
		if (!f->refresh && (f->run != RUN_NONE || decide_is_fresh(q, k)))
			complain(f, v, "one command, one run: what there is is shared");
		break;
	}
}

static void whatever_is_asked_these_things_never_happen(void **state)
{
	(void)state;
	check_all(check_never);
}

/* ---- freshness ---- */

/* T = min(the entry's TTL, my -t): fresh while age ≤ T. */
static void an_entry_is_fresh_up_to_the_shorter_of_its_ttl_and_mine(void **state)
{
	static const struct {
		uint64_t age, ttl, accept;
		bool fresh;
	} rows[] = {
		{0, 1000, SC_FOREVER, true},
		{999, 1000, SC_FOREVER, true},
		{1000, 1000, SC_FOREVER, true},
		{1001, 1000, SC_FOREVER, false},
		{500, 1000, 500, true},
		{501, 1000, 500, false},
		/* Mine may be longer, and then counts for nothing. */
		{1001, 1000, 5000, false},
		{1000, 1000, 5000, true},
		/* Forever, on either side. */
		{UINT64_MAX - 1, SC_FOREVER, SC_FOREVER, true},
		{UINT64_MAX - 1, SC_FOREVER, 1000, false},
		{1000, SC_FOREVER, 1000, true},
		{UINT64_MAX, 1000, SC_FOREVER, false},
		/* -t 0 accepts no finished one, however young; one of no life is none. */
		{0, 1000, 0, false},
		{0, SC_FOREVER, 0, false},
		{0, 0, SC_FOREVER, false},
		{0, 0, 0, false},
		{0, 1, 1, true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct question q = {.accept_ms = rows[i].accept};
		struct known k = {.has_entry = true, .age_ms = rows[i].age, .ttl_ms = rows[i].ttl};

		if (decide_is_fresh(&q, &k) != rows[i].fresh)
			fail_msg("row %zu: should be %s", i, rows[i].fresh ? "fresh" : "stale");
		k.has_entry = false;
		assert_false(decide_is_fresh(&q, &k));
	}
}

/* T < age <= T + min(the entry's grace, mine), and no sum overflows. */
static void a_stale_entry_is_served_up_to_the_shorter_of_its_grace_and_mine(void **state)
{
	static const struct {
		uint64_t age, ttl, accept, its, mine;
		enum verdict_kind kind;
	} rows[] = {
		{1000, 1000, SC_FOREVER, 500, 500, VERDICT_HIT},
		{1001, 1000, SC_FOREVER, 500, 500, VERDICT_STALE},
		{1500, 1000, SC_FOREVER, 500, 900, VERDICT_STALE},
		{1501, 1000, SC_FOREVER, 500, 900, VERDICT_LEAD},
		{1500, 1000, SC_FOREVER, 900, 500, VERDICT_STALE},
		{1501, 1000, SC_FOREVER, 900, 500, VERDICT_LEAD},
		{1001, 1000, SC_FOREVER, 0, 500, VERDICT_LEAD},
		{1001, 1000, SC_FOREVER, 500, 0, VERDICT_LEAD},
		/* My -t is what it is too old for. */
		{301, 1000, 300, 500, 500, VERDICT_STALE},
		{800, 1000, 300, 500, 500, VERDICT_STALE},
		{801, 1000, 300, 500, 500, VERDICT_LEAD},
		{0, 1000, 0, SC_FOREVER, SC_FOREVER, VERDICT_LEAD},
		{0, 0, SC_FOREVER, SC_FOREVER, SC_FOREVER, VERDICT_LEAD},
		/* For ever, and as good as that. */
		{UINT64_MAX, 1000, SC_FOREVER, SC_FOREVER, SC_FOREVER, VERDICT_STALE},
		{UINT64_MAX, SC_FOREVER, SC_FOREVER, 0, 0, VERDICT_HIT},
		{UINT64_MAX, SC_FOREVER, UINT64_MAX - 1, 5, 5, VERDICT_STALE},
		{UINT64_MAX, UINT64_MAX - 9, SC_FOREVER, 8, UINT64_MAX, VERDICT_LEAD},
		{UINT64_MAX, UINT64_MAX - 9, SC_FOREVER, 9, UINT64_MAX, VERDICT_STALE},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct question q = {.has_command = true, .accept_ms = rows[i].accept, .stale_ms = rows[i].mine};
		const struct known k = {
			.has_entry = true, .age_ms = rows[i].age, .ttl_ms = rows[i].ttl, .stale_ms = rows[i].its};

		if (decide(&q, &k).kind != rows[i].kind)
			fail_msg("row %zu: %s, not %s", i, name_of(decide(&q, &k).kind), name_of(rows[i].kind));
	}
}

static void a_kept_failure_is_served_up_to_the_shortest_of_three_lives(void **state)
{
	static const struct {
		uint64_t age, ttl, accept, keep;
		enum verdict_kind kind;
	} rows[] = {
		{1000, 1000, SC_FOREVER, 1000, VERDICT_FAILURE},
		{1001, 1000, SC_FOREVER, 2000, VERDICT_LEAD},
		{1001, 2000, SC_FOREVER, 1000, VERDICT_LEAD},
		{1001, 2000, 1000, 2000, VERDICT_LEAD},
		{1001, 2000, 1001, 2000, VERDICT_FAILURE},
		{0, 1, 1, 1, VERDICT_FAILURE},
		{0, 1, 0, 1, VERDICT_LEAD},
		{0, 1, 1, 0, VERDICT_LEAD},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct question q = {.has_command = true, .accept_ms = rows[i].accept, .keep_ms = rows[i].keep};
		const struct known k = {.has_failure = true, .failure_age_ms = rows[i].age, .failure_ttl_ms = rows[i].ttl};

		if (decide(&q, &k).kind != rows[i].kind)
			fail_msg("row %zu: %s, not %s", i, name_of(decide(&q, &k).kind), name_of(rows[i].kind));
	}
}

static void what_is_fresh_does_not_depend_on_runs_or_on_what_one_can_do(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 16; bits++)
		for (unsigned run = RUN_NONE; run <= RUN_STOPPING; run++) {
			const struct question q = {
				.has_command = bits & 1, .finished = bits & 2, .wait = bits & 4, .accept_ms = 10};
			const struct known k = {.has_entry = true,
						.age_ms = 10,
						.ttl_ms = 10,
						.run = run,
						.run_order = 7,
						.runs = run != RUN_NONE,
						.nested = bits & 8};

			assert_true(decide_is_fresh(&q, &k));
			assert_int_equal(decide(&q, &k).kind, VERDICT_HIT);
		}
}

/* ---- stories ---- */

/* The question keeps the order it was asked at: asked again when something has changed, it finds what began meanwhile newer. */
static void a_refresher_that_waited_shares_the_run_that_began_meanwhile(void **state)
{
	const struct question first = {.has_command = true, .refresh = true, .order = 7, .accept_ms = SC_FOREVER};
	const struct question second = {.has_command = true, .refresh = true, .order = 8, .accept_ms = SC_FOREVER};
	struct known k = {.run = RUN_GOING, .run_order = 7, .runs = 1};

	(void)state;
	/* Run 7 goes on. One asks to refresh: run 8 begins beside it. */
	assert_int_equal(decide(&first, &k).kind, VERDICT_LEAD);
	k = (struct known){.run = RUN_GOING, .run_order = 8, .runs = 2};
	/* Another asks after that: both are from before its question, and two are enough. */
	assert_int_equal(decide(&second, &k).kind, VERDICT_WAIT);
	/* Both end, somebody begins run 9: shared. */
	k = (struct known){.run = RUN_GOING, .run_order = 9, .runs = 1};
	assert_int_equal(decide(&second, &k).kind, VERDICT_FOLLOW);
	/* Who asked at the same time as the first, and is asked again when run 8 is there, shares that one. */
	k = (struct known){.run = RUN_GOING, .run_order = 8, .runs = 2};
	assert_int_equal(decide(&first, &k).kind, VERDICT_FOLLOW);
}

static void a_waiter_leads_when_the_run_it_waited_for_left_nothing(void **state)
{
	const struct question q = {.has_command = true, .accept_ms = SC_FOREVER};
	struct known k = {.run = RUN_STOPPING, .run_order = 1, .runs = 1};

	(void)state;
	assert_int_equal(decide(&q, &k).kind, VERDICT_WAIT);
	k = (struct known){.run = RUN_NONE};
	assert_int_equal(decide(&q, &k).kind, VERDICT_LEAD);
	/* A run nobody registered for is doomed: known, but not to be joined. */
	k = (struct known){.run = RUN_AWAITED, .run_order = 1, .runs = 1};
	assert_int_equal(decide(&q, &k).kind, VERDICT_WAIT);
	k = (struct known){.run = RUN_NONE, .runs = 1};
	assert_int_equal(decide(&q, &k).kind, VERDICT_LEAD);
}

/* What it has is the run: it cannot share another, nor make its bytes a second time. */
static void a_put_leads_whatever_is_known_but_never_a_third_run(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 16; bits++)
		for (unsigned runs = 0; runs < 4; runs++) {
			const struct question q = {.has_command = true, .put = true, .accept_ms = SC_FOREVER};
			const struct known k = {.has_entry = bits & 1,
						.ttl_ms = HOUR,
						.run = runs && bits & 2 ? RUN_GOING : RUN_NONE,
						.runs = runs,
						.unkept = bits & 4 ? ENOSPC : 0,
						.nested = bits & 8};
			struct verdict v = decide(&q, &k);

			assert_int_equal(v.kind, runs < 2 ? VERDICT_LEAD : k.nested ? VERDICT_NESTED : VERDICT_WAIT);
			if (v.kind == VERDICT_WAIT)
				assert_int_equal(v.reason, WAIT_REFRESHING);
		}
}

/* Any run that may still leave something counts, in whatever state, and an entry by its own time, not by the asker's. */
static void a_put_if_absent_leads_only_where_there_is_neither_an_unexpired_entry_nor_a_run(void **state)
{
	static const enum run states[] = {RUN_NONE, RUN_AWAITED, RUN_GOING, RUN_STOPPING};

	(void)state;
	for (unsigned bits = 0; bits < 64; bits++)
		for (unsigned live = 0; live < 3; live++)
			for (unsigned doomed = 0; doomed < 3; doomed++) {
				const struct question q = {
					.has_command = true, .put = true, .if_absent = true, .accept_ms = bits & 1 ? 0 : 1};
				const struct known k = {.has_entry = bits & 2,
							.age_ms = bits & 4 ? HOUR : HOUR + 1,
							.ttl_ms = HOUR,
							.stale_ms = SC_FOREVER,
							.run = live ? states[bits & 3] : RUN_NONE,
							.runs = live + doomed,
							.live = live,
							.unkept = bits & 8 ? ENOSPC : 0,
							.has_failure = bits & 16,
							.failure_ttl_ms = HOUR,
							.nested = bits & 32};
				struct verdict v = decide(&q, &k);

				if (live || (k.has_entry && k.age_ms <= HOUR)) {
					assert_int_equal(v.kind, VERDICT_EXISTS);
					assert_int_equal(v.by_entry, live == 0);
				} else {
					assert_int_equal(v.kind, doomed < 2 ? VERDICT_LEAD
								 : k.nested ? VERDICT_NESTED
									    : VERDICT_WAIT);
				}
			}
}

/* Whatever else is known of a key that somebody holds. */
static void a_held_key_is_its_value_to_readers_and_nobody_makes_anything_else_of_it(void **state)
{
	static const enum held helds[] = {HELD_BEGUN, HELD_THERE};

	(void)state;
	for (unsigned bits = 0; bits < 8192; bits++) {
		const bool begun = bits & 1;
		const struct known k = {.held = helds[!begun],
					.has_entry = bits & 2,
					.ttl_ms = HOUR,
					.has_failure = bits & 4,
					.failure_ttl_ms = HOUR,
					.run = bits & 8 ? RUN_GOING : RUN_NONE,
					.runs = bits & 8 ? 1 : 0,
					.live = bits & 8 ? 1 : 0,
					.unkept = bits & 16 ? ENOSPC : 0,
					.nested = bits & 32};
		const struct question q = {.has_command = bits & 64,
					   .refresh = (bits & 64) && (bits & 128),
					   .finished = bits & 256,
					   .wait = bits & 512,
					   .put = bits & 1024,
					   .if_absent = (bits & 1024) && (bits & 2048),
					   .hold = bits & 4096,
					   .accept_ms = bits & 2 ? 0 : SC_FOREVER,
					   .keep_ms = SC_FOREVER};
		struct verdict v = decide(&q, &k);

		if (q.hold)
			assert_int_equal(v.kind, k.nested ? VERDICT_NESTED : q.wait ? VERDICT_WAIT : VERDICT_HELD);
		else if (q.put || q.refresh)
			assert_int_equal(v.kind, q.if_absent ? VERDICT_EXISTS : VERDICT_HELD);
		else if (begun)
			assert_int_equal(v.kind, q.finished ? VERDICT_MISS : VERDICT_WAIT);
		else
			assert_int_equal(v.kind, VERDICT_VALUE);
		if (v.kind == VERDICT_WAIT)
			assert_int_equal(v.reason, WAIT_HELD);
		assert_false(v.by_entry);
	}
}

/* Whatever was made of it before: it is removed, and runs of it are doomed. */
static void who_wants_to_hold_a_key_that_nobody_holds_holds_it(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 32; bits++) {
		const struct known k = {.has_entry = bits & 1,
					.ttl_ms = HOUR,
					.run = bits & 2 ? RUN_GOING : RUN_NONE,
					.runs = bits & 2 ? 2 : 0,
					.unkept = bits & 4 ? ENOSPC : 0,
					.nested = bits & 8};
		const struct question q = {.hold = true, .wait = bits & 16};

		assert_int_equal(decide(&q, &k).kind, VERDICT_HOLD);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_of_freshness_holds_for_every_combination),
		cmocka_unit_test(a_stale_entry_is_renewed_by_one_and_only_if_it_is_worth_while),
		cmocka_unit_test(a_refresh_starts_one_newer_run_and_shares_the_next),
		cmocka_unit_test(a_refresh_without_a_command_is_given_nothing_from_before_its_question),
		cmocka_unit_test(whatever_is_asked_these_things_never_happen),
		cmocka_unit_test(an_entry_is_fresh_up_to_the_shorter_of_its_ttl_and_mine),
		cmocka_unit_test(a_stale_entry_is_served_up_to_the_shorter_of_its_grace_and_mine),
		cmocka_unit_test(a_kept_failure_is_served_up_to_the_shortest_of_three_lives),
		cmocka_unit_test(what_is_fresh_does_not_depend_on_runs_or_on_what_one_can_do),
		cmocka_unit_test(a_refresher_that_waited_shares_the_run_that_began_meanwhile),
		cmocka_unit_test(a_put_leads_whatever_is_known_but_never_a_third_run),
		cmocka_unit_test(a_put_if_absent_leads_only_where_there_is_neither_an_unexpired_entry_nor_a_run),
		cmocka_unit_test(a_held_key_is_its_value_to_readers_and_nobody_makes_anything_else_of_it),
		cmocka_unit_test(who_wants_to_hold_a_key_that_nobody_holds_holds_it),
		cmocka_unit_test(a_waiter_leads_when_the_run_it_waited_for_left_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

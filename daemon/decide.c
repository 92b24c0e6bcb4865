/* The table of hit, follow, lead, wait, miss. Called for each ASK, and again for each that waits whenever something about
 * its key has changed. */
#include "daemon/decide.h"

bool decide_is_fresh(const struct question *q, const struct known *k)
{
	/* An accepted age of 0 shares runs and takes no entry, not even one that finished in this millisecond. */
	return k->has_entry && q->accept_ms > 0 && k->ttl_ms > 0 && k->age_ms <= k->ttl_ms && k->age_ms <= q->accept_ms;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Too old, but not so old that one has to wait for a new one. */
static bool is_stale(const struct question *q, const struct known *k)
{
	uint64_t ttl = least(k->ttl_ms, q->accept_ms), grace = least(k->stale_ms, q->stale_ms);

	return k->has_entry && ttl > 0 && k->age_ms > ttl && k->age_ms - ttl <= grace;
}

static bool takes_failure(const struct question *q, const struct known *k)
{
	return k->has_failure && k->failure_age_ms <= least(least(q->keep_ms, q->accept_ms), k->failure_ttl_ms) &&
	       q->accept_ms > 0 && q->keep_ms > 0;
}

/* It can, nobody else makes a new one by now, and to try is worth while. */
static bool wants_renewal(const struct question *q, const struct known *k)
{
	return q->has_command && is_stale(q, k) && k->run == RUN_NONE && k->runs < 2 && !k->quiet && !k->unkept &&
	       !takes_failure(q, k);
}

static struct verdict waiting(enum wait_reason reason)
{
	return (struct verdict){.kind = VERDICT_WAIT, .reason = reason};
}

static struct verdict verdict(enum verdict_kind kind)
{
	return (struct verdict){.kind = kind};
}

/* What to do about a run that would serve the asker. */
static struct verdict join(const struct question *q, const struct known *k)
{
	if (q->finished)
		return verdict(VERDICT_MISS);
	/* Waiting for oneself never ends, whatever state the run is in. */
	if (k->nested)
		return verdict(VERDICT_NESTED);
	if (k->run == RUN_AWAITED)
		return waiting(WAIT_REGISTERING);
	/* It will end without a result: the next run begins when it is gone. */
	if (k->run == RUN_STOPPING)
		return waiting(WAIT_STOPPING);
	return verdict(VERDICT_FOLLOW);
}

/* Where nothing can be stored, sharing would make everybody wait for the one before: each its own, at once. */
static struct verdict begin(const struct known *k)
{
	return verdict(k->unkept ? VERDICT_ALONE : VERDICT_LEAD);
}

static struct verdict refresh(const struct question *q, const struct known *k)
{
	if (k->run != RUN_NONE && k->run_order > q->order)
		return join(q, k);
	if (k->nested)
		return verdict(VERDICT_NESTED);
	if (!q->has_command)
		return q->wait ? waiting(WAIT_ABSENT) : verdict(VERDICT_MISS);
	/* One run from before the question and one newer: never a third beside them, but who is to run alone need not wait for that. */
	if (k->runs >= 2 && !k->unkept)
		return waiting(WAIT_REFRESHING);
	return begin(k);
}

/* Whatever its asker would take: to whom it has not been given it is there all the same. */
static bool is_unexpired(const struct known *k)
{
	return k->has_entry && k->ttl_ms > 0 && k->age_ms <= k->ttl_ms;
}

/* Never shares what others run: theirs is not what it has. A run that was removed, or overtaken, will leave nothing. */
static struct verdict put(const struct question *q, const struct known *k)
{
	if (q->if_absent && (k->live > 0 || is_unexpired(k)))
		return (struct verdict){.kind = VERDICT_EXISTS, .by_entry = k->live == 0};
	if (k->runs < 2)
		return verdict(VERDICT_LEAD);
	return k->nested ? verdict(VERDICT_NESTED) : waiting(WAIT_REFRESHING);
}

/* Whoever holds a key decides alone what it is: nobody makes anything of it beside that, and what a reader would take from others, or
 * keep, is all the same. */
static struct verdict held(const struct question *q, const struct known *k)
{
	if (q->hold && k->nested)
		return verdict(VERDICT_NESTED);
	if (q->hold)
		return q->wait ? waiting(WAIT_HELD) : verdict(VERDICT_HELD);
	if (q->put && q->if_absent)
		return verdict(VERDICT_EXISTS);
	if (q->put || q->refresh)
		return verdict(VERDICT_HELD);
	if (q->renew || (q->finished && k->held == HELD_BEGUN))
		return verdict(VERDICT_MISS);
	return k->held == HELD_BEGUN ? waiting(WAIT_HELD) : verdict(VERDICT_VALUE);
}

struct verdict decide(const struct question *q, const struct known *k)
{
	if (k->held != HELD_NOT)
		return held(q, k);
	if (q->hold)
		return verdict(VERDICT_HOLD);
	if (q->put)
		return put(q, k);
	if (q->refresh)
		return refresh(q, k);
	if (q->renew)
		return verdict(wants_renewal(q, k) ? VERDICT_LEAD : VERDICT_MISS);
	if (decide_is_fresh(q, k))
		return verdict(VERDICT_HIT);
	if (is_stale(q, k))
		return (struct verdict){.kind = VERDICT_STALE, .renew = wants_renewal(q, k)};
	if (takes_failure(q, k))
		return verdict(VERDICT_FAILURE);
	if (k->run != RUN_NONE)
		return join(q, k);
	if (q->has_command)
		return begin(k);
	if (q->lost && k->heirs)
		return waiting(WAIT_HEIRS);
	return q->wait ? waiting(WAIT_ABSENT) : verdict(VERDICT_MISS);
}

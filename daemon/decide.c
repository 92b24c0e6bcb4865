/* The table of hit, follow, lead, wait, miss. Called for each ASK, and again for each that waits whenever something about
 * its key has changed. */
#include "daemon/decide.h"

bool decide_is_fresh(const struct question *q, const struct known *k)
{
	/* An accepted age of 0 shares runs and takes no entry, not even one that finished in this millisecond. */
	return k->has_entry && q->accept_ms > 0 && k->ttl_ms > 0 && k->age_ms <= k->ttl_ms && k->age_ms <= q->accept_ms;
}

static struct verdict waiting(enum wait_reason reason)
{
	return (struct verdict){VERDICT_WAIT, reason};
}

static struct verdict verdict(enum verdict_kind kind)
{
	return (struct verdict){kind, 0};
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

/* Never shares what others run: theirs is not what it has. */
static struct verdict put(const struct known *k)
{
	if (k->runs < 2)
		return verdict(VERDICT_LEAD);
	return k->nested ? verdict(VERDICT_NESTED) : waiting(WAIT_REFRESHING);
}

struct verdict decide(const struct question *q, const struct known *k)
{
	if (q->put)
		return put(k);
	if (q->refresh)
		return refresh(q, k);
	if (decide_is_fresh(q, k))
		return verdict(VERDICT_HIT);
	if (k->run != RUN_NONE)
		return join(q, k);
	if (q->has_command)
		return begin(k);
	if (q->lost && k->heirs)
		return waiting(WAIT_HEIRS);
	return q->wait ? waiting(WAIT_ABSENT) : verdict(VERDICT_MISS);
}

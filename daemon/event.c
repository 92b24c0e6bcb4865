/* The one place that knows who keeps account of what. */
#include "daemon/event.h"

#include "daemon/daemon.h"
#include "daemon/history.h"
#include "daemon/hot.h"
#include "daemon/index.h"
#include "daemon/stats.h"
#include "daemon/watch.h"

static void count(struct daemon *d, const struct event *e)
{
	static const struct {
		bool counts;
		enum tally as;
	} kinds[] = {
		[EVENT_START] = {true, TALLY_LEADS},	[EVENT_COMMIT] = {true, TALLY_COMMITS},
		[EVENT_FAIL] = {true, TALLY_FAILS},	[EVENT_CANCEL] = {true, TALLY_CANCELS},
		[EVENT_LOST] = {true, TALLY_LOST},	[EVENT_END] = {true, TALLY_UNKEPT},
		[EVENT_REMOVE] = {true, TALLY_REMOVED}, [EVENT_EXPIRE] = {true, TALLY_EXPIRED},
		[EVENT_EVICT] = {true, TALLY_EVICTED},	[EVENT_RELEASE] = {false, 0},
	};

	if (kinds[e->kind].counts)
		stats_count(d, e->bucket, kinds[e->kind].as, 1);
	if (e->kind == EVENT_COMMIT)
		stats_count(d, e->bucket, TALLY_BYTES_STORED, e->out_len + e->err_len);
}

void event_tell(struct daemon *d, const struct event *e)
{
	count(d, e);
	watch_note(d, e);
	history_note(d, e);
}

void event_gone(void *arg, const struct gone *g)
{
	static const enum event_kind kinds[] = {[ROW_REMOVED] = EVENT_REMOVE,
						[ROW_DAMAGED] = EVENT_REMOVE,
						[ROW_EXPIRED] = EVENT_EXPIRE,
						[ROW_EVICTED] = EVENT_EVICT};
	struct event e = {.kind = kinds[g->how],
			  .bucket = g->bucket,
			  .key = g->key,
			  .gen = g->gen,
			  .order = g->order,
			  .out_len = g->out_len,
			  .err_len = g->err_len,
			  .ttl_ms = SC_FOREVER,
			  .reason = g->how == ROW_DAMAGED ? REMOVED_DAMAGED : 0,
			  .sealed = g->sealed};

	hot_drop(arg, g->bucket, g->key, g->failed, &g->gen);
	if (!g->failed)
		event_tell(arg, &e);
}

/* One-shot timers of the loop. They run late after a suspend (the loop's clock stops then): whoever acts on time looks at the
 * clock again. */
#ifndef SC_TICKER_H
#define SC_TICKER_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;
struct ticker;

typedef void (*on_tick)(struct daemon *d, void *arg);

struct ticker *ticker_new(struct daemon *d, on_tick cb, void *arg); /* NULL: no memory */
void ticker_start(struct ticker *t, uint64_t ms);		    /* anew, if it runs already */
void ticker_stop(struct ticker *t);
bool ticker_is_running(const struct ticker *t);
void ticker_free(struct ticker *t); /* NULL is allowed; the memory goes when the loop has let go of it */

/* SIGTERM and SIGINT become one call of daemon_stop; NULL-safe close as above. */
struct signals;
struct signals *signals_start(struct daemon *d);
void signals_stop(struct signals *s);

#endif

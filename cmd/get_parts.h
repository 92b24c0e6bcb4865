/* What the files of get share: get.c (the question and what comes of it), get_key.c (what is asked for), get_hit.c (an entry), get_lead.c (a run that it
 * begins) and get_end.c (how it ends). Nobody else includes this. */
#ifndef SC_GET_PARTS_H
#define SC_GET_PARTS_H

#include "cmd/again.h"
#include "cmd/output.h"
#include "cmd/reader.h"
#include "cmd/request.h"
#include "cmd/session.h"
#include "cmd/spool.h"
#include "cmd/status.h"

struct get {
	struct request req;
	struct session session;
	struct status status;
	struct output output;
	struct spool spool; /* what our stdin was; none: it was not read, or only for the key */
	struct gen gen;	    /* of the run we read, or have just lost */
	bool lost_once;
	unsigned bad;	    /* entries that turned out to be damaged */
	bool sealed;	    /* … and is sealed */
	bool foreground;    /* the command of the run we read is in our process group */
	struct again again; /* what we printed of a run that was lost; out_fd -1: nothing */
	char notice[256];
};

/* ---- get_key.c ---- */

/* Makes the key of what is declared, which may mean to read files, trees, and our stdin to its end. -1: go on; else it has ended with
 * that exit status. */
int get_make_key(struct get *g, bool disabled);

/* Whether what is kept aside for it, its stdin and what its command prints, is sealed: decided before any daemon has been asked. */
bool get_seals_spools(const struct get *g);

/* ---- get.c ---- */

/* Begins to print what HIT, FOLLOW or LEAD brought: where, from where, and behind what was printed before. The descriptors stay the caller's. False:
 * no memory to open what is sealed with. */
bool get_start_reader(struct get *g, struct reader *r, const struct msg *m, int out_fd, int err_fd);

/* ---- get_hit.c ---- */

/* What HIT brought. -1: ask again, for it is damaged, and nothing of it was printed; else the exit status. */
int get_replay(struct get *g, const struct msg *m, const int *fds, size_t nfds);

/* ---- get_lead.c ---- */

struct page;

/* Of LEAD or FOLLOW. NULL: the page is not what the daemon said, or there is no memory; what else came with it is closed. */
struct page *get_join_page(const struct msg *m, const int *fds, size_t nfds);

/* Forks the writer of a run that we were told to lead. SC_ESYS: no process. */
int get_start_writer(struct get *g, const struct msg *m, const int *fds, struct page *page, bool detached);

/* The entry we have been given is stale: in the background CMD makes it anew, unless somebody else was faster. Whatever keeps us from
 * it is no matter of the caller's, who has what he asked for. */
void get_start_renewal(struct get *g);

/* ---- get_end.c ---- */

/* One line, unless -q; or only with -v. */
void get_say(const struct get *g, const char *why, const char *mend);
void get_verbose(const struct get *g, const char *what, const char *more);

bool get_has_printed(const struct get *g);

/* Ends: each writes the status line, leaves -o's FILE as it ought to be, and returns the exit status. */
int get_finish(struct get *g, int status, const char *error);
int get_fail(struct get *g, const char *why, const char *mend);
int get_cannot_write(struct get *g, const char *why);		    /* where our stdout goes */
int get_command_status(struct get *g, uint32_t code, uint32_t sig); /* the command's own, as a shell would tell it */
int get_incomplete(struct get *g, const char *why);		    /* good bytes are out, the rest will not come */
int get_not_printed(struct get *g, const struct reader *r, enum read_result rc); /* what kept the reader from it */
int get_bypass(struct get *g, const char *why, const char *mend);		 /* the command itself, in our place */

/* Once a run was followed signals are caught; whatever waits after it was lost must look. Returns only if none came. */
void get_obey_signals(struct get *g);
_Noreturn void get_interrupted(struct get *g, int sig);

#endif

/* What the files of doctor share: doctor.c (the table, and what caches stand on) and doctor_sealed.c (what keeps secrets). Nobody else includes
 * this. */
#ifndef SC_DOCTOR_PARTS_H
#define SC_DOCTOR_PARTS_H

#include "cmd/logged.h"
#include "cmd/settings.h"

/* problem: something does not work, or not as it was set. warning: it works, but somebody should know. */
enum level { OK, WARNING, PROBLEM };

struct finding {
	enum level level;
	const char *text, *mend; /* mend: what to do, or NULL */
	const char *file;	 /* of config, else NULL */
	int line;
};

struct doctor {
	struct settings set;
	const char *check; /* the one in work */
	bool json, there;  /* there: the cache directory is, and is fit to be looked into */
	bool answers;	   /* a daemon has answered */
	unsigned problems;
	unsigned bad_lines;
	struct logged log[TROUBLES]; /* read when `there` */
};

/* One line of what a check has found. mend: what to do, or NULL. */
void __attribute__((format(printf, 4, 5)))
doctor_found(struct doctor *d, enum level level, const char *mend, const char *fmt, ...);

/* ---- doctor_sealed.c ---- */

void doctor_check_keys(struct doctor *d);
void doctor_check_swap(struct doctor *d);

#endif

/* The results of every function of lib/ and daemon/: 0 or one of these. Only SC_ESYS leaves an errno to look at. */
#ifndef SC_ERR_H
#define SC_ERR_H

enum sc_err {
	SC_OK = 0,
	SC_ESYS = -1,	   /* the system refused; errno says why */
	SC_ENOMEM = -2,	   /* no memory */
	SC_EPROTO = -3,	   /* the peer broke the protocol */
	SC_ETOOBIG = -4,   /* over a bound of limits.h */
	SC_EAGAIN = -5,	   /* not now; nothing was done */
	SC_EEOF = -6,	   /* the peer is gone */
	SC_EPEER = -7,	   /* the peer is not of our uid */
	SC_EINVAL = -8,	   /* not a value of this kind */
	SC_ENOENT = -9,	   /* there is no such thing */
	SC_EBUSY = -10,	   /* somebody else has it */
	SC_EUNSAFE = -11,  /* not ours, writable by others, or a link where none may be */
	SC_ECORRUPT = -12, /* what is on disk or in a page contradicts itself */
	SC_ETIME = -13,	   /* the bound on waiting is over */
};

/* A few words for a message; for SC_ESYS the words of errno. Static or errno's storage, never freed. */
const char *sc_strerror(int err);

/* For invariants of our own. Prints the place and aborts; never for what a peer, a file or the system did. */
#define BUG(what) sc_bug(__FILE__, __LINE__, what)
#define BUG_ON(cond) ((cond) ? BUG(#cond) : (void)0)
/* "FILE:LINE: what" of the BUG this process is just dying of, for its SIGABRT handler; "" before. */
const char *sc_last_words(void);
_Noreturn void sc_bug(const char *file, int line, const char *what);

/* From here on this process leaves no core, however it ends: what passes through it is nobody's to keep. */
void sc_no_core(void);
/* Nobody but root looks into this process from here on, nor is any memory of it dumped; what it becomes by exec is as ever. */
void sc_keep_secret(void);

#endif

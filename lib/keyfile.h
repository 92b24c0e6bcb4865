/* The file a master key lies in: 32 raw bytes, or 64 hex digits and perhaps a newline. Somebody's own, not the cache's: it lies where
 * he says. Reads it and makes it; never changes one that is there. What a key is for stands in seal.h. */
#ifndef SC_KEYFILE_H
#define SC_KEYFILE_H

#include <stdbool.h>

#include "lib/seal.h"

/* What is wrong with one, so that it can be said how to mend it. */
enum keyfile_fault {
	KEYFILE_GOOD,
	KEYFILE_MISSING,    /* SC_ENOENT */
	KEYFILE_UNREADABLE, /* SC_ESYS: it cannot be opened or read, errno says why */
	KEYFILE_NOT_A_FILE, /* SC_EUNSAFE: a link (where it leads is not looked at), a directory, a FIFO, a device … */
	KEYFILE_NOT_OURS,   /* SC_EUNSAFE: of another user than our effective one */
	KEYFILE_OPEN,	    /* SC_EUNSAFE: others may read, write or execute it; `chmod 600 FILE` mends it */
	KEYFILE_NO_KEY, /* SC_EINVAL: neither of the two forms; or all zeros, which is what a loss of power leaves of a file */
};

/* In words, behind the file's name. errno: of KEYFILE_UNREADABLE. */
const char *keyfile_fault_text(enum keyfile_fault fault);
/* The line that mends it; "": there is none. Returns out. */
char *keyfile_mend(enum keyfile_fault fault, const char *path, char *out, size_t size);

/* Links are followed in the path, but not at its end; a FIFO is not waited for. 0, or what stands beside the fault; then *key is zeros.
 * *fault is always set. `lent`: it lies where a service manager has laid it for us, and may be root's, and readable by a group (which is
 * what an access list for us looks like). The caller wipes *key; no other copy is left. */
int keyfile_read(const char *path, bool lent, struct seal_key *key, enum keyfile_fault *fault);

/* A new key in a new file, as hex digits, 0600 whatever the umask, on the disk when this returns. SC_EBUSY: there is something of that
 * name, be it a link that leads nowhere · SC_EUNSAFE: its file system would not keep others from it · SC_ESYS. What could not be made
 * whole is removed, and *key is zeros. The caller has called digest_init, wipes *key, and ignores SIGXFSZ if he wants to survive it. */
int keyfile_create(const char *path, struct seal_key *key);

#endif

/* The hash of what is in a file or below a directory, as a key made of it has it:
 *
 *   a regular file   BLAKE2b of its bytes (`b2sum -l 128`)
 *   a directory      BLAKE2b of three fields, each with its length in front as u64 little-endian, for everything below it, in
 *                    bytewise order of the relative name (`find -mindepth 1 -printf '%P\0' | LC_ALL=C sort -z`):
 *
 *     the name, as "sub/file"
 *     what it is, and for all but links its twelve bits of mode, as "f0644" "d0755" "l"; p, s, b, c: FIFO, socket, devices
 *     of a file its hash as above, 16 bytes; of a link where it points to; of everything else nothing
 *
 * PATH itself is followed if it is a link, and neither its name nor its mode is in the hash; below it links are not followed. */
#ifndef SC_CONTENT_H
#define SC_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/hashes.h"
#include "lib/buf.h"
#include "lib/digest.h"

struct content {
	struct hashes *hashes; /* borrowed; NULL: every file is read */
	uint64_t bytes;	       /* read so far, over all calls: for the waiting line */
	char why[1024];	       /* after a failure: which path, and why; may be shown on a terminal */

	/* ---- while it works ---- */
	const char *root;
	struct buf path; /* relative */
};

/* Zero-initialised but for `hashes` is empty. SC_ESYS: it is not there, may not be read, is neither file nor directory … · SC_EAGAIN: it
 * was changed each of several times while it was read · SC_ENOMEM, SC_ETOOBIG; all with `why`. What is changed without its times
 * telling so (through a mapping) cannot be noticed. */
int content_hash(struct content *c, const char *path, bool *is_directory, uint8_t hash[SC_DIGEST_SIZE]);

#endif

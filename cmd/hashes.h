/* `hashes` in the cache directory: what the content of a file hashed to, so that one that has not changed since need not be read
 * again. A file is known by device, inode, size, mtime and ctime (ns); whoever changes its content changes its ctime, which nobody
 * can set. It is forgetful on purpose: what cannot be read, written or believed is not remembered, and nobody is told.
 *
 * Any number of clients read and write it without a lock: what stands in it is 64-byte slots, each with a sum of its own, written
 * whole and in place. A torn, lost or foreign one is one that is not there. lib/FORMAT.md has its bytes. */
#ifndef SC_HASHES_H
#define SC_HASHES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/digest.h"

struct hashes;

/* dir_fd (-1: there is none) is borrowed until hashes_close. The file is not opened before it is needed, and made only if `keep`.
 * NULL: nothing will be remembered, and every function here takes that. */
struct hashes *hashes_open(int dir_fd, bool keep);
void hashes_close(struct hashes *h);

/* What the content of this file hashes to, if it is remembered. */
bool hashes_find(struct hashes *h, const struct stat *st, uint8_t hash[SC_DIGEST_SIZE]);

/* To be remembered. fd is of the file; st is what fstat said before the first byte was read, and again after the last one; now_ms is
 * the wall clock's time at the first of the two. Not remembered is a file that was changed less than SC_YOUNG_MS before, or after (it
 * may be changed again within one tick of its file system's clock), and one that does not lie on a local disk (its times may be another
 * machine's, or nobody's). */
void hashes_keep(struct hashes *h, int fd, const struct stat *st, uint64_t now_ms, const uint8_t hash[SC_DIGEST_SIZE]);

#endif

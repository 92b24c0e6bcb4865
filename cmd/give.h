/* FILE into an object without its bytes passing through us: as a reflink where the file system can, else by copy_file_range; or it has
 * been linked there. Whatever way they came, the sum is of the bytes that stand in the object, which are read back for it: of a FILE that
 * changes meanwhile, what was stored is what is summed. What none of these ways can is read and written by capture.c. */
#ifndef SC_GIVE_H
#define SC_GIVE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum give_way { GIVE_CLONE, GIVE_RANGE, GIVE_LINKED, GIVE_NO_MORE };

struct gift {
	enum give_way way;
	int again_fd;			  /* the object once more, for reading; borrowed */
	uint64_t there;			  /* bytes that stand in it … */
	uint64_t taken;			  /* … and those of them that have been read back */
	bool placed;			  /* the object's descriptor does not append for now: the kernel refuses such a one */
	volatile sig_atomic_t *disturbed; /* not NULL: of a linked FILE, that somebody opened it for writing */
};

/* FILE is read from its beginning. */
void give_init(struct gift *g, int again_fd);
/* The object is FILE itself. SC_ESYS. */
int give_init_linked(struct gift *g, int again_fd, volatile sig_atomic_t *disturbed);

/* The next bytes that stand in the object, read back: at most n of them, how many. 0: there are no more to be had this way, because FILE
 * ends, or the object has `limit` bytes, or the kernel cannot; file_fd's position is behind the last. -1: errno; the object cannot be
 * made whole. */
ssize_t give_some(struct gift *g, int object_fd, int file_fd, uint64_t limit, void *bytes, size_t n);

#endif

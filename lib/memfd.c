/* The only place that makes files of memory. Called by page.c, and for the entries that are kept in memory by cmd/load.c (makes them) and
 * daemon/hot.c (checks them). */
#include "lib/memfd.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

int memfd_new(const char *name, int *fd)
{
	/* Kernels before 6.3 do not know the flag; newer ones complain in their log when it is missing. */
	*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (*fd < 0 && errno == EINVAL)
		*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return *fd < 0 ? SC_ESYS : 0;
}

int memfd_resize(int fd, uint64_t size)
{
	return ftruncate(fd, (off_t)size) < 0 ? SC_ESYS : 0;
}

int memfd_seal(int fd, int seals)
{
	return fcntl(fd, F_ADD_SEALS, seals) < 0 ? SC_ESYS : 0;
}

int memfd_check(int fd, int seals, uint64_t size)
{
	int has = fcntl(fd, F_GET_SEALS);
	struct stat st;

	/* Before the size: one that is not sealed could be cut behind our back. */
	if (has < 0 || (has & seals) != seals)
		return SC_ECORRUPT;
	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size ? 0 : SC_ECORRUPT;
}

uint64_t memfd_pages(uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), part = size % page, whole = size - part;

	return part && whole > UINT64_MAX - page ? UINT64_MAX : whole + (part ? page : 0);
}

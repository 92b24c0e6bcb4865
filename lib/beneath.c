/* Opening and unlinking inside the cache directory. Called by object.c and the daemon's flightfile.c. */
#include "lib/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int beneath_open(int dir_fd, const char *name, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC), .mode = mode, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	int fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof how);

	/* EPERM: a container's filter of system calls that does not know this one. */
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = openat(dir_fd, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
	return fd;
}

int beneath_unlink(int dir_fd, const char *name)
{
	const char *slash = strrchr(name, '/');
	char directory[64];
	int fd, rc, saved;

	if (!slash || (size_t)(slash - name) >= sizeof directory) {
		errno = EINVAL;
		return -1;
	}
	memcpy(directory, name, (size_t)(slash - name));
	directory[slash - name] = '\0';
	fd = beneath_open(dir_fd, directory, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	rc = unlinkat(fd, slash + 1, 0);
	saved = errno;
	close(fd);
	errno = saved;
	return rc < 0 && errno == ENOENT ? 0 : rc;
}

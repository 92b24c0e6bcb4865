/* Master keys in files. Called by whoever seals (reads) and by keygen (makes). Nothing of a key stays in memory but what the caller has
 * asked for, so no stream of stdio is opened here. */
#include "lib/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"

#define DIGITS (2 * SC_SEAL_KEY)
#define TEXT (DIGITS + 1) /* with the newline */

/* ---- what is in it ---- */

static int digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 'a' ^ 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode_hex(const uint8_t text[DIGITS], struct seal_key *key)
{
	for (size_t i = 0; i < SC_SEAL_KEY; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		key->b[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static void encode_hex(const struct seal_key *key, uint8_t text[TEXT])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < SC_SEAL_KEY; i++) {
		text[2 * i] = (uint8_t)digits[key->b[i] >> 4];
		text[2 * i + 1] = (uint8_t)digits[key->b[i] & 15];
	}
	text[DIGITS] = '\n';
}

static bool decode(const uint8_t *bytes, size_t n, struct seal_key *key)
{
	static const struct seal_key zeros;

	if (n == SC_SEAL_KEY)
		memcpy(key->b, bytes, n);
	else if ((n != DIGITS && (n != TEXT || bytes[DIGITS] != '\n')) || !decode_hex(bytes, key))
		return false;
	return memcmp(key, &zeros, sizeof zeros) != 0;
}

/* ---- reading ---- */

static int result(enum keyfile_fault fault)
{
	static const int results[] = {
		[KEYFILE_GOOD] = 0,
		[KEYFILE_MISSING] = SC_ENOENT,
		[KEYFILE_UNREADABLE] = SC_ESYS,
		[KEYFILE_NOT_A_FILE] = SC_EUNSAFE,
		[KEYFILE_NOT_OURS] = SC_EUNSAFE,
		[KEYFILE_OPEN] = SC_EUNSAFE,
		[KEYFILE_NO_KEY] = SC_EINVAL,
	};

	return results[fault];
}

static enum keyfile_fault look(int fd, bool lent)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return KEYFILE_UNREADABLE;
	if (!S_ISREG(st.st_mode))
		return KEYFILE_NOT_A_FILE;
	if (st.st_uid != geteuid() && !(lent && st.st_uid == 0))
		return KEYFILE_NOT_OURS;
	return st.st_mode & (lent ? 037 : 077) ? KEYFILE_OPEN : KEYFILE_GOOD;
}

static enum keyfile_fault read_key(int fd, struct seal_key *key)
{
	uint8_t bytes[TEXT + 1]; /* with one that may not be there */
	enum keyfile_fault fault;
	ssize_t got = 0;
	size_t n = 0;

	while (n < sizeof bytes && (got = read(fd, bytes + n, sizeof bytes - n)) != 0) {
		if (got < 0 && errno != EINTR)
			break;
		n += got > 0 ? (size_t)got : 0;
	}
	if (got < 0)
		fault = KEYFILE_UNREADABLE;
	else
		fault = decode(bytes, n, key) ? KEYFILE_GOOD : KEYFILE_NO_KEY;
	explicit_bzero(bytes, sizeof bytes);
	return fault;
}

int keyfile_read(const char *path, bool lent, struct seal_key *key, enum keyfile_fault *fault)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), saved;

	if (fd >= 0)
		*fault = look(fd, lent);
	else if (errno == ENOENT)
		*fault = KEYFILE_MISSING;
	else
		*fault = errno == ELOOP || errno == ENXIO ? KEYFILE_NOT_A_FILE : KEYFILE_UNREADABLE;
	if (*fault == KEYFILE_GOOD)
		*fault = read_key(fd, key);
	saved = errno;
	if (*fault != KEYFILE_GOOD)
		seal_key_wipe(key);
	if (fd >= 0)
		close(fd);
	errno = saved;
	return result(*fault);
}

/* ---- what is wrong ---- */

const char *keyfile_fault_text(enum keyfile_fault fault)
{
	switch (fault) {
	case KEYFILE_GOOD:
		return "good";
	case KEYFILE_UNREADABLE:
		return strerror(errno);
	case KEYFILE_MISSING:
		return "there is no such file";
	case KEYFILE_NOT_A_FILE:
		return "a link, or no regular file";
	case KEYFILE_NOT_OURS:
		return "it belongs to somebody else";
	case KEYFILE_OPEN:
		return "others may read or write it";
	case KEYFILE_NO_KEY:
		break;
	}
	return "it is no key: neither 32 bytes nor 64 hex digits, or all zeros";
}

char *keyfile_mend(enum keyfile_fault fault, const char *path, char *out, size_t size)
{
	snprintf(out, size,
		 fault == KEYFILE_OPEN	    ? "chmod 600 %s"
		 : fault == KEYFILE_MISSING ? SC_BIN " keygen %s"
					    : "%.0s",
		 path);
	return out;
}

/* ---- making ---- */

/* The directory of a path, and the name in it. -1: errno. Opened for reading, since only then it can be synced. */
static int open_directory(const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;
	char dir[SC_PATH_MAX];

	*name = slash ? slash + 1 : path;
	if (n >= sizeof dir || !**name) {
		errno = **name ? ENAMETOOLONG : EISDIR;
		return -1;
	}
	memcpy(dir, path, n);
	dir[n] = '\0';
	return open(n ? dir : slash ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int sync_it(int fd)
{
	int rc;

	while ((rc = fsync(fd)) < 0 && errno == EINTR)
		;
	return rc == 0 ? 0 : SC_ESYS;
}

/* No byte of the key is written before nobody else could read it. */
static int write_key(int fd, const struct seal_key *key)
{
	uint8_t text[TEXT];
	struct stat st;
	int rc;

	/* It may be refused where it is not needed. */
	if (fchmod(fd, 0600) < 0 && fstat(fd, &st) == 0 && !(st.st_mode & 0400))
		return SC_ESYS;
	rc = result(look(fd, false));
	if (rc)
		return rc;
	encode_hex(key, text);
	rc = object_append(fd, text, sizeof text);
	explicit_bzero(text, sizeof text);
	return rc ? rc : sync_it(fd);
}

/* Unless somebody has put another one in its place. */
static void remove_own(int dir_fd, const char *name, int fd)
{
	struct stat ours, there;

	if (fstat(fd, &ours) == 0 && fstatat(dir_fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && ours.st_dev == there.st_dev &&
	    ours.st_ino == there.st_ino)
		unlinkat(dir_fd, name, 0);
}

static int create_in(int dir_fd, const char *name, struct seal_key *key)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), rc, saved;

	if (fd < 0)
		return errno == EEXIST ? SC_EBUSY : SC_ESYS;
	seal_key_new(key);
	rc = write_key(fd, key);
	/* EINVAL: there are file systems that know of no syncing of directories, and need none. */
	if (rc == 0 && sync_it(dir_fd) && errno != EINVAL)
		rc = SC_ESYS;
	saved = errno;
	if (rc)
		remove_own(dir_fd, name, fd);
	close(fd);
	errno = saved;
	return rc;
}

int keyfile_create(const char *path, struct seal_key *key)
{
	const char *name;
	int dir_fd = open_directory(path, &name), rc, saved;

	rc = dir_fd >= 0 ? create_in(dir_fd, name, key) : SC_ESYS;
	saved = errno;
	if (rc)
		seal_key_wipe(key);
	if (dir_fd >= 0)
		close(dir_fd);
	errno = saved;
	return rc;
}

/* The promises of lib/keyfile.h: which files are taken for a key and what is said of the others, and that a key is made whole or not at
 * all. Calls to the system are replaced where they have to fail. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/digest.h"
#include "lib/err.h"
#include "lib/keyfile.h"

/* ---- what is replaced ---- */

static struct {
	bool another_user; /* we are one */
	int write_error, fsync_error, fchmod_error, read_error;
	unsigned writes, fsyncs, reads; /* in how many from now on the error comes; before it writes and reads are short */
	void (*meanwhile)(void);	/* before a write fails */
} fail;

uid_t geteuid(void)
{
	return (uid_t)syscall(SYS_geteuid) + fail.another_user;
}

static bool fails(int error, unsigned *left)
{
	if (!error || (*left)-- > 0)
		return false;
	errno = error;
	return true;
}

ssize_t write(int fd, const void *p, size_t n)
{
	if (fail.write_error && fail.writes == 0 && fail.meanwhile)
		fail.meanwhile();
	if (fails(fail.write_error, &fail.writes))
		return -1;
	return syscall(SYS_write, fd, p, fail.write_error ? n / 2 : n);
}

ssize_t read(int fd, void *p, size_t n)
{
	if (fails(fail.read_error, &fail.reads)) {
		if (fail.read_error == EINTR)
			fail.read_error = 0;
		return -1;
	}
	return syscall(SYS_read, fd, p, fail.read_error ? n / 2 : n);
}

int fsync(int fd)
{
	if (fails(fail.fsync_error, &fail.fsyncs)) {
		if (fail.fsync_error == EINTR)
			fail.fsync_error = 0;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

int fchmod(int fd, mode_t mode)
{
	if (fail.fchmod_error) {
		errno = fail.fchmod_error;
		return -1;
	}
	return (int)syscall(SYS_fchmod, fd, mode);
}

/* ---- a directory for each test, which is where it is ---- */

struct dir {
	char path[96];
	int was_fd;
	unsigned fds;
};

static unsigned count(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	assert_non_null(d);
	for (const struct dirent *e; (e = readdir(d));)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

static int enter_dir(void **state)
{
	const char *base = getenv("TMPDIR");
	struct dir *d = calloc(1, sizeof *d);

	if (!d)
		return -1;
	memset(&fail, 0, sizeof fail);
	umask(022);
	d->fds = count("/proc/self/fd");
	d->was_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(d->path, sizeof d->path, "%s/key.XXXXXX", base && strlen(base) < 64 ? base : "/tmp");
	*state = d;
	return d->was_fd >= 0 && mkdtemp(d->path) ? chdir(d->path) : -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st;
	(void)kind;
	(void)f;
	return remove(path);
}

static int leave_dir(void **state)
{
	struct dir *d = *state;
	unsigned fds;
	int rc = fchdir(d->was_fd);

	memset(&fail, 0, sizeof fail);
	close(d->was_fd);
	rc |= nftw(d->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	fds = count("/proc/self/fd");
	if (fds != d->fds)
		print_error("%u descriptors were open before, %u are now\n", d->fds, fds);
	rc |= fds != d->fds;
	free(d);
	return rc;
}

static void put_file(const char *name, const void *bytes, size_t n, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(syscall(SYS_write, fd, bytes, n), n);
	assert_int_equal(syscall(SYS_fchmod, fd, mode), 0);
	close(fd);
}

#define DIGITS "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define UPPER "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"

static const struct seal_key none;

static struct seal_key counted(void)
{
	struct seal_key key;

	for (uint8_t i = 0; i < sizeof key.b; i++)
		key.b[i] = i;
	return key;
}

/* Read as what it is, and with nothing left behind if it is no key. */
static void reads_as(const char *name, enum keyfile_fault want, int rc)
{
	enum keyfile_fault fault = (enum keyfile_fault)99;
	struct seal_key key;

	memset(&key, 0xee, sizeof key);
	assert_int_equal(keyfile_read(name, false, &key, &fault), rc);
	assert_int_equal(fault, want);
	if (rc)
		assert_memory_equal(&key, &none, sizeof key);
}

static void is_key(const char *name, const struct seal_key *want)
{
	enum keyfile_fault fault = (enum keyfile_fault)99;
	struct seal_key key;

	assert_int_equal(keyfile_read(name, false, &key, &fault), 0);
	assert_int_equal(fault, KEYFILE_GOOD);
	assert_memory_equal(&key, want, sizeof key);
}

/* ---- what is a key ---- */

static void raw_bytes_and_hex_digits_are_a_key_and_nothing_else_is(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		bool is_key;
	} rows[] = {
		{DIGITS, 64, true},	    {DIGITS "\n", 65, true},	{UPPER, 64, true},	   {UPPER "\n", 65, true},
		{DIGITS "\n\n", 66, false}, {DIGITS "\r\n", 66, false}, {DIGITS "\n#", 66, false}, {DIGITS "\0", 65, false},
		{DIGITS " ", 65, false},    {DIGITS "0", 65, false},	{DIGITS "00", 66, false},  {"\n" DIGITS, 65, false},
		{" " DIGITS, 65, false},    {DIGITS, 63, false},	{"0x" DIGITS, 64, false},  {DIGITS DIGITS, 128, false},
	};
	struct seal_key want = counted();

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		put_file("key", rows[i].text, rows[i].n, 0600);
		if (rows[i].is_key)
			is_key("key", &want);
		else
			reads_as("key", KEYFILE_NO_KEY, SC_EINVAL);
	}
	put_file("key", want.b, sizeof want.b, 0600);
	is_key("key", &want);
	/* Digits they may be, but these are 32 bytes. */
	memcpy(want.b, DIGITS, sizeof want.b);
	put_file("key", DIGITS, 32, 0600);
	is_key("key", &want);
}

static void no_other_length_is_a_key(void **state)
{
	static char text[100000];

	(void)state;
	memset(text, 'a', sizeof text);
	for (size_t n = 0; n < 200; n++) {
		put_file("key", text, n, 0600);
		if (n == 32 || n == 64)
			reads_as("key", KEYFILE_GOOD, 0);
		else
			reads_as("key", KEYFILE_NO_KEY, SC_EINVAL);
	}
	put_file("key", text, sizeof text, 0600);
	reads_as("key", KEYFILE_NO_KEY, SC_EINVAL);
}

static void any_byte_that_is_no_digit_is_noticed_wherever_it_stands(void **state)
{
	(void)state;
	for (size_t at = 0; at < 64; at++)
		for (int c = 0; c < 256; c += at == 0 || at == 63 ? 1 : 7) {
			char text[] = DIGITS;

			text[at] = (char)c;
			put_file("key", text, 64, 0600);
			if (c && strchr("0123456789abcdefABCDEF", c))
				reads_as("key", KEYFILE_GOOD, 0);
			else
				reads_as("key", KEYFILE_NO_KEY, SC_EINVAL);
		}
}

static void zeros_are_no_key(void **state)
{
	char digits[64];

	(void)state;
	put_file("key", none.b, sizeof none.b, 0600);
	reads_as("key", KEYFILE_NO_KEY, SC_EINVAL);
	memset(digits, '0', sizeof digits);
	put_file("key", digits, sizeof digits, 0600);
	reads_as("key", KEYFILE_NO_KEY, SC_EINVAL);
}

static void short_and_interrupted_reads_are_gone_on_with(void **state)
{
	struct seal_key want = counted();

	(void)state;
	put_file("key", DIGITS "\n", 65, 0600);
	for (fail.reads = 0; fail.reads < 5; fail.reads++) {
		unsigned was = fail.reads;

		fail.read_error = EINTR;
		is_key("key", &want);
		fail.reads = was;
		fail.read_error = EIO;
		reads_as("key", KEYFILE_UNREADABLE, SC_ESYS);
		assert_int_equal(errno, EIO);
		fail.reads = was;
	}
}

/* ---- whose it is, and who may read it ---- */

static void every_mode_that_lets_others_in_is_refused(void **state)
{
	struct seal_key want = counted();

	(void)state;
	for (mode_t mode = 0; mode < 01000; mode++) {
		put_file("key", DIGITS, 64, mode);
		if (!(mode & 0400) && syscall(SYS_geteuid) != 0) {
			reads_as("key", KEYFILE_UNREADABLE, SC_ESYS);
			assert_int_equal(errno, EACCES);
		} else if (mode & 077) {
			reads_as("key", KEYFILE_OPEN, SC_EUNSAFE);
		} else {
			is_key("key", &want);
		}
		assert_int_equal(unlink("key"), 0);
	}
}

static void another_users_is_refused_also_if_we_could_read_it(void **state)
{
	(void)state;
	put_file("key", DIGITS, 64, 0600);
	put_file("open", DIGITS, 64, 0644);
	fail.another_user = true;
	reads_as("key", KEYFILE_NOT_OURS, SC_EUNSAFE);
	reads_as("open", KEYFILE_NOT_OURS, SC_EUNSAFE);
}

static void what_is_no_regular_file_is_not_looked_into_nor_waited_for(void **state)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	put_file("key", DIGITS, 64, 0600);
	assert_int_equal(symlink("key", "link"), 0);
	assert_int_equal(symlink("nowhere", "dangling"), 0);
	assert_int_equal(symlink("circle", "circle"), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(mkdir("directory", 0700), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
	reads_as("link", KEYFILE_NOT_A_FILE, SC_EUNSAFE);
	reads_as("dangling", KEYFILE_NOT_A_FILE, SC_EUNSAFE);
	reads_as("circle", KEYFILE_NOT_A_FILE, SC_EUNSAFE);
	reads_as("fifo", KEYFILE_NOT_A_FILE, SC_EUNSAFE);
	reads_as("directory", KEYFILE_NOT_A_FILE, SC_EUNSAFE);
	reads_as("socket", KEYFILE_NOT_A_FILE, SC_EUNSAFE);
	reads_as("/dev/zero", KEYFILE_NOT_A_FILE, SC_EUNSAFE);
	close(fd);
}

static void what_is_not_there_is_missing_and_what_cannot_be_reached_says_why(void **state)
{
	struct seal_key want = counted();

	(void)state;
	put_file("key", DIGITS, 64, 0600);
	assert_int_equal(symlink(".", "here"), 0);
	is_key("here/key", &want);
	reads_as("other", KEYFILE_MISSING, SC_ENOENT);
	reads_as("other/key", KEYFILE_MISSING, SC_ENOENT);
	reads_as("", KEYFILE_MISSING, SC_ENOENT);
	reads_as("key/key", KEYFILE_UNREADABLE, SC_ESYS);
	assert_int_equal(errno, ENOTDIR);
}

/* ---- making one ---- */

static void a_new_key_is_what_is_read_and_is_ours_alone_whatever_the_umask(void **state)
{
	static const mode_t umasks[] = {0, 022, 077, 0277, 0777};
	struct seal_key key, last = none;
	char path[200];
	struct stat st;

	for (size_t i = 0; i < COUNT(umasks); i++) {
		umask(umasks[i]);
		assert_int_equal(keyfile_create("key", &key), 0);
		is_key("key", &key);
		assert_memory_not_equal(&key, &last, sizeof key);
		last = key;
		assert_int_equal(stat("key", &st), 0);
		assert_int_equal(st.st_mode, S_IFREG | 0600);
		assert_int_equal(st.st_size, 65);
		assert_int_equal(unlink("key"), 0);
	}
	umask(022);
	snprintf(path, sizeof path, "%s/key", ((struct dir *)*state)->path);
	assert_int_equal(keyfile_create(path, &key), 0);
	is_key("./key", &key);
	assert_int_equal(keyfile_create("./././other", &key), 0);
	is_key("other", &key);
}

static void what_is_there_stays(void **state)
{
	static const char *const names[] = {"file", "link", "dangling", "fifo", "directory", "."};
	struct seal_key key;
	char text[4] = "";
	struct stat st;
	int fd;

	(void)state;
	put_file("file", "old", 3, 0640);
	assert_int_equal(symlink("file", "link"), 0);
	assert_int_equal(symlink("nowhere", "dangling"), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(mkdir("directory", 0700), 0);
	for (size_t i = 0; i < COUNT(names); i++) {
		memset(&key, 0xee, sizeof key);
		assert_int_equal(keyfile_create(names[i], &key), SC_EBUSY);
		assert_memory_equal(&key, &none, sizeof key);
	}
	assert_int_equal(count("."), 5);
	assert_int_equal(lstat("file", &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	fd = open("file", O_RDONLY | O_CLOEXEC);
	assert_int_equal(syscall(SYS_read, fd, text, 4), 3);
	assert_string_equal(text, "old");
	close(fd);
}

static void cannot_be_made(const char *path, int rc, int error)
{
	unsigned before = count(".");
	struct seal_key key;

	memset(&key, 0xee, sizeof key);
	errno = 0;
	assert_int_equal(keyfile_create(path, &key), rc);
	if (rc == SC_ESYS)
		assert_int_equal(errno, error);
	assert_memory_equal(&key, &none, sizeof key);
	assert_int_equal(count("."), before);
}

static void where_none_can_be_made_it_says_why(void **state)
{
	char path[SC_PATH_MAX + 10];

	(void)state;
	put_file("file", "", 0, 0600);
	cannot_be_made("missing/key", SC_ESYS, ENOENT);
	cannot_be_made("file/key", SC_ESYS, ENOTDIR);
	cannot_be_made("", SC_ESYS, EISDIR);
	cannot_be_made("key/", SC_ESYS, EISDIR);
	memset(path, 'x', sizeof path);
	path[sizeof path - 1] = '\0';
	cannot_be_made(path, SC_ESYS, ENAMETOOLONG);
	path[sizeof path - 3] = '/';
	cannot_be_made(path, SC_ESYS, ENAMETOOLONG);
}

static void what_could_not_be_made_whole_is_removed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		fail.writes = i;
		fail.write_error = i % 2 ? ENOSPC : EIO;
		cannot_be_made("key", SC_ESYS, fail.write_error);
		fail.write_error = 0;
	}
	/* The file's, then the directory's. */
	for (unsigned i = 0; i < 2; i++) {
		fail.fsyncs = i;
		fail.fsync_error = EIO;
		cannot_be_made("key", SC_ESYS, EIO);
		fail.fsync_error = 0;
	}
	/* A file system that gives it to somebody else; and one that has no modes. */
	fail.another_user = true;
	cannot_be_made("key", SC_EUNSAFE, 0);
	fail.another_user = false;
	fail.fchmod_error = EPERM;
	umask(0777);
	cannot_be_made("key", SC_ESYS, EPERM);
}

static void what_need_not_be_does_not_keep_it_from_being_made(void **state)
{
	struct seal_key key;

	(void)state;
	fail.fsync_error = EINVAL; /* of the directory */
	fail.fsyncs = 1;
	assert_int_equal(keyfile_create("a", &key), 0);
	is_key("a", &key);
	fail.fsync_error = EINTR;
	fail.fsyncs = 0;
	assert_int_equal(keyfile_create("b", &key), 0);
	is_key("b", &key);
	fail.fchmod_error = EPERM;
	assert_int_equal(keyfile_create("c", &key), 0);
	is_key("c", &key);
}

static void put_another(void)
{
	fail.meanwhile = NULL;
	assert_int_equal(unlink("key"), 0);
	put_file("key", "somebody else's", 15, 0600);
}

static void what_somebody_put_in_its_place_stays(void **state)
{
	struct seal_key key;
	struct stat st;

	(void)state;
	fail.write_error = ENOSPC;
	fail.writes = 1;
	fail.meanwhile = put_another;
	assert_int_equal(keyfile_create("key", &key), SC_ESYS);
	assert_int_equal(stat("key", &st), 0);
	assert_int_equal(st.st_size, 15);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_dir, leave_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(raw_bytes_and_hex_digits_are_a_key_and_nothing_else_is),
		TEST(no_other_length_is_a_key),
		TEST(any_byte_that_is_no_digit_is_noticed_wherever_it_stands),
		TEST(zeros_are_no_key),
		TEST(short_and_interrupted_reads_are_gone_on_with),
		TEST(every_mode_that_lets_others_in_is_refused),
		TEST(another_users_is_refused_also_if_we_could_read_it),
		TEST(what_is_no_regular_file_is_not_looked_into_nor_waited_for),
		TEST(what_is_not_there_is_missing_and_what_cannot_be_reached_says_why),
		TEST(a_new_key_is_what_is_read_and_is_ours_alone_whatever_the_umask),
		TEST(what_is_there_stays),
		TEST(where_none_can_be_made_it_says_why),
		TEST(what_could_not_be_made_whole_is_removed),
		TEST(what_need_not_be_does_not_keep_it_from_being_made),
		TEST(what_somebody_put_in_its_place_stays),
	};

	if (digest_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

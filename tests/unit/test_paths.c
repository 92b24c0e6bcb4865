/* Which directory becomes the cache, and which is refused. Every test has a directory of its own; file systems and set-uid are
 * told by this file's own fstatfs, statfs and secure_getenv. What needs another uid runs in a child that has one (as root), or
 * on directories that are not ours anyway (as anybody else). */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/paths.h"

#define NFS 0x6969

static char base[64], cwd[4096];
static bool set_uid;
static long all_types, home_type; /* 0: as it is */
static struct place place;

char *secure_getenv(const char *name)
{
	return set_uid ? NULL : getenv(name);
}

/* /var/tmp is local unless everything is not. */
static void fake(const char *path, struct statfs *fs)
{
	if (all_types)
		fs->f_type = all_types;
	else if (home_type && strncmp(path, base, strlen(base)) == 0)
		fs->f_type = home_type;
}

int statfs(const char *path, struct statfs *fs)
{
	int rc = (int)syscall(SYS_statfs, path, fs);

	fake(path, fs);
	return rc;
}

int fstatfs(int fd, struct statfs *fs)
{
	char name[64], path[4096];
	int rc = (int)syscall(SYS_fstatfs, fd, fs);
	ssize_t n;

	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	n = readlink(name, path, sizeof path - 1);
	path[n < 0 ? 0 : n] = '\0';
	fake(path, fs);
	return rc;
}

static const char *in(const char *name)
{
	static char out[4][512];
	static unsigned i;
	char *path = out[i++ % 4];

	snprintf(path, sizeof out[0], "%s/%s", base, name);
	return path;
}

static void make_dir(const char *name, mode_t mode)
{
	assert_int_equal(mkdir(in(name), 0700), 0);
	assert_int_equal(chmod(in(name), mode), 0);
}

static void make_file(const char *name, const char *text)
{
	int fd = open(in(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static int set_up(void **state)
{
	(void)state;
	strcpy(base, "/tmp/sc-test-paths-XXXXXX");
	assert_non_null(mkdtemp(base));
	assert_non_null(getcwd(cwd, sizeof cwd));
	clearenv();
	set_uid = false;
	all_types = home_type = 0;
	place.dir_fd = -1;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st;
	(void)kind;
	(void)f;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	place_close(&place);
	all_types = home_type = 0;
	assert_int_equal(chdir(cwd), 0);
	chmod(in("home"), 0700);
	return nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void check_open(int rc, const char *path)
{
	struct stat a, b;

	assert_string_equal(rc ? place.why : "", "");
	assert_int_equal(rc, 0);
	assert_string_equal(place.path, path);
	assert_int_equal(fstat(place.dir_fd, &a), 0);
	assert_int_equal(lstat(path, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(a.st_mode & 07777, 0700);
	assert_int_equal(fcntl(place.dir_fd, F_GETFD), FD_CLOEXEC);
	place_close(&place);
}

static void check_refused(int rc, int expected, const char *part)
{
	assert_int_equal(rc, expected);
	assert_int_equal(place.dir_fd, -1);
	if (!strstr(place.why, part))
		fail_msg("\"%s\" is not in \"%s\"", part, place.why);
	assert_null(strchr(place.why, '\n'));
}

/* ---- SC_DIR ---- */

static void sc_dir_is_made_0700_and_found_again(void **state)
{
	(void)state;
	setenv("SC_DIR", in("cache"), 1);
	setenv("HOME", base, 1);
	assert_int_equal(place_open(&place, 0), SC_ENOENT);
	assert_false(exists(in("cache")));
	check_open(place_open(&place, 1), in("cache"));
	check_open(place_open(&place, 0), in("cache"));
	assert_false(exists(in(".cache")));
}

static void sc_dir_comes_before_all_others_and_is_never_passed_over(void **state)
{
	(void)state;
	make_file("file", "");
	setenv("SC_DIR", in("file/cache"), 1);
	setenv("HOME", base, 1);
	setenv("XDG_CACHE_HOME", base, 1);
	check_refused(place_open(&place, 1), SC_ESYS, in("file/cache"));
	assert_false(exists(in(".cache")));
	assert_false(exists(in("sc")));
}

static void an_empty_variable_is_none(void **state)
{
	(void)state;
	setenv("SC_DIR", "", 1);
	setenv("XDG_CACHE_HOME", "", 1);
	setenv("HOME", base, 1);
	check_open(place_open(&place, 1), in(".cache/sc"));
}

static void a_relative_sc_dir_becomes_absolute(void **state)
{
	(void)state;
	assert_int_equal(chdir(base), 0);
	setenv("SC_DIR", "cache", 1);
	check_open(place_open(&place, 1), in("cache"));
	setenv("SC_DIR", "cache///./", 1);
	check_open(place_open(&place, 1), in("cache"));
	assert_int_equal(rmdir("cache"), 0);
	make_dir("gone", 0700);
	assert_int_equal(chdir("gone"), 0);
	assert_int_equal(rmdir(in("gone")), 0);
	setenv("SC_DIR", "cache", 1);
	check_refused(place_open(&place, 1), SC_ESYS, "current directory");
}

static void parents_are_made_below_home_only(void **state)
{
	(void)state;
	setenv("SC_DIR", in("home/a/b/cache"), 1);
	check_refused(place_open(&place, 1), SC_ESYS, "mkdir -p ");
	assert_int_equal(errno, ENOENT);
	setenv("HOME", in("home"), 1);
	check_refused(place_open(&place, 1), SC_ESYS, "mkdir -p ");
	assert_false(exists(in("home")));
	make_dir("home", 0700);
	check_open(place_open(&place, 1), in("home/a/b/cache"));
	assert_int_equal(mode_of(in("home/a")), 0700);
}

static void modes_are_0700_whatever_the_umask_and_the_parent(void **state)
{
	mode_t masks[] = {0, 077, 0777, 0222}, old = umask(0);

	(void)state;
	make_dir("parent", 02777);
	umask(old);
	for (size_t i = 0; i < COUNT(masks); i++) {
		int rc;

		setenv("SC_DIR", in("parent/cache"), 1);
		umask(masks[i]);
		rc = place_open(&place, 1);
		assert_int_equal(umask(old), masks[i]);
		check_open(rc, in("parent/cache"));
		assert_int_equal(rmdir(in("parent/cache")), 0);
	}
}

static void one_that_is_merely_readable_becomes_0700(void **state)
{
	(void)state;
	make_dir("cache", 0755);
	setenv("SC_DIR", in("cache"), 1);
	/* Not by one who only looks. */
	assert_int_equal(place_open(&place, 0), 0);
	place_close(&place);
	assert_int_equal(mode_of(in("cache")), 0755);
	check_open(place_open(&place, 1), in("cache"));
}

static void one_that_others_may_write_to_is_refused_with_the_line_that_mends_it(void **state)
{
	char line[256];

	(void)state;
	make_dir("cache", 0770);
	setenv("SC_DIR", in("cache"), 1);
	snprintf(line, sizeof line, "(mode 0770) (chmod go-w %s)", in("cache"));
	check_refused(place_open(&place, 1), SC_EUNSAFE, line);
	assert_int_equal(chmod(in("cache"), 01777), 0);
	check_refused(place_open(&place, 1), SC_EUNSAFE, "chmod go-w");
	assert_int_equal(mode_of(in("cache")), 01777);
	assert_int_equal(chmod(in("cache"), 0755), 0);
	check_open(place_open(&place, 1), in("cache"));
}

static void a_link_is_refused_however_it_is_written(void **state)
{
	(void)state;
	make_dir("real", 0700);
	assert_int_equal(symlink("real", in("link")), 0);
	assert_int_equal(symlink("nowhere", in("dangling")), 0);
	check_refused(place_open_at(&place, in("link"), 1), SC_EUNSAFE, "symbolic link");
	check_refused(place_open_at(&place, in("link/"), 1), SC_EUNSAFE, "symbolic link");
	check_refused(place_open_at(&place, in("link/."), 1), SC_EUNSAFE, "symbolic link");
	check_refused(place_open_at(&place, in("link/././/"), 1), SC_EUNSAFE, "symbolic link");
	check_refused(place_open_at(&place, in("dangling"), 1), SC_EUNSAFE, "symbolic link");
	assert_false(exists(in("nowhere")));
	/* On the way there, one is allowed. */
	check_open(place_open_at(&place, in("link/cache"), 1), in("link/cache"));
}

static void what_is_no_directory_is_refused(void **state)
{
	(void)state;
	make_file("file", "");
	check_refused(place_open_at(&place, in("file"), 1), SC_EUNSAFE, "is not a directory");
	assert_int_equal(mkfifo(in("fifo"), 0600), 0);
	check_refused(place_open_at(&place, in("fifo"), 1), SC_EUNSAFE, "is not a directory");
}

static void a_directory_of_somebody_else_is_refused_by_name(void **state)
{
	const char *theirs = "/usr";

	(void)state;
	if (geteuid() == 0) {
		make_dir("theirs", 0700);
		theirs = in("theirs");
		assert_int_equal(chown(theirs, 12345, 12345), 0);
	}
	check_refused(place_open_at(&place, theirs, 1), SC_EUNSAFE,
		      geteuid() ? "belongs to uid 0 " : "belongs to uid 12345 (mode 0700), ");
}

static void a_path_of_any_length_and_any_letters_is_said_in_one_line(void **state)
{
	char path[8192];
	int rc;

	(void)state;
	make_dir("it's a\nplace", 0777);
	check_refused(place_open_at(&place, in("it's a\nplace"), 1), SC_EUNSAFE, "it'\\''s a?place' is writable");
	snprintf(path, sizeof path, "%s/%0*d", base, 200, 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, 0777), 0);
	check_refused(place_open_at(&place, path, 1), SC_EUNSAFE, "chmod go-w /tmp/sc-test-paths-");
	for (int i = 0; i < 15; i++) {
		snprintf(path + strlen(path), sizeof path - strlen(path), "/%0*d", 200, 0);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	check_open(place_open_at(&place, path, 1), path);
	assert_int_equal(chmod(path, 0777), 0);
	check_refused(place_open_at(&place, path, 1), SC_EUNSAFE, "...");
	memset(path, 'x', sizeof path);
	path[0] = '/';
	path[5000] = '\0';
	rc = place_open_at(&place, path, 1);
	assert_int_equal(errno, ENAMETOOLONG);
	check_refused(rc, SC_ESYS, "too long");
	path[4095] = '\0';
	assert_int_equal(place_open_at(&place, path, 1), SC_ESYS);
}

/* ---- defaults ---- */

static void xdg_comes_before_home(void **state)
{
	(void)state;
	make_dir("xdg", 0700);
	setenv("XDG_CACHE_HOME", in("xdg"), 1);
	setenv("HOME", base, 1);
	assert_int_equal(place_open(&place, 0), SC_ENOENT);
	assert_string_equal(place.path, in("xdg/sc"));
	check_open(place_open(&place, 1), in("xdg/sc"));
	assert_false(exists(in(".cache")));
}

static void a_missing_xdg_cache_home_is_made_but_not_its_parents(void **state)
{
	(void)state;
	setenv("HOME", base, 1);
	setenv("XDG_CACHE_HOME", in("nowhere"), 1);
	assert_int_not_equal(place_open(&place, 0), 0);
	assert_false(exists(in("nowhere")));
	check_open(place_open(&place, 1), in("nowhere/sc"));
}

static void a_default_that_cannot_be_had_is_passed_over(void **state)
{
	(void)state;
	setenv("HOME", base, 1);
	setenv("XDG_CACHE_HOME", in("no/where"), 1);
	check_open(place_open(&place, 1), in(".cache/sc"));
	assert_false(exists(in("no")));
	setenv("XDG_CACHE_HOME", "relative", 1);
	check_open(place_open(&place, 1), in(".cache/sc"));
	make_file("file", "");
	setenv("XDG_CACHE_HOME", in("file"), 1);
	check_open(place_open(&place, 1), in(".cache/sc"));
	if (geteuid() == 0) { /* sudo with the user's environment */
		make_dir("theirs", 0777);
		assert_int_equal(chown(in("theirs"), 12345, 12345), 0);
		setenv("XDG_CACHE_HOME", in("theirs"), 1);
	} else {
		setenv("XDG_CACHE_HOME", "/usr", 1);
	}
	check_open(place_open(&place, 1), in(".cache/sc"));
	assert_false(exists(in("theirs/sc")));
}

static void parents_of_the_default_are_made_private(void **state)
{
	mode_t old = umask(0);
	int rc;

	(void)state;
	setenv("HOME", base, 1);
	rc = place_open(&place, 1);
	umask(old);
	check_open(rc, in(".cache/sc"));
	assert_int_equal(mode_of(in(".cache")), 0700);
}

static void a_linked_dot_cache_is_the_users_business(void **state)
{
	(void)state;
	make_dir("elsewhere", 0755);
	assert_int_equal(symlink("elsewhere", in(".cache")), 0);
	setenv("HOME", base, 1);
	check_open(place_open(&place, 1), in(".cache/sc"));
	assert_true(exists(in("elsewhere/sc")));
	assert_int_equal(rmdir(in("elsewhere/sc")), 0);
	assert_int_equal(symlink("..", in("elsewhere/sc")), 0);
	check_refused(place_open(&place, 1), SC_EUNSAFE, "symbolic link");
}

static void an_unsafe_default_is_refused_not_passed_over(void **state)
{
	(void)state;
	make_dir("sc", 0777);
	setenv("XDG_CACHE_HOME", base, 1);
	setenv("HOME", base, 1);
	check_refused(place_open(&place, 1), SC_EUNSAFE, "chmod go-w");
	assert_false(exists(in(".cache")));
}

static int with_tmp(int create)
{
	char expected[64];
	int rc = place_open(&place, create);

	snprintf(expected, sizeof expected, "/tmp/sc-%u", (unsigned)geteuid());
	if (strcmp(place.path, expected) != 0)
		return 20;
	if (create && (rc != 0 || mode_of(expected) != 0700 || rmdir(expected) != 0))
		return 21;
	place_close(&place);
	return rc == 0 || rc == SC_ENOENT ? 0 : 22;
}

/* As somebody whose /tmp/sc-<uid> nobody uses, when that can be. */
static int as_nobody(int (*f)(int), int arg)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		uid_t uid = (uid_t)(1000000 + getpid());

		if (geteuid() != 0)
			_exit(f(0));
		if (chmod(base, 0755) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
			_exit(10);
		_exit(f(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static void without_a_home_it_is_tmp(void **state)
{
	(void)state;
	assert_int_equal(as_nobody(with_tmp, 1), 0);
	setenv("HOME", "/nonexistent", 1);
	assert_int_equal(as_nobody(with_tmp, 1), 0);
	assert_false(exists("/nonexistent"));
	setenv("HOME", "relative", 1);
	assert_int_equal(as_nobody(with_tmp, 1), 0);
	/* A home that cannot be written to. */
	make_dir("home", 0700);
	make_file("home/.cache", "");
	assert_int_equal(chmod(in("home"), 0500), 0);
	setenv("HOME", in("home"), 1);
	assert_int_equal(as_nobody(with_tmp, 1), 0);
	/* One that is not ours, as with sudo. */
	setenv("HOME", geteuid() ? "/" : base, 1);
	assert_int_equal(as_nobody(with_tmp, 1), 0);
}

static int with_closed_parent(int unused)
{
	char parent[64], path[80], said[128];
	int rc;

	(void)unused;
	snprintf(parent, sizeof parent, "/tmp/sc-test-paths-closed-%d", getpid());
	snprintf(path, sizeof path, "%s/cache", parent);
	snprintf(said, sizeof said, "cannot make %s: Permission denied (", path);
	if (mkdir(parent, 0500) < 0)
		return 30;
	rc = place_open_at(&place, path, 1);
	if (rc != SC_ESYS || errno != EACCES)
		return 31;
	if (rmdir(parent) < 0)
		return 32;
	return strstr(place.why, said) ? 0 : 33;
}

static void a_parent_we_may_not_write_to_is_named(void **state)
{
	(void)state;
	assert_int_equal(as_nobody(with_closed_parent, 0), 0);
}

static void a_set_uid_process_looks_at_no_variable(void **state)
{
	char path[SC_PATH_MAX];

	(void)state;
	setenv("SC_DIR", in("cache"), 1);
	setenv("HOME", base, 1);
	setenv("XDG_CACHE_HOME", base, 1);
	set_uid = true;
	assert_int_equal(as_nobody(with_tmp, 1), 0);
	assert_int_equal(place_config(path), SC_ENOENT);
}

static void everybody_means_the_same_place_before_it_is_made(void **state)
{
	(void)state;
	make_dir("home", 0700);
	setenv("HOME", in("home"), 1);
	assert_int_equal(place_open(&place, 0), SC_ENOENT);
	assert_string_equal(place.path, in("home/.cache/sc"));
	make_dir("home/.cache", 0700);
	assert_int_equal(place_open(&place, 0), SC_ENOENT);
	assert_string_equal(place.path, in("home/.cache/sc"));
	check_open(place_open(&place, 1), in("home/.cache/sc"));
}

/* ---- network file systems ---- */

static int with_var_tmp(int create)
{
	char expected[64];
	int rc = place_open(&place, create);

	snprintf(expected, sizeof expected, "/var/tmp/sc-%u", (unsigned)geteuid());
	if (strcmp(place.path, expected) != 0)
		return 20;
	if (create && (rc != 0 || mode_of(expected) != 0700 || rmdir(expected) != 0))
		return 21;
	place_close(&place);
	return rc == 0 || rc == SC_ENOENT ? 0 : 22;
}

static int home_on_nfs(int create)
{
	char home[128];
	int rc;

	snprintf(home, sizeof home, "/tmp/sc-test-paths-home-%d", getpid());
	strcpy(base, home); /* whose file system is told to be another */
	if (mkdir(home, 0700) < 0)
		return 40;
	setenv("HOME", home, 1);
	home_type = NFS;
	rc = with_var_tmp(create);
	home_type = 0;
	if (rmdir(home) < 0)
		return 41; /* something was left in it */
	return rc;
}

static void a_default_on_a_network_file_system_moves_to_var_tmp(void **state)
{
	(void)state;
	assert_int_equal(as_nobody(home_on_nfs, 1), 0);
}

static void sc_dir_on_a_network_file_system_is_refused_unless_config_allows_it(void **state)
{
	static const long types[] = {0x6969, 0xff534d42, 0x517b, 0xfe534d42, 0x65735546, 0x01021997, 0x00c36400, 0x5346414f};

	(void)state;
	make_dir("cache", 0700);
	setenv("SC_DIR", in("cache"), 1);
	for (size_t i = 0; i < COUNT(types); i++) {
		home_type = types[i];
		check_refused(place_open(&place, 1), SC_EUNSAFE, "network-fs = on");
	}
	home_type = 0x794c7630; /* overlayfs */
	check_open(place_open(&place, 1), in("cache"));
	home_type = NFS;
	make_file("cache/config", "network-fs = on\n");
	check_open(place_open(&place, 1), in("cache"));
}

static void a_file_system_has_a_name_for_people(void **state)
{
	static const struct {
		long type;
		const char *name;
		bool network;
	} rows[] = {{0xef53, "ext4", false}, {0x6969, "NFS", true}, {0x65735546, "FUSE", true}, {0x12345, "0x12345", false}};
	char name[16];
	bool network;

	(void)state;
	make_dir("cache", 0700);
	make_file("cache/config", "network-fs = on\n");
	setenv("SC_DIR", in("cache"), 1);
	for (size_t i = 0; i < COUNT(rows); i++) {
		home_type = rows[i].type;
		assert_int_equal(place_open(&place, 1), 0);
		place_file_system(&place, name, &network);
		place_close(&place);
		assert_string_equal(name, rows[i].name);
		assert_int_equal(network, rows[i].network);
	}
}

static void config_lies_where_xdg_says(void **state)
{
	char path[SC_PATH_MAX];

	(void)state;
	assert_int_equal(place_config(path), SC_ENOENT);
	setenv("HOME", "/home/me", 1);
	assert_int_equal(place_config(path), 0);
	assert_string_equal(path, "/home/me/.config/sc/config");
	setenv("XDG_CONFIG_HOME", "/etc/me", 1);
	assert_int_equal(place_config(path), 0);
	assert_string_equal(path, "/etc/me/sc/config");
	setenv("XDG_CONFIG_HOME", "relative", 1);
	assert_int_equal(place_config(path), 0);
	assert_string_equal(path, "/home/me/.config/sc/config");
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(sc_dir_is_made_0700_and_found_again),
		T(sc_dir_comes_before_all_others_and_is_never_passed_over),
		T(an_empty_variable_is_none),
		T(a_relative_sc_dir_becomes_absolute),
		T(parents_are_made_below_home_only),
		T(modes_are_0700_whatever_the_umask_and_the_parent),
		T(one_that_is_merely_readable_becomes_0700),
		T(one_that_others_may_write_to_is_refused_with_the_line_that_mends_it),
		T(a_link_is_refused_however_it_is_written),
		T(what_is_no_directory_is_refused),
		T(a_directory_of_somebody_else_is_refused_by_name),
		T(a_path_of_any_length_and_any_letters_is_said_in_one_line),
		T(xdg_comes_before_home),
		T(a_missing_xdg_cache_home_is_made_but_not_its_parents),
		T(a_default_that_cannot_be_had_is_passed_over),
		T(parents_of_the_default_are_made_private),
		T(a_linked_dot_cache_is_the_users_business),
		T(an_unsafe_default_is_refused_not_passed_over),
		T(without_a_home_it_is_tmp),
		T(a_parent_we_may_not_write_to_is_named),
		T(a_set_uid_process_looks_at_no_variable),
		T(everybody_means_the_same_place_before_it_is_made),
		T(a_default_on_a_network_file_system_moves_to_var_tmp),
		T(sc_dir_on_a_network_file_system_is_refused_unless_config_allows_it),
		T(a_file_system_has_a_name_for_people),
		T(config_lies_where_xdg_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

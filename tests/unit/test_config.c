/* What `config` may say, where it is looked for, when it is not trusted, and that one bad line costs that line only. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/config.h"
#include "lib/err.h"
#include "lib/limits.h"

static char base[64];
static int dir_fd;
static char complaints[8192];
static unsigned ncomplaints;

static void on_complaint(void *arg, const char *file, int line, const char *why)
{
	size_t n = strlen(complaints);

	assert_ptr_equal(arg, base);
	ncomplaints++;
	snprintf(complaints + n, sizeof complaints - n, "%s:%d: %s\n", file, line, why);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(base, "/tmp/sc-test-config-XXXXXX");
	assert_non_null(mkdtemp(base));
	dir_fd = open(base, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	assert_true(dir_fd >= 0);
	clearenv();
	complaints[0] = '\0';
	ncomplaints = 0;
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
	close(dir_fd);
	return nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_bytes(const char *name, const char *text, size_t n)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
	close(fd);
}

static void write_file(const char *name, const char *text)
{
	write_bytes(name, text, strlen(text));
}

static int read_config(struct config *c)
{
	complaints[0] = '\0';
	ncomplaints = 0;
	config_init(c);
	return config_read(c, dir_fd, on_complaint, base);
}

static void check_complaints(const char *text)
{
	assert_string_equal(complaints, text);
}

static void without_a_file_the_defaults_stand(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(read_config(&c), SC_ENOENT);
	assert_int_equal(c.idle_exit_ms, 600000);
	assert_int_equal(c.ttl_ms, 3600000);
	assert_false(c.network_fs);
	setenv("HOME", base, 1);
	assert_int_equal(read_config(&c), SC_ENOENT);
	check_complaints("");
}

static void every_setting_is_read(void **state)
{
	struct config c;

	(void)state;
	write_file("config",
		   "# comment\n; comment\n\nidle-exit = forever\n  ttl=1h30m   ; as long as lunch\r\nnetwork-fs = on\n");
	assert_int_equal(read_config(&c), 0);
	check_complaints("");
	assert_true(c.idle_exit_ms == SC_FOREVER);
	assert_int_equal(c.ttl_ms, 5400000);
	assert_true(c.network_fs);
	write_file("config", "idle-exit: 500ms\nttl = 0\nnetwork-fs = off"); /* no final newline */
	assert_int_equal(read_config(&c), 0);
	check_complaints("");
	assert_int_equal(c.idle_exit_ms, 500);
	assert_int_equal(c.ttl_ms, 0);
	assert_false(c.network_fs);
}

static void what_a_file_does_not_name_stays(void **state)
{
	struct config c;

	(void)state;
	write_file("config", "ttl = 5m\n");
	assert_int_equal(read_config(&c), 0);
	assert_int_equal(c.idle_exit_ms, 600000);
	assert_int_equal(c.ttl_ms, 300000);
	write_file("config", "");
	assert_int_equal(read_config(&c), 0);
	assert_int_equal(c.ttl_ms, 3600000);
}

static void a_bad_line_is_named_and_costs_only_itself(void **state)
{
	struct config c;

	(void)state;
	write_file("config", "idle-exit = soon\n"
			     "tll = 5m\n"
			     "\n"
			     "ttl = 7m\n"
			     "   network-fs = maybe\n"
			     "nonsense\n"
			     "idle-exit = 3m\n");
	assert_int_equal(read_config(&c), 0);
	check_complaints("config:1: idle-exit = soon: not a duration, such as 10m or forever\n"
			 "config:2: there is no setting \"tll\"\n"
			 "config:5: network-fs = maybe: not on or off\n"
			 "config:6: is neither \"setting = value\" nor a comment\n");
	assert_int_equal(c.ttl_ms, 420000);
	assert_int_equal(c.idle_exit_ms, 180000);
	assert_false(c.network_fs);
}

static void a_section_is_unknown_with_all_that_is_in_it(void **state)
{
	struct config c;

	(void)state;
	write_file("config", "ttl = 7m\n[cache]\nttl = 8m\nnonsense\n");
	assert_int_equal(read_config(&c), 0);
	check_complaints("config:2: there is no section [cache] (what follows is not read)\n");
	assert_int_equal(c.ttl_ms, 420000);
}

static void what_is_shown_of_a_bad_line_is_safe_for_a_terminal(void **state)
{
	struct config c;

	(void)state;
	write_file("config", "ttl = \033[2J\n\033]0;x\007 = 1\n");
	assert_int_equal(read_config(&c), 0);
	assert_int_equal(ncomplaints, 2);
	assert_null(strchr(complaints, '\033'));
	assert_null(strchr(complaints, '\007'));
}

static void long_lines_and_nuls_cost_only_themselves(void **state)
{
	static char text[3000] = "ttl = 7m\n";
	struct config c;
	size_t n = strlen(text);

	(void)state;
	memset(text + n, 'x', 1000);
	memcpy(text + n, "idle-exit = 5m ;", 16);
	memcpy(text + n + 1000, "\nttl = 8\0m\nidle-exit = 4m\n", 27);
	write_bytes("config", text, n + 1000 + 26);
	assert_int_equal(read_config(&c), 0);
	check_complaints("config:2: is too long\nconfig:3: has a NUL byte\n");
	assert_int_equal(c.ttl_ms, 420000);
	assert_int_equal(c.idle_exit_ms, 240000);
}

static void an_endless_file_is_not_read_to_its_end(void **state)
{
	static char text[100000];
	struct config c;

	(void)state;
	memset(text, '\n', sizeof text);
	memcpy(text, "ttl = 7m", 8);
	memcpy(text + sizeof text - 10, "\nttl = 8m\n", 10);
	write_bytes("config", text, sizeof text);
	assert_int_equal(read_config(&c), 0);
	check_complaints("config:65530: is the last of 64K, the rest is not read\n");
	assert_int_equal(c.ttl_ms, 420000);
}

static void the_cache_directory_comes_first_then_xdg_then_home(void **state)
{
	struct config c;
	char path[128], said[256];

	(void)state;
	snprintf(path, sizeof path, "%s/xdg", base);
	assert_int_equal(mkdirat(dir_fd, "xdg", 0700), 0);
	assert_int_equal(mkdirat(dir_fd, "xdg/sc", 0700), 0);
	assert_int_equal(mkdirat(dir_fd, ".config", 0700), 0);
	assert_int_equal(mkdirat(dir_fd, ".config/sc", 0700), 0);
	write_file(".config/sc/config", "ttl = 3m\n");
	write_file("xdg/sc/config", "ttl = 2m\nbad\n");
	write_file("config", "ttl = 1m\n");
	setenv("HOME", base, 1);
	setenv("XDG_CONFIG_HOME", path, 1);
	assert_int_equal(read_config(&c), 0);
	assert_int_equal(c.ttl_ms, 60000);
	assert_int_equal(unlinkat(dir_fd, "config", 0), 0);
	assert_int_equal(read_config(&c), 0);
	assert_int_equal(c.ttl_ms, 120000);
	snprintf(said, sizeof said, "%s/sc/config:2: is neither \"setting = value\" nor a comment\n", path);
	check_complaints(said);
	unsetenv("XDG_CONFIG_HOME");
	assert_int_equal(read_config(&c), 0);
	assert_int_equal(c.ttl_ms, 180000);
	/* In a home, links are usual. */
	assert_int_equal(renameat(dir_fd, ".config/sc/config", dir_fd, "dotfile"), 0);
	assert_int_equal(symlinkat("../../dotfile", dir_fd, ".config/sc/config"), 0);
	assert_int_equal(read_config(&c), 0);
	assert_int_equal(c.ttl_ms, 180000);
}

static void check_unsafe(const char *why)
{
	struct config c;
	char said[256];

	assert_int_equal(read_config(&c), SC_EUNSAFE);
	snprintf(said, sizeof said, "config:0: %s\n", why);
	check_complaints(said);
	assert_int_equal(c.ttl_ms, 3600000);
}

static void a_file_that_others_could_have_written_is_not_read(void **state)
{
	(void)state;
	setenv("HOME", base, 1);
	write_file("config", "ttl = 1m\n");
	assert_int_equal(fchmodat(dir_fd, "config", 0620, 0), 0);
	check_unsafe("is writable by others, so it is not read (chmod go-w)");
	assert_int_equal(unlinkat(dir_fd, "config", 0), 0);
	write_file("real", "ttl = 1m\n");
	assert_int_equal(symlinkat("real", dir_fd, "config"), 0);
	check_unsafe("is a symbolic link, so it is not read");
	assert_int_equal(unlinkat(dir_fd, "config", 0), 0);
	assert_int_equal(mkfifoat(dir_fd, "config", 0600), 0);
	check_unsafe("is not a regular file, so it is not read");
	assert_int_equal(unlinkat(dir_fd, "config", 0), 0);
	assert_int_equal(mkdirat(dir_fd, "config", 0700), 0);
	check_unsafe("is not a regular file, so it is not read");
}

static void a_file_of_somebody_else_is_not_read_but_roots_is(void **state)
{
	struct config c;

	(void)state;
	if (geteuid() == 0) {
		write_file("config", "ttl = 1m\n");
		assert_int_equal(fchownat(dir_fd, "config", 12345, 12345, 0), 0);
		check_unsafe("belongs to uid 12345, so it is not read");
	} else {
		/* Root's, reached by a link in our home. */
		setenv("HOME", base, 1);
		assert_int_equal(mkdirat(dir_fd, ".config", 0700), 0);
		assert_int_equal(mkdirat(dir_fd, ".config/sc", 0700), 0);
		assert_int_equal(symlinkat("/dev/../etc/passwd", dir_fd, ".config/sc/config"), 0);
		assert_int_equal(read_config(&c), 0);
		assert_true(ncomplaints > 0);
	}
}

static void nobody_needs_to_listen(void **state)
{
	struct config c;

	(void)state;
	config_init(&c);
	write_file("config", "bad\nttl = 1m\nworse = 1\n");
	assert_int_equal(config_read(&c, dir_fd, NULL, NULL), 0);
	assert_int_equal(c.ttl_ms, 60000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(without_a_file_the_defaults_stand),
		T(every_setting_is_read),
		T(what_a_file_does_not_name_stays),
		T(a_bad_line_is_named_and_costs_only_itself),
		T(a_section_is_unknown_with_all_that_is_in_it),
		T(what_is_shown_of_a_bad_line_is_safe_for_a_terminal),
		T(long_lines_and_nuls_cost_only_themselves),
		T(an_endless_file_is_not_read_to_its_end),
		T(the_cache_directory_comes_first_then_xdg_then_home),
		T(a_file_that_others_could_have_written_is_not_read),
		T(a_file_of_somebody_else_is_not_read_but_roots_is),
		T(nobody_needs_to_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static void without_a_line_the_limits_are_the_defaults(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(read_config(&c), SC_ENOENT);
	assert_true(c.limits.max_size == 10ULL << 30);
	assert_int_equal(c.limits.max_files, 1000000);
	assert_true(c.limits.max_entry == SC_FOREVER);
	assert_int_equal(c.nbuckets, 0);
	assert_null(config_bucket(&c, "default"));
	/* The smaller of 512 MiB and a twentieth. */
	assert_int_equal(config_min_free(&c, 1ULL << 40), 512 << 20);
	assert_int_equal(config_min_free(&c, 1000 << 20), 50 << 20);
	/* One larger than all there may be could not be kept. */
	assert_true(config_max_entry(&c, "default") == 10ULL << 30);
}

static void limits_are_read(void **state)
{
	struct config c;

	(void)state;
	write_file("config", "max-size = 2G\nmax-files = 500\nmin-free=100MB\nmax-entry = 1M\n");
	assert_int_equal(read_config(&c), 0);
	check_complaints("");
	assert_true(c.limits.max_size == 2ULL << 30);
	assert_int_equal(c.limits.max_files, 500);
	assert_int_equal(config_min_free(&c, 1ULL << 40), 100000000);
	assert_int_equal(c.limits.max_entry, 1 << 20);
	assert_int_equal(config_max_entry(&c, "any"), 1 << 20);
	write_file("config", "max-size = none\nmax-files = none\nmin-free = none\nmax-entry = none\nwindow = none\n");
	assert_int_equal(read_config(&c), 0);
	check_complaints("");
	assert_true(c.limits.max_size == SC_FOREVER);
	assert_true(c.limits.max_files == SC_FOREVER);
	assert_int_equal(config_min_free(&c, 1ULL << 40), 0);
	assert_true(config_max_entry(&c, "any") == SC_FOREVER);
	write_file("config", "min-free = none\nmin-free = auto\n");
	assert_int_equal(read_config(&c), 0);
	check_complaints("");
	assert_int_equal(config_min_free(&c, 1ULL << 40), 512 << 20);
}

static void a_limit_of_0_or_of_absurd_size_is_refused(void **state)
{
	struct config c;

	(void)state;
	write_file("config", "max-size = 0\nmax-files = 0\nmin-free = 0K\nmax-entry = 0\nwindow = 0\n"
			     "max-size = 99999999T\nmax-files = 99999999999999999999\n"
			     "max-size = -1\nmax-size = 1.5X\nmax-files = 10M\nmax-size = forever\nmax-size =\nttl = none\n");
	assert_int_equal(read_config(&c), 0);
	check_complaints("config:1: max-size = 0: 0 would keep nothing (none: no limit)\n"
			 "config:2: max-files = 0: 0 would keep nothing (none: no limit)\n"
			 "config:3: min-free = 0K: 0 is said as none\n"
			 "config:4: max-entry = 0: 0 would keep nothing (none: no limit)\n"
			 "config:5: window = 0: 0 would never go on (none: no limit)\n"
			 "config:6: max-size = 99999999T: too large (none: no limit)\n"
			 "config:7: max-files = 99999999999999999999: too large (none: no limit)\n"
			 "config:8: max-size = -1: not a size, such as 16M, or none\n"
			 "config:9: max-size = 1.5X: not a size, such as 16M, or none\n"
			 "config:10: max-files = 10M: not a number, such as 10000, or none\n"
			 "config:11: max-size = forever: not a size, such as 16M, or none\n"
			 "config:12: max-size = : not a size, such as 16M, or none\n"
			 "config:13: ttl = none: not a duration, such as 10m or forever\n");
	assert_true(c.limits.max_size == 10ULL << 30);
	assert_int_equal(c.limits.max_files, 1000000);
	assert_true(c.limits.min_free == SC_MIN_FREE_AUTO);
	assert_true(c.limits.max_entry == SC_FOREVER);
	assert_int_equal(c.window, SC_WINDOW);
}

static void a_limit_that_another_makes_senseless_is_refused_wherever_it_stands(void **state)
{
	struct config c;

	(void)state;
	write_file("config", "max-entry = 20G\n");
	assert_int_equal(read_config(&c), 0);
	check_complaints("config:1: max-entry = 20G: larger than max-size, 10G\n");
	assert_true(c.limits.max_entry == SC_FOREVER);
	write_file("config", "max-entry = 20G\nmax-size = 30G\n");
	assert_int_equal(read_config(&c), 0);
	check_complaints("");
	write_file("config", "max-size = 1G\nmax-files = 100\n[bucket a]\nmax-entry = 60M\nmax-size = 50M\n"
			     "[bucket b]\nmax-size = 2G\nmax-files = 101\nmax-entry = 3G\n");
	assert_int_equal(read_config(&c), 0);
	check_complaints("config:4: max-entry = 60M: larger than max-size of the bucket, 50M\n"
			 "config:7: max-size = 2G: larger than max-size of the cache, 1G\n"
			 "config:8: max-files = 101: larger than max-files of the cache, 100\n"
			 "config:9: max-entry = 3G: larger than max-size of the cache, 1G\n");
	assert_int_equal(config_max_entry(&c, "a"), 50 << 20);
	assert_int_equal(config_max_entry(&c, "b"), 1 << 30);
	assert_int_equal(config_bucket(&c, "a")->limits.max_size, 50 << 20);
	assert_true(config_bucket(&c, "b")->limits.max_size == SC_FOREVER);
	assert_true(config_bucket(&c, "b")->limits.max_files == SC_FOREVER);
}

static void a_bucket_has_what_its_section_says_and_else_what_the_cache_has(void **state)
{
	struct config c;

	(void)state;
	write_file("config", "ttl = 7m\nmax-entry = 1M\n"
			     "[bucket ci]   ; comment\nmax-size = 1G\nmax-files = 10\nmax-entry = 5M\nttl = forever\n"
			     "  [ bucket\t a.b_c-9 ]\nttl = 1h\n"
			     "[bucket empty]\n"
			     "[bucket ci]\nmax-files = 20\nttl = 8m\n");
	assert_int_equal(read_config(&c), 0);
	check_complaints("");
	assert_int_equal(c.nbuckets, 3);
	assert_true(config_bucket(&c, "ci")->limits.max_size == 1 << 30);
	assert_int_equal(config_bucket(&c, "ci")->limits.max_files, 20);
	assert_int_equal(config_max_entry(&c, "ci"), 5 << 20);
	assert_int_equal(config_ttl(&c, "ci"), 480000);
	assert_int_equal(config_ttl(&c, "a.b_c-9"), 3600000);
	assert_int_equal(config_ttl(&c, "empty"), 420000);
	assert_int_equal(config_max_entry(&c, "empty"), 1 << 20);
	assert_true(config_bucket(&c, "empty")->limits.max_size == SC_FOREVER);
	assert_null(config_bucket(&c, "other"));
	assert_int_equal(config_ttl(&c, "other"), 420000);
	/* What is of one bucket is not of the cache. */
	assert_int_equal(c.ttl_ms, 420000);
	assert_int_equal(c.limits.max_files, 1000000);
}

static void what_follows_a_bad_section_sets_nothing_anywhere(void **state)
{
	static const char long_name[] =
		"[bucket 0123456789012345678901234567890123456789012345678901234567890123]\nttl = 2m\n"
		"[bucket 01234567890123456789012345678901234567890123456789012345678901234]\nttl = 3m\n";
	struct config c;

	(void)state;
	write_file("config", "[bucket ok]\nttl = 1m\n"
			     "[bucket A/..]\nttl = 2m\nnonsense\n"
			     "[bucket]\nttl = 2m\n"
			     "[bucket ]\nttl = 2m\n"
			     "[buckets x]\nttl = 2m\n"
			     "[bucket a b]\nttl = 2m\n"
			     "[bucket x\nttl = 2m\n"
			     "[bucket x] ttl = 2m\nttl = 2m\n"
			     "\xef\xbb\xbf[ \033 ]\nttl = 2m\n"
			     "\v[]\nttl = 2m\n");
	assert_int_equal(read_config(&c), 0);
	check_complaints("config:3: [bucket A/..] names no bucket, 1 to 64 of a-z 0-9 . _ - (what follows is not read)\n"
			 "config:6: [bucket] names no bucket, 1 to 64 of a-z 0-9 . _ - (what follows is not read)\n"
			 "config:8: [bucket ] names no bucket, 1 to 64 of a-z 0-9 . _ - (what follows is not read)\n"
			 "config:10: there is no section [buckets x] (what follows is not read)\n"
			 "config:12: [bucket a b] names no bucket, 1 to 64 of a-z 0-9 . _ - (what follows is not read)\n"
			 "config:14: is not \"[bucket NAME]\" (what follows is not read)\n"
			 "config:16: is not \"[bucket NAME]\" (what follows is not read)\n"
			 "config:18: there is no section [ \\x1b ] (what follows is not read)\n"
			 "config:20: there is no section [] (what follows is not read)\n");
	assert_int_equal(c.nbuckets, 1);
	assert_int_equal(config_ttl(&c, "ok"), 60000);
	assert_int_equal(c.ttl_ms, 3600000);
	/* Longer than libinih keeps of a section's name. */
	write_file("config", long_name);
	assert_int_equal(read_config(&c), 0);
	assert_int_equal(ncomplaints, 1);
	assert_int_equal(config_ttl(&c, "0123456789012345678901234567890123456789012345678901234567890123"), 120000);
	assert_int_equal(c.nbuckets, 1);
}

static void what_is_of_the_cache_alone_is_refused_in_a_bucket(void **state)
{
	struct config c;

	(void)state;
	write_file("config", "[bucket x]\nmin-free = 1G\nidle-exit = 1h\nwindow = 1M\nnetwork-fs = on\nmemory = 1M\n");
	assert_int_equal(read_config(&c), 0);
	assert_int_equal(ncomplaints, 5);
	assert_non_null(strstr(complaints, "config:2: min-free is of the whole cache, not of a bucket (it belongs above the "
					   "first section)\n"));
	assert_true(c.limits.min_free == SC_MIN_FREE_AUTO);
	assert_int_equal(c.idle_exit_ms, 600000);
	assert_int_equal(c.window, SC_WINDOW);
	assert_int_equal(c.memory, SC_MEMORY);
	assert_false(c.network_fs);
}

static void memory_may_be_none_of_it_but_not_all_there_is(void **state)
{
	struct config c;

	(void)state;
	write_file("config", "memory = 1G\nmemory = none\nmemory = off\nmemory = 99999999T\n");
	assert_int_equal(read_config(&c), 0);
	check_complaints("config:2: memory = none: not a size, such as 64M, or 0 for none of it\n"
			 "config:3: memory = off: not a size, such as 64M, or 0 for none of it\n"
			 "config:4: memory = 99999999T: too large\n");
	assert_true(c.memory == 1ULL << 30);
	write_file("config", "memory = 0\n");
	assert_int_equal(read_config(&c), 0);
	check_complaints("");
	assert_int_equal(c.memory, 0);
}

static void more_buckets_than_there_is_room_for_cost_only_themselves(void **state)
{
	char text[8192] = "";
	struct config c;

	(void)state;
	for (int i = 0; i <= SC_BUCKETS_MAX; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "[bucket b%d]\nttl = %dm\n", i, i + 1);
	snprintf(text + strlen(text), sizeof text - strlen(text), "[bucket b0]\nttl = 9h\n");
	write_file("config", text);
	assert_int_equal(read_config(&c), 0);
	check_complaints(
		"config:257: [bucket b128] is one too many, 128 buckets may have a section (what follows is not read)\n");
	assert_int_equal(c.nbuckets, SC_BUCKETS_MAX);
	assert_int_equal(config_ttl(&c, "b127"), 128 * 60000);
	assert_int_equal(config_ttl(&c, "b0"), 9 * 3600000);
}

static void check_setting(const struct config *c, const char *bucket, enum setting which, const char *name, uint64_t value,
			  int line)
{
	struct setting_value v;

	assert_true(config_get(c, bucket ? config_bucket(c, bucket) : NULL, which, &v));
	assert_string_equal(v.name, name);
	assert_true(v.value == value);
	assert_int_equal(v.line, line);
}

static void each_value_knows_its_line_and_the_last_one_that_was_good_wins(void **state)
{
	struct setting_value v;
	struct config c;

	(void)state;
	write_file("config", "ttl = 1m\nttl = 2m\nttl = soon\nnetwork-fs = on\nmax-entry = 11G\n"
			     "[bucket x]\nmax-files = 7\n");
	assert_int_equal(read_config(&c), 0);
	assert_int_equal(ncomplaints, 2);
	assert_string_equal(c.file, "config");
	check_setting(&c, NULL, SET_TTL, "ttl", 120000, 2);
	check_setting(&c, NULL, SET_NETWORK_FS, "network-fs", 1, 4);
	check_setting(&c, NULL, SET_MAX_ENTRY, "max-entry", SC_FOREVER, 0);
	check_setting(&c, NULL, SET_IDLE_EXIT, "idle-exit", 600000, 0);
	check_setting(&c, "x", SET_MAX_FILES, "max-files", 7, 7);
	check_setting(&c, "x", SET_MAX_SIZE, "max-size", SC_FOREVER, 0);
	check_setting(&c, "x", SET_TTL, "ttl", 120000, 2);
	assert_false(config_get(&c, config_bucket(&c, "x"), SET_MIN_FREE, &v));
}

static void a_directory_that_is_not_there_yet_has_no_config(void **state)
{
	struct config c;

	(void)state;
	config_init(&c);
	assert_int_equal(config_read(&c, -1, NULL, NULL), SC_ENOENT);
	assert_string_equal(c.file, "");
	setenv("HOME", base, 1);
	assert_int_equal(mkdirat(dir_fd, ".config", 0700), 0);
	assert_int_equal(mkdirat(dir_fd, ".config/sc", 0700), 0);
	write_file(".config/sc/config", "ttl = 3m\n");
	assert_int_equal(config_read(&c, -1, NULL, NULL), 0);
	assert_int_equal(c.ttl_ms, 180000);
	assert_non_null(strstr(c.file, "/.config/sc/config"));
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

static void a_comment_may_be_as_long_as_it_likes(void **state)
{
	char text[1000] = "  # ";
	struct config c;

	(void)state;
	memset(text + 4, '=', 600);
	memcpy(text + 604, "\n;\0\nttl = 7m\n", 14);
	write_bytes("config", text, 604 + 13);
	assert_int_equal(read_config(&c), 0);
	check_complaints("");
	assert_int_equal(c.ttl_ms, 420000);
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
		T(without_a_line_the_limits_are_the_defaults),
		T(limits_are_read),
		T(a_limit_of_0_or_of_absurd_size_is_refused),
		T(a_limit_that_another_makes_senseless_is_refused_wherever_it_stands),
		T(a_bucket_has_what_its_section_says_and_else_what_the_cache_has),
		T(what_follows_a_bad_section_sets_nothing_anywhere),
		T(what_is_of_the_cache_alone_is_refused_in_a_bucket),
		T(memory_may_be_none_of_it_but_not_all_there_is),
		T(more_buckets_than_there_is_room_for_cost_only_themselves),
		T(each_value_knows_its_line_and_the_last_one_that_was_good_wins),
		T(a_directory_that_is_not_there_yet_has_no_config),
		T(what_is_shown_of_a_bad_line_is_safe_for_a_terminal),
		T(long_lines_and_nuls_cost_only_themselves),
		T(a_comment_may_be_as_long_as_it_likes),
		T(an_endless_file_is_not_read_to_its_end),
		T(the_cache_directory_comes_first_then_xdg_then_home),
		T(a_file_that_others_could_have_written_is_not_read),
		T(a_file_of_somebody_else_is_not_read_but_roots_is),
		T(nobody_needs_to_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

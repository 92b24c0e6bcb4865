/* The log: one line an event, whatever is in it; never an error to its caller. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/log.h"

struct dir {
	char path[64];
	int fd;
};

static int make_dir(void **state)
{
	const char *base = getenv("TMPDIR");
	struct dir *d = calloc(1, sizeof(*d));

	if (!d)
		return -1;
	snprintf(d->path, sizeof(d->path), "%s/log.XXXXXX", base && strlen(base) < 48 ? base : "/tmp");
	if (!mkdtemp(d->path))
		return -1;
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = d;
	return d->fd < 0 ? -1 : 0;
}

static int remove_dir(void **state)
{
	static const char *const names[] = {"log", "log.1", "other"};
	struct dir *d = *state;

	for (size_t i = 0; i < COUNT(names); i++) {
		unlinkat(d->fd, names[i], 0);
		unlinkat(d->fd, names[i], AT_REMOVEDIR);
	}
	close(d->fd);
	rmdir(d->path);
	free(d);
	return 0;
}

/* The whole file as text; freed by the caller. NULL: no such file. */
static char *read_file(const struct dir *d, const char *name)
{
	int fd = openat(d->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	char *text;

	if (fd < 0)
		return NULL;
	assert_int_equal(fstat(fd, &st), 0);
	text = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(text);
	assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
	close(fd);
	return text;
}

static unsigned count_lines(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* The log counts its lines by seconds: begin with a whole one, so that what follows is one second's worth. No sleep. */
static void begin_a_second(void)
{
	uint64_t now = clock_run_ms();

	while (clock_run_ms() / 1000 == now / 1000)
		;
}

static void an_event_is_one_line_with_time_and_pid(void **state)
{
	struct dir *d = *state;
	struct log *l = log_open(d->fd, "log");
	char pid[32];
	char *text;
	unsigned year;

	assert_non_null(l);
	log_event(l, "start", "version=%d dir=%s", 1, "/tmp/x");
	log_event(l, "stop", "%s", "");
	log_close(l);
	text = read_file(d, "log");
	assert_non_null(text);
	assert_int_equal(count_lines(text), 2);
	assert_int_equal(sscanf(text, "%4u-", &year), 1);
	assert_true(year >= 2024);
	assert_int_equal(strcspn(text, "Z"), strlen("2026-01-31T12:00:00.000"));
	snprintf(pid, sizeof(pid), " pid=%ld ", (long)getpid());
	assert_non_null(strstr(text, pid));
	assert_non_null(strstr(text, " event=start version=1 dir=/tmp/x\n"));
	assert_non_null(strstr(text, " event=stop\n"));
	free(text);
}

static void a_value_cannot_forge_a_line(void **state)
{
	struct dir *d = *state;
	struct log *l = log_open(d->fd, "log");
	char *text;

	assert_non_null(l);
	log_event(l, "ask", "key=%s", "a\n2026-01-01T00:00:00.000Z pid=1 event=forged\r\x1b[2J\x7f");
	log_close(l);
	text = read_file(d, "log");
	assert_int_equal(count_lines(text), 1);
	assert_non_null(strstr(text, "key=a\\x0a2026"));
	assert_non_null(strstr(text, "\\x0d\\x1b[2J\\x7f\n"));
	free(text);
}

static void a_line_that_is_too_long_is_cut_and_stays_one_line(void **state)
{
	struct dir *d = *state;
	struct log *l = log_open(d->fd, "log");
	char *value = malloc(100001);
	char *text;

	assert_non_null(l);
	assert_non_null(value);
	memset(value, '\n', 100000);
	value[100000] = '\0';
	log_event(l, "ask", "key=%s", value);
	memset(value, 'x', 100000);
	log_event(l, "ask", "key=%s", value);
	log_event(l, "ask", "key=%s", "short");
	log_close(l);
	text = read_file(d, "log");
	assert_int_equal(count_lines(text), 3);
	assert_true(strlen(text) < 20000);
	assert_non_null(strstr(text, "event=ask key=short\n"));
	free(text);
	free(value);
}

static void the_file_is_for_its_owner_only_whatever_the_umask(void **state)
{
	struct dir *d = *state;
	mode_t mask = umask(0);
	struct log *l = log_open(d->fd, "log");
	struct stat st;

	umask(mask);
	assert_non_null(l);
	assert_int_equal(fstatat(d->fd, "log", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	log_close(l);
}

static void what_is_not_a_file_of_ours_is_left_alone(void **state)
{
	struct dir *d = *state;
	struct log *l;
	struct stat st;

	assert_int_equal(symlinkat("other", d->fd, "log"), 0);
	l = log_open(d->fd, "log");
	assert_non_null(l);
	log_event(l, "start", "x=%d", 1);
	log_close(l);
	assert_int_equal(fstatat(d->fd, "other", &st, 0), -1);

	/* A FIFO must not make the daemon wait for a reader. */
	assert_int_equal(unlinkat(d->fd, "log", 0), 0);
	assert_int_equal(mkfifoat(d->fd, "log", 0600), 0);
	l = log_open(d->fd, "log");
	assert_non_null(l);
	log_event(l, "start", "x=%d", 1);
	log_close(l);

	assert_int_equal(unlinkat(d->fd, "log", 0), 0);
	assert_int_equal(mkdirat(d->fd, "log", 0700), 0);
	l = log_open(d->fd, "log");
	assert_non_null(l);
	log_event(l, "start", "x=%d", 1);
	log_close(l);
}

static void a_log_goes_on_behind_what_is_there(void **state)
{
	struct dir *d = *state;
	char *text;

	for (int i = 0; i < 3; i++) {
		struct log *l = log_open(d->fd, "log");

		assert_non_null(l);
		log_event(l, "start", "n=%d", i);
		log_close(l);
	}
	text = read_file(d, "log");
	assert_int_equal(count_lines(text), 3);
	assert_true(strstr(text, "n=0") < strstr(text, "n=2"));
	free(text);
}

static void a_flood_is_cut_off_and_the_next_line_says_by_how_many(void **state)
{
	struct dir *d = *state;
	struct log *l = log_open(d->fd, "log");
	unsigned lines, dropped = 0;
	char *text, *at;

	assert_non_null(l);
	begin_a_second();
	for (int i = 0; i < 3 * SC_LOG_RATE; i++)
		log_event(l, "flood", "n=%d", i);
	begin_a_second();
	log_event(l, "after", "n=%d", 0);
	log_close(l);
	text = read_file(d, "log");
	lines = count_lines(text);
	/* A slow machine may need more than a second for the flood; the sum holds on every one. */
	assert_true(lines < 3 * SC_LOG_RATE);
	for (at = text; (at = strstr(at, " dropped=")); at++)
		dropped += (unsigned)strtoul(at + strlen(" dropped="), NULL, 10);
	assert_int_equal(lines + dropped, 3 * SC_LOG_RATE + 1);
	assert_non_null(strstr(text, "event=after n=0 dropped="));
	free(text);
}

static void a_full_file_makes_way_for_a_new_one_and_is_kept_once(void **state)
{
	struct dir *d = *state;
	struct log *l, *other;
	char *text, *old;
	int fd = openat(d->fd, "log", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "oldest\n", 7), 7);
	assert_int_equal(ftruncate(fd, SC_LOG_MAX), 0);
	close(fd);
	l = log_open(d->fd, "log");
	other = log_open(d->fd, "log");
	assert_non_null(l);
	assert_non_null(other);
	log_event(l, "first", "n=%d", 1);
	/* The other one finds that it has been done, and follows. */
	log_event(other, "second", "n=%d", 2);
	log_close(l);
	log_close(other);
	text = read_file(d, "log");
	old = read_file(d, "log.1");
	assert_non_null(text);
	assert_non_null(old);
	assert_int_equal(count_lines(text), 2);
	assert_memory_equal(old, "oldest\n", 7);
	free(text);
	free(old);
}

static void a_log_that_cannot_be_written_hurts_nobody(void **state)
{
	struct dir *d = *state;
	struct log *l = log_open(-1, "log");

	errno = EXDEV;
	assert_non_null(l);
	log_event(l, "start", "x=%d", 1);
	log_event(NULL, "start", "x=%d", 1);
	assert_int_equal(errno, EXDEV);
	log_close(l);
	log_close(NULL);

	assert_int_equal(symlinkat("/dev/full", d->fd, "log"), 0);
	l = log_open(d->fd, "log");
	assert_non_null(l);
	log_event(l, "start", "x=%d", 1);
	/* When it becomes possible, it is done, and says what is missing. */
	assert_int_equal(unlinkat(d->fd, "log", 0), 0);
	begin_a_second();
	log_event(l, "later", "x=%d", 2);
	log_close(l);
	{
		char *text = read_file(d, "log");

		assert_non_null(text);
		assert_non_null(strstr(text, "event=later x=2 dropped=1\n"));
		free(text);
	}
}

static void without_a_name_it_is_stderr(void **state)
{
	int ends[2], status;
	char text[256];
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		struct log *l;

		dup2(ends[1], STDERR_FILENO);
		l = log_open(-1, NULL);
		log_event(l, "start", "x=%d", 1);
		log_close(l);
		/* Not ours to close. */
		_exit(fcntl(STDERR_FILENO, F_GETFD) < 0);
	}
	close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, " event=start x=1\n"));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(ends[0]);
}

static void *write_lines(void *arg)
{
	for (int i = 0; i < 40; i++)
		log_event(arg, "thread", "n=%d key=%0200d", i, 0);
	return NULL;
}

static void lines_of_several_threads_do_not_mix(void **state)
{
	struct dir *d = *state;
	struct log *l = log_open(d->fd, "log");
	pthread_t threads[4];
	char *text;

	assert_non_null(l);
	begin_a_second();
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, l), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		pthread_join(threads[i], NULL);
	log_close(l);
	text = read_file(d, "log");
	assert_int_equal(count_lines(text), 160);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		int n = -1, year;

		assert_int_equal(sscanf(line, "%d-%*s pid=%*d event=thread n=%d key=", &year, &n), 2);
		assert_true(n >= 0 && n < 40);
		assert_string_equal(line + strlen(line) - 4, "0000");
	}
	free(text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_event_is_one_line_with_time_and_pid),
		TEST(a_value_cannot_forge_a_line),
		TEST(a_line_that_is_too_long_is_cut_and_stays_one_line),
		TEST(the_file_is_for_its_owner_only_whatever_the_umask),
		TEST(what_is_not_a_file_of_ours_is_left_alone),
		TEST(a_log_goes_on_behind_what_is_there),
		TEST(a_flood_is_cut_off_and_the_next_line_says_by_how_many),
		TEST(a_full_file_makes_way_for_a_new_one_and_is_kept_once),
		TEST(a_log_that_cannot_be_written_hurts_nobody),
		TEST(without_a_name_it_is_stderr),
		TEST(lines_of_several_threads_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* cmd/spool, and what cmd/spawn does with it: what is kept aside is given back, to us and to a command, byte for byte; of what is sealed no
 * byte stands in a file; and what somebody has been at is never taken for a shorter one. The test adopts the feeders, which are nobody's
 * children, to see how they end. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/reader.h"
#include "cmd/spawn.h"
#include "cmd/spool.h"
#include "lib/err.h"
#include "lib/limits.h"
#include "lib/seal.h"
#include "tests/unit/seeded.h"

#define FRAME SC_SEAL_PLAIN_MAX
#define MIB (1 << 20)

static const size_t SIZES[] = {0, 1, FRAME - 1, FRAME, FRAME + 1, 5 * MIB + 17};

/* What a command is given to read. */
static uint8_t meant[20 * MIB];

/* ---- what a test may not leave ---- */

struct before {
	unsigned fds;
};

static unsigned count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int look_around(void **state)
{
	static struct before b;

	b.fds = count_fds();
	*state = &b;
	return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static int nothing_is_left(void **state)
{
	const struct before *b = *state;

	return waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD || count_fds() != b->fds ? -1 : 0;
}

/* ---- spools ---- */

static void make(struct spool *s, bool sealed, size_t n)
{
	fill(meant, n, 7, 0);
	assert_int_equal(spool_make(s, -1, sealed), 0);
	assert_int_equal(spool_is_sealed(s), sealed);
	/* In pieces of no size in particular. */
	for (size_t at = 0, piece; at < n; at += piece) {
		piece = n - at < 100003 ? n - at : 100003;
		assert_int_equal(spool_append(s, meant + at, piece), 0);
	}
	assert_int_equal(s->size, n);
	assert_int_equal(spool_end(s), 0);
	assert_int_equal(s->size, n);
}

static size_t file_size(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (size_t)st.st_size;
}

/* A place in the file in the middle of the frames. */
static void damage(const struct spool *s)
{
	uint8_t byte;
	off_t at = (off_t)(file_size(s->fd) / 2);

	assert_int_equal(pread(s->fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(s->fd, &byte, 1, at), 1);
}

/* How many bytes come back before SC_ECORRUPT does, each as it was. */
static size_t read_back(const struct spool *s)
{
	static uint8_t bytes[70001];
	size_t at = 0, got;
	int rc;

	while ((rc = spool_read(s, at, bytes, sizeof bytes, &got)) == 0) {
		assert_true(got >= 1 && got <= sizeof bytes);
		assert_memory_equal(bytes, meant + at, got);
		at += got;
	}
	assert_int_equal(rc, SC_ECORRUPT);
	return at;
}

static void what_was_put_in_comes_back(void **state)
{
	struct spool s;

	(void)state;
	for (int sealed = 0; sealed < 2; sealed++)
		for (size_t i = 0; i < COUNT(SIZES); i++) {
			make(&s, sealed, SIZES[i]);
			assert_int_equal(read_back(&s), SIZES[i]);
			spool_release(&s);
			assert_false(spool_is_made(&s));
			spool_release(&s);
		}
}

static void it_comes_back_while_more_is_put_in(void **state)
{
	static uint8_t bytes[3000];
	struct spool s;
	size_t got;

	(void)state;
	for (int sealed = 0; sealed < 2; sealed++) {
		assert_int_equal(spool_make(&s, -1, sealed), 0);
		for (size_t at = 0; at < 300000; at += got) {
			fill(bytes, sizeof bytes, 7, at);
			assert_int_equal(spool_append(&s, bytes, sizeof bytes), 0);
			assert_int_equal(spool_read(&s, at, bytes, sizeof bytes, &got), 0);
			assert_int_equal(got, sizeof bytes);
			assert_int_equal(bytes[17], byte_at(7, at + 17));
			assert_int_equal(spool_read(&s, at + got, bytes, 1, &got), SC_ECORRUPT);
			got = sizeof bytes;
		}
		spool_release(&s);
	}
}

static void of_a_sealed_one_nothing_stands_in_its_file(void **state)
{
	static const char canary[] = "the canary that must not be seen";
	static uint8_t bytes[200000], file[4 * sizeof bytes];
	struct spool s;

	(void)state;
	for (size_t at = 0; at + sizeof canary <= sizeof bytes; at += sizeof canary)
		memcpy(bytes + at, canary, sizeof canary);
	for (int sealed = 0; sealed < 2; sealed++) {
		ssize_t n;

		assert_int_equal(spool_make(&s, -1, sealed), 0);
		assert_int_equal(spool_append(&s, bytes, sizeof bytes), 0);
		assert_int_equal(spool_append(&s, canary, sizeof canary), 0);
		assert_int_equal(spool_end(&s), 0);
		n = pread(s.fd, file, sizeof file, 0);
		assert_true(n > (ssize_t)sizeof bytes);
		assert_int_equal(memmem(file, (size_t)n, canary, 8) == NULL, sealed);
		spool_release(&s);
	}
}

static void two_are_never_sealed_alike(void **state)
{
	static uint8_t bytes[100], a[1000], b[1000];
	struct spool s, t;

	(void)state;
	assert_int_equal(spool_make(&s, -1, true), 0);
	assert_int_equal(spool_make(&t, -1, true), 0);
	assert_int_equal(spool_append(&s, bytes, sizeof bytes), 0);
	assert_int_equal(spool_append(&t, bytes, sizeof bytes), 0);
	assert_int_equal(pread(s.fd, a, sizeof a, 0), pread(t.fd, b, sizeof b, 0));
	assert_memory_not_equal(a, b, 24);
	/* One's file is nothing under the other's key. */
	assert_int_equal(pwrite(s.fd, b, file_size(t.fd), 0), file_size(t.fd));
	assert_int_equal(read_back(&s), 0);
	spool_release(&s);
	spool_release(&t);
}

static void damage_is_noticed_and_nothing_wrong_is_given_out(void **state)
{
	struct spool s;
	size_t good;

	(void)state;
	make(&s, true, MIB);
	damage(&s);
	good = read_back(&s); /* all of which it has compared */
	assert_true(good >= MIB / 2 - FRAME - 100003 && good < MIB);
	spool_release(&s);
	make(&s, true, MIB);
	assert_int_equal(ftruncate(s.fd, (off_t)file_size(s.fd) - 30), 0);
	assert_true(read_back(&s) < MIB);
	spool_release(&s);
}

static void no_room_is_an_error_and_no_signal(void **state)
{
	struct rlimit was, small = {.rlim_cur = 100000};
	struct spool s;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small.rlim_max = was.rlim_max;
	for (int sealed = 0; sealed < 2; sealed++) {
		assert_int_equal(spool_make(&s, -1, sealed), 0);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		errno = 0;
		assert_int_equal(spool_append(&s, meant, MIB), SC_ESYS);
		assert_int_equal(errno, EFBIG);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
		assert_int_equal(s.size, 0);
		spool_release(&s);
	}
}

/* ---- our stdin ---- */

static void stdin_is_taken_to_its_end(void **state)
{
	uint8_t hash[2][SC_DIGEST_SIZE];
	struct spool s;
	int was = fcntl(0, F_DUPFD_CLOEXEC, 3), file, reading;

	(void)state;
	file = memfd_create("stdin", MFD_CLOEXEC);
	fill(meant, 3 * MIB, 7, 0);
	assert_int_equal(write(file, meant, 3 * MIB), 3 * MIB);
	assert_int_equal(dup2(file, 0), 0);
	for (int sealed = 0; sealed < 2; sealed++) {
		assert_int_equal(lseek(file, 0, SEEK_SET), 0);
		assert_int_equal(spool_make(&s, -1, sealed), 0);
		assert_int_equal(spool_take_stdin(&s, hash[sealed], &reading), 0);
		assert_int_equal(s.size, 3 * MIB);
		assert_int_equal(read_back(&s), 3 * MIB);
		spool_release(&s);
	}
	assert_memory_equal(hash[0], hash[1], SC_DIGEST_SIZE);
	assert_int_equal(dup2(was, 0), 0);
	close(was);
	close(file);
}

/* ---- a command's stdin ---- */

/* The status of a feeder of ours, which ends. */
static int feeder_status(void)
{
	int status = -1;
	pid_t pid;

	do {
		pid = waitpid(-1, &status, 0);
	} while (pid < 0 && errno == EINTR);
	assert_true(pid > 0);
	return status;
}

static bool is_well(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void assert_file(int fd, const uint8_t *bytes, size_t n)
{
	uint8_t *got = malloc(n + 1);

	assert_non_null(got);
	assert_int_equal(pread(fd, got, n + 1, 0), n);
	assert_int_equal(n ? memcmp(got, bytes, n) : 0, 0);
	free(got);
}

/* Valid until the next. */
static char *const *sh(const char *script)
{
	static char words[2][4] = {"sh", "-c"}, text[500];
	static char *argv[] = {words[0], words[1], text, NULL};

	snprintf(text, sizeof text, "%s", script);
	return argv;
}

static void a_command_gets_all_of_it(void **state)
{
	static const size_t sizes[] = {0, 1, FRAME, FRAME + 1, 20 * MIB};
	struct ended how;
	struct spool s;

	(void)state;
	for (int sealed = 0; sealed < 2; sealed++)
		for (size_t i = 0; i < COUNT(sizes); i++) {
			int out = memfd_create("out", MFD_CLOEXEC);

			make(&s, sealed, sizes[i]);
			/* Twice, as after a run that was lost. */
			for (int again = 0; again < 2; again++) {
				assert_int_equal(ftruncate(out, 0), 0);
				assert_int_equal(lseek(out, 0, SEEK_SET), 0);
				assert_int_equal(spawn_and_wait(sh("exec cat"), &s, out, &how), 0);
				assert_int_equal(how.exit + how.signal, 0);
				assert_file(out, meant, sizes[i]);
				if (sealed)
					assert_true(is_well(feeder_status()));
			}
			spool_release(&s);
			close(out);
		}
}

static void what_it_gets_is_a_file_or_a_pipe(void **state)
{
	static const char script[] = "test -f /dev/stdin || { test -p /dev/stdin && exit 3; }";
	struct ended how;
	struct spool s;

	(void)state;
	for (int sealed = 0; sealed < 2; sealed++) {
		make(&s, sealed, 10);
		assert_int_equal(spawn_and_wait(sh(script), &s, 2, &how), 0);
		assert_int_equal(how.exit, sealed ? 3 : 0);
		if (sealed)
			feeder_status();
		spool_release(&s);
	}
}

static void a_command_that_reads_nothing_leaves_no_feeder(void **state)
{
	static const char *const commands[] = {"exec true", "exec head -c 70000",
					       "exec <&-; read -r x </proc/self/stat; exit 0"};
	int out = open("/dev/null", O_WRONLY | O_CLOEXEC), status;
	struct ended how;
	struct spool s;

	(void)state;
	make(&s, true, 5 * MIB);
	for (size_t i = 0; i < COUNT(commands); i++) {
		assert_int_equal(spawn_and_wait(sh(commands[i]), &s, out, &how), 0);
		assert_int_equal(how.exit + how.signal, 0);
		status = feeder_status();
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
	}
	spool_release(&s);
	close(out);
}

static void a_command_has_no_child_that_it_has_not_made(void **state)
{
	static const char script[] = "read -r kids </proc/$$/task/$$/children; cat >/dev/null; test -z \"$kids\"";
	struct ended how;
	struct spool s;

	(void)state;
	make(&s, true, MIB);
	assert_int_equal(spawn_and_wait(sh(script), &s, 2, &how), 0);
	assert_int_equal(how.exit + how.signal, 0);
	assert_true(is_well(feeder_status()));
	spool_release(&s);
}

/* Our children, as the kernel has them. */
static size_t children(pid_t *pids, size_t n)
{
	char path[64];
	size_t found = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	f = fopen(path, "re");
	assert_non_null(f);
	while (found < n && fscanf(f, "%d", &pids[found]) == 1)
		found++;
	fclose(f);
	return found;
}

static void assert_keeps_to_itself(pid_t feeder)
{
	assert_int_not_equal(getsid(feeder), getsid(0));
}

/* Somebody holds the command's stdin and reads nothing: the feeder waits, and nobody waits for the feeder. */
static void a_feeder_holds_nobodys_pipe(void **state)
{
	/* All that is the caller's is left to the feeder: its stdout, stderr, and a descriptor more. */
	static const char script[] = "exec 7<&0; exec tail -f /dev/null 7<&7 >/dev/null 2>&1 9>&- & echo $!";
	int out[2], status;
	pid_t kids[4], sleeper;
	char text[32] = "";
	struct ended how;
	struct spool s;
	size_t n;

	(void)state;
	make(&s, true, 5 * MIB);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(dup2(out[1], 9), 9);
	assert_int_equal(spawn_and_wait(sh(script), &s, out[1], &how), 0);
	close(9);
	close(out[1]);
	assert_true(read(out[0], text, sizeof text - 1) > 0);
	assert_int_equal(read(out[0], text + 20, 1), 0);
	close(out[0]);
	sleeper = atoi(text);
	n = children(kids, COUNT(kids));
	assert_int_equal(n, 2);
	assert_keeps_to_itself(kids[kids[0] == sleeper]);
	assert_int_equal(waitpid(kids[kids[0] == sleeper], &status, WNOHANG), 0);
	assert_int_equal(kill(sleeper, SIGKILL), 0);
	assert_int_equal(waitpid(sleeper, &status, 0), sleeper);
	status = feeder_status();
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
	spool_release(&s);
}

/* A caller's mask and dispositions are the command's, also where they are strange. */
static void held_back_and_ignored_signals_stay_as_they_were(void **state)
{
	static const char script[] = "exec grep -E '^(SigBlk|SigPnd|ShdPnd)' /proc/self/status >&9";
	sigset_t child, was;
	struct spool s;
	int status;
	pid_t pid;

	(void)state;
	make(&s, true, 10);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (int ignored = 0; ignored < 2; ignored++) {
		char text[200] = "";
		int out = memfd_create("out", MFD_CLOEXEC);

		sigprocmask(SIG_BLOCK, &child, &was);
		pid = fork();
		if (pid == 0) {
			signal(SIGCHLD, ignored ? SIG_IGN : SIG_DFL);
			dup2(out, 9);
			_exit(spawn_become(sh(script), &s));
		}
		sigprocmask(SIG_SETMASK, &was, NULL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(is_well(status));
		feeder_status();
		assert_true(pread(out, text, sizeof text - 1, 0) > 0);
		assert_string_equal(text, "SigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\nSigBlk:\t0000000000010000\n");
		close(out);
	}
	spool_release(&s);
}

static void without_a_process_or_a_pipe_it_is_not_run(void **state)
{
	struct rlimit was, small;
	struct spool s;
	int status;
	pid_t pid;

	(void)state;
	make(&s, true, MIB);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	small = (struct rlimit){.rlim_cur = 1, .rlim_max = was.rlim_max};
	pid = fork();
	if (pid == 0) {
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
		setrlimit(RLIMIT_NOFILE, &small);
		_exit(spawn_become(sh("exec true"), &s));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 126);
	spool_release(&s);
}

/* ---- a command's stdin that was damaged ---- */

static void who_reads_damage_is_killed_before_it_ends(void **state)
{
	int out = memfd_create("out", MFD_CLOEXEC);
	struct ended how;
	struct spool s;

	(void)state;
	make(&s, true, 5 * MIB);
	damage(&s);
	assert_int_equal(spawn_and_wait(sh("exec cat"), &s, out, &how), 0);
	assert_int_equal(how.signal, SIGKILL);
	assert_false(is_well(feeder_status()));
	assert_true(file_size(out) < 3 * MIB);
	assert_file(out, meant, file_size(out));
	spool_release(&s);
	close(out);
}

static void say_nothing(void *arg, int pidfd)
{
	(void)arg;
	close(pidfd);
}

static ssize_t read_all(int fd, char *p, size_t n)
{
	size_t at = 0;
	ssize_t got;

	while ((got = read(fd, p + at, n - at)) > 0)
		at += (size_t)got;
	return got < 0 ? got : (ssize_t)at;
}

/* A command of several processes, of which one would take the end of the pipe for the end of the input. */
static void the_command_of_a_run_dies_with_its_group(void **state)
{
	char text[64];
	struct spool s;
	sigset_t none;
	struct child c;
	struct spawn spawn = {.argv = sh("cat | wc -c"), .input = &s, .chain = "", .mask = &none, .announce = say_nothing};
	int status;

	(void)state;
	sigemptyset(&none);
	for (int bad = 0; bad < 2; bad++) {
		make(&s, true, 5 * MIB);
		if (bad)
			damage(&s);
		assert_int_equal(spawn_command(&c, &spawn), 0);
		assert_int_equal(c.exec_error, 0);
		spool_release(&s);
		assert_int_equal(read_all(c.out_fd, text, sizeof text), bad ? 0 : strlen("5242880\n"));
		assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
		assert_int_equal(is_well(status), !bad);
		assert_true(!bad || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
		while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
			; /* the feeder, and of the group what it left to us */
		close(c.out_fd);
		close(c.err_fd);
		close(c.pidfd);
	}
}

/* ---- a command's stdout ---- */

static void print(struct spool *s, int to_fd, enum read_result result)
{
	struct reader r;

	assert_int_equal(spool_end(s), 0);
	reader_init_spool(&r, s);
	reader_redirect(&r, to_fd, false);
	assert_int_equal(reader_print(&r, s->size, 0), result);
	reader_release(&r);
}

static void what_it_prints_is_kept_and_printed(void **state)
{
	static const size_t sizes[] = {0, 1, FRAME + 1, 20 * MIB};
	struct spool in, out;
	struct ended how;

	(void)state;
	for (int sealed = 0; sealed < 2; sealed++)
		for (size_t i = 0; i < COUNT(sizes); i++) {
			int to = memfd_create("to", MFD_CLOEXEC);

			make(&in, sealed, sizes[i]);
			assert_int_equal(spool_make(&out, -1, sealed), 0);
			assert_int_equal(spawn_into(sh("cat; exit 3"), &in, &out, &how), 0);
			assert_int_equal(how.exit, 3);
			if (sealed)
				feeder_status();
			print(&out, to, READ_ALL);
			assert_int_equal(out.size, sizes[i]);
			assert_file(to, meant, sizes[i]);
			spool_release(&in);
			spool_release(&out);
			close(to);
		}
}

static void damaged_it_is_not_printed_as_if_it_were_whole(void **state)
{
	int to = memfd_create("to", MFD_CLOEXEC);
	struct spool in, out;
	struct ended how;

	(void)state;
	make(&in, false, 5 * MIB);
	assert_int_equal(spool_make(&out, -1, true), 0);
	assert_int_equal(spawn_into(sh("exec cat"), &in, &out, &how), 0);
	damage(&out);
	print(&out, to, READ_CANNOT_READ);
	assert_true(file_size(to) < 5 * MIB);
	assert_file(to, meant, file_size(to));
	spool_release(&in);
	spool_release(&out);
	close(to);
}

static void it_is_read_to_the_end_of_its_pipe(void **state)
{
	static const char script[] = "{ while kill -0 $$ 2>/dev/null; do :; done; echo late; } & echo first";
	int to = memfd_create("to", MFD_CLOEXEC);
	char text[64] = "";
	struct spool in, out;
	struct ended how;

	(void)state;
	make(&in, false, 1);
	assert_int_equal(spool_make(&out, -1, true), 0);
	assert_int_equal(spawn_into(sh(script), &in, &out, &how), 0);
	assert_int_equal(how.exit + how.signal, 0);
	feeder_status(); /* what the command left behind */
	print(&out, to, READ_ALL);
	assert_int_equal(pread(to, text, sizeof text - 1, 0), strlen("first\nlate\n"));
	assert_string_equal(text, "first\nlate\n");
	spool_release(&in);
	spool_release(&out);
	close(to);
}

static void what_cannot_be_kept_is_an_error_and_its_command_is_told(void **state)
{
	struct rlimit was, small = {.rlim_cur = 3 * MIB};
	struct spool in, out;
	struct ended how;

	(void)state;
	make(&in, false, 5 * MIB);
	assert_int_equal(spool_make(&out, -1, true), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small.rlim_max = was.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(spawn_into(sh("exec cat"), &in, &out, &how), SC_ESYS);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(how.signal, SIGPIPE);
	spool_release(&in);
	spool_release(&out);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, look_around, nothing_is_left)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_put_in_comes_back),
		TEST(it_comes_back_while_more_is_put_in),
		TEST(of_a_sealed_one_nothing_stands_in_its_file),
		TEST(two_are_never_sealed_alike),
		TEST(damage_is_noticed_and_nothing_wrong_is_given_out),
		TEST(no_room_is_an_error_and_no_signal),
		TEST(stdin_is_taken_to_its_end),
		TEST(a_command_gets_all_of_it),
		TEST(what_it_gets_is_a_file_or_a_pipe),
		TEST(a_command_that_reads_nothing_leaves_no_feeder),
		TEST(a_command_has_no_child_that_it_has_not_made),
		TEST(a_feeder_holds_nobodys_pipe),
		TEST(held_back_and_ignored_signals_stay_as_they_were),
		TEST(without_a_process_or_a_pipe_it_is_not_run),
		TEST(who_reads_damage_is_killed_before_it_ends),
		TEST(the_command_of_a_run_dies_with_its_group),
		TEST(what_it_prints_is_kept_and_printed),
		TEST(damaged_it_is_not_printed_as_if_it_were_whole),
		TEST(it_is_read_to_the_end_of_its_pipe),
		TEST(what_cannot_be_kept_is_an_error_and_its_command_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Owns the words for results, and the way out for a broken invariant of our own. Called from everywhere; calls nobody. */
#include "lib/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

const char *sc_strerror(int err)
{
	switch (err) {
	case SC_OK:
		return "no error";
	case SC_ESYS:
		return strerror(errno);
	case SC_ENOMEM:
		return "out of memory";
	case SC_EPROTO:
		return "the other side broke the protocol";
	case SC_ETOOBIG:
		return "too large";
	case SC_EAGAIN:
		return "not now";
	case SC_EEOF:
		return "the other side is gone";
	case SC_EPEER:
		return "the other side is another user";
	case SC_EINVAL:
		return "not a valid value";
	case SC_ENOENT:
		return "no such thing";
	case SC_EBUSY:
		return "in use";
	case SC_EUNSAFE:
		return "not safe to use";
	case SC_ECORRUPT:
		return "damaged";
	case SC_ETIME:
		return "took too long";
	default:
		return "unknown error";
	}
}

static char last_words[256];

/* By hand and not by stdio: this may run in the middle of it, after a fork, or with no memory left. */
static void add(const char *text)
{
	size_t n = strlen(last_words);

	while (*text && n < sizeof last_words - 1)
		last_words[n++] = *text++;
}

static void say(const char *text)
{
	size_t n = strlen(text);

	while (n > 0) {
		ssize_t w = write(STDERR_FILENO, text, n);

		if (w <= 0)
			return;
		text += w;
		n -= (size_t)w;
	}
}

const char *sc_last_words(void)
{
	return last_words;
}

_Noreturn void sc_bug(const char *file, int line, const char *what)
{
	char digits[16];
	char *p = digits + sizeof(digits) - 1;
	unsigned n = line > 0 ? (unsigned)line : 0;

	*p = '\0';
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);

	if (!*last_words) {
		add(file);
		add(":");
		add(p);
		add(": ");
		add(what);
	}
	say(SC_BIN ": BUG: ");
	say(last_words);
	say("\n");
	abort();
}

void sc_keep_secret(void)
{
#if !defined SC_TEST_BUILD && !defined __SANITIZE_ADDRESS__ /* tests and leak checkers look into us */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

void sc_no_core(void)
{
	/* One byte is too little for a file, and tells the kernel not to start a program that takes cores, which 0 does not. */
	static const struct rlimit none = {1, 1};

	setrlimit(RLIMIT_CORE, &none);
}

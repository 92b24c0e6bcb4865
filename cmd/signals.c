/* Signals of a follower. A signal that comes between the look and the blocking call would be slept through: the handler arms a
 * timer that interrupts again and again until somebody has looked. */
#include "cmd/signals.h"

#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include <unistd.h>

static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static volatile sig_atomic_t first, count;

static void on_signal(int sig)
{
	static const struct itimerval again = {{0, 50000}, {0, 50000}};

	if (sig == SIGALRM)
		return;
	if (!first)
		first = sig;
	count++;
	setitimer(ITIMER_REAL, &again, NULL);
}

void signals_catch(void)
{
	struct sigaction act = {.sa_handler = on_signal}, was;

	for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
		if (sigaction(caught[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN)
			sigaction(caught[i], &act, NULL);
	sigaction(SIGALRM, &act, NULL);
}

int signals_pending(void)
{
	return first;
}

int signals_count(void)
{
	return count;
}

void signals_die(int sig)
{
	sigset_t only;

	signal(sig, SIG_DFL);
	sigemptyset(&only);
	sigaddset(&only, sig);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &only, NULL);
	_exit(128 + sig);
}

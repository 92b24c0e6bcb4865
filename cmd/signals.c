/* Signals of a follower. A signal that comes between the look and the blocking call would be slept through: the handler arms a
 * timer that interrupts again and again until somebody has looked. */
#include "cmd/signals.h"

#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include <unistd.h>

static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static volatile sig_atomic_t first, count, for_the_group;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	static const struct itimerval again = {{0, 50000}, {0, 50000}};

	(void)context;
	if (sig == SIGALRM)
		return;
	if (!first) {
		first = sig;
		for_the_group = info->si_code == SI_KERNEL;
	}
	count++;
	setitimer(ITIMER_REAL, &again, NULL);
}

void signals_catch(void)
{
	struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO}, was;

	for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
		if (sigaction(caught[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN)
			sigaction(caught[i], &act, NULL);
	sigaction(SIGALRM, &act, NULL);
}

int signals_pending(void)
{
	return first;
}

bool signals_were_for_group(void)
{
	return for_the_group;
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

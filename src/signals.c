/* SPDX-License-Identifier: MIT */
/*
 * signals.c - the signals that the supervisor handles.
 *
 * All are blocked but within ppoll, so handlers only set flags and there is no race.  What was
 * ignored when we were started (nohup, a shell's background, a shell without job control) stays
 * ignored.  There is one set of handlers in a process, so what was before them is kept here.
 *
 * Called by the supervisor.
 */
#include "config.h"

#include "signals.h"

volatile sig_atomic_t signals_stop, signals_orders, signals_child, signals_pause;

/* The first STOPS of them ask us to stop. */
static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCHLD, SIGWINCH};
enum { STOPS = 3, CAUGHT = sizeof(caught) / sizeof(caught[0]) };

static struct sigaction old[CAUGHT];
static sigset_t old_mask, open_mask; /* open: while we wait */

static void on_signal(int signal)
{
	if (signal == SIGCHLD) {
		signals_child = 1;
	} else if (signal == SIGTSTP) {
		signals_pause = 1;
	} else if (signal != SIGWINCH) {
		if (!signals_stop)
			signals_stop = signal;
		signals_orders++;
	}
}

/* In a worker. */
static void on_stop(int signal)
{
	(void)signal;
	stop_requested = 1;
}

static bool stays_ignored(size_t k)
{
	return caught[k] != SIGCHLD && old[k].sa_handler == SIG_IGN;
}

int signals_catch(struct error *err)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t mask;
	size_t k;

	signals_stop = signals_orders = signals_child = signals_pause = 0;
	sigemptyset(&action.sa_mask);
	sigemptyset(&mask);
	for (k = 0; k < CAUGHT; k++)
		sigaddset(&mask, caught[k]);
	if (sigprocmask(SIG_BLOCK, &mask, &old_mask) == -1)
		return error_sys(err, ERR_BUG, "cannot block signals");
	open_mask = old_mask;
	for (k = 0; k < CAUGHT; k++) {
		sigdelset(&open_mask, caught[k]);
		if (sigaction(caught[k], NULL, &old[k]) == -1 ||
		    (!stays_ignored(k) && sigaction(caught[k], &action, NULL) == -1))
			return error_sys(err, ERR_BUG, "cannot handle signal %d", caught[k]);
	}
	return 0;
}

void signals_release(void)
{
	size_t k;

	for (k = 0; k < CAUGHT; k++)
		(void)sigaction(caught[k], &old[k], NULL);
	(void)sigprocmask(SIG_SETMASK, &old_mask, NULL);
}

const sigset_t *signals_open(void)
{
	return &open_mask;
}

void signals_let_in(void)
{
	sigset_t blocked;

	(void)sigprocmask(SIG_SETMASK, &open_mask, &blocked);
	(void)sigprocmask(SIG_SETMASK, &blocked, NULL);
}

/* The signal itself and not SIGSTOP: where nobody could wake us (an orphaned process group) the
 * kernel does not let it stop us. */
void signals_take_pause(void)
{
	struct sigaction stop = {.sa_handler = SIG_DFL}, go_on;
	sigset_t mask, blocked;

	signals_pause = 0;
	sigemptyset(&mask);
	sigaddset(&mask, SIGTSTP);
	if (sigaction(SIGTSTP, &stop, &go_on) == -1)
		return;
	(void)raise(SIGTSTP);
	(void)sigprocmask(SIG_UNBLOCK, &mask, &blocked); /* here we stop */
	(void)sigprocmask(SIG_SETMASK, &blocked, NULL);
	(void)sigaction(SIGTSTP, &go_on, NULL);
}

void signals_reset(void)
{
	struct sigaction action = {.sa_handler = on_stop};
	sigset_t mask = old_mask;
	size_t k;

	sigemptyset(&action.sa_mask);
	for (k = 0; k < CAUGHT; k++) {
		if (k >= STOPS) {
			action.sa_handler = SIG_DFL;
			sigdelset(&mask, caught[k]);
		} else {
			sigaddset(&mask, caught[k]);
		}
		if (!stays_ignored(k))
			(void)sigaction(caught[k], &action, NULL);
	}
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
}

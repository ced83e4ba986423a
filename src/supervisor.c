/* SPDX-License-Identifier: MIT */
/*
 * supervisor.c - one process for each account, and one that watches them all.
 *
 * The supervisor is a single loop around ppoll (turn): it hears what workers say, reaps who has
 * died, obeys signals, starts who may start, and judges who is late.  It trusts a worker with
 * nothing but its own account, for workers parse what servers send: events are checked by
 * link_decode, a worker that breaks the rules is killed, and no answer is ever waited for.
 *
 * MDAs run from here (mda.c), so that workers never execute anything: a worker can ask for the
 * MDA of its own account, and what is run comes from our copy of that account.
 *
 * A worker's death, whatever its cause, is a failure of its account alone and loses nothing:
 * what the journal does not know is still on the server.
 *
 * Called by main, once.
 */
#include "config.h"

#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "link.h"
#include "mda.h"
#include "signals.h"
#include "worker.h"

/* The test of this file has its own. */
#ifndef SILENCE_MS
#define SILENCE_MS 120000 /* silence allowed on top of the account's own time limits */
#define STOP_MS 10000     /* from the order to stop to SIGKILL */
#define LEAVE_MS 2000     /* then, for a worker whose MDA was over late */
#define REPEAT_MS 500     /* sooner it is the same order: timeout(1) signals us and our group */
#define EVENTS_A_TURN 64  /* of one worker, so that none keeps the others waiting */
#endif

#define LOST_NOTHING "nothing is lost, what was not delivered is still on the server"

#define MAX_BUSY_S 3600 /* a worker may announce so much silence: a slow disk, a slow reader */

/* A running account. */
struct slot {
	struct mda *mdas;    /* room for s->most of them, at work or not */
	bool used;           /* else nothing below counts */
	size_t i;            /* the account */
	pid_t pid;           /* 0: dead and reaped */
	int link;            /* -1: closed */
	bool done;           /* its last word has come */
	bool judged;         /* its failure is reported, we have killed it */
	uint64_t heard;      /* when it last said something, clock_ms */
	uint64_t answered;   /* when its last MDA was over */
};

struct supervisor {
	struct account *accounts; /* foreign */
	size_t count, next;       /* none below next waits for its start */
	bool *started;
	struct report *report;    /* foreign */
	struct slot *slots;
	struct mda *mdas;         /* of slot n: from [n * most] */
	struct pollfd *polls;     /* of slot n: from [n * (most + 1)] the ears of its MDAs, its link */
	size_t jobs, most;        /* slots, MDAs of one */
	uint64_t stop_at;         /* when the order to stop came; 0: it did not */
	int obeyed;               /* orders so far */
};

static void sooner(uint64_t *wake, uint64_t when)
{
	if (when < *wake)
		*wake = when;
}

/* -- workers ------------------------------------------------------------------------------ */

/* What a new process is, from fork to exit: it keeps nothing of the other accounts. */
static _Noreturn void be_worker(struct supervisor *s, size_t i, int link, pid_t parent)
{
	size_t n;

	for (n = 0; n < s->jobs; n++) {
		struct slot *slot = &s->slots[n];

		if (slot->used && slot->link != -1)
			close(slot->link);
	}
	for (n = 0; n < s->jobs * s->most; n++)
		if (s->mdas[n].child.pid && s->mdas[n].child.ear != -1)
			close(s->mdas[n].child.ear);
	for (n = 0; n < s->count; n++)
		if (n != i) {
			secret_free(&s->accounts[n].login.password);
			secret_free(&s->accounts[n].server.proxy);
		}
	signals_reset();
#ifdef PR_SET_PDEATHSIG
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
	if (getppid() != parent)
		stop_requested = 1; /* it was gone before we could ask to be told */
	exit(worker_main(&s->accounts[i], link));
}

/* Forks.  Our copy of the password goes as soon as the worker has its own. */
static int start_worker(struct supervisor *s, struct slot *slot, size_t i, struct error *err)
{
	pid_t parent = getpid(), pid;
	int ends[2];

	if (link_pair(ends, err) == -1)
		return -1;
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) == -1) {
		error_sys(err, ERR_BUG, "fcntl");
		goto out;
	}
	report_flush(s->report);
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		be_worker(s, i, ends[1], parent);
	}
	if (pid == -1) {
		error_sys(err, ERR_TEMP, "cannot start a process");
		goto out;
	}
	close(ends[1]);
	secret_free(&s->accounts[i].login.password);
	*slot = (struct slot){.used = true, .i = i, .pid = pid, .link = ends[0],
	                      .heard = clock_ms(), .mdas = slot->mdas};
	return 0;
out:
	close(ends[0]);
	close(ends[1]);
	return -1;
}

static bool may_start(const struct supervisor *s, size_t i)
{
	const struct account *account = &s->accounts[i];
	size_t n, same = 0;

	for (n = 0; n < s->jobs; n++) {
		const struct account *other = &s->accounts[s->slots[n].i];

		if (!s->slots[n].used)
			continue;
		if (account->target.to_stdout && other->target.to_stdout)
			return false;
		same += strcasecmp(account->server.host, other->server.host) == 0;
	}
	return same < SUPERVISOR_PER_HOST;
}

/* Starts as many as may run, in the order of the file but for those that must wait. */
static void start_workers(struct supervisor *s)
{
	size_t n = 0, i;

	while (s->next < s->count && s->started[s->next])
		s->next++;
	for (i = s->next; i < s->count && !s->stop_at; i++) {
		struct error err = {0};

		while (n < s->jobs && s->slots[n].used)
			n++;
		if (n == s->jobs)
			return;
		if (s->started[i] || !may_start(s, i))
			continue;
		s->started[i] = true;
		report_begin(s->report, i);
		if (start_worker(s, &s->slots[n], i, &err) == -1) {
			report_error(s->report, i, &err, worker_failed(&s->accounts[i], &err));
			report_end(s->report, i);
		}
	}
}

static void hang_up(struct slot *slot)
{
	if (slot->link != -1)
		close(slot->link);
	slot->link = -1;
}

/* Kills a worker, for a reason; nothing it says counts from here on. */
static void condemn(struct supervisor *s, struct slot *slot, struct error *why)
{
	if (slot->judged || slot->pid == 0)
		return;
	report_error(s->report, slot->i, why, worker_failed(&s->accounts[slot->i], why));
	slot->judged = true;
	(void)kill(slot->pid, SIGKILL);
	hang_up(slot);
}

static void condemn_liar(struct supervisor *s, struct slot *slot, const char *what)
{
	struct error err;

	error_set(&err, ERR_BUG, "its process %s and was killed: " LOST_NOTHING, what);
	condemn(s, slot, &err);
}

/* -- MDAs --------------------------------------------------------------------------------- */

static bool runs_mda(const struct supervisor *s, const struct slot *slot)
{
	size_t m = 0;

	while (m < s->most && !slot->mdas[m].child.pid)
		m++;
	return m < s->most;
}

/* One that is not at work; NULL: all are that the account may have. */
static struct mda *idle_mda(const struct supervisor *s, const struct slot *slot)
{
	for (size_t m = 0; m < s->accounts[slot->i].target.mda_jobs; m++)
		if (!slot->mdas[m].child.pid)
			return &slot->mdas[m];
	return NULL;
}

/* Tells the worker how the MDA of a message fared.  Who does not take answers must not hold us. */
static void answer(struct supervisor *s, struct slot *slot, uint64_t num, unsigned code,
                   const struct error *how)
{
	struct event event = {.kind = EVENT_MDA_DONE, .error = how->kind,
	                      .one_message = how->one_message, .num = num, .total = code};
	struct pollfd room = {.fd = slot->link, .events = POLLOUT};
	struct error err;

	slot->heard = slot->answered = clock_ms();
	if (slot->link == -1)
		return;
	text_copy(event.text, sizeof(event.text), how->text);
	if (poll(&room, 1, 0) == 0)
		condemn_liar(s, slot, "did not take its answers");
	else if (link_send(slot->link, &event, -1, &err) == -1)
		condemn(s, slot, &err); /* it would wait for ever */
}

/* A worker asks for its MDA or filter: with a message, only where there is one, and no more at a
 * time than it may. */
static void ask_mda(struct supervisor *s, struct slot *slot, const struct event *event,
                    int message)
{
	const struct account *account = &s->accounts[slot->i];
	bool any = event->kind == EVENT_FILTER ? account->policy.filter != NULL
	                                       : account->target.mda || account->target.mda_shell;
	struct mda *mda = idle_mda(s, slot);
	struct error err = {0};

	if (message == -1 || !mda || !any) {
		condemn_liar(s, slot, "asked for what it may not have");
	} else if (s->stop_at) {
		error_set(&err, ERR_STOP, "stopped before the %s was run",
		          event->kind == EVENT_FILTER ? "filter" : "MDA");
		answer(s, slot, event->num, 0, &err);
	} else if (mda_start(mda, account, event, message, &err) == -1) {
		answer(s, slot, event->num, 0, &err);
	}
}

/* With -v one can see what a contented MDA had to say: some warn, and exit 0. */
static void reap_mda(struct supervisor *s, struct slot *slot, struct mda *mda)
{
	struct event note = {.kind = EVENT_NOTE, .level = NOTE_INFO};
	struct error verdict;
	char said[MDA_SAID];

	if (!mda_reap(mda, &verdict, said))
		return;
	if (verdict.kind == ERR_NONE && said[0]) {
		snprintf(note.text, sizeof(note.text), "%s '%s' said: %s",
		         mda->filter ? "filter" : "MDA", mda->name, said);
		report_event(s->report, slot->i, &note);
	}
	answer(s, slot, mda->num, mda->code, &verdict);
}

/* -- the loop ----------------------------------------------------------------------------- */

/* Takes what a worker says.  Returns true where there may be more. */
static bool hear(struct supervisor *s, struct slot *slot)
{
	struct error err = {0};
	struct event event;
	int n, got, fd = -1;

	for (n = 0; n < EVENTS_A_TURN && slot->link != -1; n++) {
		got = link_take(slot->link, &event, &fd, &err);
		if (got == -1 && err.sys == EAGAIN)
			return false;
		if (got == -1 && err.sys != 0)
			condemn(s, slot, &err); /* that was not its fault */
		else if (got == -1)
			condemn_liar(s, slot, "spoke nonsense");
		if (got == 0)
			hang_up(slot);
		if (got != 1)
			return false;
		slot->heard = clock_ms();
		if (event.kind == EVENT_ALIVE)
			slot->heard += (event.num < MAX_BUSY_S ? event.num : MAX_BUSY_S) * 1000;
		if (event.kind == EVENT_DONE)
			slot->done = true;
		if (event.kind != EVENT_MDA && event.kind != EVENT_FILTER)
			report_event(s->report, slot->i, &event);
		else if (slot->pid) /* else nobody is left to journal what would be delivered */
			ask_mda(s, slot, &event, fd);
		if (fd != -1)
			close(fd);
	}
	return slot->link != -1;
}

/* A worker is dead: what it had said is heard, what it had not said is said for it. */
static void bury(struct supervisor *s, struct slot *slot, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	struct error err;

	slot->pid = 0;
	while (hear(s, slot))
		;
	hang_up(slot);
	if (slot->judged)
		return;
	if (WIFSIGNALED(status))
		error_set(&err, ERR_BUG, "its process died by signal %d (%s): " LOST_NOTHING,
		          WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (!slot->done) /* 75 is how memory ends (base.h) */
		error_set(&err, code == 75 ? ERR_TEMP : ERR_BUG,
		          "its process ended without a word (exit status %d): " LOST_NOTHING, code);
	else
		return;
	report_error(s->report, slot->i, &err, worker_failed(&s->accounts[slot->i], &err));
}

static void reap(struct supervisor *s, struct slot *slot)
{
	int status = 0;
	pid_t got;

	if (slot->pid) {
		got = waitpid(slot->pid, &status, WNOHANG);
		if (got == slot->pid || (got == -1 && errno == ECHILD))
			bury(s, slot, status);
	}
	for (size_t m = 0; m < s->most; m++)
		reap_mda(s, slot, &slot->mdas[m]);
}

/* Judges who is late, and says when to look again.  A worker whose MDAs run waits for us. */
static void watch(struct supervisor *s, struct slot *slot, uint64_t now, uint64_t *wake)
{
	const struct server *server = &s->accounts[slot->i].server;
	uint64_t spans = server->connect_timeout + server->login_timeout + 2 * server->timeout;
	uint64_t patience = spans * 1000 + SILENCE_MS;
	uint64_t limit = slot->heard + patience;
	struct error err;

	for (size_t m = 0; m < s->most; m++)
		if (slot->mdas[m].child.pid) {
			mda_watch(&slot->mdas[m], now);
			sooner(wake, slot->mdas[m].deadline);
		}
	if (slot->judged || slot->pid == 0 || runs_mda(s, slot))
		return;
	if (s->stop_at) {
		limit = s->stop_at + STOP_MS;
		if (slot->answered && slot->answered + LEAVE_MS > limit)
			limit = slot->answered + LEAVE_MS;
	}
	if (now < limit) {
		sooner(wake, limit);
		return;
	}
	if (s->stop_at)
		error_set(&err, ERR_STOP, "did not leave in time and was killed: " LOST_NOTHING);
	else
		error_set(&err, ERR_TEMP, "made no progress for %llu s and was stopped; nothing is lost",
		          (unsigned long long)(patience / 1000));
	condemn(s, slot, &err);
}

/* The first order: nobody is started, everybody is asked to leave.  The second: they are killed. */
static void obey(struct supervisor *s)
{
	bool first = s->stop_at == 0;
	uint64_t now = clock_ms();
	struct error err;
	size_t n;

	if (s->obeyed == signals_orders)
		return;
	s->obeyed = signals_orders;
	report_pause(s->report); /* the terminal has written its ^C there */
	if (!first && now - s->stop_at < REPEAT_MS)
		return;
	error_set(&err, ERR_STOP, "killed by a second order to stop: " LOST_NOTHING);
	for (n = 0; n < s->jobs; n++) {
		struct slot *slot = &s->slots[n];

		if (!slot->used)
			continue;
		for (size_t m = 0; m < s->most; m++)
			mda_stop(&slot->mdas[m], first ? now + STOP_MS : now);
		if (!first)
			condemn(s, slot, &err);
		else if (slot->pid)
			(void)kill(slot->pid, SIGTERM);
	}
	if (first)
		s->stop_at = now;
}

/* ^Z: the terminal is left clean.  The workers were stopped as well, and were not silent by their
 * own fault.  MDAs went on, so before anybody is judged who is dead is to be reaped. */
static void take_pause(struct supervisor *s)
{
	uint64_t begun = clock_ms();

	report_pause(s->report);
	signals_take_pause();
	for (size_t n = 0; n < s->jobs; n++)
		s->slots[n].heard += clock_ms() - begun;
	signals_child = 1;
}

/* Waits until something happens, or until `wake`. */
static int wait_for_it(struct supervisor *s, uint64_t now, uint64_t wake, struct error *err)
{
	uint64_t ms = wake > now ? wake - now : 0;
	struct timespec span = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
	size_t n, count = s->jobs * (s->most + 1);
	struct pollfd *at = s->polls;

	for (n = 0; n < s->jobs; n++) {
		const struct slot *slot = &s->slots[n];

		for (size_t m = 0; m < s->most; m++) {
			const struct child *mda = &slot->mdas[m].child;

			*at++ = (struct pollfd){.fd = mda->pid ? mda->ear : -1, .events = POLLIN};
		}
		*at++ = (struct pollfd){.fd = slot->used ? slot->link : -1, .events = POLLIN};
	}
	if (ppoll(s->polls, count, wake == UINT64_MAX ? NULL : &span, signals_open()) >= 0) {
		signals_let_in();
		return 0;
	}
	for (n = 0; n < count; n++)
		s->polls[n].revents = 0;
	return errno == EINTR ? 0 : error_sys(err, error_kind_of(errno), "ppoll");
}

/* Once around: 1, 0 when all is over, -1. */
static int turn(struct supervisor *s, struct error *err)
{
	uint64_t now, wake = UINT64_MAX;
	size_t n, running = 0;
	bool died;
	int tick;

	start_workers(s);
	now = clock_ms();
	for (n = 0; n < s->jobs; n++) {
		if (s->slots[n].used)
			watch(s, &s->slots[n], now, &wake);
		running += s->slots[n].used;
	}
	tick = report_tick(s->report);
	if (running == 0)
		return 0;
	if (tick >= 0)
		sooner(&wake, now + (uint64_t)tick);
	if (wait_for_it(s, now, wake, err) == -1)
		return -1;
	if (signals_pause)
		take_pause(s);
	died = signals_child;
	signals_child = 0;
	for (n = 0; n < s->jobs; n++) {
		struct slot *slot = &s->slots[n];
		const struct pollfd *polls = &s->polls[n * (s->most + 1)];

		if (!slot->used)
			continue;
		for (size_t m = 0; m < s->most; m++)
			if (polls[m].revents)
				(void)child_listen(&slot->mdas[m].child);
		if (polls[s->most].revents)
			(void)hear(s, slot);
		if (died)
			reap(s, slot);
		if (!slot->pid && !runs_mda(s, slot)) {
			slot->used = false;
			report_end(s->report, slot->i);
		}
	}
	obey(s);
	return 1;
}

int supervisor_run(struct account *accounts, size_t count, uint64_t jobs, struct report *report,
                   int *by_signal, struct error *err)
{
	struct supervisor s = {.accounts = accounts, .count = count, .report = report};
	int result;
	size_t n;

	*by_signal = 0;
	if (count == 0)
		return 0;
	s.jobs = jobs < count ? (size_t)(jobs ? jobs : 1) : count;
	s.started = xcalloc(count, sizeof(*s.started));
	s.most = 1;
	for (size_t i = 0; i < count; i++) {
		s.started[i] = accounts[i].failed;
		if (accounts[i].target.mda_jobs > s.most)
			s.most = (size_t)accounts[i].target.mda_jobs;
	}
	s.slots = xcalloc(s.jobs, sizeof(*s.slots));
	s.mdas = xcalloc(s.jobs * s.most, sizeof(*s.mdas));
	for (n = 0; n < s.jobs; n++)
		s.slots[n].mdas = &s.mdas[n * s.most];
	s.polls = xcalloc(s.jobs * (s.most + 1), sizeof(*s.polls));
	result = signals_catch(err) == -1 ? -1 : 1;
	while (result == 1)
		result = turn(&s, err);
	for (n = 0; result == -1 && n < s.jobs; n++)
		if (s.slots[n].used && s.slots[n].pid)
			(void)kill(s.slots[n].pid, SIGTERM);
	signals_release();
	*by_signal = signals_stop;
	free(s.slots);
	free(s.mdas);
	free(s.polls);
	free(s.started);
	return result;
}

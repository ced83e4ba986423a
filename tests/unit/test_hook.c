/* SPDX-License-Identifier: MIT */
/*
 * test_hook.c - on_new: when it is run, what it is told, and what becomes of one that fails, hangs
 * or is in the way of a signal.  hook.c is included, for a shorter time limit.
 */
#define HOOK_SECONDS 1
#include "hook.c"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "tap.h"

static char dir[] = "/tmp/test_hook.XXXXXX";
static struct account accounts[] = {
	{.name = (char *)"work"}, {.name = (char *)"joe@host"}, {.name = (char *)"home"},
};
static struct error err;
static int by_signal;

/* What an account has come to: '3' messages, 'e' an error, 'f' 2 messages and 1 that failed. */
static struct report *report_of(const char *ends)
{
	struct report *report = report_open(&(struct report_style){.quiet = true});

	report_accounts(report, accounts, 3);
	for (size_t i = 0; ends[i]; i++) {
		bool number = ends[i] >= '0' && ends[i] <= '9';
		uint64_t new = number ? (uint64_t)(ends[i] - '0') : ends[i] == 'f' ? 2 : 0;
		struct event done = {.kind = EVENT_DONE, .num = new, .bytes = 100 * new,
		                     .failed = ends[i] == 'f'};
		struct event error = {.kind = EVENT_ERROR, .error = ERR_STOP};

		if (ends[i] == 'e')
			report_event(report, i, &error);
		report_event(report, i, &done);
	}
	return report;
}

static int run_it(const char *command, const char *ends)
{
	struct report *report = report_of(ends);
	int rc;

	err = (struct error){0};
	by_signal = 0;
	rc = hook_run(command, accounts, 3, report, &by_signal, &err);
	report_close(&report);
	return rc;
}

/* What the command has written into the file "said" there. */
static const char *said(char text[512])
{
	int fd = open("said", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd == -1 ? 0 : read(fd, text, 511);

	text[n > 0 ? n : 0] = '\0';
	if (fd != -1)
		close(fd);
	unlink("said");
	return text;
}

static void test_told(void)
{
	static const char tell[] =
		"echo $MAILHAUL_NEW,$MAILHAUL_BYTES,$MAILHAUL_ACCOUNTS,$MAILHAUL_FAILED,$KEPT >said";
	static const struct {
		const char *ends, *want;
	} rows[] = {
		{"301", "4,400,work=3 home=1,,kept\n"},
		{"0e1", "1,100,home=1,joe@host,kept\n"},
		{"ffe", "4,400,work=2 joe@host=2,work joe@host home,kept\n"},
		{"000", ""},
		{"e0e", ""},
	};
	char text[512];

	setenv("KEPT", "kept", 1);
	setenv("MAILHAUL_NEW", "of another", 1);
	for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		EQUAL(run_it(tell, rows[n].ends), 0, "it goes well");
		SAME(said(text), rows[n].want, rows[n].ends);
	}
}

static void test_failures(void)
{
	char text[512];

	EQUAL(run_it("echo one; echo two >&2; echo; exit 3", "100"), -1, "one that fails");
	EQUAL(err.kind, ERR_IO, "its kind");
	SAME(err.text, "the mail is delivered, but on_new failed: exit status 3: two", "what is said");
	EQUAL(run_it("no-such-program 2>/dev/null", "100"), -1, "one that is not there");
	SAME(err.text, "the mail is delivered, but on_new failed: exit status 127", "what is said");
	EQUAL(run_it("kill -9 $$", "100"), -1, "one that is killed");
	OK(strstr(err.text, "killed by signal 9"), "what is said");
	EQUAL(run_it("exit 75", "100"), -1, "one that says 'later'");
	EQUAL(err.kind, ERR_IO, "is not heeded: nothing is run again");
	EQUAL(run_it("trap '' TERM; echo begun >said; sleep 30", "100"), -1, "one that hangs");
	EQUAL(err.kind, ERR_IO, "its kind");
	SAME(err.text, "the mail is delivered, but on_new failed: /bin/sh did not end within 1 seconds",
	     "what is said");
	SAME(said(text), "begun\n", "it was there");
}

/* Whether the process whose number the command has written down goes, within a second.  A zombie,
 * which nobody may come for, has no command line. */
static bool is_gone(void)
{
	char text[512], path[64], byte;
	ssize_t n = 1;

	snprintf(path, sizeof(path), "/proc/%.20s", said(text));
	text_copy(path + strcspn(path, "\n"), 16, "/cmdline");
	for (int i = 0; i < 100 && n > 0; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		n = fd == -1 ? 0 : read(fd, &byte, 1);
		if (fd != -1)
			close(fd);
		(void)poll(NULL, 0, 10);
	}
	return text[0] && n <= 0;
}

/* The order comes when the command says that it is there. */
static void test_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t n = 0; n < sizeof(signals) / sizeof(signals[0]); n++) {
		char command[160];
		uint64_t begun = clock_ms();

		snprintf(command, sizeof(command), "trap '' TERM; sleep 30 & echo $! >said; kill -%d %d; "
		         "wait", signals[n], (int)getpid());
		EQUAL(run_it(command, "100"), -1, "it is ended");
		EQUAL(err.kind, ERR_STOP, "by a signal");
		EQUAL(by_signal, signals[n], "by this one");
		OK(is_gone(), "with all that it has begun");
		OK(clock_ms() - begun < 4500, "in time");
		stop_requested = 0;
	}
	signal(SIGHUP, SIG_IGN);
	EQUAL(run_it("kill -HUP $PPID; exit 0", "100"), 0, "what was ignored stays so");
	EQUAL(by_signal, 0, "it is no order");
	signal(SIGHUP, SIG_DFL);
	signal(SIGCHLD, SIG_IGN);
	EQUAL(run_it("exit 0", "100"), 0, "SIGCHLD was ignored");
}

int main(void)
{
	if (mkdtemp(dir) == NULL || chdir(dir) == -1)
		return 1;
	test_told();
	test_failures();
	test_signals();
	(void)!chdir("/");
	rmdir(dir);
	return tap_end();
}

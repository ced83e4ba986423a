/* SPDX-License-Identifier: MIT */
/*
 * test_report.c - every line that people read, byte for byte, and how exit statuses fold.
 */
#include "config.h"

#include "report.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

#define CLEAR "\033[?7h\r\033[K \033[J\r"
#define START "\033[?7l\r"
#define DRAWN "\033[J\r"
#define WRAP "\033[?7h"
#define QUIET {.quiet = true}
#define CRON {0}
#define VERBOSE {.verbose = true}
#define TERMINAL {.terminal = true}
#define QUIET_TERMINAL {.terminal = true, .quiet = true}

static const struct account accounts[] = {{.name = (char *)"work"},
                                          {.name = (char *)"home"},
                                          {.name = (char *)"a\tb\x1b[2J"}};

static struct report *open_report(const struct report_style *style, const struct account *about,
                                  size_t count)
{
	struct report *report = report_open(style);

	report_accounts(report, about, count);
	return report;
}

/* -- capture ------------------------------------------------------------------------------ */

static int real_stderr = -1;

/* From here on standard error is fd, which is taken. */
static void redirect(int fd)
{
	real_stderr = dup(2);
	dup2(fd, 2);
	close(fd);
}

static void restore(void)
{
	dup2(real_stderr, 2);
	close(real_stderr);
}

static int fresh_file(void)
{
	char path[] = "/tmp/test_report.XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	return fd;
}

/* What stands in the file or came through the terminal so far. */
static const char *contents(int fd, char text[8192])
{
	ssize_t n = isatty(fd) ? read(fd, text, 8191) : pread(fd, text, 8191, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* -- lines -------------------------------------------------------------------------------- */

enum act { OVER, BEGIN, EVENT, ERROR, END, COMPLAIN };

struct step {
	enum act act;
	size_t i;
	struct event event;
	struct error error;
};

#define begin(n) {.act = BEGIN, .i = (n)}
#define finish(n) {.act = END, .i = (n)}
#define says(n, ...) {.act = EVENT, .i = (n), .event = {__VA_ARGS__}}
#define fails(n, k, t) {.act = ERROR, .i = (n), .error = {.kind = (k), .text = t}}
#define complain(k, t) {.act = COMPLAIN, .error = {.kind = (k), .text = t}}
#define done(n, ...) says(n, .kind = EVENT_DONE, __VA_ARGS__)
#define failed(n, m, k, t) says(n, .kind = EVENT_FAILED, .num = (m), .error = (k), .text = t)
#define errs(n, k, t) says(n, .kind = EVENT_ERROR, .error = (k), .text = t)
#define notes(n, l, t) says(n, .kind = EVENT_NOTE, .level = (l), .text = t)

static const struct scene {
	const char *name;
	struct report_style style;
	struct step steps[12];
	const char *want;
	int status;
} scenes[] = {
	{"silence in cron", CRON, {begin(0), done(0, .num = 3, .bytes = 9), finish(0)}, "", 0},
	{"a summary on a terminal", TERMINAL,
	 {begin(0), done(0, .num = 3, .bytes = 120000, .kept = 240, .deleted = 3), finish(0)},
	 "work: 3 new (120 kB), 240 kept, 3 deleted\n", 0},
	{"a summary with -v", VERBOSE, {begin(0), done(0, .num = 1, .bytes = 999), finish(0)},
	 "work: 1 new (999 B)\n", 0},
	{"none with -q", QUIET_TERMINAL, {begin(0), done(0, .num = 3, .bytes = 9), finish(0)}, "", 0},
	{"no new mail", TERMINAL, {begin(0), done(0, .kept = 240), finish(0)},
	 "work: no new mail, 240 kept\n", 0},
	{"nothing at all", TERMINAL, {begin(0), done(0, .num = 0), finish(0)},
	 "work: no new mail\n", 0},
	{"two accounts", TERMINAL,
	 {begin(0), begin(1), done(1, .num = 2, .bytes = 1234567), finish(1), done(0, .num = 0),
	  finish(0)},
	 "home: 2 new (1.2 MB)\nwork: no new mail\n", 0},
	{"some failed", TERMINAL,
	 {begin(0), failed(0, 3, ERR_IO, "a1\nMDA 'x' failed: exit status 1"),
	  done(0, .num = 2, .bytes = 4000, .failed = 1), finish(0)},
	 "mailhaul: work: message 3 (uid a1): MDA 'x' failed: exit status 1\n"
	 "work: 2 new (4 kB), 1 failed\n", 74},
	{"all failed", TERMINAL,
	 {begin(0), failed(0, 4, ERR_TEMP, "\nm"), done(0, .failed = 1), finish(0)},
	 "mailhaul: work: message 4 (uid none): m\nwork: 1 failed\n", 75},
	{"an error, nothing known", TERMINAL,
	 {begin(0), errs(0, ERR_AUTH, "login refused"), done(0, .num = 0), finish(0)},
	 "mailhaul: work: login refused\n", 77},
	{"an error half way", TERMINAL,
	 {begin(0), errs(0, ERR_TEMP, "connection cut"), done(0, .num = 1, .bytes = 1000), finish(0)},
	 "mailhaul: work: connection cut\nwork: 1 new (1 kB)\n", 75},
	{"an error with -q", QUIET, {begin(0), errs(0, ERR_IO, "disk full"), finish(0)},
	 "mailhaul: work: disk full\n", 74},
	{"a crash", TERMINAL, {begin(0), fails(0, ERR_BUG, "its process died"), finish(0)},
	 "mailhaul: work: its process died\n", 70},
	{"no account", CRON, {complain(ERR_CONFIG, "c:3: bad"), complain(ERR_CONFIG, "c:4: bad")},
	 "mailhaul: c:3: bad\nmailhaul: c:4: bad\n", 78},
	{"a warning", CRON, {begin(0), notes(0, NOTE_WARN, "no lock"), notes(0, NOTE_INFO, "info")},
	 "mailhaul: work: no lock\n", 0},
	{"a warning with -q", QUIET,
	 {begin(0), notes(0, NOTE_WARN, "no lock"), notes(0, NOTE_INFO, "info")},
	 "mailhaul: work: no lock\n", 0},
	{"notes with -v", VERBOSE,
	 {begin(1), notes(1, NOTE_INFO, "info"), notes(1, NOTE_TRACE, "C: PASS ***")},
	 "mailhaul: home: info\nmailhaul: home: C: PASS ***\n", 0},
	{"what a server may send", CRON,
	 {begin(2), errs(2, ERR_PROTOCOL, "a\nmailhaul: b\x1b]0;\a \xe2\x80\xae \xc3\xa4 \xff")},
	 "mailhaul: a\\x09b\\x1b[2J: a\\x0amailhaul: b\\x1b]0;\\x07 \\xe2\\x80\\xae \xc3\xa4 \\xff\n",
	 76},
	{"a stop is no news", TERMINAL,
	 {begin(0), errs(0, ERR_STOP, "stopped"), done(0, .num = 1, .bytes = 10), finish(0)},
	 "work: 1 new (10 B), stopped: the rest is on the server\n", 75},
	{"a stop before any mail", TERMINAL,
	 {begin(0), errs(0, ERR_STOP, "stopped"), done(0, .num = 0), finish(0)},
	 "work: stopped: the rest is on the server\n", 75},
	{"but with -v", VERBOSE, {begin(0), errs(0, ERR_STOP, "stopped")},
	 "mailhaul: work: stopped\n", 75},
	{"the supervisor's business", VERBOSE,
	 {begin(0), says(0, .kind = EVENT_MDA, .text = "x"), says(0, .kind = EVENT_ALIVE),
	  says(0, .kind = EVENT_MDA_DONE, .error = ERR_IO, .text = "x")}, "", 0},
	{"an unknown kind of error is a bug", CRON, {begin(0), errs(0, 4711, "x")},
	 "mailhaul: work: x\n", 70},
	{"an error without a kind, too", CRON, {begin(0), errs(0, ERR_NONE, "x")},
	 "mailhaul: work: x\n", 70},
	{"a failure for who looks on, in cron", CRON,
	 {begin(0), says(0, .kind = EVENT_ERROR, .error = ERR_TEMP, .level = NOTE_INFO, .text = "x"),
	  {.act = ERROR, .i = 1, .event = {.level = NOTE_INFO}, .error = {.kind = ERR_TEMP}}}, "", 75},
	{"on a terminal, be it dumb", {.terminal = true, .dumb = true},
	 {begin(0), says(0, .kind = EVENT_ERROR, .error = ERR_TEMP, .level = NOTE_INFO, .text = "x")},
	 "mailhaul: work: x\n", 75},
	{"and with -v", VERBOSE,
	 {begin(0), says(0, .kind = EVENT_ERROR, .error = ERR_TEMP, .level = NOTE_INFO, .text = "x"),
	  {.act = ERROR, .i = 1, .event = {.level = NOTE_INFO},
	   .error = {.kind = ERR_TEMP, .text = "y"}}},
	 "mailhaul: work: x\nmailhaul: home: y\n", 75},
	{"failures nobody explained", CRON, {begin(0), done(0, .failed = 2), finish(0)}, "", 75},
};

static void play(struct report *report, const struct step *step)
{
	for (; step->act != OVER; step++) {
		if (step->act == BEGIN)
			report_begin(report, step->i);
		else if (step->act == EVENT)
			report_event(report, step->i, &step->event);
		else if (step->act == ERROR)
			report_error(report, step->i, &step->error, step->event.level);
		else if (step->act == END)
			report_end(report, step->i);
		else
			report_complain(report, NULL, &step->error);
		(void)report_tick(report);
	}
}

static void test_lines(void)
{
	for (size_t n = 0; n < sizeof(scenes) / sizeof(scenes[0]); n++) {
		struct report *report = open_report(&scenes[n].style, accounts, 3);
		int fd = fresh_file(), status;
		char text[8192];

		redirect(dup(fd));
		play(report, scenes[n].steps);
		status = report_close(&report);
		restore();
		SAME(contents(fd, text), scenes[n].want, scenes[n].name);
		EQUAL(status, scenes[n].status, "its status");
		OK(report == NULL, "the report is gone");
		close(fd);
	}
}

/* -- exit statuses ------------------------------------------------------------------------ */

/* Kinds of the account's error and of two messages, for two accounts. */
static const struct fold {
	const char *name;
	enum error_kind first[3], second[3];
	int status;
} folds[] = {
	{"none", {0}, {0}, 0},
	{"one", {ERR_AUTH}, {0}, 77},
	{"two of a kind", {ERR_NOHOST}, {ERR_NOHOST}, 68},
	{"two transient", {ERR_TEMP}, {ERR_TEMP}, 75},
	{"transient and permanent", {ERR_TEMP}, {ERR_UNAVAILABLE}, 69},
	{"permanent and transient", {ERR_UNAVAILABLE}, {ERR_TEMP}, 69},
	{"two permanent: the first", {ERR_AUTH}, {ERR_PROTOCOL}, 77},
	{"two permanent: the other first", {ERR_PROTOCOL}, {ERR_AUTH}, 76},
	{"a message", {0, ERR_IO}, {0}, 74},
	{"an account's error and its message's", {ERR_TEMP, ERR_IO}, {0}, 74},
	{"or another's", {ERR_TEMP}, {0, ERR_IO}, 74},
	{"messages of two kinds", {0, ERR_TEMP, ERR_IO}, {0}, 74},
	{"a stop and nothing else", {ERR_STOP}, {0}, 75},
	{"a stop and something else", {ERR_STOP}, {ERR_CANTCREATE}, 73},
};

static void fold_account(struct report *report, size_t i, const enum error_kind kinds[3])
{
	for (size_t k = 1; k < 3; k++)
		if (kinds[k])
			report_event(report, i, &(struct event){.kind = EVENT_FAILED, .error = kinds[k]});
	if (kinds[0])
		report_event(report, i, &(struct event){.kind = EVENT_ERROR, .error = kinds[0]});
}

/* In the order of the accounts, whichever is heard of first. */
static void test_folds(void)
{
	for (size_t n = 0; n < 2 * sizeof(folds) / sizeof(folds[0]); n++) {
		const struct fold *fold = &folds[n / 2];
		struct report *report = open_report(&(struct report_style)QUIET, accounts, 3);
		int fd = fresh_file();

		redirect(fd);
		if (n % 2 == 0)
			fold_account(report, 0, fold->first);
		fold_account(report, 1, fold->second);
		if (n % 2 == 1)
			fold_account(report, 0, fold->first);
		restore();
		EQUAL(report_close(&report), fold->status, fold->name);
	}
}

/* -- sizes -------------------------------------------------------------------------------- */

static void test_sizes(void)
{
	static const struct {
		uint64_t bytes;
		const char *want;
	} sizes[] = {
		{1, "1 B"}, {999, "999 B"}, {1000, "1 kB"}, {1499, "1 kB"}, {1500, "2 kB"},
		{999499, "999 kB"}, {999500, "1.0 MB"}, {1249999, "1.2 MB"}, {1250000, "1.3 MB"},
		{99949999, "99.9 MB"}, {99960000, "100 MB"}, {999499999, "999 MB"}, {999500000, "1.0 GB"},
		{1073741824, "1.1 GB"}, {123456789012, "123 GB"},
		{UINT64_MAX, "18.4 EB"},
	};
	for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
		struct report *report = open_report(&(struct report_style)TERMINAL, accounts, 3);
		int fd = fresh_file();
		char text[8192], want[64];

		redirect(dup(fd));
		report_begin(report, 0);
		report_event(report, 0, &(struct event){.kind = EVENT_DONE, .num = 1,
		                                        .bytes = sizes[n].bytes});
		report_end(report, 0);
		(void)report_close(&report);
		restore();
		snprintf(want, sizeof(want), "work: 1 new (%s)\n", sizes[n].want);
		SAME(contents(fd, text), want, sizes[n].want);
		close(fd);
	}
}

/* -- progress ----------------------------------------------------------------------------- */

static void nap(int ms)
{
	struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	nanosleep(&span, NULL);
}

static void progress(struct report *report, size_t i, uint64_t num, uint64_t bytes)
{
	report_event(report, i, &(struct event){.kind = EVENT_PROGRESS, .num = num, .bytes = bytes});
}

static void plan(struct report *report, size_t i, uint64_t num)
{
	report_event(report, i, &(struct event){.kind = EVENT_PLAN, .num = num});
}

/* A terminal of 30 columns: ours is the returned end, the report's is standard error. */
static int fresh_terminal(int *slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct winsize size = {.ws_row = 24, .ws_col = 30};
	struct termios raw;

	if (master == -1 || grantpt(master) || unlockpt(master))
		return -1;
	*slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*slave == -1 || tcgetattr(*slave, &raw))
		return -1;
	cfmakeraw(&raw);
	(void)tcsetattr(*slave, TCSANOW, &raw);
	(void)ioctl(*slave, TIOCSWINSZ, &size);
	(void)fcntl(master, F_SETFL, O_NONBLOCK);
	return master;
}

static void resize(unsigned short columns)
{
	struct winsize size = {.ws_row = 24, .ws_col = columns};

	(void)ioctl(2, TIOCSWINSZ, &size);
}

/* The checks print on standard output, so standard error can stay redirected meanwhile. */
static void watch_progress(struct report *report, int screen)
{
	char text[8192];
	uint64_t drawn;
	int wait;

	report_begin(report, 0);
	plan(report, 0, 300);
	progress(report, 0, 1, 10);
	wait = report_tick(report);
	OK(wait > 0 && wait <= 1000, "nothing is due before a second is over");
	SAME(contents(screen, text), "", "nothing is shown before that");
	nap(wait + 1);
	drawn = clock_ms();
	wait = report_tick(report);
	OK(wait > 500 && wait <= 1000, "then it is shown, and looked at in a second again");
	SAME(contents(screen, text), START "work    1/300" DRAWN WRAP, "the line");
	progress(report, 0, 120, 1200000);
	wait = report_tick(report);
	if (clock_ms() - drawn < 100) { /* else this machine is too busy for such questions */
		OK(wait > 0 && wait <= 100, "the next one is due in a tenth of a second");
		SAME(contents(screen, text), "", "not before");
	}
	(void)contents(screen, text);
	report_event(report, 0, &(struct event){.kind = EVENT_NOTE, .text = "warning"});
	SAME(contents(screen, text), CLEAR "mailhaul: work: warning\n" START "work    1/300" DRAWN WRAP,
	     "other words stand above it");
	nap(101);
	wait = report_tick(report);
	OK(wait > 500 && wait <= 1000, "drawn, and looked at again when a second is over");
	SAME(contents(screen, text), START "work  120/300" DRAWN WRAP, "the new line");
	(void)report_tick(report);
	nap(1001);
	(void)report_tick(report);
	SAME(contents(screen, text), "", "where nothing changes nothing is drawn");
	resize(10);
	nap(101);
	(void)report_tick(report);
	SAME(contents(screen, text), START "work" DRAWN WRAP, "it is cut to a smaller width");
	resize(30);
	report_begin(report, 1);
	wait = report_tick(report);
	OK(wait > 0, "a second account waits for its second");
	nap(1001);
	(void)report_tick(report);
	(void)contents(screen, text);
	report_event(report, 1, &(struct event){.kind = EVENT_ASKING, .num = 1});
	(void)report_tick(report);
	SAME(contents(screen, text), CLEAR, "a command that may ask has the terminal alone");
	nap(101);
	(void)report_tick(report);
	SAME(contents(screen, text), "", "as long as it runs");
	report_event(report, 1, &(struct event){.kind = EVENT_ASKING, .num = 0});
	(void)report_tick(report);
	SAME(contents(screen, text), START "work  120/300\033[K\nhome  waiting 1 s" DRAWN
	     "\033[1A" WRAP, "both, a line each");
	report_pause(report);
	SAME(contents(screen, text), CLEAR, "a pause clears it");
	nap(101);
	(void)report_tick(report);
	OK(strncmp(contents(screen, text), START "work", 10) == 0, "and it comes again");
	report_event(report, 0, &(struct event){.kind = EVENT_DONE, .num = 300, .bytes = 3000000});
	report_end(report, 0);
	SAME(contents(screen, text), CLEAR "work: 300 new (3.0 MB)\n" START "work  120/300\033[K\n"
	     "home  waiting 1 s" DRAWN "\033[1A" WRAP, "one is over");
	nap(101);
	(void)report_tick(report);
	SAME(contents(screen, text), START "home  waiting 1 s" DRAWN WRAP, "the other goes on");
	report_event(report, 1, &(struct event){.kind = EVENT_LINE, .text = ""});
	(void)contents(screen, text);
	(void)report_tick(report);
	SAME(contents(screen, text), "", "what speaks for itself needs no progress");
	report_end(report, 1);
	(void)report_tick(report);
	SAME(contents(screen, text), "", "no line is left behind");
}

static void test_progress(void)
{
	struct report *report = open_report(&(struct report_style)TERMINAL, accounts, 3);
	int slave = -1, screen = fresh_terminal(&slave);

	if (screen == -1 || slave == -1) {
		printf("# no pseudo-terminals here: progress is not tested\n");
		(void)report_close(&report);
		return;
	}
	redirect(slave);
	watch_progress(report, screen);
	EQUAL(report_close(&report), 0, "all is well");
	restore();
	close(screen);
}

/* Closing takes the line away, too; and a name of many bytes is cut between characters. */
static void test_close(void)
{
	static const struct account umlaut = {
		.name = (char *)"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4",
	};
	struct report *report = open_report(&(struct report_style)TERMINAL, &umlaut, 1);
	int slave = -1, screen = fresh_terminal(&slave);
	char text[8192];

	if (screen == -1 || slave == -1) {
		(void)report_close(&report);
		return;
	}
	redirect(slave);
	resize(9);
	report_begin(report, 0);
	nap(1001);
	(void)report_tick(report);
	SAME(contents(screen, text), START "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4..." DRAWN WRAP,
	     "five letters and no half one");
	(void)report_close(&report);
	SAME(contents(screen, text), CLEAR, "closing clears the line");
	restore();
	close(screen);
}

/* Without a terminal that knows how, with -q or --json, there is no progress, nothing ever due. */
static void test_no_progress(void)
{
	static const struct report_style styles[] = {
		CRON, VERBOSE, QUIET_TERMINAL, {.terminal = true, .dumb = true},
		{.terminal = true, .json = true},
	};

	for (size_t n = 0; n < 5; n++) {
		struct report *report = open_report(&styles[n], accounts, 3);

		report_begin(report, 0);
		EQUAL(report_tick(report), -1, "never due");
		(void)report_close(&report);
	}
}

int main(void)
{
	test_lines();
	test_folds();
	test_sizes();
	test_progress();
	test_close();
	test_no_progress();
	return tap_end();
}

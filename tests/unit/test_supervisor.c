/* SPDX-License-Identifier: MIT */
/*
 * test_supervisor.c - who may run when, what becomes of those who crash, hang, lie or are told to
 * stop, and MDAs of every kind.
 *
 * The workers are played by worker_main below: what one does is told by its account's name.
 * What they see is left in a shared page.  supervisor.c is included, for shorter time limits.
 */
#define SILENCE_MS 300
#define STOP_MS 1000
#define LEAVE_MS 200
#define REPEAT_MS 50
#define EVENTS_A_TURN 1
#include "supervisor.c"

#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "tap.h"

#define FLEET 20

/* What all processes see. */
static struct {
	int running, peak;        /* workers now, at most */
	int quorum;               /* those that nap wait until so many have been seen */
	int order[FLEET], begun;  /* accounts in the order of their start */
	int fds[FLEET];           /* open descriptors */
	int secrets;              /* passwords of others that were to be seen */
	struct event answer;      /* to the last EVENT_MDA */
	struct event answers[3];  /* to those of "mdas", as they came */
} *seen;

static struct account fleet[FLEET];
static size_t crew;               /* accounts in it */
static char dir[] = "/tmp/test_supervisor.XXXXXX";
static const char *ask = "joe@example.org\nuid-1"; /* the text of EVENT_MDA */

/* -- workers ------------------------------------------------------------------------------ */

static void nap(int ms)
{
	struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	while (nanosleep(&span, &span) == -1 && errno == EINTR)
		;
}

static void say(int link, struct event event)
{
	struct error err = {0};

	(void)link_send(link, &event, -1, &err);
}

static void take_notes(const struct account *account)
{
	int self = __atomic_fetch_add(&seen->begun, 1, __ATOMIC_SEQ_CST);
	int now = __atomic_add_fetch(&seen->running, 1, __ATOMIC_SEQ_CST), peak = seen->peak;

	while (peak < now && !__atomic_compare_exchange_n(&seen->peak, &peak, now, false,
	                                                  __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	seen->order[self] = (int)(account - fleet);
	seen->fds[self] = tap_open_files();
	for (size_t i = 0; i < crew; i++)
		if (&fleet[i] != account && fleet[i].login.password)
			seen->secrets++;
}

/* As conn.c does: the signals come in only while it waits. */
static void wait_for_stop(void)
{
	sigset_t none;

	sigemptyset(&none);
	while (!stop_requested)
		(void)ppoll(NULL, 0, NULL, &none);
}

static int open_letter(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/letter", dir);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void run_mda(int link)
{
	struct event event = {.kind = EVENT_MDA, .bytes = 4711};
	struct error err = {0};
	int fd = open_letter();

	text_copy(event.text, sizeof(event.text), ask);
	(void)link_send(link, &event, fd, &err);
	close(fd);
	if (link_take(link, &seen->answer, NULL, &err) != 1)
		seen->answer = (struct event){.kind = EVENT_KINDS};
}

/* Three at once; each MDA is told by its UID which it is. */
static void run_mdas(int link)
{
	struct error err;
	int fd = open_letter();

	for (unsigned i = 1; i <= 3; i++) {
		struct event event = {.kind = EVENT_MDA, .num = i};

		snprintf(event.text, sizeof(event.text), "joe\n%u", i);
		(void)link_send(link, &event, fd, &err);
	}
	close(fd);
	for (int i = 0; i < 3 && link_take(link, &seen->answers[i], NULL, &err) == 1; i++)
		;
}

static void act(const struct account *account, int link)
{
	const char *name = account->name;

	if (strcmp(name, "crash") == 0)
		raise(SIGKILL);
	else if (strcmp(name, "leave") == 0)
		exit(3);
	else if (strcmp(name, "starve") == 0 || strcmp(name, "calm") == 0)
		exit(75);
	else if (strcmp(name, "hang") == 0)
		nap(60000);
	else if (strcmp(name, "babble") == 0)
		(void)send(link, "x", 1, 0);
	else if (strcmp(name, "beg") == 0)
		say(link, (struct event){.kind = EVENT_MDA});
	else if (strcmp(name, "mda") == 0)
		run_mda(link);
	else if (strcmp(name, "mdas") == 0)
		run_mdas(link);
	else if (strcmp(name, "polite") == 0)
		wait_for_stop();
	for (int i = 0; strcmp(name, "nap") == 0 && i < 300; i++) {
		nap(10);
		if (i >= 3 && __atomic_load_n(&seen->peak, __ATOMIC_SEQ_CST) >= seen->quorum)
			break;
	}
	for (int i = 0; strcmp(name, "talk") == 0 && i < 300; i++)
		say(link, (struct event){.kind = EVENT_NOTE, .text = "x"});
	if (strncmp(name, "stop", 4) == 0) { /* stop, stop-stop, stop-hang, stop-mda */
		nap(100);
		(void)kill(getppid(), SIGTERM);
		if (strcmp(name, "stop-stop") == 0) {
			nap(REPEAT_MS + 100);
			(void)kill(getppid(), SIGINT);
		}
		if (strcmp(name, "stop-mda") == 0)
			run_mda(link);
		else if (strcmp(name, "stop") != 0)
			nap(60000);
		wait_for_stop();
	}
}

int worker_main(const struct account *account, int link)
{
	take_notes(account);
	act(account, link);
	__atomic_sub_fetch(&seen->running, 1, __ATOMIC_SEQ_CST);
	say(link, (struct event){.kind = EVENT_DONE, .num = 1, .bytes = 1});
	close(link);
	return 0;
}

/* There is no memory here: everything is told, and nothing of an account called "calm". */
enum note_level worker_failed(const struct account *account, struct error *err)
{
	(void)err;
	return strcmp(account->name, "calm") == 0 ? NOTE_INFO : NOTE_WARN;
}

/* -- runs --------------------------------------------------------------------------------- */

/* How a run went. */
static struct outcome {
	int result, status, by_signal;
	char text[65536]; /* of standard error */
	uint64_t ms;
} run;

static struct account *add(const char *name, const char *host)
{
	struct account *account = &fleet[crew++];

	*account = (struct account){.name = xstrdup(name)};
	account->server.host = xstrdup(host);
	account->login.password = xstrdup("secret");
	account->login.user = xstrdup("joe");
	account->target.mda_jobs = 1;
	account->target.mda_timeout = 20;
	return account;
}

/* Patience for accounts that are not to be found silent. */
static struct account *add_patient(const char *name, const char *host)
{
	struct account *account = add(name, host);

	account->server.timeout = 30;
	return account;
}

static void clear_fleet(void)
{
	for (size_t i = 0; i < crew; i++) {
		struct account *account = &fleet[i];

		free(account->name);
		free(account->server.host);
		free(account->login.user);
		free(account->login.password);
		free(account->target.mda);
		free(account->target.mda_shell);
	}
	crew = 0;
	memset(seen, 0, sizeof(*seen));
}

/* Runs the fleet. */
static void sail(uint64_t jobs, bool verbose)
{
	struct report_style style = {.verbose = verbose};
	struct report *report = report_open(&style);
	char path[] = "/tmp/test_supervisor.XXXXXX";
	int text = mkstemp(path), real = dup(2);
	struct error err = {0};
	uint64_t start = clock_ms();
	ssize_t len;

	unlink(path);
	dup2(text, 2);
	report_accounts(report, fleet, crew);
	run.result = supervisor_run(fleet, crew, jobs, report, &run.by_signal, &err);
	run.status = report_close(&report);
	dup2(real, 2);
	close(real);
	run.ms = clock_ms() - start;
	len = pread(text, run.text, sizeof(run.text) - 1, 0);
	run.text[len > 0 ? len : 0] = '\0';
	close(text);
	EQUAL(run.result, 0, "the supervisor does its work");
}

/* -- who may run -------------------------------------------------------------------------- */

static void test_jobs(void)
{
	char name[16];
	bool in_order = true, none_left = true;

	for (int i = 0; i < FLEET; i++) {
		snprintf(name, sizeof(name), "pop%d", i);
		add_patient("nap", name);
	}
	seen->quorum = 3;
	sail(3, false);
	EQUAL(seen->begun, FLEET, "all have run");
	EQUAL(seen->peak, 3, "never more than jobs, and as many");
	EQUAL(run.status, 0, "all is well");
	SAME(run.text, "", "and nothing is said");
	for (int i = 0; i < FLEET; i++) {
		in_order = in_order && abs(seen->order[i] - i) < 3; /* three race for their note */
		none_left = none_left && !fleet[i].login.password;
	}
	OK(in_order, "in the order of the file");
	OK(none_left, "no password is left with the supervisor");
	clear_fleet();
}

static void test_hosts(void)
{
	static const char *const hosts[] = {"pop.example.org", "POP.Example.Org"};

	for (int i = 0; i < 10; i++)
		add_patient("nap", hosts[i % 2]);
	add_patient("nap", "elsewhere");
	seen->quorum = SUPERVISOR_PER_HOST + 1;
	sail(20, false);
	EQUAL(seen->begun, 11, "all have run");
	EQUAL(seen->peak, SUPERVISOR_PER_HOST + 1, "four for one host, and the other one");
	clear_fleet();
}

static void test_stdout(void)
{
	for (int i = 0; i < 3; i++)
		add_patient("nap", "a")->target.to_stdout = true;
	sail(20, false);
	EQUAL(seen->begun, 3, "all have run");
	EQUAL(seen->peak, 1, "one at a time writes to standard output");
	clear_fleet();
}

static void test_inheritance(void)
{
	for (int i = 0; i < 4; i++)
		add_patient("nap", "a");
	seen->quorum = 4;
	sail(4, false);
	EQUAL(seen->secrets, 0, "no worker sees another's password");
	for (int i = 1; i < 4; i++)
		EQUAL(seen->fds[i], seen->fds[0], "nor has another's descriptors");
	clear_fleet();
}

/* -- accidents ---------------------------------------------------------------------------- */

static void test_accidents(void)
{
	static const struct {
		const char *name, *text;
		int status;
	} cases[] = {
		{"crash", "mailhaul: crash: its process died by signal 9 (Killed): " LOST_NOTHING "\n", 70},
		{"leave", "mailhaul: leave: its process ended without a word (exit status 3): "
		          LOST_NOTHING "\n", 70},
		{"starve", "mailhaul: starve: its process ended without a word (exit status 75): "
		           LOST_NOTHING "\n", 75},
		{"calm", "", 75},
		{"hang", "mailhaul: hang: made no progress for 0 s and was stopped; nothing is lost\n", 75},
		{"babble", "mailhaul: babble: its process spoke nonsense and was killed: "
		           LOST_NOTHING "\n", 70},
		{"beg", "mailhaul: beg: its process asked for what it may not have and was killed: "
		        LOST_NOTHING "\n", 70},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		add(cases[i].name, "a");
		add_patient("nap", "a");
		sail(2, false);
		SAME(run.text, cases[i].text, cases[i].name);
		EQUAL(run.status, cases[i].status, "its status");
		EQUAL(seen->begun, 2, "the other one has run");
		OK(run.ms < 5000, "nobody waits long");
		clear_fleet();
	}
}

/* More than the link holds, and then a quick end: all of it arrives. */
static void test_talk(void)
{
	size_t lines = 0;

	add_patient("talk", "a");
	sail(1, true);
	for (const char *p = run.text; (p = strstr(p, "mailhaul: talk: x\n")); p++)
		lines++;
	EQUAL(lines, 300, "every word is heard");
	OK(strstr(run.text, "talk: 1 new"), "the last one, too");
	clear_fleet();
}

/* -- orders to stop ----------------------------------------------------------------------- */

static void test_stop(void)
{
	add_patient("stop", "a");
	add_patient("polite", "b");
	add_patient("nap", "c");
	sail(2, true);
	EQUAL(run.by_signal, SIGTERM, "the signal is told");
	EQUAL(seen->begun, 2, "nobody is started any more");
	OK(strstr(run.text, "stop: 1 new (1 B)\n") && strstr(run.text, "polite: 1 new (1 B)\n"),
	   "those who run end well");
	OK(run.ms < STOP_MS, "at once");
	clear_fleet();

	add_patient("stop-hang", "a");
	sail(1, true);
	SAME(run.text, "mailhaul: stop-hang: did not leave in time and was killed: " LOST_NOTHING "\n",
	     "who does not leave is killed");
	OK(run.ms >= STOP_MS && run.ms < STOP_MS + 2000, "after a while");
	EQUAL(run.status, 75, "to be tried again");
	clear_fleet();

	add_patient("stop-stop", "a");
	sail(1, true);
	SAME(run.text, "mailhaul: stop-stop: killed by a second order to stop: " LOST_NOTHING "\n",
	     "or at once by a second order");
	EQUAL(run.by_signal, SIGTERM, "it is the first signal that is told");
	OK(run.ms < STOP_MS, "without waiting");
	clear_fleet();
}

/* -- MDAs --------------------------------------------------------------------------------- */

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "we");

	if (file) {
		fputs(text, file);
		fclose(file);
	}
}

/* The contents of a file, which is removed; "(none)" if it is not there. */
static const char *take_file(const char *name, char text[8192])
{
	FILE *file = fopen(path_of(name), "re");
	size_t len;

	text_copy(text, 8192, "(none)");
	if (file) {
		len = fread(text, 1, 8191, file);
		text[len] = '\0';
		fclose(file);
		unlink(path_of(name));
	}
	return text;
}

/* Runs one MDA; %D in its line is the directory. */
static void with_mda(const char *worker, const char *line, bool shell, uint64_t limit)
{
	struct account *account = add_patient(worker, "a");
	struct str full = {.max = 4096};
	const char *at;

	while ((at = strstr(line, "%D"))) {
		(void)str_add(&full, line, (size_t)(at - line));
		(void)str_puts(&full, dir);
		line = at + 2;
	}
	(void)str_puts(&full, line);
	*(shell ? &account->target.mda_shell : &account->target.mda) = full.s;
	account->target.mda_timeout = limit;
	sail(1, true);
}

static void test_mda_ends(void)
{
	static const struct {
		const char *line;
		bool shell;
		uint64_t limit;
		enum error_kind kind;
		bool one_message, prefix;
		const char *text;
	} cases[] = {
		{"true", false, 20, ERR_NONE, false, false, ""},
		{"exec >/dev/null; cat", true, 20, ERR_NONE, false, false, ""},
		{"sh -c 'echo come; echo back; exit 75'", false, 20, ERR_TEMP, true, false,
		 "MDA 'sh' failed: exit status 75: back"},
		{"printf 'no\\033[2Jroom\\n \\n' >&2; exit 73", true, 20, ERR_IO, true, true,
		 "MDA 'printf 'no\\033[2Jroom\\n \\n' >&2; exit 73' failed: exit status 73: "
		 "no\\x1b[2Jroom"},
		{"sh -c 'kill -9 $$'", false, 20, ERR_IO, true, false,
		 "MDA 'sh' failed: killed by signal 9 (Killed)"},
		{"/nonexistent/mda", false, 20, ERR_IO, false, false,
		 "no message can be delivered: cannot run /nonexistent/mda: No such file or directory"},
		{"%D/letter", false, 20, ERR_IO, false, true,
		 "no message can be delivered: cannot run /tmp/test_supervisor."},
		{"/nonexistent/mda", true, 20, ERR_IO, false, true,
		 "MDA '/nonexistent/mda' failed: exit status 127: "},
		{"sh -c 'exit 127'", false, 20, ERR_IO, false, false, "MDA 'sh' failed: exit status 127"},
		{"sh -c 'exit 126'", false, 20, ERR_IO, true, false, "MDA 'sh' failed: exit status 126"},
		{"mda 'with an open quote", false, 20, ERR_CONFIG, false, true, "mda: "},
		{"sleep 20", false, 1, ERR_TEMP, true, false,
		 "MDA 'sleep' did not finish within 1 s and was stopped"},
		{"trap '' TERM; sleep 20; sleep 20", true, 1, ERR_TEMP, true, true,
		 "MDA 'trap '' TERM; sleep 20; sleep 20' did not finish within 1 s"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[sizeof(seen->answer.text)];

		with_mda("mda", cases[i].line, cases[i].shell, cases[i].limit);
		EQUAL(seen->answer.kind, EVENT_MDA_DONE, cases[i].line);
		EQUAL(seen->answer.error, cases[i].kind, "its kind");
		EQUAL(seen->answer.one_message, cases[i].one_message, "whether it is this message alone");
		text_copy(text, cases[i].prefix ? strlen(cases[i].text) + 1 : sizeof(text),
		          seen->answer.text);
		if (cases[i].text[0] == 'n' && strstr(seen->answer.text, "exit status 127"))
			printf("# here a missing program is told by its exit status\n"); /* valgrind */
		else
			SAME(text, cases[i].text, "its text");
		OK(run.ms < 10000, "in time");
		clear_fleet();
	}
}

static void test_mda_words(void)
{
	static const struct {
		const char *ask, *sender, *uid;
	} cases[] = {
		{"joe@example.org\nuid-1", "joe@example.org", "uid-1"},
		{"a._%+=@/-Z9\nU I D", "a._%+=@/-Z9", "U I D"},
		{"-oQ/tmp\nx", "MAILER-DAEMON", "x"},
		{"$(id)\nx", "MAILER-DAEMON", "x"},
		{"a b\nx", "MAILER-DAEMON", "x"},
		{"\nx", "MAILER-DAEMON", "x"},
		{"", "MAILER-DAEMON", ""},
		{"joe\nx\ny\x1b\xff", "joe", "x\\x0ay\\x1b\\xff"},
	};
	char got[8192], want[8192];

	(void)setenv("STRANGER", "x", 1);
	(void)setenv("XDG_STATE_HOME", "/xdg", 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask = cases[i].ask;
		with_mda("mda", "sh -c 'cat >%D/got; env | sort >%D/env; echo \"$@\" >%D/args' sh "
		         "\"a '%F'\" -f%F,%F", false, 20);
		EQUAL(seen->answer.error, ERR_NONE, "it is run");
		SAME(take_file("got", got), "From the\nletter\n", "it has the message");
		snprintf(want, sizeof(want), "a '%s' -f%s,%s\n", cases[i].sender, cases[i].sender,
		         cases[i].sender);
		SAME(take_file("args", got), want, "%F within words");
		take_file("env", got);
		snprintf(want, sizeof(want), "SENDER=%s\n", cases[i].sender);
		OK(strstr(got, want), want);
		snprintf(want, sizeof(want), "\nUIDL=%s\n", cases[i].uid);
		OK(strstr(got, want), want);
		OK(strstr(got, "ACCOUNT=mda\n") && strstr(got, "RECIPIENT=joe\n") &&
		   strstr(got, "SIZE=4711\n"), "ACCOUNT, RECIPIENT, SIZE");
		OK(strstr(got, "PATH=") && strstr(got, "XDG_STATE_HOME=/xdg\n"), "what is kept");
		OK(!strstr(got, "STRANGER"), "and nothing else");
		clear_fleet();
	}
	ask = cases[0].ask;
}

static void test_mda_shell_words(void)
{
	char got[8192];

	with_mda("mda", "cat >/dev/null; echo \"$SENDER %F\" >%D/args; echo fine", true, 20);
	EQUAL(seen->answer.error, ERR_NONE, "the shell's line is run");
	SAME(take_file("args", got), "joe@example.org %F\n", "nothing is put into it");
	OK(strstr(run.text, "' said: fine\n"), "with -v one hears what it said");
	clear_fleet();
}

static void test_mda_stop(void)
{
	with_mda("stop-mda", "sleep 20", false, 20);
	EQUAL(seen->answer.error, ERR_STOP, "no MDA is started after the order");
	clear_fleet();

	add_patient("stop", "b"); /* gives the order while the MDA runs */
	add_patient("mda", "a")->target.mda = xstrdup("sleep 0.4");
	sail(2, true);
	EQUAL(seen->answer.kind, EVENT_MDA_DONE, "an answer");
	EQUAL(seen->answer.error, ERR_NONE, "an MDA that runs may finish");
	clear_fleet();

	add_patient("stop", "b");
	add_patient("mda", "a")->target.mda = xstrdup("sleep 20");
	sail(2, true);
	EQUAL(seen->answer.error, ERR_STOP, "but not for ever");
	OK(run.ms >= STOP_MS && run.ms < STOP_MS + 2000, "it is killed when time is up");
	clear_fleet();
}

/* The first is over last, the second fails. */
static void test_mda_jobs(void)
{
	static const char line[] = "case $UIDL in 1) sleep 1 ;; 2) exit 7 ;; 3) sleep 0.4 ;; esac";
	static const unsigned order[] = {2, 3, 1};
	struct account *account = add_patient("mdas", "a");

	account->target.mda_shell = xstrdup(line);
	account->target.mda_jobs = 3;
	sail(1, false);
	for (size_t i = 0; i < 3; i++) {
		EQUAL(seen->answers[i].kind, EVENT_MDA_DONE, "an answer");
		EQUAL(seen->answers[i].num, order[i], "as they end, about their message");
		EQUAL(seen->answers[i].error, order[i] == 2 ? ERR_IO : ERR_NONE, "each its own verdict");
	}
	SAME(run.text, "", "nothing is wrong with who asks so");
	clear_fleet();

	account = add_patient("mdas", "a");
	account->target.mda_shell = xstrdup(line);
	account->target.mda_jobs = 2;
	sail(1, false);
	OK(strstr(run.text, "asked for what it may not have"), "no more than it may");
	clear_fleet();

	add_patient("stop", "b");
	account = add_patient("mdas", "a");
	account->target.mda_shell = xstrdup("sleep 20");
	account->target.mda_jobs = 3;
	sail(2, false);
	for (size_t i = 0; i < 3; i++)
		EQUAL(seen->answers[i].error, ERR_STOP, "all are killed when time is up");
	OK(run.ms >= STOP_MS && run.ms < STOP_MS + 2000, "at the same time");
	clear_fleet();
}

int main(void)
{
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED || !mkdtemp(dir))
		return 99;
	signal(SIGPIPE, SIG_IGN);
	write_file("letter", "From the\nletter\n");
	test_jobs();
	test_hosts();
	test_stdout();
	test_inheritance();
	test_accidents();
	test_talk();
	test_stop();
	test_mda_jobs();
	test_mda_ends();
	test_mda_words();
	test_mda_shell_words();
	test_mda_stop();
	unlink(path_of("letter"));
	rmdir(dir);
	return tap_end();
}

/* SPDX-License-Identifier: MIT */
/*
 * test_child.c - command lines, and programs that end well, badly, late or not at all; loud ones,
 * and those that leave others behind.  Everything is said to /bin/sh.
 */
#include "config.h"

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static struct child child;
static struct error err;
static int status;

/* Runs a shell line; what it said stands in heard() then. */
static int run(const char *line, int stdin_fd, uint64_t limit)
{
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, xstrdup(line), NULL};
	struct child_spec spec = {.argv = argv, .stdin_fd = stdin_fd};
	int result;

	err = (struct error){0};
	status = -1;
	result = child_run(&spec, limit, &child, &status, &err);
	free(argv[2]);
	return result;
}

static const char *heard(void)
{
	static char text[CHILD_EAR + 1];

	memcpy(text, child.heard, child.heard_len);
	text[child.heard_len] = '\0';
	return text;
}

/* True where a process is no more, or only waits for somebody to bury it. */
static bool is_dead(long pid)
{
	for (int i = 0; i < 100; i++) {
		char name[64], stat[256] = "";
		const char *state;
		int fd;

		snprintf(name, sizeof(name), "/proc/%ld/stat", pid);
		fd = open(name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return true;
		if (read(fd, stat, sizeof(stat) - 1) < 0)
			stat[0] = '\0';
		close(fd);
		state = strrchr(stat, ')');
		if (!state || state[2] == 'Z' || state[2] == 'X')
			return true;
		usleep(20000);
	}
	return false;
}

static void test_words(void)
{
	static const struct {
		const char *line;
		const char *want; /* the words, each in [] */
	} cases[] = {
		{"procmail", "[procmail]"},
		{"  procmail\t -t  -f %F ", "[procmail][-t][-f][%F]"},
		{"a\nb\rc", "[a][b][c]"},
		{"'a b' c", "[a b][c]"},
		{"\"a b\" c", "[a b][c]"},
		{"a' 'b\" \"c", "[a b c]"},
		{"''", "[]"},
		{"x '' \"\" y", "[x][][][y]"},
		{"''''", "[]"},
		{"a\\ b", "[a b]"},
		{"\\'a\\\"", "['a\"]"},
		{"\\a\\\\", "[a\\]"},
		{"'a\\b'", "[a\\b]"},
		{"'a\"b'", "[a\"b]"},
		{"\"a'b\"", "[a'b]"},
		{"\"\\\"\\\\\\$\\`\\n\\a\"", "[\"\\$`\\n\\a]"},
		{"$HOME * ~ `x` $(y) # ; | > &", "[$HOME][*][~][`x`][$(y)][#][;][|][>][&]"},
		{"\xc3\xa4 \xff", "[\xc3\xa4][\xff]"},
		{"a b c d e f g h", "[a][b][c][d][e][f][g][h]"},
	};
	static const struct {
		const char *line, *why;
	} bad[] = {
		{"", "no program is named"},
		{" \t ", "no program is named"},
		{"a 'b", "a ' is never closed"},
		{"a '", "a ' is never closed"},
		{"a \"b", "a \" is never closed"},
		{"\"", "a \" is never closed"},
		{"\"a\\", "a \" is never closed"},
		{"\"a\\\"", "a \" is never closed"},
		{"a\\", "a backslash at the end quotes nothing"},
		{"a b c \\", "a backslash at the end quotes nothing"},
	};

	for (size_t i = 0; i < LEN(cases); i++) {
		char **words = child_words(cases[i].line, &err);
		struct str got = {.max = 1000};

		for (char **word = words; word && *word; word++)
			str_printf(&got, "[%s]", *word);
		SAME(got.s, cases[i].want, cases[i].line);
		str_free(&got);
		child_words_free(words);
	}
	for (size_t i = 0; i < LEN(bad); i++) {
		err = (struct error){0};
		OK(child_words(bad[i].line, &err) == NULL, bad[i].line);
		SAME(err.text, bad[i].why, "says why");
		EQUAL(err.kind, ERR_CONFIG, "is ERR_CONFIG");
	}
	child_words_free(NULL);
}

static void test_status(void)
{
	char to[64];

	SAME(child_status_text(to, sizeof(to), 3 << 8), "exit status 3", "an exit");
	SAME(child_status_text(to, sizeof(to), 9), "killed by signal 9 (Killed)", "a signal");
	SAME(child_status_text(to, sizeof(to), 0x80 | 11), "killed by signal 11 (Segmentation fault)",
	     "a signal and a core");
	SAME(child_status_text(to, sizeof(to), 0x137f), "unknown status 0x137f", "a stop");
}

/* Valgrind makes vfork a fork, so posix_spawn cannot hear that the program is missing. */
static bool is_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload");
}

static void test_start_fails(void)
{
	char *none[] = {(char[]){"no-such-program-here"}, NULL};
	char *refused[] = {(char[]){"/dev/null"}, NULL};
	struct child_spec spec = {.argv = none, .stdin_fd = -1};

	if (is_valgrind())
		return;
	EQUAL(child_start(&child, &spec, &err), -1, "a missing program");
	SAME(err.text, "cannot run no-such-program-here: No such file or directory", "is named");
	EQUAL(err.kind, ERR_IO, "is ERR_IO");
	EQUAL(err.sys, ENOENT, "and ENOENT");
	OK(child.pid == 0 && child.ear == -1, "leaves nothing");
	spec.argv = refused;
	EQUAL(child_run(&spec, 1, &child, &status, &err), -1, "what is not executable");
	EQUAL(err.sys, EACCES, "is EACCES");
}

static void test_run(void)
{
	EQUAL(run("echo out; echo err >&2", -1, 10), 0, "a program");
	EQUAL(status, 0, "ends well");
	SAME(heard(), "out\nerr\n", "both its mouths are heard");
	OK(child.pid == 0 && child.ear == -1, "nothing is left of it");
	EQUAL(run("exit 3", -1, 10), 0, "one that fails");
	OK(WIFEXITED(status) && WEXITSTATUS(status) == 3, "gives its status");
	EQUAL(run("kill -9 $$", -1, 10), 0, "one that is killed");
	OK(WIFSIGNALED(status) && WTERMSIG(status) == 9, "gives the signal");
	EQUAL(run("cat; echo end", -1, 10), 0, "no input");
	SAME(heard(), "end\n", "ends at once");
	EQUAL(run("exec >&- 2>&-; sleep 0.2; exit 4", -1, 10), 0, "one that closes its mouth");
	OK(WIFEXITED(status) && WEXITSTATUS(status) == 4, "is waited for");
	EQUAL(run("yes | head -c 1000000; exit 5", -1, 20), 0, "a loud one");
	OK(WIFEXITED(status) && WEXITSTATUS(status) == 5, "can say all");
	EQUAL(child.heard_len, CHILD_EAR, "but is not heard to the end");
	OK(strncmp(heard(), "y\ny\n", 4) == 0, "the beginning is kept");
	run("read -r pid pgrp rest <<EOF\n$(cut -d' ' -f1,5,6 /proc/$$/stat)\nEOF\n"
	    "[ $pid = $pgrp ] && [ $pid = $rest ] && [ $pid = $$ ] && echo leads",
	    -1, 10);
	SAME(heard(), "leads\n", "it leads its own session and group");
}

static void test_surroundings(void)
{
	char *env[] = {(char[]){"A=b"}, NULL};
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"echo $A; echo lost >&2"}, NULL};
	struct child_spec spec = {.argv = argv, .env = env, .stdin_fd = -1, .keep_stderr = true};
	int ours = dup(2), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	sigset_t term;

	dup2(null, 2);
	EQUAL(child_run(&spec, 10, &child, &status, &err), 0, "with an environment of its own");
	dup2(ours, 2);
	close(ours);
	close(null);
	SAME(heard(), "b\n", "which it sees; and kept standard error is not heard");

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	signal(SIGPIPE, SIG_IGN);
	run("kill -TERM $$; echo survived", -1, 10);
	OK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "a blocked signal is not blocked there");
	run("kill -PIPE $$; echo survived", -1, 10);
	OK(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE, "an ignored one is not ignored there");
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_UNBLOCK, &term, NULL);

#ifdef HAVE_POSIX_SPAWN_FILE_ACTIONS_ADDCLOSEFROM_NP
	dup2(1, 9);
	run("[ -e /proc/$$/fd/9 ] && echo leak; [ -e /proc/$$/fd/2 ] && echo two", -1, 10);
	close(9);
	SAME(heard(), "two\n", "no inherited descriptor reaches it");
#endif
}

/* The same with descriptors 0..2 of ours closed, or being the input: what is free or taken must
 * not matter.  In a process of its own, for it has no standard output then. */
static void test_low_fds(void)
{
	for (int mask = 0; mask < 8; mask++) {
		for (int as = -1; as <= 2; as++) {
			char what[64];
			int got = -1;
			pid_t pid;

			fflush(stdout);
			pid = fork();
			if (pid == 0) {
				int ends[2], in;

				if (pipe(ends) || write(ends[1], "abc", 3) != 3)
					_exit(9);
				in = fcntl(ends[0], F_DUPFD, 10);
				close(ends[0]);
				close(ends[1]);
				for (int fd = 0; fd < 3; fd++)
					if (mask & 1 << fd)
						close(fd);
				if (as >= 0)
					in = dup2(in, as);
				if (run("cat; echo +; echo - >&2", in, 10))
					_exit(8);
				_exit(strcmp(heard(), "abc+\n-\n") ? 7 : status);
			}
			waitpid(pid, &got, 0);
			snprintf(what, sizeof(what), "closed: %d%d%d, the input is our %d", mask & 1,
			         mask >> 1 & 1, mask >> 2, as);
			EQUAL(got, 0, what);
		}
	}
}

static void test_left_behind(void)
{
	uint64_t then = clock_ms(), pid = 0;

	EQUAL(run("sleep 30 & echo $!", -1, 10), 0, "one that leaves another behind");
	OK(clock_ms() - then < 5000, "does not keep us");
	OK(child.heard_len > 0 && number_parse(heard(), child.heard_len - 1, INT32_MAX, &pid),
	   "its pid");
	OK(pid > 0 && kill((pid_t)pid, SIGKILL) == 0, "which goes on");
	EQUAL(run("sleep 30 & echo $!; wait", -1, 1), -1, "one that is late");
	OK(child.heard_len > 0 && number_parse(heard(), child.heard_len - 1, INT32_MAX, &pid) &&
	   is_dead((long)pid), "is killed with all it has started");
	then = clock_ms();
	EQUAL(run("setsid sleep 6 & sleep 0.1; echo said", -1, 10), 0,
	      "one that escaped with our pipe");
	OK(clock_ms() - then < 5000, "does not keep us either");
	SAME(heard(), "said\n", "what was said is heard");
}

static void stop(int signal)
{
	(void)signal;
	stop_requested = 1;
}

static void test_limits(void)
{
	uint64_t then = clock_ms();
	struct sigaction action = {.sa_handler = stop};
	pid_t pid, me = getpid();

	EQUAL(run("echo begun; sleep 30", -1, 1), -1, "one that is late");
	EQUAL(err.kind, ERR_TEMP, "is ERR_TEMP");
	SAME(err.text, "sh did not end within 1 seconds", "says how late");
	OK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "was asked to go");
	OK(clock_ms() - then >= 1000 && clock_ms() - then < 10000, "once the time was over");
	SAME(heard(), "begun\n", "what it said is kept");

	then = clock_ms();
	EQUAL(run("trap '' TERM; while :; do sleep 0.1; done", -1, 1), -1, "one that will not go");
	OK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "is killed");
	OK(clock_ms() - then >= 3000 && clock_ms() - then < 15000, "2 seconds later, not sooner");
	OK(child.pid == 0 && child.ear == -1, "nothing is left of it");

	sigaction(SIGUSR1, &action, NULL);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		usleep(200000);
		kill(me, SIGUSR1);
		_exit(0);
	}
	then = clock_ms();
	EQUAL(run("sleep 30", -1, 20), -1, "when a stop is asked for");
	EQUAL(err.kind, ERR_STOP, "it is ERR_STOP");
	SAME(err.text, "stopped while sh was running", "in words");
	OK(clock_ms() - then < 10000, "soon");
	OK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "and the program is ended");
	stop_requested = 0;
	waitpid(pid, NULL, 0);
}

static void test_parts(void)
{
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"},
	                (char[]){"echo one; read -r x; echo two; sleep 30"}, NULL};
	struct child_spec spec = {.argv = argv};
	struct child none = {0};
	struct pollfd ear = {.events = POLLIN};
	int ends[2];

	OK(!child_listen(&none) && !child_reap(&none, &status), "a zeroed child says nothing");
	child_signal(&none, SIGKILL);
	if (!OK(pipe2(ends, O_CLOEXEC) == 0, "pipe"))
		return;
	spec.stdin_fd = ends[0];
	EQUAL(child_start(&child, &spec, &err), 0, "child_start");
	OK(fcntl(child.ear, F_GETFD) & FD_CLOEXEC, "the ear is close-on-exec");
	OK(fcntl(child.ear, F_GETFL) & O_NONBLOCK, "and does not block");
	ear.fd = child.ear;
	poll(&ear, 1, 5000);
	OK(child_listen(&child), "child_listen: still open");
	SAME(heard(), "one\n", "what it said so far");
	OK(child_listen(&child), "child_listen waits for nothing");
	OK(!child_reap(&child, &status), "child_reap: it still runs");
	OK(write(ends[1], "\n", 1) == 1, "write");
	poll(&ear, 1, 5000);
	child_listen(&child);
	SAME(heard(), "one\ntwo\n", "more is added");
	child_signal(&child, SIGTERM);
	for (int i = 0; i < 500 && !child_reap(&child, &status); i++)
		usleep(10000);
	OK(child.pid == 0 && child.ear == -1, "child_reap ends it");
	OK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "with its status");
	close(ends[0]);
	close(ends[1]);

	signal(SIGCHLD, SIG_IGN);
	EQUAL(run("exit 0", -1, 10), 0, "where the status is lost");
	OK(WIFEXITED(status) && WEXITSTATUS(status) == 127, "nobody takes it for success");
	signal(SIGCHLD, SIG_DFL);
}

int main(void)
{
	int before = tap_open_files();

	test_words();
	test_status();
	test_start_fails();
	test_run();
	test_surroundings();
	test_low_fds();
	test_left_behind();
	test_limits();
	test_parts();
	EQUAL(tap_open_files(), before, "no descriptor is left open");
	return tap_end();
}

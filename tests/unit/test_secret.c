/* SPDX-License-Identifier: MIT */
/*
 * test_secret.c - passwords from the configuration, commands, files and a terminal (a pseudo one),
 * good and bad; and that nothing of them stays in memory.
 */
#include "config.h"

#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tap.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static char root[PATH_MAX];
static struct error err;

/* A name under root. */
static const char *under(const char *name)
{
	static char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	return path;
}

/* Makes a file of len bytes. */
static void make(const char *name, const char *bytes, size_t len, mode_t mode)
{
	int fd = open(under(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len || fchmod(fd, mode))
		perror(name);
	close(fd);
}

/* Gets a secret; where want is NULL, expects an error of that kind and text. */
static void check(struct login login, const char *want, enum error_kind kind, const char *text,
                  const char *what)
{
	char *got;

	err = (struct error){0};
	got = secret_get(&login, &err);
	SAME(got, want, what);
	if (!want) {
		EQUAL(err.kind, kind, "the kind of error");
		SAME(err.text, text, "the words");
	}
	secret_free(&got);
}

static void test_password(void)
{
	struct login login = {0};
	char *longest = xmalloc(65538);

	check(login, NULL, ERR_AUTH, "no password is configured", "none");
	OK(secret_is_missing(&login), "is missing");
	login.password = (char[]){"p\xc3\xa4ss w\xff" "rd"};
	OK(!secret_is_missing(&login) && !secret_may_change(&login), "one is not");
	check(login, "p\xc3\xa4ss w\xff" "rd", 0, NULL, "a password with odd bytes");
	login.password = (char[]){""};
	check(login, NULL, ERR_AUTH, "password is empty", "an empty one");
	login.password = (char[]){"a\tb"};
	check(login, NULL, ERR_AUTH, "password has a control character in it", "a tab");
	login.password = (char[]){"a\x7f"};
	check(login, NULL, ERR_AUTH, "password has a control character in it", "a DEL");
	login.password = (char[]){"a\n"};
	check(login, NULL, ERR_AUTH, "password has a control character in it", "a line end");
	memset(longest, 'x', 65537);
	longest[65536] = '\0';
	login.password = longest;
	check(login, longest, 0, NULL, "the longest");
	longest[65536] = 'x';
	longest[65537] = '\0';
	check(login, NULL, ERR_AUTH, "password is longer than 65536 bytes", "one byte more");
	free(longest);
}

static void test_command(void)
{
	static const struct {
		const char *command, *want;
		enum error_kind kind;
		const char *text;
	} cases[] = {
		{"echo secret", "secret", 0, NULL},
		{"printf secret", "secret", 0, NULL},
		{"printf 'secret\\r\\n'", "secret", 0, NULL},
		{"printf ' a b \\nurl: x\\n'", " a b ", 0, NULL},
		{"X=1; echo \"a$X\" | tr a b", "b1", 0, NULL},
		{"echo said >&2; echo secret", "secret", 0, NULL},
		{"cat; echo secret", "secret", 0, NULL},
		{"true", NULL, ERR_AUTH, "password_command: its answer is empty"},
		{"echo; echo secret", NULL, ERR_AUTH, "password_command: its answer is empty"},
		{"printf 'a\\tb\\n'", NULL, ERR_AUTH,
	     "password_command: its answer has a control character in it"},
		{"printf 'a\\0b\\n'", NULL, ERR_AUTH,
	     "password_command: its answer has a control character in it"},
		{"echo secret; exit 3", NULL, ERR_AUTH, "password_command failed: exit status 3"},
		{"echo secret; exit 75", NULL, ERR_TEMP, "password_command failed: exit status 75"},
		{"kill -9 $$", NULL, ERR_AUTH, "password_command failed: killed by signal 9 (Killed)"},
		{"exec 2>&-; no-such-program-here", NULL, ERR_AUTH,
	     "password_command failed: exit status 127"},
		{"echo a >&2; echo secret; echo the agent is gone >&2; exit 2", NULL, ERR_AUTH,
	     "password_command failed: exit status 2: the agent is gone"},
		{"yes | tr -d '\\n' | head -c 65537", NULL, ERR_AUTH,
	     "password_command: its answer is longer than 65536 bytes"},
		{"yes | tr -d '\\n' | head -c 900000", NULL, ERR_AUTH,
	     "password_command: its answer is longer than 65536 bytes"},
		{"echo secret; yes | head -c 100000", "secret", 0, NULL},
	};
	int ours = dup(2), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct login login = {.password_command = (char[]){"sleep 30"}};

	dup2(null, 2); /* what commands say there is for people */
	for (size_t i = 0; i < LEN(cases); i++) {
		struct login one = {.password_command = xstrdup(cases[i].command)};

		check(one, cases[i].want, cases[i].kind, cases[i].text, cases[i].command);
		OK(!secret_is_missing(&one), "a command is a source");
		free(one.password_command);
	}
	dup2(ours, 2);
	close(ours);
	close(null);
	stop_requested = 1;
	check(login, NULL, ERR_STOP, "password_command: stopped while /bin/sh was running",
	      "a stop while it runs");
	stop_requested = 0;
}

static void test_token(void)
{
	struct login login = {.token_command = (char[]){"echo t0k; echo more"}};
	char *got;

	OK(!secret_is_missing(&login) && secret_may_change(&login), "a token's command is a source");
	check(login, "t0k", 0, NULL, "a token");
	login.token_command = (char[]){"exit 3"};
	check(login, NULL, ERR_AUTH, "token_command failed: exit status 3", "it fails");
	login.token_command = (char[]){"exit 75"};
	check(login, NULL, ERR_TEMP, "token_command failed: exit status 75", "it fails for now");
	login.token_command = (char[]){"yes | tr -d '\\n' | head -c 65536; echo"};
	err = (struct error){0};
	got = secret_get(&login, &err);
	OK(got && strlen(got) == 65536, "the longest");
	secret_free(&got);
	login = (struct login){.auth = AUTH_EXTERNAL};
	OK(!secret_is_missing(&login), "who has a certificate needs no password");
	check(login, "", 0, NULL, "and gets none");
}

static void test_file(void)
{
	struct login login = {.password_file = (char[PATH_MAX + 64]){""}};
	char *file = login.password_file, text[PATH_MAX + 200];
	char *longest = xmalloc(65540);

	OK(!secret_is_missing(&login), "a file is a source");
	make("pw", "secret\r\nmore\n", 14, 0600);
	text_copy(file, PATH_MAX + 64, under("pw"));
	check(login, "secret", 0, NULL, "the first line of a file");
	make("pw", "secret", 6, 0400);
	check(login, "secret", 0, NULL, "one without an end");
	chmod(file, 0640);
	snprintf(text, sizeof(text),
	         "password_file: others can read it (mode 640): chmod 600 %s", file);
	check(login, NULL, ERR_CONFIG, text, "a file others can read");
	chmod(file, 0600);
	make("pw", "\nsecret\n", 8, 0600);
	check(login, NULL, ERR_AUTH, "the line in password_file is empty", "an empty line");
	make("pw", "a\0b\n", 4, 0600);
	check(login, NULL, ERR_AUTH, "the line in password_file has a control character in it",
	      "a NUL");
	memset(longest, 'x', 65540);
	memcpy(longest + 65536, "\r\nxx", 4);
	make("pw", longest, 65540, 0600);
	longest[65536] = '\0';
	check(login, longest, 0, NULL, "the longest");
	memset(longest, 'x', 65540);
	make("pw", longest, 65540, 0600);
	check(login, NULL, ERR_AUTH, "the line in password_file is longer than 65536 bytes",
	      "too long");
	longest[65537] = '\n';
	make("pw", longest, 65540, 0600);
	check(login, NULL, ERR_AUTH, "the line in password_file is longer than 65536 bytes",
	      "one byte too long");
	free(longest);

	text_copy(file, PATH_MAX + 64, under("none"));
	snprintf(text, sizeof(text), "cannot open password_file %s: No such file or directory", file);
	check(login, NULL, ERR_AUTH, text, "a missing file");
	text_copy(file, PATH_MAX + 64, root);
	snprintf(text, sizeof(text), "password_file %s is not a regular file", file);
	check(login, NULL, ERR_CONFIG, text, "a directory");
	text_copy(file, PATH_MAX + 64, under("fifo"));
	OK(mkfifo(file, 0600) == 0, "mkfifo");
	snprintf(text, sizeof(text), "password_file %s is not a regular file", file);
	check(login, NULL, ERR_CONFIG, text, "a FIFO is refused, not waited for");
}

static void test_file_places(void)
{
	struct login login = {0};

	make("cred", "secret\n", 7, 0440);
	setenv("CREDENTIALS_DIRECTORY", root, 1);
	login.password_file = (char[]){"$CREDENTIALS_DIRECTORY/cred"};
	check(login, "secret", 0, NULL, "a credential, whose group bits are its list of rights");
	unsetenv("CREDENTIALS_DIRECTORY");
	check(login, NULL, ERR_AUTH,
	      "password_file $CREDENTIALS_DIRECTORY/cred: CREDENTIALS_DIRECTORY is not set",
	      "one where there are none");
	make("pw", "homely\n", 7, 0600);
	setenv("HOME", root, 1);
	login.password_file = (char[]){"~/pw"};
	check(login, "homely", 0, NULL, "one at home");
	login.password = (char[]){"other"};
	check(login, "homely", 0, NULL, "a file comes before a password");
	login.password_command = (char[]){"echo third"};
	check(login, "third", 0, NULL, "and a command before a file");
}

/* -- what stays in memory ------------------------------------------------------------------ */

/* The secret to look for: long, for a short one may stay in registers that the dynamic linker
 * saves on the stack.  Each byte of masked is another one, lest the search find itself. */
#define TRACED TRACED_5 TRACED_5 TRACED_5
#define TRACED_5 TRACED_1 TRACED_1 TRACED_1 TRACED_1 TRACED_1
#define TRACED_1 "we-iant-no-trace"
#define TRACED_COMMAND "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do " \
	"printf '%s%s' we-iant -no-trace; done; echo; echo more"
static const char masked[16] = "\x57\x45\x0d\x49\x41\x4e\x54\x0d\x4e\x4f\x0d\x54\x52\x41\x43\x45";

static bool is_at(const char *p)
{
	for (size_t i = 0; i < sizeof(TRACED) - 1; i++)
		if ((p[i] ^ 0x20) != masked[i % sizeof(masked)])
			return false;
	return true;
}

/* Sanitizers and valgrind put ground between the fields where nobody may step. */
static bool is_searchable(void)
{
	const char *preload = getenv("LD_PRELOAD");

#if defined(__SANITIZE_ADDRESS__) || defined(MAILHAUL_SANITIZERS)
	return false;
#endif
	return !preload || !strstr(preload, "vgpreload");
}

static const char *hex(const char *s, uintptr_t *value)
{
	static const char digits[] = "0123456789abcdef";

	for (*value = 0; *s && strchr(digits, *s); s++)
		*value = *value << 4 | (uintptr_t)(strchr(digits, *s) - digits);
	return s;
}

/* How often the secret stands in the memory we can write to; 0 where memory cannot be searched. */
static int count_traces(void)
{
	FILE *maps = is_searchable() ? fopen("/proc/self/maps", "re") : NULL;
	char line[1024];
	int count = 0;

	while (maps && fgets(line, sizeof(line), maps)) {
		uintptr_t from, to;
		const char *rest = hex(line, &from);

		rest = hex(rest + 1, &to);
		if (strncmp(rest, " rw", 3) != 0)
			continue;
		for (const char *p = (const char *)from; p + sizeof(TRACED) <= (const char *)to; p++)
			count += is_at(p);
	}
	if (maps)
		fclose(maps);
	return count;
}

/* -- the terminal ------------------------------------------------------------------------- */

static void ignore(int signal)
{
	(void)signal;
	stop_requested = 1;
}

/* In a process of its own with the terminal as its own: asks, and says in said what it got. */
_Noreturn static void answerer(const char *terminal, int said, int to_ignore, bool handle)
{
	struct login login = {.user = (char[]){"joe\x1b"}};
	struct sigaction action = {.sa_handler = handle ? ignore : SIG_DFL};
	char *secret;
	int tty, traces;

	setsid();
	tty = open(terminal, O_RDWR);
	if (tty < 0 || ioctl(tty, TIOCSCTTY, 0))
		_exit(9);
	sigaction(SIGINT, &action, NULL);
	if (to_ignore)
		signal(to_ignore, SIG_IGN);
	err = (struct error){0};
	traces = count_traces();
	secret = secret_ask("work", &login, &err);
	traces += count_traces() - (secret && is_at(secret));
	dprintf(said, "%d|", (int)err.kind);
	if (write(said, secret ? secret : err.text, strlen(secret ? secret : err.text)) < 0)
		_exit(8);
	secret_free(&secret);
	_exit(is_searchable() ? traces : 0);
}

/* Waits for the n-th prompt on the terminal's other side; everything seen is kept in seen. */
static void await_prompt(int master, struct str *seen, int n)
{
	static const char prompt[] = "Password for work (joe\\x1b): ";
	int count = 0;
	const char *at = seen->s;

	while (count < n) {
		char bytes[256];
		ssize_t got;

		for (count = 0, at = seen->s; at && (at = strstr(at, prompt)); at++)
			count++;
		if (count >= n)
			return;
		got = read(master, bytes, sizeof(bytes));
		if (got <= 0 || str_add(seen, bytes, (size_t)got))
			return;
	}
}

struct terminal_case {
	const char *what, *typed, *then; /* then: typed at the second prompt */
	int kill, ignored, status;
	bool handle;
	const char *said;
};

static void run_case(const struct terminal_case *c)
{
	struct str seen = {.max = 10000};
	struct termios after;
	char said[600] = "";
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave, ends[2], status = -1;
	pid_t pid;

	if (master < 0 || grantpt(master) || unlockpt(master) || pipe2(ends, O_CLOEXEC)) {
		OK(false, "a pseudo terminal");
		return;
	}
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC); /* or it ends with the child */
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		answerer(ptsname(master), ends[1], c->ignored, c->handle);
	close(ends[1]);
	await_prompt(master, &seen, 1);
	OK(tcgetattr(master, &after) == 0 && !(after.c_lflag & ECHO), "the echo is off");
	if (c->kill)
		kill(pid, c->kill);
	else if (write(master, c->typed, strlen(c->typed)) < 0)
		perror("write");
	if (c->then) {
		await_prompt(master, &seen, 2);
		if (write(master, c->then, strlen(c->then)) < 0)
			perror("write");
	}
	for (ssize_t n = 1, len = 0; n > 0; len += n)
		n = read(ends[0], said + len, sizeof(said) - 1 - (size_t)len);
	waitpid(pid, &status, 0);
	EQUAL(status, c->status, c->what);
	SAME(said, c->said, "its answer");
	OK(tcgetattr(master, &after) == 0 && (after.c_lflag & ECHO), "the echo is on again");
	fcntl(master, F_SETFL, O_NONBLOCK);
	await_prompt(master, &seen, 100);
	OK(seen.s && !strstr(seen.s, "secret") && !strstr(seen.s, "trace"),
	   "nothing of it was shown");
	str_free(&seen);
	close(ends[0]);
	close(slave);
	close(master);
}

static void test_ask(void)
{
	static const struct terminal_case cases[] = {
		{.what = "typed", .typed = "secret\n", .said = "0|secret"},
		{.what = "typed, and no trace left",
	     .typed = TRACED "\n",
	     .said = "0|" TRACED},
		{.what = "typed with a mistake", .typed = "secreT\x7ft \n", .said = "0|secret "},
		{.what = "nothing typed", .typed = "\n", .said = "9|the password is empty"},
		{.what = "the end typed", .typed = "\x04", .said = "9|no password was given"},
		{.what = "in two pieces", .typed = "sec\x04ret\n", .said = "0|secret"},
		{.what = "^C", .typed = "sec\x03", .status = SIGINT, .said = ""},
		{.what = "SIGTERM", .kill = SIGTERM, .status = SIGTERM, .said = ""},
		{.what = "SIGHUP", .kill = SIGHUP, .status = SIGHUP, .said = ""},
		{.what = "^C with a handler",
	     .typed = "sec\x03",
	     .handle = true,
	     .said = "11|stopped while asking for the password"},
		{.what = "^C ignored",
	     .typed = "x\x03",
	     .ignored = SIGINT,
	     .then = "secret\n",
	     .said = "0|secret"},
		{.what = "^Z where nobody could wake us",
	     .typed = "x\x1a",
	     .then = "secret\n",
	     .said = "0|secret"},
	};
	struct login login = {0};
	int status = -1;
	pid_t pid;

	EQUAL(ERR_AUTH * 100 + ERR_STOP, 911, "the numbers below");
	for (size_t i = 0; i < LEN(cases); i++)
		run_case(&cases[i]);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setsid();
		_exit(secret_ask("work", &login, &err) != NULL || err.kind != ERR_AUTH ||
		      strstr(err.text, "no password is configured, and there is no terminal") == NULL);
	}
	waitpid(pid, &status, 0);
	EQUAL(status, 0, "without a terminal nobody is asked");
}

static void test_traces(void)
{
	char command[] = TRACED_COMMAND;
	struct login by_command = {.password_command = command};
	struct login by_file = {.password_file = xstrdup(under("traced"))};
	char *secret;
	int before, with, without;

	before = count_traces(); /* also that later ones need not load, and so use less of the stack */
	secret = secret_get(&by_command, &err);
	with = count_traces();
	EQUAL(before, 0, "no trace yet");
	if (OK(secret && strlen(secret) == sizeof(TRACED) - 1 && is_at(secret), "a secret to look for"))
		make("traced", secret, strlen(secret), 0600);
	EQUAL(with, is_searchable(), "while we have it, it is there once");
	secret_free(&secret);
	without = count_traces();
	EQUAL(without, 0, "a command leaves no trace");
	secret = secret_get(&by_file, &err);
	with = count_traces();
	OK(secret != NULL, "the same from a file");
	EQUAL(with, is_searchable(), "while we have it, it is there once");
	secret_free(&secret);
	without = count_traces();
	EQUAL(without, 0, "a file leaves no trace");
	free(by_file.password_file);
}

int main(void)
{
	char name[PATH_MAX];
	pid_t pid;

	snprintf(name, sizeof(name), "%s/test_secret.XXXXXX",
	         getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(name) || !realpath(name, root))
		return 1;
	test_password();
	test_command();
	test_token();
	test_file();
	test_file_places();
	test_ask();
	test_traces();
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		execlp("rm", "rm", "-rf", "--", root, (char *)NULL);
	waitpid(pid, NULL, 0);
	return tap_end();
}

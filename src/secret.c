/* SPDX-License-Identifier: MIT */
/*
 * secret.c - gets the password or token of an account: from the configuration, a command, a file,
 * or a person at the terminal.
 *
 * Whatever the source, one rule judges what came (take) and every buffer it went through is
 * wiped.  No error, note or argument list ever holds a byte of it.  A command or file may say
 * more than one line; the rest is ignored, as `pass` users expect.
 *
 * The prompt does not handle signals: it holds them back while the echo is off and lets them
 * through once it is on again, so they do what they would have done.  Who survives that (^Z, or
 * a handler that only sets stop_requested) is asked again or stopped.
 *
 * Called by the worker before it dials (secret_get) and by main before it forks (secret_ask).
 */
#include "config.h"

#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "child.h"
#include "file.h"

#define SECRET_MAX 65536
#define COMMAND_SECONDS 60
#define EX_TEMPFAIL 75
#define CREDENTIALS "$CREDENTIALS_DIRECTORY/"

/* Length of the first line without its end. */
static size_t first_line(const char *bytes, size_t len)
{
	const char *end = memchr(bytes, '\n', len);

	len = end ? (size_t)(end - bytes) : len;
	return len > 0 && bytes[len - 1] == '\r' ? len - 1 : len;
}

/* The one rule for secrets: a copy of what came, or NULL.  source names it for the error. */
static char *take(const char *bytes, size_t len, const char *source, struct error *err)
{
	if (len == 0) {
		error_set(err, ERR_AUTH, "%s is empty", source);
		return NULL;
	}
	if (len > SECRET_MAX) {
		error_set(err, ERR_AUTH, "%s is longer than %d bytes", source, SECRET_MAX);
		return NULL;
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)bytes[i] < 0x20 || bytes[i] == 0x7f) {
			error_set(err, ERR_AUTH, "%s has a control character in it", source);
			return NULL;
		}
	}
	return xmemdup0(bytes, len);
}

/* -- password_command, token_command ------------------------------------------------------ */

/* Judges how the command ended and what it said; option is what it is called. */
static char *answer(const char *option, const struct child *child, const struct str *said,
                    int status, struct error *err)
{
	char how[64], source[64], words[200];

	child_last_words(child, words, sizeof(words));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		bool later = WIFEXITED(status) && WEXITSTATUS(status) == EX_TEMPFAIL;

		error_set(err, later ? ERR_TEMP : ERR_AUTH, "%s failed: %s%s%s", option,
		          child_status_text(how, sizeof(how), status), words[0] ? ": " : "", words);
		return NULL;
	}
	if (words[0])
		note(NOTE_INFO, "%s said: %s", option, words);
	snprintf(source, sizeof(source), "%s: its answer", option);
	return take(said->s, said->len > 0 ? first_line(said->s, said->len) : 0, source, err);
}

/* What it says on standard error is for a person at the terminal; where there is none, it belongs
 * to the error, and to nobody where there is no error. */
static char *from_command(const char *option, char *command, struct error *err)
{
	char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, command, NULL};
	struct str said = {.max = SECRET_MAX + 2}; /* and a CR LF */
	struct child_spec spec = {.argv = argv, .stdin_fd = -1, .keep_stderr = isatty(STDERR_FILENO),
	                          .said = &said};
	struct child child;
	char *secret = NULL;
	int status;

	if (child_run(&spec, COMMAND_SECONDS, &child, &status, err) == 0) {
		secret = answer(option, &child, &said, status, err);
	} else {
		err->kind = err->kind == ERR_IO ? ERR_AUTH : err->kind;
		error_wrap(err, "%s", option);
	}
	str_wipe(&said);
	return secret;
}

/* -- password_file ------------------------------------------------------------------------ */

/* The path with $CREDENTIALS_DIRECTORY or ~ in front replaced; NULL where that is not known. */
static char *expand(const char *path, struct error *err)
{
	struct str full = {.max = 64 * 1024};
	const char *base = "", *rest = path;

	if (strncmp(path, CREDENTIALS, strlen(CREDENTIALS)) == 0) {
		base = getenv("CREDENTIALS_DIRECTORY");
		rest = path + strlen(CREDENTIALS) - 1;
	} else if (strncmp(path, "~/", 2) == 0) {
		base = file_home();
		rest = path + 1;
	}
	if (!base) {
		error_set(err, ERR_AUTH, "password_file %s: %s is not set", path,
		          path[0] == '~' ? "HOME" : "CREDENTIALS_DIRECTORY");
		return NULL;
	}
	if (str_printf(&full, "%s%s", base, rest))
		error_set(err, ERR_AUTH, "password_file: its name is too long");
	return full.s;
}

/* Opens the file and judges who could read it.  Credentials are root's, with a list of rights for
 * the service's user that shows as the group's; systemd guards them by their directory. */
static int open_private(const char *path, bool is_credential, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return error_sys(err, ERR_AUTH, "cannot open password_file %s", path);
	if (fstat(fd, &st)) {
		error_sys(err, ERR_AUTH, "cannot look at password_file %s", path);
	} else if (!S_ISREG(st.st_mode)) {
		error_set(err, ERR_CONFIG, "password_file %s is not a regular file", path);
	} else if (!is_credential && file_is_private(fd, path, err)) {
		error_wrap(err, "password_file");
	} else {
		return fd;
	}
	close(fd);
	return -1;
}

/* Reads up to size bytes; -1 and errno on failure. */
static ssize_t read_all(int fd, char *bytes, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, bytes + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

static char *from_file(const char *path, struct error *err)
{
	bool is_credential = strncmp(path, CREDENTIALS, strlen(CREDENTIALS)) == 0;
	char bytes[SECRET_MAX + 2]; /* and a CR LF */
	char *full = expand(path, err), *secret = NULL;
	int fd = full ? open_private(full, is_credential, err) : -1;

	if (fd >= 0) {
		ssize_t n = read_all(fd, bytes, sizeof(bytes));

		if (n < 0)
			error_sys(err, ERR_AUTH, "cannot read password_file %s", full);
		else
			secret = take(bytes, first_line(bytes, (size_t)n), "the line in password_file", err);
		explicit_bzero(bytes, sizeof(bytes));
		close(fd);
	}
	free(full);
	return secret;
}

char *secret_get(const struct login *login, struct error *err)
{
	if (login->token_command)
		return from_command("token_command", login->token_command, err);
	if (login->password_command)
		return from_command("password_command", login->password_command, err);
	if (login->password_file)
		return from_file(login->password_file, err);
	if (login->password)
		return take(login->password, strlen(login->password), "password", err);
	if (login->auth == AUTH_EXTERNAL)
		return xstrdup("");
	error_set(err, ERR_AUTH, "no password is configured");
	return NULL;
}

bool secret_may_change(const struct login *login)
{
	return login->password_command || login->token_command;
}

bool secret_is_missing(const struct login *login)
{
	return !login->password && !login->password_file && !secret_may_change(login) &&
	       login->auth != AUTH_EXTERNAL;
}

/* -- the terminal ------------------------------------------------------------------------- */

enum outcome { OUTCOME_LINE, OUTCOME_END, OUTCOME_SIGNAL };

/* Collects a line until its end, the end of input, or one of the signals of fd sigs. */
static enum outcome read_line(int tty, int sigs, struct str *line)
{
	enum outcome outcome = OUTCOME_LINE;
	char bytes[256];

	while (outcome == OUTCOME_LINE && !(line->len > 0 && line->s[line->len - 1] == '\n')) {
		struct pollfd on[] = {{.fd = tty, .events = POLLIN}, {.fd = sigs, .events = POLLIN}};
		ssize_t n = 0;

		if (poll(on, 2, -1) < 0 && errno == EINTR)
			continue;
		if (!on[1].revents)
			n = read(tty, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			continue;
		if (on[1].revents)
			outcome = OUTCOME_SIGNAL;
		else if (n <= 0 || str_add(line, bytes, (size_t)n))
			outcome = OUTCOME_END;
	}
	explicit_bzero(bytes, sizeof(bytes));
	return outcome;
}

/* Asks once with echo off.  On return the terminal is as it was, and a signal that came has been
 * let through. */
static enum outcome ask(int tty, const char *prompt, struct str *line)
{
	static const int held[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
	enum outcome outcome = OUTCOME_END;
	struct termios was, quiet;
	sigset_t set, before;
	struct error ignored; /* of the prompt: who does not see it may still type */
	int sigs;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++)
		sigaddset(&set, held[i]);
	sigs = signalfd(-1, &set, SFD_CLOEXEC);
	if (sigs < 0 || tcgetattr(tty, &was)) {
		if (sigs >= 0)
			close(sigs);
		return outcome;
	}
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	sigprocmask(SIG_BLOCK, &set, &before);
	if (tcsetattr(tty, TCSAFLUSH, &quiet) == 0) {
		file_write(tty, prompt, strlen(prompt), "/dev/tty", &ignored);
		outcome = read_line(tty, sigs, line);
		file_write(tty, "\n", 1, "/dev/tty", &ignored);
		tcsetattr(tty, TCSAFLUSH, &was);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(sigs);
	return outcome;
}

char *secret_ask(const char *account, const struct login *login, struct error *err)
{
	struct str line = {.max = SECRET_MAX + 2};
	enum outcome outcome;
	const char *who = login->user ? login->user : "";
	char name[128], user[128], prompt[320], *secret = NULL;
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	printable(name, sizeof(name), account, strlen(account));
	printable(user, sizeof(user), who, strlen(who));
	if (tty < 0) {
		error_set(err, ERR_AUTH, "no password is configured, and there is no terminal to ask "
		          "on; set password_command or password_file");
		return NULL;
	}
	snprintf(prompt, sizeof(prompt), "Password for %s%s%s%s: ", name, user[0] ? " (" : "", user,
	         user[0] ? ")" : "");
	do {
		str_wipe(&line);
		outcome = ask(tty, prompt, &line);
	} while (outcome == OUTCOME_SIGNAL && !stop_requested);
	if (outcome == OUTCOME_SIGNAL)
		error_set(err, ERR_STOP, "stopped while asking for the password");
	else if (outcome == OUTCOME_END)
		error_set(err, ERR_AUTH, "no password was given");
	else
		secret = take(line.s, first_line(line.s, line.len), "the password", err);
	str_wipe(&line);
	close(tty);
	return secret;
}

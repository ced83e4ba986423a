/* SPDX-License-Identifier: MIT */
/*
 * child.c - programs of the user: start, hear, reap, signal.
 *
 * A child is the leader of its own session and group, so one signal reaches all it started.  It
 * gets default signals, an empty mask, and the descriptors 0, 1 and 2 alone.  What it says is
 * kept up to CHILD_EAR bytes, or as far as asked for, and read without waiting: neither a silent
 * nor a loud child, nor a grandchild that keeps the pipe, can hold us up.
 *
 * Does not use SIGCHLD, which must have its default disposition (ignored, the status is lost and
 * child_reap reports exit status 127); the caller polls.
 *
 * On failure: nothing runs and no descriptor stays open.
 *
 * Called by the supervisor (MDAs), by secret.c (password commands) and by hook.c (on_new).
 */
#include "config.h"

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAP_MS 50       /* longest time between two looks at a child */
#define FIRM_MS 2000    /* from SIGTERM to SIGKILL, and from there to giving up */
#define LISTEN_READS 64 /* of CHILD_EAR bytes in one call: a loud child must not keep us */

/* -- start -------------------------------------------------------------------------------- */

/* A pipe of which our end alone does not wait. */
static int open_pipe(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC))
		return -1;
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
		return 0;
	close(ends[0]);
	close(ends[1]);
	return -1;
}

/* What the child does with its descriptors.  The order matters where ours of 0 to 2 are closed or
 * serve as stdin_fd: 0 comes first, since stdin_fd may be 1 or 2, and hits nothing, since no mouth
 * is 0 (pipe2 gives that to our end), nor the second one 1 (the first pair is opened before).  One
 * that is its own target stays open. */
static int plan_fds(posix_spawn_file_actions_t *actions, const struct child_spec *spec,
                    const int mouths[2])
{
	int out = spec->stdout_fd > 0 ? spec->stdout_fd : mouths[0], rc;

	if (spec->stdin_fd < 0)
		rc = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
	else
		rc = posix_spawn_file_actions_adddup2(actions, spec->stdin_fd, 0);
	if (!rc)
		rc = posix_spawn_file_actions_adddup2(actions, out, 1);
	if (!rc && !spec->keep_stderr)
		rc = posix_spawn_file_actions_adddup2(actions, mouths[1], 2);
#ifdef HAVE_POSIX_SPAWN_FILE_ACTIONS_ADDCLOSEFROM_NP
	/* Ours are close-on-exec; this is for those we inherited. */
	if (!rc)
		rc = posix_spawn_file_actions_addclosefrom_np(actions, 3);
#endif
	return rc;
}

static int plan_signals(posix_spawnattr_t *attr)
{
	sigset_t all, none;
	int rc;

	sigfillset(&all);
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	sigemptyset(&none);
	rc = posix_spawnattr_setsigdefault(attr, &all);
	if (!rc)
		rc = posix_spawnattr_setsigmask(attr, &none);
	if (!rc)
		rc = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF |
		                                            POSIX_SPAWN_SETSIGMASK);
	return rc;
}

/* mouths: for its standard output and error.  Returns 0 or the error number. */
static int spawn(pid_t *pid, const struct child_spec *spec, const int mouths[2])
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int rc = posix_spawn_file_actions_init(&actions);

	if (rc)
		return rc;
	rc = posix_spawnattr_init(&attr);
	if (!rc) {
		rc = plan_fds(&actions, spec, mouths);
		if (!rc)
			rc = plan_signals(&attr);
		if (!rc)
			rc = posix_spawnp(pid, spec->argv[0], &actions, &attr, spec->argv,
			                  spec->env ? spec->env : environ);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int child_start(struct child *child, const struct child_spec *spec, struct error *err)
{
	int ear[2] = {-1, -1}, tap[2] = {-1, -1}, rc = 0;

	*child = (struct child){.ear = -1, .tap = -1, .said = spec->said};
	if ((spec->said && open_pipe(tap) == -1) || open_pipe(ear) == -1)
		rc = errno;
	if (!rc)
		rc = spawn(&child->pid, spec, (int[]){spec->said ? tap[1] : ear[1], ear[1]});
	close_end(&ear[1]);
	close_end(&tap[1]);
	if (rc) {
		close_end(&ear[0]);
		close_end(&tap[0]);
		child->pid = 0;
		errno = rc;
		return error_sys(err, ERR_IO, "cannot run %s", spec->argv[0]);
	}
	child->ear = ear[0];
	child->tap = tap[0];
	return 0;
}

/* -- life --------------------------------------------------------------------------------- */

static void keep_heard(struct child *child, const char *piece, size_t n)
{
	size_t room = sizeof(child->heard) - child->heard_len;

	n = n < room ? n : room;
	memcpy(child->heard + child->heard_len, piece, n);
	child->heard_len += n;
}

/* Takes what is there.  True while the end is open. */
static bool drain(struct child *child, int *fd, struct str *said)
{
	char piece[CHILD_EAR];

	for (int i = 0; *fd >= 0 && i < LISTEN_READS; i++) {
		ssize_t n = read(*fd, piece, sizeof(piece));
		size_t room = said ? said->max - said->len : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			close_end(fd);
		else if (said)
			str_add(said, piece, (size_t)n < room ? (size_t)n : room);
		else
			keep_heard(child, piece, (size_t)n);
	}
	explicit_bzero(piece, sizeof(piece)); /* it may be a secret */
	return *fd >= 0;
}

bool child_listen(struct child *child)
{
	bool open = false;

	if (child->pid > 0 && child->tap >= 0)
		open = drain(child, &child->tap, child->said);
	if (child->pid > 0 && child->ear >= 0)
		open |= drain(child, &child->ear, NULL);
	return open;
}

bool child_reap(struct child *child, int *status)
{
	siginfo_t info = {0};
	pid_t pid = child->pid;
	int rc;

	if (pid <= 0)
		return false;
	/* Look first and reap after the kill: as long as the leader is a zombie nobody else can
	 * have its number, so the kill cannot hit a stranger. */
	do
		rc = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT);
	while (rc && errno == EINTR);
	if (rc == 0 && info.si_pid == 0)
		return false;
	*status = 127 << 8; /* stays where the status is lost */
	if (rc == 0) {
		if (child->signalled)
			kill(-pid, SIGKILL);
		do
			rc = (int)waitpid(pid, status, 0);
		while (rc < 0 && errno == EINTR);
	}
	child_listen(child);
	close_end(&child->ear);
	close_end(&child->tap);
	child->pid = 0;
	return true;
}

void child_signal(struct child *child, int signal)
{
	child->signalled = true;
	if (child->pid > 0)
		kill(-child->pid, signal);
}

/* Waits for the end until a time of clock_ms.  False: it still runs, or a stop was asked for
 * and heed is set. */
static bool wait_until(struct child *child, uint64_t until, bool heed, int *status)
{
	while (!child_reap(child, status)) {
		struct pollfd ears[] = {{.fd = child->ear, .events = POLLIN},
		                        {.fd = child->tap, .events = POLLIN}};
		uint64_t now = clock_ms();

		if (now >= until || (heed && stop_asked()))
			return false;
		poll(ears, 2, until - now < NAP_MS ? (int)(until - now) : NAP_MS);
		child_listen(child);
	}
	return true;
}

int child_run(const struct child_spec *spec, uint64_t limit, struct child *child, int *status,
              struct error *err)
{
	uint64_t most = limit < UINT32_MAX ? limit : UINT32_MAX;

	if (child_start(child, spec, err))
		return -1;
	if (wait_until(child, clock_ms() + most * 1000, true, status))
		return 0;
	if (stop_asked())
		error_set(err, ERR_STOP, "stopped while %s was running", spec->argv[0]);
	else
		error_set(err, ERR_TEMP, "%s did not end within %llu seconds", spec->argv[0],
		          (unsigned long long)most);
	child_signal(child, SIGTERM);
	if (wait_until(child, clock_ms() + FIRM_MS, false, status))
		return -1;
	child_signal(child, SIGKILL);
	if (!wait_until(child, clock_ms() + FIRM_MS, false, status)) {
		/* Stuck in the kernel: nothing more can be done for it. */
		close_end(&child->ear);
		close_end(&child->tap);
		child->pid = 0;
	}
	return -1;
}

char *child_last_words(const struct child *child, char *to, size_t size)
{
	size_t end = child->heard_len, at;

	while (end > 0 && strchr("\r\n\t ", child->heard[end - 1]))
		end--;
	for (at = end; at > 0 && child->heard[at - 1] != '\n'; at--)
		;
	return printable(to, size, child->heard + at, end - at);
}

char *child_status_text(char *to, size_t size, int status)
{
	if (WIFEXITED(status))
		snprintf(to, size, "exit status %d", WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		snprintf(to, size, "killed by signal %d (%s)", WTERMSIG(status),
		         strsignal(WTERMSIG(status)));
	else
		snprintf(to, size, "unknown status 0x%x", (unsigned)status);
	return to;
}

/* -- words -------------------------------------------------------------------------------- */

static const char blanks[] = " \t\r\n";

/* Inside "...": adds it to word and returns what follows the closing quote; NULL without one.  A
 * backslash keeps itself but before those characters that the shell would let it quote. */
static const char *double_quoted(const char *p, struct str *word)
{
	for (; *p != '"'; p++) {
		if (p[0] == '\\' && p[1] && strchr("\"\\$`", p[1]))
			p++;
		if (!*p || str_add(word, p, 1))
			return NULL;
	}
	return p + 1;
}

/* Reads the word at *at, which is no blank, and moves behind it. */
static int take_word(const char **at, struct str *word, struct error *err)
{
	const char *p = *at;

	if (str_puts(word, "")) /* '' is a word too */
		return error_set(err, ERR_BUG, "a word without room");
	while (*p && !strchr(blanks, *p)) {
		size_t plain = strcspn(p, " \t\r\n'\"\\");

		if (*p == '\'') {
			plain = strcspn(++p, "'");
			if (!p[plain])
				return error_set(err, ERR_CONFIG, "a ' is never closed");
			str_add(word, p, plain);
			p += plain + 1;
		} else if (*p == '"') {
			p = double_quoted(p + 1, word);
			if (!p)
				return error_set(err, ERR_CONFIG, "a \" is never closed");
		} else if (*p == '\\') {
			if (!p[1])
				return error_set(err, ERR_CONFIG, "a backslash at the end quotes nothing");
			str_add(word, p + 1, 1);
			p += 2;
		} else {
			str_add(word, p, plain);
			p += plain;
		}
	}
	*at = p;
	return 0;
}

char **child_words(const char *line, struct error *err)
{
	size_t len = strlen(line), count = 0;
	char **words = xcalloc(len / 2 + 2, sizeof(*words)); /* a word and a blank, and the NULL */
	const char *p = line + strspn(line, blanks);
	int failed = *p ? 0 : error_set(err, ERR_CONFIG, "no program is named");

	while (!failed && *p) {
		struct str word = {.max = len};

		failed = take_word(&p, &word, err);
		words[count++] = word.s;
		p += strspn(p, blanks);
	}
	if (failed) {
		child_words_free(words);
		return NULL;
	}
	return words;
}

void child_words_free(char **words)
{
	for (char **word = words; word && *word; word++)
		free(*word);
	free(words);
}

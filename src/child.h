/* SPDX-License-Identifier: MIT */
/*
 * child.h - programs of the user: started without a shell, in their own session, with a limited
 * ear for what they say, and ended as a group where they do not end by themselves.
 *
 * The supervisor runs MDAs with it (several at a time, so start and reap are separate calls);
 * secret.c runs password commands (child_run waits).  posix_spawn; signals are default and
 * unblocked in the child; only descriptors 0, 1, 2 reach it.
 */
#ifndef CHILD_H
#define CHILD_H

#include <sys/types.h>

#include "base.h"

#define CHILD_EAR 4096 /* bytes of output kept; the rest is read and dropped */

struct child_spec {
	char *const *argv;   /* argv[0] is looked up in PATH */
	char *const *env;    /* NULL: ours */
	int stdin_fd;        /* -1: /dev/null */
	int stdout_fd;       /* 0: captured */
	bool keep_stderr;    /* standard error is ours, not captured */
	struct str *said;    /* standard output goes there, as far as that has room, and only standard
	                      * error into heard; NULL: both into heard */
};

struct child {
	pid_t pid;           /* 0: none; also its process group */
	int ear;             /* read end of what goes into heard, -1 once at its end */
	int tap;             /* of what goes to said; -1: nothing, or at its end */
	struct str *said;    /* foreign: see child_spec */
	char heard[CHILD_EAR];
	size_t heard_len;
	bool signalled;      /* child_signal was called */
};

/* Starts the program.  ERR_IO where it cannot be started: "cannot run NAME: why"; err->sys is
 * ENOENT or EACCES where the program is missing or not executable. */
int child_start(struct child *child, const struct child_spec *spec, struct error *err);

/* Reads what it says, without waiting; closes the ear and the tap at their ends.  Returns true
 * while one is open. */
bool child_listen(struct child *child);

/* Asks for its end without waiting.  Returns true once *status (of waitpid) is there; then the ear
 * is drained and closed, pid is 0.  What is left of its group is killed if the group was signalled;
 * what a program leaves running when it ends by itself is its own business. */
bool child_reap(struct child *child, int *status);

/* Sends a signal to the whole group. */
void child_signal(struct child *child, int signal);

/* Starts, waits at most limit seconds (then SIGTERM, 2 s later SIGKILL, ERR_TEMP), reaps. */
int child_run(const struct child_spec *spec, uint64_t limit, struct child *child, int *status,
              struct error *err);

/* The last line it said with something on it, fit to be shown.  Returns to. */
char *child_last_words(const struct child *child, char *to, size_t size);

/* "exit status 3", "killed by signal 9 (Killed)": to has at least 64 bytes.  Returns to. */
char *child_status_text(char *to, size_t size, int status);

/* Splits a command line as a shell would (blanks, '...', "...", backslash) without expanding
 * anything.  Returns a NULL-terminated vector, the words freed by child_words_free, or NULL with
 * ERR_CONFIG for an open quote, a trailing backslash or no word. */
char **child_words(const char *line, struct error *err);
void child_words_free(char **words);

#endif

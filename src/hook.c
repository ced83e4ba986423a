/* SPDX-License-Identifier: MIT */
/*
 * hook.c - on_new, the command that is run when mail came.
 *
 * It gets the whole environment, for it is the user's own program as much as mailhaul is, and no
 * byte of a message or a server reaches it: numbers, and names of accounts, which have neither
 * blanks nor "=" in them (conf.c, url.c).
 *
 * The supervisor is over by now and holds no signals any more; here they are caught anew, because a
 * child in a session of its own would outlive us.  What was ignored stays ignored.
 *
 * On failure: nothing of it runs any more.  Called by main.
 */
#include "config.h"

#include "hook.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "child.h"

/* The test of this file has its own. */
#ifndef HOOK_SECONDS
#define HOOK_SECONDS 300
#endif
#define MAX_LIST 100000 /* bytes of a variable: what Linux lets an environment have is 128 KiB */

static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
enum { STOPS = sizeof(stops) / sizeof(stops[0]) };

static volatile sig_atomic_t stopped_by;

static void on_stop(int signal)
{
	if (!stopped_by)
		stopped_by = signal;
	stop_requested = 1;
}

static void catch_stops(struct sigaction old[STOPS])
{
	struct sigaction action = {.sa_handler = on_stop};

	sigemptyset(&action.sa_mask);
	stopped_by = 0;
	for (size_t k = 0; k < STOPS; k++)
		if (sigaction(stops[k], NULL, &old[k]) == 0 && old[k].sa_handler != SIG_IGN)
			(void)sigaction(stops[k], &action, NULL);
	(void)signal(SIGCHLD, SIG_DFL); /* ignored, the child's status would be lost */
}

static void release_stops(struct sigaction old[STOPS])
{
	for (size_t k = 0; k < STOPS; k++)
		(void)sigaction(stops[k], &old[k], NULL);
}

static void set_number(const char *name, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	(void)setenv(name, text, 1);
}

/* Puts it all into our own environment, which nobody needs any more.  True where mail came. */
static bool tell(const struct account *accounts, size_t count, const struct report *report)
{
	struct str brought = {.max = MAX_LIST}, failed = {.max = MAX_LIST};
	uint64_t all = 0, octets = 0, new, bytes;

	for (size_t i = 0; i < count; i++) {
		if (!report_account(report, i, &new, &bytes))
			str_printf(&failed, "%s%s", failed.len ? " " : "", accounts[i].name);
		if (new > 0)
			str_printf(&brought, "%s%s=%llu", brought.len ? " " : "", accounts[i].name,
			           (unsigned long long)new);
		all += new;
		octets += bytes;
	}
	set_number("MAILHAUL_NEW", all);
	set_number("MAILHAUL_BYTES", octets);
	(void)setenv("MAILHAUL_ACCOUNTS", brought.s ? brought.s : "", 1);
	(void)setenv("MAILHAUL_FAILED", failed.s ? failed.s : "", 1);
	str_free(&brought);
	str_free(&failed);
	return all > 0;
}

/* Runs it to its end.  said: its last line. */
static int run(const char *command, char *said, size_t size, struct error *err)
{
	char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, xstrdup(command), NULL};
	struct child_spec spec = {.argv = argv, .stdin_fd = -1};
	struct child child = {0};
	char how[64];
	int status, rc = child_run(&spec, HOOK_SECONDS, &child, &status, err);

	free(argv[2]);
	child_last_words(&child, said, size);
	if (rc == 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
		rc = error_set(err, ERR_IO, "%s%s%s", child_status_text(how, sizeof(how), status),
		               said[0] ? ": " : "", said);
	if (rc == -1 && err->kind != ERR_STOP)
		err->kind = ERR_IO;
	return rc == 0 ? 0 : error_wrap(err, "the mail is delivered, but on_new failed");
}

int hook_run(const char *command, const struct account *accounts, size_t count,
             struct report *report, int *by_signal, struct error *err)
{
	struct sigaction old[STOPS];
	char said[200], remark[sizeof(said) + 16];
	int rc;

	if (!tell(accounts, count, report))
		return 0;
	catch_stops(old);
	rc = run(command, said, sizeof(said), err);
	release_stops(old);
	*by_signal = stopped_by;
	if (rc == 0 && said[0]) {
		snprintf(remark, sizeof(remark), "on_new said: %s", said);
		report_remark(report, remark);
	}
	return rc;
}

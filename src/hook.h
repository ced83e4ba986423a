/* SPDX-License-Identifier: MIT */
/*
 * hook.h - on_new, the command that is run once a run, at its end, when mail came.
 *
 * It is for what follows mail: a word on the desktop, an index made anew.  The mail is delivered
 * and safe before it begins, so whatever it does is no matter of any message.
 */
#ifndef HOOK_H
#define HOOK_H

#include "account.h"
#include "base.h"
#include "report.h"

/* Runs it by /bin/sh with what the accounts have brought in its environment, for at most 5 minutes,
 * and waits.  Does nothing where no mail came.  The last line of what it says is shown if it fails,
 * else with -v.  ERR_IO: it failed.  After SIGINT, SIGTERM or SIGHUP it is ended within 4 s and
 * *by_signal is that signal: ERR_STOP. */
int hook_run(const char *command, const struct account *accounts, size_t count,
             struct report *report, int *by_signal, struct error *err);

#endif

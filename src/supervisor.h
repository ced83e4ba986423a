/* SPDX-License-Identifier: MIT */
/*
 * supervisor.h - runs the accounts: forks a worker each, runs their MDAs, reaps them, and kills
 * who is late.
 *
 * At most `jobs` workers at a time, at most 4 for one host (servers count connections), and one
 * at a time of those that write to standard output.  A worker that crashes or hangs is a
 * failure of its account alone.
 */
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include "account.h"
#include "base.h"
#include "report.h"

#define SUPERVISOR_PER_HOST 4

/* Runs all accounts; everything that happens goes to the report.  After SIGINT, SIGTERM or
 * SIGHUP the workers are asked to leave (10 s, then killed) and *by_signal is that signal, by
 * which the caller shall die once it has cleaned up; else 0. */
int supervisor_run(struct account *accounts, size_t count, uint64_t jobs, struct report *report,
                   int *by_signal, struct error *err);

#endif

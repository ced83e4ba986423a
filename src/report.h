/* SPDX-License-Identifier: MIT */
/*
 * report.h - all that people and machines read: the only file that writes to the terminal.
 *
 * Errors are `mailhaul: ACCOUNT: message` on standard error, one line each.  On a terminal there
 * is also a summary line for each account, and progress for what takes longer than a second; in
 * cron nothing but errors.  Text from workers may hold a server's bytes: everything goes
 * through printable().  The exit status is folded here, too.
 */
#ifndef REPORT_H
#define REPORT_H

#include <stdio.h>

#include "account.h"
#include "base.h"
#include "link.h"

struct report;

struct report_style {
	bool quiet;    /* -q: errors only, even on a terminal */
	bool verbose;  /* -v: notes and the protocol; summary lines without a terminal, too */
	bool terminal; /* standard error is one (and TERM is not dumb) */
	bool watched;  /* it is one, be it dumb: failures are told that cron need not hear */
};

/* accounts stay the caller's and outlive the report. */
struct report *report_open(const struct report_style *style, const struct account *accounts,
                           size_t count);

/* Account number i has begun, and what its worker says. */
void report_begin(struct report *report, size_t i);
void report_event(struct report *report, size_t i, const struct event *event);

/* The supervisor's own finding about account i: crashed, killed, could not be started. */
void report_error(struct report *report, size_t i, const struct error *err,
                  enum note_level level);

/* Account number i is over: prints its summary. */
void report_end(struct report *report, size_t i);

/* How many messages were new, by the accounts' last words; for LOOK_CHECK: how many wait. */
uint64_t report_new(const struct report *report);

/* What account i has brought; false where it failed, or some of its messages did. */
bool report_account(const struct report *report, size_t i, uint64_t *new, uint64_t *bytes);

/* Draws the progress line anew where it is due; returns in how many ms to call again, -1: never. */
int report_tick(struct report *report);

/* "mailhaul: text" for what concerns no account; folded into the exit status by its kind. */
void report_complain(struct report *report, const struct error *err);

/* With -v: "mailhaul: text" for what concerns no account and is no failure. */
void report_remark(struct report *report, const char *text);

/* The status by the rule of mailhaul(1): 0, the one kind's code, 75 if all are transient, else
 * the first permanent one.  Cleans the terminal and frees. */
int report_close(struct report **report);

#endif

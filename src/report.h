/* SPDX-License-Identifier: MIT */
/*
 * report.h - all that people and machines read; with display.c, all that writes to the terminal.
 *
 * Errors are `mailhaul: ACCOUNT: message` on standard error, one line each.  On a terminal there
 * is also a summary line for each account, and progress for what takes longer than a second; in
 * cron nothing but errors.  With --json all of it is objects on standard output instead, one a
 * line, and standard error stays silent.  Text from workers may hold a server's bytes: everything
 * goes through printable().  The exit status is folded here, too.
 */
#ifndef REPORT_H
#define REPORT_H

#include "account.h"
#include "base.h"
#include "link.h"

struct report;

struct report_style {
	bool quiet;    /* -q: errors and warnings only, even on a terminal */
	bool verbose;  /* -v: notes and the protocol; summary lines without a terminal, too */
	bool terminal; /* standard error is one: failures are told that cron need not hear, too */
	bool dumb;     /* which knows no escape sequences: no progress */
	bool json;
	bool shows;    /* what goes to standard output can be had again: its reader may leave */
};

struct report *report_open(const struct report_style *style);

/* It will be about these.  They stay the caller's and outlive the report. */
void report_accounts(struct report *report, const struct account *accounts, size_t count);

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

/* Draws progress anew where it is due; returns in how many ms to call again, -1: never. */
int report_tick(struct report *report);

/* Somebody else gets the terminal; the next tick takes it back. */
void report_pause(struct report *report);

/* Prints one line, or with --json the object, that was asked for: to standard output. */
void report_line(struct report *report, const char *text);

/* Standard output is written out: before a fork, or the child's exit would do it once more. */
void report_flush(struct report *report);

/* "mailhaul: text" for what comes before the accounts; folded into the exit status by its kind.
 * account: the name of the one that the text is about, for its object; NULL: none. */
void report_complain(struct report *report, const char *account, const struct error *err);

/* The same for what comes after the accounts: it counts only if all was well with them. */
void report_complain_late(struct report *report, const struct error *err);

/* With -v: "mailhaul: text" for what concerns no account and is no failure. */
void report_remark(struct report *report, const char *text);

/* The status by the rule of mailhaul(1): 0, the one kind's code, 75 if all are transient, else
 * the first permanent one; and what --check makes of it.  Standard output that could not be written
 * is an error as well.  Cleans the terminal and frees. */
int report_close(struct report **report);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * history.h - how an account's last runs ended: the file `last` beside the journal.  --status shows
 * it, and by it is decided which failures are worth a mail from cron.
 *
 * No message's fate depends on it.  It is written in place and without a sync; one that is torn, or
 * cannot be read, is as none, and then a failure is told rather than not.
 *
 * An outage (ERR_TEMP, or error.outage) is told when the policy's complain_after says so, once, and
 * its end once.  Every other failure is told at once and each time.  Where nothing was tried
 * (error.waiting) there is nothing to tell.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include "base.h"

/* Room for any text of history_add. */
#define HISTORY_TEXT 700

/* How much of the failures in a row was told. */
enum history_told {
	HISTORY_EACH,
	HISTORY_ONCE,   /* that there is an outage; so its end is to be told */
	HISTORY_NOT_YET /* it has not lasted long enough */
};

/* Wall clock times, s; 0: never.  Zeroed is "never run". */
struct history {
	uint64_t good_at, fetched; /* the last run that went well, and what it brought */
	uint64_t bad_at, row;      /* the last that failed; how many in a row until now */
	uint64_t since;            /* the first of these */
	uint64_t told;             /* enum history_told */
	char why[512];             /* the last error */
};

/* What a run has to tell those who do not look on. */
enum history_news {
	HISTORY_SILENT,
	HISTORY_FAILED, /* its error */
	HISTORY_OUTAGE, /* its error, and no further one until it is over */
	HISTORY_OVER    /* an outage that was told is over */
};

void history_read(const char *dir, struct history *history);

/* Counts in a run that ends now, err NULL: well, and says what it has to tell.  Pure.  after is
 * policy.complain_after, or HISTORY_WATCHED: somebody looks on, who is told each failure, and that
 * uses up the word of nobody else. */
#define HISTORY_WATCHED UINT64_MAX
enum history_news history_count(struct history *history, const struct error *err, uint64_t fetched,
                                uint64_t after, uint64_t now);

/* The same for the file.  text: what is to be told; with HISTORY_SILENT the error, if there is one.
 * A failure that cannot be written down is told. */
enum history_news history_add(const char *dir, const struct error *err, uint64_t fetched,
                              uint64_t after, uint64_t now, char text[HISTORY_TEXT]);

#endif

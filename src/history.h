/* SPDX-License-Identifier: MIT */
/*
 * history.h - how an account's last runs ended, for --status: the file `last` beside the journal.
 *
 * Nothing depends on it.  It is written in place and without a sync; one that is torn, or cannot
 * be read, is as none.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include "base.h"

/* Wall clock times, s; 0: never.  Zeroed is "never run". */
struct history {
	uint64_t good_at, fetched; /* the last run that went well, and what it brought */
	uint64_t bad_at, row;      /* the last that failed; how many in a row until now */
	char why[512];             /* its error */
};

void history_read(const char *dir, struct history *history);

/* Adds a run that ends now.  why NULL: it went well. */
void history_add(const char *dir, const char *why, uint64_t fetched, uint64_t now);

#endif

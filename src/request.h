/* SPDX-License-Identifier: MIT */
/*
 * request.h - has a program of the user run on a spool file: the account's MDA, or its filter.
 *
 * The worker's side.  It runs nothing itself: it asks the supervisor (mda.h), and waits for how
 * that ended.  After a request to stop, what is under way still gets 10 s, for the success of an
 * MDA would have to be repeated.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include "base.h"
#include "link.h"
#include "spool.h"

/* How a program ended. */
struct request_end {
	uint64_t num;      /* spool.num of its message */
	uint64_t status;   /* an exit status that is an answer, unless why says that it failed */
	struct error why;  /* with one_message where that is this message's affair alone */
};

/* Asks for it.  kind: EVENT_MDA or EVENT_FILTER.  The spool's descriptor stays the caller's, who
 * may close it.  There may be as many at a time as the account has mda_jobs. */
int request_start(int link, enum event_kind kind, const struct spool *spool, struct error *err);

/* Waits for the end of one of those that were asked for, whichever comes first.  -1: none will
 * come. */
int request_end(int link, enum event_kind kind, struct request_end *end, struct error *err);

#endif

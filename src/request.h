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

/* kind: EVENT_MDA or EVENT_FILTER.  Sets *status, an exit status that is an answer.  -1: the
 * program failed, with one_message where that is this message's affair alone. */
int request_run(int link, enum event_kind kind, const struct spool *spool, uint64_t *status,
                struct error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * fetch.h - the errand: what is on the server comes home, is safe, and only then goes from there.
 *
 * fetch.c is the heart of the program and tells its story in one loop; read it first.
 */
#ifndef FETCH_H
#define FETCH_H

#include "account.h"
#include "base.h"
#include "deliver.h"
#include "pop3.h"
#include "seen.h"

/* What one account's run has come to, over all its sessions. */
struct fetch_tally {
	uint64_t fetched, bytes; /* delivered, and what they weighed on the server */
	uint64_t kept;           /* left there on purpose */
	uint64_t deleted;        /* the server has confirmed it (QUIT) */
	uint64_t failed;         /* could not be fetched or delivered; still on the server */
	uint64_t due;            /* delivered, to be deleted, and not confirmed */
	bool listed;             /* the server's listing was seen, so kept is known */
	bool stuck;              /* it is of no use to go on in this run: nothing can be put away */
	bool unsafe;             /* RETRed something that is not safe, or cannot go on: the session may
	                          * not QUIT, and its deletes are for another one */
};

/* One errand.  All foreign; the session is started, the destination open. */
struct fetch {
	const struct account *account;
	struct pop3 *pop3;
	struct seen *seen;
	struct deliver *deliver;
	int link;                /* the supervisor: progress and failures of single messages */
	bool deletes_only;       /* fetch nothing: settle the deletes a broken session left */
	struct fetch_tally *tally;
};

/* Runs it to the end of the session.  -1: the account failed with err; what was whole by then is
 * delivered all the same, and the tally tells.  Failures of single messages are sent to the
 * link and counted, and are no error here. */
int fetch_run(const struct fetch *fetch, struct error *err);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * mda.h - an account's MDA, or its filter, at work on one message: what is run, with which words
 * and variables, for how long, and what its end means.
 *
 * The supervisor runs them (request.c is the worker's side: it only asks).  Nothing here
 * waits: the supervisor polls the ear, calls mda_watch at the deadline, and mda_reap when a
 * child has died.  What the worker says of the message reaches the program as values, checked
 * again, and never as text of a command.
 */
#ifndef MDA_H
#define MDA_H

#include "account.h"
#include "base.h"
#include "child.h"
#include "link.h"

#define MDA_SAID 200 /* room for what mda_reap quotes */

enum mda_stage { MDA_RUNS, MDA_ASKED, MDA_KILLED }; /* ASKED: SIGTERM was sent, or is left out */

/* Zeroed: none runs. */
struct mda {
	struct child child;            /* pid 0: none runs */
	const struct account *account; /* foreign */
	uint64_t num;                  /* the message, as the worker calls it */
	uint64_t deadline;             /* of the stage, clock_ms */
	enum mda_stage stage;
	bool stopped;                  /* by mda_stop, not by its own time limit */
	bool filter;                   /* it is the filter */
	unsigned code;                 /* its exit status, where that is an answer and no failure */
	char name[64];                 /* for people */
};

/* What a filter may answer by its exit status; all else is a failure.  1 and 2 are what broken
 * scripts end with: they never decide anything. */
#define MDA_FILTER_TAKE 0
#define MDA_FILTER_LEAVE 10
#define MDA_FILTER_DELETE 20

/* Starts the account's mda or mda_shell, or its filter.  event is EVENT_MDA or EVENT_FILTER;
 * message its descriptor, which stays the caller's.  ERR_IO where the program cannot be run,
 * ERR_CONFIG where the line has no words. */
int mda_start(struct mda *mda, const struct account *account, const struct event *event,
              int message, struct error *err);

/* To be called at the deadline (earlier is harmless): SIGTERM, 2 s later SIGKILL to the group. */
void mda_watch(struct mda *mda, uint64_t now);

/* Stops it: by `when` (clock_ms) at the latest it is killed; until then it may finish. */
void mda_stop(struct mda *mda, uint64_t when);

/* Asks for its end without waiting.  True once it is over: *verdict is ERR_NONE where the message
 * is delivered or judged, else why not, with one_message; said: its last line, fit to be shown. */
bool mda_reap(struct mda *mda, struct error *verdict, char said[MDA_SAID]);

#endif

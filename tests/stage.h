/* SPDX-License-Identifier: MIT */
/*
 * stage.h - where the points of a sweep are played: a scratch directory, a server, an account.
 *
 * Everything can be put back to the beginning in a moment; mailhaul runs as cron would run it, or
 * below inject; other programs use the mail.  Where the stage itself breaks the test bails out.
 */
#ifndef STAGE_H
#define STAGE_H

#include <stdbool.h>

#include "suite.h"
#include "witness.h"

enum place { MAILDIR, MBOX, MDA };

struct scene {
	const char *name;
	enum place place;
	bool keep;           /* messages stay on the server */
	bool lock_step;      /* without pipelining */
	bool headers;        /* all is too big: headers alone are delivered, and the messages stay */
	const char *mailbox; /* lines for pop3d that make it */
	const char *earlier; /* lines for pop3d that make an earlier mailbox, fetched before all
	                      * points so that the journal has a past; NULL: none */
	unsigned files;      /* how many may be open, which makes groups small; 0: as ever */
	unsigned jobs;       /* MDAs at a time: so many messages a harm may double; 0: no MDA */
};

/* The status of a run that took longer than STAGE_LIMIT seconds and was killed. */
#define STAGE_LIMIT 20
#define STAGE_LATE (-1)

/* Finds the programs, makes the directory.  NULL, or why there can be no test here. */
const char *stage_init(bool keep_directory);

/* Starts the scene's server, which serves all its points. */
void stage_begin(const struct scene *scene);
void stage_end(void);

/* Puts everything back.  variant / 2 chooses what an mbox holds at first; an odd one is for points
 * in which others act. */
void stage_again(unsigned variant);

/* Runs mailhaul: below inject with the options of a step, or without an allocation for "-m N".
 * NULL: without any harm.  Returns the exit status, 128 + a signal, or STAGE_LATE. */
int stage_run(const char *step);

/* True where "-m" works. */
bool stage_can_lack_memory(void);

/* What mailhaul said, what inject listed.  The caller frees it. */
char *stage_words(void);
char *stage_log(void);

/* Waits until the server has done with the connection of a client that is dead. */
void stage_await_server(void);

/* How many messages there are; which of them are deleted on the server: "D", else ".". */
unsigned stage_messages(void);
void stage_gone(char gone[MAX_MESSAGES]);

/* A mail reader finds new mail; another program appends to the mbox. */
void stage_let_others_act(void);

/* How many mails of others are in the mbox. */
unsigned stage_foreign(void);

/* A path in the directory; good until the 32nd call from here. */
const char *stage_path(const char *name);

/* This program. */
const char *stage_self(void);

/* What mailhaul is told to run as the MDA: stores its standard input in a file of dir, which is
 * named ID-ATTEMPT-TIME.  Returns the exit status. */
int stage_mda(const char *dir);

#endif

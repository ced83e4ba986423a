/* SPDX-License-Identifier: MIT */
/*
 * spool.h - a message that is here, whole, in a file of ours.
 *
 * Every message is written into a spool file before any destination sees it, so a destination
 * only ever handles whole messages, and the network can only fail at a message's edge or in a
 * file nobody looks at.  Where the file is, and in which form the text stands in it, is the
 * destination's choice (deliver.h); the writing is the same for all and is here.
 *
 * A small message costs one write(2), or, where many stand in one file, a part of one: text comes
 * straight into the spooler's buffer and gathers there, and what goes in front of it (From_ line,
 * Received: header), which needs the sender from the header, is made when the text moves on.
 */
#ifndef SPOOL_H
#define SPOOL_H

#include <time.h>

#include "base.h"
#include "mark.h"
#include "wire.h"

#define SPOOL_TOKEN 24 /* hexadecimal digits: 96 random bits, 48 of the run and 48 of its own */
#define SPOOL_CHANCES 10 /* for so many tokens random bits are drawn at a time */
#define SPOOL_MIN_ROOM 256 /* bytes */

enum spool_form {
	SPOOL_PLAIN, /* LF lines */
	SPOOL_MBOXRD /* From_ line in front, ^>*From_ quoted, an empty line behind */
};

/* What became of it. */
enum spool_fate {
	SPOOL_HELD,  /* whole, and not handed out yet */
	SPOOL_SAFE,  /* delivered, durably */
	SPOOL_VOID,  /* certainly not delivered, nothing of it is left */
	SPOOL_UNSURE /* the destination failed half way: the next run finds out by the intent */
};

struct spool {
	uint32_t num;              /* the server's message number */
	uint64_t octets;           /* its size by LIST */
	bool part;                 /* it is the header alone: the message stays on the server */
	struct wire_span uid;      /* foreign: the listing's */
	char token[SPOOL_TOKEN + 1];
	char sender[256];          /* by wire_sender */
	int fd;                    /* -1: none (yet).  Owned, unless the destination says otherwise */
	uint64_t at, size;         /* where in fd it stands; bytes, all additions included */
	char place[128];           /* the destination's word for where it will be: in the intent */
	enum spool_fate fate;
	const struct error *why;   /* foreign: what its own MDA failed of, or its group */
	uint64_t mark;             /* fingerprint of its text, by spool_end */
	uint64_t sum;              /* and of all its bytes in fd, where the form is SPOOL_MBOXRD */
	uint64_t attempt;          /* which time it is handed out, from 1; only for an MDA */
	uint32_t entry;            /* what the journal knows it by, for seen_gone; 0: nothing */
};

/* A delivery that a crash interrupted, as the journal remembers it.  Strings are the journal's. */
struct spool_intent {
	char token[SPOOL_TOKEN + 1];
	const char *place;    /* spool.place */
	enum spool_fate fate; /* by the destination: SAFE or VOID; UNSURE until it is decided */
};

/* Deliveries to one destination by one earlier run that are not settled yet. */
struct spool_past {
	const char *kind; /* "maildir" */
	const char *path; /* the destination's absolute path */
	const char *run;  /* the run's 12 digits: its temporary files bear them */
	struct spool_intent *intents;
	size_t count;
	bool unsettled;   /* settling failed: it stays for the next run, even without intents */
};

/* What the spooler writes in front, and how. */
struct spool_style {
	enum spool_form form;
	bool synced;               /* the file will be: the disk may begin while it is written */
	bool joined;               /* one spool behind the other in one file, written by spool_flush */
	const char *scratch;       /* foreign: the directory for a spool that has no file yet */
	bool received;             /* put a Received: header in front */
	const char *from_host;     /* foreign: the server as configured */
	const char *from_address;  /* foreign: its numeric address */
	const char *protocol;      /* "POP3S" or "POP3" */
	const char *by_host;       /* foreign: our name */
};

/* The pen.  Zeroed is valid; spooler_free at the end.  One message at a time. */
struct spooler {
	const struct spool_style *style; /* foreign */
	struct spool *spool;             /* foreign: the one being written; NULL between messages */
	int fd;                          /* foreign: its file */
	char *buf;                       /* where text comes in and gathers; kept for all messages */
	uint64_t at;                     /* where in the file the buffer will be written */
	size_t ready, len;               /* bytes to be written as they are; all that it holds */
	bool begun;                      /* the front is made */
	bool mid_line;                   /* the last byte of text was not a LF */
	size_t waiting;                  /* bytes written that the disk was not told of */
	struct wire_mboxrd quote;
	struct mark mark, sum;
	time_t second;                   /* the dates' */
	char from_date[32], date[40];    /* as From_ lines and headers have them; empty: not made */
	char chance[SPOOL_CHANCES * SPOOL_TOKEN / 2 + 1];
	unsigned chances;                /* that many tokens' digits are left in it */
};

/* Begins to write into spool->fd at spool->at; the destination has set both, and the token.  Where
 * spools are joined, it is the file of the one before, and at is spool_next.  fd -1: a file without
 * a name is made when there is something to be written: in memory if that is the whole message,
 * which is 128 KiB at most then; else in style->scratch. */
void spool_begin(struct spooler *pen, const struct spool_style *style, struct spool *spool);

/* Where text (LF lines) is to be put, and how much of it: at least SPOOL_MIN_ROOM bytes. */
char *spool_room(const struct spooler *pen, size_t *room);

/* Says that len bytes of text were put there.  -1: the file could not be written; the caller drops
 * the spool. */
int spool_took(struct spooler *pen, size_t len, struct error *err);

/* Ends it: a missing last LF is added, all is handed to the kernel, unless spools are joined; sets
 * spool->size, ->sender, ->mark and ->sum.  Nothing is synced. */
int spool_end(struct spooler *pen, struct error *err);

/* Gives up the message being written; the destination takes away its file. */
void spool_abandon(struct spooler *pen);

/* For joined spools: where the next one begins. */
uint64_t spool_next(const struct spooler *pen);

/* For joined spools: hands to the kernel what waits.  -1: it still waits; nothing is lost. */
int spool_flush(struct spooler *pen, struct error *err);

/* For joined spools, what a destination's drop does: if it is the latest, the next one begins where
 * it began, and its room on the disk is given back, for others may need it; else a hole is left. */
void spool_drop(struct spooler *pen, struct spool *spool);

/* For joined spools, what a destination's release does: the next one begins at keep, over what
 * stands there.  Unless all are SAFE the room of that is given back first: the disk may be full,
 * and what a sync has failed with must not be synced again. */
void spool_release(struct spooler *pen, struct spool *spools, size_t n, uint64_t keep);

void spooler_free(struct spooler *pen);

/* Makes a token whose first half is run (12 digits) and whose second half is fresh. */
void spool_token(struct spooler *pen, const char *run, char token[SPOOL_TOKEN + 1]);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * deliver.h - the shape of a destination.
 *
 * A destination says where spool files live (spool), and takes groups of whole messages through
 * four steps, in this order, with the journal's two records in between (fetch.c, commit_group):
 *
 *     prepare   the spool files are on disk; where each message will be is decided and written
 *               into spool.place; what must be locked is locked
 *               -> the journal records the intents, synced
 *     publish   the messages become visible and durable; each spool gets its fate
 *               -> the journal records the fates, synced
 *     release   locks go, spool files are closed
 *
 * A later run that finds open intents asks settle, before it dials: each message is found in
 * place (SAFE), brought there (SAFE), or is certainly not there (VOID: it is fetched again).
 *
 * Destinations never talk to the server, and one lock is never held while the network is read.
 * A new one is a file deliver_NAME.c with a table, and a line in worker.c.
 */
#ifndef DELIVER_H
#define DELIVER_H

#include "account.h"
#include "base.h"
#include "spool.h"

/* The most messages a group may have. */
#define DELIVER_GROUP 256

struct deliver {
	const struct deliver_ops *ops;
	const struct account *account; /* foreign */
	const char *state_dir;         /* foreign: the account's own, exists, absolute */
	const char *run;               /* foreign: 12 digits, the first half of each token */
	const char *path;              /* the destination by its absolute name; "" for mda, stdout */
	int link_fd;                   /* to the supervisor, for the MDA; -1: none */
	struct spool_style style;
	struct spooler pen;
	void *own;                     /* the destination's own state */
};

struct deliver_ops {
	const char *kind;     /* as the option is called, and as the journal says */
	unsigned group;       /* most messages in a group: 1 to DELIVER_GROUP */
	bool programs;        /* each is taken by a program of its own, which the supervisor runs: a
	                       * group is as many as the account's mda_jobs, and the above is 0 */
	bool intents;         /* publishing can be settled after a crash: exactly once */
	enum spool_form form;
	bool joined;          /* its spools stand in one file (spool.h); prepare does spool_flush */

	/* Looks that the destination can be used, makes it if it is missing; sets path.  Called
	 * before anything is sent to the server. */
	int (*open)(struct deliver *d, struct error *err);

	/* A fresh place for one message: sets fd and at; token is set already.  fd -1: any will do,
	 * for nothing will look for it after a crash (spool_begin). */
	int (*spool)(struct deliver *d, struct spool *spool, struct error *err);

	/* Takes one away that will not be delivered: at any time after spool, twice too. */
	void (*drop)(struct deliver *d, struct spool *spool);

	/* -1: nothing was published; the caller drops the spools. */
	int (*prepare)(struct deliver *d, struct spool *spools, size_t n, struct error *err);

	/* Sets each fate, and why where one failed by itself.  -1 where any is not SAFE;
	 * err->one_message: the next group may go on. */
	int (*publish)(struct deliver *d, struct spool *spools, size_t n, struct error *err);

	/* Always called after prepare, whatever happened. */
	void (*release)(struct deliver *d, struct spool *spools, size_t n);

	/* What an earlier run left (see spool.h): gives every intent its fate, takes away that
	 * run's temporary files.  d is not opened; past->path counts.  NULL: nothing to settle. */
	int (*settle)(const struct deliver *d, struct spool_past *past, struct error *err);

	/* False: something of this run could not be removed; the next one's settle shall do it. */
	bool (*close)(struct deliver *d);
};

extern const struct deliver_ops deliver_maildir, deliver_mbox, deliver_mda, deliver_stdout;

/* Spools one message: begin, its text bit by bit to where deliver_room says, deliver_took after
 * each, end.  They count on d->pen (spool_room, spool_took) and set the token, so that destinations
 * need not.  After a failure, or instead of end: deliver_drop. */
int deliver_begin(struct deliver *d, struct spool *spool, struct error *err);
char *deliver_room(const struct deliver *d, size_t *room);
int deliver_took(struct deliver *d, size_t len, struct error *err);
int deliver_end(struct deliver *d, struct error *err);
void deliver_drop(struct deliver *d, struct spool *spool);

/* How many messages a group may have here: those of a Maildir are all open at once, and some users
 * have few descriptors. */
unsigned deliver_group(const struct deliver *d);

/* A host name that fits file names and headers: letters, digits, ".", "-"; never empty. */
void deliver_host_name(char *to, size_t size);

#endif

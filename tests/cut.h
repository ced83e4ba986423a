/* SPDX-License-Identifier: MIT */
/*
 * cut.h - what the two files of cut share.
 *
 *     cut.c        where connections are cut: all the points, counted
 *     cut_point.c  plays a point, and judges what is there
 */
#ifndef CUT_H
#define CUT_H

#include <stdbool.h>

#include "suite.h"

enum { FIN, RST, TLS, NOTLS }; /* how a connection ends */
extern const char *const hows[]; /* as pop3d has them */

enum { MAILDIR, MBOX, MDA };
extern const char *const dests[];

enum { LOCK_STEP, PIPELINED, TRIED_AGAIN };
extern const char *const modes[];

struct bytes {
	char *p; /* a NUL behind it */
	size_t len;
};

/* What a session is like, undisturbed. */
struct setting {
	int dest, mode;
	bool keep, tls;
	struct bytes said; /* by the server */
	unsigned commands; /* by the client */
};

/* All that was done, and what was wrong; now: of the check at hand. */
extern struct found {
	unsigned long points, runs, lost, doubled, partial, untrue;
	unsigned now;
} found;

/* Goes to a scratch directory and makes what all points need.  with_certs: where make-certs.sh
 * was, or NULL. */
void point_begin(const char *with_certs);
void point_end(void);

/* Runs the session undisturbed: what it is like, and that there is something to cut. */
void point_learn(struct setting *s);

/* One point: a run with the trouble that the line of script makes, and one without. */
void point_try(const struct setting *s, const char *trouble);

/* Whether the first connection of the last point came to the end of the handshake. */
bool point_has_shaken(void);

/* As the MDA: keeps what comes in under its UID, with a name that is nobody else's.  Returns the
 * exit status. */
int point_store(const char *dir);

#endif

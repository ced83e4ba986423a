/* SPDX-License-Identifier: MIT */
/*
 * mboxplace.h - where a message stands in an mbox: decided before it is written, remembered by the
 * journal, and found again after a crash.
 *
 * deliver_mbox.c has the order of things; here is what must be known about bytes.
 */
#ifndef MBOXPLACE_H
#define MBOXPLACE_H

#include "base.h"
#include "spool.h"

struct mboxplace {
	uint64_t ino;      /* which file the mbox was; device numbers do not outlive a reboot */
	uint64_t start;    /* of the region of the message's group, behind an empty line */
	uint64_t at, len;  /* of the message in it, From_ line and empty line included */
	uint64_t stage;    /* where its bytes stand in the stage */
	uint64_t mark;     /* their fingerprint */
};

/* Where a group will stand: sets dev, ino, start and at.  *base is the mbox's size; from there to
 * start newlines are needed (0 to 2), for a message follows an empty line. */
int mboxplace_begin(struct mboxplace *p, int mbox, const char *path, uint64_t *base,
                    struct error *err);

/* Puts the place of one message, which stands in the stage, into spool->place, and moves p->at
 * behind it: the next one follows. */
void mboxplace_write(struct mboxplace *p, struct spool *spool);

/* Gives each intent its fate.  mbox: the file that is called path today, open and locked; it is
 * completed, or cut back, where its bytes are proved to be ours, and synced.  stage: the staged
 * bytes, -1 where they are gone (a stage goes when all that it held is decided).  On failure the
 * fates say nothing. */
int mboxplace_settle(int mbox, const char *path, int stage, struct spool_past *past,
                     struct error *err);

#endif

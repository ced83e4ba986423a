/* SPDX-License-Identifier: MIT */
/*
 * witness.h - looks at a Maildir, an mbox or what an MDA has stored, and says what is there: each
 * message so many times, byte for byte, and what is none of them.
 *
 * It knows nothing of mailhaul's code: the texts come from pop3d -x, the mbox is split and quoted
 * anew here.
 */
#ifndef WITNESS_H
#define WITNESS_H

#include <stddef.h>

#define MAX_MESSAGES 128
#define MAX_FOREIGN 8

struct witness {
	unsigned copies[MAX_MESSAGES]; /* of message 1 at [0], ... */
	unsigned foreign[MAX_FOREIGN]; /* of mail that others have put into the mbox */
	unsigned odd;                  /* what is neither: a piece of a message, or two in one */
	unsigned blanks;               /* empty lines in the mbox that need not be there */
	char what[300];                /* the first odd thing, for people */
};

/* Learns the messages by the files 1, 2, ... of dir.  Returns how many. */
unsigned witness_learn(const char *dir);

/* Each adds to what there is; what does not exist holds nothing. */
void witness_maildir(struct witness *w, const char *maildir);
void witness_mbox(struct witness *w, const char *mbox);
void witness_files(struct witness *w, const char *dir);

/* The foreign mail of a number, with its From_ line and an empty line at the end. */
const char *witness_foreign(unsigned number);

#endif

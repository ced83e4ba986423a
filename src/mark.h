/* SPDX-License-Identifier: MIT */
/*
 * mark.h - a fingerprint of a message's text, by which a message is known again.
 *
 * Servers use UIDs again for other messages, and servers tell another size of the same message:
 * only the text can say which it is.  Pure: no I/O, no allocation.  The header lines that a
 * server adds and changes while a message lies there (Status, X-UID, ...) do not count.
 *
 * It is no cryptographic hash.  Who can choose a message's text and its UID can make a message of
 * his own be taken for another of his own.
 */
#ifndef MARK_H
#define MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MARK_NAME 16  /* bytes of a header field's name that are looked at */
#define MARK_BLOCK 32 /* bytes that are mixed at a time */

/* The state between two chunks.  Zeroed: at the start of a message. */
struct mark {
	uint64_t sum[MARK_BLOCK / 8];
	uint64_t len;           /* bytes that count */
	char block[MARK_BLOCK]; /* those that do not fill one yet */
	char name[MARK_NAME];   /* of the field whose line has begun and is not judged yet */
	unsigned name_len;
	bool in_line, skip;     /* the line is judged, and does not count */
	bool body; /* the header is over; true from the start, all bytes count */
};

/* Adds text (LF lines).  Any way of cutting it into chunks gives the same mark. */
void mark_add(struct mark *mark, const char *text, size_t len);

/* The fingerprint: 40 bits, never 0.  The state is then of no use any more. */
uint64_t mark_end(struct mark *mark);

#endif

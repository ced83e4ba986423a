/* SPDX-License-Identifier: MIT */
/*
 * record.h - one line of the journal: a checked record, made of facts and back into them.
 *
 * Pure like wire.h: whatever the bytes are, the answer is a struct or "no".  What the records
 * mean together is seen.c's affair; the format of each is told at the head of record.c.
 */
#ifndef RECORD_H
#define RECORD_H

#include "base.h"
#include "wire.h"

#define RECORD_VERSION 1

/* No record has more bytes than this, its LF included. */
#define RECORD_MAX 16384

/* The header record's bytes, its LF included. */
#define RECORD_HEADER 13

/* Which of the members count depends on the tag.  Texts are opaque bytes and may be empty; NUL
 * occurs in UIDs only. */
struct record {
	char tag;
	bool firm;    /* all before it was on disk when it was written */
	uint64_t num; /* an entry's number, a count, or the version of the format */
	uint64_t octets, since, missing;
	struct wire_span token, uid, kind, run, path, place; /* foreign */
};

/* Writes the record as a line with its LF.  Returns its length, 0 where the record has no form
 * (unknown tag, text too long). */
size_t record_encode(const struct record *record, char line[RECORD_MAX]);

/* Reads a line, given without its LF.  Texts are unescaped in place: the spans point into line.
 * Returns false where it is no whole, undamaged record. */
bool record_decode(char *line, size_t len, struct record *record);

#endif

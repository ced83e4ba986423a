/* SPDX-License-Identifier: MIT */
/*
 * memory.h - what the records of a journal mean, taken together: what was delivered, what is under
 * way, what was tried in vain, what is too large, and what is known of the server.
 *
 * seen.c keeps it while it writes the journal, status.c makes one of a journal it may only read.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include "base.h"
#include "intents.h"
#include "journal.h"
#include "large.h"
#include "record.h"
#include "tries.h"
#include "uidset.h"

/* What is remembered of logins: how often they were refused in a row, with which login (a mark that
 * tells it from others) and when last; and what the server wants between two. */
struct memory_login {
	uint64_t refused, refused_at;
	char mark[33];
	uint64_t pause, last; /* seconds, 0: none; when the last was */
};

/* Zeroed is empty and valid. */
struct memory {
	struct uidset set;        /* what was delivered */
	struct intents intents;   /* deliveries that are under way */
	struct tries tries;       /* messages that would not come */
	struct large large;       /* messages that are too large, and whose header may be here */
	struct memory_login login;
	uint64_t broke, broke_at; /* pipelining: times in a row, and when */
	bool salvage;             /* the journal is damaged: entries' records may be lacking */
};

/* Takes a record to memory; V, the header, is none.  Returns false where it makes no sense. */
bool memory_apply(struct memory *memory, const struct record *r);

/* Puts the records from which it can be made again: what is known now, without how it came about.
 * Entries are numbered anew: uidset_renumber shall follow once they stand. */
void memory_put(const struct memory *memory, struct journal *journal);

void memory_free(struct memory *memory);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * intents.h - deliveries that are under way, or were when a run died: in blocks, one a run, as the
 * journal has them (P, then I or J, each with G, until D or N).
 *
 * A part of memory.h.
 */
#ifndef INTENTS_H
#define INTENTS_H

#include "base.h"
#include "journal.h"
#include "record.h"
#include "spool.h"
#include "uidset.h"

struct intents_block;

/* Zeroed is empty and valid. */
struct intents {
	struct spool_past *pasts;     /* the earlier runs', then ours if it has begun */
	struct intents_block *blocks; /* beside pasts */
	size_t count;
	size_t old;                   /* how many of them are earlier runs' */
};

/* Begins a block, by a record P. */
void intents_begin(struct intents *intents, const struct record *record);

/* Adds an intent to the last block, by a record I or J; the entry it will become is made in set.
 * Returns false where the record makes no sense. */
bool intents_add(struct intents *intents, struct uidset *set, const struct record *record);

/* The text of the last intent has a fingerprint, by a record G.  Returns false where that intent is
 * another one. */
bool intents_mark(struct intents *intents, const struct record *record);

/* True where an intent of this token is open. */
bool intents_have(const struct intents *intents, struct wire_span token);

/* Closes it.  Returns the entry it stood for, NULL where there is no such intent. */
struct seen_entry *intents_close(struct intents *intents, struct wire_span token);

/* True where no intent is open and no block is an earlier run's. */
bool intents_settled(const struct intents *intents);

/* Puts the records of all blocks. */
void intents_put(const struct intents *intents, struct journal *journal);

/* Takes the first n blocks away. */
void intents_drop(struct intents *intents, size_t n);

void intents_free(struct intents *intents);

#endif

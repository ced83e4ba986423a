/* SPDX-License-Identifier: MIT */
/*
 * large.h - messages that stay on the server because they are larger than max_size: which of them
 * the user was told of, and of which the header was delivered.  A part of memory.h.
 *
 * They are known by UID and size alone, and one entry stands for all that are alike: at worst a
 * header is not delivered, of a message that stays where it is.
 */
#ifndef LARGE_H
#define LARGE_H

#include "journal.h"
#include "record.h"
#include "uidset.h"

/* What has become of one: the NUM of its record. */
enum large_state {
	LARGE_NEW,   /* nothing yet */
	LARGE_TOLD,
	LARGE_HEADER /* its header is delivered; the message never was */
};

/* Zeroed is empty and valid.  An entry's since is its state. */
struct large {
	struct uidset set;
};

/* Takes an O record to memory.  False: it makes no sense. */
bool large_apply(struct large *large, const struct record *r);

/* The state of such a message. */
enum large_state large_state(struct large *large, struct wire_span uid, uint64_t octets);

/* A listing comes in; it has this message. */
void large_listing(struct large *large);
void large_listed(struct large *large, struct wire_span uid, uint64_t octets);

/* The record by which what the listing tells of entry num is remembered: it is missing, it is back,
 * it was missing for so long that it is forgotten.  False: there is nothing to remember. */
bool large_missed(const struct large *large, size_t num, uint64_t now, uint64_t forget_after,
                  struct record *r);

/* Finds one of that UID whose header has that fingerprint, and that the listing has not: the server
 * tells another size of it now.  The record forgets it.  False: there is none. */
bool large_recall(struct large *large, struct wire_span uid, uint64_t mark, struct record *r);

/* Writes the records from which it can be read again. */
void large_put(const struct large *large, struct journal *j);

void large_free(struct large *large);

#endif

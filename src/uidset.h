/* SPDX-License-Identifier: MIT */
/*
 * uidset.h - a multiset of delivered UIDs in memory, and how a listing is matched with it.
 *
 * Entries have numbers, from 0 in the order they were added.  Nothing a stranger can choose (many
 * UIDs, equal UIDs, UIDs made to collide) makes any of this slower than linear.
 *
 * Memory: about 70 bytes and the UID for each entry.  What is forgotten keeps its memory until
 * uidset_free, so pointers to entries stay good.
 */
#ifndef UIDSET_H
#define UIDSET_H

#include "base.h"
#include "wire.h"

#define UIDSET_TWIN 1

/* A UID that was delivered.  Owned by the set. */
struct seen_entry {
	uint64_t octets;  /* by LIST at that time */
	uint64_t since;   /* wall clock of the delivery, s */
	uint64_t missing; /* since when no listing has had it, s; 0: the last one had it; or
	                   * UIDSET_TWIN: another message had its UID and size */
	bool taken;       /* matched by a message of the present listing, or delivered since it came */
	bool contested;   /* more messages have its UID and size than there are entries */
	bool doubt;       /* set by plan: a message of its UID but of another size is listed, and may be
	                   * its own: the text will tell */
	bool outdated;    /* set by plan, with doubt: the message that has its UID and size may be
	                   * another one by now.  It does not count, and stays until its text is met,
	                   * in this session or in a later one */
	bool part;        /* of an intent: the header alone is delivered, and large.h takes it */
	uint64_t mark;    /* fingerprint of its text (mark.h); 0: not known */
	uint16_t uid_len; /* at most WIRE_MAX_UID */
	char uid[];       /* not NUL-terminated */
};

struct uidset_chunk;
struct uidset_slot;

/* Zeroed is empty and valid. */
struct uidset {
	struct uidset_chunk *chunks; /* where the entries live */
	struct uidset_slot *slots;   /* by number */
	size_t count, cap;           /* numbers given away, room */
	size_t live;                 /* entries that are not forgotten */
	uint32_t *heads;             /* of the lists entries are found by; NULL: not built */
	size_t buckets;
	uint64_t key[4];
	size_t given;                /* the number of what uidset_take gave last */
};

/* Makes an entry that is no member yet. */
struct seen_entry *uidset_make(struct uidset *set, struct wire_span uid, uint64_t octets);

/* Adds an entry under the next number; NULL only uses the number up.  It counts as taken. */
void uidset_add(struct uidset *set, struct seen_entry *entry);

/* The entry of that number, NULL where there is none or it is forgotten. */
struct seen_entry *uidset_at(const struct uidset *set, uint64_t num);

void uidset_forget(struct uidset *set, size_t num);

/* Numbers anew, from 0 and without gaps, in the same order. */
void uidset_renumber(struct uidset *set);

/* Matching a listing: see seen_take in seen.h. */
void uidset_take_begin(struct uidset *set);
struct seen_entry *uidset_take(struct uidset *set, struct wire_span uid, uint64_t octets,
                               bool exact);

/* Makes all taken entries of that UID and size contested: one more message has them. */
void uidset_contest(struct uidset *set, struct wire_span uid, uint64_t octets);

/* Makes them doubtful. */
void uidset_doubt(struct uidset *set, struct wire_span uid, uint64_t octets);

/* How many entries have a mark. */
size_t uidset_marked(const struct uidset *set);

/* True where an entry that was delivered since then, and was never missing, is not taken. */
bool uidset_lacks(const struct uidset *set, uint64_t since);

/* Finds an entry of that UID and text which no message of the listing has for certain, and its
 * number; the caller shall forget it.  NULL: none. */
const struct seen_entry *uidset_recall(struct uidset *set, struct wire_span uid, uint64_t mark,
                                       size_t *num);

/* Finds an entry of that UID and size, a taken one if there is one.  Returns false for none. */
bool uidset_find(struct uidset *set, struct wire_span uid, uint64_t octets, size_t *num);

void uidset_free(struct uidset *set);

#endif

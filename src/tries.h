/* SPDX-License-Identifier: MIT */
/*
 * tries.h - messages of the server that were tried and did not come home: how often an MDA was
 * given each, how often each failed, and when.  A part of memory.h.
 */
#ifndef TRIES_H
#define TRIES_H

#include "journal.h"
#include "record.h"
#include "uidset.h"

/* Zeroed is empty and valid.  An entry's missing is how often, its since the last time. */
struct tries {
	struct uidset given;  /* to an MDA, which has not taken it */
	struct uidset failed;
};

/* Takes a T or X record to memory.  False: it makes no sense. */
bool tries_apply(struct tries *tries, const struct record *r);

/* It is delivered: nobody asks any more how that went. */
void tries_forget(struct tries *tries, struct wire_span uid, uint64_t octets);

/* How often an MDA was given it. */
uint64_t tries_given(struct tries *tries, struct wire_span uid, uint64_t octets);

/* How often it has failed; *since: the last time. */
uint64_t tries_failed(struct tries *tries, struct wire_span uid, uint64_t octets, uint64_t *since);

/* A listing comes in; it has this message. */
void tries_listing(struct tries *tries);
void tries_listed(struct tries *tries, struct wire_span uid, uint64_t octets);

/* Finds one that the listing has not, from *num on, and makes the record that forgets it. */
bool tries_vanished(const struct tries *tries, size_t *num, struct record *r);

/* Writes the records from which it can be read again. */
void tries_put(const struct tries *tries, struct journal *j);

void tries_free(struct tries *tries);

#endif

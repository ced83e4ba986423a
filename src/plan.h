/* SPDX-License-Identifier: MIT */
/*
 * plan.h - which message is fetched, deleted or left, and why: a function of the listing, the
 * journal, the policy and the clock, and of nothing else.
 *
 * A message is only ever deleted without being fetched when the journal has its UID *and* its
 * size, and no other message could be meant: UIDs are chosen by servers and senders, so a known
 * UID alone proves nothing (fetch again rather than lose).  Beyond that there are only those that
 * the user wants to be deleted for their size.
 */
#ifndef PLAN_H
#define PLAN_H

#include "account.h"
#include "listing.h"
#include "seen.h"

struct plan {
	uint32_t fetch, remove, kept, too_big, failed; /* messages by verdict */
	uint32_t left;                                 /* for other reasons */
	uint64_t octets;                               /* of those to fetch */
};

/* Sets act, why, last, part, sift, told, entry, failures and since of every message of the listing.
 * now: wall clock, s. */
void plan_make(struct plan *plan, struct listing *listing, struct seen *seen,
               const struct policy *policy, uint64_t now);

/* Without UIDs nothing can be remembered, so mail that stays would come again each time; nor can
 * mail that was delivered be told from new mail.  -1: nothing may be fetched.  After plan_make. */
int plan_check_uids(const struct listing *listing, const struct seen *seen, uint64_t now,
                    struct error *err);

/* A message was delivered then (wall clock, s), or of what is too large the header.  True where it
 * need not stay any longer. */
bool plan_is_done(struct message *message, uint64_t since, const struct policy *policy,
                  uint64_t now);

/* Before any DELE, when all is fetched that will be: what is recorded outlives a power cut, and
 * where a message stays undelivered the entries of its UID and size are marked (seen_twin).  Else,
 * with the answer to QUIT lost, the next session would take it for the one that was deleted. */
int plan_seal(struct listing *listing, struct seen *seen, struct error *err);

/* "new", "kept", "too big": a word for people. */
const char *plan_why_text(enum message_why why);

/* How long a message that failed so many times waits for its next try, s. */
uint64_t plan_pause(uint64_t failures);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * plan.c - which message is fetched, deleted or left, and why.
 *
 * A UID proves little: some servers take it from the mail, give one twice, or use it again.  So
 * the listing is matched with the journal as two multisets, first by UID and size, all of it,
 * then what is left by UID alone.  Only a match of the first kind lets a message be deleted
 * unread, and only if no other message could have been meant: where more messages of one UID and
 * size are listed than are known, none of them is; nor where the UID is the message's number, for
 * then it is the next one's after each deletion.  What is in doubt is fetched again.
 *
 * A known UID with another size is fetched again, too; what was delivered before is known by its
 * text (mark.h) and is not delivered a second time.
 *
 * But for plan_seal nothing here fails, reads or writes.  An entry whose message is fetched again
 * may be marked outdated: it does not count until its text is met.  Each pass is linear.
 */
#include "config.h"

#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Without `keep` an entry only waits for its message to go.  If a whole listing lacked it, it went,
 * and what has its UID and size now is another message.  If it had a twin, this may be that. */
static bool is_gone(const struct seen_entry *entry, const struct policy *policy)
{
	return entry->missing > 0 && (policy->keep == 0 || entry->missing == UIDSET_TWIN);
}

/* A delivery in the future (the clock was set back) is of this moment. */
static bool is_over(uint64_t since, const struct policy *policy, uint64_t now)
{
	uint64_t age = now > since ? now - since : 0;

	return policy->keep != KEEP_FOREVER && age >= policy->keep;
}

bool plan_is_done(struct message *message, uint64_t since, const struct policy *policy,
                  uint64_t now)
{
	if (message->part)
		return false;
	message->since = since;
	return is_over(since, policy, now);
}

/* The entry for exactly this message; NULL: none, and why says if there was an old one.  The size
 * of a message without a LIST line is unknown and proves nothing. */
static struct seen_entry *take_exact(struct message *message, struct wire_span uid,
                                     struct seen *seen, const struct policy *policy)
{
	struct seen_entry *entry = NULL;

	message->why = WHY_NEW;
	while (message->octets > 0 && (entry = seen_take(seen, uid, message->octets, true)) != NULL &&
	       is_gone(entry, policy)) {
		entry->outdated = entry->doubt = true;
		message->why = WHY_CHANGED;
	}
	return entry;
}

static void decide(struct message *message, enum message_act act, enum message_why why)
{
	message->act = (uint8_t)act;
	message->why = (uint8_t)why;
}

/* The entry is known to be of another message than the one listed, or may be.  When the text is
 * here fetch.c can tell; until then the entry stands, for the session may end before. */
static void fetch_again(struct message *message, struct seen_entry *entry)
{
	entry->doubt = true;
	decide(message, ACT_FETCH, WHY_CHANGED);
}

/* Some servers have no better UIDs; others only happen to have those in a fresh mailbox.  Without a
 * fingerprint the text could not tell, and all would come twice. */
static bool is_numbered(const struct seen_entry *entry, uint32_t num)
{
	char text[16];
	int len = snprintf(text, sizeof text, "%lu", (unsigned long)num);

	return entry->mark != 0 && entry->uid_len == len && memcmp(entry->uid, text, (size_t)len) == 0;
}

static void judge_known(struct message *message, uint32_t num, struct seen_entry *entry,
                        bool exact, enum large_state large, struct seen *seen,
                        const struct policy *policy, uint64_t now)
{
	bool expired = is_over(entry->since, policy, now);
	bool resized = !exact && message->octets > 0 && entry->octets > 0;

	message->since = entry->since;
	/* Another one of its UID and size was never fetched but for its header: this may be that. */
	if (exact && large == LARGE_HEADER)
		entry->outdated = true;
	/* One of them delivered, and this entry, would pass for both: the entry cannot stand. */
	if (exact && entry->contested)
		entry->outdated = true;
	/* Of several of its UID and old size the others may have taken each other's. */
	if (resized)
		seen_doubt(seen, (struct wire_span){entry->uid, entry->uid_len}, entry->octets);
	if (resized || entry->outdated)
		fetch_again(message, entry);
	else if (!expired)
		decide(message, ACT_LEAVE, WHY_KEPT);
	else if (exact && !is_numbered(entry, num))
		decide(message, ACT_DELETE, WHY_EXPIRED);
	else
		fetch_again(message, entry);
	if (message->act == ACT_FETCH)
		message->since = 0; /* it is not this message that was delivered then */
}

/* The first time it may have been a moment's trouble; what fails for ever is asked for now and
 * then. */
uint64_t plan_pause(uint64_t failures)
{
	static const uint64_t seconds[] = {0, 0, 15 * 60, 3600, 4 * 3600};
	const uint64_t most = sizeof seconds / sizeof *seconds - 1;

	return seconds[failures < most ? failures : most];
}

/* One that failed must not keep the others from coming, again and again. */
static void hesitate(struct message *message, struct wire_span uid, struct seen *seen,
                     const struct policy *policy, uint64_t now)
{
	uint64_t since, times = seen_failures(seen, uid, message->octets, &since);

	message->failures = (uint32_t)times; /* the journal's numbers are that small */
	message->told = since > 0;
	message->last = message->failures > 1 || since > SEEN_EXCUSED; /* once may be the network */
	if (message->act == ACT_FETCH && !policy->retry && since > SEEN_EXCUSED && since <= now &&
	    now - since < plan_pause(message->failures))
		decide(message, ACT_LEAVE, WHY_FAILED);
}

/* What is too large.  A header is only delivered where that can be remembered. */
static void size_up(struct message *message, enum large_state large, const struct policy *policy)
{
	message->part = false;
	if (message->act != ACT_FETCH || policy->max_size == 0 || message->octets <= policy->max_size)
		return;
	if (policy->oversize == OVERSIZE_DELETE)
		decide(message, ACT_DELETE, WHY_TOO_BIG);
	else if (large == LARGE_HEADER)
		decide(message, ACT_LEAVE, WHY_HEADER);
	else
		decide(message, ACT_LEAVE, WHY_TOO_BIG);
	message->part = policy->oversize == OVERSIZE_HEADERS && message->why == WHY_TOO_BIG &&
	                message->uid_len > 0;
	if (message->part)
		message->act = ACT_FETCH;
}

/* The filter may leave some, so with one the limit is not known yet: order.c counts. */
static void limit(struct message *message, const struct policy *policy, const struct plan *plan)
{
	message->sift = message->act == ACT_FETCH && policy->filter != NULL;
	if (message->act == ACT_FETCH && !message->sift && policy->limit > 0 &&
	    plan->fetch >= policy->limit)
		decide(message, ACT_LEAVE, WHY_LIMIT);
}

static void count(struct plan *plan, const struct message *message)
{
	if (message->act == ACT_FETCH) {
		plan->fetch++;
		if (!message->part && message->octets <= UINT64_MAX - plan->octets)
			plan->octets += message->octets;
	} else if (message->act == ACT_DELETE) {
		plan->remove++;
	} else if (message->why == WHY_KEPT) {
		plan->kept++;
	} else if (message->why == WHY_TOO_BIG || message->why == WHY_HEADER) {
		plan->too_big++;
	} else if (message->why == WHY_FAILED) {
		plan->failed++;
	} else {
		plan->left++;
	}
}

/* Those without a UID, when all others are matched: they may be what is known and not listed. */
static void judge_nameless(struct plan *plan, struct listing *listing, const struct seen *seen,
                           const struct policy *policy, uint64_t now)
{
	int leave = -1; /* nobody has looked yet */

	for (uint32_t i = 0; i < listing->count; i++) {
		struct message *message = &listing->messages[i];

		if (message->uid_len > 0)
			continue;
		if (leave == -1)
			leave = policy->keep > 0 || seen_awaits(seen, now);
		if (!message->listed)
			decide(message, ACT_LEAVE, WHY_UNLISTED);
		else if (leave)
			decide(message, ACT_LEAVE, WHY_NO_UID);
		else
			decide(message, ACT_FETCH, WHY_NEW);
		size_up(message, LARGE_NEW, policy);
		limit(message, policy, plan);
		count(plan, message);
	}
}

void plan_make(struct plan *plan, struct listing *listing, struct seen *seen,
               const struct policy *policy, uint64_t now)
{
	struct seen_entry **known = xcalloc((size_t)listing->count + 1, sizeof *known);

	*plan = (struct plan){0};
	seen_take_begin(seen);
	for (uint32_t i = 0; i < listing->count; i++) {
		struct message *message = &listing->messages[i];

		known[i] = take_exact(message, listing_uid(listing, message), seen, policy);
		message->entry = known[i] != NULL ? seen_taken(seen) : 0;
	}
	for (uint32_t i = 0; i < listing->count; i++) {
		struct message *message = &listing->messages[i];
		struct wire_span uid = listing_uid(listing, message);
		enum large_state large = seen_large(seen, uid, message->octets);
		struct seen_entry *entry = known[i];
		bool exact = entry != NULL;

		if (!exact)
			entry = seen_take(seen, uid, 0, false);
		message->since = 0;
		if (message->uid_len == 0)
			continue; /* when the others are known */
		if (entry != NULL)
			judge_known(message, i + 1, entry, exact, large, seen, policy, now);
		else
			decide(message, ACT_FETCH, message->why); /* as take_exact found */
		size_up(message, large, policy);
		hesitate(message, uid, seen, policy, now);
		limit(message, policy, plan);
		count(plan, message);
	}
	judge_nameless(plan, listing, seen, policy, now);
	free(known);
}

int plan_seal(struct listing *listing, struct seen *seen, struct error *err)
{
	for (uint32_t num = 1; num <= listing->count && !listing->sealed; num++) {
		const struct message *message = listing_message(listing, num);

		if (message->since == 0)
			seen_twin(seen, listing_uid(listing, message), message->octets);
	}
	if (!listing->sealed)
		seen_note_twins(seen);
	listing->sealed = true;
	return seen_sync(seen, err);
}

int plan_check_uids(const struct listing *listing, const struct seen *seen, uint64_t now,
                    struct error *err)
{
	uint64_t nameless = 0;
	bool known;

	for (uint32_t num = 1; num <= listing->count; num++)
		nameless += listing_message(listing, num)->why == WHY_NO_UID;
	if (nameless == 0)
		return 0;
	known = listing->no_uidl && seen_awaits(seen, now);
	if (known)
		return error_set(err, ERR_TEMP, "the server refuses UIDL, but has given UIDs before: "
		                 "nothing was fetched, for mail that is here might come again; if it never "
		                 "gives them again, remove the account's journal");
	if (listing->no_uidl)
		return error_set(err, ERR_UNAVAILABLE,
		                 "the server has no UIDL, so mail that is kept there would be fetched "
		                 "again each time; nothing was fetched; set keep = no");
	note(NOTE_WARN, "%lu messages have no UID on the server and stay there unfetched",
	     (unsigned long)nameless);
	return 0;
}

const char *plan_why_text(enum message_why why)
{
	static const char *const texts[] = {
		[WHY_NEW] = "new",
		[WHY_CHANGED] = "changed",
		[WHY_KEPT] = "kept",
		[WHY_EXPIRED] = "expired",
		[WHY_TOO_BIG] = "too big",
		[WHY_HEADER] = "too big, header is here",
		[WHY_LIMIT] = "over the limit",
		[WHY_FAILED] = "failed before",
		[WHY_NO_UID] = "no UID",
		[WHY_UNLISTED] = "not listed",
		[WHY_FILTER] = "filtered",
	};

	return texts[why];
}

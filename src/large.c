/* SPDX-License-Identifier: MIT */
/*
 * large.c - messages that stay on the server because they are larger than max_size.
 *
 * A small set beside the large one of what was delivered, and never a part of it: who is in there
 * may be deleted from the server, who is in here may not.  What is lost of it costs the user a
 * second note or a second header, and no mail.
 *
 * As with what was delivered, an entry that no listing has is kept for a while, for servers in
 * trouble list nothing and come back.  Nothing here touches a file; what happens is a record first
 * (memory.c).
 */
#include "config.h"

#include "large.h"

static struct seen_entry *find(struct large *large, struct wire_span uid, uint64_t octets,
                               size_t *num)
{
	if (large->set.live == 0 || !uidset_find(&large->set, uid, octets, num))
		return NULL;
	return uidset_at(&large->set, *num);
}

bool large_apply(struct large *large, const struct record *r)
{
	struct seen_entry *entry;
	size_t num;

	if (r->uid.len == 0 || r->num > LARGE_HEADER)
		return false;
	entry = find(large, r->uid, r->octets, &num);
	if (entry != NULL && (r->num == LARGE_NEW || entry->mark != r->since)) {
		uidset_forget(&large->set, num);
		entry = NULL;
	}
	if (r->num == LARGE_NEW)
		return true;
	if (entry == NULL) {
		entry = uidset_make(&large->set, r->uid, r->octets);
		entry->mark = r->since;
		uidset_add(&large->set, entry);
	}
	entry->since = r->num;
	entry->missing = r->missing;
	return true;
}

enum large_state large_state(struct large *large, struct wire_span uid, uint64_t octets)
{
	size_t num;
	const struct seen_entry *entry = find(large, uid, octets, &num);

	return entry != NULL ? (enum large_state)entry->since : LARGE_NEW;
}

void large_listing(struct large *large)
{
	uidset_take_begin(&large->set);
}

void large_listed(struct large *large, struct wire_span uid, uint64_t octets)
{
	if (large->set.live > 0)
		uidset_take(&large->set, uid, octets, true);
}

static struct record record_of(const struct seen_entry *entry)
{
	return (struct record){.tag = 'O', .uid = {entry->uid, entry->uid_len},
	                       .octets = entry->octets, .num = entry->since, .since = entry->mark,
	                       .missing = entry->missing};
}

bool large_missed(const struct large *large, size_t num, uint64_t now, uint64_t forget_after,
                  struct record *r)
{
	const struct seen_entry *entry = uidset_at(&large->set, num);

	if (entry == NULL)
		return false;
	*r = record_of(entry);
	if (entry->taken)
		r->missing = 0;
	else if (entry->missing == 0)
		r->missing = now > 0 ? now : 1;
	else if (now > entry->missing && now - entry->missing > forget_after)
		r->num = LARGE_NEW;
	return r->num != entry->since || r->missing != entry->missing;
}

bool large_recall(struct large *large, struct wire_span uid, uint64_t mark, struct record *r)
{
	const struct seen_entry *entry;
	size_t num;

	if (large->set.live == 0 || (entry = uidset_recall(&large->set, uid, mark, &num)) == NULL)
		return false;
	*r = record_of(entry);
	r->num = LARGE_NEW;
	return true;
}

void large_put(const struct large *large, struct journal *j)
{
	for (size_t num = 0; num < large->set.count; num++) {
		struct record r;

		if (uidset_at(&large->set, num) == NULL)
			continue;
		r = record_of(uidset_at(&large->set, num));
		journal_put(j, &r);
	}
}

void large_free(struct large *large)
{
	uidset_free(&large->set);
}

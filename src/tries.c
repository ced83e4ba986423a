/* SPDX-License-Identifier: MIT */
/*
 * tries.c - messages of the server that were tried and did not come home.
 *
 * Two small multisets beside the large one of what was delivered.  Nothing here touches a file;
 * what happens is a record first (memory.c).
 */
#include "config.h"

#include "tries.h"

static void forget(struct uidset *set, struct wire_span uid, uint64_t octets)
{
	size_t num;

	if (set->live > 0 && uidset_find(set, uid, octets, &num))
		uidset_forget(set, num);
}

bool tries_apply(struct tries *tries, const struct record *r)
{
	struct uidset *set = r->tag == 'T' ? &tries->given : &tries->failed;
	struct seen_entry *entry;

	if (r->uid.len == 0)
		return false;
	entry = uidset_make(set, r->uid, r->octets); /* before the old one goes: uid may be its own */
	forget(set, r->uid, r->octets);
	entry->since = r->since;
	entry->missing = r->num;
	if (r->num > 0)
		uidset_add(set, entry);
	return true;
}

void tries_forget(struct tries *tries, struct wire_span uid, uint64_t octets)
{
	forget(&tries->given, uid, octets);
	forget(&tries->failed, uid, octets);
}

/* NULL: there is none. */
static const struct seen_entry *find(struct uidset *set, struct wire_span uid, uint64_t octets)
{
	size_t num;

	return set->live > 0 && uidset_find(set, uid, octets, &num) ? uidset_at(set, num) : NULL;
}

uint64_t tries_given(struct tries *tries, struct wire_span uid, uint64_t octets)
{
	const struct seen_entry *entry = find(&tries->given, uid, octets);

	return entry != NULL ? entry->missing : 0;
}

uint64_t tries_failed(struct tries *tries, struct wire_span uid, uint64_t octets, uint64_t *since)
{
	const struct seen_entry *entry = find(&tries->failed, uid, octets);

	*since = entry != NULL ? entry->since : 0;
	return entry != NULL ? entry->missing : 0;
}

void tries_listing(struct tries *tries)
{
	uidset_take_begin(&tries->given);
	uidset_take_begin(&tries->failed);
}

void tries_listed(struct tries *tries, struct wire_span uid, uint64_t octets)
{
	if (tries->given.live > 0)
		uidset_take(&tries->given, uid, octets, true);
	if (tries->failed.live > 0)
		uidset_take(&tries->failed, uid, octets, true);
}

/* The entry of that number, the failed ones being counted on behind the others. */
static const struct seen_entry *at(const struct tries *tries, size_t num)
{
	size_t given = tries->given.count;

	return num < given ? uidset_at(&tries->given, num) : uidset_at(&tries->failed, num - given);
}

static struct record record_of(const struct tries *tries, size_t num,
                               const struct seen_entry *entry)
{
	return (struct record){.tag = num < tries->given.count ? 'T' : 'X',
	                       .uid = {entry->uid, entry->uid_len}, .octets = entry->octets};
}

bool tries_vanished(const struct tries *tries, size_t *num, struct record *r)
{
	for (; *num < tries->given.count + tries->failed.count; ++*num) {
		const struct seen_entry *entry = at(tries, *num);

		if (entry == NULL || entry->taken)
			continue;
		*r = record_of(tries, *num, entry);
		return true;
	}
	return false;
}

void tries_put(const struct tries *tries, struct journal *j)
{
	for (size_t num = 0; num < tries->given.count + tries->failed.count; num++) {
		const struct seen_entry *entry = at(tries, num);
		struct record r;

		if (entry == NULL)
			continue;
		r = record_of(tries, num, entry);
		r.num = entry->missing;
		r.since = entry->since;
		journal_put(j, &r);
	}
}

void tries_free(struct tries *tries)
{
	uidset_free(&tries->given);
	uidset_free(&tries->failed);
}

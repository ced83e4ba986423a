/* SPDX-License-Identifier: MIT */
/*
 * memory.c - what the records of a journal mean, taken together.
 *
 * A record is the only thing that changes it, whether it was just made or is read again, so what
 * is in memory is always what the next run will read.  The records are listed at the head of
 * record.c.
 *
 * Each run that delivers begins a block with P; its intents belong to the block until D or N
 * closes them.  A run that ends well closes the block with Z; without Z it is a past, which the
 * next run settles before it dials.
 */
#include "config.h"

#include "memory.h"

#include <string.h>

#define MAX_LOST 10000000u /* entries that a damaged journal may lack in a row */

static struct wire_span uid_of(const struct seen_entry *entry)
{
	return (struct wire_span){entry->uid, entry->uid_len};
}

/* True where an entry of this number is the next one.  While a damaged journal is read, the numbers
 * of those whose records are lost are used up. */
static bool is_next(struct memory *m, uint64_t num)
{
	if (m->salvage && num > m->set.count && num - m->set.count < MAX_LOST)
		while (num > m->set.count)
			uidset_add(&m->set, NULL);
	return num == m->set.count;
}

/* It is here, whole. */
static void forget_troubles(struct memory *m, const struct seen_entry *entry)
{
	tries_forget(&m->tries, uid_of(entry), entry->octets);
	large_apply(&m->large, &(struct record){.uid = uid_of(entry), .octets = entry->octets});
}

static bool size_up(struct memory *m, const struct record *r)
{
	if (r->num == LARGE_HEADER)
		tries_forget(&m->tries, r->uid, r->octets);
	return large_apply(&m->large, r);
}

/* A message without a UID takes a number but is not remembered. */
static bool deliver(struct memory *m, const struct record *r)
{
	struct seen_entry *entry;

	if (!is_next(m, r->num) || (entry = intents_close(&m->intents, r->token)) == NULL)
		return false;
	if (entry->part)
		return size_up(m, &(struct record){.uid = uid_of(entry), .octets = entry->octets,
		                                   .num = LARGE_HEADER, .since = entry->mark});
	entry->since = r->since;
	uidset_add(&m->set, entry->uid_len > 0 ? entry : NULL);
	forget_troubles(m, entry);
	return true;
}

static bool remember(struct memory *m, const struct record *r)
{
	struct seen_entry *entry;

	if (!is_next(m, r->num) || r->uid.len == 0)
		return false;
	entry = uidset_make(&m->set, r->uid, r->octets);
	entry->since = r->since;
	entry->missing = r->missing;
	uidset_add(&m->set, entry);
	forget_troubles(m, entry);
	return true;
}

static bool remember_refusal(struct memory_login *login, const struct record *r)
{
	if (r->token.len >= sizeof login->mark)
		return false;
	login->refused = r->num;
	login->refused_at = r->since;
	if (r->token.len > 0)
		memcpy(login->mark, r->token.p, r->token.len);
	login->mark[r->token.len] = '\0';
	return true;
}

bool memory_apply(struct memory *m, const struct record *r)
{
	struct seen_entry *entry = uidset_at(&m->set, r->num);

	switch (r->tag) {
	case 'P':
		intents_begin(&m->intents, r);
		return true;
	case 'I':
	case 'J':
		return intents_add(&m->intents, &m->set, r);
	case 'G':
		return intents_mark(&m->intents, r);
	case 'D':
		return deliver(m, r);
	case 'N':
		return intents_close(&m->intents, r->token) != NULL;
	case 'S':
		return remember(m, r);
	case 'M':
		if (entry != NULL)
			entry->missing = r->missing;
		return entry != NULL;
	case 'F':
		uidset_forget(&m->set, r->num);
		return entry != NULL;
	case 'B':
		m->broke = r->num;
		m->broke_at = r->since;
		return true;
	case 'A':
		return remember_refusal(&m->login, r);
	case 'L':
		m->login.pause = r->num;
		m->login.last = r->since;
		return true;
	case 'T':
	case 'X':
		return tries_apply(&m->tries, r);
	case 'O':
		return size_up(m, r);
	case 'H':
		if (entry != NULL)
			entry->mark = r->octets;
		return entry != NULL;
	case 'Z':
		intents_drop(&m->intents, m->intents.count);
		return true;
	default:
		return false;
	}
}

/* What is known beside entries and intents. */
static void put_experience(const struct memory *m, struct journal *j)
{
	const struct memory_login *login = &m->login;

	if (m->broke > 0)
		journal_put(j, &(struct record){.tag = 'B', .num = m->broke, .since = m->broke_at});
	if (login->refused > 0)
		journal_put(j, &(struct record){.tag = 'A', .num = login->refused,
		                                .since = login->refused_at,
		                                .token = {login->mark, strlen(login->mark)}});
	if (login->pause > 0)
		journal_put(j, &(struct record){.tag = 'L', .num = login->pause, .since = login->last});
}

static void put_entry(const struct seen_entry *entry, uint64_t num, struct journal *j)
{
	journal_put(j, &(struct record){.tag = 'S', .num = num, .uid = uid_of(entry),
	                                .octets = entry->octets, .since = entry->since,
	                                .missing = entry->missing});
	if (entry->mark != 0)
		journal_put(j, &(struct record){.tag = 'H', .num = num, .octets = entry->mark});
}

void memory_put(const struct memory *m, struct journal *j)
{
	uint64_t next = 0;

	for (size_t num = 0; num < m->set.count; num++)
		if (uidset_at(&m->set, num) != NULL)
			put_entry(uidset_at(&m->set, num), next++, j);
	put_experience(m, j);
	large_put(&m->large, j); /* first: a header that was delivered ends what was tried before it */
	tries_put(&m->tries, j);
	intents_put(&m->intents, j);
}

void memory_free(struct memory *m)
{
	intents_free(&m->intents);
	uidset_free(&m->set);
	tries_free(&m->tries);
	large_free(&m->large);
}

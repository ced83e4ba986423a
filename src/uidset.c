/* SPDX-License-Identifier: MIT */
/*
 * uidset.c - a multiset of delivered UIDs in memory, and how a listing is matched with it.
 *
 * Entries are found by three hash tables of lists that share the slots' links.  A taken entry
 * moves from one list to another, and what does not belong in a list any more is unlinked
 * by the next walk that meets it; so no walk passes over the same thing twice, and a hundred
 * thousand entries of one UID cost no more than as many different ones.
 *
 * The tables are built when somebody asks for the first time, for replaying a journal goes by
 * numbers and needs none.  Nothing here fails; without memory the process ends (base.h).
 *
 * Called by memory.c, intents.c, tries.c and seen.c.
 */
#include "config.h"

#include "uidset.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE 65536
#define MIN_BUCKETS 64

/* Entries are never given back one by one, so they need no allocator's overhead. */
struct uidset_chunk {
	struct uidset_chunk *next;
	size_t used;
	_Alignas(struct seen_entry) char bytes[CHUNK_SIZE];
};

enum table {
	FREE,  /* by UID and size: not taken */
	TAKEN, /* by UID and size */
	LOOSE, /* by UID alone: not taken */
	TEXTS, /* by UID and mark */
	TABLES
};

/* An entry by its number.  The links are numbers plus 1; 0 ends a list. */
struct uidset_slot {
	struct seen_entry *entry; /* NULL: forgotten */
	uint32_t next[3];         /* in FREE or TAKEN; in LOOSE; in TEXTS */
};

static size_t link_of(enum table table)
{
	return table == TEXTS ? 2 : table == LOOSE;
}

/* -- entries ------------------------------------------------------------------------------ */

struct seen_entry *uidset_make(struct uidset *set, struct wire_span uid, uint64_t octets)
{
	size_t align = _Alignof(struct seen_entry);
	size_t size = (sizeof(struct seen_entry) + uid.len + align - 1) / align * align;
	struct uidset_chunk *chunk = set->chunks;
	struct seen_entry *entry;

	if (chunk == NULL || CHUNK_SIZE - chunk->used < size) {
		chunk = xmalloc(sizeof *chunk);
		chunk->next = set->chunks;
		chunk->used = 0;
		set->chunks = chunk;
	}
	entry = (struct seen_entry *)(void *)(chunk->bytes + chunk->used);
	chunk->used += size;
	*entry = (struct seen_entry){.octets = octets, .uid_len = (uint16_t)uid.len};
	if (uid.len > 0)
		memcpy(entry->uid, uid.p, uid.len);
	return entry;
}

struct seen_entry *uidset_at(const struct uidset *set, uint64_t num)
{
	return num < set->count ? set->slots[num].entry : NULL;
}

static bool is_entry(const struct seen_entry *entry, struct wire_span uid)
{
	return entry->uid_len == uid.len && memcmp(entry->uid, uid.p, uid.len) == 0;
}

static struct wire_span uid_of(const struct seen_entry *entry)
{
	return (struct wire_span){entry->uid, entry->uid_len};
}

/* -- tables ------------------------------------------------------------------------------- */

static uint64_t rotate(uint64_t v, int bits)
{
	return v << bits | v >> (64 - bits);
}

static void mix(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	v[0] += v[1], v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0], v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1], v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2], v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
	v[0] ^= word;
}

/* The rounds of SipHash under a key nobody knows: some servers take the UID from a header of the
 * mail, and who chooses UIDs must not be able to choose buckets. */
static uint64_t hash(const struct uidset *set, struct wire_span uid, uint64_t octets)
{
	uint64_t v[4], word;

	memcpy(v, set->key, sizeof v);
	mix(v, octets);
	mix(v, uid.len);
	for (; uid.len >= sizeof word; uid.p += sizeof word, uid.len -= sizeof word) {
		memcpy(&word, uid.p, sizeof word);
		mix(v, word);
	}
	word = 0;
	memcpy(&word, uid.p, uid.len);
	mix(v, word);
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		mix(v, 0);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* number: octets, or for TEXTS the mark. */
static uint32_t *bucket(const struct uidset *set, enum table table, struct wire_span uid,
                        uint64_t number)
{
	uint64_t h = hash(set, uid, table == LOOSE ? 0 : number);

	return &set->heads[(size_t)table * set->buckets + (h & (set->buckets - 1))];
}

static void push(struct uidset *set, enum table table, size_t num)
{
	struct uidset_slot *slot = &set->slots[num];
	const struct seen_entry *entry = slot->entry;
	uint32_t *head = bucket(set, table, uid_of(entry),
	                        table == TEXTS ? entry->mark : entry->octets);

	slot->next[link_of(table)] = *head;
	*head = (uint32_t)num + 1;
}

static void drop_tables(struct uidset *set)
{
	free(set->heads);
	set->heads = NULL;
}

/* Builds the tables if they are missing: more buckets than entries, at most twice as many. */
static void need_tables(struct uidset *set)
{
	char random[2 * 16 + 1]; /* 16 random bytes as digits, which fill the key */

	if (set->heads != NULL)
		return;
	random_hex(random, 16);
	memcpy(set->key, random, sizeof set->key);
	for (set->buckets = MIN_BUCKETS; set->buckets <= set->live;)
		set->buckets *= 2;
	set->heads = xcalloc(TABLES * set->buckets, sizeof *set->heads);
	for (size_t num = set->count; num-- > 0;) { /* so of several alike the oldest is found first */
		const struct seen_entry *entry = set->slots[num].entry;

		if (entry == NULL)
			continue;
		push(set, entry->taken ? TAKEN : FREE, num);
		if (!entry->taken)
			push(set, LOOSE, num);
		if (entry->mark != 0)
			push(set, TEXTS, num);
	}
}

/* The link to the first entry with that key; NULL: none. */
static uint32_t *find(struct uidset *set, enum table table, struct wire_span uid, uint64_t octets)
{
	uint32_t *link = bucket(set, table, uid, octets);

	while (*link > 0) {
		struct uidset_slot *slot = &set->slots[*link - 1];
		const struct seen_entry *entry = slot->entry;
		uint32_t *next = &slot->next[link_of(table)];

		if (entry == NULL || entry->outdated || entry->taken != (table == TAKEN))
			*link = *next;
		else if (is_entry(entry, uid) && (table == LOOSE || entry->octets == octets))
			return link;
		else
			link = next;
	}
	return NULL;
}

/* -- the set ------------------------------------------------------------------------------ */

void uidset_add(struct uidset *set, struct seen_entry *entry)
{
	if (set->count == set->cap) {
		set->cap = set->cap > 0 ? 2 * set->cap : MIN_BUCKETS;
		set->slots = xrealloc(set->slots, set->cap * sizeof *set->slots);
	}
	set->slots[set->count++] = (struct uidset_slot){.entry = entry};
	if (entry == NULL)
		return;
	entry->taken = true;
	set->live++;
	if (set->heads != NULL && set->live > set->buckets)
		drop_tables(set);
	else if (set->heads != NULL)
		push(set, TAKEN, set->count - 1);
}

void uidset_forget(struct uidset *set, size_t num)
{
	struct seen_entry *entry = uidset_at(set, num);

	if (entry == NULL)
		return;
	set->slots[num].entry = NULL;
	set->live--;
}

void uidset_renumber(struct uidset *set)
{
	size_t n = 0;

	for (size_t num = 0; num < set->count; num++)
		if (set->slots[num].entry != NULL)
			set->slots[n++].entry = set->slots[num].entry;
	set->count = n;
	drop_tables(set);
}

void uidset_take_begin(struct uidset *set)
{
	for (size_t num = 0; num < set->count; num++) {
		struct seen_entry *entry = set->slots[num].entry;

		if (entry != NULL)
			entry->taken = entry->contested = entry->doubt = entry->outdated = false;
	}
	drop_tables(set);
}

/* Those that are taken all learn it at once, or know it; but for the outdated, which plan doubts
 * one by one. */
static void tell_taken(struct uidset *set, struct wire_span uid, uint64_t octets, bool doubt)
{
	const uint32_t *link;

	need_tables(set);
	link = find(set, TAKEN, uid, octets);
	while (link != NULL && *link > 0) {
		const struct uidset_slot *slot = &set->slots[*link - 1];
		struct seen_entry *entry = slot->entry;

		if (entry != NULL && entry->octets == octets && is_entry(entry, uid)) {
			bool *told = doubt ? &entry->doubt : &entry->contested;

			if (*told && !entry->outdated)
				return;
			*told = true;
		}
		link = &slot->next[link_of(TAKEN)];
	}
}

void uidset_contest(struct uidset *set, struct wire_span uid, uint64_t octets)
{
	tell_taken(set, uid, octets, false);
}

void uidset_doubt(struct uidset *set, struct wire_span uid, uint64_t octets)
{
	tell_taken(set, uid, octets, true);
}

struct seen_entry *uidset_take(struct uidset *set, struct wire_span uid, uint64_t octets,
                               bool exact)
{
	uint32_t *link;
	size_t num;

	if (uid.len == 0)
		return NULL;
	need_tables(set);
	if (!exact) {
		link = find(set, LOOSE, uid, 0);
		if (link == NULL)
			return NULL;
		octets = set->slots[*link - 1].entry->octets;
	}
	link = find(set, FREE, uid, octets);
	if (link == NULL) {
		uidset_contest(set, uid, octets); /* and no entry was left */
		return NULL;
	}
	num = set->given = *link - 1;
	*link = set->slots[num].next[link_of(FREE)];
	set->slots[num].entry->taken = true;
	push(set, TAKEN, num);
	return set->slots[num].entry;
}

size_t uidset_marked(const struct uidset *set)
{
	size_t n = 0;

	for (size_t num = 0; num < set->count; num++)
		n += set->slots[num].entry != NULL && set->slots[num].entry->mark != 0;
	return n;
}

bool uidset_lacks(const struct uidset *set, uint64_t since)
{
	for (size_t num = 0; num < set->count; num++) {
		const struct seen_entry *entry = set->slots[num].entry;

		if (entry != NULL && !entry->taken && entry->missing == 0 && entry->since >= since)
			return true;
	}
	return false;
}

const struct seen_entry *uidset_recall(struct uidset *set, struct wire_span uid, uint64_t mark,
                                       size_t *num)
{
	uint32_t *link;

	if (uid.len == 0 || mark == 0)
		return NULL;
	need_tables(set);
	for (link = bucket(set, TEXTS, uid, mark); *link > 0;) {
		struct uidset_slot *slot = &set->slots[*num = *link - 1];
		const struct seen_entry *entry = slot->entry;
		uint32_t *next = &slot->next[link_of(TEXTS)];

		if (entry == NULL || (entry->taken && !entry->doubt))
			*link = *next;
		else if (entry->mark == mark && is_entry(entry, uid))
			return entry;
		else
			link = next;
	}
	return NULL;
}

bool uidset_find(struct uidset *set, struct wire_span uid, uint64_t octets, size_t *num)
{
	const uint32_t *link;

	if (uid.len == 0)
		return false;
	need_tables(set);
	link = find(set, TAKEN, uid, octets);
	if (link == NULL)
		link = find(set, FREE, uid, octets);
	if (link != NULL)
		*num = *link - 1;
	return link != NULL;
}

void uidset_free(struct uidset *set)
{
	for (struct uidset_chunk *chunk = set->chunks, *next; chunk != NULL; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	free(set->slots);
	drop_tables(set);
	*set = (struct uidset){0};
}

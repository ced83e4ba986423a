/* SPDX-License-Identifier: MIT */
/*
 * seen.c - what the journal of one account means: UIDs that were delivered, and deliveries that
 * were under way.
 *
 * Whatever happens is made a record first, and the record goes both ways: into the file
 * (journal.c) and, through apply, to memory.  A replay uses the same apply, so what is in memory
 * is always what the next run will read.  The records are listed at the head of record.c.
 *
 * Each run that delivers begins a block with P; its intents belong to the block until D or N
 * closes them.  A run that ends well closes the block with Z; without Z it is a past, which the
 * next run settles before it dials.
 *
 * Every function that writes fails for good once the file failed (journal.h): nothing may be
 * published or deleted after that, and what was not recorded is still on the server.
 */
#include "config.h"

#include "seen.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "journal.h"

#define FORGET_AFTER (30u * 24 * 60 * 60) /* s that an entry may be missing */

/* Room for this many intents is made at first: a group's. */
#define FIRST_INTENTS 64

/* What spool_past does not show: its room, and the entries that its intents become. */
struct block {
	struct seen_entry **entries;
	size_t cap;
};

struct seen {
	int lock;                 /* -1: not held */
	struct journal journal;
	struct uidset set;
	struct spool_past *pasts; /* the earlier runs', then ours if it has begun */
	struct block *blocks;     /* beside pasts */
	size_t npasts;
	size_t nold;              /* how many of them are earlier runs' */
	bool listed;              /* plan may have outdated entries since seen_take_begin */
};

static struct wire_span span(const char *text)
{
	return (struct wire_span){text, strlen(text)};
}

static char *text_of(struct wire_span span)
{
	return xmemdup0(span.p, span.len);
}

/* -- deliveries under way ----------------------------------------------------------------- */

static void add_block(struct seen *seen, const struct record *r)
{
	size_t n = seen->npasts++;

	seen->pasts = xrealloc(seen->pasts, (n + 1) * sizeof *seen->pasts);
	seen->blocks = xrealloc(seen->blocks, (n + 1) * sizeof *seen->blocks);
	seen->blocks[n] = (struct block){0};
	seen->pasts[n] = (struct spool_past){
		.kind = text_of(r->kind),
		.path = text_of(r->path),
		.run = text_of(r->run),
	};
}

static void free_block(struct spool_past *past, struct block *block)
{
	for (size_t i = 0; i < past->count; i++)
		free((char *)past->intents[i].place);
	free(past->intents);
	free((char *)past->kind);
	free((char *)past->path);
	free((char *)past->run);
	free(block->entries);
}

/* Takes the first n away. */
static void drop_blocks(struct seen *seen, size_t n)
{
	for (size_t b = 0; b < n; b++)
		free_block(&seen->pasts[b], &seen->blocks[b]);
	for (size_t b = n; b < seen->npasts; b++) {
		seen->pasts[b - n] = seen->pasts[b];
		seen->blocks[b - n] = seen->blocks[b];
	}
	seen->npasts -= n;
	seen->nold -= n < seen->nold ? n : seen->nold;
}

/* Adds an intent to the last block. */
static bool add_intent(struct seen *seen, const struct record *r)
{
	size_t last = seen->npasts - 1;
	struct spool_past *past;
	struct block *block;
	struct spool_intent *intent;

	if (seen->npasts == 0 || r->token.len != SPOOL_TOKEN)
		return false;
	past = &seen->pasts[last];
	block = &seen->blocks[last];
	if (past->count == block->cap) {
		block->cap = block->cap > 0 ? 2 * block->cap : FIRST_INTENTS;
		past->intents = xrealloc(past->intents, block->cap * sizeof *past->intents);
		block->entries = xrealloc(block->entries, block->cap * sizeof *block->entries);
	}
	block->entries[past->count] = uidset_make(&seen->set, r->uid, r->octets);
	intent = &past->intents[past->count++];
	intent->place = text_of(r->place);
	intent->fate = SPOOL_UNSURE;
	memcpy(intent->token, r->token.p, SPOOL_TOKEN);
	intent->token[SPOOL_TOKEN] = '\0';
	return true;
}

/* Finds an open intent: newest block first, oldest intent first, for so they are settled. */
static bool find_intent(const struct seen *seen, struct wire_span token, size_t *b, size_t *i)
{
	if (token.len != SPOOL_TOKEN)
		return false;
	for (*b = seen->npasts; (*b)-- > 0;)
		for (*i = 0; *i < seen->pasts[*b].count; ++*i)
			if (memcmp(seen->pasts[*b].intents[*i].token, token.p, SPOOL_TOKEN) == 0)
				return true;
	return false;
}

/* Closes an intent.  Returns the entry it stood for, NULL where there is no such intent. */
static struct seen_entry *close_intent(struct seen *seen, struct wire_span token)
{
	struct seen_entry *entry, **entries;
	struct spool_past *past;
	size_t b, i, behind;

	if (!find_intent(seen, token, &b, &i))
		return NULL;
	past = &seen->pasts[b];
	entries = seen->blocks[b].entries;
	entry = entries[i];
	free((char *)past->intents[i].place);
	behind = --past->count - i;
	memmove(past->intents + i, past->intents + i + 1, behind * sizeof *past->intents);
	memmove(entries + i, entries + i + 1, behind * sizeof *entries);
	return entry;
}

/* -- what a record does ------------------------------------------------------------------- */

/* A message without a UID takes a number but is not remembered. */
static bool deliver(struct seen *seen, const struct record *r)
{
	struct seen_entry *entry;

	if (r->num != seen->set.count || (entry = close_intent(seen, r->token)) == NULL)
		return false;
	entry->since = r->since;
	uidset_add(&seen->set, entry->uid_len > 0 ? entry : NULL);
	return true;
}

static bool remember(struct seen *seen, const struct record *r)
{
	struct seen_entry *entry;

	if (r->num != seen->set.count || r->uid.len == 0)
		return false;
	entry = uidset_make(&seen->set, r->uid, r->octets);
	entry->since = r->since;
	entry->missing = r->missing;
	uidset_add(&seen->set, entry);
	return true;
}

/* Takes a record to memory.  Returns false where it makes no sense there. */
static bool apply(struct seen *seen, const struct record *r)
{
	struct seen_entry *entry = uidset_at(&seen->set, r->num);

	switch (r->tag) {
	case 'P':
		add_block(seen, r);
		return true;
	case 'I':
		return add_intent(seen, r);
	case 'D':
		return deliver(seen, r);
	case 'N':
		return close_intent(seen, r->token) != NULL;
	case 'S':
		return remember(seen, r);
	case 'M':
		if (entry != NULL)
			entry->missing = r->missing;
		return entry != NULL;
	case 'F':
		uidset_forget(&seen->set, r->num);
		return entry != NULL;
	case 'Z':
		drop_blocks(seen, seen->npasts);
		return true;
	default:
		return false;
	}
}

/* The one way by which anything happens. */
static void happen(struct seen *seen, struct record r)
{
	struct error *dead = &seen->journal.dead;

	journal_put(&seen->journal, &r);
	if (dead->kind == ERR_NONE && !apply(seen, &r))
		error_set(dead, ERR_BUG, "%s: a record %c makes no sense", seen->journal.path, r.tag);
}

static bool is_dead(const struct seen *seen)
{
	return seen->journal.dead.kind != ERR_NONE;
}

/* The answer of functions that need no barrier: nothing is synced. */
static int unsynced(const struct seen *seen, struct error *err)
{
	if (is_dead(seen))
		*err = seen->journal.dead;
	return is_dead(seen) ? -1 : 0;
}

/* -- the snapshot ------------------------------------------------------------------------- */

static void put_block(struct journal *j, const struct spool_past *past, const struct block *block)
{
	journal_put(j, &(struct record){.tag = 'P', .kind = span(past->kind), .run = span(past->run),
	                                .path = span(past->path)});
	for (size_t i = 0; i < past->count; i++) {
		const struct spool_intent *intent = &past->intents[i];
		const struct seen_entry *entry = block->entries[i];

		journal_put(j, &(struct record){.tag = 'I', .token = span(intent->token),
		                                .uid = {entry->uid, entry->uid_len},
		                                .octets = entry->octets, .place = span(intent->place)});
	}
}

/* Writes the journal anew: what is known now, without how it came about. */
static int rewrite(struct seen *seen, struct error *err)
{
	struct journal *j = &seen->journal;
	uint64_t next = 0;

	if (journal_replace_begin(j, err) == -1)
		return -1;
	for (size_t num = 0; num < seen->set.count; num++) {
		const struct seen_entry *entry = uidset_at(&seen->set, num);

		if (entry != NULL)
			journal_put(j, &(struct record){.tag = 'S', .num = next++,
			                                .uid = {entry->uid, entry->uid_len},
			                                .octets = entry->octets, .since = entry->since,
			                                .missing = entry->missing});
	}
	for (size_t b = 0; b < seen->npasts; b++)
		put_block(j, &seen->pasts[b], &seen->blocks[b]);
	if (journal_replace_end(j, err) == -1)
		return -1;
	uidset_renumber(&seen->set);
	return 0;
}

/* -- opening and closing ------------------------------------------------------------------ */

static int take_lock(struct seen *seen, const char *dir, struct error *err)
{
	struct str path = {.max = strlen(dir) + sizeof "/lock"};

	if (file_mkdirs(dir, err) == -1)
		return -1;
	str_printf(&path, "%s/lock", dir);
	seen->lock = file_lock(path.s, err);
	str_free(&path);
	return seen->lock == -1 ? -1 : 0;
}

static int replay(struct seen *seen, const char *dir, struct error *err)
{
	struct record record;
	int rc;

	if (journal_open(&seen->journal, dir, err) == -1)
		return -1;
	while ((rc = journal_read(&seen->journal, &record, err)) == 1)
		if (!apply(seen, &record))
			return journal_nonsense(&seen->journal, err);
	seen->nold = seen->npasts;
	return rc;
}

int seen_open(struct seen **out, const char *dir, struct error *err)
{
	struct seen *seen = xcalloc(1, sizeof *seen);

	seen->lock = -1;
	*out = seen;
	if (take_lock(seen, dir, err) == 0 && replay(seen, dir, err) == 0)
		return 0;
	seen_close(out, false);
	return -1;
}

static bool is_settled(const struct seen *seen)
{
	for (size_t b = 0; b < seen->npasts; b++)
		if (seen->pasts[b].count > 0)
			return false;
	return seen->nold == 0;
}

void seen_close(struct seen **out, bool clean)
{
	struct seen *seen = *out;

	*out = NULL;
	if (seen == NULL)
		return;
	if (clean && seen->npasts > 0 && is_settled(seen))
		happen(seen, (struct record){.tag = 'Z'});
	journal_close(&seen->journal);
	drop_blocks(seen, seen->npasts);
	free(seen->pasts);
	free(seen->blocks);
	uidset_free(&seen->set);
	if (seen->lock >= 0)
		close(seen->lock);
	free(seen);
}

/* -- deliveries --------------------------------------------------------------------------- */

size_t seen_pasts(struct seen *seen, struct spool_past **past)
{
	*past = seen->pasts;
	return seen->nold;
}

static void record_safe(struct seen *seen, const char *token, uint64_t now)
{
	happen(seen, (struct record){.tag = 'D', .token = span(token), .since = now,
	                             .num = seen->set.count});
}

static void record_void(struct seen *seen, const char *token)
{
	happen(seen, (struct record){.tag = 'N', .token = span(token)});
}

/* Returns how many stay undecided.  Each that is decided leaves the list. */
static size_t settle_past(struct seen *seen, const struct spool_past *past, uint64_t now)
{
	size_t open = 0;

	while (open < past->count && !is_dead(seen)) {
		const struct spool_intent *intent = &past->intents[open];

		if (intent->fate == SPOOL_SAFE)
			record_safe(seen, intent->token, now);
		else if (intent->fate == SPOOL_VOID)
			record_void(seen, intent->token);
		else
			open++;
	}
	return open;
}

int seen_settle_pasts(struct seen *seen, struct error *err)
{
	uint64_t now = (uint64_t)time(NULL);
	size_t open = 0;

	for (size_t b = 0; b < seen->nold; b++)
		open += settle_past(seen, &seen->pasts[b], now);
	if (open == 0 && seen->nold > 0 && seen->nold == seen->npasts)
		happen(seen, (struct record){.tag = 'Z'});
	else if (open == 0)
		drop_blocks(seen, seen->nold); /* ours has begun: its Z will stand for these too */
	return journal_sync(&seen->journal, err);
}

int seen_begin(struct seen *seen, const char *kind, const char *path, const char *run,
               struct error *err)
{
	happen(seen, (struct record){.tag = 'P', .kind = span(kind), .run = span(run),
	                             .path = span(path)});
	return journal_write(&seen->journal, err);
}

/* Forgets what plan has outdated, and before any delivery is recorded: else the new entry and the
 * old one together would look as if two messages of that UID were known. */
static void forget_outdated(struct seen *seen)
{
	if (!seen->listed)
		return;
	seen->listed = false;
	for (size_t num = 0; num < seen->set.count; num++) {
		const struct seen_entry *entry = uidset_at(&seen->set, num);

		if (entry != NULL && entry->outdated)
			happen(seen, (struct record){.tag = 'F', .num = num});
	}
}

int seen_intend(struct seen *seen, const struct spool *spools, size_t n, struct error *err)
{
	forget_outdated(seen);
	for (size_t i = 0; i < n; i++)
		happen(seen, (struct record){.tag = 'I', .token = span(spools[i].token),
		                             .uid = spools[i].uid, .octets = spools[i].octets,
		                             .place = span(spools[i].place)});
	return journal_sync(&seen->journal, err);
}

int seen_settle(struct seen *seen, const struct spool *spools, size_t n, uint64_t now,
                struct error *err)
{
	size_t b, j;

	forget_outdated(seen);
	for (size_t i = 0; i < n; i++) {
		const struct spool *spool = &spools[i];
		bool intended = find_intent(seen, span(spool->token), &b, &j);

		if (spool->fate == SPOOL_SAFE && intended)
			record_safe(seen, spool->token, now);
		else if (spool->fate == SPOOL_SAFE && spool->uid.len > 0)
			happen(seen, (struct record){.tag = 'S', .num = seen->set.count,
			                             .uid = spool->uid, .octets = spool->octets,
			                             .since = now});
		else if (spool->fate == SPOOL_VOID && intended)
			record_void(seen, spool->token);
	}
	return journal_sync(&seen->journal, err);
}

/* -- listings ----------------------------------------------------------------------------- */

void seen_take_begin(struct seen *seen)
{
	uidset_take_begin(&seen->set);
	seen->listed = true;
}

struct seen_entry *seen_take(struct seen *seen, struct wire_span uid, uint64_t octets, bool exact)
{
	return uidset_take(&seen->set, uid, octets, exact);
}

int seen_gone(struct seen *seen, struct wire_span uid, uint64_t octets, struct error *err)
{
	size_t num;

	if (uidset_find(&seen->set, uid, octets, &num))
		happen(seen, (struct record){.tag = 'F', .num = num});
	return unsynced(seen, err);
}

/* What is to be noted of an entry after a whole listing. */
static void miss(struct seen *seen, size_t num, uint64_t now)
{
	const struct seen_entry *entry = uidset_at(&seen->set, num);

	if (entry == NULL || (entry->taken && entry->missing == 0))
		return;
	if (entry->taken)
		happen(seen, (struct record){.tag = 'M', .num = num, .missing = 0});
	else if (entry->missing == 0)
		happen(seen, (struct record){.tag = 'M', .num = num, .missing = now > 0 ? now : 1});
	else if (now > entry->missing && now - entry->missing > FORGET_AFTER)
		happen(seen, (struct record){.tag = 'F', .num = num});
}

int seen_missing(struct seen *seen, uint64_t now, struct error *err)
{
	forget_outdated(seen);
	for (size_t num = 0; num < seen->set.count; num++)
		miss(seen, num, now);
	return unsynced(seen, err);
}

/* True where most of the file is history.  To write it anew costs what the live entries cost, so
 * it must have been earned by as many changes. */
static bool is_stale(const struct seen *seen)
{
	return seen->journal.records - seen->set.live > seen->set.live / 2 + 1000;
}

int seen_flush(struct seen *seen, struct error *err)
{
	struct error late;

	if (journal_sync(&seen->journal, err) == -1)
		return -1;
	if (is_stale(seen) && rewrite(seen, &late) == -1 && !is_dead(seen))
		note(NOTE_WARN, "the journal cannot be written anew and goes on growing: %s", late.text);
	return unsynced(seen, err);
}

size_t seen_count(const struct seen *seen)
{
	return seen->set.live;
}

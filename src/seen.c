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
#include "intents.h"
#include "journal.h"
#include "tries.h"

#define FORGET_AFTER (30u * 24 * 60 * 60) /* s that an entry may be missing */
#define DISTRUST_FOR FORGET_AFTER         /* s after which pipelining is tried again */
#define MAX_LOST 10000000u                /* entries that a damaged journal may lack in a row */
#define DISTRUST_AT 2                     /* once may have been the network */

struct seen {
	int lock;                 /* -1: not held */
	struct journal journal;
	struct uidset set;
	struct tries tries;       /* messages that would not come */
	uint64_t broke, broke_at; /* pipelining: times in a row, and when */
	struct seen_login login;
	struct intents intents;
	bool listed;              /* plan may have outdated entries since seen_take_begin */
};

static struct wire_span span(const char *text)
{
	return (struct wire_span){text, strlen(text)};
}

static struct wire_span uid_of(const struct seen_entry *entry)
{
	return (struct wire_span){entry->uid, entry->uid_len};
}

/* -- what a record does ------------------------------------------------------------------- */

/* True where an entry of this number is the next one.  While a damaged journal is read, the numbers
 * of those whose records are lost are used up. */
static bool is_next(struct seen *seen, uint64_t num)
{
	if (seen->journal.salvage && num > seen->set.count && num - seen->set.count < MAX_LOST)
		while (num > seen->set.count)
			uidset_add(&seen->set, NULL);
	return num == seen->set.count;
}

/* A message without a UID takes a number but is not remembered. */
static bool deliver(struct seen *seen, const struct record *r)
{
	struct seen_entry *entry;

	if (!is_next(seen, r->num) || (entry = intents_close(&seen->intents, r->token)) == NULL)
		return false;
	entry->since = r->since;
	uidset_add(&seen->set, entry->uid_len > 0 ? entry : NULL);
	tries_forget(&seen->tries, uid_of(entry), entry->octets);
	return true;
}

static bool remember(struct seen *seen, const struct record *r)
{
	struct seen_entry *entry;

	if (!is_next(seen, r->num) || r->uid.len == 0)
		return false;
	entry = uidset_make(&seen->set, r->uid, r->octets);
	entry->since = r->since;
	entry->missing = r->missing;
	uidset_add(&seen->set, entry);
	tries_forget(&seen->tries, r->uid, r->octets);
	return true;
}

static bool remember_refusal(struct seen_login *login, const struct record *r)
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

/* Takes a record to memory.  Returns false where it makes no sense there. */
static bool apply(struct seen *seen, const struct record *r)
{
	struct seen_entry *entry = uidset_at(&seen->set, r->num);

	switch (r->tag) {
	case 'P':
		intents_begin(&seen->intents, r);
		return true;
	case 'I':
		return intents_add(&seen->intents, &seen->set, r);
	case 'D':
		return deliver(seen, r);
	case 'N':
		return intents_close(&seen->intents, r->token) != NULL;
	case 'S':
		return remember(seen, r);
	case 'M':
		if (entry != NULL)
			entry->missing = r->missing;
		return entry != NULL;
	case 'F':
		uidset_forget(&seen->set, r->num);
		return entry != NULL;
	case 'B':
		seen->broke = r->num;
		seen->broke_at = r->since;
		return true;
	case 'A':
		return remember_refusal(&seen->login, r);
	case 'L':
		seen->login.pause = r->num;
		seen->login.last = r->since;
		return true;
	case 'T':
	case 'X':
		return tries_apply(&seen->tries, r);
	case 'H':
		if (entry != NULL)
			entry->mark = r->octets;
		return entry != NULL;
	case 'Z':
		intents_drop(&seen->intents, seen->intents.count);
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

/* What is known beside entries and intents. */
static void put_rest(struct seen *seen)
{
	struct journal *j = &seen->journal;

	if (seen->broke > 0)
		journal_put(j, &(struct record){.tag = 'B', .num = seen->broke, .since = seen->broke_at});
	if (seen->login.refused > 0)
		journal_put(j, &(struct record){.tag = 'A', .num = seen->login.refused,
		                                .since = seen->login.refused_at,
		                                .token = span(seen->login.mark)});
	if (seen->login.pause > 0)
		journal_put(j, &(struct record){.tag = 'L', .num = seen->login.pause,
		                                .since = seen->login.last});
	tries_put(&seen->tries, j);
	intents_put(&seen->intents, j);
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

		if (entry == NULL)
			continue;
		journal_put(j, &(struct record){.tag = 'S', .num = next,
		                                .uid = uid_of(entry),
		                                .octets = entry->octets, .since = entry->since,
		                                .missing = entry->missing});
		if (entry->mark != 0)
			journal_put(j, &(struct record){.tag = 'H', .num = next, .octets = entry->mark});
		next++;
	}
	put_rest(seen);
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
		if (!apply(seen, &record) && !seen->journal.salvage)
			return journal_nonsense(&seen->journal, err);
	seen->intents.old = seen->intents.count;
	return rc;
}

/* Reads what can be read, keeps the damaged file beside, and goes on with a new one. */
static int rebuild_from(struct seen *seen, const char *dir, const struct error *why,
                        struct error *err)
{
	note(NOTE_WARN, "%s; it is made anew from what can be read", why->text);
	intents_free(&seen->intents);
	uidset_free(&seen->set);
	tries_free(&seen->tries);
	journal_close(&seen->journal);
	seen->journal = (struct journal){.salvage = true};
	if (replay(seen, dir, err) == -1 || journal_keep_damaged(&seen->journal, err) == -1)
		return -1;
	seen->journal.salvage = false;
	return rewrite(seen, err);
}

int seen_open(struct seen **out, const char *dir, bool rebuild, struct error *err)
{
	struct seen *seen = xcalloc(1, sizeof *seen);
	struct error why;

	seen->lock = -1;
	*out = seen;
	if (take_lock(seen, dir, err) == 0) {
		if (replay(seen, dir, err) == 0)
			return 0;
		why = *err;
		if (rebuild && seen->journal.damaged && rebuild_from(seen, dir, &why, err) == 0)
			return 0;
	}
	seen_close(out, false);
	return -1;
}

void seen_close(struct seen **out, bool clean)
{
	struct seen *seen = *out;

	*out = NULL;
	if (seen == NULL)
		return;
	if (clean && seen->intents.count > 0 && intents_settled(&seen->intents))
		happen(seen, (struct record){.tag = 'Z'});
	journal_close(&seen->journal);
	intents_free(&seen->intents);
	uidset_free(&seen->set);
	tries_free(&seen->tries);
	if (seen->lock >= 0)
		close(seen->lock);
	free(seen);
}

/* -- deliveries --------------------------------------------------------------------------- */

size_t seen_pasts(struct seen *seen, struct spool_past **past)
{
	*past = seen->intents.pasts;
	return seen->intents.old;
}

static void record_safe(struct seen *seen, const char *token, uint64_t now)
{
	happen(seen, (struct record){.tag = 'D', .token = span(token), .since = now,
	                             .num = seen->set.count});
}

/* What was recorded last has this fingerprint. */
static void record_mark(struct seen *seen, uint64_t mark)
{
	size_t num = seen->set.count - 1;

	if (mark != 0 && uidset_at(&seen->set, num) != NULL)
		happen(seen, (struct record){.tag = 'H', .num = num, .octets = mark});
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

	for (size_t b = 0; b < seen->intents.old; b++)
		open += settle_past(seen, &seen->intents.pasts[b], now) +
		        seen->intents.pasts[b].unsettled;
	if (open == 0 && seen->intents.old > 0 && seen->intents.old == seen->intents.count)
		happen(seen, (struct record){.tag = 'Z'});
	else if (open == 0) /* ours has begun: its Z will stand for these too */
		intents_drop(&seen->intents, seen->intents.old);
	return journal_sync(&seen->journal, err);
}

int seen_begin(struct seen *seen, const char *kind, const char *path, const char *run,
               struct error *err)
{
	if (seen->intents.count > seen->intents.old) /* by an earlier session of this run */
		return journal_sync(&seen->journal, err);
	happen(seen, (struct record){.tag = 'P', .kind = span(kind), .run = span(run),
	                             .path = span(path)});
	return journal_sync(&seen->journal, err);
}

/* Forgets what plan has outdated, and before any delivery is recorded: else the new entry and the
 * old one together would look as if two messages of that UID were known.  And notes what may not be
 * listed any more, lest another message of that UID and size be taken for it. */
static void forget_outdated(struct seen *seen)
{
	if (!seen->listed)
		return;
	seen->listed = false;
	for (size_t num = 0; num < seen->set.count; num++) {
		const struct seen_entry *entry = uidset_at(&seen->set, num);

		if (entry != NULL && entry->outdated)
			happen(seen, (struct record){.tag = 'F', .num = num});
		else if (entry != NULL && entry->doubt && entry->missing == 0)
			happen(seen, (struct record){.tag = 'M', .num = num,
			                             .missing = (uint64_t)time(NULL)});
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
	forget_outdated(seen);
	for (size_t i = 0; i < n; i++) {
		const struct spool *spool = &spools[i];
		bool intended = intents_have(&seen->intents, span(spool->token));

		if (spool->fate == SPOOL_SAFE && intended)
			record_safe(seen, spool->token, now);
		else if (spool->fate == SPOOL_SAFE && spool->uid.len > 0)
			happen(seen, (struct record){.tag = 'S', .num = seen->set.count,
			                             .uid = spool->uid, .octets = spool->octets,
			                             .since = now});
		else if (spool->fate == SPOOL_VOID && intended)
			record_void(seen, spool->token);
		if (spool->fate == SPOOL_SAFE && spool->uid.len > 0)
			record_mark(seen, spool->mark);
	}
	return journal_sync(&seen->journal, err);
}

/* -- what experience has taught ----------------------------------------------------------- */

bool seen_lock_step(const struct seen *seen, uint64_t now)
{
	return seen->broke >= DISTRUST_AT && now < seen->broke_at + DISTRUST_FOR;
}

int seen_pipelining(struct seen *seen, bool broke, uint64_t now, struct error *err)
{
	if (broke || seen->broke > 0)
		happen(seen, (struct record){.tag = 'B', .num = broke ? seen->broke + 1 : 0,
		                             .since = now});
	return unsynced(seen, err);
}

const struct seen_login *seen_login(const struct seen *seen)
{
	return &seen->login;
}

int seen_refused(struct seen *seen, const char *mark, uint64_t now, struct error *err)
{
	bool same = strcmp(seen->login.mark, mark) == 0 && seen->login.refused < MAX_LOST;

	happen(seen, (struct record){.tag = 'A', .num = same ? seen->login.refused + 1 : 1,
	                             .since = now, .token = span(mark)});
	return unsynced(seen, err);
}

int seen_admitted(struct seen *seen, struct error *err)
{
	if (seen->login.refused > 0)
		happen(seen, (struct record){.tag = 'A'});
	return unsynced(seen, err);
}

int seen_pause(struct seen *seen, uint64_t pause, uint64_t now, struct error *err)
{
	if (pause > 0 || seen->login.pause > 0)
		happen(seen, (struct record){.tag = 'L', .num = pause, .since = now});
	return unsynced(seen, err);
}

int seen_attempt(struct seen *seen, struct wire_span uid, uint64_t octets, uint64_t *attempt,
                 struct error *err)
{
	*attempt = tries_given(&seen->tries, uid, octets) + 1;
	if (uid.len == 0)
		return 0;
	happen(seen, (struct record){.tag = 'T', .uid = uid, .octets = octets, .num = *attempt});
	return journal_write(&seen->journal, err);
}

int seen_failed(struct seen *seen, struct wire_span uid, uint64_t octets, uint64_t since,
                struct error *err)
{
	uint64_t last;

	if (uid.len > 0)
		happen(seen, (struct record){.tag = 'X', .uid = uid, .octets = octets, .since = since,
		                             .num = tries_failed(&seen->tries, uid, octets, &last) + 1});
	return unsynced(seen, err);
}

uint64_t seen_failures(struct seen *seen, struct wire_span uid, uint64_t octets, uint64_t *since)
{
	tries_listed(&seen->tries, uid, octets);
	return tries_failed(&seen->tries, uid, octets, since);
}

/* -- listings ----------------------------------------------------------------------------- */

void seen_take_begin(struct seen *seen)
{
	uidset_take_begin(&seen->set);
	tries_listing(&seen->tries);
	seen->listed = true;
}

struct seen_entry *seen_take(struct seen *seen, struct wire_span uid, uint64_t octets, bool exact)
{
	return uidset_take(&seen->set, uid, octets, exact);
}

bool seen_awaits(const struct seen *seen, uint64_t now)
{
	return uidset_lacks(&seen->set, now > FORGET_AFTER ? now - FORGET_AFTER : 0);
}

int seen_gone(struct seen *seen, struct wire_span uid, uint64_t octets, struct error *err)
{
	size_t num;

	if (uidset_find(&seen->set, uid, octets, &num))
		happen(seen, (struct record){.tag = 'F', .num = num});
	return unsynced(seen, err);
}

const struct seen_entry *seen_recall(struct seen *seen, struct wire_span uid, uint64_t mark)
{
	forget_outdated(seen); /* it is recalled all the same */
	return uidset_recall(&seen->set, uid, mark);
}

int seen_resize(struct seen *seen, const struct seen_entry *entry, uint64_t octets,
                struct error *err)
{
	struct record now = {.tag = 'S', .uid = uid_of(entry), .octets = octets,
	                     .since = entry->since};
	size_t num;

	if (uidset_number(&seen->set, entry, &num))
		happen(seen, (struct record){.tag = 'F', .num = num});
	now.num = seen->set.count;
	happen(seen, now);
	record_mark(seen, entry->mark);
	return unsynced(seen, err);
}

/* What is to be noted of an entry after a whole listing. */
static void miss(struct seen *seen, size_t num, uint64_t now)
{
	const struct seen_entry *entry = uidset_at(&seen->set, num);
	bool listed = entry != NULL && entry->taken && !entry->doubt;

	if (entry == NULL || (listed && entry->missing == 0))
		return;
	if (listed)
		happen(seen, (struct record){.tag = 'M', .num = num, .missing = 0});
	else if (entry->missing == 0)
		happen(seen, (struct record){.tag = 'M', .num = num, .missing = now > 0 ? now : 1});
	else if (now > entry->missing && now - entry->missing > FORGET_AFTER)
		happen(seen, (struct record){.tag = 'F', .num = num});
}

int seen_missing(struct seen *seen, uint64_t now, struct error *err)
{
	struct record r;

	forget_outdated(seen);
	for (size_t num = 0; num < seen->set.count; num++)
		miss(seen, num, now);
	for (size_t num = 0; tries_vanished(&seen->tries, &num, &r);)
		happen(seen, r);
	return unsynced(seen, err);
}

/* True where most of the file is history: to write it anew costs what the live entries cost. */
static bool is_stale(const struct seen *seen)
{
	uint64_t live = seen->set.live + uidset_marked(&seen->set); /* each an S or a D, and an H */

	return seen->journal.records > live + live / 2 + 1000;
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

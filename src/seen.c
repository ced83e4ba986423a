/* SPDX-License-Identifier: MIT */
/*
 * seen.c - the journal of one account: UIDs that were delivered, and deliveries that were under
 * way.
 *
 * Whatever happens is made a record first, and the record goes both ways: into the file
 * (journal.c) and to memory (memory.c), where a replay takes it, too.
 *
 * Every function that writes fails for good once the file failed (journal.h): nothing may be
 * published or deleted after that, and what was not recorded is still on the server.
 */
#include "config.h"

#include "seen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "file.h"

#define DAY 86400                         /* s */
#define FORGET_AFTER (30u * 24 * 60 * 60) /* s that an entry may be missing */
#define DISTRUST_FOR FORGET_AFTER         /* s after which pipelining is tried again */
#define DISTRUST_AT 2                     /* once may have been the network */
#define MAX_REFUSED 1000000u              /* so far they are counted */
#define SYNC_MS 500                       /* fates that may be late are synced so often */

struct seen {
	int lock;             /* -1: not held */
	struct journal journal;
	struct memory memory; /* what it says */
	bool listed;          /* plan may have outdated entries since seen_take_begin */
	uint64_t settled;     /* when fates were last synced, clock_ms */
};

static struct wire_span span(const char *text)
{
	return (struct wire_span){text, strlen(text)};
}

/* The one way by which anything happens. */
static void happen(struct seen *seen, struct record r)
{
	struct error *dead = &seen->journal.dead;

	journal_put(&seen->journal, &r);
	if (dead->kind == ERR_NONE && !memory_apply(&seen->memory, &r))
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

/* Writes the journal anew. */
static int rewrite(struct seen *seen, struct error *err)
{
	if (journal_replace_begin(&seen->journal, err) == -1)
		return -1;
	memory_put(&seen->memory, &seen->journal);
	if (journal_replace_end(&seen->journal, err) == -1)
		return -1;
	uidset_renumber(&seen->memory.set);
	return 0;
}

/* -- opening and closing ------------------------------------------------------------------ */

/* The other run speaks for the account, unless it has hung for so long that somebody must look.
 * Its lock's time is when it began. */
static int leave_it(const char *path, struct error *err)
{
	struct stat st;
	bool hangs = stat(path, &st) == 0 && time(NULL) - st.st_mtime > DAY;

	error_set(err, ERR_TEMP, "another run of this account is at work%s; it holds the lock %s",
	          hangs ? ", for more than a day now" : "", path);
	err->waiting = !hangs;
	return -1;
}

static int take_lock(struct seen *seen, const char *dir, struct error *err)
{
	struct str path = {.max = strlen(dir) + sizeof "/lock"};

	if (file_mkdirs(dir, err) == -1)
		return -1;
	str_printf(&path, "%s/lock", dir);
	seen->lock = file_lock(path.s, err);
	if (seen->lock != -1)
		(void)futimens(seen->lock, NULL);
	else if (err->sys == EWOULDBLOCK)
		leave_it(path.s, err);
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
		if (!memory_apply(&seen->memory, &record) && !seen->journal.salvage)
			return journal_nonsense(&seen->journal, err);
	seen->memory.intents.old = seen->memory.intents.count;
	return rc;
}

/* Reads what can be read, keeps the damaged file beside, and goes on with a new one. */
static int rebuild_from(struct seen *seen, const char *dir, const struct error *why,
                        struct error *err)
{
	note(NOTE_WARN, "%s; it is made anew from what can be read", why->text);
	memory_free(&seen->memory);
	journal_close(&seen->journal);
	seen->memory = (struct memory){.salvage = true};
	seen->journal = (struct journal){.salvage = true};
	if (replay(seen, dir, err) == -1 || journal_keep_damaged(&seen->journal, err) == -1)
		return -1;
	seen->memory.salvage = seen->journal.salvage = false;
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
	if (clean && seen->memory.intents.count > 0 && intents_settled(&seen->memory.intents))
		happen(seen, (struct record){.tag = 'Z'});
	journal_close(&seen->journal);
	memory_free(&seen->memory);
	if (seen->lock >= 0)
		close(seen->lock);
	free(seen);
}

/* -- deliveries --------------------------------------------------------------------------- */

size_t seen_pasts(struct seen *seen, struct spool_past **past)
{
	*past = seen->memory.intents.pasts;
	return seen->memory.intents.old;
}

static void record_safe(struct seen *seen, const char *token, uint64_t now)
{
	happen(seen, (struct record){.tag = 'D', .token = span(token), .since = now,
	                             .num = seen->memory.set.count});
}

/* A delivery without an intent, with its fingerprint. */
static void record_entry(struct seen *seen, const struct spool *spool, uint64_t since)
{
	size_t num = seen->memory.set.count;

	happen(seen, (struct record){.tag = 'S', .num = num, .uid = spool->uid,
	                             .octets = spool->octets, .since = since});
	if (spool->mark != 0 && uidset_at(&seen->memory.set, num) != NULL)
		happen(seen, (struct record){.tag = 'H', .num = num, .octets = spool->mark});
}

static void record_large(struct seen *seen, struct wire_span uid, uint64_t octets,
                         enum large_state state, uint64_t mark)
{
	happen(seen, (struct record){.tag = 'O', .uid = uid, .octets = octets, .num = state,
	                             .since = mark});
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
	struct intents *intents = &seen->memory.intents;
	uint64_t now = (uint64_t)time(NULL);
	size_t open = 0;

	for (size_t b = 0; b < intents->old; b++)
		open += settle_past(seen, &intents->pasts[b], now) + intents->pasts[b].unsettled;
	if (open == 0 && intents->old > 0 && intents->old == intents->count)
		happen(seen, (struct record){.tag = 'Z'});
	else if (open == 0) /* ours has begun: its Z will stand for these too */
		intents_drop(intents, intents->old);
	return journal_sync(&seen->journal, err);
}

int seen_begin(struct seen *seen, const char *kind, const char *path, const char *run,
               struct error *err)
{
	const struct intents *intents = &seen->memory.intents;

	if (intents->count > intents->old) /* by an earlier session of this run */
		return journal_sync(&seen->journal, err);
	happen(seen, (struct record){.tag = 'P', .kind = span(kind), .run = span(run),
	                             .path = span(path)});
	return journal_sync(&seen->journal, err);
}

/* Notes what plan has outdated, before any delivery is recorded: else the new entry and the old one
 * together would look as if two messages of that UID were known.  The old one stays, for its text
 * may be met yet, now or by a later session.  And notes what may not be listed any more, lest
 * another message of that UID and size be taken for it. */
static void note_outdated(struct seen *seen)
{
	if (!seen->listed)
		return;
	seen->listed = false;
	for (size_t num = 0; num < seen->memory.set.count; num++) {
		const struct seen_entry *entry = uidset_at(&seen->memory.set, num);

		if (entry != NULL && entry->doubt &&
		    (entry->missing == 0 || (entry->outdated && entry->missing != UIDSET_TWIN)))
			happen(seen, (struct record){.tag = 'M', .num = num,
			                             .missing = entry->outdated ? UIDSET_TWIN
			                                                        : (uint64_t)time(NULL)});
	}
}

int seen_intend(struct seen *seen, const struct spool *spools, size_t n, struct error *err)
{
	note_outdated(seen);
	for (size_t i = 0; i < n; i++) {
		happen(seen, (struct record){.tag = spools[i].part ? 'J' : 'I',
		                             .token = span(spools[i].token), .uid = spools[i].uid,
		                             .octets = spools[i].octets, .place = span(spools[i].place)});
		if (spools[i].uid.len > 0 && spools[i].mark != 0)
			happen(seen, (struct record){.tag = 'G', .token = span(spools[i].token),
			                             .octets = spools[i].mark});
	}
	return journal_sync(&seen->journal, err);
}

/* The message is delivered, or of one that is too large the header; its intent has told the rest,
 * if there was one. */
static void settle_safe(struct seen *seen, struct spool *spool, bool intended, uint64_t now)
{
	size_t num = seen->memory.set.count;

	if (intended)
		record_safe(seen, spool->token, now);
	else if (spool->part)
		record_large(seen, spool->uid, spool->octets, LARGE_HEADER, spool->mark);
	else if (spool->uid.len > 0)
		record_entry(seen, spool, now);
	spool->entry = uidset_at(&seen->memory.set, num) != NULL ? (uint32_t)num + 1 : 0;
}

int seen_settle(struct seen *seen, struct spool *spools, size_t n, uint64_t now, bool late,
                struct error *err)
{
	note_outdated(seen);
	for (size_t i = 0; i < n; i++) {
		bool intended = intents_have(&seen->memory.intents, span(spools[i].token));

		if (spools[i].fate == SPOOL_SAFE)
			settle_safe(seen, &spools[i], intended, now);
		else if (spools[i].fate == SPOOL_VOID && intended)
			record_void(seen, spools[i].token);
	}
	if (late && clock_ms() - seen->settled < SYNC_MS)
		return journal_write(&seen->journal, err);
	seen->settled = clock_ms();
	return journal_sync(&seen->journal, err);
}

int seen_sync(struct seen *seen, struct error *err)
{
	return journal_sync(&seen->journal, err);
}

/* -- what experience has taught ----------------------------------------------------------- */

bool seen_lock_step(const struct seen *seen, uint64_t now)
{
	return seen->memory.broke >= DISTRUST_AT && now < seen->memory.broke_at + DISTRUST_FOR;
}

int seen_pipelining(struct seen *seen, bool broke, uint64_t now, struct error *err)
{
	if (broke || seen->memory.broke > 0)
		happen(seen, (struct record){.tag = 'B', .num = broke ? seen->memory.broke + 1 : 0,
		                             .since = now});
	return unsynced(seen, err);
}

const struct memory_login *seen_login(const struct seen *seen)
{
	return &seen->memory.login;
}

int seen_refused(struct seen *seen, const char *mark, uint64_t now, struct error *err)
{
	const struct memory_login *login = &seen->memory.login;
	bool same = strcmp(login->mark, mark) == 0 && login->refused < MAX_REFUSED;

	happen(seen, (struct record){.tag = 'A', .num = same ? login->refused + 1 : 1,
	                             .since = now, .token = span(mark)});
	return unsynced(seen, err);
}

int seen_admitted(struct seen *seen, struct error *err)
{
	if (seen->memory.login.refused > 0)
		happen(seen, (struct record){.tag = 'A'});
	return unsynced(seen, err);
}

int seen_pause(struct seen *seen, uint64_t pause, uint64_t now, struct error *err)
{
	if (pause > 0 || seen->memory.login.pause > 0)
		happen(seen, (struct record){.tag = 'L', .num = pause, .since = now});
	return unsynced(seen, err);
}

int seen_attempt(struct seen *seen, struct spool *spools, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		struct spool *spool = &spools[i];

		spool->attempt = tries_given(&seen->memory.tries, spool->uid, spool->octets) + 1;
		if (spool->uid.len > 0)
			happen(seen, (struct record){.tag = 'T', .uid = spool->uid,
			                             .octets = spool->octets, .num = spool->attempt});
	}
	return journal_write(&seen->journal, err);
}

int seen_failed(struct seen *seen, struct wire_span uid, uint64_t octets, uint64_t since,
                struct error *err)
{
	uint64_t last, times = tries_failed(&seen->memory.tries, uid, octets, &last);

	if (uid.len > 0)
		happen(seen, (struct record){.tag = 'X', .uid = uid, .octets = octets, .since = since,
		                             .num = times + 1});
	return unsynced(seen, err);
}

uint64_t seen_failures(struct seen *seen, struct wire_span uid, uint64_t octets, uint64_t *since)
{
	tries_listed(&seen->memory.tries, uid, octets);
	return tries_failed(&seen->memory.tries, uid, octets, since);
}

/* -- listings ----------------------------------------------------------------------------- */

void seen_take_begin(struct seen *seen)
{
	uidset_take_begin(&seen->memory.set);
	tries_listing(&seen->memory.tries);
	large_listing(&seen->memory.large);
	seen->listed = true;
}

struct seen_entry *seen_take(struct seen *seen, struct wire_span uid, uint64_t octets, bool exact)
{
	return uidset_take(&seen->memory.set, uid, octets, exact);
}

uint32_t seen_taken(const struct seen *seen)
{
	return (uint32_t)seen->memory.set.given + 1;
}

void seen_doubt(struct seen *seen, struct wire_span uid, uint64_t octets)
{
	uidset_doubt(&seen->memory.set, uid, octets);
}

bool seen_awaits(const struct seen *seen, uint64_t now)
{
	return uidset_lacks(&seen->memory.set, now > FORGET_AFTER ? now - FORGET_AFTER : 0);
}

void seen_twin(struct seen *seen, struct wire_span uid, uint64_t octets)
{
	if (uid.len > 0 && seen->memory.set.live > 0)
		uidset_contest(&seen->memory.set, uid, octets);
}

void seen_note_twins(struct seen *seen)
{
	for (size_t num = 0; num < seen->memory.set.count; num++) {
		const struct seen_entry *entry = uidset_at(&seen->memory.set, num);

		if (entry != NULL && entry->contested && entry->missing != UIDSET_TWIN)
			happen(seen, (struct record){.tag = 'M', .num = num, .missing = UIDSET_TWIN});
	}
}

int seen_gone(struct seen *seen, struct wire_span uid, uint64_t octets, uint32_t entry,
              struct error *err)
{
	size_t num = entry - 1;

	if ((entry > 0 && uidset_at(&seen->memory.set, num) != NULL) ||
	    uidset_find(&seen->memory.set, uid, octets, &num))
		happen(seen, (struct record){.tag = 'F', .num = num});
	return unsynced(seen, err);
}

static bool recall_header(struct seen *seen, const struct spool *spool)
{
	struct record r;

	if (!large_recall(&seen->memory.large, spool->uid, spool->mark, &r))
		return false;
	happen(seen, r);
	record_large(seen, spool->uid, spool->octets, LARGE_HEADER, spool->mark);
	return true;
}

bool seen_recall(struct seen *seen, struct spool *spool, uint64_t *since)
{
	const struct seen_entry *entry;
	size_t num;

	if (spool->part)
		return recall_header(seen, spool);
	note_outdated(seen);
	entry = uidset_recall(&seen->memory.set, spool->uid, spool->mark, &num);
	if (entry == NULL)
		return false;
	*since = entry->since;
	happen(seen, (struct record){.tag = 'F', .num = num});
	spool->entry = (uint32_t)seen->memory.set.count + 1;
	record_entry(seen, spool, *since);
	return true;
}

enum large_state seen_large(struct seen *seen, struct wire_span uid, uint64_t octets)
{
	large_listed(&seen->memory.large, uid, octets);
	return large_state(&seen->memory.large, uid, octets);
}

int seen_told_large(struct seen *seen, struct wire_span uid, uint64_t octets, struct error *err)
{
	if (uid.len > 0)
		record_large(seen, uid, octets, LARGE_TOLD, 0);
	return unsynced(seen, err);
}

/* What is to be noted of an entry after a whole listing. */
static void miss(struct seen *seen, size_t num, uint64_t now)
{
	const struct seen_entry *entry = uidset_at(&seen->memory.set, num);
	bool listed = entry != NULL && entry->taken && !entry->doubt;
	uint64_t from; /* what had a twin is not known to be missing, and ages from its delivery */

	if (entry == NULL || entry->contested || (listed && entry->missing <= UIDSET_TWIN))
		return;
	from = entry->missing > UIDSET_TWIN ? entry->missing : entry->since;
	if (listed)
		happen(seen, (struct record){.tag = 'M', .num = num, .missing = 0});
	else if (entry->missing == 0)
		happen(seen, (struct record){.tag = 'M', .num = num,
		                             .missing = now > UIDSET_TWIN ? now : UIDSET_TWIN + 1});
	else if (now > from && now - from > FORGET_AFTER &&
	         !(entry->missing == UIDSET_TWIN && entry->taken))
		happen(seen, (struct record){.tag = 'F', .num = num});
}

int seen_missing(struct seen *seen, uint64_t now, struct error *err)
{
	struct record r;

	note_outdated(seen);
	for (size_t num = 0; num < seen->memory.set.count; num++)
		miss(seen, num, now);
	for (size_t num = 0; tries_vanished(&seen->memory.tries, &num, &r);)
		happen(seen, r);
	for (size_t num = 0; num < seen->memory.large.set.count; num++)
		if (large_missed(&seen->memory.large, num, now, FORGET_AFTER, &r))
			happen(seen, r);
	return unsynced(seen, err);
}

/* True where most of the file is history: to write it anew costs what the live entries cost. */
static bool is_stale(const struct seen *seen)
{
	const struct uidset *set = &seen->memory.set;
	uint64_t live = set->live + uidset_marked(set) /* each an S or a D, and an H */
	                + seen->memory.large.set.live;

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
	return seen->memory.set.live;
}

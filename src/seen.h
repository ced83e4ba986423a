/* SPDX-License-Identifier: MIT */
/*
 * seen.h - the journal of one account: which UIDs were delivered, which deliveries were under way.
 *
 * $XDG_STATE_HOME/mailhaul/ACCOUNT/journal, append-only text, a checked record a line.  A torn
 * tail is what a crash leaves and is cut off; a damaged record before it is an error.  The
 * run lock is `lock` beside it, by flock, never renamed or removed.  record.c has the format.
 *
 * It is a multiset: servers do list one UID twice.  An entry is (uid, octets, since);
 * uidset.h has its type.  Entries are owned by seen and valid until seen_close.
 *
 * Order matters, and the caller keeps it: seen_intend before a message can be visible,
 * seen_settle after it is durable, DELE only after that, seen_gone after QUIT's +OK.
 */
#ifndef SEEN_H
#define SEEN_H

#include "base.h"
#include "memory.h"
#include "spool.h"

struct seen;

/* Takes the lock and replays the journal; dir (the account's state directory) is made 0700.
 * ERR_TEMP: another run has the lock.  ERR_IO: damaged, says which line and what can be done.
 * rebuild: a damaged one is made anew from the records that are whole, and kept as
 * journal.damaged; mail whose record is lost will be fetched again. */
int seen_open(struct seen **seen, const char *dir, bool rebuild, struct error *err);

/* What earlier runs left unsettled: *past and the count; the caller gives each intent its fate. */
size_t seen_pasts(struct seen *seen, struct spool_past **past);

/* Records those fates (one sync); undecided ones stay for the next run. */
int seen_settle_pasts(struct seen *seen, struct error *err);

/* Says where this run delivers: before its first temporary file (one sync: whatever of it a power
 * cut leaves, the next run knows whose it is). */
int seen_begin(struct seen *seen, const char *kind, const char *path, const char *run,
               struct error *err);

/* The deliveries of these spools are about to become visible (one write, one sync). */
int seen_intend(struct seen *seen, const struct spool *spools, size_t n, struct error *err);

/* Records the fate of these spools (one write, one sync): SAFE ones are delivered from now on, or
 * their headers are (spool.part), and get spool.entry; VOID ones never were, UNSURE ones stay open.
 * Works with and without an intent.  late: where the last call that synced was within half a second
 * it is only written, which outlives us, and a power cut after the next sync of anything. */
int seen_settle(struct seen *seen, struct spool *spools, size_t n, uint64_t now, bool late,
                struct error *err);

/* What is recorded by now outlives a power cut.  Costs nothing where it does already. */
int seen_sync(struct seen *seen, struct error *err);

/* Matching a listing: begin, then seen_take for each message.  exact: the octets must be the
 * same; else any entry of that UID that is not taken yet.  NULL: none.  Exact ones are asked for
 * first, all of them: then contested is known. */
void seen_take_begin(struct seen *seen);
struct seen_entry *seen_take(struct seen *seen, struct wire_span uid, uint64_t octets, bool exact);

/* The entry that seen_take gave last, for seen_gone. */
uint32_t seen_taken(const struct seen *seen);

/* The text will tell which of the taken entries of that UID and size is whose. */
void seen_doubt(struct seen *seen, struct wire_span uid, uint64_t octets);

/* True where the listing lacks what it should have: a message without a UID may be that. */
bool seen_awaits(const struct seen *seen, uint64_t now);

/* A message of the listing that is not delivered: what is recorded of its UID and size is not to be
 * taken for it when the other one is gone.  seen_note_twins, for them all, makes that a record,
 * which is to be synced before any DELE. */
void seen_twin(struct seen *seen, struct wire_span uid, uint64_t octets);
void seen_note_twins(struct seen *seen);

/* The server said it is deleted (QUIT was answered +OK): forget it.  entry: by seen_taken, or
 * spool.entry; 0: not known, any of that UID and size.  seen_flush makes it last. */
int seen_gone(struct seen *seen, struct wire_span uid, uint64_t octets, uint32_t entry,
              struct error *err);

/* A message that was fetched, for its UID proves nothing: true where by its text it is one that was
 * delivered, and no message of the listing is that for certain.  Then it has these octets from now
 * on, and counts as listed; since: when it was delivered, s; spool.entry is set.  Not synced. */
bool seen_recall(struct seen *seen, struct spool *spool, uint64_t *since);

/* A message of the listing that is too large to be fetched: what was done with it before. */
enum large_state seen_large(struct seen *seen, struct wire_span uid, uint64_t octets);

/* The user was told that it stays where it is.  Not synced. */
int seen_told_large(struct seen *seen, struct wire_span uid, uint64_t octets, struct error *err);

/* Entries that the listing did not have: noted, and forgotten when they are missing for 30 days
 * (servers in trouble list nothing and come back).  A listing that was cut short is not to be
 * given here. */
int seen_missing(struct seen *seen, uint64_t now, struct error *err);

/* True where commands are to be sent one at a time: pipelining broke the last two sessions that
 * tried it, and not longer ago than 30 days. */
bool seen_lock_step(const struct seen *seen, uint64_t now);

/* How a pipelined session ended: it broke, and went well in lock-step; or it went well.  Not
 * synced. */
int seen_pipelining(struct seen *seen, bool broke, uint64_t now, struct error *err);

/* What is remembered of logins. */
const struct memory_login *seen_login(const struct seen *seen);

/* The server has refused this login.  Not synced. */
int seen_refused(struct seen *seen, const char *mark, uint64_t now, struct error *err);

/* It has let us in, or asked for a pause.  Not synced, as the next. */
int seen_admitted(struct seen *seen, struct error *err);
int seen_pause(struct seen *seen, uint64_t pause, uint64_t now, struct error *err);

/* An MDA is about to be given these: sets attempt of each, the so many-th time, from 1.  Not
 * synced: after a power cut the count may be low. */
int seen_attempt(struct seen *seen, struct spool *spools, size_t n, struct error *err);

/* This message could not be brought home.  since: wall clock, s.  Where nobody knows whether it was
 * the message's fault it comes last, but need not wait: SEEN_EXCUSED, or 0 where the session ended
 * in it, and nobody was told of the message itself.  Forgotten once it is delivered or no longer
 * listed.  Not synced. */
#define SEEN_EXCUSED 1
int seen_failed(struct seen *seen, struct wire_span uid, uint64_t octets, uint64_t since,
                struct error *err);

/* How often that has happened to a message of the listing, and the last since. */
uint64_t seen_failures(struct seen *seen, struct wire_span uid, uint64_t octets, uint64_t *since);

/* One sync of what is not synced yet; rewrites the journal where it has grown stale. */
int seen_flush(struct seen *seen, struct error *err);

/* How many UIDs are remembered. */
size_t seen_count(const struct seen *seen);

/* Closes, releases the lock.  clean: this run left no temporary file and no open intent. */
void seen_close(struct seen **seen, bool clean);

#endif

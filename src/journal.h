/* SPDX-License-Identifier: MIT */
/*
 * journal.h - a file of records that is only ever appended to, and what crashes do to it.
 *
 * Calling order: journal_open, journal_read until it says 0, then any mix of the others.  Errors
 * stick: the first failure of a write or a sync is kept in dead, everything after it does
 * nothing, and each call that can fail fails with that same error.
 */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <sys/types.h>

#include "base.h"
#include "record.h"

struct journal {
	int dir, fd;            /* -1: not open */
	char *path;
	struct error dead;      /* the first failure of a write or a sync */
	size_t records;         /* in the file and in out, the header among them */

	struct str out;         /* records that are not written yet */
	bool dirty;             /* there are records that are not synced */
	bool firm;              /* all others are on disk, for certain */

	bool replacing;         /* what is put goes into the replacement */
	int old_fd;
	size_t old_records;

	char *buf;              /* while reading: what is read and not taken */
	size_t begin, end;
	off_t at;               /* where in the file buf + begin is */
	unsigned long line;     /* the last one taken */
	off_t bad_at;           /* the first bad line */
	unsigned long bad_line; /* 0: none */
	bool damaged;           /* more than a torn tail is wrong */
	bool salvage;           /* set before journal_open: bad lines are passed over */
};

/* Opens dir/journal; a missing one is made.  Zeroed is to be given; journal_close in any case. */
int journal_open(struct journal *journal, const char *dir, struct error *err);

/* The next record; the header is not shown.  1, 0 at the end, -1.  At the end a torn tail has
 * been cut off.  ERR_IO: damaged. */
int journal_read(struct journal *journal, struct record *record, struct error *err);

/* Makes the error for a record that was read last and makes no sense.  Returns -1. */
int journal_nonsense(struct journal *journal, struct error *err);

/* Keeps a second name for the file, journal.damaged, before a replacement takes its place. */
int journal_keep_damaged(struct journal *journal, struct error *err);

/* Adds a record; sets its firm.  It is written at the next barrier, or when many have gathered. */
void journal_put(struct journal *journal, struct record *record);

/* Hands what has gathered to the kernel. */
int journal_write(struct journal *journal, struct error *err);

/* The barrier: what was put is on disk.  At most one sync, none where nothing was put. */
int journal_sync(struct journal *journal, struct error *err);

/* Puts a new file in the old one's place, all or nothing: begin, journal_put for what it is to
 * hold, end.  On failure of either the old file goes on, unless dead says otherwise. */
int journal_replace_begin(struct journal *journal, struct error *err);
int journal_replace_end(struct journal *journal, struct error *err);

/* Writes what has gathered without a sync, closes, frees. */
void journal_close(struct journal *journal);

#endif

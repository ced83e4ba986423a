/* SPDX-License-Identifier: MIT */
/*
 * journal.c - a file of records that is only ever appended to, and what crashes do to it.
 *
 * Records gather in a buffer and go out in one write at a barrier, which syncs once.  After a
 * failed write or sync the file is left alone for the rest of the run: to sync again would
 * lie, and a record behind a torn one would turn a torn tail into damage.
 *
 * After a crash the end of the file may be anything: half a record, zeros, a later block without
 * the one before it.  So the first record behind each sync is marked firm: all before it was
 * on disk.  A bad record with a firm one behind it is damage, which only the user can judge;
 * a bad one without belongs to what was never promised to be there, and the file is cut in
 * front of it.  What is left is always a prefix of what was put.
 *
 * A replacement is written beside the journal, synced, and renamed over it; so it is there whole
 * or not at all, and all its records are firm.  The first journal is made in the same way: there
 * is none without its header.
 *
 * What the records mean is seen.c's affair.
 */
#include "config.h"

#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define WRITE_AT 65536 /* bytes of records that are worth a write */
#define READ_SIZE 65536

static const char name[] = "journal", new_name[] = "journal.new";
static const char damaged_name[] = "journal.damaged";

/* -- writing ------------------------------------------------------------------------------ */

static int verdict(const struct journal *j, struct error *err)
{
	if (j->dead.kind == ERR_NONE)
		return 0;
	*err = j->dead;
	return -1;
}

int journal_write(struct journal *j, struct error *err)
{
	if (j->dead.kind == ERR_NONE && j->out.len > 0)
		file_write(j->fd, j->out.s, j->out.len, j->path, &j->dead);
	str_cut(&j->out, 0);
	return verdict(j, err);
}

void journal_put(struct journal *j, struct record *record)
{
	static char line[RECORD_MAX]; /* on the stack, compilers that harden would clear it each time */
	struct error known;
	size_t len;

	record->firm = j->replacing || (j->firm && !j->dirty);
	len = record_encode(record, line);
	if (j->dead.kind != ERR_NONE)
		return;
	if (len == 0 || str_add(&j->out, line, len) == -1) {
		error_set(&j->dead, ERR_BUG, "%s: a record %c has no form", j->path, record->tag);
		return;
	}
	j->records++;
	j->dirty = true;
	if (j->out.len >= WRITE_AT)
		journal_write(j, &known); /* kept in dead */
}

int journal_sync(struct journal *j, struct error *err)
{
	if (journal_write(j, err) == -1)
		return -1;
	if (j->dirty && STEP(STEP_SYNC_JOURNAL, file_sync(j->fd, j->path, &j->dead)) == 0) {
		j->dirty = false;
		j->firm = true;
	}
	return verdict(j, err);
}

/* -- replacing ---------------------------------------------------------------------------- */

static int open_at(const struct journal *j, const char *file, int flags)
{
	int fd;

	do
		fd = openat(j->dir, file, flags | O_CLOEXEC, 0600);
	while (fd == -1 && errno == EINTR);
	return fd;
}

static int rename_new(const struct journal *j)
{
	int rc;

	do
		rc = renameat(j->dir, new_name, j->dir, name);
	while (rc == -1 && errno == EINTR);
	return rc;
}

int journal_replace_begin(struct journal *j, struct error *err)
{
	int fd;

	if (journal_sync(j, err) == -1)
		return -1;
	fd = open_at(j, new_name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND);
	if (fd == -1)
		return error_sys(err, error_kind_of(errno), "cannot create %s.new", j->path);
	j->replacing = true;
	j->old_fd = j->fd;
	j->old_records = j->records;
	j->fd = fd;
	j->records = 0;
	journal_put(j, &(struct record){.tag = 'V', .num = RECORD_VERSION});
	return 0;
}

int journal_replace_end(struct journal *j, struct error *err)
{
	j->replacing = false;
	if (journal_sync(j, err) == 0) {
		if (rename_new(j) == 0) {
			if (j->old_fd >= 0)
				close(j->old_fd); /* nothing in it counts any more */
			/* Until this is certain the old file may come back without what follows. */
			file_sync_dir(j->dir, j->path, &j->dead);
			return verdict(j, err);
		}
		error_sys(err, error_kind_of(errno), "cannot rename %s.new", j->path);
	}
	unlinkat(j->dir, new_name, 0);
	close(j->fd);
	j->fd = j->old_fd;
	j->records = j->old_records;
	j->dead = (struct error){0}; /* that was the new file's; the old one is as good as it was */
	j->dirty = j->firm = false;
	return -1;
}

/* -- reading ------------------------------------------------------------------------------ */

static int damaged(struct journal *j, unsigned long line, struct error *err)
{
	j->damaged = true;
	return error_set(err, ERR_IO,
	                 "%s: line %lu is damaged. No mail is lost, but without its records mail that "
	                 "was delivered would be fetched again. Bring the file back from a backup, or "
	                 "say --rebuild-state to keep what can be read", j->path, line);
}

int journal_nonsense(struct journal *j, struct error *err)
{
	return damaged(j, j->line, err);
}

/* Reads more behind what is there.  1, 0 at the end of the file, -1. */
static int fill(struct journal *j, struct error *err)
{
	ssize_t n;

	memmove(j->buf, j->buf + j->begin, j->end - j->begin);
	j->end -= j->begin;
	j->begin = 0;
	do
		n = read(j->fd, j->buf + j->end, READ_SIZE - j->end);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return error_sys(err, ERR_IO, "cannot read %s", j->path);
	j->end += (size_t)n;
	return n > 0;
}

/* The next line without its LF.  What has no LF in a whole buffer, or at the end of the file, comes
 * as an empty line, which is a bad one. */
static int take_line(struct journal *j, char **line, size_t *len, struct error *err)
{
	char *lf;
	int rc = 1;

	while ((lf = memchr(j->buf + j->begin, '\n', j->end - j->begin)) == NULL && rc == 1 &&
	       j->end - j->begin < READ_SIZE)
		rc = fill(j, err);
	if (rc == -1 || (rc == 0 && j->begin == j->end))
		return rc;
	*line = j->buf + j->begin;
	*len = lf != NULL ? (size_t)(lf - *line) : 0;
	j->begin = lf != NULL ? (size_t)(lf + 1 - j->buf) : j->end;
	j->line++;
	return 1;
}

/* The first line must be a header of a version we know. */
static int check_header(struct journal *j, const struct record *record, struct error *err)
{
	if (record->tag != 'V')
		return damaged(j, j->line, err);
	if (record->num != RECORD_VERSION)
		return error_set(err, ERR_IO, "%s is of version %" PRIu64 ", but this mailhaul knows "
		                 "version %d only", j->path, record->num, RECORD_VERSION);
	return 0;
}

static int cut_tail(struct journal *j, struct error *err)
{
	note(NOTE_INFO, "%s: the last run was interrupted in the middle of a record; %" PRIu64
	     " bytes at the end are cut off", j->path, (uint64_t)(j->at - j->bad_at));
	if (ftruncate(j->fd, j->bad_at) == -1)
		return error_sys(err, error_kind_of(errno), "cannot shorten %s", j->path);
	j->bad_line = 0;
	j->dirty = true;
	return journal_sync(j, err);
}

/* All lines are taken: makes the file one that can be appended to. */
static int end_reading(struct journal *j, struct error *err)
{
	free(j->buf);
	j->buf = NULL;
	if (j->salvage)
		return 0; /* it is replaced at once */
	if (j->records > 0)
		return j->bad_line > 0 ? cut_tail(j, err) : 0;
	/* No header: a file that was just created has nothing else, so nothing is lost with it. */
	if (j->at > RECORD_HEADER)
		return damaged(j, 1, err);
	if (journal_replace_begin(j, err) == -1)
		return -1;
	return journal_replace_end(j, err);
}

int journal_read(struct journal *j, struct record *record, struct error *err)
{
	char *line;
	size_t len;
	int rc;

	while (j->buf != NULL && (rc = take_line(j, &line, &len, err)) != 0) {
		bool good = rc == 1 && record_decode(line, len, record);

		if (rc == -1)
			return -1;
		if (j->salvage && good && record->tag != 'V')
			return 1;
		if (j->salvage)
			continue;
		if (good && j->bad_line > 0 && record->firm)
			return damaged(j, j->bad_line, err);
		if (!good && j->bad_line == 0) {
			j->bad_line = j->line;
			j->bad_at = j->at;
		}
		j->at += j->buf + j->begin - line;
		if (j->bad_line > 0)
			continue;
		if (j->records++ > 0)
			return 1;
		if (check_header(j, record, err) == -1)
			return -1;
	}
	return end_reading(j, err);
}

/* -- opening and closing ------------------------------------------------------------------ */

int journal_keep_damaged(struct journal *j, struct error *err)
{
	if (unlinkat(j->dir, damaged_name, 0) == -1 && errno != ENOENT)
		return error_sys(err, error_kind_of(errno), "cannot remove %s.damaged", j->path);
	if (linkat(j->dir, name, j->dir, damaged_name, 0) == -1)
		return error_sys(err, error_kind_of(errno), "cannot make %s.damaged", j->path);
	return 0;
}

int journal_open(struct journal *j, const char *dir, struct error *err)
{
	struct str path = {.max = strlen(dir) + sizeof name};

	j->out.max = WRITE_AT + RECORD_MAX;
	j->fd = j->old_fd = -1;
	str_printf(&path, "%s/%s", dir, name);
	j->path = path.s;
	j->dir = file_open_dir(dir, err);
	if (j->dir == -1)
		return -1;
	/* Never truncated: after a power cut in the rename it may be the journal's second name. */
	unlinkat(j->dir, new_name, 0);
	j->fd = open_at(j, name, O_RDWR | O_APPEND);
	if (j->fd >= 0)
		j->buf = xmalloc(READ_SIZE);
	else if (errno != ENOENT)
		return error_sys(err, error_kind_of(errno), "cannot open %s", j->path);
	return 0;
}

void journal_close(struct journal *j)
{
	struct error late;

	if (j->path == NULL)
		return;
	journal_write(j, &late); /* what had to be safe was synced; the rest can be found out again */
	if (j->fd >= 0)
		close(j->fd);
	if (j->dir >= 0)
		close(j->dir);
	free(j->path);
	free(j->buf);
	str_free(&j->out);
	*j = (struct journal){.dir = -1, .fd = -1};
}

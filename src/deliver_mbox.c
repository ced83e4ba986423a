/* SPDX-License-Identifier: MIT */
/*
 * deliver_mbox.c - an mbox (mboxrd): a group appended by "reserve, then fill".
 *
 * A plain append cannot be undone after a crash: our locks are gone with us, and another program
 * may have appended behind our half.  So the group stands first in a file of our own, the stage
 * (state_dir/stage.RUN), in its final bytes, synced.  Under the locks of mboxlock.c its region
 * behind the mbox's end is decided and journalled as intents; then the region is filled with
 * newlines, synced, overwritten with the mail, synced.  Whatever moment a crash picks, the mbox
 * parses, and what others append lands behind the region; the next run fills it from the stage, or
 * finds out by mboxplace.c what has become of it.
 *
 * On failure while locked the mbox is cut back to what it was (VOID).  If even that fails the
 * stage keeps the bytes and the next run decides (UNSURE).
 */
#include "config.h"

#include "deliver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "mboxlock.h"
#include "mboxplace.h"

#define CHUNK 65536 /* newlines written at a time */

struct mbox {
	int stage;           /* -1 until the first message */
	bool named;          /* the stage's name is durable */
	uint64_t keep;       /* below it the stage belongs to deliveries that are UNSURE */
	struct mboxlock lock;
	uint64_t base;       /* the mbox's size before the group */
	uint64_t start, end; /* the group's region; between base and start newlines, 0 to 2 */
	bool touched;        /* something was written */
	bool litter;         /* PATH.lock could not be removed */
};

static const char stage_name[] = "the stage file"; /* nobody could do anything with its path */

/* -- the stage ---------------------------------------------------------------------------- */

static char *stage_path(const struct deliver *d, const char *run)
{
	struct str path = {.max = 8192};

	if (str_printf(&path, "%s/stage.%s", d->state_dir, run) == -1)
		return xstrdup(""); /* too long: opening it fails, and says so */
	return path.s;
}

static int remove_stage(const struct deliver *d, const char *run, struct error *err)
{
	char *path = stage_path(d, run);
	int rc = 0;

	if (unlink(path) == -1 && errno != ENOENT)
		rc = error_sys(err, error_kind_of(errno), "cannot remove %s", path);
	free(path);
	return rc;
}

static int open_stage(struct deliver *d, struct error *err)
{
	struct mbox *m = d->own;
	char *path = stage_path(d, d->run);
	int rc = 0;

	m->stage = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (m->stage == -1)
		rc = error_sys(err, error_kind_of(errno), "cannot create %s", path);
	free(path);
	return rc;
}

/* The group's bytes are durable before an intent speaks of them. */
static int sync_stage(struct deliver *d, struct error *err)
{
	struct mbox *m = d->own;
	int dir, rc;

	if (STEP(STEP_SYNC_STAGE, file_sync(m->stage, stage_name, err)) == -1)
		return -1;
	if (m->named)
		return 0;
	if ((dir = file_open_dir(d->state_dir, err)) == -1)
		return -1;
	rc = file_sync_dir(dir, d->state_dir, err);
	close(dir);
	m->named = rc == 0;
	return rc;
}

/* All that earlier runs left is settled when a run opens its mbox, so none of their stages is
 * needed.  One can come back: a power cut undoes a removal that is not synced. */
static void sweep_stages(const struct deliver *d)
{
	DIR *dir = opendir(d->state_dir);
	struct dirent *e;

	if (dir == NULL)
		return;
	while ((e = readdir(dir)) != NULL)
		if (strncmp(e->d_name, "stage.", 6) == 0)
			unlinkat(dirfd(dir), e->d_name, 0);
	closedir(dir);
}

/* -- open and close ----------------------------------------------------------------------- */

static int mbox_open(struct deliver *d, struct error *err)
{
	struct mbox *m;
	char *dir;
	int fd = -1;

	d->path = d->account->target.mbox;
	dir = xmemdup0(d->path, (size_t)(strrchr(d->path, '/') - d->path));
	if (dir[0] == '\0' || file_mkdirs(dir, err) == 0)
		fd = mboxlock_open(d->path, true, err);
	free(dir);
	if (fd == -1)
		return error_wrap(err, "mbox");
	close(fd);
	mboxlock_sweep(d->path, NULL); /* there may be nothing to deliver, and so no other sweep */
	sweep_stages(d);
	m = xcalloc(1, sizeof *m);
	m->stage = -1;
	m->lock.run = d->run;
	d->own = m;
	return 0;
}

static bool mbox_close(struct deliver *d)
{
	struct mbox *m = d->own;
	struct error ignored;
	bool clean;

	if (m == NULL)
		return true;
	clean = mboxlock_release(&m->lock) && !m->litter;
	if (m->stage >= 0) {
		close(m->stage);
		if (m->keep == 0 && remove_stage(d, d->run, &ignored) == -1)
			clean = false;
	}
	free(m);
	d->own = NULL;
	return clean;
}

/* -- one message -------------------------------------------------------------------------- */

static int mbox_spool(struct deliver *d, struct spool *spool, struct error *err)
{
	struct mbox *m = d->own;

	spool->place[0] = '\0';
	if (m->stage == -1 && open_stage(d, err) == -1)
		return -1;
	spool->fd = m->stage;
	spool->at = spool_next(&d->pen);
	return 0;
}

static void mbox_drop(struct deliver *d, struct spool *spool)
{
	spool_drop(&d->pen, spool);
}

/* -- a group ------------------------------------------------------------------------------ */

/* Decides where each message of the group will be. */
static int lay_out(struct mbox *m, const char *path, struct spool *spools, size_t n,
                   struct error *err)
{
	struct mboxplace p;

	m->touched = false;
	if (mboxplace_begin(&p, m->lock.fd, path, &m->base, err) == -1)
		return -1;
	m->start = p.start;
	for (size_t i = 0; i < n; i++)
		mboxplace_write(&p, &spools[i]);
	m->end = p.at;
	return 0;
}

static int mbox_prepare(struct deliver *d, struct spool *spools, size_t n, struct error *err)
{
	struct mbox *m = d->own;

	if (spool_flush(&d->pen, err) == -1 || sync_stage(d, err) == -1)
		return error_wrap(err, "in %s", d->state_dir);
	if (mboxlock_take(&m->lock, d->path, true, err) == -1 ||
	    lay_out(m, d->path, spools, n, err) == -1)
		return error_wrap(err, "mbox");
	return 0;
}

static int reserve(struct mbox *m, const char *path, struct error *err)
{
	char newlines[CHUNK];
	struct stat st;

	if (fstat(m->lock.fd, &st) == -1)
		return error_sys(err, ERR_IO, "%s", path);
	if ((uint64_t)st.st_size != m->base)
		return error_set(err, ERR_TEMP, "%s: another program wrote to it in spite of our lock",
		                 path);
	memset(newlines, '\n', sizeof newlines);
	m->touched = true;
	for (uint64_t at = m->base, n; at < m->end && WITHOUT != STEP_RESERVE; at += n) {
		n = m->end - at < CHUNK ? m->end - at : CHUNK;
		if (file_write_at(m->lock.fd, newlines, (size_t)n, (off_t)at, path, err) == -1)
			return -1;
	}
	return STEP(STEP_SYNC_RESERVE, file_sync(m->lock.fd, path, err));
}

/* What stands together in the stage, mostly the whole group, is one copy. */
static int fill(struct mbox *m, const char *path, const struct spool *spools, size_t n,
                struct error *err)
{
	uint64_t at = m->start, len;

	for (size_t i = 0; i < n; at += len) {
		uint64_t from = spools[i].at;

		for (len = 0; i < n && spools[i].at == from + len; i++)
			len += spools[i].size;
		if (file_copy(m->stage, (off_t)from, m->lock.fd, (off_t)at, len, path, err) == -1)
			return -1;
	}
	return STEP(STEP_SYNC_FILL, file_sync(m->lock.fd, path, err));
}

/* Makes the mbox what it was.  Only while nobody has appended in spite of the locks. */
static bool take_back(struct mbox *m, const char *path)
{
	struct error ignored = {0};
	struct stat st;

	if (!m->touched)
		return true;
	return fstat(m->lock.fd, &st) == 0 && (uint64_t)st.st_size >= m->base &&
	       (uint64_t)st.st_size <= m->end && ftruncate(m->lock.fd, (off_t)m->base) == 0 &&
	       file_sync(m->lock.fd, path, &ignored) == 0;
}

static int mbox_publish(struct deliver *d, struct spool *spools, size_t n, struct error *err)
{
	struct mbox *m = d->own;
	enum spool_fate fate = SPOOL_SAFE;

	if (reserve(m, d->path, err) == -1 || fill(m, d->path, spools, n, err) == -1)
		fate = take_back(m, d->path) ? SPOOL_VOID : SPOOL_UNSURE;
	for (size_t i = 0; i < n; i++)
		spools[i].fate = fate;
	return fate == SPOOL_SAFE ? 0 : error_wrap(err, "mbox");
}

static void mbox_release(struct deliver *d, struct spool *spools, size_t n)
{
	struct mbox *m = d->own;

	if (!mboxlock_release(&m->lock))
		m->litter = true;
	for (size_t i = 0; i < n; i++)
		if (spools[i].fate == SPOOL_UNSURE)
			m->keep = spools[i].at + spools[i].size;
	spool_release(&d->pen, spools, n, m->keep);
}

/* -- after a crash ------------------------------------------------------------------------ */

/* With the mbox locked. */
static int settle_locked(const struct deliver *d, int mbox, struct spool_past *past,
                         struct error *err)
{
	char *path = stage_path(d, past->run);
	int stage = open(path, O_RDONLY | O_CLOEXEC);
	int rc = -1;

	if (stage == -1 && errno != ENOENT)
		error_sys(err, ERR_IO, "cannot open %s", path);
	else
		rc = mboxplace_settle(mbox, past->path, stage, past, err);
	if (stage >= 0)
		close(stage);
	free(path);
	return rc;
}

static void set_fates(struct spool_past *past, enum spool_fate fate)
{
	for (size_t i = 0; i < past->count; i++)
		past->intents[i].fate = fate;
}

static int mbox_settle(const struct deliver *d, struct spool_past *past, struct error *err)
{
	struct mboxlock lock = {.run = past->run}; /* in its place, so that the next run can sweep */
	struct error why;
	int rc = 0;

	set_fates(past, SPOOL_UNSURE);
	if (past->count > 0)
		rc = mboxlock_take(&lock, past->path, false, &why);
	if (rc == -1 && why.sys == ENOENT) {
		set_fates(past, SPOOL_VOID); /* the mbox is gone, and they with it */
		rc = 0;
	} else if (rc == 0 && past->count > 0) {
		rc = settle_locked(d, lock.fd, past, &why);
	}
	if (!mboxlock_release(&lock) && rc == 0)
		rc = error_set(&why, ERR_IO, "cannot remove %s.lock", past->path);
	if (rc == 0)
		mboxlock_sweep(past->path, past->run);
	if (rc == 0)
		rc = remove_stage(d, past->run, &why);
	if (rc == -1) {
		set_fates(past, SPOOL_UNSURE);
		*err = why;
		return error_wrap(err, "mbox");
	}
	return 0;
}

const struct deliver_ops deliver_mbox = {
	.kind = "mbox",
	.group = DELIVER_GROUP,
	.intents = true,
	.form = SPOOL_MBOXRD,
	.joined = true,
	.open = mbox_open,
	.spool = mbox_spool,
	.drop = mbox_drop,
	.prepare = mbox_prepare,
	.publish = mbox_publish,
	.release = mbox_release,
	.settle = mbox_settle,
	.close = mbox_close,
};

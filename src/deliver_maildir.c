/* SPDX-License-Identifier: MIT */
/*
 * deliver_maildir.c - a Maildir: each message a file, written in tmp/, renamed into new/.
 *
 * The spool file is the message: it is written in tmp/ under its final name, and nothing is ever
 * copied.  A group's files are synced, their names are journalled as intents, then each is renamed
 * without replacing anything, and new/ is synced once.
 *
 * After a crash an intended name is in new/, in cur/ with flags where a mail reader was quicker, or
 * in tmp/ alone (whole: it was synced before the intent; it is renamed now).  In tmp/ and in one of
 * them is what was linked and not unlinked yet.  A name that is nowhere was never delivered, or was
 * moved on by a reader: it is fetched again, for a second copy is better than none.  All else in
 * tmp/ that bears the run's digits is swept.
 *
 * Names: SECONDS.MmicrosecondsPpidRtoken.host, as cr.yp.to/proto/maildir.html has it; the token is
 * 96 random bits, so neither clock, pid nor host must be unique.
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
#include <sys/time.h>
#include <unistd.h>

#include "file.h"

/* Descriptors of the directories that matter; -1 where not open. */
struct maildir {
	int tmp, new, cur;
	bool used;   /* something was made in tmp/ */
	bool litter; /* something in tmp/ could not be removed */
	long pid;
	char host[64];
};

/* -- the directories ---------------------------------------------------------------------- */

static char *path_of(const char *maildir, const char *part)
{
	struct str path = {.max = 8192};

	if (str_printf(&path, "%s/%s", maildir, part) == -1)
		return xstrdup(""); /* too long: opening it fails, and says so */
	return path.s;
}

static int open_part(const char *maildir, const char *part, bool make, struct error *err)
{
	char *path = path_of(maildir, part);
	int fd = -1;

	if (!make || file_mkdirs(path, err) == 0)
		fd = file_open_dir(path, err);
	free(path);
	return fd;
}

static void close_parts(struct maildir *m)
{
	int *parts[] = {&m->tmp, &m->new, &m->cur};

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		if (*parts[i] >= 0)
			close(*parts[i]);
		*parts[i] = -1;
	}
}

static int open_parts(struct maildir *m, const char *path, bool make, struct error *err)
{
	m->tmp = m->new = m->cur = -1;
	if ((m->tmp = open_part(path, "tmp", make, err)) == -1 ||
	    (m->new = open_part(path, "new", make, err)) == -1 ||
	    (m->cur = open_part(path, "cur", make, err)) == -1) {
		close_parts(m);
		return error_wrap(err, "Maildir %s", path);
	}
	return 0;
}

static int maildir_open(struct deliver *d, struct error *err)
{
	struct maildir *m = xcalloc(1, sizeof *m);

	d->path = d->account->target.maildir;
	if (open_parts(m, d->path, true, err) == -1) {
		free(m);
		return -1;
	}
	deliver_host_name(m->host, sizeof m->host);
	m->pid = (long)getpid();
	d->own = m;
	return 0;
}

static bool maildir_close(struct deliver *d)
{
	struct maildir *m = d->own;
	struct error ignored;
	bool clean = m == NULL || !m->litter;

	/* A name that left tmp/ can come back with a power cut, and nobody will know of it. */
	if (clean && m != NULL && m->used)
		clean = file_sync_dir(m->tmp, d->path, &ignored) == 0;
	if (m != NULL)
		close_parts(m);
	free(m);
	d->own = NULL;
	return clean;
}

/* -- one message -------------------------------------------------------------------------- */

static int maildir_spool(struct deliver *d, struct spool *spool, struct error *err)
{
	struct maildir *m = d->own;
	struct timeval now;

	gettimeofday(&now, NULL);
	snprintf(spool->place, sizeof spool->place, "%lld.M%06ldP%ldR%s.%s", (long long)now.tv_sec,
	         (long)now.tv_usec, m->pid, spool->token, m->host);
	spool->at = 0;
	spool->fd = openat(m->tmp, spool->place, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (spool->fd == -1)
		return error_sys(err, error_kind_of(errno), "create %s/tmp/%s", d->path, spool->place);
	m->used = true;
	return 0;
}

static void close_spool(struct spool *spool)
{
	if (spool->fd >= 0)
		close(spool->fd);
	spool->fd = -1;
}

static void maildir_drop(struct deliver *d, struct spool *spool)
{
	struct maildir *m = d->own;

	close_spool(spool);
	if (spool->place[0] != '\0' && unlinkat(m->tmp, spool->place, 0) == -1 && errno != ENOENT)
		m->litter = true;
	spool->place[0] = '\0';
}

/* -- a group ------------------------------------------------------------------------------ */

static int maildir_prepare(struct deliver *d, struct spool *spools, size_t n, struct error *err)
{
	int fds[DELIVER_GROUP] = {0};

	for (size_t i = 0; i < n; i++)
		fds[i] = spools[i].fd;
	if (STEP(STEP_SYNC_SPOOL, file_sync_all(fds, n, "the files in tmp/", err)) == -1)
		return error_wrap(err, "Maildir %s", d->path);
	for (size_t i = 0; i < n; i++) {
		int fd = spools[i].fd;

		spools[i].fd = -1;
		if (close(fd) == -1 && errno != EINTR)
			return error_sys(err, error_kind_of(errno), "close %s/tmp/%s", d->path,
			                 spools[i].place);
	}
	return 0; /* a name that a power cut takes from tmp/ is a void intent: fetched again */
}

/* What could not be renamed leaves tmp/ again, so that it is certainly not delivered. */
static void take_back(struct maildir *m, struct spool *spools, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool gone = unlinkat(m->tmp, spools[i].place, 0) == 0;

		spools[i].fate = gone ? SPOOL_VOID : SPOOL_UNSURE;
	}
}

static int maildir_publish(struct deliver *d, struct spool *spools, size_t n, struct error *err)
{
	struct maildir *m = d->own;
	struct error late;
	size_t moved = 0;
	enum spool_fate fate = SPOOL_SAFE;
	int rc = 0;

	while (moved < n && rc == 0) {
		const char *name = spools[moved].place;

		rc = file_publish(m->tmp, name, m->new, name, err);
		if (rc == 0)
			moved++;
	}
	if (moved > 0 &&
	    STEP(STEP_SYNC_NEW, file_sync_dir(m->new, d->path, rc == 0 ? err : &late)) == -1) {
		fate = SPOOL_UNSURE;
		rc = -1;
	}
	for (size_t i = 0; i < moved; i++)
		spools[i].fate = fate;
	take_back(m, spools + moved, n - moved);
	return rc == -1 ? error_wrap(err, "Maildir %s", d->path) : 0;
}

static void maildir_release(struct deliver *d, struct spool *spools, size_t n)
{
	(void)d;
	for (size_t i = 0; i < n; i++)
		close_spool(&spools[i]);
}

/* -- after a crash ------------------------------------------------------------------------ */

/* 1: it is there; 0: it certainly is not; -1: who could not look must not say that it is not. */
static int is_in(int dir, const char *name, struct error *err)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : error_sys(err, error_kind_of(errno), "look for %s", name);
}

/* Calls for each entry of a directory; the descriptor stays the caller's. */
static int for_each_entry(int dir, void (*entry)(void *arg, const char *name), void *arg,
                          struct error *err)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (stream == NULL) {
		if (fd >= 0)
			close(fd);
		return error_sys(err, error_kind_of(errno), "read the directory");
	}
	while (errno = 0, (e = readdir(stream)) != NULL)
		entry(arg, e->d_name);
	if (errno != 0)
		error_sys(err, ERR_IO, "read the directory");
	else
		fd = -1; /* all was read */
	closedir(stream);
	return fd == -1 ? 0 : -1;
}

/* A reader that moves a message to cur/ adds its flags behind the name; ":" is the standard,
 * "," ";" "!" are used where a file system forbids it. */
static void find_read_one(void *arg, const char *name)
{
	struct spool_past *past = arg;
	size_t n = strcspn(name, ":,;!");

	for (size_t i = 0; i < past->count; i++) {
		struct spool_intent *intent = &past->intents[i];

		if (intent->fate == SPOOL_UNSURE && strlen(intent->place) == n &&
		    memcmp(intent->place, name, n) == 0)
			intent->fate = SPOOL_SAFE;
	}
}

struct sweep {
	int tmp, sys;           /* sys: errno where one could not be removed */
	char mark[SPOOL_TOKEN]; /* "R" and the run's digits */
};

static void sweep_one(void *arg, const char *name)
{
	struct sweep *sweep = arg;

	if (strstr(name, sweep->mark) != NULL && unlinkat(sweep->tmp, name, 0) == -1 &&
	    errno != ENOENT)
		sweep->sys = errno;
}

/* Finds what is delivered already: in new/ first, for from there it goes to cur/. */
static int find_delivered(struct maildir *m, struct spool_past *past, struct error *err)
{
	for (size_t i = 0; i < past->count; i++) {
		int here = is_in(m->new, past->intents[i].place, err);

		if (here == -1)
			return -1;
		past->intents[i].fate = here ? SPOOL_SAFE : SPOOL_UNSURE;
	}
	return for_each_entry(m->cur, find_read_one, past, err);
}

/* Brings what stands in tmp/ alone to new/.  What is delivered and in tmp/, too, is swept: there a
 * rename that was done as link and unlink has been cut in two. */
static int roll_forward(struct maildir *m, struct spool_past *past, struct error *err)
{
	for (size_t i = 0; i < past->count; i++) {
		struct spool_intent *intent = &past->intents[i];
		const char *name = intent->place;
		int waiting;

		if (intent->fate == SPOOL_SAFE)
			continue;
		waiting = is_in(m->tmp, name, err);
		if (waiting == -1 || (waiting && file_publish(m->tmp, name, m->new, name, err) == -1))
			return -1;
		intent->fate = waiting ? SPOOL_SAFE : SPOOL_VOID;
	}
	return 0;
}

/* In the order of a message's way: what has left new/ is in cur/. */
static int sync_delivered(struct maildir *m, struct spool_past *past, struct error *err)
{
	if (file_sync_dir(m->cur, past->path, err) == -1)
		return -1;
	return file_sync_dir(m->new, past->path, err);
}

static int settle_all(struct maildir *m, struct spool_past *past, struct error *err)
{
	struct sweep sweep = {.tmp = m->tmp};

	if (past->count > 0 &&
	    (find_delivered(m, past, err) == -1 || roll_forward(m, past, err) == -1 ||
	     sync_delivered(m, past, err) == -1))
		return -1;
	snprintf(sweep.mark, sizeof sweep.mark, "R%s", past->run);
	if (for_each_entry(m->tmp, sweep_one, &sweep, err) == -1)
		return -1;
	if ((errno = sweep.sys) != 0)
		return error_sys(err, error_kind_of(errno), "clean tmp/");
	return file_sync_dir(m->tmp, past->path, err); /* nobody will know of them any more */
}

static int maildir_settle(const struct deliver *d, struct spool_past *past, struct error *err)
{
	struct maildir m;
	int rc;

	(void)d;
	if (open_parts(&m, past->path, false, err) == -1) {
		if (err->sys != ENOENT)
			return -1;
		for (size_t i = 0; i < past->count; i++) /* the Maildir is gone, and they with it */
			past->intents[i].fate = SPOOL_VOID;
		return 0;
	}
	rc = settle_all(&m, past, err);
	close_parts(&m);
	return rc == -1 ? error_wrap(err, "Maildir %s", past->path) : 0;
}

const struct deliver_ops deliver_maildir = {
	.kind = "maildir",
	.group = DELIVER_GROUP,
	.intents = true,
	.form = SPOOL_PLAIN,
	.open = maildir_open,
	.spool = maildir_spool,
	.drop = maildir_drop,
	.prepare = maildir_prepare,
	.publish = maildir_publish,
	.release = maildir_release,
	.settle = maildir_settle,
	.close = maildir_close,
};

/* SPDX-License-Identifier: MIT */
/*
 * deliver_stdout.c - messages on standard output, as an mbox (mboxrd).
 *
 * Each message is whole in a spool file before a byte of it is written, and a group is written in
 * one go.  That file has no name, and all messages stand in it one behind the other.  Where
 * standard output is a file it is synced; a pipe cannot say what its reader has done, so there
 * "delivered" means written.  Nothing can be settled after a crash, and what was written cannot be
 * taken back: a message that fails half way has left its first part, and comes whole the next time.
 *
 * A reader that went away is an error of this account (SIGPIPE is ignored in a worker).
 */
#include "config.h"

#include "deliver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "file.h"

struct output {
	int file; /* the spools'; -1 until the first message */
};

static const char output_name[] = "standard output";

static int stdout_open(struct deliver *d, struct error *err)
{
	int flags = fcntl(STDOUT_FILENO, F_GETFL);
	struct output *out;

	d->path = "";
	/* where it was closed, main has put something unwritable in its place */
	if (flags == -1 || (flags & O_ACCMODE) == O_RDONLY)
		return error_set(err, ERR_CANTCREATE, "%s is closed", output_name);
	out = xcalloc(1, sizeof *out);
	out->file = -1;
	d->own = out;
	return 0;
}

static int stdout_spool(struct deliver *d, struct spool *spool, struct error *err)
{
	struct output *out = d->own;

	spool->place[0] = '\0';
	if (out->file == -1 && (out->file = file_temp(d->state_dir, err)) == -1)
		return -1;
	spool->fd = out->file;
	spool->at = spool_next(&d->pen);
	return 0;
}

static void stdout_drop(struct deliver *d, struct spool *spool)
{
	spool_drop(&d->pen, spool);
}

/* The spool file need not survive a crash: nothing would find it. */
static int stdout_prepare(struct deliver *d, struct spool *spools, size_t n, struct error *err)
{
	(void)spools, (void)n;
	return spool_flush(&d->pen, err) == -1 ? error_wrap(err, "in %s", d->state_dir) : 0;
}

/* As file_sync, but for what cannot be synced: pipes, terminals, /dev/null. */
static int sync_output(struct error *err)
{
	int rc;

	while ((rc = fdatasync(STDOUT_FILENO)) == -1 && errno == EINTR)
		;
	if (rc == -1 && errno != EINVAL && errno != EROFS)
		return error_sys(err, ERR_IO, "cannot sync %s", output_name);
	return 0;
}

static int stdout_publish(struct deliver *d, struct spool *spools, size_t n, struct error *err)
{
	struct error late;
	size_t written = 0;
	int rc = 0;

	(void)d;
	while (written < n && rc == 0) {
		const struct spool *spool = &spools[written];

		rc = file_copy(spool->fd, (off_t)spool->at, STDOUT_FILENO, -1, spool->size, output_name,
		               err);
		if (rc == 0)
			written++;
		else
			err->kind = ERR_IO;
	}
	if (written > 0 && sync_output(rc == 0 ? err : &late) == -1) {
		written = 0;
		rc = -1;
	}
	for (size_t i = 0; i < n; i++)
		spools[i].fate = i < written ? SPOOL_SAFE : SPOOL_VOID;
	return rc;
}

static void stdout_release(struct deliver *d, struct spool *spools, size_t n)
{
	spool_release(&d->pen, spools, n, 0);
}

static bool stdout_close(struct deliver *d)
{
	struct output *out = d->own;

	if (out != NULL && out->file >= 0)
		close(out->file); /* it has no name: a failure to close it can lose nothing */
	free(out);
	d->own = NULL;
	return true;
}

const struct deliver_ops deliver_stdout = {
	.kind = "stdout",
	.group = DELIVER_GROUP,
	.intents = false,
	.form = SPOOL_MBOXRD,
	.joined = true,
	.open = stdout_open,
	.spool = stdout_spool,
	.drop = stdout_drop,
	.prepare = stdout_prepare,
	.publish = stdout_publish,
	.release = stdout_release,
	.settle = NULL,
	.close = stdout_close,
};

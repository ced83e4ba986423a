/* SPDX-License-Identifier: MIT */
/*
 * deliver_mda.c - a program of the user takes each message on its standard input.
 *
 * The program is not run here: the worker, which reads hostile bytes, only asks the supervisor to
 * run the account's MDA on the spool file (request.c), and is told how it ended.  So `mda` and
 * `mda_shell` are the same here.
 *
 * Exit status 0 is delivered, and so is the mda_drop_status of those who want a message to be
 * dropped; all else is not.  Nothing can be settled after a crash: a message whose MDA was running
 * then is handed to it once more.
 */
#include "config.h"

#include "deliver.h"

#include <unistd.h>

#include "child.h"
#include "request.h"

/* The supervisor splits the words again; here a mistake in them is found before it costs a
 * session. */
static int mda_open(struct deliver *d, struct error *err)
{
	char **words;

	d->path = "";
	if (d->account->target.mda == NULL)
		return 0;
	words = child_words(d->account->target.mda, err);
	if (words == NULL)
		return error_wrap(err, "mda");
	child_words_free(words);
	return 0;
}

/* The spool file need not survive a crash: nothing would find it.  Each message has its own, for
 * what a program left running still reads of one must not become the next. */
static int mda_spool(struct deliver *d, struct spool *spool, struct error *err)
{
	(void)d, (void)err;
	spool->place[0] = '\0';
	spool->at = 0;
	spool->fd = -1;
	return 0;
}

static void mda_drop(struct deliver *d, struct spool *spool)
{
	(void)d;
	if (spool->fd >= 0)
		close(spool->fd); /* unlinked: a failure to close it can lose nothing */
	spool->fd = -1;
}

static int mda_prepare(struct deliver *d, struct spool *spools, size_t n, struct error *err)
{
	(void)d, (void)spools, (void)n, (void)err;
	return 0;
}

static int mda_publish(struct deliver *d, struct spool *spools, size_t n, struct error *err)
{
	uint64_t status;

	for (size_t i = 0; i < n; i++) {
		spools[i].fate = SPOOL_VOID;
		if (request_run(d->link_fd, EVENT_MDA, &spools[i], &status, err) == -1)
			return -1;
		if (status != 0)
			note(NOTE_INFO, "message %lu: the MDA has dropped it, with exit status %u",
			     (unsigned long)spools[i].num, (unsigned)status);
		spools[i].fate = SPOOL_SAFE;
	}
	return 0;
}

static void mda_release(struct deliver *d, struct spool *spools, size_t n)
{
	for (size_t i = 0; i < n; i++)
		mda_drop(d, &spools[i]);
}

static bool mda_close(struct deliver *d)
{
	(void)d;
	return true;
}

const struct deliver_ops deliver_mda = {
	.kind = "mda",
	.group = 1,
	.intents = false,
	.form = SPOOL_PLAIN,
	.open = mda_open,
	.spool = mda_spool,
	.drop = mda_drop,
	.prepare = mda_prepare,
	.publish = mda_publish,
	.release = mda_release,
	.settle = NULL,
	.close = mda_close,
};

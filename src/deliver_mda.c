/* SPDX-License-Identifier: MIT */
/*
 * deliver_mda.c - a program of the user takes each message on its standard input.
 *
 * The program is not run here: the worker, which reads hostile bytes, only asks the supervisor to
 * run the account's MDA on the spool file (request.c), and is told how it ended.  So `mda` and
 * `mda_shell` are the same here.
 *
 * Exit status 0 is delivered, and so is the mda_drop_status of those who want a message to be
 * dropped; all else is not.  Nothing can be settled after a crash: messages whose MDA was running
 * then are handed out once more.  As many as mda_jobs says are handed out together, and the journal
 * learns of them when the last has ended; they may be filed in another order than they came in.
 */
#include "config.h"

#include "deliver.h"

#include <stdlib.h>
#include <unistd.h>

#include "child.h"
#include "request.h"

/* The supervisor splits the words again; here a mistake in them is found before it costs a
 * session. */
static int mda_open(struct deliver *d, struct error *err)
{
	char **words;

	d->path = "";
	if (d->account->target.mda != NULL) {
		words = child_words(d->account->target.mda, err);
		if (words == NULL)
			return error_wrap(err, "mda");
		child_words_free(words);
	}
	d->own = xcalloc(MDA_JOBS, sizeof(struct error)); /* of each of a group */
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

static int take_end(struct spool *spool, struct error *why, const struct request_end *end)
{
	if (end->why.kind != ERR_NONE) {
		*why = end->why;
		spool->why = why;
		return -1;
	}
	if (end->status != 0)
		note(NOTE_INFO, "message %lu: the MDA has dropped it, with exit status %u",
		     (unsigned long)spool->num, (unsigned)end->status);
	spool->fate = SPOOL_SAFE;
	return 0;
}

/* All that were asked for are waited for, for what one failed of tells nothing of the others.  What
 * is not one message's own affair goes first into *err. */
static int mda_publish(struct deliver *d, struct spool *spools, size_t n, struct error *err)
{
	struct error *reasons = d->own;
	struct request_end end;
	size_t asked = 0, heard, i;
	int rc = 0;

	for (i = 0; i < n; i++)
		spools[i].fate = SPOOL_VOID;
	while (rc == 0 && asked < n) {
		rc = request_start(d->link_fd, EVENT_MDA, &spools[asked], err);
		asked += rc == 0;
	}
	for (heard = 0; heard < asked; heard++) {
		if (request_end(d->link_fd, EVENT_MDA, &end, err) == -1)
			return -1;
		for (i = 0; i + 1 < asked && spools[i].num != end.num; i++)
			;
		if (take_end(&spools[i], &reasons[i], &end) == 0)
			continue;
		if (rc == 0 || !end.why.one_message)
			*err = end.why;
		rc = -1;
	}
	return rc;
}

static void mda_release(struct deliver *d, struct spool *spools, size_t n)
{
	for (size_t i = 0; i < n; i++)
		mda_drop(d, &spools[i]);
}

static bool mda_close(struct deliver *d)
{
	free(d->own);
	d->own = NULL;
	return true;
}

const struct deliver_ops deliver_mda = {
	.kind = "mda",
	.programs = true,
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

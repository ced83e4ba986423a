/* SPDX-License-Identifier: MIT */
/*
 * deliver_mda.c - a program of the user takes each message on its standard input.
 *
 * The program is not run here: the worker, which reads hostile bytes, only asks the supervisor
 * through the link to run the account's MDA on a descriptor, and is told how it ended.  The
 * descriptor is the spool file itself, whole before anybody is asked, so not even a kill can cut
 * off what the MDA reads.  So `mda` and `mda_shell` are the same here.
 *
 * Only exit status 0 is delivered.  Nothing can be settled after a crash: a message whose MDA was
 * running then is handed to it once more.  The time limit is the supervisor's; after a request
 * to stop the MDA under way still gets 10 s, for its success would have to be repeated.
 */
#include "config.h"

#include "deliver.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "file.h"
#include "link.h"

#define STOP_GRACE_MS 10000 /* for an MDA under way when we are asked to stop */
#define LOOK_MS 250         /* how often stop_requested is looked at */

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

static int mda_spool(struct deliver *d, struct spool *spool, struct error *err)
{
	spool->place[0] = '\0';
	spool->at = 0;
	spool->fd = file_temp(d->state_dir, err);
	return spool->fd == -1 ? -1 : 0;
}

static void mda_drop(struct deliver *d, struct spool *spool)
{
	(void)d;
	if (spool->fd >= 0)
		close(spool->fd); /* unlinked: a failure to close it can lose nothing */
	spool->fd = -1;
}

/* The spool file need not survive a crash: nothing would find it. */
static int mda_prepare(struct deliver *d, struct spool *spools, size_t n, struct error *err)
{
	(void)d, (void)spools, (void)n, (void)err;
	return 0;
}

static int ask(const struct deliver *d, const struct spool *spool, struct error *err)
{
	struct event event = {.kind = EVENT_MDA, .num = spool->num, .bytes = spool->size,
	                      .kept = spool->octets, .total = spool->attempt};
	size_t len;

	text_copy(event.text, sizeof event.text - 1, spool->sender);
	len = strlen(event.text);
	event.text[len++] = '\n';
	printable(event.text + len, sizeof event.text - len, spool->uid.p, spool->uid.len);
	if (lseek(spool->fd, 0, SEEK_SET) == -1) /* the offset goes with the descriptor */
		return error_sys(err, ERR_IO, "cannot rewind the spool file");
	return link_send(d->link_fd, &event, spool->fd, err);
}

/* Waits for the answer.  A stop is noticed by looking, for signals may come just before poll. */
static int hear(int link, struct event *event, struct error *err)
{
	struct pollfd answer = {.fd = link, .events = POLLIN};
	struct error why;
	uint64_t deadline = 0;
	int rc;

	for (;;) {
		if (deadline == 0 && stop_asked())
			deadline = clock_ms() + STOP_GRACE_MS;
		if (deadline != 0 && clock_ms() >= deadline)
			return error_set(err, ERR_STOP, "stopped while the MDA was running");
		rc = poll(&answer, 1, LOOK_MS);
		if (rc == -1 && errno != EINTR)
			return error_sys(err, ERR_IO, "cannot wait for the MDA");
		if (rc <= 0)
			continue;
		rc = link_take(link, event, NULL, &why);
		if (rc == 0)
			return error_set(err, ERR_TEMP, "the supervisor is gone");
		if (rc == -1 && why.sys != EAGAIN) {
			*err = why;
			return -1;
		}
		if (rc == 1 && event->kind == EVENT_MDA_DONE)
			return 0;
	}
}

static int mda_publish(struct deliver *d, struct spool *spools, size_t n, struct error *err)
{
	struct event event;

	for (size_t i = 0; i < n; i++) {
		spools[i].fate = SPOOL_VOID;
		if (ask(d, &spools[i], err) == -1 || hear(d->link_fd, &event, err) == -1)
			return -1;
		if (event.error != ERR_NONE) {
			error_set(err, (enum error_kind)event.error, "%s", event.text);
			err->one_message = event.one_message;
			return -1;
		}
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

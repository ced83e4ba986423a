/* SPDX-License-Identifier: MIT */
/*
 * deliver.c - what all destinations share: spooling one message, and our own host name.
 *
 * A destination is its table of operations (deliver.h); this file is the thin door in front of
 * it for fetch.c: a token for each message, the destination's file, and the pen that writes it.
 */
#include "config.h"

#include "deliver.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define OTHER_FDS 32 /* what a worker has open beside its spool files */

int deliver_begin(struct deliver *d, struct spool *spool, struct error *err)
{
	spool->fd = -1;
	spool_token(&d->pen, d->run, spool->token);
	if (d->ops->spool(d, spool, err) == -1)
		return -1;
	d->style.form = d->ops->form;
	d->style.synced = d->ops->intents;
	d->style.joined = d->ops->joined;
	d->style.scratch = d->state_dir;
	spool_begin(&d->pen, &d->style, spool);
	return 0;
}

char *deliver_room(const struct deliver *d, size_t *room)
{
	return spool_room(&d->pen, room);
}

int deliver_took(struct deliver *d, size_t len, struct error *err)
{
	return spool_took(&d->pen, len, err);
}

int deliver_end(struct deliver *d, struct error *err)
{
	return spool_end(&d->pen, err);
}

void deliver_drop(struct deliver *d, struct spool *spool)
{
	spool_abandon(&d->pen);
	d->ops->drop(d, spool);
}

unsigned deliver_group(const struct deliver *d)
{
	unsigned group = d->ops->programs ? (unsigned)d->account->target.mda_jobs : d->ops->group;
	struct rlimit most;

	if (getrlimit(RLIMIT_NOFILE, &most) == -1 || most.rlim_cur >= group + OTHER_FDS)
		return group;
	return most.rlim_cur > OTHER_FDS ? (unsigned)(most.rlim_cur - OTHER_FDS) : 1;
}

/* Maildir names may hold no "/" and ":", and headers no blank: only what RFC 952 knows passes. */
void deliver_host_name(char *to, size_t size)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
	char name[256];
	size_t n = 0;

	if (gethostname(name, sizeof name) == -1)
		name[0] = '\0';
	name[sizeof name - 1] = '\0';
	for (const char *p = name; *p != '\0' && n + 1 < size; p++)
		if (strchr(good, *p) != NULL)
			to[n++] = *p;
	to[n] = '\0';
	if (n == 0 || to[0] == '.' || to[0] == '-')
		text_copy(to, size, "localhost");
}

/* SPDX-License-Identifier: MIT */
/*
 * request.c - has a program of the user run on a spool file.
 *
 * The descriptor that is sent is the spool file itself, whole before anybody is asked, so not even
 * a kill can cut off what the program reads.  The time limit is the supervisor's.
 *
 * Nothing of the request is believed there but that it is about a message of this account.  Called
 * by deliver_mda.c and sift.c.
 */
#include "config.h"

#include "request.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define STOP_GRACE_MS 10000 /* for a program under way when we are asked to stop */
#define LOOK_MS 250         /* how often stop_requested is looked at */

int request_start(int link, enum event_kind kind, const struct spool *spool, struct error *err)
{
	struct event event = {.kind = kind, .num = spool->num, .kept = spool->octets,
	                      .bytes = kind == EVENT_FILTER ? spool->octets : spool->size,
	                      .total = spool->attempt, .level = spool->part};
	size_t len;

	text_copy(event.text, sizeof event.text - 1, spool->sender);
	len = strlen(event.text);
	event.text[len++] = '\n';
	printable(event.text + len, sizeof event.text - len, spool->uid.p, spool->uid.len);
	if (lseek(spool->fd, 0, SEEK_SET) == -1) /* the offset goes with the descriptor */
		return error_sys(err, ERR_IO, "cannot rewind the spool file");
	return link_send(link, &event, spool->fd, err);
}

/* Waits for the answer.  A stop is noticed by looking, for signals may come just before poll. */
static int hear(int link, const char *whom, struct event *event, struct error *err)
{
	struct pollfd answer = {.fd = link, .events = POLLIN};
	struct error why;
	uint64_t deadline = 0;
	int rc;

	for (;;) {
		if (deadline == 0 && stop_asked())
			deadline = clock_ms() + STOP_GRACE_MS;
		if (deadline != 0 && clock_ms() >= deadline)
			return error_set(err, ERR_STOP, "stopped while the %s was running", whom);
		rc = poll(&answer, 1, LOOK_MS);
		if (rc == -1 && errno != EINTR)
			return error_sys(err, ERR_IO, "cannot wait for the %s", whom);
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

int request_end(int link, enum event_kind kind, struct request_end *end, struct error *err)
{
	struct event event;

	if (hear(link, kind == EVENT_FILTER ? "filter" : "MDA", &event, err) == -1)
		return -1;
	*end = (struct request_end){.num = event.num, .status = event.total};
	if (event.error != ERR_NONE) {
		error_set(&end->why, (enum error_kind)event.error, "%s", event.text);
		end->why.one_message = event.one_message;
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * sift.c - of the messages that could be fetched, which are.
 *
 * The filter gets a header as an MDA gets a message: a finished, unlinked file as its standard
 * input.  Only three exit statuses mean anything.  A filter that fails never deletes a message and
 * never hides one: that it failed is told, and the message is tried again later.
 *
 * What it says is not remembered.  A message that it leaves is shown to it again in the next run,
 * for what it looks at may be the hour; one that it has deleted may be back when the answer to QUIT
 * was lost, and is shown to it again, too.
 *
 * Called by fetch.c.
 */
#include "config.h"

#include "sift.h"

#include <inttypes.h>

#include "mda.h"
#include "request.h"

#define MOST_TOLD 10 /* large messages, before the others are only counted */

int sift_check_server(const struct pop3 *pop3, const struct policy *policy, struct error *err)
{
	bool headers = policy->max_size > 0 && policy->oversize == OVERSIZE_HEADERS;

	if ((policy->filter == NULL && !headers) || !pop3->capa.known || pop3->capa.top)
		return 0;
	return error_set(err, ERR_CONFIG, "%s: this server does not show headers (TOP), so nothing was "
	                 "fetched; all mail is on the server; %s",
	                 policy->filter != NULL ? "filter" : "oversize = headers",
	                 policy->filter != NULL ? "let the MDA decide" : "say leave or delete");
}

static void tell_large(const struct listing *listing, uint32_t num, const struct policy *policy)
{
	const struct message *message = &listing->messages[num - 1];
	struct wire_span uid = listing_uid(listing, message);
	char shown[80] = "none";

	if (uid.len > 0)
		printable(shown, sizeof shown, uid.p, uid.len);
	note(NOTE_WARN, "message %lu (uid %s) has %" PRIu64 " octets, and max_size is %" PRIu64 ": %s",
	     (unsigned long)num, shown, message->octets, policy->max_size,
	     message->act == ACT_DELETE ? "it is deleted without being fetched"
	                                : "it stays on the server");
}

int sift_tell_large(const struct listing *listing, struct seen *seen, const struct policy *policy,
                    struct error *err)
{
	unsigned long told = 0;

	for (uint32_t num = 1; num <= listing->count; num++) {
		const struct message *message = listing_message(listing, num);
		struct wire_span uid = listing_uid(listing, message);

		if (message->why != WHY_TOO_BIG || message->act == ACT_FETCH)
			continue;
		if (message->act == ACT_DELETE) {
			tell_large(listing, num, policy);
			continue;
		}
		if (seen_large(seen, uid, message->octets) != LARGE_NEW)
			continue;
		if (told++ < MOST_TOLD)
			tell_large(listing, num, policy);
		if (seen_told_large(seen, uid, message->octets, err) == -1)
			return -1;
	}
	if (told > MOST_TOLD)
		note(NOTE_WARN, "%lu more messages are above max_size: they stay on the server, too",
		     told - MOST_TOLD);
	return 0;
}

struct deliver sift_open(const struct deliver *d)
{
	return (struct deliver){.ops = &deliver_mda, .account = d->account, .state_dir = d->state_dir,
	                        .run = d->run, .path = "", .link_fd = d->link_fd};
}

int sift_ask(const struct deliver *sieve, const struct spool *header, enum message_act *act,
             struct error *err)
{
	struct request_end end;

	if (request_start(sieve->link_fd, EVENT_FILTER, header, err) == -1 ||
	    request_end(sieve->link_fd, EVENT_FILTER, &end, err) == -1)
		return -1;
	if (end.why.kind != ERR_NONE) {
		*err = end.why;
		return -1;
	}
	*act = end.status == MDA_FILTER_DELETE ? ACT_DELETE
	       : end.status == MDA_FILTER_LEAVE ? ACT_LEAVE : ACT_FETCH;
	note(NOTE_INFO, "message %lu: the filter %s it", (unsigned long)header->num,
	     *act == ACT_FETCH ? "takes" : *act == ACT_DELETE ? "deletes" : "leaves");
	return 0;
}

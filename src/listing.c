/* SPDX-License-Identifier: MIT */
/*
 * listing.c - what the server says it holds, made of STAT, UIDL and LIST lines.
 *
 * STAT's count is the measure: it says how much memory there is, and a number above it is not
 * believed, whatever UIDL and LIST say.  Of two lines for one message the first counts, for
 * a server that repeats itself is not more credible the second time.  Nothing here fails:
 * a line that cannot be used is counted in bad, and the caller may say so.
 *
 * UIDs stand one behind the other in one string.  Called by pop3.c; plan.c and fetch.c read it.
 */
#include "config.h"

#include "listing.h"

#include <stdlib.h>

/* RFC 1939 section 7 has UIDs of 70 bytes at most.  Longer ones are taken while there is room, so
 * that a liar cannot make us hold a gigabyte of them; uid_at has 32 bits. */
#define USUAL_UID 72
#define SPARE_UIDS (16u << 20)

void listing_init(struct listing *listing, uint32_t count, uint64_t octets)
{
	if (count > WIRE_MAX_COUNT)
		count = WIRE_MAX_COUNT;
	*listing = (struct listing){.count = count, .octets = octets};
	if (count > 0)
		listing->messages = xcalloc(count, sizeof *listing->messages);
	listing->uids.max = (size_t)count * USUAL_UID + SPARE_UIDS;
}

void listing_free(struct listing *listing)
{
	free(listing->messages);
	str_free(&listing->uids);
	*listing = (struct listing){0};
}

bool listing_is_whole(const struct listing *listing)
{
	for (uint32_t num = 1; num <= listing->count; num++)
		if (listing_message(listing, num)->uid_len == 0)
			return false;
	return listing->bad == 0 && !listing->no_uidl;
}

struct message *listing_message(const struct listing *listing, uint32_t num)
{
	return num >= 1 && num <= listing->count ? &listing->messages[num - 1] : NULL;
}

bool listing_is_unread(const struct message *message)
{
	return message->why == WHY_FILTER || message->why == WHY_TOO_BIG;
}

struct wire_span listing_uid(const struct listing *listing, const struct message *message)
{
	if (message->uid_len == 0)
		return (struct wire_span){"", 0};
	return (struct wire_span){listing->uids.s + message->uid_at, message->uid_len};
}

static void pass_over(struct listing *listing)
{
	if (listing->bad < UINT32_MAX)
		listing->bad++;
}

void listing_uidl(struct listing *listing, const char *line, size_t len)
{
	struct message *message = NULL;
	struct wire_span uid;
	size_t at = listing->uids.len;
	uint32_t num;

	if (wire_uidl(line, len, &num, &uid))
		message = listing_message(listing, num);
	if (message == NULL || message->uid_len > 0 || str_add(&listing->uids, uid.p, uid.len) == -1) {
		pass_over(listing);
		return;
	}
	message->uid_at = (uint32_t)at;
	message->uid_len = (uint16_t)uid.len;
}

void listing_list(struct listing *listing, const char *line, size_t len)
{
	struct message *message = NULL;
	uint64_t octets;
	uint32_t num;

	if (wire_list(line, len, &num, &octets))
		message = listing_message(listing, num);
	if (message == NULL || message->listed) {
		pass_over(listing);
		return;
	}
	message->octets = octets;
	message->listed = true;
}

/* SPDX-License-Identifier: MIT */
/*
 * listing.h - what the server says it holds, made of STAT, UIDL and LIST lines.  Pure but for
 * its own memory.
 *
 * Servers contradict themselves; a message is believed where STAT's count covers its number.
 * Lines that are malformed, out of range, or repeat a number are counted in bad and passed
 * over.  Memory: 40 bytes for each message STAT announced, at most WIRE_MAX_COUNT, and the UIDs, at
 * most 72 bytes for each and 16 MiB.
 */
#ifndef LISTING_H
#define LISTING_H

#include "base.h"
#include "wire.h"

enum message_act {
	ACT_LEAVE,
	ACT_FETCH,
	ACT_DELETE /* delivered by an earlier session: DELE without RETR */
};

enum message_why {
	WHY_NEW,       /* FETCH: never delivered */
	WHY_CHANGED,   /* FETCH: the UID is known but the message is another one */
	WHY_KEPT,      /* LEAVE: delivered, and the policy keeps it */
	WHY_EXPIRED,   /* DELETE: kept long enough, or delivered and never to be kept */
	WHY_TOO_BIG,   /* LEAVE or DELETE: above max_size; FETCH: of the header alone */
	WHY_HEADER,    /* LEAVE: the same, and its header was delivered before */
	WHY_LIMIT,     /* LEAVE: the run's limit is reached; a later run takes it */
	WHY_FAILED,    /* LEAVE: it failed before, and its next try is not due */
	WHY_NO_UID,    /* LEAVE: no UID, so it cannot be kept and remembered */
	WHY_UNLISTED,  /* LEAVE: neither UIDL nor LIST has it */
	WHY_FILTER     /* DELETE: the filter wants that */
};

struct message {
	uint64_t octets;    /* by LIST; 0 where it has no line; may be wrong: never used for framing */
	uint32_t uid_at;    /* offset in listing.uids */
	uint32_t failures;  /* how often it failed before */
	uint16_t uid_len;   /* 0: no UID */
	uint8_t listed;     /* LIST had a line */
	uint8_t act;        /* enum message_act, by plan.c */
	uint8_t why;        /* enum message_why */
	bool last;          /* it failed before: it is fetched after the others */
	bool part;          /* FETCH: the header alone */
	bool sift;          /* FETCH: if the filter takes it */
	bool told;          /* that it failed before */
	uint32_t entry;     /* what the journal knows it by, for seen_gone; 0: nothing */
	uint64_t since;     /* wall clock of its delivery in s, where it is known */
};

struct listing {
	struct message *messages; /* [num - 1] */
	uint32_t count;           /* by STAT */
	uint64_t octets;          /* by STAT */
	struct str uids;
	uint32_t bad;             /* lines passed over */
	bool no_uidl;             /* the server refused UIDL */
	bool sealed;              /* by plan_seal */
};

/* Makes room for count messages.  A zeroed listing is valid and freeable. */
void listing_init(struct listing *listing, uint32_t count, uint64_t octets);
void listing_free(struct listing *listing);

/* Folds in a line of UIDL / LIST. */
void listing_uidl(struct listing *listing, const char *line, size_t len);
void listing_list(struct listing *listing, const char *line, size_t len);

/* True where it can tell what is not there: no line was nonsense, no message is without a UID. */
bool listing_is_whole(const struct listing *listing);

/* The message with this number (1 to count). */
struct message *listing_message(const struct listing *listing, uint32_t num);

/* True where it goes from the server without ever having been delivered. */
bool listing_is_unread(const struct message *message);

/* Its UID; len 0 where it has none.  Lives until the next listing_uidl. */
struct wire_span listing_uid(const struct listing *listing, const struct message *message);

#endif

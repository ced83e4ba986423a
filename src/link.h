/* SPDX-License-Identifier: MIT */
/*
 * link.h - the line between a worker and the supervisor: values of a fixed size over a
 * SOCK_SEQPACKET socket pair.
 *
 * The worker parses hostile bytes, so the supervisor trusts nothing in an event: link_decode
 * checks the size, the kind and the end of the text, and whatever is printed goes through
 * printable() in report.c.  The only thing a worker can ask for is that the account's own MDA
 * or filter be run on a descriptor (request.h).
 */
#ifndef LINK_H
#define LINK_H

#include "base.h"
#include "wire.h"

#define LINK_TEXT 1600

enum event_kind {
	EVENT_NOTE = 1, /* level, text */
	EVENT_ALIVE,    /* bytes came in, or num seconds of work begin in which nothing can be said:
	                 * only for the supervisor's watch */
	EVENT_LINE,     /* text: one line for standard output, which somebody asked for */
	EVENT_ASKING,   /* num = 1: a command runs that may ask a person for something, and nothing
	                 * may be drawn meanwhile; 0: it is over */
	EVENT_PLAN,     /* num = messages to fetch in this run, bytes = their octets, kept, total =
	                 * listed; each session sends one */
	EVENT_PROGRESS, /* num = fetched, bytes = received so far; may be dropped */
	EVENT_FAILED,   /* error + text, "UID\nWHY": message num failed, the others go on.  level:
	                 * NOTE_INFO where an earlier run has said so */
	EVENT_DONE,     /* num = delivered, bytes, kept, deleted, failed: the account's last word */
	EVENT_ERROR,    /* error + text: the account failed; EVENT_DONE follows.  level: NOTE_INFO where
	                 * those who do not look on need not hear it */
	EVENT_MDA,      /* a request: run the MDA on the descriptor that comes along.
	                 * bytes = size, kept = octets by LIST, total = which attempt (0: it does not
	                 * count), level = 1 where it is a header alone, text = "SENDER\nUID" */
	EVENT_FILTER,   /* the same for the filter; bytes = octets by LIST */
	EVENT_MDA_DONE, /* the answer to both, about message num: error, one_message, text; where error
	                 * is ERR_NONE, total = its exit status */
	EVENT_KINDS
};

struct event {
	uint32_t kind;
	uint32_t error; /* enum error_kind */
	uint32_t level; /* enum note_level */
	uint32_t one_message;
	uint64_t num, bytes, total, kept, deleted, failed;
	char text[LINK_TEXT];
};

/* A pair of connected ends, close-on-exec.  0 / -1. */
int link_pair(int ends[2], struct error *err);

/* Sends one event, with a descriptor unless fd is -1.  Waits for room, except EVENT_PROGRESS and
 * EVENT_ALIVE without num, which are dropped when there is none.  -1: the other side is gone. */
int link_send(int end, const struct event *event, int fd, struct error *err);

/* Sends an event from a worker that goes on whether anybody listens or not. */
void link_tell(int end, const struct event *event);

/* Sends an EVENT_FAILED.  told: an earlier run has said so. */
void link_failed(int end, uint32_t num, struct wire_span uid, bool told, const struct error *why);

/* Sends an EVENT_LINE: "label: text", or the text alone where label is "".  What does not fit is
 * cut. */
void link_line(int end, const char *label, const char *fmt, ...) PRINTF(3, 4);

/* Takes one event: 1, 0 when the other side has closed, -1 on error or nonsense.  *fd is the
 * descriptor that came along with a request, or -1; any other is closed, and all where fd is
 * NULL.  Blocks unless the end is non-blocking; then ERR_TEMP with sys EAGAIN means nothing is
 * there. */
int link_take(int end, struct event *event, int *fd, struct error *err);

/* The pure part: judges len bytes and copies them.  false: nonsense. */
bool link_decode(const void *bytes, size_t len, struct event *event);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * pop3.h - one POP3 session as the client sees it (RFC 1939, 2449, 2595, 5034).
 *
 * Calling order: pop3_start (greeting, CAPA, STLS, login), pop3_list, then any mix of pop3_send
 * and pop3_reply.  Commands that were sent and not answered stand in a queue; pop3_reply takes
 * the answer to the oldest and says to which it belongs.  With PIPELINING the queue may be
 * long; without, it holds one command.  A RETR or TOP that was answered with +OK has a body, which
 * must be read to its end by pop3_body before the next pop3_reply.
 *
 * Nothing here knows of files, journals or policies.
 */
#ifndef POP3_H
#define POP3_H

#include "account.h"
#include "base.h"
#include "conn.h"
#include "listing.h"
#include "wire.h"

/* How much may be under way: commands, and octets of answers by LIST.  The first bounds what the
 * server must store of ours (about 100 kB), the second what a stop throws away. */
#define POP3_MAX_QUEUE 8192
#define POP3_MAX_OCTETS (16u << 20)

enum pop3_verb {
	POP3_CAPA,
	POP3_STAT,
	POP3_UIDL,
	POP3_LIST,
	POP3_RETR,
	POP3_TOP, /* of no lines: the header */
	POP3_DELE,
	POP3_QUIT
};

struct pop3_sent {
	uint32_t num;
	uint8_t verb;
	uint64_t octets;
};

struct pop3 {
	struct conn *conn;    /* foreign */
	struct wire_capa capa;
	char stamp[256];      /* the greeting's timestamp, for APOP; or "" */
	bool in;              /* the server let us in */
	const char *mechanism; /* by which we are in; static */
	bool refused;         /* it was told who we are, and said no */
	bool too_soon;        /* it said [LOGIN-DELAY] */
	bool lock_step;       /* it is not to be trusted with pipelining */
	bool pipelining;      /* may be used: announced, and not switched off */
	bool ahead;           /* while listing: more than one question is not answered */
	struct pop3_sent *queue; /* ring of POP3_MAX_QUEUE */
	unsigned head, held;  /* oldest, and how many */
	uint64_t octets;      /* of the answers under way */
	bool in_body;         /* a body is to be read before the next answer */
	uint64_t body_octets; /* what it weighs by LIST */
	struct wire_undot undot;
};

struct pop3_reply {
	enum pop3_verb verb;  /* the command it answers */
	uint32_t num;
	bool ok;
	enum wire_code code;
	char text[256];       /* the server's words, printable */
};

/* From the greeting to a session that may send commands.  conn is dialled.  trust may be NULL
 * where tls is off.  password, or the token, is not kept.  pop3 is zeroed but for lock_step.
 * Errors: ERR_AUTH login refused, ERR_TEMP in use or told to wait, ERR_UNAVAILABLE no STLS, no
 * mechanism; ERR_PROTOCOL nonsense. */
int pop3_start(struct pop3 *pop3, struct conn *conn, const struct account *account,
               const struct tls_trust *trust, const char *password, struct error *err);

/* STAT, UIDL and LIST (and CAPA anew) in one flight where PIPELINING was announced.  Fills a
 * zeroed listing, which the caller frees in either case. */
int pop3_list(struct pop3 *pop3, struct listing *listing, struct error *err);

/* True where one more command may be sent. */
bool pop3_room(const struct pop3 *pop3);

/* How many answers the server owes us. */
unsigned pop3_owed(const struct pop3 *pop3);

/* The message whose RETR or TOP waits for its answer first; 0 where it is another command, or
 * none. */
uint32_t pop3_awaited(const struct pop3 *pop3);

/* True where the session failed while the server had several commands before it: then it may be
 * its pipelining that is broken, and a session in lock-step may go well. */
bool pop3_was_ahead(const struct pop3 *pop3);

/* Sends RETR num, TOP num 0, DELE num or QUIT (num 0).  octets: what the message weighs.
 * Needs pop3_room. */
int pop3_send(struct pop3 *pop3, enum pop3_verb verb, uint32_t num, uint64_t octets,
              struct error *err);

/* Takes one answer.  -ERR is an answer (ok = false), not an error. */
int pop3_reply(struct pop3 *pop3, struct pop3_reply *reply, struct error *err);

/* Some of the body's text (LF lines) into `to`, of room bytes, at least 4: with less nobody could
 * tell what a dot means.  1 with its length, 0 at its end, -1. */
int pop3_body(struct pop3 *pop3, char *to, size_t room, size_t *len, struct error *err);

/* Frees; does not touch the connection.  A zeroed pop3 is fine. */
void pop3_free(struct pop3 *pop3);

#endif

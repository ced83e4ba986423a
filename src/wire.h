/* SPDX-License-Identifier: MIT */
/*
 * wire.h - what the bytes of a POP3 server mean.  Pure: (pointer, length) in, facts out.
 *
 * Nothing here reads, allocates, logs or needs a NUL at the end; every number has a maximum;
 * whatever the bytes are, the answer is a struct or "no".  So fuzzers and tables of cases link
 * wire.c alone.  Lines are given without their CRLF.  Spans in the answers point into the
 * caller's bytes and live as long as those do.
 *
 * RFC 1939 (POP3), 2449 (CAPA and response codes), 3206 and 6856 (further codes), 5034 (SASL).
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A listing longer than this is not believed. */
#define WIRE_MAX_COUNT 1000000u

/* Longest UID kept, in bytes.  RFC 1939 section 7 allows 70; servers exceed it. */
#define WIRE_MAX_UID 1024u

/* A stretch of somebody else's bytes. */
struct wire_span {
	const char *p;
	size_t len;
};

/* -- status lines ------------------------------------------------------------------------- */

enum wire_verdict {
	WIRE_OK,       /* +OK */
	WIRE_ERR,      /* -ERR */
	WIRE_CONTINUE, /* "+ " or "+" alone: a SASL challenge (RFC 5034 section 4) */
	WIRE_NONSENSE  /* anything else, "+ERR" and "+Okay" among it */
};

/* The response code in brackets (RFC 2449 section 8), from the most telling part of it. */
enum wire_code {
	WIRE_CODE_NONE,
	WIRE_CODE_IN_USE,      /* [IN-USE]: another session holds the mailbox */
	WIRE_CODE_LOGIN_DELAY, /* [LOGIN-DELAY]: too soon after the last login */
	WIRE_CODE_SYS_TEMP,    /* [SYS/TEMP] */
	WIRE_CODE_SYS_PERM,    /* [SYS/PERM] */
	WIRE_CODE_AUTH,        /* [AUTH] */
	WIRE_CODE_UTF8,        /* [UTF8] */
	WIRE_CODE_OTHER
};

struct wire_status {
	enum wire_verdict verdict;
	enum wire_code code;
	struct wire_span text; /* what follows the status word, the code included */
};

/* Judges a status line.  The status words are compared without case, as servers vary. */
void wire_status(const char *line, size_t len, struct wire_status *out);

/* The timestamp of a greeting's text, for APOP (RFC 1939 section 7), with its < and >.  Only what
 * is surely a msg-id is taken: one "@", printable ASCII, no blank, at most 250 bytes.  Others
 * can be made so that the digest tells something of the password (CVE-2007-1558). */
bool wire_timestamp(const char *text, size_t len, struct wire_span *stamp);

/* -- listings ----------------------------------------------------------------------------- */

/* "nn mm ..." as in the text after +OK of STAT: count of messages and octets.  Words behind are
 * allowed (RFC 1939 section 5).  Returns false when a number is missing or over its maximum. */
bool wire_stat(const char *text, size_t len, uint32_t *count, uint64_t *octets);

/* A line of LIST: "num octets ...".  num >= 1. */
bool wire_list(const char *line, size_t len, uint32_t *num, uint64_t *octets);

/* A line of UIDL: "num uid".  The UID is everything behind one or more blanks: opaque bytes, for
 * they may hold blanks and 8-bit.  Returns false without a number, without a UID, or with one
 * of more than WIRE_MAX_UID bytes. */
bool wire_uidl(const char *line, size_t len, uint32_t *num, struct wire_span *uid);

/* -- capabilities ------------------------------------------------------------------------- */

/* SASL mechanisms, as bits of wire_capa.sasl. */
enum wire_sasl {
	WIRE_SASL_PLAIN = 1u << 0,
	WIRE_SASL_LOGIN = 1u << 1,
	WIRE_SASL_CRAM_MD5 = 1u << 2,
	WIRE_SASL_SCRAM_SHA_1 = 1u << 3,
	WIRE_SASL_SCRAM_SHA_256 = 1u << 4,
	WIRE_SASL_SCRAM_SHA_1_PLUS = 1u << 5,
	WIRE_SASL_SCRAM_SHA_256_PLUS = 1u << 6,
	WIRE_SASL_EXTERNAL = 1u << 7,
	WIRE_SASL_XOAUTH2 = 1u << 8,
	WIRE_SASL_OAUTHBEARER = 1u << 9
};

#define WIRE_EXPIRE_NEVER UINT64_MAX

/* What CAPA announced.  Zeroed: nothing.  A line at a time is folded in by wire_capa. */
struct wire_capa {
	bool known; /* CAPA was answered with +OK */
	bool pipelining, stls, top, uidl, user, resp_codes;
	bool utf8, utf8_user; /* RFC 6856: the command; and names and passwords that are not ASCII */
	bool expire;          /* a message once read stays expire_days at least (RFC 2449 6.7) */
	bool windows;         /* X-GOOGLE-RICO: a session shows a part of the mailbox */
	unsigned sasl;        /* enum wire_sasl */
	uint64_t expire_days; /* or WIRE_EXPIRE_NEVER */
	uint64_t login_delay; /* seconds from login to login; 0: none (RFC 2449 6.5) */
};

/* Folds one line of the CAPA listing into capa; words are compared without case, unknown ones
 * are passed over.  A "SASL" line is read for the mechanisms of enum wire_sasl. */
void wire_capa(const char *line, size_t len, struct wire_capa *capa);

/* -- the body of a message ---------------------------------------------------------------- */

/* The state between two chunks.  Zeroed: at the start of a body. */
struct wire_undot {
	bool mid_line; /* the last byte handed out was not a line end */
};

/* Turns a chunk of a multi-line reply into the text it stands for: removes the dot of stuffed
 * lines, turns CRLF into LF, keeps bare CR, NUL and 8-bit as they are, and stops at the final dot
 * (".CRLF" or ".LF" at the start of a line; RFC 1939 section 3).
 *
 * in, len: the bytes at hand.  out: another place, of len bytes; what is behind the text in there
 * may be written over.  Returns how many bytes of text now stand at out.  *used: how many of the
 * len bytes were consumed, up to 2 bytes (".", ".\r", "\r") may be left that only the next chunk
 * can judge: the caller keeps them in front of it.  *end: the final dot was seen, and the byte at
 * in[*used] belongs to the next reply.
 *
 * Any way of cutting the input into chunks gives the same text. */
size_t wire_undot(struct wire_undot *state, const char *in, size_t len, char *out, size_t *used,
                  bool *end);

/* -- what destinations need from the text ------------------------------------------------- */

/* The state of mboxrd quoting between two chunks.  Zeroed: at the start of a message. */
struct wire_mboxrd {
	bool in_line;       /* this line is judged; else only ">" and held came so far */
	unsigned char held; /* how many bytes of "From " were read and not written yet */
};

/* Room that wire_mboxrd may need for len bytes of text: each "From " line grows by one. */
#define WIRE_MBOXRD_ROOM(len) ((len) + (len) / 5 + 8)

/* Copies text to out, putting one ">" in front of every line that matches ^>*From_ (mbox(5), the
 * mboxrd form).  out has room for WIRE_MBOXRD_ROOM(len) bytes.  Returns the bytes written.  Up
 * to 4 bytes ("From") may be held back for the next chunk; wire_mboxrd_end writes them. */
size_t wire_mboxrd(struct wire_mboxrd *state, const char *text, size_t len, char *out);

/* What is still held back at the end of a message: 0 to 4 bytes to out. */
size_t wire_mboxrd_end(struct wire_mboxrd *state, char *out);

/* The envelope sender by the first Return-Path: header within the head of a message (LF lines).
 * Only addresses of letters, digits and "._%+=@/-" that do not begin with "-" pass; all else,
 * and "<>", is "MAILER-DAEMON": the name goes into From_ lines and argument vectors.
 * to: size bytes (at least 16), always terminated. */
void wire_sender(const char *head, size_t len, char *to, size_t size);

#endif

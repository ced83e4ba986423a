/* SPDX-License-Identifier: MIT */
/*
 * auth.h - which login mechanism, and the words of each.  No I/O: pop3.c carries the words.
 *
 * USER, PASS and APOP: RFC 1939 section 7; AUTH: RFC 5034; PLAIN: RFC 4616; LOGIN: the old draft
 * that everybody has; CRAM-MD5: RFC 2195; SCRAM: RFC 5802 and 7677; EXTERNAL: RFC 4422;
 * OAUTHBEARER: RFC 7628; XOAUTH2: its elder brother.
 *
 * auth = auto takes the first of these that the server offers.
 *   A token:         XOAUTH2, OAUTHBEARER.
 *   Over TLS:        PLAIN, USER, LOGIN, SCRAM-SHA-256, SCRAM-SHA-1, CRAM-MD5, APOP.  Servers that
 *                    keep passwords hashed offer SCRAM, too, and can only refuse it.
 *   Without TLS:     SCRAM-SHA-256, SCRAM-SHA-1, CRAM-MD5, APOP; and PLAIN, USER, LOGIN only to a
 *                    loopback address or with allow_cleartext.
 * There is one try: what was refused is never followed by another mechanism, for who can
 * refuse could choose the weakest.
 */
#ifndef AUTH_H
#define AUTH_H

#include "account.h"
#include "base.h"
#include "scram.h"
#include "wire.h"

/* What of the session the login depends on.  All foreign. */
struct auth_terms {
	const struct wire_capa *capa;
	bool tls;
	bool cleartext;          /* a password may go out as it is, though there is no TLS */
	const char *stamp;       /* the greeting's timestamp; NULL or "": none */
	const char *host;        /* for OAUTHBEARER */
	uint64_t port;
	const char *binding;     /* its name, where auth_wants_binding; NULL: there is none */
	const void *binding_bytes;
	size_t binding_len;
};

/* A login under way. */
struct auth {
	enum auth_mech mech;     /* never AUTH_AUTO once chosen */
	bool automatic;          /* by us */
	bool in_clear;           /* there is no TLS */
	bool early;              /* the first answer went with the command */
	unsigned step;           /* answers given */
	bool begun;              /* the command was given */
	const char *user, *secret; /* foreign */
	struct auth_terms terms;
	struct scram scram;
	char problem[256];       /* what the server said is wrong with a token, printable */
};

/* True where auth_begin will need the channel binding. */
bool auth_wants_binding(const struct login *login);

/* Chooses the mechanism.  secret: the password or token.  ERR_UNAVAILABLE: the server offers none
 * that may be used here; ERR_AUTH: user or secret hold bytes that cannot be sent (CR, LF and other
 * control characters).  auth_end in any case. */
int auth_begin(struct auth *auth, const struct login *login, const char *secret,
               const struct auth_terms *terms, struct error *err);

/* The next line to send, into line (wiped by the caller).  The first call gives the command;
 * further ones answer "+OK" (USER) or a challenge (all else), whose text is said, still in
 * base64.  *shown: for conn_put, a static string where the line is secret, else NULL.  1: a
 * line; 0: there is no further line, the last reply is the verdict; -1: the login cannot go on,
 * and where line is not empty it takes leave of the mechanism (RFC 5034 section 4: "*"): it is to
 * be sent, and its answer does not matter. */
int auth_next(struct auth *auth, const char *said, size_t len, struct str *line,
              const char **shown, struct error *err);

/* The server said +OK.  ERR_AUTH: the mechanism has not come to its end, so it may be a stranger
 * who says that. */
int auth_accept(const struct auth *auth, struct error *err);

/* Adds to the error of a refused login what is known beside the server's words. */
void auth_explain(const struct auth *auth, struct error *err);

/* "AUTH PLAIN", "USER": for messages. */
const char *auth_name(const struct auth *auth);

/* Wipes.  A zeroed one is fine. */
void auth_end(struct auth *auth);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * auth.h - which login mechanism, and the words of each.  No I/O: pop3.c carries the words.
 *
 * USER/PASS: RFC 1939 section 7; AUTH: RFC 5034; PLAIN: RFC 4616; LOGIN: the old draft that
 * everybody has.  Over TLS: PLAIN where offered, else USER/PASS, else LOGIN.  Without TLS no
 * password goes out in clear but to a loopback address or with allow_cleartext.
 */
#ifndef AUTH_H
#define AUTH_H

#include "account.h"
#include "base.h"
#include "wire.h"

/* A login under way. */
struct auth {
	enum auth_mech mech; /* never AUTH_AUTO once chosen */
	unsigned step;
	const char *user, *password; /* foreign */
};

/* Chooses the mechanism.  cleartext: a password may go out as it is (TLS, loopback or allowed).
 * ERR_UNAVAILABLE: the server offers none that may be used; ERR_AUTH: user or password hold
 * bytes that cannot be sent (CR, LF, NUL; RFC 1939 section 3). */
int auth_begin(struct auth *auth, const struct login *login, const char *password,
               const struct wire_capa *capa, bool cleartext, struct error *err);

/* The next line to send, into line (wiped by the caller).  The first call gives the command;
 * further ones answer "+OK" (USER) or a challenge (the rest).  *shown: for conn_put, a static
 * string where the line is secret, else NULL.  1: a line; 0: there is no further line, the last
 * reply is the verdict. */
int auth_next(struct auth *auth, struct str *line, const char **shown, struct error *err);

/* "AUTH PLAIN", "USER": for messages. */
const char *auth_name(const struct auth *auth);

#endif

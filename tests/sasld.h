/* SPDX-License-Identifier: MIT */
/*
 * sasld.h - the server's side of the login mechanisms, for pop3d: correct, or a liar by name.
 *
 * CRAM-MD5, SCRAM-SHA-1 and -256 with and without -PLUS, EXTERNAL (anybody may come in), XOAUTH2
 * and OAUTHBEARER (the token is the password), and APOP's digest.  Written apart from the program
 * that is tested, from the RFCs.
 */
#ifndef SASLD_H
#define SASLD_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>

/* What the script says.  fault is a word of SCRAM's ways to lie:
 *   nonce      not an extension of the client's     extension   an m= in front
 *   signature  a wrong one at the end               trust       +OK without any
 *   rubbish    the first challenge is no base64 */
struct sasld_world {
	const char *user, *password, *greeting, *fault;
	unsigned rounds;      /* of SCRAM */
	gnutls_session_t tls; /* NULL: none */
};

/* One exchange under way.  Zeroed: none. */
struct sasld {
	int mech, step;
	char header[256], first[1024], server[1024]; /* SCRAM's words so far */
	char nonce[256];
	bool refused; /* and the client has been told why */
};

enum sasld_answer { SASLD_ASK, SASLD_YES, SASLD_NO };

/* False: there is no such mechanism. */
bool sasld_begin(struct sasld *s, const char *word);

/* One line of the client, "" for an empty one, NULL before there is any.  SASLD_ASK: out holds
 * what stands behind "+ ". */
enum sasld_answer sasld_step(struct sasld *s, const struct sasld_world *w, const char *line,
                             char *out, size_t size);

/* "USER DIGEST" of an APOP command. */
bool sasld_apop(const struct sasld_world *w, const char *arg);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * sasl.h - the words of the mechanisms that take one step, and base64.  No I/O, no state.
 *
 * Each function adds to a str and returns -1 where that is full, or where GnuTLS has not the
 * hash (MD5 in FIPS mode); then nothing usable was added.  Secrets leave no copy behind.
 */
#ifndef SASL_H
#define SASL_H

#include "base.h"

/* RFC 4648 section 4. */
int sasl_base64(struct str *to, const char *bytes, size_t len);

/* The reverse, strictly.  False: it is none, or more than `to` holds. */
bool sasl_unbase64(struct str *to, const char *text, size_t len);

/* PLAIN, RFC 4616: no authorization identity. */
int sasl_plain(struct str *to, const char *user, const char *password);

/* APOP's digest, RFC 1939 section 7: 32 hexadecimal digits.  stamp: with its < and >. */
int sasl_apop(struct str *to, const char *stamp, const char *password);

/* CRAM-MD5, RFC 2195. */
int sasl_cram_md5(struct str *to, const char *user, const char *password, const char *challenge,
                  size_t len);

/* XOAUTH2 (Google's and Microsoft's pages) and OAUTHBEARER (RFC 7628). */
int sasl_xoauth2(struct str *to, const char *user, const char *token);
int sasl_oauthbearer(struct str *to, const char *user, const char *host, uint64_t port,
                     const char *token);

/* True where these bytes can be a bearer token (RFC 6750 section 2.1). */
bool sasl_is_token(const char *token);

#endif

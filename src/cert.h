/* SPDX-License-Identifier: MIT */
/*
 * cert.h - what a server's certificate says, in words, and what is wrong with it.
 *
 * Its bytes are a stranger's: every name is printable and bounded.  Whether a certificate is
 * trusted is not judged here but by GnuTLS; `status` is its verdict, a set of
 * GNUTLS_CERT_ flags.
 */
#ifndef CERT_H
#define CERT_H

#include "base.h"
#include "pin.h"

struct cert {
	char names[400];             /* for whom it is: "a.example, b.example, 192.0.2.1", or "" */
	char issuer[160];
	bool self_signed;
	int64_t from, until;         /* seconds since 1970 */
	unsigned char pin[PIN_SIZE]; /* of its key: pin.h */
};

/* Reads a certificate (DER).  false: it is none; then *cert is zeroed. */
bool cert_read(const void *der, size_t len, struct cert *cert);

/* The error for a certificate that was refused for this host: why, for whom it is, by whom, its
 * pin, and what can be done.  Returns -1, ERR_UNAVAILABLE. */
int cert_refused(const struct cert *cert, const char *host, unsigned status, struct error *err);

/* The same where the key is not one that is pinned. */
int cert_not_pinned(const struct cert *cert, const char *host, struct error *err);

/* "2026-11-30".  Returns to. */
char *cert_day(char to[16], int64_t when);

#endif

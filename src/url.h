/* SPDX-License-Identifier: MIT */
/*
 * url.h - an account in one word: pop3s://joe@pop.example.org (RFC 2384, RFC 3986).
 */
#ifndef URL_H
#define URL_H

#include "account.h"
#include "base.h"

/* Fills an initialised account (account_init, or account_copy of [defaults]) from
 * pop3://[USER[:]@]HOST[:PORT] or pop3s://...; percent-escapes are read.  Without a port it is
 * the scheme's; pop3s is implicit TLS, pop3 is STLS: TLS is never left out because of a URL, only
 * by `-o tls=off`.  A password in a URL is refused (it would stand in the process list).
 *
 * The account's name becomes USER@HOST, with +PORT where that is neither 995 nor 110, made safe
 * for a directory: what [defaults] or an earlier option_set gave as user counts, too, so the
 * options of the command line are to be set first.
 *
 * ERR_USAGE where it does not parse, or names no user and none is known. */
int url_set(struct account *account, const char *url, struct error *err);

#endif

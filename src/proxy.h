/* SPDX-License-Identifier: MIT */
/*
 * proxy.h - SOCKS5 proxies (RFC 1928, RFC 1929): their URL, and what is said to them.
 *
 * Pure: bytes in, facts out; dial.c moves the bytes.  The proxy is given the server's name and
 * looks it up, so that nobody here learns whom we want to reach.
 */
#ifndef PROXY_H
#define PROXY_H

#include "base.h"

#define PROXY_MAX_IN 260 /* octets that one answer needs at most */

/* Owns its strings. */
struct proxy {
	char *host;
	uint64_t port;
	char *user, *password; /* NULL: none; else both are 1 to 255 bytes */
};

/* Reads socks5://[USER:PASSWORD@]HOST[:PORT] (socks5h:// is the same); percent-escapes are read.
 * The port is 1080 unless said.  The caller frees it in either case.  ERR_CONFIG; no text shows
 * what may be a secret. */
int proxy_parse(struct proxy *proxy, const char *url, struct error *err);
void proxy_free(struct proxy *proxy);

/* The same, only to judge it. */
int proxy_check(const char *url, struct error *err);

/* A conversation with a proxy; zeroed is its beginning. */
struct proxy_talk {
	int step;
	size_t need; /* octets of the proxy's answer that the next call wants: at most PROXY_MAX_IN */
};

/* Says one thing.  in holds talk->need octets (none at first).  1: out has what is to be sent (it
 * may be nothing), and then talk->need octets are to be read, no more; 0: what follows on the
 * connection is between us and host; -1: ERR_UNAVAILABLE or ERR_TEMP, as the proxy says. */
int proxy_next(struct proxy_talk *talk, const struct proxy *proxy, const char *host, uint64_t port,
               const unsigned char *in, struct str *out, struct error *err);

#endif

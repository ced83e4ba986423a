/* SPDX-License-Identifier: MIT */
/*
 * conn.h - a connection to a server: one buffer in, one buffer out, one deadline rule, TLS or not.
 *
 * Writing never waits: conn_put only stores, and whatever waits for input sends what is stored
 * while it waits.  So there is always somebody reading, and no amount of pipelined commands
 * can deadlock with a server that stops reading until its answers are taken.
 *
 * The one deadline rule: conn_expect starts a span of `timeout` seconds (conn_be_patient: of
 * others); every 4 KiB that come in start it anew; when it ends, the session ends (ERR_TEMP).
 * From conn_dial to the first conn_expect the span is connect_timeout and nothing prolongs it.
 *
 * stop_requested ends every wait with ERR_STOP.
 */
#ifndef CONN_H
#define CONN_H

#include "account.h"
#include "base.h"
#include "tls.h"

#define CONN_IN_SIZE 65536       /* bytes of the input buffer */
#define CONN_MAX_LINE 8192       /* a longer status or listing line is ERR_PROTOCOL */
#define CONN_MAX_OUT (1u << 20)  /* unsent commands; the window keeps far below it */

struct tunnel;

struct conn {
	const struct server *server; /* foreign */
	struct tunnel *tunnel;       /* the command that is the connection; NULL: there is none */
	int fd;                      /* -1: not connected */
	struct tls *tls;             /* NULL: plain */
	char *in;                    /* CONN_IN_SIZE bytes */
	size_t in_at, in_end;        /* what is there and not taken */
	struct str out;              /* commands; out_at of them are sent */
	size_t out_at;
	uint64_t patience;           /* seconds an answer may take; 0: server->timeout */
	uint64_t deadline;           /* clock_ms */
	uint64_t since;              /* bytes in since the deadline was set */
	bool expecting;              /* conn_expect was called */
	uint64_t total_in;           /* bytes, for progress */
	unsigned long flights;       /* times we had nothing and had to wait after sending */
	bool sent;                   /* something went out since flights was counted */
	const char *hide[2];         /* foreign: while logging in, what no trace may show */
	const char *doing;           /* "waiting for the greeting": for the error of a time-out */
	void (*alive)(void *);       /* called when bytes came, at most 10 times a second; or NULL */
	void *alive_arg;
	uint64_t alive_last;
	char peer[64];               /* numeric address, or words where that is not known */
};

/* Connects: by the server's tunnel, through its proxy, or to the first of its addresses that
 * answers (IPv6 and IPv4).  A zeroed conn is to be given.  ERR_NOHOST: the name does not exist;
 * ERR_TEMP: look-up failed for now, timed out; ERR_UNAVAILABLE: every address refused, or the
 * proxy did; ERR_IO: the tunnel cannot be run. */
int conn_dial(struct conn *conn, const struct server *server, struct error *err);

/* TLS from here on, certificate checked before this returns.  The input buffer must be empty,
 * for what came before TLS may not be taken for what comes after it (RFC 2595 section 4,
 * "STARTTLS injection"): ERR_PROTOCOL else. */
int conn_start_tls(struct conn *conn, const struct tls_trust *trust, struct error *err);

/* From here on every answer may take so long; 0: server->timeout. */
void conn_be_patient(struct conn *conn, uint64_t seconds);

/* Says that a reply is expected now: starts the deadline's span.  doing is a static string. */
void conn_expect(struct conn *conn, const char *doing);

/* Stores a line to be sent (CRLF is added).  The trace shows it, or `shown` in its place where
 * that is not NULL.  ERR_BUG: CR or LF within the line, or more than CONN_MAX_OUT unsent. */
int conn_put(struct conn *conn, const char *line, const char *shown, struct error *err);

/* True where these bytes of the server hold a secret of ours: some repeat what they were told. */
bool conn_is_echo(const struct conn *conn, const char *bytes, size_t len);

/* One line without its line end (CRLF or LF); valid until the next call.  Waits as needed. */
int conn_line(struct conn *conn, const char **line, size_t *len, struct error *err);

/* At least `least` bytes (at most CONN_IN_SIZE / 2); gives all that is there.  Waits as needed;
 * valid until the next call.  The end of the connection is ERR_TEMP. */
int conn_data(struct conn *conn, size_t least, const char **data, size_t *len, struct error *err);

/* Says that the first n bytes of it are dealt with. */
void conn_take(struct conn *conn, size_t n);

/* True where bytes are at hand, so that the next conn_data(1) or short line needs no wait. */
bool conn_ready(const struct conn *conn);

/* Closes without a word to the server but TLS's goodbye, and ends the tunnel.  Zeroed or closed
 * already is fine. */
void conn_close(struct conn *conn);

#endif

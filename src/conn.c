/* SPDX-License-Identifier: MIT */
/*
 * conn.c - the connection: its route, TLS, one buffer each way, one deadline.
 *
 * All input goes through fill, which first sends what is stored, then reads, then waits for
 * whichever is possible first.  The deadline is looked at only when nothing can be read: a
 * caller that was slow itself (a disk) does not lose what the server sent in time.
 *
 * What this does not: know POP3, retry, or choose a mechanism.  dial.c finds the way to a server,
 * tunnel.c runs the command where that is the way; both wait by dial_wait, as this does.
 *
 * After a failure the connection can only be closed.  Called by pop3.c; dialled by worker.c.
 */
#include "config.h"

#include "conn.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dial.h"
#include "tunnel.h"

#define PIECE 16384        /* one TLS record: what is read or sent in one go */
#define RENEWAL 4096       /* bytes that start the deadline's span anew */
#define ALIVE_EVERY 100    /* milliseconds */

/* -- waiting ------------------------------------------------------------------------------ */

static int stopped(const struct conn *conn, struct error *err)
{
	return error_set(err, ERR_STOP, "stopped by a signal while %s", conn->doing);
}

/* Waits for events on the socket: 1; 0 when `until` has come first; -1 when a signal asks to
 * stop. */
static int wait_ready(const struct conn *conn, short events, uint64_t until, struct error *err)
{
	struct pollfd polls[] = {{.fd = conn->fd, .events = events},
	                         {.fd = tunnel_ear(conn->tunnel), .events = POLLIN}};
	int rc;

	do {
		rc = dial_wait(polls, conn->tunnel ? 2 : 1, until, conn->doing, err);
		if (rc == 1 && polls[1].revents)
			tunnel_listen(conn->tunnel);
		polls[1].fd = tunnel_ear(conn->tunnel);
	} while (rc == 1 && !polls[0].revents);
	return rc;
}

static short events_of(enum tls_want want)
{
	return want == TLS_WANT_READ ? POLLIN : want == TLS_WANT_WRITE ? POLLOUT : 0;
}

/* How long an answer may take. */
static uint64_t patience(const struct conn *conn)
{
	return conn->patience ? conn->patience : conn->server->timeout;
}

static void start_span(struct conn *conn, uint64_t seconds)
{
	conn->deadline = clock_ms() + seconds * 1000;
	conn->since = 0;
}

/* The error for a span that has ended.  A plain connection on which nothing ever came is often
 * one to a port where the server in turn waits for TLS. */
static int late(const struct conn *conn, struct error *err)
{
	const struct server *server = conn->server;
	unsigned long long seconds = conn->expecting ? patience(conn) : server->connect_timeout;

	if (conn->since > 0)
		return error_set(err, ERR_TEMP, "%s sent only %llu bytes within %llu s while %s",
		                 server->host, (unsigned long long)conn->since, seconds, conn->doing);
	return error_set(err, ERR_TEMP, "no answer from %s within %llu s while %s%s", server->host,
	                 seconds, conn->doing,
	                 !conn->tls && conn->total_in == 0
	                     ? "; if this port speaks TLS from the first byte, set tls = implicit"
	                     : "");
}

/* The error for a connection that has ended.  A tunnel knows more. */
static int ended(struct conn *conn, struct error *err)
{
	char how[TUNNEL_WORDS];

	if (conn->tunnel && tunnel_ended(conn->tunnel, how))
		return error_set(err, ERR_TEMP, "the tunnel to %s ended (%s) while %s", conn->server->host,
		                 how, conn->doing);
	return error_set(err, ERR_TEMP, "%s closed the connection while %s", conn->server->host,
	                 conn->doing);
}

/* -- the route ---------------------------------------------------------------------------- */

/* A tunnel's other end is nobody's address: peer says so, and is no loopback. */
static int find_route(struct conn *conn, struct error *err)
{
	const struct server *server = conn->server;
	char *name;

	if (server->tunnel) {
		text_copy(conn->peer, sizeof(conn->peer), "through a tunnel");
		return tunnel_open(&conn->tunnel, server, err);
	}
	name = tls_host_ascii(server->host);
	conn->fd = dial_server(server, name, conn->deadline, conn->peer, err);
	free(name);
	return conn->fd;
}

int conn_dial(struct conn *conn, const struct server *server, struct error *err)
{
	conn->server = server;
	conn->in = xmalloc(CONN_IN_SIZE);
	conn->out.max = CONN_MAX_OUT;
	conn->doing = "connecting";
	start_span(conn, server->connect_timeout);
	conn->fd = find_route(conn, err);
	if (conn->fd == -1) {
		conn_close(conn);
		return -1;
	}
	note(NOTE_INFO, "connected to %s (%s) port %llu", server->host, conn->peer,
	     (unsigned long long)server->port);
	return 0;
}

/* -- bytes -------------------------------------------------------------------------------- */

/* An error of tls.c, which knows neither the host nor what we are about. */
static int in_tls(const struct conn *conn, struct error *err)
{
	return error_wrap(err, "%s, while %s", conn->server->host, conn->doing);
}

/* Bytes sent, TLS_AGAIN, -1.  A server that hung up may have left a last word, so that is no
 * error here: the reader finds the word, or the end. */
static long send_piece(struct conn *conn, const char *buf, size_t len, enum tls_want *want,
                       struct error *err)
{
	ssize_t n;

	if (conn->tls) {
		n = tls_write(conn->tls, buf, len, want, err);
		return n == -1 ? in_tls(conn, err) : n;
	}
	do
		n = send(conn->fd, buf, len, MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	if (n >= 0)
		return n;
	if (errno == EPIPE || errno == ECONNRESET)
		return (long)len;
	*want = TLS_WANT_WRITE;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return TLS_AGAIN;
	return error_sys(err, ERR_TEMP, "sending to %s while %s", conn->server->host, conn->doing);
}

/* Sends what is stored as far as that goes without waiting; *want is TLS_DONE once all is out.
 * Between a TLS_AGAIN and its repetition out may grow and move: see tls_write. */
static int send_out(struct conn *conn, enum tls_want *want, struct error *err)
{
	*want = TLS_DONE;
	while (conn->out_at < conn->out.len) {
		size_t len = conn->out.len - conn->out_at;
		long n = send_piece(conn, conn->out.s + conn->out_at, len < PIECE ? len : PIECE, want,
		                    err);

		if (n == TLS_AGAIN)
			return 0;
		if (n == -1)
			return -1;
		conn->out_at += (size_t)n;
		conn->sent = true;
	}
	*want = TLS_DONE;
	if (conn->out.len > 0) {
		explicit_bzero(conn->out.s, conn->out.len); /* it may have been the password */
		str_cut(&conn->out, 0);
		conn->out_at = 0;
	}
	return 0;
}

/* Bytes read to the end of the buffer, 0 at the end of the connection, TLS_AGAIN, -1. */
static long read_piece(struct conn *conn, enum tls_want *want, struct error *err)
{
	char *buf = conn->in + conn->in_end;
	size_t size = CONN_IN_SIZE - conn->in_end;
	ssize_t n;

	if (conn->tls) {
		n = tls_read(conn->tls, buf, size, want, err);
		return n == -1 ? in_tls(conn, err) : n;
	}
	do
		n = recv(conn->fd, buf, size, 0);
	while (n == -1 && errno == EINTR);
	if (n >= 0)
		return n;
	*want = TLS_WANT_READ;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return TLS_AGAIN;
	return error_sys(err, ERR_TEMP, "reading from %s while %s", conn->server->host, conn->doing);
}

/* Reads what is there: the number of bytes, 0 for nothing yet, -1.  One TLS record holds little,
 * so there the buffer is filled by several.  An error behind good bytes is left for the next
 * call: tls.c repeats it. */
static long read_in(struct conn *conn, enum tls_want *want, struct error *err)
{
	struct error later = {0};
	long got = 0;

	do {
		long n = read_piece(conn, want, &later);

		if (n == TLS_AGAIN || (n <= 0 && got > 0))
			return got;
		if (n == 0)
			return ended(conn, err);
		if (n == -1) {
			*err = later;
			return -1;
		}
		conn->in_end += (size_t)n;
		got += n;
	} while (conn->tls && CONN_IN_SIZE - conn->in_end >= PIECE);
	return got;
}

/* Keeps the books on n bytes that came in. */
static void count_in(struct conn *conn, size_t n)
{
	uint64_t now = clock_ms();

	conn->total_in += n;
	conn->since += n;
	if (conn->expecting && conn->since >= RENEWAL)
		start_span(conn, patience(conn));
	if (now - conn->alive_last < ALIVE_EVERY)
		return;
	conn->alive_last = now;
	stop_asked(); /* a server that always has more never makes us wait */
	if (conn->alive)
		conn->alive(conn->alive_arg);
}

/* Moves what is not taken to the front when less than half of the buffer is left behind it. */
static void make_room(struct conn *conn)
{
	if (conn->in_at == 0 || CONN_IN_SIZE - conn->in_end >= CONN_IN_SIZE / 2)
		return;
	memmove(conn->in, conn->in + conn->in_at, conn->in_end - conn->in_at);
	conn->in_end -= conn->in_at;
	conn->in_at = 0;
}

/* Gets more input, sending what is stored meanwhile. */
static int fill(struct conn *conn, struct error *err)
{
	enum tls_want in = TLS_WANT_READ, out;
	long n;
	int rc;

	if (conn->in_at == conn->in_end)
		conn->in_at = conn->in_end = 0;
	make_room(conn);
	for (;;) {
		if (send_out(conn, &out, err) == -1 || (n = read_in(conn, &in, err)) == -1)
			return -1;
		if (n > 0) {
			count_in(conn, (size_t)n);
			return stop_requested ? stopped(conn, err) : 0;
		}
		if (conn->sent && out == TLS_DONE && !conn_ready(conn)) {
			conn->flights++;
			conn->sent = false;
		}
		rc = wait_ready(conn, events_of(in) | events_of(out), conn->deadline, err);
		if (rc != 1)
			return rc == 0 ? late(conn, err) : -1;
	}
}

/* -- exported ----------------------------------------------------------------------------- */

/* What a server says before it knows whether there will be TLS can only have been put there by
 * somebody else.  With implicit TLS it is a plain server's greeting: the handshake says so. */
static bool spoke_too_soon(const struct conn *conn)
{
	char c;

	return conn_ready(conn) || (conn->server->tls != TLS_IMPLICIT &&
	                            recv(conn->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
}

/* Steps the handshake to its end. */
static int shake_hands(struct conn *conn, struct error *err)
{
	enum tls_want want;
	int rc;

	for (;;) {
		rc = tls_handshake(conn->tls, &want, err);
		if (rc == -1 && conn->tunnel && err->kind == ERR_TEMP)
			return ended(conn, err);
		if (rc == -1)
			return error_wrap(err, "%s port %llu", conn->server->host,
			                  (unsigned long long)conn->server->port);
		if (want == TLS_DONE)
			return 0;
		rc = wait_ready(conn, events_of(want), conn->deadline, err);
		if (rc != 1)
			return rc == 0 ? late(conn, err) : -1;
	}
}

int conn_start_tls(struct conn *conn, const struct tls_trust *trust, struct error *err)
{
	const struct server *server = conn->server;
	char *words;

	conn->doing = "negotiating TLS";
	if (conn->expecting)
		start_span(conn, patience(conn));
	if (conn->tls || conn->out.len > 0)
		return error_set(err, ERR_BUG, "TLS in the middle of something");
	if (spoke_too_soon(conn))
		return error_set(err, ERR_PROTOCOL,
		                 "%s sent text between STLS and TLS: an attack, or a broken server",
		                 server->host);
	conn->tls = tls_open(conn->fd, server->tls_host ? server->tls_host : server->host, trust, err);
	if (!conn->tls || shake_hands(conn, err) == -1)
		return -1;
	if (note_limit >= NOTE_INFO && !tls_fault(conn->tls)->kind) {
		words = tls_describe(conn->tls);
		note(NOTE_INFO, "%s: certificate accepted, %s", server->host, words);
		free(words);
	}
	return 0;
}

void conn_be_patient(struct conn *conn, uint64_t seconds)
{
	conn->patience = seconds;
}

void conn_expect(struct conn *conn, const char *doing)
{
	conn->doing = doing;
	conn->expecting = true;
	start_span(conn, patience(conn));
}

static void show(const char *arrow, const char *bytes, size_t len)
{
	char shown[1024];

	note(NOTE_TRACE, "%s %s", arrow, printable(shown, sizeof(shown), bytes, len));
}

/* Apart from show, whose buffer a hardened compiler clears each time. */
static void trace(const char *arrow, const char *bytes, size_t len)
{
	if (note_limit >= NOTE_TRACE)
		show(arrow, bytes, len);
}

bool conn_is_echo(const struct conn *conn, const char *bytes, size_t len)
{
	for (size_t i = 0; i < 2; i++) {
		const char *secret = conn->hide[i];

		if (secret && *secret && memmem(bytes, len, secret, strlen(secret)))
			return true;
	}
	return false;
}

int conn_put(struct conn *conn, const char *line, const char *shown, struct error *err)
{
	struct str *out = &conn->out;
	size_t stored;

	if (strpbrk(line, "\r\n"))
		return error_set(err, ERR_BUG, "a line to be sent holds a line end");
	if (conn->out_at > out->len / 2) { /* what is sent makes room */
		memmove(out->s, out->s + conn->out_at, out->len - conn->out_at);
		str_cut(out, out->len - conn->out_at);
		conn->out_at = 0;
	}
	stored = out->len;
	if (str_puts(out, line) == -1 || str_puts(out, "\r\n") == -1) {
		str_cut(out, stored);
		return error_set(err, ERR_BUG, "too much is waiting to be sent");
	}
	trace(">", shown ? shown : line, strlen(shown ? shown : line));
	return 0;
}

int conn_line(struct conn *conn, const char **line, size_t *len, struct error *err)
{
	size_t seen = 0;

	for (;;) {
		char *at = conn->in + conn->in_at;
		size_t have = conn->in_end - conn->in_at;
		char *lf = memchr(at + seen, '\n', have - seen);
		size_t n = lf ? (size_t)(lf - at) : have;
		size_t text = n > 0 && at[n - 1] == '\r' ? n - 1 : n;

		if (text > CONN_MAX_LINE)
			return error_set(err, ERR_PROTOCOL, "%s sent a line of more than %d bytes while %s",
			                 conn->server->host, CONN_MAX_LINE, conn->doing);
		if (lf) {
			conn->in_at += n + 1;
			*line = at;
			*len = text;
			if (conn_is_echo(conn, at, text))
				trace("<", "***", 3);
			else
				trace("<", at, text);
			return 0;
		}
		seen = have;
		if (fill(conn, err) == -1)
			return -1;
	}
}

int conn_data(struct conn *conn, size_t least, const char **data, size_t *len, struct error *err)
{
	if (least > CONN_IN_SIZE / 2)
		return error_set(err, ERR_BUG, "more bytes are wanted than the buffer holds");
	while (conn->in_end - conn->in_at < least)
		if (fill(conn, err) == -1)
			return -1;
	*data = conn->in + conn->in_at;
	*len = conn->in_end - conn->in_at;
	return 0;
}

void conn_take(struct conn *conn, size_t n)
{
	size_t have = conn->in_end - conn->in_at;

	conn->in_at += n < have ? n : have;
}

bool conn_ready(const struct conn *conn)
{
	return conn->in_at < conn->in_end || (conn->tls && tls_pending(conn->tls));
}

void conn_close(struct conn *conn)
{
	if (!conn->in) /* zeroed, where fd is a 0 that is not ours, or closed already */
		return;
	tls_close(&conn->tls);
	if (conn->fd != -1)
		close(conn->fd);
	conn->fd = -1;
	tunnel_close(&conn->tunnel);
	free(conn->in);
	conn->in = NULL;
	conn->in_at = conn->in_end = conn->out_at = 0;
	str_wipe(&conn->out);
}

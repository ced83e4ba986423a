/* SPDX-License-Identifier: MIT */
/*
 * pop3d_net.c - a connection of pop3d: octets in and out, in clear or TLS.
 *
 * Answers are gathered in "out", sealed into "tx" in the shape that the script wants (so many
 * octets at a time, an end in the middle), and written when the socket takes them.  Input is read
 * whenever there is some, whatever is being written: no client can deadlock it.  The transcript
 * is written before the answer to what it tells.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "pop3d.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	HIGH_WATER = 256 * 1024, /* what may wait for the socket before no more is made */
	RECORD = 16384,          /* the largest TLS record */
	MAX_INPUT = 64 << 20     /* unanswered commands of one client */
};

/* -- bytes and time -------------------------------------------------------------------- */

char *buf_room(struct buf *b, size_t n)
{
	if (b->at + b->len + n > b->cap) {
		if (b->at > 0)
			memmove(b->p, b->p + b->at, b->len);
		b->at = 0;
		if (b->len + n > b->cap)
			b->p = need(realloc(b->p, b->cap = (b->len + n) * 2));
	}
	return b->p + b->at + b->len;
}

void buf_add(struct buf *b, const void *bytes, size_t n)
{
	if (n > 0)
		memcpy(buf_room(b, n), bytes, n);
	b->len += n;
}

void buf_take(struct buf *b, size_t n)
{
	b->len -= n;
	b->at = b->len > 0 ? b->at + n : 0;
}

int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * SECOND + t.tv_nsec / 1000;
}

/* -- the transcript -------------------------------------------------------------------- */

static void log_add(struct conn *c, const char *bytes, size_t len)
{
	buf_add(&c->log, bytes, len);
	buf_add(&c->log, "\n", 1);
}

void net_log(struct conn *c, const char *text)
{
	log_add(c, text, strlen(text));
}

void net_end(struct conn *c, enum ending how)
{
	char text[100];

	if (!c->closed) {
		snprintf(text, sizeof text, "-- sent %" PRIu64 "\n-- close (flights %" PRIu64 ")",
		    c->sent, c->flights);
		net_log(c, text);
	}
	c->closed = true;
	c->out.len = 0;
	if (how == END_TLS && c->secured && c->end == END_NONE)
		gnutls_bye(c->tls, GNUTLS_SHUT_WR);
	c->end = c->end == END_NONE ? how : c->end;
}

/* -- input ----------------------------------------------------------------------------- */

/* Notes the whole lines that have come. */
static void arrive(struct conn *c)
{
	struct arrival a = {0, srv.delay ? now_us() + (int64_t)srv.delay * 1000 : 0};
	const char *p, *nl;

	while (c->in.len > c->scanned) {
		p = c->in.p + c->in.at + c->scanned;
		if (!(nl = memchr(p, '\n', c->in.len - c->scanned)))
			break;
		a.len = (size_t)(nl + 1 - p);
		log_add(c, p, a.len > 1 && nl[-1] == '\r' ? a.len - 2 : a.len - 1);
		buf_add(&c->arrivals, &a, sizeof a);
		c->scanned += a.len;
		c->flights += c->waited;
		c->waited = false;
	}
	if (c->in.len > MAX_INPUT)
		c->end = END_LOST;
}

static void decode(struct conn *c)
{
	ssize_t n;

	do {
		n = gnutls_record_recv(c->tls, buf_room(&c->in, RECORD), RECORD);
		c->in.len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || n == GNUTLS_E_REHANDSHAKE);
	c->eof = c->eof || n == 0 || gnutls_error_is_fatal((int)n);
}

static void receive(struct conn *c)
{
	struct buf *b = c->tls_input ? &c->rx : &c->in;
	ssize_t n = recv(c->fd, buf_room(b, BATCH), BATCH, 0);

	if (n > 0)
		b->len += (size_t)n;
	else if (n == 0)
		c->eof = c->socket_eof = true;
	else if (errno != EAGAIN && errno != EINTR)
		c->end = END_LOST;
	if (c->secured)
		decode(c);
	arrive(c);
}

/* Waits for events or until the time; returns revents. */
short net_wait_fd(int fd, short events, int64_t until)
{
	struct pollfd p[2] = {{.fd = fd, .events = events}, {.fd = srv.life[0]}};
	int64_t left = until == NEVER ? 0 : until - now_us();
	struct timespec t = {0};

	if (left > 0)
		t = (struct timespec){left / SECOND, left % SECOND * 1000};
	if (ppoll(p, 2, until == NEVER ? NULL : &t, &srv.old_mask) <= 0)
		return 0;
	stop = stop || p[1].revents;
	return p[0].revents;
}

bool net_wait(struct conn *c, int64_t until)
{
	short events = (short)((c->socket_eof ? 0 : POLLIN) | (c->tx.len > 0 ? POLLOUT : 0));
	short got = net_wait_fd(c->fd, events, until);

	if (got & POLLIN)
		receive(c);
	else if (got & (POLLERR | POLLHUP))
		c->end = END_LOST;
	if (stop)
		c->end = END_LOST;
	return got & POLLIN;
}

/* -- output ---------------------------------------------------------------------------- */

/* Writes as much of tx as the socket takes, once the transcript tells what led to it. */
void net_transmit(struct conn *c)
{
	ssize_t k = 1;

	if (srv.log_fd >= 0 && c->log.len > 0 &&
	    write(srv.log_fd, c->log.p, c->log.len) != (ssize_t)c->log.len)
		die(1, "%s: %s", srv.transcript, strerror(errno));
	c->log.len = 0;
	while (c->tx.len > 0 && (k = write(c->fd, c->tx.p + c->tx.at, c->tx.len)) > 0)
		buf_take(&c->tx, (size_t)k);
	if (k < 0 && errno != EAGAIN && errno != EINTR)
		c->end = END_LOST;
}

/* Writes and reads until no more than n bytes are waiting for the socket. */
void net_drain(struct conn *c, size_t n)
{
	while (net_transmit(c), c->tx.len > n && c->end != END_LOST)
		net_wait(c, NEVER);
}

void net_sleep_until(struct conn *c, int64_t until)
{
	while (c->end != END_LOST && now_us() < until && !(until == NEVER && c->eof)) {
		net_transmit(c);
		net_wait(c, until);
	}
}

/* Seals the answers gathered so far: hands them to the socket's queue, in the shape that the
 * script wants, and through TLS when there is TLS. */
void net_flush(struct conn *c)
{
	while (c->out.len > 0 && c->end == END_NONE) {
		uint64_t cut = c->shaking ? NO_LIMIT : c->cut_left;
		size_t n = (size_t)MIN(MIN(c->chunk ? MIN(c->chunk, RECORD) : RECORD, c->out.len),
		    MIN(c->left, cut));
		const char *p = c->out.p + c->out.at;

		if (!c->secured)
			buf_add(&c->tx, p, n);
		else if (n > 0 && gnutls_record_send(c->tls, p, n) != (ssize_t)n)
			c->end = END_LOST;
		buf_take(&c->out, n);
		c->sent += c->shaking ? 0 : n;
		c->cut_left -= c->shaking ? 0 : n;
		c->left -= n;
		if (c->chunk > 0) {
			net_drain(c, 0);
			net_sleep_until(c, now_us() + c->pause);
		}
		if (c->left == 0 || cut == n)
			net_end(c, c->left == 0 ? c->then : srv.cut_how);
	}
	if (c->tx.len > HIGH_WATER)
		net_drain(c, HIGH_WATER);
}

void net_put(struct conn *c, const void *bytes, size_t n)
{
	if (c->end == END_NONE && !c->muted)
		buf_add(&c->out, bytes, n);
	if (c->out.len >= BATCH)
		net_flush(c);
}

void net_put_eol(struct conn *c)
{
	net_put(c, &"\r\n"[srv.lf_only], srv.lf_only ? 1 : 2);
}

PRINTF(2, 3) void net_put_line(struct conn *c, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	if ((n = vasprintf(&s, fmt, ap)) < 0)
		die(1, "out of memory");
	va_end(ap);
	net_put(c, s, (size_t)n);
	free(s);
	net_put_eol(c);
}

/* A line of a message, or a piece of one: stuffed. */
static void put_text(struct conn *c, const char *p, size_t len)
{
	bool crlf = len > 1 && p[len - 2] == '\r' && p[len - 1] == '\n';

	if (!c->mid_line && *p == '.' && !srv.no_stuffing)
		net_put(c, ".", 1);
	c->mid_line = p[len - 1] != '\n';
	net_put(c, p, crlf ? len - 2 : len);
	if (crlf)
		net_put_eol(c);
}

/* The text of a message up to an offset; ends with a whole line. */
void net_put_message(struct conn *c, const struct message *m, uint64_t end)
{
	static char chunk[BATCH / 2];
	size_t n;

	c->mid_line = false;
	for (uint64_t at = 0; at < end && c->end == END_NONE; at += n) {
		n = mailbox_text(m, at, chunk, (size_t)MIN(sizeof chunk, end - at));
		if (n > 1 && chunk[n - 1] == '\r' && at + n < end)
			n--; /* its LF must be seen with it */
		for (char *p = chunk, *next; p < chunk + n; p = next) {
			char *nl = memchr(p, '\n', (size_t)(chunk + n - p));

			next = nl ? nl + 1 : chunk + n;
			put_text(c, p, (size_t)(next - p));
		}
	}
	if (c->mid_line)
		net_put_eol(c);
}

/* -- TLS ------------------------------------------------------------------------------- */

/* The handshake goes the way of answers, so that the script can shape it; records do not. */
static ssize_t tls_push(gnutls_transport_ptr_t ptr, const void *bytes, size_t n)
{
	struct conn *c = ptr;

	buf_add(c->shaking ? &c->out : &c->tx, bytes, n);
	return (ssize_t)n;
}

static ssize_t tls_pull(gnutls_transport_ptr_t ptr, void *to, size_t max)
{
	struct conn *c = ptr;
	size_t n = MIN(max, c->rx.len);

	if (n == 0 && !c->socket_eof) {
		gnutls_transport_set_errno(c->tls, EAGAIN);
		return -1;
	}
	if (n > 0)
		memcpy(to, c->rx.p + c->rx.at, n);
	buf_take(&c->rx, n);
	return (ssize_t)n;
}

void net_run_tls(struct conn *c)
{
	int r;

	if (gnutls_init(&c->tls, GNUTLS_SERVER | GNUTLS_NONBLOCK) != 0)
		die(1, "gnutls_init failed");
	gnutls_priority_set(c->tls, srv.priorities);
	gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, srv.credentials);
	gnutls_transport_set_ptr(c->tls, c);
	gnutls_transport_set_push_function(c->tls, tls_push);
	gnutls_transport_set_pull_function(c->tls, tls_pull);
	c->shaking = true;
	do {
		r = gnutls_handshake(c->tls);
		if (r < 0 && gnutls_error_is_fatal(r))
			gnutls_alert_send_appropriate(c->tls, r);
		net_flush(c);
		net_drain(c, 0);
		if (r == GNUTLS_E_AGAIN && c->rx.len == 0 && c->end == END_NONE)
			net_wait(c, NEVER);
	} while (r < 0 && !gnutls_error_is_fatal(r) && c->end == END_NONE);
	c->shaking = false;
	if (c->end != END_NONE && c->end != END_LOST)
		return; /* by the script */
	c->secured = r == 0;
	net_log(c, c->secured ? "-- tls" : "-- tls failed");
	c->waited = srv.tls == TLS_STLS; /* the next words are a flight, early as they may be */
	if (c->secured)
		receive(c); /* what came with the handshake */
	else
		net_end(c, END_FIN);
}

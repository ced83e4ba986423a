/* SPDX-License-Identifier: MIT */
/*
 * pop3d.c - the POP3 server of the test suite: a correct small mailbox, and a liar by script.
 *
 * pop3d [-p PORTFILE] [-t TRANSCRIPT] [-c CERTDIR] [-n CONNECTIONS] SCRIPT
 * pop3d -x DIRECTORY SCRIPT
 *
 * Listens on 127.0.0.1, a port of the kernel's choice, and serves connections one after another.
 * SCRIPT "-" is standard input.  It ends after CONNECTIONS of them, on SIGTERM or SIGINT, or
 * after an hour without any.  Exit status: 0, 1 the system refused something, 2 usage or script.
 *
 * -p  the port number goes into this file, at once and whole, when clients may come (else: stdout)
 * -t  every line received is appended here as it came, less its CRLF, passwords included, before
 *     its answer leaves; and "-- connect", "-- tls", "-- tls failed", "-- plaintext after STLS",
 *     "-- sent N" (octets of POP3, without TLS), "-- close (flights N)".  These two stand there
 *     before the client can know the end (and in front of lines that came too late), unless it
 *     is the client who leaves.  A flight is what the client sends without waiting: N is how often
 *     all that had come was answered, the greeting too, before the next command came; a
 *     lock-step session of n commands has n flights.  A client that takes up answers one by one
 *     while it sends makes more of them than round trips; "delay" makes both the same.
 *     The lines of parallel connections mix.
 * -c  where cert NAME finds NAME.pem and NAME.key (default: .); make-certs.sh makes them
 * -x  serve nothing; write each message into DIRECTORY/1, 2, ... as a client should store it: LF
 *
 * Input is read whenever there is some, whatever is being written: no client can deadlock it.
 * When it hangs up it lets the client close first, for a second at most.
 *
 * The script is read line by line; "#" and empty lines are passed over.  TEXT is the rest of its
 * line and knows \r \n \t \0 \\ \xNN, as UID, NAME and PASSWORD do; FILE is a path.  Without a
 * script line all is correct: USER, PASS, AUTH, CAPA, STLS, STAT, LIST, UIDL, RETR, TOP, DELE,
 * RSET, NOOP, QUIT, pipelining; APOP with the timestamp of the greeting.  What QUIT deletes is
 * gone for later connections.  AUTH knows PLAIN, LOGIN and those of sasld.h, whatever CAPA says;
 * a token is right if it is the password.
 *
 *   tls implicit|stls|off    default off; and: cert NAME (default server), tls-priority STRING
 *   user NAME PASSWORD       default joe secret; the password is the rest of the line
 *   greeting TEXT            what stands behind +OK
 *   capa LINE                one line of the list, instead of the default list; repeatable.
 *                            capa-tls, capa-login: other lists after TLS, after the login
 *   no-capa                  CAPA is an unknown command
 *   message UID FILE         a message; LF becomes CRLF.  UIDs may occur twice
 *   message UID raw FILE     its bytes are sent as they are
 *   message UID text TEXT    likewise
 *   message UID inline       the lines that follow up to "."; ".." at a line's start means "."
 *   message UID size N       generated: header and lines of 72 characters, N octets in all (or as
 *                            many as the header has); some lines begin with "." or "From "
 *   messages COUNT SIZE [P]  COUNT of these with the UIDs u1 u2 ... (P instead of u).  A generated
 *                            text depends on its place in the script and its size alone, and
 *                            costs no memory: beyond 4 GiB, or a million of them, is fine
 *   list-octets NUM TEXT     LIST lies about message NUM of the script (stands after it)
 *   stat TEXT                STAT lies: +OK TEXT
 *   next-password PASSWORD   from the second connection on
 *   scram-rounds N           default 4096; and: sasl-fault WORD (see sasld.h)
 *   persist FILE             a byte for each message: "." or, deleted, "D".  Outlives the server
 *   window N                 as Gmail: a session shows N messages, and what was RETRed before QUIT
 *                            is in no later one
 *   delay MS                 a round trip: no answer leaves before MS after its command came;
 *                            pipelined commands wait together
 *   no-stuffing  lf-only     no doubled dots; LF instead of CRLF in all that is sent
 *   broken-pipelining W      close|drop: with more commands behind one: hang up, or lose them
 *   parallel                 a process for each connection
 *   ipv6                     listen on ::1 too, same port
 *   cut-after N [HOW] [conn C]  end a connection when N octets of POP3 were sent in all, HOW:
 *                            fin (default; = tls) close_notify and FIN, notls no close_notify, rst
 *   on COMMAND [ARG] [nth K] [conn C] ACTION
 *                            COMMAND: GREETING TLS (the handshake) ANY CAPA STLS USER PASS AUTH
 *                            RESPONSE (a line answering a SASL challenge) APOP UTF8 STAT UIDL LIST
 *                            TOP RETR DELE NOOP RSET QUIT.  ANY is every line from the client.
 *                            ARG: its first argument, "-": it has none.  nth K: the K-th such
 *                            command of its connection.  conn C: the C-th connection.  Of
 *                            several rules the first that fits acts; all of them count
 *
 * Actions that take the command's place:            and those that change its normal answer:
 *   reply TEXT    TEXT and CRLF                       say TEXT       TEXT and CRLF instead of it
 *   raw TEXT      TEXT; so file FILE                  inject TEXT    TEXT behind, same segment
 *   accept        PASS, AUTH, RESPONSE: log in        slow MS        later
 *   stall         silence until the client leaves     drip MS        one octet every MS
 *   ignore        silence, go on                      split N        N octets at a time
 *   close         close_notify, FIN                   cut N          N octets, close_notify, FIN
 *   close-noapply the same                            cut-notls N    N octets, FIN
 *   reset         RST                                 cut-reset N    N octets, RST
 *   apply-close   QUIT: delete, then close
 *
 * The first kind leaves the command undone (reply +OK to DELE deletes nothing); with the second
 * it has its effect, whatever the client sees (cut 0 of QUIT deletes).  The answers to earlier
 * commands always go out whole.  "slow" holds up what comes after, too; "split" and "drip" send
 * each piece on its own (in TLS: as a record).
 * For TLS the octets are those of the handshake, and text goes out in the clear, then silence.
 * A reply to AUTH or RESPONSE that begins with "+ " makes the client's next line a RESPONSE.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sasld.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NEVER INT64_MAX
#define NO_LIMIT UINT64_MAX
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum {
	BATCH = 64 * 1024,       /* answers are gathered up to this before they are sealed */
	HIGH_WATER = 256 * 1024, /* what may wait for the socket before no more is made */
	RECORD = 16384,          /* the largest TLS record */
	MAX_INPUT = 64 << 20,    /* unanswered commands of one client */
	LINE = 74,               /* a generated line with its CRLF */
	IDLE = 3600              /* seconds without a connection */
};

#define SECOND INT64_C(1000000) /* times are in microseconds */
#define SPLIT_PAUSE 50          /* between the writes of "split" */

/* -- bytes and time ----------------------------------------------------------------------- */

PRINTF(2, 3) static _Noreturn void die(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("pop3d: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	exit(status);
}

static void *need(void *p)
{
	if (!p)
		die(1, "out of memory");
	return p;
}

/* A queue of bytes, p[at] to p[at + len - 1].  Zeroed is a valid empty one. */
struct buf {
	char *p;
	size_t at, len, cap;
};

/* Makes room for n bytes behind what is there, and returns where they go. */
static char *buf_room(struct buf *b, size_t n)
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

static void buf_add(struct buf *b, const void *bytes, size_t n)
{
	if (n > 0)
		memcpy(buf_room(b, n), bytes, n);
	b->len += n;
}

static void buf_take(struct buf *b, size_t n)
{
	b->len -= n;
	b->at = b->len > 0 ? b->at + n : 0;
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * SECOND + t.tv_nsec / 1000;
}

/* Digits and nothing else. */
static bool parse_number(const char *s, uint64_t *value)
{
	if (!s || !*s || strlen(s) > 18)
		return false;
	for (*value = 0; *s >= '0' && *s <= '9'; s++)
		*value = *value * 10 + (uint64_t)(*s - '0');
	return *s == '\0';
}

/* Cuts the next word off *rest, which then stands behind the one blank that ended it. */
static char *next_word(char **rest)
{
	char *word = *rest + strspn(*rest, " \t");

	*rest = word + strcspn(word, " \t");
	if (**rest)
		*(*rest)++ = '\0';
	return *word ? word : NULL;
}

/* Where a word stands in a list that ends with NULL (the list's length if it does not). */
static int find_word(const char *word, const char *const *list)
{
	int i = 0;

	while (list[i] && strcasecmp(word, list[i]) != 0)
		i++;
	return i;
}

/* -- what the script said ----------------------------------------------------------------- */

/* Events, then commands before the login, after it, and at any time. */
enum verb {
	V_GREETING, V_TLS, V_ANY, V_RESPONSE, V_STLS, V_USER, V_PASS, V_AUTH, V_STAT, V_UIDL,
	V_LIST, V_TOP, V_RETR, V_DELE, V_NOOP, V_RSET, V_CAPA, V_QUIT, V_APOP, V_UTF8, V_UNKNOWN
};
static const char *const verbs[] = {
	"GREETING", "TLS", "ANY", "RESPONSE", "STLS", "USER", "PASS", "AUTH", "STAT", "UIDL",
	"LIST", "TOP", "RETR", "DELE", "NOOP", "RSET", "CAPA", "QUIT", "APOP", "UTF8", NULL
};

/* With a text, a file, a number, or nothing. */
enum action {
	A_REPLY, A_RAW, A_SAY, A_INJECT, A_FILE, A_SLOW, A_DRIP, A_SPLIT, A_CUT, A_CUT_NOTLS,
	A_CUT_RESET, A_ACCEPT, A_STALL, A_IGNORE, A_APPLY_CLOSE, A_CLOSE, A_CLOSE_NOAPPLY, A_RESET,
	A_NONE
};
static const char *const actions[] = {
	"reply", "raw", "say", "inject", "file", "slow", "drip", "split", "cut", "cut-notls",
	"cut-reset", "accept", "stall", "ignore", "apply-close", "close", "close-noapply", "reset",
	NULL
};

/* Not yet; close_notify and FIN; FIN; RST; it is broken already. */
enum ending { END_NONE, END_TLS, END_FIN, END_RST, END_LOST };

enum { TLS_OFF, TLS_STLS, TLS_IMPLICIT };
enum { PIPELINING_CLOSES, PIPELINING_DROPS, PIPELINING_WORKS };

struct rule {
	enum verb verb;
	const char *arg;
	uint64_t nth, conn; /* 0: any */
	uint64_t seen;      /* in this connection */
	enum action action;
	uint64_t n;         /* milliseconds or octets */
	char *text;
	size_t len;
};

struct message {
	const char *uid;     /* whole, or its beginning when there is a uid_number */
	uint32_t uid_number; /* 0: none */
	uint32_t number;     /* place in the script, from 1 */
	const char *text;    /* NULL: generated */
	uint64_t octets;
	const char *listed;  /* what LIST says instead of octets, or NULL */
};

/* Strings live as long as the process. */
static struct {
	const char *name, *cert_dir, *transcript;
	FILE *file;           /* the script, */
	unsigned line;        /* its line while it is read, and */
	char **lines;         /* all lines: others point into them */
	int tls, pipelining;  /* TLS_..., PIPELINING_... */
	const char *cert, *priority, *user, *password, *greeting, *stat, *persist;
	const char *next_password, *sasl_fault;
	uint64_t rounds, window;
	struct buf capa[3];   /* strings, each with its NUL: plain, after TLS, after the login */
	bool no_stuffing, lf_only, parallel, ipv6;
	uint64_t delay, cut_after, cut_conn;
	enum ending cut_how;
	struct rule *rules;
	struct message *messages;
	size_t n_rules, n_messages;
	uint32_t n_generated; /* by "messages" */
	char *gone;           /* n_messages bytes shared with all processes: 'D' is deleted */
	int log_fd, life[2];  /* the transcript; a pipe that tells children that the parent ends */
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priorities;
	sigset_t old_mask;    /* lets SIGTERM in: for ppoll */
} srv = {.cert_dir = ".", .cert = "server", .priority = "NORMAL", .user = "joe",
	.password = "secret", .greeting = "pop3d ready", .sasl_fault = "", .rounds = 4096,
	.pipelining = PIPELINING_WORKS, .cut_after = NO_LIMIT, .log_fd = -1, .life = {-1, -1}};

static volatile sig_atomic_t stop;

/* -- messages ----------------------------------------------------------------------------- */

/* The header of a generated message: always as long, but for a filling that makes the rest come
 * out in whole lines.  Without a message: the shortest. */
static size_t message_head(const struct message *m, char *to, size_t size)
{
	static const char fill[] =
	    "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789x";
	static size_t shortest;
	uint32_t n = m ? m->number : 0;

	if (m && shortest == 0)
		shortest = message_head(NULL, to, size);
	return (size_t)snprintf(to, size, "Return-Path: <sender%010u@example.org>\r\n"
	    "From: Sender <sender%010u@example.org>\r\nTo: joe@example.net\r\n"
	    "Subject: Message %010u\r\nMessage-ID: <%010u@pop3d.example>\r\n"
	    "Date: Mon, 01 Jan 2024 00:00:00 +0000\r\nX-Fill: =%.*s\r\n\r\n", n, n, n, n,
	    m ? (int)((m->octets - shortest) % LINE) : 0, fill);
}

/* Line n of a generated message, each another; some test stuffing, some quoting. */
static void message_line(const struct message *m, uint64_t n, char line[LINE])
{
	static const char text[] = "the quick brown fox jumps over the lazy dog, and the five "
	    "boxing wizards jump quickly past the quiet sphinx of black quartz; ";
	uint64_t key = (uint64_t)m->number << 36 | n;

	line[0] = n % 40 == 7 ? '.' : '#';
	for (int i = 16; i > 0; i--, key >>= 4)
		line[i] = "0123456789abcdef"[key & 15];
	line[17] = ' ';
	memcpy(line + 18, text + (n * 7 + m->number) % (sizeof(text) - 54), 54);
	memcpy(line + 72, "\r\n", 2);
	if (n % 40 == 23)
		memcpy(line, "From ", 5);
}

/* Copies max bytes of the message's text from offset at, or what is left of it. */
static size_t message_read(const struct message *m, uint64_t at, char *to, size_t max)
{
	char head[512], line[LINE];
	size_t done = 0, head_len, n;

	max = (size_t)MIN(max, m->octets - at);
	if (m->text) {
		memcpy(to, m->text + at, max);
		return max;
	}
	head_len = message_head(m, head, sizeof head);
	if (at < head_len) {
		done = MIN(max, head_len - (size_t)at);
		memcpy(to, head + at, done);
	}
	for (; done < max; done += n) {
		uint64_t offset = at + done - head_len;

		message_line(m, offset / LINE, line);
		n = MIN(LINE - (size_t)(offset % LINE), max - done);
		memcpy(to + done, line + offset % LINE, n);
	}
	return done;
}

/* How much of a message TOP shows: its header and so many lines. */
static uint64_t message_top(const struct message *m, uint64_t lines)
{
	char head[512];
	bool body = false;
	uint64_t at = 0;

	if (!m->text) {
		at = message_head(m, head, sizeof head);
		return at + MIN(lines, (m->octets - at) / LINE) * LINE;
	}
	while (at < m->octets && (!body || lines-- > 0)) {
		const char *p = m->text + at, *nl = memchr(p, '\n', (size_t)(m->octets - at));

		at = nl ? (uint64_t)(nl + 1 - m->text) : m->octets;
		body = body || nl == p || (nl == p + 1 && *p == '\r');
	}
	return at;
}

/* -- a connection ------------------------------------------------------------------------- */

/* A line that has come: how long it is, and when it may be answered. */
struct arrival {
	size_t len;
	int64_t due;
};

struct conn {
	int fd;
	uint64_t number;
	enum ending end; /* once set, nothing more is answered */
	bool eof;        /* no more input */
	bool socket_eof; /* and none for the TLS layer */
	bool tls_input, shaking, secured; /* what comes is TLS; handshake; after it */
	bool logged_in, name_ok, quit, shake_next, waited, muted, closed;
	enum { SASL_NONE, SASL_PLAIN, SASL_LOGIN, SASL_PASSWORD, SASL_SCRIPTED, SASL_OTHER } sasl;
	struct sasld mech;
	gnutls_session_t tls;
	struct buf rx, in;   /* TLS records; the client's lines */
	struct buf out, tx;  /* answers; what the socket gets */
	struct buf arrivals; /* struct arrival for each whole line in "in" */
	struct buf line;     /* the command in hand */
	struct buf log;      /* transcript not yet written */
	size_t scanned;      /* bytes of "in" that arrivals tell about */
	uint64_t left;       /* the answer in hand: octets that may pass, */
	size_t chunk;        /* how many at a time (0: all), */
	int64_t pause;       /* the time between, */
	enum ending then;    /* and the end that follows */
	uint64_t sent, flights, cut_left;
	bool mid_line;       /* in the text of a message */
	uint32_t *view;      /* the mailbox at login: indices into srv.messages */
	char *deleted, *popped;
	uint32_t n_view, n_left;
	uint64_t octets_left;
};

static void log_add(struct conn *c, const char *bytes, size_t len)
{
	buf_add(&c->log, bytes, len);
	buf_add(&c->log, "\n", 1);
}

static void log_event(struct conn *c, const char *text)
{
	log_add(c, text, strlen(text));
}

/* Nothing more is answered; what is sealed still goes out. */
static void end_connection(struct conn *c, enum ending how)
{
	char text[100];

	if (!c->closed) {
		snprintf(text, sizeof text, "-- sent %" PRIu64 "\n-- close (flights %" PRIu64 ")",
		    c->sent, c->flights);
		log_event(c, text);
	}
	c->closed = true;
	c->out.len = 0;
	if (how == END_TLS && c->secured && c->end == END_NONE)
		gnutls_bye(c->tls, GNUTLS_SHUT_WR);
	c->end = c->end == END_NONE ? how : c->end;
}

/* -- input -------------------------------------------------------------------------------- */

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
static short wait_fd(int fd, short events, int64_t until)
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

/* Waits for the client or until the time, reading and ready to write.  Returns false when
 * nothing was read. */
static bool wait_net(struct conn *c, int64_t until)
{
	short events = (short)((c->socket_eof ? 0 : POLLIN) | (c->tx.len > 0 ? POLLOUT : 0));
	short got = wait_fd(c->fd, events, until);

	if (got & POLLIN)
		receive(c);
	else if (got & (POLLERR | POLLHUP))
		c->end = END_LOST;
	if (stop)
		c->end = END_LOST;
	return got & POLLIN;
}

/* -- output ------------------------------------------------------------------------------- */

/* Writes as much of tx as the socket takes, once the transcript tells what led to it. */
static void transmit(struct conn *c)
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
static void drain(struct conn *c, size_t n)
{
	while (transmit(c), c->tx.len > n && c->end != END_LOST)
		wait_net(c, NEVER);
}

/* Writes and reads, but answers nothing. */
static void sleep_until(struct conn *c, int64_t until)
{
	while (c->end != END_LOST && now_us() < until && !(until == NEVER && c->eof)) {
		transmit(c);
		wait_net(c, until);
	}
}

/* Seals the answers gathered so far: hands them to the socket's queue, in the shape that the
 * script wants, and through TLS when there is TLS. */
static void flush(struct conn *c)
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
			drain(c, 0);
			sleep_until(c, now_us() + c->pause);
		}
		if (c->left == 0 || cut == n)
			end_connection(c, c->left == 0 ? c->then : srv.cut_how);
	}
	if (c->tx.len > HIGH_WATER)
		drain(c, HIGH_WATER);
}

static void put(struct conn *c, const void *bytes, size_t n)
{
	if (c->end == END_NONE && !c->muted)
		buf_add(&c->out, bytes, n);
	if (c->out.len >= BATCH)
		flush(c);
}

static void put_eol(struct conn *c)
{
	put(c, &"\r\n"[srv.lf_only], srv.lf_only ? 1 : 2);
}

PRINTF(2, 3) static void put_line(struct conn *c, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	if ((n = vasprintf(&s, fmt, ap)) < 0)
		die(1, "out of memory");
	va_end(ap);
	put(c, s, (size_t)n);
	free(s);
	put_eol(c);
}

/* A line of a message, or a piece of one: stuffed. */
static void put_text(struct conn *c, const char *p, size_t len)
{
	bool crlf = len > 1 && p[len - 2] == '\r' && p[len - 1] == '\n';

	if (!c->mid_line && *p == '.' && !srv.no_stuffing)
		put(c, ".", 1);
	c->mid_line = p[len - 1] != '\n';
	put(c, p, crlf ? len - 2 : len);
	if (crlf)
		put_eol(c);
}

/* The text of a message up to an offset; ends with a whole line. */
static void put_message(struct conn *c, const struct message *m, uint64_t end)
{
	static char chunk[BATCH / 2];
	size_t n;

	c->mid_line = false;
	for (uint64_t at = 0; at < end && c->end == END_NONE; at += n) {
		n = message_read(m, at, chunk, (size_t)MIN(sizeof chunk, end - at));
		if (n > 1 && chunk[n - 1] == '\r' && at + n < end)
			n--; /* its LF must be seen with it */
		for (char *p = chunk, *next; p < chunk + n; p = next) {
			char *nl = memchr(p, '\n', (size_t)(chunk + n - p));

			next = nl ? nl + 1 : chunk + n;
			put_text(c, p, (size_t)(next - p));
		}
	}
	if (c->mid_line)
		put_eol(c);
}

/* -- TLS ---------------------------------------------------------------------------------- */

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

static void run_tls(struct conn *c)
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
		flush(c);
		drain(c, 0);
		if (r == GNUTLS_E_AGAIN && c->rx.len == 0 && c->end == END_NONE)
			wait_net(c, NEVER);
	} while (r < 0 && !gnutls_error_is_fatal(r) && c->end == END_NONE);
	c->shaking = false;
	if (c->end != END_NONE && c->end != END_LOST)
		return; /* by the script */
	c->secured = r == 0;
	log_event(c, c->secured ? "-- tls" : "-- tls failed");
	c->waited = srv.tls == TLS_STLS; /* the next words are a flight, early as they may be */
	if (c->secured)
		receive(c); /* what came with the handshake */
	else
		end_connection(c, END_FIN);
}

/* -- commands ----------------------------------------------------------------------------- */

static void log_in(struct conn *c, bool ok)
{
	c->sasl = SASL_NONE;
	if (!ok || c->logged_in) {
		put_line(c, "-ERR [AUTH] wrong name or password");
		return;
	}
	c->logged_in = true;
	c->view = need(malloc((srv.n_messages + 1) * sizeof *c->view));
	c->deleted = need(calloc(srv.n_messages + 1, 1));
	c->popped = need(calloc(srv.n_messages + 1, 1));
	for (uint32_t i = 0; i < srv.n_messages; i++) {
		if (srv.gone[i] == 'D')
			continue;
		if (srv.window > 0 && c->n_view == srv.window)
			break;
		c->view[c->n_view++] = i;
		c->octets_left += srv.messages[i].octets;
	}
	c->n_left = c->n_view;
	put_line(c, "+OK %u messages", c->n_left);
}

static void run_capa(struct conn *c)
{
	const struct buf *list = &srv.capa[c->secured && srv.capa[1].len > 0];

	if (c->logged_in && srv.capa[2].len > 0)
		list = &srv.capa[2];
	put_line(c, "+OK");
	for (size_t at = 0; at < list->len; at += strlen(list->p + at) + 1)
		put_line(c, "%s", list->p + at);
	put_line(c, ".");
}

static void run_stls(struct conn *c)
{
	if (srv.tls != TLS_STLS || c->secured) {
		put_line(c, "-ERR no TLS here");
	} else if (c->in.len > 0) {
		log_event(c, "-- plaintext after STLS");
		end_connection(c, END_FIN);
	} else {
		c->shake_next = c->tls_input = true;
		put_line(c, "+OK begin TLS");
	}
}

/* Whether word is these strings in base64, with NUL between them; NULL ones are left out. */
static bool is_base64(const char *word, const char *const strings[3])
{
	gnutls_datum_t raw, coded = {0};
	struct buf b = {0};
	bool is;

	for (int i = 0; i < 3 && strings[i]; i++) {
		buf_add(&b, "", i > 0);
		buf_add(&b, strings[i], strlen(strings[i]));
	}
	raw = (gnutls_datum_t){(unsigned char *)b.p, (unsigned)b.len};
	is = gnutls_base64_encode2(&raw, &coded) == 0 && strcmp(word, (char *)coded.data) == 0;
	gnutls_free(coded.data);
	free(b.p);
	return is;
}

static const char *password_of(const struct conn *c)
{
	return srv.next_password && c->number > 1 ? srv.next_password : srv.password;
}

static struct sasld_world world_of(const struct conn *c)
{
	return (struct sasld_world){srv.user, password_of(c), srv.greeting, srv.sasl_fault,
	    (unsigned)srv.rounds, c->secured ? c->tls : NULL};
}

/* A step of one of the mechanisms of sasld.h. */
static void run_other(struct conn *c, const char *arg)
{
	struct sasld_world world = world_of(c);
	char out[2048];

	switch (sasld_step(&c->mech, &world, arg, out, sizeof out)) {
	case SASLD_ASK:
		c->sasl = SASL_OTHER;
		put_line(c, "+ %s", out);
		break;
	case SASLD_YES: log_in(c, true); break;
	case SASLD_NO: log_in(c, false); break;
	}
}

static void run_response(struct conn *c, const char *arg)
{
	const char *const user[3] = {srv.user}, *const password[3] = {password_of(c)};
	const char *const plain[3] = {"", srv.user, password_of(c)};
	const char *const as[3] = {srv.user, srv.user, password_of(c)};

	if (strcmp(arg, "*") == 0 || c->sasl == SASL_SCRIPTED) {
		c->sasl = SASL_NONE;
		put_line(c, "-ERR authentication cancelled");
	} else if (c->sasl == SASL_OTHER) {
		run_other(c, arg);
	} else if (c->sasl == SASL_PLAIN) {
		log_in(c, is_base64(arg, plain) || is_base64(arg, as));
	} else if (c->sasl == SASL_LOGIN) {
		c->name_ok = is_base64(arg, user);
		c->sasl = SASL_PASSWORD;
		put_line(c, "+ UGFzc3dvcmQ6");
	} else {
		log_in(c, c->name_ok && is_base64(arg, password));
	}
}

static void run_auth(struct conn *c, char *arg)
{
	static const char *const mechs[] = {"PLAIN", "LOGIN", NULL};
	char *word = next_word(&arg);
	int mech = word ? find_word(word, mechs) : 2;

	if (mech == 2 && word && sasld_begin(&c->mech, word)) {
		run_other(c, *arg ? arg : NULL);
		return;
	}
	if (mech == 2) {
		put_line(c, "-ERR unknown mechanism");
		return;
	}
	c->sasl = mech == 0 ? SASL_PLAIN : SASL_LOGIN;
	if (*arg)
		run_response(c, strcmp(arg, "=") == 0 ? "" : arg);
	else
		put_line(c, mech == 0 ? "+ " : "+ VXNlcm5hbWU6");
}

static void run_apop(struct conn *c, const char *arg)
{
	struct sasld_world world = world_of(c);

	if (c->logged_in)
		put_line(c, "-ERR not now");
	else
		log_in(c, sasld_apop(&world, arg));
}

/* The message of a number, or NULL and the answer is given. */
static const struct message *message_of(struct conn *c, const char *word, uint64_t *n)
{
	if (!parse_number(word, n) || *n < 1 || *n > c->n_view)
		put_line(c, "-ERR no such message");
	else if (c->deleted[*n - 1])
		put_line(c, "-ERR message %" PRIu64 " is deleted", *n);
	else
		return &srv.messages[c->view[*n - 1]];
	return NULL;
}

/* A line of UIDL or LIST. */
static void put_entry(struct conn *c, enum verb verb, const char *before, uint64_t n)
{
	const struct message *m = &srv.messages[c->view[n - 1]];

	if (verb == V_UIDL && m->uid_number)
		put_line(c, "%s%" PRIu64 " %s%u", before, n, m->uid, m->uid_number);
	else if (verb == V_UIDL || m->listed)
		put_line(c, "%s%" PRIu64 " %s", before, n, verb == V_UIDL ? m->uid : m->listed);
	else
		put_line(c, "%s%" PRIu64 " %" PRIu64, before, n, m->octets);
}

static void run_listing(struct conn *c, enum verb verb, const char *word)
{
	uint64_t n;

	if (word) {
		if (message_of(c, word, &n))
			put_entry(c, verb, "+OK ", n);
		return;
	}
	put_line(c, "+OK %u messages", c->n_left);
	for (n = 1; n <= c->n_view && c->end == END_NONE; n++)
		if (!c->deleted[n - 1])
			put_entry(c, verb, "", n);
	put_line(c, ".");
}

/* RETR, TOP and DELE. */
static void run_on_message(struct conn *c, enum verb verb, char *arg)
{
	const char *word = next_word(&arg);
	uint64_t n, lines = 0;
	const struct message *m = message_of(c, word, &n);

	if (!m)
		return;
	if (verb == V_DELE) {
		c->deleted[n - 1] = 1;
		c->n_left--;
		c->octets_left -= m->octets;
		put_line(c, "+OK message %" PRIu64 " deleted", n);
	} else if (verb == V_TOP && !parse_number(next_word(&arg), &lines)) {
		put_line(c, "-ERR how many lines?");
	} else {
		c->popped[n - 1] |= verb == V_RETR;
		put_line(c, "+OK %" PRIu64 " octets", m->octets);
		put_message(c, m, verb == V_TOP ? message_top(m, lines) : m->octets);
		put_line(c, ".");
	}
}

static void run_rset(struct conn *c)
{
	for (uint32_t i = 0; i < c->n_view; i++)
		if (c->deleted[i])
			c->octets_left += srv.messages[c->view[i]].octets;
	memset(c->deleted, 0, c->n_view);
	c->n_left = c->n_view;
	put_line(c, "+OK");
}

static void run_quit(struct conn *c)
{
	for (uint32_t i = 0; i < c->n_view; i++)
		if (c->deleted[i] || (srv.window > 0 && c->popped[i]))
			srv.gone[c->view[i]] = 'D';
	put_line(c, "+OK bye");
	c->quit = true;
}

/* What a correct server does. */
static void run_verb(struct conn *c, enum verb verb, char *arg)
{
	if (c->logged_in ? verb < V_STAT : verb >= V_STAT && verb < V_CAPA) {
		put_line(c, "-ERR not now");
		return;
	}
	switch (verb) {
	case V_GREETING: put_line(c, "+OK %s", srv.greeting); break;
	case V_TLS: run_tls(c); break;
	case V_RESPONSE: run_response(c, arg); break;
	case V_CAPA: run_capa(c); break;
	case V_STLS: run_stls(c); break;
	case V_USER:
		c->name_ok = strcmp(arg, srv.user) == 0;
		put_line(c, "+OK password?");
		break;
	case V_PASS: log_in(c, c->name_ok && strcmp(arg, password_of(c)) == 0); break;
	case V_AUTH: run_auth(c, arg); break;
	case V_APOP: run_apop(c, arg); break;
	case V_STAT:
		if (srv.stat)
			put_line(c, "+OK %s", srv.stat);
		else
			put_line(c, "+OK %u %" PRIu64, c->n_left, c->octets_left);
		break;
	case V_UIDL:
	case V_LIST: run_listing(c, verb, next_word(&arg)); break;
	case V_TOP:
	case V_RETR:
	case V_DELE: run_on_message(c, verb, arg); break;
	case V_NOOP: put_line(c, "+OK"); break;
	case V_RSET: run_rset(c); break;
	case V_QUIT: run_quit(c); break;
	default: put_line(c, "-ERR unknown command");
	}
}

/* -- obeying the script ------------------------------------------------------------------- */

static const struct rule *find_rule(const struct conn *c, enum verb verb, const char *arg)
{
	const struct rule *found = NULL;
	size_t n = strcspn(arg, " \t");

	for (size_t i = 0; i < srv.n_rules; i++) {
		struct rule *r = &srv.rules[i];

		if ((r->verb != verb && (r->verb != V_ANY || verb < V_ANY)) ||
		    (r->conn && r->conn != c->number) ||
		    (r->arg && (strlen(r->arg) != n || strncasecmp(r->arg, arg, n) != 0)))
			continue;
		r->seen++;
		if (!found && (!r->nth || r->seen == r->nth))
			found = r;
	}
	return found;
}

/* The actions that take the command's place.  Returns false for others. */
static bool replace_command(struct conn *c, const struct rule *r, enum verb verb, char *arg)
{
	switch (r->action) {
	case A_REPLY:
	case A_RAW:
	case A_FILE:
		put(c, r->text, r->len);
		if (r->action == A_REPLY)
			put_eol(c);
		if (verb == V_AUTH || verb == V_RESPONSE)
			c->sasl = strncmp(r->text, "+ ", 2) == 0 ? SASL_SCRIPTED : SASL_NONE;
		if (verb != V_TLS)
			return true;
		/* fall through */
	case A_STALL:
		flush(c);
		sleep_until(c, NEVER);
		end_connection(c, END_FIN); /* what else came is not obeyed */
		return true;
	case A_ACCEPT:
		log_in(c, true);
		return true;
	case A_IGNORE:
		return true;
	case A_APPLY_CLOSE:
		c->muted = true;
		run_verb(c, verb, arg);
		/* fall through */
	case A_CLOSE:
	case A_CLOSE_NOAPPLY:
	case A_RESET:
		end_connection(c, r->action == A_RESET ? END_RST : END_TLS);
		return true;
	default:
		return false;
	}
}

/* How the answer in hand is to leave. */
static void shape_answer(struct conn *c, const struct rule *r)
{
	static const enum ending ends[] = {END_TLS, END_FIN, END_RST};

	c->left = NO_LIMIT;
	c->chunk = 0;
	c->then = END_NONE;
	if (r && (r->action == A_DRIP || r->action == A_SPLIT)) {
		c->chunk = r->action == A_SPLIT ? (size_t)r->n : 1;
		c->pause = r->action == A_SPLIT ? SPLIT_PAUSE : (int64_t)r->n * 1000;
	} else if (r && r->action >= A_CUT && r->action <= A_CUT_RESET) {
		c->left = r->n;
		c->then = ends[r->action - A_CUT];
	}
}

/* Runs a command by the rule that is for it; its answer has left when this returns. */
static void run_scripted(struct conn *c, enum verb verb, char *arg, const struct rule *r)
{
	flush(c); /* what came before is not the rule's business */
	if (r->action == A_SLOW)
		sleep_until(c, now_us() + (int64_t)r->n * 1000);
	if (c->end != END_NONE || replace_command(c, r, verb, arg))
		return;
	shape_answer(c, r);
	c->muted = r->action == A_SAY;
	run_verb(c, verb, arg);
	c->muted = false;
	if (r->action == A_SAY || r->action == A_INJECT)
		put(c, r->text, r->len);
	if (r->action == A_SAY)
		put_eol(c);
	flush(c);
	if (c->then != END_NONE)
		end_connection(c, c->then);
	shape_answer(c, NULL);
}

static void perform(struct conn *c, enum verb verb, char *arg)
{
	const struct rule *r = find_rule(c, verb, arg);

	if (c->end != END_NONE)
		return;
	if (r)
		run_scripted(c, verb, arg, r);
	else
		run_verb(c, verb, arg);
	if (c->quit) {
		flush(c);
		end_connection(c, END_TLS);
	}
	if (c->shake_next) {
		c->shake_next = false;
		flush(c);
		drain(c, 0);
		perform(c, V_TLS, c->line.p + strlen(c->line.p));
	}
}

/* Waits until a whole line is there.  Returns false when none will come.  Looks for input before
 * it sends the answers: what is there by then was sent without waiting for them. */
static bool await_line(struct conn *c)
{
	while (c->end == END_NONE && c->arrivals.len == 0) {
		bool idle;

		flush(c);
		if (c->eof || c->end != END_NONE)
			return false;
		idle = !wait_net(c, 0);
		transmit(c);
		c->waited = c->waited || (idle && c->tx.len == 0);
		if (idle)
			wait_net(c, NEVER);
	}
	return c->end == END_NONE;
}

/* Takes the next line of the client and does what it says.  Returns false at the end. */
static bool next_command(struct conn *c)
{
	struct arrival a;
	enum verb verb = V_RESPONSE;
	char *arg;

	if (!await_line(c))
		return false;
	memcpy(&a, c->arrivals.p + c->arrivals.at, sizeof a);
	buf_take(&c->arrivals, sizeof a);
	if (a.due > 0 && a.due > now_us()) {
		flush(c);
		sleep_until(c, a.due);
	}
	c->line.len = 0;
	buf_add(&c->line, c->in.p + c->in.at, a.len);
	arg = c->line.p;
	arg[a.len > 1 && arg[a.len - 2] == '\r' ? a.len - 2 : a.len - 1] = '\0';
	buf_take(&c->in, a.len);
	c->scanned -= a.len;
	if (c->sasl == SASL_NONE) {
		arg += strcspn(arg, " ");
		if (*arg)
			*arg++ = '\0';
		verb = (enum verb)find_word(c->line.p, verbs);
		verb = verb <= V_RESPONSE ? V_UNKNOWN : verb;
	}
	if (c->in.len > 0 && srv.pipelining == PIPELINING_CLOSES)
		end_connection(c, END_TLS);
	if (srv.pipelining == PIPELINING_DROPS)
		c->in.len = c->arrivals.len = c->scanned = 0;
	perform(c, verb, arg);
	return true;
}

/* Closing with unread input would make the kernel send RST, which destroys what is on its way;
 * so wait for the client to close, a moment at most.  RST in turn waits for what goes before. */
static void hang_up(struct conn *c)
{
	int64_t until = now_us() + SECOND;
	int unsent = 0;

	drain(c, 0);
	if (c->end == END_RST) {
		while (ioctl(c->fd, TIOCOUTQ, &unsent) == 0 && unsent > 0 && now_us() < until)
			wait_fd(-1, 0, now_us() + 1000);
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
		    sizeof(struct linger));
	} else {
		shutdown(c->fd, SHUT_WR);
		while (!c->socket_eof && c->end != END_LOST && now_us() < until)
			wait_net(c, until);
	}
}

static void converse(struct conn *c)
{
	char none[1] = "";

	log_event(c, "-- connect");
	c->tls_input = srv.tls == TLS_IMPLICIT;
	if (c->tls_input)
		perform(c, V_TLS, none);
	if (c->cut_left == 0)
		end_connection(c, srv.cut_how);
	if (srv.delay > 0 && c->end == END_NONE)
		sleep_until(c, now_us() + (int64_t)srv.delay * 1000);
	perform(c, V_GREETING, none);
	while (next_command(c))
		;
	end_connection(c, END_TLS);
	hang_up(c);
	transmit(c); /* the last words of the transcript */
}

/* A connection from its first to its last byte. */
static void serve(int fd, uint64_t number)
{
	struct conn c = {.fd = fd, .number = number, .cut_left = NO_LIMIT, .left = NO_LIMIT};
	struct buf *bufs[] = {&c.rx, &c.in, &c.out, &c.tx, &c.arrivals, &c.line, &c.log};

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	for (size_t i = 0; i < srv.n_rules; i++)
		srv.rules[i].seen = 0;
	if (srv.cut_conn == 0 || srv.cut_conn == number)
		c.cut_left = srv.cut_after;
	converse(&c);
	close(fd);
	if (c.tls)
		gnutls_deinit(c.tls);
	for (size_t i = 0; i < COUNT(bufs); i++)
		free(bufs[i]->p);
	free(c.view);
	free(c.deleted);
	free(c.popped);
}

/* -- reading the script ------------------------------------------------------------------- */

static _Noreturn void bad(const char *what)
{
	die(2, "%s:%u: %s", srv.name, srv.line, what);
}

static char *word_of(char **rest)
{
	char *word = next_word(rest);

	if (!word)
		bad("a word is missing");
	return word;
}

static uint64_t number_of(char **rest)
{
	uint64_t n;

	if (!parse_number(next_word(rest), &n))
		bad("a number is missing or wrong");
	return n;
}

/* Which of the words comes next. */
static int choice_of(char **rest, const char *const *words)
{
	int i = find_word(word_of(rest), words);

	if (!words[i])
		bad("unknown word");
	return i;
}

/* In place; returns the length.  A NUL stands behind it. */
static size_t unescape(char *s)
{
	static const char letters[] = "rnt0\\", meant[] = "\r\n\t\0\\", hex[] = "0123456789abcdef";
	const char *letter, *high, *low;
	char *start = s, *to = s;

	for (; *s; s++) {
		if (*s != '\\') {
			*to++ = *s;
		} else if (*++s && (letter = strchr(letters, *s))) {
			*to++ = meant[letter - letters];
		} else if (*s == 'x' && s[1] && s[2] &&
		    (high = strchr(hex, tolower((unsigned char)s[1]))) &&
		    (low = strchr(hex, tolower((unsigned char)s[2])))) {
			*to++ = (char)((high - hex) * 16 + (low - hex));
			s += 2;
		} else {
			bad("unknown escape");
		}
	}
	*to = '\0';
	return (size_t)(to - start);
}

static char *text_of(char *s)
{
	unescape(s);
	return s;
}

/* The next line of the script without its LF, to be kept; NULL at the end. */
static char *next_line(void)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n = getline(&line, &cap, srv.file);

	srv.line++;
	if (n < 0) {
		free(line);
		return NULL;
	}
	srv.lines = need(realloc(srv.lines, (srv.line + 1) * sizeof *srv.lines));
	srv.lines[srv.line] = line;
	if (line[n - 1] == '\n')
		line[n - 1] = '\0';
	return line;
}

static struct message *add_message(const char *uid)
{
	struct message *m;

	if ((srv.n_messages & (srv.n_messages - 1)) == 0) /* full at each power of two */
		srv.messages = need(realloc(srv.messages, (srv.n_messages * 2 + 1) * sizeof *m));
	m = &srv.messages[srv.n_messages++];
	*m = (struct message){.uid = uid, .number = (uint32_t)srv.n_messages};
	return m;
}

static void add_generated(const char *uid, uint32_t uid_number, uint64_t octets)
{
	struct message *m = add_message(uid);
	char head[512];
	size_t least = message_head(NULL, head, sizeof head);

	m->uid_number = uid_number;
	m->octets = octets > least ? octets : least;
}

/* Reads a file, or what stands in the script up to "."; with crlf, LF becomes CRLF. */
static struct buf read_text(const char *path, bool crlf)
{
	FILE *f = path ? fopen(path, "r") : srv.file;
	struct buf b = {0};
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	if (!f)
		die(2, "%s:%u: %s: %s", srv.name, srv.line, path, strerror(errno));
	while ((n = getline(&line, &cap, f)) > 0 && (path || strcmp(line, ".\n") != 0)) {
		bool dots = !path && line[0] == '.' && line[1] == '.';
		bool bare = crlf && line[n - 1] == '\n' && (n < 2 || line[n - 2] != '\r');

		buf_add(&b, line + dots, (size_t)n - dots - bare);
		buf_add(&b, "\r\n", bare ? 2 : 0);
		srv.line += !path;
	}
	srv.line += !path;
	free(line);
	if (path)
		fclose(f);
	return b;
}

static void read_message(char *rest)
{
	char *uid = text_of(word_of(&rest)), *kind = word_of(&rest);
	struct buf text = {0};
	struct message *m;

	if (strcmp(kind, "size") == 0) {
		add_generated(uid, 0, number_of(&rest));
		return;
	}
	if (strcmp(kind, "text") == 0)
		buf_add(&text, rest, unescape(rest));
	else if (strcmp(kind, "raw") == 0)
		text = read_text(word_of(&rest), false);
	else
		text = read_text(strcmp(kind, "inline") == 0 ? NULL : kind, true);
	m = add_message(uid);
	m->octets = text.len;
	m->text = text.len > 0 ? text.p : "";
}

static void read_messages(char *rest)
{
	uint64_t n = number_of(&rest), octets = number_of(&rest);
	const char *word = next_word(&rest);

	while (n-- > 0)
		add_generated(word ? word : "u", ++srv.n_generated, octets);
}

static void read_list_octets(char *rest)
{
	uint64_t n = number_of(&rest);

	if (n < 1 || n > srv.n_messages)
		bad("no such message yet");
	srv.messages[n - 1].listed = text_of(rest);
}

static void read_cut_after(char *rest)
{
	static const char *const words[] = {"fin", "tls", "notls", "rst", "conn", NULL};
	static const enum ending ends[] = {END_TLS, END_TLS, END_FIN, END_RST};

	srv.cut_after = number_of(&rest);
	srv.cut_how = END_TLS;
	while (*rest) {
		int i = choice_of(&rest, words);

		if (i == 4)
			srv.cut_conn = number_of(&rest);
		else
			srv.cut_how = ends[i];
	}
}

static void read_rule(char *rest)
{
	struct rule r = {.verb = (enum verb)choice_of(&rest, verbs), .action = A_NONE};
	struct buf file;

	while (r.action == A_NONE) {
		char *word = word_of(&rest);

		if (strcmp(word, "nth") == 0)
			r.nth = number_of(&rest);
		else if (strcmp(word, "conn") == 0)
			r.conn = number_of(&rest);
		else if ((r.action = (enum action)find_word(word, actions)) == A_NONE && r.arg)
			bad("unknown action");
		else if (r.action == A_NONE)
			r.arg = strcmp(word, "-") == 0 ? "" : word;
	}
	if (r.action <= A_INJECT) {
		r.text = rest;
		r.len = unescape(rest);
	} else if (r.action == A_FILE) {
		file = read_text(word_of(&rest), false);
		r.text = file.p;
		r.len = file.len;
	} else if (r.action <= A_CUT_RESET) {
		r.n = number_of(&rest);
	}
	if (r.action == A_SPLIT && r.n == 0)
		bad("split 0");
	srv.rules = need(realloc(srv.rules, (srv.n_rules + 1) * sizeof r));
	srv.rules[srv.n_rules++] = r;
}

static void read_user(char *rest)
{
	srv.user = text_of(word_of(&rest));
	srv.password = text_of(rest);
}

static void read_no_capa(char *rest)
{
	static char rule[] = "CAPA reply -ERR unknown command";

	(void)rest;
	read_rule(rule);
}

static const char *const tls_words[] = {"off", "stls", "implicit", NULL};
static const char *const pipelining_words[] = {"close", "drop", NULL};

/* The first word of a line, and where what follows goes. */
static const struct knob {
	const char *name;
	void (*read)(char *rest);
	const char **text;
	uint64_t *number;
	bool *flag;
	struct buf *strings;
	int *choice;
	const char *const *words;
} knobs[] = {
	{"tls", .choice = &srv.tls, .words = tls_words},
	{"broken-pipelining", .choice = &srv.pipelining, .words = pipelining_words},
	{"cert", .text = &srv.cert}, {"tls-priority", .text = &srv.priority},
	{"greeting", .text = &srv.greeting}, {"stat", .text = &srv.stat},
	{"next-password", .text = &srv.next_password}, {"sasl-fault", .text = &srv.sasl_fault},
	{"scram-rounds", .number = &srv.rounds},
	{"window", .number = &srv.window}, {"persist", .text = &srv.persist},
	{"delay", .number = &srv.delay},
	{"capa", .strings = &srv.capa[0]}, {"capa-tls", .strings = &srv.capa[1]},
	{"capa-login", .strings = &srv.capa[2]}, {"no-stuffing", .flag = &srv.no_stuffing},
	{"lf-only", .flag = &srv.lf_only}, {"parallel", .flag = &srv.parallel},
	{"ipv6", .flag = &srv.ipv6}, {"user", .read = read_user}, {"no-capa", .read = read_no_capa},
	{"message", .read = read_message}, {"messages", .read = read_messages},
	{"list-octets", .read = read_list_octets}, {"cut-after", .read = read_cut_after},
	{"on", .read = read_rule}
};

static void read_line(char *rest)
{
	const struct knob *k = knobs;
	const char *name = word_of(&rest);

	while (strcmp(k->name, name) != 0)
		if (++k == knobs + COUNT(knobs))
			bad("unknown word");
	if (k->read)
		k->read(rest);
	else if (k->text)
		*k->text = text_of(rest);
	else if (k->number)
		*k->number = number_of(&rest);
	else if (k->choice)
		*k->choice = choice_of(&rest, k->words);
	else if (k->strings)
		buf_add(k->strings, rest, strlen(rest) + 1);
	else
		*k->flag = true;
}

static void read_script(const char *path)
{
	static const char capa[] = "TOP\0UIDL\0USER\0PIPELINING\0RESP-CODES\0AUTH-RESP-CODE\0"
	    "SASL PLAIN LOGIN\0IMPLEMENTATION pop3d";
	char *line;

	srv.name = path;
	srv.file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	if (!srv.file)
		die(2, "%s: %s", path, strerror(errno));
	while ((line = next_line()))
		if (line[0] != '#' && line[strspn(line, " \t")])
			read_line(line);
	if (srv.file != stdin)
		fclose(srv.file);
	if (srv.capa[0].len > 0)
		return;
	buf_add(&srv.capa[0], capa, sizeof capa);
	if (srv.tls == TLS_STLS && srv.capa[1].len == 0)
		buf_add(&srv.capa[1], capa, sizeof capa);
	if (srv.tls == TLS_STLS)
		buf_add(&srv.capa[0], "STLS", 5);
}

/* -- the process -------------------------------------------------------------------------- */

/* -x: as they should lie in a Maildir. */
static void extract(const char *dir)
{
	char path[4096];

	srv.lf_only = srv.no_stuffing = true;
	for (size_t i = 0; i < srv.n_messages; i++) {
		struct conn c = {.left = NO_LIMIT, .cut_left = NO_LIMIT};

		snprintf(path, sizeof path, "%s/%zu", dir, i + 1);
		c.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		put_message(&c, &srv.messages[i], srv.messages[i].octets);
		flush(&c);
		drain(&c, 0);
		if (c.end != END_NONE || close(c.fd) != 0)
			die(1, "%s: %s", path, strerror(errno));
		free(c.out.p);
		free(c.tx.p);
	}
}

/* The deleted messages: in memory that all processes share, in a file if that was wanted. */
static void map_gone(void)
{
	size_t n = srv.n_messages + (srv.n_messages == 0), had = 0;
	int fd = -1;

	if (srv.persist) {
		fd = open(srv.persist, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		had = fd < 0 ? 0 : (size_t)lseek(fd, 0, SEEK_END);
		if (fd < 0 || (had < n && ftruncate(fd, (off_t)n) != 0))
			die(1, "%s: %s", srv.persist, strerror(errno));
	}
	srv.gone = mmap(NULL, n, PROT_READ | PROT_WRITE,
	    fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (srv.gone == MAP_FAILED)
		die(1, "mmap: %s", strerror(errno));
	for (; had < srv.n_messages; had++)
		srv.gone[had] = '.';
	if (fd >= 0)
		close(fd);
}

static void load_certificate(void)
{
	char cert[4096], key[4096];
	int r;

	snprintf(cert, sizeof cert, "%s/%s.pem", srv.cert_dir, srv.cert);
	snprintf(key, sizeof key, "%s/%s.key", srv.cert_dir, srv.cert);
	if (gnutls_certificate_allocate_credentials(&srv.credentials) != 0)
		die(1, "out of memory");
	r = gnutls_certificate_set_x509_key_file(srv.credentials, cert, key, GNUTLS_X509_FMT_PEM);
	if (r < 0)
		die(2, "%s: %s", cert, gnutls_strerror(r));
	if ((r = gnutls_priority_init(&srv.priorities, srv.priority, NULL)) < 0)
		die(2, "tls-priority %s: %s", srv.priority, gnutls_strerror(r));
}

static int listen_on(struct sockaddr *address, socklen_t len)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd >= 0 && address->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	if (fd < 0 || bind(fd, address, len) != 0 || listen(fd, 128) != 0 ||
	    getsockname(fd, address, &len) != 0)
		die(1, "cannot listen: %s", strerror(errno));
	return fd;
}

static void tell_port(const char *path, unsigned port)
{
	char temp[4096];
	FILE *f;

	if (!path) {
		printf("%u\n", port);
		fflush(stdout);
		return;
	}
	snprintf(temp, sizeof temp, "%s.new", path);
	if (!(f = fopen(temp, "w")) || fprintf(f, "%u\n", port) < 0 || fclose(f) != 0 ||
	    rename(temp, path) != 0)
		die(1, "%s: %s", path, strerror(errno));
}

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

/* SIGTERM and SIGINT are let in by ppoll alone. */
static void catch_signals(void)
{
	struct sigaction a = {.sa_handler = on_signal};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, &srv.old_mask);
	sigaction(SIGTERM, &a, NULL);
	sigaction(SIGINT, &a, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* The next client; -1 when there will be none. */
static int accept_next(const int listeners[2])
{
	struct pollfd p[2] = {{listeners[0], POLLIN, 0}, {listeners[1], POLLIN, 0}};
	int fd = -1;

	while (fd < 0) {
		if (ppoll(p, 2, &(struct timespec){IDLE, 0}, &srv.old_mask) == 0 || stop)
			return -1;
		for (int i = 0; i < 2 && fd < 0; i++)
			fd = accept4(listeners[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	}
	return fd;
}

/* Gives a connection a process of its own. */
static void serve_aside(int fd, uint64_t number, const int listeners[2])
{
	pid_t pid = fork();

	if (pid < 0)
		die(1, "fork: %s", strerror(errno));
	if (pid == 0) {
		close(listeners[0]);
		close(listeners[1]);
		close(srv.life[1]);
		serve(fd, number);
		exit(0);
	}
	close(fd);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void run(const int listeners[2], uint64_t limit)
{
	pid_t pid;

	if (srv.parallel && pipe2(srv.life, O_CLOEXEC) != 0)
		die(1, "pipe: %s", strerror(errno));
	for (uint64_t number = 1; !stop && (limit == 0 || number <= limit); number++) {
		int fd = accept_next(listeners);

		if (fd < 0)
			break;
		if (srv.parallel)
			serve_aside(fd, number, listeners);
		else
			serve(fd, number);
	}
	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
		if (pid == 0)
			wait_fd(-1, 0, now_us() + SECOND / 100);
		if (stop && srv.life[1] >= 0) {
			close(srv.life[1]); /* ends them */
			srv.life[1] = -1;
		}
	}
}

/* Listens on 127.0.0.1 and, if wanted, on the same port of ::1. */
static unsigned listen_all(int listeners[2])
{
	struct sockaddr_in four = {.sin_family = AF_INET};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listeners[0] = listen_on((struct sockaddr *)&four, sizeof four);
	listeners[1] = -1;
	six.sin6_port = four.sin_port;
	if (srv.ipv6)
		listeners[1] = listen_on((struct sockaddr *)&six, sizeof six);
	return ntohs(four.sin_port);
}

int main(int argc, char **argv)
{
	const char *port_file = NULL, *extract_to = NULL;
	uint64_t limit = 0;
	int option, listeners[2];

	while ((option = getopt(argc, argv, "p:t:c:n:x:")) != -1) {
		switch (option) {
		case 'p': port_file = optarg; break;
		case 't': srv.transcript = optarg; break;
		case 'c': srv.cert_dir = optarg; break;
		case 'x': extract_to = optarg; break;
		default:
			if (option != 'n' || !parse_number(optarg, &limit))
				die(2, "usage: pop3d [-p FILE] [-t FILE] [-c DIR] [-n N] "
				    "[-x DIR] SCRIPT");
		}
	}
	if (argc != optind + 1)
		die(2, "one script, please");
	read_script(argv[optind]);
	if (extract_to) {
		extract(extract_to);
		return 0;
	}
	if (srv.transcript)
		srv.log_fd = open(srv.transcript, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (srv.transcript && srv.log_fd < 0)
		die(1, "%s: %s", srv.transcript, strerror(errno));
	map_gone();
	if (srv.tls != TLS_OFF)
		load_certificate();
	catch_signals();
	tell_port(port_file, listen_all(listeners));
	run(listeners, limit);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * pop3d.h - what the files of the scripted server share; the head of pop3d.c is its manual.
 *
 *     pop3d.c          the process: options, the port, one connection after another
 *     pop3d_script.c   reads the script into srv
 *     pop3d_mailbox.c  the texts of messages, and which of them are gone
 *     pop3d_net.c      a connection's octets, in and out, in clear or TLS, shaped by a rule
 *     pop3d_session.c  what is said: correct commands, and the rules that lie
 *
 * srv is what the script said; only pop3d_script.c and the options write to it.  What the system
 * refuses ends the process with a word: nothing here returns an error.
 */
#ifndef POP3D_H
#define POP3D_H

#include <gnutls/gnutls.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "sasld.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NEVER INT64_MAX
#define NO_LIMIT UINT64_MAX
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define SECOND INT64_C(1000000) /* times are in microseconds */

enum { BATCH = 64 * 1024 }; /* answers are gathered up to this before they are sealed */

/* A queue of bytes, p[at] to p[at + len - 1].  Zeroed is a valid empty one. */
struct buf {
	char *p;
	size_t at, len, cap;
};

/* -- what the script said -------------------------------------------------------------- */

/* Events, then commands before the login, after it, and at any time. */
enum verb {
	V_GREETING, V_TLS, V_ANY, V_RESPONSE, V_STLS, V_USER, V_PASS, V_AUTH, V_STAT, V_UIDL,
	V_LIST, V_TOP, V_RETR, V_DELE, V_NOOP, V_RSET, V_CAPA, V_QUIT, V_APOP, V_UTF8, V_UNKNOWN
};

/* With a text, a file, a number, or nothing. */
enum action {
	A_REPLY, A_RAW, A_SAY, A_INJECT, A_FILE, A_SLOW, A_DRIP, A_SPLIT, A_CUT, A_CUT_NOTLS,
	A_CUT_RESET, A_ACCEPT, A_STALL, A_IGNORE, A_APPLY_CLOSE, A_CLOSE, A_CLOSE_NOAPPLY, A_RESET,
	A_NONE
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
extern struct pop3d {
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
} srv;

extern volatile sig_atomic_t stop; /* somebody wants us to end */

/* -- a connection ---------------------------------------------------------------------- */

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

/* -- pop3d.c --------------------------------------------------------------------------- */

/* The end: a word to standard error, and this exit status. */
PRINTF(2, 3) _Noreturn void die(int status, const char *fmt, ...);

void *need(void *p); /* what was allocated, or the end */

/* -- pop3d_script.c -------------------------------------------------------------------- */

/* Where a word stands in a list that ends with NULL (the list's length if it does not). */
int find_word(const char *word, const char *const *list);

/* Cuts the next word off *rest, which then stands behind the one blank that ended it. */
char *next_word(char **rest);

bool parse_number(const char *s, uint64_t *value); /* digits and nothing else */

extern const char *const verbs[]; /* by enum verb; then NULL */

void script_read(const char *path); /* "-": standard input */

/* -- pop3d_mailbox.c ------------------------------------------------------------------- */

/* Copies max bytes of the message's text from offset at, or what is left of it. */
size_t mailbox_text(const struct message *m, uint64_t at, char *to, size_t max);

/* How much of a message TOP shows: its header and so many lines. */
uint64_t mailbox_top(const struct message *m, uint64_t lines);

uint64_t mailbox_least(void); /* the octets of the shortest generated message */

void mailbox_map(void); /* makes srv.gone */

/* -- pop3d_net.c ----------------------------------------------------------------------- */

/* Makes room for n bytes behind what is there, and returns where they go. */
char *buf_room(struct buf *b, size_t n);

void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_take(struct buf *b, size_t n);
int64_t now_us(void);

void net_log(struct conn *c, const char *text); /* a line of the transcript */

/* Nothing more is answered; what is sealed still goes out. */
void net_end(struct conn *c, enum ending how);

short net_wait_fd(int fd, short events, int64_t until); /* returns revents */

/* Waits for the client or until the time, reading and ready to write.  Returns false when
 * nothing was read. */
bool net_wait(struct conn *c, int64_t until);

void net_sleep_until(struct conn *c, int64_t until); /* writes and reads, but answers nothing */

/* An answer: gathered, then sealed into the socket's queue, then written. */
void net_put(struct conn *c, const void *bytes, size_t n);
void net_put_eol(struct conn *c);
PRINTF(2, 3) void net_put_line(struct conn *c, const char *fmt, ...);
void net_put_message(struct conn *c, const struct message *m, uint64_t end);
void net_flush(struct conn *c);
void net_transmit(struct conn *c);
void net_drain(struct conn *c, size_t n); /* until no more than n bytes wait for the socket */

void net_run_tls(struct conn *c); /* the handshake */

/* -- pop3d_session.c ------------------------------------------------------------------- */

/* A connection from its first to its last byte; its number counts from 1. */
void session_serve(int fd, uint64_t number);

#endif

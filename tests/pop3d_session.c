/* SPDX-License-Identifier: MIT */
/*
 * pop3d_session.c - what pop3d says in a session: as a correct server would, and as the script
 * has it.
 *
 * The first half is that correct server, a function for each command.  The second takes the lines
 * of the client one by one, looks for a rule of the script that fits, and lets it take the
 * command's place or change the shape of its answer.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "pop3d.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SPLIT_PAUSE 50 /* microseconds between the writes of "split" */

/* -- commands -------------------------------------------------------------------------- */

static void log_in(struct conn *c, bool ok)
{
	c->sasl = SASL_NONE;
	if (!ok || c->logged_in) {
		net_put_line(c, "-ERR [AUTH] wrong name or password");
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
	net_put_line(c, "+OK %u messages", c->n_left);
}

static void run_capa(struct conn *c)
{
	const struct buf *list = &srv.capa[c->secured && srv.capa[1].len > 0];

	if (c->logged_in && srv.capa[2].len > 0)
		list = &srv.capa[2];
	net_put_line(c, "+OK");
	for (size_t at = 0; at < list->len; at += strlen(list->p + at) + 1)
		net_put_line(c, "%s", list->p + at);
	net_put_line(c, ".");
}

static void run_stls(struct conn *c)
{
	if (srv.tls != TLS_STLS || c->secured) {
		net_put_line(c, "-ERR no TLS here");
	} else if (c->in.len > 0) {
		net_log(c, "-- plaintext after STLS");
		net_end(c, END_FIN);
	} else {
		c->shake_next = c->tls_input = true;
		net_put_line(c, "+OK begin TLS");
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
		net_put_line(c, "+ %s", out);
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
		net_put_line(c, "-ERR authentication cancelled");
	} else if (c->sasl == SASL_OTHER) {
		run_other(c, arg);
	} else if (c->sasl == SASL_PLAIN) {
		log_in(c, is_base64(arg, plain) || is_base64(arg, as));
	} else if (c->sasl == SASL_LOGIN) {
		c->name_ok = is_base64(arg, user);
		c->sasl = SASL_PASSWORD;
		net_put_line(c, "+ UGFzc3dvcmQ6");
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
		net_put_line(c, "-ERR unknown mechanism");
		return;
	}
	c->sasl = mech == 0 ? SASL_PLAIN : SASL_LOGIN;
	if (*arg)
		run_response(c, strcmp(arg, "=") == 0 ? "" : arg);
	else
		net_put_line(c, mech == 0 ? "+ " : "+ VXNlcm5hbWU6");
}

static void run_apop(struct conn *c, const char *arg)
{
	struct sasld_world world = world_of(c);

	if (c->logged_in)
		net_put_line(c, "-ERR not now");
	else
		log_in(c, sasld_apop(&world, arg));
}

/* The message of a number, or NULL and the answer is given. */
static const struct message *message_of(struct conn *c, const char *word, uint64_t *n)
{
	if (!parse_number(word, n) || *n < 1 || *n > c->n_view)
		net_put_line(c, "-ERR no such message");
	else if (c->deleted[*n - 1])
		net_put_line(c, "-ERR message %" PRIu64 " is deleted", *n);
	else
		return &srv.messages[c->view[*n - 1]];
	return NULL;
}

/* A line of UIDL or LIST. */
static void put_entry(struct conn *c, enum verb verb, const char *before, uint64_t n)
{
	const struct message *m = &srv.messages[c->view[n - 1]];

	if (verb == V_UIDL && m->uid_number)
		net_put_line(c, "%s%" PRIu64 " %s%u", before, n, m->uid, m->uid_number);
	else if (verb == V_UIDL || m->listed)
		net_put_line(c, "%s%" PRIu64 " %s", before, n, verb == V_UIDL ? m->uid : m->listed);
	else
		net_put_line(c, "%s%" PRIu64 " %" PRIu64, before, n, m->octets);
}

static void run_listing(struct conn *c, enum verb verb, const char *word)
{
	uint64_t n;

	if (word) {
		if (message_of(c, word, &n))
			put_entry(c, verb, "+OK ", n);
		return;
	}
	net_put_line(c, "+OK %u messages", c->n_left);
	for (n = 1; n <= c->n_view && c->end == END_NONE; n++)
		if (!c->deleted[n - 1])
			put_entry(c, verb, "", n);
	net_put_line(c, ".");
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
		net_put_line(c, "+OK message %" PRIu64 " deleted", n);
	} else if (verb == V_TOP && !parse_number(next_word(&arg), &lines)) {
		net_put_line(c, "-ERR how many lines?");
	} else {
		c->popped[n - 1] |= verb == V_RETR;
		net_put_line(c, "+OK %" PRIu64 " octets", m->octets);
		net_put_message(c, m, verb == V_TOP ? mailbox_top(m, lines) : m->octets);
		net_put_line(c, ".");
	}
}

static void run_rset(struct conn *c)
{
	for (uint32_t i = 0; i < c->n_view; i++)
		if (c->deleted[i])
			c->octets_left += srv.messages[c->view[i]].octets;
	memset(c->deleted, 0, c->n_view);
	c->n_left = c->n_view;
	net_put_line(c, "+OK");
}

static void run_quit(struct conn *c)
{
	for (uint32_t i = 0; i < c->n_view; i++)
		if (c->deleted[i] || (srv.window > 0 && c->popped[i]))
			srv.gone[c->view[i]] = 'D';
	net_put_line(c, "+OK bye");
	c->quit = true;
}

/* What a correct server does. */
static void run_verb(struct conn *c, enum verb verb, char *arg)
{
	if (c->logged_in ? verb < V_STAT : verb >= V_STAT && verb < V_CAPA) {
		net_put_line(c, "-ERR not now");
		return;
	}
	switch (verb) {
	case V_GREETING: net_put_line(c, "+OK %s", srv.greeting); break;
	case V_TLS: net_run_tls(c); break;
	case V_RESPONSE: run_response(c, arg); break;
	case V_CAPA: run_capa(c); break;
	case V_STLS: run_stls(c); break;
	case V_USER:
		c->name_ok = strcmp(arg, srv.user) == 0;
		net_put_line(c, "+OK password?");
		break;
	case V_PASS: log_in(c, c->name_ok && strcmp(arg, password_of(c)) == 0); break;
	case V_AUTH: run_auth(c, arg); break;
	case V_APOP: run_apop(c, arg); break;
	case V_STAT:
		if (srv.stat)
			net_put_line(c, "+OK %s", srv.stat);
		else
			net_put_line(c, "+OK %u %" PRIu64, c->n_left, c->octets_left);
		break;
	case V_UIDL:
	case V_LIST: run_listing(c, verb, next_word(&arg)); break;
	case V_TOP:
	case V_RETR:
	case V_DELE: run_on_message(c, verb, arg); break;
	case V_NOOP: net_put_line(c, "+OK"); break;
	case V_RSET: run_rset(c); break;
	case V_QUIT: run_quit(c); break;
	default: net_put_line(c, "-ERR unknown command");
	}
}

/* -- obeying the script ---------------------------------------------------------------- */

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
		net_put(c, r->text, r->len);
		if (r->action == A_REPLY)
			net_put_eol(c);
		if (verb == V_AUTH || verb == V_RESPONSE)
			c->sasl = strncmp(r->text, "+ ", 2) == 0 ? SASL_SCRIPTED : SASL_NONE;
		if (verb != V_TLS)
			return true;
		/* fall through */
	case A_STALL:
		net_flush(c);
		net_sleep_until(c, NEVER);
		net_end(c, END_FIN); /* what else came is not obeyed */
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
		net_end(c, r->action == A_RESET ? END_RST : END_TLS);
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
	net_flush(c); /* what came before is not the rule's business */
	if (r->action == A_SLOW)
		net_sleep_until(c, now_us() + (int64_t)r->n * 1000);
	if (c->end != END_NONE || replace_command(c, r, verb, arg))
		return;
	shape_answer(c, r);
	c->muted = r->action == A_SAY;
	run_verb(c, verb, arg);
	c->muted = false;
	if (r->action == A_SAY || r->action == A_INJECT)
		net_put(c, r->text, r->len);
	if (r->action == A_SAY)
		net_put_eol(c);
	net_flush(c);
	if (c->then != END_NONE)
		net_end(c, c->then);
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
		net_flush(c);
		net_end(c, END_TLS);
	}
	if (c->shake_next) {
		c->shake_next = false;
		net_flush(c);
		net_drain(c, 0);
		perform(c, V_TLS, c->line.p + strlen(c->line.p));
	}
}

/* Waits until a whole line is there.  Returns false when none will come.  Looks for input before
 * it sends the answers: what is there by then was sent without waiting for them. */
static bool await_line(struct conn *c)
{
	while (c->end == END_NONE && c->arrivals.len == 0) {
		bool idle;

		net_flush(c);
		if (c->eof || c->end != END_NONE)
			return false;
		idle = !net_wait(c, 0);
		net_transmit(c);
		c->waited = c->waited || (idle && c->tx.len == 0);
		if (idle)
			net_wait(c, NEVER);
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
		net_flush(c);
		net_sleep_until(c, a.due);
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
		net_end(c, END_TLS);
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

	net_drain(c, 0);
	if (c->end == END_RST) {
		while (ioctl(c->fd, TIOCOUTQ, &unsent) == 0 && unsent > 0 && now_us() < until)
			net_wait_fd(-1, 0, now_us() + 1000);
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
		    sizeof(struct linger));
	} else {
		shutdown(c->fd, SHUT_WR);
		while (!c->socket_eof && c->end != END_LOST && now_us() < until)
			net_wait(c, until);
	}
}

static void converse(struct conn *c)
{
	char none[1] = "";

	net_log(c, "-- connect");
	c->tls_input = srv.tls == TLS_IMPLICIT;
	if (c->tls_input)
		perform(c, V_TLS, none);
	if (c->cut_left == 0)
		net_end(c, srv.cut_how);
	if (srv.delay > 0 && c->end == END_NONE)
		net_sleep_until(c, now_us() + (int64_t)srv.delay * 1000);
	perform(c, V_GREETING, none);
	while (next_command(c))
		;
	net_end(c, END_TLS);
	hang_up(c);
	net_transmit(c); /* the last words of the transcript */
}

void session_serve(int fd, uint64_t number)
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

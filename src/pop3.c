/* SPDX-License-Identifier: MIT */
/*
 * pop3.c - one POP3 session: greeting, CAPA, STLS, login, listing, and the queue of commands.
 *
 * Up to the listing a session is a fixed sequence and is written as one.  From then on it is a
 * queue: what was sent and not answered yet.  Whether the queue may be longer than one is the
 * only difference between a pipelined and a lock-step session, so there is one code for both.
 *
 * Only "+OK" is success.  What is neither that nor "-ERR" ends the session, for we no longer
 * know what the server talks about.  Words of the server are shown, made printable, and never
 * decide anything but by their response codes.
 */
#include "config.h"

#include "pop3.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "auth.h"

#define MAX_CAPA_LINES 200
#define TOP_OCTETS 4096  /* what a header weighs, roughly */
#define SPARE_LINES 1000 /* a listing may be that much longer than STAT said */
#define NO_REASON "the server gave no reason"

static const struct {
	const char *word;
	const char *doing;
} verbs[] = {
	[POP3_CAPA] = {"CAPA", "waiting for the answer to CAPA"},
	[POP3_STAT] = {"STAT", "waiting for the answer to STAT"},
	[POP3_UIDL] = {"UIDL", "waiting for the list of UIDs"},
	[POP3_LIST] = {"LIST", "waiting for the list of sizes"},
	[POP3_RETR] = {"RETR", "waiting for a message"},
	[POP3_TOP] = {"TOP", "waiting for a header"},
	[POP3_DELE] = {"DELE", "waiting for the answer to DELE"},
	[POP3_QUIT] = {"QUIT", "waiting for the answer to QUIT"},
};

/* -- lines -------------------------------------------------------------------------------- */

/* Says a line.  What a server that owes us nothing has said beyond its answers would be taken for
 * the answer to this. */
static int say(struct pop3 *p, bool owed, const char *line, const char *shown, struct error *err)
{
	if (!owed && conn_ready(p->conn)) {
		p->ahead = p->pipelining;
		return error_set(err, ERR_PROTOCOL, "the server says more than it was asked");
	}
	return conn_put(p->conn, line, shown, err);
}

/* Takes a status line or a challenge.  Its spans live until the next line is taken. */
static int take_verdict(struct pop3 *p, const char *doing, struct wire_status *status,
                        struct error *err)
{
	const char *line;
	size_t len;
	char shown[160];

	conn_expect(p->conn, doing);
	if (conn_line(p->conn, &line, &len, err) == -1)
		return -1;
	wire_status(line, len, status);
	if (status->verdict == WIRE_NONSENSE)
		return error_set(err, ERR_PROTOCOL, "the server does not speak POP3: while %s it said '%s'",
		                 doing, printable(shown, sizeof shown, line, len));
	return 0;
}

/* The same where no challenge is due. */
static int take_status(struct pop3 *p, const char *doing, struct wire_status *status,
                       struct error *err)
{
	if (take_verdict(p, doing, status, err) == -1)
		return -1;
	if (status->verdict == WIRE_CONTINUE)
		return error_set(err, ERR_PROTOCOL, "the server asks for more while %s", doing);
	return 0;
}

/* A line of a multi-line answer: 1, 0 at its final dot, -1.  *left bounds how many may come. */
static int take_line(struct pop3 *p, const char **line, size_t *len, uint64_t *left,
                     struct error *err)
{
	if (conn_line(p->conn, line, len, err) == -1)
		return -1;
	if (*len > 0 && **line == '.') {
		++*line;
		if (--*len == 0)
			return 0;
	}
	if ((*left)-- == 0)
		return error_set(err, ERR_PROTOCOL, "the server's listing does not end");
	return 1;
}

/* An -ERR where the session cannot go on without +OK.  otherwise: the kind it has without a
 * response code that says more (RFC 2449 section 8, RFC 3206). */
static int refused(const struct pop3 *p, const struct wire_status *status, const char *what,
                   enum error_kind otherwise, struct error *err)
{
	char shown[256];
	enum error_kind kind = otherwise;

	if (status->code == WIRE_CODE_IN_USE || status->code == WIRE_CODE_LOGIN_DELAY ||
	    status->code == WIRE_CODE_SYS_TEMP)
		kind = ERR_TEMP;
	else if (status->code == WIRE_CODE_SYS_PERM)
		kind = ERR_UNAVAILABLE;
	else if (status->code == WIRE_CODE_AUTH)
		kind = ERR_AUTH;
	if (conn_is_echo(p->conn, status->text.p, status->text.len))
		text_copy(shown, sizeof shown, "(the server's words repeat a secret and are not shown)");
	else
		printable(shown, sizeof shown, status->text.p, status->text.len);
	return error_set(err, kind, "%s: %s", what,
	                 shown[0] != '\0' ? shown : NO_REASON);
}

/* -- from the greeting to the login ------------------------------------------------------- */

static int greet(struct pop3 *p, struct error *err)
{
	struct wire_status status;
	struct wire_span stamp;

	if (take_status(p, "waiting for the greeting", &status, err) == -1)
		return -1;
	if (status.verdict != WIRE_OK)
		return refused(p, &status, "the server turned us away", ERR_TEMP, err);
	if (wire_timestamp(status.text.p, status.text.len, &stamp) && stamp.len < sizeof p->stamp)
		memcpy(p->stamp, stamp.p, stamp.len); /* zeroed behind it */
	return 0;
}

/* Takes the answer to CAPA.  A server without CAPA says -ERR: then nothing is known. */
static int take_capa(struct pop3 *p, struct error *err)
{
	struct wire_status status;
	uint64_t left = MAX_CAPA_LINES;
	const char *line;
	size_t len;
	int rc;

	p->capa = (struct wire_capa){0};
	if (take_status(p, verbs[POP3_CAPA].doing, &status, err) == -1)
		return -1;
	if (status.verdict != WIRE_OK)
		return 0;
	p->capa.known = true;
	while ((rc = take_line(p, &line, &len, &left, err)) == 1)
		wire_capa(line, len, &p->capa);
	return rc;
}

static int ask_capa(struct pop3 *p, struct error *err)
{
	if (say(p, false, "CAPA", NULL, err) == -1)
		return -1;
	return take_capa(p, err);
}

/* RFC 2595 section 4.  Whatever was known before TLS is forgotten: somebody on the way may have
 * said it. */
static int start_tls(struct pop3 *p, const struct tls_trust *trust, struct error *err)
{
	struct wire_status status;

	if (p->capa.known && !p->capa.stls)
		return error_set(err, ERR_UNAVAILABLE,
		                 "the server does not offer STLS, so nothing was sent in clear; "
		                 "try tls = implicit (port 995)");
	if (say(p, false, "STLS", NULL, err) == -1 ||
	    take_status(p, "waiting for the answer to STLS", &status, err) == -1)
		return -1;
	if (status.verdict != WIRE_OK)
		return refused(p, &status, "the server refused STLS", ERR_UNAVAILABLE, err);
	if (conn_start_tls(p->conn, trust, err) == -1)
		return -1;
	return ask_capa(p, err);
}

/* RFC 6856 section 2.1: mail may come as it is, and where the server says so, names, too.  Who
 * announces it and refuses it goes on without. */
static int ask_utf8(struct pop3 *p, struct error *err)
{
	struct wire_status status;

	if (!p->capa.utf8)
		return 0;
	if (say(p, false, "UTF8", NULL, err) == -1)
		return -1;
	return take_status(p, "waiting for the answer to UTF8", &status, err);
}

static const char *last_word(const char *line)
{
	const char *blank = strrchr(line, ' ');

	return blank != NULL ? blank + 1 : line;
}

/* Sends a line of the login and takes the answer. */
static int exchange(struct pop3 *p, const struct auth *auth, const struct str *line,
                    const char *shown, struct wire_status *status, struct error *err)
{
	static const char doing[] = "waiting for the answer to the login";

	/* the last word is the secret, or the secret in another form */
	p->conn->hide[1] = shown != NULL ? last_word(line->s) : NULL;
	if (say(p, false, line->s, shown, err) == -1)
		return -1;
	return auth->mech == AUTH_USER || auth->mech == AUTH_APOP ? take_status(p, doing, status, err)
	                                                          : take_verdict(p, doing, status, err);
}

/* One exchange after another until the mechanism has no more to say; the last answer decides. */
static int login_steps(struct pop3 *p, struct auth *auth, struct str *line, struct error *err)
{
	struct wire_status status = {.verdict = WIRE_ERR};
	const char *shown;
	struct error ignored;
	int rc;

	while ((rc = auth_next(auth, status.text.p, status.text.len, line, &shown, err)) == 1) {
		if (exchange(p, auth, line, shown, &status, err) == -1)
			return -1;
		if (status.verdict == WIRE_ERR) {
			refused(p, &status, "login refused", ERR_AUTH, err);
			p->refused = err->kind == ERR_AUTH;
			p->too_soon = status.code == WIRE_CODE_LOGIN_DELAY;
			if (p->refused)
				auth_explain(auth, err);
			return -1;
		}
		if (status.verdict == WIRE_OK && auth->mech != AUTH_USER)
			return auth_accept(auth, err);
	}
	if (rc == -1 && line->len > 0)
		exchange(p, auth, line, shown, &status, &ignored);
	if (rc == 0 && status.verdict != WIRE_OK)
		return error_set(err, ERR_PROTOCOL, "the server asks for more after %s is over",
		                 auth_name(auth));
	return rc;
}

static bool may_show_password(const struct conn *conn, const struct login *login)
{
	return conn->tls != NULL || login->allow_cleartext || strncmp(conn->peer, "127.", 4) == 0 ||
	       strcmp(conn->peer, "::1") == 0;
}

static int log_in(struct pop3 *p, const struct login *login, const char *password,
                  struct error *err)
{
	unsigned char binding[TLS_MAX_BINDING];
	struct auth_terms terms = {
		.capa = &p->capa,
		.tls = p->conn->tls != NULL,
		.cleartext = may_show_password(p->conn, login),
		.stamp = p->stamp,
		.host = p->conn->server->host,
		.port = p->conn->server->port,
		.binding_bytes = binding,
	};
	struct auth auth;
	struct str line = {.max = CONN_MAX_OUT / 2};
	int rc;

	if (auth_wants_binding(login) && p->conn->tls != NULL &&
	    !tls_binding(p->conn->tls, &terms.binding, binding, &terms.binding_len))
		terms.binding = NULL;
	rc = auth_begin(&auth, login, password, &terms, err);
	p->conn->hide[0] = password;
	if (rc == 0) {
		p->mechanism = auth_name(&auth);
		note(NOTE_INFO, "logging in by %s", p->mechanism);
		rc = login_steps(p, &auth, &line, err);
	}
	p->conn->hide[0] = p->conn->hide[1] = NULL;
	str_wipe(&line);
	auth_end(&auth);
	return rc;
}

static void judge_pipelining(struct pop3 *p)
{
	int wish = p->conn->server->pipelining;

	p->pipelining = wish == PIPELINING_ON ||
	                (wish == PIPELINING_AUTO && p->capa.pipelining && !p->lock_step);
}

int pop3_start(struct pop3 *p, struct conn *conn, const struct account *account,
               const struct tls_trust *trust, const char *password, struct error *err)
{
	p->conn = conn;
	p->queue = xcalloc(POP3_MAX_QUEUE, sizeof *p->queue);
	conn_be_patient(conn, account->server.login_timeout);
	if (account->server.tls == TLS_IMPLICIT && conn_start_tls(conn, trust, err) == -1)
		return -1;
	if (greet(p, err) == -1 || ask_capa(p, err) == -1)
		return -1;
	if (account->server.tls == TLS_STLS && start_tls(p, trust, err) == -1)
		return -1;
	if (ask_utf8(p, err) == -1 || log_in(p, &account->login, password, err) == -1)
		return -1;
	p->in = true;
	conn_be_patient(conn, 0);
	judge_pipelining(p);
	return 0;
}

/* -- the listing -------------------------------------------------------------------------- */

static int take_stat(struct pop3 *p, struct listing *listing, struct error *err)
{
	struct wire_status status;
	uint32_t count;
	uint64_t octets;

	if (take_status(p, verbs[POP3_STAT].doing, &status, err) == -1)
		return -1;
	if (status.verdict != WIRE_OK)
		return refused(p, &status, "the server refused STAT", ERR_PROTOCOL, err);
	if (!wire_stat(status.text.p, status.text.len, &count, &octets))
		return error_set(err, ERR_PROTOCOL, "the server's answer to STAT makes no sense");
	listing_init(listing, count, octets);
	return 0;
}

/* A refusal for a reason of its own, which says nothing of the command. */
static bool is_trouble(enum wire_code code)
{
	return code != WIRE_CODE_NONE && code != WIRE_CODE_OTHER && code != WIRE_CODE_UTF8;
}

/* UIDL or LIST: a server may refuse either; what that means is for plan.c. */
static int take_listing(struct pop3 *p, enum pop3_verb verb, struct listing *listing,
                        struct error *err)
{
	struct wire_status status;
	uint64_t left = (uint64_t)listing->count + SPARE_LINES;
	const char *line;
	size_t len;
	int rc;

	if (take_status(p, verbs[verb].doing, &status, err) == -1)
		return -1;
	if (status.verdict != WIRE_OK && is_trouble(status.code)) { /* it knows the command */
		p->ahead = false;
		return refused(p, &status, "the server refused its listing", ERR_TEMP, err);
	}
	if (status.verdict != WIRE_OK) {
		listing->no_uidl |= verb == POP3_UIDL;
		return 0;
	}
	while ((rc = take_line(p, &line, &len, &left, err)) == 1) {
		if (verb == POP3_UIDL)
			listing_uidl(listing, line, len);
		else
			listing_list(listing, line, len);
	}
	return rc;
}

static int take_answer(struct pop3 *p, enum pop3_verb verb, struct listing *listing,
                       struct error *err)
{
	switch (verb) {
	case POP3_CAPA:
		if (take_capa(p, err) == -1)
			return -1;
		judge_pipelining(p);
		return 0;
	case POP3_STAT:
		return take_stat(p, listing, err);
	default:
		return take_listing(p, verb, listing, err);
	}
}

/* CAPA stands first: some servers announce PIPELINING only after the login, and then the other
 * three already go in one flight.  Each answer must know what came before (STAT's count
 * bounds the listings), so the order is the order of the questions. */
int pop3_list(struct pop3 *p, struct listing *listing, struct error *err)
{
	static const enum pop3_verb questions[] = {POP3_CAPA, POP3_STAT, POP3_UIDL, POP3_LIST};
	size_t n = sizeof questions / sizeof *questions, asked, taken;

	asked = taken = p->capa.known ? 0 : 1;
	while (taken < n) {
		while (asked < n && (asked == taken || p->pipelining)) {
			if (say(p, asked > taken, verbs[questions[asked]].word, NULL, err) == -1)
				return -1;
			asked++;
		}
		p->ahead = asked - taken > 1;
		if (take_answer(p, questions[taken++], listing, err) == -1)
			return -1;
	}
	p->ahead = false;
	return 0;
}

/* -- the queue ---------------------------------------------------------------------------- */

/* Two are always allowed, whatever they weigh: while one very large message comes in, the
 * server shall have the next command already. */
bool pop3_room(const struct pop3 *p)
{
	if (!p->pipelining)
		return p->held == 0 && !p->in_body;
	return p->held < 2 || (p->held < POP3_MAX_QUEUE && p->octets < POP3_MAX_OCTETS);
}

unsigned pop3_owed(const struct pop3 *p)
{
	return p->held;
}

uint32_t pop3_awaited(const struct pop3 *p)
{
	const struct pop3_sent *sent = &p->queue[p->head];

	return p->held > 0 && (sent->verb == POP3_RETR || sent->verb == POP3_TOP) ? sent->num : 0;
}

/* A user who has said "on" gets no second try. */
bool pop3_was_ahead(const struct pop3 *p)
{
	return p->pipelining && p->conn->server->pipelining == PIPELINING_AUTO &&
	       (p->ahead || p->held + p->in_body > 1);
}

int pop3_send(struct pop3 *p, enum pop3_verb verb, uint32_t num, uint64_t octets,
              struct error *err)
{
	char line[16 + NUMBER_DIGITS], *end = line;

	if (verb == POP3_TOP && octets > TOP_OCTETS)
		octets = TOP_OCTETS;
	end = mempcpy(end, verbs[verb].word, strlen(verbs[verb].word));
	if (num > 0) {
		*end++ = ' ';
		end = number_put(end, num);
	}
	text_copy(end, sizeof " 0", verb == POP3_TOP ? " 0" : "");
	if (say(p, p->held > 0 || p->in_body, line, NULL, err) == -1)
		return -1;
	p->queue[(p->head + p->held++) % POP3_MAX_QUEUE] = (struct pop3_sent){num, verb, octets};
	p->octets += octets;
	return 0;
}

int pop3_reply(struct pop3 *p, struct pop3_reply *reply, struct error *err)
{
	struct pop3_sent sent = p->queue[p->head];
	struct wire_status status;

	if (p->held == 0 || p->in_body)
		return error_set(err, ERR_BUG, "no answer is due");
	if (take_status(p, verbs[sent.verb].doing, &status, err) == -1)
		return -1;
	p->head = (p->head + 1) % POP3_MAX_QUEUE;
	p->held--;
	*reply = (struct pop3_reply){.verb = sent.verb, .num = sent.num, .code = status.code};
	reply->ok = status.verdict == WIRE_OK;
	printable(reply->text, sizeof reply->text, status.text.p, status.text.len);
	if (reply->text[0] == '\0')
		text_copy(reply->text, sizeof reply->text, NO_REASON);
	if ((sent.verb == POP3_RETR || sent.verb == POP3_TOP) && reply->ok) {
		p->in_body = true;
		p->body_octets = sent.octets;
		p->undot = (struct wire_undot){0};
		conn_expect(p->conn, "receiving a message");
	} else {
		p->octets -= sent.octets;
	}
	return 0;
}

/* What stands behind a message is an answer to what is on its way, or nothing.  Else the dot was
 * one of its lines, which the server forgot to double, and this is not the whole of it: a sender
 * may have made such a line look like an answer.  Or one of those before was not what we took it
 * for. */
static bool goes_on(const struct pop3 *p, const char *rest, size_t len)
{
	return len > 0 && ((strncasecmp(rest, "+OK", len < 3 ? len : 3) != 0 &&
	                    strncasecmp(rest, "-ERR", len < 4 ? len : 4) != 0) ||
	                   p->held == 0);
}

int pop3_body(struct pop3 *p, char *to, size_t room, size_t *len, struct error *err)
{
	size_t have, used, left = 0;
	const char *data;
	bool end;

	while (p->in_body) {
		if (conn_data(p->conn, left + 1, &data, &have, err) == -1)
			return -1;
		*len = wire_undot(&p->undot, data, have < room ? have : room, to, &used, &end);
		left = have - used;
		if (end && goes_on(p, data + used, left)) {
			p->ahead = p->pipelining;
			return error_set(err, ERR_PROTOCOL, "the server goes on behind its end: what came of "
			                 "it may not be all of it, and is not delivered");
		}
		if (end) {
			p->in_body = false;
			p->octets -= p->body_octets;
		}
		conn_take(p->conn, used);
		if (*len > 0)
			return 1;
	}
	return 0;
}

void pop3_free(struct pop3 *p)
{
	free(p->queue);
	*p = (struct pop3){0};
}

/* SPDX-License-Identifier: MIT */
/*
 * auth.c - which login mechanism, and its words.
 *
 * One rule stands before all: a mechanism that hands the password or a token over is not used
 * where the channel is clear and the user did not allow that.  A mechanism that the user named is
 * used or refused, never silently another.  Where CAPA is unknown (an old server) a named one is
 * tried on trust.
 *
 * The table says what each mechanism is; its `answer` makes the n-th message, from 0, out of the
 * server's challenge, and auth_next puts base64 around it.  A first message that needs no challenge
 * goes with the command where the line fits in the 255 octets of RFC 5034 section 4, which saves a
 * round trip, but for the two OAuth mechanisms: Microsoft closes the connection on that.
 *
 * Lines with secrets are wiped: here, and by the caller.  On failure nothing was sent.  Called by
 * pop3.c.
 */
#include "config.h"

#include "auth.h"

#include <string.h>

#include "sasl.h"

#define MAX_AUTH_LINE 253      /* RFC 5034 section 4: 255 octets with CRLF */
#define MAX_MESSAGE (1u << 20) /* of ours */
#define MAX_CHALLENGE 8192

/* What a mechanism gives away, and when it may be used. */
enum trait {
	GIVES = 1,  /* the password or token itself */
	EARLY = 2,  /* may send its first message with the command */
	BINDS = 4,  /* to the TLS channel */
	TOKEN = 8   /* the secret is a bearer token */
};

/* Adds the message for this step.  0, -1 (err: ERR_NONE where it is too long), or 1: "*" is to be
 * said, err has why. */
typedef int answer_fn(struct auth *auth, const struct str *challenge, struct str *to,
                      struct error *err);

/* -- the messages ------------------------------------------------------------------------- */

static int answer_plain(struct auth *auth, const struct str *challenge, struct str *to,
                        struct error *err)
{
	(void)challenge;
	(void)err;
	return sasl_plain(to, auth->user, auth->secret);
}

static int answer_login(struct auth *auth, const struct str *challenge, struct str *to,
                        struct error *err)
{
	(void)challenge;
	(void)err;
	return str_puts(to, auth->step == 0 ? auth->user : auth->secret);
}

static int answer_cram_md5(struct auth *auth, const struct str *challenge, struct str *to,
                           struct error *err)
{
	if (challenge->len == 0) {
		error_set(err, ERR_PROTOCOL, "the server's challenge for CRAM-MD5 is empty");
		return 1;
	}
	return sasl_cram_md5(to, auth->user, auth->secret, challenge->s, challenge->len);
}

static int answer_scram(struct auth *auth, const struct str *challenge, struct str *to,
                        struct error *err)
{
	int rc = -1;

	if (auth->step == 0)
		return scram_first(&auth->scram, to);
	if (auth->step == 1)
		rc = scram_final(&auth->scram, auth->secret, challenge->s, challenge->len, to, err);
	else
		rc = scram_check(&auth->scram, challenge->s, challenge->len, err);
	return rc == 0 ? 0 : 1;
}

/* The certificate tells who we are. */
static int answer_external(struct auth *auth, const struct str *challenge, struct str *to,
                           struct error *err)
{
	(void)auth;
	(void)challenge;
	(void)err;
	return str_puts(to, "");
}

/* A challenge behind the token is the reason why it is refused (RFC 7628 section 3.2.2).  It is
 * answered by nothing, in the form of each, and -ERR follows. */
static int answer_token(struct auth *auth, const struct str *challenge, struct str *to,
                        struct error *err)
{
	(void)err;
	if (auth->step == 1) {
		if (strstr(challenge->s, auth->secret) == NULL)
			printable(auth->problem, sizeof(auth->problem), challenge->s, challenge->len);
		return auth->mech == AUTH_XOAUTH2 ? str_puts(to, "") : str_puts(to, "\1");
	}
	if (auth->mech == AUTH_XOAUTH2)
		return sasl_xoauth2(to, auth->user, auth->secret);
	return sasl_oauthbearer(to, auth->user, auth->terms.host, auth->terms.port, auth->secret);
}

/* -- the table ---------------------------------------------------------------------------- */

/* In the order of enum auth_mech.  `shown` stands in the trace for a command with its message. */
static const struct mechanism {
	const char *name, *shown;
	unsigned bit;    /* enum wire_sasl; 0: USER and APOP */
	unsigned traits;
	unsigned steps;
	answer_fn *answer;
} table[AUTH_MECHS] = {
	[AUTH_AUTO] = {"any login that can be used here", NULL, 0, 0, 0, NULL},
	[AUTH_USER] = {"USER", NULL, 0, GIVES, 0, NULL},
	[AUTH_PLAIN] = {"AUTH PLAIN", "AUTH PLAIN ***", WIRE_SASL_PLAIN, GIVES | EARLY, 1,
	                answer_plain},
	[AUTH_LOGIN] = {"AUTH LOGIN", NULL, WIRE_SASL_LOGIN, GIVES, 2, answer_login},
	[AUTH_APOP] = {"APOP", NULL, 0, 0, 0, NULL},
	[AUTH_CRAM_MD5] = {"AUTH CRAM-MD5", NULL, WIRE_SASL_CRAM_MD5, 0, 1, answer_cram_md5},
	[AUTH_SCRAM_SHA_1] = {"AUTH SCRAM-SHA-1", "AUTH SCRAM-SHA-1 ***", WIRE_SASL_SCRAM_SHA_1, EARLY,
	                      3, answer_scram},
	[AUTH_SCRAM_SHA_256] = {"AUTH SCRAM-SHA-256", "AUTH SCRAM-SHA-256 ***",
	                        WIRE_SASL_SCRAM_SHA_256, EARLY, 3, answer_scram},
	[AUTH_SCRAM_SHA_1_PLUS] = {"AUTH SCRAM-SHA-1-PLUS", "AUTH SCRAM-SHA-1-PLUS ***",
	                           WIRE_SASL_SCRAM_SHA_1_PLUS, EARLY | BINDS, 3, answer_scram},
	[AUTH_SCRAM_SHA_256_PLUS] = {"AUTH SCRAM-SHA-256-PLUS", "AUTH SCRAM-SHA-256-PLUS ***",
	                             WIRE_SASL_SCRAM_SHA_256_PLUS, EARLY | BINDS, 3, answer_scram},
	[AUTH_EXTERNAL] = {"AUTH EXTERNAL", NULL, WIRE_SASL_EXTERNAL, EARLY, 1,
	                   answer_external},
	[AUTH_XOAUTH2] = {"AUTH XOAUTH2", NULL, WIRE_SASL_XOAUTH2, GIVES | TOKEN, 2, answer_token},
	[AUTH_OAUTHBEARER] = {"AUTH OAUTHBEARER", NULL, WIRE_SASL_OAUTHBEARER, GIVES | TOKEN, 2,
	                      answer_token},
};

static bool has(enum auth_mech mech, enum trait trait)
{
	return (table[mech].traits & trait) != 0;
}

static bool is_scram(enum auth_mech mech)
{
	return table[mech].answer == answer_scram;
}

/* -- the choice --------------------------------------------------------------------------- */

static bool offers(const struct auth_terms *terms, enum auth_mech mech)
{
	if (mech == AUTH_USER)
		return terms->capa->user || !terms->capa->known;
	if (mech == AUTH_APOP)
		return terms->stamp != NULL && *terms->stamp != '\0';
	return (terms->capa->sasl & table[mech].bit) != 0;
}

/* The first in the order of auth.h's head; AUTH_AUTO where there is none. */
static enum auth_mech choose(const struct login *login, const struct auth_terms *terms)
{
	static const enum auth_mech token[] = {AUTH_XOAUTH2, AUTH_OAUTHBEARER, AUTH_AUTO},
	safe[] = {AUTH_PLAIN, AUTH_USER, AUTH_LOGIN, AUTH_SCRAM_SHA_256, AUTH_SCRAM_SHA_1,
	          AUTH_CRAM_MD5, AUTH_APOP, AUTH_AUTO},
	clear[] = {AUTH_SCRAM_SHA_256, AUTH_SCRAM_SHA_1, AUTH_CRAM_MD5, AUTH_APOP, AUTH_PLAIN,
	           AUTH_USER, AUTH_LOGIN, AUTH_AUTO};
	const enum auth_mech *order = login->token_command != NULL ? token : terms->tls ? safe : clear;

	if (login->token_command != NULL && !terms->capa->known)
		return AUTH_XOAUTH2;
	while (*order != AUTH_AUTO && !offers(terms, *order))
		order++;
	return *order;
}

bool auth_wants_binding(const struct login *login)
{
	return login->auth > AUTH_AUTO && login->auth < AUTH_MECHS &&
	       has((enum auth_mech)login->auth, BINDS);
}

/* The error for a server that has not what is wanted: says what it has. */
static int not_offered(enum auth_mech mech, const struct auth_terms *terms, struct error *err)
{
	struct str list = {.max = 256};

	for (enum auth_mech m = AUTH_USER; m < AUTH_MECHS; m++)
		if (offers(terms, m))
			str_printf(&list, "%s%s", list.len ? ", " : "", table[m].name);
	error_set(err, ERR_UNAVAILABLE,
	          "the server does not offer %s; of what mailhaul knows it offers %s", table[mech].name,
	          list.len ? list.s : "nothing");
	str_free(&list);
	return -1;
}

/* What stands against the mechanism in this session. */
static int judge_terms(enum auth_mech mech, const struct auth_terms *terms, struct error *err)
{
	if (has(mech, GIVES) && !terms->tls && !terms->cleartext)
		return error_set(err, ERR_UNAVAILABLE,
		                 "the password would go over the network in clear: set tls = implicit "
		                 "or tls = stls (or allow_cleartext = yes, where you trust the network)");
	if (mech == AUTH_AUTO || ((terms->capa->known || mech == AUTH_APOP) && !offers(terms, mech)))
		return not_offered(mech, terms, err);
	if (has(mech, BINDS) && terms->binding == NULL)
		return error_set(err, ERR_UNAVAILABLE, "%s needs TLS, and a session that can be bound to",
		                 table[mech].name);
	return 0;
}

static bool has_control(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

/* A line end would begin a command, and ^A a field of the token's message. */
static int judge_words(const struct auth *auth, struct error *err)
{
	if (has_control(auth->user) || has_control(auth->secret))
		return error_set(err, ERR_AUTH,
		                 "the %s holds a line end or another control character, which cannot be "
		                 "sent", has_control(auth->user) ? "user name" : "password");
	if (has(auth->mech, TOKEN) && !sasl_is_token(auth->secret))
		return error_set(err, ERR_AUTH, "this is no token: a token has neither blanks nor letters "
		                 "beyond ASCII; token_command shall print it alone on its first line");
	return 0;
}

int auth_begin(struct auth *auth, const struct login *login, const char *secret,
               const struct auth_terms *terms, struct error *err)
{
	*auth = (struct auth){.mech = (enum auth_mech)login->auth, .terms = *terms};
	auth->user = login->user != NULL ? login->user : "";
	auth->secret = secret != NULL ? secret : "";
	auth->automatic = auth->mech == AUTH_AUTO;
	auth->in_clear = !terms->tls;
	if (auth->automatic)
		auth->mech = choose(login, terms);
	if (auth->mech == AUTH_AUTO && !terms->tls && !terms->cleartext)
		auth->mech = AUTH_USER; /* whatever it offers, this is what must be said */
	if (judge_terms(auth->mech, terms, err) == -1 || judge_words(auth, err) == -1)
		return -1;
	if (is_scram(auth->mech))
		scram_begin(&auth->scram,
		            auth->mech == AUTH_SCRAM_SHA_256 || auth->mech == AUTH_SCRAM_SHA_256_PLUS,
		            auth->user, has(auth->mech, BINDS) ? terms->binding : NULL,
		            terms->binding_bytes, terms->binding_len);
	return 0;
}

/* -- the words ---------------------------------------------------------------------------- */

static int say_user(struct auth *auth, struct str *line, const char **shown)
{
	if (auth->step > 1)
		return 0;
	*shown = auth->step == 0 ? NULL : "PASS ***";
	return (auth->step++ == 0 ? str_printf(line, "USER %s", auth->user)
	                          : str_printf(line, "PASS %s", auth->secret)) == 0 ? 1 : -1;
}

static int say_apop(struct auth *auth, struct str *line, const char **shown)
{
	if (auth->step++ > 0)
		return 0;
	*shown = "APOP ***";
	if (str_printf(line, "APOP %s ", auth->user) == -1)
		return -1;
	return sasl_apop(line, auth->terms.stamp, auth->secret) == 0 ? 1 : -1;
}

/* The command, with the first message where that is allowed and fits. */
static int say_command(struct auth *auth, struct str *line, const char **shown, struct error *err)
{
	const struct mechanism *mech = &table[auth->mech];
	struct str message = {.max = MAX_MESSAGE}, nothing = {.s = (char[]){""}};
	size_t room = MAX_AUTH_LINE - strlen(mech->name) - 1;
	int rc = str_puts(line, mech->name);

	auth->begun = true;
	if (rc == 0 && has(auth->mech, EARLY))
		rc = mech->answer(auth, &nothing, &message, err);
	if (rc == 0 && has(auth->mech, EARLY) && (message.len + 2) / 3 * 4 <= room) {
		rc = str_puts(line, message.len > 0 ? " " : " =");
		if (rc == 0)
			rc = sasl_base64(line, message.s, message.len);
		*shown = mech->shown;
		auth->step = 1;
		auth->early = true;
	}
	str_wipe(&message);
	return rc == 0 ? 1 : -1;
}

/* Takes leave of a mechanism: the line for it, and -1. */
static int cancel(struct str *line, const char **shown)
{
	str_wipe(line);
	str_puts(line, "*");
	*shown = NULL;
	return -1;
}

/* Words that are no secret. */
static bool is_farewell(const struct auth *auth)
{
	return has(auth->mech, TOKEN) ? auth->step > 0 : is_scram(auth->mech) && auth->step > 1;
}

/* The answer to a challenge.  A server that passed over the first message asks for it by an empty
 * one, and gets it again. */
static int say_answer(struct auth *auth, const char *said, size_t len, struct str *line,
                      const char **shown, struct error *err)
{
	const struct mechanism *mech = &table[auth->mech];
	struct str challenge = {.max = MAX_CHALLENGE}, message = {.max = MAX_MESSAGE};
	int rc = 0;

	if (auth->early && auth->step == 1 && (len == 0 || mech->steps == 1))
		auth->step = 0;
	auth->early = false;
	if (auth->step >= mech->steps)
		return 0;
	/* LOGIN's are prompts for people, and the first of the others is empty, whatever it holds */
	if (auth->step == 0 && auth->mech != AUTH_CRAM_MD5)
		len = 0;
	if (auth->mech != AUTH_LOGIN && !sasl_unbase64(&challenge, said, len)) {
		error_set(err, ERR_PROTOCOL, "the server's challenge for %s is no base64", mech->name);
		rc = 1;
	}
	if (rc == 0 && challenge.s == NULL)
		str_puts(&challenge, "");
	if (rc == 0)
		rc = mech->answer(auth, &challenge, &message, err);
	*shown = is_farewell(auth) ? NULL : "***";
	auth->step++;
	if (rc == 0)
		rc = sasl_base64(line, message.s, message.len);
	str_wipe(&challenge);
	str_wipe(&message);
	return rc == 1 ? cancel(line, shown) : rc == 0 ? 1 : -1;
}

int auth_next(struct auth *auth, const char *said, size_t len, struct str *line,
              const char **shown, struct error *err)
{
	int rc;

	str_wipe(line);
	*shown = NULL;
	err->kind = ERR_NONE;
	if (auth->mech == AUTH_USER)
		rc = say_user(auth, line, shown);
	else if (auth->mech == AUTH_APOP)
		rc = say_apop(auth, line, shown);
	else if (!auth->begun)
		rc = say_command(auth, line, shown, err);
	else
		rc = say_answer(auth, said, len, line, shown, err);
	if (rc == -1 && err->kind == ERR_NONE) {
		str_wipe(line);
		error_set(err, ERR_AUTH, "%s: the user name or the password is too long to be sent, or "
		          "this machine's GnuTLS cannot do it", table[auth->mech].name);
	}
	return rc;
}

/* -- the verdict -------------------------------------------------------------------------- */

int auth_accept(const struct auth *auth, struct error *err)
{
	if (is_scram(auth->mech) && !auth->scram.proven)
		return error_set(err, ERR_AUTH,
		                 "the server does not know the password: it let us in without the proof of "
		                 "%s, so somebody else may have answered in its place; nothing was fetched",
		                 table[auth->mech].name);
	if (auth->problem[0] != '\0')
		return error_set(err, ERR_PROTOCOL, "the server refused the token (%s) and let us in",
		                 auth->problem);
	return 0;
}

static bool is_ascii(const char *text)
{
	while (*text != '\0' && (unsigned char)*text < 0x80)
		text++;
	return *text == '\0';
}

void auth_explain(const struct auth *auth, struct error *err)
{
	const struct wire_capa *capa = auth->terms.capa;
	const char *why = NULL;
	char text[sizeof(err->text)];

	if (auth->problem[0] != '\0' || has(auth->mech, TOKEN))
		why = "is the token expired, and is it for POP?";
	else if ((auth->mech == AUTH_USER || auth->mech == AUTH_APOP) && !capa->utf8_user &&
	         !(is_ascii(auth->user) && is_ascii(auth->secret)))
		why = "user or password are not ASCII, and the server does not say that it takes such";
	else if (auth->automatic && auth->in_clear && !has(auth->mech, GIVES))
		why = "the mechanism was chosen because there is no TLS; servers that keep passwords "
		      "hashed cannot do it: use TLS";
	if (why == NULL)
		return;
	text_copy(text, sizeof(text), err->text);
	error_set(err, err->kind, "%.240s%s%s (%s: %s)", text,
	          auth->problem[0] != '\0' ? "; its reason: " : "", auth->problem,
	          table[auth->mech].name, why);
}

const char *auth_name(const struct auth *auth)
{
	return table[auth->mech].name;
}

void auth_end(struct auth *auth)
{
	scram_free(&auth->scram);
	*auth = (struct auth){0};
}

/* SPDX-License-Identifier: MIT */
/*
 * test_auth.c - which mechanism is chosen, and the words of each.
 */
#include "config.h"

#include "auth.h"

#include <stdlib.h>
#include <string.h>

#include "sasl.h"
#include "tap.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

#define EVERY_SASL ((1u << 10) - 1)
#define STAMP "<1896.697170952@dbc.mtview.ca.us>"
#define SCRAMS (WIRE_SASL_SCRAM_SHA_1 | WIRE_SASL_SCRAM_SHA_256)
#define PLUSES (WIRE_SASL_SCRAM_SHA_1_PLUS | WIRE_SASL_SCRAM_SHA_256_PLUS)

enum channel { IN_TLS, IN_CLEAR, ALLOWED };

/* What a server offers. */
struct offer {
	bool known, user;
	unsigned sasl;
	const char *stamp;
};

static const struct choice {
	const char *what;
	int auth;
	bool token;
	enum channel channel;
	struct offer offer;
	enum error_kind kind; /* ERR_NONE: mech is chosen */
	enum auth_mech mech;
	const char *said; /* part of the error */
} choices[] = {
	{"PLAIN comes first", 0, false, IN_TLS, {true, true, EVERY_SASL, STAMP}, 0, AUTH_PLAIN, NULL},
	{"USER before LOGIN", 0, false, IN_TLS, {true, true, WIRE_SASL_LOGIN | SCRAMS, NULL}, 0,
	 AUTH_USER, NULL},
	{"LOGIN before SCRAM", 0, false, IN_TLS, {true, false, WIRE_SASL_LOGIN | SCRAMS, NULL}, 0,
	 AUTH_LOGIN, NULL},
	{"SCRAM, if there is nothing else", 0, false, IN_TLS, {true, false, SCRAMS | PLUSES, NULL}, 0,
	 AUTH_SCRAM_SHA_256, NULL},
	{"never -PLUS by itself", 0, false, IN_TLS, {true, false, PLUSES, NULL}, ERR_UNAVAILABLE, 0,
	 "it offers AUTH SCRAM-SHA-1-PLUS"},
	{"CRAM-MD5 before APOP", 0, false, IN_TLS, {true, false, WIRE_SASL_CRAM_MD5, STAMP}, 0,
	 AUTH_CRAM_MD5, NULL},
	{"APOP", 0, false, IN_TLS, {true, false, 0, STAMP}, 0, AUTH_APOP, NULL},
	{"USER without CAPA", 0, false, IN_TLS, {0}, 0, AUTH_USER, NULL},
	{"nothing that can be used", 0, false, IN_TLS, {true, false, 0, NULL}, ERR_UNAVAILABLE, 0,
	 "nothing"},
	{"no EXTERNAL and no token by itself", 0, false, IN_TLS,
	 {true, false, WIRE_SASL_EXTERNAL | WIRE_SASL_XOAUTH2, NULL}, ERR_UNAVAILABLE, 0, "XOAUTH2"},

	{"a token", 0, true, IN_TLS, {true, true, EVERY_SASL, STAMP}, 0, AUTH_XOAUTH2, NULL},
	{"a token for OAUTHBEARER alone", 0, true, IN_TLS,
	 {true, true, WIRE_SASL_OAUTHBEARER | WIRE_SASL_PLAIN, NULL}, 0, AUTH_OAUTHBEARER, NULL},
	{"a token without CAPA", 0, true, IN_TLS, {0}, 0, AUTH_XOAUTH2, NULL},
	{"a token is no password", 0, true, IN_TLS, {true, true, WIRE_SASL_PLAIN, NULL},
	 ERR_UNAVAILABLE, 0, "USER, AUTH PLAIN"},
	{"no token in clear", 0, true, IN_CLEAR, {true, true, EVERY_SASL, NULL}, ERR_UNAVAILABLE, 0,
	 "allow_cleartext"},

	{"in clear SCRAM-SHA-256", 0, false, IN_CLEAR, {true, true, EVERY_SASL, STAMP}, 0,
	 AUTH_SCRAM_SHA_256, NULL},
	{"in clear SCRAM-SHA-1", 0, false, IN_CLEAR,
	 {true, true, EVERY_SASL & ~WIRE_SASL_SCRAM_SHA_256, STAMP}, 0, AUTH_SCRAM_SHA_1, NULL},
	{"in clear CRAM-MD5", 0, false, IN_CLEAR, {true, true, EVERY_SASL & ~SCRAMS, STAMP}, 0,
	 AUTH_CRAM_MD5, NULL},
	{"in clear APOP", 0, false, IN_CLEAR, {true, true, WIRE_SASL_PLAIN, STAMP}, 0, AUTH_APOP, NULL},
	{"in clear APOP without CAPA", 0, false, IN_CLEAR, {.stamp = STAMP}, 0, AUTH_APOP, NULL},
	{"nothing in clear", 0, false, IN_CLEAR, {true, true, WIRE_SASL_PLAIN, NULL}, ERR_UNAVAILABLE,
	 0, "allow_cleartext"},
	{"nor without CAPA", 0, false, IN_CLEAR, {0}, ERR_UNAVAILABLE, 0, "tls = stls"},
	{"allowed, but SCRAM is better", 0, false, ALLOWED, {true, true, EVERY_SASL, STAMP}, 0,
	 AUTH_SCRAM_SHA_256, NULL},
	{"allowed", 0, false, ALLOWED, {true, true, WIRE_SASL_PLAIN, NULL}, 0, AUTH_PLAIN, NULL},
	{"allowed: USER", 0, false, ALLOWED, {true, true, WIRE_SASL_LOGIN, NULL}, 0, AUTH_USER, NULL},

	{"named and offered", AUTH_LOGIN, false, IN_TLS, {true, true, EVERY_SASL, NULL}, 0, AUTH_LOGIN,
	 NULL},
	{"named, CAPA unknown", AUTH_PLAIN, false, IN_TLS, {0}, 0, AUTH_PLAIN, NULL},
	{"named and not offered: PLAIN", AUTH_PLAIN, false, IN_TLS, {true, true, 0, NULL},
	 ERR_UNAVAILABLE, 0, "does not offer AUTH PLAIN; of what mailhaul knows it offers USER"},
	{"named and not offered: USER", AUTH_USER, false, IN_TLS, {true, false, WIRE_SASL_PLAIN, NULL},
	 ERR_UNAVAILABLE, 0, "does not offer USER; of what mailhaul knows it offers AUTH PLAIN"},
	{"named and not offered: APOP", AUTH_APOP, false, IN_TLS, {true, true, EVERY_SASL, ""},
	 ERR_UNAVAILABLE, 0, "does not offer APOP"},
	{"APOP needs a timestamp, CAPA or not", AUTH_APOP, false, IN_TLS, {0}, ERR_UNAVAILABLE, 0,
	 "does not offer APOP"},
	{"named, in clear: USER", AUTH_USER, false, IN_CLEAR, {true, true, EVERY_SASL, STAMP},
	 ERR_UNAVAILABLE, 0, "tls = stls"},
	{"named, in clear: CRAM-MD5", AUTH_CRAM_MD5, false, IN_CLEAR, {true, true, EVERY_SASL, NULL}, 0,
	 AUTH_CRAM_MD5, NULL},
	{"named, in clear: APOP", AUTH_APOP, false, IN_CLEAR, {true, true, EVERY_SASL, STAMP}, 0,
	 AUTH_APOP, NULL},
	{"named, in clear: OAUTHBEARER", AUTH_OAUTHBEARER, true, IN_CLEAR,
	 {true, true, EVERY_SASL, NULL}, ERR_UNAVAILABLE, 0, "in clear"},
	{"-PLUS without TLS", AUTH_SCRAM_SHA_256_PLUS, false, ALLOWED, {true, true, EVERY_SASL, NULL},
	 ERR_UNAVAILABLE, 0, "needs TLS"},
	{"-PLUS", AUTH_SCRAM_SHA_1_PLUS, false, IN_TLS, {true, true, EVERY_SASL, NULL}, 0,
	 AUTH_SCRAM_SHA_1_PLUS, NULL},
	{"a password for XOAUTH2, if that is named", AUTH_XOAUTH2, false, IN_TLS,
	 {true, true, EVERY_SASL, NULL}, 0, AUTH_XOAUTH2, NULL},
};

/* Begins a login of joe. */
static int begin(struct auth *auth, int mech, bool token, enum channel channel,
                 const struct offer *offer, const char *secret, struct error *err)
{
	static struct wire_capa capa;
	static char joe[] = "joe";
	struct login login = {.auth = mech, .user = joe, .token_command = token ? joe : NULL};
	struct auth_terms terms = {
		.capa = &capa, .tls = channel == IN_TLS, .cleartext = channel != IN_CLEAR,
		.stamp = offer->stamp, .host = "h", .port = 995,
	};

	capa = (struct wire_capa){.known = offer->known, .user = offer->user, .sasl = offer->sasl};
	if (channel == IN_TLS && auth_wants_binding(&login)) {
		terms.binding = "tls-exporter";
		terms.binding_bytes = "\1\2\3";
		terms.binding_len = 3;
	}
	return auth_begin(auth, &login, secret, &terms, err);
}

static void test_choice(const struct choice *c)
{
	struct error err = {0};
	struct auth auth;
	int rc = begin(&auth, c->auth, c->token, c->channel, &c->offer, "sesame", &err);

	if (c->kind == ERR_NONE) {
		if (!OK(rc == 0 && auth.mech == c->mech, c->what))
			printf("# %s\n", rc == 0 ? auth_name(&auth) : err.text);
	} else {
		if (!OK(rc == -1 && err.kind == c->kind && strstr(err.text, c->said), c->what))
			printf("# %s\n", err.text);
		OK(!strstr(err.text, "sesame"), "the password is not in the error");
	}
	auth_end(&auth);
}

/* -- the words ---------------------------------------------------------------------------- */

/* A login with these challenges ("|" between them), as "line|line"; traced: as the trace shows
 * them.  The end: "|accepted", "|refused", "|over", or "|error". */
static char *words(int mech, const char *secret, const char *challenges, bool traced)
{
	static const struct offer all = {true, true, EVERY_SASL, STAMP};
	struct str result = {.max = 3000}, line = {.max = 2000};
	struct error err = {0};
	struct auth auth;
	const char *shown, *at = challenges;
	size_t len = 0;
	int rc = begin(&auth, mech, false, IN_TLS, &all, secret, &err);

	for (int i = 0; rc != -1; i++) {
		rc = auth_next(&auth, at, len, &line, &shown, &err);
		if (rc == 1 || (rc == -1 && line.len > 0))
			str_printf(&result, "%s%s", i > 0 ? "|" : "", traced && shown ? shown : line.s);
		if (rc != 1 || *(at += len) == '\0')
			break;
		at += i > 0;
		len = strcspn(at, "|");
	}
	str_puts(&result, rc == 0 ? "|over" : rc == -1 ? "|error"
	         : auth_accept(&auth, &err) == 0 ? "|accepted" : "|refused");
	str_wipe(&line);
	auth_end(&auth);
	return result.s;
}

/* The first challenge of most mechanisms is empty: "|..." . */
static const struct exchange {
	int mech;
	const char *secret, *challenges, *sent, *shown;
} exchanges[] = {
	{AUTH_USER, "sesame", "x", "USER joe|PASS sesame|accepted", "USER joe|PASS ***|accepted"},
	{AUTH_USER, "sesame", "x|y", "USER joe|PASS sesame|over", "USER joe|PASS ***|over"},
	{AUTH_USER, " %s ", "x", "USER joe|PASS  %s |accepted", "USER joe|PASS ***|accepted"},
	{AUTH_APOP, "tanstaaf", "", "APOP joe c4c9334bac560ecc979e58001b3e22fb|accepted",
	 "APOP ***|accepted"},
	{AUTH_PLAIN, "sesame", "", "AUTH PLAIN AGpvZQBzZXNhbWU=|accepted", "AUTH PLAIN ***|accepted"},
	{AUTH_PLAIN, "sesame", "=", "AUTH PLAIN AGpvZQBzZXNhbWU=|AGpvZQBzZXNhbWU=|accepted",
	 "AUTH PLAIN ***|***|accepted"},
	{AUTH_PLAIN, "sesame", "=|=|=", "AUTH PLAIN AGpvZQBzZXNhbWU=|AGpvZQBzZXNhbWU=|over", NULL},
	{AUTH_PLAIN, "\xfb\xff", "", "AUTH PLAIN AGpvZQD7/w==|accepted", NULL},
	{AUTH_LOGIN, "sesame", "VXNlcm5hbWU6|UGFzc3dvcmQ6", "AUTH LOGIN|am9l|c2VzYW1l|accepted",
	 "AUTH LOGIN|***|***|accepted"},
	{AUTH_LOGIN, "x", "Username:|Password:", "AUTH LOGIN|am9l|eA==|accepted",
	 "AUTH LOGIN|***|***|accepted"},
	{AUTH_LOGIN, "x", "a|b|c", "AUTH LOGIN|am9l|eA==|over", NULL},
	{AUTH_CRAM_MD5, "tanstaaftanstaaf",
	 "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+",
	 "AUTH CRAM-MD5|am9lIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw|accepted",
	 "AUTH CRAM-MD5|***|accepted"},
	{AUTH_CRAM_MD5, "x", "not base64", "AUTH CRAM-MD5|*|error", NULL},
	{AUTH_EXTERNAL, "", "", "AUTH EXTERNAL =|accepted", "AUTH EXTERNAL =|accepted"},
	{AUTH_EXTERNAL, "", "=|=", "AUTH EXTERNAL =||over", NULL},
	{AUTH_XOAUTH2, "T0K", "=", "AUTH XOAUTH2|dXNlcj1qb2UBYXV0aD1CZWFyZXIgVDBLAQE=|accepted",
	 "AUTH XOAUTH2|***|accepted"},
	{AUTH_XOAUTH2, "T0K", "=|eyJzdGF0dXMiOiI0MDAifQ==",
	 "AUTH XOAUTH2|dXNlcj1qb2UBYXV0aD1CZWFyZXIgVDBLAQE=||refused",
	 "AUTH XOAUTH2|***||refused"},
	{AUTH_XOAUTH2, "T0K", "=|rubbish", "AUTH XOAUTH2|dXNlcj1qb2UBYXV0aD1CZWFyZXIgVDBLAQE=|*|error",
	 NULL},
	{AUTH_XOAUTH2, "two words", "=", "|error", "|error"},
	{AUTH_OAUTHBEARER, "T0K", "=",
	 "AUTH OAUTHBEARER|bixhPWpvZSwBaG9zdD1oAXBvcnQ9OTk1AWF1dGg9QmVhcmVyIFQwSwEB|accepted", NULL},
	{AUTH_OAUTHBEARER, "T0K", "=|eyJzdGF0dXMiOiI0MDAifQ==",
	 "AUTH OAUTHBEARER|bixhPWpvZSwBaG9zdD1oAXBvcnQ9OTk1AWF1dGg9QmVhcmVyIFQwSwEB|AQ==|refused",
	 "AUTH OAUTHBEARER|***|AQ==|refused"},
	{AUTH_SCRAM_SHA_256, "x", "rubbish", "AUTH SCRAM-SHA-256 ***|*|error",
	 "AUTH SCRAM-SHA-256 ***|*|error"},
};

static void test_words(const struct exchange *e)
{
	char *sent = words(e->mech, e->secret, e->challenges, false);
	char *shown = words(e->mech, e->secret, e->challenges, true);

	if (e->mech != AUTH_SCRAM_SHA_256)
		SAME(sent, e->sent, e->sent);
	if (e->shown)
		SAME(shown, e->shown, e->shown);
	free(sent);
	free(shown);
}

/* RFC 5034 section 4: the initial response only where the line has at most 255 octets. */
static void test_length(size_t password_len, bool at_once)
{
	struct str password = {.max = 500};
	char *sent;
	size_t first;

	while (password.len < password_len)
		str_puts(&password, "x");
	sent = words(AUTH_PLAIN, password.s, "=", false);
	first = strcspn(sent, "|");
	if (at_once)
		OK(first > strlen("AUTH PLAIN") && first + 2 <= 255, "the longest one-line PLAIN");
	else
		OK(strncmp(sent, "AUTH PLAIN|AGpvZQB4", 19) == 0, "a longer PLAIN takes two steps");
	free(sent);
	str_free(&password);
}

/* A token of 64 KiB fits. */
static void test_long_token(void)
{
	static const struct offer all = {true, true, EVERY_SASL, NULL};
	struct str line = {.max = 1u << 19};
	struct error err = {0};
	struct auth auth;
	const char *shown;
	char *token = xmalloc(65537);

	memset(token, 'x', 65536);
	token[65536] = '\0';
	OK(begin(&auth, AUTH_XOAUTH2, true, IN_TLS, &all, token, &err) == 0 &&
	       auth_next(&auth, NULL, 0, &line, &shown, &err) == 1 &&
	       auth_next(&auth, "", 0, &line, &shown, &err) == 1 && line.len > 87000,
	   "a token of 64 KiB");
	str_wipe(&line);
	auth_end(&auth);
	free(token);
}

/* -- SCRAM -------------------------------------------------------------------------------- */

static int next(struct auth *auth, const char *said, struct str *line, struct error *err)
{
	struct str text = {.max = 1000};
	const char *shown;
	int rc;

	sasl_base64(&text, said, strlen(said));
	rc = auth_next(auth, text.s, text.len, line, &shown, err);
	str_free(&text);
	return rc;
}

/* The RFC's example; last: the server's last message, NULL: it just lets us in. */
static void test_scram(const char *last, bool good, const char *what)
{
	static const struct offer all = {true, true, EVERY_SASL, NULL};
	struct str line = {.max = 2000};
	struct error err = {0};
	struct auth auth;
	const char *shown;
	int rc;

	begin(&auth, AUTH_SCRAM_SHA_1, false, IN_TLS, &all, "pencil", &err);
	str_cut(&auth.scram.first, 0);
	str_puts(&auth.scram.first, "n=user");
	text_copy(auth.scram.nonce, sizeof(auth.scram.nonce), "fyko+d2lbbFgONRv9qkxdawL");
	OK(auth_next(&auth, NULL, 0, &line, &shown, &err) == 1, "the command");
	SAME(line.s, "AUTH SCRAM-SHA-1 biwsbj11c2VyLHI9ZnlrbytkMmxiYkZnT05Sdjlxa3hkYXdM",
	     "has the first message");
	OK(next(&auth, "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096", &line,
	        &err) == 1, "the final message");
	rc = last ? next(&auth, last, &line, &err) : 1;
	if (rc == 1)
		rc = auth_accept(&auth, &err);
	OK((rc == 0) == good && (good || err.kind == ERR_AUTH), what);
	if (last && !good)
		SAME(line.s, "*", "leave is taken");
	str_wipe(&line);
	auth_end(&auth);
}

/* -- what cannot be sent ------------------------------------------------------------------ */

static void test_refused(const char *user, const char *password, const char *what)
{
	struct login login = {.user = xstrdup(user)};
	struct wire_capa capa = {.known = true, .user = true};
	struct auth_terms terms = {.capa = &capa, .tls = true};
	struct error err = {0};
	struct auth auth;

	OK(auth_begin(&auth, &login, password, &terms, &err) == -1 && err.kind == ERR_AUTH &&
	       !strchr(err.text, '\n') && !strstr(err.text, "secret"),
	   what);
	auth_end(&auth);
	free(login.user);
}

static void test_too_long(void)
{
	static const struct offer all = {true, true, EVERY_SASL, STAMP};

	for (int mech = AUTH_USER; mech < AUTH_MECHS; mech++) {
		struct str line = {.max = 10};
		struct error err = {0};
		struct auth auth;
		const char *shown;
		int rc = begin(&auth, mech, false, IN_TLS, &all, "sesame", &err);

		for (int i = 0; i < 9 && rc != -1; i++)
			rc = auth_next(&auth, "", 0, &line, &shown, &err) == 1 ? 1 : -1;
		OK(rc == -1 && (err.kind == ERR_AUTH || mech == AUTH_LOGIN) && !strstr(err.text, "sesame"),
		   "a line that does not fit is an error");
		str_wipe(&line);
		auth_end(&auth);
	}
}

/* -- what is explained -------------------------------------------------------------------- */

static void test_explained(void)
{
	static const struct offer all = {true, true, EVERY_SASL, NULL};
	struct str line = {.max = 2000};
	struct error err = {0};
	struct auth auth;
	const char *shown;

	begin(&auth, AUTH_XOAUTH2, true, IN_TLS, &all, "T0K", &err);
	auth_next(&auth, NULL, 0, &line, &shown, &err);
	auth_next(&auth, "", 0, &line, &shown, &err);
	next(&auth, "{\"status\":\"401\"}\033", &line, &err);
	error_set(&err, ERR_AUTH, "login refused: no");
	auth_explain(&auth, &err);
	SAME(err.text, "login refused: no; its reason: {\"status\":\"401\"}\\x1b (AUTH XOAUTH2: is the "
	     "token expired, and is it for POP?)", "the reason of a refused token");
	auth_end(&auth);
	begin(&auth, AUTH_OAUTHBEARER, true, IN_TLS, &all, "T0K", &err);
	auth_next(&auth, NULL, 0, &line, &shown, &err);
	auth_next(&auth, "", 0, &line, &shown, &err);
	next(&auth, "you said T0K", &line, &err);
	OK(auth.problem[0] == '\0', "but not if it repeats the token");
	auth_end(&auth);
	begin(&auth, AUTH_USER, false, IN_TLS, &all, "\xc3\xa4", &err);
	error_set(&err, ERR_AUTH, "no");
	auth_explain(&auth, &err);
	OK(strstr(err.text, "not ASCII"), "a password that is not ASCII");
	auth_end(&auth);
	begin(&auth, AUTH_AUTO, false, IN_CLEAR, &all, "x", &err);
	error_set(&err, ERR_AUTH, "no");
	auth_explain(&auth, &err);
	OK(strstr(err.text, "because there is no TLS"), "a mechanism that was chosen");
	auth_end(&auth);
	begin(&auth, AUTH_PLAIN, false, IN_TLS, &all, "x", &err);
	error_set(&err, ERR_AUTH, "no");
	auth_explain(&auth, &err);
	SAME(err.text, "no", "nothing to add");
	auth_end(&auth);
	str_wipe(&line);
}

int main(void)
{
	for (size_t i = 0; i < LEN(choices); i++)
		test_choice(&choices[i]);
	for (size_t i = 0; i < LEN(exchanges); i++)
		test_words(&exchanges[i]);
	test_length(175, true);
	test_length(176, false);
	test_long_token();
	test_scram("v=rmF9pqV8S7suAoZWja4dJRkFsKQ=", true, "the server proves that it knows us");
	test_scram("v=rmF9pqV8S7suAoZWja4dJRkFsKR=", false, "it does not");
	test_scram("e=other-error", false, "it refuses");
	test_scram(NULL, false, "it lets us in without");
	test_refused("joe\nDELE 1", "x", "a line end in the user name");
	test_refused("joe", "secret\r", "a line end in the password");
	test_refused("joe\1auth=Bearer x", "secret", "a ^A in the user name");
	test_too_long();
	test_explained();
	return tap_end();
}

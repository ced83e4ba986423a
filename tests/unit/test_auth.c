/* SPDX-License-Identifier: MIT */
/*
 * test_auth.c - which mechanism is chosen, and the words of each.
 */
#include "config.h"

#include "auth.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define PLAIN_OFFERED {.known = true, .sasl_plain = true}
#define USER_OFFERED {.known = true, .user = true}
#define LOGIN_OFFERED {.known = true, .sasl_login = true}
#define ALL_OFFERED {.known = true, .sasl_plain = true, .user = true, .sasl_login = true}

static const struct choice {
	const char *what;
	int auth;
	struct wire_capa capa;
	bool cleartext;
	enum error_kind kind; /* ERR_NONE: mech is chosen */
	enum auth_mech mech;
	const char *said; /* part of the error */
} choices[] = {
	{"PLAIN comes first", AUTH_AUTO, ALL_OFFERED, true, ERR_NONE, AUTH_PLAIN, NULL},
	{"USER comes before LOGIN",
     AUTH_AUTO,
     {.known = true, .user = true, .sasl_login = true},
     true,
     ERR_NONE,
     AUTH_USER,
     NULL},
	{"LOGIN comes last", AUTH_AUTO, LOGIN_OFFERED, true, ERR_NONE, AUTH_LOGIN, NULL},
	{"USER without CAPA", AUTH_AUTO, {0}, true, ERR_NONE, AUTH_USER, NULL},
	{"nothing that can be used", AUTH_AUTO, {.known = true}, true, ERR_UNAVAILABLE, 0, "nothing"},
	{"named and offered", AUTH_LOGIN, ALL_OFFERED, true, ERR_NONE, AUTH_LOGIN, NULL},
	{"named, CAPA unknown", AUTH_PLAIN, {0}, true, ERR_NONE, AUTH_PLAIN, NULL},
	{"named and not offered: PLAIN", AUTH_PLAIN, USER_OFFERED, true, ERR_UNAVAILABLE, 0, "USER"},
	{"named and not offered: USER", AUTH_USER, PLAIN_OFFERED, true, ERR_UNAVAILABLE, 0,
     "does not offer USER; of what can be used it offers AUTH PLAIN"},
	{"named and not offered: LOGIN", AUTH_LOGIN, PLAIN_OFFERED, true, ERR_UNAVAILABLE, 0, "LOGIN"},
	{"not in clear", AUTH_AUTO, ALL_OFFERED, false, ERR_UNAVAILABLE, 0, "allow_cleartext"},
	{"not in clear, though named", AUTH_USER, USER_OFFERED, false, ERR_UNAVAILABLE, 0,
     "tls = stls"},
};

static void test_choice(const struct choice *c)
{
	struct login login = {.auth = c->auth, .user = (char[]){"joe"}};
	struct error err = {0};
	struct auth auth;
	int rc = auth_begin(&auth, &login, "sesame", &c->capa, c->cleartext, &err);

	if (c->kind == ERR_NONE) {
		OK(rc == 0 && auth.mech == c->mech, c->what);
		return;
	}
	if (!OK(rc == -1 && err.kind == c->kind && strstr(err.text, c->said), c->what))
		printf("# %s\n", err.text);
	OK(!strstr(err.text, "sesame"), "the password is not in the error");
}

/* -- the words ---------------------------------------------------------------------------- */

/* All lines of a login as "line|line", or as the trace shows them.  The caller frees it. */
static char *words(int mech, const char *user, const char *password, bool traced)
{
	struct auth auth = {.mech = (enum auth_mech)mech, .user = user, .password = password};
	struct str all = {.max = 1000}, line = {.max = 500};
	struct error err = {0};
	const char *shown;

	while (auth.step < 9 && auth_next(&auth, &line, &shown, &err) == 1)
		str_printf(&all, "%s%s", auth.step > 1 ? "|" : "", traced && shown ? shown : line.s);
	str_wipe(&line);
	return all.s;
}

static const struct exchange {
	int mech;
	const char *user, *password, *sent, *shown;
} exchanges[] = {
	{AUTH_USER, "joe", "sesame", "USER joe|PASS sesame", "USER joe|PASS ***"},
	{AUTH_USER, "", "", "USER |PASS ", "USER |PASS ***"},
	{AUTH_USER, "a b", " %s ", "USER a b|PASS  %s ", "USER a b|PASS ***"},
	{AUTH_PLAIN, "joe", "sesame", "AUTH PLAIN AGpvZQBzZXNhbWU=|AGpvZQBzZXNhbWU=",
     "AUTH PLAIN ***|***"},
	{AUTH_PLAIN, "", "", "AUTH PLAIN AAA=|AAA=", "AUTH PLAIN ***|***"},
	{AUTH_PLAIN, "a", "", "AUTH PLAIN AGEA|AGEA", "AUTH PLAIN ***|***"},
	{AUTH_PLAIN, "\xff\xfe", "\xfb", "AUTH PLAIN AP/+APs=|AP/+APs=", "AUTH PLAIN ***|***"},
	{AUTH_LOGIN, "joe", "sesame", "AUTH LOGIN|am9l|c2VzYW1l", "AUTH LOGIN|***|***"},
	{AUTH_LOGIN, "", "", "AUTH LOGIN||", "AUTH LOGIN|***|***"},
};

static void test_words(const struct exchange *e)
{
	char *sent = words(e->mech, e->user, e->password, false);
	char *shown = words(e->mech, e->user, e->password, true);

	SAME(sent, e->sent, e->sent);
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
	sent = words(AUTH_PLAIN, "joe", password.s, false);
	first = strcspn(sent, "|");
	if (at_once)
		OK(first > strlen("AUTH PLAIN") && first + 2 <= 255, "the longest one-line PLAIN");
	else
		OK(strncmp(sent, "AUTH PLAIN|AGpvZQB4", 19) == 0, "a longer PLAIN takes two steps");
	free(sent);
	str_free(&password);
}

/* -- what cannot be sent ------------------------------------------------------------------ */

static void test_refused(const char *user, const char *password, const char *what)
{
	struct login login = {.user = xstrdup(user)};
	struct wire_capa capa = ALL_OFFERED;
	struct error err = {0};
	struct auth auth;

	OK(auth_begin(&auth, &login, password, &capa, true, &err) == -1 && err.kind == ERR_AUTH &&
	       !strchr(err.text, '\n') && !strstr(err.text, "secret"),
	   what);
	free(login.user);
}

static void test_too_long(void)
{
	for (int mech = AUTH_USER; mech <= AUTH_LOGIN; mech++) {
		struct auth auth = {.mech = (enum auth_mech)mech, .user = "joe", .password = "sesame"};
		struct str line = {.max = 10};
		struct error err = {0};
		const char *shown;
		int rc;

		while ((rc = auth_next(&auth, &line, &shown, &err)) == 1 && auth.step < 9)
			;
		OK(mech == AUTH_LOGIN ? rc == 0 : rc == -1 && err.kind == ERR_AUTH,
		   "a line that does not fit is an error");
		str_wipe(&line);
	}
}

int main(void)
{
	struct auth auth = {.mech = AUTH_PLAIN};

	for (size_t i = 0; i < sizeof(choices) / sizeof(*choices); i++)
		test_choice(&choices[i]);
	for (size_t i = 0; i < sizeof(exchanges) / sizeof(*exchanges); i++)
		test_words(&exchanges[i]);
	test_length(175, true);
	test_length(176, false);
	test_refused("joe\nDELE 1", "x", "a line end in the user name");
	test_refused("joe", "secret\r", "a line end in the password");
	test_too_long();
	SAME(auth_name(&auth), "AUTH PLAIN", "the name of a mechanism");
	return tap_end();
}

/* SPDX-License-Identifier: MIT */
/*
 * auth.c - which login mechanism, and its words.
 *
 * All three mechanisms hand the password over, so one rule stands before all: where the channel
 * is clear and the user did not allow that, there is no login.  A mechanism that the user named
 * is used or refused, never silently another.  Where CAPA is unknown (an old server) a
 * named one is tried on trust.
 *
 * PLAIN goes out with its initial response where the line fits in the 255 octets of RFC 5034
 * section 4, which saves a round trip.  Lines with secrets are wiped: here, and by the caller.
 *
 * On failure nothing was sent.  Called by pop3.c.
 */
#include "config.h"

#include "auth.h"

#include <string.h>

#define MAX_AUTH_LINE 253 /* RFC 5034 section 4: 255 octets with CRLF */

static const char *const names[] = {
	[AUTH_AUTO] = "USER, AUTH PLAIN or AUTH LOGIN",
	[AUTH_USER] = "USER",
	[AUTH_PLAIN] = "AUTH PLAIN",
	[AUTH_LOGIN] = "AUTH LOGIN",
};

/* -- the choice --------------------------------------------------------------------------- */

static bool offers(const struct wire_capa *capa, enum auth_mech mech)
{
	return mech == AUTH_USER    ? capa->user
	       : mech == AUTH_PLAIN ? capa->sasl_plain
	                            : capa->sasl_login;
}

/* AUTH_AUTO where there is none.  Who has no CAPA has USER. */
static enum auth_mech choose(const struct wire_capa *capa)
{
	static const enum auth_mech order[] = {AUTH_PLAIN, AUTH_USER, AUTH_LOGIN};

	for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++)
		if (offers(capa, order[i]))
			return order[i];
	return capa->known ? AUTH_AUTO : AUTH_USER;
}

/* The error for a server that has not what is wanted: says what it has. */
static int not_offered(enum auth_mech mech, const struct wire_capa *capa, struct error *err)
{
	struct str list = {.max = 64};

	for (enum auth_mech m = AUTH_USER; m <= AUTH_LOGIN; m++)
		if (offers(capa, m))
			str_printf(&list, "%s%s", list.len ? ", " : "", names[m]);
	error_set(err, ERR_UNAVAILABLE,
	          "the server does not offer %s; of what can be used it offers %s", names[mech],
	          list.len ? list.s : "nothing");
	str_free(&list);
	return -1;
}

int auth_begin(struct auth *auth, const struct login *login, const char *password,
               const struct wire_capa *capa, bool cleartext, struct error *err)
{
	enum auth_mech mech = login->auth == AUTH_AUTO ? choose(capa) : (enum auth_mech)login->auth;

	*auth = (struct auth){.mech = mech};
	auth->user = login->user ? login->user : "";
	auth->password = password ? password : "";
	if (!cleartext)
		return error_set(err, ERR_UNAVAILABLE,
		                 "the password would go over the network in clear: set tls = implicit "
		                 "or tls = stls (or allow_cleartext = yes, where you trust the network)");
	if (mech == AUTH_AUTO || (capa->known && !offers(capa, mech)))
		return not_offered(mech, capa, err);
	if (strpbrk(auth->user, "\r\n") || strpbrk(auth->password, "\r\n"))
		return error_set(err, ERR_AUTH, "the %s holds a line end, which cannot be sent",
		                 strpbrk(auth->user, "\r\n") ? "user name" : "password");
	return 0;
}

/* -- the words ---------------------------------------------------------------------------- */

/* Adds head and, encoded by RFC 4648 section 4, len bytes. */
static int add_base64(struct str *line, const char *head, const char *bytes, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *s = (const unsigned char *)bytes;
	int rc = str_puts(line, head);

	for (size_t i = 0; i < len && rc == 0; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		unsigned v = s[i] << 16 | (n > 1 ? s[i + 1] << 8 : 0) | (n > 2 ? s[i + 2] : 0);
		char four[4] = {digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=',
		                n > 2 ? digits[v & 63] : '='};

		rc = str_add(line, four, sizeof(four));
		explicit_bzero(four, sizeof(four));
	}
	return rc;
}

/* RFC 4616: no authorization identity, the user, the password, each with a NUL in front.  A server
 * that passes over the initial response asks for it by a challenge and gets it again. */
static int plain(const struct auth *auth, struct str *line, const char **shown)
{
	struct str message = {.max = line->max};
	size_t len = strlen(auth->user) + strlen(auth->password) + 2;
	bool fits = strlen("AUTH PLAIN ") + (len + 2) / 3 * 4 <= MAX_AUTH_LINE;
	int rc;

	if (auth->step == 0 && !fits) {
		*shown = NULL;
		return str_puts(line, "AUTH PLAIN");
	}
	*shown = auth->step == 0 ? "AUTH PLAIN ***" : "***";
	rc = str_add(&message, "", 1);
	if (rc == 0)
		rc = str_add(&message, auth->user, strlen(auth->user) + 1);
	if (rc == 0)
		rc = str_puts(&message, auth->password);
	if (rc == 0)
		rc = add_base64(line, auth->step == 0 ? "AUTH PLAIN " : "", message.s, message.len);
	str_wipe(&message);
	return rc;
}

static int user(const struct auth *auth, struct str *line, const char **shown)
{
	*shown = auth->step == 0 ? NULL : "PASS ***";
	if (auth->step == 0)
		return str_printf(line, "USER %s", auth->user);
	return str_printf(line, "PASS %s", auth->password);
}

static int login_word(const struct auth *auth, struct str *line, const char **shown)
{
	const char *word = auth->step == 1 ? auth->user : auth->password;

	*shown = auth->step == 0 ? NULL : "***";
	if (auth->step == 0)
		return str_puts(line, "AUTH LOGIN");
	return add_base64(line, "", word, strlen(word));
}

int auth_next(struct auth *auth, struct str *line, const char **shown, struct error *err)
{
	unsigned steps = auth->mech == AUTH_LOGIN ? 3 : 2;
	int rc;

	str_wipe(line);
	*shown = NULL;
	if (auth->step >= steps)
		return 0;
	rc = auth->mech == AUTH_PLAIN ? plain(auth, line, shown)
	     : auth->mech == AUTH_USER ? user(auth, line, shown)
	                               : login_word(auth, line, shown);
	auth->step++;
	if (rc == -1)
		return error_set(err, ERR_AUTH, "the user name or the password is too long to be sent");
	return 1;
}

const char *auth_name(const struct auth *auth)
{
	return names[auth->mech];
}

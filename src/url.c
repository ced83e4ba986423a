/* SPDX-License-Identifier: MIT */
/*
 * url.c - reads a POP3 URL into an account.
 *
 * The parts are cut out by RFC 3986's rules, unescaped, and handed to option_set, which judges
 * them as it does any other value.  Where users know better than the RFC they are followed: in
 * joe@example.org@pop.example.org the last @ parts the name from the host.
 *
 * The name of such an account becomes a directory under the state directory, so two different
 * mailboxes must never get the same name: letters in capitals and all other bytes that are not
 * plain are escaped, and what is too long is cut and ends in a hash of the whole.
 *
 * On failure: ERR_USAGE; no text repeats the URL, which may hold a password.  Called by main.c.
 */
#include "config.h"

#include "url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "option.h"

#define MAX_PART 1024 /* bytes of a user or host name, before it is judged */
#define MAX_NAME 64   /* bytes of an account's name */

/* A stretch of the URL. */
struct part {
	const char *p;
	size_t len;
};

static int hex(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)((at - digits) % 16) : -1;
}

/* Reads %XX.  NUL is refused here; option_set refuses the other control characters. */
static int unescape(struct part part, struct str *text, const char *what, struct error *err)
{
	for (size_t i = 0; i < part.len; i++) {
		char c = part.p[i];

		if (c == '%') {
			int high = i + 2 < part.len ? hex(part.p[i + 1]) : -1;
			int low = high >= 0 ? hex(part.p[i + 2]) : -1;

			c = low >= 0 ? (char)(high << 4 | low) : '\0';
			i += 2;
		}
		if (c == '\0')
			return error_set(err, ERR_USAGE, "URL: bad %% escape in the %s", what);
		if (str_add(text, &c, 1))
			return error_set(err, ERR_USAGE, "URL: the %s is too long", what);
	}
	return 0;
}

static int set(struct account *account, const char *name, const char *value, struct error *err)
{
	if (option_set(account, name, value, ORIGIN_ACCOUNT, err) == 0)
		return 0;
	err->kind = ERR_USAGE;
	return error_wrap(err, "URL");
}

static int set_part(struct account *account, const char *name, struct part part,
                    struct error *err)
{
	struct str text = {.max = MAX_PART};
	int status = unescape(part, &text, name, err);

	if (status == 0)
		status = set(account, name, text.s ? text.s : "", err);
	str_free(&text);
	return status;
}

static int set_user(struct account *account, struct part info, struct error *err)
{
	const char *colon = memchr(info.p, ':', info.len);

	if (colon && colon + 1 < info.p + info.len)
		return error_set(err, ERR_USAGE, "URL: a password here would be seen by everybody; use "
		                 "password_command or password_file, or wait to be asked");
	if (colon)
		info.len = (size_t)(colon - info.p);
	if (memchr(info.p, ';', info.len))
		return error_set(err, ERR_USAGE, "URL: ;AUTH= is not read here, use -o auth=...; a ; in a "
		                 "name is written %%3B");
	return set_part(account, "user", info, err);
}

/* The text between [ and ]: an IPv6 address, and a zone behind %25 (RFC 6874). */
static int set_literal(struct account *account, struct part host, struct error *err)
{
	struct str text = {.max = MAX_PART};
	unsigned char address[sizeof(struct in6_addr)];
	char *zone;
	int status = unescape(host, &text, "host", err);

	if (status == 0) {
		zone = text.s ? strchr(text.s, '%') : NULL;
		if (zone)
			*zone = '\0';
		if (inet_pton(AF_INET6, text.s ? text.s : "", address) != 1)
			status = error_set(err, ERR_USAGE, "URL: there is no IPv6 address in the brackets");
		if (zone)
			*zone = '%';
	}
	if (status == 0)
		status = set(account, "host", text.s, err);
	str_free(&text);
	return status;
}

/* HOST[:PORT] or [ADDRESS][:PORT].  An empty port is none (RFC 3986 section 3.2.3). */
static int set_server(struct account *account, struct part where, const char *port,
                      struct error *err)
{
	const char *end = where.p + where.len, *rest;
	bool literal = where.len > 0 && where.p[0] == '[';
	struct part host = where;
	char given[8];
	uint64_t number;

	rest = memchr(where.p, literal ? ']' : ':', where.len);
	if (literal && !rest)
		return error_set(err, ERR_USAGE, "URL: a ] is missing");
	if (rest)
		host.len = (size_t)(rest - where.p);
	rest = rest ? rest + literal : end;
	if (rest < end && *rest++ != ':')
		return error_set(err, ERR_USAGE, "URL: there is more than a port behind the ]");
	if (rest < end) {
		if (!number_parse(rest, (size_t)(end - rest), 65535, &number) || number == 0)
			return error_set(err, ERR_USAGE, "URL: the port is not a number (1 to 65535)");
		snprintf(given, sizeof(given), "%u", (unsigned)number);
		port = given;
	}
	if (set(account, "port", port, err))
		return -1;
	if (literal)
		return set_literal(account, (struct part){host.p + 1, host.len - 1}, err);
	return set_part(account, "host", host, err);
}

/* FNV-1a, 64 bits: only to tell long names apart. */
static uint64_t hash(const char *s)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325);

	for (; *s; s++)
		sum = (sum ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return sum;
}

/* A host name means the same in capitals; a user's may not.  plain: what stays as it is. */
static void add_safe(struct str *name, const char *s, bool fold, const char *plain)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (fold && c >= 'A' && c <= 'Z')
			c = (unsigned char)(c - 'A' + 'a');
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr(plain, c))
			str_add(name, (char *)&c, 1);
		else
			str_printf(name, "%%%02X", c);
	}
}

static void name_account(struct account *account)
{
	struct str name = {.max = 65536}; /* option.c's limits: three times 4000 and 255, and a port */
	uint64_t port = account->server.port;

	if (account->login.user) {
		add_safe(&name, account->login.user, false, "._@+-");
		str_puts(&name, "@");
	}
	add_safe(&name, account->server.host, true, ".-");
	if (port != 995 && port != 110)
		str_printf(&name, "+%u", (unsigned)port);
	if (name.len > MAX_NAME) {
		uint64_t sum = hash(name.s);

		str_cut(&name, MAX_NAME - 17);
		str_printf(&name, "-%016llx", (unsigned long long)sum);
	}
	free(account->name);
	account->name = name.s;
}

int url_set(struct account *account, const char *url, struct error *err)
{
	bool secure = strncasecmp(url, "pop3s://", 8) == 0;
	struct part all, user = {0};
	const char *at = NULL;

	if (!secure && strncasecmp(url, "pop3://", 7) != 0)
		return error_set(err, ERR_USAGE, "URL: it begins with neither pop3s:// nor pop3://");
	all.p = url + (secure ? 8 : 7);
	all.len = strcspn(all.p, "/?#");
	if (all.p[all.len] != '\0' && strcmp(all.p + all.len, "/") != 0)
		return error_set(err, ERR_USAGE, "URL: nothing may follow the host and port");
	for (size_t i = 0; i < all.len; i++)
		if (all.p[i] == '@')
			at = all.p + i;
	if (at) {
		user = (struct part){all.p, (size_t)(at - all.p)};
		all.len -= user.len + 1;
		all.p = at + 1;
	}
	if ((at && set_user(account, user, err)) ||
	    set(account, "tls", secure ? "implicit" : "stls", err) ||
	    set_server(account, all, secure ? "995" : "110", err))
		return -1;
	if (!account->login.user && !account->inspect)
		return error_set(err, ERR_USAGE, "URL: it names no user");
	name_account(account);
	return 0;
}

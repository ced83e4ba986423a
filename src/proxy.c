/* SPDX-License-Identifier: MIT */
/*
 * proxy.c - SOCKS5 as a client speaks it: version 5, CONNECT, with or without a user name.
 *
 * The conversation is a state machine that is asked for the next thing to say; it demands every
 * octet by number, because what follows the proxy's last one is the server's greeting.  An
 * answer that does not fit ends it: there is nothing to resume.
 *
 * What this does not: SOCKS4, HTTP CONNECT, GSSAPI, UDP.  Whatever else is needed, a tunnel can.
 *
 * No I/O.  Called by option.c (the URL) and dial.c.
 */
#include "config.h"

#include "proxy.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_PORT 1080
#define MAX_WORD 255 /* both RFCs have one octet for a length */

enum { NO_LOGIN = 0, LOGIN = 2, NONE_OF_THEM = 0xff };          /* methods */
enum { TO_IPV4 = 1, TO_NAME = 3, TO_IPV6 = 4 };                 /* kinds of address */
enum { BEGIN, METHOD, LOGIN_ANSWER, REPLY_HEAD, REPLY_REST };   /* whose octets come next */

/* -- the URL ------------------------------------------------------------------------------ */

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A word with its percent-escapes read; NULL: one of them is none, or it is too long or empty. */
static char *unescaped(const char *s, size_t len)
{
	struct str word = {.max = MAX_WORD};
	bool fine = len > 0;

	for (size_t i = 0; fine && i < len; i++) {
		char c = s[i];

		if (c == '%') {
			int high = len - i > 2 ? hex_of(s[i + 1]) : -1;
			int low = high >= 0 ? hex_of(s[i + 2]) : -1;

			fine = low >= 0 && high + low > 0;
			c = (char)(high * 16 + low);
			i += 2;
		}
		fine = fine && str_add(&word, &c, 1) == 0;
	}
	if (!fine)
		str_wipe(&word);
	return fine ? word.s : NULL;
}

static int set_login(struct proxy *proxy, const char *s, size_t len, struct error *err)
{
	const char *colon = memchr(s, ':', len);

	if (!colon)
		return error_set(err, ERR_CONFIG, "a user needs a password: USER:PASSWORD@");
	proxy->user = unescaped(s, (size_t)(colon - s));
	proxy->password = unescaped(colon + 1, len - (size_t)(colon + 1 - s));
	if (!proxy->user || !proxy->password)
		return error_set(err, ERR_CONFIG, "the user or password is empty, too long, or has a %% "
		                 "that is no escape (write %%25)");
	return 0;
}

/* HOST[:PORT] or [ADDRESS][:PORT]. */
static int set_place(struct proxy *proxy, const char *s, struct error *err)
{
	bool literal = s[0] == '[';
	size_t len = literal ? strcspn(++s, "]") : strcspn(s, ":");
	const char *rest = s + len;

	if (literal && *rest++ != ']')
		return error_set(err, ERR_CONFIG, "a ] is missing");
	if (len == 0 || len > MAX_WORD || memchr(s, ' ', len) || memchr(s, '[', len))
		return error_set(err, ERR_CONFIG, "it names no host");
	proxy->host = xmemdup0(s, len);
	proxy->port = DEFAULT_PORT;
	if (*rest && (*rest != ':' || !number_parse(rest + 1, strlen(rest + 1), 65535, &proxy->port) ||
	              proxy->port == 0))
		return error_set(err, ERR_CONFIG, "behind the host there may only be a port (1 to 65535)");
	return 0;
}

int proxy_parse(struct proxy *proxy, const char *url, struct error *err)
{
	const char *at;
	char *place;
	size_t len;
	int rc = 0;

	*proxy = (struct proxy){0};
	if (strncasecmp(url, "socks5://", 9) == 0)
		url += 9;
	else if (strncasecmp(url, "socks5h://", 10) == 0)
		url += 10;
	else
		return error_set(err, ERR_CONFIG, "it is no socks5:// URL; for other proxies use tunnel");
	len = strcspn(url, "/?#");
	if (url[len] && strcmp(url + len, "/") != 0)
		return error_set(err, ERR_CONFIG, "nothing may follow the host and port (write / ? # in a "
		                 "password as %%2F %%3F %%23)");
	at = memrchr(url, '@', len);
	if (at)
		rc = set_login(proxy, url, (size_t)(at - url), err);
	if (rc == -1)
		return -1;
	if (at) {
		len -= (size_t)(at + 1 - url);
		url = at + 1;
	}
	place = xmemdup0(url, len);
	rc = set_place(proxy, place, err);
	free(place);
	return rc;
}

void proxy_free(struct proxy *proxy)
{
	free(proxy->host);
	secret_free(&proxy->user);
	secret_free(&proxy->password);
	proxy->host = NULL;
}

int proxy_check(const char *url, struct error *err)
{
	struct proxy proxy;
	int rc = proxy_parse(&proxy, url, err);

	proxy_free(&proxy);
	return rc;
}

/* -- the conversation --------------------------------------------------------------------- */

static void add_octet(struct str *out, unsigned octet)
{
	char c = (char)octet;

	str_add(out, &c, 1);
}

static void add_word(struct str *out, const char *word)
{
	size_t len = strlen(word);

	add_octet(out, (unsigned)len);
	str_add(out, word, len);
}

/* CONNECT to a host: an address as such, all else as a name for the proxy to look up. */
static int ask(struct proxy_talk *talk, const char *host, uint64_t port, struct str *out,
               struct error *err)
{
	unsigned char address[16];

	if (strlen(host) > MAX_WORD)
		return error_set(err, ERR_CONFIG, "the host name is too long for a proxy");
	str_add(out, "\x05\x01\x00", 3);
	if (inet_pton(AF_INET, host, address) == 1) {
		add_octet(out, TO_IPV4);
		str_add(out, (char *)address, 4);
	} else if (inet_pton(AF_INET6, host, address) == 1) {
		add_octet(out, TO_IPV6);
		str_add(out, (char *)address, 16);
	} else {
		add_octet(out, TO_NAME);
		add_word(out, host);
	}
	add_octet(out, (unsigned)(port >> 8));
	add_octet(out, (unsigned)(port & 0xff));
	*talk = (struct proxy_talk){.step = REPLY_HEAD, .need = 5};
	return 1;
}

#define SERVER_IS_DOWN 5

/* RFC 1928 section 6. */
static int refused(unsigned code, struct error *err)
{
	static const struct {
		const char *why;
		enum error_kind kind;
	} codes[] = {
		[1] = {"general failure", ERR_TEMP},
		[2] = {"its rules do not allow this connection", ERR_UNAVAILABLE},
		[3] = {"network unreachable", ERR_TEMP},
		[4] = {"host unreachable, or unknown", ERR_TEMP},
		[SERVER_IS_DOWN] = {"connection refused by the server", ERR_UNAVAILABLE},
		[6] = {"no answer from the server", ERR_TEMP},
		[7] = {"it does not know CONNECT", ERR_UNAVAILABLE},
		[8] = {"it does not know this kind of address", ERR_UNAVAILABLE},
	};

	if (code >= sizeof(codes) / sizeof(*codes))
		return error_set(err, ERR_UNAVAILABLE, "it answers with the unknown code %u", code);
	error_set(err, codes[code].kind, "%s (code %u)", codes[code].why, code);
	err->outage = code == SERVER_IS_DOWN;
	return -1;
}

static int take_method(struct proxy_talk *talk, const struct proxy *proxy, unsigned method,
                       struct str *out, struct error *err)
{
	if (method == NONE_OF_THEM)
		return error_set(err, ERR_UNAVAILABLE, proxy->user
		                 ? "it accepts neither our user name nor none"
		                 : "it wants a login; set proxy = socks5://USER:PASSWORD@HOST");
	if (method != LOGIN || !proxy->user)
		return error_set(err, ERR_PROTOCOL, "it chose a way to log in that was not offered");
	add_octet(out, 1); /* RFC 1929 */
	add_word(out, proxy->user);
	add_word(out, proxy->password);
	*talk = (struct proxy_talk){.step = LOGIN_ANSWER, .need = 2};
	return 1;
}

static int take_reply(struct proxy_talk *talk, const unsigned char *in, struct error *err)
{
	size_t address = in[3] == TO_IPV4 ? 4 : in[3] == TO_IPV6 ? 16 : (size_t)in[4] + 1;

	if (in[1] != 0)
		return refused(in[1], err);
	if (in[3] != TO_IPV4 && in[3] != TO_IPV6 && in[3] != TO_NAME)
		return error_set(err, ERR_PROTOCOL, "its answer makes no sense");
	*talk = (struct proxy_talk){.step = REPLY_REST, .need = address - 1 + 2};
	return 1;
}

int proxy_next(struct proxy_talk *talk, const struct proxy *proxy, const char *host, uint64_t port,
               const unsigned char *in, struct str *out, struct error *err)
{
	bool fifth = talk->step == METHOD || talk->step == REPLY_HEAD;

	if (fifth && in[0] != 5)
		return error_set(err, ERR_PROTOCOL, "it does not speak SOCKS5");
	switch (talk->step) {
	case BEGIN:
		str_add(out, proxy->user ? "\x05\x02\x00\x02" : "\x05\x01\x00", proxy->user ? 4 : 3);
		*talk = (struct proxy_talk){.step = METHOD, .need = 2};
		return 1;
	case METHOD:
		return in[1] == NO_LOGIN ? ask(talk, host, port, out, err)
		                         : take_method(talk, proxy, in[1], out, err);
	case LOGIN_ANSWER:
		return in[1] == 0 ? ask(talk, host, port, out, err)
		                  : error_set(err, ERR_UNAVAILABLE, "it refused the user or password");
	case REPLY_HEAD:
		return take_reply(talk, in, err);
	default:
		return 0; /* the address it connects from: nothing to us */
	}
}

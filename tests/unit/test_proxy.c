/* SPDX-License-Identifier: MIT */
/* test_proxy.c - SOCKS5: the URL, and every turn of the conversation. */
#include "config.h"

#include "proxy.h"

#include <string.h>

#include "tap.h"

/* -- the URL ------------------------------------------------------------------------------ */

static const struct {
	const char *url, *host;
	unsigned port;
	const char *user, *password;
} urls[] = {
	{"socks5://gate", "gate", 1080, NULL, NULL},
	{"SOCKS5H://gate:9050/", "gate", 9050, NULL, NULL},
	{"socks5://[::1]:65535", "::1", 65535, NULL, NULL},
	{"socks5://[::1]", "::1", 1080, NULL, NULL},
	{"socks5://joe:secret@gate:1", "gate", 1, "joe", "secret"},
	{"socks5://j%6fe:a%40b%3Ac%25@gate", "gate", 1080, "joe", "a@b:c%"},
	{"socks5://joe:a:b@gate", "gate", 1080, "joe", "a:b"},
	{"socks5://joe:a@b@gate", "gate", 1080, "joe", "a@b"},
	{"socks5://joe:p@[::1]:7", "::1", 7, "joe", "p"},

	{"", NULL, 0, NULL, NULL},
	{"gate:1080", NULL, 0, NULL, NULL},
	{"socks4://gate", NULL, 0, NULL, NULL},
	{"http://gate", NULL, 0, NULL, NULL},
	{"socks5://", NULL, 0, NULL, NULL},
	{"socks5://:1080", NULL, 0, NULL, NULL},
	{"socks5://joe:p@", NULL, 0, NULL, NULL},
	{"socks5://gate:0", NULL, 0, NULL, NULL},
	{"socks5://gate:65536", NULL, 0, NULL, NULL},
	{"socks5://gate:", NULL, 0, NULL, NULL},
	{"socks5://gate:1x", NULL, 0, NULL, NULL},
	{"socks5://[::1", NULL, 0, NULL, NULL},
	{"socks5://[::1]x", NULL, 0, NULL, NULL},
	{"socks5://[]", NULL, 0, NULL, NULL},
	{"socks5://a b", NULL, 0, NULL, NULL},
	{"socks5://gate/path", NULL, 0, NULL, NULL},
	{"socks5://gate?query", NULL, 0, NULL, NULL},
	{"socks5://joe:a/b@gate", NULL, 0, NULL, NULL},
	{"socks5://joe@gate", NULL, 0, NULL, NULL},
	{"socks5://joe:@gate", NULL, 0, NULL, NULL},
	{"socks5://:secret@gate", NULL, 0, NULL, NULL},
	{"socks5://joe:a%4@gate", NULL, 0, NULL, NULL},
	{"socks5://joe:a%zz@gate", NULL, 0, NULL, NULL},
	{"socks5://joe:a%00b@gate", NULL, 0, NULL, NULL},
	{"socks5://joe:a%@gate", NULL, 0, NULL, NULL},
};

static void test_url(size_t i)
{
	struct proxy proxy;
	struct error err = {0};
	int rc = proxy_parse(&proxy, urls[i].url, &err);

	if (!urls[i].host) {
		OK(rc == -1 && err.kind == ERR_CONFIG && err.text[0], urls[i].url);
		OK(!strstr(err.text, "secret") && !strstr(err.text, "joe"), "the error keeps the secret");
	} else {
		OK(rc == 0, urls[i].url);
		SAME(proxy.host, urls[i].host, "host");
		EQUAL(proxy.port, urls[i].port, "port");
		OK(!proxy.user == !urls[i].user, "a login");
		if (proxy.user && urls[i].user) {
			SAME(proxy.user, urls[i].user, "user");
			SAME(proxy.password, urls[i].password, "password");
		}
	}
	proxy_free(&proxy);
	EQUAL(proxy_check(urls[i].url, &err), urls[i].host ? 0 : -1, "judged alike");
}

/* RFC 1929 has one octet for a length. */
static void test_long(void)
{
	struct error err;
	struct proxy proxy;

	for (int n = 255; n <= 256; n++) {
		struct str url = {.max = 2000};

		str_puts(&url, "socks5://joe:");
		for (int k = 0; k < n; k++)
			str_puts(&url, "%41");
		str_puts(&url, "@gate");
		EQUAL(proxy_parse(&proxy, url.s, &err), n == 255 ? 0 : -1, "a long password");
		proxy_free(&proxy);
		str_free(&url);
	}
}

/* -- the conversation --------------------------------------------------------------------- */

#define MAX_TURNS 6

struct turn {
	const char *in; /* what the proxy says */
	size_t in_len;
	const char *out; /* what we say then */
	size_t out_len;
};
#define T(in, out) {in, sizeof(in) - 1, out, sizeof(out) - 1}

static const struct talk {
	const char *what;
	bool login;
	const char *host;
	struct turn turns[MAX_TURNS];
	enum error_kind kind; /* how it ends */
	const char *said;
} talks[] = {
	{"a name, no login", false, "pop.example",
     {T("", "\5\1\0"), T("\5\0", "\5\1\0\3\013pop.example\3\343"), T("\5\0\0\1\1", ""),
      T("\2\3\4\0\1", "")}, ERR_NONE, NULL},
	{"IPv4", false, "192.0.2.1",
     {T("", "\5\1\0"), T("\5\0", "\5\1\0\1\300\0\2\1\3\343"), T("\5\0\0\1\1", ""),
      T("\2\3\4\0\1", "")}, ERR_NONE, NULL},
	{"IPv6, and an IPv6 answer", false, "2001:db8::1",
     {T("", "\5\1\0"),
      T("\5\0", "\5\1\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\3\343"),
      T("\5\0\0\4\1", ""), T("\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\0\1", "")}, ERR_NONE, NULL},
	{"a name in the answer", false, "pop.example",
     {T("", "\5\1\0"), T("\5\0", "\5\1\0\3\013pop.example\3\343"), T("\5\0\0\3\3", ""),
      T("abc\0\1", "")}, ERR_NONE, NULL},
	{"an empty name in the answer", false, "pop.example",
     {T("", "\5\1\0"), T("\5\0", "\5\1\0\3\013pop.example\3\343"), T("\5\0\0\3\0", ""),
      T("\0\1", "")}, ERR_NONE, NULL},
	{"a login", true, "pop.example",
     {T("", "\5\2\0\2"), T("\5\2", "\1\3joe\6secret"),
      T("\1\0", "\5\1\0\3\013pop.example\3\343"), T("\5\0\0\1\1", ""), T("\2\3\4\0\1", "")},
     ERR_NONE, NULL},
	{"a login that is not wanted", true, "pop.example",
     {T("", "\5\2\0\2"), T("\5\0", "\5\1\0\3\013pop.example\3\343"), T("\5\0\0\1\1", ""),
      T("\2\3\4\0\1", "")}, ERR_NONE, NULL},

	{"a login that is refused", true, "pop.example",
     {T("", "\5\2\0\2"), T("\5\2", "\1\3joe\6secret"), T("\1\1", "")}, ERR_UNAVAILABLE,
     "refused the user"},
	{"a login that is missing", false, "pop.example", {T("", "\5\1\0"), T("\5\xff", "")},
     ERR_UNAVAILABLE, "it wants a login; set proxy"},
	{"no method in common", true, "pop.example", {T("", "\5\2\0\2"), T("\5\xff", "")},
     ERR_UNAVAILABLE, "neither"},
	{"a login nobody offered", false, "pop.example", {T("", "\5\1\0"), T("\5\2", "")}, ERR_PROTOCOL,
     "not offered"},
	{"GSSAPI", true, "pop.example", {T("", "\5\2\0\2"), T("\5\1", "")}, ERR_PROTOCOL,
     "not offered"},
	{"no SOCKS", false, "pop.example", {T("", "\5\1\0"), T("HT", "")}, ERR_PROTOCOL,
     "does not speak SOCKS5"},
	{"SOCKS4", false, "pop.example", {T("", "\5\1\0"), T("\0\x5a", "")}, ERR_PROTOCOL,
     "does not speak SOCKS5"},
	{"nonsense behind the login", false, "pop.example",
     {T("", "\5\1\0"), T("\5\0", "\5\1\0\3\013pop.example\3\343"), T("+OK h", "")}, ERR_PROTOCOL,
     "does not speak SOCKS5"},
	{"an unknown kind of address", false, "pop.example",
     {T("", "\5\1\0"), T("\5\0", "\5\1\0\3\013pop.example\3\343"), T("\5\0\0\2\1", "")},
     ERR_PROTOCOL, "makes no sense"},
};

static void test_talk(const struct talk *t)
{
	char user[] = "joe", password[] = "secret", gate[] = "gate";
	struct proxy proxy = {gate, 1080, t->login ? user : NULL, t->login ? password : NULL};
	struct proxy_talk talk = {0};
	struct str out = {.max = 1000};
	unsigned char in[PROXY_MAX_IN] = {0};
	struct error err = {0};
	int rc = 1;

	for (size_t i = 0; i < MAX_TURNS && rc == 1 && (i == 0 || t->turns[i].in_len); i++) {
		const struct turn *turn = &t->turns[i];

		EQUAL(talk.need, turn->in_len, t->what);
		memcpy(in, turn->in, turn->in_len);
		str_cut(&out, 0);
		rc = proxy_next(&talk, &proxy, t->host, 995, in, &out, &err);
		if (rc == 1)
			OK(out.len == turn->out_len &&
			       (out.len == 0 || memcmp(out.s, turn->out, out.len) == 0), "what we say");
	}
	EQUAL(rc, t->kind ? -1 : 0, "how it ends");
	EQUAL(err.kind, t->kind, "its kind");
	if (t->said && !OK(strstr(err.text, t->said), t->said))
		printf("# %s\n", err.text);
	str_free(&out);
}

static void test_codes(void)
{
	static const enum error_kind kinds[] = {
		ERR_NONE, ERR_TEMP, ERR_UNAVAILABLE, ERR_TEMP, ERR_TEMP, ERR_UNAVAILABLE, ERR_TEMP,
		ERR_UNAVAILABLE, ERR_UNAVAILABLE, ERR_UNAVAILABLE,
	};
	char gate[] = "gate", want[32];
	struct proxy proxy = {gate, 1080, NULL, NULL};
	struct str out = {.max = 1000};

	for (unsigned code = 1; code < 256; code++) {
		unsigned char in[PROXY_MAX_IN] = {5, 0};
		struct proxy_talk talk = {0};
		struct error err = {0};

		proxy_next(&talk, &proxy, "host", 110, in, &out, &err);
		proxy_next(&talk, &proxy, "host", 110, in, &out, &err);
		in[1] = (unsigned char)code;
		in[3] = 1;
		OK(proxy_next(&talk, &proxy, "host", 110, in, &out, &err) == -1 &&
		       err.kind == kinds[code < 9 ? code : 9], "a code's kind");
		snprintf(want, sizeof(want), "code %u", code);
		OK(strstr(err.text, want), want);
		str_cut(&out, 0);
	}
	str_free(&out);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++)
		test_url(i);
	test_long();
	for (size_t i = 0; i < sizeof(talks) / sizeof(*talks); i++)
		test_talk(&talks[i]);
	test_codes();
	return tap_end();
}

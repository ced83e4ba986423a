/* SPDX-License-Identifier: MIT */
/*
 * test_url.c - URLs into accounts: the parts, the refusals, and the names made of them.
 */
#include "config.h"

#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "option.h"
#include "tap.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct {
	const char *url, *user, *host, *name;
	unsigned port;
	int tls;
} good[] = {
	{"pop3s://joe@pop.example.org", "joe", "pop.example.org", "joe@pop.example.org", 995,
	 TLS_IMPLICIT},
	{"pop3://joe@pop.example.org", "joe", "pop.example.org", "joe@pop.example.org", 110, TLS_STLS},
	{"POP3S://joe@pop.example.org/", "joe", "pop.example.org", "joe@pop.example.org", 995,
	 TLS_IMPLICIT},
	{"pop3s://joe:@h", "joe", "h", "joe@h", 995, TLS_IMPLICIT},
	{"pop3s://joe@h:", "joe", "h", "joe@h", 995, TLS_IMPLICIT},
	{"pop3s://joe@h:995", "joe", "h", "joe@h", 995, TLS_IMPLICIT},
	{"pop3s://joe@h:1995", "joe", "h", "joe@h+1995", 1995, TLS_IMPLICIT},
	{"pop3://joe@h:01110", "joe", "h", "joe@h+1110", 1110, TLS_STLS},
	{"pop3s://joe@h:65535", "joe", "h", "joe@h+65535", 65535, TLS_IMPLICIT},
	{"pop3s://joe@example.org@h", "joe@example.org", "h", "joe@example.org@h", 995, TLS_IMPLICIT},
	{"pop3s://joe%40example.org@h", "joe@example.org", "h", "joe@example.org@h", 995,
	 TLS_IMPLICIT},
	{"pop3s://a%2fb%3A%3b@h", "a/b:;", "h", "a%2Fb%3A%3B@h", 995, TLS_IMPLICIT},
	{"pop3s://joe%20average@h", "joe average", "h", "joe%20average@h", 995, TLS_IMPLICIT},
	{"pop3s://J%c3%b6%E4@h", "J\303\266\344", "h", "%4A%C3%B6%E4@h", 995, TLS_IMPLICIT},
	{"pop3s://100%25@h", "100%", "h", "100%25@h", 995, TLS_IMPLICIT},
	{"pop3s://Joe@Pop.Example.ORG", "Joe", "Pop.Example.ORG", "%4Aoe@pop.example.org", 995,
	 TLS_IMPLICIT},
	{"pop3s://joe@h%61", "joe", "ha", "joe@ha", 995, TLS_IMPLICIT},
	{"pop3s://joe@127.0.0.1:1110", "joe", "127.0.0.1", "joe@127.0.0.1+1110", 1110, TLS_IMPLICIT},
	{"pop3s://joe@[::1]", "joe", "::1", "joe@%3A%3A1", 995, TLS_IMPLICIT},
	{"pop3://joe@[2001:DB8::1]:1110", "joe", "2001:DB8::1", "joe@2001%3Adb8%3A%3A1+1110", 1110,
	 TLS_STLS},
	{"pop3s://joe@[fe80::1%25eth0]", "joe", "fe80::1%eth0", "joe@fe80%3A%3A1%25eth0", 995,
	 TLS_IMPLICIT},
	{"pop3s://.@h", ".", "h", ".@h", 995, TLS_IMPLICIT},
	{"pop3s://joe@a+1995", "joe", "a+1995", "joe@a%2B1995", 995, TLS_IMPLICIT},
	/* 64 bytes fit, one more does not */
	{"pop3s://aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff12@h",
	 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff12", "h",
	 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff12@h", 995, TLS_IMPLICIT},
	{"pop3s://aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123@h",
	 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123", "h",
	 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeee-", 995, TLS_IMPLICIT},
};

static const struct {
	const char *url, *said;
} bad[] = {
	{"", "neither"},
	{"joe", "neither"},
	{"imap://joe@h", "neither"},
	{"pop3:joe@h", "neither"},
	{"pop3s:/joe@h", "neither"},
	{"pop://joe@h", "neither"},
	{"pop3s://", "host: the value is empty"},
	{"pop3s://joe@", "host: the value is empty"},
	{"pop3s://h", "no user"},
	{"pop3s://@h", "user: the value is empty"},
	{"pop3s://:@h", "user: the value is empty"},
	{"pop3s://joe:sesame@h", "a password here"},
	{"pop3s://joe:se@same@h", "a password here"},
	{"pop3s://:sesame@h", "a password here"},
	{"pop3s://joe;AUTH=PLAIN@h", "-o auth="},
	{"pop3s://joe@h/INBOX", "nothing may follow"},
	{"pop3s://joe@h//", "nothing may follow"},
	{"pop3s://joe@h?x", "nothing may follow"},
	{"pop3s://joe@h#x", "nothing may follow"},
	{"pop3s://joe:se/same@h", "nothing may follow"},
	{"pop3s://joe@h:0", "the port"},
	{"pop3s://joe@h:65536", "the port"},
	{"pop3s://joe@h:x", "the port"},
	{"pop3s://joe@h:+1", "the port"},
	{"pop3s://joe@h:99999999999999999999", "the port"},
	{"pop3s://joe@h:1:2", "the port"},
	{"pop3s://joe@::1", "the port"},
	{"pop3s://joe@[::1", "a ] is missing"},
	{"pop3s://joe@[::1]x", "behind the ]"},
	{"pop3s://joe@[::1]995", "behind the ]"},
	{"pop3s://joe@[]", "no IPv6 address"},
	{"pop3s://joe@[h]", "no IPv6 address"},
	{"pop3s://joe@[127.0.0.1]", "no IPv6 address"},
	{"pop3s://joe@[fe80::1%eth0]", "bad % escape in the host"},
	{"pop3s://joe@h%", "bad % escape in the host"},
	{"pop3s://joe@h%4", "bad % escape in the host"},
	{"pop3s://joe%4@h", "bad % escape in the user"},
	{"pop3s://joe%@h", "bad % escape in the user"},
	{"pop3s://joe%4g@h", "bad % escape in the user"},
	{"pop3s://joe%00@h", "bad % escape in the user"},
	{"pop3s://joe%0d%0aDELE%201@h", "control character"},
	{"pop3s://joe\n@h", "control character"},
	{"pop3s://joe@a%20b", "not a host name"},
	{"pop3s://joe@a%2fb", "not a host name"},
	{"pop3s://joe@a b", "not a host name"},
	{"pop3s://joe@a%5b", "without brackets"},
};

static void test_good(void)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		struct account account;
		struct error err = {0};
		size_t len = strlen(good[i].name);

		account_init(&account, "url");
		if (!OK(url_set(&account, good[i].url, &err) == 0, good[i].url))
			printf("# %s\n", err.text);
		SAME(account.login.user, good[i].user, "user");
		SAME(account.server.host, good[i].host, "host");
		EQUAL(account.server.port, good[i].port, "port");
		EQUAL(account.server.tls, good[i].tls, "tls");
		if (good[i].name[len - 1] != '-')
			SAME(account.name, good[i].name, "name");
		else
			OK(strncmp(account.name, good[i].name, len) == 0 && strlen(account.name) == 64 &&
			   strspn(account.name + len, "0123456789abcdef") == 16, account.name);
		OK(!strchr(account.name, '/') && strlen(account.name) <= 64, "the name is safe");
		account_free(&account);
	}
}

static void test_bad(void)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct account account;
		struct error err = {0};

		account_init(&account, "url");
		OK(url_set(&account, bad[i].url, &err) == -1, bad[i].url);
		EQUAL(err.kind, ERR_USAGE, "its kind");
		if (!OK(strstr(err.text, bad[i].said) && strncmp(err.text, "URL: ", 5) == 0, err.text))
			printf("# want: %s\n", bad[i].said);
		OK(!strstr(err.text, "same"), "no password in the text");
		account_free(&account);
	}
}

static void test_long(void)
{
	struct account one, two;
	struct error err = {0};
	char url[8000];

	account_init(&one, "url");
	account_init(&two, "url");
	snprintf(url, sizeof(url), "pop3s://%0990d@%0250d", 1, 1);
	EQUAL(url_set(&one, url, &err), 0, "a long name");
	snprintf(url, sizeof(url), "pop3s://%0990d@%0250d", 2, 1);
	EQUAL(url_set(&two, url, &err), 0, "another");
	EQUAL(strlen(one.name), 64, "its length");
	OK(strcmp(one.name, two.name) != 0, "two long names differ");
	account_free(&one);
	account_free(&two);

	account_init(&one, "url");
	snprintf(url, sizeof(url), "pop3s://%01025d@h", 1);
	OK(url_set(&one, url, &err) == -1 && strstr(err.text, "too long"), "a user too long");
	account_free(&one);
	account_init(&one, "url");
	snprintf(url, sizeof(url), "pop3s://joe@%0256d", 1);
	OK(url_set(&one, url, &err) == -1 && strstr(err.text, "too long"), "a host too long");
	account_free(&one);
}

/* The defaults give way to the URL, the URL to the command line. */
static void test_origins(void)
{
	struct account defaults, account;
	struct error err = {0};

	account_init(&defaults, "defaults");
	option_set(&defaults, "tls", "off", ORIGIN_DEFAULTS, &err);
	option_set(&defaults, "port", "1110", ORIGIN_DEFAULTS, &err);
	option_set(&defaults, "user", "ann", ORIGIN_DEFAULTS, &err);
	account_copy(&account, &defaults, "url");
	EQUAL(url_set(&account, "pop3://joe@h", &err), 0, "over the defaults");
	EQUAL(account.server.tls, TLS_STLS, "tls = off of the defaults is not for a URL");
	EQUAL(account.server.port, 110, "nor is their port");
	SAME(account.login.user, "joe", "nor their user");
	account_free(&account);

	account_copy(&account, &defaults, "url");
	EQUAL(url_set(&account, "pop3s://h", &err), 0, "without a user");
	SAME(account.name, "ann@h", "theirs is taken");
	account_free(&account);

	account_copy(&account, &defaults, "url");
	option_set(&account, "tls", "off", ORIGIN_COMMAND, &err);
	option_set(&account, "port", "2110", ORIGIN_COMMAND, &err);
	EQUAL(url_set(&account, "pop3://joe@h:3110", &err), 0, "under the command line");
	EQUAL(account.server.tls, TLS_OFF, "tls of the command line");
	EQUAL(account.server.port, 2110, "port of the command line");
	SAME(account.name, "joe@h+2110", "and so the name");
	account_free(&account);
	account_free(&defaults);
}

int main(void)
{
	test_good();
	test_bad();
	test_long();
	test_origins();
	return tap_end();
}

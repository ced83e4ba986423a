/* SPDX-License-Identifier: MIT */
/*
 * fuzz_url.c - accounts by their URL: whatever it is, TLS stays on, no password is taken or
 * repeated, the account's name is a safe file name of its own, and the account's URL is read as it
 * was written.
 *
 * The input: a URL, a line feed, another URL.
 */
#include "config.h"

#include "fuzz.h"

#include "option.h"
#include "url.h"

#define MAX_NAME 64 /* longer ones end in a hash */

static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789._@+-%ABCDEF";

/* The password of a URL that has one is not repeated. */
static void check_error(const char *url, const struct error *err)
{
	const char *at = strrchr(url, '@'), *colon = strstr(url, "://");
	size_t len;

	CHECK(err->kind == ERR_USAGE && is_harmless(err->text));
	colon = colon != NULL ? strchr(colon + 3, ':') : NULL;
	len = colon != NULL && at != NULL && at > colon ? (size_t)(at - colon - 1) : 0;
	if (len > 0 && is_telling(colon + 1, len))
		CHECK(memmem(err->text, strlen(err->text), colon + 1, len) == NULL);
}

static bool read_url(struct account *account, struct input in)
{
	char *url = string(in);
	struct error err = {0};
	bool good;

	account_init(account, "url");
	good = url_set(account, url, &err) == 0;
	if (!good)
		check_error(url, &err);
	free(url);
	return good;
}

static void check_account(const struct account *account)
{
	const struct server *server = &account->server;
	const char *name = account->name;

	CHECK(server->tls == TLS_IMPLICIT || server->tls == TLS_STLS);
	CHECK(server->port >= 1 && server->port <= 65535);
	CHECK(server->host != NULL && server->host[0] != '\0' && is_harmless(server->host));
	CHECK(account->login.user != NULL && account->login.user[0] != '\0');
	CHECK(account->login.password == NULL);
	CHECK(strlen(name) > 0 && strlen(name) <= MAX_NAME);
	CHECK(strspn(name, plain) == strlen(name));
	CHECK(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
}

static void add_escaped(struct str *url, const char *s)
{
	for (; *s != '\0'; s++)
		CHECK(str_printf(url, "%%%02x", (unsigned char)*s) == 0);
}

/* Written out again, with every byte escaped, it is the same account. */
static void check_again(const struct account *account)
{
	const struct server *server = &account->server;
	bool six = strchr(server->host, ':') != NULL;
	struct str url = {.max = 65536};
	struct account again;

	str_puts(&url, server->tls == TLS_IMPLICIT ? "pop3s://" : "pop3://");
	add_escaped(&url, account->login.user);
	str_puts(&url, six ? "@[" : "@");
	add_escaped(&url, server->host);
	str_printf(&url, "%s:%u/", six ? "]" : "", (unsigned)server->port);
	CHECK(read_url(&again, (struct input){url.s, url.len}));
	CHECK(strcmp(again.login.user, account->login.user) == 0);
	CHECK(strcmp(again.server.host, server->host) == 0);
	CHECK(again.server.port == server->port && again.server.tls == server->tls);
	CHECK(strcmp(again.name, account->name) == 0);
	account_free(&again);
	str_free(&url);
}

/* Two mailboxes never share a name, and with it a journal.  995 and 110 are the same server. */
static void check_names(const struct account *a, const struct account *b)
{
	uint64_t p = a->server.port, q = b->server.port;

	if (strcmp(a->name, b->name) != 0 || strlen(a->name) == MAX_NAME)
		return;
	CHECK(strcmp(a->login.user, b->login.user) == 0);
	CHECK(strcasecmp(a->server.host, b->server.host) == 0);
	CHECK(p == q || ((p == 995 || p == 110) && (q == 995 || q == 110)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {(const char *)data, size}, first = take_until(&in, '\n');
	struct account one, other;
	bool good = read_url(&one, first), both = read_url(&other, in) && good;

	if (good) {
		check_account(&one);
		check_again(&one);
	}
	if (both)
		check_names(&one, &other);
	account_free(&one);
	account_free(&other);
	return 0;
}

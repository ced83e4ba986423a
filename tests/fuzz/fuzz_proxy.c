/* SPDX-License-Identifier: MIT */
/*
 * fuzz_proxy.c - a proxy's URL, and any answers of a proxy: no more is asked for than there is
 * room, nothing is said beyond the protocol, no error shows the login, and the talk ends.
 *
 * The input is the URL, a newline, the server's host, a newline, and what the proxy says.
 */
#include "config.h"

#include "fuzz.h"

#include "proxy.h"

static void check_url(const struct proxy *proxy)
{
	CHECK(proxy->host[0] != '\0' && strlen(proxy->host) <= 255);
	CHECK(proxy->port >= 1 && proxy->port <= 65535);
	CHECK(!proxy->user == !proxy->password);
	if (proxy->user != NULL) {
		CHECK(strlen(proxy->user) - 1 < 255);
		CHECK(strlen(proxy->password) - 1 < 255);
	}
}

static void talk(const struct proxy *proxy, const char *host, struct input in)
{
	struct proxy_talk talk = {0};
	struct str out = {.max = 1024};
	struct error err = {0};
	int rc = 1, turns = 0;

	while (rc == 1) {
		char *block = exact(in.p, talk.need < in.len ? talk.need : in.len);

		if (talk.need > in.len) {
			free(block);
			break;
		}
		in.p += talk.need;
		in.len -= talk.need;
		str_cut(&out, out.s != NULL ? 0 : out.len);
		rc = proxy_next(&talk, proxy, host, 995, (unsigned char *)block, &out, &err);
		free(block);
		CHECK(talk.need <= PROXY_MAX_IN && out.len <= 3 + 2 * 255);
		CHECK(++turns <= 5);
	}
	if (rc == -1) {
		CHECK(err.kind != ERR_NONE && err.kind != ERR_AUTH && is_harmless(err.text));
		if (proxy->password != NULL && is_telling(proxy->password, strlen(proxy->password)))
			CHECK(strstr(err.text, proxy->password) == NULL);
	}
	str_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {(const char *)data, size};
	char *url = string(take_until(&in, '\n')), *host = string(take_until(&in, '\n'));
	struct proxy proxy;
	struct error err = {0};

	if (proxy_parse(&proxy, url, &err) == 0) {
		check_url(&proxy);
		talk(&proxy, host, in);
	} else {
		CHECK(err.kind == ERR_CONFIG && is_harmless(err.text));
	}
	proxy_free(&proxy);
	free(url);
	free(host);
	return 0;
}

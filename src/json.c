/* SPDX-License-Identifier: MIT */
/*
 * json.c - one JSON object in a line (RFC 8259).
 *
 * What is written here is printable: whatever printable() of base.c would change leaves as \u
 * escapes, so a line may pass through it unharmed, and a terminal may show it.
 *
 * It cannot fail: what finds no room is cut or left out.  Keys are ours and need no escapes.
 * Called by whoever has facts to tell: look.c, status.c, inspect.c in a worker, report.c.
 */
#include "config.h"

#include "json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define UNKNOWN "\xef\xbf\xbd"
#define DOTS "..."
#define MOST_NAME 200

static size_t room(const struct json *json)
{
	return json->size - json->len;
}

/* All of it or nothing. */
static bool add(struct json *json, const char *text, size_t len)
{
	if (len >= room(json))
		return false;
	memcpy(json->to + json->len, text, len);
	json->len += len;
	return true;
}

/* How a character stands between quotes.  Returns its length. */
static size_t encode(char unit[13], const char *bytes, size_t len, uint32_t c)
{
	char shown[17];

	if (c == '"' || c == '\\')
		return (size_t)snprintf(unit, 13, "\\%c", (int)c);
	if (c == '\n' || c == '\t')
		return (size_t)snprintf(unit, 13, "\\%c", c == '\n' ? 'n' : 't');
	printable(shown, sizeof shown, bytes, len);
	if (strncmp(shown, bytes, len) != 0 || shown[len] != '\0') /* they all are below U+10000 */
		return (size_t)snprintf(unit, 13, "\\u%04x", (unsigned)c);
	memcpy(unit, bytes, len);
	return len;
}

/* Adds ,"KEY": */
static bool add_key(struct json *json, const char *key)
{
	char text[64];
	int n = snprintf(text, sizeof text, ",\"%.50s\":", key);

	return add(json, text, (size_t)n);
}

void json_bytes(struct json *json, const char *key, const char *bytes, size_t len, size_t most)
{
	size_t before = json->len, start, safe;

	if (!add_key(json, key) || !add(json, "\"", 1) || room(json) < sizeof DOTS + 2) {
		json->len = before;
		return;
	}
	start = safe = json->len;
	most = most < room(json) - 2 ? most : room(json) - 2;
	while (len > 0) {
		char unit[13];
		uint32_t c = 0;
		size_t taken = utf8_read(bytes, len, &c), n;

		n = taken > 0 ? encode(unit, bytes, taken, c) : sizeof UNKNOWN - 1;
		if (json->len - start + n > most) {
			json->len = safe;
			add(json, DOTS, sizeof DOTS - 1);
			break;
		}
		add(json, taken > 0 ? unit : UNKNOWN, n);
		if (json->len - start + sizeof DOTS - 1 <= most)
			safe = json->len;
		taken = taken > 0 ? taken : 1;
		bytes += taken;
		len -= taken;
	}
	add(json, "\"", 1);
}

void json_text(struct json *json, const char *key, const char *text)
{
	json_bytes(json, key, text, strlen(text), SIZE_MAX);
}

void json_begin(struct json *json, char *to, size_t size, const char *event, const char *account)
{
	*json = (struct json){.to = to, .size = size - 2};
	json->len = (size_t)snprintf(to, json->size, "{\"v\":%d,\"event\":\"%.40s\"", JSON_VERSION,
	                             event);
	if (account != NULL)
		json_bytes(json, "account", account, strlen(account), MOST_NAME);
}

static void add_plain(struct json *json, const char *key, const char *value)
{
	size_t before = json->len;

	if (!add_key(json, key) || !add(json, value, strlen(value)))
		json->len = before;
}

void json_number(struct json *json, const char *key, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, number);
	add_plain(json, key, text);
}

void json_bool(struct json *json, const char *key, bool value)
{
	add_plain(json, key, value ? "true" : "false");
}

void json_thousandths(struct json *json, const char *key, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRIu64 ".%03u", number / 1000, (unsigned)(number % 1000));
	add_plain(json, key, text);
}

void json_end(struct json *json)
{
	json->to[json->len] = '}';
	json->to[json->len + 1] = '\0';
}

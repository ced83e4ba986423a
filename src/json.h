/* SPDX-License-Identifier: MIT */
/*
 * json.h - one JSON object in a line, for --json: into a buffer that it always fits.
 *
 * {"v":1,"event":"EVENT","key":...}: a text that is too long is cut between characters and ends in
 * "...", a member that finds no room at all is left out, and the object is whole in any case.
 * Pure.
 */
#ifndef JSON_H
#define JSON_H

#include "base.h"

#define JSON_VERSION 1 /* a member gets another meaning or is gone: the next number */

struct json {
	char *to;
	size_t size, len; /* two bytes less than there is room for: those of the end */
};

/* size: 100 at least.  account is cut to 200 bytes; NULL: it is about none. */
void json_begin(struct json *json, char *to, size_t size, const char *event, const char *account);

/* most: bytes of the text as it stands there, quotes aside.  Bytes that are no UTF-8 become U+FFFD;
 * control characters, and those that turn the order of what is read, are escaped. */
void json_bytes(struct json *json, const char *key, const char *bytes, size_t len, size_t most);
void json_text(struct json *json, const char *key, const char *text); /* as long as there is room */
void json_number(struct json *json, const char *key, uint64_t number);
void json_bool(struct json *json, const char *key, bool value);

/* Thousandths, as "1.234". */
void json_thousandths(struct json *json, const char *key, uint64_t number);

void json_end(struct json *json);

#endif

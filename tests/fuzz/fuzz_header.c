/* SPDX-License-Identifier: MIT */
/*
 * fuzz_header.c - a stranger's header made a line for people: within its bounds, whole characters,
 * as wide as it is to be; or a date.
 *
 * The input: the columns (a byte), then a head.
 */
#include "config.h"

#include "fuzz.h"

#include "base.h"
#include "header.h"

static void check_line(const struct str *value, bool person, size_t columns)
{
	struct str text = {.max = 4 * HEADER_MAX}, line = {.max = 8 * HEADER_MAX};
	char shown[1200];
	uint32_t c;

	if (person)
		header_sender(value->s, value->len, &text);
	else
		header_decode(value->s, value->len, &text);
	CHECK(text.len <= text.max);
	printable(shown, sizeof shown, text.s ? text.s : "", text.len);
	header_fit(shown, columns, true, &line);
	CHECK(line.len > 0 || columns == 0);
	CHECK(columns == 0 || header_columns(line.s) == columns);
	for (size_t at = 0, n; at < line.len; at += n) {
		n = utf8_read(line.s + at, line.len - at, &c);
		CHECK(n > 0 && c >= 0x20 && (c < 0x7f || c > 0x9f));
	}
	str_free(&text);
	str_free(&line);
}

static void check_date(const struct str *value)
{
	int64_t when;

	if (value->len > 0 && header_date(value->s, value->len, &when))
		CHECK(when > 315532800 - 2 * 86400 && when < INT64_C(253402300800) + 2 * 86400);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {(const char *)data, size};
	size_t columns = take_byte(&in);
	char *head = exact(in.p, in.len);

	for (int person = 0; person <= 1; person++) {
		struct str value = {.max = HEADER_MAX};

		if (header_field(head, in.len, person ? "From" : "Subject", &value)) {
			CHECK(value.len <= HEADER_MAX && memchr(value.s, '\n', value.len) == NULL);
			check_line(&value, person == 1, columns);
			check_date(&value);
		}
		str_free(&value);
	}
	free(head);
	return 0;
}

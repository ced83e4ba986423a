/* SPDX-License-Identifier: MIT */
/*
 * fuzz_header.c - a stranger's header made a line for people: within its bounds, whole characters.
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
	CHECK(columns == 0 || line.len >= columns / 2);
	for (size_t at = 0, n; at < line.len; at += n) {
		n = utf8_read(line.s + at, line.len - at, &c);
		CHECK(n > 0 && c >= 0x20 && (c < 0x7f || c > 0x9f));
	}
	str_free(&text);
	str_free(&line);
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
		}
		str_free(&value);
	}
	free(head);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * fuzz_printable.c - foreign bytes made fit to be shown: valid UTF-8 without anything that moves
 * the cursor or turns the order, within its room, and not cut without "...".
 *
 * The input: the room (a byte), then the bytes.
 */
#include "config.h"

#include "fuzz.h"

#include "base.h"

/* The character at s by RFC 3629's table; 0 where there is none.  *n: its bytes. */
static uint32_t character(const unsigned char *s, size_t len, size_t *n)
{
	static const struct {
		unsigned char first[2], second[2];
		size_t n;
	} rows[] = {
		{{0x01, 0x7f}, {0, 0xff}, 1},    {{0xc2, 0xdf}, {0x80, 0xbf}, 2},
		{{0xe0, 0xe0}, {0xa0, 0xbf}, 3}, {{0xe1, 0xec}, {0x80, 0xbf}, 3},
		{{0xed, 0xed}, {0x80, 0x9f}, 3}, {{0xee, 0xef}, {0x80, 0xbf}, 3},
		{{0xf0, 0xf0}, {0x90, 0xbf}, 4}, {{0xf1, 0xf3}, {0x80, 0xbf}, 4},
		{{0xf4, 0xf4}, {0x80, 0x8f}, 4},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint32_t c = s[0];

		*n = rows[i].n;
		if (s[0] < rows[i].first[0] || s[0] > rows[i].first[1] || len < *n)
			continue;
		if (*n > 1 && (s[1] < rows[i].second[0] || s[1] > rows[i].second[1]))
			continue;
		c &= *n == 1 ? 0x7f : *n == 2 ? 0x1f : *n == 3 ? 0x0f : 0x07;
		for (size_t k = 1; k < *n; k++) {
			if (s[k] < 0x80 || s[k] > 0xbf)
				return 0;
			c = c * 64 + s[k] % 64;
		}
		return c;
	}
	return 0;
}

/* C0, DEL, C1; the marks, embeddings, overrides and isolates of Unicode's bidirectional algorithm;
 * line and paragraph separator; the byte order mark. */
static bool is_tricky(uint32_t c)
{
	static const uint32_t ranges[][2] = {{0, 0x1f},        {0x7f, 0x9f},     {0x061c, 0x061c},
	                                     {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069},
	                                     {0xfeff, 0xfeff}};

	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (c >= ranges[i][0] && c <= ranges[i][1])
			return true;
	return false;
}

/* What it is in full. */
static char *in_full(const unsigned char *s, size_t len)
{
	char *out = malloc(4 * len + 1), *to = out;
	size_t n;

	CHECK(out != NULL);
	for (size_t at = 0; at < len; at += n) {
		uint32_t c = character(s + at, len - at, &n);
		bool plain = c != 0 && !is_tricky(c);

		n = c == 0 ? 1 : n;
		for (size_t k = 0; k < n; k++)
			if (plain)
				*to++ = (char)s[at + k];
			else
				to += snprintf(to, 5, "\\x%02x", s[at + k]);
	}
	*to = '\0';
	return out;
}

/* No character is cut in two. */
static void check_text(const char *text, size_t len)
{
	size_t n;

	for (size_t at = 0; at < len; at += n)
		CHECK(!is_tricky(character((const unsigned char *)text + at, len - at, &n)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {(const char *)data, size};
	size_t room = take_byte(&in), len, whole;
	char *bytes = exact(in.p, in.len), *to = malloc(room), *want;

	CHECK(printable(to, room, bytes, in.len) == to);
	if (room > 0) {
		want = in_full((const unsigned char *)bytes, in.len);
		whole = strlen(want);
		CHECK(memchr(to, '\0', room) != NULL);
		len = strlen(to);
		check_text(to, len);
		if (whole < room) {
			CHECK(strcmp(to, want) == 0);
		} else if (room > 3) {
			CHECK(len >= 3 && strcmp(to + len - 3, "...") == 0);
			CHECK(strncmp(to, want, len - 3) == 0);
			CHECK(len + 16 >= room); /* no more is lost than has to be */
		} else {
			CHECK(strspn(to, ".") == room - 1);
		}
		free(want);
	}
	free(bytes);
	free(to);
	return 0;
}

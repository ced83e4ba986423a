/* SPDX-License-Identifier: MIT */
/*
 * fuzz_mboxrd.c - quoting for an mbox: what is quoted can be unquoted, no line of it begins with
 * "From ", and no way of cutting the input changes it.
 *
 * The input: two bytes that choose where it is cut, then text.
 */
#include "config.h"

#include "fuzz.h"

#include "reference.h"
#include "wire.h"

/* Quotes in chunks, each into no more room than promised.  Returns the bytes written. */
static size_t quote(struct input in, struct cutter cutter, char *out)
{
	struct wire_mboxrd state = {0};
	size_t n = 0, last, size = in.len, most = WIRE_MBOXRD_ROOM(size);
	char *block = exact(in.p, size), *rooms = malloc(most), *held = malloc(4);

	CHECK(rooms != NULL && held != NULL);
	while (in.len > 0) {
		size_t len = cut(&cutter, in.len), got;
		char *chunk = at_end(block, size, in.p, len);
		char *room = rooms + most - WIRE_MBOXRD_ROOM(len);

		got = wire_mboxrd(&state, chunk, len, room);
		CHECK(got <= WIRE_MBOXRD_ROOM(len));
		memcpy(out + n, room, got);
		n += got;
		in.p += len;
		in.len -= len;
	}
	last = wire_mboxrd_end(&state, held);
	CHECK(last <= 4);
	memcpy(out + n, held, last);
	free(held);
	free(rooms);
	free(block);
	return n + last;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {(const char *)data, size};
	struct cutter cutters[] = {{0}, {.most = 1}, take_cutter(&in)};
	char *want = malloc(2 * in.len + 1), *got = malloc(2 * in.len + 16), *back;
	size_t len, n;

	CHECK(want != NULL && got != NULL);
	len = reference_quote(in.p, in.len, want);
	for (size_t i = 0; i < sizeof cutters / sizeof *cutters; i++) {
		n = quote(in, cutters[i], got);
		CHECK(n == len && memcmp(got, want, len) == 0);
	}
	for (size_t at = 0; at < n; at += reference_line(got + at, n - at))
		CHECK(n - at < 5 || memcmp(got + at, "From ", 5) != 0);
	back = malloc(n + 1);
	CHECK(back != NULL && reference_unquote(got, n, back) == in.len);
	CHECK(in.len == 0 || memcmp(back, in.p, in.len) == 0);
	free(want);
	free(got);
	free(back);
	return 0;
}

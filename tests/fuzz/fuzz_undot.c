/* SPDX-License-Identifier: MIT */
/*
 * fuzz_undot.c - un-dotting: any way of cutting the input gives the same text, and it is the text
 * that the reference gives.
 *
 * The input: two bytes that choose where it is cut, then the bytes of a multi-line reply.
 */
#include "config.h"

#include "fuzz.h"

#include "reference.h"
#include "wire.h"

/* What came out of it. */
struct result {
	char *text;
	size_t len, used;
	bool end;
};

/* Feeds the bytes as conn.c would: what is left of a chunk stands in front of the next. */
static struct result feed(struct input in, struct cutter cutter)
{
	struct result r = {.text = malloc(in.len + 1)};
	struct wire_undot state = {0};
	size_t held = 0; /* bytes at in.p + r.used that were seen and not used */
	char *block = exact(in.p, in.len), *room = exact(in.p, in.len);

	CHECK(r.text != NULL);
	while (!r.end && r.used + held < in.len) {
		size_t len = held + cut(&cutter, in.len - r.used - held), used = SIZE_MAX, n;
		char *chunk = at_end(block, in.len, in.p + r.used, len);
		char *out = room + in.len - len;

		n = wire_undot(&state, chunk, len, out, &used, &r.end);
		CHECK(used <= len && n <= used);
		CHECK(r.end || len - used <= 2);
		memcpy(r.text + r.len, out, n);
		r.len += n;
		r.used += used;
		held = len - used;
	}
	free(block);
	free(room);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {(const char *)data, size};
	struct cutter cutters[] = {{0}, {.most = 1}, take_cutter(&in)};
	struct result want = {.text = malloc(2 * in.len + 1)};

	CHECK(want.text != NULL);
	want.len = reference_undot(in.p, in.len, want.text, &want.used, &want.end);
	for (size_t i = 0; i < sizeof cutters / sizeof *cutters; i++) {
		struct result got = feed(in, cutters[i]);

		CHECK(got.end == want.end);
		CHECK(got.used == want.used);
		CHECK(got.len == want.len && memcmp(got.text, want.text, want.len) == 0);
		free(got.text);
	}
	free(want.text);
	return 0;
}

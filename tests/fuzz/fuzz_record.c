/* SPDX-License-Identifier: MIT */
/*
 * fuzz_record.c - one line of the journal: accepted only with a right sum and in its one form, so
 * that writing what was read gives the same line.
 *
 * The input: a byte, and a line.  With an odd byte the line's sum is made right first; else only a
 * line that has a right sum of its own may be accepted.
 */
#include "config.h"

#include "fuzz.h"

#include "crc.h"
#include "record.h"

static bool is_text(struct wire_span span, size_t most, bool nul)
{
	return span.len <= most && (nul || span.len == 0 || memchr(span.p, '\0', span.len) == NULL);
}

static void check_record(const struct record *r, const char *line, size_t len)
{
	char again[RECORD_MAX];
	size_t n = record_encode(r, again);

	CHECK(n == len + 1 && memcmp(again, line, len) == 0 && again[len] == '\n');
	CHECK(is_text(r->uid, WIRE_MAX_UID, true) && is_text(r->token, 32, false));
	CHECK(is_text(r->kind, 32, false) && is_text(r->run, 32, false));
	CHECK(is_text(r->path, 4096, false) && is_text(r->place, 255, false));
	CHECK(strchr("VPIJGDNSMFBTXOHALZ", r->tag) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {(const char *)data, size};
	bool mend = take_byte(&in) & 1, good;
	char *line = exact(in.p, in.len), *scratch;
	struct record record;

	if (mend)
		crc_mend(line, in.len);
	scratch = exact(line, in.len);
	good = record_decode(scratch, in.len, &record);
	CHECK(!good || crc_is_right(line, in.len));
	if (good)
		check_record(&record, line, in.len);
	free(scratch);
	free(line);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * test_mark.c - messages are known again by their text, however it is cut, and no other is.
 */
#include "config.h"

#include "mark.h"

#include <string.h>

#include "tap.h"

static uint64_t mark_of(const char *text, size_t len, size_t chunk)
{
	struct mark mark = {0};

	for (size_t at = 0; at < len; at += chunk)
		mark_add(&mark, text + at, len - at < chunk ? len - at : chunk);
	return mark_end(&mark);
}

static const struct {
	const char *name, *a, *b;
	bool same;
} rows[] = {
	{"itself", "Subject: a\n\nbody\n", "Subject: a\n\nbody\n", true},
	{"nothing", "", "", true},
	{"another body", "Subject: a\n\nbody\n", "Subject: a\n\nbodz\n", false},
	{"another header", "Subject: a\n\nbody\n", "Subject: b\n\nbody\n", false},
	{"a longer body", "A: b\n\nx", "A: b\n\nxx", false},
	{"a NUL more", "A: b\n\nx", "A: b\n\nx\0", false},
	{"no header", "\nbody\n", "\nbodx\n", false},
	{"Status came", "A: b\n\nx\n", "A: b\nStatus: RO\n\nx\n", true},
	{"Status came first", "A: b\n\nx\n", "status: RO\nA: b\n\nx\n", true},
	{"Status changed", "Status: O\nA: b\n\nx\n", "Status: RO\nA: b\n\nx\n", true},
	{"X-UID, X-UIDL, Lines", "A: b\n\nx\n", "X-UID: 5\nX-UIDL: a b\nA: b\nLines: 5\n\nx\n", true},
	{"a folded one", "A: b\nC: d\n\nx\n", "A: b\nX-Keywords: a\n b\n\tc\nC: d\n\nx\n", true},
	{"folding of one that counts", "A: b\n c\n\nx\n", "A: b\n d\n\nx\n", false},
	{"a name that begins like one", "A: b\n\nx\n", "A: b\nStatuses: RO\n\nx\n", false},
	{"a name that ends like one", "A: b\n\nx\n", "A: b\nMy-Status: RO\n\nx\n", false},
	{"a long name", "A: b\n\nx\n", "A: b\nContent-Length-Of-It: 1\n\nx\n", false},
	{"Status in the body", "A: b\n\nStatus: O\n", "A: b\n\nStatus: RO\n", false},
	{"Status without a colon", "A: b\nStatus\n\nx\n", "A: b\n\nx\n", false},
	{"a header that ends nowhere", "A: b\nSubj", "A: b\nSubk", false},
	{"a line moved over the border", "A: b\n\nC: d\n", "A: b\nC: d\n\n", false},
	{"order", "A: b\nC: d\n\n", "C: d\nA: b\n\n", false},
};

/* A body that is longer than what is mixed at a time, and of NULs, which mix badly. */
static void try_lengths(void)
{
	char text[8 * MARK_BLOCK + 4] = "\n";
	uint64_t marks[sizeof text];
	bool cut = true, length = true, byte = true;

	for (size_t len = 1; len < sizeof text; len++) {
		marks[len] = mark_of(text, len, len);
		for (size_t i = 1; i < len; i++)
			length = length && marks[i] != marks[len];
		for (size_t chunk = 1; chunk < len; chunk++)
			cut = cut && mark_of(text, len, chunk) == marks[len];
		for (size_t i = 1; i < len; i++) {
			text[i] = 1;
			byte = byte && mark_of(text, len, len) != marks[len];
			text[i] = 0;
		}
	}
	OK(cut, "chunks of every size give the same");
	OK(length, "every length another");
	OK(byte, "every byte counts");
}

int main(void)
{
	try_lengths();
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t a = strlen(rows[i].a), b = strlen(rows[i].b);

		b += strcmp(rows[i].name, "a NUL more") == 0;
		EQUAL(mark_of(rows[i].a, a, 1000) == mark_of(rows[i].b, b, 1000), rows[i].same,
		      rows[i].name);
		for (size_t chunk = 1; chunk < b; chunk++)
			if (mark_of(rows[i].b, b, chunk) != mark_of(rows[i].b, b, 1000))
				OK(false, rows[i].name);
		OK(mark_of(rows[i].a, a, 3) != 0 && mark_of(rows[i].a, a, 3) >> 40 == 0, "40 bits, not 0");
	}
	return tap_end();
}

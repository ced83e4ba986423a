/* SPDX-License-Identifier: MIT */
/*
 * test_listing.c - listings as servers send them, and as they should not.
 */
#include "config.h"

#include "listing.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

/* uidl, list: lines, each ended by "|". */
static const struct row {
	const char *name;
	uint32_t count;
	const char *uidl, *list, *want;
	uint32_t bad;
} rows[] = {
	{"empty", 0, "", "", "", 0},
	{"plain", 2, "1 a|2 b|", "1 10|2 20|", "a/10 b/20 ", 0},
	{"any order", 3, "3 c|1 a|2 b|", "2 20|3 30|1 10|", "a/10 b/20 c/30 ", 0},
	{"no UIDL", 2, "", "1 10|2 20|", "-/10 -/20 ", 0},
	{"no LIST", 2, "1 a|2 b|", "", "a/? b/? ", 0},
	{"nothing", 2, "", "", "-/? -/? ", 0},
	{"zero octets are listed", 1, "1 a|", "1 0|", "a/0 ", 0},
	{"one UID twice", 2, "1 a|2 a|", "1 10|2 10|", "a/10 a/10 ", 0},
	{"a number twice: the first counts", 2, "1 a|1 b|2 c|", "1 10|2 20|2 21|", "a/10 c/20 ", 2},
	{"out of range", 2, "0 z|1 a|3 c|2 b|", "0 5|3 30|1 10|2 20|", "a/10 b/20 ", 4},
	{"numbers that are none", 1, "x a|-1 b|1a c|4294967297 d|1 e|", "1 10|1x 2|", "e/10 ", 5},
	{"lines without their second half", 2, "1|2 |2 b|", "1|2 x|2 20|", "-/? b/20 ", 4},
	{"empty lines", 1, "||1 a|", "|1 10|", "a/10 ", 3},
	{"UIDs may hold blanks", 2, "1 a b|2   c  d|", "1 10|2 20|", "a b/10 c  d/20 ", 0},
	{"8-bit UIDs", 1, "1 \xff\xfe|", "1 10|", "\xff\xfe/10 ", 0},
	{"more than STAT said", 1, "1 a|2 b|3 c|", "1 10|2 20|3 30|", "a/10 ", 4},
	{"less than STAT said", 3, "1 a|", "1 10|", "a/10 -/? -/? ", 0},
	{"words behind", 1, "1 a|", "1 10 octets|", "a/10 ", 0},
	{"bad numbers do not overwrite", 1, "1 a|1 |", "1 10|1 99|", "a/10 ", 2},
};

static void feed(struct listing *listing, const char *lines,
                 void (*fold)(struct listing *, const char *, size_t))
{
	for (; *lines != '\0'; lines += strcspn(lines, "|") + 1)
		fold(listing, lines, strcspn(lines, "|"));
}

/* The listing in the manner of the rows. */
static void show(const struct listing *listing, struct str *text)
{
	for (uint32_t num = 1; num <= listing->count; num++) {
		const struct message *message = listing_message(listing, num);
		struct wire_span uid = listing_uid(listing, message);

		if (uid.len > 0)
			str_add(text, uid.p, uid.len);
		else
			str_puts(text, "-");
		if (message->listed)
			str_printf(text, "/%llu ", (unsigned long long)message->octets);
		else
			str_puts(text, "/? ");
	}
}

static void test_row(const struct row *row)
{
	struct str text = {.max = 4096};
	struct listing listing;

	listing_init(&listing, row->count, 12345);
	feed(&listing, row->uidl, listing_uidl);
	feed(&listing, row->list, listing_list);
	show(&listing, &text);
	SAME(text.s != NULL ? text.s : "", row->want, row->name);
	EQUAL(listing.bad, row->bad, "lines passed over");
	EQUAL(listing.octets, 12345, "STAT's octets");
	str_free(&text);
	listing_free(&listing);
}

static void test_edges(void)
{
	struct listing listing = {0};
	static char line[2 * WIRE_MAX_UID];

	listing_free(&listing);
	OK(listing.messages == NULL, "a zeroed listing can be freed");
	listing_init(&listing, WIRE_MAX_COUNT + 1u, 0);
	EQUAL(listing.count, WIRE_MAX_COUNT, "no more than the maximum");
	OK(listing_message(&listing, 0) == NULL, "there is no message 0");
	OK(listing_message(&listing, WIRE_MAX_COUNT) != NULL, "there is the last one");
	OK(listing_message(&listing, WIRE_MAX_COUNT + 1u) == NULL, "and none behind");
	listing_free(&listing);
	listing_free(&listing);
	OK(sizeof(struct message) <= 40, "a message costs what the header says");

	memset(line, 'u', sizeof line);
	memcpy(line, "1 ", 2);
	listing_init(&listing, 1, 0);
	listing_uidl(&listing, line, WIRE_MAX_UID + 3);
	EQUAL(listing.bad, 1, "a UID that is too long");
	listing_uidl(&listing, line, WIRE_MAX_UID + 2);
	EQUAL(listing.messages[0].uid_len, WIRE_MAX_UID, "the longest UID");
	listing_free(&listing);
}

/* Many messages with short UIDs: what they cost, and that offsets hold. */
static void test_many(void)
{
	struct listing listing;
	uint32_t n = 50000, wrong = 0;
	char line[32];

	listing_init(&listing, n, 0);
	for (uint32_t num = n; num >= 1; num--)
		listing_uidl(&listing, line, (size_t)snprintf(line, sizeof line, "%u uid%u", num, num));
	for (uint32_t num = 1; num <= n; num++) {
		struct wire_span uid = listing_uid(&listing, listing_message(&listing, num));
		int len = snprintf(line, sizeof line, "uid%u", num);

		wrong += uid.len != (size_t)len || memcmp(uid.p, line, uid.len) != 0;
	}
	EQUAL(wrong, 0, "each message has its own UID");
	listing_free(&listing);
}

int main(void)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		test_row(&rows[i]);
	test_edges();
	test_many();
	return tap_end();
}

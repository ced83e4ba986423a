/* SPDX-License-Identifier: MIT */
/*
 * test_record.c - the journal's lines: their exact form, and that nothing else is taken for one.
 */
#include "config.h"

#include "record.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define SPAN(text) {"" text, sizeof text - 1}

/* Sums made by another program. */
static const struct {
	const char *name, *line;
	struct record record;
} forms[] = {
	{"header", "44377db8 V 1\n", {.tag = 'V', .num = 1}},
	{"firm header", "d0519767+V 1\n", {.tag = 'V', .num = 1, .firm = true}},
	{"run", "d8d66617 P maildir 0123456789ab /home/joe/My%20Mail\n",
	 {.tag = 'P', .kind = SPAN("maildir"), .run = SPAN("0123456789ab"),
	  .path = SPAN("/home/joe/My Mail")}},
	{"intent", "d4461798 I 0123456789ab0123456789ab a%25%00%0A%FF-b 4096 x:%7Fy\n", {0}},
	{"intent without UID and place", "364054a6 I 0123456789ab0123456789ab - 0 -\n",
	 {.tag = 'I', .token = SPAN("0123456789ab0123456789ab")}},
	{"delivered", "6c323a12 D 0123456789ab0123456789ab 1700000000 7\n",
	 {.tag = 'D', .token = SPAN("0123456789ab0123456789ab"), .since = 1700000000, .num = 7}},
	{"void", "80711abb N 0123456789ab0123456789ab\n",
	 {.tag = 'N', .token = SPAN("0123456789ab0123456789ab")}},
	{"entry", "4717aa1f S 7 %2D 18446744073709551615 1 0\n",
	 {.tag = 'S', .num = 7, .uid = SPAN("-"), .octets = UINT64_MAX, .since = 1}},
	{"missing", "5b6e2c45 M 7 1700000000\n", {.tag = 'M', .num = 7, .missing = 1700000000}},
	{"forgotten", "88fe7dc0 F 4294967294\n", {.tag = 'F', .num = UINT32_MAX - 1}},
	{"refused", "93a8ce9c A 3 1700000000 0123456789abcdef123\n",
	 {.tag = 'A', .num = 3, .since = 1700000000, .token = SPAN("0123456789abcdef123")}},
	{"let in", "243f8db2 A 0 0 -\n", {.tag = 'A'}},
	{"pause", "6051bac9 L 300 1700000000\n", {.tag = 'L', .num = 300, .since = 1700000000}},
	{"intent of a header", "d41ff3a3 J 0123456789ab0123456789ab u 5000 x\n",
	 {.tag = 'J', .token = SPAN("0123456789ab0123456789ab"), .uid = SPAN("u"), .octets = 5000,
	  .place = SPAN("x")}},
	{"too large", "cfdc756e O u 5000 2 77 1700000000\n",
	 {.tag = 'O', .uid = SPAN("u"), .octets = 5000, .num = 2, .since = 77, .missing = 1700000000}},
	{"settled", "b42d663b Z\n", {.tag = 'Z'}},
};

static void test_forms(void)
{
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		char line[RECORD_MAX], copy[RECORD_MAX], again[RECORD_MAX];
		size_t len = strlen(forms[i].line);
		struct record got;

		if (forms[i].record.tag != 0) {
			size_t n = record_encode(&forms[i].record, line);

			line[n] = '\0';
			SAME(line, forms[i].line, forms[i].name);
		}
		memcpy(copy, forms[i].line, len);
		if (!OK(record_decode(copy, len - 1, &got), forms[i].name))
			continue;
		again[record_encode(&got, again)] = '\0';
		SAME(again, forms[i].line, "there and back");
	}
}

/* Bodies behind a right sum which are no records all the same. */
static const char *const wrong[] = {
	"", " ", " X", " V", " V ", " V  1", " V 1 ", " V 1 1", " V 01", " V -1", " V +1", " V 1x",
	" V 4294967295", " V 99999999999999999999", "\tV 1", "-V 1", " v 1", " Z ", " Z 1", " ZZ",
	" F", " F -", " F 18446744073709551616", " N ", " N a b", " N a%", " N a%4", " N a%41",
	" N a%4a", " N a%g0", " N %2d", " N a%2D", " N a%00", " N \x7f", " N \xc3\xa4", " N --",
	" N aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", " S 1 - 1 1", " S 1 a 1 1 1 1", " M 1",
};

static void put_sum(char *line, size_t len)
{
	uint32_t sum = UINT32_MAX;

	for (size_t i = 8; i < len; i++) {
		sum ^= (unsigned char)line[i];
		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? 0x82f63b78u : 0);
	}
	for (int i = 0; i < 8; i++)
		line[i] = "0123456789abcdef"[~sum >> (28 - 4 * i) & 0xf];
}

static void test_wrong(void)
{
	struct record got;
	char line[128];

	memcpy(line + 8, " V 1", 4);
	put_sum(line, 12);
	OK(record_decode(line, 12, &got), "a sum made here is believed");
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		size_t len = 8 + strlen(wrong[i]);

		memcpy(line + 8, wrong[i], len - 8);
		put_sum(line, len);
		if (!OK(!record_decode(line, len, &got), "no record"))
			printf("# '%s'\n", wrong[i]);
	}
}

static void test_limits(void)
{
	static char bytes[5000], line[RECORD_MAX], copy[RECORD_MAX], again[RECORD_MAX];
	struct record r = {.tag = 'S', .uid = {bytes, WIRE_MAX_UID}}, got;
	size_t len = record_encode(&r, line);

	OK(len > 0 && record_decode(line, len - 1, &got), "the longest UID, all NUL");
	EQUAL(got.uid.len, WIRE_MAX_UID, "all of it");
	OK(memcmp(got.uid.p, bytes, WIRE_MAX_UID) == 0, "and the same");
	r.uid.len++;
	EQUAL(record_encode(&r, line), 0, "a longer UID has no form");
	memset(bytes, '\n', sizeof bytes);
	r = (struct record){.tag = 'P', .kind = {bytes, 32}, .run = {bytes, 32}, .path = {bytes, 4096}};
	len = record_encode(&r, line);
	OK(len > 12000 && len < RECORD_MAX, "the longest record fits");
	memcpy(copy, line, len);
	OK(record_decode(copy, len - 1, &got), "and is read");
	OK(record_encode(&got, again) == len && memcmp(again, line, len) == 0, "and is the same again");
	EQUAL(record_encode(&(struct record){.tag = 'Q'}, line), 0, "an unknown tag has no form");
	EQUAL(record_encode(&(struct record){.tag = 'V', .num = 1}, line), RECORD_HEADER, "header");
}

/* Whatever is decoded has one form only; and no single wrong byte is overlooked. */
static void test_mutations(void)
{
	int taken = 0, strange = 0, back = 0;

	srandom(1);
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		size_t len = strlen(forms[i].line) - 1;

		for (size_t at = 0; at < len; at++) {
			for (int x = 1; x < 256; x++) {
				char line[256];
				struct record got;

				memcpy(line, forms[i].line, len);
				line[at] = (char)(line[at] ^ x);
				taken += record_decode(line, len, &got);
			}
		}
	}
	EQUAL(taken, 0, "no changed byte is overlooked");
	for (int i = 0; i < 200000; i++) {
		static const char alphabet[] = " +VPIDNSMFZ-%0123456789ABabcdef\xff";
		char line[64], was[64], again[RECORD_MAX];
		size_t len = 8 + (size_t)random() % 40;
		struct record got;

		for (size_t at = 8; at < len; at++)
			line[at] = alphabet[(size_t)random() % (sizeof alphabet - 1)];
		if (len > 11 && random() % 8 > 0) {
			line[8] = ' ';
			line[9] = "VNMF"[random() % 4];
			line[10] = ' ';
		}
		put_sum(line, len);
		memcpy(was, line, len);
		if (!record_decode(line, len, &got))
			continue;
		back++;
		strange += record_encode(&got, again) != len + 1 || memcmp(again, was, len) != 0;
	}
	OK(back > 100, "chance makes records with a right sum");
	EQUAL(strange, 0, "each of them is written as it was read");
}

int main(void)
{
	test_forms();
	test_wrong();
	test_limits();
	test_mutations();
	return tap_end();
}

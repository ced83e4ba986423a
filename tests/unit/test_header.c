/* SPDX-License-Identifier: MIT */
/*
 * test_header.c - fields are found and unfolded, encoded words become text, dates seconds, columns
 * fit.
 */
#include "config.h"

#include "header.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

/* -- fields ------------------------------------------------------------------------------- */

static const struct {
	const char *name, *head, *want; /* want NULL: there is none */
} fields[] = {
	{"plain", "Subject: a b\n\nx\n", "a b"},
	{"case and blanks", "SUBJECT \t:  a b  \n\n", "a b"},
	{"the first counts", "A: 1\nSubject: a\nSubject: b\n\n", "a"},
	{"folded", "Subject: a\n  b\n\tc\nX: d\n\n", "a b c"},
	{"folded from the start", "Subject:\n a\n\n", "a"},
	{"a tab within", "Subject:\ta\tb\t\n\n", "a b"},
	{"a CR before the LF", "Subject: a\r\n b\r\n\r\n", "a b"},
	{"empty", "Subject:\n\n", ""},
	{"not in the body", "X: y\n\nSubject: a\n", NULL},
	{"not another's end", "My-Subject: a\n\n", NULL},
	{"not a longer one", "Subjects: a\n\n", NULL},
	{"not folded into another", "X: y\n Subject: a\n\n", NULL},
	{"no colon", "Subject\n\n", NULL},
	{"no LF at the end", "Subject: ab", "ab"},
	{"ends after its name", "Subject:", ""},
	{"ends in its name", "Subj", NULL},
	{"nothing", "", NULL},
};

static void test_fields(void)
{
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		struct str value = {.max = HEADER_MAX};
		bool found = header_field(fields[i].head, strlen(fields[i].head), "Subject", &value);

		EQUAL(found, fields[i].want != NULL, fields[i].name);
		if (fields[i].want != NULL)
			SAME(value.s, fields[i].want, fields[i].name);
		str_free(&value);
	}
}

/* What is too long is cut between two characters, and says so; nothing comes behind the cut. */
static void test_long(void)
{
	for (size_t shift = 0; shift < 4; shift++) {
		struct str head = {.max = 3 * HEADER_MAX}, value = {.max = HEADER_MAX};
		struct str text = {.max = 4 * HEADER_MAX};

		str_printf(&head, "Subject: %.*s", (int)shift, "abc");
		while (head.len < 2 * HEADER_MAX)
			str_puts(&head, "\u8a9e");
		str_puts(&head, "\n behind\n\n");
		OK(header_field(head.s, head.len, "Subject", &value), "long: found");
		OK(value.len > HEADER_MAX - 10, "long: what has room is there");
		header_decode(value.s, value.len, &text);
		SAME(text.s, value.s, "long: it is UTF-8 as before");
		SAME(value.s + value.len - 6, "\u8a9e...", "long: its end");
		str_free(&head);
		str_free(&value);
		str_free(&text);
	}
}

/* The same where it is folded: no line is left out while a later one is there. */
static void test_long_folded(void)
{
	struct str head = {.max = 5 * HEADER_MAX}, value = {.max = HEADER_MAX};

	str_puts(&head, "Subject:");
	for (int line = 0; line < 100; line++)
		str_printf(&head, " %0*d\n", line % 2 ? 3 : 100, line);
	str_puts(&head, "\n");
	OK(header_field(head.s, head.len, "Subject", &value), "long and folded: found");
	OK(value.len > HEADER_MAX - 10 && value.len <= HEADER_MAX, "long and folded: it is cut");
	SAME(value.s + value.len - 3, "...", "long and folded: nothing stands behind the cut");
	str_free(&head);
	str_free(&value);
}

/* -- words -------------------------------------------------------------------------------- */

static const struct {
	const char *name, *value, *want;
} words[] = {
	{"none", "plain text", "plain text"},
	{"Q", "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Gr\u00fc\u00dfe"},
	{"Q underscore", "=?UTF-8?q?a_b=5Fc?=", "a b_c"},
	{"B", "=?utf-8?B?R3LDvMOfZQ==?=", "Gr\u00fc\u00dfe"},
	{"B without padding", "=?utf-8?b?R3LDvMOfZQ?=", "Gr\u00fc\u00dfe"},
	{"Latin-1", "=?iso-8859-1?Q?K=F6ln?=", "K\u00f6ln"},
	{"Latin-1 that is Windows-1252", "=?iso-8859-1?Q?=93x=94_=80?=", "\u201cx\u201d \u20ac"},
	{"Windows-1252 without a meaning", "=?windows-1252?Q?=81?=", "\ufffd"},
	{"Latin-2", "=?iso-8859-2?Q?=A3=F3d=BC?=", "\u0141\u00f3d\u017a"},
	{"KOI8-R", "=?koi8-r?B?8NLJ18XU?=", "\u041f\u0440\u0438\u0432\u0435\u0442"},
	{"ISO-2022-JP", "=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=", "\u65e5\u672c"},
	{"Shift_JIS", "=?Shift_JIS?B?k/qWew==?=", "\u65e5\u672c"},
	{"EUC-KR by its Windows name", "=?ks_c_5601-1987?B?x9E=?=", "\ud55c"},
	{"GB2312", "=?gb2312?B?1tDOxA==?=", "\u4e2d\u6587"},
	{"Big5", "=?big5?B?pKSk5Q==?=", "\u4e2d\u6587"},
	{"the last letter of Windows-1255", "=?windows-1255?Q?=F9=EC=E5=ED?=",
	 "\u05e9\u05dc\u05d5\u05dd"},
	{"a language", "=?utf-8*de?Q?=C3=BC?=", "\u00fc"},
	{"blanks between words go", "=?utf-8?Q?a?= \t =?utf-8?Q?b?=", "ab"},
	{"blanks before text stay", "=?utf-8?Q?a?= b", "a b"},
	{"no blanks around it", "x=?utf-8?Q?a?=y", "xay"},
	{"blanks in it", "=?utf-8?Q?a b?=", "a b"},
	{"torn character", "=?utf-8?Q?=C3?= =?utf-8?Q?=BC?=", "\u00fc"},
	{"torn in B", "=?utf-8?B?w7?= =?utf-8?B?w7w=?=", "\ufffd\u00fc"},
	{"two charsets", "=?utf-8?Q?=C3=BC?= =?iso-8859-1?Q?=FC?=", "\u00fc\u00fc"},
	{"broken UTF-8", "=?utf-8?Q?a=FFb?=", "a\ufffdb"},
	{"overlong UTF-8", "=?utf-8?Q?=C0=AF?=", "\ufffd\ufffd"},
	{"an unknown charset", "=?x-none?Q?a=20?= b", "=?x-none?Q?a=20?= b"},
	{"a charset that is not asked for", "=?iso-2022-cn-ext?B?YQ==?=", "=?iso-2022-cn-ext?B?YQ==?="},
	{"a charset with a suffix", "=?utf-8//TRANSLIT?Q?a?=", "=?utf-8//TRANSLIT?Q?a?="},
	{"an empty charset", "=?" "?Q?a?=", "=?" "?Q?a?="},
	{"an unknown encoding", "=?utf-8?X?a?=", "=?utf-8?X?a?="},
	{"unended", "=?utf-8?Q?a", "=?utf-8?Q?a"},
	{"hardly begun", "=?", "=?"},
	{"empty word", "a =?utf-8?Q?" "?= b", "a  b"},
	{"a bad escape stays", "=?utf-8?Q?a=ZZ=4?=", "a=ZZ=4"},
	{"raw UTF-8", "Gr\u00fc\u00dfe", "Gr\u00fc\u00dfe"},
	{"raw Latin-1", "K\xf6ln", "K\u00f6ln"},
	{"a bad sequence for iconv", "=?euc-kr?B?x/8=?=", "\ufffd\ufffd"},

	/* labels that mean more than they say */
	{"gb2312 that is GBK", "=?GB2312?Q?=D6=EC=E9F=BB=F9?=", "\u6731\u9555\u57fa"},
	{"gbk", "=?gbk?Q?=E9F?=", "\u9555"},
	{"shift_jis that is Windows-31J", "=?Shift_JIS?Q?=87=40=FB=FC?=", "\u2460\u9ad9"},
	{"x-sjis", "=?x-sjis?B?k/qWew==?=", "\u65e5\u672c"},
	{"shift-jis", "=?shift-jis?B?k/qWew==?=", "\u65e5\u672c"},
	{"euc-kr that is CP949", "=?euc-kr?Q?=8Cc=B0=A1?=", "\ub620\uac00"},
	{"ks_c_5601-1987 that is CP949", "=?ks_c_5601-1987?Q?=8Cc?=", "\ub620"},
	{"Big5 with Hong Kong's", "=?big5?Q?=FA=40?=", "\U00020547"},
	{"big5-hkscs", "=?big5-hkscs?Q?=FA=40?=", "\U00020547"},
	{"iso-8859-9 that is Windows-1254", "=?iso-8859-9?Q?=D0=80?=", "\u011e\u20ac"},
	{"Hebrew in the order of reading", "=?iso-8859-8-i?B?+ezl7Q==?=", "\u05e9\u05dc\u05d5\u05dd"},
	{"Thai that is Windows-874", "=?tis-620?Q?=A1=80?=", "\u0e01\u20ac"},
	{"windows-874", "=?windows-874?Q?=A1?=", "\u0e01"},
	{"iso-8859-11", "=?iso-8859-11?Q?=A1?=", "\u0e01"},
	{"cp1251", "=?cp1251?Q?=CF=F0=E8?=", "\u041f\u0440\u0438"},
	{"ISO_8859-1", "=?ISO_8859-1?Q?=FC?=", "\u00fc"},
	{"iso8859-15", "=?iso8859-15?Q?=A4?=", "\u20ac"},
	{"us-ascii that is Windows-1252", "=?us-ascii?Q?=93x=94?=", "\u201cx\u201d"},
	{"us-ascii that is UTF-8", "=?us-ascii?Q?=C3=BC?=", "\u00fc"},
	{"ansi_x3.4-1968", "=?ansi_x3.4-1968?Q?a?=", "a"},
	{"unknown-8bit", "=?unknown-8bit?Q?K=F6ln?= =?unknown-8bit?B?w7w=?=", "K\u00f6ln\u00c3\u00bc"},
	{"not the beginning of one", "=?iso-8859?Q?a?=", "=?iso-8859?Q?a?="},
	{"not one and more", "=?utf-88?Q?a?=", "=?utf-88?Q?a?="},
	{"not two", "=?koi8-r koi8-u?Q?a?=", "=?koi8-r koi8-u?Q?a?="},
	{"nothing but a dash", "=?-?Q?a?=", "=?-?Q?a?="},
};

static const struct {
	const char *name, *value, *want;
} senders[] = {
	{"a name", "Anna B <a@b>", "Anna B"},
	{"quoted", "\"B, Anna \\\"x\\\"\" <a@b>", "B, Anna \"x\""},
	{"an angle in quotes", "\"a < b\" <a@b>", "a < b"},
	{"encoded", "=?utf-8?Q?J=C3=BCrgen?= <j@b>", "J\u00fcrgen"},
	{"encoded within quotes", "\"=?utf-8?Q?J=C3=BCrgen?=\" <j@b>", "J\u00fcrgen"},
	{"no name", "<a@b>", "a@b"},
	{"an empty name", "\"\" <a@b>", "a@b"},
	{"an address", "a@b", "a@b"},
	{"the old form", "a@b (Anna B)", "Anna B"},
	{"an empty comment", "a@b ()", "a@b ()"},
	{"several", "Anna <a@b>, Bob <c@d>", "Anna"},
	{"unended quotes", "\"Anna <a@b>", "Anna <a@b>"},
	{"unended angle", "<a@b", "a@b"},
	{"a backslash at the end", "\"a\\", "a\\"},
	{"an empty angle", "<>", "<>"},
};

static void test_words(void)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		struct str text = {.max = HEADER_MAX};

		header_decode(words[i].value, strlen(words[i].value), &text);
		SAME(text.s, words[i].want, words[i].name);
		str_free(&text);
	}
	for (size_t i = 0; i < sizeof senders / sizeof *senders; i++) {
		struct str text = {.max = HEADER_MAX};

		header_sender(senders[i].value, strlen(senders[i].value), &text);
		SAME(text.s, senders[i].want, senders[i].name);
		str_free(&text);
	}
}

/* -- dates -------------------------------------------------------------------------------- */

static const struct {
	const char *value;
	int64_t want; /* 0: it is none */
} dates[] = {
	{"Fri, 21 Nov 1997 09:55:06 -0600", 880127706},
	{"21 Nov 1997 09:55:06 -0600", 880127706},
	{"21 Nov 97 09:55:06 GMT", 880106106},
	{"21 Nov 97 09:55 GMT", 880106100},
	{"Fri,21  Nov 1997 09:55:06 -0600 (CST)", 880127706},
	{"FRI, 21 NOV 1997 09:55:06 cst", 880127706},
	{"Thu, 1 Jan 2004 00:00:00 +0530", 1072895400},
	{"Thu, 29 Feb 2024 23:59:60 +0000", 1709251200},
	{"1 Jan 04 00:00:00 UT", 1072915200},
	{"1 Jan 104 00:00:00 Z", 1072915200},
	{"1 Jan 2004 00:00:00 EDT", 1072929600},
	{"1 Jan 2004 00:00:00 EST", 1072933200},
	{"1 Jan 2004 00:00:00 CDT", 1072933200},
	{"1 Jan 2004 00:00:00 MDT", 1072936800},
	{"1 Jan 2004 00:00:00 MST", 1072940400},
	{"1 Jan 2004 00:00:00 PDT", 1072940400},
	{"1 Jan 2004 00:00:00 PST", 1072944000},
	{"1 Jan 2004 00:00:00 X", 1072915200},
	{"1 Jan 2004 00:00:00 +9999", 1072915200},
	{"1 Jan 2004 00:00:00", 1072915200},
	{"1 Jan 2004", 0},
	{"1 Jan 2004 24:00:00 +0000", 0},
	{"1 Jan 2004 00:60:00 +0000", 0},
	{"1 Jan 2004 00:00: +0000", 0},
	{"1 Jan 2004 00:00:62 +0000", 0},
	{"1 Jan 2004 00:00.5 +0000", 0},
	{"32 Jan 2004 00:00:00 +0000", 0},
	{"0 Jan 2004 00:00:00 +0000", 0},
	{"1 Foo 2004 00:00:00 +0000", 0},
	{"1 Jan 1970 00:00:00 +0000", 0},
	{"1 Jan 1904 00:00:00 +0000", 0},
	{"Jan 1 2004 00:00:00", 0},
	{"2004-01-01 00:00:00", 0},
	{"yesterday", 0},
	{"1", 0},
	{"", 0},
};

static void test_dates(void)
{
	for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
		int64_t when = 0;
		bool read = header_date(dates[i].value, strlen(dates[i].value), &when);

		EQUAL(read ? when : 0, dates[i].want, dates[i].value);
	}
}

/* -- columns ------------------------------------------------------------------------------ */

static const struct {
	const char *name, *text;
	size_t columns;
	bool fill;
	const char *want;
} fits[] = {
	{"it fits", "abc", 5, false, "abc"},
	{"filled", "abc", 5, true, "abc  "},
	{"exactly", "abcde", 5, true, "abcde"},
	{"cut", "abcdef", 5, true, "ab..."},
	{"a wide one", "\u65e5\u672c\u8a9e", 6, true, "\u65e5\u672c\u8a9e"},
	{"a wide one is not halved", "\u65e5\u672c\u8a9e", 5, true, "\u65e5..."},
	{"... and the gap is filled", "\u65e5\u672c\u8a9e\u672c", 6, true, "\u65e5... "},
	{"combining", "e\u0301e", 2, true, "e\u0301e"},
	{"Hangul of a Mac", "\u1112\u1161\u11ab\u1100\u116e\u11a8", 4, true,
	 "\u1112\u1161\u11ab\u1100\u116e\u11a8"},
	{"kana of a Mac", "\u304b\u3099", 3, true, "\u304b\u3099 "},
	{"Thai", "\u0e20\u0e31\u0e17\u0e23\u0e32", 4, true, "\u0e20\u0e31\u0e17\u0e23\u0e32"},
	{"Devanagari", "\u0928\u092e\u0938\u094d\u0924\u0947", 5, true,
	 "\u0928\u092e\u0938\u094d\u0924\u0947 "},
	{"emoji of old", "\u2705\u2b50\u2757\u26a1", 6, true, "\u2705... "},
	{"a heart is narrow", "\u2764x", 2, true, "\u2764x"},
	{"and wide as an emoji", "\u2764\ufe0fx", 3, true, "\u2764\ufe0fx"},
	{"or does not fit", "\u2764\ufe0f\u2764\ufe0f", 3, true, "..."},
	{"what is wide already gets no wider", "\u2b50\ufe0fx", 3, true, "\u2b50\ufe0fx"},
	{"a flag, at most", "\U0001f1e9\U0001f1ea", 5, true, "\U0001f1e9\U0001f1ea "},
	{"a family, at most", "\U0001f468\u200d\U0001f469\u200d\U0001f467", 5, true,
	 "\U0001f468..."},
	{"an emoji that came later", "\U0001faff", 3, true, "\U0001faff "},
	{"two columns", "abcdef", 2, true, ".."},
	{"none", "abc", 0, true, ""},
	{"nothing", "", 2, true, "  "},
};

static void test_columns(void)
{
	for (size_t i = 0; i < sizeof fits / sizeof *fits; i++) {
		struct str line = {.max = 100};

		header_fit(fits[i].text, fits[i].columns, fits[i].fill, &line);
		SAME(line.s ? line.s : "", fits[i].want, fits[i].name);
		str_free(&line);
	}
}

/* Where the C library has no table of Unicode (none can be opened), columns may be too wide, but no
 * line is: what fits by our guess fits. */
static void test_guess(void)
{
	enum { END = 0x110000 };
	unsigned char *guessed = mmap(NULL, END, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	                              -1, 0);
	size_t narrow = 0;
	int status = -1;
	pid_t pid;

	if (guessed == MAP_FAILED || (pid = fork()) == -1) {
		OK(false, "a child that can open nothing");
		return;
	}
	for (uint32_t c = 0x80; c < END; c++) {
		char text[] = {(char)(0xf0 | c >> 18), (char)(0x80 | (c >> 12 & 0x3f)),
		               (char)(0x80 | (c >> 6 & 0x3f)), (char)(0x80 | (c & 0x3f)), '\0'};
		size_t columns;

		if (pid == 0 && c == 0x80)
			setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, 0});
		if (pid != 0 && c == 0x80)
			waitpid(pid, &status, 0);
		if (c < 0x800)
			text[2] = (char)(0xc0 | c >> 6);
		else if (c < 0x10000)
			text[1] = (char)(0xe0 | c >> 12);
		columns = header_columns(text + (c < 0x800 ? 2 : c < 0x10000 ? 1 : 0));
		if (pid == 0)
			guessed[c] = (unsigned char)columns;
		else if (guessed[c] < columns && narrow++ == 0)
			printf("# U+%04X: %d, and not %d\n", (unsigned)c, (int)columns, guessed[c]);
	}
	if (pid == 0)
		_exit(0);
	EQUAL(status, 0, "a child that can open nothing");
	EQUAL(narrow, 0, "a guess is never narrower than the table");
	OK(guessed[0x65e5] == 2 && guessed[0xe9] == 1 && guessed[0x301] == 0, "nor is it always wide");
	munmap(guessed, END);
}

/* Whatever does not fit is left out. */
static void test_bounds(void)
{
	struct str value = {.max = HEADER_MAX}, text = {.max = HEADER_MAX};
	char *head = xmalloc(200000);

	memset(head, 0xfc, 200000);
	memcpy(head, "Subject: ", 9);
	OK(header_field(head, 200000, "Subject", &value), "a very long field is one");
	OK(value.len > 1000 && value.len <= HEADER_MAX, "it is cut");
	header_decode(head, 200000, &text);
	OK(text.len > 1000 && text.len <= HEADER_MAX, "so is what it says");
	str_cut(&text, 0);
	memcpy(head, "=?koi8-r?Q?", 11);
	memcpy(head + 1000, "?=", 2);
	header_decode(head, 1002, &text);
	EQUAL(text.len, 2 * (1000 - 11), "a long word is whole");
	free(head);
	str_free(&value);
	str_free(&text);
}

int main(void)
{
	test_guess(); /* first: before the table is there */
	test_fields();
	test_long();
	test_long_folded();
	test_words();
	test_dates();
	test_columns();
	test_bounds();
	return tap_end();
}

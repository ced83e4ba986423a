/* SPDX-License-Identifier: MIT */
/*
 * test_json.c - every object is whole, whatever is put into it and however little room it has.
 */
#include "config.h"

#include "json.h"

#include "tap.h"

static const struct {
	const char *name, *bytes;
	size_t len, most;
	const char *want; /* between the quotes */
} texts[] = {
	{"plain", "abc", 3, 100, "abc"},
	{"nothing", "", 0, 100, ""},
	{"quotes and backslashes", "a\"b\\c/", 6, 100, "a\\\"b\\\\c/"},
	{"line ends", "a\nb\tc\rd", 7, 100, "a\\nb\\tc\\u000dd"},
	{"NUL", "a\0b", 3, 100, "a\\u0000b"},
	{"escape sequences", "\x1b[2J\x7f", 5, 100, "\\u001b[2J\\u007f"},
	{"C1", "\xc2\x9b", 2, 100, "\\u009b"},
	{"turning the order", "\xe2\x80\xae!", 4, 100, "\\u202e!"},
	{"UTF-8", "\xc3\xa4\xe6\x97\xa5\xf0\x9f\x8e\x89", 9, 100,
	 "\xc3\xa4\xe6\x97\xa5\xf0\x9f\x8e\x89"},
	{"no UTF-8", "a\xff\xc3", 3, 100, "a\xef\xbf\xbd\xef\xbf\xbd"},
	{"too long a form", "\xc0\xaf", 2, 100, "\xef\xbf\xbd\xef\xbf\xbd"},
	{"half a pair", "\xed\xa0\x80", 3, 100, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	{"as long as may be", "abcdef", 6, 6, "abcdef"},
	{"longer", "abcdefg", 7, 6, "abc..."},
	{"cut between characters", "ab\xc3\xa4\xc3\xa4\xc3\xa4", 8, 6, "ab..."},
	{"cut before an escape", "abc\x1b\x1b", 5, 8, "abc..."},
	{"nothing but dots", "\x1b\x1b", 2, 5, "..."},
};

static void test_texts(void)
{
	for (size_t n = 0; n < sizeof texts / sizeof *texts; n++) {
		char text[300], want[300];
		struct json json;

		json_begin(&json, text, sizeof text, "e", NULL);
		json_bytes(&json, "k", texts[n].bytes, texts[n].len, texts[n].most);
		json_end(&json);
		snprintf(want, sizeof want, "{\"v\":1,\"event\":\"e\",\"k\":\"%s\"}", texts[n].want);
		SAME(text, want, texts[n].name);
	}
}

static void test_others(void)
{
	char text[300];
	struct json json;

	json_begin(&json, text, sizeof text, "e", "work");
	json_number(&json, "n", UINT64_MAX);
	json_bool(&json, "t", true);
	json_bool(&json, "f", false);
	json_thousandths(&json, "s", 12034);
	json_end(&json);
	SAME(text, "{\"v\":1,\"event\":\"e\",\"account\":\"work\",\"n\":18446744073709551615,"
	     "\"t\":true,\"f\":false,\"s\":12.034}", "numbers and truths");
}

/* Whole: one brace opens, one closes, quotes are even; and nothing is written beyond. */
static bool is_whole(const char *text)
{
	size_t quotes = 0, len = strlen(text);

	for (const char *p = text; *p; p++) {
		if (*p == '\\' && p[1])
			p++;
		else if (*p == '"')
			quotes++;
	}
	return text[0] == '{' && text[len - 1] == '}' && quotes % 2 == 0 && text[len - 2] != ',' &&
	       text[len - 2] != ':';
}

static void test_room(void)
{
	bool whole = true, inside = true;

	for (size_t size = 100; size < 400; size++) {
		char text[500];
		struct json json;

		memset(text, '#', sizeof text);
		json_begin(&json, text, size, "message", NULL);
		json_text(&json, "uid", "\x1b\x1b\"\"\\\\ \xc3\xa4\xc3\xa4\xff\xff");
		json_number(&json, "size", 1234567);
		json_text(&json, "from", "Somebody with a long name <somebody@long.example.org>");
		json_bool(&json, "seen", true);
		json_text(&json, "subject", "words and words and words and words and words and words "
		          "\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5 and even more words");
		json_thousandths(&json, "seconds", size);
		json_end(&json);
		whole = whole && is_whole(text);
		for (size_t at = size; at < sizeof text; at++)
			inside = inside && text[at] == '#';
	}
	OK(whole, "in any room an object is whole");
	OK(inside, "and keeps to it");
}

int main(void)
{
	test_texts();
	test_others();
	test_room();
	return tap_end();
}

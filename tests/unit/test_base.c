/* SPDX-License-Identifier: MIT */
/* test_base.c - errors, bounded strings, numbers, what is fit to be shown, notes. */
#include "config.h"

#include "base.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static void test_errors(void)
{
	struct error err = {0};
	char fill[600];

	EQUAL(error_set(&err, ERR_AUTH, "login of %s", "joe"), -1, "error_set returns -1");
	SAME(err.text, "login of joe", "error_set formats");
	EQUAL(err.kind, ERR_AUTH, "error_set sets the kind");
	EQUAL(error_wrap(&err, "account %d", 7), -1, "error_wrap returns -1");
	SAME(err.text, "account 7: login of joe", "error_wrap puts the place in front");
	EQUAL(err.kind, ERR_AUTH, "error_wrap keeps the kind");

	err.one_message = true;
	errno = ENOSPC;
	EQUAL(error_sys(&err, ERR_IO, "write %s", "x"), -1, "error_sys returns -1");
	SAME(err.text, "write x: No space left on device", "error_sys adds the system's words");
	EQUAL(err.sys, ENOSPC, "error_sys keeps errno in the error");
	EQUAL(errno, ENOSPC, "error_sys leaves errno alone");
	OK(!err.one_message, "a fresh error concerns no single message");

	error_set(&err, ERR_BUG, "again: %s", err.text);
	SAME(err.text, "again: write x: No space left on device", "an error may quote itself");
	EQUAL(err.sys, 0, "error_set forgets the old errno");
	errno = EIO;
	error_sys(&err, ERR_BUG, "%s", err.text);
	SAME(err.text, "again: write x: No space left on device: Input/output error",
	     "error_sys may quote itself");

	err = (struct error){0};
	error_wrap(&err, "bare");
	SAME(err.text, "bare", "wrapping nothing adds no colon");

	memset(fill, 'p', sizeof(fill));
	fill[sizeof(fill) - 1] = '\0';
	error_set(&err, ERR_IO, "the cause");
	error_wrap(&err, "%s", fill);
	EQUAL(strlen(err.text), sizeof(err.text) - 1, "a long place fills the text");
	SAME(err.text + strlen(err.text) - 12, "p: the cause", "and leaves the cause whole");

	error_set(&err, ERR_IO, "%s", fill);
	EQUAL(strlen(err.text), sizeof(err.text) - 1, "error_set cuts");
	error_wrap(&err, "short place");
	OK(strncmp(err.text, "short place: pppp", 17) == 0, "a short place stays before a long cause");
	EQUAL(strlen(err.text), sizeof(err.text) - 1, "which is cut");
	memset(fill, 'q', 300);
	error_wrap(&err, "%s", fill);
	OK(strchr(err.text, ':') == err.text + 127, "two long ones: the place keeps a quarter");
}

static void test_kinds(void)
{
	static const struct {
		enum error_kind kind;
		int code;
	} codes[] = {
		{ERR_NONE, 0},   {ERR_USAGE, 64},       {ERR_NOHOST, 68},   {ERR_UNAVAILABLE, 69},
		{ERR_BUG, 70},   {ERR_CANTCREATE, 73},  {ERR_IO, 74},       {ERR_TEMP, 75},
		{ERR_STOP, 75},  {ERR_PROTOCOL, 76},    {ERR_AUTH, 77},     {ERR_CONFIG, 78},
		{ERR_KINDS, 70},
	};
	static const struct {
		int sys;
		enum error_kind kind;
	} kinds[] = {
		{ENOSPC, ERR_IO},         {EDQUOT, ERR_IO},         {EIO, ERR_IO},
		{EFBIG, ERR_IO},          {EPIPE, ERR_IO},          {EACCES, ERR_CANTCREATE},
		{EROFS, ERR_CANTCREATE},  {ENOENT, ERR_CANTCREATE}, {ENOTDIR, ERR_CANTCREATE},
		{EEXIST, ERR_CANTCREATE}, {EPERM, ERR_CANTCREATE},  {ENOMEM, ERR_TEMP},
		{EMFILE, ERR_TEMP},       {ENFILE, ERR_TEMP},       {EAGAIN, ERR_TEMP},
	};

	for (size_t i = 0; i < LEN(codes); i++)
		EQUAL(error_exit_code(codes[i].kind), codes[i].code, "exit code of a kind");
	for (size_t i = 0; i < LEN(kinds); i++)
		EQUAL(error_kind_of(kinds[i].sys), kinds[i].kind, strerror(kinds[i].sys));
	for (int kind = 0; kind < ERR_KINDS; kind++)
		EQUAL(error_is_transient(kind), kind == ERR_TEMP, "only ERR_TEMP is transient");
}

/* What a dying child says on standard error. */
static void test_out_of_memory(void)
{
	char said[64] = "";
	int ends[2], status = 0;
	ssize_t n;
	pid_t pid;

	if (!OK(pipe(ends) == 0, "pipe"))
		return;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], 2);
		(void)xmemdup0("", SIZE_MAX);
		_exit(1);
	}
	close(ends[1]);
	n = read(ends[0], said, sizeof(said) - 1);
	close(ends[0]);
	waitpid(pid, &status, 0);
	said[n > 0 ? n : 0] = '\0';
	SAME(said, "mailhaul: out of memory\n", "no memory: one line");
	OK(WIFEXITED(status) && WEXITSTATUS(status) == 75, "no memory: status 75");
}

static void test_memory(void)
{
	char *p = xmemdup0("a\0b", 3), *q = xstrdup("joe"), *z = xmalloc(0);
	int *n = xcalloc(3, sizeof(*n));

	OK(memcmp(p, "a\0b", 4) == 0, "xmemdup0 copies NULs and ends with one");
	SAME(q, "joe", "xstrdup");
	OK(z != NULL, "xmalloc(0) is no NULL");
	EQUAL(n[0] + n[1] + n[2], 0, "xcalloc zeroes");
	z = xrealloc(z, 10);
	OK(z != NULL, "xrealloc");
	secret_free(&q);
	OK(q == NULL, "secret_free sets NULL");
	secret_free(&q);
	free(p);
	p = xmemdup0(NULL, 0);
	SAME(p, "", "xmemdup0 of nothing");
	free(p);
	free(n);
	free(z);
}

static void test_str(void)
{
	struct str s = {.max = 10}, big = {.max = 100000}, none = {0};
	char byte = 'x';

	OK(s.s == NULL, "a fresh str has no string");
	EQUAL(str_puts(&s, ""), 0, "nothing can be added");
	SAME(s.s, "", "and is a string then");
	EQUAL(str_add(&s, "ab\0cd", 5), 0, "bytes with NUL");
	EQUAL(s.len, 5, "are counted");
	EQUAL(str_add(&s, "123456", 6), -1, "one too many is refused");
	OK(s.len == 5 && memcmp(s.s, "ab\0cd", 6) == 0, "and nothing changed");
	EQUAL(str_printf(&s, "%s", "123456"), -1, "printf: one too many is refused");
	OK(s.len == 5 && memcmp(s.s, "ab\0cd", 6) == 0, "printf: nothing changed");
	EQUAL(str_printf(&s, "%05d", 42), 0, "printf fills up to the maximum");
	OK(s.len == 10 && memcmp(s.s, "ab\0cd00042", 11) == 0, "exactly");
	EQUAL(str_add(&s, NULL, 0), 0, "nothing fits a full one");
	EQUAL(str_add(&s, "x", 1), -1, "a byte does not");
	OK(s.cap <= 11, "room was never taken beyond the maximum");
	str_cut(&s, 20);
	EQUAL(s.len, 10, "str_cut does not lengthen");
	str_cut(&s, 2);
	SAME(s.s, "ab", "str_cut shortens");
	str_wipe(&s);
	OK(s.s == NULL && s.len == 0 && s.max == 10, "str_wipe empties, max stays");
	EQUAL(str_puts(&s, "again"), 0, "and it can be used again");
	str_free(&s);
	str_free(&s);
	str_cut(&s, 0);
	OK(s.s == NULL && s.cap == 0, "str_free twice, str_cut of an empty one");

	for (int i = 0; i < 100000; i++)
		str_add(&big, &byte, 1);
	EQUAL(big.len, 100000, "grows byte by byte");
	EQUAL(strspn(big.s, "x"), 100000, "and keeps what it has");
	EQUAL(str_add(&big, &byte, 1), -1, "up to its maximum");
	str_wipe(&big);

	EQUAL(str_puts(&none, ""), 0, "a zeroed str takes nothing");
	EQUAL(str_puts(&none, "x"), -1, "and no more than that");
	str_free(&none);
	none.max = SIZE_MAX;
	EQUAL(str_add(&none, "x", SIZE_MAX), -1, "an absurd length is refused");
	EQUAL(str_puts(&none, "x"), 0, "an absurd maximum is none");
	str_free(&none);
}

static void test_text_copy(void)
{
	char to[4] = "zzz";

	text_copy(to, sizeof(to), "ab");
	SAME(to, "ab", "text_copy: shorter");
	text_copy(to, sizeof(to), "abcdef");
	SAME(to, "abc", "text_copy: cut");
	text_copy(to, 1, "abcdef");
	SAME(to, "", "text_copy: no room");
	text_copy(to, 0, "abcdef");
	SAME(to, "", "text_copy: size 0 touches nothing");
}

static void test_numbers(void)
{
	static const struct {
		const char *s;
		size_t len;
		uint64_t max;
		bool good;
		uint64_t value;
	} cases[] = {
		{"0", 1, 0, true, 0},
		{"1", 1, 0, false, 0},
		{"7x", 1, 9, true, 7}, /* the length decides, not the end */
		{"007", 3, 7, true, 7},
		{"8", 1, 7, false, 0},
		{"65535", 5, 65535, true, 65535},
		{"65536", 5, 65535, false, 0},
		{"18446744073709551615", 20, UINT64_MAX, true, UINT64_MAX},
		{"18446744073709551616", 20, UINT64_MAX, false, 0},
		{"18446744073709551620", 20, UINT64_MAX, false, 0},
		{"99999999999999999999999", 23, UINT64_MAX, false, 0},
		{"", 0, 9, false, 0},
		{"+1", 2, 9, false, 0},
		{"-1", 2, 9, false, 0},
		{" 1", 2, 9, false, 0},
		{"1 ", 2, 9, false, 0},
		{"1\0", 2, 99, false, 0},
		{"0x1", 3, 99, false, 0},
		{"1/", 2, 99, false, 0},
		{"1:", 2, 99, false, 0},
		{"\xff", 1, UINT64_MAX, false, 0},
	};

	for (size_t i = 0; i < LEN(cases); i++) {
		uint64_t value = 4711;
		bool good = number_parse(cases[i].s, cases[i].len, cases[i].max, &value);

		OK(good == cases[i].good && value == (good ? cases[i].value : 4711), cases[i].s);
	}
}

static void test_number_put(void)
{
	static const uint64_t numbers[] = {0, 9, 10, 4294967295, UINT64_MAX};

	for (size_t i = 0; i < LEN(numbers); i++) {
		char got[NUMBER_DIGITS + 1], want[NUMBER_DIGITS + 1];

		*number_put(got, numbers[i]) = '\0';
		snprintf(want, sizeof want, "%ju", (uintmax_t)numbers[i]);
		SAME(got, want, "the number as printf has it");
	}
}

static void test_printable(void)
{
	static const struct {
		const char *what, *bytes;
		size_t len, size;
		const char *want;
	} cases[] = {
		{"ASCII", "a~ \\x", 5, 64, "a~ \\x"},
		{"nothing", "", 0, 64, ""},
		{"controls", "\a\n\t\x1b[m\x7f", 7, 64, "\\x07\\x0a\\x09\\x1b[m\\x7f"},
		{"NUL", "a\0b", 3, 64, "a\\x00b"},
		{"UTF-8 of 2, 3 and 4 bytes", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x93\xac", 9, 64,
	     "\xc3\xa4\xe2\x82\xac\xf0\x9f\x93\xac"},
		{"the last character", "\xf4\x8f\xbf\xbf", 4, 64, "\xf4\x8f\xbf\xbf"},
		{"beyond the last character", "\xf4\x90\x80\x80", 4, 64, "\\xf4\\x90\\x80\\x80"},
		{"no such first byte", "\xf5\x80\x80\x80", 4, 64, "\\xf5\\x80\\x80\\x80"},
		{"nor such", "\xf8\x90\x80\x80\xfc\x90\x80\x80", 8, 64,
	     "\\xf8\\x90\\x80\\x80\\xfc\\x90\\x80\\x80"},
		{"0xff", "\xff", 1, 64, "\\xff"},
		{"overlong 2", "\xc0\xaf\xc1\xbf", 4, 64, "\\xc0\\xaf\\xc1\\xbf"},
		{"overlong 3", "\xe0\x9f\xbf", 3, 64, "\\xe0\\x9f\\xbf"},
		{"overlong 4", "\xf0\x8f\xbf\xbf", 4, 64, "\\xf0\\x8f\\xbf\\xbf"},
		{"surrogates", "\xed\xa0\x80\xed\xbf\xbf", 6, 64, "\\xed\\xa0\\x80\\xed\\xbf\\xbf"},
		{"beside the surrogates", "\xed\x9f\xbf\xee\x80\x80", 6, 64, "\xed\x9f\xbf\xee\x80\x80"},
		{"a lone continuation", "a\x80z", 3, 64, "a\\x80z"},
		{"cut sequence at the end", "a\xe2\x82", 3, 64, "a\\xe2\\x82"},
		{"cut sequence in the middle", "\xe2\x82z", 3, 64, "\\xe2\\x82z"},
		{"C1 controls", "\xc2\x80\xc2\x9f\xc2\xa0", 6, 64, "\\xc2\\x80\\xc2\\x9f\xc2\xa0"},
		{"U+200D, E, F, U+2010", "\xe2\x80\x8d\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\x90", 12, 64,
	     "\xe2\x80\x8d\\xe2\\x80\\x8e\\xe2\\x80\\x8f\xe2\x80\x90"},
		{"U+2027, 8, 9", "\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9", 9, 64,
	     "\xe2\x80\xa7\\xe2\\x80\\xa8\\xe2\\x80\\xa9"},
		{"U+202A, E, F", "\xe2\x80\xaa\xe2\x80\xae\xe2\x80\xaf", 9, 64,
	     "\\xe2\\x80\\xaa\\xe2\\x80\\xae\xe2\x80\xaf"},
		{"U+2065, 6, 9, A", "\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa", 12, 64,
	     "\xe2\x81\xa5\\xe2\\x81\\xa6\\xe2\\x81\\xa9\xe2\x81\xaa"},
		{"U+FEFF", "\xef\xbb\xbf!", 4, 64, "\\xef\\xbb\\xbf!"},
		{"just fits", "abcdefg", 7, 8, "abcdefg"},
		{"one too long", "abcdefgh", 8, 8, "abcd..."},
		{"no half escape", "abc\nd", 5, 8, "abc..."},
		{"no half escape at the edge", "abcd\n", 5, 8, "abcd..."},
		{"no half character", "abc\xe2\x82\xac\xe2\x82\xac", 9, 8, "abc..."},
		{"room for the dots alone", "abcdef", 6, 4, "..."},
		{"less than that", "abcdef", 6, 3, ".."},
		{"a NUL only", "abcdef", 6, 1, ""},
		{"short text in a small place", "abc", 3, 4, "abc"},
	};
	char to[64];

	for (size_t i = 0; i < LEN(cases); i++) {
		memset(to, 'Z', sizeof(to));
		OK(printable(to, cases[i].size, cases[i].bytes, cases[i].len) == to, "returns to");
		SAME(to, cases[i].want, cases[i].what);
		OK(cases[i].size == 64 || to[cases[i].size] == 'Z', "stays inside");
	}
	to[0] = 'Z';
	printable(to, 0, "abc", 3);
	EQUAL(to[0], 'Z', "size 0 touches nothing");
}

/* Every sequence of up to three bytes: the result is always short enough and of safe bytes. */
static void test_printable_all(void)
{
	char to[16];
	int bad = 0;

	for (uint32_t v = 0; v < 1u << 24; v += 7) {
		char bytes[3] = {(char)(v >> 16), (char)(v >> 8), (char)v};

		printable(to, sizeof(to), bytes, sizeof(bytes));
		for (const unsigned char *p = (unsigned char *)to; *p; p++)
			bad += *p < 0x20 || *p == 0x7f;
		bad += strlen(to) > 12;
	}
	EQUAL(bad, 0, "nothing unsafe comes out");
}

static void test_random_and_clock(void)
{
	char a[65], b[65];
	uint64_t then = clock_ms();

	random_hex(a, 32);
	random_hex(b, 32);
	EQUAL(strlen(a), 64, "random_hex: two digits a byte");
	EQUAL(strspn(a, "0123456789abcdef"), 64, "random_hex: lower-case digits");
	OK(strcmp(a, b) != 0, "random_hex: not the same twice");
	random_hex(a, 0);
	SAME(a, "", "random_hex of nothing");
	OK(then > 0 && clock_ms() >= then && clock_ms() - then < 10000, "the clock goes");
}

static char noted[2000];
static int notes;

static void collect(enum note_level level, const char *text)
{
	notes++;
	snprintf(noted, sizeof(noted), "%d %s", (int)level, text);
}

static void test_notes(void)
{
	char fill[3000];

	note(NOTE_WARN, "nobody listens");
	note_hook = collect;
	note(NOTE_WARN, "%s %d", "careful", 1);
	SAME(noted, "0 careful 1", "a warning arrives");
	note(NOTE_INFO, "more");
	EQUAL(notes, 1, "what is above the limit does not");
	note_limit = NOTE_TRACE;
	note(NOTE_TRACE, "C: QUIT");
	SAME(noted, "2 C: QUIT", "the trace does when the limit allows it");
	memset(fill, 'n', sizeof(fill));
	fill[sizeof(fill) - 1] = '\0';
	note(NOTE_INFO, "%s", fill);
	EQUAL(strlen(noted), 1599 + 2, "a long one is cut to what an event carries");
}

int main(void)
{
	test_errors();
	test_kinds();
	test_out_of_memory();
	test_memory();
	test_str();
	test_text_copy();
	test_numbers();
	test_number_put();
	test_printable();
	test_printable_all();
	test_random_and_clock();
	test_notes();
	return tap_end();
}

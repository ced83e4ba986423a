/* SPDX-License-Identifier: MIT */
/*
 * test_wire.c - tables of what servers say, and the two transformations of a body against
 * byte-wise references under every way of cutting the input in three.
 */
#include "config.h"

#include "wire.h"

#include <stdlib.h>

#include "base.h"
#include "tap.h"

static void test_status(void)
{
	static const struct {
		const char *line;
		enum wire_verdict verdict;
		enum wire_code code;
		const char *text;
	} rows[] = {
		{"+OK", WIRE_OK, WIRE_CODE_NONE, ""},
		{"+OK ", WIRE_OK, WIRE_CODE_NONE, ""},
		{"+ok hello there", WIRE_OK, WIRE_CODE_NONE, "hello there"},
		{"+Ok\tx", WIRE_OK, WIRE_CODE_NONE, "x"},
		{"+OKAY", WIRE_NONSENSE, WIRE_CODE_NONE, "+OKAY"},
		{"+ERR no", WIRE_NONSENSE, WIRE_CODE_NONE, "+ERR no"},
		{" +OK", WIRE_NONSENSE, WIRE_CODE_NONE, " +OK"},
		{"", WIRE_NONSENSE, WIRE_CODE_NONE, ""},
		{"OK", WIRE_NONSENSE, WIRE_CODE_NONE, "OK"},
		{"-ERR", WIRE_ERR, WIRE_CODE_NONE, ""},
		{"-err [IN-USE] busy", WIRE_ERR, WIRE_CODE_IN_USE, "[IN-USE] busy"},
		{"-ERR [in-use]", WIRE_ERR, WIRE_CODE_IN_USE, "[in-use]"},
		{"-ERR [IN-USE busy", WIRE_ERR, WIRE_CODE_NONE, "[IN-USE busy"},
		{"-ERR [IN-USER] x", WIRE_ERR, WIRE_CODE_OTHER, "[IN-USER] x"},
		{"-ERR [LOGIN-DELAY] wait", WIRE_ERR, WIRE_CODE_LOGIN_DELAY, "[LOGIN-DELAY] wait"},
		{"-ERR [SYS/TEMP] x", WIRE_ERR, WIRE_CODE_SYS_TEMP, "[SYS/TEMP] x"},
		{"-ERR [SYS/TEMP/DISK] x", WIRE_ERR, WIRE_CODE_SYS_TEMP, "[SYS/TEMP/DISK] x"},
		{"-ERR [SYS/PERM] x", WIRE_ERR, WIRE_CODE_SYS_PERM, "[SYS/PERM] x"},
		{"-ERR [AUTH] x", WIRE_ERR, WIRE_CODE_AUTH, "[AUTH] x"},
		{"-ERR [UTF8] x", WIRE_ERR, WIRE_CODE_UTF8, "[UTF8] x"},
		{"-ERR [] x", WIRE_ERR, WIRE_CODE_OTHER, "[] x"},
		{"+", WIRE_CONTINUE, WIRE_CODE_NONE, ""},
		{"+ eyJh", WIRE_CONTINUE, WIRE_CODE_NONE, "eyJh"},
		{"+ [AUTH]", WIRE_CONTINUE, WIRE_CODE_NONE, "[AUTH]"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct wire_status got;
		char *text;

		wire_status(rows[i].line, strlen(rows[i].line), &got);
		EQUAL(got.verdict, rows[i].verdict, rows[i].line);
		EQUAL(got.code, rows[i].code, "code");
		text = xmemdup0(got.text.p, got.text.len);
		SAME(text, rows[i].text, "text");
		free(text);
	}
}

static void test_numbers(void)
{
	static const struct {
		const char *line;
		bool stat, list;
		uint64_t a, b;
	} rows[] = {
		{"2 320", true, true, 2, 320},
		{"2 320 more words", true, true, 2, 320},
		{"2  320", true, true, 2, 320},
		{"0 0", true, false, 0, 0},
		{"1", false, false, 0, 0},
		{"", false, false, 0, 0},
		{"-1 5", false, false, 0, 0},
		{"+1 5", false, false, 0, 0},
		{"0x1 5", false, false, 0, 0},
		{"1 5k", false, false, 0, 0},
		{"1. 5", false, false, 0, 0},
		{"1000000 1", true, true, 1000000, 1},
		{"1000001 1", false, false, 0, 0},
		{"18446744073709551617 1", false, false, 0, 0},
		{"1 9223372036854775807", true, true, 1, INT64_MAX},
		{"1 9223372036854775808", false, false, 0, 0},
		{"0000000000000000000000000000000001 1", true, true, 1, 1},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint32_t n = 0;
		uint64_t octets = 0;
		size_t len = strlen(rows[i].line);

		EQUAL(wire_stat(rows[i].line, len, &n, &octets), rows[i].stat, rows[i].line);
		if (rows[i].stat)
			OK(n == rows[i].a && octets == rows[i].b, "STAT's numbers");
		EQUAL(wire_list(rows[i].line, len, &n, &octets), rows[i].list, "as a LIST line");
		if (rows[i].list)
			OK(n == rows[i].a && octets == rows[i].b, "LIST's numbers");
	}
}

static void test_uidl(void)
{
	static const struct {
		const char *line;
		uint32_t num; /* 0: refused */
		const char *uid;
	} rows[] = {
		{"1 whqtswO00WBw418f9t5JxYwZ", 1, "whqtswO00WBw418f9t5JxYwZ"},
		{"2  two blanks", 2, "two blanks"},
		{"3 ../../etc/passwd", 3, "../../etc/passwd"},
		{"4 \xff\x01", 4, "\xff\x01"},
		{"5 trailing ", 5, "trailing "},
		{"1", 0, NULL},
		{"1 ", 0, NULL},
		{"0 x", 0, NULL},
		{"x y", 0, NULL},
		{"", 0, NULL},
		{"-1 x", 0, NULL},
	};
	char longest[WIRE_MAX_UID + 3];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint32_t num = 0;
		struct wire_span uid;
		bool ok = wire_uidl(rows[i].line, strlen(rows[i].line), &num, &uid);

		EQUAL(ok ? num : 0, rows[i].num, rows[i].line);
		if (ok && rows[i].uid != NULL)
			OK(uid.len == strlen(rows[i].uid) && memcmp(uid.p, rows[i].uid, uid.len) == 0, "uid");
	}
	memset(longest, 'x', sizeof longest);
	memcpy(longest, "1 ", 2);
	uint32_t num;
	struct wire_span uid;
	OK(wire_uidl(longest, sizeof longest - 1, &num, &uid), "the longest UID");
	OK(!wire_uidl(longest, sizeof longest, &num, &uid), "one byte more");
}

static void test_capa(void)
{
	struct wire_capa c = {0};
	static const char *const lines[] = {
		"TOP", "pipelining", "SASL LOGIN PLAIN", "X-PIPELINING", "STLSX", "EXPIRE 0", "", "UIDL",
		"RESP-CODES", "USER",
	};

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		wire_capa(lines[i], strlen(lines[i]), &c);
	OK(c.top && c.pipelining && c.uidl && c.resp_codes && c.user, "announced");
	EQUAL(c.sasl, WIRE_SASL_PLAIN | WIRE_SASL_LOGIN, "mechanisms");
	OK(!c.stls && !c.utf8, "not announced: a word that only begins alike does not count");
	OK(c.expire && c.expire_days == 0 && c.login_delay == 0 && !c.windows, "at once");
}

/* CAPA lines with arguments. */
static void test_capa_arguments(void)
{
	static const struct {
		const char *line;
		struct wire_capa capa;
	} cases[] = {
		{"SASL CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 GSSAPI scram-sha-1-plus",
		 {.sasl = WIRE_SASL_CRAM_MD5 | WIRE_SASL_SCRAM_SHA_1 | WIRE_SASL_SCRAM_SHA_256 |
		          WIRE_SASL_SCRAM_SHA_1_PLUS}},
		{"SASL  EXTERNAL  XOAUTH2 OAUTHBEARER SCRAM-SHA-256-PLUS X",
		 {.sasl = WIRE_SASL_EXTERNAL | WIRE_SASL_XOAUTH2 | WIRE_SASL_OAUTHBEARER |
		          WIRE_SASL_SCRAM_SHA_256_PLUS}},
		{"SASL", {0}}, {"SASLPLAIN", {0}}, {"SASL PLAINLY", {0}},
		{"EXPIRE 30", {.expire = true, .expire_days = 30}},
		{"EXPIRE 30 USER", {.expire = true, .expire_days = 30}},
		{"expire Never", {.expire = true, .expire_days = WIRE_EXPIRE_NEVER}},
		{"EXPIRE", {0}}, {"EXPIRE30", {0}}, {"EXPIRE -1", {0}}, {"EXPIRE 99999999999", {0}},
		{"LOGIN-DELAY 300", {.login_delay = 300}}, {"LOGIN-DELAY 300 USER", {.login_delay = 300}},
		{"LOGIN-DELAY", {0}}, {"LOGIN-DELAY soon", {0}}, {"LOGIN-DELAY 99999999999", {0}},
		{"UTF8", {.utf8 = true}}, {"UTF8 USER", {.utf8 = true, .utf8_user = true}},
		{"UTF8 USERS", {.utf8 = true}}, {"X-GOOGLE-RICO", {.windows = true}},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct wire_capa c;

		memset(&c, 0, sizeof c);
		wire_capa(cases[i].line, strlen(cases[i].line), &c);
		OK(c.sasl == cases[i].capa.sasl && c.expire == cases[i].capa.expire &&
		       c.expire_days == cases[i].capa.expire_days && c.utf8 == cases[i].capa.utf8 &&
		       c.login_delay == cases[i].capa.login_delay && c.windows == cases[i].capa.windows &&
		       c.utf8_user == cases[i].capa.utf8_user,
		   cases[i].line);
	}
}

static void test_timestamp(void)
{
	static const struct {
		const char *greeting, *stamp;
	} cases[] = {
		{"POP3 server ready <1896.697170952@dbc.mtview.ca.us>",
		 "<1896.697170952@dbc.mtview.ca.us>"},
		{"<a@b>", "<a@b>"}, {"<a@b> ready", "<a@b>"}, {"<<a@b>", NULL}, {"", NULL}, {"ready", NULL},
		{"<a@b", NULL}, {"a@b>", NULL}, {"<>", NULL}, {"<ab>", NULL}, {"<@>", NULL}, {"<a@>", NULL},
		{"<@b>", NULL}, {"<a@b@c>", NULL}, {"<a @b>", NULL},
		{"<a@\x7f>", NULL}, {"<a@b\xc3\xa4>", NULL},
		{"<a\t@b>", NULL}, {"> <a@b>", "<a@b>"},
	};
	char longest[300];
	struct wire_span stamp;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		bool is = wire_timestamp(cases[i].greeting, strlen(cases[i].greeting), &stamp);

		OK(is == (cases[i].stamp != NULL) &&
		       (!is || (stamp.len == strlen(cases[i].stamp) &&
		                memcmp(stamp.p, cases[i].stamp, stamp.len) == 0)),
		   cases[i].greeting);
	}
	memset(longest, 'a', sizeof longest);
	memcpy(longest, "<x@", 3);
	longest[249] = longest[250] = '>';
	OK(wire_timestamp(longest, 250, &stamp) && stamp.len == 250, "the longest");
	longest[249] = 'a';
	OK(!wire_timestamp(longest, 251, &stamp), "one byte more");
	OK(!wire_timestamp("<a\0@b>", 6, &stamp), "NUL");
}

/* The meaning of dot-stuffing, a byte at a time, on the whole text.  Returns the length and sets
 * *end to the bytes consumed, or to 0 where the final dot is missing. */
static size_t undot_reference(const char *in, size_t len, char *out, size_t *end)
{
	size_t n = 0;
	bool bol = true;

	*end = 0;
	for (size_t i = 0; i < len; i++) {
		if (bol && in[i] == '.') {
			if (i + 1 < len && in[i + 1] == '\n') {
				*end = i + 2;
				return n;
			}
			if (i + 2 < len && in[i + 1] == '\r' && in[i + 2] == '\n') {
				*end = i + 3;
				return n;
			}
			bol = false;
			continue;
		}
		if (in[i] == '\r' && i + 1 < len && in[i + 1] == '\n')
			continue;
		out[n++] = in[i];
		bol = in[i] == '\n';
	}
	return n;
}

/* Feeds in[] in chunks that end at the cuts, as a connection's buffer would: what is not used
 * stays in front of the next chunk. */
static size_t undot_in_chunks(const char *in, const size_t *cuts, size_t n, char *out, size_t *end)
{
	struct wire_undot state = {0};
	char buf[512];
	size_t have = 0, to = 0, taken = 0, at = 0;

	*end = 0;
	for (size_t i = 0; i < n; i++) {
		size_t used;
		bool over;

		memcpy(buf + have, in + at, cuts[i] - at);
		have += cuts[i] - at;
		at = cuts[i];
		to += wire_undot(&state, buf, have, out + to, &used, &over);
		taken += used;
		have -= used;
		memmove(buf, buf + used, have);
		if (over) {
			*end = taken;
			break;
		}
		if (have > 2)
			return (size_t)-1; /* more than 2 bytes may not be left open */
	}
	return to;
}

/* In three pieces, at each step-th place. */
static int same_in_some_cuts(const char *in, size_t len, size_t step)
{
	char want[512], got[512];
	size_t want_end, got_end, want_len = undot_reference(in, len, want, &want_end);

	for (size_t a = 0; a <= len; a += step)
		for (size_t b = a; b <= len; b += step) {
			size_t cuts[] = {a, b, len};
			size_t n = undot_in_chunks(in, cuts, 3, got, &got_end);

			if (got_end != want_end)
				return 0;
			if (want_end > 0 && (n != want_len || memcmp(got, want, n) != 0))
				return 0;
			if (want_end == 0 && (n > want_len || memcmp(got, want, n) != 0))
				return 0;
		}
	return 1;
}

static int same_in_all_cuts(const char *in, size_t len)
{
	return same_in_some_cuts(in, len, 1);
}

static void test_undot(void)
{
#define ROW(text) {text, sizeof text - 1}
	static const struct {
		const char *in;
		size_t len;
	} rows[] = {
		ROW("hello\r\n.\r\n"), ROW(".\r\n"), ROW(".\n"), ROW("a\n.\n"), ROW("..\r\n.\r\n"),
		ROW("...\r\n.\r\n+OK\r\n"), ROW(".x\r\n.\r\n"), ROW("\r\n.\r\n"), ROW("a\rb\r\n.\r\n"),
		ROW("a\r\r\n.\r\n"), ROW(".\rx\r\n.\r\n"), ROW("\0.\0\r\n.\0\r\n.\r\n"), ROW("x.\r\n.\r\n"),
		ROW("no end"), ROW("no end\r\n"), ROW("no end\r\n."), ROW("no end\r\n.\r"), ROW("\r"),
		ROW("text.\r\n"), ROW("\xff\x80\r\n.\r\n"), ROW("From x\r\n.From y\r\n.\r\n"), ROW("."),
		ROW("..\n..\r\n.\r\n.\r\n"), ROW("\n\n\n.\n"), ROW("a\r\n\r\n\r\n..b\r\n.\r\ntail"),
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		OK(same_in_all_cuts(rows[i].in, rows[i].len), "un-dotting, cut everywhere");
}

/* Random texts of the bytes that matter. */
static void test_undot_random(void)
{
	static const char bytes[] = {'.', '\r', '\n', 'a', '\0', '.', '\n', 'F'};
	unsigned seed = 4711;
	int good = 1;

	for (int round = 0; round < 20000 && good; round++) {
		char in[12];
		size_t len = 1 + (seed >> 8) % sizeof in;

		for (size_t i = 0; i < len; i++) {
			seed = seed * 1103515245u + 12345u;
			in[i] = bytes[(seed >> 16) % sizeof bytes];
		}
		good = same_in_all_cuts(in, len);
	}
	OK(good, "20,000 random texts, each cut in three everywhere");
}

/* Long enough for many lines to be looked at together; what matters stands here and there. */
static void test_undot_long(void)
{
	static const char bytes[] = {'.', '\r', '\n', '\n', '\0', 'x'};
	static const char *const pairs[] = {"\r\n", "\n.", "\r\r", "\n\n", ".\r"};
	unsigned seed = 815;
	int good = 1;

	for (int round = 0; round < 400 && good; round++) {
		char in[400];
		size_t len = 100 + (size_t)round % 300;

		memset(in, 'a', sizeof in);
		for (size_t i = 0; i < len; i += 1 + (seed >> 20) % (4 + (unsigned)round % 90)) {
			seed = seed * 1103515245u + 12345u;
			in[i] = bytes[(seed >> 16) % sizeof bytes];
			if (i > 0 && (seed >> 8) % 2 == 0)
				memcpy(in + i - 1, pairs[(seed >> 10) % 5], 2);
		}
		good = same_in_some_cuts(in, len, (seed >> 16) % 97 + 1);
	}
	OK(good, "400 long texts, cut at many places");
}

static size_t mboxrd_reference(const char *in, size_t len, char *out)
{
	size_t n = 0, i = 0;

	while (i < len) {
		size_t gt = i;

		while (gt < len && in[gt] == '>')
			gt++;
		if (len - gt >= 5 && memcmp(in + gt, "From ", 5) == 0)
			out[n++] = '>';
		do
			out[n++] = in[i];
		while (in[i++] != '\n' && i < len);
	}
	return n;
}

static int same_quoting(const char *in, size_t len)
{
	char want[256], got[256];
	size_t want_len = mboxrd_reference(in, len, want);

	for (size_t a = 0; a <= len; a++)
		for (size_t b = a; b <= len; b++) {
			struct wire_mboxrd state = {0};
			size_t n = wire_mboxrd(&state, in, a, got);

			n += wire_mboxrd(&state, in + a, b - a, got + n);
			n += wire_mboxrd(&state, in + b, len - b, got + n);
			n += wire_mboxrd_end(&state, got + n);
			if (n != want_len || memcmp(got, want, n) != 0)
				return 0;
		}
	return 1;
}

static void test_mboxrd(void)
{
	static const char *const rows[] = {
		"From me\n", ">From me\n", ">>>From me\n", "a From me\n", "\nFrom x\nFrom y\n", "From",
		"Fro\nFrom \n", "F", "FFrom \n", ">F>From \n", "From\n", "From \n>", ">\n>From ", "",
		"x\n> From \n", "FromFrom \nFrom From \n",
	};
	unsigned seed = 99;
	int good = 1;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		OK(same_quoting(rows[i], strlen(rows[i])), "quoting, cut everywhere");
	for (int round = 0; round < 20000 && good; round++) {
		static const char *const pieces[] = {
			"From ", ">", "\n", "F", "From", "x", "rom ", "\nFrom ",
		};
		char in[40];
		size_t len = 0;

		for (int k = 0; k < 6 && len < 30; k++) {
			seed = seed * 1103515245u + 12345u;
			const char *piece = pieces[(seed >> 16) % 8];
			memcpy(in + len, piece, strlen(piece));
			len += strlen(piece);
		}
		good = same_quoting(in, len);
	}
	OK(good, "20,000 random texts quoted, each cut in three everywhere");
}

static void test_sender(void)
{
	static const struct {
		const char *head, *want;
	} rows[] = {
		{"Return-Path: <joe@example.org>\nFrom: x\n\n", "joe@example.org"},
		{"return-path:joe@example.org\n\n", "joe@example.org"},
		{"From: x\nReturn-Path: <a+b=c@d-e.f>\n\n", "a+b=c@d-e.f"},
		{"Return-Path: <>\n\n", "MAILER-DAEMON"},
		{"Return-Path: <-oProxy@x>\n\n", "MAILER-DAEMON"},
		{"Return-Path: <$(touch x)@y>\n\n", "MAILER-DAEMON"},
		{"Return-Path: <a b@y>\n\n", "MAILER-DAEMON"},
		{"Return-Path: <joe@exa", "MAILER-DAEMON"},
		{"Subject: x\n\nReturn-Path: <body@x>\n", "MAILER-DAEMON"},
		{"\nReturn-Path: <body@x>\n", "MAILER-DAEMON"},
		{"", "MAILER-DAEMON"},
		{"Return-Path:", "MAILER-DAEMON"},
		{"Return-Path: <first@x>\nReturn-Path: <second@x>\n", "first@x"},
		{"X-Return-Path: <a@x>\n", "MAILER-DAEMON"},
	};
	char got[64], tight[16];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		wire_sender(rows[i].head, strlen(rows[i].head), got, sizeof got);
		SAME(got, rows[i].want, rows[i].head);
	}
	wire_sender("Return-Path: <0123456789abcdef@x>\n", 34, tight, sizeof tight);
	SAME(tight, "MAILER-DAEMON", "an address that does not fit is none");
}

int main(void)
{
	test_status();
	test_numbers();
	test_uidl();
	test_capa();
	test_capa_arguments();
	test_timestamp();
	test_undot();
	test_undot_random();
	test_undot_long();
	test_mboxrd();
	test_sender();
	return tap_end();
}

/* SPDX-License-Identifier: MIT */
/*
 * test_sasl.c - the words of the mechanisms against the examples of their own RFCs, base64, and
 * SCRAM with servers that lie.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "sasl.h"
#include "scram.h"
#include "tap.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static struct error err;

/* -- base64 ------------------------------------------------------------------------------- */

/* RFC 4648 section 10. */
static const struct {
	const char *bytes, *text;
} pairs[] = {
	{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
	{"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xff\xfe\xfd", "//79"}, {"\xfb\xef", "++8="},
};

/* Not strictly base64. */
static const char *const bad[] = {
	"Z", "Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "Zm9v ",
	"Zm_-",
	"Zm\xc3\xa4", "!!!!", "=Zg=", "Z=g=",
};

static void test_base64(void)
{
	struct str to = {.max = 100};

	for (size_t i = 0; i < LEN(pairs); i++) {
		str_cut(&to, 0);
		OK(sasl_base64(&to, pairs[i].bytes, strlen(pairs[i].bytes)) == 0, "is encoded");
		SAME(to.s, pairs[i].text, pairs[i].text);
		str_cut(&to, 0);
		OK(sasl_unbase64(&to, pairs[i].text, strlen(pairs[i].text)), "is decoded");
		SAME(to.s, pairs[i].bytes, "to what it was");
	}
	for (size_t i = 0; i < LEN(bad); i++) {
		str_cut(&to, 0);
		OK(!sasl_unbase64(&to, bad[i], strlen(bad[i])), bad[i]);
	}
	str_cut(&to, 0);
	OK(sasl_unbase64(&to, "AAEA", 4) && to.len == 3 && memcmp(to.s, "\0\1\0", 3) == 0, "NUL");
	str_free(&to);
	to.max = 5;
	OK(sasl_base64(&to, "foobar", 6) == -1, "more than there is room for");
	OK(!sasl_unbase64(&to, "Zm9vYmFy", 8), "either way");
	str_free(&to);
}

/* -- one step ----------------------------------------------------------------------------- */

static void test_words(void)
{
	struct str to = {.max = 1000};
	static const char greeting[] = "<1896.697170952@dbc.mtview.ca.us>";
	static const char challenge[] = "<1896.697170952@postoffice.reston.mci.net>";

	OK(sasl_apop(&to, greeting, "tanstaaf") == 0, "APOP");
	SAME(to.s, "c4c9334bac560ecc979e58001b3e22fb", "the example of RFC 1939 section 7");
	str_cut(&to, 0);
	OK(sasl_cram_md5(&to, "tim", "tanstaaftanstaaf", challenge, strlen(challenge)) == 0,
	   "CRAM-MD5");
	SAME(to.s, "tim b913a602c7eda7a495b4e6e7334d3890", "the example of RFC 2195 section 2");
	str_cut(&to, 0);
	OK(sasl_plain(&to, "tim", "tanstaaftanstaaf") == 0 && to.len == 21 &&
	       memcmp(to.s, "\0tim\0tanstaaftanstaaf", 21) == 0,
	   "PLAIN: the example of RFC 4616 section 4");
	str_cut(&to, 0);
	OK(sasl_xoauth2(&to, "someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg") ==
	   0, "XOAUTH2");
	SAME(to.s, "user=someuser@example.com\1auth=Bearer "
	     "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\1\1", "the example of Google's page");
	str_cut(&to, 0);
	OK(sasl_oauthbearer(&to, "user@example.com", "server.example.com", 143,
	                    "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==") == 0, "OAUTHBEARER");
	SAME(to.s, "n,a=user@example.com,\1host=server.example.com\1port=143\1auth=Bearer "
	     "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1", "the example of RFC 7628 section 4.1");
	str_cut(&to, 0);
	sasl_oauthbearer(&to, "a=b,c", "h", 1, "t");
	OK(strncmp(to.s, "n,a=a=3Db=2Cc,\1", 15) == 0, "a name with = and ,");
	str_free(&to);
	OK(sasl_is_token("ya29.A-_~+/=") && !sasl_is_token("") && !sasl_is_token("a b") &&
	       !sasl_is_token("a\1b") && !sasl_is_token("\xc3\xa4"),
	   "what can be a token");
}

/* -- SCRAM -------------------------------------------------------------------------------- */

struct talk {
	bool sha256;
	const char *nonce, *first, *said, *final, *last;
};

/* RFC 5802 section 5 and RFC 7677 section 3. */
static const struct talk talks[] = {
	{false, "fyko+d2lbbFgONRv9qkxdawL", "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
	 "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
	 "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
	 "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
	{true, "rOprNGfwEbeRWgbNEkqO", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
	 "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
	 "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	 "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	 "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
};

static void begin(struct scram *s, const struct talk *t)
{
	scram_begin(s, t->sha256, "user", NULL, NULL, 0);
	text_copy(s->nonce, sizeof(s->nonce), t->nonce);
}

static void test_scram(const struct talk *t)
{
	struct str to = {.max = 2000};
	struct scram s;

	begin(&s, t);
	OK(scram_first(&s, &to) == 0, "the first message");
	SAME(to.s, t->first, "is the RFC's");
	str_cut(&to, 0);
	OK(scram_final(&s, "pencil", t->said, strlen(t->said), &to, &err) == 0, "the final message");
	SAME(to.s, t->final, "is the RFC's");
	OK(!s.proven && scram_check(&s, t->last, strlen(t->last), &err) == 0 && s.proven,
	   "the server's signature is accepted");
	scram_free(&s);
	str_free(&to);
}

/* A server's last message that proves nothing. */
static void test_liars(const struct talk *t)
{
	static const char *const lasts[] = {
		"", "v=", "v", "v=AAAA", "e=invalid-proof", "x=1", "v=rmF9pqV8S7suAoZWja4dJRkFsKR=",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "v=AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	};
	struct str to = {.max = 2000};

	for (size_t i = 0; i < LEN(lasts); i++) {
		struct scram s;

		begin(&s, t);
		str_cut(&to, 0);
		scram_final(&s, "pencil", t->said, strlen(t->said), &to, &err);
		OK(scram_check(&s, lasts[i], strlen(lasts[i]), &err) == -1 && err.kind == ERR_AUTH &&
		       !s.proven,
		   lasts[i]);
		scram_free(&s);
	}
	str_free(&to);
}

/* Of the server's first message. */
static const struct {
	const char *said, *words;
} nonsense[] = {
	{"", "makes no sense"},
	{"r=NONCEx", "makes no sense"},
	{"r=NONCEx,s=QSXCR+Q6sek8bf92", "makes no sense"},
	{"r=NONCEx,i=4096,s=QSXCR+Q6sek8bf92", "makes no sense"},
	{"r=NONCE,s=QSXCR+Q6sek8bf92,i=4096", "does not extend"},
	{"r=other,s=QSXCR+Q6sek8bf92,i=4096", "does not extend"},
	{"r=NONCx,s=QSXCR+Q6sek8bf92,i=4096", "does not extend"},
	{"m=ext,r=NONCEx,s=QSXCR+Q6sek8bf92,i=4096", "extension"},
	{"r=NONCEx,s=QSXCR+Q6sek8bf92,i=4095", "4095 rounds"},
	{"r=NONCEx,s=QSXCR+Q6sek8bf92,i=1", "1 rounds"},
	{"r=NONCEx,s=QSXCR+Q6sek8bf92,i=10000001", "10000001 rounds"},
	{"r=NONCEx,s=QSXCR+Q6sek8bf92,i=99999999999999999999", "makes no sense"},
	{"r=NONCEx,s=QSXCR+Q6sek8bf92,i=-1", "makes no sense"},
	{"r=NONCEx,s=QSXCR+Q6sek8bf92,i=", "makes no sense"},
	{"r=NONCEx,s=,i=4096", "makes no sense"},
	{"r=NONCEx,s=!!!!,i=4096", "no base64"},
	{"v=abc", "makes no sense"},
};

static void test_nonsense(void)
{
	struct str to = {.max = 2000};
	char *long_one = xmalloc(5001);

	for (size_t i = 0; i < LEN(nonsense); i++) {
		struct scram s;

		scram_begin(&s, true, "user", NULL, NULL, 0);
		text_copy(s.nonce, sizeof(s.nonce), "NONCE");
		OK(scram_final(&s, "pencil", nonsense[i].said, strlen(nonsense[i].said), &to, &err) == -1 &&
		       err.kind == ERR_PROTOCOL && strstr(err.text, nonsense[i].words) && to.len == 0,
		   nonsense[i].said);
		scram_free(&s);
	}
	memset(long_one, 'r', 5000);
	memcpy(long_one, "r=NONCE", 7);
	long_one[5000] = '\0';
	{
		struct scram s;

		scram_begin(&s, true, "user", NULL, NULL, 0);
		text_copy(s.nonce, sizeof(s.nonce), "NONCE");
		OK(scram_final(&s, "p", long_one, 5000, &to, &err) == -1, "one that is too long");
		scram_free(&s);
	}
	free(long_one);
	str_free(&to);
}

/* The name's escapes, and what is bound: checked by the words themselves. */
static void test_forms(void)
{
	struct str to = {.max = 2000};
	struct scram s, other;

	scram_begin(&s, true, "a=b,c\xc3\xa4", NULL, NULL, 0);
	scram_begin(&other, true, "a", NULL, NULL, 0);
	OK(strlen(s.nonce) == 36 && strcmp(s.nonce, other.nonce) != 0, "a nonce of its own each time");
	scram_first(&s, &to);
	OK(strncmp(to.s, "n,,n=a=3Db=2Cc\xc3\xa4,r=", 19) == 0, "a name with = and , and others");
	scram_free(&s);
	scram_free(&other);
	str_cut(&to, 0);
	scram_begin(&s, true, "user", "tls-exporter", "\0\1\2\3", 4);
	text_copy(s.nonce, sizeof(s.nonce), "NONCE");
	scram_first(&s, &to);
	SAME(to.s, "p=tls-exporter,,n=user,r=NONCE", "with channel binding");
	str_cut(&to, 0);
	OK(scram_final(&s, "pencil", "r=NONCEx,s=QSXCR+Q6sek8bf92,i=4096", 34, &to, &err) == 0 &&
	       strncmp(to.s, "c=cD10bHMtZXhwb3J0ZXIsLAABAgM=,r=NONCEx,p=", 42) == 0,
	   "whose bytes are in the final message");
	scram_free(&s);
	scram_free(&s);
	str_free(&to);
}

int main(void)
{
	test_base64();
	test_words();
	for (size_t i = 0; i < LEN(talks); i++) {
		test_scram(&talks[i]);
		test_liars(&talks[i]);
	}
	test_nonsense();
	test_forms();
	return tap_end();
}

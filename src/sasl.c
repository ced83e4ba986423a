/* SPDX-License-Identifier: MIT */
/*
 * sasl.c - base64, and the words of PLAIN, APOP, CRAM-MD5, XOAUTH2 and OAUTHBEARER.
 *
 * Which of them is said, when, and in which form on the wire is auth.c's; SCRAM, which has a
 * state, is scram.c's.  MD5 appears here because two old mechanisms are made of it: they keep a
 * password off a line that anybody can read, and no more is claimed.
 *
 * Base64 is written out here, not asked of GnuTLS: that would take line ends and blanks in what
 * a server said, and leave a copy of what we say.
 *
 * Called by auth.c and scram.c.
 */
#include "config.h"

#include "sasl.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#define MD5_SIZE 16
#define KVSEP "\1" /* RFC 7628 section 3.1 */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* -- base64 ------------------------------------------------------------------------------- */

int sasl_base64(struct str *to, const char *bytes, size_t len)
{
	const unsigned char *s = (const unsigned char *)bytes;
	int rc = str_puts(to, "");

	for (size_t i = 0; i < len && rc == 0; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		unsigned v = (unsigned)s[i] << 16 | (n > 1 ? s[i + 1] << 8 : 0) | (n > 2 ? s[i + 2] : 0);
		char four[4] = {digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=',
		                n > 2 ? digits[v & 63] : '='};

		rc = str_add(to, four, sizeof(four));
		explicit_bzero(four, sizeof(four));
	}
	return rc;
}

/* The value of a digit, -1 for what is none. */
static int value_of(char c)
{
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

bool sasl_unbase64(struct str *to, const char *text, size_t len)
{
	size_t pad = len > 0 && text[len - 1] == '=' ? 1 + (len > 1 && text[len - 2] == '=') : 0;

	if (len % 4 != 0 || str_puts(to, "") == -1)
		return false;
	for (size_t i = 0; i < len; i += 4) {
		size_t n = i + 4 == len ? 4 - pad : 4;
		unsigned v = 0;
		char three[3];

		for (size_t k = 0; k < 4; k++) {
			int value = k < n ? value_of(text[i + k]) : 0;

			if (value == -1)
				return false;
			v = v << 6 | (unsigned)value;
		}
		if ((n < 4 && (v & 0xff) != 0) || (n < 3 && (v & 0xffff) != 0))
			return false; /* bits that nobody would read */
		for (size_t k = 0; k < 3; k++)
			three[k] = (char)(v >> (16 - 8 * k) & 0xff);
		if (str_add(to, three, n - 1) == -1)
			return false;
	}
	return true;
}

/* -- the mechanisms ----------------------------------------------------------------------- */

int sasl_plain(struct str *to, const char *user, const char *password)
{
	if (str_add(to, "", 1) == -1 || str_add(to, user, strlen(user) + 1) == -1)
		return -1;
	return str_puts(to, password);
}

static int add_hex(struct str *to, const unsigned char *bytes, size_t len)
{
	int rc = 0;

	for (size_t i = 0; i < len && rc == 0; i++)
		rc = str_printf(to, "%02x", bytes[i]);
	return rc;
}

int sasl_apop(struct str *to, const char *stamp, const char *password)
{
	struct str both = {.max = to->max};
	unsigned char digest[MD5_SIZE];
	int rc = str_printf(&both, "%s%s", stamp, password);

	if (rc == 0 && gnutls_hash_fast(GNUTLS_DIG_MD5, both.s, both.len, digest) != 0)
		rc = -1;
	str_wipe(&both);
	return rc == 0 ? add_hex(to, digest, sizeof(digest)) : -1;
}

int sasl_cram_md5(struct str *to, const char *user, const char *password, const char *challenge,
                  size_t len)
{
	unsigned char digest[MD5_SIZE];

	if (gnutls_hmac_fast(GNUTLS_MAC_MD5, password, strlen(password), challenge, len, digest) != 0)
		return -1;
	if (str_printf(to, "%s ", user) == -1)
		return -1;
	return add_hex(to, digest, sizeof(digest));
}

int sasl_xoauth2(struct str *to, const char *user, const char *token)
{
	return str_printf(to, "user=%s" KVSEP "auth=Bearer %s" KVSEP KVSEP, user, token);
}

/* RFC 5801 section 4 escapes the name as SCRAM does. */
int sasl_oauthbearer(struct str *to, const char *user, const char *host, uint64_t port,
                     const char *token)
{
	int rc = str_puts(to, "n,a=");

	for (; *user != '\0' && rc == 0; user++)
		rc = *user == '=' ? str_puts(to, "=3D") : *user == ',' ? str_puts(to, "=2C")
		                                                       : str_add(to, user, 1);
	if (rc == -1)
		return -1;
	return str_printf(to, "," KVSEP "host=%s" KVSEP "port=%llu" KVSEP "auth=Bearer %s" KVSEP KVSEP,
	                  host, (unsigned long long)port, token);
}

bool sasl_is_token(const char *token)
{
	for (const char *at = token; *at != '\0'; at++)
		if (*at <= ' ' || *at > '~')
			return false;
	return *token != '\0';
}

/* SPDX-License-Identifier: MIT */
/*
 * pin.c - pins: read, compared and shown.
 *
 * Hexadecimal and base64 are told apart by their lengths, which no text has in common; so there
 * is nothing to guess.  A text that is not wholly understood is an error and never a shorter
 * list: a pin with a slip of the pen must not leave the others to decide.
 *
 * A pin is no secret, so nothing here needs constant time.  No I/O, no allocation.  Called by
 * option.c, which judges what the user wrote, and tls.c, which compares.
 */
#include "config.h"

#include "pin.h"

#include <string.h>
#include <strings.h>

#define HEX_LEN (2 * PIN_SIZE)
#define COLON_LEN (3 * PIN_SIZE - 1)
#define BASE64_LEN 44 /* the last of them "=" */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char blanks[] = " \t,";

/* -1 for what is no digit. */
static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* step: 2, or 3 with a colon behind each byte but the last. */
static bool read_hex(const char *s, size_t step, unsigned char pin[PIN_SIZE])
{
	for (size_t i = 0; i < PIN_SIZE; i++, s += step) {
		int high = hex_of(s[0]), low = hex_of(s[1]);

		if (high < 0 || low < 0 || (step == 3 && i < PIN_SIZE - 1 && s[2] != ':'))
			return false;
		pin[i] = (unsigned char)(high * 16 + low);
	}
	return true;
}

/* Only the one spelling that base64 has for these bytes (RFC 4648 section 3.5). */
static bool read_base64(const char *s, unsigned char pin[PIN_SIZE])
{
	unsigned held = 0, bits = 0;
	size_t n = 0;

	for (size_t i = 0; i < BASE64_LEN - 1; i++) {
		const char *digit = memchr(digits, s[i], sizeof(digits) - 1);

		if (!digit)
			return false;
		held = held << 6 | (unsigned)(digit - digits);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			pin[n++] = (unsigned char)(held >> bits);
			held &= (1u << bits) - 1;
		}
	}
	return held == 0 && s[BASE64_LEN - 1] == '=';
}

int pin_next(const char **text, unsigned char pin[PIN_SIZE], struct error *err)
{
	const char *word = *text + strspn(*text, blanks), *s = word;
	size_t word_len = strcspn(word, blanks), len = word_len;
	char shown[40];
	bool fine;

	*text = s + len;
	if (len == 0)
		return 0;
	if (len > 8 && (strncasecmp(s, "sha256//", 8) == 0 || strncasecmp(s, "sha256:", 7) == 0)) {
		size_t prefix = s[6] == ':' ? 7 : 8;

		s += prefix;
		len -= prefix;
	}
	if (len == HEX_LEN)
		fine = read_hex(s, 2, pin);
	else if (len == COLON_LEN)
		fine = read_hex(s, 3, pin);
	else
		fine = len == BASE64_LEN && read_base64(s, pin);
	if (fine)
		return 1;
	return error_set(err, ERR_CONFIG, "'%s' is not a pin: 64 hexadecimal digits, or 44 characters "
	                 "of base64, of a key's SHA-256; mailhaul --server-info shows a server's",
	                 printable(shown, sizeof(shown), word, word_len));
}

int pin_check(const char *text, struct error *err)
{
	unsigned char pin[PIN_SIZE];
	size_t n = 0;
	int rc;

	while ((rc = pin_next(&text, pin, err)) == 1)
		n++;
	if (rc == 0 && n == 0)
		return error_set(err, ERR_CONFIG, "there is no pin in it");
	return rc;
}

bool pin_matches(const char *text, const unsigned char pin[PIN_SIZE])
{
	unsigned char one[PIN_SIZE];
	struct error ignored;

	while (pin_next(&text, one, &ignored) == 1)
		if (memcmp(one, pin, PIN_SIZE) == 0)
			return true;
	return false;
}

char *pin_show(char to[PIN_TEXT], const unsigned char pin[PIN_SIZE])
{
	char *at = to + 8;
	unsigned held = 0, bits = 0;

	memcpy(to, "sha256//", 8);
	for (size_t i = 0; i < PIN_SIZE; i++) {
		held = held << 8 | pin[i];
		for (bits += 8; bits >= 6; bits -= 6)
			*at++ = digits[held >> (bits - 6) & 63];
		held &= (1u << bits) - 1;
	}
	*at++ = digits[held << (6 - bits) & 63];
	*at++ = '=';
	*at = '\0';
	return to;
}

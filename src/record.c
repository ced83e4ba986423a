/* SPDX-License-Identifier: MIT */
/*
 * record.c - one line of the journal.
 *
 *     CRC8HEX (SP | "+") TAG { SP FIELD } LF
 *
 * The CRC-32C covers everything behind it up to the LF.  "+" in place of the blank says that all
 * before this record was on disk when it was written; seen.c tells damage from a torn tail by it.
 * Texts are percent-escaped: only ! to ~ stand for themselves, "%" not, and "-" not in front; the
 * empty text is "-".  Numbers are decimal; SINCE and MISSING are seconds of the wall clock.
 *
 *     V VERSION                        the first record, and nowhere else
 *     P KIND RUN PATH                  run RUN delivers to PATH from here on
 *     I TOKEN UID OCTETS PLACE         intent: this message is about to become visible there
 *     J TOKEN UID OCTETS PLACE         the same for its header alone
 *     G TOKEN OCTETS                   the text of that intent, the last one, has this fingerprint
 *     D TOKEN SINCE NUM                it is delivered: entry NUM, unless it has no UID or was a
 *                                      header (then O, NUM 2); with the intent's fingerprint
 *     N TOKEN                          it is not: the intent is void
 *     S NUM UID OCTETS SINCE MISSING   entry NUM: delivered without an intent; also the snapshot
 *     M NUM MISSING                    entry NUM is not listed since MISSING; 0: it is back;
 *                                      1: it had a twin that was not delivered
 *     F NUM                            entry NUM is forgotten
 *     B NUM SINCE                      pipelining broke NUM times in a row; 0: it works again
 *     T UID OCTETS NUM                 an MDA was given this message NUM times; 0: forget it
 *     X UID OCTETS NUM SINCE           it failed NUM times, last at SINCE (perhaps by no fault
 *                                      of its own: 0 where the session ended in it, 1 where the
 *                                      user was told); NUM 0: forget it
 *     O UID OCTETS NUM SINCE MISSING   it is too large to be fetched: 1: the user knows, 2: its
 *                                      header is delivered, with the fingerprint SINCE; MISSING as
 *                                      for entries; NUM 0: forget it
 *     H NUM OCTETS                     the text of entry NUM has this fingerprint (mark.h)
 *     A NUM SINCE TOKEN                the login TOKEN (manners.c) was refused NUM times in a row,
 *                                      last at SINCE; 0: it was not
 *     L NUM SINCE                      the server wants NUM seconds from login to login, and the
 *                                      last one was at SINCE
 *     Z                                all P before it are settled, and what they left is swept
 *
 * Entries are numbered from 0 in the order of their D and S records.
 */
#include "config.h"

#include "record.h"

#include <string.h>

#define CRC_DIGITS 8
#define BODY (CRC_DIGITS + 1) /* where the tag stands */

/* What a field letter of the forms below stands for.  The maximum is that of the number, or of
 * the text's bytes before they are escaped. */
static const struct field {
	char letter;
	bool text;
	size_t at;
	uint64_t max;
} fields[] = {
	{'n', false, offsetof(struct record, num), UINT32_MAX - 1},
	{'o', false, offsetof(struct record, octets), UINT64_MAX},
	{'s', false, offsetof(struct record, since), UINT64_MAX},
	{'m', false, offsetof(struct record, missing), UINT64_MAX},
	{'u', true, offsetof(struct record, uid), WIRE_MAX_UID},
	{'t', true, offsetof(struct record, token), 32},
	{'l', true, offsetof(struct record, place), 255},
	{'k', true, offsetof(struct record, kind), 32},
	{'r', true, offsetof(struct record, run), 32},
	{'p', true, offsetof(struct record, path), 4096},
};

/* A tag and its fields. */
static const char *const forms[] = {
	"Vn", "Pkrp", "Ituol", "Jtuol", "Gto", "Dtsn", "Nt", "Snuosm", "Mnm", "Fn", "Bns", "Tuon",
	"Xuons", "Ouonsm", "Hno", "Anst", "Lns", "Z",
};

static const char *form_of(char tag)
{
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		if (*forms[i] == tag)
			return forms[i] + 1;
	return NULL;
}

static const struct field *field_of(char letter)
{
	const struct field *field = fields;

	while (field->letter != letter)
		field++;
	return field;
}

/* -- the check ---------------------------------------------------------------------------- */

/* How each byte changes the sum, when 0 to 3 more bytes come behind it. */
static uint32_t table[4][256];

static void make_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t v = i;

		for (int bit = 0; bit < 8; bit++)
			v = v >> 1 ^ (v & 1 ? 0x82f63b78u : 0);
		table[0][i] = v;
	}
	for (int behind = 1; behind < 4; behind++)
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t v = table[behind - 1][i];

			table[behind][i] = v >> 8 ^ table[0][v & 0xff];
		}
}

/* CRC-32C (Castagnoli), reflected: bytes that rot in a block or are zeroed by a power cut do not
 * pass it, and a disk has no reason to forge.  Four bytes at a time, for each of them waits for
 * the one before. */
static uint32_t crc(const char *bytes, size_t len)
{
	const unsigned char *p = (const unsigned char *)bytes;
	uint32_t sum = UINT32_MAX;

	if (table[0][1] == 0)
		make_table();
	for (; len >= 4; p += 4, len -= 4)
		sum = table[3][(sum ^ p[0]) & 0xff] ^ table[2][(sum >> 8 ^ p[1]) & 0xff] ^
		      table[1][(sum >> 16 ^ p[2]) & 0xff] ^ table[0][sum >> 24 ^ p[3]];
	while (len-- > 0)
		sum = sum >> 8 ^ table[0][(sum ^ *p++) & 0xff];
	return ~sum;
}

static void put_crc(char *to, uint32_t sum)
{
	for (int i = 0; i < CRC_DIGITS; i++)
		to[i] = "0123456789abcdef"[sum >> (28 - 4 * i) & 0xf];
}

/* -- writing ------------------------------------------------------------------------------ */

static bool is_plain(unsigned char c, bool first)
{
	return c > ' ' && c < 0x7f && c != '%' && !(first && c == '-');
}

static char *put_text(char *to, struct wire_span text)
{
	if (text.len == 0)
		*to++ = '-';
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (is_plain(c, i == 0)) {
			*to++ = (char)c;
			continue;
		}
		*to++ = '%';
		*to++ = "0123456789ABCDEF"[c >> 4];
		*to++ = "0123456789ABCDEF"[c & 0xf];
	}
	return to;
}

size_t record_encode(const struct record *record, char line[RECORD_MAX])
{
	const char *form = form_of(record->tag);
	char *to = line + BODY;

	if (form == NULL)
		return 0;
	*to++ = record->tag;
	for (; *form != '\0'; form++) {
		const struct field *field = field_of(*form);
		const void *value = (const char *)record + field->at;

		*to++ = ' ';
		if (!field->text) {
			to = number_put(to, *(const uint64_t *)value);
			continue;
		}
		if (((const struct wire_span *)value)->len > field->max)
			return 0;
		to = put_text(to, *(const struct wire_span *)value);
	}
	line[CRC_DIGITS] = record->firm ? '+' : ' ';
	put_crc(line, crc(line + CRC_DIGITS, (size_t)(to - (line + CRC_DIGITS))));
	*to++ = '\n';
	return (size_t)(to - line);
}

/* -- reading ------------------------------------------------------------------------------ */

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Unescapes in place; the text can only become shorter.  Returns false where it is not as
 * put_text would have written it. */
static bool take_text(char *p, size_t len, const struct field *field, struct wire_span *text)
{
	size_t in = 0, out = 0;

	*text = (struct wire_span){p, 0};
	if (len == 1 && *p == '-')
		return true;
	while (in < len) {
		unsigned char c = (unsigned char)p[in++];

		if (c == '%') {
			int high = len - in >= 2 ? hex_value(p[in]) : -1;
			int low = len - in >= 2 ? hex_value(p[in + 1]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (unsigned char)(high << 4 | low);
			if (is_plain(c, out == 0) || (c == '\0' && field->letter != 'u'))
				return false;
			in += 2;
		} else if (!is_plain(c, out == 0)) {
			return false;
		}
		p[out++] = (char)c;
	}
	text->len = out;
	return out > 0 && out <= field->max;
}

static bool take_field(char *p, size_t len, const struct field *field, struct record *record)
{
	void *value = (char *)record + field->at;

	if (field->text)
		return take_text(p, len, field, value);
	if (len > 1 && *p == '0')
		return false; /* one number, one form */
	return number_parse(p, len, field->max, value);
}

bool record_decode(char *line, size_t len, struct record *record)
{
	const char *form;
	char sum[CRC_DIGITS];
	size_t at = BODY + 1;

	*record = (struct record){0};
	if (len < at || len >= RECORD_MAX)
		return false;
	put_crc(sum, crc(line + CRC_DIGITS, len - CRC_DIGITS));
	form = form_of(line[BODY]);
	if (memcmp(sum, line, CRC_DIGITS) != 0 || form == NULL)
		return false;
	if (line[CRC_DIGITS] != ' ' && line[CRC_DIGITS] != '+')
		return false;
	record->tag = line[BODY];
	record->firm = line[CRC_DIGITS] == '+';
	for (; *form != '\0'; form++) {
		const char *end;
		size_t n;

		if (at == len || line[at++] != ' ')
			return false;
		end = memchr(line + at, ' ', len - at);
		n = end != NULL ? (size_t)(end - (line + at)) : len - at;
		if (!take_field(line + at, n, field_of(*form), record))
			return false;
		at += n;
	}
	return at == len;
}

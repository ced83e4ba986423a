/* SPDX-License-Identifier: MIT */
/*
 * header.c - what a message's header says, for people.
 *
 * Nothing of it decides anything, so the rules are those of a reader and not of a standard:
 * encoded words may be long, hold blanks and stand next to other text, their characters may be
 * torn over two words, 8-bit text that is no UTF-8 is taken for Windows-1252.  What cannot be
 * understood is shown as it came.
 *
 * The name of a charset is a stranger's word, and iconv(3) loads code by it: only those of the
 * list below are asked for.  ISO-2022-CN-EXT and its like are not among them on purpose
 * (CVE-2024-2961).  ASCII, UTF-8, Latin-1 and Windows-1252 need no iconv.
 *
 * How wide a character is says the C library, whatever the locale of the run is.
 *
 * On failure there is none: what does not fit is left out.  Called by look.c and display.c.
 */
#include "config.h"

#include "header.h"

#include <errno.h>
#include <iconv.h>
#include <locale.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <wchar.h>

#define UNKNOWN "\xef\xbf\xbd" /* U+FFFD stands for what makes no sense */
#define DOTS "..."             /* stands for what is cut */
#define JOINER "\xe2\x80\x8d"  /* U+200D, between the emoji of a family */
#define TO_EMOJI 0xfe0f        /* variation selector 16: what stands before it is one */
#define OLDEST 1980            /* the year; nobody's mail is older */

#define UTF_8 "utf-8"
#define WINDOWS "windows-1252"
#define RAW "" /* whoever wrote it did not know either */

/* What iconv(3) is asked for, and by which labels: browsers have learnt that some mean more than
 * they say (WHATWG, Encoding Standard).  NULL: taken at their word. */
static const char *const charsets[][2] = {
	{UTF_8, "utf-8"},
	{RAW, "us-ascii ascii ansi_x3.4-1968 unknown-8bit x-unknown"},
	{WINDOWS, "windows-1252 cp1252 iso-8859-1 latin1 cp819"},
	{"gb18030", "gb18030 gb2312 gbk x-gbk cp936"},
	{"big5-hkscs", "big5-hkscs big5 x-x-big5 cp950"},
	{"cp932", "shift_jis sjis x-sjis ms_kanji windows-31j cp932"},
	{"cp949", "euc-kr ks_c_5601-1987 ks_c_5601 uhc windows-949 cp949"},
	{"cp874", "tis-620 iso-8859-11 windows-874 cp874"},
	{"windows-1254", "windows-1254 cp1254 iso-8859-9 latin5"},
	{"iso-8859-8", "iso-8859-8 iso-8859-8-i iso-8859-8-e"},
	{NULL, "euc-jp iso-2022-jp koi8-r koi8-u cp866 macintosh iso-8859-2 iso-8859-3 iso-8859-4 "
	       "iso-8859-5 iso-8859-6 iso-8859-7 iso-8859-10 iso-8859-13 iso-8859-14 iso-8859-15 "
	       "iso-8859-16 windows-1250 windows-1251 windows-1253 windows-1255 windows-1256 "
	       "windows-1257 windows-1258 cp1250 cp1251 cp1253 cp1255 cp1256 cp1257 cp1258"},
};

/* Windows-1252 from 0x80 to 0x9f; 0: nothing.  All else is as in Latin-1. */
static const uint16_t windows[32] = {
	0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039,
	0x0152, 0, 0x017d, 0, 0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc,
	0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178,
};

/* An encoded word, in pieces. */
struct word {
	const char *charset, *text;
	size_t charset_len, len;
	bool base64;
};

/* Encoded words of one charset that follow each other: a character may be torn between them. */
struct row {
	char charset[32];
	struct str bytes;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* -- fields ------------------------------------------------------------------------------- */

/* The length of the field's name and colon at the start of a line; 0: it is another field. */
static size_t is_named(const char *line, size_t len, const char *name)
{
	size_t n = strlen(name);

	if (len <= n || strncasecmp(line, name, n) != 0)
		return 0;
	while (n < len && is_blank(line[n]))
		n++;
	return n < len && line[n] == ':' ? n + 1 : 0;
}

/* Where a line is to be cut: within its first bytes, and not within a character, for text that ends
 * in half of one would not be taken for UTF-8. */
static size_t cut_at(const char *line, size_t bytes)
{
	size_t at = bytes;

	while (at > 0 && bytes - at < 3 && ((unsigned char)line[at] & 0xc0) == 0x80)
		at--;
	return at;
}

/* Adds a line of a value without the blanks around it; one blank joins it with those before, and
 * room is left for that one and the dots of the next.  A tab within is a blank like any other.
 * false: it is cut, and is the last. */
static bool add_line(struct str *value, const char *line, size_t len)
{
	size_t room, at = value->len;

	while (len > 0 && is_blank(*line)) {
		line++;
		len--;
	}
	while (len > 0 && (is_blank(line[len - 1]) || line[len - 1] == '\r'))
		len--;
	if (value->len > 0 && len > 0)
		str_puts(value, " ");
	room = value->max - value->len;
	room = room > sizeof DOTS ? room - sizeof DOTS : 0;
	str_add(value, line, len <= room ? len : cut_at(line, room));
	if (len > room)
		str_puts(value, DOTS);
	for (; at < value->len; at++)
		if (value->s[at] == '\t')
			value->s[at] = ' ';
	return len <= room;
}

bool header_field(const char *head, size_t len, const char *name, struct str *value)
{
	const char *end = head + len;
	bool found = false;
	size_t n;

	for (const char *line = head, *next; line < end; line = next + 1) {
		size_t left = (size_t)(end - line), skip;

		next = memchr(line, '\n', left);
		next = next != NULL ? next : end;
		n = (size_t)(next - line);
		if (n == 0 || (n == 1 && *line == '\r'))
			break;
		if (found && !is_blank(*line))
			break;
		skip = found ? 0 : is_named(line, n, name);
		found = found || skip > 0;
		if (found && !add_line(value, line + skip, n - skip))
			break;
	}
	return found;
}

/* -- charsets ----------------------------------------------------------------------------- */

/* One below U+10000. */
static void add_character(struct str *text, uint32_t c)
{
	char unit[] = {(char)(0xe0 | c >> 12), (char)((c < 0x800 ? 0xc0 : 0x80) | (c >> 6 & 0x3f)),
	               (char)(c < 0x80 ? c : 0x80 | (c & 0x3f))};
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : 3;

	str_add(text, unit + sizeof unit - n, n);
}

static void add_windows(struct str *text, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c >= 0x80 && c < 0xa0)
			add_character(text, windows[c - 0x80] != 0 ? windows[c - 0x80] : 0xfffd);
		else
			add_character(text, c);
	}
}

static bool is_utf8(const char *bytes, size_t len)
{
	uint32_t c;

	for (size_t at = 0, n; at < len; at += n)
		if ((n = utf8_read(bytes + at, len - at, &c)) == 0)
			return false;
	return true;
}

static void add_utf8(struct str *text, const char *bytes, size_t len)
{
	uint32_t c;

	for (size_t at = 0, n; at < len; at += n > 0 ? n : 1) {
		n = utf8_read(bytes + at, len - at, &c);
		if (n > 0)
			str_add(text, bytes + at, n);
		else
			str_puts(text, UNKNOWN);
	}
}

/* Text that names no charset. */
static void add_raw(struct str *text, const char *bytes, size_t len)
{
	if (is_utf8(bytes, len))
		str_add(text, bytes, len);
	else
		add_windows(text, bytes, len);
}

static void add_by_iconv(struct str *text, const char *charset, const char *bytes, size_t len)
{
	iconv_t cd = iconv_open("UTF-8", charset);
	char *in = (char *)bytes; /* iconv does not write there */
	bool more = true;

	if (cd == (iconv_t)-1) {
		add_raw(text, bytes, len);
		return;
	}
	while (more) {
		char out[256], *to = out;
		bool last = len == 0; /* what it holds back, to see whether it combines */
		size_t room = sizeof out, rc = iconv(cd, last ? NULL : &in, &len, &to, &room);
		int why = rc == (size_t)-1 ? errno : 0;

		str_add(text, out, (size_t)(to - out));
		if (why == E2BIG && to > out)
			continue;
		more = !last;
		if (why == 0 || why == E2BIG || last)
			continue;
		str_puts(text, UNKNOWN);
		len = why == EILSEQ ? len - 1 : 0; /* else a character is not whole */
		in++;
	}
	iconv_close(cd);
}

/* By letters and digits alone: "ISO_8859-1" and "iso8859-1" are one.  The label ends at a blank. */
static bool is_label(const char *name, const char *label)
{
	for (;; name++, label++) {
		name += strspn(name, "-_");
		label += strspn(label, "-_");
		if (*name == '\0' || *label == ' ' || strncasecmp(name, label, 1) != 0)
			return *name == '\0' && (*label == '\0' || *label == ' ');
	}
}

/* The name by which it is asked for; NULL: it is not. */
static const char *charset_of(const char *name)
{
	for (size_t i = 0; i < sizeof charsets / sizeof *charsets; i++)
		for (const char *at = charsets[i][1]; at != NULL; at = strchr(at, ' ')) {
			at += *at == ' ';
			if (is_label(name, at))
				return charsets[i][0] != NULL ? charsets[i][0] : name;
		}
	return NULL;
}

static void end_row(struct row *row, struct str *text)
{
	const char *charset = charset_of(row->charset);
	const struct str *bytes = &row->bytes;

	if (bytes->len > 0 && strcmp(charset, RAW) == 0)
		add_raw(text, bytes->s, bytes->len);
	else if (bytes->len > 0 && strcmp(charset, UTF_8) == 0)
		add_utf8(text, bytes->s, bytes->len);
	else if (bytes->len > 0 && strcmp(charset, WINDOWS) == 0)
		add_windows(text, bytes->s, bytes->len);
	else if (bytes->len > 0)
		add_by_iconv(text, charset, bytes->s, bytes->len);
	str_cut(&row->bytes, 0);
	row->charset[0] = '\0';
}

/* -- encoded words ------------------------------------------------------------------------ */

static int digit64(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

static int digit16(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void add_base64(struct str *bytes, const char *text, size_t len)
{
	uint32_t bits = 0;
	unsigned held = 0;

	for (size_t i = 0; i < len && text[i] != '='; i++) {
		int digit = digit64(text[i]);

		if (digit < 0)
			continue;
		bits = (bits << 6 | (uint32_t)digit) & 0xffffff;
		held += 6;
		if (held >= 8) {
			held -= 8;
			str_add(bytes, &(char){(char)(bits >> held)}, 1);
		}
	}
}

static void add_quoted(struct str *bytes, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		int high = text[i] == '=' && len - i > 2 ? digit16(text[i + 1]) : -1;
		int low = high >= 0 ? digit16(text[i + 2]) : -1;
		char c = text[i] == '_' ? ' ' : text[i];

		if (low >= 0) {
			c = (char)(high << 4 | low);
			i += 2;
		}
		str_add(bytes, &c, 1);
	}
}

/* Reads "=?CHARSET?B?TEXT?=".  Returns its length, 0 where it is none. */
static size_t take_word(const char *p, size_t len, struct word *word)
{
	const char *mark, *end = p + len;

	if (len < 8 || p[0] != '=' || p[1] != '?')
		return 0;
	word->charset = p + 2;
	mark = memchr(word->charset, '?', len - 2);
	if (mark == NULL || end - mark < 5 || mark[2] != '?' ||
	    strchr("bBqQ", mark[1]) == NULL || mark[1] == '\0')
		return 0;
	word->charset_len = (size_t)(mark - word->charset);
	word->base64 = mark[1] == 'b' || mark[1] == 'B';
	word->text = mark + 3;
	mark = memchr(word->text, '?', (size_t)(end - word->text));
	if (mark == NULL || end - mark < 2 || mark[1] != '=')
		return 0;
	word->len = (size_t)(mark - word->text);
	return (size_t)(mark + 2 - p);
}

/* Takes it to the row.  false: its charset is unknown, and it is text like any other. */
static bool add_word(struct row *row, const struct word *word, struct str *text)
{
	char name[sizeof row->charset] = "";
	const char *star = memchr(word->charset, '*', word->charset_len); /* RFC 2231: *LANGUAGE */
	size_t len = star != NULL ? (size_t)(star - word->charset) : word->charset_len;

	if (len >= sizeof name)
		return false;
	memcpy(name, word->charset, len);
	if (charset_of(name) == NULL)
		return false;
	if (strcasecmp(name, row->charset) != 0)
		end_row(row, text);
	text_copy(row->charset, sizeof row->charset, name);
	if (word->base64)
		add_base64(&row->bytes, word->text, word->len);
	else
		add_quoted(&row->bytes, word->text, word->len);
	return true;
}

void header_decode(const char *value, size_t len, struct str *text)
{
	struct row row = {.bytes = {.max = HEADER_MAX}};
	struct word word;
	size_t at = 0, plain = 0, n; /* plain: where text that is not encoded begins */
	bool after_word = false;

	while (at < len) {
		size_t gap = plain;

		n = take_word(value + at, len - at, &word);
		if (n == 0) {
			at++;
			continue;
		}
		while (gap < at && is_blank(value[gap]))
			gap++;
		if (!(after_word && gap == at)) { /* blanks between two words are not there */
			end_row(&row, text);
			add_raw(text, value + plain, at - plain);
		}
		after_word = add_word(&row, &word, text);
		if (!after_word) {
			end_row(&row, text);
			add_raw(text, value + at, n);
		}
		plain = at += n;
	}
	end_row(&row, text);
	add_raw(text, value + plain, len - plain);
	str_free(&row.bytes);
}

/* -- people ------------------------------------------------------------------------------- */

/* The first such character outside quotes; NULL: none. */
static const char *find_bare(const char *value, size_t len, char c)
{
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		if (value[i] == '\\' && quoted)
			i++;
		else if (value[i] == '"')
			quoted = !quoted;
		else if (value[i] == c && !quoted)
			return value + i;
	}
	return NULL;
}

/* Without quotes, and without blanks around it. */
static void add_name(struct str *name, const char *value, size_t len)
{
	bool quoted = false;

	while (len > 0 && is_blank(value[len - 1]))
		len--;
	for (size_t i = 0; i < len; i++) {
		if (value[i] == '"') {
			quoted = !quoted;
			continue;
		}
		if (value[i] == '\\' && quoted && i + 1 < len)
			i++;
		if (name->len > 0 || !is_blank(value[i]))
			str_add(name, value + i, 1);
	}
}

/* From start to the character that closes it, or to the end. */
static void add_inside(struct str *name, const char *start, const char *end, char close)
{
	const char *stop = memchr(start, close, (size_t)(end - start));

	add_name(name, start, (size_t)((stop != NULL ? stop : end) - start));
}

void header_sender(const char *value, size_t len, struct str *text)
{
	struct str name = {.max = HEADER_MAX};
	const char *angle = find_bare(value, len, '<'), *round = find_bare(value, len, '(');

	if (angle != NULL)
		add_name(&name, value, (size_t)(angle - value));
	else if (round != NULL)
		add_inside(&name, round + 1, value + len, ')');
	if (name.len == 0 && angle != NULL)
		add_inside(&name, angle + 1, value + len, '>');
	if (name.len == 0)
		add_name(&name, value, len);
	if (name.len > 0)
		header_decode(name.s, name.len, text);
	str_free(&name);
}

/* -- dates -------------------------------------------------------------------------------- */

/* Seconds east of Greenwich.  What is no number may be America; other letters have been used in so
 * many ways that they say nothing (RFC 5322, 4.3). */
static int64_t zone_of(const char *zone)
{
	static const char america[] = "EDTESTCDTCSTMDTMSTPDTPST"; /* -4, -5, -5, -6, -6, ... */
	uint64_t n;

	if ((*zone == '+' || *zone == '-') && number_parse(zone + 1, 4, 1459, &n))
		return (*zone == '-' ? -60 : 60) * (int64_t)(n / 100 * 60 + n % 100);
	for (int i = 0; i < 8; i++)
		if (strncasecmp(zone, america + (size_t)i * 3, 3) == 0)
			return -3600 * (4 + (i + 1) / 2);
	return 0;
}

bool header_date(const char *value, size_t len, int64_t *when)
{
	struct str text = {.max = HEADER_MAX};
	struct tm tm = {0};
	const char *at;

	if (len == 0 || str_add(&text, value, len) == -1)
		return false;
	at = text.s + strcspn(text.s, "0123456789"); /* the name of the day says nothing */
	at = strptime(at, "%d %b %Y %H:%M", &tm);
	if (at != NULL && *at == ':')
		at = strptime(at, ":%S", &tm);
	tm.tm_year += tm.tm_year < 50 - 1900 ? 2000 : tm.tm_year < 1000 - 1900 ? 1900 : 0;
	if (at != NULL && *at != '\0' && *at != ' ')
		at = NULL;
	if (at != NULL)
		*when = timegm(&tm) - zone_of(at + strspn(at, " "));
	str_free(&text);
	return at != NULL && tm.tm_year >= OLDEST - 1900;
}

/* -- columns ------------------------------------------------------------------------------ */

/* Where the C library does not know: by large blocks, and rather too wide, for that only makes a
 * crooked column, while a line that is wider than the terminal wraps. */
static size_t guess_width(uint32_t c)
{
	if ((c >= 0x0300 && c <= 0x036f) || (c >= 0x200b && c <= 0x200d) || (c & ~0xfu) == 0xfe00)
		return 0;
	return (c >= 0x1100 && c <= 0x115f) || (c >= 0x231a && c <= 0x2bff) || c >= 0x2e80 ? 2 : 1;
}

/* How many columns a terminal gives to a character.  Of flags each letter has two on some; where
 * they are joined to one flag, as other emoji to one family, the line is shorter than we think. */
static size_t width_of(uint32_t c)
{
	static bool asked;
	static locale_t unicode; /* lives as long as the process */
	locale_t before;
	int width;

	if (c < 0x80)
		return 1;
	if (c >= 0x1f1e6 && c <= 0x1f1ff)
		return 2;
	if (!asked)
		unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	asked = true;
	if (unicode == (locale_t)0)
		return guess_width(c);
	before = uselocale(unicode);
	width = wcwidth((wchar_t)c);
	uselocale(before);
	return width >= 0 ? (size_t)width : guess_width(c);
}

/* How many bytes of text fill at most so many columns; *used: how many they fill. */
static size_t fitting(const char *text, size_t len, size_t columns, size_t *used)
{
	size_t at = 0, n, width = 0;
	uint32_t c;

	for (*used = 0; at < len; at += n) {
		n = utf8_read(text + at, len - at, &c);
		if (n == 0) {
			n = 1;
			c = ' ';
		}
		/* a narrow sign that is to be shown as an emoji is wide then, on many terminals */
		width = c == TO_EMOJI && width == 1 ? 1 : width_of(c);
		if (*used + width > columns)
			break;
		*used += width;
	}
	return at;
}

size_t header_columns(const char *text)
{
	size_t used;

	fitting(text, strlen(text), SIZE_MAX, &used);
	return used;
}

void header_fit(const char *text, size_t columns, bool fill, struct str *line)
{
	size_t len = strlen(text), used, fits = fitting(text, len, columns, &used);

	if (fits < len) {
		size_t dots = columns < 3 ? columns : 3;

		fits = fitting(text, len, columns - dots, &used);
		while (fits >= 3 && memcmp(text + fits - 3, JOINER, 3) == 0)
			fits -= 3; /* tmux would join the next wide character to nothing */
		str_add(line, text, fits);
		str_add(line, "...", dots);
		used += dots;
	} else {
		str_add(line, text, len);
	}
	for (; fill && used < columns; used++)
		str_puts(line, " ");
}

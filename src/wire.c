/* SPDX-License-Identifier: MIT */
/*
 * wire.c - what the bytes of a POP3 server mean.
 *
 * Everything that a stranger sends passes through this file before anybody believes it.  The
 * functions take bytes and return facts: no reading, no memory, no logging, no NUL needed, and
 * every number has a maximum.  They cannot fail but by saying "no"; what "no" means for the
 * session is decided above (pop3.c, listing.c).
 *
 * Two functions are on the way of every byte of mail, wire_undot and wire_mboxrd.  They look at
 * many bytes at a time, and they carry their state over any cut of the input, so that no way the
 * network splits a message can change it.
 */
#include "config.h"

#include "wire.h"

#include <string.h>
#if defined __SSE2__ && !defined WIRE_PLAIN
#define BY_STRIDES
#include <emmintrin.h>
#endif

#include "base.h"

#define MAX_TIMESTAMP 250

/* -- words and numbers -------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* ASCII only: the protocol is, and a locale may not change what a server said. */
static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* word is lower case. */
static bool is_word(struct wire_span span, const char *word)
{
	size_t n = strlen(word);

	if (span.len != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (lower(span.p[i]) != word[i])
			return false;
	return true;
}

static bool begins_with(struct wire_span span, const char *word)
{
	size_t n = strlen(word);

	return span.len >= n && is_word((struct wire_span){span.p, n}, word);
}

static void skip(struct wire_span *rest, size_t n)
{
	rest->p += n;
	rest->len -= n;
}

static void skip_blanks(struct wire_span *rest)
{
	while (rest->len > 0 && is_blank(*rest->p))
		skip(rest, 1);
}

/* The bytes up to the next blank; empty at the end of the line. */
static struct wire_span take_word(struct wire_span *rest)
{
	struct wire_span word;

	skip_blanks(rest);
	word = (struct wire_span){rest->p, 0};
	while (rest->len > 0 && !is_blank(*rest->p)) {
		skip(rest, 1);
		word.len++;
	}
	return word;
}

static bool take_number(struct wire_span *rest, uint64_t max, uint64_t *value)
{
	struct wire_span word = take_word(rest);

	return number_parse(word.p, word.len, max, value);
}

/* -- status lines ------------------------------------------------------------------------- */

/* Codes have a hierarchy (RFC 2449 section 8: "SYS/TEMP/DISK" would be a SYS/TEMP), so the known
 * part must end where the code ends, or at a slash. */
static enum wire_code judge_code(struct wire_span text)
{
	static const struct {
		const char *word;
		enum wire_code code;
	} codes[] = {
		{"[in-use", WIRE_CODE_IN_USE},     {"[login-delay", WIRE_CODE_LOGIN_DELAY},
		{"[sys/temp", WIRE_CODE_SYS_TEMP}, {"[sys/perm", WIRE_CODE_SYS_PERM},
		{"[auth", WIRE_CODE_AUTH},         {"[utf8", WIRE_CODE_UTF8},
	};

	if (text.len == 0 || *text.p != '[' || memchr(text.p, ']', text.len) == NULL)
		return WIRE_CODE_NONE;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		size_t n = strlen(codes[i].word);

		if (begins_with(text, codes[i].word) && (text.p[n] == ']' || text.p[n] == '/'))
			return codes[i].code;
	}
	return WIRE_CODE_OTHER;
}

void wire_status(const char *line, size_t len, struct wire_status *out)
{
	struct wire_span rest = {line, len};
	struct wire_span word = take_word(&rest);

	if (len == 0 || is_blank(*line))
		out->verdict = WIRE_NONSENSE;
	else if (is_word(word, "+ok"))
		out->verdict = WIRE_OK;
	else if (is_word(word, "-err"))
		out->verdict = WIRE_ERR;
	else if (is_word(word, "+"))
		out->verdict = WIRE_CONTINUE;
	else
		out->verdict = WIRE_NONSENSE;
	skip_blanks(&rest);
	out->text = out->verdict == WIRE_NONSENSE ? (struct wire_span){line, len} : rest;
	out->code = out->verdict == WIRE_CONTINUE ? WIRE_CODE_NONE : judge_code(out->text);
}

bool wire_timestamp(const char *text, size_t len, struct wire_span *stamp)
{
	const char *open = memchr(text, '<', len);
	size_t left = open != NULL ? len - (size_t)(open - text) : 0;
	const char *close = open != NULL ? memchr(open, '>', left) : NULL;
	size_t ats = 0;

	if (close == NULL || close - open > MAX_TIMESTAMP - 1)
		return false;
	for (const char *p = open + 1; p < close; p++) {
		if (*p <= ' ' || *p > '~' || *p == '<')
			return false;
		ats += *p == '@';
	}
	*stamp = (struct wire_span){open, (size_t)(close + 1 - open)};
	return ats == 1 && open[1] != '@' && close[-1] != '@';
}

/* -- listings ----------------------------------------------------------------------------- */

bool wire_stat(const char *text, size_t len, uint32_t *count, uint64_t *octets)
{
	struct wire_span rest = {text, len};
	uint64_t n;

	if (!take_number(&rest, WIRE_MAX_COUNT, &n) || !take_number(&rest, INT64_MAX, octets))
		return false;
	*count = (uint32_t)n;
	return true;
}

/* The message number that begins a line of LIST or UIDL. */
static bool take_message_number(struct wire_span *rest, uint32_t *num)
{
	uint64_t n;

	if (!take_number(rest, WIRE_MAX_COUNT, &n) || n == 0)
		return false;
	*num = (uint32_t)n;
	return true;
}

bool wire_list(const char *line, size_t len, uint32_t *num, uint64_t *octets)
{
	struct wire_span rest = {line, len};

	return take_message_number(&rest, num) && take_number(&rest, INT64_MAX, octets);
}

bool wire_uidl(const char *line, size_t len, uint32_t *num, struct wire_span *uid)
{
	struct wire_span rest = {line, len};

	if (!take_message_number(&rest, num))
		return false;
	skip_blanks(&rest);
	*uid = rest;
	return rest.len > 0 && rest.len <= WIRE_MAX_UID;
}

/* -- capabilities ------------------------------------------------------------------------- */

static const struct {
	const char *word;
	enum wire_sasl bit;
} mechanisms[] = {
	{"plain", WIRE_SASL_PLAIN},
	{"login", WIRE_SASL_LOGIN},
	{"cram-md5", WIRE_SASL_CRAM_MD5},
	{"scram-sha-1", WIRE_SASL_SCRAM_SHA_1},
	{"scram-sha-256", WIRE_SASL_SCRAM_SHA_256},
	{"scram-sha-1-plus", WIRE_SASL_SCRAM_SHA_1_PLUS},
	{"scram-sha-256-plus", WIRE_SASL_SCRAM_SHA_256_PLUS},
	{"external", WIRE_SASL_EXTERNAL},
	{"xoauth2", WIRE_SASL_XOAUTH2},
	{"oauthbearer", WIRE_SASL_OAUTHBEARER},
};

static void take_mechanisms(struct wire_span rest, struct wire_capa *capa)
{
	struct wire_span word;

	while ((word = take_word(&rest)).len > 0)
		for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
			if (is_word(word, mechanisms[i].word))
				capa->sasl |= mechanisms[i].bit;
}

/* "EXPIRE 30", "EXPIRE 30 USER", "EXPIRE NEVER"; a server has been seen to say "EXPIRE30". */
static void take_expire(struct wire_span rest, struct wire_capa *capa)
{
	struct wire_span word = take_word(&rest);

	if (is_word(word, "never"))
		capa->expire_days = WIRE_EXPIRE_NEVER;
	else if (!number_parse(word.p, word.len, UINT32_MAX, &capa->expire_days))
		return;
	capa->expire = true;
}

void wire_capa(const char *line, size_t len, struct wire_capa *capa)
{
	struct wire_span rest = {line, len};
	struct wire_span word = take_word(&rest);

	if (is_word(word, "pipelining"))
		capa->pipelining = true;
	else if (is_word(word, "stls"))
		capa->stls = true;
	else if (is_word(word, "top"))
		capa->top = true;
	else if (is_word(word, "uidl"))
		capa->uidl = true;
	else if (is_word(word, "user"))
		capa->user = true;
	else if (is_word(word, "resp-codes"))
		capa->resp_codes = true;
	else if (is_word(word, "sasl"))
		take_mechanisms(rest, capa);
	else if (is_word(word, "expire"))
		take_expire(rest, capa);
	else if (is_word(word, "x-google-rico"))
		capa->windows = true;
	else if (is_word(word, "login-delay") && !take_number(&rest, UINT32_MAX, &capa->login_delay))
		capa->login_delay = 0;
	else if (is_word(word, "utf8")) {
		capa->utf8 = true;
		while ((word = take_word(&rest)).len > 0)
			capa->utf8_user |= is_word(word, "user");
	}
}

/* -- the body of a message ---------------------------------------------------------------- */

enum dot {
	DOT_STUFFED, /* a line of text that was given a dot in front */
	DOT_FINAL,   /* the end of the body */
	DOT_OPEN     /* the bytes at hand cannot tell */
};

/* Judges a line that begins with a dot; *size is what the final line occupies. */
static enum dot judge_dot(const char *line, size_t len, size_t *size)
{
	size_t cr = len > 1 && line[1] == '\r';

	if (len == 1 + cr)
		return DOT_OPEN;
	*size = 2 + cr;
	return line[1 + cr] == '\n' ? DOT_FINAL : DOT_STUFFED;
}

#ifdef BY_STRIDES

#define STRIDE 32 /* bytes that are looked at together */

/* The line ends within the next STRIDE bytes, as bits. */
static uint32_t line_ends(const char *in)
{
	const __m128i lf = _mm_set1_epi8('\n'), *block = (const __m128i *)(const void *)in;
	int low = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(block), lf));
	int high = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(block + 1), lf));

	return (uint32_t)low | (uint32_t)high << 16;
}

/* The bulk of a body, stride after stride wherever lines begin, so that no line has to wait for the
 * end of the one before: each stride is copied as it is, and what stands behind a line end once
 * more, to where it belongs.  Stops in front of a line that begins with a dot, in front of a CR
 * whose LF may come, and where less than two strides are left.  Returns how much of in is used;
 * *out moves on. */
static size_t undot_strides(const char *in, size_t len, char **out)
{
	const char *at = in;
	char *to = *out;

	for (; len - (size_t)(at - in) >= 2 * STRIDE; at += STRIDE) {
		uint32_t ends = line_ends(at);
		const char *from = at;

		memcpy(to, from, STRIDE);
		for (; ends != 0; ends &= ends - 1) {
			const char *lf = at + __builtin_ctz(ends);

			to += lf - from - (lf > in && lf[-1] == '\r');
			*to++ = '\n';
			from = lf + 1;
			if (*from == '.') {
				*out = to;
				return (size_t)(from - in);
			}
			memcpy(to, from, STRIDE);
		}
		to += at + STRIDE - from;
	}
	if (at > in && at[-1] == '\r')
		at--, to--;
	*out = to;
	return (size_t)(at - in);
}

#else

static size_t undot_strides(const char *in, size_t len, char **out)
{
	(void)in, (void)len, (void)out;
	return 0;
}

#endif

/* One line, or what is there of it.  A last CR without its LF stays unused: the next byte tells
 * what it is.  Returns how much of in is used; *out moves on. */
static size_t undot_line(const char *in, size_t len, char **out)
{
	const char *lf = memchr(in, '\n', len);
	size_t line = lf != NULL ? (size_t)(lf - in) : len;
	size_t text = line - (line > 0 && in[line - 1] == '\r');

	memcpy(*out, in, text);
	*out += text;
	if (lf == NULL)
		return text;
	*(*out)++ = '\n';
	return line + 1;
}

size_t wire_undot(struct wire_undot *state, const char *in, size_t len, char *out, size_t *used,
                  bool *end)
{
	size_t at = 0, size, n;
	char *to = out;

	*end = false;
	while (at < len) {
		bool dot = !state->mid_line && in[at] == '.';
		enum dot kind = dot ? judge_dot(in + at, len - at, &size) : DOT_STUFFED;

		if (kind == DOT_OPEN)
			break;
		if (kind == DOT_FINAL) {
			at += size;
			*end = true;
			break;
		}
		at += dot;
		n = undot_strides(in + at, len - at, &to);
		if (n == 0 && (n = undot_line(in + at, len - at, &to)) == 0)
			break;
		at += n;
		state->mid_line = in[at - 1] != '\n';
	}
	*used = at;
	return (size_t)(to - out);
}

/* -- what destinations need from the text ------------------------------------------------- */

static const char from_line[] = "From ";

/* Writes out what looked like the beginning of "From ". */
static size_t put_held(struct wire_mboxrd *state, char *out)
{
	size_t n = state->held;

	memcpy(out, from_line, n);
	state->held = 0;
	return n;
}

/* The ">" may go in front of "From " instead of in front of the line: between them stand only
 * other ">", so the bytes are the same, and no run of ">" ever has to be remembered. */
size_t wire_mboxrd(struct wire_mboxrd *state, const char *text, size_t len, char *out)
{
	size_t in = 0, to = 0;

	while (in < len) {
		if (state->in_line) {
			const char *lf = memchr(text + in, '\n', len - in);
			size_t n = lf != NULL ? (size_t)(lf - (text + in)) + 1 : len - in;

			memcpy(out + to, text + in, n);
			to += n;
			in += n;
			state->in_line = lf == NULL;
		} else if (state->held == 0 && text[in] == '>') {
			out[to++] = text[in++];
		} else if (text[in] == from_line[state->held]) {
			in++;
			if (++state->held == sizeof from_line - 1) {
				out[to++] = '>';
				to += put_held(state, out + to);
				state->in_line = true;
			}
		} else {
			to += put_held(state, out + to);
			state->in_line = true; /* this byte, a LF perhaps, is the line's own */
		}
	}
	return to;
}

size_t wire_mboxrd_end(struct wire_mboxrd *state, char *out)
{
	return put_held(state, out);
}

/* Letters, digits and what addresses are usually made of; nothing that means something to a
 * shell, a header or an mbox, and no "-" in front, where a program would take it for an option. */
static bool is_plain_address(struct wire_span address)
{
	if (address.len == 0 || *address.p == '-')
		return false;
	for (size_t i = 0; i < address.len; i++) {
		char c = address.p[i];

		if (!(c >= '0' && c <= '9') && !(lower(c) >= 'a' && lower(c) <= 'z') &&
		    (c == '\0' || strchr("._%+=@/-", c) == NULL))
			return false;
	}
	return true;
}

/* What stands between the first "<" and the ">" behind it, else the first word. */
static struct wire_span bare_address(struct wire_span value)
{
	const char *open = memchr(value.p, '<', value.len);
	const char *close;

	if (open == NULL)
		return take_word(&value);
	skip(&value, (size_t)(open + 1 - value.p));
	close = memchr(value.p, '>', value.len);
	return (struct wire_span){value.p, close != NULL ? (size_t)(close - value.p) : 0};
}

void wire_sender(const char *head, size_t len, char *to, size_t size)
{
	static const char header[] = "return-path:";
	struct wire_span rest = {head, len};

	while (rest.len > 0 && *rest.p != '\n') {
		const char *lf = memchr(rest.p, '\n', rest.len);
		struct wire_span line = {rest.p, lf != NULL ? (size_t)(lf - rest.p) : rest.len};

		if (begins_with(line, header)) {
			struct wire_span address;

			skip(&line, sizeof header - 1);
			address = bare_address(line);
			if (!is_plain_address(address) || address.len >= size)
				break;
			memcpy(to, address.p, address.len);
			to[address.len] = '\0';
			return;
		}
		skip(&rest, lf != NULL ? line.len + 1 : line.len);
	}
	text_copy(to, size, "MAILER-DAEMON");
}

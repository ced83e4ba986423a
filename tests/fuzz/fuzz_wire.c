/* SPDX-License-Identifier: MIT */
/*
 * fuzz_wire.c - lines of a server: status, STAT, LIST, UIDL, CAPA, and the listing they make.
 *
 * The input: STAT's count, then lines; those up to an empty one are folded in as UIDL's, the
 * others as LIST's.  Each is also judged by every function of wire.c and by a second opinion.
 */
#include "config.h"

#include "fuzz.h"

#include "listing.h"
#include "wire.h"

static bool is_within(struct wire_span span, const char *line, size_t len)
{
	return span.p >= line && span.p <= line + len && span.len <= (size_t)(line + len - span.p);
}

static struct wire_span next_word(struct wire_span *rest)
{
	struct wire_span word;

	while (rest->len > 0 && (*rest->p == ' ' || *rest->p == '\t'))
		rest->p++, rest->len--;
	word = (struct wire_span){rest->p, 0};
	while (rest->len > 0 && *rest->p != ' ' && *rest->p != '\t')
		rest->p++, rest->len--, word.len++;
	return word;
}

/* What stands between the brackets, up to a slash behind a word that is known. */
static enum wire_code code_of(struct wire_span text)
{
	static const char *const words[] = {"in-use", "login-delay", "sys/temp", "sys/perm", "auth",
	                                    "utf8"};
	static const enum wire_code codes[] = {WIRE_CODE_IN_USE, WIRE_CODE_LOGIN_DELAY,
	                                       WIRE_CODE_SYS_TEMP, WIRE_CODE_SYS_PERM,
	                                       WIRE_CODE_AUTH, WIRE_CODE_UTF8};
	const char *end = text.len > 0 ? memchr(text.p, ']', text.len) : NULL;
	size_t len = end != NULL ? (size_t)(end - text.p) : 0;

	if (len == 0 || *text.p != '[')
		return WIRE_CODE_NONE;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		size_t n = strlen(words[i]);

		if (len - 1 >= n && is_same_word(text.p + 1, n, words[i]) &&
		    (len - 1 == n || text.p[1 + n] == '/'))
			return codes[i];
	}
	return WIRE_CODE_OTHER;
}

static void try_status(const char *line, size_t len)
{
	struct wire_span rest = {line, len}, word = next_word(&rest);
	enum wire_verdict verdict = WIRE_NONSENSE;
	struct wire_status status;

	if (is_same_word(word.p, word.len, "+OK"))
		verdict = WIRE_OK;
	else if (is_same_word(word.p, word.len, "-ERR"))
		verdict = WIRE_ERR;
	else if (is_same_word(word.p, word.len, "+"))
		verdict = WIRE_CONTINUE;
	if (word.p != line)
		verdict = WIRE_NONSENSE;
	rest.p = next_word(&rest).p; /* from there to the end */
	rest.len = (size_t)(line + len - rest.p);
	if (verdict == WIRE_NONSENSE)
		rest = (struct wire_span){line, len};
	wire_status(line, len, &status);
	CHECK(is_within(status.text, line, len));
	CHECK(status.verdict == verdict);
	CHECK(status.text.p == rest.p && status.text.len == rest.len);
	CHECK(status.code == (verdict == WIRE_CONTINUE ? WIRE_CODE_NONE : code_of(rest)));
}

/* Whether a line begins with two numbers, and which. */
static bool has_numbers(const char *line, size_t len, uint64_t value[2])
{
	struct wire_span rest = {line, len}, first = next_word(&rest), second = next_word(&rest);

	return number_of(first.p, first.len, WIRE_MAX_COUNT, &value[0]) &&
	       number_of(second.p, second.len, INT64_MAX, &value[1]);
}

static void try_numbers(const char *line, size_t len)
{
	uint64_t value[2] = {0}, octets;
	bool good = has_numbers(line, len, value);
	uint32_t num;

	CHECK(wire_stat(line, len, &num, &octets) == good);
	CHECK(!good || (num == value[0] && octets == value[1]));
	good = good && value[0] > 0;
	CHECK(wire_list(line, len, &num, &octets) == good);
	CHECK(!good || (num == value[0] && octets == value[1]));
}

static void try_uidl(const char *line, size_t len)
{
	struct wire_span rest = {line, len}, first = next_word(&rest), uid;
	uint64_t value;
	uint32_t num;
	bool good = number_of(first.p, first.len, WIRE_MAX_COUNT, &value) && value > 0;

	rest.p = next_word(&rest).p;
	rest.len = (size_t)(line + len - rest.p);
	good = good && rest.len > 0 && rest.len <= WIRE_MAX_UID;
	CHECK(wire_uidl(line, len, &num, &uid) == good);
	CHECK(!good || (num == value && uid.p == rest.p && uid.len == rest.len));
}

/* SASL, EXPIRE, LOGIN-DELAY and the arguments of UTF8. */
static void read_arguments(struct wire_span word, struct wire_span rest, struct wire_capa *capa)
{
	static const char *const mechs[] = {
		"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS",
		"SCRAM-SHA-256-PLUS", "EXTERNAL", "XOAUTH2", "OAUTHBEARER",
	};
	bool sasl = is_same_word(word.p, word.len, "SASL");
	bool utf8 = is_same_word(word.p, word.len, "UTF8");
	struct wire_span next = next_word(&rest);
	uint64_t value;

	if (is_same_word(word.p, word.len, "LOGIN-DELAY"))
		capa->login_delay = number_of(next.p, next.len, UINT32_MAX, &value) ? value : 0;
	if (is_same_word(word.p, word.len, "EXPIRE")) {
		bool never = is_same_word(next.p, next.len, "NEVER");

		if (never || number_of(next.p, next.len, UINT32_MAX, &value)) {
			capa->expire = true;
			capa->expire_days = never ? WIRE_EXPIRE_NEVER : value;
		}
	}
	for (; next.len > 0; next = next_word(&rest)) {
		for (size_t i = 0; sasl && i < sizeof mechs / sizeof *mechs; i++)
			capa->sasl |= is_same_word(next.p, next.len, mechs[i]) ? 1u << i : 0;
		capa->utf8_user |= utf8 && is_same_word(next.p, next.len, "USER");
	}
}

/* A timestamp is a part of the line that can do no harm in a digest. */
static void try_timestamp(const char *line, size_t len)
{
	struct wire_span stamp;
	size_t ats = 0;

	if (!wire_timestamp(line, len, &stamp))
		return;
	CHECK(stamp.p >= line && stamp.p + stamp.len <= line + len && stamp.len >= 5);
	CHECK(stamp.len <= 250 && stamp.p[0] == '<' && stamp.p[stamp.len - 1] == '>');
	for (size_t i = 1; i + 1 < stamp.len; i++) {
		CHECK(stamp.p[i] > ' ' && stamp.p[i] < 0x7f && stamp.p[i] != '<' && stamp.p[i] != '>');
		ats += stamp.p[i] == '@';
	}
	CHECK(ats == 1);
}

static void try_capa(const char *line, size_t len, struct wire_capa *capa)
{
	struct wire_span rest = {line, len}, word = next_word(&rest);
	struct {
		const char *word;
		bool *flag;
	} words[] = {
		{"PIPELINING", &capa->pipelining}, {"STLS", &capa->stls}, {"TOP", &capa->top},
		{"UIDL", &capa->uidl}, {"USER", &capa->user}, {"RESP-CODES", &capa->resp_codes},
		{"UTF8", &capa->utf8}, {"X-GOOGLE-RICO", &capa->windows},
	};
	struct wire_capa want = *capa;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		*words[i].flag |= is_same_word(word.p, word.len, words[i].word);
	read_arguments(word, rest, capa);
	wire_capa(line, len, &want);
	CHECK(memcmp(&want, capa, sizeof want) == 0);
}

/* The first line for a message counts, every other is counted as bad. */
static void fold(struct listing *listing, bool sizes, const char *line, size_t len)
{
	uint32_t num = 0, bad = listing->bad;
	struct message *message = NULL, before = {0};
	struct wire_span uid = {NULL, 0}, got;
	uint64_t octets = 0;
	bool good = sizes ? wire_list(line, len, &num, &octets) : wire_uidl(line, len, &num, &uid);

	if (good)
		message = listing_message(listing, num);
	CHECK(!good || (message != NULL) == (num <= listing->count));
	if (message != NULL)
		before = *message;
	good = message != NULL && (sizes ? !before.listed : before.uid_len == 0);
	if (sizes)
		listing_list(listing, line, len);
	else
		listing_uidl(listing, line, len);
	CHECK(listing->bad == bad + !good);
	CHECK(good || message == NULL || memcmp(message, &before, sizeof before) == 0);
	if (good && sizes) {
		CHECK(message->listed && message->octets == octets);
	} else if (good) {
		got = listing_uid(listing, message);
		CHECK(got.len == uid.len && memcmp(got.p, uid.p, uid.len) == 0);
	}
}

static void check_listing(const struct listing *listing)
{
	size_t sum = 0;

	CHECK(listing_message(listing, 0) == NULL);
	CHECK(listing_message(listing, listing->count + 1) == NULL);
	for (uint32_t num = 1; num <= listing->count; num++) {
		const struct message *message = listing_message(listing, num);

		CHECK(message->uid_len <= WIRE_MAX_UID);
		CHECK((size_t)message->uid_at + message->uid_len <= listing->uids.len);
		CHECK(message->listed || message->octets == 0);
		sum += message->uid_len;
	}
	CHECK(sum == listing->uids.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {(const char *)data, size};
	struct listing listing;
	struct wire_capa capa;
	char *block = exact(in.p, size);
	bool sizes = false;

	memset(&capa, 0, sizeof capa);
	listing_init(&listing, take_byte(&in), 0);
	while (in.len > 0) {
		struct input part = take_until(&in, '\n');
		char *line = at_end(block, size, part.p, part.len);

		try_status(line, part.len);
		try_numbers(line, part.len);
		try_uidl(line, part.len);
		try_capa(line, part.len, &capa);
		try_timestamp(line, part.len);
		fold(&listing, sizes, line, part.len);
		sizes |= part.len == 0;
	}
	free(block);
	check_listing(&listing);
	listing_free(&listing);
	return 0;
}

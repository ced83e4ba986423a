/* SPDX-License-Identifier: MIT */
/*
 * look.c - a session that takes no mail: what is there, what would be done with it, and why.
 *
 * The verdicts are plan.c's, so what is shown is what the next run would do.  No RETR, no DELE:
 * some servers count RETR as fetched.  Headers come by TOP, in one flight where the server can
 * pipeline; one that has no TOP costs two columns.  The journal is only written by --mark-seen,
 * which adds what it does not know yet.
 *
 * What mail says is hostile: it is decoded by header.c, made printable and cut to the terminal's
 * width before it leaves.  Runs in a worker; called by worker.c.
 */
#include "config.h"

#include "look.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cert.h"
#include "display.h"
#include "header.h"
#include "json.h"
#include "link.h"
#include "plan.h"

#define MAX_HEAD 65536   /* octets of a header that are looked at */
#define MOST_UID 400     /* bytes of an object */
#define MOST_FROM 300
#define MOST_DATE 100
#define MARK_AT_ONCE 1000
#define ANY_WIDTH 250    /* columns of a line where there is no terminal */
#define NARROW 60        /* columns that have no room for size and age */
#define BOTH 24          /* columns that are enough for two */

struct sight {
	struct look *l;
	struct listing listing;
	struct plan plan;
	uint64_t now;
	uint32_t asked, shown; /* by TOP; lines that are out */
	bool top, told;        /* it may be asked for; that it may not was told */
	int digits;            /* of the highest number */
	bool terminal, narrow; /* one shows it; it has no room for all columns */
	size_t width, state, why; /* of a line, of its columns */
};

#define say(s, ...) link_line((s)->l->link, "", __VA_ARGS__)

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* -- states ------------------------------------------------------------------------------- */

static void tell_failures(const struct sight *s, const struct message *message, char *to,
                          size_t size)
{
	uint64_t since, next;
	char wait[24];

	seen_failures(s->l->seen, listing_uid(&s->listing, message), message->octets, &since);
	next = since + plan_pause(message->failures);
	if (message->why != WHY_FAILED || next <= s->now)
		snprintf(to, size, "failed x%u, next now", (unsigned)message->failures);
	else
		snprintf(to, size, "failed x%u, in %s", (unsigned)message->failures,
		         display_span(wait, next - s->now + 59));
}

static void tell_state(const struct sight *s, const struct message *message, char *to, size_t size)
{
	uint64_t keep = s->l->account->policy.keep;
	bool fetched_after_failure = message->act == ACT_FETCH && message->failures > 0;
	char day[16];

	if (message->why == WHY_FAILED || fetched_after_failure)
		tell_failures(s, message, to, size);
	else if (message->why == WHY_KEPT && keep < INT64_MAX - message->since)
		snprintf(to, size, "kept until %s", cert_day(day, (int64_t)(message->since + keep)));
	else if (message->act == ACT_DELETE)
		snprintf(to, size, "%sto be deleted", message->why == WHY_TOO_BIG ? "too big, " : "");
	else
		text_copy(to, size, plan_why_text(message->why));
}

/* -- --list ------------------------------------------------------------------------------- */

/* A field of a head in UTF-8; nothing where there is none. */
static void read_field(const struct str *head, const char *name, bool person, struct str *text)
{
	struct str value = {.max = HEADER_MAX};

	if (head->len > 0 && header_field(head->s, head->len, name, &value) && value.len > 0) {
		if (person)
			header_sender(value.s, value.len, text);
		else
			header_decode(value.s, value.len, text);
	}
	str_free(&value);
}

/* The same as a terminal may show it; "" where there is none. */
static void show_field(const struct str *head, const char *name, bool person, char *to, size_t size)
{
	struct str text = {.max = 4 * HEADER_MAX};

	read_field(head, name, person, &text);
	printable(to, size, text.len > 0 ? text.s : "", text.len);
	str_free(&text);
}

/* How long ago it was delivered or, where it is not, was sent by its own word; "" where nobody
 * knows.  A clock may be wrong, but not by more than a day. */
static void tell_age(const struct sight *s, const struct message *message, const struct str *head,
                     char to[24])
{
	struct str date = {.max = HEADER_MAX};
	uint64_t since = message->since;
	int64_t sent;

	read_field(head, "Date", false, &date);
	if (since == 0 && header_date(date.s, date.len, &sent))
		since = (uint64_t)sent;
	*to = '\0';
	if (since > 0 && since <= s->now + 24 * 3600)
		display_span(to, since < s->now ? s->now - since : 0);
	str_free(&date);
}

/* What stands first in a line; number 0: the headings. */
static void add_front(const struct sight *s, struct str *line, uint32_t num)
{
	const struct message *message = num > 0 ? listing_message(&s->listing, num) : NULL;
	char digits[16] = "NUM", size[16] = "SIZE";

	if (message != NULL) {
		snprintf(digits, sizeof digits, "%lu", (unsigned long)num);
		text_copy(size, sizeof size, "?");
		if (message->listed)
			display_size(size, message->octets);
	}
	str_printf(line, "%*s  ", s->digits, digits);
	if (!s->narrow)
		str_printf(line, "%7s  ", size);
}

/* What no column is left for is cut, or left out; a line never wraps.  Frees it. */
static void say_line(const struct sight *s, struct str *line)
{
	struct str out = {.max = 8192};

	while (line->len > 0 && line->s[line->len - 1] == ' ')
		str_cut(line, line->len - 1);
	header_fit(line->s, s->width, false, &out);
	say(s, "%s", out.len > 0 ? out.s : "");
	str_free(line);
	str_free(&out);
}

static void show_row(const struct sight *s, uint32_t num, const struct str *head)
{
	char age[24] = "AGE", state[64] = "STATE", from[400] = "FROM", subject[1200] = "SUBJECT";
	struct str line = {.max = 8192};
	size_t rest, whole;

	if (num > 0) {
		tell_age(s, listing_message(&s->listing, num), head, age);
		tell_state(s, listing_message(&s->listing, num), state, sizeof state);
		show_field(head, "From", true, from, sizeof from);
		show_field(head, "Subject", false, subject, sizeof subject);
	}
	add_front(s, &line, num);
	if (!s->narrow)
		str_printf(&line, "%6s  ", age);
	str_printf(&line, "%-*s  ", (int)s->state, state);
	rest = s->width > line.len + 20 ? s->width - line.len : 20;
	whole = rest < BOTH ? 0 : rest < 75 ? rest * 2 / 5 : 30;
	if (whole > 0) {
		header_fit(from, whole, true, &line);
		str_puts(&line, "  ");
		rest -= whole + 2;
	}
	header_fit(subject, rest, false, &line);
	say_line(s, &line);
}

/* -- with --json -------------------------------------------------------------------------- */

static const char *verdict_of(const struct sight *s, const struct message *message)
{
	if (message->act == ACT_DELETE)
		return "delete";
	if (message->act == ACT_LEAVE)
		return "leave";
	if (message->part)
		return "fetch its header";
	return s->l->account->policy.keep > 0 ? "fetch" : "fetch and delete";
}

/* --dry-run does not run the filter. */
static const char *reason_of(const struct message *message)
{
	return message->sift ? "the filter decides" : plan_why_text(message->why);
}

static void send_object(const struct sight *s, struct json *json)
{
	json_end(json);
	say(s, "%s", json->to);
}

static void add_field(struct json *json, const char *key, const struct str *head, const char *name,
                      bool person, size_t most)
{
	struct str text = {.max = 4 * HEADER_MAX};

	read_field(head, name, person, &text);
	if (text.len > 0)
		json_bytes(json, key, text.s, text.len, most);
	str_free(&text);
}

/* What tell_state tells, in numbers. */
static void add_state(const struct sight *s, const struct message *message, struct json *json)
{
	uint64_t keep = s->l->account->policy.keep, since;

	json_text(json, "action", verdict_of(s, message));
	json_text(json, "reason", reason_of(message));
	if (message->since > 0)
		json_number(json, "delivered", message->since);
	if (message->why == WHY_KEPT && keep < INT64_MAX - message->since)
		json_number(json, "kept_until", message->since + keep);
	if (message->failures == 0)
		return;
	json_number(json, "failures", message->failures);
	if (message->why == WHY_FAILED) {
		seen_failures(s->l->seen, listing_uid(&s->listing, message), message->octets, &since);
		json_number(json, "next_try", since + plan_pause(message->failures));
	}
}

/* head: empty where nobody asked for it.  The subject comes last and gets what room is left. */
static void tell_message(const struct sight *s, uint32_t num, const struct str *head)
{
	const struct message *message = listing_message(&s->listing, num);
	struct wire_span uid = listing_uid(&s->listing, message);
	char text[LINK_TEXT];
	struct json json;

	json_begin(&json, text, sizeof text, "message", s->l->account->name);
	json_number(&json, "number", num);
	if (uid.len > 0)
		json_bytes(&json, "uid", uid.p, uid.len, MOST_UID);
	if (message->listed)
		json_number(&json, "size", message->octets);
	add_state(s, message, &json);
	add_field(&json, "from", head, "From", true, MOST_FROM);
	add_field(&json, "date", head, "Date", false, MOST_DATE);
	add_field(&json, "subject", head, "Subject", false, LINK_TEXT);
	send_object(s, &json);
}

static void tell_mailbox(const struct sight *s)
{
	char text[LINK_TEXT];
	struct json json;

	json_begin(&json, text, sizeof text, "mailbox", s->l->account->name);
	json_number(&json, "messages", s->listing.count);
	json_number(&json, "bytes", s->listing.octets);
	json_number(&json, "fetch", s->plan.fetch);
	json_number(&json, "fetch_bytes", s->plan.octets);
	json_number(&json, "delete", s->plan.remove);
	send_object(s, &json);
}

/* -- --list again ------------------------------------------------------------------------- */

/* One refusal may be about that message; before any header came it is taken for all. */
static void top_refused(struct sight *s, const char *why, bool any_came)
{
	if (any_came)
		return;
	s->top = false;
	if (!s->told)
		note(NOTE_WARN, "the server does not show headers (TOP), so nobody knows from whom and "
		     "about what the mail is: %s", why);
	s->told = true;
}

static int ask_head(const struct sight *s, uint32_t num, struct error *err)
{
	return pop3_send(s->l->pop3, POP3_TOP, num, listing_message(&s->listing, num)->octets, err);
}

/* Takes the answer to the oldest TOP. */
static int take_head(struct sight *s, struct str *head, bool *any_came, struct error *err)
{
	struct pop3 *pop3 = s->l->pop3;
	struct pop3_reply reply;
	char text[4096];
	size_t len;
	int rc;

	str_cut(head, 0);
	if (pop3_reply(pop3, &reply, err) == -1)
		return -1;
	if (!reply.ok) {
		top_refused(s, reply.text, *any_came);
		return 0;
	}
	*any_came = s->top = true;
	while ((rc = pop3_body(pop3, text, sizeof text, &len, err)) == 1) {
		size_t room = MAX_HEAD - head->len;

		str_add(head, text, len < room ? len : room);
	}
	return rc;
}

/* How wide the columns of states and reasons are to be. */
static void measure(struct sight *s)
{
	bool listed = s->l->account->look == LOOK_LIST;
	char state[64];

	s->state = listed ? sizeof "STATE" - 1 : sizeof "WHAT" - 1;
	s->why = sizeof "WHY" - 1;
	for (uint32_t num = 1; num <= s->listing.count; num++) {
		const struct message *message = listing_message(&s->listing, num);
		size_t what, why = strlen(reason_of(message));

		tell_state(s, message, state, sizeof state);
		what = strlen(listed ? state : verdict_of(s, message));
		s->state = what > s->state ? what : s->state;
		s->why = why > s->why ? why : s->why;
	}
}

static void begin_list(struct sight *s)
{
	struct str line = {.max = 8192};
	char size[16];

	if (s->l->account->json) {
		tell_mailbox(s);
	} else {
		str_printf(&line, "%s: %lu message%s, %s", s->l->account->name,
		           (unsigned long)s->listing.count, plural(s->listing.count),
		           display_size(size, s->listing.octets));
		say_line(s, &line);
	}
	s->top = !s->l->pop3->capa.known || s->l->pop3->capa.top;
	if (s->listing.count == 0)
		return;
	if (!s->top)
		top_refused(s, "it does not announce it", false);
	if (s->l->account->json)
		return;
	measure(s);
	show_row(s, 0, &(struct str){0});
}

static int list(struct sight *s, struct error *err)
{
	struct str head = {.max = MAX_HEAD + 1};
	struct pop3 *pop3 = s->l->pop3;
	bool any_came = false;
	int rc = 0;

	begin_list(s);
	while (rc == 0 && s->shown < s->listing.count) {
		while (rc == 0 && s->top && s->asked < s->listing.count && pop3_room(pop3))
			rc = ask_head(s, ++s->asked, err);
		str_cut(&head, 0);
		if (rc == 0 && pop3_owed(pop3) > 0)
			rc = take_head(s, &head, &any_came, err);
		else if (s->shown >= s->asked)
			s->asked++;
		if (rc == 0 && s->l->account->json)
			tell_message(s, ++s->shown, &head);
		else if (rc == 0)
			show_row(s, ++s->shown, &head);
	}
	str_free(&head);
	return rc;
}

/* -- the others --------------------------------------------------------------------------- */

static void explain_row(const struct sight *s, uint32_t num)
{
	const struct message *message = num > 0 ? listing_message(&s->listing, num) : NULL;
	const char *what = num > 0 ? verdict_of(s, message) : "WHAT";
	struct wire_span id = num > 0 ? listing_uid(&s->listing, message)
	                              : (struct wire_span){"UID", sizeof "UID" - 1};
	struct str line = {.max = 8192};
	char uid[80];

	add_front(s, &line, num);
	str_printf(&line, "%-*s  %-*s  %s", (int)s->state, what, (int)s->why,
	           num > 0 ? reason_of(message) : "WHY",
	           id.len > 0 ? printable(uid, sizeof uid, id.p, id.len) : "(no UID)");
	say_line(s, &line);
}

/* A terminal gets headings, and columns as wide as they must be; scripts know the other lines. */
static void begin_explaining(struct sight *s)
{
	unsigned long count = s->listing.count, fetch = s->plan.fetch, remove = s->plan.remove;
	struct str line = {.max = 8192};
	char size[16];

	display_size(size, s->plan.octets);
	s->state = sizeof "fetch and delete" - 1;
	s->why = sizeof "over the limit" - 1;
	if (!s->terminal) {
		say(s, "%s: of %lu message%s %lu would be fetched (%s), %lu deleted without being fetched",
		    s->l->account->name, count, plural(count), fetch, size, remove);
		return;
	}
	str_printf(&line, "%s: %lu message%s, %lu to fetch (%s)", s->l->account->name, count,
	           plural(count), fetch, size);
	if (remove > 0)
		str_printf(&line, ", %lu to delete", remove);
	say_line(s, &line);
	measure(s);
	if (count > 0)
		explain_row(s, 0);
}

static void explain(struct sight *s)
{
	if (s->l->account->json)
		tell_mailbox(s);
	else
		begin_explaining(s);
	for (uint32_t num = 1; num <= s->listing.count; num++)
		if (s->l->account->json)
			tell_message(s, num, &(struct str){0});
		else
			explain_row(s, num);
}

/* Everything without an entry of its own gets one.  An entry of another size or message stays: it
 * matches nothing, and is forgotten in time. */
static int mark_group(struct sight *s, uint32_t *next, uint64_t *marked, struct error *err)
{
	struct spool *spools = xcalloc(MARK_AT_ONCE, sizeof *spools);
	size_t n = 0;
	int rc = 0;

	for (; *next <= s->listing.count && n < MARK_AT_ONCE; ++*next) {
		const struct message *message = listing_message(&s->listing, *next);

		if (message->uid_len == 0 || message->why == WHY_KEPT || message->why == WHY_EXPIRED)
			continue;
		spools[n++] = (struct spool){.num = *next, .octets = message->octets, .fd = -1,
		                             .uid = listing_uid(&s->listing, message),
		                             .fate = SPOOL_SAFE};
	}
	if (n > 0)
		rc = seen_settle(s->l->seen, spools, n, s->now, false, err);
	*marked += n;
	free(spools);
	return rc;
}

static void tell_marked(const struct sight *s, uint64_t marked, uint64_t known)
{
	const char *name = s->l->account->name;
	char text[LINK_TEXT];
	struct json json;

	if (s->l->account->json) {
		json_begin(&json, text, sizeof text, "marked", name);
		json_number(&json, "marked", marked);
		json_number(&json, "known", known);
		send_object(s, &json);
	} else {
		say(s, "%s: %" PRIu64 " message%s marked as delivered, %" PRIu64 " known before", name,
		    marked, plural(marked), known);
	}
}

static int mark(struct sight *s, struct error *err)
{
	uint64_t marked = 0, nameless = 0;

	for (uint32_t num = 1; num <= s->listing.count; num++)
		nameless += listing_message(&s->listing, num)->uid_len == 0;
	for (uint32_t next = 1; next <= s->listing.count;)
		if (mark_group(s, &next, &marked, err) == -1)
			return -1;
	tell_marked(s, marked, s->listing.count - nameless - marked);
	if (nameless > 0)
		note(NOTE_WARN, "%" PRIu64 " message%s without a UID cannot be marked", nameless,
		     plural(nameless));
	return 0;
}

/* What cannot be marked in safety is not begun. */
static int may_mark(const struct look *l, struct error *err)
{
	struct spool_past *pasts;

	if (seen_pasts(l->seen, &pasts) > 0)
		return error_set(err, ERR_TEMP, "an interrupted run is to be completed first: fetch once, "
		                 "then mark");
	return 0;
}

static void tell_login(const struct sight *s)
{
	const struct conn *conn = s->l->pop3->conn;
	const struct account *account = s->l->account;
	char *words = conn->tls != NULL ? tls_describe(conn->tls) : NULL;
	char text[LINK_TEXT];
	struct json json;

	if (account->json) {
		json_begin(&json, text, sizeof text, "login", account->name);
		json_text(&json, "host", account->server.host);
		json_text(&json, "user", account->login.user != NULL ? account->login.user : "");
		json_text(&json, "mechanism", s->l->pop3->mechanism);
		if (words != NULL)
			json_text(&json, "tls", words);
		send_object(s, &json);
	} else if (account->columns > 0 || note_limit >= NOTE_INFO) {
		say(s, "%s: %s lets %s in by %s, %s", account->name, account->server.host,
		    account->login.user, s->l->pop3->mechanism,
		    words != NULL ? words : "without TLS");
	}
	free(words);
}

/* -- the session -------------------------------------------------------------------------- */

static int take_stock(struct sight *s, struct error *err)
{
	const struct account *account = s->l->account;

	if (pop3_list(s->l->pop3, &s->listing, err) == -1)
		return -1;
	s->now = (uint64_t)time(NULL);
	plan_make(&s->plan, &s->listing, s->l->seen, &account->policy, s->now);
	s->terminal = account->columns > 0;
	s->narrow = s->terminal && account->columns < NARROW;
	s->width = s->terminal ? account->columns - 1 : ANY_WIDTH;
	s->digits = snprintf(NULL, 0, "%lu", (unsigned long)s->listing.count);
	s->digits = s->digits < 3 ? 3 : s->digits;
	s->l->waiting = s->plan.fetch;
	s->l->octets = s->plan.octets;
	s->l->kept = s->listing.count - s->plan.fetch;
	if (account->look != LOOK_CHECK && account->look != LOOK_DRY_RUN)
		return 0;
	return plan_check_uids(&s->listing, s->l->seen, s->now, err); /* as a real run would */
}

static int answer(struct sight *s, struct error *err)
{
	switch (s->l->account->look) {
	case LOOK_LIST:
		return list(s, err);
	case LOOK_MARK:
		return mark(s, err);
	case LOOK_DRY_RUN:
		explain(s);
		return 0;
	default:
		return 0;
	}
}

int look_run(struct look *look, struct error *err)
{
	struct sight s = {.l = look};
	struct pop3_reply reply;
	struct error ignored;
	int rc = look->account->look == LOOK_MARK ? may_mark(look, err) : 0;

	if (rc == 0 && look->account->look == LOOK_LOGIN)
		tell_login(&s);
	else if (rc == 0 && (rc = take_stock(&s, err)) == 0)
		rc = answer(&s, err);
	if (pop3_owed(look->pop3) == 0 && !look->pop3->in_body &&
	    pop3_send(look->pop3, POP3_QUIT, 0, 0, &ignored) == 0) /* only manners */
		pop3_reply(look->pop3, &reply, &ignored);
	listing_free(&s.listing);
	return rc;
}

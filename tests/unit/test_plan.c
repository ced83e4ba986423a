/* SPDX-License-Identifier: MIT */
/*
 * test_plan.c - what is fetched, deleted and left: tables of (listing, journal, policy, clock).
 *
 * Verdicts: n fetch, new; c fetch, changed; d delete; k kept; b too big; l over the limit; f failed
 * before; u no UID; x not listed.
 */
#include "config.h"

#include "plan.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

#define FOREVER KEEP_FOREVER
#define DAY 86400
#define NOW (1000 * (uint64_t)DAY)

/* Entries: delivered so many days ago; GONE: an earlier listing lacked it; BARE: its text has no
 * fingerprint. */
#define BARE(name, size) {.uid = name, .octets = size, .bare = true}
#define IS(name, size) {.uid = name, .octets = size}
#define OLD(name, size, days) {.uid = name, .octets = size, .age = days}
#define GONE(name, size, days) {.uid = name, .octets = size, .age = days, .missing = true}

/* Messages: uid NULL has none; octets -1 is no LIST line. */
static const struct row {
	const char *name;
	struct { const char *uid; int octets, age; bool missing, bare; } entries[6];
	struct { const char *uid; int octets; } messages[6];
	uint64_t keep, max_size, limit;
	const char *want;
} rows[] = {
	/* nothing known */
	{"nothing", .want = ""},
	{"new, no keep", {{0}}, {{"a", 10}, {"b", 20}}, 0, .want = "nn"},
	{"new, keep", {{0}}, {{"a", 10}, {"b", 20}}, FOREVER, .want = "nn"},
	{"new, keep 30 days", {{0}}, {{"a", 10}}, 30 * DAY, .want = "n"},
	{"one UID, two new messages", {{0}}, {{"a", 10}, {"a", 10}}, 0, .want = "nn"},
	{"new without a LIST line", {{0}}, {{"a", -1}}, FOREVER, .want = "n"},
	{"new of 0 octets", {{0}}, {{"a", 0}}, FOREVER, .want = "n"},

	/* known, and the same */
	{"delivered, DELE was lost", {IS("a", 10)}, {{"a", 10}}, 0, .want = "d"},
	{"kept for ever", {OLD("a", 10, 999)}, {{"a", 10}}, FOREVER, .want = "k"},
	{"kept for a while", {OLD("a", 10, 29)}, {{"a", 10}}, 30 * DAY, .want = "k"},
	{"kept long enough", {OLD("a", 10, 30)}, {{"a", 10}}, 30 * DAY, .want = "d"},
	{"the clock was set back", {OLD("a", 10, -5)}, {{"a", 10}}, 30 * DAY, .want = "k"},
	{"the clock was set back, no keep", {OLD("a", 10, -5)}, {{"a", 10}}, 0, .want = "d"},
	{"keep was switched off", {OLD("a", 10, 3), OLD("b", 9, 1)}, {{"a", 10}, {"b", 9}, {"c", 8}}, 0,
	 .want = "ddn"},
	{"known and new mixed", {IS("a", 10), IS("c", 30)}, {{"a", 10}, {"b", 20}, {"c", 30}, {"d", 4}},
	 FOREVER, .want = "knkn"},
	{"entries without a message", {IS("a", 10), IS("b", 20)}, {{"b", 20}}, 0, .want = "d"},
	{"case matters", {IS("a", 10)}, {{"A", 10}}, FOREVER, .want = "n"},
	{"a prefix is another UID", {IS("ab", 10)}, {{"a", 10}, {"abc", 10}}, FOREVER, .want = "nn"},

	/* known, and another size */
	{"changed, no keep", {IS("a", 10)}, {{"a", 11}}, 0, .want = "c"},
	{"changed, keep", {IS("a", 10)}, {{"a", 11}}, FOREVER, .want = "c"},
	{"changed, kept for a while", {OLD("a", 10, 5)}, {{"a", 11}}, 30 * DAY, .want = "c"},
	{"changed, kept long enough", {OLD("a", 10, 50)}, {{"a", 11}}, 30 * DAY, .want = "c"},
	{"size unknown now, no keep", {IS("a", 10)}, {{"a", -1}}, 0, .want = "c"},
	{"size unknown now, keep", {IS("a", 10)}, {{"a", -1}}, FOREVER, .want = "k"},
	{"size unknown then", {IS("a", 0)}, {{"a", 10}}, 0, .want = "c"},
	{"size unknown both times", {IS("a", 0)}, {{"a", -1}}, 0, .want = "c"},
	{"0 octets prove nothing", {IS("a", 0)}, {{"a", 0}}, 0, .want = "c"},
	{"exact ones first", {IS("a", 10), IS("a", 20)}, {{"a", 30}, {"a", 20}, {"a", 10}}, 0,
	 .want = "ndd"},
	{"then by UID alone", {IS("a", 10), IS("a", 20)}, {{"a", 30}, {"a", 20}}, 0, .want = "cd"},

	/* one UID and size for several */
	{"both known, no keep", {IS("a", 10), IS("a", 10)}, {{"a", 10}, {"a", 10}}, 0, .want = "dd"},
	{"one of two known, no keep", {IS("a", 10)}, {{"a", 10}, {"a", 10}}, 0, .want = "cn"},
	{"one of two known, keep", {IS("a", 10)}, {{"a", 10}, {"a", 10}}, FOREVER, .want = "cn"},
	{"two of three, keep", {IS("a", 10), IS("a", 10)}, {{"a", 10}, {"a", 10}, {"a", 10}}, FOREVER,
	 .want = "ccn"},
	{"two of three, expired", {OLD("a", 10, 40), OLD("a", 10, 50)},
	 {{"a", 10}, {"a", 10}, {"a", 10}}, 30 * DAY, .want = "ccn"},
	{"two of three, not expired: they will be", {OLD("a", 10, 1), OLD("a", 10, 50)},
	 {{"a", 10}, {"a", 10}, {"a", 10}}, 30 * DAY, .want = "ccn"},
	{"the doubt stays in its size", {IS("a", 10), IS("a", 20)},
	 {{"a", 10}, {"a", 10}, {"a", 20}}, 0, .want = "cnd"},
	{"the doubt stays in its UID", {IS("a", 10), IS("b", 10)}, {{"a", 10}, {"b", 10}, {"a", 10}}, 0,
	 .want = "cdn"},
	{"more known than listed", {IS("a", 10), IS("a", 10)}, {{"a", 10}}, 0, .want = "d"},

	/* it was gone, and something like it is back */
	{"gone and back, no keep", {GONE("a", 10, 5)}, {{"a", 10}}, 0, .want = "c"},
	{"gone and back, keep", {GONE("a", 10, 5)}, {{"a", 10}}, FOREVER, .want = "k"},
	{"gone and back, kept for a while", {GONE("a", 10, 5)}, {{"a", 10}}, 30 * DAY, .want = "k"},
	{"gone and back, kept long enough", {GONE("a", 10, 50)}, {{"a", 10}}, 30 * DAY, .want = "d"},
	{"one gone, one not", {GONE("a", 10, 5), IS("a", 10)}, {{"a", 10}}, 0, .want = "d"},
	{"one gone, one not, two listed", {GONE("a", 10, 5), IS("a", 10)}, {{"a", 10}, {"a", 10}}, 0,
	 .want = "cn"},

	/* its number */
	{"numbers, no keep", {IS("1", 10), IS("2", 10)}, {{"1", 10}, {"2", 10}}, 0, .want = "cc"},
	{"numbers, kept for ever", {IS("1", 10)}, {{"1", 10}}, FOREVER, .want = "k"},
	{"numbers, not kept long enough", {OLD("1", 10, 5)}, {{"1", 10}}, 30 * DAY, .want = "k"},
	{"numbers, kept long enough", {OLD("1", 10, 30)}, {{"1", 10}}, 30 * DAY, .want = "c"},
	{"another's number", {IS("2", 10), IS("10", 10)}, {{"2", 10}, {"10", 10}}, 0, .want = "dd"},
	{"a number in another form", {IS("01", 10)}, {{"01", 10}}, 0, .want = "d"},
	{"numbers, no fingerprint", {BARE("1", 10)}, {{"1", 10}}, 0, .want = "d"},

	/* no UID */
	{"no UID, no keep", {{0}}, {{NULL, 10}}, 0, .want = "n"},
	{"no UID, keep", {{0}}, {{NULL, 10}}, FOREVER, .want = "u"},
	{"no UID, keep 1 s", {{0}}, {{NULL, 10}}, 1, .want = "u"},
	{"in no listing", {{0}}, {{NULL, -1}}, 0, .want = "x"},
	{"in no listing, keep", {{0}}, {{NULL, -1}, {"a", 1}}, FOREVER, .want = "xn"},

	/* limits */
	{"too big", {{0}}, {{"a", 10}, {"b", 11}, {NULL, 12}}, 0, 10, .want = "nbb"},
	{"too big, and known", {IS("a", 11), IS("b", 11)}, {{"a", 11}, {"b", 12}}, 0, 10, .want = "db"},
	{"of unknown size", {{0}}, {{"a", -1}}, 0, 10, .want = "n"},
	{"limit", {{0}}, {{"a", 1}, {"b", 2}, {"c", 3}}, 0, 0, 2, .want = "nnl"},
	{"the limit counts what is fetched", {IS("a", 1), IS("b", 2)}, {{"a", 1}, {"z", 99}, {"b", 2},
	 {"c", 3}, {"d", 4}}, FOREVER, 50, 1, .want = "kbknl"},
};

static char dir[64];
static const struct policy forever = {.keep = KEEP_FOREVER};

static struct seen *fresh_journal(void)
{
	struct seen *seen = NULL;
	struct error err = {0};
	char path[80];

	snprintf(path, sizeof path, "%s/journal", dir);
	unlink(path);
	if (seen_open(&seen, dir, false, &err) == -1)
		OK(false, err.text);
	return seen;
}

static void remember(struct seen *seen, const char *uid, uint64_t octets, uint64_t since,
                     uint64_t mark)
{
	struct spool spool = {.uid = {uid, strlen(uid)}, .octets = octets, .fate = SPOOL_SAFE,
	                      .mark = mark};
	struct error err = {0};

	if (seen_settle(seen, &spool, 1, since, false, &err) == -1)
		OK(false, err.text);
}

/* Those that are missing come first, and a listing that has none of them. */
static struct seen *journal_of(const struct row *row)
{
	struct seen *seen = fresh_journal();
	struct error err = {0};

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < 6 && row->entries[i].uid != NULL; i++)
			if (row->entries[i].missing == (pass == 0))
				remember(seen, row->entries[i].uid, (uint64_t)row->entries[i].octets,
				         NOW - (uint64_t)((int64_t)row->entries[i].age * DAY),
				         row->entries[i].bare ? 0 : 7);
		if (pass == 0) {
			seen_take_begin(seen);
			seen_missing(seen, NOW - DAY, &err);
		}
	}
	return seen;
}

static void listing_of(const struct row *row, struct listing *listing)
{
	uint32_t count = 0;
	char line[64];

	while (count < 6 && (row->messages[count].uid != NULL || row->messages[count].octets != 0))
		count++;
	listing_init(listing, count, 0);
	for (uint32_t i = 0; i < count; i++) {
		int octets = row->messages[i].octets;

		if (row->messages[i].uid != NULL)
			listing_uidl(listing, line, (size_t)snprintf(line, sizeof line, "%u %s", i + 1,
			                                             row->messages[i].uid));
		if (octets >= 0)
			listing_list(listing, line, (size_t)snprintf(line, sizeof line, "%u %d", i + 1,
			                                             octets));
	}
}

/* The plan as verdict letters; '?' where act and why do not go together. */
static void verdicts(const struct listing *listing, char *to)
{
	static const struct { enum message_act act; char letter; } by_why[] = {
		[WHY_NEW] = {ACT_FETCH, 'n'},      [WHY_CHANGED] = {ACT_FETCH, 'c'},
		[WHY_KEPT] = {ACT_LEAVE, 'k'},     [WHY_EXPIRED] = {ACT_DELETE, 'd'},
		[WHY_TOO_BIG] = {ACT_LEAVE, 'b'},  [WHY_LIMIT] = {ACT_LEAVE, 'l'},
		[WHY_NO_UID] = {ACT_LEAVE, 'u'},   [WHY_UNLISTED] = {ACT_LEAVE, 'x'},
		[WHY_FAILED] = {ACT_LEAVE, 'f'},
	};

	for (uint32_t num = 1; num <= listing->count; num++) {
		const struct message *message = listing_message(listing, num);

		*to++ = message->act == (uint8_t)by_why[message->why].act ? by_why[message->why].letter
		                                                         : '?';
	}
	*to = '\0';
}

static uint32_t letters(const char *text, const char *set)
{
	uint32_t n = 0;

	for (; *text != '\0'; text++)
		n += strchr(set, *text) != NULL;
	return n;
}

static void test_row(const struct row *row)
{
	struct policy policy = {.keep = row->keep, .max_size = row->max_size, .limit = row->limit};
	struct seen *seen = journal_of(row);
	struct listing listing;
	struct plan plan;
	char got[16];

	listing_of(row, &listing);
	for (int again = 0; again < 2; again++) { /* a plan changes nothing: the next is the same */
		plan_make(&plan, &listing, seen, &policy, NOW);
		verdicts(&listing, got);
		SAME(got, row->want, row->name);
	}
	OK(plan.fetch == letters(got, "nc") && plan.remove == letters(got, "d") &&
	   plan.kept == letters(got, "k") && plan.too_big == letters(got, "b") &&
	   plan.left == letters(got, "lux"), "the counts are right");
	listing_free(&listing);
	seen_close(&seen, true);
}

/* What is too large, and that a header alone is never taken for a message. */
static void test_large(void)
{
	static const struct {
		const char *name;
		enum large_state state; /* of the large message */
		bool whole;             /* one of its UID and size was delivered, too */
		int oversize;
		uint64_t max_size, keep;
		enum message_act act;
		enum message_why why;
		bool part;
	} cases[] = {
		{"left", LARGE_NEW, false, OVERSIZE_LEAVE, 10, 0, ACT_LEAVE, WHY_TOO_BIG, false},
		{"left and told", LARGE_TOLD, false, OVERSIZE_LEAVE, 10, 0, ACT_LEAVE, WHY_TOO_BIG, false},
		{"deleted", LARGE_NEW, false, OVERSIZE_DELETE, 10, KEEP_FOREVER, ACT_DELETE, WHY_TOO_BIG,
		 false},
		{"deleted, its header is here", LARGE_HEADER, false, OVERSIZE_DELETE, 10, 0, ACT_DELETE,
		 WHY_TOO_BIG, false},
		{"its header", LARGE_NEW, false, OVERSIZE_HEADERS, 10, 0, ACT_FETCH, WHY_TOO_BIG, true},
		{"its header, after it was left", LARGE_TOLD, false, OVERSIZE_HEADERS, 10, 0, ACT_FETCH,
		 WHY_TOO_BIG, true},
		{"its header once, no keep", LARGE_HEADER, false, OVERSIZE_HEADERS, 10, 0, ACT_LEAVE,
		 WHY_HEADER, false},
		{"its header once, and then leave", LARGE_HEADER, false, OVERSIZE_LEAVE, 10, 0, ACT_LEAVE,
		 WHY_HEADER, false},
		{"whole, as max_size grew", LARGE_HEADER, false, OVERSIZE_HEADERS, 20, 0, ACT_FETCH,
		 WHY_NEW, false},
		{"whole, as there is none", LARGE_HEADER, false, OVERSIZE_LEAVE, 0, 0, ACT_FETCH, WHY_NEW,
		 false},
		{"delivered, not its twin", LARGE_NEW, true, OVERSIZE_HEADERS, 10, 0, ACT_DELETE,
		 WHY_EXPIRED, false},
		{"delivered, or its twin", LARGE_HEADER, true, OVERSIZE_HEADERS, 20, 0, ACT_FETCH,
		 WHY_CHANGED, false},
		{"delivered, or its twin, keep", LARGE_HEADER, true, OVERSIZE_HEADERS, 20, KEEP_FOREVER,
		 ACT_FETCH, WHY_CHANGED, false},
		{"delivered, or its twin, too large", LARGE_HEADER, true, OVERSIZE_HEADERS, 10, 0,
		 ACT_LEAVE, WHY_HEADER, false},
	};
	static const struct row row = {"", {{0}}, {{"a", 15}}, .want = ""};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct policy policy = {.keep = cases[i].keep, .max_size = cases[i].max_size,
		                        .oversize = cases[i].oversize};
		struct spool header = {.uid = {"a", 1}, .octets = 15, .part = true, .fate = SPOOL_SAFE};
		struct seen *seen = fresh_journal();
		struct listing listing;
		const struct message *message;
		struct error err = {0};
		struct plan plan;

		if (cases[i].whole)
			remember(seen, "a", 15, NOW - DAY, 0);
		if (cases[i].state == LARGE_HEADER)
			seen_settle(seen, &header, 1, NOW, false, &err);
		else if (cases[i].state == LARGE_TOLD)
			seen_told_large(seen, header.uid, 15, &err);
		listing_of(&row, &listing);
		plan_make(&plan, &listing, seen, &policy, NOW);
		message = listing_message(&listing, 1);
		EQUAL(message->act, cases[i].act, cases[i].name);
		EQUAL(message->why, cases[i].why, cases[i].name);
		EQUAL(message->part, cases[i].part, cases[i].name);
		listing_free(&listing);
		seen_close(&seen, true);
	}
}

/* With a filter nothing is limited here, for it may leave some. */
static void test_filter(void)
{
	static const struct row row = {"", {{0}}, {{"a", 15}, {"b", 10}, {NULL, 9}}, .want = ""};
	struct policy policy = {.max_size = 12, .limit = 1, .filter = (char *)"true"};
	struct seen *seen = fresh_journal();
	struct listing listing;
	struct plan plan;

	listing_of(&row, &listing);
	plan_make(&plan, &listing, seen, &policy, NOW);
	OK(!listing_message(&listing, 1)->sift, "what is too large is not shown to it");
	OK(listing_message(&listing, 2)->sift && listing_message(&listing, 3)->sift, "others are");
	EQUAL(plan.fetch, 2, "all that it may take");
	listing_free(&listing);
	seen_close(&seen, true);
}

/* One that failed waits longer each time, and comes after the others; where it may not have been
 * its fault it need not wait. */
static void test_failed_before(void)
{
	static const struct row row = {"", {{0}}, {{"a", 10}, {"b", 20}}, .want = ""};
	static const struct {
		uint64_t times;
		int64_t ago; /* of the last; 0: the journal has no time of it */
		bool retry;
		const char *want;
		bool last;
	} tries[] = {
		{0, 0, false, "nn", false},   {1, 1, false, "nn", true},       {1, 0, false, "nn", false},
		{2, 1, false, "fn", true},    {2, 899, false, "fn", true},     {2, 900, false, "nn", true},
		{2, 0, false, "nn", true},    {3, 900, false, "fn", true},     {3, 3600, false, "nn", true},
		{4, 14399, false, "fn", true}, {4, 14400, false, "nn", true},
		{99, 14399, false, "fn", true}, {99, 14400, false, "nn", true},
		{99, 1, true, "nn", true},    {99, -5, false, "nn", true},
	};
	struct wire_span uid = {"a", 1};

	for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
		struct policy policy = {.retry = tries[i].retry};
		struct seen *seen = journal_of(&row);
		struct error err = {0};
		struct listing listing;
		struct plan plan;
		char got[16], name[64];

		for (uint64_t n = 0; n < tries[i].times; n++)
			seen_failed(seen, uid, 10, tries[i].ago ? NOW - (uint64_t)tries[i].ago : 0, &err);
		listing_of(&row, &listing);
		plan_make(&plan, &listing, seen, &policy, NOW);
		verdicts(&listing, got);
		snprintf(name, sizeof name, "failed %d times, the last %d s ago", (int)tries[i].times,
		         (int)tries[i].ago);
		SAME(got, tries[i].want, name);
		OK(listing.messages[0].last == tries[i].last && !listing.messages[1].last, name);
		EQUAL(listing.messages[0].failures, tries[i].times, name);
		EQUAL(plan.failed, letters(got, "f"), name);
		listing_free(&listing);
		seen_close(&seen, true);
	}
}

/* A message that cannot be told from a delivered one is fetched again; if the session breaks
 * then, the old entry and the new must not pass for two known messages. */
static void test_broken_session(void)
{
	static const struct row row = {"", {OLD("a", 10, 1)}, {{"a", 10}, {"a", 10}}, .want = ""};
	struct policy policy = {0};
	struct seen *seen = journal_of(&row);
	struct error err = {0};
	struct listing listing;
	struct plan plan;
	char got[16];

	listing_of(&row, &listing);
	plan_make(&plan, &listing, seen, &policy, NOW);
	remember(seen, "a", 10, NOW, 7);
	EQUAL(seen_count(seen), 2, "the old entry waits for its text");
	seen_close(&seen, false);
	seen_open(&seen, dir, false, &err);
	plan_make(&plan, &listing, seen, &policy, NOW);
	verdicts(&listing, got);
	SAME(got, "cn", "one delivered, one not: still nobody knows which");
	remember(seen, "a", 10, NOW, 7);
	remember(seen, "a", 10, NOW, 7);
	plan_make(&plan, &listing, seen, &policy, NOW);
	verdicts(&listing, got);
	SAME(got, "dd", "both delivered: both may go");
	seen_gone(seen, listing_uid(&listing, &listing.messages[0]), 10, 0, &err);
	seen_gone(seen, listing_uid(&listing, &listing.messages[1]), 10, 0, &err);
	EQUAL(seen_count(seen), 2, "and what nobody could tell waits for its text, still");
	listing_free(&listing);
	seen_close(&seen, true);
}

/* An entry whose message went, and another one came in its place. */
static void test_replaced(void)
{
	static const struct row row = {"", {GONE("a", 10, 5)}, {{"a", 10}}, .want = ""};
	struct policy policy = {0};
	struct seen *seen = journal_of(&row);
	struct listing listing;
	struct plan plan;
	char got[8];

	listing_of(&row, &listing);
	plan_make(&plan, &listing, seen, &policy, NOW);
	remember(seen, "a", 10, NOW, 7);
	EQUAL(seen_count(seen), 2, "the entry waits for its text");
	plan_make(&plan, &listing, seen, &policy, NOW);
	verdicts(&listing, got);
	SAME(got, "d", "and does not count: the new one does");
	listing_free(&listing);
	seen_close(&seen, true);
}

static void test_facts(void)
{
	static const struct row row = {"", {OLD("a", 10, 7), OLD("b", 5, 7)},
	                               {{"a", 10}, {"b", 6}, {"c", 3}},
	                               .want = ""};
	struct seen *seen = journal_of(&row);
	struct policy policy = {0};
	struct listing listing;
	struct plan plan;

	listing_of(&row, &listing);
	plan_make(&plan, &listing, seen, &forever, NOW);
	EQUAL(listing.messages[0].since, NOW - 7 * DAY, "since when it is kept");
	EQUAL(listing.messages[2].since, 0, "a new one has no such time");
	EQUAL(plan.octets, 9, "octets to fetch, the changed one among them");
	plan_make(&plan, &listing, seen, &policy, NOW);
	EQUAL(plan.octets, 9, "octets to fetch");
	EQUAL(listing.messages[1].since, 0, "a changed one has no time of delivery");
	listing.messages[1].octets = listing.messages[2].octets = UINT64_MAX;
	plan_make(&plan, &listing, seen, &policy, NOW);
	EQUAL(plan.octets, UINT64_MAX, "absurd sizes do not overflow");
	for (int why = WHY_NEW; why <= WHY_UNLISTED; why++)
		OK(plan_why_text((enum message_why)why)[0] != '\0', "there is a word for it");
	listing_free(&listing);
	seen_close(&seen, true);
}

/* n messages and entries; equal: all of one UID and size. */
static void test_time(uint32_t n, bool equal, const char *name)
{
	struct spool *spools = xcalloc(n, sizeof *spools);
	char (*uids)[32] = xcalloc(n, sizeof *uids);
	struct seen *seen = fresh_journal();
	struct policy policy = {0};
	struct error err = {0};
	struct listing listing;
	struct plan plan;
	clock_t start;
	char line[80];

	listing_init(&listing, n, 0);
	for (uint32_t i = 0; i < n; i++) {
		snprintf(uids[i], sizeof *uids, "%08x4d3a11f0", equal ? 0 : i);
		spools[i] = (struct spool){.uid = {uids[i], strlen(uids[i])}, .octets = 1000,
		                           .fate = SPOOL_SAFE};
		listing_uidl(&listing, line, (size_t)snprintf(line, sizeof line, "%u %s", i + 1, uids[i]));
		listing_list(&listing, line, (size_t)snprintf(line, sizeof line, "%u 1000", i + 1));
	}
	if (seen_settle(seen, spools, n - 1, NOW, false, &err) == -1)
		OK(false, err.text);
	start = clock();
	plan_make(&plan, &listing, seen, &policy, NOW);
	printf("# %s: %u messages planned in %.3f s\n", name, n,
	       (double)(clock() - start) / CLOCKS_PER_SEC);
	EQUAL(plan.remove, equal ? 0 : n - 1, name);
	for (uint32_t i = 0; i < n - 1; i++)
		seen_gone(seen, spools[i].uid, 1000, 0, &err);
	OK((double)(clock() - start) / CLOCKS_PER_SEC < 3, "in linear time");
	listing_free(&listing);
	seen_close(&seen, true);
	free(spools);
	free(uids);
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");
	char path[80];

	if (tmp == NULL || strlen(tmp) > 30)
		tmp = "/tmp";
	snprintf(dir, sizeof dir, "%s/test_plan.XXXXXX", tmp);
	if (mkdtemp(dir) == NULL)
		return 1;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		test_row(&rows[i]);
	test_large();
	test_filter();
	test_failed_before();
	test_broken_session();
	test_replaced();
	test_facts();
	test_time(100000, false, "all different");
	test_time(100000, true, "all the same");
	snprintf(path, sizeof path, "%s/journal", dir);
	unlink(path);
	snprintf(path, sizeof path, "%s/lock", dir);
	unlink(path);
	rmdir(dir);
	return tap_end();
}

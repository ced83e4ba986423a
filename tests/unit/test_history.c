/* SPDX-License-Identifier: MIT */
/*
 * test_history.c - which of an account's failures cron's reader hears of, run after run, and the
 * file that remembers it.
 */
#include "config.h"

#include "history.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "account.h"
#include "tap.h"

#define NOW 1800000000u
#define MINUTES(n) ((n) * 60u)
#define FOR(s) (COMPLAIN_TIME | (s))
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A run's end: . well, t temporary, r refused, h unknown host, a wrong password, c certificate,
 * d disk, w nothing was tried, < the clock is set back by a day and it was temporary. */
static const struct {
	char letter;
	struct error error;
} ends[] = {
	{'t', {.kind = ERR_TEMP, .text = "no answer"}},
	{'r', {.kind = ERR_UNAVAILABLE, .outage = true, .text = "refused"}},
	{'h', {.kind = ERR_NOHOST, .outage = true, .text = "unknown"}},
	{'a', {.kind = ERR_AUTH, .text = "wrong password"}},
	{'c', {.kind = ERR_UNAVAILABLE, .text = "certificate"}},
	{'d', {.kind = ERR_IO, .text = "full"}},
	{'w', {.kind = ERR_TEMP, .waiting = true, .text = "another run"}},
	{'<', {.kind = ERR_TEMP, .text = "no answer"}},
};

/* What is told of each: - nothing, F the failure, O that there is an outage, E its end. */
static const struct {
	const char *name;
	uint64_t after;
	const char *runs, *told;
} rows[] = {
	{"all is well", 3, "....", "----"},
	{"a short outage", 3, ".tt.tt.", "-------"},
	{"a long one, once, and its end once", 3, ".tttttttt..", "---O-----E-"},
	{"the next one, too", 3, ".ttt.ttt.", "---OE--OE"},
	{"of several kinds", 3, ".trhthr.", "---O---E"},
	{"complain_after = 1", 1, ".tt..r.", "-O-E-OE"},
	{"complain_after = 2", 2, ".t.rr.", "----OE"},
	{"complain_after = 0: each, and no word of the end", 0, ".ttr.w", "-FFF-F"},
	{"a wrong password, each time", 3, ".aaa.", "-FFF-"},
	{"a bad certificate", 3, ".cc.", "-FF-"},
	{"a full disk within an outage", 3, ".ttdtt.", "---FO-E"},
	{"and within one that was told", 3, ".tttdt.", "---OF-E"},
	{"a permanent one counts in the row", 3, ".adt.", "-FFOE"},
	{"nothing was tried: nobody knows more", 3, ".twwwwt.", "--------"},
	{"nothing was tried, within a told one", 3, ".tttwt.", "---O--E"},
	{"a pause after refused logins", 3, ".aaawwwwa.", "-FFF----F-"},
	{"never worked: at once, and once", 3, "ttt..tt.", "O--E----"},
	{"never worked, a name that is none", 3, "hh.", "O-E"},
	{"the first run is still at work", 3, "wwwww.", "------"},
	{"ten minutes, runs each five", FOR(MINUTES(10)), ".tttt.", "---O-E"},
	{"two hours", FOR(MINUTES(120)), ".ttttttttttttttttttttttttttt.",
	 "-------------------------O--E"},
	{"less than two hours", FOR(MINUTES(120)), ".tttttttttttt.ttttttttttttt.",
	 "----------------------------"},
	{"no time at all", FOR(0), ".tt.", "-O-E"},
	{"all of it at a terminal", HISTORY_WATCHED, ".ttttwa.", "-FFFFFF-"},
	{"a clock set back", FOR(MINUTES(10)), ".t<tt.", "------"},
};

static const struct error *error_of(char letter)
{
	for (size_t i = 0; i < COUNT(ends); i++)
		if (ends[i].letter == letter)
			return &ends[i].error;
	return NULL;
}

static void test_news(void)
{
	static const char signs[] = "-FOE"; /* by enum history_news */

	for (size_t n = 0; n < COUNT(rows); n++) {
		struct history h = {0};
		char told[64] = "";
		uint64_t now = NOW;

		for (size_t i = 0; rows[n].runs[i]; i++) {
			now -= rows[n].runs[i] == '<' ? 86400 : 0;
			told[i] = signs[history_count(&h, error_of(rows[n].runs[i]), 1, rows[n].after, now)];
			now += MINUTES(5);
		}
		SAME(told, rows[n].told, rows[n].name);
	}
}

static char dir[] = "/tmp/test_history.XXXXXX";

static void write_last(const char *line)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/last", dir);
	f = fopen(path, "w");
	fputs(line, f);
	fclose(f);
}

/* Of temporary failures after a success. */
static enum history_news add(const struct error *err, uint64_t now, char text[HISTORY_TEXT])
{
	return history_add(dir, err, 7, 3, now, text);
}

static void test_file(void)
{
	const struct error *no_answer = error_of('t');
	char text[HISTORY_TEXT];
	struct history h;

	EQUAL(add(NULL, NOW, text), HISTORY_SILENT, "a success");
	SAME(text, "", "says nothing");
	EQUAL(add(no_answer, NOW + 60, text), HISTORY_SILENT, "a failure is kept");
	SAME(text, "no answer", "but can be shown");
	history_read(dir, &h);
	EQUAL(h.told, HISTORY_NOT_YET, "and is known to be");
	EQUAL(h.good_at, NOW, "the last success");
	EQUAL(h.fetched, 7, "what it brought");
	add(error_of('w'), NOW + 70, text);
	EQUAL(history_add(dir, no_answer, 0, HISTORY_WATCHED, NOW + 90, text), HISTORY_FAILED,
	      "the second is told at a terminal");
	history_read(dir, &h);
	EQUAL(h.told, HISTORY_NOT_YET, "and that is nobody else's word");
	EQUAL(add(no_answer, NOW + 460, text), HISTORY_OUTAGE, "the third is told");
	SAME(text, "no answer (failed 3 times in 6 min; told again only when it works)", "so");
	history_read(dir, &h);
	EQUAL(h.told, HISTORY_ONCE, "this is remembered");
	EQUAL(h.since, NOW + 60, "and the first failure");
	EQUAL(h.row, 3, "and how many there were");
	EQUAL(history_add(dir, error_of('r'), 0, HISTORY_WATCHED, NOW + 7800, text), HISTORY_FAILED,
	      "the fourth at a terminal");
	SAME(text, "refused", "so");
	EQUAL(add(error_of('r'), NOW + 7900, text), HISTORY_SILENT, "not the fifth");
	EQUAL(add(NULL, NOW + 7920, text), HISTORY_OVER, "the end is told");
	SAME(text, "works again after 5 failures in 2 h 11 min; the last was: refused", "so");
	EQUAL(add(NULL, NOW + 7950, text), HISTORY_SILENT, "once");
	EQUAL(add(error_of('a'), NOW + 7980, text), HISTORY_FAILED, "a wrong password is told");
	SAME(text, "wrong password", "as it is");
	history_read(dir, &h);
	EQUAL(h.told, HISTORY_EACH, "each time");
}

/* What other versions and crashes leave. */
static void test_forms(void)
{
	static const struct {
		const char *name, *line;
		uint64_t row, since, good_at;
		const char *why;
	} forms[] = {
		{"the older form", "1800000000 3 1800000100 2 no answer\n", 2, 1800000100, 1800000000,
		 "no answer"},
		{"the form of now", "v2 5 3 100 2 90 1 a b\n", 2, 90, 5, "a b"},
		{"an error without words", "v2 5 3 100 2 90 1 \n", 2, 90, 5, ""},
		{"a torn one", "v2 5 3 100 2 90 1 a", 0, 0, 0, ""},
		{"too few fields", "v2 5 3 100 2\n", 0, 0, 0, ""},
		{"nonsense", "v2 5 3 x 2 90 1 a\n", 0, 0, 0, ""},
		{"an empty one", "", 0, 0, 0, ""},
		{"zeros", "v2 \n", 0, 0, 0, ""},
		{"an unknown one", "v3 5 3 100 2 90 1 a\n", 0, 0, 0, ""},
	};

	for (size_t n = 0; n < COUNT(forms); n++) {
		struct history h;

		write_last(forms[n].line);
		history_read(dir, &h);
		EQUAL(h.row, forms[n].row, forms[n].name);
		EQUAL(h.since, forms[n].since, "the first failure");
		EQUAL(h.good_at, forms[n].good_at, "the last success");
		SAME(h.why, forms[n].why, "the error");
	}
}

/* Without a memory there is no silence. */
static void test_no_file(void)
{
	char path[64], text[HISTORY_TEXT];
	struct history h;

	snprintf(path, sizeof(path), "%s/last", dir);
	unlink(path);
	history_read(dir, &h);
	EQUAL(h.good_at + h.bad_at + h.row, 0, "none: never run");
	mkdir(path, 0700);
	EQUAL(add(error_of('t'), NOW, text), HISTORY_FAILED, "what cannot be counted is told");
	SAME(text, "no answer", "as it is");
	EQUAL(add(error_of('w'), NOW, text), HISTORY_SILENT, "but not that nothing was tried");
	EQUAL(add(NULL, NOW, text), HISTORY_SILENT, "nor that all is well");
	rmdir(path);
}

int main(void)
{
	if (mkdtemp(dir) == NULL)
		return 1;
	test_news();
	test_file();
	test_forms();
	test_no_file();
	rmdir(dir);
	return tap_end();
}

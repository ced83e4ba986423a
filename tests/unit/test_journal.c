/* SPDX-License-Identifier: MIT */
/*
 * test_journal.c - the journal over every kind of end a run can have.
 *
 * Crashes are made by cutting or changing a copy of the file and opening that: it must open as it
 * was at some earlier moment, or say that it is damaged; nothing else.
 */
#include "config.h"

#include "seen.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journals.h"
#include "tap.h"

/* -- what crashes and disks do ------------------------------------------------------------ */

#define STEPS 64

/* A journal with all kinds of records and several syncs, and what it means after each line. */
static struct {
	char bytes[8192];
	size_t len, lines, end[STEPS]; /* end[i]: of line i */
	char text[STEPS][2048];
} model;

static void write_history(struct seen *seen)
{
	struct spool spools[4];
	struct spool_past *past;

	add(seen, "zz", 1, 1);
	seen_begin(seen, "maildir", "/home/joe/M", RUN, &err);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 4; i++)
			spools[i] = spool_of(uids[2 * i + round], 100u + (unsigned)i, SPOOL_SAFE);
		spools[1].fate = SPOOL_VOID;
		spools[2].fate = round ? SPOOL_UNSURE : SPOOL_SAFE;
		seen_intend(seen, spools, 4, &err);
		seen_settle(seen, spools, 4, 1700000000, false, &err);
	}
	seen_take_begin(seen);
	seen_take(seen, span("a"), 100, true);
	seen_missing(seen, 1700000001, &err);
	seen_gone(seen, span("a"), 100, 0, &err);
	seen_flush(seen, &err);
	seen_close(&seen, true);
	seen = open_seen(dir);
	seen_pasts(seen, &past);
	past[0].intents[0].fate = SPOOL_SAFE;
	seen_settle_pasts(seen, &err);
	seen_begin(seen, "mbox", "/m", RUN, &err);
	seen_close(&seen, true);
}

static struct seen *open_bytes(const char *bytes, size_t len)
{
	put_file(other, "journal", bytes, len);
	return open_seen(other);
}

/* Opens the bytes and shows what they mean; NULL where they do not open. */
static const char *meaning(const char *bytes, size_t len)
{
	struct seen *seen = open_bytes(bytes, len);
	const char *text = seen != NULL ? shown(seen) : NULL;

	seen_close(&seen, false);
	return text;
}

static void make_model(void)
{
	struct seen *seen = fresh();
	const char *bytes;

	write_history(seen);
	bytes = get_file(dir, "journal", &model.len);
	if (!OK(model.len < sizeof model.bytes, "a journal for the tests"))
		exit(1);
	memcpy(model.bytes, bytes, model.len);
	file_mkdirs(other, &err);
	for (size_t at = 0; at < model.len && model.lines < STEPS; at++) {
		if (model.bytes[at] != '\n')
			continue;
		model.end[model.lines] = at + 1;
		snprintf(model.text[model.lines], sizeof model.text[0], "%s",
		         meaning(model.bytes, at + 1));
		model.lines++;
	}
	printf("# %zu lines, %zu bytes\n", model.lines, model.len);
}

/* The last line that is whole within the first len bytes, or the header: it is put back. */
static size_t line_before(size_t len)
{
	size_t i = model.lines;

	while (i > 1 && model.end[i - 1] > len)
		i--;
	return i - 1;
}

static void test_torn(void)
{
	int wrong = 0, uncut = 0;

	for (size_t len = 0; len <= model.len; len++) {
		size_t want = line_before(len);
		const char *got = meaning(model.bytes, len);

		wrong += got == NULL || strcmp(got, model.text[want]) != 0;
		uncut += size_of(other, "journal") != (off_t)model.end[want];
	}
	EQUAL(wrong, 0, "cut at any byte, it opens as it was after the last whole record");
	EQUAL(uncut, 0, "and what was torn is cut off");
}

/* A changed byte: damage, or the state before some line that is not behind the change. */
static void test_flips(void)
{
	static const int flips[] = {0x01, 0x20, 0x80, 0xff, '0' ^ '1', ' ' ^ '\n', ' ' ^ '+'};
	int wrong = 0, damage = 0, torn = 0;
	char bytes[sizeof model.bytes];

	for (size_t at = 0; at < model.len; at++) {
		for (size_t f = 0; f < sizeof flips / sizeof *flips; f++) {
			const char *got;
			size_t i = 0;

			memcpy(bytes, model.bytes, model.len);
			bytes[at] = (char)(bytes[at] ^ flips[f]);
			got = meaning(bytes, model.len);
			if (got == NULL) {
				damage++;
				wrong += err.kind != ERR_IO || strstr(err.text, "line ") == NULL;
				continue;
			}
			torn++;
			while (i < model.lines && model.end[i] <= at && strcmp(got, model.text[i]) != 0)
				i++;
			wrong += i == model.lines || model.end[i] > at;
		}
	}
	EQUAL(wrong, 0, "no changed byte makes the journal say what it never said");
	printf("# %d times damage, %d times a torn tail\n", damage, torn);
	OK(damage > torn && torn > 0, "both occur");
}

static void test_power_cut(void)
{
	static char bytes[300000];
	static const size_t zeros[] = {1, 511, 4096, 65535, 65536, 65537, 200000};
	struct seen *seen;
	struct spool spools[3];
	size_t len, line;

	for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++) {
		const char *got;

		memset(bytes, 0, sizeof bytes);
		memcpy(bytes, model.bytes, model.len);
		got = meaning(bytes, model.len + zeros[i]);
		SAME(got, model.text[model.lines - 1], "zeros behind the last record");
		memset(bytes + model.len, 'x', zeros[i]);
		memcpy(bytes + model.len + zeros[i], "\n", 1);
		got = meaning(bytes, model.len + zeros[i] + 1);
		SAME(got, model.text[model.lines - 1], "garbage behind the last record");
	}
	/* One write of three records, of which a later block came to the disk and an earlier not. */
	seen = fresh();
	for (int i = 0; i < 3; i++)
		spools[i] = spool_of("a", 1u + (unsigned)i, SPOOL_SAFE);
	seen_settle(seen, spools, 3, 1, false, &err);
	memcpy(bytes, get_file(dir, "journal", &len), 4096);
	line = strcspn(bytes, "\n") + 1;
	memset(bytes + line, 0, 10);
	SAME(meaning(bytes, len), "= 0\n", "a hole in what was not yet synced is a torn tail");
	seen_settle(seen, spools, 1, 1, false, &err);
	memcpy(bytes, get_file(dir, "journal", &len), 4096);
	memset(bytes + line, 0, 10);
	OK(meaning(bytes, len) == NULL && err.kind == ERR_IO, "with a later sync it is damage");
	OK(strstr(err.text, "line 2 ") != NULL && strstr(err.text, "/journal") != NULL,
	   "the error says where");
	seen_close(&seen, true);
}

static const struct {
	const char *name, *bytes;
	enum error_kind kind; /* ERR_NONE: it opens, empty */
} strange[] = {
	{"an empty file", "", ERR_NONE},
	{"half a header", "2a4f", ERR_NONE},
	{"a header that is zeros", "\0\0\0\0\0\0\0\0\0\0\0\0", ERR_NONE},
	{"some other file", "Dear diary, today was fine.\n", ERR_IO},
	{"a newer version", "57678e4c V 2\n", ERR_IO},
	{"no header", "b42d663b Z\n", ERR_IO},
	{"two headers", "44377db8 V 1\n44377db8 V 1\n", ERR_IO},
	{"an intent without a run",
	 "44377db8 V 1\n81721957 I 0123456789ab0123456789ab a 1 -\n", ERR_IO},
	{"delivered without an intent",
	 "44377db8 V 1\nb3378bd9 D 0123456789ab0123456789ab 1 0\n", ERR_IO},
	{"void without an intent", "44377db8 V 1\n80711abb N 0123456789ab0123456789ab\n", ERR_IO},
	{"an entry that is not there", "44377db8 V 1\nc6fe8331 F 0\n", ERR_IO},
	{"missing what is not there", "44377db8 V 1\n037c6181 M 0 1\n", ERR_IO},
	{"an entry with a wrong number", "44377db8 V 1\n59bc27fe S 1 a 1 1 0\n", ERR_IO},
	{"delivered under a wrong number", "44377db8 V 1\n8347af10 P k r p\n"
	 "81721957 I 0123456789ab0123456789ab a 1 -\n"
	 "415c08da D 0123456789ab0123456789ab 1 1\n", ERR_IO},
	{"an entry without a UID", "44377db8 V 1\n3cf8ce4e S 0 - 1 1 0\n", ERR_IO},
};

static void test_strange(void)
{
	for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
		size_t len = strange[i].bytes[0] == '\0' && i > 0 ? 12 : strlen(strange[i].bytes);
		const char *got = meaning(strange[i].bytes, len);

		if (strange[i].kind == ERR_NONE)
			SAME(got, "= 0\n", strange[i].name);
		else
			OK(got == NULL && err.kind == strange[i].kind, strange[i].name);
	}
	unlink(in(other, "journal"));
	mkdir(in(other, "journal"), 0700);
	OK(open_seen(other) == NULL && err.kind != ERR_NONE, "a directory in its place");
	rmdir(in(other, "journal"));
	put_file(other, "journal.new", "left by a crash", 15);
	SAME(meaning(model.bytes, model.len), model.text[model.lines - 1], "an unfinished snapshot");
	OK(open_seen("/dev/null/x") == NULL && err.kind != ERR_NONE, "an impossible directory");
}

/* -- growth -------------------------------------------------------------------------------- */

/* A snapshot came to its place whole, so nothing in it is a torn tail but its last record. */
static void test_snapshot_damage(void)
{
	size_t len, line;
	char bytes[8192];

	memcpy(bytes, get_file(dir, "journal", &len), sizeof bytes);
	line = strcspn(bytes, "\n") + 1;
	bytes[line + 12] ^= 1;
	file_mkdirs(other, &err);
	OK(meaning(bytes, len) == NULL && err.kind == ERR_IO, "damage within a snapshot is damage");
	clear(other);
}

/* No room for the snapshot. */
static void test_no_room(struct seen *seen)
{
	struct rlimit limit, tight;
	int rc;

	getrlimit(RLIMIT_FSIZE, &limit);
	tight = limit;
	tight.rlim_cur = 20;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &tight);
	rc = seen_flush(seen, &err);
	setrlimit(RLIMIT_FSIZE, &limit);
	EQUAL(rc, 0, "without room for the new one the old one goes on");
	OK(size_of(dir, "journal.new") == -1, "nothing is left of the attempt");
}

static void test_compaction(void)
{
	struct spool spools[2] = {spool_of("a", 1, SPOOL_SAFE), spool_of("b", 2, SPOOL_SAFE)};
	struct seen *seen = fresh();
	const char *before;
	off_t size;

	seen_begin(seen, "maildir", "/d", RUN, &err);
	seen_intend(seen, spools, 1, &err);
	for (int i = 0; i < 700; i++) {
		struct spool many[2] = {spool_of("zz", 5, SPOOL_SAFE), spool_of("a", 7, SPOOL_SAFE)};

		seen_settle(seen, many, i % 10 == 0 ? 2 : 1, 1, false, &err);
		seen_gone(seen, span("zz"), 5, 0, &err);
	}
	before = shown(seen);
	size = size_of(dir, "journal");
	EQUAL(seen_flush(seen, &err), 0, "flush");
	printf("# %lld bytes become %lld\n", (long long)size, (long long)size_of(dir, "journal"));
	OK(size_of(dir, "journal") < size / 5, "the journal is written anew");
	OK(size_of(dir, "journal.new") == -1, "nothing is left beside it");
	SAME(shown(seen), before, "it knows the same");
	test_snapshot_damage();
	OK(strstr(shown_after_crash(), "place of") != NULL, "the run's intents are in it");
	seen_settle(seen, spools, 2, 2, false, &err);
	EQUAL(seen_gone(seen, span("a"), 7, 0, &err), 0, "it goes on");
	EQUAL(seen_flush(seen, &err), 0, "and on");
	before = shown(seen);
	seen_close(&seen, true);
	seen = open_seen(dir);
	SAME(seen != NULL ? shown(seen) : err.text, before, "the next run knows the same");
	mkdir(in(dir, "journal.new"), 0700);
	for (int i = 0; i < 700; i++) {
		add(seen, "b", 5, 1);
		seen_gone(seen, span("b"), 5, 0, &err);
	}
	before = shown(seen);
	size = size_of(dir, "journal");
	EQUAL(seen_flush(seen, &err), 0, "where it cannot be written anew, it goes on growing");
	OK(size_of(dir, "journal") > size, "and is what it was");
	SAME(shown_after_crash(), before, "and means the same");
	rmdir(in(dir, "journal.new"));
	test_no_room(seen);
	add(seen, "b", 6, 1);
	SAME(shown_after_crash(), shown(seen), "it is the one that is written to");
	EQUAL(seen_flush(seen, &err), 0, "later");
	OK(size_of(dir, "journal") < size / 5, "it can");
	add(seen, "-", 9, 9);
	SAME(shown_after_crash(), shown(seen), "and is appended to");
	seen_close(&seen, true);
}

int main(void)
{
	journals_begin("test_journal");
	make_model();
	test_torn();
	test_flips();
	test_power_cut();
	test_strange();
	test_compaction();
	return journals_end();
}

/* SPDX-License-Identifier: MIT */
/*
 * test_seen.c - what the journal remembers: deliveries, intents, listings, and who may open it.
 */
#include "config.h"

#include "seen.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journals.h"
#include "tap.h"

#define DAY 86400u

static void test_life(void)
{
	struct seen *seen = fresh();
	struct spool spools[3];
	struct spool_past *past;
	struct seen_entry *entry;

	if (!OK(seen != NULL, "an empty directory opens"))
		return;
	EQUAL(size_of(dir, "journal"), 13, "the journal is there, with its header");
	EQUAL(seen_count(seen), 0, "it knows nothing");
	EQUAL(seen_begin(seen, "maildir", "/home/joe/My Mail", RUN, &err), 0, "a run begins");
	spools[0] = spool_of("a", 10, SPOOL_SAFE);
	spools[1] = spool_of("b", 20, SPOOL_VOID);
	spools[2] = spool_of("-", 30, SPOOL_UNSURE);
	EQUAL(seen_intend(seen, spools, 3, &err), 0, "intents");
	OK(strstr(shown_after_crash(), "place of 3") != NULL, "a crash leaves the intents");
	EQUAL(seen_settle(seen, spools, 3, 777, false, &err), 0, "fates");
	seen_take_begin(seen);
	entry = seen_take(seen, span("a"), 10, true);
	OK(entry != NULL && entry->since == 777 && entry->missing == 0, "what is safe is remembered");
	OK(seen_take(seen, span("b"), 20, true) == NULL, "what is void is not");
	OK(seen_take(seen, span("-"), 30, true) == NULL, "what is unsure is not");
	seen_close(&seen, true);

	seen = open_seen(dir);
	EQUAL(seen_pasts(seen, &past), 1, "an open intent makes a past, even if the end was clean");
	SAME(past[0].kind, "maildir", "its kind");
	SAME(past[0].path, "/home/joe/My Mail", "its path");
	SAME(past[0].run, RUN, "its run");
	EQUAL(past[0].count, 1, "its open intents");
	SAME(past[0].intents[0].token, spools[2].token, "the intent's token");
	SAME(past[0].intents[0].place, spools[2].place, "the intent's place");
	EQUAL(past[0].intents[0].fate, SPOOL_UNSURE, "not decided");
	EQUAL(seen_settle_pasts(seen, &err), 0, "nothing was found out");
	EQUAL(seen_pasts(seen, &past), 1, "so it stays");
	seen_close(&seen, true);

	seen = open_seen(dir);
	seen_pasts(seen, &past);
	past[0].intents[0].fate = SPOOL_SAFE;
	EQUAL(seen_settle_pasts(seen, &err), 0, "it was found");
	EQUAL(seen_pasts(seen, &past), 0, "and is settled");
	EQUAL(seen_count(seen), 2, "and remembered");
	seen_close(&seen, false);
	seen = open_seen(dir);
	EQUAL(seen_pasts(seen, &past), 0, "for good");
	EQUAL(seen_count(seen), 2, "both are");
	spools[1].fate = SPOOL_SAFE;
	EQUAL(seen_settle(seen, spools + 1, 1, 778, true, &err), 0, "one more, late");
	SAME(shown_after_crash(), shown(seen), "outlives us");
	EQUAL(seen_gone(seen, span("b"), 20, 0, &err), 0, "one is deleted");
	EQUAL(seen_sync(seen, &err), 0, "and that is synced");
	SAME(shown_after_crash(), shown(seen), "so it lasts");
	EQUAL(seen_gone(seen, span("a"), 10, 0, &err), 0, "the server deleted it");
	EQUAL(seen_gone(seen, span("a"), 10, 0, &err), 0, "to say so twice is no error");
	EQUAL(seen_gone(seen, span(""), 10, 0, &err), 0, "nor without a UID");
	EQUAL(seen_flush(seen, &err), 0, "flush");
	SAME(shown_after_crash(), shown(seen), "flush makes it last");
	EQUAL(seen_count(seen), 1, "one is left");
	seen_close(&seen, false);
	seen_close(&seen, false);
	OK(seen == NULL, "closing twice does no harm");
}

static void test_pasts(void)
{
	struct spool spools[4];
	struct spool_past *past;
	struct seen *seen = fresh();

	for (int i = 0; i < 4; i++)
		spools[i] = spool_of(i < 2 ? "a" : "", 10, SPOOL_UNSURE);
	seen_begin(seen, "mbox", "/m", RUN, &err);
	SAME(shown_after_crash(), "mbox /m " RUN ":\n= 0\n", "the run's begin is written at once");
	seen_close(&seen, false);
	seen = open_seen(dir);
	seen_begin(seen, "stdout", "", RUN, &err);
	seen_close(&seen, true);
	seen = open_seen(dir);
	EQUAL(seen_pasts(seen, &past), 2, "a clean end does not settle what others left");
	SAME(past[1].path, "", "an empty path");
	EQUAL(seen_settle_pasts(seen, &err), 0, "both are settled");
	seen_begin(seen, "mbox", "/m", RUN, &err);
	seen_close(&seen, false);
	seen = open_seen(dir);
	EQUAL(seen_pasts(seen, &past), 1, "a run that delivered nothing may have left files");
	EQUAL(past[0].count, 0, "it has no intents");
	seen_begin(seen, "maildir", "/d", RUN, &err);
	seen_intend(seen, spools, 4, &err);
	EQUAL(seen_pasts(seen, &past), 1, "this run is no past");
	OK(strstr(shown_after_crash(), "place of") != NULL, "but would be one after a crash");
	seen_close(&seen, true);
	seen = open_seen(dir);
	EQUAL(seen_pasts(seen, &past), 2, "now it is, and the unsettled one still");
	EQUAL(past[1].count, 4, "with its intents");
	past[1].intents[0].fate = SPOOL_VOID;
	past[1].intents[1].fate = SPOOL_SAFE;
	past[1].intents[3].fate = SPOOL_SAFE;
	EQUAL(seen_settle_pasts(seen, &err), 0, "three are decided");
	EQUAL(seen_pasts(seen, &past), 2, "one is not");
	EQUAL(past[1].count, 1, "the others left the list");
	SAME(past[1].intents[0].token, spools[2].token, "and it is the right one");
	EQUAL(seen_count(seen), 1, "what has no UID is not remembered");
	past[1].intents[0].fate = SPOOL_SAFE;
	EQUAL(seen_settle_pasts(seen, &err), 0, "the last one");
	EQUAL(seen_pasts(seen, &past), 0, "no past is left");
	SAME(shown_after_crash(), shown(seen), "nor in the file");
	seen_close(&seen, true);

	seen = open_seen(dir);
	seen_begin(seen, "maildir", "/d", RUN, &err);
	spools[0].fate = SPOOL_SAFE;
	seen_intend(seen, spools, 1, &err);
	seen_settle(seen, spools, 1, 5, false, &err);
	seen_close(&seen, true);
	seen = open_seen(dir);
	EQUAL(seen_pasts(seen, &past), 0, "a clean end leaves no past");
	EQUAL(seen_count(seen), 2, "and all that was delivered");
	seen_close(&seen, true);
}

static void test_multiset(void)
{
	struct seen *seen = fresh();
	const struct seen_entry *first, *second;

	add(seen, "a", 10, 1);
	add(seen, "a", 10, 2);
	add(seen, "a", 20, 3);
	for (int again = 0; again < 2; again++) {
		seen_take_begin(seen);
		first = seen_take(seen, span("a"), 10, true);
		second = seen_take(seen, span("a"), 10, true);
		OK(first != NULL && second != NULL && first != second, "two of one UID and size");
		OK(!first->contested && !second->contested, "and two were asked for");
		OK(seen_take(seen, span("a"), 10, true) == NULL, "there is no third");
		OK(first->contested && second->contested, "to ask for it makes them contested");
		OK(seen_take(seen, span("a"), 11, true) == NULL, "none of another size");
		first = seen_take(seen, span("a"), 99, false);
		OK(first != NULL && first->octets == 20 && !first->contested, "one is left by UID alone");
		OK(seen_take(seen, span("a"), 20, false) == NULL, "then none");
		OK(seen_take(seen, span(""), 10, false) == NULL, "no UID, no entry");
	}
	seen_gone(seen, span("a"), 10, 0, &err);
	seen_gone(seen, span("a"), 20, 0, &err);
	seen_gone(seen, span("a"), 77, 0, &err);
	EQUAL(seen_count(seen), 1, "each goes alone");
	seen_close(&seen, false);
	seen = open_seen(dir);
	EQUAL(seen_count(seen), 1, "also in the file");
	seen_close(&seen, true);
}

static void test_missing(void)
{
	struct seen *seen = fresh();
	struct seen_entry *entry;
	off_t size;

	add(seen, "a", 10, 1);
	add(seen, "b", 20, 1);
	seen_take_begin(seen);
	seen_take(seen, span("a"), 10, true);
	EQUAL(seen_missing(seen, 100 * DAY, &err), 0, "one is missing");
	seen_flush(seen, &err);
	size = size_of(dir, "journal");
	seen_take_begin(seen);
	seen_take(seen, span("a"), 10, true);
	seen_missing(seen, 130 * DAY, &err);
	EQUAL(seen_count(seen), 2, "for 30 days it is remembered");
	seen_missing(seen, 50 * DAY, &err);
	seen_flush(seen, &err);
	EQUAL(size_of(dir, "journal"), size, "no news, no records");
	seen_close(&seen, true);

	seen = open_seen(dir);
	seen_take_begin(seen);
	seen_take(seen, span("a"), 10, true);
	entry = seen_take(seen, span("b"), 20, true);
	OK(entry != NULL && entry->missing == 100 * DAY, "since when is remembered too");
	seen_missing(seen, 130 * DAY, &err);
	OK(entry != NULL && entry->missing == 0, "it is back");
	seen_take_begin(seen);
	seen_missing(seen, 200 * DAY, &err);
	add(seen, "zz", 5, 1);
	seen_missing(seen, 230 * DAY + 1, &err);
	EQUAL(seen_count(seen), 1, "after 30 days both are forgotten, but not what just came");
	seen_flush(seen, &err);
	SAME(shown_after_crash(), shown(seen), "also in the file");
	seen_close(&seen, true);
}

/* Of two that are alike the one goes that the listing had. */
static void test_gone_and_missing(void)
{
	struct seen *seen = fresh();

	add(seen, "a", 10, 1);
	add(seen, "a", 10, 1);
	seen_take_begin(seen);
	seen_take(seen, span("a"), 10, true);
	seen_gone(seen, span("a"), 10, 0, &err);
	seen_missing(seen, 77, &err);
	SAME(shown(seen), "0/10@1!77\n= 1\n", "the other one is missing");
	seen_close(&seen, true);
}

/* What would not come: how often and since when, until it is delivered or gone. */
static void test_failures(void)
{
	struct seen *seen = fresh();
	struct spool b = {.uid = span("b"), .octets = 10};
	uint64_t since;

	EQUAL(seen_failures(seen, span("a"), 10, &since), 0, "it never failed");
	seen_failed(seen, span("a"), 10, 5 * DAY, &err);
	seen_failed(seen, span("a"), 10, 6 * DAY, &err);
	seen_failed(seen, span("b"), 10, 0, &err);
	seen_failed(seen, span(""), 10, 9, &err);
	seen_attempt(seen, &b, 1, &err);
	seen_attempt(seen, &b, 1, &err);
	EQUAL(b.attempt, 2, "the second attempt");
	for (int again = 0; again < 3; again++) {
		seen_take_begin(seen);
		EQUAL(seen_failures(seen, span("a"), 10, &since), 2, "twice");
		EQUAL(since, 6 * DAY, "the last time counts");
		EQUAL(seen_failures(seen, span("a"), 11, &since), 0, "another size, another message");
		EQUAL(seen_failures(seen, span(""), 10, &since), 0, "without a UID nothing is remembered");
		seen_missing(seen, 7 * DAY, &err);
		EQUAL(seen_failures(seen, span("b"), 10, &since), 0, "not listed, and forgotten");
		seen_flush(seen, &err);
		seen_close(&seen, false);
		seen = open_seen(dir);
	}
	seen_attempt(seen, &b, 1, &err);
	EQUAL(b.attempt, 1, "its attempts, too");
	add(seen, "a", 10, 1);
	EQUAL(seen_failures(seen, span("a"), 10, &since), 0, "delivered, and forgotten");
	seen_close(&seen, true);
}

static void test_lock(void)
{
	struct seen *seen = fresh(), *second;
	int status = -1, gate[2];
	pid_t pid;

	OK(open_seen(dir) == NULL && err.kind == ERR_TEMP, "one run at a time");
	SAME(shown(seen), "= 0\n", "the first goes on");
	seen_close(&seen, true);
	if (pipe(gate) == -1 || (pid = fork()) == -1)
		return;
	if (pid == 0) {
		char byte;

		close(gate[1]);
		for (int i = 0; i < 1000 && (second = open_seen(dir)) == NULL; i++)
			usleep(500); /* the parent looks, and has it for a moment */
		_exit(second == NULL || write(gate[0], "", 0) > 0 || read(gate[0], &byte, 1) < 0);
	}
	close(gate[0]);
	for (int i = 0; i < 1000 && (second = open_seen(dir)) != NULL; i++) {
		seen_close(&second, true);
		usleep(5000);
	}
	OK(second == NULL && err.kind == ERR_TEMP, "nor beside another process");
	close(gate[1]);
	waitpid(pid, &status, 0);
	second = open_seen(dir);
	OK(second != NULL && status == 0, "its death frees the lock");
	seen_close(&second, true);
}

static void test_disk_full(void)
{
	struct rlimit limit, tight;
	struct spool spool = spool_of("b", 20, SPOOL_SAFE);
	struct seen *seen = fresh();
	struct error first;

	seen_begin(seen, "maildir", "/d", RUN, &err);
	add(seen, "a", 10, 1);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	tight = limit;
	tight.rlim_cur = (rlim_t)size_of(dir, "journal") + 20;
	setrlimit(RLIMIT_FSIZE, &tight);
	EQUAL(seen_intend(seen, &spool, 1, &err), -1, "the disk is full");
	first = err;
	setrlimit(RLIMIT_FSIZE, &limit);
	OK(first.kind != ERR_NONE && strstr(first.text, "journal") != NULL, "the error says where");
	EQUAL(seen_settle(seen, &spool, 1, 1, false, &err), -1,
	      "no more of this run is recorded: settle");
	SAME(err.text, first.text, "for the same reason");
	EQUAL(seen_intend(seen, &spool, 1, &err), -1, "intend");
	EQUAL(seen_begin(seen, "x", "y", RUN, &err), -1, "begin");
	EQUAL(seen_gone(seen, span("a"), 10, 0, &err), -1, "gone");
	EQUAL(seen_missing(seen, 5, &err), -1, "missing");
	EQUAL(seen_flush(seen, &err), -1, "flush");
	EQUAL(seen_settle_pasts(seen, &err), -1, "settle pasts");
	seen_close(&seen, true);
	seen = open_seen(dir);
	OK(seen != NULL && strstr(shown(seen), "0/10@1!0\n= 1\n") != NULL,
	   "the next run knows what was recorded before");
	seen_close(&seen, true);
}

static void test_modes(void)
{
	struct stat st = {0};
	struct seen *seen;

	clear(dir);
	umask(0);
	seen = open_seen(dir);
	seen_close(&seen, true);
	OK(stat(dir, &st) == 0 && (st.st_mode & 0777) == 0700, "the directory is private");
	OK(stat(in(dir, "journal"), &st) == 0 && (st.st_mode & 0777) == 0600, "so is the journal");
	OK(stat(in(dir, "lock"), &st) == 0 && (st.st_mode & 0777) == 0600, "and the lock");
	umask(022);
}

int main(void)
{
	journals_begin("test_seen");
	test_life();
	test_pasts();
	test_multiset();
	test_missing();
	test_gone_and_missing();
	test_failures();
	test_lock();
	test_disk_full();
	test_modes();
	return journals_end();
}

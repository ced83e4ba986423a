/* SPDX-License-Identifier: MIT */
/*
 * test_deliver_mbox.c - the four steps of an mbox: the bytes, the stage, the order of the syncs,
 * what every failing call leaves, and two processes at once.
 */
#include "config.h"

#include "deliver.h"

#include <sys/resource.h>

#include "mboxkit.h"
#include "tap.h"

/* -- the steps ---------------------------------------------------------------------------- */

static void test_bytes(void)
{
	static const struct {
		const char *name, *before;
		size_t len;
		const char *pad;
	} rows[] = {
		{"no mbox", NULL, 0, ""},
		{"an empty one", "", 0, ""},
		{"a good end", old_mail, sizeof old_mail - 1, ""},
		{"no empty line", old_mail, sizeof old_mail - 2, "\n"},
		{"no newline", old_mail, sizeof old_mail - 3, "\n\n"},
		{"newlines alone", "\n\n", 2, ""},
	};
	struct stat st;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err = {0};
		struct str want = {.max = 1u << 20}, got;

		fresh(rows[i].before, rows[i].len);
		*book = (struct book){0};
		EQUAL(deliver_all(RUN, false, NULL, &err), 0, rows[i].name);
		got = slurp(box);
		str_add(&want, rows[i].before != NULL ? rows[i].before : "", rows[i].len);
		str_puts(&want, rows[i].pad);
		for (int k = 0; k < MAILS; k++) {
			size_t at = want.len;

			OK(got.len > at + 45 && memcmp(got.s + at, k == 1 ? "From x@y.example "
			   : "From MAILER-DAEMON ", k == 1 ? 17 : 19) == 0, "a From_ line");
			while (at < got.len && got.s[at] != '\n')
				at++;
			str_add(&want, got.s + want.len, at - want.len);
			str_puts(&want, "\n");
			quote(&want, &texts[k]);
		}
		OK(got.len == want.len && memcmp(got.s, want.s, want.len) == 0, "the bytes");
		OK(stat(box, &st) == 0 && (st.st_mode & 0777) == 0600, "0600");
		EQUAL(clear(state), 0, "no stage is left");
		str_free(&got);
		str_free(&want);
	}
}

static void test_open(void)
{
	struct deliver d = destination(RUN, true);
	struct error err = {0};
	struct stat st;
	char deep[256];

	fresh(NULL, 0);
	snprintf(deep, sizeof deep, "%s/new/deep/mbox", base);
	account.target.mbox = deep;
	EQUAL(d.ops->open(&d, &err), 0, "parents are made");
	SAME(d.path, deep, "the path");
	OK(stat(deep, &st) == 0 && st.st_size == 0 && (st.st_mode & 0777) == 0600, "an empty mbox");
	done(&d);
	unlink(deep);
	snprintf(deep, sizeof deep, "%s/new/deep", base);
	OK(stat(deep, &st) == 0 && (st.st_mode & 0777) == 0700, "parents are 0700");
	rmdir(deep);
	snprintf(deep, sizeof deep, "%s/new", base);
	rmdir(deep);
	account.target.mbox = state;
	d = destination(RUN, true);
	EQUAL(d.ops->open(&d, &err), -1, "a directory is no mbox");
	OK(strstr(err.text, state) != NULL, "and is named");
	done(&d);
	account.target.mbox = (char *)"/proc/nonsense/mbox";
	d = destination(RUN, true);
	EQUAL(d.ops->open(&d, &err), -1, "a place that cannot be made");
	EQUAL(err.kind, ERR_CANTCREATE, "its kind");
	done(&d);
}

/* PATH.lock of a mailhaul that nobody knows any more: it goes even where nothing is delivered. */
static void test_dotlock(void)
{
	struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	char lock[200], text[64];

	snprintf(lock, sizeof lock, "%s.lock", box);
	snprintf(text, sizeof text, "%ld\n0123456789ac\n", (long)getppid());
	for (int young = 0; young < 2; young++) {
		struct deliver d = destination(RUN, true);
		struct error err = {0};

		fresh(old_mail, sizeof old_mail - 1);
		put(lock, text, strlen(text), O_TRUNC);
		if (!young)
			utimensat(AT_FDCWD, lock, old, 0);
		EQUAL(d.ops->open(&d, &err), 0, "open");
		EQUAL(unlink(lock), young ? 0 : -1, young ? "a young one stays" : "an old one is gone");
		done(&d);
	}
}

/* Messages that are dropped leave no trace, and the stage is used again. */
static void test_stage(void)
{
	struct deliver d = destination(RUN, false);
	struct spool spools[MAILS];
	struct error err = {0};
	struct stat st;
	int times[MAILS], old, late, fd;

	fresh(NULL, 0);
	EQUAL(d.ops->open(&d, &err), 0, "open");
	for (int i = 0; i < MAILS; i++)
		spool_text(&d, &spools[i], &texts[i], &err);
	fd = spools[0].fd;
	OK(fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0600, "the stage is 0600");
	EQUAL(spools[1].at, spools[0].size, "one behind the other");
	deliver_drop(&d, &spools[2]);
	deliver_drop(&d, &spools[2]);
	OK(fstat(fd, &st) == 0 && (uint64_t)st.st_size == spools[1].at + spools[1].size,
	   "the last one is cut off, twice is fine");
	deliver_drop(&d, &spools[0]);
	spool_text(&d, &spools[0], &texts[2], &err);
	EQUAL(spools[0].at, spools[1].at + spools[1].size, "a hole is not used");
	EQUAL(d.ops->prepare(&d, spools, 2, &err), 0, "prepare");
	EQUAL(d.ops->publish(&d, spools, 2, &err), 0, "publish");
	d.ops->release(&d, spools, 2);
	OK(spools[0].fd == -1 && spools[1].fd == -1, "the spools are let go");
	spool_text(&d, &spools[0], &texts[0], &err);
	EQUAL(spools[0].at, 0, "and used from its start");
	EQUAL(d.ops->prepare(&d, spools, 1, &err), 0, "prepare");
	EQUAL(d.ops->publish(&d, spools, 1, &err), 0, "publish");
	d.ops->release(&d, spools, 1);
	done(&d);
	EQUAL(take_stock(times, &old, &late), 3, "three mails");
	OK(times[0] == 1 && times[1] == 1 && times[2] == 1, "each of them");
	EQUAL(clear(state), 0, "no stage is left");
}

/* A small stage is written over; the room of a large one is given back at once. */
static void test_large_stage(void)
{
	static char text[3u << 20];
	struct deliver d = destination(RUN, false);
	struct spool spool = {.num = 1, .fd = -1};
	struct error err = {0};
	struct stat st;
	int fd;

	memset(text, 'x', sizeof text);
	fresh(NULL, 0);
	EQUAL(d.ops->open(&d, &err), 0, "open");
	OK(deliver_begin(&d, &spool, &err) == 0 && spool_write(&d.pen, text, sizeof text, &err) == 0 &&
	   deliver_end(&d, &err) == 0, "a large one");
	fd = spool.fd;
	EQUAL(d.ops->prepare(&d, &spool, 1, &err), 0, "prepare");
	OK(fstat(fd, &st) == 0 && (uint64_t)st.st_size == spool.size, "stands in the stage");
	EQUAL(d.ops->publish(&d, &spool, 1, &err), 0, "publish");
	d.ops->release(&d, &spool, 1);
	OK(fstat(fd, &st) == 0 && st.st_size == 0, "the stage is empty");
	done(&d);
}

/* Nothing is journalled, filled or called safe before what it builds upon is synced. */
static void test_syncs(void)
{
	static const char clean[sizeof unsynced.last];
	struct deliver d = destination(RUN, false);
	struct spool spools[MAILS];
	struct error err = {0};

	fresh(old_mail, sizeof old_mail - 2);
	d.ops->open(&d, &err);
	memset(&unsynced, 0, sizeof unsynced);
	for (int i = 0; i < MAILS; i++)
		spool_text(&d, &spools[i], &texts[i], &err);
	EQUAL(d.ops->prepare(&d, spools, MAILS, &err), 0, "prepare");
	OK(memcmp(unsynced.last, clean, sizeof clean) == 0, "intents follow the stage's sync");
	EQUAL(d.ops->publish(&d, spools, MAILS, &err), 0, "publish");
	OK(memcmp(unsynced.last, clean, sizeof clean) == 0, "safe means synced");
	OK(!unsynced.filled_early, "reserved, synced, filled");
	d.ops->release(&d, spools, MAILS);
	done(&d);
}

/* -- failures ----------------------------------------------------------------------------- */

/* The n-th call fails, once or from then on: fates must tell the truth. */
static void test_faults(int how)
{
	int bad = 0, unsure = 0, n = 0;
	bool hit = true;

	for (; hit; n++) {
		struct error err = {0};
		struct str before = slurp(box), after;
		char when[40];
		int rc;

		fresh(old_mail, sizeof old_mail - 2);
		str_free(&before);
		before = slurp(box);
		*book = (struct book){0};
		fault.how = how;
		fault.calls = n;
		rc = deliver_all(RUN, false, NULL, &err);
		hit = fault.calls < 0;
		fault.how = NEVER;
		after = slurp(box);
		snprintf(when, sizeof when, "call %d fails", n);
		if (rc == -1 && (err.kind == ERR_NONE || err.text[0] == '\0'))
			bad++;
		if (book->intended && book->spools[0].fate == SPOOL_UNSURE)
			unsure++;
		else if (rc == -1 && (after.len != before.len || memcmp(after.s, before.s, after.len)))
			printf("# %s: the mbox is not what it was\n", when), bad++;
		bad += !recovers(NOBODY, when);
		str_free(&before);
		str_free(&after);
	}
	printf("# %d points, %d unsure\n", n, unsure);
	OK(bad == 0 && n > 10 && (how == FAIL_ONCE || unsure > 0), "every call can fail");
}

/* What is unsure keeps its bytes while the run goes on. */
static void test_unsure(void)
{
	struct deliver d = destination(RUN, false);
	struct spool more = {.fd = -1};
	struct error err = {0};
	int times[MAILS], old, late;

	fresh(old_mail, sizeof old_mail - 1);
	*book = (struct book){0};
	d.ops->open(&d, &err);
	for (int i = 0; i < MAILS; i++)
		spool_text(&d, &book->spools[i], &texts[i], &err);
	EQUAL(d.ops->prepare(&d, book->spools, MAILS, &err), 0, "prepare");
	fault.how = FAIL_ON;
	fault.calls = 3; /* reserve, sync, one mail; then not even cutting back works */
	EQUAL(d.ops->publish(&d, book->spools, MAILS, &err), -1, "publish fails");
	fault.how = NEVER;
	EQUAL(book->spools[2].fate, SPOOL_UNSURE, "and nobody knows how far it came");
	d.ops->release(&d, book->spools, MAILS);
	book->intended = true;
	spool_text(&d, &more, &texts[0], &err);
	OK(more.at >= book->spools[2].at + book->spools[2].size, "the next stands behind it");
	deliver_drop(&d, &more);
	done(&d);
	EQUAL(settle(RUN, &err), 0, "settle");
	EQUAL(book->fates[2], SPOOL_SAFE, "it is safe now");
	EQUAL(take_stock(times, &old, &late), 4, "four mails");
	OK(times[0] == 1 && times[1] == 1 && times[2] == 1, "each whole");
	EQUAL(clear(state), 0, "no stage is left");
}

/* A program that knows no locks appends between the intents and the reservation. */
static void test_lawless(void)
{
	struct deliver d = destination(RUN, false);
	struct spool spool;
	struct error err = {0};
	struct str mbox;

	fresh(old_mail, sizeof old_mail - 1);
	d.ops->open(&d, &err);
	spool_text(&d, &spool, &texts[0], &err);
	EQUAL(d.ops->prepare(&d, &spool, 1, &err), 0, "prepare");
	put(box, late_mail, sizeof late_mail - 1, O_APPEND);
	EQUAL(d.ops->publish(&d, &spool, 1, &err), -1, "somebody appended in spite of our lock");
	EQUAL(err.kind, ERR_TEMP, "its kind");
	EQUAL(spool.fate, SPOOL_VOID, "ours is void");
	d.ops->release(&d, &spool, 1);
	done(&d);
	mbox = slurp(box);
	OK(mbox.len == sizeof old_mail + sizeof late_mail - 2 && strstr(mbox.s, late_mail) != NULL,
	   "his mail is not touched");
	str_free(&mbox);
}

/* The disk is full: nothing of the group stays. */
static void test_full(void)
{
	struct deliver d = destination(RUN, false);
	struct rlimit old, low;
	struct error err = {0};
	struct str after;

	fresh(old_mail, sizeof old_mail - 2);
	*book = (struct book){0};
	d.ops->open(&d, &err);
	for (int i = 0; i < MAILS; i++)
		spool_text(&d, &book->spools[i], &texts[i], &err);
	EQUAL(d.ops->prepare(&d, book->spools, MAILS, &err), 0, "prepare");
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	low = (struct rlimit){.rlim_cur = 5000, .rlim_max = old.rlim_max};
	setrlimit(RLIMIT_FSIZE, &low);
	EQUAL(d.ops->publish(&d, book->spools, MAILS, &err), -1, "no room");
	setrlimit(RLIMIT_FSIZE, &old);
	EQUAL(err.kind, ERR_IO, "its kind");
	OK(strstr(err.text, box) != NULL, "the error names the mbox");
	OK(book->spools[0].fate == SPOOL_VOID && book->spools[2].fate == SPOOL_VOID, "void");
	d.ops->release(&d, book->spools, MAILS);
	after = slurp(box);
	SAME(after.s, "From a@b Thu Jan  1 00:00:00 1970\nSubject: zero\n\nold\n", "as it was");
	str_free(&after);
	done(&d);
}

/* -- company ------------------------------------------------------------------------------ */

#define GROUPS 200

/* One of two that deliver into the same mbox: groups of two small mails. */
static void deliver_many(int who)
{
	char run[13] = "";
	struct deliver d = destination(run, true);
	struct error err = {0};
	int rc;

	snprintf(run, sizeof run, "%012d", who);
	rc = d.ops->open(&d, &err);
	for (int g = 0; g < GROUPS && rc == 0; g++) {
		struct spool spools[2];

		for (int i = 0; i < 2; i++) {
			struct str text = {.max = 200};

			str_printf(&text, "Subject: %d.%d.%d\n\nFrom %d\n", who, g, i, g);
			rc |= spool_text(&d, &spools[i], &text, &err);
			str_free(&text);
		}
		if (rc == 0)
			rc = d.ops->prepare(&d, spools, 2, &err);
		if (rc == 0)
			rc = d.ops->publish(&d, spools, 2, &err);
		d.ops->release(&d, spools, 2);
	}
	if (rc == -1)
		fprintf(stderr, "%s\n", err.text);
	done(&d);
	_exit(rc == 0 ? 0 : 1);
}

static void test_company(void)
{
	static struct str mails[4 * GROUPS + 1];
	int status, bad = 0, seen[2] = {0};
	struct str mbox;
	size_t n;

	fresh(NULL, 0);
	fflush(stdout);
	for (int who = 0; who < 2; who++)
		if (fork() == 0)
			deliver_many(who);
	for (int who = 0; who < 2; who++)
		bad += wait(&status) == -1 || status != 0;
	EQUAL(bad, 0, "two at once");
	mbox = slurp(box);
	n = parse(&mbox, mails, sizeof mails / sizeof *mails);
	EQUAL(n, 4 * GROUPS, "all mails are there");
	for (size_t i = 0; i < n; i++) {
		char want[64] = "";
		int who = mails[i].len > 9 && mails[i].s[9] == '1', k = seen[who]++;

		snprintf(want, sizeof want, "Subject: %d.%d.%d\n\nFrom %d\n", who, k / 2, k % 2, k / 2);
		bad += strcmp(mails[i].s, want) != 0;
		str_free(&mails[i]);
	}
	EQUAL(bad, 0, "each once, in order");
	str_free(&mbox);
}

int main(void)
{
	if (!kit_begin())
		return 99;
	test_bytes();
	test_open();
	test_dotlock();
	test_stage();
	test_large_stage();
	test_syncs();
	test_faults(FAIL_ONCE);
	test_faults(FAIL_ON);
	test_unsure();
	test_lawless();
	test_full();
	test_company();
	return kit_end() ? tap_end() : 99;
}

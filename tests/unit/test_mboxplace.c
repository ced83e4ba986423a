/* SPDX-License-Identifier: MIT */
/*
 * test_mboxplace.c - what the next run makes of an mbox, whatever moment a crash picked and whoever
 * wrote to it since: each message once, whole, and not a byte of others touched.
 */
#include "config.h"

#include "mboxplace.h"

#include "mboxkit.h"
#include "tap.h"

/* -- others ------------------------------------------------------------------------------- */

static const char *const other_names[OTHERS] = {
	"nobody", "a program that appends", "a reader that replaces", "a reader that rewrites in place",
	"a reader that expunges in place", "somebody who removes it",
};

/* Puts "Status: RO" at the end of each header. */
static void mark_read(struct str *out, const struct str *mbox)
{
	bool header = false, blank = true;

	for (size_t at = 0, len; at < mbox->len; at += len) {
		const char *line = mbox->s + at, *nl = memchr(line, '\n', mbox->len - at);

		len = nl != NULL ? (size_t)(nl - line) + 1 : mbox->len - at;
		header = header || (blank && len >= 5 && memcmp(line, "From ", 5) == 0);
		blank = len == 1;
		if (header && blank)
			str_puts(out, "Status: RO\n");
		header = header && !blank;
		str_add(out, line, len);
	}
}

static void act(enum other who)
{
	struct str mbox = slurp(box), out = {.max = 1u << 24};
	char *second = strstr(mbox.s, "\nFrom ");
	char aside[200];

	snprintf(aside, sizeof aside, "%s.new", box);
	mark_read(&out, &mbox);
	if (who == APPENDS) { /* one that looks for an empty line; not all do */
		size_t pad = mbox.s[mbox.len - 1] != '\n' ? 2 : mbox.s[mbox.len - 2] != '\n';

		put(box, "\n\n", pad, O_APPEND);
		put(box, late_mail, sizeof late_mail - 1, O_APPEND);
	}
	if (who == REPLACES) {
		put(aside, out.s, out.len, O_TRUNC);
		rename(aside, box);
	}
	if (who == REWRITES)
		put(box, out.s, out.len, O_TRUNC);
	if (who == EXPUNGES && second != NULL)
		put(box, second + 1, mbox.len - (size_t)(second + 1 - mbox.s), O_TRUNC);
	if (who == REMOVES)
		unlink(box);
	str_free(&mbox);
	str_free(&out);
}

/* -- kills -------------------------------------------------------------------------------- */

static void child_delivers(void)
{
	struct error err = {0};

	if (deliver_all(RUN, received_too, NULL, &err) == -1)
		_exit(1);
}

static void child_settles(void)
{
	struct error err = {0};

	if (settle(RUN, &err) == -1)
		_exit(1);
}

/* Runs it in a process of its own that meets the fault.  Returns true if it was killed. */
static bool killed(void (*run)(void), int how, int calls)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		fault.how = how;
		fault.calls = calls;
		run();
		_exit(0);
	}
	if (pid == -1 || waitpid(pid, &status, 0) != pid || (WIFEXITED(status) && WEXITSTATUS(status)))
		abort();
	return WIFSIGNALED(status);
}

/* A run dies at its n-th call, for all n, before it or half way through it. */
static void test_kills(enum other who, bool received)
{
	int bad = 0, points = 0;
	bool more = true;
	char when[80];

	received_too = received;
	for (int n = 0; more; n++) {
		more = false;
		for (int how = DIE; how <= DIE_HALF; how++) {
			fresh(old_mail, sizeof old_mail - 1 - (size_t)(n % 3));
			*book = (struct book){0};
			more = killed(child_delivers, how, n) || more;
			act(who);
			snprintf(when, sizeof when, "call %d %s", n, how == DIE ? "not begun" : "half done");
			bad += !recovers(who, when);
			points++;
		}
	}
	printf("# %d points, then %s\n", points, other_names[who]);
	OK(bad == 0 && points > 20, "killed while it delivers");
}

/* And dies again in the settlement; and dies after it, before the journal knows. */
static void test_second_kills(enum other who)
{
	int bad = 0, points = 0;
	bool more = true, again;
	char when[80];

	received_too = false;
	for (int n = 3; more; n++) {
		again = true;
		for (int m = 0; again; m++) {
			fresh(old_mail, sizeof old_mail - 1 - (size_t)(n % 3));
			*book = (struct book){0};
			more = killed(child_delivers, DIE_HALF, n);
			act(who);
			again = killed(child_settles, m % 2 ? DIE : DIE_HALF, m / 2);
			book->settled = false;
			snprintf(when, sizeof when, "call %d, then %d", n, m);
			bad += !recovers(who, when);
			points++;
		}
	}
	printf("# %d points, then %s\n", points, other_names[who]);
	OK(bad == 0 && points > 20, "killed again while it settles");
}

/* -- what is not ours --------------------------------------------------------------------- */

/* We died before the reservation, and what came then has newlines where ours would be.  They are
 * not the ones we would have reserved. */
static void test_blank_lines(void)
{
	static const struct {
		const char *name, *head;
		size_t first; /* intent in the journal */
		bool anew;    /* another file under the name */
	} rows[] = {
		{"a mail of blank lines", "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n\n", 0, false},
		{"and a torn journal", "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n\n", 1, false},
		{"another file, nothing but blank lines", "", 0, true},
	};
	struct error err = {0};
	struct str want, got;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		fresh(old_mail, sizeof old_mail - 1);
		*book = (struct book){.first = rows[i].first};
		die_at = PREPARED;
		OK(killed(child_delivers, NEVER, 0) && book->intended, rows[i].name);
		die_at = NOWHERE;
		want = slurp(box);
		str_puts(&want, rows[i].head);
		while (want.len < sizeof old_mail + 2 * BIG)
			str_puts(&want, "\n");
		str_puts(&want, "end\n\n");
		if (rows[i].anew) {
			char aside[200];

			snprintf(aside, sizeof aside, "%s.old", box);
			rename(box, aside); /* kept, or its inode would be used again */
		}
		put(box, want.s, want.len, O_TRUNC);
		EQUAL(settle(RUN, &err), 0, "settle");
		got = slurp(box);
		OK(got.len == want.len && memcmp(got.s, want.s, want.len) == 0, "not a byte is touched");
		for (size_t k = rows[i].first; k < MAILS; k++)
			EQUAL(book->fates[k], SPOOL_VOID, "ours is void");
		str_free(&want);
		str_free(&got);
	}
}

/* The power went in the reservation: the mbox has grown, but some sectors of it were not written
 * and are zeros. */
static bool survives_zeros(size_t pad, size_t grown, unsigned written, enum other who)
{
	struct str bytes = {.max = 1u << 24};
	size_t base_size = sizeof old_mail - 1 - pad, region = pad;
	char when[80];

	fresh(old_mail, base_size);
	*book = (struct book){0};
	die_at = PREPARED;
	if (!killed(child_delivers, NEVER, 0))
		return false;
	die_at = NOWHERE;
	for (int i = 0; i < MAILS; i++)
		region += book->spools[i].size;
	grown = grown < 4 ? grown : region * (grown - 3) / 8;
	for (size_t i = 0; i < grown; i++)
		str_add(&bytes, (base_size + i) / 512 % 4 < written ? "\n" : "\0", 1);
	put(box, bytes.s, bytes.len, O_APPEND);
	str_free(&bytes);
	act(who);
	snprintf(when, sizeof when, "%zu of %zu bytes, %u of 4 sectors written", grown, region,
	         written);
	return recovers(who, when);
}

static void test_zeros(void)
{
	int bad = 0;

	received_too = true;
	for (size_t pad = 0; pad < 3; pad++)
		for (size_t grown = 1; grown <= 11; grown += 2)
			for (unsigned written = 0; written <= 3; written += 1 + written)
				for (int who = NOBODY; who <= APPENDS; who++)
					bad += !survives_zeros(pad, grown, written, (enum other)who);
	EQUAL(bad, 0, "zeros where newlines were reserved");
}

/* Zeros in the mail of others, where our region would be.  Nothing of ours was written. */
static void test_zeros_of_others(void)
{
	static const struct {
		const char *name;
		size_t zeros;
		const char *then;
	} rows[] = {
		{"some, and the mail goes on", 1000, "end\n\n"},
		{"all but the last byte of the region", 0, "x\n\n"},
		{"more than the region", 2 * BIG, ""},
		{"and more, then another mail", 2 * BIG, late_mail},
	};
	struct error err = {0};
	struct str want, got;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t zeros = rows[i].zeros;

		fresh(old_mail, sizeof old_mail - 1);
		*book = (struct book){0};
		die_at = PREPARED;
		OK(killed(child_delivers, NEVER, 0) && book->intended, rows[i].name);
		die_at = NOWHERE;
		for (int k = 0; k < MAILS && rows[i].zeros == 0; k++)
			zeros += book->spools[k].size - (k == 0);
		want = slurp(box);
		while (want.len < sizeof old_mail - 1 + zeros)
			str_add(&want, "\0", 1);
		str_puts(&want, rows[i].then);
		put(box, want.s, want.len, O_TRUNC);
		EQUAL(settle(RUN, &err), 0, "settle");
		got = slurp(box);
		OK(got.len == want.len && memcmp(got.s, want.s, want.len) == 0, "not a byte is touched");
		for (size_t k = 0; k < MAILS; k++)
			EQUAL(book->fates[k], SPOOL_VOID, "ours is void");
		str_free(&want);
		str_free(&got);
	}
}

/* The token is found wherever it lies across the pieces in which the file is read. */
static void test_token_anywhere(void)
{
	struct error err = {0};
	struct str mbox, moved;
	int bad = 0;

	received_too = true;
	for (size_t at = 32768 - SPOOL_TOKEN - 1; at <= 32768 + 1; at++) {
		const char *token = book->spools[0].token;
		size_t front;

		fresh(old_mail, sizeof old_mail - 1);
		*book = (struct book){0};
		die_at = PUBLISHED;
		bad += !killed(child_delivers, NEVER, 0);
		die_at = NOWHERE;
		mbox = slurp(box);
		moved = (struct str){.max = 1u << 24};
		front = (size_t)((char *)memmem(mbox.s, mbox.len, token, SPOOL_TOKEN) - mbox.s);
		str_puts(&moved, "From x Thu Jan  1 00:00:00 1970\n\n");
		while (moved.len + front < at - 1)
			str_puts(&moved, "x");
		str_puts(&moved, "\n");
		str_add(&moved, mbox.s, mbox.len);
		put(box, moved.s, moved.len, O_TRUNC);
		bad += settle(RUN, &err) == -1 || book->fates[0] != SPOOL_SAFE ||
		       book->fates[2] != SPOOL_SAFE;
		str_free(&mbox);
		str_free(&moved);
	}
	EQUAL(bad, 0, "found at every place");
}

/* Words of a place that no version has written. */
static void test_places(void)
{
	static const char *const words[] = {
		"", "1", "1:2:3:4:5", "1:2:3:4:5:6:7", "1:2:3:4:5:x", "1:2:3:4:5:", "::::::",
		"1:2:9223372036854775808:4:5:6", "1:-2:3:4:5:6",
	};
	struct deliver d = destination(RUN, true);
	struct error err;

	fresh(old_mail, sizeof old_mail - 1);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		struct spool_intent intent = {.place = words[i], .token = RUN RUN};
		struct spool_past past = {.path = box, .run = RUN, .intents = &intent, .count = 1};

		err = (struct error){0};
		OK(d.ops->settle(&d, &past, &err) == -1 && err.kind == ERR_IO, words[i]);
		EQUAL(intent.fate, SPOOL_UNSURE, "stays undecided");
	}
}

/* An mbox that became a link is not followed; one that is gone holds nothing. */
static void test_settle_refuses(void)
{
	struct deliver d = destination(RUN, true);
	struct spool_intent intent = {.place = "1:2:3:4:5:6", .token = RUN RUN};
	struct spool_past past = {.path = box, .run = RUN, .intents = &intent, .count = 1};
	struct error err = {0};

	fresh(NULL, 0);
	if (symlink("elsewhere", box) == -1)
		abort();
	EQUAL(d.ops->settle(&d, &past, &err), -1, "a symbolic link");
	EQUAL(intent.fate, SPOOL_UNSURE, "decides nothing");
	unlink(box);
	EQUAL(d.ops->settle(&d, &past, &err), 0, "no mbox");
	EQUAL(intent.fate, SPOOL_VOID, "no mail");
}

int main(void)
{
	if (!kit_begin())
		return 99;
	for (int who = 0; who < OTHERS; who++)
		test_kills((enum other)who, true);
	test_kills(NOBODY, false);
	test_kills(APPENDS, false);
	test_second_kills(NOBODY);
	test_second_kills(APPENDS);
	test_blank_lines();
	test_zeros();
	test_zeros_of_others();
	test_token_anywhere();
	test_places();
	test_settle_refuses();
	return kit_end() ? tap_end() : 99;
}

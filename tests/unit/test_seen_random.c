/* SPDX-License-Identifier: MIT */
/*
 * test_seen_random.c - the journal against a model that only counts, over some ten thousand random
 * steps with runs that end well, badly or in the middle; and the journal of a large mailbox.
 */
#include "config.h"

#include "seen.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "journals.h"
#include "tap.h"

#define UIDS (sizeof uids / sizeof *uids)
#define SIZES 3
#define INTENTS 256

/* Entries that cannot be told apart are counted together. */
struct class {
	int seen_free, taken, outdated;
	bool contested;
};

static struct {
	struct class classes[UIDS][SIZES];
	struct { char token[SPOOL_TOKEN + 1]; size_t uid, size; bool past; } intents[INTENTS];
	size_t nintents;
	bool begun, unclosed; /* this run has begun; an earlier one ended badly */
} model;

static struct seen *seen;
static int wrong, steps;

static void check(bool ok, const char *what)
{
	if (!ok && wrong++ < 5)
		printf("# step %d: %s\n", steps, what);
}

static size_t pick(size_t n)
{
	return (size_t)random() % n;
}

static struct class *any_class(size_t *uid, size_t *size)
{
	*uid = pick(UIDS);
	*size = pick(SIZES);
	return &model.classes[*uid][*size];
}

static size_t total(void)
{
	size_t n = 0;

	for (size_t u = 0; u < UIDS; u++)
		for (size_t s = 0; s < SIZES; s++)
			n += (size_t)(model.classes[u][s].seen_free + model.classes[u][s].taken +
			              model.classes[u][s].outdated);
	return n;
}

/* -- steps -------------------------------------------------------------------------------- */

static void all_free(void)
{
	for (size_t u = 0; u < UIDS; u++)
		for (size_t s = 0; s < SIZES; s++) {
			struct class *c = &model.classes[u][s];

			*c = (struct class){.seen_free = c->seen_free + c->taken + c->outdated};
		}
}

static void step_listing(void)
{
	seen_take_begin(seen);
	all_free();
	for (size_t n = pick(40); n > 0; n--) {
		size_t u, s;
		struct class *c = any_class(&u, &s);
		struct seen_entry *entry = seen_take(seen, span(uids[u]), s, true);

		check((entry != NULL) == (c->seen_free > 0), "an exact one is there or not");
		if (entry == NULL) {
			c->contested |= c->taken > 0;
			continue;
		}
		c->seen_free--;
		check(entry->octets == s && entry->uid_len == strlen(uids[u]) &&
		      memcmp(entry->uid, uids[u], entry->uid_len) == 0, "it is the one asked for");
		if (pick(8) == 0) {
			entry->outdated = entry->doubt = true;
			c->outdated++;
		} else {
			c->taken++;
		}
	}
	for (size_t n = pick(5); n > 0; n--) {
		size_t u = pick(UIDS);
		int there = 0;
		struct seen_entry *entry = seen_take(seen, span(uids[u]), 77, false);

		for (size_t s = 0; s < SIZES; s++)
			there += model.classes[u][s].seen_free;
		check((entry != NULL) == (there > 0), "one by UID alone is there or not");
		if (entry == NULL)
			continue;
		check(entry->octets < SIZES && model.classes[u][entry->octets].seen_free > 0,
		      "it is one that was free");
		model.classes[u][entry->octets].seen_free--;
		model.classes[u][entry->octets].taken++;
	}
}

static void step_contested(void)
{
	seen_take_begin(seen);
	all_free();
	for (size_t n = 0; n < UIDS * SIZES; n++) {
		size_t u, s, asked;
		struct class *c = any_class(&u, &s);
		struct seen_entry *entries[8] = {0};
		bool contested;

		if (c->taken > 0 || c->seen_free > 8)
			continue;
		asked = pick(9);
		contested = c->seen_free > 0 && asked > (size_t)c->seen_free;
		for (size_t i = 0; i < asked; i++) {
			struct seen_entry *entry = seen_take(seen, span(uids[u]), s, true);

			check((entry != NULL) == (c->seen_free > 0), "it is there or not");
			if (entry == NULL)
				continue;
			entries[c->taken++] = entry;
			c->seen_free--;
		}
		for (int i = 0; i < c->taken; i++)
			check(entries[i]->contested == contested, "contested or not");
	}
}

static void step_deliver(bool intend)
{
	struct spool spools[16] = {0};
	size_t n = 1 + pick(16), where[16][2];

	if (intend && !model.begun) {
		check(seen_begin(seen, "maildir", "/d", RUN, &err) == 0, "begin");
		model.begun = true;
	}
	for (size_t i = 0; i < n; i++) {
		any_class(&where[i][0], &where[i][1]);
		spools[i] = spool_of(uids[where[i][0]], where[i][1], (enum spool_fate)pick(4));
	}
	if (intend)
		check(seen_intend(seen, spools, n, &err) == 0, "intend");
	if (intend && pick(20) == 0)
		for (size_t i = 0; i < n; i++)
			spools[i].fate = SPOOL_UNSURE; /* never settled: as if we were killed here */
	else
		check(seen_settle(seen, spools, n, (uint64_t)steps, false, &err) == 0, "settle");
	for (size_t i = 0; i < n; i++) {
		if (spools[i].fate == SPOOL_SAFE) {
			model.classes[where[i][0]][where[i][1]].taken++;
		} else if (intend && spools[i].fate != SPOOL_VOID) {
			check(model.nintents < INTENTS, "the model has room");
			memcpy(model.intents[model.nintents].token, spools[i].token, SPOOL_TOKEN + 1);
			model.intents[model.nintents].past = false;
			model.intents[model.nintents].uid = where[i][0];
			model.intents[model.nintents++].size = where[i][1];
		}
	}
}

static void step_gone(void)
{
	size_t u, s;
	struct class *c = any_class(&u, &s);

	check(seen_gone(seen, span(uids[u]), s, 0, &err) == 0, "gone");
	if (c->taken > 0)
		c->taken--;
	else if (c->seen_free > 0)
		c->seen_free--;
}

static void step_missing(void)
{
	check(seen_missing(seen, 1 + pick(1000000), &err) == 0, "missing");
}

/* Gives the open intents of earlier runs their fates, most of the time. */
static void step_settle_pasts(void)
{
	struct spool_past *past;
	size_t n = seen_pasts(seen, &past), listed = 0, mine = 0, left = 0;

	for (size_t m = 0; m < model.nintents; m++)
		mine += model.intents[m].past;
	for (size_t p = 0; p < n; p++) {
		for (size_t i = 0; i < past[p].count; i++, listed++) {
			enum spool_fate fate = pick(10) == 0 ? SPOOL_UNSURE
			                                     : pick(2) ? SPOOL_SAFE : SPOOL_VOID;
			size_t m = 0;

			while (m < model.nintents &&
			       strcmp(model.intents[m].token, past[p].intents[i].token) != 0)
				m++;
			check(m < model.nintents, "the intent is known");
			if (m == model.nintents)
				continue;
			past[p].intents[i].fate = fate;
			if (fate == SPOOL_UNSURE) {
				left++;
				continue;
			}
			if (fate == SPOOL_SAFE)
				model.classes[model.intents[m].uid][model.intents[m].size].taken++;
			model.intents[m] = model.intents[--model.nintents];
		}
	}
	check(listed == mine, "all intents of the pasts are there");
	check((n > 0) >= model.unclosed, "a run that ended badly is a past");
	check(seen_settle_pasts(seen, &err) == 0, "settle pasts");
	model.unclosed &= left > 0;
	check((seen_pasts(seen, &past) > 0) == (left > 0), "pasts go when all is decided");
}

/* Another run. */
static void step_reopen(void)
{
	char *before = xstrdup(shown(seen));
	bool clean = pick(2);
	const char *after;

	all_free();
	check(seen_flush(seen, &err) == 0, "flush");
	if (pick(3) == 0)
		check(strstr(shown_after_crash(), strchr(before, '=')) != NULL, "a crash after flush");
	model.unclosed |= model.begun && !clean;
	seen_close(&seen, clean);
	seen = open_seen(dir);
	if (seen == NULL) {
		check(false, err.text);
		exit(1);
	}
	after = shown(seen);
	for (const char *p; (p = strstr(before, RUN ":")) != NULL;) /* the pasts have their own test */
		memmove(before, strchr(p, '\n') + 1, strlen(strchr(p, '\n')));
	check(strlen(after) >= strlen(before) &&
	      strcmp(after + strlen(after) - strlen(before), before) == 0,
	      "the next run knows what the last one knew");
	free(before);
	for (size_t m = 0; m < model.nintents; m++)
		model.intents[m].past = true;
	model.begun = false;
}

static void test_random(int rounds)
{
	seen = fresh();
	for (steps = 0; steps < rounds && wrong == 0; steps++) {
		switch (pick(16)) {
		case 0: case 1: case 2: case 3: step_deliver(true); break;
		case 4: case 5: step_deliver(false); break;
		case 6: case 7: step_listing(); break;
		case 8: step_contested(); break;
		case 9: step_missing(); break;
		case 10: step_reopen(); step_settle_pasts(); break;
		case 11: step_reopen(); break;
		case 12: check(seen_flush(seen, &err) == 0, "flush"); break;
		default:
			for (size_t i = total() / 64; i > 0; i--)
				step_gone();
		}
		check(seen_count(seen) == total(), "the count");
		if (model.nintents > INTENTS - 64) {
			step_reopen();
			step_settle_pasts();
		}
	}
	printf("# %d steps, %zu entries and %zu open intents at the end\n", steps, total(),
	       model.nintents);
	EQUAL(wrong, 0, "the journal does what the model does");
	seen_close(&seen, false);
}

/* -- a large mailbox ---------------------------------------------------------------------- */

static double cpu(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

/* Takes all n, then again more than there are. */
static size_t take_all(size_t n, char (*names)[32], bool exact)
{
	size_t found = 0;

	seen_take_begin(seen);
	for (size_t i = 0; i < n; i++)
		found += seen_take(seen, span(names[i]), 1000, exact) != NULL;
	for (size_t i = 0; i < n; i++)
		found += seen_take(seen, span(names[i]), 1000, exact) != NULL;
	return found;
}

/* different: how many UIDs there are; sizes: how many sizes. */
static void test_large(const char *name, size_t n, size_t different, size_t sizes)
{
	struct spool *spools = xcalloc(n, sizeof *spools);
	char (*names)[32] = xcalloc(n, sizeof *names);
	double start, load;
	size_t gone = 0;

	seen = fresh();
	for (size_t i = 0; i < n; i++) {
		snprintf(names[i], sizeof *names, "%08zx4d3a11f0", i % different);
		spools[i] = (struct spool){.uid = span(names[i]), .octets = 1000 + i % sizes,
		                           .fate = SPOOL_SAFE};
	}
	start = cpu();
	if (seen_settle(seen, spools, n, 1700000000, false, &err) == -1)
		OK(false, err.text);
	printf("# %s: recorded in %.3f s\n", name, cpu() - start);
	seen_close(&seen, true);
	start = cpu();
	seen = open_seen(dir);
	load = cpu() - start;
	printf("# %s: loaded in %.3f s\n", name, load);
	start = cpu();
	EQUAL(take_all(n, names, false), n, "by UID alone");
	EQUAL(take_all(n, names, true), n / sizes, "exactly");
	seen_missing(seen, 1, &err);
	seen_missing(seen, 100000000, &err);
	EQUAL(seen_count(seen), n / sizes, "those of other sizes are forgotten");
	take_all(n / 2, names, true);
	for (size_t i = 0; i < n; i++)
		gone += seen_gone(seen, spools[i].uid, spools[i].octets, 0, &err) == 0;
	EQUAL(seen_count(seen), 0, "all are gone");
	printf("# %s: taken twice, missed, gone: %.3f s\n", name, cpu() - start);
	OK(gone == n && cpu() - start < 4 && load < 2, "nothing is quadratic");
	seen_close(&seen, true);
	free(spools);
	free(names);
}

int main(void)
{
	journals_begin("test_seen_random");
	srandom(20240607);
	test_random(3000);
	test_large("all different", 100000, 100000, 1);
	test_large("all the same", 100000, 1, 1);
	test_large("one UID, two sizes", 100000, 1, 2);
	return journals_end();
}

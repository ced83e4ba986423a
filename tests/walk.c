/* SPDX-License-Identifier: MIT */
/*
 * walk.c - the long life of one account, drawn by lot, and a model that knows what must be true.
 *
 * walk [-s SEED] [-n SESSIONS] [-d]   default 1 and 2000; -d tells every event, keeps the directory
 * walk mda DIRECTORY                  the MDA of the walks with an even seed
 * walk filter DIRECTORY               the filter
 *
 * Between sessions mail arrives, other clients delete, UIDs are reset, shared or used again, sizes
 * lie, the configuration changes (what is kept, what is too large, the filter, the limit), the
 * filter changes its mind, mail readers and other programs work on the same Maildir or
 * mbox (also while mailhaul runs).  In a session the server or the machine may fail, and mailhaul
 * may be killed.  After every session the model (walk_model.c) is compared with what is there; at
 * each quiet point, a session or three in which nothing goes wrong, all must be in its place.
 *
 * All decisions come from the seed and the session's number, none from the clock, so a seed can
 * be walked again; the instant of a signal is as exact as the machine lets it be, and so is the
 * end of a second for which mail is kept.  MAILHAUL and POP3D name the programs; inject stands
 * beside this one, or kills come by signal.  Prints TAP and at the end the counts.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "walk.h"

#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	QUIET_EVERY = 10, /* sessions from one quiet point to the next, at most */
	MOST_CLEAN = 3,   /* sessions without a fault, and without a limit, that put all right */
	REMEMBERED = 24   /* events that are told when something is wrong */
};

static const char *const keep_words[KEEPS] = {"no", "yes", "30d", "1s"};
static const struct { const char *name; unsigned weight; } lots[FAULTS] = {
	[CLEAN] = {"clean", 36}, [KILL] = {"kill", 24}, [TERM] = {"stop", 5},
	[FULL] = {"full disk", 5}, [ERROR] = {"failed call", 5}, [CUT] = {"cut", 9},
	[STALL] = {"stall", 1}, [BROKEN] = {"broken pipelining", 3}, [REFUSE] = {"refusal", 4},
	[FAREWELL] = {"odd QUIT", 5}, [SHORT] = {"short listing", 4}, [NAMELESS] = {"no UID", 2},
	[SIFTING] = {"failing filter", 3},
};

/* The configuration, and whether a run has died where it delivered to the mbox. */
static struct rules rules = {.received = true};
static bool mbox_open;

static unsigned long seed = 1, sessions_wanted = 2000;
static unsigned long sessions, quiet_points, by_fault[FAULTS], limited, sized, sifted;
static bool keep_directory, remove_directory = true, can_inject;

/* -- chance, and what is told -------------------------------------------------------------- */

static uint64_t dice;

static uint64_t stir(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

unsigned below(unsigned n)
{
	return (unsigned)((stir(dice += 0x9e3779b97f4a7c15u) >> 33) % (n > 0 ? n : 1));
}

bool chance(unsigned percent)
{
	return below(100) < percent;
}

static char events[REMEMBERED][300];
static unsigned n_events;

void tell(const char *fmt, ...)
{
	char *event = events[n_events++ % REMEMBERED];
	int n = snprintf(event, sizeof events[0], "%lu: ", sessions);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(event + n, sizeof events[0] - (size_t)n, fmt, ap);
	va_end(ap);
	if (keep_directory)
		printf("# %s\n", event);
}

static void tell_copies(const char *of, const struct copies *c)
{
	printf("#   %s: %u (%u taken), %s as %u%s%s\n", of, c->seen, c->taken,
	       c->known ? "known" : "unknown", c->known_uid, c->flight ? " flight" : "",
	       c->stray ? " stray" : "");
}

static void tell_message(const struct message *m)
{
	printf("# message %u (%s): uid %u, listed %lu of %lu, %s, known with %lu%s%s%s%s, doubt %d%s, "
	       "the filter %s %d\n", m->id, text_name(m), m->uid, m->listed, m->size,
	       m->here ? "on the server" : "gone", m->known_listed, m->missing ? " missing" : "",
	       m->again ? " again" : "", m->head_again ? " head again" : "",
	       m->listing ? " listed" : "", (int)m->doubt, m->warned ? " warned" : "",
	       m->asked ? "said" : "would say", (int)m->verdict);
	tell_copies("copies", &m->whole);
	tell_copies("headers", &m->head);
}

void disagree(const struct message *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("not ok 1 - seed %lu, session %lu: ", seed, sessions);
	vprintf(fmt, ap);
	putchar('\n');
	for (unsigned i = n_events > REMEMBERED ? n_events - REMEMBERED : 0; i < n_events; i++)
		printf("#   %s\n", events[i % REMEMBERED]);
	if (m)
		tell_message(m);
	printf("# all is in %s; again: make check-walk SEED=%lu\n1..1\n", work, seed);
	remove_directory = false;
	exit(1);
}

/* -- between sessions ---------------------------------------------------------------------- */

static void change_configuration(void)
{
	if (chance(60))
		rules.place = below(seed % 2 == 0 ? PLACES : MDA);
	if (chance(60))
		rules.keep = chance(50) ? KEEP_NO : below(KEEPS);
	if (chance(30))
		rules.received = !rules.received;
	if (chance(50))
		rules.limit = chance(50) ? 0 : 1 + below(5);
	if (chance(40))
		rules.max_size = chance(50) ? 0 : 60 + below(500);
	if (chance(40))
		rules.oversize = below(OVERSIZES);
	if (chance(40))
		rules.filter = chance(45);
	tell("the configuration changes");
}

static void life_goes_on(void)
{
	for (unsigned n = below(4); n-- > 0;)
		mailbox_arrive();
	if (chance(16))
		mailbox_arrive_alike();
	if (chance(5))
		mailbox_size_lies();
	if (chance(2))
		mailbox_reset_uids();
	if (chance(8) || n_here == MAX_HERE)
		mailbox_lose(10 + below(80));
	if (chance(10))
		mailbox_lose_twin();
	if (chance(15))
		change_configuration();
	if (chance(20))
		mailbox_change_minds();
	if (chance(15))
		world_read_mail();
	if (chance(mbox_open ? 40 : 8))
		world_append();
}

/* -- a session ----------------------------------------------------------------------------- */

static enum fault draw_fault(void)
{
	unsigned all = 0, lot, f = 0;

	for (unsigned i = 0; i < FAULTS; i++)
		all += lots[i].weight;
	for (lot = below(all); lot >= lots[f].weight; f++)
		lot -= lots[f].weight;
	return f;
}

/* What the server does wrong. */
static void spoil_server(struct session *s)
{
	static const char *const verbs[] = {"GREETING", "CAPA", "USER", "PASS", "STAT", "UIDL", "LIST",
	                                    "TOP", "RETR", "DELE", "QUIT"};
	static const char *const farewells[] = {"close-noapply", "reset", "apply-close", "cut 0",
	                                        "cut-reset 0", "reply -ERR not all", "reply +OK bye"};
	const char *often = chance(50) ? " conn 1" : "";
	unsigned octets = 300, i = below(COUNT(farewells));

	for (unsigned k = 0; k < s->n; k++)
		octets += (unsigned)s->list[k]->size + 60;
	if (s->fault == CUT)
		snprintf(s->lines, sizeof s->lines, "cut-after %u %s%s", below(octets),
		         chance(50) ? "fin" : "rst", often);
	if (s->fault == STALL)
		snprintf(s->lines, sizeof s->lines, "on %s nth %u%s stall", verbs[below(COUNT(verbs))],
		         1 + below(2), often);
	if (s->fault == BROKEN)
		snprintf(s->lines, sizeof s->lines, "broken-pipelining %s", chance(80) ? "close" : "drop");
	if (s->fault == REFUSE)
		snprintf(s->lines, sizeof s->lines, "on %s %u%s reply -ERR%s not this one",
		         chance(50) ? "RETR" : chance(70) ? "DELE" : "TOP", 1 + below(s->n), often,
		         chance(30) ? " [SYS/TEMP]" : "");
	if (s->fault == FAREWELL) {
		snprintf(s->lines, sizeof s->lines, "on QUIT%s %s", often, farewells[i]);
		s->undone = i >= 5;
		s->liar = i == 6;
	}
}

/* What the machine does wrong. */
static void spoil_machine(struct session *s)
{
	static const char *const kills[] = {"-K", "-K", "-K -a", "-K -s", "-k", "-k -a", "-k -s", "-r"};
	static const char *const errors[] = {"EIO", "ENOSPC", "EDQUOT", "EINTR", "ENOMEM", "EMFILE"};
	unsigned calls = 50 + (s->rules.filter ? 12 : 7) * s->n;

	s->dies = s->fault == KILL || s->fault == FULL || s->fault == ERROR;
	if (s->fault == KILL && can_inject)
		snprintf(s->inject, sizeof s->inject, "%s -n %u", kills[below(COUNT(kills))],
		         1 + below(calls));
	if (s->fault == ERROR && can_inject)
		snprintf(s->inject, sizeof s->inject,
		         "-e %s -n %u -c openat,write,pwrite64,fsync,fdatasync,"
		         "ftruncate,renameat2,linkat,unlink,unlinkat,close", errors[below(COUNT(errors))],
		         1 + below(calls / 2));
	if (s->fault == TERM || (s->fault == KILL && !can_inject)) {
		s->signal = s->fault == TERM ? SIGTERM : SIGKILL;
		s->at_line = below(12 + 2 * s->n);
		s->behind_us = below(3000);
		s->group = chance(50);
	}
	if (s->fault == FULL)
		s->room = 1 + below(chance(50) ? 5000 : 100000);
}

static void tell_session(const struct session *s)
{
	static const char *const sizes[OVERSIZES] = {"leave", "headers", "delete"};
	const struct rules *r = &s->rules;

	tell("%s: %s%.26s, room %lu, signal %d line %u; %u messages to place %d, keep %s, received %d, "
	     "limit %u, size %lu %s%s%s%s: status %d, %u connections", lots[s->fault].name, s->lines,
	     s->inject, s->room, s->signal, s->at_line, s->n, r->place, keep_words[r->keep],
	     r->received, r->limit, r->max_size, sizes[r->oversize], r->filter ? ", filter" : "",
	     s->pipelining ? ", pipelining" : "", s->retry ? ", retry" : "", s->status,
	     s->connections);
}

/* Returns how many messages should still come or go, by the rules of today. */
static unsigned play(enum fault fault, bool retry)
{
	struct session s = {.fault = fault, .rules = rules, .retry = retry};
	char *gone, *asked;
	unsigned rest;

	sessions++;
	by_fault[fault]++;
	s.pipelining = chance(70);
	s.company = chance(25);
	s.rules.filter |= fault == SIFTING;
	limited += s.rules.limit > 0;
	sized += s.rules.max_size > 0;
	sifted += s.rules.filter;
	mailbox_list(&s);
	spoil_server(&s);
	spoil_machine(&s);
	world_play(&s);
	tell_session(&s);
	gone = text_of(in("gone"));
	asked = text_of(in("asked"));
	rest = model_judge(&s, gone, asked);
	free(gone);
	free(asked);
	if (s.connections > 0 || s.dies)
		mbox_open = s.dies && (rules.place == MBOX || (mbox_open && s.connections == 0));
	return rest;
}

/* All faults are over: then finitely many sessions put everything right. */
static void be_quiet(void)
{
	unsigned n = 0, most, rest;

	if (chance(50)) { /* also what was left for these reasons */
		rules.limit = 0;
		rules.max_size = 0;
		rules.filter = false;
		tell("nothing is left behind any more");
	}
	most = MOST_CLEAN + (rules.limit > 0 ? n_here / rules.limit : 0);
	do {
		rest = play(CLEAN, true);
		n++;
	} while (rest > 0 && n < most);
	if (rest > 0)
		disagree(NULL, "%u should have come or gone after %u sessions without a fault", rest, n);
	quiet_points++;
	if (!chance(60) && n_foreign < MAX_FOREIGN)
		return;
	world_take_all();
	mailbox_forget_gone();
	tell("all mail is read and deleted");
}

static void walk(void)
{
	unsigned since = 0;

	while (sessions < sessions_wanted) {
		dice = stir(stir(seed) + sessions);
		life_goes_on();
		if (++since < QUIET_EVERY) {
			play(draw_fault(), chance(20));
			continue;
		}
		be_quiet();
		since = 0;
	}
	be_quiet();
}

/* -- from the first to the last ------------------------------------------------------------ */

static unsigned long number(const char *text)
{
	unsigned long n = 0;

	for (; text && *text >= '0' && *text <= '9' && n < 1000000000; text++)
		n = n * 10 + (unsigned)(*text - '0');
	if (!text || *text)
		die("usage: walk [-s SEED] [-n SESSIONS] [-d]");
	return n;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "mda") == 0)
		return world_store(argv[2]);
	if (argc == 3 && strcmp(argv[1], "filter") == 0)
		return world_sift(argv[2]);
	for (int opt; (opt = getopt(argc, argv, "s:n:d")) != -1;) {
		if (opt == 's')
			seed = number(optarg);
		else if (opt == 'n')
			sessions_wanted = number(optarg);
		else
			keep_directory = opt == 'd' || number(NULL);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	remove_directory = !keep_directory;
	can_inject = world_begin(&remove_directory);
	walk();
	printf("ok 1 - seed %lu: %lu sessions agree with the model\n1..1\n", seed, sessions);
	for (unsigned i = 0; i < FAULTS; i++)
		printf("%s%s %lu", i ? ", " : "# sessions: ", lots[i].name, by_fault[i]);
	printf("\n# %lu with a limit, %lu with max_size, %lu with a filter; %u twins, %lu "
	       "went unread as told, %lu headers came\n", limited, sized, sifted, n_twins, unread,
	       headers);
	printf("# %lu sessions, %u messages, %lu quiet points, %lu second copies and %lu mistaken "
	       "twins that the rules allow, 0 disagreements%s\n", sessions, n_messages,
	       quiet_points, second_copies, forgiven, can_inject ? "" : " (without inject)");
	return 0;
}

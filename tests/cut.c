/* SPDX-License-Identifier: MIT */
/*
 * cut.c - the connection is cut after every byte of a session, and nothing is lost or doubled.
 *
 * cut [-n POINTS] [-c CERTDIR]      with MAILHAUL and POP3D in the environment; run by cut.t
 * cut -m DIRECTORY                  is the MDA of those runs
 *
 * A setting is one of {Maildir, mbox, MDA} x {keep, delete} x {lock-step, pipelined without and
 * with a second try}.  In each the session is run once as a reference.  Then, for each number of
 * octets that the server sent there, and for each end {FIN, RST, TLS goodbye, TLS without goodbye}:
 * a run whose first connection ends after so many octets, looked at; and one more run without
 * trouble, looked at.  Then the same for the end at each command of the client, unanswered, and
 * for the end after each byte of the TLS handshake.
 *
 * After the run with the cut: each message is on the server or delivered, none twice, none in part;
 * what was there before is as it was; no temporary file is left; the status is 0 where all is
 * done and 75 with one line where it is not.  After the clean run: status 0, each message is
 * delivered once, and by keep all or none of them are on the server.
 *
 * -n  try so many points only, those at the ends of lines before others (default: all)
 * -c  where make-certs.sh was; without, the ends in TLS are left out
 *
 * Everything lies in $TMPDIR or, for speed, /dev/shm: what a cut leaves is the same everywhere.
 * TAP, a check for each setting and kind of end; the counts in the last line.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "cut.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit/tap.h"

enum { SETTINGS = 18 };

/* -- the points ------------------------------------------------------------------------ */

/* Whether a cut here is near a line's end, in the bytes themselves or at either end of all. */
static bool is_edge(const struct bytes *said, size_t at)
{
	return at <= 1 || at + 1 >= said->len || said->p[at] == '\n' || said->p[at - 1] == '\n' ||
	       said->p[at - 2] == '\n' || said->p[at] == '.';
}

/* Every point, or so many, two of three at edges; another choice for each setting. */
static void cut_all(const struct setting *s, int how, unsigned long want, size_t phase)
{
	size_t all = s->said.len + 1, step = 7919 % all ? 7919 : 7927;
	unsigned long tried = 0, edges = 0;
	char trouble[100];

	for (size_t i = 0; i < all && (want == 0 || tried < want); i++) {
		size_t at = want == 0 ? i : (i * step + phase) % all;

		if (want > 0 && edges * 3 < tried * 2 && !is_edge(&s->said, at))
			continue;
		edges += is_edge(&s->said, at);
		snprintf(trouble, sizeof trouble, "cut-after %zu %s conn 1", at, hows[how]);
		point_try(s, trouble);
		tried++;
	}
}

/* The end at each command, unanswered; and QUIT obeyed, but not answered. */
static void hang_up_all(const struct setting *s, int how, unsigned long want, size_t phase)
{
	unsigned step = want > 0 ? s->commands / (unsigned)want + 1 : 1;
	char trouble[100];

	for (unsigned k = 1 + (unsigned)phase % step; k <= s->commands; k += step) {
		snprintf(trouble, sizeof trouble, "on ANY nth %u conn 1 %s", k,
		         how == RST ? "reset" : "close");
		point_try(s, trouble);
	}
	if (how == FIN)
		point_try(s, "on QUIT conn 1 apply-close");
}

/* The end after each byte of the handshake. */
static void shake_all(const struct setting *s, int how, unsigned long want)
{
	char trouble[100];
	unsigned n = 0;

	do {
		snprintf(trouble, sizeof trouble, "on TLS conn 1 %s %u",
		         how == RST ? "cut-reset" : "cut-notls", n);
		point_try(s, trouble);
		n += want > 0 ? 211 : 1;
	} while (!point_has_shaken());
}

/* -- all of it ------------------------------------------------------------------------- */

static void check(const struct setting *s, const char *how, unsigned long before)
{
	char name[200];

	snprintf(name, sizeof name, "%s, %s, %s, %s: %lu cuts", dests[s->dest],
	         s->keep ? "keep" : "delete", modes[s->mode], how, found.points - before);
	OK(found.now == 0, name);
	fflush(stdout);
	found.now = 0;
}

static void try_setting(struct setting *s, int how, unsigned long want, size_t phase)
{
	unsigned long before = found.points;

	s->tls = how == TLS || how == NOTLS;
	cut_all(s, how, want, phase);
	check(s, hows[how], before);
	before = found.points;
	if (!s->tls) {
		hang_up_all(s, how, want ? want / 3 + 1 : 0, phase);
		check(s, how == RST ? "RST at commands" : "FIN at commands", before);
	} else if (s->dest == MAILDIR && !s->keep && s->mode == LOCK_STEP) {
		shake_all(s, how == NOTLS ? FIN : RST, want);
		check(s, how == NOTLS ? "FIN in the handshake" : "RST in the handshake", before);
	}
}

int main(int argc, char **argv)
{
	unsigned long want = 0;
	char *certs = NULL;
	int option, failed;

	while ((option = getopt(argc, argv, "n:c:m:")) != -1) {
		if (option == 'm')
			return point_store(optarg);
		else if (option == 'c' && !(certs = realpath(optarg, NULL)))
			die("%s: is not there", optarg);
		else if (option == 'n')
			for (const char *p = optarg; *p >= '0' && *p <= '9'; p++)
				want = want * 10 + (unsigned long)(*p - '0');
		else if (option == '?')
			return 2;
	}
	point_begin(certs);
	for (int i = 0; i < SETTINGS; i++) {
		struct setting s = {.dest = i % 3, .keep = i / 3 % 2, .mode = i / 6};

		point_learn(&s);
		for (int how = FIN; how <= NOTLS; how++)
			if (certs || how < TLS)
				try_setting(&s, how, want ? want / SETTINGS / 4 + 1 : 0,
				            (size_t)(i * 4 + how) * 101);
		free(s.said.p);
	}
	point_end();
	failed = tap_end();
	printf("# %lu cuts, %lu runs%s: %lu lost, %lu doubled, %lu partial, %lu otherwise wrong\n",
	       found.points, found.runs, certs ? "" : " (none in TLS: there are no certificates)",
	       found.lost, found.doubled, found.partial, found.untrue);
	free(certs);
	return failed;
}

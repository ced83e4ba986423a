/* SPDX-License-Identifier: MIT */
/*
 * sweep.c - mailhaul is killed at every system call that matters, and every one fails once.
 *
 * sweep crash [STRIDE [SCENE...]]    kills, and second kills while the first is being settled
 * sweep fault [STRIDE [SCENE...]]    calls that fail or do half, and allocations that fail
 * sweep point SCENE VARIANT STEP...  one point again, as sweep has told it; keeps the directory
 * sweep mda DIRECTORY                the MDA of the scenes
 *
 * A point is one way in which a run is harmed (scene.h).  STRIDE tries every STRIDE-th only
 * (default 1, all); where others act in between, and what an mbox holds at first, changes from
 * point to point, and what is not reached any more ends a series: nothing here knows how many
 * there are.  Prints TAP, a line for each scene, and at the end the counts.
 *
 * MAILHAUL and POP3D name the programs; inject and nomem.so stand beside this one.  The scratch
 * directory is in $TMPDIR or, for speed, /dev/shm: what a kill leaves is the same everywhere.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scene.h"

/* -- the scenes --------------------------------------------------------------------------- */

/* The ugly one has quoted and unquoted From_ lines, a NUL, a bare CR and no line end. */
#define MIXED \
	"message u1 size 700\n" \
	"message u2 size 90000\n" \
	"message u3 text Subject: ugly\\r\\n\\r\\nFrom me\\r\\n>From you\\r\\n.\\0\\r.\\r\\nno end\n" \
	"message u4 size 3000\n" \
	"message u5 text Subject: no body\\r\\n\n"
/* With 68 files: 36 messages, then 30. */
static const char two_groups[] = "messages 66 300\n";
static const char heads[] =
	"message u1 text Subject: one\\r\\n\\r\\n\n"
	"message u2 text Subject: two\\r\\nX-More: 1\\r\\n\\r\\n\n"
	"message u3 text Subject: three\\r\\n\\r\\n\n";
enum { FEWER = 5 }; /* in a Maildir these do the same again and again: longer strides */

static const struct scene scenes[] = {
	{"maildir-keep", MAILDIR, true, false, false, MIXED, NULL, 0, 0},
	{"maildir-keep-lockstep", MAILDIR, true, true, false, MIXED, NULL, 0, 0},
	{"maildir-delete", MAILDIR, false, false, false, MIXED, NULL, 0, 0},
	{"maildir-delete-lockstep", MAILDIR, false, true, false, MIXED, NULL, 0, 0},
	{"mbox-keep", MBOX, true, false, false, MIXED, NULL, 0, 0},
	{"mbox-keep-lockstep", MBOX, true, true, false, MIXED, NULL, 0, 0},
	{"mbox-delete", MBOX, false, false, false, MIXED, NULL, 0, 0},
	{"mbox-delete-lockstep", MBOX, false, true, false, MIXED, NULL, 0, 0},
	{"mda-keep", MDA, true, false, false, MIXED, NULL, 0, 1},
	{"mda-keep-lockstep", MDA, true, true, false, MIXED, NULL, 0, 1},
	{"mda-delete", MDA, false, false, false, MIXED, NULL, 0, 1},
	{"mda-delete-lockstep", MDA, false, true, false, MIXED, NULL, 0, 1},
	{"mda-jobs", MDA, false, false, false, MIXED, NULL, 0, 3},
	{"maildir-two-groups", MAILDIR, false, false, false, two_groups, NULL, 68, 0},
	{"mbox-two-groups", MBOX, false, false, false, two_groups, NULL, 68, 0},
	/* These texts are headers alone, so they can be told from parts. */
	{"maildir-headers", MAILDIR, false, false, true, heads, NULL, 0, 0},
	{"mbox-headers", MBOX, false, false, true, heads, NULL, 0, 0},
	{"mda-headers", MDA, false, false, true, heads, NULL, 0, 1},
	/* So much has happened already that the journal is rewritten in the run. */
	{"journal-rewritten", MAILDIR, false, false, false, MIXED, "messages 331 300 old\n", 0, 0},
};

/* -- counting ----------------------------------------------------------------------------- */

enum kind { KILLS, SECOND_KILLS, FAULTS_MADE, FAULTS_AFTER_KILLS, NO_MEMORY, KINDS };

static const char *const kind_names[KINDS] = {
	"kill points", "second kills", "faults", "faults after a kill", "failed allocations",
};
static unsigned long made[KINDS];
static unsigned long stride;
static unsigned turn; /* goes on with every point */

static unsigned long all_faults(void)
{
	unsigned long all = 0;

	for (size_t i = 0; i < FAULTS; i++)
		all += faults[i];
	return all;
}

static bool play(enum kind kind, unsigned variant, const char *first, const char *second)
{
	struct point point = {.variant = variant, .steps = {first, second}, .n = second ? 2 : 1};
	bool reached = scene_play(&point);

	made[kind] += reached;
	return reached;
}

/* -- kills -------------------------------------------------------------------------------- */

/* A series of kills, at each call that counts. */
static void kill_at_each(const char *how, bool both_variants)
{
	char step[200];
	bool reached = true;

	for (unsigned long n = 1 + turn % stride; reached; n += stride) {
		snprintf(step, sizeof step, "%s -n %lu", how, n);
		reached = play(KILLS, turn++ % 10, step, NULL);
		if (reached && both_variants)
			play(KILLS, turn % 10, step, NULL);
	}
}

/* The next run is killed, too: as far as the options reach. */
static void kill_twice(const char *options, unsigned long by, unsigned long then_by)
{
	struct calls calls;
	char first[200], second[200];
	const struct point whole = {.steps = {"-n 0"}, .n = 1};
	unsigned long calls_in_all = 0;

	scene_count(&whole, &calls);
	for (size_t i = 0; i < calls.n; i++)
		calls_in_all += calls.times[i];
	for (unsigned long n = 1 + turn % by; n <= calls_in_all; n += by) {
		bool reached = true;

		snprintf(first, sizeof first, "-K -n %lu", n);
		for (unsigned long m = 1 + turn % then_by; reached; m += then_by) {
			snprintf(second, sizeof second, "-K%s -n %lu", options, m);
			reached = play(SECOND_KILLS, turn++ % 10, first, second);
		}
	}
}

/* Kills at the places for which all the care is taken; they are always tried. */
static const char *const maildir_kills[] = {
	"-K -c fdatasync -n 3", "-K -c renameat2 -n 1", "-K -c renameat2 -n 3",
	"-K -a -c renameat2 -n 5", NULL,
};
static const char *const mbox_kills[] = {
	"-K -a -c fdatasync -n 3", "-K -c fdatasync -n 4", "-K -c copy_file_range -n 3",
	"-K -s -c copy_file_range -n 2", "-K -c fdatasync -n 6", NULL,
};
static const char *const mda_kills[] = {
	"-K -c execve -n 2", "-K -c rename -n 2", "-K -a -c rename -n 2", NULL,
};
static const char *const *const great_kills[] = {
	[MAILDIR] = maildir_kills, [MBOX] = mbox_kills, [MDA] = mda_kills,
};

static void crash(enum place place)
{
	for (const char *const *how = great_kills[place]; *how; how++) {
		play(KILLS, 2, *how, NULL);
		play(KILLS, 3, *how, NULL);
	}
	kill_at_each("-K", stride == 1);
	kill_at_each("-s -K -c write,pwrite64,copy_file_range,sendto", false);
	kill_at_each("-k", false);
	kill_at_each("-r", false);
	/* Before it dials it settles what the first has left; that is looked at more closely. */
	kill_twice(" -u connect", 3 * stride, 4 * stride);
	kill_twice("", 13 * stride, 11 * stride);
}

/* -- faults ------------------------------------------------------------------------------- */

/* What may go wrong with a call that mailhaul makes. */
static const struct {
	const char *call, *errors;
} fallible[] = {
	{"openat", "EACCES EMFILE ENFILE ENOMEM ENOSPC EDQUOT EROFS EIO EINTR"},
	{"write", "ENOSPC EDQUOT EIO EINTR EAGAIN EFBIG half"},
	{"pwrite64", "ENOSPC EDQUOT EIO EINTR EFBIG half"},
	{"copy_file_range", "ENOSPC EDQUOT EIO EINTR EXDEV EINVAL ENOMEM EOPNOTSUPP half"},
	{"fsync", "EIO ENOSPC EDQUOT EINTR EINVAL"},
	{"fdatasync", "EIO ENOSPC EDQUOT EINTR"},
	{"ftruncate", "EIO EINTR EPERM EROFS"},
	{"rename", "EIO ENOSPC EDQUOT EACCES EROFS ENOMEM"},
	{"renameat", "EIO ENOSPC EDQUOT EACCES EROFS ENOMEM EINTR"},
	{"renameat2", "EIO ENOSPC EDQUOT EACCES EROFS ENOMEM EINTR EXDEV EINVAL ENOSYS EEXIST"},
	{"link", "EIO ENOSPC EACCES EMLINK"},
	{"linkat", "EIO ENOSPC EACCES EMLINK"},
	{"unlink", "EIO EACCES EROFS EBUSY"},
	{"unlinkat", "EIO EACCES EROFS EBUSY"},
	{"mkdir", "EIO ENOSPC EDQUOT EACCES EROFS EMLINK ENOMEM"},
	{"fcntl", "EAGAIN EINTR ENOLCK EIO"},
	{"flock", "EAGAIN EINTR ENOLCK EIO"},
	{"close", "EIO EINTR ENOSPC EDQUOT"},
	{"sendto", "ECONNRESET EPIPE EINTR EAGAIN ENOBUFS ENOMEM half"},
	{"sendmsg", "EINTR EAGAIN EPIPE ENOBUFS ENOMEM ECONNRESET"},
	{"recvfrom", "ECONNRESET EINTR EAGAIN ENOMEM ETIMEDOUT half"},
	{"recvmsg", "EINTR EAGAIN ECONNRESET ENOMEM"},
	{"read", "EIO EINTR EAGAIN half"},
	{"pread64", "EIO EINTR half"},
	{"getdents64", "EIO EINTR"},
	{"newfstatat", "EIO EACCES ENOMEM"},
	{"lseek", "EIO"},
	{"memfd_create", "EMFILE ENOMEM"},
	{"pipe2", "EMFILE ENFILE"},
	{"socket", "EMFILE ENFILE ENOBUFS ENOMEM EACCES"},
	{"socketpair", "EMFILE ENFILE ENOMEM"},
	{"connect", "ECONNREFUSED ETIMEDOUT ENETUNREACH EAGAIN EINTR"},
	{"poll", "EINTR ENOMEM"},
	{"ppoll", "EINTR ENOMEM"},
	{"clone", "EAGAIN ENOMEM"},
	{"clone3", "EAGAIN ENOMEM ENOSYS"},
	{"fork", "EAGAIN ENOMEM"},
	{"vfork", "EAGAIN ENOMEM"},
	{"execve", "EACCES ENOENT ENOMEM EIO ETXTBSY"},
	{"waitid", "EINTR ECHILD"},
	{"getrandom", "EINTR"},
};

static unsigned times_of(const struct calls *calls, const char *name)
{
	for (size_t i = 0; i < calls->n; i++)
		if (strcmp(calls->name[i], name) == 0)
			return calls->times[i];
	return 0;
}

/* The first sendto asks the kernel for our addresses, within getaddrinfo: that is never halved. */
static bool is_no_error(const char *call, unsigned n, bool half)
{
	return half && n == 1 && strcmp(call, "sendto") == 0;
}

/* So that scene.c can see whether what failed is synced again. */
static const char watch_syncs[] = " -t fsync,fdatasync,ftruncate,close";

/* The n-th such call fails once with each of the errors. */
static void fail_call(const char *before, const char *options, const char *call, unsigned n,
                      const char *errors, unsigned long by)
{
	char step[200];

	while (*errors) {
		int len = (int)strcspn(errors, " ");
		bool half = strncmp(errors, "half", 4) == 0;

		snprintf(step, sizeof step, "%s%.*s -c %s -n %u%s%s", half ? "-s" : "-e ", half ? 0 : len,
		         errors, call, n, options, strstr(call, "sync") ? watch_syncs : "");
		if (!is_no_error(call, n, half) && turn++ % by == 0)
			play(before ? FAULTS_AFTER_KILLS : FAULTS_MADE, turn / by % 10, before ? before : step,
			     before ? step : NULL);
		errors += len + (errors[len] == ' ');
	}
}

/* Every call of a run; or, after a kill, those by which the next run settles what it left. */
static void fail_each(const char *before, unsigned long by)
{
	const char *options = before ? " -u connect" : "";
	struct point whole = {.n = before ? 2 : 1};
	struct calls calls;
	char list[1000] = "-n 0 -c ";

	for (size_t i = 0; i < COUNT(fallible); i++) {
		strncat(list, i ? "," : "", sizeof list - strlen(list) - 1);
		strncat(list, fallible[i].call, sizeof list - strlen(list) - 1);
	}
	strncat(list, options, sizeof list - strlen(list) - 1);
	whole.steps[0] = before ? before : list;
	whole.steps[1] = list;
	scene_count(&whole, &calls);
	for (size_t i = 0; i < COUNT(fallible); i++)
		for (unsigned n = 1; n <= times_of(&calls, fallible[i].call); n++)
			fail_call(before, options, fallible[i].call, n, fallible[i].errors, by);
}

static void fail_after_kills(enum place place, unsigned long by)
{
	for (const char *const *how = great_kills[place]; *how && place != MDA; how++)
		fail_each(*how, by);
}

static void fail_allocations(void)
{
	bool reached = true;
	char step[40];

	for (unsigned long n = 1 + turn % stride; reached; n += stride) {
		snprintf(step, sizeof step, "-m %lu", n);
		reached = play(NO_MEMORY, turn++ % 10, step, NULL);
	}
}

static void fault(enum place place)
{
	fail_each(NULL, stride);
	fail_after_kills(place, 3 * stride);
	if (stage_can_lack_memory())
		fail_allocations();
}

/* -- the command line --------------------------------------------------------------------- */

static void sum_up(const char *suite)
{
	const char *comma = "";

	printf("# %s:", suite);
	for (size_t i = 0; i < KINDS; i++) {
		if (made[i] > 0) {
			printf("%s %lu %s", comma, made[i], kind_names[i]);
			comma = ",";
		}
	}
	for (size_t i = 0; i < FAULTS; i++)
		printf("%s %lu %s", i ? "," : ";", faults[i], fault_names[i]);
	putchar('\n');
}

/* Whether a scene is among the names, or there are none. */
static bool is_chosen(const char *name, char **names)
{
	bool chosen = *names == NULL;

	for (; *names && !chosen; names++)
		chosen = strcmp(*names, name) == 0;
	return chosen;
}

static int sweep(const char *suite, unsigned long wanted, char **names)
{
	bool is_crash = strcmp(suite, "crash") == 0;
	unsigned played = 0;

	for (size_t i = 0; i < COUNT(scenes); i++) {
		unsigned long before = all_faults(), points = 0;

		if (!is_chosen(scenes[i].name, names))
			continue;
		for (size_t k = 0; k < KINDS; k++)
			points -= made[k];
		stride = wanted;
		if (scenes[i].mailbox == two_groups && scenes[i].place == MAILDIR)
			stride *= FEWER;
		scene_begin(&scenes[i]);
		if (is_crash)
			crash(scenes[i].place);
		else
			fault(scenes[i].place);
		stage_end();
		for (size_t k = 0; k < KINDS; k++)
			points += made[k];
		printf("%s %u - %s: %lu points\n", all_faults() == before ? "ok" : "not ok", ++played,
		       scenes[i].name, points);
		fflush(stdout);
	}
	printf("1..%u\n", played);
	sum_up(suite);
	return all_faults() > 0 || played == 0;
}

static unsigned long number(const char *text)
{
	unsigned long n = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		n = n * 10 + (unsigned long)(*text - '0');
	return n;
}

static int play_one(int argc, char **argv)
{
	struct point point = {0};

	for (size_t i = 0; i < COUNT(scenes); i++) {
		if (strcmp(scenes[i].name, argv[0]) != 0)
			continue;
		point.variant = (unsigned)number(argv[1]);
		for (int a = 2; a < argc && point.n < MAX_STEPS; a++)
			point.steps[point.n++] = argv[a];
		scene_begin(&scenes[i]);
		if (!scene_play(&point))
			puts("# the last step was not reached");
		stage_end();
		printf("%s 1 - %s\n1..1\n", all_faults() > 0 ? "not ok" : "ok", argv[0]);
		return all_faults() > 0;
	}
	fprintf(stderr, "sweep: there is no scene %s\n", argv[0]);
	return 64;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *impossible;

	if (strcmp(what, "mda") == 0 && argc == 3)
		_exit(stage_mda(argv[2])); /* without a search for leaks, which cannot be traced */
	if (strcmp(what, "crash") != 0 && strcmp(what, "fault") != 0 &&
	    !(strcmp(what, "point") == 0 && argc > 4)) {
		fputs("usage: sweep crash|fault [STRIDE [SCENE...]] | sweep point SCENE VARIANT STEP...\n",
		      stderr);
		return 64;
	}
	impossible = stage_init(strcmp(what, "point") == 0);
	if (impossible) {
		printf("1..0 # SKIP %s\n", impossible);
		return 0;
	}
	if (strcmp(what, "point") == 0)
		return play_one(argc - 2, argv + 2);
	return sweep(what, argc > 2 && number(argv[2]) > 0 ? number(argv[2]) : 1,
	             argv + (argc > 2 ? 3 : argc));
}

/* SPDX-License-Identifier: MIT */
/*
 * scene.c - plays a point and judges what is there.
 *
 * All promises are looked at behind each step: nothing that is gone from the server is missing
 * here, nothing partial is visible, the exit status is true.  When mailhaul has run twice
 * more without any harm, everything must be here once, the server must have what it should, and
 * nothing else may be left.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "scene.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

#define SHOWN 10 /* so many points of a scene with a fault of one kind are told */

const char *const fault_names[FAULTS] = {
	"lost", "doubled", "partial", "hurt", "orphaned", "wrong status", "left behind", "hung",
	"crashed", "synced again", "unannounced",
};
unsigned long faults[FAULTS];

static const struct scene *scene;
static unsigned messages;
static const struct point *playing;
static bool blamed[FAULTS];    /* in this point: once is enough */
static unsigned shown[FAULTS]; /* in this scene */

/* -- what is wrong ------------------------------------------------------------------------ */

FORMAT(2) static void blame(enum fault what, const char *fmt, ...)
{
	va_list ap;

	if (blamed[what])
		return;
	blamed[what] = true;
	faults[what]++;
	if (shown[what]++ >= SHOWN)
		return;
	printf("# %s: ", fault_names[what]);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n#   again: %s point %s %u", stage_self(), scene->name, playing->variant);
	for (size_t i = 0; i < playing->n; i++)
		printf(" '%s'", playing->steps[i]);
	putchar('\n');
	fflush(stdout);
}

/* -- what must be true -------------------------------------------------------------------- */

static bool is_kill(const char *step)
{
	return strstr(step, "-k") || strstr(step, "-K") || strstr(step, "-r");
}

static void look(struct witness *w)
{
	memset(w, 0, sizeof *w);
	if (scene->place == MAILDIR)
		witness_maildir(w, stage_path("mail/box"));
	else if (scene->place == MBOX)
		witness_mbox(w, stage_path("mail/mbox"));
	else
		witness_files(w, stage_path("mail/out"));
}

/* True where no message goes from the server. */
static bool stays(void)
{
	return scene->keep || scene->headers;
}

static unsigned count_gone(const char *gone)
{
	unsigned n = 0;

	for (unsigned i = 0; i < messages; i++)
		n += gone[i] == 'D';
	return n;
}

/* At every instant: what is not on the server is delivered.  Parts of mail are nowhere but, until
 * the next run, at the place in an mbox where a run was killed. */
static void check_now(const struct witness *w, const char *gone, bool killed)
{
	for (unsigned i = 0; i < messages; i++)
		if (gone[i] == 'D' && w->copies[i] == 0)
			blame(LOST, "message %u is neither on the server nor here", i + 1);
	if (w->odd > 0 && !(scene->place == MBOX && killed))
		blame(PARTIAL, "%s", w->what);
	for (unsigned i = 0; i < stage_foreign(); i++)
		if (w->foreign[i] != 1)
			blame(HURT, "%u copies of foreign mail %u", w->foreign[i], i);
}

/* True where the call that was harmed begins with those words. */
static bool is_hit(const char *log, const char *words)
{
	const char *mark = strstr(log, " ! "), *at = mark;

	while (at && at > log && at[-1] != '\n')
		at--;
	for (int blanks = 0; at && at < mark && blanks < 2; at++)
		blanks += *at == ' '; /* behind its number and the process */
	return at && strncmp(at, words, strlen(words)) == 0;
}

/* Of a run with a fault: it says that all is well only if it is, and never says nothing. */
static void check_status(const char *step, int status, const struct witness *w, const char *gone)
{
	char *words = stage_words(), *log = stage_log();
	bool mute = is_hit(log, "write 2<"); /* its words are lost */
	bool deaf = is_hit(log, "sendmsg ") || is_hit(log, "recvmsg "); /* to the other process */

	if (status == STAGE_LATE)
		blame(HUNG, "after %d s", STAGE_LIMIT);
	else if (!is_kill(step) && (status >= 126 || strstr(words, "died by signal")))
		blame(CRASHED, "status %d: %s", status, words);
	else if (!is_kill(step) && status == 70 && !deaf)
		blame(STATUS, "status %d: %s", status, words);
	else if (status != 0 && words[0] == '\0' && !mute && !is_kill(step))
		blame(STATUS, "status %d without a word", status);
	for (unsigned i = 0; status == 0 && i < messages; i++)
		if (w->copies[i] == 0 || (!stays() && gone[i] != 'D'))
			blame(STATUS, "status 0, but message %u is not %s", i + 1,
			      w->copies[i] == 0 ? "here" : "deleted");
	free(words);
	free(log);
}

/* A descriptor whose sync has failed for good is not synced again, unless it was cut meanwhile:
 * then it is the cut that is synced. */
static void check_syncs(void)
{
	char *log = stage_log(), *rest = log, *line, failed[4200] = "", *name;

	while ((line = strsep(&rest, "\n"))) {
		char *mark = strstr(line, " ! "), *pid = strchr(line, ' ');

		if (!pid || !(name = strchr(pid + 1, ' ')))
			continue;
		*name++ = '\0'; /* pid is a string now; name begins with the call */
		if (mark && strstr(name, "sync ") && !strstr(mark, "EINTR")) {
			*mark = '\0';
			snprintf(failed, sizeof failed, "%s %s", pid, strchr(name, ' ') + 1);
		} else if (failed[0] && strchr(name, ' ')) {
			char same[4200];

			snprintf(same, sizeof same, "%s %s", pid, strchr(name, ' ') + 1);
			if (strncmp(same, failed, strlen(failed)) != 0)
				continue;
			if (strncmp(name, "close", 5) == 0 || strncmp(name, "ftruncate", 9) == 0)
				failed[0] = '\0';
			else if (strstr(name, "sync "))
				blame(RESYNCED, "%s", failed);
		}
	}
	free(log);
}

static void check_dir(const char *dir, const char *names)
{
	const char *stray = stray_in(dir, names);

	if (stray)
		blame(LEFT, "%s/%s", dir, stray);
}

/* Copies of a message that an MDA is given are known by their ID, and tell which try they are:
 * their files are named ID-ATTEMPT-TIME. */
static void check_deliveries(void)
{
	static char names[4 * MAX_MESSAGES][260];
	DIR *stream = opendir(stage_path("mail/out"));
	struct dirent *e;
	size_t n = 0, ids = 0;

	while (stream && (e = readdir(stream)) && n < COUNT(names))
		if (e->d_name[0] != '.')
			snprintf(names[n++], sizeof names[0], "%s", e->d_name);
	if (stream)
		closedir(stream);
	for (size_t i = 0; i < n; i++) {
		size_t id = strcspn(names[i], "-") + 1, attempt = id + strcspn(names[i] + id, "-") + 1;
		bool known = false;

		for (size_t k = 0; k < i; k++) {
			known = known || strncmp(names[k], names[i], id) == 0;
			if (strncmp(names[k], names[i], attempt) == 0)
				blame(UNANNOUNCED, "%s and %s", names[k], names[i]);
		}
		ids += !known;
	}
	if (ids != messages)
		blame(UNANNOUNCED, "%zu IDs for %u messages", ids, messages);
}

/* When all is over: each message is here once, the server has what it should have, and nothing
 * else is left. */
static void check_end(void)
{
	char gone[MAX_MESSAGES];
	struct witness w;
	unsigned more = 0;

	look(&w);
	stage_gone(gone);
	check_now(&w, gone, false);
	for (unsigned i = 0; i < messages; i++) {
		if (w.copies[i] == 0)
			blame(LOST, "message %u is not here", i + 1);
		more += w.copies[i] > 1 ? w.copies[i] - 1 : 0;
	}
	if (more > playing->n * scene->jobs)
		blame(DOUBLED, "%u copies too many", more);
	if (w.blanks > 0 && !(playing->variant % 2 == 1))
		blame(PARTIAL, "%u empty lines in the mbox", w.blanks);
	if (count_gone(gone) != (stays() ? 0 : messages))
		blame(ORPHANED, "%u of %u are deleted on the server", count_gone(gone), messages);
	if (scene->place == MDA)
		check_deliveries();
	check_dir(stage_path("state/mailhaul/work"), " journal lock last ");
	check_dir(stage_path("state/mailhaul"), " work ");
	check_dir(stage_path("mail"), " box mbox out ");
	check_dir(stage_path("mail/box/tmp"), "");
}

/* -- a point ------------------------------------------------------------------------------ */

/* A run without any harm must say nothing and leave nothing undone on the server. */
static void run_well(const char *which)
{
	int status = stage_run(NULL);
	char *words = stage_words(), gone[MAX_MESSAGES];

	if (status == STAGE_LATE)
		blame(HUNG, "the %s run", which);
	else if (status != 0 || words[0] != '\0')
		blame(STATUS, "the %s run: status %d: %s", which, status, words);
	stage_gone(gone);
	if (!stays() && count_gone(gone) != messages)
		blame(ORPHANED, "%u of %u are deleted after the %s run", count_gone(gone), messages, which);
	free(words);
}

static bool play_step(const char *step, bool killed)
{
	char gone[MAX_MESSAGES], *log;
	struct witness w;
	bool reached;
	int status = stage_run(step);

	log = stage_log();
	reached = strstr(log, " ! ") != NULL;
	free(log);
	stage_await_server();
	stage_gone(gone);
	look(&w);
	check_now(&w, gone, killed || is_kill(step));
	check_status(step, status, &w, gone);
	if (strstr(step, "-e"))
		check_syncs();
	return reached;
}

/* The steps up to the n-th; others act behind each. */
static bool play_steps(const struct point *point, size_t n)
{
	bool reached = true, killed = false;

	playing = point;
	memset(blamed, 0, sizeof blamed);
	stage_again(point->variant);
	for (size_t i = 0; i < n; i++) {
		reached = play_step(point->steps[i], killed);
		killed = killed || is_kill(point->steps[i]);
		if (point->variant % 2 == 1)
			stage_let_others_act();
	}
	return reached;
}

void scene_begin(const struct scene *which)
{
	static const struct point none;

	scene = which;
	playing = &none;
	memset(shown, 0, sizeof shown);
	stage_begin(scene);
	messages = stage_messages();
}

bool scene_play(const struct point *point)
{
	bool reached = play_steps(point, point->n);

	if (!reached)
		return false;
	run_well("first clean");
	run_well("second clean");
	check_end();
	return true;
}

void scene_count(const struct point *point, struct calls *calls)
{
	char *log, *rest, *line;
	size_t i;

	memset(calls, 0, sizeof *calls);
	play_steps(point, point->n - 1);
	stage_run(point->steps[point->n - 1]);
	log = rest = stage_log();
	while ((line = strsep(&rest, "\n"))) {
		char *name = strchr(line, ' ');

		if (!name || !(name = strchr(name + 1, ' ')))
			continue;
		name[1 + strcspn(name + 1, " ")] = '\0';
		for (i = 0; i < calls->n && strcmp(calls->name[i], name + 1) != 0; i++)
			;
		if (i == COUNT(calls->name))
			continue;
		snprintf(calls->name[i], sizeof calls->name[i], "%s", name + 1);
		calls->times[i]++;
		calls->n += i == calls->n;
	}
	free(log);
}


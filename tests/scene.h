/* SPDX-License-Identifier: MIT */
/*
 * scene.h - plays a point, which is one way in which mailhaul is harmed, and judges what is there.
 *
 * Everything is put back to the beginning, mailhaul runs and is harmed (a step, or more), others
 * use the mail meanwhile, mailhaul runs twice without any harm, and then all promises must be
 * kept.  What is wrong is counted by kind and told as a comment, with the command by which that
 * point can be played again.
 */
#ifndef SCENE_H
#define SCENE_H

#include <stdbool.h>
#include <stddef.h>

#include "stage.h"

/* What can be wrong.  A point counts once for each. */
enum fault {
	LOST, DOUBLED, PARTIAL, HURT, ORPHANED, STATUS, LEFT, HUNG, CRASHED, RESYNCED, UNANNOUNCED,
	FAULTS
};

extern const char *const fault_names[FAULTS];
extern unsigned long faults[FAULTS]; /* so far */

#define MAX_STEPS 3
struct point {
	unsigned variant; /* for stage_again; odd: others act behind each step */
	const char *steps[MAX_STEPS]; /* for stage_run */
	size_t n;
};

/* How often each call occurs. */
struct calls {
	char name[64][24];
	unsigned times[64];
	size_t n;
};

/* The scene of the points that follow; stage_end is its end. */
void scene_begin(const struct scene *scene);

/* Plays a point.  False: its last step's N was never reached. */
bool scene_play(const struct point *point);

/* Plays all steps but the last, which does no harm: its calls are counted. */
void scene_count(const struct point *point, struct calls *calls);

#endif

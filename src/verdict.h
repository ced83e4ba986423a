/* SPDX-License-Identifier: MIT */
/*
 * verdict.h - what a number of failures comes to: the exit status of mailhaul(1).  Pure.
 */
#ifndef VERDICT_H
#define VERDICT_H

#include "base.h"

/* Zeroed: nothing has failed. */
struct verdict {
	enum error_kind permanent; /* the first one that waiting does not help */
	bool transient, stopped;
};

bool verdict_is_empty(const struct verdict *verdict);
void verdict_add(struct verdict *verdict, enum error_kind kind);

/* Adds failures that came later. */
void verdict_join(struct verdict *verdict, const struct verdict *more);

int verdict_status(const struct verdict *verdict);

/* The status as a word: those of sysexits(3) without EX_ and in lower case, "ok", "stopped". */
const char *verdict_word(const struct verdict *verdict);

#endif

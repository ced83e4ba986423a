/* SPDX-License-Identifier: MIT */
/*
 * verdict.c - what a number of failures comes to.
 *
 * Several failures of one kind have its status; of different kinds 75 if waiting may help with all
 * of them, else that of the first for which it does not.  An order to stop comes after all others:
 * whoever gave it knows.  Called by report.c.
 */
#include "config.h"

#include "verdict.h"

bool verdict_is_empty(const struct verdict *v)
{
	return !v->permanent && !v->transient && !v->stopped;
}

void verdict_add(struct verdict *v, enum error_kind kind)
{
	if (kind == ERR_NONE)
		return;
	if (kind == ERR_STOP)
		v->stopped = true;
	else if (error_is_transient(kind))
		v->transient = true;
	else if (!v->permanent)
		v->permanent = kind;
}

void verdict_join(struct verdict *v, const struct verdict *more)
{
	if (!v->permanent)
		v->permanent = more->permanent;
	v->transient |= more->transient;
	v->stopped |= more->stopped;
}

/* A single kind and a mixture need no telling apart: only one kind is transient, so a mixture
 * always holds a permanent one, and the first of those is the answer. */
static enum error_kind kind_of(const struct verdict *v)
{
	if (v->permanent)
		return v->permanent;
	if (v->transient)
		return ERR_TEMP;
	return v->stopped ? ERR_STOP : ERR_NONE;
}

int verdict_status(const struct verdict *v)
{
	return error_exit_code(kind_of(v));
}

const char *verdict_word(const struct verdict *v)
{
	static const char *const words[ERR_KINDS] = {
		"ok", "usage", "nohost", "unavailable", "software", "cantcreat", "ioerr", "tempfail",
		"protocol", "noperm", "config", "stopped",
	};

	return words[kind_of(v)];
}

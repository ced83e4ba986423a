/* SPDX-License-Identifier: MIT */
/*
 * conf.h - the configuration file: INI by libiniparser, with its traps closed.
 *
 * libiniparser gives no line numbers, cuts values at # and ;, joins lines at a trailing
 * backslash, merges sections that differ in case, and lets the last of two equal keys win.  So
 * the text is first scanned here, line by line, and every such thing is an error with its
 * FILE:LINE; the values then come from libiniparser and are compared with what was scanned.
 */
#ifndef CONF_H
#define CONF_H

#include "account.h"
#include "base.h"
#include "option.h"

struct conf {
	struct account *accounts; /* in the file's order */
	size_t count;
	struct account defaults;  /* [defaults]: what URL accounts start from */
	struct run_options run;
	char *path;               /* of the file; owned */
	struct str problems;      /* one "FILE:LINE: what" a line, all that were found */
};

/* Where the configuration is: $XDG_CONFIG_HOME/mailhaul/config, else ~/.mailhaulrc if only that
 * exists.  The caller frees it; NULL without a home. */
char *conf_default_path(void);

/* Reads it.  ERR_CONFIG: problems are in conf->problems (at least one line; the error's text is
 * their count) or the file cannot be read at all (then the text says why).  conf is zeroed
 * first; conf_free in either case. */
int conf_load(const char *path, struct conf *conf, struct error *err);

void conf_free(struct conf *conf);

#endif

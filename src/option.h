/* SPDX-License-Identifier: MIT */
/*
 * option.h - THE option table: every option of the configuration, once.
 *
 * The INI file, -o KEY=VALUE, URLs, --help, --print-config, the completions and the check of
 * the manual all read it.  A new option is a row here, a field in account.h, its use, and a
 * paragraph in man/mailhaul-config.5.  Nothing here reads a file or prints.
 */
#ifndef OPTION_H
#define OPTION_H

#include <stddef.h>

#include "account.h"
#include "base.h"
#include "value.h"

/* Where a value came from; a later one beats an earlier one, twice the same is an error. */
enum option_origin {
	ORIGIN_NONE,     /* the table's default */
	ORIGIN_DEFAULTS, /* [defaults] */
	ORIGIN_ACCOUNT,  /* the account's section, or the URL */
	ORIGIN_COMMAND   /* the command line */
};

/* The run's own options: section [mailhaul]. */
struct run_options {
	uint64_t jobs;
	char *on_new; /* a shell command; owned */
};

extern const struct option options[];
extern const size_t options_count;

/* The row of a name (exact, lower case), or NULL. */
const struct option *option_find(const char *name, bool run);

/* True where a value, NULL if it is not known, is for its owner's eyes alone: a password, or a
 * proxy's URL with a login in it. */
bool option_is_secret(const struct option *row, const char *value);

/* For "did you mean 'X'": X where other programs call an option so, else the nearest name of a
 * row (at most 2 edits), or NULL. */
const char *option_nearest(const char *name, bool run);

/* A zeroed account with a name gets every default.  name is copied. */
void account_init(struct account *account, const char *name);

/* A deep copy, origins included; to is overwritten. */
void account_copy(struct account *to, const struct account *from, const char *name);

/* Frees everything and wipes secrets; a zeroed account is fine. */
void account_free(struct account *account);

void run_options_init(struct run_options *run);
void run_options_free(struct run_options *run);

/* Sets one option from its text.  ERR_CONFIG with "KEY: why" where the value does not fit its
 * type or its limits, or where the choice is made already by the same origin. */
int option_set(struct account *account, const char *name, const char *value,
               enum option_origin origin, struct error *err);
int option_set_run(struct run_options *run, const char *name, const char *value,
                   struct error *err);

/* Judges the finished account and settles what depends on other options (tls by the port, the
 * port by tls; stdout implies keep unless keep was set on the command line).  ERR_CONFIG: says
 * what is missing or contradicts, e.g. no host, no destination. */
int option_check(struct account *account, struct error *err);

/* True where the row's value in account differs from "absent"; text gets it as it would be
 * written in the file, quoted where needed, secrets as ***. */
bool option_show(const struct account *account, const struct option *row, struct str *text);

/* The same for the run's own options. */
bool option_show_run(const struct run_options *run, const struct option *row, struct str *text);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * arguments.h - the command line: what was asked for, and --help, from one list of flags.
 */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include "account.h"
#include "base.h"

/* The first three fetch; CHECK to SERVER_INFO are runs that fetch nothing.  REBUILD: and a journal
 * that is damaged is made anew.  RETRY: and messages that failed before need not wait. */
enum mode {
	MODE_FETCH,
	MODE_REBUILD,
	MODE_RETRY,
	MODE_CHECK,
	MODE_DRY_RUN,
	MODE_LIST,
	MODE_MARK_SEEN,
	MODE_STATUS,
	MODE_TEST_LOGIN,
	MODE_SERVER_INFO,
	MODE_TEST_CONFIG,
	MODE_PRINT_CONFIG,
	MODE_LIST_ACCOUNTS,
	MODE_HELP,
	MODE_VERSION
};

/* An account option that the command line sets. */
struct setting {
	const char *key, *value; /* foreign: argv */
};

/* Zeroed is valid: a fetch of everything. */
struct arguments {
	enum mode mode;
	const char *config;       /* foreign; NULL: the default */
	bool quiet, verbose, json, wait;
	uint64_t jobs;            /* 0: by the configuration */
	struct setting *settings;
	size_t setting_count;
	char **operands;          /* foreign: account names and URLs */
	size_t operand_count;
};

/* Reads argv; -o cuts its arguments in two there.  ERR_USAGE; everything that can be judged
 * without a configuration is.  --help and --version win over whatever follows them. */
int arguments_read(struct arguments *args, int argc, char **argv, struct error *err);

/* Sets the account's options that were given, as ORIGIN_COMMAND. */
int arguments_apply(const struct arguments *args, struct account *account, struct error *err);

/* True where the operand is a URL and no account's name. */
bool arguments_is_url(const char *operand);

/* Prints the help to standard output, whose errors are the caller's to look for. */
void arguments_help(void);

void arguments_free(struct arguments *args);

#endif

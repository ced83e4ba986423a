/* SPDX-License-Identifier: MIT */
/*
 * arguments.c - the command line.
 *
 * `flags` is the one list of its options: getopt_long and --help read it.  Most set an option of
 * the accounts and go through option_set like a line of the configuration, so the two cannot
 * differ in what they take; they are judged at once, on an account that is thrown away, before
 * any file is read.  No secret is taken: everybody could read it in the list of processes.
 *
 * On failure: ERR_USAGE, and args is to be freed all the same.  Called by main.
 */
#include "config.h"

#include "arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* <getopt.h> has a struct option of its own; ours is a row of the configuration. */
#define option getopt_row
#include <getopt.h>
#undef option

#include "option.h"

/* An option of the command line.  Most set an account option, or choose a mode. */
struct flag {
	char letter;       /* 0: none */
	const char *name, *arg, *help;
	const char *key;   /* the account option it sets... */
	const char *value; /* ...to this; NULL: to its argument */
	bool json, wait;
	enum mode mode;
};

static const struct flag flags[] = {
	{'f', "config", "FILE", "read this configuration file", .mode = MODE_FETCH},
	{'o', "option", "KEY=VALUE", "set an account option, for this run", .mode = MODE_FETCH},
	{'k', "keep", NULL, "leave messages on the server", .key = "keep", .value = "yes"},
	{'K', "no-keep", NULL, "delete them once they are delivered", .key = "keep", .value = "no"},
	{0, "maildir", "DIR", "deliver into this Maildir", .key = "maildir"},
	{0, "mbox", "FILE", "deliver into this mbox", .key = "mbox"},
	{0, "mda", "COMMAND", "deliver to this program", .key = "mda"},
	{0, "stdout", NULL, "deliver to standard output", .key = "stdout", .value = "yes"},
	{'q', "quiet", NULL, "say nothing but errors and warnings", .mode = MODE_FETCH},
	{'v', "verbose", NULL, "say more, and show the protocol", .mode = MODE_FETCH},
	{0, "json", NULL, "say everything as objects, one a line, on standard output", .json = true},
	{'j', "jobs", "N", "fetch so many accounts at a time, 4 of one host", .mode = MODE_FETCH},
	{0, "wait", NULL, "wait for another run of the same account, and do not leave", .wait = true},
	{0, "rebuild-state", NULL, "make damaged journals anew from what can be read, and fetch",
	 .mode = MODE_REBUILD},
	{0, "retry", NULL, "ask at once for messages that failed before", .mode = MODE_RETRY},
	{0, "check", NULL, "tell by the exit status whether mail waits: 0 yes, 1 no",
	 .mode = MODE_CHECK},
	{0, "dry-run", NULL, "show what would be done with each message and why, and stop",
	 .mode = MODE_DRY_RUN},
	{0, "list", NULL, "show the messages on the server, and stop", .mode = MODE_LIST},
	{0, "mark-seen", NULL, "count all that is on the server as delivered, and stop",
	 .mode = MODE_MARK_SEEN},
	{0, "status", NULL, "show what is known of the accounts, without asking the servers, and stop",
	 .mode = MODE_STATUS},
	{0, "test-config", NULL, "judge the configuration, and stop", .mode = MODE_TEST_CONFIG},
	{0, "test-login", NULL, "log in and out again, and stop", .mode = MODE_TEST_LOGIN},
	{0, "server-info", NULL, "show what a server offers, without logging in, and stop",
	 .mode = MODE_SERVER_INFO},
	{0, "print-config", NULL, "show what would be in force, and stop", .mode = MODE_PRINT_CONFIG},
	{0, "list-accounts", NULL, "show the accounts' names, and stop", .mode = MODE_LIST_ACCOUNTS},
	{'h', "help", NULL, "show this, and stop", .mode = MODE_HELP},
	{'V', "version", NULL, "show the version, and stop", .mode = MODE_VERSION},
};
enum { FLAGS = sizeof(flags) / sizeof(flags[0]), NO_LETTER = 256 };
enum { WIDTH = 80, HELP_AT = 30 }; /* of --help, in columns */

static int flag_value(size_t i)
{
	return flags[i].letter ? flags[i].letter : NO_LETTER + (int)i;
}

/* "kK:..." and the long names, for getopt_long. */
static void make_getopt(char letters[2 * FLAGS + 2], struct getopt_row names[FLAGS + 1])
{
	*letters++ = ':';
	for (size_t i = 0; i < FLAGS; i++) {
		names[i] = (struct getopt_row){flags[i].name, flags[i].arg != NULL, NULL, flag_value(i)};
		if (flags[i].letter)
			*letters++ = flags[i].letter;
		if (flags[i].letter && flags[i].arg)
			*letters++ = ':';
	}
	*letters = '\0';
	names[FLAGS] = (struct getopt_row){0};
}

static void add_setting(struct arguments *args, const char *key, const char *value)
{
	args->settings[args->setting_count++] = (struct setting){key, value};
}

static int take_option(struct arguments *args, char *text, struct error *err)
{
	char *equals = strchr(text, '=');
	const struct option *row;

	if (!equals)
		return error_set(err, ERR_USAGE, "-o %s: it takes KEY=VALUE", text);
	*equals = '\0';
	row = option_find(text, false);
	if (row && option_is_secret(row, equals + 1))
		return error_set(err, ERR_USAGE, "-o %s: everybody could read it in the list of "
		                 "processes; %s", text,
		                 row->choice == CHOICE_PASSWORD ? "use password_command or password_file"
		                                                : "put it into the configuration");
	add_setting(args, text, equals + 1);
	return 0;
}

static const char *name_of(enum mode mode)
{
	size_t i = 0;

	while (i < FLAGS - 1 && flags[i].mode != mode)
		i++;
	return flags[i].name;
}

static int take_mode(struct arguments *args, enum mode mode, struct error *err)
{
	bool more = args->mode != MODE_FETCH && args->mode != mode;

	if (more && mode != MODE_HELP && mode != MODE_VERSION)
		return error_set(err, ERR_USAGE, "--%s and --%s cannot be done in one run",
		                 name_of(args->mode), name_of(mode));
	args->mode = mode;
	return 0;
}

static int take_jobs(struct arguments *args, const char *text, struct error *err)
{
	struct run_options run;

	run_options_init(&run);
	if (option_set_run(&run, "jobs", text, err) == -1)
		return -1;
	args->jobs = run.jobs;
	return 0;
}

static int take_flag(struct arguments *args, const struct flag *flag, char *arg,
                     struct error *err)
{
	if (flag->key) {
		add_setting(args, flag->key, flag->value ? flag->value : arg);
		return 0;
	}
	args->json |= flag->json;
	args->wait |= flag->wait;
	switch (flag->letter) {
	case 'f':
		args->config = arg;
		return 0;
	case 'o':
		return take_option(args, arg, err);
	case 'j':
		return take_jobs(args, arg, err);
	case 'q':
	case 'v':
		args->quiet = flag->letter == 'q'; /* the later one counts */
		args->verbose = flag->letter == 'v';
		return 0;
	default:
		return flag->json || flag->wait ? 0 : take_mode(args, flag->mode, err);
	}
}

static const char *nearest_flag(const char *word)
{
	const char *nearest = NULL;
	unsigned edits = 0;

	for (size_t i = 0; i < FLAGS && strncmp(word, "--", 2) == 0; i++)
		if (text_is_nearer(word + 2, flags[i].name, &edits))
			nearest = flags[i].name;
	return nearest;
}

/* What getopt stumbled on: c is its answer, '?' or ':'. */
static int bad_flag(int c, char **argv, struct error *err)
{
	const char *word = argv[optind - 1], *nearest;
	char letter[] = {'-', (char)optopt, '\0'};

	if (optopt > 0 && optopt < NO_LETTER && strncmp(word, "--", 2) != 0)
		word = letter;
	if (c == ':')
		return error_set(err, ERR_USAGE, "option '%s' needs an argument", word);
	if (optopt && word != letter)
		return error_set(err, ERR_USAGE, "option '%s' takes no argument", word);
	nearest = nearest_flag(word);
	return error_set(err, ERR_USAGE, "unknown option '%s'%s%s%s", word,
	                 nearest ? "; did you mean '--" : "", nearest ? nearest : "",
	                 nearest ? "'?" : "");
}

/* Judges the settings on an account that is thrown away: before any file is read. */
static int judge_settings(const struct arguments *args, struct error *err)
{
	struct account account = {0};
	int result;

	account_init(&account, "");
	result = arguments_apply(args, &account, err);
	account_free(&account);
	return result;
}

/* A row of --help, in as many lines as it takes.  The completions join them again: what goes on
 * stands at HELP_AT, or behind a line that ends in | (help_option). */
static void help_row(const char *left, const char *help, const char *fallback)
{
	struct str text = {.max = 512};
	size_t column = HELP_AT, len;

	(void)str_printf(&text, fallback ? "%s (%s)" : "%s", help, fallback);
	printf("  %-*s", HELP_AT - 3, left);
	if (strlen(left) > HELP_AT - 3)
		printf("\n%*s", HELP_AT - 1, "");
	for (const char *word = text.s; *word; word += len + (word[len] == ' ')) {
		len = strcspn(word, " ");
		if (column + len > WIDTH) {
			printf("\n%*s", HELP_AT - 1, "");
			column = HELP_AT;
		}
		printf(" %.*s", (int)len, word);
		column += len + 1;
	}
	putchar('\n');
	str_free(&text);
}

static void help_option(const struct option *row)
{
	struct str left = {.max = 512};
	int at = (int)strlen(row->name) + 3;
	size_t column = (size_t)at;

	(void)str_printf(&left, "%s %s", row->name, row->words ? "" : row->arg);
	for (size_t i = 0; row->words && row->words[i]; i++) {
		size_t len = strlen(row->words[i]) + 1;

		if (column + len > WIDTH) {
			(void)str_printf(&left, "|\n%*s%s", at, "", row->words[i]);
			column = (size_t)at;
		} else {
			(void)str_printf(&left, "%s%s", i ? "|" : "", row->words[i]);
		}
		column += len;
	}
	help_row(left.s, row->help, row->fallback);
	str_free(&left);
}

/* -- exported ----------------------------------------------------------------------------- */

int arguments_read(struct arguments *args, int argc, char **argv, struct error *err)
{
	char letters[2 * FLAGS + 2];
	struct getopt_row names[FLAGS + 1];
	int c;

	args->settings = xcalloc((size_t)argc + 1, sizeof(*args->settings));
	make_getopt(letters, names);
	opterr = 0;
	while ((c = getopt_long(argc, argv, letters, names, NULL)) != -1) {
		size_t i = 0;

		while (i < FLAGS && flag_value(i) != c)
			i++;
		if (i == FLAGS)
			return bad_flag(c, argv, err);
		if (take_flag(args, &flags[i], optarg, err) == -1) {
			err->kind = ERR_USAGE;
			return -1;
		}
		if (args->mode == MODE_HELP || args->mode == MODE_VERSION)
			return 0; /* whatever else is there */
	}
	args->operands = argv + optind;
	args->operand_count = (size_t)(argc - optind);
	return judge_settings(args, err);
}

static enum look_mode look_of(enum mode mode)
{
	switch (mode) {
	case MODE_CHECK:
		return LOOK_CHECK;
	case MODE_DRY_RUN:
		return LOOK_DRY_RUN;
	case MODE_LIST:
		return LOOK_LIST;
	case MODE_MARK_SEEN:
		return LOOK_MARK;
	case MODE_STATUS:
		return LOOK_STATUS;
	case MODE_TEST_LOGIN:
		return LOOK_LOGIN;
	default:
		return LOOK_NOT;
	}
}

int arguments_apply(const struct arguments *args, struct account *account, struct error *err)
{
	account->rebuild = args->mode == MODE_REBUILD;
	account->wait = args->wait;
	account->policy.retry = args->mode == MODE_RETRY;
	account->inspect = args->mode == MODE_SERVER_INFO;
	account->look = (int)look_of(args->mode);
	for (size_t i = 0; i < args->setting_count; i++) {
		const struct setting *setting = &args->settings[i];

		if (option_set(account, setting->key, setting->value, ORIGIN_COMMAND, err) == -1) {
			err->kind = ERR_USAGE; /* right for a file, but this is no file */
			return -1;
		}
	}
	return 0;
}

bool arguments_is_url(const char *operand)
{
	return strstr(operand, "://") != NULL;
}

void arguments_help(void)
{
	puts("Usage: mailhaul [OPTION]... [ACCOUNT | URL]...\n"
	     "Fetch mail by POP3 and deliver it to a Maildir, an mbox, a program or standard\n"
	     "output.  Without an ACCOUNT, all that are configured and not marked `auto = no`.\n"
	     "A URL is pop3s://USER@HOST[:PORT] (TLS) or pop3://USER@HOST[:PORT] (STLS).\n\n"
	     "Options:");
	for (size_t i = 0; i < FLAGS; i++) {
		char letter[] = {'-', flags[i].letter, ',', '\0'}, left[64];

		snprintf(left, sizeof(left), "%-3s --%s%s%s", flags[i].letter ? letter : "", flags[i].name,
		         flags[i].arg ? " " : "", flags[i].arg ? flags[i].arg : "");
		help_row(left, flags[i].help, NULL);
	}
	puts("\nAccount options, in the configuration as KEY = VALUE, here as -o KEY=VALUE:");
	for (size_t i = 0; i < options_count; i++)
		if (!options[i].run)
			help_option(&options[i]);
	puts("\nOptions of the run, in the section [mailhaul] of the configuration:");
	for (size_t i = 0; i < options_count; i++)
		if (options[i].run)
			help_option(&options[i]);
	puts("\nSee mailhaul(1) and mailhaul-config(5).");
}

void arguments_free(struct arguments *args)
{
	free(args->settings);
	*args = (struct arguments){0};
}

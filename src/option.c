/* SPDX-License-Identifier: MIT */
/*
 * option.c - the option table, and all that follows from it: reading, setting, copying, checking
 * and showing the options of an account and of the run.
 *
 * A value is first read into a struct value, which may fail, and then stored, which may not; so
 * an option that does not fit leaves the account as it was.  Who wins among several sources is
 * decided by their origin alone, never by the order of the calls.
 *
 * Nothing here opens a file, runs a program or prints.  The environment is asked for HOME, the
 * system for the current directory: paths are made absolute where they are given, since later
 * nobody knows what they were relative to.
 *
 * On failure: ERR_CONFIG with "OPTION: why".  A text shows the value it complains of, but never
 * that of a secret or a command.  Called by conf.c, url.c, arguments.c and main.c.
 */
#include "config.h"

#include "option.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define DAY UINT64_C(86400)
#define CENTURY (36525 * DAY)
#define MAX_NAME 24    /* bytes of an option's name; a test holds the table to it */
#define MAX_TEXT 4000  /* bytes of a string or a path */
#define MAX_LINE 65536 /* bytes of a secret or a command */
#define MAX_HOST 255   /* RFC 1035 section 2.3.4 */

static const char *const auth_words[] = {"auto", "user", "plain", "login", NULL};
static const char *const tls_words[] = {"auto", "implicit", "stls", "off", NULL};
static const char *const pipelining_words[] = {"auto", "on", "off", NULL};

#define AT(field) offsetof(struct account, field)
#define RUN(field) offsetof(struct run_options, field), .run = true

const struct option options[] = {
	{"host", OPTION_STRING, AT(server.host), .arg = "HOST", .help = "the POP3 server"},
	{"port", OPTION_COUNT, AT(server.port), .min = 1, .max = 65535, .arg = "N",
	 .help = "its port, if not 995 (implicit TLS) or 110"},
	{"user", OPTION_STRING, AT(login.user), .arg = "NAME", .help = "the login name"},
	{"password", OPTION_SECRET, AT(login.password), .choice = CHOICE_PASSWORD, .arg = "TEXT",
	 .help = "the password itself"},
	{"password_command", OPTION_COMMAND, AT(login.password_command), .choice = CHOICE_PASSWORD,
	 .arg = "COMMAND", .help = "a shell command that prints the password"},
	{"password_file", OPTION_PATH, AT(login.password_file), .choice = CHOICE_PASSWORD,
	 .arg = "FILE", .help = "a private file whose first line is the password"},
	{"auth", OPTION_WORD, AT(login.auth), .fallback = "auto", .words = auth_words,
	 .arg = "WORD", .help = "how to log in"},
	{"tls", OPTION_WORD, AT(server.tls), .fallback = "auto", .words = tls_words,
	 .arg = "WORD", .help = "TLS at once, by STLS, or none; auto: by the port"},
	{"tls_ca_file", OPTION_PATH, AT(server.tls_ca_file), .arg = "FILE",
	 .help = "trust these authorities instead of the system's"},
	{"allow_cleartext", OPTION_BOOL, AT(login.allow_cleartext), .fallback = "no",
	 .arg = "YES|NO", .help = "with tls = off: send the password in clear"},
	{"maildir", OPTION_PATH, AT(target.maildir), .choice = CHOICE_TARGET, .arg = "DIR",
	 .help = "deliver into this Maildir"},
	{"mbox", OPTION_PATH, AT(target.mbox), .choice = CHOICE_TARGET, .arg = "FILE",
	 .help = "deliver into this mbox"},
	{"mda", OPTION_COMMAND, AT(target.mda), .choice = CHOICE_TARGET, .arg = "COMMAND",
	 .help = "deliver to this program, without a shell"},
	{"mda_shell", OPTION_COMMAND, AT(target.mda_shell), .choice = CHOICE_TARGET,
	 .arg = "COMMAND", .help = "deliver to this shell command"},
	{"stdout", OPTION_BOOL, AT(target.to_stdout), .choice = CHOICE_TARGET, .arg = "YES|NO",
	 .help = "deliver to standard output, as an mbox; implies keep"},
	{"mda_timeout", OPTION_DURATION, AT(target.mda_timeout), .min = 1, .max = CENTURY,
	 .fallback = "5m", .arg = "TIME", .help = "how long an MDA may take for a message"},
	{"received", OPTION_BOOL, AT(target.received), .fallback = "yes", .arg = "YES|NO",
	 .help = "put a Received: header in front"},
	{"keep", OPTION_KEEP, AT(policy.keep), .min = 1, .max = CENTURY, .fallback = "no",
	 .arg = "YES|NO|TIME", .help = "leave delivered messages on the server, or how long"},
	{"max_size", OPTION_SIZE, AT(policy.max_size), .max = INT64_MAX, .arg = "SIZE",
	 .help = "leave larger messages alone; 0: fetch all"},
	{"limit", OPTION_COUNT, AT(policy.limit), .max = UINT32_MAX, .arg = "N",
	 .help = "fetch at most so many messages in a run; 0: all"},
	{"timeout", OPTION_DURATION, AT(server.timeout), .min = 1, .max = CENTURY,
	 .fallback = "60s", .arg = "TIME", .help = "how long the server may be silent"},
	{"connect_timeout", OPTION_DURATION, AT(server.connect_timeout), .min = 1, .max = CENTURY,
	 .fallback = "30s", .arg = "TIME", .help = "how long connecting may take, TLS included"},
	{"pipelining", OPTION_WORD, AT(server.pipelining), .fallback = "auto",
	 .words = pipelining_words, .arg = "WORD",
	 .help = "send commands ahead; auto: where the server offers it"},
	{"auto", OPTION_BOOL, AT(automatic), .fallback = "yes", .arg = "YES|NO",
	 .help = "fetch this account when none is named"},

	{"jobs", OPTION_COUNT, RUN(jobs), .min = 1, .max = 256, .fallback = "8", .arg = "N",
	 .help = "how many accounts at a time"},
};
const size_t options_count = sizeof(options) / sizeof(*options);

/* -- finding ------------------------------------------------------------------------------ */

const struct option *option_find(const char *name, bool run)
{
	for (const struct option *row = options; row < options + options_count; row++)
		if (row->run == run && strcmp(row->name, name) == 0)
			return row;
	return NULL;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* How many letters must be inserted, left out, changed or swapped with their neighbour to turn a
 * into b (optimal string alignment).  Both are at most MAX_NAME bytes. */
static unsigned edits(const char *a, const char *b)
{
	unsigned d[MAX_NAME + 1][MAX_NAME + 1];
	size_t m = strlen(a), n = strlen(b);

	for (unsigned i = 0; i <= m; i++) {
		for (unsigned j = 0; j <= n; j++) {
			d[i][j] = i + j;
			if (i == 0 || j == 0)
				continue;
			d[i][j] = least(d[i - 1][j], d[i][j - 1]) + 1;
			d[i][j] = least(d[i][j], d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[m][n];
}

const char *option_nearest(const char *name, bool run)
{
	const char *nearest = NULL;
	size_t len = strnlen(name, MAX_NAME + 1);
	unsigned best = len < 4 ? 2 : 3; /* in so short a name two edits leave nothing */

	for (size_t i = 0; len <= MAX_NAME && i < options_count; i++) {
		unsigned far = options[i].run == run ? edits(name, options[i].name) : best;

		if (far < best) {
			best = far;
			nearest = options[i].name;
		}
	}
	return nearest;
}

/* -- values: text to value ---------------------------------------------------------------- */

struct value {
	uint64_t number; /* of numbers, words and yes or no */
	char *text;      /* of all others; owned */
};

struct unit {
	char letter;
	uint64_t factor;
};

/* The '\0' ends each and stands for no letter.  Numbers are shown in the first unit that fits. */
static const struct unit none[] = {{'\0', 1}};
static const struct unit times[] = {{'d', DAY}, {'h', 3600}, {'m', 60}, {'s', 1}, {'w', 7 * DAY},
                                    {'\0', 1}};
static const struct unit sizes[] = {{'G', 1u << 30}, {'M', 1u << 20}, {'k', 1u << 10},
                                    {'g', 1u << 30}, {'m', 1u << 20}, {'K', 1u << 10}, {'\0', 1}};

static const struct unit *units_of(enum option_type type)
{
	return type == OPTION_SIZE ? sizes : type == OPTION_COUNT ? none : times;
}

static bool is_text(enum option_type type)
{
	return type <= OPTION_COMMAND;
}

/* As the file would have it: in the largest unit that leaves no rest. */
static void add_number(struct str *text, enum option_type type, uint64_t number)
{
	const struct unit *unit = units_of(type);

	while (unit->factor > 1 && (number == 0 || number % unit->factor != 0))
		unit++;
	str_printf(text, "%llu", (unsigned long long)(number / unit->factor));
	if (unit->letter)
		str_add(text, &unit->letter, 1);
}

static int refuse(const struct option *row, const char *why, struct error *err)
{
	return error_set(err, ERR_CONFIG, "%s: %s", row->name, why);
}

/* The error of a value that does not fit: says what would. */
static int misfit(const struct option *row, const char *value, const char *wanted,
                  struct error *err)
{
	char shown[64];

	return error_set(err, ERR_CONFIG, "%s: '%s' is not %s", row->name,
	                 printable(shown, sizeof(shown), value, strlen(value)), wanted);
}

static int number_misfit(const struct option *row, const char *value, struct error *err)
{
	struct str wanted = {.max = 200};

	str_puts(&wanted, row->type == OPTION_COUNT ? "a number ("
	                : row->type == OPTION_SIZE ? "a size such as 500k, 10M or 2G ("
	                : row->type == OPTION_KEEP ? "yes, no or a time with its unit such as 30d ("
	                : "a time such as 90s, 5m, 2h or 30d (");
	add_number(&wanted, row->type, row->min);
	str_puts(&wanted, " to ");
	add_number(&wanted, row->type, row->max);
	str_puts(&wanted, ")");
	misfit(row, value, wanted.s, err);
	str_free(&wanted);
	return -1;
}

static int read_number(const struct option *row, const char *text, uint64_t *number,
                       struct error *err)
{
	const struct unit *unit = units_of(row->type);
	size_t len = strlen(text);

	while (unit->letter && (len == 0 || text[len - 1] != unit->letter))
		unit++;
	if (unit->letter)
		len--;
	/* `keep = 1` may mean "yes", and `keep = 30` thirty days: as seconds both would delete mail. */
	if ((row->type == OPTION_KEEP && !unit->letter) ||
	    !number_parse(text, len, row->max / unit->factor, number))
		return number_misfit(row, text, err);
	*number *= unit->factor;
	return *number < row->min ? number_misfit(row, text, err) : 0;
}

/* 1, 0, or -1 for neither. */
static int yes_or_no(const char *text)
{
	static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcasecmp(text, words[i]) == 0)
			return (int)(i % 2);
	return -1;
}

static int read_word(const struct option *row, const char *text, uint64_t *number,
                     struct error *err)
{
	struct str wanted = {.max = 200};

	for (*number = 0; row->words[*number]; ++*number)
		if (strcasecmp(text, row->words[*number]) == 0)
			return 0;
	str_puts(&wanted, "one of");
	for (size_t i = 0; row->words[i]; i++)
		str_printf(&wanted, "%s %s", i ? "," : "", row->words[i]);
	misfit(row, text, wanted.s, err);
	str_free(&wanted);
	return -1;
}

/* ~/ is read, and what is relative becomes absolute.  A systemd credential is left to secret.c:
 * the variable is there only when that account runs. */
static int read_path(const struct option *row, const char *text, char **path, struct error *err)
{
	char here[MAX_TEXT];
	const char *front = "", *slash = "";
	struct str whole = {.max = MAX_TEXT};

	if (text[0] == '~') {
		text++;
		if (text[0] != '/' && text[0] != '\0')
			return refuse(row, "~name is not read; write the whole path", err);
		front = getenv("HOME");
		if (!front || front[0] != '/')
			return refuse(row, "~ needs the environment variable HOME", err);
	} else if (text[0] != '/' && strncmp(text, "$CREDENTIALS_DIRECTORY/", 23) != 0) {
		front = getcwd(here, sizeof(here));
		if (!front)
			return error_sys(err, ERR_CONFIG, "%s: the current directory", row->name);
		slash = "/";
	}
	if (str_printf(&whole, "%s%s%s", front, slash, text))
		return refuse(row, "the path is too long", err);
	while (whole.len > 1 && whole.s[whole.len - 1] == '/')
		str_cut(&whole, whole.len - 1);
	*path = whole.s;
	return 0;
}

/* What a host name can never be; whether there is such a host, the resolver knows. */
static int judge_host(const struct option *row, const char *host, struct error *err)
{
	const char *colon = strchr(host, ':');

	if (strlen(host) > MAX_HOST)
		return refuse(row, "the name is too long", err);
	if (colon && !strchr(colon + 1, ':'))
		return misfit(row, host, "a host name; the port is an option of its own", err);
	if (host[strcspn(host, "[]")])
		return misfit(row, host, "a host name; write an IPv6 address without brackets", err);
	if (host[strcspn(host, " \t/@")])
		return misfit(row, host, "a host name", err);
	return 0;
}

static int read_text(const struct option *row, const char *text, char **to, struct error *err)
{
	bool line = row->type == OPTION_SECRET || row->type == OPTION_COMMAND;
	size_t len = strlen(text);

	if (len == 0)
		return refuse(row, "the value is empty", err);
	if (len > (line ? MAX_LINE : MAX_TEXT))
		return refuse(row, "the value is too long", err);
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
			return refuse(row, "the value has a control character", err);
	if (row->offset == AT(server.host) && judge_host(row, text, err))
		return -1;
	if (row->offset == AT(target.mbox) && text[len - 1] == '/')
		return misfit(row, text, "a file; for a directory of messages use maildir", err);
	if (row->type == OPTION_PATH)
		return read_path(row, text, to, err);
	*to = xstrdup(text);
	return 0;
}

static int read_value(const struct option *row, const char *text, struct value *value,
                      struct error *err)
{
	int yes = yes_or_no(text);

	*value = (struct value){0};
	if (is_text(row->type))
		return read_text(row, text, &value->text, err);
	if (row->type == OPTION_WORD)
		return read_word(row, text, &value->number, err);
	if (row->type == OPTION_BOOL && yes < 0)
		return misfit(row, text, "yes or no", err);
	if (row->type == OPTION_BOOL)
		value->number = (uint64_t)yes;
	else if (row->type == OPTION_KEEP && yes >= 0 && !strchr("01", text[0]))
		value->number = yes ? KEEP_FOREVER : 0;
	else
		return read_number(row, text, &value->number, err);
	return 0;
}

/* -- values: where they live -------------------------------------------------------------- */

/* Gives value's text away. */
static void store(void *base, const struct option *row, struct value *value)
{
	void *field = (char *)base + row->offset;

	if (is_text(row->type)) {
		secret_free(field);
		*(char **)field = value->text;
	} else if (row->type == OPTION_BOOL) {
		*(bool *)field = value->number;
	} else if (row->type == OPTION_WORD) {
		*(int *)field = (int)value->number;
	} else {
		*(uint64_t *)field = value->number;
	}
}

/* The text stays base's. */
static struct value load(const void *base, const struct option *row)
{
	const void *field = (const char *)base + row->offset;

	if (is_text(row->type))
		return (struct value){.text = *(char *const *)field};
	if (row->type == OPTION_BOOL)
		return (struct value){.number = *(const bool *)field};
	if (row->type == OPTION_WORD)
		return (struct value){.number = (uint64_t)*(const int *)field};
	return (struct value){.number = *(const uint64_t *)field};
}

static unsigned char *origin_of(const struct account *account, const struct option *row)
{
	return account->origin + (row - options);
}

/* The table's defaults; the fallbacks of the table can be read, a test sees to it. */
static void set_defaults(void *base, bool run)
{
	for (const struct option *row = options; row < options + options_count; row++) {
		struct error err = {0};
		struct value value;

		if (row->run == run && row->fallback && read_value(row, row->fallback, &value, &err) == 0)
			store(base, row, &value);
	}
}

void account_init(struct account *account, const char *name)
{
	*account = (struct account){.name = xstrdup(name), .origin = xcalloc(options_count, 1)};
	set_defaults(account, false);
}

void account_copy(struct account *to, const struct account *from, const char *name)
{
	*to = *from;
	to->name = xstrdup(name);
	to->origin = xmalloc(options_count);
	memcpy(to->origin, from->origin, options_count);
	for (const struct option *row = options; row < options + options_count; row++) {
		char **text = (char **)((char *)to + row->offset);

		if (!row->run && is_text(row->type) && *text)
			*text = xstrdup(*text);
	}
}

void account_free(struct account *account)
{
	for (const struct option *row = options; row < options + options_count; row++)
		if (!row->run && is_text(row->type))
			secret_free((char **)((char *)account + row->offset));
	free(account->name);
	free(account->origin);
	*account = (struct account){0};
}

void run_options_init(struct run_options *run)
{
	*run = (struct run_options){0};
	set_defaults(run, true);
}

/* -- setting ------------------------------------------------------------------------------ */

static int unknown(const char *name, bool run, struct error *err)
{
	char shown[64];
	const char *nearest = option_nearest(name, run);

	printable(shown, sizeof(shown), name, strlen(name));
	if (option_find(name, !run))
		return error_set(err, ERR_CONFIG, "%s: an option of %s", name,
		                 run ? "an account, not of the run" : "the run, not of an account");
	if (nearest)
		return error_set(err, ERR_CONFIG, "%s: there is no such option; did you mean '%s'?", shown,
		                 nearest);
	return error_set(err, ERR_CONFIG, "%s: there is no such option", shown);
}

/* `stdout = no` chooses nothing. */
static bool is_choice(const struct option *row, struct value value)
{
	return row->choice != CHOICE_FREE && (value.text || value.number);
}

/* The other row of the same choice that is set; there is never more than one. */
static const struct option *rival(const struct account *account, const struct option *of)
{
	for (const struct option *row = options; row < options + options_count; row++)
		if (row != of && row->choice == of->choice && is_choice(row, load(account, row)))
			return row;
	return NULL;
}

int option_set(struct account *account, const char *name, const char *text,
               enum option_origin origin, struct error *err)
{
	const struct option *row = option_find(name, false), *other;
	unsigned char nobody = ORIGIN_NONE, *mine, *theirs;
	struct value value;

	if (!row)
		return unknown(name, false, err);
	mine = origin_of(account, row);
	if (*mine == origin && origin != ORIGIN_COMMAND)
		return refuse(row, "given twice", err);
	if (read_value(row, text, &value, err))
		return -1;
	other = is_choice(row, value) ? rival(account, row) : NULL;
	theirs = other ? origin_of(account, other) : &nobody;
	if (*mine > origin || *theirs >= origin) {
		secret_free(&value.text);
		return *theirs != origin ? 0
		       : error_set(err, ERR_CONFIG, "%s: there is %s already; only one of them can be",
		                   row->name, other->name);
	}
	if (other)
		store(account, other, &(struct value){0});
	*theirs = ORIGIN_NONE;
	store(account, row, &value);
	*mine = (unsigned char)origin;
	return 0;
}

int option_set_run(struct run_options *run, const char *name, const char *text, struct error *err)
{
	const struct option *row = option_find(name, true);
	struct value value;

	if (!row)
		return unknown(name, true, err);
	if (read_value(row, text, &value, err))
		return -1;
	store(run, row, &value);
	return 0;
}

/* -- judging the whole -------------------------------------------------------------------- */

/* 995 is TLS from the first byte, 110 begins in clear (RFC 8314, RFC 2595); no other port tells. */
static int settle_tls(struct server *server, struct error *err)
{
	if (server->tls == TLS_BY_PORT) {
		if (server->port != 0 && server->port != 995 && server->port != 110)
			return error_set(err, ERR_CONFIG, "tls: port %u does not tell; say tls = implicit or "
			                 "tls = stls", (unsigned)server->port);
		server->tls = server->port == 110 ? TLS_STLS : TLS_IMPLICIT;
	}
	if (server->port == 0)
		server->port = server->tls == TLS_IMPLICIT ? 995 : 110;
	return 0;
}

int option_check(struct account *account, struct error *err)
{
	const struct option *keep = option_find("keep", false);
	const struct target *to = &account->target;

	if (!account->server.host)
		return error_set(err, ERR_CONFIG, "host: there is none");
	if (!account->login.user)
		return error_set(err, ERR_CONFIG, "user: there is none");
	if (!to->maildir && !to->mbox && !to->mda && !to->mda_shell && !to->to_stdout)
		return error_set(err, ERR_CONFIG, "no destination; give one of maildir, mbox, mda, "
		                 "mda_shell, stdout");
	if (settle_tls(&account->server, err))
		return -1;
	if (to->to_stdout && *origin_of(account, keep) != ORIGIN_COMMAND)
		account->policy.keep = KEEP_FOREVER;
	return 0;
}

/* -- showing ------------------------------------------------------------------------------ */

/* In quotes where libiniparser would else cut, strip or unquote it.  What no version of it can
 * read (conf.c says which) comes out in a form that conf.c refuses, never as something else. */
static void add_text(struct str *to, const char *text)
{
	size_t len = strlen(text);
	const char *quote = strchr(text, '"') ? "'" : "\"";

	if (!strchr(" \t\"'", text[0]) && !strchr(" \t", text[len - 1]) && !strpbrk(text, "#;"))
		quote = "";
	str_puts(to, quote);
	str_puts(to, text);
	str_puts(to, quote);
}

/* given: somebody has set it, be it to nothing. */
static bool show(const void *base, const struct option *row, bool given, struct str *text)
{
	struct value value = load(base, row);
	bool plain = row->type == OPTION_BOOL ||
	             (row->type == OPTION_KEEP && (!value.number || value.number == KEEP_FOREVER));

	if (!value.text && !value.number && !row->fallback && !given)
		return false;
	if (row->type == OPTION_SECRET)
		str_puts(text, "***");
	else if (is_text(row->type))
		add_text(text, value.text);
	else if (row->type == OPTION_WORD)
		str_puts(text, row->words[value.number]);
	else if (plain)
		str_puts(text, value.number ? "yes" : "no");
	else
		add_number(text, row->type, value.number);
	return true;
}

bool option_show(const struct account *account, const struct option *row, struct str *text)
{
	return !row->run && show(account, row, *origin_of(account, row) != ORIGIN_NONE, text);
}

bool option_show_run(const struct run_options *run, const struct option *row, struct str *text)
{
	return row->run && show(run, row, false, text);
}

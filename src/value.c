/* SPDX-License-Identifier: MIT */
/*
 * value.c - the values of options: text to value, value to text, and where they live.
 *
 * Reading may fail, storing may not; so an option that does not fit leaves its account as it was.
 * Paths are made absolute here, since later nobody knows what they were relative to: the
 * environment is asked for HOME, the system for the current directory.  Nothing else of the
 * world is looked at, and no file is opened.
 *
 * On failure: ERR_CONFIG with "OPTION: why".  A text shows the value it complains of, but never
 * that of a secret or a command.  Called by option.c.
 */
#include "config.h"

#include "value.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "account.h"

#define DAY UINT64_C(86400)
#define MAX_TEXT 4000  /* bytes of a string or a path */
#define MAX_LINE 65536 /* bytes of a secret or a command */
#define MAX_HOST 255   /* RFC 1035 section 2.3.4 */

/* -- from text ---------------------------------------------------------------------------- */

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

bool value_is_text(enum option_type type)
{
	return type <= OPTION_COMMAND;
}

/* As the file would have it: in the largest unit that leaves no rest. */
static void add_number(struct str *text, enum option_type type, uint64_t number)
{
	bool bare = type == OPTION_PATIENCE && !(number & COMPLAIN_TIME);
	const struct unit *unit = bare ? none : units_of(type);

	number &= ~COMPLAIN_TIME;
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
	                : row->type == OPTION_PATIENCE ? "a number of failures, or a time such as 2h ("
	                : "a time such as 90s, 5m, 2h or 30d (");
	add_number(&wanted, row->type, row->min);
	str_puts(&wanted, " to ");
	add_number(&wanted, row->type, row->max | (row->type == OPTION_PATIENCE ? COMPLAIN_TIME : 0));
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
	if (*number < row->min)
		return number_misfit(row, text, err);
	if (row->type == OPTION_PATIENCE && unit->letter)
		*number |= COMPLAIN_TIME;
	return 0;
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

/* What other programs, or people, say for a word; a row has the one or the other. */
static const struct {
	const char *theirs, *ours;
} foreign[] = {
	{"starttls", "stls"},      {"ssl", "implicit"},   {"pop3s", "implicit"},
	{"on", "implicit"},        {"yes", "implicit"},   {"none", "off"},
	{"yes", "on"},             {"no", "off"},         {"on", "auto"},
	{"password", "user"},      {"oauth2", "xoauth2"}, {"ipv4", "4"},
	{"ipv6", "6"},             {"both", "any"},
};

static bool is_word(const struct option *row, const char *text)
{
	const char *const *word = row->words;

	while (*word && strcmp(*word, text) != 0)
		word++;
	return *word != NULL;
}

/* The row's word that may be meant, or NULL. */
static const char *nearest_word(const struct option *row, const char *text)
{
	const char *nearest = NULL;
	unsigned edits = 0;

	for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++)
		if (strcasecmp(text, foreign[i].theirs) == 0 && is_word(row, foreign[i].ours))
			return foreign[i].ours;
	for (const char *const *word = row->words; *word; word++)
		if (text_is_nearer(text, *word, &edits))
			nearest = *word;
	return nearest;
}

static int read_word(const struct option *row, const char *text, uint64_t *number,
                     struct error *err)
{
	const char *nearest = nearest_word(row, text);
	struct str wanted = {.max = 300};

	for (*number = 0; row->words[*number]; ++*number)
		if (strcasecmp(text, row->words[*number]) == 0)
			return 0;
	str_puts(&wanted, "one of");
	for (size_t i = 0; row->words[i]; i++)
		str_printf(&wanted, "%s %s", i ? "," : "", row->words[i]);
	if (nearest)
		str_printf(&wanted, "; did you mean %s?", nearest);
	misfit(row, text, wanted.s, err);
	str_free(&wanted);
	return -1;
}

/* A word that is no path, and stays as it is.  A systemd credential is left to secret.c: the
 * variable is there only when that account runs. */
static bool is_foreign(const struct option *row, const char *text)
{
	return (row->type == OPTION_CREDENTIAL && strncmp(text, "$CREDENTIALS_DIRECTORY/", 23) == 0) ||
	       (row->type == OPTION_OBJECT && strncmp(text, "pkcs11:", 7) == 0);
}

/* ~/ is read, and what is relative becomes absolute.  A $ in front was meant for a shell. */
static int read_path(const struct option *row, const char *text, char **path, struct error *err)
{
	char here[MAX_TEXT], shown[64];
	const char *front = "", *slash = "";
	struct str whole = {.max = MAX_TEXT};

	if (is_foreign(row, text)) {
		*path = xstrdup(text);
		return 0;
	}
	if (text[0] == '$')
		return error_set(err, ERR_CONFIG, "%s: %s is not read; write ~/ or the whole path",
		                 row->name, printable(shown, sizeof(shown), text, strcspn(text, "/")));
	if (text[0] == '~') {
		text++;
		if (text[0] != '/' && text[0] != '\0')
			return refuse(row, "~name is not read; write the whole path", err);
		front = getenv("HOME");
		if (!front || front[0] != '/')
			return refuse(row, "~ needs the environment variable HOME", err);
	} else if (text[0] != '/') {
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
	if (row->type == OPTION_HOST && judge_host(row, text, err))
		return -1;
	if (row->type == OPTION_FILE && text[len - 1] == '/')
		return misfit(row, text, "a file; for a directory of messages use maildir", err);
	if (row->type >= OPTION_PATH && row->type <= OPTION_OBJECT)
		return read_path(row, text, to, err);
	*to = xstrdup(text);
	return 0;
}

int value_read(const struct option *row, const char *text, struct value *value, struct error *err)
{
	int yes = yes_or_no(text);

	*value = (struct value){0};
	if (value_is_text(row->type))
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

/* -- where they live ---------------------------------------------------------------------- */

void value_store(void *base, const struct option *row, struct value *value)
{
	void *field = (char *)base + row->offset;

	if (value_is_text(row->type)) {
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

struct value value_load(const void *base, const struct option *row)
{
	const void *field = (const char *)base + row->offset;

	if (value_is_text(row->type))
		return (struct value){.text = *(char *const *)field};
	if (row->type == OPTION_BOOL)
		return (struct value){.number = *(const bool *)field};
	if (row->type == OPTION_WORD)
		return (struct value){.number = (uint64_t)*(const int *)field};
	return (struct value){.number = *(const uint64_t *)field};
}

/* -- to text ------------------------------------------------------------------------------ */

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

bool value_show(const void *base, const struct option *row, bool given, struct str *text)
{
	struct value value = value_load(base, row);
	bool plain = row->type == OPTION_BOOL ||
	             (row->type == OPTION_KEEP && (!value.number || value.number == KEEP_FOREVER));

	if (!value.text && !value.number && !row->fallback && !given)
		return false;
	if (row->type == OPTION_SECRET)
		str_puts(text, "***");
	else if (value_is_text(row->type))
		add_text(text, value.text);
	else if (row->type == OPTION_WORD)
		str_puts(text, row->words[value.number]);
	else if (plain)
		str_puts(text, value.number ? "yes" : "no");
	else
		add_number(text, row->type, value.number);
	return true;
}

/* SPDX-License-Identifier: MIT */
/*
 * conf.c - reads the configuration file: INI by libiniparser, with its traps closed.
 *
 * The text is read once, scanned here line by line, and the very bytes that were scanned are given
 * to libiniparser (from a memory file: a FIFO will do, and nobody can exchange the file meanwhile).
 * The values are its own; where one differs from what the scan saw, that is an error.  What
 * versions 4.1 and 4.2 read differently, or as no user would expect, the scan refuses with a hint.
 *
 * Of libiniparser only loading and getstring are used: its numbers and booleans take nonsense for
 * a value, and its own error messages print whole lines, passwords included.
 *
 * On failure: every problem with its line in conf->problems; no text shows a value that may be a
 * secret, nor a line.  Called by main.c.  Nothing here judges whether an account is complete:
 * the command line may still add to it.
 */
#include "config.h"

#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef HAVE_INIPARSER_INIPARSER_H
#include <iniparser/iniparser.h>
#else
#include <iniparser.h>
#endif

#include "file.h"

#define MAX_FILE (1u << 20)
#define MAX_LINE 1022     /* without the line feed: libiniparser's buffer */
#define MAX_PROBLEMS 100  /* then the scan gives up */
#define MAX_SECTIONS 4096 /* libiniparser's dictionary is searched from end to end */
#define MAX_NAME 64

enum part { PART_RUN, PART_DEFAULTS, PART_ACCOUNT };

struct section {
	unsigned line;
	enum part part;
	char name[MAX_NAME + 1]; /* "" where it was refused */
	bool faulty;             /* there is a problem in it */
};

struct setting {
	unsigned line;
	size_t section; /* index */
	const struct option *row;
	char *value; /* owned; NULL where it was refused */
};

struct problem {
	unsigned line;
	char *text; /* owned */
};

/* What one look at the text has found. */
struct scan {
	struct section *sections;
	struct setting *settings;
	struct problem problems[MAX_PROBLEMS]; /* sorted by line */
	size_t section_count, count, problem_count;
	bool full, homeless; /* there were more; an option in front of all sections was told */
};

/* A stretch of the text. */
struct span {
	const char *p;
	size_t len;
};

/* -- problems ----------------------------------------------------------------------------- */

PRINTF(3, 4)
static void problem(struct scan *scan, unsigned line, const char *fmt, ...)
{
	char text[sizeof(((struct error *)0)->text)];
	size_t at = scan->problem_count, n = scan->section_count;
	va_list args;

	while (n > 0 && scan->sections[n - 1].line > line)
		n--;
	if (n > 0)
		scan->sections[n - 1].faulty = true;
	if (at == MAX_PROBLEMS) {
		scan->full = true;
		return;
	}
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	for (; at > 0 && scan->problems[at - 1].line > line; at--)
		scan->problems[at] = scan->problems[at - 1];
	scan->problems[at] = (struct problem){line, xstrdup(text)};
	scan->problem_count++;
}

static void scan_free(struct scan *scan)
{
	for (size_t i = 0; i < scan->count; i++)
		secret_free(&scan->settings[i].value);
	for (size_t i = 0; i < scan->problem_count; i++)
		free(scan->problems[i].text);
	free(scan->settings);
	free(scan->sections);
}

/* -- the scan ----------------------------------------------------------------------------- */

/* Makes room for one more; arrays double when their count is a power of two. */
static void *room(void *array, size_t count, size_t size)
{
	return count & (count - 1) ? array : xrealloc(array, (count ? 2 * count : 1) * size);
}

/* What isspace() says in the C locale, as libiniparser asks it. */
static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_comment(char c)
{
	return c == '#' || c == ';';
}

static struct span trim(struct span s)
{
	while (s.len && is_space(s.p[0])) {
		s.p++;
		s.len--;
	}
	while (s.len && is_space(s.p[s.len - 1]))
		s.len--;
	return s;
}

static struct span from(struct span s, const char *p)
{
	return (struct span){p, s.len - (size_t)(p - s.p)};
}

/* Copies a name in lower case; false where it is empty, too long, or has a byte that is neither
 * a letter, a digit, nor one of others. */
static bool fold(char *to, size_t size, struct span name, const char *others)
{
	if (name.len == 0 || name.len >= size)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && (!c || !strchr(others, c)))
			return false;
		to[i] = c;
	}
	to[name.len] = '\0';
	return true;
}

/* A refused section begins all the same: what stands below belongs to it and to no other. */
static void scan_section(struct scan *scan, unsigned line, struct span text)
{
	const char *end = memchr(text.p, ']', text.len);
	struct span name = {text.p + 1, end ? (size_t)(end - text.p - 1) : 0};
	struct section *section;

	scan->sections = room(scan->sections, scan->section_count, sizeof(*section));
	section = &scan->sections[scan->section_count++];
	*section = (struct section){.line = line, .part = PART_ACCOUNT};
	if (!end)
		problem(scan, line, "the section has no ]");
	else if (from(text, end).len > 1)
		problem(scan, line, "there is text behind the ]; a comment goes on a line of its own");
	else if (!fold(section->name, sizeof(section->name), trim(name), "._@+-") ||
	         strcmp(section->name, ".") == 0 || strcmp(section->name, "..") == 0) {
		problem(scan, line, "a section's name has a to z, digits and . _ @ + -, at most %d of "
		        "them", MAX_NAME);
		section->name[0] = '\0';
	}
	if (strcmp(section->name, "mailhaul") == 0)
		section->part = PART_RUN;
	if (strcmp(section->name, "defaults") == 0)
		section->part = PART_DEFAULTS;
	for (size_t i = 0; section->name[0] && &scan->sections[i] < section; i++) {
		if (strcmp(scan->sections[i].name, section->name) == 0) {
			problem(scan, line, "section [%s] was already given on line %u", section->name,
			        scan->sections[i].line);
			section->name[0] = '\0';
		}
	}
}

/* The option that the text in front of the = names.  Text that is no name at all is not shown:
 * it may be the rest of somebody's password. */
static const struct option *scan_key(struct scan *scan, unsigned line, struct span text)
{
	bool run = scan->sections[scan->section_count - 1].part == PART_RUN;
	char key[33];
	const struct option *row;
	const char *nearest;

	if (!fold(key, sizeof(key), text, "_-")) {
		problem(scan, line, "what stands in front of the = is not the name of an option");
		return NULL;
	}
	row = option_find(key, run);
	if (row)
		return row;
	nearest = option_nearest(key, run);
	if (option_find(key, !run))
		problem(scan, line, "'%s' belongs to %s", key,
		        run ? "an account or [defaults], not to [mailhaul]" : "[mailhaul]");
	else if (nearest)
		problem(scan, line, "unknown option '%s'; did you mean '%s'?", key, nearest);
	else
		problem(scan, line, "unknown option '%s'", key);
	return NULL;
}

/* What a user can do about a value that libiniparser would cut. */
static const char *advice(const struct option *row, struct span value)
{
	bool both = memchr(value.p, '"', value.len) && memchr(value.p, '\'', value.len);

	if (!both && !memchr(value.p, '\\', value.len))
		return "put the value in quotes";
	if (row->type == OPTION_SECRET)
		return "this one cannot be written here, use password_command or password_file";
	return "no quotes can hold this one; a command can go into a script of its own";
}

/* "value" or 'value', and nothing behind it but a comment. */
static bool unquote(struct scan *scan, unsigned line, const struct option *row, struct span *value)
{
	char quote = value->p[0];
	struct span inner = from(*value, value->p + 1), rest;
	const char *end = memchr(inner.p, quote, inner.len);

	if (!end) {
		problem(scan, line, "'%s' has no closing quote", row->name);
		return false;
	}
	rest = from(inner, end + 1);
	inner.len = (size_t)(end - inner.p);
	if (rest.len && (!is_space(rest.p[0]) || !is_comment(trim(rest).p[0]))) {
		problem(scan, line, "there is text behind the closing quote of '%s'; where the value has "
		        "quotes itself, put the other kind around all of it", row->name);
		return false;
	}
	if (memchr(inner.p, '\\', inner.len)) {
		problem(scan, line, "the backslash within the quotes of '%s' is read in different ways by "
		        "versions of libiniparser; %s", row->name,
		        row->type != OPTION_SECRET ? "leave the quotes away"
		        : "leave the quotes away, or use password_command or password_file");
		return false;
	}
	*value = inner;
	return true;
}

/* libiniparser cuts at the first # or ;, wherever it is.  It passes for a comment only with a blank
 * in front of it, and never in a password or a command: there it may as well be meant. */
static bool uncomment(struct scan *scan, unsigned line, const struct option *row,
                      struct span *value)
{
	size_t at = 0;

	while (at < value->len && !is_comment(value->p[at]))
		at++;
	if (at == value->len)
		return true;
	if (at == 0 || !is_space(value->p[at - 1]) || row->type == OPTION_SECRET ||
	    row->type == OPTION_COMMAND) {
		problem(scan, line, "the %c in '%s' would start a comment and cut the value; %s",
		        value->p[at], row->name, advice(row, *value));
		return false;
	}
	*value = trim((struct span){value->p, at});
	if (value->len && value->p[value->len - 1] == '\\') {
		problem(scan, line, "'%s' ends in a backslash, which some versions of libiniparser take "
		        "for a line that goes on", row->name);
		return false;
	}
	return true;
}

static void scan_setting(struct scan *scan, unsigned line, struct span text)
{
	const char *equals = memchr(text.p, '=', text.len);
	struct span value;
	struct setting setting = {.line = line, .section = scan->section_count - 1};
	bool good;

	if (!equals) {
		problem(scan, line, "this is neither [section], nor option = value, nor a comment");
		return;
	}
	if (scan->section_count == 0) {
		if (!scan->homeless)
			problem(scan, line, "there is no [section] above this line; an account begins with "
			        "its name in brackets, such as [work]");
		scan->homeless = true;
		return;
	}
	setting.row = scan_key(scan, line, trim((struct span){text.p, (size_t)(equals - text.p)}));
	if (!setting.row)
		return;
	for (size_t i = scan->count; i > 0 && scan->settings[i - 1].section == setting.section; i--) {
		if (scan->settings[i - 1].row == setting.row) {
			problem(scan, line, "'%s' was already given on line %u", setting.row->name,
			        scan->settings[i - 1].line);
			return;
		}
	}
	value = trim(from(text, equals + 1));
	if (value.len && (value.p[0] == '"' || value.p[0] == '\''))
		good = unquote(scan, line, setting.row, &value);
	else
		good = uncomment(scan, line, setting.row, &value);
	if (good)
		setting.value = xmemdup0(value.p, value.len);
	scan->settings = room(scan->settings, scan->count, sizeof(setting));
	scan->settings[scan->count++] = setting;
}

/* text is without its line feed. */
static void scan_line(struct scan *scan, unsigned line, struct span text)
{
	size_t len = text.len && text.p[text.len - 1] == '\r' ? text.len - 1 : text.len;
	struct span bare = trim(text);

	if (memchr(text.p, '\0', text.len))
		problem(scan, line, "there is a NUL byte");
	else if (memchr(text.p, '\r', len))
		problem(scan, line, "there is a carriage return; lines end in LF, or CR LF");
	else if (text.len > MAX_LINE)
		problem(scan, line, "the line has more than %d bytes", MAX_LINE);
	else if (bare.len && bare.p[bare.len - 1] == '\\')
		problem(scan, line, "the backslash at the end would join the next line to this one");
	else if (bare.len == 0 || is_comment(bare.p[0]))
		return;
	else if (bare.p[0] != '[')
		scan_setting(scan, line, bare);
	else if (scan->section_count < MAX_SECTIONS)
		scan_section(scan, line, bare);
	else
		problem(scan, line, "there are more than %d sections", MAX_SECTIONS);
}

static void scan_text(struct scan *scan, struct span rest)
{
	if (rest.len >= 3 && memcmp(rest.p, "\xef\xbb\xbf", 3) == 0) {
		problem(scan, 1, "the file begins with a byte order mark; save it without");
		rest = from(rest, rest.p + 3);
	}
	for (unsigned line = 1; rest.len && !scan->full; line++) {
		const char *end = memchr(rest.p, '\n', rest.len);
		size_t len = end ? (size_t)(end - rest.p) : rest.len;

		scan_line(scan, line, (struct span){rest.p, len});
		rest = from(rest, rest.p + len + (end != NULL));
	}
}

/* -- libiniparser ------------------------------------------------------------------------- */

static int quiet(const char *fmt, ...)
{
	(void)fmt;
	return 0;
}

/* Loads the bytes that were scanned. */
static dictionary *load(const char *path, const struct str *text, struct error *err)
{
	char name[64];
	dictionary *dict = NULL;
	int fd = memfd_create("mailhaul", MFD_CLOEXEC);

	if (fd == -1) {
		error_sys(err, ERR_TEMP, "%s: a memory file", path);
		return NULL;
	}
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	iniparser_set_error_callback(quiet);
	if (file_write(fd, text->s, text->len, path, err) == 0) {
		dict = iniparser_load(name);
		if (!dict)
			error_set(err, ERR_CONFIG, "%s: libiniparser cannot read it (by %s)", path, name);
	}
	close(fd);
	return dict;
}

/* Takes each value from libiniparser; it must be the one that was scanned. */
static int take_values(struct scan *scan, const char *path, const struct str *text,
                       struct error *err)
{
	dictionary *dict = load(path, text, err);

	if (!dict)
		return -1;
	for (size_t i = 0; i < scan->count; i++) {
		struct setting *setting = &scan->settings[i];
		char key[MAX_NAME + 64];
		const char *value;

		snprintf(key, sizeof(key), "%s:%s", scan->sections[setting->section].name,
		         setting->row->name);
		value = iniparser_getstring(dict, key, NULL);
		if (!value || strcmp(value, setting->value) != 0)
			problem(scan, setting->line, "this value of '%s' is read differently by libiniparser; "
			        "put it in quotes", setting->row->name);
		else if (setting->row->type == OPTION_SECRET) /* the dictionary is freed unwiped */
			explicit_bzero((char *)value, strlen(value));
	}
	if ((size_t)dict->n != scan->section_count + scan->count)
		problem(scan, 1, "libiniparser finds %zu sections and values in this file, not %zu",
		        (size_t)dict->n, scan->section_count + scan->count);
	iniparser_freedict(dict);
	return 0;
}

/* -- the accounts ------------------------------------------------------------------------- */

static void apply(struct scan *scan, const struct setting *setting, struct conf *conf,
                  struct account *account, enum option_origin origin)
{
	struct error err = {0};
	const char *name = setting->row->name;

	if (!setting->value)
		return;
	if (setting->row->run ? option_set_run(&conf->run, name, setting->value, &err)
	                      : option_set(account, name, setting->value, origin, &err))
		problem(scan, setting->line, "%s", err.text);
}

/* [defaults] first, wherever it stands; then each account begins as a copy of it. */
static void build(struct scan *scan, struct conf *conf)
{
	size_t at = 0;

	for (size_t i = 0; i < scan->count; i++) {
		if (scan->sections[scan->settings[i].section].part == PART_ACCOUNT)
			continue;
		apply(scan, &scan->settings[i], conf, &conf->defaults, ORIGIN_DEFAULTS);
		conf->defaults.refused |= scan->sections[scan->settings[i].section].faulty;
	}
	conf->accounts = xcalloc(scan->section_count, sizeof(*conf->accounts));
	for (size_t i = 0; i < scan->section_count; i++) {
		struct account *account = &conf->accounts[conf->count];

		if (scan->sections[i].part != PART_ACCOUNT)
			continue;
		account_copy(account, &conf->defaults, scan->sections[i].name);
		account->line = scan->sections[i].line;
		conf->count++;
		for (; at < scan->count && scan->settings[at].section <= i; at++)
			if (scan->settings[at].section == i)
				apply(scan, &scan->settings[at], conf, account, ORIGIN_ACCOUNT);
		account->refused |= scan->sections[i].faulty;
	}
}

/* A secret must be for its owner's eyes alone; without one the file may be seen.  Nobody else may
 * write it: it names programs that are run. */
static void check_privacy(struct scan *scan, int fd, const char *path)
{
	struct error err = {0};
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & S_IWOTH))
		problem(scan, 1, "%s can be written by everybody (mode %03o), who could choose programs "
		        "to be run as you: chmod go-w %s", path, (unsigned)st.st_mode & 0777, path);
	for (size_t i = 0; i < scan->count; i++) {
		if (!option_is_secret(scan->settings[i].row, scan->settings[i].value))
			continue;
		if (file_is_private(fd, path, &err))
			problem(scan, scan->settings[i].line, "it holds a secret ('%s'), and %s",
			        scan->settings[i].row->name, err.text);
		return;
	}
}

/* -- the file ----------------------------------------------------------------------------- */

char *conf_default_path(void)
{
	struct str path = {.max = 8192}, other = {.max = 8192};
	char *directory = file_xdg("XDG_CONFIG_HOME", ".config");
	const char *home = file_home();
	struct stat st;

	if (directory)
		str_printf(&path, "%s/config", directory);
	if (home)
		str_printf(&other, "%s/.mailhaulrc", home);
	free(directory);
	if (other.s && (!path.s || stat(path.s, &st)) && stat(other.s, &st) == 0) {
		str_free(&path);
		return other.s;
	}
	str_free(&other);
	return path.s;
}

/* Opens for reading.  A FIFO waits for its writer, unless we are asked to stop. */
static int open_file(const char *path, struct error *err)
{
	int fd;

	do {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	} while (fd == -1 && errno == EINTR && !stop_requested);
	return fd == -1 ? error_sys(err, ERR_CONFIG, "cannot read %s", path) : fd;
}

static int read_file(int fd, const char *path, struct str *text, struct error *err)
{
	char buf[8192];
	ssize_t n;
	int status = str_add(text, "", 0); /* there is a string even where there is no text */

	while (status == 0 && (n = read(fd, buf, sizeof(buf))) != 0) {
		if (n > 0)
			status = str_add(text, buf, (size_t)n);
		else if (errno != EINTR || stop_requested)
			return error_sys(err, ERR_CONFIG, "cannot read %s", path);
	}
	explicit_bzero(buf, sizeof(buf));
	return status ? error_set(err, ERR_CONFIG, "%s: larger than 1 MiB", path) : 0;
}

/* Hands over the problems: -1 if there are any. */
static int conclude(const struct scan *scan, const char *path, struct str *problems,
                    struct error *err)
{
	char shown[256];

	if (scan->problem_count == 0)
		return 0;
	printable(shown, sizeof(shown), path, strlen(path));
	for (size_t i = 0; i < scan->problem_count; i++)
		str_printf(problems, "%s:%u: %s\n", shown, scan->problems[i].line, scan->problems[i].text);
	if (scan->full)
		str_printf(problems, "%s: and more\n", shown);
	return error_set(err, ERR_CONFIG, "%s: %zu problem%s", shown, scan->problem_count,
	                 scan->problem_count == 1 ? "" : "s");
}

int conf_load(const char *path, struct conf *conf, struct error *err)
{
	struct str text = {.max = MAX_FILE};
	struct scan scan = {0};
	int status, fd;

	*conf = (struct conf){.problems = {.max = MAX_FILE}, .path = xstrdup(path)};
	account_init(&conf->defaults, "defaults");
	run_options_init(&conf->run);
	fd = open_file(path, err);
	if (fd == -1)
		return -1;
	status = read_file(fd, path, &text, err);
	if (status == 0) {
		scan_text(&scan, (struct span){text.s, text.len});
		if (scan.problem_count == 0)
			status = take_values(&scan, path, &text, err);
	}
	if (status == 0) {
		build(&scan, conf);
		check_privacy(&scan, fd, path);
		status = conclude(&scan, path, &conf->problems, err);
	}
	close(fd);
	scan_free(&scan);
	str_wipe(&text);
	return status;
}

void conf_free(struct conf *conf)
{
	for (size_t i = 0; i < conf->count; i++)
		account_free(&conf->accounts[i]);
	free(conf->accounts);
	account_free(&conf->defaults);
	run_options_free(&conf->run);
	free(conf->path);
	str_free(&conf->problems);
	*conf = (struct conf){0};
}

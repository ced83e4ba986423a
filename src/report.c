/* SPDX-License-Identifier: MIT */
/*
 * report.c - what people read, and the exit status.
 *
 * Every line leaves in one write(2) on standard error, so that lines of several programs on one
 * terminal or in one log do not mix.  Names and texts pass through printable(): they may hold a
 * server's bytes.  Errors of writing are ignored, for there is nobody left to tell.
 *
 * Progress is one line for all accounts that have been running for a second.  Whatever else is
 * printed takes it away first; report_tick draws it again.  It is cut in bytes, which no
 * terminal shows in more columns than there are bytes, so it never wraps.
 *
 * The exit status is folded from kinds of errors.  Accounts count in their own order and not in
 * the order of time, so that the same failures always give the same status.
 *
 * Called by main and the supervisor; it never fails and never waits but for the terminal.
 */
#include "config.h"

#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "file.h"

#define SHOW_AFTER 1000  /* ms: what is over sooner needs no progress */
#define DRAW_EVERY 100   /* ms */
#define CLEAR "\r\033[K" /* ECMA-48: to the first column, erase the line */

/* What a number of failures comes to. */
struct verdict {
	enum error_kind permanent; /* the first one that waiting does not help */
	bool transient, stopped;
};

/* One account, as far as we have heard of it. */
struct row {
	bool running, planned, done;
	uint64_t begun;              /* clock_ms */
	uint64_t fetched, due;       /* messages: so far, and planned */
	uint64_t received;           /* bytes so far */
	uint64_t new, bytes, kept, deleted, failed; /* its last word */
	struct verdict errors;       /* of the account */
	struct verdict failures;     /* of single messages */
};

struct report {
	struct report_style style;
	const struct account *accounts; /* foreign */
	struct row *rows;
	size_t count;
	struct verdict complaints;
	size_t drawn;     /* accounts on the progress line that is on the screen; 0: none is */
	unsigned width;   /* of the terminal when it was drawn */
	uint64_t drawn_at;
	bool stale;       /* something has changed since */
};

static bool verdict_is_empty(const struct verdict *v)
{
	return !v->permanent && !v->transient && !v->stopped;
}

static void verdict_add(struct verdict *v, enum error_kind kind)
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

static void verdict_join(struct verdict *v, const struct verdict *more)
{
	if (!v->permanent)
		v->permanent = more->permanent;
	v->transient |= more->transient;
	v->stopped |= more->stopped;
}

/* A single kind and a mixture need no telling apart: only one kind is transient, so a mixture
 * always holds a permanent one, and the first of those is the answer. */
static int verdict_status(const struct verdict *v)
{
	if (v->permanent)
		return error_exit_code(v->permanent);
	return v->transient || v->stopped ? error_exit_code(ERR_TEMP) : 0;
}

/* A worker's word for a kind is not taken on trust. */
static enum error_kind kind_of(const struct event *event)
{
	return event->error > ERR_NONE && event->error < ERR_KINDS ? (enum error_kind)event->error
	                                                           : ERR_BUG;
}

static void put(const char *bytes, size_t len)
{
	struct error ignored = {0};

	(void)file_write(STDERR_FILENO, bytes, len, "standard error", &ignored);
}

/* Prints PREFIX NAME ": " TEXT as one line, in place of the progress line; name may be NULL. */
static void say(struct report *report, const char *prefix, const char *name, const char *text)
{
	char shown_name[200], shown[4096], line[sizeof(shown_name) + sizeof(shown) + 32];
	int len;

	printable(shown_name, sizeof(shown_name), name ? name : "", name ? strlen(name) : 0);
	printable(shown, sizeof(shown), text, strlen(text));
	len = snprintf(line, sizeof(line), "%s%s%s%s%s\n", report->drawn ? CLEAR : "", prefix,
	               shown_name, name ? ": " : "", shown);
	if (len > 0)
		put(line, (size_t)len);
	report->drawn = 0;
}

/* To standard output, whose errors main looks for. */
static void put_out(const char *text)
{
	char shown[4096];

	puts(printable(shown, sizeof(shown), text, strlen(text)));
}

/* n in units, rounded. */
static uint64_t rounded(uint64_t n, uint64_t unit)
{
	return n / unit + (n % unit >= unit / 2);
}

/* "999 B", "120 kB", "1.2 MB", "45.0 GB", "450 GB": by thousands, as mail programs do. */
static void size_text(char *to, size_t size, uint64_t n)
{
	static const char *const names[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
	uint64_t unit = 1000, tenths;
	size_t at = 0;

	while (rounded(n, unit) >= 1000) {
		unit *= 1000;
		at++;
	}
	tenths = rounded(n, unit / 10);
	if (n < 1000)
		snprintf(to, size, "%u B", (unsigned)n);
	else if (at > 0 && tenths < 1000)
		snprintf(to, size, "%u.%u %s", (unsigned)tenths / 10, (unsigned)tenths % 10, names[at]);
	else
		snprintf(to, size, "%u %s", (unsigned)rounded(n, unit), names[at]);
}

/* -- progress ----------------------------------------------------------------------------- */

static bool wants_progress(const struct report *report)
{
	return report->style.terminal && !report->style.quiet;
}

static void clear(struct report *report)
{
	if (report->drawn)
		put(CLEAR, sizeof(CLEAR) - 1);
	report->drawn = 0;
}

static unsigned terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == -1 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

/* "work 120/300 1.2 MB", or "work ..." while it is not known how much there is to do. */
static void progress_text(struct str *line, const char *name, const struct row *row)
{
	char shown[64], size[32];

	printable(shown, sizeof(shown), name, strlen(name));
	size_text(size, sizeof(size), row->received);
	if (!row->planned || row->due == 0)
		(void)str_printf(line, "%s%s ...", line->len ? " | " : "", shown);
	else
		(void)str_printf(line, "%s%s %llu/%llu %s", line->len ? " | " : "", shown,
		                 (unsigned long long)row->fetched, (unsigned long long)row->due, size);
}

/* Shortens to the width less one, for many terminals wrap once the last column is filled. */
static void cut_to_width(struct str *line, unsigned width)
{
	size_t len = width > 1 ? width - 1 : 1;

	if (line->len <= len)
		return;
	while (len > 0 && ((unsigned char)line->s[len] & 0xC0) == 0x80)
		len--; /* not within a character */
	str_cut(line, len);
}

static void draw(struct report *report, uint64_t now, size_t shown)
{
	struct str line = {.max = 4096}, out = {.max = 4200};
	size_t i;

	for (i = 0; i < report->count; i++) {
		const struct row *row = &report->rows[i];

		if (row->running && now - row->begun >= SHOW_AFTER)
			progress_text(&line, report->accounts[i].name, row);
	}
	cut_to_width(&line, report->width);
	if (line.len && str_printf(&out, CLEAR "%s", line.s) == 0)
		put(out.s, out.len);
	str_free(&line);
	str_free(&out);
	report->drawn = shown;
	report->drawn_at = now;
	report->stale = false;
}

/* -- one line each ------------------------------------------------------------------------ */

static void add_clause(struct str *line, uint64_t n, const char *what)
{
	if (n)
		(void)str_printf(line, "%s%llu %s", line->len ? ", " : "", (unsigned long long)n, what);
}

/* "3 new (120 kB), 240 kept, 3 deleted".  "no new mail" is only said where that is known. */
static void summarize(struct report *report, size_t i)
{
	const struct row *row = &report->rows[i];
	struct str line = {.max = 512};
	char size[32];

	size_text(size, sizeof(size), row->bytes);
	if (row->new)
		(void)str_printf(&line, "%llu new (%s)", (unsigned long long)row->new, size);
	else if (!row->failed && verdict_is_empty(&row->errors))
		(void)str_puts(&line, "no new mail");
	add_clause(&line, row->kept, "kept");
	add_clause(&line, row->deleted, "deleted");
	add_clause(&line, row->failed, "failed");
	if (row->errors.stopped)
		(void)str_printf(&line, "%sstopped: the rest is on the server", line.len ? ", " : "");
	if (line.len)
		say(report, "", report->accounts[i].name, line.s);
	str_free(&line);
}

/* An order to stop is no failure to complain of: whoever gave it knows. */
static void show_error(struct report *report, size_t i, enum error_kind kind, const char *text)
{
	if (kind != ERR_STOP || report->style.verbose)
		say(report, "mailhaul: ", report->accounts[i].name, text);
}

/* NOTE_INFO: only for who looks on. */
static bool is_told(const struct report *report, uint32_t level)
{
	return level == NOTE_WARN || report->style.verbose || report->style.watched;
}

static void take_last_word(struct row *row, const struct event *event)
{
	row->done = true;
	row->new = event->num;
	row->bytes = event->bytes;
	row->kept = event->kept;
	row->deleted = event->deleted;
	row->failed = event->failed;
}

/* -- exported ----------------------------------------------------------------------------- */

struct report *report_open(const struct report_style *style, const struct account *accounts,
                           size_t count)
{
	struct report *report = xcalloc(1, sizeof(*report));

	report->style = *style;
	report->accounts = accounts;
	report->rows = xcalloc(count ? count : 1, sizeof(*report->rows));
	report->count = count;
	return report;
}

void report_begin(struct report *report, size_t i)
{
	report->rows[i].running = true;
	report->rows[i].begun = clock_ms();
}

void report_event(struct report *report, size_t i, const struct event *event)
{
	struct row *row = &report->rows[i];
	bool wanted;

	switch (event->kind) {
	case EVENT_NOTE:
		wanted = event->level == NOTE_WARN ? !report->style.quiet : report->style.verbose;
		if (wanted)
			say(report, "mailhaul: ", report->accounts[i].name, event->text);
		break;
	case EVENT_LINE:
		put_out(event->text);
		break;
	case EVENT_PLAN:
		row->planned = true;
		row->due = event->num;
		report->stale = true;
		break;
	case EVENT_PROGRESS:
		row->fetched = event->num;
		row->received = event->bytes;
		report->stale = true;
		break;
	case EVENT_FAILED:
		verdict_add(&row->failures, kind_of(event));
		if (event->level == NOTE_WARN || report->style.verbose)
			show_error(report, i, kind_of(event), event->text);
		break;
	case EVENT_ERROR:
		verdict_add(&row->errors, kind_of(event));
		if (is_told(report, event->level))
			show_error(report, i, kind_of(event), event->text);
		break;
	case EVENT_DONE:
		take_last_word(row, event);
		break;
	default: /* the supervisor's own business */
		break;
	}
}

void report_error(struct report *report, size_t i, const struct error *err, enum note_level level)
{
	verdict_add(&report->rows[i].errors, err->kind);
	if (is_told(report, level))
		show_error(report, i, err->kind, err->text);
}

/* The others have said it all on standard output. */
static bool is_summarized(const struct account *account)
{
	return !account->inspect && (account->look == LOOK_NOT || account->look == LOOK_CHECK);
}

uint64_t report_new(const struct report *report)
{
	uint64_t all = 0;

	for (size_t i = 0; i < report->count; i++)
		all += report->rows[i].new < UINT32_MAX ? report->rows[i].new : UINT32_MAX;
	return all;
}

bool report_account(const struct report *report, size_t i, uint64_t *new, uint64_t *bytes)
{
	const struct row *row = &report->rows[i];

	*new = row->new;
	*bytes = row->bytes;
	return row->failed == 0 && verdict_is_empty(&row->errors);
}

void report_end(struct report *report, size_t i)
{
	struct row *row = &report->rows[i];
	bool wanted = !report->style.quiet && (report->style.terminal || report->style.verbose);

	row->running = false;
	report->stale = true;
	if (row->done && wanted && is_summarized(&report->accounts[i]))
		summarize(report, i);
}

int report_tick(struct report *report)
{
	uint64_t now = clock_ms(), wait = UINT64_MAX;
	size_t i, shown = 0;

	if (!wants_progress(report))
		return -1;
	for (i = 0; i < report->count; i++) {
		const struct row *row = &report->rows[i];

		if (row->running && now - row->begun >= SHOW_AFTER)
			shown++;
		else if (row->running && row->begun + SHOW_AFTER - now < wait)
			wait = row->begun + SHOW_AFTER - now;
	}
	if (shown == 0) {
		clear(report);
	} else if (report->stale || shown != report->drawn || terminal_width() != report->width) {
		if (now - report->drawn_at >= DRAW_EVERY) {
			report->width = terminal_width();
			draw(report, now, shown);
		} else if (report->drawn_at + DRAW_EVERY - now < wait) {
			wait = report->drawn_at + DRAW_EVERY - now;
		}
	}
	return wait == UINT64_MAX ? -1 : (int)wait;
}

void report_complain(struct report *report, const struct error *err)
{
	verdict_add(&report->complaints, err->kind);
	if (err->kind != ERR_STOP || report->style.verbose)
		say(report, "mailhaul: ", NULL, err->text);
}

void report_remark(struct report *report, const char *text)
{
	if (report->style.verbose)
		say(report, "mailhaul: ", NULL, text);
}

int report_close(struct report **report)
{
	struct report *r = *report;
	struct verdict all = r->complaints;
	size_t i;

	clear(r);
	for (i = 0; i < r->count; i++) {
		struct row *row = &r->rows[i];

		/* messages that failed without a word of why must not end in a status of 0 */
		if (row->failed && verdict_is_empty(&row->failures))
			verdict_add(&row->failures, ERR_TEMP);
		verdict_join(&all, verdict_is_empty(&row->errors) ? &row->failures : &row->errors);
	}
	free(r->rows);
	free(r);
	*report = NULL;
	return verdict_status(&all);
}

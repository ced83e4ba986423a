/* SPDX-License-Identifier: MIT */
/*
 * report.c - what people and machines read, and the exit status.
 *
 * Every line leaves in one write(2), so that lines of several programs on one terminal or in one
 * log do not mix.  Names and texts pass through printable(): they may hold a server's bytes.
 * Errors of writing to standard error are ignored, for there is nobody left to tell.
 *
 * Progress is display.c's, and errors and notes stand above it.  What goes to standard output takes
 * it away first; report_tick draws it again.
 *
 * In the exit status accounts count in their own order and not in the order of time, so that the
 * same failures always give the same status.
 *
 * Called by main and the supervisor; it never fails and never waits but for who reads it.
 */
#include "config.h"

#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "display.h"
#include "json.h"
#include "verdict.h"

#define SHOW_AFTER 1000 /* ms: what is over sooner needs no progress */
#define DRAW_EVERY 100  /* ms */
#define LOOK_EVERY 1000 /* ms: where nothing is heard, that shows as well */

/* What an account has come to. */
struct tally {
	uint64_t new, bytes, kept, deleted, failed;
};

/* One account, as far as we have heard of it. */
struct row {
	bool running, done;
	bool asking;             /* a command that may talk to a person runs for it */
	bool talks;              /* it prints what was asked for, and needs no progress */
	struct display_row seen;
	struct tally tally;      /* its last word */
	struct verdict errors;   /* of the account */
	struct verdict failures; /* of single messages */
	char *error;             /* the last one's text, for its object */
};

struct report {
	struct report_style style;
	const struct account *accounts; /* foreign */
	struct row *rows;
	size_t count;
	struct verdict complaints, late;
	int out_sys;               /* errno of the first failure to write to standard output */
	uint64_t begun;
	struct display display;
	struct display_row *lines; /* room for all */
	uint64_t drawn_at;
	bool stale;                /* something has changed since */
};

/* A worker's word for a kind is not taken on trust. */
static enum error_kind kind_of(const struct event *event)
{
	return event->error > ERR_NONE && event->error < ERR_KINDS ? (enum error_kind)event->error
	                                                           : ERR_BUG;
}

/* Prints PREFIX NAME ": " TEXT as one line on standard error, above what moves; or without NAME. */
static void say(struct report *report, const char *prefix, const char *name, const char *text)
{
	char shown_name[200], shown[4096], line[sizeof(shown_name) + sizeof(shown) + 32];
	int len;

	printable(shown_name, sizeof(shown_name), name ? name : "", name ? strlen(name) : 0);
	printable(shown, sizeof(shown), text, strlen(text));
	len = snprintf(line, sizeof(line), "%s%s%s%s\n", prefix, shown_name, name ? ": " : "", shown);
	if (len > 0)
		display_say(&report->display, line, (size_t)len);
}

/* errno is of the call that failed, and of no later one. */
static void judge_output(struct report *report, bool failed)
{
	if (failed && !report->out_sys)
		report->out_sys = errno;
}

void report_flush(struct report *report)
{
	judge_output(report, fflush(stdout) != 0);
}

void report_line(struct report *report, const char *text)
{
	char shown[8192];

	display_clear(&report->display);
	judge_output(report, puts(printable(shown, sizeof(shown), text, strlen(text))) == EOF);
	if (report->style.json) /* who reads it may be waiting for it */
		report_flush(report);
}

/* -- objects ------------------------------------------------------------------------------ */

struct object {
	struct json json;
	char text[4096];
};

/* name may be NULL. */
static void begin_object(struct object *o, const char *event, const char *name)
{
	json_begin(&o->json, o->text, sizeof(o->text), event, name);
}

static void end_object(struct report *report, struct object *o)
{
	json_end(&o->json);
	report_line(report, o->text);
}

static void add_verdict(struct object *o, const struct verdict *v)
{
	json_number(&o->json, "status", (uint64_t)verdict_status(v));
	json_text(&o->json, "result", verdict_word(v));
}

static void add_tally(struct object *o, const struct tally *tally, uint64_t begun)
{
	json_number(&o->json, "new", tally->new);
	json_number(&o->json, "bytes", tally->bytes);
	json_number(&o->json, "kept", tally->kept);
	json_number(&o->json, "deleted", tally->deleted);
	json_number(&o->json, "failed", tally->failed);
	json_thousandths(&o->json, "seconds", begun ? clock_ms() - begun : 0);
}

static void tell_error(struct report *report, const char *name, enum error_kind kind,
                       const char *text)
{
	struct verdict verdict = {0};
	struct object o;

	verdict_add(&verdict, kind);
	begin_object(&o, "error", name);
	add_verdict(&o, &verdict);
	json_text(&o.json, "text", text);
	end_object(report, &o);
}

static void tell_note(struct report *report, const char *name, uint32_t level, const char *text)
{
	static const char *const levels[] = {"warning", "info", "trace"};
	struct object o;

	begin_object(&o, "note", name);
	json_text(&o.json, "level", levels[level <= NOTE_TRACE ? level : NOTE_WARN]);
	json_text(&o.json, "text", text);
	end_object(report, &o);
}

/* What an account has come to: its own errors, then those of its messages. */
static struct verdict verdict_of(const struct row *row)
{
	struct verdict all = row->errors;

	verdict_join(&all, &row->failures);
	if (row->tally.failed && verdict_is_empty(&all))
		verdict_add(&all, ERR_TEMP); /* failed without a word of why: the status must not be 0 */
	return all;
}

static void tell_account(struct report *report, size_t i)
{
	const struct row *row = &report->rows[i];
	struct verdict verdict = verdict_of(row);
	struct object o;

	begin_object(&o, "account", report->accounts[i].name);
	add_verdict(&o, &verdict);
	add_tally(&o, &row->tally, row->seen.begun);
	if (row->error)
		json_text(&o.json, "error", row->error);
	end_object(report, &o);
}

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void tell_run(struct report *report, int status, const struct verdict *all)
{
	struct tally total = {0};
	struct object o;

	for (size_t i = 0; i < report->count; i++) {
		const struct tally *tally = &report->rows[i].tally;

		total.new = sum(total.new, tally->new);
		total.bytes = sum(total.bytes, tally->bytes);
		total.kept = sum(total.kept, tally->kept);
		total.deleted = sum(total.deleted, tally->deleted);
		total.failed = sum(total.failed, tally->failed);
	}
	begin_object(&o, "run", NULL);
	json_number(&o.json, "status", (uint64_t)status);
	json_text(&o.json, "result", status == 1 ? "no mail" : verdict_word(all));
	json_number(&o.json, "accounts", report->count);
	add_tally(&o, &total, report->begun);
	end_object(report, &o);
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
	const struct tally *tally = &report->rows[i].tally;
	struct str line = {.max = 512};
	char size[16];

	if (tally->new)
		(void)str_printf(&line, "%llu new (%s)", (unsigned long long)tally->new,
		                 display_size(size, tally->bytes));
	else if (!tally->failed && verdict_is_empty(&report->rows[i].errors))
		(void)str_puts(&line, "no new mail");
	add_clause(&line, tally->kept, "kept");
	add_clause(&line, tally->deleted, "deleted");
	add_clause(&line, tally->failed, "failed");
	if (report->rows[i].errors.stopped)
		(void)str_printf(&line, "%sstopped: the rest is on the server", line.len ? ", " : "");
	if (line.len)
		say(report, "", report->accounts[i].name, line.s);
	str_free(&line);
}

/* Whether an account's failure is printed: NOTE_INFO is only for who looks on.  An order to stop is
 * none to complain of: whoever gave it knows. */
static bool is_told(const struct report *report, enum error_kind kind, uint32_t level)
{
	const struct report_style *style = &report->style;

	return style->verbose || (kind != ERR_STOP && (level == NOTE_WARN || style->terminal));
}

static void show_error(struct report *report, size_t i, enum error_kind kind, uint32_t level,
                       const char *text)
{
	struct row *row = &report->rows[i];

	verdict_add(&row->errors, kind);
	if (report->style.json) {
		free(row->error);
		row->error = xstrdup(text);
		tell_error(report, report->accounts[i].name, kind, text);
	} else if (is_told(report, kind, level)) {
		say(report, "mailhaul: ", report->accounts[i].name, text);
	}
}

static void show_note(struct report *report, size_t i, const struct event *event)
{
	if (event->level != NOTE_WARN && !report->style.verbose)
		return;
	if (report->style.json)
		tell_note(report, report->accounts[i].name, event->level, event->text);
	else
		say(report, "mailhaul: ", report->accounts[i].name, event->text);
}

/* The text is "UID\nWHY". */
static void show_failure(struct report *report, size_t i, const struct event *event)
{
	const char *uid = event->text, *end = strchr(uid, '\n'), *why = end ? end + 1 : uid;
	size_t len = end ? (size_t)(end - uid) : 0;
	const char *name = report->accounts[i].name;
	bool again = event->level != NOTE_WARN;
	struct verdict verdict = {0};
	struct object o;

	verdict_add(&verdict, kind_of(event));
	verdict_join(&report->rows[i].failures, &verdict);
	if (report->style.json) {
		begin_object(&o, "failed", name);
		json_number(&o.json, "number", event->num);
		json_bytes(&o.json, "uid", uid, len, 1000);
		add_verdict(&o, &verdict);
		json_bool(&o.json, "again", again);
		json_text(&o.json, "text", why);
		end_object(report, &o);
	} else if (report->style.verbose || (!again && !verdict.stopped)) {
		char shown[80], line[sizeof(event->text) + 200];

		printable(shown, sizeof(shown), uid, len);
		snprintf(line, sizeof(line), "message %llu (uid %s): %s", (unsigned long long)event->num,
		         len ? shown : "none", why);
		say(report, "mailhaul: ", name, line);
	}
}

/* -- exported ----------------------------------------------------------------------------- */

struct report *report_open(const struct report_style *style)
{
	struct report *report = xcalloc(1, sizeof(*report));

	report->style = *style;
	report->begun = clock_ms();
	report->display.fd = STDERR_FILENO;
	return report;
}

void report_accounts(struct report *report, const struct account *accounts, size_t count)
{
	struct stat out;

	report->accounts = accounts;
	report->rows = xcalloc(count ? count : 1, sizeof(*report->rows));
	report->lines = xcalloc(count ? count : 1, sizeof(*report->lines));
	report->count = count;
	for (size_t i = 0; i < count; i++) /* mail is no place to draw in, nor is its reader's screen */
		if (accounts[i].target.to_stdout && !accounts[i].look &&
		    (fstat(STDOUT_FILENO, &out) == -1 || !S_ISREG(out.st_mode)))
			report->style.dumb = true;
}

void report_begin(struct report *report, size_t i)
{
	struct row *row = &report->rows[i];

	row->running = true;
	row->seen = (struct display_row){.name = report->accounts[i].name, .begun = clock_ms()};
}

/* What its progress is made of. */
static void take_progress(struct display_row *seen, const struct event *event)
{
	uint64_t now = clock_ms();

	if (event->kind == EVENT_PROGRESS) {
		display_advance(seen, event->num, event->bytes, now);
		return;
	}
	if (seen->since == 0)
		seen->since = seen->heard = now;
	seen->due = event->num;
	seen->octets = event->bytes;
}

void report_event(struct report *report, size_t i, const struct event *event)
{
	struct row *row = &report->rows[i];

	switch (event->kind) {
	case EVENT_NOTE:
		show_note(report, i, event);
		break;
	case EVENT_LINE:
		row->talks = true;
		report_line(report, event->text);
		break;
	case EVENT_ASKING:
		row->asking = event->num > 0;
		break;
	case EVENT_PLAN:
	case EVENT_PROGRESS:
		take_progress(&row->seen, event);
		report->stale = true;
		break;
	case EVENT_FAILED:
		show_failure(report, i, event);
		break;
	case EVENT_ERROR:
		show_error(report, i, kind_of(event), event->level, event->text);
		break;
	case EVENT_DONE:
		row->done = true;
		row->tally = (struct tally){.new = event->num, .bytes = event->bytes,
		                            .kept = event->kept, .deleted = event->deleted,
		                            .failed = event->failed};
		break;
	default: /* the supervisor's own business */
		break;
	}
}

void report_error(struct report *report, size_t i, const struct error *err, enum note_level level)
{
	show_error(report, i, err->kind, level, err->text);
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
		all = sum(all, report->rows[i].tally.new);
	return all;
}

bool report_account(const struct report *report, size_t i, uint64_t *new, uint64_t *bytes)
{
	const struct row *row = &report->rows[i];

	*new = row->tally.new;
	*bytes = row->tally.bytes;
	return row->tally.failed == 0 && verdict_is_empty(&row->errors);
}

void report_end(struct report *report, size_t i)
{
	struct row *row = &report->rows[i];
	bool wanted = !report->style.quiet && (report->style.terminal || report->style.verbose);

	row->running = false;
	report->stale = true;
	if (report->style.json)
		tell_account(report, i);
	else if (row->done && wanted && is_summarized(&report->accounts[i]))
		summarize(report, i);
}

static bool wants_progress(const struct report *report)
{
	const struct report_style *style = &report->style;

	return style->terminal && !style->dumb && !style->quiet && !style->json;
}

/* Gathers what is to be shown: who has been running for long.  *wait: in how many ms more will. */
static size_t gather(struct report *report, uint64_t now, uint64_t *wait)
{
	size_t shown = 0;

	for (size_t i = 0; i < report->count; i++) {
		const struct row *row = &report->rows[i];
		uint64_t due = row->seen.begun + SHOW_AFTER;

		if (row->running && row->asking)
			return 0;
		if (row->running && now >= due && !row->talks)
			report->lines[shown++] = row->seen;
		else if (row->running && now < due && due - now < *wait)
			*wait = due - now;
	}
	return shown;
}

int report_tick(struct report *report)
{
	uint64_t now = clock_ms(), wait = LOOK_EVERY, due;
	size_t shown;

	if (!wants_progress(report))
		return -1;
	shown = gather(report, now, &wait);
	if (shown == 0) {
		display_clear(&report->display);
		return (int)wait;
	}
	if (!report->display.shown || display_is_resized(&report->display))
		report->stale = true;
	due = report->drawn_at + (report->stale ? DRAW_EVERY : LOOK_EVERY);
	if (now >= due) {
		display_draw(&report->display, report->lines, shown, now);
		report->drawn_at = now;
		report->stale = false;
	} else if (due - now < wait) {
		wait = due - now;
	}
	return (int)wait;
}

void report_pause(struct report *report)
{
	display_clear(&report->display);
}

void report_complain(struct report *report, const char *account, const struct error *err)
{
	verdict_add(&report->complaints, err->kind);
	if (report->style.json)
		tell_error(report, account, err->kind, err->text);
	else if (err->kind != ERR_STOP || report->style.verbose)
		say(report, "mailhaul: ", NULL, err->text);
}

void report_complain_late(struct report *report, const struct error *err)
{
	struct verdict before = report->complaints;

	report_complain(report, NULL, err);
	report->complaints = before;
	verdict_add(&report->late, err->kind);
}

void report_remark(struct report *report, const char *text)
{
	if (report->style.verbose && report->style.json)
		tell_note(report, NULL, NOTE_INFO, text);
	else if (report->style.verbose)
		say(report, "mailhaul: ", NULL, text);
}

/* --check: that mail waits is sure, whatever else has failed. */
static int check_status(const struct report *report, int status)
{
	if (report->count == 0 || report->accounts[0].look != LOOK_CHECK)
		return status;
	if (report_new(report) > 0)
		return 0;
	return status ? status : 1;
}

/* Where it could not be written nobody can be told there.  Who shows a list to a program that has
 * read enough has lost nothing. */
static int end_output(struct report *report, int status)
{
	struct error err;

	errno = 0;
	judge_output(report, fflush(stdout) != 0 || ferror(stdout));
	if (!report->out_sys && !ferror(stdout))
		return status;
	errno = report->out_sys ? report->out_sys : EIO;
	error_sys(&err, ERR_IO, "standard output");
	report->style.json = false;
	if (report->out_sys != EPIPE || !report->style.shows)
		report_complain(report, NULL, &err);
	return error_exit_code(err.kind);
}

int report_close(struct report **report)
{
	struct report *r = *report;
	struct verdict all = r->complaints;
	int status;
	size_t i;

	display_free(&r->display);
	for (i = 0; i < r->count; i++) {
		struct verdict verdict = verdict_of(&r->rows[i]);

		verdict_join(&all, &verdict);
	}
	if (verdict_is_empty(&all))
		all = r->late;
	status = check_status(r, verdict_status(&all));
	if (r->style.json)
		tell_run(r, status, &all);
	status = end_output(r, status);
	for (i = 0; i < r->count; i++)
		free(r->rows[i].error);
	free(r->rows);
	free(r->lines);
	free(r);
	*report = NULL;
	return status;
}

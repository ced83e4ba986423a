/* SPDX-License-Identifier: MIT */
/*
 * status.c - what is known of an account: how its last runs ended, what is remembered, what will be
 * deleted or tried again, and when.
 *
 * Reads the journal without the lock, which it only looks at, and never writes, so unlike seen.c
 * it neither cuts a torn tail nor completes anything: it stops at the first line that is not
 * whole, and says so where more follows.
 */
#include "config.h"

#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "history.h"
#include "json.h"
#include "link.h"
#include "memory.h"
#include "plan.h"
#include "record.h"

#define MAX_TOLD 10 /* messages that wait for a try */

/* What the journal tells. */
struct tale {
	struct memory memory;
	bool damaged;
	bool locked; /* a run is under way */
};

struct teller {
	const struct account *account;
	int link;
	uint64_t now;
	bool known;               /* it was fetched once */
	uint64_t here, due, next; /* messages still there; those to go now; when the next will */
};

#define say(t, ...) link_line((t)->link, (t)->account->name, __VA_ARGS__)

/* "2026-11-30 14:05 UTC". */
static char *moment(char to[32], uint64_t when)
{
	time_t at = (time_t)when;
	struct tm tm;

	*to = '\0';
	if (when > UINT32_MAX || gmtime_r(&at, &tm) == NULL ||
	    strftime(to, 32, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		text_copy(to, 32, "a day far away");
	return to;
}

/* -- reading ------------------------------------------------------------------------------ */

/* The first record of a journal is the header, which is none of memory's. */
static void replay(struct tale *tale, FILE *file)
{
	char *line = xmalloc(RECORD_MAX + 1);
	struct record record;
	bool whole = true;

	while (whole && fgets(line, RECORD_MAX + 1, file) != NULL) {
		size_t len = strlen(line);

		whole = len > 0 && line[len - 1] == '\n' && record_decode(line, len - 1, &record) &&
		        (record.tag == 'V' || memory_apply(&tale->memory, &record));
	}
	tale->damaged = !whole && getc(file) != EOF;
	free(line);
}

/* 1; 0 where there is none; -1. */
static int read_journal(struct tale *tale, const char *dir, struct error *err)
{
	struct str path = {.max = 8192};
	FILE *file;
	int rc = 1;

	str_printf(&path, "%s/lock", dir);
	tale->locked = file_is_locked(path.s);
	str_cut(&path, 0);
	str_printf(&path, "%s/journal", dir);
	file = fopen(path.s, "re");
	if (file == NULL && errno == ENOENT)
		rc = 0;
	else if (file == NULL)
		rc = error_sys(err, ERR_IO, "cannot read %s", path.s);
	else
		replay(tale, file);
	if (file != NULL && ferror(file))
		rc = error_set(err, ERR_IO, "cannot read %s", path.s);
	if (file != NULL)
		fclose(file);
	str_free(&path);
	return rc;
}

/* -- telling ------------------------------------------------------------------------------ */

static void tell_runs(const struct teller *t, const struct history *h)
{
	char when[32], began[32];

	if (h->good_at > 0)
		say(t, "last success %s, %" PRIu64 " new", moment(when, h->good_at), h->fetched);
	else
		say(t, "no success is known");
	if (h->row > 0)
		say(t, "FAILING, %" PRIu64 " time%s in a row since %s, last %s: %s", h->row,
		    h->row == 1 ? "" : "s", moment(began, h->since), moment(when, h->bad_at), h->why);
	else if (h->bad_at > 0)
		say(t, "last error %s: %s", moment(when, h->bad_at), h->why);
	if (h->told == HISTORY_ONCE)
		say(t, "this was told without a terminal, and its end will be");
	else if (h->told == HISTORY_NOT_YET)
		say(t, "this was not told without a terminal yet: see complain_after");
}

/* Counts messages that were on the server when it was last asked. */
static void count_entries(struct teller *t, const struct memory *m)
{
	uint64_t keep = t->account->policy.keep;

	t->next = UINT64_MAX;
	for (size_t num = 0; num < m->set.count; num++) {
		const struct seen_entry *entry = uidset_at(&m->set, num);
		uint64_t end;

		if (entry == NULL || entry->missing > 0)
			continue;
		t->here++;
		end = keep == KEEP_FOREVER ? UINT64_MAX : entry->since + keep;
		t->due += end <= t->now;
		t->next = end > t->now && end < t->next ? end : t->next;
	}
}

static void tell_entries(const struct teller *t)
{
	char when[32];

	say(t, "%" PRIu64 " delivered and still on the server", t->here);
	if (t->due > 0)
		say(t, "%" PRIu64 " of them will be deleted there by the next run", t->due);
	if (t->next != UINT64_MAX)
		say(t, "%s deleted there by the first run after %s",
		    t->due > 0 ? "the next is" : "the first of them is", moment(when, t->next));
}

static void tell_failures(const struct teller *t, const struct memory *m)
{
	const struct uidset *failed = &m->tries.failed;
	char when[32], uid[80];
	size_t told = 0;

	for (size_t num = 0; num < failed->count && told < MAX_TOLD; num++) {
		const struct seen_entry *entry = uidset_at(failed, num);
		uint64_t next = entry != NULL ? entry->since + plan_pause(entry->missing) : 0;

		if (entry == NULL)
			continue;
		say(t, "failed %" PRIu64 " time%s, next try %s: uid %s", entry->missing,
		    entry->missing == 1 ? "" : "s", next > t->now ? moment(when, next) : "at the next run",
		    printable(uid, sizeof uid, entry->uid, entry->uid_len));
		told++;
	}
	if (failed->live > told)
		say(t, "... and %zu more", failed->live - told);
}

static void tell_memory(const struct teller *t, const struct tale *tale)
{
	const struct memory *m = &tale->memory;

	tell_entries(t);
	tell_failures(t, m);
	if (m->login.refused > 0)
		say(t, "the login was refused %" PRIu64 " time%s in a row", m->login.refused,
		    m->login.refused == 1 ? "" : "s");
	if (tale->damaged)
		say(t, "the journal is damaged, and this is not all: see --rebuild-state");
	else if (tale->locked)
		say(t, "a run is under way");
	else if (!intents_settled(&m->intents))
		say(t, "a run was interrupted: the next one completes it");
}

/* -- with --json -------------------------------------------------------------------------- */

static void send_object(const struct teller *t, struct json *json)
{
	json_end(json);
	link_line(t->link, "", "%s", json->to);
}

/* A moment, where there is one. */
static void add_moment(struct json *json, const char *key, uint64_t when)
{
	if (when > 0 && when != UINT64_MAX)
		json_number(json, key, when);
}

static void put_retries(const struct teller *t, const struct memory *m)
{
	const struct uidset *failed = &m->tries.failed;

	for (size_t num = 0; num < failed->count; num++) {
		const struct seen_entry *entry = uidset_at(failed, num);
		char text[LINK_TEXT];
		struct json json;

		if (entry == NULL)
			continue;
		json_begin(&json, text, sizeof text, "retry", t->account->name);
		json_number(&json, "failures", entry->missing);
		json_number(&json, "next_try", entry->since + plan_pause(entry->missing));
		json_bytes(&json, "uid", entry->uid, entry->uid_len, SIZE_MAX);
		send_object(t, &json);
	}
}

/* The error's text comes last and gets what room is left. */
static void put_all(const struct teller *t, const struct tale *tale, const struct history *h)
{
	char text[LINK_TEXT];
	struct json json;

	json_begin(&json, text, sizeof text, "status", t->account->name);
	json_bool(&json, "known", t->known);
	add_moment(&json, "last_success", h->good_at);
	json_number(&json, "last_new", h->fetched);
	json_number(&json, "failing", h->row);
	json_number(&json, "on_server", t->here);
	json_number(&json, "delete_due", t->due);
	add_moment(&json, "next_delete", t->next);
	json_number(&json, "logins_refused", tale->memory.login.refused);
	json_bool(&json, "damaged", tale->damaged);
	json_bool(&json, "under_way", tale->locked);
	json_bool(&json, "interrupted", !tale->locked && !intents_settled(&tale->memory.intents));
	if (h->row > 0) {
		add_moment(&json, "failing_since", h->since);
		json_bool(&json, "told", h->told != HISTORY_NOT_YET);
	}
	add_moment(&json, "last_error", h->bad_at);
	if (h->bad_at > 0)
		json_text(&json, "error", h->why);
	send_object(t, &json);
	put_retries(t, &tale->memory);
}

int status_run(const struct account *account, const char *state_dir, int link, struct error *err)
{
	struct teller t = {.account = account, .link = link, .now = (uint64_t)time(NULL)};
	struct tale tale = {0};
	struct history history;
	int rc = read_journal(&tale, state_dir, err);

	history_read(state_dir, &history);
	t.known = rc == 1 || history.good_at > 0 || history.bad_at > 0;
	count_entries(&t, &tale.memory);
	if (rc >= 0 && account->json) {
		put_all(&t, &tale, &history);
	} else if (rc >= 0 && !t.known) {
		say(&t, "never fetched");
	} else if (rc >= 0) {
		tell_runs(&t, &history);
		tell_memory(&t, &tale);
	}
	memory_free(&tale.memory);
	return rc == -1 ? -1 : 0;
}

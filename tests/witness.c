/* SPDX-License-Identifier: MIT */
/*
 * witness.c - says which messages are there.
 *
 * A text counts as a message only if it is that message's, byte for byte; in front of it a
 * Received: header of three lines may stand, which is not looked at, and what mailhaul says of a
 * message of which that is the header alone.  In an mbox each line that
 * begins with "From " begins a message (mboxrd quotes all others), must stand behind an empty line
 * or at the start, and an empty line ends its message.  More of these is no damage, but counted.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "witness.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"

struct text {
	char *p;
	size_t len;
};

static struct text plain[MAX_MESSAGES], quoted[MAX_MESSAGES];
static unsigned messages;

/* The mboxrd form: one ">" more before each line of ">"s and "From ". */
static struct text quote(struct text from)
{
	struct text to = {malloc(2 * from.len + 2), 0};
	bool start = true;

	if (!to.p)
		abort();
	for (size_t i = 0; i < from.len; i++) {
		size_t marks = 0;

		while (start && i + marks < from.len && from.p[i + marks] == '>')
			marks++;
		if (start && from.len - i - marks >= 5 && memcmp(from.p + i + marks, "From ", 5) == 0)
			to.p[to.len++] = '>';
		to.p[to.len++] = from.p[i];
		start = from.p[i] == '\n';
	}
	return to;
}

unsigned witness_learn(const char *dir)
{
	for (unsigned i = 0; i < messages; i++) {
		free(plain[i].p);
		free(quoted[i].p);
	}
	for (messages = 0; messages < MAX_MESSAGES; messages++) {
		char path[4200];

		snprintf(path, sizeof path, "%s/%u", dir, messages + 1);
		plain[messages].p = read_file(path, &plain[messages].len);
		if (!plain[messages].p)
			break;
		quoted[messages] = quote(plain[messages]);
	}
	return messages;
}

const char *witness_foreign(unsigned number)
{
	static char text[200];

	snprintf(text, sizeof text,
	         "From other@example.org Thu Jan  1 00:00:00 1970\nSubject: foreign %u\n\n"
	         "Text %u.\n>From here on it is quoted.\n\n", number, number);
	return text;
}

/* -- texts -------------------------------------------------------------------------------- */

static void find_odd(struct witness *w, const char *why, const char *where, struct text t)
{
	if (w->odd++ == 0)
		snprintf(w->what, sizeof w->what, "%.120s: %.40s (%zu bytes): %.60s", where, why,
		         t.len, t.p);
}

static struct text without_field(struct text t, const char *name, int lines)
{
	const char *end = t.p;
	size_t len = strlen(name);

	if (t.len < len || memcmp(t.p, name, len) != 0)
		return t;
	for (int line = 0; line < lines && end; line++) {
		end = memchr(end, '\n', t.len - (size_t)(end - t.p));
		end = end ? end + 1 : NULL;
	}
	if (end) {
		t.len -= (size_t)(end - t.p);
		t.p += end - t.p;
	}
	return t;
}

static struct text without_received(struct text t)
{
	return without_field(without_field(t, "Received: from ", 3), "X-Mailhaul-Partial: ", 2);
}

static bool count_message(struct witness *w, const struct text *texts, struct text t)
{
	t = without_received(t);
	for (unsigned i = 0; i < messages; i++) {
		if (texts[i].len == t.len && memcmp(texts[i].p, t.p, t.len) == 0) {
			w->copies[i]++;
			return true;
		}
	}
	return false;
}

static void take_file(struct witness *w, const char *path)
{
	struct text t;

	t.p = read_file(path, &t.len);
	if (t.p && !count_message(w, plain, t))
		find_odd(w, "is no whole message", path, t);
	free(t.p);
}

void witness_files(struct witness *w, const char *dir)
{
	DIR *stream = opendir(dir);
	struct dirent *e;
	char path[4200];

	while (stream && (e = readdir(stream))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		take_file(w, path);
	}
	if (stream)
		closedir(stream);
}

void witness_maildir(struct witness *w, const char *maildir)
{
	char path[4200];

	snprintf(path, sizeof path, "%s/new", maildir);
	witness_files(w, path);
	snprintf(path, sizeof path, "%s/cur", maildir);
	witness_files(w, path);
}

/* -- mbox --------------------------------------------------------------------------------- */

/* Where the next message begins: behind from, or the end. */
static const char *next_from(const char *from, const char *end)
{
	const char *at = from;

	while ((at = memmem(at, (size_t)(end - at), "\nFrom ", 6)))
		return at + 1;
	return end;
}

/* The last one may lack its line end, if its writer was as careless. */
static bool count_foreign(struct witness *w, struct text t, bool last)
{
	for (unsigned i = 0; i < MAX_FOREIGN; i++) {
		const char *text = strchr(witness_foreign(i), '\n') + 1;
		size_t len = strlen(text) - 1; /* the empty line is not the mail's */

		if ((t.len == len || (last && t.len == len - 1)) && memcmp(t.p, text, t.len) == 0) {
			w->foreign[i]++;
			return true;
		}
	}
	return false;
}

/* One message of an mbox, its From_ line in front. */
static void take_part(struct witness *w, const char *mbox, struct text t, bool last)
{
	char *body = memchr(t.p, '\n', t.len);
	struct text whole = t;

	if (!body) {
		find_odd(w, "ends in a From_ line", mbox, t);
		return;
	}
	t.len -= (size_t)(body + 1 - t.p);
	t.p = body + 1;
	if (t.len >= 2 && t.p[t.len - 1] == '\n' && t.p[t.len - 2] == '\n')
		t.len--; /* the empty line behind it */
	else if (!last)
		find_odd(w, "no empty line behind it", mbox, whole);
	for (;;) {
		if (count_message(w, quoted, t) || count_foreign(w, t, last))
			return;
		if (t.len < 2 || t.p[t.len - 1] != '\n' || t.p[t.len - 2] != '\n')
			break;
		w->blanks++;
		t.len--;
	}
	find_odd(w, "is no whole message", mbox, whole);
}

void witness_mbox(struct witness *w, const char *mbox)
{
	size_t len;
	char *text = read_file(mbox, &len), *at = text, *end = text + len;

	if (!text)
		return;
	for (; at < end && *at == '\n'; at++)
		w->blanks++;
	if (at < end && strncmp(at, "From ", 5) != 0)
		find_odd(w, "does not begin with From_", mbox, (struct text){at, (size_t)(end - at)});
	while (at < end) {
		const char *next = next_from(at, end);

		take_part(w, mbox, (struct text){at, (size_t)(next - at)}, next == end);
		at += next - at;
	}
	free(text);
}

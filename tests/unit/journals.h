/* SPDX-License-Identifier: MIT */
/*
 * journals.h - what the tests of the journal share: a directory for it, short ways to use it, and
 * all that it knows as text.
 */
#ifndef JOURNALS_H
#define JOURNALS_H

#include "seen.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "tap.h"

#define RUN "0123456789ab"

/* dir is the journal's; copies are opened in other. */
static char top[64], dir[80], other[80];

/* -- files -------------------------------------------------------------------------------- */

static inline const char *in(const char *where, const char *name)
{
	static char path[2][128];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof path[turn], "%s/%s", where, name);
	return path[turn];
}

static inline void put_file(const char *where, const char *name, const char *bytes, size_t len)
{
	struct error err = {0};
	int fd = open(in(where, name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd == -1 || file_write(fd, bytes, len, name, &err) == -1)
		OK(false, "a file for the test is written");
	close(fd);
}

static inline char *get_file(const char *where, const char *name, size_t *len)
{
	static char bytes[1 << 21];
	int fd = open(in(where, name), O_RDONLY);
	ssize_t n = read(fd, bytes, sizeof bytes - 1);

	close(fd);
	*len = n > 0 ? (size_t)n : 0;
	bytes[*len] = '\0';
	return bytes;
}

static inline off_t size_of(const char *where, const char *name)
{
	struct stat st;

	return stat(in(where, name), &st) == 0 ? st.st_size : -1;
}

static inline void clear(const char *where)
{
	unlink(in(where, "journal"));
	unlink(in(where, "journal.new"));
	unlink(in(where, "lock"));
	rmdir(where);
}

/* -- the journal, shortly ----------------------------------------------------------------- */

static struct error err;

static inline struct seen *open_seen(const char *where)
{
	struct seen *seen;

	err = (struct error){0};
	return seen_open(&seen, where, false, &err) == 0 ? seen : NULL;
}

static inline struct seen *fresh(void)
{
	clear(dir);
	return open_seen(dir);
}

static inline struct wire_span span(const char *text)
{
	return (struct wire_span){text, strlen(text)};
}

static inline struct spool spool_of(const char *uid, uint64_t octets, enum spool_fate fate)
{
	static unsigned count;
	struct spool spool = {.uid = span(uid), .octets = octets, .fate = fate};

	snprintf(spool.token, sizeof spool.token, RUN "%012x", ++count);
	snprintf(spool.place, sizeof spool.place, "place of %u", count);
	return spool;
}

static inline void add(struct seen *seen, const char *uid, uint64_t octets, uint64_t since)
{
	struct spool spool = spool_of(uid, octets, SPOOL_SAFE);

	if (seen_settle(seen, &spool, 1, since, false, &err) == -1)
		OK(false, err.text);
}

static const char *const uids[] = {
	"a", "b", "-", "%", "a b\t\n", "\xff\xfe", "UID1-1795295408", "zz",
};

static inline int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* All that the journal knows, as text: past deliveries, then entries of the UIDs above, in an
 * order that does not depend on how they came to be. */
static inline void show(struct seen *seen, struct str *to)
{
	struct spool_past *past;
	size_t n = seen_pasts(seen, &past);
	char sorted[512][64];

	for (size_t p = 0; p < n; p++) {
		str_printf(to, "%s %s %s:", past[p].kind, past[p].path, past[p].run);
		for (size_t i = 0; i < past[p].count; i++)
			str_printf(to, " %s@%s", past[p].intents[i].token, past[p].intents[i].place);
		str_puts(to, "\n");
	}
	seen_take_begin(seen);
	for (size_t u = 0; u < sizeof uids / sizeof *uids; u++) {
		const struct seen_entry *entry;
		size_t found = 0;

		while ((entry = seen_take(seen, span(uids[u]), 0, false)) != NULL && found < 512)
			snprintf(sorted[found++], sizeof sorted[0], "%zu/%llu@%llu!%llu\n", u,
			         (unsigned long long)entry->octets, (unsigned long long)entry->since,
			         (unsigned long long)entry->missing);
		qsort(sorted, found, sizeof sorted[0], by_text);
		for (size_t i = 0; i < found; i++)
			str_puts(to, sorted[i]);
	}
	str_printf(to, "= %zu\n", seen_count(seen));
}

/* Good until the fourth call after this one. */
static inline char *shown(struct seen *seen)
{
	static struct str text[4];
	static int turn;
	struct str *to = &text[turn = (turn + 1) % 4];

	to->max = 1 << 20;
	str_cut(to, 0);
	show(seen, to);
	return to->s;
}

/* What another process would find here, if this one died now. */
static inline const char *shown_after_crash(void)
{
	size_t len;
	char *bytes = get_file(dir, "journal", &len);
	struct seen *copy;
	const char *text;

	file_mkdirs(other, &err);
	put_file(other, "journal", bytes, len);
	copy = open_seen(other);
	text = copy != NULL ? shown(copy) : err.text;
	seen_close(&copy, false);
	clear(other);
	return text;
}

/* -- begin and end ------------------------------------------------------------------------ */

static inline void journals_begin(const char *name)
{
	const char *tmp = getenv("TMPDIR");

	if (tmp == NULL || strlen(tmp) > 30)
		tmp = "/tmp";
	snprintf(top, sizeof top, "%s/%s.XXXXXX", tmp, name);
	if (mkdtemp(top) == NULL)
		exit(1);
	snprintf(dir, sizeof dir, "%s/state/work", top);
	snprintf(other, sizeof other, "%s/copy", top);
}

static inline int journals_end(void)
{
	clear(dir);
	clear(other);
	rmdir(in(top, "state"));
	OK(rmdir(top) == 0, "nothing is left in the directory");
	return tap_end();
}

#endif

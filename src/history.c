/* SPDX-License-Identifier: MIT */
/*
 * history.c - how an account's last runs ended, and what of it is worth a word.
 *
 *     "v2" SP GOOD_AT SP FETCHED SP BAD_AT SP ROW SP SINCE SP TOLD SP WHY LF
 *
 * An older form has neither "v2" nor SINCE nor TOLD.  Not in the journal: a run that finds nothing
 * new need not write that, and what stands here may be lost.  Two that write at the same time can
 * spoil it, no more.
 *
 * An account that has never worked has no outage but a mistake in its configuration, which looks
 * like one: its first failure is told at once.
 *
 * Nothing fails: a line that is not as it should be is as none.  Called by worker.c and status.c.
 */
#include "config.h"

#include "history.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "account.h"
#include "file.h"

#define MAX_LINE 1024
#define FIELDS 6
#define OLD_FIELDS 4
#define MINUTE 60u
#define HOUR 3600u
#define DAY 86400u

/* -- the file ----------------------------------------------------------------------------- */

static int open_at(const char *dir, int flags)
{
	struct str path = {.max = 8192};
	int fd = -1;

	if (str_printf(&path, "%s/last", dir) == 0)
		fd = open(path.s, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
	str_free(&path);
	return fd;
}

static bool decode(const char *line, size_t len, struct history *h)
{
	uint64_t *const fields[FIELDS] = {&h->good_at, &h->fetched, &h->bad_at,
	                                  &h->row,     &h->since,   &h->told};
	bool old = len < 3 || memcmp(line, "v2 ", 3) != 0;

	if (len == 0 || line[--len] != '\n')
		return false;
	if (!old) {
		line += 3;
		len -= 3;
	}
	for (size_t i = 0; i < (old ? OLD_FIELDS : FIELDS); i++) {
		const char *end = memchr(line, ' ', len);

		if (end == NULL || !number_parse(line, (size_t)(end - line), UINT32_MAX, fields[i]))
			return false;
		len -= (size_t)(end + 1 - line);
		line = end + 1;
	}
	if (old)
		h->since = h->bad_at;
	printable(h->why, sizeof h->why, line, len);
	return true;
}

void history_read(const char *dir, struct history *h)
{
	int fd = open_at(dir, O_RDONLY | O_NONBLOCK);
	char line[MAX_LINE];
	ssize_t len = fd != -1 ? read(fd, line, sizeof line) : -1;

	*h = (struct history){0};
	if (len > 0 && !decode(line, (size_t)len, h))
		*h = (struct history){0};
	if (fd != -1)
		close(fd);
}

/* False where it could not be written. */
static bool keep(const char *dir, const struct history *h)
{
	struct str line = {.max = MAX_LINE};
	struct error ignored;
	int fd = open_at(dir, O_WRONLY | O_CREAT);
	bool kept = false;

	if (fd == -1)
		return false;
	str_printf(&line, "v2 %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
	           " %s\n", h->good_at, h->fetched, h->bad_at, h->row, h->since, h->told, h->why);
	if (line.len > 0 && file_write_at(fd, line.s, line.len, 0, "last", &ignored) == 0)
		kept = ftruncate(fd, (off_t)line.len) == 0;
	close(fd);
	str_free(&line);
	return kept;
}

/* -- what is told ------------------------------------------------------------------------- */

/* "40 s", "5 min", "2 h 10 min", "3 d 4 h". */
static char *span_text(char to[32], uint64_t s)
{
	if (s < MINUTE)
		snprintf(to, 32, "%u s", (unsigned)s);
	else if (s < HOUR)
		snprintf(to, 32, "%u min", (unsigned)(s / MINUTE));
	else if (s < DAY)
		snprintf(to, 32, "%u h %u min", (unsigned)(s / HOUR), (unsigned)(s % HOUR / MINUTE));
	else
		snprintf(to, 32, "%u d %u h", (unsigned)(s / DAY), (unsigned)(s % DAY / HOUR));
	return to;
}

/* The clock may have been set back. */
static uint64_t lasted(const struct history *h, uint64_t now)
{
	return now > h->since ? now - h->since : 0;
}

/* A failure is counted in; is it the one to be told? */
static bool is_ripe(const struct history *h, uint64_t after, uint64_t now)
{
	if (h->good_at == 0)
		return true;
	if (after & COMPLAIN_TIME)
		return lasted(h, now) >= (after & ~COMPLAIN_TIME);
	return h->row >= after;
}

static enum history_news count_success(struct history *h, uint64_t fetched, uint64_t now)
{
	bool over = h->told == HISTORY_ONCE;

	h->good_at = now;
	h->fetched = fetched < UINT32_MAX ? fetched : UINT32_MAX;
	h->row = 0;
	h->told = HISTORY_EACH;
	return over ? HISTORY_OVER : HISTORY_SILENT;
}

enum history_news history_count(struct history *h, const struct error *err, uint64_t fetched,
                                uint64_t after, uint64_t now)
{
	bool watched = after == HISTORY_WATCHED;
	bool outage = err != NULL && (err->outage || error_is_transient(err->kind));

	if (err == NULL)
		return count_success(h, fetched, now);
	if (err->waiting)
		return after == 0 || watched ? HISTORY_FAILED : HISTORY_SILENT;
	h->since = h->row == 0 ? now : h->since;
	h->bad_at = now;
	h->row += h->row < UINT32_MAX;
	text_copy(h->why, sizeof h->why, err->text);
	if (after == 0 || !outage) {
		h->told = h->told == HISTORY_ONCE ? HISTORY_ONCE : HISTORY_EACH;
		return HISTORY_FAILED;
	}
	if (h->told == HISTORY_ONCE || watched) {
		h->told = h->told == HISTORY_ONCE ? HISTORY_ONCE : HISTORY_NOT_YET;
		return watched ? HISTORY_FAILED : HISTORY_SILENT;
	}
	h->told = is_ripe(h, after, now) ? HISTORY_ONCE : HISTORY_NOT_YET;
	return h->told == HISTORY_ONCE ? HISTORY_OUTAGE : HISTORY_SILENT;
}

/* What is told of h, which stands as it was before in the end of an outage. */
static void tell(char text[HISTORY_TEXT], enum history_news news, const struct history *h,
                 uint64_t now)
{
	char span[32];

	span_text(span, lasted(h, now));
	if (news == HISTORY_OVER)
		snprintf(text, HISTORY_TEXT, "works again after %" PRIu64 " failure%s in %s; the last was: "
		         "%s", h->row, h->row == 1 ? "" : "s", span, h->why);
	else if (h->row > 1)
		snprintf(text, HISTORY_TEXT, "%s (failed %" PRIu64 " times in %s; told again only when it "
		         "works)", h->why, h->row, span);
	else
		snprintf(text, HISTORY_TEXT, "%s (told again only when it works)", h->why);
}

enum history_news history_add(const char *dir, const struct error *err, uint64_t fetched,
                              uint64_t after, uint64_t now, char text[HISTORY_TEXT])
{
	struct history before, h;
	enum history_news news;

	history_read(dir, &before);
	h = before;
	news = history_count(&h, err, fetched, after, now);
	if (!(err != NULL && err->waiting) && !keep(dir, &h) && err != NULL)
		news = HISTORY_FAILED;
	if (news == HISTORY_OVER || news == HISTORY_OUTAGE)
		tell(text, news, news == HISTORY_OVER ? &before : &h, now);
	else
		text_copy(text, HISTORY_TEXT, err != NULL ? err->text : "");
	return news;
}

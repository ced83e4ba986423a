/* SPDX-License-Identifier: MIT */
/*
 * mboxplace.c - decides about bytes of an mbox: whose they are, and whether they are all there.
 *
 * Between a crash and the next run anybody may have written to the mbox, and its device may have
 * got another number.  A region of the same inode that still is what we left, each byte ours or a
 * newline of the reservation, is filled from the stage.  Where the file ends within the region in
 * nothing but newlines, the reservation was not finished: it is cut off.  Else the file was
 * rewritten, and the token in the Received: header finds the message, which counts if its body is
 * whole.  What is not found was never delivered, or is torn: it is fetched again, for a second
 * copy is better than none.
 *
 * Nothing is written or cut where the bytes are not proved to be ours.  All of it can be done
 * again after a crash in the middle.  Called by deliver_mbox.c, with the mbox locked.
 */
#include "config.h"

#include "mboxplace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "mark.h"

#define CHUNK 32768 /* bytes handled at a time */

static const char stage_name[] = "the stage file"; /* nobody could do anything with its path */

/* -- looking at files --------------------------------------------------------------------- */

/* Reads len bytes at `at`, or up to the end of the file.  Returns how many, or -1. */
static ssize_t read_at(int fd, char *to, size_t len, uint64_t at, const char *what,
                       struct error *err)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, to + got, len - got, (off_t)(at + got));

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return error_sys(err, ERR_IO, "cannot read %s", what);
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static int stat_of(int fd, const char *what, struct stat *st, struct error *err)
{
	return fstat(fd, st) == -1 ? error_sys(err, ERR_IO, "%s", what) : 0;
}

/* A message's fingerprint, as spool_end makes it: by it a region is known to be whole and ours when
 * the stage is no longer there to compare.  A short read gives another one. */
static int mark_of(int fd, uint64_t at, uint64_t len, const char *what, uint64_t *mark,
                   struct error *err)
{
	struct mark sum = {.body = true};
	char bytes[CHUNK];

	for (uint64_t done = 0; done < len; done += CHUNK) {
		size_t n = len - done < CHUNK ? (size_t)(len - done) : CHUNK;
		ssize_t got = read_at(fd, bytes, n, at + done, what, err);

		if (got == -1)
			return -1;
		mark_add(&sum, bytes, (size_t)got);
	}
	*mark = mark_end(&sum);
	return 0;
}

/* -- before it is written ----------------------------------------------------------------- */

int mboxplace_begin(struct mboxplace *p, int mbox, const char *path, uint64_t *base,
                    struct error *err)
{
	char tail[2] = "\n\n"; /* an empty file needs no empty line */
	struct stat st;
	size_t n;

	if (stat_of(mbox, path, &st, err) == -1)
		return -1;
	*base = (uint64_t)st.st_size;
	n = *base < 2 ? (size_t)*base : 2;
	if (read_at(mbox, tail + 2 - n, n, *base - n, path, err) == -1)
		return -1;
	*p = (struct mboxplace){.ino = st.st_ino};
	p->start = p->at = *base + (tail[1] != '\n' ? 2 : tail[0] != '\n' ? 1 : 0);
	return 0;
}

void mboxplace_write(struct mboxplace *p, struct spool *spool)
{
	const uint64_t numbers[] = {p->ino, p->start, p->at, spool->size, spool->at, spool->sum};
	enum { N = sizeof numbers / sizeof *numbers };
	char *to = spool->place;

	_Static_assert(N * (NUMBER_DIGITS + 1) <= sizeof spool->place, "they fit, with a : each");
	for (size_t i = 0; i < N; i++) {
		to = number_put(to, numbers[i]);
		*to++ = ':';
	}
	to[-1] = '\0';
	p->at += spool->size;
}

/* -- after a crash ------------------------------------------------------------------------ */

/* What the mbox holds of a message. */
enum found {
	FOUND_NOT,   /* something else */
	FOUND_HOLES, /* nothing but its bytes and newlines */
	FOUND_WHOLE
};

/* An intent and what has been found out about it. */
struct claim {
	struct spool_intent *intent;
	struct mboxplace place;
	bool staged; /* the stage has its bytes */
	enum found found;
};

struct settler {
	const char *path, *run;
	int mbox, stage; /* the stage is -1 where it is gone */
	struct claim *claims;
	size_t count;
};

/* Compares len bytes of the mbox with the stage's. */
static int compare(const struct settler *s, uint64_t at, uint64_t stage, uint64_t len,
                   enum found *found, struct error *err)
{
	char theirs[CHUNK], ours[CHUNK];

	*found = FOUND_WHOLE;
	for (uint64_t done = 0; done < len; done += CHUNK) {
		size_t n = len - done < CHUNK ? (size_t)(len - done) : CHUNK;
		ssize_t a = read_at(s->mbox, theirs, n, at + done, s->path, err);
		ssize_t b = a == -1 ? -1 : read_at(s->stage, ours, n, stage + done, stage_name, err);

		if (b == -1)
			return -1;
		if ((size_t)a != n || (size_t)b != n)
			*found = FOUND_NOT;
		for (size_t i = 0; i < n && *found != FOUND_NOT; i++)
			if (theirs[i] != ours[i])
				*found = theirs[i] == '\n' ? FOUND_HOLES : FOUND_NOT;
		if (*found == FOUND_NOT)
			return 0;
	}
	return 0;
}

/* 1: the words stand at *at, first behind from; 0: nowhere. */
static int find(int fd, uint64_t from, const char *words, const char *what, uint64_t *at,
                struct error *err)
{
	size_t len = strlen(words);
	char bytes[CHUNK], *hit;

	for (;;) {
		ssize_t n = read_at(fd, bytes, CHUNK, from, what, err);

		if (n == -1)
			return -1;
		hit = memmem(bytes, (size_t)n, words, len);
		if (hit != NULL) {
			*at = from + (uint64_t)(hit - bytes);
			return 1;
		}
		if (n < CHUNK)
			return 0;
		from += CHUNK - (len - 1);
	}
}

/* Looks at the region itself. */
static int look(const struct settler *s, struct claim *c, const struct stat *st, struct error *err)
{
	const struct mboxplace *p = &c->place;
	struct stat staged = {0};
	uint64_t mark = 0;

	if (s->stage >= 0 && stat_of(s->stage, stage_name, &staged, err) == -1)
		return -1;
	if (s->stage >= 0 && p->stage + p->len <= (uint64_t)staged.st_size) {
		if (mark_of(s->stage, p->stage, p->len, stage_name, &mark, err) == -1)
			return -1;
		c->staged = mark == p->mark;
	}
	if (p->ino != st->st_ino || p->at + p->len > (uint64_t)st->st_size)
		return 0;
	if (c->staged)
		return compare(s, p->at, p->stage, p->len, &c->found, err);
	if (mark_of(s->mbox, p->at, p->len, s->path, &mark, err) == -1)
		return -1;
	c->found = mark == p->mark ? FOUND_WHOLE : FOUND_NOT;
	return 0;
}

/* The mail whose header holds a token at `at`: is its body ours?  Its header may have changed,
 * for readers keep their flags there, and the empty line at the end is not the mail's. */
static int compare_body(const struct settler *s, struct claim *c, uint64_t at, struct error *err)
{
	uint64_t theirs, ours, end = c->place.stage + c->place.len - 1;
	int rc = find(s->mbox, at, "\n\n", s->path, &theirs, err);

	if (rc == 1)
		rc = find(s->stage, c->place.stage, "\n\n", stage_name, &ours, err);
	if (rc != 1)
		return rc;
	ours += 2;
	return compare(s, theirs + 2, ours, ours < end ? end - ours : 0, &c->found, err);
}

static bool is_of(const struct claim *c, const struct mboxplace *group)
{
	return c->place.ino == group->ino && c->place.start == group->start;
}

/* Looks for the messages of a group anywhere: the mbox was rewritten.  Tokens begin with the run's
 * digits, so one look at the file finds all.  Without the stage nobody could tell a whole mail from
 * a torn one: it is fetched again, for a second copy is better than none. */
static int search(const struct settler *s, const struct mboxplace *group, struct error *err)
{
	uint64_t at = 0;
	int rc = 0;

	while (s->stage >= 0 && (rc = find(s->mbox, at, s->run, s->path, &at, err)) == 1) {
		char token[SPOOL_TOKEN + 1] = "";

		if (read_at(s->mbox, token, SPOOL_TOKEN, at, s->path, err) == -1)
			return -1;
		for (size_t i = 0; i < s->count; i++) {
			struct claim *c = &s->claims[i];

			if (is_of(c, group) && c->staged && c->found != FOUND_WHOLE &&
			    strcmp(c->intent->token, token) == 0 && compare_body(s, c, at, err) == -1)
				return -1;
		}
		at++;
	}
	for (size_t i = 0; i < s->count; i++)
		if (is_of(&s->claims[i], group))
			s->claims[i].intent->fate =
				s->claims[i].found == FOUND_WHOLE ? SPOOL_SAFE : SPOOL_VOID;
	return rc;
}

/* Every byte of the region is ours or a newline we reserved: brings what is missing. */
static int fill_holes(const struct settler *s, const struct mboxplace *group, struct error *err)
{
	for (size_t i = 0; i < s->count; i++) {
		struct claim *c = &s->claims[i];
		const struct mboxplace *p = &c->place;

		if (!is_of(c, group))
			continue;
		if (c->found == FOUND_HOLES && file_copy(s->stage, (off_t)p->stage, s->mbox,
		                                         (off_t)p->at, p->len, s->path, err) == -1)
			return -1;
		c->intent->fate = SPOOL_SAFE;
	}
	return 0;
}

/* 1: the file ended within the region, in nothing but newlines, and has been cut where the region
 * begins.  What stays must end in an empty line, as it did then: else the file was shifted. */
static int cut_reserved(const struct settler *s, uint64_t start, uint64_t size, struct error *err)
{
	char bytes[CHUNK];
	uint64_t at = start < 2 ? 0 : start - 2;

	while (at < size) {
		ssize_t n = read_at(s->mbox, bytes, CHUNK, at, s->path, err);

		if (n <= 0)
			return (int)n;
		for (ssize_t i = 0; i < n; i++)
			if (bytes[i] != '\n')
				return 0;
		at += (uint64_t)n;
	}
	if (ftruncate(s->mbox, (off_t)start) == -1)
		return error_sys(err, ERR_IO, "cannot cut %s", s->path);
	return 1;
}

/* Goes behind newlines, and before end behind zeros, too. */
static int skip_blank(const struct settler *s, uint64_t *at, uint64_t end, bool *zeros,
                      struct error *err)
{
	char bytes[CHUNK];
	ssize_t n, i;

	do {
		n = read_at(s->mbox, bytes, CHUNK, *at, s->path, err);
		for (i = 0; i < n && (bytes[i] == '\n' || (bytes[i] == '\0' && *at + (uint64_t)i < end));
		     i++)
			*zeros = *zeros || bytes[i] == '\0';
		*at += n == -1 ? 0 : (uint64_t)i;
	} while (n > 0 && i == n);
	return n == -1 ? -1 : 0;
}

/* A power cut in the reservation can leave a file that has grown but whose bytes never reached the
 * disk: there are zeros.  From the two newlines before it on the region is newlines and zeros then,
 * and the file ends, or another program's mail begins: so the zeros are newlines that got lost.
 * Anything else is not what we left, and is let be.  Synced, as a reservation is. */
static int mend_reserved(const struct settler *s, uint64_t start, uint64_t end, struct error *err)
{
	char bytes[CHUNK] = "";
	uint64_t at = start < 2 ? 0 : start - 2, stop = at;
	bool zeros = false;
	ssize_t n;

	if (skip_blank(s, &stop, end, &zeros, err) == -1 ||
	    (n = read_at(s->mbox, bytes, 5, stop, s->path, err)) == -1)
		return -1;
	if (!zeros || (n > 0 && memcmp(bytes, "From ", 5) != 0))
		return 0;
	memset(bytes, '\n', CHUNK);
	if (stop > end)
		stop = end;
	for (; at < stop; at += (uint64_t)n) {
		n = stop - at < CHUNK ? (ssize_t)(stop - at) : CHUNK;
		if (file_write_at(s->mbox, bytes, (size_t)n, (off_t)at, s->path, err) == -1)
			return -1;
	}
	return file_sync(s->mbox, s->path, err);
}

/* Where the group ends. */
static uint64_t end_of(const struct settler *s, const struct mboxplace *group)
{
	uint64_t end = group->start;

	for (size_t i = 0; i < s->count; i++) {
		const struct claim *c = &s->claims[i];

		if (is_of(c, group) && c->place.at + c->place.len > end)
			end = c->place.at + c->place.len;
	}
	return end;
}

/* Decides about all open messages of one group.  Writing needs the whole region to be proved ours
 * from its start on: a stretch of newlines alone might be part of somebody else's mail. */
static int judge_group(const struct settler *s, const struct mboxplace *group, struct error *err)
{
	struct stat st;
	uint64_t size, end = end_of(s, group);
	bool proved = true, from_start = false;
	int rc = 0;

	if (stat_of(s->mbox, s->path, &st, err) == -1)
		return -1;
	size = (uint64_t)st.st_size;
	if (s->stage >= 0 && group->ino == st.st_ino && mend_reserved(s, group->start, end, err) == -1)
		return -1;
	for (size_t i = 0; i < s->count; i++) {
		struct claim *c = &s->claims[i];

		if (!is_of(c, group))
			continue;
		if (look(s, c, &st, err) == -1)
			return -1;
		proved = proved && c->staged && c->found != FOUND_NOT;
		from_start = from_start || c->place.at == c->place.start;
	}
	if (proved && from_start)
		return fill_holes(s, group, err);
	if (group->ino == st.st_ino && group->start <= size && size < end)
		rc = cut_reserved(s, group->start, size, err);
	if (rc == 0)
		return search(s, group, err);
	for (size_t i = 0; i < s->count && rc == 1; i++)
		if (is_of(&s->claims[i], group))
			s->claims[i].intent->fate = SPOOL_VOID;
	return rc == -1 ? -1 : 0;
}

static bool read_place(const char *text, struct mboxplace *p)
{
	uint64_t *const words[] = {&p->ino, &p->start, &p->at, &p->len, &p->stage, &p->mark};
	const size_t count = sizeof words / sizeof *words;

	for (size_t i = 0; i < count; i++) {
		size_t len = strcspn(text, ":");

		if (!number_parse(text, len, i == 0 ? UINT64_MAX : INT64_MAX, words[i]) ||
		    text[len] != (i + 1 < count ? ':' : '\0'))
			return false;
		text += len + 1;
	}
	return true;
}

static int read_claims(struct settler *s, struct spool_past *past, struct error *err)
{
	for (size_t i = 0; i < s->count; i++) {
		s->claims[i].intent = &past->intents[i];
		past->intents[i].fate = SPOOL_UNSURE;
		if (!read_place(past->intents[i].place, &s->claims[i].place))
			return error_set(err, ERR_IO, "%s: the journal's word for a place in it cannot be read",
			                 s->path);
	}
	return 0;
}

int mboxplace_settle(int mbox, const char *path, int stage, struct spool_past *past,
                     struct error *err)
{
	struct settler s = {.path = path, .run = past->run, .mbox = mbox, .stage = stage,
	                    .count = past->count};
	int rc;

	s.claims = xcalloc(s.count, sizeof *s.claims);
	rc = read_claims(&s, past, err);
	for (size_t i = 0; i < s.count && rc == 0; i++)
		if (past->intents[i].fate == SPOOL_UNSURE)
			rc = judge_group(&s, &s.claims[i].place, err);
	if (rc == 0)
		rc = file_sync(mbox, path, err);
	free(s.claims);
	return rc;
}

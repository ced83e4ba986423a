/* SPDX-License-Identifier: MIT */
/*
 * mark.c - a fingerprint of a message's text, by which a message is known again.
 *
 * The header is taken line by line, for some lines do not count; the body in words of eight bytes,
 * which costs next to nothing beside what the text costs anyway.
 *
 * Called by spool.c for every message that comes in.
 */
#include "config.h"

#include "mark.h"

#include <string.h>
#include <strings.h>

#define MARK_BITS 40

static uint64_t mixed(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return sum ^ sum >> 32;
}

static void mix(struct mark *mark)
{
	mark->sum = mixed(mark->sum, mark->word);
	mark->word = 0;
	mark->held = 0;
}

/* The whole words of a text, in registers.  Returns how many bytes that was. */
static size_t put_words(struct mark *mark, const char *bytes, size_t len)
{
	uint64_t sum = mark->sum, word;
	size_t at = 0;

	for (; len - at >= sizeof word; at += sizeof word) {
		memcpy(&word, bytes + at, sizeof word);
		sum = mixed(sum, word);
	}
	mark->sum = sum;
	return at;
}

/* Bytes that count.  Words are cut by the place in the stream, not by the chunks. */
static void put(struct mark *mark, const char *bytes, size_t len)
{
	while (len > 0) {
		size_t n = sizeof mark->word - mark->held;

		if (mark->held == 0 && len >= sizeof mark->word) {
			n = put_words(mark, bytes, len);
			bytes += n;
			len -= n;
			continue;
		}
		n = n < len ? n : len;
		memcpy((char *)&mark->word + mark->held, bytes, n);
		mark->held += (unsigned)n;
		bytes += n;
		len -= n;
		if (mark->held == sizeof mark->word)
			mix(mark);
	}
}

/* What servers keep in the header for themselves, and for other clients. */
static bool is_volatile(const char *name, size_t len)
{
	static const char *const names[] = {"Status", "X-Status", "X-Keywords", "X-UID", "X-UIDL",
	                                    "X-IMAP", "X-IMAPbase", "Content-Length", "Lines"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strlen(names[i]) == len && strncasecmp(names[i], name, len) == 0)
			return true;
	return false;
}

static void judge_line(struct mark *mark, bool counts)
{
	mark->skip = !counts;
	if (counts)
		put(mark, mark->name, mark->name_len);
	mark->name_len = 0;
	mark->in_line = true;
}

/* A byte of a line that is not judged yet: a field's name, or what continues the line before. */
static void begin_line(struct mark *mark, char c)
{
	if (mark->name_len == 0 && c == '\n') {
		mark->body = true;
		put(mark, "\n", 1);
	} else if (mark->name_len == 0 && (c == ' ' || c == '\t')) {
		mark->in_line = true;
		if (!mark->skip)
			put(mark, &c, 1);
	} else if (c == ':') {
		judge_line(mark, !is_volatile(mark->name, mark->name_len));
		if (!mark->skip)
			put(mark, &c, 1);
	} else {
		mark->name[mark->name_len++] = c;
		if (c == '\n' || mark->name_len == MARK_NAME)
			judge_line(mark, true);
		mark->in_line = mark->in_line && c != '\n';
	}
}

void mark_add(struct mark *mark, const char *text, size_t len)
{
	const char *end = text + len;

	while (text < end && !mark->body) {
		const char *line = mark->in_line ? memchr(text, '\n', (size_t)(end - text)) : NULL;

		if (!mark->in_line) {
			begin_line(mark, *text++);
			continue;
		}
		mark->in_line = line == NULL;
		line = line != NULL ? line + 1 : end;
		if (!mark->skip)
			put(mark, text, (size_t)(line - text));
		text = line;
	}
	put(mark, text, (size_t)(end - text));
}

uint64_t mark_end(struct mark *mark)
{
	uint64_t bits;

	put(mark, mark->name, mark->name_len);
	mark->sum += mark->held; /* "a" is not "a" and NULs */
	mix(mark);
	mix(mark);
	bits = mark->sum >> (64 - MARK_BITS);
	return bits != 0 ? bits : 1;
}

/* SPDX-License-Identifier: MIT */
/*
 * mark.c - a fingerprint of a message's text, by which a message is known again.
 *
 * The header is taken line by line, for some lines do not count; the body in blocks of four words,
 * each with a sum of its own, for every byte of mail comes by here.
 *
 * Called by spool.c for every message that comes in.
 */
#include "config.h"

#include "mark.h"

#include <string.h>
#include <strings.h>

#define MARK_BITS 40

/* For each word another sum: one word that differs is always seen. */
static uint64_t mixed(uint64_t sum, uint64_t word)
{
	sum ^= word;
	return (sum << 29 | sum >> 35) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t word_at(const char *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof word);
	return word;
}

/* The whole blocks of a text; the sums in registers, and none waits for another.  Returns how many
 * bytes that was. */
static size_t put_blocks(struct mark *mark, const char *bytes, size_t len)
{
	uint64_t a = mark->sum[0], b = mark->sum[1], c = mark->sum[2], d = mark->sum[3];
	size_t at = 0;

	for (; len - at >= MARK_BLOCK; at += MARK_BLOCK) {
		a = mixed(a, word_at(bytes + at));
		b = mixed(b, word_at(bytes + at + 8));
		c = mixed(c, word_at(bytes + at + 16));
		d = mixed(d, word_at(bytes + at + 24));
	}
	mark->sum[0] = a, mark->sum[1] = b, mark->sum[2] = c, mark->sum[3] = d;
	return at;
}

/* Bytes that count.  Blocks are cut by the place in the stream, not by the chunks. */
static void put(struct mark *mark, const char *bytes, size_t len)
{
	size_t held = mark->len % MARK_BLOCK, n = MARK_BLOCK - held;

	mark->len += len;
	if (held > 0 && len >= n) {
		memcpy(mark->block + held, bytes, n);
		put_blocks(mark, mark->block, MARK_BLOCK);
		bytes += n;
		len -= n;
		held = 0;
	}
	n = held > 0 ? 0 : put_blocks(mark, bytes, len);
	if (len > n)
		memcpy(mark->block + held, bytes + n, len - n);
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
	uint64_t sum;
	size_t held;

	put(mark, mark->name, mark->name_len);
	sum = mark->len; /* "a" is not "a" and NULs */
	held = mark->len % MARK_BLOCK;
	memset(mark->block + held, 0, MARK_BLOCK - held);
	put_blocks(mark, mark->block, MARK_BLOCK);
	for (size_t i = 0; i < MARK_BLOCK / 8; i++)
		sum = mixed(sum, mark->sum[i]);
	sum = mixed(mixed(sum, 0), 0) >> (64 - MARK_BITS);
	return sum != 0 ? sum : 1;
}

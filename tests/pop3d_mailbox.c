/* SPDX-License-Identifier: MIT */
/*
 * pop3d_mailbox.c - the texts of pop3d's messages, and which of them are gone.
 *
 * A text is the script's, or generated wherever it is read: it costs no memory, so a message may
 * be of any size, and there may be a million of them.  The same place in the script and the same
 * size make the same text.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "pop3d.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LINE = 74 }; /* a generated line with its CRLF */

/* The header of a generated message: always as long, but for a filling that makes the rest come
 * out in whole lines.  Without a message: the shortest. */
static size_t generate_head(const struct message *m, char *to, size_t size)
{
	static const char fill[] =
	    "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789x";
	static size_t shortest;
	uint32_t n = m ? m->number : 0;

	if (m && shortest == 0)
		shortest = generate_head(NULL, to, size);
	return (size_t)snprintf(to, size, "Return-Path: <sender%010u@example.org>\r\n"
	    "From: Sender <sender%010u@example.org>\r\nTo: joe@example.net\r\n"
	    "Subject: Message %010u\r\nMessage-ID: <%010u@pop3d.example>\r\n"
	    "Date: Mon, 01 Jan 2024 00:00:00 +0000\r\nX-Fill: =%.*s\r\n\r\n", n, n, n, n,
	    m ? (int)((m->octets - shortest) % LINE) : 0, fill);
}

/* Line n of a generated message, each another; some test stuffing, some quoting. */
static void body_line(const struct message *m, uint64_t n, char line[LINE])
{
	static const char text[] = "the quick brown fox jumps over the lazy dog, and the five "
	    "boxing wizards jump quickly past the quiet sphinx of black quartz; ";
	uint64_t key = (uint64_t)m->number << 36 | n;

	line[0] = n % 40 == 7 ? '.' : '#';
	for (int i = 16; i > 0; i--, key >>= 4)
		line[i] = "0123456789abcdef"[key & 15];
	line[17] = ' ';
	memcpy(line + 18, text + (n * 7 + m->number) % (sizeof(text) - 54), 54);
	memcpy(line + 72, "\r\n", 2);
	if (n % 40 == 23)
		memcpy(line, "From ", 5);
}

size_t mailbox_text(const struct message *m, uint64_t at, char *to, size_t max)
{
	char head[512], line[LINE];
	size_t done = 0, head_len, n;

	max = (size_t)MIN(max, m->octets - at);
	if (m->text) {
		memcpy(to, m->text + at, max);
		return max;
	}
	head_len = generate_head(m, head, sizeof head);
	if (at < head_len) {
		done = MIN(max, head_len - (size_t)at);
		memcpy(to, head + at, done);
	}
	for (; done < max; done += n) {
		uint64_t offset = at + done - head_len;

		body_line(m, offset / LINE, line);
		n = MIN(LINE - (size_t)(offset % LINE), max - done);
		memcpy(to + done, line + offset % LINE, n);
	}
	return done;
}

uint64_t mailbox_top(const struct message *m, uint64_t lines)
{
	char head[512];
	bool body = false;
	uint64_t at = 0;

	if (!m->text) {
		at = generate_head(m, head, sizeof head);
		return at + MIN(lines, (m->octets - at) / LINE) * LINE;
	}
	while (at < m->octets && (!body || lines-- > 0)) {
		const char *p = m->text + at, *nl = memchr(p, '\n', (size_t)(m->octets - at));

		at = nl ? (uint64_t)(nl + 1 - m->text) : m->octets;
		body = body || nl == p || (nl == p + 1 && *p == '\r');
	}
	return at;
}

uint64_t mailbox_least(void)
{
	char text[512];

	return generate_head(NULL, text, sizeof text);
}

/* The deleted messages: in memory that all processes share, in a file if that was wanted. */
void mailbox_map(void)
{
	size_t n = srv.n_messages + (srv.n_messages == 0), had = 0;
	int fd = -1;

	if (srv.persist) {
		fd = open(srv.persist, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		had = fd < 0 ? 0 : (size_t)lseek(fd, 0, SEEK_END);
		if (fd < 0 || (had < n && ftruncate(fd, (off_t)n) != 0))
			die(1, "%s: %s", srv.persist, strerror(errno));
	}
	srv.gone = mmap(NULL, n, PROT_READ | PROT_WRITE,
	    fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (srv.gone == MAP_FAILED)
		die(1, "mmap: %s", strerror(errno));
	for (; had < srv.n_messages; had++)
		srv.gone[had] = '.';
	if (fd >= 0)
		close(fd);
}

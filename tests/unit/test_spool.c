/* SPDX-License-Identifier: MIT */
/*
 * test_spool.c - what stands in a spool file, for texts of every size around the buffer's edges
 * and for every way of handing them over.
 */
#include "config.h"

#include "spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "file.h"
#include "tap.h"

static const struct spool_style plain = {.form = SPOOL_PLAIN};
static const struct spool_style boxed = {.form = SPOOL_MBOXRD};
static const struct spool_style traced = {
	.form = SPOOL_PLAIN,
	.received = true,
	.from_host = "pop.example.org",
	.from_address = "192.0.2.1",
	.protocol = "POP3S",
	.by_host = "home",
};

static struct spooler pen;

/* Spools text in pieces of `piece` bytes into a fresh file; the caller frees what comes back. */
static char *spooled(const struct spool_style *style, const char *text, size_t len, size_t piece,
                     struct spool *spool)
{
	struct error err = {0};
	char *back;

	*spool = (struct spool){.fd = file_temp("/tmp", &err)};
	spool_token(spool->token, "0123456789ab");
	spool_begin(&pen, style, spool);
	for (size_t at = 0; at < len; at += piece)
		if (spool_write(&pen, text + at, piece < len - at ? piece : len - at, &err) == -1)
			break;
	if (err.kind == ERR_NONE)
		spool_end(&pen, &err);
	EQUAL(err.kind, ERR_NONE, "it is written");
	back = xcalloc(spool->size + 1, 1);
	EQUAL(pread(spool->fd, back, spool->size + 1, 0), (long)spool->size, "size is what is there");
	close(spool->fd);
	return back;
}

static void same_text(const struct spool_style *style, const char *text, size_t piece,
                      const char *want, const char *name)
{
	struct spool spool;
	char *got = spooled(style, text, strlen(text), piece, &spool);

	SAME(got, want, name);
	free(got);
}

static void test_plain(void)
{
	same_text(&plain, "A: b\n\nbody\n", 100, "A: b\n\nbody\n", "as it is");
	same_text(&plain, "A: b\n\nbody", 1, "A: b\n\nbody\n", "a missing last newline is added");
	same_text(&plain, "", 1, "", "an empty message");
	same_text(&plain, "\n", 1, "\n", "a newline alone");
}

/* The date is now's; all else is known. */
static void test_boxed(void)
{
	struct spool spool;
	char *got = spooled(&boxed, "Return-Path: <joe@x.y>\n\nFrom a\n>From b\nend", 42, 3, &spool);
	char *body = strchr(got, '\n');

	OK(strncmp(got, "From joe@x.y ", 13) == 0, "the From_ line names the sender");
	EQUAL(body != NULL ? body - got : 0, 13 + 24, "and a date of 24 bytes");
	SAME(body, "\nReturn-Path: <joe@x.y>\n\n>From a\n>>From b\nend\n\n",
	     "quoted, with an empty line");
	SAME(spool.sender, "joe@x.y", "the sender is kept");
	free(got);
	got = spooled(&boxed, "x\n\nFrom", 7, 7, &spool);
	SAME(strchr(got, '\n'), "\nx\n\nFrom\n\n", "a held-back From at the very end");
	SAME(spool.sender, "MAILER-DAEMON", "no Return-Path");
	free(got);
	got = spooled(&boxed, "", 0, 1, &spool);
	SAME(strchr(got, '\n'), "\n\n", "an empty message in a box");
	free(got);
}

static void test_received(void)
{
	struct spool spool;
	char *got = spooled(&traced, "A: b\n\n", 6, 6, &spool), want[256];

	snprintf(want, sizeof want,
	         "Received: from pop.example.org (192.0.2.1)\n\tby home with POP3S (" PACKAGE_STRING
	         ")\n\tid %s; ", spool.token);
	OK(strncmp(got, want, strlen(want)) == 0, "the Received header");
	SAME(got + strlen(got) - 12, "+0000\nA: b\n\n", "then the message as it was");
	free(got);
}

/* Sizes around a block (64 KiB) and the buffer (128 KiB), in small and large pieces. */
static void test_edges(void)
{
	static const size_t sizes[] = {16384, 16385, 65535, 65536, 65537, 131071, 131072, 131073,
	                               200000};
	static const size_t pieces[] = {1000, 16384, 65536, 131072, 200000};
	char *text = xmalloc(200001);
	bool good = true;

	for (size_t i = 0; i < 200000; i++)
		text[i] = i % 61 == 60 ? '\n' : (char)('a' + i % 26);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
			struct spool spool;
			char *got = spooled(&plain, text, sizes[i], pieces[k], &spool);
			bool added = text[sizes[i] - 1] != '\n';

			good = good && spool.size == sizes[i] + added && memcmp(got, text, sizes[i]) == 0;
			free(got);
			got = spooled(&boxed, text, sizes[i], pieces[k], &spool);
			char *body = strchr(got, '\n');
			good = good && body != NULL && memcmp(body + 1, text, sizes[i]) == 0 &&
			       spool.size == (uint64_t)(body + 1 - got) + sizes[i] + added + 1;
			free(got);
		}
	OK(good, "every size around the edges, whole");
	free(text);
}

/* What is written before the end goes up to a multiple of a block of the file, wherever the message
 * begins; and comes soon. */
static void test_blocks(const struct spool_style *style, uint64_t begin)
{
	struct error err = {0};
	struct spool spool = {.fd = file_temp("/tmp", &err), .at = begin};
	char text[7001];
	bool whole = true, soon = true;

	memset(text, 'x', sizeof text);
	memcpy(text, "A: b\n\nFrom me\n", 14);
	spool_begin(&pen, style, &spool);
	for (size_t len = 0; len < 1000000; len += sizeof text) {
		spool_write(&pen, text, sizeof text, &err);
		whole = whole && (spool.size == 0 || (spool.at + spool.size) % 65536 == 0);
		soon = soon && spool.size + 200000 > len;
	}
	OK(spool_end(&pen, &err) == 0 && lseek(spool.fd, 0, SEEK_END) == (off_t)(begin + spool.size),
	   "the last part");
	OK(whole, "whole blocks of the file");
	OK(soon, "as they come");
	close(spool.fd);
}

static void test_failure(void)
{
	struct spool spool = {.fd = -1};
	struct error err = {0};

	spool_begin(&pen, &plain, &spool);
	OK(spool_write(&pen, "x", 1, &err) == 0, "a small text only gathers");
	OK(spool_end(&pen, &err) == -1 && err.kind != ERR_NONE,
	   "a file that cannot be written is said");
}

int main(void)
{
	test_plain();
	test_boxed();
	test_received();
	test_edges();
	test_blocks(&plain, 0);
	test_blocks(&traced, 0);
	test_blocks(&boxed, 77777);
	test_failure();
	spooler_free(&pen);
	return tap_end();
}

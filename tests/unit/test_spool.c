/* SPDX-License-Identifier: MIT */
/*
 * test_spool.c - what stands in a spool file, for texts of every size around the buffer's edges
 * and for every way of handing them over.
 */
#include "config.h"

#include "spool.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"
#include "spoolkit.h"
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
	spool_token(&pen, "0123456789ab", spool->token);
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
		off_t end;

		spool_write(&pen, text, sizeof text, &err);
		end = lseek(spool.fd, 0, SEEK_END);
		whole = whole && end % 65536 == 0;
		soon = soon && end + 200000 > (off_t)len;
	}
	OK(spool_end(&pen, &err) == 0 && lseek(spool.fd, 0, SEEK_END) == (off_t)(begin + spool.size),
	   "the last part");
	OK(whole, "whole blocks of the file");
	OK(soon, "as they come");
	close(spool.fd);
}

/* Writes one more message of len bytes behind the others. */
static int add_joined(struct spool *spool, int fd, char letter, size_t len, struct error *err)
{
	static const struct spool_style joined = {.form = SPOOL_MBOXRD, .joined = true};
	char *text = xmalloc(len);
	int rc;

	memset(text, letter, len);
	*spool = (struct spool){.fd = fd, .at = spool_next(&pen)};
	spool_begin(&pen, &joined, spool);
	rc = spool_write(&pen, text, len, err) == -1 || spool_end(&pen, err) == -1 ? -1 : 0;
	free(text);
	return rc;
}

/* It stands in the file where it should, whole, and its fingerprint is that of its bytes. */
static bool stands(const struct spool *spool, char letter, size_t len)
{
	char *bytes = xcalloc(spool->size + 1, 1), *text;
	struct mark sum = {.body = true};
	bool good = pread(spool->fd, bytes, spool->size, (off_t)spool->at) == (ssize_t)spool->size;

	mark_add(&sum, bytes, spool->size);
	text = strchr(bytes, '\n');
	good = good && strncmp(bytes, "From MAILER-DAEMON ", 19) == 0 && text != NULL &&
	       strlen(text) == len + 3 && text[1] == letter && text[len] == letter &&
	       strcmp(text + len + 1, "\n\n") == 0 && mark_end(&sum) == spool->sum;
	free(bytes);
	return good;
}

static void test_joined(void)
{
	static const size_t sizes[] = {1, 3000, 65000, 3000, 200000, 1, 131072, 70};
	enum { N = sizeof sizes / sizeof *sizes };
	struct error err = {0};
	struct spool spools[N], given_up;
	int fd = file_temp("/tmp", &err);
	bool behind = true, good = true;

	spooler_free(&pen);
	for (int i = 0; i < N; i++) {
		EQUAL(add_joined(&spools[i], fd, (char)('a' + i), sizes[i], &err), 0, "one more");
		behind = behind && spools[i].at == (i > 0 ? spools[i - 1].at + spools[i - 1].size : 0);
		if (i == 1)
			EQUAL(lseek(fd, 0, SEEK_END), 0, "two small ones wait for more");
		add_joined(&given_up, fd, 'x', sizes[N - 1 - i], &err); /* small or large */
		spool_drop(&pen, &given_up);
	}
	OK(behind, "each begins where the one before ends, or where one was given up");
	EQUAL(spool_flush(&pen, &err), 0, "written");
	for (int i = 0; i < N; i++)
		good = good && stands(&spools[i], (char)('a' + i), sizes[i]);
	OK(good, "all are there");
	for (int i = 0; i < N; i++)
		spools[i].fate = SPOOL_SAFE;
	spool_release(&pen, spools, N, 0);
	add_joined(&spools[0], fd, 'z', 10, &err);
	EQUAL(spool_flush(&pen, &err), 0, "over what was there");
	OK(spools[0].at == 0 && stands(&spools[0], 'z', 10), "it begins anew");
	close(fd);
}

/* A disk that was full may have room the next time. */
static void test_joined_failure(void)
{
	struct error err = {0};
	struct spool spool;
	int fd = file_temp("/tmp", &err), full = open("/dev/full", O_WRONLY), keep = dup(fd);

	spooler_free(&pen);
	dup2(full, fd);
	EQUAL(add_joined(&spool, fd, 'a', 1000, &err), 0, "a small one waits");
	EQUAL(spool_flush(&pen, &err), -1, "there is no room for it");
	OK(error_is_no_room(&err), "which is said");
	dup2(keep, fd);
	EQUAL(spool_flush(&pen, &err), 0, "now there is");
	OK(stands(&spool, 'a', 1000), "and nothing is lost");
	close(fd);
	close(full);
	close(keep);
}

/* A spool without a file: a small one needs no directory, a large one does. */
static void test_scratch(void)
{
	static const size_t sizes[] = {0, 1, 131000, 140000, 400000};
	char *text = xcalloc(400000, 1), *back = xmalloc(400000);

	memset(text, 'x', 399999);
	text[399999] = '\n';
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		bool small = sizes[i] <= 131072;
		struct spool_style style = {.scratch = small ? "/nowhere" : "/tmp"};
		const char *from = text + 400000 - sizes[i];
		struct spool spool = {.fd = -1};
		struct error err = {0};

		spool_begin(&pen, &style, &spool);
		OK(spool_write(&pen, from, sizes[i], &err) == 0 && spool_end(&pen, &err) == 0 &&
		   spool.size == sizes[i], "it is written");
		OK(spool.fd >= 0 && pread(spool.fd, back, 400000, 0) == (ssize_t)sizes[i] &&
		   memcmp(back, from, sizes[i]) == 0, "and there, even if it is empty");
		close(spool.fd);
		if (small)
			continue;
		spool.fd = -1;
		style.scratch = "/nowhere";
		spool_begin(&pen, &style, &spool);
		OK(spool_write(&pen, from, sizes[i], &err) == -1 && spool.fd == -1 &&
		   strstr(err.text, "/nowhere") != NULL, "a large one is not kept in memory");
	}
	free(text);
	free(back);
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
	test_scratch();
	test_joined();
	test_joined_failure();
	spooler_free(&pen);
	return tap_end();
}
